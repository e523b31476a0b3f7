/*
 * The sidecar's app: its channel, its health, what it hosts.
 *
 * The app becomes healthy -> the first time GET /dapr/config -> its types are registered. It becomes unhealthy -> they
 * are taken back, without deactivation calls, since the app would not answer them. A sidecar without an app registers no
 * types at once. Placement is connected when the types are known, or at once if there is no actor state store, because
 * then no types are advertised anyway.
 */
#include "runtime/sidecar/sidecar_int.h"

#include <stdlib.h>

#define CONFIG_AGAIN_MS  1000U              /* pause between two attempts to get the app's configuration */
#define ANSWER_BYTES_MIN UINT64_C(67108864) /* 64 MiB: least value of the limit of an answer of the app */

/* --- registration --------------------------------------------------------------------------------------------------- */

static enum tr_code register_types(struct sidecar *s, const struct tr_app_config *config, const struct tr_app_actors *app,
                                   struct tr_err *err)
{
    struct tr_actor_type_conf *types = tr_xzalloc(config->types_len * sizeof(*types));
    for (size_t i = 0; i < config->types_len; i++) {
        const struct tr_app_type *type = &config->types[i];
        types[i] = (struct tr_actor_type_conf){
            .type = tr_buf_slice(&type->name),
            .idle_ms = type->idle_ms,
            .has_drain_ms = type->has_drain_ms,
            .drain_ms = type->drain_ms,
            .is_reentrant = type->is_reentrant,
            .depth_max = type->depth_max,
        };
    }
    const struct tr_actor_host_conf conf = {
        .types = types,
        .types_len = config->types_len,
        .has_drain_ms = config->has_drain_ms,
        .drain_ms = config->drain_ms,
        .is_drain_off = config->is_drain_off,
        .app = app,
    };
    const enum tr_code rc = tr_actor_register(s->engine, &conf, err);
    free(types);
    if (rc == TR_OK) {
        sidecar_placement_start(s);
    }
    return rc;
}

static const struct tr_app_actors *actors_of(struct sidecar *s)
{
    return s->app_http != NULL ? tr_app_channel_actors(s->app_http) : tr_app_hub_actors(s->hub);
}

/*
 * A gRPC app has no /dapr/config: it is registered without types, so that its sidecar becomes ready, and names its types
 * over its event streams. A stream that came first stays as it is.
 * Source: Dapr pkg/runtime/runtime.go, appHealthChanged; tests/integration/suite/actors/metadata/host_grpc.go.
 */
static void register_app(struct sidecar *s)
{
    struct tr_err err;
    if (s->app_grpc != NULL && tr_actor_is_registered(s->engine)) {
        return;
    }
    if (register_types(s, &s->app_config, actors_of(s), &err) != TR_OK) {
        tr_log_warn(&s->log, "actor types of the app cannot be hosted", "reason=%s", err.msg);
        tr_app_config_fini(&s->app_config);
        if (register_types(s, &s->app_config, actors_of(s), &err) != TR_OK) {
            TR_BUG("no types at all can always be registered");
        }
    }
    s->is_app_registered = true;
}

static void unregister_app(struct sidecar *s)
{
    const size_t len = s->app_config.types_len;
    if (!s->is_app_registered) {
        return;
    }
    s->is_app_registered = false;
    struct tr_slice *types = tr_xzalloc(len * sizeof(*types));
    for (size_t i = 0; i < len; i++) {
        types[i] = tr_buf_slice(&s->app_config.types[i].name);
    }
    tr_actor_unregister(s->engine, types, len, true);
    free(types);
}

static enum tr_code on_stream_register(void *ctx, const struct tr_app_config *config, struct tr_err *err)
{
    struct sidecar *s = ctx;
    return register_types(s, config, tr_app_hub_actors(s->hub), err);
}

static void on_stream_unregister(void *ctx, const struct tr_slice *types, size_t types_len)
{
    struct sidecar *s = ctx;
    if (s->state != SIDECAR_STOPPING) {
        tr_actor_unregister(s->engine, types, types_len, true);
    }
}

/* --- the app's configuration ----------------------------------------------------------------------------------------- */

static void on_app_ready(struct sidecar *s)
{
    register_app(s);
    if (s->state == SIDECAR_WAITING) {
        sidecar_move(s, SIDECAR_RUNNING);
        tr_target_ready(&s->targets, TR_TARGET_RUNTIME);
        tr_log_text(&s->log, TR_LOG_INFO, "dapr initialized. Status: Running. Init Elapsed %llums",
                    (unsigned long long)(tr_loop_now_ms(s->loop) - s->started_ms));
    }
}

static void take_app_config(struct sidecar *s, struct tr_http_call *call)
{
    struct tr_err err;
    if (call->status != 200) {
        return; /* an app without actors need not know the path */
    }
    if (tr_app_config_parse(tr_buf_slice(&call->body_out), &s->log, &s->app_config, &err) != TR_OK) {
        tr_log_warn(&s->log, "the app's configuration cannot be used", "reason=%s", err.msg);
    }
}

/*
 * There was no answer, as when the app has been started again meanwhile. The original leaves it at that and hosts nothing
 * until it is started anew itself. We do so only for the time being.
 */
static void ask_again_later(struct sidecar *s, const struct tr_err *err)
{
    if (s->config_failures++ == 0) {
        tr_log_warn(&s->log, "could not retrieve the app's configuration", "reason=%s", err->msg);
    }
    tr_timer_set(&s->app_config_again, tr_loop_now_ms(s->loop) + CONFIG_AGAIN_MS);
}

static void on_app_config(struct tr_http_call *call)
{
    struct sidecar *s = TR_CONTAINER_OF(call, struct sidecar, app_config_call);
    s->is_config_open = false;
    if (s->state != SIDECAR_STOPPING) {
        s->has_app_config = call->err.code == TR_OK;
        if (s->has_app_config) {
            take_app_config(s, call);
        } else {
            ask_again_later(s, &call->err);
        }
        if (tr_app_health_is_healthy(s->health)) {
            on_app_ready(s);
        }
    }
    tr_http_call_fini(call);
}

static void ask_app_config(struct sidecar *s)
{
    if (s->is_config_open || s->has_app_config) {
        return;
    }
    s->is_config_open = true;
    s->app_config_call = (struct tr_http_call){ .body_bytes_max = TR_APP_CONFIG_BYTES, .cb = on_app_config };
    tr_app_channel_get(s->app_http, &s->app_config_call, TR_SLICE_LIT("/dapr/config"));
}

/* If the app is away just now, its return to health leads here too. */
static void on_config_again(struct tr_timer *timer)
{
    struct sidecar *s = TR_CONTAINER_OF(timer, struct sidecar, app_config_again);
    if (tr_app_health_is_healthy(s->health)) {
        ask_app_config(s);
    }
}

static void on_healthy(struct sidecar *s)
{
    s->was_app_healthy = true;
    if (s->app_http == NULL || s->has_app_config) {
        on_app_ready(s);
        return;
    }
    if (s->options->skips_app_config) {
        tr_log_text(&s->log, TR_LOG_INFO, "Skipping programmatic dapr configuration loading");
        s->has_app_config = true;
        on_app_ready(s);
        return;
    }
    ask_app_config(s);
}

static void on_health_change(void *ctx, bool is_healthy)
{
    struct sidecar *s = ctx;
    if (s->state == SIDECAR_STOPPING) {
        return;
    }
    if (s->app_http != NULL) {
        tr_app_channel_set_healthy(s->app_http, is_healthy);
    }
    if (is_healthy) {
        on_healthy(s);
        return;
    }
    unregister_app(s);
    sidecar_stop_blocking(s);
}

/* --- life ----------------------------------------------------------------------------------------------------------- */

/*
 * An answer is kept whole until it is given on. The original knows no limit; the flag means requests, so that answers get
 * at least enough room for all that apps answer in earnest.
 */
static uint64_t answer_bytes_max(const struct tr_sidecar_options *o)
{
    return o->body_bytes_max == 0 || o->body_bytes_max > ANSWER_BYTES_MIN ? o->body_bytes_max : ANSWER_BYTES_MIN;
}

static void new_http_channel(struct sidecar *s)
{
    const struct tr_sidecar_options *o = s->options;
    const struct tr_app_channel_conf conf = {
        .loop = s->loop,
        .host = tr_slice_str(o->flags.app_channel_address),
        .port = o->app_port,
        .protocol = o->app_protocol == TR_APP_H2C ? TR_HTTP_PROTOCOL_2 : TR_HTTP_PROTOCOL_1,
        .app_id = tr_slice_str(o->flags.app_id),
        .ns = tr_slice_str(o->name_space),
        .token = tr_slice_str(o->app_token),
        .concurrency_max = o->concurrency_max,
        .header_bytes_max = o->header_bytes_max,
        .body_bytes_max = answer_bytes_max(o),
    };
    s->app_http = tr_app_channel_new(&conf);
}

static void new_grpc_channel(struct sidecar *s)
{
    struct tr_buf target = { 0 };
    struct tr_err err;
    tr_buf_addf(&target, "%s:%u", s->options->flags.app_channel_address, s->options->app_port);
    const struct tr_rpc_channel_conf conf = { .target = tr_buf_slice(&target),
                                              .message_bytes_max = s->options->body_bytes_max };
    if (tr_rpc_channel_new(s->rpc, &conf, &s->app_grpc, &err) != TR_OK) {
        tr_log_fatal(&s->log, "Fatal error from runtime: %s", err.msg);
    }
    tr_buf_fini(&target);
}

void sidecar_app_init(struct sidecar *s)
{
    const struct tr_app_hub_conf hub_conf = { .loop = s->loop,
                                              .log = &s->log,
                                              .on_register = on_stream_register,
                                              .on_unregister = on_stream_unregister,
                                              .ctx = s };
    s->hub = tr_app_hub_new(&hub_conf);
    tr_timer_init(&s->app_config_again, s->loop, on_config_again);
    if (s->options->app_port == 0) {
        return;
    }
    if (s->options->app_protocol == TR_APP_GRPC) {
        new_grpc_channel(s);
    } else {
        new_http_channel(s);
    }
}

void sidecar_placement_start(struct sidecar *s)
{
    if (s->placement != NULL && !s->is_placement_started) {
        s->is_placement_started = true;
        tr_placement_client_start(s->placement);
    }
}

void sidecar_app_start(struct sidecar *s)
{
    const struct tr_sidecar_options *o = s->options;
    sidecar_move(s, SIDECAR_WAITING);
    if (s->components.actor_store == 0) {
        sidecar_placement_start(s);
    }
    if (o->app_port == 0) {
        on_app_ready(s);
        return;
    }
    const struct tr_app_health_conf conf = {
        .loop = s->loop,
        .log = &s->log,
        .channel = s->app_http,
        .grpc = s->app_grpc,
        .host = tr_slice_str(o->flags.app_channel_address),
        .port = o->app_port,
        .protocol = tr_slice_str(o->app_protocol_name),
        .has_probes = o->flags.enable_app_health_check,
        .path = tr_slice_str(o->flags.app_health_check_path),
        .interval_ms = o->health_interval_ms,
        .timeout_ms = o->health_timeout_ms,
        .threshold = o->health_threshold,
        .on_change = on_health_change,
        .ctx = s,
    };
    s->health = tr_app_health_new(&conf);
}
