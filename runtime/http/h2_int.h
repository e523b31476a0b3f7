/* HTTP/2, shared by h2.c (the session and its streams), h2_send.c (answers) and h2_head.c (heads). */
#ifndef TR_HTTP_H2_INT_H
#define TR_HTTP_H2_INT_H

#include <nghttp2/nghttp2.h>

#include "runtime/http/conn.h"

#define H2_CONN_WINDOW_BYTES (1 << 20)     /* body bytes a client may send ahead on one connection */
#define H2_OUT_BYTES         (64U * 1024U) /* gathered for one write */
#define H2_SPARE_MAX         8U            /* closed exchanges whose memory is kept */
#define H2_RESET_WINDOW_MS   10000U        /* interval over which resets are counted */
#define H2_CONTROL_MAX       1000U         /* settings, pings and empty frames in that interval; beyond: GOAWAY */

struct http_h2 {
    nghttp2_session *session; /* owned */
    struct tr_link streams;   /* of http_exchange.link: open exchanges, and those being received */
    uint32_t streams_len;
    struct tr_link spare;     /* of http_exchange.link */
    uint32_t spare_len;
    uint64_t count_until_ms;  /* when the counts begin anew */
    uint32_t resets;
    uint32_t controls;
    uint64_t sent_bytes;      /* taken from the session */
    bool is_failed;           /* the session is of no use any more */
    struct tr_buf scratch;    /* owned: names in lower case */
    nghttp2_nv *nva;          /* owned: the head being written */
    size_t nva_cap;
};

/* A header of a request; false if the stream is to be refused, with refused_status set. */
void h2_head_add(struct http_exchange *ex, struct tr_slice name, struct tr_slice value);
/* The head is complete: fill in ex->pub, or set refused_status. */
void h2_head_done(struct http_exchange *ex, bool has_body);
/* The head of an answer in h2->nva; returns the entries. Borrowed until the next call and from `headers`. */
size_t h2_head_make(struct http_exchange *ex, int status, const struct tr_http_headers *headers, uint64_t length);

/* The exchange of a stream, NULL if it is over. */
struct http_exchange *h2_stream_of(nghttp2_session *session, int32_t stream_id);

/* h2_send.c. The callback of the session, and what http_h2 is made of. */
int h2_send_pieces(nghttp2_session *session, nghttp2_frame *frame, const uint8_t *head, size_t len,
                   nghttp2_data_source *source, void *user_data);
void h2_respond(struct http_exchange *ex, int status, const struct tr_http_headers *headers, struct tr_slice body,
                struct tr_buf *owned);
void h2_start(struct http_exchange *ex, int status, const struct tr_http_headers *headers, uint64_t length);
void h2_write(struct http_exchange *ex, struct tr_slice piece, struct tr_buf *owned);
void h2_end(struct http_exchange *ex);
size_t h2_pending(const struct http_exchange *ex);
/* Take from the session what the wire can take; true if anything was taken. */
bool h2_pump(struct http_conn *conn);
/* Let the session ask for pieces again. */
void h2_give_pieces(struct http_exchange *ex);
/* "100 Continue", if the client waits for it and the handler wants the body. */
void h2_send_continue(struct http_exchange *ex);

#endif
