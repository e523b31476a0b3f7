/* An API with state stores and nothing else: "store" in memory, with the keys of app "app". */
#ifndef TESTS_UNIT_API_STATE_TEST_H
#define TESTS_UNIT_API_STATE_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "runtime/api/api_int.h"

#define STATE_TEST_WAIT_MS  20000U /* of a test that hangs */
#define STATE_TEST_BODY_MAX 1000U

struct state_test {
    struct tr_configuration configuration;
    struct tr_metrics metrics;
    struct tr_loop *loop; /* borrowed */
    struct tr_api *api;
    struct tr_store *memory;
    struct tr_store *broken; /* its operations fail: "no disk" */
};

void state_test_init(struct state_test *t, struct tr_loop *loop);
/* The loop must still be there. */
void state_test_fini(struct state_test *t);
/* Add a store whose reads and writes fail with TR_IO, and which can do `features`. */
void state_test_add_broken(struct state_test *t, const char *name, unsigned features);

/* Close a store and wait for it. */
void state_test_close(struct state_test *t, struct tr_store *store); /* NULL is fine */
/* Run the loop until `*flag`. */
void state_test_wait(struct state_test *t, const bool *flag);

#endif
