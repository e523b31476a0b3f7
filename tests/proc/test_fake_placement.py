"""A sidecar whose placement service is broken: it neither crashes nor hangs nor storms, and it goes on when a good one is there."""
import contextlib
import socket
import threading
import time

import grpc
import httpx
import pytest

from kit import Pair, stopped
from lib import control_wire as wire
from lib.procs import free_port, wait_until

KIND = "kind"
ATTEMPTS, PAUSE_LOW_S = 5, 0.25  # the pause between attempts is 0.5 s, give or take a quarter

Order = wire.placement.PlacementOrder


class Broken:
    """A placement service that is none: `behave` gets the requests and the context of a stream."""

    def __init__(self, behave):
        self.times: list[float] = []
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"

        def handle(requests, context):
            self.times.append(time.monotonic())
            yield from behave(requests, context)

        self.server = wire.serve({wire.PLACEMENT: {"ReportDaprStatus": handle}}, self.port)

    def stop(self):
        self.server.stop(0).wait(10)


def orders(*all_orders, ends: bool = False):
    def behave(requests, context):
        next(requests)
        yield from all_orders
        if not ends:
            with contextlib.suppress(grpc.RpcError):
                for _ in requests:
                    pass
    return behave


def refuse(requests, context):
    context.abort(grpc.StatusCode.FAILED_PRECONDITION, "node x is not a leader")
    yield


def fail(requests, context):
    context.abort(grpc.StatusCode.INTERNAL, "x" * 4000)
    yield


STORMS = {
    "ends at once": lambda requests, context: iter(()),
    "refuses": refuse,
    "fails": fail,
    "unknown order": orders(Order(operation="dance", version=1)),
    "empty order": orders(Order()),
    "version goes back": orders(Order(operation="lock", version=5), Order(operation="update", version=3)),
    "locks and ends": orders(Order(operation="lock", version=1), ends=True),
}


@pytest.mark.quick
@pytest.mark.parametrize("behave", STORMS.values(), ids=STORMS)
def test_a_broken_placement_is_asked_with_pauses_and_a_good_one_is_taken(cluster, behave):
    broken = Broken(behave)
    pair = Pair(cluster, broken, KIND, wait=False)
    wait_until(lambda: len(broken.times) >= ATTEMPTS, 20, what=f"{ATTEMPTS} attempts")
    # two may come without a pause: the first, and the one after the first stream that brought orders
    assert broken.times[ATTEMPTS - 1] - broken.times[0] > (ATTEMPTS - 2) * PAUSE_LOW_S
    assert httpx.get(f"{pair.sidecar.url}/v1.0/healthz/outbound").status_code == 204
    assert httpx.get(f"{pair.sidecar.url}/v1.0/healthz").status_code == 500
    call = pair.start_call(f"{KIND}/a", "add")
    broken.stop()
    cluster.placement("--port", str(broken.port))
    pair.hosts()
    assert call.result(10).text == "1"
    pair.close()


@pytest.mark.quick
@pytest.mark.parametrize("order", [Order(operation="update", version=1), Order(operation="unlock", version=1),
                                   Order(operation="lock", version=2**64 - 1)], ids=["update", "unlock", "lock"])
def test_an_order_without_what_goes_before_it_disturbs_nothing(cluster, order):
    broken = Broken(orders(order))
    pair = Pair(cluster, broken, KIND, wait=False)
    wait_until(lambda: broken.times, 10)
    wait_until(lambda: httpx.get(f"{pair.sidecar.url}/v1.0/healthz/outbound").status_code == 204, 10)
    stopped(pair.sidecar)
    broken.stop()
    pair.close()


def test_hosts_of_any_name_in_the_table_are_errors_for_their_callers_only(cluster):
    """What the table says is not trusted: addresses that are none, or that nobody listens on."""
    names = ["", "x", ":", "1.2.3.4", "127.0.0.1:0", "127.0.0.1:99999", "[::1", "no.such.host.invalid:50002", "\n:1", "a" * 5000 + ":1"]

    def behave(requests, context):
        next(requests)
        tables = wire.placement.PlacementTables(version="1", replication_factor=100)
        for number, name in enumerate(names):
            tables.entries[f"type{number}"].load_map[name].CopyFrom(wire.placement.Host(name=name, id="ghost", port=1))
        for operation in ("lock", "update", "unlock"):
            yield Order(operation=operation, version=1, tables=tables if operation == "update" else None)
            next(requests)
        for _ in requests:
            pass

    broken = Broken(behave)
    pair = Pair(cluster, broken, KIND).hosts()
    calls = [pair.start_call(f"type{number}/a", "m") for number in range(len(names))]
    for call in calls:
        answer = call.result(25)
        assert answer.status_code == 500 and answer.json()["errorCode"] == "ERR_ACTOR_INVOKE_METHOD", answer.text
    assert httpx.get(f"{pair.sidecar.url}/v1.0/healthz").status_code == 204
    stopped(pair.sidecar)
    broken.stop()
    pair.close()


@pytest.mark.quick
@pytest.mark.parametrize("data", [b"", b"\xff" * 100, b"HTTP/1.1 400 Bad Request\r\n\r\n"], ids=["nothing", "noise", "http1"])
def test_a_port_that_is_no_grpc_server_is_asked_with_pauses(cluster, data):
    times = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        def serve():
            with contextlib.suppress(OSError):
                while True:
                    connection = server.accept()[0]
                    times.append(time.monotonic())
                    with contextlib.suppress(OSError):
                        connection.sendall(data)
                    connection.close()

        threading.Thread(target=serve, daemon=True).start()
        sidecar = cluster.sidecar("lost", f"--placement-host-address=127.0.0.1:{server.getsockname()[1]}", wait=False)
        wait_until(lambda: len(times) >= 4, 20)
        assert times[3] - times[0] > 2 * PAUSE_LOW_S
        stopped(sidecar)
