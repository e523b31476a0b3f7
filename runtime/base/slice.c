/* Borrowed bytes. */
#include "runtime/base/slice.h"

int tr_slice_cmp(struct tr_slice a, struct tr_slice b)
{
    const size_t common = a.len < b.len ? a.len : b.len;
    const int order = common == 0 ? 0 : memcmp(a.ptr, b.ptr, common);
    if (order != 0) {
        return order;
    }
    return a.len < b.len ? -1 : a.len > b.len ? 1 : 0;
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

bool tr_slice_same_nocase(struct tr_slice a, struct tr_slice b)
{
    for (size_t i = 0; i < a.len; i++) {
        if (lower(a.ptr[i]) != lower(b.ptr[i])) {
            return false;
        }
    }
    return true;
}

bool tr_slice_starts(struct tr_slice s, struct tr_slice prefix)
{
    return s.len >= prefix.len && tr_slice_eq(tr_slice(s.ptr, prefix.len), prefix);
}

bool tr_slice_ends(struct tr_slice s, struct tr_slice suffix)
{
    return s.len >= suffix.len && tr_slice_eq(tr_slice_skip(s, s.len - suffix.len), suffix);
}

struct tr_slice tr_slice_skip(struct tr_slice s, size_t n)
{
    if (n == 0) {
        return s;
    }
    return n >= s.len ? tr_slice(s.ptr, 0) : tr_slice(s.ptr + n, s.len - n);
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

struct tr_slice tr_slice_trim(struct tr_slice s)
{
    while (s.len > 0 && is_blank(s.ptr[0])) {
        s = tr_slice_skip(s, 1);
    }
    while (s.len > 0 && is_blank(s.ptr[s.len - 1])) {
        s.len--;
    }
    return s;
}

size_t tr_slice_find(struct tr_slice s, char c)
{
    if (s.len == 0) {
        return 0;
    }
    const char *at = memchr(s.ptr, c, s.len);
    return at == NULL ? s.len : (size_t)(at - s.ptr);
}

bool tr_slice_split(struct tr_slice *rest, char sep, struct tr_slice *out_part)
{
    if (rest->ptr == NULL) {
        return false;
    }
    const size_t len = tr_slice_find(*rest, sep);
    *out_part = tr_slice(rest->ptr, len);
    *rest = len == rest->len ? tr_slice(NULL, 0) : tr_slice(rest->ptr + len + 1, rest->len - len - 1);
    return true;
}
