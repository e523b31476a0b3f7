/* A component's spec: reading, references, and words in braces. */
#include "runtime/resource/component_int.h"

#include <stdlib.h>

#include "runtime/base/args.h"
#include "runtime/base/duration.h"
#include "runtime/resource/bind_int.h"
#include "runtime/resource/configuration.h"

/* What the document says, before defaults. */
struct form {
    struct tr_component_spec spec;
    char *init_timeout;
    struct {
        struct tr_component_setting *items;
        size_t len;
    } settings;
};

static const struct bind_field secret_rows[] = {
    { .name = "name",
      .type = BIND_TEXT,
      .offset = offsetof(struct tr_component_setting, secret_name) },
    { .name = "key",
      .type = BIND_TEXT,
      .offset = offsetof(struct tr_component_setting, secret_key) },
};
static const struct bind secret = { secret_rows, TR_ARRAY_LEN(secret_rows), 0 };
static const struct bind_field setting_rows[] = {
    { .name = "name", .type = BIND_TEXT, .offset = offsetof(struct tr_component_setting, name) },
    { .name = "value", .type = BIND_JSON, .offset = offsetof(struct tr_component_setting, value) },
    { .name = "envRef",
      .type = BIND_TEXT,
      .offset = offsetof(struct tr_component_setting, env_ref) },
    { .name = "secretKeyRef", .type = BIND_STRUCT, .offset = 0, .sub = &secret },
};
static const struct bind setting = { setting_rows, TR_ARRAY_LEN(setting_rows),
                                     sizeof(struct tr_component_setting) };
static const struct bind_field spec_rows[] = {
    { .name = "type", .type = BIND_TEXT, .offset = offsetof(struct form, spec.type) },
    { .name = "version", .type = BIND_TEXT, .offset = offsetof(struct form, spec.version) },
    { .name = "ignoreErrors",
      .type = BIND_BOOL,
      .offset = offsetof(struct form, spec.ignore_errors) },
    { .name = "initTimeout", .type = BIND_TEXT, .offset = offsetof(struct form, init_timeout) },
    { .name = "metadata",
      .type = BIND_LIST,
      .offset = offsetof(struct form, settings),
      .sub = &setting },
};
static const struct bind spec_bind = { spec_rows, TR_ARRAY_LEN(spec_rows), 0 };
static const struct bind_field auth_rows[] = {
    { .name = "secretStore",
      .type = BIND_TEXT,
      .offset = offsetof(struct form, spec.secret_store) },
};
static const struct bind auth_bind = { auth_rows, TR_ARRAY_LEN(auth_rows), 0 };

/* Which settings have a value; the table only keeps the value itself. */
static void mark_values(struct form *form, const struct tr_yaml_node *list)
{
    for (size_t i = 0; i < form->settings.len; i++) {
        form->settings.items[i].has_value =
            !tr_yaml_is_null(bind_find(list->items[i].value, "value"));
    }
}

/* Source: Dapr pkg/runtime/processor/components.go: a timeout that is bad, zero or negative is the default. */
static uint64_t init_timeout_ms(const char *text)
{
    int64_t ns = 0;
    struct tr_err ignored;
    if (tr_duration_parse(tr_slice_str(text), &ns, &ignored) != TR_OK || ns <= 0) {
        return TR_COMPONENT_INIT_MS;
    }
    return tr_duration_ms_up(ns);
}

enum tr_code component_spec_new(const struct tr_yaml_node *root,
                                struct tr_component_spec **out_spec, struct tr_err *err)
{
    struct form form = { 0 };
    const struct tr_yaml_node *spec = bind_find(root, "spec");
    bind_init(&spec_bind, &form);
    bind_init(&auth_bind, &form);
    enum tr_code rc = bind_decode(&spec_bind, spec, "spec", &form, err);
    if (rc == TR_OK) {
        rc = bind_decode(&auth_bind, bind_find(root, "auth"), "auth", &form, err);
    }
    if (rc != TR_OK) {
        bind_fini(&spec_bind, &form);
        bind_fini(&auth_bind, &form);
        return rc;
    }
    mark_values(&form, bind_find(spec, "metadata"));
    form.spec.init_timeout_ms = init_timeout_ms(form.init_timeout);
    form.spec.settings = form.settings.items;
    form.spec.settings_len = form.settings.len;
    free(form.init_timeout);
    *out_spec = tr_xalloc(sizeof(form.spec));
    **out_spec = form.spec;
    return TR_OK;
}

void component_spec_free(struct tr_component_spec **spec)
{
    if (*spec == NULL) {
        return;
    }
    struct form form = { .spec = **spec };
    form.settings.items = form.spec.settings;
    form.settings.len = form.spec.settings_len;
    bind_fini(&spec_bind, &form);
    bind_fini(&auth_bind, &form);
    free(*spec);
    *spec = NULL;
}

const struct tr_component_setting *tr_component_setting(const struct tr_component_spec *spec,
                                                        const char *name)
{
    for (size_t i = 0; i < spec->settings_len; i++) {
        if (tr_slice_eq_nocase(tr_slice_str(spec->settings[i].name), tr_slice_str(name))) {
            return &spec->settings[i];
        }
    }
    return NULL;
}

const char *tr_component_value(const struct tr_component_spec *spec, const char *name)
{
    const struct tr_component_setting *found = tr_component_setting(spec, name);
    return found == NULL || !found->has_value ? NULL : found->value;
}

bool tr_component_is_actor_store(const struct tr_component_spec *spec)
{
    const char *value = tr_component_value(spec, "actorStateStore");
    return value != NULL && tr_args_is_truthy(tr_slice_str(value));
}

struct tr_slice tr_component_category(const struct tr_component_spec *spec)
{
    const struct tr_slice type = tr_slice_str(spec->type);
    return tr_slice(type.ptr, tr_slice_find(type, '.'));
}

static void set_value(struct tr_component_setting *one, struct tr_slice value)
{
    char *text = tr_xstrdup(value);
    free(one->value);
    one->value = text;
    one->has_value = true;
}

static void add_upper(struct tr_buf *buf, const char *text)
{
    for (; *text != '\0'; text++) {
        tr_buf_add_char(buf, *text >= 'a' && *text <= 'z' ? (char)(*text - ('a' - 'A')) : *text);
    }
}

/* Is `name` one of the words of `list`? */
static bool has_word(struct tr_slice list, struct tr_slice name)
{
    struct tr_slice word;
    while (tr_slice_split(&list, ' ', &word)) {
        if (word.len > 0 && tr_slice_eq(word, name)) {
            return true;
        }
    }
    return false;
}

static bool may_read_env(const char *name, tr_env_fn env)
{
    struct tr_buf upper_buf = { 0 };
    add_upper(&upper_buf, name);
    const struct tr_slice upper = tr_buf_slice(&upper_buf);
    const char *keys = env("DAPR_ENV_KEYS");
    bool may = upper.len > 0 && !tr_slice_eq_str(upper, "APP_API_TOKEN") &&
               !tr_slice_starts(upper, TR_SLICE_LIT("DAPR_")) &&
               tr_slice_find(upper, ' ') == upper.len;
    if (may && keys != NULL && keys[0] != '\0') {
        may = has_word(tr_slice_str(keys), upper);
    }
    tr_buf_fini(&upper_buf);
    return may;
}

void tr_component_resolve_env(struct tr_resource *component, tr_env_fn env,
                              const struct tr_log *log)
{
    tr_assert(component->component != NULL);
    for (size_t i = 0; i < component->component->settings_len; i++) {
        struct tr_component_setting *one = &component->component->settings[i];
        if (one->env_ref[0] == '\0' || one->has_value) {
            continue;
        }
        if (!may_read_env(one->env_ref, env)) {
            tr_log_text(log, TR_LOG_WARN, "%s %s references an env variable that isn't allowed: %s",
                        tr_resource_kind_name(component->kind), component->name, one->env_ref);
            continue;
        }
        set_value(one, tr_slice_str(env(one->env_ref)));
    }
}

bool tr_component_needs_secret(const struct tr_component_spec *spec)
{
    for (size_t i = 0; i < spec->settings_len; i++) {
        if (spec->settings[i].secret_name[0] != '\0' && !spec->settings[i].has_value) {
            return true;
        }
    }
    return false;
}

void tr_component_set_secret(struct tr_component_spec *spec, struct tr_slice secret_name,
                             struct tr_slice key, struct tr_slice value)
{
    for (size_t i = 0; i < spec->settings_len; i++) {
        struct tr_component_setting *one = &spec->settings[i];
        const char *wanted = one->secret_key[0] != '\0' ? one->secret_key : one->secret_name;
        if (one->secret_name[0] != '\0' && tr_slice_eq_str(secret_name, one->secret_name) &&
            tr_slice_eq_str(key, wanted)) {
            set_value(one, value);
        }
    }
}

/* Append what stands in for the word at the start of `rest`; returns its bytes, 0 if there is no word. */
static size_t add_word(struct tr_buf *out, struct tr_slice rest,
                       const struct tr_component_words *words)
{
    if (tr_slice_starts(rest, TR_SLICE_LIT("{uuid}"))) {
        char uuid[TR_UUID_LEN + 1];
        tr_rng_uuid(words->rng, uuid);
        tr_buf_add_str(out, uuid);
        return strlen("{uuid}");
    }
    if (tr_slice_starts(rest, TR_SLICE_LIT("{podName}"))) {
        tr_buf_add_str(out, words->pod_name);
        return strlen("{podName}");
    }
    if (tr_slice_starts(rest, TR_SLICE_LIT("{namespace}"))) {
        tr_buf_addf(out, "%s.%s", words->name_space, words->app_id);
        return strlen("{namespace}");
    }
    if (tr_slice_starts(rest, TR_SLICE_LIT("{appID}"))) {
        tr_buf_add_str(out, words->app_id);
        return strlen("{appID}");
    }
    return 0;
}

static void substitute(struct tr_component_setting *one, const struct tr_component_words *words)
{
    struct tr_buf out = { 0 };
    struct tr_slice rest = tr_slice_str(one->value);
    while (rest.len > 0) {
        const size_t plain = tr_slice_find(rest, '{');
        tr_buf_add(&out, tr_slice(rest.ptr, plain));
        rest = tr_slice_skip(rest, plain);
        if (rest.len == 0) {
            break;
        }
        const size_t used = add_word(&out, rest, words);
        if (used == 0) {
            tr_buf_add_char(&out, '{');
        }
        rest = tr_slice_skip(rest, used > 0 ? used : 1);
    }
    set_value(one, tr_buf_slice(&out));
    tr_buf_fini(&out);
}

/* Source: Dapr pkg/runtime/meta/meta.go, convertItemsToProps. */
enum tr_code tr_component_substitute(struct tr_component_spec *spec,
                                     const struct tr_component_words *words, struct tr_err *err)
{
    for (size_t i = 0; i < spec->settings_len; i++) {
        struct tr_component_setting *one = &spec->settings[i];
        if (!one->has_value) {
            continue;
        }
        if (strstr(one->value, "{podName}") != NULL &&
            (words->pod_name == NULL || words->pod_name[0] == '\0')) {
            return tr_err_set(
                err, TR_INVALID,
                "failed to parse metadata: property %s refers to {podName} but podName is not set",
                one->name);
        }
        substitute(one, words);
    }
    return TR_OK;
}
