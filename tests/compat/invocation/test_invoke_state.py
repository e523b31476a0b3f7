"""The state API, over HTTP and gRPC, on a store in memory and on one that outlives its process."""
import json
import urllib.parse

import httpx
import pytest
from dapr.proto.common.v1 import common_pb2
from dapr.proto.runtime.v1 import dapr_pb2_grpc, state_pb2

import grpc
from lib.actors import DURABLE_STORE
from lib.procs import MEMORY_STORE, Cluster, wait_until


@pytest.fixture(scope="module", params=["memory", "durable"])
def store(request):
    """The base URL of a store and the gRPC stub of its sidecar; the store is called `statestore`."""
    with Cluster() as cluster:
        text = MEMORY_STORE if request.param == "memory" else DURABLE_STORE.replace("{path}", str(cluster.folder / "data"))
        sidecar = cluster.sidecar("keeper", resources={"store.yaml": text})
        with grpc.insecure_channel(f"127.0.0.1:{sidecar.grpc}") as channel:
            yield httpx.Client(base_url=f"{sidecar.url}/v1.0/state/"), dapr_pb2_grpc.DaprStub(channel)


def save(client, *items, query=""):
    return client.post(f"statestore{query}", json=list(items))


def get(client, key):
    return client.get(f"statestore/{urllib.parse.quote(key, safe='')}")


def error_of(answer):
    return answer.status_code, answer.json()["errorCode"]


@pytest.mark.parametrize("value", ["text", "", 0, 1.5, True, None, [1, [2]], {"a": {"b": "c"}}, "<&> é \u2028 \U0001f600", "\"\\\n"])
def test_a_json_value_comes_back(store, value):
    client, _ = store
    assert save(client, {"key": "value", "value": value}).status_code == 204
    answer = get(client, "value")
    assert (answer.status_code, answer.headers["content-type"], answer.json()) == (200, "application/json", value)


def test_a_missing_key_is_no_content(store):
    client, _ = store
    answer = get(client, "missing")
    assert (answer.status_code, answer.content) == (204, b"")
    assert client.delete("statestore/missing").status_code == 204


@pytest.mark.parametrize("key", ["a b", "a/b", "ключ", "%41", "a?b#c", "|"])
def test_any_text_is_a_key(store, key):
    client, _ = store
    assert save(client, {"key": key, "value": key}).status_code == 204
    assert get(client, key).json() == key
    assert client.delete(f"statestore/{urllib.parse.quote(key, safe='')}").status_code == 204
    assert get(client, key).status_code == 204


@pytest.mark.parametrize("body", ["", "{}", "foobar", "[{}]", '[{"key": "k", "value": 1},]', '[{"key": "k", "etag": 1}]', '[{"ey": "k"}]', "[1]"])
def test_a_bad_body_is_malformed(store, body):
    client, _ = store
    assert error_of(client.post("statestore", content=body)) == (400, "ERR_MALFORMED_REQUEST")


def test_an_empty_list_saves_nothing(store):
    client, _ = store
    assert client.post("statestore", content="[]").status_code == 204


def test_an_illegal_key_is_told_with_details(store):
    client, stub = store
    answer = save(client, {"key": "a||b", "value": 1})
    assert error_of(answer) == (400, "ERR_MALFORMED_REQUEST")
    details = {detail["@type"].rpartition(".")[2]: detail for detail in answer.json()["details"]}
    assert set(details) == {"BadRequest", "ResourceInfo", "ErrorInfo"}
    assert details["ErrorInfo"]["reason"] == "DAPR_STATE_ILLEGAL_KEY"
    assert details["BadRequest"]["field_violations"][0]["field"] == "a||b"
    with pytest.raises(grpc.RpcError) as error:
        stub.GetState(state_pb2.GetStateRequest(store_name="statestore", key="a||b"))
    assert error.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert error.value.details() == "input key/keyPrefix 'a||b' can't contain '||'"


def test_an_unknown_store_is_told_with_details(store):
    client, stub = store
    answer = client.get("other/k")
    assert error_of(answer) == (400, "ERR_STATE_STORE_NOT_FOUND")
    assert answer.json()["message"] == "state store other is not found"
    assert answer.json()["details"][0]["reason"] == "DAPR_STATE_NOT_FOUND"
    with pytest.raises(grpc.RpcError) as error:
        stub.SaveState(state_pb2.SaveStateRequest(store_name="other"))
    assert (error.value.code(), error.value.details()) == (grpc.StatusCode.INVALID_ARGUMENT, "state store other is not found")


def test_an_etag_guards_save_and_delete(store):
    client, _ = store
    save(client, {"key": "guarded", "value": 1})
    etag = get(client, "guarded").headers["etag"]
    assert save(client, {"key": "guarded", "value": 2, "etag": etag}).status_code == 204
    answer = save(client, {"key": "guarded", "value": 3, "etag": etag})
    assert error_of(answer) == (409, "ERR_STATE_SAVE")
    assert "possible etag mismatch" in answer.json()["message"]
    assert error_of(client.delete("statestore/guarded", headers={"If-Match": etag})) == (409, "ERR_STATE_DELETE")
    assert get(client, "guarded").json() == 2
    newest = get(client, "guarded").headers["etag"]
    assert client.delete("statestore/guarded", headers={"If-Match": newest}).status_code == 204


def test_a_first_write_needs_a_free_key(store):
    client, _ = store
    client.delete("statestore/first")
    item = {"key": "first", "value": 1, "options": {"concurrency": "first-write"}}
    assert save(client, item).status_code == 204
    assert error_of(save(client, item)) == (409, "ERR_STATE_SAVE")
    assert save(client, {**item, "options": {"concurrency": "last-write"}}).status_code == 204


def test_unknown_options_fail_the_save(store):
    client, _ = store
    assert error_of(save(client, {"key": "k", "value": 1, "options": {"concurrency": "none"}})) == (500, "ERR_STATE_SAVE")


def test_a_value_expires(store):
    client, _ = store
    assert save(client, {"key": "brief", "value": 1, "metadata": {"ttlInSeconds": "2"}}).status_code == 204
    assert get(client, "brief").headers["metadata.ttlexpiretime"].endswith("Z")
    wait_until(lambda: get(client, "brief").status_code == 204, 10, what="the value expires")


def test_the_time_to_live_may_be_in_the_query(store):
    client, _ = store
    assert save(client, {"key": "long", "value": 1}, query="?metadata.ttlInSeconds=100").status_code == 204
    assert "metadata.ttlexpiretime" in get(client, "long").headers
    assert save(client, {"key": "long", "value": 1}).status_code == 204
    assert "metadata.ttlexpiretime" not in get(client, "long").headers
    assert error_of(save(client, {"key": "long", "value": 1, "metadata": {"ttlInSeconds": "soon"}})) == (500, "ERR_STATE_SAVE")


def test_many_keys_are_read_at_once(store):
    client, _ = store
    save(client, {"key": "b1", "value": {"a": 1}}, {"key": "b2", "value": "x"})
    answer = client.post("statestore/bulk", json={"keys": ["b1", "none", "b2"], "parallelism": 2})
    rows = {row["key"]: row for row in answer.json()}
    assert (answer.status_code, len(rows)) == (200, 3)
    assert (rows["b1"]["data"], rows["b2"]["data"]) == ({"a": 1}, "x")
    assert rows["b1"]["etag"] == get(client, "b1").headers["etag"]
    assert rows["none"].keys() == {"key"}
    assert client.post("statestore/bulk", json={"keys": []}).json() == []


def operation(kind, key, **request):
    return {"operation": kind, "request": {"key": key, **request}}


def transact(client, *operations):
    return client.post("statestore/transaction", json={"operations": list(operations), "metadata": {"partitionKey": "p"}})


def test_a_transaction_writes_and_deletes(store):
    client, _ = store
    save(client, {"key": "tx-old", "value": 1})
    assert transact(client, operation("upsert", "tx-new", value={"a": 1}), operation("delete", "tx-old")).status_code == 204
    assert get(client, "tx-new").json() == {"a": 1}
    assert get(client, "tx-old").status_code == 204
    assert transact(client).status_code == 204


def test_a_transaction_is_whole_or_absent(store):
    client, _ = store
    save(client, {"key": "tx-guarded", "value": 1})
    stale = get(client, "tx-guarded").headers["etag"]
    save(client, {"key": "tx-guarded", "value": 2})
    answer = transact(client, operation("upsert", "tx-other", value=1), operation("delete", "tx-guarded", etag=stale))
    assert error_of(answer) == (500, "ERR_STATE_TRANSACTION")
    assert get(client, "tx-other").status_code == 204
    assert get(client, "tx-guarded").json() == 2


def test_an_unknown_operation_is_refused(store):
    client, _ = store
    answer = transact(client, operation("move", "k"))
    assert error_of(answer) == (400, "ERR_NOT_SUPPORTED_STATE_OPERATION")
    assert answer.json()["message"] == "operation type move not supported"


def test_both_surfaces_see_the_same_values(store):
    client, stub = store
    save(client, {"key": "shared", "value": "text"})
    answer = stub.GetState(state_pb2.GetStateRequest(store_name="statestore", key="shared"))
    assert (answer.data, answer.etag) == (b'"text"', get(client, "shared").headers["etag"])
    item = common_pb2.StateItem(key="shared", value=json.dumps([1]).encode(), etag=common_pb2.Etag(value=answer.etag))
    stub.SaveState(state_pb2.SaveStateRequest(store_name="statestore", states=[item]))
    assert get(client, "shared").json() == [1]
    with pytest.raises(grpc.RpcError) as error:
        stub.SaveState(state_pb2.SaveStateRequest(store_name="statestore", states=[item]))
    assert error.value.code() == grpc.StatusCode.ABORTED
    stub.DeleteState(state_pb2.DeleteStateRequest(store_name="statestore", key="shared"))
    assert get(client, "shared").status_code == 204


def test_bytes_pass_through_grpc(store):
    _, stub = store
    raw = bytes(range(256))
    stub.SaveState(state_pb2.SaveStateRequest(store_name="statestore", states=[common_pb2.StateItem(key="raw", value=raw)]))
    assert stub.GetState(state_pb2.GetStateRequest(store_name="statestore", key="raw")).data == raw
    rows = stub.GetBulkState(state_pb2.GetBulkStateRequest(store_name="statestore", keys=["raw", "none"])).items
    assert {row.key: row.data for row in rows} == {"raw": raw, "none": b""}
    request = state_pb2.DeleteBulkStateRequest(store_name="statestore", states=[common_pb2.StateItem(key="raw")])
    stub.DeleteBulkState(request)
    assert stub.GetState(state_pb2.GetStateRequest(store_name="statestore", key="raw")).data == b""


def test_a_durable_store_outlives_its_sidecar(cluster):
    resources = {"store.yaml": DURABLE_STORE.replace("{path}", str(cluster.folder / "data"))}
    sidecar = cluster.sidecar("keeper", resources=resources)
    with httpx.Client(base_url=f"{sidecar.url}/v1.0/state/") as client:
        assert save(client, {"key": "k", "value": "kept"}).status_code == 204
        etag = get(client, "k").headers["etag"]
    sidecar.kill()
    again = cluster.sidecar("keeper", resources=resources)
    answer = httpx.get(f"{again.url}/v1.0/state/statestore/k")
    assert (answer.json(), answer.headers["etag"]) == ("kept", etag)


def test_the_prefix_of_keys_tells_apps_apart(cluster):
    text = DURABLE_STORE.replace("{path}", str(cluster.folder / "data"))
    shared = text + '  - name: keyPrefix\n    value: "none"\n'
    first = cluster.sidecar("first", resources={"store.yaml": text})
    second = cluster.sidecar("second", resources={"store.yaml": text})
    third = cluster.sidecar("third", resources={"store.yaml": shared})
    assert httpx.post(f"{first.url}/v1.0/state/statestore", json=[{"key": "k", "value": "first"}]).status_code == 204
    assert httpx.get(f"{second.url}/v1.0/state/statestore/k").status_code == 204
    assert httpx.get(f"{third.url}/v1.0/state/statestore/k").status_code == 204
    assert httpx.post(f"{third.url}/v1.0/state/statestore", json=[{"key": "k", "value": "third"}]).status_code == 204
    assert httpx.get(f"{first.url}/v1.0/state/statestore/k").json() == "first"


def test_without_a_store_the_error_says_so(cluster):
    sidecar = cluster.sidecar("bare")
    answer = httpx.get(f"{sidecar.url}/v1.0/state/statestore/k")
    assert error_of(answer) == (500, "ERR_STATE_STORE_NOT_CONFIGURED")
    assert answer.json()["details"][0]["reason"] == "DAPR_STATE_NOT_CONFIGURED"


def test_a_query_is_not_supported(store):
    client, stub = store
    answer = client.post(str(client.base_url).replace("/v1.0/", "/v1.0-alpha1/") + "statestore/query", json={"filter": {}})
    if answer.status_code != 200:
        assert error_of(answer) == (500, "ERR_STATE_STORE_NOT_SUPPORTED")
        assert {"ErrorInfo", "ResourceInfo"} == {d["@type"].rpartition(".")[2] for d in answer.json()["details"]}
        with pytest.raises(grpc.RpcError) as error:
            stub.QueryStateAlpha1(state_pb2.QueryStateRequest(store_name="statestore", query="{}"))
        assert error.value.code() == grpc.StatusCode.INTERNAL
