#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "runtime/tool/options.h"

struct options_test {
    struct tr_dev_options options;
    struct tr_err err;
    enum tr_code rc;
};

#define WORDS(...) ((const char *const[]){ __VA_ARGS__, NULL })
#define ARGV_LEN   16

static char *argv[ARGV_LEN];

static void parse(struct options_test *t, const char *const *words)
{
    int argc = 1;
    argv[0] = (char *)(uintptr_t) "dev";
    while (words[argc - 1] != NULL) {
        argv[argc] = (char *)(uintptr_t)words[argc - 1];
        argc++;
    }
    argv[argc] = NULL;
    t->rc =
        tr_dev_options_parse(&t->options, argc, argv, TR_SLICE_LIT("/home/me/My Shop"), &t->err);
}

static void the_command_follows_two_dashes(void **state)
{
    (void)state;
    struct options_test t;
    parse(&t, WORDS("--", "python3", "--app-port", "--"));
    assert_int_equal(t.rc, TR_OK);
    assert_string_equal(t.options.command[0], "python3");
    assert_string_equal(t.options.command[1], "--app-port");
    assert_string_equal(t.options.command[2], "--");
    assert_null(t.options.command[3]);
    assert_string_equal(tr_buf_cstr(&t.options.app_id), "my-shop");
    assert_string_equal(t.options.flags.data_dir, "./.troupe");
    assert_true(t.options.app_listens);
    assert_int_equal(t.options.app_port, 0);
    tr_dev_options_fini(&t.options);
}

static void flags_are_taken_over(void **state)
{
    (void)state;
    struct options_test t;
    parse(&t, WORDS("--app-id=Mine", "--app-port", "6000", "--dapr-http-port=3500",
                    "--dapr-grpc-port=50001", "--log-level=WARN"));
    assert_int_equal(t.rc, TR_OK);
    assert_string_equal(tr_buf_cstr(&t.options.app_id), "Mine");
    assert_int_equal(t.options.app_port, 6000);
    assert_int_equal(t.options.http_port, 3500);
    assert_int_equal(t.options.grpc_port, 50001);
    assert_null(t.options.command);
    tr_dev_options_fini(&t.options);
}

static void port_0_is_an_app_that_does_not_listen(void **state)
{
    (void)state;
    struct options_test t;
    parse(&t, WORDS("--app-port=0", "--", "true"));
    assert_int_equal(t.rc, TR_OK);
    assert_false(t.options.app_listens);
    tr_dev_options_fini(&t.options);
}

static void help_wins_over_what_is_missing(void **state)
{
    (void)state;
    struct options_test t;
    parse(&t, WORDS("--help"));
    assert_int_equal(t.rc, TR_OK);
    assert_true(t.options.args.wants_help);
    tr_dev_options_fini(&t.options);
}

static void mistakes_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *words[4];
        const char *why;
    } rows[] = {
        { { "python3", "app.py" }, "unexpected word 'python3': the command comes after '--'" },
        { { "x", "--", "y" }, "unexpected word 'x': the command comes after '--'" },
        { { "--app-id=x" },
          "no command: give one after '--', or the port of an app that you start yourself with "
          "--app-port" },
        { { "--app-port=0" },
          "no command: give one after '--', or the port of an app that you start yourself with "
          "--app-port" },
        { { "--app-port=65536" },
          "invalid argument for \"--app-port\" flag: a port is at most 65535" },
        { { "--app-port=1", "--dapr-grpc-port=1" }, "port 1 is given twice" },
        { { "--app-id=", "--", "x" },
          "invalid argument \"\" for \"--app-id\" flag: it must have letters and no dots" },
        { { "--app-id=a.b", "--", "x" },
          "invalid argument \"a.b\" for \"--app-id\" flag: it must have letters and no dots" },
        { { "--app-protocol=HTTP", "--", "x" },
          "invalid argument \"HTTP\" for \"--app-protocol\" flag: it must be http, h2c or grpc" },
        { { "--data-dir=", "--", "x" },
          "invalid argument \"\" for \"--data-dir\" flag: it must name a folder" },
        { { "--app-id" }, "flag needs an argument: --app-id" },
    };
    for (size_t i = 0; i < TR_ARRAY_LEN(rows); i++) {
        struct options_test t;
        parse(&t, rows[i].words);
        assert_int_equal(t.rc, TR_INVALID);
        assert_string_equal(t.err.msg, rows[i].why);
    }
}

static void an_id_is_made_of_the_last_part_of_a_path(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        { "/home/me/shop", "shop" },
        { "/home/me/shop//", "shop" },
        { "My_App.v2", "my-app-v2" },
        { "/", "app" },
        { "", "app" },
        { "/x/--..--", "app" },
        { "/x/.config", "config" },
        { "/x/a  -  b--", "a-b" },
        { "/x/caf\xc3\xa9", "caf" },
    };
    for (size_t i = 0; i < TR_ARRAY_LEN(rows); i++) {
        struct tr_buf out = { 0 };
        tr_dev_app_id_of(tr_slice_str(rows[i][0]), &out);
        assert_string_equal(tr_buf_cstr(&out), rows[i][1]);
        tr_buf_fini(&out);
    }
}

static void a_long_name_is_cut_without_a_dash_at_the_end(void **state)
{
    (void)state;
    struct tr_buf path = { 0 };
    struct tr_buf out = { 0 };
    for (size_t i = 0; i < TR_DEV_APP_ID_MAX; i++) {
        tr_buf_add_str(&path, i == TR_DEV_APP_ID_MAX - 1 ? "_bc" : "a");
    }
    tr_dev_app_id_of(tr_buf_slice(&path), &out);
    assert_int_equal(out.len, TR_DEV_APP_ID_MAX - 1);
    assert_int_equal(out.ptr[out.len - 1], 'a');
    tr_buf_fini(&path);
    tr_buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_command_follows_two_dashes),
        cmocka_unit_test(flags_are_taken_over),
        cmocka_unit_test(port_0_is_an_app_that_does_not_listen),
        cmocka_unit_test(help_wins_over_what_is_missing),
        cmocka_unit_test(mistakes_are_named),
        cmocka_unit_test(an_id_is_made_of_the_last_part_of_a_path),
        cmocka_unit_test(a_long_name_is_cut_without_a_dash_at_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
