/*
 * A sidecar's table. Every distinct set of hosts has one ring, found by the encoded set (names, app ids, ports, factor):
 * types with the same hosts share it, and a set that the previous table had brings its ring along. So a round that
 * changes one type hashes and sorts for that type alone.
 */
#include "placement/table.h"

#include <stdlib.h>

#include "proto/placement.pb-c.h"
#include "runtime/base/buf.h"

struct tr_table {
    unsigned refs;
    uint64_t version;
    struct tr_map types; /* type -> struct tr_ring, borrowed from `rings` */
    struct tr_map rings; /* encoded host set -> struct tr_ring, one reference each */
};

static struct tr_slice pb_slice(const ProtobufCBinaryData *data)
{
    return tr_slice(data->data, data->len);
}

/* Decimal number; false for anything else. */
static bool parse_version(struct tr_slice text, uint64_t *out_version)
{
    uint64_t version = 0;
    for (size_t i = 0; i < text.len; i++) {
        unsigned digit = (unsigned)(text.ptr[i] - '0');
        if (digit > 9 || version > (UINT64_MAX - digit) / 10) {
            return false;
        }
        version = version * 10 + digit;
    }
    *out_version = version;
    return text.len > 0;
}

/* A table names a host once per type; should it not, all sidecars still agree on which entry counts. */
static int by_name(const void *a, const void *b)
{
    const struct tr_ring_host *left = a;
    const struct tr_ring_host *right = b;
    int order = tr_slice_cmp(left->name, right->name);
    if (order == 0) {
        order = tr_slice_cmp(left->app_id, right->app_id);
    }
    if (order == 0) {
        order = left->port < right->port ? -1 : left->port > right->port;
    }
    return order;
}

static void add_number(struct tr_buf *out, uint64_t number)
{
    tr_buf_add(out, tr_slice(&number, sizeof(number)));
}

/* The host set as bytes: equal exactly if the rings are. Sorts `hosts`. */
static void encode_hosts(struct tr_ring_host *hosts, size_t hosts_len, int64_t factor,
                         struct tr_buf *out)
{
    qsort(hosts, hosts_len, sizeof(*hosts), by_name);
    add_number(out, (uint64_t)factor);
    for (size_t i = 0; i < hosts_len; i++) {
        add_number(out, hosts[i].name.len);
        tr_buf_add(out, hosts[i].name);
        add_number(out, hosts[i].app_id.len);
        tr_buf_add(out, hosts[i].app_id);
        add_number(out, (uint64_t)hosts[i].port);
    }
}

/* What decoding one order needs; the messages stay alive until the rings are built. */
struct decoding {
    struct tr_ring_cache *cache;
    const struct tr_table *previous;
    struct tr_table *table;
    int64_t factor;
    struct tr_buf key;                 /* scratch */
    struct tr_ring_host *hosts;        /* scratch */
    Tr__Placement__RingHost **decoded; /* scratch, owned messages */
    size_t decoded_len;
    size_t cap;
};

static void forget_hosts(struct decoding *d)
{
    for (size_t i = 0; i < d->decoded_len; i++) {
        tr__placement__ring_host__free_unpacked(d->decoded[i], NULL);
    }
    d->decoded_len = 0;
}

/* Hosts of one type into d->hosts, d->decoded_len of them. */
static enum tr_code decode_hosts(struct decoding *d, const Tr__Placement__PlacementTable *pb,
                                 struct tr_slice type, struct tr_err *err)
{
    if (pb->n_load_map > d->cap) {
        d->cap = pb->n_load_map;
        d->hosts = tr_xrealloc(d->hosts, d->cap * sizeof(*d->hosts));
        d->decoded = tr_xrealloc(d->decoded, d->cap * sizeof(Tr__Placement__RingHost *));
    }
    for (size_t i = 0; i < pb->n_load_map; i++) {
        const Tr__Placement__LoadMapEntry *entry = pb->load_map[i];
        Tr__Placement__RingHost *host =
            tr__placement__ring_host__unpack(NULL, entry->value.len, entry->value.data);
        if (host == NULL) {
            return tr_err_set(err, TR_INVALID,
                              "table of actor type '%.*s' has a host that is no valid message",
                              TR_SLICE_ARG(type));
        }
        d->decoded[d->decoded_len++] = host;
        d->hosts[i] = (struct tr_ring_host){
            .name = pb_slice(&entry->key),
            .app_id = pb_slice(&host->id),
            .port = host->port,
        };
    }
    return TR_OK;
}

/* The ring of d->hosts: this table's, the previous one's, or new. Borrowed from the table. */
static enum tr_code ring_of_hosts(struct decoding *d, struct tr_ring **out_ring, struct tr_err *err)
{
    tr_buf_clear(&d->key);
    encode_hosts(d->hosts, d->decoded_len, d->factor, &d->key);
    struct tr_slice key = tr_buf_slice(&d->key);
    struct tr_ring *ring = tr_map_get(&d->table->rings, key);
    if (ring == NULL && d->previous != NULL) {
        ring = tr_map_get(&d->previous->rings, key);
        if (ring != NULL) {
            (void)tr_map_put(&d->table->rings, key, tr_ring_ref(ring));
            if (d->cache != NULL) {
                tr_ring_cache_keep(d->cache, ring);
            }
        }
    }
    if (ring == NULL) {
        enum tr_code rc = tr_ring_new(d->cache, d->hosts, d->decoded_len, d->factor, &ring, err);
        if (rc != TR_OK) {
            return rc;
        }
        (void)tr_map_put(&d->table->rings, key, ring);
    }
    *out_ring = ring;
    return TR_OK;
}

static enum tr_code decode_type(struct decoding *d, const Tr__Placement__TablesEntry *pb,
                                struct tr_err *err)
{
    static const Tr__Placement__PlacementTable no_table = TR__PLACEMENT__PLACEMENT_TABLE__INIT;
    struct tr_slice type = pb_slice(&pb->key);
    struct tr_ring *ring = NULL;
    enum tr_code rc = decode_hosts(d, pb->value == NULL ? &no_table : pb->value, type, err);
    if (rc == TR_OK) {
        rc = ring_of_hosts(d, &ring, err);
    }
    if (rc == TR_OK) {
        (void)tr_map_put(&d->table->types, type, ring);
    }
    forget_hosts(d);
    return rc;
}

static enum tr_code decode_tables(const Tr__Placement__PlacementTables *pb, uint64_t version,
                                  struct tr_ring_cache *cache, const struct tr_table *previous,
                                  struct tr_table **out_table, struct tr_err *err)
{
    struct tr_table *table = tr_xzalloc(sizeof(*table));
    table->refs = 1;
    table->version = version;
    struct decoding d = {
        .cache = cache,
        .previous = previous,
        .table = table,
        .factor = pb == NULL ? 0 : pb->replication_factor,
    };
    enum tr_code rc = TR_OK;
    /* A factor below 1 cannot place anybody: such a table counts as empty. */
    for (size_t i = 0; rc == TR_OK && d.factor >= 1 && i < pb->n_entries; i++) {
        rc = decode_type(&d, pb->entries[i], err);
    }
    tr_buf_fini(&d.key);
    free(d.hosts);
    free(d.decoded);
    if (rc != TR_OK) {
        tr_table_unref(&table);
        return rc;
    }
    *out_table = table;
    return TR_OK;
}

static bool op_of_name(struct tr_slice name, enum tr_order_op *out_op)
{
    for (unsigned op = 0; op < TR_ORDER_OPS_LEN; op++) {
        if (tr_slice_eq_str(name, tr_order_op_name((enum tr_order_op)op))) {
            *out_op = (enum tr_order_op)op;
            return true;
        }
    }
    return false;
}

enum tr_code tr_order_decode(struct tr_slice bytes, struct tr_ring_cache *cache,
                             const struct tr_table *previous, struct tr_order_in *out_order,
                             struct tr_err *err)
{
    if (bytes.len > TR_ORDER_BYTES_MAX) {
        return tr_err_set(err, TR_LIMIT, "placement order of %zu bytes is above %u", bytes.len,
                          TR_ORDER_BYTES_MAX);
    }
    Tr__Placement__PlacementOrder *pb =
        tr__placement__placement_order__unpack(NULL, bytes.len, (const uint8_t *)bytes.ptr);
    if (pb == NULL) {
        return tr_err_set(err, TR_INVALID, "placement order is no valid message");
    }
    struct tr_order_in order = { .version = pb->version };
    enum tr_code rc = TR_OK;
    struct tr_slice name = pb_slice(&pb->operation);
    if (!op_of_name(name, &order.op)) {
        rc = tr_err_set(err, TR_INVALID, "unknown operation: %.*s", TR_SLICE_ARG(name));
    } else {
        /* Text that is no number counts as 0, as in the reference. */
        if (order.version == 0 && pb->tables != NULL) {
            (void)parse_version(pb_slice(&pb->tables->version), &order.version);
        }
        if (order.op == TR_ORDER_UPDATE) {
            rc = decode_tables(pb->tables, order.version, cache, previous, &order.table, err);
        }
    }
    tr__placement__placement_order__free_unpacked(pb, NULL);
    if (rc == TR_OK) {
        *out_order = order;
    }
    return rc;
}

struct tr_table *tr_table_ref(struct tr_table *table)
{
    tr_assert(table->refs > 0);
    table->refs++;
    return table;
}

void tr_table_unref(struct tr_table **table_place)
{
    struct tr_table *table = *table_place;
    *table_place = NULL;
    if (table == NULL) {
        return;
    }
    tr_assert(table->refs > 0);
    if (--table->refs > 0) {
        return;
    }
    struct tr_map_iter iter = { 0 };
    struct tr_slice key;
    void *value;
    while (tr_map_next(&table->rings, &iter, &key, &value)) {
        struct tr_ring *ring = value;
        tr_ring_unref(&ring);
    }
    tr_map_fini(&table->rings);
    tr_map_fini(&table->types);
    free(table);
}

const struct tr_ring *tr_table_ring(const struct tr_table *table, struct tr_slice type)
{
    return tr_map_get(&table->types, type);
}

bool tr_table_next(const struct tr_table *table, struct tr_map_iter *iter,
                   struct tr_slice *out_type, const struct tr_ring **out_ring)
{
    void *value;
    if (!tr_map_next(&table->types, iter, out_type, &value)) {
        return false;
    }
    *out_ring = value;
    return true;
}

uint64_t tr_table_version(const struct tr_table *table)
{
    return table->version;
}

size_t tr_table_types_len(const struct tr_table *table)
{
    return table->types.len;
}
