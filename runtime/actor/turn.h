/*
 * Who runs next on one actor (pure). A turn is one callback into the app; turns of one actor run one at a time, first
 * come, first served, whatever their kind and origin.
 *
 * Reentrancy: turns with the same chain id share a flight. A turn joins the flight of its chain, running or waiting, as
 * long as the flight has fewer than depth_max turns; otherwise it is refused and nothing changes. Turns without an id
 * always make a flight of their own. When the last turn of the running flight leaves, the next flight starts with all
 * its turns.
 *
 *   enter --(nothing runs, or joins the running flight)--> running --leave--> gone
 *     |                                                       ^                 ^
 *     +--(something runs)--> waiting --(flight's turn)--------+                 |
 *                               +----------- leave (canceled) -----------------+
 *
 * Everything is intrusive: no allocation, no clock. The flight's facts live in its first turn and move to the next one
 * when that leaves.
 *
 * Source: Dapr pkg/actors/targets/app/lock/lock.go (1.18). Where it corrupts its queue on cancellation or on a refused
 * depth, we follow actors 6.2 and 6.3.
 */
#ifndef TR_ACTOR_TURN_H
#define TR_ACTOR_TURN_H

#include <stdbool.h>
#include <stdint.h>

#include "runtime/base/list.h"
#include "runtime/base/slice.h"

/* Turns that wait for one actor; the newcomer is refused. */
#define TR_TURN_WAITING_MAX 10000
/* Turns of one chain at a time when the configuration says nothing. Source: Dapr pkg/actors/api/config.go. */
#define TR_TURN_DEPTH_DEFAULT 32

enum tr_turn_verdict {
    TR_TURN_RUN,      /* entered, may run now */
    TR_TURN_WAIT,     /* entered, will be handed out by a later tr_turn_leave() or tr_turn_resume() */
    TR_TURN_TOO_DEEP, /* refused: the chain has depth_max turns here */
    TR_TURN_FULL,     /* refused: TR_TURN_WAITING_MAX turns wait */
};

struct tr_turn {
    struct tr_slice chain_id;  /* borrowed until the turn has left; empty: none */
    bool is_running;           /* may run, or runs */
    bool is_first;             /* private: stands for its flight in the queue */
    uint32_t depth;            /* private, first turn: turns in the flight */
    struct tr_turn *first;     /* private: first turn of the flight */
    struct tr_link link;       /* private: first turn: in the queue; others: in the list of the first one */
    struct tr_link others;     /* private, first turn: the other turns of the flight */
    struct tr_link start_link; /* in the list of turns that may run now */
};

/* One per actor. */
struct tr_turns {
    struct tr_link flights; /* private, of tr_turn.link; the first one runs, unless held */
    uint32_t waiting_len;   /* turns that wait */
    uint32_t running_len;   /* turns that run */
    uint32_t depth_max;     /* 0: reentrancy is off, chain ids are ignored */
    bool is_held;
};

void tr_turns_init(struct tr_turns *turns, uint32_t depth_max);

static inline bool tr_turns_empty(const struct tr_turns *turns)
{
    return tr_list_empty(&turns->flights);
}

/* Enter `turn`; its chain id must stay where it is until it has left. Cost: O(1); with an id O(flights). */
enum tr_turn_verdict tr_turn_enter(struct tr_turns *turns, struct tr_turn *turn, struct tr_slice chain_id);

/*
 * Take `turn` out: it ended, or was canceled while it waited. Turns that may run because of it are appended to `start`
 * (by start_link), already marked as running; the caller takes each one out of that list before it runs it.
 */
void tr_turn_leave(struct tr_turns *turns, struct tr_turn *turn, struct tr_link *start);

/* Let no further flight start until tr_turns_resume(). What runs goes on, and its chain may still join it. */
void tr_turns_hold(struct tr_turns *turns);
/* The first flight may run: its turns are appended to `start`. */
void tr_turns_resume(struct tr_turns *turns, struct tr_link *start);

/* First turn of the first flight, or NULL. */
struct tr_turn *tr_turns_first(const struct tr_turns *turns);

#endif
