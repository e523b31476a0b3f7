/* Any bytes through the JSON scanner. What passes the check must walk to its end, and survive compaction. */
#include <stdint.h>

#include "runtime/base/json.h"

/* Visit everything inside of `value`. */
static void walk(struct tr_slice value)
{
    struct tr_slice name;
    struct tr_slice inner;
    struct tr_buf text = { 0 };
    double number = 0;
    struct tr_json_iter it = tr_json_iter(value);
    while (tr_json_next(&it, &inner)) {
        walk(inner);
    }
    it = tr_json_iter(value);
    while (tr_json_next_member(&it, &name, &inner)) {
        tr_assert(tr_json_str_get(name, &text));
        tr_assert(tr_json_str_eq(name, tr_buf_slice(&text)));
        tr_buf_clear(&text);
        walk(inner);
    }
    (void)tr_json_get_double(value, &number);
    (void)tr_json_str_get(value, &text);
    tr_buf_fini(&text);
}

static void compact_twice(struct tr_slice value)
{
    struct tr_err err;
    struct tr_buf once = { 0 };
    struct tr_buf twice = { 0 };
    tr_json_add_compact(&once, value);
    tr_assert(tr_json_check(tr_buf_slice(&once), NULL, &err) == TR_OK);
    tr_json_add_compact(&twice, tr_buf_slice(&once));
    tr_assert(tr_slice_eq(tr_buf_slice(&once), tr_buf_slice(&twice)));
    tr_buf_fini(&once);
    tr_buf_fini(&twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tr_err err;
    const struct tr_slice text = tr_slice(data, size);
    struct tr_slice value = text;
    struct tr_buf buf = { 0 };
    if (tr_json_check(text, &value, &err) == TR_OK) {
        compact_twice(value);
        walk(value);
    } else if (size < 4096) {
        /* Unchecked text must be harmless too. */
        walk(text);
    }
    tr_json_add_str(&buf, text);
    tr_assert(tr_json_check(tr_buf_slice(&buf), NULL, &err) == TR_OK);
    tr_buf_fini(&buf);
    return 0;
}
