/*
 * Actors over HTTP: routes A to H.
 *
 * Each request passes its checks in the order the reference has them, because which error a bad request gets depends on
 * it. Waiting (for the body, for the app's types, for the engine) always ends in reply, also after the client has gone.
 */
#include "runtime/api/api_int.h"

#include <stdlib.h>

#include "runtime/app/forward.h"
#include "runtime/base/duration.h"
#include "runtime/base/json.h"

/* The work of one request: the waits and operations that it may need, one after the other. */
struct work {
    struct api_request *req; /* borrowed */
    void (*next)(struct work *work); /* after the body or the gate */
    struct tr_actor_wait gate;
    struct tr_actor_call call;
    struct tr_actor_state_get get;
    struct tr_actor_state_tx tx;
    struct tr_http_headers headers; /* what travels with a call */
    struct tr_buf method;
    struct tr_buf texts;            /* strings of the body, decoded */
    struct tr_actor_state_op *ops;
    size_t ops_len;
    struct tr_err ops_err; /* what is wrong with them */
    enum { IN_NOTHING, IN_GATE, IN_CALL, IN_GET, IN_TX } in; /* which operation is in flight */
};

static void work_free(void *ctx)
{
    struct work *work = ctx;
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
    struct work *work = req->work;
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

static struct work *work_new(struct api_request *req)
{
    struct work *work = tr_xzalloc(sizeof(*work));
    work->req = req;
    req->work = work;
    req->cancel = on_cancel;
    req->free_work = work_free;
    return work;
}

static struct tr_actor_engine *engine_of(const struct work *work)
{
    return work->req->api->conf.engine;
}

static struct tr_slice type_of(const struct work *work)
{
    return api_param(work->req, 0);
}

static struct tr_slice id_of(const struct work *work)
{
    return api_param(work->req, 1);
}

/* --- the gate and the body ------------------------------------------------------------------------------------------ */

static void on_gate(struct tr_actor_wait *gate)
{
    struct work *work = TR_CONTAINER_OF(gate, struct work, gate);
    work->in = IN_NOTHING;
    if (gate->err.code != TR_OK) {
        api_reply_err(work->req, &gate->err);
        return;
    }
    work->next(work);
}

/* Go on with `next` when the app's types are known. */
static void pass_gate(struct work *work, void (*next)(struct work *work))
{
    struct tr_err err;
    switch (tr_actor_gate(engine_of(work), &err)) {
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
    tr_actor_wait_start(engine_of(work), &work->gate);
}

/* An error of the body, told as a JSON decoder of the reference tells it. */
static void reply_malformed(struct work *work, const char *detail)
{
    struct tr_err err;
    (void)tr_err_set(&err, TR_MALFORMED, "%s", detail);
    api_reply_wrapped(work->req, TR_MALFORMED, "failed deserializing HTTP body: ", &err);
}

static void on_json_body(struct tr_http_exchange *ex, const struct tr_err *err)
{
    struct work *work = ((struct api_request *)ex->user)->work;
    if (err->code != TR_OK) {
        reply_malformed(work, err->code == TR_LIMIT ? "stream too large" : err->msg);
        return;
    }
    work->next(work);
}

static void read_body(struct work *work, void (*next)(struct work *work), tr_http_body_end_fn *on_end)
{
    work->next = next;
    tr_http_exchange_read_all(work->req->ex, work->req->api->conf.body_bytes_max, on_end);
}

/* Check the body as one JSON value; false: replied. */
static bool check_json(struct work *work, struct tr_slice *out_value)
{
    struct tr_err err;
    const struct tr_slice body = tr_buf_slice(&work->req->ex->body);
    if (tr_slice_trim(body).len == 0) {
        reply_malformed(work, "EOF");
        return false;
    }
    if (tr_json_check(body, out_value, &err) != TR_OK) {
        reply_malformed(work, err.msg);
        return false;
    }
    return true;
}

/* Reject the reserved types; true: replied. */
static bool is_refused(struct api_request *req)
{
    struct tr_err err;
    if (!api_is_reserved(api_param(req, 0), &err)) {
        return false;
    }
    api_reply_err(req, &err);
    return true;
}

/* --- A: invoke ------------------------------------------------------------------------------------------------------ */

static void reply_call(struct work *work)
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
    struct work *work = TR_CONTAINER_OF(call, struct work, call);
    work->in = IN_NOTHING;
    reply_call(work);
}

/* The caller's headers under canonical names, as a Go server hands them on. */
static void take_headers(struct work *work)
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

static void start_call(struct work *work)
{
    struct tr_http_exchange *ex = work->req->ex;
    take_headers(work);
    work->call.kind = TR_ACTOR_METHOD;
    work->call.actor_type = type_of(work);
    work->call.actor_id = id_of(work);
    work->call.name = tr_buf_slice(&work->method);
    work->call.headers = &work->headers;
    work->call.chain_id = tr_http_headers_value(&work->headers, "Dapr-Reentrancy-Id");
    work->call.query = ex->query;
    work->call.content_type = tr_http_headers_value(&work->headers, "Content-Type");
    work->call.body = tr_buf_slice(&ex->body);
    work->call.cb = on_called;
    work->in = IN_CALL;
    tr_actor_call_start(engine_of(work), &work->call);
}

static void on_call_body(struct tr_http_exchange *ex, const struct tr_err *err)
{
    struct work *work = ((struct api_request *)ex->user)->work;
    if (err->code != TR_OK) {
        struct tr_err cause;
        (void)tr_err_set(&cause, TR_BAD_REQUEST, "%s", err->code == TR_LIMIT ? "stream too large" : err->msg);
        api_reply_wrapped(work->req, TR_BAD_REQUEST, "invalid request: failed to read body: ", &cause);
        return;
    }
    start_call(work);
}

static void check_call(struct work *work)
{
    struct tr_err err;
    if (tr_path_check_name(type_of(work), &err) != TR_OK) {
        api_reply_wrapped(work->req, TR_BAD_REQUEST, "invalid request: invalid actorType: ", &err);
        return;
    }
    if (tr_path_check_name(id_of(work), &err) != TR_OK) {
        api_reply_wrapped(work->req, TR_BAD_REQUEST, "invalid request: invalid actorId: ", &err);
        return;
    }
    if (tr_path_clean_method(api_param(work->req, 2), &work->method, &err) != TR_OK) {
        api_reply_wrapped(work->req, TR_BAD_REQUEST, "invalid request: ", &err);
        return;
    }
    read_body(work, NULL, on_call_body);
}

static void handle_invoke(struct api_request *req)
{
    pass_gate(work_new(req), check_call);
}

/* --- B: state transaction ------------------------------------------------------------------------------------------- */

static void reply_bad_ops(struct work *work)
{
    api_reply_wrapped(work->req, TR_ACTOR_STATE_TX, "error saving actor transaction state: ", &work->ops_err);
}

static void on_transacted(struct tr_actor_state_tx *tx)
{
    struct work *work = TR_CONTAINER_OF(tx, struct work, tx);
    work->in = IN_NOTHING;
    if (tx->err.code == TR_OK && work->ops_err.code != TR_OK) {
        reply_bad_ops(work);
    } else if (tx->err.code == TR_OK) {
        api_reply_empty(work->req);
    } else if (tx->err.code == TR_ACTOR_STATE_TX || tr_code_name(tx->err.code)[0] == '\0') {
        api_reply_wrapped(work->req, TR_ACTOR_STATE_TX, "error saving actor transaction state: ", &tx->err);
    } else {
        api_reply_err(work->req, &tx->err);
    }
}

static void start_tx(struct work *work)
{
    work->tx.actor_type = type_of(work);
    work->tx.actor_id = id_of(work);
    work->tx.ops = work->ops;
    work->tx.ops_len = work->ops_len;
    work->tx.cb = on_transacted;
    work->in = IN_TX;
    tr_actor_state_tx_start(engine_of(work), &work->tx);
}

/* Decode a string into the request's memory; the memory was reserved, so that earlier slices stay good. */
static bool take_string(struct work *work, struct tr_slice raw, struct tr_slice *out_text)
{
    const size_t at = work->texts.len;
    if (!tr_json_str_get(raw, &work->texts)) {
        return false;
    }
    *out_text = tr_slice(work->texts.ptr + at, work->texts.len - at);
    return true;
}

static bool get_member(struct tr_slice object, const char *name, struct tr_slice *out_value)
{
    return tr_json_get_nocase(object, name, out_value) && tr_json_type(*out_value) != TR_JSON_NULL;
}

static enum tr_code read_metadata(struct work *work, struct tr_slice request, struct tr_actor_state_op *op,
                                  struct tr_err *err)
{
    struct tr_slice metadata;
    struct tr_slice name;
    struct tr_slice value;
    if (!get_member(request, "metadata", &metadata)) {
        return TR_OK;
    }
    if (tr_json_type(metadata) != TR_JSON_OBJECT) {
        return tr_err_set(err, TR_ACTOR_STATE_TX, "'metadata' is no object");
    }
    struct tr_json_iter it = tr_json_iter(metadata);
    while (tr_json_next_member(&it, &name, &value)) {
        struct tr_slice text;
        if (!take_string(work, value, &text)) {
            return tr_err_set(err, TR_ACTOR_STATE_TX, "'metadata' holds a value that is no string");
        }
        if (tr_json_str_eq(name, TR_SLICE_LIT("ttlInSeconds"))) {
            op->has_ttl = true;
            op->ttl = text;
        }
    }
    return TR_OK;
}

static enum tr_code read_op(struct work *work, struct tr_slice item, struct tr_actor_state_op *op, struct tr_err *err)
{
    struct tr_slice raw;
    struct tr_slice operation = { 0 };
    struct tr_slice request;
    if (!get_member(item, "operation", &raw) || !take_string(work, raw, &operation) || operation.len == 0) {
        return tr_err_set(err, TR_ACTOR_STATE_TX, "operation is empty");
    }
    op->is_delete = tr_slice_eq_str(operation, "delete");
    if (!op->is_delete && !tr_slice_eq_str(operation, "upsert")) {
        return tr_err_set(err, TR_ACTOR_STATE_TX, "operation type %.*s not supported", TR_SLICE_ARG(operation));
    }
    if (!get_member(item, "request", &request)) {
        return tr_err_set(err, TR_ACTOR_STATE_TX, "request data is empty");
    }
    if (tr_json_type(request) != TR_JSON_OBJECT) {
        return tr_err_set(err, TR_ACTOR_STATE_TX, "request data is no object");
    }
    if (get_member(request, "key", &raw) && !take_string(work, raw, &op->key)) {
        return tr_err_set(err, TR_ACTOR_STATE_TX, "'key' is no string");
    }
    if (op->key.len == 0) {
        return tr_err_set(err, TR_ACTOR_STATE_TX, "missing key");
    }
    if (get_member(request, "etag", &raw)) {
        op->has_etag = true;
        if (!take_string(work, raw, &op->etag)) {
            return tr_err_set(err, TR_ACTOR_STATE_TX, "'etag' is no string");
        }
    }
    if (!op->is_delete) {
        const size_t at = work->texts.len;
        tr_json_add_compact(&work->texts, tr_json_get_nocase(request, "value", &raw) ? raw : TR_SLICE_LIT("null"));
        op->value = tr_slice(work->texts.ptr + at, work->texts.len - at);
    }
    return read_metadata(work, request, op, err);
}

/* Texts never need more than the body has, but for a compacted value, which may grow sixfold by escaping. */
static enum tr_code read_ops(struct work *work, struct tr_slice array, struct tr_err *err)
{
    struct tr_json_iter it = tr_json_iter(array);
    struct tr_slice item;
    size_t len = 0;
    while (tr_json_next(&it, &item)) {
        len++;
    }
    work->ops = tr_xzalloc(len * sizeof(*work->ops));
    tr_buf_reserve(&work->texts, 6 * array.len + 4 * len + 16);
    const char *memory = work->texts.ptr;
    it = tr_json_iter(array);
    while (tr_json_next(&it, &item)) {
        const enum tr_code rc = read_op(work, item, &work->ops[work->ops_len++], err);
        if (rc != TR_OK) {
            return rc;
        }
    }
    tr_assert(work->texts.ptr == memory);
    return TR_OK;
}

/*
 * That the actor is not here is told before what is wrong with the operations: the reference's order. The transaction may
 * be held while the type changes hands, and the actor be here only then; so bad operations wait for that, as none.
 */
static void check_tx(struct work *work)
{
    struct tr_slice array;
    if (!check_json(work, &array)) {
        return;
    }
    if (read_ops(work, array, &work->ops_err) != TR_OK) {
        if (tr_actor_is_active(engine_of(work), type_of(work), id_of(work))) {
            reply_bad_ops(work);
            return;
        }
        work->ops_len = 0;
    }
    start_tx(work);
}

static void parse_tx(struct work *work)
{
    struct tr_slice value;
    struct tr_slice item;
    if (!check_json(work, &value)) {
        return;
    }
    if (tr_json_type(value) != TR_JSON_ARRAY && tr_json_type(value) != TR_JSON_NULL) {
        reply_malformed(work, "the body is no array of operations");
        return;
    }
    struct tr_json_iter it = tr_json_iter(value);
    while (tr_json_next(&it, &item)) {
        struct tr_slice operation;
        if (tr_json_type(item) != TR_JSON_OBJECT && tr_json_type(item) != TR_JSON_NULL) {
            reply_malformed(work, "an operation is no object");
            return;
        }
        if (get_member(item, "operation", &operation) && tr_json_type(operation) != TR_JSON_STRING) {
            reply_malformed(work, "'operation' is no string");
            return;
        }
    }
    pass_gate(work, check_tx);
}

static void handle_transaction(struct api_request *req)
{
    if (!is_refused(req)) {
        read_body(work_new(req), parse_tx, on_json_body);
    }
}

/* --- C: state get --------------------------------------------------------------------------------------------------- */

static void reply_value(struct work *work)
{
    struct tr_actor_state_get *get = &work->get;
    struct tr_http_headers headers = { 0 };
    tr_http_headers_add_str(&headers, "Content-Type", "application/json");
    if (get->has_expiry) {
        struct tr_buf time = { 0 };
        tr_time_add(&time, get->expiry_unix_ms * TR_NS_PER_MS, 0);
        tr_http_headers_add(&headers, TR_SLICE_LIT("Metadata.ttlexpiretime"), tr_buf_slice(&time));
        tr_buf_fini(&time);
    }
    api_reply(work->req, 200, &headers, tr_buf_slice(&get->value));
    tr_http_headers_fini(&headers);
}

static void on_got(struct tr_actor_state_get *get)
{
    struct work *work = TR_CONTAINER_OF(get, struct work, get);
    work->in = IN_NOTHING;
    if (get->err.code == TR_OK && get->found) {
        reply_value(work);
    } else if (get->err.code == TR_OK) {
        api_reply_empty(work->req);
    } else if (get->err.code == TR_ACTOR_STATE_GET || tr_code_name(get->err.code)[0] == '\0') {
        api_reply_wrapped(work->req, TR_ACTOR_STATE_GET, "error getting actor state: ", &get->err);
    } else {
        api_reply_err(work->req, &get->err);
    }
}

static void start_get(struct work *work)
{
    work->get.actor_type = type_of(work);
    work->get.actor_id = id_of(work);
    work->get.key = api_param(work->req, 2);
    work->get.cb = on_got;
    work->in = IN_GET;
    tr_actor_state_get_start(engine_of(work), &work->get);
}

static void handle_get_state(struct api_request *req)
{
    if (!is_refused(req)) {
        pass_gate(work_new(req), start_get);
    }
}

/* --- D to H: reminders and timers ----------------------------------------------------------------------------------- */

/* What a body of a reminder or timer says. */
struct schedule {
    struct tr_slice due_time;
    struct tr_slice period;
    struct tr_slice ttl;
    struct tr_slice callback;
    struct tr_slice data; /* JSON text as the app will get it, empty for none */
};

/* Read the members; false: replied. */
static bool read_schedule(struct work *work, struct schedule *out)
{
    struct tr_slice object;
    struct tr_slice raw;
    *out = (struct schedule){ 0 };
    if (!check_json(work, &object)) {
        return false;
    }
    if (tr_json_type(object) != TR_JSON_OBJECT) {
        reply_malformed(work, "the body is no object");
        return false;
    }
    const struct {
        const char *name;
        struct tr_slice *text;
    } members[] = { { "dueTime", &out->due_time },
                    { "period", &out->period },
                    { "ttl", &out->ttl },
                    { "callback", &out->callback } };
    tr_buf_reserve(&work->texts, 7 * object.len + 16);
    for (size_t i = 0; i < TR_ARRAY_LEN(members); i++) {
        if (get_member(object, members[i].name, &raw) && !take_string(work, raw, members[i].text)) {
            struct tr_err err;
            (void)tr_err_set(&err, TR_MALFORMED, "'%s' is no string", members[i].name);
            reply_malformed(work, err.msg);
            return false;
        }
    }
    if (tr_json_get_nocase(object, "data", &raw)) {
        const size_t at = work->texts.len;
        tr_json_add_compact(&work->texts, raw);
        out->data = tr_slice(work->texts.ptr + at, work->texts.len - at);
    }
    return true;
}

static void create_timer(struct work *work)
{
    struct schedule schedule;
    struct tr_err err;
    tr_buf_clear(&work->texts);
    if (!read_schedule(work, &schedule)) {
        return;
    }
    const struct tr_actor_timer_conf conf = {
        .actor_type = type_of(work),
        .actor_id = id_of(work),
        .name = api_param(work->req, 2),
        .due_time = schedule.due_time,
        .period = schedule.period,
        .ttl = schedule.ttl,
        .callback = schedule.callback,
        .data = schedule.data,
    };
    if (tr_actor_timer_create(engine_of(work), &conf, &err) != TR_OK) {
        api_reply_wrapped(work->req, TR_ACTOR_TIMER_CREATE, "error creating actor timer: ", &err);
        return;
    }
    api_reply_empty(work->req);
}

static void delete_timer(struct work *work)
{
    tr_actor_timer_delete(engine_of(work), type_of(work), id_of(work), api_param(work->req, 2));
    api_reply_empty(work->req);
}

static bool is_hosted(struct work *work)
{
    if (tr_actor_is_hosted(engine_of(work), type_of(work))) {
        return true;
    }
    api_reply_code(work->req, TR_ACTOR_NOT_HOSTED,
                   TR_SLICE_LIT("operations on actor reminders are only possible on hosted actor types"));
    return false;
}

static void reply_no_scheduler(struct work *work, enum tr_code code, const char *prefix)
{
    struct tr_err err;
    (void)tr_err_set(&err, code, "%s", TR_ACTOR_NO_SCHEDULER);
    api_reply_wrapped(work->req, code, prefix, &err);
}

static void create_reminder(struct work *work)
{
    if (is_hosted(work)) {
        reply_no_scheduler(work, TR_ACTOR_REMINDER_CREATE, "error creating actor reminder: ");
    }
}

static void get_reminder(struct work *work)
{
    if (is_hosted(work)) {
        reply_no_scheduler(work, TR_ACTOR_REMINDER_GET,
                           "error getting actor reminder: api error: code = Internal desc = failed to get job due to: ");
    }
}

static void delete_reminder(struct work *work)
{
    if (is_hosted(work)) {
        reply_no_scheduler(work, TR_ACTOR_REMINDER_DELETE, "error deleting actor reminder: ");
    }
}

/* Body, then name, then the gate; `create` may read the body again. */
static void check_create(struct work *work, void (*create)(struct work *work))
{
    struct schedule schedule;
    struct tr_err err;
    if (!read_schedule(work, &schedule)) {
        return;
    }
    if (tr_path_check_name(api_param(work->req, 2), &err) != TR_OK) {
        api_reply_wrapped(work->req, TR_BAD_REQUEST, "invalid request: ", &err);
        return;
    }
    pass_gate(work, create);
}

static void check_create_timer(struct work *work)
{
    check_create(work, create_timer);
}

static void check_create_reminder(struct work *work)
{
    check_create(work, create_reminder);
}

/* A body is optional, but if there is one it must be an object. */
static void check_delete(struct work *work, void (*remove)(struct work *work))
{
    struct tr_slice value;
    if (tr_slice_trim(tr_buf_slice(&work->req->ex->body)).len > 0) {
        if (!check_json(work, &value)) {
            return;
        }
        if (tr_json_type(value) != TR_JSON_OBJECT && tr_json_type(value) != TR_JSON_NULL) {
            reply_malformed(work, "the body is no object");
            return;
        }
    }
    pass_gate(work, remove);
}

static void check_delete_timer(struct work *work)
{
    check_delete(work, delete_timer);
}

static void check_delete_reminder(struct work *work)
{
    check_delete(work, delete_reminder);
}

static void handle_body(struct api_request *req, void (*next)(struct work *work))
{
    if (!is_refused(req)) {
        read_body(work_new(req), next, on_json_body);
    }
}

static void handle_create_reminder(struct api_request *req)
{
    handle_body(req, check_create_reminder);
}

static void handle_get_reminder(struct api_request *req)
{
    if (!is_refused(req)) {
        pass_gate(work_new(req), get_reminder);
    }
}

static void handle_delete_reminder(struct api_request *req)
{
    handle_body(req, check_delete_reminder);
}

static void handle_create_timer(struct api_request *req)
{
    handle_body(req, check_create_timer);
}

static void handle_delete_timer(struct api_request *req)
{
    handle_body(req, check_delete_timer);
}

#define ACTOR "/v1.0/actors/{actorType}/{actorId}"

const struct api_route api_actor_routes[] = {
    { API_GET | API_POST | API_PUT | API_DELETE, ACTOR "/method/{method}", { "actorType", "actorId", "method" },
      "v1", "actors", "InvokeActor", handle_invoke, false, false },
    { API_POST | API_PUT, ACTOR "/state", { "actorType", "actorId" }, "v1", "actors", "ExecuteActorStateTransaction",
      handle_transaction, false, false },
    { API_GET, ACTOR "/state/{key}", { "actorType", "actorId", "key" }, "v1", "actors", "GetActorState", handle_get_state,
      false, false },
    { API_POST | API_PUT, ACTOR "/reminders/{name}", { "actorType", "actorId", "name" }, "v1", "actors",
      "RegisterActorReminder", handle_create_reminder, false, false },
    { API_GET, ACTOR "/reminders/{name}", { "actorType", "actorId", "name" }, "v1", "actors", "GetActorReminder",
      handle_get_reminder, false, false },
    { API_DELETE, ACTOR "/reminders/{name}", { "actorType", "actorId", "name" }, "v1", "actors", "UnregisterActorReminder",
      handle_delete_reminder, false, false },
    { API_POST | API_PUT, ACTOR "/timers/{name}", { "actorType", "actorId", "name" }, "v1", "actors", "RegisterActorTimer",
      handle_create_timer, false, false },
    { API_DELETE, ACTOR "/timers/{name}", { "actorType", "actorId", "name" }, "v1", "actors", "UnregisterActorTimer",
      handle_delete_timer, false, false },
};
const size_t api_actor_routes_len = TR_ARRAY_LEN(api_actor_routes);
