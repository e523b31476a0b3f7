/* The placement process's command line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "placement/options.h"
#include "runtime/base/duration.h"

static struct tr_placement_options options;
static struct tr_err err;

static enum tr_code read_with(const struct tr_placement_env *env, int argc, char **argv)
{
    return tr_placement_options_read(&options, argc, argv, env, &err);
}

#define READ(...)                                                                                  \
    read_with(&(const struct tr_placement_env){ 0 },                                               \
              (int)TR_ARRAY_LEN(((char *[]){ "placement", __VA_ARGS__ })),                         \
              (char *[]){ "placement", __VA_ARGS__ })

static void defaults_are_those_of_the_reference(void **state)
{
    assert_int_equal(READ("words"), TR_OK);
    assert_string_equal(options.id, "dapr-placement-0");
    assert_int_equal(options.port, 50005);
    assert_int_equal(options.healthz_port, 8080);
    assert_int_equal(options.metrics_port, 9090);
    assert_int_equal(options.replication_factor, 100);
    assert_int_equal(options.keepalive_time_ns, 2 * TR_NS_PER_S);
    assert_int_equal(options.keepalive_timeout_ns, 3 * TR_NS_PER_S);
    assert_int_equal(options.disseminate_timeout_ns, 8 * TR_NS_PER_S);
    assert_string_equal(options.limit_text, "8s");
    assert_int_equal(options.disseminate_coalesce_ns, 0);
    assert_string_equal(options.sentry_address, "dapr-sentry.default.svc:443");
    assert_false(options.metadata_enabled);
    assert_false(options.tls_enabled);
    assert_true(options.enable_metrics);
    assert_true(options.leads);
    assert_int_equal(options.log_level, TR_LOG_INFO);
    tr_placement_options_fini(&options);
    (void)state;
}

static void the_arguments_of_the_test_suite_are_taken(void **state)
{
    assert_int_equal(READ("--log-level=debug", "--id=m1", "--port=1", "--listen-address=127.0.0.1",
                          "--healthz-port=2", "--healthz-listen-address=127.0.0.1",
                          "--metrics-port=3", "--metrics-listen-address=127.0.0.1",
                          "--initial-cluster=m1=127.0.0.1:4", "--tls-enabled=false",
                          "--metadata-enabled=true", "--max-api-level=20",
                          "--disseminate-timeout=1m", "-disseminate-coalesce-window=500ms",
                          "-replicationFactor", "7"),
                     TR_OK);
    assert_int_equal(options.log_level, TR_LOG_DEBUG);
    assert_int_equal(options.metrics_port, 3);
    assert_true(options.metadata_enabled);
    assert_string_equal(options.limit_text, "1m0s");
    assert_int_equal(options.disseminate_coalesce_ns, 500 * TR_NS_PER_MS);
    assert_int_equal(options.replication_factor, 7);
    tr_placement_options_fini(&options);
    (void)state;
}

static void the_environment_gives_defaults_only(void **state)
{
    const struct tr_placement_env env = { .metadata_enabled = "Yes", .namespace_name = "dapr" };
    assert_int_equal(read_with(&env, 1, (char *[]){ "placement" }), TR_OK);
    assert_true(options.metadata_enabled);
    assert_string_equal(options.sentry_address, "dapr-sentry.dapr.svc:443");
    tr_placement_options_fini(&options);
    assert_int_equal(read_with(&env, 2, (char *[]){ "placement", "--metadata-enabled=false" }),
                     TR_OK);
    assert_false(options.metadata_enabled);
    tr_placement_options_fini(&options);
    (void)state;
}

static void values_that_cannot_be_used_are_named(void **state)
{
    assert_int_equal(READ("--keepalive-time=500ms"), TR_INVALID);
    assert_string_equal(
        err.msg, "invalid value for keepalive-time: value should be between 1s and 10s, got 500ms");
    assert_int_equal(READ("--keepalive-timeout=10.1s"), TR_INVALID);
    assert_string_equal(
        err.msg,
        "invalid value for keepalive-timeout: value should be between 1s and 10s, got 10.1s");
    assert_int_equal(READ("--keepalive-time=10s", "--keepalive-timeout=1s"), TR_OK);
    tr_placement_options_fini(&options);
    static char *const bad[] = { "--replicationFactor=0",
                                 "--replicationFactor=10001",
                                 "--disseminate-timeout=0",
                                 "--disseminate-timeout=-1s",
                                 "--mode=other",
                                 "--port=65536",
                                 "--port=-1",
                                 "--healthz-port=70000",
                                 "--metrics-port=x",
                                 "--metrics-port=",
                                 "--metrics-port=99999",
                                 "--log-level=loud" };
    for (size_t i = 0; i < TR_ARRAY_LEN(bad); i++) {
        assert_int_equal(READ(bad[i]), TR_INVALID);
    }
    (void)state;
}

static void an_id_outside_of_the_cluster_is_refused(void **state)
{
    assert_int_equal(READ("--id=x", "--initial-cluster=a=h:1,b=h:2"), TR_INVALID);
    assert_string_equal(err.msg, "address for node x not found in raft peers [a=h:1 b=h:2]");
    (void)state;
}

static void of_a_cluster_the_smallest_id_leads_whatever_the_order(void **state)
{
    assert_int_equal(READ("--id=m1", "--initial-cluster=m2=h:2, m1 = h:1 ,m3=h:3"), TR_OK);
    assert_true(options.leads);
    assert_true(tr_slice_eq_str(options.peer_address, "h:1"));
    tr_placement_options_fini(&options);
    assert_int_equal(READ("--id=m2", "--initial-cluster=m2=h:2", "--initial-cluster=m1=h:1"),
                     TR_OK);
    assert_false(options.leads);
    tr_placement_options_fini(&options);
    assert_int_equal(READ("--id=m2", "--initial-cluster=m2=h:2,a=b=c,noise"), TR_OK);
    assert_true(options.leads); /* entries without exactly one '=' are passed over */
    tr_placement_options_fini(&options);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_those_of_the_reference),
        cmocka_unit_test(the_arguments_of_the_test_suite_are_taken),
        cmocka_unit_test(the_environment_gives_defaults_only),
        cmocka_unit_test(values_that_cannot_be_used_are_named),
        cmocka_unit_test(an_id_outside_of_the_cluster_is_refused),
        cmocka_unit_test(of_a_cluster_the_smallest_id_leads_whatever_the_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
