#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "runtime/resource/configuration.h"

static void decode(struct tr_configuration *c, const char *spec)
{
    struct tr_buf text = { 0 };
    struct tr_err err = { 0 };
    tr_buf_addf(&text,
                "apiVersion: dapr.io/v1alpha1\nkind: Configuration\nmetadata: {name: c}\nspec:\n%s",
                spec);
    if (tr_configuration_decode(c, tr_buf_slice(&text), "conf.yaml", &err) != TR_OK) {
        fail_msg("%s", err.msg);
    }
    tr_buf_fini(&text);
}

static void defaults_are_those_of_dapr(void **state)
{
    (void)state;
    struct tr_configuration c;
    struct tr_err err;
    tr_configuration_init(&c);
    assert_int_equal(tr_configuration_decode(&c, TR_SLICE_LIT(""), "empty", &err), TR_OK);
    assert_true(c.tracing.otel_is_secure);
    assert_true(c.metrics.is_enabled);
    assert_int_equal(c.metrics.increased_cardinality, TR_UNSET);
    assert_string_equal(c.access.default_action, "allow");
    assert_string_equal(c.access.trust_domain, "public");
    assert_string_equal(c.tracing.sampling_rate, "");
    assert_int_equal(c.api_log_enabled, TR_UNSET);
    tr_configuration_fini(&c);
}

static void every_field_is_read(void **state)
{
    (void)state;
    struct tr_configuration c;
    tr_configuration_init(&c);
    decode(
        &c,
        "  tracing: {samplingRate: 1, stdout: true, zipkin: {endpointAddress: z},\n"
        "    otel: {endpointAddress: o, protocol: grpc, isSecure: false, headers: [a=b=c, {name: "
        "n, value: v}], timeout: 5s}}\n"
        "  metric: {enabled: false, recordErrorCodes: true, latencyDistributionBuckets: [1, 2],\n"
        "    http: {increasedCardinality: false, pathMatching: [/a], excludeVerbs: true},\n"
        "    rules: [{name: r, labels: [{name: m, regex: {x: y.+}}]}]}\n"
        "  mtls: {enabled: true, workloadCertTTL: 24h, allowedClockSkew: 15m, sentryAddress: s, "
        "controlPlaneTrustDomain: d}\n"
        "  accessControl: {defaultAction: deny, policies: [{appId: a, defaultAction: allow, "
        "trustDomain: t, namespace: n,\n"
        "    operations: [{name: /x, httpVerb: [GET, PUT], action: deny}]}]}\n"
        "  nameResolution: {component: consul, version: v1, configuration: {a: [1]}}\n"
        "  api: {allowed: [{name: state, version: v1, protocol: http}], denied: [{name: invoke, "
        "version: v1, protocol: grpc}]}\n"
        "  httpPipeline: {handlers: [{name: h, type: middleware.http.x, version: v1}]}\n"
        "  appHttpPipeline: {handlers: [{name: g, type: t}]}\n"
        "  features: [{name: F, enabled: true}]\n"
        "  components: {deny: [state.redis]}\n"
        "  secrets: {scopes: [{storeName: s, defaultAccess: deny, allowedSecrets: [x], "
        "deniedSecrets: [y, z]}]}\n"
        "  logging: {apiLogging: {enabled: true, obfuscateURLs: true, omitHealthChecks: true}}\n"
        "  unknown: {x: 1}\n");
    assert_string_equal(c.tracing.sampling_rate, "1");
    assert_true(c.tracing.to_stdout);
    assert_string_equal(c.tracing.zipkin_address, "z");
    assert_string_equal(c.tracing.otel_address, "o");
    assert_false(c.tracing.otel_is_secure);
    assert_int_equal(c.tracing.otel_headers.len, 2);
    assert_string_equal(c.tracing.otel_headers.items[0].value, "b=c");
    assert_string_equal(c.tracing.otel_headers.items[1].name, "n");
    assert_int_equal(c.tracing.otel_timeout_ns, INT64_C(5000000000));
    assert_false(c.metrics.is_enabled);
    assert_true(c.metrics.records_error_codes);
    assert_int_equal(c.metrics.latency_buckets_ms.len, 2);
    assert_int_equal(c.metrics.increased_cardinality, TR_NO);
    assert_string_equal(c.metrics.path_matching.items[0], "/a");
    assert_true(c.metrics.excludes_verbs);
    assert_string_equal(c.metrics.rules.items[0].labels.items[0].regexes.items[0].value, "y.+");
    assert_int_equal(c.mtls_enabled, TR_YES);
    assert_string_equal(c.mtls_clock_skew, "15m");
    assert_string_equal(c.access.default_action, "deny");
    assert_string_equal(c.access.trust_domain, "public");
    assert_string_equal(c.access.policies.items[0].operations.items[0].http_verbs.items[1], "PUT");
    assert_string_equal(c.resolver, "consul");
    assert_string_equal(c.resolver_conf, "{\"a\":[1]}");
    assert_string_equal(c.api_allowed.items[0].name, "state");
    assert_string_equal(c.api_denied.items[0].protocol, "grpc");
    assert_string_equal(c.http_handlers.items[0].type, "middleware.http.x");
    assert_string_equal(c.app_handlers.items[0].version, "");
    assert_true(tr_configuration_has_feature(&c, "F"));
    assert_string_equal(c.components_denied.items[0], "state.redis");
    assert_int_equal(c.secret_scopes.items[0].denied.len, 2);
    assert_int_equal(c.api_log_enabled, TR_YES);
    assert_true(c.api_log_obfuscates);
    tr_configuration_fini(&c);
}

static void a_second_file_merges_maps_and_replaces_lists(void **state)
{
    (void)state;
    struct tr_configuration c;
    tr_configuration_init(&c);
    decode(&c, "  tracing: {samplingRate: \"1\", zipkin: {endpointAddress: z}}\n"
               "  features: [{name: A, enabled: true}, {name: B, enabled: true}]\n");
    decode(&c, "  tracing: {zipkin: {endpointAddress: y}, stdout: null}\n  features: [{name: C, "
               "enabled: true}]\n");
    assert_string_equal(c.tracing.sampling_rate, "1");
    assert_string_equal(c.tracing.zipkin_address, "y");
    assert_int_equal(c.features.len, 1);
    assert_string_equal(c.features.items[0].name, "C");
    tr_configuration_fini(&c);
}

static void metrics_wins_over_metric_field_by_field(void **state)
{
    (void)state;
    struct tr_configuration c;
    tr_configuration_init(&c);
    decode(&c, "  metrics: {enabled: true}\n  metric: {enabled: false, recordErrorCodes: true}\n");
    assert_true(c.metrics.is_enabled);
    assert_true(c.metrics.records_error_codes);
    tr_configuration_fini(&c);
}

static void only_the_first_document_counts(void **state)
{
    (void)state;
    struct tr_configuration c;
    struct tr_err err;
    tr_configuration_init(&c);
    assert_int_equal(tr_configuration_decode(
                         &c,
                         TR_SLICE_LIT("---\nspec: {tracing: {samplingRate: \"1\"}}\n---\n: [bad\n"),
                         "x", &err),
                     TR_OK);
    assert_string_equal(c.tracing.sampling_rate, "1");
    tr_configuration_fini(&c);
}

static void wrong_types_name_file_line_and_field(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *message;
    } cases[] = {
        { "spec:\n  metrics: {enabled: 1}\n",
          "conf.yaml: line 2: spec.metrics.enabled must be true or false" },
        { "spec:\n  metric: 3\n", "conf.yaml: line 2: spec.metric must be a map" },
        { "spec: {features: {}}\n", "conf.yaml: line 1: spec.features must be a list" },
        { "spec: {features: [x]}\n", "conf.yaml: line 1: spec.features must be a map" },
        { "spec: {tracing: {samplingRate: [1]}}\n",
          "conf.yaml: line 1: spec.tracing.samplingRate must be a text" },
        { "spec: {metric: {latencyDistributionBuckets: [1, x]}}\n",
          "conf.yaml: line 1: spec.metric.latencyDistributionBuckets must be a list of whole "
          "numbers" },
        { "spec: {metric: {rules: [{labels: [{regex: [1]}]}]}}\n",
          "conf.yaml: line 1: spec.metric.rules.labels.regex must be a map" },
        { "spec: {tracing: {otel: {headers: [x]}}}\n",
          "conf.yaml: line 1: spec.tracing.otel.headers must be a list of name=value" },
        { "spec: {tracing: {otel: {timeout: x}}}\n",
          "conf.yaml: line 1: spec.tracing.otel.timeout: time: invalid duration \"x\"" },
        { "[1]\n", "conf.yaml: line 1: the document must be a map" },
        { "a: [\n", "conf.yaml: yaml: line 2: " },
    };
    for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++) {
        struct tr_configuration c;
        struct tr_err err;
        tr_configuration_init(&c);
        assert_int_equal(
            tr_configuration_decode(&c, tr_slice_str(cases[i].text), "conf.yaml", &err),
            TR_INVALID);
        assert_memory_equal(err.msg, cases[i].message, strlen(cases[i].message));
        tr_configuration_fini(&c);
    }
}

static const char *some_env(const char *name)
{
    return strcmp(name, "RATE") == 0 ? "0.5" : strcmp(name, "1") == 0 ? "one" : NULL;
}

static void variables_are_replaced_as_go_does(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *expected;
    } cases[] = {
        { "a $RATE ${RATE}x $RATEx.", "a 0.5 0.5x ." },
        { "$$RATE", "RATE" },
        { "$1x ${1}", "onex one" },
        { "100$", "100$" },
        { "$ x", "$ x" },
        { "${}x", "x" },
        { "${RATE", "RATE" },
        { "$-RATE$", "RATE$" },
    };
    for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++) {
        struct tr_buf out = { 0 };
        tr_resource_expand_env(tr_slice_str(cases[i].text), some_env, &out);
        assert_string_equal(tr_buf_cstr(&out), cases[i].expected);
        tr_buf_fini(&out);
    }
}

static void a_file_is_expanded_and_read(void **state)
{
    (void)state;
    char path[] = "/tmp/troupe-conf-XXXXXX";
    static const char text[] = "spec: {tracing: {samplingRate: \"$RATE\"}}\n";
    const int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, sizeof(text) - 1), sizeof(text) - 1);
    struct tr_configuration c;
    struct tr_err err;
    tr_configuration_init(&c);
    assert_int_equal(tr_configuration_load(&c, path, some_env, &err), TR_OK);
    assert_string_equal(c.tracing.sampling_rate, "0.5");
    (void)close(fd);
    (void)unlink(path);
    assert_int_equal(tr_configuration_load(&c, path, some_env, &err), TR_IO);
    tr_configuration_fini(&c);
}

static void features_have_defaults_and_the_last_listing_counts(void **state)
{
    (void)state;
    struct tr_configuration c;
    tr_configuration_init(&c);
    assert_true(tr_configuration_has_feature(&c, "HotReload"));
    assert_false(tr_configuration_has_feature(&c, "ActorStateTTL"));
    decode(&c, "  features: [{name: HotReload, enabled: false}, {name: ActorStateTTL, enabled: "
               "true}, {name: X, enabled: true},\n"
               "    {name: X, enabled: false}]\n");
    assert_false(tr_configuration_has_feature(&c, "HotReload"));
    assert_true(tr_configuration_has_feature(&c, "ActorStateTTL"));
    assert_false(tr_configuration_has_feature(&c, "X"));
    tr_configuration_fini(&c);
}

static void components_are_denied_by_type_or_type_and_version(void **state)
{
    (void)state;
    struct tr_configuration c;
    tr_configuration_init(&c);
    assert_false(tr_configuration_denies_component(&c, "", ""));
    decode(&c, "  components: {deny: [state.a, state.b/v2, state.c/v1/x]}\n");
    assert_true(tr_configuration_denies_component(&c, "state.a", "v1"));
    assert_true(tr_configuration_denies_component(&c, "state.b", "v2"));
    assert_false(tr_configuration_denies_component(&c, "state.b", "v1"));
    assert_false(tr_configuration_denies_component(&c, "state.c", "v1"));
    assert_false(tr_configuration_denies_component(&c, "state.aa", "v1"));
    assert_true(tr_configuration_denies_component(&c, "state.d", ""));
    tr_configuration_fini(&c);
}

static void secret_scopes_are_checked(void **state)
{
    (void)state;
    struct tr_configuration c;
    struct tr_err err;
    tr_configuration_init(&c);
    decode(&c, "  secrets: {scopes: [{storeName: a, defaultAccess: deny}, {storeName: b}]}\n");
    assert_int_equal(tr_configuration_check(&c, &err), TR_OK);
    decode(&c, "  secrets: {scopes: [{storeName: a}, {storeName: a}]}\n");
    assert_int_equal(tr_configuration_check(&c, &err), TR_INVALID);
    assert_string_equal(err.msg, "a storeName is repeated in secrets configuration");
    decode(&c, "  secrets: {scopes: [{storeName: a, defaultAccess: maybe}]}\n");
    assert_int_equal(tr_configuration_check(&c, &err), TR_INVALID);
    assert_string_equal(err.msg, "defaultAccess maybe can be either allow or deny");
    tr_configuration_fini(&c);
}

static void http_lists_match_the_group_or_a_prefix_of_the_path(void **state)
{
    (void)state;
    struct tr_configuration c;
    tr_configuration_init(&c);
    assert_true(tr_configuration_allows_http(&c, "v1", "state", "v1.0/state/{s}"));
    decode(&c, "  api: {denied: [{name: state, version: v1, protocol: HTTP}, {name: invoke, "
               "version: v1, protocol: grpc}]}\n");
    assert_false(tr_configuration_allows_http(&c, "v1", "state", "v1.0/state/{s}"));
    assert_true(tr_configuration_allows_http(&c, "v1", "invoke", "v1.0/invoke/{id}"));
    decode(&c, "  api: {allowed: [{name: state, version: v1.0, protocol: http}], denied: []}\n");
    assert_true(tr_configuration_allows_http(&c, "v1", "state", "v1.0/state/{s}"));
    assert_false(tr_configuration_allows_http(&c, "v1", "invoke", "v1.0/invoke/{id}"));
    tr_configuration_fini(&c);
}

static void grpc_lists_match_methods_by_their_group(void **state)
{
    (void)state;
    struct tr_configuration c;
    const struct tr_slice get_state = TR_SLICE_LIT("/dapr.proto.runtime.v1.Dapr/GetState");
    const struct tr_slice get_bulk = TR_SLICE_LIT("/dapr.proto.runtime.v1.Dapr/GetBulkState");
    const struct tr_slice invoke = TR_SLICE_LIT("/dapr.proto.runtime.v1.Dapr/InvokeActor");
    const struct tr_slice proxied = TR_SLICE_LIT("/my.Service/GetState");
    tr_configuration_init(&c);
    assert_true(tr_configuration_allows_grpc(&c, get_state));
    decode(&c, "  api: {denied: [{name: state, version: v1, protocol: grpc}, {name: actors, "
               "version: v1, protocol: http}]}\n");
    assert_false(tr_configuration_allows_grpc(&c, get_state));
    assert_true(tr_configuration_allows_grpc(&c, invoke));
    assert_true(tr_configuration_allows_grpc(&c, proxied));
    assert_true(
        tr_configuration_allows_grpc(&c, TR_SLICE_LIT("/dapr.proto.runtime.v1.Dapr/State")));
    decode(&c, "  api: {denied: [], allowed: [{name: state, version: v1, protocol: grpc}]}\n");
    assert_true(tr_configuration_allows_grpc(&c, get_bulk));
    assert_false(tr_configuration_allows_grpc(&c, invoke));
    assert_true(tr_configuration_allows_grpc(&c, proxied));
    tr_configuration_fini(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_those_of_dapr),
        cmocka_unit_test(every_field_is_read),
        cmocka_unit_test(a_second_file_merges_maps_and_replaces_lists),
        cmocka_unit_test(metrics_wins_over_metric_field_by_field),
        cmocka_unit_test(only_the_first_document_counts),
        cmocka_unit_test(wrong_types_name_file_line_and_field),
        cmocka_unit_test(variables_are_replaced_as_go_does),
        cmocka_unit_test(a_file_is_expanded_and_read),
        cmocka_unit_test(features_have_defaults_and_the_last_listing_counts),
        cmocka_unit_test(components_are_denied_by_type_or_type_and_version),
        cmocka_unit_test(secret_scopes_are_checked),
        cmocka_unit_test(http_lists_match_the_group_or_a_prefix_of_the_path),
        cmocka_unit_test(grpc_lists_match_methods_by_their_group),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
