"""What the actor tests share: an app that hosts actors, a sidecar beside it, raw HTTP and the public gRPC API."""
import base64
import concurrent.futures
import contextlib
import dataclasses
import http.client
import json
import os
import threading
import time
import uuid

import grpc
import httpx
import pytest
from dapr.proto.runtime.v1 import actors_pb2, dapr_pb2_grpc, metadata_pb2  # noqa: F401 - handed on to the tests

from .app import App, Request, Response
from .procs import MEMORY_STORE, Cluster, Proc, Sidecar, wait_until

# A store that outlives its process; with the originals' binaries set CONFORMANCE_DURABLE_STORE=state.sqlite.
DURABLE_STORE = {
    "state.lmdb": """\
apiVersion: dapr.io/v1alpha1
kind: Component
metadata:
  name: statestore
spec:
  type: state.lmdb
  version: v1
  metadata:
  - name: path
    value: "{path}"
  - name: actorStateStore
    value: "true"
""",
    "state.sqlite": """\
apiVersion: dapr.io/v1alpha1
kind: Component
metadata:
  name: statestore
spec:
  type: state.sqlite
  version: v1
  metadata:
  - name: connectionString
    value: "{path}"
  - name: actorStateStore
    value: "true"
""",
}[os.environ.get("CONFORMANCE_DURABLE_STORE", "state.lmdb")]

STATE_TTL_CONFIG = """\
apiVersion: dapr.io/v1alpha1
kind: Configuration
metadata:
  name: ttl
spec:
  features:
  - name: ActorStateTTL
    enabled: true
"""


@dataclasses.dataclass
class Control:
    """Placement and scheduler, shared by all tests that do not disturb them; no scheduler where the binaries have none."""
    placement: Proc
    scheduler: Proc | None


@pytest.fixture(scope="session")
def control():
    with Cluster() as cluster:
        placement = cluster.placement(wait=False)
        scheduler = cluster.scheduler_if_there(wait=False)
        yield Control(placement.wait_ready(), scheduler and scheduler.wait_ready())


class Gate:
    """A handler that keeps every callback waiting until `open()`, and knows how many are inside."""

    def __init__(self, answer=None):
        self.answer = answer
        self.released = threading.Event()
        self.lock = threading.Lock()
        self.inside = 0
        self.most_inside = 0
        self.requests: list[Request] = []

    def __call__(self, request: Request):
        with self.lock:
            self.requests.append(request)
            self.inside += 1
            self.most_inside = max(self.most_inside, self.inside)
        self.released.wait(60)
        with self.lock:
            self.inside -= 1
        return self.answer(request) if callable(self.answer) else self.answer

    def open(self) -> None:
        self.released.set()


class ActorApp(App):
    """An app that accepts every actor callback with 200 and an empty body unless a handler says otherwise."""

    def __init__(self, types: list[str], config: dict | None = None, port: int | None = None):
        super().__init__(actors=types, config=config, port=port)
        self.on("PUT", r"/actors/.*", lambda r: None)
        self.on("DELETE", r"/actors/.*", lambda r: None)
        self.gates: list[Gate] = []

    def method(self, actor: str, method: str, handler) -> "ActorApp":
        """`actor` is `type/id`; both it and `method` may be patterns."""
        self.on("PUT", rf"/actors/{actor}/method/{method}", handler)
        return self

    def gate(self, actor: str, method: str, answer=None) -> Gate:
        gate = Gate(answer)
        self.gates.append(gate)
        self.method(actor, method, gate)
        return gate

    def turns(self, actor: str = ".*", method: str = ".*") -> list[Request]:
        return self.seen("PUT", rf"/actors/{actor}/method/{method}")

    def deactivations(self, actor: str = ".*") -> list[Request]:
        return self.seen("DELETE", rf"/actors/{actor}")

    def __exit__(self, *exc):
        for gate in self.gates:
            gate.open()
        super().__exit__(*exc)


@dataclasses.dataclass
class Raw:
    """An HTTP answer; header names are lower case and may repeat."""
    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str | None:
        values = [value for key, value in self.headers if key == name.lower()]
        return ", ".join(values) if values else None

    @property
    def json(self):
        return json.loads(self.body)


def raw_http(port: int, verb: str, target: str, body: bytes = b"", headers=(), timeout_s: float = 20.0) -> Raw:
    """Send exactly this request target: nothing is normalised or encoded on the way."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout_s)
    try:
        connection._validate_path = lambda path: None
        connection._encode_request = lambda request: request.encode("utf-8")
        connection.putrequest(verb, target, skip_accept_encoding=True)
        for key, value in headers:
            connection.putheader(key, value)
        if body or verb in ("POST", "PUT"):
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body or None)
        answer = connection.getresponse()
        return Raw(answer.status, [(k.lower(), v) for k, v in answer.getheaders()], answer.read())
    finally:
        connection.close()


class Host:
    """A sidecar, with the app beside it if there is one, seen from a client."""

    def __init__(self, sidecar: Sidecar, app: ActorApp | None):
        self.sidecar, self.app = sidecar, app
        self.http = httpx.Client(base_url=sidecar.url, timeout=30.0, limits=httpx.Limits(max_connections=None))
        self.channel = grpc.insecure_channel(f"127.0.0.1:{sidecar.grpc}")
        self.grpc = dapr_pb2_grpc.DaprStub(self.channel)
        self.pool = concurrent.futures.ThreadPoolExecutor(64)

    def close(self) -> None:
        self.pool.shutdown(wait=False, cancel_futures=True)
        self.channel.close()
        self.http.close()

    def raw(self, verb: str, target: str, body: bytes = b"", headers=(), timeout_s: float = 20.0) -> Raw:
        return raw_http(self.sidecar.http, verb, target, body, headers, timeout_s)

    def call(self, actor: str, method: str, body: bytes = b"", verb: str = "POST", headers=None, timeout_s=30.0):
        """Invoke a method of `type/id` over HTTP."""
        return self.http.request(verb, f"/v1.0/actors/{actor}/method/{method}", content=body, headers=headers, timeout=timeout_s)

    def start(self, function, *args, **keywords) -> concurrent.futures.Future:
        return self.pool.submit(function, *args, **keywords)

    def start_call(self, actor: str, method: str, *args, **keywords) -> concurrent.futures.Future:
        return self.start(self.call, actor, method, *args, **keywords)

    def invoke(self, actor: str, method: str, data: bytes = b"", metadata=None, timeout_s: float = 30.0) -> bytes:
        """Invoke a method of `type/id` over gRPC."""
        kind, name = actor.split("/", 1)
        request = actors_pb2.InvokeActorRequest(actor_type=kind, actor_id=name, method=method, data=data, metadata=metadata or {})
        return self.grpc.InvokeActor(request, timeout=timeout_s).data

    def transact(self, actor: str, operations) -> httpx.Response:
        return self.http.post(f"/v1.0/actors/{actor}/state", json=operations)

    def upsert(self, actor: str, key: str, value) -> httpx.Response:
        return self.transact(actor, [{"operation": "upsert", "request": {"key": key, "value": value}}])

    def state(self, actor: str, key: str) -> httpx.Response:
        return self.http.get(f"/v1.0/actors/{actor}/state/{key}")

    def reminder(self, actor: str, name: str, body, verb: str = "POST") -> httpx.Response:
        return self.http.request(verb, f"/v1.0/actors/{actor}/reminders/{name}", json=body)

    def timer(self, actor: str, name: str, body, verb: str = "POST") -> httpx.Response:
        return self.http.request(verb, f"/v1.0/actors/{actor}/timers/{name}", json=body)

    @property
    def metadata(self) -> dict:
        return self.http.get("/v1.0/metadata").json()

    def active(self, kind: str) -> int:
        """How many actors of the type are active here, by the metadata endpoint."""
        for entry in self.metadata["actorRuntime"].get("activeActors", []):
            if entry["type"] == kind:
                return entry.get("count", 0)
        return 0

    def hosted(self) -> list[str]:
        return sorted(entry["type"] for entry in self.metadata["actorRuntime"].get("activeActors", []))


@contextlib.contextmanager
def actor_host(control: Control, types: list[str], *flags: str, app_id: str | None = None, config: dict | None = None,
               resources: dict | None = None, configuration: str | None = None, env: dict | None = None,
               cluster: Cluster | None = None, scheduler: bool = True, wait: bool = True, app: ActorApp | None = None):
    """An app that hosts `types`, and its sidecar, for as long as the block lasts."""
    with contextlib.ExitStack() as stack:
        app = stack.enter_context(app or ActorApp(types, config))
        cluster = cluster or stack.enter_context(Cluster())
        sidecar = cluster.sidecar(app_id or unique("app"), *flags, app_port=app.port, placement=control.placement,
                                  scheduler=control.scheduler if scheduler else None, config=configuration, env=env, wait=wait,
                                  resources={"store.yaml": MEMORY_STORE} if resources is None else resources)
        stack.callback(sidecar.stop)
        host = Host(sidecar, app)
        stack.callback(host.close)
        if wait:
            wait_until(lambda: host.metadata["actorRuntime"].get("hostReady"), 20, what="the host is ready")
        yield host


@contextlib.contextmanager
def client_only(control: Control, *flags: str, app_id: str | None = None, env: dict | None = None):
    """A sidecar with neither app nor state store."""
    with Cluster() as cluster:
        host = Host(cluster.sidecar(app_id or unique("client"), *flags, placement=control.placement,
                                    scheduler=control.scheduler, env=env), None)
        try:
            yield host
        finally:
            host.close()


def unique(prefix: str) -> str:
    """A name no other test uses."""
    return f"{prefix}-{uuid.uuid4().hex[:8]}"


def error(status: int, code: str):
    """What `parts(response)` is for an API error."""
    return status, code


def parts(response) -> tuple[int, str]:
    """Status and errorCode of an API error; the body has exactly the two members errorCode and message."""
    body = response.json() if callable(response.json) else response.json
    assert sorted(body) == ["errorCode", "message"], body
    assert isinstance(body["message"], str) and body["message"]
    return response.status_code if hasattr(response, "status_code") else response.status, body["errorCode"]


@contextlib.contextmanager
def grpc_error(code: grpc.StatusCode, fragment: str = ""):
    """The block must fail with this gRPC status."""
    with pytest.raises(grpc.RpcError) as caught:
        yield caught
    assert caught.value.code() is code, (caught.value.code(), caught.value.details())
    assert fragment in caught.value.details(), caught.value.details()


def go_date(seconds_from_now: float) -> str:
    """An RFC 3339 time, in UTC, this far from now."""
    at = time.time() + seconds_from_now
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at)) + f".{int(at % 1 * 1000):03d}Z"


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


__all__ = [
    "ActorApp", "Cluster", "Control", "Gate", "Host", "MEMORY_STORE", "Raw", "Request", "Response", "DURABLE_STORE",
    "STATE_TTL_CONFIG", "actor_host", "actors_pb2", "b64", "client_only", "control", "dapr_pb2_grpc", "error", "go_date", "grpc",
    "grpc_error", "httpx", "json", "metadata_pb2", "parts", "pytest", "raw_http", "threading", "time", "unique", "wait_until",
]
