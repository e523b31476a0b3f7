#include "runtime/base/process.h"

#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <setjmp.h>
#include <cmocka.h>

#include "runtime/base/buf.h"

#define WAIT_MS 20000

struct child {
    struct tr_loop *loop;
    struct tr_process *process;
    struct tr_buf lines; /* "o:text|" or "e:text|" */
    size_t longest;
    unsigned exits;
    int status;
    int signum;
    bool frees_at_exit;
    bool frees_at_line;
};

static void on_line(void *ctx, enum tr_process_output output, struct tr_slice line)
{
    struct child *child = ctx;
    assert_int_equal(child->exits, 0);
    if (line.len > child->longest) {
        child->longest = line.len;
    }
    tr_buf_addf(&child->lines, "%c:%.*s|", output == TR_PROCESS_STDOUT ? 'o' : 'e',
                TR_SLICE_ARG(line));
    if (child->frees_at_line) {
        tr_process_free(&child->process);
    }
}

static void on_exit_of(void *ctx, int status, int signum)
{
    struct child *child = ctx;
    child->exits++;
    child->status = status;
    child->signum = signum;
    if (child->frees_at_exit) {
        tr_process_free(&child->process);
    }
}

static int set_up(void **state)
{
    struct child *child = tr_xzalloc(sizeof(*child));
    child->loop = tr_loop_new();
    *state = child;
    return 0;
}

static int tear_down(void **state)
{
    struct child *child = *state;
    tr_process_free(&child->process);
    tr_loop_free(&child->loop);
    tr_buf_fini(&child->lines);
    free(child);
    return 0;
}

static void start_with(struct child *child, const char *script, struct tr_process_conf conf)
{
    const char *const argv[] = { "sh", "-c", script, NULL };
    struct tr_err err;
    conf.argv = argv;
    conf.on_line = on_line;
    conf.on_exit = on_exit_of;
    conf.ctx = child;
    if (tr_process_start(child->loop, &conf, &child->process, &err) != TR_OK) {
        fail_msg("%s", err.msg);
    }
    assert_true(tr_process_pid(child->process) > 0);
}

static void start(struct child *child, const char *script)
{
    start_with(child, script, (struct tr_process_conf){ 0 });
}

static bool has_exited(void *ctx)
{
    return ((struct child *)ctx)->exits > 0;
}

static bool has_line(void *ctx)
{
    return ((struct child *)ctx)->lines.len > 0;
}

static void wait_exit(struct child *child)
{
    assert_true(tr_loop_run_until(child->loop, has_exited, child, WAIT_MS));
    assert_int_equal(child->exits, 1);
}

static void lines_come_before_the_end_and_the_status_with_it(void **state)
{
    struct child *child = *state;
    start(child, "printf 'one\\ntwo\\r\\n\\nlast'; exit 3");
    wait_exit(child);
    assert_string_equal(tr_buf_cstr(&child->lines), "o:one|o:two|o:|o:last|");
    assert_int_equal(child->status, 3);
    assert_int_equal(child->signum, 0);
}

static void standard_error_is_told_apart(void **state)
{
    struct child *child = *state;
    start(child, "echo bad >&2");
    wait_exit(child);
    assert_string_equal(tr_buf_cstr(&child->lines), "e:bad|");
}

static void a_line_without_end_comes_in_parts(void **state)
{
    struct child *child = *state;
    start(child, "head -c 200000 /dev/zero | tr '\\0' x; echo; echo next");
    wait_exit(child);
    assert_int_equal(child->longest, TR_PROCESS_LINE_MAX);
    assert_true(tr_slice_ends(tr_buf_slice(&child->lines), TR_SLICE_LIT("x|o:next|")));
    assert_int_equal(child->lines.len, 200000 + 4 * 3 + 7); /* four parts and "o:next|" */
}

static void environment_and_folder_are_the_childs_own(void **state)
{
    struct child *child = *state;
    assert_int_equal(setenv("TR_TEST_OURS", "ours", 1), 0);
    assert_int_equal(setenv("TR_TEST_BOTH", "ours", 1), 0);
    const char *const env[] = { "TR_TEST_BOTH=theirs", "TR_TEST_NEW=new", NULL };
    start_with(child, "echo $TR_TEST_OURS $TR_TEST_BOTH $TR_TEST_NEW; pwd; cat",
               (struct tr_process_conf){ .env = env, .cwd = "/" });
    wait_exit(child); /* standard input is empty, so that cat ends */
    assert_string_equal(tr_buf_cstr(&child->lines), "o:ours theirs new|o:/|");
}

static void a_signal_ends_it_and_is_reported(void **state)
{
    struct child *child = *state;
    start(child, "echo ready; exec sleep 1000");
    assert_true(tr_loop_run_until(child->loop, has_line, child, WAIT_MS));
    tr_process_kill(child->process, SIGTERM);
    wait_exit(child);
    assert_int_equal(child->signum, SIGTERM);
    tr_process_kill(child->process, SIGTERM); /* harmless */
}

static void a_group_of_its_own_gets_the_signal_as_a_whole(void **state)
{
    struct child *child = *state;
    start_with(child, "sh -c 'echo ready; exec sleep 1000'; echo not reached",
               (struct tr_process_conf){ .has_own_group = true });
    assert_true(tr_loop_run_until(child->loop, has_line, child, WAIT_MS));
    tr_process_kill(child->process, SIGTERM);
    wait_exit(
        child); /* the grandchild held the output open: it has gone too, or this would linger */
    assert_string_equal(tr_buf_cstr(&child->lines), "o:ready|");
}

static void a_grandchild_that_keeps_the_output_is_given_up(void **state)
{
    struct child *child = *state;
    start_with(child, "sleep 30 & echo started", (struct tr_process_conf){ .has_own_group = true });
    const int group = tr_process_pid(child->process);
    wait_exit(child);
    assert_int_equal(child->status, 0);
    assert_int_equal(kill(-group, SIGKILL), 0);
}

static void a_program_that_is_not_there_is_an_error(void **state)
{
    struct child *child = *state;
    const char *const argv[] = { "/no/such/program", NULL };
    const struct tr_process_conf conf = { .argv = argv, .on_exit = on_exit_of, .ctx = child };
    struct tr_err err;
    assert_int_equal(tr_process_start(child->loop, &conf, &child->process, &err), TR_NOT_FOUND);
    assert_string_equal(err.msg, "start '/no/such/program': no such file or directory");
    assert_null(child->process);
    tr_loop_free(&child->loop);
    assert_int_equal(child->exits, 0);
}

static void it_may_be_let_go_from_its_callbacks(void **state)
{
    struct child *child = *state;
    child->frees_at_exit = true;
    start(child, "echo one; echo two");
    wait_exit(child);
    assert_null(child->process);
    child->frees_at_exit = false;
    child->frees_at_line = true;
    child->exits = 0;
    start(child, "echo one; echo two; sleep 1000");
    tr_buf_clear(&child->lines);
    assert_true(tr_loop_run_until(child->loop, has_line, child, WAIT_MS));
    tr_loop_free(&child->loop); /* it is killed, and waited for */
    assert_int_equal(child->exits, 0);
    assert_string_equal(tr_buf_cstr(&child->lines), "o:one|");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(lines_come_before_the_end_and_the_status_with_it),
        TEST(standard_error_is_told_apart),
        TEST(a_line_without_end_comes_in_parts),
        TEST(environment_and_folder_are_the_childs_own),
        TEST(a_signal_ends_it_and_is_reported),
        TEST(a_group_of_its_own_gets_the_signal_as_a_whole),
        TEST(a_grandchild_that_keeps_the_output_is_given_up),
        TEST(a_program_that_is_not_there_is_an_error),
        TEST(it_may_be_let_go_from_its_callbacks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
