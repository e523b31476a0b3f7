/* Header lists between sidecars. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "invoke/headers.h"
#include "proto/wire.h"

/* "Name: a, b; Other: c" */
static void assert_map(const struct tr_header_map *map, const char *want)
{
    struct tr_buf text = { 0 };
    for (size_t i = 0; i < map->len; i++) {
        const Tr__Internals__ListEntry *entry = map->entries[i];
        tr_buf_addf(&text, "%s%.*s: ", i > 0 ? "; " : "", TR_SLICE_ARG(tr_wire_slice(entry->key)));
        for (size_t j = 0; j < entry->value->n_values; j++) {
            tr_buf_addf(&text, "%s%.*s", j > 0 ? ", " : "", TR_SLICE_ARG(tr_wire_slice(entry->value->values[j])));
        }
    }
    assert_string_equal(tr_buf_cstr(&text), want);
    tr_buf_fini(&text);
}

static void names_are_canonical_and_keep_all_values_in_order(void **state)
{
    struct tr_header_map map;
    tr_header_map_init(&map, 3);
    tr_header_map_add(&map, TR_SLICE_LIT("x-request-ID"), TR_SLICE_LIT("1"));
    tr_header_map_add(&map, TR_SLICE_LIT("accept"), TR_SLICE_LIT(""));
    tr_header_map_add(&map, TR_SLICE_LIT("X-REQUEST-id"), TR_SLICE_LIT("2"));
    tr_header_map_add(&map, TR_SLICE_LIT("not a token"), TR_SLICE_LIT("3"));
    assert_map(&map, "X-Request-Id: 1, 2; Accept: ; not a token: 3");
    assert_true(tr_header_map_has(&map, TR_SLICE_LIT("ACCEPT")));
    assert_false(tr_header_map_has(&map, TR_SLICE_LIT("accept-encoding")));
    tr_header_map_fini(&map);
    assert_int_equal(map.len, 0);
    (void)state;
}

static void what_was_written_is_read(void **state)
{
    struct tr_http_headers from = { 0 };
    struct tr_http_headers to = { 0 };
    struct tr_header_map map;
    struct tr_buf text = { 0 };
    tr_http_headers_add_str(&from, "a", "1");
    tr_http_headers_add_str(&from, "b", "2");
    tr_http_headers_add_str(&from, "A", "3");
    tr_header_map_init(&map, tr_http_headers_len(&from));
    tr_header_map_add_all(&map, &from);
    tr_http_headers_add_str(&to, "first", "0");
    assert_true(tr_header_map_read(map.entries, map.len, 10, &to));
    tr_http_headers_write(&to, &text);
    assert_string_equal(tr_buf_cstr(&text), "first: 0\r\nA: 1\r\nA: 3\r\nB: 2\r\n");
    tr_buf_fini(&text);
    tr_header_map_fini(&map);
    tr_http_headers_fini(&to);
    tr_http_headers_fini(&from);
    (void)state;
}

static void an_entry_without_values_is_nothing(void **state)
{
    Tr__Internals__ListEntry entry = TR__INTERNALS__LIST_ENTRY__INIT;
    Tr__Internals__ListStringValue none = TR__INTERNALS__LIST_STRING_VALUE__INIT;
    Tr__Internals__ListEntry empty = TR__INTERNALS__LIST_ENTRY__INIT;
    Tr__Internals__ListEntry *entries[] = { &entry, &empty };
    struct tr_http_headers to = { 0 };
    empty.value = &none;
    assert_true(tr_header_map_read(entries, 2, 10, &to));
    assert_int_equal(tr_http_headers_len(&to), 0);
    tr_http_headers_fini(&to);
    (void)state;
}

static void reading_stops_at_the_limit(void **state)
{
    struct tr_header_map map;
    struct tr_http_headers to = { 0 };
    tr_header_map_init(&map, 1);
    tr_header_map_add(&map, TR_SLICE_LIT("a"), TR_SLICE_LIT("1"));
    tr_header_map_add(&map, TR_SLICE_LIT("a"), TR_SLICE_LIT("2"));
    assert_false(tr_header_map_read(map.entries, map.len, 1, &to));
    assert_int_equal(tr_http_headers_len(&to), 1);
    tr_http_headers_clear(&to);
    assert_true(tr_header_map_read(map.entries, map.len, 2, &to));
    assert_false(tr_header_map_read(map.entries, map.len, 0, &to));
    tr_http_headers_fini(&to);
    tr_header_map_fini(&map);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_canonical_and_keep_all_values_in_order),
        cmocka_unit_test(what_was_written_is_read),
        cmocka_unit_test(an_entry_without_values_is_nothing),
        cmocka_unit_test(reading_stops_at_the_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
