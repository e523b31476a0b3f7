"""`troupe dev`: one command runs placement, sidecar, store and app, and ends all of them whatever happens."""
import os
import pathlib
import pty
import re
import signal
import socket
import subprocess
import sys
import tempfile

import httpx
import pytest

from kit import REPORTS, binary, free_port, wait_until

READY_S = 30.0
STOP_S = 20.0
APP = [sys.executable, str(pathlib.Path(__file__).with_name("dev_app.py"))]


class Dev:
    """One `troupe dev`. Its folder is the current one of the command, its output goes to a file."""

    def __init__(self, desk: "Desk", *words: str, cwd: str = "shop", terminal: bool = False):
        self.desk = desk
        self.folder = desk.folder / cwd
        self.folder.mkdir(exist_ok=True)
        self.log = desk.folder / f"dev-{len(desk.devs)}.log"
        self.terminal = None
        desk.devs.append(self)
        options = {}
        if terminal:
            self.terminal, other = pty.openpty()
            options = {"stdin": other, "start_new_session": True, "preexec_fn": lambda: __import__("fcntl").ioctl(0, 0x540E, 0)}
        with open(self.log, "wb") as out:  # 0x540E: TIOCSCTTY, the terminal becomes the one of the new session
            self.handle = subprocess.Popen([binary("troupe"), "dev", *words], stdout=out, stderr=subprocess.STDOUT,
                                           cwd=self.folder, env=desk.env, **options)

    @property
    def text(self) -> str:
        return self.log.read_text(errors="replace")

    def ready(self) -> "Dev":
        def is_ready():
            assert self.handle.poll() is None, f"ended with {self.handle.returncode}\n{self.text}"
            return "Ctrl-C stops everything" in self.text

        wait_until(is_ready, READY_S, what=f"ready\n{self.text}")
        return self

    @property
    def url(self) -> str:
        return re.search(r"HTTP API  (\S+)", self.text).group(1)

    def call(self, actor: str, method: str = "increment", body: str = "1"):
        answer = httpx.post(f"{self.url}/v1.0/actors/counter/{actor}/method/{method}", content=body, timeout=10.0)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def parts(self) -> dict[str, int]:
        """Process ids of what it runs, by role."""
        found = {}
        for path in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                parent = int((path / "stat").read_text().rpartition(")")[2].split()[1])
                words = (path / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if parent == self.handle.pid:
                role = words[1].decode() if words[1:] and words[1] in (b"placement", b"sidecar") else "app"
                found[role] = int(path.name)
        return found

    def wait(self, status: int) -> "Dev":
        """Wait for the end, and for this status."""
        try:
            got = self.handle.wait(STOP_S)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running: {self.parts()}\n{self.text}") from None
        assert got == status, f"status {got}, wanted {status}\n{self.text}"
        return self

    def stop(self, number: int = signal.SIGINT, status: int = 0) -> "Dev":
        self.handle.send_signal(number)
        return self.wait(status)


class Desk:
    """A user's machine: a temporary folder, a meeting place of its own, and the check that nothing is left running."""

    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="dev-"))
        runtime = self.folder / "runtime"
        runtime.mkdir(mode=0o700)
        self.meeting = runtime / "troupe" / "placement"
        self.env = dict(os.environ, XDG_RUNTIME_DIR=str(runtime))
        self.devs: list[Dev] = []

    def dev(self, *words: str, **options) -> Dev:
        return Dev(self, *words, **options)

    def running(self) -> list[str]:
        """Commands of the processes that work in our folder or were started from it."""
        found = []
        for path in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                if os.readlink(path / "cwd").startswith(str(self.folder)) and (path / "cmdline").read_bytes():
                    found.append(path.name + " " + (path / "cmdline").read_bytes().replace(b"\0", b" ").decode())
            except OSError:
                continue
        return found

    def close(self) -> None:
        for dev in self.devs:
            if dev.handle.poll() is None:
                dev.handle.send_signal(signal.SIGINT)
        for dev in self.devs:
            try:
                dev.handle.wait(STOP_S)
            except subprocess.TimeoutExpired:
                dev.handle.kill()
            if dev.terminal is not None:
                os.close(dev.terminal)


@pytest.fixture
def desk():
    desk = Desk()
    try:
        yield desk
    finally:
        desk.close()
    wait_until(lambda: not desk.running(), 10.0, what=f"no process is left of {desk.running()}")
    for dev in desk.devs:
        assert not any(word in dev.text for word in REPORTS), dev.text


# --- the main job ---------------------------------------------------------------------------------------------------------


@pytest.mark.quick
def test_one_command_gives_actors_and_says_how_to_call_them(desk):
    dev = desk.dev("--", *APP).ready()
    assert dev.call("a", body="3") == {"value": 3, "host": dev.call("a", "get")["host"]}
    assert f"curl -X POST {dev.url}/v1.0/actors/counter/ID/method/METHOD" in dev.text
    assert re.search(r"^troupe    \|   gRPC API  127\.0\.0\.1:\d+$", dev.text, re.M)
    for name in ("placement", "sidecar"):
        assert re.search(rf"^{name} +\| time=", dev.text, re.M)
    assert set(dev.parts()) == {"placement", "sidecar", "app"}
    dev.stop()


def test_the_app_is_named_after_the_folder(desk):
    dev = desk.dev("--", *APP, cwd="My Shop.v2").ready()
    assert httpx.get(f"{dev.url}/v1.0/metadata").json()["id"] == "my-shop-v2"
    dev.stop()


def test_ports_and_id_can_be_chosen(desk):
    app, http, grpc = free_port(), free_port(), free_port()
    dev = desk.dev("--app-id", "mine", "--app-port", str(app), "--dapr-http-port", str(http), "--dapr-grpc-port", str(grpc),
                   "--", *APP).ready()
    assert dev.url == f"http://127.0.0.1:{http}"
    assert f"gRPC API  127.0.0.1:{grpc}" in dev.text
    assert dev.call("a")["host"] == f"app-{app}"
    assert httpx.get(f"{dev.url}/v1.0/metadata").json()["id"] == "mine"
    dev.stop()


@pytest.mark.quick
def test_state_survives_a_restart_in_the_same_data_folder(desk):
    first = desk.dev("--data-dir", "data/here", "--", *APP).ready()
    first.call("a", body="41")
    first.stop()
    second = desk.dev("--data-dir", "data/here", "--", *APP).ready()
    assert second.call("a")["value"] == 42
    assert second.call("b")["value"] == 1
    second.stop()
    assert (second.folder / "data/here/state").is_dir()
    assert not (second.folder / ".troupe").exists()


def test_the_default_data_folder_is_hidden_from_git(desk):
    dev = desk.dev("--", *APP).ready()
    dev.stop()
    assert (dev.folder / ".troupe/.gitignore").read_text() == "*\n"


def test_an_actor_store_of_the_user_replaces_ours(desk):
    resources = desk.folder / "their, \"resources\""
    resources.mkdir()
    (resources / "store.yaml").write_text(
        "apiVersion: dapr.io/v1alpha1\nkind: Component\nmetadata:\n  name: theirs\nspec:\n  type: state.in-memory\n"
        "  version: v1\n  metadata:\n  - name: actorStateStore\n    value: \"true\"\n")
    quoted = '"' + str(resources).replace('"', '""') + '"'
    dev = desk.dev("--resources-path", quoted, "--", *APP).ready()
    dev.call("a")
    names = [component["name"] for component in httpx.get(f"{dev.url}/v1.0/metadata").json()["components"]]
    assert names == ["theirs"]
    dev.stop()
    assert not (dev.folder / ".troupe").exists()


def test_other_resources_stand_beside_our_store(desk):
    resources = desk.folder / "more"
    resources.mkdir()
    (resources / "store.yaml").write_text(
        "apiVersion: dapr.io/v1alpha1\nkind: Component\nmetadata:\n  name: extra\nspec:\n  type: state.in-memory\n  version: v1\n")
    dev = desk.dev("--resources-path", str(resources), "--", *APP).ready()
    names = {component["name"] for component in httpx.get(f"{dev.url}/v1.0/metadata").json()["components"]}
    assert names == {"extra", "statestore"}
    dev.stop()


def test_without_a_command_the_app_is_started_by_hand(desk):
    port = free_port()
    dev = desk.dev("--app-port", str(port))
    hint = wait_until(lambda: re.search(r"start your app now.*port (\d+), with DAPR_HTTP_PORT=(\d+)", dev.text), READY_S)
    assert hint.group(1) == str(port)
    app = subprocess.Popen(APP, env=dict(desk.env, APP_PORT=str(port), DAPR_HTTP_PORT=hint.group(2)), stdout=subprocess.DEVNULL)
    try:
        dev.ready()
        assert dev.call("a")["value"] == 1
        dev.stop()
    finally:
        app.kill()
        app.wait()


def test_an_app_that_only_calls_needs_no_port(desk):
    script = ("import os, urllib.request as u; "
              "assert 'APP_PORT' not in os.environ; "
              "print(u.urlopen(f\"http://127.0.0.1:{os.environ['DAPR_HTTP_PORT']}/v1.0/metadata\").status)")
    dev = desk.dev("--app-port", "0", "--", sys.executable, "-c", script).wait(0)
    assert re.search(r"^app       \| 200$", dev.text, re.M)


def test_an_api_with_a_token_shows_how_to_give_it(desk):
    desk.env["DAPR_API_TOKEN"] = "secret"
    dev = desk.dev("--app-port", "0", "--", "sleep", "1000").ready()
    assert 'curl -X POST -H "dapr-api-token: $DAPR_API_TOKEN" http://' in dev.text
    dev.stop(signal.SIGTERM, 128 + signal.SIGTERM)


def test_an_app_that_does_not_listen_yet_is_waited_for(desk):
    dev = desk.dev("--", "sleep", "1000")
    wait_until(lambda: re.search(r"waiting for the app to listen on port \d+ \(its APP_PORT\)", dev.text), READY_S, what="hint")
    dev.stop(signal.SIGTERM, 128 + signal.SIGTERM)


# --- the end --------------------------------------------------------------------------------------------------------------


@pytest.mark.quick
def test_ctrl_c_in_a_terminal_reaches_the_app_once_and_stops_everything(desk):
    dev = desk.dev("--", *APP, terminal=True).ready()
    dev.call("last")
    os.write(dev.terminal, b"\x03")
    dev.wait(0)
    assert dev.text.count("got SIGINT") == 1
    assert dev.text.index("deactivated last") < dev.text.index("got SIGINT")  # the sidecar went first, and could call
    assert "Daprd shutdown gracefully" in dev.text
    assert "Placement service shut down gracefully" in dev.text


def test_sigterm_is_passed_on(desk):
    dev = desk.dev("--", *APP).ready()
    dev.stop(signal.SIGTERM)
    assert "got SIGTERM" in dev.text


@pytest.mark.parametrize("end,status", [("exit 7", 7), ("exit 0", 0), ("kill -9 $$", 128 + 9)])
def test_the_status_of_the_app_is_returned(desk, end, status):
    dev = desk.dev("--", "sh", "-c", f"echo out; echo problem >&2; {end}").wait(status)
    assert re.search(r"^app       \| out$", dev.text, re.M)
    assert re.search(r"^app       \| problem$", dev.text, re.M)
    assert "troupe    | app " in dev.text


def test_a_command_that_is_not_there_is_named(desk):
    dev = desk.dev("--", "/no/such/command").wait(127)
    assert "'/no/such/command': No such file or directory" in dev.text


def test_a_second_signal_kills_what_does_not_end(desk):
    dev = desk.dev("--", *APP, "stubborn").ready()
    dev.handle.send_signal(signal.SIGINT)
    wait_until(lambda: "got SIGINT" in dev.text, 15.0, what="the app has the first signal")
    dev.stop(signal.SIGINT, 128 + signal.SIGKILL)


def test_what_the_app_leaves_behind_is_ended_too(desk):
    dev = desk.dev("--", "sh", "-c", f"sleep 1000 & exec {' '.join(APP)}").ready()
    assert any("sleep 1000" in command for command in desk.running())
    dev.stop()
    assert not desk.running()


@pytest.mark.parametrize("part", ["sidecar", "placement"])
def test_all_stops_when_a_part_dies(desk, part):
    dev = desk.dev("--", *APP).ready()
    os.kill(dev.parts()[part], signal.SIGKILL)
    dev.wait(1)
    assert f"{part} was ended by signal 9 (Killed); stopping" in dev.text
    assert "got SIGTERM" in dev.text


def test_a_sidecar_that_cannot_start_is_told(desk):
    resources = desk.folder / "bad"
    resources.mkdir()
    (resources / "store.yaml").write_text(
        "apiVersion: dapr.io/v1alpha1\nkind: Component\nmetadata:\n  name: bad\nspec:\n  type: state.nosuch\n  version: v1\n")
    dev = desk.dev("--resources-path", str(resources), "--", *APP).wait(1)
    assert "state.nosuch" in dev.text
    assert "sidecar ended with status 1; stopping" in dev.text


def test_the_app_may_stop_all_by_the_api(desk):
    dev = desk.dev("--", *APP).ready()
    httpx.post(f"{dev.url}/v1.0/shutdown")
    dev.wait(0)
    assert "sidecar ended with status 0; stopping" in dev.text


def test_a_hang_up_stops_it_unless_it_is_ignored(desk):
    dev = desk.dev("--", *APP).ready()
    dev.stop(signal.SIGHUP, 128 + signal.SIGHUP)
    log = desk.folder / "nohup.log"
    with open(log, "wb") as out:
        nohup = subprocess.Popen(["nohup", binary("troupe"), "dev", "--", *APP], stdin=subprocess.DEVNULL, stdout=out,
                                 stderr=subprocess.STDOUT, cwd=desk.folder, env=desk.env)
    wait_until(lambda: "Ctrl-C stops everything" in log.read_text(), READY_S, what="ready")
    nohup.send_signal(signal.SIGHUP)
    nohup.send_signal(signal.SIGTERM)
    assert nohup.wait(STOP_S) == 0
    assert "signal 15 (Terminated): stopping" in log.read_text()


def test_nothing_is_left_when_the_tool_itself_is_killed(desk):
    dev = desk.dev("--", *APP).ready()
    dev.handle.kill()
    dev.handle.wait()
    wait_until(lambda: not desk.running(), 15.0, what="all have ended")


def test_it_ends_when_nobody_reads_its_output(desk):
    reader, writer = os.pipe()
    script = "import time\nwhile True: print('line'); time.sleep(0.01)"
    dev = subprocess.Popen([binary("troupe"), "dev", "--app-port", "0", "--", sys.executable, "-c", script], stdout=writer,
                           stderr=subprocess.DEVNULL, cwd=desk.folder, env=desk.env)
    os.close(writer)
    with os.fdopen(reader, "rb") as lines:
        next(line for line in lines if line.startswith(b"app       | line"))
    assert dev.wait(STOP_S) == 128 + signal.SIGTERM


# --- several at a time ----------------------------------------------------------------------------------------------------


def placement_port(desk) -> str:
    return re.search(r"port (\d+)", desk.meeting.read_text()).group(1)


@pytest.mark.quick
def test_two_share_one_placement_and_the_second_outlives_the_first(desk):
    first = desk.dev("--", *APP).ready()  # the same folder, so the same app and the same state
    second = desk.dev("--", *APP).ready()
    port = placement_port(desk)
    assert f"sharing the placement service of process {first.handle.pid} on port {port}" in second.text
    assert set(second.parts()) == {"sidecar", "app"}
    # One table: an actor has one host, whoever is asked. With ten of them, both hosts have some.
    hosts = {f"a{i}": first.call(f"a{i}")["host"] for i in range(10)}
    assert {name: second.call(name, "get")["host"] for name in hosts} == hosts
    first.stop()
    wait_until(lambda: "placement" in second.parts(), 10.0, what="the second took over")
    assert placement_port(desk) == port
    wait_until(lambda: all(second.call(name, "get")["value"] == 1 for name in hosts), 20.0, what="all answer from the second")
    assert len({second.call(name, "get")["host"] for name in hosts}) == 1
    third = desk.dev("--app-id", "other", "--", *APP).ready()
    assert f"process {second.handle.pid} on port {port}" in third.text
    third.stop()
    second.stop()


def test_placement_is_taken_over_when_its_owner_is_killed(desk):
    first = desk.dev("--", *APP).ready()  # the same folder, so the same app and the same state
    second = desk.dev("--", *APP).ready()
    second.call("a")
    first.handle.kill()
    first.handle.wait()
    wait_until(lambda: "placement" in second.parts(), 20.0, what="the second took over")
    wait_until(lambda: second.call("a", "get")["value"] == 1, 20.0, what="actors answer")
    second.stop()


def test_many_that_start_at_once_agree_on_one_placement(desk):
    devs = [desk.dev("--app-id", f"app{i}", "--data-dir", f"../data{i}", "--app-port", "0", "--", "sleep", "1000")
            for i in range(4)]
    for dev in devs:
        dev.ready()
    assert sum("placement" in dev.parts() for dev in devs) == 1
    for dev in devs:
        dev.handle.send_signal(signal.SIGTERM)
    for dev in devs:
        dev.wait(128 + signal.SIGTERM)


def test_new_ports_are_chosen_when_the_old_ones_are_taken(desk):
    desk.dev("--app-port", "0", "--", "true").wait(0)
    old = placement_port(desk)
    with socket.socket() as other:
        other.bind(("127.0.0.1", int(old)))
        other.listen()
        desk.dev("--app-port", "0", "--", "true").wait(0)
    assert placement_port(desk) != old


# --- bad input ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words,why", [
    (["--nope", "--", "true"], "unknown flag: --nope"),
    (["true"], "unexpected word 'true': the command comes after '--'"),
    ([], "no command"),
    (["--"], "no command"),
    (["--app-port", "70000", "--", "true"], "a port is at most 65535"),
    (["--app-port", "x", "--", "true"], "invalid argument \"x\" for \"--app-port\" flag"),
    (["--app-port", "5000", "--dapr-http-port", "5000", "--", "true"], "port 5000 is given twice"),
    (["--app-protocol", "soap", "--", "true"], "it must be http, h2c or grpc"),
    (["--app-id", "a.b", "--", "true"], "no dots"),
    (["--log-level", "loud", "--", "true"], "--log-level"),
    (["--data-dir", "", "--", "true"], "--data-dir"),
])
def test_a_wrong_command_line_gives_the_usage_and_status_2(desk, words, why):
    dev = desk.dev(*words).wait(2)
    assert why in dev.text
    assert "troupe dev [flags] -- COMMAND" in dev.text


def test_help_ends_with_status_0(desk):
    dev = desk.dev("--help").wait(0)
    assert "--data-dir" in dev.text


def test_a_port_in_use_is_named(desk):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        dev = desk.dev("--dapr-http-port", str(port), "--", "true").wait(1)
    assert f"port {port} is taken by another program" in dev.text


def test_a_data_folder_that_cannot_be_made_is_named(desk):
    (desk.folder / "shop").mkdir()
    (desk.folder / "shop" / "file").write_text("")
    dev = desk.dev("--data-dir", "file/data", "--", "true").wait(1)
    assert "data folder: make folder 'file/data': Not a directory" in dev.text


def test_a_resources_folder_that_is_not_there_is_named(desk):
    dev = desk.dev("--resources-path", "nowhere", "--", "true").wait(1)
    assert "nowhere" in dev.text


def test_a_bad_meeting_file_is_written_anew(desk):
    desk.meeting.parent.mkdir(mode=0o700)
    desk.meeting.write_text("port 99999\nwhat")
    desk.dev("--app-port", "0", "--", "true").wait(0)
    assert re.fullmatch(r"port \d+\nhealth \d+\npid \d+\nend\n", desk.meeting.read_text())


def test_a_meeting_folder_open_to_others_is_refused(desk):
    desk.meeting.parent.mkdir()
    desk.meeting.parent.chmod(0o777)
    dev = desk.dev("--app-port", "0", "--", "true").wait(1)
    assert "is not this user's alone" in dev.text
