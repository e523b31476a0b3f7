/* Any bytes as a resource file, and as a Configuration. */
#include <stdint.h>
#include <stdlib.h>

#include "runtime/resource/component.h"
#include "runtime/resource/configuration.h"

static const char *no_env(const char *name)
{
    (void)name;
    return NULL;
}

static void use_component(struct tr_resource *resource)
{
    struct tr_rng rng;
    struct tr_err err;
    tr_rng_init_seed(&rng, 1);
    const struct tr_component_words words = { .app_id = "a", .name_space = "n", .rng = &rng };
    (void)tr_component_is_actor_store(resource->component);
    if (tr_component_substitute(resource->component, &words, &err) != TR_OK) {
        return;
    }
    tr_component_set_secret(resource->component, TR_SLICE_LIT("s"), TR_SLICE_LIT("s"),
                            TR_SLICE_LIT("v"));
}

static void read_resources(struct tr_slice rest)
{
    struct tr_slice text;
    unsigned line = 1;
    unsigned first_line = 1;
    while (tr_resource_next_document(&rest, &line, &text, &first_line)) {
        struct tr_resource resource;
        struct tr_err err;
        bool is_known = false;
        if (tr_resource_parse(text, first_line, &is_known, &resource, &err) != TR_OK || !is_known) {
            continue;
        }
        (void)tr_resource_in_scope(&resource, "app");
        if (resource.component != NULL) {
            use_component(&resource);
        }
        tr_resource_fini(&resource);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct tr_slice text = tr_slice(data, size);
    struct tr_configuration configuration;
    struct tr_buf expanded = { 0 };
    struct tr_err err;
    read_resources(text);
    tr_resource_expand_env(text, no_env, &expanded);
    tr_configuration_init(&configuration);
    if (tr_configuration_decode(&configuration, tr_buf_slice(&expanded), "fuzz", &err) == TR_OK) {
        (void)tr_configuration_check(&configuration, &err);
        (void)tr_configuration_denies_component(&configuration, "state.a", "v1");
        (void)tr_configuration_allows_grpc(&configuration,
                                           TR_SLICE_LIT("/dapr.proto.runtime.v1.Dapr/GetState"));
    }
    tr_configuration_fini(&configuration);
    tr_buf_fini(&expanded);
    return 0;
}
