/* Q6_K: 256 weights in 16 sub-blocks of 16, each with a signed 8-bit scale; the two upper bits stand apart.
 *
 *   byte   0 .. 127 | 128 .. 191 | 192 .. 207 | 208 209
 *          ql[128]  | qh[64]     | scales[16] | d             scales: signed bytes; d: f16
 *   128 weights share 64 bytes of ql and 32 of qh: half h = 0, 1, l = 0..31
 *                        upper two bits       lower four bits
 *   weight 128h + l      qh[32h + l] 1,0      ql[64h + l]      low nibble
 *   weight 128h + 32 + l             3,2      ql[64h + 32 + l] low nibble
 *   weight 128h + 64 + l             5,4      ql[64h + l]      high nibble
 *   weight 128h + 96 + l             7,6      ql[64h + 32 + l] high nibble
 *   weight k lies in sub-block k / 16        value = d*sc * (weight - 32)
 */
#ifndef PHI_QUANT_Q6_K_H
#define PHI_QUANT_Q6_K_H

#include "fit.h"
#include <math.h>

/* The 256 weights 0..63. */
static inline void q6_k_unpack(const uint8_t *w, uint8_t v[256]) {
    for (int h = 0; h < 2; h++) {
        const uint8_t *ql = w + 64 * h, *qh = w + 128 + 32 * h;
        uint8_t *u = v + 128 * h;
        for (int l = 0; l < 32; l++) {
            u[l] = (uint8_t)((ql[l] & 15) | (qh[l] & 3) << 4);
            u[l + 32] = (uint8_t)((ql[l + 32] & 15) | (qh[l] >> 2 & 3) << 4);
            u[l + 64] = (uint8_t)(ql[l] >> 4 | (qh[l] >> 4 & 3) << 4);
            u[l + 96] = (uint8_t)(ql[l + 32] >> 4 | (qh[l] >> 6) << 4);
        }
    }
}

static inline void q6_k_decode(const uint8_t *w, float *y) {
    float d = load_f16(w + 208);
    uint8_t v[256];
    q6_k_unpack(w, v);
    for (int i = 0; i < 16; i++) {
        float di = d * (float)load_i8(w + 192 + i);
        for (int l = 0; l < 16; l++) y[16 * i + l] = di * (float)(v[16 * i + l] - 32);
    }
}

/* See dot in quant.h. */
static inline float q6_k_dot(const uint8_t *w, const int8_t *q, const int16_t *sum, float s, float acc) {
    uint8_t v[256];
    q6_k_unpack(w, v);
    int32_t isum = 0;
    for (int i = 0; i < 16; i++) {
        int32_t part = 0;
        for (int l = 0; l < 16; l++) part += v[16 * i + l] * q[16 * i + l];
        isum += load_i8(w + 192 + i) * (part - 32 * sum[i]);
    }
    return fmaf(load_f16(w + 208) * s, (float)isum, acc);
}

static inline void q6_k_encode(const float *x, const float *weight, uint8_t *w) {
    struct fit_super f = fit_super(FIT_SIGNED_32, x, weight, 16, -128, 127, 0.944f, 0.02f);
    uint8_t v[256];
    for (int i = 0; i < 16; i++) {
        int8_t sc = (int8_t)f.scale[i];
        memcpy(w + 192 + i, &sc, 1);
        fit_scale_codes(FIT_SIGNED_32, x + 16 * i, 16, f.d * (float)sc, v + 16 * i);
    }
    for (int h = 0; h < 2; h++)
        for (int l = 0; l < 32; l++) {
            const uint8_t *u = v + 128 * h + l;
            w[64 * h + l] = (uint8_t)((u[0] & 15) | (u[64] & 15) << 4);
            w[64 * h + 32 + l] = (uint8_t)((u[32] & 15) | (u[96] & 15) << 4);
            w[128 + 32 * h + l] = (uint8_t)(u[0] >> 4 | u[32] >> 4 << 2 | u[64] >> 4 << 4 | u[96] >> 4 << 6);
        }
    fit_store(w + 208, f.d);
}

#endif
