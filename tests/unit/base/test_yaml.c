#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "runtime/base/yaml.h"

static void parse(struct tr_yaml *yaml, const char *text)
{
    struct tr_err err = { 0 };
    if (tr_yaml_parse(tr_slice_str(text), 1, yaml, &err) != TR_OK) {
        fail_msg("%s", err.msg);
    }
}

static void assert_json(const char *text, const char *expected)
{
    struct tr_yaml yaml;
    struct tr_buf buf = { 0 };
    parse(&yaml, text);
    assert_int_equal(yaml.documents_len, 1);
    tr_yaml_add_json(&buf, yaml.documents[0]);
    assert_string_equal(tr_buf_cstr(&buf), expected);
    tr_buf_fini(&buf);
    tr_yaml_fini(&yaml);
}

static void assert_refused(const char *text, const char *message)
{
    struct tr_yaml yaml;
    struct tr_err err;
    assert_int_not_equal(tr_yaml_parse(tr_slice_str(text), 10, &yaml, &err), TR_OK);
    assert_non_null(strstr(err.msg, message));
}

static void plain_scalars_are_typed_and_quoted_ones_are_not(void **state)
{
    (void)state;
    assert_json("[1, -0x10, 010, 0b101, 1_000, 1.0, 1e3, 1.5, .5, 1., 1e-7, 1e21, "
                "18446744073709551615, 18446744073709551616, 1e400]",
                "[1,-16,8,5,1000,1,1000,1.5,0.5,1,1e-7,1e+21,18446744073709551615,"
                "18446744073709552000,\"1e400\"]");
    assert_json("[true, Yes, on, false, NO, off, y, n]",
                "[true,true,true,false,false,false,true,false]");
    assert_json("[~, null, ]", "[null,null]");
    assert_json(
        "['1', \"true\", !!str 5, 1s, 2026-08-02, 1.2.3, -, +, '', 0x, 1e]",
        "[\"1\",\"true\",\"5\",\"1s\",\"2026-08-02\",\"1.2.3\",\"-\",\"+\",\"\",\"0x\",\"1e\"]");
    assert_json("{\"a\": 1, \"b\": [true]}", "{\"a\":1,\"b\":[true]}");
    assert_json("|\n  two\n  <lines>\n", "\"two\\n\\u003clines\\u003e\\n\"");
}

static void maps_are_read_by_key_and_the_last_of_equal_keys_counts(void **state)
{
    (void)state;
    struct tr_yaml yaml;
    parse(&yaml, "a: 1\nb:\n  c: x\na: 2\n");
    const struct tr_yaml_node *root = yaml.documents[0];
    int64_t value = 0;
    assert_true(tr_yaml_get_i64(tr_yaml_get(root, "a"), &value));
    assert_int_equal(value, 2);
    const struct tr_yaml_node *c = tr_yaml_get(tr_yaml_get(root, "b"), "c");
    assert_true(tr_slice_eq_str(c->text, "x"));
    assert_int_equal(c->line, 3);
    assert_null(tr_yaml_get(root, "d"));
    assert_null(tr_yaml_get(tr_yaml_get(root, "d"), "e"));
    assert_true(tr_yaml_is_null(tr_yaml_get(root, "d")));
    tr_yaml_fini(&yaml);
}

static void values_of_another_type_are_refused(void **state)
{
    (void)state;
    struct tr_yaml yaml;
    bool truth = false;
    int64_t whole = 0;
    double number = 0;
    parse(&yaml, "[x, 1.5, 99999999999999999999, 18446744073709551615, 7, [1]]");
    const struct tr_yaml_item *items = yaml.documents[0]->items;
    assert_false(tr_yaml_get_bool(items[0].value, &truth));
    assert_false(tr_yaml_get_i64(items[1].value, &whole));
    assert_true(tr_yaml_get_double(items[1].value, &number));
    assert_false(tr_yaml_get_i64(items[2].value, &whole));
    assert_false(tr_yaml_get_i64(items[3].value, &whole));
    assert_true(tr_yaml_get_double(items[4].value, &number));
    assert_false(tr_yaml_get_double(items[5].value, &number));
    tr_yaml_fini(&yaml);
}

static void several_documents_give_several_roots(void **state)
{
    (void)state;
    struct tr_yaml yaml;
    parse(&yaml, "a: 1\n---\n- x\n---\n");
    assert_int_equal(yaml.documents_len, 3);
    assert_int_equal(yaml.documents[1]->kind, TR_YAML_LIST);
    assert_true(tr_yaml_is_null(yaml.documents[2]));
    tr_yaml_fini(&yaml);
    parse(&yaml, "# nothing\n");
    assert_int_equal(yaml.documents_len, 0);
    tr_yaml_fini(&yaml);
    parse(&yaml, "");
    assert_int_equal(yaml.documents_len, 0);
    tr_yaml_fini(&yaml);
}

static void aliases_stand_for_their_anchor(void **state)
{
    (void)state;
    assert_json("a: &x {b: 1}\nc: *x\nd: [*x, &y 2, *y]\n",
                "{\"a\":{\"b\":1},\"c\":{\"b\":1},\"d\":[{\"b\":1},2,2]}");
}

static void merge_keys_add_what_a_map_does_not_have(void **state)
{
    (void)state;
    assert_json(
        "x: &x {a: 1, b: 1}\ny: &y {b: 2, c: 2}\nz:\n  <<: [*x, *y]\n  a: 3\n",
        "{\"x\":{\"a\":1,\"b\":1},\"y\":{\"b\":2,\"c\":2},\"z\":{\"a\":3,\"b\":1,\"c\":2}}");
    assert_json("x: &x {a: 1}\nz: {<<: *x, b: 2, c: 3, d: 4, e: 5}\n",
                "{\"x\":{\"a\":1},\"z\":{\"a\":1,\"b\":2,\"c\":3,\"d\":4,\"e\":5}}");
    assert_refused("a: {<<: 1}", "a merge needs a map");
}

static void errors_name_the_line_of_the_file(void **state)
{
    (void)state;
    assert_refused("a: 1\nb: [\n", "yaml: line 12: ");
    assert_refused("a: b: c\n", "yaml: line 10: mapping values are not allowed in this context");
    assert_refused("\ta: 1\n", "yaml: line 10: ");
    assert_refused("a: *nope\n", "yaml: line 10: unknown anchor");
    assert_refused("a: &x [*x]\n", "alias inside of its own anchor");
    assert_refused("{[1]: 2}\n", "a key must be a scalar");
    assert_refused("a: \"\xff\"\n", "yaml: line 10: ");
}

static void anchors_end_with_their_document(void **state)
{
    (void)state;
    assert_refused("a: &x 1\n---\nb: *x\n", "yaml: line 12: unknown anchor");
}

static void aliases_cannot_stand_for_too_much(void **state)
{
    (void)state;
    struct tr_buf text = { 0 };
    tr_buf_add_str(&text, "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
    for (int i = 1; i < 9; i++) {
        tr_buf_addf(&text, "a%d: &a%d [", i, i);
        for (int j = 0; j < 10; j++) {
            tr_buf_addf(&text, "%s*a%d", j > 0 ? "," : "", i - 1);
        }
        tr_buf_add_str(&text, "]\n");
    }
    assert_refused(tr_buf_cstr(&text), "more than");
    tr_buf_fini(&text);
}

static void nesting_has_a_limit_that_aliases_keep(void **state)
{
    (void)state;
    struct tr_buf text = { 0 };
    for (int i = 0; i < TR_YAML_DEPTH_MAX + 1; i++) {
        tr_buf_add_char(&text, '[');
    }
    assert_refused(tr_buf_cstr(&text), "nested too deep");
    tr_buf_clear(&text);
    tr_buf_add_str(&text, "- &a0 x\n");
    for (int i = 1; i < 10; i++) {
        tr_buf_addf(&text, "- &a%d [[[[[[[[[[*a%d]]]]]]]]]]\n", i, i - 1);
    }
    assert_refused(tr_buf_cstr(&text), "nested too deep");
    tr_buf_fini(&text);
}

static void a_text_that_is_too_long_is_refused(void **state)
{
    (void)state;
    struct tr_buf text = { 0 };
    tr_buf_reserve(&text, TR_YAML_BYTES_MAX + 1);
    memset(text.ptr, ' ', TR_YAML_BYTES_MAX + 1);
    text.len = TR_YAML_BYTES_MAX + 1;
    struct tr_yaml yaml;
    struct tr_err err;
    assert_int_equal(tr_yaml_parse(tr_buf_slice(&text), 1, &yaml, &err), TR_LIMIT);
    tr_buf_fini(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_scalars_are_typed_and_quoted_ones_are_not),
        cmocka_unit_test(maps_are_read_by_key_and_the_last_of_equal_keys_counts),
        cmocka_unit_test(values_of_another_type_are_refused),
        cmocka_unit_test(several_documents_give_several_roots),
        cmocka_unit_test(aliases_stand_for_their_anchor),
        cmocka_unit_test(merge_keys_add_what_a_map_does_not_have),
        cmocka_unit_test(errors_name_the_line_of_the_file),
        cmocka_unit_test(anchors_end_with_their_document),
        cmocka_unit_test(aliases_cannot_stand_for_too_much),
        cmocka_unit_test(nesting_has_a_limit_that_aliases_keep),
        cmocka_unit_test(a_text_that_is_too_long_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
