/*
 * One stream of a sidecar at the placement service: receives, authorises, keeps the order of what is sent, and ends
 * exactly once. It knows nothing of rounds; the server tells it what to send and is told what came.
 *
 *   NEW --first message admitted--> OPEN --ended by us, the peer or a failure--> ENDED --call gone--> (freed)
 *    +-----------------------------------------------------------------------------^
 *
 * Sending: at most one message is with gRPC; the rest waits in a queue of three. It cannot grow: a lock drops everything
 * before it (the round it belonged to is superseded, and its missing orders never come), and a lock is followed by one
 * update and one unlock.
 *
 * Receiving: one message at a time. While the stream waits to be taken into the rounds, one message is read ahead, so that
 * its end is noticed, and kept until then.
 */
#ifndef TR_PLACEMENT_SESSION_H
#define TR_PLACEMENT_SESSION_H

#include "invoke/rpc_server.h"
#include "placement/admission.h"
#include "placement/rounds.h"
#include "placement/wire.h"
#include "runtime/base/list.h"

#define TR_SESSION_ORDERS_MAX 3

struct tr_session;

/* What a session tells its user, never from inside a call of the user's. */
struct tr_session_events {
    /* The first message, admitted. Take its content. */
    void (*on_first)(void *ctx, struct tr_session *session, struct tr_host *first);
    /* A later one, admitted. Take its content. Not while the session is held. */
    void (*on_message)(void *ctx, struct tr_session *session, struct tr_host *message);
    /* The stream ended, whoever ended it, and nothing more will come. At most once, not if it never was OPEN. */
    void (*on_end)(void *ctx, struct tr_session *session);
    /* The call is gone; free the session. Exactly once, last. */
    void (*on_close)(void *ctx, struct tr_session *session);
};

enum tr_session_state {
    TR_SESSION_NEW,
    TR_SESSION_OPEN,
    TR_SESSION_ENDED,
};

struct tr_session {
    struct tr_link link;            /* for the user */
    struct tr_link resume_link;     /* for the user */
    struct tr_rounds_stream stream; /* for the user */
    void *ns_ref;                   /* for the user */
    /* private */
    const struct tr_session_events *events;
    void *ctx;
    struct tr_rpc_call *call; /* borrowed, until on_close */
    struct tr_rpc_watch watch;
    struct tr_rpc_recv recv;
    struct tr_rpc_send send;
    enum tr_session_state state;
    bool is_tls;
    bool is_receiving;
    bool is_sending;
    bool is_held; /* messages are kept, not passed on */
    bool has_kept;
    struct tr_host kept; /* owned */
    struct tr_buf id;    /* owned: app id and namespace of the first message */
    struct tr_buf ns;
    struct tr_order *orders[TR_SESSION_ORDERS_MAX]; /* one reference each, oldest first */
    size_t orders_len;
};

/* Take over a call that just arrived and begin to receive. `events` and `ctx` are borrowed. */
struct tr_session *tr_session_new(struct tr_rpc_call *call, bool is_tls,
                                  const struct tr_session_events *events, void *ctx);
/* After on_close. */
void tr_session_free(struct tr_session **session);

/* Send an order after those before it; takes the reference. Dropped if the session has ended. */
void tr_session_send(struct tr_session *session, struct tr_order *order);

/*
 * End with a status and text, unless it has ended already. For its user: on_end does not come. An order that is with gRPC
 * goes out first, those in the queue do not.
 */
void tr_session_end(struct tr_session *session, const struct tr_err *err);

/* Keep messages back from now on; inside on_first. */
void tr_session_hold(struct tr_session *session);
/*
 * Pass messages on again. True if one was kept: it is `*out_kept`, and the caller deals with it as with one of
 * on_message. Harmless when the session is not held.
 */
bool tr_session_release(struct tr_session *session, struct tr_host *out_kept) TR_MUST_USE;

#endif
