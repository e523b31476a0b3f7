/* The tables as JSON, for /placement/state. Members that are zero or empty are left out, as Go's omitempty does. */
#include <stdlib.h>

#include "placement/server_int.h"
#include "runtime/base/json.h"

static void add_text(struct tr_json_out *out, const char *key, struct tr_slice text)
{
    if (text.len > 0) {
        tr_json_key(out, key);
        tr_json_str(out, text);
    }
}

static void add_number(struct tr_json_out *out, const char *key, int64_t number)
{
    if (number != 0) {
        tr_json_key(out, key);
        tr_json_i64(out, number);
    }
}

static void add_host(struct tr_json_out *out, const struct tr_host *host)
{
    tr_json_begin_object(out);
    add_text(out, "name", host->name);
    add_number(out, "port", host->port);
    add_number(out, "load", host->load);
    if (host->types_len > 0) {
        tr_json_key(out, "entities");
        tr_json_begin_array(out);
        for (size_t i = 0; i < host->types_len; i++) {
            tr_json_str(out, host->types[i]);
        }
        tr_json_end_array(out);
    }
    add_text(out, "id", host->id);
    add_text(out, "pod", host->pod);
    add_number(out, "api_level", host->api_level);
    add_text(out, "namespace", host->ns);
    add_number(out, "operation", host->op);
    if (host->has_version) {
        tr_json_key(out, "version");
        tr_json_u64(out, host->version);
    }
    tr_json_end_object(out);
}

static void add_ns(struct tr_json_out *out, const struct tr_rounds *rounds)
{
    size_t len = tr_rounds_hosts(rounds, NULL, 0);
    const struct tr_host **hosts = tr_xalloc((len + 1) * sizeof(*hosts));
    (void)tr_rounds_hosts(rounds, hosts, len);
    tr_json_key_slice(out, tr_rounds_name(rounds));
    tr_json_begin_object(out);
    if (len > 0) {
        tr_json_key(out, "hosts");
        tr_json_begin_array(out);
        for (size_t i = 0; i < len; i++) {
            add_host(out, hosts[i]);
        }
        tr_json_end_array(out);
    }
    if (tr_rounds_version(rounds) != 0) {
        tr_json_key(out, "version");
        tr_json_u64(out, tr_rounds_version(rounds));
    }
    tr_json_end_object(out);
    free(hosts);
}

static int by_name(const void *a, const void *b)
{
    return tr_slice_cmp(tr_rounds_name(*(const struct tr_rounds *const *)a),
                        tr_rounds_name(*(const struct tr_rounds *const *)b));
}

void tr_placement_server_state_json(const struct tr_placement_server *server,
                                    struct tr_buf *out_json)
{
    struct tr_json_out out;
    tr_json_out_init(&out, out_json);
    if (!server->is_leader) {
        tr_json_null(&out);
        return;
    }
    const struct tr_rounds **all = tr_xalloc((server->namespaces.len + 1) * sizeof(*all));
    size_t len = 0;
    struct tr_map_iter iter = { 0 };
    struct tr_slice name;
    void *value;
    while (tr_map_next(&server->namespaces, &iter, &name, &value)) {
        all[len++] = ((const struct tr_placement_ns *)value)->rounds;
    }
    qsort(all, len, sizeof(struct tr_rounds *), by_name);
    tr_json_begin_object(&out);
    if (len > 0) {
        tr_json_key(&out, "tables");
        tr_json_begin_object(&out);
        for (size_t i = 0; i < len; i++) {
            add_ns(&out, all[i]);
        }
        tr_json_end_object(&out);
    }
    tr_json_end_object(&out);
    free(all);
}
