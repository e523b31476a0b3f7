/*
 * Owned bytes, growing. All zero is a valid empty buffer. Memory exhaustion aborts; sizes that a peer chose are
 * checked against their limit before they get here.
 */
#ifndef TR_BASE_BUF_H
#define TR_BASE_BUF_H

#include <stdarg.h>
#include <stdint.h>

#include "runtime/base/assert.h"
#include "runtime/base/slice.h"

struct tr_buf {
    char *ptr; /* owned; NULL when cap is 0 */
    size_t len;
    size_t cap;
};

/* malloc, calloc, realloc that abort when memory is out. Thread: any. */
void *tr_xalloc(size_t bytes);
void *tr_xzalloc(size_t bytes);
void *tr_xrealloc(void *ptr, size_t bytes);
/* A NUL-terminated copy of `s`; free() it. */
char *tr_xstrdup(struct tr_slice s);

static inline struct tr_slice tr_buf_slice(const struct tr_buf *buf)
{
    return tr_slice(buf->ptr, buf->len);
}

/* Free the memory and leave an empty buffer. */
void tr_buf_fini(struct tr_buf *buf);
/* Forget the content, keep the memory. */
void tr_buf_clear(struct tr_buf *buf);
/* Make room for `more` bytes behind `len`. */
void tr_buf_reserve(struct tr_buf *buf, size_t more);
void tr_buf_add(struct tr_buf *buf, struct tr_slice bytes);
void tr_buf_add_str(struct tr_buf *buf, const char *text);
static inline void tr_buf_add_char(struct tr_buf *buf, char c)
{
    if (buf->len == buf->cap) {
        tr_buf_reserve(buf, 1);
    }
    buf->ptr[buf->len++] = c;
}
/* Append a number in decimal digits. Cost: a tenth of tr_buf_addf()'s. */
void tr_buf_add_u64(struct tr_buf *buf, uint64_t number);
/* Append formatted text. */
void tr_buf_addf(struct tr_buf *buf, const char *fmt, ...) TR_PRINTF(2, 3);
void tr_buf_vaddf(struct tr_buf *buf, const char *fmt, va_list args) TR_PRINTF(2, 0);
/* Replace the content. */
void tr_buf_set(struct tr_buf *buf, struct tr_slice bytes);
/* Drop the first `n` bytes (n <= len). Cost: O(len). */
void tr_buf_drop(struct tr_buf *buf, size_t n);
/* Free what `to` had, take the content of `from`, leave `from` empty. */
void tr_buf_move(struct tr_buf *to, struct tr_buf *from);
/* Content as a NUL-terminated string, borrowed until the next change; the NUL is not counted in len. */
const char *tr_buf_cstr(struct tr_buf *buf);

#endif
