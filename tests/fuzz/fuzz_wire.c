/* Bytes from a peer or an app into each kind of message that one may send; what was decoded encodes again. */
#include <stdint.h>

#include "proto/internals.pb-c.h"
#include "proto/runtime.pb-c.h"
#include "proto/wire.h"

static const ProtobufCMessageDescriptor *const types[] = {
    &tr__internals__internal_invoke_request__descriptor,
    &tr__internals__internal_invoke_response__descriptor,
    &tr__internals__internal_invoke_request_stream__descriptor,
    &tr__internals__reminder__descriptor,
    &tr__rt__actor_events_request__descriptor,
    &tr__rt__execute_actor_state_transaction_request__descriptor,
    &tr__rt__execute_state_transaction_request__descriptor,
    &tr__rt__invoke_service_request__descriptor,
    &tr__common__rpc_status__descriptor,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    ProtobufCMessage *message;
    struct tr_err err;
    const ProtobufCMessageDescriptor *type = types[data[0] % TR_ARRAY_LEN(types)];
    if (tr_wire_unpack(type, tr_slice(data + 1, size - 1), &message, &err) != TR_OK) {
        return 0;
    }
    struct tr_buf out = { 0 };
    tr_wire_pack(message, &out);
    tr_buf_fini(&out);
    tr_wire_free(message);
    return 0;
}
