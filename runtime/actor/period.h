/*
 * Due times, periods and expiry of timers and reminders (pure): the texts that users write, and the arithmetic on them.
 *
 * A text is an ISO 8601 duration, else a Go duration, else, where a point in time is allowed, an RFC3339 time. Years,
 * months and days are added by the calendar, with overflow carried on: 31 January and one month is 3 March.
 *
 * Times are microseconds since 1970 in UTC; what is finer is rounded up, so that nothing comes early.
 * Source: Dapr kit time/time.go, pkg/actors/api/period.go, pkg/actors/api/reminders.go (1.18); actors 8.1, 8.3.
 */
#ifndef TR_ACTOR_PERIOD_H
#define TR_ACTOR_PERIOD_H

#include <stdbool.h>
#include <stdint.h>

#include "runtime/base/err.h"
#include "runtime/base/slice.h"

/* Repetitions without end. Any negative count the user gives means the same. */
#define TR_PERIOD_UNLIMITED (-1)
/* Points in time beyond this, in either direction, are cut to it: the year 100,000. */
#define TR_PERIOD_TIME_MAX_US INT64_C(3093527980800000000)

struct tr_period {
    int64_t years;
    int64_t months;
    int64_t days;
    int64_t span_us;     /* hours and below */
    int64_t repetitions; /* how often in all; TR_PERIOD_UNLIMITED */
};

/*
 * Read a duration with optional repetitions: "R5/PT10S", "P1DT2H", "1h30m", "R3".
 * Errors: TR_INVALID `unsupported duration format: <text>`.
 */
TR_MUST_USE enum tr_code tr_period_parse(struct tr_slice text, struct tr_period *out_period, struct tr_err *err);

/* Is any part of the period other than zero? */
bool tr_period_is_zero(const struct tr_period *period);

/* `from_us` and one period. */
int64_t tr_period_after(const struct tr_period *period, int64_t from_us);

/*
 * Read a point in time: a duration from `from_us` on, or an RFC3339 time.
 * Errors: TR_INVALID `repetitions are not allowed`, `unsupported time/duration format: <text>`.
 */
TR_MUST_USE enum tr_code tr_period_parse_time(struct tr_slice text, int64_t from_us, int64_t *out_us,
                                              struct tr_err *err);

/* When a timer fires: made once, moved on after each firing. */
struct tr_schedule {
    struct tr_period period;
    int64_t next_us;
    int64_t expiry_us; /* 0: never */
    int64_t left;      /* firings left, TR_PERIOD_UNLIMITED */
};

/*
 * Make a schedule of the user's three texts, each of which may be empty: due now, once, for ever. `key` names the timer
 * in the error text ("<type>||<id>||<name>").
 *
 * Errors: TR_INVALID with Dapr's texts: `error parsing timer due time: ...`, `invalid timer period: parse error: ...`,
 *         `invalid timer period: has zero repetitions`, `invalid timer period: is negative`, `error parsing timer TTL:
 *         ...`, `timer <key> has already expired: dueTime: <time> TTL: <text>`.
 */
TR_MUST_USE enum tr_code tr_schedule_init(struct tr_schedule *schedule, struct tr_slice key,
                                          struct tr_slice due_time, struct tr_slice period, struct tr_slice ttl,
                                          int64_t now_us, struct tr_err *err);

/* Is there a firing to come? False from the start when the expiry is the due time. */
bool tr_schedule_is_active(const struct tr_schedule *schedule);

/*
 * One firing is done: move on to the next, reckoned from the scheduled time and not from now. False when there is none.
 */
bool tr_schedule_advance(struct tr_schedule *schedule);

#endif
