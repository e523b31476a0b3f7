/*
 * The Configuration: settings of the sidecar as a whole. It starts from defaults; each file given by --config is decoded
 * over what is there: maps merge, scalars and lists are replaced. Unknown fields are passed over; a wrong type is an
 * error, and ends the process.
 *
 * Source: Dapr pkg/config/configuration.go, pkg/apis/configuration/v1alpha1/types.go (1.18).
 */
#ifndef TR_RESOURCE_CONFIGURATION_H
#define TR_RESOURCE_CONFIGURATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/resource/resource.h"

/* A truth value that may be absent. */
enum tr_tri { TR_UNSET, TR_NO, TR_YES };

/* Lists are owned, texts are never NULL. */
struct tr_conf_texts {
    char **items;
    size_t len;
};
struct tr_conf_numbers {
    int64_t *items;
    size_t len;
};
struct tr_conf_pair {
    char *name;
    char *value;
};
struct tr_conf_pairs {
    struct tr_conf_pair *items;
    size_t len;
};

struct tr_conf_tracing {
    char *sampling_rate; /* text; "" means the default rate */
    bool to_stdout;
    char *zipkin_address;
    char *otel_address;
    char *otel_protocol; /* "grpc", "http" or "" */
    bool otel_is_secure; /* default true */
    struct tr_conf_pairs otel_headers;
    int64_t otel_timeout_ns; /* 0: none */
};

struct tr_conf_metric_label {
    char *name;
    struct tr_conf_pairs regexes; /* replacement and pattern */
};
struct tr_conf_metric_rule {
    char *name;
    struct {
        struct tr_conf_metric_label *items;
        size_t len;
    } labels;
};
struct tr_conf_metrics {
    bool is_enabled;                /* default true */
    bool records_error_codes;
    enum tr_tri increased_cardinality; /* unset counts as yes, with a warning */
    struct tr_conf_texts path_matching;
    bool excludes_verbs;
    struct tr_conf_numbers latency_buckets_ms; /* empty: the default */
    struct {
        struct tr_conf_metric_rule *items;
        size_t len;
    } rules;
};

struct tr_conf_access_operation {
    char *name;
    struct tr_conf_texts http_verbs;
    char *action;
};
struct tr_conf_access_policy {
    char *app_id;
    char *default_action;
    char *trust_domain;
    char *name_space;
    struct {
        struct tr_conf_access_operation *items;
        size_t len;
    } operations;
};
struct tr_conf_access {
    char *default_action; /* default "allow" */
    char *trust_domain;   /* default "public" */
    struct {
        struct tr_conf_access_policy *items;
        size_t len;
    } policies;
};

struct tr_conf_api_rule {
    char *name;
    char *version;
    char *protocol;
};
struct tr_conf_api_rules {
    struct tr_conf_api_rule *items;
    size_t len;
};

struct tr_conf_handler {
    char *name;
    char *type;
    char *version;
};
struct tr_conf_handlers {
    struct tr_conf_handler *items;
    size_t len;
};

struct tr_conf_feature {
    char *name;
    bool is_enabled;
};

struct tr_conf_secret_scope {
    char *store_name;
    char *default_access;
    struct tr_conf_texts allowed;
    struct tr_conf_texts denied;
};

struct tr_configuration {
    struct tr_conf_tracing tracing;
    struct tr_conf_metrics metrics; /* `metrics` over `metric` */
    enum tr_tri mtls_enabled;       /* for the control plane; the sidecar goes by its flag */
    char *mtls_workload_ttl;
    char *mtls_clock_skew;
    char *mtls_sentry_address;
    char *mtls_trust_domain;
    struct tr_conf_access access;
    char *resolver;         /* nameResolution.component, or "" */
    char *resolver_version;
    char *resolver_conf;    /* JSON text, or "" */
    struct tr_conf_api_rules api_allowed;
    struct tr_conf_api_rules api_denied;
    struct tr_conf_handlers http_handlers;
    struct tr_conf_handlers app_handlers;
    struct {
        struct tr_conf_feature *items;
        size_t len;
    } features;
    struct tr_conf_texts components_denied; /* "type" or "type/version" */
    struct {
        struct tr_conf_secret_scope *items;
        size_t len;
    } secret_scopes;
    enum tr_tri api_log_enabled;
    bool api_log_obfuscates;
    bool api_log_omits_health;
}; /* all owned */

/* The defaults. */
void tr_configuration_init(struct tr_configuration *configuration);
void tr_configuration_fini(struct tr_configuration *configuration);

/*
 * Decode the first document of a file over the configuration, after `$VAR` and `${VAR}` in its whole text were replaced
 * by the environment. apiVersion, kind and name are not checked. On error the configuration is left half-way: give it up.
 *
 * Errors: TR_IO, TR_LIMIT, TR_INVALID with file and line.
 */
enum tr_code tr_configuration_load(struct tr_configuration *configuration, const char *path, tr_env_fn env,
                                   struct tr_err *err) TR_MUST_USE;
/* The same for a text; `origin` names it in errors. */
enum tr_code tr_configuration_decode(struct tr_configuration *configuration, struct tr_slice text, const char *origin,
                                     struct tr_err *err) TR_MUST_USE;
/*
 * Check what only holds for the whole, once everything is loaded.
 *
 * Errors: TR_INVALID: "X storeName is repeated in secrets configuration", "defaultAccess X can be either allow or deny".
 */
enum tr_code tr_configuration_check(const struct tr_configuration *configuration, struct tr_err *err) TR_MUST_USE;

/*
 * Is a feature on? What is listed last counts, then the built-in default: HotReload and
 * WorkflowsRemoteActivityReminder are on.
 */
bool tr_configuration_has_feature(const struct tr_configuration *configuration, const char *name);

/* Is a component of this type and version denied (spec.components.deny)? */
bool tr_configuration_denies_component(const struct tr_configuration *configuration, const char *type,
                                       const char *version);

/*
 * Do the API lists let an HTTP endpoint through? `version` and `group` are the endpoint's ("v1", "state"), `path` is the
 * API version and route ("v1.0/state/{storeName}/{key}"). Health endpoints are the caller's to let through.
 */
bool tr_configuration_allows_http(const struct tr_configuration *configuration, const char *version, const char *group,
                                  const char *path);
/*
 * The same for a gRPC method, by its full name ("/dapr.proto.runtime.v1.Dapr/GetState"). Methods outside of
 * dapr.proto.runtime are let through: they are proxied calls.
 */
bool tr_configuration_allows_grpc(const struct tr_configuration *configuration, struct tr_slice method);

/*
 * Replace `$VAR` and `${VAR}` by the environment, unset variables by nothing. There is no escape: `$$` is a variable.
 *
 * Source: Go os/env.go, Expand.
 */
void tr_resource_expand_env(struct tr_slice text, tr_env_fn env, struct tr_buf *out);

#endif
