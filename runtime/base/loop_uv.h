/* For the files behind libuv's fence only. */
#ifndef TR_BASE_LOOP_UV_H
#define TR_BASE_LOOP_UV_H

#include <uv.h>

#include "runtime/base/loop_int.h"

uv_loop_t *tr_loop_uv(struct tr_loop *loop);

/* Our code of a libuv error (negative, or 0). */
enum tr_code tr_uv_code(int status);
/* Its text as Go prints the errno: "connection refused". Static text. */
const char *tr_uv_text(int status);

#endif
