/*
 * Conversions between gRPC's types and ours: metadata, messages, deadlines, channel arguments, texts.
 *
 * What gRPC received is copied and let go of at once. Its slices point into the buffers it read from the socket, so
 * holding one small value can pin 8 KiB and more for the whole life of a call.
 */
#include "invoke/rpc_int.h"

#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include <grpc/byte_buffer.h>
#include <grpc/byte_buffer_reader.h>
#include <grpc/slice.h>
#include <grpc/support/alloc.h>
#include <grpc/support/time.h>

/* --- metadata list ------------------------------------------------------------------------------------------------ */

/* In front of each pair's bytes. */
struct pair_head {
    uint32_t key_len;
    uint32_t value_len;
};

void tr_rpc_md_fini(struct tr_rpc_md *md)
{
    tr_buf_fini(&md->pairs);
    md->len = 0;
}

void tr_rpc_md_clear(struct tr_rpc_md *md)
{
    tr_buf_clear(&md->pairs);
    md->len = 0;
}

void tr_rpc_md_move(struct tr_rpc_md *to, struct tr_rpc_md *from)
{
    tr_buf_move(&to->pairs, &from->pairs);
    to->len = from->len;
    from->len = 0;
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

void tr_rpc_md_add(struct tr_rpc_md *md, struct tr_slice key, struct tr_slice value)
{
    tr_assert(key.len <= UINT32_MAX);
    tr_assert(value.len <= UINT32_MAX);
    const struct pair_head head = { .key_len = (uint32_t)key.len,
                                    .value_len = (uint32_t)value.len };
    tr_buf_reserve(&md->pairs, sizeof(head) + key.len + value.len);
    tr_buf_add(&md->pairs, tr_slice(&head, sizeof(head)));
    for (size_t i = 0; i < key.len; i++) {
        tr_buf_add_char(&md->pairs, lower(key.ptr[i]));
    }
    tr_buf_add(&md->pairs, value);
    md->len++;
}

bool tr_rpc_md_next(const struct tr_rpc_md *md, struct tr_rpc_md_iter *iter,
                    struct tr_slice *out_key, struct tr_slice *out_value)
{
    if (iter->at == md->pairs.len) {
        return false;
    }
    struct pair_head head;
    tr_assert(md->pairs.len - iter->at >= sizeof(head));
    memcpy(&head, md->pairs.ptr + iter->at, sizeof(head));
    iter->at += sizeof(head);
    *out_key = tr_slice(md->pairs.ptr + iter->at, head.key_len);
    iter->at += head.key_len;
    *out_value = tr_slice(md->pairs.ptr + iter->at, head.value_len);
    iter->at += head.value_len;
    tr_assert(iter->at <= md->pairs.len);
    return true;
}

bool tr_rpc_md_get(const struct tr_rpc_md *md, const char *key, struct tr_slice *out_value)
{
    struct tr_rpc_md_iter iter = { 0 };
    struct tr_slice found;
    struct tr_slice value;
    while (tr_rpc_md_next(md, &iter, &found, &value)) {
        if (tr_slice_eq_str(found, key)) {
            *out_value = value;
            return true;
        }
    }
    return false;
}

/* --- metadata from and to gRPC ---------------------------------------------------------------------------------- */

/*
 * Keys that belong to the protocol or to the connection. gRPC core would refuse them, or send them beside its own.
 * Source: the gRPC over HTTP/2 specification (Request-Headers); RFC 9113 8.2.2 (connection-specific fields).
 */
static const char *const reserved_keys[] = {
    "connection",
    "content-length",
    "content-type",
    "grpc-accept-encoding",
    "grpc-encoding",
    "grpc-internal-encoding-request",
    "grpc-message",
    "grpc-previous-rpc-attempts",
    "grpc-retry-pushback-ms",
    "grpc-status",
    "grpc-timeout",
    "host",
    "keep-alive",
    "proxy-connection",
    "te",
    "transfer-encoding",
    "upgrade",
    "user-agent",
};

static bool is_reserved(struct tr_slice key)
{
    for (size_t i = 0; i < TR_ARRAY_LEN(reserved_keys); i++) {
        if (tr_slice_eq_str(key, reserved_keys[i])) {
            return true;
        }
    }
    return false;
}

/* Make the slices of one pair; false, and nothing made, if gRPC could not carry it. */
static bool pair_to_grpc(struct tr_slice key, struct tr_slice value, grpc_metadata *out)
{
    if (key.len == 0 || key.ptr[0] == ':' || is_reserved(key)) {
        return false;
    }
    out->key = grpc_slice_from_copied_buffer(key.ptr, key.len);
    out->value = grpc_slice_from_copied_buffer(value.ptr, value.len);
    if (!grpc_header_key_is_legal(out->key) ||
        (!grpc_is_binary_header(out->key) && !grpc_header_nonbin_value_is_legal(out->value))) {
        grpc_slice_unref(out->key);
        grpc_slice_unref(out->value);
        return false;
    }
    return true;
}

void tr_rpc_md_out_init(struct tr_rpc_md_out *out, const struct tr_rpc_md *md)
{
    out->pairs = NULL;
    out->len = 0;
    if (md == NULL || md->len == 0) {
        return;
    }
    out->pairs = tr_xzalloc(md->len * sizeof(*out->pairs));
    struct tr_rpc_md_iter iter = { 0 };
    struct tr_slice key;
    struct tr_slice value;
    while (tr_rpc_md_next(md, &iter, &key, &value)) {
        if (pair_to_grpc(key, value, &out->pairs[out->len])) {
            out->len++;
        }
    }
}

void tr_rpc_md_out_fini(struct tr_rpc_md_out *out)
{
    for (size_t i = 0; i < out->len; i++) {
        grpc_slice_unref(out->pairs[i].key);
        grpc_slice_unref(out->pairs[i].value);
    }
    free(out->pairs);
    out->pairs = NULL;
    out->len = 0;
}

void tr_rpc_md_take(struct tr_rpc_md *md, grpc_metadata_array *array)
{
    size_t bytes = 0;
    for (size_t i = 0; i < array->count; i++) {
        bytes += sizeof(struct pair_head) + GRPC_SLICE_LENGTH(array->metadata[i].key) +
                 GRPC_SLICE_LENGTH(array->metadata[i].value);
    }
    tr_rpc_md_clear(md);
    tr_buf_reserve(&md->pairs, bytes);
    for (size_t i = 0; i < array->count; i++) {
        tr_rpc_md_add(md, tr_rpc_borrow(&array->metadata[i].key),
                      tr_rpc_borrow(&array->metadata[i].value));
    }
    /* The slices are gRPC's own and go with the call; the array is ours. */
    grpc_metadata_array_destroy(array);
    grpc_metadata_array_init(array);
}

/* --- messages --------------------------------------------------------------------------------------------------- */

grpc_byte_buffer *tr_rpc_bytes_new(struct tr_slice bytes)
{
    grpc_slice slice = grpc_slice_from_copied_buffer(bytes.ptr, bytes.len);
    grpc_byte_buffer *buffer = grpc_raw_byte_buffer_create(&slice, 1);
    grpc_slice_unref(slice);
    return buffer;
}

bool tr_rpc_bytes_take(struct tr_buf *buf, grpc_byte_buffer *bytes)
{
    grpc_byte_buffer_reader reader;
    const bool is_readable = grpc_byte_buffer_reader_init(&reader, bytes) != 0;
    if (is_readable) {
        tr_buf_reserve(buf, grpc_byte_buffer_length(reader.buffer_out));
        grpc_slice *part;
        while (grpc_byte_buffer_reader_peek(&reader, &part)) {
            tr_buf_add(buf, tr_rpc_borrow(part));
        }
        grpc_byte_buffer_reader_destroy(&reader);
    }
    grpc_byte_buffer_destroy(bytes);
    return is_readable;
}

/* --- time ------------------------------------------------------------------------------------------------------- */

gpr_timespec tr_rpc_deadline_to(struct tr_loop *loop, uint64_t deadline_ms)
{
    if (deadline_ms == 0) {
        return gpr_inf_future(GPR_CLOCK_MONOTONIC);
    }
    const uint64_t now_ms = tr_loop_now_ms(loop);
    const uint64_t left_ms = deadline_ms > now_ms ? deadline_ms - now_ms : 0;
    /* Far beyond any call; gRPC's arithmetic would saturate at it. */
    if (left_ms > INT64_MAX / 4) {
        return gpr_inf_future(GPR_CLOCK_MONOTONIC);
    }
    return gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC),
                        gpr_time_from_millis((int64_t)left_ms, GPR_TIMESPAN));
}

uint64_t tr_rpc_deadline_from(struct tr_loop *loop, gpr_timespec deadline)
{
    const gpr_timespec at = gpr_convert_clock_type(deadline, GPR_CLOCK_MONOTONIC);
    if (gpr_time_cmp(at, gpr_inf_future(GPR_CLOCK_MONOTONIC)) == 0) {
        return 0;
    }
    const int64_t left_ms = gpr_time_to_millis(gpr_time_sub(at, gpr_now(GPR_CLOCK_MONOTONIC)));
    const uint64_t now_ms = tr_loop_now_ms(loop);
    if (left_ms <= 0) {
        return now_ms;
    }
    /* gpr_time_to_millis says "for ever" with this number, it answers in 32 bits. */
    return left_ms >= INT32_MAX ? 0 : now_ms + (uint64_t)left_ms;
}

/* --- arguments ---------------------------------------------------------------------------------------------------- */

static grpc_arg *next_arg(struct tr_rpc_args *args, const char *key)
{
    tr_assert(args->len < TR_RPC_ARGS_MAX);
    grpc_arg *arg = &args->args[args->len++];
    /* gRPC copies keys and texts; the field is not const for historical reasons. */
    memcpy(&arg->key, &key, sizeof(key));
    return arg;
}

void tr_rpc_args_int(struct tr_rpc_args *args, const char *key, uint64_t value)
{
    grpc_arg *arg = next_arg(args, key);
    arg->type = GRPC_ARG_INTEGER;
    arg->value.integer = value > INT_MAX ? INT_MAX : (int)value;
}

void tr_rpc_args_text(struct tr_rpc_args *args, const char *key, const char *value)
{
    grpc_arg *arg = next_arg(args, key);
    arg->type = GRPC_ARG_STRING;
    memcpy(&arg->value.string, &value, sizeof(value));
}

void tr_rpc_args_common(struct tr_rpc_args *args, uint64_t keepalive_ms,
                        uint64_t keepalive_timeout_ms, size_t metadata_bytes_max)
{
    /*
     * The limit of a received message is checked by us, with grpc-go's text. gRPC 1.51 checks it after the whole message
     * has arrived, so nothing is lost by that; but neither of us keeps a peer from filling memory with one message.
     */
    grpc_arg *unlimited = next_arg(args, GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH);
    unlimited->type = GRPC_ARG_INTEGER;
    unlimited->value.integer = -1;
    /* Measured as pure cost on our paths: channelz's bookkeeping, the bandwidth probe's pings. */
    tr_rpc_args_int(args, GRPC_ARG_ENABLE_CHANNELZ, 0);
    tr_rpc_args_int(args, GRPC_ARG_HTTP2_BDP_PROBE, 0);
    if (keepalive_ms != 0) {
        tr_rpc_args_int(args, GRPC_ARG_KEEPALIVE_TIME_MS, keepalive_ms);
        /* Without this gRPC stops pinging after two pings on a silent connection. */
        tr_rpc_args_int(args, GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
        if (keepalive_timeout_ms != 0) {
            tr_rpc_args_int(args, GRPC_ARG_KEEPALIVE_TIMEOUT_MS, keepalive_timeout_ms);
        }
    }
    if (metadata_bytes_max != 0) {
        tr_rpc_args_int(args, GRPC_ARG_MAX_METADATA_SIZE, metadata_bytes_max);
    }
}

/* --- texts -------------------------------------------------------------------------------------------------------- */

void tr_rpc_text_recv_limit(struct tr_buf *out, size_t bytes, size_t bytes_max)
{
    tr_buf_addf(out, "grpc: received message larger than max (%zu vs. %zu)", bytes, bytes_max);
}

void tr_rpc_text_send_limit(struct tr_buf *out, size_t bytes, size_t bytes_max)
{
    tr_buf_addf(out, "trying to send message larger than max (%zu vs. %zu)", bytes, bytes_max);
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    const char l = lower(c);
    return l >= 'a' && l <= 'f' ? l - 'a' + 10 : -1;
}

void tr_rpc_peer_text(struct tr_buf *out, grpc_call *call)
{
    char *uri = grpc_call_get_peer(call);
    struct tr_slice rest = tr_slice_str(uri);
    if (tr_slice_starts(rest, TR_SLICE_LIT("ipv4:")) ||
        tr_slice_starts(rest, TR_SLICE_LIT("ipv6:"))) {
        rest = tr_slice_skip(rest, 5);
    }
    for (size_t i = 0; i < rest.len; i++) {
        const int high = rest.ptr[i] == '%' && i + 2 < rest.len ? hex_digit(rest.ptr[i + 1]) : -1;
        const int low = high >= 0 ? hex_digit(rest.ptr[i + 2]) : -1;
        if (low >= 0) {
            tr_buf_add_char(out, (char)(high * 16 + low));
            i += 2;
        } else {
            tr_buf_add_char(out, rest.ptr[i]);
        }
    }
    gpr_free(uri);
}

enum tr_code tr_rpc_status_err(int status, struct tr_slice message, struct tr_err *err)
{
    tr_assert(status != TR_RPC_OK);
    return tr_err_set(err, tr_code_from_grpc(status), "%.*s", TR_SLICE_ARG(message));
}
