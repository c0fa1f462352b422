/* Q3_K: 256 weights in 16 sub-blocks of 16, each with a 6-bit scale; the third bits stand apart.
 *
 *   byte   0 .. 31   | 32 .. 95 | 96 .. 107  | 108 109
 *          hmask[32] | qs[64]   | scales[12] | d            d: f16
 *   qs: two low bits of each weight, ordered as in Q2_K
 *   hmask[l], bit b: third bit of weight 32b + l, b = 0..7
 *   weight = third bit : two low bits = 0..7        value = d*(sc - 32) * (weight - 4)
 *   weight k lies in sub-block k / 16
 *
 *   scales, bits of each byte (high..low):     j = 0..3
 *     byte j     : sc[j+8]  bits 3..0 | sc[j]   bits 3..0
 *     byte j + 4 : sc[j+12] bits 3..0 | sc[j+4] bits 3..0
 *     byte j + 8 : sc[j+12] bits 5,4 | sc[j+8] bits 5,4 | sc[j+4] bits 5,4 | sc[j] bits 5,4
 */
#ifndef PHI_QUANT_Q3_K_H
#define PHI_QUANT_Q3_K_H

#include "q2_k.h"

/* The 16 scales, 32 taken off: -32..31. */
static inline void q3_k_scales(const uint8_t *s, int8_t sc[16]) {
    for (int i = 0; i < 16; i++) {
        int low = i < 8 ? s[i] & 15 : s[i - 8] >> 4, high = s[8 + i % 4] >> 2 * (i / 4) & 3;
        sc[i] = (int8_t)((low | high << 4) - 32);
    }
}

/* The 256 weights 0..7. */
static inline void q3_k_unpack(const uint8_t *w, uint8_t v[256]) {
    k_unpack_2(w + 32, v);
    for (int b = 0; b < 8; b++)
        for (int l = 0; l < 32; l++) v[32 * b + l] = (uint8_t)(v[32 * b + l] | (w[l] >> b & 1) << 2);
}

static inline void q3_k_decode(const uint8_t *w, float *y) {
    float d = load_f16(w + 108);
    int8_t sc[16];
    uint8_t v[256];
    q3_k_scales(w + 96, sc);
    q3_k_unpack(w, v);
    for (int i = 0; i < 16; i++) {
        float di = d * (float)sc[i];
        for (int l = 0; l < 16; l++) y[16 * i + l] = di * (float)(v[16 * i + l] - 4);
    }
}

/* See dot in quant.h. */
static inline float q3_k_dot(const uint8_t *w, const int8_t *q, const int16_t *sum, float s, float acc) {
    int8_t sc[16];
    uint8_t v[256];
    q3_k_scales(w + 96, sc);
    q3_k_unpack(w, v);
    int32_t isum = 0;
    for (int i = 0; i < 16; i++) {
        int32_t part = 0;
        for (int l = 0; l < 16; l++) part += v[16 * i + l] * q[16 * i + l];
        isum += sc[i] * (part - 4 * sum[i]);
    }
    return fmaf(load_f16(w + 108) * s, (float)isum, acc);
}

static inline void q3_k_encode(const float *x, const float *weight, uint8_t *w) {
    struct fit_super f = fit_super(FIT_SIGNED_4, x, weight, 16, -32, 31, 0.6f, 0.16f);
    uint8_t v[256];
    memset(w, 0, 110);
    for (int i = 0; i < 16; i++) {
        unsigned sc = (unsigned)(f.scale[i] + 32);
        uint8_t *low = w + 96 + i % 8, *high = w + 104 + i % 4;
        *low = (uint8_t)(*low | (sc & 15) << 4 * (i / 8));
        *high = (uint8_t)(*high | sc >> 4 << 2 * (i / 4));
        fit_scale_codes(FIT_SIGNED_4, x + 16 * i, 16, f.d * (float)f.scale[i], v + 16 * i);
    }
    for (int k = 0; k < 256; k++) w[k % 32] = (uint8_t)(w[k % 32] | (v[k] >> 2) << k / 32);
    k_pack_2(v, w + 32);
    fit_store(w + 108, f.d);
}

#endif
