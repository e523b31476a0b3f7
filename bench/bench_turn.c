/*
 * The turn engine alone, with an app that answers at once: turns a second on one actor and over many, what an idle actor
 * takes in memory beside its id, and what it costs to activate and deactivate one.
 *
 * bench_turn [actors] [turns] [in flight]
 */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>

#include "runtime/actor/engine.h"
#include "runtime/base/log.h"

#define ID_LEN 12

struct bench {
    struct tr_loop *loop;
    struct tr_actor_engine *engine;
    struct tr_app_actors app;
    struct tr_app_call **open; /* calls to answer, a ring */
    size_t open_cap;
    size_t open_first;
    size_t open_len;
    struct tr_defer later;
    struct caller *callers;
    size_t callers_len;
    size_t actors;   /* ids in use */
    size_t to_start; /* turns still to be started */
    size_t ended;
    bool is_closed;
};

struct caller {
    struct tr_actor_call call;
    struct bench *bench;
    char id[24]; /* ID_LEN in use */
};

/* --- app and placement --- */

static void on_later(struct tr_defer *defer)
{
    struct bench *b = TR_CONTAINER_OF(defer, struct bench, later);
    for (size_t left = b->open_len; left > 0; left--) {
        struct tr_app_call *call = b->open[b->open_first];
        b->open_first = (b->open_first + 1) % b->open_cap;
        b->open_len--;
        call->err.code = TR_OK;
        call->status = 200;
        call->cb(call);
    }
}

static void app_start(void *ctx, struct tr_app_call *call)
{
    struct bench *b = ctx;
    tr_assert(b->open_len < b->open_cap);
    b->open[(b->open_first + b->open_len++) % b->open_cap] = call;
    tr_defer(b->loop, &b->later, on_later);
}

static void app_cancel(void *ctx, struct tr_app_call *call)
{
    (void)ctx;
    (void)call; /* it is about to be answered */
}

static enum tr_owner owner_lookup(void *ctx, struct tr_slice type, struct tr_slice id,
                                  struct tr_owner_host *out_host)
{
    (void)ctx;
    (void)type;
    (void)id;
    (void)out_host;
    return TR_OWNER_LOCAL;
}

static void owner_set_types(void *ctx, const struct tr_slice *types, size_t types_len)
{
    (void)ctx;
    (void)types;
    (void)types_len;
}

/* --- callers --- */

static void next_turn(struct caller *caller)
{
    struct bench *b = caller->bench;
    if (b->to_start == 0) {
        return;
    }
    (void)snprintf(caller->id, sizeof(caller->id), "a%011zu", b->to_start % b->actors);
    b->to_start--;
    tr_actor_call_start(b->engine, &caller->call);
}

static void on_called(struct tr_actor_call *call)
{
    struct caller *caller = TR_CONTAINER_OF(call, struct caller, call);
    tr_assert(call->outcome == TR_ACTOR_ANSWERED);
    tr_actor_call_fini(call);
    caller->bench->ended++;
    next_turn(caller);
}

static bool is_done(void *ctx)
{
    const struct bench *b = ctx;
    return b->to_start == 0 && tr_actor_calls(b->engine) == 0;
}

static bool is_closed(void *ctx)
{
    return ((struct bench *)ctx)->is_closed;
}

static void on_closed(void *ctx)
{
    ((struct bench *)ctx)->is_closed = true;
}

/* Seconds that `turns` turns over `actors` actors take. */
static double run(struct bench *b, size_t turns, size_t actors)
{
    b->to_start = turns;
    b->actors = actors;
    const uint64_t start_us = tr_loop_clock_us(b->loop);
    for (size_t i = 0; i < b->callers_len; i++) {
        next_turn(&b->callers[i]);
    }
    if (!tr_loop_run_until(b->loop, is_done, b, 600000)) {
        (void)fprintf(stderr, "bench_turn: not done in time\n");
        exit(1);
    }
    return (double)(tr_loop_clock_us(b->loop) - start_us) / 1e6;
}

static void bench_init(struct bench *b, const struct tr_log *log, size_t in_flight)
{
    static struct tr_log engine_log;
    engine_log = *log;
    b->loop = tr_loop_new();
    b->app = (struct tr_app_actors){ .start = app_start, .cancel = app_cancel, .ctx = b };
    b->callers_len = in_flight;
    b->open_cap = in_flight + TR_ACTOR_DEACTIVATIONS_MAX;
    b->open = tr_xzalloc(b->open_cap * sizeof(struct tr_app_call *));
    b->callers = tr_xzalloc(in_flight * sizeof(*b->callers));
    for (size_t i = 0; i < in_flight; i++) {
        struct caller *caller = &b->callers[i];
        caller->bench = b;
        caller->call.actor_type = TR_SLICE_LIT("counter");
        caller->call.actor_id = tr_slice(caller->id, ID_LEN);
        caller->call.name = TR_SLICE_LIT("increment");
        caller->call.cb = on_called;
    }
    const struct tr_actor_engine_conf conf = {
        .loop = b->loop,
        .log = &engine_log,
        .owner = { .lookup = owner_lookup, .set_types = owner_set_types },
    };
    b->engine = tr_actor_engine_new(&conf);
    const struct tr_actor_type_conf type = { .type = TR_SLICE_LIT("counter"),
                                             .idle_ms = TR_ACTOR_IDLE_MS };
    const struct tr_actor_host_conf host = { .types = &type, .types_len = 1, .app = &b->app };
    struct tr_err err;
    if (tr_actor_register(b->engine, &host, &err) != TR_OK) {
        (void)fprintf(stderr, "bench_turn: %s\n", err.msg);
        exit(1);
    }
}

int main(int argc, char **argv)
{
    const size_t actors = argc > 1 ? (size_t)strtoull(argv[1], NULL, 10) : 200000;
    const size_t turns = argc > 2 ? (size_t)strtoull(argv[2], NULL, 10) : 2000000;
    const size_t in_flight = argc > 3 ? (size_t)strtoull(argv[3], NULL, 10) : 64;
    if (actors == 0 || turns == 0 || in_flight == 0 || in_flight > TR_TURN_WAITING_MAX) {
        (void)fprintf(stderr, "bench_turn [actors] [turns] [in flight]\n");
        return 2;
    }
    struct tr_log_sink sink;
    struct tr_log log;
    struct bench b = { 0 };
    tr_log_sink_init(&sink);
    sink.level = TR_LOG_OFF;
    tr_log_init(&log, &sink, "bench");
    bench_init(&b, &log, in_flight);

    (void)run(&b, 1000, 1);
    const size_t before = mallinfo2().uordblks;
    const double activate_s = run(&b, actors, actors);
    const size_t bytes = (mallinfo2().uordblks - before) / actors;
    const double many_s = run(&b, turns, actors);
    const double one_s = run(&b, turns, 1);
    const uint64_t close_us = tr_loop_clock_us(b.loop);
    tr_actor_engine_close(b.engine, tr_loop_now_ms(b.loop) + 600000, on_closed, &b);
    if (!tr_loop_run_until(b.loop, is_closed, &b, 600000)) {
        return 1;
    }
    const double deactivate_s = (double)(tr_loop_clock_us(b.loop) - close_us) / 1e6;
    (void)printf("{\"bench\":\"turn\",\"actors\":%zu,\"turns\":%zu,\"in_flight\":%zu,\"turns_per_s_"
                 "one_actor\":%.0f,"
                 "\"turns_per_s_many_actors\":%.0f,\"idle_actor_bytes\":%zu,\"activate_ns\":%.0f,"
                 "\"deactivate_ns\":%.0f}\n",
                 actors, turns, in_flight, (double)turns / one_s, (double)turns / many_s,
                 bytes - ID_LEN, activate_s * 1e9 / (double)actors,
                 deactivate_s * 1e9 / (double)actors);
    tr_actor_engine_free(&b.engine);
    tr_loop_free(&b.loop);
    tr_log_sink_fini(&sink);
    free(b.open);
    free(b.callers);
    return 0;
}
