"""Clients that leave in mid-turn, read slowly or send half a request: the turn is freed, the others do not notice."""
import contextlib
import http.client
import signal
import socket
import struct
import threading

import h2.config
import h2.connection
import httpx
import pytest

from kit import Pair, ends_within_grace, fds, is_sanitized, parts, rss_kib
from lib.actors import actors_pb2
from lib.procs import MEMORY_STORE, wait_until

KIND = "kind"


@pytest.fixture
def pair(cluster):
    pair = Pair(cluster, cluster.placement(), KIND).hosts()
    yield pair
    pair.close()


@pytest.fixture
def two(cluster):
    placement = cluster.placement()
    pairs = [Pair(cluster, placement, KIND) for _ in range(2)]
    for one in pairs:
        one.hosts()
    yield pairs
    for one in pairs:
        one.close()


def request(actor: str, method: str, body: bytes = b"", length: int | None = None) -> bytes:
    return (f"POST /v1.0/actors/{KIND}/{actor}/method/{method} HTTP/1.1\r\nHost: x\r\n"
            f"Content-Length: {len(body) if length is None else length}\r\n\r\n").encode() + body


def start(pair: Pair, actor: str, method: str, **more) -> socket.socket:
    """Send a request and return the connection without reading anything from it."""
    connection = socket.create_connection(("127.0.0.1", pair.sidecar.http))
    connection.sendall(request(actor, method, **more))
    return connection


def read_all(connection: socket.socket) -> tuple[int, int]:
    """Status and length of an answer's body, read to its end."""
    answer = http.client.HTTPResponse(connection)
    answer.begin()
    return answer.status, len(answer.read())


def reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def abandon_http(pair, actor):
    return start(pair, actor, "hold").close


def abandon_reset(pair, actor):
    connection = start(pair, actor, "hold")
    return lambda: reset(connection)


def abandon_grpc(pair, actor):
    call = pair.grpc.InvokeActor.future(actors_pb2.InvokeActorRequest(actor_type=KIND, actor_id=actor, method="hold"))
    return call.cancel


def abandon_h2c(pair, actor):
    """HTTP/2 in clear text: the connection goes, with the stream open."""
    client = httpx.Client(http1=False, http2=True, timeout=30)
    thread = threading.Thread(target=lambda: quietly(client.post, f"{pair.sidecar.url}/v1.0/actors/{KIND}/{actor}/method/hold"))
    thread.start()

    def leave():
        for connection in client._transport._pool.connections:
            connection._connection._network_stream.get_extra_info("socket").shutdown(socket.SHUT_RDWR)
        thread.join(10)
        client.close()

    return leave


def quietly(function, *args):
    with contextlib.suppress(Exception):
        function(*args)


@pytest.mark.quick
@pytest.mark.parametrize("abandon", [abandon_http, abandon_reset, abandon_grpc, abandon_h2c], ids=lambda f: f.__name__[8:])
def test_a_client_that_leaves_in_mid_turn_frees_the_turn_at_once(pair, abandon):
    leave = abandon(pair, "a")
    pair.app.wait("holding", 1)
    waiting = pair.start_call(f"{KIND}/a", "add")
    leave()
    assert waiting.result(10).text == "1"
    pair.app.wait("aborted", 1)
    assert pair.app.seen()["overlaps"] == 0


@pytest.mark.parametrize("abandon", [abandon_http, abandon_grpc], ids=lambda f: f.__name__[8:])
def test_a_client_that_leaves_frees_a_turn_at_another_sidecar(two, abandon):
    here, there = two
    for number in range(40):
        leave = abandon(here, f"a{number}")
        wait_until(lambda: here.app.seen()["holding"] + there.app.seen()["holding"] == 1, 10)
        if there.app.seen()["holding"]:
            break
        leave()
        here.app.wait("holding", 0)
    waiting = here.start_call(f"{KIND}/a{number}", "add")
    leave()
    assert waiting.result(10).text == "1"
    there.app.wait("aborted", 1)


@pytest.mark.quick
def test_a_client_that_leaves_while_it_waits_never_reaches_the_app(pair):
    call = pair.start_call(f"{KIND}/a", "hold")
    pair.app.wait("holding", 1)
    gone = [start(pair, "a", "add") for _ in range(20)]
    later = pair.start_call(f"{KIND}/a", "echo", b"later")
    for connection in gone:
        connection.close()
    # a call to another actor over a new connection: it is served after the closes above were seen, or at their time
    wait_until(lambda: pair.call(f"{KIND}/b", "echo", b"x").text == "x" and fds(pair.sidecar) < 60, 10)
    pair.app.control("release")
    assert call.result(10).text == "released"
    assert later.result(10).text == "later"
    assert pair.call(f"{KIND}/a", "add").text == "1"


def test_200_clients_leave_at_once_and_nothing_of_them_stays(pair):
    assert pair.call(f"{KIND}/x", "add").status_code == 200
    before = fds(pair.sidecar)
    gone = [start(pair, f"a{number}", "hold") for number in range(200)]
    pair.app.wait("holding", 200)
    for number, connection in enumerate(gone):
        reset(connection) if number % 2 else connection.close()
    pair.app.wait("holding", 0)
    wait_until(lambda: fds(pair.sidecar) <= before + 2, 10, what=f"descriptors are back near {before}")
    calls = [pair.start_call(f"{KIND}/a{number}", "add") for number in range(200)]
    assert {call.result(20).text for call in calls} == {"1"}


@pytest.mark.quick
def test_half_a_request_reaches_nobody(pair):
    for data in (b"POST /v1.0/act", request("a", "add")[:-2], request("a", "add", b"half", length=100)):
        with socket.create_connection(("127.0.0.1", pair.sidecar.http)) as connection:
            connection.sendall(data)
    assert pair.call(f"{KIND}/b", "echo", b"x").text == "x"
    assert pair.app.seen()["calls"] == 1


def test_slow_readers_hold_up_neither_others_nor_their_actors_nor_the_end(pair):
    size, readers = 3 << 20, 20
    before = rss_kib(pair.sidecar)
    with contextlib.ExitStack() as stack:
        slow = []
        for number in range(readers):
            slow.append(stack.enter_context(start(pair, f"a{number}", f"big-{size}")))
        pair.app.wait("calls", readers)
        for number in range(readers):
            assert pair.call(f"{KIND}/a{number}", "add", timeout_s=10).text == "1"
        if not is_sanitized("daprd"):
            assert rss_kib(pair.sidecar) - before < 2 * readers * size // 1024
        assert read_all(slow[0]) == (200, size)  # one of them goes on after all, and gets every byte
        pair.sidecar.signal(signal.SIGTERM)
        wait_until(lambda: "beginning shutdown" in pair.sidecar.log.read_text(), 10)
        assert read_all(slow[1]) == (200, size)  # an answer that was there before the stop is given out in spite of it
        ends_within_grace(pair.sidecar)


def silent_h2(port: int, path: str, headers: list[tuple[str, str]], body: bytes, ends: bool = True) -> socket.socket:
    """Send one request (or its beginning) over HTTP/2 and read nothing: the other side has the first window, 64 KiB, and never another."""
    connection = socket.create_connection(("127.0.0.1", port))
    h2_state = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
    h2_state.initiate_connection()
    h2_state.send_headers(1, [(":method", "POST"), (":scheme", "http"), (":authority", "x"), (":path", path), *headers])
    h2_state.send_data(1, body, end_stream=ends)
    connection.sendall(h2_state.data_to_send())
    return connection


def test_slow_readers_over_http2_hold_up_neither_others_nor_their_actors_nor_the_end(pair):
    size, readers = 3 << 20, 5
    with contextlib.ExitStack() as stack:
        for number in range(readers):
            message = actors_pb2.InvokeActorRequest(actor_type=KIND, actor_id=f"g{number}", method=f"big-{size}").SerializeToString()
            grpc_headers = [("content-type", "application/grpc"), ("te", "trailers")]
            stack.enter_context(silent_h2(pair.sidecar.grpc, "/dapr.proto.runtime.v1.Dapr/InvokeActor", grpc_headers,
                                          struct.pack(">BI", 0, len(message)) + message))
            stack.enter_context(silent_h2(pair.sidecar.http, f"/v1.0/actors/{KIND}/h{number}/method/big-{size}", [], b""))
        pair.app.wait("calls", 2 * readers)
        for number in range(readers):
            assert pair.call(f"{KIND}/g{number}", "add", timeout_s=10).text == "1"
            assert pair.invoke(f"{KIND}/h{number}", "add", timeout_s=10) == b"1"
        pair.sidecar.signal(signal.SIGTERM)
        ends_within_grace(pair.sidecar)


def test_slow_senders_hold_up_nobody_and_are_answered_in_the_end(pair):
    slow = [start(pair, "a", "echo", body=b"x", length=64) for _ in range(50)]
    for _ in range(3):
        for connection in slow:
            connection.sendall(b"x")
        assert pair.call(f"{KIND}/a", "echo", b"quick", timeout_s=10).text == "quick"
    for connection in slow:
        connection.sendall(b"x" * 60)
    for connection in slow:
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        assert (answer.status, answer.read()) == (200, b"x" * 64)
        connection.close()


def test_requests_sent_ahead_are_answered_in_order(pair):
    with socket.create_connection(("127.0.0.1", pair.sidecar.http)) as connection:
        connection.sendall(b"".join(request(f"a{number}", "echo", b"%d" % number) for number in range(100)))
        with connection.makefile("rb") as stream:
            for number in range(100):
                assert b" 200 " in stream.readline()
                length = 0
                while (line := stream.readline().strip().lower()):
                    if line.startswith(b"content-length:"):
                        length = int(line.split(b":")[1])
                assert stream.read(length) == b"%d" % number


def test_an_app_that_stops_in_mid_answer_is_an_error_for_its_caller(cluster):
    """The app promises more than it sends and then breaks off with a reset."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        def serve():
            with contextlib.suppress(OSError):
                while True:
                    connection = server.accept()[0]
                    threading.Thread(target=lambda: quietly(answer, connection), daemon=True).start()

        def answer(connection):
            while head := connection.recv(65536):
                body = b'{"entities": ["cut"]}'
                if b"/method/" in head:
                    connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab")
                    reset(connection)
                    return
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))

        threading.Thread(target=serve, daemon=True).start()
        placement = cluster.placement()
        sidecar = cluster.sidecar("cut-app", app_port=server.getsockname()[1], placement=placement,
                                  resources={"store.yaml": MEMORY_STORE})
        url = f"{sidecar.url}/v1.0/actors/cut/a/method/m"
        answered = httpx.post(url, timeout=20)
        assert parts(answered) == (500, "ERR_ACTOR_INVOKE_METHOD")
        assert "did not find address" not in answered.text
