/* Kubernetes resource quantities, as sizes are given in flags and settings: "4Mi", "9.2E", "1k", "1e3". */
#ifndef TR_BASE_QUANTITY_H
#define TR_BASE_QUANTITY_H

#include <stdint.h>

#include "runtime/base/err.h"
#include "runtime/base/slice.h"

/*
 * Parse a quantity into a whole number, rounded away from zero and capped at the largest that fits into 64 bits.
 *
 * Errors: TR_INVALID with Kubernetes' texts.
 * Source: k8s.io/apimachinery pkg/api/resource/quantity.go, ParseQuantity and Value.
 */
enum tr_code tr_quantity_parse(struct tr_slice text, int64_t *out, struct tr_err *err) TR_MUST_USE;

#endif
