/* What plain scalars mean, and the tree as JSON. */
#include "runtime/base/yaml.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "runtime/base/json.h"

/* Longest text that is looked at as a number. */
#define NUMBER_BYTES_MAX 128

static bool is_one_of(struct tr_slice text, const char *const *words, size_t words_len)
{
    for (size_t i = 0; i < words_len; i++) {
        if (tr_slice_eq_str(text, words[i])) {
            return true;
        }
    }
    return false;
}

/* Source: gopkg.in/yaml.v2 resolve.go, resolveTable and resolveMapList. */
static bool word_is_null(struct tr_slice text)
{
    static const char *const words[] = { "", "~", "null", "Null", "NULL" };
    return is_one_of(text, words, TR_ARRAY_LEN(words));
}

static bool word_is_true(struct tr_slice text)
{
    static const char *const words[] = { "y",    "Y",    "yes", "Yes", "YES", "true",
                                         "True", "TRUE", "on",  "On",  "ON" };
    return is_one_of(text, words, TR_ARRAY_LEN(words));
}

static bool word_is_false(struct tr_slice text)
{
    static const char *const words[] = { "n",     "N",     "no",  "No",  "NO", "false",
                                         "False", "FALSE", "off", "Off", "OFF" };
    return is_one_of(text, words, TR_ARRAY_LEN(words));
}

/* The text without underscores as a string; false if it cannot begin a number or is too long for one. */
static bool number_text(struct tr_slice text, char out[NUMBER_BYTES_MAX])
{
    size_t len = 0;
    if (text.len == 0 || text.len >= NUMBER_BYTES_MAX ||
        memchr("+-.0123456789", text.ptr[0], 13) == NULL) {
        return false;
    }
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] != '_') {
            out[len++] = text.ptr[i];
        }
    }
    out[len] = '\0';
    return len > 0;
}

/* An integer with Go's prefixes for other bases, as sign and magnitude. */
static bool parse_int(const char *text, bool *out_negative, uint64_t *out)
{
    *out_negative = text[0] == '-';
    text += text[0] == '-' || text[0] == '+' ? 1 : 0;
    unsigned base = 10;
    if (text[0] == '0' && text[1] != '\0') {
        const char letter = (char)(text[1] | 0x20);
        base = letter == 'x' ? 16 : letter == 'b' ? 2 : 8;
        text += letter == 'x' || letter == 'b' || letter == 'o' ? 2 : 1;
    }
    uint64_t value = 0;
    if (*text == '\0') {
        return false;
    }
    for (; *text != '\0'; text++) {
        const char lower = (char)(*text | 0x20);
        const unsigned digit = *text >= '0' && *text <= '9'   ? (unsigned)(*text - '0')
                               : lower >= 'a' && lower <= 'f' ? (unsigned)(lower - 'a') + 10
                                                              : 99;
        if (digit >= base || __builtin_mul_overflow(value, base, &value) ||
            __builtin_add_overflow(value, digit, &value)) {
            return false;
        }
    }
    *out = value;
    return true;
}

/* Source: gopkg.in/yaml.v2 resolve.go: ^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$ */
static bool is_float(const char *text)
{
    static const char digits[] = "0123456789";
    text += *text == '-' || *text == '+' ? 1 : 0;
    const size_t whole = strspn(text, digits);
    text += whole;
    if (*text == '.') {
        const size_t fraction = strspn(++text, digits);
        if (whole + fraction == 0) {
            return false;
        }
        text += fraction;
    } else if (whole == 0) {
        return false;
    }
    if (*text == 'e' || *text == 'E') {
        text += text[1] == '-' || text[1] == '+' ? 2 : 1;
        const size_t exponent = strspn(text, digits);
        return exponent > 0 && text[exponent] == '\0';
    }
    return *text == '\0';
}

enum tr_yaml_type tr_yaml_type(const struct tr_yaml_node *node)
{
    if (node->kind != TR_YAML_SCALAR || !node->is_plain) {
        return TR_YAML_STRING;
    }
    if (word_is_null(node->text)) {
        return TR_YAML_NULL;
    }
    if (word_is_true(node->text) || word_is_false(node->text)) {
        return TR_YAML_BOOL;
    }
    char text[NUMBER_BYTES_MAX];
    bool is_negative = false;
    uint64_t value = 0;
    if (!number_text(node->text, text)) {
        return TR_YAML_STRING;
    }
    if (parse_int(text, &is_negative, &value) &&
        (!is_negative || value <= (uint64_t)INT64_MAX + 1)) {
        return TR_YAML_INT;
    }
    return is_float(text) ? TR_YAML_FLOAT : TR_YAML_STRING;
}

bool tr_yaml_is_null(const struct tr_yaml_node *node)
{
    return node == NULL || (node->kind == TR_YAML_SCALAR && tr_yaml_type(node) == TR_YAML_NULL);
}

bool tr_yaml_get_bool(const struct tr_yaml_node *node, bool *out)
{
    if (tr_yaml_type(node) != TR_YAML_BOOL) {
        return false;
    }
    *out = word_is_true(node->text);
    return true;
}

bool tr_yaml_get_i64(const struct tr_yaml_node *node, int64_t *out)
{
    char text[NUMBER_BYTES_MAX];
    bool is_negative = false;
    uint64_t value = 0;
    if (tr_yaml_type(node) != TR_YAML_INT || !number_text(node->text, text) ||
        !parse_int(text, &is_negative, &value) ||
        value > (uint64_t)INT64_MAX + (is_negative ? 1U : 0U)) {
        return false;
    }
    *out = (int64_t)(is_negative ? UINT64_C(0) - value : value);
    return true;
}

bool tr_yaml_get_double(const struct tr_yaml_node *node, double *out)
{
    char text[NUMBER_BYTES_MAX];
    bool is_negative = false;
    uint64_t value = 0;
    const enum tr_yaml_type type = tr_yaml_type(node);
    if ((type != TR_YAML_INT && type != TR_YAML_FLOAT) || !number_text(node->text, text)) {
        return false;
    }
    if (type == TR_YAML_INT && parse_int(text, &is_negative, &value)) {
        *out = is_negative ? -(double)value : (double)value;
        return true;
    }
    const double number = strtod(text, NULL);
    if (!isfinite(number)) {
        return false;
    }
    *out = number;
    return true;
}

/*
 * A float as Go's json.Marshal writes it: shortest digits, with an exponent below 1e-6 and from 1e21 on.
 * Source: Go encoding/json/encode.go, floatEncoder.
 */
static void add_float(struct tr_buf *buf, double value)
{
    char text[40];
    int digits = 1;
    for (; digits <= 17; digits++) {
        (void)snprintf(text, sizeof(text), "%.*e", digits - 1, value);
        if (strtod(text, NULL) == value) {
            break;
        }
    }
    char *exponent_text = strchr(text, 'e') + 1;
    const int exponent = (int)strtol(exponent_text, NULL, 10);
    if (value != 0 && (exponent < -6 || exponent >= 21)) {
        /* Go writes e-7, not e-07. */
        *exponent_text = '\0';
        tr_buf_addf(buf, "%s%s%d", text, exponent > 0 ? "+" : "", exponent);
        return;
    }
    const int decimals = digits - 1 - exponent;
    if (decimals >= 0) {
        tr_buf_addf(buf, "%.*f", decimals, value);
        return;
    }
    /* Go fills up with zeros behind the shortest digits; printf would write the number out to its last digit. */
    for (const char *at = text; *at != 'e'; at++) {
        if (*at != '.') {
            tr_buf_add_char(buf, *at);
        }
    }
    for (int i = decimals; i < 0; i++) {
        tr_buf_add_char(buf, '0');
    }
}

static void add_int(struct tr_buf *buf, const struct tr_yaml_node *node)
{
    char text[NUMBER_BYTES_MAX];
    bool is_negative = false;
    uint64_t value = 0;
    const bool ok = number_text(node->text, text) && parse_int(text, &is_negative, &value);
    tr_assert(ok);
    tr_buf_addf(buf, "%s%" PRIu64, is_negative && value > 0 ? "-" : "", value);
}

static void add_scalar(struct tr_buf *buf, const struct tr_yaml_node *node)
{
    double number = 0;
    switch (tr_yaml_type(node)) {
    case TR_YAML_NULL:
        tr_buf_add_str(buf, "null");
        return;
    case TR_YAML_BOOL:
        tr_buf_add_str(buf, word_is_true(node->text) ? "true" : "false");
        return;
    case TR_YAML_INT:
        add_int(buf, node);
        return;
    case TR_YAML_FLOAT:
        if (tr_yaml_get_double(node, &number)) {
            add_float(buf, number);
            return;
        }
        break; /* too large for a double: it stays a text */
    case TR_YAML_STRING:
        break;
    }
    tr_json_add_str(buf, node->text);
}

static int compare_items(const void *a, const void *b)
{
    return tr_slice_cmp(((const struct tr_yaml_item *)a)->key->text,
                        ((const struct tr_yaml_item *)b)->key->text);
}

static void add_map(struct tr_buf *buf, const struct tr_yaml_node *node)
{
    struct tr_yaml_item *sorted = tr_xalloc(node->items_len * sizeof(sorted[0]));
    size_t len = 0;
    for (size_t i = 0; i < node->items_len; i++) {
        sorted[len++] = node->items[i];
    }
    qsort(sorted, len, sizeof(sorted[0]), compare_items);
    tr_buf_add_char(buf, '{');
    for (size_t i = 0; i < len; i++) {
        if (i > 0) {
            tr_buf_add_char(buf, ',');
        }
        tr_json_add_str(buf, sorted[i].key->text);
        tr_buf_add_char(buf, ':');
        tr_yaml_add_json(buf, sorted[i].value);
    }
    tr_buf_add_char(buf, '}');
    free(sorted);
}

/* Recursion is bounded by TR_YAML_DEPTH_MAX, which aliases keep, too. */
void tr_yaml_add_json(struct tr_buf *buf, const struct tr_yaml_node *node)
{
    switch (node->kind) {
    case TR_YAML_SCALAR:
        add_scalar(buf, node);
        return;
    case TR_YAML_MAP:
        add_map(buf, node);
        return;
    case TR_YAML_LIST:
        tr_buf_add_char(buf, '[');
        for (size_t i = 0; i < node->items_len; i++) {
            if (i > 0) {
                tr_buf_add_char(buf, ',');
            }
            tr_yaml_add_json(buf, node->items[i].value);
        }
        tr_buf_add_char(buf, ']');
        return;
    }
}
