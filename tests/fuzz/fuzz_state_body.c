/* Any bytes as the bodies of the state API: what is read has items whose stored values are JSON. */
#include <stdint.h>

#include "runtime/api/state_json.h"
#include "runtime/base/json.h"

typedef enum tr_code read_fn(struct api_state_job *job, struct tr_slice body, struct tr_err *err);

/* Read every byte, so that a slice into nowhere is found. */
static void touch(struct tr_slice bytes)
{
    const volatile char *at = bytes.ptr;
    for (size_t i = 0; i < bytes.len; i++) {
        (void)at[i];
    }
}

static void read_body(read_fn *read, struct tr_slice body)
{
    struct api_state_job job = { .store_name = TR_SLICE_LIT("store") };
    struct tr_err err = { .code = TR_OK };
    const bool is_read = read(&job, body, &err) == TR_OK;
    tr_assert(is_read || err.msg[0] != '\0');
    for (size_t i = 0; is_read && i < job.items_len; i++) {
        const struct api_state_item *item = &job.items[i];
        touch(item->key);
        touch(item->etag);
        touch(item->ttl);
        touch(item->concurrency);
        touch(item->consistency);
        if (item->value.len > 0) {
            tr_assert(tr_json_check(item->value, NULL, &err) == TR_OK);
        }
    }
    api_state_job_fini(&job);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct tr_slice body = tr_slice(data, size);
    read_body(api_state_read_items, body);
    read_body(api_state_read_keys, body);
    read_body(api_state_read_operations, body);
    return 0;
}
