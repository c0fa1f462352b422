/* The number formats inside a block: little-endian loads, half precision, bfloat16. Exact integer work only, so that every
 * compiler and level gives the same bits. Knows no block format. */
#ifndef PHI_QUANT_BITS_H
#define PHI_QUANT_BITS_H

#include <stdint.h>
#include <string.h>

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "GGUF files are read in place: only little-endian machines are supported"
#endif

static inline float f32_from_bits(uint32_t u) {
    float f;
    memcpy(&f, &u, 4);
    return f;
}

static inline uint32_t f32_bits(float f) {
    uint32_t u;
    memcpy(&u, &f, 4);
    return u;
}

static inline int8_t load_i8(const uint8_t *p) {
    int8_t v;
    memcpy(&v, p, 1);
    return v;
}

static inline uint16_t load_u16(const uint8_t *p) {
    uint16_t u;
    memcpy(&u, p, 2);
    return u;
}

static inline uint32_t load_u32(const uint8_t *p) {
    uint32_t u;
    memcpy(&u, p, 4);
    return u;
}

static inline float f32_from_f16(uint16_t h) {
    uint32_t sign = (uint32_t)(h & 0x8000u) << 16, rest = h & 0x7fffu;
    uint32_t small = 0u - (rest < 0x0400u), huge = 0u - (rest >= 0x7c00u); /* masks: loops become vectors */
    uint32_t normal = (rest << 13) + 0x38000000u + (huge & 0x38000000u);   /* bias 15 -> 127; infinity, NaN: 31 -> 255 */
    uint32_t denormal = f32_bits(f32_from_bits(0x3f000000u + rest) - 0.5f); /* zero too: 0.5 + rest 2^-24, exact */
    return f32_from_bits(sign | (small & denormal) | (~small & normal));
}

/* To nearest, ties to even; overflow gives infinity. */
static inline uint16_t f16_from_f32(float f) {
    uint32_t u = f32_bits(f), sign = u >> 16 & 0x8000u, a = u & 0x7fffffffu;
    if (a > 0x7f800000u) return (uint16_t)(sign | 0x7e00u | (a >> 13 & 0x3ffu)); /* NaN stays NaN */
    if (a >= 0x477ff000u) return (uint16_t)(sign | 0x7c00u);                      /* 65520 and above */
    if (a >= 0x38800000u) {                                                       /* 2^-14 and above: normal */
        uint32_t odd = a >> 13 & 1u;
        return (uint16_t)(sign | ((a - 0x38000000u + 0xfffu + odd) >> 13));
    }
    if (a < 0x33000000u) return (uint16_t)sign; /* below 2^-25 */
    uint32_t shift = 126u - (a >> 23), m = (a & 0x7fffffu) | 0x800000u;
    uint32_t q = m >> shift, rest = m & ((1u << shift) - 1u), half = 1u << (shift - 1u);
    return (uint16_t)(sign | (q + (rest > half || (rest == half && (q & 1u)))));
}

static inline float load_f16(const uint8_t *p) {
    return f32_from_f16(load_u16(p));
}

static inline void store_f16(uint8_t *p, float f) {
    uint16_t h = f16_from_f32(f);
    memcpy(p, &h, 2);
}

static inline float load_bf16(const uint8_t *p) {
    return f32_from_bits((uint32_t)load_u16(p) << 16);
}

static inline float load_f32(const uint8_t *p) {
    return f32_from_bits(load_u32(p));
}

#endif
