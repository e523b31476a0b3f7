/* Paths of the public API: matching, rules. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "runtime/api/path.h"

static void a_pattern_matches_whole_segments_only(void **state)
{
    struct tr_slice params[TR_PATH_PARAMS_MAX];
    assert_true(tr_path_match(tr_slice_str("/v1.0/state/s/k%2F1"), "/v1.0/state/{store}/{key}", params));
    assert_true(tr_slice_eq_str(params[0], "s"));
    assert_true(tr_slice_eq_str(params[1], "k%2F1"));
    assert_false(tr_path_match(tr_slice_str("/v1.0/state/s"), "/v1.0/state/{store}/{key}", params));
    assert_false(tr_path_match(tr_slice_str("/v1.0/state/s/k/x"), "/v1.0/state/{store}/{key}", params));
    assert_false(tr_path_match(tr_slice_str("/v1.0/state/s/"), "/v1.0/state/{store}/{key}", params));
    assert_false(tr_path_match(tr_slice_str("/v1.0/states/s/k"), "/v1.0/state/{store}/{key}", params));
    (void)state;
}

static void names_with_forbidden_characters_are_refused_with_their_rule(void **state)
{
    struct tr_err err;
    assert_int_equal(tr_path_check_name(tr_slice_str("a|@% \xc3\xa9"), &err), TR_OK);
    assert_int_equal(tr_path_check_name(tr_slice_str(""), &err), TR_OK);
    assert_int_equal(tr_path_check_name(tr_slice_str("a/b"), &err), TR_BAD_REQUEST);
    assert_string_equal(err.msg, "name contains forbidden character: \"a/b\"");
    assert_int_equal(tr_path_check_name(tr_slice("a\0b", 3), &err), TR_BAD_REQUEST);
    assert_string_equal(err.msg, "name contains forbidden character: \"a\\x00b\"");
    assert_int_equal(tr_path_check_name(tr_slice_str("ab\n"), &err), TR_BAD_REQUEST);
    assert_string_equal(err.msg, "name contains control character at position 2: \"ab\\n\"");
    assert_int_equal(tr_path_check_name(tr_slice_str(".."), &err), TR_BAD_REQUEST);
    assert_string_equal(err.msg, "name is a path traversal sequence: \"..\"");
    (void)state;
}

static void assert_method_is(const char *method, const char *want)
{
    struct tr_buf out = { 0 };
    struct tr_err err;
    assert_int_equal(tr_path_clean_method(tr_slice_str(method), &out, &err), TR_OK);
    assert_string_equal(tr_buf_cstr(&out), want);
    tr_buf_fini(&out);
}

static void methods_are_cleaned_lexically(void **state)
{
    assert_method_is("a/../b", "b");
    assert_method_is("./a", "a");
    assert_method_is("../../a//b/", "a/b");
    assert_method_is("..", "");
    assert_method_is(".", "");
    assert_method_is("a\\b\"*", "a\\b\"*");
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pattern_matches_whole_segments_only),
        cmocka_unit_test(names_with_forbidden_characters_are_refused_with_their_rule),
        cmocka_unit_test(methods_are_cleaned_lexically),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
