#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "runtime/base/args.h"

struct conf {
    const char *id;
    bool tls;
    int64_t threshold;
    uint64_t workers;
    int64_t timeout_ns;
    struct tr_arg_list paths;
    const char *old;
};

static const struct tr_arg rows[] = {
    TR_ARG_ROW(struct conf, id, TR_ARG_STRING, "app-id", "app-0", "id of the app"),
    TR_ARG_ROW(struct conf, tls, TR_ARG_BOOL, "enable-mtls", NULL, "use TLS"),
    TR_ARG_ROW(struct conf, threshold, TR_ARG_INT, "threshold", "-1", "failures"),
    TR_ARG_ROW(struct conf, workers, TR_ARG_UINT, "workers", "2048", "workers"),
    TR_ARG_ROW(struct conf, timeout_ns, TR_ARG_DURATION, "timeout", "8s", "limit"),
    TR_ARG_ROW(struct conf, paths, TR_ARG_LIST, "resources-path", "a,b", "folders"),
    { .name = "components-path",
      .type = TR_ARG_STRING,
      .offset = offsetof(struct conf, old),
      .help = "folder",
      .deprecated = "use --resources-path" },
};

struct args_test {
    struct tr_args_spec spec;
    struct tr_args args;
    struct conf conf;
    struct tr_err err;
    enum tr_code rc;
};

static void parse(struct args_test *t, enum tr_args_style style, const char *const *words)
{
    *t = (struct args_test){ .spec = { "prog", style, rows, TR_ARRAY_LEN(rows) } };
    char *argv[16] = { (char *)(uintptr_t) "prog" };
    int argc = 1;
    while (words[argc - 1] != NULL) {
        argv[argc] = (char *)(uintptr_t)words[argc - 1];
        argc++;
    }
    t->rc = tr_args_parse(&t->args, &t->spec, argc, argv, &t->conf, &t->err);
}

#define WORDS(...) ((const char *const[]){ __VA_ARGS__, NULL })

static void without_words_the_defaults_hold(void **state)
{
    (void)state;
    struct args_test t;
    parse(&t, TR_ARGS_PFLAG, (const char *const[]){ NULL });
    assert_int_equal(t.rc, TR_OK);
    assert_string_equal(t.conf.id, "app-0");
    assert_false(t.conf.tls);
    assert_int_equal(t.conf.threshold, -1);
    assert_int_equal(t.conf.workers, 2048);
    assert_int_equal(t.conf.timeout_ns, INT64_C(8000000000));
    assert_int_equal(t.conf.paths.len, 2);
    assert_string_equal(t.conf.old, "");
    assert_false(tr_args_is_set(&t.args, "app-id"));
    tr_args_fini(&t.args);
}

static void values_follow_an_equal_sign_or_a_blank(void **state)
{
    (void)state;
    struct args_test t;
    parse(&t, TR_ARGS_PFLAG,
          WORDS("--app-id", "x", "--threshold=-5", "--workers=0x10", "--timeout", "1m30s",
                "--app-id=y=z"));
    assert_int_equal(t.rc, TR_OK);
    assert_string_equal(t.conf.id, "y=z");
    assert_int_equal(t.conf.threshold, -5);
    assert_int_equal(t.conf.workers, 16);
    assert_int_equal(t.conf.timeout_ns, INT64_C(90000000000));
    assert_true(tr_args_is_set(&t.args, "app-id"));
    tr_args_fini(&t.args);
}

static void a_word_after_a_bool_is_not_its_value(void **state)
{
    (void)state;
    struct args_test t;
    parse(&t, TR_ARGS_PFLAG, WORDS("--enable-mtls", "false", "--app-id=x"));
    assert_int_equal(t.rc, TR_OK);
    assert_true(t.conf.tls);
    assert_string_equal(t.conf.id, "x");
    tr_args_fini(&t.args);
    parse(&t, TR_ARGS_PFLAG, WORDS("--enable-mtls=F"));
    assert_int_equal(t.rc, TR_OK);
    assert_false(t.conf.tls);
    tr_args_fini(&t.args);
}

static void lists_are_csv_and_the_first_use_replaces_the_default(void **state)
{
    (void)state;
    struct args_test t;
    parse(&t, TR_ARGS_PFLAG, WORDS("--resources-path=x,\"y,\"\"z\"\"\"", "--resources-path", "w,"));
    assert_int_equal(t.rc, TR_OK);
    assert_int_equal(t.conf.paths.len, 4);
    assert_string_equal(t.conf.paths.items[0], "x");
    assert_string_equal(t.conf.paths.items[1], "y,\"z\"");
    assert_string_equal(t.conf.paths.items[2], "w");
    assert_string_equal(t.conf.paths.items[3], "");
    tr_args_fini(&t.args);
    parse(&t, TR_ARGS_PFLAG, WORDS("--resources-path="));
    assert_int_equal(t.rc, TR_OK);
    assert_int_equal(t.conf.paths.len, 0);
    tr_args_fini(&t.args);
}

static void one_dash_will_do_where_the_original_says_so(void **state)
{
    (void)state;
    struct args_test t;
    parse(&t, TR_ARGS_PFLAG_DASH, WORDS("-app-id=x", "-threshold", "-1"));
    assert_int_equal(t.rc, TR_OK);
    assert_string_equal(t.conf.id, "x");
    assert_int_equal(t.conf.threshold, -1);
    tr_args_fini(&t.args);
    parse(&t, TR_ARGS_GO, WORDS("-app-id", "x", "--threshold=3", "word", "--app-id=y"));
    assert_int_equal(t.rc, TR_OK);
    assert_string_equal(t.conf.id, "x");
    assert_int_equal(t.conf.threshold, 3);
    tr_args_fini(&t.args);
    parse(&t, TR_ARGS_PFLAG, WORDS("-app-id=x"));
    assert_int_equal(t.rc, TR_INVALID);
    assert_string_equal(t.err.msg, "unknown shorthand flag: 'a' in -app-id");
}

static void words_between_flags_are_passed_over_and_two_dashes_end_them(void **state)
{
    (void)state;
    struct args_test t;
    parse(&t, TR_ARGS_PFLAG, WORDS("word", "-", "--app-id=x", "--", "--unknown"));
    assert_int_equal(t.rc, TR_OK);
    assert_string_equal(t.conf.id, "x");
    tr_args_fini(&t.args);
}

static void the_first_word_that_is_no_flag_is_known(void **state)
{
    (void)state;
    struct args_test t;
    parse(&t, TR_ARGS_PFLAG, WORDS("--app-id", "x", "word", "--threshold=1", "--", "y"));
    assert_int_equal(t.args.first_word, 3);
    tr_args_fini(&t.args);
    parse(&t, TR_ARGS_PFLAG, WORDS("--app-id", "x", "--", "y"));
    assert_int_equal(t.args.first_word, 3);
    tr_args_fini(&t.args);
    parse(&t, TR_ARGS_GO, WORDS("-app-id", "x"));
    assert_int_equal(t.args.first_word, 3); /* the end: there is none */
    tr_args_fini(&t.args);
}

static void mistakes_are_told_in_the_words_of_the_original(void **state)
{
    (void)state;
    static const struct {
        enum tr_args_style style;
        const char *word;
        const char *text;
    } cases[] = {
        { TR_ARGS_PFLAG, "--nope=1", "unknown flag: --nope" },
        { TR_ARGS_GO, "-nope", "flag provided but not defined: -nope" },
        { TR_ARGS_PFLAG, "--app-id", "flag needs an argument: --app-id" },
        { TR_ARGS_GO, "--app-id", "flag needs an argument: -app-id" },
        { TR_ARGS_PFLAG, "--=x", "bad flag syntax: --=x" },
        { TR_ARGS_PFLAG, "---x", "bad flag syntax: ---x" },
        { TR_ARGS_PFLAG, "--threshold=x",
          "invalid argument \"x\" for \"--threshold\" flag: strconv.ParseInt: parsing \"x\": "
          "invalid syntax" },
        { TR_ARGS_PFLAG, "--workers=-1",
          "invalid argument \"-1\" for \"--workers\" flag: strconv.ParseUint: parsing \"-1\": "
          "invalid syntax" },
        { TR_ARGS_PFLAG, "--threshold=9223372036854775808",
          "invalid argument \"9223372036854775808\" for \"--threshold\" flag: strconv.ParseInt: "
          "parsing "
          "\"9223372036854775808\": value out of range" },
        { TR_ARGS_PFLAG, "--enable-mtls=yes",
          "invalid argument \"yes\" for \"--enable-mtls\" flag: strconv.ParseBool: parsing "
          "\"yes\": invalid syntax" },
        { TR_ARGS_PFLAG, "--timeout=5",
          "invalid argument \"5\" for \"--timeout\" flag: time: missing unit in duration \"5\"" },
        { TR_ARGS_PFLAG, "--resources-path=a\"b",
          "invalid argument \"a\\\"b\" for \"--resources-path\" flag: extraneous or missing \" in "
          "quoted-field" },
    };
    for (size_t i = 0; i < TR_ARRAY_LEN(cases); i++) {
        struct args_test t;
        parse(&t, cases[i].style, WORDS(cases[i].word));
        assert_int_equal(t.rc, TR_INVALID);
        assert_string_equal(t.err.msg, cases[i].text);
    }
}

static void help_lists_every_flag_that_is_not_hidden(void **state)
{
    (void)state;
    struct args_test t;
    struct tr_buf usage = { 0 };
    parse(&t, TR_ARGS_PFLAG, WORDS("--help", "--nope"));
    assert_int_equal(t.rc, TR_OK);
    assert_true(t.args.wants_help);
    tr_args_usage(&t.spec, &usage);
    const char *text = tr_buf_cstr(&usage);
    assert_non_null(strstr(text, "Usage of prog:\n"));
    assert_non_null(strstr(text, "      --timeout duration         limit (default 8s)\n"));
    assert_non_null(strstr(text, "      --enable-mtls              use TLS\n"));
    assert_non_null(strstr(text, "folder (DEPRECATED: use --resources-path)\n"));
    tr_buf_fini(&usage);
    tr_args_fini(&t.args);
}

static void a_deprecated_flag_works_and_is_noted(void **state)
{
    (void)state;
    struct args_test t;
    parse(&t, TR_ARGS_PFLAG, WORDS("--components-path=c"));
    assert_int_equal(t.rc, TR_OK);
    assert_string_equal(t.conf.old, "c");
    assert_string_equal(tr_buf_cstr(&t.args.notes),
                        "Flag --components-path has been deprecated, use --resources-path\n");
    tr_args_fini(&t.args);
}

static void truthy_words_ignore_case_and_blanks(void **state)
{
    (void)state;
    assert_true(tr_args_is_truthy(TR_SLICE_LIT(" YES ")));
    assert_true(tr_args_is_truthy(TR_SLICE_LIT("1")));
    assert_false(tr_args_is_truthy(TR_SLICE_LIT("enabled")));
    assert_false(tr_args_is_truthy(TR_SLICE_LIT("")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_words_the_defaults_hold),
        cmocka_unit_test(values_follow_an_equal_sign_or_a_blank),
        cmocka_unit_test(a_word_after_a_bool_is_not_its_value),
        cmocka_unit_test(lists_are_csv_and_the_first_use_replaces_the_default),
        cmocka_unit_test(one_dash_will_do_where_the_original_says_so),
        cmocka_unit_test(words_between_flags_are_passed_over_and_two_dashes_end_them),
        cmocka_unit_test(the_first_word_that_is_no_flag_is_known),
        cmocka_unit_test(mistakes_are_told_in_the_words_of_the_original),
        cmocka_unit_test(help_lists_every_flag_that_is_not_hidden),
        cmocka_unit_test(a_deprecated_flag_works_and_is_noted),
        cmocka_unit_test(truthy_words_ignore_case_and_blanks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
