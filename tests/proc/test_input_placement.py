"""Nonsense for the placement process: flags, ports, bytes. A clear error, no crash, no hang; the others are still served."""
import contextlib
import os
import re
import socket

import grpc
import httpx
import pytest

from kit import GARBAGE, raw, run
from lib import control_wire as wire
from lib.control_procs import leading_placement
from lib.procs import free_port, wait_until

pytestmark = pytest.mark.quick


@pytest.mark.parametrize("flag", ["--port", "--healthz-port", "--metrics-port"])
def test_a_port_in_use_is_fatal_and_named(flag):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ports = {"--port": free_port(), "--healthz-port": free_port(), "--metrics-port": free_port(), flag: port}
        done = run("placement", "--listen-address=127.0.0.1", "--healthz-listen-address=127.0.0.1",
                   *(f"{name}={value}" for name, value in ports.items()))
    assert done.returncode == 1
    last = done.stdout.strip().splitlines()[-1]
    assert "level=fatal" in last and str(port) in last and "in use" in last, done.stdout


@pytest.mark.parametrize("flags, words", [
    (["--listen-address=203.0.113.7"], "203.0.113.7"),
    (["--healthz-listen-address=no.such.host.invalid"], "no.such.host.invalid"),
    (["--log-file=/no/such/folder/log"], "/no/such/folder/log"),
    (["--port=70000"], "70000"),
    (["--port=-1"], "-1"),
    (["--healthz-port=70000"], "70000"),
    (["--metrics-port=none"], "none"),
    (["--replicationFactor=0"], "replicationFactor"),
    (["--disseminate-timeout=0s"], "disseminate-timeout"),
    (["--disseminate-timeout=-1s"], "disseminate-timeout"),
    (["--keepalive-time=11s"], "keepalive-time"),
    (["--keepalive-timeout=1ms"], "keepalive-timeout"),
    (["--log-level=loud"], "log-level: loud"),
    (["--id=other"], "other"),
    (["--initial-cluster=nonsense", "--id=nonsense"], "nonsense"),
    (["--tls-enabled"], "tls-enabled"),
    (["--mode=submarine"], "submarine"),
], ids=lambda value: " ".join(value) if isinstance(value, list) else "")
def test_a_setting_that_cannot_be_used_is_fatal_and_named(flags, words):
    ports = [f"--{name}={free_port()}" for name in ("port", "healthz-port", "metrics-port")
             if not any(flag.startswith(f"--{name}=") for flag in flags)]
    done = run("placement", *ports, *flags)
    assert done.returncode == 1, done.stdout
    last = done.stdout.strip().splitlines()[-1]
    assert "level=fatal" in last and words in last, done.stdout


@pytest.mark.parametrize("flag", [
    "--port=", "--port=9x", "--port=99999999999999999999", "--keepalive-time=1", "--keepalive-time=", "--keepalive-time=1 s",
    "--disseminate-timeout=9999999999999h", "--tls-enabled=2", "--no-such-flag", "--=1", "---port=1", "--replicationFactor=1e3",
    "-x"])
def test_a_malformed_flag_ends_with_status_2_and_is_named(flag):
    done = run("placement", flag)
    assert done.returncode == 2, done.stdout
    name = flag.lstrip("-").split("=")[0] or flag.split("=")[0]
    assert name in done.stdout.splitlines()[0] + done.stdout.splitlines()[-1], done.stdout


def test_a_flag_without_its_value_ends_with_status_2_and_is_named():
    done = run("placement", "--port")
    assert done.returncode == 2 and "--port" in done.stdout


def serves(service) -> bool:
    with wire.Member(service.address, "10.2.0.1:50002", ["t"], namespace=os.urandom(4).hex()) as member:
        member.round()
    return httpx.get(f"http://127.0.0.1:{service.health}/healthz").status_code == 200


@pytest.mark.parametrize("port", ["port", "health", "metrics"])
def test_garbage_on_a_port_disturbs_nobody(cluster, port):
    service = leading_placement(cluster)
    for data in GARBAGE.values():
        raw(getattr(service, port), data)
    assert serves(service)


def test_a_head_too_large_is_answered_431(cluster):
    service = leading_placement(cluster)
    for port in (service.health, service.metrics):
        assert raw(port, GARBAGE["many headers"]).startswith(b"HTTP/1.1 431 "), port


def test_connections_that_say_nothing_do_not_keep_others_out(cluster):
    service = leading_placement(cluster)
    with contextlib.ExitStack() as stack:
        for port in (service.port, service.health, service.metrics):
            for _ in range(100):
                stack.enter_context(socket.create_connection(("127.0.0.1", port)))
        assert serves(service)


@pytest.mark.parametrize("data", [b"\xff" * 20, b"\x0a\xff\xff\xff\xff\x0f", b"\x22\x05ab"], ids=["tag", "length", "cut"])
def test_a_message_that_is_no_protobuf_ends_its_stream_only(cluster, data):
    service = leading_placement(cluster)
    with wire.Member(service.address, "10.2.0.1:50002", ["t"]) as good, wire.dial(service.address) as channel:
        good.round()
        stream = channel.stream_stream(f"/{wire.PLACEMENT}/ReportDaprStatus")(iter([data]))
        with pytest.raises(grpc.RpcError) as caught:
            list(stream)
        assert caught.value.code() in (grpc.StatusCode.INTERNAL, grpc.StatusCode.INVALID_ARGUMENT), caught.value
        assert caught.value.details()
        good.report("t", "u")
        wait_until(lambda: good.tables() == {"t": {good.name}, "u": {good.name}}, 10)


@pytest.mark.parametrize("method", ["/dapr.proto.placement.v1.Placement/NoSuch", "/no.Such/Service", "/", "/x"])
def test_an_unknown_method_is_unimplemented(cluster, method):
    service = leading_placement(cluster)
    with wire.dial(service.address) as channel:
        assert wire.code_of(lambda: channel.unary_unary(method)(b"", timeout=10)) is grpc.StatusCode.UNIMPLEMENTED


def test_a_message_beyond_the_limit_is_refused(cluster):
    service = leading_placement(cluster)
    with wire.dial(service.address) as channel:
        stream = channel.stream_stream(f"/{wire.PLACEMENT}/ReportDaprStatus")(iter([b"\0" * ((64 << 20) + 1)]))
        assert wire.code_of(lambda: list(stream)) is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert serves(service)


def test_names_of_any_kind_are_refused_or_served_but_never_fatal(cluster):
    service = leading_placement(cluster, "--metadata-enabled=true")
    for name, types in [("", ["t"]), ("x" * 100000, ["t"]), ("a\nb\0c\"d", ["t\n\"", ""]), ("\u00fc\U0001f600", ["\u00fc"]),
                        ("10.2.0.9:1", [f"t{n}" for n in range(5000)])]:
        with wire.Member(service.address, name, types, namespace=os.urandom(4).hex()) as member:
            wait_until(lambda: member.ended.is_set() or (member.seen and member.seen[-1].operation == wire.UNLOCK), 20)
            shown = httpx.get(f"http://127.0.0.1:{service.health}/placement/state")
            assert shown.status_code == 200 and isinstance(shown.json(), dict)
    assert serves(service)
    assert re.search(r"level=info", service.log.read_text())
