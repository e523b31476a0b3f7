"""When a sidecar that hosts no actor types is ready, and what it says of itself."""
import socket

import httpx
import pytest

from lib.control_procs import leading_placement
from lib.procs import MEMORY_STORE, wait_until


def runtime_of(sidecar) -> dict:
    return httpx.get(f"{sidecar.url}/v1.0/metadata").json()["actorRuntime"]


@pytest.fixture
def placement(cluster):
    return leading_placement(cluster)


@pytest.mark.quick
@pytest.mark.parametrize("has_store", [False, True])
def test_a_grpc_app_is_ready_without_an_event_stream(cluster, placement, has_store):
    """Source: Dapr tests/integration/suite/actors/metadata/host_grpc.go, host_grpc_noactors.go."""
    with socket.create_server(("127.0.0.1", 0)) as app:
        resources = {"store.yaml": MEMORY_STORE} if has_store else {}
        sidecar = cluster.sidecar("grpc-app", "--app-protocol=grpc", app_port=app.getsockname()[1], placement=placement,
                                  resources=resources)
        wait_until(lambda: runtime_of(sidecar).get("hostReady"), 10, what="hostReady")
        assert runtime_of(sidecar) == {"runtimeStatus": "RUNNING", "hostReady": True, "placement": "placement: connected"}


@pytest.mark.quick
def test_a_client_alone_with_placement_is_ready(cluster, placement):
    """The table is still empty: no host has brought a type."""
    sidecar = cluster.sidecar("client", placement=placement)
    wait_until(lambda: runtime_of(sidecar).get("hostReady"), 10, what="hostReady")


@pytest.mark.quick
def test_the_metadata_name_all_that_the_store_can_do(cluster):
    """Source: Dapr tests/integration/suite/daprd/resources/namespace/set/name.go."""
    sidecar = cluster.sidecar("stored", resources={"store.yaml": MEMORY_STORE})
    store, = httpx.get(f"{sidecar.url}/v1.0/metadata").json()["components"]
    assert store["capabilities"] == ["ETAG", "TRANSACTIONAL", "TTL", "DELETE_WITH_PREFIX", "KEYS_LIKE", "ACTOR"]
