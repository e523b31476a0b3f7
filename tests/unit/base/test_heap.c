#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "runtime/base/assert.h"
#include "runtime/base/heap.h"
#include "runtime/base/rng.h"

static void an_empty_heap_has_no_least(void **state)
{
    (void)state;
    struct tr_heap heap = { 0 };
    struct tr_heap_node node = { 0 };
    assert_null(tr_heap_min(&heap));
    tr_heap_remove(&heap, &node);
    assert_false(tr_heap_linked(&node));
    tr_heap_fini(&heap);
}

static void equal_keys_leave_in_the_order_they_came(void **state)
{
    (void)state;
    struct tr_heap heap = { 0 };
    struct tr_heap_node nodes[50] = { 0 };
    for (size_t i = 0; i < TR_ARRAY_LEN(nodes); i++) {
        tr_heap_push(&heap, &nodes[i], 5);
    }
    for (size_t i = 0; i < TR_ARRAY_LEN(nodes); i++) {
        assert_ptr_equal(tr_heap_min(&heap), &nodes[i]);
        tr_heap_remove(&heap, &nodes[i]);
    }
    tr_heap_fini(&heap);
}

#define NODES 300

static uint64_t least_linked(const struct tr_heap_node *nodes)
{
    uint64_t least = UINT64_MAX;
    for (size_t i = 0; i < NODES; i++) {
        if (tr_heap_linked(&nodes[i]) && nodes[i].key < least) {
            least = nodes[i].key;
        }
    }
    return least;
}

static void the_least_stays_on_top_whatever_is_removed(void **state)
{
    (void)state;
    struct tr_heap heap = { 0 };
    struct tr_heap_node nodes[NODES] = { 0 };
    struct tr_rng rng;
    tr_rng_init_seed(&rng, 11);
    for (int step = 0; step < 5000; step++) {
        struct tr_heap_node *node = &nodes[tr_rng_below(&rng, NODES)];
        if (tr_heap_linked(node)) {
            tr_heap_remove(&heap, node);
        } else {
            tr_heap_push(&heap, node, tr_rng_below(&rng, 1000));
        }
        const struct tr_heap_node *least = tr_heap_min(&heap);
        assert_true(least == NULL || least->key == least_linked(nodes));
    }
    tr_heap_fini(&heap);
    for (size_t i = 0; i < NODES; i++) {
        assert_false(tr_heap_linked(&nodes[i]));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_heap_has_no_least),
        cmocka_unit_test(equal_keys_leave_in_the_order_they_came),
        cmocka_unit_test(the_least_stays_on_top_whatever_is_removed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
