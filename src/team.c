/* Thread team on pthreads, or on OpenMP where the build asks for it.
 *
 * One 64-bit ticket holds the number of the job (high half) and the next chunk (low half). A thread takes a chunk by
 * moving the ticket on by one; that succeeds only while the job is still the one whose description it has read:
 *
 *     caller                                  worker
 *     ticket = (job + 1, CLOSED)              t = ticket               (job, next)
 *     write fn, arg, n_chunk                  read fn, arg, n_chunk
 *     ticket = (job + 2, 0)    publish        compare-exchange t -> t + 1; failed: start again
 *     take chunks like a worker               fn(arg, next); done++
 *     wait until done == n_chunk
 *
 * Whoever reads a part of the new description has seen, or will see in the exchange, that the ticket was closed
 * before it.
 *
 * The caller waits for chunks, not for threads: a worker that sleeps through a job, or a core that is slow, holds
 * nobody up. Idle workers spin for some microseconds, since the next job of a token usually comes at once, and then
 * sleep. */
#include "team.h"
#include "cores.h"
#include "io.h"
#include "kernels/kernels.h"
#include "memory.h"

#include <stdatomic.h>

#ifdef _OPENMP
#include <omp.h>

struct phi_team {
    int n;
};

int phi_team_open(int n, bool pin, struct phi_team **out, phi_error *err) {
    *out = phi_alloc(1, sizeof **out);
    if (!*out) return phi_fail(err, PHI_MEMORY, "not enough memory for %d threads", n);
    (*out)->n = n;
    (void)pin; /* OMP_PROC_BIND is for that */
    omp_set_dynamic(0);
    return 0;
}

void phi_team_close(struct phi_team *team) {
    phi_free(team);
}

void phi_team_stay(struct phi_team *team, int n_thread) {
    (void)team, (void)n_thread;
}

void phi_team_run(struct phi_team *team, int n_thread, phi_team_fn *fn, void *arg, int n_chunk) {
    int n = n_thread < team->n ? n_thread : team->n;
    if (n < 2 || n_chunk < 2) {
        for (int i = 0; i < n_chunk; i++) fn(arg, i, 0);
        return;
    }
    atomic_int next = 0;
#pragma omp parallel num_threads(n)
    {
        unsigned long long fp = phi_fp_enter();
        int thread = omp_get_thread_num(), i;
        while ((i = atomic_fetch_add(&next, 1)) < n_chunk) fn(arg, i, thread);
        phi_fp_restore(fp);
    }
}

#else
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>

enum { SPIN = 2000 };                    /* pauses before sleep: some 20 to 50 microseconds */
static const unsigned CLOSED = 1u << 31; /* as the next chunk: there is none */

/* Where a thread stays. */
struct place {
    int n_staying; /* of the team, when the thread has looked last */
    bool moved;
    struct phi_core_mask had, has;
};

struct worker {
    struct phi_team *team;
    pthread_t thread;
    int index;
    struct place place;
};

struct phi_team {
    int n; /* threads, the caller included */
    _Alignas(64) atomic_ullong ticket;
    _Alignas(64) atomic_int done;
    /* The job. Written before the ticket that publishes it. */
    _Atomic(phi_team_fn *) fn;
    _Atomic(void *) arg;
    atomic_uint n_chunk;
    atomic_int n_thread;
    /* Sleep. */
    atomic_int sleepers;
    atomic_bool quit;
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    bool pin;
    struct phi_core_mask mask; /* that the caller had */
    atomic_int n_staying;
    struct place place; /* of the caller */
    int n_started; /* of worker[] */
    struct worker worker[];
};

static void pause_cpu(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("isb"); /* a real delay; yield is a no-op on most cores */
#endif
}

/* The calling thread, number `thread`, stays or not as the team wants it. */
static void settle(const struct phi_team *team, int thread, struct place *place) {
    int n = atomic_load_explicit(&team->n_staying, memory_order_relaxed);
    if (n == place->n_staying) return;
    place->n_staying = n;
    struct phi_core_mask now = phi_cores_mask();
    if (place->moved && memcmp(&now, &place->has, sizeof now) == 0) { /* nobody else has moved it since */
        phi_cores_use(&place->had);
        now = place->had;
    }
    place->moved = thread < n && phi_cores_count(&now) == n;
    if (!place->moved) return;
    place->had = now;
    place->has = phi_cores_one(&now, thread);
    phi_cores_use(&place->has);
}

/* Take and compute chunks until none is left. */
static void work(struct phi_team *team, int thread, struct place *place) {
    for (;;) {
        unsigned long long t = atomic_load_explicit(&team->ticket, memory_order_acquire);
        phi_team_fn *fn = atomic_load_explicit(&team->fn, memory_order_acquire);
        void *arg = atomic_load_explicit(&team->arg, memory_order_acquire);
        unsigned next = (unsigned)(t & 0xffffffffu),
                 n_chunk = atomic_load_explicit(&team->n_chunk, memory_order_acquire);
        if (next >= n_chunk || thread >= atomic_load_explicit(&team->n_thread, memory_order_acquire)) return;
        if (!atomic_compare_exchange_weak_explicit(&team->ticket, &t, t + 1, memory_order_acq_rel,
                                                   memory_order_relaxed))
            continue;
        settle(team, thread, place);
        fn(arg, (int)next, thread);
        atomic_fetch_add_explicit(&team->done, 1, memory_order_release);
    }
}

static void pin_thread(const struct phi_team *team, int thread) {
    struct phi_core_mask one = phi_cores_one(&team->mask, thread);
    phi_cores_use(&one);
}

static unsigned job_of(unsigned long long ticket) {
    return (unsigned)(ticket >> 32);
}

static void *worker_main(void *arg) {
    struct worker *w = arg;
    struct phi_team *team = w->team;
    unsigned seen = 0;
    phi_fp_enter();
    if (team->pin) pin_thread(team, w->index);
    while (!atomic_load(&team->quit)) {
        unsigned job = job_of(atomic_load_explicit(&team->ticket, memory_order_acquire));
        for (int i = 0; job == seen && i < SPIN; i++) {
            pause_cpu();
            job = job_of(atomic_load_explicit(&team->ticket, memory_order_acquire));
        }
        if (job == seen) {
            pthread_mutex_lock(&team->mutex);
            atomic_fetch_add(&team->sleepers, 1);
            while (job_of(atomic_load(&team->ticket)) == seen && !atomic_load(&team->quit))
                pthread_cond_wait(&team->wake, &team->mutex);
            atomic_fetch_sub(&team->sleepers, 1);
            pthread_mutex_unlock(&team->mutex);
            continue;
        }
        seen = job;
        work(team, w->index, &w->place);
    }
    return NULL;
}

static void wake_all(struct phi_team *team) {
    pthread_mutex_lock(&team->mutex);
    pthread_cond_broadcast(&team->wake);
    pthread_mutex_unlock(&team->mutex);
}

int phi_team_open(int n, bool pin, struct phi_team **out, phi_error *err) {
    struct phi_team *team = phi_pages_alloc(sizeof *team + (size_t)n * sizeof team->worker[0]);
    *out = team;
    if (!team) return phi_fail(err, PHI_MEMORY, "not enough memory for %d threads", n);
    team->n = n;
    team->pin = pin;
    team->mask = phi_cores_mask();
    pthread_mutex_init(&team->mutex, NULL);
    pthread_cond_init(&team->wake, NULL);
    for (int i = 1; i < n; i++) {
        struct worker *w = &team->worker[team->n_started];
        w->team = team;
        w->index = i;
        int e = !phi_io_may(PHI_IO_THREAD) ? errno : pthread_create(&w->thread, NULL, worker_main, w);
        if (e) {
            phi_team_close(team);
            *out = NULL;
            if (e == EAGAIN) /* the stack has no room, or there are too many processes */
                return phi_fail(err, PHI_MEMORY, "not enough memory or processes to start thread %d of %d; use fewer threads", i + 1, n);
            return phi_fail(err, PHI_FAILED, "thread %d of %d could not be started: %s; use fewer threads", i + 1, n,
                            strerror(e));
        }
        team->n_started++;
    }
    if (pin) pin_thread(team, 0);
    return 0;
}

void phi_team_close(struct phi_team *team) {
    if (!team) return;
    atomic_store(&team->quit, true);
    wake_all(team);
    for (int i = 0; i < team->n_started; i++) pthread_join(team->worker[i].thread, NULL);
    if (team->pin) phi_cores_use(&team->mask);
    pthread_mutex_destroy(&team->mutex);
    pthread_cond_destroy(&team->wake);
    phi_pages_free(team, sizeof *team + (size_t)team->n * sizeof team->worker[0]);
}

void phi_team_stay(struct phi_team *team, int n_thread) {
    if (team->pin) return;
    atomic_store_explicit(&team->n_staying, n_thread, memory_order_relaxed);
    settle(team, 0, &team->place);
}

void phi_team_run(struct phi_team *team, int n_thread, phi_team_fn *fn, void *arg, int n_chunk) {
    int n = n_thread < team->n ? n_thread : team->n;
    if (n < 2 || n_chunk < 2) {
        for (int i = 0; i < n_chunk; i++) fn(arg, i, 0);
        return;
    }
    unsigned long long job = job_of(atomic_load_explicit(&team->ticket, memory_order_relaxed));
    atomic_store(&team->ticket, (job + 1) << 32 | CLOSED);
    atomic_store_explicit(&team->fn, fn, memory_order_release);
    atomic_store_explicit(&team->arg, arg, memory_order_release);
    atomic_store_explicit(&team->n_chunk, (unsigned)n_chunk, memory_order_release);
    atomic_store_explicit(&team->n_thread, n, memory_order_release);
    atomic_store_explicit(&team->done, 0, memory_order_relaxed);
    atomic_store(&team->ticket, (job + 2) << 32);
    if (atomic_load(&team->sleepers) > 0) wake_all(team);
    work(team, 0, &team->place);
    for (int i = 0; atomic_load_explicit(&team->done, memory_order_acquire) < n_chunk; i++) {
        if (i < SPIN)
            pause_cpu();
        else
            sched_yield(); /* more threads than cores: let the one that holds the chunk run */
    }
}
#endif
