/* Memory back to the system, by what glibc and Linux offer for it. */
#include "runtime/base/tidy.h"

#include <fcntl.h>
#include <link.h>
#include <malloc.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

bool tr_tidy_now(void)
{
    return mallinfo2().fordblks >= TR_TIDY_BYTES_MIN && malloc_trim(0) == 1;
}

/* Segments that may be written keep their pages: these are the only copy, also after the loader made them read-only. */
static int unmap_object(struct dl_phdr_info *info, size_t size, void *ctx)
{
    (void)size;
    const uintptr_t page_mask = ~((uintptr_t)*(const long *)ctx - 1);
    for (size_t i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
        if (segment->p_type != PT_LOAD || (segment->p_flags & PF_W) != 0) {
            continue;
        }
        const uintptr_t start = (info->dlpi_addr + segment->p_vaddr) & page_mask;
        const uintptr_t end = info->dlpi_addr + segment->p_vaddr + segment->p_memsz;
        /* Refused for what is no file (the vDSO), which is as well. */
        (void)madvise((void *)start, end - start, MADV_DONTNEED);
    }
    return 0;
}

/* Source: proc(5), /proc/pid/status. */
static bool is_traced(void)
{
    char text[2048];
    const int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
    const ssize_t len = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
    if (fd >= 0) {
        (void)close(fd);
    }
    if (len < 0) {
        return true;
    }
    text[len] = '\0';
    return strstr(text, "TracerPid:\t0\n") == NULL;
}

void tr_tidy_code(void)
{
    long page_bytes = sysconf(_SC_PAGESIZE);
    if (!is_traced()) {
        (void)dl_iterate_phdr(unmap_object, &page_bytes);
    }
}

static void on_timer(struct tr_timer *timer)
{
    (void)tr_tidy_now();
    tr_timer_set(timer, tr_loop_now_ms(timer->loop) + TR_TIDY_EVERY_MS);
}

static void on_first(struct tr_timer *timer)
{
    tr_tidy_code();
    timer->cb = on_timer;
    on_timer(timer);
}

void tr_tidy_start(struct tr_tidy *tidy, struct tr_loop *loop)
{
    tr_timer_init(&tidy->timer, loop, on_first);
    tr_timer_set(&tidy->timer, tr_loop_now_ms(loop) + TR_TIDY_FIRST_MS);
}

void tr_tidy_stop(struct tr_tidy *tidy)
{
    if (tidy->timer.loop != NULL) {
        tr_timer_stop(&tidy->timer);
    }
}
