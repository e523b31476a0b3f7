/*
 * Volatile timers. A timer belongs to this sidecar and not to the instance: it outlives the actor's deactivation and its
 * move to another host, and every firing is an ordinary call, routed to wherever the actor is.
 *
 *   WAITING (heap, by time) --due--> DUE (its actor's queue) --its turn--> FIRING --answered--> WAITING, or gone
 *
 * Due timers of one actor fire one after another, in the order of their times; different actors do not wait for each
 * other. The next time is reckoned from the scheduled one, so what was missed during a slow callback follows at once.
 * Success and failure of a firing count alike. A timer that is deleted or replaced leaves the heap or the queue at once;
 * if it is firing, it is freed when the call is over.
 *
 * Times: the schedule is kept on the wall clock of the creation, and brought to the loop's clock by what both showed
 * then, so that a jump of the wall clock moves no timer.
 *
 * Source: Dapr pkg/actors/internal/timers/inmemory (1.18); actors 8.2-8.4.
 */
#include "runtime/actor/engine_int.h"

#include <stdlib.h>

#include "runtime/actor/period.h"

struct timer;

struct tr_actor_timers {
    struct tr_actor_engine *engine; /* borrowed */
    struct tr_map by_key;           /* of struct timer */
    struct tr_map actors;           /* of struct timed_actor */
    struct tr_heap waiting;         /* of timer.due, by loop time */
    struct tr_timer clock;
    bool is_stopped;
    struct tr_log_limit failed_log; /* an app that is down would fill the log */
};

/* One actor that has timers here, or had one that still fires. */
struct timed_actor {
    struct tr_link due;    /* of timer.link, first fires next */
    struct firing *firing; /* borrowed, NULL if none */
    size_t timers_len;     /* timers in the map */
};

struct timer {
    struct tr_actor_timers *timers; /* borrowed */
    struct timed_actor *actor;      /* borrowed */
    struct tr_actor_type *type;     /* borrowed; types live as long as the engine */
    struct tr_buf text;             /* owned: everything the slices below point to */
    struct tr_slice key;
    struct tr_slice actor_key; /* head of `key` */
    struct tr_slice id;
    struct tr_slice name;
    struct tr_slice due_time;
    struct tr_slice period;
    struct tr_slice callback;
    struct tr_slice data;
    struct tr_schedule schedule;
    int64_t made_unix_us; /* when it was made, on both clocks */
    uint64_t made_loop_us;
    struct tr_heap_node due; /* WAITING */
    struct tr_link link;     /* DUE */
    bool is_firing;
    bool is_dead; /* firing, and no longer in the map */
};

struct firing {
    struct tr_actor_call call;
    struct timer *timer; /* borrowed; lives until the call is over */
};

/* --- keys ----------------------------------------------------------------------------------------------------------- */

/*
 * Type, id and name with the lengths of the first two in front: no two timers share a key, whatever their names contain.
 * Returns the length of the part that names the actor.
 */
static size_t add_key(struct tr_buf *buf, struct tr_slice type, struct tr_slice id,
                      struct tr_slice name)
{
    const uint32_t lens[] = { (uint32_t)type.len, (uint32_t)id.len };
    const size_t before = buf->len;
    tr_buf_add(buf, tr_slice(lens, sizeof(lens)));
    tr_buf_add(buf, type);
    tr_buf_add(buf, id);
    const size_t actor_len = buf->len - before;
    tr_buf_add(buf, name);
    return actor_len;
}

/* --- life of a timer ------------------------------------------------------------------------------------------------ */

static void timer_free(struct timer *timer)
{
    tr_assert(!tr_heap_linked(&timer->due));
    tr_assert(!tr_link_linked(&timer->link));
    tr_buf_fini(&timer->text);
    free(timer);
}

static struct timed_actor *actor_get(struct tr_actor_timers *timers, struct tr_slice key)
{
    struct timed_actor *actor = tr_map_get(&timers->actors, key);
    if (actor == NULL) {
        actor = tr_xzalloc(sizeof(*actor));
        tr_link_init(&actor->due);
        (void)tr_map_put(&timers->actors, key, actor);
    }
    return actor;
}

/* Free the actor's record if nothing needs it. */
static void actor_check(struct tr_actor_timers *timers, struct timed_actor *actor,
                        struct tr_slice key)
{
    if (actor->timers_len == 0 && actor->firing == NULL) {
        tr_assert(tr_list_empty(&actor->due));
        (void)tr_map_remove(&timers->actors, key);
        free(actor);
    }
}

/* Take the timer out of everything; frees it, or leaves that to the end of its firing. */
static void timer_remove(struct timer *timer)
{
    struct tr_actor_timers *timers = timer->timers;
    struct timed_actor *actor = timer->actor;
    tr_assert(!timer->is_dead);
    tr_heap_remove(&timers->waiting, &timer->due);
    tr_link_remove(&timer->link);
    (void)tr_map_remove(&timers->by_key, timer->key);
    timer->type->timers--;
    actor->timers_len--;
    if (timer->is_firing) {
        timer->is_dead = true;
        return;
    }
    actor_check(timers, actor, timer->actor_key);
    timer_free(timer);
}

static void wait_for_due(struct timer *timer)
{
    struct tr_actor_timers *timers = timer->timers;
    const int64_t after_us = timer->schedule.next_us - timer->made_unix_us;
    const uint64_t at_us =
        after_us <= 0 ? timer->made_loop_us : timer->made_loop_us + (uint64_t)after_us;
    const uint64_t at_ms = at_us / 1000 + (at_us % 1000 > 0 ? 1 : 0);
    tr_heap_push(&timers->waiting, &timer->due, at_ms);
    if (!tr_timer_is_set(&timers->clock) || tr_timer_at_ms(&timers->clock) > at_ms) {
        tr_timer_set(&timers->clock, at_ms);
    }
}

/* --- firing --------------------------------------------------------------------------------------------------------- */

static void fire_next(struct tr_actor_timers *timers, struct timed_actor *actor);

static void log_outcome(const struct timer *timer, const struct tr_actor_call *call)
{
    if (call->outcome == TR_ACTOR_ANSWERED && !call->is_canceled_by_app) {
        timer->type->timers_fired_ok++;
        return;
    }
    timer->type->timers_fired_failed++;
    struct tr_actor_timers *timers = timer->timers;
    uint64_t suppressed;
    if (!tr_log_limit_pass(&timers->failed_log, tr_loop_now_ms(timers->engine->conf.loop),
                           &suppressed)) {
        return;
    }
    struct tr_buf cause = { 0 };
    if (call->outcome == TR_ACTOR_ANSWERED) {
        tr_buf_add_str(&cause, "reminder has been canceled");
    } else {
        tr_actor_failure_cause(call, &cause);
    }
    tr_log_error(timers->engine->conf.log, "timer callback failed",
                 "actor_type=%s id=%.*s name=%.*s reason=%.*s suppressed=%llu", timer->type->name,
                 TR_SLICE_ARG(timer->id), TR_SLICE_ARG(timer->name),
                 TR_SLICE_ARG(tr_buf_slice(&cause)), (unsigned long long)suppressed);
    tr_buf_fini(&cause);
}

/* The firing of this timer is over. */
static void timer_fired(struct timer *timer)
{
    timer->is_firing = false;
    if (timer->is_dead) {
        timer_free(timer);
    } else if (tr_schedule_advance(&timer->schedule)) {
        wait_for_due(timer);
    } else {
        tr_log_debug(timer->timers->engine->conf.log, "timer ended", "actor_type=%s id=%.*s name=%.*s",
                     timer->type->name, TR_SLICE_ARG(timer->id), TR_SLICE_ARG(timer->name));
        timer_remove(timer);
    }
}

static void on_fired(struct tr_actor_call *call)
{
    struct firing *firing = TR_CONTAINER_OF(call, struct firing, call);
    struct timer *timer = firing->timer;
    struct tr_actor_timers *timers = timer->timers;
    struct timed_actor *actor = timer->actor;
    struct tr_buf actor_key = { 0 };
    tr_buf_add(&actor_key, timer->actor_key);
    log_outcome(timer, call);
    tr_actor_call_fini(call);
    free(firing);
    timer_fired(timer); /* the actor's record stays: it still counts as firing */
    actor->firing = NULL;
    fire_next(timers, actor);
    actor_check(timers, actor, tr_buf_slice(&actor_key));
    tr_buf_fini(&actor_key);
}

static void fire_next(struct tr_actor_timers *timers, struct timed_actor *actor)
{
    struct tr_link *link =
        actor->firing != NULL || timers->is_stopped ? NULL : tr_list_pop(&actor->due);
    if (link == NULL) {
        return;
    }
    struct timer *timer = TR_CONTAINER_OF(link, struct timer, link);
    struct firing *firing = tr_xzalloc(sizeof(*firing));
    timer->is_firing = true;
    actor->firing = firing;
    firing->timer = timer;
    firing->call.kind = TR_ACTOR_TIMER;
    firing->call.actor_type = timer->type->name_slice;
    firing->call.actor_id = timer->id;
    firing->call.name = timer->name;
    firing->call.body = timer->data;
    firing->call.due_time = timer->due_time;
    firing->call.period = timer->period;
    firing->call.callback = timer->callback;
    firing->call.cb = on_fired;
    tr_actor_call_start(timers->engine, &firing->call);
}

static void on_clock(struct tr_timer *clock)
{
    struct tr_actor_timers *timers = TR_CONTAINER_OF(clock, struct tr_actor_timers, clock);
    const uint64_t now_ms = tr_loop_now_ms(timers->engine->conf.loop);
    struct tr_heap_node *node;
    while ((node = tr_heap_min(&timers->waiting)) != NULL && node->key <= now_ms) {
        struct timer *timer = TR_CONTAINER_OF(node, struct timer, due);
        tr_heap_remove(&timers->waiting, node);
        tr_list_add_tail(&timer->actor->due, &timer->link);
        fire_next(timers, timer->actor);
    }
    if (node != NULL) {
        tr_timer_set(&timers->clock, node->key);
    }
}

/* --- interface ------------------------------------------------------------------------------------------------------ */

/* Copy the texts of `conf` into the timer. */
static void copy_texts(struct timer *timer, const struct tr_actor_timer_conf *conf)
{
    const struct tr_slice parts[] = { conf->due_time, conf->period, conf->callback, conf->data };
    struct tr_slice *const places[] = { &timer->due_time, &timer->period, &timer->callback,
                                        &timer->data };
    const size_t actor_len = add_key(&timer->text, conf->actor_type, conf->actor_id, conf->name);
    const size_t key_len = timer->text.len;
    for (size_t i = 0; i < TR_ARRAY_LEN(parts); i++) {
        tr_buf_add(&timer->text, parts[i]);
    }
    const char *at = timer->text.ptr;
    timer->key = tr_slice(at, key_len);
    timer->actor_key = tr_slice(at, actor_len);
    timer->id = tr_slice(at + actor_len - conf->actor_id.len, conf->actor_id.len);
    timer->name = tr_slice(at + actor_len, conf->name.len);
    at += key_len;
    for (size_t i = 0; i < TR_ARRAY_LEN(parts); i++) {
        *places[i] = tr_slice(at, parts[i].len);
        at += parts[i].len;
    }
}

static enum tr_code make_schedule(struct tr_actor_engine *engine,
                                  const struct tr_actor_timer_conf *conf,
                                  struct tr_schedule *out_schedule, struct tr_err *err)
{
    struct tr_buf key = { 0 };
    tr_buf_addf(&key, "%.*s||%.*s||%.*s", TR_SLICE_ARG(conf->actor_type),
                TR_SLICE_ARG(conf->actor_id), TR_SLICE_ARG(conf->name));
    const enum tr_code rc =
        tr_schedule_init(out_schedule, tr_buf_slice(&key), conf->due_time, conf->period, conf->ttl,
                         tr_loop_unix_us(engine->conf.loop), err);
    tr_buf_fini(&key);
    if (rc != TR_OK) {
        err->code = TR_ACTOR_TIMER_CREATE;
    }
    return rc;
}

enum tr_code tr_actor_timer_create(struct tr_actor_engine *engine,
                                   const struct tr_actor_timer_conf *conf, struct tr_err *err)
{
    tr_assert_obj(engine, TR_ACTOR_ENGINE_MAGIC);
    tr_loop_assert(engine->conf.loop);
    struct tr_actor_timers *timers = engine->timers;
    struct tr_actor_type *type = tr_actor_type_find(engine, conf->actor_type);
    if (timers->is_stopped) {
        return tr_err_set(err, TR_ACTOR_CLOSED, "actor runtime is closed");
    }
    if (!tr_actor_type_is_hosted(type)) {
        return tr_err_set(err, TR_ACTOR_TIMER_CREATE,
                          "can't create timer for actor %.*s||%.*s: actor type not registered",
                          TR_SLICE_ARG(conf->actor_type), TR_SLICE_ARG(conf->actor_id));
    }
    struct tr_schedule schedule;
    if (make_schedule(engine, conf, &schedule, err) != TR_OK) {
        return err->code;
    }
    tr_actor_timer_delete(engine, conf->actor_type, conf->actor_id, conf->name);
    if (!tr_schedule_is_active(&schedule)) {
        return TR_OK;
    }
    if (timers->by_key.len >= TR_ACTOR_TIMERS_MAX) {
        return tr_err_set(err, TR_LIMIT, "too many timers: at most %d", TR_ACTOR_TIMERS_MAX);
    }
    struct timer *timer = tr_xzalloc(sizeof(*timer));
    timer->timers = timers;
    timer->type = type;
    timer->schedule = schedule;
    timer->made_unix_us = tr_loop_unix_us(engine->conf.loop);
    timer->made_loop_us = tr_loop_now_us(engine->conf.loop);
    tr_link_init(&timer->link);
    copy_texts(timer, conf);
    timer->actor = actor_get(timers, timer->actor_key);
    timer->actor->timers_len++;
    type->timers++;
    (void)tr_map_put(&timers->by_key, timer->key, timer);
    wait_for_due(timer);
    return TR_OK;
}

void tr_actor_timer_delete(struct tr_actor_engine *engine, struct tr_slice type, struct tr_slice id,
                           struct tr_slice name)
{
    tr_assert_obj(engine, TR_ACTOR_ENGINE_MAGIC);
    tr_loop_assert(engine->conf.loop);
    struct tr_buf key = { 0 };
    (void)add_key(&key, type, id, name);
    struct timer *timer = tr_map_get(&engine->timers->by_key, tr_buf_slice(&key));
    tr_buf_fini(&key);
    if (timer != NULL) {
        timer_remove(timer);
    }
}

struct tr_actor_timers *tr_actor_timers_new(struct tr_actor_engine *engine)
{
    struct tr_actor_timers *timers = tr_xzalloc(sizeof(*timers));
    timers->engine = engine;
    tr_map_init(&timers->by_key);
    tr_map_init(&timers->actors);
    tr_timer_init(&timers->clock, engine->conf.loop, on_clock);
    return timers;
}

void tr_actor_timers_stop(struct tr_actor_timers *timers)
{
    timers->is_stopped = true;
    tr_timer_stop(&timers->clock);
    struct tr_map_iter iter = { 0 };
    struct tr_slice key;
    void *value;
    while (tr_map_next(&timers->by_key, &iter, &key, &value)) {
        timer_remove(value);
    }
}

void tr_actor_timers_free(struct tr_actor_timers **timers)
{
    struct tr_actor_timers *t = *timers;
    tr_actor_timers_stop(t);
    tr_assert(t->actors.len == 0);
    tr_heap_fini(&t->waiting);
    tr_map_fini(&t->by_key);
    tr_map_fini(&t->actors);
    free(t);
    *timers = NULL;
}
