/*
 * Child processes on libuv.
 *
 * A process object holds up to three handles: the process and two pipes. It counts those not yet
 * closed (`open`), and is gone when the count is 0 and the owner has let go. The end is told when
 * the process has exited and both pipes have ended (or lingered too long).
 */
#include "runtime/base/process.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "runtime/base/buf.h"
#include "runtime/base/loop_uv.h"

#define OUTPUTS_LEN 2
#define CHUNK_BYTES 16384

extern char **environ;

struct output {
    uv_pipe_t pipe;
    struct tr_process *process; /* borrowed: whose it is */
    enum tr_process_output name;
    bool is_open;
    struct tr_buf line; /* the part of a line that has come */
    char chunk[CHUNK_BYTES];
};

struct tr_process {
    uv_process_t uv;
    struct tr_loop *loop;                /* borrowed */
    struct output *outputs[OUTPUTS_LEN]; /* owned; NULL when inherited */
    unsigned open;                       /* handles not closed */
    bool has_own_group;
    bool has_exited;
    bool is_told; /* on_exit was called, or is not wanted any more */
    bool is_free; /* the owner has let go */
    int pid;
    int status;
    int signum;
    tr_process_line_fn *on_line;
    tr_process_exit_fn *on_exit;
    void *ctx; /* borrowed */
    struct tr_timer linger;
    struct tr_defer tell;
};

/* --- the end ---------------------------------------------------------------------------------- */

static void free_if_gone(struct tr_process *process)
{
    if (process->open > 0 || !process->is_free) {
        return;
    }
    tr_timer_stop(&process->linger);
    tr_defer_cancel(&process->tell);
    for (size_t i = 0; i < OUTPUTS_LEN; i++) {
        if (process->outputs[i] != NULL) {
            tr_buf_fini(&process->outputs[i]->line);
            free(process->outputs[i]);
        }
    }
    free(process);
}

static void on_tell(struct tr_defer *defer)
{
    struct tr_process *process = TR_CONTAINER_OF(defer, struct tr_process, tell);
    if (process->is_told) {
        return;
    }
    process->is_told = true;
    if (process->on_exit != NULL) {
        process->on_exit(process->ctx, process->status, process->signum);
    }
}

static bool has_output(const struct tr_process *process)
{
    for (size_t i = 0; i < OUTPUTS_LEN; i++) {
        if (process->outputs[i] != NULL && process->outputs[i]->is_open) {
            return true;
        }
    }
    return false;
}

static void tell_if_over(struct tr_process *process)
{
    if (process->has_exited && !process->is_told && !has_output(process)) {
        tr_timer_stop(&process->linger);
        tr_defer(process->loop, &process->tell, on_tell);
    }
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct tr_process *process = handle->data;
    process->open--;
    free_if_gone(process);
}

static void on_pipe_closed(uv_handle_t *handle)
{
    struct tr_process *process = ((struct output *)handle->data)->process;
    process->open--;
    free_if_gone(process);
}

/* --- output ----------------------------------------------------------------------------------- */

static void give_line(struct output *output)
{
    struct tr_process *process = output->process;
    struct tr_slice line = tr_buf_slice(&output->line);
    if (line.len > 0 && line.ptr[line.len - 1] == '\r') {
        line.len--;
    }
    if (process->on_line != NULL && !process->is_told) {
        process->on_line(process->ctx, output->name, line);
    }
    tr_buf_clear(&output->line);
}

static void take_bytes(struct output *output, struct tr_slice bytes)
{
    while (bytes.len > 0) {
        const size_t line_end = tr_slice_find(bytes, '\n');
        const size_t room = TR_PROCESS_LINE_MAX - output->line.len;
        const size_t len = line_end < room ? line_end : room;
        tr_buf_add(&output->line, tr_slice(bytes.ptr, len < bytes.len ? len : bytes.len));
        const bool is_ended = line_end < bytes.len && len == line_end;
        bytes = tr_slice_skip(bytes, is_ended ? len + 1 : len);
        if (is_ended || output->line.len == TR_PROCESS_LINE_MAX) {
            give_line(output);
        }
    }
}

static void close_output(struct output *output)
{
    if (!output->is_open) {
        return;
    }
    output->is_open = false;
    if (output->line.len > 0) {
        give_line(output);
    }
    uv_close((uv_handle_t *)&output->pipe, on_pipe_closed);
    tell_if_over(output->process);
}

static void on_alloc(uv_handle_t *handle, size_t wanted, uv_buf_t *out_buf)
{
    struct output *output = handle->data;
    (void)wanted;
    *out_buf = uv_buf_init(output->chunk, sizeof(output->chunk));
}

static void on_output(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct output *output = stream->data;
    if (n > 0) {
        take_bytes(output, tr_slice(buf->base, (size_t)n));
    } else if (n < 0) {
        close_output(output);
    }
}

/* --- exit ------------------------------------------------------------------------------------- */

static void on_linger(struct tr_timer *timer)
{
    struct tr_process *process = TR_CONTAINER_OF(timer, struct tr_process, linger);
    for (size_t i = 0; i < OUTPUTS_LEN; i++) {
        if (process->outputs[i] != NULL) {
            close_output(process->outputs[i]);
        }
    }
}

static void on_exited(uv_process_t *uv, int64_t status, int signum)
{
    struct tr_process *process = uv->data;
    process->has_exited = true;
    if (process->is_free) {
        process->loop->works_open--;
    }
    process->status = (int)status;
    process->signum = signum;
    uv_close((uv_handle_t *)uv, on_handle_closed);
    if (has_output(process)) {
        tr_timer_set(&process->linger, tr_loop_now_ms(process->loop) + TR_PROCESS_LINGER_MS);
    }
    tell_if_over(process);
}

/* --- start ------------------------------------------------------------------------------------ */

static bool env_names_equal(const char *a, const char *b)
{
    const size_t a_len = strcspn(a, "=");
    return a_len == strcspn(b, "=") && memcmp(a, b, a_len) == 0;
}

static bool is_replaced(const char *entry, const char *const *additions)
{
    for (size_t i = 0; additions[i] != NULL; i++) {
        if (env_names_equal(entry, additions[i])) {
            return true;
        }
    }
    return false;
}

/* Ours with the additions: an array to free, of strings that are borrowed. */
static char **make_env(const char *const *additions)
{
    size_t ours = 0;
    size_t added = 0;
    while (environ[ours] != NULL) {
        ours++;
    }
    while (additions[added] != NULL) {
        added++;
    }
    tr_assert(added <= TR_PROCESS_ENV_MAX);
    char **env = tr_xalloc((ours + added + 1) * sizeof(*env));
    size_t len = 0;
    for (size_t i = 0; i < added; i++) {
        env[len++] = (char *)(uintptr_t)additions[i];
    }
    for (size_t i = 0; i < ours; i++) {
        if (!is_replaced(environ[i], additions)) {
            env[len++] = environ[i];
        }
    }
    env[len] = NULL;
    return env;
}

static void open_outputs(struct tr_process *process, uv_stdio_container_t *stdio)
{
    for (size_t i = 0; i < OUTPUTS_LEN; i++) {
        struct output *output = tr_xzalloc(sizeof(*output));
        output->process = process;
        output->name = i == 0 ? TR_PROCESS_STDOUT : TR_PROCESS_STDERR;
        output->is_open = true;
        tr_assert(uv_pipe_init(tr_loop_uv(process->loop), &output->pipe, 0) == 0);
        output->pipe.data = output;
        process->outputs[i] = output;
        process->open++;
        stdio[i + 1].flags = UV_CREATE_PIPE | UV_WRITABLE_PIPE;
        stdio[i + 1].data.stream = (uv_stream_t *)&output->pipe;
    }
}

static int spawn(struct tr_process *process, const struct tr_process_conf *conf)
{
    uv_stdio_container_t stdio[OUTPUTS_LEN + 1] = {
        { .flags = UV_IGNORE },
        { .flags = UV_INHERIT_FD, .data.fd = STDOUT_FILENO },
        { .flags = UV_INHERIT_FD, .data.fd = STDERR_FILENO },
    };
    if (!conf->inherits_output) {
        open_outputs(process, stdio);
    }
    char **env = conf->env == NULL ? NULL : make_env(conf->env);
    const uv_process_options_t options = {
        .exit_cb = on_exited,
        .file = conf->argv[0],
        .args = (char **)(uintptr_t)conf->argv, /* libuv only reads them */
        .env = env,
        .cwd = conf->cwd,
        .flags = conf->has_own_group ? UV_PROCESS_DETACHED : 0,
        .stdio_count = OUTPUTS_LEN + 1,
        .stdio = stdio,
    };
    process->uv.data = process;
    process->open++; /* libuv wants the handle closed even if this fails */
    const int status = uv_spawn(tr_loop_uv(process->loop), &process->uv, &options);
    free(env);
    return status;
}

enum tr_code tr_process_start(struct tr_loop *loop, const struct tr_process_conf *conf,
                              struct tr_process **out_process, struct tr_err *err)
{
    tr_loop_assert(loop);
    tr_assert(conf->argv != NULL && conf->argv[0] != NULL);
    struct tr_process *process = tr_xzalloc(sizeof(*process));
    process->loop = loop;
    process->has_own_group = conf->has_own_group;
    process->on_line = conf->on_line;
    process->on_exit = conf->on_exit;
    process->ctx = conf->ctx;
    tr_timer_init(&process->linger, loop, on_linger);
    const int status = spawn(process, conf);
    if (status != 0) {
        tr_err_set(err, tr_uv_code(status), "start '%s': %s", conf->argv[0], tr_uv_text(status));
        process->has_exited = true;
        uv_close((uv_handle_t *)&process->uv, on_handle_closed);
        tr_process_free(&process);
        return err->code;
    }
    process->pid = process->uv.pid;
    for (size_t i = 0; i < OUTPUTS_LEN; i++) {
        if (process->outputs[i] != NULL) {
            tr_assert(
                uv_read_start((uv_stream_t *)&process->outputs[i]->pipe, on_alloc, on_output) == 0);
        }
    }
    *out_process = process;
    return TR_OK;
}

int tr_process_pid(const struct tr_process *process)
{
    tr_loop_assert(process->loop);
    return process->pid;
}

void tr_process_kill(struct tr_process *process, int signum)
{
    tr_loop_assert(process->loop);
    if (process->has_exited) {
        return; /* its number may be somebody else's by now */
    }
    (void)kill(process->has_own_group ? -process->pid : process->pid, signum);
}

void tr_process_free(struct tr_process **process)
{
    struct tr_process *p = *process;
    if (p == NULL) {
        return;
    }
    tr_loop_assert(p->loop);
    *process = NULL;
    p->is_told = true;
    p->is_free = true;
    for (size_t i = 0; i < OUTPUTS_LEN; i++) {
        if (p->outputs[i] != NULL) {
            close_output(p->outputs[i]);
        }
    }
    if (!p->has_exited) {
        p->loop->works_open++; /* the loop waits for it before it goes */
        tr_process_kill(p, SIGKILL);
    }
    free_if_gone(p);
}
