#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "runtime/tool/announce.h"

static const struct tr_launch launch = {
    .app_id = "shop",
    .app_protocol = "http",
    .app_port = 6000,
    .http_port = 3500,
    .grpc_port = 50001,
    .metrics_port = 9090,
};

static void urls_and_an_actor_type_of_the_app_are_shown(void **state)
{
    (void)state;
    struct tr_buf out = { 0 };
    tr_announce(&launch, "/data/state", false,
                TR_SLICE_LIT("{\"id\":\"shop\",\"actorRuntime\":{\"activeActors\":[{\"type\":"
                             "\"cart\"},{\"type\":\"user\"}]}}"),
                &out);
    assert_string_equal(tr_buf_cstr(&out),
                        "ready: app 'shop' on port 6000 (http)\n"
                        "  HTTP API  http://127.0.0.1:3500\n"
                        "  gRPC API  127.0.0.1:50001\n"
                        "  metrics   http://127.0.0.1:9090/metrics\n"
                        "  state     /data/state\n"
                        "Call an actor (put your own id and method):\n"
                        "  curl -X POST http://127.0.0.1:3500/v1.0/actors/cart/ID/method/METHOD\n"
                        "Ctrl-C stops everything.\n");
    tr_buf_fini(&out);
}

static void without_actors_a_word_stands_for_the_type(void **state)
{
    (void)state;
    static const char *const answers[] = { "{}",
                                           "",
                                           "{\"actorRuntime\":{\"activeActors\":[]}}",
                                           "[1",
                                           "{\"actorRuntime\":null}",
                                           "{\"actorRuntime\":{\"activeActors\":[{\"type\":5}]}}" };
    for (size_t i = 0; i < TR_ARRAY_LEN(answers); i++) {
        struct tr_buf out = { 0 };
        tr_announce(&launch, NULL, false, tr_slice_str(answers[i]), &out);
        assert_non_null(strstr(tr_buf_cstr(&out), "/v1.0/actors/TYPE/ID/method/METHOD\n"));
        assert_null(strstr(tr_buf_cstr(&out), "  state "));
        tr_buf_fini(&out);
    }
}

static void an_api_with_a_token_is_called_with_it(void **state)
{
    (void)state;
    struct tr_buf out = { 0 };
    tr_announce(&launch, NULL, true, TR_SLICE_LIT("{}"), &out);
    assert_non_null(strstr(
        tr_buf_cstr(&out),
        "  curl -X POST -H \"dapr-api-token: $DAPR_API_TOKEN\" http://127.0.0.1:3500/v1.0/"));
    tr_buf_fini(&out);
}

static void an_app_that_does_not_listen_has_no_port(void **state)
{
    (void)state;
    struct tr_launch quiet = launch;
    struct tr_buf out = { 0 };
    quiet.app_port = 0;
    tr_announce(&quiet, NULL, false, TR_SLICE_LIT("{}"), &out);
    assert_memory_equal(tr_buf_cstr(&out), "ready: app 'shop'\n", 18);
    tr_buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(urls_and_an_actor_type_of_the_app_are_shown),
        cmocka_unit_test(without_actors_a_word_stands_for_the_type),
        cmocka_unit_test(an_api_with_a_token_is_called_with_it),
        cmocka_unit_test(an_app_that_does_not_listen_has_no_port),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
