/* HTTP/1, shared by h1.c (the connection), h1_parse.c (what the parser finds) and h1_head.c (heads). */
#ifndef TR_HTTP_H1_INT_H
#define TR_HTTP_H1_INT_H

#include "runtime/http/conn.h"

extern const llhttp_settings_t h1_settings;

/* Note why the request is refused; returns what makes the parser stop. */
int h1_refuse(struct http_conn *conn, int status, const char *text);
bool h1_has_body(const struct http_exchange *ex);
/* Is there a line end between the colon and `end`, as far as it lies in this chunk? */
bool h1_has_gap_line_end(const struct http_conn *conn, const char *end);

/* Check what the parser leaves to us, and fill in ex->pub; false after h1_refuse(). Source: RFC 9112. */
bool h1_head_check(struct http_conn *conn);
/* The head of an answer in conn->out, without the lines that say how the body is framed, and without the empty line. */
void h1_head_write(struct http_exchange *ex, int status, const struct tr_http_headers *headers);

#endif
