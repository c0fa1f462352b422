/* Q4_0: 32 weights, one scale.
 *
 *   byte   0 1 | 2            ..            17
 *          d   | qs[0]  qs[1]   ..      qs[15]       d: f16
 *   qs[j] low nibble  -> weight j        value = (nibble - 8) * d
 *   qs[j] high nibble -> weight j + 16
 */
#ifndef PHI_QUANT_Q4_0_H
#define PHI_QUANT_Q4_0_H

#include "fit.h"
#include <math.h>

static inline void q4_0_decode(const uint8_t *w, float *y) {
    float d = load_f16(w);
    for (int j = 0; j < 16; j++) {
        y[j] = (float)((w[2 + j] & 15) - 8) * d;
        y[j + 16] = (float)((w[2 + j] >> 4) - 8) * d;
    }
}

/* See dot in quant.h. */
static inline float q4_0_dot(const uint8_t *w, const int8_t *q, const int16_t *sum, float s, float acc) {
    int32_t isum = 0;
    for (int j = 0; j < 16; j++) isum += (w[2 + j] & 15) * q[j] + (w[2 + j] >> 4) * q[j + 16];
    isum -= 8 * sum[0];
    return fmaf(load_f16(w) * s, (float)isum, acc);
}

static inline void q4_0_encode(const float *x, const float *weight, uint8_t *w) {
    struct fit_effort e = weight ? FIT_WEIGHTED : FIT_PLAIN;
    float d = fit_store(w, fit_scale(FIT_SIGNED_8, x, weight, 32, 0.78f, 0.085f, e));
    uint8_t v[32];
    fit_scale_codes(FIT_SIGNED_8, x, 32, d, v);
    fit_nibbles(v, w + 2);
}

#endif
