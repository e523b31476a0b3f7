/* What the store files share. */
#ifndef TR_STATE_STORE_INT_H
#define TR_STATE_STORE_INT_H

#include "state/store.h"

/* Fill the common head. */
void tr_store_init(struct tr_store *store, const struct tr_store_class *class, struct tr_loop *loop);

/* Keep a closing store alive for work of its own. */
void tr_store_hold(struct tr_store *store);
/* The store may be freed on a later turn. */
void tr_store_release(struct tr_store *store);

/*
 * Compare what `op` asks for with the row as it is: `has_row`, and then its etag. Thread: any.
 * Errors: TR_ETAG.
 */
TR_MUST_USE enum tr_code tr_store_etag_check(const struct tr_store_op *op, bool has_row, uint64_t etag,
                                             struct tr_err *err);

/* The same for a store whose etags are texts. */
TR_MUST_USE enum tr_code tr_store_etag_compare(const struct tr_store_op *op, bool has_row, const char *etag,
                                               struct tr_err *err);

/* When the value of an UPSERT expires, 0 for never. Thread: any. */
int64_t tr_store_expiry(const struct tr_store_op *op, int64_t now_unix_ms);

/* Fill `out_value`, which is zero; `bytes` are copied. Thread: any. */
void tr_store_value_set(struct tr_store_value *out_value, struct tr_slice bytes, uint64_t etag, int64_t expiry_unix_ms);

/* The epoch of a transaction is over: set `err`. Returns the code. Thread: any. */
enum tr_code tr_store_epoch_refuse(uint64_t epoch, uint64_t newest, struct tr_err *err);

#endif
