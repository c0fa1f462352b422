/* Checksums of what lies on a disk: CRC-32 against damage, a 64-bit hash to tell texts and models apart. Neither is a
 * defence against someone who forges. */
#ifndef PHI_SRC_CHECKSUM_H
#define PHI_SRC_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>

/* CRC-32 of IEEE 802.3 (as zip and PNG: polynomial 0xEDB88320, reflected), eight bytes at a time. */
struct phi_crc32 {
    uint32_t table[8][256];
};
void phi_crc32_init(struct phi_crc32 *c);
/* The CRC of n more bytes; crc: of those before, 0 at the beginning. */
uint32_t phi_crc32(const struct phi_crc32 *c, uint32_t crc, const void *bytes, size_t n);

/* FNV-1a, 64 bits (Fowler, Noll, Vo). hash: of the bytes before, PHI_HASH_START at the beginning. */
#define PHI_HASH_START 0xcbf29ce484222325u
uint64_t phi_hash(uint64_t hash, const void *bytes, size_t n);

#endif
