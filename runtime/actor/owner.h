/* The owner of an actor as placement's client knows it: the table of functions that the engine wants. */
#ifndef TR_ACTOR_OWNER_H
#define TR_ACTOR_OWNER_H

#include "runtime/actor/engine.h"

/* Owns: `client` is borrowed for the engine's life. */
struct tr_actor_owner tr_actor_owner_placement(struct tr_placement_client *client);

#endif
