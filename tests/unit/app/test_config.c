/* What an app says about its actors. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "runtime/app/config.h"
#include "tests/lib/log_catch.h"

struct config_test {
    struct log_catch log;
    struct tr_app_config config;
    struct tr_err err;
};

static int set_up(void **state)
{
    struct config_test *t = tr_xzalloc(sizeof(*t));
    log_catch_init(&t->log);
    *state = t;
    return 0;
}

static int tear_down(void **state)
{
    struct config_test *t = *state;
    tr_app_config_fini(&t->config);
    log_catch_fini(&t->log);
    free(t);
    return 0;
}

static void parse(struct config_test *t, const char *json)
{
    tr_app_config_fini(&t->config);
    if (tr_app_config_parse(tr_slice_str(json), &t->log.log, &t->config, &t->err) != TR_OK) {
        fail_msg("%s: %s", json, t->err.msg);
    }
}

/* The text is refused for this reason, and what was there before stays. */
static void refuse(struct config_test *t, const char *json, const char *reason)
{
    struct tr_app_config untouched = { .drain_ms = 77 };
    const enum tr_code rc = tr_app_config_parse(tr_slice_str(json), &t->log.log, &untouched, &t->err);
    if (rc != TR_INVALID) {
        fail_msg("%s was taken", json);
    }
    assert_non_null(strstr(t->err.msg, reason));
    assert_int_equal(untouched.drain_ms, 77);
}

static const struct tr_app_type *type_of(struct config_test *t, const char *name)
{
    for (size_t i = 0; i < t->config.types_len; i++) {
        if (tr_slice_eq_str(tr_buf_slice(&t->config.types[i].name), name)) {
            return &t->config.types[i];
        }
    }
    fail_msg("'%s' is not hosted", name);
    return NULL;
}

static void assert_type(struct config_test *t, const char *name, uint64_t idle_ms, bool is_reentrant, uint32_t depth_max)
{
    const struct tr_app_type *type = type_of(t, name);
    assert_int_equal(type->idle_ms, idle_ms);
    assert_int_equal(type->is_reentrant, is_reentrant);
    assert_int_equal(type->depth_max, depth_max);
}

static void an_empty_object_hosts_nothing(void **state)
{
    struct config_test *t = *state;
    parse(t, "{}");
    assert_int_equal(t->config.types_len, 0);
    assert_false(t->config.has_drain_ms);
    assert_false(t->config.is_drain_off);
}

static void types_get_the_defaults(void **state)
{
    struct config_test *t = *state;
    parse(t, "{\"entities\":[\"a\",\"b\"]}");
    assert_int_equal(t->config.types_len, 2);
    assert_type(t, "a", 3600000, false, 32);
    assert_false(type_of(t, "b")->has_drain_ms);
}

static void global_settings_count_for_every_type(void **state)
{
    struct config_test *t = *state;
    parse(t, "{\"entities\":[\"a\"],\"actorIdleTimeout\":\"1h1.5s\",\"drainOngoingCallTimeout\":\"90s\","
             "\"drainRebalancedActors\":false,\"reentrancy\":{\"enabled\":true,\"maxStackDepth\":5},"
             "\"actorScanInterval\":\"1s\"}");
    assert_type(t, "a", 3601500, true, 5);
    assert_true(t->config.has_drain_ms);
    assert_int_equal(t->config.drain_ms, 90000);
    assert_true(t->config.is_drain_off);
}

static void empty_and_null_settings_count_as_absent(void **state)
{
    struct config_test *t = *state;
    parse(t, "{\"entities\":[\"a\"],\"actorIdleTimeout\":\"\",\"drainOngoingCallTimeout\":\"\","
             "\"drainRebalancedActors\":null,\"reentrancy\":null,\"entitiesConfig\":null}");
    assert_type(t, "a", 3600000, false, 32);
    assert_false(t->config.has_drain_ms);
    assert_false(t->config.is_drain_off);
    parse(t, "{\"entities\":null,\"actorIdleTimeout\":null,\"entitiesConfig\":[null]}");
    assert_int_equal(t->config.types_len, 0);
}

static void an_idle_time_of_zero_or_less_is_at_once(void **state)
{
    struct config_test *t = *state;
    parse(t, "{\"entities\":[\"a\",\"b\"],\"actorIdleTimeout\":\"-5s\","
             "\"entitiesConfig\":[{\"entities\":[\"b\"],\"actorIdleTimeout\":\"0\"}]}");
    assert_type(t, "a", 0, false, 32);
    assert_type(t, "b", 0, false, 32);
}

/* Source: Dapr tests/integration/suite/actors/lock/call/reentry/pertype. */
static void an_entry_replaces_all_settings_of_its_types(void **state)
{
    struct config_test *t = *state;
    parse(t, "{\"entities\":[\"a\",\"b\",\"c\"],\"actorIdleTimeout\":\"2s\",\"drainOngoingCallTimeout\":\"3s\","
             "\"reentrancy\":{\"enabled\":true,\"maxStackDepth\":5},\"entitiesConfig\":["
             "{\"entities\":[\"b\"]},"
             "{\"entities\":[\"c\"],\"actorIdleTimeout\":\"4s\",\"drainOngoingCallTimeout\":\"6s\","
             "\"drainRebalancedActors\":false,\"reentrancy\":{\"enabled\":true}}]}");
    assert_type(t, "a", 2000, true, 5);
    assert_type(t, "b", 3600000, false, 32);
    assert_false(type_of(t, "b")->has_drain_ms); /* the host's holds */
    assert_type(t, "c", 4000, true, 32);
    assert_true(type_of(t, "c")->has_drain_ms);
    assert_int_equal(type_of(t, "c")->drain_ms, 6000);
    assert_false(t->config.is_drain_off); /* only the host's word counts */
}

static void the_last_entry_of_a_type_wins(void **state)
{
    struct config_test *t = *state;
    parse(t, "{\"entities\":[\"a\"],\"entitiesConfig\":[{\"entities\":[\"a\"],\"actorIdleTimeout\":\"1s\","
             "\"reentrancy\":{\"enabled\":true}},{\"entities\":[\"a\"],\"actorIdleTimeout\":\"2s\"}]}");
    assert_type(t, "a", 2000, false, 32);
}

static void an_entry_of_a_type_that_is_not_hosted_is_told_and_ignored(void **state)
{
    struct config_test *t = *state;
    parse(t, "{\"entities\":[\"a\"],\"entitiesConfig\":[{\"entities\":[\"x\",\"a\"],\"actorIdleTimeout\":\"1s\"}]}");
    assert_int_equal(t->config.types_len, 1);
    assert_type(t, "a", 1000, false, 32);
    assert_int_equal(log_catch_count(&t->log, "level=warning"), 1);
    assert_int_equal(log_catch_count(&t->log, "actor_type=x"), 1);
}

static void a_type_named_twice_is_hosted_once(void **state)
{
    struct config_test *t = *state;
    parse(t, "{\"entities\":[\"a\",\"A\",\"a\"]}");
    assert_int_equal(t->config.types_len, 2);
}

static void member_names_match_in_any_case_and_others_are_ignored(void **state)
{
    struct config_test *t = *state;
    parse(t, "{\"ENTITIES\":[\"a\"],\"actoridletimeout\":\"1s\",\"Reentrancy\":{\"Enabled\":true,\"MAXSTACKDEPTH\":7},"
             "\"unknown\":{\"entities\":5}}");
    assert_type(t, "a", 1000, true, 7);
}

static void text_around_the_object_is_ignored(void **state)
{
    struct config_test *t = *state;
    parse(t, " \n{\"entities\":[\"}\\\"{\"]} trailing }{ nonsense");
    assert_int_equal(t->config.types_len, 1);
    assert_true(tr_slice_eq_str(tr_buf_slice(&t->config.types[0].name), "}\"{"));
}

static void text_that_is_no_object_is_refused(void **state)
{
    struct config_test *t = *state;
    refuse(t, "", "");
    refuse(t, "{", "");
    refuse(t, "{\"entities\":[\"a\"", "");
    refuse(t, "{\"entities\":[a]}", "");
    refuse(t, "[]", "not a JSON object");
    refuse(t, "\"{}\"", "not a JSON object");
    refuse(t, "<html>", "");
    refuse(t, "}", "");
}

static void members_of_a_wrong_type_are_refused(void **state)
{
    struct config_test *t = *state;
    refuse(t, "{\"entities\":\"a\"}", "'entities' is no array");
    refuse(t, "{\"entities\":[1]}", "'entities' holds a value that is no string");
    refuse(t, "{\"actorIdleTimeout\":5}", "'actorIdleTimeout' is no string");
    refuse(t, "{\"drainOngoingCallTimeout\":5}", "'drainOngoingCallTimeout' is no string");
    refuse(t, "{\"drainRebalancedActors\":\"true\"}", "'drainRebalancedActors' is no boolean");
    refuse(t, "{\"reentrancy\":true}", "'reentrancy' is no object");
    refuse(t, "{\"reentrancy\":{\"enabled\":1}}", "'enabled' is no boolean");
    refuse(t, "{\"reentrancy\":{\"maxStackDepth\":\"5\"}}", "'maxStackDepth' is no integer");
    refuse(t, "{\"reentrancy\":{\"maxStackDepth\":5.5}}", "'maxStackDepth' is no integer");
    refuse(t, "{\"remindersStoragePartitions\":\"5\"}", "'remindersStoragePartitions' is no integer");
    refuse(t, "{\"entitiesConfig\":{}}", "'entitiesConfig' is no array");
    refuse(t, "{\"entitiesConfig\":[5]}", "'entitiesConfig' holds a value that is no object");
    refuse(t, "{\"entitiesConfig\":[{\"entities\":5}]}", "'entities' is no array");
    refuse(t, "{\"entitiesConfig\":[{\"actorIdleTimeout\":5}]}", "'actorIdleTimeout' is no string");
    refuse(t, "{\"entitiesConfig\":[{\"drainOngoingCallTimeout\":5}]}", "'drainOngoingCallTimeout' is no string");
    refuse(t, "{\"entitiesConfig\":[{\"drainRebalancedActors\":5}]}", "'drainRebalancedActors' is no boolean");
    refuse(t, "{\"entitiesConfig\":[{\"reentrancy\":5}]}", "'reentrancy' is no object");
}

static void a_global_duration_that_is_none_is_refused(void **state)
{
    struct config_test *t = *state;
    refuse(t, "{\"entities\":[\"a\"],\"actorIdleTimeout\":\"1 day\"}", "time: unknown unit \" day\"");
    refuse(t, "{\"entities\":[\"a\"],\"drainOngoingCallTimeout\":\"5\"}", "time: missing unit in duration \"5\"");
}

static void a_duration_of_an_entry_that_is_none_is_told_and_the_default_holds(void **state)
{
    struct config_test *t = *state;
    parse(t, "{\"entities\":[\"a\"],\"actorIdleTimeout\":\"1s\",\"drainOngoingCallTimeout\":\"2s\",\"entitiesConfig\":"
             "[{\"entities\":[\"a\"],\"actorIdleTimeout\":\"x\",\"drainOngoingCallTimeout\":\"y\"}]}");
    assert_type(t, "a", 3600000, false, 32);
    assert_false(type_of(t, "a")->has_drain_ms);
    assert_int_equal(log_catch_count(&t->log, "level=warning"), 2);
}

static void depths_that_make_no_sense_become_the_default(void **state)
{
    struct config_test *t = *state;
    parse(t, "{\"entities\":[\"a\"],\"reentrancy\":{\"maxStackDepth\":0}}");
    assert_type(t, "a", 3600000, false, 32);
    parse(t, "{\"entities\":[\"a\"],\"reentrancy\":{\"enabled\":true,\"maxStackDepth\":-1}}");
    assert_type(t, "a", 3600000, true, 32);
    parse(t, "{\"entities\":[\"a\"],\"reentrancy\":{\"enabled\":true,\"maxStackDepth\":9223372036854775807}}");
    assert_type(t, "a", 3600000, true, 32);
}

static void storage_partitions_are_told_to_be_deprecated(void **state)
{
    struct config_test *t = *state;
    parse(t, "{\"remindersStoragePartitions\":0}");
    assert_int_equal(log_catch_count(&t->log, "deprecated"), 0);
    parse(t, "{\"entities\":[\"a\"],\"remindersStoragePartitions\":7,"
             "\"entitiesConfig\":[{\"entities\":[\"a\"],\"remindersStoragePartitions\":8}]}");
    assert_int_equal(log_catch_count(&t->log, "deprecated"), 2);
}

static void more_types_than_the_limit_are_refused(void **state)
{
    struct config_test *t = *state;
    const struct tr_app_entry entry = { .is_reentrant = true };
    struct tr_buf name = { 0 };
    for (unsigned i = 0; i < TR_APP_TYPES_MAX; i++) {
        tr_buf_clear(&name);
        tr_buf_addf(&name, "t%u", i);
        assert_int_equal(tr_app_config_add(&t->config, tr_buf_slice(&name), &entry, &t->err), TR_OK);
    }
    assert_int_equal(tr_app_config_add(&t->config, tr_buf_slice(&name), &entry, &t->err), TR_OK);
    assert_int_equal(tr_app_config_add(&t->config, TR_SLICE_LIT("one more"), &entry, &t->err), TR_LIMIT);
    assert_string_equal(t->err.msg, "app hosts more than 4096 actor types");
    assert_int_equal(t->config.types_len, TR_APP_TYPES_MAX);
    tr_buf_fini(&name);
}

static void setting_a_type_tells_whether_it_is_hosted(void **state)
{
    struct config_test *t = *state;
    const struct tr_app_entry entry = { .has_idle_ms = true, .idle_ms = 5, .is_reentrant = true, .depth_max = 3 };
    parse(t, "{\"entities\":[\"a\"]}");
    assert_false(tr_app_config_set(&t->config, TR_SLICE_LIT("b"), &entry));
    assert_true(tr_app_config_set(&t->config, TR_SLICE_LIT("a"), &entry));
    assert_type(t, "a", 5, true, 3);
    tr_app_config_fini(&t->config);
    tr_app_config_fini(&t->config); /* harmless when empty */
    assert_int_equal(t->config.types_len, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_empty_object_hosts_nothing),
        TEST(types_get_the_defaults),
        TEST(global_settings_count_for_every_type),
        TEST(empty_and_null_settings_count_as_absent),
        TEST(an_idle_time_of_zero_or_less_is_at_once),
        TEST(an_entry_replaces_all_settings_of_its_types),
        TEST(the_last_entry_of_a_type_wins),
        TEST(an_entry_of_a_type_that_is_not_hosted_is_told_and_ignored),
        TEST(a_type_named_twice_is_hosted_once),
        TEST(member_names_match_in_any_case_and_others_are_ignored),
        TEST(text_around_the_object_is_ignored),
        TEST(text_that_is_no_object_is_refused),
        TEST(members_of_a_wrong_type_are_refused),
        TEST(a_global_duration_that_is_none_is_refused),
        TEST(a_duration_of_an_entry_that_is_none_is_told_and_the_default_holds),
        TEST(depths_that_make_no_sense_become_the_default),
        TEST(storage_partitions_are_told_to_be_deprecated),
        TEST(more_types_than_the_limit_are_refused),
        TEST(setting_a_type_tells_whether_it_is_hosted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
