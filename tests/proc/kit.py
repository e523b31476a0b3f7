"""What the process tests share: clusters that insist on a good end, an app that can be killed, looks into a process."""
import contextlib
import os
import pathlib
import signal
import socket
import subprocess
import time

from lib.procs import Cluster, Proc, binary

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


def again(proc: Proc, wait: bool = True) -> Proc:
    """Start a process that has ended once more, with the same flags and ports."""
    proc.ends = 0
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


def run(role: str, *args: str, timeout_s: float = 15.0, env: dict | None = None, cwd=None) -> subprocess.CompletedProcess:
    """Run a binary that is to end by itself; stdout and stderr together in `.stdout`."""
    done = subprocess.run([binary(role), *args], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
                          timeout=timeout_s, env=dict(os.environ, **(env or {})), cwd=cwd)
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
