/*
 * The placement service that a `troupe dev` uses: its own, or another's until that ends. See dev.h.
 *
 *   FOLLOWING --lock--> OWNING --ports free--> RUNNING
 *
 * Each of them may find the service ready, and that is told once: the ports stand from then on.
 */
#ifndef TR_TOOL_PLACE_H
#define TR_TOOL_PLACE_H

#include "runtime/tool/child.h"
#include "runtime/tool/launch.h"
#include "runtime/tool/meet.h"
#include "runtime/tool/port.h"
#include "runtime/tool/probe.h"

#define TR_PLACE_SOON_MS  50U    /* between looks until it is ready */
#define TR_PLACE_LATER_MS 500U   /* between looks at another's, and tries of the lock */
#define TR_PLACE_READY_MS 20000U /* limit until it is ready */
#define TR_PLACE_PORTS_MS 10000U /* who took over waits so long for the ports of the last owner */
#define TR_PLACE_FRESH_MS 4000U  /* who just started does not wait as long, and then takes others  \
                                  */

struct tr_place {
    struct tr_loop *loop; /* borrowed, as all inputs */
    struct tr_ports *ports;
    struct tr_dev_out *out;
    const struct tr_launch *launch;
    struct tr_child
        *child; /* of the service, when it is ours; whoever initialised it hears of its end */
    void (*on_ready)(void *ctx);                            /* comes once */
    void (*on_failed)(void *ctx, const struct tr_err *err); /* at most once, not after the stop */
    void *ctx;
    struct tr_meet_place at; /* readable when it is ready */
    bool is_ready;           /* readable */
    struct tr_meet meet;     /* private, as all below */
    bool has_at;             /* `at` is what the file said or what we wrote */
    uint64_t give_up_ms;     /* what is waited for now: readiness, or free ports */
    struct tr_probe *probe;  /* owned */
    struct tr_timer tick;
};

/* Before all else; then fill the inputs. */
void tr_place_init(struct tr_place *place, struct tr_loop *loop);
/*
 * From now on callbacks may come, on later turns.
 * Errors: those of tr_meet_open().
 */
TR_MUST_USE enum tr_code tr_place_start(struct tr_place *place, const char *folder,
                                        struct tr_err *err);
/* No callbacks after this. The child is its owner's to stop. */
void tr_place_stop(struct tr_place *place);
/* Give up the lock, which lets others take over: when the child has ended. */
void tr_place_fini(struct tr_place *place);

#endif
