/*
 * Looks, by a timer: may we own the lock; then, is the service there.
 *
 * As owner: wait until the ports of the last owner are free, or choose new ones if nobody can be
 * using them and waiting was in vain, write them down, start the service. As follower: read where
 * it is.
 */
#include "runtime/tool/place.h"

#include <inttypes.h>
#include <unistd.h>

static void fail(struct tr_place *place, const struct tr_err *err)
{
    tr_place_stop(place);
    place->on_failed(place->ctx, err);
}

static void look_again(struct tr_place *place)
{
    const bool is_calm = place->is_ready && !place->meet.is_owner;
    tr_timer_set(&place->tick,
                 tr_loop_now_ms(place->loop) + (is_calm ? TR_PLACE_LATER_MS : TR_PLACE_SOON_MS));
}

/* --- ready ------------------------------------------------------------------------------------ */

static void on_healthy(void *ctx, struct tr_slice body)
{
    struct tr_place *place = ctx;
    (void)body;
    tr_probe_free(&place->probe);
    if (place->is_ready) {
        return;
    }
    place->is_ready = true;
    if (!place->meet.is_owner) {
        tr_dev_say(place->out, "sharing the placement service of process %" PRIu32 " on port %u",
                   place->at.pid, place->at.port);
    }
    place->on_ready(place->ctx);
}

static void ask_health(struct tr_place *place)
{
    tr_probe_free(&place->probe);
    if (!place->is_ready) {
        place->probe =
            tr_probe_new(place->loop, place->at.health, "/healthz", 200, on_healthy, place);
    }
}

/* --- owner ------------------------------------------------------------------------------------ */

static enum tr_code start_service(struct tr_place *place, struct tr_err *err)
{
    struct tr_words argv = { 0 };
    place->at.pid = (uint32_t)getpid();
    enum tr_code rc = tr_meet_write(&place->meet, &place->at, err);
    if (rc == TR_OK) {
        tr_launch_placement(place->launch, place->at.port, place->at.health, &argv);
        rc = tr_child_start(place->child, place->launch->self, tr_words_list(&argv), NULL, err);
    }
    tr_words_fini(&argv);
    return rc;
}

static enum tr_code choose_ports(struct tr_place *place, struct tr_err *err)
{
    const enum tr_code rc = tr_ports_choose(place->ports, &place->at.port, err);
    place->has_at = rc == TR_OK;
    return rc == TR_OK ? tr_ports_choose(place->ports, &place->at.health, err) : rc;
}

static void run_service(struct tr_place *place)
{
    struct tr_err err;
    if (place->has_at && !(tr_port_is_free(place->loop, place->at.port) &&
                           tr_port_is_free(place->loop, place->at.health))) {
        if (tr_loop_now_ms(place->loop) < place->give_up_ms) {
            look_again(place);
            return;
        }
        if (place->is_ready) { /* our sidecar, and others, know the old port only */
            tr_err_set(&err, TR_EXISTS,
                       "the port of the placement service, %u or %u, was taken by another program",
                       place->at.port, place->at.health);
            fail(place, &err);
            return;
        }
        place->has_at = false;
    }
    if ((!place->has_at && choose_ports(place, &err) != TR_OK) ||
        start_service(place, &err) != TR_OK) {
        fail(place, &err);
        return;
    }
    ask_health(place);
}

static void become_owner(struct tr_place *place)
{
    const uint64_t wait_ms = place->is_ready ? TR_PLACE_PORTS_MS : TR_PLACE_FRESH_MS;
    place->give_up_ms = tr_loop_now_ms(place->loop) + wait_ms;
    if (place->is_ready) {
        tr_dev_say(place->out, "taking over the placement service of process %" PRIu32,
                   place->at.pid);
    } else {
        tr_probe_free(&place->probe);
        place->has_at = tr_meet_read(&place->meet, &place->at);
    }
    run_service(place);
}

/* --- follower --------------------------------------------------------------------------------- */

static void follow(struct tr_place *place)
{
    struct tr_meet_place said;
    struct tr_err err;
    const bool is_said = tr_meet_read(&place->meet, &said);
    const bool is_same =
        is_said && place->has_at && said.port == place->at.port && said.health == place->at.health;
    if (place->is_ready && is_said && !is_same) {
        tr_err_set(&err, TR_UNAVAILABLE,
                   "process %" PRIu32 " moved the placement service to another port: start again",
                   said.pid);
        fail(place, &err);
        return;
    }
    if (!place->is_ready && tr_loop_now_ms(place->loop) >= place->give_up_ms) {
        tr_err_set(&err, TR_DEADLINE,
                   "the placement service of process %" PRIu32 " (see '%s') does not answer",
                   place->at.pid, tr_buf_cstr(&place->meet.path));
        fail(place, &err);
        return;
    }
    if (is_said) {
        place->has_at = true;
        place->at = said;
    }
    if (is_said && !is_same) {
        ask_health(place);
    }
    look_again(place);
}

static void on_tick(struct tr_timer *timer)
{
    struct tr_place *place = TR_CONTAINER_OF(timer, struct tr_place, tick);
    if (place->meet.is_owner) {
        run_service(place);
    } else if (tr_meet_own(&place->meet)) {
        become_owner(place);
    } else {
        follow(place);
    }
}

/* --- life ------------------------------------------------------------------------------------- */

void tr_place_init(struct tr_place *place, struct tr_loop *loop)
{
    *place = (struct tr_place){ .loop = loop, .meet = { .fd = -1 } };
    tr_timer_init(&place->tick, loop, on_tick);
}

enum tr_code tr_place_start(struct tr_place *place, const char *folder, struct tr_err *err)
{
    const enum tr_code rc = tr_meet_open(&place->meet, folder, err);
    if (rc != TR_OK) {
        return rc;
    }
    const uint64_t now_ms = tr_loop_now_ms(place->loop);
    place->give_up_ms = now_ms + TR_PLACE_READY_MS;
    tr_timer_set(&place->tick, now_ms);
    return TR_OK;
}

void tr_place_stop(struct tr_place *place)
{
    tr_timer_stop(&place->tick);
    tr_probe_free(&place->probe);
}

void tr_place_fini(struct tr_place *place)
{
    tr_place_stop(place);
    tr_meet_close(&place->meet);
}
