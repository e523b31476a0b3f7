"""state.lmdb under kill -9: what was acknowledged is there afterwards; two sidecars on one folder; a folder that cannot be used."""
import contextlib
import http.client
import json
import os
import pathlib
import subprocess
import threading

import httpx
import pytest

from kit import Pair, again, kill9, run, stopped
from lib.procs import MEMORY_STORE, free_port, wait_until

KIND = "kind"


def store(folder, more: str = "") -> dict:
    return {"store.yaml": f"""\
apiVersion: dapr.io/v1alpha1
kind: Component
metadata:
  name: statestore
spec:
  type: state.lmdb
  version: v1
  metadata:
  - name: path
    value: "{folder}"
  - name: actorStateStore
    value: "true"
{more}"""}


class Writer(threading.Thread):
    """Writes "<prefix>-<n>" = n for n = 0, 1, ... until the sidecar is gone; `acknowledged` is how many were answered 204."""

    def __init__(self, port: int, prefix: str):
        super().__init__(daemon=True)
        self.port, self.prefix, self.acknowledged, self.refused = port, prefix, 0, None
        self.start()

    def run(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        with contextlib.suppress(OSError, http.client.HTTPException):
            while True:
                row = {"key": f"{self.prefix}-{self.acknowledged}", "value": self.acknowledged}
                connection.request("POST", "/v1.0/state/statestore", json.dumps([row]))
                answer = connection.getresponse()
                body = answer.read()
                if answer.status != 204:
                    self.refused = body.decode()
                    return
                self.acknowledged += 1


def stored(port: int, prefix: str, count: int) -> list:
    """The values of the first `count` keys of a writer, in order; None where a key is missing."""
    values = []
    for begin in range(0, count, 500):
        keys = [f"{prefix}-{n}" for n in range(begin, min(begin + 500, count))]
        answer = httpx.post(f"http://127.0.0.1:{port}/v1.0/state/statestore/bulk", json={"keys": keys}, timeout=20)
        assert answer.status_code == 200, answer.text
        found = {row["key"]: row.get("data") for row in answer.json()}
        values += [found.get(key) for key in keys]
    return values


def alone(cluster, folder, name: str, **options):
    """A sidecar without app and placement: only the state API."""
    return cluster.sidecar(name, resources=store(folder), name=name, **options)


@pytest.mark.quick
def test_every_acknowledged_write_survives_kill_9(cluster):
    sidecar = alone(cluster, cluster.folder / "data", "writer")
    for life in range(3):
        writers = [Writer(sidecar.http, f"{life}-{n}") for n in range(4)]
        wait_until(lambda: sum(writer.acknowledged for writer in writers) > 300, 20)
        kill9(sidecar)
        for writer in writers:
            writer.join(10)
            assert writer.refused is None
        again(sidecar)
        for writer in writers:
            assert stored(sidecar.http, writer.prefix, writer.acknowledged) == list(range(writer.acknowledged))


def test_a_transaction_is_whole_or_absent_after_kill_9(cluster):
    pair = Pair(cluster, cluster.placement(), KIND, resources=store(cluster.folder / "data")).hosts()
    actors = [f"{KIND}/a{n}" for n in range(4)]
    keys = [f"k{n}" for n in range(10)]
    done = dict.fromkeys(actors, 0)

    def write(actor):
        with contextlib.suppress(httpx.TransportError):
            while True:
                rows = [{"operation": "upsert", "request": {"key": key, "value": done[actor] + 1}} for key in keys]
                assert pair.transact(actor, rows).status_code == 204
                done[actor] += 1

    for actor in actors:
        assert pair.call(actor, "add").status_code == 200  # state can only be written while the actor is active
    writing = [pair.start(write, actor) for actor in actors]
    wait_until(lambda: min(done.values()) > 20, 20)
    kill9(pair.sidecar)
    for one in writing:
        one.result(10)
    again(pair.sidecar)
    pair.hosts()
    for actor in actors:
        values = {pair.state(actor, key).json() for key in keys}
        assert len(values) == 1 and values <= {done[actor], done[actor] + 1}, (values, done[actor])
    pair.close()


@pytest.mark.quick
def test_two_sidecars_share_a_folder_and_one_is_killed_while_both_write(cluster):
    one, two = [alone(cluster, cluster.folder / "data", name) for name in ("one", "two")]
    writers = [Writer(side.http, "w") for side in (one, two)]  # the same names: a key belongs to its app id
    wait_until(lambda: min(writer.acknowledged for writer in writers) > 100, 20)
    kill9(two)
    writers[1].join(10)
    at = writers[0].acknowledged
    wait_until(lambda: writers[0].acknowledged > at + 100, 20, what="the other one goes on writing")
    again(two)
    assert stored(two.http, "w", writers[1].acknowledged) == list(range(writers[1].acknowledged))
    stopped(one)
    writers[0].join(10)
    again(one)
    assert stored(one.http, "w", writers[0].acknowledged) == list(range(writers[0].acknowledged))


def test_two_sidecars_count_with_etags_and_no_count_is_lost(cluster):
    shared = """\
  - name: keyPrefix
    value: none
"""
    sides = [cluster.sidecar(name, resources=store(cluster.folder / "data", shared)) for name in ("one", "two")]

    def value_of(side):
        answer = httpx.get(f"{side.url}/v1.0/state/statestore/n")
        return (answer.json() if answer.status_code == 200 else 0), answer.headers.get("etag")

    def count(side, times):
        with httpx.Client(base_url=side.url, timeout=20) as client:
            while times:
                answer = client.get("/v1.0/state/statestore/n")
                number = answer.json() if answer.status_code == 200 else 0
                row = {"key": "n", "value": number + 1, "options": {"concurrency": "first-write"}}
                if "etag" in answer.headers:
                    row["etag"] = answer.headers["etag"]
                status = client.post("/v1.0/state/statestore", json=[row]).status_code
                assert status in (204, 409), status
                times -= status == 204

    threads = [threading.Thread(target=count, args=(side, 50)) for side in sides]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(50)
    assert value_of(sides[0])[0] == value_of(sides[1])[0] == 100


def test_an_actors_state_is_found_by_the_sidecar_it_moves_to(cluster):
    placement = cluster.placement()
    pairs = [Pair(cluster, placement, KIND, app_id="same", resources=store(cluster.folder / "data")) for _ in range(2)]
    for pair in pairs:
        pair.hosts()
    owners = {}
    for number in range(20):
        actor = f"{KIND}/a{number}"
        assert pairs[0].call(actor, "add").status_code == 200
        owners[actor] = next(pair for pair in pairs if pair.upsert(actor, "k", number).status_code == 204)
    assert len(set(map(id, owners.values()))) == 2
    kill9(pairs[1].sidecar)
    for number, actor in enumerate(owners):
        assert pairs[0].call(actor, "add", timeout_s=20).status_code == 200
        assert pairs[0].state(actor, "k").json() == number
    for pair in pairs:
        pair.close()


# Folders that cannot be used

def start_alone(resources_folder, *, env=None, user=None):
    command = ["daprd", "--app-id", "alone", "--resources-path", str(resources_folder), "--dapr-listen-addresses", "127.0.0.1",
               "--dapr-internal-grpc-listen-address", "127.0.0.1", "--dapr-http-port", str(free_port()), "--dapr-grpc-port",
               str(free_port()), "--metrics-port", str(free_port()), "--dapr-internal-grpc-port", str(free_port())]
    return run(*command, env=env, user=user)


def resources(cluster, folder, more=""):
    return cluster.file("resources/store.yaml", store(folder, more)["store.yaml"]).parent


@pytest.mark.quick
@pytest.mark.parametrize("bad, cause", [
    ("/proc/data", "no such file or directory"), ("{file}", "not a folder"), ("{file}/below", "not a folder"),
    ("/dev/null", "not a folder")])
def test_a_store_folder_that_cannot_be_made_is_fatal_and_named(cluster, bad, cause):
    folder = bad.format(file=cluster.file("a-file", "x"))
    done = start_alone(resources(cluster, folder))
    last = done.stdout.strip().splitlines()[-1]
    assert done.returncode == 1 and "level=fatal" in last, done.stdout
    assert "INIT_COMPONENT_FAILURE" in last and "statestore (state.lmdb/v1)" in last and folder in last, last
    assert cause in last.lower(), last


@pytest.mark.quick
@pytest.mark.parametrize("mode", [0o000, 0o500])
def test_a_store_folder_without_rights_is_fatal_and_named(cluster, mode):
    data = cluster.folder / "data"
    data.mkdir()
    where = resources(cluster, data)
    for folder in (cluster.folder, where):
        folder.chmod(0o755)
    data.chmod(mode)
    user = 65534 if os.geteuid() == 0 else None  # root has all rights
    done = start_alone(where, user=user)
    last = done.stdout.strip().splitlines()[-1]
    assert done.returncode == 1 and "level=fatal" in last, done.stdout
    assert str(data) in last and "permission denied" in last.lower(), last


@pytest.mark.quick
def test_a_file_that_is_no_database_is_fatal_and_left_alone(cluster):
    file = cluster.file("data/data.mdb", "this is a letter to my aunt\n" * 1000)
    before = file.read_bytes()
    done = start_alone(resources(cluster, file.parent))
    last = done.stdout.strip().splitlines()[-1]
    assert done.returncode == 1 and str(file.parent) in last, done.stdout
    assert file.read_bytes() == before


@contextlib.contextmanager
def small_disk(folder: pathlib.Path, kib: int):
    """A file system of this size there."""
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={kib}k", "troupe-test", str(folder)], capture_output=True).returncode:
        pytest.skip("a full disk needs the right to mount")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.quick
def test_a_full_disk_refuses_writes_and_says_so_and_loses_nothing(cluster):
    data = cluster.folder / "data"
    with small_disk(data, 1024):
        sidecar = alone(cluster, data, "full")
        writer = Writer(sidecar.http, "k" * 500)
        writer.join(30)
        assert writer.refused and "ERR_STATE_SAVE" in writer.refused and "no space left" in writer.refused.lower(), writer.refused
        assert stored(sidecar.http, writer.prefix, writer.acknowledged) == list(range(writer.acknowledged))
        kill9(sidecar)
        again(sidecar)
        assert stored(sidecar.http, writer.prefix, writer.acknowledged) == list(range(writer.acknowledged))
        assert httpx.delete(f"{sidecar.url}/v1.0/state/statestore/{writer.prefix}-0").status_code in (204, 500)
        stopped(sidecar)


@pytest.mark.quick
@pytest.mark.parametrize("free_pages", range(7))
def test_a_start_on_a_full_disk_is_fatal_and_named_or_serves(cluster, free_pages):
    data = cluster.folder / "data"
    with small_disk(data, 256):
        for page in range(os.statvfs(data).f_bavail - free_pages):
            (data / f"filler-{page}").write_bytes(b"x" * 4096)
        assert os.statvfs(data).f_bavail == free_pages
        sidecar = cluster.sidecar("full", resources=store(data / "deep"), wait=False)
        wait_until(lambda: sidecar.handle.poll() is not None or httpx.get(sidecar.ready_url).status_code == 204, 15)
        if sidecar.handle.poll() is None:
            saved = httpx.post(f"{sidecar.url}/v1.0/state/statestore", json=[{"key": "k", "value": "v" * 20000}])
            assert saved.status_code == 204 or "no space left" in saved.text.lower(), saved.text
            stopped(sidecar)
        else:
            sidecar.ends = 1
            last = sidecar.tail().strip().splitlines()[-1]
            assert "level=fatal" in last and str(data) in last and "no space left" in last.lower(), last


@pytest.mark.quick
def test_a_full_map_refuses_writes_and_names_the_setting(cluster):
    more = """\
  - name: mapSizeMb
    value: "1"
"""
    sidecar = cluster.sidecar("small", resources=store(cluster.folder / "data", more))
    writer = Writer(sidecar.http, "k" * 500)
    writer.join(30)
    assert "mapSizeMb" in writer.refused and "ERR_STATE_SAVE" in writer.refused
    assert stored(sidecar.http, writer.prefix, writer.acknowledged) == list(range(writer.acknowledged))


@pytest.mark.quick
@pytest.mark.parametrize("value", ["0", "-1", "many", "1e400", "999999999999999999999"])
def test_a_bad_store_setting_is_fatal_and_named(cluster, value):
    done = start_alone(resources(cluster, cluster.folder / "data", f"  - name: mapSizeMb\n    value: \"{value}\"\n"))
    last = done.stdout.strip().splitlines()[-1]
    assert done.returncode == 1 and "mapSizeMb" in last and "statestore" in last, done.stdout


def test_memory_state_is_gone_after_a_kill_and_that_is_no_error(cluster):
    sidecar = cluster.sidecar("memory", resources={"store.yaml": MEMORY_STORE})
    assert httpx.post(f"{sidecar.url}/v1.0/state/statestore", json=[{"key": "k", "value": 1}]).status_code == 204
    kill9(sidecar)
    again(sidecar)
    assert httpx.get(f"{sidecar.url}/v1.0/state/statestore/k").status_code == 204
