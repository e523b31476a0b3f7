/* Metadata, shutdown, token, lists, log lines and the event stream's door over gRPC. */
#include "proto/common.pb-c.h"
#include "proto/runtime.pb-c.h"
#include "tests/unit/api/grpc_wire.h"

#define DAPR "/dapr.proto.runtime.v1.Dapr/"

static const Tr__Common__Empty empty = TR__COMMON__EMPTY__INIT;

static struct grpc_test *new_test(const struct api_test_conf *conf)
{
    struct grpc_test *t = tr_xzalloc(sizeof(*t));
    grpc_test_init(t, conf);
    return t;
}

static void free_test(struct grpc_test *t)
{
    grpc_test_fini(t);
    free(t);
}

static Tr__Rt__GetMetadataResponse *get_metadata(struct grpc_test *t)
{
    struct unary u;
    grpc_call(t, &u, DAPR "GetMetadata", &empty);
    return grpc_take(&u, &tr__rt__get_metadata_response__descriptor);
}

/* --- metadata ------------------------------------------------------------------------------------------------------- */

static void metadata_of_a_sidecar_that_waits_for_its_app(void **state)
{
    const struct api_test_conf conf = { .is_bare = true };
    struct grpc_test *t = new_test(&conf);
    t->api.is_placement_connected = true; /* does not count yet */
    Tr__Rt__GetMetadataResponse *response = get_metadata(t);
    assert_text(tr_wire_slice(response->id), "me");
    assert_text(tr_wire_slice(response->runtime_version), "1.2.3");
    assert_int_equal(response->n_active_actors_count, 0);
    assert_int_equal(response->n_registered_components, 0);
    assert_int_equal(response->n_enabled_features, 0);
    assert_int_equal(response->n_extended_metadata, 1);
    assert_text(tr_wire_slice(response->extended_metadata[0]->key), "daprRuntimeVersion");
    assert_text(tr_wire_slice(response->extended_metadata[0]->value), "1.2.3");
    assert_null(response->app_connection_properties);
    assert_int_equal(response->actor_runtime->runtime_status, 0);
    assert_false(response->actor_runtime->host_ready);
    assert_text(tr_wire_slice(response->actor_runtime->placement), "");
    tr_wire_free(response);
    free_test(t);
    (void)state;
}

static void metadata_of_a_sidecar_without_placement(void **state)
{
    const struct api_test_conf conf = { .is_disabled = true };
    struct grpc_test *t = new_test(&conf);
    Tr__Rt__GetMetadataResponse *response = get_metadata(t);
    assert_int_equal(response->actor_runtime->runtime_status, 1);
    assert_false(response->actor_runtime->host_ready);
    assert_text(tr_wire_slice(response->actor_runtime->placement), "placement: disconnected");
    assert_int_equal(response->actor_runtime->n_active_actors, 0);
    tr_wire_free(response);
    free_test(t);
    (void)state;
}

static void metadata_lists_types_also_those_without_actors(void **state)
{
    struct grpc_test *t = *state;
    const struct tr_actor_type_conf dog = engine_test_type("dog");
    t->api.is_placement_connected = true;
    api_test_register(&t->api, &dog);
    api_test_activate(&t->api, "1");
    api_test_activate(&t->api, "2");
    Tr__Rt__GetMetadataResponse *response = get_metadata(t);
    assert_int_equal(response->actor_runtime->runtime_status, 2);
    assert_true(response->actor_runtime->host_ready);
    assert_text(tr_wire_slice(response->actor_runtime->placement), "placement: connected");
    assert_int_equal(response->n_active_actors_count, 2);
    assert_text(tr_wire_slice(response->active_actors_count[0]->type), "cat");
    assert_int_equal(response->active_actors_count[0]->count, 2);
    assert_int_equal(response->actor_runtime->n_active_actors, 2);
    assert_text(tr_wire_slice(response->actor_runtime->active_actors[1]->type), "dog");
    assert_int_equal(response->actor_runtime->active_actors[1]->count, 0);
    tr_wire_free(response);
}

static void metadata_lists_components_features_and_the_app(void **state)
{
    const struct tr_slice features[] = { TR_SLICE_LIT("A"), TR_SLICE_LIT("B") };
    const struct api_test_conf conf = {
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
    struct grpc_test *t = new_test(&conf);
    t->api.components[0] = (struct tr_api_component){ .name = TR_SLICE_LIT("store"),
                                                      .type = TR_SLICE_LIT("state.in-memory"),
                                                      .version = TR_SLICE_LIT("v1"),
                                                      .is_state = true,
                                                      .features = TR_STORE_ETAG | TR_STORE_TTL };
    t->api.components[1] = (struct tr_api_component){ .name = TR_SLICE_LIT("b"), .type = TR_SLICE_LIT("other.x") };
    t->api.components[2] = t->api.components[0];
    t->api.components_len = 3;
    Tr__Rt__GetMetadataResponse *response = get_metadata(t);
    assert_int_equal(response->n_enabled_features, 2);
    assert_text(tr_wire_slice(response->enabled_features[1]), "B");
    assert_int_equal(response->n_registered_components, 3);
    assert_text(tr_wire_slice(response->registered_components[0]->name), "store");
    assert_text(tr_wire_slice(response->registered_components[0]->version), "v1");
    assert_int_equal(response->registered_components[0]->n_capabilities, 2);
    assert_text(tr_wire_slice(response->registered_components[0]->capabilities[1]), "TTL");
    assert_text(tr_wire_slice(response->registered_components[1]->type), "other.x");
    assert_int_equal(response->registered_components[1]->n_capabilities, 0);
    assert_text(tr_wire_slice(response->registered_components[2]->capabilities[0]), "ETAG");
    const Tr__Rt__AppConnectionProperties *app = response->app_connection_properties;
    assert_int_equal(app->port, 8080);
    assert_text(tr_wire_slice(app->protocol), "http");
    assert_text(tr_wire_slice(app->channel_address), "127.0.0.1");
    assert_int_equal(app->max_concurrency, 7);
    assert_text(tr_wire_slice(app->health->health_check_path), "/healthz");
    assert_text(tr_wire_slice(app->health->health_probe_interval), "5s");
    assert_text(tr_wire_slice(app->health->health_probe_timeout), "500ms");
    assert_int_equal(app->health->health_threshold, 3);
    tr_wire_free(response);
    free_test(t);
    (void)state;
}

static void clients_may_add_to_the_metadata(void **state)
{
    struct grpc_test *t = *state;
    Tr__Rt__SetMetadataRequest request = TR__RT__SET_METADATA_REQUEST__INIT;
    TR_WIRE_SET(&request, key, TR_SLICE_LIT("k"));
    TR_WIRE_SET(&request, value, TR_SLICE_LIT("v"));
    grpc_must_succeed(t, DAPR "SetMetadata", &request);
    TR_WIRE_SET(&request, value, TR_SLICE_LIT("w"));
    grpc_must_succeed(t, DAPR "SetMetadata", &request);
    TR_WIRE_SET(&request, key, TR_SLICE_LIT(""));
    grpc_must_succeed(t, DAPR "SetMetadata", &request); /* does nothing */
    TR_WIRE_SET(&request, key, TR_SLICE_LIT("daprRuntimeVersion"));
    grpc_must_succeed(t, DAPR "SetMetadata", &request); /* the same */
    Tr__Rt__GetMetadataResponse *response = get_metadata(t);
    assert_int_equal(response->n_extended_metadata, 2);
    assert_text(tr_wire_slice(response->extended_metadata[0]->key), "k");
    assert_text(tr_wire_slice(response->extended_metadata[0]->value), "w");
    assert_text(tr_wire_slice(response->extended_metadata[1]->value), "1.2.3");
    tr_wire_free(response);
    for (unsigned i = 1; i < TR_API_EXTENDED_MAX; i++) {
        struct tr_buf key = { 0 };
        tr_buf_addf(&key, "k%u", i);
        assert_true(api_extended_set(t->api.api, tr_buf_slice(&key), TR_SLICE_LIT("v")));
        tr_buf_fini(&key);
    }
    TR_WIRE_SET(&request, key, TR_SLICE_LIT("more"));
    grpc_must_fail(t, DAPR "SetMetadata", &request, TR_RPC_RESOURCE_EXHAUSTED, "metadata has too many entries");
}

static void a_request_that_cannot_be_read_is_refused(void **state)
{
    struct grpc_test *t = *state;
    struct unary u = { .is_done = false };
    unary_call(&t->rpc, &u, DAPR "SetMetadata", TR_SLICE_LIT("\xff"));
    assert_int_equal(u.op.status, TR_RPC_INTERNAL);
    tr_rpc_unary_fini(&u.op);
}

/* --- shutdown ------------------------------------------------------------------------------------------------------- */

static void shutdown_is_answered_and_then_done(void **state)
{
    struct grpc_test *t = *state;
    struct tr_rpc_md metadata = { 0 };
    struct unary u;
    grpc_must_succeed(t, DAPR "Shutdown", &empty);
    assert_int_equal(t->api.shutdowns, 1);
    assert_false(t->api.is_shutdown_forced);
    tr_rpc_md_add(&metadata, TR_SLICE_LIT("dapr-force-shutdown"), TR_SLICE_LIT("True"));
    grpc_start(t, &u, DAPR "Shutdown", &empty, &metadata);
    grpc_wait(t, &u);
    grpc_assert_empty(&u);
    assert_int_equal(t->api.shutdowns, 2);
    assert_true(t->api.is_shutdown_forced);
    tr_rpc_md_fini(&metadata);
}

/* --- token and lists ------------------------------------------------------------------------------------------------- */

/* The details of a refusal: google.rpc.ErrorInfo with the HTTP status it was made of. */
static void assert_refusal(const struct tr_rpc_md *trailing, const char *reason, const char *code, const char *text)
{
    struct tr_slice details;
    ProtobufCMessage *status = NULL;
    ProtobufCMessage *message = NULL;
    struct tr_err err;
    assert_true(tr_rpc_md_get(trailing, "grpc-status-details-bin", &details));
    assert_int_equal(tr_wire_unpack(&tr__common__rpc_status__descriptor, details, &status, &err), TR_OK);
    assert_int_equal(((const Tr__Common__RpcStatus *)status)->n_details, 1);
    const Tr__Common__Any *any = ((const Tr__Common__RpcStatus *)status)->details[0];
    assert_text(tr_wire_slice(any->type_url), "type.googleapis.com/google.rpc.ErrorInfo");
    assert_int_equal(tr_wire_unpack(&tr__common__error_info__descriptor, tr_wire_slice(any->value), &message, &err), TR_OK);
    const Tr__Common__ErrorInfo *info = (const Tr__Common__ErrorInfo *)message;
    assert_text(tr_wire_slice(info->reason), reason);
    assert_text(tr_wire_slice(info->domain), "dapr.io");
    assert_int_equal(info->n_metadata, 2);
    assert_text(tr_wire_slice(info->metadata[0]->key), "http.code");
    assert_text(tr_wire_slice(info->metadata[0]->value), code);
    assert_text(tr_wire_slice(info->metadata[1]->key), "http.error_message");
    assert_text(tr_wire_slice(info->metadata[1]->value), text);
    tr_wire_free(message);
    tr_wire_free(status);
}

static void call_with_token(struct grpc_test *t, struct unary *u, const char *token)
{
    struct tr_rpc_md metadata = { 0 };
    tr_rpc_md_add(&metadata, TR_SLICE_LIT("dapr-api-token"), tr_slice_str(token));
    grpc_start(t, u, DAPR "GetMetadata", &empty, &metadata);
    grpc_wait(t, u);
    tr_rpc_md_fini(&metadata);
}

static void without_the_token_nothing_is_answered(void **state)
{
    const struct api_test_conf conf = { .api = { .token = TR_SLICE_LIT("secret") } };
    struct grpc_test *t = new_test(&conf);
    struct unary u;
    grpc_call(t, &u, DAPR "GetMetadata", &empty);
    assert_refusal(&u.op.trailing, "Unauthorized", "401", "missing api token in request metadata");
    grpc_assert_failed(&u, TR_RPC_UNAUTHENTICATED, "Unauthorized");
    call_with_token(t, &u, "secrets");
    assert_refusal(&u.op.trailing, "Unauthorized", "401", "authentication error: api token mismatch");
    grpc_assert_failed(&u, TR_RPC_UNAUTHENTICATED, "Unauthorized");
    call_with_token(t, &u, "secret");
    tr_wire_free(grpc_take(&u, &tr__rt__get_metadata_response__descriptor));
    grpc_must_fail(t, DAPR "Shutdown", &empty, TR_RPC_UNAUTHENTICATED, "Unauthorized");
    assert_int_equal(t->api.shutdowns, 0);
    free_test(t);
    (void)state;
}

static void configure(struct grpc_test *t, const char *spec)
{
    struct tr_buf text = { 0 };
    struct tr_err err;
    tr_buf_addf(&text, "apiVersion: dapr.io/v1alpha1\nkind: Configuration\nmetadata: {name: c}\nspec: %s\n", spec);
    if (tr_configuration_decode(&t->api.configuration, tr_buf_slice(&text), "c.yaml", &err) != TR_OK) {
        fail_msg("%s", err.msg);
    }
    tr_buf_fini(&text);
}

static void groups_that_are_denied_are_not_there(void **state)
{
    struct grpc_test *t = *state;
    struct unary u;
    configure(t, "{api: {denied: [{name: shutdown, version: v1, protocol: grpc}, {name: metadata, version: v1, protocol: http}]}}");
    grpc_call(t, &u, DAPR "Shutdown", &empty);
    assert_refusal(&u.op.trailing, "Not Implemented", "501", "requested endpoint is not available");
    grpc_assert_failed(&u, TR_RPC_UNIMPLEMENTED, "Not Implemented");
    assert_int_equal(t->api.shutdowns, 0);
    tr_wire_free(get_metadata(t));
}

/* --- log lines ------------------------------------------------------------------------------------------------------ */

static void each_call_gets_a_line_if_asked_for(void **state)
{
    const struct api_test_conf conf = { .api = { .has_log = true } };
    struct grpc_test *t = new_test(&conf);
    Tr__Rt__ActorTypeRequest request = TR__RT__ACTOR_TYPE_REQUEST__INIT;
    tr_wire_free(get_metadata(t));
    assert_int_equal(log_catch_count(&t->api.log, "msg=\"gRPC API Called\""), 1);
    assert_int_equal(log_catch_count(&t->api.log, " code=0 duration="), 1);
    assert_int_equal(log_catch_count(&t->api.log, " method=/dapr.proto.runtime.v1.Dapr/GetMetadata "
                                                  "scope=dapr.runtime.grpc.api-info "),
                     1);
    assert_int_equal(log_catch_count(&t->api.log, " useragent="), 1);
    grpc_must_fail(t, DAPR "ListActorReminders", &request, TR_RPC_PERMISSION_DENIED,
                   "operations on actor reminders are only possible on hosted actor types");
    assert_int_equal(log_catch_count(&t->api.log, " code=7 duration="), 1);
    free_test(t);
    (void)state;
}

/* --- the event stream ------------------------------------------------------------------------------------------------ */

struct stream {
    struct tr_rpc_stream op;
    bool is_done;
};

static void on_stream(struct tr_rpc_stream *op)
{
    TR_CONTAINER_OF(op, struct stream, op)->is_done = true;
}

static unsigned streams;

static void on_actor_stream(void *ctx, struct tr_rpc_call *call)
{
    assert_ptr_equal(ctx, &streams);
    streams++;
    tr_rpc_call_finish(call, TR_RPC_ABORTED, TR_SLICE_LIT("the hub has it"));
}

static void on_received(struct tr_rpc_recv *recv)
{
    assert_false(recv->has_message);
}

/* Open the event stream; it ends with this. The caller frees it. */
static void open_stream(struct grpc_test *t, struct stream *s, int status, const char *message)
{
    struct tr_rpc_recv recv = { .cb = on_received };
    *s = (struct stream){ .op = { .path = TR_SLICE_LIT(DAPR "SubscribeActorEventsAlpha1"), .cb = on_stream } };
    tr_rpc_stream_start(t->rpc.channel, &s->op);
    tr_rpc_stream_recv_start(&s->op, &recv);
    fixture_wait(&t->rpc, &s->is_done);
    assert_text(tr_buf_slice(&s->op.message), message);
    assert_int_equal(s->op.status, status);
}

static void the_event_stream_is_handed_over(void **state)
{
    const struct api_test_conf conf = { .api = { .on_actor_stream = on_actor_stream, .actor_stream_ctx = &streams } };
    struct grpc_test *t = new_test(&conf);
    struct stream s;
    streams = 0;
    open_stream(t, &s, TR_RPC_ABORTED, "the hub has it");
    assert_int_equal(streams, 1);
    tr_rpc_stream_fini(&s.op);
    free_test(t);
    (void)state;
}

/* Source: Dapr tests/integration/suite/actors/metadata/host_grpc_stream_rejected_on_http.go. */
static void an_http_app_has_no_event_stream(void **state)
{
    const struct api_test_conf conf = { .api = { .is_app_http = true } };
    struct grpc_test *t = new_test(&conf);
    struct stream s;
    open_stream(t, &s, TR_RPC_FAILED_PRECONDITION, "actor callback streaming requires a gRPC app channel");
    tr_rpc_stream_fini(&s.op);
    free_test(t);
    (void)state;
}

static void the_event_stream_asks_for_the_token_too(void **state)
{
    const struct api_test_conf conf = { .api = { .token = TR_SLICE_LIT("secret"), .is_app_http = true } };
    struct grpc_test *t = new_test(&conf);
    struct stream s;
    open_stream(t, &s, TR_RPC_UNAUTHENTICATED, "Unauthorized");
    assert_refusal(&s.op.trailing, "Unauthorized", "401", "missing api token in request metadata");
    tr_rpc_stream_fini(&s.op);
    free_test(t);
    (void)state;
}

static void the_event_stream_has_a_group_of_its_own(void **state)
{
    struct grpc_test *t = *state;
    struct stream s;
    configure(t, "{api: {denied: [{name: actors, version: v1alpha1, protocol: grpc}]}}");
    open_stream(t, &s, TR_RPC_UNIMPLEMENTED, "Not Implemented");
    assert_refusal(&s.op.trailing, "Not Implemented", "501", "requested endpoint is not available");
    tr_rpc_stream_fini(&s.op);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, grpc_test_set_up, grpc_test_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(metadata_of_a_sidecar_that_waits_for_its_app),
        cmocka_unit_test(metadata_of_a_sidecar_without_placement),
        TEST(metadata_lists_types_also_those_without_actors),
        cmocka_unit_test(metadata_lists_components_features_and_the_app),
        TEST(clients_may_add_to_the_metadata),
        TEST(a_request_that_cannot_be_read_is_refused),
        TEST(shutdown_is_answered_and_then_done),
        cmocka_unit_test(without_the_token_nothing_is_answered),
        TEST(groups_that_are_denied_are_not_there),
        cmocka_unit_test(each_call_gets_a_line_if_asked_for),
        cmocka_unit_test(the_event_stream_is_handed_over),
        cmocka_unit_test(an_http_app_has_no_event_stream),
        cmocka_unit_test(the_event_stream_asks_for_the_token_too),
        TEST(the_event_stream_has_a_group_of_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
