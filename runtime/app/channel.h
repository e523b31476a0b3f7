/*
 * The HTTP channel to the user's app: actor callbacks (as a struct tr_app_actors), the app's configuration, health
 * probes; over HTTP/1.1 or HTTP/2 in clear text.
 *
 * At most `concurrency_max` callbacks are in the app at a time; others wait in order. While the app counts as unhealthy
 * every callback fails at once. A callback that is canceled leaves HTTP/1.1 by closing its connection; over HTTP/2 only
 * the wait ends, and once the answer's headers have arrived the rest of it is awaited, for `rest_ms`.
 *
 * Source: Dapr pkg/channel/http/http_channel.go, pkg/actors/targets/app (1.18); actors 5, invocation 5.
 */
#ifndef TR_APP_CHANNEL_H
#define TR_APP_CHANNEL_H

#include "runtime/app/app.h"
#include "runtime/http/client.h"

struct tr_app_channel;

#define TR_APP_WAITING_MAX 100000U /* callbacks that wait for the app's concurrency limit */
#define TR_APP_REST_MS     1000U   /* default of rest_ms */

struct tr_app_channel_conf {
    struct tr_loop *loop;     /* borrowed */
    struct tr_slice host;     /* all slices are copied */
    uint16_t port;
    enum tr_http_protocol protocol;
    struct tr_slice app_id;   /* own identity, told to the app */
    struct tr_slice ns;
    struct tr_slice token;    /* APP_API_TOKEN, empty for none */
    uint32_t concurrency_max; /* 0: no limit */
    size_t header_bytes_max;  /* of an answer's head */
    uint64_t body_bytes_max;  /* of an answer's body, 0: no limit */
    uint64_t rest_ms;         /* longest wait for the rest of an answer after a cancellation; 0: TR_APP_REST_MS */
};
struct tr_app_channel *tr_app_channel_new(const struct tr_app_channel_conf *conf);
/* Cancel what is open, then call back and be gone. */
void tr_app_channel_close(struct tr_app_channel *channel, void (*cb)(void *ctx), void *ctx);

/* The actor callbacks; borrowed for the channel's life. */
const struct tr_app_actors *tr_app_channel_actors(struct tr_app_channel *channel);

/* Unhealthy at first. */
void tr_app_channel_set_healthy(struct tr_app_channel *channel, bool is_healthy);

/* Start GET `target` with dapr-app-id and the app's token; for /dapr/config and probes. Not counted, not gated. */
void tr_app_channel_get(struct tr_app_channel *channel, struct tr_http_call *call, struct tr_slice target);

#endif
