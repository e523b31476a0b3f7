/* Is the app there, and is it healthy? */
#include "runtime/app/health.h"

#include <stdlib.h>

#include "invoke/rpc_client.h"
#include "runtime/base/log.h"
#include "runtime/base/net.h"

/* Source: Dapr dapr/proto/runtime/v1/appcallback.proto. */
#define GRPC_PROBE_PATH "/dapr.proto.runtime.v1.AppCallbackHealthCheck/HealthCheck"
#define PROBE_BODY_MAX  65536U

struct tr_app_health {
    struct tr_app_health_conf conf;
    struct tr_buf host;
    struct tr_buf path;
    struct tr_timer pause; /* to the next attempt or probe */
    struct tr_connect dial;
    struct tr_http_call http;
    struct tr_rpc_unary grpc;
    uint32_t attempts;
    uint32_t failures;
    bool is_dialing;
    bool is_probing;
    bool is_healthy;
    bool is_closing;
    void (*on_closed)(void *ctx);
    void *closed_ctx;
    struct tr_defer closed;
};

static void on_closed(struct tr_defer *defer)
{
    struct tr_app_health *health = TR_CONTAINER_OF(defer, struct tr_app_health, closed);
    void (*cb)(void *ctx) = health->on_closed;
    void *ctx = health->closed_ctx;
    tr_buf_fini(&health->host);
    tr_buf_fini(&health->path);
    free(health);
    if (cb != NULL) {
        cb(ctx);
    }
}

static void close_if_quiet(struct tr_app_health *health)
{
    if (health->is_closing && !health->is_dialing && !health->is_probing) {
        tr_defer(health->conf.loop, &health->closed, on_closed);
    }
}

static void set_healthy(struct tr_app_health *health, bool is_healthy)
{
    if (health->is_healthy != is_healthy) {
        health->is_healthy = is_healthy;
        health->conf.on_change(health->conf.ctx, is_healthy);
    }
}

/* --- probing -------------------------------------------------------------------------------------------------------- */

static void probe_done(struct tr_app_health *health, bool is_ok)
{
    health->is_probing = false;
    if (health->is_closing) {
        close_if_quiet(health);
        return;
    }
    tr_timer_set(&health->pause, tr_loop_now_ms(health->conf.loop) + health->conf.interval_ms);
    if (is_ok) {
        health->failures = 0;
        set_healthy(health, true);
        return;
    }
    health->failures++;
    if (health->failures >= health->conf.threshold) {
        if (health->is_healthy) {
            tr_log_warn(health->conf.log, "App health probe failed", "failures=%u", health->failures);
        }
        set_healthy(health, false);
    }
}

static void on_http_probe(struct tr_http_call *call)
{
    struct tr_app_health *health = TR_CONTAINER_OF(call, struct tr_app_health, http);
    const bool is_ok = call->err.code == TR_OK && call->status >= 200 && call->status < 300;
    tr_http_call_fini(call);
    probe_done(health, is_ok);
}

static void on_grpc_probe(struct tr_rpc_unary *unary)
{
    struct tr_app_health *health = TR_CONTAINER_OF(unary, struct tr_app_health, grpc);
    const bool is_ok = unary->status == TR_RPC_OK;
    tr_rpc_unary_fini(unary);
    probe_done(health, is_ok);
}

static void probe(struct tr_app_health *health)
{
    const uint64_t deadline_ms = tr_loop_now_ms(health->conf.loop) + health->conf.timeout_ms;
    health->is_probing = true;
    if (health->conf.channel != NULL) {
        health->http = (struct tr_http_call){ .deadline_ms = deadline_ms, .body_bytes_max = PROBE_BODY_MAX,
                                              .cb = on_http_probe };
        tr_app_channel_get(health->conf.channel, &health->http, tr_buf_slice(&health->path));
        return;
    }
    health->grpc = (struct tr_rpc_unary){ .path = TR_SLICE_LIT(GRPC_PROBE_PATH), .deadline_ms = deadline_ms,
                                          .cb = on_grpc_probe };
    tr_rpc_unary_start(health->conf.grpc, &health->grpc);
}

/* --- waiting for the port -------------------------------------------------------------------------------------------- */

static void on_discovered(struct tr_app_health *health)
{
    tr_log_text(health->conf.log, TR_LOG_INFO, "application discovered on port %u", health->conf.port);
    if (health->conf.has_probes) {
        probe(health);
        return;
    }
    set_healthy(health, true);
}

static void on_dialed(struct tr_connect *dial)
{
    struct tr_app_health *health = TR_CONTAINER_OF(dial, struct tr_app_health, dial);
    health->is_dialing = false;
    if (dial->stream != NULL) {
        tr_stream_close(dial->stream, NULL, NULL);
    }
    if (health->is_closing) {
        close_if_quiet(health);
        return;
    }
    if (dial->err.code == TR_OK) {
        on_discovered(health);
        return;
    }
    if (++health->attempts % TR_APP_DIAL_LOG_EVERY == 0) {
        tr_log_text(health->conf.log, TR_LOG_INFO, "waiting for application to listen on port %u", health->conf.port);
    }
    tr_timer_set(&health->pause, tr_loop_now_ms(health->conf.loop) + TR_APP_DIAL_PAUSE_MS);
}

static void dial(struct tr_app_health *health)
{
    health->is_dialing = true;
    health->dial = (struct tr_connect){ .host = tr_buf_slice(&health->host),
                                        .port = health->conf.port,
                                        .deadline_ms = tr_loop_now_ms(health->conf.loop) + TR_APP_DIAL_MS,
                                        .cb = on_dialed };
    tr_connect_start(health->conf.loop, &health->dial);
}

/* Before the first success of dialing the pause leads to a dial; afterwards the only pauses are those of probes. */
static void on_pause(struct tr_timer *timer)
{
    struct tr_app_health *health = TR_CONTAINER_OF(timer, struct tr_app_health, pause);
    if (health->dial.err.code != TR_OK) {
        dial(health);
    } else {
        probe(health);
    }
}

struct tr_app_health *tr_app_health_new(const struct tr_app_health_conf *conf)
{
    struct tr_app_health *health = tr_xzalloc(sizeof(*health));
    health->conf = *conf;
    tr_buf_add(&health->host, conf->host);
    if (!tr_slice_starts(conf->path, TR_SLICE_LIT("/"))) {
        tr_buf_add_char(&health->path, '/');
    }
    tr_buf_add(&health->path, conf->path);
    tr_timer_init(&health->pause, conf->loop, on_pause);
    tr_log_text(conf->log, TR_LOG_INFO,
                "application protocol: %.*s. waiting on port %u.  This will block until the app is listening on that port.",
                TR_SLICE_ARG(conf->protocol), conf->port);
    dial(health);
    return health;
}

void tr_app_health_close(struct tr_app_health *health, void (*cb)(void *ctx), void *ctx)
{
    tr_assert(!health->is_closing);
    health->is_closing = true;
    health->on_closed = cb;
    health->closed_ctx = ctx;
    tr_timer_stop(&health->pause);
    if (health->is_dialing) {
        tr_connect_cancel(&health->dial);
    } else if (health->is_probing && health->conf.channel != NULL) {
        tr_http_call_cancel(&health->http);
    } else if (health->is_probing) {
        tr_rpc_unary_cancel(&health->grpc);
    }
    close_if_quiet(health);
}

bool tr_app_health_is_healthy(const struct tr_app_health *health)
{
    return health->is_healthy;
}
