/* The command line of the sidecar. */
#include "runtime/sidecar/options.h"

#include <stdio.h>
#include <stdlib.h>

#include "runtime/base/duration.h"
#include "runtime/base/quantity.h"

#define KIB                  INT64_C(1024)
#define MIB                  (1024 * KIB)
#define DEFAULT_BODY_BYTES   (4 * MIB)
#define DEFAULT_HEADER_BYTES (4 * KIB)
#define SECONDS_MAX          INT64_C(1000000000) /* of a period; three decades */

#define ROW(field, type, name, value, text) TR_ARG_ROW(struct tr_sidecar_flags, field, type, name, value, text)
#define HIDDEN(field, arg_type, arg_name, value)                                                           \
    { .name = (arg_name), .type = (arg_type), .offset = offsetof(struct tr_sidecar_flags, field), .fallback = (value),   \
      .help = "", .is_hidden = true }
#define DEPRECATED(field, arg_type, arg_name, value, text, hint)                                   \
    { .name = (arg_name), .type = (arg_type), .offset = offsetof(struct tr_sidecar_flags, field), .fallback = (value),   \
      .help = (text), .deprecated = (hint) }

static const struct tr_arg rows[] = {
    ROW(mode, TR_ARG_STRING, "mode", "standalone", "standalone or kubernetes"),
    ROW(app_id, TR_ARG_STRING, "app-id", "", "id of the app; required"),
    ROW(app_port, TR_ARG_STRING, "app-port", "", "port the app listens on; none: the sidecar has no app"),
    ROW(app_protocol, TR_ARG_STRING, "app-protocol", "http", "what the app speaks: http, h2c, grpc (https and grpcs are not served yet)"),
    DEPRECATED(app_ssl, TR_ARG_BOOL, "app-ssl", "false", "the app speaks TLS", "use \"--app-protocol=https\" or \"--app-protocol=grpcs\""),
    ROW(app_channel_address, TR_ARG_STRING, "app-channel-address", "127.0.0.1", "host of the app"),
    ROW(app_max_concurrency, TR_ARG_INT, "app-max-concurrency", "-1", "most requests in the app at a time; -1 for no limit"),
    ROW(enable_app_health_check, TR_ARG_BOOL, "enable-app-health-check", "false", "probe the app's health"),
    ROW(app_health_check_path, TR_ARG_STRING, "app-health-check-path", "/healthz", "path of the probe"),
    ROW(app_health_probe_interval, TR_ARG_INT, "app-health-probe-interval", "5", "seconds between probes"),
    ROW(app_health_probe_timeout, TR_ARG_INT, "app-health-probe-timeout", "500", "milliseconds a probe may take"),
    ROW(app_health_threshold, TR_ARG_INT, "app-health-threshold", "3", "failed probes in a row that make the app unhealthy"),
    ROW(app_binding_options_timeout_ns, TR_ARG_DURATION, "app-binding-options-timeout", "3s", "accepted; there are no input bindings"),
    ROW(disable_init_endpoints, TR_ARG_LIST, "disable-init-endpoints", NULL, "app endpoints not to call at start: config, subscribe"),
    ROW(http_port, TR_ARG_STRING, "dapr-http-port", "3500", "port of the HTTP API"),
    ROW(grpc_port, TR_ARG_STRING, "dapr-grpc-port", "50001", "port of the gRPC API"),
    ROW(listen_addresses, TR_ARG_STRING, "dapr-listen-addresses", "", "addresses of both APIs, with commas between them; none: all"),
    ROW(public_port, TR_ARG_STRING, "dapr-public-port", "", "port for health and metadata only; none: no such port"),
    ROW(public_listen_address, TR_ARG_STRING, "dapr-public-listen-address", "", "its address"),
    ROW(internal_grpc_port, TR_ARG_STRING, "dapr-internal-grpc-port", "", "port for other sidecars; none: one that depends on app id, folder, user and host"),
    ROW(internal_listen_address, TR_ARG_STRING, "dapr-internal-grpc-listen-address", "", "its address"),
    ROW(unix_domain_socket, TR_ARG_STRING, "unix-domain-socket", "", "folder for sockets of both APIs instead of TCP"),
    ROW(profile_port, TR_ARG_STRING, "profile-port", "7777", "accepted; there is no profile server"),
    ROW(enable_profiling, TR_ARG_BOOL, "enable-profiling", "false", "accepted; there is no profile server"),
    ROW(max_body_size, TR_ARG_STRING, "max-body-size", "4Mi", "largest body of a request, HTTP and gRPC"),
    DEPRECATED(http_max_request_size_mb, TR_ARG_INT, "dapr-http-max-request-size", "4", "the same in MB", "use \"--max-body-size\""),
    ROW(read_buffer_size, TR_ARG_STRING, "read-buffer-size", "4Ki", "largest head of an HTTP request"),
    DEPRECATED(http_read_buffer_kb, TR_ARG_INT, "dapr-http-read-buffer-size", "4", "the same in KB", "use \"--read-buffer-size\""),
    ROW(allowed_origins, TR_ARG_STRING, "allowed-origins", "", "accepted; CORS is not served yet"),
    ROW(enable_api_logging, TR_ARG_BOOL, "enable-api-logging", "false", "one log line per API call"),
    ROW(resources_path, TR_ARG_LIST, "resources-path", NULL, "folders with resources (components and others)"),
    DEPRECATED(components_path, TR_ARG_STRING, "components-path", "", "the same", "use --resources-path"),
    ROW(config, TR_ARG_LIST, "config", NULL, "Configuration files"),
    ROW(control_plane_address, TR_ARG_STRING, "control-plane-address", "", "accepted; Kubernetes mode is not served yet"),
    ROW(sentry_address, TR_ARG_STRING, "sentry-address", "", "accepted; mTLS is not served yet"),
    ROW(control_plane_trust_domain, TR_ARG_STRING, "control-plane-trust-domain", "localhost", "trust domain of the control plane"),
    ROW(control_plane_namespace, TR_ARG_STRING, "control-plane-namespace", "default", "namespace of the control plane"),
    ROW(sentry_jwt_audiences, TR_ARG_LIST, "sentry-request-jwt-audiences", NULL, "accepted; mTLS is not served yet"),
    ROW(enable_mtls, TR_ARG_BOOL, "enable-mtls", "false", "mutual TLS between processes; not served yet: true ends the process"),
    ROW(placement_host_address, TR_ARG_STRING, "placement-host-address", "", "addresses of the placement service; none: no actors"),
    ROW(disseminate_timeout_ns, TR_ARG_DURATION, "actors-disseminate-timeout", "30s", "longest a placement round may take"),
    ROW(scheduler_host_address, TR_ARG_LIST, "scheduler-host-address", NULL, "accepted; reminders are not served yet"),
    ROW(scheduler_job_streams, TR_ARG_UINT, "scheduler-job-streams", "3", "accepted; reminders are not served yet"),
    ROW(hot_reload_interval_ns, TR_ARG_DURATION, "hot-reload-reconcile-interval", "0s", "accepted; resources are read at start and on SIGHUP"),
    ROW(graceful_shutdown_seconds, TR_ARG_INT, "dapr-graceful-shutdown-seconds", "5", "longest a shutdown may take; 0 for no limit"),
    ROW(block_shutdown_ns, TR_ARG_DURATION, "dapr-block-shutdown-duration", "0s", "keep serving this long after the first signal"),
    ROW(disable_builtin_k8s_secret_store, TR_ARG_BOOL, "disable-builtin-k8s-secret-store", "false", "accepted; Kubernetes mode is not served yet"),
    ROW(version, TR_ARG_BOOL, "version", "false", "print the version and exit"),
    ROW(build_info, TR_ARG_BOOL, "build-info", "false", "print build information and exit"),
    ROW(wait, TR_ARG_BOOL, "wait", "false", "wait until the sidecar on this HTTP port is ready for outbound calls, and exit"),
    HIDDEN(actors_service, TR_ARG_STRING, "actors-service", ""),
    HIDDEN(reminders_service, TR_ARG_STRING, "reminders-service", ""),
    ROW(log_level, TR_ARG_STRING, "log-level", "info", "debug, info, warn, error or fatal"),
    ROW(log_file, TR_ARG_STRING, "log-file", "", "log there instead of to standard output"),
    ROW(log_as_json, TR_ARG_BOOL, "log-as-json", "false", "log JSON objects"),
    ROW(metrics_port, TR_ARG_STRING, "metrics-port", "9090", "port of the metrics server"),
    ROW(metrics_listen_address, TR_ARG_STRING, "metrics-listen-address", "0.0.0.0", "its address"),
    ROW(enable_metrics, TR_ARG_BOOL, "enable-metrics", "true", "serve metrics"),
};

const struct tr_args_spec tr_sidecar_args_spec = {
    .program = "daprd",
    .style = TR_ARGS_PFLAG_DASH,
    .rows = rows,
    .rows_len = TR_ARRAY_LEN(rows),
};

void tr_sidecar_options_parse(struct tr_sidecar_options *options, int argc, char **argv)
{
    *options = (struct tr_sidecar_options){ 0 };
    tr_args_parse_or_exit(&options->args, &tr_sidecar_args_spec, argc, argv, &options->flags);
}

/* --- checks --------------------------------------------------------------------------------------------------------- */

/* Digits behind an optional sign, as Go's strconv.Atoi reads them; a value beyond any port is as good as another. */
static bool read_decimal(const char *text, long *out)
{
    const char *digits = text + (text[0] == '+' || text[0] == '-' ? 1 : 0);
    *out = strtol(text, NULL, 10);
    return digits[0] != '\0' && strspn(digits, "0123456789") == strlen(digits);
}

static enum tr_code parse_port(const char *text, const char *flag, uint16_t *out_port, struct tr_err *err)
{
    long value = 0;
    if (!read_decimal(text, &value)) {
        return tr_err_set(err, TR_INVALID, "error parsing %s flag: strconv.Atoi: parsing \"%s\": invalid syntax", flag, text);
    }
    if (value < 0 || value > UINT16_MAX) {
        return tr_err_set(err, TR_INVALID, "error parsing %s flag: %s is not a port", flag, text);
    }
    *out_port = (uint16_t)value;
    return TR_OK;
}

static enum tr_code check_ports(struct tr_sidecar_options *o, struct tr_err *err)
{
    const struct {
        const char *text;
        const char *flag;
        uint16_t *port;
        bool may_be_empty;
    } ports[] = {
        { o->flags.http_port, "dapr-http-port", &o->http_port, false },
        { o->flags.grpc_port, "dapr-grpc-port", &o->grpc_port, false },
        { o->flags.app_port, "app-port", &o->app_port, true },
        { o->flags.public_port, "dapr-public-port", &o->public_port, true },
        { o->flags.internal_grpc_port, "dapr-internal-grpc-port", &o->internal_port, true },
        { o->flags.metrics_port, "metrics-port", &o->metrics_port, false },
    };
    for (size_t i = 0; i < TR_ARRAY_LEN(ports); i++) {
        if (ports[i].may_be_empty && ports[i].text[0] == '\0') {
            continue;
        }
        const enum tr_code rc = parse_port(ports[i].text, ports[i].flag, ports[i].port, err);
        if (rc != TR_OK) {
            return rc;
        }
    }
    if (o->app_port != 0 && o->app_port == o->http_port) {
        return tr_err_set(err, TR_INVALID, "the 'dapr-http-port' argument value %u conflicts with 'app-port'", o->http_port);
    }
    if (o->app_port != 0 && o->app_port == o->grpc_port) {
        return tr_err_set(err, TR_INVALID, "the 'dapr-grpc-port' argument value %u conflicts with 'app-port'", o->grpc_port);
    }
    return TR_OK;
}

static enum tr_code check_protocol(struct tr_sidecar_options *o, struct tr_err *err)
{
    static const char *const names[] = { "http", "https", "h2c", "grpc", "grpcs" };
    for (size_t i = 0; i < TR_ARRAY_LEN(names); i++) {
        if (tr_slice_eq_nocase(tr_slice_str(o->flags.app_protocol), tr_slice_str(names[i]))) {
            o->app_protocol = (enum tr_app_protocol)i;
            if (o->flags.app_ssl && o->app_protocol == TR_APP_HTTP) {
                o->app_protocol = TR_APP_HTTPS;
            } else if (o->flags.app_ssl && o->app_protocol == TR_APP_GRPC) {
                o->app_protocol = TR_APP_GRPCS;
            }
            o->app_protocol_name = names[o->app_protocol];
            return TR_OK;
        }
    }
    return tr_err_set(err, TR_INVALID, "invalid value for 'app-protocol': %s", o->flags.app_protocol);
}

/* `value` units of `unit` each, at most `max`; negative values are the caller's. */
static int64_t scale(int64_t value, int64_t unit, int64_t max)
{
    return value > max / unit ? max : value * unit;
}

static enum tr_code check_sizes(struct tr_sidecar_options *o, struct tr_err *err)
{
    int64_t body = DEFAULT_BODY_BYTES;
    int64_t head = DEFAULT_HEADER_BYTES;
    if (tr_args_is_set(&o->args, "max-body-size")) {
        if (tr_quantity_parse(tr_slice_str(o->flags.max_body_size), &body, err) != TR_OK) {
            return tr_err_wrap(err, "invalid value for 'max-body-size': %s", o->flags.max_body_size);
        }
    } else if (tr_args_is_set(&o->args, "dapr-http-max-request-size")) {
        body = o->flags.http_max_request_size_mb < 0 ? -1 : scale(o->flags.http_max_request_size_mb, MIB, INT64_MAX);
    }
    if (tr_args_is_set(&o->args, "read-buffer-size")) {
        if (tr_quantity_parse(tr_slice_str(o->flags.read_buffer_size), &head, err) != TR_OK) {
            return tr_err_wrap(err, "invalid value for 'read-buffer-size': %s", o->flags.read_buffer_size);
        }
    } else if (tr_args_is_set(&o->args, "dapr-http-read-buffer-size")) {
        head = o->flags.http_read_buffer_kb < 0 ? -1 : scale(o->flags.http_read_buffer_kb, KIB, INT64_MAX);
    }
    o->body_bytes_max = body < 0 ? (uint64_t)DEFAULT_BODY_BYTES : (uint64_t)body;
    head = head <= 0 ? DEFAULT_HEADER_BYTES : head;
    o->header_bytes_max = (size_t)(head < TR_SIDECAR_HEADER_BYTES_MAX ? head : TR_SIDECAR_HEADER_BYTES_MAX);
    return TR_OK;
}

static enum tr_code check_health(struct tr_sidecar_options *o, struct tr_err *err)
{
    const struct tr_sidecar_flags *f = &o->flags;
    o->health_interval_ms = (uint64_t)scale(f->app_health_probe_interval > 0 ? f->app_health_probe_interval : 5, 1000,
                                            SECONDS_MAX * 1000);
    o->health_timeout_ms = (uint64_t)(f->app_health_probe_timeout > 0 ? f->app_health_probe_timeout : 500);
    o->health_threshold = f->app_health_threshold > 0 && f->app_health_threshold < INT32_MAX
                              ? (uint32_t)f->app_health_threshold
                              : 3;
    if (o->health_timeout_ms > o->health_interval_ms) {
        return tr_err_set(err, TR_INVALID, "value for 'health-probe-timeout' must be smaller than 'health-probe-interval'");
    }
    for (size_t i = 0; i < f->disable_init_endpoints.len; i++) {
        const char *name = f->disable_init_endpoints.items[i];
        if (strcmp(name, "config") == 0) {
            o->skips_app_config = true;
        } else if (strcmp(name, "subscribe") != 0) {
            return tr_err_set(err, TR_INVALID, "invalid value for 'disable-init-endpoints': %s", name);
        }
    }
    return TR_OK;
}

/* A list that is empty, or one entry that is empty but for quotes and blanks, disables actors. */
static void split_placement(struct tr_sidecar_options *o)
{
    const char *text = o->flags.placement_host_address;
    if (!tr_args_is_set(&o->args, "placement-host-address") && o->flags.actors_service[0] != '\0') {
        const struct tr_slice service = tr_slice_str(o->flags.actors_service);
        const struct tr_slice prefix = TR_SLICE_LIT("placement:");
        text = tr_slice_starts(service, prefix) ? o->flags.actors_service + prefix.len : o->flags.actors_service;
    }
    struct tr_slice rest = tr_slice_str(text);
    struct tr_slice part;
    while (tr_slice_split(&rest, ',', &part)) {
        while (part.len > 0 && strchr("'\" \t", part.ptr[0]) != NULL) {
            part = tr_slice_skip(part, 1);
        }
        while (part.len > 0 && strchr("'\" \t", part.ptr[part.len - 1]) != NULL) {
            part.len--;
        }
        if (part.len > 0) {
            o->placement_addresses = tr_xrealloc(o->placement_addresses,
                                                 (o->placement_addresses_len + 1) * sizeof(*o->placement_addresses));
            o->placement_addresses[o->placement_addresses_len++] = tr_xstrdup(part);
        }
    }
}

static const char *environment(const char *name)
{
    const char *value = getenv(name);
    return value != NULL ? value : "";
}

static void read_environment(struct tr_sidecar_options *o)
{
    o->raw_name_space = environment("NAMESPACE");
    o->name_space = getenv("NAMESPACE") != NULL ? getenv("NAMESPACE") : "default";
    o->api_token = environment("DAPR_API_TOKEN");
    o->app_token = environment("APP_API_TOKEN");
    o->h2c_off = tr_args_is_truthy(tr_slice_str(environment("DAPR_HTTP_DISABLE_H2C")));
}

/* What this version cannot do must not be ignored in silence. */
static enum tr_code check_unserved(const struct tr_sidecar_options *o, struct tr_err *err)
{
    if (strcmp(o->flags.mode, "standalone") != 0) {
        return tr_err_set(err, TR_UNIMPLEMENTED, "mode '%s' is not served: only standalone is", o->flags.mode);
    }
    if (o->flags.enable_mtls) {
        return tr_err_set(err, TR_UNIMPLEMENTED, "enable-mtls is not served yet");
    }
    if (o->app_port != 0 && (o->app_protocol == TR_APP_HTTPS || o->app_protocol == TR_APP_GRPCS)) {
        return tr_err_set(err, TR_UNIMPLEMENTED, "app-protocol '%s' is not served yet", o->app_protocol_name);
    }
    return TR_OK;
}

enum tr_code tr_sidecar_options_check(struct tr_sidecar_options *o, struct tr_err *err)
{
    const struct tr_sidecar_flags *f = &o->flags;
    read_environment(o);
    if (f->app_id[0] == '\0') {
        return tr_err_set(err, TR_INVALID, "parameter app-id cannot be empty");
    }
    if (strchr(f->app_id, '.') != NULL) {
        return tr_err_set(err, TR_INVALID, "parameter app-id cannot contain dots");
    }
    if (f->disseminate_timeout_ns <= 0) {
        return tr_err_set(err, TR_INVALID, "invalid value for 'actors-disseminate-timeout': must be greater than 0");
    }
    enum tr_code rc = check_ports(o, err);
    rc = rc == TR_OK ? check_protocol(o, err) : rc;
    rc = rc == TR_OK ? check_sizes(o, err) : rc;
    rc = rc == TR_OK ? check_health(o, err) : rc;
    rc = rc == TR_OK ? check_unserved(o, err) : rc;
    if (rc != TR_OK) {
        return rc;
    }
    o->concurrency_max = f->app_max_concurrency > 0 ? (uint32_t)scale(f->app_max_concurrency, 1, UINT32_MAX) : 0;
    o->grace_ms = (uint64_t)scale(f->graceful_shutdown_seconds < 0 ? 5 : f->graceful_shutdown_seconds, 1000,
                                  SECONDS_MAX * 1000);
    o->has_block = tr_args_is_set(&o->args, "dapr-block-shutdown-duration");
    o->block_ms = tr_duration_ms_up(f->block_shutdown_ns);
    split_placement(o);
    return TR_OK;
}

void tr_sidecar_options_fini(struct tr_sidecar_options *options)
{
    for (size_t i = 0; i < options->placement_addresses_len; i++) {
        free(options->placement_addresses[i]);
    }
    free(options->placement_addresses);
    options->placement_addresses = NULL;
    options->placement_addresses_len = 0;
    tr_args_fini(&options->args);
}
