/* How names become keys of a store. */
#include "state/key.h"

static const struct tr_slice separator = { .ptr = "||", .len = 2 };

/* Index of the first separator, or text.len. */
static size_t separator_find(struct tr_slice text)
{
    for (size_t i = 0; i + separator.len <= text.len; i++) {
        if (memcmp(text.ptr + i, separator.ptr, separator.len) == 0) {
            return i;
        }
    }
    return text.len;
}

static enum tr_code check(struct tr_slice text, struct tr_err *err)
{
    if (separator_find(text) < text.len) {
        return tr_err_set(err, TR_MALFORMED, "input key/keyPrefix '%.*s' can't contain '||'",
                          TR_SLICE_ARG(text));
    }
    return TR_OK;
}

static void add_lower(struct tr_buf *out, struct tr_slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        const char c = text.ptr[i];
        tr_buf_add_char(out, c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c);
    }
}

enum tr_code tr_key_prefix_init(struct tr_key_prefix *prefix, struct tr_slice strategy,
                                struct tr_slice app_id, struct tr_slice name_space,
                                struct tr_slice component, struct tr_err *err)
{
    if (check(strategy, err) != TR_OK) {
        return err->code;
    }
    const bool is_namespace = tr_slice_eq_nocase(strategy, TR_SLICE_LIT("namespace"));
    const bool is_app_id = strategy.len == 0 || tr_slice_eq_nocase(strategy, TR_SLICE_LIT("appid"));
    prefix->text = (struct tr_buf){ 0 };
    if (tr_slice_eq_nocase(strategy, TR_SLICE_LIT("none")) ||
        ((is_app_id || is_namespace) && app_id.len == 0)) {
        return TR_OK;
    }
    if (is_namespace && name_space.len > 0) {
        tr_buf_add(&prefix->text, name_space);
        tr_buf_add_char(&prefix->text, '.');
    }
    if (is_app_id || is_namespace) {
        tr_buf_add(&prefix->text, app_id);
    } else if (tr_slice_eq_nocase(strategy, TR_SLICE_LIT("name"))) {
        tr_buf_add(&prefix->text, component);
    } else {
        add_lower(&prefix->text, strategy);
    }
    tr_buf_add(&prefix->text, separator);
    return TR_OK;
}

void tr_key_prefix_fini(struct tr_key_prefix *prefix)
{
    tr_buf_fini(&prefix->text);
}

enum tr_code tr_key_plain(struct tr_buf *out, const struct tr_key_prefix *prefix,
                          struct tr_slice key, struct tr_err *err)
{
    if (check(key, err) != TR_OK) {
        return err->code;
    }
    tr_buf_add(out, tr_buf_slice(&prefix->text));
    tr_buf_add(out, key);
    return TR_OK;
}

struct tr_slice tr_key_original(struct tr_slice stored)
{
    const size_t at = separator_find(stored);
    if (at == stored.len) {
        return stored;
    }
    const struct tr_slice rest = tr_slice_skip(stored, at + separator.len);
    return tr_slice(rest.ptr, separator_find(rest));
}

void tr_key_actor_partition(struct tr_buf *out, struct tr_slice app_id, struct tr_slice type,
                            struct tr_slice id)
{
    tr_buf_reserve(out, app_id.len + type.len + id.len + 2 * separator.len);
    tr_buf_add(out, app_id);
    tr_buf_add(out, separator);
    tr_buf_add(out, type);
    tr_buf_add(out, separator);
    tr_buf_add(out, id);
}

void tr_key_actor(struct tr_buf *out, struct tr_slice app_id, struct tr_slice type,
                  struct tr_slice id, struct tr_slice key)
{
    tr_key_actor_partition(out, app_id, type, id);
    tr_buf_add(out, separator);
    tr_buf_add(out, key);
}
