/* What the files of the engine share. The overview is in engine.h. */
#ifndef TR_ACTOR_ENGINE_INT_H
#define TR_ACTOR_ENGINE_INT_H

#include "runtime/actor/actor_state.h"
#include "runtime/actor/directory.h"
#include "runtime/actor/engine.h"
#include "runtime/base/heap.h"
#include "runtime/base/log.h"
#include "runtime/base/map.h"
#include "runtime/base/rng.h"

#define TR_ACTIVATION_MAGIC 0x61637469U
#define TR_ACTOR_ENGINE_MAGIC 0x61656e67U
/* Idle times beyond this are for ever. */
#define TR_ACTOR_FOREVER_MS (UINT64_C(1) << 62)

/* Why an attempt was cut short; the higher number wins. */
enum tr_abort {
    TR_ABORT_NONE,
    TR_ABORT_DRAIN,    /* a round ran out of patience: the call is tried again */
    TR_ABORT_CLOSED,   /* the actor's instance is being removed: the same */
    TR_ABORT_DEADLINE, /* final, as are those below */
    TR_ABORT_CANCELED,
    TR_ABORT_SHUTDOWN,
};

/* --- one type (engine.c) --- */

struct tr_actor_type {
    struct tr_actor_engine *engine; /* borrowed */
    char *name;                     /* owned */
    struct tr_slice name_slice;     /* of it */
    /* Settings, good while is_registered. */
    bool is_registered;
    bool is_app_gone; /* deactivations are not told to the app */
    const struct tr_app_actors *app; /* borrowed */
    uint64_t idle_ms;
    bool has_drain_ms;
    uint64_t drain_ms;
    uint32_t depth_max; /* 0: not reentrant */
    /* Instances. */
    struct tr_directory instances;
    size_t deactivating_len; /* those of them in TR_ACT_DEACTIVATING */
    struct tr_link claims;   /* of tr_actor_claim.link */
    size_t claims_len;
    /* Part in the present round: drain.c. */
    unsigned drain_state;
    struct tr_timer drain_timer; /* WAITING: end of the drain time; HALTING: end of the app's silence */
    uint64_t halt_answers;       /* HALTING: deactivations ever answered when the timer was set */
    bool is_given_up;            /* HALTING: the app is silent and told nothing more */
    struct tr_directory_walk halt_walk; /* HALTING: where the walk over the instances stands */
    uint64_t halt_adds;                 /* instances ever made when it began */
    struct tr_defer halt_defer;
    struct tr_link drain_link; /* in the engine's list of types that drain */
    /* Counts. */
    uint64_t pending_calls;
    uint64_t timers;
    uint64_t timers_fired_ok;
    uint64_t timers_fired_failed;
    uint64_t rebalanced;
    uint64_t deactivated;
    uint64_t deactivated_failed;
};

/* --- one instance (activation.c) --- */

struct tr_deactivation;

struct tr_activation {
    uint32_t magic;
    unsigned state;
    struct tr_directory_node node; /* id and type's table */
    struct tr_actor_type *type;    /* borrowed */
    struct tr_heap_node place;     /* ACTIVE: in `idle`, not later than idle_at_ms; DEACTIVATING: in `halts` */
    uint64_t idle_at_ms;
    struct tr_turns turns;
    struct tr_deactivation *deactivation; /* owned, while the call is out */
    char id[];
};

_Static_assert(sizeof(struct tr_activation) <= 160, "with table, heap and allocator at most 256 bytes an idle actor");

/* --- rounds (drain.c) --- */

enum tr_round_kind {
    TR_ROUND_NONE,
    TR_ROUND_UPDATE,
    TR_ROUND_LOST,
};

struct tr_round {
    enum tr_round_kind kind;
    uint64_t token;
    struct tr_link types; /* of tr_actor_type.drain_link: not done yet */
    struct tr_defer done; /* answers placement when no type is left */
};

struct tr_actor_timers; /* timer.c */

struct tr_actor_engine {
    uint32_t magic;
    struct tr_actor_engine_conf conf;
    struct tr_rng rng;
    bool is_registered;
    bool is_suspended;
    bool is_closing;
    /* The latest host settings. */
    uint64_t drain_ms;
    bool is_drain_off;
    /* Types in order of first registration; they stay until the engine goes. */
    struct tr_map types;
    struct tr_actor_type **type_list; /* owned */
    size_t types_len;
    size_t types_cap;
    /* Operations. */
    struct tr_link calls; /* of tr_actor_call.op */
    size_t calls_len;
    struct tr_link waits; /* of tr_actor_wait.op */
    size_t waits_len;
    struct tr_link state_jobs; /* actor_state.c */
    /* Instances that wait to become idle, by time; those that wait for their deactivation call, first in, first out. */
    struct tr_heap idle;
    struct tr_timer idle_timer;
    struct tr_heap halts;
    struct tr_defer halts_defer;
    struct tr_link deactivations; /* of tr_deactivation.link: calls that are out */
    size_t deactivations_len;
    bool is_abandoning; /* closing, and out of time: the app is told nothing more */
    struct tr_log_limit deactivation_log; /* an app that is down would fill the log */
    struct tr_round round;
    struct tr_actor_timers *timers; /* owned */
    struct tr_actor_state_conf store; /* app_id owned */
    /* Closing. */
    void (*close_cb)(void *ctx);
    void *close_ctx;
    struct tr_timer close_timer;
    struct tr_defer close_defer;
};

/* End a wait at the gate: with success, or for a reason. */
void tr_actor_wait_end(struct tr_actor_wait *wait, enum tr_abort reason);
/* Type record of `name`, registered or not, or NULL. */
struct tr_actor_type *tr_actor_type_find(const struct tr_actor_engine *engine, struct tr_slice name);
/* Is the type registered, and hosting not suspended? */
bool tr_actor_type_is_hosted(const struct tr_actor_type *type);
/* Something ended: see whether a close can now be completed. */
void tr_actor_engine_check_closed(struct tr_actor_engine *engine);

/* --- activation.c --- */

enum tr_activation_state {
    TR_ACT_ACTIVE,       /* turns may run */
    TR_ACT_HALTING,      /* is removed as soon as its turns are over */
    TR_ACT_DEACTIVATING, /* the deactivation call is to be made, or out; turns wait for its answer */
    TR_ACT_STATES_LEN,
};

struct tr_activation *tr_activation_find(const struct tr_actor_type *type, struct tr_slice id);
struct tr_activation *tr_activation_get(struct tr_actor_type *type, struct tr_slice id);
/* A turn starts: the idle time counts from here. */
void tr_activation_touch(struct tr_activation *act);
/* A turn left: go on halting, or wait to become idle. Frees nothing at once. */
void tr_activation_rest(struct tr_activation *act);
/* Remove it, after its present turns; harmless when that is under way. Frees nothing at once. */
void tr_activation_halt(struct tr_activation *act);
/* Cancel every deactivation call of the type (NULL: of all types) that is out. */
void tr_activation_abandon(struct tr_actor_engine *engine, const struct tr_actor_type *type);
void tr_activations_init(struct tr_actor_engine *engine);
void tr_activations_fini(struct tr_actor_engine *engine);

/* --- call.c --- */

/* Run turns that tr_turn_leave() or tr_turns_resume() handed out. */
void tr_actor_start_turns(struct tr_link *start);
/* Host registration is done: let the calls at the first gate go on. */
void tr_actor_calls_release(struct tr_actor_engine *engine);
/* Abort all calls of the engine. None of the abort functions here completes anything at once. */
void tr_actor_calls_abort(struct tr_actor_engine *engine, enum tr_abort reason);
/* "context canceled" and the like. */
void tr_abort_err(enum tr_abort reason, struct tr_slice name, struct tr_err *err);

/* --- outcome.c --- */

/* Source: Dapr pkg/actors/router/router.go. */
#define TR_TEXT_MOVED "remote actor moved"

/* Move what came back into the call and set its outcome. */
void tr_outcome_take_app(struct tr_actor_call *call, struct tr_app_call *app);
void tr_outcome_take_remote(struct tr_actor_call *call, struct tr_remote_call *remote);
/* A peer's status: may another attempt do better? It is away, or the actor has moved on. */
bool tr_outcome_is_worth_retrying(const struct tr_actor_call *call);
/* The peer's status becomes the text that names the peer and the number of retries. */
void tr_outcome_name_peer(struct tr_actor_call *call);

/* --- drain.c --- */

void tr_round_init(struct tr_actor_engine *engine);
void tr_drain_init(struct tr_actor_type *type);
void tr_round_fini(struct tr_actor_engine *engine);
void tr_claim_take(struct tr_actor_type *type, struct tr_actor_claim *claim);
/* Give a claim back; a round may go on because of it. */
void tr_claim_drop(struct tr_actor_type *type, struct tr_actor_claim *claim);
/* Abort every claim of the type. */
void tr_claims_abort(struct tr_actor_type *type, enum tr_abort reason);
/* A claim was given back or an instance removed: see whether the type's part in the round is done. */
void tr_drain_check(struct tr_actor_type *type);
/* Halt all instances of the type. */
void tr_actor_type_halt(struct tr_actor_type *type);

/* --- timer.c --- */

struct tr_actor_timers *tr_actor_timers_new(struct tr_actor_engine *engine);
void tr_actor_timers_free(struct tr_actor_timers **timers);
/* Drop all timers; firings in progress end by themselves. */
void tr_actor_timers_stop(struct tr_actor_timers *timers);

/* --- actor_state.c --- */

void tr_actor_state_abort_all(struct tr_actor_engine *engine);

#endif
