/*
 * The parser of HTTP/1.1 answers. The first byte chooses the method and how the rest is cut in two;
 * whatever comes, the answer read whole and the answer read in two pieces are the same.
 */
#include "runtime/http/client_int.h"

#include <stdlib.h>

#define HEAD_BYTES_MAX 4096U
#define BODY_BYTES_MAX 65536U

struct outcome {
    struct tr_http_call call;
    enum client_parsed parsed;
    bool keeps_alive;
};

static void on_done(struct tr_http_call *call)
{
    (void)call;
}

/* Pieces are read from places of their own, so that a look beyond their end is seen. */
static enum client_parsed feed(struct client_parser *parser, struct tr_slice piece)
{
    if (piece.len == 0) {
        return CLIENT_PARSED_MORE;
    }
    char *copy = tr_xalloc(piece.len);
    memcpy(copy, piece.ptr, piece.len);
    const enum client_parsed parsed = client_parser_feed(parser, tr_slice(copy, piece.len));
    if (parsed == CLIENT_PARSED_COMPLETE) {
        tr_assert(parser->rest <= piece.len);
    }
    free(copy);
    return parsed;
}

static void parse(struct outcome *out, const char *method, struct tr_slice first,
                  struct tr_slice second)
{
    *out = (struct outcome){
        .call = { .method = tr_slice_str(method), .body_bytes_max = BODY_BYTES_MAX, .cb = on_done }
    };
    out->call.op.state = TR_OP_STARTED; /* as if it were on a connection */
    struct client_parser parser;
    client_parser_init(&parser, &out->call, HEAD_BYTES_MAX);
    out->parsed = feed(&parser, first);
    if (out->parsed == CLIENT_PARSED_MORE) {
        out->parsed = feed(&parser, second);
    }
    if (out->parsed == CLIENT_PARSED_MORE) {
        out->parsed = client_parser_eof(&parser);
    }
    tr_assert(out->parsed != CLIENT_PARSED_GONE);
    tr_assert(out->parsed != CLIENT_PARSED_FAILED || parser.err.code != TR_OK);
    tr_assert(out->parsed != CLIENT_PARSED_COMPLETE || out->call.has_head);
    tr_assert(out->call.body_out.len <= BODY_BYTES_MAX);
    out->keeps_alive = parser.keeps_alive;
}

static void assert_same(const struct outcome *a, const struct outcome *b)
{
    tr_assert(a->parsed == b->parsed);
    if (a->parsed != CLIENT_PARSED_COMPLETE) {
        return;
    }
    tr_assert(a->keeps_alive == b->keeps_alive);
    tr_assert(a->call.status == b->call.status);
    tr_assert(tr_slice_eq(tr_buf_slice(&a->call.body_out), tr_buf_slice(&b->call.body_out)));
    tr_assert(tr_http_headers_len(&a->call.headers_out) ==
              tr_http_headers_len(&b->call.headers_out));
    for (size_t i = 0; i < tr_http_headers_len(&a->call.headers_out); i++) {
        const struct tr_http_header one = tr_http_headers_at(&a->call.headers_out, i);
        const struct tr_http_header two = tr_http_headers_at(&b->call.headers_out, i);
        tr_assert(tr_slice_eq(one.name, two.name));
        tr_assert(tr_slice_eq(one.value, two.value));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    static const char *const methods[] = { "GET", "HEAD", "POST" };
    const char *method = methods[data[0] % TR_ARRAY_LEN(methods)];
    const struct tr_slice bytes = tr_slice(data + 1, size - 1);
    const size_t cut = bytes.len == 0 ? 0 : data[0] * 7U % bytes.len;
    struct outcome whole;
    struct outcome pieces;
    parse(&whole, method, bytes, tr_slice(NULL, 0));
    parse(&pieces, method, tr_slice(bytes.ptr, cut), tr_slice_skip(bytes, cut));
    assert_same(&whole, &pieces);
    tr_http_call_fini(&whole.call);
    tr_http_call_fini(&pieces.call);
    return 0;
}
