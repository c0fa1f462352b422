/* The dotprod level: ARMv8.2 with SDOT, which adds four products of bytes to each 32-bit lane, with any signed bytes
 * and no overflow on the way. Only matrices of block formats; the rest is neon's.
 *
 * One to three columns run in the order of the file (rows.inc), more through panels (panels.inc); this file gives
 * both the products and, to the second, the order of a panel:
 *
 *     weights, 16 k of rows 0 .. 7, out[2*t + quad]                     activations, out[c]
 *                lane 0         lane 1         lane 2         lane 3
 *     out[0]   | row 0, k 0-3 | row 1, k 0-3 | row 2, k 0-3 | row 3 |   | column c: k 0-3 | 4-7 | 8-11 | 12-15 |
 *     out[1]   | row 4, k 0-3 | row 5, ...                              SDOT by lane t multiplies a word of the
 *     out[2]   | row 0, k 4-7 | ...                                     column with out[2*t] and out[2*t + 1]
 *
 * Result vector v = 4*quad + c: rows 4*quad .. + 3 of column c. */
#include "kernels.h"
#include "arm_formats.h"

/* ---- Four rows with one column ---- */

/* {a, b, c, d}: the sums of the lanes of each. */
INLINE int32x4_t lanes_of_rows(const int32x4_t part[4]) {
    return vpaddq_s32(vpaddq_s32(part[0], part[1]), vpaddq_s32(part[2], part[3]));
}

INLINE int32x4_t dot16(const struct arm_quad *w, int p, int8x16_t x) {
    int32x4_t part[4];
    for (int i = 0; i < 4; i++) part[i] = vdotq_s32(vdupq_n_s32(0), w->w[i][p], x);
    return lanes_of_rows(part);
}

INLINE int32x4_t dot32_small(const struct arm_quad *w, int8x16_t x0, int8x16_t x1) {
    int32x4_t part[4];
    for (int i = 0; i < 4; i++) part[i] = vdotq_s32(vdupq_n_s32(0), w->w[i][0], x0);
    /* No instruction: the second half of a row does not stand right behind the first, for which it would wait. */
    __asm__("" : "+w"(part[0]), "+w"(part[1]), "+w"(part[2]), "+w"(part[3]));
    for (int i = 0; i < 4; i++) part[i] = vdotq_s32(part[i], w->w[i][1], x1);
    return lanes_of_rows(part);
}

INLINE int32x4_t dot32_wide(const struct arm_quad *w, int8x16_t x0, int8x16_t x1) {
    return dot32_small(w, x0, x1);
}

enum { ROWS_ANY_BYTE = 1 };
#include "rows.inc"

/* ---- Panels ---- */

enum { PANELS_ROWVEC = 2, PANELS_COLVEC = 1 };

#define PANELS_ORDER ARM_BY_WORD

INLINE int panels_place(int i, int quad) {
    return 2 * i + quad;
}

INLINE void panels_put_words(const uint32x4_t *w, int n, int quad, int8x16_t *out) {
    for (int t = 0; t < n; t++) out[2 * t + quad] = vreinterpretq_s8_u32(w[t]);
}

INLINE void panels_put_rows(int32x4_t v, int quad, int32x4_t *out) {
    out[quad] = v;
}

INLINE void panels_put_columns(const float v[4], float32x4_t *out) {
    out[0] = vld1q_f32(v);
}

INLINE void panels_arrange(const int8x16_t x[4], int8x16_t *out) {
    for (int c = 0; c < 4; c++) out[c] = x[c];
}

INLINE void panels_dot8(int32x4_t part[8], const int8x16_t *w, const int8x16_t *x, int half) {
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) { /* word 2*half + i/2, quad i % 2 */
        int32x4_t *p = part + 4 * (i % 2);
        if (half == 0 && i < 2) {
            for (int c = 0; c < 4; c++) p[c] = vdotq_laneq_s32(p[c], w[i], x[c], 0);
        } else if (half == 0) {
            for (int c = 0; c < 4; c++) p[c] = vdotq_laneq_s32(p[c], w[i], x[c], 1);
        } else if (i < 2) {
            for (int c = 0; c < 4; c++) p[c] = vdotq_laneq_s32(p[c], w[i], x[c], 2);
        } else {
            for (int c = 0; c < 4; c++) p[c] = vdotq_laneq_s32(p[c], w[i], x[c], 3);
        }
    }
}

INLINE void panels_load(float32x4_t acc[8], const float *y, size_t ldy) {
#pragma GCC unroll 8
    for (int v = 0; v < 8; v++) acc[v] = vld1q_f32(y + (size_t)(v % 4) * ldy + 4 * (v / 4));
}

INLINE void panels_store(const float32x4_t acc[8], float *y, size_t ldy) {
#pragma GCC unroll 8
    for (int v = 0; v < 8; v++) vst1q_f32(y + (size_t)(v % 4) * ldy + 4 * (v / 4), acc[v]);
}

INLINE int32x4_t panels_of_row(const int32x4_t *rows, int v) {
    return rows[v / 4];
}

/* The lane is a constant of the instruction. */
INLINE float32x4_t panels_scale(const float32x4_t *rows, const float32x4_t *columns, int v) {
    switch (v % 4) {
    case 0:
        return vmulq_laneq_f32(rows[v / 4], columns[0], 0);
    case 1:
        return vmulq_laneq_f32(rows[v / 4], columns[0], 1);
    case 2:
        return vmulq_laneq_f32(rows[v / 4], columns[0], 2);
    default:
        return vmulq_laneq_f32(rows[v / 4], columns[0], 3);
    }
}

INLINE float32x4_t panels_fma(float32x4_t acc, float32x4_t a, const float32x4_t *columns, int v) {
    switch (v % 4) {
    case 0:
        return vfmaq_laneq_f32(acc, a, columns[0], 0);
    case 1:
        return vfmaq_laneq_f32(acc, a, columns[0], 1);
    case 2:
        return vfmaq_laneq_f32(acc, a, columns[0], 2);
    default:
        return vfmaq_laneq_f32(acc, a, columns[0], 3);
    }
}

#include "panels.inc"

/* ---- Slots ---- */

#define MATMUL(NAME, name)                                                                                           \
    static void matmul_##name(const struct phi_matmul *m) {                                                          \
        if (m->n_col > 3) {                                                                                          \
            panels_matmul(m, PHI_##NAME);                                                                            \
            return;                                                                                                  \
        }                                                                                                            \
        if (m->n_col > 1) rows_few(m, PHI_##NAME, 0, 2);                                                             \
        if (m->n_col != 2) rows_few(m, PHI_##NAME, m->n_col - 1, 1);                                                 \
    }
ARM_FORMATS(MATMUL)

#define ENTRY(NAME, name) .matmul[PHI_##NAME] = matmul_##name,
const struct phi_kernels phi_kernels_dotprod = {
    .name = "dotprod", .scratch_per_k = PANELS_SCRATCH_PER_K, ARM_FORMATS(ENTRY)};
