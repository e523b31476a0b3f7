/*
 * Durations and points in time as texts: Go's duration syntax, and RFC 3339. Pure: no clock is read.
 * Both are signed 64-bit nanoseconds; a point in time counts from the Unix epoch (years 1678 to 2262).
 */
#ifndef TR_BASE_DURATION_H
#define TR_BASE_DURATION_H

#include <stdbool.h>
#include <stdint.h>

#include "runtime/base/buf.h"
#include "runtime/base/err.h"
#include "runtime/base/slice.h"

#define TR_NS_PER_US INT64_C(1000)
#define TR_NS_PER_MS INT64_C(1000000)
#define TR_NS_PER_S  INT64_C(1000000000)

/*
 * Parse a Go duration: "300ms", "-1.5h", "2h45m", "0". Units are ns, us (also with either micro sign), ms, s, m, h.
 *
 * Errors: TR_INVALID with Go's text: `time: invalid duration "x"`, `time: missing unit in duration "1"`,
 *         `time: unknown unit "d" in duration "1d"`. Overflow is invalid.
 * Source: Go time/format.go, ParseDuration.
 */
enum tr_code tr_duration_parse(struct tr_slice text, int64_t *out_ns, struct tr_err *err) TR_MUST_USE;

/* Append a duration as Go prints it: "0s", "1.5s", "500ms", "3m0s". Source: Go time/time.go, Duration.String. */
void tr_duration_add(struct tr_buf *buf, int64_t ns);

/* Milliseconds for the loop's clock: rounded up, so that nothing fires early; negative gives 0. */
uint64_t tr_duration_ms_up(int64_t ns);

/* a + b, or false on overflow. */
bool tr_duration_sum(int64_t a, int64_t b, int64_t *out_ns);

/* A moment on the calendar, with the offset of its zone in seconds east of UTC. */
struct tr_date {
    int year;       /* 1970 is 1970 */
    unsigned month; /* 1 to 12 */
    unsigned day;   /* 1 to 31 */
    unsigned hour;
    unsigned minute;
    unsigned second;
    unsigned ns;
    int offset_s;
};

/* Days since the epoch of a civil date (proleptic Gregorian), and back. Cost: O(1). */
int64_t tr_date_days(int year, unsigned month, unsigned day);
void tr_date_split(int64_t unix_ns, int offset_s, struct tr_date *out_date);
/* Nanoseconds since the epoch; false if that does not fit. Fields must be in their ranges. */
bool tr_date_join(const struct tr_date *date, int64_t *out_unix_ns);

/*
 * Add years, months and days as Go does: 31 January and one month is 3 March (2 March in a leap year). The clock time
 * and zone offset of the date are kept. False on overflow.
 *
 * Source: Go time/time.go, AddDate.
 */
bool tr_date_add(const struct tr_date *date, int64_t years, int64_t months, int64_t days, int64_t *out_unix_ns);

/* Parse RFC 3339 as tr_time_parse() does, for years beyond 64-bit nanoseconds too. False for anything else. */
bool tr_date_parse(struct tr_slice text, struct tr_date *out_date);

/*
 * Parse RFC 3339 with an optional fraction: "2026-08-02T10:00:00.5+02:00". `out_offset_s` may be NULL.
 *
 * Errors: TR_INVALID for anything else, for dates that are none and for points outside of 64-bit nanoseconds.
 * Source: RFC 3339 5.6, as Go time/format_rfc3339.go reads it: `T` and `Z` in upper case, no leap second; digits of the
 *         fraction beyond nine are cut.
 */
enum tr_code tr_time_parse(struct tr_slice text, int64_t *out_unix_ns, int *out_offset_s, struct tr_err *err)
    TR_MUST_USE;

/* Append as Go's RFC3339 ("2006-01-02T15:04:05Z07:00"): whole seconds, `Z` for offset 0. */
void tr_time_add(struct tr_buf *buf, int64_t unix_ns, int offset_s);
/* Append as Go's RFC3339Nano: with a fraction without trailing zeros, none if zero. */
void tr_time_add_nano(struct tr_buf *buf, int64_t unix_ns, int offset_s);

#endif
