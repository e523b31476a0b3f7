/*
 * What the files of actors over HTTP share: http_actor.c has the routes, the way of a request and invocations,
 * http_actor_state.c the state, http_actor_timer.c timers and reminders.
 */
#ifndef TR_API_HTTP_ACTOR_INT_H
#define TR_API_HTTP_ACTOR_INT_H

#include "runtime/api/api_int.h"

/* The work of one request: the waits and operations that it may need, one after the other. */
struct api_actor_work {
    struct api_request *req; /* borrowed */
    void (*next)(struct api_actor_work *work); /* after the body or the gate */
    struct tr_actor_wait gate;
    struct tr_actor_call call;
    struct tr_actor_state_get get;
    struct tr_actor_state_tx tx;
    struct tr_http_headers headers; /* what travels with a call */
    struct tr_buf method;
    struct tr_buf texts;            /* strings of the body, decoded; slices point into it */
    struct tr_actor_state_op *ops;  /* owned */
    size_t ops_len;
    struct tr_err ops_err; /* what is wrong with them */
    enum { IN_NOTHING, IN_GATE, IN_CALL, IN_GET, IN_TX } in; /* which operation is in flight */
};

/* Make the work of a request; it is freed with the request. */
struct api_actor_work *api_actor_work_new(struct api_request *req);

static inline struct tr_actor_engine *api_actor_engine(const struct api_actor_work *work)
{
    return work->req->api->conf.engine;
}

static inline struct tr_slice api_actor_type(const struct api_actor_work *work)
{
    return api_param(work->req, 0);
}

static inline struct tr_slice api_actor_id(const struct api_actor_work *work)
{
    return api_param(work->req, 1);
}

/* Reject the reserved types; true: replied. */
bool api_actor_is_refused(struct api_request *req);
/* Go on with `next` when the app's types are known. */
void api_actor_pass_gate(struct api_actor_work *work, void (*next)(struct api_actor_work *work));
/* Read the body, then go on with `next`. */
void api_actor_read_json(struct api_actor_work *work, void (*next)(struct api_actor_work *work));
/* Check the body as one JSON value; false: replied. */
bool api_actor_check_json(struct api_actor_work *work, struct tr_slice *out_value);
/* Reply with an error of the body, told as a JSON decoder of the reference tells it. */
void api_actor_malformed(struct api_actor_work *work, const char *detail);

/* Member `name`, in any case, if it is there and not null. */
bool api_actor_member(struct tr_slice object, const char *name, struct tr_slice *out_value);
/* Decode a string into work->texts, which must have been reserved, so that earlier slices stay good. False: no string. */
bool api_actor_take_string(struct api_actor_work *work, struct tr_slice raw, struct tr_slice *out_text);

/* The handlers of the other files. */
void api_actor_handle_transaction(struct api_request *req);
void api_actor_handle_get_state(struct api_request *req);
void api_actor_handle_create_reminder(struct api_request *req);
void api_actor_handle_get_reminder(struct api_request *req);
void api_actor_handle_delete_reminder(struct api_request *req);
void api_actor_handle_create_timer(struct api_request *req);
void api_actor_handle_delete_timer(struct api_request *req);

#endif
