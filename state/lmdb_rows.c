/*
 * Rows on LMDB, and the transactions on them.
 *
 * A group of transactions, normal course: begin; for each: check epoch and etags, then apply; keep the last etag; commit.
 * A transaction that fails its checks has written nothing by then and the group goes on. Any other failure (no space, a
 * full map, a damaged page) leaves a transaction of LMDB's that must be thrown away: the whole group is aborted and each
 * member tried alone, where the failure is its own.
 */
#include "state/lmdb_rows.h"

#include <stdlib.h>
#include <xxhash.h>

#define ROW_HEAD_BYTES 20U
#define DUE_HEAD_BYTES 8U

/* --- encoding -------------------------------------------------------------------------------------------------------- */

struct row_key {
    unsigned char bytes[TR_LMDB_KEY_MAX];
    size_t len;
    bool is_direct; /* it is the whole key */
};

struct row {
    uint64_t etag;
    int64_t expiry_unix_ms;
    struct tr_slice key; /* as stored in the row: empty when the row's key is the whole */
    struct tr_slice value;
};

static void put_le(unsigned char *to, uint64_t number, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        to[i] = (unsigned char)(number >> (8 * i));
    }
}

static uint64_t get_le(const unsigned char *from, size_t bytes)
{
    uint64_t number = 0;
    for (size_t i = 0; i < bytes; i++) {
        number |= (uint64_t)from[i] << (8 * i);
    }
    return number;
}

static void key_make(const struct tr_lmdb_env *env, struct tr_slice key, struct row_key *out_key)
{
    out_key->is_direct = key.len <= TR_LMDB_KEY_DIRECT_MAX;
    out_key->len = key.len;
    if (!out_key->is_direct) {
        const XXH128_hash_t hash = XXH3_128bits_withSeed(key.ptr, key.len, env->seed);
        put_le(out_key->bytes + TR_LMDB_KEY_DIRECT_MAX, hash.high64, 8);
        put_le(out_key->bytes + TR_LMDB_KEY_DIRECT_MAX + 8, hash.low64, 8);
        out_key->len = TR_LMDB_KEY_MAX;
        key.len = TR_LMDB_KEY_DIRECT_MAX;
    }
    if (key.len > 0) {
        memcpy(out_key->bytes, key.ptr, key.len);
    }
}

static MDB_val key_val(struct row_key *key)
{
    return (MDB_val){ .mv_size = key->len, .mv_data = key->bytes };
}

/* MDB_CORRUPTED when the bytes are no row. The slices are borrowed from the transaction. */
static int row_decode(MDB_val bytes, struct row *out_row)
{
    const unsigned char *at = bytes.mv_data;
    if (bytes.mv_size < ROW_HEAD_BYTES) {
        return MDB_CORRUPTED;
    }
    const size_t key_len = (size_t)get_le(at + 16, 4);
    if (key_len > bytes.mv_size - ROW_HEAD_BYTES) {
        return MDB_CORRUPTED;
    }
    out_row->etag = get_le(at, 8);
    out_row->expiry_unix_ms = (int64_t)get_le(at + 8, 8);
    out_row->key = tr_slice(at + ROW_HEAD_BYTES, key_len);
    out_row->value =
        tr_slice(at + ROW_HEAD_BYTES + key_len, bytes.mv_size - ROW_HEAD_BYTES - key_len);
    return 0;
}

/* MDB_NOTFOUND, or MDB_KEYEXIST for a row of another long key that has the same hash: to a reader the same. */
static int row_get(MDB_txn *txn, MDB_dbi dbi, struct row_key *key, struct tr_slice whole,
                   struct row *out_row)
{
    MDB_val name = key_val(key);
    MDB_val bytes;
    int rc = mdb_get(txn, dbi, &name, &bytes);
    if (rc == 0) {
        rc = row_decode(bytes, out_row);
    }
    if (rc == 0 && !key->is_direct && !tr_slice_eq(out_row->key, whole)) {
        return MDB_KEYEXIST;
    }
    return rc;
}

static int row_put(MDB_txn *txn, MDB_dbi dbi, struct row_key *key, struct tr_slice whole,
                   const struct row *row)
{
    const struct tr_slice text = key->is_direct ? tr_slice(NULL, 0) : whole;
    MDB_val name = key_val(key);
    MDB_val bytes = { .mv_size = ROW_HEAD_BYTES + text.len + row->value.len };
    const int rc = mdb_put(txn, dbi, &name, &bytes, MDB_RESERVE);
    if (rc != 0) {
        return rc;
    }
    unsigned char *to = bytes.mv_data;
    put_le(to, row->etag, 8);
    put_le(to + 8, (uint64_t)row->expiry_unix_ms, 8);
    put_le(to + 16, text.len, 4);
    if (text.len > 0) {
        memcpy(to + ROW_HEAD_BYTES, text.ptr, text.len);
    }
    if (row->value.len > 0) {
        memcpy(to + ROW_HEAD_BYTES + text.len, row->value.ptr, row->value.len);
    }
    return 0;
}

struct due_key {
    unsigned char bytes[DUE_HEAD_BYTES + TR_LMDB_KEY_MAX];
    MDB_val val;
};

static void due_make(int64_t expiry_unix_ms, MDB_val key, struct due_key *out_due)
{
    for (size_t i = 0; i < DUE_HEAD_BYTES; i++) {
        out_due->bytes[i] = (unsigned char)((uint64_t)expiry_unix_ms >> (56 - 8 * i));
    }
    memcpy(out_due->bytes + DUE_HEAD_BYTES, key.mv_data, key.mv_size);
    out_due->val = (MDB_val){ .mv_size = DUE_HEAD_BYTES + key.mv_size, .mv_data = out_due->bytes };
}

/* False when the bytes are no key of `due`. */
static bool due_decode(MDB_val bytes, int64_t *out_expiry_unix_ms, MDB_val *out_key)
{
    const unsigned char *at = bytes.mv_data;
    if (bytes.mv_size <= DUE_HEAD_BYTES || bytes.mv_size > DUE_HEAD_BYTES + TR_LMDB_KEY_MAX) {
        return false;
    }
    uint64_t expiry = 0;
    for (size_t i = 0; i < DUE_HEAD_BYTES; i++) {
        expiry = expiry << 8U | at[i];
    }
    *out_expiry_unix_ms = (int64_t)expiry;
    *out_key = (MDB_val){ .mv_size = bytes.mv_size - DUE_HEAD_BYTES,
                          .mv_data = (void *)(uintptr_t)(at + DUE_HEAD_BYTES) };
    return true;
}

static bool row_is_live(const struct row *row, int64_t now_unix_ms)
{
    return row->expiry_unix_ms == 0 || row->expiry_unix_ms > now_unix_ms;
}

/* --- reading --------------------------------------------------------------------------------------------------------- */

void tr_lmdb_get(const struct tr_lmdb_env *env, MDB_txn *reader, struct tr_store_get *get,
                 int64_t now_unix_ms)
{
    for (size_t i = 0; i < get->keys_len; i++) {
        struct row_key key;
        struct row row;
        key_make(env, get->keys[i], &key);
        const int rc = row_get(reader, env->rows, &key, get->keys[i], &row);
        if (rc == MDB_NOTFOUND || rc == MDB_KEYEXIST) {
            continue;
        }
        if (rc != 0) {
            tr_lmdb_err(env, rc, &get->err);
            return;
        }
        if (row_is_live(&row, now_unix_ms)) {
            tr_store_value_set(&get->values[i], row.value, row.etag, row.expiry_unix_ms);
        }
    }
}

/* Where a scan begins: its prefix or the key it goes on from, whichever is later. */
static void scan_start(const struct tr_lmdb_env *env, const struct tr_store_scan *scan,
                       struct row_key *out_key)
{
    struct row_key after;
    struct tr_slice prefix = scan->prefix;
    if (prefix.len > TR_LMDB_KEY_DIRECT_MAX) {
        prefix.len = TR_LMDB_KEY_DIRECT_MAX; /* the rest is compared with each row's text */
    }
    key_make(env, prefix, out_key);
    key_make(env, scan->after, &after);
    if (tr_slice_cmp(tr_slice(after.bytes, after.len), tr_slice(out_key->bytes, out_key->len)) >
        0) {
        *out_key = after;
    }
}

/* Add the row to the result; false when the result is full. */
static bool scan_add(struct tr_store_scan *scan, struct tr_slice key, const struct row *row)
{
    if (scan->rows_len == scan->rows_max) {
        scan->has_more = true;
        return false;
    }
    if ((scan->rows_len & (scan->rows_len - 1)) == 0) { /* room for the next power of two */
        const size_t cap = scan->rows_len == 0 ? 1 : 2 * scan->rows_len;
        scan->rows = tr_xrealloc(scan->rows, cap * sizeof(*scan->rows));
    }
    struct tr_store_row *out = &scan->rows[scan->rows_len++];
    *out = (struct tr_store_row){ 0 };
    tr_buf_set(&out->key, key);
    tr_store_value_set(&out->value, row->value, row->etag, row->expiry_unix_ms);
    return true;
}

static int scan_run(const struct tr_lmdb_env *env, MDB_cursor *cursor, struct tr_store_scan *scan,
                    int64_t now_unix_ms)
{
    struct row_key start;
    scan_start(env, scan, &start);
    MDB_val name = key_val(&start);
    MDB_val bytes;
    const struct tr_slice prefix = tr_slice(
        scan->prefix.ptr,
        scan->prefix.len > TR_LMDB_KEY_DIRECT_MAX ? TR_LMDB_KEY_DIRECT_MAX : scan->prefix.len);
    int rc = mdb_cursor_get(cursor, &name, &bytes, start.len == 0 ? MDB_FIRST : MDB_SET_RANGE);
    for (; rc == 0; rc = mdb_cursor_get(cursor, &name, &bytes, MDB_NEXT)) {
        struct row row;
        rc = row_decode(bytes, &row);
        if (rc != 0) {
            return rc;
        }
        if (!tr_slice_starts(tr_slice(name.mv_data, name.mv_size), prefix)) {
            return 0;
        }
        const struct tr_slice key =
            row.key.len > 0 ? row.key : tr_slice(name.mv_data, name.mv_size);
        if (tr_slice_eq(key, scan->after) || !tr_slice_starts(key, scan->prefix) ||
            !row_is_live(&row, now_unix_ms)) {
            continue;
        }
        if (!scan_add(scan, key, &row)) {
            return 0;
        }
    }
    return rc == MDB_NOTFOUND ? 0 : rc;
}

void tr_lmdb_scan(const struct tr_lmdb_env *env, MDB_txn *reader, struct tr_store_scan *scan,
                  int64_t now_unix_ms)
{
    MDB_cursor *cursor = NULL;
    int rc = mdb_cursor_open(reader, env->rows, &cursor);
    if (rc == 0) {
        rc = scan_run(env, cursor, scan, now_unix_ms);
        mdb_cursor_close(cursor);
    }
    if (rc != 0) {
        tr_lmdb_err(env, rc, &scan->err);
    }
}

bool tr_lmdb_due_first(const struct tr_lmdb_env *env, MDB_txn *reader, int64_t *out_unix_ms)
{
    MDB_cursor *cursor = NULL;
    if (mdb_cursor_open(reader, env->due, &cursor) != 0) {
        return false;
    }
    MDB_val name;
    MDB_val nothing;
    MDB_val key;
    const bool found = mdb_cursor_get(cursor, &name, &nothing, MDB_FIRST) == 0 &&
                       due_decode(name, out_unix_ms, &key);
    mdb_cursor_close(cursor);
    return found;
}

/* --- writing --------------------------------------------------------------------------------------------------------- */

/* One write transaction of LMDB's. */
struct write {
    struct tr_lmdb_env *env;
    MDB_txn *txn;
    uint64_t etag_last;
    bool is_dirty; /* there is something to commit */
};

static int due_remove(struct write *write, const struct row *row, struct row_key *key)
{
    if (row->expiry_unix_ms == 0) {
        return 0;
    }
    struct due_key due;
    due_make(row->expiry_unix_ms, key_val(key), &due);
    const int rc = mdb_del(write->txn, write->env->due, &due.val, NULL);
    return rc == MDB_NOTFOUND ? 0 : rc;
}

static int due_add(struct write *write, const struct row *row, struct row_key *key)
{
    if (row->expiry_unix_ms == 0) {
        return 0;
    }
    struct due_key due;
    due_make(row->expiry_unix_ms, key_val(key), &due);
    MDB_val nothing = { 0 };
    return mdb_put(write->txn, write->env->due, &due.val, &nothing, 0);
}

/* Apply one operation. `key` must be free, or have the row. */
static int op_apply(struct write *write, const struct tr_store_op *op, int64_t now_unix_ms)
{
    struct row_key key;
    struct row old;
    key_make(write->env, op->key, &key);
    int rc = row_get(write->txn, write->env->rows, &key, op->key, &old);
    const bool has_old = rc == 0;
    if (rc != 0 && rc != MDB_NOTFOUND) {
        return rc;
    }
    rc = has_old ? due_remove(write, &old, &key) : 0;
    if (rc != 0) {
        return rc;
    }
    if (op->kind == TR_STORE_DELETE) {
        MDB_val name = key_val(&key);
        return has_old ? mdb_del(write->txn, write->env->rows, &name, NULL) : 0;
    }
    const struct row row = { .etag = ++write->etag_last,
                             .expiry_unix_ms = tr_store_expiry(op, now_unix_ms),
                             .value = op->value };
    rc = due_add(write, &row, &key);
    return rc == 0 ? row_put(write->txn, write->env->rows, &key, op->key, &row) : rc;
}

/* Check and raise the epoch. LMDB's code; a refusal is in `tx->err`. */
static int epoch_apply(struct write *write, struct tr_store_tx *tx)
{
    struct row_key key;
    struct row row = { 0 };
    if (tx->epoch == 0) {
        return 0;
    }
    key_make(write->env, tx->partition, &key);
    if (key.len == 0) { /* LMDB has no empty keys, and no partition of a store's is one zero byte */
        key = (struct row_key){ .bytes = { 0 }, .len = 1, .is_direct = true };
    }
    const int rc = row_get(write->txn, write->env->fence, &key, tx->partition, &row);
    if (rc != 0 && rc != MDB_NOTFOUND) {
        return rc;
    }
    if (rc == 0 && row.etag > tx->epoch) {
        tr_store_epoch_refuse(tx->epoch, row.etag, &tx->err);
        return 0;
    }
    if (rc == 0 && row.etag == tx->epoch) {
        return 0;
    }
    write->is_dirty = true;
    row = (struct row){ .etag = tx->epoch };
    return row_put(write->txn, write->env->fence, &key, tx->partition, &row);
}

/* Compare all etags. LMDB's code; a refusal is in `tx->err`. */
static int etags_check(struct write *write, struct tr_store_tx *tx)
{
    for (size_t i = 0; i < tx->ops_len; i++) {
        const struct tr_store_op *op = &tx->ops[i];
        if (!op->is_first_write && (!op->has_etag || op->etag.len == 0)) {
            continue;
        }
        struct row_key key;
        struct row row;
        key_make(write->env, op->key, &key);
        const int rc = row_get(write->txn, write->env->rows, &key, op->key, &row);
        if (rc != 0 && rc != MDB_NOTFOUND) {
            tx->failed_at = i;
            return rc;
        }
        const bool is_live = rc == 0 && row_is_live(&row, tx->now_unix_ms);
        if (tr_store_etag_check(op, is_live, is_live ? row.etag : 0, &tx->err) != TR_OK) {
            tx->failed_at = i;
            return 0;
        }
    }
    return 0;
}

/* Run one transaction. LMDB's code: after anything but 0 the write must be aborted. */
static int tx_apply(struct write *write, struct tr_store_tx *tx)
{
    tx->err.code = TR_OK;
    tx->failed_at = 0;
    int rc = etags_check(write, tx);
    if (rc != 0 || tx->err.code != TR_OK) {
        return rc;
    }
    rc = epoch_apply(write, tx);
    if (rc != 0 || tx->err.code != TR_OK) {
        return rc;
    }
    for (size_t i = 0; i < tx->ops_len; i++) {
        write->is_dirty = true;
        rc = op_apply(write, &tx->ops[i], tx->now_unix_ms);
        if (rc != 0) {
            tx->failed_at = i;
            return rc;
        }
    }
    return 0;
}

static int write_begin(struct tr_lmdb_env *env, struct write *out_write)
{
    *out_write = (struct write){ .env = env };
    const int begun = tr_lmdb_write_begin(env, &out_write->txn);
    if (begun != 0) {
        return begun;
    }
    MDB_val name = { .mv_size = 5, .mv_data = (void *)(uintptr_t) "!etag" };
    MDB_val bytes;
    int rc = mdb_get(out_write->txn, env->meta, &name, &bytes);
    if (rc == 0 && bytes.mv_size != sizeof(out_write->etag_last)) {
        rc = MDB_CORRUPTED;
    }
    if (rc != 0) {
        tr_lmdb_write_abort(env, out_write->txn);
        return rc;
    }
    memcpy(&out_write->etag_last, bytes.mv_data, sizeof(out_write->etag_last));
    return 0;
}

static int write_end(struct write *write)
{
    if (!write->is_dirty) {
        tr_lmdb_write_abort(write->env, write->txn);
        return 0;
    }
    MDB_val name = { .mv_size = 5, .mv_data = (void *)(uintptr_t) "!etag" };
    MDB_val bytes = { .mv_size = sizeof(write->etag_last), .mv_data = &write->etag_last };
    const int rc = mdb_put(write->txn, write->env->meta, &name, &bytes, 0);
    if (rc != 0) {
        tr_lmdb_write_abort(write->env, write->txn);
        return rc;
    }
    return tr_lmdb_write_commit(write->env, write->txn);
}

/* All transactions in one commit. LMDB's code: when it is not 0, none was written. */
static int group_write(struct tr_lmdb_env *env, struct tr_link *txs)
{
    struct write write;
    int rc = write_begin(env, &write);
    if (rc != 0) {
        return rc;
    }
    struct tr_link *it;
    struct tr_link *tmp;
    TR_LIST_FOR_EACH (it, tmp, txs) {
        rc = tx_apply(&write, TR_CONTAINER_OF(it, struct tr_store_tx, link));
        if (rc != 0) {
            tr_lmdb_write_abort(env, write.txn);
            return rc;
        }
    }
    return write_end(&write);
}

static void tx_write_alone(struct tr_lmdb_env *env, struct tr_store_tx *tx)
{
    struct write write;
    int rc = write_begin(env, &write);
    if (rc == 0) {
        rc = tx_apply(&write, tx);
        if (rc == 0) {
            rc = write_end(&write);
        } else {
            tr_lmdb_write_abort(env, write.txn);
        }
    }
    if (rc == MDB_KEYEXIST) {
        tr_err_set(&tx->err, TR_INTERNAL, "state store %s: two long keys have the same hash",
                   env->path);
    } else if (rc != 0) {
        tr_lmdb_err(env, rc, &tx->err);
    }
}

void tr_lmdb_write(struct tr_lmdb_env *env, struct tr_link *txs)
{
    if (group_write(env, txs) == 0) {
        return;
    }
    struct tr_link *it;
    struct tr_link *tmp;
    TR_LIST_FOR_EACH (it, tmp, txs) {
        tx_write_alone(env, TR_CONTAINER_OF(it, struct tr_store_tx, link));
    }
}

/* --- expiry ---------------------------------------------------------------------------------------------------------- */

/* Remove the row of one entry of `due`, if it is the entry's. */
static int sweep_row(struct write *write, int64_t expiry_unix_ms, MDB_val key)
{
    MDB_val bytes;
    struct row row;
    int rc = mdb_get(write->txn, write->env->rows, &key, &bytes);
    if (rc == 0) {
        rc = row_decode(bytes, &row);
    }
    if (rc == 0 && row.expiry_unix_ms == expiry_unix_ms) {
        rc = mdb_del(write->txn, write->env->rows, &key, NULL);
    }
    return rc == MDB_NOTFOUND ? 0 : rc;
}

static int sweep_run(struct write *write, MDB_cursor *cursor, int64_t now_unix_ms,
                     unsigned rows_max, bool *out_has_more)
{
    MDB_val name;
    MDB_val nothing;
    *out_has_more = false;
    for (unsigned i = 0;; i++) {
        int rc = mdb_cursor_get(cursor, &name, &nothing, MDB_FIRST);
        if (rc != 0) {
            return rc == MDB_NOTFOUND ? 0 : rc;
        }
        MDB_val key;
        int64_t expiry_unix_ms = 0;
        if (due_decode(name, &expiry_unix_ms, &key)) {
            if (expiry_unix_ms > now_unix_ms) {
                return 0;
            }
            if (i == rows_max) {
                *out_has_more = true;
                return 0;
            }
            struct due_key copy; /* the page may move while we write */
            due_make(expiry_unix_ms, key, &copy);
            key = (MDB_val){ .mv_size = copy.val.mv_size - DUE_HEAD_BYTES,
                             .mv_data = copy.bytes + DUE_HEAD_BYTES };
            rc = sweep_row(write, expiry_unix_ms, key);
        }
        write->is_dirty = true;
        rc = rc == 0 ? mdb_cursor_del(cursor, 0) : rc;
        if (rc != 0) {
            return rc;
        }
    }
}

enum tr_code tr_lmdb_sweep(struct tr_lmdb_env *env, int64_t now_unix_ms, unsigned rows_max,
                           bool *out_has_more, struct tr_err *err)
{
    struct write write;
    MDB_cursor *cursor = NULL;
    int rc = write_begin(env, &write);
    if (rc != 0) {
        return tr_lmdb_err(env, rc, err);
    }
    rc = mdb_cursor_open(write.txn, env->due, &cursor);
    if (rc == 0) {
        rc = sweep_run(&write, cursor, now_unix_ms, rows_max, out_has_more);
        mdb_cursor_close(cursor);
    }
    if (rc == 0) {
        rc = write_end(&write);
    } else {
        tr_lmdb_write_abort(env, write.txn);
    }
    return rc == 0 ? TR_OK : tr_lmdb_err(env, rc, err);
}
