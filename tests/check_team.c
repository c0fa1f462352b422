/* The thread team: every chunk once, whatever the number of threads; threads that stay on a core of their own, for a while or for
 * good, and where they are left afterwards. */
#include "../src/cores.h"
#include "../src/team.h"
#include "check.h"

#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>

enum { MOST = 4096 };

/* ---- Chunks ---- */

struct job {
    atomic_int wrong_thread;
    int n_thread;
    atomic_int times[MOST];
};

static void count_chunk(void *arg, int chunk, int thread) {
    struct job *j = arg;
    if (thread < 0 || thread >= j->n_thread) atomic_fetch_add(&j->wrong_thread, 1);
    atomic_fetch_add(&j->times[chunk], 1);
}

static void check_chunks(int n_thread) {
    static struct job j;
    struct phi_team *team;
    CHECK(phi_team_open(n_thread, false, &team, NULL) == 0, "a team of %d", n_thread);
    for (int i = 0; i < 2000; i++) {
        int n = i % 10 ? i % 7 : i, wrong = 0;
        memset(&j, 0, sizeof j);
        j.n_thread = 1 + i % n_thread; /* of a team, the first ones */
        phi_team_run(team, j.n_thread, count_chunk, &j, n);
        for (int c = 0; c < MOST; c++) wrong += j.times[c] != (c < n);
        CHECK(!wrong && !j.wrong_thread, "%d threads, job %d: %d of %d chunks", n_thread, i, wrong, n);
    }
    phi_team_close(team);
}

/* ---- Cores ---- */

struct place {
    struct phi_core_mask mask[MOST]; /* of each thread */
    atomic_int n_there;
    int n;
};

/* As many chunks as threads: each waits for all, so that each thread has one. */
static void note_place(void *arg, int chunk, int thread) {
    struct place *p = arg;
    (void)chunk;
    p->mask[thread] = phi_cores_mask();
    atomic_fetch_add(&p->n_there, 1);
    while (atomic_load(&p->n_there) < p->n) sched_yield();
}

static bool same(const struct phi_core_mask *a, const struct phi_core_mask *b) {
    return memcmp(a, b, sizeof *a) == 0;
}

/* Threads 0 .. n - 1 of the team: each on a core of its own among those of `all`, or each on all. */
static void check_place(struct phi_team *team, int n, const struct phi_core_mask *all, bool alone, const char *what) {
    static struct place p;
    p.n = n;
    atomic_store(&p.n_there, 0);
    phi_team_run(team, n, note_place, &p, n);
    for (int i = 0; i < n; i++) {
        struct phi_core_mask want = alone ? phi_cores_one(all, i) : *all;
        CHECK(same(&p.mask[i], &want), "%s: thread %d of %d may run on %d cores", what, i, n, phi_cores_count(&p.mask[i]));
    }
}

static void check_cores(void) {
    struct phi_core_mask all = phi_cores_mask(), other = phi_cores_one(&all, 1), none = {{0}}, some = {{5, 0, 1}};
    struct phi_core_mask last = phi_cores_one(&some, 2), round = phi_cores_one(&some, 4), empty = phi_cores_one(&none, 0);
    CHECK(phi_cores_count(&some) == 3 && phi_cores_count(&none) == 0 && phi_cores_count(&empty) == 0, "counting");
    CHECK(phi_cores_count(&last) == 1 && last.bits[2] == 1 && phi_cores_count(&round) == 1 && round.bits[0] == 4, "the i-th");
    int n = phi_cores_count(&all);
#ifdef _OPENMP
    n = 0;
#endif
    if (n < 1 || n > 64) {
        SKIP("threads that stay on a core: %s", n ? "more than 64 cores" : "this system or OpenMP places them");
        return;
    }
    struct phi_team *team;
    CHECK(phi_team_open(n + 1, false, &team, NULL) == 0, "a team of %d", n + 1);
    check_place(team, n, &all, false, "at first");
    phi_team_stay(team, n);
    check_place(team, n, &all, true, "staying");
    check_place(team, n, &all, true, "staying, second job");
    phi_team_stay(team, 0);
    check_place(team, n, &all, false, "afterwards");
    phi_team_stay(team, n + 1); /* one of them would have to share a core */
    check_place(team, n + 1, &all, false, "more threads than cores");
    phi_team_stay(team, 0);
    if (n > 1) {
        phi_team_stay(team, n - 1); /* one core is free: to move there may be better */
        check_place(team, n, &all, false, "fewer threads than cores");
        phi_team_stay(team, n);
        phi_cores_use(&other); /* as taskset would */
        phi_team_stay(team, 0);
        struct phi_core_mask now = phi_cores_mask();
        CHECK(same(&now, &other), "a caller that someone else has moved was moved back, to %d cores", phi_cores_count(&now));
        phi_cores_use(&all);
    }
    phi_team_close(team);

    CHECK(phi_team_open(n, true, &team, NULL) == 0, "a pinned team of %d", n);
    check_place(team, n, &all, true, "pinned");
    phi_team_stay(team, n);
    phi_team_stay(team, 0);
    check_place(team, n, &all, true, "pinned, still");
    phi_team_close(team);
    struct phi_core_mask now = phi_cores_mask();
    CHECK(same(&now, &all), "a closed team leaves its caller on %d cores", phi_cores_count(&now));
}

int main(void) {
    for (int n = 1; n <= 5; n += 2) check_chunks(n);
    check_cores();
    return check_done("team");
}
