/*
 * What comes back from the app or from another sidecar, as the outcome of a call; and which failures of a peer are worth
 * another attempt.
 *
 * Source: Dapr pkg/actors/router/router.go, pkg/actors/targets/app/transport/http (1.18); actors 2.4, 8.6, 10.1.
 */
#include "runtime/actor/engine_int.h"

/* Sources of the texts: Dapr pkg/actors/router/router.go, pkg/actors/errors/errors.go, pkg/messages/predefined.go. */
#define TEXT_MOVED_INVOKE  "error invoke actor method: remote actor moved"
#define TEXT_DISSEMINATING ": placement is disseminating"
#define TEXT_CANCEL        "reminder has been canceled"
#define HEADER_ERROR       "x-daprerrorresponseheader"
#define HEADER_CANCEL      "x-daprremindercancel"

/* --- from the app --------------------------------------------------------------------------------------------------- */

static bool is_truthy(struct tr_slice text)
{
    static const char *const words[] = { "y", "yes", "true", "t", "on", "1" };
    const struct tr_slice word = tr_slice_trim(text);
    for (size_t i = 0; i < TR_ARRAY_LEN(words); i++) {
        if (tr_slice_eq_nocase(word, tr_slice_str(words[i]))) {
            return true;
        }
    }
    return false;
}

/* A method whose answer carries the header with which reminders are canceled has failed. Source: actors 2.4. */
static bool is_cancel_of_method(const struct tr_actor_call *call)
{
    if (call->kind != TR_ACTOR_METHOD || tr_http_headers_has(&call->headers_out, HEADER_ERROR)) {
        return false;
    }
    struct tr_slice value;
    return tr_http_headers_get(&call->headers_out, TR_SLICE_LIT(HEADER_CANCEL), &value) &&
           is_truthy(value);
}

static void take_answer(struct tr_actor_call *call, struct tr_app_call *app)
{
    call->status = app->status;
    tr_http_headers_move(&call->headers_out, &app->headers_out);
    tr_buf_move(&call->content_type_out, &app->content_type_out);
    tr_buf_move(&call->body_out, &app->body_out);
    if (app->status != 200) {
        call->outcome = TR_ACTOR_APP_FAILED;
        tr_buf_move(&call->message, &app->failure);
        return;
    }
    call->is_canceled_by_app = app->is_canceled;
    call->outcome = TR_ACTOR_ANSWERED;
    if (is_cancel_of_method(call)) {
        call->outcome = TR_ACTOR_FAILED;
        tr_err_set(&call->err, TR_ACTOR_INVOKE, TEXT_CANCEL);
    }
}

void tr_outcome_take_app(struct tr_actor_call *call, struct tr_app_call *app)
{
    const enum tr_code code = app->err.code;
    if (code == TR_OK) {
        take_answer(call, app);
    } else if (code == TR_ACTOR_INVOKE || code == TR_CANCELED) {
        call->outcome = TR_ACTOR_FAILED;
        call->err = app->err;
    } else {
        call->outcome = TR_ACTOR_STATUS;
        call->grpc_status = tr_code_grpc(code);
        tr_buf_set(&call->message, tr_slice_str(app->err.msg));
    }
    tr_app_call_fini(app);
}

/* --- from another sidecar ------------------------------------------------------------------------------------------- */

void tr_outcome_take_remote(struct tr_actor_call *call, struct tr_remote_call *remote)
{
    tr_http_headers_move(&call->headers_out, &remote->headers_out);
    tr_buf_move(&call->content_type_out, &remote->content_type_out);
    tr_buf_move(&call->body_out, &remote->body_out);
    tr_buf_move(&call->message, &remote->message);
    tr_buf_move(&call->details, &remote->details);
    call->grpc_status = remote->grpc_status;
    if (call->grpc_status == 0) {
        call->outcome = TR_ACTOR_ANSWERED;
        call->status = remote->status >= 100 ? remote->status
                                             : tr_code_http(tr_code_from_grpc(remote->status));
    } else if (call->kind != TR_ACTOR_METHOD &&
               tr_slice_eq_str(tr_buf_slice(&call->message), TEXT_CANCEL)) {
        /* This is how a peer reports that the app asked to cancel. */
        call->outcome = TR_ACTOR_ANSWERED;
        call->is_canceled_by_app = true;
    } else {
        call->outcome = TR_ACTOR_STATUS;
    }
}

bool tr_outcome_is_worth_retrying(const struct tr_actor_call *call)
{
    const int status = call->grpc_status;
    const struct tr_slice message = tr_buf_slice(&call->message);
    if (status == tr_code_grpc(TR_UNAVAILABLE)) {
        return true;
    }
    if (call->kind != TR_ACTOR_METHOD && tr_slice_eq_str(message, TR_TEXT_MOVED)) {
        return true; /* CallActorReminder gives plain errors, as UNKNOWN */
    }
    return status == tr_code_grpc(TR_INTERNAL) &&
           (tr_slice_eq_str(message, TEXT_MOVED_INVOKE) ||
            tr_slice_ends(message, TR_SLICE_LIT(TEXT_DISSEMINATING)));
}

void tr_outcome_name_peer(struct tr_actor_call *call)
{
    struct tr_buf text = { 0 };
    tr_buf_addf(
        &text, "failed to invoke target %.*s after %u retries. Error: rpc error: code = %s desc = ",
        TR_SLICE_ARG(tr_buf_slice(&call->address)), call->attempt - 1,
        tr_grpc_status_name(call->grpc_status));
    tr_buf_add(&text, tr_buf_slice(&call->message));
    tr_buf_move(&call->message, &text);
    call->is_message_whole = true;
}
