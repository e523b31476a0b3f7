/*
 * JSON: a strict scanner over slices, and a writer. Values are never rebuilt: a value is the slice of its own text.
 *
 * Check a text once with tr_json_check(); then walk it with iterators, which give the members' own text. Walking text
 * that was not checked is safe for memory but may end early or give nonsense.
 *
 * What counts as JSON: RFC 8259, with valid UTF-8 required, no byte order mark, at most TR_JSON_DEPTH_MAX levels. Duplicate
 * names are legal, the last one counts; an escaped surrogate without its partner is legal and reads as U+FFFD (both as
 * Go's encoding/json has it, which Dapr uses).
 */
#ifndef TR_BASE_JSON_H
#define TR_BASE_JSON_H

#include <stdbool.h>
#include <stdint.h>

#include "runtime/base/buf.h"
#include "runtime/base/err.h"
#include "runtime/base/slice.h"

#define TR_JSON_DEPTH_MAX 512

enum tr_json_type {
    TR_JSON_NULL,
    TR_JSON_BOOL,
    TR_JSON_NUMBER,
    TR_JSON_STRING,
    TR_JSON_ARRAY,
    TR_JSON_OBJECT,
};

/*
 * Is `text` one JSON value, with nothing but blanks around it? `out_value` (may be NULL) gets the value without them.
 *
 * Errors: TR_INVALID, naming the reason and the offset.
 * Thread: any. Cost: about a microsecond per KiB, no allocation, no recursion.
 */
enum tr_code tr_json_check(struct tr_slice text, struct tr_slice *out_value, struct tr_err *err) TR_MUST_USE;

/* Type of a value, told by its first byte. */
enum tr_json_type tr_json_type(struct tr_slice value);

/*
 * Walk of an array or object: `struct tr_json_iter it = tr_json_iter(value)`. For a value of another type the walk is
 * empty, so an absent or null object needs no case of its own.
 */
struct tr_json_iter {
    const char *at; /* private */
    const char *end;
    bool is_object;
    bool is_begun;
};
struct tr_json_iter tr_json_iter(struct tr_slice value);
/* Next element of an array. */
bool tr_json_next(struct tr_json_iter *it, struct tr_slice *out_value);
/* Next member of an object; the name is raw: with its quotes and escapes. */
bool tr_json_next_member(struct tr_json_iter *it, struct tr_slice *out_name, struct tr_slice *out_value);

/* Member `name` (UTF-8, unescaped) of an object; the last one if there are several. False: none, or no object. */
bool tr_json_get(struct tr_slice object, const char *name, struct tr_slice *out_value);
/* The same without regard to the case of ASCII letters, as Go decodes into structs; an exact match does not win. */
bool tr_json_get_nocase(struct tr_slice object, const char *name, struct tr_slice *out_value);

/* Do the raw string `raw` (with quotes) and the plain text say the same? */
bool tr_json_str_eq(struct tr_slice raw, struct tr_slice text);
/* Append the bytes that the raw string stands for. False, and nothing appended, if it is no string. */
bool tr_json_str_get(struct tr_slice raw, struct tr_buf *out);

/*
 * Numbers and truth values. False if the type is another or the value does not fit; integers must be written without
 * fraction and exponent, as Go demands.
 */
bool tr_json_get_i64(struct tr_slice value, int64_t *out);
bool tr_json_get_u64(struct tr_slice value, uint64_t *out);
bool tr_json_get_double(struct tr_slice value, double *out);
bool tr_json_get_bool(struct tr_slice value, bool *out);

/*
 * Append `text` as a JSON string with its quotes, escaped as Go's json.Marshal does: `<`, `>`, `&`, U+2028, U+2029 and
 * controls as \u00xx, invalid UTF-8 as \ufffd.
 *
 * Source: Go encoding/json/encode.go, appendString.
 */
void tr_json_add_str(struct tr_buf *buf, struct tr_slice text);

/*
 * Append a checked value without the blanks between its parts, `<`, `>`, `&`, U+2028 and U+2029 in strings escaped:
 * what Go's json.Marshal makes of a json.RawMessage.
 *
 * Source: Go encoding/json/indent.go, appendCompact.
 */
void tr_json_add_compact(struct tr_buf *buf, struct tr_slice value);

/*
 * Writer of one value into a buffer; it puts the commas and colons. Order of calls is asserted only as far as nesting.
 *
 *   struct tr_json_out out;
 *   tr_json_out_init(&out, &buf);
 *   tr_json_begin_object(&out);
 *   tr_json_key(&out, "id");
 *   tr_json_str(&out, TR_SLICE_LIT("a"));
 *   tr_json_end_object(&out);
 */
struct tr_json_out {
    struct tr_buf *buf; /* borrowed */
    unsigned depth;
    bool needs_comma;
};
void tr_json_out_init(struct tr_json_out *out, struct tr_buf *buf);
void tr_json_begin_object(struct tr_json_out *out);
void tr_json_end_object(struct tr_json_out *out);
void tr_json_begin_array(struct tr_json_out *out);
void tr_json_end_array(struct tr_json_out *out);
void tr_json_key(struct tr_json_out *out, const char *name);
void tr_json_key_slice(struct tr_json_out *out, struct tr_slice name);
void tr_json_str(struct tr_json_out *out, struct tr_slice text);
void tr_json_i64(struct tr_json_out *out, int64_t value);
void tr_json_u64(struct tr_json_out *out, uint64_t value);
/* Shortest text that reads back as the same number; not a number and infinity become null. */
void tr_json_double(struct tr_json_out *out, double value);
void tr_json_bool(struct tr_json_out *out, bool value);
void tr_json_null(struct tr_json_out *out);
/* A value that is JSON text already. */
void tr_json_raw(struct tr_json_out *out, struct tr_slice value);

#endif
