/*
 * The tree, built from libyaml's events. A stack holds the open lists and maps. Each new node counts one, an alias as
 * much as its anchor, against one limit; so a text cannot stand for more than that, however it nests its aliases. An
 * anchor is known once its node is complete, so an alias cannot stand inside of its own anchor.
 */
#include "runtime/base/yaml.h"

#include <stdlib.h>
#include <yaml.h>

#include "runtime/base/map.h"

struct frame {
    struct tr_yaml_node *node;
    const struct tr_yaml_node *key; /* map: the key that waits for its value */
    struct tr_slice anchor;         /* owned copy; empty for none */
    size_t weight_before;
};

struct build {
    struct tr_yaml *yaml;
    struct frame frames[TR_YAML_DEPTH_MAX];
    size_t depth;
    size_t weight;
    struct tr_map anchors; /* of the document: struct tr_yaml_node, borrowed */
    unsigned first_line;
    struct tr_err *err;
};

static enum tr_code fail(struct build *b, size_t line, const char *why)
{
    return tr_err_set(b->err, TR_INVALID, "yaml: line %zu: %s", line, why);
}

static struct tr_slice own(const void *text, size_t len)
{
    return tr_slice(tr_xstrdup(tr_slice(text, len)), len);
}

static void disown(struct tr_slice text)
{
    free((char *)(uintptr_t)text.ptr);
}

static enum tr_code add_weight(struct build *b, size_t weight, size_t line)
{
    b->weight += weight;
    if (b->weight > TR_YAML_NODES_MAX) {
        return tr_err_set(b->err, TR_LIMIT, "yaml: line %zu: more than %d nodes", line,
                          TR_YAML_NODES_MAX);
    }
    return TR_OK;
}

static enum tr_code node_new(struct build *b, enum tr_yaml_kind kind, const yaml_event_t *event,
                             struct tr_yaml_node **out_node)
{
    const unsigned line = b->first_line + (unsigned)event->start_mark.line;
    const enum tr_code rc = add_weight(b, 1, line);
    if (rc != TR_OK) {
        return rc;
    }
    struct tr_yaml *yaml = b->yaml;
    struct tr_yaml_node *node = tr_xzalloc(sizeof(*node));
    node->kind = kind;
    node->line = line;
    node->weight = 1;
    node->height = 1;
    if ((yaml->nodes_len & (yaml->nodes_len - 1)) == 0) {
        const size_t cap = yaml->nodes_len == 0 ? 1 : 2 * yaml->nodes_len;
        yaml->nodes = tr_xrealloc(yaml->nodes, cap * sizeof(struct tr_yaml_node *));
    }
    yaml->nodes[yaml->nodes_len++] = node;
    *out_node = node;
    return TR_OK;
}

static void add_item(struct tr_yaml_node *node, const struct tr_yaml_node *key,
                     const struct tr_yaml_node *value)
{
    /* The memory doubles whenever the length is a power of two. */
    if ((node->items_len & (node->items_len - 1)) == 0) {
        const size_t cap = node->items_len == 0 ? 1 : 2 * node->items_len;
        node->items = tr_xrealloc(node->items, cap * sizeof(node->items[0]));
    }
    node->items[node->items_len++] = (struct tr_yaml_item){ .key = key, .value = value };
}

static void add_document(struct tr_yaml *yaml, const struct tr_yaml_node *root)
{
    yaml->documents = tr_xrealloc((void *)yaml->documents,
                                  (yaml->documents_len + 1) * sizeof(const struct tr_yaml_node *));
    yaml->documents[yaml->documents_len++] = root;
}

/* Put a complete node where it belongs: a document, a list, a map's key or a map's value. */
static enum tr_code place(struct build *b, const struct tr_yaml_node *node, size_t line)
{
    if (b->depth == 0) {
        add_document(b->yaml, node);
        return TR_OK;
    }
    struct frame *top = &b->frames[b->depth - 1];
    if (top->node->kind == TR_YAML_MAP && top->key == NULL) {
        if (node->kind != TR_YAML_SCALAR) {
            return fail(b, line, "a key must be a scalar");
        }
        top->key = node;
        return TR_OK;
    }
    add_item(top->node, top->key, node);
    top->key = NULL;
    top->node->height = node->height >= top->node->height ? node->height + 1 : top->node->height;
    return TR_OK;
}

static void set_anchor(struct build *b, struct tr_slice anchor, struct tr_yaml_node *node)
{
    if (anchor.len > 0) {
        (void)tr_map_put(&b->anchors, anchor, node);
    }
}

static enum tr_code on_scalar(struct build *b, const yaml_event_t *event)
{
    struct tr_yaml_node *node = NULL;
    enum tr_code rc = node_new(b, TR_YAML_SCALAR, event, &node);
    if (rc != TR_OK) {
        return rc;
    }
    node->text = own(event->data.scalar.value, event->data.scalar.length);
    node->is_plain =
        event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE && event->data.scalar.tag == NULL;
    set_anchor(b, tr_slice_str((const char *)event->data.scalar.anchor), node);
    return place(b, node, node->line);
}

static enum tr_code on_alias(struct build *b, const yaml_event_t *event)
{
    const size_t line = b->first_line + event->start_mark.line;
    const struct tr_yaml_node *node =
        tr_map_get(&b->anchors, tr_slice_str((const char *)event->data.alias.anchor));
    if (node == NULL) {
        return fail(b, line, "unknown anchor, or an alias inside of its own anchor");
    }
    if (b->depth + node->height > TR_YAML_DEPTH_MAX) {
        return fail(b, line, "nested too deep");
    }
    const enum tr_code rc = add_weight(b, node->weight, line);
    return rc != TR_OK ? rc : place(b, node, line);
}

static enum tr_code on_open(struct build *b, enum tr_yaml_kind kind, const yaml_event_t *event,
                            const yaml_char_t *anchor)
{
    struct tr_yaml_node *node = NULL;
    const size_t before = b->weight;
    const enum tr_code rc = node_new(b, kind, event, &node);
    if (rc != TR_OK) {
        return rc;
    }
    if (b->depth == TR_YAML_DEPTH_MAX) {
        return fail(b, node->line, "nested too deep");
    }
    const struct tr_slice name = tr_slice_str((const char *)anchor);
    b->frames[b->depth++] = (struct frame){
        .node = node,
        .anchor = name.len > 0 ? own(name.ptr, name.len) : tr_slice(NULL, 0),
        .weight_before = before,
    };
    return TR_OK;
}

static const struct tr_yaml_node *find_key(const struct tr_yaml_node *map, struct tr_slice key)
{
    for (size_t i = map->items_len; i > 0; i--) {
        if (tr_slice_eq(map->items[i - 1].key->text, key)) {
            return map->items[i - 1].value;
        }
    }
    return NULL;
}

/* Give `map` the members of `source` that it does not have itself. */
static void merge_from(struct tr_yaml_node *map, const struct tr_yaml_node *source)
{
    for (size_t i = 0; i < source->items_len; i++) {
        if (find_key(map, source->items[i].key->text) == NULL) {
            add_item(map, source->items[i].key, source->items[i].value);
        }
    }
}

/* Take the first merge key out of the map; returns its value, or NULL. */
static const struct tr_yaml_node *take_merge(struct tr_yaml_node *map)
{
    for (size_t i = 0; i < map->items_len; i++) {
        const struct tr_yaml_item item = map->items[i];
        if (item.key->is_plain && tr_slice_eq_str(item.key->text, "<<")) {
            memmove(&map->items[i], &map->items[i + 1], (map->items_len - i - 1) * sizeof(item));
            map->items_len--;
            return item.value;
        }
    }
    return NULL;
}

/*
 * The order of a map's items does not matter, so the memory rule of add_item() is kept by building the map anew.
 * Source: https://yaml.org/type/merge.html: of several maps the earlier ones win, the map's own keys over all.
 */
static enum tr_code resolve_merge(struct build *b, struct tr_yaml_node *map)
{
    const struct tr_yaml_node *source = take_merge(map);
    if (source == NULL) {
        return TR_OK;
    }
    struct tr_yaml_item *old = map->items;
    const size_t old_len = map->items_len;
    map->items = NULL;
    map->items_len = 0;
    for (size_t i = 0; i < old_len; i++) {
        add_item(map, old[i].key, old[i].value);
    }
    free(old);
    if (source->kind == TR_YAML_MAP) {
        merge_from(map, source);
        return TR_OK;
    }
    for (size_t i = 0; source->kind == TR_YAML_LIST && i < source->items_len; i++) {
        if (source->items[i].value->kind != TR_YAML_MAP) {
            return fail(b, source->line, "a merge needs a map or a list of maps");
        }
        merge_from(map, source->items[i].value);
    }
    return source->kind == TR_YAML_LIST
               ? TR_OK
               : fail(b, source->line, "a merge needs a map or a list of maps");
}

static enum tr_code on_close(struct build *b)
{
    tr_assert(b->depth > 0);
    const struct frame frame = b->frames[--b->depth];
    struct tr_yaml_node *node = frame.node;
    node->weight = b->weight - frame.weight_before;
    set_anchor(b, frame.anchor, node);
    disown(frame.anchor);
    if (node->kind == TR_YAML_MAP) {
        const enum tr_code rc = resolve_merge(b, node);
        if (rc != TR_OK) {
            return rc;
        }
    }
    return place(b, node, node->line);
}

static enum tr_code on_event(struct build *b, const yaml_event_t *event)
{
    switch (event->type) {
    case YAML_SCALAR_EVENT:
        return on_scalar(b, event);
    case YAML_ALIAS_EVENT:
        return on_alias(b, event);
    case YAML_SEQUENCE_START_EVENT:
        return on_open(b, TR_YAML_LIST, event, event->data.sequence_start.anchor);
    case YAML_MAPPING_START_EVENT:
        return on_open(b, TR_YAML_MAP, event, event->data.mapping_start.anchor);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        return on_close(b);
    case YAML_DOCUMENT_END_EVENT:
        tr_map_fini(&b->anchors);
        return TR_OK;
    case YAML_DOCUMENT_START_EVENT:
    case YAML_STREAM_START_EVENT:
    case YAML_STREAM_END_EVENT:
    case YAML_NO_EVENT:
        return TR_OK;
    }
    TR_BUG("unknown event");
}

static enum tr_code parse_events(struct build *b, yaml_parser_t *parser)
{
    for (bool is_done = false; !is_done;) {
        yaml_event_t event;
        if (yaml_parser_parse(parser, &event) == 0) {
            const char *why = parser->problem != NULL ? parser->problem : "out of memory";
            return fail(b, b->first_line + parser->problem_mark.line, why);
        }
        is_done = event.type == YAML_STREAM_END_EVENT;
        const enum tr_code rc = on_event(b, &event);
        yaml_event_delete(&event);
        if (rc != TR_OK) {
            return rc;
        }
    }
    return TR_OK;
}

enum tr_code tr_yaml_parse(struct tr_slice text, unsigned first_line, struct tr_yaml *out_yaml,
                           struct tr_err *err)
{
    if (text.len > TR_YAML_BYTES_MAX) {
        return tr_err_set(err, TR_LIMIT, "yaml: text of %zu bytes exceeds the limit of %u",
                          text.len, TR_YAML_BYTES_MAX);
    }
    struct tr_yaml yaml = { 0 };
    struct build build = { .yaml = &yaml, .first_line = first_line, .err = err };
    yaml_parser_t parser;
    if (yaml_parser_initialize(&parser) == 0) {
        TR_BUG("out of memory");
    }
    yaml_parser_set_input_string(&parser, (const unsigned char *)(text.len > 0 ? text.ptr : ""),
                                 text.len);
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
    const enum tr_code rc = parse_events(&build, &parser);
    yaml_parser_delete(&parser);
    while (build.depth > 0) {
        disown(build.frames[--build.depth].anchor);
    }
    tr_map_fini(&build.anchors);
    if (rc != TR_OK) {
        tr_yaml_fini(&yaml);
        return rc;
    }
    *out_yaml = yaml;
    return TR_OK;
}

void tr_yaml_fini(struct tr_yaml *yaml)
{
    for (size_t i = 0; i < yaml->nodes_len; i++) {
        disown(yaml->nodes[i]->text);
        free(yaml->nodes[i]->items);
        free(yaml->nodes[i]);
    }
    free((void *)yaml->nodes);
    free((void *)yaml->documents);
    *yaml = (struct tr_yaml){ 0 };
}

const struct tr_yaml_node *tr_yaml_get(const struct tr_yaml_node *map, const char *key)
{
    if (map == NULL || map->kind != TR_YAML_MAP) {
        return NULL;
    }
    return find_key(map, tr_slice_str(key));
}
