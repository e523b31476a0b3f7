#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "runtime/base/buf.h"

static void all_zero_is_empty_and_usable(void **state)
{
    (void)state;
    struct tr_buf buf = { 0 };
    tr_buf_add(&buf, tr_slice(NULL, 0));
    assert_int_equal(buf.len, 0);
    assert_string_equal(tr_buf_cstr(&buf), "");
    tr_buf_fini(&buf);
    tr_buf_fini(&buf);
}

static void appending_keeps_everything_across_growth(void **state)
{
    (void)state;
    struct tr_buf buf = { 0 };
    for (int i = 0; i < 1000; i++) {
        tr_buf_addf(&buf, "%03d", i);
        tr_buf_add_char(&buf, ' ');
    }
    assert_int_equal(buf.len, 4000);
    assert_memory_equal(buf.ptr + 3996, "999 ", 4);
    tr_buf_fini(&buf);
}

static void formatted_text_longer_than_the_room_is_whole(void **state)
{
    (void)state;
    struct tr_buf buf = { 0 };
    char text[300];
    memset(text, 'x', sizeof(text));
    tr_buf_addf(&buf, "%.*s", (int)sizeof(text), text);
    assert_int_equal(buf.len, sizeof(text));
    assert_memory_equal(buf.ptr, text, sizeof(text));
    tr_buf_fini(&buf);
}

static void formatted_text_that_fills_the_room_exactly_is_whole(void **state)
{
    (void)state;
    struct tr_buf buf = { 0 };
    tr_buf_reserve(&buf, 64);
    memset(buf.ptr, 'x', 60);
    buf.len = 60;
    tr_buf_addf(&buf, "%s", "1234");
    assert_int_equal(buf.len, 64);
    assert_memory_equal(buf.ptr + 60, "1234", 4);
    tr_buf_fini(&buf);
}

static void numbers_are_written_in_decimal_digits(void **state)
{
    (void)state;
    struct tr_buf buf = { 0 };
    tr_buf_add_u64(&buf, 0);
    tr_buf_add_char(&buf, ' ');
    tr_buf_add_u64(&buf, 1234567890);
    tr_buf_add_char(&buf, ' ');
    tr_buf_add_u64(&buf, UINT64_MAX);
    assert_string_equal(tr_buf_cstr(&buf), "0 1234567890 18446744073709551615");
    tr_buf_fini(&buf);
}

static void set_replaces_and_clear_keeps_the_memory(void **state)
{
    (void)state;
    struct tr_buf buf = { 0 };
    tr_buf_add_str(&buf, "one");
    tr_buf_set(&buf, TR_SLICE_LIT("two2"));
    assert_true(tr_slice_eq_str(tr_buf_slice(&buf), "two2"));
    const char *memory = buf.ptr;
    tr_buf_clear(&buf);
    assert_int_equal(buf.len, 0);
    assert_ptr_equal(buf.ptr, memory);
    tr_buf_fini(&buf);
}

static void dropping_moves_the_rest_to_the_front(void **state)
{
    (void)state;
    struct tr_buf buf = { 0 };
    tr_buf_add_str(&buf, "abcdef");
    tr_buf_drop(&buf, 4);
    assert_true(tr_slice_eq_str(tr_buf_slice(&buf), "ef"));
    tr_buf_drop(&buf, 2);
    assert_int_equal(buf.len, 0);
    tr_buf_fini(&buf);
}

static void moving_leaves_the_source_empty(void **state)
{
    (void)state;
    struct tr_buf from = { 0 };
    struct tr_buf to = { 0 };
    tr_buf_add_str(&from, "new");
    tr_buf_add_str(&to, "old");
    tr_buf_move(&to, &from);
    assert_true(tr_slice_eq_str(tr_buf_slice(&to), "new"));
    assert_null(from.ptr);
    assert_int_equal(from.len, 0);
    tr_buf_fini(&to);
}

static void a_copied_slice_ends_with_nul(void **state)
{
    (void)state;
    char *text = tr_xstrdup(tr_slice("abcdef", 3));
    assert_string_equal(text, "abc");
    free(text);
    text = tr_xstrdup(tr_slice(NULL, 0));
    assert_string_equal(text, "");
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_zero_is_empty_and_usable),
        cmocka_unit_test(appending_keeps_everything_across_growth),
        cmocka_unit_test(formatted_text_longer_than_the_room_is_whole),
        cmocka_unit_test(formatted_text_that_fills_the_room_exactly_is_whole),
        cmocka_unit_test(numbers_are_written_in_decimal_digits),
        cmocka_unit_test(set_replaces_and_clear_keeps_the_memory),
        cmocka_unit_test(dropping_moves_the_rest_to_the_front),
        cmocka_unit_test(moving_leaves_the_source_empty),
        cmocka_unit_test(a_copied_slice_ends_with_nul),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
