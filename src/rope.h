/* Rotary position embedding: which angles hold for a text, and their cosines and sines for the positions of one pass.
 */
#ifndef PHI_SRC_ROPE_H
#define PHI_SRC_ROPE_H

#include "model.h"

/* inv_freq[i] = 1 / (factor[i] * theta^(2i/n_rot)), i < n_rot/2; factor may be NULL (all 1). In single precision,
 * step by step as the original implementation rounds it. */
void phi_rope_inv_freq(float *inv_freq, int n_rot, double theta, const float *factor);

/* LongRoPE's mscale for a model trained on `original` positions and extended to `context`:
 * sqrt(1 + ln(context/original) / ln(original)), 1 if not extended. */
float phi_rope_mscale(int context, int original);

/* The list that holds for a text of n tokens, all of them: the long one beyond the original context. */
int phi_rope_list(const struct phi_model *m, size_t n);

/* c[t][i] = scale * cos(angle), s likewise, angle = (first + t) * inv_freq[i] rounded to float; [n][n_rot/2] each. */
void phi_rope_fill(const struct phi_model *m, int list, size_t first, int n, float *c, float *s);

#endif
