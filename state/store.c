/*
 * What all stores share: the entry points, their checks, the books of open operations and the end of life.
 *
 * Course: _start -> checks -> the class -> complete -> cb. A check that fails completes on a later turn without the class
 * having seen the operation. Closing: no operation passes the checks; with the last completion, or when the store lets go
 * of what it does for itself, the store is freed by a deferred call.
 */
#include "state/store_int.h"

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* --- books ----------------------------------------------------------------------------------------------------------- */

void tr_store_init(struct tr_store *store, const struct tr_store_class *class, struct tr_loop *loop)
{
    tr_loop_assert(loop);
    store->class = class;
    store->loop = loop;
    tr_link_init(&store->open);
}

static void on_idle(struct tr_defer *defer)
{
    struct tr_store *store = TR_CONTAINER_OF(defer, struct tr_store, closed);
    if (store->open_len > 0) {
        return; /* somebody started another one meanwhile; it is being refused */
    }
    void (*cb)(void *ctx) = store->on_closed;
    void *ctx = store->ctx;
    tr_assert(tr_list_empty(&store->open));
    store->class->free(store);
    cb(ctx);
}

void tr_store_hold(struct tr_store *store)
{
    store->open_len++;
}

void tr_store_release(struct tr_store *store)
{
    tr_assert(store->open_len > 0);
    store->open_len--;
    if (store->is_closing && store->open_len == 0) {
        tr_defer(store->loop, &store->closed, on_idle);
    }
}

void tr_store_close(struct tr_store *store, void (*cb)(void *ctx), void *ctx)
{
    tr_loop_assert(store->loop);
    tr_assert(!store->is_closing);
    tr_store_hold(store);
    store->is_closing = true;
    store->on_closed = cb;
    store->ctx = ctx;
    tr_store_release(store);
}

/* --- checks ---------------------------------------------------------------------------------------------------------- */

static enum tr_code check_open(const struct tr_store *store, struct tr_err *err)
{
    if (store->is_closing) {
        return tr_err_set(err, TR_CLOSED, "the state store is closing");
    }
    if (store->open_len > TR_STORE_OPEN_MAX) {
        return tr_err_set(err, TR_LIMIT, "more than %u operations wait for the state store",
                          TR_STORE_OPEN_MAX);
    }
    return TR_OK;
}

static enum tr_code check_key(struct tr_slice key, struct tr_err *err)
{
    if (key.len == 0) {
        return tr_err_set(err, TR_INVALID, "the key is empty");
    }
    if (key.len > TR_STORE_KEY_MAX) {
        return tr_err_set(err, TR_LIMIT, "the key has %zu bytes, more than %u", key.len,
                          TR_STORE_KEY_MAX);
    }
    return TR_OK;
}

static enum tr_code check_get(const struct tr_store_get *get, struct tr_err *err)
{
    if (get->keys_len > TR_STORE_OPS_MAX) {
        return tr_err_set(err, TR_LIMIT, "%zu keys, more than %u", get->keys_len, TR_STORE_OPS_MAX);
    }
    for (size_t i = 0; i < get->keys_len; i++) {
        if (check_key(get->keys[i], err) != TR_OK) {
            return err->code;
        }
    }
    return check_open(get->store, err);
}

static enum tr_code check_tx(struct tr_store_tx *tx, struct tr_err *err)
{
    if (tx->ops_len > TR_STORE_OPS_MAX) {
        return tr_err_set(err, TR_LIMIT, "%zu operations, more than %u", tx->ops_len,
                          TR_STORE_OPS_MAX);
    }
    if (tx->partition.len > TR_STORE_KEY_MAX) {
        return tr_err_set(err, TR_LIMIT, "the partition has %zu bytes, more than %u",
                          tx->partition.len, TR_STORE_KEY_MAX);
    }
    for (size_t i = 0; i < tx->ops_len; i++) {
        const struct tr_store_op *op = &tx->ops[i];
        tx->failed_at = i;
        if (check_key(op->key, err) != TR_OK) {
            return err->code;
        }
        if (op->value.len > TR_STORE_VALUE_MAX) {
            return tr_err_set(err, TR_LIMIT, "the value has %zu bytes, more than %u", op->value.len,
                              TR_STORE_VALUE_MAX);
        }
    }
    tx->failed_at = 0;
    return check_open(tx->store, err);
}

static enum tr_code check_scan(const struct tr_store_scan *scan, struct tr_err *err)
{
    if (scan->rows_max == 0 || scan->rows_max > TR_STORE_SCAN_MAX) {
        return tr_err_set(err, TR_LIMIT, "a scan of %zu rows, not 1 to %u", scan->rows_max,
                          TR_STORE_SCAN_MAX);
    }
    if (scan->prefix.len > TR_STORE_KEY_MAX || scan->after.len > TR_STORE_KEY_MAX) {
        return tr_err_set(err, TR_LIMIT, "the prefix has more than %u bytes", TR_STORE_KEY_MAX);
    }
    return check_open(scan->store, err);
}

/* --- operations ------------------------------------------------------------------------------------------------------ */

static void begin(struct tr_store *store, struct tr_op *op, struct tr_link *link,
                  void (*complete)(struct tr_op *op))
{
    tr_loop_assert(store->loop);
    tr_op_begin(op, store->loop, &store->open, complete);
    tr_link_init(link);
    tr_store_hold(store);
}

static void on_get_complete(struct tr_op *op)
{
    struct tr_store_get *get = TR_CONTAINER_OF(op, struct tr_store_get, op);
    if (get->err.code != TR_OK) {
        tr_store_get_fini(get);
    }
    tr_store_release(get->store);
    get->cb(get);
}

void tr_store_get_start(struct tr_store *store, struct tr_store_get *get)
{
    begin(store, &get->op, &get->link, on_get_complete);
    get->store = store;
    get->err.code = TR_OK;
    get->values = NULL;
    if (check_get(get, &get->err) != TR_OK) {
        tr_op_finish_later(&get->op);
        return;
    }
    get->values =
        tr_xzalloc((get->keys_len + 1) * sizeof(*get->values)); /* not NULL for no keys either */
    store->class->get(store, get);
}

void tr_store_get_fini(struct tr_store_get *get)
{
    for (size_t i = 0; get->values != NULL && i < get->keys_len; i++) {
        tr_store_value_fini(&get->values[i]);
    }
    free(get->values);
    get->values = NULL;
}

static void on_tx_complete(struct tr_op *op)
{
    struct tr_store_tx *tx = TR_CONTAINER_OF(op, struct tr_store_tx, op);
    tr_store_release(tx->store);
    tx->cb(tx);
}

void tr_store_tx_start(struct tr_store *store, struct tr_store_tx *tx)
{
    begin(store, &tx->op, &tx->link, on_tx_complete);
    tx->store = store;
    tx->err.code = TR_OK;
    tx->failed_at = 0;
    tx->now_unix_ms = tr_loop_unix_ms(store->loop);
    if (check_tx(tx, &tx->err) != TR_OK) {
        tr_op_finish_later(&tx->op);
        return;
    }
    store->class->tx(store, tx);
}

static void on_scan_complete(struct tr_op *op)
{
    struct tr_store_scan *scan = TR_CONTAINER_OF(op, struct tr_store_scan, op);
    if (scan->err.code != TR_OK) {
        tr_store_scan_fini(scan);
    }
    tr_store_release(scan->store);
    scan->cb(scan);
}

void tr_store_scan_start(struct tr_store *store, struct tr_store_scan *scan)
{
    begin(store, &scan->op, &scan->link, on_scan_complete);
    scan->store = store;
    scan->err.code = TR_OK;
    scan->rows = NULL;
    scan->rows_len = 0;
    scan->has_more = false;
    if (check_scan(scan, &scan->err) != TR_OK) {
        tr_op_finish_later(&scan->op);
        return;
    }
    store->class->scan(store, scan);
}

void tr_store_scan_fini(struct tr_store_scan *scan)
{
    for (size_t i = 0; i < scan->rows_len; i++) {
        tr_buf_fini(&scan->rows[i].key);
        tr_store_value_fini(&scan->rows[i].value);
    }
    free(scan->rows);
    scan->rows = NULL;
    scan->rows_len = 0;
}

/* --- values and etags ------------------------------------------------------------------------------------------------ */

void tr_store_value_fini(struct tr_store_value *value)
{
    tr_buf_fini(&value->value);
    *value = (struct tr_store_value){ 0 };
}

void tr_store_value_set(struct tr_store_value *out_value, struct tr_slice bytes, uint64_t etag,
                        int64_t expiry_unix_ms)
{
    out_value->found = true;
    tr_buf_set(&out_value->value, bytes);
    (void)snprintf(out_value->etag, sizeof(out_value->etag), "%" PRIu64, etag);
    out_value->has_expiry = expiry_unix_ms != 0;
    out_value->expiry_unix_ms = expiry_unix_ms;
}

#define MISMATCH "possible etag mismatch. error from state store: "

enum tr_code tr_store_etag_compare(const struct tr_store_op *op, bool has_row, const char *etag, struct tr_err *err)
{
    if (!op->has_etag || op->etag.len == 0) {
        if (op->is_first_write && has_row) {
            return tr_err_set(err, TR_ETAG, MISMATCH "item already exists and no etag was passed");
        }
        return TR_OK;
    }
    if (!has_row) {
        return tr_err_set(err, TR_ETAG, MISMATCH "state not exist or expired for key=%.*s",
                          TR_SLICE_ARG(op->key));
    }
    if (!tr_slice_eq_str(op->etag, etag)) {
        return tr_err_set(err, TR_ETAG,
                          MISMATCH "state etag not match for key=%.*s: current=%s, expect=%.*s",
                          TR_SLICE_ARG(op->key), etag, TR_SLICE_ARG(op->etag));
    }
    return TR_OK;
}

enum tr_code tr_store_etag_check(const struct tr_store_op *op, bool has_row, uint64_t etag,
                                 struct tr_err *err)
{
    char current[TR_STORE_ETAG_MAX];
    (void)snprintf(current, sizeof(current), "%" PRIu64, etag);
    return tr_store_etag_compare(op, has_row, current, err);
}

int64_t tr_store_expiry(const struct tr_store_op *op, int64_t now_unix_ms)
{
    return op->has_ttl && op->ttl_s > 0 ? now_unix_ms + (int64_t)op->ttl_s * 1000 : 0;
}

enum tr_code tr_store_epoch_refuse(uint64_t epoch, uint64_t newest, struct tr_err *err)
{
    return tr_err_set(err, TR_PRECONDITION, "epoch %" PRIu64 " is over: the newest is %" PRIu64,
                      epoch, newest);
}
