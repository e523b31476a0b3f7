/* See http_wire.h. */
#include "tests/unit/api/http_wire.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void on_request(void *ctx, struct tr_http_exchange *ex)
{
    struct http_test *t = TR_CONTAINER_OF((struct core *)ctx, struct http_test, core);
    if (t->is_public) {
        tr_api_http_public_request(t->api.api, ex);
    } else {
        tr_api_http_request(t->api.api, ex);
    }
}

void http_test_init(struct http_test *t, const struct api_test_conf *conf)
{
    t->is_public = false;
    api_test_init(&t->api, conf);
    core_init(&t->core, NULL, on_request);
}

void http_test_fini(struct http_test *t)
{
    core_fini(&t->core);
    api_test_fini(&t->api);
}

int http_test_set_up(void **state)
{
    struct http_test *t = tr_xzalloc(sizeof(*t));
    http_test_init(t, NULL);
    *state = t;
    return 0;
}

int http_test_tear_down(void **state)
{
    http_test_fini(*state);
    free(*state);
    return 0;
}

void http_test_pump(struct http_test *t)
{
    for (unsigned i = 0; i < 3; i++) {
        core_run(&t->core);
        loop_fake_settle(t->api.engine.loop);
    }
    core_run(&t->core);
}

/* Send a request, with header lines or "". */
void send_with(struct http_test *t, const char *line, const char *headers, struct tr_slice body)
{
    struct tr_buf text = { 0 };
    tr_buf_addf(&text, "%s HTTP/1.1\r\nHost: h\r\n%sContent-Length: %zu\r\n\r\n", line, headers, body.len);
    tr_buf_add(&text, body);
    core_feed(&t->core, tr_buf_slice(&text));
    tr_buf_fini(&text);
    http_test_pump(t);
}

void send_line(struct http_test *t, const char *line)
{
    send_with(t, line, "", TR_SLICE_LIT(""));
}

void send_body(struct http_test *t, const char *line, const char *body)
{
    send_with(t, line, "", tr_slice_str(body));
}

void assert_nothing(struct http_test *t)
{
    http_test_pump(t);
    core_assert_sent(&t->core, "");
}

/* The answer that is there: this status and body, JSON. */
void assert_answer(struct http_test *t, int status, const char *body)
{
    http_test_pump(t);
    char *answer = core_take_sent(&t->core);
    char start[32];
    (void)snprintf(start, sizeof(start), "HTTP/1.1 %d ", status);
    const char *at = strstr(answer, "\r\n\r\n");
    if (at == NULL || strncmp(answer, start, strlen(start)) != 0) {
        fail_msg("not %d: %s", status, answer);
    }
    assert_string_equal(at + 4, body);
    if (body[0] != '\0') {
        assert_non_null(strstr(answer, "Content-Type: application/json\r\n"));
    }
    free(answer);
}

void assert_error(struct http_test *t, int status, const char *code, const char *message)
{
    struct tr_buf body = { 0 };
    tr_buf_addf(&body, "{\"errorCode\":\"%s\",\"message\":\"%s\"}", code, message);
    assert_answer(t, status, tr_buf_cstr(&body));
    tr_buf_fini(&body);
}

void assert_empty(struct http_test *t)
{
    http_test_pump(t);
    core_assert_sent(&t->core, "HTTP/1.1 204 No Content\r\n\r\n");
}

void go_away(struct http_test *t)
{
    http_conn_cut(&t->core.conn);
    http_test_pump(t);
}

void assert_plain(struct http_test *t, int status, const char *text)
{
    char start[32];
    http_test_pump(t);
    char *answer = core_take_sent(&t->core);
    (void)snprintf(start, sizeof(start), "HTTP/1.1 %d ", status);
    assert_int_equal(strncmp(answer, start, strlen(start)), 0);
    assert_non_null(strstr(answer, "Content-Type: text/plain; charset=utf-8\r\nX-Content-Type-Options: nosniff\r\n"));
    assert_string_equal(strstr(answer, "\r\n\r\n") + 4, text);
    free(answer);
}
