/*
 * Decoding YAML maps into structs by tables. A struct is described once; making it empty, decoding over it and freeing it
 * follow from the table. Fields are found without regard to case, as Go's JSON does.
 */
#ifndef TR_RESOURCE_BIND_INT_H
#define TR_RESOURCE_BIND_INT_H

#include <stddef.h>

#include "runtime/base/err.h"
#include "runtime/base/yaml.h"

enum bind_type {
    BIND_TEXT,     /* char *, never NULL: a scalar as it is written */
    BIND_JSON,     /* char *: a string as it is, anything else as its JSON text */
    BIND_BOOL,     /* bool */
    BIND_TRI,      /* enum tr_tri */
    BIND_DURATION, /* int64_t nanoseconds */
    BIND_TEXTS,    /* struct tr_conf_texts: a list of scalars */
    BIND_NUMBERS,  /* struct tr_conf_numbers: a list of integers */
    BIND_PAIRS,    /* struct tr_conf_pairs: a map of scalars */
    BIND_HEADERS,  /* struct tr_conf_pairs: a list of "name=value", or of maps with name and value */
    BIND_STRUCT,   /* a map whose fields lie in the same object, from `offset` on */
    BIND_LIST,     /* a list of maps: struct { T *items; size_t len; } */
};

struct bind;

struct bind_field {
    const char *name;
    enum bind_type type;
    size_t offset;
    const struct bind *sub; /* BIND_STRUCT and BIND_LIST */
};

struct bind {
    const struct bind_field *fields;
    size_t fields_len;
    size_t item_bytes; /* size of an item of a list, else 0 */
};

/* Items of one list. */
#define BIND_ITEMS_MAX 10000U

/* Make every text "" and every list empty; other fields become zero. */
void bind_init(const struct bind *bind, void *object);
void bind_fini(const struct bind *bind, void *object);

/*
 * Decode the map `node` over the object; absent and null fields stay as they are. `path` names the map in errors
 * ("spec"). On error the object is half-way, and still good for bind_fini().
 *
 * Errors: TR_INVALID: "line 7: spec.ignoreErrors must be true or false".
 */
enum tr_code bind_decode(const struct bind *bind, const struct tr_yaml_node *node, const char *path, void *object,
                         struct tr_err *err) TR_MUST_USE;

/* The value of `name` without regard to case, or NULL. */
const struct tr_yaml_node *bind_find(const struct tr_yaml_node *map, const char *name);

#endif
