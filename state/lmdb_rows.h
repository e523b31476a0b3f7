/*
 * Rows of the store on LMDB, and the transactions on them. Everything here runs inside a transaction of lmdb_env.h.
 *
 * rows:  key  -> etag (8 bytes), expiry in ms since 1970 or 0 (8), length of the key that follows (4), key, value.
 * due:   expiry (8, big-endian), key -> nothing. Has exactly the rows that expire.
 * fence: partition -> a row without a value whose etag is the epoch.
 *
 * Numbers are little-endian but in `due`. LMDB's keys have at most 511 bytes and `due` needs 8 of them, so a key above
 * TR_LMDB_KEY_DIRECT_MAX is stored under its first bytes and a hash of the whole, and its text stands in the row: only then
 * is the length above not 0.
 */
#ifndef TR_STATE_LMDB_ROWS_H
#define TR_STATE_LMDB_ROWS_H

#include "state/lmdb_env.h"
#include "state/store_int.h"

#define TR_LMDB_HASH_BYTES 16U
#define TR_LMDB_KEY_MAX 503U /* 511 without the expiry */
#define TR_LMDB_KEY_DIRECT_MAX (TR_LMDB_KEY_MAX - TR_LMDB_HASH_BYTES)

/* Read the keys of `get` into its values. Errors: set in get->err. Thread: the reader's. */
void tr_lmdb_get(const struct tr_lmdb_env *env, MDB_txn *reader, struct tr_store_get *get, int64_t now_unix_ms);
void tr_lmdb_scan(const struct tr_lmdb_env *env, MDB_txn *reader, struct tr_store_scan *scan, int64_t now_unix_ms);

/* When the first row expires; false when none does. Errors in reading count as none. */
bool tr_lmdb_due_first(const struct tr_lmdb_env *env, MDB_txn *reader, int64_t *out_unix_ms);

/*
 * Write the transactions of the list `txs` (by their `link`) in order and set their `err`. One commit for all; if that
 * fails for a reason other than an etag, each is tried alone, so that one that is too large spoils no other.
 * Thread: a worker; it owns the transactions meanwhile.
 */
void tr_lmdb_write(struct tr_lmdb_env *env, struct tr_link *txs);

/* Remove at most `rows_max` rows that have expired; `*out_has_more` when some are left. */
TR_MUST_USE enum tr_code tr_lmdb_sweep(struct tr_lmdb_env *env, int64_t now_unix_ms, unsigned rows_max,
                                       bool *out_has_more, struct tr_err *err);

#endif
