/*
 * What the files of the event stream share: stream.c has the life of hub and streams, stream_send.c makes messages of
 * callbacks, stream_read.c reads what the app sends.
 */
#ifndef TR_APP_STREAM_INT_H
#define TR_APP_STREAM_INT_H

#include "proto/runtime.pb-c.h"
#include "runtime/app/stream.h"
#include "runtime/base/list.h"
#include "runtime/base/log.h"
#include "runtime/base/loop.h"
#include "runtime/base/map.h"

#define APP_STREAM_ID_MAX 24 /* bytes of a decimal id and NUL */

struct tr_app_hub {
    struct tr_app_hub_conf conf;
    struct tr_app_actors actors;
    struct tr_link streams; /* of app_stream.link; the one that registered last is the last */
    uint32_t streams_len;
    struct tr_log_limit odd; /* messages that make no sense */
    bool is_closing;
    void (*on_closed)(void *ctx);
    void *closed_ctx; /* borrowed */
    struct tr_defer closed;
};

/* A message that waits to be sent. */
struct app_outgoing {
    struct tr_link link;
    struct tr_buf bytes;          /* owned */
    struct app_pending *pending;  /* borrowed: the callback that it is, NULL if none waits for it any more */
};

struct app_stream {
    struct tr_app_hub *hub;   /* borrowed */
    struct tr_rpc_call *call; /* borrowed until the watch says that it is gone */
    struct tr_rpc_watch watch;
    struct tr_rpc_recv recv;
    struct tr_rpc_send send;
    struct tr_link link;
    struct tr_link out;        /* of app_outgoing.link, owned; the first is being sent if is_sending */
    struct tr_link pending;    /* of app_pending.link: callbacks without an answer */
    struct tr_map pending_map; /* decimal id to struct app_pending */
    uint64_t last_id;
    struct tr_app_config config;
    bool is_registered;
    bool is_sending;
    bool is_finished;
};

/* One callback, from its start to the turn on which its `cb` is called. */
struct app_pending {
    struct tr_app_call *call;      /* borrowed */
    struct app_stream *stream;     /* borrowed; NULL once it has its result */
    struct app_outgoing *outgoing; /* borrowed; NULL once it was sent */
    struct tr_app_hub *hub;        /* borrowed */
    struct tr_link link;
    char id[APP_STREAM_ID_MAX];
    struct tr_defer done;
};

/* --- stream.c --- */

/* Queue a message, which is the callback `pending` if that is not NULL. */
void app_stream_send(struct app_stream *stream, const Tr__Rt__ActorEventsResponse *message,
                     struct app_pending *pending);
/* Take a message out of the queue and forget it. It must not be on its way. */
void app_outgoing_free(struct app_outgoing *outgoing);
/* The stream that new callbacks go to; NULL if none is open. */
struct app_stream *app_hub_stream(struct tr_app_hub *hub);

/* --- stream_send.c --- */

/* The functions of struct tr_app_actors; `ctx` is the hub. */
void app_hub_start(void *ctx, struct tr_app_call *call);
void app_hub_cancel(void *ctx, struct tr_app_call *call);
/* The result stands in the call: forget the id, and call back on a later turn. */
void app_pending_done(struct app_pending *pending);
void app_pending_fail(struct app_pending *pending, enum tr_code code, const char *text);

/* --- stream_read.c --- */

/* What the first message says. Errors: TR_LIMIT. */
TR_MUST_USE enum tr_code app_stream_read_initial(const Tr__Rt__ActorEventsInitial *initial,
                                                 struct tr_app_config *config, struct tr_err *err);
/* Give a later message to the callback it answers; one that answers none is dropped. */
void app_stream_take(struct app_stream *stream, const Tr__Rt__ActorEventsRequest *message);

#endif
