/*
 * The placement process.
 *
 * Start: options, log, loop, gRPC, endpoints, service; anything that fails is fatal and says what. Everything is there
 * before the loop runs, so a probe never sees a half-built process.
 *
 * Stop, on the first signal: the service ends its streams, the gRPC server closes, then the HTTP endpoints, then gRPC,
 * then the loop. What does not finish within STOP_GRACE_MS (a peer that does not read) is cut. A second signal ends the
 * process at once.
 */
#include "placement/role.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "invoke/rpc_server.h"
#include "placement/admin.h"
#include "placement/options.h"
#include "placement/resolve.h"
#include "placement/server.h"
#include "placement/wire.h"
#include "runtime/base/duration.h"
#include "runtime/base/files.h"
#include "runtime/base/metric.h"
#include "runtime/base/net.h"
#include "runtime/base/tidy.h"

#define STOP_GRACE_MS 2000

/* Source: Dapr pkg/placement/monitoring/metrics.go. */
static const struct tr_metric_spec runtimes_spec = {
    .name = "dapr_placement_runtimes_total",
    .help = "The total number of runtimes reported to placement service.",
    .kind = TR_METRIC_GAUGE,
    .labels = { "host_namespace" },
};
static const struct tr_metric_spec actor_runtimes_spec = {
    .name = "dapr_placement_actor_runtimes_total",
    .help = "The total number of actor runtimes reported to placement service.",
    .kind = TR_METRIC_GAUGE,
    .labels = { "host_namespace" },
};
static const struct tr_metric_spec leader_spec = {
    .name = "dapr_placement_leader_status",
    .help = "Placement server leadership status (1 for leader, 0 for not leader).",
    .kind = TR_METRIC_GAUGE,
};
static const struct tr_metric_spec raft_leader_spec = {
    .name = "dapr_placement_raft_leader_status",
    .help = "Raft server leadership status (1 for leader, 0 for not leader).",
    .kind = TR_METRIC_GAUGE,
};

struct role {
    struct tr_placement_options options;
    struct tr_log_sink sink;
    struct tr_log log;
    struct tr_loop *loop;
    struct tr_rpc *rpc;
    struct tr_rpc_server *rpc_server; /* NULL once it is closing and may be gone */
    struct tr_placement_server *server;
    struct tr_listener *peers; /* NULL where it could not be opened */
    struct tr_placement_admin admin;
    struct tr_metrics metrics;
    struct tr_metric runtimes;
    struct tr_metric actor_runtimes;
    struct tr_metric leader;
    struct tr_metric raft_leader;
    struct tr_signal_watch *on_int;
    struct tr_signal_watch *on_term;
    struct tr_tidy tidy;
    struct tr_files files;
    struct tr_timer grace;
    bool is_stopping;
};

/* --- stop --------------------------------------------------------------------------------------------------------- */

static void on_rpc_closed(void *ctx)
{
    struct role *role = ctx;
    tr_loop_stop(role->loop);
}

static void on_admin_closed(void *ctx)
{
    struct role *role = ctx;
    tr_rpc_close(role->rpc, on_rpc_closed, role);
}

static void on_rpc_server_closed(void *ctx)
{
    struct role *role = ctx;
    role->rpc_server = NULL;
    tr_timer_stop(&role->grace);
    tr_log_info(&role->log, "Placement GRPC server stopped", NULL);
    tr_placement_admin_close(&role->admin, tr_loop_now_ms(role->loop) + STOP_GRACE_MS,
                             on_admin_closed, role);
}

static void on_server_closed(void *ctx)
{
    struct role *role = ctx;
    role->admin.server = NULL;
    tr_placement_server_free(&role->server);
    tr_rpc_server_close(role->rpc_server, on_rpc_server_closed, role);
}

static void on_grace_over(struct tr_timer *timer)
{
    struct role *role = TR_CONTAINER_OF(timer, struct role, grace);
    if (role->rpc_server != NULL) {
        tr_rpc_server_cancel_calls(role->rpc_server);
    }
}

static void on_signal(void *ctx, int signum)
{
    struct role *role = ctx;
    const char *name = signum == SIGINT ? "interrupt" : "terminated";
    if (role->is_stopping) {
        tr_log_fatal(&role->log, "Received signal '%s' during shutdown; exiting immediately", name);
    }
    role->is_stopping = true;
    tr_log_text(&role->log, TR_LOG_INFO, "Received signal '%s'; beginning shutdown", name);
    role->admin.is_ready[TR_TARGET_GRPC] = false;
    tr_listener_close(&role->peers);
    role->admin.is_ready[TR_TARGET_LEADERSHIP] = false;
    tr_timer_set(&role->grace, tr_loop_now_ms(role->loop) + STOP_GRACE_MS);
    tr_placement_server_close(role->server, on_server_closed, role);
}

/* --- start -------------------------------------------------------------------------------------------------------- */

static void on_gauges(void *ctx, struct tr_slice ns, size_t runtimes, size_t actor_runtimes)
{
    struct role *role = ctx;
    tr_metric_set(&role->runtimes, TR_LABELS(ns), (double)runtimes);
    tr_metric_set(&role->actor_runtimes, TR_LABELS(ns), (double)actor_runtimes);
}

static void init_log(struct role *role)
{
    const struct tr_placement_options *o = &role->options;
    role->sink.level = o->log_level;
    role->sink.json = o->log_as_json;
    struct tr_err err;
    if (o->log_file[0] != '\0' && tr_log_sink_open(&role->sink, o->log_file, &err) != TR_OK) {
        tr_log_fatal(&role->log, "%s", err.msg);
    }
    tr_log_text(&role->log, TR_LOG_INFO,
                "Starting Dapr Placement Service -- version %s -- commit %s", role->sink.ver,
                "unknown");
    tr_log_text(&role->log, TR_LOG_INFO, "Log level set to: %s", o->log_level_name);
}

static void init_metrics(struct role *role)
{
    tr_metrics_init(&role->metrics, NULL);
    tr_metric_init(&role->runtimes, &role->metrics, &runtimes_spec);
    tr_metric_init(&role->actor_runtimes, &role->metrics, &actor_runtimes_spec);
    tr_metric_init(&role->leader, &role->metrics, &leader_spec);
    tr_metric_init(&role->raft_leader, &role->metrics, &raft_leader_spec);
}

/* "host:port", with brackets around an IPv6 host. */
static void join_address(const char *host, int64_t port, struct tr_buf *out)
{
    bool is_v6 = strchr(host, ':') != NULL && host[0] != '[';
    tr_buf_addf(out, is_v6 ? "[%s]:%lld" : "%s:%lld", host, (long long)port);
}

static void serve_grpc(struct role *role)
{
    const struct tr_placement_options *o = &role->options;
    struct tr_err err;
    struct tr_buf text = { 0 };
    join_address(o->listen_address, o->port, &text);
    const struct tr_slice address = tr_buf_slice(&text);
    const struct tr_rpc_server_conf conf = {
        .addresses = &address,
        .addresses_len = 1,
        .message_bytes_max = TR_ORDER_BYTES_MAX,
        .keepalive_ms = tr_duration_ms_up(o->keepalive_time_ns),
        .keepalive_timeout_ms = tr_duration_ms_up(o->keepalive_timeout_ns),
    };
    if (tr_rpc_server_new(role->rpc, &conf, &role->rpc_server, &err) != TR_OK) {
        tr_log_fatal(&role->log, "failed to listen: %s", err.msg);
    }
    tr_log_text(&role->log, TR_LOG_INFO, "Placement service started on port %u",
                (unsigned)tr_rpc_server_port(role->rpc_server, 0));
    const struct tr_placement_server_conf server_conf = {
        .loop = role->loop,
        .rpc_server = role->rpc_server,
        .log = &role->log,
        .id = o->id,
        .limit_ms = tr_duration_ms_up(o->disseminate_timeout_ns),
        .limit_text = o->limit_text,
        .coalesce_ms = tr_duration_ms_up(o->disseminate_coalesce_ns),
        .factor = o->replication_factor,
        .on_gauges = on_gauges,
        .ctx = role,
    };
    role->server = tr_placement_server_new(&server_conf);
    role->admin.server = role->server;
    tr_rpc_server_start(role->rpc_server);
    tr_log_text(&role->log, TR_LOG_INFO, "Running Placement gRPC server on %s", tr_buf_cstr(&text));
    tr_buf_fini(&text);
    role->admin.is_ready[TR_TARGET_GRPC] = true;
}

static void on_peer(void *ctx, struct tr_stream *stream)
{
    (void)ctx;
    tr_stream_close(stream, NULL, NULL);
}

/*
 * The port of the peers is held, so that nobody else takes it and probes find it open, and every connection is closed:
 * members have nothing to say to each other before there are elections. That it cannot be held is no reason not to serve.
 */
static void hold_peer_port(struct role *role)
{
    struct tr_slice host;
    struct tr_slice port;
    struct tr_err err;
    tr_address_split(role->options.peer_address, &host, &port);
    char *host_text = tr_xstrdup(host);
    char *port_text = tr_xstrdup(port);
    long number = strtol(port_text, NULL, 10);
    if (number < 1 || number > UINT16_MAX ||
        tr_listen_tcp(role->loop, host_text, (uint16_t)number, on_peer, role, &role->peers, &err) !=
            TR_OK) {
        tr_log_warn(&role->log, "The port of the placement members is not held", "address=%.*s",
                    TR_SLICE_ARG(role->options.peer_address));
    }
    free(host_text);
    free(port_text);
}

/* Without elections the smallest id leads; a single member always does. */
static void lead_or_follow(struct role *role)
{
    const struct tr_placement_options *o = &role->options;
    role->admin.is_ready[TR_TARGET_LEADERSHIP] = true;
    if (o->initial_cluster.len > 1) {
        tr_log_warn(
            &role->log,
            "A cluster of placement members has no failover yet: the smallest id leads, or nobody",
            "members=%zu", o->initial_cluster.len);
    }
    if (!o->leads) {
        tr_log_text(&role->log, TR_LOG_INFO, "Node id=%s is waiting for leadership", o->id);
        return;
    }
    tr_placement_server_lead(role->server, true);
    tr_metric_set(&role->leader, NULL, 1);
    tr_metric_set(&role->raft_leader, NULL, 1);
    tr_log_text(&role->log, TR_LOG_INFO, "Node id=%s has acquired leadership", o->id);
}

static void serve_http(struct role *role)
{
    const struct tr_placement_options *o = &role->options;
    struct tr_err err;
    role->admin.loop = role->loop;
    role->admin.log = &role->log;
    role->admin.metrics = &role->metrics;
    role->admin.is_state_shown = o->metadata_enabled;
    role->admin.is_ready[TR_TARGET_SECURITY] = true; /* there is nothing to wait for without TLS */
    role->admin.is_ready[TR_TARGET_METRICS] = !o->enable_metrics;
    if (o->enable_metrics &&
        tr_placement_admin_serve_metrics(&role->admin, o->listen_address, (uint16_t)o->metrics_port,
                                         &err) != TR_OK) {
        tr_log_fatal(&role->log, "failed to run metrics server: %s", err.msg);
    }
    if (tr_placement_admin_serve_health(&role->admin, o->healthz_listen_address,
                                        (uint16_t)o->healthz_port, &err) != TR_OK) {
        tr_log_fatal(&role->log, "failed to run healthz server: %s", err.msg);
    }
}

static void start(struct role *role)
{
    struct tr_err err;
    const struct tr_rpc_conf rpc_conf = { 0 };
    if (role->options.tls_enabled) {
        tr_log_fatal(&role->log, "--tls-enabled: mutual TLS is not available in this version");
    }
    role->loop = tr_loop_new();
    tr_timer_init(&role->grace, role->loop, on_grace_over);
    if (tr_rpc_new(role->loop, &rpc_conf, &role->rpc, &err) != TR_OK ||
        tr_signal_watch_new(role->loop, SIGINT, on_signal, role, &role->on_int, &err) != TR_OK ||
        tr_signal_watch_new(role->loop, SIGTERM, on_signal, role, &role->on_term, &err) != TR_OK) {
        tr_log_fatal(&role->log, "%s", err.msg);
    }
    hold_peer_port(role);
    serve_http(role);
    serve_grpc(role);
    lead_or_follow(role);
}

static void finish(struct role *role)
{
    tr_signal_watch_free(&role->on_int);
    tr_signal_watch_free(&role->on_term);
    tr_placement_admin_fini(&role->admin);
    tr_loop_free(&role->loop);
    tr_metric_fini(&role->runtimes);
    tr_metric_fini(&role->actor_runtimes);
    tr_metric_fini(&role->leader);
    tr_metric_fini(&role->raft_leader);
    tr_metrics_fini(&role->metrics);
    tr_log_info(&role->log, "Placement service shut down gracefully", NULL);
    tr_log_sink_fini(&role->sink);
    tr_placement_options_fini(&role->options);
}

int tr_placement_main(int argc, char **argv)
{
    struct role *role = tr_xzalloc(sizeof(*role));
    const struct tr_placement_env env = {
        .metadata_enabled = getenv("DAPR_PLACEMENT_METADATA_ENABLED"),
        .namespace_name = getenv("NAMESPACE"),
    };
    struct tr_err err;
    tr_log_sink_init(&role->sink);
    tr_log_init(&role->log, &role->sink, "dapr.placement");
    if (tr_placement_options_read(&role->options, argc, argv, &env, &err) != TR_OK) {
        tr_log_fatal(&role->log, "%s", err.msg);
    }
    init_log(role);
    init_metrics(role);
    start(role);
    tr_tidy_start(&role->tidy, role->loop);
    tr_files_watch(&role->files, role->loop, &role->log);
    tr_loop_run(role->loop);
    tr_files_unwatch(&role->files);
    tr_tidy_stop(&role->tidy);
    finish(role);
    free(role);
    return 0;
}
