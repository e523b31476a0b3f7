"""10,000 live actors on one sidecar."""
import http.client
import threading

import httpx
import pytest

from kit import Pair, fds, is_sanitized, rss_kib, stopped
from lib.procs import wait_until

KIND, ACTORS, CLIENTS = "kind", 10_000, 8

# Memory an idle actor may cost the sidecar as the system sees it, allocator and tables included.
ACTOR_KIB_MAX = 1.0


def spray(pair: Pair, count: int, make, fresh: bool = False) -> None:
    """Send `make(n)` = (verb, path) for n below count, over a few connections, or each over one of its own."""
    def client(first: int):
        connection = http.client.HTTPConnection("127.0.0.1", pair.sidecar.http, timeout=30)
        for number in range(first, count, CLIENTS):
            connection.request(*make(number), b"")
            connection.getresponse().read()
            if fresh:
                connection.close()
        connection.close()

    threads = [threading.Thread(target=client, args=(first,)) for first in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def call_all(pair: Pair, method: str = "add") -> list[bytes]:
    """Call every actor once, over a few connections; the answers, in the order of the actors."""
    answers: list[bytes] = [b""] * ACTORS

    def client(first: int):
        connection = http.client.HTTPConnection("127.0.0.1", pair.sidecar.http, timeout=30)
        for number in range(first, ACTORS, CLIENTS):
            connection.request("POST", f"/v1.0/actors/{KIND}/a{number}/method/{method}", b"")
            answer = connection.getresponse()
            answers[number] = answer.read() if answer.status == 200 else b"%d" % -answer.status
        connection.close()

    threads = [threading.Thread(target=client, args=(first,)) for first in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


@pytest.fixture
def pair(cluster):
    pair = Pair(cluster, cluster.placement(), KIND, "--log-level=info", "--dapr-graceful-shutdown-seconds=30").hosts()
    yield pair
    pair.close()


@pytest.mark.timeout(120)
def test_10000_actors_live_are_counted_called_again_and_deactivated_at_the_stop(pair):
    assert pair.call(f"{KIND}/a0", "echo").status_code == 200
    before = rss_kib(pair.sidecar)
    assert set(call_all(pair)) == {b"1"}
    assert pair.active(KIND) == ACTORS
    if not is_sanitized("daprd"):
        assert rss_kib(pair.sidecar) - before < ACTORS * ACTOR_KIB_MAX
    assert fds(pair.sidecar) < 100
    assert pair.call(f"{KIND}/a{ACTORS - 1}", "add").text == "2"
    stopped(pair.sidecar)
    seen = pair.app.seen()
    assert (seen["active"], seen["deactivations"]) == (0, ACTORS)


@pytest.mark.timeout(120)
def test_10000_actors_that_are_idle_go_by_themselves(cluster):
    pair = Pair(cluster, cluster.placement(), KIND, "--log-level=info", config={"actorIdleTimeout": "2s"}).hosts()
    assert set(call_all(pair)) == {b"1"}
    wait_until(lambda: pair.active(KIND) == 0, 60, every_s=0.2, what="no actor is active")
    pair.app.wait("active", 0)
    assert pair.app.seen()["deactivations"] >= ACTORS
    assert pair.call(f"{KIND}/a0", "add").status_code == 200
    pair.close()


@pytest.mark.timeout(120)
def test_10000_actors_move_when_their_sidecar_leaves_the_table_for_a_moment(pair, cluster):
    """Placement goes: every actor is deactivated; placement comes back: every actor can be called."""
    assert set(call_all(pair)) == {b"1"}
    placement = cluster.procs[0]
    stopped(placement)
    pair.app.wait("active", 0, 60)
    placement.start()
    pair.hosts()
    assert pair.active(KIND) == 0
    assert set(call_all(pair)) == {b"2"}


def test_calls_connections_and_names_leave_nothing_behind(pair):
    """What was used once is used again: after a first round of each, memory stays where it is."""
    if is_sanitized("daprd"):
        pytest.skip("the sanitizer keeps freed memory for a while")
    kinds = [
        lambda again: spray(pair, 3000, lambda n: ("POST", f"/v1.0/actors/{KIND}/a{n % 100}/method/add")),
        lambda again: spray(pair, 1000, lambda n: ("POST", f"/v1.0/actors/{KIND}/a{n % 100}/method/add"), fresh=True),
        lambda again: spray(pair, 2500, lambda n: ("GET", f"/v1.0/nothing/{again}-{n}")),
        lambda again: spray(pair, 2000, lambda n: ("POST", f"/v1.0/actors/{KIND}/a/method/{again}-{n}")),
        lambda again: spray(pair, 1000, lambda n: ("POST", f"/v1.0/actors/{KIND}{again}-{n}/a/timers/t")),
        lambda again: spray(pair, 1000, lambda n: ("GET", f"/v1.0/state/no-store-{again}-{n}/k")),
    ]
    for kind in kinds:
        kind(0)
    before = rss_kib(pair.sidecar)
    for kind in kinds:
        kind(1)
    assert rss_kib(pair.sidecar) - before < 1024
    text = httpx.get(f"http://127.0.0.1:{pair.sidecar.metrics}/metrics").text
    assert len(text) < 16 << 20  # labels that callers choose are bounded
    assert fds(pair.sidecar) < 100
