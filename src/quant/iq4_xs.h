/* IQ4_XS: 256 weights in 8 sub-blocks of 32, each with a 6-bit scale; a nibble is an index into the values of IQ4_NL.
 *
 *   byte   0 1 | 2 3      | 4 .. 7      | 8    ..    135
 *          d   | scales_h | scales_l[4] | qs[128]            d: f16, scales_h: u16
 *   sub-block j = 0..7 has 16 bytes of qs, byte l = 0..15 of them
 *   low nibble  -> weight 32j + l             value = d*(sc[j] - 32) * iq4_values[nibble]
 *   high nibble -> weight 32j + 16 + l
 *   sc[j] = bits 2j+1, 2j of scales_h : low (j even) or high (j odd) nibble of scales_l[j / 2]
 */
#ifndef PHI_QUANT_IQ4_XS_H
#define PHI_QUANT_IQ4_XS_H

#include "iq4_nl.h"

/* The 8 scales, 32 taken off: -32..31. */
static inline void iq4_xs_scales(const uint8_t *w, int8_t sc[8]) {
    int high = load_u16(w + 2);
    for (int j = 0; j < 8; j++)
        sc[j] = (int8_t)(((w[4 + j / 2] >> 4 * (j % 2) & 15) | (high >> 2 * j & 3) << 4) - 32);
}

static inline void iq4_xs_decode(const uint8_t *w, float *y) {
    float d = load_f16(w);
    int8_t sc[8];
    iq4_xs_scales(w, sc);
    for (int j = 0; j < 8; j++) {
        const uint8_t *qs = w + 8 + 16 * j;
        float dj = d * (float)sc[j];
        for (int l = 0; l < 16; l++) {
            y[32 * j + l] = dj * (float)iq4_values[qs[l] & 15];
            y[32 * j + 16 + l] = dj * (float)iq4_values[qs[l] >> 4];
        }
    }
}

/* See dot in quant.h. */
static inline float iq4_xs_dot(const uint8_t *w, const int8_t *q, const int16_t *sum, float s, float acc) {
    (void)sum; /* no offset, no minimum */
    int8_t sc[8];
    iq4_xs_scales(w, sc);
    int32_t isum = 0;
    for (int j = 0; j < 8; j++) {
        const uint8_t *qs = w + 8 + 16 * j;
        int32_t part = 0;
        for (int l = 0; l < 16; l++)
            part += iq4_values[qs[l] & 15] * q[32 * j + l] + iq4_values[qs[l] >> 4] * q[32 * j + 16 + l];
        isum += sc[j] * part;
    }
    return fmaf(load_f16(w) * s, (float)isum, acc);
}

static inline void iq4_xs_encode(const float *x, const float *weight, uint8_t *w) {
    struct fit_super f = fit_super(FIT_IQ4, x, weight, 8, -32, 31, 0.82f, 0.09f);
    unsigned high = 0;
    uint8_t v[32];
    memset(w, 0, 8);
    fit_store(w, f.d);
    for (int j = 0; j < 8; j++) {
        unsigned sc = (unsigned)(f.scale[j] + 32);
        w[4 + j / 2] = (uint8_t)(w[4 + j / 2] | (sc & 15) << 4 * (j % 2));
        high |= sc >> 4 << 2 * j;
        fit_scale_codes(FIT_IQ4, x + 32 * j, 32, f.d * (float)f.scale[j], v);
        fit_nibbles(v, w + 8 + 16 * j);
    }
    w[2] = (uint8_t)high;
    w[3] = (uint8_t)(high >> 8);
}

#endif
