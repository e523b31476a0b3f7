/* The queue of turns of one actor. See turn.h; a flight is the set of turns that share the lock. */
#include "runtime/actor/turn.h"

void tr_turns_init(struct tr_turns *turns, uint32_t depth_max)
{
    tr_link_init(&turns->flights);
    turns->waiting_len = 0;
    turns->running_len = 0;
    turns->depth_max = depth_max;
    turns->is_held = false;
}

static struct tr_turn *turn_of_link(struct tr_link *link)
{
    return TR_CONTAINER_OF(link, struct tr_turn, link);
}

/* First turn of the flight with this chain id, or NULL. */
static struct tr_turn *find_chain(const struct tr_turns *turns, struct tr_slice chain_id)
{
    for (struct tr_link *it = turns->flights.next; it != &turns->flights; it = it->next) {
        struct tr_turn *first = turn_of_link(it);
        if (tr_slice_eq(first->chain_id, chain_id)) {
            return first;
        }
    }
    return NULL;
}

static void turn_init(struct tr_turn *turn, struct tr_slice chain_id)
{
    turn->chain_id = chain_id;
    turn->is_running = false;
    turn->is_first = false;
    turn->depth = 0;
    turn->first = turn;
    tr_link_init(&turn->link);
    tr_link_init(&turn->others);
    tr_link_init(&turn->start_link);
}

static enum tr_turn_verdict join(struct tr_turns *turns, struct tr_turn *first,
                                 struct tr_turn *turn)
{
    tr_assert(first->is_first);
    first->depth++;
    turn->first = first;
    turn->is_running = first->is_running;
    tr_list_add_tail(&first->others, &turn->link);
    if (turn->is_running) {
        turns->running_len++;
        return TR_TURN_RUN;
    }
    turns->waiting_len++;
    return TR_TURN_WAIT;
}

static enum tr_turn_verdict append(struct tr_turns *turns, struct tr_turn *turn)
{
    const bool may_run = tr_turns_empty(turns) && !turns->is_held;
    turn->is_first = true;
    turn->depth = 1;
    turn->is_running = may_run;
    tr_list_add_tail(&turns->flights, &turn->link);
    if (may_run) {
        turns->running_len++;
        return TR_TURN_RUN;
    }
    turns->waiting_len++;
    return TR_TURN_WAIT;
}

enum tr_turn_verdict tr_turn_enter(struct tr_turns *turns, struct tr_turn *turn,
                                   struct tr_slice chain_id)
{
    const bool has_chain = turns->depth_max > 0 && chain_id.len > 0;
    struct tr_turn *first = has_chain ? find_chain(turns, chain_id) : NULL;
    if (first != NULL && first->depth >= turns->depth_max) {
        return TR_TURN_TOO_DEEP;
    }
    const bool joins_running = first != NULL && first->is_running;
    if (!joins_running && turns->waiting_len >= TR_TURN_WAITING_MAX) {
        return TR_TURN_FULL;
    }
    turn_init(turn, has_chain ? chain_id : tr_slice(NULL, 0));
    return first != NULL ? join(turns, first, turn) : append(turns, turn);
}

/* Put the second turn of the flight in the place of the first, which leaves. */
static void replace_first(struct tr_turn *old)
{
    struct tr_turn *heir = turn_of_link(tr_list_pop(&old->others));
    heir->is_first = true;
    heir->first = heir;
    heir->depth = old->depth;
    tr_list_splice(&heir->others, &old->others);
    for (struct tr_link *it = heir->others.next; it != &heir->others; it = it->next) {
        turn_of_link(it)->first = heir;
    }
    tr_list_add_tail(&old->link, &heir->link); /* just before the old one */
    tr_link_remove(&old->link);
}

static void start_turn(struct tr_turns *turns, struct tr_turn *turn, struct tr_link *start)
{
    tr_assert(!turn->is_running);
    tr_assert(turns->waiting_len > 0);
    turn->is_running = true;
    turns->waiting_len--;
    turns->running_len++;
    tr_list_add_tail(start, &turn->start_link);
}

static void start_first_flight(struct tr_turns *turns, struct tr_link *start)
{
    struct tr_link *link = tr_list_first(&turns->flights);
    if (link == NULL || turns->is_held || turn_of_link(link)->is_running) {
        return;
    }
    struct tr_turn *first = turn_of_link(link);
    start_turn(turns, first, start);
    for (struct tr_link *it = first->others.next; it != &first->others; it = it->next) {
        start_turn(turns, turn_of_link(it), start);
    }
    tr_assert(turns->running_len == first->depth);
}

void tr_turn_leave(struct tr_turns *turns, struct tr_turn *turn, struct tr_link *start)
{
    tr_assert(tr_link_linked(&turn->link));
    if (turn->is_running) {
        tr_assert(turns->running_len > 0);
        turns->running_len--;
    } else {
        tr_assert(turns->waiting_len > 0);
        turns->waiting_len--;
    }
    struct tr_turn *first = turn->first;
    tr_assert(first->is_first);
    tr_assert(first->depth > 0);
    first->depth--;
    if (turn != first) {
        tr_link_remove(&turn->link);
    } else if (turn->depth > 0) {
        replace_first(turn);
    } else {
        tr_link_remove(&turn->link);
    }
    tr_link_remove(&turn->start_link);
    turn->is_first = false;
    turn->first = NULL;
    start_first_flight(turns, start);
}

void tr_turns_hold(struct tr_turns *turns)
{
    turns->is_held = true;
}

void tr_turns_resume(struct tr_turns *turns, struct tr_link *start)
{
    tr_assert(turns->is_held);
    turns->is_held = false;
    start_first_flight(turns, start);
}

struct tr_turn *tr_turns_first(const struct tr_turns *turns)
{
    struct tr_link *link = tr_list_first(&turns->flights);
    return link == NULL ? NULL : turn_of_link(link);
}
