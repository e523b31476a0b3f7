/*
 * State stores: one interface, one file pair a store.
 *
 * A store maps keys (any bytes, at least one) to values (any bytes) with an etag and, if wanted, an expiry. All work is
 * operations; callbacks come on the loop thread. Transactions are whole or absent. A value that has expired is absent at
 * once, whenever its row is swept. Every transaction carries an epoch for the fence of a hand-over protocol: a store
 * refuses an epoch below the highest it has seen for the partition; 0 means no fence.
 *
 * state.in-memory lives and dies with the process.
 *
 * state.lmdb keeps a folder that several processes of one machine may open at a time; what it acknowledged survives
 * kill -9 and power loss. The folder must be on a local file system. A process that is stopped (not killed) in the middle
 * of a commit makes the writers of the others wait. Its component has these settings, names without regard to case:
 *
 *   path        the folder; required; made if it is missing
 *   mapSizeMb   largest size of the database in MiB, default 16384. It is address space, not memory: the file grows with
 *               what is stored, and a full store refuses writes but serves reads and deletes
 *
 * Settings that the sidecar reads itself (actorStateStore, keyPrefix and the like) are skipped; see state/key.h.
 */
#ifndef TR_STATE_STORE_H
#define TR_STATE_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "runtime/base/buf.h"
#include "runtime/base/err.h"
#include "runtime/base/list.h"
#include "runtime/base/loop.h"
#include "runtime/base/op.h"
#include "runtime/base/slice.h"

struct tr_store;

#define TR_STORE_KEY_MAX     4096U          /* bytes of a key; longer ones are refused with TR_LIMIT */
#define TR_STORE_VALUE_MAX   (64U << 20U)   /* bytes of a value; larger ones are refused with TR_LIMIT */
#define TR_STORE_OPS_MAX     10000U         /* operations of one transaction, keys of one get; beyond: TR_LIMIT */
#define TR_STORE_OPEN_MAX    65536U         /* operations started and not done; beyond: TR_LIMIT */
#define TR_STORE_SCAN_MAX    10000U         /* rows of one scan */
#define TR_STORE_ETAG_MAX     40U            /* bytes of an etag as text, with its NUL */
#define TR_STORE_SWEEP_MS    1000U          /* pause between sweeps of expired rows */
#define TR_STORE_SWEEP_ROWS  1000U          /* rows removed in one sweep's transaction */
#define TR_STORE_MAP_MIB     16384U         /* default of mapSizeMb */
#define TR_STORE_MAP_MIB_MAX (64U << 20U)   /* what a 64-bit address space has room for */

/* What a store can do, for checks and metadata. */
#define TR_STORE_ETAG          1U
#define TR_STORE_TRANSACTION   2U
#define TR_STORE_TTL           4U
#define TR_STORE_DELETE_PREFIX 8U  /* what begins alike can be found, to be deleted */
#define TR_STORE_KEYS_LIKE     16U /* the keys that begin alike can be listed */

/* One row as it was read. All zero is "not found". */
struct tr_store_value {
    bool found;
    struct tr_buf value;          /* owned */
    char etag[TR_STORE_ETAG_MAX]; /* decimal text */
    bool has_expiry;
    int64_t expiry_unix_ms;
};
void tr_store_value_fini(struct tr_store_value *value);

/* Read keys in one consistent view. Fill the inputs, start, leave the struct alone until `cb`; `cb` may free it. */
struct tr_store_get {
    const struct tr_slice *keys;          /* in, borrowed until cb */
    size_t keys_len;                      /* in */
    void (*cb)(struct tr_store_get *get); /* in, called once, on the loop thread */
    struct tr_err err;                    /* out: TR_INVALID, TR_LIMIT, TR_IO, TR_DATA_LOSS, TR_CLOSED */
    struct tr_store_value *values;        /* out, keys_len rows, NULL on error; owned by the operation until _fini */
    struct tr_op op;                      /* private, as all below */
    struct tr_link link;
    struct tr_store *store;
};

enum tr_store_op_kind {
    TR_STORE_UPSERT,
    TR_STORE_DELETE,
};

struct tr_store_op {
    enum tr_store_op_kind kind;
    struct tr_slice key;
    struct tr_slice value;    /* UPSERT */
    bool has_etag;            /* the row must have this etag; else TR_ETAG. An empty one is none */
    struct tr_slice etag;     /* any text; one that is not ours matches nothing */
    bool is_first_write;      /* without etag: the row must not exist; else TR_ETAG */
    bool has_ttl;             /* UPSERT: expires this many seconds from now; not given or 0: never */
    uint32_t ttl_s;
};

/*
 * Write all operations, in order, or none. Done when it is durable. All etags are compared with the rows as they were
 * before the transaction, also when it writes one key twice.
 *
 * Source: components-contrib state/in-memory/in_memory.go, Multi and doValidateEtag (1.18.4), for etags and their texts.
 */
struct tr_store_tx {
    const struct tr_store_op *ops;      /* in, borrowed until cb, with what they point to */
    size_t ops_len;                     /* in */
    struct tr_slice partition;          /* in: what the epoch is of; may be empty */
    uint64_t epoch;                     /* in: 0 for no fence */
    void (*cb)(struct tr_store_tx *tx); /* in */
    struct tr_err err;                  /* out: TR_ETAG, TR_PRECONDITION (the epoch is over), TR_INVALID (empty key),
                                           TR_LIMIT (a limit, or no space), TR_PERMISSION, TR_IO, TR_DATA_LOSS, TR_CLOSED */
    size_t failed_at;                   /* out: the operation that failed, when one did; else 0 */
    struct tr_op op;                    /* private, as all below */
    struct tr_link link;
    struct tr_store *store;
    int64_t now_unix_ms;
};

struct tr_store_row {
    struct tr_buf key; /* owned */
    struct tr_store_value value;
};

/*
 * Read the rows whose key starts with `prefix`, after the key `after`, in order of keys (only keys that have their first
 * 487 bytes in common may come in another, fixed order). With `has_more`, go on after the key of the last row.
 */
struct tr_store_scan {
    struct tr_slice prefix;                 /* in, borrowed until cb */
    struct tr_slice after;                  /* in: empty to begin */
    size_t rows_max;                        /* in: at most TR_STORE_SCAN_MAX */
    void (*cb)(struct tr_store_scan *scan); /* in */
    struct tr_err err;                      /* out: as of a get */
    struct tr_store_row *rows;              /* out, owned by the operation until _fini */
    size_t rows_len;                        /* out */
    bool has_more;                          /* out */
    struct tr_op op;                        /* private, as all below */
    struct tr_link link;
    struct tr_store *store;
};

/* A store's own part; each store file fills one, and so may a test. Operations come checked and started. */
struct tr_store_class {
    const char *type; /* "state.in-memory" */
    unsigned features;
    /* End `op` with tr_op_finish() or tr_op_finish_later(), with `err` and the results set. A get's `values` are there. */
    void (*get)(struct tr_store *store, struct tr_store_get *get);
    void (*tx)(struct tr_store *store, struct tr_store_tx *tx);
    void (*scan)(struct tr_store *store, struct tr_store_scan *scan);
    void (*free)(struct tr_store *store); /* no operation is open, nothing is held */
};

/* The common head of every store. */
struct tr_store {
    const struct tr_store_class *class;
    struct tr_loop *loop; /* borrowed */
    struct tr_link open;  /* private, as all below: operations started and not done */
    size_t open_len;      /* those, and work of the store's own */
    bool is_closing;
    struct tr_defer closed;
    void (*on_closed)(void *ctx);
    void *ctx;
};

static inline unsigned tr_store_features(const struct tr_store *store)
{
    return store->class->features;
}

static inline const char *tr_store_type(const struct tr_store *store)
{
    return store->class->type;
}

/* The operations end on a later turn of the loop. There is no cancel: they are short, and a write cannot be taken back.
 * What a get or scan reads is at least as new as each transaction whose cb came before the start. */
void tr_store_get_start(struct tr_store *store, struct tr_store_get *get);
/* Free what the outcome owns; harmless before the start if the struct was zero. */
void tr_store_get_fini(struct tr_store_get *get);
void tr_store_tx_start(struct tr_store *store, struct tr_store_tx *tx);
void tr_store_scan_start(struct tr_store *store, struct tr_store_scan *scan);
void tr_store_scan_fini(struct tr_store_scan *scan);

/* Refuse new operations with TR_CLOSED, finish those started, free the store, then call back on a later turn. */
void tr_store_close(struct tr_store *store, void (*cb)(void *ctx), void *ctx);

/* One name and value of a component's metadata. */
struct tr_store_setting {
    struct tr_slice name;
    struct tr_slice value;
};

/*
 * Open the store of a component: its type ("state.lmdb"), version ("v1", "" for the same) and metadata.
 *
 * Errors: TR_NOT_FOUND "couldn't find state store state.x/v1"; TR_INVALID, a setting is missing or wrong; those of
 *         tr_store_lmdb_open().
 * Source: text from Dapr pkg/components/state/registry.go.
 */
TR_MUST_USE enum tr_code tr_store_open(struct tr_loop *loop, struct tr_slice type, struct tr_slice version,
                                       const struct tr_store_setting *settings, size_t settings_len,
                                       struct tr_store **out_store, struct tr_err *err);

/* A store in memory. */
struct tr_store *tr_store_mem_new(struct tr_loop *loop);

struct tr_store_lmdb_conf {
    const char *path;   /* folder; made if it is missing (0700) */
    uint64_t map_bytes; /* largest size of the database; 0 for TR_STORE_MAP_MIB */
};

/*
 * Open or make a store in a folder. Opening a folder again in one process is fine: both share what they must.
 *
 * Errors: TR_PERMISSION; TR_LIMIT, no space; TR_PRECONDITION, another format version, not a store of ours, or the path is
 *         no folder; TR_DATA_LOSS, damaged; TR_IO. The message names the folder.
 * Cost:   blocks for a few milliseconds: for start-up and reload only.
 */
TR_MUST_USE enum tr_code tr_store_lmdb_open(struct tr_loop *loop, const struct tr_store_lmdb_conf *conf,
                                            struct tr_store **out_store, struct tr_err *err);

struct tr_store_sqlite_conf {
    const char *connection; /* a path, "file:..." or ":memory:" */
    const char *table;      /* an identifier */
    bool wal_off;           /* no write-ahead log: for file systems without shared memory */
};
/* Pause between sweeps of expired rows; they are invisible long before. */
#define TR_STORE_SQLITE_SWEEP_MS 60000U

/*
 * Open or make a table in a SQLite database; the reference's databases are understood, and ours by it.
 *
 * Errors: TR_INVALID, no identifier; TR_PERMISSION; TR_LIMIT, no space; TR_DATA_LOSS, not a database; TR_UNAVAILABLE,
 *         locked by another process; TR_IO. The message names the database.
 * Cost:   blocks for a few milliseconds, at most the busy timeout of 5 s: for start-up and reload only.
 */
TR_MUST_USE enum tr_code tr_store_sqlite_open(struct tr_loop *loop, const struct tr_store_sqlite_conf *conf,
                                              struct tr_store **out_store, struct tr_err *err);

#endif
