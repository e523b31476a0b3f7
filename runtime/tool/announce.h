/* What `troupe dev` says when all is ready: the URLs to call. Pure. */
#ifndef TR_TOOL_ANNOUNCE_H
#define TR_TOOL_ANNOUNCE_H

#include "runtime/tool/launch.h"

/*
 * Append lines, each with its line feed. `state` is the folder of our store, or NULL if the user
 * brought one; `has_token`: the API asks for one; `metadata` is the sidecar's answer to GET
 * /v1.0/metadata, from which the example takes an actor type that the app hosts.
 */
void tr_announce(const struct tr_launch *launch, const char *state, bool has_token,
                 struct tr_slice metadata, struct tr_buf *out);

#endif
