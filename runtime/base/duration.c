/* Durations and points in time as texts. */
#include "runtime/base/duration.h"

#include <inttypes.h>
#include <stdio.h>

#define SECONDS_PER_DAY INT64_C(86400)
/* One more than the largest number of nanoseconds: the magnitude of the most negative duration. */
#define NS_MAGNITUDE_MAX (UINT64_C(1) << 63)

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Source: Go time/format.go, quote: unlike strconv.Quote it writes every byte beyond ASCII as \xNN. */
static void add_quoted(struct tr_buf *buf, struct tr_slice text)
{
    tr_buf_add_char(buf, '"');
    for (size_t i = 0; i < text.len; i++) {
        const unsigned char c = (unsigned char)text.ptr[i];
        if (c >= 0x80 || c < ' ') {
            tr_buf_addf(buf, "\\x%02x", c);
            continue;
        }
        if (c == '"' || c == '\\') {
            tr_buf_add_char(buf, '\\');
        }
        tr_buf_add_char(buf, (char)c);
    }
    tr_buf_add_char(buf, '"');
}

static enum tr_code invalid(struct tr_err *err, struct tr_slice text)
{
    struct tr_buf quoted = { 0 };
    add_quoted(&quoted, text);
    tr_err_set(err, TR_INVALID, "time: invalid duration %s", tr_buf_cstr(&quoted));
    tr_buf_fini(&quoted);
    return TR_INVALID;
}

static enum tr_code bad_unit(struct tr_err *err, struct tr_slice unit, struct tr_slice text)
{
    struct tr_buf msg = { 0 };
    if (unit.len == 0) {
        tr_buf_add_str(&msg, "time: missing unit in duration ");
    } else {
        tr_buf_add_str(&msg, "time: unknown unit ");
        add_quoted(&msg, unit);
        tr_buf_add_str(&msg, " in duration ");
    }
    add_quoted(&msg, text);
    tr_err_set(err, TR_INVALID, "%s", tr_buf_cstr(&msg));
    tr_buf_fini(&msg);
    return TR_INVALID;
}

/* Nanoseconds of a unit, or 0. */
static uint64_t unit_ns(struct tr_slice unit)
{
    static const struct {
        const char *name;
        uint64_t ns;
    } units[] = {
        { "ns", 1 },
        { "us", 1000 },
        { "\xc2\xb5s", 1000 }, /* U+00B5, the micro sign */
        { "\xce\xbcs", 1000 }, /* U+03BC, the Greek letter */
        { "ms", 1000000 },
        { "s", 1000000000 },
        { "m", UINT64_C(60000000000) },
        { "h", UINT64_C(3600000000000) },
    };
    for (size_t i = 0; i < TR_ARRAY_LEN(units); i++) {
        if (tr_slice_eq_str(unit, units[i].name)) {
            return units[i].ns;
        }
    }
    return 0;
}

/* Digits at the start of `*rest` as a number; false if it exceeds the largest magnitude. */
static bool take_whole(struct tr_slice *rest, uint64_t *out)
{
    uint64_t value = 0;
    while (rest->len > 0 && is_digit(rest->ptr[0])) {
        if (value > NS_MAGNITUDE_MAX / 10) {
            return false;
        }
        value = value * 10 + (uint64_t)(rest->ptr[0] - '0');
        if (value > NS_MAGNITUDE_MAX) {
            return false;
        }
        *rest = tr_slice_skip(*rest, 1);
    }
    *out = value;
    return true;
}

/* Digits behind the point: value / scale. Digits that no longer fit are passed over. */
static void take_fraction(struct tr_slice *rest, uint64_t *out, double *out_scale)
{
    uint64_t value = 0;
    double scale = 1;
    bool full = false;
    while (rest->len > 0 && is_digit(rest->ptr[0])) {
        full = full || value > (NS_MAGNITUDE_MAX - 1) / 10;
        if (!full) {
            value = value * 10 + (uint64_t)(rest->ptr[0] - '0');
            scale *= 10;
        }
        *rest = tr_slice_skip(*rest, 1);
    }
    *out = value;
    *out_scale = scale;
}

static struct tr_slice take_unit(struct tr_slice *rest)
{
    size_t len = 0;
    while (len < rest->len && rest->ptr[len] != '.' && !is_digit(rest->ptr[len])) {
        len++;
    }
    const struct tr_slice unit = tr_slice(rest->ptr, len);
    *rest = tr_slice_skip(*rest, len);
    return unit;
}

/* One "<decimal><unit>" of `*rest`, added to `*total`. */
static enum tr_code take_part(struct tr_slice *rest, struct tr_slice text, uint64_t *total,
                              struct tr_err *err)
{
    uint64_t whole = 0;
    uint64_t fraction = 0;
    double scale = 1;
    const size_t before = rest->len;
    if (!take_whole(rest, &whole)) {
        return invalid(err, text);
    }
    bool has_digits = rest->len != before;
    if (rest->len > 0 && rest->ptr[0] == '.') {
        *rest = tr_slice_skip(*rest, 1);
        const size_t behind_point = rest->len;
        take_fraction(rest, &fraction, &scale);
        has_digits = has_digits || rest->len != behind_point;
    }
    if (!has_digits) {
        return invalid(err, text);
    }
    const struct tr_slice unit = take_unit(rest);
    const uint64_t ns = unit_ns(unit);
    if (ns == 0) {
        return bad_unit(err, unit, text);
    }
    if (whole > NS_MAGNITUDE_MAX / ns) {
        return invalid(err, text);
    }
    const uint64_t value = whole * ns + (uint64_t)((double)fraction * ((double)ns / scale));
    if (value > NS_MAGNITUDE_MAX || *total + value > NS_MAGNITUDE_MAX) {
        return invalid(err, text);
    }
    *total += value;
    return TR_OK;
}

enum tr_code tr_duration_parse(struct tr_slice text, int64_t *out_ns, struct tr_err *err)
{
    struct tr_slice rest = text;
    bool is_negative = false;
    if (rest.len > 0 && (rest.ptr[0] == '-' || rest.ptr[0] == '+')) {
        is_negative = rest.ptr[0] == '-';
        rest = tr_slice_skip(rest, 1);
    }
    if (tr_slice_eq_str(rest, "0")) {
        *out_ns = 0;
        return TR_OK;
    }
    if (rest.len == 0) {
        return invalid(err, text);
    }
    uint64_t total = 0;
    while (rest.len > 0) {
        const enum tr_code rc = take_part(&rest, text, &total, err);
        if (rc != TR_OK) {
            return rc;
        }
    }
    if (total == NS_MAGNITUDE_MAX) {
        if (!is_negative) {
            return invalid(err, text);
        }
        *out_ns = INT64_MIN;
        return TR_OK;
    }
    *out_ns = is_negative ? -(int64_t)total : (int64_t)total;
    return TR_OK;
}

/* `value / unit` with its fraction, without trailing zeros; `unit` is a power of ten. */
static void add_decimal(struct tr_buf *buf, uint64_t value, uint64_t unit)
{
    tr_buf_addf(buf, "%" PRIu64, value / unit);
    uint64_t rest = value % unit;
    if (rest == 0) {
        return;
    }
    tr_buf_add_char(buf, '.');
    while (rest > 0) {
        unit /= 10;
        tr_buf_add_char(buf, (char)('0' + rest / unit));
        rest %= unit;
    }
}

void tr_duration_add(struct tr_buf *buf, int64_t ns)
{
    if (ns == 0) {
        tr_buf_add_str(buf, "0s");
        return;
    }
    const uint64_t value = ns < 0 ? UINT64_C(0) - (uint64_t)ns : (uint64_t)ns;
    if (ns < 0) {
        tr_buf_add_char(buf, '-');
    }
    if (value < (uint64_t)TR_NS_PER_US) {
        tr_buf_addf(buf, "%" PRIu64 "ns", value);
        return;
    }
    if (value < (uint64_t)TR_NS_PER_S) {
        const bool is_micro = value < (uint64_t)TR_NS_PER_MS;
        add_decimal(buf, value, (uint64_t)(is_micro ? TR_NS_PER_US : TR_NS_PER_MS));
        tr_buf_add_str(buf, is_micro ? "\xc2\xb5s" : "ms");
        return;
    }
    const uint64_t minutes = value / (60 * (uint64_t)TR_NS_PER_S);
    if (minutes >= 60) {
        tr_buf_addf(buf, "%" PRIu64 "h", minutes / 60);
    }
    if (minutes > 0) {
        tr_buf_addf(buf, "%" PRIu64 "m", minutes % 60);
    }
    add_decimal(buf, value % (60 * (uint64_t)TR_NS_PER_S), (uint64_t)TR_NS_PER_S);
    tr_buf_add_char(buf, 's');
}

uint64_t tr_duration_ms_up(int64_t ns)
{
    if (ns <= 0) {
        return 0;
    }
    return (uint64_t)(ns / TR_NS_PER_MS) + (ns % TR_NS_PER_MS > 0 ? 1 : 0);
}

bool tr_duration_sum(int64_t a, int64_t b, int64_t *out_ns)
{
    return !__builtin_add_overflow(a, b, out_ns);
}

/* Years are counted from March, so that the leap day is the last of its year. */
int64_t tr_date_days(int year, unsigned month, unsigned day)
{
    tr_assert(month >= 1 && month <= 12);
    const int64_t y = (int64_t)year - (month <= 2 ? 1 : 0);
    const int64_t era = (y >= 0 ? y : y - 399) / 400;
    const int64_t year_of_era = y - era * 400;
    const int64_t day_of_year =
        (153 * (int64_t)(month > 2 ? month - 3 : month + 9) + 2) / 5 + (int64_t)day - 1;
    const int64_t day_of_era =
        year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + day_of_era - 719468;
}

static void split_days(int64_t days, struct tr_date *out_date)
{
    days += 719468;
    const int64_t era = (days >= 0 ? days : days - 146096) / 146097;
    const int64_t day_of_era = days - era * 146097;
    const int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    const int64_t day_of_year =
        day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    const int64_t month = (5 * day_of_year + 2) / 153;
    out_date->day = (unsigned)(day_of_year - (153 * month + 2) / 5 + 1);
    out_date->month = (unsigned)(month < 10 ? month + 3 : month - 9);
    out_date->year = (int)(year_of_era + era * 400 + (out_date->month <= 2 ? 1 : 0));
}

void tr_date_split(int64_t unix_ns, int offset_s, struct tr_date *out_date)
{
    int64_t seconds = unix_ns / TR_NS_PER_S;
    int64_t ns = unix_ns % TR_NS_PER_S;
    if (ns < 0) {
        ns += TR_NS_PER_S;
        seconds--;
    }
    seconds += offset_s;
    int64_t days = seconds / SECONDS_PER_DAY;
    int64_t rest = seconds % SECONDS_PER_DAY;
    if (rest < 0) {
        rest += SECONDS_PER_DAY;
        days--;
    }
    split_days(days, out_date);
    out_date->hour = (unsigned)(rest / 3600);
    out_date->minute = (unsigned)(rest / 60 % 60);
    out_date->second = (unsigned)(rest % 60);
    out_date->ns = (unsigned)ns;
    out_date->offset_s = offset_s;
}

/* Nanoseconds since the epoch of the clock time of `date` on the day `days`. */
static bool join_days(const struct tr_date *date, int64_t days, int64_t *out_unix_ns)
{
    const int64_t clock_s =
        (int64_t)date->hour * 3600 + (int64_t)date->minute * 60 + (int64_t)date->second;
    const int64_t seconds = days * SECONDS_PER_DAY + clock_s - date->offset_s;
    /* Counted from the second after, so that the first moment that fits is not refused on the way. */
    const int64_t ns = (int64_t)date->ns - (seconds < 0 ? TR_NS_PER_S : 0);
    int64_t total = 0;
    return !__builtin_mul_overflow(seconds + (seconds < 0 ? 1 : 0), TR_NS_PER_S, &total) &&
           !__builtin_add_overflow(total, ns, out_unix_ns);
}

bool tr_date_join(const struct tr_date *date, int64_t *out_unix_ns)
{
    return join_days(date, tr_date_days(date->year, date->month, date->day), out_unix_ns);
}

/* Beyond these a point does not fit into 64-bit nanoseconds anyway, and within them nothing overflows on the way. */
#define ADD_YEARS_MAX  1000
#define ADD_MONTHS_MAX (12 * ADD_YEARS_MAX)
#define ADD_DAYS_MAX   (366 * ADD_YEARS_MAX)

static bool is_within(int64_t value, int64_t max)
{
    return value >= -max && value <= max;
}

bool tr_date_add(const struct tr_date *date, int64_t years, int64_t months, int64_t days,
                 int64_t *out_unix_ns)
{
    if (!is_within(years, ADD_YEARS_MAX) || !is_within(months, ADD_MONTHS_MAX) ||
        !is_within(days, ADD_DAYS_MAX)) {
        return false;
    }
    const int64_t month = (int64_t)date->month - 1 + months + 12 * years;
    const int64_t carry = (month >= 0 ? month : month - 11) / 12;
    const int64_t first =
        tr_date_days((int)(date->year + carry), (unsigned)(month - carry * 12) + 1, 1);
    return join_days(date, first + (int64_t)date->day - 1 + days, out_unix_ns);
}

/* `len` digits at the start of `*rest` with a value in [low, high], then, if `sep` is not 0, that character. */
static bool take_number(struct tr_slice *rest, size_t len, unsigned low, unsigned high, char sep,
                        unsigned *out)
{
    const size_t all = len + (sep != 0 ? 1 : 0);
    if (rest->len < all || (sep != 0 && rest->ptr[len] != sep)) {
        return false;
    }
    unsigned value = 0;
    for (size_t i = 0; i < len; i++) {
        if (!is_digit(rest->ptr[i])) {
            return false;
        }
        value = value * 10 + (unsigned)(rest->ptr[i] - '0');
    }
    *rest = tr_slice_skip(*rest, all);
    *out = value;
    return value >= low && value <= high;
}

static bool take_second_fraction(struct tr_slice *rest, unsigned *out_ns)
{
    *out_ns = 0;
    if (rest->len == 0 || rest->ptr[0] != '.') {
        return true;
    }
    *rest = tr_slice_skip(*rest, 1);
    unsigned unit = (unsigned)TR_NS_PER_S / 10;
    size_t len = 0;
    while (len < rest->len && is_digit(rest->ptr[len])) {
        *out_ns += (unsigned)(rest->ptr[len] - '0') * unit;
        unit /= 10;
        len++;
    }
    *rest = tr_slice_skip(*rest, len);
    return len > 0;
}

static bool take_offset(struct tr_slice *rest, int *out_s)
{
    *out_s = 0;
    if (tr_slice_eq_str(*rest, "Z")) {
        return true;
    }
    if (rest->len == 0 || (rest->ptr[0] != '+' && rest->ptr[0] != '-')) {
        return false;
    }
    const bool is_west = rest->ptr[0] == '-';
    unsigned hours = 0;
    unsigned minutes = 0;
    *rest = tr_slice_skip(*rest, 1);
    if (!take_number(rest, 2, 0, 23, ':', &hours) || !take_number(rest, 2, 0, 59, 0, &minutes) ||
        rest->len > 0) {
        return false;
    }
    const int seconds = (int)(hours * 3600 + minutes * 60);
    *out_s = is_west ? -seconds : seconds;
    return true;
}

static unsigned days_in_month(int year, unsigned month)
{
    static const unsigned char days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    const bool is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return days[month - 1] + (month == 2 && is_leap ? 1U : 0U);
}

static bool parse_date(struct tr_slice rest, struct tr_date *date)
{
    unsigned year = 0;
    if (!take_number(&rest, 4, 0, 9999, '-', &year) ||
        !take_number(&rest, 2, 1, 12, '-', &date->month)) {
        return false;
    }
    date->year = (int)year;
    return take_number(&rest, 2, 1, days_in_month(date->year, date->month), 'T', &date->day) &&
           take_number(&rest, 2, 0, 23, ':', &date->hour) &&
           take_number(&rest, 2, 0, 59, ':', &date->minute) &&
           take_number(&rest, 2, 0, 59, 0, &date->second) &&
           take_second_fraction(&rest, &date->ns) && take_offset(&rest, &date->offset_s);
}

bool tr_date_parse(struct tr_slice text, struct tr_date *out_date)
{
    struct tr_date date = { 0 };
    if (!parse_date(text, &date)) {
        return false;
    }
    *out_date = date;
    return true;
}

enum tr_code tr_time_parse(struct tr_slice text, int64_t *out_unix_ns, int *out_offset_s,
                           struct tr_err *err)
{
    struct tr_date date = { 0 };
    int64_t ns = 0;
    if (!parse_date(text, &date) || !tr_date_join(&date, &ns)) {
        struct tr_buf quoted = { 0 };
        add_quoted(&quoted, text);
        tr_err_set(err, TR_INVALID, "parsing time %s: not an RFC 3339 time", tr_buf_cstr(&quoted));
        tr_buf_fini(&quoted);
        return TR_INVALID;
    }
    *out_unix_ns = ns;
    if (out_offset_s != NULL) {
        *out_offset_s = date.offset_s;
    }
    return TR_OK;
}

static void add_offset(struct tr_buf *buf, int offset_s)
{
    if (offset_s == 0) {
        tr_buf_add_char(buf, 'Z');
        return;
    }
    const int minutes = (offset_s < 0 ? -offset_s : offset_s) / 60;
    tr_buf_addf(buf, "%c%02d:%02d", offset_s < 0 ? '-' : '+', minutes / 60, minutes % 60);
}

static void add_date(struct tr_buf *buf, const struct tr_date *date)
{
    tr_buf_addf(buf, "%04d-%02u-%02uT%02u:%02u:%02u", date->year, date->month, date->day,
                date->hour, date->minute, date->second);
}

void tr_time_add(struct tr_buf *buf, int64_t unix_ns, int offset_s)
{
    struct tr_date date;
    tr_date_split(unix_ns, offset_s, &date);
    add_date(buf, &date);
    add_offset(buf, offset_s);
}

void tr_time_add_nano(struct tr_buf *buf, int64_t unix_ns, int offset_s)
{
    struct tr_date date;
    tr_date_split(unix_ns, offset_s, &date);
    add_date(buf, &date);
    if (date.ns > 0) {
        char digits[16];
        int len = snprintf(digits, sizeof(digits), ".%09u", date.ns);
        while (digits[len - 1] == '0') {
            len--;
        }
        tr_buf_add(buf, tr_slice(digits, (size_t)len));
    }
    add_offset(buf, offset_s);
}
