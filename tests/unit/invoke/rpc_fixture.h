/* A server and a channel to it in one process, over the loopback interface. */
#ifndef TR_TESTS_RPC_FIXTURE_H
#define TR_TESTS_RPC_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "invoke/rpc.h"
#include "invoke/rpc_client.h"
#include "invoke/rpc_server.h"
#include "runtime/base/loop.h"

#define FIXTURE_DEADLINE_MS 20000 /* of a test that hangs */

struct fixture {
    struct tr_loop *loop;
    struct tr_rpc *rpc;
    struct tr_rpc_server *server;
    struct tr_rpc_channel *channel;
    char target[32]; /* of the server */
};

/* Which way the queue is driven in the tests that follow. */
extern bool fixture_use_thread;

/* Loop, gRPC, and a server that is bound but not started; conf->addresses is filled in. */
void fixture_init(struct fixture *f, struct tr_rpc_server_conf *conf);
/* Start the server and make the channel; conf->target is filled in. */
void fixture_start(struct fixture *f, struct tr_rpc_channel_conf *conf);
/* Both with defaults. */
void fixture_serve(struct fixture *f, const struct tr_rpc_method *methods, size_t methods_len);
/* Close what is open, in order, and check that nothing is left. */
void fixture_fini(struct fixture *f);

void fixture_close_channel(struct fixture *f);
void fixture_close_server(struct fixture *f);

/* Run the loop until `*flag`, or fail the test. */
void fixture_wait(struct fixture *f, const bool *flag);
/* Run the loop until `*count` is at least `least`. */
void fixture_wait_count(struct fixture *f, const unsigned *count, unsigned least);
/* Run the loop until `fn(ctx)`. */
void fixture_wait_for(struct fixture *f, bool (*fn)(void *ctx), void *ctx);

/* A unary call that notes its end. */
struct unary {
    struct tr_rpc_unary op;
    bool is_done;
};
void unary_start(struct fixture *f, struct unary *u, const char *path, struct tr_slice request);
/* Start it and run the loop until it is done. */
void unary_call(struct fixture *f, struct unary *u, const char *path, struct tr_slice request);
void on_unary(struct tr_rpc_unary *op);

#define assert_text(slice_, text_) assert_slice((slice_), (text_), __FILE__, __LINE__)
void assert_slice(struct tr_slice slice, const char *text, const char *file, int line);

#endif
