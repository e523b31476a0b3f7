/* File descriptors. */
#include "runtime/base/files.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

enum tr_code tr_files_raise(struct tr_err *err)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) {
        return tr_err_set(err, TR_IO, "limit of file descriptors is not known");
    }
    if (limit.rlim_cur < limit.rlim_max) {
        const struct rlimit raised = { .rlim_cur = limit.rlim_max, .rlim_max = limit.rlim_max };
        if (setrlimit(RLIMIT_NOFILE, &raised) == 0) {
            limit = raised;
        }
    }
    if (limit.rlim_cur < TR_FILES_MIN) {
        return tr_err_set(err, TR_LIMIT, "at most %llu file descriptors are allowed, %u are needed (ulimit -n)",
                          (unsigned long long)limit.rlim_cur, TR_FILES_MIN);
    }
    return TR_OK;
}

bool tr_files_are_out(void)
{
    const int fd = open("/", O_PATH | O_CLOEXEC);
    if (fd >= 0) {
        (void)close(fd);
        return false;
    }
    return errno == EMFILE || errno == ENFILE;
}

static void on_time(struct tr_timer *timer)
{
    struct tr_files *files = TR_CONTAINER_OF(timer, struct tr_files, timer);
    const bool are_out = tr_files_are_out();
    if (are_out && !files->were_out) {
        tr_log_warn(files->log, "no file descriptor is left: new connections wait or fail", NULL);
    } else if (!are_out && files->were_out) {
        tr_log_info(files->log, "there are file descriptors again", NULL);
    }
    files->were_out = are_out;
    tr_timer_set(timer, tr_loop_now_ms(files->loop) + TR_FILES_EVERY_MS);
}

void tr_files_watch(struct tr_files *files, struct tr_loop *loop, const struct tr_log *log)
{
    *files = (struct tr_files){ .loop = loop, .log = log };
    tr_timer_init(&files->timer, loop, on_time);
    tr_timer_set(&files->timer, tr_loop_now_ms(loop) + TR_FILES_EVERY_MS);
}

void tr_files_unwatch(struct tr_files *files)
{
    if (files->loop != NULL) {
        tr_timer_stop(&files->timer);
    }
}
