/* Any bytes as the sidecar's command line, a word a line: refused with a text, or values in their ranges. */
#include <stdint.h>
#include <stdlib.h>

#include "runtime/sidecar/options.h"

#define WORDS_MAX 32

static void check_ranges(const struct tr_sidecar_options *o)
{
    tr_assert(o->flags.app_id[0] != '\0');
    tr_assert(o->app_port == 0 || (o->app_port != o->http_port && o->app_port != o->grpc_port));
    tr_assert(o->header_bytes_max > 0);
    tr_assert(o->header_bytes_max <= (uint64_t)TR_SIDECAR_HEADER_BYTES_MAX);
    tr_assert(o->health_interval_ms > 0);
    tr_assert(o->health_timeout_ms > 0);
    tr_assert(o->health_timeout_ms <= o->health_interval_ms);
    tr_assert(o->health_threshold > 0);
    tr_assert(o->grace_ms < INT64_MAX);
    for (size_t i = 0; i < o->placement_addresses_len; i++) {
        tr_assert(o->placement_addresses[i][0] != '\0');
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tr_sidecar_options options = { 0 };
    struct tr_err err;
    char *argv[WORDS_MAX + 1];
    int argc = 0;
    struct tr_slice rest = tr_slice(data, size);
    struct tr_slice word;
    argv[argc++] = tr_xstrdup(TR_SLICE_LIT("daprd"));
    while (argc < WORDS_MAX && tr_slice_split(&rest, '\n', &word)) {
        argv[argc++] = tr_xstrdup(word);
    }
    argv[argc] = NULL;
    if (tr_args_parse(&options.args, &tr_sidecar_args_spec, argc, argv, &options.flags, &err) == TR_OK &&
        tr_sidecar_options_check(&options, &err) == TR_OK) {
        check_ranges(&options);
    }
    tr_sidecar_options_fini(&options);
    for (int i = 0; i < argc; i++) {
        free(argv[i]);
    }
    return 0;
}
