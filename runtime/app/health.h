/*
 * Waits until the app listens on its port, then says whether it is healthy: by probes if they are enabled, else it is
 * healthy from then on.
 *
 *   CONNECTING --(port accepts)--> PROBING <--> (healthy | unhealthy)      probes enabled
 *        ^ |                   \-> healthy for good                        probes off
 *        +-+ every 100 ms
 *
 * The state is unhealthy at first. One success makes it healthy; `threshold` failures in a row make it unhealthy.
 * Source: Dapr pkg/apphealth, pkg/runtime/runtime.go (1.18); processes 2.5, invocation 5.5, 5.6. Where the reference
 * counts failures across successes we count consecutive ones.
 */
#ifndef TR_APP_HEALTH_H
#define TR_APP_HEALTH_H

#include "runtime/app/channel.h"

struct tr_app_health;
struct tr_log;
struct tr_rpc_channel;

#define TR_APP_DIAL_MS         500U /* limit of one attempt to connect */
#define TR_APP_DIAL_PAUSE_MS   100U
#define TR_APP_DIAL_LOG_EVERY  100U /* attempts between two log lines */

struct tr_app_health_conf {
    struct tr_loop *loop;           /* borrowed, as all pointers */
    const struct tr_log *log;
    struct tr_app_channel *channel; /* HTTP apps: probes go through it */
    struct tr_rpc_channel *grpc;    /* gRPC apps: the same */
    struct tr_slice host;           /* copied, as the slices below */
    uint16_t port;
    struct tr_slice protocol;       /* for the log: "http" */
    bool has_probes;
    struct tr_slice path;           /* HTTP: a slash in front is added if it is missing */
    uint64_t interval_ms;
    uint64_t timeout_ms;
    uint32_t threshold;
    void (*on_change)(void *ctx, bool is_healthy); /* never from inside a function of this header */
    void *ctx;
};
/* Start at once. */
struct tr_app_health *tr_app_health_new(const struct tr_app_health_conf *conf);
/* No callback comes any more; `cb` when nothing is in flight, and the object is gone. */
void tr_app_health_close(struct tr_app_health *health, void (*cb)(void *ctx), void *ctx);
bool tr_app_health_is_healthy(const struct tr_app_health *health);

#endif
