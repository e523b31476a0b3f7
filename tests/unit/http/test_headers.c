/* Header lists, and the small grammars. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "runtime/http/http.h"
#include "runtime/http/http_int.h"

static void entries_are_found_without_regard_to_case(void **state)
{
    struct tr_http_headers h = { 0 };
    tr_http_headers_add_str(&h, "X-One", "1");
    tr_http_headers_add_str(&h, "x-two", "");
    tr_http_headers_add_str(&h, "x-ONE", "2");
    assert_true(tr_slice_eq_str(tr_http_headers_value(&h, "x-one"), "1"));
    assert_true(tr_http_headers_has(&h, "X-TWO"));
    assert_false(tr_http_headers_has(&h, "X-Three"));
    assert_int_equal(tr_http_headers_count(&h, "X-One"), 2);
    tr_http_headers_fini(&h);
    (void)state;
}

static void entries_are_set_and_removed(void **state)
{
    struct tr_http_headers h = { 0 };
    tr_http_headers_add_str(&h, "A", "1");
    tr_http_headers_add_str(&h, "B", "2");
    tr_http_headers_add_str(&h, "a", "3");
    tr_http_headers_set(&h, TR_SLICE_LIT("A"), TR_SLICE_LIT("4"));
    assert_int_equal(tr_http_headers_len(&h), 2);
    assert_true(tr_slice_eq_str(tr_http_headers_value(&h, "a"), "4"));
    assert_int_equal(tr_http_headers_remove(&h, TR_SLICE_LIT("b")), 1);
    assert_int_equal(tr_http_headers_remove(&h, TR_SLICE_LIT("b")), 0);
    tr_http_headers_clear(&h);
    assert_int_equal(tr_http_headers_len(&h), 0);
    tr_http_headers_fini(&h);
    (void)state;
}

static void values_come_in_pieces_and_names_may_be_empty(void **state)
{
    struct tr_http_headers h = { 0 };
    (void)http_headers_open(&h);
    http_headers_more_value(&h, TR_SLICE_LIT("ab"));
    http_headers_more_value(&h, TR_SLICE_LIT("cd \t"));
    http_headers_trim_value(&h);
    assert_true(tr_slice_eq_str(tr_http_headers_at(&h, 0).value, "abcd"));
    tr_http_headers_fini(&h);
    (void)state;
}

static void comma_lists_are_walked(void **state)
{
    struct tr_http_headers h = { 0 };
    tr_http_headers_add_str(&h, "Connection", " a ,, b");
    tr_http_headers_add_str(&h, "Other", "x");
    tr_http_headers_add_str(&h, "connection", "");
    tr_http_headers_add_str(&h, "CONNECTION", "c,");
    struct tr_buf all = { 0 };
    uint64_t position = 0;
    struct tr_slice element;
    while (tr_http_headers_next_element(&h, "Connection", &position, &element)) {
        tr_buf_addf(&all, "<%.*s>", TR_SLICE_ARG(element));
    }
    assert_string_equal(tr_buf_cstr(&all), "<a><b><c>");
    assert_true(tr_http_headers_has_element(&h, "Connection", "B"));
    assert_false(tr_http_headers_has_element(&h, "Connection", "x"));
    tr_buf_fini(&all);
    tr_http_headers_fini(&h);
    (void)state;
}

static void written_lists_cannot_carry_other_lines(void **state)
{
    struct tr_http_headers h = { 0 };
    tr_http_headers_add_str(&h, "A", "1\r\nB: 2\n");
    tr_http_headers_add_str(&h, "Not a token", "x");
    tr_http_headers_add_str(&h, "", "x");
    tr_http_headers_add(&h, TR_SLICE_LIT("Z"), tr_slice("a\0b", 3));
    struct tr_buf out = { 0 };
    tr_http_headers_write(&h, &out);
    assert_string_equal(tr_buf_cstr(&out), "A: 1  B: 2 \r\nZ: a b\r\n");
    tr_buf_fini(&out);
    tr_http_headers_fini(&h);
    (void)state;
}

static void names_become_canonical(void **state)
{
    static const char *const names[][2] = {
        { "dapr-foo", "Dapr-Foo" }, { "x-request-ID", "X-Request-Id" }, { "HTTP2-Settings", "Http2-Settings" },
        { "a b", "a b" },           { "", "" },                         { "-a--b", "-A--B" },
    };
    struct tr_buf out = { 0 };
    for (size_t i = 0; i < TR_ARRAY_LEN(names); i++) {
        tr_http_header_canonical(tr_slice_str(names[i][0]), &out);
        assert_string_equal(tr_buf_cstr(&out), names[i][1]);
    }
    tr_buf_fini(&out);
    (void)state;
}

static void lengths_are_digits_within_bounds(void **state)
{
    uint64_t length = 0;
    assert_true(tr_http_length_parse(TR_SLICE_LIT("9223372036854775807"), &length));
    assert_true(length == INT64_MAX);
    assert_false(tr_http_length_parse(TR_SLICE_LIT("9223372036854775808"), &length));
    assert_false(tr_http_length_parse(TR_SLICE_LIT("18446744073709551617"), &length));
    assert_false(tr_http_length_parse(TR_SLICE_LIT(""), &length));
    assert_false(tr_http_length_parse(TR_SLICE_LIT("+1"), &length));
    assert_false(tr_http_length_parse(TR_SLICE_LIT(" 1"), &length));
    assert_true(tr_http_length_parse(TR_SLICE_LIT("007"), &length));
    assert_int_equal(length, 7);
    (void)state;
}

static void methods_and_statuses_have_their_text(void **state)
{
    assert_int_equal(tr_http_method_parse(TR_SLICE_LIT("PATCH")), TR_HTTP_PATCH);
    assert_int_equal(tr_http_method_parse(TR_SLICE_LIT("patch")), TR_HTTP_OTHER);
    assert_int_equal(tr_http_method_parse(TR_SLICE_LIT("")), TR_HTTP_OTHER);
    assert_string_equal(tr_http_method_text(TR_HTTP_DELETE), "DELETE");
    assert_string_equal(tr_http_status_text(204), "No Content");
    assert_string_equal(tr_http_status_text(299), "");
    assert_true(tr_http_status_bodiless(304));
    assert_false(tr_http_status_bodiless(200));
    assert_true(tr_http_header_is_hop(TR_SLICE_LIT("Keep-Alive")));
    assert_false(tr_http_header_is_hop(TR_SLICE_LIT("Content-Length")));
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(entries_are_found_without_regard_to_case),
        cmocka_unit_test(entries_are_set_and_removed),
        cmocka_unit_test(values_come_in_pieces_and_names_may_be_empty),
        cmocka_unit_test(comma_lists_are_walked),
        cmocka_unit_test(written_lists_cannot_carry_other_lines),
        cmocka_unit_test(names_become_canonical),
        cmocka_unit_test(lengths_are_digits_within_bounds),
        cmocka_unit_test(methods_and_statuses_have_their_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
