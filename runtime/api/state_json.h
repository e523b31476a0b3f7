/*
 * Bodies of the state API over HTTP: from JSON to the items of a job. Names of members are compared without regard to
 * case, null counts as absent, unknown members are skipped, the last of several counts: as Go decodes into structs.
 *
 * Errors: TR_MALFORMED, what is wrong; the job's items are then incomplete.
 */
#ifndef TR_API_STATE_JSON_H
#define TR_API_STATE_JSON_H

#include "runtime/api/state_ops.h"

/*
 * Keep the text of a checked JSON value as it is stored: without blanks, with `<`, `>` and `&` escaped. A string keeps its
 * quotes, and its other escapes become characters. (The reference decodes every value and encodes it again; it sorts
 * members and rounds large numbers, which we do not.)
 */
struct tr_slice api_state_keep_value(struct api_state_job *job, struct tr_slice value);

/* An array of items to save. Also an error: more than API_STATE_ITEMS_MAX. */
TR_MUST_USE enum tr_code api_state_read_items(struct api_state_job *job, struct tr_slice body, struct tr_err *err);

/* {"keys": [...], "parallelism": n, "metadata": {...}}: items that have only a key. */
TR_MUST_USE enum tr_code api_state_read_keys(struct api_state_job *job, struct tr_slice body, struct tr_err *err);

/*
 * {"operations": [{"operation": ..., "request": {...}}], "metadata": {...}}. The metadata beside the operations means
 * nothing to any store here, as in the reference.
 *
 * Errors: also TR_STATE_BAD_OPERATION, with the whole message; TR_STATE_TOO_MANY, with the job's fault set.
 */
TR_MUST_USE enum tr_code api_state_read_operations(struct api_state_job *job, struct tr_slice body, struct tr_err *err);

#endif
