/*
 * state.lmdb: the loop's side of the store on LMDB.
 *
 * Reads: those started in one turn are answered together at its end, on the loop, from one read transaction that is open
 * only meanwhile: LMDB keeps no page for us between turns. A page that is not in memory makes the loop wait for the disk.
 *
 * Writes: those started in one turn, or while a commit is under way, wait in `waiting`; one batch of them at a time goes to
 * a worker, which commits them together (lmdb_rows.h). The next batch leaves before the callbacks of the last one.
 *
 *   started -> waiting -> batch (the worker's) -> done -> cb
 *
 * Expiry: rows that are due are swept by the same worker after a batch. The timer looks for them while there may be some;
 * rows that only other processes wrote are theirs to sweep, and what they leave is found when the store is opened.
 */
#include "state/store_int.h"

#include <stdlib.h>

#include "runtime/base/worker.h"
#include "state/lmdb_rows.h"

/* One commit: more makes the first of them wait without making the fsync cheaper. */
#define BATCH_OPS_MAX   4096U
#define BATCH_BYTES_MAX (16U << 20U)
/* A look at the due index at least this often while something expires. */
#define SWEEP_PAUSE_MS_MAX 60000U

struct lmdb_store {
    struct tr_store base;
    struct tr_lmdb_env *env; /* shared, counted */
    MDB_txn *reader;         /* owned; parked between turns; NULL before the first read */
    struct tr_link gets;     /* started and not answered */
    struct tr_link scans;
    struct tr_defer read;
    struct tr_link waiting; /* transactions that are in no batch */
    struct tr_defer write;
    struct tr_timer sweep;
    bool is_sweep_wanted;
    /* What the worker has while is_busy. */
    bool is_busy;
    struct tr_work work;
    struct tr_link batch;
    bool is_sweeping;
    int64_t sweep_unix_ms;
    bool has_more_due;
};

static struct lmdb_store *lmdb_of(struct tr_store *store)
{
    return TR_CONTAINER_OF(store, struct lmdb_store, base);
}

/* --- reads ----------------------------------------------------------------------------------------------------------- */

static void serve(struct lmdb_store *lmdb, struct tr_link *gets, struct tr_link *scans)
{
    struct tr_err err;
    const enum tr_code code = tr_lmdb_read_begin(lmdb->env, &lmdb->reader, &err);
    const int64_t now_unix_ms = tr_loop_unix_ms(lmdb->base.loop);
    struct tr_link *it;
    struct tr_link *tmp;
    TR_LIST_FOR_EACH (it, tmp, gets) {
        struct tr_store_get *get = TR_CONTAINER_OF(it, struct tr_store_get, link);
        if (code == TR_OK) {
            tr_lmdb_get(lmdb->env, lmdb->reader, get, now_unix_ms);
        } else {
            get->err = err;
        }
    }
    TR_LIST_FOR_EACH (it, tmp, scans) {
        struct tr_store_scan *scan = TR_CONTAINER_OF(it, struct tr_store_scan, link);
        if (code == TR_OK) {
            tr_lmdb_scan(lmdb->env, lmdb->reader, scan, now_unix_ms);
        } else {
            scan->err = err;
        }
    }
    if (code == TR_OK) {
        tr_lmdb_read_end(lmdb->env, lmdb->reader);
    }
}

static void on_read(struct tr_defer *defer)
{
    struct lmdb_store *lmdb = TR_CONTAINER_OF(defer, struct lmdb_store, read);
    struct tr_link gets;
    struct tr_link scans;
    tr_link_init(&gets);
    tr_link_init(&scans);
    tr_list_splice(&gets, &lmdb->gets);
    tr_list_splice(&scans, &lmdb->scans);
    serve(lmdb, &gets, &scans);
    struct tr_link *link;
    while ((link = tr_list_pop(&gets)) != NULL) {
        tr_op_finish(&TR_CONTAINER_OF(link, struct tr_store_get, link)->op);
    }
    while ((link = tr_list_pop(&scans)) != NULL) {
        tr_op_finish(&TR_CONTAINER_OF(link, struct tr_store_scan, link)->op);
    }
}

static void lmdb_get(struct tr_store *store, struct tr_store_get *get)
{
    struct lmdb_store *lmdb = lmdb_of(store);
    tr_list_add_tail(&lmdb->gets, &get->link);
    tr_defer(store->loop, &lmdb->read, on_read);
}

static void lmdb_scan(struct tr_store *store, struct tr_store_scan *scan)
{
    struct lmdb_store *lmdb = lmdb_of(store);
    tr_list_add_tail(&lmdb->scans, &scan->link);
    tr_defer(store->loop, &lmdb->read, on_read);
}

/* --- writes ---------------------------------------------------------------------------------------------------------- */

/* On a worker: it has the batch and the fields beside it. */
static void on_batch_run(struct tr_work *work)
{
    struct lmdb_store *lmdb = TR_CONTAINER_OF(work, struct lmdb_store, work);
    if (!tr_list_empty(&lmdb->batch)) {
        tr_lmdb_write(lmdb->env, &lmdb->batch);
    }
    if (lmdb->is_sweeping) {
        (void)tr_lmdb_readers_check(lmdb->env);
        struct tr_err
            err; /* a sweep that fails is repeated; expired rows are invisible all the same */
        if (tr_lmdb_sweep(lmdb->env, lmdb->sweep_unix_ms, TR_STORE_SWEEP_ROWS, &lmdb->has_more_due,
                          &err) != TR_OK) {
            lmdb->has_more_due = false;
        }
    }
}

static size_t tx_bytes(const struct tr_store_tx *tx)
{
    size_t bytes = 0;
    for (size_t i = 0; i < tx->ops_len; i++) {
        bytes += tx->ops[i].key.len + tx->ops[i].value.len;
    }
    return bytes;
}

/* Move the next transactions into the batch: at least one, and no more than one commit should take. */
static void batch_fill(struct lmdb_store *lmdb)
{
    size_t ops_len = 0;
    size_t bytes = 0;
    struct tr_link *link;
    while ((link = tr_list_first(&lmdb->waiting)) != NULL) {
        const struct tr_store_tx *tx = TR_CONTAINER_OF(link, struct tr_store_tx, link);
        ops_len += tx->ops_len + 1;
        bytes += tx_bytes(tx);
        if (!tr_list_empty(&lmdb->batch) && (ops_len > BATCH_OPS_MAX || bytes > BATCH_BYTES_MAX)) {
            return;
        }
        tr_link_remove(link);
        tr_list_add_tail(&lmdb->batch, link);
    }
}

static void on_batch_done(struct tr_work *work);

static void batch_start(struct lmdb_store *lmdb)
{
    if (lmdb->is_busy || (tr_list_empty(&lmdb->waiting) && !lmdb->is_sweep_wanted)) {
        return;
    }
    tr_assert(tr_list_empty(&lmdb->batch));
    batch_fill(lmdb);
    lmdb->is_sweeping = lmdb->is_sweep_wanted;
    lmdb->sweep_unix_ms = tr_loop_unix_ms(lmdb->base.loop);
    lmdb->has_more_due = false;
    lmdb->is_sweep_wanted = false;
    lmdb->is_busy = true;
    tr_store_hold(&lmdb->base);
    lmdb->work.run = on_batch_run;
    lmdb->work.done = on_batch_done;
    tr_work_start(lmdb->base.loop, &lmdb->work);
}

static void sweep_at(struct lmdb_store *lmdb, uint64_t pause_ms)
{
    const uint64_t at_ms = tr_loop_now_ms(lmdb->base.loop) + pause_ms;
    if (!tr_timer_is_set(&lmdb->sweep) || tr_timer_at_ms(&lmdb->sweep) > at_ms) {
        tr_timer_set(&lmdb->sweep, at_ms);
    }
}

static void on_batch_done(struct tr_work *work)
{
    struct lmdb_store *lmdb = TR_CONTAINER_OF(work, struct lmdb_store, work);
    struct tr_link done;
    tr_link_init(&done);
    tr_list_splice(&done, &lmdb->batch);
    const struct tr_err err = work->err;
    lmdb->is_busy = false;
    if (lmdb->is_sweeping && !lmdb->base.is_closing) {
        lmdb->is_sweep_wanted = lmdb->has_more_due;
        sweep_at(lmdb, TR_STORE_SWEEP_MS);
    }
    batch_start(lmdb);
    struct tr_link *link;
    while ((link = tr_list_pop(&done)) != NULL) {
        struct tr_store_tx *tx = TR_CONTAINER_OF(link, struct tr_store_tx, link);
        if (err.code != TR_OK) {
            tx->err = err; /* the worker has not seen it */
        }
        tr_op_finish(&tx->op);
    }
    tr_store_release(&lmdb->base);
}

static void on_write(struct tr_defer *defer)
{
    batch_start(TR_CONTAINER_OF(defer, struct lmdb_store, write));
}

static void lmdb_tx(struct tr_store *store, struct tr_store_tx *tx)
{
    struct lmdb_store *lmdb = lmdb_of(store);
    tr_list_add_tail(&lmdb->waiting, &tx->link);
    tr_defer(store->loop, &lmdb->write, on_write);
    for (size_t i = 0; i < tx->ops_len; i++) {
        if (tx->ops[i].has_ttl) {
            sweep_at(lmdb, TR_STORE_SWEEP_MS);
            return;
        }
    }
}

/* --- expiry ---------------------------------------------------------------------------------------------------------- */

static void on_sweep(struct tr_timer *timer)
{
    struct lmdb_store *lmdb = TR_CONTAINER_OF(timer, struct lmdb_store, sweep);
    struct tr_err err;
    int64_t due_unix_ms = 0;
    if (lmdb->base.is_closing) {
        return;
    }
    if (tr_lmdb_read_begin(lmdb->env, &lmdb->reader, &err) != TR_OK) {
        sweep_at(lmdb, SWEEP_PAUSE_MS_MAX);
        return;
    }
    const bool has_due = tr_lmdb_due_first(lmdb->env, lmdb->reader, &due_unix_ms);
    tr_lmdb_read_end(lmdb->env, lmdb->reader);
    if (!has_due) {
        if (lmdb->is_busy || !tr_list_empty(&lmdb->waiting)) {
            sweep_at(lmdb, TR_STORE_SWEEP_MS); /* one may be on its way */
        }
        return;
    }
    const int64_t pause_ms = due_unix_ms - tr_loop_unix_ms(lmdb->base.loop);
    if (pause_ms > 0) {
        const uint64_t ms =
            (uint64_t)pause_ms < SWEEP_PAUSE_MS_MAX ? (uint64_t)pause_ms : SWEEP_PAUSE_MS_MAX;
        sweep_at(lmdb, ms < TR_STORE_SWEEP_MS ? TR_STORE_SWEEP_MS : ms);
        return;
    }
    lmdb->is_sweep_wanted = true;
    batch_start(lmdb);
}

/* --- life ------------------------------------------------------------------------------------------------------------ */

static void lmdb_free(struct tr_store *store)
{
    struct lmdb_store *lmdb = lmdb_of(store);
    tr_assert(!lmdb->is_busy);
    tr_assert(tr_list_empty(&lmdb->waiting));
    tr_timer_stop(&lmdb->sweep);
    tr_defer_cancel(&lmdb->read);
    tr_defer_cancel(&lmdb->write);
    if (lmdb->reader != NULL) {
        mdb_txn_abort(lmdb->reader);
    }
    tr_lmdb_env_close(&lmdb->env);
    free(lmdb);
}

static const struct tr_store_class lmdb_class = {
    .type = "state.lmdb",
    .features = TR_STORE_ETAG | TR_STORE_TRANSACTION | TR_STORE_TTL |
                TR_STORE_DELETE_PREFIX | TR_STORE_KEYS_LIKE,
    .get = lmdb_get,
    .tx = lmdb_tx,
    .scan = lmdb_scan,
    .free = lmdb_free,
};

enum tr_code tr_store_lmdb_open(struct tr_loop *loop, const struct tr_store_lmdb_conf *conf,
                                struct tr_store **out_store, struct tr_err *err)
{
    tr_loop_assert(loop);
    struct tr_lmdb_env *env = NULL;
    const uint64_t map_bytes =
        conf->map_bytes == 0 ? (uint64_t)TR_STORE_MAP_MIB << 20U : conf->map_bytes;
    if (tr_lmdb_env_open(conf->path, map_bytes, &env, err) != TR_OK) {
        return err->code;
    }
    struct lmdb_store *lmdb = tr_xzalloc(sizeof(*lmdb));
    tr_store_init(&lmdb->base, &lmdb_class, loop);
    lmdb->env = env;
    tr_link_init(&lmdb->gets);
    tr_link_init(&lmdb->scans);
    tr_link_init(&lmdb->waiting);
    tr_link_init(&lmdb->batch);
    tr_timer_init(&lmdb->sweep, loop, on_sweep);
    sweep_at(lmdb,
             TR_STORE_SWEEP_MS); /* rows may have become due while nobody had the store open */
    *out_store = &lmdb->base;
    return TR_OK;
}
