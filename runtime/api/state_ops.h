/*
 * The state API without its surfaces: from a store's name and a list of items to a result or an error that both surfaces
 * can tell. HTTP and gRPC read a request into items, start a job, and answer when it calls back.
 *
 * A job does one of three things: read keys in one view of the store; write items, each by itself; or write them as one
 * transaction. Writes of one request that are not a transaction are independent, as the reference has them: some may fail
 * while the others stand, and the error then tells of each that failed. Two writes to one key come in the order given.
 *
 * There is no cancel: a job ends with the store's operations, also when nobody waits for it any more.
 * Source: Dapr pkg/api/http/http.go, pkg/api/grpc/grpc.go, pkg/components/state/bulk.go, pkg/api/errors/state.go (1.18);
 * invocation 10.5.
 */
#ifndef TR_API_STATE_OPS_H
#define TR_API_STATE_OPS_H

#include "runtime/api/api_int.h"

#define API_STATE_ITEMS_MAX TR_STORE_OPS_MAX /* items, keys or operations of one request */

/* One item as the surface read it; slices are borrowed from the request or kept by the job. */
struct api_state_item {
    struct tr_slice key;         /* the client's, without the prefix */
    struct tr_slice value;       /* bytes as they are stored */
    bool is_delete;
    bool has_etag;
    struct tr_slice etag;
    struct tr_slice concurrency; /* "", "first-write", "last-write", or nonsense */
    struct tr_slice consistency; /* "", "eventual", "strong", or nonsense */
    struct tr_slice ttl;         /* of metadata ttlInSeconds, for upserts; empty: none */
};

/* One key that was read. */
struct api_state_row {
    const struct tr_store_value *value; /* borrowed from the job; NULL: `error` says why there is none */
    char error[128];
};

/* What fails when the store fails. */
enum api_state_action {
    API_STATE_GET,
    API_STATE_GET_BULK,
    API_STATE_SAVE,
    API_STATE_DELETE,
    API_STATE_DELETE_BULK,
    API_STATE_TRANSACT,
};

/* Zero it, fill what is "in", start it, leave it alone until `cb`; then _fini. */
struct api_state_job {
    struct tr_api *api;                      /* in, as all slices borrowed until cb */
    bool is_http;                            /* in: some texts differ */
    enum api_state_action action;            /* in */
    struct tr_slice store_name;              /* in */
    struct api_state_item *items;            /* in, owned: made by api_state_items_new() */
    size_t items_len;
    void (*cb)(struct api_state_job *job);   /* in, called once, on a later turn; may free the job */
    struct api_fault fault;                  /* out: its code is TR_OK if all went well */
    struct api_state_row *rows;              /* out of a read without fault, owned: one for each item */

    struct tr_buf *kept;      /* owned; private, as all below */
    size_t kept_len;
    struct tr_buf stored;     /* owned: the stored keys, one behind the other */
    struct tr_slice *keys;    /* owned: slices of `stored` */
    struct tr_store_get get;
    struct tr_store_op *ops;  /* owned: of a transaction */
    struct tr_store_tx tx;
    struct api_state_write *writes; /* owned: independent ones */
    size_t pending;
    struct tr_op op;
};

/* May follow anything but a start. */
void api_state_job_fini(struct api_state_job *job);

/* Make room for `len` items, all zero. */
void api_state_items_new(struct api_state_job *job, size_t len);
/* Take bytes over until _fini; `buf` is left empty. */
struct tr_slice api_state_keep(struct api_state_job *job, struct tr_buf *buf);

/*
 * Find the job's store; NULL: the fault is set. With `tells_app_id` the error names the app (as HTTP has it, but for
 * queries). For a store that must transact, is `api_state_can_transact()` to be asked as well.
 */
struct tr_api_store *api_state_store(struct api_state_job *job, bool tells_app_id);
bool api_state_can_transact(struct api_state_job *job, const struct tr_api_store *store);
/* Set the fault of a transaction with so many operations. */
void api_state_too_many(struct api_state_job *job, size_t ops_len);
/* Set the fault of a query: no store here can do it. */
void api_state_no_query(struct api_state_job *job);

/* Do what job->action says with the items; at least one for reads. `store` is from api_state_store() in this turn. */
void api_state_start(struct api_state_job *job, struct tr_api_store *store);

#endif
