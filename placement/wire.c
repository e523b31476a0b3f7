/* Messages of the placement protocol: protobuf-c structs in and out of our own. */
#include "placement/wire.h"

#include <stdlib.h>

#include "proto/placement.pb-c.h"
#include "runtime/base/quote.h"

typedef Tr__Placement__Host pb_host;

static struct tr_slice pb_slice(const ProtobufCBinaryData *data)
{
    return tr_slice(data->data, data->len);
}

/* protobuf-c does not declare what it only reads as const. */
static ProtobufCBinaryData pb_data(struct tr_slice s)
{
    union {
        const char *in;
        uint8_t *out;
    } bytes = { .in = s.ptr };
    return (ProtobufCBinaryData){ .len = s.len, .data = bytes.out };
}

static bool is_utf8(struct tr_slice text)
{
    unsigned rune;
    while (text.len > 0) {
        size_t bytes = tr_utf8_decode(text, &rune);
        if (bytes == 0) {
            return false;
        }
        text = tr_slice_skip(text, bytes);
    }
    return true;
}

static bool all_utf8(const pb_host *pb)
{
    bool ok = is_utf8(pb_slice(&pb->name)) && is_utf8(pb_slice(&pb->id)) &&
              is_utf8(pb_slice(&pb->pod)) && is_utf8(pb_slice(&pb->namespace_));
    for (size_t i = 0; ok && i < pb->n_entities; i++) {
        ok = is_utf8(pb_slice(&pb->entities[i]));
    }
    return ok;
}

static struct tr_slice keep(struct tr_buf *memory, const ProtobufCBinaryData *data)
{
    struct tr_slice kept = tr_slice(memory->ptr + memory->len, data->len);
    tr_buf_add(memory, pb_slice(data));
    return kept;
}

static int by_bytes(const void *a, const void *b)
{
    return tr_slice_cmp(*(const struct tr_slice *)a, *(const struct tr_slice *)b);
}

static void sort_types(struct tr_host *host)
{
    qsort(host->types, host->types_len, sizeof(host->types[0]), by_bytes);
    size_t kept = 0;
    for (size_t i = 0; i < host->types_len; i++) {
        if (kept == 0 || !tr_slice_eq(host->types[kept - 1], host->types[i])) {
            host->types[kept++] = host->types[i];
        }
    }
    host->types_len = kept;
}

static void take_host(const pb_host *pb, struct tr_host *host)
{
    size_t bytes = pb->name.len + pb->id.len + pb->pod.len + pb->namespace_.len;
    for (size_t i = 0; i < pb->n_entities; i++) {
        bytes += pb->entities[i].len;
    }
    *host = (struct tr_host){
        .port = pb->port,
        .load = pb->load,
        .api_level = pb->api_level,
        .op = (uint32_t)pb->operation,
        .has_version = pb->has_version,
        .version = pb->version,
    };
    tr_buf_reserve(&host->memory, bytes + 1); /* so that the slices stay where they are */
    host->name = keep(&host->memory, &pb->name);
    host->id = keep(&host->memory, &pb->id);
    host->pod = keep(&host->memory, &pb->pod);
    host->ns = keep(&host->memory, &pb->namespace_);
    host->types = tr_xalloc((pb->n_entities + 1) * sizeof(host->types[0]));
    host->types_len = pb->n_entities;
    for (size_t i = 0; i < pb->n_entities; i++) {
        host->types[i] = keep(&host->memory, &pb->entities[i]);
    }
    tr_assert(host->memory.len == bytes);
    sort_types(host);
}

enum tr_code tr_host_decode(struct tr_slice bytes, struct tr_host *out_host, struct tr_err *err)
{
    if (bytes.len > TR_HOST_BYTES_MAX) {
        return tr_err_set(err, TR_LIMIT, "status report of %zu bytes is above %u", bytes.len,
                          TR_HOST_BYTES_MAX);
    }
    pb_host *pb = tr__placement__host__unpack(NULL, bytes.len, (const uint8_t *)bytes.ptr);
    if (pb == NULL) {
        return tr_err_set(err, TR_INTERNAL, "status report is no valid message");
    }
    enum tr_code rc = TR_OK;
    if (pb->n_entities > TR_HOST_TYPES_MAX) {
        rc = tr_err_set(err, TR_LIMIT, "status report with %zu actor types is above %d",
                        pb->n_entities, TR_HOST_TYPES_MAX);
    } else if (!all_utf8(pb)) {
        rc = tr_err_set(err, TR_INTERNAL, "status report has text that is no UTF-8");
    } else {
        take_host(pb, out_host);
    }
    tr__placement__host__free_unpacked(pb, NULL);
    return rc;
}

void tr_host_encode(const struct tr_host *host, struct tr_buf *out)
{
    pb_host pb = TR__PLACEMENT__HOST__INIT;
    ProtobufCBinaryData *entities = tr_xalloc((host->types_len + 1) * sizeof(*entities));
    for (size_t i = 0; i < host->types_len; i++) {
        entities[i] = pb_data(host->types[i]);
    }
    pb.has_name = host->name.len > 0;
    pb.name = pb_data(host->name);
    pb.has_port = host->port != 0;
    pb.port = host->port;
    pb.has_load = host->load != 0;
    pb.load = host->load;
    pb.n_entities = host->types_len;
    pb.entities = entities;
    pb.has_id = host->id.len > 0;
    pb.id = pb_data(host->id);
    pb.has_pod = host->pod.len > 0;
    pb.pod = pb_data(host->pod);
    pb.has_api_level = host->api_level != 0;
    pb.api_level = host->api_level;
    pb.has_namespace_ = host->ns.len > 0;
    pb.namespace_ = pb_data(host->ns);
    pb.has_operation = host->op != TR_HOST_UNKNOWN;
    pb.operation = (Tr__Placement__HostOperation)host->op;
    pb.has_version = host->has_version;
    pb.version = host->version;
    tr_buf_reserve(out, tr__placement__host__get_packed_size(&pb) + 1);
    out->len += tr__placement__host__pack(&pb, (uint8_t *)out->ptr + out->len);
    free(entities);
}

void tr_host_fini(struct tr_host *host)
{
    free(host->types);
    tr_buf_fini(&host->memory);
    *host = (struct tr_host){ 0 };
}

void tr_host_move(struct tr_host *to, struct tr_host *from)
{
    tr_assert(to != from);
    tr_host_fini(to);
    *to = *from;
    *from = (struct tr_host){ 0 };
}

const char *tr_order_op_name(enum tr_order_op op)
{
    static const char *const names[TR_ORDER_OPS_LEN] = {
        [TR_ORDER_LOCK] = "lock",
        [TR_ORDER_UPDATE] = "update",
        [TR_ORDER_UNLOCK] = "unlock",
    };
    tr_assert(op < TR_ORDER_OPS_LEN);
    return names[op];
}

/* One host under one of its types. */
struct listing {
    struct tr_slice type;
    size_t host;
};

static int by_type_then_host(const void *a, const void *b)
{
    const struct listing *left = a;
    const struct listing *right = b;
    int order = tr_slice_cmp(left->type, right->type);
    if (order != 0) {
        return order;
    }
    return left->host < right->host ? -1 : left->host > right->host;
}

/* The parts of a table while it is being encoded; protobuf-c wants arrays of pointers. */
struct table_draft {
    struct tr_buf *encoded; /* owned: each host */
    size_t encoded_len;
    struct listing *listings; /* owned, sorted */
    size_t listings_len;
    Tr__Placement__LoadMapEntry *load;
    Tr__Placement__LoadMapEntry **load_refs;
    Tr__Placement__TablesEntry *entries;
    Tr__Placement__TablesEntry **entry_refs;
    Tr__Placement__PlacementTable *tables;
    size_t entries_len;
};

static void draft_listings(struct table_draft *draft, const struct tr_host *const *hosts,
                           size_t hosts_len)
{
    size_t len = 0;
    for (size_t i = 0; i < hosts_len; i++) {
        len += hosts[i]->types_len;
    }
    draft->listings = tr_xalloc((len + 1) * sizeof(*draft->listings));
    draft->encoded = tr_xzalloc((hosts_len + 1) * sizeof(*draft->encoded));
    draft->encoded_len = hosts_len;
    for (size_t i = 0; i < hosts_len; i++) {
        tr_host_encode(hosts[i], &draft->encoded[i]);
        for (size_t t = 0; t < hosts[i]->types_len; t++) {
            draft->listings[draft->listings_len++] =
                (struct listing){ .type = hosts[i]->types[t], .host = i };
        }
    }
    qsort(draft->listings, len, sizeof(*draft->listings), by_type_then_host);
}

/* Is the next listing the same host name under the same type? Then this one gives way. */
static bool is_superseded(const struct table_draft *draft, size_t i,
                          const struct tr_host *const *hosts)
{
    if (i + 1 == draft->listings_len) {
        return false;
    }
    const struct listing *one = &draft->listings[i];
    const struct listing *next = &draft->listings[i + 1];
    return tr_slice_eq(one->type, next->type) &&
           tr_slice_eq(hosts[one->host]->name, hosts[next->host]->name);
}

static void draft_entries(struct table_draft *draft, const struct tr_host *const *hosts)
{
    size_t len = draft->listings_len + 1;
    draft->load = tr_xalloc(len * sizeof(*draft->load));
    draft->load_refs = tr_xalloc(len * sizeof(*draft->load_refs));
    draft->entries = tr_xalloc(len * sizeof(*draft->entries));
    draft->entry_refs = tr_xalloc(len * sizeof(*draft->entry_refs));
    draft->tables = tr_xalloc(len * sizeof(*draft->tables));
    size_t load_len = 0;
    for (size_t i = 0; i < draft->listings_len; i++) {
        const struct listing *one = &draft->listings[i];
        if (i == 0 || !tr_slice_eq(one->type, draft->listings[i - 1].type)) {
            size_t e = draft->entries_len++;
            tr__placement__tables_entry__init(&draft->entries[e]);
            tr__placement__placement_table__init(&draft->tables[e]);
            draft->entries[e].has_key = true;
            draft->entries[e].key = pb_data(one->type);
            draft->entries[e].value = &draft->tables[e];
            draft->tables[e].load_map = &draft->load_refs[load_len];
            draft->entry_refs[e] = &draft->entries[e];
        }
        if (is_superseded(draft, i, hosts)) {
            continue;
        }
        Tr__Placement__LoadMapEntry *load = &draft->load[load_len];
        tr__placement__load_map_entry__init(load);
        load->has_key = true;
        load->key = pb_data(hosts[one->host]->name);
        load->has_value = true;
        load->value = pb_data(tr_buf_slice(&draft->encoded[one->host]));
        draft->load_refs[load_len++] = load;
        draft->tables[draft->entries_len - 1].n_load_map++;
    }
}

static void draft_fini(struct table_draft *draft)
{
    for (size_t i = 0; i < draft->encoded_len; i++) {
        tr_buf_fini(&draft->encoded[i]);
    }
    free(draft->encoded);
    free(draft->listings);
    free(draft->load);
    free(draft->load_refs);
    free(draft->entries);
    free(draft->entry_refs);
    free(draft->tables);
}

struct tr_order *tr_order_new(enum tr_order_op op, uint64_t version, int64_t factor,
                              const struct tr_host *const *hosts, size_t hosts_len)
{
    tr_assert(op == TR_ORDER_UPDATE || hosts_len == 0);
    struct table_draft draft = { 0 };
    struct tr_buf text = { 0 };
    Tr__Placement__PlacementOrder pb = TR__PLACEMENT__PLACEMENT_ORDER__INIT;
    Tr__Placement__PlacementTables tables = TR__PLACEMENT__PLACEMENT_TABLES__INIT;
    if (op == TR_ORDER_UPDATE) {
        draft_listings(&draft, hosts, hosts_len);
        draft_entries(&draft, hosts);
        tr_buf_addf(&text, "%llu", (unsigned long long)version);
        tables.n_entries = draft.entries_len;
        tables.entries = draft.entry_refs;
        tables.has_version = true; /* deprecated, but what old sidecars read */
        tables.version = pb_data(tr_buf_slice(&text));
        tables.has_replication_factor = factor != 0;
        tables.replication_factor = factor;
        pb.tables = &tables;
    }
    pb.has_operation = true;
    pb.operation = pb_data(tr_slice_str(tr_order_op_name(op)));
    pb.has_version = version != 0;
    pb.version = version;
    struct tr_order *order = tr_xzalloc(sizeof(*order));
    order->refs = 1;
    order->op = op;
    order->version = version;
    tr_buf_reserve(&order->bytes, tr__placement__placement_order__get_packed_size(&pb) + 1);
    order->bytes.len = tr__placement__placement_order__pack(&pb, (uint8_t *)order->bytes.ptr);
    tr_buf_fini(&text);
    draft_fini(&draft);
    return order;
}

struct tr_order *tr_order_ref(struct tr_order *order)
{
    tr_assert(order->refs > 0);
    order->refs++;
    return order;
}

void tr_order_unref(struct tr_order **order_place)
{
    struct tr_order *order = *order_place;
    *order_place = NULL;
    if (order == NULL) {
        return;
    }
    tr_assert(order->refs > 0);
    if (--order->refs == 0) {
        tr_buf_fini(&order->bytes);
        free(order);
    }
}
