/*
 * Each stage of the start waits for one thing, whose arrival begins the next. Whatever ends the
 * run, good or bad, comes to begin_stop(); from there on each end of a process lets proceed() see
 * what is to be stopped next. Stages that take too long are ended by one timer.
 */
#include "runtime/tool/course.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/sm.h"
#include "runtime/tool/announce.h"

#define STATUS_FAILED 1
#define STATUS_SIGNAL 128

enum stage {
    MEETING,
    SIDECAR,
    APP,
    READY,
    STOP_SIDECAR,
    STOP_APP,
    STOP_PLACEMENT,
    DONE,
    STAGES_LEN
};

#define TO_STOP TR_SM_TO(STOP_SIDECAR)
static const struct tr_sm_state stages[STAGES_LEN] = {
    [MEETING] = { "meeting", TR_SM_TO(SIDECAR) | TO_STOP },
    [SIDECAR] = { "sidecar", TR_SM_TO(APP) | TO_STOP },
    [APP] = { "app", TR_SM_TO(READY) | TO_STOP },
    [READY] = { "ready", TO_STOP },
    [STOP_SIDECAR] = { "stop-sidecar", TR_SM_TO(STOP_APP) },
    [STOP_APP] = { "stop-app", TR_SM_TO(STOP_PLACEMENT) },
    [STOP_PLACEMENT] = { "stop-placement", TR_SM_TO(DONE) },
    [DONE] = { "done", 0 },
};

static const char *const part_names[TR_PARTS_LEN] = { "placement", "sidecar", "app" };

/* What a stage of the stop stops. */
static struct tr_child *stopping(struct tr_course *course)
{
    tr_assert(course->stage >= STOP_SIDECAR);
    tr_assert(course->stage < DONE);
    static const enum tr_part parts[] = { TR_PART_SIDECAR, TR_PART_APP, TR_PART_PLACEMENT };
    return &course->parts[parts[course->stage - STOP_SIDECAR]];
}

static bool is_stopping(const struct tr_course *course)
{
    return course->stage >= STOP_SIDECAR;
}

/* Enter a stage, with nothing waited for yet and a limit. */
static void move(struct tr_course *course, enum stage to, uint64_t limit_ms)
{
    tr_sm_move(stages, STAGES_LEN, &course->stage, to);
    tr_probe_free(&course->probe);
    tr_timer_set(&course->limit, tr_loop_now_ms(course->loop) + limit_ms);
}

/* --- stop ------------------------------------------------------------------------------------- */

/* The app gets the signal that we got: it may mean different things to it. */
static int signal_for(const struct tr_course *course)
{
    return course->stage == STOP_APP && course->signum != 0 ? course->signum : SIGTERM;
}

static void proceed(struct tr_course *course)
{
    while (is_stopping(course) && course->stage != DONE && !stopping(course)->is_running) {
        move(course, course->stage + 1, TR_COURSE_STOP_MS);
        if (course->stage != DONE) {
            tr_child_kill(stopping(course), signal_for(course));
        }
    }
    if (course->stage == DONE) {
        tr_timer_stop(&course->limit);
        tr_loop_stop(course->loop);
    }
}

static void begin_stop(struct tr_course *course)
{
    tr_assert(!is_stopping(course));
    tr_place_stop(&course->place);
    move(course, STOP_SIDECAR, TR_COURSE_STOP_MS);
    tr_child_kill(stopping(course), SIGTERM);
    proceed(course);
}

static void fail(struct tr_course *course, const char *why)
{
    tr_dev_complain(course->out, "%s; stopping", why);
    course->has_failed = true;
    begin_stop(course);
}

void tr_course_signal(struct tr_course *course, int signum)
{
    if (!is_stopping(course)) {
        tr_dev_say(course->out, "signal %d (%s): stopping", signum, strsignal(signum));
        course->signum = signum;
        begin_stop(course);
        return;
    }
    tr_dev_complain(course->out, "signal %d (%s) again: killing what is left", signum,
                    strsignal(signum));
    for (size_t i = 0; i < TR_PARTS_LEN; i++) {
        tr_child_kill(&course->parts[i], SIGKILL);
    }
}

/* The app may end the run, and have its sidecar end it (POST /v1.0/shutdown). Nothing else ends by
 * itself. */
static void on_part_end(struct tr_child *child)
{
    struct tr_course *course = child->ctx;
    if (is_stopping(course)) {
        proceed(course);
        return;
    }
    struct tr_buf text = { 0 };
    tr_buf_addf(&text, "%s ", child->name);
    tr_child_describe(child, &text);
    const bool is_by_api =
        child == &course->parts[TR_PART_SIDECAR] && tr_child_exit_status(child) == 0;
    if (child == &course->parts[TR_PART_APP] || is_by_api) {
        tr_dev_say(course->out, "%s; stopping", tr_buf_cstr(&text));
        begin_stop(course);
    } else {
        fail(course, tr_buf_cstr(&text));
    }
    tr_buf_fini(&text);
}

static void on_limit(struct tr_timer *timer)
{
    struct tr_course *course = TR_CONTAINER_OF(timer, struct tr_course, limit);
    switch ((enum stage)course->stage) {
    case MEETING:
        fail(course, "the placement service did not get ready in time");
        return;
    case SIDECAR:
        fail(course, "the sidecar did not get ready in time");
        return;
    case APP:
        tr_dev_say(course->out, "waiting for the app to listen on port %u (its APP_PORT)",
                   course->launch->app_port);
        return;
    case STOP_SIDECAR:
    case STOP_APP:
    case STOP_PLACEMENT:
        tr_dev_complain(course->out, "%s does not end: killing it", stopping(course)->name);
        tr_child_kill(stopping(course), SIGKILL);
        return;
    case READY:
    case DONE:
    case STAGES_LEN:
        return;
    }
}

/* Nobody reads what we print: end, as a program does that SIGPIPE ends. */
static void on_check(struct tr_check *check)
{
    struct tr_course *course = TR_CONTAINER_OF(check, struct tr_course, check);
    if (course->out->is_broken && !is_stopping(course)) {
        course->signum = SIGTERM;
        begin_stop(course);
    }
}

/* --- start ------------------------------------------------------------------------------------ */

static void on_metadata(void *ctx, struct tr_slice body)
{
    struct tr_course *course = ctx;
    struct tr_buf text = { 0 };
    tr_announce(course->launch, course->state, course->has_token, body, &text);
    struct tr_slice rest = tr_buf_slice(&text);
    struct tr_slice line;
    while (rest.len > 0 && tr_slice_split(&rest, '\n', &line)) {
        tr_dev_say(course->out, "%.*s", TR_SLICE_ARG(line));
    }
    tr_buf_fini(&text);
    tr_probe_free(&course->probe);
}

static void on_app_ready(void *ctx, struct tr_slice body)
{
    struct tr_course *course = ctx;
    (void)body;
    move(course, READY, TR_COURSE_START_MS);
    tr_timer_stop(&course->limit);
    course->probe = tr_probe_new(course->loop, course->launch->http_port, "/v1.0/metadata",
                                 TR_PROBE_ANY, on_metadata, course);
}

static enum tr_code start_app(struct tr_course *course, struct tr_err *err)
{
    const struct tr_launch *launch = course->launch;
    if (course->command == NULL) {
        tr_dev_say(
            course->out,
            "start your app now: it listens on port %u, with DAPR_HTTP_PORT=%u DAPR_GRPC_PORT=%u",
            launch->app_port, launch->http_port, launch->grpc_port);
        return TR_OK;
    }
    struct tr_words env = { 0 };
    tr_launch_app_env(launch, getenv("PYTHONUNBUFFERED"), &env);
    const enum tr_code rc =
        tr_child_start(&course->parts[TR_PART_APP], launch->self,
                       (const char *const *)course->command, tr_words_list(&env), err);
    course->app_was_started = rc == TR_OK;
    tr_words_fini(&env);
    return rc;
}

static void on_sidecar_ready(void *ctx, struct tr_slice body)
{
    struct tr_course *course = ctx;
    struct tr_err err;
    (void)body;
    move(course, APP, TR_COURSE_HINT_MS);
    if (start_app(course, &err) != TR_OK) {
        fail(course, err.msg);
        return;
    }
    course->probe = tr_probe_new(course->loop, course->launch->http_port, "/v1.0/healthz", 204,
                                 on_app_ready, course);
}

/* The sidecar is ready for the app when it could call out; its own readiness includes the app. */
static void on_place_ready(void *ctx)
{
    struct tr_course *course = ctx;
    struct tr_words argv = { 0 };
    struct tr_words env = { 0 };
    struct tr_err err;
    move(course, SIDECAR, TR_COURSE_START_MS);
    tr_launch_sidecar(course->launch, course->place.at.port, &argv);
    tr_launch_sidecar_env(&env);
    if (tr_child_start(&course->parts[TR_PART_SIDECAR], course->launch->self, tr_words_list(&argv),
                       tr_words_list(&env), &err) == TR_OK) {
        course->probe = tr_probe_new(course->loop, course->launch->http_port,
                                     "/v1.0/healthz/outbound", 204, on_sidecar_ready, course);
    } else {
        fail(course, err.msg);
    }
    tr_words_fini(&argv);
    tr_words_fini(&env);
}

static void on_place_failed(void *ctx, const struct tr_err *err)
{
    fail(ctx, err->msg);
}

enum tr_code tr_course_start(struct tr_course *course, struct tr_err *err)
{
    course->stage = MEETING;
    tr_timer_init(&course->limit, course->loop, on_limit);
    for (size_t i = 0; i < TR_PARTS_LEN; i++) {
        tr_child_init(&course->parts[i], course->loop, course->out, part_names[i], on_part_end,
                      course);
    }
    course->check.cb = on_check;
    tr_loop_on_check(course->loop, &course->check);
    tr_place_init(&course->place, course->loop);
    course->place.ports = course->ports;
    course->place.out = course->out;
    course->place.launch = course->launch;
    course->place.child = &course->parts[TR_PART_PLACEMENT];
    course->place.on_ready = on_place_ready;
    course->place.on_failed = on_place_failed;
    course->place.ctx = course;
    tr_timer_set(&course->limit, tr_loop_now_ms(course->loop) + TR_COURSE_START_MS);
    return tr_place_start(&course->place, course->meet_folder, err);
}

/* --- end -------------------------------------------------------------------------------------- */

int tr_course_exit_status(const struct tr_course *course)
{
    tr_assert(course->stage == DONE);
    if (course->has_failed) {
        return STATUS_FAILED;
    }
    if (course->app_was_started) {
        return tr_child_exit_status(&course->parts[TR_PART_APP]);
    }
    return course->command == NULL ? 0 : STATUS_SIGNAL + course->signum;
}

void tr_course_fini(struct tr_course *course)
{
    for (size_t i = 0; i < TR_PARTS_LEN; i++) {
        tr_child_fini(&course->parts[i]);
    }
    tr_place_fini(&course->place);
    tr_probe_free(&course->probe);
    tr_timer_stop(&course->limit);
    tr_loop_off_check(course->loop, &course->check);
}
