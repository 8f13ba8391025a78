/*
 * Counts the bytes that a process holds of malloc(), where a test looks on: its resident memory
 * says little of a leak, since a heap keeps its holes and is slow to find them.
 *
 *   LD_PRELOAD  this
 *   LIVE_HEAP   a file, which the count is mapped to: a long, in the machine's order. A program
 * that is started by way of a shell is the last to begin there.
 */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

/* glibc's own, which the functions below stand before. */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *p, size_t size);
void *__libc_memalign(size_t alignment, size_t size);
void __libc_free(void *p);

static _Atomic long before_there_is_a_file;
static _Atomic long *count = &before_there_is_a_file;

__attribute__((constructor)) static void map_the_file(void) {
    const char *path = getenv("LIVE_HEAP");
    int fd = path ? open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600) : -1;
    void *shared;

    if (fd < 0)
        return;
    if (!ftruncate(fd, sizeof(long))) {
        shared = mmap(NULL, sizeof(long), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (shared != MAP_FAILED) {
            atomic_store((_Atomic long *)shared, before_there_is_a_file);
            count = shared;
        }
    }
    close(fd);
}

static void *counted(void *p) {
    atomic_fetch_add_explicit(count, (long)malloc_usable_size(p), memory_order_relaxed);
    return p;
}

void *malloc(size_t size) {
    return counted(__libc_malloc(size));
}

void *calloc(size_t n, size_t size) {
    return counted(__libc_calloc(n, size));
}

void free(void *p) {
    atomic_fetch_sub_explicit(count, (long)malloc_usable_size(p), memory_order_relaxed);
    __libc_free(p);
}

void *realloc(void *p, size_t size) {
    long was = (long)malloc_usable_size(p);
    void *is = __libc_realloc(p, size);

    /* One that failed is as it was, one of no bytes is freed. */
    if (is || !size)
        atomic_fetch_sub_explicit(count, was, memory_order_relaxed);
    return counted(is);
}

void *memalign(size_t alignment, size_t size) {
    return counted(__libc_memalign(alignment, size));
}

void *aligned_alloc(size_t alignment, size_t size) {
    return memalign(alignment, size);
}

int posix_memalign(void **p, size_t alignment, size_t size) {
    void *is = memalign(alignment, size);

    if (!is)
        return ENOMEM;
    *p = is;
    return 0;
}
