/* The bytes on the wire, and what happens to bytes that are none of ours. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "proto/common.pb-c.h"
#include "proto/internals.pb-c.h"
#include "proto/runtime.pb-c.h"
#include "proto/wire.h"

/* As the reference encodes it: {actor_type: "t", actor_id: "i", metadata: {"k": "v"}}. */
static const char invoke_actor[] = "\x0a\x01t\x12\x01i\x2a\x06\x0a\x01k\x12\x01v";

static void a_message_is_encoded_as_the_reference_does(void **state)
{
    (void)state;
    Tr__Common__StringEntry entry = TR__COMMON__STRING_ENTRY__INIT;
    TR_WIRE_SET(&entry, key, TR_SLICE_LIT("k"));
    TR_WIRE_SET(&entry, value, TR_SLICE_LIT("v"));
    Tr__Common__StringEntry *entries[] = { &entry };
    Tr__Rt__InvokeActorRequest request = TR__RT__INVOKE_ACTOR_REQUEST__INIT;
    TR_WIRE_SET(&request, actor_type, TR_SLICE_LIT("t"));
    TR_WIRE_SET(&request, actor_id, TR_SLICE_LIT("i"));
    TR_WIRE_SET(&request, data, TR_SLICE_LIT(""));
    request.n_metadata = 1;
    request.metadata = entries;
    struct tr_buf out = { 0 };
    tr_buf_add_str(&out, "before");
    tr_wire_pack(&request, &out);
    assert_int_equal(out.len, 6 + sizeof(invoke_actor) - 1);
    assert_memory_equal(out.ptr + 6, invoke_actor, sizeof(invoke_actor) - 1);
    tr_buf_fini(&out);
}

static void absence_shows_and_unknown_fields_are_skipped(void **state)
{
    (void)state;
    /* Field 99 with one byte, then {actor_type: "", method: "m"}. */
    static const char bytes[] = "\x9a\x06\x01x\x0a\x00\x1a\x01m";
    ProtobufCMessage *message;
    struct tr_err err;
    assert_int_equal(tr_wire_unpack(&tr__rt__invoke_actor_request__descriptor,
                                    tr_slice(bytes, sizeof(bytes) - 1), &message, &err),
                     TR_OK);
    const Tr__Rt__InvokeActorRequest *request = (const Tr__Rt__InvokeActorRequest *)message;
    assert_true(request->has_actor_type);
    assert_int_equal(tr_wire_slice(request->actor_type).len, 0);
    assert_false(request->has_actor_id);
    assert_true(tr_slice_eq_str(tr_wire_slice(request->method), "m"));
    tr_wire_free(message);
}

static void no_bytes_are_a_message_without_fields(void **state)
{
    (void)state;
    ProtobufCMessage *message;
    struct tr_err err;
    assert_int_equal(
        tr_wire_unpack(&tr__common__empty__descriptor, tr_slice(NULL, 0), &message, &err), TR_OK);
    struct tr_buf out = { 0 };
    tr_wire_pack(message, &out);
    assert_int_equal(out.len, 0);
    tr_wire_free(message);
}

static void a_cut_message_is_refused_by_name(void **state)
{
    (void)state;
    for (size_t len = 1; len < sizeof(invoke_actor) - 1; len++) {
        ProtobufCMessage *message;
        struct tr_err err;
        const enum tr_code code = tr_wire_unpack(&tr__rt__invoke_actor_request__descriptor,
                                                 tr_slice(invoke_actor, len), &message, &err);
        if (len == 3 || len == 6) { /* a cut between two fields is a message of its own */
            assert_int_equal(code, TR_OK);
            tr_wire_free(message);
            continue;
        }
        assert_int_equal(code, TR_INVALID);
        assert_string_equal(err.msg, "malformed InvokeActorRequest");
    }
}

static void a_message_of_nothing_but_empty_entries_is_refused(void **state)
{
    (void)state;
    struct tr_buf bytes = { 0 };
    for (unsigned i = 0; i < 100000; i++) {
        tr_buf_add(&bytes, tr_slice("\x2a\x00", 2));
    }
    ProtobufCMessage *message;
    struct tr_err err;
    assert_int_equal(tr_wire_unpack(&tr__rt__invoke_actor_request__descriptor, tr_buf_slice(&bytes),
                                    &message, &err),
                     TR_LIMIT);
    tr_buf_fini(&bytes);
}

static void a_map_of_short_entries_is_accepted(void **state)
{
    (void)state;
    struct tr_buf bytes = { 0 };
    for (unsigned i = 0; i < 100000; i++) {
        tr_buf_add(&bytes, tr_slice("\x2a\x06\x0a\x01k\x12\x01v", 8));
    }
    ProtobufCMessage *message;
    struct tr_err err;
    assert_int_equal(tr_wire_unpack(&tr__rt__invoke_actor_request__descriptor, tr_buf_slice(&bytes),
                                    &message, &err),
                     TR_OK);
    tr_wire_free(message);
    tr_buf_fini(&bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_message_is_encoded_as_the_reference_does),
        cmocka_unit_test(absence_shows_and_unknown_fields_are_skipped),
        cmocka_unit_test(no_bytes_are_a_message_without_fields),
        cmocka_unit_test(a_cut_message_is_refused_by_name),
        cmocka_unit_test(a_message_of_nothing_but_empty_entries_is_refused),
        cmocka_unit_test(a_map_of_short_entries_is_accepted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
