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

#endif
