/* Command lines from a table. */
#include "runtime/base/args.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/duration.h"
#include "runtime/base/quote.h"

static void *value_at(const struct tr_args *args, size_t row)
{
    return (char *)args->conf + args->spec->rows[row].offset;
}

bool tr_args_parse_bool(struct tr_slice text, bool *out)
{
    static const char *const words[] = { "1", "t", "T", "true",  "TRUE",  "True",
                                         "0", "f", "F", "false", "FALSE", "False" };
    for (size_t i = 0; i < TR_ARRAY_LEN(words); i++) {
        if (tr_slice_eq_str(text, words[i])) {
            *out = i < TR_ARRAY_LEN(words) / 2;
            return true;
        }
    }
    return false;
}

bool tr_args_is_truthy(struct tr_slice text)
{
    static const char *const words[] = { "y", "yes", "true", "t", "on", "1" };
    for (size_t i = 0; i < TR_ARRAY_LEN(words); i++) {
        if (tr_slice_eq_nocase(tr_slice_trim(text), tr_slice_str(words[i]))) {
            return true;
        }
    }
    return false;
}

/* The base that a prefix names (0x, 0o, 0b, 0), whose letters are cut off. */
static unsigned take_base(struct tr_slice *digits)
{
    if (digits->len < 2 || digits->ptr[0] != '0') {
        return 10;
    }
    const char letter = (char)(digits->ptr[1] | 0x20);
    const unsigned base = letter == 'x' ? 16 : letter == 'o' ? 8 : letter == 'b' ? 2 : 0;
    *digits = tr_slice_skip(*digits, base == 0 ? 1 : 2);
    return base == 0 ? 8 : base;
}

static unsigned digit_of(char c)
{
    const char lower = (char)(c | 0x20);
    if (c >= '0' && c <= '9') {
        return (unsigned)(c - '0');
    }
    return lower >= 'a' && lower <= 'f' ? (unsigned)(lower - 'a') + 10 : 99;
}

/* Why a text is no number, in the words of strconv, or NULL. */
static const char *parse_magnitude(struct tr_slice digits, uint64_t max, uint64_t *out)
{
    const unsigned base = take_base(&digits);
    uint64_t value = 0;
    bool is_large = false;
    for (size_t i = 0; i < digits.len; i++) {
        const unsigned digit = digit_of(digits.ptr[i]);
        if (digit >= base) {
            return "invalid syntax";
        }
        is_large = is_large || __builtin_mul_overflow(value, base, &value) ||
                   __builtin_add_overflow(value, digit, &value) || value > max;
    }
    *out = value;
    return digits.len == 0 ? "invalid syntax" : is_large ? "value out of range" : NULL;
}

static enum tr_code bad_number(const char *function, struct tr_slice text, const char *why,
                               struct tr_err *err)
{
    struct tr_buf quoted = { 0 };
    tr_buf_add_quoted(&quoted, text);
    tr_err_set(err, TR_INVALID, "strconv.%s: parsing %s: %s", function, tr_buf_cstr(&quoted), why);
    tr_buf_fini(&quoted);
    return TR_INVALID;
}

static enum tr_code set_int(int64_t *value, struct tr_slice text, struct tr_err *err)
{
    const bool is_negative = text.len > 0 && text.ptr[0] == '-';
    const bool has_sign = is_negative || (text.len > 0 && text.ptr[0] == '+');
    uint64_t magnitude = 0;
    const char *why = parse_magnitude(tr_slice_skip(text, has_sign ? 1 : 0),
                                      (uint64_t)INT64_MAX + (is_negative ? 1U : 0U), &magnitude);
    if (why != NULL) {
        return bad_number("ParseInt", text, why, err);
    }
    *value = (int64_t)(is_negative ? UINT64_C(0) - magnitude : magnitude);
    return TR_OK;
}

static enum tr_code set_uint(uint64_t *value, struct tr_slice text, struct tr_err *err)
{
    const char *why = parse_magnitude(text, UINT64_MAX, value);
    return why == NULL ? TR_OK : bad_number("ParseUint", text, why, err);
}

static void list_clear(struct tr_arg_list *list)
{
    for (size_t i = 0; i < list->len; i++) {
        free(list->items[i]);
    }
    free(list->items);
    *list = (struct tr_arg_list){ 0 };
}

static enum tr_code list_add(struct tr_arg_list *list, struct tr_slice item, struct tr_err *err)
{
    if (list->len == TR_ARGS_LIST_MAX) {
        return tr_err_set(err, TR_INVALID, "more than %d items", TR_ARGS_LIST_MAX);
    }
    list->items = tr_xrealloc(list->items, (list->len + 1) * sizeof(list->items[0]));
    list->items[list->len++] = tr_xstrdup(item);
    return TR_OK;
}

/* One field of a CSV record into `field`; `*rest` then begins at the comma or is empty. False: wrong quotes. */
static bool take_csv_field(struct tr_slice *rest, struct tr_buf *field)
{
    tr_buf_clear(field);
    if (rest->len == 0 || rest->ptr[0] != '"') {
        const size_t len = tr_slice_find(*rest, ',');
        const struct tr_slice bare = tr_slice(rest->ptr, len);
        tr_buf_add(field, bare);
        *rest = tr_slice_skip(*rest, len);
        return tr_slice_find(bare, '"') == bare.len;
    }
    *rest = tr_slice_skip(*rest, 1);
    for (;;) {
        const size_t len = tr_slice_find(*rest, '"');
        if (len == rest->len) {
            return false;
        }
        tr_buf_add(field, tr_slice(rest->ptr, len));
        *rest = tr_slice_skip(*rest, len + 1);
        if (rest->len == 0 || rest->ptr[0] != '"') {
            return rest->len == 0 || rest->ptr[0] == ',';
        }
        tr_buf_add_char(field, '"');
        *rest = tr_slice_skip(*rest, 1);
    }
}

/* Source: pflag string_slice.go: the value is one CSV record; the empty text is no item. */
static enum tr_code list_add_csv(struct tr_arg_list *list, struct tr_slice text, struct tr_err *err)
{
    struct tr_buf field = { 0 };
    enum tr_code rc = TR_OK;
    bool more = text.len > 0;
    while (more && rc == TR_OK) {
        if (!take_csv_field(&text, &field)) {
            rc = tr_err_set(err, TR_INVALID, "extraneous or missing \" in quoted-field");
            break;
        }
        rc = list_add(list, tr_buf_slice(&field), err);
        more = text.len > 0;
        text = tr_slice_skip(text, 1);
    }
    tr_buf_fini(&field);
    return rc;
}

static enum tr_code set_value(struct tr_args *args, size_t row, const char *text,
                              struct tr_err *err)
{
    void *value = value_at(args, row);
    switch (args->spec->rows[row].type) {
    case TR_ARG_STRING:
        *(const char **)value = text;
        return TR_OK;
    case TR_ARG_BOOL:
        if (!tr_args_parse_bool(tr_slice_str(text), value)) {
            return bad_number("ParseBool", tr_slice_str(text), "invalid syntax", err);
        }
        return TR_OK;
    case TR_ARG_INT:
        return set_int(value, tr_slice_str(text), err);
    case TR_ARG_UINT:
        return set_uint(value, tr_slice_str(text), err);
    case TR_ARG_DURATION:
        return tr_duration_parse(tr_slice_str(text), value, err);
    case TR_ARG_LIST:
        if (!args->is_set[row]) {
            list_clear(value);
        }
        return list_add_csv(value, tr_slice_str(text), err);
    }
    TR_BUG("unknown type of an argument");
}

static void set_defaults(struct tr_args *args)
{
    for (size_t row = 0; row < args->spec->rows_len; row++) {
        const struct tr_arg *arg = &args->spec->rows[row];
        void *value = value_at(args, row);
        if (arg->type == TR_ARG_LIST) {
            *(struct tr_arg_list *)value = (struct tr_arg_list){ 0 };
        }
        static const char *const zero[] = {
            [TR_ARG_STRING] = "", [TR_ARG_BOOL] = "false",  [TR_ARG_INT] = "0",
            [TR_ARG_UINT] = "0",  [TR_ARG_DURATION] = "0s", [TR_ARG_LIST] = "",
        };
        struct tr_err err;
        const enum tr_code rc =
            set_value(args, row, arg->fallback != NULL ? arg->fallback : zero[arg->type], &err);
        tr_assert(rc == TR_OK);
    }
}

static bool find_row(const struct tr_args_spec *spec, struct tr_slice name, size_t *out_row)
{
    for (size_t row = 0; row < spec->rows_len; row++) {
        if (tr_slice_eq_str(name, spec->rows[row].name)) {
            *out_row = row;
            return true;
        }
    }
    return false;
}

/* Cut the dashes off a word; 0 if it is no flag. */
static size_t take_dashes(enum tr_args_style style, struct tr_slice *word)
{
    size_t dashes = 0;
    while (dashes < 2 && dashes < word->len && word->ptr[dashes] == '-') {
        dashes++;
    }
    if (dashes == word->len && dashes == 1) {
        return 0; /* a lone dash is a word */
    }
    *word = tr_slice_skip(*word, dashes);
    if (dashes == 1 && style == TR_ARGS_PFLAG_DASH && word->len > 1) {
        return 2;
    }
    return dashes;
}

static enum tr_code unknown_flag(const struct tr_args_spec *spec, size_t dashes,
                                 struct tr_slice name, struct tr_err *err)
{
    if (spec->style == TR_ARGS_GO) {
        return tr_err_set(err, TR_INVALID, "flag provided but not defined: -%.*s",
                          TR_SLICE_ARG(name));
    }
    if (dashes == 1) {
        return tr_err_set(err, TR_INVALID, "unknown shorthand flag: '%c' in -%.*s", name.ptr[0],
                          TR_SLICE_ARG(name));
    }
    return tr_err_set(err, TR_INVALID, "unknown flag: --%.*s", TR_SLICE_ARG(name));
}

static enum tr_code bad_value(const struct tr_args_spec *spec, const char *name, const char *text,
                              struct tr_err *err)
{
    struct tr_buf quoted = { 0 };
    tr_buf_add_quoted(&quoted, tr_slice_str(text));
    if (spec->style == TR_ARGS_GO) {
        tr_err_wrap(err, "invalid value %s for flag -%s", tr_buf_cstr(&quoted), name);
    } else {
        tr_err_wrap(err, "invalid argument %s for \"--%s\" flag", tr_buf_cstr(&quoted), name);
    }
    tr_buf_fini(&quoted);
    return err->code;
}

/* One flag without its dashes; `*at` is its word and moves on if the next word is its value. */
static enum tr_code parse_flag(struct tr_args *args, size_t dashes, struct tr_slice flag, int argc,
                               char **argv, int *at, struct tr_err *err)
{
    const struct tr_args_spec *spec = args->spec;
    const size_t name_len = tr_slice_find(flag, '=');
    const struct tr_slice name = tr_slice(flag.ptr, name_len);
    const bool is_long = dashes == 2 || spec->style == TR_ARGS_GO;
    if (name.len == 0 || name.ptr[0] == '-') {
        return tr_err_set(err, TR_INVALID, "bad flag syntax: %s", argv[*at]);
    }
    size_t row = 0;
    if (!is_long || !find_row(spec, name, &row)) {
        if (tr_slice_eq_str(name, "h") || (is_long && tr_slice_eq_str(name, "help"))) {
            args->wants_help = true;
            return TR_OK;
        }
        return unknown_flag(spec, dashes, name, err);
    }
    const struct tr_arg *arg = &spec->rows[row];
    const char *text = "true";
    if (name_len < flag.len) {
        text = flag.ptr + name_len + 1; /* argv's words end with NUL */
    } else if (arg->type != TR_ARG_BOOL) {
        if (*at + 1 >= argc) {
            const char *prefix = spec->style == TR_ARGS_GO ? "-" : "--";
            return tr_err_set(err, TR_INVALID, "flag needs an argument: %s%s", prefix, arg->name);
        }
        text = argv[++*at];
    }
    if (set_value(args, row, text, err) != TR_OK) {
        return bad_value(spec, arg->name, text, err);
    }
    args->is_set[row] = true;
    if (arg->deprecated != NULL) {
        tr_buf_addf(&args->notes, "Flag --%s has been deprecated, %s\n", arg->name,
                    arg->deprecated);
    }
    return TR_OK;
}

enum tr_code tr_args_parse(struct tr_args *args, const struct tr_args_spec *spec, int argc,
                           char **argv, void *conf, struct tr_err *err)
{
    tr_assert(spec->rows_len <= TR_ARGS_MAX);
    *args = (struct tr_args){ .spec = spec, .conf = conf };
    args->first_word = argc;
    set_defaults(args);
    for (int at = 1; at < argc && !args->wants_help; at++) {
        struct tr_slice word = tr_slice_str(argv[at]);
        const size_t dashes = take_dashes(spec->style, &word);
        const bool is_end = dashes == 2 && word.len == 0; /* "--" ends the flags */
        if ((is_end || dashes == 0) && args->first_word == argc) {
            args->first_word = at;
        }
        if (is_end || (dashes == 0 && spec->style == TR_ARGS_GO)) {
            break;
        }
        if (dashes == 0) {
            continue;
        }
        const enum tr_code rc = parse_flag(args, dashes, word, argc, argv, &at, err);
        if (rc != TR_OK) {
            tr_args_fini(args);
            return rc;
        }
    }
    return TR_OK;
}

void tr_args_parse_or_exit(struct tr_args *args, const struct tr_args_spec *spec, int argc,
                           char **argv, void *conf)
{
    struct tr_err err;
    struct tr_buf usage = { 0 };
    const enum tr_code rc = tr_args_parse(args, spec, argc, argv, conf, &err);
    if (rc == TR_OK && !args->wants_help) {
        (void)fputs(tr_buf_cstr(&args->notes), stderr);
        return;
    }
    tr_args_usage(spec, &usage);
    if (rc != TR_OK) {
        (void)fprintf(stderr, "%s\n", err.msg);
    }
    (void)fputs(tr_buf_cstr(&usage), stderr);
    tr_buf_fini(&usage);
    exit(rc == TR_OK ? 0 : 2);
}

void tr_args_fini(struct tr_args *args)
{
    for (size_t row = 0; row < args->spec->rows_len; row++) {
        if (args->spec->rows[row].type == TR_ARG_LIST) {
            list_clear(value_at(args, row));
        }
    }
    tr_buf_fini(&args->notes);
}

bool tr_args_is_set(const struct tr_args *args, const char *name)
{
    size_t row = 0;
    const bool found = find_row(args->spec, tr_slice_str(name), &row);
    tr_assert(found);
    return args->is_set[row];
}

void tr_args_usage(const struct tr_args_spec *spec, struct tr_buf *buf)
{
    static const char *const types[] = {
        [TR_ARG_STRING] = " string",     [TR_ARG_BOOL] = "",
        [TR_ARG_INT] = " int",           [TR_ARG_UINT] = " uint",
        [TR_ARG_DURATION] = " duration", [TR_ARG_LIST] = " strings",
    };
    int width = 0;
    for (size_t row = 0; row < spec->rows_len; row++) {
        const struct tr_arg *arg = &spec->rows[row];
        const int len = (int)(strlen(arg->name) + strlen(types[arg->type]));
        width = !arg->is_hidden && len > width ? len : width;
    }
    tr_buf_addf(buf, "Usage of %s:\n", spec->program);
    for (size_t row = 0; row < spec->rows_len; row++) {
        const struct tr_arg *arg = &spec->rows[row];
        if (arg->is_hidden) {
            continue;
        }
        const int pad = width - (int)(strlen(arg->name) + strlen(types[arg->type]));
        tr_buf_addf(buf, "      --%s%s%*s   %s", arg->name, types[arg->type], pad, "", arg->help);
        if (arg->fallback != NULL && arg->fallback[0] != '\0' &&
            strcmp(arg->fallback, "false") != 0) {
            tr_buf_addf(buf, " (default %s)", arg->fallback);
        }
        if (arg->deprecated != NULL) {
            tr_buf_addf(buf, " (DEPRECATED: %s)", arg->deprecated);
        }
        tr_buf_add_char(buf, '\n');
    }
}
