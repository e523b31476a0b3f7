/*
 * State stores: one interface, one file pair a store.
 *
 * A store maps keys (any bytes) to values (any bytes) with an etag and, if wanted, an expiry. All work is operations;
 * callbacks come on the loop thread. Transactions are whole or absent. A value that has expired is absent at once,
 * whenever its row is swept. Every operation carries an epoch for the fence of a later hand-over protocol: a store
 * refuses an epoch below the highest it has seen for the partition; 0 means no fence.
 *
 * state.in-memory lives and dies with the process. state.lmdb keeps a folder that several processes of one machine may
 * open at a time; what it acknowledged survives kill -9 and power loss.
 */
#ifndef TR_STATE_STORE_H
#define TR_STATE_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "runtime/base/buf.h"
#include "runtime/base/err.h"
#include "runtime/base/list.h"
#include "runtime/base/loop.h"
#include "runtime/base/slice.h"

struct tr_store;

#define TR_STORE_KEY_MAX     4096U          /* bytes of a key; longer ones are refused with TR_LIMIT */
#define TR_STORE_VALUE_MAX   (64U << 20U)   /* bytes of a value; larger ones are refused with TR_LIMIT */
#define TR_STORE_OPS_MAX     10000U         /* operations of one transaction */
#define TR_STORE_OPEN_MAX    65536U         /* operations started and not done; beyond: TR_LIMIT */
#define TR_STORE_SCAN_MAX    10000U         /* rows of one scan */
#define TR_STORE_ETAG_MAX    24U            /* bytes of an etag as text, with its NUL */
#define TR_STORE_SWEEP_MS    1000U          /* pause between sweeps of expired rows */
#define TR_STORE_SWEEP_ROWS  1000U          /* rows removed in one sweep's transaction */

/* What a store can do, for checks and metadata. */
#define TR_STORE_ETAG        1U
#define TR_STORE_TRANSACTION 2U
#define TR_STORE_TTL         4U

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
    struct tr_err err;                    /* out: TR_LIMIT, TR_IO, TR_CLOSED */
    struct tr_store_value *values;        /* out, keys_len rows, owned by the operation until _fini */
    struct tr_link link;                  /* private, as all below */
    struct tr_store *store;
    struct tr_defer later;
};

enum tr_store_op_kind {
    TR_STORE_UPSERT,
    TR_STORE_DELETE,
};

struct tr_store_op {
    enum tr_store_op_kind kind;
    struct tr_slice key;
    struct tr_slice value;    /* UPSERT */
    bool has_etag;            /* the row must have this etag; else TR_ETAG, and nothing is written */
    struct tr_slice etag;
    bool is_first_write;      /* UPSERT without etag: the row must not exist; else TR_ETAG */
    bool has_ttl;             /* UPSERT: expires this many seconds from now; not given: never */
    uint32_t ttl_s;
};

/* Write all operations, in order, or none. Done when it is durable. */
struct tr_store_tx {
    const struct tr_store_op *ops;      /* in, borrowed until cb, with what they point to */
    size_t ops_len;                     /* in */
    struct tr_slice partition;          /* in: what the epoch is of; may be empty */
    uint64_t epoch;                     /* in: 0 for no fence */
    void (*cb)(struct tr_store_tx *tx); /* in */
    struct tr_err err;                  /* out: TR_ETAG, TR_ETAG_INVALID (not an etag of ours), TR_LIMIT, TR_IO, TR_CLOSED */
    size_t failed_at;                   /* out: the operation that failed, when one did */
    struct tr_link link;                /* private, as all below */
    struct tr_store *store;
    struct tr_defer later;
};

struct tr_store_row {
    struct tr_buf key; /* owned */
    struct tr_store_value value;
};

/* Read the rows whose key starts with `prefix`, after the key `after`, in order of keys. */
struct tr_store_scan {
    struct tr_slice prefix;                 /* in, borrowed until cb */
    struct tr_slice after;                  /* in: empty to begin */
    size_t rows_max;                        /* in: at most TR_STORE_SCAN_MAX */
    void (*cb)(struct tr_store_scan *scan); /* in */
    struct tr_err err;                      /* out */
    struct tr_store_row *rows;              /* out, owned by the operation until _fini */
    size_t rows_len;                        /* out */
    bool has_more;                          /* out */
    struct tr_link link;                    /* private, as all below */
    struct tr_store *store;
    struct tr_defer later;
};

/* A store's own part; each store file fills one. Two products and tests stand behind it. */
struct tr_store_class {
    const char *type; /* "state.in-memory" */
    unsigned features;
    void (*get)(struct tr_store *store, struct tr_store_get *get);
    void (*tx)(struct tr_store *store, struct tr_store_tx *tx);
    void (*scan)(struct tr_store *store, struct tr_store_scan *scan);
    void (*close)(struct tr_store *store, void (*cb)(void *ctx), void *ctx);
};

/* The common head of every store. */
struct tr_store {
    const struct tr_store_class *class;
    struct tr_loop *loop; /* borrowed */
};

static inline unsigned tr_store_features(const struct tr_store *store)
{
    return store->class->features;
}

/* The operations end on a later turn of the loop. There is no cancel: they are short, and a write cannot be taken back. */
void tr_store_get_start(struct tr_store *store, struct tr_store_get *get);
/* Free what the outcome owns; harmless before the start. */
void tr_store_get_fini(struct tr_store_get *get);
void tr_store_tx_start(struct tr_store *store, struct tr_store_tx *tx);
void tr_store_scan_start(struct tr_store *store, struct tr_store_scan *scan);
void tr_store_scan_fini(struct tr_store_scan *scan);

/* Refuse new operations with TR_CLOSED, finish those started, free the store, then call back on a later turn. */
void tr_store_close(struct tr_store *store, void (*cb)(void *ctx), void *ctx);

/* A store in memory. */
struct tr_store *tr_store_mem_new(struct tr_loop *loop);

struct tr_store_lmdb_conf {
    const char *path;      /* folder; made if it is missing (0700) */
    uint64_t map_bytes;    /* largest size of the database; 0 for TR_STORE_MAP_BYTES */
};
/* Address space, not memory: the file grows as it is needed. */
#define TR_STORE_MAP_BYTES (UINT64_C(16) << 30U)

/*
 * Open or make a store in a folder.
 * Errors: TR_PERMISSION, TR_IO, TR_LIMIT (no space), TR_PRECONDITION (another format version, or not a store of ours);
 * the message names the folder. Blocks for a few milliseconds: for start-up and reload only.
 */
TR_MUST_USE enum tr_code tr_store_lmdb_open(struct tr_loop *loop, const struct tr_store_lmdb_conf *conf,
                                            struct tr_store **out_store, struct tr_err *err);

#endif
