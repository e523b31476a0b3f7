"""File descriptors run out: it is said, nothing breaks, and all is well when there are some again."""
import contextlib
import os
import resource
import socket
import subprocess
import time

import grpc
import pytest

from kit import Pair, fds
from lib.control_procs import leading_placement
from lib.procs import Proc, binary, wait_until

KIND, FEW = "kind", 64


def starve(proc: Proc) -> None:
    resource.prlimit(proc.pid, resource.RLIMIT_NOFILE, (FEW, FEW))


def cpu_s(proc: Proc) -> float:
    fields = open(f"/proc/{proc.pid}/stat").read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def crowd(proc: Proc, port: int):
    """Take all descriptors of the process by connections to this port; it is quiet then."""
    with contextlib.ExitStack() as stack:
        for _ in range(2 * FEW):
            stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=5))
        wait_until(lambda: fds(proc) >= FEW - 1, 10, what="no descriptor is left")
        wait_until(lambda: "no file descriptor is left" in proc.log.read_text(), 10)
        before, begin = cpu_s(proc), time.monotonic()
        yield
        wait_until(lambda: time.monotonic() - begin > 1)
        assert cpu_s(proc) - before < 0.5 * (time.monotonic() - begin)


def answers(port: int) -> None:
    """A gRPC server answers on a new connection."""
    with grpc.insecure_channel(f"127.0.0.1:{port}", options=[("grpc.use_local_subchannel_pool", 1)]) as channel:
        grpc.channel_ready_future(channel).result(timeout=10)


@pytest.mark.parametrize("port", ["http", "grpc", "internal", "metrics"])
def test_a_sidecar_out_of_descriptors_serves_who_is_connected_and_then_everybody_again(cluster, port):
    pair = Pair(cluster, cluster.placement(), KIND).hosts()
    assert pair.call(f"{KIND}/a", "add").text == "1"
    starve(pair.sidecar)
    with crowd(pair.sidecar, getattr(pair.sidecar, port)):
        assert pair.call(f"{KIND}/a", "add").text == "2"
    wait_until(lambda: "there are file descriptors again" in pair.sidecar.log.read_text(), 10)
    for server in ("grpc", "internal"):
        answers(getattr(pair.sidecar, server))
    assert pair.raw("POST", f"/v1.0/actors/{KIND}/a/method/add").body == b"3"
    pair.close()


def test_placement_out_of_descriptors_keeps_its_hosts_and_then_takes_others(cluster):
    placement = leading_placement(cluster)
    here = Pair(cluster, placement, KIND).hosts()
    starve(placement)
    with crowd(placement, placement.port):
        assert here.call(f"{KIND}/a", "add").text == "1"
    answers(placement.port)
    there = Pair(cluster, placement, KIND).hosts()
    assert there.call(f"{KIND}/a", "add").status_code == 200
    here.close(), there.close()


@pytest.mark.quick
@pytest.mark.parametrize("role", ["daprd", "placement"])
def test_too_few_descriptors_for_anything_are_said_at_the_start(role):
    done = subprocess.run(["sh", "-c", f"ulimit -n 40; exec {binary(role)} --app-id x"], capture_output=True, text=True, timeout=10)
    assert done.returncode == 1
    assert "at most 40 file descriptors are allowed, 64 are needed (ulimit -n)" in done.stderr


@pytest.mark.quick
def test_the_soft_limit_is_raised_to_the_hard_one(cluster):
    sidecar = cluster.sidecar("raises")
    soft, hard = resource.prlimit(sidecar.pid, resource.RLIMIT_NOFILE)
    assert soft == hard
