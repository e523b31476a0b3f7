/*
 * How names become keys of a store, byte for byte as the reference writes them, so that a store of its data is a store of
 * ours. "||" stands between the parts.
 *
 * Source: Dapr pkg/components/state/state_config.go; pkg/actors/state/state.go (1.18).
 */
#ifndef TR_STATE_KEY_H
#define TR_STATE_KEY_H

#include "runtime/base/buf.h"
#include "runtime/base/err.h"
#include "runtime/base/slice.h"

/* Version of this encoding; a store on disk keeps it beside its rows and is refused under another. */
#define TR_KEY_FORMAT 1U

/* What stands before the keys of the state API, by the component's setting `keyPrefix`. */
struct tr_key_prefix {
    struct tr_buf text; /* owned; with the separator behind it, or empty for none */
};

/*
 * Work out the prefix of a component. `strategy` is the value of `keyPrefix`, compared without regard to case:
 * "" or "appid": the app id; "namespace": "<namespace>.<app id>", or the app id without a namespace; "name": the
 * component's name; "none": nothing; any other text: that text in lower case. Without an app id the first two give nothing.
 *
 * Owns:   free with tr_key_prefix_fini().
 * Errors: TR_MALFORMED, the strategy contains "||": "input key/keyPrefix '<text>' can't contain '||'".
 */
TR_MUST_USE enum tr_code tr_key_prefix_init(struct tr_key_prefix *prefix, struct tr_slice strategy,
                                            struct tr_slice app_id, struct tr_slice name_space,
                                            struct tr_slice component, struct tr_err *err);
void tr_key_prefix_fini(struct tr_key_prefix *prefix);

/*
 * Append the stored key of `key` to `out`.
 *
 * Errors: TR_MALFORMED, the key contains "||": "input key/keyPrefix '<key>' can't contain '||'".
 */
TR_MUST_USE enum tr_code tr_key_plain(struct tr_buf *out, const struct tr_key_prefix *prefix, struct tr_slice key,
                                      struct tr_err *err);

/* The part of a stored key that the app gave: what is between the first "||" and the next one or the end; all of it
 * without "||". */
struct tr_slice tr_key_original(struct tr_slice stored);

/* The key of an actor's state; appends "<app id>||<type>||<id>||<key>". `keyPrefix` does not apply. */
void tr_key_actor(struct tr_buf *out, struct tr_slice app_id, struct tr_slice type, struct tr_slice id,
                  struct tr_slice key);

/* What all keys of one actor share, for the fence's partition; appends "<app id>||<type>||<id>". */
void tr_key_actor_partition(struct tr_buf *out, struct tr_slice app_id, struct tr_slice type, struct tr_slice id);

#endif
