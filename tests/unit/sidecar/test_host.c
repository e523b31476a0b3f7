/* Where the sidecar is: the address it tells, and its stable port. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <arpa/inet.h>
#include <unistd.h>
#include <cmocka.h>

#include "runtime/sidecar/host.h"
#include "runtime/sidecar/port.h"

static void the_environment_says_which_address_to_tell(void **state)
{
    struct tr_buf host = { 0 };
    assert_int_equal(setenv("DAPR_HOST_IP", "10.1.2.3", 1), 0);
    tr_host_address(&host);
    assert_string_equal(tr_buf_cstr(&host), "10.1.2.3");
    tr_buf_fini(&host);
    (void)state;
}

static void else_an_address_of_this_machine_is_told(void **state)
{
    struct tr_buf host = { 0 };
    struct in6_addr v6;
    struct in_addr v4;
    assert_int_equal(setenv("DAPR_HOST_IP", "", 1), 0); /* counts as not set */
    tr_host_address(&host);
    assert_true(inet_pton(AF_INET, tr_buf_cstr(&host), &v4) == 1 || inet_pton(AF_INET6, tr_buf_cstr(&host), &v6) == 1);
    struct tr_buf again = { 0 };
    assert_int_equal(unsetenv("DAPR_HOST_IP"), 0);
    tr_host_address(&again);
    assert_string_equal(tr_buf_cstr(&again), tr_buf_cstr(&host));
    tr_buf_fini(&again);
    tr_buf_fini(&host);
    (void)state;
}

/* Expected numbers from Python's hashlib, by the rule in port.h. */
static void the_hash_of_a_text_gives_its_port(void **state)
{
    assert_int_equal(tr_port_of_text(TR_SLICE_LIT("")), 56113);
    assert_int_equal(tr_port_of_text(TR_SLICE_LIT("abc")), 59971);
    assert_int_equal(tr_port_of_text(TR_SLICE_LIT("app|/tmp|1000|box")), 63534);
    (void)state;
}

static void the_stable_port_depends_on_app_and_folder_only(void **state)
{
    char before[4096];
    assert_non_null(getcwd(before, sizeof(before)));
    assert_int_equal(chdir("/"), 0);
    const uint16_t port = tr_host_stable_port("app");
    assert_true(port >= 47300);
    assert_true(port <= 65534);
    assert_int_equal(tr_host_stable_port("app"), port);
    assert_int_not_equal(tr_host_stable_port("other app"), port);
    assert_int_equal(chdir("/tmp"), 0);
    assert_int_not_equal(tr_host_stable_port("app"), port);
    assert_int_equal(chdir(before), 0);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_environment_says_which_address_to_tell),
        cmocka_unit_test(else_an_address_of_this_machine_is_told),
        cmocka_unit_test(the_hash_of_a_text_gives_its_port),
        cmocka_unit_test(the_stable_port_depends_on_app_and_folder_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
