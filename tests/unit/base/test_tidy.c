#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <malloc.h>
#include <unistd.h>
#include <cmocka.h>

#include "runtime/base/buf.h"
#include "runtime/base/tidy.h"

#define CHUNKS      100000U
#define CHUNK_BYTES 200U

static size_t resident_bytes(void)
{
    size_t all = 0;
    size_t resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%zu %zu", &all, &resident), 2);
    (void)fclose(file);
    return resident * (size_t)sysconf(_SC_PAGESIZE);
}

static void memory_freed_inside_the_heap_goes_back(void **state)
{
    (void)state;
    if (mallinfo2().arena == 0) {
        skip(); /* a sanitizer's allocator */
    }
    static void *chunks[CHUNKS];
    for (size_t i = 0; i < CHUNKS; i++) {
        chunks[i] = tr_xalloc(CHUNK_BYTES);
        memset(chunks[i], 1, CHUNK_BYTES);
    }
    void *last = tr_xalloc(CHUNK_BYTES); /* so that the rest is not the end of the heap */
    for (size_t i = 0; i < CHUNKS; i++) {
        free(chunks[i]);
    }
    const size_t before = resident_bytes();
    assert_true(tr_tidy_now());
    assert_true(resident_bytes() + CHUNKS * CHUNK_BYTES / 2 < before);
    free(last);
}

static void little_free_memory_is_left_alone(void **state)
{
    (void)state;
    (void)tr_tidy_now();
    if (mallinfo2().fordblks < TR_TIDY_BYTES_MIN) {
        assert_false(tr_tidy_now());
    }
}

static void code_and_constants_are_there_after_they_were_unmapped(void **state)
{
    (void)state;
    static const char text[] = "a constant";
    static char written[] = "a variable";
    written[0] = 'A';
    const size_t before = resident_bytes();
    tr_tidy_code();
    assert_true(resident_bytes() < before);
    assert_string_equal(text, "a constant");
    assert_string_equal(written, "A variable");
}

static void it_stops_before_its_loop_is_freed(void **state)
{
    (void)state;
    struct tr_tidy tidy = { 0 };
    tr_tidy_stop(&tidy);
    struct tr_loop *loop = tr_loop_new();
    tr_tidy_start(&tidy, loop);
    assert_true(tr_timer_is_set(&tidy.timer));
    tr_tidy_stop(&tidy);
    assert_false(tr_timer_is_set(&tidy.timer));
    tr_loop_free(&loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_freed_inside_the_heap_goes_back),
        cmocka_unit_test(little_free_memory_is_left_alone),
        cmocka_unit_test(code_and_constants_are_there_after_they_were_unmapped),
        cmocka_unit_test(it_stops_before_its_loop_is_freed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
