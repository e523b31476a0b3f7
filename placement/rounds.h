/*
 * The dissemination rounds of one namespace (pure): who hosts which actor types, and how every sidecar learns of a
 * change in step. Events and a time in, actions out; no socket, clock or thread.
 *
 *            change in the store            all acknowledged       all acknowledged
 *   IDLE ------------------------> LOCK ----------------> UPDATE -----------------> UNLOCK
 *     ^      a change of a connected host starts a new round from any state            |
 *     +---------------------------------------------------------------------- all acknowledged
 *
 * - A round is version+1 and goes to every stream of the namespace, also to hosts without actor types.
 * - A host without types that joins gets lock, update and unlock of the current version in one go (a push) and disturbs
 *   nobody.
 * - Streams that come during a round, or within the coalescing window after one, wait and join together.
 * - A round that lasts longer than its limit closes the streams that did not acknowledge its current phase.
 *
 * Everything here comes from section 3 and 4 of the placement specification; where the reference does harm, the rule
 * and the reason stand at the code.
 * Source: Dapr pkg/placement/internal/loops/disseminator.
 */
#ifndef TR_PLACEMENT_ROUNDS_H
#define TR_PLACEMENT_ROUNDS_H

#include <stdint.h>

#include "placement/wire.h"
#include "runtime/base/err.h"
#include "runtime/base/list.h"

/* Streams of one namespace, waiting ones included; a newcomer beyond it is refused with TR_LIMIT. */
#define TR_ROUNDS_STREAMS_MAX 20000

enum tr_rounds_phase {
    TR_ROUNDS_IDLE, /* called REPORT on the wire */
    TR_ROUNDS_LOCK,
    TR_ROUNDS_UPDATE,
    TR_ROUNDS_UNLOCK,
    TR_ROUNDS_PHASES_LEN
};

struct tr_rounds_conf {
    uint64_t limit_ms;    /* from lock to the last acknowledgement of unlock, > 0 */
    char limit_text[32];  /* the same as it is told to closed hosts: a Go duration, "8s" */
    uint64_t coalesce_ms; /* window after a round, 0 for none */
    int64_t factor;       /* virtual nodes a host, > 0 */
};

struct tr_rounds_host; /* private: one row of the table */

/* One connected host as the rounds see it. Embedded in its session; all zero before tr_rounds_join. */
struct tr_rounds_stream {
    struct tr_link link;           /* in the joined or the waiting streams */
    struct tr_rounds *rounds;      /* borrowed; NULL before join and after close */
    struct tr_host first;          /* owned: the first report, while it waits */
    struct tr_rounds_host *stored; /* its row; NULL for a host without types */
    uint64_t pushed_version;       /* of the push whose acknowledgements are still to come */
    enum tr_rounds_phase acked;    /* last phase of the present round that it acknowledged */
    bool is_waiting;               /* not yet part of the rounds */
    bool is_push_pending;          /* acknowledgements of pushed_version are not for a round */
    bool had_types;                /* its first report named types (a metric) */
};

enum tr_rounds_action_kind {
    TR_ROUNDS_SEND,  /* send `order` to `stream` */
    TR_ROUNDS_CLOSE, /* end `stream` with `err`; it is no longer part of the rounds */
};

struct tr_rounds_action {
    enum tr_rounds_action_kind kind;
    struct tr_rounds_stream *stream; /* borrowed */
    struct tr_order *order;          /* one reference, now the caller's; only for SEND */
    struct tr_err err;               /* only for CLOSE */
};

struct tr_rounds; /* opaque: one namespace */

/* `name` is the namespace; copied. */
struct tr_rounds *tr_rounds_new(const struct tr_rounds_conf *conf, struct tr_slice name);
/* There must be no stream left. */
void tr_rounds_free(struct tr_rounds **rounds);

/*
 * Events. After each one the caller takes all actions with tr_rounds_next_action() and carries them out, in order,
 * before it gives another event.
 */

/* A new, admitted stream with its first report, whose content is taken. Errors: TR_LIMIT. */
enum tr_code tr_rounds_join(struct tr_rounds *rounds, struct tr_rounds_stream *stream,
                            struct tr_host *first, uint64_t now_ms, struct tr_err *err) TR_MUST_USE;
/* A later, authorised message of a stream: report or acknowledgement; its content is taken. */
void tr_rounds_message(struct tr_rounds *rounds, struct tr_rounds_stream *stream,
                       struct tr_host *message, uint64_t now_ms);
/* The stream ended. Harmless when it is not part of any rounds (closed by an action, or never joined). */
void tr_rounds_leave(struct tr_rounds_stream *stream, uint64_t now_ms);
/* The time reached tr_rounds_due_ms(). */
void tr_rounds_tick(struct tr_rounds *rounds, uint64_t now_ms);

/* Time of the next tick, or UINT64_MAX for none. */
uint64_t tr_rounds_due_ms(const struct tr_rounds *rounds);

/* Take the next action; false when there is none. */
bool tr_rounds_next_action(struct tr_rounds *rounds, struct tr_rounds_action *out_action);

/* What is so now. */
enum tr_rounds_phase tr_rounds_phase(const struct tr_rounds *rounds);
uint64_t tr_rounds_version(const struct tr_rounds *rounds);
struct tr_slice tr_rounds_name(const struct tr_rounds *rounds);
/* All streams, waiting ones included: 0 means that the namespace may be freed. */
size_t tr_rounds_streams_len(const struct tr_rounds *rounds);
/* Streams that are part of the rounds, and those among them that had types in their first report. */
size_t tr_rounds_joined_len(const struct tr_rounds *rounds);
size_t tr_rounds_joined_with_types_len(const struct tr_rounds *rounds);
/*
 * Stored hosts sorted by name, at most `max`; returns how many there are.
 * Owns: the hosts are borrowed until the next event.
 */
size_t tr_rounds_hosts(const struct tr_rounds *rounds, const struct tr_host **out_hosts,
                       size_t max);

#endif
