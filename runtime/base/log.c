/*
 * The logger. A line is composed under the sink's lock and written in one piece if the reader has room for it, which is
 * asked before each write, so that the loop thread never waits. What does not fit goes to a bounded backlog and out
 * with a later line; when that is full, lines are dropped and counted, and the count is logged once there is room.
 */
#include "runtime/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "runtime/base/duration.h"
#include "runtime/base/json.h"
#include "runtime/base/quote.h"

#define FATAL_WAIT_MS 1000

/* Source: logrus, Level.MarshalText. */
static const char *const level_names[] = {
    [TR_LOG_DEBUG] = "debug", [TR_LOG_INFO] = "info",   [TR_LOG_WARN] = "warning",
    [TR_LOG_ERROR] = "error", [TR_LOG_FATAL] = "fatal",
};

struct field {
    struct tr_slice key;
    struct tr_slice value;
    bool is_number;
};

struct fields {
    struct field items[TR_LOG_FIELDS_MAX];
    size_t len;
};

static int64_t system_unix_ns(void)
{
    struct timespec now;
    const int rc = clock_gettime(CLOCK_REALTIME, &now);
    tr_assert(rc == 0);
    return (int64_t)now.tv_sec * TR_NS_PER_S + now.tv_nsec;
}

void tr_log_sink_init(struct tr_log_sink *sink)
{
    *sink = (struct tr_log_sink){
        .level = TR_LOG_INFO, .ver = TR_VERSION, .now_unix_ns = system_unix_ns, .fd = STDOUT_FILENO
    };
    if (gethostname(sink->host, sizeof(sink->host) - 1) != 0) {
        (void)snprintf(sink->host, sizeof(sink->host), "localhost");
    }
    sink->instance = sink->host;
    const int rc = pthread_mutex_init(&sink->lock, NULL);
    tr_assert(rc == 0);
}

void tr_log_sink_fini(struct tr_log_sink *sink)
{
    tr_log_sink_flush(sink, FATAL_WAIT_MS);
    if (sink->owns_fd) {
        (void)close(sink->fd);
    }
    tr_buf_fini(&sink->line);
    tr_buf_fini(&sink->facts);
    tr_buf_fini(&sink->backlog);
    (void)pthread_mutex_destroy(&sink->lock);
}

enum tr_code tr_log_sink_open(struct tr_log_sink *sink, const char *path, struct tr_err *err)
{
    const int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0) {
        return tr_err_set(err, TR_IO, "open log file '%s': %s", path, strerrordesc_np(errno));
    }
    if (sink->owns_fd) {
        (void)close(sink->fd);
    }
    sink->fd = fd;
    sink->owns_fd = true;
    return TR_OK;
}

enum tr_code tr_log_level_parse(struct tr_slice name, enum tr_log_level *out_level,
                                struct tr_err *err)
{
    static const char *const flags[] = { "debug", "info", "warn", "error", "fatal" };
    for (size_t i = 0; i < TR_ARRAY_LEN(flags); i++) {
        if (tr_slice_eq_nocase(name, tr_slice_str(flags[i]))) {
            *out_level = (enum tr_log_level)i;
            return TR_OK;
        }
    }
    return tr_err_set(err, TR_INVALID, "invalid value for --log-level: %.*s", TR_SLICE_ARG(name));
}

void tr_log_init(struct tr_log *log, struct tr_log_sink *sink, const char *scope)
{
    log->sink = sink;
    log->scope = scope;
}

static void add_field(struct fields *fields, const char *key, struct tr_slice value)
{
    tr_assert(fields->len < TR_LOG_FIELDS_MAX);
    fields->items[fields->len++] = (struct field){ .key = tr_slice_str(key), .value = value };
}

/* Length of the name if "name=" stands at `text`, else 0. */
static size_t key_len_at(const char *text)
{
    const size_t len =
        strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_");
    return text[len] == '=' ? len : 0;
}

/* Start of the next "name=" behind a blank, or the end of the text. */
static const char *next_key(const char *text)
{
    for (const char *at = strchr(text, ' '); at != NULL; at = strchr(at + 1, ' ')) {
        if (key_len_at(at + 1) > 0) {
            return at + 1;
        }
    }
    return text + strlen(text);
}

/* Is the format of a value one conversion of an integer? */
static bool is_number(struct tr_slice format)
{
    return format.len >= 2 && format.ptr[0] == '%' &&
           memchr(format.ptr + 1, '%', format.len - 1) == NULL &&
           strspn(format.ptr + 1, "hljzt") == format.len - 2 &&
           strchr("diu", format.ptr[format.len - 1]) != NULL;
}

/* Length of what the first `len` bytes of the format print. */
static TR_PRINTF(1, 0) size_t printed_len(const char *format, size_t len, va_list args)
{
    char part[TR_LOG_FORMAT_BYTES_MAX];
    memcpy(part, format, len);
    part[len] = '\0';
    va_list again;
    va_copy(again, args);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral" /* it is a part of a checked literal */
    const int printed = vsnprintf(NULL, 0, part, again);
#pragma GCC diagnostic pop
    va_end(again);
    tr_assert(printed >= 0);
    return (size_t)printed;
}

/*
 * Print the facts and say where each value begins and ends. The places come from printing ever longer parts of the
 * format, so that a value with blanks and equal signs in it cannot forge a fact.
 */
static TR_PRINTF(2, 0) void split_facts(struct tr_buf *text, const char *format, va_list args,
                                        struct fields *fields)
{
    tr_assert(strlen(format) < TR_LOG_FORMAT_BYTES_MAX);
    va_list again;
    va_copy(again, args);
    tr_buf_clear(text);
    tr_buf_vaddf(text, format, again);
    va_end(again);
    size_t at = 0;
    for (const char *key = format; *key != '\0';) {
        const size_t key_len = key_len_at(key);
        tr_assert(key_len > 0);
        tr_assert(fields->len < TR_LOG_FIELDS_MAX);
        const char *next = next_key(key);
        const char *end = *next == '\0' ? next : next - 1;
        const size_t stop = printed_len(format, (size_t)(end - format), args);
        const size_t start = at + key_len + 1;
        tr_assert(start <= stop && stop <= text->len);
        const char *value = key + key_len + 1;
        fields->items[fields->len++] = (struct field){
            .key = tr_slice(key, key_len),
            .value = tr_slice(text->ptr + start, stop - start),
            .is_number = is_number(tr_slice(value, (size_t)(end - value))),
        };
        at = stop + 1;
        key = next;
    }
}

static int compare_keys(const void *a, const void *b)
{
    return tr_slice_cmp(((const struct field *)a)->key, ((const struct field *)b)->key);
}

/* Source: logrus text_formatter.go, needsQuoting. */
static bool is_bare(struct tr_slice value)
{
    for (size_t i = 0; i < value.len; i++) {
        const char c = value.ptr[i];
        const bool is_plain =
            (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!is_plain && (c == '\0' || strchr("-._/@^+", c) == NULL)) {
            return false;
        }
    }
    return value.len > 0;
}

static void add_text_field(struct tr_buf *line, struct tr_slice key, struct tr_slice value)
{
    if (line->len > 0) {
        tr_buf_add_char(line, ' ');
    }
    tr_buf_add(line, key);
    tr_buf_add_char(line, '=');
    if (is_bare(value)) {
        tr_buf_add(line, value);
    } else {
        tr_buf_add_quoted(line, value);
    }
}

static void add_json_field(struct tr_json_out *out, const struct field *field)
{
    tr_json_key_slice(out, field->key);
    if (field->is_number) {
        tr_json_raw(out, field->value);
    } else {
        tr_json_str(out, field->value);
    }
}

/* RFC 3339 in the local zone. */
static void add_time(const struct tr_log_sink *sink, struct tr_buf *text)
{
    const int64_t now_ns = sink->now_unix_ns();
    const time_t seconds = (time_t)(now_ns / TR_NS_PER_S);
    struct tm local = { 0 };
    const int offset_s = localtime_r(&seconds, &local) == NULL ? 0 : (int)local.tm_gmtoff;
    tr_time_add_nano(text, now_ns, offset_s);
}

/*
 * Put the line together. In text, time, level and message stand first and in this order; in JSON they are sorted with
 * the others.
 * Source: logrus text_formatter.go and json_formatter.go, with Dapr's constant keys.
 */
static void compose(const struct tr_log *log, enum tr_log_level level, struct tr_slice event,
                    struct fields *fields)
{
    struct tr_log_sink *sink = log->sink;
    struct tr_buf time_text = { 0 };
    add_time(sink, &time_text);
    if (sink->app_id != NULL) {
        add_field(fields, "app_id", tr_slice_str(sink->app_id));
    }
    add_field(fields, "instance", tr_slice_str(sink->instance));
    add_field(fields, "scope", tr_slice_str(log->scope));
    add_field(fields, "type", TR_SLICE_LIT("log"));
    add_field(fields, "ver", tr_slice_str(sink->ver));
    tr_buf_clear(&sink->line);
    if (sink->json) {
        add_field(fields, "time", tr_buf_slice(&time_text));
        add_field(fields, "level", tr_slice_str(level_names[level]));
        add_field(fields, "msg", event);
    } else {
        add_text_field(&sink->line, TR_SLICE_LIT("time"), tr_buf_slice(&time_text));
        add_text_field(&sink->line, TR_SLICE_LIT("level"), tr_slice_str(level_names[level]));
        add_text_field(&sink->line, TR_SLICE_LIT("msg"), event);
    }
    qsort(fields->items, fields->len, sizeof(fields->items[0]), compare_keys);
    struct tr_json_out out;
    tr_json_out_init(&out, &sink->line);
    if (sink->json) {
        tr_json_begin_object(&out);
    }
    for (size_t i = 0; i < fields->len; i++) {
        if (sink->json) {
            add_json_field(&out, &fields->items[i]);
        } else {
            add_text_field(&sink->line, fields->items[i].key, fields->items[i].value);
        }
    }
    if (sink->json) {
        tr_json_end_object(&out);
    }
    tr_buf_add_char(&sink->line, '\n');
    tr_buf_fini(&time_text);
}

/* Can at least PIPE_BUF bytes be written without waiting? An error counts: the write will tell. */
static bool has_room(int fd, int wait_ms)
{
    struct pollfd poller = { .fd = fd, .events = POLLOUT };
    return poll(&poller, 1, wait_ms) > 0;
}

/* Write as much as there is room for; returns the bytes that are settled. A line that cannot be written is given up. */
static size_t write_some(int fd, struct tr_slice bytes, int wait_ms)
{
    size_t done = 0;
    while (done < bytes.len && has_room(fd, wait_ms)) {
        const size_t left = bytes.len - done;
        const ssize_t len = write(fd, bytes.ptr + done, left < PIPE_BUF ? left : PIPE_BUF);
        if (len >= 0) {
            done += (size_t)len;
        } else if (errno != EINTR && errno != EAGAIN) {
            return bytes.len;
        }
    }
    return done;
}

/* Send the composed line after what waits already. */
static void emit(struct tr_log_sink *sink)
{
    tr_buf_drop(&sink->backlog, write_some(sink->fd, tr_buf_slice(&sink->backlog), 0));
    if (sink->backlog.len > 0 && sink->backlog.len + sink->line.len > TR_LOG_BACKLOG_BYTES_MAX) {
        sink->dropped_len++;
        return;
    }
    size_t done = 0;
    if (sink->backlog.len == 0) {
        done = write_some(sink->fd, tr_buf_slice(&sink->line), 0);
    }
    tr_buf_add(&sink->backlog, tr_slice_skip(tr_buf_slice(&sink->line), done));
}

static void emit_dropped(struct tr_log_sink *sink)
{
    if (sink->dropped_len == 0 || sink->backlog.len > TR_LOG_BACKLOG_BYTES_MAX / 2) {
        return;
    }
    char count[32];
    const int len = snprintf(count, sizeof(count), "%" PRIu64, sink->dropped_len);
    struct fields fields = { 0 };
    add_field(&fields, "lines", tr_slice(count, (size_t)len));
    const struct tr_log log = { .sink = sink, .scope = "dapr.log" };
    compose(&log, TR_LOG_WARN, TR_SLICE_LIT("log lines dropped: the reader is too slow"), &fields);
    sink->dropped_len = 0;
    emit(sink);
}

void tr_log_sink_flush(struct tr_log_sink *sink, int wait_ms)
{
    (void)pthread_mutex_lock(&sink->lock);
    tr_buf_drop(&sink->backlog, write_some(sink->fd, tr_buf_slice(&sink->backlog), wait_ms));
    emit_dropped(sink);
    (void)pthread_mutex_unlock(&sink->lock);
}

static void write_line(const struct tr_log *log, enum tr_log_level level, struct tr_slice event,
                       struct fields *fields)
{
    compose(log, level, event, fields);
    emit(log->sink);
    emit_dropped(log->sink);
}

void tr_log_write(const struct tr_log *log, enum tr_log_level level, const char *event,
                  const char *fields, ...)
{
    tr_assert(level < TR_LOG_OFF);
    if (!tr_log_enabled(log, level)) {
        return;
    }
    struct fields all = { 0 };
    (void)pthread_mutex_lock(&log->sink->lock);
    if (fields != NULL) {
        va_list args;
        va_start(args, fields);
        split_facts(&log->sink->facts, fields, args, &all);
        va_end(args);
    }
    write_line(log, level, tr_slice_str(event), &all);
    (void)pthread_mutex_unlock(&log->sink->lock);
}

static TR_PRINTF(3, 0) void write_text(const struct tr_log *log, enum tr_log_level level,
                                       const char *fmt, va_list args)
{
    if (!tr_log_enabled(log, level)) {
        return;
    }
    struct fields none = { 0 };
    struct tr_buf event = { 0 };
    tr_buf_vaddf(&event, fmt, args);
    (void)pthread_mutex_lock(&log->sink->lock);
    write_line(log, level, tr_buf_slice(&event), &none);
    (void)pthread_mutex_unlock(&log->sink->lock);
    tr_buf_fini(&event);
}

void tr_log_text(const struct tr_log *log, enum tr_log_level level, const char *fmt, ...)
{
    tr_assert(level < TR_LOG_OFF);
    va_list args;
    va_start(args, fmt);
    write_text(log, level, fmt, args);
    va_end(args);
}

_Noreturn void tr_log_fatal(const struct tr_log *log, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    write_text(log, TR_LOG_FATAL, fmt, args);
    va_end(args);
    tr_log_sink_flush(log->sink, FATAL_WAIT_MS);
    _exit(1);
}

#define LIMIT_WINDOW_MS_DEFAULT 10000
#define LIMIT_BURST_DEFAULT     5

bool tr_log_limit_pass(struct tr_log_limit *limit, uint64_t now_ms, uint64_t *out_suppressed)
{
    const uint64_t window_ms = limit->window_ms > 0 ? limit->window_ms : LIMIT_WINDOW_MS_DEFAULT;
    const unsigned burst = limit->burst > 0 ? limit->burst : LIMIT_BURST_DEFAULT;
    tr_assert(now_ms >= limit->started_ms);
    if (limit->used_len == 0 || now_ms - limit->started_ms >= window_ms) {
        limit->started_ms = now_ms;
        limit->used_len = 0;
    }
    if (limit->used_len >= burst) {
        limit->suppressed_len++;
        return false;
    }
    limit->used_len++;
    *out_suppressed = limit->suppressed_len;
    limit->suppressed_len = 0;
    return true;
}
