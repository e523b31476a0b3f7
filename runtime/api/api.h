/*
 * Dapr's public surface, HTTP and gRPC, and the internal service for other sidecars: routes, decoding, error replies.
 *
 * `struct tr_api` is what both surfaces share: who we are, the actor engine, the state stores, and three questions to
 * the sidecar (ready? what runs? stop!). The servers themselves are made by the sidecar, which hands their requests in:
 * tr_api_http_request() for each HTTP exchange, tr_api_grpc_add() and tr_api_internal_add() for the gRPC methods.
 *
 * An HTTP request goes: clean path -> health routes -> token -> route -> parameters -> handler -> reply -> log line.
 * A gRPC call goes: allow list -> token -> decode -> handler -> reply -> log line.
 *
 * Source: Dapr pkg/api (1.18); actors 2, 3; invocation 7, 10; processes 2.4, 8.4.
 */
#ifndef TR_API_API_H
#define TR_API_API_H

#include "invoke/rpc_server.h"
#include "runtime/actor/actor_state.h"
#include "runtime/actor/engine.h"
#include "runtime/base/metric.h"
#include "runtime/http/server.h"
#include "runtime/resource/configuration.h"
#include "state/key.h"
#include "state/store.h"

struct tr_api;
struct tr_log;

#define TR_API_STORES_MAX   1024U
#define TR_API_EXTENDED_MAX 256U /* entries that clients may put into the metadata */

/* A loaded state store. */
struct tr_api_store {
    struct tr_buf name;
    struct tr_key_prefix prefix;
    struct tr_store *store; /* borrowed */
};

/* One component, for the metadata. All borrowed for the call. */
struct tr_api_component {
    struct tr_slice name;
    struct tr_slice type;
    struct tr_slice version;
    unsigned features;      /* TR_STORE_ETAG ... */
    bool is_state;
    bool can_host_actors;
};

/* How the app is reached, for the metadata. */
struct tr_api_app {
    bool has_app; /* else nothing is said */
    uint16_t port;
    struct tr_slice protocol;
    struct tr_slice address;
    int32_t concurrency_max;
    bool has_health;
    struct tr_slice health_path;
    uint64_t health_interval_ms;
    uint64_t health_timeout_ms;
    int32_t health_threshold;
};

struct tr_api_conf {
    struct tr_loop *loop; /* borrowed, as all pointers */
    struct tr_log_sink *sink;
    struct tr_actor_engine *engine;
    struct tr_metrics *metrics; /* outlives the api; NULL: nothing is counted */
    const struct tr_configuration *configuration; /* for the allow and deny lists */
    struct tr_slice app_id; /* slices are borrowed for the api's life */
    struct tr_slice version;
    struct tr_slice token;  /* DAPR_API_TOKEN, empty for none */
    const struct tr_slice *features; /* enabled features, for the metadata */
    size_t features_len;
    uint64_t body_bytes_max; /* of one request; 0: no limit */
    bool has_log;            /* one line per call */
    bool has_log_obfuscated; /* with names instead of paths */
    bool log_skips_health;
    bool has_placement;      /* an address is configured */
    /* App channel speaks HTTP: event streams are refused. */
    bool is_app_http;
    tr_rpc_handler_fn *on_actor_stream; /* SubscribeActorEventsAlpha1 */
    void *actor_stream_ctx;
    /* Is everything ready? Else append the names of what is not, separated by one blank. */
    bool (*is_ready)(void *ctx, struct tr_buf *out_unready);
    bool (*is_outbound_ready)(void *ctx);
    /* A client asked for the end; called after the answer was given. */
    void (*on_shutdown)(void *ctx, bool is_forced);
    /* Component `i`; false beyond the last. */
    bool (*component)(void *ctx, size_t i, struct tr_api_component *out_component);
    bool (*is_placement_connected)(void *ctx);
    void *ctx;
    struct tr_api_app app;
};

struct tr_api *tr_api_new(const struct tr_api_conf *conf);
void tr_api_free(struct tr_api **api);

/* Add a state store, or replace the one of this name. */
void tr_api_store_set(struct tr_api *api, struct tr_slice name, struct tr_slice key_prefix, struct tr_slice ns,
                      struct tr_store *store);
void tr_api_store_remove(struct tr_api *api, struct tr_slice name);

/* on_request() of the public server; `ctx` is the api. */
void tr_api_http_request(void *api, struct tr_http_exchange *ex);
/* The same for the public port: health and metadata only, without token and log. */
void tr_api_http_public_request(void *api, struct tr_http_exchange *ex);

/* Serve dapr.proto.runtime.v1.Dapr. */
void tr_api_grpc_add(struct tr_api *api, struct tr_rpc_server *server);
/* Serve dapr.proto.internals.v1.ServiceInvocation. */
void tr_api_internal_add(struct tr_api *api, struct tr_rpc_server *server);

/* Requests in progress on all surfaces. */
size_t tr_api_open(const struct tr_api *api);

#endif
