/* What the files of the sidecar share. */
#ifndef TR_SIDECAR_INT_H
#define TR_SIDECAR_INT_H

#include "invoke/peers.h"
#include "invoke/rpc.h"
#include "invoke/rpc_client.h"
#include "invoke/rpc_server.h"
#include "placement/client.h"
#include "runtime/actor/actor_state.h"
#include "runtime/actor/engine.h"
#include "runtime/api/api.h"
#include "runtime/app/channel.h"
#include "runtime/app/health.h"
#include "runtime/app/stream.h"
#include "runtime/base/files.h"
#include "runtime/base/log.h"
#include "runtime/base/metric.h"
#include "runtime/base/tidy.h"
#include "runtime/resource/configuration.h"
#include "runtime/sidecar/components.h"
#include "runtime/sidecar/sidecar.h"
#include "runtime/sidecar/targets.h"

enum sidecar_state {
    SIDECAR_STARTING,
    SIDECAR_WAITING, /* for the app */
    SIDECAR_RUNNING,
    SIDECAR_BLOCKED, /* told to stop, but keeps serving for a while */
    SIDECAR_STOPPING,
    SIDECAR_STATES_LEN,
};

struct sidecar {
    const struct tr_sidecar_options *options; /* borrowed */
    struct tr_log_sink *sink;                 /* borrowed */
    struct tr_log log;
    struct tr_loop *loop;
    struct tr_rpc *rpc;
    struct tr_configuration configuration;
    struct tr_slice *features; /* owned: names of those that are on */
    size_t features_len;
    struct tr_components components;
    struct tr_peers *peers;
    struct tr_placement_client *placement; /* NULL: actors are disabled */
    struct tr_actor_engine *engine;
    struct tr_api *api;
    struct tr_http_server *http;
    struct tr_http_server *public_http;  /* NULL: none */
    struct tr_http_server *metrics_http; /* NULL: none */
    struct tr_rpc_server *grpc;
    struct tr_rpc_server *internal;
    struct tr_app_channel *app_http;    /* NULL: none */
    struct tr_rpc_channel *app_grpc;    /* NULL: none */
    struct tr_app_hub *hub;
    struct tr_app_health *health;       /* NULL: no app */
    struct tr_http_call app_config_call;
    struct tr_app_config app_config;    /* what the HTTP app hosts */
    struct tr_targets targets;
    struct tr_metrics metrics;
    struct tr_fd_watch *on_signals;
    struct tr_timer app_config_again;
    struct tr_timer grace; /* ends a shutdown that takes too long */
    struct tr_timer cut;   /* ends the calls of those who hold a shutdown up */
    struct tr_timer block;
    struct tr_timer force;
    struct tr_tidy tidy;
    struct tr_files files;
    struct tr_buf host;
    struct tr_buf host_name; /* "host:port" told to placement */
    uint16_t internal_port;
    uint64_t started_ms;
    unsigned state;
    unsigned closing_len; /* parts that the present step of the stop waits for */
    unsigned stop_step;
    unsigned config_failures; /* of GET /dapr/config */
    bool has_app_config;  /* GET /dapr/config was answered, or is left out */
    bool is_config_open;  /* it is in flight */
    bool is_app_registered;
    bool was_app_healthy;
    bool is_placement_started;
    bool is_outbound_ready;
    bool is_reload;
};

/* A move that the table does not have is a bug. */
void sidecar_move(struct sidecar *s, enum sidecar_state to);

/* sidecar_app.c: the app's channel, health and types. */
void sidecar_app_init(struct sidecar *s);
void sidecar_app_start(struct sidecar *s);
/* Everything that must precede placement is there: connect. Harmless when done. */
void sidecar_placement_start(struct sidecar *s);

/* sidecar_metrics.c */
void sidecar_metrics_request(void *sidecar, struct tr_http_exchange *ex);

/* sidecar_stop.c */

/*
 * The process's signals, over all runs: one that comes between two of them waits for the next one. They have a small loop
 * of their own, which each run watches.
 */
struct sidecar_signals {
    struct tr_loop *loop;
    struct tr_signal_watch *watches[3];
    struct sidecar *sidecar; /* the present one */
    int early;               /* one that came before the first run; 0: none */
};
void sidecar_signals_init(struct sidecar_signals *signals, const struct tr_log *log);
void sidecar_signals_fini(struct sidecar_signals *signals);
/* From now on they are this run's, until it frees `on_signals`. */
void sidecar_watch_signals(struct sidecar *s, struct sidecar_signals *signals);
void sidecar_stop(struct sidecar *s);
void sidecar_on_shutdown_call(void *sidecar, bool is_forced);
/* The app became unhealthy: ends a blocked shutdown. */
void sidecar_stop_blocking(struct sidecar *s);

#endif
