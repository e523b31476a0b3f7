/*
 * The placement process's command line and environment, read and checked.
 *
 * Source: Dapr cmd/placement/options/options.go; names and defaults are users' interface.
 */
#ifndef TR_PLACEMENT_OPTIONS_H
#define TR_PLACEMENT_OPTIONS_H

#include "runtime/base/args.h"
#include "runtime/base/err.h"
#include "runtime/base/log.h"

#define TR_PLACEMENT_KEEPALIVE_MIN_MS 1000
#define TR_PLACEMENT_KEEPALIVE_MAX_MS 10000

struct tr_placement_options {
    /* As read. Texts are borrowed from argv, the environment or static. */
    const char *id;
    struct tr_arg_list initial_cluster; /* owned through `args` */
    bool
        inmem_store_enabled; /* accepted without effect, as raft_logstore_path and the API levels */
    const char *raft_logstore_path;
    int64_t port;
    const char *listen_address; /* gRPC and metrics; "" for all */
    int64_t healthz_port;
    const char *healthz_listen_address;
    bool tls_enabled;
    bool metadata_enabled;
    int64_t replication_factor;
    int64_t keepalive_time_ns;
    int64_t keepalive_timeout_ns;
    int64_t disseminate_timeout_ns;
    int64_t disseminate_coalesce_ns;
    const char *trust_domain;
    const char *trust_anchors_file;
    const char *sentry_address;
    const char *mode;
    int64_t max_api_level;
    int64_t min_api_level;
    const char *log_level_name;
    const char *log_file;
    bool log_as_json;
    const char *metrics_port_text;
    const char *metrics_listen_address; /* accepted without effect: metrics are where gRPC is */
    bool enable_metrics;

    /* Derived. */
    enum tr_log_level log_level;
    int64_t metrics_port;
    char limit_text[32];          /* disseminate_timeout_ns as Go prints it */
    bool leads;                   /* see tr_placement_options_member() */
    struct tr_slice peer_address; /* of the own entry in initial_cluster, "host:port" */
    char sentry_default[320];

    struct tr_args args; /* private */
};

/* Values of the environment that are read; NULL for one that is not set. */
struct tr_placement_env {
    const char *metadata_enabled; /* DAPR_PLACEMENT_METADATA_ENABLED */
    const char *namespace_name;   /* NAMESPACE */
};

/*
 * Read the command line; argv[0] is passed over. Wrong words end the process with status 2, help with 0. Then check the
 * values.
 *
 * Errors: TR_INVALID for a value that cannot be used; the process logs it and ends with status 1.
 */
enum tr_code tr_placement_options_read(struct tr_placement_options *options, int argc, char **argv,
                                       const struct tr_placement_env *env,
                                       struct tr_err *err) TR_MUST_USE;
void tr_placement_options_fini(struct tr_placement_options *options);

/*
 * The own entry of the initial cluster: its address, and whether it leads while there are no elections: the member with the
 * bytewise smallest id does. All members know the same list, so there is never a second one, and none when it is down.
 * Entries without exactly one '=' are passed over.
 *
 * Owns:   the address is borrowed from the list.
 * Errors: TR_INVALID when `id` is not in the list.
 */
enum tr_code tr_placement_options_member(const struct tr_arg_list *cluster, struct tr_slice id,
                                         bool *out_leads, struct tr_slice *out_address,
                                         struct tr_err *err) TR_MUST_USE;

#endif
