/* An API of actors behind a gRPC server on the loopback interface, public and internal methods alike. */
#ifndef TESTS_UNIT_API_GRPC_WIRE_H
#define TESTS_UNIT_API_GRPC_WIRE_H

#include "proto/wire.h"
#include "tests/unit/api/api_test.h"
#include "tests/unit/invoke/rpc_fixture.h"

struct grpc_test {
    struct fixture rpc;
    struct api_test api;
};

void grpc_test_init(struct grpc_test *t, const struct api_test_conf *conf); /* NULL: defaults; the loop is filled in */
void grpc_test_fini(struct grpc_test *t);
/* The same as cmocka's set-up and tear-down, with defaults. */
int grpc_test_set_up(void **state);
int grpc_test_tear_down(void **state);

/* Start a call of this method with a message; metadata may be NULL. */
void grpc_start(struct grpc_test *t, struct unary *u, const char *path, const void *request,
                const struct tr_rpc_md *metadata);
/* Start it and wait for its end. */
void grpc_call(struct grpc_test *t, struct unary *u, const char *path, const void *request);
/* Wait for the end of a call: it succeeded, with an empty answer; or with the answer given; or it failed. */
void grpc_wait(struct grpc_test *t, struct unary *u);
void grpc_assert_empty(struct unary *u);
void *grpc_take(struct unary *u, const ProtobufCMessageDescriptor *type); /* tr_wire_free() it */
void grpc_assert_failed(struct unary *u, int status, const char *message);
/* Call, and expect so. */
void grpc_must_succeed(struct grpc_test *t, const char *path, const void *request);
void grpc_must_fail(struct grpc_test *t, const char *path, const void *request, int status, const char *message);

/* Until the app, or a peer, has so many calls open. */
void grpc_wait_app(struct grpc_test *t, size_t open);
void grpc_wait_remote(struct grpc_test *t, size_t open);
/* Until the API has so many calls open. */
void grpc_wait_open(struct grpc_test *t, size_t open);

#endif
