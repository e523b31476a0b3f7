/*
 * YAML to a tree of nodes that keep their text, style and line. For what users and operators write: settings and
 * resources, never for traffic. Aliases point to the node of their anchor, so the tree shares nodes and is read-only.
 *
 * Plain scalars are typed as YAML 1.1 has it (`yes` is true, `010` is eight), because that is what Dapr's loader does.
 * Merge keys (`<<`) are resolved. Of equal keys in a map the last one counts.
 *
 * Source: YAML 1.1; gopkg.in/yaml.v2 resolve.go and sigs.k8s.io/yaml, which Dapr's disk loader uses.
 */
#ifndef TR_BASE_YAML_H
#define TR_BASE_YAML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/base/buf.h"
#include "runtime/base/err.h"
#include "runtime/base/slice.h"

#define TR_YAML_BYTES_MAX (4U * 1024U * 1024U) /* of one text */
#define TR_YAML_DEPTH_MAX 64                   /* levels, aliases followed */
#define TR_YAML_NODES_MAX 200000               /* of one text, each alias counted with all that it stands for */

enum tr_yaml_kind { TR_YAML_SCALAR, TR_YAML_LIST, TR_YAML_MAP };

enum tr_yaml_type { TR_YAML_NULL, TR_YAML_BOOL, TR_YAML_INT, TR_YAML_FLOAT, TR_YAML_STRING };

struct tr_yaml_node;

struct tr_yaml_item {
    const struct tr_yaml_node *key;   /* a scalar; NULL in a list */
    const struct tr_yaml_node *value;
};

struct tr_yaml_node {
    enum tr_yaml_kind kind;
    bool is_plain;              /* scalar without quotes and tag, so it may be more than a string */
    unsigned line;              /* where it begins, from 1 */
    struct tr_slice text;       /* scalar */
    struct tr_yaml_item *items; /* list or map */
    size_t items_len;
    size_t weight; /* private: nodes it stands for */
    size_t height; /* private: levels below and with it */
};

struct tr_yaml {
    const struct tr_yaml_node **documents; /* owned, as are all nodes; one root per document */
    size_t documents_len;
    struct tr_yaml_node **nodes; /* private */
    size_t nodes_len;
};

/*
 * Parse all documents of `text`. Lines are counted from `first_line`, for a text that is part of a file.
 *
 * Owns:   free with tr_yaml_fini(); nothing to free after an error.
 * Errors: TR_INVALID: "yaml: line 3: did not find expected key"; TR_LIMIT.
 */
enum tr_code tr_yaml_parse(struct tr_slice text, unsigned first_line, struct tr_yaml *out_yaml, struct tr_err *err)
    TR_MUST_USE;
void tr_yaml_fini(struct tr_yaml *yaml);

/* Value under `key`, or NULL; a NULL node, or one that is no map, has none. */
const struct tr_yaml_node *tr_yaml_get(const struct tr_yaml_node *map, const char *key);

/* Type of a scalar; TR_YAML_STRING for other nodes. */
enum tr_yaml_type tr_yaml_type(const struct tr_yaml_node *node);
/* Is there nothing: NULL, or a scalar of type null? */
bool tr_yaml_is_null(const struct tr_yaml_node *node);

/* Values of scalars; false if the type is another or the value does not fit. An integer is a double, too. */
bool tr_yaml_get_bool(const struct tr_yaml_node *node, bool *out);
bool tr_yaml_get_i64(const struct tr_yaml_node *node, int64_t *out);
bool tr_yaml_get_double(const struct tr_yaml_node *node, double *out);

/* Append the node as JSON, as sigs.k8s.io/yaml turns it: keys sorted, `1.0` as 1, `yes` as true. */
void tr_yaml_add_json(struct tr_buf *buf, const struct tr_yaml_node *node);

#endif
