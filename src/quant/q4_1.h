/* Q4_1: 32 weights, one scale, one minimum.
 *
 *   byte   0 1 | 2 3 | 4            ..            19
 *          d   | m   | qs[0]  qs[1]   ..      qs[15]       d, m: f16
 *   qs[j] low nibble  -> weight j        value = nibble * d + m
 *   qs[j] high nibble -> weight j + 16
 */
#ifndef PHI_QUANT_Q4_1_H
#define PHI_QUANT_Q4_1_H

#include "fit.h"
#include <math.h>

static inline void q4_1_decode(const uint8_t *w, float *y) {
    float d = load_f16(w), m = load_f16(w + 2);
    for (int j = 0; j < 16; j++) {
        y[j] = (float)(w[4 + j] & 15) * d + m;
        y[j + 16] = (float)(w[4 + j] >> 4) * d + m;
    }
}

/* See dot in quant.h. */
static inline float q4_1_dot(const uint8_t *w, const int8_t *q, const int16_t *sum, float s, float acc) {
    int32_t isum = 0;
    for (int j = 0; j < 16; j++) isum += (w[4 + j] & 15) * q[j] + (w[4 + j] >> 4) * q[j + 16];
    acc = fmaf(load_f16(w) * s, (float)isum, acc);
    return fmaf(load_f16(w + 2) * s, (float)sum[0], acc);
}

static inline void q4_1_encode(const float *x, const float *weight, uint8_t *w) {
    struct fit_effort e = weight ? FIT_WEIGHTED : FIT_PLAIN;
    struct fit_line f = fit_line(x, weight, 32, 15, true, 13.2f, 0.8f, e);
    float d = fit_store(w, f.d), m = -fit_store(w + 2, -f.m);
    uint8_t v[32];
    fit_line_codes(x, 32, d, m, 15, v);
    fit_nibbles(v, w + 4);
}

#endif
