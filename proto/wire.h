/* Between protobuf-c's structs and our slices and buffers. The files' versions are in proto/WIRE.md. */
#ifndef TR_PROTO_WIRE_H
#define TR_PROTO_WIRE_H

#include <protobuf-c/protobuf-c.h>

#include "runtime/base/buf.h"
#include "runtime/base/err.h"
#include "runtime/base/slice.h"

/* Memory that decoding may take: so many bytes per byte of the message, and something to begin with. Real messages stay
 * below a quarter of it; empty entries of a map, two bytes each, would take forty times their size. */
#define TR_WIRE_GROWTH_MAX 32U
#define TR_WIRE_SPARE_BYTES (64U * 1024U)

/*
 * Decode `bytes`; free the result with tr_wire_free(). Unknown fields are skipped. How deep messages nest is given by the
 * schema: no message here contains itself.
 *
 * Owns:   the result has copies of all bytes.
 * Errors: TR_INVALID "malformed <message name>"; TR_LIMIT "<message name> has too many parts".
 * Thread: any.
 */
TR_MUST_USE enum tr_code tr_wire_unpack(const ProtobufCMessageDescriptor *type, struct tr_slice bytes,
                                        ProtobufCMessage **out_message, struct tr_err *err);
/* Accepts NULL. */
void tr_wire_free(void *message);

/* Append the encoded message. Cost: one pass for the size, one for the bytes. */
void tr_wire_pack(const void *message, struct tr_buf *out);

/* A bytes field as a slice, borrowed from the message; an absent field is empty. */
static inline struct tr_slice tr_wire_slice(ProtobufCBinaryData data)
{
    return tr_slice(data.data, data.len);
}

/* A slice as a bytes field; the message only borrows it and must not be freed with tr_wire_free(). */
static inline ProtobufCBinaryData tr_wire_data(struct tr_slice slice)
{
    return (ProtobufCBinaryData){ .len = slice.len, .data = (uint8_t *)(uintptr_t)slice.ptr };
}

/* Set an optional bytes field of a message that borrows: TR_WIRE_SET(&m, name, slice). Empty text stays absent. */
#define TR_WIRE_SET(message, field, slice)                                                         \
    ((message)->field = tr_wire_data(slice), (message)->has_##field = (message)->field.len > 0)

#endif
