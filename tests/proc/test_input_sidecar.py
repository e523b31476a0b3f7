"""Nonsense for the sidecar: flags, resources, ports, requests. A clear error that names cause and object, no crash, no hang."""
import contextlib
import json
import os
import socket

import grpc
import httpx
import pytest

from kit import GARBAGE, Pair, again, kill9, parts, raw, run
from lib import control_wire as wire
from lib.actors import ActorApp, Host, actors_pb2, error
from lib.procs import MEMORY_STORE, Cluster, free_port, wait_until

pytestmark = pytest.mark.quick

KIND = "kind"
PORTS = ("dapr-http-port", "dapr-grpc-port", "dapr-internal-grpc-port", "metrics-port")


def start(*flags: str, **options):
    """Run a sidecar that is to fail, on free ports; returns its status and last line."""
    ports = [f"--{name}={free_port()}" for name in PORTS if not any(flag.startswith(f"--{name}") for flag in flags)]
    done = run("daprd", "--app-id=bad", "--dapr-listen-addresses=127.0.0.1", "--dapr-internal-grpc-listen-address=127.0.0.1",
               *ports, *flags, **options)
    return done.returncode, done.stdout.strip().splitlines()[-1], done.stdout


def is_fatal(outcome, *words: str) -> None:
    status, last, text = outcome
    assert status == 1 and "level=fatal" in last, text
    for word in words:
        assert word in last, f"{word!r} is not in {last}"


# Flags

@pytest.mark.parametrize("flag, words", [
    ("--dapr-http-port=x1", ["dapr-http-port", "x1"]), ("--dapr-http-port=99999", ["dapr-http-port", "99999"]),
    ("--dapr-grpc-port=-1", ["dapr-grpc-port", "-1"]), ("--dapr-internal-grpc-port=1.5", ["dapr-internal-grpc-port", "1.5"]),
    ("--metrics-port=many", ["metrics-port", "many"]), ("--app-port=65536", ["app-port", "65536"]),
    ("--app-protocol=smoke", ["app-protocol", "smoke"]), ("--app-id=", ["app-id"]), ("--app-id=a.b", ["app-id", "dots"]),
    ("--max-body-size=huge", ["max-body-size", "huge"]), ("--max-body-size=1e", ["max-body-size", "1e"]),
    ("--read-buffer-size=4Q", ["read-buffer-size", "4Q"]), ("--log-level=loud", ["log-level", "loud"]),
    ("--actors-disseminate-timeout=0s", ["actors-disseminate-timeout"]),
    ("--actors-disseminate-timeout=-1s", ["actors-disseminate-timeout"]), ("--enable-mtls", ["mtls"]),
    ("--mode=submarine", ["submarine"]), ("--disable-init-endpoints=tea", ["disable-init-endpoints", "tea"]),
    ("--log-file=/no/such/folder/log", ["/no/such/folder/log"]), ("--config=/no/such/file.yaml", ["/no/such/file.yaml"]),
    ("--resources-path=/no/such/folder", ["/no/such/folder"]), ("--dapr-listen-addresses=203.0.113.7", ["203.0.113.7"]),
    ("--dapr-listen-addresses=no.such.host.invalid", ["no.such.host.invalid"]),
    ("--dapr-internal-grpc-listen-address=203.0.113.7", ["203.0.113.7"]), ("--metrics-listen-address=203.0.113.7", ["203.0.113.7"]),
    ("--unix-domain-socket=/no/such/folder", ["/no/such/folder"]), ("--unix-domain-socket=/" + "x" * 200, ["x" * 60]),
], ids=lambda value: value if isinstance(value, str) else "")
def test_a_setting_that_cannot_be_used_is_fatal_and_named(flag, words):
    is_fatal(start(flag), *words)


@pytest.mark.parametrize("flag", [
    "--app-max-concurrency=many", "--app-max-concurrency=99999999999999999999", "--enable-mtls=maybe",
    "--actors-disseminate-timeout=1", "--actors-disseminate-timeout=1 s", "--actors-disseminate-timeout=",
    "--actors-disseminate-timeout=1h2", "--actors-disseminate-timeout=9223372036854775808ns",
    "--dapr-block-shutdown-duration=soon", "--hot-reload-reconcile-interval=--", "--scheduler-job-streams=-1",
    "--dapr-graceful-shutdown-seconds=5s", "--no-such-flag", "--enable-api-logging=2", "--=1", "---x"])
def test_a_malformed_flag_ends_with_status_2_and_is_named(flag):
    status, _, text = start(flag)
    assert status == 2, text
    name = flag.lstrip("-").split("=")[0] or flag.split("=")[0]
    assert name in text.splitlines()[0] + text.splitlines()[-1], text


def test_a_very_long_flag_is_an_error_like_any_other():
    assert start("--" + "x" * 100_000)[0] == 2
    is_fatal(start("--dapr-http-port=" + "9" * 100_000), "dapr-http-port")
    is_fatal(start("--app-protocol=" + "x" * 100_000), "app-protocol")


# Ports in use

@pytest.mark.parametrize("flag", ["dapr-http-port", "dapr-grpc-port", "dapr-internal-grpc-port", "metrics-port", "dapr-public-port"])
def test_a_port_in_use_is_fatal_and_named(flag):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        more = ["--metrics-listen-address=127.0.0.1"] if flag == "metrics-port" else []
        more += ["--dapr-public-listen-address=127.0.0.1"] if flag == "dapr-public-port" else []
        is_fatal(start(f"--{flag}={port}", *more), str(port), "address already in use")


def test_the_internal_port_is_another_one_when_the_usual_one_is_taken(cluster):
    """Without the flag it depends on app id, folder, user and host, so that two of one kind meet there."""
    first, second = [cluster.sidecar("same", "--dapr-internal-grpc-port=0", name=f"same-{n}") for n in range(2)]
    for one in (first, second):
        assert httpx.get(f"{one.url}/v1.0/healthz").status_code == 204


def test_sockets_left_over_from_a_killed_sidecar_are_no_obstacle(cluster):
    folder = cluster.folder / "sockets"
    folder.mkdir()
    sidecar = cluster.sidecar("sock", f"--unix-domain-socket={folder}", wait=False)
    sidecar.ready_url = f"http://127.0.0.1:{sidecar.public}/v1.0/healthz"
    sidecar.wait_ready()
    kill9(sidecar)
    assert (folder / "dapr-sock-http.socket").exists()
    again(sidecar)
    with httpx.Client(transport=httpx.HTTPTransport(uds=str(folder / "dapr-sock-http.socket"))) as client:
        assert client.get("http://x/v1.0/healthz").status_code == 204


# Resources

def with_resources(files: dict[str, str | bytes], *flags: str):
    with Cluster() as files_only:
        for name, text in files.items():
            (files_only.folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
        return start(f"--resources-path={files_only.folder}", *flags)


def component(kind: str, name: str = "thing", version: str = "v1", more: str = "") -> str:
    return f"""\
apiVersion: dapr.io/v1alpha1
kind: Component
metadata:
  name: {name}
spec:
  type: {kind}
  version: {version}
  metadata: []
{more}"""


@pytest.mark.parametrize("kind, words", [
    ("state.papyrus", "couldn't find state store state.papyrus/v1"), ("nonsense", "incorrect type nonsense"),
    ("pubsub.pigeon", "pubsub.pigeon/v1"), ("state.", "state."), ("state.lmdb", "path")])
def test_a_component_that_cannot_be_made_is_fatal_and_named(kind, words):
    is_fatal(with_resources({"a.yaml": component(kind)}), "thing", words)


def test_an_unknown_version_is_fatal_and_named():
    is_fatal(with_resources({"a.yaml": component("state.in-memory", version="v9")}), "thing", "state.in-memory/v9")


def test_two_components_of_one_name_are_fatal_and_named():
    is_fatal(with_resources({"a.yaml": component("state.in-memory"), "b.yaml": component("state.in-memory")}),
             "duplicate definition of Component name thing")


def test_an_ignored_component_is_told_and_does_not_end_the_process(cluster):
    sidecar = cluster.sidecar("ignores", resources={"a.yaml": component("state.papyrus", more="  ignoreErrors: true\n")})
    log = sidecar.log.read_text()
    assert "Ignoring error processing component" in log and "state.papyrus/v1" in log
    answer = httpx.get(f"{sidecar.url}/v1.0/state/thing/k")
    assert (answer.status_code, answer.json()["errorCode"]) in ((500, "ERR_STATE_STORE_NOT_CONFIGURED"), (400, "ERR_STATE_STORE_NOT_FOUND"))


BAD_YAML = {
    "tabs": "apiVersion: dapr.io/v1alpha1\n\tkind: Component\n",
    "open quote": "apiVersion: \"dapr.io/v1alpha1\nkind: Component\n",
    "open bracket": "kind: [Component\n",
    "binary": bytes(range(256)) * 8,
    "not utf-8": b"kind: Component\nmetadata: {name: \xff\xfe}\n",
    "utf-16": "kind: Component\n".encode("utf-16"),
    "a list": "- apiVersion: dapr.io/v1alpha1\n- kind: Component\n",
    "a scalar": "42\n",
    "deep": "apiVersion: dapr.io/v1alpha1\nkind: Component\nmetadata: " + "[" * 5000 + "]" * 5000 + "\n",
    "deep blocks": "".join("%s- \n" % (" " * n) for n in range(2000)),
    "laughs": "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(f"{chr(98 + n)}: &{chr(98 + n)} [{','.join(['*' + chr(97 + n)] * 10)}]\n"
                                                         for n in range(12)),
    "unknown alias": "a: *nobody\n",
    "self alias": "a: &a [*a]\n",
    "empty": "",
    "only dashes": "---\n---\n---\n",
    "metadata is a scalar": "apiVersion: dapr.io/v1alpha1\nkind: Component\nmetadata: 5\nspec: 6\n",
    "spec.metadata is a scalar": component("state.in-memory").replace("metadata: []", "metadata: 7"),
    "no name": "apiVersion: dapr.io/v1alpha1\nkind: Component\nspec:\n  type: state.in-memory\n  version: v1\n",
    "slash in the name": component("state.in-memory", name="a/b"),
    "long name": component("state.in-memory", name="n" * 100_000),
    "1 MiB comment": "# " + "x" * (1 << 20) + "\n",
    "duplicate keys": "kind: Component\nkind: Component\napiVersion: dapr.io/v1alpha1\n",
}


@pytest.mark.parametrize("text", BAD_YAML.values(), ids=BAD_YAML)
def test_a_file_that_is_no_resource_is_told_or_passed_over_and_the_good_ones_are_used(cluster, text):
    folder = cluster.folder / "mixed"
    folder.mkdir()
    (folder / "bad.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
    (folder / "good.yaml").write_text(MEMORY_STORE)
    sidecar = cluster.sidecar("mixed", f"--resources-path={folder}", wait=False)
    wait_until(lambda: sidecar.handle.poll() is not None or httpx.get(sidecar.ready_url).status_code == 204, 15)
    log = sidecar.log.read_text(errors="replace")
    if sidecar.handle.poll() is not None:
        sidecar.ends = 1
        last = log.strip().splitlines()[-1]
        assert "level=fatal" in last and ("bad.yaml" in last or "thing" in last), log
    else:
        names = [one["name"] for one in httpx.get(f"{sidecar.url}/v1.0/metadata").json()["components"]]
        assert "statestore" in names


@pytest.mark.parametrize("text", [BAD_YAML[key] for key in ("tabs", "open quote", "open bracket", "binary")],
                         ids=("tabs", "open quote", "open bracket", "binary"))
def test_a_file_that_is_no_yaml_is_warned_of_by_its_path(cluster, text):
    sidecar = cluster.sidecar("warns", resources={"good.yaml": MEMORY_STORE}, wait=False)
    kill9(sidecar)
    bad = cluster.folder / f"{sidecar.name}-resources" / "bad.yaml"
    bad.write_bytes(text if isinstance(text, bytes) else text.encode())
    again(sidecar)
    warned = [line for line in sidecar.log.read_text(errors="replace").splitlines() if "level=warning" in line and str(bad) in line]
    assert warned, sidecar.tail()


@pytest.mark.parametrize("text", ["spec: [", "- a", "kind: Configuration\nspec: 5\n", b"\xff\xfe\x00", ""],
                         ids=("cut", "list", "spec is a scalar", "binary", "empty"))
def test_a_configuration_that_is_none_is_fatal_and_named_or_read_as_empty(cluster, text):
    path = cluster.folder / "conf.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    sidecar = cluster.sidecar("conf", f"--config={path}", wait=False)
    wait_until(lambda: sidecar.handle.poll() is not None or httpx.get(sidecar.ready_url).status_code == 204, 15)
    if sidecar.handle.poll() is not None:
        sidecar.ends = 1
        last = sidecar.tail().strip().splitlines()[-1]
        assert "level=fatal" in last and "error loading configuration" in last and str(path) in last, last


@pytest.mark.parametrize("name, text", [("a-folder.yaml", None), ("unreadable.yaml", "kind: Component\n"), ("dangling.yaml", "->")])
def test_an_entry_that_cannot_be_read_does_not_hang_or_crash_the_start(cluster, name, text):
    folder = cluster.folder / "odd"
    folder.mkdir()
    path = folder / name
    if text is None:
        path.mkdir()
    elif text == "->":
        path.symlink_to("/no/such/file")
    else:
        path.write_text(text)
        path.chmod(0)
    sidecar = cluster.sidecar("odd", f"--resources-path={folder}", wait=False)
    wait_until(lambda: sidecar.handle.poll() is not None or httpx.get(sidecar.ready_url).status_code == 204, 15)
    if sidecar.handle.poll() is not None:
        sidecar.ends = 1
        last = sidecar.tail().strip().splitlines()[-1]
        assert "level=fatal" in last and str(folder) in last, last


# The app's own configuration

@pytest.mark.parametrize("config", [
    {"actorIdleTimeout": "soon"}, {"actorIdleTimeout": -1}, {"drainOngoingCallTimeout": "1 fortnight"}, {"entities": "kind"},
    {"entities": [1, None, "kind"]}, {"reentrancy": {"enabled": "perhaps", "maxStackDepth": -3}},
    {"entitiesConfig": [{"entities": ["kind"], "actorIdleTimeout": []}]}, {"remindersStoragePartitions": 1e400}],
    ids=lambda value: json.dumps(value))
def test_a_bad_app_configuration_is_warned_of_and_the_sidecar_lives(cluster, config):
    pair = Pair(cluster, cluster.placement(), KIND, config=config)
    wait_until(lambda: pair.metadata["actorRuntime"].get("runtimeStatus") == "RUNNING", 10)
    assert httpx.get(f"{pair.sidecar.url}/v1.0/healthz").status_code == 204
    pair.close()


# Requests

@pytest.fixture(scope="module")
def shared():
    from kit import Strict
    with Strict() as cluster:
        pair = Pair(cluster, cluster.placement(), KIND).hosts()
        yield pair
        pair.close()


def lives(pair: Pair) -> None:
    assert pair.call(f"{KIND}/alive", "echo", b"yes").text == "yes"
    assert pair.invoke(f"{KIND}/alive", "echo", b"yes") == b"yes"


@pytest.mark.parametrize("port", ["http", "grpc", "internal", "public", "metrics"])
@pytest.mark.parametrize("data", GARBAGE.values(), ids=GARBAGE)
def test_garbage_on_a_port_disturbs_nobody(shared, port, data):
    raw(getattr(shared.sidecar, port), data)
    lives(shared)


@pytest.mark.parametrize("where", ["http", "app"])
def test_silent_connections_keep_nobody_out(shared, where):
    port = shared.sidecar.http if where == "http" else shared.sidecar.grpc
    with contextlib.ExitStack() as stack:
        for _ in range(200):
            stack.enter_context(socket.create_connection(("127.0.0.1", port)))
        lives(shared)


def test_a_head_too_large_is_431(shared):
    answer = raw(shared.sidecar.http, b"GET /v1.0/metadata HTTP/1.1\r\nHost: x\r\nA: " + b"a" * 20_000 + b"\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 431 "), answer[:100]
    lives(shared)


def test_a_body_too_large_is_refused_over_http_with_its_cause(shared):
    big = b"x" * ((4 << 20) + 2)
    answer = shared.call(f"{KIND}/a", "echo", big)
    assert parts(answer) == error(400, "ERR_BAD_REQUEST") and "too large" in answer.json()["message"]

    def chunks():
        for _ in range(5):
            yield b"x" * (1 << 20)

    answer = httpx.post(f"{shared.sidecar.url}/v1.0/actors/{KIND}/a/method/echo", content=chunks(), timeout=20)
    assert parts(answer) == error(400, "ERR_BAD_REQUEST") and "too large" in answer.json()["message"]
    lives(shared)


def test_a_body_too_large_is_refused_over_grpc_with_its_cause(shared):
    with pytest.raises(grpc.RpcError) as caught:
        shared.invoke(f"{KIND}/a", "echo", b"x" * (5 << 20))
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED and "larger than max" in caught.value.details()
    lives(shared)


def test_a_declared_body_beyond_everything_is_refused_before_it_comes(shared):
    head = f"POST /v1.0/actors/{KIND}/a/method/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 999999999999999\r\n\r\n"
    assert raw(shared.sidecar.http, head.encode()).startswith(b"HTTP/1.1 400 ")
    lives(shared)


@pytest.mark.parametrize("data", [
    b"POST /v1.0/state/statestore HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",
    b"POST /v1.0/state/statestore HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
    b"POST /v1.0/state/statestore HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
    b"POST /v1.0/state/statestore HTTP/1.1\r\nContent-Length: 2\r\n\r\n[]",
    b"POST /v1.0/state/statestore HTTP/1.1\r\nHost: x\r\nHost: y\r\nContent-Length: 2\r\n\r\n[]",
    b"POST /v1.0/state/statestore HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n[]",
    b"POST /v1.0/state/statestore HTTP/9.9\r\nHost: x\r\n\r\n",
    b"PO\0ST / HTTP/1.1\r\nHost: x\r\n\r\n",
], ids=["bad chunk", "huge chunk", "chunked with length", "no host", "two hosts", "two lengths", "version", "nul in method"])
def test_a_malformed_request_is_400_or_closed(shared, data):
    answer = raw(shared.sidecar.http, data)
    assert answer == b"" or answer.split(b" ")[1] in (b"400", b"505", b"501"), answer[:200]
    lives(shared)


@pytest.mark.parametrize("body", [
    b"{", b"[", b"nul", b"[1]", b"{}", b"[{\"key\": 5}]", b"[{\"value\": 1}]", b"\xff\xfe", b"[" * 100_000, b"{\"a\":" * 50_000,
    b"[{\"key\":\"k\",\"value\":1e999999}]", b"[{\"key\":\"\\ud800\",\"value\":1}]", b"[{\"key\":\"k\",\"value\":01}]",
    b"[{\"key\":\"k\",\"value\":1},]", b"\"" + b"x" * (3 << 20)], ids=lambda value: repr(value[:20]))
@pytest.mark.parametrize("target", ["/v1.0/state/statestore", f"/v1.0/actors/{KIND}/alive/state", "/v1.0/state/statestore/bulk",
                                    f"/v1.0/actors/{KIND}/alive/timers/t", "/v1.0/state/statestore/transaction"])
def test_bad_json_is_an_error_with_a_cause_and_nothing_else(shared, target, body):
    answer = httpx.post(shared.sidecar.url + target, content=body, timeout=20)
    assert answer.status_code < 600 and (answer.status_code in (200, 204) or answer.json()["errorCode"]), answer.text
    assert answer.status_code not in (502, 503, 504)


def test_after_all_that_bad_json_it_lives(shared):
    lives(shared)


@pytest.mark.parametrize("due, cause", [("soon", "soon"), ("R5/PT1S", "repetitions are not allowed"), ("-5s", None), ("1e9h", "1e9h")])
def test_a_bad_due_time_is_refused_and_named(shared, due, cause):
    answer = shared.timer(f"{KIND}/alive", "t", {"dueTime": due, "period": "1s", "callback": "c"})
    if cause is not None:
        assert parts(answer) == error(500, "ERR_ACTOR_TIMER_CREATE") and cause in answer.json()["message"], answer.text
    shared.timer(f"{KIND}/alive", "t", None, "DELETE")
    lives(shared)


@pytest.mark.parametrize("path", ["/dapr.proto.runtime.v1.Dapr/InvokeActor", "/dapr.proto.runtime.v1.Dapr/SaveState",
                                  "/dapr.proto.runtime.v1.Dapr/ExecuteActorStateTransaction"])
@pytest.mark.parametrize("data", [b"\xff" * 40, b"\x0a\xff\xff\xff\xff\x0f", b"\x0a\x05ab", b"\x00"], ids=["tags", "length", "cut", "zero"])
@pytest.mark.parametrize("port", ["grpc", "internal"])
def test_a_message_that_is_no_protobuf_is_an_error(shared, port, path, data):
    if port == "internal":
        path = "/dapr.proto.internals.v1.ServiceInvocation/CallActor"
    with wire.dial(f"127.0.0.1:{getattr(shared.sidecar, port)}") as channel:
        code = wire.code_of(lambda: channel.unary_unary(path)(data, timeout=10))
        assert code in (grpc.StatusCode.INTERNAL, grpc.StatusCode.INVALID_ARGUMENT), code
    lives(shared)


def test_names_beyond_any_reason_are_served_or_refused(shared):
    for name in ("x" * 3000, "%00", "%2e%2e", "%ff%fe", "a%2Fb", "%zz", "%F0%9F%98%80"):
        answer = shared.raw("POST", f"/v1.0/actors/{KIND}/{name}/method/echo", b"b")
        assert answer.status in (200, 400, 404, 431, 500), (name, answer)
    with contextlib.suppress(grpc.RpcError):
        shared.grpc.InvokeActor(actors_pb2.InvokeActorRequest(actor_type=KIND, actor_id="x" * 1_000_000, method="echo"), timeout=10)
    lives(shared)


def test_a_path_of_everything_is_not_found(shared):
    for path in ("/", "/v1.0", "/v1.0/", "/v9/actors", "/v1.0/actors", f"/v1.0/actors/{KIND}", "//", "/%2e%2e/%2e%2e/etc/passwd",
                 "/v1.0/state", "/v1.0/nothing?" + "q" * 3000, "*"):
        assert shared.raw("GET", path).status in (400, 404, 405, 500), path
    lives(shared)


def internal_call(pair: Pair, metadata: dict[str, list[str]], actor_id: str = "alive", method: str = "echo"):
    """Status of a call over the internal port, as another sidecar makes it."""
    message = wire.internals.InternalInvokeRequest(ver=1, actor=wire.internals.Actor(actor_type=KIND, actor_id=actor_id))
    message.message.method = method
    for key, values in metadata.items():
        message.metadata[key].values.extend(values)
    with wire.dial(f"127.0.0.1:{pair.sidecar.internal}") as channel:
        call = channel.unary_unary("/dapr.proto.internals.v1.ServiceInvocation/CallActor")
        return wire.code_of(lambda: call(message.SerializeToString(), timeout=20))


@pytest.mark.parametrize("metadata", [
    {f"H{n}": ["v"] for n in range(50_000)}, {"Same": ["v"] * 100_000}, {"Long": ["v" * 1_000_000]}, {"": ["v"]}, {"a b": ["v"]},
    {"A\r\nInjected": ["v"]}, {"A": ["v\r\nInjected: 1"]}, {"A": []}, {"Content-Length": ["5"]}, {"Transfer-Encoding": ["chunked"]},
    {"Host": ["elsewhere"]}], ids=lambda value: repr(value)[:20])
def test_metadata_of_any_kind_is_served_or_refused(shared, metadata):
    assert internal_call(shared, metadata) is not grpc.StatusCode.DEADLINE_EXCEEDED
    one_each = {key: (values or [""])[0] for key, values in metadata.items()}
    message = actors_pb2.InvokeActorRequest(actor_type=KIND, actor_id="alive", method="echo", metadata=one_each)
    assert wire.code_of(lambda: shared.grpc.InvokeActor(message, timeout=20)) is not grpc.StatusCode.DEADLINE_EXCEEDED
    lives(shared)


@pytest.mark.parametrize("name", ["a\r\nInjected: 1", "a b", "a?b#c", "%0d%0aInjected: 1", "\u00fc", "a\0b", "../../x", ""])
def test_names_over_the_internal_port_inject_nothing(shared, name):
    for actor_id, method in ((name, "echo"), ("alive", name)):
        assert internal_call(shared, {}, actor_id, method) is not grpc.StatusCode.DEADLINE_EXCEEDED
    lives(shared)


def test_nothing_that_a_caller_says_becomes_a_header_or_a_request_of_its_own(cluster):
    with ActorApp([KIND]) as app:
        sidecar = cluster.sidecar("inject", app_port=app.port, placement=cluster.placement(), resources={"store.yaml": MEMORY_STORE})
        host = Host(sidecar, app)
        wait_until(lambda: host.metadata["actorRuntime"].get("hostReady"), 10)
        bad = "x\r\nInjected: 1\r\n\r\nPUT /injected HTTP/1.1\r\nHost: x\r\n\r\n"
        for metadata in ({"A": bad}, {bad: "v"}):
            wire.code_of(lambda: host.grpc.InvokeActor(actors_pb2.InvokeActorRequest(
                actor_type=KIND, actor_id="a", method="m", metadata=metadata), timeout=10))
        for kind, actor_id, method in ((bad, "a", "m"), (KIND, bad, "m"), (KIND, "a", bad)):
            wire.code_of(lambda: host.grpc.InvokeActor(actors_pb2.InvokeActorRequest(
                actor_type=kind, actor_id=actor_id, method=method), timeout=10))
        for target in ("a%0d%0aInjected:%201", "a%20HTTP/1.1%0d%0aInjected:%201%0d%0a%0d%0a"):
            host.raw("POST", f"/v1.0/actors/{KIND}/{target}/method/m?q=1%0d%0aInjected:%201")
            host.raw("POST", f"/v1.0/actors/{KIND}/a/method/{target}")
        assert host.call(f"{KIND}/a", "m").status_code == 200
        for request in app.seen():
            assert "injected" not in {name.lower() for name in request.headers.keys()}, request
            assert not request.path.startswith("/injected")
        host.close()


# An app that answers nonsense

NONSENSE = {
    "noise": bytes(range(256)) * 4,
    "not http": b"hello\r\n\r\n",
    "no status": b"HTTP/1.1 \r\n\r\n",
    "huge head": b"HTTP/1.1 200 OK\r\nA: " + b"a" * (1 << 20) + b"\r\n\r\n",
    "many headers": b"HTTP/1.1 200 OK\r\n" + b"".join(b"A%d: 1\r\n" % n for n in range(20000)) + b"\r\n",
    "bad chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",
    "bad length": b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
    "nothing": b"",
    "endless 100": b"HTTP/1.1 100 Continue\r\n\r\n" * 10000,
}


@pytest.fixture(scope="module")
def odd_app():
    """A sidecar whose app answers a method call with the bytes that the test puts into `answer`."""
    import threading
    from kit import Strict
    state = {"answer": b""}

    def serve(connection):
        with contextlib.suppress(OSError):
            while head := connection.recv(65536):
                if b"/method/" in head:
                    connection.sendall(state["answer"])
                    break
                body = json.dumps({"entities": [KIND]}).encode()
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        connection.close()

    def accept(server):
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=serve, args=(server.accept()[0],), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as server, Strict() as cluster:
        threading.Thread(target=accept, args=(server,), daemon=True).start()
        sidecar = cluster.sidecar("odd-app", app_port=server.getsockname()[1], placement=cluster.placement(),
                                  resources={"store.yaml": MEMORY_STORE})
        yield sidecar, state


@pytest.mark.parametrize("answer", NONSENSE.values(), ids=NONSENSE)
def test_an_app_that_answers_nonsense_is_an_error_for_its_caller(odd_app, answer):
    sidecar, state = odd_app
    state["answer"] = answer
    got = httpx.post(f"{sidecar.url}/v1.0/actors/{KIND}/a/method/m", timeout=20)
    assert parts(got) == error(500, "ERR_ACTOR_INVOKE_METHOD"), got.text
    assert "did not find address" not in got.text
    state["answer"] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    assert httpx.post(f"{sidecar.url}/v1.0/actors/{KIND}/a/method/m", timeout=20).text == "ok"


