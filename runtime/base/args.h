/*
 * Command lines as the Dapr binaries read them (Go's pflag, or Go's flag for the operator), from a table that also gives
 * --help. Values land in a struct of the caller's.
 *
 *   static const struct tr_arg rows[] = {
 *       TR_ARG_ROW(struct conf, app_id, TR_ARG_STRING, "app-id", "", "id of the app"),
 *   };
 *   static const struct tr_args_spec spec = { .program = "daprd", .style = TR_ARGS_PFLAG_DASH, .rows = rows, ... };
 *   tr_args_parse_or_exit(&args, &spec, argc, argv, &conf);
 *
 * Source: github.com/spf13/pflag flag.go, string_slice.go; Go flag/flag.go; Dapr cmd/daprd/options.
 */
#ifndef TR_BASE_ARGS_H
#define TR_BASE_ARGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/base/buf.h"
#include "runtime/base/err.h"

enum tr_arg_type {
    TR_ARG_STRING,   /* const char *, borrowed from argv or the table */
    TR_ARG_BOOL,     /* bool; the value may be left out, and then is never the next word */
    TR_ARG_INT,      /* int64_t */
    TR_ARG_UINT,     /* uint64_t */
    TR_ARG_DURATION, /* int64_t nanoseconds */
    TR_ARG_LIST,     /* struct tr_arg_list: CSV, repeated flags append, the first use replaces the default */
};

struct tr_arg_list {
    char **items; /* owned, NUL-terminated texts */
    size_t len;
};

struct tr_arg {
    const char *name;
    enum tr_arg_type type;
    size_t offset;          /* of the value in the caller's struct */
    const char *fallback;   /* default, written as on the command line; NULL for the zero value ("" for a string) */
    const char *help;       /* one line */
    const char *deprecated; /* hint that is printed when it is used, or NULL */
    bool is_hidden;         /* not in --help */
};

#define TR_ARG_ROW(conf, field, arg_type, arg_name, value, text)                                   \
    { .name = (arg_name), .type = (arg_type), .offset = offsetof(conf, field), .fallback = (value), .help = (text) }

enum tr_args_style {
    TR_ARGS_PFLAG,      /* two dashes; words between the flags are passed over */
    TR_ARGS_PFLAG_DASH, /* the same, and one dash will do for names of two letters and more */
    TR_ARGS_GO,         /* one dash or two; the first word ends the flags */
};

#define TR_ARGS_MAX       128 /* rows */
#define TR_ARGS_LIST_MAX  1024 /* items of one list */

struct tr_args_spec {
    const char *program;
    enum tr_args_style style;
    const struct tr_arg *rows;
    size_t rows_len;
};

/* What parsing found besides the values. */
struct tr_args {
    const struct tr_args_spec *spec; /* borrowed */
    void *conf;                      /* borrowed */
    bool is_set[TR_ARGS_MAX];        /* by row: given on the command line */
    bool wants_help;                 /* -h, --help: print tr_args_usage() and exit 0 */
    int first_word;                  /* index in argv of the first that is no flag nor its value ("--" is one), or argc */
    struct tr_buf notes;             /* owned; lines for stderr about deprecated flags */
};

/*
 * Fill `conf` with defaults and then with the command line. argv[0] is passed over.
 *
 * Owns:   lists in `conf` are freed by tr_args_fini(); strings are borrowed from `argv`.
 * Errors: TR_INVALID with the text of pflag or flag; the process prints it with the usage on stderr and exits 2.
 */
enum tr_code tr_args_parse(struct tr_args *args, const struct tr_args_spec *spec, int argc, char **argv, void *conf,
                           struct tr_err *err) TR_MUST_USE;
/* The same with the ends of a program: usage and exit 0 for help, message, usage and exit 2 for an error. */
void tr_args_parse_or_exit(struct tr_args *args, const struct tr_args_spec *spec, int argc, char **argv, void *conf);
void tr_args_fini(struct tr_args *args);

/* Was the flag given? `name` must be in the table. */
bool tr_args_is_set(const struct tr_args *args, const char *name);
/* Append the usage text. */
void tr_args_usage(const struct tr_args_spec *spec, struct tr_buf *buf);

/* Go's strconv.ParseBool: 1 t T true TRUE True 0 f F false FALSE False. */
bool tr_args_parse_bool(struct tr_slice text, bool *out);
/* Truthy strings of environment variables and annotations: y yes true t on 1, any case, blanks around removed. */
bool tr_args_is_truthy(struct tr_slice text);

#endif
