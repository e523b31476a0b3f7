/*
 * state.sqlite: one table in one database file, laid out as the reference lays it out, so that either opens the other's.
 *
 * One connection, used only by one piece of work at a time on a worker thread. What is started meanwhile waits and forms
 * the next batch. A batch is one transaction of the database: every operation runs in order, a transaction of ours within
 * a savepoint of its own, so that one that fails takes nothing of the others back; the commit makes all durable at once.
 *
 *   start -> waiting -> batch on a worker: BEGIN, operations, COMMIT -> callbacks on the loop -> next batch
 *
 * Failures: an operation fails alone (etag, epoch, constraint); the commit fails: all writes of the batch fail with its
 * reason; the database is locked by another process beyond the busy timeout: the batch fails, nothing is lost that was
 * acknowledged.
 *
 * Values that are JSON are kept as text, others as base64 with is_binary set. Etags are UUIDs. Expiry is in whole seconds,
 * cut, as in the reference.
 * Source: components-contrib state/sqlite (1.18.4): table, column and setting names.
 */
#include <sqlite3.h>
#include <stdlib.h>

#include "runtime/base/base64.h"
#include "runtime/base/json.h"
#include "runtime/base/rng.h"
#include "runtime/base/worker.h"
#include "state/store_int.h"

#define BATCH_MAX       1024U /* operations of one batch */
#define BUSY_MS         5000  /* wait for another process's lock */
#define NAME_MAX_BYTES  64U

enum statement {
    ST_BEGIN,
    ST_COMMIT,
    ST_ROLLBACK,
    ST_SAVE,
    ST_RELEASE,
    ST_UNDO,
    ST_GET,
    ST_PUT,
    ST_DELETE,
    ST_SCAN,
    ST_SWEEP,
    ST_EPOCH_GET,
    ST_EPOCH_PUT,
    ST_LEN,
};

struct sqlite_store {
    struct tr_store base;
    sqlite3 *db; /* owned; a worker's while is_busy */
    sqlite3_stmt *statements[ST_LEN];
    struct tr_rng rng;      /* the same */
    struct tr_link waiting; /* of job.link */
    struct tr_link batch;   /* of job.link; the worker's while is_busy */
    struct tr_work work;
    struct tr_timer sweep;
    struct tr_err commit_err; /* of the batch */
    bool is_busy;
    bool wants_sweep;
    bool is_held; /* the batch under way holds the store */
};

/* One operation in the queue; exactly one of the three is set. */
struct job {
    struct tr_link link;
    struct tr_store_get *get;
    struct tr_store_tx *tx;
    struct tr_store_scan *scan;
};

static struct sqlite_store *sqlite_of(struct tr_store *store)
{
    return TR_CONTAINER_OF(store, struct sqlite_store, base);
}

/* The one place where SQLite's codes become ours. */
static enum tr_code fail(struct tr_err *err, sqlite3 *db, int code, const char *what)
{
    enum tr_code rc = TR_IO;
    switch (code & 0xFF) {
    case SQLITE_FULL:
    case SQLITE_TOOBIG:
        rc = TR_LIMIT;
        break;
    case SQLITE_PERM:
    case SQLITE_READONLY:
    case SQLITE_AUTH:
        rc = TR_PERMISSION;
        break;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        rc = TR_DATA_LOSS;
        break;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        rc = TR_UNAVAILABLE;
        break;
    default:
        break;
    }
    return tr_err_set(err, rc, "%s: %s", what, db != NULL ? sqlite3_errmsg(db) : sqlite3_errstr(code));
}

/* --- statements ----------------------------------------------------------------------------------------------------- */

static void bind(sqlite3_stmt *statement, int index, struct tr_slice text)
{
    (void)sqlite3_bind_text(statement, index, text.len == 0 ? "" : text.ptr, (int)text.len, SQLITE_STATIC);
}

static struct tr_slice column(sqlite3_stmt *statement, int index)
{
    const void *text = sqlite3_column_text(statement, index);
    return tr_slice(text, (size_t)sqlite3_column_bytes(statement, index));
}

/* Run a statement that gives no rows, and make it ready for the next time. */
static enum tr_code run(struct sqlite_store *s, enum statement which, struct tr_err *err)
{
    sqlite3_stmt *statement = s->statements[which];
    const int rc = sqlite3_step(statement);
    enum tr_code code = TR_OK;
    if (rc != SQLITE_DONE && rc != SQLITE_ROW) {
        code = fail(err, s->db, rc, "sqlite");
    }
    (void)sqlite3_reset(statement);
    (void)sqlite3_clear_bindings(statement);
    return code;
}

/* Take a row of the columns value, is_binary, etag, expiry. */
static enum tr_code take_row(sqlite3_stmt *statement, int first, struct tr_store_value *out, struct tr_err *err)
{
    const struct tr_slice value = column(statement, first);
    out->found = true;
    if (sqlite3_column_int(statement, first + 1) != 0) {
        if (tr_base64_decode(value, &out->value, err) != TR_OK) {
            err->code = TR_DATA_LOSS;
            return tr_err_wrap(err, "sqlite: a binary value");
        }
    } else {
        tr_buf_set(&out->value, value);
    }
    const struct tr_slice etag = column(statement, first + 2);
    const size_t len = etag.len < sizeof(out->etag) - 1 ? etag.len : sizeof(out->etag) - 1;
    memcpy(out->etag, etag.ptr, len);
    out->etag[len] = '\0';
    out->has_expiry = sqlite3_column_type(statement, first + 3) != SQLITE_NULL;
    out->expiry_unix_ms = out->has_expiry ? sqlite3_column_int64(statement, first + 3) * 1000 : 0;
    return TR_OK;
}

/* Read one key; `out` stays as it is, zero, if it is absent or expired. */
static enum tr_code read_key(struct sqlite_store *s, struct tr_slice key, struct tr_store_value *out, struct tr_err *err)
{
    sqlite3_stmt *statement = s->statements[ST_GET];
    bind(statement, 1, key);
    const int rc = sqlite3_step(statement);
    enum tr_code code = TR_OK;
    if (rc == SQLITE_ROW) {
        code = take_row(statement, 0, out, err);
    } else if (rc != SQLITE_DONE) {
        code = fail(err, s->db, rc, "sqlite");
    }
    (void)sqlite3_reset(statement);
    return code;
}

/* --- operations, on the worker -------------------------------------------------------------------------------------- */

static enum tr_code run_get(struct sqlite_store *s, struct tr_store_get *get)
{
    for (size_t i = 0; i < get->keys_len; i++) {
        if (read_key(s, get->keys[i], &get->values[i], &get->err) != TR_OK) {
            return get->err.code;
        }
    }
    return TR_OK;
}

/* Etags are compared with the rows as they were before the transaction. */
static enum tr_code check_etags(struct sqlite_store *s, struct tr_store_tx *tx)
{
    for (size_t i = 0; i < tx->ops_len; i++) {
        const struct tr_store_op *op = &tx->ops[i];
        if (!op->is_first_write && (!op->has_etag || op->etag.len == 0)) {
            continue;
        }
        struct tr_store_value row = { 0 };
        tx->failed_at = i;
        enum tr_code rc = read_key(s, op->key, &row, &tx->err);
        rc = rc == TR_OK ? tr_store_etag_compare(op, row.found, row.etag, &tx->err) : rc;
        tr_store_value_fini(&row);
        if (rc != TR_OK) {
            return rc;
        }
    }
    tx->failed_at = 0;
    return TR_OK;
}

static enum tr_code check_epoch(struct sqlite_store *s, struct tr_store_tx *tx)
{
    if (tx->epoch == 0) {
        return TR_OK;
    }
    sqlite3_stmt *statement = s->statements[ST_EPOCH_GET];
    bind(statement, 1, tx->partition);
    const uint64_t newest = sqlite3_step(statement) == SQLITE_ROW ? (uint64_t)sqlite3_column_int64(statement, 0) : 0;
    (void)sqlite3_reset(statement);
    if (newest > tx->epoch) {
        return tr_store_epoch_refuse(tx->epoch, newest, &tx->err);
    }
    bind(s->statements[ST_EPOCH_PUT], 1, tx->partition);
    (void)sqlite3_bind_int64(s->statements[ST_EPOCH_PUT], 2, (sqlite3_int64)tx->epoch);
    return run(s, ST_EPOCH_PUT, &tx->err);
}

static enum tr_code put(struct sqlite_store *s, const struct tr_store_op *op, int64_t now_unix_ms, struct tr_err *err)
{
    sqlite3_stmt *statement = s->statements[ST_PUT];
    struct tr_err not_json;
    struct tr_buf text = { 0 };
    char etag[TR_UUID_LEN + 1];
    const bool is_binary = tr_json_check(op->value, NULL, &not_json) != TR_OK;
    if (is_binary) {
        tr_base64_add(&text, op->value);
    }
    tr_rng_uuid(&s->rng, etag);
    const int64_t expiry_unix_ms = tr_store_expiry(op, now_unix_ms);
    bind(statement, 1, op->key);
    bind(statement, 2, is_binary ? tr_buf_slice(&text) : op->value);
    (void)sqlite3_bind_int(statement, 3, is_binary);
    bind(statement, 4, tr_slice(etag, TR_UUID_LEN));
    if (expiry_unix_ms != 0) {
        (void)sqlite3_bind_int64(statement, 5, expiry_unix_ms / 1000);
    }
    const enum tr_code rc = run(s, ST_PUT, err);
    tr_buf_fini(&text);
    return rc;
}

static enum tr_code write_ops(struct sqlite_store *s, struct tr_store_tx *tx)
{
    enum tr_code rc = check_epoch(s, tx);
    rc = rc == TR_OK ? check_etags(s, tx) : rc;
    for (size_t i = 0; i < tx->ops_len && rc == TR_OK; i++) {
        const struct tr_store_op *op = &tx->ops[i];
        if (op->kind == TR_STORE_UPSERT) {
            rc = put(s, op, tx->now_unix_ms, &tx->err);
        } else {
            bind(s->statements[ST_DELETE], 1, op->key);
            rc = run(s, ST_DELETE, &tx->err);
        }
        if (rc != TR_OK) {
            tx->failed_at = i;
        }
    }
    return rc;
}

static enum tr_code run_tx(struct sqlite_store *s, struct tr_store_tx *tx)
{
    struct tr_err undo;
    enum tr_code rc = run(s, ST_SAVE, &tx->err);
    if (rc != TR_OK) {
        return rc;
    }
    rc = write_ops(s, tx);
    if (rc != TR_OK) {
        (void)run(s, ST_UNDO, &undo); /* fails only if the whole batch is lost, which its commit tells */
    }
    (void)run(s, ST_RELEASE, &undo);
    return rc;
}

static void add_row(struct tr_store_scan *scan, sqlite3_stmt *statement)
{
    scan->rows = tr_xrealloc(scan->rows, (scan->rows_len + 1) * sizeof(*scan->rows));
    struct tr_store_row *row = &scan->rows[scan->rows_len++];
    *row = (struct tr_store_row){ 0 };
    tr_buf_set(&row->key, column(statement, 0));
    (void)take_row(statement, 1, &row->value, &scan->err);
}

static enum tr_code run_scan(struct sqlite_store *s, struct tr_store_scan *scan)
{
    sqlite3_stmt *statement = s->statements[ST_SCAN];
    bind(statement, 1, scan->prefix);
    bind(statement, 2, scan->after);
    (void)sqlite3_bind_int64(statement, 3, (sqlite3_int64)scan->rows_max + 1);
    int rc;
    while ((rc = sqlite3_step(statement)) == SQLITE_ROW && scan->err.code == TR_OK) {
        if (!tr_slice_starts(column(statement, 0), scan->prefix)) {
            rc = SQLITE_DONE;
            break;
        }
        if (scan->rows_len == scan->rows_max) {
            scan->has_more = true;
            rc = SQLITE_DONE;
            break;
        }
        add_row(scan, statement);
    }
    if (rc != SQLITE_DONE && scan->err.code == TR_OK) {
        (void)fail(&scan->err, s->db, rc, "sqlite");
    }
    (void)sqlite3_reset(statement);
    return scan->err.code;
}

static void run_job(struct sqlite_store *s, struct job *job)
{
    if (job->get != NULL) {
        (void)run_get(s, job->get);
    } else if (job->tx != NULL) {
        (void)run_tx(s, job->tx);
    } else {
        (void)run_scan(s, job->scan);
    }
}

static bool has_writes(const struct sqlite_store *s)
{
    for (const struct tr_link *it = s->batch.next; it != &s->batch; it = it->next) {
        if (TR_CONTAINER_OF(it, struct job, link)->tx != NULL) {
            return true;
        }
    }
    return s->wants_sweep;
}

static void on_run(struct tr_work *work)
{
    struct sqlite_store *s = TR_CONTAINER_OF(work, struct sqlite_store, work);
    const bool writes = has_writes(s);
    s->commit_err.code = TR_OK;
    if (writes && run(s, ST_BEGIN, &s->commit_err) != TR_OK) {
        return;
    }
    if (s->wants_sweep) {
        (void)run(s, ST_SWEEP, &s->commit_err);
        s->wants_sweep = false;
    }
    for (struct tr_link *it = s->batch.next; it != &s->batch; it = it->next) {
        run_job(s, TR_CONTAINER_OF(it, struct job, link));
    }
    struct tr_err undo;
    if (writes && run(s, ST_COMMIT, &s->commit_err) != TR_OK) {
        (void)run(s, ST_ROLLBACK, &undo);
    }
}

/* --- the queue, on the loop ----------------------------------------------------------------------------------------- */

static void begin_batch(struct sqlite_store *s);

static void finish_job(struct sqlite_store *s, struct job *job)
{
    struct tr_op *op;
    if (job->get != NULL) {
        op = &job->get->op;
    } else if (job->tx != NULL) {
        if (s->commit_err.code != TR_OK) {
            job->tx->err = s->commit_err;
        }
        op = &job->tx->op;
    } else {
        op = &job->scan->op;
    }
    free(job);
    tr_op_finish_later(op);
}

static void on_done(struct tr_work *work)
{
    struct sqlite_store *s = TR_CONTAINER_OF(work, struct sqlite_store, work);
    if (work->err.code != TR_OK) {
        s->commit_err = work->err; /* the work was refused: nothing ran */
    }
    const bool is_held = s->is_held;
    struct tr_link *link;
    while ((link = tr_list_pop(&s->batch)) != NULL) {
        finish_job(s, TR_CONTAINER_OF(link, struct job, link));
    }
    s->is_busy = false;
    if (!tr_list_empty(&s->waiting)) {
        begin_batch(s);
    }
    if (is_held) {
        tr_store_release(&s->base);
    }
}

static void begin_batch(struct sqlite_store *s)
{
    tr_assert(!s->is_busy);
    struct tr_link *link;
    for (size_t i = 0; i < BATCH_MAX && (link = tr_list_pop(&s->waiting)) != NULL; i++) {
        tr_list_add_tail(&s->batch, link);
    }
    s->is_busy = true;
    s->is_held = s->wants_sweep; /* operations hold the store themselves; a sweep alone does not */
    if (s->is_held) {
        tr_store_hold(&s->base);
    }
    s->work.run = on_run;
    s->work.done = on_done;
    tr_work_start(s->base.loop, &s->work);
}

static void enqueue(struct sqlite_store *s, struct job job)
{
    struct job *own = tr_xalloc(sizeof(*own));
    *own = job;
    tr_link_init(&own->link);
    tr_list_add_tail(&s->waiting, &own->link);
    if (!s->is_busy) {
        begin_batch(s);
    }
}

static void sqlite_get(struct tr_store *store, struct tr_store_get *get)
{
    enqueue(sqlite_of(store), (struct job){ .get = get });
}

static void sqlite_tx(struct tr_store *store, struct tr_store_tx *tx)
{
    enqueue(sqlite_of(store), (struct job){ .tx = tx });
}

static void sqlite_scan(struct tr_store *store, struct tr_store_scan *scan)
{
    enqueue(sqlite_of(store), (struct job){ .scan = scan });
}

static void on_sweep(struct tr_timer *timer)
{
    struct sqlite_store *s = TR_CONTAINER_OF(timer, struct sqlite_store, sweep);
    if (!s->is_busy && !s->base.is_closing) { /* a busy store is swept another time */
        s->wants_sweep = true;
        begin_batch(s);
    }
    tr_timer_set(timer, tr_loop_now_ms(s->base.loop) + TR_STORE_SQLITE_SWEEP_MS);
}

/* --- life ----------------------------------------------------------------------------------------------------------- */

static void close_db(struct sqlite_store *s)
{
    for (size_t i = 0; i < ST_LEN; i++) {
        (void)sqlite3_finalize(s->statements[i]);
    }
    (void)sqlite3_close(s->db);
}

static void sqlite_free(struct tr_store *store)
{
    struct sqlite_store *s = sqlite_of(store);
    tr_assert(!s->is_busy);
    tr_timer_stop(&s->sweep);
    close_db(s);
    free(s);
}

static const struct tr_store_class sqlite_class = {
    .type = "state.sqlite",
    /* Source: components-contrib v1.18.4, state/sqlite/sqlite.go, features. */
    .features = TR_STORE_ETAG | TR_STORE_TRANSACTION | TR_STORE_TTL | TR_STORE_KEYS_LIKE,
    .get = sqlite_get,
    .tx = sqlite_tx,
    .scan = sqlite_scan,
    .free = sqlite_free,
};

/* Letters, digits and underlines, no digit first: what may be written into a statement. */
static enum tr_code check_name(const char *name, struct tr_err *err)
{
    size_t len = 0;
    for (; name[len] != '\0'; len++) {
        const char c = name[len];
        const bool is_letter = ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || c == '_';
        if (!is_letter && (len == 0 || c < '0' || c > '9')) {
            return tr_err_set(err, TR_INVALID, "invalid identifier: %s", name);
        }
    }
    return len == 0 || len > NAME_MAX_BYTES ? tr_err_set(err, TR_INVALID, "invalid identifier: %s", name) : TR_OK;
}

static enum tr_code execute(struct sqlite_store *s, const char *sql, struct tr_err *err)
{
    const int rc = sqlite3_exec(s->db, sql, NULL, NULL, NULL);
    return rc == SQLITE_OK ? TR_OK : fail(err, s->db, rc, "sqlite");
}

/* A file that is a database for the first time gets its tables; one of the reference's has them. */
static enum tr_code make_tables(struct sqlite_store *s, const struct tr_store_sqlite_conf *conf, struct tr_err *err)
{
    struct tr_buf sql = { 0 };
    if (!conf->wal_off) {
        tr_buf_add_str(&sql, "PRAGMA journal_mode=WAL;");
    }
    tr_buf_addf(&sql,
                "CREATE TABLE IF NOT EXISTS %s (key TEXT NOT NULL PRIMARY KEY, value TEXT NOT NULL, is_binary BOOLEAN NOT "
                "NULL, etag TEXT NOT NULL, expiration_time TIMESTAMP DEFAULT NULL, update_time TIMESTAMP NOT NULL DEFAULT "
                "CURRENT_TIMESTAMP);"
                "CREATE TABLE IF NOT EXISTS %s_epochs (part TEXT NOT NULL PRIMARY KEY, epoch INTEGER NOT NULL);",
                conf->table, conf->table);
    const enum tr_code rc = execute(s, tr_buf_cstr(&sql), err);
    tr_buf_fini(&sql);
    return rc;
}

#define LIVE "(expiration_time IS NULL OR expiration_time > CURRENT_TIMESTAMP)"
#define ROW  "value, is_binary, etag, unixepoch(expiration_time)"

/* `%s` stands for the table. */
static const char *const texts[ST_LEN] = {
    [ST_BEGIN] = "BEGIN IMMEDIATE",
    [ST_COMMIT] = "COMMIT",
    [ST_ROLLBACK] = "ROLLBACK",
    [ST_SAVE] = "SAVEPOINT one",
    [ST_RELEASE] = "RELEASE one",
    [ST_UNDO] = "ROLLBACK TO one",
    [ST_GET] = "SELECT " ROW " FROM $ WHERE key = ? AND " LIVE,
    [ST_PUT] = "INSERT OR REPLACE INTO $ (key, value, is_binary, etag, expiration_time, update_time) "
               "VALUES (?, ?, ?, ?, datetime(?, 'unixepoch'), CURRENT_TIMESTAMP)",
    [ST_DELETE] = "DELETE FROM $ WHERE key = ?",
    [ST_SCAN] = "SELECT key, " ROW " FROM $ WHERE key >= ?1 AND key > ?2 AND " LIVE " ORDER BY key LIMIT ?3",
    [ST_SWEEP] = "DELETE FROM $ WHERE expiration_time IS NOT NULL AND expiration_time <= CURRENT_TIMESTAMP",
    [ST_EPOCH_GET] = "SELECT epoch FROM $_epochs WHERE part = ?",
    [ST_EPOCH_PUT] = "INSERT OR REPLACE INTO $_epochs (part, epoch) VALUES (?, ?)",
};

static enum tr_code prepare(struct sqlite_store *s, const char *table, struct tr_err *err)
{
    for (size_t i = 0; i < ST_LEN; i++) {
        struct tr_buf sql = { 0 };
        const struct tr_slice text = tr_slice_str(texts[i]);
        const size_t at = tr_slice_find(text, '$');
        tr_buf_add(&sql, tr_slice(text.ptr, at));
        if (at < text.len) {
            tr_buf_add_str(&sql, table);
            tr_buf_add(&sql, tr_slice_skip(text, at + 1));
        }
        const int rc = sqlite3_prepare_v3(s->db, tr_buf_cstr(&sql), -1, SQLITE_PREPARE_PERSISTENT, &s->statements[i], NULL);
        tr_buf_fini(&sql);
        if (rc != SQLITE_OK) {
            return fail(err, s->db, rc, "sqlite");
        }
    }
    return TR_OK;
}

enum tr_code tr_store_sqlite_open(struct tr_loop *loop, const struct tr_store_sqlite_conf *conf,
                                  struct tr_store **out_store, struct tr_err *err)
{
    enum tr_code code = check_name(conf->table, err);
    if (code != TR_OK) {
        return code;
    }
    struct sqlite_store *s = tr_xzalloc(sizeof(*s));
    const int rc = sqlite3_open_v2(conf->connection, &s->db,
                                   SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_URI | SQLITE_OPEN_FULLMUTEX,
                                   NULL);
    if (rc != SQLITE_OK) {
        code = fail(err, s->db, rc, conf->connection);
        goto close;
    }
    (void)sqlite3_busy_timeout(s->db, BUSY_MS);
    code = make_tables(s, conf, err);
    code = code == TR_OK ? prepare(s, conf->table, err) : code;
    if (code != TR_OK) {
        (void)tr_err_wrap(err, "%s", conf->connection);
        goto close;
    }
    tr_store_init(&s->base, &sqlite_class, loop);
    tr_link_init(&s->waiting);
    tr_link_init(&s->batch);
    tr_rng_init_system(&s->rng);
    tr_timer_init(&s->sweep, loop, on_sweep);
    tr_timer_set(&s->sweep, tr_loop_now_ms(loop) + TR_STORE_SQLITE_SWEEP_MS);
    *out_store = &s->base;
    return TR_OK;

close:
    close_db(s);
    free(s);
    return code;
}
