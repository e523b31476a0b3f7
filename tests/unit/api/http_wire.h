/* An API of actors behind a connection in memory, from the bytes of a request to those of the answer. */
#ifndef TESTS_UNIT_API_HTTP_WIRE_H
#define TESTS_UNIT_API_HTTP_WIRE_H

#include "tests/unit/api/api_test.h"
#include "tests/unit/http/core.h"

struct http_test {
    struct core core;
    struct api_test api;
    bool is_public; /* the connection came in at the public port */
};

void http_test_init(struct http_test *t, const struct api_test_conf *conf); /* NULL: defaults */
void http_test_fini(struct http_test *t);
/* The same as cmocka's set-up and tear-down, with defaults. */
int http_test_set_up(void **state);
int http_test_tear_down(void **state);

/* Run until nothing is due. */
void http_test_pump(struct http_test *t);

/* Send a request, with header lines or "". */
void send_with(struct http_test *t, const char *line, const char *headers, struct tr_slice body);
void send_line(struct http_test *t, const char *line);
void send_body(struct http_test *t, const char *line, const char *body);
/* The client cuts its connection. */
void go_away(struct http_test *t);

/* The answer that is there: this status and body, which is JSON. */
void assert_answer(struct http_test *t, int status, const char *body);
/* The same for an error; the message as it stands in JSON. */
void assert_error(struct http_test *t, int status, const char *code, const char *message);
/* 204 */
void assert_empty(struct http_test *t);
/* Plain text, as Go's http.Error sends it. */
void assert_plain(struct http_test *t, int status, const char *text);
/* No answer yet. */
void assert_nothing(struct http_test *t);

#endif
