/*
 * The placement service: admits the streams of sidecars, keeps the rounds of each namespace, and tells each sidecar what
 * its namespace agreed on.
 *
 *   rpc call --> session (one stream: authorise, send orders in order, end once)
 *                   |  events                ^  actions
 *                   v                        |
 *                server (namespaces) --> rounds (pure: who gets what, when)
 *
 * Source: Dapr pkg/placement/internal/server/server.go and .../loops/namespaces; placement specification, sections 2 to 6.
 */
#ifndef TR_PLACEMENT_SERVER_H
#define TR_PLACEMENT_SERVER_H

#include <stdint.h>

#include "runtime/base/buf.h"
#include "runtime/base/err.h"
#include "runtime/base/slice.h"

struct tr_log;
struct tr_loop;
struct tr_rpc_server;
struct tr_placement_server; /* opaque */

#define TR_PLACEMENT_PATH "/dapr.proto.placement.v1.Placement/ReportDaprStatus"
/* Namespaces of one server; the first stream of another is refused with TR_LIMIT. */
#define TR_PLACEMENT_NAMESPACES_MAX 10000

struct tr_placement_server_conf {
    struct tr_loop *loop;             /* borrowed */
    struct tr_rpc_server *rpc_server; /* borrowed; its message limit must be TR_ORDER_BYTES_MAX */
    const struct tr_log *log;         /* borrowed */
    const char *id;                   /* own member id; copied */
    uint64_t limit_ms;                /* of a round, > 0 */
    const char *limit_text;           /* the same as a Go duration, at most 31 bytes; copied */
    uint64_t coalesce_ms;             /* 0 for none */
    int64_t factor;                   /* virtual nodes a host, > 0 */
    bool is_tls;                      /* peers must show an identity, and may only speak for it */
    /*
     * The gauges of a namespace changed: joined streams, and those that had types in their first report. Called with
     * zeros when the namespace empties. `ns` is good until the call returns. NULL for none.
     */
    void (*on_gauges)(void *ctx, struct tr_slice ns, size_t runtimes, size_t actor_runtimes);
    void *ctx;
};

/* Serve TR_PLACEMENT_PATH on the rpc server. Streams are refused until tr_placement_server_lead(). */
struct tr_placement_server *tr_placement_server_new(const struct tr_placement_server_conf *conf);

/* Begin or end leading. At the end all streams end with the status a follower gives. */
void tr_placement_server_lead(struct tr_placement_server *server, bool is_leader);
bool tr_placement_server_is_leader(const struct tr_placement_server *server);

/* Streams that are open, those not yet admitted included. */
size_t tr_placement_server_streams_len(const struct tr_placement_server *server);

/*
 * Append the tables as JSON: namespaces and hosts sorted by name, empty members left out. "null" on a follower.
 * Source: Dapr pkg/placement/internal/loops/namespaces/state.go; the plain struct encoding of StatePlacementTables.
 */
void tr_placement_server_state_json(const struct tr_placement_server *server, struct tr_buf *out);

/*
 * Refuse new streams with UNAVAILABLE, end all open ones with CANCELLED, call back when the last is gone. The rpc server
 * must still be open until then. Free in or after the callback.
 */
void tr_placement_server_close(struct tr_placement_server *server, void (*cb)(void *ctx),
                               void *ctx);
void tr_placement_server_free(struct tr_placement_server **server);

#endif
