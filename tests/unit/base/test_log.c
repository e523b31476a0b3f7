#include <fcntl.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "runtime/base/log.h"

struct log_test {
    struct tr_log_sink sink;
    struct tr_log log;
    int reader;
    struct tr_buf text; /* what was read */
};

static int64_t fixed_now(void)
{
    return INT64_C(1785664800123400000);
}

static void log_test_init(struct log_test *t)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(fcntl(ends[0], F_SETFL, O_NONBLOCK), 0);
    tr_log_sink_init(&t->sink);
    t->sink.fd = ends[1];
    t->sink.owns_fd = true;
    t->sink.now_unix_ns = fixed_now;
    t->sink.app_id = "app";
    t->sink.instance = "box";
    t->sink.ver = "1.2";
    tr_log_init(&t->log, &t->sink, "dapr.test");
    t->reader = ends[0];
    t->text = (struct tr_buf){ 0 };
}

static void log_test_fini(struct log_test *t)
{
    tr_log_sink_fini(&t->sink);
    (void)close(t->reader);
    tr_buf_fini(&t->text);
}

/* Everything that is in the pipe now. */
static const char *read_all(struct log_test *t)
{
    tr_buf_clear(&t->text);
    char part[4096];
    ssize_t len;
    while ((len = read(t->reader, part, sizeof(part))) > 0) {
        tr_buf_add(&t->text, tr_slice(part, (size_t)len));
    }
    return tr_buf_cstr(&t->text);
}

static void a_line_has_time_level_and_message_first_and_the_rest_sorted(void **state)
{
    (void)state;
    struct log_test t;
    log_test_init(&t);
    tr_log_info(&t.log, "table applied", "version=%d ver2=%s", 7, "x");
    assert_string_equal(
        read_all(&t),
        "time=\"2026-08-02T10:00:00.1234Z\" level=info msg=\"table applied\" app_id=app "
        "instance=box scope=dapr.test type=log ver=1.2 ver2=x version=7\n");
    log_test_fini(&t);
}

static void without_an_app_id_there_is_no_such_key(void **state)
{
    (void)state;
    struct log_test t;
    log_test_init(&t);
    t.sink.app_id = NULL;
    tr_log_warn(&t.log, "slow", NULL);
    assert_string_equal(read_all(&t),
                        "time=\"2026-08-02T10:00:00.1234Z\" level=warning msg=slow instance=box "
                        "scope=dapr.test type=log ver=1.2\n");
    log_test_fini(&t);
}

static void values_are_quoted_as_go_does_only_if_need_be(void **state)
{
    (void)state;
    struct log_test t;
    log_test_init(&t);
    tr_log_text(&t.log, TR_LOG_INFO, "two\nlines \"%s\" caf\xc3\xa9", "q");
    assert_non_null(strstr(read_all(&t), " msg=\"two\\nlines \\\"q\\\" caf\xc3\xa9\" "));
    tr_log_info(&t.log, "x", "a=%s b=%s c=%s", "", "a.b-c_d/e@f^g+h", "a:b");
    const char *line = read_all(&t);
    assert_non_null(strstr(line, " a=\"\" "));
    assert_non_null(strstr(line, " b=a.b-c_d/e@f^g+h "));
    assert_non_null(strstr(line, " c=\"a:b\" "));
    log_test_fini(&t);
}

static void a_value_cannot_forge_a_fact(void **state)
{
    (void)state;
    struct log_test t;
    log_test_init(&t);
    tr_log_info(&t.log, "x", "peer=%s more=%d ms note=%s", "a level=fatal zz=1", 5, "done");
    const char *line = read_all(&t);
    assert_non_null(strstr(line, " peer=\"a level=fatal zz=1\" "));
    assert_non_null(strstr(line, " more=\"5 ms\" "));
    assert_non_null(strstr(line, " note=done "));
    log_test_fini(&t);
}

static void json_has_all_keys_sorted_and_integers_as_numbers(void **state)
{
    (void)state;
    struct log_test t;
    log_test_init(&t);
    t.sink.json = true;
    tr_log_info(&t.log, "a <b> & \"c\"", "code=%d size=%" PRIu64 " text=%s id=%d-%d", 200,
                UINT64_C(5), "7", 1, 2);
    assert_string_equal(
        read_all(&t),
        "{\"app_id\":\"app\",\"code\":200,\"id\":\"1-2\",\"instance\":\"box\",\"level\":\"info\","
        "\"msg\":\"a \\u003cb\\u003e \\u0026 \\\"c\\\"\",\"scope\":\"dapr.test\",\"size\":5,"
        "\"text\":\"7\",\"time\":\"2026-08-02T10:00:00.1234Z\",\"type\":\"log\",\"ver\":\"1.2\"}"
        "\n");
    log_test_fini(&t);
}

static void lines_below_the_level_are_not_even_formatted(void **state)
{
    (void)state;
    struct log_test t;
    log_test_init(&t);
    int evaluated = 0;
    tr_log_debug(&t.log, "x", "n=%d", ++evaluated);
    assert_int_equal(evaluated, 0);
    assert_string_equal(read_all(&t), "");
    t.sink.level = TR_LOG_OFF;
    tr_log_error(&t.log, "x", NULL);
    assert_string_equal(read_all(&t), "");
    log_test_fini(&t);
}

static void a_slow_reader_loses_nothing_until_the_backlog_is_full(void **state)
{
    (void)state;
    struct log_test t;
    log_test_init(&t);
    for (int i = 0; i < 3000; i++) {
        tr_log_info(&t.log, "line", "n=%d", i);
    }
    struct tr_buf all = { 0 };
    do {
        tr_buf_add_str(&all, read_all(&t));
        tr_log_sink_flush(&t.sink, 0);
    } while (t.sink.backlog.len > 0);
    tr_buf_add_str(&all, read_all(&t));
    const char *at = tr_buf_cstr(&all);
    for (int i = 0; i < 3000; i++) {
        char fact[32];
        (void)snprintf(fact, sizeof(fact), " n=%d scope", i);
        at = strstr(at, fact);
        assert_non_null(at);
    }
    tr_buf_fini(&all);
    log_test_fini(&t);
}

static void dropped_lines_are_counted_and_told(void **state)
{
    (void)state;
    struct log_test t;
    log_test_init(&t);
    char text[4000];
    memset(text, 'x', sizeof(text));
    unsigned written = 0;
    while (t.sink.dropped_len < 3) {
        tr_log_info(&t.log, "line", "t=%.*s", (int)sizeof(text), text);
        written++;
        assert_true(t.sink.backlog.len <= TR_LOG_BACKLOG_BYTES_MAX);
        assert_true(written < 1000);
    }
    struct tr_buf all = { 0 };
    do {
        tr_buf_add_str(&all, read_all(&t));
        tr_log_sink_flush(&t.sink, 0);
    } while (t.sink.backlog.len > 0);
    tr_buf_add_str(&all, read_all(&t));
    assert_non_null(strstr(
        tr_buf_cstr(&all),
        "msg=\"log lines dropped: the reader is too slow\" app_id=app instance=box lines=3"));
    tr_buf_fini(&all);
    log_test_fini(&t);
}

static void a_fatal_line_is_written_and_ends_the_process_with_one(void **state)
{
    (void)state;
    struct log_test t;
    log_test_init(&t);
    const pid_t child = fork();
    if (child == 0) {
        tr_log_fatal(&t.log, "Fatal error from runtime: %s", "no");
    }
    assert_true(child > 0);
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 1);
    assert_non_null(strstr(read_all(&t), "level=fatal msg=\"Fatal error from runtime: no\""));
    log_test_fini(&t);
}

static void levels_are_named_as_on_the_command_line(void **state)
{
    (void)state;
    enum tr_log_level level = TR_LOG_OFF;
    struct tr_err err;
    assert_int_equal(tr_log_level_parse(TR_SLICE_LIT("WARN"), &level, &err), TR_OK);
    assert_int_equal(level, TR_LOG_WARN);
    assert_int_equal(tr_log_level_parse(TR_SLICE_LIT("loud"), &level, &err), TR_INVALID);
    assert_string_equal(err.msg, "invalid value for --log-level: loud");
}

static void a_log_file_is_appended_to(void **state)
{
    (void)state;
    char path[] = "/tmp/troupe-log-XXXXXX";
    const int fd = mkstemp(path);
    assert_true(fd >= 0);
    for (int i = 0; i < 2; i++) {
        struct tr_log_sink sink;
        struct tr_log log;
        struct tr_err err;
        tr_log_sink_init(&sink);
        assert_int_equal(tr_log_sink_open(&sink, path, &err), TR_OK);
        tr_log_init(&log, &sink, "s");
        tr_log_info(&log, i == 0 ? "one" : "two", NULL);
        tr_log_sink_fini(&sink);
    }
    char text[1024] = { 0 };
    assert_true(read(fd, text, sizeof(text) - 1) > 0);
    assert_non_null(strstr(text, "msg=one"));
    assert_non_null(strstr(text, "msg=two"));
    (void)close(fd);
    (void)unlink(path);

    struct tr_log_sink sink;
    struct tr_err err;
    tr_log_sink_init(&sink);
    assert_int_equal(tr_log_sink_open(&sink, "/does/not/exist", &err), TR_IO);
    tr_log_sink_fini(&sink);
}

static void a_limit_lets_a_burst_through_and_counts_the_rest(void **state)
{
    (void)state;
    struct tr_log_limit limit = { .window_ms = 1000, .burst = 2 };
    uint64_t suppressed = 99;
    assert_true(tr_log_limit_pass(&limit, 5000, &suppressed));
    assert_int_equal(suppressed, 0);
    assert_true(tr_log_limit_pass(&limit, 5001, &suppressed));
    assert_false(tr_log_limit_pass(&limit, 5002, &suppressed));
    assert_false(tr_log_limit_pass(&limit, 5999, &suppressed));
    assert_true(tr_log_limit_pass(&limit, 6000, &suppressed));
    assert_int_equal(suppressed, 2);
}

int main(void)
{
    (void)setenv("TZ", "UTC", 1);
    tzset();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_has_time_level_and_message_first_and_the_rest_sorted),
        cmocka_unit_test(without_an_app_id_there_is_no_such_key),
        cmocka_unit_test(values_are_quoted_as_go_does_only_if_need_be),
        cmocka_unit_test(a_value_cannot_forge_a_fact),
        cmocka_unit_test(json_has_all_keys_sorted_and_integers_as_numbers),
        cmocka_unit_test(lines_below_the_level_are_not_even_formatted),
        cmocka_unit_test(a_slow_reader_loses_nothing_until_the_backlog_is_full),
        cmocka_unit_test(dropped_lines_are_counted_and_told),
        cmocka_unit_test(a_fatal_line_is_written_and_ends_the_process_with_one),
        cmocka_unit_test(levels_are_named_as_on_the_command_line),
        cmocka_unit_test(a_log_file_is_appended_to),
        cmocka_unit_test(a_limit_lets_a_burst_through_and_counts_the_rest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
