/* Keys as the reference writes them. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "state/key.h"

static void the_prefix_follows_the_strategy(void **state)
{
    (void)state;
    static const struct {
        const char *strategy, *app_id, *name_space, *stored;
    } cases[] = {
        { "", "app", "ns", "app||k" },
        { "appid", "app", "ns", "app||k" },
        { "AppID", "app", "", "app||k" },
        { "appid", "", "ns", "k" },
        { "namespace", "app", "ns", "ns.app||k" },
        { "namespace", "app", "", "app||k" },
        { "namespace", "", "ns", "k" },
        { "name", "app", "ns", "store||k" },
        { "none", "app", "ns", "k" },
        { "MyPrefix", "app", "ns", "myprefix||k" },
    };
    for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++) {
        struct tr_key_prefix prefix;
        struct tr_err err;
        assert_int_equal(tr_key_prefix_init(&prefix, tr_slice_str(cases[i].strategy),
                                            tr_slice_str(cases[i].app_id),
                                            tr_slice_str(cases[i].name_space),
                                            TR_SLICE_LIT("store"), &err),
                         TR_OK);
        struct tr_buf out = { 0 };
        assert_int_equal(tr_key_plain(&out, &prefix, TR_SLICE_LIT("k"), &err), TR_OK);
        assert_string_equal(tr_buf_cstr(&out), cases[i].stored);
        assert_true(tr_slice_eq_str(tr_key_original(tr_buf_slice(&out)), "k"));
        tr_buf_fini(&out);
        tr_key_prefix_fini(&prefix);
    }
}

static void the_separator_is_refused_in_keys_and_prefixes(void **state)
{
    (void)state;
    struct tr_key_prefix prefix;
    struct tr_err err;
    assert_int_equal(tr_key_prefix_init(&prefix, TR_SLICE_LIT("a||b"), TR_SLICE_LIT("app"),
                                        TR_SLICE_LIT(""), TR_SLICE_LIT("store"), &err),
                     TR_MALFORMED);
    assert_string_equal(err.msg, "input key/keyPrefix 'a||b' can't contain '||'");
    assert_int_equal(tr_key_prefix_init(&prefix, TR_SLICE_LIT(""), TR_SLICE_LIT("app"),
                                        TR_SLICE_LIT(""), TR_SLICE_LIT("store"), &err),
                     TR_OK);
    struct tr_buf out = { 0 };
    assert_int_equal(tr_key_plain(&out, &prefix, TR_SLICE_LIT("k||"), &err), TR_MALFORMED);
    assert_string_equal(err.msg, "input key/keyPrefix 'k||' can't contain '||'");
    assert_int_equal(out.len, 0);
    assert_int_equal(tr_key_plain(&out, &prefix, TR_SLICE_LIT("k|"), &err), TR_OK);
    assert_string_equal(tr_buf_cstr(&out), "app||k|");
    tr_buf_fini(&out);
    tr_key_prefix_fini(&prefix);
}

static void the_original_key_ends_at_the_next_separator(void **state)
{
    (void)state;
    assert_true(tr_slice_eq_str(tr_key_original(TR_SLICE_LIT("a||b||c")), "b"));
    assert_true(tr_slice_eq_str(tr_key_original(TR_SLICE_LIT("a||")), ""));
    assert_true(tr_slice_eq_str(tr_key_original(TR_SLICE_LIT("a|b")), "a|b"));
    assert_true(tr_slice_eq_str(tr_key_original(TR_SLICE_LIT("")), ""));
}

static void an_actors_key_names_app_type_and_id(void **state)
{
    (void)state;
    struct tr_buf out = { 0 };
    tr_key_actor(&out, TR_SLICE_LIT("app"), TR_SLICE_LIT("cat"), TR_SLICE_LIT("7"),
                 TR_SLICE_LIT("mood"));
    assert_string_equal(tr_buf_cstr(&out), "app||cat||7||mood");
    tr_buf_clear(&out);
    tr_key_actor_partition(&out, TR_SLICE_LIT("app"), TR_SLICE_LIT("cat"), TR_SLICE_LIT("7"));
    assert_string_equal(tr_buf_cstr(&out), "app||cat||7");
    tr_buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_prefix_follows_the_strategy),
        cmocka_unit_test(the_separator_is_refused_in_keys_and_prefixes),
        cmocka_unit_test(the_original_key_ends_at_the_next_separator),
        cmocka_unit_test(an_actors_key_names_app_type_and_id),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
