/*
 * The public gRPC API: from a call to a handler and back. A call's memory lives until gRPC is done with it; the client
 * going away cancels the handler's work, and the handler then ends the call as always.
 */
#include <stdlib.h>

#include "proto/wire.h"
#include "runtime/api/api_int.h"

#define ACTOR_STREAM_PATH "/dapr.proto.runtime.v1.Dapr/SubscribeActorEventsAlpha1"

static const struct {
    const struct api_grpc_row *rows;
    const size_t *len;
} tables[] = {
    { api_actor_rows, &api_actor_rows_len },
    { api_state_rows, &api_state_rows_len },
    { api_meta_rows, &api_meta_rows_len },
};

/* --- answers -------------------------------------------------------------------------------------------------------- */

static void log_call(const struct api_call *call, int status, size_t reply_bytes)
{
    struct tr_api *api = call->api;
    struct tr_slice agent = TR_SLICE_LIT("");
    api_meter_grpc(&api->meter, call->method->row->path, status, tr_loop_now_us(api->conf.loop) - call->started_us,
                   tr_rpc_call_request(call->rpc)->len, reply_bytes);
    if (!api->conf.has_log) {
        return;
    }
    const unsigned long long duration_ms = (tr_loop_now_us(api->conf.loop) - call->started_us) / 1000;
    if (tr_rpc_md_get(tr_rpc_call_metadata(call->rpc), "user-agent", &agent) && agent.len > 0) {
        tr_log_info(&api->grpc_log, "gRPC API Called", "method=%s useragent=%.*s code=%d duration=%llu",
                    call->method->row->path, TR_SLICE_ARG(agent), status, duration_ms);
    } else {
        tr_log_info(&api->grpc_log, "gRPC API Called", "method=%s code=%d duration=%llu", call->method->row->path, status,
                    duration_ms);
    }
}

void api_call_reply(struct api_call *call, const void *message)
{
    struct tr_buf bytes = { 0 };
    tr_wire_pack(message, &bytes);
    log_call(call, TR_RPC_OK, bytes.len);
    tr_rpc_call_reply(call->rpc, tr_buf_slice(&bytes));
    tr_buf_fini(&bytes);
}

void api_call_reply_bytes(struct api_call *call, struct tr_slice bytes)
{
    log_call(call, TR_RPC_OK, bytes.len);
    tr_rpc_call_reply(call->rpc, bytes);
}

void api_call_reply_empty(struct api_call *call)
{
    api_call_reply_bytes(call, TR_SLICE_LIT(""));
}

void api_call_fail(struct api_call *call, int status, struct tr_slice message)
{
    log_call(call, status, 0);
    tr_rpc_call_fail(call->rpc, status, message);
}

static void add_details(struct tr_rpc_call *rpc, const struct api_fault *fault)
{
    if (fault->reason != NULL) {
        struct tr_buf bytes = { 0 };
        api_fault_pack(fault, &bytes);
        tr_rpc_md_add(tr_rpc_call_trailing(rpc), TR_SLICE_LIT("grpc-status-details-bin"), tr_buf_slice(&bytes));
        tr_buf_fini(&bytes);
    }
}

void api_call_fail_fault(struct api_call *call, const struct api_fault *fault)
{
    add_details(call->rpc, fault);
    api_call_fail(call, fault->grpc_status, tr_buf_slice(&fault->message));
}

void api_call_fail_reason(struct api_call *call, int status, struct tr_slice message, const char *reason)
{
    struct api_fault fault = { .grpc_status = status, .reason = reason };
    tr_buf_add(&fault.message, message);
    api_call_fail_fault(call, &fault);
    api_fault_fini(&fault);
}

void api_call_fail_err(struct api_call *call, const struct tr_err *err)
{
    api_call_fail(call, tr_code_grpc(err->code), tr_slice_str(err->msg));
}

void api_call_fail_wrapped(struct api_call *call, enum tr_code code, const char *prefix, const struct tr_err *cause)
{
    struct tr_buf text = { 0 };
    tr_buf_addf(&text, "%s%s", prefix, cause->msg);
    api_call_fail(call, tr_code_grpc(code), tr_buf_slice(&text));
    tr_buf_fini(&text);
}

bool api_call_decode(struct api_call *call, const void *descriptor, void *out_message)
{
    ProtobufCMessage *message = NULL;
    struct tr_err err;
    if (tr_wire_unpack(descriptor, tr_buf_slice(tr_rpc_call_request(call->rpc)), &message, &err) != TR_OK) {
        /* Source: grpc-go server.go, the status of a request that cannot be unmarshaled. */
        api_call_fail_wrapped(call, TR_INTERNAL, "grpc: error unmarshalling request: ", &err);
        return false;
    }
    memcpy(out_message, &message, sizeof(message));
    return true;
}

/* --- the way in ----------------------------------------------------------------------------------------------------- */

/* A refusal as Go's Dapr makes it of an HTTP status. Source: Dapr pkg/messaging/v1/util.go, ErrorFromHTTPResponseCode. */
static void set_refusal(struct api_fault *fault, int grpc_status, const char *http_code, const char *status_text,
                        const char *text)
{
    fault->grpc_status = grpc_status;
    fault->reason = status_text;
    tr_buf_add_str(&fault->message, status_text);
    api_fault_pair(fault, "http.code", tr_slice_str(http_code));
    api_fault_pair(fault, "http.error_message", tr_slice_str(text));
}

/* May the call go on? Else `out_fault`, which is all zero, says why not. */
static bool is_admitted(const struct tr_api *api, const char *path, const struct tr_rpc_call *rpc,
                        struct api_fault *out_fault)
{
    struct tr_slice token = TR_SLICE_LIT("");
    if (!tr_configuration_allows_grpc(api->conf.configuration, tr_slice_str(path))) {
        set_refusal(out_fault, TR_RPC_UNIMPLEMENTED, "501", "Not Implemented", "requested endpoint is not available");
        return false;
    }
    const bool has_token = tr_rpc_md_get(tr_rpc_call_metadata(rpc), "dapr-api-token", &token);
    if (!api_is_token(api, token)) {
        set_refusal(out_fault, TR_RPC_UNAUTHENTICATED, "401", "Unauthorized",
                    has_token ? "authentication error: api token mismatch" : "missing api token in request metadata");
        return false;
    }
    return true;
}

static void on_cancel(struct tr_rpc_watch *watch)
{
    struct api_call *call = TR_CONTAINER_OF(watch, struct api_call, watch);
    if (call->cancel != NULL) {
        call->cancel(call);
    }
}

static void on_close(struct tr_rpc_watch *watch)
{
    struct api_call *call = TR_CONTAINER_OF(watch, struct api_call, watch);
    if (call->free_work != NULL) {
        call->free_work(call->work);
    }
    call->api->open_len--;
    free(call);
}

static void on_method(void *ctx, struct tr_rpc_call *rpc)
{
    struct api_method *method = ctx;
    struct api_call *call = tr_xzalloc(sizeof(*call));
    call->api = method->api;
    call->rpc = rpc;
    call->method = method;
    call->started_us = tr_loop_now_us(method->api->conf.loop);
    call->watch.on_cancel = on_cancel;
    call->watch.on_close = on_close;
    method->api->open_len++;
    tr_rpc_call_watch(rpc, &call->watch);
    struct api_fault fault = { .reason = NULL };
    if (is_admitted(method->api, method->row->path, rpc, &fault)) {
        method->row->handler(call);
        return;
    }
    api_call_fail_fault(call, &fault);
    api_fault_fini(&fault);
}

/* The actor event stream has no reply of its own: its hub takes the call over. */
static void on_actor_stream(void *ctx, struct tr_rpc_call *rpc)
{
    struct tr_api *api = ctx;
    struct api_fault fault = { .reason = NULL };
    if (!is_admitted(api, ACTOR_STREAM_PATH, rpc, &fault)) {
        add_details(rpc, &fault);
        tr_rpc_call_finish(rpc, fault.grpc_status, tr_buf_slice(&fault.message));
        api_fault_fini(&fault);
    } else if (api->conf.is_app_http) {
        tr_rpc_call_finish(rpc, TR_RPC_FAILED_PRECONDITION,
                           TR_SLICE_LIT("actor callback streaming requires a gRPC app channel"));
    } else {
        api->conf.on_actor_stream(api->conf.actor_stream_ctx, rpc);
    }
}

void tr_api_grpc_add(struct tr_api *api, struct tr_rpc_server *server)
{
    size_t len = 0;
    for (size_t t = 0; t < TR_ARRAY_LEN(tables); t++) {
        len += *tables[t].len;
    }
    tr_assert(api->methods == NULL);
    api->methods = tr_xzalloc(len * sizeof(*api->methods));
    size_t at = 0;
    for (size_t t = 0; t < TR_ARRAY_LEN(tables); t++) {
        for (size_t i = 0; i < *tables[t].len; i++) {
            api->methods[at] = (struct api_method){ .api = api, .row = &tables[t].rows[i] };
            const struct tr_rpc_method method = { .path = tables[t].rows[i].path,
                                                  .handler = on_method,
                                                  .ctx = &api->methods[at] };
            tr_rpc_server_add(server, &method);
            at++;
        }
    }
    const struct tr_rpc_method stream = { .path = ACTOR_STREAM_PATH,
                                          .is_stream = true,
                                          .handler = on_actor_stream,
                                          .ctx = api };
    tr_rpc_server_add(server, &stream);
}
