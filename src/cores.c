/* Counts cores: the affinity mask says which ones are ours, sysfs says how fast they are and which are siblings.
 * Where a system tells less, all cores count as fast. */
#include "cores.h"
#include "io.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#if defined(__APPLE__)
#include <sys/sysctl.h>

static int number(const char *name) {
    int n = 0;
    size_t size = sizeof n;
    return sysctlbyname(name, &n, &size, NULL, 0) == 0 ? n : 0;
}
#endif

#if defined(__linux__)
#include <sched.h>

enum { MAX_CORE = CPU_SETSIZE };

/* A number from /sys/devices/system/cpu/cpuN/FILE, -1 if there is none. */
static long from_sysfs(size_t core, const char *file) {
    char path[96], text[64], *end;
    snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%zu/%s", core, file);
    if (!phi_io_read_text(path, text, sizeof text)) return -1;
    long v = strtol(text, &end, 10);
    return end > text ? v : -1;
}

static long speed(size_t core) {
    long v = from_sysfs(core, "cpu_capacity");
    return v >= 0 ? v : from_sysfs(core, "cpufreq/cpuinfo_max_freq");
}
#endif

int phi_cores_allowed(void) {
#if defined(__linux__)
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0) return CPU_COUNT(&set);
#endif
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n > 0 ? (int)n : 1;
}

int phi_cores_fast(void) {
#if defined(__APPLE__)
    int n = number("hw.perflevel0.physicalcpu");
    return n > 0 ? n : phi_cores_allowed();
#elif defined(__linux__)
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) != 0) return phi_cores_allowed();
    long best = -1;
    for (size_t i = 0; i < MAX_CORE; i++)
        if (CPU_ISSET(i, &set) && speed(i) > best) best = speed(i);
    int n = 0;
    for (size_t i = 0; i < MAX_CORE; i++) {
        if (!CPU_ISSET(i, &set) || speed(i) < best) continue;
        /* The list of siblings begins with the lowest; the others of a core do not count if that one is ours. */
        long first = from_sysfs(i, "topology/thread_siblings_list");
        if (first >= 0 && (size_t)first < i && CPU_ISSET((size_t)first, &set)) continue;
        n++;
    }
    return n > 0 ? n : 1;
#else
    return phi_cores_allowed();
#endif
}
