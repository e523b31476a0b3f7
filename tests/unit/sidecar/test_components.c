/* Components: which are made, which end the start, which are passed over. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "runtime/base/loop.h"
#include "runtime/sidecar/components.h"
#include "tests/lib/log_catch.h"

#define WAIT_MS 20000

struct components_test {
    struct tr_loop *loop;
    struct log_catch log;
    struct tr_configuration configuration;
    struct tr_sidecar_options options;
    struct tr_components components;
    struct tr_err err;
    char folder[64];
    char *folders[1];
    bool is_closed;
};

static int set_up(void **state)
{
    struct components_test *t = tr_xzalloc(sizeof(*t));
    (void)snprintf(t->folder, sizeof(t->folder), "/tmp/troupe-components-XXXXXX");
    assert_non_null(mkdtemp(t->folder));
    t->folders[0] = t->folder;
    t->options.flags.app_id = "me";
    t->options.flags.components_path = "";
    t->options.flags.resources_path = (struct tr_arg_list){ .items = t->folders, .len = 1 };
    t->options.name_space = "default";
    t->options.raw_name_space = "";
    t->loop = tr_loop_new();
    log_catch_init(&t->log);
    tr_configuration_init(&t->configuration);
    tr_components_init(&t->components, t->loop, &t->log.log);
    *state = t;
    return 0;
}

static void on_closed(void *ctx)
{
    *(bool *)ctx = true;
}

static bool is_set(void *ctx)
{
    return *(const bool *)ctx;
}

static void close_all(struct components_test *t)
{
    t->is_closed = false;
    tr_components_close(&t->components, on_closed, &t->is_closed);
    assert_false(t->is_closed);
    assert_true(tr_loop_run_until(t->loop, is_set, &t->is_closed, WAIT_MS));
}

static int tear_down(void **state)
{
    struct components_test *t = *state;
    close_all(t);
    tr_components_fini(&t->components);
    tr_configuration_fini(&t->configuration);
    log_catch_fini(&t->log);
    tr_loop_free(&t->loop);
    char command[128];
    (void)snprintf(command, sizeof(command), "rm -r %s", t->folder);
    assert_int_equal(system(command), 0);
    free(t);
    return 0;
}

static void write_file(struct components_test *t, const char *name, const char *text)
{
    char path[256];
    (void)snprintf(path, sizeof(path), "%s/%s", t->folder, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

/* A component of this type; `rest` is more YAML under `spec`. */
static void add(struct components_test *t, const char *name, const char *type, const char *rest)
{
    char text[2048];
    char file[64];
    (void)snprintf(file, sizeof(file), "%s.yaml", name);
    (void)snprintf(text, sizeof(text),
                   "apiVersion: dapr.io/v1alpha1\nkind: Component\nmetadata: {name: %s}\nspec:\n  type: %s\n"
                   "  version: v1\n%s",
                   name, type, rest);
    write_file(t, file, text);
}

static void load(struct components_test *t)
{
    if (tr_components_load(&t->components, &t->options, &t->configuration, &t->err) != TR_OK) {
        fail_msg("%s", t->err.msg);
    }
}

static void refuse(struct components_test *t, const char *text)
{
    assert_int_not_equal(tr_components_load(&t->components, &t->options, &t->configuration, &t->err), TR_OK);
    assert_string_equal(t->err.msg, text);
}

static void assert_logged(struct components_test *t, const char *text)
{
    if (log_catch_count(&t->log, text) == 0) {
        fail_msg("'%s' is not in: %s", text, log_catch_text(&t->log));
    }
}

static const char *metadata(const char *name, const char *value)
{
    static char text[256];
    (void)snprintf(text, sizeof(text), "  metadata: [{name: %s, value: \"%s\"}]\n", name, value);
    return text;
}

static void without_folders_there_are_no_components(void **state)
{
    struct components_test *t = *state;
    t->options.flags.resources_path = (struct tr_arg_list){ .items = NULL };
    load(t);
    assert_int_equal(t->components.len, 0);
    assert_int_equal(t->components.actor_store, 0);
}

static void stores_are_opened_in_the_order_of_their_files(void **state)
{
    struct components_test *t = *state;
    char path[128];
    (void)snprintf(path, sizeof(path), "%s/data", t->folder);
    add(t, "b", "state.in-memory", metadata("keyPrefix", "none"));
    add(t, "a", "state.lmdb", metadata("path", path));
    load(t);
    assert_int_equal(t->components.len, 2);
    assert_string_equal(tr_buf_cstr(&t->components.items[0].name), "a");
    assert_string_equal(tr_buf_cstr(&t->components.items[0].type), "state.lmdb");
    assert_string_equal(tr_buf_cstr(&t->components.items[0].version), "v1");
    assert_string_equal(tr_buf_cstr(&t->components.items[0].key_prefix), "");
    assert_string_equal(tr_buf_cstr(&t->components.items[1].name), "b");
    assert_string_equal(tr_buf_cstr(&t->components.items[1].key_prefix), "none");
    assert_non_null(t->components.items[1].store);
    assert_int_equal(t->components.actor_store, 0);
    assert_logged(t, "msg=\"Component loaded: a (state.lmdb/v1)\"");
    assert_logged(t, "msg=\"Component loaded: b (state.in-memory/v1)\"");
    close_all(t);
    assert_logged(t, "Shutting down component a (state.lmdb/v1)");
    assert_null(t->components.items[0].store);
    tr_components_fini(&t->components);
    tr_components_init(&t->components, t->loop, &t->log.log);
}

static void one_store_may_be_for_actors(void **state)
{
    struct components_test *t = *state;
    add(t, "a", "state.in-memory", "");
    add(t, "b", "state.in-memory", metadata("ActorStateStore", "TRUE"));
    load(t);
    assert_int_equal(t->components.actor_store, 2);
}

static void a_second_store_for_actors_ends_the_start(void **state)
{
    struct components_test *t = *state;
    add(t, "a", "state.in-memory", metadata("actorStateStore", "true"));
    add(t, "b", "state.in-memory", metadata("actorStateStore", "true"));
    refuse(t, "process component b error: [INIT_COMPONENT_FAILURE]: initialization error occurred for "
              "b (state.in-memory/v1): detected duplicate actor state store: a and b");
    assert_int_equal(t->components.len, 1);
    assert_logged(t, "level=error msg=\"Failed to init component b (state.in-memory/v1): [INIT_COMPONENT_FAILURE]: ");
    assert_logged(t, "msg=\"Error processing component, daprd will exit gracefully: process component b error: "
                     "[INIT_COMPONENT_FAILURE]: ");
}

static void a_type_that_is_not_known_ends_the_start(void **state)
{
    struct components_test *t = *state;
    add(t, "a", "state.nowhere", "");
    refuse(t, "process component a error: [CREATE_COMPONENT_FAILURE]: creation error occurred for a (state.nowhere/v1): "
              "couldn't find state store state.nowhere/v1");
}

static void a_version_that_is_not_known_ends_the_start(void **state)
{
    struct components_test *t = *state;
    write_file(t, "a.yml", "apiVersion: dapr.io/v1alpha1\nkind: Component\nmetadata: {name: a}\n"
                           "spec: {type: state.in-memory, version: v7}\n");
    refuse(t, "process component a error: [CREATE_COMPONENT_FAILURE]: creation error occurred for a "
              "(state.in-memory/v7): couldn't find state store state.in-memory/v7");
}

static void components_of_other_categories_end_the_start(void **state)
{
    static const char *const rows[][2] = {
        { "pubsub.redis", "couldn't find message bus pubsub.redis/v1" },
        { "secretstores.local.env", "couldn't find secret store secretstores.local.env/v1" },
        { "lock.redis", "couldn't find lock store lock.redis/v1" },
        { "configuration.redis", "couldn't find configuration store configuration.redis/v1" },
        { "crypto.jwks", "couldn't find crypto provider crypto.jwks/v1" },
        { "bindings.cron", "couldn't find input binding bindings.cron/v1" },
        { "conversation.echo", "couldn't find conversation conversation.echo/v1" },
        { "nameresolution.mdns", "couldn't find name resolver nameresolution.mdns/v1" },
    };
    struct components_test *t = *state;
    for (size_t i = 0; i < TR_ARRAY_LEN(rows); i++) {
        struct tr_buf want = { 0 };
        add(t, "a", rows[i][0], "");
        tr_buf_addf(&want,
                    "process component a error: [CREATE_COMPONENT_FAILURE]: creation error occurred for a (%s/v1): %s",
                    rows[i][0], rows[i][1]);
        refuse(t, tr_buf_cstr(&want));
        tr_buf_fini(&want);
    }
}

static void a_category_that_does_not_exist_ends_the_start(void **state)
{
    struct components_test *t = *state;
    add(t, "a", "nonsense.x", "");
    assert_int_not_equal(tr_components_load(&t->components, &t->options, &t->configuration, &t->err), TR_OK);
    assert_non_null(strstr(t->err.msg, "incorrect type nonsense.x"));
}

static void a_failure_can_be_ignored(void **state)
{
    struct components_test *t = *state;
    add(t, "a", "pubsub.redis", "  ignoreErrors: true\n");
    add(t, "b", "state.in-memory", "");
    load(t);
    assert_int_equal(t->components.len, 1);
    assert_string_equal(tr_buf_cstr(&t->components.items[0].name), "b");
    assert_logged(t, "msg=\"Failed to init component a (pubsub.redis/v1): [CREATE_COMPONENT_FAILURE]: ");
    assert_logged(t, "msg=\"Ignoring error processing component: process component a error: [INIT_COMPONENT_FAILURE]: "
                     "initialization error occurred for a (pubsub.redis/v1): [CREATE_COMPONENT_FAILURE]: ");
}

static void settings_that_a_store_refuses_end_the_start(void **state)
{
    struct components_test *t = *state;
    add(t, "a", "state.lmdb", "");
    assert_int_not_equal(tr_components_load(&t->components, &t->options, &t->configuration, &t->err), TR_OK);
    assert_non_null(strstr(t->err.msg, "process component a error: [INIT_COMPONENT_FAILURE]: initialization error "
                                       "occurred for a (state.lmdb/v1): "));
}

static void a_prefix_that_no_key_may_have_ends_the_start(void **state)
{
    struct components_test *t = *state;
    add(t, "a", "state.in-memory", metadata("keyPrefix", "x||y"));
    refuse(t, "process component a error: [INIT_COMPONENT_FAILURE]: initialization error occurred for a "
              "(state.in-memory/v1): input key/keyPrefix 'x||y' can't contain '||'");
    assert_int_equal(t->components.len, 0);
}

static void a_component_that_waits_for_a_secret_is_passed_over(void **state)
{
    struct components_test *t = *state;
    add(t, "a", "state.in-memory",
        "  metadata: [{name: password, secretKeyRef: {name: s, key: k}}]\nauth: {secretStore: vault}\n");
    add(t, "b", "state.in-memory", "");
    load(t);
    assert_int_equal(t->components.len, 1);
    assert_logged(t, "level=warning msg=\"Component a references a secret store that isn't loaded: vault\"");
}

static void tokens_in_settings_are_replaced(void **state)
{
    struct components_test *t = *state;
    char path[128];
    (void)snprintf(path, sizeof(path), "%s/{appID}", t->folder);
    add(t, "a", "state.lmdb", metadata("path", path));
    load(t);
    (void)snprintf(path, sizeof(path), "%s/me", t->folder);
    struct stat status;
    assert_int_equal(stat(path, &status), 0);
    (void)unsetenv("POD_NAME");
    add(t, "b", "state.in-memory", metadata("x", "{podName}"));
    close_all(t);
    tr_components_fini(&t->components);
    tr_components_init(&t->components, t->loop, &t->log.log);
    refuse(t, "process component b error: failed to parse metadata: property x refers to {podName} but podName is not set");
}

static void a_component_that_the_configuration_denies_is_not_made(void **state)
{
    struct components_test *t = *state;
    add(t, "a", "state.in-memory", "");
    const struct tr_slice text = TR_SLICE_LIT("apiVersion: dapr.io/v1alpha1\nkind: Configuration\nmetadata: {name: c}\n"
                                              "spec: {components: {deny: [state.in-memory/v1]}}\n");
    assert_int_equal(tr_configuration_decode(&t->configuration, text, "c.yaml", &t->err), TR_OK);
    load(t);
    assert_int_equal(t->components.len, 0);
    assert_logged(t, "Component a (state.in-memory/v1) is denied by the configuration");
}

static void resources_of_other_kinds_are_told_and_passed_over(void **state)
{
    struct components_test *t = *state;
    write_file(t, "r.yaml", "apiVersion: dapr.io/v1alpha1\nkind: Resiliency\nmetadata: {name: r}\nspec: {}\n");
    load(t);
    assert_int_equal(t->components.len, 0);
    assert_logged(t, "Resiliency r is not used: its kind is not served yet");
}

static void components_of_other_apps_are_not_made(void **state)
{
    struct components_test *t = *state;
    add(t, "a", "state.nowhere", "scopes: [other]\n");
    load(t);
    assert_int_equal(t->components.len, 0);
}

static void the_old_flag_for_the_folder_counts_without_the_new_one(void **state)
{
    struct components_test *t = *state;
    add(t, "a", "state.in-memory", "");
    t->options.flags.resources_path = (struct tr_arg_list){ .items = NULL };
    t->options.flags.components_path = t->folder;
    load(t);
    assert_int_equal(t->components.len, 1);
}

static void a_folder_that_cannot_be_read_ends_the_start(void **state)
{
    struct components_test *t = *state;
    char path[] = "/nonexistent";
    t->folders[0] = path;
    assert_int_equal(tr_components_load(&t->components, &t->options, &t->configuration, &t->err), TR_IO);
    assert_true(tr_slice_starts(tr_slice_str(t->err.msg), TR_SLICE_LIT("failed to load components: ")));
}

static void a_name_that_is_taken_twice_ends_the_start(void **state)
{
    struct components_test *t = *state;
    add(t, "a", "state.in-memory", "");
    write_file(t, "z.yaml", "apiVersion: dapr.io/v1alpha1\nkind: Component\nmetadata: {name: a}\n"
                            "spec: {type: state.lmdb, version: v1}\n");
    refuse(t, "failed to load components: duplicate definition of Component name a (state.lmdb/v1) with existing a "
              "(state.in-memory/v1)");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(without_folders_there_are_no_components),
        TEST(stores_are_opened_in_the_order_of_their_files),
        TEST(one_store_may_be_for_actors),
        TEST(a_second_store_for_actors_ends_the_start),
        TEST(a_type_that_is_not_known_ends_the_start),
        TEST(a_version_that_is_not_known_ends_the_start),
        TEST(components_of_other_categories_end_the_start),
        TEST(a_category_that_does_not_exist_ends_the_start),
        TEST(a_failure_can_be_ignored),
        TEST(settings_that_a_store_refuses_end_the_start),
        TEST(a_prefix_that_no_key_may_have_ends_the_start),
        TEST(a_component_that_waits_for_a_secret_is_passed_over),
        TEST(tokens_in_settings_are_replaced),
        TEST(a_component_that_the_configuration_denies_is_not_made),
        TEST(resources_of_other_kinds_are_told_and_passed_over),
        TEST(components_of_other_apps_are_not_made),
        TEST(the_old_flag_for_the_folder_counts_without_the_new_one),
        TEST(a_folder_that_cannot_be_read_ends_the_start),
        TEST(a_name_that_is_taken_twice_ends_the_start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
