/* One suite of what every store promises, run over each of them, and a fixture to talk to a store in plain calls. */
#ifndef TR_TEST_STORE_CONTRACT_H
#define TR_TEST_STORE_CONTRACT_H

#include "state/store.h"

/* A store on a loop of its own. */
struct store_test {
    struct tr_loop *loop;   /* owned */
    struct tr_store *store;
    int64_t expiry_grain_ms; /* how far an expiry may be cut */ /* owned */
    char folder[64];        /* for stores that want one; "" for none */
    struct tr_err err;      /* of the last operation */
    size_t failed_at;       /* of the last transaction */
};

/* Opens t->store; the suite's other half for one store. */
typedef void store_open_fn(struct store_test *t);

void store_test_init(struct store_test *t, store_open_fn *open);
/* Close the store and wait for it; the loop stays. */
void store_test_close(struct store_test *t);
/* Close everything and remove the folder. */
void store_test_fini(struct store_test *t);
/* Make an empty folder in t->folder. */
void store_test_folder(struct store_test *t);

/* Wait for an operation; the caller ends it with tr_store_..._fini(). */
void store_get(struct store_test *t, struct tr_store_get *get);
void store_scan(struct store_test *t, struct tr_store_scan *scan);
enum tr_code store_tx(struct store_test *t, const struct tr_store_op *ops, size_t ops_len, struct tr_slice partition,
                      uint64_t epoch);

/* Short forms. A key is a C string. */
struct tr_store_op upsert_of(const char *key, const char *value);
struct tr_store_op delete_of(const char *key);
enum tr_code store_put(struct store_test *t, const char *key, const char *value);
enum tr_code store_remove(struct store_test *t, const char *key);
/* Value of a key as text with its etag, "-" when it is absent. Borrowed from a static buffer until the next call. */
const char *store_text(struct store_test *t, const char *key, char out_etag[TR_STORE_ETAG_MAX]);

/* Run the suite; returns the number of tests that failed. */
int store_contract_run(const char *name, store_open_fn *open);

#endif
