"""SIGTERM while somebody does not answer, does not read or has sent only a half: the end comes in time, and in order."""
import contextlib
import signal
import socket
import struct
import time

import pytest

from kit import App, Pair, parts
from lib.actor_stream import StreamApp, hosting
from lib.actors import MEMORY_STORE, Host, actors_pb2, httpx, unique
from lib.procs import wait_until
from test_clients import reset, silent_h2, start

KIND, GRACE_S = "kind", 5.0


@pytest.fixture
def placement(cluster):
    return cluster.placement()


@pytest.fixture
def pair(cluster, placement):
    pair = Pair(cluster, placement, KIND).hosts()
    yield pair
    pair.close()


def ends(proc) -> None:
    """It ends by itself with status 0 before the grace period is over."""
    begin = time.monotonic()
    proc.signal(signal.SIGTERM)
    assert proc.handle.wait(GRACE_S + 5) == 0, proc.tail()
    assert time.monotonic() - begin < GRACE_S + 1
    assert "exceeded" not in proc.tail(20_000)


@pytest.mark.quick
def test_an_app_that_answers_no_deactivation(pair):
    assert pair.call(f"{KIND}/a", "add").text == "1"
    pair.app.signal(signal.SIGSTOP)
    ends(pair.sidecar)


def test_an_app_that_hangs_in_a_turn_of_another_sidecars_call(cluster, placement, pair):
    caller = Host(cluster.sidecar(unique("caller"), placement=placement), None)
    call = caller.start_call(f"{KIND}/a", "hold")
    pair.app.wait("holding", 1)
    pair.app.signal(signal.SIGSTOP)
    ends(pair.sidecar)
    ends(caller.sidecar)
    with contextlib.suppress(httpx.TransportError):
        assert call.result(10).status_code >= 400
    caller.close()


@contextlib.contextmanager
def silent_listener():
    """A port that takes connections and never says anything."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


@pytest.mark.parametrize("protocol", ["http", "h2c", "grpc"])
def test_an_app_that_does_not_say_what_it_hosts(cluster, placement, protocol):
    with silent_listener() as app:
        sidecar = cluster.sidecar("silent", app_port=app.getsockname()[1], app_protocol=protocol, placement=placement,
                                  resources={"store.yaml": MEMORY_STORE}, wait=False)
        wait_until(lambda: "application discovered" in sidecar.log.read_text(), 20)
        caller = Host(sidecar, None)
        call = caller.start_call(f"{KIND}/a", "add")
        wait_until(lambda: httpx.get(f"{sidecar.url}/v1.0/metadata").status_code == 200, 10)
        ends(sidecar)
        with contextlib.suppress(httpx.TransportError):
            assert call.result(5).status_code >= 400
        caller.close()


def test_clients_that_do_not_read(pair):
    size = 3 << 20
    with contextlib.ExitStack() as stack:
        stack.enter_context(start(pair, "a", f"big-{size}"))
        message = actors_pb2.InvokeActorRequest(actor_type=KIND, actor_id="b", method=f"big-{size}").SerializeToString()
        stack.enter_context(silent_h2(pair.sidecar.grpc, "/dapr.proto.runtime.v1.Dapr/InvokeActor",
                                      [("content-type", "application/grpc"), ("te", "trailers")],
                                      struct.pack(">BI", 0, len(message)) + message))
        stack.enter_context(silent_h2(pair.sidecar.http, f"/v1.0/actors/{KIND}/c/method/big-{size}", [], b""))
        pair.app.wait("calls", 3)
        ends(pair.sidecar)


def test_clients_that_sent_half_a_request(pair):
    with contextlib.ExitStack() as stack:
        stack.enter_context(start(pair, "a", "echo", body=b"x", length=100))
        for port in (pair.sidecar.grpc, pair.sidecar.internal):
            half = silent_h2(port, "/dapr.proto.runtime.v1.Dapr/InvokeActor", [("content-type", "application/grpc"), ("te", "trailers")],
                             b"", ends=False)
            stack.enter_context(half)
        assert pair.call(f"{KIND}/z", "add").text == "1"  # what was sent before has arrived
        ends(pair.sidecar)


@pytest.mark.quick
def test_placement_that_is_frozen(pair, placement):
    placement.signal(signal.SIGSTOP)
    assert pair.call(f"{KIND}/a", "add").text == "1"
    ends(pair.sidecar)
    assert pair.app.seen()["active"] == 0


def test_another_sidecar_that_is_frozen_in_a_call(cluster, placement, pair):
    caller = Host(cluster.sidecar(unique("caller"), placement=placement), None)
    call = caller.start_call(f"{KIND}/a", "hold")
    pair.app.wait("holding", 1)
    pair.sidecar.signal(signal.SIGSTOP)
    ends(caller.sidecar)
    with contextlib.suppress(httpx.TransportError):
        assert call.result(10).status_code >= 400
    caller.close()


@pytest.mark.parametrize("size", [10, 1 << 20])
def test_an_app_behind_the_event_stream_that_does_not_answer(cluster, placement, size):
    sidecar = cluster.sidecar(unique("stream"), placement=placement, resources={"store.yaml": MEMORY_STORE})
    host = Host(sidecar, None)
    app = StreamApp(host.grpc, hosting([KIND]), auto=False)
    wait_until(lambda: host.metadata["actorRuntime"].get("hostReady") and host.hosted() == [KIND], 20)
    calls = [host.start_call(f"{KIND}/a{number}", "m", b"x" * size) for number in range(10)]
    wait_until(lambda: len(app.events("invoke_request")) == 10, 20)
    ends(sidecar)
    for call in calls:
        assert parts(call.result(5)) == (503, "ERR_ACTOR_RUNTIME_CLOSED")
    host.close()


def test_an_app_behind_the_event_stream_that_does_not_read(cluster, placement):
    """Its window is one of 64 KiB, and what is more stands in the sidecar."""
    sidecar = cluster.sidecar(unique("stream"), placement=placement, resources={"store.yaml": MEMORY_STORE})
    host = Host(sidecar, None)
    message = hosting([KIND]).SerializeToString()
    with silent_h2(sidecar.grpc, "/dapr.proto.runtime.v1.Dapr/SubscribeActorEventsAlpha1",
                   [("content-type", "application/grpc"), ("te", "trailers")], struct.pack(">BI", 0, len(message)) + message, ends=False):
        wait_until(lambda: host.metadata["actorRuntime"].get("hostReady") and host.hosted() == [KIND], 20)
        calls = [host.start_call(f"{KIND}/a{number}", "m", b"x" * (1 << 20)) for number in range(10)]
        wait_until(lambda: host.active(KIND) == 10, 20)
        ends(sidecar)
        for call in calls:
            assert parts(call.result(5)) == (503, "ERR_ACTOR_RUNTIME_CLOSED")
    host.close()


def test_connections_that_say_nothing(pair):
    with contextlib.ExitStack() as stack:
        for port in ("http", "grpc", "internal", "public", "metrics"):
            for _ in range(5):
                stack.enter_context(socket.create_connection(("127.0.0.1", getattr(pair.sidecar, port))))
        assert pair.call(f"{KIND}/a", "add").text == "1"
        ends(pair.sidecar)


# The app's configuration

def test_an_app_that_breaks_off_when_it_is_asked_what_it_hosts_is_asked_again(cluster, placement):
    app = App(cluster, KIND)
    with socket.create_server(("127.0.0.1", app.port)) as server:
        server.settimeout(20)
        sidecar = cluster.sidecar(unique("app"), app_port=app.port, placement=placement, wait=False,
                                  resources={"store.yaml": MEMORY_STORE})
        server.accept()[0].close()  # the look whether somebody listens
        connection = server.accept()[0]
        assert connection.recv(65536).startswith(b"GET /dapr/config ")
        reset(connection)
        server.settimeout(0.5)  # a request that is safe to repeat may come at once
        with contextlib.suppress(TimeoutError):
            reset(server.accept()[0])
    app.start().wait_ready()
    host = Host(sidecar.wait_ready(), app)
    wait_until(lambda: KIND in host.hosted(), 20, what="the type is hosted after all")
    assert host.call(f"{KIND}/a", "add").text == "1"
    host.close()
