/* The block formats on ARM: from the bits of four rows to signed bytes in the order of k, with the scales of the four
 * rows side by side, for the levels that share rows.inc. Layouts are drawn in quant/; no products here.
 *
 *       w[0][0]  row 0: weights 0 .. 15     w[0][1]  row 0: weights 16 .. 31
 *       ...                                 ...
 *       w[3][0]  row 3: weights 0 .. 15     w[3][1]  row 3: weights 16 .. 31        d: of rows 0, 1, 2, 3
 *
 * `type` is a constant wherever these functions are called: the branches on it cost nothing. */
#ifndef PHI_KERNELS_ARM_FORMATS_H
#define PHI_KERNELS_ARM_FORMATS_H

#include "kernels.h"
#include "../quant/bits.h"

#include <arm_neon.h>

#define INLINE static inline __attribute__((always_inline))

/* 32 weights of four rows. */
struct arm_quad {
    int8x16_t w[4][2];
};

/* A block of 32 of four rows. */
struct arm_block {
    struct arm_quad q;
    float32x4_t d, m; /* m: formats with a minimum */
};

/* A block of 256 of four rows: 8 groups of 32 ... */
struct arm_group {
    struct arm_quad q;
    int32x4_t sc[2]; /* of weights 0 .. 15 and 16 .. 31; [1] only where the format has a scale for each 16 */
};
/* ... and what they share. 16-bit numbers j and j + 1 of the four rows stand in the halves of a vector, j even. */
struct arm_head {
    int16x8_t mn[8];  /* minima: 8, of groups, or 16 (Q2_K); Q5_K: its scales behind its 8 minima */
    float32x4_t d, m; /* m: -dmin */
};
struct arm_super {
    struct arm_group g[8];
    struct arm_head h;
};

/* ---- What is constant about a format ---- */

/* Blocks of 256, not 32. */
INLINE int arm_is_super(enum phi_type_index type) {
    switch (type) {
#define BLOCK(NAME, name, id, block, bytes, act)                                                                     \
    case PHI_##NAME:                                                                                                 \
        return block == 256;
#include "../quant/quant.def"
    default:
        return 0;
    }
}

/* Weights that use 8 bits. The others are within -32 .. 32 with a scale for each 16, else within -16 .. 16. */
INLINE int arm_is_wide(enum phi_type_index type) {
    return type == PHI_Q8_0 || type == PHI_IQ4_NL || type == PHI_IQ4_XS;
}

INLINE int arm_has_sc16(enum phi_type_index type) {
    return type == PHI_Q6_K || type == PHI_Q3_K || type == PHI_Q2_K;
}

INLINE int arm_n_min(enum phi_type_index type) {
    switch (type) {
    case PHI_Q4_1:
    case PHI_Q5_1:
        return 1;
    case PHI_Q4_K:
    case PHI_Q5_K:
        return 8;
    case PHI_Q2_K:
        return 16;
    default:
        return 0;
    }
}

INLINE size_t arm_block_bytes(enum phi_type_index type) {
    switch (type) {
#define BLOCK(NAME, name, id, block, bytes, act)                                                                     \
    case PHI_##NAME:                                                                                                 \
        return bytes;
#include "../quant/quant.def"
    default:
        return 0;
    }
}

/* ---- Four rows side by side ---- */

/* Rows r .. r + 3; behind the last row stands the last row again, and its sums are not stored. */
INLINE void arm_rows(const struct phi_matmul *m, int r, const uint8_t *w[4]) {
    for (int i = 0; i < 4; i++) w[i] = m->w + (size_t)(r + i < m->n_row ? r + i : m->n_row - 1) * m->row_bytes;
}

/* The half-precision numbers at byte `at` of four blocks. */
INLINE float32x4_t arm_halves(const uint8_t *const w[4], size_t at) {
    uint16_t h[4];
    for (int i = 0; i < 4; i++) memcpy(&h[i], w[i] + at, 2);
    uint64_t v = h[0] | (uint32_t)h[1] << 16 | (uint64_t)(h[2] | (uint32_t)h[3] << 16) << 32;
    return vcvt_f32_f16(vreinterpret_f16_u64(vcreate_u64(v)));
}

/* 16 bytes of four rows as words: lane i of word[n] is word n of row i. */
INLINE void arm_turn(uint32x4_t a, uint32x4_t b, uint32x4_t c, uint32x4_t d, uint32x4_t word[4]) {
    uint32x4_t ac = vzip1q_u32(a, c), bd = vzip1q_u32(b, d);
    word[0] = vzip1q_u32(ac, bd);
    word[1] = vzip2q_u32(ac, bd);
    ac = vzip2q_u32(a, c);
    bd = vzip2q_u32(b, d);
    word[2] = vzip1q_u32(ac, bd);
    word[3] = vzip2q_u32(ac, bd);
}

/* The 16 bytes at byte `at` of four blocks, as words. */
INLINE void arm_words(const uint8_t *const w[4], size_t at, uint32x4_t word[4]) {
    arm_turn(vreinterpretq_u32_u8(vld1q_u8(w[0] + at)), vreinterpretq_u32_u8(vld1q_u8(w[1] + at)),
             vreinterpretq_u32_u8(vld1q_u8(w[2] + at)), vreinterpretq_u32_u8(vld1q_u8(w[3] + at)), word);
}

/* Bytes come out in one of three orders. All that unpacking does, it does to each byte by itself, so the packed bytes
 * are put in order, which are half as many. v[0 .. 3], 16 bytes each:
 *
 *     ARM_BY_ROW    row 0              row 1              row 2              row 3
 *     ARM_BY_WORD   bytes 0-3 of the   bytes 4-7          bytes 8-11         bytes 12-15
 *                   rows 0, 1, 2, 3
 *     ARM_BY_PAIR   bytes 0-7 of the   bytes 0-7 of the   bytes 8-15 of the  bytes 8-15 of the
 *                   rows 0, 1          rows 2, 3          rows 0, 1          rows 2, 3 */
enum arm_order { ARM_BY_ROW, ARM_BY_WORD, ARM_BY_PAIR };

INLINE void arm_put_in_order(enum arm_order order, uint8x16_t v[4]) {
    if (order == ARM_BY_WORD) {
        uint32x4_t word[4];
        arm_turn(vreinterpretq_u32_u8(v[0]), vreinterpretq_u32_u8(v[1]), vreinterpretq_u32_u8(v[2]),
                 vreinterpretq_u32_u8(v[3]), word);
        for (int i = 0; i < 4; i++) v[i] = vreinterpretq_u8_u32(word[i]);
    }
    if (order == ARM_BY_PAIR) {
        uint64x2_t a = vreinterpretq_u64_u8(v[0]), b = vreinterpretq_u64_u8(v[1]);
        uint64x2_t c = vreinterpretq_u64_u8(v[2]), d = vreinterpretq_u64_u8(v[3]);
        v[0] = vreinterpretq_u8_u64(vzip1q_u64(a, b));
        v[1] = vreinterpretq_u8_u64(vzip1q_u64(c, d));
        v[2] = vreinterpretq_u8_u64(vzip2q_u64(a, b));
        v[3] = vreinterpretq_u8_u64(vzip2q_u64(c, d));
    }
}

INLINE void arm_load(enum arm_order order, const uint8_t *const w[4], int at, uint8x16_t v[4]) {
    for (int i = 0; i < 4; i++) v[i] = vld1q_u8(w[i] + at);
    arm_put_in_order(order, v);
}

/* The bytes of words as 16-bit numbers: out[0] has bytes 0 of four rows and bytes 1, out[1] bytes 2 and 3. */
INLINE void arm_widen_words(uint32x4_t word, int16x8_t out[2]) {
    static const uint8_t turn[16] = {0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15};
    uint8x16_t b = vqtbl1q_u8(vreinterpretq_u8_u32(word), vld1q_u8(turn));
    out[0] = vreinterpretq_s16_u16(vmovl_u8(vget_low_u8(b)));
    out[1] = vreinterpretq_s16_u16(vmovl_high_u8(b));
}

/* Shift bytes right by n, left if n is negative. */
INLINE uint8x16_t arm_shift(uint8x16_t b, int n) {
    return n == 0 ? b : vshlq_u8(b, vdupq_n_s8((int8_t)-n));
}

INLINE uint8x16_t arm_nibble(uint8x16_t b, int high) {
    return high ? vshrq_n_u8(b, 4) : vandq_u8(b, vdupq_n_u8(15));
}

/* The values of IQ4_NL and IQ4_XS for nibbles. */
INLINE int8x16_t arm_iq4(uint8x16_t nibble) {
    return vqtbl1q_s8(vld1q_s8(iq4_values), nibble);
}

/* ---- Blocks of 32 ---- */

/* Bytes 0xff where bits 16*half .. 16*half + 15 of a word are set, in order. */
INLINE uint8x16_t arm_fifth_bits(const uint8_t *word, int half) {
    static const uint8_t bit[16] = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
    static const uint8_t from[2][16] = {{0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1},
                                        {2, 2, 2, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3}};
    uint8x16_t b = vqtbl1q_u8(vreinterpretq_u8_u32(vdupq_n_u32(load_u32(word))), vld1q_u8(from[half]));
    return vtstq_u8(b, vld1q_u8(bit));
}

/* Times the sum of q, it must be added to the products with the bytes of arm_unpack32: offsets that cost less here
 * than in each weight. */
INLINE int arm_bias32(enum phi_type_index type, int raw, int any) {
    return type == PHI_Q5_1 && !any ? 16 : type == PHI_Q4_0 && raw ? -8 : 0;
}

/* A nibble with its fifth bit. any: the level multiplies any byte, so 0 .. 31; else 16 less. */
INLINE uint8x16_t arm_with_fifth(uint8x16_t nibble, uint8x16_t set, int any) {
    if (any) return vorrq_u8(nibble, vandq_u8(vdupq_n_u8(16), set));
    return vorrq_u8(nibble, vbicq_u8(vdupq_n_u8(0xf0), set));
}

/* raw: the weights are used once, so leave the offset of Q4_0 to arm_bias32. any: see arm_with_fifth. */
INLINE void arm_unpack32(enum phi_type_index type, enum arm_order order, const uint8_t *const w[4], int raw, int any,
                         struct arm_block *out) {
    int qs = (int)arm_block_bytes(type) - (type == PHI_Q8_0 ? 32 : 16);
    for (int h = 0; h < 2; h++) {
        uint8x16_t v[4], set[4];
        arm_load(order, w, type == PHI_Q8_0 ? qs + 16 * h : qs, v);
        if (type == PHI_Q5_0 || type == PHI_Q5_1) {
            for (int i = 0; i < 4; i++) set[i] = arm_fifth_bits(w[i] + qs - 4, h);
            arm_put_in_order(order, set);
        }
        for (int i = 0; i < 4; i++) {
            if (type != PHI_Q8_0) v[i] = arm_nibble(v[i], h);
            if (type == PHI_Q5_0 || type == PHI_Q5_1) v[i] = arm_with_fifth(v[i], set[i], any && type == PHI_Q5_1);
            int8x16_t s = type == PHI_IQ4_NL ? arm_iq4(v[i]) : vreinterpretq_s8_u8(v[i]);
            if (type == PHI_Q4_0 && !raw) s = vsubq_s8(s, vdupq_n_s8(8));
            out->q.w[i][h] = s;
        }
    }
    out->d = arm_halves(w, 0);
    out->m = arm_n_min(type) ? arm_halves(w, 2) : vdupq_n_f32(0);
}

/* ---- Blocks of 256 ---- */

/* Scales and minima as words (4 of a row in a lane, a byte each; scales of IQ4_XS: as they lie in the block), and the
 * floats of the head. */
INLINE void arm_unpack_head(enum phi_type_index type, const uint8_t *const w[4], uint32x4_t sc[4], uint32x4_t mn[4],
                            struct arm_head *h) {
    uint32x4_t a[4], x0f = vdupq_n_u32(0x0f0f0f0fu), x30 = vdupq_n_u32(0x30303030u), x3f = vdupq_n_u32(0x3f3f3f3fu);
    switch (type) {
    case PHI_Q4_K:
    case PHI_Q5_K: {
        arm_words(w, 4, a);
        sc[0] = vandq_u32(a[0], x3f);
        sc[1] = vorrq_u32(vandq_u32(a[2], x0f), vandq_u32(vshrq_n_u32(a[0], 2), x30));
        mn[0] = vandq_u32(a[1], x3f);
        mn[1] = vorrq_u32(vandq_u32(vshrq_n_u32(a[2], 4), x0f), vandq_u32(vshrq_n_u32(a[1], 2), x30));
        h->d = arm_halves(w, 0);
        h->m = vnegq_f32(arm_halves(w, 2));
        break;
    }
    case PHI_Q6_K:
        arm_words(w, 192, sc);
        h->d = arm_halves(w, 208);
        break;
    case PHI_Q2_K:
        arm_words(w, 0, a);
        for (int i = 0; i < 4; i++) {
            sc[i] = vandq_u32(a[i], x0f);
            mn[i] = vandq_u32(vshrq_n_u32(a[i], 4), x0f);
        }
        h->d = arm_halves(w, 80);
        h->m = vnegq_f32(arm_halves(w, 82));
        break;
    case PHI_Q3_K: {
        arm_words(w, 92, a); /* the scales are a[1] .. a[3]: the 16 bytes end within the block */
        uint8x16_t off = vdupq_n_u8(32);
        uint32x4_t low[4] = {vandq_u32(a[1], x0f), vandq_u32(a[2], x0f), vandq_u32(vshrq_n_u32(a[1], 4), x0f),
                             vandq_u32(vshrq_n_u32(a[2], 4), x0f)};
        uint32x4_t high[4] = {vshlq_n_u32(a[3], 4), vshlq_n_u32(a[3], 2), a[3], vshrq_n_u32(a[3], 2)};
        for (int i = 0; i < 4; i++) {
            uint32x4_t s = vorrq_u32(low[i], vandq_u32(high[i], x30));
            sc[i] = vreinterpretq_u32_u8(vsubq_u8(vreinterpretq_u8_u32(s), off));
        }
        h->d = arm_halves(w, 108);
        break;
    }
    default: /* IQ4_XS */
        arm_words(w, 0, sc);
        h->d = arm_halves(w, 0);
    }
}

/* The minima as 16-bit numbers. */
INLINE void arm_widen_head(enum phi_type_index type, const uint32x4_t sc[4], const uint32x4_t mn[4],
                           struct arm_head *h) {
    for (int i = 0; i < arm_n_min(type) / 4; i++) arm_widen_words(mn[i], h->mn + 2 * i);
    if (type == PHI_Q5_K)
        for (int i = 0; i < 2; i++) arm_widen_words(sc[i], h->mn + 4 + 2 * i);
}

/* Scale j of four rows. */
INLINE int32x4_t arm_scale(enum phi_type_index type, const uint32x4_t sc[4], int j) {
    if (type == PHI_IQ4_XS) {
        uint32x4_t low = vshlq_u32(sc[1], vdupq_n_s32(-4 * j)), high = vshlq_u32(sc[0], vdupq_n_s32(-16 - 2 * j));
        return vsubq_s32(vreinterpretq_s32_u32(vandq_u32(vsliq_n_u32(low, high, 4), vdupq_n_u32(63))),
                         vdupq_n_s32(32));
    }
    int32x4_t top = vshlq_s32(vreinterpretq_s32_u32(sc[j / 4]), vdupq_n_s32(24 - 8 * (j % 4)));
    return vshrq_n_s32(top, 24);
}

/* Group j = 0..7: 32 weights of four rows, offset taken off, and their scales. Q5_K: see arm_with_fifth; rows.inc
 * gives the 16 back. */
INLINE void arm_unpack_group(enum phi_type_index type, enum arm_order order, const uint8_t *const w[4],
                             const uint32x4_t sc[4], int j, int any, struct arm_group *g) {
    int half = j / 4, quarter = j % 4;
    for (int p = 0; p < 2; p++) {
        uint8x16_t low[4], high[4];
        switch (type) {
        case PHI_Q4_K:
            arm_load(order, w, 16 + 32 * (j / 2) + 16 * p, low);
            break;
        case PHI_Q5_K:
            arm_load(order, w, 48 + 32 * (j / 2) + 16 * p, low);
            arm_load(order, w, 16 + 16 * p, high);
            break;
        case PHI_Q6_K:
            arm_load(order, w, 64 * half + 32 * (quarter % 2) + 16 * p, low);
            arm_load(order, w, 128 + 32 * half + 16 * p, high);
            break;
        case PHI_Q2_K:
            arm_load(order, w, 16 + 32 * half + 16 * p, low);
            break;
        case PHI_Q3_K:
            arm_load(order, w, 32 + 32 * half + 16 * p, low);
            arm_load(order, w, 16 * p, high);
            break;
        default: /* IQ4_XS */
            arm_load(order, w, 8 + 16 * j, low);
        }
        for (int i = 0; i < 4; i++) {
            uint8x16_t v, three = vdupq_n_u8(3), bit = vdupq_n_u8((uint8_t)(1 << j));
            switch (type) {
            case PHI_Q4_K:
                v = arm_nibble(low[i], j % 2);
                break;
            case PHI_Q5_K:
                v = arm_with_fifth(arm_nibble(low[i], j % 2), vtstq_u8(high[i], bit), any);
                break;
            case PHI_Q6_K:
                v = vandq_u8(arm_shift(high[i], 2 * quarter - 4), vdupq_n_u8(0x30));
                v = vsubq_u8(vorrq_u8(arm_nibble(low[i], quarter / 2), v), vdupq_n_u8(32));
                break;
            case PHI_Q2_K:
                v = vandq_u8(arm_shift(low[i], 2 * quarter), three);
                break;
            case PHI_Q3_K: /* minus 4 where the third bit is not set */
                v = vandq_u8(arm_shift(low[i], 2 * quarter), three);
                v = vorrq_u8(v, vbicq_u8(vdupq_n_u8(0xfc), vtstq_u8(high[i], bit)));
                break;
            default: /* IQ4_XS */
                v = vreinterpretq_u8_s8(arm_iq4(arm_nibble(low[i], p)));
            }
            g->q.w[i][p] = vreinterpretq_s8_u8(v);
        }
    }
    if (arm_has_sc16(type)) {
        g->sc[0] = arm_scale(type, sc, 2 * j);
        g->sc[1] = arm_scale(type, sc, 2 * j + 1);
    } else {
        g->sc[0] = arm_scale(type, sc, j);
    }
}

/* The formats, for a level's table: ARM_FORMATS(ENTRY) is ENTRY(Q4_0, q4_0) ... */
#define ARM_FORMATS(_)                                                                                               \
    _(Q4_0, q4_0)                                                                                                    \
    _(Q4_1, q4_1)                                                                                                    \
    _(Q5_0, q5_0)                                                                                                    \
    _(Q5_1, q5_1)                                                                                                    \
    _(Q8_0, q8_0)                                                                                                    \
    _(IQ4_NL, iq4_nl)                                                                                                \
    _(Q2_K, q2_k)                                                                                                    \
    _(Q3_K, q3_k)                                                                                                    \
    _(Q4_K, q4_k)                                                                                                    \
    _(Q5_K, q5_k)                                                                                                    \
    _(Q6_K, q6_k)                                                                                                    \
    _(IQ4_XS, iq4_xs)

#endif
