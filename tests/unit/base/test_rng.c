#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "runtime/base/rng.h"

static void one_seed_gives_one_sequence(void **state)
{
    (void)state;
    struct tr_rng a;
    struct tr_rng b;
    struct tr_rng other;
    tr_rng_init_seed(&a, 1);
    tr_rng_init_seed(&b, 1);
    tr_rng_init_seed(&other, 2);
    for (int i = 0; i < 100; i++) {
        const uint64_t value = tr_rng_next(&a);
        assert_int_equal(value, tr_rng_next(&b));
        assert_int_not_equal(value, tr_rng_next(&other));
    }
}

static void the_system_seeds_differ(void **state)
{
    (void)state;
    struct tr_rng a;
    struct tr_rng b;
    tr_rng_init_system(&a);
    tr_rng_init_system(&b);
    assert_int_not_equal(tr_rng_next(&a), tr_rng_next(&b));
}

static void values_stay_in_their_bounds_and_reach_them(void **state)
{
    (void)state;
    struct tr_rng rng;
    tr_rng_init_seed(&rng, 3);
    unsigned seen = 0;
    for (int i = 0; i < 1000; i++) {
        const uint64_t value = tr_rng_between(&rng, 10, 14);
        assert_in_range(value, 10, 14);
        seen |= 1U << (value - 10);
        assert_int_equal(tr_rng_below(&rng, 1), 0);
    }
    assert_int_equal(seen, 0x1F);
    (void)tr_rng_between(&rng, 0, UINT64_MAX);
    assert_int_equal(tr_rng_between(&rng, 5, 5), 5);
}

static void a_uuid_has_version_four_and_its_variant(void **state)
{
    (void)state;
    struct tr_rng rng;
    tr_rng_init_seed(&rng, 4);
    for (int i = 0; i < 100; i++) {
        char text[TR_UUID_LEN + 1];
        tr_rng_uuid(&rng, text);
        assert_int_equal(strlen(text), TR_UUID_LEN);
        assert_int_equal(strspn(text, "0123456789abcdef-"), TR_UUID_LEN);
        assert_true(text[8] == '-' && text[13] == '-' && text[18] == '-' && text[23] == '-');
        assert_int_equal(text[14], '4');
        assert_non_null(strchr("89ab", text[19]));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_seed_gives_one_sequence),
        cmocka_unit_test(the_system_seeds_differ),
        cmocka_unit_test(values_stay_in_their_bounds_and_reach_them),
        cmocka_unit_test(a_uuid_has_version_four_and_its_variant),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
