/*
 * The stores: transactions of one small row per second, by how many are in flight, and reads of one key each.
 * Writes on LMDB are durable: the disk's fsync decides. Usage: bench_store [folder]
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "state/store.h"

#define VALUE_BYTES   256
#define KEYS          10000U
#define IN_FLIGHT_MAX 1024U
#define RUN_US        700000U

struct client {
    struct tr_store_tx tx;
    struct tr_store_op op;
    struct tr_store_get get;
    struct tr_slice key;
    char text[48];
};

struct bench {
    struct tr_loop *loop;
    struct tr_store *store;
    uint64_t end_us;
    uint64_t done_len;
    size_t open_len;
    unsigned next;
    bool is_closed;
};

static struct bench bench;
static struct client clients[IN_FLIGHT_MAX];
static char value[VALUE_BYTES];

static void next_key(struct client *client)
{
    bench.next = (bench.next + 7919) % KEYS;
    (void)snprintf(client->text, sizeof(client->text), "app||counter||actor-%05u||value",
                   bench.next);
    client->key = tr_slice_str(client->text);
}

/* May the client go on? If not, it is counted out. */
static bool is_on(enum tr_code code, const struct tr_err *err)
{
    if (code != TR_OK) {
        (void)fprintf(stderr, "%s\n", err->msg);
        exit(1);
    }
    bench.done_len++;
    if (tr_loop_now_us(bench.loop) < bench.end_us) {
        return true;
    }
    bench.open_len--;
    return false;
}

static void on_tx(struct tr_store_tx *tx)
{
    struct client *client = TR_CONTAINER_OF(tx, struct client, tx);
    if (is_on(tx->err.code, &tx->err)) {
        next_key(client);
        client->op.key = client->key;
        tr_store_tx_start(bench.store, tx);
    }
}

static void on_get(struct tr_store_get *get)
{
    struct client *client = TR_CONTAINER_OF(get, struct client, get);
    tr_store_get_fini(get);
    if (is_on(get->err.code, &get->err)) {
        next_key(client);
        tr_store_get_start(bench.store, get);
    }
}

static bool none_open(void *ctx)
{
    (void)ctx;
    return bench.open_len == 0;
}

static bool closed(void *ctx)
{
    (void)ctx;
    return bench.is_closed;
}

static void on_closed(void *ctx)
{
    (void)ctx;
    bench.is_closed = true;
}

static void wait_for(bool (*done)(void *ctx))
{
    if (!tr_loop_run_until(bench.loop, done, NULL, 60000)) {
        (void)fprintf(stderr, "the store does not answer\n");
        exit(1);
    }
}

/* Operations per second with so many clients, each with one in flight. */
static double run(size_t clients_len, bool is_write)
{
    tr_loop_turn(bench.loop);
    const uint64_t start_us = tr_loop_clock_us(bench.loop);
    bench.end_us = start_us + RUN_US;
    bench.done_len = 0;
    bench.open_len = clients_len;
    for (size_t i = 0; i < clients_len; i++) {
        struct client *client = &clients[i];
        *client = (struct client){ 0 };
        next_key(client);
        client->op =
            (struct tr_store_op){ .key = client->key, .value = tr_slice(value, sizeof(value)) };
        client->tx.ops = &client->op;
        client->tx.ops_len = 1;
        client->tx.cb = on_tx;
        client->get.keys = &client->key;
        client->get.keys_len = 1;
        client->get.cb = on_get;
        if (is_write) {
            tr_store_tx_start(bench.store, &client->tx);
        } else {
            tr_store_get_start(bench.store, &client->get);
        }
    }
    wait_for(none_open);
    return (double)bench.done_len * 1e6 / (double)(tr_loop_clock_us(bench.loop) - start_us);
}

static void run_store(struct tr_store *store)
{
    bench.store = store;
    bench.is_closed = false;
    const double tx_1024 = run(1024, true);
    const double tx_64 = run(64, true);
    const double tx_1 = run(1, true);
    const double get_64 = run(64, false);
    const double get_1 = run(1, false);
    (void)printf("%s\"%s\":{\"tx_per_s_1\":%.0f,\"tx_per_s_64\":%.0f,\"tx_per_s_1024\":%.0f,\"get_"
                 "per_s_1\":%.0f,"
                 "\"get_per_s_64\":%.0f}",
                 ",", tr_store_type(store), tx_1, tx_64, tx_1024, get_1, get_64);
    tr_store_close(store, on_closed, NULL);
    wait_for(closed);
}

int main(int argc, char **argv)
{
    char folder[] = "/tmp/bench-store-XXXXXX";
    const char *path = argc > 1 ? argv[1] : mkdtemp(folder);
    const struct tr_store_lmdb_conf conf = { .path = path };
    struct tr_store *store = NULL;
    struct tr_err err;
    bench.loop = tr_loop_new();
    if (path == NULL || tr_store_lmdb_open(bench.loop, &conf, &store, &err) != TR_OK) {
        (void)fprintf(stderr, "%s\n", path == NULL ? "no folder" : err.msg);
        return 1;
    }
    (void)printf("{\"bench\":\"store\",\"value_bytes\":%d", VALUE_BYTES);
    run_store(tr_store_mem_new(bench.loop));
    run_store(store);
    (void)printf("}\n");
    tr_loop_free(&bench.loop);
    return 0;
}
