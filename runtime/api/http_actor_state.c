/* State of actors over HTTP: routes B and C. */
#include "runtime/api/http_actor_int.h"
#include "runtime/base/duration.h"
#include "runtime/base/json.h"

/* --- B: state transaction ------------------------------------------------------------------------------------------- */

static void reply_bad_ops(struct api_actor_work *work)
{
    api_reply_wrapped(work->req, TR_ACTOR_STATE_TX, "error saving actor transaction state: ", &work->ops_err);
}

static void on_transacted(struct tr_actor_state_tx *tx)
{
    struct api_actor_work *work = TR_CONTAINER_OF(tx, struct api_actor_work, tx);
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

static void start_tx(struct api_actor_work *work)
{
    work->tx.actor_type = api_actor_type(work);
    work->tx.actor_id = api_actor_id(work);
    work->tx.ops = work->ops;
    work->tx.ops_len = work->ops_len;
    work->tx.cb = on_transacted;
    work->in = IN_TX;
    tr_actor_state_tx_start(api_actor_engine(work), &work->tx);
}

static enum tr_code read_metadata(struct api_actor_work *work, struct tr_slice request, struct tr_actor_state_op *op,
                                  struct tr_err *err)
{
    struct tr_slice metadata;
    struct tr_slice name;
    struct tr_slice value;
    if (!api_actor_member(request, "metadata", &metadata)) {
        return TR_OK;
    }
    if (tr_json_type(metadata) != TR_JSON_OBJECT) {
        return tr_err_set(err, TR_ACTOR_STATE_TX, "'metadata' is no object");
    }
    struct tr_json_iter it = tr_json_iter(metadata);
    while (tr_json_next_member(&it, &name, &value)) {
        struct tr_slice text;
        if (!api_actor_take_string(work, value, &text)) {
            return tr_err_set(err, TR_ACTOR_STATE_TX, "'metadata' holds a value that is no string");
        }
        if (tr_json_str_eq(name, TR_SLICE_LIT("ttlInSeconds"))) {
            op->has_ttl = true;
            op->ttl = text;
        }
    }
    return TR_OK;
}

static enum tr_code read_op(struct api_actor_work *work, struct tr_slice item, struct tr_actor_state_op *op, struct tr_err *err)
{
    struct tr_slice raw;
    struct tr_slice operation = { 0 };
    struct tr_slice request;
    if (!api_actor_member(item, "operation", &raw) || !api_actor_take_string(work, raw, &operation) || operation.len == 0) {
        return tr_err_set(err, TR_ACTOR_STATE_TX, "operation is empty");
    }
    op->is_delete = tr_slice_eq_str(operation, "delete");
    if (!op->is_delete && !tr_slice_eq_str(operation, "upsert")) {
        return tr_err_set(err, TR_ACTOR_STATE_TX, "operation type %.*s not supported", TR_SLICE_ARG(operation));
    }
    if (!api_actor_member(item, "request", &request)) {
        return tr_err_set(err, TR_ACTOR_STATE_TX, "request data is empty");
    }
    if (tr_json_type(request) != TR_JSON_OBJECT) {
        return tr_err_set(err, TR_ACTOR_STATE_TX, "request data is no object");
    }
    if (api_actor_member(request, "key", &raw) && !api_actor_take_string(work, raw, &op->key)) {
        return tr_err_set(err, TR_ACTOR_STATE_TX, "'key' is no string");
    }
    if (op->key.len == 0) {
        return tr_err_set(err, TR_ACTOR_STATE_TX, "missing key");
    }
    if (api_actor_member(request, "etag", &raw)) {
        op->has_etag = true;
        if (!api_actor_take_string(work, raw, &op->etag)) {
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
static enum tr_code read_ops(struct api_actor_work *work, struct tr_slice array, struct tr_err *err)
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
static void check_tx(struct api_actor_work *work)
{
    struct tr_slice array;
    if (!api_actor_check_json(work, &array)) {
        return;
    }
    if (read_ops(work, array, &work->ops_err) != TR_OK) {
        if (tr_actor_is_active(api_actor_engine(work), api_actor_type(work), api_actor_id(work))) {
            reply_bad_ops(work);
            return;
        }
        work->ops_len = 0;
    }
    start_tx(work);
}

static void parse_tx(struct api_actor_work *work)
{
    struct tr_slice value;
    struct tr_slice item;
    if (!api_actor_check_json(work, &value)) {
        return;
    }
    if (tr_json_type(value) != TR_JSON_ARRAY && tr_json_type(value) != TR_JSON_NULL) {
        api_actor_malformed(work, "the body is no array of operations");
        return;
    }
    struct tr_json_iter it = tr_json_iter(value);
    while (tr_json_next(&it, &item)) {
        struct tr_slice operation;
        if (tr_json_type(item) != TR_JSON_OBJECT && tr_json_type(item) != TR_JSON_NULL) {
            api_actor_malformed(work, "an operation is no object");
            return;
        }
        if (api_actor_member(item, "operation", &operation) && tr_json_type(operation) != TR_JSON_STRING) {
            api_actor_malformed(work, "'operation' is no string");
            return;
        }
    }
    api_actor_pass_gate(work, check_tx);
}

void api_actor_handle_transaction(struct api_request *req)
{
    if (!api_actor_is_refused(req)) {
        api_actor_read_json(api_actor_work_new(req), parse_tx);
    }
}

/* --- C: state get --------------------------------------------------------------------------------------------------- */

static void reply_value(struct api_actor_work *work)
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
    struct api_actor_work *work = TR_CONTAINER_OF(get, struct api_actor_work, get);
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

static void start_get(struct api_actor_work *work)
{
    work->get.actor_type = api_actor_type(work);
    work->get.actor_id = api_actor_id(work);
    work->get.key = api_param(work->req, 2);
    work->get.cb = on_got;
    work->in = IN_GET;
    tr_actor_state_get_start(api_actor_engine(work), &work->get);
}

void api_actor_handle_get_state(struct api_request *req)
{
    if (!api_actor_is_refused(req)) {
        api_actor_pass_gate(api_actor_work_new(req), start_get);
    }
}
