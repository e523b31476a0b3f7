#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>
#include <stdlib.h>
#include <cmocka.h>

#include "runtime/base/json.h"

static bool is_json(struct tr_slice text)
{
    struct tr_err err;
    return tr_json_check(text, NULL, &err) == TR_OK;
}

static void every_kind_of_value_is_accepted(void **state)
{
    (void)state;
    static const char *const good[] = {
        "null",
        "true",
        "false",
        "0",
        "-0",
        "-1.5e+10",
        "1E400",
        "123456789012345678901234567890",
        "\"\"",
        "[]",
        "{}",
        " [ 1 , [ ] , { } , \"a\" ] \r\n\t",
        "{\"a\":{\"b\":[null,{\"c\":true}]},\"a\":2}",
        "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\ud83d\\ude00\"",
        "\"\\ud800\"",
        "\"\xc2\x80 \xed\x9f\xbf \xf4\x8f\xbf\xbf\x7f\"",
        "[[],[[]],{}]",
    };
    for (size_t i = 0; i < TR_ARRAY_LEN(good); i++) {
        assert_true(is_json(tr_slice_str(good[i])));
    }
}

static void what_is_no_json_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        " ",
        "nul",
        "True",
        "+1",
        "01",
        "1.",
        ".5",
        "1e",
        "1e+",
        "-",
        "NaN",
        "'a'",
        "\"",
        "\"a",
        "\"\\x\"",
        "\"\\u12g4\"",
        "\"\\u12",
        "\"\t\"",
        "\"\\",
        "[",
        "[1,]",
        "[,1]",
        "[1 2]",
        "[1}",
        "{",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{a:1}",
        "{1:1}",
        "{\"a\":1]",
        "1 2",
        "[] x",
        "\xef\xbb\xbf{}",
        "\"\xc0\x80\"",
        "\"\xed\xa0\x80\"",
        "\"\xf4\x90\x80\x80\"",
        "\"\xf5\x80\x80\x80\"",
        "\"\x80\"",
        "\"\xe2\x82\"",
        "\"\xe2",
        "// x\n1",
        "]",
        "\"abcdefgh\x01\"",
    };
    for (size_t i = 0; i < TR_ARRAY_LEN(bad); i++) {
        assert_false(is_json(tr_slice_str(bad[i])));
    }
    assert_false(is_json(tr_slice("1\0", 2)));
    assert_false(is_json(tr_slice("\"\0\"", 3)));
    assert_false(is_json(tr_slice("\"\\\0\"", 4)));
}

static void every_cut_of_a_text_is_refused(void **state)
{
    (void)state;
    const struct tr_slice text =
        TR_SLICE_LIT("{\"key\\u0041\":[1.5e3,true,false,null,\"\xe2\x82\xac\\n\"],\"b\":{}}");
    assert_true(is_json(text));
    for (size_t len = 0; len < text.len; len++) {
        /* A copy of its own, so that reading beyond the end is seen. */
        char *copy = tr_xalloc(len);
        memcpy(copy, text.ptr, len);
        assert_false(is_json(tr_slice(copy, len)));
        free(copy);
    }
}

static void errors_name_the_place_and_the_reason(void **state)
{
    (void)state;
    struct tr_err err;
    assert_int_equal(tr_json_check(TR_SLICE_LIT("{\"a\":tru}"), NULL, &err), TR_INVALID);
    assert_string_equal(err.msg, "invalid JSON at offset 5: unexpected character");
    assert_int_equal(tr_json_check(TR_SLICE_LIT("[1"), NULL, &err), TR_INVALID);
    assert_string_equal(err.msg, "invalid JSON at offset 2: unexpected end");
}

static void nest(struct tr_buf *buf, size_t depth)
{
    for (size_t i = 0; i < depth; i++) {
        tr_buf_add_str(buf, i % 2 == 0 ? "[" : "{\"a\":");
    }
    tr_buf_add_str(buf, "1");
    for (size_t i = depth; i > 0; i--) {
        tr_buf_add_str(buf, i % 2 == 1 ? "]" : "}");
    }
}

static void nesting_has_a_limit(void **state)
{
    (void)state;
    struct tr_buf buf = { 0 };
    nest(&buf, TR_JSON_DEPTH_MAX);
    assert_true(is_json(tr_buf_slice(&buf)));
    tr_buf_clear(&buf);
    nest(&buf, TR_JSON_DEPTH_MAX + 1);
    assert_false(is_json(tr_buf_slice(&buf)));
    tr_buf_fini(&buf);
}

static void the_value_comes_without_the_blanks_around_it(void **state)
{
    (void)state;
    struct tr_err err;
    struct tr_slice value;
    assert_int_equal(tr_json_check(TR_SLICE_LIT(" \n[ 1 ] \t"), &value, &err), TR_OK);
    assert_true(tr_slice_eq_str(value, "[ 1 ]"));
}

static void a_walk_gives_each_element_in_its_own_text(void **state)
{
    (void)state;
    static const char *const expected[] = { "1", "\"a,]\"", "[2, 3]", "{ \"x\" : [] }", "null" };
    struct tr_json_iter it =
        tr_json_iter(TR_SLICE_LIT("[ 1 ,\"a,]\",[2, 3],{ \"x\" : [] },null ]"));
    struct tr_slice value;
    for (size_t i = 0; i < TR_ARRAY_LEN(expected); i++) {
        assert_true(tr_json_next(&it, &value));
        assert_true(tr_slice_eq_str(value, expected[i]));
    }
    assert_false(tr_json_next(&it, &value));
    assert_false(tr_json_next(&it, &value));
}

static void a_walk_of_members_gives_raw_names(void **state)
{
    (void)state;
    struct tr_json_iter it = tr_json_iter(TR_SLICE_LIT("{ \"a\" : 1 ,\"b\\u0063\":{\"d\":2}}"));
    struct tr_slice name;
    struct tr_slice value;
    assert_true(tr_json_next_member(&it, &name, &value));
    assert_true(tr_slice_eq_str(name, "\"a\""));
    assert_true(tr_slice_eq_str(value, "1"));
    assert_true(tr_json_next_member(&it, &name, &value));
    assert_true(tr_json_str_eq(name, TR_SLICE_LIT("bc")));
    assert_true(tr_slice_eq_str(value, "{\"d\":2}"));
    assert_false(tr_json_next_member(&it, &name, &value));
}

static void walking_anything_else_is_empty(void **state)
{
    (void)state;
    static const char *const texts[] = { "", "1", "null", "\"[1]\"", "[]", "{}" };
    for (size_t i = 0; i < TR_ARRAY_LEN(texts); i++) {
        struct tr_json_iter it = tr_json_iter(tr_slice_str(texts[i]));
        struct tr_slice name;
        struct tr_slice value;
        assert_false(tr_json_next(&it, &value));
        it = tr_json_iter(tr_slice_str(texts[i]));
        assert_false(tr_json_next_member(&it, &name, &value));
    }
}

static void the_last_of_several_members_counts(void **state)
{
    (void)state;
    struct tr_slice value;
    const struct tr_slice object = TR_SLICE_LIT("{\"a\":1,\"A\":2,\"a\":3,\"x\":{\"b\":4}}");
    assert_true(tr_json_get(object, "a", &value));
    assert_true(tr_slice_eq_str(value, "3"));
    assert_true(tr_json_get(object, "A", &value));
    assert_true(tr_slice_eq_str(value, "2"));
    assert_false(tr_json_get(object, "b", &value));
    assert_true(tr_json_get_nocase(TR_SLICE_LIT("{\"DueTime\":\"x\"}"), "dueTime", &value));
    assert_false(tr_json_get(TR_SLICE_LIT("[\"a\"]"), "a", &value));
}

static void assert_string(const char *raw, struct tr_slice expected)
{
    struct tr_buf buf = { 0 };
    assert_true(tr_json_str_get(tr_slice_str(raw), &buf));
    assert_true(tr_slice_eq(tr_buf_slice(&buf), expected));
    assert_true(tr_json_str_eq(tr_slice_str(raw), expected));
    tr_buf_fini(&buf);
}

static void strings_are_unescaped(void **state)
{
    (void)state;
    assert_string("\"\"", TR_SLICE_LIT(""));
    assert_string("\"a\\\"\\\\\\/\\b\\f\\n\\r\\tz\"", TR_SLICE_LIT("a\"\\/\b\f\n\r\tz"));
    assert_string("\"\\u0000\\u007f\\u0080\\u07ff\\u0800\\uffff\"",
                  tr_slice("\0\x7f\xc2\x80\xdf\xbf\xe0\xa0\x80\xef\xbf\xbf", 12));
    assert_string("\"\\uD83D\\uDE00\"", TR_SLICE_LIT("\xf0\x9f\x98\x80"));
    assert_string("\"\\ud800\\ud83d\\ude00\\udc00x\"",
                  TR_SLICE_LIT("\xef\xbf\xbd\xf0\x9f\x98\x80\xef\xbf\xbdx"));
    assert_false(tr_json_str_eq(TR_SLICE_LIT("\"a\""), TR_SLICE_LIT("b")));
    struct tr_buf buf = { 0 };
    assert_false(tr_json_str_get(TR_SLICE_LIT("12"), &buf));
    assert_int_equal(buf.len, 0);
}

static void integers_must_fit_and_be_whole(void **state)
{
    (void)state;
    int64_t i = 0;
    uint64_t u = 0;
    assert_true(tr_json_get_i64(TR_SLICE_LIT("-9223372036854775808"), &i));
    assert_true(i == INT64_MIN);
    assert_true(tr_json_get_i64(TR_SLICE_LIT("9223372036854775807"), &i));
    assert_true(i == INT64_MAX);
    assert_false(tr_json_get_i64(TR_SLICE_LIT("9223372036854775808"), &i));
    assert_false(tr_json_get_i64(TR_SLICE_LIT("1.0"), &i));
    assert_false(tr_json_get_i64(TR_SLICE_LIT("1e2"), &i));
    assert_false(tr_json_get_i64(TR_SLICE_LIT("\"1\""), &i));
    assert_false(tr_json_get_i64(TR_SLICE_LIT("null"), &i));
    assert_true(tr_json_get_u64(TR_SLICE_LIT("18446744073709551615"), &u));
    assert_true(u == UINT64_MAX);
    assert_false(tr_json_get_u64(TR_SLICE_LIT("18446744073709551616"), &u));
    assert_false(tr_json_get_u64(TR_SLICE_LIT("-1"), &u));
}

static void numbers_and_truth_values_are_read(void **state)
{
    (void)state;
    double d = 0;
    bool b = false;
    assert_true(tr_json_get_double(TR_SLICE_LIT("-1.5e2"), &d));
    assert_true(fabs(d + 150.0) < 1e-9);
    assert_false(tr_json_get_double(TR_SLICE_LIT("1e400"), &d));
    assert_false(tr_json_get_double(TR_SLICE_LIT("true"), &d));
    assert_true(tr_json_get_bool(TR_SLICE_LIT("true"), &b));
    assert_true(b);
    assert_true(tr_json_get_bool(TR_SLICE_LIT("false"), &b));
    assert_false(b);
    assert_false(tr_json_get_bool(TR_SLICE_LIT("\"true\""), &b));
}

static void strings_are_escaped_as_go_does(void **state)
{
    (void)state;
    struct tr_buf buf = { 0 };
    tr_json_add_str(
        &buf,
        TR_SLICE_LIT(
            "a\"\\\b\f\n\r\t\0\x1f\x7f<>&/ \xe2\x80\xa8\xe2\x80\xa9 \xe2\x82\xac \xff\xe2\x82"));
    assert_string_equal(tr_buf_cstr(&buf), "\"a\\\"\\\\\\b\\f\\n\\r\\t\\u0000\\u001f\x7f\\u003c\\u0"
                                           "03e\\u0026/ \\u2028\\u2029 \xe2\x82\xac "
                                           "\\ufffd\\ufffd\\ufffd\"");
    assert_true(is_json(tr_buf_slice(&buf)));
    tr_buf_fini(&buf);
}

static void compacting_keeps_blanks_in_strings_and_escapes_what_go_escapes(void **state)
{
    (void)state;
    struct tr_buf buf = { 0 };
    tr_json_add_compact(
        &buf,
        TR_SLICE_LIT(
            " { \"a b\" : [ 1 , \"< \\\" >\" ] ,\n\"\xe2\x80\xa9\xe2\x80\xaa\" : \"\\\\\" } "));
    assert_string_equal(tr_buf_cstr(&buf),
                        "{\"a b\":[1,\"\\u003c \\\" \\u003e\"],\"\\u2029\xe2\x80\xaa\":\"\\\\\"}");
    tr_buf_fini(&buf);
}

static void the_writer_puts_commas_and_colons(void **state)
{
    (void)state;
    struct tr_buf buf = { 0 };
    struct tr_json_out out;
    tr_json_out_init(&out, &buf);
    tr_json_begin_object(&out);
    tr_json_key(&out, "a");
    tr_json_i64(&out, -1);
    tr_json_key(&out, "b");
    tr_json_begin_array(&out);
    tr_json_u64(&out, UINT64_MAX);
    tr_json_double(&out, 0.1);
    tr_json_double(&out, (double)INFINITY);
    tr_json_bool(&out, true);
    tr_json_null(&out);
    tr_json_begin_object(&out);
    tr_json_end_object(&out);
    tr_json_raw(&out, TR_SLICE_LIT("{\"x\":1}"));
    tr_json_end_array(&out);
    tr_json_key(&out, "<c>");
    tr_json_str(&out, TR_SLICE_LIT("d"));
    tr_json_end_object(&out);
    assert_string_equal(tr_buf_cstr(&buf),
                        "{\"a\":-1,\"b\":[18446744073709551615,0.1,null,true,null,{},{\"x\":1}],"
                        "\"\\u003cc\\u003e\":\"d\"}");
    assert_int_equal(out.depth, 0);
    tr_buf_fini(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_of_value_is_accepted),
        cmocka_unit_test(what_is_no_json_is_refused),
        cmocka_unit_test(every_cut_of_a_text_is_refused),
        cmocka_unit_test(errors_name_the_place_and_the_reason),
        cmocka_unit_test(nesting_has_a_limit),
        cmocka_unit_test(the_value_comes_without_the_blanks_around_it),
        cmocka_unit_test(a_walk_gives_each_element_in_its_own_text),
        cmocka_unit_test(a_walk_of_members_gives_raw_names),
        cmocka_unit_test(walking_anything_else_is_empty),
        cmocka_unit_test(the_last_of_several_members_counts),
        cmocka_unit_test(strings_are_unescaped),
        cmocka_unit_test(integers_must_fit_and_be_whole),
        cmocka_unit_test(numbers_and_truth_values_are_read),
        cmocka_unit_test(strings_are_escaped_as_go_does),
        cmocka_unit_test(compacting_keeps_blanks_in_strings_and_escapes_what_go_escapes),
        cmocka_unit_test(the_writer_puts_commas_and_colons),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
