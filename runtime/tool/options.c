/* The command line of `troupe dev`. */
#include "runtime/tool/options.h"

#include "runtime/base/log.h"

#define ROW(field, type, name, value, text)                                                        \
    TR_ARG_ROW(struct tr_dev_flags, field, type, name, value, text)

static const struct tr_arg rows[] = {
    ROW(app_id, TR_ARG_STRING, "app-id", NULL, "id of the app; else made of the folder's name"),
    ROW(app_port, TR_ARG_UINT, "app-port", NULL,
        "port the app listens on, in its environment as APP_PORT; else chosen; 0: it does not "
        "listen"),
    ROW(app_protocol, TR_ARG_STRING, "app-protocol", "http",
        "what the app speaks: http, h2c or grpc"),
    ROW(http_port, TR_ARG_UINT, "dapr-http-port", NULL,
        "port of the HTTP API, for the app as DAPR_HTTP_PORT; else chosen"),
    ROW(grpc_port, TR_ARG_UINT, "dapr-grpc-port", NULL,
        "port of the gRPC API, for the app as DAPR_GRPC_PORT; else chosen"),
    ROW(data_dir, TR_ARG_STRING, "data-dir", "./.troupe",
        "folder of the store; it is made if it is missing"),
    ROW(resources_path, TR_ARG_LIST, "resources-path", NULL,
        "folders with more resources; one with an actor state store replaces the one in the data "
        "folder"),
    ROW(log_level, TR_ARG_STRING, "log-level", "info",
        "of placement and sidecar: debug, info, warn, error or fatal"),
};

static const struct tr_args_spec spec = {
    .program = "troupe dev",
    .style = TR_ARGS_PFLAG,
    .rows = rows,
    .rows_len = TR_ARRAY_LEN(rows),
};

void tr_dev_options_usage(struct tr_buf *out)
{
    tr_buf_add_str(
        out,
        "troupe dev [flags] -- COMMAND [ARGS]   run an app with everything it needs\n"
        "troupe dev [flags] --app-port N        the same for an app that you start yourself\n\n");
    tr_args_usage(&spec, out);
}

void tr_dev_app_id_of(struct tr_slice path, struct tr_buf *out)
{
    const size_t start = out->len;
    struct tr_slice part;
    struct tr_slice name = TR_SLICE_LIT("");
    while (tr_slice_split(&path, '/', &part)) {
        name = part.len > 0 ? part : name;
    }
    bool wants_dash = false;
    for (size_t i = 0; i < name.len; i++) {
        const char c = name.ptr[i];
        const char lower = c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
        if (!(lower >= 'a' && lower <= 'z') && !(lower >= '0' && lower <= '9')) {
            wants_dash = out->len > start;
            continue;
        }
        if (out->len - start + (wants_dash ? 2 : 1) > TR_DEV_APP_ID_MAX) {
            break;
        }
        if (wants_dash) {
            tr_buf_add_char(out, '-');
        }
        wants_dash = false;
        tr_buf_add_char(out, lower);
    }
    if (out->len == start) {
        tr_buf_add_str(out, "app");
    }
}

static enum tr_code take_port(const char *name, uint64_t value, uint16_t *out_port,
                              struct tr_err *err)
{
    if (value > UINT16_MAX) {
        return tr_err_set(err, TR_INVALID,
                          "invalid argument for \"--%s\" flag: a port is at most %u", name,
                          UINT16_MAX);
    }
    *out_port = (uint16_t)value;
    return TR_OK;
}

static enum tr_code check_ports(struct tr_dev_options *o, struct tr_err *err)
{
    enum tr_code rc = take_port("app-port", o->flags.app_port, &o->app_port, err);
    rc = rc == TR_OK ? take_port("dapr-http-port", o->flags.http_port, &o->http_port, err) : rc;
    rc = rc == TR_OK ? take_port("dapr-grpc-port", o->flags.grpc_port, &o->grpc_port, err) : rc;
    if (rc != TR_OK) {
        return rc;
    }
    const uint16_t ports[] = { o->app_port, o->http_port, o->grpc_port };
    for (size_t i = 0; i < TR_ARRAY_LEN(ports); i++) {
        for (size_t j = 0; j < i; j++) {
            if (ports[i] != 0 && ports[i] == ports[j]) {
                return tr_err_set(err, TR_INVALID, "port %u is given twice", ports[i]);
            }
        }
    }
    o->app_listens = !tr_args_is_set(&o->args, "app-port") || o->app_port != 0;
    return TR_OK;
}

static enum tr_code check_app_id(struct tr_dev_options *o, struct tr_slice folder,
                                 struct tr_err *err)
{
    if (!tr_args_is_set(&o->args, "app-id")) {
        tr_dev_app_id_of(folder, &o->app_id);
        return TR_OK;
    }
    const struct tr_slice id = tr_slice_str(o->flags.app_id);
    if (id.len == 0 ||
        tr_slice_find(id, '.') < id.len) { /* the sidecar's own rule; processes 2.2 */
        return tr_err_set(
            err, TR_INVALID,
            "invalid argument \"%s\" for \"--app-id\" flag: it must have letters and no dots",
            o->flags.app_id);
    }
    tr_buf_set(&o->app_id, id);
    return TR_OK;
}

static enum tr_code check_words(struct tr_dev_options *o, struct tr_err *err)
{
    static const char *const protocols[] = { "http", "h2c", "grpc" };
    enum tr_log_level level;
    if (tr_log_level_parse(tr_slice_str(o->flags.log_level), &level, err) != TR_OK) {
        return tr_err_wrap(err, "invalid argument for \"--log-level\" flag");
    }
    if (o->flags.data_dir[0] == '\0') {
        return tr_err_set(err, TR_INVALID,
                          "invalid argument \"\" for \"--data-dir\" flag: it must name a folder");
    }
    for (size_t i = 0; i < TR_ARRAY_LEN(protocols); i++) {
        if (strcmp(o->flags.app_protocol, protocols[i]) == 0) {
            return TR_OK;
        }
    }
    return tr_err_set(
        err, TR_INVALID,
        "invalid argument \"%s\" for \"--app-protocol\" flag: it must be http, h2c or grpc",
        o->flags.app_protocol);
}

/* The command stands after "--"; without one the app is started by hand, and then its port must be
 * known. */
static enum tr_code take_command(struct tr_dev_options *o, int argc, char **argv,
                                 struct tr_err *err)
{
    const int at = o->args.first_word;
    if (at < argc && strcmp(argv[at], "--") != 0) {
        return tr_err_set(err, TR_INVALID, "unexpected word '%s': the command comes after '--'",
                          argv[at]);
    }
    if (at + 1 < argc) {
        o->command = &argv[at + 1];
        return TR_OK;
    }
    if (o->app_port == 0) {
        return tr_err_set(
            err, TR_INVALID,
            "no command: give one after '--', or the port of an app that you start yourself "
            "with --app-port");
    }
    return TR_OK;
}

enum tr_code tr_dev_options_parse(struct tr_dev_options *options, int argc, char **argv,
                                  struct tr_slice folder, struct tr_err *err)
{
    *options = (struct tr_dev_options){ 0 };
    enum tr_code rc = tr_args_parse(&options->args, &spec, argc, argv, &options->flags, err);
    if (rc != TR_OK || options->args.wants_help) {
        return rc;
    }
    rc = check_ports(options, err);
    rc = rc == TR_OK ? check_app_id(options, folder, err) : rc;
    rc = rc == TR_OK ? check_words(options, err) : rc;
    rc = rc == TR_OK ? take_command(options, argc, argv, err) : rc;
    if (rc != TR_OK) {
        tr_dev_options_fini(options);
    }
    return rc;
}

void tr_dev_options_fini(struct tr_dev_options *options)
{
    tr_args_fini(&options->args);
    tr_buf_fini(&options->app_id);
}
