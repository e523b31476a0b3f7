/*
 * State operations: keys, checks and limits; the store does the rest.
 *
 *   start --> HELD (the type changes hands) --> WRITING (in the store) --> cb
 *
 * A write that has been given to the store cannot be taken back: its result is waited for, whatever the caller wants.
 *
 * A turn that is being drained may still save its state, although its type changes hands: its actor can come to life
 * elsewhere only after this host has acknowledged, which it does after the turn. The original makes such a turn wait
 * until it is aborted. With the stream to placement lost there is no such promise, and the operation is held.
 *
 * Source: Dapr pkg/actors/state/state.go, pkg/actors/api/transactional.go (1.18); actors 2.6, 2.7, 9.
 */
#include "runtime/actor/engine_int.h"

#include <stdlib.h>

#include "runtime/base/quote.h"
#include "state/store.h"

/* One operation: a get or a transaction. */
struct state_job {
    struct tr_actor_engine *engine; /* borrowed */
    struct tr_actor_state_get *get; /* borrowed: either this one */
    struct tr_actor_state_tx *tx;   /* or that one */
    bool is_held;
    bool is_writing;
    unsigned aborted;
    struct tr_err err;          /* of what ended before the store was asked */
    struct tr_actor_type *type; /* while a claim is held */
    struct tr_actor_claim claim;
    struct tr_placement_wait hold;
    struct tr_timer due;
    struct tr_buf keys;      /* owned: the keys of all operations */
    struct tr_store_op *ops; /* owned */
    struct tr_slice key;     /* of a get */
    struct tr_store_get store_get;
    struct tr_store_tx store_tx;
    struct tr_op op;
};

/* Source of the texts: Dapr pkg/messages/predefined.go, pkg/actors/state/state.go, pkg/actors/api/transactional.go. */
#define TEXT_NO_STORE                                                                              \
    "the state store is not configured to use the actor runtime. Have you set the - name: "        \
    "actorStateStore value: "                                                                      \
    "\"true\" in your state store component file?"
#define TEXT_INCAPABLE                                                                             \
    "actors: state store does not exist or incorrectly configured. Have you set the property "     \
    "'{\"name\": "                                                                                 \
    "\"actorStateStore\", \"value\": \"true\"}' in your state store component file?"

static struct tr_slice job_actor_type(const struct state_job *job)
{
    return job->get != NULL ? job->get->actor_type : job->tx->actor_type;
}

static struct tr_slice job_actor_id(const struct state_job *job)
{
    return job->get != NULL ? job->get->actor_id : job->tx->actor_id;
}

static struct tr_err *job_err(struct state_job *job)
{
    return job->get != NULL ? &job->get->err : &job->tx->err;
}

static enum tr_code job_failure_code(const struct state_job *job)
{
    return job->get != NULL ? TR_ACTOR_STATE_GET : TR_ACTOR_STATE_TX;
}

/* --- the end -------------------------------------------------------------------------------------------------------- */

static void on_complete(struct tr_op *op)
{
    struct state_job *job = TR_CONTAINER_OF(op, struct state_job, op);
    struct tr_actor_engine *engine = job->engine;
    struct tr_actor_state_get *get = job->get;
    struct tr_actor_state_tx *tx = job->tx;
    tr_store_get_fini(&job->store_get);
    tr_buf_fini(&job->keys);
    free(job->ops);
    free(job);
    tr_actor_engine_check_closed(engine);
    if (get != NULL) {
        get->impl = NULL;
        get->cb(get);
    } else {
        tx->impl = NULL;
        tx->cb(tx);
    }
}

static void finish(struct state_job *job)
{
    tr_timer_stop(&job->due);
    if (job->type != NULL) {
        struct tr_actor_type *type = job->type;
        job->type = NULL;
        tr_claim_drop(type, &job->claim);
    }
    tr_op_finish_later(&job->op);
}

static void finish_aborted(struct state_job *job)
{
    tr_abort_err(job->aborted, tr_slice(NULL, 0), job_err(job));
    if (job_err(job)->code == TR_ACTOR_INVOKE) {
        job_err(job)->code = job_failure_code(job); /* drained while it was held */
    }
    finish(job);
}

/* The store's own codes become the cause of the operation's. */
static void finish_stored(struct state_job *job, const struct tr_err *err)
{
    *job_err(job) = *err;
    if (err->code != TR_OK && err->code != TR_CLOSED) {
        job_err(job)->code = job_failure_code(job);
    }
    finish(job);
}

static void on_read(struct tr_store_get *store_get)
{
    struct state_job *job = TR_CONTAINER_OF(store_get, struct state_job, store_get);
    struct tr_actor_state_get *get = job->get;
    job->is_writing = false;
    if (store_get->err.code == TR_OK && store_get->values[0].found &&
        store_get->values[0].value.len > 0) {
        struct tr_store_value *value = &store_get->values[0];
        get->found = true;
        tr_buf_move(&get->value, &value->value);
        get->has_expiry = value->has_expiry;
        get->expiry_unix_ms = value->expiry_unix_ms;
    }
    finish_stored(job, &store_get->err);
}

static void on_written(struct tr_store_tx *store_tx)
{
    struct state_job *job = TR_CONTAINER_OF(store_tx, struct state_job, store_tx);
    job->is_writing = false;
    finish_stored(job, &store_tx->err);
}

/* --- keys and operations -------------------------------------------------------------------------------------------- */

static void add_base(const struct state_job *job, struct tr_buf *buf)
{
    tr_buf_add(buf, job->engine->store.app_id);
    tr_buf_add_str(buf, "||");
    tr_buf_add(buf, job_actor_type(job));
    tr_buf_add_str(buf, "||");
    tr_buf_add(buf, job_actor_id(job));
}

static bool parse_int32(struct tr_slice text, int64_t *out)
{
    const bool has_sign = text.len > 0 && (text.ptr[0] == '-' || text.ptr[0] == '+');
    const struct tr_slice digits = tr_slice_skip(text, has_sign ? 1 : 0);
    int64_t value = 0;
    for (size_t i = 0; i < digits.len; i++) {
        if (digits.ptr[i] < '0' || digits.ptr[i] > '9') {
            return false;
        }
        value = value > INT32_MAX
                    ? value
                    : value * 10 + (digits.ptr[i] - '0'); /* stays too large once it is */
    }
    *out = has_sign && text.ptr[0] == '-' ? -value : value;
    return digits.len > 0;
}

/* Seconds of ttlInSeconds: -1 and 0 mean for ever. Source: components-contrib state/utils/ttl.go, ParseTTL. */
static enum tr_code parse_ttl(struct tr_slice text, struct tr_store_op *op, struct tr_err *err)
{
    int64_t seconds = 0;
    if (text.len > 0 && !parse_int32(text, &seconds)) {
        struct tr_buf quoted = { 0 };
        tr_buf_add_quoted(&quoted, text);
        tr_err_set(err, TR_ACTOR_STATE_TX,
                   "error parsing TTL: incorrect value for metadata 'ttlInSeconds': "
                   "strconv.ParseInt: parsing %s: "
                   "invalid syntax",
                   tr_buf_cstr(&quoted));
        tr_buf_fini(&quoted);
        return err->code;
    }
    if (seconds < -1 || seconds > INT32_MAX) {
        return tr_err_set(err, TR_ACTOR_STATE_TX,
                          "error parsing TTL: incorrect value for metadata 'ttlInSeconds': must be "
                          "-1 or greater");
    }
    op->has_ttl = seconds > 0;
    op->ttl_s = seconds > 0 ? (uint32_t)seconds : 0;
    return TR_OK;
}

static enum tr_code convert_op(struct state_job *job, const struct tr_actor_state_op *from,
                               struct tr_store_op *to, struct tr_err *err)
{
    if (from->key.len == 0) {
        return tr_err_set(err, TR_ACTOR_STATE_TX, "missing key");
    }
    *to = (struct tr_store_op){
        .kind = from->is_delete ? TR_STORE_DELETE : TR_STORE_UPSERT,
        .value = from->value,
        .has_etag = from->has_etag,
        .etag = from->etag,
    };
    if (from->is_delete || !from->has_ttl) {
        return TR_OK;
    }
    if (!job->engine->store.has_ttl) {
        return tr_err_set(
            err, TR_ACTOR_STATE_TX,
            "ttlInSeconds is not supported without the \"ActorStateTTL\" feature enabled");
    }
    return parse_ttl(from->ttl, to, err);
}

/* Fill job->ops, with keys in one buffer; the slices are set when the buffer no longer moves. */
static enum tr_code convert_ops(struct state_job *job, struct tr_err *err)
{
    const struct tr_actor_state_tx *tx = job->tx;
    struct tr_buf base = { 0 };
    add_base(job, &base);
    job->ops = tr_xzalloc((tx->ops_len + 1) * sizeof(*job->ops));
    enum tr_code rc = TR_OK;
    for (size_t i = 0; i < tx->ops_len && rc == TR_OK; i++) {
        rc = convert_op(job, &tx->ops[i], &job->ops[i], err);
    }
    /* The partition's name is first, so that it borrows from here as well. */
    tr_buf_add(&job->keys, tr_buf_slice(&base));
    for (size_t i = 0; i < tx->ops_len && rc == TR_OK; i++) {
        tr_buf_add(&job->keys, tr_buf_slice(&base));
        tr_buf_add_str(&job->keys, "||");
        tr_buf_add(&job->keys, tx->ops[i].key);
    }
    const char *at = job->keys.ptr + base.len;
    for (size_t i = 0; i < tx->ops_len && rc == TR_OK; i++) {
        const size_t len = base.len + 2 + tx->ops[i].key.len;
        job->ops[i].key = tr_slice(at, len);
        at += len;
    }
    job->store_tx.partition = tr_slice(job->keys.ptr, base.len);
    tr_buf_fini(&base);
    return rc;
}

static enum tr_code check_store(const struct state_job *job, struct tr_err *err)
{
    const struct tr_actor_state_conf *store = &job->engine->store;
    if (store->store == NULL) {
        return tr_err_set(err, TR_ACTOR_NO_STORE, TEXT_NO_STORE);
    }
    if (!store->is_capable) {
        return tr_err_set(err, job_failure_code(job), TEXT_INCAPABLE);
    }
    return TR_OK;
}

static enum tr_code check_tx(struct state_job *job, struct tr_err *err)
{
    const struct tr_actor_state_tx *tx = job->tx;
    const uint32_t batch_max = job->engine->store.batch_max;
    if (!tr_actor_is_active(job->engine, tx->actor_type, tx->actor_id)) {
        return tr_err_set(err, TR_ACTOR_MISSING, "actor instance is missing");
    }
    if (convert_ops(job, err) != TR_OK || check_store(job, err) != TR_OK) {
        return err->code;
    }
    if (batch_max > 0 && tx->ops_len > batch_max) {
        return tr_err_set(
            err, TR_ACTOR_STATE_TX,
            "the transaction contains more operations than supported by the state store");
    }
    return TR_OK;
}

/* --- the way -------------------------------------------------------------------------------------------------------- */

static void begin_get(struct state_job *job)
{
    if (check_store(job, job_err(job)) != TR_OK) {
        finish(job);
        return;
    }
    add_base(job, &job->keys);
    tr_buf_add_str(&job->keys, "||");
    tr_buf_add(&job->keys, job->get->key);
    job->key = tr_buf_slice(&job->keys);
    job->store_get.keys = &job->key;
    job->store_get.keys_len = 1;
    job->store_get.cb = on_read;
    job->is_writing = true;
    tr_store_get_start(job->engine->store.store, &job->store_get);
}

static void begin_tx(struct state_job *job)
{
    if (check_tx(job, job_err(job)) != TR_OK || job->tx->ops_len == 0) {
        finish(job);
        return;
    }
    job->store_tx.ops = job->ops;
    job->store_tx.ops_len = job->tx->ops_len;
    job->store_tx.cb = on_written;
    job->is_writing = true;
    tr_store_tx_start(job->engine->store.store, &job->store_tx);
}

static void on_claim_abort(struct tr_actor_claim *claim, unsigned reason)
{
    (void)claim; /* it is in the store by now, and ends by itself */
    (void)reason;
}

static void begin_work(struct state_job *job)
{
    struct tr_actor_type *type = tr_actor_type_find(job->engine, job_actor_type(job));
    if (type != NULL) {
        job->type = type;
        job->claim.abort = on_claim_abort;
        tr_claim_take(type, &job->claim);
    }
    if (job->get != NULL) {
        begin_get(job);
    } else {
        begin_tx(job);
    }
}

static void try_begin(struct state_job *job);

static void on_hold_over(struct tr_placement_wait *wait)
{
    struct state_job *job = TR_CONTAINER_OF(wait, struct state_job, hold);
    job->is_held = false;
    if (job->aborted != TR_ABORT_NONE) {
        finish_aborted(job);
    } else if (wait->err.code == TR_OK) {
        try_begin(job);
    } else if (wait->err.code == TR_CLOSED) {
        job->aborted = TR_ABORT_SHUTDOWN;
        finish_aborted(job);
    } else {
        *job_err(job) = wait->err;
        finish(job);
    }
}

/* Does a turn of this actor run while an update drains its type? */
static bool is_in_drained_turn(const struct state_job *job)
{
    const struct tr_actor_type *type = tr_actor_type_find(job->engine, job_actor_type(job));
    if (type == NULL || job->engine->round.kind != TR_ROUND_UPDATE ||
        !tr_link_linked(&type->drain_link)) {
        return false;
    }
    const struct tr_activation *act = tr_activation_find(type, job_actor_id(job));
    return act != NULL && act->turns.running_len > 0;
}

static void try_begin(struct state_job *job)
{
    const struct tr_actor_owner *owner = &job->engine->conf.owner;
    struct tr_owner_host host;
    switch (owner->lookup(owner->ctx, job_actor_type(job), job_actor_id(job), &host)) {
    case TR_OWNER_LOCAL:
        job->store_tx.epoch = host.epoch;
        begin_work(job);
        return;
    case TR_OWNER_REMOTE:
    case TR_OWNER_NONE:
        begin_work(job);
        return;
    case TR_OWNER_LOCKED:
        if (is_in_drained_turn(job)) {
            begin_work(job);
            return;
        }
        break;
    case TR_OWNER_NO_TABLE:
        break;
    case TR_OWNER_CLOSED:
        job->aborted = TR_ABORT_SHUTDOWN;
        finish_aborted(job);
        return;
    }
    job->is_held = true;
    job->hold = (struct tr_placement_wait){ .type = job_actor_type(job), .cb = on_hold_over };
    owner->wait_start(owner->ctx, &job->hold);
}

static void abort_job(struct state_job *job, enum tr_abort reason)
{
    if (!tr_op_is_started(&job->op) || job->aborted >= reason) {
        return;
    }
    const bool is_first = job->aborted == TR_ABORT_NONE;
    job->aborted = reason;
    if (job->is_held && is_first) {
        job->engine->conf.owner.wait_cancel(job->engine->conf.owner.ctx, &job->hold);
    }
}

static void on_deadline(struct tr_timer *timer)
{
    abort_job(TR_CONTAINER_OF(timer, struct state_job, due), TR_ABORT_DEADLINE);
}

static void start(struct tr_actor_engine *engine, struct state_job *job, uint64_t deadline_ms)
{
    tr_assert_obj(engine, TR_ACTOR_ENGINE_MAGIC);
    tr_loop_assert(engine->conf.loop);
    job->engine = engine;
    job_err(job)->code = TR_OK;
    tr_link_init(&job->claim.link);
    tr_timer_init(&job->due, engine->conf.loop, on_deadline);
    tr_op_begin(&job->op, engine->conf.loop, &engine->state_jobs, on_complete);
    if (engine->conf.is_disabled || engine->is_closing) {
        (void)tr_actor_gate(engine, job_err(job));
        finish(job);
        return;
    }
    if (deadline_ms != 0) {
        tr_timer_set(&job->due, deadline_ms);
    }
    try_begin(job);
}

void tr_actor_state_get_start(struct tr_actor_engine *engine, struct tr_actor_state_get *get)
{
    struct state_job *job = tr_xzalloc(sizeof(*job));
    job->get = get;
    get->impl = job;
    get->found = false;
    get->has_expiry = false;
    start(engine, job, get->deadline_ms);
}

void tr_actor_state_get_cancel(struct tr_actor_state_get *get)
{
    tr_assert(get->impl != NULL);
    abort_job(get->impl, TR_ABORT_CANCELED);
}

void tr_actor_state_tx_start(struct tr_actor_engine *engine, struct tr_actor_state_tx *tx)
{
    struct state_job *job = tr_xzalloc(sizeof(*job));
    job->tx = tx;
    tx->impl = job;
    start(engine, job, tx->deadline_ms);
}

void tr_actor_state_tx_cancel(struct tr_actor_state_tx *tx)
{
    tr_assert(tx->impl != NULL);
    abort_job(tx->impl, TR_ABORT_CANCELED);
}

void tr_actor_state_abort_all(struct tr_actor_engine *engine)
{
    struct tr_link *it, *tmp;
    TR_LIST_FOR_EACH (it, tmp, &engine->state_jobs) {
        abort_job(TR_CONTAINER_OF(it, struct state_job, op.link), TR_ABORT_SHUTDOWN);
    }
}

void tr_actor_state_set(struct tr_actor_engine *engine, const struct tr_actor_state_conf *conf)
{
    tr_assert_obj(engine, TR_ACTOR_ENGINE_MAGIC);
    tr_loop_assert(engine->conf.loop);
    char *app_id = tr_xstrdup(conf->app_id);
    free((char *)(uintptr_t)engine->store.app_id.ptr);
    engine->store = *conf;
    engine->store.app_id = tr_slice(app_id, conf->app_id.len);
}
