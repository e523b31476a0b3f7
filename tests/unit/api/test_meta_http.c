/* Health, metadata, shutdown, token, lists and log lines over HTTP; the public port. */
#include <stdlib.h>
#include <string.h>

#include "tests/unit/api/http_wire.h"

#define CAT "/v1.0/actors/cat/1"

static struct http_test *new_test(const struct api_test_conf *conf)
{
    struct http_test *t = tr_xzalloc(sizeof(*t));
    http_test_init(t, conf);
    return t;
}

static void free_test(struct http_test *t)
{
    http_test_fini(t);
    free(t);
}

/* --- health --------------------------------------------------------------------------------------------------------- */

static void health_names_what_is_not_ready(void **state)
{
    struct http_test *t = *state;
    t->api.unready = "runtime internal-placement-service";
    send_line(t, "GET /v1.0/healthz");
    assert_error(t, 500, "ERR_HEALTH_NOT_READY", "dapr is not ready: [runtime internal-placement-service]");
    send_line(t, "GET /v1.0/healthz?appid=other"); /* told before the id is looked at */
    assert_error(t, 500, "ERR_HEALTH_NOT_READY", "dapr is not ready: [runtime internal-placement-service]");
    t->api.unready = "";
    send_line(t, "GET /v1.0/healthz/");
    assert_empty(t);
}

static void health_may_ask_for_an_app_id(void **state)
{
    struct http_test *t = *state;
    send_line(t, "GET /v1.0/healthz?appid=other");
    assert_error(t, 500, "ERR_HEALTH_APPID_NOT_MATCH", "dapr app-id does not match");
    send_line(t, "GET /v1.0/healthz?x=y&appid=m%65");
    assert_empty(t);
    send_line(t, "GET /v1.0/healthz?appid=");
    assert_empty(t);
}

static void outbound_health_has_its_own_condition(void **state)
{
    struct http_test *t = *state;
    t->api.unready = "runtime";
    send_line(t, "GET /v1.0/healthz/outbound");
    assert_error(t, 500, "ERR_OUTBOUND_HEALTH_NOT_READY", "dapr outbound is not ready");
    t->api.is_outbound_ready = true;
    send_line(t, "GET /v1.0/healthz/outbound");
    assert_empty(t);
}

/* --- metadata ------------------------------------------------------------------------------------------------------- */

static void metadata_of_a_sidecar_that_waits_for_its_app(void **state)
{
    const struct api_test_conf conf = { .is_bare = true };
    struct http_test *t = new_test(&conf);
    t->api.is_placement_connected = true; /* does not count yet */
    send_line(t, "GET /v1.0/metadata");
    assert_answer(t, 200,
                  "{\"id\":\"me\",\"runtimeVersion\":\"1.2.3\",\"extended\":{\"daprRuntimeVersion\":\"1.2.3\"},"
                  "\"actorRuntime\":{\"runtimeStatus\":\"INITIALIZING\",\"hostReady\":false}}");
    free_test(t);
    (void)state;
}

static void metadata_of_a_sidecar_without_placement(void **state)
{
    const struct api_test_conf conf = { .is_disabled = true };
    struct http_test *t = new_test(&conf);
    send_line(t, "GET /v1.0/metadata");
    assert_answer(t, 200,
                  "{\"id\":\"me\",\"runtimeVersion\":\"1.2.3\",\"extended\":{\"daprRuntimeVersion\":\"1.2.3\"},"
                  "\"actorRuntime\":{\"runtimeStatus\":\"DISABLED\",\"hostReady\":false,"
                  "\"placement\":\"placement: disconnected\"}}");
    free_test(t);
    (void)state;
}

static void metadata_lists_types_also_those_without_actors(void **state)
{
    struct http_test *t = *state;
    const struct tr_actor_type_conf dog = engine_test_type("dog");
    const struct tr_actor_type_conf cow = engine_test_type("cow");
    const struct tr_slice gone = TR_SLICE_LIT("cow");
    api_test_register(&t->api, &dog);
    api_test_register(&t->api, &cow);
    tr_actor_unregister(t->api.engine.engine, &gone, 1, true);
    api_test_activate(&t->api, "1");
    api_test_activate(&t->api, "2");
    send_line(t, "GET /v1.0/metadata");
    assert_answer(t, 200,
                  "{\"id\":\"me\",\"runtimeVersion\":\"1.2.3\",\"actors\":[{\"type\":\"cat\",\"count\":2},"
                  "{\"type\":\"dog\"}],\"extended\":{\"daprRuntimeVersion\":\"1.2.3\"},\"actorRuntime\":{"
                  "\"runtimeStatus\":\"RUNNING\",\"activeActors\":[{\"type\":\"cat\",\"count\":2},{\"type\":\"dog\"}],"
                  "\"hostReady\":false,\"placement\":\"placement: disconnected\"}}");
    t->api.is_placement_connected = true;
    send_line(t, "GET /v1.0/metadata");
    http_test_pump(t);
    char *answer = core_take_sent(&t->core);
    assert_non_null(strstr(answer, "\"hostReady\":true,\"placement\":\"placement: connected\"}}"));
    free(answer);
}

static void metadata_lists_components_features_and_the_app(void **state)
{
    const struct tr_slice features[] = { TR_SLICE_LIT("A"), TR_SLICE_LIT("B") };
    const struct api_test_conf conf = {
        .is_disabled = true,
        .api = { .features = features,
                 .features_len = 2,
                 .app = { .has_app = true,
                          .port = 8080,
                          .protocol = TR_SLICE_LIT("http"),
                          .address = TR_SLICE_LIT("127.0.0.1"),
                          .concurrency_max = 7,
                          .has_health = true,
                          .health_path = TR_SLICE_LIT("/healthz"),
                          .health_interval_ms = 5000,
                          .health_timeout_ms = 500,
                          .health_threshold = 3 } },
    };
    struct http_test *t = new_test(&conf);
    t->api.components[0] = (struct tr_api_component){ .name = TR_SLICE_LIT("st\"ore"),
                                                      .type = TR_SLICE_LIT("state.in-memory"),
                                                      .version = TR_SLICE_LIT("v1"),
                                                      .is_state = true,
                                                      .can_host_actors = true,
                                                      .features = TR_STORE_ETAG | TR_STORE_TRANSACTION | TR_STORE_TTL };
    t->api.components[1] = (struct tr_api_component){ .name = TR_SLICE_LIT("b"), .type = TR_SLICE_LIT("other.x") };
    t->api.components_len = 2;
    send_line(t, "GET /v1.0/metadata");
    assert_answer(t, 200,
                  "{\"id\":\"me\",\"runtimeVersion\":\"1.2.3\",\"enabledFeatures\":[\"A\",\"B\"],\"components\":[{"
                  "\"name\":\"st\\\"ore\",\"type\":\"state.in-memory\",\"version\":\"v1\",\"capabilities\":[\"ETAG\","
                  "\"TRANSACTIONAL\",\"TTL\",\"ACTOR\"]},{\"name\":\"b\",\"type\":\"other.x\"}],\"extended\":{"
                  "\"daprRuntimeVersion\":\"1.2.3\"},\"appConnectionProperties\":{\"port\":8080,\"protocol\":\"http\","
                  "\"channelAddress\":\"127.0.0.1\",\"maxConcurrency\":7,\"health\":{\"healthCheckPath\":\"/healthz\","
                  "\"healthProbeInterval\":\"5s\",\"healthProbeTimeout\":\"500ms\",\"healthThreshold\":3}},"
                  "\"actorRuntime\":{\"runtimeStatus\":\"DISABLED\",\"hostReady\":false,"
                  "\"placement\":\"placement: disconnected\"}}");
    free_test(t);
    (void)state;
}

static void assert_extended(struct http_test *t, const char *want)
{
    send_line(t, "GET /v1.0/metadata");
    char *answer = core_take_sent(&t->core);
    char *at = strstr(answer, "\"extended\":");
    assert_non_null(at);
    *(strchr(at, '}') + 1) = '\0';
    assert_string_equal(at, want);
    free(answer);
}

static void clients_may_add_to_the_metadata(void **state)
{
    struct http_test *t = *state;
    send_body(t, "PUT /v1.0/metadata/a%2Fb", "one \"1\"");
    assert_empty(t);
    send_body(t, "PUT /v1.0/metadata/A", "two");
    assert_empty(t);
    send_body(t, "PUT /v1.0/metadata/a", "three");
    assert_empty(t);
    send_body(t, "PUT /v1.0/metadata/A", "");
    assert_empty(t);
    assert_extended(t, "\"extended\":{\"a/b\":\"one \\\"1\\\"\",\"a\":\"three\",\"A\":\"\","
                       "\"daprRuntimeVersion\":\"1.2.3\"}");
}

static void the_runtimes_own_entry_stays(void **state)
{
    struct http_test *t = *state;
    send_body(t, "PUT /v1.0/metadata/daprRuntimeVersion", "forged");
    assert_empty(t);
    assert_extended(t, "\"extended\":{\"daprRuntimeVersion\":\"1.2.3\"}");
}

static void entries_of_clients_have_limits(void **state)
{
    struct http_test *t = *state;
    char *large = tr_xzalloc(65538);
    memset(large, 'x', 65537);
    for (unsigned i = 0; i < TR_API_EXTENDED_MAX; i++) {
        struct tr_buf key = { 0 };
        tr_buf_addf(&key, "k%u", i);
        assert_true(api_extended_set(t->api.api, tr_buf_slice(&key), TR_SLICE_LIT("v")));
        tr_buf_fini(&key);
    }
    send_body(t, "PUT /v1.0/metadata/k0", "replaced");
    assert_empty(t);
    send_body(t, "PUT /v1.0/metadata/more", "v");
    assert_error(t, 400, "ERR_BAD_REQUEST", "metadata has 256 entries already");
    send_body(t, "PUT /v1.0/metadata/k0", large);
    char *answer = core_take_sent(&t->core);
    assert_non_null(strstr(answer, "{\"errorCode\":\"ERR_MALFORMED_REQUEST\",\"message\":\"stream too large\"}"));
    free(answer);
    free(large);
}

/* --- shutdown ------------------------------------------------------------------------------------------------------- */

static void shutdown_is_answered_and_then_done(void **state)
{
    struct http_test *t = *state;
    send_line(t, "POST /v1.0/shutdown");
    assert_empty(t);
    assert_int_equal(t->api.shutdowns, 1);
    assert_false(t->api.is_shutdown_forced);
    assert_int_equal(log_catch_count(&t->api.log, "msg=\"Shutdown requested via API\""), 1);
    send_with(t, "POST /v1.0/shutdown", "dapr-force-shutdown: yes\r\n", TR_SLICE_LIT(""));
    assert_empty(t);
    assert_false(t->api.is_shutdown_forced);
    send_with(t, "POST /v1.0/shutdown", "Dapr-Force-Shutdown: TRUE\r\n", TR_SLICE_LIT(""));
    assert_empty(t);
    assert_true(t->api.is_shutdown_forced);
    send_line(t, "GET /v1.0/shutdown");
    assert_error(t, 404, "ERR_DIRECT_INVOKE", "failed getting app id either from the URL path or the header dapr-app-id");
    assert_int_equal(t->api.shutdowns, 3);
}

/* --- token ---------------------------------------------------------------------------------------------------------- */

static void without_the_token_only_health_is_answered(void **state)
{
    static const char *const headers[] = { "", "dapr-api-token: wrong\r\n", "dapr-api-token: secre\r\n",
                                           "dapr-api-token: secrets\r\n", "dapr-api-token:\r\n" };
    const struct api_test_conf conf = { .api = { .token = TR_SLICE_LIT("secret") } };
    struct http_test *t = new_test(&conf);
    for (size_t i = 0; i < TR_ARRAY_LEN(headers); i++) {
        send_with(t, "GET /v1.0/metadata", headers[i], TR_SLICE_LIT(""));
        assert_plain(t, 401, "invalid api token\n");
        send_with(t, "GET /no/such/route", headers[i], TR_SLICE_LIT(""));
        assert_plain(t, 401, "invalid api token\n");
    }
    send_line(t, "GET /v1.0/healthz");
    assert_empty(t);
    t->api.is_outbound_ready = true;
    send_line(t, "GET /v1.0/healthz/outbound");
    assert_empty(t);
    send_with(t, "PUT " CAT "/method/m", "Dapr-Api-Token: secret\r\n", TR_SLICE_LIT(""));
    assert_false(tr_http_headers_has(app_open(&t->api.engine, 0)->headers, "dapr-api-token"));
    app_answer(&t->api.engine, 0, 200, "");
    assert_answer(t, 200, "");
    free_test(t);
    (void)state;
}

/* --- lists ---------------------------------------------------------------------------------------------------------- */

static void configure(struct http_test *t, const char *spec)
{
    struct tr_buf text = { 0 };
    struct tr_err err;
    tr_buf_addf(&text, "apiVersion: dapr.io/v1alpha1\nkind: Configuration\nmetadata: {name: c}\nspec: %s\n", spec);
    if (tr_configuration_decode(&t->api.configuration, tr_buf_slice(&text), "c.yaml", &err) != TR_OK) {
        fail_msg("%s", err.msg);
    }
    tr_buf_fini(&text);
}

static void assert_unrouted(struct http_test *t)
{
    assert_error(t, 404, "ERR_DIRECT_INVOKE", "failed getting app id either from the URL path or the header dapr-app-id");
}

static void groups_that_are_denied_are_not_there(void **state)
{
    struct http_test *t = *state;
    configure(t, "{api: {denied: [{name: actors, version: v1, protocol: http}, {name: healthz, version: v1, protocol: http}]}}");
    send_line(t, "PUT " CAT "/method/m");
    assert_unrouted(t);
    send_line(t, "GET /v1.0/healthz"); /* is always there */
    assert_empty(t);
    send_line(t, "POST /v1.0/shutdown");
    assert_empty(t);
}

static void with_a_list_only_groups_on_it_are_there(void **state)
{
    struct http_test *t = *state;
    configure(t, "{api: {allowed: [{name: actors, version: v1, protocol: http}, {name: metadata, version: v1, protocol: grpc}]}}");
    send_line(t, "GET " CAT "/state/k");
    assert_empty(t);
    send_line(t, "GET /v1.0/metadata");
    assert_unrouted(t);
    send_line(t, "POST /v1.0/shutdown");
    assert_unrouted(t);
    assert_int_equal(t->api.shutdowns, 0);
}

/* --- log lines ------------------------------------------------------------------------------------------------------ */

static void each_call_gets_a_line_if_asked_for(void **state)
{
    const struct api_test_conf conf = { .api = { .has_log = true } };
    struct http_test *t = new_test(&conf);
    send_with(t, "GET /v1.0//metadata?x", "User-Agent: curl/8\r\n", TR_SLICE_LIT(""));
    free(core_take_sent(&t->core));
    assert_int_equal(log_catch_count(&t->api.log, "msg=\"HTTP API Called\""), 1);
    assert_int_equal(log_catch_count(&t->api.log, " code=200 duration=0 "), 1);
    assert_int_equal(log_catch_count(&t->api.log, " method=\"GET /v1.0//metadata\" scope=dapr.runtime.http-info "), 1);
    assert_int_equal(log_catch_count(&t->api.log, " useragent=curl/8 "), 1);
    send_line(t, "GET /v1.0/healthz");
    assert_empty(t);
    assert_int_equal(log_catch_count(&t->api.log, " method=\"GET /v1.0/healthz\" "), 1);
    assert_int_equal(log_catch_count(&t->api.log, " size=0 "), 1);
    send_line(t, "GET /no/such/route");
    assert_unrouted(t);
    assert_int_equal(log_catch_count(&t->api.log, "HTTP API Called"), 2);
    free_test(t);
    (void)state;
}

static void log_lines_may_leave_out_paths_and_health(void **state)
{
    const struct api_test_conf conf = { .api = { .has_log = true, .has_log_obfuscated = true, .log_skips_health = true } };
    struct http_test *t = new_test(&conf);
    send_line(t, "GET " CAT "/state/secret-key");
    assert_empty(t);
    assert_int_equal(log_catch_count(&t->api.log, " method=GetActorState "), 1);
    assert_int_equal(log_catch_count(&t->api.log, "secret-key"), 0);
    send_line(t, "GET /v1.0/healthz");
    assert_empty(t);
    assert_int_equal(log_catch_count(&t->api.log, "HTTP API Called"), 1);
    free_test(t);
    (void)state;
}

static void without_being_asked_for_there_are_no_lines(void **state)
{
    struct http_test *t = *state;
    send_line(t, "GET /v1.0/metadata");
    free(core_take_sent(&t->core));
    assert_string_equal(log_catch_text(&t->api.log), "");
}

/* --- the public port -------------------------------------------------------------------------------------------------- */

static void the_public_port_serves_health_and_metadata_only(void **state)
{
    static const char *const lines[] = { "PUT " CAT "/method/m", "PUT /v1.0/metadata/k", "POST /v1.0/shutdown",
                                         "GET /v1.0/state/store/k", "POST /v1.0/healthz", "GET /" };
    const struct api_test_conf conf = { .api = { .token = TR_SLICE_LIT("secret"), .has_log = true } };
    struct http_test *t = new_test(&conf);
    t->is_public = true;
    send_line(t, "GET /v1.0/healthz"); /* no token is asked for */
    assert_empty(t);
    t->api.is_outbound_ready = true;
    send_line(t, "GET /v1.0/healthz/outbound");
    assert_empty(t);
    send_line(t, "GET /v1.0/metadata");
    char *answer = core_take_sent(&t->core);
    assert_non_null(strstr(answer, "HTTP/1.1 200 OK"));
    free(answer);
    for (size_t i = 0; i < TR_ARRAY_LEN(lines); i++) {
        send_body(t, lines[i], "x");
        assert_plain(t, 404, "404 page not found\n");
    }
    assert_int_equal(t->api.shutdowns, 0);
    assert_int_equal(log_catch_count(&t->api.log, "HTTP API Called"), 0);
    free_test(t);
    (void)state;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, http_test_set_up, http_test_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(health_names_what_is_not_ready),
        TEST(health_may_ask_for_an_app_id),
        TEST(outbound_health_has_its_own_condition),
        cmocka_unit_test(metadata_of_a_sidecar_that_waits_for_its_app),
        cmocka_unit_test(metadata_of_a_sidecar_without_placement),
        TEST(metadata_lists_types_also_those_without_actors),
        cmocka_unit_test(metadata_lists_components_features_and_the_app),
        TEST(clients_may_add_to_the_metadata),
        TEST(the_runtimes_own_entry_stays),
        TEST(entries_of_clients_have_limits),
        TEST(shutdown_is_answered_and_then_done),
        cmocka_unit_test(without_the_token_only_health_is_answered),
        TEST(groups_that_are_denied_are_not_there),
        TEST(with_a_list_only_groups_on_it_are_there),
        cmocka_unit_test(each_call_gets_a_line_if_asked_for),
        cmocka_unit_test(log_lines_may_leave_out_paths_and_health),
        TEST(without_being_asked_for_there_are_no_lines),
        cmocka_unit_test(the_public_port_serves_health_and_metadata_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
