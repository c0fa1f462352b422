/* What bounds the speed of a model on this machine: the bytes and operations of a pass, and how fast the session's
 * threads could read and multiply if there were nothing else to do. */
#ifndef PHI_SRC_LIMITS_H
#define PHI_SRC_LIMITS_H

#include "session.h"

/* Bytes of weights that every pass reads once: all layers, the last norm and the output matrix. Of the embedding a
 * pass reads a row for each token, which does not count unless it is the output matrix too. */
uint64_t phi_limits_weight_bytes(const struct phi_model *m);
/* Bytes of cached keys and values that a pass reads once: n tokens, the first at `position`. */
uint64_t phi_limits_cache_bytes(const struct phi_session *s, size_t position, size_t n);
/* Operations of the layers' matrices for each token: two for each weight. */
double phi_limits_operations(const struct phi_model *m);

/* Read these weights once, in the order of the layers, with the threads of a pass with one token. Returns the
 * seconds; *sum is of no use but to those who doubt that everything was read. */
double phi_limits_read(const struct phi_session *s, uint64_t *sum);
/* Make 8-bit products on these threads for some milliseconds. Returns operations per second. */
double phi_limits_peak(const struct phi_session *s);

/* Can a session that has come to `end` tokens go back to n without computing the first n again? */
bool phi_limits_rewinds(const struct phi_session *s, size_t n, size_t end);

#endif
