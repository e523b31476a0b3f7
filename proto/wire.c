/* Between protobuf-c's structs and our slices and buffers. */
#include "proto/wire.h"

enum tr_code tr_wire_unpack(const ProtobufCMessageDescriptor *type, struct tr_slice bytes,
                            ProtobufCMessage **out_message, struct tr_err *err)
{
    ProtobufCMessage *message = protobuf_c_message_unpack(type, NULL, bytes.len, (const uint8_t *)bytes.ptr);
    if (message == NULL) {
        return tr_err_set(err, TR_INVALID, "malformed %s", type->short_name);
    }
    *out_message = message;
    return TR_OK;
}

void tr_wire_free(void *message)
{
    if (message != NULL) {
        protobuf_c_message_free_unpacked(message, NULL);
    }
}

void tr_wire_pack(const void *message, struct tr_buf *out)
{
    const size_t len = protobuf_c_message_get_packed_size(message);
    tr_buf_reserve(out, len);
    const size_t written = protobuf_c_message_pack(message, (uint8_t *)out->ptr + out->len);
    tr_assert(written == len);
    out->len += len;
}
