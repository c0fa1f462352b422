/* The control groups that this process is in: what a container or a service manager grants it. */
#ifndef PHI_SRC_CGROUP_H
#define PHI_SRC_CGROUP_H

#include <stdbool.h>

/* Call fn for the directory of the process's group and for each of its parents, of version 2 and of version 1 where it has this
 * controller ("memory", "cpu"). The directory may not exist. Nothing is called where there are no such groups. */
typedef void phi_cgroup_fn(void *user, const char *dir, bool v2);
void phi_cgroup_walk(const char *controller, phi_cgroup_fn *fn, void *user);

#endif
