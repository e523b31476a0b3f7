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

/* digits / 10^fraction_len; `is_large` when there were more digits before the point than are kept. */
struct decimal {
    uint64_t digits;
    unsigned fraction_len;
    bool is_large;
};

/* Digits with an optional point; false without a digit. Fraction digits beyond what is kept are cut. */
static bool take_decimal(struct tr_slice *rest, struct decimal *out)
{
    struct decimal d = { 0 };
    unsigned kept = 0;
    bool has_digit = false;
    bool has_point = false;
    for (; rest->len > 0; *rest = tr_slice_skip(*rest, 1)) {
        const char c = rest->ptr[0];
        if (c == '.' && !has_point) {
            has_point = true;
            continue;
        }
        if (!is_digit(c)) {
            break;
        }
        has_digit = true;
        if (kept == DIGITS_MAX || d.fraction_len == EXPONENT_MAX) {
            d.is_large = d.is_large || !has_point;
            continue;
        }
        d.digits = d.digits * 10 + (uint64_t)(c - '0');
        kept += d.digits > 0 ? 1 : 0;
        d.fraction_len += has_point ? 1 : 0;
    }
    *out = d;
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

/* The value times 2^shift times 10^exponent, rounded up and capped at the largest number of 64 signed bits. */
static int64_t scale(const struct decimal *d, unsigned shift, int exponent)
{
    wide value = (wide)d->digits << shift;
    for (exponent -= (int)d->fraction_len; exponent > 0 && value <= (wide)INT64_MAX; exponent--) {
        value *= 10;
    }
    wide divisor = 1;
    for (; exponent < 0 && divisor <= value; exponent++) {
        divisor *= 10;
    }
    value = value / divisor + (value % divisor != 0 ? 1 : 0);
    return d->is_large || value > (wide)INT64_MAX ? INT64_MAX : (int64_t)value;
}

enum tr_code tr_quantity_parse(struct tr_slice text, int64_t *out, struct tr_err *err)
{
    struct tr_slice rest = text;
    struct decimal decimal;
    unsigned shift = 0;
    int exponent = 0;
    const bool is_negative = rest.len > 0 && rest.ptr[0] == '-';
    if (is_negative || (rest.len > 0 && rest.ptr[0] == '+')) {
        rest = tr_slice_skip(rest, 1);
    }
    if (!take_decimal(&rest, &decimal)) {
        return tr_err_set(err, TR_INVALID, "%s", form_text);
    }
    if (!parse_suffix(rest, &shift, &exponent)) {
        return tr_err_set(err, TR_INVALID, "unable to parse quantity's suffix");
    }
    const int64_t value = scale(&decimal, shift, exponent);
    *out = is_negative ? -value : value;
    return TR_OK;
}
