/*
 * The process's own figures, from /proc.
 * Source: proc(5); names of prometheus/client_golang prometheus/process_collector.go.
 */
#include "runtime/base/metric.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

/* Fields of /proc/self/stat that we read, counted from 1 as the manual does. */
enum {
    STAT_UTIME = 14,
    STAT_STIME = 15,
    STAT_START = 22,
    STAT_VSIZE = 23,
    STAT_RSS = 24,
    STAT_LEN
};

static void add_figure(struct tr_buf *buf, const char *name, const char *help, const char *kind,
                       double value)
{
    tr_buf_addf(buf, "# HELP %s %s\n# TYPE %s %s\n%s %.17g\n", name, help, name, kind, name, value);
}

static size_t read_file(const char *path, char *text, size_t size)
{
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return 0;
    }
    const size_t len = fread(text, 1, size - 1, file);
    text[len] = '\0';
    (void)fclose(file);
    return len;
}

/* The numbers of /proc/self/stat by their field; false if it cannot be read. */
static bool read_stat(double out_fields[STAT_LEN])
{
    char text[2048];
    /* The second field is the command in parentheses and may contain anything. */
    const char *at =
        read_file("/proc/self/stat", text, sizeof(text)) == 0 ? NULL : strrchr(text, ')');
    if (at == NULL || strlen(at) < 4) {
        return false;
    }
    at += 3; /* the state, field 3, is a letter */
    for (int field = 4; field < STAT_LEN; field++) {
        char *end = NULL;
        out_fields[field] = strtod(at, &end);
        if (end == at) {
            return false;
        }
        at = end;
    }
    return true;
}

/* When the system booted, in seconds since the epoch; 0 if it cannot be read. */
static double boot_unix_s(void)
{
    char text[16384];
    const char *at =
        read_file("/proc/stat", text, sizeof(text)) == 0 ? NULL : strstr(text, "\nbtime ");
    return at == NULL ? 0 : strtod(at + strlen("\nbtime "), NULL);
}

static void write_stat(struct tr_buf *buf)
{
    double fields[STAT_LEN] = { 0 };
    if (!read_stat(fields)) {
        return;
    }
    const double ticks_per_s = (double)sysconf(_SC_CLK_TCK);
    add_figure(buf, "process_cpu_seconds_total", "Total user and system CPU time spent in seconds.",
               "counter", (fields[STAT_UTIME] + fields[STAT_STIME]) / ticks_per_s);
    add_figure(buf, "process_resident_memory_bytes", "Resident memory size in bytes.", "gauge",
               fields[STAT_RSS] * (double)sysconf(_SC_PAGESIZE));
    add_figure(buf, "process_virtual_memory_bytes", "Virtual memory size in bytes.", "gauge",
               fields[STAT_VSIZE]);
    const double boot_s = boot_unix_s();
    if (boot_s > 0) {
        add_figure(buf, "process_start_time_seconds",
                   "Start time of the process since unix epoch in seconds.", "gauge",
                   boot_s + fields[STAT_START] / ticks_per_s);
    }
}

static void write_files(struct tr_buf *buf)
{
    DIR *dir = opendir("/proc/self/fd");
    if (dir != NULL) {
        double files = -1; /* the directory itself is open, too */
        for (const struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
            files += entry->d_name[0] == '.' ? 0 : 1;
        }
        (void)closedir(dir);
        add_figure(buf, "process_open_fds", "Number of open file descriptors.", "gauge", files);
    }
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        add_figure(buf, "process_max_fds", "Maximum number of open file descriptors.", "gauge",
                   (double)limit.rlim_cur);
    }
}

void tr_metrics_write_process(struct tr_buf *buf)
{
    write_stat(buf);
    write_files(buf);
}
