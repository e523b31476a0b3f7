/* Base64. */
#include "runtime/base/base64.h"

static const char standard[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char url[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static void add(struct tr_buf *buf, struct tr_slice bytes, const char *digits, bool is_padded)
{
    tr_buf_reserve(buf, bytes.len / 3 * 4 + 4);
    while (bytes.len > 0) {
        const unsigned char *p = (const unsigned char *)bytes.ptr;
        const size_t len = bytes.len < 3 ? bytes.len : 3;
        const unsigned group =
            ((unsigned)p[0] << 16) | (len > 1 ? (unsigned)p[1] << 8 : 0U) | (len > 2 ? p[2] : 0U);
        for (size_t i = 0; i < 4; i++) {
            if (i <= len) {
                tr_buf_add_char(buf, digits[(group >> (18 - 6 * i)) & 0x3FU]);
            } else if (is_padded) {
                tr_buf_add_char(buf, '=');
            }
        }
        bytes = tr_slice_skip(bytes, len);
    }
}

void tr_base64_add(struct tr_buf *buf, struct tr_slice bytes)
{
    add(buf, bytes, standard, true);
}

void tr_base64_add_url(struct tr_buf *buf, struct tr_slice bytes)
{
    add(buf, bytes, url, false);
}

/* Value of a digit, or -1; `c62` and `c63` are the last two digits of the alphabet. */
static int digit_value(char c, char c62, char c63)
{
    if (c >= 'A' && c <= 'Z') {
        return c - 'A';
    }
    if (c >= 'a' && c <= 'z') {
        return c - 'a' + 26;
    }
    if (c >= '0' && c <= '9') {
        return c - '0' + 52;
    }
    return c == c62 ? 62 : c == c63 ? 63 : -1;
}

/* Digits without padding. False at a byte that is no digit, a single digit at the end, or bits left over. */
static bool decode(struct tr_slice digits, const char *alphabet, struct tr_buf *out)
{
    unsigned bits = 0;
    unsigned bits_len = 0;
    if (digits.len % 4 == 1) {
        return false;
    }
    for (size_t i = 0; i < digits.len; i++) {
        const int value = digit_value(digits.ptr[i], alphabet[62], alphabet[63]);
        if (value < 0) {
            return false;
        }
        bits = (bits << 6) | (unsigned)value;
        bits_len += 6;
        if (bits_len >= 8) {
            bits_len -= 8;
            tr_buf_add_char(out, (char)(unsigned char)(bits >> bits_len));
            bits &= (1U << bits_len) - 1U;
        }
    }
    return bits == 0;
}

static enum tr_code decode_or_undo(struct tr_slice digits, const char *alphabet, struct tr_buf *out,
                                   struct tr_err *err)
{
    const size_t before = out->len;
    if (!decode(digits, alphabet, out)) {
        out->len = before;
        return tr_err_set(err, TR_INVALID, "illegal base64 data");
    }
    return TR_OK;
}

enum tr_code tr_base64_decode(struct tr_slice text, struct tr_buf *out, struct tr_err *err)
{
    if (text.len % 4 != 0) {
        return tr_err_set(err, TR_INVALID, "illegal base64 data");
    }
    for (int i = 0; i < 2 && text.len > 0 && text.ptr[text.len - 1] == '='; i++) {
        text.len--;
    }
    return decode_or_undo(text, standard, out, err);
}

enum tr_code tr_base64_decode_url(struct tr_slice text, struct tr_buf *out, struct tr_err *err)
{
    return decode_or_undo(text, url, out, err);
}
