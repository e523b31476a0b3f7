/* Timers and reminders of actors over HTTP: routes D to H. */
#include "runtime/api/http_actor_int.h"
#include "runtime/base/json.h"

/* What a body of a reminder or timer says. */
struct schedule {
    struct tr_slice due_time;
    struct tr_slice period;
    struct tr_slice ttl;
    struct tr_slice callback;
    struct tr_slice data; /* JSON text as the app will get it, empty for none */
};

/* Read the members; false: replied. */
static bool read_schedule(struct api_actor_work *work, struct schedule *out)
{
    struct tr_slice object;
    struct tr_slice raw;
    *out = (struct schedule){ 0 };
    if (!api_actor_check_json(work, &object)) {
        return false;
    }
    if (tr_json_type(object) != TR_JSON_OBJECT) {
        api_actor_malformed(work, "the body is no object");
        return false;
    }
    const struct {
        const char *name;
        struct tr_slice *text;
    } members[] = { { "dueTime", &out->due_time },
                    { "period", &out->period },
                    { "ttl", &out->ttl },
                    { "callback", &out->callback } };
    tr_buf_reserve(&work->texts, 7 * object.len + 16);
    for (size_t i = 0; i < TR_ARRAY_LEN(members); i++) {
        if (api_actor_member(object, members[i].name, &raw) && !api_actor_take_string(work, raw, members[i].text)) {
            struct tr_err err;
            (void)tr_err_set(&err, TR_MALFORMED, "'%s' is no string", members[i].name);
            api_actor_malformed(work, err.msg);
            return false;
        }
    }
    if (tr_json_get_nocase(object, "data", &raw)) {
        const size_t at = work->texts.len;
        tr_json_add_compact(&work->texts, raw);
        out->data = tr_slice(work->texts.ptr + at, work->texts.len - at);
    }
    return true;
}

static void create_timer(struct api_actor_work *work)
{
    struct schedule schedule;
    struct tr_err err;
    tr_buf_clear(&work->texts);
    if (!read_schedule(work, &schedule)) {
        return;
    }
    const struct tr_actor_timer_conf conf = {
        .actor_type = api_actor_type(work),
        .actor_id = api_actor_id(work),
        .name = api_param(work->req, 2),
        .due_time = schedule.due_time,
        .period = schedule.period,
        .ttl = schedule.ttl,
        .callback = schedule.callback,
        .data = schedule.data,
    };
    if (tr_actor_timer_create(api_actor_engine(work), &conf, &err) != TR_OK) {
        api_reply_wrapped(work->req, TR_ACTOR_TIMER_CREATE, "error creating actor timer: ", &err);
        return;
    }
    api_reply_empty(work->req);
}

static void delete_timer(struct api_actor_work *work)
{
    tr_actor_timer_delete(api_actor_engine(work), api_actor_type(work), api_actor_id(work), api_param(work->req, 2));
    api_reply_empty(work->req);
}

static bool is_hosted(struct api_actor_work *work)
{
    if (tr_actor_is_hosted(api_actor_engine(work), api_actor_type(work))) {
        return true;
    }
    api_reply_code(work->req, TR_ACTOR_NOT_HOSTED,
                   TR_SLICE_LIT("operations on actor reminders are only possible on hosted actor types"));
    return false;
}

static void reply_no_scheduler(struct api_actor_work *work, enum tr_code code, const char *prefix)
{
    struct tr_err err;
    (void)tr_err_set(&err, code, "%s", TR_ACTOR_NO_SCHEDULER);
    api_reply_wrapped(work->req, code, prefix, &err);
}

static void create_reminder(struct api_actor_work *work)
{
    if (is_hosted(work)) {
        reply_no_scheduler(work, TR_ACTOR_REMINDER_CREATE, "error creating actor reminder: ");
    }
}

static void get_reminder(struct api_actor_work *work)
{
    if (is_hosted(work)) {
        reply_no_scheduler(work, TR_ACTOR_REMINDER_GET,
                           "error getting actor reminder: api error: code = Internal desc = failed to get job due to: ");
    }
}

static void delete_reminder(struct api_actor_work *work)
{
    if (is_hosted(work)) {
        reply_no_scheduler(work, TR_ACTOR_REMINDER_DELETE, "error deleting actor reminder: ");
    }
}

/* Body, then name, then the gate; `create` may read the body again. */
static void check_create(struct api_actor_work *work, void (*create)(struct api_actor_work *work))
{
    struct schedule schedule;
    struct tr_err err;
    if (!read_schedule(work, &schedule)) {
        return;
    }
    if (tr_path_check_name(api_param(work->req, 2), &err) != TR_OK) {
        api_reply_wrapped(work->req, TR_BAD_REQUEST, "invalid request: ", &err);
        return;
    }
    api_actor_pass_gate(work, create);
}

static void check_create_timer(struct api_actor_work *work)
{
    check_create(work, create_timer);
}

static void check_create_reminder(struct api_actor_work *work)
{
    check_create(work, create_reminder);
}

/* A body is optional, but if there is one it must be an object. */
static void check_delete(struct api_actor_work *work, void (*remove)(struct api_actor_work *work))
{
    struct tr_slice value;
    if (tr_slice_trim(tr_buf_slice(&work->req->ex->body)).len > 0) {
        if (!api_actor_check_json(work, &value)) {
            return;
        }
        if (tr_json_type(value) != TR_JSON_OBJECT && tr_json_type(value) != TR_JSON_NULL) {
            api_actor_malformed(work, "the body is no object");
            return;
        }
    }
    api_actor_pass_gate(work, remove);
}

static void check_delete_timer(struct api_actor_work *work)
{
    check_delete(work, delete_timer);
}

static void check_delete_reminder(struct api_actor_work *work)
{
    check_delete(work, delete_reminder);
}

static void handle_body(struct api_request *req, void (*next)(struct api_actor_work *work))
{
    if (!api_actor_is_refused(req)) {
        api_actor_read_json(api_actor_work_new(req), next);
    }
}

void api_actor_handle_create_reminder(struct api_request *req)
{
    handle_body(req, check_create_reminder);
}

void api_actor_handle_get_reminder(struct api_request *req)
{
    if (!api_actor_is_refused(req)) {
        api_actor_pass_gate(api_actor_work_new(req), get_reminder);
    }
}

void api_actor_handle_delete_reminder(struct api_request *req)
{
    handle_body(req, check_delete_reminder);
}

void api_actor_handle_create_timer(struct api_request *req)
{
    handle_body(req, check_create_timer);
}

void api_actor_handle_delete_timer(struct api_request *req)
{
    handle_body(req, check_delete_timer);
}
