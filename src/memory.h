/* Every allocation and mapping of the library, so that tests can count them and make the n-th fail. */
#ifndef PHI_SRC_MEMORY_H
#define PHI_SRC_MEMORY_H

#include <stddef.h>

void *phi_alloc(size_t n_item, size_t item_size);                /* zeroed; NULL when memory is short or the product overflows */
void *phi_realloc(void *p, size_t n_item, size_t item_size);     /* NULL: p is still valid; what is new is not zeroed */
void phi_free(void *p);

/* Zeroed pages, 64-byte aligned, that take memory only when touched. NULL when short. */
void *phi_pages_alloc(size_t n_bytes);
/* The first n_bytes (not 0) of an open file, read-only. NULL: errno says why. */
void *phi_pages_map(int fd, size_t n_bytes);
void phi_pages_free(void *p, size_t n_bytes); /* for both; NULL is fine */

/* Bytes that this process may still use: the least of the system's free memory, the cgroup's limit and RLIMIT_AS. Page cache
 * counts as free, since it can be given back. ULLONG_MAX where the system does not tell. */
unsigned long long phi_memory_available(void);

/* Tests only: allocations and mappings so far; how many of them are not freed yet; fail the n-th from now on (0 = never). */
unsigned long long phi_memory_count(void);
unsigned long long phi_memory_live(void);
void phi_memory_fail_at(unsigned long long n);

#endif
