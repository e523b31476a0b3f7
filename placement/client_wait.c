/* Look-ups that wait for a table, or for their type to be let go. */
#include "placement/client_int.h"

static struct tr_placement_wait *wait_of(struct tr_link *link)
{
    struct tr_op *op = TR_CONTAINER_OF(link, struct tr_op, link);
    return TR_CONTAINER_OF(op, struct tr_placement_wait, op);
}

static void on_complete(struct tr_op *op)
{
    struct tr_placement_wait *wait = TR_CONTAINER_OF(op, struct tr_placement_wait, op);
    struct tr_placement_client *client = wait->client;
    client->waits_len--;
    tr_placement_client_check_closed(client);
    wait->cb(wait);
}

/* The result of a started wait stands in wait->err; its callback comes at the end of this turn. */
static void finish(struct tr_placement_wait *wait)
{
    tr_heap_remove(&wait->client->waits_due, &wait->due);
    tr_op_finish_later(&wait->op);
}

static void set_timer(struct tr_placement_client *client)
{
    struct tr_heap_node *first = tr_heap_min(&client->waits_due);
    if (first == NULL) {
        tr_timer_stop(&client->waits_timer);
    } else {
        tr_timer_set(&client->waits_timer, first->key);
    }
}

static void on_due(struct tr_timer *timer)
{
    struct tr_placement_client *client =
        TR_CONTAINER_OF(timer, struct tr_placement_client, waits_timer);
    uint64_t now_ms = tr_loop_now_ms(client->conf.loop);
    struct tr_heap_node *first;
    while ((first = tr_heap_min(&client->waits_due)) != NULL && first->key <= now_ms) {
        struct tr_placement_wait *wait = TR_CONTAINER_OF(first, struct tr_placement_wait, due);
        (void)tr_err_set(&wait->err, TR_DEADLINE,
                         "deadline passed while placement of actor type '%.*s' was pending",
                         TR_SLICE_ARG(wait->type));
        finish(wait);
    }
    set_timer(client);
}

void tr_placement_waits_init(struct tr_placement_client *client)
{
    tr_link_init(&client->waits);
    tr_timer_init(&client->waits_timer, client->conf.loop, on_due);
}

void tr_placement_waits_fini(struct tr_placement_client *client)
{
    tr_assert(client->waits_len == 0);
    tr_timer_stop(&client->waits_timer);
    tr_heap_fini(&client->waits_due);
}

void tr_placement_waits_release(struct tr_placement_client *client)
{
    struct tr_link *link;
    struct tr_link *next;
    TR_LIST_FOR_EACH (link, next, &client->waits) {
        struct tr_placement_wait *wait = wait_of(link);
        if (tr_op_is_started(&wait->op) && !tr_placement_is_held_back(client, wait->type)) {
            finish(wait);
        }
    }
    set_timer(client);
}

void tr_placement_waits_close(struct tr_placement_client *client)
{
    struct tr_link *link;
    struct tr_link *next;
    TR_LIST_FOR_EACH (link, next, &client->waits) {
        struct tr_placement_wait *wait = wait_of(link);
        if (tr_op_is_started(&wait->op)) {
            (void)tr_err_set(&wait->err, TR_CLOSED, "placement client is closed");
            finish(wait);
        }
    }
    set_timer(client);
}

void tr_placement_wait_start(struct tr_placement_client *client, struct tr_placement_wait *wait)
{
    tr_loop_assert(client->conf.loop);
    wait->client = client;
    wait->due = (struct tr_heap_node){ 0 };
    wait->err.code = TR_OK;
    tr_op_begin(&wait->op, client->conf.loop, &client->waits, on_complete);
    client->waits_len++;
    if (client->is_closing) {
        (void)tr_err_set(&wait->err, TR_CLOSED, "placement client is closed");
        tr_op_finish_later(&wait->op);
    } else if (client->waits_len > TR_PLACEMENT_WAITS_MAX) {
        (void)tr_err_set(&wait->err, TR_LIMIT, "more than %d calls wait for placement",
                         TR_PLACEMENT_WAITS_MAX);
        tr_op_finish_later(&wait->op);
    } else if (!tr_placement_is_held_back(client, wait->type)) {
        tr_op_finish_later(&wait->op);
    } else if (wait->deadline_ms != 0) {
        tr_heap_push(&client->waits_due, &wait->due, wait->deadline_ms);
        set_timer(client);
    }
}

void tr_placement_wait_cancel(struct tr_placement_wait *wait)
{
    tr_assert(tr_op_is_open(&wait->op));
    if (tr_op_is_started(&wait->op)) {
        (void)tr_err_set(&wait->err, TR_CANCELED, "canceled while placement was pending");
        finish(wait);
        set_timer(wait->client);
    }
}
