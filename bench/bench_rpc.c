/*
 * Unary echo calls from one process to another: calls per second, latency, CPU per call on each side, and what an idle
 * connection costs.
 *
 * bench_rpc [in flight] [payload bytes] [seconds] [epoll|thread]
 */
#include <dirent.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "invoke/rpc_client.h"
#include "invoke/rpc_server.h"
#include "runtime/base/loop.h"

#define ECHO          "/bench.Echo/Echo"
#define IN_FLIGHT_MAX 1024U
#define SAMPLES_MAX   4000000U
#define WARM_MS       500U
#define IDLE_MS       3000U

struct bench;

struct slot {
    struct tr_rpc_unary op;
    struct bench *bench;
    uint64_t start_us;
};

struct bench {
    struct tr_loop *loop;
    struct tr_rpc *rpc;
    struct tr_rpc_channel *channel;
    struct slot slots[IN_FLIGHT_MAX];
    unsigned in_flight;
    unsigned running;
    char *payload;
    size_t payload_len;
    uint32_t *samples_us;
    size_t samples_len;
    size_t done;
    size_t failed;
    bool is_measuring;
    bool is_ending;
    struct tr_timer timer;
    bool is_over;
};

static uint64_t cpu_us(pid_t pid)
{
    clockid_t clock;
    struct timespec t;
    if (clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &t) != 0) {
        return 0;
    }
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* Times that threads of a process have waited so far: each is a wake-up. */
static uint64_t waits(pid_t pid)
{
    char path[64];
    (void)snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
    DIR *dir = opendir(path);
    uint64_t sum = 0;
    const struct dirent *entry;
    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        char file[384];
        (void)snprintf(file, sizeof(file), "%s/%s/status", path, entry->d_name);
        FILE *status = entry->d_name[0] == '.' ? NULL : fopen(file, "r");
        char line[256];
        uint64_t n;
        while (status != NULL && fgets(line, sizeof(line), status) != NULL) {
            if (sscanf(line, "voluntary_ctxt_switches: %" SCNu64, &n) == 1) {
                sum += n;
            }
        }
        if (status != NULL) {
            (void)fclose(status);
        }
    }
    if (dir != NULL) {
        (void)closedir(dir);
    }
    return sum;
}

static struct tr_rpc *new_rpc(struct tr_loop *loop, bool use_thread)
{
    struct tr_rpc *rpc;
    struct tr_err err;
    const struct tr_rpc_conf conf = { .use_thread = use_thread };
    if (tr_rpc_new(loop, &conf, &rpc, &err) != TR_OK) {
        (void)fprintf(stderr, "%s\n", err.msg);
        exit(1);
    }
    return rpc;
}

/* --- server --------------------------------------------------------------------------------------------------------- */

static void echo(void *ctx, struct tr_rpc_call *call)
{
    (void)ctx;
    tr_rpc_call_reply(call, tr_buf_slice(tr_rpc_call_request(call)));
}

/* Serve until killed; tells its port through `fd`. */
static void serve(int fd, bool use_thread)
{
    struct tr_loop *loop = tr_loop_new();
    struct tr_rpc *rpc = new_rpc(loop, use_thread);
    const struct tr_slice address = TR_SLICE_LIT("127.0.0.1:0");
    const struct tr_rpc_server_conf conf = { .addresses = &address, .addresses_len = 1 };
    struct tr_rpc_server *server;
    struct tr_err err;
    if (tr_rpc_server_new(rpc, &conf, &server, &err) != TR_OK) {
        (void)fprintf(stderr, "%s\n", err.msg);
        exit(1);
    }
    const struct tr_rpc_method method = { .path = ECHO, .handler = echo };
    tr_rpc_server_add(server, &method);
    tr_rpc_server_start(server);
    const uint16_t port = tr_rpc_server_port(server, 0);
    if (write(fd, &port, sizeof(port)) != sizeof(port)) {
        exit(1);
    }
    tr_loop_run(loop);
}

/* --- client --------------------------------------------------------------------------------------------------------- */

static void start(struct slot *slot)
{
    struct bench *b = slot->bench;
    slot->start_us = tr_loop_clock_us(b->loop);
    slot->op.path = TR_SLICE_LIT(ECHO);
    slot->op.request = tr_slice(b->payload, b->payload_len);
    slot->op.deadline_ms = tr_loop_now_ms(b->loop) + 10000;
    b->running++;
    tr_rpc_unary_start(b->channel, &slot->op);
}

static void on_done(struct tr_rpc_unary *op)
{
    struct slot *slot = TR_CONTAINER_OF(op, struct slot, op);
    struct bench *b = slot->bench;
    b->running--;
    if (b->is_measuring) {
        b->done++;
        b->failed += op->status != TR_RPC_OK || op->response.len != b->payload_len;
        if (b->samples_len < SAMPLES_MAX) {
            b->samples_us[b->samples_len++] =
                (uint32_t)(tr_loop_clock_us(b->loop) - slot->start_us);
        }
    }
    tr_rpc_unary_fini(op);
    if (!b->is_ending) {
        start(slot);
    }
}

static void on_timer(struct tr_timer *timer)
{
    TR_CONTAINER_OF(timer, struct bench, timer)->is_over = true;
}

static bool is_over(void *ctx)
{
    return ((const struct bench *)ctx)->is_over;
}

static bool is_idle(void *ctx)
{
    return ((const struct bench *)ctx)->running == 0;
}

static void run_until(struct bench *b, bool (*done)(void *ctx), uint64_t timeout_ms)
{
    if (!tr_loop_run_until(b->loop, done, b, timeout_ms)) {
        (void)fprintf(stderr, "calls do not end\n");
        exit(1);
    }
}

static void run_for(struct bench *b, uint64_t ms)
{
    b->is_over = false;
    tr_timer_set(&b->timer, tr_loop_now_ms(b->loop) + ms);
    run_until(b, is_over, ms + 10000);
}

static int by_size(const void *a, const void *b)
{
    const uint32_t x = *(const uint32_t *)a;
    const uint32_t y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static uint32_t percentile(const struct bench *b, double p)
{
    return b->samples_len == 0 ? 0 : b->samples_us[(size_t)(p * (double)(b->samples_len - 1))];
}

static void measure(struct bench *b, pid_t server, uint64_t seconds)
{
    const pid_t self = getpid();
    for (unsigned i = 0; i < b->in_flight; i++) {
        b->slots[i] = (struct slot){ .bench = b, .op.cb = on_done };
        start(&b->slots[i]);
    }
    run_for(b, WARM_MS);
    b->is_measuring = true;
    const uint64_t client_us = cpu_us(self);
    const uint64_t server_us = cpu_us(server);
    const uint64_t start_us = tr_loop_clock_us(b->loop);
    run_for(b, seconds * 1000);
    const double took_us = (double)(tr_loop_clock_us(b->loop) - start_us);
    const double calls = (double)(b->done > 0 ? b->done : 1);
    const double client_call_us = (double)(cpu_us(self) - client_us) / calls;
    const double server_call_us = (double)(cpu_us(server) - server_us) / calls;
    b->is_measuring = false;
    b->is_ending = true;
    run_until(b, is_idle, 10000);
    run_for(b, WARM_MS);
    const uint64_t waits_before = waits(self) + waits(server);
    const uint64_t cpu_before = cpu_us(self) + cpu_us(server);
    run_for(b, IDLE_MS);
    const uint64_t idle_cpu_us = cpu_us(self) + cpu_us(server) - cpu_before;
    const uint64_t idle_waits = waits(self) + waits(server) - waits_before;
    const double idle_s = IDLE_MS / 1000.0;
    qsort(b->samples_us, b->samples_len, sizeof(b->samples_us[0]), by_size);
    (void)printf(
        "{\"bench\":\"rpc\",\"driver\":\"%s\",\"in_flight\":%u,\"bytes\":%zu,\"calls_per_s\":%.0f,"
        "\"p50_us\":%" PRIu32 ",\"p99_us\":%" PRIu32
        ",\"client_cpu_us\":%.1f,\"server_cpu_us\":%.1f,"
        "\"failed\":%zu,\"idle_cpu_us_per_s\":%.0f,\"idle_waits_per_s\":%.1f}\n",
        tr_rpc_uses_epoll(b->rpc) ? "epoll" : "thread", b->in_flight, b->payload_len,
        calls * 1e6 / took_us, percentile(b, 0.5), percentile(b, 0.99), client_call_us,
        server_call_us, b->failed, (double)idle_cpu_us / idle_s, (double)idle_waits / idle_s);
}

int main(int argc, char **argv)
{
    const unsigned long in_flight = argc > 1 ? strtoul(argv[1], NULL, 10) : 64;
    const unsigned long payload_len = argc > 2 ? strtoul(argv[2], NULL, 10) : 1024;
    const unsigned long seconds = argc > 3 ? strtoul(argv[3], NULL, 10) : 3;
    const bool use_thread = argc > 4 && strcmp(argv[4], "thread") == 0;
    int fds[2];
    if (in_flight == 0 || in_flight > IN_FLIGHT_MAX || pipe(fds) != 0) {
        return 1;
    }
    /* Before gRPC starts its threads. */
    const pid_t server = fork();
    if (server == 0) {
        serve(fds[1], use_thread);
        return 0;
    }
    uint16_t port;
    if (server < 0 || read(fds[0], &port, sizeof(port)) != sizeof(port)) {
        return 1;
    }
    static struct bench b;
    b.in_flight = (unsigned)in_flight;
    b.payload_len = payload_len;
    b.payload = tr_xzalloc(payload_len + 1);
    b.samples_us = tr_xalloc(SAMPLES_MAX * sizeof(b.samples_us[0]));
    b.loop = tr_loop_new();
    b.rpc = new_rpc(b.loop, use_thread);
    tr_timer_init(&b.timer, b.loop, on_timer);
    char target[32];
    (void)snprintf(target, sizeof(target), "127.0.0.1:%d", (int)port);
    const struct tr_rpc_channel_conf conf = { .target = tr_slice_str(target) };
    struct tr_err err;
    if (tr_rpc_channel_new(b.rpc, &conf, &b.channel, &err) == TR_OK) {
        measure(&b, server, seconds);
    }
    (void)kill(server, SIGKILL);
    (void)waitpid(server, NULL, 0);
    return 0;
}
