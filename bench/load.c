/*
 * Load on one HTTP server: PUT calls at a fixed rate, or so many at a time. Prints one JSON line with what the callers saw
 * and what CPU time other processes took meanwhile.
 *
 * At a fixed rate a call's latency counts from the moment it was due, not from when it was sent, so a server that stalls
 * pays for all the calls it kept waiting. The clock of the rate is a timerfd: the loop's timers know milliseconds only.
 *
 * bench_load -p PORT -f FILE [-r RATE | -c CALLS] [-s SECONDS] [-w WARM-UP SECONDS] [-b BODY BYTES] [-P NAME=PID]...
 *
 * FILE holds one path a line, called in turn. Nothing of the warm-up is counted.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "bench/histogram.h"
#include "runtime/base/loop.h"
#include "runtime/http/client.h"

#define PATHS_MAX   100000U
#define CALLS_MAX   4096U /* open at a time; beyond, a fixed rate counts its calls as failed */
#define WATCHED_MAX 8U
#define NS_PER_S    1000000000ULL

struct watched {
    const char *name;
    size_t name_len;
    clockid_t clock;
    uint64_t before_us;
};

struct slot {
    struct tr_http_call call;
    struct load *load;
    struct slot *next_free;
    uint64_t due_us;
    bool is_counted;
};

struct load {
    struct tr_loop *loop;
    struct tr_http_client *client;
    struct tr_http_headers headers;
    char *paths[PATHS_MAX];
    size_t paths_len;
    size_t path_at;
    char *body;
    size_t body_len;
    uint64_t rate; /* 0: closed loop of `calls` */
    unsigned calls;
    struct slot slots[CALLS_MAX];
    struct slot *free;
    unsigned running;
    int timer_fd;
    struct tr_fd_watch *tick;
    uint64_t begun_us; /* of the rate's clock */
    uint64_t ticks;
    struct watched watched[WATCHED_MAX];
    size_t watched_len;
    struct tr_timer timer;
    bool is_over;
    bool is_counting;
    bool is_ending;
    struct histogram latencies;
    uint64_t failed;
    int bad_status; /* first one that was seen */
};

static void fail(const char *what)
{
    (void)fprintf(stderr, "bench_load: %s\n", what);
    exit(1);
}

/* --- calls ---------------------------------------------------------------------------------------------------------- */

static void start(struct load *load, uint64_t due_us);

static void on_done(struct tr_http_call *call)
{
    struct slot *slot = TR_CONTAINER_OF(call, struct slot, call);
    struct load *load = slot->load;
    const bool is_ok = call->err.code == TR_OK && call->status == 200;
    if (!is_ok && load->bad_status == 0) {
        load->bad_status = call->err.code == TR_OK ? call->status : -1;
        (void)fprintf(stderr, "bench_load: %d %s %.*s\n", call->status, call->err.code == TR_OK ? "" : call->err.msg,
                      TR_SLICE_ARG(tr_buf_slice(&call->body_out)));
    }
    if (slot->is_counted) {
        load->failed += !is_ok;
        histogram_add(&load->latencies, tr_loop_clock_us(load->loop) - slot->due_us);
    }
    tr_http_call_fini(call);
    slot->next_free = load->free;
    load->free = slot;
    load->running--;
    if (load->rate == 0 && !load->is_ending) {
        start(load, tr_loop_clock_us(load->loop));
    }
}

static void start(struct load *load, uint64_t due_us)
{
    struct slot *slot = load->free;
    if (slot == NULL) {
        load->failed += load->is_counting;
        return;
    }
    load->free = slot->next_free;
    load->running++;
    *slot = (struct slot){ .load = load, .due_us = due_us, .is_counted = load->is_counting };
    slot->call.method = TR_SLICE_LIT("PUT");
    slot->call.target = tr_slice_str(load->paths[load->path_at]);
    slot->call.headers = &load->headers;
    slot->call.body = tr_slice(load->body, load->body_len);
    slot->call.deadline_ms = tr_loop_now_ms(load->loop) + 30000;
    slot->call.cb = on_done;
    load->path_at = (load->path_at + 1) % load->paths_len;
    tr_http_call_start(load->client, &slot->call);
}

/* --- rate ----------------------------------------------------------------------------------------------------------- */

static void on_tick(void *ctx, unsigned events)
{
    struct load *load = ctx;
    uint64_t count = 0;
    (void)events;
    if (read(load->timer_fd, &count, sizeof(count)) != sizeof(count)) {
        return;
    }
    for (; count > 0; count--) {
        load->ticks++;
        start(load, load->begun_us + load->ticks * 1000000 / load->rate);
    }
}

static void start_rate(struct load *load)
{
    struct tr_err err;
    const uint64_t period_ns = NS_PER_S / load->rate;
    const struct itimerspec spec = {
        .it_value = { .tv_sec = (time_t)(period_ns / NS_PER_S), .tv_nsec = (long)(period_ns % NS_PER_S) },
        .it_interval = { .tv_sec = (time_t)(period_ns / NS_PER_S), .tv_nsec = (long)(period_ns % NS_PER_S) },
    };
    load->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (load->timer_fd < 0 || timerfd_settime(load->timer_fd, 0, &spec, NULL) != 0) {
        fail("no timerfd");
    }
    load->begun_us = tr_loop_clock_us(load->loop);
    if (tr_fd_watch_new(load->loop, load->timer_fd, TR_FD_READ, on_tick, load, &load->tick, &err) != TR_OK) {
        fail(err.msg);
    }
}

/* --- time ----------------------------------------------------------------------------------------------------------- */

static void on_timer(struct tr_timer *timer)
{
    TR_CONTAINER_OF(timer, struct load, timer)->is_over = true;
}

static bool is_over(void *ctx)
{
    return ((const struct load *)ctx)->is_over;
}

static bool is_idle(void *ctx)
{
    return ((const struct load *)ctx)->running == 0;
}

static void run_for(struct load *load, uint64_t ms)
{
    load->is_over = false;
    tr_timer_set(&load->timer, tr_loop_now_ms(load->loop) + ms);
    if (!tr_loop_run_until(load->loop, is_over, load, ms + 60000)) {
        fail("the loop stands");
    }
}

static uint64_t clock_us(clockid_t clock)
{
    struct timespec t;
    return clock_gettime(clock, &t) != 0 ? 0 : (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* --- course --------------------------------------------------------------------------------------------------------- */

static void measure(struct load *load, uint64_t warm_ms, uint64_t ms)
{
    if (load->rate > 0) {
        start_rate(load);
    }
    for (unsigned i = 0; load->rate == 0 && i < load->calls; i++) {
        start(load, tr_loop_clock_us(load->loop));
    }
    run_for(load, warm_ms);
    for (size_t i = 0; i < load->watched_len; i++) {
        load->watched[i].before_us = clock_us(load->watched[i].clock);
    }
    const uint64_t own_us = clock_us(CLOCK_PROCESS_CPUTIME_ID);
    const uint64_t start_us = tr_loop_clock_us(load->loop);
    load->is_counting = true;
    run_for(load, ms);
    load->is_counting = false;
    const double took_s = (double)(tr_loop_clock_us(load->loop) - start_us) / 1e6;
    const double done = load->latencies.len == 0 ? 1 : (double)load->latencies.len;
    (void)printf("{\"calls\":%" PRIu64 ",\"failed\":%" PRIu64 ",\"calls_per_s\":%.0f,\"cpu_us\":{",
                 load->latencies.len, load->failed, done / took_s);
    for (size_t i = 0; i < load->watched_len; i++) {
        const struct watched *w = &load->watched[i];
        (void)printf("\"%.*s\":%.2f,", (int)w->name_len, w->name, (double)(clock_us(w->clock) - w->before_us) / done);
    }
    (void)printf("\"load\":%.2f},", (double)(clock_us(CLOCK_PROCESS_CPUTIME_ID) - own_us) / done);
    load->is_ending = true;
    tr_fd_watch_free(&load->tick);
    if (!tr_loop_run_until(load->loop, is_idle, load, 40000)) {
        fail("calls do not end");
    }
    const struct histogram *h = &load->latencies;
    (void)printf("\"p50_us\":%" PRIu64 ",\"p90_us\":%" PRIu64 ",\"p99_us\":%" PRIu64 ",\"max_us\":%" PRIu64 "}\n",
                 histogram_at(h, 0.5), histogram_at(h, 0.9), histogram_at(h, 0.99), h->max_us);
}

static void read_paths(struct load *load, const char *name)
{
    FILE *file = fopen(name, "r");
    char line[512];
    if (file == NULL) {
        fail("cannot read the file of paths");
    }
    while (load->paths_len < PATHS_MAX && fgets(line, sizeof(line), file) != NULL) {
        load->paths[load->paths_len++] = tr_xstrdup(tr_slice_trim(tr_slice_str(line)));
    }
    (void)fclose(file);
    if (load->paths_len == 0) {
        fail("no path to call");
    }
}

static void watch(struct load *load, const char *text)
{
    const char *sign = strchr(text, '=');
    if (sign == NULL || load->watched_len == WATCHED_MAX) {
        fail("-P wants NAME=PID, at most 8 times");
    }
    struct watched *w = &load->watched[load->watched_len++];
    w->name = text;
    w->name_len = (size_t)(sign - text);
    if (clock_getcpuclockid((pid_t)strtol(sign + 1, NULL, 10), &w->clock) != 0) {
        fail("no such process");
    }
}

int main(int argc, char **argv)
{
    static struct load load;
    uint16_t port = 0;
    uint64_t seconds = 5;
    uint64_t warm_s = 1;
    int option;
    load.calls = 1;
    load.body_len = 64;
    while ((option = getopt(argc, argv, "p:f:r:c:s:w:b:P:")) != -1) {
        const uint64_t number = optarg == NULL ? 0 : strtoull(optarg, NULL, 10);
        switch (option) {
        case 'p': port = (uint16_t)number; break;
        case 'f': read_paths(&load, optarg); break;
        case 'r': load.rate = number; break;
        case 'c': load.calls = (unsigned)number; break;
        case 's': seconds = number; break;
        case 'w': warm_s = number; break;
        case 'b': load.body_len = (size_t)number; break;
        case 'P': watch(&load, optarg); break;
        default: return 2;
        }
    }
    if (port == 0 || load.paths_len == 0 || load.calls == 0 || load.calls > CALLS_MAX || load.rate > 1000000) {
        fail("-p PORT -f FILE, at most 4096 calls at a time, at most a million a second");
    }
    load.body = tr_xalloc(load.body_len + 1);
    memset(load.body, '1', load.body_len);
    for (unsigned i = CALLS_MAX; i > 0; i--) {
        load.slots[i - 1].next_free = load.free;
        load.free = &load.slots[i - 1];
    }
    load.loop = tr_loop_new();
    const struct tr_http_client_conf conf = {
        .host = TR_SLICE_LIT("127.0.0.1"), .port = port, .connections_max = CALLS_MAX, .idle_max = CALLS_MAX
    };
    load.client = tr_http_client_new(load.loop, &conf);
    tr_http_headers_add_str(&load.headers, "Content-Type", "application/json");
    tr_timer_init(&load.timer, load.loop, on_timer);
    measure(&load, warm_s * 1000, seconds * 1000);
    return 0;
}
