/*
 * One attempt at one placement server.
 *
 * Course: channel, stream, first report at once (gRPC sends it when it has connected; that it was taken means that we are
 * connected), then orders in and acknowledgements out, one of each at a time. Every end comes as the stream's callback,
 * after sends and receives have come back: it is told to the client unless the attempt was abandoned; then the channel is
 * closed, then the attempt freed.
 */
#include <stdlib.h>

#include "invoke/rpc_client.h"
#include "placement/client_int.h"
#include "placement/server.h"

struct tr_placement_attempt {
    struct tr_placement_client *client; /* borrowed; outlives it */
    struct tr_rpc_channel *channel;     /* owned until closed */
    struct tr_rpc_stream stream;
    struct tr_rpc_recv recv;
    struct tr_rpc_send send;
    struct tr_buf sending; /* owned: the message with gRPC */
    struct tr_buf
        acks[TR_ATTEMPT_ACKS_MAX + 2]; /* owned, encoded, oldest first; two for orders read ahead */
    size_t acks_len;
    bool is_report_due;
    bool is_reported; /* the first report was taken */
    bool is_sending;
    bool is_reading;
    bool is_read_wanted;
    bool had_order;
    bool is_leaving;
    bool is_abandoned;
};

static void encode_report(struct tr_placement_attempt *attempt)
{
    const struct tr_placement_client *client = attempt->client;
    const struct tr_host report = {
        .name = client->conf.name,
        .id = client->conf.app_id,
        .ns = client->conf.ns,
        .types = client->types,
        .types_len = client->types_len,
        .api_level = TR_HOST_API_LEVEL,
        .op = TR_HOST_REPORT,
    };
    tr_host_encode(&report, &attempt->sending);
}

static void read_if_wanted(struct tr_placement_attempt *attempt)
{
    if (!attempt->is_read_wanted || attempt->is_reading ||
        attempt->acks_len >= TR_ATTEMPT_ACKS_MAX) {
        return;
    }
    attempt->is_read_wanted = false;
    attempt->is_reading = true;
    tr_rpc_stream_recv_start(&attempt->stream, &attempt->recv);
}

static void send_next(struct tr_placement_attempt *attempt)
{
    if (attempt->is_sending || attempt->is_leaving || attempt->is_abandoned) {
        return;
    }
    tr_buf_clear(&attempt->sending);
    if (attempt->is_report_due) {
        attempt->is_report_due = false;
        encode_report(attempt);
    } else if (attempt->acks_len > 0) {
        tr_buf_move(&attempt->sending, &attempt->acks[0]);
        attempt->acks_len--;
        for (size_t i = 0; i < attempt->acks_len; i++) {
            tr_buf_move(&attempt->acks[i], &attempt->acks[i + 1]);
        }
    } else {
        return;
    }
    attempt->is_sending = true;
    attempt->send.message = tr_buf_slice(&attempt->sending);
    tr_rpc_stream_send_start(&attempt->stream, &attempt->send);
    read_if_wanted(attempt);
}

static void on_sent(struct tr_rpc_send *send)
{
    struct tr_placement_attempt *attempt = TR_CONTAINER_OF(send, struct tr_placement_attempt, send);
    attempt->is_sending = false;
    if (attempt->is_abandoned) {
        return;
    }
    if (send->err.code != TR_OK) {
        tr_rpc_stream_cancel(&attempt->stream); /* its end says why */
        return;
    }
    bool is_first = !attempt->is_reported;
    attempt->is_reported = true;
    send_next(attempt);
    if (is_first && !attempt->is_leaving) {
        tr_placement_client_on_reported(attempt->client);
    }
}

static void on_received(struct tr_rpc_recv *recv)
{
    struct tr_placement_attempt *attempt = TR_CONTAINER_OF(recv, struct tr_placement_attempt, recv);
    attempt->is_reading = false;
    if (recv->err.code != TR_OK && !attempt->is_abandoned) {
        tr_rpc_stream_cancel(&attempt->stream); /* too large, or over already; the end says which */
    } else if (recv->err.code == TR_OK && recv->has_message && !attempt->is_abandoned) {
        struct tr_buf message = { 0 };
        tr_buf_move(&message, &recv->message);
        attempt->had_order = true;
        tr_placement_client_on_order(attempt->client, tr_buf_slice(&message));
        tr_buf_fini(&message);
    }
    tr_buf_fini(&recv->message);
}

static void on_channel_closed(void *ctx)
{
    struct tr_placement_attempt *attempt = ctx;
    struct tr_placement_client *client = attempt->client;
    for (size_t i = 0; i < TR_ARRAY_LEN(attempt->acks); i++) {
        tr_buf_fini(&attempt->acks[i]);
    }
    tr_buf_fini(&attempt->sending);
    free(attempt);
    tr_placement_client_on_gone(client);
}

static void on_stream_end(struct tr_rpc_stream *stream)
{
    struct tr_placement_attempt *attempt =
        TR_CONTAINER_OF(stream, struct tr_placement_attempt, stream);
    if (!attempt->is_abandoned) {
        attempt->is_abandoned = true;
        tr_placement_client_on_end(attempt->client, stream->status, tr_buf_slice(&stream->message),
                                   attempt->had_order);
    }
    tr_rpc_stream_fini(stream);
    tr_rpc_channel_close(attempt->channel, on_channel_closed, attempt);
}

enum tr_code tr_placement_attempt_start(struct tr_placement_client *client, const char *address,
                                        struct tr_err *err)
{
    const struct tr_rpc_channel_conf conf = {
        .target = tr_slice_str(address),
        .message_bytes_max = TR_ORDER_BYTES_MAX,
        .keepalive_ms = TR_ATTEMPT_KEEPALIVE_MS,
        .keepalive_timeout_ms = TR_ATTEMPT_KEEPALIVE_TIMEOUT_MS,
    };
    struct tr_rpc_channel *channel;
    enum tr_code rc = tr_rpc_channel_new(client->conf.rpc, &conf, &channel, err);
    if (rc != TR_OK) {
        tr_err_wrap(err, "placement address '%s'", address);
        return rc;
    }
    struct tr_placement_attempt *attempt = tr_xzalloc(sizeof(*attempt));
    attempt->client = client;
    attempt->channel = channel;
    attempt->stream.path = TR_SLICE_LIT(TR_PLACEMENT_PATH);
    attempt->stream.cb = on_stream_end;
    attempt->recv.cb = on_received;
    attempt->send.cb = on_sent;
    attempt->is_report_due = true;
    tr_rpc_stream_start(channel, &attempt->stream);
    client->attempt = attempt;
    client->attempts_len++;
    send_next(attempt);
    tr_placement_attempt_read(attempt);
    return TR_OK;
}

void tr_placement_attempt_report(struct tr_placement_attempt *attempt)
{
    attempt->is_report_due = true;
    send_next(attempt);
}

void tr_placement_attempt_ack(struct tr_placement_attempt *attempt, enum tr_host_op op,
                              uint64_t version)
{
    const struct tr_host ack = {
        .id = attempt->client->conf.app_id,
        .ns = attempt->client->conf.ns,
        .op = op,
        .has_version = true,
        .version = version,
    };
    tr_assert(attempt->acks_len < TR_ARRAY_LEN(attempt->acks)); /* see read_if_wanted() */
    tr_host_encode(&ack, &attempt->acks[attempt->acks_len++]);
    send_next(attempt);
}

void tr_placement_attempt_read(struct tr_placement_attempt *attempt)
{
    attempt->is_read_wanted = true;
    read_if_wanted(attempt);
}

void tr_placement_attempt_leave(struct tr_placement_attempt *attempt)
{
    attempt->is_leaving = true;
    tr_rpc_stream_half_close(&attempt->stream);
    tr_placement_attempt_read(attempt); /* the status comes after what is still on its way */
}

void tr_placement_attempt_abandon(struct tr_placement_attempt *attempt)
{
    if (!attempt->is_abandoned) {
        attempt->is_abandoned = true;
        tr_rpc_stream_cancel(&attempt->stream);
    }
}
