/* Which headers travel between caller and app. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "runtime/app/forward.h"

/* Forward lines such as "Name: value\r\n" and compare what passes, written the same way. */
static void assert_forwards(const char *lines, const char *want)
{
    struct tr_http_headers from = { 0 };
    struct tr_http_headers to = { 0 };
    struct tr_buf text = { 0 };
    struct tr_slice rest = tr_slice_str(lines);
    struct tr_slice line;
    while (tr_slice_split(&rest, '\n', &line)) {
        const size_t colon = tr_slice_find(line, ':');
        if (colon < line.len) {
            tr_http_headers_add(&from, tr_slice(line.ptr, colon), tr_slice_trim(tr_slice_skip(line, colon + 1)));
        }
    }
    tr_forward_headers(&from, &to);
    tr_http_headers_write(&to, &text);
    assert_string_equal(tr_buf_cstr(&text), want);
    tr_buf_fini(&text);
    tr_http_headers_fini(&to);
    tr_http_headers_fini(&from);
}

static void ordinary_headers_keep_names_values_and_order(void **state)
{
    assert_forwards("X-B: 2\nx-a: 1\nX-B: 3\nDapr-Reentrancy-Id: r\nx-daprerrorresponseheader: \n",
                    "X-B: 2\r\nx-a: 1\r\nX-B: 3\r\nDapr-Reentrancy-Id: r\r\nx-daprerrorresponseheader: \r\n");
    (void)state;
}

static void what_belongs_to_one_connection_stays_there(void **state)
{
    assert_forwards("Connection: keep-alive\nKeep-Alive: 5\nProxy-Connection: x\nTransfer-Encoding: chunked\n"
                    "Upgrade: h2c\nHTTP2-Settings: x\nTE: trailers\nTrailer: x\nProxy-Authorization: x\n"
                    "Proxy-Authenticate: x\nContent-Length: 5\nCONTENT-TYPE: a/b\nHost: h\nDestination-App-Id: d\nX: y\n",
                    "X: y\r\n");
    (void)state;
}

static void headers_that_connection_names_stay_too(void **state)
{
    assert_forwards("X-Hop: 1\nConnection: close, x-hop\nX-Kept: 2\nConnection: ,X-OTHER ,\nx-other: 3\n", "X-Kept: 2\r\n");
    (void)state;
}

static void binary_metadata_is_left_out_in_any_case(void **state)
{
    assert_forwards("trace-bin: 1\nTrace-BIN: 2\n-bin: 3\nbin: 4\nx-bind: 5\n", "bin: 4\r\nx-bind: 5\r\n");
    (void)state;
}

static void names_of_grpc_get_a_prefix(void **state)
{
    assert_forwards("grpc-timeout: 1S\nGRPC-Status: 0\ngrpc-: x\ngrpcx: y\n",
                    "dapr-grpc-timeout: 1S\r\ndapr-GRPC-Status: 0\r\ngrpc-: x\r\ngrpcx: y\r\n");
    (void)state;
}

static void no_more_pass_than_the_limit(void **state)
{
    struct tr_http_headers from = { 0 };
    struct tr_http_headers to = { 0 };
    for (unsigned i = 0; i < TR_FORWARD_HEADERS_MAX + 10; i++) {
        tr_http_headers_add_str(&from, "a", "b");
    }
    tr_http_headers_add_str(&to, "first", "1");
    tr_forward_headers(&from, &to);
    assert_int_equal(tr_http_headers_len(&to), TR_FORWARD_HEADERS_MAX);
    tr_http_headers_fini(&to);
    tr_http_headers_fini(&from);
    (void)state;
}

static void a_client_says_nothing_of_its_identity(void **state)
{
    struct tr_http_headers headers = { 0 };
    tr_http_headers_add_str(&headers, "Dapr-Caller-App-Id", "me");
    tr_http_headers_add_str(&headers, "DAPR-CALLER-NAMESPACE", "mine");
    tr_http_headers_add_str(&headers, "dapr-api-token", "secret");
    tr_http_headers_add_str(&headers, "dapr-caller-app-id", "again");
    tr_http_headers_add_str(&headers, "dapr-caller", "kept");
    tr_forward_strip_identity(&headers);
    assert_int_equal(tr_http_headers_len(&headers), 1);
    assert_true(tr_http_headers_has(&headers, "dapr-caller"));
    tr_http_headers_fini(&headers);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ordinary_headers_keep_names_values_and_order),
        cmocka_unit_test(what_belongs_to_one_connection_stays_there),
        cmocka_unit_test(headers_that_connection_names_stay_too),
        cmocka_unit_test(binary_metadata_is_left_out_in_any_case),
        cmocka_unit_test(names_of_grpc_get_a_prefix),
        cmocka_unit_test(no_more_pass_than_the_limit),
        cmocka_unit_test(a_client_says_nothing_of_its_identity),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
