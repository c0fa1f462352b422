/* What a weight format means: the table of formats, and the form of the activations that they multiply with.
 * Layouts stand in one file per format; how fast they run is the business of kernels/. Includes nothing of ours outside quant/. */
#ifndef PHI_QUANT_H
#define PHI_QUANT_H

#include <stddef.h>
#include <stdint.h>

#include "quant.def"

/* Activations are rounded once per matrix input:
 *   a = largest |x| of a group of 32 or 256; scale = a/127, r = 127/a, q = nearest-even(x*r)
 *   a not finite: scale NaN, all q 0.   a < 2^-100: scale 0, all q 0.
 * sum holds sums of q, with which the formats correct their offsets and minima. */
enum phi_act_kind {
    PHI_ACT_F32,   /* not rounded: for F32, F16, BF16 weights */
    PHI_ACT_Q8_32, /* a scale and a sum for each 32 */
    PHI_ACT_Q8_256 /* a scale for each 256, a sum for each 16 */
};

/* Columns of activations, each k long, one after the other: element i of column c is q[c*k + i]. */
struct phi_act {
    enum phi_act_kind kind;
    int k;
    float *f;      /* F32: [n][k] */
    int8_t *q;     /* else: [n][k], -127..127 */
    float *scale;  /* [n][k / 32 or 256] */
    int16_t *sum;  /* [n][k / 32 or 16] */
};

enum { PHI_SUM_GROUP_32 = 32, PHI_SUM_GROUP_256 = 16 }; /* values of q in one sum */

/* dot(w, q, sum, s, acc), the definition of a format's result for one block; w: the block, q: its 32 or 256 activations,
 * sum: their sums (1 or 16), s: their scale. The integer part is exact, in any order; then in float:
 *     acc = fmaf(d*s, (float)isum, acc)                 d: the block's scale; d*s rounded once
 *     acc = fmaf(m*s, (float)msum, acc)                 formats with a minimum; m: the block's (K formats: -dmin)
 * Offsets (8, 16, 32) are corrected inside isum. Over a row acc starts at +0 and blocks ascend. */

enum phi_type_index {
#define BLOCK(NAME, name, id, block, bytes, act) PHI_##NAME,
#define PLAIN(NAME, name, id, bytes) PHI_##NAME,
#include "quant.def"
    PHI_N_TYPE
};

struct phi_type {
    const char *name;      /* as GGUF tools spell it: "Q4_K" */
    enum phi_type_index index;
    uint32_t id;           /* the type's number in GGUF */
    int block, bytes;      /* weights and bytes in a block */
    enum phi_act_kind act;
    void (*decode)(const uint8_t *w, float *y); /* one block -> y[block]; products from the left, then the subtraction */
};

extern const struct phi_type phi_types[PHI_N_TYPE];

/* The row with this GGUF number, or NULL. */
const struct phi_type *phi_type_find(uint32_t id);

/* k weights (a multiple of the block) -> y[k] */
void phi_type_decode_row(const struct phi_type *type, const uint8_t *w, float *y, size_t k);

/* x[k], all finite, into k weights of this type (a multiple of the block) with little sum of weight * error^2;
 * weight[k], not negative: how much each column matters; NULL: all the same. Values beyond the range of f16 are cut to it, but for
 * F32 and BF16. The same bytes on every machine. */
void phi_type_encode_row(const struct phi_type *type, const float *x, const float *weight, uint8_t *w, size_t k);

#endif
