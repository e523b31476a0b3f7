/* For files of this folder: reading and freeing a component's spec. */
#ifndef TR_RESOURCE_COMPONENT_INT_H
#define TR_RESOURCE_COMPONENT_INT_H

#include "runtime/resource/component.h"

/* Read `spec` and `auth` of a component's document. Errors: TR_INVALID with the line. */
enum tr_code component_spec_new(const struct tr_yaml_node *root, struct tr_component_spec **out_spec,
                                struct tr_err *err) TR_MUST_USE;
void component_spec_free(struct tr_component_spec **spec);

#endif
