/* Load from wrk on a server in this process: start it, read what it says, print one JSON line with our own CPU time. */
#ifndef BENCH_WRK_H
#define BENCH_WRK_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

struct wrk {
    pid_t pid;
    int fd; /* its output; end of file when it is done */
    char text[8192];
    size_t len;
    const char *connections;
};

/* argv: [seconds] [connections] [script of wrk]. */
static inline void wrk_start(struct wrk *wrk, int argc, char **argv, uint16_t port)
{
    char url[64];
    char connections[32];
    char duration[32];
    int ends[2];
    (void)snprintf(url, sizeof(url), "http://127.0.0.1:%u/", port);
    (void)snprintf(duration, sizeof(duration), "-d%ss", argc > 1 ? argv[1] : "5");
    wrk->connections = argc > 2 ? argv[2] : "64";
    (void)snprintf(connections, sizeof(connections), "-c%s", wrk->connections);
    if (pipe(ends) != 0) {
        exit(1);
    }
    wrk->len = 0;
    wrk->fd = ends[0];
    wrk->pid = fork();
    if (wrk->pid == 0) {
        (void)dup2(ends[1], STDOUT_FILENO);
        (void)close(ends[0]);
        (void)close(ends[1]);
        if (argc > 3) {
            (void)execlp("wrk", "wrk", "-t1", connections, duration, "--latency", "-s", argv[3], url, (char *)NULL);
        }
        (void)execlp("wrk", "wrk", "-t1", connections, duration, "--latency", url, (char *)NULL);
        _exit(127);
    }
    (void)close(ends[1]);
}

/* Read what is there; 0 when wrk is done. */
static inline int wrk_read(struct wrk *wrk)
{
    const ssize_t len = read(wrk->fd, wrk->text + wrk->len, sizeof(wrk->text) - 1 - wrk->len);
    if (len <= 0) {
        return 0;
    }
    wrk->len += (size_t)len;
    return 1;
}

static inline double wrk_number(const char *text, const char *name)
{
    const char *at = strstr(text, name);
    return at == NULL ? 0 : strtod(at + strlen(name), NULL);
}

/* wrk writes latencies with their unit. */
static inline double wrk_latency_us(const char *text, const char *name)
{
    const char *at = strstr(text, name);
    if (at == NULL) {
        return 0;
    }
    char *unit = NULL;
    const double value = strtod(at + strlen(name), &unit);
    return strncmp(unit, "us", 2) == 0 ? value : strncmp(unit, "ms", 2) == 0 ? value * 1e3 : value * 1e6;
}

static inline void wrk_report(struct wrk *wrk, const char *name, uint64_t requests)
{
    struct rusage usage;
    int status;
    wrk->text[wrk->len] = '\0';
    (void)waitpid(wrk->pid, &status, 0);
    (void)getrusage(RUSAGE_SELF, &usage);
    const double cpu_us = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e6 +
                          (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
    (void)printf("{\"bench\":\"%s\",\"connections\":%s,\"requests_per_s\":%.0f,\"cpu_us_per_request\":%.2f,"
                 "\"p50_us\":%.0f,\"p99_us\":%.0f,\"rss_kib\":%ld,\"errors\":%s}\n",
                 name, wrk->connections, wrk_number(wrk->text, "Requests/sec:"),
                 requests == 0 ? 0 : cpu_us / (double)requests, wrk_latency_us(wrk->text, "     50%"),
                 wrk_latency_us(wrk->text, "     99%"), usage.ru_maxrss,
                 strstr(wrk->text, "Socket errors") != NULL || strstr(wrk->text, "Non-2xx") != NULL ? "true" : "false");
}

#endif
