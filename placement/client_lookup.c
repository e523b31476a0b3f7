/* Who owns an actor, by the present table; and the other questions that only look. */
#include "placement/client_int.h"

static bool is_loopback(struct tr_slice host)
{
    return tr_slice_eq_str(host, "localhost") || tr_slice_eq_str(host, "127.0.0.1") ||
           tr_slice_eq_str(host, "::1") || tr_slice_eq_str(host, "[::1]");
}

/* Source: Dapr pkg/actors/internal/placement/loops, IsActorLocal. */
static bool is_local(const struct tr_placement_client *client, struct tr_slice address)
{
    if (tr_slice_eq(address, client->conf.name)) {
        return true;
    }
    struct tr_slice host;
    struct tr_slice port;
    tr_address_split(address, &host, &port);
    return is_loopback(host) && is_loopback(client->own_host) &&
           tr_slice_eq(port, client->own_port);
}

/* --- look-ups ----------------------------------------------------------------------------------------------------- */

bool tr_placement_is_held_back(const struct tr_placement_client *client, struct tr_slice type)
{
    return !client->has_table || (client->held.len > 0 && tr_map_get(&client->held, type) != NULL);
}

static const struct tr_ring_host *owner_of(const struct tr_placement_client *client,
                                           struct tr_slice type, struct tr_slice id)
{
    const struct tr_ring *ring = tr_table_ring(client->table, type);
    return ring == NULL ? NULL : tr_ring_lookup(ring, id);
}

enum tr_owner tr_placement_lookup(const struct tr_placement_client *client, struct tr_slice type,
                                  struct tr_slice id, struct tr_owner_host *out_host)
{
    tr_loop_assert(client->conf.loop);
    if (client->is_closing) {
        return TR_OWNER_CLOSED;
    }
    if (!client->has_table) {
        return TR_OWNER_NO_TABLE;
    }
    if (tr_placement_is_held_back(client, type)) {
        return TR_OWNER_LOCKED;
    }
    const struct tr_ring_host *host = owner_of(client, type, id);
    if (host == NULL) {
        return TR_OWNER_NONE;
    }
    *out_host = (struct tr_owner_host){ .address = host->name, .app_id = host->app_id };
    return is_local(client, host->name) ? TR_OWNER_LOCAL : TR_OWNER_REMOTE;
}

bool tr_placement_owns(const struct tr_placement_client *client, struct tr_slice type,
                       struct tr_slice id)
{
    tr_loop_assert(client->conf.loop);
    if (!client->has_table) {
        return false;
    }
    const struct tr_ring_host *host = owner_of(client, type, id);
    return host != NULL && is_local(client, host->name);
}

bool tr_placement_is_connected(const struct tr_placement_client *client)
{
    return client->is_connected;
}

bool tr_placement_is_ready(const struct tr_placement_client *client)
{
    return client->is_ready;
}

uint64_t tr_placement_table_version(const struct tr_placement_client *client)
{
    return client->table == NULL ? 0 : tr_table_version(client->table);
}
