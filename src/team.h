/* The threads of a session: started once, they share the chunks of one job after another. */
#ifndef PHI_SRC_TEAM_H
#define PHI_SRC_TEAM_H

#include "error.h"

#include <stdbool.h>

struct phi_team;

/* Compute chunk number `chunk` of a job on thread number `thread` (0 = the caller of phi_team_run). */
typedef void phi_team_fn(void *arg, int chunk, int thread);

/* A team of n threads, the caller included. pin: each on a core of its own (cores.h), the caller too. PHI_MEMORY, PHI_FAILED. */
int phi_team_open(int n, bool pin, struct phi_team **out, phi_error *err);
void phi_team_close(struct phi_team *team);

/* From now on each of n_thread threads stays on a core of its own, if the caller may use so many cores, no more and no less;
 * n_thread 0: no longer. Moved about by the system, two threads get two thirds of two cores that one busy process wants, too;
 * when they stay, three quarters. With a core to spare they had better move. Does nothing in a team that is pinned. */
void phi_team_stay(struct phi_team *team, int n_thread);

/* Run fn for every chunk 0 .. n_chunk-1 on at most n_thread threads; returns when all are done. Chunks are handed out
 * one at a time in ascending order, so that a slow core takes fewer. Which thread computes a chunk must not change
 * its result. */
void phi_team_run(struct phi_team *team, int n_thread, phi_team_fn *fn, void *arg, int n_chunk);

#endif
