/*
 * The one logger. A sink is where lines go and what all of them share; a log is a sink with a scope and is cheap to
 * make. A line is a constant event text and then `key=value` facts, in Dapr's line format or as JSON:
 *
 *   tr_log_info(log, "table applied", "version=%" PRIu64 " hosts=%zu", version, hosts_len);
 *   time="2026-08-02T10:00:00.123Z" level=info msg="table applied" hosts=3 instance=box scope=dapr.placement ...
 *
 * Levels: error: an operator must act. warn: degraded, we cope. info: start, stop, topology. debug: one call. Never
 * payloads, state keys, tokens or certificates; what a peer can provoke passes a tr_log_limit.
 *
 * Source: format of logrus' text and JSON formatters as Dapr's logger sets them up (dapr/kit logger/dapr_logger.go).
 */
#ifndef TR_BASE_LOG_H
#define TR_BASE_LOG_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "runtime/base/buf.h"
#include "runtime/base/err.h"
#include "runtime/base/slice.h"

enum tr_log_level {
    TR_LOG_DEBUG,
    TR_LOG_INFO,
    TR_LOG_WARN,
    TR_LOG_ERROR,
    TR_LOG_FATAL,
    TR_LOG_OFF, /* as a sink's level: nothing is written */
};

/* Bytes kept for a reader that is slow; lines that do not fit are dropped and counted. */
#define TR_LOG_BACKLOG_BYTES_MAX (1024U * 1024U)
/* Facts of one line, those that every line has included; and bytes of a format of facts. */
#define TR_LOG_FIELDS_MAX 24
#define TR_LOG_FORMAT_BYTES_MAX 512

struct tr_log_sink {
    /* Set after tr_log_sink_init() and before the first line; texts are borrowed and outlive the sink. */
    enum tr_log_level level;        /* default TR_LOG_INFO */
    bool json;                      /* default false */
    const char *app_id;             /* NULL (default): no such key */
    const char *instance;           /* default: the host name */
    const char *ver;                /* default: TR_VERSION */
    int64_t (*now_unix_ns)(void);   /* default: the system's wall clock; the simulation and tests put their own */
    int fd;                         /* default: stdout */
    /* private */
    bool owns_fd;
    char host[256];
    pthread_mutex_t lock;   /* guards what follows, and keeps lines whole */
    struct tr_buf line;     /* owned; the line under way */
    struct tr_buf facts;    /* owned; the facts of the line under way */
    struct tr_buf backlog;  /* owned; lines that the reader has not taken yet */
    uint64_t dropped_len;   /* lines lost since the last that got through */
};

/* Defaults as above. Thread: any, before use. */
void tr_log_sink_init(struct tr_log_sink *sink);
/* Write what is left, waiting at most a second for the reader; close the file if tr_log_sink_open() opened it. */
void tr_log_sink_fini(struct tr_log_sink *sink);
/* Append to the file at `path` from now on. Errors: TR_IO. */
enum tr_code tr_log_sink_open(struct tr_log_sink *sink, const char *path, struct tr_err *err) TR_MUST_USE;
/*
 * Write what a slow reader left behind: without waiting, or for at most `wait_ms`. A line does this by itself; a
 * process also calls it now and then, so that the last lines do not linger.
 */
void tr_log_sink_flush(struct tr_log_sink *sink, int wait_ms);

/*
 * Level of a name as --log-level takes it: "debug", "info", "warn", "error", "fatal", in any case.
 * Errors: TR_INVALID with Dapr's text.
 */
enum tr_code tr_log_level_parse(struct tr_slice name, enum tr_log_level *out_level, struct tr_err *err) TR_MUST_USE;

struct tr_log {
    struct tr_log_sink *sink; /* borrowed */
    const char *scope;        /* borrowed, static as a rule: "dapr.runtime" */
};

void tr_log_init(struct tr_log *log, struct tr_log_sink *sink, const char *scope);

static inline bool tr_log_enabled(const struct tr_log *log, enum tr_log_level level)
{
    return level >= log->sink->level;
}

/*
 * Write one line. `fields` is NULL or a format of facts separated by one blank, "key=%d other=%s": a new fact begins at
 * a blank that is followed by `name=` in the format itself, whatever the values contain. In JSON, a fact that is one
 * integer conversion becomes a number, any other a string. Use the macros below: they skip the call when the level is
 * off.
 *
 * Thread: any. Cost: one poll and one write; does not wait for the reader. A process that logs to a pipe ignores SIGPIPE.
 */
void tr_log_write(const struct tr_log *log, enum tr_log_level level, const char *event, const char *fields, ...)
    TR_PRINTF(4, 5);

/* A line without facts whose text is put together: for texts that Dapr's users wait for word by word. */
void tr_log_text(const struct tr_log *log, enum tr_log_level level, const char *fmt, ...) TR_PRINTF(3, 4);

#define TR_LOG_AT(log, level, ...)                                                                 \
    (tr_log_enabled((log), (level)) ? tr_log_write((log), (level), __VA_ARGS__) : (void)0)

/* tr_log_info(log, event, fields, ...): `fields` is NULL for a bare event. */
#define tr_log_debug(log, ...) TR_LOG_AT(log, TR_LOG_DEBUG, __VA_ARGS__)
#define tr_log_info(log, ...)  TR_LOG_AT(log, TR_LOG_INFO, __VA_ARGS__)
#define tr_log_warn(log, ...)  TR_LOG_AT(log, TR_LOG_WARN, __VA_ARGS__)
#define tr_log_error(log, ...) TR_LOG_AT(log, TR_LOG_ERROR, __VA_ARGS__)

/* Write one line of level fatal whose text is put together, flush, and end the process with status 1 at once. */
_Noreturn void tr_log_fatal(const struct tr_log *log, const char *fmt, ...) TR_PRINTF(2, 3);

/*
 * Rate limit for one call site that a peer can provoke: `burst` lines per `window_ms`, the rest is counted.
 * Fill the first two fields (zero gives 5 lines in 10 s), leave the others zero. Thread: one owner.
 */
struct tr_log_limit {
    uint64_t window_ms;
    unsigned burst;
    unsigned used_len;       /* private */
    uint64_t started_ms;     /* private */
    uint64_t suppressed_len; /* private */
};

/*
 * May a line be written at `now_ms`? If so, `*out_suppressed` says how many were held back since the last one that
 * passed; put it into the line.
 */
bool tr_log_limit_pass(struct tr_log_limit *limit, uint64_t now_ms, uint64_t *out_suppressed);

#endif
