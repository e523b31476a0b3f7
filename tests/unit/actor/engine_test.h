/*
 * The engine with a placement, an app and other sidecars that do what the test says. Calls to the app and to other
 * sidecars stay open until the test answers them; a cancelled one ends at the next turn of the loop, unless the app is
 * stubborn.
 */
#ifndef TR_TESTS_ENGINE_TEST_H
#define TR_TESTS_ENGINE_TEST_H

#include "runtime/actor/actor_state.h"
#include "runtime/actor/engine.h"
#include "runtime/base/log.h"
#include "tests/lib/loop_fake.h"

#define OPEN_MAX 20000

struct fake_app {
    struct tr_app_actors actors;
    struct tr_loop *loop;
    struct tr_app_call *open[OPEN_MAX]; /* in order of their start */
    bool is_canceled[OPEN_MAX];
    size_t open_len;
    size_t started;          /* calls ever, deactivations apart */
    size_t deactivations;    /* ever */
    bool deactivates_at_once; /* answer deactivations without being asked */
    bool is_stubborn;        /* ignore cancellation */
    struct tr_defer later;
};

struct fake_remote {
    struct tr_loop *loop;
    struct tr_remote_call *open[64];
    bool is_canceled[64];
    size_t open_len;
    size_t started;
    struct tr_defer later;
};

/* What placement says: one answer for all actors of a type, and another one for ids that start with "far". */
struct fake_owner {
    struct tr_loop *loop;
    enum tr_owner answer;
    enum tr_owner far_answer;
    struct tr_slice address;
    struct tr_link waits; /* of tr_placement_wait.op.link */
    struct tr_link canceled;
    struct tr_defer later;
    uint64_t update_done; /* last token */
    uint64_t lost_done;
    char types[256]; /* as last reported, joined by commas */
    unsigned reports;
};

struct engine_test {
    struct tr_loop *loop;
    bool is_loop_borrowed;
    struct tr_log_sink sink;
    struct tr_log log;
    struct fake_app app;
    struct fake_remote remote;
    struct fake_owner owner;
    struct tr_actor_engine_conf conf;
    struct tr_actor_engine *engine;
    bool is_closed;
};

/* An engine that hosts type "cat" (idle after 60 s, draining for 2 s, not reentrant) and owns everything. */
void engine_test_init(struct engine_test *t);
/* The same before anything is registered. */
void engine_test_init_bare(struct engine_test *t);
/* The same on a loop that the test has and frees, or on a new one if that is NULL. */
void engine_test_init_bare_on(struct engine_test *t, struct tr_loop *loop, bool is_disabled);
/* Close the engine, answering deactivations, and free everything. */
void engine_test_fini(struct engine_test *t);

struct tr_actor_type_conf engine_test_type(const char *name);
void engine_test_register(struct engine_test *t, const struct tr_actor_type_conf *types, size_t types_len);

/* A call with its outcome. */
struct test_call {
    struct tr_actor_call call;
    unsigned done;
};
void test_call_init(struct test_call *c, const char *type, const char *id, const char *method);
void test_call_start(struct engine_test *t, struct test_call *c);
void test_call_fini(struct test_call *c);
/* Start a call to "cat"/id, settle. */
void test_call(struct engine_test *t, struct test_call *c, const char *id);
/* Texts of the failure, as the APIs give them; static storage. */
const char *test_call_http(const struct test_call *c);
const char *test_call_grpc(const struct test_call *c);

/* Open call number `i` of the app. */
struct tr_app_call *app_open(struct engine_test *t, size_t i);
/* Answer it and settle. For a status other than 200, `body` is also the failure text. */
void app_answer(struct engine_test *t, size_t i, int status, const char *body);
void app_fail(struct engine_test *t, size_t i, enum tr_code code, const char *text);
/* Is open call `i` for this actor and of this kind? */
bool app_open_is(struct engine_test *t, size_t i, enum tr_app_call_kind kind, const char *id);

void remote_answer(struct engine_test *t, size_t i, int grpc_status, const char *text);

/* All that waits may go on, with the answers as they are now. */
void owner_release(struct engine_test *t);

#endif
