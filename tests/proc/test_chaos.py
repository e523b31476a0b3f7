"""Everything at once: calls of all kinds while apps, sidecars and placement are killed, paused, reloaded and stopped.

Three sidecars share an actor type and a store; one app speaks HTTP/1.1, one HTTP/2 in clear text, one the event stream.
What must hold whatever happens:

  - two turns of one actor that both ran to their end over HTTP/1.1 do not overlap, unless they belong to one chain;
  - what a state transaction was acknowledged for is there in the end, and whole;
  - every call ends in bounded time;
  - afterwards every actor can be called through every sidecar, and nothing is pending any more;
  - every process that was not killed ends with status 0 when it is asked to, without a report of a sanitizer.

CHAOS_SEED chooses the course (it is printed), CHAOS_SECONDS how long it goes. A plain run of the folder leaves it out; start
it with `-m chaos`.
"""
import asyncio
import collections
import contextlib
import dataclasses
import json
import os
import random
import re
import signal
import socket
import time

import grpc
import httpx
import pytest
from dapr.proto.runtime.v1 import actors_pb2, dapr_pb2_grpc

from chaos_app import request
from kit import App, Host, again, ends_within_grace, kill9, stopped
from lib.actors import DURABLE_STORE, unique
from lib.procs import Proc, wait_until

KIND, ACTORS, CLIENTS = "kind", 12, 10
SECONDS = float(os.environ.get("CHAOS_SECONDS", "35"))
CALL_S = 40.0  # the bound of a call: a call waits while placement or the owner is away, and nothing is away for long
PAUSE_S = 1.5  # shorter than any limit after which others give a process up


@dataclasses.dataclass
class Party:
    """A sidecar and its app."""
    protocol: str
    host: Host
    app: App


class ChaosApp(App):
    def __init__(self, cluster, protocol: str, journal: str):
        super().__init__(cluster, KIND, name=f"app-{protocol}")
        self.args = [self.args[0].replace("actor_app", "chaos_app"), str(self.port), protocol, KIND, "?", "?", journal]
        self.ready_url = None  # it is when it is, and may speak HTTP/2 only

    def beside(self, sidecar) -> "ChaosApp":
        self.args[4:6] = str(sidecar.http), str(sidecar.grpc)
        return self


class Chaos:
    def __init__(self, cluster, seed: int):
        self.random = random.Random(seed)
        self.cluster = cluster
        self.journal = cluster.folder / "journal"
        self.placement = cluster.placement()
        self.app_id = unique("chaos")
        self.parties = [self.party(protocol) for protocol in ("http", "h2c", "stream")]
        self.counts: collections.Counter = collections.Counter()
        self.calls = 0
        self.slowest = 0.0
        self.faults: list[str] = []
        self.ends_at = 0.0

    def party(self, protocol: str) -> Party:
        app = ChaosApp(self.cluster, protocol, str(self.journal))
        store = DURABLE_STORE.format(path=self.cluster.folder / "state")
        sidecar = self.cluster.sidecar(self.app_id, "--log-level=info", placement=self.placement, wait=False, name=protocol,
                                       app_port=None if protocol == "stream" else app.port, resources={"store.yaml": store},
                                       app_protocol="h2c" if protocol == "h2c" else "http")
        app.beside(sidecar).start().wait_ready()
        return Party(protocol, Host(sidecar.wait_ready(), app), app)

    def procs(self) -> list[Proc]:
        return [self.placement, *(one.host.sidecar for one in self.parties), *(one.app for one in self.parties)]

    def all_host(self) -> None:
        for one in self.parties:
            wait_until(lambda: one.host.metadata["actorRuntime"].get("hostReady") and KIND in one.host.hosted(), 30,
                       what=f"{one.host.sidecar.name} hosts")

    # Calls

    def order(self) -> tuple[str, str, dict, float | None]:
        """Actor, method, what it is to do, and after which time the client leaves if at all."""
        rng = self.random
        self.calls += 1
        order: dict = {"call": self.calls}
        actor = f"a{rng.randrange(ACTORS)}"
        leaves = rng.random() * 0.3 if rng.random() < 0.1 else None
        method = rng.choices(("write", "nap", "chain", "knot", "timer", "garbage", "close", "hang"), (8, 8, 3, 1, 3, 1, 1, 1))[0]
        if method == "nap":
            order |= {"seconds": rng.choice((0, 0, 0.01, 0.3)), "bytes": rng.choice((0, 10, 30000))}
        elif method == "chain":  # takes its actors in one order, so that no chain waits for another for ever
            path = sorted(rng.sample(range(ACTORS), 3))
            actor, order["path"] = f"c{path[0]}", [f"c{number}" for number in (path[1], path[0], path[2], path[1])]
        elif method == "knot":  # the other way round: two of them hold each other up until their clients leave
            path = rng.sample(range(ACTORS), 3)
            actor, order["path"], method, leaves = f"c{path[0]}", [f"c{number}" for number in path[1:]], "chain", rng.random() * 1.5
        elif method == "timer":
            order |= {"name": rng.choice("xyz"), "delete": rng.random() < 0.2}
        elif method == "hang":
            order["seconds"], method, leaves = 3, "nap", rng.random()
        return actor, method, order, leaves

    async def client(self, number: int) -> None:
        rng = random.Random(self.random.random())
        async with contextlib.AsyncExitStack() as stack:
            h2c = [await stack.enter_async_context(httpx.AsyncClient(http1=False, http2=True, timeout=None)) for _ in self.parties]
            while time.monotonic() < self.ends_at and not self.faults:
                actor, method, order, leaves = self.order()
                at = rng.randrange(len(self.parties))
                way = (self.over_http, self.over_grpc, self.over_h2c)[rng.randrange(3)]
                begin = time.monotonic()
                task = asyncio.ensure_future(way(self.parties[at], h2c[at], actor, method, json.dumps(order).encode()))
                done, _ = await asyncio.wait([task], timeout=CALL_S if leaves is None else leaves)
                if not done:
                    task.cancel()
                    if leaves is None:
                        self.faults.append(f"call {order} of {actor}/{method} did not end in {CALL_S} s ({way.__name__})")
                with contextlib.suppress(asyncio.CancelledError):
                    result = await task
                    self.counts[f"{method}: {result}"] += 1
                if done:
                    self.slowest = max(self.slowest, time.monotonic() - begin)
                await asyncio.sleep(rng.random() * 0.05)

    async def over_http(self, party: Party, _h2c, actor: str, method: str, body: bytes) -> str:
        path = f"/v1.0/actors/{KIND}/{actor}/method/{method}"
        try:
            status, text = await request(party.host.sidecar.http, "POST", path, body)
            return str(status)
        except (OSError, asyncio.IncompleteReadError):
            return "cut off"

    async def over_h2c(self, party: Party, h2c, actor: str, method: str, body: bytes) -> str:
        try:
            answer = await h2c.post(f"{party.host.sidecar.url}/v1.0/actors/{KIND}/{actor}/method/{method}", content=body)
            return str(answer.status_code)
        except (httpx.HTTPError, ValueError, KeyError, RuntimeError):  # the latter are failures of the client itself
            return "cut off"

    async def over_grpc(self, party: Party, _h2c, actor: str, method: str, body: bytes) -> str:
        options = [("grpc.use_local_subchannel_pool", 1)]
        async with grpc.aio.insecure_channel(f"127.0.0.1:{party.host.sidecar.grpc}", options=options) as channel:
            try:
                order = actors_pb2.InvokeActorRequest(actor_type=KIND, actor_id=actor, method=method, data=body)
                await dapr_pb2_grpc.DaprStub(channel).InvokeActor(order)
                return "200"
            except grpc.aio.AioRpcError as error:
                return error.code().name

    # What happens to the processes

    def alive(self, proc: Proc) -> bool:
        if proc.handle.poll() is None:
            return True
        self.faults.append(f"{proc.name} ended by itself with status {proc.handle.returncode}\n{proc.tail(20000)}")
        return False

    def up(self, proc: Proc) -> None:
        """Wait until it is past the moment of its birth at which a signal just ends it."""
        wait_until(lambda: socket.create_connection(("127.0.0.1", proc.metrics)).close() is None, 20, what=f"{proc.name} is up")

    def kill(self, proc: Proc) -> None:
        kill9(proc)
        if isinstance(proc, App):
            with open(self.journal, "a") as out:
                out.write(json.dumps({"event": "killed", "pid": proc.pid, "at": time.monotonic()}) + "\n")
        time.sleep(self.random.random() * 0.5)
        again(proc, wait=self.random.random() < 0.5)

    def stop(self, proc: Proc) -> None:
        self.up(proc)
        if proc is self.placement:
            stopped(proc)
        else:
            proc.signal(signal.SIGTERM)
            ends_within_grace(proc)
        again(proc, wait=self.random.random() < 0.5)

    def pause(self, proc: Proc) -> None:
        proc.signal(signal.SIGSTOP)
        time.sleep(self.random.random() * PAUSE_S)
        proc.signal(signal.SIGCONT)

    def reload(self, proc: Proc) -> None:
        self.up(proc)
        for _ in range(self.random.choice((1, 1, 3))):
            proc.signal(signal.SIGHUP)
            time.sleep(self.random.random() * 0.3)

    def strike(self) -> str:
        """Do something to some process; what it was."""
        sidecar = self.random.choice(self.parties).host.sidecar
        app = self.random.choice(self.parties).app
        act, proc = self.random.choices((
            (self.kill, sidecar), (self.kill, app), (self.kill, self.placement), (self.stop, sidecar), (self.stop, self.placement),
            (self.pause, sidecar), (self.pause, app), (self.pause, self.placement), (self.reload, sidecar)),
            (3, 3, 2, 2, 1, 2, 2, 1, 3))[0]
        if not all(self.alive(one) for one in self.procs()):
            return "end"
        act(proc)
        return f"{act.__name__} {proc.name}"

    async def strikes(self) -> None:
        while time.monotonic() < self.ends_at and not self.faults:
            await asyncio.sleep(self.random.random() * 1.5)
            try:
                begin = time.monotonic()
                what = await asyncio.to_thread(self.strike)
                print(f"{time.strftime('%H:%M:%S')} {what}, {time.monotonic() - begin:.1f} s", flush=True)
            except AssertionError as error:
                self.faults.append(str(error))

    async def run(self) -> None:
        self.ends_at = time.monotonic() + SECONDS
        await asyncio.gather(self.strikes(), *(self.client(number) for number in range(CLIENTS)))

    # What must hold

    def events(self) -> list[dict]:
        return [json.loads(line) for line in self.journal.read_text().splitlines()]

    def overlaps(self) -> list[str]:
        """Pairs of turns that ran to their end and overlap."""
        events = self.events()
        turns = {one["turn"]: dict(one, end=float("inf")) for one in events if one["event"] == "start"}
        for one in events:
            if one["event"] in ("end", "abort"):
                turns[one["turn"]] |= {"end": one["at"], "how": one["event"]}
        whole = [one for one in turns.values() if one.get("how") == "end"]
        # Only HTTP/1.1 can take a callback back. With the others a turn goes on although its caller (a client, a turn, a
        # sidecar that was told to stop) has gone or tries again elsewhere; meanwhile the next turn begins.
        whole = [one for one in whole if one["app"].startswith("http")]
        found = []
        of_actor = collections.defaultdict(list)
        for one in sorted(whole, key=lambda turn: turn["at"]):
            of_actor[one["actor"]].append(one)
        for chronicle in of_actor.values():
            for number, one in enumerate(chronicle):
                for later in chronicle[number + 1:]:
                    if later["at"] < one["end"] and (not one["chain"] or one["chain"] != later["chain"]):
                        found.append(f"{one}\n  overlaps {later}")
        self.counts["turns"] = len(turns)
        self.counts["turns that ran to their end"] = len(whole)
        return found

    def losses(self) -> list[str]:
        """Acknowledged writes that are not there. A call that was tried again has written its key again, with a higher count."""
        party = self.parties[0]
        acknowledged: dict[tuple[str, str], int] = {}
        for one in self.events():
            if one["event"] == "acknowledged":
                self.counts["acknowledged"] += 1
                for key in ("count", f"call-{one['call']}"):
                    slot = (one["actor"], key)
                    acknowledged[slot] = max(acknowledged.get(slot, 0), one["count"])
        lost = []
        for (actor, key), count in acknowledged.items():
            now = party.host.state(f"{KIND}/{actor}", key).text
            if int(now or 0) < count:
                lost.append(f"{key} of {actor} is '{now}', acknowledged was {count}")
        return lost

    def pending(self, party: Party) -> int:
        text = httpx.get(f"http://127.0.0.1:{party.host.sidecar.metrics}/").text
        return sum(int(value) for value in re.findall(r"^dapr_runtime_actor_pending_actor_calls\{.*\} (\d+)$", text, re.MULTILINE))

    def settle(self) -> None:
        """Everything is up again: every actor is served through every sidecar."""
        for proc in self.procs():
            proc.wait_ready()
        self.all_host()
        for party in self.parties:
            for number in range(ACTORS):
                for family in "ac":
                    answer = party.host.call(f"{KIND}/{family}{number}", "nap", b"{}")
                    assert answer.status_code == 200, (party.protocol, family, number, answer.text)
        for party in self.parties:
            wait_until(lambda: self.pending(party) == 0, 20, what=f"no call is pending at {party.host.sidecar.name}")


@pytest.mark.chaos
@pytest.mark.timeout(SECONDS * 2 + 240)
def test_whatever_happens_turns_do_not_overlap_and_acknowledged_state_is_there_and_all_end_well(cluster):
    seed = int(os.environ.get("CHAOS_SEED", random.randrange(1 << 32)))
    print(f"CHAOS_SEED={seed}")
    chaos = Chaos(cluster, seed)
    chaos.all_host()
    asyncio.run(chaos.run())
    assert not chaos.faults, "\n".join(chaos.faults)
    chaos.settle()
    overlaps, losses = chaos.overlaps(), chaos.losses()
    print(f"slowest call {chaos.slowest:.1f} s", *(f"{count:6d} {what}" for what, count in sorted(chaos.counts.items())), sep="\n")
    assert not overlaps, "\n".join(overlaps[:5])
    assert not losses, "\n".join(losses[:5])
    for party in chaos.parties:
        party.host.close()
