/* The data folder. Files are written under another name and then renamed, so that a reader sees a
 * whole one. */
#include "runtime/tool/data.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base/json.h"
#include "runtime/resource/component.h"

static enum tr_code io_error(const char *what, const char *path, int why, struct tr_err *err)
{
    const enum tr_code code = why == EACCES || why == EPERM || why == EROFS ? TR_PERMISSION : TR_IO;
    return tr_err_set(err, code, "%s '%s': %s", what, path, strerror(why));
}

/* Make a folder and those above it, for this user alone. */
static enum tr_code make_folders(const char *folder, struct tr_err *err)
{
    struct tr_buf path = { 0 };
    for (const char *c = folder; *c != '\0'; c++) {
        const bool is_level = *c == '/' && c > folder;
        if (is_level && mkdir(tr_buf_cstr(&path), S_IRWXU) != 0 && errno != EEXIST) {
            break; /* the last one says what is wrong */
        }
        tr_buf_add_char(&path, *c);
    }
    tr_buf_fini(&path);
    return mkdir(folder, S_IRWXU) == 0 || errno == EEXIST
               ? TR_OK
               : io_error("make folder", folder, errno, err);
}

static enum tr_code write_file(const char *path, struct tr_slice text, struct tr_err *err)
{
    struct tr_buf other = { 0 };
    tr_buf_addf(&other, "%s.%d", path, (int)getpid());
    FILE *file = fopen(tr_buf_cstr(&other), "we");
    bool ok = file != NULL && fwrite(text.ptr, 1, text.len, file) == text.len;
    ok = file != NULL && fclose(file) == 0 && ok;
    ok = ok && rename(tr_buf_cstr(&other), path) == 0;
    const int why = errno;
    if (!ok && file != NULL) {
        (void)unlink(tr_buf_cstr(&other));
    }
    tr_buf_fini(&other);
    return ok ? TR_OK : io_error("write file", path, why, err);
}

void tr_data_component(struct tr_slice state, struct tr_buf *out)
{
    tr_buf_add_str(out, "# Written by `troupe dev` at each start.\n"
                        "apiVersion: dapr.io/v1alpha1\n"
                        "kind: Component\n"
                        "metadata:\n"
                        "  name: statestore\n"
                        "spec:\n"
                        "  type: state.lmdb\n"
                        "  version: v1\n"
                        "  metadata:\n"
                        "  - name: path\n"
                        "    value: ");
    tr_json_add_str(out, state); /* good YAML as well */
    tr_buf_add_str(out, "\n"
                        "  - name: actorStateStore\n"
                        "    value: \"true\"\n");
}

static enum tr_code write_files(struct tr_data *data, const char *root, struct tr_err *err)
{
    struct tr_buf text = { 0 };
    struct tr_buf path = { 0 };
    tr_buf_addf(&path, "%s/.gitignore", root);
    enum tr_code rc = write_file(tr_buf_cstr(&path), TR_SLICE_LIT("*\n"), err);
    if (rc == TR_OK) {
        tr_data_component(tr_buf_slice(&data->state), &text);
        tr_buf_clear(&path);
        tr_buf_addf(&path, "%s/statestore.yaml", tr_buf_cstr(&data->components));
        rc = write_file(tr_buf_cstr(&path), tr_buf_slice(&text), err);
    }
    tr_buf_fini(&path);
    tr_buf_fini(&text);
    return rc;
}

enum tr_code tr_data_prepare(struct tr_data *data, const char *folder, struct tr_err *err)
{
    *data = (struct tr_data){ 0 };
    enum tr_code rc = make_folders(folder, err);
    if (rc != TR_OK) {
        return rc;
    }
    char *root = realpath(folder, NULL);
    if (root == NULL) {
        return io_error("find folder", folder, errno, err);
    }
    tr_buf_addf(&data->state, "%s/state", root);
    tr_buf_addf(&data->components, "%s/components", root);
    rc = make_folders(tr_buf_cstr(&data->components), err);
    rc = rc == TR_OK ? write_files(data, root, err) : rc;
    if (rc != TR_OK) {
        tr_data_fini(data);
    }
    free(root);
    return rc;
}

void tr_data_fini(struct tr_data *data)
{
    tr_buf_fini(&data->state);
    tr_buf_fini(&data->components);
}

enum tr_code tr_data_has_actor_store(const struct tr_arg_list *folders, const char *app_id,
                                     bool *out_has, struct tr_err *err)
{
    struct tr_log_sink sink;
    struct tr_log log;
    tr_log_sink_init(&sink);
    sink.level = TR_LOG_OFF; /* the sidecar says what is wrong with a resource */
    tr_log_init(&log, &sink, "troupe.dev");
    const struct tr_resource_options options = {
        .folders = (const char *const *)folders->items,
        .folders_len = folders->len,
        .app_id = app_id,
        .name_space = getenv("NAMESPACE"),
        .log = &log,
    };
    struct tr_resources resources;
    const enum tr_code rc = tr_resources_load(&options, &resources, err);
    if (rc == TR_OK) {
        bool has = false;
        for (size_t i = 0; i < resources.len; i++) {
            const struct tr_component_spec *component = resources.items[i].component;
            has = has || (component != NULL && tr_component_is_actor_store(component));
        }
        *out_has = has;
        tr_resources_fini(&resources);
    }
    tr_log_sink_fini(&sink);
    return rc;
}
