/* What must be ready before the sidecar is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "runtime/sidecar/targets.h"

static void assert_unready(const struct tr_targets *targets, const char *want)
{
    struct tr_buf unready = { 0 };
    assert_int_equal(tr_targets_are_ready(targets, &unready), want[0] == '\0');
    assert_string_equal(tr_buf_cstr(&unready), want);
    tr_buf_fini(&unready);
}

static void what_is_needed_and_not_ready_is_named(void **state)
{
    struct tr_targets targets = { .is_needed = { false } };
    assert_unready(&targets, "");
    for (unsigned i = 0; i < TR_TARGETS_LEN; i++) {
        tr_target_need(&targets, (enum tr_target)i);
    }
    assert_unready(&targets, "security-provider metrics-exporter grpc-api-server grpc-internal-server runtime "
                             "internal-placement-service");
    tr_target_ready(&targets, TR_TARGET_METRICS);
    tr_target_ready(&targets, TR_TARGET_GRPC_API);
    tr_target_ready(&targets, TR_TARGET_GRPC_INTERNAL);
    tr_target_ready(&targets, TR_TARGET_SECURITY);
    assert_unready(&targets, "runtime internal-placement-service");
    tr_target_ready(&targets, TR_TARGET_PLACEMENT);
    tr_target_ready(&targets, TR_TARGET_PLACEMENT);
    assert_unready(&targets, "runtime");
    tr_target_ready(&targets, TR_TARGET_RUNTIME);
    assert_unready(&targets, "");
    (void)state;
}

static void what_is_not_needed_does_not_count(void **state)
{
    struct tr_targets targets = { .is_needed = { false } };
    tr_target_need(&targets, TR_TARGET_RUNTIME);
    tr_target_ready(&targets, TR_TARGET_PLACEMENT);
    assert_unready(&targets, "runtime");
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_needed_and_not_ready_is_named),
        cmocka_unit_test(what_is_not_needed_does_not_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
