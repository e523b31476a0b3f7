/* The course of `troupe dev` from its start to its end: see dev.h for the drawing. */
#ifndef TR_TOOL_COURSE_H
#define TR_TOOL_COURSE_H

#include "runtime/tool/child.h"
#include "runtime/tool/launch.h"
#include "runtime/tool/out.h"
#include "runtime/tool/place.h"
#include "runtime/tool/port.h"
#include "runtime/tool/probe.h"

#define TR_COURSE_START_MS 30000U /* limit for placement, and for the sidecar without its app */
#define TR_COURSE_HINT_MS  5000U  /* then we say what the app is waited for */
#define TR_COURSE_STOP_MS  10000U /* what each part has to stop, before SIGKILL */

enum tr_part { TR_PART_PLACEMENT, TR_PART_SIDECAR, TR_PART_APP, TR_PARTS_LEN };

struct tr_course {
    struct tr_loop *loop; /* borrowed, as all inputs */
    struct tr_dev_out *out;
    const struct tr_launch *launch;
    struct tr_ports *ports;
    const char *meet_folder;
    const char *state;     /* folder of our store, or NULL */
    bool has_token;        /* the API asks for a token */
    char *const *command;  /* of the app, or NULL: the user starts it */
    struct tr_place place; /* private, as all below */
    struct tr_child parts[TR_PARTS_LEN];
    struct tr_probe *probe; /* owned; what the stage waits for */
    struct tr_timer limit;  /* of the stage */
    struct tr_check check;
    unsigned stage;
    bool app_was_started;
    bool has_failed;
    int signum; /* that told us to stop, or 0 */
};

/*
 * Begin; tr_loop_stop() is called at the end, after the stop. Fill the inputs first.
 * Errors: those of tr_meet_open(); then there is nothing to run, but tr_course_fini() is due.
 */
TR_MUST_USE enum tr_code tr_course_start(struct tr_course *course, struct tr_err *err);
/* A signal: the first begins the stop, the second kills what is left. */
void tr_course_signal(struct tr_course *course, int signum);
/* After the end: the exit status, as dev.h says. */
int tr_course_exit_status(const struct tr_course *course);
void tr_course_fini(struct tr_course *course);

#endif
