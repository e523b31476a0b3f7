/* Variables in settings. Source: Go os/env.go, Expand and getShellName. */
#include "runtime/resource/configuration.h"

#include <stdlib.h>

static bool is_name_char(char c)
{
    return c == '_' || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* Characters that are a variable's name by themselves. */
static bool is_special(char c)
{
    return c != '\0' && strchr("*#$@!?-0123456789", c) != NULL;
}

/*
 * Name behind a `$`, and the bytes it takes. No name and no bytes: the `$` stands for itself. No name but bytes: wrong
 * syntax, which is swallowed.
 */
static struct tr_slice take_name(struct tr_slice rest, size_t *out_len)
{
    if (rest.ptr[0] == '{') {
        const size_t close = tr_slice_find(rest, '}');
        if (close == rest.len) {
            *out_len = 1;
            return tr_slice(rest.ptr, 0);
        }
        *out_len = close + 1;
        return tr_slice(rest.ptr + 1, close - 1);
    }
    if (is_special(rest.ptr[0])) {
        *out_len = 1;
        return tr_slice(rest.ptr, 1);
    }
    size_t len = 0;
    while (len < rest.len && is_name_char(rest.ptr[len])) {
        len++;
    }
    *out_len = len;
    return tr_slice(rest.ptr, len);
}

void tr_resource_expand_env(struct tr_slice text, tr_env_fn env, struct tr_buf *out)
{
    while (text.len > 0) {
        const size_t plain = tr_slice_find(text, '$');
        if (plain + 1 >= text.len) {
            tr_buf_add(out, text); /* no variable, or a `$` at the very end */
            return;
        }
        tr_buf_add(out, tr_slice(text.ptr, plain));
        text = tr_slice_skip(text, plain + 1);
        size_t used = 0;
        const struct tr_slice name = take_name(text, &used);
        if (used == 0) {
            tr_buf_add_char(out, '$');
            continue;
        }
        if (name.len > 0) {
            char *variable = tr_xstrdup(name);
            tr_buf_add_str(out, env(variable));
            free(variable);
        }
        text = tr_slice_skip(text, used);
    }
}
