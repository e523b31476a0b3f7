/* The command line of `troupe dev`, checked and worked out. */
#ifndef TR_TOOL_OPTIONS_H
#define TR_TOOL_OPTIONS_H

#include "runtime/base/args.h"
#include "runtime/base/buf.h"
#include "runtime/base/err.h"

/* As given; strings are borrowed from argv or the table. */
struct tr_dev_flags {
    const char *app_id;
    uint64_t app_port;
    const char *app_protocol;
    uint64_t http_port;
    uint64_t grpc_port;
    const char *data_dir;
    struct tr_arg_list resources_path;
    const char *log_level;
};

struct tr_dev_options {
    struct tr_dev_flags flags; /* owned */
    struct tr_args args;       /* owned */
    struct tr_buf app_id;      /* owned, never empty */
    bool app_listens;          /* false: `--app-port 0`, the app only calls */
    uint16_t app_port;         /* 0: not given, to be chosen */
    uint16_t http_port;        /* 0: the same */
    uint16_t grpc_port;        /* 0: the same */
    char *const *command;      /* borrowed from argv, ends with NULL; NULL if there is none */
};

/*
 * Fill `options` from the command line; argv[0] is passed over. `folder` is the path that gives the
 * app's id if there is no --app-id. When args.wants_help is set, nothing but it is worked out.
 *
 * Owns:   tr_dev_options_fini(), not after an error.
 * Errors: TR_INVALID, to be shown with the usage.
 */
TR_MUST_USE enum tr_code tr_dev_options_parse(struct tr_dev_options *options, int argc, char **argv,
                                              struct tr_slice folder, struct tr_err *err);
void tr_dev_options_fini(struct tr_dev_options *options);

void tr_dev_options_usage(struct tr_buf *out);

/*
 * Append an app id made of the last part of a path: small letters, digits and single dashes between
 * them; "app" if nothing is left. Cut to TR_DEV_APP_ID_MAX.
 */
#define TR_DEV_APP_ID_MAX 63U
void tr_dev_app_id_of(struct tr_slice path, struct tr_buf *out);

#endif
