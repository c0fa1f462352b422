/* What the system says of the machine: the CPU's name, its clock, its temperature. Whatever it does not say is left
 * out. */
#include "bench.h"
#include "../io.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#if defined(__APPLE__)
#include <sys/sysctl.h>
#endif

/* The value of the first line "KEY : value" in /proc/cpuinfo. */
static bool from_cpuinfo(const char *key, char out[128]) {
    static char text[1 << 14]; /* "Hardware" stands behind all cores. Not on the stack, which may be small. */
    if (!phi_io_read_text("/proc/cpuinfo", text, sizeof text)) return false;
    for (const char *line = text; *line; line += *line != 0) {
        size_t n = strcspn(line, "\n");
        const char *value = memchr(line, ':', n);
        if (value && strncmp(line, key, strlen(key)) == 0) {
            value += 1 + strspn(value + 1, " \t");
            int length = (int)strcspn(value, "\n");
            snprintf(out, 128, "%.*s", length, value);
            if (length > 0) return true;
        }
        line += n;
    }
    return false;
}

static bool first_line(const char *path, char out[128]) {
    if (!phi_io_read_text(path, out, 128)) return false;
    out[strcspn(out, "\n")] = 0;
    return *out != 0;
}

void bench_cpu_name(char out[128]) {
#if defined(__APPLE__)
    size_t n = 128;
    if (sysctlbyname("machdep.cpu.brand_string", out, &n, NULL, 0) == 0) return;
#endif
    if (from_cpuinfo("model name", out) || from_cpuinfo("Hardware", out)) return;
    if (first_line("/proc/device-tree/model", out)) return; /* ARM boards */
    struct utsname u;
    snprintf(out, 128, "%s", uname(&u) >= 0 ? u.machine : "unknown");
}

/* The largest number that FOLDER/PREFIX*SUFFIX hold; 0: none. */
static double largest(const char *folder, const char *prefix, const char *suffix) {
    double most = 0;
    DIR *dir = opendir(folder);
    if (!dir) return 0;
    for (struct dirent *e; (e = readdir(dir));) {
        char path[512], line[128];
        if (strncmp(e->d_name, prefix, strlen(prefix)) != 0) continue;
        snprintf(path, sizeof path, "%s/%.200s/%s", folder, e->d_name, suffix);
        double v = first_line(path, line) ? strtod(line, NULL) : 0;
        if (v > most) most = v;
    }
    closedir(dir);
    return most;
}

double bench_clock_mhz(void) {
    char line[128];
    double khz = largest("/sys/devices/system/cpu", "cpu", "cpufreq/scaling_cur_freq");
    if (khz > 0) return khz / 1e3;
    return from_cpuinfo("cpu MHz", line) ? strtod(line, NULL) : 0;
}

double bench_temperature(void) {
    double t = largest("/sys/class/thermal", "thermal_zone", "temp") / 1e3;
    return t > 0 && t < 200 ? t : 0; /* some zones hold other things */
}
