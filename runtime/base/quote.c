/* Go-style quoting. */
#include "runtime/base/quote.h"

size_t tr_utf8_decode(struct tr_slice text, unsigned *out_rune)
{
    tr_assert(text.len > 0);
    const unsigned char *p = (const unsigned char *)text.ptr;
    if (p[0] < 0x80U) {
        *out_rune = p[0];
        return 1;
    }
    const size_t len = p[0] >= 0xF0U ? 4 : p[0] >= 0xE0U ? 3 : 2;
    if (p[0] < 0xC2U || p[0] > 0xF4U || text.len < len) {
        return 0;
    }
    unsigned rune = p[0] & (0xFFU >> (len + 1));
    for (size_t i = 1; i < len; i++) {
        if ((p[i] & 0xC0U) != 0x80U) {
            return 0;
        }
        rune = (rune << 6) | (p[i] & 0x3FU);
    }
    static const unsigned least[5] = { 0, 0, 0x80U, 0x800U, 0x10000U };
    if (rune < least[len] || rune > 0x10FFFFU || (rune >= 0xD800U && rune <= 0xDFFFU)) {
        return 0;
    }
    *out_rune = rune;
    return len;
}

bool tr_utf8_is_valid(struct tr_slice text)
{
    while (text.len > 0) {
        unsigned rune = 0;
        const size_t len = tr_utf8_decode(text, &rune);
        if (len == 0) {
            return false;
        }
        text = tr_slice_skip(text, len);
    }
    return true;
}

/* Characters that Go does not print: controls, format characters, separators but the blank, private use. */
static bool prints(unsigned rune)
{
    static const unsigned hidden[][2] = {
        { 0x7FU, 0xA0U },     { 0xADU, 0xADU },       { 0x600U, 0x605U },   { 0x61CU, 0x61CU },
        { 0x6DDU, 0x6DDU },   { 0x70FU, 0x70FU },     { 0x1680U, 0x1680U }, { 0x180EU, 0x180EU },
        { 0x2000U, 0x200FU }, { 0x2028U, 0x202FU },   { 0x205FU, 0x206FU }, { 0x3000U, 0x3000U },
        { 0xE000U, 0xF8FFU }, { 0xFEFFU, 0xFEFFU },   { 0xFFF0U, 0xFFFBU }, { 0xFFFEU, 0xFFFFU },
        { 0xE0000U, 0x10FFFFU },
    };
    if (rune < 0x20U) {
        return false;
    }
    for (size_t i = 0; i < TR_ARRAY_LEN(hidden); i++) {
        if (rune >= hidden[i][0] && rune <= hidden[i][1]) {
            return false;
        }
    }
    return true;
}

/* The letter of a short escape, or 0. */
static char short_escape(unsigned rune)
{
    switch (rune) {
    case '\a':
        return 'a';
    case '\b':
        return 'b';
    case '\f':
        return 'f';
    case '\n':
        return 'n';
    case '\r':
        return 'r';
    case '\t':
        return 't';
    case '\v':
        return 'v';
    default:
        return 0;
    }
}

static void add_rune(struct tr_buf *buf, unsigned rune, struct tr_slice bytes)
{
    const char letter = short_escape(rune);
    if (rune == '"' || rune == '\\') {
        tr_buf_add_char(buf, '\\');
        tr_buf_add_char(buf, (char)rune);
    } else if (prints(rune)) {
        tr_buf_add(buf, bytes);
    } else if (letter != 0) {
        tr_buf_add_char(buf, '\\');
        tr_buf_add_char(buf, letter);
    } else if (rune < 0x20U || rune == 0x7FU) {
        tr_buf_addf(buf, "\\x%02x", rune);
    } else if (rune < 0x10000U) {
        tr_buf_addf(buf, "\\u%04x", rune);
    } else {
        tr_buf_addf(buf, "\\U%08x", rune);
    }
}

void tr_buf_add_quoted(struct tr_buf *buf, struct tr_slice text)
{
    tr_buf_add_char(buf, '"');
    while (text.len > 0) {
        unsigned rune = 0;
        const size_t len = tr_utf8_decode(text, &rune);
        if (len == 0) {
            tr_buf_addf(buf, "\\x%02x", (unsigned char)text.ptr[0]);
            text = tr_slice_skip(text, 1);
            continue;
        }
        add_rune(buf, rune, tr_slice(text.ptr, len));
        text = tr_slice_skip(text, len);
    }
    tr_buf_add_char(buf, '"');
}
