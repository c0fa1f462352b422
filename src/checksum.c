/* CRC-32 and FNV-1a. */
#include "checksum.h"

void phi_crc32_init(struct phi_crc32 *c) {
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t crc = i;
        for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
        c->table[0][i] = crc;
    }
    for (int t = 1; t < 8; t++) /* what a byte does to the CRC when t more bytes follow it */
        for (int i = 0; i < 256; i++) {
            uint32_t before = c->table[t - 1][i];
            c->table[t][i] = before >> 8 ^ c->table[0][before & 255];
        }
}

uint32_t phi_crc32(const struct phi_crc32 *c, uint32_t crc, const void *bytes, size_t n) {
    const uint8_t *p = bytes;
    crc = ~crc;
    for (; n >= 8; n -= 8, p += 8) {
        crc = c->table[7][(p[0] ^ crc) & 255] ^ c->table[6][(p[1] ^ crc >> 8) & 255] ^
              c->table[5][(p[2] ^ crc >> 16) & 255] ^ c->table[4][(p[3] ^ crc >> 24) & 255] ^ c->table[3][p[4]] ^
              c->table[2][p[5]] ^ c->table[1][p[6]] ^ c->table[0][p[7]];
    }
    while (n--) crc = crc >> 8 ^ c->table[0][(*p++ ^ crc) & 255];
    return ~crc;
}

uint64_t phi_hash(uint64_t hash, const void *bytes, size_t n) {
    const uint8_t *p = bytes;
    for (size_t i = 0; i < n; i++) hash = (hash ^ p[i]) * 0x100000001b3u;
    return hash;
}
