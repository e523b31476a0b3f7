/*
 * state.in-memory: rows in a hash map. An operation reads or writes when it is started, so that they take effect in the
 * order of the starts, and completes on a later turn. Expired rows are skipped at once and swept in batches.
 */
#include "state/store_int.h"

#include <stdlib.h>

#include "runtime/base/map.h"
#include "runtime/base/rng.h"

struct mem_row {
    struct tr_heap_node due; /* in the heap if it expires; its key is expiry_unix_ms */
    struct tr_buf key;       /* owned */
    struct tr_buf value;     /* owned */
    uint64_t etag;
    int64_t expiry_unix_ms; /* 0: never */
};

struct mem_store {
    struct tr_store base;
    struct tr_map rows;   /* key to owned struct mem_row */
    struct tr_map epochs; /* partition to owned uint64_t */
    struct tr_heap due;
    struct tr_timer sweep;
    uint64_t etag_last; /* begins at random: an etag of an earlier life matches nothing */
};

static struct mem_store *mem_of(struct tr_store *store)
{
    return TR_CONTAINER_OF(store, struct mem_store, base);
}

static bool row_is_live(const struct mem_row *row, int64_t now_unix_ms)
{
    return row != NULL && (row->expiry_unix_ms == 0 || row->expiry_unix_ms > now_unix_ms);
}

static void row_remove(struct mem_store *mem, struct mem_row *row)
{
    tr_heap_remove(&mem->due, &row->due);
    (void)tr_map_remove(&mem->rows, tr_buf_slice(&row->key));
    tr_buf_fini(&row->key);
    tr_buf_fini(&row->value);
    free(row);
}

/* --- expiry ---------------------------------------------------------------------------------------------------------- */

static void sweep_plan(struct mem_store *mem)
{
    if (tr_heap_min(&mem->due) != NULL && !tr_timer_is_set(&mem->sweep)) {
        tr_timer_set(&mem->sweep, tr_loop_now_ms(mem->base.loop) + TR_STORE_SWEEP_MS);
    }
}

static void on_sweep(struct tr_timer *timer)
{
    struct mem_store *mem = TR_CONTAINER_OF(timer, struct mem_store, sweep);
    const int64_t now_unix_ms = tr_loop_unix_ms(mem->base.loop);
    for (unsigned i = 0; i < TR_STORE_SWEEP_ROWS; i++) {
        struct tr_heap_node *node = tr_heap_min(&mem->due);
        if (node == NULL || (int64_t)node->key > now_unix_ms) {
            break;
        }
        row_remove(mem, TR_CONTAINER_OF(node, struct mem_row, due));
    }
    sweep_plan(mem);
}

/* --- operations ------------------------------------------------------------------------------------------------------ */

static void mem_get(struct tr_store *store, struct tr_store_get *get)
{
    struct mem_store *mem = mem_of(store);
    const int64_t now_unix_ms = tr_loop_unix_ms(store->loop);
    for (size_t i = 0; i < get->keys_len; i++) {
        const struct mem_row *row = tr_map_get(&mem->rows, get->keys[i]);
        if (row_is_live(row, now_unix_ms)) {
            tr_store_value_set(&get->values[i], tr_buf_slice(&row->value), row->etag,
                               row->expiry_unix_ms);
        }
    }
    tr_op_finish_later(&get->op);
}

static enum tr_code tx_check(struct mem_store *mem, struct tr_store_tx *tx)
{
    if (tx->epoch > 0) {
        const uint64_t *newest = tr_map_get(&mem->epochs, tx->partition);
        if (newest != NULL && *newest > tx->epoch) {
            return tr_store_epoch_refuse(tx->epoch, *newest, &tx->err);
        }
    }
    for (size_t i = 0; i < tx->ops_len; i++) {
        const struct mem_row *row = tr_map_get(&mem->rows, tx->ops[i].key);
        const bool is_live = row_is_live(row, tx->now_unix_ms);
        if (tr_store_etag_check(&tx->ops[i], is_live, is_live ? row->etag : 0, &tx->err) != TR_OK) {
            tx->failed_at = i;
            return tx->err.code;
        }
    }
    return TR_OK;
}

static void upsert(struct mem_store *mem, const struct tr_store_op *op, int64_t now_unix_ms)
{
    struct mem_row *row = tr_map_get(&mem->rows, op->key);
    if (row == NULL) {
        row = tr_xzalloc(sizeof(*row));
        tr_buf_set(&row->key, op->key);
        (void)tr_map_put(&mem->rows, op->key, row);
    }
    tr_buf_fini(&row->value); /* a smaller value gives memory back */
    tr_buf_set(&row->value, op->value);
    row->etag = ++mem->etag_last;
    tr_heap_remove(&mem->due, &row->due);
    row->expiry_unix_ms = tr_store_expiry(op, now_unix_ms);
    if (row->expiry_unix_ms != 0) {
        tr_heap_push(&mem->due, &row->due, (uint64_t)row->expiry_unix_ms);
    }
}

static void raise_epoch(struct mem_store *mem, const struct tr_store_tx *tx)
{
    if (tx->epoch == 0) {
        return;
    }
    uint64_t *newest = tr_map_get(&mem->epochs, tx->partition);
    if (newest == NULL) {
        newest = tr_xzalloc(sizeof(*newest));
        (void)tr_map_put(&mem->epochs, tx->partition, newest);
    }
    *newest = tx->epoch;
}

static void mem_tx(struct tr_store *store, struct tr_store_tx *tx)
{
    struct mem_store *mem = mem_of(store);
    tr_op_finish_later(&tx->op);
    if (tx_check(mem, tx) != TR_OK) {
        return;
    }
    raise_epoch(mem, tx);
    for (size_t i = 0; i < tx->ops_len; i++) {
        const struct tr_store_op *op = &tx->ops[i];
        if (op->kind == TR_STORE_UPSERT) {
            upsert(mem, op, tx->now_unix_ms);
            continue;
        }
        struct mem_row *row = tr_map_get(&mem->rows, op->key);
        if (row != NULL) {
            row_remove(mem, row);
        }
    }
    sweep_plan(mem);
}

static int row_compare(const void *a, const void *b)
{
    const struct mem_row *const *one = a;
    const struct mem_row *const *other = b;
    return tr_slice_cmp(tr_buf_slice(&(*one)->key), tr_buf_slice(&(*other)->key));
}

/* The live rows that a scan may show, in order. Returns an owned array. */
static struct mem_row **rows_select(struct mem_store *mem, const struct tr_store_scan *scan,
                                    size_t *out_len)
{
    struct mem_row **rows = tr_xalloc((mem->rows.len + 1) * sizeof(*rows));
    const int64_t now_unix_ms = tr_loop_unix_ms(mem->base.loop);
    size_t len = 0;
    struct tr_map_iter iter = { 0 };
    struct tr_slice key;
    void *value;
    while (tr_map_next(&mem->rows, &iter, &key, &value)) {
        if (tr_slice_starts(key, scan->prefix) && row_is_live(value, now_unix_ms) &&
            (scan->after.len == 0 || tr_slice_cmp(key, scan->after) > 0)) {
            rows[len++] = value;
        }
    }
    qsort(rows, len, sizeof(*rows), row_compare);
    *out_len = len;
    return rows;
}

static void mem_scan(struct tr_store *store, struct tr_store_scan *scan)
{
    size_t len = 0;
    struct mem_row **rows = rows_select(mem_of(store), scan, &len);
    scan->has_more = len > scan->rows_max;
    scan->rows_len = scan->has_more ? scan->rows_max : len;
    scan->rows = tr_xzalloc((scan->rows_len + 1) * sizeof(*scan->rows));
    for (size_t i = 0; i < scan->rows_len; i++) {
        const struct mem_row *row = rows[i];
        tr_buf_set(&scan->rows[i].key, tr_buf_slice(&row->key));
        tr_store_value_set(&scan->rows[i].value, tr_buf_slice(&row->value), row->etag,
                           row->expiry_unix_ms);
    }
    free(rows);
    tr_op_finish_later(&scan->op);
}

/* --- life ------------------------------------------------------------------------------------------------------------ */

static void mem_free(struct tr_store *store)
{
    struct mem_store *mem = mem_of(store);
    tr_timer_stop(&mem->sweep);
    struct tr_map_iter iter = { 0 };
    struct tr_slice key;
    void *value;
    while (tr_map_next(&mem->rows, &iter, &key, &value)) {
        row_remove(mem, value);
    }
    iter = (struct tr_map_iter){ 0 };
    while (tr_map_next(&mem->epochs, &iter, &key, &value)) {
        free(value);
    }
    tr_map_fini(&mem->rows);
    tr_map_fini(&mem->epochs);
    tr_heap_fini(&mem->due);
    free(mem);
}

static const struct tr_store_class mem_class = {
    .type = "state.in-memory",
    /* Source: components-contrib v1.18.4, state/in-memory/in_memory.go, features. */
    .features = TR_STORE_ETAG | TR_STORE_TRANSACTION | TR_STORE_TTL |
                TR_STORE_DELETE_PREFIX | TR_STORE_KEYS_LIKE,
    .get = mem_get,
    .tx = mem_tx,
    .scan = mem_scan,
    .free = mem_free,
};

struct tr_store *tr_store_mem_new(struct tr_loop *loop)
{
    struct mem_store *mem = tr_xzalloc(sizeof(*mem));
    tr_store_init(&mem->base, &mem_class, loop);
    tr_map_init(&mem->rows);
    tr_map_init(&mem->epochs);
    tr_timer_init(&mem->sweep, loop, on_sweep);
    struct tr_rng rng;
    tr_rng_init_system(&rng);
    mem->etag_last = tr_rng_next(&rng) >> 16U;
    return &mem->base;
}
