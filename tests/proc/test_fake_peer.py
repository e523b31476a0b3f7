"""A sidecar whose peer is broken: the owner of an actor, by the table, answers nonsense, nothing, too much, or goes away."""
import contextlib
import re
import socket
import threading

import grpc
import pytest

from kit import Strict, raw, stopped
from lib import control_wire as wire
from lib.actors import Host
from lib.procs import free_port, wait_until

KIND = "ghost"
CALL_ACTOR = "/dapr.proto.internals.v1.ServiceInvocation/CallActor"


class Peer:
    """The owner of every actor of the type; `answer(request bytes, context)` is what CallActor does."""

    def __init__(self):
        import concurrent.futures
        self.port = free_port()
        self.calls = 0
        self.ended = 0
        self.answer = None

        def handle(request, context):
            self.calls += 1
            context.add_callback(self.end)
            return self.answer(request, context)

        method = grpc.unary_unary_rpc_method_handler(handle)  # bytes in, bytes out
        self.server = grpc.server(concurrent.futures.ThreadPoolExecutor(64), options=[("grpc.max_send_message_length", -1)])
        self.server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(
            "dapr.proto.internals.v1.ServiceInvocation", {"CallActor": method}),))
        assert self.server.add_insecure_port(f"127.0.0.1:{self.port}") == self.port
        self.server.start()

    def end(self):
        self.ended += 1


@pytest.fixture(scope="module")
def meeting():
    """A sidecar without app, and the broken peer that owns the actors it calls."""
    with Strict() as cluster:
        placement = cluster.placement()
        peer = Peer()
        with wire.Member(placement.address, f"127.0.0.1:{peer.port}", [KIND], app_id="peer"):
            sidecar = cluster.sidecar("caller", placement=placement)
            host = Host(sidecar, None)
            peer.answer = lambda request, context: answer_of(b"hello")
            wait_until(lambda: host.call(f"{KIND}/a", "m", timeout_s=10).text == "hello", 20)
            yield host, peer
            peer.answer = lambda request, context: answer_of(b"hello")
            assert host.call(f"{KIND}/a", "m").text == "hello"
            host.close()
            stopped(sidecar)
        peer.server.stop(0)


def answer_of(data: bytes, code: int = 200, headers=()) -> bytes:
    response = wire.internals.InternalInvokeResponse(status=wire.internals.Status(code=code))
    response.message.data.value = data
    for key, value in headers:
        response.headers[key].values.append(value)
    return response.SerializeToString()


def request() -> bytes:
    return f"POST /v1.0/actors/{KIND}/a/method/m HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n".encode()


def abort(code, details):
    return lambda request, context: context.abort(code, details)


BAD = {
    "no protobuf": lambda request, context: b"\xff" * 50,
    "cut": lambda request, context: answer_of(b"x" * 100)[:-3],
    "too large": lambda request, context: answer_of(b"x" * (5 << 20)),
    "unknown status": abort(grpc.StatusCode.UNKNOWN, ""),
    "long text": abort(grpc.StatusCode.INTERNAL, "x" * 3000),
    "odd text": abort(grpc.StatusCode.INTERNAL, "a\"\\\n\t\u00fc\U0001f600"),
    "not found": abort(grpc.StatusCode.NOT_FOUND, "no"),
}


@pytest.mark.quick
@pytest.mark.parametrize("answer", BAD.values(), ids=BAD)
def test_a_peers_bad_answer_is_an_error_for_its_caller(meeting, answer):
    host, peer = meeting
    peer.answer = answer
    got = host.call(f"{KIND}/a", "m", timeout_s=20)
    assert got.status_code >= 400 and got.json()["errorCode"] == "ERR_ACTOR_INVOKE_METHOD" and got.json()["message"], got.text
    with pytest.raises(grpc.RpcError) as caught:
        host.invoke(f"{KIND}/a", "m", timeout_s=20)
    assert caught.value.code() is not grpc.StatusCode.OK


ODD = {
    "empty message": lambda request, context: b"",
    "status 0": lambda request, context: answer_of(b"x", 0),
    "status 99999": lambda request, context: answer_of(b"x", 99999),
    "status -1": lambda request, context: answer_of(b"x", -1),
    "bad headers": lambda request, context: answer_of(b"x", 200, [("a b", "c"), ("", "x"), ("X-Nl", "a\r\nInjected: 1"), ("Nul", "a\0b"),
                                                                  ("content-length", "7"), ("transfer-encoding", "chunked")]),
    "many headers": lambda request, context: answer_of(b"x", 200, [(f"H{n}", "v") for n in range(100_000)]),
    "many values": lambda request, context: answer_of(b"x", 200, [("Same", "v")] * 300_000),
    "a long header": lambda request, context: answer_of(b"x", 200, [("Long", "v" * 200_000)]),
}


@pytest.mark.quick
@pytest.mark.parametrize("answer", ODD.values(), ids=ODD)
def test_a_peers_odd_answer_is_passed_on_as_good_http_or_an_error(meeting, answer):
    host, peer = meeting
    peer.answer = answer
    got = raw(host.sidecar.http, request(), 10)
    assert re.match(rb"HTTP/1.1 [2-5]\d\d ", got) and b"\ninjected" not in got.lower(), got[:500]
    with contextlib.suppress(grpc.RpcError):
        host.invoke(f"{KIND}/a", "m", timeout_s=10)


@pytest.mark.quick
def test_a_caller_that_leaves_ends_the_call_at_the_peer(meeting):
    host, peer = meeting
    hold = threading.Event()
    peer.answer = lambda request, context: hold.wait(30) and answer_of(b"late")
    before_calls, before_ended = peer.calls, peer.ended
    with socket.create_connection(("127.0.0.1", host.sidecar.http)) as connection:
        connection.sendall(request())
        wait_until(lambda: peer.calls == before_calls + 1, 10)
    wait_until(lambda: peer.ended > before_ended, 10, what="the peer's call is cancelled")
    hold.set()


@pytest.mark.quick
def test_a_deadline_of_the_caller_reaches_the_peer(meeting):
    host, peer = meeting
    left = []

    def answer(request, context):
        left.append(context.time_remaining())
        return answer_of(b"x")

    peer.answer = answer
    host.invoke(f"{KIND}/a", "m", timeout_s=7)
    assert left[0] is not None and left[0] < 8


def test_a_peer_that_stops_listening_is_retried_and_told(meeting):
    """Unreachable peers are tried again for some five seconds; then the caller hears which address it was."""
    host, _ = meeting
    placement = host.sidecar.args[host.sidecar.args.index("--placement-host-address") + 1]
    port = free_port()
    with wire.Member(placement, f"127.0.0.1:{port}", ["nobody"], app_id="nobody"):
        wait_until(lambda: "did not find address" not in (got := host.call("nobody/a", "m", timeout_s=20)).text and
                   got.status_code == 500 and str(port) in got.text, 30)


@pytest.mark.quick
@pytest.mark.parametrize("request_bytes", [
    b"", wire.internals.InternalInvokeRequest(ver=1).SerializeToString(),
    wire.internals.InternalInvokeRequest(ver=1, actor=wire.internals.Actor(actor_type=KIND, actor_id="")).SerializeToString(),
    wire.internals.InternalInvokeRequest(ver=77, actor=wire.internals.Actor(actor_type="x" * 100_000, actor_id="\n")).SerializeToString()],
    ids=["empty", "no actor", "no id", "odd"])
def test_a_peers_odd_request_is_an_error_for_it(meeting, request_bytes):
    host, peer = meeting
    peer.answer = lambda request, context: answer_of(b"hello")
    with wire.dial(f"127.0.0.1:{host.sidecar.internal}") as channel:
        code = wire.code_of(lambda: channel.unary_unary(CALL_ACTOR)(request_bytes, timeout=20))
    assert code is not grpc.StatusCode.OK and code is not grpc.StatusCode.DEADLINE_EXCEEDED, code
