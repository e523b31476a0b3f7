/* Percent-encoding. */
#include "runtime/base/uri.h"

#include "runtime/base/quote.h"

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    const char lower = (char)(c | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

static enum tr_code bad_escape(struct tr_slice at, struct tr_err *err)
{
    struct tr_buf quoted = { 0 };
    tr_buf_add_quoted(&quoted, tr_slice(at.ptr, at.len < 3 ? at.len : 3));
    tr_err_set(err, TR_INVALID, "invalid URL escape %s", tr_buf_cstr(&quoted));
    tr_buf_fini(&quoted);
    return TR_INVALID;
}

static enum tr_code decode(struct tr_slice text, bool plus_is_blank, struct tr_buf *out,
                           struct tr_err *err)
{
    const size_t before = out->len;
    tr_buf_reserve(out, text.len);
    for (size_t i = 0; i < text.len; i++) {
        const char c = text.ptr[i];
        if (c != '%') {
            tr_buf_add_char(out, c == '+' && plus_is_blank ? ' ' : c);
            continue;
        }
        const int high = i + 2 < text.len ? hex_digit(text.ptr[i + 1]) : -1;
        const int low = i + 2 < text.len ? hex_digit(text.ptr[i + 2]) : -1;
        if (high < 0 || low < 0) {
            out->len = before;
            return bad_escape(tr_slice_skip(text, i), err);
        }
        tr_buf_add_char(out, (char)(unsigned char)(high * 16 + low));
        i += 2;
    }
    return TR_OK;
}

enum tr_code tr_uri_decode_segment(struct tr_slice text, struct tr_buf *out, struct tr_err *err)
{
    return decode(text, false, out, err);
}

enum tr_code tr_uri_decode_query(struct tr_slice text, struct tr_buf *out, struct tr_err *err)
{
    return decode(text, true, out, err);
}

static bool is_in(char c, const char *set)
{
    return c != '\0' && strchr(set, c) != NULL;
}

static void encode(struct tr_buf *buf, struct tr_slice text, const char *kept, bool blank_is_plus)
{
    static const char digits[] = "0123456789ABCDEF";
    for (size_t i = 0; i < text.len; i++) {
        const char c = text.ptr[i];
        const bool is_letter =
            (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (is_letter || is_in(c, kept)) {
            tr_buf_add_char(buf, c);
        } else if (c == ' ' && blank_is_plus) {
            tr_buf_add_char(buf, '+');
        } else {
            tr_buf_add_char(buf, '%');
            tr_buf_add_char(buf, digits[(unsigned char)c >> 4]);
            tr_buf_add_char(buf, digits[(unsigned char)c & 0xFU]);
        }
    }
}

void tr_uri_add_segment(struct tr_buf *buf, struct tr_slice text)
{
    encode(buf, text, "-_.~$&+=:@", false);
}

void tr_uri_add_query(struct tr_buf *buf, struct tr_slice text)
{
    encode(buf, text, "-_.~", true);
}

/* Cut the last segment off a clean path; false when there is none. */
static bool drop_last_segment(struct tr_buf *out, size_t start)
{
    if (out->len == start) {
        return false;
    }
    while (out->len > start && out->ptr[out->len - 1] != '/') {
        out->len--;
    }
    out->len--;
    return true;
}

void tr_uri_clean_path(struct tr_slice path, struct tr_buf *out)
{
    const size_t start = out->len;
    struct tr_slice segment;
    while (tr_slice_split(&path, '/', &segment)) {
        if (segment.len == 0 || tr_slice_eq_str(segment, ".")) {
            continue;
        }
        if (tr_slice_eq_str(segment, "..")) {
            (void)drop_last_segment(out, start);
            continue;
        }
        tr_buf_add_char(out, '/');
        tr_buf_add(out, segment);
    }
    if (out->len == start) {
        tr_buf_add_char(out, '/');
    }
}

bool tr_uri_next_pair(struct tr_slice *rest, struct tr_slice *out_key, struct tr_slice *out_value)
{
    struct tr_slice pair;
    while (tr_slice_split(rest, '&', &pair)) {
        if (pair.len == 0) {
            continue;
        }
        const size_t key_len = tr_slice_find(pair, '=');
        *out_key = tr_slice(pair.ptr, key_len);
        *out_value = tr_slice_skip(pair, key_len + 1);
        return true;
    }
    return false;
}

bool tr_uri_query_get(struct tr_slice query, struct tr_slice key, struct tr_buf *out)
{
    struct tr_slice name;
    struct tr_slice value;
    struct tr_err ignored;
    while (tr_uri_next_pair(&query, &name, &value)) {
        struct tr_buf plain = { 0 };
        const bool is_same = tr_uri_decode_query(name, &plain, &ignored) == TR_OK &&
                             tr_slice_eq(tr_buf_slice(&plain), key);
        tr_buf_fini(&plain);
        if (is_same) {
            return tr_uri_decode_query(value, out, &ignored) == TR_OK;
        }
    }
    return false;
}
