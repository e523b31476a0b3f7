/* The sidecar as a process. */
#include "runtime/sidecar/role.h"

#include <stdio.h>
#include <stdlib.h>

#include "runtime/base/loop.h"
#include "runtime/http/client.h"
#include "runtime/sidecar/sidecar.h"

#define WAIT_EVERY_MS   100U
#define WAIT_REQUEST_MS 500U
#define WAIT_ALL_MS     60000U
#define WAIT_BODY_MAX   65536U

/* --- wait ----------------------------------------------------------------------------------------------------------- */

struct waiter {
    struct tr_loop *loop;
    struct tr_http_client *client;
    struct tr_http_call call;
    struct tr_timer again;
    bool is_ready;
    bool is_closed;
};

static void on_wait_again(struct tr_timer *timer);

static void on_wait_answer(struct tr_http_call *call)
{
    struct waiter *waiter = TR_CONTAINER_OF(call, struct waiter, call);
    waiter->is_ready = call->err.code == TR_OK && call->status == 204;
    tr_http_call_fini(call);
    tr_timer_set(&waiter->again, tr_loop_now_ms(waiter->loop) + WAIT_EVERY_MS);
}

static void on_wait_again(struct tr_timer *timer)
{
    struct waiter *waiter = TR_CONTAINER_OF(timer, struct waiter, again);
    waiter->call = (struct tr_http_call){ .method = TR_SLICE_LIT("GET"),
                                          .target = TR_SLICE_LIT("/v1.0/healthz/outbound"),
                                          .body_bytes_max = WAIT_BODY_MAX,
                                          .deadline_ms = tr_loop_now_ms(waiter->loop) + WAIT_REQUEST_MS,
                                          .cb = on_wait_answer };
    tr_http_call_start(waiter->client, &waiter->call);
}

static bool is_wait_over(void *ctx)
{
    return ((const struct waiter *)ctx)->is_ready;
}

static void on_wait_closed(void *ctx)
{
    ((struct waiter *)ctx)->is_closed = true;
}

static bool is_wait_closed(void *ctx)
{
    return ((const struct waiter *)ctx)->is_closed;
}

/* Poll until the sidecar on this port is ready for outbound calls; the original exits 0 in every case. */
static void wait_for_sidecar(const char *port)
{
    struct waiter waiter = { .loop = tr_loop_new() };
    const struct tr_http_client_conf conf = { .host = TR_SLICE_LIT("127.0.0.1"), .port = (uint16_t)atoi(port) };
    waiter.client = tr_http_client_new(waiter.loop, &conf);
    tr_timer_init(&waiter.again, waiter.loop, on_wait_again);
    tr_timer_set(&waiter.again, tr_loop_now_ms(waiter.loop));
    bool is_done = tr_loop_run_until(waiter.loop, is_wait_over, &waiter, WAIT_ALL_MS);
    tr_timer_stop(&waiter.again);
    tr_http_client_close(waiter.client, on_wait_closed, &waiter);
    is_done = tr_loop_run_until(waiter.loop, is_wait_closed, &waiter, WAIT_REQUEST_MS);
    tr_assert(is_done);
    tr_loop_free(&waiter.loop);
}

/* --- role ----------------------------------------------------------------------------------------------------------- */

static void set_environment(const char *name, const char *value)
{
    (void)setenv(name, value, 1);
}

/* What components and child processes may read. Source: processes 2.2. */
static void export_environment(const struct tr_sidecar_options *options)
{
    const struct tr_sidecar_flags *flags = &options->flags;
    set_environment("APP_ID", flags->app_id);
    set_environment("APP_PORT", flags->app_port);
    set_environment("DAPR_HTTP_PORT", flags->http_port);
    set_environment("DAPR_GRPC_PORT", flags->grpc_port);
    set_environment("DAPR_METRICS_PORT", flags->metrics_port);
    set_environment("DAPR_PROFILE_PORT", flags->profile_port);
}

static void start_log(const struct tr_sidecar_options *options, struct tr_log_sink *sink, struct tr_log *log)
{
    struct tr_err err;
    enum tr_log_level level = TR_LOG_INFO;
    tr_log_sink_init(sink);
    tr_log_init(log, sink, "dapr.runtime");
    sink->json = options->flags.log_as_json;
    sink->app_id = options->flags.app_id;
    if (tr_log_level_parse(tr_slice_str(options->flags.log_level), &level, &err) != TR_OK) {
        tr_log_fatal(log, "%s", err.msg);
    }
    sink->level = level;
    if (options->flags.log_file[0] != '\0' && tr_log_sink_open(sink, options->flags.log_file, &err) != TR_OK) {
        tr_log_fatal(log, "%s", err.msg);
    }
}

int tr_sidecar_main(int argc, char **argv)
{
    struct tr_sidecar_options options;
    struct tr_log_sink sink;
    struct tr_log log;
    struct tr_err err;
    tr_sidecar_options_parse(&options, argc, argv);
    if (options.flags.version || options.flags.build_info) {
        if (options.flags.version) {
            (void)printf("%s\n", TR_VERSION);
        } else {
            (void)printf("Version: %s\nGit Commit: unknown\nGit Version: unknown\n", TR_VERSION);
        }
        tr_sidecar_options_fini(&options);
        return 0;
    }
    if (options.flags.wait) {
        wait_for_sidecar(options.flags.http_port);
        tr_sidecar_options_fini(&options);
        return 0;
    }
    start_log(&options, &sink, &log);
    tr_log_text(&log, TR_LOG_INFO, "Starting Dapr Runtime -- version %s -- commit %s", TR_VERSION, "unknown");
    tr_log_text(&log, TR_LOG_INFO, "Log level set to: %s", options.flags.log_level);
    if (tr_sidecar_options_check(&options, &err) != TR_OK) {
        tr_log_fatal(&log, "Fatal error from runtime: %s", err.msg);
    }
    export_environment(&options);
    tr_sidecar_run(&options, &sink);
    tr_log_text(&log, TR_LOG_INFO, "Daprd shutdown gracefully");
    tr_sidecar_options_fini(&options);
    tr_log_sink_fini(&sink);
    return 0;
}
