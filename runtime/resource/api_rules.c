/*
 * The lists of allowed and denied APIs. Denied rules go first; if there is any allowed rule for the protocol, what none of
 * them names is refused.
 * Source: Dapr pkg/api/http/endpoints/endpoints.go, pkg/api/grpc/endpoints.go (1.18).
 */
#include "runtime/resource/configuration.h"

#include <stdio.h>

/* A method belongs to one pair of name and version. */
static const struct {
    const char *name;
    const char *version;
    const char *methods; /* between blanks */
} groups[] = {
    { "invoke", "v1", " InvokeService " },
    { "state", "v1",
      " GetState GetBulkState SaveState DeleteState DeleteBulkState ExecuteStateTransaction " },
    { "state", "v1alpha1", " QueryStateAlpha1 " },
    { "actors", "v1",
      " RegisterActorTimer UnregisterActorTimer RegisterActorReminder GetActorReminder "
      "UnregisterActorReminder "
      "UnregisterActorRemindersByType ListActorReminders GetActorState "
      "ExecuteActorStateTransaction InvokeActor " },
    { "actors", "v1alpha1", " SubscribeActorEventsAlpha1 " },
    { "metadata", "v1", " GetMetadata SetMetadata " },
    { "shutdown", "v1", " Shutdown " },
    { "jobs", "v1", " ScheduleJob DeleteJob GetJob DeleteJobsByPrefix ListJobs " },
    { "jobs", "v1alpha1",
      " ScheduleJobAlpha1 DeleteJobAlpha1 GetJobAlpha1 DeleteJobsByPrefixAlpha1 ListJobsAlpha1 " },
};

static bool http_rule_matches(const struct tr_conf_api_rule *rule, const char *version,
                              const char *group, const char *path)
{
    struct tr_buf wanted = { 0 };
    struct tr_buf given = { 0 };
    tr_buf_addf(&wanted, "%s/%s", rule->version, rule->name);
    tr_buf_addf(&given, "%s/%s", version, group);
    const bool matches = tr_slice_eq(tr_buf_slice(&wanted), tr_buf_slice(&given)) ||
                         tr_slice_starts(tr_slice_str(path), tr_buf_slice(&wanted));
    tr_buf_fini(&wanted);
    tr_buf_fini(&given);
    return matches;
}

bool tr_configuration_allows_http(const struct tr_configuration *configuration, const char *version,
                                  const char *group, const char *path)
{
    for (size_t i = 0; i < configuration->api_denied.len; i++) {
        const struct tr_conf_api_rule *rule = &configuration->api_denied.items[i];
        if (tr_slice_eq_nocase(tr_slice_str(rule->protocol), TR_SLICE_LIT("http")) &&
            http_rule_matches(rule, version, group, path)) {
            return false;
        }
    }
    bool any = false;
    for (size_t i = 0; i < configuration->api_allowed.len; i++) {
        const struct tr_conf_api_rule *rule = &configuration->api_allowed.items[i];
        if (!tr_slice_eq_nocase(tr_slice_str(rule->protocol), TR_SLICE_LIT("http"))) {
            continue;
        }
        if (http_rule_matches(rule, version, group, path)) {
            return true;
        }
        any = true;
    }
    return !any;
}

/* Does the group that the rule names hold the method (a name with a blank on both sides)? */
static bool grpc_rule_matches(const struct tr_conf_api_rule *rule, const char *method)
{
    for (size_t i = 0; i < TR_ARRAY_LEN(groups); i++) {
        if (strcmp(rule->name, groups[i].name) == 0 &&
            strcmp(rule->version, groups[i].version) == 0) {
            return strstr(groups[i].methods, method) != NULL;
        }
    }
    return false;
}

bool tr_configuration_allows_grpc(const struct tr_configuration *configuration,
                                  struct tr_slice method)
{
    static const char package[] = "/dapr.proto.runtime.";
    static const char service[] = "/dapr.proto.runtime.v1.Dapr/";
    char word[128];
    if (!tr_slice_starts(method, tr_slice_str(package))) {
        return true;
    }
    const struct tr_slice name = tr_slice_starts(method, tr_slice_str(service))
                                     ? tr_slice_skip(method, sizeof(service) - 1)
                                     : method;
    /* A name that does not fit is none of ours, so no rule names it. */
    const int len = snprintf(word, sizeof(word), " %.*s ", TR_SLICE_ARG(name));
    const bool fits = len > 0 && (size_t)len < sizeof(word);
    for (size_t i = 0; fits && i < configuration->api_denied.len; i++) {
        const struct tr_conf_api_rule *rule = &configuration->api_denied.items[i];
        if (strcmp(rule->protocol, "grpc") == 0 && grpc_rule_matches(rule, word)) {
            return false;
        }
    }
    bool any = false;
    for (size_t i = 0; i < configuration->api_allowed.len; i++) {
        const struct tr_conf_api_rule *rule = &configuration->api_allowed.items[i];
        if (strcmp(rule->protocol, "grpc") != 0) {
            continue;
        }
        if (fits && grpc_rule_matches(rule, word)) {
            return true;
        }
        any = true;
    }
    return !any;
}
