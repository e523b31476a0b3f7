/*
 * Bytes of a client to an HTTP/1 connection: whole, one by one, and in two parts. Every exchange must be closed in the
 * end, and where handlers do not depend on it, the cuts must not show in the answers.
 */
#include "tests/fuzz/http_core.h"

static void run(struct fuzz_core *core, const uint8_t *bytes, size_t len, size_t step)
{
    const struct tr_http_server_conf conf = { .h2c_off = true, .header_bytes_max = 1U << 20 };
    fuzz_core_init(core, &conf);
    for (size_t at = 0; at < len; at += step) {
        fuzz_feed(core, bytes + at, len - at < step ? len - at : step);
    }
}

/* The answers without "100 Continue", which is sent only if the body is late. */
static void strip_continue(struct tr_buf *buf)
{
    static const char text[] = "HTTP/1.1 100 Continue\r\n\r\n";
    const struct tr_slice mark = TR_SLICE_LIT(text);
    for (size_t at = 0; at + mark.len <= buf->len;) {
        if (memcmp(buf->ptr + at, mark.ptr, mark.len) == 0) {
            memmove(buf->ptr + at, buf->ptr + at + mark.len, buf->len - at - mark.len);
            buf->len -= mark.len;
        } else {
            at++;
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    static struct fuzz_core whole;
    static struct fuzz_core cut;
    if (len < 2) {
        return 0;
    }
    /* Handlers that answer before the end of the body make the end of the connection depend on the cuts. */
    const bool is_compared = memmem(bytes, len, " /n", 3) == NULL && memmem(bytes, len, " /s", 3) == NULL &&
                             memmem(bytes, len, " /a", 3) == NULL;
    run(&whole, bytes, len, len);
    strip_continue(&whole.sent);
    for (size_t step = 1; step < len; step += len / 2) {
        run(&cut, bytes, len, step);
        strip_continue(&cut.sent);
        if (is_compared) {
            tr_assert(tr_slice_eq(tr_buf_slice(&whole.sent), tr_buf_slice(&cut.sent)));
        }
        fuzz_core_fini(&cut);
    }
    fuzz_core_fini(&whole);
    return 0;
}
