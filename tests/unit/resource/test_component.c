#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "runtime/resource/component.h"

static void parse(struct tr_resource *resource, const char *spec)
{
    struct tr_buf text = { 0 };
    struct tr_err err = { 0 };
    bool is_known = false;
    tr_buf_addf(&text, "apiVersion: dapr.io/v1alpha1\nkind: Component\nmetadata: {name: store}\n%s",
                spec);
    if (tr_resource_parse(tr_buf_slice(&text), 1, &is_known, resource, &err) != TR_OK) {
        fail_msg("%s", err.msg);
    }
    assert_true(is_known);
    tr_buf_fini(&text);
}

static void every_field_is_read(void **state)
{
    (void)state;
    struct tr_resource r;
    parse(&r,
          "auth: {secretStore: vault}\n"
          "spec:\n  type: state.redis\n  version: 1\n  ignoreErrors: true\n  initTimeout: 1m\n");
    assert_string_equal(r.component->type, "state.redis");
    assert_string_equal(r.component->version, "1");
    assert_true(r.component->ignore_errors);
    assert_int_equal(r.component->init_timeout_ms, 60000);
    assert_string_equal(r.component->secret_store, "vault");
    assert_string_equal(r.log_name, "store (state.redis/1)");
    assert_true(tr_slice_eq_str(tr_component_category(r.component), "state"));
    tr_resource_fini(&r);
}

static void defaults_hold_for_what_is_absent_or_senseless(void **state)
{
    (void)state;
    static const char *const timeouts[] = { "x", "0", "-5s", "0s" };
    for (size_t i = 0; i < TR_ARRAY_LEN(timeouts); i++) {
        struct tr_buf spec = { 0 };
        struct tr_resource r;
        tr_buf_addf(&spec, "spec: {type: state.redis, initTimeout: %s}\n", timeouts[i]);
        parse(&r, tr_buf_cstr(&spec));
        assert_int_equal(r.component->init_timeout_ms, TR_COMPONENT_INIT_MS);
        assert_false(r.component->ignore_errors);
        assert_string_equal(r.component->version, "");
        assert_string_equal(r.log_name, "store (state.redis)");
        assert_int_equal(r.component->settings_len, 0);
        tr_resource_fini(&r);
        tr_buf_fini(&spec);
    }
}

static void values_of_any_type_become_texts(void **state)
{
    (void)state;
    struct tr_resource r;
    parse(&r, "spec:\n  metadata:\n  - {name: a, value: x}\n  - {name: b, value: true}\n  - {name: "
              "c, value: 1.0}\n"
              "  - {name: d, value: {z: [1, \"2\"]}}\n  - {name: e, value: \"\"}\n  - {name: f}\n  "
              "- {name: a, value: y}\n");
    assert_string_equal(tr_component_value(r.component, "A"), "x");
    assert_string_equal(tr_component_value(r.component, "b"), "true");
    assert_string_equal(tr_component_value(r.component, "c"), "1");
    assert_string_equal(tr_component_value(r.component, "d"), "{\"z\":[1,\"2\"]}");
    assert_string_equal(tr_component_value(r.component, "e"), "");
    assert_null(tr_component_value(r.component, "f"));
    assert_non_null(tr_component_setting(r.component, "f"));
    assert_null(tr_component_setting(r.component, "g"));
    tr_resource_fini(&r);
}

static void the_actor_store_is_marked_by_a_truthy_setting(void **state)
{
    (void)state;
    static const struct {
        const char *value;
        bool expected;
    } cases[] = {
        { "true", true }, { "\"YES\"", true }, { "1", true }, { "false", false }, { "\"\"", false }
    };
    for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++) {
        struct tr_buf spec = { 0 };
        struct tr_resource r;
        tr_buf_addf(&spec, "spec: {metadata: [{name: ActorStateStore, value: %s}]}\n",
                    cases[i].value);
        parse(&r, tr_buf_cstr(&spec));
        assert_int_equal(tr_component_is_actor_store(r.component), cases[i].expected);
        tr_resource_fini(&r);
        tr_buf_fini(&spec);
    }
}

static const char *some_env(const char *name)
{
    if (strcmp(name, "PLAIN") == 0) {
        return "value";
    }
    return strcmp(name, "DAPR_SECRET") == 0 || strcmp(name, "APP_API_TOKEN") == 0 ? "hidden" : NULL;
}

static const char *listing_env(const char *name)
{
    return strcmp(name, "DAPR_ENV_KEYS") == 0 ? "OTHER LISTED" : name;
}

static void variables_are_read_if_they_may_be(void **state)
{
    (void)state;
    struct tr_log_sink sink;
    struct tr_log log;
    tr_log_sink_init(&sink);
    sink.level = TR_LOG_OFF;
    tr_log_init(&log, &sink, "dapr.test");
    static const char spec[] =
        "spec:\n  metadata:\n  - {name: a, envRef: PLAIN}\n  - {name: b, envRef: DAPR_SECRET}\n"
        "  - {name: c, envRef: APP_API_TOKEN}\n  - {name: d, envRef: dapr_x}\n  - {name: e, "
        "envRef: LISTED}\n"
        "  - {name: f, envRef: UNSET}\n  - {name: g, envRef: PLAIN, value: kept}\n  - {name: h, "
        "envRef: A B}\n";
    struct tr_resource r;
    parse(&r, spec);
    tr_component_resolve_env(&r, some_env, &log);
    assert_string_equal(tr_component_value(r.component, "a"), "value");
    assert_null(tr_component_value(r.component, "b"));
    assert_null(tr_component_value(r.component, "c"));
    assert_null(tr_component_value(r.component, "d"));
    assert_string_equal(tr_component_value(r.component, "f"), "");
    assert_string_equal(tr_component_value(r.component, "g"), "kept");
    assert_null(tr_component_value(r.component, "h"));
    tr_resource_fini(&r);

    parse(&r, spec);
    tr_component_resolve_env(&r, listing_env, &log);
    assert_null(tr_component_value(r.component, "a"));
    assert_string_equal(tr_component_value(r.component, "e"), "LISTED");
    tr_resource_fini(&r);
    tr_log_sink_fini(&sink);
}

static void secrets_fill_the_settings_that_wait_for_them(void **state)
{
    (void)state;
    struct tr_resource r;
    parse(&r, "spec:\n  metadata:\n  - {name: a, secretKeyRef: {name: s, key: k}}\n  - {name: b, "
              "secretKeyRef: {name: s}}\n");
    assert_true(tr_component_needs_secret(r.component));
    tr_component_set_secret(r.component, TR_SLICE_LIT("s"), TR_SLICE_LIT("k"), TR_SLICE_LIT("one"));
    assert_true(tr_component_needs_secret(r.component));
    assert_null(tr_component_value(r.component, "b"));
    tr_component_set_secret(r.component, TR_SLICE_LIT("s"), TR_SLICE_LIT("s"), TR_SLICE_LIT("two"));
    assert_false(tr_component_needs_secret(r.component));
    assert_string_equal(tr_component_value(r.component, "a"), "one");
    assert_string_equal(tr_component_value(r.component, "b"), "two");
    tr_resource_fini(&r);
}

static void words_in_braces_are_replaced(void **state)
{
    (void)state;
    struct tr_rng rng;
    struct tr_resource r;
    struct tr_err err;
    tr_rng_init_seed(&rng, 1);
    struct tr_component_words words = {
        .app_id = "app", .name_space = "ns", .pod_name = "pod", .rng = &rng
    };
    parse(&r,
          "spec:\n  metadata:\n  - {name: a, value: \"{podName}/{namespace}/{appID}/{other}/{\"}\n"
          "  - {name: b, value: \"{uuid}{uuid}\"}\n  - {name: c}\n");
    assert_int_equal(tr_component_substitute(r.component, &words, &err), TR_OK);
    assert_string_equal(tr_component_value(r.component, "a"), "pod/ns.app/app/{other}/{");
    const char *uuids = tr_component_value(r.component, "b");
    assert_int_equal(strlen(uuids), 2 * TR_UUID_LEN);
    assert_memory_not_equal(uuids, uuids + TR_UUID_LEN, TR_UUID_LEN);
    assert_null(tr_component_value(r.component, "c"));
    tr_resource_fini(&r);
}

static void a_pod_name_that_is_not_set_is_an_error(void **state)
{
    (void)state;
    struct tr_resource r;
    struct tr_err err;
    struct tr_component_words words = { .app_id = "app", .name_space = "ns" };
    parse(&r, "spec: {metadata: [{name: x, value: \"a-{podName}\"}]}\n");
    assert_int_equal(tr_component_substitute(r.component, &words, &err), TR_INVALID);
    assert_string_equal(
        err.msg, "failed to parse metadata: property x refers to {podName} but podName is not set");
    tr_resource_fini(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_field_is_read),
        cmocka_unit_test(defaults_hold_for_what_is_absent_or_senseless),
        cmocka_unit_test(values_of_any_type_become_texts),
        cmocka_unit_test(the_actor_store_is_marked_by_a_truthy_setting),
        cmocka_unit_test(variables_are_read_if_they_may_be),
        cmocka_unit_test(secrets_fill_the_settings_that_wait_for_them),
        cmocka_unit_test(words_in_braces_are_replaced),
        cmocka_unit_test(a_pod_name_that_is_not_set_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
