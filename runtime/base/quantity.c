/* Resource quantities: sign, decimal, and a binary suffix, a decimal suffix or an exponent. */
#include "runtime/base/quantity.h"

#include <stdbool.h>

/* Enough for any quantity that fits into 64 bits, and few enough that a product with 2^60 fits into 128. */
#define DIGITS_MAX   18
#define EXPONENT_MAX 18

static const char form_text[] =
    "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Digits with an optional point, as digits / 10^fraction_len. False without a digit or with too many. */
static bool take_decimal(struct tr_slice *rest, uint64_t *out_digits, unsigned *out_fraction_len)
{
    uint64_t digits = 0;
    unsigned significant = 0;
    unsigned fraction_len = 0;
    bool has_digit = false;
    bool has_point = false;
    while (rest->len > 0 && (is_digit(rest->ptr[0]) || (rest->ptr[0] == '.' && !has_point))) {
        const char c = rest->ptr[0];
        *rest = tr_slice_skip(*rest, 1);
        if (c == '.') {
            has_point = true;
            continue;
        }
        has_digit = true;
        significant += digits > 0 || c != '0' ? 1 : 0;
        if (significant > DIGITS_MAX || fraction_len == EXPONENT_MAX) {
            return false;
        }
        digits = digits * 10 + (uint64_t)(c - '0');
        fraction_len += has_point ? 1 : 0;
    }
    *out_digits = digits;
    *out_fraction_len = fraction_len;
    return has_digit;
}

/* A decimal exponent behind 'e' or 'E'. */
static bool parse_exponent(struct tr_slice text, int *out)
{
    const bool is_negative = text.len > 0 && text.ptr[0] == '-';
    if (is_negative || (text.len > 0 && text.ptr[0] == '+')) {
        text = tr_slice_skip(text, 1);
    }
    int value = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (!is_digit(text.ptr[i]) || value > EXPONENT_MAX) {
            return false;
        }
        value = value * 10 + (text.ptr[i] - '0');
    }
    *out = is_negative ? -value : value;
    return text.len > 0 && value <= EXPONENT_MAX;
}

/* A suffix as a factor of two and a factor of ten. */
static bool parse_suffix(struct tr_slice suffix, unsigned *out_shift, int *out_exponent)
{
    static const struct {
        const char *name;
        unsigned shift;
        int exponent;
    } suffixes[] = {
        { "", 0, 0 },    { "Ki", 10, 0 }, { "Mi", 20, 0 }, { "Gi", 30, 0 },
        { "Ti", 40, 0 }, { "Pi", 50, 0 }, { "Ei", 60, 0 }, { "n", 0, -9 },
        { "u", 0, -6 },  { "m", 0, -3 },  { "k", 0, 3 },   { "M", 0, 6 },
        { "G", 0, 9 },   { "T", 0, 12 },  { "P", 0, 15 },  { "E", 0, 18 },
    };
    for (size_t i = 0; i < TR_ARRAY_LEN(suffixes); i++) {
        if (tr_slice_eq_str(suffix, suffixes[i].name)) {
            *out_shift = suffixes[i].shift;
            *out_exponent = suffixes[i].exponent;
            return true;
        }
    }
    *out_shift = 0;
    return suffix.len > 1 && (suffix.ptr[0] == 'e' || suffix.ptr[0] == 'E') &&
           parse_exponent(tr_slice_skip(suffix, 1), out_exponent);
}

__extension__ typedef unsigned __int128 wide;

/* digits * 2^shift * 10^exponent, rounded up; false if it exceeds 64 signed bits. */
static bool scale(uint64_t digits, unsigned shift, int exponent, uint64_t *out)
{
    wide value = (wide)digits << shift;
    for (; exponent > 0; exponent--) {
        if (value > (wide)INT64_MAX) {
            return false;
        }
        value *= 10;
    }
    wide divisor = 1;
    for (; exponent < 0 && divisor <= value; exponent++) {
        divisor *= 10;
    }
    value = value / divisor + (value % divisor != 0 ? 1 : 0);
    if (value > (wide)INT64_MAX) {
        return false;
    }
    *out = (uint64_t)value;
    return true;
}

enum tr_code tr_quantity_parse(struct tr_slice text, int64_t *out, struct tr_err *err)
{
    struct tr_slice rest = text;
    const bool is_negative = rest.len > 0 && rest.ptr[0] == '-';
    if (is_negative || (rest.len > 0 && rest.ptr[0] == '+')) {
        rest = tr_slice_skip(rest, 1);
    }
    uint64_t digits = 0;
    unsigned fraction_len = 0;
    unsigned shift = 0;
    int exponent = 0;
    if (!take_decimal(&rest, &digits, &fraction_len) || !parse_suffix(rest, &shift, &exponent)) {
        return tr_err_set(err, TR_INVALID, "%s", form_text);
    }
    uint64_t value = 0;
    if (!scale(digits, shift, exponent - (int)fraction_len, &value)) {
        return tr_err_set(err, TR_INVALID, "quantity '%.*s' does not fit into 64 bits",
                          TR_SLICE_ARG(text));
    }
    *out = is_negative ? -(int64_t)value : (int64_t)value;
    return TR_OK;
}
