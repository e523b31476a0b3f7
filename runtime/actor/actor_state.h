/*
 * State of actors, on the store that is marked as the actor state store. Keys are "<app id>||<type>||<id>||<key>".
 *
 * A transaction needs an actor that is active on this sidecar, and is held, like a call, while its type changes hands;
 * a get needs neither. Both pass the first gate (engine.h) in the API before they come here.
 *
 * Source: Dapr pkg/actors/state/state.go, pkg/actors/api/transactional.go (1.18); actors 2.6, 2.7, 9.
 */
#ifndef TR_ACTOR_STATE_H
#define TR_ACTOR_STATE_H

#include "runtime/actor/engine.h"

struct tr_store;

struct tr_actor_state_conf {
    struct tr_store *store; /* borrowed; NULL: none, every operation fails with TR_ACTOR_NO_STORE */
    bool is_capable;        /* it has etags and transactions */
    bool has_ttl;           /* feature ActorStateTTL */
    uint32_t batch_max;     /* operations of one transaction; 0: no limit */
    struct tr_slice app_id; /* copied */
};
/* Set or replace the store. Operations in progress end on the one they began with, which must outlive them. */
void tr_actor_state_set(struct tr_actor_engine *engine, const struct tr_actor_state_conf *conf);

/*
 * Read one key. err: TR_ACTOR_NO_STORE; TR_ACTOR_STATE_GET with the plain cause; TR_CANCELED, TR_DEADLINE, TR_CLOSED.
 */
struct tr_actor_state_get {
    struct tr_slice actor_type; /* in, borrowed until cb */
    struct tr_slice actor_id;
    struct tr_slice key;
    uint64_t deadline_ms;       /* in, loop time, 0 for none */
    void (*cb)(struct tr_actor_state_get *get);
    struct tr_err err;          /* out */
    bool found;                 /* out; an empty value counts as not found */
    struct tr_buf value;        /* out, now the caller's */
    bool has_expiry;            /* out */
    int64_t expiry_unix_ms;     /* out: metadata ttlExpireTime */
    void *impl;                 /* private */
};
void tr_actor_state_get_start(struct tr_actor_engine *engine, struct tr_actor_state_get *get);
void tr_actor_state_get_cancel(struct tr_actor_state_get *get);

struct tr_actor_state_op {
    bool is_delete;
    bool has_etag;
    bool has_ttl;          /* metadata ttlInSeconds is there */
    struct tr_slice key;
    struct tr_slice value; /* upsert: the bytes to store */
    struct tr_slice etag;
    struct tr_slice ttl;   /* the text of ttlInSeconds */
};

/*
 * Write all operations or none. err: TR_ACTOR_MISSING; TR_ACTOR_NO_STORE; TR_ACTOR_STATE_TX with the plain cause (an
 * etag that does not match, too many operations, a missing key ...); TR_CANCELED, TR_DEADLINE, TR_CLOSED.
 */
struct tr_actor_state_tx {
    struct tr_slice actor_type; /* in, borrowed until cb, as are the operations and what they point to */
    struct tr_slice actor_id;
    const struct tr_actor_state_op *ops;
    size_t ops_len;
    uint64_t deadline_ms;       /* in, loop time, 0 for none */
    void (*cb)(struct tr_actor_state_tx *tx);
    struct tr_err err;          /* out */
    void *impl;                 /* private */
};
void tr_actor_state_tx_start(struct tr_actor_engine *engine, struct tr_actor_state_tx *tx);
void tr_actor_state_tx_cancel(struct tr_actor_state_tx *tx);

#endif
