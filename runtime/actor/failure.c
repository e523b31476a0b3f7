/*
 * What callers are told about a call that failed, in the words of Dapr.
 *
 * Over HTTP everything without an error name of its own becomes ERR_ACTOR_INVOKE_METHOD; over gRPC whatever carries a
 * status passes through with it. A status from another process prints as "rpc error: code = X desc = Y".
 * Source: Dapr pkg/api/http/actors.go, pkg/api/grpc, pkg/messages/predefined.go (1.18); actors 2.4, 3.3, 10.2.
 */
#include "runtime/actor/engine_int.h"

#define TEXT_PREFIX "error invoke actor method: "

/* An error that goes out under its own name. TR_ACTOR_NO_ADDRESS only ever arrives as the cause of another one. */
static bool has_own_name(const struct tr_err *err)
{
    return err->code != TR_ACTOR_INVOKE && err->code != TR_ACTOR_NO_ADDRESS &&
           tr_code_name(err->code)[0] != '\0';
}

void tr_actor_failure_cause(const struct tr_actor_call *call, struct tr_buf *out_text)
{
    switch (call->outcome) {
    case TR_ACTOR_ANSWERED:
        TR_BUG("a call that succeeded has no cause of failure");
    case TR_ACTOR_APP_FAILED:
        tr_buf_add(out_text, tr_buf_slice(&call->message));
        break;
    case TR_ACTOR_STATUS:
        if (!call->is_message_whole) {
            tr_buf_addf(out_text,
                        "rpc error: code = %s desc = ", tr_grpc_status_name(call->grpc_status));
        }
        tr_buf_add(out_text, tr_buf_slice(&call->message));
        break;
    case TR_ACTOR_FAILED:
        tr_buf_add_str(out_text, call->err.msg);
        break;
    }
}

void tr_actor_failure_http(const struct tr_actor_call *call, struct tr_actor_failure *out)
{
    *out = (struct tr_actor_failure){ .code = TR_ACTOR_INVOKE };
    if (call->outcome == TR_ACTOR_FAILED && has_own_name(&call->err)) {
        out->code = call->err.code;
    } else {
        tr_buf_add_str(&out->message, TEXT_PREFIX);
    }
    out->grpc_status = tr_code_grpc(out->code);
    tr_actor_failure_cause(call, &out->message);
}

void tr_actor_failure_grpc(const struct tr_actor_call *call, struct tr_actor_failure *out)
{
    *out = (struct tr_actor_failure){ .code = TR_ACTOR_INVOKE,
                                      .grpc_status = tr_code_grpc(TR_ACTOR_INVOKE) };
    if (call->outcome == TR_ACTOR_STATUS) {
        out->grpc_status = call->grpc_status;
        tr_buf_add(&out->message, tr_buf_slice(&call->message));
        return;
    }
    if (call->outcome == TR_ACTOR_FAILED && call->err.code != TR_ACTOR_INVOKE) {
        out->code = call->err.code;
        out->grpc_status = tr_code_grpc(call->err.code);
    } else {
        tr_buf_add_str(&out->message, TEXT_PREFIX);
    }
    tr_actor_failure_cause(call, &out->message);
}
