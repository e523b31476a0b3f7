/* The Configuration, by tables. */
#include "runtime/resource/configuration.h"

#include <stdlib.h>

#include "runtime/resource/bind_int.h"
#include "runtime/resource/file_int.h"

#define FIELD(text, kind, object, member)                                                          \
    {                                                                                              \
        .name = (text), .type = (kind), .offset = offsetof(object, member)                         \
    }
#define GROUP(text, kind, object, member, table)                                                   \
    {                                                                                              \
        .name = (text), .type = (kind), .offset = offsetof(object, member), .sub = &(table)        \
    }
#define TABLE(rows, bytes)                                                                         \
    {                                                                                              \
        .fields = (rows), .fields_len = TR_ARRAY_LEN(rows), .item_bytes = (bytes)                  \
    }

/* Tracing. */
static const struct bind_field zipkin_rows[] = {
    FIELD("endpointAddress", BIND_TEXT, struct tr_conf_tracing, zipkin_address),
};
static const struct bind zipkin = TABLE(zipkin_rows, 0);
static const struct bind_field otel_rows[] = {
    FIELD("endpointAddress", BIND_TEXT, struct tr_conf_tracing, otel_address),
    FIELD("protocol", BIND_TEXT, struct tr_conf_tracing, otel_protocol),
    FIELD("isSecure", BIND_BOOL, struct tr_conf_tracing, otel_is_secure),
    FIELD("headers", BIND_HEADERS, struct tr_conf_tracing, otel_headers),
    FIELD("timeout", BIND_DURATION, struct tr_conf_tracing, otel_timeout_ns),
};
static const struct bind otel = TABLE(otel_rows, 0);
static const struct bind_field tracing_rows[] = {
    FIELD("samplingRate", BIND_TEXT, struct tr_conf_tracing, sampling_rate),
    FIELD("stdout", BIND_BOOL, struct tr_conf_tracing, to_stdout),
    { .name = "zipkin", .type = BIND_STRUCT, .offset = 0, .sub = &zipkin },
    { .name = "otel", .type = BIND_STRUCT, .offset = 0, .sub = &otel },
};
static const struct bind tracing = TABLE(tracing_rows, 0);

/* Metrics. */
static const struct bind_field label_rows[] = {
    FIELD("name", BIND_TEXT, struct tr_conf_metric_label, name),
    FIELD("regex", BIND_PAIRS, struct tr_conf_metric_label, regexes),
};
static const struct bind label = TABLE(label_rows, sizeof(struct tr_conf_metric_label));
static const struct bind_field rule_rows[] = {
    FIELD("name", BIND_TEXT, struct tr_conf_metric_rule, name),
    GROUP("labels", BIND_LIST, struct tr_conf_metric_rule, labels, label),
};
static const struct bind rule = TABLE(rule_rows, sizeof(struct tr_conf_metric_rule));
static const struct bind_field http_rows[] = {
    FIELD("increasedCardinality", BIND_TRI, struct tr_conf_metrics, increased_cardinality),
    FIELD("pathMatching", BIND_TEXTS, struct tr_conf_metrics, path_matching),
    FIELD("excludeVerbs", BIND_BOOL, struct tr_conf_metrics, excludes_verbs),
};
static const struct bind http = TABLE(http_rows, 0);
static const struct bind_field metrics_rows[] = {
    FIELD("enabled", BIND_BOOL, struct tr_conf_metrics, is_enabled),
    FIELD("recordErrorCodes", BIND_BOOL, struct tr_conf_metrics, records_error_codes),
    FIELD("latencyDistributionBuckets", BIND_NUMBERS, struct tr_conf_metrics, latency_buckets_ms),
    GROUP("rules", BIND_LIST, struct tr_conf_metrics, rules, rule),
    { .name = "http", .type = BIND_STRUCT, .offset = 0, .sub = &http },
};
static const struct bind metrics = TABLE(metrics_rows, 0);

/* Who may call. */
static const struct bind_field operation_rows[] = {
    FIELD("name", BIND_TEXT, struct tr_conf_access_operation, name),
    FIELD("httpVerb", BIND_TEXTS, struct tr_conf_access_operation, http_verbs),
    FIELD("action", BIND_TEXT, struct tr_conf_access_operation, action),
};
static const struct bind operation = TABLE(operation_rows, sizeof(struct tr_conf_access_operation));
static const struct bind_field policy_rows[] = {
    FIELD("appId", BIND_TEXT, struct tr_conf_access_policy, app_id),
    FIELD("defaultAction", BIND_TEXT, struct tr_conf_access_policy, default_action),
    FIELD("trustDomain", BIND_TEXT, struct tr_conf_access_policy, trust_domain),
    FIELD("namespace", BIND_TEXT, struct tr_conf_access_policy, name_space),
    GROUP("operations", BIND_LIST, struct tr_conf_access_policy, operations, operation),
};
static const struct bind policy = TABLE(policy_rows, sizeof(struct tr_conf_access_policy));
static const struct bind_field access_rows[] = {
    FIELD("defaultAction", BIND_TEXT, struct tr_conf_access, default_action),
    FIELD("trustDomain", BIND_TEXT, struct tr_conf_access, trust_domain),
    GROUP("policies", BIND_LIST, struct tr_conf_access, policies, policy),
};
static const struct bind access_control = TABLE(access_rows, 0);

/* The rest of the spec. */
static const struct bind_field mtls_rows[] = {
    FIELD("enabled", BIND_TRI, struct tr_configuration, mtls_enabled),
    FIELD("workloadCertTTL", BIND_TEXT, struct tr_configuration, mtls_workload_ttl),
    FIELD("allowedClockSkew", BIND_TEXT, struct tr_configuration, mtls_clock_skew),
    FIELD("sentryAddress", BIND_TEXT, struct tr_configuration, mtls_sentry_address),
    FIELD("controlPlaneTrustDomain", BIND_TEXT, struct tr_configuration, mtls_trust_domain),
};
static const struct bind mtls = TABLE(mtls_rows, 0);
static const struct bind_field resolver_rows[] = {
    FIELD("component", BIND_TEXT, struct tr_configuration, resolver),
    FIELD("version", BIND_TEXT, struct tr_configuration, resolver_version),
    FIELD("configuration", BIND_JSON, struct tr_configuration, resolver_conf),
};
static const struct bind resolver = TABLE(resolver_rows, 0);
static const struct bind_field api_rule_rows[] = {
    FIELD("name", BIND_TEXT, struct tr_conf_api_rule, name),
    FIELD("version", BIND_TEXT, struct tr_conf_api_rule, version),
    FIELD("protocol", BIND_TEXT, struct tr_conf_api_rule, protocol),
};
static const struct bind api_rule = TABLE(api_rule_rows, sizeof(struct tr_conf_api_rule));
static const struct bind_field api_rows[] = {
    GROUP("allowed", BIND_LIST, struct tr_configuration, api_allowed, api_rule),
    GROUP("denied", BIND_LIST, struct tr_configuration, api_denied, api_rule),
};
static const struct bind api = TABLE(api_rows, 0);
static const struct bind_field handler_rows[] = {
    FIELD("name", BIND_TEXT, struct tr_conf_handler, name),
    FIELD("type", BIND_TEXT, struct tr_conf_handler, type),
    FIELD("version", BIND_TEXT, struct tr_conf_handler, version),
};
static const struct bind handler = TABLE(handler_rows, sizeof(struct tr_conf_handler));
static const struct bind_field http_pipeline_rows[] = {
    GROUP("handlers", BIND_LIST, struct tr_configuration, http_handlers, handler),
};
static const struct bind http_pipeline = TABLE(http_pipeline_rows, 0);
static const struct bind_field app_pipeline_rows[] = {
    GROUP("handlers", BIND_LIST, struct tr_configuration, app_handlers, handler),
};
static const struct bind app_pipeline = TABLE(app_pipeline_rows, 0);
static const struct bind_field feature_rows[] = {
    FIELD("name", BIND_TEXT, struct tr_conf_feature, name),
    FIELD("enabled", BIND_BOOL, struct tr_conf_feature, is_enabled),
};
static const struct bind feature = TABLE(feature_rows, sizeof(struct tr_conf_feature));
static const struct bind_field components_rows[] = {
    FIELD("deny", BIND_TEXTS, struct tr_configuration, components_denied),
};
static const struct bind components = TABLE(components_rows, 0);
static const struct bind_field scope_rows[] = {
    FIELD("storeName", BIND_TEXT, struct tr_conf_secret_scope, store_name),
    FIELD("defaultAccess", BIND_TEXT, struct tr_conf_secret_scope, default_access),
    FIELD("allowedSecrets", BIND_TEXTS, struct tr_conf_secret_scope, allowed),
    FIELD("deniedSecrets", BIND_TEXTS, struct tr_conf_secret_scope, denied),
};
static const struct bind scope = TABLE(scope_rows, sizeof(struct tr_conf_secret_scope));
static const struct bind_field secrets_rows[] = {
    GROUP("scopes", BIND_LIST, struct tr_configuration, secret_scopes, scope),
};
static const struct bind secrets = TABLE(secrets_rows, 0);
static const struct bind_field api_log_rows[] = {
    FIELD("enabled", BIND_TRI, struct tr_configuration, api_log_enabled),
    FIELD("obfuscateURLs", BIND_BOOL, struct tr_configuration, api_log_obfuscates),
    FIELD("omitHealthChecks", BIND_BOOL, struct tr_configuration, api_log_omits_health),
};
static const struct bind api_log = TABLE(api_log_rows, 0);
static const struct bind_field logging_rows[] = {
    { .name = "apiLogging", .type = BIND_STRUCT, .offset = 0, .sub = &api_log },
};
static const struct bind logging = TABLE(logging_rows, 0);

static const struct bind_field spec_rows[] = {
    GROUP("tracing", BIND_STRUCT, struct tr_configuration, tracing, tracing),
    /* The second name wins field by field, because rows are decoded in their order. */
    GROUP("metric", BIND_STRUCT, struct tr_configuration, metrics, metrics),
    GROUP("metrics", BIND_STRUCT, struct tr_configuration, metrics, metrics),
    GROUP("accessControl", BIND_STRUCT, struct tr_configuration, access, access_control),
    { .name = "mtls", .type = BIND_STRUCT, .offset = 0, .sub = &mtls },
    { .name = "nameResolution", .type = BIND_STRUCT, .offset = 0, .sub = &resolver },
    { .name = "api", .type = BIND_STRUCT, .offset = 0, .sub = &api },
    { .name = "httpPipeline", .type = BIND_STRUCT, .offset = 0, .sub = &http_pipeline },
    { .name = "appHttpPipeline", .type = BIND_STRUCT, .offset = 0, .sub = &app_pipeline },
    GROUP("features", BIND_LIST, struct tr_configuration, features, feature),
    { .name = "components", .type = BIND_STRUCT, .offset = 0, .sub = &components },
    { .name = "secrets", .type = BIND_STRUCT, .offset = 0, .sub = &secrets },
    { .name = "logging", .type = BIND_STRUCT, .offset = 0, .sub = &logging },
};
static const struct bind spec = TABLE(spec_rows, 0);

static void set_text(char **place, const char *text)
{
    free(*place);
    *place = tr_xstrdup(tr_slice_str(text));
}

/* Source: Dapr pkg/config/configuration.go, LoadDefaultConfiguration. */
void tr_configuration_init(struct tr_configuration *configuration)
{
    bind_init(&spec, configuration);
    configuration->tracing.otel_is_secure = true;
    configuration->metrics.is_enabled = true;
    set_text(&configuration->access.default_action, "allow");
    set_text(&configuration->access.trust_domain, "public");
}

void tr_configuration_fini(struct tr_configuration *configuration)
{
    bind_fini(&spec, configuration);
}

static enum tr_code decode_document(struct tr_configuration *configuration,
                                    const struct tr_yaml_node *root, struct tr_err *err)
{
    if (tr_yaml_is_null(root)) {
        return TR_OK;
    }
    if (root->kind != TR_YAML_MAP) {
        return tr_err_set(err, TR_INVALID, "line %u: the document must be a map", root->line);
    }
    return bind_decode(&spec, bind_find(root, "spec"), "spec", configuration, err);
}

enum tr_code tr_configuration_decode(struct tr_configuration *configuration, struct tr_slice text,
                                     const char *origin, struct tr_err *err)
{
    struct tr_slice document;
    unsigned line = 1;
    unsigned first_line = 1;
    enum tr_code rc = TR_OK;
    bool is_done = false;
    /* Documents behind the first one that holds something are not looked at, and may be no YAML at all. */
    while (rc == TR_OK && !is_done &&
           tr_resource_next_document(&text, &line, &document, &first_line)) {
        struct tr_yaml yaml;
        rc = tr_yaml_parse(document, first_line, &yaml, err);
        if (rc != TR_OK) {
            break;
        }
        if (yaml.documents_len > 0) {
            is_done = true;
            rc = decode_document(configuration, yaml.documents[0], err);
        }
        tr_yaml_fini(&yaml);
    }
    return rc == TR_OK ? TR_OK : tr_err_wrap(err, "%s", origin);
}

enum tr_code tr_configuration_load(struct tr_configuration *configuration, const char *path,
                                   tr_env_fn env, struct tr_err *err)
{
    struct tr_buf raw = { 0 };
    struct tr_buf text = { 0 };
    enum tr_code rc = file_read(path, &raw, err);
    if (rc == TR_OK) {
        tr_resource_expand_env(tr_buf_slice(&raw), env, &text);
        rc = tr_configuration_decode(configuration, tr_buf_slice(&text), path, err);
    }
    tr_buf_fini(&raw);
    tr_buf_fini(&text);
    return rc;
}

static bool is_access(const char *text)
{
    const struct tr_slice access = tr_slice_str(text);
    return access.len == 0 || tr_slice_eq_nocase(access, TR_SLICE_LIT("allow")) ||
           tr_slice_eq_nocase(access, TR_SLICE_LIT("deny"));
}

/* Source: Dapr pkg/config/configuration.go, sortAndValidateSecretsConfiguration. */
enum tr_code tr_configuration_check(const struct tr_configuration *configuration,
                                    struct tr_err *err)
{
    for (size_t i = 0; i < configuration->secret_scopes.len; i++) {
        const struct tr_conf_secret_scope *one = &configuration->secret_scopes.items[i];
        for (size_t j = 0; j < i; j++) {
            if (strcmp(one->store_name, configuration->secret_scopes.items[j].store_name) == 0) {
                return tr_err_set(err, TR_INVALID,
                                  "%s storeName is repeated in secrets configuration",
                                  one->store_name);
            }
        }
        if (!is_access(one->default_access)) {
            return tr_err_set(err, TR_INVALID, "defaultAccess %s can be either allow or deny",
                              one->default_access);
        }
    }
    return TR_OK;
}

bool tr_configuration_has_feature(const struct tr_configuration *configuration, const char *name)
{
    for (size_t i = configuration->features.len; i > 0; i--) {
        const struct tr_conf_feature *one = &configuration->features.items[i - 1];
        if (strcmp(one->name, name) == 0) {
            return one->is_enabled;
        }
    }
    return strcmp(name, "HotReload") == 0 || strcmp(name, "WorkflowsRemoteActivityReminder") == 0;
}

/* Source: Dapr pkg/config/configuration.go, ComponentTypeAllowed: entries with more than one slash are passed over. */
bool tr_configuration_denies_component(const struct tr_configuration *configuration,
                                       const char *type, const char *version)
{
    if (configuration->components_denied.len == 0) {
        return false;
    }
    if (type[0] == '\0' || version[0] == '\0') {
        return true;
    }
    for (size_t i = 0; i < configuration->components_denied.len; i++) {
        struct tr_slice rest = tr_slice_str(configuration->components_denied.items[i]);
        struct tr_slice denied_type = { 0 };
        struct tr_slice denied_version = { 0 };
        (void)tr_slice_split(&rest, '/', &denied_type);
        const bool has_version = tr_slice_split(&rest, '/', &denied_version);
        if (rest.ptr == NULL && tr_slice_eq_str(denied_type, type) &&
            (!has_version || tr_slice_eq_str(denied_version, version))) {
            return true;
        }
    }
    return false;
}
