/*
 * Header lists. All names and values lie in one buffer, entries are offsets into it: reading a request of n headers
 * allocates nothing once the list has grown, and clearing it keeps the memory for the next request.
 */
#include <stdlib.h>

#include "runtime/http/http_int.h"

#define FIELDS_FIRST 16U

void tr_http_headers_fini(struct tr_http_headers *headers)
{
    tr_buf_fini(&headers->bytes);
    free(headers->fields);
    *headers = (struct tr_http_headers){ 0 };
}

void tr_http_headers_clear(struct tr_http_headers *headers)
{
    tr_buf_clear(&headers->bytes);
    headers->fields_len = 0;
}

void tr_http_headers_move(struct tr_http_headers *to, struct tr_http_headers *from)
{
    tr_http_headers_fini(to);
    *to = *from;
    *from = (struct tr_http_headers){ 0 };
}

struct tr_http_field *http_headers_open(struct tr_http_headers *headers)
{
    if (headers->fields_len == headers->fields_cap) {
        tr_assert(headers->fields_len < TR_HTTP_HEADERS_MAX);
        headers->fields_cap = headers->fields_cap == 0 ? FIELDS_FIRST : headers->fields_cap * 2;
        headers->fields = tr_xrealloc(headers->fields, headers->fields_cap * sizeof(*headers->fields));
    }
    struct tr_http_field *field = &headers->fields[headers->fields_len];
    headers->fields_len++;
    tr_assert(headers->bytes.len <= UINT32_MAX);
    *field = (struct tr_http_field){ .name_at = (uint32_t)headers->bytes.len };
    return field;
}

static struct tr_http_field *last_field(struct tr_http_headers *headers)
{
    tr_assert(headers->fields_len > 0);
    return &headers->fields[headers->fields_len - 1];
}

void http_headers_more_name(struct tr_http_headers *headers, struct tr_slice piece)
{
    struct tr_http_field *field = last_field(headers);
    tr_assert(field->value_len == 0);
    tr_buf_add(&headers->bytes, piece);
    tr_assert(headers->bytes.len <= UINT32_MAX);
    field->name_len += (uint32_t)piece.len;
}

void http_headers_more_value(struct tr_http_headers *headers, struct tr_slice piece)
{
    struct tr_http_field *field = last_field(headers);
    if (field->value_len == 0) {
        field->value_at = (uint32_t)headers->bytes.len;
    }
    tr_buf_add(&headers->bytes, piece);
    tr_assert(headers->bytes.len <= UINT32_MAX);
    field->value_len += (uint32_t)piece.len;
}

void http_headers_trim_value(struct tr_http_headers *headers)
{
    struct tr_http_field *field = last_field(headers);
    while (field->value_len > 0) {
        const char c = headers->bytes.ptr[field->value_at + field->value_len - 1];
        if (c != ' ' && c != '\t') {
            break;
        }
        field->value_len--;
    }
}

void tr_http_headers_add(struct tr_http_headers *headers, struct tr_slice name, struct tr_slice value)
{
    (void)http_headers_open(headers);
    tr_buf_reserve(&headers->bytes, name.len + value.len);
    http_headers_more_name(headers, name);
    http_headers_more_value(headers, value);
}

void tr_http_headers_add_str(struct tr_http_headers *headers, const char *name, const char *value)
{
    tr_http_headers_add(headers, tr_slice_str(name), tr_slice_str(value));
}

void tr_http_headers_add_all(struct tr_http_headers *headers, const struct tr_http_headers *from)
{
    tr_assert(headers != from);
    for (size_t i = 0; i < from->fields_len; i++) {
        const struct tr_http_header header = tr_http_headers_at(from, i);
        tr_http_headers_add(headers, header.name, header.value);
    }
}

struct tr_http_header tr_http_headers_at(const struct tr_http_headers *headers, size_t i)
{
    tr_assert(i < headers->fields_len);
    const struct tr_http_field *field = &headers->fields[i];
    return (struct tr_http_header){
        .name = tr_slice(headers->bytes.ptr + field->name_at, field->name_len),
        .value = tr_slice(headers->bytes.ptr + field->value_at, field->value_len),
    };
}

void tr_http_headers_set(struct tr_http_headers *headers, struct tr_slice name, struct tr_slice value)
{
    (void)tr_http_headers_remove(headers, name);
    tr_http_headers_add(headers, name, value);
}

/* The bytes of removed entries stay until the list is cleared. */
size_t tr_http_headers_remove(struct tr_http_headers *headers, struct tr_slice name)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < headers->fields_len; i++) {
        if (!tr_slice_eq_nocase(tr_http_headers_at(headers, i).name, name)) {
            headers->fields[kept] = headers->fields[i];
            kept++;
        }
    }
    const size_t removed = headers->fields_len - kept;
    headers->fields_len = kept;
    return removed;
}

bool tr_http_headers_get(const struct tr_http_headers *headers, struct tr_slice name, struct tr_slice *out_value)
{
    for (size_t i = 0; i < headers->fields_len; i++) {
        const struct tr_http_header header = tr_http_headers_at(headers, i);
        if (header.name.len == name.len && tr_slice_eq_nocase(header.name, name)) {
            *out_value = header.value;
            return true;
        }
    }
    return false;
}

struct tr_slice tr_http_headers_value(const struct tr_http_headers *headers, const char *name)
{
    struct tr_slice value = { 0 };
    (void)tr_http_headers_get(headers, tr_slice_str(name), &value);
    return value;
}

bool tr_http_headers_has(const struct tr_http_headers *headers, const char *name)
{
    struct tr_slice value;
    return tr_http_headers_get(headers, tr_slice_str(name), &value);
}

size_t tr_http_headers_count(const struct tr_http_headers *headers, const char *name)
{
    size_t count = 0;
    for (size_t i = 0; i < headers->fields_len; i++) {
        count += tr_slice_eq_nocase(tr_http_headers_at(headers, i).name, tr_slice_str(name)) ? 1U : 0U;
    }
    return count;
}

/* `*state` is the entry in its upper half and the offset in the entry's value in its lower half. */
bool tr_http_headers_next_element(const struct tr_http_headers *headers, const char *name, uint64_t *state,
                                  struct tr_slice *out_element)
{
    uint32_t i = (uint32_t)(*state >> 32);
    uint32_t at = (uint32_t)*state;
    for (; i < headers->fields_len; i++, at = 0) {
        const struct tr_http_header header = tr_http_headers_at(headers, i);
        if (!tr_slice_eq_nocase(header.name, tr_slice_str(name))) {
            continue;
        }
        while (at < header.value.len) {
            struct tr_slice element = tr_slice_skip(header.value, at);
            element.len = tr_slice_find(element, ',');
            at += (uint32_t)element.len + 1;
            element = tr_slice_trim(element);
            if (element.len > 0) {
                *state = ((uint64_t)i << 32) | at;
                *out_element = element;
                return true;
            }
        }
    }
    *state = (uint64_t)i << 32;
    return false;
}

bool tr_http_headers_has_element(const struct tr_http_headers *headers, const char *name, const char *element)
{
    uint64_t state = 0;
    struct tr_slice found;
    while (tr_http_headers_next_element(headers, name, &state, &found)) {
        if (tr_slice_eq_nocase(found, tr_slice_str(element))) {
            return true;
        }
    }
    return false;
}

void http_header_write(struct tr_slice name, struct tr_slice value, struct tr_buf *out)
{
    if (!tr_http_is_token(name)) {
        return;
    }
    tr_buf_reserve(out, name.len + value.len + 4);
    tr_buf_add(out, name);
    tr_buf_add(out, TR_SLICE_LIT(": "));
    const size_t value_at = out->len;
    tr_buf_add(out, value);
    if (!tr_http_is_value(value)) {
        for (size_t i = value_at; i < out->len; i++) {
            const char c = out->ptr[i];
            out->ptr[i] = c == '\0' || c == '\r' || c == '\n' ? ' ' : c;
        }
    }
    tr_buf_add(out, TR_SLICE_LIT("\r\n"));
}

void tr_http_headers_write(const struct tr_http_headers *headers, struct tr_buf *out)
{
    for (size_t i = 0; i < headers->fields_len; i++) {
        const struct tr_http_header header = tr_http_headers_at(headers, i);
        http_header_write(header.name, header.value, out);
    }
}
