/* The cores that a compute thread wants. */
#ifndef PHI_SRC_CORES_H
#define PHI_SRC_CORES_H

/* Cores that this process may run on (at least 1). */
int phi_cores_allowed(void);

/* Of those, physical cores of the fastest cluster: slower ones hold a pass up, a second thread of a core adds
 * nothing. */
int phi_cores_fast(void);

#endif
