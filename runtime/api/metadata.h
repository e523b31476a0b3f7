/* The sidecar's own description. */
#ifndef TR_API_METADATA_H
#define TR_API_METADATA_H

#include "runtime/api/api_int.h"

/* Append the JSON document. */
void api_metadata_json(struct tr_api *api, struct tr_buf *out);
/* Append the encoded GetMetadataResponse. */
void api_metadata_pack(struct tr_api *api, struct tr_buf *out);

#endif
