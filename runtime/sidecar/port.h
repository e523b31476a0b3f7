/* The stable port's hash, apart because it needs OpenSSL. */
#ifndef TR_SIDECAR_PORT_H
#define TR_SIDECAR_PORT_H

#include <stdint.h>

#include "runtime/base/slice.h"

/* 47300 plus the first two bytes of the text's SHA-256, little endian, modulo 18235. */
uint16_t tr_port_of_text(struct tr_slice text);

#endif
