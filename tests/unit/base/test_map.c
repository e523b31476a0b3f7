#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "runtime/base/assert.h"
#include "runtime/base/map.h"
#include "runtime/base/rng.h"

static void an_empty_map_has_nothing(void **state)
{
    (void)state;
    struct tr_map map = { 0 };
    struct tr_map_iter iter = { 0 };
    struct tr_slice key;
    void *value;
    assert_null(tr_map_get(&map, TR_SLICE_LIT("a")));
    assert_null(tr_map_remove(&map, TR_SLICE_LIT("a")));
    assert_false(tr_map_next(&map, &iter, &key, &value));
    tr_map_fini(&map);
}

static void a_second_put_replaces_and_returns_the_first(void **state)
{
    (void)state;
    struct tr_map map = { 0 };
    int one;
    int two;
    assert_null(tr_map_put(&map, TR_SLICE_LIT("a"), &one));
    assert_ptr_equal(tr_map_put(&map, TR_SLICE_LIT("a"), &two), &one);
    assert_int_equal(map.len, 1);
    assert_ptr_equal(tr_map_get(&map, TR_SLICE_LIT("a")), &two);
    tr_map_fini(&map);
}

static void keys_are_copied_and_may_be_empty_or_binary(void **state)
{
    (void)state;
    struct tr_map map = { 0 };
    int value;
    char key[3] = { 'a', 0, 'b' };
    (void)tr_map_put(&map, tr_slice(key, 3), &value);
    (void)tr_map_put(&map, tr_slice(NULL, 0), &value);
    key[0] = 'x';
    assert_ptr_equal(tr_map_get(&map, tr_slice("a\0b", 3)), &value);
    assert_ptr_equal(tr_map_get(&map, TR_SLICE_LIT("")), &value);
    assert_null(tr_map_get(&map, TR_SLICE_LIT("a")));
    tr_map_fini(&map);
}

#define MODEL_KEYS 200

/* Random puts and removals against an array that says what must be there. */
static void it_agrees_with_a_model_over_many_changes(void **state)
{
    (void)state;
    struct tr_map map = { 0 };
    struct tr_rng rng;
    tr_rng_init_seed(&rng, 7);
    int values[MODEL_KEYS];
    bool there[MODEL_KEYS] = { false };
    size_t there_len = 0;
    for (int step = 0; step < 20000; step++) {
        const size_t i = (size_t)tr_rng_below(&rng, MODEL_KEYS);
        char key[16];
        const int len = snprintf(key, sizeof(key), "key-%zu", i);
        const struct tr_slice name = tr_slice(key, (size_t)len);
        if (tr_rng_below(&rng, 2) == 0) {
            assert_ptr_equal(tr_map_put(&map, name, &values[i]), there[i] ? &values[i] : NULL);
            there_len += there[i] ? 0 : 1;
            there[i] = true;
        } else {
            assert_ptr_equal(tr_map_remove(&map, name), there[i] ? &values[i] : NULL);
            there_len -= there[i] ? 1 : 0;
            there[i] = false;
        }
        assert_int_equal(map.len, there_len);
        assert_ptr_equal(tr_map_get(&map, name), there[i] ? &values[i] : NULL);
    }
    assert_true(map.cap <= 1024);
    tr_map_fini(&map);
}

static void a_walk_visits_each_once_and_may_remove_the_current(void **state)
{
    (void)state;
    struct tr_map map = { 0 };
    int visits[100] = { 0 };
    for (size_t i = 0; i < TR_ARRAY_LEN(visits); i++) {
        char key[16];
        (void)snprintf(key, sizeof(key), "%zu", i);
        (void)tr_map_put(&map, tr_slice_str(key), &visits[i]);
    }
    struct tr_map_iter iter = { 0 };
    struct tr_slice key;
    void *value;
    while (tr_map_next(&map, &iter, &key, &value)) {
        (*(int *)value)++;
        char copy[16];
        memcpy(copy, key.ptr, key.len);
        assert_ptr_equal(tr_map_remove(&map, tr_slice(copy, key.len)), value);
    }
    for (size_t i = 0; i < TR_ARRAY_LEN(visits); i++) {
        assert_int_equal(visits[i], 1);
    }
    assert_int_equal(map.len, 0);
    tr_map_fini(&map);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_map_has_nothing),
        cmocka_unit_test(a_second_put_replaces_and_returns_the_first),
        cmocka_unit_test(keys_are_copied_and_may_be_empty_or_binary),
        cmocka_unit_test(it_agrees_with_a_model_over_many_changes),
        cmocka_unit_test(a_walk_visits_each_once_and_may_remove_the_current),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
