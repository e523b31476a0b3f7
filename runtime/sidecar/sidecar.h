/*
 * One sidecar built of its parts, from the start to the end of one run. SIGHUP ends a run and begins the next one in the
 * same process.
 *
 *   STARTING --> WAITING (for the app) --> RUNNING --> (BLOCKED) --> STOPPING --> STOPPED
 *
 * Start order: metrics, the internal port, components, gRPC and HTTP APIs, internal service, actors, the app. Stop order:
 * the API servers refuse new work, the actor engine drains and deactivates while the app's channel still works, the
 * placement stream is left, then app channel, stores, peers and gRPC are closed.
 *
 * Source: Dapr pkg/runtime/runtime.go (1.18); processes 2.5-2.9, invocation 11.
 */
#ifndef TR_SIDECAR_SIDECAR_H
#define TR_SIDECAR_SIDECAR_H

#include "runtime/base/log.h"
#include "runtime/sidecar/options.h"

/*
 * Run a sidecar until it is told to stop; after a SIGHUP another one, each on a new loop. Fatal errors end the process with
 * status 1 from inside.
 */
void tr_sidecar_run(const struct tr_sidecar_options *options, struct tr_log_sink *sink);

#endif
