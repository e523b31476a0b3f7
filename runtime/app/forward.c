/* Which headers travel. */
#include "runtime/app/forward.h"

static bool is_dropped(const struct tr_http_headers *from, struct tr_slice name)
{
    static const struct tr_slice dropped[] = {
        TR_SLICE_INIT("content-length"),
        TR_SLICE_INIT("content-type"),
        TR_SLICE_INIT("host"),
        TR_SLICE_INIT("destination-app-id"),
    };
    for (size_t i = 0; i < TR_ARRAY_LEN(dropped); i++) {
        if (tr_slice_eq_nocase(name, dropped[i])) {
            return true;
        }
    }
    if (name.len >= 4 && tr_slice_eq_nocase(tr_slice_skip(name, name.len - 4), TR_SLICE_LIT("-bin"))) {
        return true;
    }
    if (tr_http_header_is_hop(name)) {
        return true;
    }
    uint64_t state = 0;
    struct tr_slice nominated;
    while (tr_http_headers_next_element(from, "connection", &state, &nominated)) {
        if (tr_slice_eq_nocase(name, nominated)) {
            return true;
        }
    }
    return false;
}

void tr_forward_headers(const struct tr_http_headers *from, struct tr_http_headers *to)
{
    struct tr_buf renamed = { 0 };
    const size_t len = tr_http_headers_len(from);
    for (size_t i = 0; i < len && tr_http_headers_len(to) < TR_FORWARD_HEADERS_MAX; i++) {
        const struct tr_http_header header = tr_http_headers_at(from, i);
        if (is_dropped(from, header.name)) {
            continue;
        }
        if (header.name.len > 5 && tr_slice_eq_nocase(tr_slice(header.name.ptr, 5), TR_SLICE_LIT("grpc-"))) {
            tr_buf_set(&renamed, TR_SLICE_LIT("dapr-"));
            tr_buf_add(&renamed, header.name);
            tr_http_headers_add(to, tr_buf_slice(&renamed), header.value);
            continue;
        }
        tr_http_headers_add(to, header.name, header.value);
    }
    tr_buf_fini(&renamed);
}

void tr_forward_strip_identity(struct tr_http_headers *headers)
{
    (void)tr_http_headers_remove(headers, TR_SLICE_LIT("dapr-caller-app-id"));
    (void)tr_http_headers_remove(headers, TR_SLICE_LIT("dapr-caller-namespace"));
    (void)tr_http_headers_remove(headers, TR_SLICE_LIT("dapr-api-token"));
}
