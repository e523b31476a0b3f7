/*
 * Loading the resource folders. Each document is read on its own, so that a bad one costs only itself. Then, in the order
 * of the files: another namespace is passed over; a name that is taken is an error, even if the second is out of scope;
 * what is out of scope is passed over and takes no name.
 * Source: Dapr pkg/internal/loader/disk/disk.go (1.18).
 */
#include <stdlib.h>

#include "runtime/base/map.h"
#include "runtime/resource/file_int.h"
#include "runtime/resource/resource.h"

struct load {
    const struct tr_resource_options *options;
    struct tr_resources found;
    struct tr_map taken;      /* kind and name: the log name of who has it, borrowed from `found` */
    struct tr_buf duplicates; /* one line each */
    struct tr_err *err;
};

static bool is_yaml(const char *name)
{
    const char *dot = strrchr(name, '.');
    return dot != NULL && (tr_slice_eq_nocase(tr_slice_str(dot), TR_SLICE_LIT(".yaml")) ||
                           tr_slice_eq_nocase(tr_slice_str(dot), TR_SLICE_LIT(".yml")));
}

static bool is_other_namespace(const struct load *load, const struct tr_resource *resource)
{
    const char *own = load->options->name_space;
    return resource->kind != TR_RESOURCE_RESILIENCY && own != NULL && own[0] != '\0' &&
           resource->name_space[0] != '\0' && strcmp(own, resource->name_space) != 0;
}

/* Several Resiliency resources of a name are merged by their user, so theirs is never taken. */
static bool is_duplicate(struct load *load, const struct tr_resource *resource, struct tr_buf *key)
{
    tr_buf_addf(key, "%s/%s", tr_resource_kind_name(resource->kind), resource->name);
    const char *existing = tr_map_get(&load->taken, tr_buf_slice(key));
    if (existing == NULL || resource->kind == TR_RESOURCE_RESILIENCY) {
        return false;
    }
    tr_buf_addf(&load->duplicates, "%sduplicate definition of %s name %s with existing %s",
                load->duplicates.len > 0 ? "\n" : "", tr_resource_kind_name(resource->kind),
                resource->log_name, existing);
    return true;
}

/* Keep the resource, or free it. */
static enum tr_code take(struct load *load, struct tr_resource *resource)
{
    struct tr_buf key = { 0 };
    enum tr_code rc = TR_OK;
    if (is_other_namespace(load, resource) || is_duplicate(load, resource, &key) ||
        !tr_resource_in_scope(resource, load->options->app_id)) {
        tr_resource_fini(resource);
    } else if (load->found.len == TR_RESOURCES_MAX) {
        tr_resource_fini(resource);
        rc = tr_err_set(load->err, TR_LIMIT, "more than %u resources", TR_RESOURCES_MAX);
    } else {
        (void)tr_map_put(&load->taken, tr_buf_slice(&key), resource->log_name);
        load->found.items =
            tr_xrealloc(load->found.items, (load->found.len + 1) * sizeof(*resource));
        load->found.items[load->found.len++] = *resource;
    }
    tr_buf_fini(&key);
    return rc;
}

static enum tr_code read_document(struct load *load, const char *path, unsigned number,
                                  struct tr_slice text, unsigned first_line)
{
    struct tr_resource resource;
    struct tr_err fault;
    bool is_known = false;
    if (tr_resource_parse(text, first_line, &is_known, &resource, &fault) != TR_OK) {
        tr_log_text(load->options->log, TR_LOG_WARN,
                    "daprd load Component error when parsing manifests yaml resource in %s: "
                    "document %u: %s",
                    path, number, fault.msg);
        return TR_OK;
    }
    if (!is_known) {
        return TR_OK;
    }
    struct tr_buf origin = { 0 };
    tr_buf_addf(&origin, "%s: document %u", path, number);
    free(resource.origin);
    resource.origin = tr_xstrdup(tr_buf_slice(&origin));
    tr_buf_fini(&origin);
    return take(load, &resource);
}

static enum tr_code read_file(struct load *load, const char *path)
{
    struct tr_buf text = { 0 };
    struct tr_err fault;
    if (file_read(path, &text, &fault) != TR_OK) {
        tr_log_text(load->options->log, TR_LOG_WARN,
                    "daprd load Component error when reading file %s: %s", path, fault.msg);
        tr_buf_fini(&text);
        return TR_OK;
    }
    struct tr_slice rest = tr_slice(text.len > 0 ? text.ptr : "", text.len);
    struct tr_slice document;
    unsigned line = 1;
    unsigned first_line = 1;
    enum tr_code rc = TR_OK;
    for (unsigned number = 1;
         rc == TR_OK && tr_resource_next_document(&rest, &line, &document, &first_line); number++) {
        rc = read_document(load, path, number, document, first_line);
    }
    tr_buf_fini(&text);
    return rc;
}

static enum tr_code read_folder(struct load *load, const char *folder)
{
    struct file_names names = { 0 };
    enum tr_code rc = file_list(folder, &names, load->err);
    if (rc != TR_OK) {
        return rc;
    }
    for (size_t i = 0; i < names.len && rc == TR_OK; i++) {
        if (!is_yaml(names.items[i])) {
            tr_log_text(load->options->log, TR_LOG_WARN,
                        "A non-YAML Component file %s was detected, it will not be loaded",
                        names.items[i]);
            continue;
        }
        struct tr_buf path = { 0 };
        tr_buf_addf(&path, "%s/%s", folder, names.items[i]);
        rc = read_file(load, tr_buf_cstr(&path));
        tr_buf_fini(&path);
    }
    file_names_fini(&names);
    return rc;
}

enum tr_code tr_resources_load(const struct tr_resource_options *options,
                               struct tr_resources *out_resources, struct tr_err *err)
{
    struct load load = { .options = options, .err = err };
    enum tr_code rc = TR_OK;
    for (size_t i = 0; i < options->folders_len && rc == TR_OK; i++) {
        rc = read_folder(&load, options->folders[i]);
    }
    if (rc == TR_OK && load.duplicates.len > 0) {
        rc = tr_err_set(err, TR_EXISTS, "%s", tr_buf_cstr(&load.duplicates));
    }
    tr_map_fini(&load.taken);
    tr_buf_fini(&load.duplicates);
    if (rc != TR_OK) {
        tr_resources_fini(&load.found);
        return rc;
    }
    *out_resources = load.found;
    return TR_OK;
}

void tr_resources_fini(struct tr_resources *resources)
{
    for (size_t i = 0; i < resources->len; i++) {
        tr_resource_fini(&resources->items[i]);
    }
    free(resources->items);
    *resources = (struct tr_resources){ 0 };
}

const struct tr_resource *tr_resources_find(const struct tr_resources *resources,
                                            enum tr_resource_kind kind, struct tr_slice name)
{
    for (size_t i = 0; i < resources->len; i++) {
        if (resources->items[i].kind == kind && tr_slice_eq_str(name, resources->items[i].name)) {
            return &resources->items[i];
        }
    }
    return NULL;
}
