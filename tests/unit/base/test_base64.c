#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "runtime/base/base64.h"

/* Vectors of RFC 4648 section 10, and bytes that need the last two digits. */
static const struct {
    const char *bytes;
    const char *text;
    const char *url;
} vectors[] = {
    { "", "", "" },
    { "f", "Zg==", "Zg" },
    { "fo", "Zm8=", "Zm8" },
    { "foo", "Zm9v", "Zm9v" },
    { "foob", "Zm9vYg==", "Zm9vYg" },
    { "fooba", "Zm9vYmE=", "Zm9vYmE" },
    { "foobar", "Zm9vYmFy", "Zm9vYmFy" },
    { "\xfb\xff\xfe", "+//+", "-__-" },
};

static void known_texts_encode_and_decode(void **state)
{
    (void)state;
    for (size_t i = 0; i < TR_ARRAY_LEN(vectors); i++) {
        struct tr_err err;
        struct tr_buf buf = { 0 };
        tr_base64_add(&buf, tr_slice_str(vectors[i].bytes));
        assert_string_equal(tr_buf_cstr(&buf), vectors[i].text);
        tr_buf_clear(&buf);
        tr_base64_add_url(&buf, tr_slice_str(vectors[i].bytes));
        assert_string_equal(tr_buf_cstr(&buf), vectors[i].url);
        tr_buf_clear(&buf);
        assert_int_equal(tr_base64_decode(tr_slice_str(vectors[i].text), &buf, &err), TR_OK);
        assert_string_equal(tr_buf_cstr(&buf), vectors[i].bytes);
        tr_buf_clear(&buf);
        assert_int_equal(tr_base64_decode_url(tr_slice_str(vectors[i].url), &buf, &err), TR_OK);
        assert_string_equal(tr_buf_cstr(&buf), vectors[i].bytes);
        tr_buf_fini(&buf);
    }
}

static void anything_else_is_refused_and_leaves_the_buffer_alone(void **state)
{
    (void)state;
    static const char *const bad[] = { "Zg",     "Zg=",  "Zg===", "Z",    "Zh==",     "Zm9=",
                                       "Zm9v\n", "Zm 9", "=Zg=",  "====", "Zg==Zg==", "-__-" };
    struct tr_buf buf = { 0 };
    struct tr_err err;
    tr_buf_add_str(&buf, "kept");
    for (size_t i = 0; i < TR_ARRAY_LEN(bad); i++) {
        assert_int_equal(tr_base64_decode(tr_slice_str(bad[i]), &buf, &err), TR_INVALID);
        assert_string_equal(tr_buf_cstr(&buf), "kept");
    }
    assert_int_equal(tr_base64_decode_url(TR_SLICE_LIT("Zg=="), &buf, &err), TR_INVALID);
    assert_int_equal(tr_base64_decode_url(TR_SLICE_LIT("+//+"), &buf, &err), TR_INVALID);
    tr_buf_fini(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_texts_encode_and_decode),
        cmocka_unit_test(anything_else_is_refused_and_leaves_the_buffer_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
