"""What the process tests share: clusters that insist on a good end, an app that can be killed, looks into a process."""
import contextlib
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time

import httpx

from lib.actors import Host, actors_pb2, parts, unique  # noqa: F401 - handed on to the tests
from lib.procs import MEMORY_STORE, Cluster, Proc, binary, free_port, wait_until

STOP_S = 10.0  # a graceful stop takes at most the 5 s of the default grace period; the rest is for a loaded machine

# What a sanitizer or a failed assertion of ours writes before the process ends.
REPORTS = ("Sanitizer", "runtime error:", "assertion failed", "BUG:")


class Strict(Cluster):
    """A cluster whose processes must end with status 0, unless the test killed them or said otherwise with `ends`."""

    def __exit__(self, *exc):
        problems = [text for proc in reversed(self.procs) if (text := problem_of(proc))]
        super().__exit__(*exc)
        if exc[0] is None:
            assert not problems, "\n".join(problems)
        elif problems:
            print("\n".join(problems))


def kill9(proc: Proc) -> None:
    proc.kill()
    proc.ends = -signal.SIGKILL


def stopped(proc: Proc) -> None:
    """Stop it and check at once that it ended well."""
    problem = problem_of(proc)
    assert problem is None, problem


def ends_within_grace(proc: Proc, grace_s: float = 5.0) -> int:
    """For a stop (begun already) that others hold up: it ends in order, or with status 1 when the grace period is over."""
    code = proc.handle.wait(grace_s + 5)
    proc.ends = code
    said = "Graceful shutdown timeout exceeded" in proc.log.read_text(errors="replace")
    assert (code, said) in ((0, False), (1, True)), proc.tail()
    return code


def again(proc: Proc, wait: bool = True) -> Proc:
    """Start a process that has ended once more, with the same flags and ports."""
    proc.ends = -signal.SIGTERM if isinstance(proc, App) else 0
    proc.start()
    return proc.wait_ready() if wait else proc


def problem_of(proc: Proc) -> str | None:
    wanted = getattr(proc, "ends", 0)
    alive = proc.handle.poll() is None
    begin = time.monotonic()
    code = proc.stop(STOP_S)
    text = proc.log.read_text(errors="replace")
    report = next((line for line in text.splitlines() if any(word in line for word in REPORTS)), None)
    if report is None and code == wanted:
        return None
    how = f"was stopped and ended after {time.monotonic() - begin:.1f} s" if alive else "had ended by itself"
    at = max(text.find(report or "") - 200, 0) if report else -4000
    return f"{proc.name} {how} with status {code}, wanted {wanted}\n{text[at:][:6000]}"


def run(role: str, *args: str, timeout_s: float = 15.0, env: dict | None = None, cwd=None,
        user: int | None = None) -> subprocess.CompletedProcess:
    """Run a binary that is to end by itself; stdout and stderr together in `.stdout`. `user` is whom root runs it as."""
    done = subprocess.run([binary(role), *args], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
                          timeout=timeout_s, env=dict(os.environ, **(env or {})), cwd=cwd, user=user, group=user,
                          extra_groups=[] if user is not None else None)
    assert not any(word in done.stdout for word in REPORTS), done.stdout
    return done


def rss_kib(proc: Proc) -> int:
    for line in pathlib.Path(f"/proc/{proc.pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    raise AssertionError("no VmRSS")


def fds(proc: Proc) -> int:
    """How many files and sockets the process has open."""
    return len(os.listdir(f"/proc/{proc.pid}/fd"))


def is_sanitized(role: str) -> bool:
    """Whether the binary carries the address sanitizer: it is then several times slower and larger."""
    return b"__asan_init" in pathlib.Path(binary(role)).read_bytes()


# What no server expects.
GARBAGE = {
    "noise": bytes(range(256)) * 64,
    "nul": b"\0" * 70000,
    "http1": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "tls": bytes.fromhex("16030100c8010000c40303") + b"\x5a" * 200,
    "preface and noise": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff" * 4096,
    "half a preface": b"PRI * HTTP/2.0\r\n",
    "endless line": b"GET /" + b"a" * 200000,
    "endless header": b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"a" * 200000,
    "many headers": b"GET / HTTP/1.1\r\nHost: x\r\n" + b"".join(b"A%d: 1\r\n" % n for n in range(20000)) + b"\r\n",
    "bad length": b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
    "two lengths": b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "settings flood": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0" * 5000,
}


def raw(port: int, data: bytes, timeout_s: float = 2.0) -> bytes:
    """Send these bytes to a port of 127.0.0.1, half-close, and return what comes until the other end closes or falls silent."""
    got = bytearray()
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout_s) as connection:
        with contextlib.suppress(OSError):
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
        while part := connection.recv(65536):
            got += part
    return bytes(got)


class App(Proc):
    """actor_app.py beside a sidecar: a process, so that it can be killed."""

    def __init__(self, cluster: Cluster, kind: str, config: dict | None = None, name: str = "the-app"):
        self.port, self.kind = free_port(), kind
        script = str(pathlib.Path(__file__).with_name("actor_app.py"))
        super().__init__("python", f"{name}-{self.port}", [script, str(self.port), kind, json.dumps(config or {})], cluster.folder)
        self.ready_url = f"http://127.0.0.1:{self.port}/healthz"
        self.ends = -signal.SIGTERM  # Python's own way
        cluster.procs.append(self)

    def start(self) -> "App":
        with open(self.log, "ab") as out:
            self.handle = subprocess.Popen([sys.executable, *self.args], stdout=out, stderr=subprocess.STDOUT)
        return self

    def seen(self) -> dict:
        return httpx.get(f"http://127.0.0.1:{self.port}/control/seen").json()

    def control(self, what: str) -> None:
        httpx.post(f"http://127.0.0.1:{self.port}/control/{what}")

    def wait(self, what: str, value, timeout_s: float = 10.0) -> None:
        """Wait until the entry of seen() has this value, or satisfies it."""
        wait_until(lambda: value(self.seen()[what]) if callable(value) else self.seen()[what] == value, timeout_s,
                   what=f"{what} of {self.name}")


class Pair(Host):
    """A sidecar with the app beside it, started together; the app is an `App`."""

    def __init__(self, cluster: Cluster, placement: Proc, kind: str, *flags: str, config: dict | None = None,
                 app_id: str | None = None, resources: dict | None = None, wait: bool = True, **options):
        app = App(cluster, kind, config).start().wait_ready()
        sidecar = cluster.sidecar(app_id or unique("app"), *flags, app_port=app.port, placement=placement, wait=wait,
                                  resources={"store.yaml": MEMORY_STORE} if resources is None else resources, **options)
        super().__init__(sidecar, app)

    def invoke_later(self, name: str, method: str = "hold"):
        """A call over gRPC that is under way: a future."""
        kind = self.app.kind
        return self.grpc.InvokeActor.future(actors_pb2.InvokeActorRequest(actor_type=kind, actor_id=name, method=method))

    def hosts(self, timeout_s: float = 20.0) -> "Pair":
        """Wait until it is in the table."""
        wait_until(lambda: self.metadata["actorRuntime"].get("hostReady"), timeout_s, what=f"{self.sidecar.name} hosts")
        return self
