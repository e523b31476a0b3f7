/* Any bytes as the answer to GET /dapr/config: refused whole, or types with sane settings. */
#include <stdint.h>
#include <stdlib.h>

#include "runtime/app/config.h"
#include "runtime/base/log.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct tr_log_sink sink;
    static struct tr_log log;
    if (log.sink == NULL) {
        tr_log_sink_init(&sink);
        sink.level = TR_LOG_OFF;
        tr_log_init(&log, &sink, "fuzz");
    }
    struct tr_app_config config = { 0 };
    struct tr_err err;
    if (tr_app_config_parse(tr_slice(data, size), &log, &config, &err) != TR_OK) {
        tr_assert(config.types == NULL);
        tr_assert(err.code == TR_INVALID || err.code == TR_LIMIT);
        return 0;
    }
    tr_assert(config.types_len <= TR_APP_TYPES_MAX);
    for (size_t i = 0; i < config.types_len; i++) {
        tr_assert(config.types[i].depth_max > 0);
        tr_assert(tr_app_config_set(&config, tr_buf_slice(&config.types[i].name), &(struct tr_app_entry){ 0 }));
    }
    tr_app_config_fini(&config);
    return 0;
}
