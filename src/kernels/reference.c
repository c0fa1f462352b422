/* The definition of every kernel, in plain C, as short as it can be.
 *
 * Compiled once as the level "scalar", and once more with the flags of each other level (-DPHI_REFERENCE=...): the
 * same bits, and the stand-in for slots that the level leaves empty. */
#include "kernels.h"
#include "floats.h"

#ifndef PHI_REFERENCE
#define PHI_REFERENCE phi_reference_scalar
#endif

/* ---- Matrices: one output at a time ---- */

#define BLOCK(NAME, name, id, block, bytes, act)                                                                     \
    static void matmul_##name(const struct phi_matmul *m) {                                                          \
        int group = (act) == PHI_ACT_Q8_32 ? PHI_SUM_GROUP_32 : PHI_SUM_GROUP_256;                                   \
        for (int c = 0; c < m->n_col; c++)                                                                           \
            for (int r = 0; r < m->n_row; r++) {                                                                     \
                const uint8_t *w = m->w + (size_t)r * m->row_bytes;                                                  \
                size_t at = (size_t)(m->col + c) * (size_t)m->k;                                                     \
                float acc = 0;                                                                                       \
                for (int b = 0; b < m->k / (block); b++, w += (bytes), at += (block))                                \
                    acc =                                                                                            \
                        name##_dot(w, m->x->q + at, m->x->sum + at / (size_t)group, m->x->scale[at / (block)], acc); \
                m->y[(size_t)c * m->ldy + (size_t)r] = acc;                                                          \
            }                                                                                                        \
    }

#define PLAIN(NAME, name, id, bytes)                                                                                 \
    static void matmul_##name(const struct phi_matmul *m) {                                                          \
        for (int c = 0; c < m->n_col; c++)                                                                           \
            for (int r = 0; r < m->n_row; r++) {                                                                     \
                const uint8_t *w = m->w + (size_t)r * m->row_bytes;                                                  \
                const float *x = m->x->f + (size_t)(m->col + c) * (size_t)m->k;                                      \
                float lane[16] = {0};                                                                                \
                for (int i = 0; i < m->k; i++, w += (bytes)) {                                                       \
                    float v;                                                                                         \
                    name##_decode(w, &v);                                                                            \
                    lane[i % 16] = fmaf(v, x[i], lane[i % 16]);                                                      \
                }                                                                                                    \
                m->y[(size_t)c * m->ldy + (size_t)r] = floats_tree16(lane);                                          \
            }                                                                                                        \
    }
#include "../quant/quant.def"

/* ---- Activations ---- */

/* One group of n values, the sums of q over stretches of `group`. */
static void quantize(const float *x, int n, int8_t *q, float *scale, int16_t *sum, int group) {
    uint32_t largest = 0;
    for (int i = 0; i < n; i++) {
        uint32_t u = f32_bits(x[i]) & 0x7fffffffu;
        if (u > largest) largest = u;
    }
    float a = f32_from_bits(largest), r = 0;
    if (largest >= 0x7f800000u) {
        *scale = NAN;
    } else if (a < 0x1p-100f) {
        *scale = 0;
    } else {
        *scale = a / 127.0f;
        r = 127.0f / a;
    }
    for (int i = 0; i < n; i++) q[i] = r == 0 ? 0 : (int8_t)floats_nearest(x[i] * r);
    for (int g = 0; g < n / group; g++) {
        int s = 0;
        for (int i = 0; i < group; i++) s += q[g * group + i];
        sum[g] = (int16_t)s;
    }
}

static void quantize_q8_32(const float *x, int k, int8_t *q, float *scale, int16_t *sum) {
    for (int i = 0; i < k; i += 32) quantize(x + i, 32, q + i, scale++, sum++, PHI_SUM_GROUP_32);
}

static void quantize_q8_256(const float *x, int k, int8_t *q, float *scale, int16_t *sum) {
    for (int i = 0; i < k; i += 256, sum += 16) quantize(x + i, 256, q + i, scale++, sum, PHI_SUM_GROUP_256);
}

/* ---- The rest of a layer ---- */

static void rms_norm(const float *x, const float *w, float *y, int n, float eps) {
    float lane[16] = {0};
    for (int i = 0; i < n; i++) lane[i % 16] = fmaf(x[i], x[i], lane[i % 16]);
    float r = 1.0f / sqrtf(floats_tree16(lane) / (float)n + eps);
    for (int i = 0; i < n; i++) y[i] = (x[i] * r) * w[i];
}

static void rope(float *x, const float *c, const float *s, int n_half) {
    for (int i = 0; i < n_half; i++) {
        float a = x[i], b = x[i + n_half];
        x[i] = fmaf(a, c[i], -(b * s[i]));
        x[i + n_half] = fmaf(b, c[i], a * s[i]);
    }
}

static void swiglu(const float *g, const float *u, float *y, int n) {
    for (int i = 0; i < n; i++) y[i] = (g[i] / (1.0f + floats_exp(-g[i]))) * u[i];
}

static void add(float *y, const float *x, int n) {
    for (int i = 0; i < n; i++) y[i] = y[i] + x[i];
}

static void to_f16(const float *x, uint16_t *y, int n) {
    for (int i = 0; i < n; i++) y[i] = f16_from_f32(x[i]);
}

/* ---- Attention ---- */

static void scores_f32(const struct phi_scores *a) {
    for (int i = 0; i < a->n_query; i++)
        for (int j = 0; j < a->n_group * PHI_KEY_GROUP; j++) {
            const float *q = a->q + (size_t)i * (size_t)a->hd;
            const float *k = (const float *)a->key + (size_t)(j / PHI_KEY_GROUP * a->hd) * PHI_KEY_GROUP + j % PHI_KEY_GROUP;
            float acc = 0;
            for (int d = 0; d < a->hd; d++) acc = fmaf(q[d], k[d * PHI_KEY_GROUP], acc);
            a->score[(size_t)i * a->ld_score + (size_t)j] = acc * a->scale;
        }
}

static void scores_f16(const struct phi_scores *a) {
    for (int i = 0; i < a->n_query; i++)
        for (int j = 0; j < a->n_group * PHI_KEY_GROUP; j++) {
            const float *q = a->q + (size_t)i * (size_t)a->hd;
            const uint16_t *k = (const uint16_t *)a->key + (size_t)(j / PHI_KEY_GROUP * a->hd) * PHI_KEY_GROUP + j % PHI_KEY_GROUP;
            float acc = 0;
            for (int d = 0; d < a->hd; d++) acc = fmaf(q[d], f32_from_f16(k[d * PHI_KEY_GROUP]), acc);
            a->score[(size_t)i * a->ld_score + (size_t)j] = acc * a->scale;
        }
}

static void scores_q8_0(const struct phi_scores *a) {
    size_t group_bytes = PHI_KEY_GROUP * phi_cache_bytes(PHI_CACHE_Q8_0, a->hd);
    for (int i = 0; i < a->n_query; i++)
        for (int j = 0; j < a->n_group * PHI_KEY_GROUP; j++) {
            const int8_t *q = a->q8 + (size_t)i * (size_t)a->hd;
            const uint8_t *group = (const uint8_t *)a->key + (size_t)(j / PHI_KEY_GROUP) * group_bytes;
            const int8_t *k = (const int8_t *)group + j % PHI_KEY_GROUP * 4;
            const uint8_t *dk = group + (size_t)a->hd * PHI_KEY_GROUP + j % PHI_KEY_GROUP * 2;
            float acc = 0;
            for (int b = 0; b < a->hd / 32; b++) {
                int32_t isum = 0;
                for (int d = 32 * b; d < 32 * b + 32; d++) isum += k[d / 4 * 4 * PHI_KEY_GROUP + d % 4] * q[d];
                float scale = load_f16(dk + b * 2 * PHI_KEY_GROUP) * a->q8_scale[(size_t)i * (size_t)(a->hd / 32) + (size_t)b];
                acc = fmaf(scale, (float)isum, acc);
            }
            a->score[(size_t)i * a->ld_score + (size_t)j] = acc * a->scale;
        }
}

static void softmax(float *p, int first, int end, float *m, float *l) {
    float largest = p[first], lane[16] = {0};
    for (int j = first + 1; j < end; j++) largest = largest > p[j] ? largest : p[j];
    for (int j = first; j < end; j++) {
        p[j] = floats_exp(p[j] - largest);
        lane[j % 16] = lane[j % 16] + p[j];
    }
    *m = largest;
    *l = floats_tree16(lane);
}

static void values_f32(const struct phi_values *a) {
    for (int i = 0; i < a->n_query; i++)
        for (int j = a->first; j < a->end; j++) {
            const float *v = (const float *)a->value + (size_t)j * (size_t)a->hd;
            float p = a->p[(size_t)i * a->ld_p + (size_t)j], *o = a->o + (size_t)i * a->ld_o;
            for (int d = 0; d < a->hd; d++) o[d] = fmaf(p, v[d], o[d]);
        }
}

static void values_f16(const struct phi_values *a) {
    for (int i = 0; i < a->n_query; i++)
        for (int j = a->first; j < a->end; j++) {
            const uint16_t *v = (const uint16_t *)a->value + (size_t)j * (size_t)a->hd;
            float p = a->p[(size_t)i * a->ld_p + (size_t)j], *o = a->o + (size_t)i * a->ld_o;
            for (int d = 0; d < a->hd; d++) o[d] = fmaf(p, f32_from_f16(v[d]), o[d]);
        }
}

static void values_q8_0(const struct phi_values *a) {
    for (int i = 0; i < a->n_query; i++)
        for (int j = a->first; j < a->end; j++) {
            const uint8_t *row = (const uint8_t *)a->value + (size_t)j * phi_cache_bytes(PHI_CACHE_Q8_0, a->hd);
            const int8_t *v = (const int8_t *)row;
            float p = a->p[(size_t)i * a->ld_p + (size_t)j], *o = a->o + (size_t)i * a->ld_o;
            for (int d = 0; d < a->hd; d++) o[d] = fmaf(p * load_f16(row + a->hd + d / 32 * 2), (float)v[d], o[d]);
        }
}

static void fold(float *o, const float *o_b, int hd, float a, float c) {
    for (int d = 0; d < hd; d++) o[d] = fmaf(o_b[d], c, o[d] * a);
}

/* ---- A measure of the machine ---- */

#include "peak.inc"

extern const struct phi_kernels PHI_REFERENCE;
const struct phi_kernels PHI_REFERENCE = {
    .name = "scalar",
    .matmul =
        {
#define BLOCK(NAME, name, id, block, bytes, act) [PHI_##NAME] = matmul_##name,
#define PLAIN(NAME, name, id, bytes) [PHI_##NAME] = matmul_##name,
#include "../quant/quant.def"
        },
    .quantize_q8_32 = quantize_q8_32,
    .quantize_q8_256 = quantize_q8_256,
    .rms_norm = rms_norm,
    .rope = rope,
    .swiglu = swiglu,
    .add = add,
    .f16_from_f32 = to_f16,
    .scores = {scores_f32, scores_f16, scores_q8_0},
    .softmax = softmax,
    .values = {values_f32, values_f16, values_q8_0},
    .fold = fold,
    .peak = peak,
};
