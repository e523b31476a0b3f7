/* Who may say what on a placement stream. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "placement/admission.h"

static const struct tr_admission_peer anybody = { 0 };

static struct tr_host message(void)
{
    return (struct tr_host){ .id = TR_SLICE_LIT("app-1"),
                             .ns = TR_SLICE_LIT("default"),
                             .op = TR_HOST_REPORT };
}

static void assert_refused(const struct tr_admission_peer *peer, const struct tr_host *host,
                           enum tr_code code, const char *text)
{
    struct tr_err err;
    assert_int_equal(tr_admission_check(peer, host, &err), code);
    assert_string_equal(err.msg, text);
}

static void assert_admitted(const struct tr_admission_peer *peer, const struct tr_host *host)
{
    struct tr_err err;
    assert_int_equal(tr_admission_check(peer, host, &err), TR_OK);
}

static void id_and_namespace_must_be_named(void **state)
{
    struct tr_host host = message();
    assert_admitted(&anybody, &host);
    host.id = tr_slice("", 0);
    assert_refused(&anybody, &host, TR_INVALID, "host ID and namespace must be provided");
    host = message();
    host.ns = tr_slice("", 0);
    assert_refused(&anybody, &host, TR_INVALID, "host ID and namespace must be provided");
    (void)state;
}

static void a_version_needs_an_operation_but_not_the_reverse(void **state)
{
    struct tr_host host = message();
    host.op = TR_HOST_LOCK;
    assert_admitted(&anybody, &host);
    host.op = TR_HOST_UNKNOWN;
    assert_admitted(&anybody, &host);
    host.has_version = true;
    assert_refused(&anybody, &host, TR_INVALID,
                   "both operation and version must be set or both must be unset");
    (void)state;
}

static void internal_types_belong_to_the_app_they_name(void **state)
{
    static const struct {
        const char *type;
        bool is_allowed;
    } rows[] = {
        { "allowed.entity.type", true },
        { "dapr.internal.default.app-1", true },
        { "dapr.internal.default.app-1.foo", true },
        { "dapr.internal.default.app-1.bar.foo", true },
        { "dapr.internal", false },
        { "dapr.internal.", false },
        { "dapr.internal.default", false },
        { "dapr.internal.default.", false },
        { "dapr.internal.foo.bar", false },
        { "dapr.internal.default.app-2", false },
        { "dapr.internal.default.app-1x", false },
        { "dapr.internal.other.app-1", false },
        { "dapr.internalX", true },
        { "dapr", true },
        { "", true },
        { ".dapr.internal", true },
    };
    for (size_t i = 0; i < TR_ARRAY_LEN(rows); i++) {
        bool is_allowed = tr_admission_may_host(tr_slice_str(rows[i].type), TR_SLICE_LIT("app-1"),
                                                TR_SLICE_LIT("default"));
        assert_int_equal(is_allowed, rows[i].is_allowed);
    }
    (void)state;
}

static void one_bad_type_refuses_the_message(void **state)
{
    struct tr_slice types[] = { TR_SLICE_LIT("a"), TR_SLICE_LIT("dapr.internal.foo.bar") };
    struct tr_host host = message();
    host.types = types;
    host.types_len = 2;
    assert_refused(
        &anybody, &host, TR_PERMISSION,
        "entity dapr.internal.foo.bar is not allowed for app ID app-1 in namespace default");
    (void)state;
}

static void the_certificate_decides_id_and_namespace(void **state)
{
    struct tr_host host = message();
    struct tr_admission_peer peer = { .is_tls = true };
    assert_refused(&peer, &host, TR_UNAUTHENTICATED, "failed to get client ID from context");
    peer.has_identity = true;
    peer.app_id = TR_SLICE_LIT("app-2");
    peer.ns = TR_SLICE_LIT("default");
    assert_refused(&peer, &host, TR_PERMISSION,
                   "provided app ID app-1 doesn't match the one in the SPIFFE ID (app-2)");
    peer.app_id = TR_SLICE_LIT("app-1");
    peer.ns = TR_SLICE_LIT("other");
    assert_refused(
        &peer, &host, TR_PERMISSION,
        "provided client namespace default doesn't match the one in the SPIFFE ID (other)");
    peer.ns = TR_SLICE_LIT("default");
    assert_admitted(&peer, &host);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(id_and_namespace_must_be_named),
        cmocka_unit_test(a_version_needs_an_operation_but_not_the_reverse),
        cmocka_unit_test(internal_types_belong_to_the_app_they_name),
        cmocka_unit_test(one_bad_type_refuses_the_message),
        cmocka_unit_test(the_certificate_decides_id_and_namespace),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
