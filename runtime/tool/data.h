/*
 * The data folder of `troupe dev`:
 *
 *   .gitignore                  "*": nothing here belongs into a repository
 *   components/statestore.yaml  the component of the store, written at each start
 *   state/                      the store itself
 *
 * Several `troupe dev` may use one folder at a time; state.lmdb allows that, and files are written
 * whole.
 */
#ifndef TR_TOOL_DATA_H
#define TR_TOOL_DATA_H

#include "runtime/base/args.h"
#include "runtime/base/buf.h"
#include "runtime/base/err.h"

struct tr_data {
    struct tr_buf state;      /* owned; absolute path of the store's folder */
    struct tr_buf components; /* owned; absolute path of the folder for the sidecar */
};

/*
 * Make what is missing in `folder`, and write the component.
 *
 * Owns:   tr_data_fini().
 * Errors: TR_IO, TR_PERMISSION; naming the file or folder.
 */
TR_MUST_USE enum tr_code tr_data_prepare(struct tr_data *data, const char *folder,
                                         struct tr_err *err);
void tr_data_fini(struct tr_data *data);

/* Append the component of the store whose folder is `state`. */
void tr_data_component(struct tr_slice state, struct tr_buf *out);

/*
 * Is there an actor state store for this app in one of the folders?
 *
 * Errors: TR_IO, a folder cannot be read; and what else makes the sidecar refuse the resources.
 */
TR_MUST_USE enum tr_code tr_data_has_actor_store(const struct tr_arg_list *folders,
                                                 const char *app_id, bool *out_has,
                                                 struct tr_err *err);

#endif
