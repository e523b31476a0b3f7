/*
 * The end of a sidecar, step by step. Each step closes parts that depend on nothing behind it and waits for all of them:
 *
 *   1  engine: calls are canceled, actors deactivated, while the app's channel works; the HTTP servers close
 *   2  event streams, placement stream, app health, gRPC servers
 *   3  app channel, peers, stores
 *   4  gRPC
 *
 * So that one peer that is silent or does not read does not spoil the end, each step has its share of the grace period: in
 * step 1 deactivations without an answer and clients of the HTTP servers are given up after four fifths of it; in step 2
 * the calls of gRPC are cut off after half of what is left. What takes longer all the same ends the process with status 1. With --dapr-block-shutdown-duration the first
 * signal only begins a time in which everything goes on.
 */
#include <signal.h>
#include <stdlib.h>

#include "runtime/base/duration.h"
#include "runtime/sidecar/sidecar_int.h"

#define FORCE_DELAY_MS  100U   /* the answer of a forced shutdown goes out first */
#define HTTP_GRACE_MS   10000U /* the HTTP servers' own limit. Source: invocation 11.2 */
#define ENGINE_GRACE_MS 86400000U

static void next_step(struct sidecar *s);

static void on_part_closed(void *ctx)
{
    struct sidecar *s = ctx;
    tr_assert(s->closing_len > 0);
    if (--s->closing_len == 0) {
        next_step(s);
    }
}

/* For step 1: its share of the grace period, but not more than `most_ms`. */
static uint64_t deadline(const struct sidecar *s, uint64_t most_ms)
{
    const uint64_t grace_ms = s->options->grace_ms != 0 ? s->options->grace_ms / 5 * 4 : ENGINE_GRACE_MS;
    return tr_loop_now_ms(s->loop) + (grace_ms < most_ms ? grace_ms : most_ms);
}

/* For step 2: half of what is left, but not more than `most_ms`. */
static uint64_t late_deadline(const struct sidecar *s, uint64_t most_ms)
{
    const uint64_t now_ms = tr_loop_now_ms(s->loop);
    uint64_t left_ms = ENGINE_GRACE_MS;
    if (tr_timer_is_set(&s->grace)) {
        const uint64_t end_ms = tr_timer_at_ms(&s->grace);
        left_ms = end_ms > now_ms ? (end_ms - now_ms) / 2 : 0;
    }
    return now_ms + (left_ms < most_ms ? left_ms : most_ms);
}

static void close_http(struct sidecar *s, struct tr_http_server *server, uint64_t deadline_ms)
{
    if (server != NULL) {
        s->closing_len++;
        tr_http_server_close(server, deadline_ms, on_part_closed, s);
    }
}

static void close_engine_and_http(struct sidecar *s)
{
    s->closing_len++;
    tr_actor_engine_close(s->engine, deadline(s, ENGINE_GRACE_MS), on_part_closed, s);
    close_http(s, s->http, deadline(s, HTTP_GRACE_MS));
    close_http(s, s->public_http, deadline(s, HTTP_GRACE_MS));
}

static void on_grpc_closed(void *ctx)
{
    ((struct sidecar *)ctx)->grpc = NULL;
    on_part_closed(ctx);
}

static void on_internal_closed(void *ctx)
{
    ((struct sidecar *)ctx)->internal = NULL;
    on_part_closed(ctx);
}

static void on_cut(struct tr_timer *timer)
{
    struct sidecar *s = TR_CONTAINER_OF(timer, struct sidecar, cut);
    if (s->grpc != NULL) {
        tr_rpc_server_cancel_calls(s->grpc);
    }
    if (s->internal != NULL) {
        tr_rpc_server_cancel_calls(s->internal);
    }
}

static void close_streams_and_servers(struct sidecar *s)
{
    tr_timer_init(&s->cut, s->loop, on_cut);
    tr_timer_set(&s->cut, late_deadline(s, ENGINE_GRACE_MS));
    s->closing_len += 3;
    tr_app_hub_close(s->hub, on_part_closed, s);
    tr_rpc_server_close(s->grpc, on_grpc_closed, s);
    tr_rpc_server_close(s->internal, on_internal_closed, s);
    if (s->placement != NULL) {
        s->closing_len++;
        tr_placement_client_close(s->placement, on_part_closed, s);
    }
    if (s->health != NULL) {
        s->closing_len++;
        tr_app_health_close(s->health, on_part_closed, s);
    }
    close_http(s, s->metrics_http, late_deadline(s, HTTP_GRACE_MS));
}

static void close_channels_and_stores(struct sidecar *s)
{
    tr_log_text(&s->log, TR_LOG_INFO, "Dapr is shutting down");
    s->closing_len += 2;
    tr_peers_close(s->peers, on_part_closed, s);
    tr_components_close(&s->components, on_part_closed, s);
    if (s->app_http != NULL) {
        s->closing_len++;
        tr_app_channel_close(s->app_http, on_part_closed, s);
    }
    if (s->app_grpc != NULL) {
        s->closing_len++;
        tr_rpc_channel_close(s->app_grpc, on_part_closed, s);
    }
}

static void close_grpc(struct sidecar *s)
{
    s->closing_len++;
    tr_rpc_close(s->rpc, on_part_closed, s);
}

static void end(struct sidecar *s)
{
    tr_timer_stop(&s->grace);
    tr_timer_stop(&s->cut);
    tr_log_text(&s->log, TR_LOG_INFO, "Dapr runtime stopped");
    tr_loop_stop(s->loop);
}

static void next_step(struct sidecar *s)
{
    static void (*const steps[])(struct sidecar *) = { close_engine_and_http, close_streams_and_servers,
                                                       close_channels_and_stores, close_grpc, end };
    tr_assert(s->stop_step < TR_ARRAY_LEN(steps));
    steps[s->stop_step++](s);
}

static void on_grace_over(struct tr_timer *timer)
{
    const struct sidecar *s = TR_CONTAINER_OF(timer, struct sidecar, grace);
    tr_log_fatal(&s->log, "Graceful shutdown timeout exceeded, forcing shutdown");
}

static void begin_stop(struct sidecar *s)
{
    sidecar_move(s, SIDECAR_STOPPING);
    tr_timer_stop(&s->block);
    tr_timer_stop(&s->app_config_again);
    if (s->options->grace_ms != 0) {
        tr_timer_init(&s->grace, s->loop, on_grace_over);
        tr_timer_set(&s->grace, tr_loop_now_ms(s->loop) + s->options->grace_ms);
    }
    next_step(s);
}

/* --- blocking ------------------------------------------------------------------------------------------------------- */

static void on_block_over(struct tr_timer *timer)
{
    struct sidecar *s = TR_CONTAINER_OF(timer, struct sidecar, block);
    tr_log_text(&s->log, TR_LOG_INFO, "Block shutdown period expired, entering shutdown...");
    begin_stop(s);
}

void sidecar_stop_blocking(struct sidecar *s)
{
    if (s->state == SIDECAR_BLOCKED) {
        tr_log_text(&s->log, TR_LOG_INFO, "App reported unhealthy, entering shutdown...");
        begin_stop(s);
    }
}

static void begin_block(struct sidecar *s)
{
    struct tr_buf text = { 0 };
    tr_duration_add(&text, s->options->flags.block_shutdown_ns);
    tr_log_text(&s->log, TR_LOG_INFO, "Blocking graceful shutdown for %s or until app reports unhealthy...",
                tr_buf_cstr(&text));
    tr_buf_fini(&text);
    sidecar_move(s, SIDECAR_BLOCKED);
    tr_timer_init(&s->block, s->loop, on_block_over);
    tr_timer_set(&s->block, tr_loop_now_ms(s->loop) + s->options->block_ms);
    if (s->health != NULL && !tr_app_health_is_healthy(s->health)) {
        sidecar_stop_blocking(s);
    }
}

void sidecar_stop(struct sidecar *s)
{
    if (s->state == SIDECAR_STOPPING || s->state == SIDECAR_BLOCKED) {
        return;
    }
    if (s->options->has_block && !s->is_reload) {
        begin_block(s);
    } else {
        begin_stop(s);
    }
}

/* --- triggers ------------------------------------------------------------------------------------------------------- */

static void on_force(struct tr_timer *timer)
{
    struct sidecar *s = TR_CONTAINER_OF(timer, struct sidecar, force);
    tr_log_sink_flush(s->sink, FORCE_DELAY_MS);
    exit(1);
}

void sidecar_on_shutdown_call(void *ctx, bool is_forced)
{
    struct sidecar *s = ctx;
    if (is_forced) {
        tr_log_text(&s->log, TR_LOG_WARN, "Force shutdown requested, exiting immediately without graceful shutdown");
        tr_timer_init(&s->force, s->loop, on_force);
        tr_timer_set(&s->force, tr_loop_now_ms(s->loop) + FORCE_DELAY_MS);
        return;
    }
    sidecar_stop(s);
}

static const char *signal_name(int signum)
{
    return signum == SIGINT ? "interrupt" : signum == SIGHUP ? "hangup" : "terminated";
}

static void on_signal(void *ctx, int signum)
{
    struct sidecar_signals *signals = ctx;
    struct sidecar *s = signals->sidecar;
    if (s == NULL) {
        signals->early = signum;
        return;
    }
    const bool is_stopping = s->state == SIDECAR_STOPPING;
    if (signum == SIGHUP) {
        if (!is_stopping && s->state != SIDECAR_BLOCKED) {
            tr_log_text(&s->log, TR_LOG_INFO, "Received signal 'hangup'; restarting");
            s->is_reload = true;
            sidecar_stop(s);
        }
        return;
    }
    if (is_stopping && !s->is_reload) {
        tr_log_fatal(&s->log, "Received signal '%s' during shutdown; exiting immediately", signal_name(signum));
    }
    tr_log_text(&s->log, TR_LOG_INFO, "Received signal '%s'; beginning shutdown", signal_name(signum));
    s->is_reload = false; /* the stop before a restart is one for good now */
    sidecar_stop(s);
}

void sidecar_signals_init(struct sidecar_signals *signals, const struct tr_log *log)
{
    static const int signums[] = { SIGINT, SIGTERM, SIGHUP };
    struct tr_err err;
    _Static_assert(TR_ARRAY_LEN(signums) == TR_ARRAY_LEN(signals->watches), "one watch each");
    signals->loop = tr_loop_new();
    for (size_t i = 0; i < TR_ARRAY_LEN(signums); i++) {
        if (tr_signal_watch_new(signals->loop, signums[i], on_signal, signals, &signals->watches[i], &err) != TR_OK) {
            tr_log_fatal(log, "Fatal error from runtime: %s", err.msg);
        }
    }
    tr_loop_turn(signals->loop); /* from now on its descriptor shows them */
}

void sidecar_signals_fini(struct sidecar_signals *signals)
{
    for (size_t i = 0; i < TR_ARRAY_LEN(signals->watches); i++) {
        tr_signal_watch_free(&signals->watches[i]);
    }
    tr_loop_free(&signals->loop);
}

static void on_signals(void *ctx, unsigned events)
{
    (void)events;
    tr_loop_turn(((struct sidecar_signals *)ctx)->loop);
}

void sidecar_watch_signals(struct sidecar *s, struct sidecar_signals *signals)
{
    struct tr_err err;
    signals->sidecar = s;
    if (tr_fd_watch_new(s->loop, tr_loop_fd(signals->loop), TR_FD_READ, on_signals, signals, &s->on_signals, &err) !=
        TR_OK) {
        tr_log_fatal(&s->log, "Fatal error from runtime: %s", err.msg);
    }
    if (signals->early != 0) {
        (void)raise(signals->early); /* once more, for when this run's loop turns */
        signals->early = 0;
    }
}
