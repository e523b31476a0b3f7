/*
 * A probe is one HTTP client and one call, made again by a timer. It frees itself when its client
 * is closed.
 */
#include "runtime/tool/probe.h"

#include <stdlib.h>

#include "runtime/http/client.h"

struct tr_probe {
    struct tr_loop *loop;          /* borrowed */
    struct tr_http_client *client; /* owned until it closes */
    const char *target;
    int status;
    tr_probe_fn *cb;
    void *ctx; /* borrowed */
    struct tr_timer again;
    struct tr_http_call call;
    bool is_free; /* the owner has let go */
};

static void on_answer(struct tr_http_call *call)
{
    struct tr_probe *probe = TR_CONTAINER_OF(call, struct tr_probe, call);
    const bool is_there =
        call->err.code == TR_OK && (probe->status == TR_PROBE_ANY || call->status == probe->status);
    struct tr_buf body = { 0 };
    tr_buf_move(&body, &call->body_out);
    tr_http_call_fini(call);
    if (!probe->is_free && is_there) {
        probe->cb(probe->ctx, tr_buf_slice(&body));
    } else if (!probe->is_free) {
        tr_timer_set(&probe->again, tr_loop_now_ms(probe->loop) + TR_PROBE_EVERY_MS);
    }
    tr_buf_fini(&body);
}

static void on_again(struct tr_timer *timer)
{
    struct tr_probe *probe = TR_CONTAINER_OF(timer, struct tr_probe, again);
    probe->call = (struct tr_http_call){
        .method = TR_SLICE_LIT("GET"),
        .target = tr_slice_str(probe->target),
        .body_bytes_max = TR_PROBE_BODY_MAX,
        .deadline_ms = tr_loop_now_ms(probe->loop) + TR_PROBE_REQUEST_MS,
        .cb = on_answer,
    };
    tr_http_call_start(probe->client, &probe->call);
}

struct tr_probe *tr_probe_new(struct tr_loop *loop, uint16_t port, const char *target, int status,
                              tr_probe_fn *cb, void *ctx)
{
    struct tr_probe *probe = tr_xzalloc(sizeof(*probe));
    const struct tr_http_client_conf conf = { .host = TR_SLICE_LIT("127.0.0.1"), .port = port };
    probe->loop = loop;
    probe->client = tr_http_client_new(loop, &conf);
    probe->target = target;
    probe->status = status;
    probe->cb = cb;
    probe->ctx = ctx;
    tr_timer_init(&probe->again, loop, on_again);
    tr_timer_set(&probe->again, tr_loop_now_ms(loop));
    return probe;
}

static void on_client_closed(void *ctx)
{
    free(ctx);
}

void tr_probe_free(struct tr_probe **probe)
{
    struct tr_probe *p = *probe;
    if (p == NULL) {
        return;
    }
    *probe = NULL;
    p->is_free = true;
    tr_timer_stop(&p->again);
    tr_http_client_close(p->client, on_client_closed, p);
}
