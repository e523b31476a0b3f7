#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/tool/meet.h"

static const struct tr_meet_place place = { .port = 23456, .health = 27001, .pid = 4711 };

struct meet_test {
    char root[64];
    struct tr_buf folder;
    struct tr_err err;
};

static int set_up(void **state)
{
    struct meet_test *t = tr_xzalloc(sizeof(*t));
    memcpy(t->root, "/tmp/test_meet.XXXXXX", sizeof("/tmp/test_meet.XXXXXX"));
    assert_non_null(mkdtemp(t->root));
    tr_buf_addf(&t->folder, "%s/troupe", t->root);
    *state = t;
    return 0;
}

static int tear_down(void **state)
{
    struct meet_test *t = *state;
    struct tr_buf file = { 0 };
    tr_buf_addf(&file, "%s/placement", tr_buf_cstr(&t->folder));
    (void)unlink(tr_buf_cstr(&file));
    (void)rmdir(tr_buf_cstr(&t->folder));
    (void)unlink(tr_buf_cstr(&t->folder));
    assert_int_equal(rmdir(t->root), 0);
    tr_buf_fini(&file);
    tr_buf_fini(&t->folder);
    free(t);
    return 0;
}

static void what_is_written_is_read(void **state)
{
    (void)state;
    struct tr_buf text = { 0 };
    struct tr_meet_place got;
    tr_meet_format(&place, &text);
    assert_string_equal(tr_buf_cstr(&text), "port 23456\nhealth 27001\npid 4711\nend\n");
    assert_true(tr_meet_parse(tr_buf_slice(&text), &got));
    assert_int_equal(got.port, 23456);
    assert_int_equal(got.health, 27001);
    assert_int_equal(got.pid, 4711);
    tr_buf_fini(&text);
}

static void a_text_that_is_not_whole_is_refused(void **state)
{
    (void)state;
    struct tr_buf text = { 0 };
    struct tr_meet_place got;
    tr_meet_format(&place, &text);
    for (size_t len = 0; len < text.len; len++) {
        assert_false(tr_meet_parse(tr_slice(text.ptr, len), &got));
    }
    tr_buf_add_str(&text, "more");
    assert_false(tr_meet_parse(tr_buf_slice(&text), &got));
    tr_buf_fini(&text);
}

static void numbers_out_of_range_are_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "port 65536\nhealth 1\npid 1\nend\n",
        "port 0\nhealth 1\npid 1\nend\n",
        "port -1\nhealth 1\npid 1\nend\n",
        "port 1\nhealth \npid 1\nend\n",
        "port 1\nhealth 1x\npid 1\nend\n",
        "port 1\nhealth 1\npid 4294967296\nend\n",
        "port 1\nhealth 1\npid 99999999999999999999999\nend\n",
        "port  1\nhealth 1\npid 1\nend\n",
    };
    struct tr_meet_place got;
    for (size_t i = 0; i < TR_ARRAY_LEN(texts); i++) {
        assert_false(tr_meet_parse(tr_slice_str(texts[i]), &got));
    }
}

static void the_folder_is_the_users(void **state)
{
    (void)state;
    struct tr_buf out = { 0 };
    tr_meet_folder("/run/user/7", 7, &out);
    assert_string_equal(tr_buf_cstr(&out), "/run/user/7/troupe");
    static const char *const unusable[] = { NULL, "", "relative" };
    for (size_t i = 0; i < TR_ARRAY_LEN(unusable); i++) {
        tr_buf_clear(&out);
        tr_meet_folder(unusable[i], 7, &out);
        assert_string_equal(tr_buf_cstr(&out), "/tmp/troupe-7");
    }
    tr_buf_fini(&out);
}

static void one_owns_and_the_next_one_owns_after_it(void **state)
{
    struct meet_test *t = *state;
    struct tr_meet first;
    struct tr_meet second;
    struct tr_meet_place got;
    assert_int_equal(tr_meet_open(&first, tr_buf_cstr(&t->folder), &t->err), TR_OK);
    assert_int_equal(tr_meet_open(&second, tr_buf_cstr(&t->folder), &t->err), TR_OK);
    assert_true(tr_meet_own(&first));
    assert_true(tr_meet_own(&first));
    assert_false(tr_meet_own(&second));
    assert_false(tr_meet_read(&second, &got));
    assert_int_equal(tr_meet_write(&first, &place, &t->err), TR_OK);
    assert_true(tr_meet_read(&second, &got));
    assert_int_equal(got.port, place.port);
    tr_meet_close(&first);
    assert_true(tr_meet_own(&second));
    assert_true(tr_meet_read(&second, &got)); /* the ports stay for the next one */
    tr_meet_close(&second);
}

static void a_shorter_text_leaves_nothing_of_a_longer_one(void **state)
{
    struct meet_test *t = *state;
    struct tr_meet meet;
    struct tr_meet_place got;
    assert_int_equal(tr_meet_open(&meet, tr_buf_cstr(&t->folder), &t->err), TR_OK);
    assert_true(tr_meet_own(&meet));
    assert_int_equal(tr_meet_write(&meet, &place, &t->err), TR_OK);
    const struct tr_meet_place shorter = { .port = 1, .health = 2, .pid = 3 };
    assert_int_equal(tr_meet_write(&meet, &shorter, &t->err), TR_OK);
    assert_true(tr_meet_read(&meet, &got));
    assert_int_equal(got.pid, 3);
    tr_meet_close(&meet);
}

static void a_folder_that_others_may_write_to_is_refused(void **state)
{
    struct meet_test *t = *state;
    struct tr_meet meet;
    assert_int_equal(mkdir(tr_buf_cstr(&t->folder), 0700), 0);
    assert_int_equal(chmod(tr_buf_cstr(&t->folder), 0770), 0);
    assert_int_equal(tr_meet_open(&meet, tr_buf_cstr(&t->folder), &t->err), TR_PERMISSION);
    assert_non_null(strstr(t->err.msg, "is not this user's alone"));
}

static void a_link_in_place_of_the_folder_is_refused(void **state)
{
    struct meet_test *t = *state;
    struct tr_meet meet;
    assert_int_equal(symlink("/tmp", tr_buf_cstr(&t->folder)), 0);
    assert_int_equal(tr_meet_open(&meet, tr_buf_cstr(&t->folder), &t->err), TR_PERMISSION);
    assert_non_null(strstr(t->err.msg, "is no folder"));
}

static void a_folder_that_cannot_be_made_is_named(void **state)
{
    struct meet_test *t = *state;
    struct tr_meet meet;
    tr_buf_add_str(&t->folder, "/below");
    assert_int_equal(tr_meet_open(&meet, tr_buf_cstr(&t->folder), &t->err), TR_IO);
    assert_non_null(strstr(t->err.msg, tr_buf_cstr(&t->folder)));
    tr_meet_close(&meet);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read),
        cmocka_unit_test(a_text_that_is_not_whole_is_refused),
        cmocka_unit_test(numbers_out_of_range_are_refused),
        cmocka_unit_test(the_folder_is_the_users),
        cmocka_unit_test_setup_teardown(one_owns_and_the_next_one_owns_after_it, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_shorter_text_leaves_nothing_of_a_longer_one, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_folder_that_others_may_write_to_is_refused, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_link_in_place_of_the_folder_is_refused, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_folder_that_cannot_be_made_is_named, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
