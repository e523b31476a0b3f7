/*
 * The rounds of one namespace.
 *
 * The table is a list of rows, each the last report of a stream that has actor types. A stream that leaves in the middle
 * of a round leaves its row behind without a stream (an orphan), because the hosts have locked for the table as it was;
 * orphans are removed, all at once, when the next round begins.
 *
 * Normal course: a change starts a round (start_round); acknowledgements are counted; when all joined streams have
 * acknowledged a phase, the next one begins (advance); after the last, what piled up meanwhile is served (end_round).
 * What can go wrong: a host is silent (tr_rounds_tick closes it), leaves (tr_rounds_leave re-counts), or reports something
 * new (take_report starts over with the next version).
 *
 * Actions are collected in a list and taken out by the caller after each event.
 */
#include "placement/rounds.h"

#include <stdlib.h>

#include "runtime/base/buf.h"

struct tr_rounds_host {
    struct tr_link link;             /* in the table's rows */
    struct tr_host host;             /* owned */
    struct tr_rounds_stream *stream; /* borrowed; NULL for an orphan */
};

struct tr_rounds {
    struct tr_rounds_conf conf;
    struct tr_buf name;
    uint64_t version;
    enum tr_rounds_phase phase;
    uint64_t round_due_ms;    /* UINT64_MAX when idle */
    uint64_t coalesce_due_ms; /* UINT64_MAX when no window is open */
    struct tr_link joined;
    struct tr_link waiting;
    struct tr_link rows;
    size_t joined_len;
    size_t joined_with_types_len;
    size_t waiting_len;
    size_t acked_len; /* joined streams that acknowledged the present phase */
    size_t rows_len;
    size_t orphans_len;
    bool is_round_owed; /* a host with types left the waiting ones; see tr_rounds_leave() */
    struct tr_rounds_action *actions; /* owned, [actions_head, actions_len) are to be taken */
    size_t actions_head;
    size_t actions_len;
    size_t actions_cap;
};

static struct tr_rounds_stream *stream_of(struct tr_link *link)
{
    return TR_CONTAINER_OF(link, struct tr_rounds_stream, link);
}

static struct tr_rounds_host *row_of(struct tr_link *link)
{
    return TR_CONTAINER_OF(link, struct tr_rounds_host, link);
}

struct tr_rounds *tr_rounds_new(const struct tr_rounds_conf *conf, struct tr_slice name)
{
    tr_assert(conf->limit_ms > 0);
    tr_assert(conf->factor > 0);
    struct tr_rounds *rounds = tr_xzalloc(sizeof(*rounds));
    rounds->conf = *conf;
    tr_buf_set(&rounds->name, name);
    rounds->round_due_ms = UINT64_MAX;
    rounds->coalesce_due_ms = UINT64_MAX;
    tr_link_init(&rounds->joined);
    tr_link_init(&rounds->waiting);
    tr_link_init(&rounds->rows);
    return rounds;
}

/* --- actions ------------------------------------------------------------------------------------------------------ */

static struct tr_rounds_action *add_action(struct tr_rounds *rounds)
{
    if (rounds->actions_len == rounds->actions_cap) {
        rounds->actions_cap = rounds->actions_cap == 0 ? 16 : 2 * rounds->actions_cap;
        rounds->actions =
            tr_xrealloc(rounds->actions, rounds->actions_cap * sizeof(*rounds->actions));
    }
    struct tr_rounds_action *action = &rounds->actions[rounds->actions_len++];
    *action = (struct tr_rounds_action){ 0 };
    return action;
}

static void send_order(struct tr_rounds *rounds, struct tr_rounds_stream *stream,
                       struct tr_order *order)
{
    struct tr_rounds_action *action = add_action(rounds);
    action->kind = TR_ROUNDS_SEND;
    action->stream = stream;
    action->order = tr_order_ref(order);
}

bool tr_rounds_next_action(struct tr_rounds *rounds, struct tr_rounds_action *out_action)
{
    while (rounds->actions_head < rounds->actions_len) {
        struct tr_rounds_action *action = &rounds->actions[rounds->actions_head++];
        if (action->stream != NULL) { /* its stream has not left meanwhile */
            *out_action = *action;
            return true;
        }
        tr_order_unref(&action->order);
    }
    rounds->actions_head = 0;
    rounds->actions_len = 0;
    return false;
}

static void forget_actions_of(struct tr_rounds *rounds, const struct tr_rounds_stream *stream)
{
    for (size_t i = rounds->actions_head; i < rounds->actions_len; i++) {
        if (rounds->actions[i].stream == stream) {
            rounds->actions[i].stream = NULL;
        }
    }
}

void tr_rounds_free(struct tr_rounds **rounds_place)
{
    struct tr_rounds *rounds = *rounds_place;
    *rounds_place = NULL;
    if (rounds == NULL) {
        return;
    }
    tr_assert(tr_list_empty(&rounds->joined));
    tr_assert(tr_list_empty(&rounds->waiting));
    struct tr_link *link;
    while ((link = tr_list_pop(&rounds->rows)) != NULL) {
        struct tr_rounds_host *row = row_of(link);
        tr_host_fini(&row->host);
        free(row);
    }
    for (size_t i = rounds->actions_head; i < rounds->actions_len; i++) {
        tr_order_unref(&rounds->actions[i].order);
    }
    free(rounds->actions);
    tr_buf_fini(&rounds->name);
    free(rounds);
}

/* --- the table ---------------------------------------------------------------------------------------------------- */

static void remove_row(struct tr_rounds *rounds, struct tr_rounds_host *row)
{
    tr_link_remove(&row->link);
    rounds->rows_len--;
    if (row->stream == NULL) {
        rounds->orphans_len--;
    } else {
        row->stream->stored = NULL;
    }
    tr_host_fini(&row->host);
    free(row);
}

/* Remove the rows of streams that are gone. True if there were any. */
static bool remove_orphans(struct tr_rounds *rounds)
{
    if (rounds->orphans_len == 0) {
        return false;
    }
    struct tr_link *link;
    struct tr_link *next;
    TR_LIST_FOR_EACH (link, next, &rounds->rows) {
        if (row_of(link)->stream == NULL) {
            remove_row(rounds, row_of(link));
        }
    }
    tr_assert(rounds->orphans_len == 0);
    return true;
}

static bool same_types(const struct tr_host *a, const struct tr_host *b)
{
    if (a->types_len != b->types_len) {
        return false;
    }
    for (size_t i = 0; i < a->types_len; i++) {
        if (!tr_slice_eq(a->types[i], b->types[i])) {
            return false;
        }
    }
    return true;
}

/*
 * Put a report into the table. True if that changed it. Name, port and API level are not compared.
 * Source: Dapr pkg/placement/internal/loops/disseminator/store/store.go, HostChanged.
 */
static bool store_report(struct tr_rounds *rounds, struct tr_rounds_stream *stream,
                         struct tr_host *report)
{
    struct tr_rounds_host *row = stream->stored;
    if (row == NULL) {
        if (report->types_len == 0) {
            return false;
        }
        row = tr_xzalloc(sizeof(*row));
        tr_link_init(&row->link);
        row->stream = stream;
        stream->stored = row;
        tr_list_add_tail(&rounds->rows, &row->link);
        rounds->rows_len++;
    } else if (same_types(&row->host, report) && tr_slice_eq(row->host.id, report->id) &&
               tr_slice_eq(row->host.ns, report->ns)) {
        return false;
    } else if (report->types_len == 0) {
        remove_row(rounds, row);
        return true;
    }
    tr_host_move(&row->host, report);
    return true;
}

static int by_name(const void *a, const void *b)
{
    return tr_slice_cmp((*(const struct tr_host *const *)a)->name,
                        (*(const struct tr_host *const *)b)->name);
}

size_t tr_rounds_hosts(const struct tr_rounds *rounds, const struct tr_host **out_hosts, size_t max)
{
    size_t len = 0;
    const struct tr_link *link;
    for (link = rounds->rows.next; link != &rounds->rows; link = link->next) {
        if (len < max) {
            out_hosts[len++] = &TR_CONTAINER_OF(link, const struct tr_rounds_host, link)->host;
        }
    }
    if (len > 0) {
        qsort(out_hosts, len, sizeof(*out_hosts), by_name);
    }
    return rounds->rows_len;
}

static struct tr_order *update_order(const struct tr_rounds *rounds)
{
    const struct tr_host **hosts = tr_xalloc((rounds->rows_len + 1) * sizeof(*hosts));
    size_t len = tr_rounds_hosts(rounds, hosts, rounds->rows_len);
    struct tr_order *order =
        tr_order_new(TR_ORDER_UPDATE, rounds->version, rounds->conf.factor, hosts, len);
    free(hosts);
    return order;
}

/* --- rounds ------------------------------------------------------------------------------------------------------- */

/* One order for all joined streams: built once, its bytes are shared. */
static void send_to_all(struct tr_rounds *rounds, struct tr_order *order)
{
    struct tr_link *link;
    struct tr_link *next;
    TR_LIST_FOR_EACH (link, next, &rounds->joined) {
        send_order(rounds, stream_of(link), order);
    }
    tr_order_unref(&order);
}

static void start_round(struct tr_rounds *rounds, uint64_t now_ms)
{
    tr_assert(rounds->joined_len > 0);
    rounds->version++;
    rounds->is_round_owed = false;
    rounds->phase = TR_ROUNDS_LOCK;
    rounds->acked_len = 0;
    rounds->round_due_ms = now_ms + rounds->conf.limit_ms;
    /* The window opens anew at the end of this round, so that it never fires in the middle of one. */
    rounds->coalesce_due_ms = UINT64_MAX;
    struct tr_link *link;
    struct tr_link *next;
    TR_LIST_FOR_EACH (link, next, &rounds->joined) {
        struct tr_rounds_stream *stream = stream_of(link);
        stream->acked = TR_ROUNDS_IDLE;
        stream->is_push_pending = false;
    }
    send_to_all(rounds, tr_order_new(TR_ORDER_LOCK, rounds->version, rounds->conf.factor, NULL, 0));
}

/* The current table for one stream alone, without waiting in between. */
static void push_table(struct tr_rounds *rounds, struct tr_rounds_stream *stream)
{
    tr_assert(rounds->phase == TR_ROUNDS_IDLE);
    struct tr_order *orders[] = {
        tr_order_new(TR_ORDER_LOCK, rounds->version, rounds->conf.factor, NULL, 0),
        update_order(rounds),
        tr_order_new(TR_ORDER_UNLOCK, rounds->version, rounds->conf.factor, NULL, 0),
    };
    for (size_t i = 0; i < TR_ARRAY_LEN(orders); i++) {
        send_order(rounds, stream, orders[i]);
        tr_order_unref(&orders[i]);
    }
    stream->is_push_pending = true;
    stream->pushed_version = rounds->version;
}

static void add_joined(struct tr_rounds *rounds, struct tr_rounds_stream *stream)
{
    tr_list_add_tail(&rounds->joined, &stream->link);
    rounds->joined_len++;
    rounds->joined_with_types_len += stream->had_types ? 1 : 0;
}

/* Take the waiting streams in, all into one round if that is needed, otherwise each by a push. */
static void admit_waiting(struct tr_rounds *rounds, bool is_round_needed, uint64_t now_ms)
{
    struct tr_link *before = rounds->joined.prev; /* the newcomers come behind it */
    struct tr_link *link;
    while ((link = tr_list_pop(&rounds->waiting)) != NULL) {
        struct tr_rounds_stream *stream = stream_of(link);
        rounds->waiting_len--;
        stream->is_waiting = false;
        add_joined(rounds, stream);
        is_round_needed |= store_report(rounds, stream, &stream->first);
        tr_host_fini(&stream->first);
    }
    if (is_round_needed || rounds->is_round_owed) {
        if (rounds->joined_len > 0) {
            start_round(rounds, now_ms);
        }
        return;
    }
    for (link = before->next; link != &rounds->joined; link = link->next) {
        push_table(rounds, stream_of(link));
    }
}

/* What piled up is served: leavers first in a round of their own, newcomers after them. */
static void serve_queues(struct tr_rounds *rounds, uint64_t now_ms)
{
    tr_assert(rounds->phase == TR_ROUNDS_IDLE);
    if (rounds->joined_len > 0 && remove_orphans(rounds)) {
        start_round(rounds, now_ms);
        return;
    }
    admit_waiting(rounds, remove_orphans(rounds), now_ms);
}

static void end_round(struct tr_rounds *rounds, uint64_t now_ms)
{
    rounds->phase = TR_ROUNDS_IDLE;
    rounds->acked_len = 0;
    rounds->round_due_ms = UINT64_MAX;
    if (rounds->joined_len > 0 && rounds->conf.coalesce_ms > 0) {
        rounds->coalesce_due_ms = now_ms + rounds->conf.coalesce_ms;
        return;
    }
    serve_queues(rounds, now_ms);
}

/* Go on to the next phase if nobody is missing in this one. */
static void advance(struct tr_rounds *rounds, uint64_t now_ms)
{
    tr_assert(rounds->acked_len <= rounds->joined_len);
    if (rounds->phase != TR_ROUNDS_IDLE && rounds->joined_len == 0) {
        /* The last host of the round left while others wait: they need not wait for the limit. */
        end_round(rounds, now_ms);
        return;
    }
    if (rounds->acked_len < rounds->joined_len) {
        return;
    }
    switch (rounds->phase) {
    case TR_ROUNDS_LOCK:
        rounds->phase = TR_ROUNDS_UPDATE;
        rounds->acked_len = 0;
        send_to_all(rounds, update_order(rounds));
        return;
    case TR_ROUNDS_UPDATE:
        rounds->phase = TR_ROUNDS_UNLOCK;
        rounds->acked_len = 0;
        send_to_all(rounds,
                    tr_order_new(TR_ORDER_UNLOCK, rounds->version, rounds->conf.factor, NULL, 0));
        return;
    case TR_ROUNDS_UNLOCK:
        end_round(rounds, now_ms);
        return;
    case TR_ROUNDS_IDLE:
    case TR_ROUNDS_PHASES_LEN:
        return;
    }
}

/* --- events ------------------------------------------------------------------------------------------------------- */

/* A report of a joined stream. A change starts a round at once, replacing the one that runs. */
static bool take_report(struct tr_rounds *rounds, struct tr_rounds_stream *stream,
                        struct tr_host *report, uint64_t now_ms)
{
    if (!store_report(rounds, stream, report)) {
        return false;
    }
    start_round(rounds, now_ms);
    return true;
}

enum tr_code tr_rounds_join(struct tr_rounds *rounds, struct tr_rounds_stream *stream,
                            struct tr_host *first, uint64_t now_ms, struct tr_err *err)
{
    tr_assert(stream->rounds == NULL);
    if (rounds->joined_len + rounds->waiting_len >= TR_ROUNDS_STREAMS_MAX) {
        return tr_err_set(err, TR_LIMIT, "namespace '%.*s' has %d hosts already",
                          TR_SLICE_ARG(tr_buf_slice(&rounds->name)), TR_ROUNDS_STREAMS_MAX);
    }
    *stream = (struct tr_rounds_stream){ .rounds = rounds, .had_types = first->types_len > 0 };
    tr_link_init(&stream->link);
    if (rounds->phase != TR_ROUNDS_IDLE || rounds->coalesce_due_ms != UINT64_MAX) {
        stream->is_waiting = true;
        tr_host_move(&stream->first, first);
        tr_list_add_tail(&rounds->waiting, &stream->link);
        rounds->waiting_len++;
        return TR_OK;
    }
    bool had_orphans = remove_orphans(rounds);
    add_joined(rounds, stream);
    if (!take_report(rounds, stream, first, now_ms)) {
        if (had_orphans) { /* the others must hear of it, though the newcomer changes nothing */
            start_round(rounds, now_ms);
        } else {
            push_table(rounds, stream);
        }
    }
    tr_host_fini(first);
    return TR_OK;
}

/* Which phase does a message acknowledge? IDLE: none, it is a report. False: it means nothing to us. */
static bool phase_of_message(const struct tr_rounds *rounds, const struct tr_host *message,
                             enum tr_rounds_phase *out_phase)
{
    switch (message->op) {
    case TR_HOST_UNKNOWN: /* an old sidecar acknowledges whatever is current, and reports when nothing is */
        *out_phase = rounds->phase;
        return true;
    case TR_HOST_REPORT:
        *out_phase = TR_ROUNDS_IDLE;
        return true;
    case TR_HOST_LOCK:
        *out_phase = TR_ROUNDS_LOCK;
        return true;
    case TR_HOST_UPDATE:
        *out_phase = TR_ROUNDS_UPDATE;
        return true;
    case TR_HOST_UNLOCK:
        *out_phase = TR_ROUNDS_UNLOCK;
        return true;
    default:
        return false;
    }
}

static void take_acknowledgement(struct tr_rounds *rounds, struct tr_rounds_stream *stream,
                                 enum tr_rounds_phase phase, uint64_t now_ms)
{
    /*
     * Only the phase that runs can be acknowledged, and once. The reference counts any operation here, so a late unlock
     * of the round before may stand for the lock of this one.
     */
    if (phase != rounds->phase || phase == TR_ROUNDS_IDLE || stream->acked == phase) {
        return;
    }
    stream->acked = phase;
    rounds->acked_len++;
    advance(rounds, now_ms);
}

void tr_rounds_message(struct tr_rounds *rounds, struct tr_rounds_stream *stream,
                       struct tr_host *message, uint64_t now_ms)
{
    tr_assert(stream->rounds == rounds);
    tr_assert(
        !stream->is_waiting); /* the session holds messages back until its stream has joined */
    enum tr_rounds_phase phase;
    bool is_stale = message->has_version && message->version < rounds->version;
    if (is_stale || !phase_of_message(rounds, message, &phase)) {
        tr_host_fini(message);
        return;
    }
    if (phase == TR_ROUNDS_IDLE) {
        /*
         * A report without types that changes nothing gets no push: its sender was given the table when it joined and
         * every round since. In the reference it gets one, and an old sidecar's acknowledgements of it, which look like
         * reports, bring the next, without end.
         */
        (void)take_report(rounds, stream, message, now_ms);
    } else if (stream->is_push_pending && message->has_version &&
               message->version == stream->pushed_version) {
        stream->is_push_pending = phase != TR_ROUNDS_UNLOCK;
    } else {
        take_acknowledgement(rounds, stream, phase, now_ms);
    }
    tr_host_fini(message);
}

/* Take a joined stream out. Its row becomes an orphan, or goes at once. */
static void remove_joined(struct tr_rounds *rounds, struct tr_rounds_stream *stream,
                          bool is_row_kept)
{
    tr_link_remove(&stream->link);
    rounds->joined_len--;
    rounds->joined_with_types_len -= stream->had_types ? 1 : 0;
    if (rounds->phase != TR_ROUNDS_IDLE && stream->acked == rounds->phase) {
        rounds->acked_len--;
    }
    if (stream->stored != NULL && !is_row_kept) {
        remove_row(rounds, stream->stored);
    } else if (stream->stored != NULL) {
        stream->stored->stream = NULL;
        stream->stored = NULL;
        rounds->orphans_len++;
    }
    stream->rounds = NULL;
}

void tr_rounds_leave(struct tr_rounds_stream *stream, uint64_t now_ms)
{
    struct tr_rounds *rounds = stream->rounds;
    if (rounds == NULL) {
        return;
    }
    forget_actions_of(rounds, stream);
    if (stream->is_waiting) {
        /*
         * It never enters a table (in the reference it is in one more). The others still get the round that it would
         * have caused: Dapr's suite waits for a table without the host that came and went.
         */
        rounds->is_round_owed |= stream->had_types;
        tr_link_remove(&stream->link);
        rounds->waiting_len--;
        tr_host_fini(&stream->first);
        stream->rounds = NULL;
        return;
    }
    remove_joined(rounds, stream, true);
    if (rounds->phase != TR_ROUNDS_IDLE) {
        advance(rounds, now_ms);
    } else if (rounds->coalesce_due_ms == UINT64_MAX && rounds->joined_len > 0 &&
               remove_orphans(rounds)) {
        start_round(rounds, now_ms);
    }
}

static void close_silent(struct tr_rounds *rounds)
{
    struct tr_link *link;
    struct tr_link *next;
    TR_LIST_FOR_EACH (link, next, &rounds->joined) {
        struct tr_rounds_stream *stream = stream_of(link);
        if (stream->acked == rounds->phase) {
            continue;
        }
        remove_joined(rounds, stream, false);
        struct tr_rounds_action *action = add_action(rounds);
        action->kind = TR_ROUNDS_CLOSE;
        action->stream = stream;
        /* The text is compared by clients. Source: Dapr disseminator.go, handleTimeout. */
        (void)tr_err_set(&action->err, TR_DEADLINE,
                         "dissemination timeout after %s for version %llu", rounds->conf.limit_text,
                         (unsigned long long)rounds->version);
    }
}

void tr_rounds_tick(struct tr_rounds *rounds, uint64_t now_ms)
{
    if (now_ms >= rounds->round_due_ms) {
        tr_assert(rounds->phase != TR_ROUNDS_IDLE);
        close_silent(rounds);
        rounds->phase = TR_ROUNDS_IDLE;
        rounds->round_due_ms = UINT64_MAX;
        rounds->acked_len = 0;
        /* The healthy and those who waited get the next table together, also if the hosts in it are the same. */
        (void)remove_orphans(rounds);
        admit_waiting(rounds, true, now_ms);
    } else if (now_ms >= rounds->coalesce_due_ms) {
        tr_assert(rounds->phase == TR_ROUNDS_IDLE);
        rounds->coalesce_due_ms = UINT64_MAX;
        admit_waiting(rounds, remove_orphans(rounds), now_ms);
    }
}

uint64_t tr_rounds_due_ms(const struct tr_rounds *rounds)
{
    return rounds->round_due_ms < rounds->coalesce_due_ms ? rounds->round_due_ms
                                                          : rounds->coalesce_due_ms;
}

/* --- what is so now ----------------------------------------------------------------------------------------------- */

enum tr_rounds_phase tr_rounds_phase(const struct tr_rounds *rounds)
{
    return rounds->phase;
}

uint64_t tr_rounds_version(const struct tr_rounds *rounds)
{
    return rounds->version;
}

struct tr_slice tr_rounds_name(const struct tr_rounds *rounds)
{
    return tr_buf_slice(&rounds->name);
}

size_t tr_rounds_streams_len(const struct tr_rounds *rounds)
{
    return rounds->joined_len + rounds->waiting_len;
}

size_t tr_rounds_joined_len(const struct tr_rounds *rounds)
{
    return rounds->joined_len;
}

size_t tr_rounds_joined_with_types_len(const struct tr_rounds *rounds)
{
    return rounds->joined_with_types_len;
}
