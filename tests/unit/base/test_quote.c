#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "runtime/base/quote.h"

static void assert_quoted(struct tr_slice text, const char *expected)
{
    struct tr_buf buf = { 0 };
    tr_buf_add_quoted(&buf, text);
    assert_string_equal(tr_buf_cstr(&buf), expected);
    tr_buf_fini(&buf);
}

/* Expected texts are those that strconv.Quote of Go 1.22 gives. */
static void escapes_are_those_of_go(void **state)
{
    (void)state;
    assert_quoted(TR_SLICE_LIT(""), "\"\"");
    assert_quoted(TR_SLICE_LIT("a \"b\" \\ c"), "\"a \\\"b\\\" \\\\ c\"");
    assert_quoted(TR_SLICE_LIT("\a\b\f\n\r\t\v"), "\"\\a\\b\\f\\n\\r\\t\\v\"");
    assert_quoted(tr_slice("\0\x1b\x7f", 3), "\"\\x00\\x1b\\x7f\"");
    assert_quoted(TR_SLICE_LIT("caf\xc3\xa9 \xe2\x82\xac"), "\"caf\xc3\xa9 \xe2\x82\xac\"");
    assert_quoted(TR_SLICE_LIT("\xc2\xa0\xe2\x80\xa8"), "\"\\u00a0\\u2028\"");
    assert_quoted(TR_SLICE_LIT("\xff"
                               "a\xe2\x82"),
                  "\"\\xffa\\xe2\\x82\"");
    assert_quoted(TR_SLICE_LIT("\xf3\xa0\x80\x81"), "\"\\U000e0001\"");
}

static void only_shortest_forms_of_characters_decode(void **state)
{
    (void)state;
    unsigned rune = 0;
    assert_int_equal(tr_utf8_decode(TR_SLICE_LIT("\xf0\x9f\x98\x80"), &rune), 4);
    assert_int_equal(rune, 0x1F600);
    assert_int_equal(tr_utf8_decode(TR_SLICE_LIT("\xc0\x80"), &rune), 0);
    assert_int_equal(tr_utf8_decode(TR_SLICE_LIT("\xe0\x80\x80"), &rune), 0);
    assert_int_equal(tr_utf8_decode(TR_SLICE_LIT("\xed\xa0\x80"), &rune), 0);
    assert_int_equal(tr_utf8_decode(TR_SLICE_LIT("\xf4\x90\x80\x80"), &rune), 0);
    assert_int_equal(tr_utf8_decode(TR_SLICE_LIT("\x80"), &rune), 0);
    assert_int_equal(tr_utf8_decode(TR_SLICE_LIT("\xe2\x82"), &rune), 0);
}

static void text_is_valid_only_as_a_whole(void **state)
{
    (void)state;
    assert_true(tr_utf8_is_valid(TR_SLICE_LIT("")));
    assert_true(tr_utf8_is_valid(TR_SLICE_LIT("a\0 caf\xc3\xa9 \xf0\x9f\x98\x80")));
    assert_false(tr_utf8_is_valid(TR_SLICE_LIT("caf\xe9")));
    assert_false(tr_utf8_is_valid(TR_SLICE_LIT("a\xe2\x82")));
}

static void what_does_not_print_begins_and_ends_where_go_says(void **state)
{
    (void)state;
    assert_quoted(TR_SLICE_LIT("~\xc2\x80\xc2\xa0\xc2\xa1"), "\"~\\u0080\\u00a0\xc2\xa1\"");
    assert_quoted(TR_SLICE_LIT("\xe2\x80\x8f\xe2\x80\x90"), "\"\\u200f\xe2\x80\x90\"");
    assert_quoted(TR_SLICE_LIT("\xef\xbf\xbd\xef\xbb\xbf"), "\"\xef\xbf\xbd\\ufeff\"");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(escapes_are_those_of_go),
        cmocka_unit_test(only_shortest_forms_of_characters_decode),
        cmocka_unit_test(text_is_valid_only_as_a_whole),
        cmocka_unit_test(what_does_not_print_begins_and_ends_where_go_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
