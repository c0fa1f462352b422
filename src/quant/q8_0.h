/* Q8_0: 32 weights, one scale.
 *
 *   byte   0 1 | 2            ..            33
 *          d   | qs[0]  qs[1]   ..      qs[31]       d: f16, qs: signed bytes, -128 too
 *   qs[j] -> weight j        value = qs[j] * d
 */
#ifndef PHI_QUANT_Q8_0_H
#define PHI_QUANT_Q8_0_H

#include "fit.h"
#include <math.h>

static inline void q8_0_decode(const uint8_t *w, float *y) {
    float d = load_f16(w);
    for (int j = 0; j < 32; j++) y[j] = (float)load_i8(w + 2 + j) * d;
}

/* See dot in quant.h. */
static inline float q8_0_dot(const uint8_t *w, const int8_t *q, const int16_t *sum, float s, float acc) {
    (void)sum; /* no offset, no minimum */
    int32_t isum = 0;
    for (int j = 0; j < 32; j++) isum += load_i8(w + 2 + j) * q[j];
    return fmaf(load_f16(w) * s, (float)isum, acc);
}

/* With 255 levels a search gains nothing that could be measured: the extreme value becomes 127. */
static inline void q8_0_encode(const float *x, const float *weight, uint8_t *w) {
    (void)weight;
    float extreme = fit_extreme(x, 32), d = fit_store(w, (extreme < 0.0f ? -extreme : extreme) / 127.0f);
    float inverse = d > 0.0f ? 1.0f / d : 0.0f;
    for (int j = 0; j < 32; j += 4) {
        fit_vec v = fit_round4(fit_min(fit_max(fit_load(x + j) * inverse, fit_all(-127.0f)), fit_all(127.0f)));
        for (int k = 0; k < 4; k++) w[2 + j + k] = (uint8_t)(int8_t)v[k];
    }
}

#endif
