"""kill -9 of sidecar, app and placement in mid-call: callers get an answer, nothing is stuck, everything comes back."""
import signal
import time

import httpx
import pytest

from kit import App, Pair, again, ends_within_grace, kill9, parts, stopped
from lib.procs import wait_until

KIND = "kind"


@pytest.fixture
def placement(cluster):
    return cluster.placement()


@pytest.fixture
def pair(cluster, placement):
    pair = Pair(cluster, placement, KIND).hosts()
    yield pair
    pair.close()


@pytest.fixture
def two(cluster, placement):
    """Two pairs that host the type, both in the table of both."""
    pairs = [Pair(cluster, placement, KIND) for _ in range(2)]
    for one in pairs:
        one.hosts()
    yield pairs
    for one in pairs:
        one.close()


def owned_by(host: Pair, caller: Pair, prefix: str = "a") -> str:
    """An actor that lives beside `host`, activated through `caller`."""
    for number in range(200):
        actor = f"{KIND}/{prefix}{number}"
        before = host.app.seen()["calls"]
        assert caller.call(actor, "add").status_code == 200
        if host.app.seen()["calls"] > before:
            return actor
    raise AssertionError("200 actors and none of them there")


def holds(app: App, actor: str) -> None:
    app.wait("running", lambda running: actor.split("/")[1] in running)


# The sidecar

@pytest.mark.quick
def test_a_killed_sidecar_cuts_its_callers_off_and_serves_again_when_started_again(pair):
    call = pair.start_call(f"{KIND}/a", "hold")
    holds(pair.app, f"{KIND}/a")
    kill9(pair.sidecar)
    with pytest.raises(httpx.TransportError):
        call.result(10)
    pair.app.wait("holding", 0)
    again(pair.sidecar)
    pair.hosts()
    assert pair.call(f"{KIND}/a", "add").text == "1"


def test_a_killed_sidecars_actors_move_and_a_call_from_another_sidecar_is_answered_there(two):
    here, there = two
    actor = owned_by(there, here)
    call = here.start_call(actor, "hold")
    holds(there.app, actor)
    kill9(there.sidecar)
    holds(here.app, actor)
    here.app.control("release")
    assert (call.result(15).status_code, call.result().text) == (200, "released")

    again(there.sidecar)
    there.hosts()
    owned_by(there, here, "b")


def test_calls_go_on_while_one_of_two_sidecars_is_killed_and_started_over_and_over(two):
    here, there = two
    for _ in range(3):
        calls = [here.start_call(f"{KIND}/c{number}", "add") for number in range(100)]
        kill9(there.sidecar)
        answers = [call.result(30) for call in calls]
        assert {answer.status_code for answer in answers} == {200}, {answer.text for answer in answers}
        again(there.sidecar)
        there.hosts()


# The app

@pytest.mark.quick
def test_a_killed_app_is_an_error_for_its_caller_and_those_who_wait_and_the_turn_is_free_again(pair):
    calls = [pair.start_call(f"{KIND}/a", "hold")]
    holds(pair.app, f"{KIND}/a")
    calls += [pair.start_call(f"{KIND}/a", "add") for _ in range(3)]
    kill9(pair.app)
    for call in calls:
        assert parts(call.result(10)) == (500, "ERR_ACTOR_INVOKE_METHOD")
    again(pair.app)
    assert pair.call(f"{KIND}/a", "add").text == "1"


def test_a_killed_app_is_an_error_for_a_caller_at_another_sidecar(two):
    here, there = two
    actor = owned_by(there, here)
    call = here.start_call(actor, "hold")
    holds(there.app, actor)
    kill9(there.app)
    assert parts(call.result(10)) == (500, "ERR_ACTOR_INVOKE_METHOD")
    again(there.app)
    assert here.call(actor, "add").text == "1"


def test_a_killed_app_leaves_the_table_once_its_probe_fails_and_its_actors_are_served_elsewhere(cluster, placement):
    probe = ["--enable-app-health-check", "--app-health-probe-interval=1", "--app-health-threshold=1"]
    here, there = [Pair(cluster, placement, KIND, *probe).hosts() for _ in range(2)]
    actor = owned_by(there, here)
    kill9(there.app)
    before = here.app.seen()["calls"]
    wait_until(lambda: here.call(actor, "add").status_code == 200, 20, what="the actor has moved")
    assert here.app.seen()["calls"] > before
    here.close(), there.close()


def test_a_frozen_app_does_not_keep_the_sidecar_from_ending(pair):
    call = pair.start_call(f"{KIND}/a", "hold")
    holds(pair.app, f"{KIND}/a")
    pair.app.signal(signal.SIGSTOP)
    begin = time.monotonic()
    pair.sidecar.signal(signal.SIGTERM)
    ends_within_grace(pair.sidecar)
    assert time.monotonic() - begin < 8
    with pytest.raises((httpx.TransportError, AssertionError)):
        assert call.result(5).status_code == 200


# Placement

def test_a_turn_that_ends_soon_after_placement_is_killed_returns_as_if_nothing_had_been(pair, placement):
    call = pair.start_call(f"{KIND}/a", "hold")
    holds(pair.app, f"{KIND}/a")
    kill9(placement)
    wait_until(lambda: not pair.metadata["actorRuntime"].get("hostReady"), 10)
    pair.app.control("release")
    assert (call.result(10).status_code, call.result().text) == (200, "released")
    assert pair.app.seen()["calls"] == 1
    pair.app.wait("deactivations", 1)
    again(placement)
    pair.hosts()


@pytest.mark.quick
def test_calls_wait_while_placement_is_dead_and_the_sidecar_stays_healthy(pair, placement):
    kill9(placement)
    wait_until(lambda: not pair.metadata["actorRuntime"].get("hostReady"), 10)
    calls = [pair.start_call(f"{KIND}/a{number}", "add") for number in range(20)]
    assert httpx.get(f"{pair.sidecar.url}/v1.0/healthz").status_code == 204
    assert pair.app.seen()["calls"] == 0
    again(placement)
    assert {call.result(20).text for call in calls} == {"1"}


def test_a_long_turn_is_aborted_when_placement_is_killed_and_runs_once_more_when_it_is_back(pair, placement):
    call = pair.start_call(f"{KIND}/a", "hold")
    holds(pair.app, f"{KIND}/a")
    kill9(placement)
    pair.app.wait("aborted", 1)
    again(placement)
    holds(pair.app, f"{KIND}/a")
    pair.app.control("release")
    assert (call.result(10).status_code, call.result().text) == (200, "released")
    assert pair.app.seen()["overlaps"] == 0


def test_a_transaction_that_waits_for_placement_is_written_if_it_is_acknowledged(pair, placement):
    """The actor is not here when the request comes, and is when the wait is over."""
    kill9(placement)
    wait_until(lambda: not pair.metadata["actorRuntime"].get("hostReady"), 10)
    call = pair.start_call(f"{KIND}/a", "hold")
    wait_until(lambda: pair.active(KIND) == 0 and pair.app.seen()["holding"] == 0, 5)
    transaction = pair.start(pair.upsert, f"{KIND}/a", "key", "value")
    bad = pair.start(pair.transact, f"{KIND}/a", [{"operation": "nothing"}])
    again(placement)
    holds(pair.app, f"{KIND}/a")
    assert transaction.result(10).status_code == 204
    assert pair.state(f"{KIND}/a", "key").json() == "value"
    assert parts(bad.result(10)) == (500, "ERR_ACTOR_STATE_TRANSACTION_SAVE")
    pair.app.control("release")
    assert call.result(10).text == "released"


@pytest.mark.quick
def test_a_sidecar_ends_well_without_placement(pair, placement):
    assert pair.call(f"{KIND}/a", "add").status_code == 200
    kill9(placement)
    stopped(pair.sidecar)
    assert pair.app.seen()["active"] == 0


# Everything

@pytest.mark.quick
def test_all_are_killed_in_mid_call_and_all_come_back(two, placement):
    here, there = two
    calls = [here.start_call(f"{KIND}/a{number}", "hold") for number in range(10)]
    wait_until(lambda: here.app.seen()["holding"] + there.app.seen()["holding"] == 10, 10)
    victims = [placement, here.sidecar, there.app, there.sidecar, here.app]
    for one in victims:
        kill9(one)
    for call in calls:
        with pytest.raises(httpx.TransportError):
            call.result(10)
    for one in victims:
        again(one, wait=False)
    here.hosts(), there.hosts()
    calls = [there.start_call(f"{KIND}/a{number}", "add") for number in range(10)]
    assert {call.result(10).text for call in calls} == {"1"}
