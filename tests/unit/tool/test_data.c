#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/tool/data.h"

struct data_test {
    char root[64];
    struct tr_buf path;
    struct tr_data data;
    struct tr_err err;
};

static int set_up(void **state)
{
    struct data_test *t = tr_xzalloc(sizeof(*t));
    memcpy(t->root, "/tmp/test_data.XXXXXX", sizeof("/tmp/test_data.XXXXXX"));
    assert_non_null(mkdtemp(t->root));
    *state = t;
    return 0;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
    (void)st;
    (void)kind;
    (void)ftw;
    return remove(path);
}

static int tear_down(void **state)
{
    struct data_test *t = *state;
    assert_int_equal(nftw(t->root, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
    tr_buf_fini(&t->path);
    free(t);
    return 0;
}

static const char *path_of(struct data_test *t, const char *below)
{
    tr_buf_clear(&t->path);
    tr_buf_addf(&t->path, "%s/%s", t->root, below);
    return tr_buf_cstr(&t->path);
}

static void put_file(struct data_test *t, const char *below, const char *text)
{
    FILE *file = fopen(path_of(t, below), "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static bool has_store(struct data_test *t, const char *app_id)
{
    char *items[] = { t->root };
    const struct tr_arg_list folders = { .items = items, .len = 1 };
    bool has = false;
    assert_int_equal(tr_data_has_actor_store(&folders, app_id, &has, &t->err), TR_OK);
    return has;
}

static void the_path_is_quoted(void **state)
{
    (void)state;
    struct tr_buf out = { 0 };
    tr_data_component(TR_SLICE_LIT("/a \"b\": #c/state"), &out);
    assert_non_null(
        strstr(tr_buf_cstr(&out), "  - name: path\n    value: \"/a \\\"b\\\": #c/state\"\n"));
    tr_buf_fini(&out);
}

static void what_is_missing_is_made_and_the_component_is_an_actor_store(void **state)
{
    struct data_test *t = *state;
    for (int times = 0; times < 2; times++) {
        assert_int_equal(tr_data_prepare(&t->data, path_of(t, "a/b"), &t->err), TR_OK);
        assert_string_equal(tr_buf_cstr(&t->data.state), path_of(t, "a/b/state"));
        assert_string_equal(tr_buf_cstr(&t->data.components), path_of(t, "a/b/components"));
        tr_data_fini(&t->data);
    }
    char *items[] = { (char *)(uintptr_t)path_of(t, "a/b/components") };
    const struct tr_arg_list folders = { .items = items, .len = 1 };
    bool has = false;
    assert_int_equal(tr_data_has_actor_store(&folders, "shop", &has, &t->err), TR_OK);
    assert_true(has);
    struct stat st;
    assert_int_equal(stat(path_of(t, "a/b"), &st), 0);
    assert_int_equal(st.st_mode & 077, 0);
    assert_int_equal(access(path_of(t, "a/b/.gitignore"), R_OK), 0);
}

static void a_file_in_the_way_is_named(void **state)
{
    struct data_test *t = *state;
    put_file(t, "file", "");
    assert_int_equal(tr_data_prepare(&t->data, path_of(t, "file"), &t->err), TR_IO);
    assert_non_null(strstr(t->err.msg, "file"));
    assert_int_equal(tr_data_prepare(&t->data, path_of(t, "file/data"), &t->err), TR_IO);
    assert_non_null(strstr(t->err.msg, "/file/data': Not a directory"));
}

static void a_component_that_cannot_be_written_is_named(void **state)
{
    struct data_test *t = *state;
    assert_int_equal(mkdir(path_of(t, "data"), 0700), 0);
    assert_int_equal(mkdir(path_of(t, "data/components"), 0700), 0);
    assert_int_equal(mkdir(path_of(t, "data/components/statestore.yaml"), 0700), 0);
    assert_int_equal(tr_data_prepare(&t->data, path_of(t, "data"), &t->err), TR_IO);
    assert_non_null(strstr(t->err.msg, "/data/components/statestore.yaml'"));
    struct tr_buf left = { 0 };
    tr_buf_addf(&left, "%s.%d", path_of(t, "data/components/statestore.yaml"), (int)getpid());
    assert_int_not_equal(access(tr_buf_cstr(&left), F_OK), 0);
    tr_buf_fini(&left);
}

#define STORE(type, actors, scopes)                                                                \
    "apiVersion: dapr.io/v1alpha1\nkind: Component\nmetadata:\n  name: x\nspec:\n  type: " type    \
    "\n  version: v1\n  metadata:\n  - name: actorStateStore\n    value: " actors "\n" scopes

static void an_actor_store_is_found_if_it_is_for_the_app(void **state)
{
    struct data_test *t = *state;
    assert_false(has_store(t, "shop"));
    put_file(t, "x.yaml", STORE("state.in-memory", "\"false\"", ""));
    assert_false(has_store(t, "shop"));
    put_file(t, "x.yaml", STORE("state.in-memory", "true", ""));
    assert_true(has_store(t, "shop"));
    put_file(t, "x.yaml", STORE("state.in-memory", "true", "scopes:\n- other\n"));
    assert_false(has_store(t, "shop"));
    assert_true(has_store(t, "other"));
    put_file(t, "x.yaml", "not: [yaml");
    assert_false(has_store(t, "shop"));
}

static void a_folder_that_is_not_there_is_an_error(void **state)
{
    struct data_test *t = *state;
    char *items[] = { (char *)(uintptr_t)path_of(t, "nowhere") };
    const struct tr_arg_list folders = { .items = items, .len = 1 };
    bool has = false;
    assert_int_equal(tr_data_has_actor_store(&folders, "shop", &has, &t->err), TR_IO);
    assert_non_null(strstr(t->err.msg, "nowhere"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_path_is_quoted),
        cmocka_unit_test_setup_teardown(what_is_missing_is_made_and_the_component_is_an_actor_store,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_file_in_the_way_is_named, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_component_that_cannot_be_written_is_named, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(an_actor_store_is_found_if_it_is_for_the_app, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_folder_that_is_not_there_is_an_error, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
