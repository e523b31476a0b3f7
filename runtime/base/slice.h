/*
 * Borrowed bytes. A slice argument is good until the call returns; a slice in an operation, until its callback.
 * `ptr` may be NULL only when `len` is 0.
 */
#ifndef TR_BASE_SLICE_H
#define TR_BASE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct tr_slice {
    const char *ptr;
    size_t len;
};

/* For printf: printf("%.*s", TR_SLICE_ARG(s)). */
#define TR_SLICE_ARG(s) (int)(s).len, (s).ptr
#define TR_SLICE_LIT(text) ((struct tr_slice){ .ptr = (text), .len = sizeof(text) - 1 })
/* The same as an element of a static table. */
#define TR_SLICE_INIT(text) { .ptr = (text), .len = sizeof(text) - 1 }

static inline struct tr_slice tr_slice(const void *ptr, size_t len)
{
    return (struct tr_slice){ .ptr = ptr, .len = len };
}

/* The bytes of a C string without its NUL; NULL gives the empty slice. */
static inline struct tr_slice tr_slice_str(const char *text)
{
    return tr_slice(text, text == NULL ? 0 : strlen(text));
}

static inline bool tr_slice_eq(struct tr_slice a, struct tr_slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

static inline bool tr_slice_eq_str(struct tr_slice a, const char *b)
{
    return tr_slice_eq(a, tr_slice_str(b));
}

/* Bytewise order as memcmp, shorter first. */
int tr_slice_cmp(struct tr_slice a, struct tr_slice b);

/* Part of the next function: the bytes of two slices of one length. */
bool tr_slice_same_nocase(struct tr_slice a, struct tr_slice b);

/* Equal without regard to the case of ASCII letters. Cost: a comparison if the lengths differ, as they mostly do. */
static inline bool tr_slice_eq_nocase(struct tr_slice a, struct tr_slice b)
{
    return a.len == b.len && tr_slice_same_nocase(a, b);
}

bool tr_slice_starts(struct tr_slice s, struct tr_slice prefix);
bool tr_slice_ends(struct tr_slice s, struct tr_slice suffix);

/* `s` without its first `n` bytes; `n` beyond the end gives the empty slice. */
struct tr_slice tr_slice_skip(struct tr_slice s, size_t n);

/* Without ASCII blanks and line ends at both ends. */
struct tr_slice tr_slice_trim(struct tr_slice s);

/* Index of the first `c`, or s.len. */
size_t tr_slice_find(struct tr_slice s, char c);

/*
 * Cut the part before the first `sep` off `*rest` into `*out_part`; without `sep` the part is all of it. False when
 * `*rest` is used up (its ptr is then NULL). Splitting "" gives one empty part.
 */
bool tr_slice_split(struct tr_slice *rest, char sep, struct tr_slice *out_part);

#endif
