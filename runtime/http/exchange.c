/*
 * One request and its answer, whatever the protocol. The handler's calls note what it wants and wake the connection; the
 * connection tells the handler what is due in http_exchange_settle(), in this order: the client has gone, the body has
 * ended, there is room to write.
 */
#include "runtime/http/conn.h"

static void buf_shrink(struct tr_buf *buf)
{
    if (buf->cap > HTTP_KEEP_MAX) {
        tr_buf_fini(buf);
    }
    tr_buf_clear(buf);
}

void http_exchange_reset(struct http_exchange *ex, struct http_conn *conn)
{
    struct http_exchange fresh = { .conn = conn, .target = ex->target, .stash = ex->stash, .pieces = ex->pieces };
    fresh.pub.headers = ex->pub.headers;
    fresh.pub.body = ex->pub.body;
    *ex = fresh;
    buf_shrink(&ex->target);
    buf_shrink(&ex->stash);
    buf_shrink(&ex->pieces);
    buf_shrink(&ex->pub.body);
    buf_shrink(&ex->pub.headers.bytes);
    tr_http_headers_clear(&ex->pub.headers);
    ex->body_limit = conn->env->conf.body_bytes_max;
    ex->left = TR_HTTP_LENGTH_UNKNOWN;
    tr_link_init(&ex->link);
}

void http_exchange_fini(struct http_exchange *ex)
{
    tr_buf_fini(&ex->target);
    tr_buf_fini(&ex->stash);
    tr_buf_fini(&ex->pieces);
    tr_buf_fini(&ex->pub.body);
    tr_http_headers_fini(&ex->pub.headers);
}

void http_exchange_open(struct http_exchange *ex)
{
    struct http_env *env = ex->conn->env;
    env->exchanges++;
    env->conf.on_request(env->conf.ctx, &ex->pub);
}

bool http_exchange_takes_body(const struct http_exchange *ex)
{
    const bool is_reading = ex->reading == HTTP_READ_ALL || ex->reading == HTTP_READ_PIECES;
    return is_reading && !ex->is_paused && ex->body_fault == TR_OK && ex->answer != HTTP_ANSWER_ENDED;
}

void http_exchange_body(struct http_exchange *ex, struct tr_slice piece)
{
    tr_assert(http_exchange_takes_body(ex));
    ex->body_seen += piece.len;
    if (ex->body_limit != 0 && ex->body_seen > ex->body_limit) {
        http_exchange_body_fail(ex, TR_LIMIT, "stream too large");
        return;
    }
    if (ex->reading == HTTP_READ_PIECES) {
        ex->on_body(&ex->pub, piece);
        return;
    }
    /* One allocation when the length is declared, but none on the strength of the declaration alone. */
    if (ex->pub.body.len == 0 && ex->pub.content_length != TR_HTTP_LENGTH_UNKNOWN &&
        ex->pub.content_length <= 64 * (uint64_t)piece.len) {
        tr_buf_reserve(&ex->pub.body, (size_t)ex->pub.content_length);
    }
    tr_buf_add(&ex->pub.body, piece);
}

void http_exchange_body_fail(struct http_exchange *ex, enum tr_code code, const char *text)
{
    tr_assert(code != TR_OK);
    if (ex->body_fault == TR_OK && !ex->is_body_done) {
        ex->body_fault = code;
        ex->body_fault_text = text;
    }
}

static void tell_end(struct http_exchange *ex, enum tr_code code, const char *text)
{
    struct tr_err err = { .code = TR_OK };
    if (code != TR_OK) {
        (void)tr_err_set(&err, code, "%s", text);
    }
    ex->reading = HTTP_READ_OVER;
    ex->on_end(&ex->pub, &err);
}

/* Has all of the body been given, so that only its end is to be told? */
static bool is_body_given(const struct http_exchange *ex)
{
    return (ex->reading == HTTP_READ_ALL || ex->reading == HTTP_READ_PIECES) && ex->body_fault == TR_OK &&
           ex->is_body_done && !ex->is_paused && ex->stash.len == 0;
}

/* Is the end of the body to be told? */
static bool settle_body(struct http_exchange *ex)
{
    if (ex->reading != HTTP_READ_ALL && ex->reading != HTTP_READ_PIECES) {
        return false;
    }
    if (ex->answer == HTTP_ANSWER_ENDED) {
        tell_end(ex, TR_CANCELED, "the exchange has ended");
    } else if (ex->body_fault != TR_OK) {
        tell_end(ex, ex->body_fault, ex->body_fault_text);
    } else if (is_body_given(ex)) {
        tell_end(ex, TR_OK, NULL);
    } else if (ex->is_aborted && !ex->is_body_done) {
        tell_end(ex, TR_CANCELED, "the client has gone");
    } else {
        return false;
    }
    return true;
}

bool http_exchange_settle(struct http_exchange *ex)
{
    /* The end of a whole body comes first: what it makes the handler start, on_abort then cancels. */
    if (is_body_given(ex) && settle_body(ex)) {
        return true;
    }
    if (ex->is_aborted && !ex->abort_told && ex->answer != HTTP_ANSWER_ENDED) {
        ex->abort_told = true;
        if (ex->pub.on_abort != NULL) {
            ex->pub.on_abort(&ex->pub);
        }
        return true;
    }
    if (settle_body(ex)) {
        return true;
    }
    if (ex->wants_drain && ex->answer != HTTP_ANSWER_ENDED &&
        tr_http_exchange_pending(&ex->pub) <= ex->conn->env->conf.write_high_bytes / 2) {
        ex->wants_drain = false;
        if (ex->pub.on_drain != NULL) {
            ex->pub.on_drain(&ex->pub);
        }
        return true;
    }
    return false;
}

void http_exchange_close(struct http_exchange *ex)
{
    tr_assert(ex->answer == HTTP_ANSWER_ENDED);
    tr_assert(ex->reading == HTTP_READ_NOT || ex->reading == HTTP_READ_OVER);
    tr_assert(ex->conn->env->exchanges > 0);
    ex->conn->env->exchanges--;
    if (ex->pub.on_close != NULL) {
        ex->pub.on_close(&ex->pub);
    }
}

/* --- the target ----------------------------------------------------------------------------------------------------- */

bool http_is_host(struct tr_slice host)
{
    for (size_t i = 0; i < host.len; i++) {
        const char c = host.ptr[i];
        const bool is_alnum = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!is_alnum && (c == '\0' || strchr("!$%&'()*+,-.:;=[]_~", c) == NULL)) {
            return false;
        }
    }
    return true;
}

static bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/* No control characters, and each % begins a pair of hex digits. Source: Go net/url url.go, unescape. */
static bool is_path(struct tr_slice path)
{
    for (size_t i = 0; i < path.len; i++) {
        const unsigned char c = (unsigned char)path.ptr[i];
        if (c <= ' ' || c == 0x7f) {
            return false;
        }
        if (c == '%' && (i + 2 >= path.len || !is_hex(path.ptr[i + 1]) || !is_hex(path.ptr[i + 2]))) {
            return false;
        }
    }
    return true;
}

/* Cut "http://authority" off an absolute target; false if there is none. Source: RFC 9112 3.2.2. */
static bool cut_authority(struct tr_slice *rest, struct tr_slice *out_authority)
{
    static const char *const schemes[] = { "http://", "https://" };
    for (size_t i = 0; i < TR_ARRAY_LEN(schemes); i++) {
        const struct tr_slice scheme = tr_slice_str(schemes[i]);
        if (rest->len < scheme.len || !tr_slice_eq_nocase(tr_slice(rest->ptr, scheme.len), scheme)) {
            continue;
        }
        *rest = tr_slice_skip(*rest, scheme.len);
        size_t end = 0;
        while (end < rest->len && rest->ptr[end] != '/' && rest->ptr[end] != '?') {
            end++;
        }
        *out_authority = tr_slice(rest->ptr, end);
        *rest = tr_slice_skip(*rest, end);
        return end > 0 && http_is_host(*out_authority);
    }
    return false;
}

bool http_target_parse(struct http_exchange *ex)
{
    struct tr_slice target = tr_buf_slice(&ex->target);
    ex->pub.authority = (struct tr_slice){ 0 };
    if (ex->pub.method == TR_HTTP_CONNECT) {
        ex->pub.path = target;
        return http_is_host(target) && target.len > 0;
    }
    if (ex->pub.method == TR_HTTP_OPTIONS && tr_slice_eq(target, TR_SLICE_LIT("*"))) {
        ex->pub.path = target;
        return true;
    }
    if (target.len == 0 || (target.ptr[0] != '/' && !cut_authority(&target, &ex->pub.authority))) {
        return false;
    }
    const size_t end = tr_slice_find(target, '?');
    ex->pub.path = end == 0 ? TR_SLICE_LIT("/") : tr_slice(target.ptr, end);
    ex->pub.query = tr_slice_skip(target, end + 1);
    return is_path(ex->pub.path);
}

/* --- what the handler calls ----------------------------------------------------------------------------------------- */

const char *tr_http_exchange_peer(const struct tr_http_exchange *pub)
{
    return http_exchange_of(pub)->conn->peer;
}

bool tr_http_exchange_is_aborted(const struct tr_http_exchange *pub)
{
    return http_exchange_of(pub)->is_aborted;
}

static void read_begin(struct http_exchange *ex, enum http_reading reading)
{
    tr_assert(ex->reading == HTTP_READ_NOT);
    ex->reading = reading;
    if (ex->pub.content_length != TR_HTTP_LENGTH_UNKNOWN && ex->body_limit != 0 &&
        ex->pub.content_length > ex->body_limit) {
        http_exchange_body_fail(ex, TR_LIMIT, "stream too large");
    }
    http_conn_wake(ex->conn);
}

void tr_http_exchange_read_all(struct tr_http_exchange *pub, uint64_t limit, tr_http_body_end_fn *cb)
{
    struct http_exchange *ex = http_exchange_of(pub);
    ex->on_end = cb;
    if (limit != 0 && (ex->body_limit == 0 || limit < ex->body_limit)) {
        ex->body_limit = limit;
    }
    read_begin(ex, HTTP_READ_ALL);
}

void tr_http_exchange_read_start(struct tr_http_exchange *pub, tr_http_body_fn *on_body, tr_http_body_end_fn *on_end)
{
    struct http_exchange *ex = http_exchange_of(pub);
    ex->on_body = on_body;
    ex->on_end = on_end;
    read_begin(ex, HTTP_READ_PIECES);
}

void tr_http_exchange_pause(struct tr_http_exchange *pub)
{
    http_exchange_of(pub)->is_paused = true;
}

void tr_http_exchange_resume(struct tr_http_exchange *pub)
{
    struct http_exchange *ex = http_exchange_of(pub);
    if (ex->is_paused) {
        ex->is_paused = false;
        http_conn_wake(ex->conn);
    }
}

static bool can_answer(const struct http_exchange *ex)
{
    return !ex->conn->is_shut && !ex->stream_gone && !ex->is_broken;
}

/* The handler is done: nothing of it may be called but on_end and on_close. */
static void end_answer(struct http_exchange *ex)
{
    ex->answer = HTTP_ANSWER_ENDED;
    http_conn_wake(ex->conn);
}

static void respond(struct tr_http_exchange *pub, int status, const struct tr_http_headers *headers,
                    struct tr_slice body, struct tr_buf *owned)
{
    struct http_exchange *ex = http_exchange_of(pub);
    tr_assert(ex->answer == HTTP_ANSWER_NONE);
    tr_assert(status >= 200 && status <= 999);
    ex->is_bodiless = pub->method == TR_HTTP_HEAD || tr_http_status_bodiless(status);
    if (can_answer(ex)) {
        ex->conn->proto->respond(ex, status, headers, body, owned);
    }
    end_answer(ex);
}

void tr_http_respond(struct tr_http_exchange *pub, int status, const struct tr_http_headers *headers,
                     struct tr_slice body)
{
    respond(pub, status, headers, body, NULL);
}

void tr_http_respond_buf(struct tr_http_exchange *pub, int status, const struct tr_http_headers *headers,
                         struct tr_buf *body)
{
    respond(pub, status, headers, tr_buf_slice(body), body);
    tr_buf_fini(body);
}

void tr_http_respond_text(struct tr_http_exchange *pub, int status, const char *content_type, struct tr_slice body)
{
    /* A list on the stack: its one entry lies in a small buffer that the list only borrows. */
    char bytes[256];
    const size_t name_len = sizeof("Content-Type") - 1;
    const size_t value_len = strlen(content_type);
    tr_assert(name_len + value_len <= sizeof(bytes));
    memcpy(bytes, "Content-Type", name_len);
    memcpy(bytes + name_len, content_type, value_len);
    struct tr_http_field field = {
        .name_at = 0,
        .name_len = (uint32_t)name_len,
        .value_at = (uint32_t)name_len,
        .value_len = (uint32_t)value_len,
    };
    const struct tr_http_headers headers = {
        .bytes = { .ptr = bytes, .len = name_len + value_len },
        .fields = &field,
        .fields_len = 1,
    };
    tr_http_respond(pub, status, &headers, body);
}

void tr_http_respond_start(struct tr_http_exchange *pub, int status, const struct tr_http_headers *headers,
                           uint64_t content_length)
{
    struct http_exchange *ex = http_exchange_of(pub);
    tr_assert(ex->answer == HTTP_ANSWER_NONE);
    tr_assert(status >= 200 && status <= 999);
    ex->is_bodiless = pub->method == TR_HTTP_HEAD || tr_http_status_bodiless(status);
    ex->left = ex->is_bodiless ? 0 : content_length;
    ex->answer = HTTP_ANSWER_STARTED;
    if (can_answer(ex)) {
        ex->conn->proto->start(ex, status, headers, content_length);
        http_conn_wake(ex->conn);
    }
}

static bool write_piece(struct tr_http_exchange *pub, struct tr_slice piece, struct tr_buf *owned)
{
    struct http_exchange *ex = http_exchange_of(pub);
    tr_assert(ex->answer == HTTP_ANSWER_HEAD || ex->answer == HTTP_ANSWER_STARTED);
    if (ex->left != TR_HTTP_LENGTH_UNKNOWN) {
        piece.len = piece.len > ex->left ? (size_t)ex->left : piece.len;
        ex->left -= piece.len;
    }
    if (!can_answer(ex) || piece.len == 0) {
        return true;
    }
    ex->conn->proto->write(ex, piece, owned);
    http_conn_wake(ex->conn);
    if (tr_http_exchange_pending(pub) <= ex->conn->env->conf.write_high_bytes) {
        return true;
    }
    ex->wants_drain = true;
    return false;
}

bool tr_http_respond_write(struct tr_http_exchange *pub, struct tr_slice piece)
{
    return write_piece(pub, piece, NULL);
}

bool tr_http_respond_write_buf(struct tr_http_exchange *pub, struct tr_buf *piece)
{
    const bool more = write_piece(pub, tr_buf_slice(piece), piece);
    tr_buf_fini(piece);
    return more;
}

void tr_http_respond_end(struct tr_http_exchange *pub)
{
    struct http_exchange *ex = http_exchange_of(pub);
    tr_assert(ex->answer == HTTP_ANSWER_HEAD || ex->answer == HTTP_ANSWER_STARTED);
    if (ex->left != TR_HTTP_LENGTH_UNKNOWN && ex->left > 0) {
        ex->is_broken = true;
    } else if (can_answer(ex)) {
        ex->conn->proto->end(ex);
    }
    end_answer(ex);
}

size_t tr_http_exchange_pending(const struct tr_http_exchange *pub)
{
    const struct http_exchange *ex = http_exchange_of(pub);
    return can_answer(ex) ? ex->conn->proto->pending(ex) : 0;
}

void tr_http_exchange_abort(struct tr_http_exchange *pub)
{
    struct http_exchange *ex = http_exchange_of(pub);
    tr_assert(ex->answer != HTTP_ANSWER_ENDED);
    ex->is_broken = true;
    end_answer(ex);
}
