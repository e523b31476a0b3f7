/* What JSON values say: strings without their escapes, members by name, numbers. */
#include "runtime/base/json.h"

#include <math.h>
#include <stdlib.h>

#include "runtime/base/json_int.h"

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    const char lower = (char)(c | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

int json_hex_unit(const char *at, size_t len)
{
    if (len < 4) {
        return -1;
    }
    int value = 0;
    for (size_t i = 0; i < 4; i++) {
        const int digit = hex_digit(at[i]);
        if (digit < 0) {
            return -1;
        }
        value = value * 16 + digit;
    }
    return value;
}

/* The text between the quotes, or false if `raw` is no string. */
static bool string_inside(struct tr_slice raw, struct tr_slice *out)
{
    if (raw.len < 2 || raw.ptr[0] != '"' || raw.ptr[raw.len - 1] != '"') {
        return false;
    }
    *out = tr_slice(raw.ptr + 1, raw.len - 2);
    return true;
}

static void add_rune(struct tr_buf *out, unsigned rune)
{
    if (rune < 0x80) {
        tr_buf_add_char(out, (char)rune);
        return;
    }
    if (rune < 0x800) {
        tr_buf_add_char(out, (char)(0xC0U | (rune >> 6)));
    } else {
        if (rune < 0x10000) {
            tr_buf_add_char(out, (char)(0xE0U | (rune >> 12)));
        } else {
            tr_buf_add_char(out, (char)(0xF0U | (rune >> 18)));
            tr_buf_add_char(out, (char)(0x80U | ((rune >> 12) & 0x3FU)));
        }
        tr_buf_add_char(out, (char)(0x80U | ((rune >> 6) & 0x3FU)));
    }
    tr_buf_add_char(out, (char)(0x80U | (rune & 0x3FU)));
}

/* "\uXXXX" at the start of `rest`, with its partner if it is the first half of a pair; returns the bytes used. */
static size_t add_unit(struct tr_buf *out, struct tr_slice rest)
{
    const int unit = rest.len < 2 ? -1 : json_hex_unit(rest.ptr + 2, rest.len - 2);
    if (unit < 0) {
        add_rune(out, 0xFFFD);
        return rest.len < 2 ? rest.len : 2;
    }
    const bool is_first = unit >= 0xD800 && unit < 0xDC00;
    if (is_first && rest.len >= 12 && rest.ptr[6] == '\\' && rest.ptr[7] == 'u') {
        const int second = json_hex_unit(rest.ptr + 8, 4);
        if (second >= 0xDC00 && second < 0xE000) {
            add_rune(out,
                     0x10000U + (((unsigned)unit - 0xD800U) << 10) + ((unsigned)second - 0xDC00U));
            return 12;
        }
    }
    add_rune(out, unit >= 0xD800 && unit < 0xE000 ? 0xFFFDU : (unsigned)unit);
    return 6;
}

static char escaped_char(char letter)
{
    switch (letter) {
    case 'b':
        return '\b';
    case 'f':
        return '\f';
    case 'n':
        return '\n';
    case 'r':
        return '\r';
    case 't':
        return '\t';
    default:
        return letter;
    }
}

bool tr_json_str_get(struct tr_slice raw, struct tr_buf *out)
{
    struct tr_slice rest;
    if (!string_inside(raw, &rest)) {
        return false;
    }
    while (rest.len > 0) {
        const size_t plain = tr_slice_find(rest, '\\');
        tr_buf_add(out, tr_slice(rest.ptr, plain));
        rest = tr_slice_skip(rest, plain);
        if (rest.len < 2) {
            break;
        }
        if (rest.ptr[1] == 'u') {
            rest = tr_slice_skip(rest, add_unit(out, rest));
        } else {
            tr_buf_add_char(out, escaped_char(rest.ptr[1]));
            rest = tr_slice_skip(rest, 2);
        }
    }
    return true;
}

typedef bool (*equal_fn)(struct tr_slice a, struct tr_slice b);

static bool string_is(struct tr_slice raw, struct tr_slice text, equal_fn equal)
{
    struct tr_slice inside;
    if (!string_inside(raw, &inside)) {
        return false;
    }
    if (tr_slice_find(inside, '\\') == inside.len) {
        return equal(inside, text);
    }
    struct tr_buf plain = { 0 };
    const bool same = tr_json_str_get(raw, &plain) && equal(tr_buf_slice(&plain), text);
    tr_buf_fini(&plain);
    return same;
}

bool tr_json_str_eq(struct tr_slice raw, struct tr_slice text)
{
    return string_is(raw, text, tr_slice_eq);
}

static bool find_member(struct tr_slice object, const char *name, equal_fn equal,
                        struct tr_slice *out_value)
{
    struct tr_json_iter it = tr_json_iter(object);
    struct tr_slice key;
    struct tr_slice value;
    bool found = false;
    while (tr_json_next_member(&it, &key, &value)) {
        if (string_is(key, tr_slice_str(name), equal)) {
            *out_value = value;
            found = true;
        }
    }
    return found;
}

bool tr_json_get(struct tr_slice object, const char *name, struct tr_slice *out_value)
{
    return find_member(object, name, tr_slice_eq, out_value);
}

bool tr_json_get_nocase(struct tr_slice object, const char *name, struct tr_slice *out_value)
{
    return find_member(object, name, tr_slice_eq_nocase, out_value);
}

/* A number without fraction and exponent as sign and magnitude. */
static bool get_whole(struct tr_slice value, bool *out_negative, uint64_t *out)
{
    const bool is_negative = value.len > 0 && value.ptr[0] == '-';
    const struct tr_slice digits = tr_slice_skip(value, is_negative ? 1 : 0);
    uint64_t whole = 0;
    for (size_t i = 0; i < digits.len; i++) {
        const char c = digits.ptr[i];
        if (c < '0' || c > '9' || __builtin_mul_overflow(whole, 10U, &whole) ||
            __builtin_add_overflow(whole, (unsigned)(c - '0'), &whole)) {
            return false;
        }
    }
    *out_negative = is_negative;
    *out = whole;
    return digits.len > 0;
}

bool tr_json_get_i64(struct tr_slice value, int64_t *out)
{
    bool is_negative = false;
    uint64_t whole = 0;
    if (!get_whole(value, &is_negative, &whole) ||
        whole > (uint64_t)INT64_MAX + (is_negative ? 1U : 0U)) {
        return false;
    }
    *out = (int64_t)(is_negative ? UINT64_C(0) - whole : whole);
    return true;
}

bool tr_json_get_u64(struct tr_slice value, uint64_t *out)
{
    bool is_negative = false;
    uint64_t whole = 0;
    if (!get_whole(value, &is_negative, &whole) || is_negative) {
        return false;
    }
    *out = whole;
    return true;
}

bool tr_json_get_double(struct tr_slice value, double *out)
{
    if (value.len == 0 || tr_json_type(value) != TR_JSON_NUMBER) {
        return false;
    }
    char *text = tr_xstrdup(value);
    char *end = NULL;
    const double number = strtod(text, &end);
    const bool ok = end == text + value.len && isfinite(number);
    free(text);
    if (ok) {
        *out = number;
    }
    return ok;
}

bool tr_json_get_bool(struct tr_slice value, bool *out)
{
    if (tr_slice_eq_str(value, "true") || tr_slice_eq_str(value, "false")) {
        *out = value.len == 4;
        return true;
    }
    return false;
}
