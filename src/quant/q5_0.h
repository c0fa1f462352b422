/* Q5_0: 32 weights, one scale; the fifth bits stand apart.
 *
 *   byte   0 1 | 2 3 4 5 | 6            ..            21
 *          d   | qh      | qs[0]  qs[1]   ..      qs[15]       d: f16, qh: u32
 *   weight j        = bit j of qh      : low nibble of qs[j]         value = (weight - 16) * d
 *   weight j + 16   = bit j + 16 of qh : high nibble of qs[j]
 */
#ifndef PHI_QUANT_Q5_0_H
#define PHI_QUANT_Q5_0_H

#include "fit.h"
#include <math.h>

/* The 32 numbers 0..31 of Q5_0 and Q5_1 from their fifth bits and nibbles. */
static inline void q5_unpack(uint32_t qh, const uint8_t *qs, uint8_t v[32]) {
    for (int j = 0; j < 16; j++) {
        v[j] = (uint8_t)((qs[j] & 15) | (qh >> j & 1) << 4);
        v[j + 16] = (uint8_t)(qs[j] >> 4 | (qh >> (j + 16) & 1) << 4);
    }
}

static inline void q5_0_decode(const uint8_t *w, float *y) {
    float d = load_f16(w);
    uint8_t v[32];
    q5_unpack(load_u32(w + 2), w + 6, v);
    for (int j = 0; j < 32; j++) y[j] = (float)(v[j] - 16) * d;
}

/* See dot in quant.h. */
static inline float q5_0_dot(const uint8_t *w, const int8_t *q, const int16_t *sum, float s, float acc) {
    uint8_t v[32];
    q5_unpack(load_u32(w + 2), w + 6, v);
    int32_t isum = 0;
    for (int j = 0; j < 32; j++) isum += v[j] * q[j];
    isum -= 16 * sum[0];
    return fmaf(load_f16(w) * s, (float)isum, acc);
}

/* The inverse of q5_unpack. */
static inline void q5_pack(const uint8_t v[32], uint8_t qh[4], uint8_t qs[16]) {
    for (int j = 0; j < 4; j++) {
        uint64_t eight;
        memcpy(&eight, v + 8 * j, sizeof eight);
        qh[j] = (uint8_t)((eight >> 4 & 0x0101010101010101u) * 0x0102040810204080u >> 56); /* bit 0 of byte b goes to bit 56 + b */
    }
    fit_nibbles(v, qs);
}

static inline void q5_0_encode(const float *x, const float *weight, uint8_t *w) {
    struct fit_effort e = weight ? FIT_WEIGHTED : FIT_PLAIN;
    float d = fit_store(w, fit_scale(FIT_SIGNED_16, x, weight, 32, 0.89f, 0.042f, e));
    uint8_t v[32];
    fit_scale_codes(FIT_SIGNED_16, x, 32, d, v);
    q5_pack(v, w + 2, w + 6);
}

#endif
