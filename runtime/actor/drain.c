/*
 * Rounds: what a new table of placement, or the loss of its stream, does to the turns and instances on this host.
 *
 * Each type that takes part goes its own way:
 *
 *   WAITING --(no claim left)--> WALKING --(all looked at)--> HALTING --(no instance is being removed)--> done
 *      |                            ^
 *      +--(drain time over, or draining is off)--> all claims aborted --(none left)
 *
 * An app that answers no deactivation for TR_ACTOR_SILENCE_MS is not waited for any longer: until the type's part is done,
 * its calls that are out are canceled, and no new ones are made.
 *
 * A claim is held by every call on this host from its routing to its end, queued ones included, and by every state
 * transaction. When the last type is done, placement is answered: it may let go of the types only then. After a new
 * table the instances that now belong to others are halted, after a loss all of them.
 *
 * A loss may come while an update is being worked on and takes its place. Placement has then forgotten the update's token.
 * Draining concerns all turns of a type that changed, those of actors that stay included.
 *
 * Source: Dapr pkg/actors/internal/placement/loops/disseminator (1.18); actors 7.4, 7.5.
 */
#include "runtime/actor/engine_int.h"

/* Instances looked at before others get their turn. */
#define HALT_STEP 256

enum drain_state {
    DRAIN_NONE,
    DRAIN_WAITING,
    DRAIN_WALKING,
    DRAIN_HALTING,
};

/* --- claims --------------------------------------------------------------------------------------------------------- */

void tr_claim_take(struct tr_actor_type *type, struct tr_actor_claim *claim)
{
    tr_list_add_tail(&type->claims, &claim->link);
    type->claims_len++;
}

void tr_claim_drop(struct tr_actor_type *type, struct tr_actor_claim *claim)
{
    tr_assert(tr_link_linked(&claim->link));
    tr_assert(type->claims_len > 0);
    tr_link_remove(&claim->link);
    type->claims_len--;
    tr_drain_check(type);
}

void tr_claims_abort(struct tr_actor_type *type, enum tr_abort reason)
{
    struct tr_link *it, *tmp;
    TR_LIST_FOR_EACH (it, tmp, &type->claims) {
        struct tr_actor_claim *claim = TR_CONTAINER_OF(it, struct tr_actor_claim, link);
        claim->abort(claim, reason);
    }
}

/* --- the part of one type ------------------------------------------------------------------------------------------- */

void tr_actor_type_halt(struct tr_actor_type *type)
{
    struct tr_directory_walk walk = { 0 };
    struct tr_directory_node *node;
    while ((node = tr_directory_next(&type->instances, &walk)) != NULL) {
        tr_activation_halt(TR_CONTAINER_OF(node, struct tr_activation, node));
    }
}

static void walk_on(struct tr_actor_type *type);

static void on_round_done(struct tr_defer *defer)
{
    struct tr_actor_engine *engine = TR_CONTAINER_OF(defer, struct tr_actor_engine, round.done);
    const struct tr_actor_owner *owner = &engine->conf.owner;
    struct tr_round *round = &engine->round;
    const enum tr_round_kind kind = round->kind;
    tr_assert(tr_list_empty(&round->types));
    round->kind = TR_ROUND_NONE;
    if (kind == TR_ROUND_UPDATE) {
        owner->update_done(owner->ctx, round->token);
    } else if (kind == TR_ROUND_LOST) {
        owner->lost_done(owner->ctx, round->token);
    }
}

static void check_round(struct tr_actor_engine *engine)
{
    if (engine->round.kind != TR_ROUND_NONE && tr_list_empty(&engine->round.types)) {
        tr_defer(engine->conf.loop, &engine->round.done, on_round_done);
    }
}

static void on_halt_later(struct tr_defer *defer)
{
    struct tr_actor_type *type = TR_CONTAINER_OF(defer, struct tr_actor_type, halt_defer);
    if (type->drain_state == DRAIN_WALKING) {
        walk_on(type);
        tr_drain_check(type);
    }
}

/*
 * Halt a number of instances: after an update those that others own now, after a loss all. Asking for the owner costs a
 * hash, so a walk over very many is spread over turns of the loop. The type is held meanwhile, so none is added; if one
 * is all the same, the walk begins anew.
 */
static void walk_on(struct tr_actor_type *type)
{
    const struct tr_actor_owner *owner = &type->engine->conf.owner;
    const bool halts_all = type->engine->round.kind == TR_ROUND_LOST;
    if (type->halt_adds != type->instances.adds) {
        type->halt_adds = type->instances.adds;
        type->halt_walk = (struct tr_directory_walk){ 0 };
    }
    for (unsigned count = 0; count < HALT_STEP || !tr_directory_walk_rests(&type->halt_walk);
         count++) {
        struct tr_directory_node *node = tr_directory_next(&type->instances, &type->halt_walk);
        if (node == NULL) {
            type->drain_state = DRAIN_HALTING;
            return;
        }
        if (halts_all ||
            !owner->owns(owner->ctx, type->name_slice, tr_slice(node->id, node->id_len))) {
            tr_activation_halt(TR_CONTAINER_OF(node, struct tr_activation, node));
        }
    }
    tr_defer(type->engine->conf.loop, &type->halt_defer, on_halt_later);
}

static uint64_t answers_of(const struct tr_actor_type *type)
{
    return type->deactivated + type->deactivated_failed;
}

/* Deactivations are out, or wait to go out: see that one is answered from time to time. */
static void watch_silence(struct tr_actor_type *type)
{
    if (!type->is_given_up && !tr_timer_is_set(&type->drain_timer)) {
        type->halt_answers = answers_of(type);
        tr_timer_set(&type->drain_timer, tr_loop_now_ms(type->engine->conf.loop) + TR_ACTOR_SILENCE_MS);
    }
}

static void on_silence_time(struct tr_actor_type *type)
{
    if (type->halt_answers != answers_of(type)) {
        watch_silence(type);
        return;
    }
    tr_log_warn(type->engine->conf.log, "the app answers no deactivation: going on without",
                "actor_type=%s actors=%zu", type->name, type->deactivating_len);
    type->is_given_up = true;
    tr_activation_abandon(type->engine, type);
}

void tr_drain_check(struct tr_actor_type *type)
{
    struct tr_actor_engine *engine = type->engine;
    if (type->drain_state == DRAIN_WAITING && type->claims_len == 0) {
        tr_timer_stop(&type->drain_timer);
        type->drain_state = DRAIN_WALKING;
        type->halt_adds = type->instances.adds;
        type->halt_walk = (struct tr_directory_walk){ 0 };
        walk_on(type);
    }
    if (type->drain_state == DRAIN_HALTING && type->deactivating_len > 0) {
        watch_silence(type);
    } else if (type->drain_state == DRAIN_HALTING) {
        tr_timer_stop(&type->drain_timer);
        type->is_given_up = false;
        type->drain_state = DRAIN_NONE;
        tr_link_remove(&type->drain_link);
        check_round(engine);
    }
}

static void on_drain_time(struct tr_timer *timer)
{
    struct tr_actor_type *type = TR_CONTAINER_OF(timer, struct tr_actor_type, drain_timer);
    if (type->drain_state == DRAIN_HALTING) {
        on_silence_time(type);
        return;
    }
    tr_log_text(type->engine->conf.log, TR_LOG_ERROR,
                "Timed out waiting for actor type '%s' in-flight lock claims to be released for "
                "rebalanced types, "
                "force cancelling remaining claims",
                type->name);
    tr_claims_abort(type, TR_ABORT_DRAIN);
}

static void drain(struct tr_actor_type *type, uint64_t drain_ms)
{
    struct tr_actor_engine *engine = type->engine;
    type->drain_state = DRAIN_WAITING;
    type->is_given_up = false;
    tr_timer_stop(&type->drain_timer);
    if (!tr_link_linked(&type->drain_link)) {
        tr_defer_cancel(&engine->round.done); /* a type before it may have been done at once */
        tr_list_add_tail(&engine->round.types, &type->drain_link);
    }
    if (engine->is_drain_off) {
        tr_claims_abort(type, TR_ABORT_DRAIN);
    } else if (type->claims_len > 0) {
        tr_timer_set(&type->drain_timer, tr_loop_now_ms(engine->conf.loop) + drain_ms);
    }
    tr_drain_check(type);
}

/* --- events --------------------------------------------------------------------------------------------------------- */

void tr_actor_on_update(void *ctx, uint64_t token, const struct tr_slice *types, size_t types_len)
{
    struct tr_actor_engine *engine = ctx;
    tr_assert_obj(engine, TR_ACTOR_ENGINE_MAGIC);
    tr_assert(engine->round.kind == TR_ROUND_NONE);
    engine->round.kind = TR_ROUND_UPDATE;
    engine->round.token = token;
    for (size_t i = 0; i < types_len; i++) {
        struct tr_actor_type *type = tr_actor_type_find(engine, types[i]);
        if (type != NULL && type->drain_state == DRAIN_NONE) {
            drain(type, type->has_drain_ms ? type->drain_ms : engine->drain_ms);
        }
    }
    check_round(engine);
}

void tr_actor_on_lost(void *ctx, uint64_t token)
{
    struct tr_actor_engine *engine = ctx;
    tr_assert_obj(engine, TR_ACTOR_ENGINE_MAGIC);
    const bool was_lost = engine->round.kind == TR_ROUND_LOST;
    tr_defer_cancel(&engine->round.done);
    engine->round.kind = TR_ROUND_LOST;
    engine->round.token = token;
    for (size_t i = 0; i < engine->types_len; i++) {
        struct tr_actor_type *type = engine->type_list[i];
        if (!was_lost || type->drain_state == DRAIN_NONE) {
            drain(type, engine->drain_ms);
        }
    }
    check_round(engine);
}

void tr_drain_init(struct tr_actor_type *type)
{
    type->drain_state = DRAIN_NONE;
    tr_link_init(&type->drain_link);
    tr_link_init(&type->claims);
    tr_timer_init(&type->drain_timer, type->engine->conf.loop, on_drain_time);
}

void tr_round_init(struct tr_actor_engine *engine)
{
    engine->round = (struct tr_round){ .kind = TR_ROUND_NONE };
    tr_link_init(&engine->round.types);
}

void tr_round_fini(struct tr_actor_engine *engine)
{
    tr_defer_cancel(&engine->round.done);
    for (size_t i = 0; i < engine->types_len; i++) {
        tr_timer_stop(&engine->type_list[i]->drain_timer);
        tr_defer_cancel(&engine->type_list[i]->halt_defer);
    }
}
