/* Inside of the sidecar's end of placement, for client.c, client_wait.c and client_attempt.c. */
#ifndef TR_PLACEMENT_CLIENT_INT_H
#define TR_PLACEMENT_CLIENT_INT_H

#include "placement/client.h"
#include "placement/resolve.h"
#include "placement/table.h"
#include "placement/wire.h"
#include "runtime/base/log.h"
#include "runtime/base/map.h"
#include "runtime/base/rng.h"

/*
 * One attempt: a channel of its own, one stream, and what is to be sent on it. It lives until both are gone, also when the
 * client has turned to the next one long ago.
 */
struct tr_placement_attempt;

/* Acknowledgements that wait to be sent; at this number no further order is read. */
#define TR_ATTEMPT_ACKS_MAX 4
/* Silence after which the client pings. A server that pings itself, as all do, is never pinged. */
#define TR_ATTEMPT_KEEPALIVE_MS         5000
#define TR_ATTEMPT_KEEPALIVE_TIMEOUT_MS 5000
/* How long the server may take to answer the half-close of a leaving sidecar. */
#define TR_ATTEMPT_LEAVE_MS 1000

struct tr_placement_client {
    struct tr_placement_client_conf conf;        /* slices inside point to what the client owns */
    struct tr_buf texts;                         /* owned: name, app id, namespace */
    char *addresses[TR_PLACEMENT_ADDRESSES_MAX]; /* owned */
    size_t addresses_len;
    size_t address_at;         /* next to try, modulo the number of addresses */
    size_t circle_len;         /* addresses there are, as far as known */
    struct tr_resolve resolve; /* under way it counts as an attempt */
    struct tr_slice own_host;  /* of the name, with brackets */
    struct tr_slice own_port;
    struct tr_rng rng;

    struct tr_slice *types; /* owned, sorted, no two equal; slices into types_text */
    size_t types_len;
    struct tr_buf types_text;

    bool is_started;
    bool is_closing;
    struct tr_placement_attempt *attempt; /* the present one, or NULL; borrowed, it frees itself */
    size_t attempts_len;                  /* all that are not gone */
    size_t refusals_len;                  /* attempts in a row that ended without an order */
    size_t fruitless_len;                 /* attempts in a row whose orders came to no table */
    struct tr_timer retry;

    /* The present stream. */
    bool is_connected;
    bool is_ready;
    bool has_table; /* an update was accepted on it */
    bool has_last_op;
    enum tr_order_op last_op; /* last accepted order */
    uint64_t version;         /* of the last lock, or unlock */
    uint64_t locks_len;
    struct tr_timer limit;
    bool has_held_order;
    struct tr_order_in held_order; /* read ahead, while the engine works on an update or a loss */

    struct tr_table *table; /* owned; NULL without has_table */
    struct tr_ring_cache cache;
    struct tr_map held; /* types that changed since the last unlock -> client */
    uint64_t tokens;
    uint64_t update_token; /* the engine works on this update; 0: none */
    uint64_t lost_token;
    bool was_ready; /* ever: on_ready was called */
    struct tr_defer resume;

    struct tr_link waits; /* operations */
    size_t waits_len;
    struct tr_heap waits_due;
    struct tr_timer waits_timer;

    void (*closed_cb)(void *ctx);
    void *closed_ctx;
    struct tr_defer closed;
    struct tr_timer leave;
};

/* client_attempt.c. Errors of _start: TR_INVALID for an address that gRPC cannot read. */
enum tr_code tr_placement_attempt_start(struct tr_placement_client *client, const char *address,
                                        struct tr_err *err) TR_MUST_USE;
/* The hosted types changed: report them. */
void tr_placement_attempt_report(struct tr_placement_attempt *attempt);
void tr_placement_attempt_ack(struct tr_placement_attempt *attempt, enum tr_host_op op,
                              uint64_t version);
/* Ask for the next order; it comes to tr_placement_client_on_order(). */
void tr_placement_attempt_read(struct tr_placement_attempt *attempt);
/* Say that nothing more will be reported; the server ends the stream. */
void tr_placement_attempt_leave(struct tr_placement_attempt *attempt);
/* Cancel, and hear no more of it. */
void tr_placement_attempt_abandon(struct tr_placement_attempt *attempt);

/* client.c, called by the present attempt, never from inside the functions above. */
void tr_placement_client_on_reported(struct tr_placement_client *client);
void tr_placement_client_on_order(struct tr_placement_client *client, struct tr_slice bytes);
/* `status` and `message` of the stream; `had_order`: it got that far. */
void tr_placement_client_on_end(struct tr_placement_client *client, int status,
                                struct tr_slice message, bool had_order);
/* An attempt, present or abandoned, is gone. */
void tr_placement_client_on_gone(struct tr_placement_client *client);

/* client_wait.c. */
void tr_placement_waits_init(struct tr_placement_client *client);
void tr_placement_waits_fini(struct tr_placement_client *client);
/* Finish all waits whose type is no longer held back. */
void tr_placement_waits_release(struct tr_placement_client *client);
/* Finish all with TR_CLOSED. */
void tr_placement_waits_close(struct tr_placement_client *client);
/* Must look-ups of this type wait? */
bool tr_placement_is_held_back(const struct tr_placement_client *client, struct tr_slice type);
/* The client is closing, and something it waits for is gone. */
void tr_placement_client_check_closed(struct tr_placement_client *client);

#endif
