/* Bytes of a client to an HTTP/2 connection, after the preface or after an upgrade; every exchange must be closed in the end. */
#include "tests/fuzz/http_core.h"

static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
static const char upgrade[] = "GET /s HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
                              "HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n\r\n";
static const uint8_t settings[] = { 0, 0, 0, 4, 0, 0, 0, 0, 0 };

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    static struct fuzz_core core;
    const struct tr_http_server_conf conf = { .h2_window_bytes = 1000, .h2_streams_max = 20, .body_bytes_max = 5000 };
    if (len < 1) {
        return 0;
    }
    fuzz_core_init(&core, &conf);
    if ((bytes[0] & 1) != 0) {
        fuzz_feed(&core, (const uint8_t *)upgrade, sizeof(upgrade) - 1);
    }
    fuzz_feed(&core, (const uint8_t *)preface, sizeof(preface) - 1);
    fuzz_feed(&core, settings, sizeof(settings));
    const size_t step = (bytes[0] & 2) != 0 ? 1 : len;
    core.pending = (bytes[0] & 4) != 0 ? 1U << 20 : 0;
    for (size_t at = 1; at < len; at += step) {
        fuzz_feed(&core, bytes + at, len - at < step ? len - at : step);
    }
    core.pending = 0;
    if (!core.is_down) {
        http_conn_writable(&core.conn);
        fuzz_run(&core);
    }
    fuzz_core_fini(&core);
    return 0;
}
