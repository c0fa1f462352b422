/* Q5_K: 256 weights in 8 sub-blocks of 32, each with a 6-bit scale and a 6-bit minimum; the fifth bits stand apart.
 *
 *   byte   0 1 | 2 3  | 4 .. 15    | 16 .. 47 | 48   ..   175
 *          d   | dmin | scales[12] | qh[32]   | qs[128]             d, dmin: f16; scales as in Q4_K
 *   64 weights share 32 bytes of qs: chunk c = 0..3, byte l = 0..31 of it
 *   weight 64c + l        = bit 2c of qh[l]     : low nibble       sub-block 2c
 *   weight 64c + 32 + l   = bit 2c + 1 of qh[l] : high nibble      sub-block 2c + 1
 *   value = d*sc * weight - dmin*mn
 */
#ifndef PHI_QUANT_Q5_K_H
#define PHI_QUANT_Q5_K_H

#include "q4_k.h"

/* The 256 weights 0..31. */
static inline void q5_k_unpack(const uint8_t *w, uint8_t v[256]) {
    const uint8_t *qh = w + 16, *qs = w + 48;
    for (int c = 0; c < 4; c++, qs += 32)
        for (int l = 0; l < 32; l++) {
            v[64 * c + l] = (uint8_t)((qs[l] & 15) | (qh[l] >> 2 * c & 1) << 4);
            v[64 * c + 32 + l] = (uint8_t)(qs[l] >> 4 | (qh[l] >> (2 * c + 1) & 1) << 4);
        }
}

static inline void q5_k_decode(const uint8_t *w, float *y) {
    float d = load_f16(w), dmin = load_f16(w + 2);
    uint8_t sc[8], mn[8], v[256];
    k_scale_min(w + 4, sc, mn);
    q5_k_unpack(w, v);
    for (int j = 0; j < 8; j++) {
        float dj = d * sc[j], mj = dmin * mn[j];
        for (int l = 0; l < 32; l++) y[32 * j + l] = dj * (float)v[32 * j + l] - mj;
    }
}

/* See dot in quant.h. */
static inline float q5_k_dot(const uint8_t *w, const int8_t *q, const int16_t *sum, float s, float acc) {
    uint8_t sc[8], mn[8], v[256];
    k_scale_min(w + 4, sc, mn);
    q5_k_unpack(w, v);
    int32_t isum = 0, msum = 0;
    for (int j = 0; j < 8; j++) {
        int32_t part = 0;
        for (int l = 0; l < 32; l++) part += v[32 * j + l] * q[32 * j + l];
        isum += sc[j] * part;
        msum += mn[j] * (sum[2 * j] + sum[2 * j + 1]);
    }
    acc = fmaf(load_f16(w) * s, (float)isum, acc);
    return fmaf(-load_f16(w + 2) * s, (float)msum, acc);
}

static inline void q5_k_encode(const float *x, const float *weight, uint8_t *w) {
    struct fit_super f = fit_super_line(x, weight, 8, 31, 63, 29.8f, 0.7f);
    uint8_t v[64], *qh = w + 16;
    fit_store(w, f.d);
    fit_store(w + 2, f.m);
    k_pack_scale_min(f.scale, f.minimum, w + 4);
    memset(qh, 0, 32);
    for (int c = 0; c < 4; c++) {
        for (int j = 2 * c; j < 2 * c + 2; j++)
            fit_line_codes(x + 32 * j, 32, f.d * (float)f.scale[j], f.m * (float)f.minimum[j], 31, v + 32 * (j % 2));
        for (int l = 0; l < 32; l++) {
            /* cppcheck-suppress uninitvar ; fit_line_codes() has written both halves */
            w[48 + 32 * c + l] = (uint8_t)((v[l] & 15) | (v[32 + l] & 15) << 4);
            /* cppcheck-suppress uninitvar ; the same */
            qh[l] = (uint8_t)(qh[l] | (v[l] >> 4) << 2 * c | (v[32 + l] >> 4) << (2 * c + 1));
        }
    }
}

#endif
