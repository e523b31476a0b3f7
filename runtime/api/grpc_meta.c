/* Metadata and shutdown over gRPC. */
#include "proto/runtime.pb-c.h"
#include "proto/wire.h"
#include "runtime/api/metadata.h"

static void handle_get_metadata(struct api_call *call)
{
    struct tr_buf bytes = { 0 };
    api_metadata_pack(call->api, &bytes);
    api_call_reply_bytes(call, tr_buf_slice(&bytes));
    tr_buf_fini(&bytes);
}

static void handle_set_metadata(struct api_call *call)
{
    Tr__Rt__SetMetadataRequest *request = NULL;
    if (!api_call_decode(call, &tr__rt__set_metadata_request__descriptor, &request)) {
        return;
    }
    if (api_extended_set(call->api, tr_wire_slice(request->key), tr_wire_slice(request->value))) {
        api_call_reply_empty(call);
    } else {
        api_call_fail(call, TR_RPC_RESOURCE_EXHAUSTED, TR_SLICE_LIT("metadata has too many entries"));
    }
    tr_wire_free(request);
}

static void handle_shutdown(struct api_call *call)
{
    struct tr_slice force = TR_SLICE_LIT("");
    struct tr_api *api = call->api;
    (void)tr_rpc_md_get(tr_rpc_call_metadata(call->rpc), "dapr-force-shutdown", &force);
    const bool is_forced = api_is_true(force);
    tr_log_text(&api->log, TR_LOG_INFO, "Shutdown requested via API");
    api_call_reply_empty(call);
    api->conf.on_shutdown(api->conf.ctx, is_forced);
}

#define DAPR "/dapr.proto.runtime.v1.Dapr/"

const struct api_grpc_row api_meta_rows[] = {
    { DAPR "GetMetadata", handle_get_metadata },
    { DAPR "SetMetadata", handle_set_metadata },
    { DAPR "Shutdown", handle_shutdown },
};
const size_t api_meta_rows_len = TR_ARRAY_LEN(api_meta_rows);
