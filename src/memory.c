/* Allocation, page mappings, and how much memory is left. Nothing else in the library calls malloc or mmap. */
#include "memory.h"
#include "cgroup.h"
#include "io.h"

#include <errno.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>
#ifdef __APPLE__
#include <sys/sysctl.h>
#endif

#ifndef MAP_ANONYMOUS
#define MAP_ANONYMOUS MAP_ANON
#endif
#ifndef MAP_NORESERVE
#define MAP_NORESERVE 0
#endif

/* ---- Counting ------------------------------------------------------------------------------------------------- */

/* unsigned long and not 64 bits: every CPU that we build for counts in its own word without a helper library. */
static atomic_ulong n_calls, n_live, fail_at;

/* Counts one call. False: this is the one that has to fail. */
static bool may_allocate(void) {
    unsigned long n = atomic_fetch_add(&n_calls, 1) + 1;
    if (n != atomic_load(&fail_at)) return true;
    errno = ENOMEM;
    return false;
}

unsigned long long phi_memory_count(void) {
    return atomic_load(&n_calls);
}

unsigned long long phi_memory_live(void) {
    return atomic_load(&n_live);
}

void phi_memory_fail_at(unsigned long long n) {
    atomic_store(&fail_at, n ? atomic_load(&n_calls) + (unsigned long)n : 0);
}

/* ---- Allocation ----------------------------------------------------------------------------------------------- */

/* Not more than the address space, and not 0: for that malloc may answer NULL, which would read as a failure. False:
 * more. */
static bool count_bytes(size_t n_item, size_t item_size, size_t *n_bytes) {
    if (item_size && n_item > SIZE_MAX / item_size) return false;
    *n_bytes = n_item * item_size;
    if (!*n_bytes) *n_bytes = 1;
    return true;
}

void *phi_alloc(size_t n_item, size_t item_size) {
    size_t n_bytes;
    if (!may_allocate() || !count_bytes(n_item, item_size, &n_bytes)) return NULL;
    void *p = calloc(1, n_bytes);
    if (p) atomic_fetch_add(&n_live, 1);
    return p;
}

void *phi_realloc(void *p, size_t n_item, size_t item_size) {
    size_t n_bytes;
    if (!may_allocate() || !count_bytes(n_item, item_size, &n_bytes)) return NULL;
    void *q = realloc(p, n_bytes);
    if (q && !p) atomic_fetch_add(&n_live, 1);
    return q;
}

void phi_free(void *p) {
    if (!p) return;
    atomic_fetch_sub(&n_live, 1);
    free(p);
}

static void *map(int fd, size_t n_bytes, int protection, int flags) {
    if (!may_allocate()) return NULL;
    void *p = mmap(NULL, n_bytes, protection, flags, fd, 0);
    if (p == MAP_FAILED) return NULL;
    atomic_fetch_add(&n_live, 1);
    return p;
}

void *phi_pages_alloc(size_t n_bytes) {
    return map(-1, n_bytes ? n_bytes : 1, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE);
}

void *phi_pages_map(int fd, size_t n_bytes) {
    /* MAP_PRIVATE: read-only pages come from the page cache either way, and some user-space file systems of phones
     * refuse MAP_SHARED. */
    return phi_io_may(PHI_IO_MAP) ? map(fd, n_bytes, PROT_READ, MAP_PRIVATE) : NULL;
}

void phi_pages_free(void *p, size_t n_bytes) {
    if (!p) return;
    atomic_fetch_sub(&n_live, 1);
    munmap(p, n_bytes ? n_bytes : 1);
}

/* ---- What is left --------------------------------------------------------------------------------------------- */

static unsigned long long smaller(unsigned long long a, unsigned long long b) {
    return a < b ? a : b;
}

#ifdef __linux__
/* The number behind name, which begins a line of text. */
static bool find_number(const char *text, const char *name, unsigned long long *v) {
    size_t n = strlen(name);
    for (const char *line = text; line; line = strchr(line, '\n'), line += line != NULL) {
        if (strncmp(line, name, n) != 0) continue;
        char *end;
        *v = strtoull(line + n, &end, 10);
        return end != line + n;
    }
    return false;
}

/* A file DIR/NAME that holds one number. "max" is no number: there is no limit. */
static bool read_number(const char *dir, const char *name, unsigned long long *v) {
    char path[640], text[64];
    if (snprintf(path, sizeof path, "%s/%s", dir, name) >= (int)sizeof path) return false;
    return phi_io_read_text(path, text, sizeof text) && find_number(text, "", v);
}

/* What one control group still grants. The names of version 1 and 2 differ, the meaning does not. */
static unsigned long long group_left(const char *dir, bool v2) {
    unsigned long long limit, usage, file = 0, part;
    if (!read_number(dir, v2 ? "memory.max" : "memory.limit_in_bytes", &limit)) return ULLONG_MAX;
    if (!read_number(dir, v2 ? "memory.current" : "memory.usage_in_bytes", &usage)) return limit;
    char path[640], text[8192];
    if (snprintf(path, sizeof path, "%s/memory.stat", dir) < (int)sizeof path && phi_io_read_text(path, text, sizeof text)) {
        if (find_number(text, v2 ? "inactive_file " : "total_inactive_file ", &part)) file += part;
        if (find_number(text, v2 ? "active_file " : "total_active_file ", &part)) file += part;
    }
    usage = usage > file ? usage - file : 0;
    return limit > usage ? limit - usage : 0;
}

static void take_group(void *user, const char *dir, bool v2) {
    unsigned long long *left = user;
    *left = smaller(*left, group_left(dir, v2));
}

/* The least that this process's control group and its parents grant. */
static unsigned long long groups_left(void) {
    unsigned long long left = ULLONG_MAX;
    phi_cgroup_walk("memory", take_group, &left);
    return left;
}

/* Free memory of the machine, as the kernel estimates it. */
static unsigned long long system_left(void) {
    char text[4096];
    unsigned long long kib;
    if (!phi_io_read_text("/proc/meminfo", text, sizeof text) || !find_number(text, "MemAvailable:", &kib))
        return ULLONG_MAX;
    return kib * 1024;
}

/* Address space in use. */
static unsigned long long space_used(void) {
    unsigned long long pages = 0;
    long page = sysconf(_SC_PAGESIZE);
    return page > 0 && read_number("/proc/self", "statm", &pages) ? pages * (unsigned long long)page : 0;
}
#else
static unsigned long long groups_left(void) {
    return ULLONG_MAX;
}

static unsigned long long system_left(void) {
#ifdef __APPLE__
    uint64_t bytes = 0;
    size_t size = sizeof bytes;
    if (sysctlbyname("hw.memsize", &bytes, &size, NULL, 0) == 0 && bytes) return bytes;
#endif
    return ULLONG_MAX;
}

static unsigned long long space_used(void) {
    return 0;
}
#endif

unsigned long long phi_memory_available(void) {
    unsigned long long left = smaller(system_left(), groups_left());
    struct rlimit space;
    if (getrlimit(RLIMIT_AS, &space) == 0 && space.rlim_cur != RLIM_INFINITY) {
        unsigned long long limit = space.rlim_cur, used = space_used();
        left = smaller(left, limit > used ? limit - used : 0);
    }
    return left;
}
