/*
 * Virtual actors: one engine per sidecar. It takes calls to actors from the public API, from other sidecars and from
 * its own timers, finds out who owns the actor, and either runs a turn on it here or passes the call on.
 *
 * A call passes three gates, each of which can hold it without a limit of its own: the app's actor types are known
 * (tr_actor_gate), placement says who owns the actor (`owner`), and the actor's turn has come (turn.h). Every wait ends
 * early when the caller cancels, when its deadline passes, or when the engine closes.
 *
 *   start --> GATED --> ROUTED --+--> QUEUED --> RUNNING --> done      own host: turn.h, runtime/app/app.h
 *                        ^  ^    +--> REMOTE ---------------> done      other host: `remote`
 *                        |  |    +--> HELD (a round is on) --> ROUTED
 *                        |  +----------- PAUSED (1 s) <--- no host, host moved or unreachable, turn drained
 *
 * What placement does to the engine comes through the tr_actor_on_... functions, in the shape of the events of
 * placement/client.h: a round drains the turns of the types that change, deactivates the actors that moved away, and
 * only then acknowledges; a lost stream does the same for everything.
 *
 * The engine knows neither sockets nor protobuf. Its three neighbours are small tables of functions: `owner`
 * (placement), `app` (one per hosted type) and `remote` (other sidecars). Tests put fakes there.
 *
 * Files: turn, period (pure); directory (all instances of a type); activation (life of one); call (the way of a call);
 * drain (rounds); timer; actor_state; failure (texts of failed calls). All functions are for the loop thread, and all
 * callbacks come from the loop on a later turn.
 *
 * Source: Dapr pkg/actors (1.18); actors 1.3, 1.4, 5.2, 6-10.
 */
#ifndef TR_ACTOR_ENGINE_H
#define TR_ACTOR_ENGINE_H

#include <stdbool.h>
#include <stdint.h>

#include "placement/client.h"
#include "runtime/actor/turn.h"
#include "runtime/app/app.h"
#include "runtime/base/buf.h"
#include "runtime/base/err.h"
#include "runtime/base/list.h"
#include "runtime/base/loop.h"
#include "runtime/base/op.h"
#include "runtime/base/slice.h"
#include "runtime/http/http.h"

struct tr_log;
struct tr_actor_engine; /* opaque */
struct tr_actor_call;
struct tr_remote_call;

/* Actor types of one sidecar, over its whole life. */
#define TR_ACTOR_TYPES_MAX 4096
/* Calls in the engine at a time, whatever they wait for; the newcomer is refused with TR_LIMIT. */
#define TR_ACTOR_CALLS_MAX 100000
/* Timers of one sidecar; a further one is refused with TR_LIMIT. */
#define TR_ACTOR_TIMERS_MAX 1000000
/* Deactivation calls to the app at a time; the others wait. */
#define TR_ACTOR_DEACTIVATIONS_MAX 256
/* Longest wait for the answer to one of them; then the actor is taken as deactivated all the same. */
#define TR_ACTOR_DEACTIVATION_MS UINT64_C(60000)
/*
 * In a round, longest time in which the app answers none of them; then those of the type are given up. With the default
 * drain time it leaves 3 s of placement's 8 s for a round, because a round that waits for one app stops all hosts. Not
 * shorter, because the original waits on, and a caller's deadline of 2 s must come first.
 * Source: Dapr tests/integration/suite/actors/dissemination/call/up.go.
 */
#define TR_ACTOR_SILENCE_MS UINT64_C(3000)
/* Defaults. Source: Dapr pkg/actors/api/config.go. */
#define TR_ACTOR_IDLE_MS  UINT64_C(3600000)
#define TR_ACTOR_DRAIN_MS UINT64_C(2000)
/*
 * Attempts of a call that finds no owner, and the pause between them.
 * Source: Dapr pkg/resiliency, BuiltInActorNotFoundRetries.
 */
#define TR_ACTOR_ATTEMPTS_MAX 6
#define TR_ACTOR_RETRY_MS     1000
/* What every reminder operation fails with while no scheduler is configured. Source: Dapr pkg/actors/reminders. */
#define TR_ACTOR_NO_SCHEDULER "scheduler clients are disabled"
/* Types that the workflow engine reserves. Source: Dapr pkg/runtime/wfengine. */
#define TR_ACTOR_INTERNAL_PREFIX "dapr.internal."

/* --- neighbours ------------------------------------------------------------------------------------------------- */

/* Who owns an actor: placement/client.h, function by function; runtime/actor/owner.h makes it from a client. */
struct tr_actor_owner {
    enum tr_owner (*lookup)(void *ctx, struct tr_slice type, struct tr_slice id, struct tr_owner_host *out_host);
    bool (*owns)(void *ctx, struct tr_slice type, struct tr_slice id);
    void (*wait_start)(void *ctx, struct tr_placement_wait *wait);
    void (*wait_cancel)(void *ctx, struct tr_placement_wait *wait);
    void (*set_types)(void *ctx, const struct tr_slice *types, size_t types_len);
    void (*update_done)(void *ctx, uint64_t token);
    void (*lost_done)(void *ctx, uint64_t token);
    void *ctx; /* borrowed */
};

/*
 * A call to an actor on another sidecar: CallActor, or CallActorReminder for timers and reminders. The content is that
 * of `call`. Same rules as any operation; the outcome is a gRPC status, and with status 0 an answer.
 */
struct tr_remote_call {
    struct tr_slice address;                  /* in, borrowed until cb, "host:port" */
    struct tr_slice app_id;                   /* in, the peer's */
    const struct tr_actor_call *call;         /* in, borrowed until cb */
    uint64_t deadline_ms;                     /* in, loop time, 0 for none */
    void (*cb)(struct tr_remote_call *remote); /* in */
    int grpc_status;                          /* out */
    struct tr_buf message;                    /* out, of a status other than 0 */
    struct tr_buf details;                    /* out, grpc-status-details-bin of such a status, raw; may be empty */
    int status;                               /* out, as in InternalInvokeResponse.status.code, HTTP's or gRPC's */
    struct tr_http_headers headers_out;       /* out */
    struct tr_buf content_type_out;           /* out */
    struct tr_buf body_out;                   /* out */
    void *impl;                               /* private to the implementation */
};

struct tr_actor_remote {
    void (*start)(void *ctx, struct tr_remote_call *remote);
    void (*cancel)(void *ctx, struct tr_remote_call *remote);
    void *ctx; /* borrowed */
};

/* --- the engine ------------------------------------------------------------------------------------------------- */

struct tr_actor_engine_conf {
    struct tr_loop *loop;          /* borrowed, as all below */
    struct tr_log *log;
    struct tr_actor_owner owner;   /* copied; unused if actors are disabled */
    struct tr_actor_remote remote; /* copied */
    bool is_disabled;              /* no placement address: every call fails with TR_ACTOR_NO_PLACEMENT */
    bool is_suspended;             /* no actor state store yet: types are neither advertised nor instantiated */
    uint64_t round_limit_ms;       /* --actors-disseminate-timeout; drain timeouts are clamped to fit; 0: no clamp */
};

struct tr_actor_engine *tr_actor_engine_new(const struct tr_actor_engine_conf *conf);

/*
 * Shut down: new calls fail with TR_ACTOR_CLOSED; calls in progress are canceled; every active actor gets its
 * deactivation call, all in parallel; timers are dropped. What is not answered by `deadline_ms` (loop time) is
 * canceled.
 * `cb` comes when nothing is left; the app channels must work until then. Once only.
 */
void tr_actor_engine_close(struct tr_actor_engine *engine, uint64_t deadline_ms, void (*cb)(void *ctx), void *ctx);
/* After the callback of _close, or when nothing was ever registered or started. */
void tr_actor_engine_free(struct tr_actor_engine **engine);

/* --- what the app hosts ----------------------------------------------------------------------------------------- */

/* One hosted type, as configured. A type named under entitiesConfig has that entry's values, not the global ones. */
struct tr_actor_type_conf {
    struct tr_slice type;
    uint64_t idle_ms;        /* 0: as soon as no turn runs or waits */
    bool has_drain_ms;       /* else the host's */
    uint64_t drain_ms;
    bool is_reentrant;
    uint32_t depth_max;      /* > 0 if is_reentrant; TR_TURN_DEPTH_DEFAULT */
};

struct tr_actor_host_conf {
    const struct tr_actor_type_conf *types; /* borrowed for the call, as is all within */
    size_t types_len;
    bool has_drain_ms;       /* else TR_ACTOR_DRAIN_MS */
    uint64_t drain_ms;
    bool is_drain_off;       /* drainRebalancedActors: false */
    const struct tr_app_actors *app; /* serves these types; borrowed for the engine's life */
};

/*
 * Register types, or replace the settings of those already there: the latest host settings count for all types. No type
 * at all is fine. Host registration is then done. Types are reported to placement unless hosting is suspended.
 *
 * Errors: TR_LIMIT beyond TR_ACTOR_TYPES_MAX; nothing is changed then.
 */
TR_MUST_USE enum tr_code tr_actor_register(struct tr_actor_engine *engine, const struct tr_actor_host_conf *conf,
                                           struct tr_err *err);

/*
 * The app can no longer serve these types (unhealthy, stream ended): forget them, abort their turns and remove their
 * actors. With `is_app_gone` the app gets no deactivation calls. If no type is left, host registration is not done
 * again, and calls are held until the next tr_actor_register().
 */
void tr_actor_unregister(struct tr_actor_engine *engine, const struct tr_slice *types, size_t types_len,
                         bool is_app_gone);

/*
 * The actor state store came (false) or went (true). Suspended, types are withdrawn from placement and all actors
 * deactivated; registered types stay known.
 */
void tr_actor_suspend(struct tr_actor_engine *engine, bool is_suspended);

/* Is the type registered, and hosting not suspended? */
bool tr_actor_is_hosted(const struct tr_actor_engine *engine, struct tr_slice type);
/* Is the actor active here (and not being deactivated)? */
bool tr_actor_is_active(const struct tr_actor_engine *engine, struct tr_slice type, struct tr_slice id);

/* --- the first gate --------------------------------------------------------------------------------------------- */

enum tr_actor_gate {
    TR_ACTOR_GATE_OPEN,
    TR_ACTOR_GATE_SHUT,   /* host registration is not done: start a tr_actor_wait */
    TR_ACTOR_GATE_FAILED, /* disabled or closed: `err` says so */
};

/* What every actor API does first. `err` is written for FAILED: TR_ACTOR_NO_PLACEMENT, TR_ACTOR_CLOSED. */
enum tr_actor_gate tr_actor_gate(const struct tr_actor_engine *engine, struct tr_err *err);

/*
 * Wait until the gate is open. All zero but for the inputs at the first start.
 * err: TR_OK; TR_CANCELED, TR_DEADLINE; TR_ACTOR_NO_PLACEMENT, TR_ACTOR_CLOSED; TR_LIMIT (TR_ACTOR_CALLS_MAX wait).
 */
struct tr_actor_wait {
    uint64_t deadline_ms;                  /* in, loop time, 0 for none */
    void (*cb)(struct tr_actor_wait *wait); /* in */
    struct tr_err err;                     /* out */
    /* private */
    struct tr_actor_engine *engine;
    struct tr_timer due;
    struct tr_op op;
};
void tr_actor_wait_start(struct tr_actor_engine *engine, struct tr_actor_wait *wait);
void tr_actor_wait_cancel(struct tr_actor_wait *wait);

/* --- calls ------------------------------------------------------------------------------------------------------ */

enum tr_actor_call_kind {
    TR_ACTOR_METHOD,
    TR_ACTOR_REMINDER,
    TR_ACTOR_TIMER,
};

enum tr_actor_outcome {
    TR_ACTOR_ANSWERED,    /* status, headers_out, content_type_out, body_out: the app answered 200 */
    TR_ACTOR_APP_FAILED,  /* status and body_out of the app, and the whole text for callers in `message` */
    TR_ACTOR_STATUS,      /* a gRPC status of a peer or of the app's channel: grpc_status, message, details */
    TR_ACTOR_FAILED,      /* err: our own */
};

/*
 * A permission to use the present owner of a type, held by a call from its routing to its end on this host, and by a
 * state transaction. A round waits for the claims of its types, then aborts them.
 */
struct tr_actor_claim {
    struct tr_link link;                           /* private: in the type's list */
    void (*abort)(struct tr_actor_claim *claim, unsigned reason); /* private */
};

/*
 * Call an actor. All zero but for the inputs at the first start; after tr_actor_call_fini() it may be started again.
 * tr_actor_failure_http() and tr_actor_failure_grpc() give the reply for every outcome but ANSWERED.
 *
 * err (outcome FAILED): TR_CANCELED, TR_DEADLINE; TR_LIMIT; TR_ACTOR_NO_PLACEMENT, TR_ACTOR_CLOSED, TR_ACTOR_DEPTH,
 * TR_ACTOR_NO_ADDRESS; TR_ACTOR_INVOKE with the plain reason, without a status of its own.
 */
struct tr_actor_call {
    /* in, borrowed until cb */
    enum tr_actor_call_kind kind;
    struct tr_slice actor_type;
    struct tr_slice actor_id;
    struct tr_slice name;                  /* method, clean; or name of the reminder or timer */
    const struct tr_http_headers *headers; /* METHOD: what travels with the call; NULL for none */
    struct tr_slice chain_id;              /* METHOD: value of Dapr-Reentrancy-Id, found by the API's own case rules */
    struct tr_slice query;                 /* METHOD: without '?' */
    struct tr_slice content_type;          /* METHOD */
    struct tr_slice body;                  /* METHOD: bytes; else data as JSON text, empty for none */
    struct tr_slice due_time;              /* REMINDER, TIMER: texts for the app */
    struct tr_slice period;
    struct tr_slice callback;              /* TIMER */
    bool is_internal;                      /* came from another sidecar: is not passed on once more */
    bool has_policy;                       /* the caller retries by a policy of its own: no built-in retries */
    uint64_t deadline_ms;                  /* loop time, 0 for none */
    void (*cb)(struct tr_actor_call *call); /* called once, on a later turn than _start */
    /* out; buffers and headers are now the caller's: move them or free them with tr_actor_call_fini() */
    enum tr_actor_outcome outcome;
    struct tr_err err;
    int status;
    int grpc_status;
    struct tr_http_headers headers_out;
    struct tr_buf content_type_out;
    struct tr_buf body_out;
    struct tr_buf message;
    struct tr_buf details;
    bool is_canceled_by_app;               /* REMINDER, TIMER: answered, and the app asked to cancel */
    bool is_message_whole;                 /* private: `message` is already the text for callers over HTTP */
    /* private */
    struct tr_actor_engine *engine;
    unsigned state;
    unsigned aborted;                      /* why the present attempt was cut short */
    unsigned attempt;                      /* 1 for the first */
    struct tr_actor_type *type;            /* while on this host */
    struct tr_activation *act;             /* the same */
    struct tr_turn turn;
    struct tr_actor_claim claim;           /* the same */
    struct tr_timer due;                   /* the deadline */
    struct tr_timer pause;
    struct tr_op op;
    char fresh_id[40];                     /* the chain id that we made */
    struct tr_buf address;                 /* of the peer of the present attempt */
    union {
        struct tr_app_call app;
        struct tr_remote_call remote;
        struct tr_placement_wait hold;
    } via;
};
void tr_actor_call_start(struct tr_actor_engine *engine, struct tr_actor_call *call);
void tr_actor_call_cancel(struct tr_actor_call *call);
/* Free what the outcome owns; harmless before the start and after the buffers were moved. */
void tr_actor_call_fini(struct tr_actor_call *call);

/* The reply for a call that failed. */
struct tr_actor_failure {
    enum tr_code code;     /* name and HTTP status for HTTP; TR_OK over gRPC */
    int grpc_status;       /* over gRPC */
    struct tr_buf message; /* whole, however long; the caller frees it */
};
/* For public HTTP. A failure without a name of its own becomes "error invoke actor method: <cause>". */
void tr_actor_failure_http(const struct tr_actor_call *call, struct tr_actor_failure *out);
/* For public gRPC and for CallActor. A failure with a gRPC status passes through with it. */
void tr_actor_failure_grpc(const struct tr_actor_call *call, struct tr_actor_failure *out);
/* The plain cause, for logs and for CallActorReminder, whose peers get it with status UNKNOWN. */
void tr_actor_failure_cause(const struct tr_actor_call *call, struct tr_buf *out_text);

/* --- timers ----------------------------------------------------------------------------------------------------- */

struct tr_actor_timer_conf {
    struct tr_slice actor_type; /* all copied */
    struct tr_slice actor_id;
    struct tr_slice name;
    struct tr_slice due_time; /* texts as the user gave them, empty for none */
    struct tr_slice period;
    struct tr_slice ttl;
    struct tr_slice callback;
    struct tr_slice data; /* JSON text, empty for none */
};

/*
 * Create a timer, or replace the one of this name. It lives in this sidecar until it has ended or is deleted, also when
 * the actor moves away; a firing goes wherever the actor then is.
 *
 * Errors: TR_ACTOR_TIMER_CREATE with the plain cause: type not hosted here, bad texts, already expired. TR_LIMIT.
 */
TR_MUST_USE enum tr_code tr_actor_timer_create(struct tr_actor_engine *engine, const struct tr_actor_timer_conf *conf,
                                               struct tr_err *err);
/* Harmless when there is none. A firing in progress goes on. */
void tr_actor_timer_delete(struct tr_actor_engine *engine, struct tr_slice type, struct tr_slice id,
                           struct tr_slice name);

/* --- events of placement ---------------------------------------------------------------------------------------- */

/*
 * The events of placement/client.h; `engine` is the engine. After a loss no update comes before its done call. Draining
 * and what comes after it is answered through `owner`.
 */
void tr_actor_on_update(void *engine, uint64_t token, const struct tr_slice *types, size_t types_len);
void tr_actor_on_lost(void *engine, uint64_t token);

/* --- metadata and metrics --------------------------------------------------------------------------------------- */

/* Has the app's registration been done (metadata RUNNING), and does no gate stand before a call? */
bool tr_actor_is_registered(const struct tr_actor_engine *engine);
/* Calls anywhere in the engine. */
size_t tr_actor_calls(const struct tr_actor_engine *engine);

/* What is known of one type; counts since the start of the sidecar, gauges as of now. */
struct tr_actor_type_stats {
    struct tr_slice type;         /* borrowed, for the engine's life */
    bool is_registered;
    uint64_t active;              /* instances now */
    uint64_t pending_calls;       /* turns that wait for their actor now */
    uint64_t timers;              /* timers now */
    uint64_t timers_fired_ok;
    uint64_t timers_fired_failed;
    uint64_t rebalanced;
    uint64_t deactivated;
    uint64_t deactivated_failed;
};
/* Type number `i`, in the order of first registration; false beyond the last. */
bool tr_actor_type_stats(const struct tr_actor_engine *engine, size_t i, struct tr_actor_type_stats *out_stats);

#endif
