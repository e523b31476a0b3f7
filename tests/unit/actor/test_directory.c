/* The table of instances: it finds what was added, while it grows and shrinks, and a walk sees everything once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "runtime/actor/directory.h"
#include "runtime/base/assert.h"

#define ITEMS 5000

struct item {
    struct tr_directory_node node;
    unsigned seen;
    char id[16];
};

static struct item *items_new(void)
{
    struct item *items = calloc(ITEMS, sizeof(*items));
    for (size_t i = 0; i < ITEMS; i++) {
        const int len = snprintf(items[i].id, sizeof(items[i].id), "id-%zu", i);
        items[i].node.id = items[i].id;
        items[i].node.id_len = (uint32_t)len;
    }
    return items;
}

static void what_was_added_is_found_while_the_table_grows(void **state)
{
    struct tr_directory dir;
    struct item *items = items_new();
    tr_directory_init(&dir, 7);
    assert_null(tr_directory_find(&dir, tr_slice_str("id-0")));
    for (size_t i = 0; i < ITEMS; i++) {
        tr_directory_add(&dir, &items[i].node);
        for (size_t j = i < 40 ? 0 : i - 40; j <= i; j++) {
            assert_ptr_equal(tr_directory_find(&dir, tr_slice_str(items[j].id)), &items[j].node);
        }
    }
    assert_int_equal(dir.len, ITEMS);
    for (size_t i = 0; i < ITEMS; i++) {
        assert_ptr_equal(tr_directory_find(&dir, tr_slice_str(items[i].id)), &items[i].node);
        tr_directory_remove(&dir, &items[i].node);
        assert_null(tr_directory_find(&dir, tr_slice_str(items[i].id)));
    }
    tr_directory_fini(&dir);
    free(items);
    (void)state;
}

static void a_walk_sees_each_node_once_and_may_remove_it(void **state)
{
    struct tr_directory dir;
    struct item *items = items_new();
    tr_directory_init(&dir, 7);
    for (size_t count = 1; count < ITEMS; count += 517) { /* many stages of growth */
        for (size_t i = 0; i < count; i++) {
            items[i].seen = 0;
            tr_directory_add(&dir, &items[i].node);
        }
        struct tr_directory_walk walk = { 0 };
        struct tr_directory_node *node;
        while ((node = tr_directory_next(&dir, &walk)) != NULL) {
            TR_CONTAINER_OF(node, struct item, node)->seen++;
            tr_directory_remove(&dir, node);
        }
        for (size_t i = 0; i < count; i++) {
            assert_int_equal(items[i].seen, 1);
        }
        assert_int_equal(dir.len, 0);
    }
    tr_directory_fini(&dir);
    free(items);
    (void)state;
}

static void an_empty_id_is_an_id(void **state)
{
    struct tr_directory dir;
    struct tr_directory_node node = { .id = "", .id_len = 0 };
    tr_directory_init(&dir, 1);
    tr_directory_add(&dir, &node);
    assert_ptr_equal(tr_directory_find(&dir, tr_slice(NULL, 0)), &node);
    tr_directory_remove(&dir, &node);
    tr_directory_fini(&dir);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_added_is_found_while_the_table_grows),
        cmocka_unit_test(a_walk_sees_each_node_once_and_may_remove_it),
        cmocka_unit_test(an_empty_id_is_an_id),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
