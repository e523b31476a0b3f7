/*
 * The engine itself: the types that the app hosts, the first gate, closing, and what the metadata shows. Calls are in
 * call.c, instances in activation.c, rounds in drain.c.
 *
 * Closing: refuse new starts; fail what waits at the gate; abort calls and state operations; halt every instance; at the
 * deadline cancel the deactivation calls that are still out. The callback comes when nothing is left.
 */
#include "runtime/actor/engine_int.h"

#include <stdlib.h>

#include "runtime/base/duration.h"

/* --- types ---------------------------------------------------------------------------------------------------------- */

struct tr_actor_type *tr_actor_type_find(const struct tr_actor_engine *engine, struct tr_slice name)
{
    return tr_map_get(&engine->types, name);
}

bool tr_actor_type_is_hosted(const struct tr_actor_type *type)
{
    return type != NULL && type->is_registered && !type->engine->is_suspended;
}

bool tr_actor_is_hosted(const struct tr_actor_engine *engine, struct tr_slice type)
{
    return tr_actor_type_is_hosted(tr_actor_type_find(engine, type));
}

bool tr_actor_is_active(const struct tr_actor_engine *engine, struct tr_slice type,
                        struct tr_slice id)
{
    const struct tr_actor_type *record = tr_actor_type_find(engine, type);
    const struct tr_activation *act = record == NULL ? NULL : tr_activation_find(record, id);
    return act != NULL && act->state != TR_ACT_DEACTIVATING;
}

static struct tr_actor_type *type_new(struct tr_actor_engine *engine, struct tr_slice name)
{
    struct tr_actor_type *type = tr_xzalloc(sizeof(*type));
    type->engine = engine;
    type->name = tr_xstrdup(name);
    type->name_slice = tr_slice(type->name, name.len);
    tr_directory_init(&type->instances, tr_rng_next(&engine->rng));
    tr_drain_init(type);
    if (engine->types_len == engine->types_cap) {
        engine->types_cap = engine->types_cap == 0 ? 8 : 2 * engine->types_cap;
        engine->type_list =
            tr_xrealloc(engine->type_list, engine->types_cap * sizeof(struct tr_actor_type *));
    }
    engine->type_list[engine->types_len++] = type;
    (void)tr_map_put(&engine->types, name, type);
    return type;
}

static void type_free(struct tr_actor_type *type)
{
    tr_assert(type->claims_len == 0);
    tr_directory_fini(&type->instances);
    free(type->name);
    free(type);
}

/* Tell placement what is hosted now. */
static void report_types(struct tr_actor_engine *engine)
{
    if (engine->conf.is_disabled || engine->is_closing) {
        return;
    }
    struct tr_slice *names = tr_xalloc((engine->types_len + 1) * sizeof(*names));
    size_t names_len = 0;
    for (size_t i = 0; i < engine->types_len; i++) {
        if (tr_actor_type_is_hosted(engine->type_list[i])) {
            names[names_len++] = engine->type_list[i]->name_slice;
        }
    }
    engine->conf.owner.set_types(engine->conf.owner.ctx, names, names_len);
    free(names);
}

static void add_ms(struct tr_buf *text, uint64_t ms)
{
    const uint64_t ms_max = INT64_MAX / (uint64_t)TR_NS_PER_MS;
    tr_duration_add(text, (int64_t)(ms < ms_max ? ms : ms_max) * TR_NS_PER_MS);
}

/*
 * Long drains would make the round time out; `what` names whose setting it is in the log.
 * Source: Dapr pkg/actors/api/config.go, ClampDrainOngoingCallTimeout.
 */
static uint64_t clamp_drain(const struct tr_actor_engine *engine, uint64_t drain_ms,
                            const char *what, const char *name)
{
    const uint64_t limit_ms = engine->conf.round_limit_ms;
    if (limit_ms == 0 || drain_ms < limit_ms) {
        return drain_ms;
    }
    const uint64_t share_ms = limit_ms / 5 * 4 + limit_ms % 5 * 4 / 5;
    const uint64_t clamped_ms = share_ms > TR_ACTOR_DRAIN_MS ? share_ms : TR_ACTOR_DRAIN_MS;
    struct tr_buf text = { 0 };
    tr_buf_add_str(&text, "drainOngoingCallTimeout (");
    add_ms(&text, drain_ms);
    tr_buf_addf(&text, ") for %s%s meets or exceeds the dissemination timeout (", what, name);
    add_ms(&text, limit_ms);
    tr_buf_add_str(&text, "); clamping to ");
    add_ms(&text, clamped_ms);
    tr_log_text(engine->conf.log, TR_LOG_WARN, "%s to avoid blocking placement dissemination",
                tr_buf_cstr(&text));
    tr_buf_fini(&text);
    return clamped_ms;
}

static void apply_type_conf(struct tr_actor_type *type, const struct tr_actor_type_conf *conf,
                            const struct tr_app_actors *app)
{
    tr_assert(!conf->is_reentrant || conf->depth_max > 0);
    type->is_registered = true;
    type->is_app_gone = false;
    type->app = app;
    type->idle_ms = conf->idle_ms < TR_ACTOR_FOREVER_MS ? conf->idle_ms : TR_ACTOR_FOREVER_MS;
    type->has_drain_ms = conf->has_drain_ms;
    type->drain_ms =
        conf->has_drain_ms ? clamp_drain(type->engine, conf->drain_ms, "entities=", type->name) : 0;
    type->depth_max = conf->is_reentrant ? conf->depth_max : 0;
}

enum tr_code tr_actor_register(struct tr_actor_engine *engine,
                               const struct tr_actor_host_conf *conf, struct tr_err *err)
{
    tr_assert_obj(engine, TR_ACTOR_ENGINE_MAGIC);
    tr_loop_assert(engine->conf.loop);
    if (engine->is_closing) {
        return tr_err_set(err, TR_ACTOR_CLOSED, "actor runtime is closed");
    }
    if (conf->types_len > TR_ACTOR_TYPES_MAX - engine->types_len) {
        return tr_err_set(err, TR_LIMIT, "too many actor types: at most %d", TR_ACTOR_TYPES_MAX);
    }
    engine->drain_ms = conf->has_drain_ms ? clamp_drain(engine, conf->drain_ms, "global config", "")
                                          : TR_ACTOR_DRAIN_MS;
    engine->is_drain_off = conf->is_drain_off;
    for (size_t i = 0; i < conf->types_len; i++) {
        struct tr_actor_type *type = tr_actor_type_find(engine, conf->types[i].type);
        if (type == NULL) {
            type = type_new(engine, conf->types[i].type);
        }
        apply_type_conf(type, &conf->types[i], conf->app);
    }
    report_types(engine);
    if (!engine->is_registered) {
        engine->is_registered = true;
        tr_actor_calls_release(engine);
        struct tr_link *it, *tmp;
        TR_LIST_FOR_EACH (it, tmp, &engine->waits) {
            tr_actor_wait_end(TR_CONTAINER_OF(it, struct tr_actor_wait, op.link), TR_ABORT_NONE);
        }
    }
    return TR_OK;
}

static bool has_types(const struct tr_actor_engine *engine)
{
    for (size_t i = 0; i < engine->types_len; i++) {
        if (engine->type_list[i]->is_registered) {
            return true;
        }
    }
    return false;
}

void tr_actor_unregister(struct tr_actor_engine *engine, const struct tr_slice *types,
                         size_t types_len, bool is_app_gone)
{
    tr_assert_obj(engine, TR_ACTOR_ENGINE_MAGIC);
    tr_loop_assert(engine->conf.loop);
    bool was_any = false;
    for (size_t i = 0; i < types_len; i++) {
        struct tr_actor_type *type = tr_actor_type_find(engine, types[i]);
        if (type == NULL || !type->is_registered) {
            continue;
        }
        was_any = true;
        type->is_registered = false;
        type->is_app_gone = is_app_gone;
        tr_claims_abort(type, TR_ABORT_CLOSED);
        tr_actor_type_halt(type);
        if (is_app_gone) {
            tr_activation_abandon(engine, type);
        }
    }
    if (was_any) {
        engine->is_registered = has_types(engine);
        report_types(engine);
    }
}

void tr_actor_suspend(struct tr_actor_engine *engine, bool is_suspended)
{
    tr_assert_obj(engine, TR_ACTOR_ENGINE_MAGIC);
    tr_loop_assert(engine->conf.loop);
    if (engine->is_suspended == is_suspended) {
        return;
    }
    engine->is_suspended = is_suspended;
    report_types(engine); /* first, so that new calls go elsewhere meanwhile */
    for (size_t i = 0; is_suspended && i < engine->types_len; i++) {
        tr_claims_abort(engine->type_list[i], TR_ABORT_CLOSED);
        tr_actor_type_halt(engine->type_list[i]);
    }
}

/* --- the first gate ------------------------------------------------------------------------------------------------- */

enum tr_actor_gate tr_actor_gate(const struct tr_actor_engine *engine, struct tr_err *err)
{
    if (engine->conf.is_disabled) {
        tr_err_set(err, TR_ACTOR_NO_PLACEMENT, "placement service is not configured");
        return TR_ACTOR_GATE_FAILED;
    }
    if (engine->is_closing) {
        tr_abort_err(TR_ABORT_SHUTDOWN, tr_slice(NULL, 0), err);
        return TR_ACTOR_GATE_FAILED;
    }
    return engine->is_registered ? TR_ACTOR_GATE_OPEN : TR_ACTOR_GATE_SHUT;
}

static void on_wait_complete(struct tr_op *op)
{
    struct tr_actor_wait *wait = TR_CONTAINER_OF(op, struct tr_actor_wait, op);
    tr_assert(wait->engine->waits_len > 0);
    wait->engine->waits_len--;
    tr_actor_engine_check_closed(wait->engine);
    wait->cb(wait);
}

void tr_actor_wait_end(struct tr_actor_wait *wait, enum tr_abort reason)
{
    if (!tr_op_is_started(&wait->op)) {
        return;
    }
    if (reason != TR_ABORT_NONE) {
        tr_abort_err(reason, tr_slice(NULL, 0), &wait->err);
    }
    tr_timer_stop(&wait->due);
    tr_op_finish_later(&wait->op);
}

static void on_wait_deadline(struct tr_timer *timer)
{
    tr_actor_wait_end(TR_CONTAINER_OF(timer, struct tr_actor_wait, due), TR_ABORT_DEADLINE);
}

void tr_actor_wait_start(struct tr_actor_engine *engine, struct tr_actor_wait *wait)
{
    tr_assert_obj(engine, TR_ACTOR_ENGINE_MAGIC);
    tr_loop_assert(engine->conf.loop);
    wait->engine = engine;
    wait->err.code = TR_OK;
    tr_timer_init(&wait->due, engine->conf.loop, on_wait_deadline);
    tr_op_begin(&wait->op, engine->conf.loop, &engine->waits, on_wait_complete);
    engine->waits_len++;
    if (tr_actor_gate(engine, &wait->err) != TR_ACTOR_GATE_SHUT) {
        tr_op_finish_later(&wait->op);
    } else if (engine->waits_len > TR_ACTOR_CALLS_MAX) {
        tr_err_set(&wait->err, TR_LIMIT, "too many calls wait for the app");
        tr_op_finish_later(&wait->op);
    } else if (wait->deadline_ms != 0) {
        tr_timer_set(&wait->due, wait->deadline_ms);
    }
}

void tr_actor_wait_cancel(struct tr_actor_wait *wait)
{
    tr_assert(tr_op_is_open(&wait->op));
    tr_actor_wait_end(wait, TR_ABORT_CANCELED);
}

/* --- life ----------------------------------------------------------------------------------------------------------- */

struct tr_actor_engine *tr_actor_engine_new(const struct tr_actor_engine_conf *conf)
{
    tr_assert(conf->loop != NULL);
    tr_assert(conf->log != NULL);
    struct tr_actor_engine *engine = tr_xzalloc(sizeof(*engine));
    engine->magic = TR_ACTOR_ENGINE_MAGIC;
    engine->conf = *conf;
    engine->is_suspended = conf->is_suspended;
    engine->drain_ms = TR_ACTOR_DRAIN_MS;
    tr_rng_init_system(&engine->rng);
    tr_map_init(&engine->types);
    tr_link_init(&engine->calls);
    tr_link_init(&engine->waits);
    tr_link_init(&engine->state_jobs);
    tr_activations_init(engine);
    tr_round_init(engine);
    engine->timers = tr_actor_timers_new(engine);
    return engine;
}

static bool is_empty(const struct tr_actor_engine *engine)
{
    if (engine->calls_len > 0 || engine->waits_len > 0 || !tr_list_empty(&engine->state_jobs)) {
        return false;
    }
    for (size_t i = 0; i < engine->types_len; i++) {
        if (engine->type_list[i]->instances.len > 0) {
            return false;
        }
    }
    return true;
}

static void on_closed(struct tr_defer *defer)
{
    struct tr_actor_engine *engine = TR_CONTAINER_OF(defer, struct tr_actor_engine, close_defer);
    tr_assert(is_empty(engine));
    tr_timer_stop(&engine->close_timer);
    void (*cb)(void *ctx) = engine->close_cb;
    engine->close_cb = NULL;
    cb(engine->close_ctx);
}

void tr_actor_engine_check_closed(struct tr_actor_engine *engine)
{
    if (engine->close_cb != NULL && is_empty(engine)) {
        tr_defer(engine->conf.loop, &engine->close_defer, on_closed);
    }
}

static void on_close_deadline(struct tr_timer *timer)
{
    struct tr_actor_engine *engine = TR_CONTAINER_OF(timer, struct tr_actor_engine, close_timer);
    tr_log_warn(engine->conf.log, "actors not deactivated in time", "calls=%zu",
                engine->deactivations_len);
    engine->is_abandoning = true;
    tr_activation_abandon(engine, NULL);
}

void tr_actor_engine_close(struct tr_actor_engine *engine, uint64_t deadline_ms,
                           void (*cb)(void *ctx), void *ctx)
{
    tr_assert_obj(engine, TR_ACTOR_ENGINE_MAGIC);
    tr_loop_assert(engine->conf.loop);
    tr_assert(!engine->is_closing);
    engine->is_closing = true;
    engine->close_cb = cb;
    engine->close_ctx = ctx;
    struct tr_link *it, *tmp;
    TR_LIST_FOR_EACH (it, tmp, &engine->waits) {
        tr_actor_wait_end(TR_CONTAINER_OF(it, struct tr_actor_wait, op.link), TR_ABORT_SHUTDOWN);
    }
    tr_actor_timers_stop(engine->timers);
    tr_actor_calls_abort(engine, TR_ABORT_SHUTDOWN);
    tr_actor_state_abort_all(engine);
    for (size_t i = 0; i < engine->types_len; i++) {
        tr_actor_type_halt(engine->type_list[i]);
    }
    tr_timer_init(&engine->close_timer, engine->conf.loop, on_close_deadline);
    tr_timer_set(&engine->close_timer, deadline_ms);
    tr_actor_engine_check_closed(engine);
}

void tr_actor_engine_free(struct tr_actor_engine **engine)
{
    struct tr_actor_engine *e = *engine;
    if (e == NULL) {
        return;
    }
    tr_assert_obj(e, TR_ACTOR_ENGINE_MAGIC);
    tr_assert(is_empty(e));
    *engine = NULL;
    tr_actor_timers_free(&e->timers);
    tr_round_fini(e);
    tr_activations_fini(e);
    tr_defer_cancel(&e->close_defer);
    for (size_t i = 0; i < e->types_len; i++) {
        type_free(e->type_list[i]);
    }
    free(e->type_list);
    tr_map_fini(&e->types);
    free((char *)(uintptr_t)e->store.app_id.ptr);
    e->magic = 0;
    free(e);
}

/* --- metadata ------------------------------------------------------------------------------------------------------- */

bool tr_actor_is_registered(const struct tr_actor_engine *engine)
{
    return engine->is_registered;
}

size_t tr_actor_calls(const struct tr_actor_engine *engine)
{
    return engine->calls_len;
}

bool tr_actor_type_stats(const struct tr_actor_engine *engine, size_t i,
                         struct tr_actor_type_stats *out_stats)
{
    if (i >= engine->types_len) {
        return false;
    }
    const struct tr_actor_type *type = engine->type_list[i];
    *out_stats = (struct tr_actor_type_stats){
        .type = type->name_slice,
        .is_registered = type->is_registered,
        .active = type->instances.len - type->deactivating_len,
        .pending_calls = type->pending_calls,
        .timers = type->timers,
        .timers_fired_ok = type->timers_fired_ok,
        .timers_fired_failed = type->timers_fired_failed,
        .rebalanced = type->rebalanced,
        .deactivated = type->deactivated,
        .deactivated_failed = type->deactivated_failed,
    };
    return true;
}
