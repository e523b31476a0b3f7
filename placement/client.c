/*
 * The sidecar's end of placement: which server to try, what its orders mean, and who owns an actor.
 *
 * Normal course: start -> attempt -> report -> lock, update, unlock, again and again. An update installs the table, holds
 * the types that changed and waits for the engine; orders are worked on one after the other, and one is read ahead so that
 * the end of the stream is noticed meanwhile.
 *
 * What can go wrong: no connection (pause, next address), refusal (next address, pause after a full circle), end of the
 * stream or an order out of place or a round without an update within the own limit (everything is held, the engine halts
 * all actors, next address at once; after a full circle without a table, with the pause).
 */
#include <stdlib.h>

#include "invoke/rpc.h"
#include "placement/client_int.h"

/* --- connecting --------------------------------------------------------------------------------------------------- */

static void retry_after(struct tr_placement_client *client, uint64_t pause_ms)
{
    if (!client->is_closing) {
        tr_timer_set(&client->retry, tr_loop_now_ms(client->conf.loop) + pause_ms);
    }
}

static uint64_t pause_ms(struct tr_placement_client *client)
{
    return tr_rng_between(&client->rng, TR_PLACEMENT_PAUSE_LOW_MS, TR_PLACEMENT_PAUSE_HIGH_MS);
}

/*
 * After a stream that brought orders: at once, as long as tables come. A server whose orders come to nothing, time after
 * time, is not asked hundreds of times a second: after one circle there is a pause.
 */
static void retry_after_orders(struct tr_placement_client *client)
{
    client->fruitless_len++;
    retry_after(client, client->fruitless_len > client->circle_len ? pause_ms(client) : 0);
}

static void attempt(struct tr_placement_client *client, const char *address)
{
    struct tr_err err;
    tr_log_debug(client->conf.log, "Attempting to connect to placement", "address=%s", address);
    if (tr_placement_attempt_start(client, address, &err) != TR_OK) {
        tr_log_error(client->conf.log, "Failed to connect to placement service. Retrying...",
                     "error=%s", err.msg);
        retry_after(client, pause_ms(client));
    }
}

static void on_resolved(struct tr_resolve *resolve)
{
    struct tr_placement_client *client =
        TR_CONTAINER_OF(resolve, struct tr_placement_client, resolve);
    client->attempts_len--;
    if (client->is_closing) {
        tr_placement_client_check_closed(client);
        return;
    }
    if (resolve->err.code != TR_OK) {
        tr_log_error(client->conf.log, "Failed to connect to placement service. Retrying...",
                     "error=%s", resolve->err.msg);
        retry_after(client, pause_ms(client));
        return;
    }
    client->circle_len = resolve->addresses_len;
    client->address_at %= resolve->addresses_len;
    attempt(client, resolve->addresses[client->address_at++]);
}

static void on_retry(struct tr_timer *timer)
{
    struct tr_placement_client *client = TR_CONTAINER_OF(timer, struct tr_placement_client, retry);
    tr_assert(client->attempt == NULL);
    if (client->conf.is_resolved_each_time) {
        client->attempts_len++;
        client->resolve.name = tr_slice_str(client->addresses[0]);
        client->resolve.cb = on_resolved;
        tr_resolve_start(client->conf.loop, &client->resolve);
        return;
    }
    client->address_at %= client->addresses_len;
    attempt(client, client->addresses[client->address_at++]);
}

void tr_placement_client_on_reported(struct tr_placement_client *client)
{
    client->is_connected = true;
    if (client->refusals_len ==
        0) { /* in a circle of refusals nobody wants to read this each time */
        tr_log_info(client->conf.log, "Connected to placement service", "types=%zu",
                    client->types_len);
    }
}

/* --- the stream is lost ------------------------------------------------------------------------------------------- */

static void drop_held_order(struct tr_placement_client *client)
{
    if (client->has_held_order) {
        client->has_held_order = false;
        tr_table_unref(&client->held_order.table);
    }
}

/*
 * Hold everything, and forget the table: while we are away others may own what was ours and give it up again, so the next
 * table changes every type, even if it equals the last one. (The reference compares with the last one, and two hosts may
 * then run one actor until the unlock.)
 */
static void lose_stream(struct tr_placement_client *client)
{
    bool had_table = client->has_table;
    client->attempt = NULL;
    client->is_connected = false;
    client->is_ready = false;
    client->has_table = false;
    client->has_last_op = false;
    client->version = 0;
    client->locks_len = 0;
    client->update_token = 0;
    drop_held_order(client);
    tr_table_unref(&client->table);
    tr_timer_stop(&client->limit);
    tr_map_fini(&client->held);
    if (had_table && !client->is_closing && client->conf.events.on_lost != NULL) {
        client->lost_token = ++client->tokens;
        client->conf.events.on_lost(client->conf.ctx, client->lost_token);
    }
}

/* Give the present stream up for a reason of our own. */
static void drop_stream(struct tr_placement_client *client)
{
    tr_placement_attempt_abandon(client->attempt);
    lose_stream(client);
    retry_after_orders(client);
}

static void on_limit(struct tr_timer *timer)
{
    struct tr_placement_client *client = TR_CONTAINER_OF(timer, struct tr_placement_client, limit);
    tr_log_text(client->conf.log, TR_LOG_WARN,
                "Dissemination timeout for version %llu, closing stream to reconnect",
                (unsigned long long)client->locks_len);
    drop_stream(client);
}

static bool is_refusal(int status, struct tr_slice message)
{
    static const char text[] = "is not a leader";
    return status == TR_RPC_FAILED_PRECONDITION && message.len >= sizeof(text) - 1 &&
           memmem(message.ptr, message.len, text, sizeof(text) - 1) != NULL;
}

void tr_placement_client_on_end(struct tr_placement_client *client, int status,
                                struct tr_slice message, bool had_order)
{
    if (client->is_closing) {
        client->attempt = NULL;
        return;
    }
    bool is_routine = is_refusal(status, message);
    TR_LOG_AT(client->conf.log, is_routine ? TR_LOG_DEBUG : TR_LOG_INFO,
              "Placement stream closed. Reconnecting...", "status=%s error=%.*s",
              tr_grpc_status_name(status), TR_SLICE_ARG(message));
    lose_stream(client);
    if (had_order) {
        client->refusals_len = 0;
        retry_after_orders(client);
        return;
    }
    client->refusals_len++;
    bool is_unreachable = status == TR_RPC_UNAVAILABLE;
    bool is_full_circle = client->refusals_len % client->circle_len == 0;
    retry_after(client, is_unreachable || is_full_circle ? pause_ms(client) : 0);
}

/* --- orders ------------------------------------------------------------------------------------------------------- */

/* Types whose ring differs between the tables; slices into either. */
static struct tr_slice *changed_types(const struct tr_table *old, const struct tr_table *new_table,
                                      size_t *out_len)
{
    size_t max = tr_table_types_len(new_table) + (old == NULL ? 0 : tr_table_types_len(old));
    struct tr_slice *changed = tr_xalloc((max + 1) * sizeof(*changed));
    size_t len = 0;
    struct tr_map_iter iter = { 0 };
    struct tr_slice type;
    const struct tr_ring *ring;
    while (tr_table_next(new_table, &iter, &type, &ring)) {
        const struct tr_ring *before = old == NULL ? NULL : tr_table_ring(old, type);
        if (before == NULL || !tr_ring_equal(before, ring)) {
            changed[len++] = type;
        }
    }
    iter = (struct tr_map_iter){ 0 };
    while (old != NULL && tr_table_next(old, &iter, &type, &ring)) {
        if (tr_table_ring(new_table, type) == NULL) {
            changed[len++] = type;
        }
    }
    *out_len = len;
    return changed;
}

static void take_lock(struct tr_placement_client *client, const struct tr_order_in *order)
{
    client->version = order->version;
    client->locks_len++;
    client->last_op = TR_ORDER_LOCK;
    client->has_last_op = true;
    tr_timer_set(&client->limit, tr_loop_now_ms(client->conf.loop) + client->conf.round_limit_ms);
    tr_placement_attempt_ack(client->attempt, TR_HOST_LOCK, client->version);
    if (client->conf.events.on_lock != NULL) {
        client->conf.events.on_lock(client->conf.ctx, client->version);
    }
}

static void take_update(struct tr_placement_client *client, struct tr_order_in *order)
{
    if (order->version < client->version) {
        tr_log_warn(client->conf.log,
                    "Placement table is older than its lock, closing stream to reconnect",
                    "version=%llu expected=%llu", (unsigned long long)order->version,
                    (unsigned long long)client->version);
        drop_stream(client);
        return;
    }
    tr_timer_stop(&client->limit);
    client->last_op = TR_ORDER_UPDATE;
    client->has_last_op = true;
    struct tr_table *old = client->table;
    client->table = order->table;
    order->table = NULL;
    client->has_table = true;
    client->fruitless_len = 0;
    tr_ring_cache_sweep(&client->cache);
    size_t changed_len;
    struct tr_slice *changed = changed_types(old, client->table, &changed_len);
    for (size_t i = 0; i < changed_len; i++) {
        (void)tr_map_put(&client->held, changed[i], client);
    }
    tr_log_debug(client->conf.log, "Placement table applied", "version=%llu types=%zu changed=%zu",
                 (unsigned long long)order->version, tr_table_types_len(client->table),
                 changed_len);
    tr_placement_waits_release(client); /* types that did not change need not wait for the others */
    uint64_t token = ++client->tokens;
    client->update_token = token;
    if (client->conf.events.on_update != NULL) {
        client->conf.events.on_update(client->conf.ctx, token, changed, changed_len);
    } else {
        tr_placement_update_done(client, token);
    }
    free(changed);
    tr_table_unref(&old);
}

static void take_unlock(struct tr_placement_client *client, const struct tr_order_in *order)
{
    if (!client->has_last_op || client->last_op != TR_ORDER_UPDATE ||
        order->version < client->version) {
        tr_log_warn(client->conf.log, "Unlock out of place, ignored", "version=%llu expected=%llu",
                    (unsigned long long)order->version, (unsigned long long)client->version);
        return;
    }
    client->version = order->version;
    client->last_op = TR_ORDER_UNLOCK;
    tr_log_info(client->conf.log, "Placement round complete", "version=%llu changed=%zu",
                (unsigned long long)client->version, client->held.len);
    tr_map_fini(&client->held);
    client->is_ready = true;
    bool is_first = !client->was_ready;
    client->was_ready = true;
    tr_placement_attempt_ack(client->attempt, TR_HOST_UNLOCK, client->version);
    tr_placement_waits_release(client);
    if (client->conf.events.on_unlock != NULL) {
        client->conf.events.on_unlock(client->conf.ctx, client->version);
    }
    if (is_first && client->conf.events.on_ready != NULL) {
        client->conf.events.on_ready(client->conf.ctx);
    }
}

/* Must this order wait for the engine? Nothing passes an update under work; no update passes a halt of all actors. */
static bool is_blocked(const struct tr_placement_client *client, enum tr_order_op op)
{
    return client->update_token != 0 || (client->lost_token != 0 && op == TR_ORDER_UPDATE);
}

static void take_order(struct tr_placement_client *client, struct tr_order_in *order)
{
    struct tr_placement_attempt *attempt = client->attempt;
    switch (order->op) {
    case TR_ORDER_LOCK:
        take_lock(client, order);
        break;
    case TR_ORDER_UPDATE:
        take_update(client, order);
        break;
    case TR_ORDER_UNLOCK:
        take_unlock(client, order);
        break;
    case TR_ORDER_OPS_LEN:
        TR_BUG("operation of an order");
    }
    tr_table_unref(&order->table);
    if (client->attempt != NULL && client->attempt == attempt) {
        tr_placement_attempt_read(attempt);
    }
}

void tr_placement_client_on_order(struct tr_placement_client *client, struct tr_slice bytes)
{
    if (client->is_closing) {
        tr_placement_attempt_read(client->attempt);
        return;
    }
    struct tr_order_in order;
    struct tr_err err;
    client->refusals_len = 0;
    if (tr_order_decode(bytes, &client->cache, client->table, &order, &err) != TR_OK) {
        tr_log_warn(client->conf.log, "Placement order refused, closing stream to reconnect",
                    "error=%s", err.msg);
        drop_stream(client);
        return;
    }
    if (is_blocked(client, order.op)) {
        tr_assert(!client->has_held_order);
        client->held_order = order;
        client->has_held_order = true;
        return;
    }
    take_order(client, &order);
}

static void on_resume(struct tr_defer *defer)
{
    struct tr_placement_client *client = TR_CONTAINER_OF(defer, struct tr_placement_client, resume);
    if (client->is_closing || !client->has_held_order ||
        is_blocked(client, client->held_order.op)) {
        return;
    }
    struct tr_order_in order = client->held_order;
    client->has_held_order = false;
    take_order(client, &order);
}

void tr_placement_update_done(struct tr_placement_client *client, uint64_t token)
{
    tr_loop_assert(client->conf.loop);
    if (token != client->update_token || token == 0 || client->is_closing) {
        return;
    }
    client->update_token = 0;
    tr_placement_attempt_ack(client->attempt, TR_HOST_UPDATE, client->version);
    tr_defer(client->conf.loop, &client->resume, on_resume);
}

void tr_placement_lost_done(struct tr_placement_client *client, uint64_t token)
{
    tr_loop_assert(client->conf.loop);
    if (token != client->lost_token || token == 0) {
        return;
    }
    client->lost_token = 0;
    tr_defer(client->conf.loop, &client->resume, on_resume);
}

/* --- hosted types ------------------------------------------------------------------------------------------------- */

static int by_bytes(const void *a, const void *b)
{
    return tr_slice_cmp(*(const struct tr_slice *)a, *(const struct tr_slice *)b);
}

/* Sorted copy of `types` without repetition; its texts go to `text`. */
static struct tr_slice *copy_types(const struct tr_slice *types, size_t types_len,
                                   struct tr_buf *text, size_t *out_len)
{
    struct tr_slice *copy = tr_xalloc((types_len + 1) * sizeof(*copy));
    size_t bytes = 0;
    size_t len = 0;
    for (size_t i = 0; i < types_len; i++) {
        copy[i] = types[i];
        bytes += types[i].len;
    }
    qsort(copy, types_len, sizeof(*copy), by_bytes);
    tr_buf_reserve(text, bytes + 1); /* so that the slices stay where they are */
    for (size_t i = 0; i < types_len; i++) {
        if (len > 0 && tr_slice_eq(copy[len - 1], copy[i])) {
            continue;
        }
        struct tr_slice kept = tr_slice(text->ptr + text->len, copy[i].len);
        tr_buf_add(text, copy[i]);
        copy[len++] = kept;
    }
    *out_len = len;
    return copy;
}

void tr_placement_set_types(struct tr_placement_client *client, const struct tr_slice *types,
                            size_t types_len)
{
    tr_loop_assert(client->conf.loop);
    struct tr_buf text = { 0 };
    size_t len;
    struct tr_slice *copy = copy_types(types, types_len, &text, &len);
    bool is_same = client->types_len == len;
    for (size_t i = 0; is_same && i < len; i++) {
        is_same = tr_slice_eq(client->types[i], copy[i]);
    }
    free(client->types);
    client->types = copy;
    client->types_len = len;
    tr_buf_move(&client->types_text, &text);
    if (!is_same && client->attempt != NULL && !client->is_closing) {
        tr_placement_attempt_report(client->attempt);
    }
}

/* --- life --------------------------------------------------------------------------------------------------------- */

static void on_leave(struct tr_timer *timer)
{
    struct tr_placement_client *client = TR_CONTAINER_OF(timer, struct tr_placement_client, leave);
    if (client->attempt != NULL) {
        tr_placement_attempt_abandon(client->attempt);
        client->attempt = NULL;
    }
}

static struct tr_slice keep(struct tr_buf *texts, struct tr_slice text)
{
    struct tr_slice kept = tr_slice(texts->ptr + texts->len, text.len);
    tr_buf_add(texts, text);
    return kept;
}

enum tr_code tr_placement_client_new(const struct tr_placement_client_conf *conf,
                                     struct tr_placement_client **out_client, struct tr_err *err)
{
    tr_loop_assert(conf->loop);
    if (conf->addresses_len == 0 || conf->addresses_len > TR_PLACEMENT_ADDRESSES_MAX) {
        return tr_err_set(err, TR_INVALID, "%zu placement addresses; there must be 1 to %d",
                          conf->addresses_len, TR_PLACEMENT_ADDRESSES_MAX);
    }
    if (conf->round_limit_ms == 0) {
        return tr_err_set(err, TR_INVALID, "dissemination timeout must be greater than 0");
    }
    struct tr_placement_client *client = tr_xzalloc(sizeof(*client));
    client->conf = *conf;
    tr_buf_reserve(&client->texts, conf->name.len + conf->app_id.len + conf->ns.len + 1);
    client->conf.name = keep(&client->texts, conf->name);
    client->conf.app_id = keep(&client->texts, conf->app_id);
    client->conf.ns = keep(&client->texts, conf->ns);
    client->conf.addresses = NULL;
    for (size_t i = 0; i < conf->addresses_len; i++) {
        client->addresses[client->addresses_len++] = tr_xstrdup(conf->addresses[i]);
    }
    client->circle_len = client->addresses_len;
    tr_address_split(client->conf.name, &client->own_host, &client->own_port);
    tr_rng_init_system(&client->rng);
    tr_timer_init(&client->retry, conf->loop, on_retry);
    tr_timer_init(&client->limit, conf->loop, on_limit);
    tr_timer_init(&client->leave, conf->loop, on_leave);
    tr_placement_waits_init(client);
    *out_client = client;
    return TR_OK;
}

void tr_placement_client_start(struct tr_placement_client *client)
{
    tr_loop_assert(client->conf.loop);
    tr_assert(!client->is_started);
    client->is_started = true;
    retry_after(client, 0);
}

static void on_closed(struct tr_defer *defer)
{
    struct tr_placement_client *client = TR_CONTAINER_OF(defer, struct tr_placement_client, closed);
    client->closed_cb(client->closed_ctx);
}

void tr_placement_client_check_closed(struct tr_placement_client *client)
{
    if (client->is_closing && client->attempts_len == 0 && client->waits_len == 0 &&
        client->closed_cb != NULL) {
        tr_timer_stop(&client->leave);
        tr_defer(client->conf.loop, &client->closed, on_closed);
    }
}

void tr_placement_client_on_gone(struct tr_placement_client *client)
{
    client->attempts_len--;
    tr_placement_client_check_closed(client);
}

void tr_placement_client_close(struct tr_placement_client *client, void (*cb)(void *ctx), void *ctx)
{
    tr_loop_assert(client->conf.loop);
    tr_assert(!client->is_closing);
    client->is_closing = true;
    client->closed_cb = cb;
    client->closed_ctx = ctx;
    client->is_connected = false;
    client->is_ready = false;
    client->update_token = 0;
    client->lost_token = 0;
    drop_held_order(client);
    tr_timer_stop(&client->retry);
    tr_timer_stop(&client->limit);
    tr_defer_cancel(&client->resume);
    tr_placement_waits_close(client);
    if (client->attempt != NULL) {
        tr_placement_attempt_leave(client->attempt);
        tr_timer_set(&client->leave, tr_loop_now_ms(client->conf.loop) + TR_ATTEMPT_LEAVE_MS);
    }
    tr_placement_client_check_closed(client);
}

void tr_placement_client_free(struct tr_placement_client **client_place)
{
    struct tr_placement_client *client = *client_place;
    *client_place = NULL;
    if (client == NULL) {
        return;
    }
    tr_assert(client->attempts_len == 0);
    tr_timer_stop(&client->retry);
    tr_timer_stop(&client->limit);
    tr_timer_stop(&client->leave);
    tr_defer_cancel(&client->resume);
    tr_defer_cancel(&client->closed);
    tr_placement_waits_fini(client);
    drop_held_order(client);
    for (size_t i = 0; i < client->addresses_len; i++) {
        free(client->addresses[i]);
    }
    free(client->types);
    tr_buf_fini(&client->types_text);
    tr_buf_fini(&client->texts);
    tr_map_fini(&client->held);
    tr_table_unref(&client->table);
    tr_ring_cache_fini(&client->cache);
    free(client);
}
