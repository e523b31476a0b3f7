#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "runtime/base/quantity.h"

static void quantities_parse_with_every_kind_of_suffix(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t value;
    } cases[] = {
        { "0", 0 },
        { "-1", -1 },
        { "+5", 5 },
        { "4Mi", 4194304 },
        { "4Ki", 4096 },
        { "1.5Gi", 1610612736 },
        { "1k", 1000 },
        { "9.2E", INT64_C(9200000000000000000) },
        { "7Ei", INT64_C(8070450532247928832) },
        { "1e3", 1000 },
        { "1E3", 1000 },
        { "12e-1", 2 },
        { "100m", 1 },
        { "1500m", 2 },
        { "-1500m", -2 },
        { "1n", 1 },
        { "0.000000001", 1 },
        { ".5", 1 },
        { "3.", 3 },
        { "007", 7 },
        { "9223372036854775807", INT64_MAX },
        { "10E", INT64_MAX },
        { "-8Ei", -INT64_MAX },
        { "123456789012345678901234", INT64_MAX },
        { "1.00000000000000000000000001", 1 },
    };
    for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++) {
        struct tr_err err;
        int64_t value = 77;
        assert_int_equal(tr_quantity_parse(tr_slice_str(cases[i].text), &value, &err), TR_OK);
        assert_int_equal(value, cases[i].value);
    }
}

static void what_is_no_quantity_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = { "",   "x",    "-",    ".",   "1.2.3", "4 Mi", "4mi", "4K",
                                       "1e", "1ex3", "1e99", "1e+",  "--1" };
    for (size_t i = 0; i < TR_ARRAY_LEN(bad); i++) {
        struct tr_err err;
        int64_t value = 77;
        assert_int_equal(tr_quantity_parse(tr_slice_str(bad[i]), &value, &err), TR_INVALID);
        assert_int_equal(value, 77);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quantities_parse_with_every_kind_of_suffix),
        cmocka_unit_test(what_is_no_quantity_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
