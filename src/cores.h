/* The cores that a compute thread wants. */
#ifndef PHI_SRC_CORES_H
#define PHI_SRC_CORES_H

/* Cores that this process may run on (at least 1). */
int phi_cores_allowed(void);

/* Of those, physical cores of the fastest cluster: slower ones hold a pass up, a second thread of a core adds
 * nothing. */
int phi_cores_fast(void);

/* Processors' time that the process's control groups grant, in whole processors, rounded up; INT_MAX: no limit. phi_cores_fast()
 * is never more than that. */
int phi_cores_granted(void);

enum { PHI_MAX_CORE = 1024 };

/* The cores that the calling thread may run on, one bit each. */
struct phi_core_mask {
    unsigned char bits[PHI_MAX_CORE / 8];
};
struct phi_core_mask phi_cores_mask(void);
int phi_cores_count(const struct phi_core_mask *mask);
/* The i-th core of a mask alone, counted round; none of an empty one. */
struct phi_core_mask phi_cores_one(const struct phi_core_mask *mask, int i);
/* From now on the calling thread runs on these cores only. Does nothing with an empty mask, and where the system has no such
 * call. */
void phi_cores_use(const struct phi_core_mask *mask);

#endif
