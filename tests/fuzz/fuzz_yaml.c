/* Any bytes through the YAML reader; what it accepts must come out as valid JSON. */
#include <stdint.h>

#include "runtime/base/json.h"
#include "runtime/base/yaml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tr_yaml yaml;
    struct tr_err err;
    if (tr_yaml_parse(tr_slice(data, size), 1, &yaml, &err) != TR_OK) {
        return 0;
    }
    for (size_t i = 0; i < yaml.documents_len; i++) {
        struct tr_buf buf = { 0 };
        tr_yaml_add_json(&buf, yaml.documents[i]);
        tr_assert(tr_json_check(tr_buf_slice(&buf), NULL, &err) == TR_OK);
        (void)tr_yaml_get(yaml.documents[i], "metadata");
        tr_buf_fini(&buf);
    }
    tr_yaml_fini(&yaml);
    return 0;
}
