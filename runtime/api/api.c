/* What both surfaces share. */
#include "runtime/api/api_int.h"

#include <stdlib.h>

/* Source: Dapr pkg/diagnostics/errorcode_monitoring.go. */
static const struct tr_metric_spec errors_spec = {
    .name = "dapr_error_code_total",
    .help = "Total number of times an error with a specific error code was encountered.",
    .kind = TR_METRIC_COUNTER,
    .has_app_id = true,
    .labels = { "category", "error_code" },
};

struct tr_api *tr_api_new(const struct tr_api_conf *conf)
{
    struct tr_api *api = tr_xzalloc(sizeof(*api));
    api->conf = *conf;
    tr_log_init(&api->log, conf->sink, "dapr.runtime");
    tr_log_init(&api->http_log, conf->sink, "dapr.runtime.http-info");
    tr_log_init(&api->grpc_log, conf->sink, "dapr.runtime.grpc.api-info");
    api->counts_errors = conf->metrics != NULL && conf->configuration->metrics.records_error_codes;
    api_meter_init(&api->meter, conf->metrics, conf->configuration->metrics.increased_cardinality != TR_NO,
                   !conf->configuration->metrics.excludes_verbs);
    if (api->counts_errors) {
        tr_metric_init(&api->errors, conf->metrics, &errors_spec);
    }
    return api;
}

static void store_fini(struct tr_api_store *store)
{
    tr_buf_fini(&store->name);
    tr_key_prefix_fini(&store->prefix);
}

void tr_api_free(struct tr_api **api_ref)
{
    struct tr_api *api = *api_ref;
    if (api == NULL) {
        return;
    }
    tr_assert(api->open_len == 0);
    for (size_t i = 0; i < api->stores_len; i++) {
        store_fini(&api->stores[i]);
    }
    free(api->stores);
    api_meter_fini(&api->meter);
    if (api->counts_errors) {
        tr_metric_fini(&api->errors);
    }
    tr_http_headers_fini(&api->extended);
    free(api->methods);
    free(api);
    *api_ref = NULL;
}

size_t tr_api_open(const struct tr_api *api)
{
    return api->open_len;
}

struct tr_api_store *api_store_find(struct tr_api *api, struct tr_slice name)
{
    for (size_t i = 0; i < api->stores_len; i++) {
        if (tr_slice_eq(tr_buf_slice(&api->stores[i].name), name)) {
            return &api->stores[i];
        }
    }
    return NULL;
}

void tr_api_store_set(struct tr_api *api, struct tr_slice name, struct tr_slice key_prefix, struct tr_slice ns,
                      struct tr_store *store)
{
    struct tr_api_store *slot = api_store_find(api, name);
    if (slot == NULL) {
        tr_assert(api->stores_len < TR_API_STORES_MAX);
        api->stores = tr_xrealloc(api->stores, (api->stores_len + 1) * sizeof(*api->stores));
        slot = &api->stores[api->stores_len++];
        *slot = (struct tr_api_store){ 0 };
        tr_buf_add(&slot->name, name);
    }
    tr_key_prefix_fini(&slot->prefix);
    struct tr_err err;
    if (tr_key_prefix_init(&slot->prefix, key_prefix, api->conf.app_id, ns, name, &err) != TR_OK) {
        TR_BUG("the component's prefix was checked when it was loaded");
    }
    slot->store = store;
}

void tr_api_store_remove(struct tr_api *api, struct tr_slice name)
{
    struct tr_api_store *slot = api_store_find(api, name);
    if (slot != NULL) {
        store_fini(slot);
        *slot = api->stores[--api->stores_len];
    }
}

bool api_extended_set(struct tr_api *api, struct tr_slice key, struct tr_slice value)
{
    if (key.len == 0 || tr_slice_eq_str(key, API_VERSION_KEY)) {
        return true;
    }
    struct tr_http_headers kept = { 0 };
    for (size_t i = 0; i < tr_http_headers_len(&api->extended); i++) {
        const struct tr_http_header entry = tr_http_headers_at(&api->extended, i);
        if (!tr_slice_eq(entry.name, key)) {
            tr_http_headers_add(&kept, entry.name, entry.value);
        }
    }
    const bool has_room = tr_http_headers_len(&kept) < TR_API_EXTENDED_MAX;
    if (has_room) {
        tr_http_headers_add(&kept, key, value);
    }
    tr_http_headers_move(&api->extended, &kept);
    return has_room;
}

bool api_is_reserved(struct tr_slice type, struct tr_err *err)
{
    if (!tr_slice_starts(type, tr_slice_str(TR_ACTOR_INTERNAL_PREFIX))) {
        return false;
    }
    (void)tr_err_set(err, TR_ACTOR_RESERVED,
                     "actor type \"%.*s\" is reserved for the Dapr workflow runtime; direct actor API access is not permitted",
                     TR_SLICE_ARG(type));
    return true;
}

bool api_is_token(const struct tr_api *api, struct tr_slice token)
{
    const struct tr_slice want = api->conf.token;
    if (want.len == 0) {
        return true;
    }
    unsigned different = want.len != token.len;
    for (size_t i = 0; i < token.len; i++) {
        different |= (unsigned)(token.ptr[i] ^ want.ptr[i % want.len]);
    }
    return different == 0;
}

bool api_is_true(struct tr_slice value)
{
    return tr_slice_eq_nocase(value, TR_SLICE_LIT("true"));
}
