/* See log_catch.h. */
#include "tests/lib/log_catch.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static int64_t no_time(void)
{
    return 0;
}

void log_catch_init(struct log_catch *c)
{
    *c = (struct log_catch){ .text = { 0 } };
    tr_log_sink_init(&c->sink);
    c->sink.fd = memfd_create("log", MFD_CLOEXEC);
    tr_assert(c->sink.fd >= 0);
    c->sink.owns_fd = true;
    c->sink.level = TR_LOG_DEBUG;
    c->sink.now_unix_ns = no_time;
    c->sink.instance = "box";
    c->sink.ver = "1";
    tr_log_init(&c->log, &c->sink, "test");
}

void log_catch_fini(struct log_catch *c)
{
    tr_log_sink_fini(&c->sink);
    tr_buf_fini(&c->text);
}

const char *log_catch_text(struct log_catch *c)
{
    char part[4096];
    ssize_t len;
    tr_buf_clear(&c->text);
    while ((len = pread(c->sink.fd, part, sizeof(part), (off_t)c->text.len)) > 0) {
        tr_buf_add(&c->text, tr_slice(part, (size_t)len));
    }
    return tr_buf_cstr(&c->text);
}

size_t log_catch_count(struct log_catch *c, const char *part)
{
    size_t count = 0;
    for (const char *at = log_catch_text(c); (at = strstr(at, part)) != NULL; at += strlen(part)) {
        count++;
    }
    return count;
}
