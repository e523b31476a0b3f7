/*
 * Actors over HTTP: routes A to H.
 *
 * Each request passes its checks in the order the reference has them, because which error a bad request gets depends on
 * it. Waiting (for the body, for the app's types, for the engine) always ends in reply, also after the client has gone.
 */
#include "runtime/api/http_actor_int.h"

#include <stdlib.h>

#include "runtime/app/forward.h"
#include "runtime/base/json.h"

static void work_free(void *ctx)
{
    struct api_actor_work *work = ctx;
    tr_actor_call_fini(&work->call);
    tr_buf_fini(&work->get.value);
    tr_http_headers_fini(&work->headers);
    tr_buf_fini(&work->method);
    tr_buf_fini(&work->texts);
    free(work->ops);
    free(work);
}

static void on_cancel(struct api_request *req)
{
    struct api_actor_work *work = req->work;
    switch (work->in) {
    case IN_NOTHING:
        break;
    case IN_GATE:
        tr_actor_wait_cancel(&work->gate);
        break;
    case IN_CALL:
        tr_actor_call_cancel(&work->call);
        break;
    case IN_GET:
        tr_actor_state_get_cancel(&work->get);
        break;
    case IN_TX:
        tr_actor_state_tx_cancel(&work->tx);
        break;
    }
}

struct api_actor_work *api_actor_work_new(struct api_request *req)
{
    struct api_actor_work *work = tr_xzalloc(sizeof(*work));
    work->req = req;
    req->work = work;
    req->cancel = on_cancel;
    req->free_work = work_free;
    return work;
}

/* --- the gate and the body ------------------------------------------------------------------------------------------ */

static void on_gate(struct tr_actor_wait *gate)
{
    struct api_actor_work *work = TR_CONTAINER_OF(gate, struct api_actor_work, gate);
    work->in = IN_NOTHING;
    if (gate->err.code != TR_OK) {
        api_reply_err(work->req, &gate->err);
        return;
    }
    work->next(work);
}

void api_actor_pass_gate(struct api_actor_work *work, void (*next)(struct api_actor_work *work))
{
    struct tr_err err;
    switch (tr_actor_gate(api_actor_engine(work), &err)) {
    case TR_ACTOR_GATE_OPEN:
        next(work);
        return;
    case TR_ACTOR_GATE_FAILED:
        api_reply_err(work->req, &err);
        return;
    case TR_ACTOR_GATE_SHUT:
        break;
    }
    work->next = next;
    work->gate.cb = on_gate;
    work->in = IN_GATE;
    tr_actor_wait_start(api_actor_engine(work), &work->gate);
}

void api_actor_malformed(struct api_actor_work *work, const char *detail)
{
    struct tr_err err;
    (void)tr_err_set(&err, TR_MALFORMED, "%s", detail);
    api_reply_wrapped(work->req, TR_MALFORMED, "failed deserializing HTTP body: ", &err);
}

static void on_json_body(struct tr_http_exchange *ex, const struct tr_err *err)
{
    struct api_actor_work *work = ((struct api_request *)ex->user)->work;
    if (err->code != TR_OK) {
        api_actor_malformed(work, err->code == TR_LIMIT ? "stream too large" : err->msg);
        return;
    }
    work->next(work);
}

void api_actor_read_json(struct api_actor_work *work, void (*next)(struct api_actor_work *work))
{
    work->next = next;
    tr_http_exchange_read_all(work->req->ex, work->req->api->conf.body_bytes_max, on_json_body);
}

bool api_actor_check_json(struct api_actor_work *work, struct tr_slice *out_value)
{
    struct tr_err err;
    const struct tr_slice body = tr_buf_slice(&work->req->ex->body);
    if (tr_slice_trim(body).len == 0) {
        api_actor_malformed(work, "EOF");
        return false;
    }
    if (tr_json_check(body, out_value, &err) != TR_OK) {
        api_actor_malformed(work, err.msg);
        return false;
    }
    return true;
}

bool api_actor_take_string(struct api_actor_work *work, struct tr_slice raw, struct tr_slice *out_text)
{
    const size_t at = work->texts.len;
    if (!tr_json_str_get(raw, &work->texts)) {
        return false;
    }
    *out_text = tr_slice(work->texts.ptr + at, work->texts.len - at);
    return true;
}

bool api_actor_member(struct tr_slice object, const char *name, struct tr_slice *out_value)
{
    return tr_json_get_nocase(object, name, out_value) && tr_json_type(*out_value) != TR_JSON_NULL;
}

bool api_actor_is_refused(struct api_request *req)
{
    struct tr_err err;
    if (!api_is_reserved(api_param(req, 0), &err)) {
        return false;
    }
    api_reply_err(req, &err);
    return true;
}

/* --- A: invoke ------------------------------------------------------------------------------------------------------ */

static void reply_call(struct api_actor_work *work)
{
    struct tr_actor_call *call = &work->call;
    if (call->outcome != TR_ACTOR_ANSWERED) {
        struct tr_actor_failure failure = { 0 };
        tr_actor_failure_http(call, &failure);
        api_reply_code(work->req, failure.code, tr_buf_slice(&failure.message));
        tr_buf_fini(&failure.message);
        return;
    }
    struct tr_http_headers headers = { 0 };
    tr_forward_headers(&call->headers_out, &headers);
    tr_http_headers_add(&headers, TR_SLICE_LIT("Content-Type"),
                        call->content_type_out.len > 0 ? tr_buf_slice(&call->content_type_out)
                                                       : TR_SLICE_LIT("application/json"));
    api_reply(work->req, 200, &headers, tr_buf_slice(&call->body_out));
    tr_http_headers_fini(&headers);
}

static void on_called(struct tr_actor_call *call)
{
    struct api_actor_work *work = TR_CONTAINER_OF(call, struct api_actor_work, call);
    work->in = IN_NOTHING;
    reply_call(work);
}

/* The caller's headers under canonical names, as a Go server hands them on. */
static void take_headers(struct api_actor_work *work)
{
    struct tr_http_exchange *ex = work->req->ex;
    struct tr_buf name = { 0 };
    tr_forward_strip_identity(&ex->headers);
    for (size_t i = 0; i < tr_http_headers_len(&ex->headers); i++) {
        const struct tr_http_header header = tr_http_headers_at(&ex->headers, i);
        if (tr_slice_eq_nocase(header.name, TR_SLICE_LIT("host"))) {
            continue;
        }
        tr_buf_clear(&name);
        tr_http_header_canonical(header.name, &name);
        tr_http_headers_add(&work->headers, tr_buf_slice(&name), header.value);
    }
    tr_buf_fini(&name);
}

static void start_call(struct api_actor_work *work)
{
    struct tr_http_exchange *ex = work->req->ex;
    take_headers(work);
    work->call.kind = TR_ACTOR_METHOD;
    work->call.actor_type = api_actor_type(work);
    work->call.actor_id = api_actor_id(work);
    work->call.name = tr_buf_slice(&work->method);
    work->call.headers = &work->headers;
    work->call.chain_id = tr_http_headers_value(&work->headers, "Dapr-Reentrancy-Id");
    work->call.query = ex->query;
    work->call.content_type = tr_http_headers_value(&work->headers, "Content-Type");
    work->call.body = tr_buf_slice(&ex->body);
    work->call.cb = on_called;
    work->in = IN_CALL;
    tr_actor_call_start(api_actor_engine(work), &work->call);
}

static void on_call_body(struct tr_http_exchange *ex, const struct tr_err *err)
{
    struct api_actor_work *work = ((struct api_request *)ex->user)->work;
    if (err->code != TR_OK) {
        struct tr_err cause;
        (void)tr_err_set(&cause, TR_BAD_REQUEST, "%s", err->code == TR_LIMIT ? "stream too large" : err->msg);
        api_reply_wrapped(work->req, TR_BAD_REQUEST, "invalid request: failed to read body: ", &cause);
        return;
    }
    start_call(work);
}

static void check_call(struct api_actor_work *work)
{
    struct tr_err err;
    if (tr_path_check_name(api_actor_type(work), &err) != TR_OK) {
        api_reply_wrapped(work->req, TR_BAD_REQUEST, "invalid request: invalid actorType: ", &err);
        return;
    }
    if (tr_path_check_name(api_actor_id(work), &err) != TR_OK) {
        api_reply_wrapped(work->req, TR_BAD_REQUEST, "invalid request: invalid actorId: ", &err);
        return;
    }
    if (tr_path_clean_method(api_param(work->req, 2), &work->method, &err) != TR_OK) {
        api_reply_wrapped(work->req, TR_BAD_REQUEST, "invalid request: ", &err);
        return;
    }
    tr_http_exchange_read_all(work->req->ex, work->req->api->conf.body_bytes_max, on_call_body);
}

static void handle_invoke(struct api_request *req)
{
    api_actor_pass_gate(api_actor_work_new(req), check_call);
}

/* --- routes --------------------------------------------------------------------------------------------------------- */

#define ACTOR "/v1.0/actors/{actorType}/{actorId}"

const struct api_route api_actor_routes[] = {
    { API_GET | API_POST | API_PUT | API_DELETE, ACTOR "/method/{method}", { "actorType", "actorId", "method" },
      "v1", "actors", "InvokeActor", handle_invoke, false, false, false },
    { API_POST | API_PUT, ACTOR "/state", { "actorType", "actorId" }, "v1", "actors", "ExecuteActorStateTransaction",
      api_actor_handle_transaction, false, false, false },
    { API_GET, ACTOR "/state/{key}", { "actorType", "actorId", "key" }, "v1", "actors", "GetActorState", api_actor_handle_get_state,
      false, false, false },
    { API_POST | API_PUT, ACTOR "/reminders/{name}", { "actorType", "actorId", "name" }, "v1", "actors",
      "RegisterActorReminder", api_actor_handle_create_reminder, false, false, false },
    { API_GET, ACTOR "/reminders/{name}", { "actorType", "actorId", "name" }, "v1", "actors", "GetActorReminder",
      api_actor_handle_get_reminder, false, false, false },
    { API_DELETE, ACTOR "/reminders/{name}", { "actorType", "actorId", "name" }, "v1", "actors", "UnregisterActorReminder",
      api_actor_handle_delete_reminder, false, false, false },
    { API_POST | API_PUT, ACTOR "/timers/{name}", { "actorType", "actorId", "name" }, "v1", "actors", "RegisterActorTimer",
      api_actor_handle_create_timer, false, false, false },
    { API_DELETE, ACTOR "/timers/{name}", { "actorType", "actorId", "name" }, "v1", "actors", "UnregisterActorTimer",
      api_actor_handle_delete_timer, false, false, false },
};
const size_t api_actor_routes_len = TR_ARRAY_LEN(api_actor_routes);
