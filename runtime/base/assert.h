/*
 * Assertions: for our own mistakes only, on in every build, without side effects. What comes from outside (network,
 * disk, app, flags) is checked and becomes a tr_err.
 */
#ifndef TR_BASE_ASSERT_H
#define TR_BASE_ASSERT_H

#include <stdint.h>

/* Print where and what, then abort. Never returns. Thread: any. */
_Noreturn void tr_assert_fail(const char *file, int line, const char *what);

#define tr_assert(cond) ((cond) ? (void)0 : tr_assert_fail(__FILE__, __LINE__, #cond))

/* The impossible happened; `what` says what. */
#define TR_BUG(what) tr_assert_fail(__FILE__, __LINE__, "bug: " what)

/* Check an object behind a void pointer: its first field `magic` must be `value`. */
#define tr_assert_obj(obj, value)                                                                  \
    (((obj) != NULL && (obj)->magic == (value)) ? (void)0                                          \
                                                : tr_assert_fail(__FILE__, __LINE__, "magic of " #obj))

/* Walks over whole structures: debug builds and simulation only. */
#ifdef TR_SLOW_ASSERTIONS
#define tr_assert_slow(cond) tr_assert(cond)
#else
#define tr_assert_slow(cond) ((void)sizeof(cond))
#endif

#define TR_CONTAINER_OF(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))
#define TR_ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define TR_MUST_USE __attribute__((warn_unused_result))
#define TR_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))

#endif
