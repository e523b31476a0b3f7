/*
 * Calls to actors on other sidecars: CallActor and CallActorReminder of dapr.proto.internals.v1.ServiceInvocation.
 * Source: Dapr pkg/actors/router, pkg/api/grpc/callactor.go (1.18); actors 10.2.
 */
#ifndef TR_ACTOR_REMOTE_H
#define TR_ACTOR_REMOTE_H

#include "invoke/peers.h"
#include "runtime/actor/engine.h"

#define TR_PATH_CALL_ACTOR          "/dapr.proto.internals.v1.ServiceInvocation/CallActor"
#define TR_PATH_CALL_ACTOR_REMINDER "/dapr.proto.internals.v1.ServiceInvocation/CallActorReminder"

/* The engine's `remote` over these channels, borrowed for the engine's life. */
struct tr_actor_remote tr_actor_remote_over(struct tr_peers *peers);

#endif
