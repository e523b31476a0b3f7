/* Decoding by tables. */
#include "runtime/resource/bind_int.h"

#include <stdlib.h>

#include "runtime/base/duration.h"
#include "runtime/resource/configuration.h"

/* How lists lie in memory, whatever they hold. */
struct list {
    void *items;
    size_t len;
};
_Static_assert(sizeof(struct list) == sizeof(struct tr_conf_texts), "lists look alike");
_Static_assert(offsetof(struct list, len) == offsetof(struct tr_conf_texts, len),
               "lists look alike");

static void *at(void *object, const struct bind_field *field)
{
    return (char *)object + field->offset;
}

static struct list list_read(const void *place)
{
    struct list list;
    memcpy(&list, place, sizeof(list));
    return list;
}

static void list_write(void *place, void *items, size_t len)
{
    const struct list list = { .items = items, .len = len };
    memcpy(place, &list, sizeof(list));
}

static void pairs_free(struct list pairs)
{
    struct tr_conf_pair *items = pairs.items;
    for (size_t i = 0; i < pairs.len; i++) {
        free(items[i].name);
        free(items[i].value);
    }
    free(items);
}

static void texts_free(struct list texts)
{
    char **items = texts.items;
    for (size_t i = 0; i < texts.len; i++) {
        free(items[i]);
    }
    free((void *)items);
}

static void structs_free(const struct bind *bind, struct list list)
{
    for (size_t i = 0; i < list.len; i++) {
        bind_fini(bind, (char *)list.items + i * bind->item_bytes);
    }
    free(list.items);
}

static void field_init(const struct bind_field *field, void *place)
{
    switch (field->type) {
    case BIND_TEXT:
    case BIND_JSON:
        *(char **)place = tr_xstrdup(tr_slice(NULL, 0));
        return;
    case BIND_BOOL:
        *(bool *)place = false;
        return;
    case BIND_TRI:
        *(enum tr_tri *)place = TR_UNSET;
        return;
    case BIND_DURATION:
        *(int64_t *)place = 0;
        return;
    case BIND_TEXTS:
    case BIND_NUMBERS:
    case BIND_PAIRS:
    case BIND_HEADERS:
    case BIND_LIST:
        list_write(place, NULL, 0);
        return;
    case BIND_STRUCT:
        bind_init(field->sub, place);
        return;
    }
    TR_BUG("unknown type of a field");
}

static void field_fini(const struct bind_field *field, void *place)
{
    switch (field->type) {
    case BIND_TEXT:
    case BIND_JSON:
        free(*(char **)place);
        *(char **)place = NULL;
        return;
    case BIND_BOOL:
    case BIND_TRI:
    case BIND_DURATION:
        return;
    case BIND_TEXTS:
        texts_free(list_read(place));
        break;
    case BIND_NUMBERS:
        free(list_read(place).items);
        break;
    case BIND_PAIRS:
    case BIND_HEADERS:
        pairs_free(list_read(place));
        break;
    case BIND_LIST:
        structs_free(field->sub, list_read(place));
        break;
    case BIND_STRUCT:
        bind_fini(field->sub, place);
        return;
    }
    list_write(place, NULL, 0);
}

/* Is there an earlier row for the same place? Then the object has it from that row already. */
static bool is_second_name(const struct bind *bind, size_t row)
{
    for (size_t i = 0; i < row; i++) {
        if (bind->fields[i].offset == bind->fields[row].offset &&
            bind->fields[i].sub == bind->fields[row].sub &&
            bind->fields[i].type == bind->fields[row].type) {
            return true;
        }
    }
    return false;
}

void bind_init(const struct bind *bind, void *object)
{
    for (size_t i = 0; i < bind->fields_len; i++) {
        if (!is_second_name(bind, i)) {
            field_init(&bind->fields[i], at(object, &bind->fields[i]));
        }
    }
}

void bind_fini(const struct bind *bind, void *object)
{
    for (size_t i = 0; i < bind->fields_len; i++) {
        if (!is_second_name(bind, i)) {
            field_fini(&bind->fields[i], at(object, &bind->fields[i]));
        }
    }
}

const struct tr_yaml_node *bind_find(const struct tr_yaml_node *map, const char *name)
{
    if (map == NULL || map->kind != TR_YAML_MAP) {
        return NULL;
    }
    for (size_t i = map->items_len; i > 0; i--) {
        if (tr_slice_eq_nocase(map->items[i - 1].key->text, tr_slice_str(name))) {
            return map->items[i - 1].value;
        }
    }
    return NULL;
}

static enum tr_code wrong(const struct tr_yaml_node *node, const char *path, const char *what,
                          struct tr_err *err)
{
    return tr_err_set(err, TR_INVALID, "line %u: %s must be %s", node->line, path, what);
}

/* A scalar as it is written: `version: 1.0` is "1.0". */
static char *scalar_text(const struct tr_yaml_node *node)
{
    return tr_xstrdup(node->text);
}

/* A string as it is; anything else as JSON writes it: `value: 1.0` is "1". */
static char *json_text(const struct tr_yaml_node *node)
{
    if (node->kind == TR_YAML_SCALAR && tr_yaml_type(node) == TR_YAML_STRING) {
        return scalar_text(node);
    }
    struct tr_buf json = { 0 };
    tr_yaml_add_json(&json, node);
    char *text = tr_xstrdup(tr_buf_slice(&json));
    tr_buf_fini(&json);
    return text;
}

static void set_text(char **place, char *text)
{
    free(*place);
    *place = text;
}

/* Memory for the items of a list, which must be one. */
static enum tr_code list_begin(const struct tr_yaml_node *node, const char *path, size_t item_bytes,
                               void **out_items, struct tr_err *err)
{
    if (node->kind != TR_YAML_LIST) {
        return wrong(node, path, "a list", err);
    }
    if (node->items_len > BIND_ITEMS_MAX) {
        return tr_err_set(err, TR_LIMIT, "line %u: %s has more than %u items", node->line, path,
                          BIND_ITEMS_MAX);
    }
    *out_items = tr_xzalloc(node->items_len * item_bytes);
    return TR_OK;
}

static enum tr_code decode_texts(const struct tr_yaml_node *node, const char *path, void *place,
                                 struct tr_err *err)
{
    void *memory = NULL;
    const enum tr_code rc = list_begin(node, path, sizeof(char *), &memory, err);
    if (rc != TR_OK) {
        return rc;
    }
    char **items = memory;
    for (size_t i = 0; i < node->items_len; i++) {
        if (node->items[i].value->kind != TR_YAML_SCALAR) {
            texts_free((struct list){ (void *)items, i });
            return wrong(node->items[i].value, path, "a list of texts", err);
        }
        items[i] = scalar_text(node->items[i].value);
    }
    texts_free(list_read(place));
    list_write(place, (void *)items, node->items_len);
    return TR_OK;
}

static enum tr_code decode_numbers(const struct tr_yaml_node *node, const char *path, void *place,
                                   struct tr_err *err)
{
    void *memory = NULL;
    const enum tr_code rc = list_begin(node, path, sizeof(int64_t), &memory, err);
    if (rc != TR_OK) {
        return rc;
    }
    int64_t *items = memory;
    for (size_t i = 0; i < node->items_len; i++) {
        if (!tr_yaml_get_i64(node->items[i].value, &items[i])) {
            free(items);
            return wrong(node->items[i].value, path, "a list of whole numbers", err);
        }
    }
    free(list_read(place).items);
    list_write(place, items, node->items_len);
    return TR_OK;
}

static enum tr_code decode_pairs(const struct tr_yaml_node *node, const char *path, void *place,
                                 struct tr_err *err)
{
    if (node->kind != TR_YAML_MAP || node->items_len > BIND_ITEMS_MAX) {
        return wrong(node, path, "a map", err);
    }
    struct tr_conf_pair *items = tr_xzalloc(node->items_len * sizeof(*items));
    for (size_t i = 0; i < node->items_len; i++) {
        if (node->items[i].value->kind != TR_YAML_SCALAR) {
            pairs_free((struct list){ items, i });
            return wrong(node->items[i].value, path, "a map of texts", err);
        }
        items[i] = (struct tr_conf_pair){ tr_xstrdup(node->items[i].key->text),
                                          scalar_text(node->items[i].value) };
    }
    pairs_free(list_read(place));
    list_write(place, items, node->items_len);
    return TR_OK;
}

/* One header: "name=value", or a map with name and value. */
static bool decode_header(const struct tr_yaml_node *node, struct tr_conf_pair *out)
{
    if (node->kind == TR_YAML_SCALAR) {
        const size_t name_len = tr_slice_find(node->text, '=');
        if (name_len == node->text.len) {
            return false;
        }
        out->name = tr_xstrdup(tr_slice(node->text.ptr, name_len));
        out->value = tr_xstrdup(tr_slice_skip(node->text, name_len + 1));
        return true;
    }
    const struct tr_yaml_node *name = bind_find(node, "name");
    const struct tr_yaml_node *value = bind_find(node, "value");
    if (name == NULL || name->kind != TR_YAML_SCALAR ||
        (value != NULL && value->kind != TR_YAML_SCALAR)) {
        return false;
    }
    out->name = scalar_text(name);
    out->value = tr_yaml_is_null(value) ? tr_xstrdup(tr_slice(NULL, 0)) : scalar_text(value);
    return true;
}

static enum tr_code decode_headers(const struct tr_yaml_node *node, const char *path, void *place,
                                   struct tr_err *err)
{
    void *memory = NULL;
    const enum tr_code rc = list_begin(node, path, sizeof(struct tr_conf_pair), &memory, err);
    if (rc != TR_OK) {
        return rc;
    }
    struct tr_conf_pair *items = memory;
    for (size_t i = 0; i < node->items_len; i++) {
        if (!decode_header(node->items[i].value, &items[i])) {
            pairs_free((struct list){ items, i });
            return wrong(node->items[i].value, path, "a list of name=value", err);
        }
    }
    pairs_free(list_read(place));
    list_write(place, items, node->items_len);
    return TR_OK;
}

static enum tr_code decode_structs(const struct bind *bind, const struct tr_yaml_node *node,
                                   const char *path, void *place, struct tr_err *err)
{
    void *items = NULL;
    enum tr_code rc = list_begin(node, path, bind->item_bytes, &items, err);
    if (rc != TR_OK) {
        return rc;
    }
    for (size_t i = 0; i < node->items_len; i++) {
        void *item = (char *)items + i * bind->item_bytes;
        bind_init(bind, item);
        rc = bind_decode(bind, node->items[i].value, path, item, err);
        if (rc != TR_OK) {
            structs_free(bind, (struct list){ items, i + 1 });
            return rc;
        }
    }
    structs_free(bind, list_read(place));
    list_write(place, items, node->items_len);
    return TR_OK;
}

static enum tr_code decode_truth(const struct tr_yaml_node *node, const char *path, bool *out,
                                 struct tr_err *err)
{
    return tr_yaml_get_bool(node, out) ? TR_OK : wrong(node, path, "true or false", err);
}

static enum tr_code decode_duration(const struct tr_yaml_node *node, const char *path, int64_t *out,
                                    struct tr_err *err)
{
    if (node->kind != TR_YAML_SCALAR) {
        return wrong(node, path, "a duration", err);
    }
    if (tr_duration_parse(node->text, out, err) != TR_OK) {
        return tr_err_wrap(err, "line %u: %s", node->line, path);
    }
    return TR_OK;
}

static enum tr_code decode_field(const struct bind_field *field, const struct tr_yaml_node *node,
                                 const char *path, void *place, struct tr_err *err)
{
    bool truth = false;
    enum tr_code rc = TR_OK;
    switch (field->type) {
    case BIND_TEXT:
        if (node->kind != TR_YAML_SCALAR) {
            return wrong(node, path, "a text", err);
        }
        set_text(place, scalar_text(node));
        return TR_OK;
    case BIND_JSON:
        set_text(place, json_text(node));
        return TR_OK;
    case BIND_BOOL:
        return decode_truth(node, path, place, err);
    case BIND_TRI:
        rc = decode_truth(node, path, &truth, err);
        if (rc == TR_OK) {
            *(enum tr_tri *)place = truth ? TR_YES : TR_NO;
        }
        return rc;
    case BIND_DURATION:
        return decode_duration(node, path, place, err);
    case BIND_TEXTS:
        return decode_texts(node, path, place, err);
    case BIND_NUMBERS:
        return decode_numbers(node, path, place, err);
    case BIND_PAIRS:
        return decode_pairs(node, path, place, err);
    case BIND_HEADERS:
        return decode_headers(node, path, place, err);
    case BIND_LIST:
        return decode_structs(field->sub, node, path, place, err);
    case BIND_STRUCT:
        return bind_decode(field->sub, node, path, place, err);
    }
    TR_BUG("unknown type of a field");
}

/* Recursion is as deep as the tables are. */
enum tr_code bind_decode(const struct bind *bind, const struct tr_yaml_node *node, const char *path,
                         void *object, struct tr_err *err)
{
    if (tr_yaml_is_null(node)) {
        return TR_OK;
    }
    if (node->kind != TR_YAML_MAP) {
        return wrong(node, path[0] != '\0' ? path : "the document", "a map", err);
    }
    for (size_t i = 0; i < bind->fields_len; i++) {
        const struct bind_field *field = &bind->fields[i];
        const struct tr_yaml_node *value = bind_find(node, field->name);
        if (tr_yaml_is_null(value)) {
            continue;
        }
        struct tr_buf inner = { 0 };
        tr_buf_addf(&inner, "%s%s%s", path, path[0] != '\0' ? "." : "", field->name);
        const enum tr_code rc =
            decode_field(field, value, tr_buf_cstr(&inner), at(object, field), err);
        tr_buf_fini(&inner);
        if (rc != TR_OK) {
            return rc;
        }
    }
    return TR_OK;
}
