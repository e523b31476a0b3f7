#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "runtime/base/err.h"

static void wrapping_puts_text_in_front_and_keeps_the_code(void **state)
{
    (void)state;
    struct tr_err err;
    assert_int_equal(tr_err_set(&err, TR_LIMIT, "queue is full: %d", 7), TR_LIMIT);
    assert_int_equal(tr_err_wrap(&err, "call actor '%s'", "a-1"), TR_LIMIT);
    assert_string_equal(err.msg, "call actor 'a-1': queue is full: 7");
}

static void an_error_may_be_made_of_its_own_text(void **state)
{
    (void)state;
    struct tr_err err;
    tr_err_set(&err, TR_IO, "disk is full");
    tr_err_set(&err, TR_ACTOR_INVOKE, "invoke: %s", err.msg);
    assert_string_equal(err.msg, "invoke: disk is full");
}

static void long_text_is_cut_at_a_character(void **state)
{
    (void)state;
    char text[2 * TR_ERR_MSG_MAX];
    for (size_t lead = 0; lead < 4; lead++) {
        size_t len = lead;
        memset(text, 'x', lead);
        while (len + 3 < sizeof(text)) {
            memcpy(text + len, "\xe2\x82\xac", 3);
            len += 3;
        }
        text[len] = '\0';
        struct tr_err err;
        tr_err_set(&err, TR_INVALID, "%s", text);
        const size_t cut = strlen(err.msg);
        assert_true(cut < TR_ERR_MSG_MAX && cut > TR_ERR_MSG_MAX - 4);
        assert_int_equal((cut - lead) % 3, 0);

        tr_err_set(&err, TR_INVALID, "%s", "y");
        tr_err_wrap(&err, "%s", text);
        assert_true(strlen(err.msg) < TR_ERR_MSG_MAX);
    }
}

static void codes_of_grpc_statuses_keep_their_numbers(void **state)
{
    (void)state;
    for (int status = 0; status <= 16; status++) {
        assert_int_equal(tr_code_from_grpc(status), status);
        assert_int_equal(tr_code_grpc(tr_code_from_grpc(status)), status);
    }
    assert_int_equal(tr_code_from_grpc(17), TR_UNKNOWN);
    assert_int_equal(tr_code_from_grpc(-1), TR_UNKNOWN);
}

static void named_rows_carry_name_and_both_statuses(void **state)
{
    (void)state;
    assert_string_equal(tr_code_name(TR_ACTOR_NO_ADDRESS), "ERR_ACTOR_NO_ADDRESS");
    assert_int_equal(tr_code_http(TR_ACTOR_NO_ADDRESS), 404);
    assert_int_equal(tr_code_grpc(TR_ACTOR_NO_ADDRESS), 9);
    assert_string_equal(tr_code_name(TR_OK), "");
    assert_string_equal(tr_grpc_status_name(9), "FailedPrecondition");
    assert_string_equal(tr_grpc_status_name(99), "Unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wrapping_puts_text_in_front_and_keeps_the_code),
        cmocka_unit_test(an_error_may_be_made_of_its_own_text),
        cmocka_unit_test(long_text_is_cut_at_a_character),
        cmocka_unit_test(codes_of_grpc_statuses_keep_their_numbers),
        cmocka_unit_test(named_rows_carry_name_and_both_statuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
