/*
 * Command lines and environments. Everything listens on 127.0.0.1 only: a developer's machine
 * offers nothing to others.
 */
#include "runtime/tool/launch.h"

#include <stdarg.h>
#include <stdlib.h>

#define LOCAL "127.0.0.1"

/* --- words ------------------------------------------------------------------------------------ */

void tr_words_addf(struct tr_words *words, const char *fmt, ...)
{
    struct tr_buf text = { 0 };
    va_list args;
    va_start(args, fmt);
    tr_buf_vaddf(&text, fmt, args);
    va_end(args);
    words->items = tr_xrealloc(words->items, (words->len + 2) * sizeof(*words->items));
    words->items[words->len++] = tr_xstrdup(tr_buf_slice(&text));
    words->items[words->len] = NULL;
    tr_buf_fini(&text);
}

const char *const *tr_words_list(const struct tr_words *words)
{
    return (const char *const *)words->items;
}

void tr_words_fini(struct tr_words *words)
{
    for (size_t i = 0; i < words->len; i++) {
        free(words->items[i]);
    }
    free(words->items);
    *words = (struct tr_words){ 0 };
}

/* --- command lines ---------------------------------------------------------------------------- */

void tr_launch_placement(const struct tr_launch *launch, uint16_t port, uint16_t health,
                         struct tr_words *argv)
{
    tr_words_addf(argv, "%s", launch->self);
    tr_words_addf(argv, "placement");
    tr_words_addf(argv, "--port=%u", port);
    tr_words_addf(argv, "--listen-address=" LOCAL);
    tr_words_addf(argv, "--healthz-port=%u", health);
    tr_words_addf(argv, "--healthz-listen-address=" LOCAL);
    tr_words_addf(argv, "--enable-metrics=false");
    tr_words_addf(argv, "--log-level=%s", launch->log_level);
}

/* The flag is read as CSV, so a path with a comma or a quote in it needs quotes. */
static void add_folder(struct tr_words *argv, const char *folder)
{
    struct tr_buf field = { 0 };
    for (const char *c = folder; *c != '\0'; c++) {
        if (*c == '"') {
            tr_buf_add_char(&field, '"');
        }
        tr_buf_add_char(&field, *c);
    }
    tr_words_addf(argv, "--resources-path=\"%s\"", tr_buf_cstr(&field));
    tr_buf_fini(&field);
}

void tr_launch_sidecar(const struct tr_launch *launch, uint16_t placement_port,
                       struct tr_words *argv)
{
    tr_words_addf(argv, "%s", launch->self);
    tr_words_addf(argv, "sidecar");
    tr_words_addf(argv, "--app-id=%s", launch->app_id);
    tr_words_addf(argv, "--app-protocol=%s", launch->app_protocol);
    if (launch->app_port != 0) {
        tr_words_addf(argv, "--app-port=%u", launch->app_port);
    }
    tr_words_addf(argv, "--dapr-http-port=%u", launch->http_port);
    tr_words_addf(argv, "--dapr-grpc-port=%u", launch->grpc_port);
    tr_words_addf(argv, "--dapr-listen-addresses=" LOCAL);
    tr_words_addf(argv, "--dapr-internal-grpc-listen-address=" LOCAL);
    tr_words_addf(argv, "--metrics-port=%u", launch->metrics_port);
    tr_words_addf(argv, "--metrics-listen-address=" LOCAL);
    tr_words_addf(argv, "--placement-host-address=" LOCAL ":%u", placement_port);
    for (size_t i = 0; i < launch->folders_len; i++) {
        add_folder(argv, launch->folders[i]);
    }
    tr_words_addf(argv, "--log-level=%s", launch->log_level);
}

/* --- environments ----------------------------------------------------------------------------- */

void tr_launch_sidecar_env(struct tr_words *env)
{
    tr_words_addf(env, "DAPR_HOST_IP=" LOCAL); /* what it tells the others */
}

void tr_launch_app_env(const struct tr_launch *launch, const char *unbuffered, struct tr_words *env)
{
    tr_words_addf(env, "APP_ID=%s", launch->app_id);
    tr_words_addf(env, "APP_PROTOCOL=%s", launch->app_protocol);
    if (launch->app_port != 0) {
        tr_words_addf(env, "APP_PORT=%u", launch->app_port);
    }
    tr_words_addf(env, "DAPR_HTTP_PORT=%u", launch->http_port);
    tr_words_addf(env, "DAPR_GRPC_PORT=%u", launch->grpc_port);
    tr_words_addf(env, "DAPR_METRICS_PORT=%u", launch->metrics_port);
    if (unbuffered == NULL) {
        tr_words_addf(env, "PYTHONUNBUFFERED=1"); /* a Python app's lines appear when they are
                                                     printed, not at its end */
    }
}
