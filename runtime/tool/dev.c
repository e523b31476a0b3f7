/* `troupe dev`: command line, folders, ports; then the course. */
#include "runtime/tool/dev.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/tool/course.h"
#include "runtime/tool/data.h"
#include "runtime/tool/options.h"

#define STATUS_FAILED 1
#define STATUS_USAGE  2

static const int signals[] = { SIGINT, SIGTERM, SIGHUP };

struct dev {
    const struct tr_dev_options *options; /* borrowed */
    struct tr_loop *loop;
    struct tr_dev_out out;
    struct tr_ports ports;
    struct tr_data data;
    struct tr_words folders; /* for the sidecar */
    struct tr_buf self;
    struct tr_buf meet_folder;
    struct tr_launch launch;
    struct tr_course course;
    struct tr_signal_watch *watches[TR_ARRAY_LEN(signals)];
};

/* --- set up ----------------------------------------------------------------------------------- */

/* The path that shows in lists of processes; or the link that works even when the file was replaced
 * by a new build. */
static void find_self(struct tr_buf *out)
{
    static const char link[] = "/proc/self/exe";
    char path[PATH_MAX];
    struct stat ours;
    struct stat there;
    const ssize_t n = readlink(link, path, sizeof(path) - 1);
    if (n > 0) {
        path[n] = '\0';
        if (stat(link, &ours) == 0 && stat(path, &there) == 0 && ours.st_ino == there.st_ino &&
            ours.st_dev == there.st_dev) {
            tr_buf_add_str(out, path);
            return;
        }
    }
    tr_buf_add_str(out, link);
}

/* The user's folder for such files, if it is there and his; a shell of another user may have kept
 * the variable. */
static const char *runtime_dir(void)
{
    const char *dir = getenv("XDG_RUNTIME_DIR");
    struct stat st;
    const bool is_good =
        dir != NULL && stat(dir, &st) == 0 && S_ISDIR(st.st_mode) && st.st_uid == geteuid();
    return is_good ? dir : NULL;
}

/* A port that was asked for, or a free one. */
static enum tr_code settle_port(struct dev *dev, uint16_t wanted, uint16_t *out_port,
                                struct tr_err *err)
{
    if (wanted == 0) {
        return tr_ports_choose(&dev->ports, out_port, err);
    }
    *out_port = wanted;
    return TR_OK;
}

static enum tr_code settle_ports(struct dev *dev, struct tr_err *err)
{
    const struct tr_dev_options *o = dev->options;
    const uint16_t asked[] = { o->app_port, o->http_port, o->grpc_port };
    for (size_t i = 0; i < TR_ARRAY_LEN(asked); i++) {
        tr_ports_reserve(&dev->ports, asked[i]);
    }
    const uint16_t own[] = { o->http_port, o->grpc_port };
    for (size_t i = 0; i < TR_ARRAY_LEN(own); i++) {
        if (own[i] != 0 && !tr_port_is_free(dev->loop, own[i])) {
            return tr_err_set(err, TR_EXISTS, "port %u is taken by another program", own[i]);
        }
    }
    enum tr_code rc =
        o->app_listens ? settle_port(dev, o->app_port, &dev->launch.app_port, err) : TR_OK;
    rc = rc == TR_OK ? settle_port(dev, o->http_port, &dev->launch.http_port, err) : rc;
    rc = rc == TR_OK ? settle_port(dev, o->grpc_port, &dev->launch.grpc_port, err) : rc;
    return rc == TR_OK ? tr_ports_choose(&dev->ports, &dev->launch.metrics_port, err) : rc;
}

/* The user's folders, and ours unless they have an actor state store. */
static enum tr_code settle_folders(struct dev *dev, struct tr_err *err)
{
    const struct tr_arg_list *given = &dev->options->flags.resources_path;
    bool has_store = false;
    enum tr_code rc = given->len == 0
                          ? TR_OK
                          : tr_data_has_actor_store(given, dev->launch.app_id, &has_store, err);
    if (rc != TR_OK) {
        return tr_err_wrap(err, "resources");
    }
    for (size_t i = 0; i < given->len; i++) {
        tr_words_addf(&dev->folders, "%s", given->items[i]);
    }
    if (!has_store) {
        rc = tr_data_prepare(&dev->data, dev->options->flags.data_dir, err);
        if (rc != TR_OK) {
            return tr_err_wrap(err, "data folder");
        }
        tr_words_addf(&dev->folders, "%s", tr_buf_cstr(&dev->data.components));
        dev->course.state = tr_buf_cstr(&dev->data.state);
    }
    dev->launch.folders = tr_words_list(&dev->folders);
    dev->launch.folders_len = dev->folders.len;
    return TR_OK;
}

static void on_signal(void *ctx, int signum)
{
    struct dev *dev = ctx;
    tr_course_signal(&dev->course, signum);
}

/* `nohup` ignores SIGHUP on our behalf, and that holds. */
static bool is_ignored(int signum)
{
    struct sigaction action;
    return signum == SIGHUP && sigaction(signum, NULL, &action) == 0 &&
           action.sa_handler == SIG_IGN;
}

static enum tr_code watch_signals(struct dev *dev, struct tr_err *err)
{
    for (size_t i = 0; i < TR_ARRAY_LEN(signals); i++) {
        if (is_ignored(signals[i])) {
            continue;
        }
        const enum tr_code rc =
            tr_signal_watch_new(dev->loop, signals[i], on_signal, dev, &dev->watches[i], err);
        if (rc != TR_OK) {
            return rc;
        }
    }
    return TR_OK;
}

/* --- run -------------------------------------------------------------------------------------- */

static int run(struct dev *dev)
{
    struct tr_err err;
    enum tr_code rc = settle_folders(dev, &err);
    rc = rc == TR_OK ? settle_ports(dev, &err) : rc;
    if (rc != TR_OK) {
        tr_dev_complain(&dev->out, "%s", err.msg);
        return STATUS_FAILED;
    }
    int status = STATUS_FAILED;
    rc = tr_course_start(&dev->course, &err);
    rc = rc == TR_OK ? watch_signals(dev, &err) : rc;
    if (rc == TR_OK) {
        tr_loop_run(dev->loop);
        status = tr_course_exit_status(&dev->course);
    } else {
        tr_dev_complain(&dev->out, "%s", err.msg);
    }
    for (size_t i = 0; i < TR_ARRAY_LEN(signals); i++) {
        tr_signal_watch_free(&dev->watches[i]);
    }
    tr_course_fini(&dev->course);
    return status;
}

static int run_options(const struct tr_dev_options *options)
{
    struct tr_buf app_id = { 0 };
    struct dev *dev = tr_xzalloc(sizeof(*dev));
    dev->options = options;
    dev->loop = tr_loop_new();
    tr_ports_init(&dev->ports, dev->loop);
    find_self(&dev->self);
    tr_meet_folder(runtime_dir(), geteuid(), &dev->meet_folder);
    tr_buf_add(&app_id, tr_buf_slice(&options->app_id));
    dev->launch.self = tr_buf_cstr(&dev->self);
    dev->launch.app_id = tr_buf_cstr(&app_id);
    dev->launch.app_protocol = options->flags.app_protocol;
    dev->launch.log_level = options->flags.log_level;
    dev->course.loop = dev->loop;
    dev->course.out = &dev->out;
    dev->course.launch = &dev->launch;
    dev->course.ports = &dev->ports;
    dev->course.meet_folder = tr_buf_cstr(&dev->meet_folder);
    dev->course.command = options->command;
    dev->course.has_token = getenv("DAPR_API_TOKEN") != NULL && getenv("DAPR_API_TOKEN")[0] != '\0';
    const int status = run(dev);
    tr_loop_free(&dev->loop);
    tr_words_fini(&dev->folders);
    tr_data_fini(&dev->data);
    tr_buf_fini(&dev->self);
    tr_buf_fini(&dev->meet_folder);
    tr_buf_fini(&app_id);
    tr_dev_out_fini(&dev->out);
    free(dev);
    return status;
}

static void print_usage(FILE *to, const char *why)
{
    struct tr_buf text = { 0 };
    tr_dev_options_usage(&text);
    if (why != NULL) {
        (void)fprintf(to, "%s\n\n", why);
    }
    (void)fputs(tr_buf_cstr(&text), to);
    tr_buf_fini(&text);
}

int tr_dev_main(int argc, char **argv)
{
    struct tr_dev_options options;
    struct tr_err err;
    if (argc > 1 && strcmp(argv[1], TR_CHILD_EXEC) == 0) {
        return tr_child_exec_main(argc - 2, argv + 2);
    }
    char *folder = getcwd(NULL, 0);
    const enum tr_code rc = tr_dev_options_parse(&options, argc, argv, tr_slice_str(folder), &err);
    free(folder);
    if (rc != TR_OK) {
        print_usage(stderr, err.msg);
        return STATUS_USAGE;
    }
    int status = 0;
    if (options.args.wants_help) {
        print_usage(stdout, NULL);
    } else {
        status = run_options(&options);
    }
    tr_dev_options_fini(&options);
    return status;
}
