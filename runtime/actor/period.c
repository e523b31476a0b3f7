/* Texts of times and periods, and the arithmetic on them. See period.h. */
#include "runtime/actor/period.h"

#include "runtime/base/buf.h"
#include "runtime/base/duration.h"

#define US_PER_S   INT64_C(1000000)
#define US_PER_DAY (INT64_C(86400) * US_PER_S)
/* Beyond this, a number of an ISO 8601 duration is refused; the original computes nonsense from it. */
#define NUMBER_MAX INT64_C(1000000000)

/* --- arithmetic ----------------------------------------------------------------------------------------------------- */

static int64_t clamp_time(int64_t us)
{
    if (us > TR_PERIOD_TIME_MAX_US) {
        return TR_PERIOD_TIME_MAX_US;
    }
    return us < -TR_PERIOD_TIME_MAX_US ? -TR_PERIOD_TIME_MAX_US : us;
}

static int64_t add_span(int64_t from_us, int64_t span_us)
{
    int64_t sum;
    if (__builtin_add_overflow(from_us, span_us, &sum)) {
        return span_us > 0 ? TR_PERIOD_TIME_MAX_US : -TR_PERIOD_TIME_MAX_US;
    }
    return clamp_time(sum);
}

/* Nanoseconds as microseconds, rounded up. */
static int64_t us_up(int64_t ns)
{
    return ns / 1000 + (ns % 1000 > 0 ? 1 : 0);
}

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b != 0 && (a < 0) != (b < 0) ? 1 : 0);
}

struct civil {
    int64_t year;
    unsigned month; /* 1 to 12 */
    unsigned day;   /* 1 to 31 */
};

/* Date of a day since 1970. Source: Howard Hinnant, chrono-compatible low-level date algorithms, civil_from_days. */
static struct civil civil_of_day(int64_t day)
{
    const int64_t shifted = day + 719468; /* days since 1 March of the year 0 */
    const int64_t era = floor_div(shifted, 146097);
    const int64_t in_era = shifted - era * 146097;
    const int64_t year_of_era = (in_era - in_era / 1460 + in_era / 36524 - in_era / 146096) / 365;
    const int64_t in_year = in_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    const int64_t month_from_march = (5 * in_year + 2) / 153;
    const int64_t month = month_from_march < 10 ? month_from_march + 3 : month_from_march - 9;
    return (struct civil){
        .year = year_of_era + era * 400 + (month <= 2 ? 1 : 0),
        .month = (unsigned)month,
        .day = (unsigned)(in_year - (153 * month_from_march + 2) / 5 + 1),
    };
}

/* Add by the calendar; the clock time stays, and days beyond the end of the month run on into the next. */
static int64_t add_date(int64_t from_us, int64_t years, int64_t months, int64_t days)
{
    const int64_t day = floor_div(from_us, US_PER_DAY);
    const struct civil date = civil_of_day(day);
    const int64_t month_count = (date.year + years) * 12 + (int64_t)date.month - 1 + months;
    const int64_t year = floor_div(month_count, 12);
    if (year > 90000 || year < -90000) {
        return year > 0 ? TR_PERIOD_TIME_MAX_US : -TR_PERIOD_TIME_MAX_US;
    }
    const int64_t first = tr_date_days((int)year, (unsigned)(month_count - year * 12) + 1, 1);
    const int64_t new_day = first + (int64_t)date.day - 1 + days;
    int64_t us;
    if (__builtin_mul_overflow(new_day, US_PER_DAY, &us)) {
        return new_day > 0 ? TR_PERIOD_TIME_MAX_US : -TR_PERIOD_TIME_MAX_US;
    }
    return add_span(us, from_us - day * US_PER_DAY);
}

bool tr_period_is_zero(const struct tr_period *period)
{
    return period->years == 0 && period->months == 0 && period->days == 0 && period->span_us == 0;
}

int64_t tr_period_after(const struct tr_period *period, int64_t from_us)
{
    int64_t us = clamp_time(from_us);
    if (period->years != 0 || period->months != 0 || period->days != 0) {
        us = add_date(us, period->years, period->months, period->days);
    }
    return add_span(us, period->span_us);
}

/* --- texts ---------------------------------------------------------------------------------------------------------- */

/* A decimal integer with an optional sign, as Go's Atoi takes it. */
static bool parse_int(struct tr_slice text, int64_t *out)
{
    const bool has_sign = text.len > 0 && (text.ptr[0] == '-' || text.ptr[0] == '+');
    const struct tr_slice digits = tr_slice_skip(text, has_sign ? 1 : 0);
    int64_t value = 0;
    for (size_t i = 0; i < digits.len; i++) {
        const char c = digits.ptr[i];
        if (c < '0' || c > '9' || __builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, c - '0', &value)) {
            return false;
        }
    }
    *out = has_sign && text.ptr[0] == '-' ? -value : value;
    return digits.len > 0;
}

/* "R<n>/" in front. False: malformed. The rest is empty when nothing follows. */
static bool take_repetitions(struct tr_slice *rest, int64_t *out_repetitions)
{
    const size_t end = tr_slice_find(*rest, '/');
    int64_t repetitions;
    if (!parse_int(tr_slice(rest->ptr + 1, end - 1), &repetitions)) {
        return false;
    }
    *out_repetitions = repetitions < 0 ? TR_PERIOD_UNLIMITED : repetitions;
    *rest = tr_slice_skip(*rest, end + 1);
    return true;
}

/* One number with its unit. False: the unit does not stand here. */
static bool apply_unit(struct tr_period *period, char unit, bool is_time, int64_t value)
{
    switch (unit) {
    case 'Y':
        period->years = value;
        return !is_time;
    case 'W':
        period->days += 7 * value;
        return !is_time;
    case 'D':
        period->days += value;
        return !is_time;
    case 'H':
        period->span_us += value * 3600 * US_PER_S;
        return is_time;
    case 'M':
        if (is_time) {
            period->span_us += value * 60 * US_PER_S;
        } else {
            period->months = value;
        }
        return true;
    case 'S':
        period->span_us += value * US_PER_S;
        return is_time;
    default:
        TR_BUG("no such unit");
    }
}

/*
 * ISO 8601 as the original reads it: integers only; characters that are no unit belong to the number, which they as a
 * rule spoil; a number at the end without a unit does not count. Each unit may come several times.
 */
static bool parse_iso(struct tr_slice text, struct tr_period *out_period)
{
    struct tr_period period = { .repetitions = TR_PERIOD_UNLIMITED };
    struct tr_slice rest = text;
    if (text.len < 2 || (text.ptr[0] == 'R' && !take_repetitions(&rest, &period.repetitions))) {
        return false;
    }
    if (rest.len == 0) { /* repetitions only */
        *out_period = period;
        return true;
    }
    if (rest.ptr[0] != 'P') {
        return false;
    }
    bool is_time = false;
    unsigned units_len = 0;
    size_t number_at = 1;
    for (size_t i = 1; i < rest.len; i++) {
        const char c = rest.ptr[i];
        int64_t value = 0;
        if (c == 'T') {
            if (number_at != i) {
                return false;
            }
            is_time = true;
        } else if (c == 'Y' || c == 'W' || c == 'D' || c == 'H' || c == 'M' || c == 'S') {
            if (!parse_int(tr_slice(rest.ptr + number_at, i - number_at), &value) ||
                value > NUMBER_MAX || value < -NUMBER_MAX || ++units_len > 64 ||
                !apply_unit(&period, c, is_time, value)) {
                return false;
            }
        } else {
            continue;
        }
        number_at = i + 1;
    }
    *out_period = period;
    return true;
}

enum tr_code tr_period_parse(struct tr_slice text, struct tr_period *out_period, struct tr_err *err)
{
    int64_t ns;
    struct tr_err ignored;
    if (parse_iso(text, out_period)) {
        return TR_OK;
    }
    if (tr_duration_parse(text, &ns, &ignored) == TR_OK) {
        *out_period =
            (struct tr_period){ .span_us = us_up(ns), .repetitions = TR_PERIOD_UNLIMITED };
        return TR_OK;
    }
    return tr_err_set(err, TR_INVALID, "unsupported duration format: %.*s", TR_SLICE_ARG(text));
}

enum tr_code tr_period_parse_time(struct tr_slice text, int64_t from_us, int64_t *out_us,
                                  struct tr_err *err)
{
    struct tr_period period;
    struct tr_date date;
    int64_t ns;
    struct tr_err ignored;
    if (parse_iso(text, &period)) {
        if (period.repetitions != TR_PERIOD_UNLIMITED) {
            return tr_err_set(err, TR_INVALID, "repetitions are not allowed");
        }
        *out_us = tr_period_after(&period, from_us);
        return TR_OK;
    }
    if (tr_duration_parse(text, &ns, &ignored) == TR_OK) {
        *out_us = add_span(clamp_time(from_us), us_up(ns));
        return TR_OK;
    }
    if (tr_date_parse(text, &date)) {
        const int64_t day = tr_date_days(date.year, date.month, date.day);
        const int64_t second =
            (int64_t)date.hour * 3600 + (int64_t)date.minute * 60 + (int64_t)date.second;
        *out_us = day * US_PER_DAY + (second - date.offset_s) * US_PER_S + us_up((int64_t)date.ns);
        return TR_OK;
    }
    return tr_err_set(err, TR_INVALID, "unsupported time/duration format: %.*s",
                      TR_SLICE_ARG(text));
}

/* --- schedules ------------------------------------------------------------------------------------------------------ */

/* A time as Go prints it by default: "2026-08-02 10:00:00.5 +0000 UTC". */
static void add_time(struct tr_buf *buf, int64_t us)
{
    const int64_t day = floor_div(us, US_PER_DAY);
    const struct civil date = civil_of_day(day);
    const int64_t in_day = us - day * US_PER_DAY;
    const int second = (int)(in_day / US_PER_S);
    tr_buf_addf(buf, "%04lld-%02u-%02u %02d:%02d:%02d", (long long)date.year, date.month, date.day,
                second / 3600, second / 60 % 60, second % 60);
    if (in_day % US_PER_S != 0) {
        tr_buf_addf(buf, ".%06d", (int)(in_day % US_PER_S));
        while (buf->ptr[buf->len - 1] == '0') {
            buf->len--;
        }
    }
    tr_buf_add_str(buf, " +0000 UTC");
}

static enum tr_code set_due(struct tr_schedule *schedule, struct tr_slice due_time, int64_t now_us,
                            struct tr_err *err)
{
    schedule->next_us = clamp_time(now_us);
    if (due_time.len > 0 &&
        tr_period_parse_time(due_time, now_us, &schedule->next_us, err) != TR_OK) {
        return tr_err_wrap(err, "error parsing timer due time");
    }
    return TR_OK;
}

static enum tr_code set_period(struct tr_schedule *schedule, struct tr_slice period,
                               struct tr_err *err)
{
    schedule->period = (struct tr_period){ .repetitions = TR_PERIOD_UNLIMITED };
    if (period.len > 0 && tr_period_parse(period, &schedule->period, err) != TR_OK) {
        return tr_err_wrap(err, "invalid timer period: parse error");
    }
    if (schedule->period.repetitions == 0) {
        return tr_err_set(err, TR_INVALID, "invalid timer period: has zero repetitions");
    }
    /* The original accepts it and fires without pause. */
    if (!tr_period_is_zero(&schedule->period) &&
        tr_period_after(&schedule->period, schedule->next_us) < schedule->next_us) {
        return tr_err_set(err, TR_INVALID, "invalid timer period: is negative");
    }
    schedule->left = schedule->period.repetitions;
    return TR_OK;
}

static enum tr_code set_expiry(struct tr_schedule *schedule, struct tr_slice key,
                               struct tr_slice ttl, int64_t now_us, struct tr_err *err)
{
    schedule->expiry_us = 0;
    if (ttl.len == 0) {
        return TR_OK;
    }
    int64_t expiry_us;
    if (tr_period_parse_time(ttl, schedule->next_us, &expiry_us, err) != TR_OK) {
        return tr_err_wrap(err, "error parsing timer TTL");
    }
    if (now_us > expiry_us || schedule->next_us > expiry_us) {
        struct tr_buf due = { 0 };
        add_time(&due, schedule->next_us);
        tr_err_set(err, TR_INVALID, "timer %.*s has already expired: dueTime: %s TTL: %.*s",
                   TR_SLICE_ARG(key), tr_buf_cstr(&due), TR_SLICE_ARG(ttl));
        tr_buf_fini(&due);
        return err->code;
    }
    schedule->expiry_us = expiry_us;
    return TR_OK;
}

enum tr_code tr_schedule_init(struct tr_schedule *schedule, struct tr_slice key,
                              struct tr_slice due_time, struct tr_slice period, struct tr_slice ttl,
                              int64_t now_us, struct tr_err *err)
{
    if (set_due(schedule, due_time, now_us, err) != TR_OK ||
        set_period(schedule, period, err) != TR_OK) {
        return err->code;
    }
    return set_expiry(schedule, key, ttl, now_us, err);
}

bool tr_schedule_is_active(const struct tr_schedule *schedule)
{
    return schedule->expiry_us == 0 || schedule->next_us < schedule->expiry_us;
}

bool tr_schedule_advance(struct tr_schedule *schedule)
{
    if (schedule->left > 0) {
        schedule->left--;
    }
    if (schedule->left == 0 || tr_period_is_zero(&schedule->period)) {
        return false;
    }
    schedule->next_us = tr_period_after(&schedule->period, schedule->next_us);
    return tr_schedule_is_active(schedule);
}
