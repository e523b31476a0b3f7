/*
 * An API over an engine whose placement, app and peers do what the test says (tests/unit/actor/engine_test.h). The engine
 * hosts "cat"; its state is in memory.
 */
#ifndef TESTS_UNIT_API_API_TEST_H
#define TESTS_UNIT_API_API_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "runtime/api/api_int.h"
#include "tests/lib/log_catch.h"
#include "tests/unit/actor/engine_test.h"

#define API_TEST_BODY_MAX 1000U

struct api_test {
    struct engine_test engine;
    struct log_catch log;
    struct tr_configuration configuration;
    struct tr_metrics metrics;
    struct tr_store *store;
    struct tr_api *api;
    struct tr_api_component components[3];
    size_t components_len;
    const char *unready; /* "" : all is ready */
    bool is_outbound_ready;
    bool is_placement_connected;
    unsigned shutdowns;
    bool is_shutdown_forced;
};

/* What the tests differ in. */
struct api_test_conf {
    struct tr_loop *loop;     /* borrowed; NULL: a fake one of its own */
    bool is_disabled;         /* no placement */
    bool is_bare;             /* nothing is registered */
    bool has_no_store;        /* for actors */
    struct tr_api_conf api;   /* loop, sink, engine, metrics, configuration, questions are filled in */
};

void api_test_init(struct api_test *t, const struct api_test_conf *conf); /* NULL: defaults */
void api_test_fini(struct api_test *t);
/* The engine of the API stops; calls that the app has are canceled. */
void api_test_stop(struct api_test *t);

/* Host a type. */
void api_test_register(struct api_test *t, const struct tr_actor_type_conf *type);
/* Make actor "cat"/`id` active. */
void api_test_activate(struct api_test *t, const char *id);

#endif
