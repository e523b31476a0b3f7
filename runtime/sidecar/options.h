/*
 * The command line and the environment of the sidecar, checked and worked out.
 * Source: Dapr cmd/daprd/options/options.go, pkg/runtime/config.go (1.18); processes 1, 2.1-2.3.
 */
#ifndef TR_SIDECAR_OPTIONS_H
#define TR_SIDECAR_OPTIONS_H

#include "runtime/base/args.h"
#include "runtime/base/err.h"

/* The flags as given; strings are borrowed from argv or the environment. */
struct tr_sidecar_flags {
    const char *mode;
    const char *app_id;
    const char *app_port;
    const char *app_protocol;
    bool app_ssl;
    const char *app_channel_address;
    int64_t app_max_concurrency;
    bool enable_app_health_check;
    const char *app_health_check_path;
    int64_t app_health_probe_interval;
    int64_t app_health_probe_timeout;
    int64_t app_health_threshold;
    int64_t app_binding_options_timeout_ns;
    struct tr_arg_list disable_init_endpoints;
    const char *http_port;
    const char *grpc_port;
    const char *listen_addresses;
    const char *public_port;
    const char *public_listen_address;
    const char *internal_grpc_port;
    const char *internal_listen_address;
    const char *unix_domain_socket;
    const char *profile_port;
    bool enable_profiling;
    const char *max_body_size;
    int64_t http_max_request_size_mb;
    const char *read_buffer_size;
    int64_t http_read_buffer_kb;
    const char *allowed_origins;
    bool enable_api_logging;
    struct tr_arg_list resources_path;
    const char *components_path;
    struct tr_arg_list config;
    const char *control_plane_address;
    const char *sentry_address;
    const char *control_plane_trust_domain;
    const char *control_plane_namespace;
    struct tr_arg_list sentry_jwt_audiences;
    bool enable_mtls;
    const char *placement_host_address;
    int64_t disseminate_timeout_ns;
    struct tr_arg_list scheduler_host_address;
    uint64_t scheduler_job_streams;
    int64_t hot_reload_interval_ns;
    int64_t graceful_shutdown_seconds;
    int64_t block_shutdown_ns;
    bool disable_builtin_k8s_secret_store;
    bool version;
    bool build_info;
    bool wait;
    const char *actors_service;
    const char *reminders_service;
    const char *log_level;
    const char *log_file;
    bool log_as_json;
    const char *metrics_port;
    const char *metrics_listen_address;
    bool enable_metrics;
};

enum tr_app_protocol {
    TR_APP_HTTP,
    TR_APP_HTTPS,
    TR_APP_H2C,
    TR_APP_GRPC,
    TR_APP_GRPCS,
};

/* Worked out. */
struct tr_sidecar_options {
    struct tr_sidecar_flags flags;
    struct tr_args args;
    uint16_t app_port; /* 0: no app */
    enum tr_app_protocol app_protocol;
    const char *app_protocol_name; /* static */
    uint16_t http_port;
    uint16_t grpc_port;
    uint16_t public_port; /* 0: none */
    uint16_t internal_port; /* 0: the stable port */
    uint16_t metrics_port;
    uint64_t body_bytes_max; /* 0: no limit */
    size_t header_bytes_max;
    uint32_t concurrency_max; /* 0: no limit */
    uint64_t health_interval_ms;
    uint64_t health_timeout_ms;
    uint32_t health_threshold;
    uint64_t grace_ms; /* 0: no limit */
    bool has_block;
    uint64_t block_ms;
    bool skips_app_config;
    char **placement_addresses; /* owned */
    size_t placement_addresses_len; /* 0: actors are disabled */
    /* The rest is borrowed from the environment. */
    const char *name_space;     /* for identity: "default" if NAMESPACE is unset */
    const char *raw_name_space; /* NAMESPACE, "" if unset */
    const char *api_token;
    const char *app_token;
    bool h2c_off;
};

/* A head is held in memory whole: larger values are taken as this one. */
#define TR_SIDECAR_HEADER_BYTES_MAX (INT64_C(16) << 20)

/* All flags; their values land in a struct tr_sidecar_flags. */
extern const struct tr_args_spec tr_sidecar_args_spec;

/* Parse; ends the process for --help and a bad command line as the original does. */
void tr_sidecar_options_parse(struct tr_sidecar_options *options, int argc, char **argv);
/*
 * Check the values and work out the rest; after the logger is there, because failures are its fatal lines.
 * Errors: TR_INVALID with the original's text.
 */
TR_MUST_USE enum tr_code tr_sidecar_options_check(struct tr_sidecar_options *options, struct tr_err *err);
void tr_sidecar_options_fini(struct tr_sidecar_options *options);

#endif
