/* The sidecar's command line and environment: defaults, every rule, every refusal. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "runtime/sidecar/options.h"

#define WORDS_MAX 16

struct options_test {
    struct tr_sidecar_options options;
    struct tr_err err;
    char *argv[WORDS_MAX + 2];
    int argc;
};

static const char *const variables[] = { "NAMESPACE", "DAPR_API_TOKEN", "APP_API_TOKEN", "DAPR_HTTP_DISABLE_H2C" };

static int set_up(void **state)
{
    for (size_t i = 0; i < TR_ARRAY_LEN(variables); i++) {
        (void)unsetenv(variables[i]);
    }
    *state = tr_xzalloc(sizeof(struct options_test));
    return 0;
}

static void forget(struct options_test *t)
{
    if (t->argc > 0) {
        tr_sidecar_options_fini(&t->options);
    }
    for (int i = 0; i < t->argc; i++) {
        free(t->argv[i]);
    }
    *t = (struct options_test){ .argc = 0 };
}

static int tear_down(void **state)
{
    forget(*state);
    free(*state);
    return 0;
}

/* Parse and check "daprd --app-id=me <flags>"; words are separated by blanks. */
static enum tr_code check_bare(struct options_test *t, const char *flags)
{
    struct tr_slice rest = tr_slice_str(flags);
    struct tr_slice word;
    forget(t);
    t->argv[t->argc++] = tr_xstrdup(TR_SLICE_LIT("daprd"));
    while (tr_slice_split(&rest, ' ', &word)) {
        assert_true(t->argc < WORDS_MAX);
        if (word.len > 0) {
            t->argv[t->argc++] = tr_xstrdup(word);
        }
    }
    tr_sidecar_options_parse(&t->options, t->argc, t->argv);
    return tr_sidecar_options_check(&t->options, &t->err);
}

static enum tr_code check(struct options_test *t, const char *flags)
{
    struct tr_buf line = { 0 };
    tr_buf_addf(&line, "--app-id=me %s", flags);
    const enum tr_code rc = check_bare(t, tr_buf_cstr(&line));
    tr_buf_fini(&line);
    return rc;
}

static void take(struct options_test *t, const char *flags)
{
    if (check(t, flags) != TR_OK) {
        fail_msg("%s: %s", flags, t->err.msg);
    }
}

static void refuse(struct options_test *t, const char *flags, const char *text)
{
    assert_int_not_equal(check(t, flags), TR_OK);
    assert_string_equal(t->err.msg, text);
}

static void defaults_are_those_of_the_original(void **state)
{
    struct options_test *t = *state;
    take(t, "");
    const struct tr_sidecar_options *o = &t->options;
    assert_string_equal(o->flags.mode, "standalone");
    assert_int_equal(o->app_port, 0);
    assert_int_equal(o->app_protocol, TR_APP_HTTP);
    assert_string_equal(o->flags.app_channel_address, "127.0.0.1");
    assert_int_equal(o->http_port, 3500);
    assert_int_equal(o->grpc_port, 50001);
    assert_int_equal(o->public_port, 0);
    assert_int_equal(o->internal_port, 0);
    assert_int_equal(o->metrics_port, 9090);
    assert_string_equal(o->flags.metrics_listen_address, "0.0.0.0");
    assert_true(o->flags.enable_metrics);
    assert_int_equal(o->body_bytes_max, 4194304);
    assert_int_equal(o->header_bytes_max, 4096);
    assert_int_equal(o->concurrency_max, 0);
    assert_false(o->flags.enable_app_health_check);
    assert_string_equal(o->flags.app_health_check_path, "/healthz");
    assert_int_equal(o->health_interval_ms, 5000);
    assert_int_equal(o->health_timeout_ms, 500);
    assert_int_equal(o->health_threshold, 3);
    assert_int_equal(o->grace_ms, 5000);
    assert_false(o->has_block);
    assert_false(o->skips_app_config);
    assert_int_equal(o->placement_addresses_len, 0);
    assert_true(o->flags.disseminate_timeout_ns == INT64_C(30000000000));
    assert_string_equal(o->name_space, "default");
    assert_string_equal(o->raw_name_space, "");
    assert_string_equal(o->api_token, "");
    assert_string_equal(o->app_token, "");
    assert_false(o->h2c_off);
    assert_string_equal(o->flags.log_level, "info");
}

static void the_app_id_is_needed_and_has_no_dots(void **state)
{
    struct options_test *t = *state;
    assert_int_equal(check_bare(t, ""), TR_INVALID);
    assert_string_equal(t->err.msg, "parameter app-id cannot be empty");
    assert_int_equal(check_bare(t, "--app-id=a.b"), TR_INVALID);
    assert_string_equal(t->err.msg, "parameter app-id cannot contain dots");
}

static void one_dash_will_do(void **state)
{
    struct options_test *t = *state;
    assert_int_equal(check_bare(t, "-app-id me -dapr-http-port=1234 -enable-app-health-check"), TR_OK);
    assert_int_equal(t->options.http_port, 1234);
    assert_true(t->options.flags.enable_app_health_check);
}

static void ports_are_numbers(void **state)
{
    struct options_test *t = *state;
    take(t, "--app-port=1 --dapr-http-port=+2 --dapr-grpc-port=0 --dapr-public-port=65535 --dapr-internal-grpc-port=5 "
            "--metrics-port=6");
    assert_int_equal(t->options.app_port, 1);
    assert_int_equal(t->options.http_port, 2);
    assert_int_equal(t->options.grpc_port, 0);
    assert_int_equal(t->options.public_port, 65535);
    assert_int_equal(t->options.internal_port, 5);
    assert_int_equal(t->options.metrics_port, 6);
    refuse(t, "--dapr-http-port=x", "error parsing dapr-http-port flag: strconv.Atoi: parsing \"x\": invalid syntax");
    refuse(t, "--dapr-http-port=", "error parsing dapr-http-port flag: strconv.Atoi: parsing \"\": invalid syntax");
    refuse(t, "--dapr-grpc-port=-", "error parsing dapr-grpc-port flag: strconv.Atoi: parsing \"-\": invalid syntax");
    refuse(t, "--dapr-grpc-port=\t5", "error parsing dapr-grpc-port flag: strconv.Atoi: parsing \"\t5\": invalid syntax");
    refuse(t, "--app-port=5a", "error parsing app-port flag: strconv.Atoi: parsing \"5a\": invalid syntax");
    refuse(t, "--dapr-public-port=0x5", "error parsing dapr-public-port flag: strconv.Atoi: parsing \"0x5\": invalid syntax");
    refuse(t, "--dapr-internal-grpc-port=5.0",
           "error parsing dapr-internal-grpc-port flag: strconv.Atoi: parsing \"5.0\": invalid syntax");
    refuse(t, "--metrics-port=m", "error parsing metrics-port flag: strconv.Atoi: parsing \"m\": invalid syntax");
    refuse(t, "--app-port=65536", "error parsing app-port flag: 65536 is not a port");
    refuse(t, "--app-port=-1", "error parsing app-port flag: -1 is not a port");
    refuse(t, "--app-port=99999999999999999999", "error parsing app-port flag: 99999999999999999999 is not a port");
    take(t, "--app-port= --dapr-public-port= --dapr-internal-grpc-port=");
    take(t, "--app-port=0");
    assert_int_equal(t->options.app_port, 0);
}

static void the_apps_port_is_its_own(void **state)
{
    struct options_test *t = *state;
    refuse(t, "--app-port=3500", "the 'dapr-http-port' argument value 3500 conflicts with 'app-port'");
    refuse(t, "--app-port=50001", "the 'dapr-grpc-port' argument value 50001 conflicts with 'app-port'");
    take(t, "--dapr-http-port=0 --app-port=0");
}

static void protocols_are_named_in_any_case(void **state)
{
    struct options_test *t = *state;
    take(t, "--app-protocol=H2C --app-port=1");
    assert_int_equal(t->options.app_protocol, TR_APP_H2C);
    assert_string_equal(t->options.app_protocol_name, "h2c");
    take(t, "--app-protocol=gRPC --app-port=1");
    assert_int_equal(t->options.app_protocol, TR_APP_GRPC);
    take(t, "--app-protocol=https");
    assert_int_equal(t->options.app_protocol, TR_APP_HTTPS);
    refuse(t, "--app-protocol=tcp", "invalid value for 'app-protocol': tcp");
    refuse(t, "--app-protocol=", "invalid value for 'app-protocol': ");
}

static void the_old_flag_for_tls_changes_the_protocol(void **state)
{
    struct options_test *t = *state;
    take(t, "--app-ssl");
    assert_int_equal(t->options.app_protocol, TR_APP_HTTPS);
    take(t, "--app-ssl --app-protocol=grpc");
    assert_int_equal(t->options.app_protocol, TR_APP_GRPCS);
    take(t, "--app-ssl --app-protocol=h2c");
    assert_int_equal(t->options.app_protocol, TR_APP_H2C);
}

static void what_is_not_served_ends_the_start(void **state)
{
    struct options_test *t = *state;
    refuse(t, "--app-port=1 --app-protocol=https", "app-protocol 'https' is not served yet");
    refuse(t, "--app-port=1 --app-protocol=grpcs", "app-protocol 'grpcs' is not served yet");
    refuse(t, "--mode=kubernetes", "mode 'kubernetes' is not served: only standalone is");
    refuse(t, "--enable-mtls", "enable-mtls is not served yet");
    assert_int_equal(t->err.code, TR_UNIMPLEMENTED);
    take(t, "--enable-mtls=false");
}

static void the_largest_body_is_a_quantity(void **state)
{
    struct options_test *t = *state;
    take(t, "--max-body-size=1k");
    assert_int_equal(t->options.body_bytes_max, 1000);
    take(t, "--max-body-size=1Ki --dapr-http-max-request-size=7");
    assert_int_equal(t->options.body_bytes_max, 1024);
    take(t, "--max-body-size=-1");
    assert_int_equal(t->options.body_bytes_max, 4194304);
    take(t, "--max-body-size=0");
    assert_int_equal(t->options.body_bytes_max, 0);
    take(t, "--dapr-http-max-request-size=2");
    assert_int_equal(t->options.body_bytes_max, 2 << 20);
    take(t, "--dapr-http-max-request-size=-1");
    assert_int_equal(t->options.body_bytes_max, 4194304);
    take(t, "--dapr-http-max-request-size=9223372036854775807");
    assert_true(t->options.body_bytes_max == INT64_MAX);
    assert_int_equal(check(t, "--max-body-size=x"), TR_INVALID);
    assert_non_null(strstr(t->err.msg, "invalid value for 'max-body-size': x: "));
}

static void the_largest_head_is_a_quantity(void **state)
{
    struct options_test *t = *state;
    take(t, "--read-buffer-size=8Ki");
    assert_int_equal(t->options.header_bytes_max, 8192);
    take(t, "--dapr-http-read-buffer-size=16");
    assert_int_equal(t->options.header_bytes_max, 16384);
    take(t, "--dapr-http-read-buffer-size=-1");
    assert_int_equal(t->options.header_bytes_max, 4096);
    take(t, "--read-buffer-size=0");
    assert_int_equal(t->options.header_bytes_max, 4096);
    take(t, "--read-buffer-size=-5");
    assert_int_equal(t->options.header_bytes_max, 4096);
    take(t, "--read-buffer-size=9E");
    assert_int_equal(t->options.header_bytes_max, TR_SIDECAR_HEADER_BYTES_MAX);
    take(t, "--dapr-http-read-buffer-size=9223372036854775807");
    assert_int_equal(t->options.header_bytes_max, TR_SIDECAR_HEADER_BYTES_MAX);
    assert_int_equal(check(t, "--read-buffer-size=4KiB"), TR_INVALID);
    assert_non_null(strstr(t->err.msg, "invalid value for 'read-buffer-size': 4KiB: "));
}

static void health_settings_that_make_no_sense_become_the_defaults(void **state)
{
    struct options_test *t = *state;
    take(t, "--app-health-probe-interval=0 --app-health-probe-timeout=0 --app-health-threshold=0");
    assert_int_equal(t->options.health_interval_ms, 5000);
    assert_int_equal(t->options.health_timeout_ms, 500);
    assert_int_equal(t->options.health_threshold, 3);
    take(t, "--app-health-probe-interval=-1 --app-health-probe-timeout=-1 --app-health-threshold=-1");
    assert_int_equal(t->options.health_interval_ms, 5000);
    assert_int_equal(t->options.health_threshold, 3);
    take(t, "--app-health-probe-interval=1 --app-health-probe-timeout=1000 --app-health-threshold=7");
    assert_int_equal(t->options.health_interval_ms, 1000);
    assert_int_equal(t->options.health_timeout_ms, 1000);
    assert_int_equal(t->options.health_threshold, 7);
    refuse(t, "--app-health-probe-interval=1 --app-health-probe-timeout=1001",
           "value for 'health-probe-timeout' must be smaller than 'health-probe-interval'");
    take(t, "--app-health-probe-interval=9223372036854775807");
    assert_true(t->options.health_interval_ms == UINT64_C(1000000000000));
}

static void concurrency_without_limit_is_zero(void **state)
{
    struct options_test *t = *state;
    take(t, "--app-max-concurrency=5");
    assert_int_equal(t->options.concurrency_max, 5);
    take(t, "--app-max-concurrency=0");
    assert_int_equal(t->options.concurrency_max, 0);
    take(t, "--app-max-concurrency=-7");
    assert_int_equal(t->options.concurrency_max, 0);
    take(t, "--app-max-concurrency=4294967296");
    assert_int_equal(t->options.concurrency_max, UINT32_MAX);
}

static void the_grace_period_may_have_no_end(void **state)
{
    struct options_test *t = *state;
    take(t, "--dapr-graceful-shutdown-seconds=0");
    assert_int_equal(t->options.grace_ms, 0);
    take(t, "--dapr-graceful-shutdown-seconds=-3");
    assert_int_equal(t->options.grace_ms, 5000);
    take(t, "--dapr-graceful-shutdown-seconds=180");
    assert_int_equal(t->options.grace_ms, 180000);
    take(t, "--dapr-graceful-shutdown-seconds=9223372036854775807");
    assert_true(t->options.grace_ms == UINT64_C(1000000000000));
}

static void a_blocked_shutdown_is_asked_for_by_its_flag(void **state)
{
    struct options_test *t = *state;
    take(t, "--dapr-block-shutdown-duration=1m30s");
    assert_true(t->options.has_block);
    assert_int_equal(t->options.block_ms, 90000);
    take(t, "--dapr-block-shutdown-duration=0s");
    assert_true(t->options.has_block);
    assert_int_equal(t->options.block_ms, 0);
}

static void init_endpoints_can_be_left_out(void **state)
{
    struct options_test *t = *state;
    take(t, "--disable-init-endpoints=config,subscribe");
    assert_true(t->options.skips_app_config);
    take(t, "--disable-init-endpoints=subscribe --disable-init-endpoints config");
    assert_true(t->options.skips_app_config);
    take(t, "--disable-init-endpoints=subscribe");
    assert_false(t->options.skips_app_config);
    refuse(t, "--disable-init-endpoints=config,bindings", "invalid value for 'disable-init-endpoints': bindings");
}

static void a_placement_round_takes_time(void **state)
{
    struct options_test *t = *state;
    refuse(t, "--actors-disseminate-timeout=0s",
           "invalid value for 'actors-disseminate-timeout': must be greater than 0");
    refuse(t, "--actors-disseminate-timeout=-1s",
           "invalid value for 'actors-disseminate-timeout': must be greater than 0");
    take(t, "--actors-disseminate-timeout=1ms");
}

static void assert_placement(struct options_test *t, const char *flags, const char *want)
{
    struct tr_buf all = { 0 };
    take(t, flags);
    for (size_t i = 0; i < t->options.placement_addresses_len; i++) {
        tr_buf_addf(&all, "[%s]", t->options.placement_addresses[i]);
    }
    assert_string_equal(tr_buf_cstr(&all), want);
    tr_buf_fini(&all);
}

/* Source: Dapr tests/integration/suite/daprd/actors/emptyaddress. */
static void placement_addresses_are_a_list_without_quotes_and_blanks(void **state)
{
    struct options_test *t = *state;
    assert_placement(t, "--placement-host-address=a:1", "[a:1]");
    assert_placement(t, "--placement-host-address=a:1,b:2,,c:3", "[a:1][b:2][c:3]");
    assert_placement(t, "--placement-host-address='a:1','b:2'", "[a:1][b:2]");
    assert_placement(t, "--placement-host-address=", "");
    assert_placement(t, "--placement-host-address=''", "");
    assert_placement(t, "--placement-host-address=\"\"", "");
    assert_placement(t, "--placement-host-address='\"\t\"'", "");
    assert_placement(t, "--actors-service=placement:a:1,b:2", "[a:1][b:2]");
    assert_placement(t, "--actors-service=a:1", "[a:1]");
    assert_placement(t, "--actors-service=placement:a:1 --placement-host-address=b:2", "[b:2]");
    assert_placement(t, "--actors-service=placement:a:1 --placement-host-address=", "");
    assert_placement(t, "--reminders-service=scheduler:a:1", "");
}

static void the_environment_gives_namespace_and_tokens(void **state)
{
    struct options_test *t = *state;
    assert_int_equal(setenv("NAMESPACE", "ns", 1), 0);
    assert_int_equal(setenv("DAPR_API_TOKEN", "in", 1), 0);
    assert_int_equal(setenv("APP_API_TOKEN", "out", 1), 0);
    assert_int_equal(setenv("DAPR_HTTP_DISABLE_H2C", " YES ", 1), 0);
    take(t, "");
    assert_string_equal(t->options.name_space, "ns");
    assert_string_equal(t->options.raw_name_space, "ns");
    assert_string_equal(t->options.api_token, "in");
    assert_string_equal(t->options.app_token, "out");
    assert_true(t->options.h2c_off);
    assert_int_equal(setenv("NAMESPACE", "", 1), 0);
    assert_int_equal(setenv("DAPR_HTTP_DISABLE_H2C", "no", 1), 0);
    take(t, "");
    assert_string_equal(t->options.name_space, ""); /* there, even if empty */
    assert_false(t->options.h2c_off);
}

static void the_first_rule_that_is_broken_is_told(void **state)
{
    struct options_test *t = *state;
    refuse(t, "--app-protocol=x --dapr-http-port=x",
           "error parsing dapr-http-port flag: strconv.Atoi: parsing \"x\": invalid syntax");
}

static void a_checked_command_line_can_be_forgotten_twice(void **state)
{
    struct options_test *t = *state;
    take(t, "--placement-host-address=a:1 --resources-path=x,y");
    assert_int_equal(t->options.flags.resources_path.len, 2);
    tr_sidecar_options_fini(&t->options);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(defaults_are_those_of_the_original),
        TEST(the_app_id_is_needed_and_has_no_dots),
        TEST(one_dash_will_do),
        TEST(ports_are_numbers),
        TEST(the_apps_port_is_its_own),
        TEST(protocols_are_named_in_any_case),
        TEST(the_old_flag_for_tls_changes_the_protocol),
        TEST(what_is_not_served_ends_the_start),
        TEST(the_largest_body_is_a_quantity),
        TEST(the_largest_head_is_a_quantity),
        TEST(health_settings_that_make_no_sense_become_the_defaults),
        TEST(concurrency_without_limit_is_zero),
        TEST(the_grace_period_may_have_no_end),
        TEST(a_blocked_shutdown_is_asked_for_by_its_flag),
        TEST(init_endpoints_can_be_left_out),
        TEST(a_placement_round_takes_time),
        TEST(placement_addresses_are_a_list_without_quotes_and_blanks),
        TEST(the_environment_gives_namespace_and_tokens),
        TEST(the_first_rule_that_is_broken_is_told),
        TEST(a_checked_command_line_can_be_forgotten_twice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
