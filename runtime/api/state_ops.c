/* The state API without its surfaces: checks, stored keys, the store's operations, and what a failure is called. */
#include "runtime/api/state_ops.h"

#include <stdio.h>
#include <stdlib.h>

#include "runtime/base/quote.h"

/* One independent write. */
struct api_state_write {
    struct tr_store_tx tx;
    struct tr_store_op op;
    struct api_state_job *job; /* borrowed */
};

/* What the statuses of a failed write follow from. */
struct failure {
    struct tr_buf text; /* owned: one line for each write that failed */
    size_t failed_len;
    size_t etags_len;   /* of those, by their etag */
};

#define TEXT_MISMATCH "possible etag mismatch. error from state store: " /* components-contrib state/errors.go */
#define HELP_URL      "https://docs.dapr.io/reference/components-reference/supported-state-stores/"
#define HELP_TEXT     "Check the list of state stores and the features they support"

void api_state_job_fini(struct api_state_job *job)
{
    for (size_t i = 0; i < job->kept_len; i++) {
        tr_buf_fini(&job->kept[i]);
    }
    free(job->kept);
    tr_buf_fini(&job->stored);
    free(job->keys);
    tr_store_get_fini(&job->get);
    free(job->ops);
    free(job->writes);
    free(job->rows);
    free(job->items);
    api_fault_fini(&job->fault);
    *job = (struct api_state_job){ 0 };
}

void api_state_items_new(struct api_state_job *job, size_t len)
{
    tr_assert(job->items == NULL);
    tr_assert(len <= API_STATE_ITEMS_MAX);
    job->items = tr_xzalloc(len * sizeof(*job->items));
    job->items_len = len;
}

struct tr_slice api_state_keep(struct api_state_job *job, struct tr_buf *buf)
{
    /* Doubles at the powers of two, so that the length tells the capacity. */
    if ((job->kept_len & (job->kept_len - 1)) == 0) {
        const size_t cap = job->kept_len == 0 ? 1 : 2 * job->kept_len;
        job->kept = tr_xrealloc(job->kept, cap * sizeof(*job->kept));
    }
    struct tr_buf *kept = &job->kept[job->kept_len++];
    *kept = *buf;
    *buf = (struct tr_buf){ 0 };
    return tr_buf_slice(kept);
}

/* --- faults before the store is asked ------------------------------------------------------------------------------- */

struct tr_api_store *api_state_store(struct api_state_job *job, bool tells_app_id)
{
    struct tr_api_store *store = api_store_find(job->api, job->store_name);
    if (store != NULL) {
        return store;
    }
    const bool has_stores = job->api->stores_len > 0;
    api_fault_set(&job->fault, has_stores ? TR_STATE_NOT_FOUND : TR_STATE_NOT_CONFIGURED, "state store %.*s is not %s",
                  TR_SLICE_ARG(job->store_name), has_stores ? "found" : "configured");
    job->fault.reason = has_stores ? "DAPR_STATE_NOT_FOUND" : "DAPR_STATE_NOT_CONFIGURED";
    if (tells_app_id && job->api->conf.app_id.len > 0) {
        api_fault_pair(&job->fault, "appID", job->api->conf.app_id);
    }
    return NULL;
}

bool api_state_can_transact(struct api_state_job *job, const struct tr_api_store *store)
{
    if ((tr_store_features(store->store) & TR_STORE_TRANSACTION) != 0) {
        return true;
    }
    api_fault_set(&job->fault, TR_STATE_NOT_SUPPORTED, "state store %.*s doesn't support transactions",
                  TR_SLICE_ARG(job->store_name));
    job->fault.reason = "DAPR_STATE_TRANSACTIONS_NOT_SUPPORTED";
    job->fault.help_url = HELP_URL;
    job->fault.help_text = HELP_TEXT;
    tr_buf_set(&job->fault.resource, job->store_name);
    return false;
}

void api_state_too_many(struct api_state_job *job, size_t ops_len)
{
    char text[24];
    api_fault_set(&job->fault, TR_STATE_TOO_MANY,
                  "the transaction contains %zu operations, which is more than what the state store supports: %u", ops_len,
                  API_STATE_ITEMS_MAX);
    job->fault.reason = "DAPR_STATE_TOO_MANY_TRANSACTIONS";
    tr_buf_set(&job->fault.resource, job->store_name);
    (void)snprintf(text, sizeof(text), "%zu", ops_len);
    api_fault_pair(&job->fault, "currentOpsTransaction", tr_slice_str(text));
    (void)snprintf(text, sizeof(text), "%u", API_STATE_ITEMS_MAX);
    api_fault_pair(&job->fault, "maxOpsPerTransaction", tr_slice_str(text));
}

void api_state_no_query(struct api_state_job *job)
{
    api_fault_set(&job->fault, TR_STATE_NOT_SUPPORTED, "state store does not support querying");
    job->fault.grpc_status = TR_RPC_INTERNAL; /* not that of a missing transaction */
    job->fault.reason = "DAPR_STATE_QUERYING_NOT_SUPPORTED";
    tr_buf_set(&job->fault.resource, job->store_name);
}

/* Over HTTP the reference wraps the error once more, and that text is what its clients see. */
static void set_illegal_key(struct api_state_job *job, struct tr_slice key, const struct tr_err *err)
{
    api_fault_set(&job->fault, TR_MALFORMED, "%s%s", job->is_http ? "api error: code = InvalidArgument desc = " : "",
                  err->msg);
    job->fault.reason = "DAPR_STATE_ILLEGAL_KEY";
    job->fault.has_field = true;
    tr_buf_set(&job->fault.field, key);
    tr_buf_set(&job->fault.resource, job->store_name);
}

/* --- faults of the store -------------------------------------------------------------------------------------------- */

static void set_statuses(struct api_fault *fault, enum tr_code cause)
{
    if (cause == TR_ETAG || cause == TR_ETAG_INVALID) {
        fault->http_status = tr_code_http(cause);
        fault->grpc_status = tr_code_grpc(cause);
    }
}

/* Source of the texts: Dapr pkg/messages/predefined.go. Reasons: pkg/messages/errorcodes/errorcodes.go. */
static void set_failed(struct api_state_job *job, enum tr_code cause, struct tr_slice text)
{
    const struct tr_slice name = job->store_name;
    const struct tr_slice key = job->items_len > 0 ? job->items[0].key : TR_SLICE_LIT("");
    struct api_fault *fault = &job->fault;
    fault->is_plain_over_http = true;
    switch (job->action) {
    case API_STATE_GET:
        api_fault_set(fault, TR_STATE_GET, "fail to get %.*s from state store %.*s: %.*s", TR_SLICE_ARG(key),
                      TR_SLICE_ARG(name), TR_SLICE_ARG(text));
        fault->reason = "ERR_STATE_GET";
        break;
    case API_STATE_GET_BULK:
        api_fault_set(fault, TR_STATE_BULK_GET, "%.*s", TR_SLICE_ARG(text));
        fault->grpc_status = TR_RPC_UNKNOWN; /* the bare error of the store */
        break;
    case API_STATE_SAVE:
        api_fault_set(fault, TR_STATE_SAVE, "failed saving state in state store %.*s: %.*s", TR_SLICE_ARG(name),
                      TR_SLICE_ARG(text));
        fault->reason = "ERR_STATE_SAVE";
        set_statuses(fault, cause);
        break;
    case API_STATE_DELETE:
        api_fault_set(fault, TR_STATE_DELETE, "failed deleting state with key %.*s: %.*s", TR_SLICE_ARG(key),
                      TR_SLICE_ARG(text));
        fault->reason = "ERR_STATE_DELETE";
        set_statuses(fault, cause);
        break;
    case API_STATE_DELETE_BULK:
        api_fault_set(fault, TR_STATE_DELETE, "failed deleting state in state store %.*s: %.*s", TR_SLICE_ARG(name),
                      TR_SLICE_ARG(text));
        fault->reason = "ERR_STATE_BULK_DELETE";
        set_statuses(fault, cause);
        break;
    case API_STATE_TRANSACT: /* also for an etag */
        api_fault_set(fault, TR_STATE_TRANSACTION, "error while executing state transaction: %.*s", TR_SLICE_ARG(text));
        fault->reason = "ERR_STATE_TRANSACTION";
        break;
    }
}

static void set_failed_err(struct api_state_job *job, const struct tr_err *err)
{
    set_failed(job, err->code, tr_slice_str(err->msg));
}

/* --- the end -------------------------------------------------------------------------------------------------------- */

static void on_complete(struct tr_op *op)
{
    struct api_state_job *job = TR_CONTAINER_OF(op, struct api_state_job, op);
    job->cb(job);
}

/* --- reads ---------------------------------------------------------------------------------------------------------- */

static void on_read(struct tr_store_get *get)
{
    struct api_state_job *job = TR_CONTAINER_OF(get, struct api_state_job, get);
    if (get->err.code != TR_OK) {
        set_failed_err(job, &get->err);
    } else {
        size_t at = 0;
        for (size_t i = 0; i < job->items_len; i++) {
            if (job->rows[i].error[0] == '\0') {
                job->rows[i].value = &get->values[at++];
            }
        }
        tr_assert(at == get->keys_len);
    }
    tr_op_finish(&job->op);
}

/* A key that the store would refuse spoils only its own row of a bulk read. */
static void start_read(struct api_state_job *job, struct tr_store *store)
{
    size_t len = 0;
    job->rows = tr_xzalloc(job->items_len * sizeof(*job->rows));
    for (size_t i = 0; i < job->items_len; i++) {
        const size_t key_len = job->keys[i].len;
        struct api_state_row *row = &job->rows[i];
        if (job->action == API_STATE_GET_BULK && key_len == 0) {
            (void)snprintf(row->error, sizeof(row->error), "the key is empty");
        } else if (job->action == API_STATE_GET_BULK && key_len > TR_STORE_KEY_MAX) {
            (void)snprintf(row->error, sizeof(row->error), "the key has %zu bytes, more than %u", key_len, TR_STORE_KEY_MAX);
        } else {
            job->keys[len++] = job->keys[i];
        }
    }
    if (len == 0) {
        tr_op_finish_later(&job->op);
        return;
    }
    job->get.keys = job->keys;
    job->get.keys_len = len;
    job->get.cb = on_read;
    tr_store_get_start(store, &job->get);
}

/* --- writes --------------------------------------------------------------------------------------------------------- */

/* Source: Go strconv.Atoi, as the in-memory store of components-contrib (1.18.4) reads ttlInSeconds: what is not above 0
 * means for ever. Ours counts at most 136 years. */
static enum tr_code parse_ttl(struct tr_slice text, struct tr_store_op *op, struct tr_err *err)
{
    const bool is_negative = text.len > 0 && text.ptr[0] == '-';
    const struct tr_slice digits = tr_slice_skip(text, is_negative || (text.len > 0 && text.ptr[0] == '+') ? 1 : 0);
    const char *why = digits.len == 0 ? "invalid syntax" : NULL;
    uint64_t seconds = 0;
    for (size_t i = 0; i < digits.len && why == NULL; i++) {
        const unsigned digit = (unsigned char)digits.ptr[i] - (unsigned)'0';
        if (digit > 9) {
            why = "invalid syntax";
        } else if (seconds > ((uint64_t)INT64_MAX - digit) / 10) {
            why = "value out of range";
        } else {
            seconds = seconds * 10 + digit;
        }
    }
    if (why != NULL) {
        struct tr_buf quoted = { 0 };
        tr_buf_add_quoted(&quoted, text);
        (void)tr_err_set(err, TR_INVALID, "strconv.Atoi: parsing %s: %s", tr_buf_cstr(&quoted), why);
        tr_buf_fini(&quoted);
        return TR_INVALID;
    }
    op->has_ttl = seconds > 0 && !is_negative;
    op->ttl_s = seconds > UINT32_MAX ? UINT32_MAX : (uint32_t)seconds;
    return TR_OK;
}

/* Source of the texts: components-contrib state/request_options.go. */
static enum tr_code check_options(const struct api_state_item *item, struct tr_err *err)
{
    if (item->consistency.len > 0 && !tr_slice_eq_str(item->consistency, "strong") &&
        !tr_slice_eq_str(item->consistency, "eventual")) {
        return tr_err_set(err, TR_INVALID, "unrecognized consistency model '%.*s'", TR_SLICE_ARG(item->consistency));
    }
    if (item->concurrency.len > 0 && !tr_slice_eq_str(item->concurrency, "first-write") &&
        !tr_slice_eq_str(item->concurrency, "last-write")) {
        return tr_err_set(err, TR_INVALID, "unrecognized concurrency model '%.*s'", TR_SLICE_ARG(item->concurrency));
    }
    return TR_OK;
}

static enum tr_code convert(const struct api_state_item *item, struct tr_slice key, struct tr_store_op *op,
                            struct tr_err *err)
{
    *op = (struct tr_store_op){
        .kind = item->is_delete ? TR_STORE_DELETE : TR_STORE_UPSERT,
        .key = key,
        .value = item->is_delete ? TR_SLICE_LIT("") : item->value,
        .has_etag = item->has_etag,
        .etag = item->etag,
        .is_first_write = tr_slice_eq_str(item->concurrency, "first-write"),
    };
    if (check_options(item, err) != TR_OK) {
        return err->code;
    }
    return item->is_delete || item->ttl.len == 0 ? TR_OK : parse_ttl(item->ttl, op, err);
}

static void count_failure(struct failure *failure, const struct tr_err *err)
{
    if (err->code == TR_OK) {
        return;
    }
    if (failure->failed_len++ > 0) {
        tr_buf_add_char(&failure->text, '\n');
    }
    failure->etags_len += err->code == TR_ETAG;
    tr_buf_add_str(&failure->text, err->msg);
}

/* Several writes' errors are joined by line ends; if all are of etags, the whole is one of them, prefix and all. */
static void judge_writes(struct api_state_job *job)
{
    struct failure failure = { 0 };
    for (size_t i = 0; i < job->items_len; i++) {
        count_failure(&failure, &job->writes[i].tx.err);
    }
    if (failure.failed_len == 0) {
        return;
    }
    if (job->items_len > 1 && failure.etags_len == failure.failed_len) {
        struct tr_buf text = { 0 };
        tr_buf_add_str(&text, TEXT_MISMATCH);
        tr_buf_add(&text, tr_buf_slice(&failure.text));
        tr_buf_move(&failure.text, &text);
    }
    set_failed(job, failure.etags_len > 0 ? TR_ETAG : TR_INTERNAL, tr_buf_slice(&failure.text));
    tr_buf_fini(&failure.text);
}

static void on_written(struct tr_store_tx *tx)
{
    struct api_state_job *job = TR_CONTAINER_OF(tx, struct api_state_write, tx)->job;
    tr_assert(job->pending > 0);
    if (--job->pending == 0) {
        judge_writes(job);
        tr_op_finish(&job->op);
    }
}

static void start_writes(struct api_state_job *job, struct tr_store *store)
{
    job->writes = tr_xzalloc(job->items_len * sizeof(*job->writes));
    for (size_t i = 0; i < job->items_len; i++) {
        struct api_state_write *write = &job->writes[i];
        write->job = job;
        if (convert(&job->items[i], job->keys[i], &write->op, &write->tx.err) == TR_OK) {
            write->tx.ops = &write->op;
            write->tx.ops_len = 1;
            write->tx.cb = on_written;
            job->pending++;
        }
    }
    if (job->pending == 0) {
        judge_writes(job);
        tr_op_finish_later(&job->op);
        return;
    }
    for (size_t i = 0; i < job->items_len; i++) {
        if (job->writes[i].tx.cb != NULL) {
            tr_store_tx_start(store, &job->writes[i].tx);
        }
    }
}

static void on_transacted(struct tr_store_tx *tx)
{
    struct api_state_job *job = TR_CONTAINER_OF(tx, struct api_state_job, tx);
    if (tx->err.code != TR_OK) {
        set_failed_err(job, &tx->err);
    }
    tr_op_finish(&job->op);
}

static void start_transaction(struct api_state_job *job, struct tr_store *store)
{
    struct tr_err err;
    job->ops = tr_xzalloc(job->items_len * sizeof(*job->ops));
    for (size_t i = 0; i < job->items_len; i++) {
        if (convert(&job->items[i], job->keys[i], &job->ops[i], &err) != TR_OK) {
            set_failed_err(job, &err);
            tr_op_finish_later(&job->op);
            return;
        }
    }
    job->tx.ops = job->ops;
    job->tx.ops_len = job->items_len;
    job->tx.cb = on_transacted;
    tr_store_tx_start(store, &job->tx);
}

/* --- the start ------------------------------------------------------------------------------------------------------ */

/* Work out the stored keys; false: the fault is set. The buffer does not move, so that slices of it stay good. */
static bool compose_keys(struct api_state_job *job, const struct tr_key_prefix *prefix)
{
    struct tr_err err;
    size_t bytes = 0;
    for (size_t i = 0; i < job->items_len; i++) {
        bytes += prefix->text.len + job->items[i].key.len;
    }
    tr_buf_reserve(&job->stored, bytes);
    job->keys = tr_xzalloc(job->items_len * sizeof(*job->keys));
    for (size_t i = 0; i < job->items_len; i++) {
        const size_t at = job->stored.len;
        if (tr_key_plain(&job->stored, prefix, job->items[i].key, &err) != TR_OK) {
            set_illegal_key(job, job->items[i].key, &err);
            return false;
        }
        job->keys[i] = tr_slice(job->stored.ptr == NULL ? NULL : job->stored.ptr + at, job->stored.len - at);
    }
    tr_assert(job->stored.len == bytes);
    return true;
}

void api_state_start(struct api_state_job *job, struct tr_api_store *store)
{
    tr_assert(job->items_len <= API_STATE_ITEMS_MAX);
    tr_op_begin(&job->op, job->api->conf.loop, NULL, on_complete);
    if (!compose_keys(job, &store->prefix)) {
        tr_op_finish_later(&job->op);
        return;
    }
    switch (job->action) {
    case API_STATE_GET:
    case API_STATE_GET_BULK:
        tr_assert(job->items_len > 0);
        start_read(job, store->store);
        break;
    case API_STATE_SAVE:
    case API_STATE_DELETE:
    case API_STATE_DELETE_BULK:
        start_writes(job, store->store);
        break;
    case API_STATE_TRANSACT:
        start_transaction(job, store->store);
        break;
    }
}
