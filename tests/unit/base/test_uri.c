#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "runtime/base/uri.h"

static void segments_keep_the_plus_and_queries_read_it_as_a_blank(void **state)
{
    (void)state;
    struct tr_err err;
    struct tr_buf buf = { 0 };
    assert_int_equal(tr_uri_decode_segment(TR_SLICE_LIT("a+b%20%2F%c3%A9"), &buf, &err), TR_OK);
    assert_string_equal(tr_buf_cstr(&buf), "a+b /\xc3\xa9");
    tr_buf_clear(&buf);
    assert_int_equal(tr_uri_decode_query(TR_SLICE_LIT("a+b%2B"), &buf, &err), TR_OK);
    assert_string_equal(tr_buf_cstr(&buf), "a b+");
    tr_buf_fini(&buf);
}

static void a_malformed_escape_is_an_error_with_gos_text(void **state)
{
    (void)state;
    struct tr_err err;
    struct tr_buf buf = { 0 };
    assert_int_equal(tr_uri_decode_segment(TR_SLICE_LIT("ab%zzcd"), &buf, &err), TR_INVALID);
    assert_string_equal(err.msg, "invalid URL escape \"%zz\"");
    assert_int_equal(tr_uri_decode_segment(TR_SLICE_LIT("ab%4"), &buf, &err), TR_INVALID);
    assert_string_equal(err.msg, "invalid URL escape \"%4\"");
    assert_int_equal(tr_uri_decode_query(TR_SLICE_LIT("%"), &buf, &err), TR_INVALID);
    assert_string_equal(err.msg, "invalid URL escape \"%\"");
    assert_int_equal(buf.len, 0);
    tr_buf_fini(&buf);
}

static void encoding_is_undone_by_decoding(void **state)
{
    (void)state;
    struct tr_err err;
    struct tr_buf text = { 0 };
    struct tr_buf all = { 0 };
    struct tr_buf again = { 0 };
    for (unsigned c = 0; c < 256; c++) {
        tr_buf_add_char(&all, (char)(unsigned char)c);
    }
    tr_uri_add_segment(&text, tr_buf_slice(&all));
    assert_int_equal(tr_slice_find(tr_buf_slice(&text), '/'), text.len);
    assert_int_equal(tr_uri_decode_segment(tr_buf_slice(&text), &again, &err), TR_OK);
    assert_true(tr_slice_eq(tr_buf_slice(&again), tr_buf_slice(&all)));
    tr_buf_clear(&text);
    tr_buf_clear(&again);
    tr_uri_add_query(&text, tr_buf_slice(&all));
    assert_int_equal(tr_slice_find(tr_buf_slice(&text), '&'), text.len);
    assert_int_equal(tr_uri_decode_query(tr_buf_slice(&text), &again, &err), TR_OK);
    assert_true(tr_slice_eq(tr_buf_slice(&again), tr_buf_slice(&all)));
    tr_buf_clear(&text);
    tr_uri_add_query(&text, TR_SLICE_LIT("a b&c=d~"));
    assert_string_equal(tr_buf_cstr(&text), "a+b%26c%3Dd~");
    tr_buf_fini(&text);
    tr_buf_fini(&all);
    tr_buf_fini(&again);
}

static void pairs_come_in_order_without_empty_ones(void **state)
{
    (void)state;
    struct tr_slice rest = TR_SLICE_LIT("&a=1&&b&c=&d=x=y&");
    static const char *const expected[][2] = {
        { "a", "1" }, { "b", "" }, { "c", "" }, { "d", "x=y" }
    };
    struct tr_slice key;
    struct tr_slice value;
    for (size_t i = 0; i < TR_ARRAY_LEN(expected); i++) {
        assert_true(tr_uri_next_pair(&rest, &key, &value));
        assert_true(tr_slice_eq_str(key, expected[i][0]));
        assert_true(tr_slice_eq_str(value, expected[i][1]));
    }
    assert_false(tr_uri_next_pair(&rest, &key, &value));
}

static void a_query_is_searched_by_decoded_keys(void **state)
{
    (void)state;
    struct tr_buf buf = { 0 };
    const struct tr_slice query =
        TR_SLICE_LIT("%zz=0&metadata.a%62=x%20y&metadata.ab=second&bad=%q");
    assert_true(tr_uri_query_get(query, TR_SLICE_LIT("metadata.ab"), &buf));
    assert_string_equal(tr_buf_cstr(&buf), "x y");
    assert_false(tr_uri_query_get(query, TR_SLICE_LIT("none"), &buf));
    assert_false(tr_uri_query_get(query, TR_SLICE_LIT("bad"), &buf));
    tr_buf_fini(&buf);
}

static void assert_cleans_to(const char *path, const char *want)
{
    struct tr_buf out = { 0 };
    tr_uri_clean_path(tr_slice_str(path), &out);
    assert_string_equal(tr_buf_cstr(&out), want);
    tr_buf_fini(&out);
}

static void cleaning_resolves_dots_and_repeated_slashes(void **state)
{
    assert_cleans_to("/", "/");
    assert_cleans_to("", "/");
    assert_cleans_to("//v1.0///actors/a/", "/v1.0/actors/a");
    assert_cleans_to("/a/./b/../c", "/a/c");
    assert_cleans_to("a/..", "/");
    assert_cleans_to("/...", "/...");
    assert_cleans_to("/../../a", "/a");
    assert_cleans_to("/a/%2e%2e/b%2F", "/a/%2e%2e/b%2F");
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(segments_keep_the_plus_and_queries_read_it_as_a_blank),
        cmocka_unit_test(a_malformed_escape_is_an_error_with_gos_text),
        cmocka_unit_test(encoding_is_undone_by_decoding),
        cmocka_unit_test(cleaning_resolves_dots_and_repeated_slashes),
        cmocka_unit_test(pairs_come_in_order_without_empty_ones),
        cmocka_unit_test(a_query_is_searched_by_decoded_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
