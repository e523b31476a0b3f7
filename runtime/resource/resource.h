/*
 * What a user configures, as files: Components, HTTPEndpoints and Resiliency from the resource folders (this header and
 * component.h), and the Configuration (configuration.h). Loading reads and checks; it opens nothing.
 *
 * The folders are read as Dapr reads them: entries by name, `.yaml` and `.yml`, several documents a file, other kinds
 * passed over. A document that cannot be read is logged with file, document and line, and the others are used; a folder
 * that cannot be read and a name that is taken twice are errors, which end the sidecar.
 *
 * Thread: any; it blocks on files, so after the start it belongs on a worker.
 * Source: Dapr pkg/internal/loader/disk (1.18), pkg/resiliency/resiliency.go.
 */
#ifndef TR_RESOURCE_RESOURCE_H
#define TR_RESOURCE_RESOURCE_H

#include <stdbool.h>
#include <stddef.h>

#include "runtime/base/buf.h"
#include "runtime/base/err.h"
#include "runtime/base/log.h"
#include "runtime/base/slice.h"
#include "runtime/base/yaml.h"

#define TR_RESOURCE_FILES_MAX     4096U             /* entries of one folder */
#define TR_RESOURCE_FILE_BYTES    (4U * 1024U * 1024U)
#define TR_RESOURCES_MAX          4096U             /* resources of one load */

enum tr_resource_kind { TR_RESOURCE_COMPONENT, TR_RESOURCE_HTTP_ENDPOINT, TR_RESOURCE_RESILIENCY, TR_RESOURCE_KINDS_LEN };

/* Name of a kind as it is written: "Component". */
const char *tr_resource_kind_name(enum tr_resource_kind kind);

/* The environment: NULL if a variable is not set. getenv() in the product, a table in tests. */
typedef const char *(*tr_env_fn)(const char *name);

struct tr_component_spec;

/* The head of a resource, and its tree. */
struct tr_resource {
    enum tr_resource_kind kind;
    char *name;                        /* owned */
    char *name_space;                  /* owned; "" if it has none */
    char *log_name;                    /* owned; "NAME (TYPE/VERSION)", "NAME (BASEURL)", or the name */
    char *origin;                      /* owned; "path: document 2", for messages */
    const struct tr_yaml_node *spec;   /* borrowed from `yaml`; NULL if there is none */
    const struct tr_yaml_node *scopes; /* the same: list of app ids, or NULL */
    struct tr_component_spec *component; /* owned; NULL for other kinds; see component.h */
    struct tr_yaml yaml;               /* owned */
};

struct tr_resources {
    struct tr_resource *items; /* owned; in the order of folders, files and documents */
    size_t len;
};

struct tr_resource_options {
    const char *const *folders; /* borrowed */
    size_t folders_len;
    const char *app_id;
    const char *name_space;     /* NAMESPACE as it is set; NULL or "" turns the filter off */
    const struct tr_log *log;
};

/*
 * Load all folders: namespace, duplicates and scopes are dealt with; what stays is for this app.
 *
 * Owns:   tr_resources_fini().
 * Errors: TR_IO: a folder cannot be read. TR_EXISTS: "duplicate definition of Component name A (t/v) with existing B
 *         (t/v)", several joined by line feeds. TR_LIMIT.
 */
enum tr_code tr_resources_load(const struct tr_resource_options *options, struct tr_resources *out_resources,
                               struct tr_err *err) TR_MUST_USE;
void tr_resources_fini(struct tr_resources *resources);

/* The first resource of a kind with a name, or NULL. */
const struct tr_resource *tr_resources_find(const struct tr_resources *resources, enum tr_resource_kind kind,
                                            struct tr_slice name);

/*
 * Read one document, whose first line is line `first_line` of its file. `*out_known` is false, and nothing is to be
 * freed, for an empty document and for kinds that are not ours.
 *
 * Errors: TR_INVALID or TR_LIMIT, with the line.
 */
enum tr_code tr_resource_parse(struct tr_slice text, unsigned first_line, bool *out_known,
                               struct tr_resource *out_resource, struct tr_err *err) TR_MUST_USE;
void tr_resource_fini(struct tr_resource *resource);

/* May the app use the resource? True without scopes. */
bool tr_resource_in_scope(const struct tr_resource *resource, const char *app_id);

/*
 * Cut the next document off `*rest`: files are split at a line feed followed by `---`, up to the end of that line, before
 * any YAML is read. `*line` is the number of the document's first line, and is moved on. False at the end.
 */
bool tr_resource_next_document(struct tr_slice *rest, unsigned *line, struct tr_slice *out_text, unsigned *out_first_line);

#endif
