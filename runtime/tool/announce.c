/* The lines at the end of the start. */
#include "runtime/tool/announce.h"

#include "runtime/base/json.h"

/* The first type that the app hosts, or a word to put one's own for. */
static void add_type(struct tr_slice metadata, struct tr_buf *out)
{
    struct tr_slice runtime;
    struct tr_slice actors;
    struct tr_slice first;
    struct tr_slice type;
    struct tr_err err;
    const size_t start = out->len;
    if (tr_json_check(metadata, &metadata, &err) == TR_OK &&
        tr_json_get(metadata, "actorRuntime", &runtime) &&
        tr_json_get(runtime, "activeActors", &actors)) {
        struct tr_json_iter it = tr_json_iter(actors);
        if (tr_json_next(&it, &first) && tr_json_get(first, "type", &type)) {
            (void)tr_json_str_get(type, out);
        }
    }
    if (out->len == start) {
        tr_buf_add_str(out, "TYPE");
    }
}

void tr_announce(const struct tr_launch *launch, const char *state, bool has_token,
                 struct tr_slice metadata, struct tr_buf *out)
{
    tr_buf_addf(out, "ready: app '%s'", launch->app_id);
    if (launch->app_port != 0) {
        tr_buf_addf(out, " on port %u (%s)", launch->app_port, launch->app_protocol);
    }
    tr_buf_addf(out, "\n  HTTP API  http://127.0.0.1:%u\n", launch->http_port);
    tr_buf_addf(out, "  gRPC API  127.0.0.1:%u\n", launch->grpc_port);
    tr_buf_addf(out, "  metrics   http://127.0.0.1:%u/metrics\n", launch->metrics_port);
    if (state != NULL) {
        tr_buf_addf(out, "  state     %s\n", state);
    }
    tr_buf_add_str(out, "Call an actor (put your own id and method):\n");
    tr_buf_addf(out, "  curl -X POST %shttp://127.0.0.1:%u/v1.0/actors/",
                has_token ? "-H \"dapr-api-token: $DAPR_API_TOKEN\" " : "", launch->http_port);
    add_type(metadata, out);
    tr_buf_add_str(out, "/ID/method/METHOD\nCtrl-C stops everything.\n");
}
