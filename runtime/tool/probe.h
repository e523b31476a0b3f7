/* Ask a URL on this machine again and again until it answers with the status that is waited for. */
#ifndef TR_TOOL_PROBE_H
#define TR_TOOL_PROBE_H

#include <stdint.h>

#include "runtime/base/loop.h"
#include "runtime/base/slice.h"

#define TR_PROBE_EVERY_MS   25U   /* between the end of one try and the next */
#define TR_PROBE_REQUEST_MS 2000U /* one try */
#define TR_PROBE_BODY_MAX   (1U << 20U)
#define TR_PROBE_ANY        0 /* as status: every answer will do */

struct tr_probe;
/* Comes once. `body` is what was answered, borrowed. The probe may be freed in it. */
typedef void tr_probe_fn(void *ctx, struct tr_slice body);

/* GET http://127.0.0.1:port/target until it answers `status`. `target` is static text. */
struct tr_probe *tr_probe_new(struct tr_loop *loop, uint16_t port, const char *target, int status,
                              tr_probe_fn *cb, void *ctx);
/* No callback after this; NULL is accepted and left behind, the memory goes on a later turn. */
void tr_probe_free(struct tr_probe **probe);

#endif
