/* Waiting for the app's port, and probing its health. */
#include <stdio.h>

#include "runtime/app/health.h"
#include "tests/unit/app/app_test.h"
#include "tests/unit/invoke/rpc_fixture.h"

#define HEALTH_PATH "/dapr.proto.runtime.v1.AppCallbackHealthCheck/HealthCheck"

struct health_test {
    struct app_test app;
    struct tr_app_health *health;
    unsigned healthy;   /* changes to that */
    unsigned unhealthy; /* and back */
};

static void on_change(void *ctx, bool is_healthy)
{
    struct health_test *t = ctx;
    *(is_healthy ? &t->healthy : &t->unhealthy) += 1;
    if (t->health != NULL) {
        assert_int_equal(tr_app_health_is_healthy(t->health), is_healthy);
    }
}

static struct tr_app_health_conf conf_of(struct health_test *t)
{
    return (struct tr_app_health_conf){ .loop = t->app.loop,
                                        .log = &t->app.log.log,
                                        .channel = t->app.channel,
                                        .host = TR_SLICE_LIT("127.0.0.1"),
                                        .port = t->app.port,
                                        .protocol = TR_SLICE_LIT("http"),
                                        .has_probes = true,
                                        .path = TR_SLICE_LIT("/healthz"),
                                        .interval_ms = 1,
                                        .timeout_ms = APP_TEST_WAIT_MS,
                                        .threshold = 2,
                                        .on_change = on_change,
                                        .ctx = t };
}

static void open_health(struct health_test *t, const struct tr_app_health_conf *conf)
{
    t->health = tr_app_health_new(conf);
    assert_false(tr_app_health_is_healthy(t->health));
}

static void set_flag(void *ctx)
{
    *(bool *)ctx = true;
}

static bool is_set(void *ctx)
{
    return *(const bool *)ctx;
}

static void close_health(struct health_test *t)
{
    const unsigned changes = t->healthy + t->unhealthy;
    bool is_closed = false;
    tr_app_health_close(t->health, set_flag, &is_closed);
    t->health = NULL;
    assert_false(is_closed);
    app_test_wait(&t->app, is_set, &is_closed);
    assert_int_equal(t->healthy + t->unhealthy, changes);
}

static int set_up(void **state)
{
    struct health_test *t = tr_xzalloc(sizeof(*t));
    app_test_init(&t->app, TR_HTTP_PROTOCOL_1);
    *state = t;
    return 0;
}

static int tear_down(void **state)
{
    struct health_test *t = *state;
    if (t->health != NULL) {
        close_health(t);
    }
    app_test_fini(&t->app);
    free(t);
    return 0;
}

static bool has_become_healthy(void *ctx)
{
    return ((const struct health_test *)ctx)->healthy > 0;
}

/* Answer probe `i`, which must be a GET of `path`. */
static void answer(struct health_test *t, size_t i, const char *path, int status)
{
    struct tr_buf line = { 0 };
    app_test_wait_seen(&t->app, i + 1);
    tr_buf_addf(&line, "GET %s ", path);
    assert_string_equal(app_test_request(&t->app, i), tr_buf_cstr(&line));
    tr_buf_fini(&line);
    app_test_answer(&t->app, i, status, "");
}

/* The same, and wait for the next probe, which comes when the answer has been judged. */
static void judge(struct health_test *t, size_t i, int status)
{
    answer(t, i, "/healthz", status);
    app_test_wait_seen(&t->app, i + 2);
}

/* --- the port ------------------------------------------------------------------------------------------------------- */

static void without_probes_an_app_that_listens_is_healthy_for_good(void **state)
{
    struct health_test *t = *state;
    struct tr_app_health_conf conf = conf_of(t);
    conf.has_probes = false;
    open_health(t, &conf);
    app_test_wait(&t->app, has_become_healthy, t);
    app_test_settle(&t->app);
    assert_int_equal(t->healthy, 1);
    assert_int_equal(t->unhealthy, 0);
    assert_int_equal(t->app.seen_len, 0);
    assert_true(tr_app_health_is_healthy(t->health));
    assert_int_equal(log_catch_count(&t->app.log, "application discovered on port"), 1);
}


static void an_app_that_does_not_listen_yet_is_waited_for(void **state)
{
    struct health_test *t = *state;
    struct tr_app_health_conf conf = conf_of(t);
    const uint16_t port = t->app.port;
    app_test_stop_serving(&t->app);
    conf.has_probes = false;
    open_health(t, &conf);
    app_test_settle(&t->app); /* the first attempt has failed */
    assert_int_equal(t->healthy, 0);
    app_test_serve(&t->app, port);
    app_test_wait(&t->app, has_become_healthy, t);
    assert_int_equal(log_catch_count(&t->app.log, "application protocol: http. waiting on port "), 1);
}

static void the_wait_for_the_port_can_be_ended(void **state)
{
    struct health_test *t = *state;
    struct tr_app_health_conf conf = conf_of(t);
    open_health(t, &conf);
    close_health(t); /* while it dials */
    app_test_stop_serving(&t->app);
    open_health(t, &conf);
    app_test_settle(&t->app);
    close_health(t); /* in the pause between two attempts */
    assert_int_equal(t->healthy, 0);
}

/* --- probes --------------------------------------------------------------------------------------------------------- */

static void one_success_makes_it_healthy(void **state)
{
    static const int good[] = { 200, 204, 299 };
    struct health_test *t = *state;
    struct tr_app_health_conf conf = conf_of(t);
    for (unsigned i = 0; i < TR_ARRAY_LEN(good); i++) {
        const size_t at = t->app.seen_len;
        open_health(t, &conf);
        judge(t, at, good[i]);
        assert_int_equal(t->healthy, i + 1);
        close_health(t); /* while it probes */
    }
    assert_int_equal(t->unhealthy, 0);
}

static void failures_in_a_row_make_it_unhealthy(void **state)
{
    struct health_test *t = *state;
    struct tr_app_health_conf conf = conf_of(t);
    open_health(t, &conf);
    judge(t, 0, 200);
    judge(t, 1, 500);
    assert_int_equal(t->unhealthy, 0);
    judge(t, 2, 200); /* forgives the one before */
    judge(t, 3, 404);
    assert_int_equal(t->unhealthy, 0);
    judge(t, 4, 302);
    assert_int_equal(t->unhealthy, 1);
    judge(t, 5, 503); /* tells nothing new */
    assert_int_equal(t->unhealthy, 1);
    assert_int_equal(t->healthy, 1);
    assert_int_equal(log_catch_count(&t->app.log, "App health probe failed"), 1);
    judge(t, 6, 200);
    assert_int_equal(t->healthy, 2);
}

static void an_app_that_was_never_healthy_does_not_become_unhealthy(void **state)
{
    struct health_test *t = *state;
    struct tr_app_health_conf conf = conf_of(t);
    open_health(t, &conf);
    for (unsigned i = 0; i < 4; i++) {
        judge(t, i, 500);
    }
    assert_int_equal(t->healthy + t->unhealthy, 0);
    assert_int_equal(log_catch_count(&t->app.log, "App health probe failed"), 0);
}

static void a_path_without_slash_gets_one(void **state)
{
    struct health_test *t = *state;
    struct tr_app_health_conf conf = conf_of(t);
    conf.path = TR_SLICE_LIT("up?x");
    open_health(t, &conf);
    answer(t, 0, "/up?x", 200);
}

static void probes_pass_the_gate_that_callbacks_do_not(void **state)
{
    struct health_test *t = *state;
    struct tr_app_health_conf conf = conf_of(t);
    tr_app_channel_set_healthy(t->app.channel, false);
    open_health(t, &conf);
    judge(t, 0, 200);
    assert_int_equal(t->healthy, 1);
}

static void a_probe_without_an_answer_in_time_has_failed(void **state)
{
    struct health_test *t = *state;
    struct tr_app_health_conf conf = conf_of(t);
    conf.threshold = 1;
    open_health(t, &conf);
    judge(t, 0, 200);
    tr_http_exchange_abort(t->app.seen[1].ex); /* hangs up on a kept connection: it is asked again on a new one */
    app_test_wait_seen(&t->app, 3);
    tr_http_exchange_abort(t->app.seen[2].ex);
    app_test_wait_seen(&t->app, 4);
    assert_int_equal(t->unhealthy, 1);
    close_health(t);
    app_test_wait_aborted(&t->app, 3);
    conf.timeout_ms = 1;
    open_health(t, &conf);
    app_test_wait_seen(&t->app, 5);
    app_test_wait_aborted(&t->app, 4); /* given up by the prober */
    assert_int_equal(t->healthy, 1);
}

static void a_body_beyond_the_limit_is_a_failure(void **state)
{
    struct health_test *t = *state;
    struct tr_app_health_conf conf = conf_of(t);
    struct tr_buf body = { 0 };
    for (unsigned i = 0; i < 70000; i++) {
        tr_buf_add_char(&body, 'x');
    }
    open_health(t, &conf);
    app_test_wait_seen(&t->app, 1);
    app_test_answer(&t->app, 0, 200, tr_buf_cstr(&body));
    app_test_wait_seen(&t->app, 2);
    assert_int_equal(t->healthy, 0);
    tr_buf_fini(&body);
}

static void an_app_that_stops_listening_becomes_unhealthy_and_recovers(void **state)
{
    struct health_test *t = *state;
    struct tr_app_health_conf conf = conf_of(t);
    const uint16_t port = t->app.port;
    open_health(t, &conf);
    answer(t, 0, "/healthz", 200);
    app_test_wait(&t->app, has_become_healthy, t);
    app_test_stop_serving(&t->app);
    while (t->unhealthy == 0) {
        tr_loop_turn(t->app.loop);
    }
    const size_t seen_len = t->app.seen_len;
    app_test_serve(&t->app, port);
    answer(t, seen_len, "/healthz", 200);
    while (t->healthy == 1) {
        tr_loop_turn(t->app.loop);
    }
}

/* --- gRPC apps ------------------------------------------------------------------------------------------------------- */

struct grpc_test {
    struct fixture rpc;
    struct log_catch log;
    struct health_test health; /* its app is not used */
    bool fails;
    unsigned probes;
};

static void on_probe(void *ctx, struct tr_rpc_call *call)
{
    struct grpc_test *t = ctx;
    t->probes++;
    if (t->fails) {
        tr_rpc_call_fail(call, TR_RPC_UNIMPLEMENTED, TR_SLICE_LIT(""));
    } else {
        tr_rpc_call_reply(call, TR_SLICE_LIT(""));
    }
}

static void a_grpc_app_is_probed_over_grpc(void **state)
{
    struct grpc_test t = { .fails = false };
    const struct tr_rpc_method method = { .path = HEALTH_PATH, .handler = on_probe, .ctx = &t };
    fixture_serve(&t.rpc, &method, 1);
    log_catch_init(&t.log);
    const struct tr_app_health_conf conf = { .loop = t.rpc.loop,
                                             .log = &t.log.log,
                                             .grpc = t.rpc.channel,
                                             .host = TR_SLICE_LIT("127.0.0.1"),
                                             .port = tr_rpc_server_port(t.rpc.server, 0),
                                             .protocol = TR_SLICE_LIT("grpc"),
                                             .has_probes = true,
                                             .interval_ms = 1,
                                             .timeout_ms = FIXTURE_DEADLINE_MS,
                                             .threshold = 2,
                                             .on_change = on_change,
                                             .ctx = &t.health };
    t.health.health = tr_app_health_new(&conf);
    fixture_wait_count(&t.rpc, &t.health.healthy, 1);
    t.fails = true;
    const unsigned probes = t.probes;
    fixture_wait_count(&t.rpc, &t.health.unhealthy, 1);
    assert_true(t.probes >= probes + 2);
    t.fails = false;
    fixture_wait_count(&t.rpc, &t.health.healthy, 2);
    bool is_closed = false;
    tr_app_health_close(t.health.health, set_flag, &is_closed);
    fixture_wait(&t.rpc, &is_closed);
    log_catch_fini(&t.log);
    fixture_fini(&t.rpc);
    (void)state;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(without_probes_an_app_that_listens_is_healthy_for_good),
        TEST(an_app_that_does_not_listen_yet_is_waited_for),
        TEST(the_wait_for_the_port_can_be_ended),
        TEST(one_success_makes_it_healthy),
        TEST(failures_in_a_row_make_it_unhealthy),
        TEST(an_app_that_was_never_healthy_does_not_become_unhealthy),
        TEST(a_path_without_slash_gets_one),
        TEST(probes_pass_the_gate_that_callbacks_do_not),
        TEST(a_probe_without_an_answer_in_time_has_failed),
        TEST(a_body_beyond_the_limit_is_a_failure),
        TEST(an_app_that_stops_listening_becomes_unhealthy_and_recovers),
        cmocka_unit_test(a_grpc_app_is_probed_over_grpc),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
