/*
 * One LMDB environment a folder: made, checked, shared within the process, and closed; its transactions; its errors in our
 * words.
 *
 * LMDB locks a folder with locks of the process, so that a second environment on it in one process would drop the locks of
 * the first when it is closed. Environments are therefore kept in a list of the process, and counted.
 *
 * The folder holds data.mdb and lock.mdb. Unnamed database: "!format", "!seed" (of the hash of long keys), "!etag" (the
 * last one given); named: "rows", "due" and "fence", see lmdb_rows.h.
 */
#ifndef TR_STATE_LMDB_ENV_H
#define TR_STATE_LMDB_ENV_H

#include <lmdb.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/types.h>

#include "runtime/base/err.h"
#include "runtime/base/list.h"

/* Readers of all processes on one folder; set by the first that opens it. */
#define TR_LMDB_READERS_MAX 1024U

struct tr_lmdb_env {
    struct tr_link link; /* in the list of the process, guarded by its lock, as is refs */
    unsigned refs;
    dev_t dev;
    ino_t ino;
    char *path; /* owned; as it was first given */
    MDB_env *mdb;
    MDB_dbi meta;
    MDB_dbi rows;
    MDB_dbi due;
    MDB_dbi fence;
    uint64_t seed;
    pthread_rwlock_t size_lock; /* read: a transaction is open; write: the map changes its size */
};

/* Open, or share what this process has open. `map_bytes` is the largest size. Errors: as tr_store_lmdb_open(). */
TR_MUST_USE enum tr_code tr_lmdb_env_open(const char *path, uint64_t map_bytes, struct tr_lmdb_env **out_env,
                                          struct tr_err *err);
/* Close it with the last user; no transaction of this user may be left. */
void tr_lmdb_env_close(struct tr_lmdb_env **env);

/* Set `err` for LMDB's `rc` in this environment's words. Returns the code. Thread: any. */
enum tr_code tr_lmdb_err(const struct tr_lmdb_env *env, int rc, struct tr_err *err);

/*
 * Begin to read: renew `*reader`, or make it when it is NULL. Growth by another process and readers that died without
 * leaving are dealt with. Errors: TR_LIMIT, too many readers; TR_IO.
 */
TR_MUST_USE enum tr_code tr_lmdb_read_begin(struct tr_lmdb_env *env, MDB_txn **reader, struct tr_err *err);
/* Let go of the pages; `reader` is kept for the next time. */
void tr_lmdb_read_end(struct tr_lmdb_env *env, MDB_txn *reader);

/* The one writer of all processes; waits for it. Thread: the same up to the end. Returns LMDB's code. */
TR_MUST_USE int tr_lmdb_write_begin(struct tr_lmdb_env *env, MDB_txn **out_txn);
/* Durable when it returns 0; else nothing of it was written. */
TR_MUST_USE int tr_lmdb_write_commit(struct tr_lmdb_env *env, MDB_txn *txn);
void tr_lmdb_write_abort(struct tr_lmdb_env *env, MDB_txn *txn);

/* Free the slots of readers that died; how many. */
int tr_lmdb_readers_check(struct tr_lmdb_env *env);

#endif
