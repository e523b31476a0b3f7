"""The placement process: 200 hosts that come and go, kill -9 in the middle of a round, peers that do not read."""
import contextlib
import signal
import socket
import threading
import time

import grpc
import httpx
import pytest

from kit import STOP_S, again, fds, kill9, stopped
from lib import control_wire as wire
from lib.control_procs import leading_placement, metric
from lib.procs import wait_until

HOSTS = 200
KIND = "kind"


def name_of(number: int) -> str:
    return f"10.1.{number // 250}.{number % 250}:50002"


@contextlib.contextmanager
def hosts():
    """A list to put members in; they leave at the end."""
    members: list[wire.Member] = []
    try:
        yield members
    finally:
        for member in members:
            member.close()


def join(members: list, service, numbers, **options) -> None:
    members.extend(wire.Member(service.address, name_of(n), [KIND], **options) for n in numbers)


def leave(members: list, count: int) -> None:
    for member in members[:count]:
        member.close()
    del members[:count]


def all_see(members: list, timeout_s: float = 30.0) -> None:
    """Wait until every member has the table with exactly these members, and the round of that table is over for all."""
    wanted = {KIND: {member.name for member in members}}

    def done():
        last = {member.seen[-1].version if member.seen else None for member in members}
        behind = sum(member.tables() != wanted or member.seen[-1].operation != wire.UNLOCK for member in members)
        return (behind == 0 and len(last) == 1) or print(f"{behind} of {len(members)} behind, versions {last}")

    wait_until(done, timeout_s, every_s=0.1, what=f"{len(members)} hosts see each other")


def test_200_hosts_join_and_leave_and_nothing_of_them_stays(cluster):
    service = leading_placement(cluster, "--metadata-enabled=true")
    with hosts() as members:
        join(members, service, range(5))
        all_see(members)
        leave(members, 5)
        wait_until(lambda: metric(service, "dapr_placement_runtimes_total", host_namespace="default") == 0, 10)
        before = fds(service)

        join(members, service, range(HOSTS))
        all_see(members)
        assert metric(service, "dapr_placement_runtimes_total", host_namespace="default") == HOSTS
        state = httpx.get(f"http://127.0.0.1:{service.health}/placement/state").json()
        assert {host["name"] for host in state["tables"]["default"]["hosts"]} == {name_of(n) for n in range(HOSTS)}

        leave(members, HOSTS // 2)
        all_see(members)
        join(members, service, range(HOSTS // 2))
        all_see(members)

        leave(members, HOSTS)
        wait_until(lambda: metric(service, "dapr_placement_runtimes_total", host_namespace="default") == 0, 20)
        wait_until(lambda: fds(service) <= before, 20, what=f"descriptors are back at {before}")
        join(members, service, range(3))
        all_see(members)


def test_hosts_that_break_off_in_mid_round_do_not_disturb_the_others(cluster):
    service = leading_placement(cluster)
    with hosts() as stay, hosts() as go:
        join(stay, service, range(20))
        all_see(stay)
        join(go, service, range(100, 140), silent_in=[wire.UPDATE])
        wait_until(lambda: any(order.operation == wire.UPDATE for member in go for order in member.seen), 10)
        leave(go, len(go))
        all_see(stay)
        assert not any(member.ended.is_set() for member in stay)


@pytest.mark.quick
@pytest.mark.parametrize("phase", [wire.LOCK, wire.UPDATE, wire.UNLOCK])
def test_kill_in_the_middle_of_a_round_and_all_hosts_come_back(cluster, phase):
    service = leading_placement(cluster)
    with hosts() as members, hosts() as back:
        join(members, service, range(10))
        all_see(members)
        join(members, service, range(10, 12), silent_in=[phase])
        wait_until(lambda: any(order.operation == phase for member in members[10:] for order in member.seen), 10)
        kill9(service)
        for member in members:
            assert member.wait_end(10) == grpc.StatusCode.UNAVAILABLE
        again(service)
        join(back, service, range(12))
        all_see(back)


@pytest.mark.quick
def test_a_stop_in_the_middle_of_a_round_is_graceful(cluster):
    service = leading_placement(cluster)
    with hosts() as members:
        join(members, service, range(10), silent_in=[wire.LOCK])
        wait_until(lambda: any(member.seen for member in members), 10)
        stopped(service)
        assert {member.wait_end(5) for member in members} <= {grpc.StatusCode.CANCELLED, grpc.StatusCode.UNAVAILABLE}


class NoReader:
    """A host that reports and then reads nothing: its window fills up and stays full."""

    def __init__(self, service, number: int, types):
        self.channel = wire.dial(service.address, options=[("grpc.http2.lookahead_bytes", 65535)])
        self.hold = threading.Event()
        host = wire.placement.Host(name=name_of(number), id="app", namespace="default", entities=types, api_level=20,
                                   operation=wire.placement.REPORT)

        def requests():
            yield host
            self.hold.wait()

        self.call = wire.client(self.channel, wire.PLACEMENT).ReportDaprStatus(requests())

    def close(self):
        self.hold.set()
        self.call.cancel()
        self.channel.close()


def test_a_host_that_does_not_read_is_closed_after_the_limit_and_the_others_go_on(cluster):
    service = leading_placement(cluster, "--disseminate-timeout=2s")
    many = [f"type-{'x' * 100}-{n}" for n in range(100)]  # a table of a MiB and more: many windows
    with hosts() as members, contextlib.ExitStack() as stack:
        big = wire.Member(service.address, name_of(0), many)
        stack.callback(big.close)
        big.round()
        stack.callback(NoReader(service, 1, many).close)
        wait_until(lambda: big.seen[-1].version > 1, 10)
        join(members, service, [2])
        wait_until(lambda: members[0].seen and members[0].seen[-1].operation == wire.UNLOCK, 10)
        assert set(members[0].tables()[KIND]) == {name_of(2)}
        assert set(members[0].tables()[many[0]]) == {name_of(0)}
        assert not big.ended.is_set()


def test_a_stop_does_not_wait_for_a_host_that_does_not_read(cluster):
    service = leading_placement(cluster, "--disseminate-timeout=30s")
    many = [f"type-{'x' * 100}-{n}" for n in range(100)]
    with contextlib.ExitStack() as stack:
        stack.callback(NoReader(service, 1, many).close)
        wait_until(lambda: metric(service, "dapr_placement_runtimes_total", host_namespace="default") == 1, 10)
        stopped(service)


@pytest.mark.quick
def test_a_frozen_host_is_found_by_the_keepalive_and_leaves_the_table(cluster):
    """A connection whose other end has gone without a word: nothing answers the ping."""
    service = leading_placement(cluster, "--keepalive-time=1s", "--keepalive-timeout=1s")
    with hosts() as members, socket.create_server(("127.0.0.1", 0)) as relay:
        cut, pumps = threading.Event(), []

        def pump(source, sink):
            with contextlib.suppress(OSError):
                while data := source.recv(65536):
                    if cut.is_set():
                        continue  # swallowed: the peers hear nothing of each other, and no connection is closed
                    sink.sendall(data)

        def accept():
            with contextlib.suppress(OSError):
                near = relay.accept()[0]
                far = socket.create_connection(("127.0.0.1", service.port))
                pumps.extend([near, far])
                threading.Thread(target=pump, args=(near, far), daemon=True).start()
                threading.Thread(target=pump, args=(far, near), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        join(members, service, [0])
        all_see(members)
        frozen = wire.Member(f"127.0.0.1:{relay.getsockname()[1]}", name_of(1), [KIND])
        wait_until(lambda: members[0].tables() == {KIND: {name_of(0), name_of(1)}}, 10)
        cut.set()
        wait_until(lambda: members[0].tables() == {KIND: {name_of(0)}}, 15)
        for end in pumps:
            end.close()
        frozen.close()


@pytest.mark.quick
def test_a_second_signal_ends_the_process_at_once(cluster):
    service = leading_placement(cluster, "--disseminate-timeout=30s")
    service.handle.send_signal(signal.SIGSTOP)  # so that both signals are there before it handles the first
    service.handle.send_signal(signal.SIGTERM)
    service.handle.send_signal(signal.SIGINT)
    service.handle.send_signal(signal.SIGCONT)
    begin = time.monotonic()
    assert service.handle.wait(STOP_S) in (0, 1)  # 0 where the stop was over before the second was seen
    service.ends = service.handle.returncode
    assert time.monotonic() - begin < STOP_S
