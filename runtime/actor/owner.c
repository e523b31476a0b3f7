/* See owner.h. One function of placement/client.h behind each of the engine's. */
#include "runtime/actor/owner.h"

static enum tr_owner lookup(void *ctx, struct tr_slice type, struct tr_slice id,
                            struct tr_owner_host *out_host)
{
    return tr_placement_lookup(ctx, type, id, out_host);
}

static bool owns(void *ctx, struct tr_slice type, struct tr_slice id)
{
    return tr_placement_owns(ctx, type, id);
}

static void wait_start(void *ctx, struct tr_placement_wait *wait)
{
    tr_placement_wait_start(ctx, wait);
}

static void wait_cancel(void *ctx, struct tr_placement_wait *wait)
{
    (void)ctx;
    tr_placement_wait_cancel(wait);
}

static void set_types(void *ctx, const struct tr_slice *types, size_t types_len)
{
    tr_placement_set_types(ctx, types, types_len);
}

static void update_done(void *ctx, uint64_t token)
{
    tr_placement_update_done(ctx, token);
}

static void lost_done(void *ctx, uint64_t token)
{
    tr_placement_lost_done(ctx, token);
}

struct tr_actor_owner tr_actor_owner_placement(struct tr_placement_client *client)
{
    return (struct tr_actor_owner){
        .lookup = lookup,
        .owns = owns,
        .wait_start = wait_start,
        .wait_cancel = wait_cancel,
        .set_types = set_types,
        .update_done = update_done,
        .lost_done = lost_done,
        .ctx = client,
    };
}
