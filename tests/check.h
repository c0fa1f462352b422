/* A test program: CHECK what must hold; return check_done() from main. Prints only what failed, then one line of totals that
 * tests/run.sh adds up. */
#ifndef PHI_TESTS_CHECK_H
#define PHI_TESTS_CHECK_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static long check_passed, check_failed, check_skipped;

#define CHECK(condition, ...)                                          \
    do {                                                               \
        if (condition) {                                               \
            check_passed++;                                            \
        } else if (++check_failed <= 20) {                             \
            printf("FAIL %s:%d: %s: ", __FILE__, __LINE__, #condition); \
            printf(__VA_ARGS__);                                       \
            printf("\n");                                              \
        }                                                              \
    } while (0)

/* A part that cannot run here, and why. */
#define SKIP(...)              \
    do {                       \
        check_skipped++;       \
        printf("skip: ");      \
        printf(__VA_ARGS__);   \
        printf("\n");          \
    } while (0)

static inline int check_done(const char *name) {
    printf("%s: %ld passed, %ld failed, %ld skipped\n", name, check_passed, check_failed, check_skipped);
    return check_failed != 0;
}

/* Test material beside the checkout, absent in a user's clone: PHI_SHARED, else ../shared. */
static inline const char *check_shared(void) {
    const char *dir = getenv("PHI_SHARED");
    return dir && *dir ? dir : "../shared";
}

/* A seeded generator for test data: print the seed, so that a failure can be repeated with PHI_SEED. */
static inline unsigned long long check_seed(void) {
    const char *s = getenv("PHI_SEED");
    return s ? strtoull(s, NULL, 10) : 1;
}

static inline unsigned long long check_random(unsigned long long *state) { /* splitmix64 */
    unsigned long long z = (*state += 0x9e3779b97f4a7c15ull);
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return z ^ z >> 31;
}

#endif
