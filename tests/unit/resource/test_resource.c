#include <fcntl.h>
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

#include "runtime/resource/component.h"
#include "runtime/resource/resource.h"

#define HEAD(kind, name)                                                                           \
    "apiVersion: dapr.io/v1alpha1\nkind: " kind "\nmetadata: {name: " name "}\n"
#define STORE(name) HEAD("Component", name) "spec: {type: state.in-memory, version: v1}\n"

/* A folder with files, and a logger whose lines can be read. */
struct load_test {
    char folder[32];
    char *paths[8];
    size_t paths_len;
    struct tr_log_sink sink;
    struct tr_log log;
    int log_fd;
    struct tr_buf log_text;
    const char *folders[1];
    struct tr_resource_options options;
    struct tr_resources resources;
    struct tr_err err;
};

static void load_test_init(struct load_test *t)
{
    *t = (struct load_test){ .folder = "/tmp/troupe-res-XXXXXX" };
    assert_non_null(mkdtemp(t->folder));
    char log_path[] = "/tmp/troupe-log-XXXXXX";
    t->log_fd = mkstemp(log_path);
    assert_true(t->log_fd >= 0);
    (void)unlink(log_path);
    tr_log_sink_init(&t->sink);
    t->sink.fd = t->log_fd;
    tr_log_init(&t->log, &t->sink, "dapr.test");
    t->folders[0] = t->folder;
    t->options = (struct tr_resource_options){
        .folders = t->folders, .folders_len = 1, .app_id = "app", .name_space = NULL, .log = &t->log
    };
}

static void load_test_fini(struct load_test *t)
{
    for (size_t i = 0; i < t->paths_len; i++) {
        (void)remove(t->paths[i]);
        free(t->paths[i]);
    }
    assert_int_equal(rmdir(t->folder), 0);
    tr_resources_fini(&t->resources);
    tr_log_sink_fini(&t->sink);
    (void)close(t->log_fd);
    tr_buf_fini(&t->log_text);
}

static char *path_of(struct load_test *t, const char *name)
{
    struct tr_buf path = { 0 };
    tr_buf_addf(&path, "%s/%s", t->folder, name);
    char *text = tr_xstrdup(tr_buf_slice(&path));
    tr_buf_fini(&path);
    t->paths[t->paths_len++] = text;
    return text;
}

static void write_file(struct load_test *t, const char *name, const char *text)
{
    FILE *file = fopen(path_of(t, name), "we");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, strlen(text), file), strlen(text));
    assert_int_equal(fclose(file), 0);
}

static enum tr_code load(struct load_test *t)
{
    return tr_resources_load(&t->options, &t->resources, &t->err);
}

static const char *logged(struct load_test *t)
{
    char part[4096];
    tr_buf_clear(&t->log_text);
    (void)lseek(t->log_fd, 0, SEEK_SET);
    ssize_t len;
    while ((len = read(t->log_fd, part, sizeof(part))) > 0) {
        tr_buf_add(&t->log_text, tr_slice(part, (size_t)len));
    }
    return tr_buf_cstr(&t->log_text);
}

static void files_are_split_before_yaml_is_read(void **state)
{
    (void)state;
    struct tr_slice rest = TR_SLICE_LIT("---\na: 1\n--- # x\nb: 2\nc: 3\n---\n\n---");
    static const struct {
        const char *text;
        unsigned line;
    } expected[] = { { "---\na: 1\n", 1 }, { "b: 2\nc: 3\n", 4 }, { "\n", 7 } };
    unsigned line = 1;
    unsigned first_line = 0;
    struct tr_slice text;
    for (size_t i = 0; i < TR_ARRAY_LEN(expected); i++) {
        assert_true(tr_resource_next_document(&rest, &line, &text, &first_line));
        assert_true(tr_slice_eq_str(text, expected[i].text));
        assert_int_equal(first_line, expected[i].line);
    }
    assert_false(tr_resource_next_document(&rest, &line, &text, &first_line));
}

static void files_and_documents_come_in_their_order(void **state)
{
    (void)state;
    struct load_test t;
    load_test_init(&t);
    write_file(&t, "b.yml",
               STORE("three") "---\n# nothing\n---\n" HEAD("HTTPEndpoint",
                                                           "four") "spec: {baseUrl: http://x}\n");
    write_file(&t, "a.YAML", "---\n" STORE("one") "---\n" STORE("two"));
    assert_int_equal(mkdir(path_of(&t, "c.yaml"), 0700), 0);
    assert_int_equal(load(&t), TR_OK);
    assert_int_equal(t.resources.len, 4);
    assert_string_equal(t.resources.items[0].name, "one");
    assert_string_equal(t.resources.items[0].log_name, "one (state.in-memory/v1)");
    assert_string_equal(t.resources.items[1].name, "two");
    assert_non_null(strstr(t.resources.items[1].origin, "a.YAML: document 2"));
    assert_string_equal(t.resources.items[2].name, "three");
    assert_string_equal(t.resources.items[3].log_name, "four (http://x)");
    assert_string_equal(logged(&t), "");
    assert_ptr_equal(tr_resources_find(&t.resources, TR_RESOURCE_COMPONENT, TR_SLICE_LIT("three")),
                     &t.resources.items[2]);
    assert_null(tr_resources_find(&t.resources, TR_RESOURCE_COMPONENT, TR_SLICE_LIT("four")));
    load_test_fini(&t);
}

static void other_kinds_and_versions_are_passed_over(void **state)
{
    (void)state;
    struct load_test t;
    load_test_init(&t);
    write_file(&t, "a.yaml",
               HEAD("Subscription",
                    "x") "---\napiVersion: v1\nkind: Component\nmetadata: {name: y}\n---\n"
                         "kind: Resiliency\nmetadata: {name: r}\nspec: {policies: {}}\n---\n" HEAD(
                             "Configuration", "c"));
    write_file(&t, "readme.txt", "x");
    assert_int_equal(load(&t), TR_OK);
    assert_int_equal(t.resources.len, 1);
    assert_int_equal(t.resources.items[0].kind, TR_RESOURCE_RESILIENCY);
    assert_non_null(tr_yaml_get(t.resources.items[0].spec, "policies"));
    assert_non_null(strstr(
        logged(&t), "A non-YAML Component file readme.txt was detected, it will not be loaded"));
    load_test_fini(&t);
}

static void a_bad_document_costs_only_itself(void **state)
{
    (void)state;
    struct load_test t;
    load_test_init(&t);
    write_file(
        &t, "a.yaml",
        STORE("one") "---\na: b: c\n---\n" HEAD(
            "Component",
            "two") "spec:\n  ignoreErrors: maybe\n---\n" STORE("x%y") "---\n" STORE("three"));
    assert_int_equal(load(&t), TR_OK);
    assert_int_equal(t.resources.len, 2);
    assert_string_equal(t.resources.items[1].name, "three");
    const char *log = logged(&t);
    assert_non_null(strstr(
        log, "a.yaml: document 2: yaml: line 6: mapping values are not allowed in this context"));
    assert_non_null(strstr(log, "document 3: line 12: spec.ignoreErrors must be true or false"));
    assert_non_null(strstr(log, "document 4: line 16: invalid name \\\"x%y\\\" for "
                                "\\\"Component\\\": may not contain '%'"));
    load_test_fini(&t);
}

static void names_that_are_taken_twice_are_an_error(void **state)
{
    (void)state;
    struct load_test t;
    load_test_init(&t);
    write_file(&t, "a.yaml", STORE("a") "---\n" STORE("b"));
    write_file(&t, "b.yaml", STORE("a") "scopes: [other]\n---\n" STORE("b"));
    assert_int_equal(load(&t), TR_EXISTS);
    assert_string_equal(
        t.err.msg,
        "duplicate definition of Component name a (state.in-memory/v1) with existing a "
        "(state.in-memory/v1)\nduplicate definition of Component name b (state.in-memory/v1) "
        "with existing b (state.in-memory/v1)");
    load_test_fini(&t);
}

static void what_is_out_of_scope_takes_no_name(void **state)
{
    (void)state;
    struct load_test t;
    load_test_init(&t);
    write_file(&t, "a.yaml",
               STORE("a") "scopes: [other]\n---\n" STORE("a") "scopes: [other, app]\n---\n" STORE(
                   "b") "scopes: []\n");
    assert_int_equal(load(&t), TR_OK);
    assert_int_equal(t.resources.len, 2);
    load_test_fini(&t);
}

static void another_namespace_is_passed_over_if_ours_is_set(void **state)
{
    (void)state;
    static const char text[] = "apiVersion: dapr.io/v1alpha1\nkind: Component\nmetadata: {name: a, "
                               "namespace: x}\nspec: {type: t}\n---\n" STORE("b");
    for (int own = 0; own < 3; own++) {
        static const char *const names[] = { NULL, "x", "y" };
        static const size_t expected[] = { 2, 2, 1 };
        struct load_test t;
        load_test_init(&t);
        t.options.name_space = names[own];
        write_file(&t, "a.yaml", text);
        assert_int_equal(load(&t), TR_OK);
        assert_int_equal(t.resources.len, expected[own]);
        load_test_fini(&t);
    }
}

static void a_folder_that_cannot_be_read_is_an_error(void **state)
{
    (void)state;
    struct load_test t;
    load_test_init(&t);
    t.folders[0] = "/does/not/exist";
    assert_int_equal(load(&t), TR_IO);
    assert_string_equal(t.err.msg, "open folder '/does/not/exist': No such file or directory");
    load_test_fini(&t);
}

static void documents_of_the_wrong_shape_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *message;
    } cases[] = {
        { "- a\n", "line 1: the document must be a map" },
        { "apiVersion: dapr.io/v1alpha1\nkind: Component\n",
          "invalid name \"\" for \"Component\": must not be empty" },
        { HEAD("Component", ".."), "may not be '..'" },
        { HEAD("Component", "a/b"), "may not contain '/'" },
        { HEAD("Component", "a") "spec: [1]\n", "line 4: spec must be a map" },
        { HEAD("Component", "a") "scopes: x\n", "line 4: scopes must be a list of app ids" },
        { HEAD("HTTPEndpoint", "a") "spec: {}\n", "spec.baseUrl is missing" },
        { HEAD("Component", "a") "spec: {metadata: {a: b}}\n",
          "line 4: spec.metadata must be a list" },
        { HEAD("Component", "a") "spec: {type: [x]}\n", "line 4: spec.type must be a text" },
    };
    for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++) {
        struct tr_resource resource;
        struct tr_err err;
        bool is_known = false;
        assert_int_equal(
            tr_resource_parse(tr_slice_str(cases[i].text), 1, &is_known, &resource, &err),
            TR_INVALID);
        assert_non_null(strstr(err.msg, cases[i].message));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_are_split_before_yaml_is_read),
        cmocka_unit_test(files_and_documents_come_in_their_order),
        cmocka_unit_test(other_kinds_and_versions_are_passed_over),
        cmocka_unit_test(a_bad_document_costs_only_itself),
        cmocka_unit_test(names_that_are_taken_twice_are_an_error),
        cmocka_unit_test(what_is_out_of_scope_takes_no_name),
        cmocka_unit_test(another_namespace_is_passed_over_if_ours_is_set),
        cmocka_unit_test(a_folder_that_cannot_be_read_is_an_error),
        cmocka_unit_test(documents_of_the_wrong_shape_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
