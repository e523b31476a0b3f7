/*
 * The life of one instance on this host. It begins with the first call that is routed here and ends by idleness, by a
 * round, or with its type:
 *
 *   ACTIVE --(idle)--------------------------------> DEACTIVATING --(answered)--> freed
 *     |  ^                                              ^    |
 *     |  +------(answered, and calls waited: new life)--|----+
 *     +--(must go)--> HALTING --(its turns are over)----+
 *
 * The app is told by one deactivation call, whose answer is waited for: a new turn of the same actor never overtakes it.
 * At most TR_ACTOR_DEACTIVATIONS_MAX such calls are out at a time. A call that fails, or is not answered in time, is
 * logged and counted, and the instance is gone all the same.
 *
 * Idleness: a heap holds the instances by the time at which they might be idle. A turn only writes the new time into the
 * instance; when the heap's time comes and the instance's is later, it goes back under that. So a turn costs no heap
 * operation, and an instance is still deactivated on the millisecond.
 */
#include "runtime/actor/engine_int.h"

#include <stdlib.h>

#include "runtime/base/sm.h"

static const struct tr_sm_state states[TR_ACT_STATES_LEN] = {
    [TR_ACT_ACTIVE] = { "active", TR_SM_TO(TR_ACT_HALTING) | TR_SM_TO(TR_ACT_DEACTIVATING) },
    [TR_ACT_HALTING] = { "halting", TR_SM_TO(TR_ACT_DEACTIVATING) },
    [TR_ACT_DEACTIVATING] = { "deactivating", TR_SM_TO(TR_ACT_ACTIVE) },
};

/* One deactivation call. */
struct tr_deactivation {
    struct tr_app_call app;
    struct tr_activation *act; /* borrowed; it lives until the call is answered */
    struct tr_link link;       /* in the engine's list */
    struct tr_timer due;
    bool is_abandoned;
};

static void move(struct tr_activation *act, enum tr_activation_state to)
{
    tr_sm_move(states, TR_ACT_STATES_LEN, &act->state, to);
}

static struct tr_activation *act_of_place(struct tr_heap_node *place)
{
    struct tr_activation *act = TR_CONTAINER_OF(place, struct tr_activation, place);
    tr_assert_obj(act, TR_ACTIVATION_MAGIC);
    return act;
}

static struct tr_slice act_id(const struct tr_activation *act)
{
    return tr_slice(act->node.id, act->node.id_len);
}

/* --- finding and making --- */

struct tr_activation *tr_activation_find(const struct tr_actor_type *type, struct tr_slice id)
{
    struct tr_directory_node *node = tr_directory_find(&type->instances, id);
    if (node == NULL) {
        return NULL;
    }
    struct tr_activation *act = TR_CONTAINER_OF(node, struct tr_activation, node);
    tr_assert_obj(act, TR_ACTIVATION_MAGIC);
    return act;
}

static void wait_for_idle(struct tr_activation *act)
{
    struct tr_actor_engine *engine = act->type->engine;
    tr_heap_push(&engine->idle, &act->place, act->idle_at_ms);
    if (!tr_timer_is_set(&engine->idle_timer) ||
        tr_timer_at_ms(&engine->idle_timer) > act->idle_at_ms) {
        tr_timer_set(&engine->idle_timer, act->idle_at_ms);
    }
}

void tr_activation_touch(struct tr_activation *act)
{
    act->idle_at_ms = tr_loop_now_ms(act->type->engine->conf.loop) + act->type->idle_ms;
}

struct tr_activation *tr_activation_get(struct tr_actor_type *type, struct tr_slice id)
{
    struct tr_activation *act = tr_activation_find(type, id);
    if (act != NULL) {
        return act;
    }
    tr_assert(id.len <= UINT32_MAX);
    act = tr_xalloc(sizeof(*act) + id.len);
    *act = (struct tr_activation){ .magic = TR_ACTIVATION_MAGIC,
                                   .state = TR_ACT_ACTIVE,
                                   .type = type };
    if (id.len > 0) {
        memcpy(act->id, id.ptr, id.len);
    }
    act->node.id = act->id;
    act->node.id_len = (uint32_t)id.len;
    tr_turns_init(&act->turns, type->depth_max);
    tr_directory_add(&type->instances, &act->node);
    tr_activation_touch(act);
    wait_for_idle(act);
    return act;
}

/* --- ending --- */

static void on_halts(struct tr_defer *defer);

static void deactivate(struct tr_activation *act)
{
    struct tr_actor_engine *engine = act->type->engine;
    tr_assert(act->turns.running_len == 0);
    tr_heap_remove(&engine->idle, &act->place);
    tr_turns_hold(&act->turns);
    move(act, TR_ACT_DEACTIVATING);
    act->type->deactivating_len++;
    act->type->rebalanced++;
    tr_heap_push(&engine->halts, &act->place, 0);
    tr_defer(engine->conf.loop, &engine->halts_defer, on_halts);
}

void tr_activation_rest(struct tr_activation *act)
{
    if (act->state == TR_ACT_HALTING && act->turns.running_len == 0) {
        deactivate(act);
    } else if (act->state == TR_ACT_ACTIVE && tr_turns_empty(&act->turns)) {
        tr_activation_touch(act);
        if (!tr_heap_linked(&act->place)) {
            wait_for_idle(act);
        }
    }
}

void tr_activation_halt(struct tr_activation *act)
{
    if (act->state != TR_ACT_ACTIVE) {
        return;
    }
    tr_turns_hold(&act->turns);
    move(act, TR_ACT_HALTING);
    tr_activation_rest(act);
}

/* The app has answered, or will not, or there was nobody to tell. */
static void end(struct tr_activation *act)
{
    struct tr_actor_type *type = act->type;
    struct tr_link start;
    tr_link_init(&start);
    tr_assert(type->deactivating_len > 0);
    type->deactivating_len--;
    if (tr_turns_empty(&act->turns)) {
        tr_directory_remove(&type->instances, &act->node);
        act->magic = 0;
        free(act);
    } else {
        move(act, TR_ACT_ACTIVE);
        act->turns.depth_max = type->depth_max; /* settings are read anew with each life */
        tr_turns_resume(&act->turns, &start);
        tr_actor_start_turns(&start);
    }
    tr_drain_check(type);
    tr_actor_engine_check_closed(type->engine);
}

static void log_failure(const struct tr_activation *act, const struct tr_app_call *app)
{
    struct tr_actor_engine *engine = act->type->engine;
    const struct tr_slice reason =
        app->err.code != TR_OK ? tr_slice_str(app->err.msg) : tr_buf_slice(&app->failure);
    uint64_t suppressed;
    if (tr_log_limit_pass(&engine->deactivation_log, tr_loop_now_ms(engine->conf.loop),
                          &suppressed)) {
        tr_log_error(engine->conf.log, "actor deactivation failed",
                     "actor_type=%s id=%.*s reason=%.*s suppressed=%llu", act->type->name,
                     TR_SLICE_ARG(act_id(act)), TR_SLICE_ARG(reason),
                     (unsigned long long)suppressed);
    }
}

static void on_deactivated(struct tr_app_call *app)
{
    struct tr_deactivation *deactivation = TR_CONTAINER_OF(app, struct tr_deactivation, app);
    struct tr_activation *act = deactivation->act;
    tr_assert_obj(act, TR_ACTIVATION_MAGIC);
    struct tr_actor_engine *engine = act->type->engine;
    if (app->err.code == TR_OK && app->status == 200) {
        act->type->deactivated++;
        tr_log_debug(engine->conf.log, "actor deactivated", "actor_type=%s id=%.*s", act->type->name,
                     TR_SLICE_ARG(act_id(act)));
    } else {
        act->type->deactivated_failed++;
        log_failure(act, app);
    }
    tr_app_call_fini(app);
    tr_timer_stop(&deactivation->due);
    tr_link_remove(&deactivation->link);
    tr_assert(engine->deactivations_len > 0);
    engine->deactivations_len--;
    act->deactivation = NULL;
    free(deactivation);
    tr_defer(engine->conf.loop, &engine->halts_defer, on_halts);
    end(act);
}

static void abandon(struct tr_deactivation *deactivation)
{
    const struct tr_app_actors *app = deactivation->act->type->app;
    if (!deactivation->is_abandoned) {
        deactivation->is_abandoned = true;
        app->cancel(app->ctx, &deactivation->app);
    }
}

static void on_deactivation_due(struct tr_timer *timer)
{
    abandon(TR_CONTAINER_OF(timer, struct tr_deactivation, due));
}

static void tell_app(struct tr_activation *act)
{
    struct tr_actor_engine *engine = act->type->engine;
    struct tr_deactivation *deactivation = tr_xzalloc(sizeof(*deactivation));
    deactivation->act = act;
    deactivation->app.kind = TR_APP_DEACTIVATE;
    deactivation->app.actor_type = act->type->name_slice;
    deactivation->app.actor_id = act_id(act);
    deactivation->app.cb = on_deactivated;
    act->deactivation = deactivation;
    tr_link_init(&deactivation->link);
    tr_list_add_tail(&engine->deactivations, &deactivation->link);
    engine->deactivations_len++;
    tr_timer_init(&deactivation->due, engine->conf.loop, on_deactivation_due);
    tr_timer_set(&deactivation->due, tr_loop_now_ms(engine->conf.loop) + TR_ACTOR_DEACTIVATION_MS);
    act->type->app->start(act->type->app->ctx, &deactivation->app);
}

/* Make deactivation calls, as many as may be out. */
static void on_halts(struct tr_defer *defer)
{
    struct tr_actor_engine *engine = TR_CONTAINER_OF(defer, struct tr_actor_engine, halts_defer);
    struct tr_heap_node *place;
    while (engine->deactivations_len < TR_ACTOR_DEACTIVATIONS_MAX &&
           (place = tr_heap_min(&engine->halts)) != NULL) {
        tr_heap_remove(&engine->halts, place);
        struct tr_activation *act = act_of_place(place);
        if (act->type->is_app_gone || act->type->is_given_up || engine->is_abandoning) {
            act->type->deactivated_failed++;
            end(act);
        } else {
            tell_app(act);
        }
    }
}

void tr_activation_abandon(struct tr_actor_engine *engine, const struct tr_actor_type *type)
{
    struct tr_link *it, *tmp;
    TR_LIST_FOR_EACH (it, tmp, &engine->deactivations) {
        struct tr_deactivation *deactivation = TR_CONTAINER_OF(it, struct tr_deactivation, link);
        if (type == NULL || type == deactivation->act->type) {
            abandon(deactivation);
        }
    }
    tr_defer(engine->conf.loop, &engine->halts_defer, on_halts);
}

/* --- idleness --- */

static void on_idle_time(struct tr_timer *timer)
{
    struct tr_actor_engine *engine = TR_CONTAINER_OF(timer, struct tr_actor_engine, idle_timer);
    const uint64_t now_ms = tr_loop_now_ms(engine->conf.loop);
    struct tr_heap_node *place;
    while ((place = tr_heap_min(&engine->idle)) != NULL && place->key <= now_ms) {
        tr_heap_remove(&engine->idle, place);
        struct tr_activation *act = act_of_place(place);
        if (!tr_turns_empty(&act->turns)) {
            continue; /* tr_activation_rest() puts it back */
        }
        if (act->idle_at_ms > now_ms) {
            tr_heap_push(&engine->idle, place, act->idle_at_ms);
        } else {
            deactivate(act);
        }
    }
    if (place != NULL) {
        tr_timer_set(&engine->idle_timer, place->key);
    }
}

void tr_activations_init(struct tr_actor_engine *engine)
{
    tr_timer_init(&engine->idle_timer, engine->conf.loop, on_idle_time);
    tr_link_init(&engine->deactivations);
}

void tr_activations_fini(struct tr_actor_engine *engine)
{
    tr_assert(engine->deactivations_len == 0);
    tr_timer_stop(&engine->idle_timer);
    tr_defer_cancel(&engine->halts_defer);
    tr_heap_fini(&engine->idle);
    tr_heap_fini(&engine->halts);
}
