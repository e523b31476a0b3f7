/* Inside of the placement service, for server.c and server_state.c. */
#ifndef TR_PLACEMENT_SERVER_INT_H
#define TR_PLACEMENT_SERVER_INT_H

#include "placement/rounds.h"
#include "placement/server.h"
#include "placement/session.h"
#include "runtime/base/loop.h"
#include "runtime/base/map.h"

/* One namespace: lives from its first stream to its last. */
struct tr_placement_ns {
    struct tr_placement_server *server; /* borrowed */
    struct tr_rounds *rounds;           /* owned */
    struct tr_timer timer;
    size_t runtimes; /* gauges as last told */
    size_t actor_runtimes;
    struct tr_link resume; /* held sessions whose stream was just taken in */
};

struct tr_placement_server {
    struct tr_placement_server_conf conf;
    struct tr_rounds_conf rounds_conf;
    struct tr_buf id; /* owned */
    bool is_leader;
    bool is_closing;
    struct tr_map namespaces; /* name -> struct tr_placement_ns, owned */
    struct tr_link sessions;  /* all, until their call is gone */
    size_t sessions_len;
    void (*closed_cb)(void *ctx);
    void *closed_ctx;
    struct tr_defer closed;
};

#endif
