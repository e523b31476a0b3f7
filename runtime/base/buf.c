/* Owned bytes. The capacity at least doubles, so that appending is linear in all. */
#include "runtime/base/buf.h"

#include <stdio.h>
#include <stdlib.h>

#define BUF_CAP_MIN 64

static void *checked(void *ptr)
{
    if (ptr == NULL) {
        TR_BUG("out of memory");
    }
    return ptr;
}

void *tr_xalloc(size_t bytes)
{
    return checked(malloc(bytes > 0 ? bytes : 1));
}

void *tr_xzalloc(size_t bytes)
{
    return checked(calloc(1, bytes > 0 ? bytes : 1));
}

void *tr_xrealloc(void *ptr, size_t bytes)
{
    return checked(realloc(ptr, bytes > 0 ? bytes : 1));
}

char *tr_xstrdup(struct tr_slice s)
{
    char *text = tr_xalloc(s.len + 1);
    if (s.len > 0) {
        memcpy(text, s.ptr, s.len);
    }
    text[s.len] = '\0';
    return text;
}

void tr_buf_fini(struct tr_buf *buf)
{
    free(buf->ptr);
    *buf = (struct tr_buf){ 0 };
}

void tr_buf_clear(struct tr_buf *buf)
{
    buf->len = 0;
}

void tr_buf_reserve(struct tr_buf *buf, size_t more)
{
    tr_assert(buf->len <= buf->cap);
    if (more <= buf->cap - buf->len) {
        return;
    }
    tr_assert(more <= SIZE_MAX / 2 - buf->len);
    const size_t need = buf->len + more;
    size_t cap = buf->cap < BUF_CAP_MIN ? BUF_CAP_MIN : buf->cap;
    while (cap < need) {
        cap *= 2;
    }
    buf->ptr = tr_xrealloc(buf->ptr, cap);
    buf->cap = cap;
}

void tr_buf_add(struct tr_buf *buf, struct tr_slice bytes)
{
    if (bytes.len == 0) {
        return;
    }
    tr_buf_reserve(buf, bytes.len);
    memcpy(buf->ptr + buf->len, bytes.ptr, bytes.len);
    buf->len += bytes.len;
}

void tr_buf_add_str(struct tr_buf *buf, const char *text)
{
    tr_buf_add(buf, tr_slice_str(text));
}

void tr_buf_add_u64(struct tr_buf *buf, uint64_t number)
{
    char digits[20]; /* of the largest */
    size_t at = sizeof(digits);
    do {
        digits[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    tr_buf_add(buf, tr_slice(digits + at, sizeof(digits) - at));
}

void tr_buf_addf(struct tr_buf *buf, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    tr_buf_vaddf(buf, fmt, args);
    va_end(args);
}

void tr_buf_vaddf(struct tr_buf *buf, const char *fmt, va_list args)
{
    va_list again;
    va_copy(again, args);
    char *end = buf->ptr == NULL ? NULL : buf->ptr + buf->len;
    const int len = vsnprintf(end, buf->cap - buf->len, fmt, args);
    tr_assert(len >= 0);
    if ((size_t)len >= buf->cap - buf->len) {
        tr_buf_reserve(buf, (size_t)len + 1);
        const int same = vsnprintf(buf->ptr + buf->len, buf->cap - buf->len, fmt, again);
        tr_assert(same == len);
    }
    va_end(again);
    buf->len += (size_t)len;
}

void tr_buf_set(struct tr_buf *buf, struct tr_slice bytes)
{
    tr_buf_clear(buf);
    tr_buf_add(buf, bytes);
}

void tr_buf_drop(struct tr_buf *buf, size_t n)
{
    tr_assert(n <= buf->len);
    if (n > 0) {
        memmove(buf->ptr, buf->ptr + n, buf->len - n);
        buf->len -= n;
    }
}

void tr_buf_move(struct tr_buf *to, struct tr_buf *from)
{
    tr_assert(to != from);
    tr_buf_fini(to);
    *to = *from;
    *from = (struct tr_buf){ 0 };
}

const char *tr_buf_cstr(struct tr_buf *buf)
{
    tr_buf_reserve(buf, 1);
    buf->ptr[buf->len] = '\0';
    return buf->ptr;
}
