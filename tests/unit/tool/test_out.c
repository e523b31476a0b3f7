#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include "runtime/tool/out.h"

static void a_line_has_its_name_in_front(void **state)
{
    (void)state;
    struct tr_dev_out out = { 0 };
    int fds[2];
    char got[64];
    assert_int_equal(pipe(fds), 0);
    tr_dev_out_line(&out, fds[1], "app", TR_SLICE_LIT("hello"));
    tr_dev_out_line(&out, fds[1], "placement", TR_SLICE_LIT(""));
    const ssize_t n = read(fds[0], got, sizeof(got));
    assert_true(n > 0);
    assert_true(tr_slice_eq_str(tr_slice(got, (size_t)n), "app       | hello\nplacement | \n"));
    assert_false(out.is_broken);
    (void)close(fds[0]);
    (void)close(fds[1]);
    tr_dev_out_fini(&out);
}

static void a_reader_that_has_gone_is_noticed_and_lines_are_dropped(void **state)
{
    (void)state;
    struct tr_dev_out out = { 0 };
    int fds[2];
    assert_true(signal(SIGPIPE, SIG_IGN) != SIG_ERR);
    assert_int_equal(pipe(fds), 0);
    (void)close(fds[0]);
    tr_dev_out_line(&out, fds[1], "app", TR_SLICE_LIT("hello"));
    assert_true(out.is_broken);
    tr_dev_out_line(&out, fds[1], "app", TR_SLICE_LIT("hello"));
    (void)close(fds[1]);
    tr_dev_out_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_has_its_name_in_front),
        cmocka_unit_test(a_reader_that_has_gone_is_noticed_and_lines_are_dropped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
