#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "runtime/base/sm.h"

enum { CLOSED, OPEN, BROKEN, STATES_LEN };

static const struct tr_sm_state table[STATES_LEN] = {
    [CLOSED] = { "closed", TR_SM_TO(OPEN) },
    [OPEN] = { "open", TR_SM_TO(CLOSED) | TR_SM_TO(BROKEN) },
    [BROKEN] = { "broken", 0 },
};

static void a_legal_move_changes_the_state(void **state)
{
    (void)state;
    unsigned now = CLOSED;
    tr_sm_move(table, STATES_LEN, &now, OPEN);
    assert_int_equal(now, OPEN);
    tr_sm_move(table, STATES_LEN, &now, BROKEN);
    assert_int_equal(now, BROKEN);
}

static void an_illegal_move_aborts_and_names_both_states(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    const pid_t child = fork();
    if (child == 0) {
        (void)signal(SIGABRT, SIG_DFL);
        (void)dup2(ends[1], STDERR_FILENO);
        unsigned now = BROKEN;
        tr_sm_move(table, STATES_LEN, &now, CLOSED);
        _exit(0);
    }
    assert_true(child > 0);
    (void)close(ends[1]);
    char text[512] = { 0 };
    assert_true(read(ends[0], text, sizeof(text) - 1) > 0);
    (void)close(ends[0]);
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGABRT);
    assert_non_null(strstr(text, "no move from state 'broken' to 'closed'"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_legal_move_changes_the_state),
        cmocka_unit_test(an_illegal_move_aborts_and_names_both_states),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
