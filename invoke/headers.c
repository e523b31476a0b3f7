/* Header lists as sidecars tell them to each other. */
#include "invoke/headers.h"

#include <stdlib.h>

#include "proto/wire.h"

struct tr_header_map_row {
    struct tr_buf name; /* canonical */
    Tr__Internals__ListEntry entry;
    Tr__Internals__ListStringValue list;
    ProtobufCBinaryData *values; /* owned array of borrowed values */
};

void tr_header_map_init(struct tr_header_map *map, size_t cap)
{
    *map = (struct tr_header_map){ .cap = cap };
    map->rows = tr_xzalloc(cap * sizeof(*map->rows));
    map->entries = tr_xzalloc(cap * sizeof(Tr__Internals__ListEntry *));
}

static struct tr_header_map_row *find(const struct tr_header_map *map, struct tr_slice name)
{
    for (size_t i = 0; i < map->len; i++) {
        if (tr_slice_eq_nocase(tr_buf_slice(&map->rows[i].name), name)) {
            return &map->rows[i];
        }
    }
    return NULL;
}

bool tr_header_map_has(const struct tr_header_map *map, struct tr_slice name)
{
    return find(map, name) != NULL;
}

static struct tr_header_map_row *add_row(struct tr_header_map *map, struct tr_slice name)
{
    tr_assert(map->len < map->cap);
    struct tr_header_map_row *row = &map->rows[map->len];
    tr_http_header_canonical(name, &row->name);
    tr__internals__list_entry__init(&row->entry);
    tr__internals__list_string_value__init(&row->list);
    row->entry.value = &row->list;
    TR_WIRE_SET(&row->entry, key, tr_buf_slice(&row->name));
    map->entries[map->len++] = &row->entry;
    return row;
}

void tr_header_map_add(struct tr_header_map *map, struct tr_slice name, struct tr_slice value)
{
    struct tr_header_map_row *row = find(map, name);
    if (row == NULL) {
        row = add_row(map, name);
    }
    row->values = tr_xrealloc(row->values, (row->list.n_values + 1) * sizeof(*row->values));
    row->values[row->list.n_values++] = tr_wire_data(value);
    row->list.values = row->values;
}

void tr_header_map_add_all(struct tr_header_map *map, const struct tr_http_headers *headers)
{
    for (size_t i = 0; i < tr_http_headers_len(headers); i++) {
        const struct tr_http_header header = tr_http_headers_at(headers, i);
        tr_header_map_add(map, header.name, header.value);
    }
}

void tr_header_map_fini(struct tr_header_map *map)
{
    for (size_t i = 0; i < map->len; i++) {
        tr_buf_fini(&map->rows[i].name);
        free(map->rows[i].values);
    }
    free(map->rows);
    free(map->entries);
    *map = (struct tr_header_map){ 0 };
}

bool tr_header_map_read(Tr__Internals__ListEntry *const *entries, size_t len, size_t max,
                        struct tr_http_headers *out)
{
    tr_assert(max <= TR_HTTP_HEADERS_MAX);
    for (size_t i = 0; i < len; i++) {
        const Tr__Internals__ListEntry *entry = entries[i];
        for (size_t j = 0; entry->value != NULL && j < entry->value->n_values; j++) {
            if (tr_http_headers_len(out) >= max) {
                return false;
            }
            tr_http_headers_add(out, tr_wire_slice(entry->key), tr_wire_slice(entry->value->values[j]));
        }
    }
    return true;
}
