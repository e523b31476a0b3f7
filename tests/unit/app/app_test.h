/*
 * An app in the same process: an HTTP server, over HTTP/1.1 and HTTP/2, that keeps every request until the test answers
 * it; and a channel to it. A test that needs bytes no HTTP server sends puts a raw listener there instead.
 */
#ifndef TR_TESTS_APP_TEST_H
#define TR_TESTS_APP_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "runtime/app/channel.h"
#include "runtime/base/loop.h"
#include "runtime/base/net.h"
#include "runtime/http/server.h"
#include "tests/lib/log_catch.h"

#define APP_TEST_WAIT_MS 20000U /* of a test that hangs */
#define APP_TEST_SEEN_MAX 64U

/* One request that the app got whole. */
struct app_seen {
    struct tr_http_exchange *ex; /* NULL once it is over */
    bool is_aborted;             /* the channel has gone away from it */
    struct app_test *test;
};

struct app_test {
    struct tr_loop *loop;
    struct log_catch log;
    struct tr_http_server *server;
    uint16_t port;
    struct app_seen seen[APP_TEST_SEEN_MAX]; /* in order of arrival */
    size_t seen_len;
    struct tr_app_channel *channel;
    const struct tr_app_actors *actors;
    /* Without a server: what one connection got, and the way back. */
    struct tr_listener *listener;
    struct tr_stream *stream;
    struct tr_buf raw;
    bool is_raw_over;
};

/* The app listens, and a healthy channel leads to it. */
void app_test_init(struct app_test *t, enum tr_http_protocol protocol);
/* The same with other settings; loop, host, port and protocol are filled in. */
void app_test_init_conf(struct app_test *t, enum tr_http_protocol protocol, struct tr_app_channel_conf conf);
/* The same with a raw listener in place of the app's server. */
void app_test_init_raw(struct app_test *t, struct tr_app_channel_conf conf);
/* Only the loop and the log. */
void app_test_init_bare(struct app_test *t);
void app_test_fini(struct app_test *t);
void app_test_serve(struct app_test *t, uint16_t port); /* 0: any */
void app_test_stop_serving(struct app_test *t);
void app_test_close_channel(struct app_test *t);

/* Run the loop until `done(ctx)`, or fail. */
void app_test_wait(struct app_test *t, bool (*done)(void *ctx), void *ctx);
/* Until this many requests have come, ever. */
void app_test_wait_seen(struct app_test *t, size_t len);
/* Until the channel went away from request `i`. */
void app_test_wait_aborted(struct app_test *t, size_t i);
/* Run what is due, some turns long, for what should not happen. */
void app_test_settle(struct app_test *t);

/* Answer request `i`. */
void app_test_answer(struct app_test *t, size_t i, int status, const char *body);
void app_test_answer_with(struct app_test *t, size_t i, int status, const char *name, const char *value,
                          const char *body);
/* "<METHOD> <path>[?<query>] <body>" of request `i`; static storage. */
const char *app_test_request(struct app_test *t, size_t i);
/* Value of its header, or NULL; static storage. */
const char *app_test_header(struct app_test *t, size_t i, const char *name);

/* Raw: wait until the connection got bytes that end so; send bytes; close the connection. */
void app_test_raw_wait(struct app_test *t, const char *end);
void app_test_raw_send(struct app_test *t, const char *bytes);
void app_test_raw_close(struct app_test *t);
void app_test_raw_wait_over(struct app_test *t);

/* A callback with its outcome. */
struct test_call {
    struct tr_app_call call;
    unsigned done;
};
/* A method call of actor "cat"/"1", not started. */
void test_call_init(struct test_call *c, const char *method);
void test_call_start(struct app_test *t, struct test_call *c);
void test_call_wait(struct app_test *t, struct test_call *c);
void test_call_cancel(struct app_test *t, struct test_call *c);
void test_call_fini(struct test_call *c);

#endif
