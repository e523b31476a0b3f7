#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "runtime/base/slice.h"

static void order_is_bytewise_and_shorter_first(void **state)
{
    (void)state;
    assert_true(tr_slice_cmp(TR_SLICE_LIT("a"), TR_SLICE_LIT("b")) < 0);
    assert_true(tr_slice_cmp(TR_SLICE_LIT("a"), TR_SLICE_LIT("ab")) < 0);
    assert_true(tr_slice_cmp(TR_SLICE_LIT("\xff"), TR_SLICE_LIT("a")) > 0);
    assert_int_equal(tr_slice_cmp(tr_slice(NULL, 0), TR_SLICE_LIT("")), 0);
}

static void case_is_ignored_for_ascii_letters_only(void **state)
{
    (void)state;
    assert_true(tr_slice_eq_nocase(TR_SLICE_LIT("Content-Type"), TR_SLICE_LIT("content-TYPE")));
    assert_false(tr_slice_eq_nocase(TR_SLICE_LIT("["), TR_SLICE_LIT("{")));
    assert_false(tr_slice_eq_nocase(TR_SLICE_LIT("a"), TR_SLICE_LIT("ab")));
}

static void prefix_and_suffix_may_be_the_whole_and_no_more(void **state)
{
    (void)state;
    assert_true(tr_slice_starts(TR_SLICE_LIT("abc"), TR_SLICE_LIT("abc")));
    assert_true(tr_slice_ends(TR_SLICE_LIT("abc"), TR_SLICE_LIT("bc")));
    assert_true(tr_slice_ends(tr_slice(NULL, 0), tr_slice(NULL, 0)));
    assert_false(tr_slice_starts(TR_SLICE_LIT("ab"), TR_SLICE_LIT("abc")));
    assert_false(tr_slice_ends(TR_SLICE_LIT("ab"), TR_SLICE_LIT("b ")));
}

static void skipping_beyond_the_end_gives_nothing(void **state)
{
    (void)state;
    assert_int_equal(tr_slice_skip(TR_SLICE_LIT("ab"), 3).len, 0);
    assert_true(tr_slice_eq_str(tr_slice_skip(TR_SLICE_LIT("ab"), 1), "b"));
    assert_int_equal(tr_slice_skip(tr_slice(NULL, 0), 1).len, 0);
}

static void trimming_takes_blanks_and_line_ends_of_both_sides(void **state)
{
    (void)state;
    assert_true(tr_slice_eq_str(tr_slice_trim(TR_SLICE_LIT(" \t a b\r\n")), "a b"));
    assert_int_equal(tr_slice_trim(TR_SLICE_LIT(" \n ")).len, 0);
}

static void finding_nothing_gives_the_length(void **state)
{
    (void)state;
    assert_int_equal(tr_slice_find(TR_SLICE_LIT("a=b=c"), '='), 1);
    assert_int_equal(tr_slice_find(TR_SLICE_LIT("abc"), '='), 3);
    assert_int_equal(tr_slice_find(tr_slice(NULL, 0), '='), 0);
}

static void splitting_gives_empty_parts_too(void **state)
{
    (void)state;
    struct tr_slice rest = TR_SLICE_LIT("a,,b,");
    static const char *const expected[] = { "a", "", "b", "" };
    struct tr_slice part;
    for (size_t i = 0; i < 4; i++) {
        assert_true(tr_slice_split(&rest, ',', &part));
        assert_true(tr_slice_eq_str(part, expected[i]));
    }
    assert_false(tr_slice_split(&rest, ',', &part));

    rest = TR_SLICE_LIT("");
    assert_true(tr_slice_split(&rest, ',', &part));
    assert_int_equal(part.len, 0);
    assert_false(tr_slice_split(&rest, ',', &part));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(order_is_bytewise_and_shorter_first),
        cmocka_unit_test(case_is_ignored_for_ascii_letters_only),
        cmocka_unit_test(prefix_and_suffix_may_be_the_whole_and_no_more),
        cmocka_unit_test(skipping_beyond_the_end_gives_nothing),
        cmocka_unit_test(trimming_takes_blanks_and_line_ends_of_both_sides),
        cmocka_unit_test(finding_nothing_gives_the_length),
        cmocka_unit_test(splitting_gives_empty_parts_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
