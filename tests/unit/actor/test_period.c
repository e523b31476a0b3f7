/* Texts of times and periods, calendar arithmetic, schedules. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "runtime/actor/period.h"
#include "runtime/base/assert.h"

#define S   INT64_C(1000000)
#define H   (3600 * S)
#define DAY (24 * H)
/* 2026-08-02 10:00:00 UTC */
#define NOW (INT64_C(1785664800) * S)

static void assert_period(const char *text, int64_t years, int64_t months, int64_t days,
                          int64_t span_us, int64_t repetitions)
{
    struct tr_period p;
    struct tr_err err = { .msg = "" };
    if (tr_period_parse(tr_slice_str(text), &p, &err) != TR_OK) {
        fail_msg("%s: %s", text, err.msg);
    }
    if (p.years != years || p.months != months || p.days != days || p.span_us != span_us ||
        p.repetitions != repetitions) {
        fail_msg("%s gives %lld %lld %lld %lld %lld", text, (long long)p.years, (long long)p.months,
                 (long long)p.days, (long long)p.span_us, (long long)p.repetitions);
    }
}

static void durations_are_read_as_the_original_reads_them(void **state)
{
    assert_period("PT10S", 0, 0, 0, 10 * S, -1);
    assert_period("R5/PT10S", 0, 0, 0, 10 * S, 5);
    assert_period("R-1/PT10S", 0, 0, 0, 10 * S, -1);
    assert_period("R-7/PT10S", 0, 0, 0, 10 * S, -1);
    assert_period("R+2/PT1H", 0, 0, 0, H, 2);
    assert_period("R0/PT1H", 0, 0, 0, H, 0);
    assert_period("R3", 0, 0, 0, 0, 3);
    assert_period("R3/", 0, 0, 0, 0, 3);
    assert_period("P1Y2M3W4DT5H6M7S", 1, 2, 25, 5 * H + 6 * 60 * S + 7 * S, -1);
    assert_period("P2M", 0, 2, 0, 0, -1);
    assert_period("PT2M", 0, 0, 0, 120 * S, -1);
    assert_period("P-1D", 0, 0, -1, 0, -1);
    assert_period("P1D2D", 0, 0, 3, 0, -1); /* days add up */
    assert_period("P1Y2Y", 2, 0, 0, 0, -1); /* years do not */
    assert_period("PT", 0, 0, 0, 0, -1);
    assert_period("PT5", 0, 0, 0, 0, -1);         /* a number without a unit does not count */
    assert_period("P1DTT1S", 0, 0, 1, 1 * S, -1); /* the second T changes nothing */
    assert_period("1h30m", 0, 0, 0, H + 30 * 60 * S, -1);
    assert_period("1.5ms", 0, 0, 0, 1500, -1);
    assert_period("1ns", 0, 0, 0, 1, -1); /* rounded up */
    assert_period("-1s", 0, 0, 0, -S, -1);
    assert_period("0", 0, 0, 0, 0, -1);
    (void)state;
}

static void bad_durations_are_named(void **state)
{
    const char *const bad[] = { "",
                                "P",
                                "R",
                                "R/PT1S",
                                "Rx/PT1S",
                                "R1x/PT1S",
                                "PY",
                                "P1H",
                                "PT1Y",
                                "PT1D",
                                "P1T1S",
                                "P1.5D",
                                "PT1.5S",
                                "P1 D",
                                "1d",
                                "foo",
                                "R5/1s",
                                "R5/foo",
                                "R5/PTxS",
                                "T1S",
                                "pt1s",
                                "P99999999999Y",
                                "R99999999999999999999/PT1S" };
    for (size_t i = 0; i < TR_ARRAY_LEN(bad); i++) {
        struct tr_period p;
        struct tr_err err;
        if (tr_period_parse(tr_slice_str(bad[i]), &p, &err) == TR_OK) {
            fail_msg("'%s' was accepted", bad[i]);
        }
        assert_int_equal(err.code, TR_INVALID);
        assert_non_null(strstr(err.msg, "unsupported duration format: "));
        assert_string_equal(err.msg + strlen("unsupported duration format: "), bad[i]);
    }
    (void)state;
}

static int64_t time_of(const char *text, int64_t from_us)
{
    int64_t us = 0;
    struct tr_err err = { .msg = "" };
    if (tr_period_parse_time(tr_slice_str(text), from_us, &us, &err) != TR_OK) {
        fail_msg("%s: %s", text, err.msg);
    }
    return us;
}

static void points_in_time_are_durations_from_now_or_dates(void **state)
{
    assert_int_equal(time_of("PT10S", NOW), NOW + 10 * S);
    assert_int_equal(time_of("1m", NOW), NOW + 60 * S);
    assert_int_equal(time_of("-5s", NOW), NOW - 5 * S);
    assert_int_equal(time_of("R-1/PT1S", NOW), NOW + S); /* no limit is no repetition */
    assert_int_equal(time_of("2026-08-02T10:00:00Z", 0), NOW);
    assert_int_equal(time_of("2026-08-02T12:00:00.25+02:00", 0), NOW + S / 4);
    assert_int_equal(time_of("2026-08-02T10:00:00.0000001Z", 0), NOW + 1);
    assert_int_equal(time_of("2552-01-01T00:00:00Z", 0), INT64_C(18366134400) * S);
    assert_int_equal(time_of("9999-12-31T23:59:59Z", 0), INT64_C(253402300799) * S);
    assert_int_equal(time_of("0001-01-01T00:00:00Z", 0), INT64_C(-62135596800) * S);
    (void)state;
}

static void bad_points_in_time_are_named(void **state)
{
    int64_t us;
    struct tr_err err;
    assert_int_equal(tr_period_parse_time(tr_slice_str("R2/PT1S"), NOW, &us, &err), TR_INVALID);
    assert_string_equal(err.msg, "repetitions are not allowed");
    assert_int_equal(tr_period_parse_time(tr_slice_str("tomorrow"), NOW, &us, &err), TR_INVALID);
    assert_string_equal(err.msg, "unsupported time/duration format: tomorrow");
    assert_int_equal(tr_period_parse_time(tr_slice_str("2026-02-30T10:00:00Z"), NOW, &us, &err),
                     TR_INVALID);
    (void)state;
}

static void assert_after(const char *from, const char *period, const char *want)
{
    const int64_t us = time_of(from, 0);
    if (time_of(period, us) != time_of(want, 0)) {
        fail_msg("%s and %s is %lld, not %s", from, period, (long long)time_of(period, us), want);
    }
}

static void calendar_steps_run_on_over_the_end_of_a_month(void **state)
{
    assert_after("2026-01-31T10:00:00Z", "P1M", "2026-03-03T10:00:00Z");
    assert_after("2028-01-31T10:00:00Z", "P1M", "2028-03-02T10:00:00Z");
    assert_after("2028-02-29T10:00:00Z", "P1Y", "2029-03-01T10:00:00Z");
    assert_after("2026-12-31T23:59:59Z", "P1D", "2027-01-01T23:59:59Z");
    assert_after("2026-11-15T00:00:00Z", "P14M", "2028-01-15T00:00:00Z");
    assert_after("2026-03-15T00:00:00Z", "P-4M", "2025-11-15T00:00:00Z");
    assert_after("1969-12-31T12:00:00Z", "P1D", "1970-01-01T12:00:00Z");
    assert_after("1900-02-28T00:00:00Z", "P1D", "1900-03-01T00:00:00Z");
    assert_after("2000-02-28T00:00:00Z", "P1D", "2000-02-29T00:00:00Z");
    (void)state;
}

static void adding_days_agrees_with_plain_arithmetic(void **state)
{
    for (int64_t day = -800000; day < 800000; day += 1237) {
        const struct tr_period one = { .days = 1 };
        const struct tr_period back = { .days = -1 };
        assert_int_equal(tr_period_after(&one, day * DAY + 5), (day + 1) * DAY + 5);
        assert_int_equal(tr_period_after(&back, day * DAY + 5), (day - 1) * DAY + 5);
    }
    (void)state;
}

static void far_points_are_cut_and_never_overflow(void **state)
{
    const struct tr_period eternity = { .years = 1000000000,
                                        .months = 1000000000,
                                        .span_us = INT64_MAX };
    const struct tr_period past = { .years = -1000000000,
                                    .days = -7000000000,
                                    .span_us = INT64_MIN };
    assert_int_equal(tr_period_after(&eternity, NOW), TR_PERIOD_TIME_MAX_US);
    assert_int_equal(tr_period_after(&past, NOW), -TR_PERIOD_TIME_MAX_US);
    assert_int_equal(tr_period_after(&(struct tr_period){ .days = INT64_C(64000000000) }, NOW),
                     TR_PERIOD_TIME_MAX_US);
    (void)state;
}

/* --- schedules --- */

static enum tr_code init(struct tr_schedule *s, const char *due, const char *period,
                         const char *ttl, struct tr_err *err)
{
    return tr_schedule_init(s, TR_SLICE_LIT("cat||tom||t1"), tr_slice_str(due),
                            tr_slice_str(period), tr_slice_str(ttl), NOW, err);
}

/* Number of firings, at most `max`. */
static unsigned firings(const char *due, const char *period, const char *ttl, unsigned max)
{
    struct tr_schedule s;
    struct tr_err err = { .msg = "" };
    if (init(&s, due, period, ttl, &err) != TR_OK) {
        fail_msg("%s", err.msg);
    }
    unsigned count = 0;
    for (bool is_on = tr_schedule_is_active(&s); is_on && count < max; count++) {
        is_on = tr_schedule_advance(&s);
    }
    return count;
}

static void schedules_fire_as_often_as_they_should(void **state)
{
    assert_int_equal(firings("", "", "", 100), 1);
    assert_int_equal(firings("1s", "", "", 100), 1);
    assert_int_equal(firings("", "R3/PT1S", "", 100), 3);
    assert_int_equal(firings("", "R1/PT1S", "", 100), 1);
    assert_int_equal(firings("", "R3", "", 100), 1); /* no period: once */
    assert_int_equal(firings("", "0s", "", 100), 1);
    assert_int_equal(firings("", "1s", "", 100), 100);
    assert_int_equal(firings("", "1s", "5s", 100), 5);
    assert_int_equal(firings("2s", "1s", "5s", 100),
                     5); /* the time to live counts from the due time */
    assert_int_equal(firings("", "R3/PT1S", "PT2S", 100), 2);
    assert_int_equal(firings("", "R3/PT1S", "PT1M", 100), 3);
    assert_int_equal(firings("", "", "0s", 100),
                     0); /* expired when due: accepted, and never fires */
    assert_int_equal(firings("-5s", "", "", 100), 1);
    (void)state;
}

static void the_next_time_is_reckoned_from_the_scheduled_one(void **state)
{
    struct tr_schedule s;
    struct tr_err err;
    assert_int_equal(init(&s, "10s", "P1M", "", &err), TR_OK);
    assert_int_equal(s.next_us, NOW + 10 * S);
    assert_true(tr_schedule_advance(&s));
    assert_int_equal(s.next_us, NOW + 31 * DAY + 10 * S); /* August has 31 days */
    assert_true(tr_schedule_advance(&s));
    assert_int_equal(s.next_us, NOW + 61 * DAY + 10 * S);
    (void)state;
}

static void assert_refused(const char *due, const char *period, const char *ttl, const char *want)
{
    struct tr_schedule s;
    struct tr_err err;
    assert_int_equal(init(&s, due, period, ttl, &err), TR_INVALID);
    assert_string_equal(err.msg, want);
}

static void bad_schedules_are_refused_in_daprs_words(void **state)
{
    assert_refused("soon", "", "",
                   "error parsing timer due time: unsupported time/duration format: soon");
    assert_refused("R2/PT1S", "", "", "error parsing timer due time: repetitions are not allowed");
    assert_refused("", "often", "",
                   "invalid timer period: parse error: unsupported duration format: often");
    assert_refused("", "R0/PT1S", "", "invalid timer period: has zero repetitions");
    assert_refused("", "-1s", "", "invalid timer period: is negative");
    assert_refused("", "P1MT-800H", "", "invalid timer period: is negative");
    assert_refused("", "", "long",
                   "error parsing timer TTL: unsupported time/duration format: long");
    assert_refused(
        "2s", "", "2026-08-02T10:00:01Z",
        "timer cat||tom||t1 has already expired: dueTime: 2026-08-02 10:00:02 +0000 UTC TTL: "
        "2026-08-02T10:00:01Z");
    assert_refused("500ms", "", "-2s",
                   "timer cat||tom||t1 has already expired: dueTime: 2026-08-02 10:00:00.5 +0000 "
                   "UTC TTL: -2s");
    assert_refused(
        "2026-08-01T00:00:00Z", "", "1h",
        "timer cat||tom||t1 has already expired: dueTime: 2026-08-01 00:00:00 +0000 UTC TTL: 1h");
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(durations_are_read_as_the_original_reads_them),
        cmocka_unit_test(bad_durations_are_named),
        cmocka_unit_test(points_in_time_are_durations_from_now_or_dates),
        cmocka_unit_test(bad_points_in_time_are_named),
        cmocka_unit_test(calendar_steps_run_on_over_the_end_of_a_month),
        cmocka_unit_test(adding_days_agrees_with_plain_arithmetic),
        cmocka_unit_test(far_points_are_cut_and_never_overflow),
        cmocka_unit_test(schedules_fire_as_often_as_they_should),
        cmocka_unit_test(the_next_time_is_reckoned_from_the_scheduled_one),
        cmocka_unit_test(bad_schedules_are_refused_in_daprs_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
