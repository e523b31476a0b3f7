"""Signals at bad moments: stop in mid-call, before the app is there, in mid-round, without placement; SIGHUP; frozen peers."""
import contextlib
import signal
import time

import httpx
import pytest

from kit import Pair, again, ends_within_grace, fds, stopped
from lib.control_procs import leading_placement
from lib.procs import free_port, wait_until

KIND = "kind"


@pytest.fixture
def placement(cluster):
    return leading_placement(cluster, "--keepalive-time=1s", "--keepalive-timeout=1s")


@pytest.fixture
def pair(cluster, placement):
    pair = Pair(cluster, placement, KIND).hosts()
    yield pair
    pair.close()


@pytest.mark.quick
def test_a_stop_in_mid_call_ends_the_calls_deactivates_the_actors_and_is_graceful(pair):
    calls = [pair.start_call(f"{KIND}/a{number % 5}", "hold") for number in range(10)]  # one runs and one waits for each actor
    pair.app.wait("holding", 5)
    begin = time.monotonic()
    stopped(pair.sidecar)
    assert time.monotonic() - begin < 4
    for call in calls:
        with contextlib.suppress(httpx.TransportError):
            assert call.result(5).status_code >= 500
    seen = pair.app.seen()
    assert (seen["active"], seen["deactivations"], seen["overlaps"]) == (0, 5, 0)


@pytest.mark.quick
def test_a_stop_waits_for_no_more_of_a_deactivation_than_the_head_of_its_answer(pair):
    assert pair.call(f"{KIND}/a", "endless").status_code == 200
    begin = time.monotonic()
    stopped(pair.sidecar)
    assert time.monotonic() - begin < 4
    assert pair.app.seen()["deactivations"] == 1


@pytest.mark.quick
def test_a_stop_before_the_app_is_there_is_graceful(cluster, placement):
    sidecar = cluster.sidecar("early", app_port=free_port(), placement=placement, wait=False)
    wait_until(lambda: "waiting on port" in sidecar.log.read_text(), 10)
    stopped(sidecar)


@pytest.mark.quick
def test_a_stop_as_early_as_can_be_is_graceful(cluster, placement):
    """The signal comes while the process starts: it either ends by the signal's default or in order."""
    sidecar = cluster.sidecar("early", placement=placement, wait=False)
    wait_until(lambda: "Starting Dapr Runtime" in sidecar.log.read_text(), 10, every_s=0.001)
    sidecar.signal(signal.SIGTERM)
    sidecar.handle.wait(10)
    assert sidecar.handle.returncode in (0, -signal.SIGTERM)
    sidecar.ends = sidecar.handle.returncode


@pytest.mark.quick
def test_a_stop_while_placement_was_never_there_is_graceful_and_waiting_calls_end(cluster, placement):
    stopped(placement)
    pair = Pair(cluster, placement, KIND, wait=False)
    wait_until(lambda: httpx.get(f"{pair.sidecar.url}/v1.0/healthz/outbound").status_code == 204, 10)
    call = pair.start_call(f"{KIND}/a", "add")
    wait_until(lambda: pair.metadata["actorRuntime"]["runtimeStatus"] == "RUNNING", 10)
    assert not call.done()
    stopped(pair.sidecar)
    with contextlib.suppress(httpx.TransportError):
        assert call.result(5).status_code >= 500
    pair.close()


@pytest.mark.quick
def test_a_stop_while_placement_is_frozen_is_graceful(pair, placement):
    assert pair.call(f"{KIND}/a", "add").status_code == 200
    placement.signal(signal.SIGSTOP)
    stopped(pair.sidecar)
    assert pair.app.seen()["active"] == 0
    placement.signal(signal.SIGCONT)


def test_a_frozen_placement_is_noticed_and_all_goes_on_when_it_thaws(pair, placement):
    """Calls to known owners go on, or wait; none fails, and the sidecar is back in the table afterwards."""
    placement.signal(signal.SIGSTOP)
    calls = [pair.start_call(f"{KIND}/a{number}", "add") for number in range(5)]
    wait_until(lambda: all(call.done() for call in calls) or not pair.metadata["actorRuntime"].get("hostReady"), 20)
    placement.signal(signal.SIGCONT)
    assert {call.result(20).status_code for call in calls} == {200}
    pair.hosts()
    assert pair.call(f"{KIND}/b", "add").text == "1"


def test_a_frozen_sidecars_actors_are_served_elsewhere_and_it_joins_again_when_it_thaws(cluster, placement):
    here, there = [Pair(cluster, placement, KIND) for _ in range(2)]
    here.hosts(), there.hosts()
    names = [f"{KIND}/a{number}" for number in range(20)]
    assert {here.call(name, "add").status_code for name in names} == {200}
    assert there.app.seen()["active"]
    there.sidecar.signal(signal.SIGSTOP)
    calls = [here.start_call(name, "add", timeout_s=40) for name in names]
    assert {call.result(40).status_code for call in calls} == {200}
    there.sidecar.signal(signal.SIGCONT)
    there.hosts()
    there.app.wait("active", 0, 20)  # what it hosted before is deactivated: it had lost it
    calls = [there.start_call(name, "add", timeout_s=40) for name in names]
    assert {call.result(40).status_code for call in calls} == {200}
    here.close(), there.close()


@pytest.mark.quick
def test_hangups_restart_in_the_same_process_and_nothing_is_left_of_the_run_before(pair):
    levels = []
    for run in range(4):
        pair.http.close()
        pair.http = httpx.Client(base_url=pair.sidecar.url, timeout=30)
        assert pair.call(f"{KIND}/a{run}", "add").status_code == 200
        levels.append(fds(pair.sidecar))
        held = pair.start_call(f"{KIND}/h{run}", "hold")
        pair.app.wait("holding", 1)
        text = pair.sidecar.log.read_text()
        pair.sidecar.signal(signal.SIGHUP)
        with contextlib.suppress(httpx.TransportError):
            assert held.result(10).status_code >= 500
        wait_until(lambda: pair.sidecar.log.read_text()[len(text):].count("dapr initialized") == 1, 20)
        pair.sidecar.wait_ready()
        pair.app.wait("active", 0)
    assert max(levels) - min(levels) < 10, levels
    pair.hosts()
    assert pair.call(f"{KIND}/a", "add").text == "1"


@pytest.mark.quick
def test_hangups_in_a_row_and_a_stop_among_them_end_well(pair):
    for _ in range(10):
        pair.sidecar.signal(signal.SIGHUP)
    pair.sidecar.signal(signal.SIGTERM)
    assert pair.sidecar.handle.wait(20) == 0, pair.sidecar.tail()


def test_hangups_at_any_moment_of_a_restart_are_restarts(pair):
    begin = time.monotonic()
    while time.monotonic() - begin < 5:
        pair.sidecar.signal(signal.SIGHUP)
        time.sleep(0.003)
    pair.sidecar.wait_ready()
    assert pair.sidecar.log.read_text().count("dapr initialized") > 10
    pair.hosts()
    pair.sidecar.signal(signal.SIGHUP)
    pair.sidecar.signal(signal.SIGTERM)
    assert pair.sidecar.handle.wait(20) == 0, pair.sidecar.tail()


@pytest.mark.quick
def test_shutdown_through_the_api_answers_first_and_ends_well(pair):
    assert httpx.post(f"{pair.sidecar.url}/v1.0/shutdown").status_code == 204
    assert pair.sidecar.handle.wait(10) == 0


@pytest.mark.quick
def test_a_block_before_the_stop_serves_on_and_ends_when_the_app_is_gone(cluster, placement):
    probe = ["--enable-app-health-check", "--app-health-probe-interval=1", "--app-health-threshold=1"]
    pair = Pair(cluster, placement, KIND, "--dapr-block-shutdown-duration=60s", *probe).hosts()
    pair.sidecar.signal(signal.SIGTERM)
    wait_until(lambda: "Blocking graceful shutdown" in pair.sidecar.log.read_text(), 10)
    assert pair.call(f"{KIND}/a", "add").text == "1"
    pair.app.signal(signal.SIGKILL)
    pair.app.ends = -signal.SIGKILL
    ends_within_grace(pair.sidecar, 10)
    pair.close()


def test_apps_that_come_and_go_under_a_living_sidecar(cluster, placement):
    probe = ["--enable-app-health-check", "--app-health-probe-interval=1", "--app-health-threshold=1"]
    pair = Pair(cluster, placement, KIND, *probe).hosts()
    for number in range(3):
        assert pair.call(f"{KIND}/a{number}", "add").status_code == 200
        stopped(pair.app)
        wait_until(lambda: not pair.metadata["actorRuntime"].get("activeActors"), 20, what="no types are hosted")
        again(pair.app)
        wait_until(lambda: pair.metadata["actorRuntime"].get("activeActors"), 20, what="the types are hosted again")
    wait_until(lambda: pair.call(f"{KIND}/z", "add").text == "1", 20)
    pair.close()
