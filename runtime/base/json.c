/*
 * The strict scanner. One pass over the bytes; nesting is kept as one bit a level, so that neither recursion nor memory
 * depends on what a peer sends. Strings, the bulk of real texts, are passed eight bytes at a time.
 */
#include "runtime/base/json.h"

#include "runtime/base/json_int.h"

struct scan {
    const char *at;
    const char *end;
    const char *why;      /* static text, set when a step fails */
    struct tr_slice name; /* raw name of the member that was begun last */
};

static bool fail(struct scan *s, const char *why)
{
    s->why = why;
    return false;
}

static bool at_end(const struct scan *s)
{
    return s->at == s->end;
}

static size_t left(const struct scan *s)
{
    return (size_t)(s->end - s->at);
}

static void skip_blanks(struct scan *s)
{
    while (!at_end(s) && (*s->at == ' ' || *s->at == '\n' || *s->at == '\r' || *s->at == '\t')) {
        s->at++;
    }
}

/* Pass bytes that a string carries as they are: printable ASCII but for the quote and the backslash. */
static void skip_plain(struct scan *s)
{
    const uint64_t ones = UINT64_C(0x0101010101010101);
    const uint64_t tops = UINT64_C(0x8080808080808080);
    while (left(s) >= sizeof(uint64_t)) {
        uint64_t word;
        memcpy(&word, s->at, sizeof(word));
        const uint64_t quote = word ^ (ones * '"');
        const uint64_t slash = word ^ (ones * '\\');
        /* A top bit stands where a byte is zero in the first two, is below 0x20, or is not ASCII. */
        const uint64_t special =
            ((quote - ones) & ~quote) | ((slash - ones) & ~slash) | (word - ones * 0x20) | word;
        if ((special & tops) != 0) {
            break;
        }
        s->at += sizeof(word);
    }
    while (!at_end(s)) {
        const unsigned char c = (unsigned char)*s->at;
        if (c < 0x20 || c >= 0x80 || c == '"' || c == '\\') {
            return;
        }
        s->at++;
    }
}

static bool scan_escape(struct scan *s)
{
    if (left(s) < 2) {
        return fail(s, "unexpected end");
    }
    if (s->at[1] == 'u') {
        if (json_hex_unit(s->at + 2, left(s) - 2) < 0) {
            return fail(s, "bad escape");
        }
        s->at += 6;
        return true;
    }
    if (memchr("\"\\/bfnrt", s->at[1], 8) == NULL) {
        return fail(s, "bad escape");
    }
    s->at += 2;
    return true;
}

/* One character beyond ASCII. The bounds of the second byte exclude overlong forms, surrogates and > U+10FFFF. */
static bool scan_wide(struct scan *s)
{
    const unsigned char *p = (const unsigned char *)s->at;
    const unsigned char c = p[0];
    const size_t more = c >= 0xF0 ? 3 : c >= 0xE0 ? 2 : 1;
    const unsigned low = c == 0xE0 ? 0xA0 : c == 0xF0 ? 0x90 : 0x80;
    const unsigned high = c == 0xED ? 0x9F : c == 0xF4 ? 0x8F : 0xBF;
    if (c < 0xC2 || c > 0xF4 || left(s) <= more || p[1] < low || p[1] > high) {
        return fail(s, "not UTF-8");
    }
    for (size_t i = 2; i <= more; i++) {
        if ((p[i] & 0xC0U) != 0x80U) {
            return fail(s, "not UTF-8");
        }
    }
    s->at += more + 1;
    return true;
}

/* A string, from its opening quote. */
static bool scan_string(struct scan *s)
{
    if (at_end(s) || *s->at != '"') {
        return fail(s, at_end(s) ? "unexpected end" : "a string must stand here");
    }
    s->at++;
    for (;;) {
        skip_plain(s);
        if (at_end(s)) {
            return fail(s, "unexpected end");
        }
        const unsigned char c = (unsigned char)*s->at;
        if (c == '"') {
            s->at++;
            return true;
        }
        if (c < 0x20) {
            return fail(s, "control character in a string");
        }
        if (c == '\\' ? !scan_escape(s) : !scan_wide(s)) {
            return false;
        }
    }
}

static bool is_digit_at(const struct scan *s)
{
    return !at_end(s) && *s->at >= '0' && *s->at <= '9';
}

/* One digit at least. */
static bool scan_digits(struct scan *s)
{
    if (!is_digit_at(s)) {
        return fail(s, "bad number");
    }
    while (is_digit_at(s)) {
        s->at++;
    }
    return true;
}

static bool scan_number(struct scan *s)
{
    if (*s->at == '-') {
        s->at++;
    }
    if (!at_end(s) && *s->at == '0') {
        s->at++;
    } else if (!scan_digits(s)) {
        return false;
    }
    if (!at_end(s) && *s->at == '.') {
        s->at++;
        if (!scan_digits(s)) {
            return false;
        }
    }
    if (!at_end(s) && (*s->at == 'e' || *s->at == 'E')) {
        s->at++;
        if (!at_end(s) && (*s->at == '+' || *s->at == '-')) {
            s->at++;
        }
        return scan_digits(s);
    }
    return true;
}

static bool scan_word(struct scan *s, const char *word, size_t len)
{
    if (left(s) < len || memcmp(s->at, word, len) != 0) {
        return fail(s, "unexpected character");
    }
    s->at += len;
    return true;
}

static bool scan_scalar(struct scan *s)
{
    const char c = *s->at;
    if (c == '"') {
        return scan_string(s);
    }
    if (c == 't') {
        return scan_word(s, "true", 4);
    }
    if (c == 'f') {
        return scan_word(s, "false", 5);
    }
    if (c == 'n') {
        return scan_word(s, "null", 4);
    }
    if (c == '-' || is_digit_at(s)) {
        return scan_number(s);
    }
    return fail(s, "unexpected character");
}

/* A member's name and its colon. */
static bool scan_name(struct scan *s)
{
    skip_blanks(s);
    const char *start = s->at;
    if (!scan_string(s)) {
        return false;
    }
    s->name = tr_slice(start, (size_t)(s->at - start));
    skip_blanks(s);
    if (at_end(s) || *s->at != ':') {
        return fail(s, at_end(s) ? "unexpected end" : "a colon must stand here");
    }
    s->at++;
    return true;
}

/* Which of the open containers are objects: bit n is the container of level n. */
struct nest {
    uint64_t objects[TR_JSON_DEPTH_MAX / 64];
    unsigned depth;
};
_Static_assert(TR_JSON_DEPTH_MAX % 64 == 0, "whole words of bits");

static void nest_push(struct nest *nest, bool is_object)
{
    const uint64_t bit = UINT64_C(1) << (nest->depth % 64);
    uint64_t *word = &nest->objects[nest->depth / 64];
    *word = is_object ? *word | bit : *word & ~bit;
    nest->depth++;
}

static bool nest_is_object(const struct nest *nest)
{
    const unsigned top = nest->depth - 1;
    return ((nest->objects[top / 64] >> (top % 64)) & 1U) != 0;
}

/* Open a container; an empty one is closed again at once, and then `*out_done` is true. */
static bool open_container(struct scan *s, struct nest *nest, bool *out_done)
{
    const bool is_object = *s->at == '{';
    if (nest->depth == TR_JSON_DEPTH_MAX) {
        return fail(s, "nested too deep");
    }
    s->at++;
    skip_blanks(s);
    *out_done = !at_end(s) && *s->at == (is_object ? '}' : ']');
    if (*out_done) {
        s->at++;
        return true;
    }
    nest_push(nest, is_object);
    return is_object ? scan_name(s) : true;
}

/* Behind a value: close containers that end here; true with depth 0 at the very end, else another value follows. */
static bool after_value(struct scan *s, struct nest *nest)
{
    while (nest->depth > 0) {
        const bool is_object = nest_is_object(nest);
        skip_blanks(s);
        if (at_end(s)) {
            return fail(s, "unexpected end");
        }
        if (*s->at == ',') {
            s->at++;
            return is_object ? scan_name(s) : true;
        }
        if (*s->at != (is_object ? '}' : ']')) {
            return fail(s, "unexpected character");
        }
        s->at++;
        nest->depth--;
    }
    return true;
}

/* One value with blanks before it. */
static bool scan_value(struct scan *s)
{
    struct nest nest;
    nest.depth = 0;
    do {
        skip_blanks(s);
        if (at_end(s)) {
            return fail(s, "unexpected end");
        }
        bool done = true;
        const bool opens = *s->at == '{' || *s->at == '[';
        if (opens ? !open_container(s, &nest, &done) : !scan_scalar(s)) {
            return false;
        }
        if (done && !after_value(s, &nest)) {
            return false;
        }
    } while (nest.depth > 0);
    return true;
}

enum tr_code tr_json_check(struct tr_slice text, struct tr_slice *out_value, struct tr_err *err)
{
    const char *start = text.len > 0 ? text.ptr : "";
    struct scan s = { .at = start, .end = start + text.len };
    skip_blanks(&s);
    const char *value = s.at;
    bool ok = scan_value(&s);
    const char *end = s.at;
    if (ok) {
        skip_blanks(&s);
        ok = at_end(&s) || fail(&s, "text behind the value");
    }
    if (!ok) {
        return tr_err_set(err, TR_INVALID, "invalid JSON at offset %zu: %s", (size_t)(s.at - start),
                          s.why);
    }
    if (out_value != NULL) {
        *out_value = tr_slice(value, (size_t)(end - value));
    }
    return TR_OK;
}

enum tr_json_type tr_json_type(struct tr_slice value)
{
    switch (value.len > 0 ? value.ptr[0] : 'n') {
    case '{':
        return TR_JSON_OBJECT;
    case '[':
        return TR_JSON_ARRAY;
    case '"':
        return TR_JSON_STRING;
    case 't':
    case 'f':
        return TR_JSON_BOOL;
    case 'n':
        return TR_JSON_NULL;
    default:
        return TR_JSON_NUMBER;
    }
}

struct tr_json_iter tr_json_iter(struct tr_slice value)
{
    const enum tr_json_type type = tr_json_type(value);
    if (type != TR_JSON_OBJECT && type != TR_JSON_ARRAY) {
        return (struct tr_json_iter){ 0 };
    }
    return (struct tr_json_iter){ .at = value.ptr + 1,
                                  .end = value.ptr + value.len,
                                  .is_object = type == TR_JSON_OBJECT };
}

/* Stand before the next element; false at the end of the walk. */
static bool iter_enter(struct tr_json_iter *it, struct scan *s)
{
    if (it->at == NULL) {
        return false;
    }
    *s = (struct scan){ .at = it->at, .end = it->end };
    skip_blanks(s);
    if (at_end(s) || *s->at == ']' || *s->at == '}') {
        it->at = NULL;
        return false;
    }
    if (it->is_begun) {
        s->at++; /* the comma */
        skip_blanks(s);
    }
    it->is_begun = true;
    return true;
}

static bool iter_value(struct tr_json_iter *it, struct scan *s, struct tr_slice *out_value)
{
    skip_blanks(s);
    const char *start = s->at;
    if (!scan_value(s)) {
        it->at = NULL;
        return false;
    }
    *out_value = tr_slice(start, (size_t)(s->at - start));
    it->at = s->at;
    return true;
}

bool tr_json_next(struct tr_json_iter *it, struct tr_slice *out_value)
{
    struct scan s;
    return !it->is_object && iter_enter(it, &s) && iter_value(it, &s, out_value);
}

bool tr_json_next_member(struct tr_json_iter *it, struct tr_slice *out_name,
                         struct tr_slice *out_value)
{
    struct scan s;
    if (!it->is_object || !iter_enter(it, &s)) {
        return false;
    }
    if (!scan_name(&s)) {
        it->at = NULL;
        return false;
    }
    *out_name = s.name;
    return iter_value(it, &s, out_value);
}
