/* Lines with names in front. */
#include "runtime/tool/out.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

#define OWN_NAME "troupe"

static void write_all(struct tr_dev_out *out, int fd, struct tr_slice rest)
{
    while (rest.len > 0 && !out->is_broken) {
        const ssize_t n = write(fd, rest.ptr, rest.len);
        if (n >= 0) {
            rest = tr_slice_skip(rest, (size_t)n);
        } else if (errno == EAGAIN) { /* somebody made the terminal non-blocking */
            (void)poll(&(struct pollfd){ .fd = fd, .events = POLLOUT }, 1, -1);
        } else if (errno != EINTR) {
            out->is_broken = true;
        }
    }
}

void tr_dev_out_line(struct tr_dev_out *out, int fd, const char *name, struct tr_slice text)
{
    tr_buf_clear(&out->line);
    tr_buf_addf(&out->line, "%-9s | ", name);
    tr_buf_add(&out->line, text);
    tr_buf_add_char(&out->line, '\n');
    write_all(out, fd, tr_buf_slice(&out->line));
}

static void own_line(struct tr_dev_out *out, int fd, const char *fmt, va_list args) TR_PRINTF(3, 0);
static void own_line(struct tr_dev_out *out, int fd, const char *fmt, va_list args)
{
    struct tr_buf text = { 0 };
    tr_buf_vaddf(&text, fmt, args);
    tr_dev_out_line(out, fd, OWN_NAME, tr_buf_slice(&text));
    tr_buf_fini(&text);
}

void tr_dev_say(struct tr_dev_out *out, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    own_line(out, STDOUT_FILENO, fmt, args);
    va_end(args);
}

void tr_dev_complain(struct tr_dev_out *out, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    own_line(out, STDERR_FILENO, fmt, args);
    va_end(args);
}

void tr_dev_out_fini(struct tr_dev_out *out)
{
    tr_buf_fini(&out->line);
}
