#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "runtime/tool/launch.h"

static const char *const folders[] = { "/data/components", "/a,b \"c\"" };
static const struct tr_launch launch = {
    .self = "/bin/troupe",
    .app_id = "shop",
    .app_protocol = "grpc",
    .log_level = "warn",
    .app_port = 6000,
    .http_port = 3500,
    .grpc_port = 50001,
    .metrics_port = 9090,
    .folders = folders,
    .folders_len = 2,
};

static void assert_words(struct tr_words *words, const char *const *expected)
{
    size_t len = 0;
    for (; expected[len] != NULL; len++) {
        assert_true(len < words->len);
        assert_string_equal(words->items[len], expected[len]);
    }
    assert_int_equal(words->len, len);
    assert_null(tr_words_list(words)[len]);
    tr_words_fini(words);
    assert_null(words->items);
}

static void placement_is_for_this_machine_only(void **state)
{
    (void)state;
    struct tr_words argv = { 0 };
    tr_launch_placement(&launch, 23456, 27001, &argv);
    assert_words(&argv,
                 (const char *const[]){ "/bin/troupe", "placement", "--port=23456",
                                        "--listen-address=127.0.0.1", "--healthz-port=27001",
                                        "--healthz-listen-address=127.0.0.1",
                                        "--enable-metrics=false", "--log-level=warn", NULL });
}

static void folders_of_the_sidecar_are_quoted_as_csv(void **state)
{
    (void)state;
    struct tr_words argv = { 0 };
    tr_launch_sidecar(&launch, 23456, &argv);
    assert_words(&argv, (const char *const[]){
                            "/bin/troupe", "sidecar", "--app-id=shop", "--app-protocol=grpc",
                            "--app-port=6000", "--dapr-http-port=3500", "--dapr-grpc-port=50001",
                            "--dapr-listen-addresses=127.0.0.1",
                            "--dapr-internal-grpc-listen-address=127.0.0.1", "--metrics-port=9090",
                            "--metrics-listen-address=127.0.0.1",
                            "--placement-host-address=127.0.0.1:23456",
                            "--resources-path=\"/data/components\"",
                            "--resources-path=\"/a,b \"\"c\"\"\"", "--log-level=warn", NULL });
}

static void the_app_learns_its_ports(void **state)
{
    (void)state;
    struct tr_words env = { 0 };
    tr_launch_app_env(&launch, NULL, &env);
    assert_words(&env,
                 (const char *const[]){ "APP_ID=shop", "APP_PROTOCOL=grpc", "APP_PORT=6000",
                                        "DAPR_HTTP_PORT=3500", "DAPR_GRPC_PORT=50001",
                                        "DAPR_METRICS_PORT=9090", "PYTHONUNBUFFERED=1", NULL });
}

static void an_app_that_does_not_listen_gets_no_port_and_keeps_its_buffering(void **state)
{
    (void)state;
    struct tr_launch quiet = launch;
    struct tr_words env = { 0 };
    quiet.app_port = 0;
    tr_launch_app_env(&quiet, "", &env);
    assert_words(&env,
                 (const char *const[]){ "APP_ID=shop", "APP_PROTOCOL=grpc", "DAPR_HTTP_PORT=3500",
                                        "DAPR_GRPC_PORT=50001", "DAPR_METRICS_PORT=9090", NULL });
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(placement_is_for_this_machine_only),
        cmocka_unit_test(folders_of_the_sidecar_are_quoted_as_csv),
        cmocka_unit_test(the_app_learns_its_ports),
        cmocka_unit_test(an_app_that_does_not_listen_gets_no_port_and_keeps_its_buffering),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
