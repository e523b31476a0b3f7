/*
 * State over HTTP. Each request passes its checks in the order the reference has them: the store, the body, the items,
 * the keys. A store's operations are short and are not cancelled when the client goes away.
 */
#include "runtime/api/state_json.h"

#include <stdlib.h>

#include "runtime/base/duration.h"
#include "runtime/base/json.h"
#include "runtime/base/uri.h"

#define METADATA_PREFIX "metadata."

/* The work of one request. */
struct work {
    struct api_request *req; /* borrowed */
    struct api_state_job job;
    struct tr_buf ttl;       /* of the query, which counts more than the body */
    bool has_ttl;
    struct tr_buf concurrency;
    struct tr_buf consistency;
};

static void work_free(void *ctx)
{
    struct work *work = ctx;
    api_state_job_fini(&work->job);
    tr_buf_fini(&work->ttl);
    tr_buf_fini(&work->concurrency);
    tr_buf_fini(&work->consistency);
    free(work);
}

static struct work *work_new(struct api_request *req, enum api_state_action action)
{
    struct work *work = tr_xzalloc(sizeof(*work));
    const struct tr_slice query = req->ex->query;
    work->req = req;
    req->work = work;
    req->free_work = work_free;
    work->job.api = req->api;
    work->job.is_http = true;
    work->job.action = action;
    work->job.store_name = api_param(req, 0);
    work->has_ttl = tr_uri_query_get(query, TR_SLICE_LIT(METADATA_PREFIX "ttlInSeconds"), &work->ttl);
    (void)tr_uri_query_get(query, TR_SLICE_LIT("concurrency"), &work->concurrency);
    (void)tr_uri_query_get(query, TR_SLICE_LIT("consistency"), &work->consistency);
    return work;
}

/* The store, or NULL when the request has been answered. */
static struct tr_api_store *find_store(struct work *work)
{
    struct tr_api_store *store = api_state_store(&work->job, true);
    if (store == NULL || (work->job.action == API_STATE_TRANSACT && !api_state_can_transact(&work->job, store))) {
        api_reply_fault(work->req, &work->job.fault);
        return NULL;
    }
    return store;
}

static struct work *work_of(struct api_state_job *job)
{
    return TR_CONTAINER_OF(job, struct work, job);
}

/* --- get ------------------------------------------------------------------------------------------------------------ */

static void reply_value(struct api_request *req, struct tr_store_value *value)
{
    struct tr_http_headers headers = { 0 };
    tr_http_headers_add_str(&headers, "Content-Type", "application/json");
    tr_http_headers_add_str(&headers, "Etag", value->etag);
    if (value->has_expiry) {
        struct tr_buf time = { 0 };
        tr_time_add(&time, value->expiry_unix_ms * TR_NS_PER_MS, 0);
        tr_http_headers_add(&headers, TR_SLICE_LIT("Metadata.ttlexpiretime"), tr_buf_slice(&time));
        tr_buf_fini(&time);
    }
    api_reply(req, 200, &headers, tr_buf_slice(&value->value));
    tr_http_headers_fini(&headers);
}

static void on_got(struct api_state_job *job)
{
    struct api_request *req = work_of(job)->req;
    if (job->fault.code != TR_OK) {
        api_reply_fault(req, &job->fault);
    } else if (!job->rows[0].value->found || job->rows[0].value->value.len == 0) {
        api_reply_empty(req);
    } else {
        reply_value(req, &job->get.values[0]);
    }
}

static void handle_get(struct api_request *req)
{
    struct work *work = work_new(req, API_STATE_GET);
    struct tr_api_store *store = find_store(work);
    if (store != NULL) {
        api_state_items_new(&work->job, 1);
        work->job.items[0].key = api_param(req, 1);
        work->job.cb = on_got;
        api_state_start(&work->job, store);
    }
}

/* --- writes --------------------------------------------------------------------------------------------------------- */

static void on_written(struct api_state_job *job)
{
    struct api_request *req = work_of(job)->req;
    if (job->fault.code != TR_OK) {
        api_reply_fault(req, &job->fault);
    } else {
        api_reply_empty(req);
    }
}

static void handle_delete(struct api_request *req)
{
    struct work *work = work_new(req, API_STATE_DELETE);
    struct tr_api_store *store = find_store(work);
    if (store == NULL) {
        return;
    }
    api_state_items_new(&work->job, 1);
    struct api_state_item *item = &work->job.items[0];
    item->is_delete = true;
    item->key = api_param(req, 1);
    item->has_etag = tr_http_headers_has(&req->ex->headers, "if-match");
    item->etag = tr_http_headers_value(&req->ex->headers, "if-match");
    item->concurrency = tr_buf_slice(&work->concurrency);
    item->consistency = tr_buf_slice(&work->consistency);
    work->job.cb = on_written;
    api_state_start(&work->job, store);
}

/* A body that cannot be used. The save is the only one whose text has nothing in front. */
static void reply_malformed(struct work *work, const struct tr_err *err)
{
    const bool is_save = work->job.action == API_STATE_SAVE;
    api_reply_wrapped(work->req, TR_MALFORMED, is_save ? "" : "failed deserializing HTTP body: ", err);
}

/* False: the request has been answered. */
static bool check_read(struct work *work, const struct tr_err *err)
{
    struct tr_err cause;
    if (err->code == TR_OK) {
        return true;
    }
    (void)tr_err_set(&cause, TR_MALFORMED, "%s", err->code == TR_LIMIT ? "stream too large" : err->msg);
    reply_malformed(work, &cause);
    return false;
}

static void merge_ttl(struct work *work)
{
    for (size_t i = 0; i < work->job.items_len && work->has_ttl; i++) {
        work->job.items[i].ttl = tr_buf_slice(&work->ttl);
    }
}

static bool has_keys(struct work *work)
{
    for (size_t i = 0; i < work->job.items_len; i++) {
        if (work->job.items[i].key.len == 0) {
            api_reply_code(work->req, TR_MALFORMED, TR_SLICE_LIT("\"key\" is a required field"));
            return false;
        }
    }
    return true;
}

/* The items are there: write them. The store is looked up again, for it may have gone while the body came. */
static void start_writes(struct work *work)
{
    struct tr_api_store *store = find_store(work);
    if (store != NULL) {
        merge_ttl(work);
        work->job.cb = on_written;
        api_state_start(&work->job, store);
    }
}

static void on_save_body(struct tr_http_exchange *ex, const struct tr_err *read_err)
{
    struct work *work = ((struct api_request *)ex->user)->work;
    struct tr_err err;
    if (!check_read(work, read_err)) {
        return;
    }
    if (api_state_read_items(&work->job, tr_buf_slice(&ex->body), &err) != TR_OK) {
        reply_malformed(work, &err);
    } else if (work->job.items_len == 0) {
        api_reply_empty(work->req);
    } else if (has_keys(work)) {
        start_writes(work);
    }
}

static void on_transaction_body(struct tr_http_exchange *ex, const struct tr_err *read_err)
{
    struct work *work = ((struct api_request *)ex->user)->work;
    struct tr_err err;
    if (!check_read(work, read_err)) {
        return;
    }
    switch (api_state_read_operations(&work->job, tr_buf_slice(&ex->body), &err)) {
    case TR_OK:
        break;
    case TR_STATE_TOO_MANY:
        api_reply_fault(work->req, &work->job.fault);
        return;
    case TR_STATE_BAD_OPERATION:
        api_reply_err(work->req, &err);
        return;
    default:
        reply_malformed(work, &err);
        return;
    }
    if (work->job.items_len == 0) {
        api_reply_empty(work->req);
    } else {
        start_writes(work);
    }
}

static void read_body(struct work *work, tr_http_body_end_fn *on_end)
{
    if (find_store(work) != NULL) {
        tr_http_exchange_read_all(work->req->ex, work->req->api->conf.body_bytes_max, on_end);
    }
}

static void handle_save(struct api_request *req)
{
    read_body(work_new(req, API_STATE_SAVE), on_save_body);
}

static void handle_transaction(struct api_request *req)
{
    read_body(work_new(req, API_STATE_TRANSACT), on_transaction_body);
}

/* --- bulk get ------------------------------------------------------------------------------------------------------- */

static void add_found(struct tr_json_out *out, const struct tr_store_value *value)
{
    if (value->value.len > 0) {
        struct tr_buf data = { 0 };
        tr_json_add_compact(&data, tr_buf_slice(&value->value));
        tr_json_key(out, "data");
        tr_json_raw(out, tr_buf_slice(&data));
        tr_buf_fini(&data);
    }
    tr_json_key(out, "etag");
    tr_json_str(out, tr_slice_str(value->etag));
    if (value->has_expiry) {
        struct tr_buf time = { 0 };
        tr_time_add(&time, value->expiry_unix_ms * TR_NS_PER_MS, 0);
        tr_json_key(out, "metadata");
        tr_json_begin_object(out);
        tr_json_key(out, "ttlExpireTime");
        tr_json_str(out, tr_buf_slice(&time));
        tr_json_end_object(out);
        tr_buf_fini(&time);
    }
}

/* A value that is no JSON (gRPC may have stored it) cannot stand in the answer. The reference then gives an empty body. */
static void add_row(struct tr_json_out *out, struct tr_slice key, const struct api_state_row *row)
{
    struct tr_err err;
    struct tr_slice error = tr_slice_str(row->error);
    const struct tr_store_value *value = row->value;
    tr_json_begin_object(out);
    tr_json_key(out, "key");
    tr_json_str(out, key);
    if (value != NULL && value->found && value->value.len > 0 &&
        tr_json_check(tr_buf_slice(&value->value), NULL, &err) != TR_OK) {
        error = TR_SLICE_LIT("the value is no JSON");
    }
    if (error.len > 0) {
        tr_json_key(out, "error");
        tr_json_str(out, error);
    } else if (value->found) {
        add_found(out, value);
    }
    tr_json_end_object(out);
}

static void reply_rows(struct work *work)
{
    struct tr_buf body = { 0 };
    struct tr_json_out out;
    tr_json_out_init(&out, &body);
    tr_json_begin_array(&out);
    for (size_t i = 0; i < work->job.items_len; i++) {
        add_row(&out, work->job.items[i].key, &work->job.rows[i]);
    }
    tr_json_end_array(&out);
    tr_buf_add_char(&body, '\n'); /* as Go's encoder ends a value */
    api_reply_json(work->req, 200, tr_buf_slice(&body));
    tr_buf_fini(&body);
}

static void on_got_bulk(struct api_state_job *job)
{
    struct work *work = work_of(job);
    if (job->fault.code != TR_OK) {
        api_reply_fault(work->req, &job->fault);
    } else {
        reply_rows(work);
    }
}

static void on_bulk_body(struct tr_http_exchange *ex, const struct tr_err *read_err)
{
    struct work *work = ((struct api_request *)ex->user)->work;
    struct tr_api_store *store;
    struct tr_err err;
    if (!check_read(work, read_err)) {
        return;
    }
    if (api_state_read_keys(&work->job, tr_buf_slice(&ex->body), &err) != TR_OK) {
        reply_malformed(work, &err);
    } else if (work->job.items_len == 0) {
        reply_rows(work);
    } else if ((store = find_store(work)) != NULL) {
        work->job.cb = on_got_bulk;
        api_state_start(&work->job, store);
    }
}

static void handle_get_bulk(struct api_request *req)
{
    read_body(work_new(req, API_STATE_GET_BULK), on_bulk_body);
}

/* --- query: no store here has it ------------------------------------------------------------------------------------- */

static void handle_query(struct api_request *req)
{
    struct work *work = work_new(req, API_STATE_GET);
    if (api_state_store(&work->job, false) != NULL) {
        api_state_no_query(&work->job);
    }
    api_reply_fault(req, &work->job.fault);
}

#define WRITE (API_POST | API_PUT)

const struct api_route api_state_routes[] = {
    { API_GET, "/v1.0/state/{store}/{key}", { "storeName", "key" }, "v1", "state", "GetState", handle_get, false, false, false },
    { WRITE, "/v1.0/state/{store}", { "storeName" }, "v1", "state", "SaveState", handle_save, false, false, false },
    { API_DELETE, "/v1.0/state/{store}/{key}", { "storeName", "key" }, "v1", "state", "DeleteState", handle_delete, false, false, false },
    { WRITE, "/v1.0/state/{store}/bulk", { "storeName" }, "v1", "state", "GetBulkState", handle_get_bulk, false, false, false },
    { WRITE, "/v1.0/state/{store}/transaction", { "storeName" }, "v1", "state", "ExecuteStateTransaction",
      handle_transaction, false, false, false },
    { WRITE, "/v1.0-alpha1/state/{store}/query", { "storeName" }, "v1alpha1", "state", "QueryStateAlpha1", handle_query,
      false, false, false },
};
const size_t api_state_routes_len = TR_ARRAY_LEN(api_state_routes);
