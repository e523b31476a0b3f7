/*
 * The way of one call.
 *
 *                  +-----------> GATED ----+
 *   start --> ROUTING <--------------------+        (host registration done)
 *              ^ ^ |---> HELD ---+                  (a round is on; placement lets it go)
 *              | +-|-------------+
 *              |   |---> QUEUED ---> RUNNING --+    (this host: turn.h, then the app)
 *              |   |---> RUNNING --------------+
 *              |   |---> REMOTE ---------------+--> FINISHED --> cb, at the end of the turn of the loop
 *              +-- PAUSED <--------------------+    (worth another attempt)
 *
 * What ends an attempt early comes through abort_call() with a reason. Draining and the removal of an instance make it
 * worth another attempt; the caller's cancellation, the deadline and shutdown are final. While a call runs in the app or
 * on another host, the abort only asks for cancellation, and what comes back decides: a success that was under way is a
 * success. Everything else is put in order at once, but no callback ever comes from inside: it is deferred.
 *
 * Failures worth another attempt, after a pause of TR_ACTOR_RETRY_MS, TR_ACTOR_ATTEMPTS_MAX in all: no owner in the
 * table; a drained turn or a removed instance; a peer that is not reachable or says that the actor has moved on. All
 * others are final, whatever the peer's app said included.
 *
 * Source: Dapr pkg/actors/router/router.go, pkg/actors/targets/app (1.18); actors 6.2, 8.6, 10.1.
 */
#include "runtime/actor/engine_int.h"

#include "runtime/base/sm.h"

enum call_state {
    CALL_ROUTING,
    CALL_GATED,
    CALL_HELD,
    CALL_QUEUED,
    CALL_RUNNING,
    CALL_REMOTE,
    CALL_PAUSED,
    CALL_FINISHED,
    CALL_STATES_LEN,
};

#define TO(state) TR_SM_TO(CALL_##state)
static const struct tr_sm_state states[CALL_STATES_LEN] = {
    [CALL_ROUTING] = { "routing", TO(GATED) | TO(HELD) | TO(QUEUED) | TO(RUNNING) | TO(REMOTE) |
                                      TO(PAUSED) | TO(FINISHED) },
    [CALL_GATED] = { "gated", TO(ROUTING) | TO(FINISHED) },
    [CALL_HELD] = { "held", TO(ROUTING) | TO(FINISHED) },
    [CALL_QUEUED] = { "queued", TO(RUNNING) | TO(PAUSED) | TO(FINISHED) },
    [CALL_RUNNING] = { "running", TO(PAUSED) | TO(FINISHED) },
    [CALL_REMOTE] = { "remote", TO(PAUSED) | TO(FINISHED) },
    [CALL_PAUSED] = { "paused", TO(ROUTING) | TO(FINISHED) },
    [CALL_FINISHED] = { "finished", 0 },
};

static void route(struct tr_actor_call *call);

static void move(struct tr_actor_call *call, enum call_state to)
{
    tr_sm_move(states, CALL_STATES_LEN, &call->state, to);
}

/* --- ends ----------------------------------------------------------------------------------------------------------- */

void tr_actor_call_fini(struct tr_actor_call *call)
{
    tr_http_headers_fini(&call->headers_out);
    tr_buf_fini(&call->content_type_out);
    tr_buf_fini(&call->body_out);
    tr_buf_fini(&call->message);
    tr_buf_fini(&call->details);
    tr_buf_fini(&call->address);
}

void tr_abort_err(enum tr_abort reason, struct tr_slice name, struct tr_err *err)
{
    switch (reason) {
    case TR_ABORT_NONE:
        TR_BUG("no reason to abort");
    case TR_ABORT_DRAIN:
        tr_err_set(err, TR_ACTOR_INVOKE, "context canceled");
        break;
    case TR_ABORT_CLOSED:
        tr_err_set(err, TR_ACTOR_INVOKE, "actor is closed, cannot handle %.*s", TR_SLICE_ARG(name));
        break;
    case TR_ABORT_DEADLINE:
        tr_err_set(err, TR_DEADLINE, "context deadline exceeded");
        break;
    case TR_ABORT_CANCELED:
        tr_err_set(err, TR_CANCELED, "context canceled");
        break;
    case TR_ABORT_SHUTDOWN:
        tr_err_set(err, TR_ACTOR_CLOSED, "actor runtime is closed");
        break;
    }
}

/* The callback is due; the struct belongs to its user again. */
static void on_complete(struct tr_op *op)
{
    struct tr_actor_call *call = TR_CONTAINER_OF(op, struct tr_actor_call, op);
    struct tr_actor_engine *engine = call->engine;
    tr_assert(engine->calls_len > 0);
    engine->calls_len--;
    tr_actor_engine_check_closed(engine);
    call->cb(call);
}

static void finish(struct tr_actor_call *call)
{
    tr_assert(call->act == NULL);
    tr_assert(call->type == NULL);
    move(call, CALL_FINISHED);
    tr_timer_stop(&call->due);
    tr_timer_stop(&call->pause);
    tr_op_finish_later(&call->op);
}

static void finish_aborted(struct tr_actor_call *call)
{
    call->outcome = TR_ACTOR_FAILED;
    tr_abort_err(call->aborted, call->name, &call->err);
    finish(call);
}

/* End with our own error, which has been set. */
static void finish_failed(struct tr_actor_call *call)
{
    tr_assert(call->err.code != TR_OK);
    call->outcome = TR_ACTOR_FAILED;
    finish(call);
}

/* The outcome stands and may be better next time. */
static void finish_or_pause(struct tr_actor_call *call)
{
    if (call->has_policy || call->attempt >= TR_ACTOR_ATTEMPTS_MAX) {
        finish(call);
        return;
    }
    move(call, CALL_PAUSED);
    tr_timer_set(&call->pause, tr_loop_now_ms(call->engine->conf.loop) + TR_ACTOR_RETRY_MS);
}

static void on_pause_over(struct tr_timer *timer)
{
    struct tr_actor_call *call = TR_CONTAINER_OF(timer, struct tr_actor_call, pause);
    tr_actor_call_fini(call);
    call->is_message_whole = false;
    call->attempt++;
    call->aborted = TR_ABORT_NONE;
    move(call, CALL_ROUTING);
    route(call);
}

static bool is_abort_final(unsigned reason)
{
    return reason >= TR_ABORT_DEADLINE;
}

/* The attempt is over and failed because it was aborted. */
static void conclude_aborted(struct tr_actor_call *call)
{
    if (is_abort_final(call->aborted)) {
        finish_aborted(call);
        return;
    }
    call->outcome = TR_ACTOR_FAILED;
    tr_abort_err(call->aborted, call->name, &call->err);
    finish_or_pause(call);
}

/* --- on this host --------------------------------------------------------------------------------------------------- */

/* Leave the actor: the next turn starts, and the claim goes back. */
static void leave_actor(struct tr_actor_call *call)
{
    struct tr_actor_type *type = call->type;
    struct tr_activation *act = call->act;
    struct tr_link start;
    tr_link_init(&start);
    if (call->state == CALL_QUEUED) {
        tr_assert(type->pending_calls > 0);
        type->pending_calls--;
    }
    call->type = NULL;
    call->act = NULL;
    tr_turn_leave(&act->turns, &call->turn, &start);
    tr_actor_start_turns(&start);
    tr_activation_rest(act);
    tr_claim_drop(type, &call->claim);
}

static void on_app_done(struct tr_app_call *app)
{
    struct tr_actor_call *call = TR_CONTAINER_OF(app, struct tr_actor_call, via.app);
    tr_assert(call->state == CALL_RUNNING);
    /* A failure of its own that crossed the abort stands: the app had the turn, so it is not given again. */
    const bool was_canceled = app->err.code == TR_CANCELED && call->aborted != TR_ABORT_NONE;
    tr_outcome_take_app(call, app);
    leave_actor(call);
    if (was_canceled) {
        conclude_aborted(call);
    } else {
        finish(call);
    }
}

static enum tr_app_call_kind app_kind(enum tr_actor_call_kind kind)
{
    switch (kind) {
    case TR_ACTOR_METHOD:
        return TR_APP_METHOD;
    case TR_ACTOR_REMINDER:
        return TR_APP_REMINDER;
    case TR_ACTOR_TIMER:
        return TR_APP_TIMER;
    }
    TR_BUG("kind of a call");
}

static void run(struct tr_actor_call *call)
{
    struct tr_actor_type *type = call->type;
    move(call, CALL_RUNNING);
    tr_activation_touch(call->act);
    call->via.app = (struct tr_app_call){
        .kind = app_kind(call->kind),
        .actor_type = call->actor_type,
        .actor_id = call->actor_id,
        .name = call->name,
        .headers = call->headers,
        .chain_id = call->turn.chain_id,
        .query = call->query,
        .content_type = call->content_type,
        .body = call->body,
        .due_time = call->due_time,
        .period = call->period,
        .callback = call->callback,
        .is_remote = call->is_internal,
        .cb = on_app_done,
    };
    type->app->start(type->app->ctx, &call->via.app);
}

void tr_actor_start_turns(struct tr_link *start)
{
    struct tr_link *link;
    while ((link = tr_list_pop(start)) != NULL) {
        struct tr_turn *turn = TR_CONTAINER_OF(link, struct tr_turn, start_link);
        struct tr_actor_call *call = TR_CONTAINER_OF(turn, struct tr_actor_call, turn);
        tr_assert(call->type->pending_calls > 0);
        call->type->pending_calls--;
        run(call);
    }
}

/* Id of the chain that the call belongs to: the caller's, else one that we make; none without reentrancy. */
static struct tr_slice chain_of(struct tr_actor_call *call, const struct tr_activation *act)
{
    if (act->turns.depth_max == 0 || call->kind != TR_ACTOR_METHOD) {
        return tr_slice(NULL, 0);
    }
    if (call->chain_id.len == 0) {
        _Static_assert(sizeof(call->fresh_id) > TR_UUID_LEN, "holds a UUID");
        tr_rng_uuid(&call->engine->rng, call->fresh_id);
        call->chain_id = tr_slice(call->fresh_id, TR_UUID_LEN);
    }
    return call->chain_id;
}

static enum tr_code check_hosted(const struct tr_actor_engine *engine, struct tr_slice name,
                                 const struct tr_actor_type *type, struct tr_err *err)
{
    /* Source: Dapr pkg/actors/table/table.go, GetOrCreate. */
    if (engine->is_suspended) {
        return tr_err_set(
            err, TR_ACTOR_INVOKE,
            "failed to create actor: actor hosting is suspended: no actor state store configured");
    }
    if (type == NULL || !type->is_registered) {
        return tr_err_set(err, TR_ACTOR_INVOKE,
                          "failed to create actor: actor type %.*s not registered",
                          TR_SLICE_ARG(name));
    }
    return TR_OK;
}

static void on_claim_abort(struct tr_actor_claim *claim, unsigned reason);

static void enter_actor(struct tr_actor_call *call)
{
    struct tr_actor_type *type = tr_actor_type_find(call->engine, call->actor_type);
    if (check_hosted(call->engine, call->actor_type, type, &call->err) != TR_OK) {
        finish_failed(call);
        return;
    }
    struct tr_activation *act = tr_activation_get(type, call->actor_id);
    const enum tr_turn_verdict verdict =
        tr_turn_enter(&act->turns, &call->turn, chain_of(call, act));
    if (verdict == TR_TURN_TOO_DEEP || verdict == TR_TURN_FULL) {
        if (verdict == TR_TURN_TOO_DEEP) {
            tr_err_set(&call->err, TR_ACTOR_DEPTH, "maximum stack depth exceeded");
        } else {
            tr_err_set(&call->err, TR_LIMIT, "too many calls wait for actor '%.*s/%.*s'",
                       TR_SLICE_ARG(call->actor_type), TR_SLICE_ARG(call->actor_id));
        }
        finish_failed(call);
        return;
    }
    call->type = type;
    call->act = act;
    call->claim.abort = on_claim_abort;
    tr_claim_take(type, &call->claim);
    if (verdict == TR_TURN_RUN) {
        run(call);
    } else {
        type->pending_calls++;
        move(call, CALL_QUEUED);
    }
}

/* --- on another host ------------------------------------------------------------------------------------------------ */

static void on_remote_done(struct tr_remote_call *remote)
{
    struct tr_actor_call *call = TR_CONTAINER_OF(remote, struct tr_actor_call, via.remote);
    tr_assert(call->state == CALL_REMOTE);
    tr_outcome_take_remote(call, remote);
    if (call->outcome == TR_ACTOR_ANSWERED) {
        finish(call);
    } else if (call->aborted != TR_ABORT_NONE) {
        conclude_aborted(call);
    } else if (tr_outcome_is_worth_retrying(call)) {
        if (call->kind == TR_ACTOR_METHOD) {
            tr_outcome_name_peer(call);
        }
        finish_or_pause(call);
    } else {
        finish(call);
    }
}

static void send(struct tr_actor_call *call, const struct tr_owner_host *host)
{
    if (call->is_internal) {
        /* Passing it on once more could go in circles while tables differ. */
        tr_err_set(&call->err, TR_ACTOR_INVOKE, TR_TEXT_MOVED);
        finish_failed(call);
        return;
    }
    struct tr_actor_engine *engine = call->engine;
    move(call, CALL_REMOTE);
    /* The table that these are borrowed from may go before the call ends. */
    tr_buf_set(&call->address, host->address);
    tr_buf_add(&call->address, host->app_id);
    call->address.len = host->address.len;
    call->via.remote = (struct tr_remote_call){
        .address = tr_buf_slice(&call->address),
        .app_id = tr_slice(call->address.ptr + host->address.len, host->app_id.len),
        .call = call,
        .deadline_ms = call->deadline_ms,
        .cb = on_remote_done,
    };
    engine->conf.remote.start(engine->conf.remote.ctx, &call->via.remote);
}

/* --- routing -------------------------------------------------------------------------------------------------------- */

static void on_hold_over(struct tr_placement_wait *wait)
{
    struct tr_actor_call *call = TR_CONTAINER_OF(wait, struct tr_actor_call, via.hold);
    tr_assert(call->state == CALL_HELD);
    if (call->aborted != TR_ABORT_NONE) {
        conclude_aborted(call);
    } else if (wait->err.code == TR_OK) {
        move(call, CALL_ROUTING);
        route(call);
    } else if (wait->err.code == TR_CLOSED) {
        call->aborted = TR_ABORT_SHUTDOWN;
        finish_aborted(call);
    } else {
        call->err = wait->err;
        finish_failed(call);
    }
}

static void hold(struct tr_actor_call *call)
{
    struct tr_actor_engine *engine = call->engine;
    move(call, CALL_HELD);
    call->via.hold = (struct tr_placement_wait){ .type = call->actor_type, .cb = on_hold_over };
    engine->conf.owner.wait_start(engine->conf.owner.ctx, &call->via.hold);
}

static void conclude_no_address(struct tr_actor_call *call)
{
    /* Reminders and timers give the inner error as it is. Source: Dapr pkg/actors/router/router.go, callReminder. */
    call->outcome = TR_ACTOR_FAILED;
    tr_err_set(&call->err, TR_ACTOR_NO_ADDRESS, "%sdid not find address for actor '%.*s/%.*s'",
               call->kind == TR_ACTOR_METHOD
                   ? "failed to lookup actor: api error: code = FailedPrecondition desc = "
                   : "",
               TR_SLICE_ARG(call->actor_type), TR_SLICE_ARG(call->actor_id));
    finish_or_pause(call);
}

static void route(struct tr_actor_call *call)
{
    struct tr_actor_engine *engine = call->engine;
    struct tr_owner_host host;
    switch (engine->conf.owner.lookup(engine->conf.owner.ctx, call->actor_type, call->actor_id,
                                      &host)) {
    case TR_OWNER_LOCAL:
        enter_actor(call);
        return;
    case TR_OWNER_REMOTE:
        send(call, &host);
        return;
    case TR_OWNER_NO_TABLE:
    case TR_OWNER_LOCKED:
        hold(call);
        return;
    case TR_OWNER_NONE:
        conclude_no_address(call);
        return;
    case TR_OWNER_CLOSED:
        call->aborted = TR_ABORT_SHUTDOWN;
        finish_aborted(call);
        return;
    }
    TR_BUG("answer of a look-up");
}

/* --- start, release, abort ------------------------------------------------------------------------------------------ */

/* Timers of this sidecar go by placement alone. Source: Dapr pkg/actors/internal/timers, which calls the router. */
static bool passes_gate(const struct tr_actor_call *call)
{
    return call->kind == TR_ACTOR_METHOD || call->is_internal;
}

static void abort_call(struct tr_actor_call *call, unsigned reason)
{
    if (!tr_op_is_started(&call->op) || reason <= call->aborted) {
        return;
    }
    struct tr_actor_engine *engine = call->engine;
    const bool is_first = call->aborted == TR_ABORT_NONE;
    call->aborted = reason;
    switch ((enum call_state)call->state) {
    case CALL_GATED:
    case CALL_PAUSED:
        finish_aborted(call);
        break;
    case CALL_QUEUED:
        leave_actor(call);
        conclude_aborted(call);
        break;
    case CALL_HELD:
        if (is_first) {
            engine->conf.owner.wait_cancel(engine->conf.owner.ctx, &call->via.hold);
        }
        break;
    case CALL_RUNNING:
        if (is_first) {
            call->type->app->cancel(call->type->app->ctx, &call->via.app);
        }
        break;
    case CALL_REMOTE:
        if (is_first) {
            engine->conf.remote.cancel(engine->conf.remote.ctx, &call->via.remote);
        }
        break;
    case CALL_ROUTING:
    case CALL_FINISHED:
    case CALL_STATES_LEN:
        TR_BUG("an open call is somewhere");
    }
}

static void on_claim_abort(struct tr_actor_claim *claim, unsigned reason)
{
    abort_call(TR_CONTAINER_OF(claim, struct tr_actor_call, claim), reason);
}

static void on_deadline(struct tr_timer *timer)
{
    abort_call(TR_CONTAINER_OF(timer, struct tr_actor_call, due), TR_ABORT_DEADLINE);
}

void tr_actor_call_cancel(struct tr_actor_call *call)
{
    tr_assert(tr_op_is_open(&call->op));
    tr_loop_assert(call->engine->conf.loop);
    abort_call(call, TR_ABORT_CANCELED);
}

static void begin(struct tr_actor_engine *engine, struct tr_actor_call *call)
{
    call->engine = engine;
    call->state = CALL_ROUTING;
    call->aborted = TR_ABORT_NONE;
    call->attempt = 1;
    call->type = NULL;
    call->act = NULL;
    call->err.code = TR_OK;
    call->is_canceled_by_app = false;
    call->is_message_whole = false;
    tr_link_init(&call->claim.link);
    tr_timer_init(&call->due, engine->conf.loop, on_deadline);
    tr_timer_init(&call->pause, engine->conf.loop, on_pause_over);
    tr_op_begin(&call->op, engine->conf.loop, &engine->calls, on_complete);
    engine->calls_len++;
}

void tr_actor_call_start(struct tr_actor_engine *engine, struct tr_actor_call *call)
{
    tr_assert_obj(engine, TR_ACTOR_ENGINE_MAGIC);
    tr_loop_assert(engine->conf.loop);
    begin(engine, call);
    const enum tr_actor_gate gate = tr_actor_gate(engine, &call->err);
    if (gate == TR_ACTOR_GATE_FAILED) {
        finish_failed(call);
        return;
    }
    if (engine->calls_len > TR_ACTOR_CALLS_MAX) {
        tr_err_set(&call->err, TR_LIMIT, "too many actor calls in progress");
        finish_failed(call);
        return;
    }
    if (call->deadline_ms != 0) {
        tr_timer_set(&call->due, call->deadline_ms);
    }
    if (gate == TR_ACTOR_GATE_SHUT && passes_gate(call)) {
        move(call, CALL_GATED);
    } else {
        route(call);
    }
}

void tr_actor_calls_release(struct tr_actor_engine *engine)
{
    struct tr_link *it, *tmp;
    TR_LIST_FOR_EACH (it, tmp, &engine->calls) {
        struct tr_actor_call *call = TR_CONTAINER_OF(it, struct tr_actor_call, op.link);
        if (call->state == CALL_GATED) {
            move(call, CALL_ROUTING);
            route(call);
        }
    }
}

void tr_actor_calls_abort(struct tr_actor_engine *engine, enum tr_abort reason)
{
    struct tr_link *it, *tmp;
    TR_LIST_FOR_EACH (it, tmp, &engine->calls) {
        abort_call(TR_CONTAINER_OF(it, struct tr_actor_call, op.link), reason);
    }
}
