/* Any bytes as the path of a request: cleaned, matched, decoded, and each part as a name and as a method. */
#include <stdint.h>
#include <stdlib.h>

#include "runtime/api/path.h"
#include "runtime/base/quote.h"
#include "runtime/base/uri.h"

static const char *const patterns[] = {
    "/",
    "/v1.0/actors/{actorType}/{actorId}/method/{method}",
    "/v1.0/state/{store}/{key}",
    "/{a}/{b}/{c}/{d}",
};

/* No way leads out of a clean path, and cleaning it again changes nothing. */
static void check_clean(struct tr_slice clean)
{
    struct tr_buf again = { 0 };
    struct tr_slice rest = tr_slice_skip(clean, 1);
    struct tr_slice segment;
    tr_assert(clean.len > 0);
    tr_assert(clean.ptr[0] == '/');
    tr_uri_clean_path(clean, &again);
    tr_assert(tr_slice_eq(tr_buf_slice(&again), clean));
    tr_buf_fini(&again);
    while (clean.len > 1 && tr_slice_split(&rest, '/', &segment)) {
        tr_assert(segment.len > 0);
        tr_assert(!tr_slice_eq_str(segment, "."));
        tr_assert(!tr_slice_eq_str(segment, ".."));
    }
}

static void use_method(struct tr_slice text)
{
    struct tr_buf method = { 0 };
    struct tr_buf path = { 0 };
    struct tr_err err;
    if (tr_path_clean_method(text, &method, &err) != TR_OK) {
        tr_assert(err.code == TR_BAD_REQUEST);
        tr_assert(method.len == 0);
        return;
    }
    tr_buf_add_char(&path, '/');
    tr_buf_add(&path, tr_buf_slice(&method));
    check_clean(tr_buf_slice(&path));
    tr_buf_fini(&path);
    tr_buf_fini(&method);
}

static void use_param(struct tr_slice raw)
{
    struct tr_buf plain = { 0 };
    struct tr_err err;
    tr_assert(raw.len > 0);
    tr_assert(tr_slice_find(raw, '/') == raw.len);
    if (tr_uri_decode_query(raw, &plain, &err) == TR_OK) {
        const struct tr_slice name = tr_buf_slice(&plain);
        if (tr_path_check_name(name, &err) == TR_OK) {
            tr_assert(tr_slice_find(name, '/') == name.len);
            tr_assert(tr_slice_find(name, '\0') == name.len);
        }
        use_method(name);
    }
    tr_buf_fini(&plain);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct tr_slice text = tr_slice(data, size);
    struct tr_buf clean = { 0 };
    tr_uri_clean_path(text, &clean);
    check_clean(tr_buf_slice(&clean));
    for (size_t i = 0; i < TR_ARRAY_LEN(patterns); i++) {
        struct tr_slice params[TR_PATH_PARAMS_MAX] = { { 0 } };
        if (tr_path_match(tr_buf_slice(&clean), patterns[i], params)) {
            for (size_t j = 0; j < TR_PATH_PARAMS_MAX && params[j].ptr != NULL; j++) {
                use_param(params[j]);
            }
        }
    }
    use_method(text);
    tr_buf_fini(&clean);
    return 0;
}
