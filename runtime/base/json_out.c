/* Writing JSON: strings as Go escapes them, compaction, and the writer of one value. */
#include "runtime/base/json.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "runtime/base/quote.h"

/* Bytes of ASCII that a string carries as they are. */
static bool is_plain(unsigned char c)
{
    return c >= 0x20 && c < 0x80 && c != '"' && c != '\\' && c != '<' && c != '>' && c != '&';
}

static void add_escaped_ascii(struct tr_buf *buf, unsigned char c)
{
    switch (c) {
    case '"':
    case '\\':
        tr_buf_add_char(buf, '\\');
        tr_buf_add_char(buf, (char)c);
        break;
    case '\b':
        tr_buf_add_str(buf, "\\b");
        break;
    case '\f':
        tr_buf_add_str(buf, "\\f");
        break;
    case '\n':
        tr_buf_add_str(buf, "\\n");
        break;
    case '\r':
        tr_buf_add_str(buf, "\\r");
        break;
    case '\t':
        tr_buf_add_str(buf, "\\t");
        break;
    default:
        tr_buf_addf(buf, "\\u%04x", c);
        break;
    }
}

/* One character beyond ASCII at the start of `text`; returns its bytes. */
static size_t add_wide(struct tr_buf *buf, struct tr_slice text)
{
    unsigned rune = 0;
    const size_t len = tr_utf8_decode(text, &rune);
    if (len == 0) {
        tr_buf_add_str(buf, "\\ufffd");
        return 1;
    }
    if (rune == 0x2028U || rune == 0x2029U) {
        tr_buf_addf(buf, "\\u%04x", rune);
        return len;
    }
    tr_buf_add(buf, tr_slice(text.ptr, len));
    return len;
}

void tr_json_add_str(struct tr_buf *buf, struct tr_slice text)
{
    tr_buf_add_char(buf, '"');
    while (text.len > 0) {
        size_t len = 0;
        while (len < text.len && is_plain((unsigned char)text.ptr[len])) {
            len++;
        }
        tr_buf_add(buf, tr_slice(text.ptr, len));
        text = tr_slice_skip(text, len);
        if (text.len == 0) {
            break;
        }
        const unsigned char c = (unsigned char)text.ptr[0];
        if (c < 0x80) {
            add_escaped_ascii(buf, c);
            text = tr_slice_skip(text, 1);
        } else {
            text = tr_slice_skip(text, add_wide(buf, text));
        }
    }
    tr_buf_add_char(buf, '"');
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

/* The special characters cannot stand outside of strings, so they need no knowledge of where they are. */
static size_t add_compact_char(struct tr_buf *buf, struct tr_slice rest)
{
    const unsigned char c = (unsigned char)rest.ptr[0];
    if (c == '<' || c == '>' || c == '&') {
        tr_buf_addf(buf, "\\u%04x", c);
        return 1;
    }
    if (c == 0xE2U && rest.len >= 3 && (unsigned char)rest.ptr[1] == 0x80U &&
        ((unsigned char)rest.ptr[2] & 0xFEU) == 0xA8U) {
        tr_buf_addf(buf, "\\u%04x", 0x2000U + ((unsigned char)rest.ptr[2] & 0x3FU));
        return 3;
    }
    tr_buf_add_char(buf, (char)c);
    return 1;
}

void tr_json_add_compact(struct tr_buf *buf, struct tr_slice value)
{
    tr_buf_reserve(buf, value.len);
    bool in_string = false;
    size_t i = 0;
    while (i < value.len) {
        const char c = value.ptr[i];
        if (!in_string && is_blank(c)) {
            i++;
            continue;
        }
        if (in_string && c == '\\' && i + 1 < value.len) {
            tr_buf_add(buf, tr_slice(value.ptr + i, 2));
            i += 2;
            continue;
        }
        in_string = c == '"' ? !in_string : in_string;
        i += add_compact_char(buf, tr_slice_skip(value, i));
    }
}

void tr_json_out_init(struct tr_json_out *out, struct tr_buf *buf)
{
    *out = (struct tr_json_out){ .buf = buf };
}

static void separate(struct tr_json_out *out)
{
    if (out->needs_comma) {
        tr_buf_add_char(out->buf, ',');
    }
    out->needs_comma = true;
}

static void begin(struct tr_json_out *out, char bracket)
{
    separate(out);
    tr_buf_add_char(out->buf, bracket);
    out->depth++;
    out->needs_comma = false;
}

static void end(struct tr_json_out *out, char bracket)
{
    tr_assert(out->depth > 0);
    tr_buf_add_char(out->buf, bracket);
    out->depth--;
    out->needs_comma = true;
}

void tr_json_begin_object(struct tr_json_out *out)
{
    begin(out, '{');
}

void tr_json_end_object(struct tr_json_out *out)
{
    end(out, '}');
}

void tr_json_begin_array(struct tr_json_out *out)
{
    begin(out, '[');
}

void tr_json_end_array(struct tr_json_out *out)
{
    end(out, ']');
}

void tr_json_key(struct tr_json_out *out, const char *name)
{
    tr_json_key_slice(out, tr_slice_str(name));
}

void tr_json_key_slice(struct tr_json_out *out, struct tr_slice name)
{
    tr_assert(out->depth > 0);
    separate(out);
    tr_json_add_str(out->buf, name);
    tr_buf_add_char(out->buf, ':');
    out->needs_comma = false;
}

void tr_json_str(struct tr_json_out *out, struct tr_slice text)
{
    separate(out);
    tr_json_add_str(out->buf, text);
}

void tr_json_i64(struct tr_json_out *out, int64_t value)
{
    separate(out);
    tr_buf_addf(out->buf, "%" PRId64, value);
}

void tr_json_u64(struct tr_json_out *out, uint64_t value)
{
    separate(out);
    tr_buf_addf(out->buf, "%" PRIu64, value);
}

void tr_json_double(struct tr_json_out *out, double value)
{
    separate(out);
    if (!isfinite(value)) {
        tr_buf_add_str(out->buf, "null");
        return;
    }
    char text[40];
    for (int digits = 15; digits <= 17; digits++) {
        (void)snprintf(text, sizeof(text), "%.*g", digits, value);
        if (strtod(text, NULL) == value) {
            break;
        }
    }
    tr_buf_add_str(out->buf, text);
}

void tr_json_bool(struct tr_json_out *out, bool value)
{
    separate(out);
    tr_buf_add_str(out->buf, value ? "true" : "false");
}

void tr_json_null(struct tr_json_out *out)
{
    separate(out);
    tr_buf_add_str(out->buf, "null");
}

void tr_json_raw(struct tr_json_out *out, struct tr_slice value)
{
    tr_assert(value.len > 0);
    separate(out);
    tr_buf_add(out->buf, value);
}
