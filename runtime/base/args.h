/*
 * The command line, as Dapr's processes take it: a table of flags, each with the place its value goes to. Pure: writes
 * to nobody and ends nothing; the caller prints and exits.
 *
 *   static const char *id; static int64_t port;
 *   const struct tr_arg table[] = {
 *       { .name = "id", .kind = TR_ARG_STRING, .out.text = &id, .initial = "a", .help = "Member id." },
 *       { .name = "port", .kind = TR_ARG_INT, .out.integer = &port, .initial = "50005", .help = "..." },
 *   };
 *
 * Rules: `--x=v` and `--x v`; a flag of one dash and more than one letter counts as one of two; a bool takes its value
 * only behind `=`; lists are CSV and a repeated flag appends, the first use replacing the default; other repeated flags:
 * the last one counts. Words that are no flag are passed over. `--` ends the flags.
 *
 * Source: spf13/pflag 1.0, as Dapr's cmd/.../options.go use it; placement specification and processes.md 1.1.
 */
#ifndef TR_BASE_ARGS_H
#define TR_BASE_ARGS_H

#include <stdbool.h>
#include <stdint.h>

#include "runtime/base/buf.h"
#include "runtime/base/err.h"

enum tr_arg_kind {
    TR_ARG_TEXT,
    TR_ARG_BOOL,     /* 1 t T true TRUE True 0 f F false FALSE False */
    TR_ARG_INT,      /* decimal, 0x.., 0o.. or 0.., 0b.. */
    TR_ARG_DURATION, /* Go duration, in nanoseconds */
    TR_ARG_LIST,
};

/* Items of one list. */
#define TR_ARG_LIST_MAX 1024

struct tr_arg_list {
    char **items; /* owned, as are the texts */
    size_t len;
};
void tr_arg_list_fini(struct tr_arg_list *list);

struct tr_arg {
    const char *name; /* without dashes */
    enum tr_arg_kind kind;
    union {
        const char **text; /* gets a pointer into argv or `initial` */
        bool *boolean;
        int64_t *integer;
        int64_t *duration_ns;
        struct tr_arg_list *list;
    } out;
    const char *initial;    /* default as it would be typed; NULL for "", false, 0, no items */
    bool *out_is_given;     /* NULL allowed: was it on the command line? */
    const char *help;       /* one line for the usage */
    const char *deprecated; /* NULL, or the hint that follows "Flag --x has been deprecated, " */
    bool is_hidden;         /* not in the usage */
};

struct tr_args_result {
    bool is_help;        /* -h or --help: print the usage, exit 0 */
    int rest;            /* index in argv of the first word behind "--", or argc */
    struct tr_buf notes; /* owned: lines about deprecated flags, for stderr */
};

/*
 * Set every place to its default, then read argv[1] and on. `out_result` is written in any case; free its notes.
 *
 * Errors: TR_INVALID with pflag's text; the caller prints it and the usage to stderr and exits with 2.
 */
enum tr_code tr_args_parse(const struct tr_arg *table, size_t table_len, int argc, char **argv,
                           struct tr_args_result *out_result, struct tr_err *err) TR_MUST_USE;

/* Append the usage: one line per flag that is not hidden, in the order of their names. */
void tr_args_usage(const struct tr_arg *table, size_t table_len, const char *program, struct tr_buf *out);

/*
 * Is the text of an environment variable true? y, yes, true, t, on, 1 in any case, blanks around it; NULL is not.
 * Source: dapr/kit utils/strings.go, IsTruthy.
 */
bool tr_args_is_truthy(const char *text);

#endif
