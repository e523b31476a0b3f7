/*
 * Calls into the user's app: what the actor engine asks for, whatever the app speaks. Two channels stand behind it, the
 * HTTP one (HTTP/1.1 and HTTP/2 in clear text) and the actor event stream of gRPC apps; tests put a fake there.
 *
 * The channel makes the request of its protocol from the parts given here, the exact body of a reminder or timer
 * included, and brings the answer into one form: a status like HTTP's, and for every status but 200 the text that
 * callers are shown, because that text differs between the channels.
 *
 * Source: Dapr pkg/actors/targets/app/transport, pkg/channel/http, pkg/actors/callbackstream (1.18); actors 4, 5.
 */
#ifndef TR_APP_APP_H
#define TR_APP_APP_H

#include <stdbool.h>
#include <stdint.h>

#include "runtime/base/buf.h"
#include "runtime/base/err.h"
#include "runtime/base/slice.h"
#include "runtime/http/http.h"

enum tr_app_call_kind {
    TR_APP_METHOD,     /* PUT .../method/<name>; invoke_request */
    TR_APP_REMINDER,   /* PUT .../method/remind/<name>; reminder_request */
    TR_APP_TIMER,      /* PUT .../method/timer/<name>; timer_request */
    TR_APP_DEACTIVATE, /* DELETE .../<type>/<id>; deactivate_request */
};

/*
 * One callback. Fill the inputs, start, leave the struct alone until `cb`; `cb` may free it.
 *
 * Exactly one of these is the outcome:
 *   err.code is TR_OK: the app answered. `status` says what; only 200 is success.
 *   err.code is TR_CANCELED: given up on our side; the app may or may not have seen the call. Who has a deadline cancels.
 *   err.code is TR_ACTOR_INVOKE: there was no answer; the message is the whole reason ("actor host is not connected").
 *   err.code is another code without a name of Dapr's: the same, with a gRPC status (TR_INTERNAL "app is not in a
 *   healthy state").
 */
struct tr_app_call {
    /* in, borrowed until cb */
    enum tr_app_call_kind kind;
    struct tr_slice actor_type;
    struct tr_slice actor_id;
    struct tr_slice name;                  /* method, clean; or the reminder's or timer's name; empty for DEACTIVATE */
    const struct tr_http_headers *headers; /* METHOD: the caller's, as they came; NULL for none */
    struct tr_slice chain_id;              /* METHOD: reentrancy id to send in place of any in `headers`; empty: none */
    struct tr_slice query;                 /* METHOD: raw query string without '?' */
    struct tr_slice content_type;          /* METHOD: empty for none */
    struct tr_slice body;                  /* METHOD: the bytes; REMINDER and TIMER: data as JSON text, empty for none */
    struct tr_slice due_time;              /* REMINDER and TIMER: the caller's text */
    struct tr_slice period;                /* the same */
    struct tr_slice callback;              /* TIMER: the same */
    bool is_remote;                        /* METHOD: another sidecar sent it (X-Dapr-Remote) */
    void (*cb)(struct tr_app_call *call);  /* called once, on the loop thread, on a later turn than _start */
    /* out; buffers and headers are now the caller's: move them or free them */
    struct tr_err err;
    int status;                     /* like HTTP's: 200, 404 for a method that is not there, others for failures */
    struct tr_http_headers headers_out;
    struct tr_buf content_type_out; /* empty if the app gave none */
    struct tr_buf body_out;
    struct tr_buf failure;          /* status is not 200: what callers are told, such as
                                     * "error from actor service: (500) out of stock" */
    bool is_canceled;               /* REMINDER and TIMER: the app asked to cancel (x-daprremindercancel, cancel) */
    void *impl;                     /* private to the channel, which owns what is there */
};

/* Free what the outcome owns and clear it; harmless before the start and after the buffers were moved. */
void tr_app_call_fini(struct tr_app_call *call);

/* Clear the outcome: what a channel's start does first. */
void tr_app_call_reset(struct tr_app_call *call);

/*
 * A channel for actor callbacks. All functions are for the loop thread.
 *
 * start:  never calls back from inside. When the answer's headers have arrived, the channel goes on reading the body
 *         for a while even if the call is canceled meanwhile (HTTP/2 apps).
 * cancel: a wish; `cb` still comes, with TR_CANCELED or with the answer. HTTP/1.1 closes the connection, HTTP/2 and the
 *         event stream only end the wait. Not to be called after `cb`; more
 *         than once is harmless.
 */
struct tr_app_actors {
    void (*start)(void *ctx, struct tr_app_call *call);
    void (*cancel)(void *ctx, struct tr_app_call *call);
    void *ctx; /* borrowed */
};

#endif
