/* Q5_1: 32 weights, one scale, one minimum; the fifth bits stand apart.
 *
 *   byte   0 1 | 2 3 | 4 5 6 7 | 8            ..            23
 *          d   | m   | qh      | qs[0]  qs[1]   ..      qs[15]       d, m: f16, qh: u32
 *   weight j        = bit j of qh      : low nibble of qs[j]         value = weight * d + m
 *   weight j + 16   = bit j + 16 of qh : high nibble of qs[j]
 */
#ifndef PHI_QUANT_Q5_1_H
#define PHI_QUANT_Q5_1_H

#include "q5_0.h"

static inline void q5_1_decode(const uint8_t *w, float *y) {
    float d = load_f16(w), m = load_f16(w + 2);
    uint8_t v[32];
    q5_unpack(load_u32(w + 4), w + 8, v);
    for (int j = 0; j < 32; j++) y[j] = (float)v[j] * d + m;
}

/* See dot in quant.h. */
static inline float q5_1_dot(const uint8_t *w, const int8_t *q, const int16_t *sum, float s, float acc) {
    uint8_t v[32];
    q5_unpack(load_u32(w + 4), w + 8, v);
    int32_t isum = 0;
    for (int j = 0; j < 32; j++) isum += v[j] * q[j];
    acc = fmaf(load_f16(w) * s, (float)isum, acc);
    return fmaf(load_f16(w + 2) * s, (float)sum[0], acc);
}

static inline void q5_1_encode(const float *x, const float *weight, uint8_t *w) {
    struct fit_effort e = weight ? FIT_WEIGHTED : FIT_PLAIN;
    struct fit_line f = fit_line(x, weight, 32, 31, true, 29.8f, 0.7f, e);
    float d = fit_store(w, f.d), m = -fit_store(w + 2, -f.m);
    uint8_t v[32];
    fit_line_codes(x, 32, d, m, 31, v);
    q5_pack(v, w + 4, w + 8);
}

#endif
