/* The placement process's flags. */
#include "placement/options.h"

#include <stdio.h>

#include "placement/ring.h"
#include "runtime/base/duration.h"

#define ROW(field, type, name, value, text)                                                        \
    TR_ARG_ROW(struct tr_placement_options, field, type, name, value, text)

static const struct tr_arg rows[] = {
    ROW(id, TR_ARG_STRING, "id", "dapr-placement-0", "Placement server ID"),
    ROW(initial_cluster, TR_ARG_LIST, "initial-cluster", "dapr-placement-0=127.0.0.1:8201",
        "Members of the cluster, id=host:port each"),
    ROW(inmem_store_enabled, TR_ARG_BOOL, "inmem-store-enabled", "true", "Accepted, no effect"),
    ROW(raft_logstore_path, TR_ARG_STRING, "raft-logstore-path", NULL, "Accepted, no effect"),
    ROW(port, TR_ARG_INT, "port", "50005", "Port of the placement service"),
    ROW(listen_address, TR_ARG_STRING, "listen-address", NULL,
        "Address of the placement service and its metrics; all if empty"),
    ROW(healthz_port, TR_ARG_INT, "healthz-port", "8080", "Port of the health endpoint"),
    ROW(healthz_listen_address, TR_ARG_STRING, "healthz-listen-address", NULL,
        "Address of the health endpoint; all if empty"),
    ROW(tls_enabled, TR_ARG_BOOL, "tls-enabled", NULL, "Mutual TLS"),
    ROW(metadata_enabled, TR_ARG_BOOL, "metadata-enabled", NULL,
        "Show the placement tables at /placement/state of the health endpoint"),
    ROW(replication_factor, TR_ARG_INT, "replicationFactor", "100",
        "Virtual nodes of each host on the hash ring"),
    ROW(keepalive_time_ns, TR_ARG_DURATION, "keepalive-time", "2s",
        "Silence after which a sidecar is pinged, 1s to 10s"),
    ROW(keepalive_timeout_ns, TR_ARG_DURATION, "keepalive-timeout", "3s",
        "How long it may take to answer the ping, 1s to 10s"),
    ROW(disseminate_timeout_ns, TR_ARG_DURATION, "disseminate-timeout", "8s",
        "Limit of a dissemination round; sidecars that did not answer by then are closed"),
    ROW(disseminate_coalesce_ns, TR_ARG_DURATION, "disseminate-coalesce-window", NULL,
        "Collect what happens this long after a round into the next one; 0 for off"),
    ROW(trust_domain, TR_ARG_STRING, "trust-domain", "localhost",
        "Trust domain of the control plane"),
    ROW(trust_anchors_file, TR_ARG_STRING, "trust-anchors-file",
        "/var/run/secrets/dapr.io/tls/ca.crt", "Trust anchors of the control plane"),
    ROW(sentry_address, TR_ARG_STRING, "sentry-address", NULL,
        "Address of Sentry (default dapr-sentry.<namespace>.svc:443)"),
    ROW(mode, TR_ARG_STRING, "mode", "standalone", "standalone or kubernetes"),
    { .name = "max-api-level",
      .type = TR_ARG_INT,
      .offset = offsetof(struct tr_placement_options, max_api_level),
      .fallback = "10",
      .help = "Accepted, no effect",
      .deprecated = "this flag will be removed in future releases",
      .is_hidden = true },
    { .name = "min-api-level",
      .type = TR_ARG_INT,
      .offset = offsetof(struct tr_placement_options, min_api_level),
      .fallback = "0",
      .help = "Accepted, no effect",
      .deprecated = "this flag will be removed in future releases",
      .is_hidden = true },
    ROW(log_level_name, TR_ARG_STRING, "log-level", "info", "debug, info, warn, error or fatal"),
    ROW(log_file, TR_ARG_STRING, "log-file", NULL, "Log to this file instead of stdout"),
    ROW(log_as_json, TR_ARG_BOOL, "log-as-json", NULL, "One JSON object per line"),
    ROW(metrics_port_text, TR_ARG_STRING, "metrics-port", "9090", "Port of the metrics endpoint"),
    ROW(metrics_listen_address, TR_ARG_STRING, "metrics-listen-address", "0.0.0.0",
        "Accepted, no effect: metrics are where the placement service is"),
    ROW(enable_metrics, TR_ARG_BOOL, "enable-metrics", "true", "Serve metrics"),
};

static const struct tr_args_spec spec = {
    .program = "placement",
    .style = TR_ARGS_PFLAG_DASH,
    .rows = rows,
    .rows_len = TR_ARRAY_LEN(rows),
};

/* "<id>=<address>" with exactly one '=', blanks around each. */
static bool parse_member(const char *item, struct tr_slice *out_id, struct tr_slice *out_address)
{
    struct tr_slice rest = tr_slice_str(item);
    if (!tr_slice_split(&rest, '=', out_id) || !tr_slice_split(&rest, '=', out_address) ||
        rest.ptr != NULL) {
        return false;
    }
    *out_id = tr_slice_trim(*out_id);
    *out_address = tr_slice_trim(*out_address);
    return true;
}

static enum tr_code set_not_found(const struct tr_arg_list *cluster, struct tr_slice id,
                                  struct tr_err *err)
{
    struct tr_buf peers = { 0 };
    for (size_t i = 0; i < cluster->len; i++) {
        tr_buf_addf(&peers, "%s%s", i == 0 ? "" : " ", cluster->items[i]);
    }
    (void)tr_err_set(err, TR_INVALID, "address for node %.*s not found in raft peers [%s]",
                     TR_SLICE_ARG(id), tr_buf_cstr(&peers));
    tr_buf_fini(&peers);
    return TR_INVALID;
}

enum tr_code tr_placement_options_member(const struct tr_arg_list *cluster, struct tr_slice id,
                                         bool *out_leads, struct tr_slice *out_address,
                                         struct tr_err *err)
{
    bool is_member = false;
    bool is_smallest = true;
    struct tr_slice own = { 0 };
    for (size_t i = 0; i < cluster->len; i++) {
        struct tr_slice member;
        struct tr_slice address;
        if (!parse_member(cluster->items[i], &member, &address)) {
            continue;
        }
        if (!is_member && tr_slice_eq(member, id)) {
            is_member = true;
            own = address;
        }
        is_smallest &= tr_slice_cmp(id, member) <= 0;
    }
    if (!is_member) {
        return set_not_found(cluster, id, err);
    }
    *out_leads = is_smallest;
    *out_address = own;
    return TR_OK;
}

static enum tr_code check_keepalive(const char *name, int64_t ns, struct tr_err *err)
{
    if (ns >= TR_PLACEMENT_KEEPALIVE_MIN_MS * TR_NS_PER_MS &&
        ns <= TR_PLACEMENT_KEEPALIVE_MAX_MS * TR_NS_PER_MS) {
        return TR_OK;
    }
    struct tr_buf text = { 0 };
    tr_duration_add(&text, ns);
    enum tr_code rc = tr_err_set(err, TR_INVALID,
                                 "invalid value for %s: value should be between 1s and 10s, got %s",
                                 name, tr_buf_cstr(&text));
    tr_buf_fini(&text);
    return rc;
}

static enum tr_code check_port(const char *name, int64_t port, struct tr_err *err)
{
    if (port < 0 || port > UINT16_MAX) {
        return tr_err_set(err, TR_INVALID, "invalid value for %s: %lld is no port", name,
                          (long long)port);
    }
    return TR_OK;
}

static enum tr_code parse_port(const char *name, const char *text, int64_t *out_port,
                               struct tr_err *err)
{
    int64_t port = 0;
    size_t i = 0;
    for (; text[i] >= '0' && text[i] <= '9' && port <= UINT16_MAX; i++) {
        port = 10 * port + (text[i] - '0');
    }
    if (i == 0 || text[i] != '\0') {
        return tr_err_set(err, TR_INVALID, "invalid value for %s: '%s' is no port", name, text);
    }
    *out_port = port;
    return check_port(name, port, err);
}

static enum tr_code check_rounds(const struct tr_placement_options *o, struct tr_err *err)
{
    if (o->replication_factor < 1 || o->replication_factor > TR_RING_FACTOR_MAX) {
        return tr_err_set(
            err, TR_INVALID,
            "invalid value for replicationFactor: value should be between 1 and %d, got %lld",
            TR_RING_FACTOR_MAX, (long long)o->replication_factor);
    }
    if (o->disseminate_timeout_ns <= 0) {
        return tr_err_set(err, TR_INVALID,
                          "invalid value for disseminate-timeout: value should be greater than 0");
    }
    if (strcmp(o->mode, "standalone") != 0 && strcmp(o->mode, "kubernetes") != 0) {
        return tr_err_set(err, TR_INVALID,
                          "invalid value for mode: '%s' is neither standalone nor kubernetes",
                          o->mode);
    }
    return TR_OK;
}

static enum tr_code check(struct tr_placement_options *o, struct tr_err *err)
{
    enum tr_code rc = check_keepalive("keepalive-time", o->keepalive_time_ns, err);
    if (rc == TR_OK) {
        rc = check_keepalive("keepalive-timeout", o->keepalive_timeout_ns, err);
    }
    if (rc == TR_OK) {
        rc = tr_log_level_parse(tr_slice_str(o->log_level_name), &o->log_level, err);
    }
    if (rc == TR_OK) {
        rc = check_rounds(o, err);
    }
    if (rc == TR_OK) {
        rc = check_port("port", o->port, err);
    }
    if (rc == TR_OK) {
        rc = check_port("healthz-port", o->healthz_port, err);
    }
    if (rc == TR_OK) {
        rc = parse_port("metrics-port", o->metrics_port_text, &o->metrics_port, err);
    }
    if (rc == TR_OK) {
        rc = tr_placement_options_member(&o->initial_cluster, tr_slice_str(o->id), &o->leads,
                                         &o->peer_address, err);
    }
    return rc;
}

enum tr_code tr_placement_options_read(struct tr_placement_options *options, int argc, char **argv,
                                       const struct tr_placement_env *env, struct tr_err *err)
{
    *options = (struct tr_placement_options){ 0 };
    tr_args_parse_or_exit(&options->args, &spec, argc, argv, options);
    if (!tr_args_is_set(&options->args, "metadata-enabled")) {
        options->metadata_enabled = tr_args_is_truthy(tr_slice_str(env->metadata_enabled));
    }
    if (!tr_args_is_set(&options->args, "sentry-address")) {
        (void)snprintf(options->sentry_default, sizeof(options->sentry_default),
                       "dapr-sentry.%s.svc:443",
                       env->namespace_name == NULL ? "default" : env->namespace_name);
        options->sentry_address = options->sentry_default;
    }
    struct tr_buf limit = { 0 };
    tr_duration_add(&limit, options->disseminate_timeout_ns);
    (void)snprintf(options->limit_text, sizeof(options->limit_text), "%s", tr_buf_cstr(&limit));
    tr_buf_fini(&limit);
    enum tr_code rc = check(options, err);
    if (rc != TR_OK) {
        tr_placement_options_fini(options);
    }
    return rc;
}

void tr_placement_options_fini(struct tr_placement_options *options)
{
    tr_args_fini(&options->args);
}
