/*
 * The sidecar's end of placement: connects to one of the placement servers, reports the hosted actor types, follows the
 * rounds, and answers the one question that routing asks: who owns this actor?
 *
 *   DOWN --> CONNECTING --> REPORTED --update--> LOCKED --unlock--> READY --lock--> READY --update--> LOCKED ...
 *    ^            |             |                   |                 |
 *    +-- pause <--+-------------+---- stream ended, round too long, order out of place ----+
 *
 * Ownership during a round: `lock` stops nothing. With `update` the new table counts at once; types whose ring changed
 * are held from then until `unlock`, and the update is acknowledged only after the engine has drained and deactivated
 * what it lost. Types that did not change are never held. When the stream is lost everything is held until the unlock of
 * the next one, and the engine halts all actors.
 *
 * Source: Dapr pkg/actors/internal/placement; placement specification, section 11.
 */
#ifndef TR_PLACEMENT_CLIENT_H
#define TR_PLACEMENT_CLIENT_H

#include <stdint.h>

#include "runtime/base/buf.h"
#include "runtime/base/err.h"
#include "runtime/base/heap.h"
#include "runtime/base/op.h"
#include "runtime/base/slice.h"

struct tr_rpc;
struct tr_log;
struct tr_placement_client; /* opaque */

/* Placement addresses of one client. */
#define TR_PLACEMENT_ADDRESSES_MAX 64
/* Look-ups that wait at the same time; the newcomer is refused with TR_LIMIT. */
#define TR_PLACEMENT_WAITS_MAX 100000
/* Pause after an attempt that could not connect, or after a full circle of refusals: 0.5 s, give or take a quarter. */
#define TR_PLACEMENT_PAUSE_LOW_MS  250
#define TR_PLACEMENT_PAUSE_HIGH_MS 750

enum tr_owner {
    TR_OWNER_LOCAL,    /* this sidecar */
    TR_OWNER_REMOTE,   /* another one: out_host says which */
    TR_OWNER_NO_TABLE, /* no table on the present stream yet: wait */
    TR_OWNER_LOCKED,   /* the type is changing hands: wait */
    TR_OWNER_NONE,     /* no host has the type */
    TR_OWNER_CLOSED,   /* the client is closing */
};

/* The owner of an actor, borrowed from the table until the end of this turn of the loop. */
struct tr_owner_host {
    struct tr_slice address; /* "host:port" of the sidecar's internal gRPC port */
    struct tr_slice app_id;
    uint64_t epoch; /* 0 under v1 tables */
};

/*
 * What the engine is told, all on the loop thread and never from inside a call of the engine's into the client. Any
 * may be NULL, except that an `on_update` or `on_lost` that exists must be answered with its done call, now or later.
 */
struct tr_placement_events {
    /* A round began. Nothing to do; for the log and the metadata. */
    void (*on_lock)(void *ctx, uint64_t version);
    /*
     * A new table counts. `types` are those whose ring changed and which are held from now on (all types of the table on
     * the first one of a stream). Drain their turns, deactivate the actors that tr_placement_owns() denies, then call
     * tr_placement_update_done(client, token). A lost stream makes the token void: its done call is then ignored.
     * `types` is good until the call returns.
     */
    void (*on_update)(void *ctx, uint64_t token, const struct tr_slice *types, size_t types_len);
    /* The round ended: held types are free, waiting look-ups go on. */
    void (*on_unlock)(void *ctx, uint64_t version);
    /*
     * The stream is gone (or the own round limit passed) and everything is held. Drain all, deactivate every actor, then
     * call tr_placement_lost_done(client, token). The client reconnects meanwhile, but works on no update before that.
     */
    void (*on_lost)(void *ctx, uint64_t token);
    /* First unlock of this client's life: health target ready. Never taken back. */
    void (*on_ready)(void *ctx);
};

struct tr_placement_client_conf {
    struct tr_loop *loop; /* borrowed, as all below */
    struct tr_rpc *rpc;
    const struct tr_log *log;
    const struct tr_slice *addresses; /* copied; at least one, at most TR_PLACEMENT_ADDRESSES_MAX */
    size_t addresses_len;
    /*
     * Kubernetes: only the first address counts; its name is looked up before every attempt, and the answers are used
     * in turn, since the name of a headless service stands for all its pods.
     */
    bool is_resolved_each_time;
    struct tr_slice name; /* own "host:port", IPv6 host in brackets */
    struct tr_slice app_id;
    struct tr_slice ns;
    uint64_t round_limit_ms; /* --actors-disseminate-timeout, > 0 */
    struct tr_placement_events events;
    void *ctx;
};

/* Copy the configuration. Connects to nobody yet: tr_placement_client_start() does, once the app's types are known. */
enum tr_code tr_placement_client_new(const struct tr_placement_client_conf *conf,
                                     struct tr_placement_client **out_client,
                                     struct tr_err *err) TR_MUST_USE;
void tr_placement_client_start(struct tr_placement_client *client);
/*
 * Leave: fail every wait with TR_CLOSED, half-close the stream, call back when nothing is in flight. Halt the actors
 * before. No event comes after this call. Free in or after the callback.
 */
void tr_placement_client_close(struct tr_placement_client *client, void (*cb)(void *ctx),
                               void *ctx);
void tr_placement_client_free(struct tr_placement_client **client);

/*
 * Replace the hosted actor types (copied; order and repetition do not matter). Reported when they differ from the last
 * report. None while the app is unhealthy or there is no state store.
 */
void tr_placement_set_types(struct tr_placement_client *client, const struct tr_slice *types,
                            size_t types_len);

/*
 * Who owns the actor? `out_host` is written for LOCAL and REMOTE.
 *
 * Thread: loop. Cost: one hash of the type, one of the id, O(log n); no allocation.
 */
enum tr_owner tr_placement_lookup(const struct tr_placement_client *client, struct tr_slice type,
                                  struct tr_slice id, struct tr_owner_host *out_host);

/* Does the present table give the actor to this sidecar, held or not? What to deactivate in a round. */
bool tr_placement_owns(const struct tr_placement_client *client, struct tr_slice type,
                       struct tr_slice id);

/*
 * Wait until look-ups of `type` no longer answer NO_TABLE or LOCKED, then look up again. Waits of one type end in the
 * order of their start. err: TR_OK; TR_DEADLINE; TR_CANCELED; TR_CLOSED; TR_LIMIT.
 */
struct tr_placement_wait {
    struct tr_slice type;                       /* in, borrowed until cb */
    uint64_t deadline_ms;                       /* in, loop time, 0 for none */
    void (*cb)(struct tr_placement_wait *wait); /* in, called once, on the loop thread */
    struct tr_err err;                          /* out */
    struct tr_heap_node due;                    /* private, as all below */
    struct tr_placement_client *client;
    struct tr_op op;
};
void tr_placement_wait_start(struct tr_placement_client *client, struct tr_placement_wait *wait);
void tr_placement_wait_cancel(struct tr_placement_wait *wait);

/* The engine's answers; a void token is ignored. */
void tr_placement_update_done(struct tr_placement_client *client, uint64_t token);
void tr_placement_lost_done(struct tr_placement_client *client, uint64_t token);

/* For the metadata: a stream is open and reported; an unlock was seen on it; version of the last table (0: none). */
bool tr_placement_is_connected(const struct tr_placement_client *client);
bool tr_placement_is_ready(const struct tr_placement_client *client);
uint64_t tr_placement_table_version(const struct tr_placement_client *client);

#endif
