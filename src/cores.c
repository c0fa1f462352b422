/* Counts cores: the affinity mask says which ones are ours, sysfs says how fast they are and which are siblings.
 * Where a system tells less, all cores count as fast. */
#include "cores.h"
#include "cgroup.h"
#include "io.h"

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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

#if defined(__linux__)
/* The numbers at the beginning of DIR/NAME; true: there are as many as wanted. "max" is none: there is no limit. */
static bool read_numbers(const char *dir, const char *name, long long *v, int wanted) {
    char path[640], text[64], *at = text;
    if (snprintf(path, sizeof path, "%s/%s", dir, name) >= (int)sizeof path) return false;
    if (!phi_io_read_text(path, text, sizeof text)) return false;
    for (int i = 0; i < wanted; i++) {
        char *end;
        v[i] = strtoll(at, &end, 10);
        if (end == at) return false;
        at = end;
    }
    return true;
}

static void take_grant(void *user, const char *dir, bool v2) {
    long long v[2]; /* microseconds of processor time in each period, the period */
    int *granted = user;
    bool known = v2 ? read_numbers(dir, "cpu.max", v, 2)
                    : read_numbers(dir, "cpu.cfs_quota_us", v, 1) && read_numbers(dir, "cpu.cfs_period_us", v + 1, 1);
    if (!known || v[0] <= 0 || v[1] <= 0) return; /* -1: no limit */
    long long n = v[0] / v[1] + (v[0] % v[1] != 0);
    if (n < *granted) *granted = (int)n;
}
#endif

int phi_cores_granted(void) {
    int granted = INT_MAX;
#if defined(__linux__)
    phi_cgroup_walk("cpu", take_grant, &granted);
#endif
    return granted;
}

struct phi_core_mask phi_cores_mask(void) {
    struct phi_core_mask mask;
    memset(&mask, 0, sizeof mask);
#if defined(__linux__)
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0)
        for (size_t i = 0; i < PHI_MAX_CORE; i++)
            if (CPU_ISSET(i, &set)) mask.bits[i / 8] |= (unsigned char)(1 << i % 8);
#endif
    return mask;
}

static bool in_mask(const struct phi_core_mask *mask, size_t core) {
    return mask->bits[core / 8] >> core % 8 & 1;
}

int phi_cores_count(const struct phi_core_mask *mask) {
    int n = 0;
    for (size_t i = 0; i < PHI_MAX_CORE; i++) n += in_mask(mask, i);
    return n;
}

struct phi_core_mask phi_cores_one(const struct phi_core_mask *mask, int i) {
    struct phi_core_mask one = {{0}};
    int n = phi_cores_count(mask);
    for (size_t k = 0; n > 0 && k < PHI_MAX_CORE; k++) {
        if (!in_mask(mask, k) || i-- % n != 0) continue;
        one.bits[k / 8] = (unsigned char)(1 << k % 8);
        break;
    }
    return one;
}

void phi_cores_use(const struct phi_core_mask *mask) {
#if defined(__linux__)
    cpu_set_t set;
    CPU_ZERO(&set);
    for (size_t i = 0; i < PHI_MAX_CORE; i++)
        if (in_mask(mask, i)) CPU_SET(i, &set);
    if (CPU_COUNT(&set) > 0) (void)sched_setaffinity(0, sizeof set, &set); /* cores that have gone away: it stays where it is */
#else
    (void)mask;
#endif
}

int phi_cores_fast(void) {
#if defined(__APPLE__)
    int n = number("hw.perflevel0.physicalcpu");
    return n > 0 ? n : phi_cores_allowed();
#elif defined(__linux__)
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) != 0) return phi_cores_allowed();
    long best = -1;
    for (size_t i = 0; i < PHI_MAX_CORE; i++)
        if (CPU_ISSET(i, &set) && speed(i) > best) best = speed(i);
    int n = 0;
    for (size_t i = 0; i < PHI_MAX_CORE; i++) {
        if (!CPU_ISSET(i, &set) || speed(i) < best) continue;
        /* The list of siblings begins with the lowest; the others of a core do not count if that one is ours. */
        long first = from_sysfs(i, "topology/thread_siblings_list");
        if (first >= 0 && (size_t)first < i && CPU_ISSET((size_t)first, &set)) continue;
        n++;
    }
    int granted = phi_cores_granted();
    return n > granted ? granted : n > 0 ? n : 1;
#else
    return phi_cores_allowed();
#endif
}
