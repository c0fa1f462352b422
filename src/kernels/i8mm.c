/* The i8mm level: ARMv8.6 with SMMLA, which multiplies two rows of 8 bytes with two columns of 8 bytes and adds the
 * four sums to a vector. Only matrices of block formats with four columns or more; fewer go to the dotprod level,
 * which such a processor has too.
 *
 *     weights, 16 k of rows 0 .. 7, out[4*half + pair]     activations of 4 columns, out[2*half + pair]
 *     out[0]   | row 0, k 0-7  | row 1, k 0-7  |           out[0]   | column 0, k 0-7  | column 1, k 0-7  |
 *     out[1]   | row 2, k 0-7  | row 3, k 0-7  |           out[1]   | column 2, k 0-7  | column 3, k 0-7  |
 *     ..                                                   out[2]   | column 0, k 8-15 | column 1, k 8-15 |
 *     out[4]   | row 0, k 8-15 | row 1, k 8-15 |           out[3]   | column 2, k 8-15 | column 3, k 8-15 |
 *
 * Result vector v = 2*row pair + column pair = { row 0 column 0, row 0 column 1, row 1 column 0, row 1 column 1 }:
 * numbers of rows stand as {a, a, b, b}, of columns as {a, b, a, b}. */
#include "kernels.h"
#include "arm_formats.h"

/* ---- Panels ---- */

enum { PANELS_ROWVEC = 4, PANELS_COLVEC = 2 };

#define PANELS_ORDER ARM_BY_PAIR

INLINE int panels_place(int i, int quad) {
    return 4 * (i / 2) + 2 * quad + i % 2;
}

INLINE void panels_put_words(const uint32x4_t *w, int n, int quad, int8x16_t *out) {
    for (int half = 0; half < n / 2; half++) {
        uint32x4_t a = w[2 * half], b = w[2 * half + 1];
        out[4 * half + 2 * quad] = vreinterpretq_s8_u32(vzip1q_u32(a, b));
        out[4 * half + 2 * quad + 1] = vreinterpretq_s8_u32(vzip2q_u32(a, b));
    }
}

INLINE void panels_put_rows(int32x4_t v, int quad, int32x4_t *out) {
    out[2 * quad] = vzip1q_s32(v, v);
    out[2 * quad + 1] = vzip2q_s32(v, v);
}

INLINE void panels_put_columns(const float v[4], float32x4_t *out) {
    for (int i = 0; i < 2; i++) {
        float32x2_t pair = vld1_f32(v + 2 * i);
        out[i] = vcombine_f32(pair, pair);
    }
}

INLINE void panels_arrange(const int8x16_t x[4], int8x16_t *out) {
    for (int i = 0; i < 2; i++) {
        int64x2_t a = vreinterpretq_s64_s8(x[2 * i]), b = vreinterpretq_s64_s8(x[2 * i + 1]);
        out[i] = vreinterpretq_s8_s64(vzip1q_s64(a, b));
        out[2 + i] = vreinterpretq_s8_s64(vzip2q_s64(a, b));
    }
}

INLINE void panels_dot8(int32x4_t part[8], const int8x16_t *w, const int8x16_t *x, int half) {
    x += 2 * half;
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        part[2 * i] = vmmlaq_s32(part[2 * i], w[i], x[0]);
        part[2 * i + 1] = vmmlaq_s32(part[2 * i + 1], w[i], x[1]);
    }
}

/* Columns 2p, 2p + 1 and rows 4q .. + 3 of y are vectors 4q + p, 4q + 2 + p. */
INLINE void panels_load(float32x4_t acc[8], const float *y, size_t ldy) {
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        const float *at = y + (size_t)(i % 2 * 2) * ldy + 4 * (i / 2);
        float32x4_t a = vld1q_f32(at), b = vld1q_f32(at + ldy);
        acc[i / 2 * 4 + i % 2] = vzip1q_f32(a, b);
        acc[i / 2 * 4 + i % 2 + 2] = vzip2q_f32(a, b);
    }
}

INLINE void panels_store(const float32x4_t acc[8], float *y, size_t ldy) {
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        float *at = y + (size_t)(i % 2 * 2) * ldy + 4 * (i / 2);
        float32x4_t top = acc[i / 2 * 4 + i % 2], bottom = acc[i / 2 * 4 + i % 2 + 2];
        vst1q_f32(at, vuzp1q_f32(top, bottom));
        vst1q_f32(at + ldy, vuzp2q_f32(top, bottom));
    }
}

INLINE int32x4_t panels_of_row(const int32x4_t *rows, int v) {
    return rows[v / 2];
}

INLINE float32x4_t panels_scale(const float32x4_t *rows, const float32x4_t *columns, int v) {
    return vmulq_f32(rows[v / 2], columns[v % 2]);
}

INLINE float32x4_t panels_fma(float32x4_t acc, float32x4_t a, const float32x4_t *columns, int v) {
    return vfmaq_f32(acc, a, columns[v % 2]);
}

#include "panels.inc"

/* ---- Slots ---- */

extern const struct phi_kernels phi_kernels_dotprod;

#define MATMUL(NAME, name)                                                                                           \
    static void matmul_##name(const struct phi_matmul *m) {                                                          \
        if (m->n_col > 3)                                                                                            \
            panels_matmul(m, PHI_##NAME);                                                                            \
        else                                                                                                         \
            phi_kernels_dotprod.matmul[PHI_##NAME](m);                                                               \
    }
ARM_FORMATS(MATMUL)

#define ENTRY(NAME, name) .matmul[PHI_##NAME] = matmul_##name,
const struct phi_kernels phi_kernels_i8mm = {
    .name = "i8mm", .scratch_per_k = PANELS_SCRATCH_PER_K, ARM_FORMATS(ENTRY)};
