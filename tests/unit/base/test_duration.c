#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "runtime/base/duration.h"

static void assert_parses(const char *text, int64_t expected)
{
    struct tr_err err;
    int64_t ns = -1;
    assert_int_equal(tr_duration_parse(tr_slice_str(text), &ns, &err), TR_OK);
    assert_int_equal(ns, expected);
}

static void assert_refused(const char *text, const char *message)
{
    struct tr_err err;
    int64_t ns = -1;
    assert_int_equal(tr_duration_parse(tr_slice_str(text), &ns, &err), TR_INVALID);
    assert_string_equal(err.msg, message);
}

static void durations_parse_as_in_go(void **state)
{
    (void)state;
    assert_parses("0", 0);
    assert_parses("-0", 0);
    assert_parses("300ms", 300 * TR_NS_PER_MS);
    assert_parses("-1.5h", -5400 * TR_NS_PER_S);
    assert_parses("2h45m", 9900 * TR_NS_PER_S);
    assert_parses("+.5s", TR_NS_PER_S / 2);
    assert_parses("1.s", TR_NS_PER_S);
    assert_parses("1us2\xc2\xb5s3\xce\xbcs", 6000);
    assert_parses("1m1m", 120 * TR_NS_PER_S);
    assert_parses("0.33333333333333333333h", INT64_C(1200000000000));
    assert_parses("9223372036854775807ns", INT64_MAX);
    assert_parses("-9223372036854775808ns", INT64_MIN);
}

static void what_is_no_duration_is_refused_with_gos_text(void **state)
{
    (void)state;
    assert_refused("", "time: invalid duration \"\"");
    assert_refused("-", "time: invalid duration \"-\"");
    assert_refused(".s", "time: invalid duration \".s\"");
    assert_refused("1", "time: missing unit in duration \"1\"");
    assert_refused("1d", "time: unknown unit \"d\" in duration \"1d\"");
    assert_refused("1 s", "time: unknown unit \" s\" in duration \"1 s\"");
    assert_refused("1h-1m", "time: unknown unit \"h-\" in duration \"1h-1m\"");
    assert_refused("\"\xc3\xa9", "time: invalid duration \"\\\"\\xc3\\xa9\"");
    assert_refused("9223372036854775808ns", "time: invalid duration \"9223372036854775808ns\"");
    assert_refused("2562048h", "time: invalid duration \"2562048h\"");
    assert_refused("99999999999999999999s", "time: invalid duration \"99999999999999999999s\"");
}

static void assert_prints(int64_t ns, const char *expected)
{
    struct tr_buf buf = { 0 };
    tr_duration_add(&buf, ns);
    assert_string_equal(tr_buf_cstr(&buf), expected);
    tr_buf_fini(&buf);
}

static void durations_print_as_in_go(void **state)
{
    (void)state;
    assert_prints(0, "0s");
    assert_prints(1, "1ns");
    assert_prints(1100, "1.1\xc2\xb5s");
    assert_prints(500 * TR_NS_PER_MS, "500ms");
    assert_prints(1500 * TR_NS_PER_MS, "1.5s");
    assert_prints(60 * TR_NS_PER_S, "1m0s");
    assert_prints(3600 * TR_NS_PER_S, "1h0m0s");
    assert_prints(-(3600 + 61) * TR_NS_PER_S - 5, "-1h1m1.000000005s");
    assert_prints(INT64_MAX, "2562047h47m16.854775807s");
    assert_prints(INT64_MIN, "-2562047h47m16.854775808s");
}

static void milliseconds_are_rounded_up_and_never_negative(void **state)
{
    (void)state;
    assert_int_equal(tr_duration_ms_up(1), 1);
    assert_int_equal(tr_duration_ms_up(TR_NS_PER_MS), 1);
    assert_int_equal(tr_duration_ms_up(TR_NS_PER_MS + 1), 2);
    assert_int_equal(tr_duration_ms_up(-5), 0);
    assert_int_equal(tr_duration_ms_up(INT64_MAX), UINT64_C(9223372036855));
}

static void sums_that_do_not_fit_are_refused(void **state)
{
    (void)state;
    int64_t sum = 0;
    assert_true(tr_duration_sum(INT64_MAX, -1, &sum));
    assert_int_equal(sum, INT64_MAX - 1);
    assert_false(tr_duration_sum(INT64_MAX, 1, &sum));
}

static void assert_time(const char *text, int64_t expected_ns, int expected_offset_s)
{
    struct tr_err err;
    int64_t ns = -1;
    int offset_s = -1;
    assert_int_equal(tr_time_parse(tr_slice_str(text), &ns, &offset_s, &err), TR_OK);
    assert_int_equal(ns, expected_ns);
    assert_int_equal(offset_s, expected_offset_s);
}

static void times_parse_with_fractions_and_offsets(void **state)
{
    (void)state;
    assert_time("1970-01-01T00:00:00Z", 0, 0);
    assert_time("2026-08-02T10:00:00.1234Z", INT64_C(1785664800123400000), 0);
    assert_time("2026-08-02T12:00:00+02:00", INT64_C(1785664800) * TR_NS_PER_S, 7200);
    assert_time("2026-08-02T04:30:00-05:30", INT64_C(1785664800) * TR_NS_PER_S, -19800);
    assert_time("1969-12-31T23:59:59.5Z", -TR_NS_PER_S / 2, 0);
    assert_time("2024-02-29T00:00:00.0000000019Z", INT64_C(1709164800) * TR_NS_PER_S + 1, 0);
    assert_time("1677-09-21T00:12:43.145224192Z", INT64_MIN, 0);
    assert_time("2262-04-11T23:47:16.854775807Z", INT64_MAX, 0);
}

static void what_is_no_time_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "2026-08-02",
        "2026-08-02 10:00:00Z",
        "2026-08-02t10:00:00Z",
        "2026-08-02T10:00:00",
        "2026-08-02T10:00:00z",
        "2026-08-02T10:00:00.Z",
        "2026-08-02T10:00:00Zx",
        "2026-08-02T10:00:00+2:00",
        "2026-08-02T10:00:00+24:00",
        "2026-13-01T00:00:00Z",
        "2026-00-01T00:00:00Z",
        "2026-02-29T00:00:00Z",
        "2026-01-32T00:00:00Z",
        "2026-01-01T24:00:00Z",
        "2026-01-01T00:00:60Z",
        "2262-04-11T23:47:16.854775808Z",
        "1677-09-21T00:12:43.145224191Z",
        "9999-01-01T00:00:00Z",
    };
    for (size_t i = 0; i < TR_ARRAY_LEN(bad); i++) {
        struct tr_err err;
        int64_t ns = 0;
        assert_int_equal(tr_time_parse(tr_slice_str(bad[i]), &ns, NULL, &err), TR_INVALID);
    }
}

static void times_print_with_and_without_fraction(void **state)
{
    (void)state;
    struct tr_buf buf = { 0 };
    tr_time_add(&buf, INT64_C(1785664800123400000), 0);
    assert_string_equal(tr_buf_cstr(&buf), "2026-08-02T10:00:00Z");
    tr_buf_clear(&buf);
    tr_time_add_nano(&buf, INT64_C(1785664800123400000), -19800);
    assert_string_equal(tr_buf_cstr(&buf), "2026-08-02T04:30:00.1234-05:30");
    tr_buf_clear(&buf);
    tr_time_add_nano(&buf, -1, 0);
    assert_string_equal(tr_buf_cstr(&buf), "1969-12-31T23:59:59.999999999Z");
    tr_buf_clear(&buf);
    tr_time_add_nano(&buf, 0, 3600);
    assert_string_equal(tr_buf_cstr(&buf), "1970-01-01T01:00:00+01:00");
    tr_buf_fini(&buf);
}

static void every_day_splits_and_joins_to_itself(void **state)
{
    (void)state;
    for (int64_t day = -106000; day <= 106000; day += 7) {
        struct tr_date date;
        const int64_t ns = day * 86400 * TR_NS_PER_S + 12345;
        int64_t again = 0;
        tr_date_split(ns, 3600, &date);
        assert_true(tr_date_join(&date, &again));
        assert_int_equal(again, ns);
    }
}

static void assert_added(const char *from, int64_t years, int64_t months, int64_t days,
                         const char *expected)
{
    struct tr_err err;
    struct tr_date date;
    struct tr_buf buf = { 0 };
    int64_t ns = 0;
    int offset_s = 0;
    assert_int_equal(tr_time_parse(tr_slice_str(from), &ns, &offset_s, &err), TR_OK);
    tr_date_split(ns, offset_s, &date);
    assert_true(tr_date_add(&date, years, months, days, &ns));
    tr_time_add(&buf, ns, offset_s);
    assert_string_equal(tr_buf_cstr(&buf), expected);
    tr_buf_fini(&buf);
}

static void calendar_sums_overflow_into_the_next_month(void **state)
{
    (void)state;
    assert_added("2026-01-31T10:00:00Z", 0, 1, 0, "2026-03-03T10:00:00Z");
    assert_added("2024-01-31T10:00:00Z", 0, 1, 0, "2024-03-02T10:00:00Z");
    assert_added("2024-02-29T10:00:00Z", 1, 0, 0, "2025-03-01T10:00:00Z");
    assert_added("2026-12-31T23:00:00+02:00", 0, 0, 1, "2027-01-01T23:00:00+02:00");
    assert_added("2026-01-15T00:00:00Z", -1, -13, -15, "2023-11-30T00:00:00Z");
}

static void calendar_sums_that_do_not_fit_are_refused(void **state)
{
    (void)state;
    struct tr_date date;
    int64_t ns = 0;
    tr_date_split(0, 0, &date);
    assert_false(tr_date_add(&date, 300, 0, 0, &ns));
    assert_false(tr_date_add(&date, INT64_MAX, 0, 0, &ns));
    assert_false(tr_date_add(&date, 0, INT64_MIN, 0, &ns));
    assert_false(tr_date_add(&date, 0, 0, INT64_MAX, &ns));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(durations_parse_as_in_go),
        cmocka_unit_test(what_is_no_duration_is_refused_with_gos_text),
        cmocka_unit_test(durations_print_as_in_go),
        cmocka_unit_test(milliseconds_are_rounded_up_and_never_negative),
        cmocka_unit_test(sums_that_do_not_fit_are_refused),
        cmocka_unit_test(times_parse_with_fractions_and_offsets),
        cmocka_unit_test(what_is_no_time_is_refused),
        cmocka_unit_test(times_print_with_and_without_fraction),
        cmocka_unit_test(every_day_splits_and_joins_to_itself),
        cmocka_unit_test(calendar_sums_overflow_into_the_next_month),
        cmocka_unit_test(calendar_sums_that_do_not_fit_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
