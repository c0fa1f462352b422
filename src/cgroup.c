/* Finds control groups by /proc/self/cgroup. Inside a container the path there may be the host's: directories that do not exist
 * grant everything, and the walk ends at the mount point, which is the container's. */
#include "cgroup.h"
#include "io.h"

#include <stdio.h>
#include <string.h>

/* Is the name in a list that commas separate ("cpu,cpuacct")? */
static bool has_controller(const char *list, const char *name) {
    size_t n = strlen(name);
    for (const char *at = list; *at; at += *at == ',') {
        size_t length = strcspn(at, ",");
        if (length == n && memcmp(at, name, n) == 0) return true;
        at += length;
    }
    return false;
}

void phi_cgroup_walk(const char *controller, phi_cgroup_fn *fn, void *user) {
    char text[4096];
    if (!phi_io_read_text("/proc/self/cgroup", text, sizeof text)) return;
    char *save = NULL;
    for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        char *controllers = strchr(line, ':'), *path = controllers ? strchr(controllers + 1, ':') : NULL;
        if (!path) continue;
        *path++ = 0;
        bool v2 = controllers[1] == 0;
        if (!v2 && !has_controller(controllers + 1, controller)) continue;
        char dir[512];
        int root = snprintf(dir, sizeof dir, "/sys/fs/cgroup%s%s", v2 ? "" : "/", v2 ? "" : controller);
        if (snprintf(dir + root, sizeof dir - (size_t)root, "%s", path) >= (int)sizeof dir - root) dir[root] = 0;
        for (char *slash; (slash = strrchr(dir + root, '/')); *slash = 0) fn(user, dir, v2);
        fn(user, dir, v2);
    }
}
