/* F32, F16, BF16: weights that are numbers. They multiply with unrounded activations, in 16 virtual lanes (quant.h). */
#ifndef PHI_QUANT_F16_H
#define PHI_QUANT_F16_H

#include "bits.h"

static inline void f32_decode(const uint8_t *w, float *y) {
    *y = load_f32(w);
}

static inline void f16_decode(const uint8_t *w, float *y) {
    *y = load_f16(w);
}

static inline void bf16_decode(const uint8_t *w, float *y) {
    *y = load_bf16(w);
}

static inline void f32_encode(const float *x, const float *weight, uint8_t *w) {
    (void)weight;
    memcpy(w, x, 4);
}

static inline void f16_encode(const float *x, const float *weight, uint8_t *w) {
    (void)weight;
    store_f16(w, *x);
}

/* To nearest, ties to even. Finite values only. */
static inline void bf16_encode(const float *x, const float *weight, uint8_t *w) {
    (void)weight;
    uint32_t u = f32_bits(*x);
    uint16_t h = (uint16_t)((u + 0x7fffu + (u >> 16 & 1u)) >> 16);
    memcpy(w, &h, 2);
}

#endif
