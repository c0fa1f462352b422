/* What the hash tables over texts from files share: a mixer of 64 bits, and a start that nobody can know beforehand. */
#ifndef PHI_SRC_HASH_H
#define PHI_SRC_HASH_H

#include <stdint.h>
#include <time.h>

/* Modulo 2^64: it wraps on purpose, so that clang's -fsanitize=integer need not tell. */
#ifdef __clang__
__attribute__((no_sanitize("unsigned-integer-overflow")))
#endif
static inline uint64_t phi_hash_product(uint64_t a, uint64_t b) {
    return a * b;
}

static inline uint64_t phi_hash_mix(uint64_t z) { /* the finalizer of splitmix64 */
    z = phi_hash_product(z ^ z >> 30, 0xbf58476d1ce4e5b9u);
    z = phi_hash_product(z ^ z >> 27, 0x94d049bb133111ebu);
    return z ^ z >> 31;
}

/* Unpredictable to whoever made the file, which is all that is needed: results do not depend on it. heap: an address
 * that phi_alloc() gave. */
static inline uint64_t phi_hash_seed(const void *heap) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    uint64_t seed = phi_hash_mix((uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec);
    seed = phi_hash_mix(seed ^ (uintptr_t)heap);
    return phi_hash_mix(seed ^ (uintptr_t)&now); /* the stack */
}

#endif
