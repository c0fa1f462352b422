/* What the system says of the machine: the CPU's name, its clock, its temperature. Whatever it does not say is left
 * out. */
#include "bench.h"

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
    FILE *f = fopen("/proc/cpuinfo", "re");
    bool found = false;
    if (!f) return false;
    for (char line[512]; !found && fgets(line, sizeof line, f);) {
        char *value = strchr(line, ':');
        if (strncmp(line, key, strlen(key)) != 0 || !value) continue;
        value += 1 + strspn(value + 1, " \t");
        value[strcspn(value, "\n")] = 0;
        found = *value != 0;
        if (found) snprintf(out, 128, "%.127s", value);
    }
    fclose(f);
    return found;
}

static bool first_line(const char *path, char out[128]) {
    FILE *f = fopen(path, "re");
    bool found = f && fgets(out, 128, f) && *out && *out != '\n';
    if (f) fclose(f);
    if (found) out[strcspn(out, "\n")] = 0;
    return found;
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
