/* Allocation: zeroed, aligned, counted, refused when it overflows or is told to fail; from several threads too. */
#include "../src/memory.h"
#include "check.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { N_THREAD = 4, N_CALL = 2000 };

static atomic_int n_refused;

static void *allocate(void *unused) {
    for (int i = 0; i < N_CALL; i++) {
        void *p = phi_alloc(1, 8);
        if (!p) atomic_fetch_add(&n_refused, 1);
        phi_free(p);
    }
    return unused;
}

static void check_threads(void) {
    pthread_t thread[N_THREAD];
    unsigned long long count = phi_memory_count(), live = phi_memory_live();
    phi_memory_fail_at(N_THREAD * N_CALL / 2);
    int started = 0;
    while (started < N_THREAD && pthread_create(&thread[started], NULL, allocate, NULL) == 0) started++;
    for (int i = 0; i < started; i++) pthread_join(thread[i], NULL);
    phi_memory_fail_at(0);
    CHECK(started == N_THREAD, "%d threads", started);
    CHECK(phi_memory_count() - count == N_THREAD * N_CALL, "%llu calls counted", phi_memory_count() - count);
    CHECK(atomic_load(&n_refused) == 1, "%d calls refused", atomic_load(&n_refused));
    CHECK(phi_memory_live() == live, "live %llu, was %llu", phi_memory_live(), live);
}

static bool all_zero(const unsigned char *p, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (p[i]) return false;
    return true;
}

static void check_alloc(void) {
    unsigned long long live = phi_memory_live();
    unsigned char *p = phi_alloc(100, 3);
    CHECK(p && all_zero(p, 300) && phi_memory_live() == live + 1, "300 bytes");
    memset(p, 7, 300);
    unsigned char *q = phi_realloc(p, 1000, 5);
    CHECK(q && q[0] == 7 && q[299] == 7 && phi_memory_live() == live + 1, "grown");
    volatile size_t huge = SIZE_MAX / 2; /* so that the compiler does not see the overflow and warn */
    CHECK(!phi_realloc(q, huge, 3) && q[299] == 7, "an overflowing product, the old block stays");
    phi_memory_fail_at(1);
    CHECK(!phi_realloc(q, 2000, 5) && q[299] == 7, "told to fail, the old block stays");
    phi_free(q);
    CHECK(!phi_alloc(huge, 3) && !phi_alloc(3, huge), "overflowing products");
    p = phi_alloc(0, 8);
    q = phi_realloc(NULL, 0, 0);
    CHECK(p && q && p != q && phi_memory_live() == live + 2, "nothing is not a failure");
    phi_free(p);
    phi_free(q);
    phi_free(NULL);
    CHECK(phi_memory_live() == live, "live");
}

static void check_fail_at(void) {
    for (unsigned long long n = 1; n <= 4; n++) {
        void *p[4];
        phi_memory_fail_at(n);
        p[0] = phi_alloc(1, 1);
        p[1] = phi_realloc(NULL, 1, 1);
        errno = 0;
        p[2] = phi_pages_alloc(1);
        CHECK((errno == ENOMEM) == (n == 3), "errno");
        p[3] = phi_alloc(1, 1);
        for (unsigned long long i = 0; i < 4; i++)
            CHECK(!p[i] == (i + 1 == n), "call %llu of fail_at(%llu)", i + 1, n);
        phi_pages_free(p[2], 1);
        phi_free(p[0]);
        phi_free(p[1]);
        phi_free(p[3]);
    }
    phi_memory_fail_at(1);
    phi_memory_fail_at(0);
    void *p = phi_alloc(1, 1);
    CHECK(p, "fail_at(0) is off");
    phi_free(p);
}

static void check_pages(void) {
    const size_t sizes[] = {0, 1, 4095, 4096, 4097, 1u << 28};
    unsigned long long live = phi_memory_live();
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        unsigned char *p = phi_pages_alloc(sizes[i]);
        CHECK(p && (uintptr_t)p % 64 == 0 && all_zero(p, sizes[i] < 10000 ? sizes[i] : 10000), "%zu bytes", sizes[i]);
        if (p && sizes[i]) p[sizes[i] - 1] = 1;
        phi_pages_free(p, sizes[i]);
    }
    CHECK(!phi_pages_alloc(SIZE_MAX) && !phi_pages_alloc(SIZE_MAX - 4096), "more than there is address space");
    CHECK(!phi_pages_map(-1, 4096) && errno == EBADF, "no file");
    phi_pages_free(NULL, 1);
    CHECK(phi_memory_live() == live, "live");
}

static void check_available(void) {
    unsigned long long left = phi_memory_available();
    CHECK(left > 1 << 20, "%llu bytes left", left);
#ifdef __linux__
    CHECK(left < ULLONG_MAX, "the kernel does not tell");
#endif
    /* A limit on the address space binds; in a process of its own. What is in use already is taken off. */
    pid_t child = fork();
    if (child == 0) {
        struct rlimit limit = {.rlim_cur = 1ul << 30, .rlim_max = RLIM_INFINITY};
        if (getrlimit(RLIMIT_AS, &limit) != 0) _exit(2);
        limit.rlim_cur = 1ul << 30;
        if (setrlimit(RLIMIT_AS, &limit) != 0) _exit(2);
        _exit(phi_memory_available() < 1ull << 30 ? 0 : 1);
    }
    int status = -1;
    CHECK(child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status), "child");
    if (WIFEXITED(status) && WEXITSTATUS(status) == 2)
        SKIP("RLIMIT_AS: cannot be set here");
    else
        CHECK(status == 0, "RLIMIT_AS is not seen");
}

int main(void) {
    check_alloc();
    check_fail_at();
    check_pages();
    check_threads();
    check_available();
    return check_done("memory");
}
