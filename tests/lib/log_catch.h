/* A log whose lines a test can read: they go to a file in memory, without time, host and version. */
#ifndef TR_TESTS_LOG_CATCH_H
#define TR_TESTS_LOG_CATCH_H

#include "runtime/base/log.h"

struct log_catch {
    struct tr_log_sink sink;
    struct tr_log log;
    struct tr_buf text; /* owned */
};

void log_catch_init(struct log_catch *c);
void log_catch_fini(struct log_catch *c);
/* All lines so far; borrowed until the next call. */
const char *log_catch_text(struct log_catch *c);
/* How often `part` stands in them. */
size_t log_catch_count(struct log_catch *c, const char *part);

#endif
