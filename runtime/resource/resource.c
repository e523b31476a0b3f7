/* One resource: its document, its head. */
#include "runtime/resource/resource.h"

#include <stdlib.h>

#include "runtime/resource/bind_int.h"
#include "runtime/resource/component_int.h"

#define API_VERSION "dapr.io/v1alpha1"

const char *tr_resource_kind_name(enum tr_resource_kind kind)
{
    static const char *const names[] = {
        [TR_RESOURCE_COMPONENT] = "Component",
        [TR_RESOURCE_HTTP_ENDPOINT] = "HTTPEndpoint",
        [TR_RESOURCE_RESILIENCY] = "Resiliency",
    };
    tr_assert(kind < TR_RESOURCE_KINDS_LEN);
    return names[kind];
}

static unsigned count_lines(struct tr_slice text)
{
    unsigned lines = 0;
    for (size_t i = 0; i < text.len; i++) {
        lines += text.ptr[i] == '\n' ? 1 : 0;
    }
    return lines;
}

/* Source: Dapr pkg/internal/loader/disk, splitYamlDoc. */
bool tr_resource_next_document(struct tr_slice *rest, unsigned *line, struct tr_slice *out_text,
                               unsigned *out_first_line)
{
    if (rest->ptr == NULL) {
        return false;
    }
    const char *mark = rest->len == 0 ? NULL : memmem(rest->ptr, rest->len, "\n---", 4);
    *out_first_line = *line;
    if (mark == NULL) {
        *out_text = *rest;
        *rest = tr_slice(NULL, 0);
        return true;
    }
    const size_t text_len = (size_t)(mark - rest->ptr) + 1;
    const struct tr_slice marker_line = tr_slice_skip(*rest, text_len);
    const size_t used = text_len + tr_slice_find(marker_line, '\n') + 1;
    *out_text = tr_slice(rest->ptr, text_len);
    if (used >= rest->len) {
        *rest = tr_slice(NULL, 0);
        return true;
    }
    *line += count_lines(tr_slice(rest->ptr, used));
    *rest = tr_slice_skip(*rest, used);
    return true;
}

/* Text of the scalar `name` of a map, or the empty slice. */
static struct tr_slice scalar_at(const struct tr_yaml_node *map, const char *name)
{
    const struct tr_yaml_node *node = bind_find(map, name);
    return tr_yaml_is_null(node) || node->kind != TR_YAML_SCALAR ? tr_slice(NULL, 0) : node->text;
}

/* Is the document one of ours? Dapr also takes Resiliency whatever its apiVersion is. */
static bool find_kind(const struct tr_yaml_node *root, enum tr_resource_kind *out_kind)
{
    const struct tr_slice written = scalar_at(root, "kind");
    for (unsigned kind = 0; kind < TR_RESOURCE_KINDS_LEN; kind++) {
        if (tr_slice_eq_str(written, tr_resource_kind_name((enum tr_resource_kind)kind))) {
            *out_kind = (enum tr_resource_kind)kind;
            return kind == TR_RESOURCE_RESILIENCY ||
                   tr_slice_eq_str(scalar_at(root, "apiVersion"), API_VERSION);
        }
    }
    return false;
}

/* Why a name is illegal, or NULL. Source: k8s.io/apimachinery pkg/api/validation/path/name.go. */
static const char *name_fault(struct tr_slice name)
{
    if (name.len == 0) {
        return "must not be empty";
    }
    if (tr_slice_eq_str(name, ".") || tr_slice_eq_str(name, "..")) {
        return name.len == 1 ? "may not be '.'" : "may not be '..'";
    }
    if (tr_slice_find(name, '/') < name.len) {
        return "may not contain '/'";
    }
    return tr_slice_find(name, '%') < name.len ? "may not contain '%'" : NULL;
}

/* A list whose items are scalars, or nothing. */
static enum tr_code check_scopes(const struct tr_yaml_node *scopes, struct tr_err *err)
{
    if (tr_yaml_is_null(scopes)) {
        return TR_OK;
    }
    bool is_fine = scopes->kind == TR_YAML_LIST;
    for (size_t i = 0; is_fine && i < scopes->items_len; i++) {
        is_fine = scopes->items[i].value->kind == TR_YAML_SCALAR;
    }
    return is_fine ? TR_OK
                   : tr_err_set(err, TR_INVALID, "line %u: scopes must be a list of app ids",
                                scopes->line);
}

static enum tr_code read_head(struct tr_resource *resource, const struct tr_yaml_node *root,
                              struct tr_err *err)
{
    const struct tr_yaml_node *metadata = bind_find(root, "metadata");
    const struct tr_slice name = scalar_at(metadata, "name");
    const char *fault = name_fault(name);
    if (fault != NULL) {
        return tr_err_set(err, TR_INVALID, "line %u: invalid name \"%.*s\" for \"%s\": %s",
                          metadata != NULL ? metadata->line : root->line, TR_SLICE_ARG(name),
                          tr_resource_kind_name(resource->kind), fault);
    }
    resource->name = tr_xstrdup(name);
    resource->name_space = tr_xstrdup(scalar_at(metadata, "namespace"));
    resource->spec = bind_find(root, "spec");
    resource->scopes = bind_find(root, "scopes");
    if (tr_yaml_is_null(resource->scopes)) {
        resource->scopes = NULL;
    }
    if (resource->spec != NULL && !tr_yaml_is_null(resource->spec) &&
        resource->spec->kind != TR_YAML_MAP) {
        return tr_err_set(err, TR_INVALID, "line %u: spec must be a map", resource->spec->line);
    }
    return check_scopes(resource->scopes, err);
}

static void set_log_name(struct tr_resource *resource, const char *detail, const char *version)
{
    struct tr_buf text = { 0 };
    tr_buf_add_str(&text, resource->name);
    if (detail != NULL) {
        tr_buf_addf(&text, " (%s%s%s)", detail, version[0] != '\0' ? "/" : "", version);
    }
    resource->log_name = tr_xstrdup(tr_buf_slice(&text));
    tr_buf_fini(&text);
}

/* What a kind asks of its spec. */
static enum tr_code read_spec(struct tr_resource *resource, const struct tr_yaml_node *root,
                              struct tr_err *err)
{
    enum tr_code rc = TR_OK;
    switch (resource->kind) {
    case TR_RESOURCE_COMPONENT:
        rc = component_spec_new(root, &resource->component, err);
        if (rc == TR_OK) {
            set_log_name(resource, resource->component->type, resource->component->version);
        }
        return rc;
    case TR_RESOURCE_HTTP_ENDPOINT: {
        const struct tr_slice url = scalar_at(resource->spec, "baseUrl");
        if (url.len == 0) {
            return tr_err_set(err, TR_INVALID, "line %u: spec.baseUrl is missing", root->line);
        }
        char *text = tr_xstrdup(url);
        set_log_name(resource, text, "");
        free(text);
        return TR_OK;
    }
    case TR_RESOURCE_RESILIENCY:
        set_log_name(resource, NULL, "");
        return TR_OK;
    case TR_RESOURCE_KINDS_LEN:
        break;
    }
    TR_BUG("unknown kind of a resource");
}

enum tr_code tr_resource_parse(struct tr_slice text, unsigned first_line, bool *out_known,
                               struct tr_resource *out_resource, struct tr_err *err)
{
    struct tr_resource resource = { 0 };
    enum tr_code rc = tr_yaml_parse(text, first_line, &resource.yaml, err);
    if (rc != TR_OK) {
        return rc;
    }
    const struct tr_yaml_node *root =
        resource.yaml.documents_len > 0 ? resource.yaml.documents[0] : NULL;
    if (!tr_yaml_is_null(root) && root->kind != TR_YAML_MAP) {
        rc = tr_err_set(err, TR_INVALID, "line %u: the document must be a map", root->line);
        tr_resource_fini(&resource);
        return rc;
    }
    if (tr_yaml_is_null(root) || !find_kind(root, &resource.kind)) {
        *out_known = false;
        tr_resource_fini(&resource);
        return TR_OK;
    }
    rc = read_head(&resource, root, err);
    if (rc == TR_OK) {
        rc = read_spec(&resource, root, err);
    }
    if (rc != TR_OK) {
        tr_resource_fini(&resource);
        return rc;
    }
    resource.origin = tr_xstrdup(tr_slice(NULL, 0));
    *out_known = true;
    *out_resource = resource;
    return TR_OK;
}

void tr_resource_fini(struct tr_resource *resource)
{
    free(resource->name);
    free(resource->name_space);
    free(resource->log_name);
    free(resource->origin);
    component_spec_free(&resource->component);
    tr_yaml_fini(&resource->yaml);
    *resource = (struct tr_resource){ 0 };
}

bool tr_resource_in_scope(const struct tr_resource *resource, const char *app_id)
{
    if (resource->scopes == NULL || resource->scopes->items_len == 0) {
        return true;
    }
    for (size_t i = 0; i < resource->scopes->items_len; i++) {
        if (tr_slice_eq_str(resource->scopes->items[i].value->text, app_id)) {
            return true;
        }
    }
    return false;
}
