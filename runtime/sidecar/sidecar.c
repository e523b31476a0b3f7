/* One sidecar: built in start order. What cannot be made is fatal and says what. */
#include "runtime/sidecar/sidecar_int.h"

#include <stdio.h>
#include <stdlib.h>

#include "runtime/actor/owner.h"
#include "runtime/actor/remote.h"
#include "runtime/base/duration.h"
#include "runtime/base/sm.h"
#include "runtime/sidecar/host.h"

#define LISTEN_ADDRESSES_MAX 16U
/* Source: invocation 2.6. */
#define SERVER_PING_MS         10000U
#define SERVER_PING_TIMEOUT_MS 5000U
#define SERVER_PING_MIN_MS     8000U
#define SERVER_IDLE_MS         180000U
#define SERVER_METADATA_BYTES(header_bytes) ((header_bytes) * 1024U)

static const struct tr_sm_state states[SIDECAR_STATES_LEN] = {
    [SIDECAR_STARTING] = { "starting", TR_SM_TO(SIDECAR_WAITING) | TR_SM_TO(SIDECAR_RUNNING) | TR_SM_TO(SIDECAR_STOPPING) },
    [SIDECAR_WAITING] = { "waiting", TR_SM_TO(SIDECAR_RUNNING) | TR_SM_TO(SIDECAR_BLOCKED) | TR_SM_TO(SIDECAR_STOPPING) },
    [SIDECAR_RUNNING] = { "running", TR_SM_TO(SIDECAR_BLOCKED) | TR_SM_TO(SIDECAR_STOPPING) },
    [SIDECAR_BLOCKED] = { "blocked", TR_SM_TO(SIDECAR_STOPPING) },
    [SIDECAR_STOPPING] = { "stopping", 0 },
};

void sidecar_move(struct sidecar *s, enum sidecar_state to)
{
    tr_sm_move(states, SIDECAR_STATES_LEN, &s->state, to);
}

static _Noreturn void fatal(const struct sidecar *s, const struct tr_err *err)
{
    tr_log_fatal(&s->log, "Fatal error from runtime: %s", err->msg);
}

/* --- addresses ------------------------------------------------------------------------------------------------------ */

/* Call `each` for every listen address of the APIs; succeed if one could be bound. */
static enum tr_code each_address(const char *addresses, void *ctx,
                                 enum tr_code (*each)(void *ctx, const char *host, struct tr_err *err),
                                 struct tr_err *err)
{
    struct tr_slice rest = tr_slice_str(addresses);
    struct tr_slice part;
    enum tr_code rc = TR_INVALID;
    (void)tr_err_set(err, TR_INVALID, "no address to listen on");
    while (tr_slice_split(&rest, ',', &part)) {
        char *host = tr_xstrdup(tr_slice_trim(part));
        struct tr_err one;
        const enum tr_code one_rc = each(ctx, host, &one);
        if (one_rc == TR_OK) {
            rc = TR_OK;
        } else if (rc != TR_OK) {
            *err = one;
        }
        free(host);
    }
    return rc;
}

static void join_address(struct tr_buf *out, const char *host, uint16_t port)
{
    const bool needs_brackets = strchr(host, ':') != NULL && host[0] != '[';
    tr_buf_addf(out, needs_brackets ? "[%s]:%u" : "%s:%u", host, port);
}

/* --- servers -------------------------------------------------------------------------------------------------------- */

static struct tr_http_server *new_http(struct sidecar *s, void (*on_request)(void *, struct tr_http_exchange *), void *ctx)
{
    const struct tr_http_server_conf conf = {
        .on_request = on_request,
        .ctx = ctx,
        .header_bytes_max = s->options->header_bytes_max,
        .h2c_off = s->options->h2c_off,
    };
    return tr_http_server_new(s->loop, &conf);
}

static enum tr_code listen_http(void *ctx, const char *host, struct tr_err *err)
{
    struct sidecar *s = ctx;
    const enum tr_code rc = tr_http_server_listen(s->http, host, s->options->http_port, NULL, err);
    if (rc == TR_OK) {
        tr_log_text(&s->log, TR_LOG_INFO, "HTTP server listening on TCP address: %s:%u", host, s->options->http_port);
    }
    return rc;
}

static void serve_metrics(struct sidecar *s)
{
    struct tr_err err;
    tr_target_need(&s->targets, TR_TARGET_METRICS);
    if (!s->options->flags.enable_metrics || !s->configuration.metrics.is_enabled) {
        tr_target_ready(&s->targets, TR_TARGET_METRICS);
        return;
    }
    s->metrics_http = new_http(s, sidecar_metrics_request, s);
    const char *host = s->options->flags.metrics_listen_address;
    if (tr_http_server_listen(s->metrics_http, host, s->options->metrics_port, NULL, &err) != TR_OK) {
        fatal(s, &err);
    }
    tr_log_text(&s->log, TR_LOG_INFO, "metrics server started on %s:%u/", host, s->options->metrics_port);
    tr_target_ready(&s->targets, TR_TARGET_METRICS);
}

static struct tr_rpc_server_conf grpc_conf(const struct sidecar *s, const struct tr_slice *addresses, size_t addresses_len)
{
    return (struct tr_rpc_server_conf){
        .addresses = addresses,
        .addresses_len = addresses_len,
        .message_bytes_max = s->options->body_bytes_max,
        .metadata_bytes_max = SERVER_METADATA_BYTES(s->options->header_bytes_max),
        .keepalive_ms = SERVER_PING_MS,
        .keepalive_timeout_ms = SERVER_PING_TIMEOUT_MS,
        .ping_min_ms = SERVER_PING_MIN_MS,
        .idle_max_ms = SERVER_IDLE_MS,
    };
}

/* Try one port of the internal server. */
static enum tr_code reserve_port(struct sidecar *s, uint16_t port, struct tr_err *err)
{
    struct tr_buf text = { 0 };
    join_address(&text, s->options->flags.internal_listen_address, port);
    const struct tr_slice address = tr_buf_slice(&text);
    const struct tr_rpc_server_conf conf = grpc_conf(s, &address, 1);
    const enum tr_code rc = tr_rpc_server_new(s->rpc, &conf, &s->internal, err);
    tr_buf_fini(&text);
    return rc;
}

/* Bound before components are opened, so that none of their connections can take it. */
static void reserve_internal(struct sidecar *s)
{
    struct tr_err err;
    enum tr_code rc;
    if (s->options->internal_port != 0) {
        rc = reserve_port(s, s->options->internal_port, &err);
    } else {
        rc = reserve_port(s, tr_host_stable_port(s->options->flags.app_id), &err);
        rc = rc == TR_OK ? rc : reserve_port(s, 0, &err);
    }
    if (rc != TR_OK) {
        fatal(s, &err);
    }
    s->internal_port = tr_rpc_server_port(s->internal, 0);
    const char *listen = s->options->flags.internal_listen_address;
    if (strcmp(listen, "127.0.0.1") == 0 || strcmp(listen, "localhost") == 0 || strcmp(listen, "[::1]") == 0) {
        tr_buf_add_str(&s->host, listen);
    } else {
        tr_host_address(&s->host);
    }
    join_address(&s->host_name, tr_buf_cstr(&s->host), s->internal_port);
    char port[8];
    (void)snprintf(port, sizeof(port), "%u", s->internal_port);
    (void)setenv("DAPR_PORT", port, 1);
    (void)setenv("HOST_ADDRESS", tr_buf_cstr(&s->host), 1);
}

static void socket_path(const struct sidecar *s, const char *kind, struct tr_buf *out)
{
    tr_buf_addf(out, "%s/dapr-%s-%s.socket", s->options->flags.unix_domain_socket, s->options->flags.app_id, kind);
}

struct addresses {
    const struct sidecar *s;
    struct tr_buf texts[LISTEN_ADDRESSES_MAX];
    struct tr_slice slices[LISTEN_ADDRESSES_MAX];
    size_t len;
};

static enum tr_code add_address(void *ctx, const char *host, struct tr_err *err)
{
    struct addresses *addresses = ctx;
    if (addresses->len == LISTEN_ADDRESSES_MAX) {
        return tr_err_set(err, TR_LIMIT, "more than %u addresses to listen on", LISTEN_ADDRESSES_MAX);
    }
    join_address(&addresses->texts[addresses->len], host, addresses->s->options->grpc_port);
    addresses->slices[addresses->len] = tr_buf_slice(&addresses->texts[addresses->len]);
    addresses->len++;
    return TR_OK;
}

static void serve_grpc(struct sidecar *s)
{
    struct addresses addresses = { .s = s };
    struct tr_err err;
    enum tr_code rc = TR_OK;
    if (s->options->flags.unix_domain_socket[0] != '\0') {
        tr_buf_add_str(&addresses.texts[0], "unix:");
        socket_path(s, "grpc", &addresses.texts[0]);
        addresses.slices[0] = tr_buf_slice(&addresses.texts[0]);
        addresses.len = 1;
    } else {
        rc = each_address(s->options->flags.listen_addresses, &addresses, add_address, &err);
    }
    if (rc == TR_OK) {
        const struct tr_rpc_server_conf conf = grpc_conf(s, addresses.slices, addresses.len);
        rc = tr_rpc_server_new(s->rpc, &conf, &s->grpc, &err);
    }
    for (size_t i = 0; i < LISTEN_ADDRESSES_MAX; i++) {
        tr_buf_fini(&addresses.texts[i]);
    }
    if (rc != TR_OK) {
        (void)tr_err_wrap(&err, "failed to start API gRPC server");
        fatal(s, &err);
    }
    tr_api_grpc_add(s->api, s->grpc);
    tr_rpc_server_start(s->grpc);
    tr_target_ready(&s->targets, TR_TARGET_GRPC_API);
    tr_log_text(&s->log, TR_LOG_INFO, "API gRPC server is running on port %u", s->options->grpc_port);
}

static void serve_http(struct sidecar *s)
{
    struct tr_err err;
    enum tr_code rc;
    s->http = new_http(s, tr_api_http_request, s->api);
    if (s->options->flags.unix_domain_socket[0] != '\0') {
        struct tr_buf path = { 0 };
        socket_path(s, "http", &path);
        rc = tr_http_server_listen_unix(s->http, tr_buf_cstr(&path), &err);
        tr_buf_fini(&path);
    } else {
        rc = each_address(s->options->flags.listen_addresses, s, listen_http, &err);
    }
    if (rc != TR_OK) {
        (void)tr_err_wrap(&err, "failed to start HTTP server");
        fatal(s, &err);
    }
    tr_log_text(&s->log, TR_LOG_INFO, "HTTP server is running on port %u", s->options->http_port);
    if (s->options->public_port == 0) {
        return;
    }
    s->public_http = new_http(s, tr_api_http_public_request, s->api);
    if (tr_http_server_listen(s->public_http, s->options->flags.public_listen_address, s->options->public_port, NULL,
                              &err) != TR_OK) {
        (void)tr_err_wrap(&err, "failed to start HTTP server");
        fatal(s, &err);
    }
}

static void serve_internal(struct sidecar *s)
{
    tr_api_internal_add(s->api, s->internal);
    tr_rpc_server_start(s->internal);
    tr_target_ready(&s->targets, TR_TARGET_GRPC_INTERNAL);
    tr_log_text(&s->log, TR_LOG_INFO, "Internal gRPC server is running on %s:%u",
                s->options->flags.internal_listen_address, s->internal_port);
}

/* --- placement and actors -------------------------------------------------------------------------------------------- */

static void on_update(void *ctx, uint64_t token, const struct tr_slice *types, size_t types_len)
{
    tr_actor_on_update(((struct sidecar *)ctx)->engine, token, types, types_len);
}

static void on_lost(void *ctx, uint64_t token)
{
    tr_actor_on_lost(((struct sidecar *)ctx)->engine, token);
}

static void on_placement_ready(void *ctx)
{
    tr_target_ready(&((struct sidecar *)ctx)->targets, TR_TARGET_PLACEMENT);
}

static void new_placement(struct sidecar *s)
{
    const struct tr_sidecar_options *o = s->options;
    struct tr_slice *addresses = tr_xzalloc(o->placement_addresses_len * sizeof(*addresses));
    for (size_t i = 0; i < o->placement_addresses_len; i++) {
        addresses[i] = tr_slice_str(o->placement_addresses[i]);
    }
    const struct tr_placement_client_conf conf = {
        .loop = s->loop,
        .rpc = s->rpc,
        .log = &s->log,
        .addresses = addresses,
        .addresses_len = o->placement_addresses_len,
        .is_resolved_each_time = strcmp(o->flags.mode, "kubernetes") == 0,
        .name = tr_buf_slice(&s->host_name),
        .app_id = tr_slice_str(o->flags.app_id),
        .ns = tr_slice_str(o->name_space),
        .round_limit_ms = tr_duration_ms_up(o->flags.disseminate_timeout_ns),
        .events = { .on_update = on_update, .on_lost = on_lost, .on_ready = on_placement_ready },
        .ctx = s,
    };
    struct tr_err err;
    const enum tr_code rc = tr_placement_client_new(&conf, &s->placement, &err);
    free(addresses);
    if (rc != TR_OK) {
        fatal(s, &err);
    }
    tr_target_need(&s->targets, TR_TARGET_PLACEMENT);
}

static void new_engine(struct sidecar *s)
{
    struct tr_actor_engine_conf conf = {
        .loop = s->loop,
        .log = &s->log,
        .remote = tr_actor_remote_over(s->peers),
        .is_disabled = s->placement == NULL,
        .is_suspended = s->components.actor_store == 0,
        .round_limit_ms = tr_duration_ms_up(s->options->flags.disseminate_timeout_ns),
    };
    if (s->placement != NULL) {
        conf.owner = tr_actor_owner_placement(s->placement);
    } else {
        tr_log_text(&s->log, TR_LOG_INFO, "Actor runtime disabled: no placement address is configured");
    }
    s->engine = tr_actor_engine_new(&conf);
    if (s->components.actor_store == 0) {
        return;
    }
    struct tr_store *store = s->components.items[s->components.actor_store - 1].store;
    const unsigned needed = TR_STORE_ETAG | TR_STORE_TRANSACTION;
    const struct tr_actor_state_conf state_conf = {
        .store = store,
        .is_capable = (tr_store_features(store) & needed) == needed,
        .has_ttl = tr_configuration_has_feature(&s->configuration, "ActorStateTTL"),
        .app_id = tr_slice_str(s->options->flags.app_id),
    };
    tr_actor_state_set(s->engine, &state_conf);
}

/* --- the API -------------------------------------------------------------------------------------------------------- */

static bool is_ready(void *ctx, struct tr_buf *out_unready)
{
    const struct sidecar *s = ctx;
    if (s->state == SIDECAR_STOPPING) {
        tr_buf_add_str(out_unready, "runtime");
        return false;
    }
    return tr_targets_are_ready(&s->targets, out_unready);
}

static bool is_outbound_ready(void *ctx)
{
    return ((const struct sidecar *)ctx)->is_outbound_ready;
}

static bool get_component(void *ctx, size_t i, struct tr_api_component *out)
{
    const struct sidecar *s = ctx;
    if (i >= s->components.len) {
        return false;
    }
    const struct tr_component *component = &s->components.items[i];
    const unsigned needed = TR_STORE_ETAG | TR_STORE_TRANSACTION;
    *out = (struct tr_api_component){
        .name = tr_buf_slice(&component->name),
        .type = tr_buf_slice(&component->type),
        .version = tr_buf_slice(&component->version),
        .features = component->store != NULL ? tr_store_features(component->store) : 0,
        .is_state = component->store != NULL,
    };
    out->can_host_actors = out->is_state && (out->features & needed) == needed;
    return true;
}

static bool is_placement_connected(void *ctx)
{
    const struct sidecar *s = ctx;
    return s->placement != NULL && tr_placement_is_ready(s->placement);
}

static struct tr_api_app describe_app(const struct tr_sidecar_options *o)
{
    return (struct tr_api_app){
        .has_app = o->app_port != 0,
        .port = o->app_port,
        .protocol = tr_slice_str(o->app_protocol_name),
        .address = tr_slice_str(o->flags.app_channel_address),
        .concurrency_max = (int32_t)o->concurrency_max,
        .has_health = o->flags.enable_app_health_check,
        .health_path = o->app_protocol < TR_APP_GRPC ? tr_slice_str(o->flags.app_health_check_path) : TR_SLICE_LIT(""),
        .health_interval_ms = o->health_interval_ms,
        .health_timeout_ms = o->health_timeout_ms,
        .health_threshold = (int32_t)o->health_threshold,
    };
}

static void new_api(struct sidecar *s)
{
    const struct tr_sidecar_options *o = s->options;
    const bool has_flag = tr_args_is_set(&o->args, "enable-api-logging");
    const struct tr_api_conf conf = {
        .loop = s->loop,
        .sink = s->sink,
        .engine = s->engine,
        .metrics = s->metrics_http != NULL ? &s->metrics : NULL,
        .app_id = tr_slice_str(o->flags.app_id),
        .version = TR_SLICE_LIT("edge"),
        .token = tr_slice_str(o->api_token),
        .configuration = &s->configuration,
        .features = s->features,
        .features_len = s->features_len,
        .body_bytes_max = o->body_bytes_max,
        .has_log = has_flag ? o->flags.enable_api_logging : s->configuration.api_log_enabled == TR_YES,
        .has_log_obfuscated = s->configuration.api_log_obfuscates,
        .log_skips_health = s->configuration.api_log_omits_health,
        .has_placement = s->placement != NULL,
        .is_app_http = o->app_port != 0 && o->app_protocol < TR_APP_GRPC,
        .on_actor_stream = tr_app_hub_accept,
        .actor_stream_ctx = s->hub,
        .is_ready = is_ready,
        .is_outbound_ready = is_outbound_ready,
        .on_shutdown = sidecar_on_shutdown_call,
        .component = get_component,
        .is_placement_connected = is_placement_connected,
        .ctx = s,
        .app = describe_app(o),
    };
    s->api = tr_api_new(&conf);
    for (size_t i = 0; i < s->components.len; i++) {
        const struct tr_component *component = &s->components.items[i];
        if (component->store != NULL) {
            tr_api_store_set(s->api, tr_buf_slice(&component->name), tr_buf_slice(&component->key_prefix),
                             tr_slice_str(o->raw_name_space), component->store);
        }
    }
}

/* --- one run -------------------------------------------------------------------------------------------------------- */

static const char *environment(const char *name)
{
    return getenv(name);
}

static void load_configuration(struct sidecar *s)
{
    const struct tr_arg_list *files = &s->options->flags.config;
    struct tr_err err;
    enum tr_code rc = TR_OK;
    tr_configuration_init(&s->configuration);
    if (files->len == 0) {
        tr_log_text(&s->log, TR_LOG_INFO, "loading default configuration");
    }
    for (size_t i = 0; i < files->len && rc == TR_OK; i++) {
        rc = tr_configuration_load(&s->configuration, files->items[i], environment, &err);
    }
    rc = rc == TR_OK ? tr_configuration_check(&s->configuration, &err) : rc;
    if (rc != TR_OK) {
        (void)tr_err_wrap(&err, "error loading configuration");
        fatal(s, &err);
    }
}

/* Names of the features that are on: those that are listed, and the defaults. */
static void collect_features(struct sidecar *s)
{
    static const char *const defaults[] = { "HotReload", "WorkflowsRemoteActivityReminder" };
    const struct tr_configuration *c = &s->configuration;
    struct tr_buf text = { 0 };
    s->features = tr_xzalloc((c->features.len + TR_ARRAY_LEN(defaults)) * sizeof(*s->features));
    for (size_t i = 0; i < c->features.len + TR_ARRAY_LEN(defaults); i++) {
        const char *name = i < c->features.len ? c->features.items[i].name : defaults[i - c->features.len];
        bool is_new = tr_configuration_has_feature(c, name);
        for (size_t j = 0; j < s->features_len && is_new; j++) {
            is_new = !tr_slice_eq_str(s->features[j], name);
        }
        if (is_new) {
            s->features[s->features_len++] = tr_slice_str(name);
            tr_buf_addf(&text, "%s%s", text.len > 0 ? " " : "", name);
        }
    }
    tr_log_text(&s->log, TR_LOG_INFO, "Enabled features: [%s]", tr_buf_cstr(&text));
    tr_buf_fini(&text);
}

static void load(struct sidecar *s)
{
    load_configuration(s);
    collect_features(s);
    tr_log_text(&s->log, TR_LOG_INFO, "standalone mode configured");
    tr_log_text(&s->log, TR_LOG_INFO, "app id: %s", s->options->flags.app_id);
    if (s->options->flags.scheduler_host_address.len == 0) {
        tr_log_text(&s->log, TR_LOG_INFO, "Scheduler disabled: no scheduler address is configured");
    } else {
        tr_log_text(&s->log, TR_LOG_WARN, "Scheduler addresses are ignored: reminders and jobs are not served yet");
    }
}

static void start(struct sidecar *s)
{
    struct tr_err err;
    const struct tr_rpc_conf rpc_conf = { 0 };
    if (tr_rpc_new(s->loop, &rpc_conf, &s->rpc, &err) != TR_OK) {
        fatal(s, &err);
    }
    tr_target_need(&s->targets, TR_TARGET_SECURITY);
    tr_target_ready(&s->targets, TR_TARGET_SECURITY);
    tr_target_need(&s->targets, TR_TARGET_GRPC_API);
    tr_target_need(&s->targets, TR_TARGET_GRPC_INTERNAL);
    tr_target_need(&s->targets, TR_TARGET_RUNTIME);
    load(s);
    serve_metrics(s);
    reserve_internal(s);
    if (tr_components_load(&s->components, s->options, &s->configuration, &err) != TR_OK) {
        fatal(s, &err);
    }
    const struct tr_peers_conf peers_conf = {
        .loop = s->loop, .rpc = s->rpc, .log = &s->log, .message_bytes_max = s->options->body_bytes_max
    };
    s->peers = tr_peers_new(&peers_conf);
    if (s->options->placement_addresses_len > 0) {
        new_placement(s);
    }
    new_engine(s);
    sidecar_app_init(s);
    new_api(s);
    serve_grpc(s);
    serve_http(s);
    serve_internal(s);
    s->is_outbound_ready = true;
    sidecar_app_start(s);
}

static void free_parts(struct sidecar *s)
{
    tr_placement_client_free(&s->placement);
    tr_actor_engine_free(&s->engine);
    tr_api_free(&s->api);
    tr_http_server_free(&s->http);
    tr_http_server_free(&s->public_http);
    tr_http_server_free(&s->metrics_http);
    tr_components_fini(&s->components);
    tr_configuration_fini(&s->configuration);
    free(s->features);
    tr_app_config_fini(&s->app_config);
    tr_metrics_fini(&s->metrics);
    tr_buf_fini(&s->host);
    tr_buf_fini(&s->host_name);
    tr_fd_watch_free(&s->on_signals);
}

/* Returns whether another run is wanted. */
static bool run(const struct tr_sidecar_options *options, struct tr_log_sink *sink, struct sidecar_signals *signals)
{
    struct sidecar *s = tr_xzalloc(sizeof(*s));
    s->options = options;
    s->sink = sink;
    tr_log_init(&s->log, sink, "dapr.runtime");
    s->loop = tr_loop_new();
    s->started_ms = tr_loop_now_ms(s->loop);
    tr_metrics_init(&s->metrics, options->flags.app_id);
    tr_components_init(&s->components, s->loop, &s->log);
    sidecar_watch_signals(s, signals);
    start(s);
    tr_tidy_start(&s->tidy, s->loop);
    tr_files_watch(&s->files, s->loop, &s->log);
    tr_loop_run(s->loop);
    tr_files_unwatch(&s->files);
    tr_tidy_stop(&s->tidy);
    const bool is_reload = s->is_reload;
    free_parts(s);
    tr_loop_free(&s->loop);
    free(s);
    return is_reload;
}

void tr_sidecar_run(const struct tr_sidecar_options *options, struct tr_log_sink *sink)
{
    struct sidecar_signals signals = { .sidecar = NULL };
    struct tr_log log;
    tr_log_init(&log, sink, "dapr.runtime");
    sidecar_signals_init(&signals, &log);
    while (run(options, sink, &signals)) {
    }
    sidecar_signals_fini(&signals);
}
