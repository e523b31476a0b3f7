/*
 * Any bytes as what an app sends on its event stream: pieces, each behind two bytes of its length; the first may register
 * types, the others answer callbacks. Whatever comes, each callback ends at most once.
 */
#include <stdint.h>
#include <stdlib.h>

#include "proto/wire.h"
#include "runtime/app/stream_int.h"

#define CALLS_LEN 8

static struct tr_loop *loop;
static struct tr_log_sink sink;
static struct tr_log log;

static void on_done(struct tr_app_call *call)
{
    tr_assert(call->err.code == TR_CANCELED || call->status == 200 || call->failure.len > 0);
    tr_app_call_fini(call);
    call->cb = NULL;
}

static bool next_piece(struct tr_slice *rest, struct tr_slice *out_piece)
{
    if (rest->len < 2) {
        return false;
    }
    size_t len = (size_t)(unsigned char)rest->ptr[0] << 8U | (unsigned char)rest->ptr[1];
    *rest = tr_slice_skip(*rest, 2);
    len = len < rest->len ? len : rest->len;
    *out_piece = tr_slice(rest->ptr, len);
    *rest = tr_slice_skip(*rest, len);
    return true;
}

static void take_piece(struct app_stream *stream, struct tr_slice piece)
{
    ProtobufCMessage *message = NULL;
    struct tr_err err;
    if (tr_wire_unpack(&tr__rt__actor_events_request__descriptor, piece, &message, &err) != TR_OK) {
        return;
    }
    const Tr__Rt__ActorEventsRequest *request = (const Tr__Rt__ActorEventsRequest *)message;
    if (request->initial_request != NULL) {
        struct tr_app_config config = { 0 };
        (void)app_stream_read_initial(request->initial_request, &config, &err);
        tr_assert(config.types_len <= TR_APP_TYPES_MAX);
        tr_app_config_fini(&config);
    }
    app_stream_take(stream, request);
    tr_wire_free(message);
    tr_loop_turn(loop);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (loop == NULL) {
        loop = tr_loop_new();
        tr_log_sink_init(&sink);
        sink.level = TR_LOG_OFF;
        tr_log_init(&log, &sink, "fuzz");
    }
    const struct tr_app_hub_conf conf = { .loop = loop, .log = &log };
    struct tr_app_hub *hub = tr_app_hub_new(&conf);
    struct app_stream stream = { .hub = hub, .is_registered = true, .is_sending = true }; /* nothing leaves */
    struct tr_app_call calls[CALLS_LEN];
    tr_link_init(&stream.link);
    tr_link_init(&stream.out);
    tr_link_init(&stream.pending);
    tr_list_add_tail(&hub->streams, &stream.link);
    for (unsigned i = 0; i < CALLS_LEN; i++) {
        calls[i] = (struct tr_app_call){ .kind = (enum tr_app_call_kind)(i % 4), .cb = on_done };
        app_hub_start(hub, &calls[i]);
    }
    struct tr_slice rest = tr_slice(data, size);
    struct tr_slice piece;
    while (next_piece(&rest, &piece)) {
        take_piece(&stream, piece);
    }
    for (unsigned i = 0; i < CALLS_LEN; i++) {
        if (calls[i].cb != NULL) {
            app_hub_cancel(hub, &calls[i]);
        }
    }
    tr_loop_turn(loop);
    struct tr_link *link;
    while ((link = tr_list_first(&stream.out)) != NULL) {
        app_outgoing_free(TR_CONTAINER_OF(link, struct app_outgoing, link));
    }
    tr_assert(stream.pending_map.len == 0);
    tr_map_fini(&stream.pending_map);
    tr_link_remove(&stream.link);
    tr_app_hub_close(hub, NULL, NULL);
    tr_loop_turn(loop);
    return 0;
}
