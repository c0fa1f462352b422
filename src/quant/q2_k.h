/* Q2_K: 256 weights in 16 sub-blocks of 16, each with a 4-bit scale and a 4-bit minimum.
 *
 *   byte   0 .. 15    | 16 .. 79 | 80 81 | 82 83
 *          scales[16] | qs[64]   | d     | dmin       d, dmin: f16
 *   scales[i]: minimum mn in the high nibble, scale sc in the low one
 *   128 weights share 32 bytes of qs: half h = 0, 1, byte l = 0..31 of it
 *     bits 7,6           5,4           3,2           1,0
 *     weight 128h+96+l   128h+64+l     128h+32+l     128h+l        value = d*sc * bits - dmin*mn
 *   weight k lies in sub-block k / 16
 */
#ifndef PHI_QUANT_Q2_K_H
#define PHI_QUANT_Q2_K_H

#include "fit.h"
#include <math.h>

/* The 256 two-bit numbers of Q2_K and Q3_K, in the order of the weights. */
static inline void k_unpack_2(const uint8_t *qs, uint8_t v[256]) {
    for (int h = 0; h < 2; h++)
        for (int j = 0; j < 4; j++)
            for (int l = 0; l < 32; l++) v[128 * h + 32 * j + l] = qs[32 * h + l] >> 2 * j & 3;
}

static inline void q2_k_decode(const uint8_t *w, float *y) {
    float d = load_f16(w + 80), dmin = load_f16(w + 82);
    uint8_t v[256];
    k_unpack_2(w + 16, v);
    for (int i = 0; i < 16; i++) {
        float di = d * (float)(w[i] & 15), mi = dmin * (float)(w[i] >> 4);
        for (int l = 0; l < 16; l++) y[16 * i + l] = di * (float)v[16 * i + l] - mi;
    }
}

/* See dot in quant.h. */
static inline float q2_k_dot(const uint8_t *w, const int8_t *q, const int16_t *sum, float s, float acc) {
    uint8_t v[256];
    k_unpack_2(w + 16, v);
    int32_t isum = 0, msum = 0;
    for (int i = 0; i < 16; i++) {
        int32_t part = 0;
        for (int l = 0; l < 16; l++) part += v[16 * i + l] * q[16 * i + l];
        isum += (w[i] & 15) * part;
        msum += (w[i] >> 4) * sum[i];
    }
    acc = fmaf(load_f16(w + 80) * s, (float)isum, acc);
    return fmaf(-load_f16(w + 82) * s, (float)msum, acc);
}

/* The inverse of k_unpack_2; what is above two bits of v is left out. */
static inline void k_pack_2(const uint8_t v[256], uint8_t qs[64]) {
    for (int h = 0; h < 2; h++)
        for (int l = 0; l < 32; l++) {
            const uint8_t *u = v + 128 * h + l;
            qs[32 * h + l] = (uint8_t)((u[0] & 3) | (u[32] & 3) << 2 | (u[64] & 3) << 4 | (u[96] & 3) << 6);
        }
}

static inline void q2_k_encode(const float *x, const float *weight, uint8_t *w) {
    struct fit_super f = fit_super_line(x, weight, 16, 3, 15, 2.4f, 0.4f);
    uint8_t v[256];
    for (int i = 0; i < 16; i++) {
        w[i] = (uint8_t)(f.scale[i] | f.minimum[i] << 4);
        fit_line_codes(x + 16 * i, 16, f.d * (float)f.scale[i], f.m * (float)f.minimum[i], 3, v + 16 * i);
    }
    k_pack_2(v, w + 16);
    fit_store(w + 80, f.d);
    fit_store(w + 82, f.m);
}

#endif
