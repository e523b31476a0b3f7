"""Peers that send too much, or take too much: HTTP/2 frames, descriptors, logs that nobody reads, apps over the event stream."""
import contextlib
import os
import resource
import socket
import struct
import subprocess
import threading

import grpc
import hpack
import pytest

from kit import Pair, fds, is_sanitized, kill9, parts, rss_kib, stopped
from lib.actors import actors_pb2
from lib.actor_stream import FromApp, StreamApp, hosting
from lib.procs import MEMORY_STORE, binary, wait_until

KIND = "kind"
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST, SETTINGS, PING, CONTINUATION, PRIORITY, WINDOW = 0, 1, 3, 4, 6, 9, 2, 8
END_STREAM, END_HEADERS = 1, 4


@pytest.fixture
def pair(cluster):
    pair = Pair(cluster, cluster.placement(), KIND, "--log-level=info").hosts()
    yield pair
    pair.close()


def frame(kind: int, flags: int = 0, stream: int = 0, payload: bytes = b"") -> bytes:
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def head(path: str, *more) -> bytes:
    return hpack.Encoder().encode([(":method", "POST"), (":scheme", "http"), (":authority", "x"), (":path", path), *more])


def many_resets() -> bytes:
    """Calls taken back in the same breath: over the HTTP API, and over gRPC as far as that is spoken there."""
    http = head(f"/v1.0/actors/{KIND}/a/method/hold")
    message = actors_pb2.InvokeActorRequest(actor_type=KIND, actor_id="a", method="hold").SerializeToString()
    rpc = head("/dapr.proto.runtime.v1.Dapr/InvokeActor", ("content-type", "application/grpc"), ("te", "trailers"))
    reset = struct.pack(">I", 8)
    return b"".join(frame(HEADERS, END_HEADERS | END_STREAM, n, http) + frame(RST, 0, n, reset) +
                    frame(HEADERS, END_HEADERS, n + 2, rpc) +
                    frame(DATA, END_STREAM, n + 2, struct.pack(">BI", 0, len(message)) + message) + frame(RST, 0, n + 2, reset)
                    for n in range(1, 10001, 4))


FLOODS = {
    "streams reset at once": many_resets,
    "pings": lambda: frame(PING, 0, 0, b"12345678") * 20_000,
    "settings": lambda: frame(SETTINGS) * 20_000,
    "settings of all sizes": lambda: frame(SETTINGS, 0, 0, struct.pack(">HI", 1, 4096) * 1000) * 200,
    "empty data": lambda: frame(HEADERS, END_HEADERS, 1, head("/v1.0/state/statestore")) + frame(DATA, 0, 1) * 20_000,
    "continuations": lambda: frame(HEADERS, 0, 1, head("/")) + frame(CONTINUATION, 0, 1, b"\x00\x01a\x01b" * 100) * 5_000,
    "priorities": lambda: b"".join(frame(PRIORITY, 0, n, struct.pack(">IB", 0, 1)) for n in range(1, 20001, 2)),
    "window of nothing": lambda: frame(WINDOW, 0, 0, struct.pack(">I", 0)) * 1000,
    "window overflow": lambda: frame(WINDOW, 0, 0, struct.pack(">I", 0x7fffffff)) * 2,
    "a frame too large": lambda: frame(HEADERS, END_HEADERS, 1, b"\0" * 1_000_000),
    "a bomb of headers": lambda: frame(HEADERS, END_HEADERS | END_STREAM, 1,
                                       hpack.Encoder().encode([("a", "x" * 4000)]) + b"\xbe" * 16_000),
}


@pytest.fixture(scope="module")
def shared():
    from kit import Strict
    with Strict() as cluster:
        pair = Pair(cluster, cluster.placement(), KIND, "--log-level=info").hosts()
        yield pair
        pair.close()


@pytest.mark.quick
@pytest.mark.parametrize("port", ["http", "grpc", "internal", "public"])
@pytest.mark.parametrize("flood", FLOODS.values(), ids=FLOODS)
def test_a_flood_of_frames_costs_its_sender_only(shared, port, flood):
    before = rss_kib(shared.sidecar)
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", getattr(shared.sidecar, port)), 5) as connection:
        drain = threading.Thread(target=read_to_the_end, args=(connection,))
        drain.start()  # so that what is sent back is taken: the flood is not held up by itself
        with contextlib.suppress(OSError):
            connection.sendall(PREFACE + frame(SETTINGS) + flood())
            connection.shutdown(socket.SHUT_WR)
        drain.join(10)
    assert shared.call(f"{KIND}/b", "echo", b"x", timeout_s=10).text == "x"
    assert shared.invoke(f"{KIND}/b", "echo", b"x", timeout_s=10) == b"x"
    if not is_sanitized("daprd"):
        assert rss_kib(shared.sidecar) - before < 64 << 10
    shared.app.wait("holding", 0)


def read_to_the_end(connection) -> None:
    with contextlib.suppress(OSError):
        while connection.recv(65536):
            pass


@pytest.mark.quick
def test_a_call_taken_back_in_the_same_breath_leaves_no_turn_behind(shared):
    for n in range(20):
        with socket.create_connection(("127.0.0.1", shared.sidecar.http), 5) as connection:
            connection.sendall(PREFACE + frame(SETTINGS) +
                               frame(HEADERS, END_HEADERS | END_STREAM, 1, head(f"/v1.0/actors/{KIND}/t/method/hold")) +
                               frame(RST, 0, 1, struct.pack(">I", 8)))
            assert connection.recv(65536)
    assert shared.call(f"{KIND}/t", "add", timeout_s=10).status_code == 200
    shared.app.wait("holding", 0)


@pytest.mark.quick
@pytest.mark.parametrize("port, most_mib", [("http", 32), ("grpc", 160)])  # gRPC core takes in what has arrived, then closes
def test_pings_whose_answers_are_not_read_do_not_fill_the_memory(shared, port, most_mib):
    before = rss_kib(shared.sidecar)
    pings = frame(PING, 0, 0, b"12345678") * 4096
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", getattr(shared.sidecar, port)), 2) as connection:
        connection.sendall(PREFACE + frame(SETTINGS))
        for _ in range(1000):  # 68 MB of pings; it stops taking them, or closes, long before
            connection.sendall(pings)
    assert shared.call(f"{KIND}/b", "echo", b"x", timeout_s=10).text == "x"
    if not is_sanitized("daprd"):
        assert rss_kib(shared.sidecar) - before < most_mib << 10


# Descriptors

@pytest.mark.quick
def test_a_sidecar_out_of_descriptors_serves_again_when_there_are_some(pair):
    assert pair.call(f"{KIND}/a", "echo", b"x").text == "x"
    assert pair.invoke(f"{KIND}/a", "echo", b"x") == b"x"
    before = fds(pair.sidecar)
    soft, hard = resource.prlimit(pair.sidecar.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pair.sidecar.pid, resource.RLIMIT_NOFILE, (before + 20, hard))
    with contextlib.ExitStack() as stack:
        for port in (pair.sidecar.http, pair.sidecar.grpc, pair.sidecar.internal, pair.sidecar.metrics):
            for _ in range(50):
                stack.enter_context(socket.create_connection(("127.0.0.1", port)))
        wait_until(lambda: fds(pair.sidecar) >= before + 18, 10)
        assert pair.call(f"{KIND}/a", "echo", b"x", timeout_s=10).text == "x"  # over a connection that it has
    wait_until(lambda: fds(pair.sidecar) <= before + 5, 20)
    resource.prlimit(pair.sidecar.pid, resource.RLIMIT_NOFILE, (soft, hard))
    for number in range(20):
        assert pair.raw("POST", f"/v1.0/actors/{KIND}/n{number}/method/add").body == b"1"
        assert pair.invoke(f"{KIND}/n{number}", "add") == b"2"


@pytest.mark.quick
def test_no_descriptors_for_the_app_are_an_error_for_the_caller_only(pair):
    assert pair.call(f"{KIND}/a", "echo", b"x").text == "x"
    soft, hard = resource.prlimit(pair.sidecar.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pair.sidecar.pid, resource.RLIMIT_NOFILE, (fds(pair.sidecar) + 1, hard))
    held = [pair.invoke_later(f"h{number}") for number in range(20)]  # one connection, many calls: each wants one to the app
    wait_until(lambda: sum(call.done() for call in held) >= 18, 20)
    resource.prlimit(pair.sidecar.pid, resource.RLIMIT_NOFILE, (soft, hard))
    pair.app.control("release")
    failed = [call.exception(10) for call in held if call.exception(10) is not None]
    assert failed and {error.code() for error in failed} == {grpc.StatusCode.INTERNAL}
    assert all("too many open files" in error.details() for error in failed), failed[0].details()
    assert pair.call(f"{KIND}/z", "add").text == "1"


# Logs

@pytest.mark.quick
def test_a_log_that_nobody_reads_holds_nothing_up(cluster):
    pair = Pair(cluster, cluster.placement(), KIND, wait=False)
    kill9(pair.sidecar)
    reading, writing = os.pipe()
    with open(pair.sidecar.log, "ab"):
        pair.sidecar.handle = subprocess.Popen([binary("daprd"), *pair.sidecar.args, "--enable-api-logging"], stdout=writing,
                                               stderr=writing)
    os.close(writing)
    pair.sidecar.ends = 0
    pair.sidecar.wait_ready()
    pair.hosts()
    for number in range(500):  # with some 300 bytes of log each, the pipe of 64 KiB is full long before the end
        assert pair.call(f"{KIND}/a{number}", "add", timeout_s=10).text == "1"
    os.close(reading)  # and now it is a broken pipe
    for number in range(50):
        assert pair.call(f"{KIND}/b{number}", "add", timeout_s=10).text == "1"
    stopped(pair.sidecar)
    pair.close()


@pytest.mark.quick
@pytest.mark.parametrize("role", ["daprd", "placement"])
def test_a_log_file_on_a_full_disk_holds_nothing_up(cluster, role):
    if role == "daprd":
        proc = cluster.sidecar("full-log", "--log-file=/dev/full", resources={"store.yaml": MEMORY_STORE})
    else:
        proc = cluster.placement("--log-file=/dev/full")
    stopped(proc)


# Apps over the event stream

@pytest.fixture
def streaming(cluster):
    """A sidecar whose app comes over the event stream; a function that opens one."""
    sidecar = cluster.sidecar("streaming", placement=cluster.placement(), app_protocol="grpc",
                              resources={"store.yaml": MEMORY_STORE})
    host = Pair.__new__(Pair)
    super(Pair, host).__init__(sidecar, None)

    def connect(**options) -> StreamApp:
        app = StreamApp(host.grpc, hosting([KIND]), **options)
        wait_until(lambda: host.metadata["actorRuntime"].get("activeActors") and host.metadata["actorRuntime"].get("hostReady"), 15)
        return app

    yield host, connect
    host.close()


@pytest.mark.quick
def test_an_app_that_breaks_off_its_stream_in_mid_turn_is_an_error_and_the_next_one_serves(streaming):
    host, connect = streaming
    for _ in range(3):
        app = connect(auto=False)
        call = host.start_call(f"{KIND}/a", "m")
        wait_until(lambda: app.events("invoke_request"), 10)
        app.cancel()
        answer = call.result(10)
        assert parts(answer) == (500, "ERR_ACTOR_INVOKE_METHOD")
        assert "actor host disconnected before responding" in answer.text, answer.text
    app = connect(handlers={"invoke_request": lambda r: FromApp(invoke_response={"id": r.id, "data": b"served"})})
    assert host.call(f"{KIND}/a", "m", timeout_s=20).text == "served"
    app.cancel()


@pytest.mark.quick
def test_answers_to_nothing_on_the_stream_disturb_nobody(streaming):
    host, connect = streaming
    app = connect(handlers={"invoke_request": lambda r: FromApp(invoke_response={"id": r.id, "data": b"ok"})})
    for text in ("", "no-such-id", "x" * 10_000):
        app.out.put(FromApp(invoke_response={"id": text}))
        app.out.put(FromApp(deactivate_response={"id": text}))
        app.out.put(FromApp(timer_response={"id": text}))
    app.out.put(FromApp())
    wait_until(lambda: app.ended.is_set() or host.call(f"{KIND}/a", "m").text == "ok", 10)
    if app.ended.is_set():  # it may send such an app away, with a reason
        assert app.failure.details()
        app = connect(handlers={"invoke_request": lambda r: FromApp(invoke_response={"id": r.id, "data": b"ok"})})
    assert host.call(f"{KIND}/a", "m").text == "ok"
    app.cancel()


def test_an_app_on_the_stream_that_does_not_read_holds_up_neither_others_nor_the_end(streaming, cluster):
    """It says hello and then lets 64 KiB of window run full; its calls wait, the rest of the sidecar does not."""
    host, _ = streaming
    message = hosting([KIND]).SerializeToString()
    block = head("/dapr.proto.runtime.v1.Dapr/SubscribeActorEventsAlpha1", ("content-type", "application/grpc"), ("te", "trailers"))
    with socket.create_connection(("127.0.0.1", host.sidecar.grpc)) as connection:
        connection.sendall(PREFACE + frame(SETTINGS) + frame(HEADERS, END_HEADERS, 1, block) +
                           frame(DATA, 0, 1, struct.pack(">BI", 0, len(message)) + message))
        wait_until(lambda: host.metadata["actorRuntime"].get("activeActors"), 15)
        calls = [host.start_call(f"{KIND}/a{number}", "m", b"x" * 100_000) for number in range(10)]
        wait_until(lambda: host.active(KIND) == 10, 10)
        assert host.http.get("/v1.0/healthz").status_code == 204
    for call in calls:  # the app has gone
        assert call.result(20).status_code == 500
    assert cluster
