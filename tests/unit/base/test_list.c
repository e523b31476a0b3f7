#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "runtime/base/list.h"

struct element {
    int value;
    struct tr_link link;
};

static void init(struct tr_link *head, struct element *elements, int len)
{
    tr_link_init(head);
    for (int i = 0; i < len; i++) {
        elements[i].value = i;
        tr_link_init(&elements[i].link);
        tr_list_add_tail(head, &elements[i].link);
    }
}

static int pop_value(struct tr_link *head)
{
    struct tr_link *link = tr_list_pop(head);
    return link == NULL ? -1 : TR_CONTAINER_OF(link, struct element, link)->value;
}

static void elements_leave_in_order_and_then_none(void **state)
{
    (void)state;
    struct tr_link head;
    struct element elements[3];
    init(&head, elements, 3);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(pop_value(&head), i);
    }
    assert_int_equal(pop_value(&head), -1);
    assert_null(tr_list_first(&head));
    assert_true(tr_list_empty(&head));
}

static void the_head_end_can_be_fed_too(void **state)
{
    (void)state;
    struct tr_link head;
    struct element elements[2];
    init(&head, elements, 2);
    tr_link_remove(&elements[1].link);
    tr_list_add_head(&head, &elements[1].link);
    assert_int_equal(pop_value(&head), 1);
    assert_int_equal(pop_value(&head), 0);
}

static void removing_twice_is_harmless(void **state)
{
    (void)state;
    struct tr_link head;
    struct element elements[3];
    init(&head, elements, 3);
    tr_link_remove(&elements[1].link);
    tr_link_remove(&elements[1].link);
    assert_false(tr_link_linked(&elements[1].link));
    assert_int_equal(pop_value(&head), 0);
    assert_int_equal(pop_value(&head), 2);
}

static void a_walk_may_remove_the_current_element(void **state)
{
    (void)state;
    struct tr_link head;
    struct element elements[4];
    init(&head, elements, 4);
    struct tr_link *it;
    struct tr_link *tmp;
    int visits = 0;
    TR_LIST_FOR_EACH (it, tmp, &head) {
        assert_int_equal(TR_CONTAINER_OF(it, struct element, link)->value, visits);
        tr_link_remove(it);
        visits++;
    }
    assert_int_equal(visits, 4);
    assert_true(tr_list_empty(&head));
}

static void splicing_appends_and_empties_the_source(void **state)
{
    (void)state;
    struct tr_link to;
    struct tr_link from;
    struct element first[2];
    struct element second[2];
    init(&to, first, 2);
    init(&from, second, 2);
    tr_list_splice(&to, &from);
    assert_true(tr_list_empty(&from));
    assert_int_equal(pop_value(&to), 0);
    assert_int_equal(pop_value(&to), 1);
    assert_int_equal(pop_value(&to), 0);
    assert_int_equal(pop_value(&to), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(elements_leave_in_order_and_then_none),
        cmocka_unit_test(the_head_end_can_be_fed_too),
        cmocka_unit_test(removing_twice_is_harmless),
        cmocka_unit_test(a_walk_may_remove_the_current_element),
        cmocka_unit_test(splicing_appends_and_empties_the_source),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
