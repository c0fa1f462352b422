/* Q4_K: 256 weights in 8 sub-blocks of 32, each with a 6-bit scale and a 6-bit minimum.
 *
 *   byte   0 1 | 2 3  | 4 .. 15    | 16          ..          143
 *          d   | dmin | scales[12] | qs[128]                          d, dmin: f16
 *   64 weights share 32 bytes of qs: chunk c = 0..3, byte l = 0..31 of it
 *   low nibble  -> weight 64c + l        sub-block 2c        value = d*sc * nibble - dmin*mn
 *   high nibble -> weight 64c + 32 + l   sub-block 2c + 1
 *
 *   scales, bits of each byte (high..low):     j = 0..3
 *     byte j     : sc[j+4] bits 5,4 | sc[j] 6 bits
 *     byte j + 4 : mn[j+4] bits 5,4 | mn[j] 6 bits
 *     byte j + 8 : mn[j+4] bits 3..0 | sc[j+4] bits 3..0
 */
#ifndef PHI_QUANT_Q4_K_H
#define PHI_QUANT_Q4_K_H

#include "fit.h"
#include <math.h>

/* The 8 scales and minima of Q4_K and Q5_K from their 12 bytes. */
static inline void k_scale_min(const uint8_t *s, uint8_t sc[8], uint8_t mn[8]) {
    for (int j = 0; j < 4; j++) {
        sc[j] = s[j] & 63;
        mn[j] = s[j + 4] & 63;
        sc[j + 4] = (uint8_t)((s[j + 8] & 15) | (s[j] >> 6) << 4);
        mn[j + 4] = (uint8_t)(s[j + 8] >> 4 | (s[j + 4] >> 6) << 4);
    }
}

static inline void q4_k_decode(const uint8_t *w, float *y) {
    float d = load_f16(w), dmin = load_f16(w + 2);
    uint8_t sc[8], mn[8];
    k_scale_min(w + 4, sc, mn);
    for (int c = 0; c < 4; c++) {
        const uint8_t *qs = w + 16 + 32 * c;
        float d0 = d * sc[2 * c], d1 = d * sc[2 * c + 1], m0 = dmin * mn[2 * c], m1 = dmin * mn[2 * c + 1];
        for (int l = 0; l < 32; l++) {
            y[64 * c + l] = d0 * (float)(qs[l] & 15) - m0;
            y[64 * c + 32 + l] = d1 * (float)(qs[l] >> 4) - m1;
        }
    }
}

static inline float q4_k_dot(const uint8_t *w, const int8_t *q, const int16_t *sum, float s, float acc) {
    uint8_t sc[8], mn[8];
    k_scale_min(w + 4, sc, mn);
    int32_t isum = 0, msum = 0;
    for (int c = 0; c < 4; c++) {
        const uint8_t *qs = w + 16 + 32 * c;
        int32_t lo = 0, hi = 0;
        for (int l = 0; l < 32; l++) {
            lo += (qs[l] & 15) * q[64 * c + l];
            hi += (qs[l] >> 4) * q[64 * c + 32 + l];
        }
        isum += sc[2 * c] * lo + sc[2 * c + 1] * hi;
    }
    for (int j = 0; j < 8; j++) msum += mn[j] * (sum[2 * j] + sum[2 * j + 1]);
    acc = fmaf(load_f16(w) * s, (float)isum, acc);
    return fmaf(-load_f16(w + 2) * s, (float)msum, acc);
}

/* The inverse of k_scale_min. */
static inline void k_pack_scale_min(const int sc[8], const int mn[8], uint8_t s[12]) {
    for (int j = 0; j < 4; j++) {
        s[j] = (uint8_t)(sc[j] | (sc[j + 4] >> 4) << 6);
        s[j + 4] = (uint8_t)(mn[j] | (mn[j + 4] >> 4) << 6);
        s[j + 8] = (uint8_t)((sc[j + 4] & 15) | (mn[j + 4] & 15) << 4);
    }
}

static inline void q4_k_encode(const float *x, const float *weight, uint8_t *w) {
    struct fit_super f = fit_super_line(x, weight, 8, 15, 63, 13.8f, 0.7f);
    uint8_t v[64];
    fit_store(w, f.d);
    fit_store(w + 2, f.m);
    k_pack_scale_min(f.scale, f.minimum, w + 4);
    for (int c = 0; c < 4; c++) {
        for (int j = 2 * c; j < 2 * c + 2; j++)
            fit_line_codes(x + 32 * j, 32, f.d * (float)f.scale[j], f.m * (float)f.minimum[j], 15, v + 32 * (j % 2));
        /* cppcheck-suppress uninitvar ; fit_line_codes() has written both halves */
        for (int l = 0; l < 32; l++) w[16 + 32 * c + l] = (uint8_t)(v[l] | v[32 + l] << 4);
    }
}

#endif
