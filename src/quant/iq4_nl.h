/* IQ4_NL: 32 weights, one scale; a nibble is an index into 16 unevenly spaced values.
 *
 *   byte   0 1 | 2            ..            17
 *          d   | qs[0]  qs[1]   ..      qs[15]       d: f16
 *   qs[j] low nibble  -> weight j        value = iq4_values[nibble] * d
 *   qs[j] high nibble -> weight j + 16
 */
#ifndef PHI_QUANT_IQ4_NL_H
#define PHI_QUANT_IQ4_NL_H

#include "fit.h"
#include <math.h>

/* The values of IQ4_NL and IQ4_XS, as GGUF fixes them. */
static const int8_t iq4_values[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};

static inline void iq4_nl_decode(const uint8_t *w, float *y) {
    float d = load_f16(w);
    for (int j = 0; j < 16; j++) {
        y[j] = (float)iq4_values[w[2 + j] & 15] * d;
        y[j + 16] = (float)iq4_values[w[2 + j] >> 4] * d;
    }
}

/* See dot in quant.h. */
static inline float iq4_nl_dot(const uint8_t *w, const int8_t *q, const int16_t *sum, float s, float acc) {
    (void)sum; /* no offset, no minimum */
    int32_t isum = 0;
    for (int j = 0; j < 16; j++) isum += iq4_values[w[2 + j] & 15] * q[j] + iq4_values[w[2 + j] >> 4] * q[j + 16];
    return fmaf(load_f16(w) * s, (float)isum, acc);
}

static inline void iq4_nl_encode(const float *x, const float *weight, uint8_t *w) {
    struct fit_effort e = weight ? FIT_WEIGHTED : FIT_PLAIN;
    float d = fit_store(w, fit_scale(FIT_IQ4, x, weight, 32, 0.82f, 0.09f, e));
    uint8_t v[32];
    fit_scale_codes(FIT_IQ4, x, 32, d, v);
    fit_nibbles(v, w + 2);
}

#endif
