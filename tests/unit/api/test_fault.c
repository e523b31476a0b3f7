/* Errors with details: the bytes of both surfaces. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "proto/common.pb-c.h"
#include "proto/wire.h"
#include "runtime/api/api_int.h"

static void assert_json(const struct api_fault *fault, const char *want)
{
    struct tr_buf out = { 0 };
    api_fault_json(fault, &out);
    assert_string_equal(tr_buf_cstr(&out), want);
    tr_buf_fini(&out);
}

static Tr__Common__RpcStatus *packed(const struct api_fault *fault)
{
    struct tr_buf out = { 0 };
    struct tr_err err;
    ProtobufCMessage *message = NULL;
    api_fault_pack(fault, &out);
    assert_int_equal(tr_wire_unpack(&tr__common__rpc_status__descriptor, tr_buf_slice(&out), &message, &err), TR_OK);
    tr_buf_fini(&out);
    return (Tr__Common__RpcStatus *)message;
}

static void assert_detail(const Tr__Common__RpcStatus *status, size_t i, const char *type)
{
    assert_true(i < status->n_details);
    assert_true(tr_slice_eq_str(tr_wire_slice(status->details[i]->type_url), type));
}

static void full(struct api_fault *fault)
{
    *fault = (struct api_fault){ .reason = "WHY", .has_field = true, .help_url = "http://h", .help_text = "read" };
    api_fault_set(fault, TR_STATE_TOO_MANY, "%d < \"%d\"", 1, 2);
    tr_buf_set(&fault->resource, TR_SLICE_LIT("store"));
    tr_buf_set(&fault->field, TR_SLICE_LIT("key"));
    api_fault_pair(fault, "a", TR_SLICE_LIT("1"));
    api_fault_pair(fault, "b", TR_SLICE_LIT("2"));
}

static void an_error_without_a_reason_has_no_details(void **state)
{
    struct api_fault fault = { 0 };
    api_fault_set(&fault, TR_MALFORMED, "bad");
    assert_json(&fault, "{\"errorCode\":\"ERR_MALFORMED_REQUEST\",\"message\":\"bad\"}");
    Tr__Common__RpcStatus *status = packed(&fault);
    assert_int_equal(status->n_details, 0);
    assert_int_equal(status->code, 3);
    assert_true(tr_slice_eq_str(tr_wire_slice(status->message), "bad"));
    tr_wire_free(status);
    api_fault_fini(&fault);
    (void)state;
}

static void an_error_without_a_name_is_a_plain_one(void **state)
{
    struct api_fault fault = { 0 };
    api_fault_set(&fault, TR_IO, "disk");
    assert_json(&fault, "{\"errorCode\":\"ERROR\",\"message\":\"disk\"}");
    api_fault_fini(&fault);
    (void)state;
}

static void every_detail_stands_in_json_by_its_names(void **state)
{
    struct api_fault fault;
    full(&fault);
    assert_json(&fault,
                "{\"errorCode\":\"ERR_STATE_STORE_TOO_MANY_TRANSACTIONS\",\"message\":\"1 \\u003c \\\"2\\\"\",\"details\":["
                "{\"@type\":\"type.googleapis.com/google.rpc.BadRequest\",\"field_violations\":[{\"field\":\"key\","
                "\"description\":\"1 \\u003c \\\"2\\\"\"}]},"
                "{\"@type\":\"type.googleapis.com/google.rpc.Help\",\"links\":[{\"description\":\"read\",\"url\":"
                "\"http://h\"}]},"
                "{\"@type\":\"type.googleapis.com/google.rpc.ResourceInfo\",\"description\":\"\",\"owner\":\"\","
                "\"resource_name\":\"store\",\"resource_type\":\"state\"},"
                "{\"@type\":\"type.googleapis.com/google.rpc.ErrorInfo\",\"domain\":\"dapr.io\",\"metadata\":{\"a\":\"1\","
                "\"b\":\"2\"},\"reason\":\"WHY\"}]}");
    fault.is_plain_over_http = true;
    assert_json(&fault,
                "{\"errorCode\":\"ERR_STATE_STORE_TOO_MANY_TRANSACTIONS\",\"message\":\"1 \\u003c \\\"2\\\"\"}");
    api_fault_fini(&fault);
    (void)state;
}

static void an_info_without_metadata_says_null(void **state)
{
    struct api_fault fault = { .reason = "WHY" };
    api_fault_set(&fault, TR_STATE_NOT_FOUND, "m");
    assert_json(&fault, "{\"errorCode\":\"ERR_STATE_STORE_NOT_FOUND\",\"message\":\"m\",\"details\":[{\"@type\":"
                        "\"type.googleapis.com/google.rpc.ErrorInfo\",\"domain\":\"dapr.io\",\"metadata\":null,"
                        "\"reason\":\"WHY\"}]}");
    api_fault_fini(&fault);
    (void)state;
}

static void every_detail_is_packed_in_the_same_order(void **state)
{
    struct api_fault fault;
    full(&fault);
    Tr__Common__RpcStatus *status = packed(&fault);
    assert_int_equal(status->n_details, 4);
    assert_detail(status, 0, "type.googleapis.com/google.rpc.BadRequest");
    assert_detail(status, 1, "type.googleapis.com/google.rpc.Help");
    assert_detail(status, 2, "type.googleapis.com/google.rpc.ResourceInfo");
    assert_detail(status, 3, "type.googleapis.com/google.rpc.ErrorInfo");
    ProtobufCMessage *message = NULL;
    struct tr_err err;
    assert_int_equal(tr_wire_unpack(&tr__common__error_info__descriptor, tr_wire_slice(status->details[3]->value),
                                    &message, &err),
                     TR_OK);
    const Tr__Common__ErrorInfo *info = (const Tr__Common__ErrorInfo *)message;
    assert_true(tr_slice_eq_str(tr_wire_slice(info->reason), "WHY"));
    assert_true(tr_slice_eq_str(tr_wire_slice(info->domain), "dapr.io"));
    assert_int_equal(info->n_metadata, 2);
    assert_true(tr_slice_eq_str(tr_wire_slice(info->metadata[1]->key), "b"));
    assert_true(tr_slice_eq_str(tr_wire_slice(info->metadata[1]->value), "2"));
    tr_wire_free(message);
    tr_wire_free(status);
    api_fault_fini(&fault);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_error_without_a_reason_has_no_details),
        cmocka_unit_test(an_error_without_a_name_is_a_plain_one),
        cmocka_unit_test(every_detail_stands_in_json_by_its_names),
        cmocka_unit_test(an_info_without_metadata_says_null),
        cmocka_unit_test(every_detail_is_packed_in_the_same_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
