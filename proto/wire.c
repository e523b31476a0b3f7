/*
 * Between protobuf-c's structs and our slices and buffers. Decoding draws on a budget, so that a small message cannot
 * make us reserve memory out of proportion; what was drawn is plain malloc memory and is freed as such.
 */
#include "proto/wire.h"

#include <stdlib.h>

struct budget {
    size_t left; /* bytes */
    bool is_spent;
};

static void *budget_alloc(void *ctx, size_t bytes)
{
    struct budget *budget = ctx;
    if (bytes > budget->left) {
        budget->is_spent = true;
        return NULL;
    }
    budget->left -= bytes;
    return tr_xalloc(bytes);
}

static void budget_free(void *ctx, void *ptr)
{
    (void)ctx;
    free(ptr);
}

enum tr_code tr_wire_unpack(const ProtobufCMessageDescriptor *type, struct tr_slice bytes,
                            ProtobufCMessage **out_message, struct tr_err *err)
{
    if (bytes.len > (PTRDIFF_MAX - TR_WIRE_SPARE_BYTES) / TR_WIRE_GROWTH_MAX) {
        return tr_err_set(err, TR_LIMIT, "%s is too large", type->short_name);
    }
    struct budget budget = { .left = bytes.len * TR_WIRE_GROWTH_MAX + TR_WIRE_SPARE_BYTES };
    ProtobufCAllocator allocator = { .alloc = budget_alloc,
                                     .free = budget_free,
                                     .allocator_data = &budget };
    static const uint8_t nothing[1];
    ProtobufCMessage *message = protobuf_c_message_unpack(
        type, &allocator, bytes.len, bytes.len > 0 ? (const uint8_t *)bytes.ptr : nothing);
    if (message == NULL && budget.is_spent) {
        return tr_err_set(err, TR_LIMIT, "%s has too many parts", type->short_name);
    }
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
    if (len == 0) {
        return;
    }
    tr_buf_reserve(out, len);
    const size_t written = protobuf_c_message_pack(message, (uint8_t *)out->ptr + out->len);
    tr_assert(written == len);
    out->len += len;
}
