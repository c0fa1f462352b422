/* SHA-256, as FIPS 180-4 defines it: to compare a file with what its publisher says. */
#ifndef PHI_SRC_SHA256_H
#define PHI_SRC_SHA256_H

#include <stddef.h>
#include <stdint.h>

struct phi_sha256 {
    uint32_t state[8];
    uint8_t block[64]; /* of it, n_bytes % 64 are filled */
    uint64_t n_bytes;
};

void phi_sha256_begin(struct phi_sha256 *h);
void phi_sha256_add(struct phi_sha256 *h, const void *bytes, size_t n); /* any number of times */
void phi_sha256_end(struct phi_sha256 *h, char hex[65]);                /* 64 small hexadecimal digits and NUL */

#endif
