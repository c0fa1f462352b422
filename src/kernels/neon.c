/* The neon level: plain ARMv8.0, without dot product instructions or half-precision arithmetic.
 *
 * Here: the kernels over floats, the integer products that ARMv8.0 offers, and the table. The matrices of block
 * formats come from rows.inc, to which this file gives the products; how their bits become bytes stands in
 * arm_formats.h. Results are those of reference.c, bit for bit: vfmaq_f32 stands where it has fmaf, and nowhere else.
 */
#include "kernels.h"
#include "floats.h"
#include "arm_formats.h"

/* ---- Four values ---- */

INLINE float32x4_t load_f16x4(const uint16_t *p) {
    return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p)));
}

/* One number of half precision; f32_from_f16 has branches. */
INLINE float load_f16x1(const uint8_t *p) {
    uint16_t h;
    memcpy(&h, p, 2);
    return vgetq_lane_f32(vcvt_f32_f16(vreinterpret_f16_u16(vdup_n_u16(h))), 0);
}

/* floats_exp, operation by operation. */
INLINE float32x4_t exp4(float32x4_t x) {
    float32x4_t round = vdupq_n_f32(FLOATS_ROUND);
    float32x4_t t = vfmaq_f32(round, x, vdupq_n_f32(0x1.715476p+0f)), n = vsubq_f32(t, round);
    float32x4_t r = vfmaq_f32(x, n, vdupq_n_f32(-0x1.62e400p-1f));
    r = vfmaq_f32(r, n, vdupq_n_f32(-0x1.7f7d1cp-20f));
    float32x4_t p = vfmaq_f32(vdupq_n_f32(0x1.6c16c2p-10f), vdupq_n_f32(0x1.a01a02p-13f), r);
    p = vfmaq_f32(vdupq_n_f32(0x1.111112p-7f), p, r);
    p = vfmaq_f32(vdupq_n_f32(0x1.555556p-5f), p, r);
    p = vfmaq_f32(vdupq_n_f32(0x1.555556p-3f), p, r);
    p = vfmaq_f32(vdupq_n_f32(0.5f), p, r);
    p = vfmaq_f32(vdupq_n_f32(1.0f), p, r);
    p = vfmaq_f32(vdupq_n_f32(1.0f), p, r);
    uint32x4_t e = vaddq_u32(vreinterpretq_u32_f32(p), vshlq_n_u32(vreinterpretq_u32_f32(t), 23));
    e = vbicq_u32(e, vcltq_f32(x, vdupq_n_f32(-87.0f)));
    float32x4_t y = vbslq_f32(vcgtq_f32(x, vdupq_n_f32(88.0f)), vdupq_n_f32(INFINITY), vreinterpretq_f32_u32(e));
    return vbslq_f32(vceqq_f32(x, x), y, x);
}

/* ---- Activations ---- */

/* n: 32 or 256 values, the sums of q over stretches of `group` (32 or 16). */
INLINE void quantize(const float *x, int n, int8_t *q, float *scale, int16_t *sum, int group) {
    uint32x4_t u0 = vdupq_n_u32(0), u1 = u0, u2 = u0, u3 = u0, size = vdupq_n_u32(0x7fffffffu);
    for (int i = 0; i < n; i += 16) {
        u0 = vmaxq_u32(u0, vandq_u32(vreinterpretq_u32_f32(vld1q_f32(x + i)), size));
        u1 = vmaxq_u32(u1, vandq_u32(vreinterpretq_u32_f32(vld1q_f32(x + i + 4)), size));
        u2 = vmaxq_u32(u2, vandq_u32(vreinterpretq_u32_f32(vld1q_f32(x + i + 8)), size));
        u3 = vmaxq_u32(u3, vandq_u32(vreinterpretq_u32_f32(vld1q_f32(x + i + 12)), size));
    }
    uint32_t largest = vmaxvq_u32(vmaxq_u32(vmaxq_u32(u0, u1), vmaxq_u32(u2, u3)));
    float a = f32_from_bits(largest);
    if (largest >= 0x7f800000u || a < 0x1p-100f) {
        *scale = largest >= 0x7f800000u ? NAN : 0.0f;
        memset(q, 0, (size_t)n);
        memset(sum, 0, (size_t)(n / group) * sizeof *sum);
        return;
    }
    *scale = a / 127.0f;
    float32x4_t r = vdupq_n_f32(127.0f / a);
    int s = 0;
    for (int i = 0; i < n; i += 16) {
        int32x4_t a0 = vcvtnq_s32_f32(vmulq_f32(vld1q_f32(x + i), r));
        int32x4_t a1 = vcvtnq_s32_f32(vmulq_f32(vld1q_f32(x + i + 4), r));
        int32x4_t a2 = vcvtnq_s32_f32(vmulq_f32(vld1q_f32(x + i + 8), r));
        int32x4_t a3 = vcvtnq_s32_f32(vmulq_f32(vld1q_f32(x + i + 12), r));
        int16x8_t b0 = vcombine_s16(vmovn_s32(a0), vmovn_s32(a1)), b1 = vcombine_s16(vmovn_s32(a2), vmovn_s32(a3));
        vst1q_s8(q + i, vcombine_s8(vmovn_s16(b0), vmovn_s16(b1)));
        s += vaddvq_s16(vaddq_s16(b0, b1));
        if ((i + 16) % group == 0) {
            sum[i / group] = (int16_t)s;
            s = 0;
        }
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
    float lane[16];
    float32x4_t l0 = vdupq_n_f32(0), l1 = l0, l2 = l0, l3 = l0;
    int i = 0;
    for (; i + 16 <= n; i += 16) {
        float32x4_t a = vld1q_f32(x + i), b = vld1q_f32(x + i + 4), c = vld1q_f32(x + i + 8),
                    d = vld1q_f32(x + i + 12);
        l0 = vfmaq_f32(l0, a, a);
        l1 = vfmaq_f32(l1, b, b);
        l2 = vfmaq_f32(l2, c, c);
        l3 = vfmaq_f32(l3, d, d);
    }
    vst1q_f32(lane, l0);
    vst1q_f32(lane + 4, l1);
    vst1q_f32(lane + 8, l2);
    vst1q_f32(lane + 12, l3);
    for (; i < n; i++) lane[i % 16] = fmaf(x[i], x[i], lane[i % 16]);
    float r = 1.0f / sqrtf(floats_tree16(lane) / (float)n + eps);
    for (i = 0; i + 4 <= n; i += 4) vst1q_f32(y + i, vmulq_f32(vmulq_n_f32(vld1q_f32(x + i), r), vld1q_f32(w + i)));
    for (; i < n; i++) y[i] = (x[i] * r) * w[i];
}

static void rope(float *x, const float *c, const float *s, int n_half) {
    int i = 0;
    for (; i + 4 <= n_half; i += 4) {
        float32x4_t a = vld1q_f32(x + i), b = vld1q_f32(x + i + n_half), ci = vld1q_f32(c + i), si = vld1q_f32(s + i);
        vst1q_f32(x + i, vfmaq_f32(vnegq_f32(vmulq_f32(b, si)), a, ci));
        vst1q_f32(x + i + n_half, vfmaq_f32(vmulq_f32(a, si), b, ci));
    }
    for (; i < n_half; i++) {
        float a = x[i], b = x[i + n_half];
        x[i] = fmaf(a, c[i], -(b * s[i]));
        x[i + n_half] = fmaf(b, c[i], a * s[i]);
    }
}

static void swiglu(const float *g, const float *u, float *y, int n) {
    int i = 0;
    for (; i + 4 <= n; i += 4) {
        float32x4_t a = vld1q_f32(g + i), d = vaddq_f32(vdupq_n_f32(1.0f), exp4(vnegq_f32(a)));
        vst1q_f32(y + i, vmulq_f32(vdivq_f32(a, d), vld1q_f32(u + i)));
    }
    for (; i < n; i++) y[i] = (g[i] / (1.0f + floats_exp(-g[i]))) * u[i];
}

static void add(float *y, const float *x, int n) {
    int i = 0;
    for (; i + 4 <= n; i += 4) vst1q_f32(y + i, vaddq_f32(vld1q_f32(y + i), vld1q_f32(x + i)));
    for (; i < n; i++) y[i] = y[i] + x[i];
}

static void to_f16(const float *x, uint16_t *y, int n) {
    int i = 0;
    for (; i + 4 <= n; i += 4) vst1_u16(y + i, vreinterpret_u16_f16(vcvt_f16_f32(vld1q_f32(x + i))));
    for (; i < n; i++) y[i] = f16_from_f32(x[i]);
}

/* ---- Attention: scores, lane = key ---- */

/* Values i .. i + 3 of a cache of floats or halves. */
INLINE float32x4_t load_cache(const void *p, int type, size_t i) {
    return type == PHI_CACHE_F16 ? load_f16x4((const uint16_t *)p + i) : vld1q_f32((const float *)p + i);
}

/* nq queries with ng groups of 16 keys: 4 * nq * ng chains, of which the latency of an fma wants 8 or more. */
INLINE void score_tile(const struct phi_scores *a, int type, int i, int nq, int g, int ng) {
    size_t hd = (size_t)a->hd;
    const float *q = a->q + (size_t)i * hd;
    const uint8_t *key = (const uint8_t *)a->key + (size_t)g * PHI_KEY_GROUP * phi_cache_bytes(type, a->hd);
    float32x4_t acc[4][8];
    for (int t = 0; t < nq; t++)
        for (int v = 0; v < 4 * ng; v++) acc[t][v] = vdupq_n_f32(0);
    for (size_t d = 0; d < hd; d++)
        for (int v = 0; v < 4 * ng; v++) {
            float32x4_t k = load_cache(key, type, ((size_t)(v / 4) * hd + d) * PHI_KEY_GROUP + (size_t)(v % 4) * 4);
            for (int t = 0; t < nq; t++) acc[t][v] = vfmaq_n_f32(acc[t][v], k, q[(size_t)t * hd + d]);
        }
    for (int t = 0; t < nq; t++)
        for (int v = 0; v < 4 * ng; v++) {
            float *score = a->score + (size_t)(i + t) * a->ld_score + (size_t)(g * PHI_KEY_GROUP + 4 * v);
            vst1q_f32(score, vmulq_n_f32(acc[t][v], a->scale));
        }
}

INLINE void scores(const struct phi_scores *a, int type) {
    int i = 0, g;
    for (; i + 4 <= a->n_query; i += 4)
        for (g = 0; g < a->n_group; g++) score_tile(a, type, i, 4, g, 1);
    for (; i < a->n_query; i++) {
        for (g = 0; g + 2 <= a->n_group; g += 2) score_tile(a, type, i, 1, g, 2);
        if (g < a->n_group) score_tile(a, type, i, 1, g, 1);
    }
}

static void scores_f32(const struct phi_scores *a) {
    scores(a, PHI_CACHE_F32);
}

static void scores_f16(const struct phi_scores *a) {
    scores(a, PHI_CACHE_F16);
}

/* One query with 16 keys of int8. Dimensions d .. d + 3 of a key are neighbours, those of the query are repeated:
 *
 *     key    [ key 0: 0 1 2 3 | key 1: 0 1 2 3 | key 2: 0 1 2 3 | key 3: 0 1 2 3 ]
 *     query  [        0 1 2 3 |        0 1 2 3 |        0 1 2 3 |        0 1 2 3 ]
 *
 * Two products fill 16 bits; then four 32-bit lanes are two keys, half sums each. */
INLINE void score_q8_0(const int8_t *q, const float *dq, const uint8_t *key, int hd, float scale, float *score) {
    const uint8_t *dk = key + (size_t)hd * PHI_KEY_GROUP;
    float32x4_t acc[4] = {vdupq_n_f32(0), vdupq_n_f32(0), vdupq_n_f32(0), vdupq_n_f32(0)};
    for (int b = 0; b < hd / 32; b++, dk += 2 * PHI_KEY_GROUP) {
        int32x4_t half[8];
        for (int v = 0; v < 8; v++) half[v] = vdupq_n_s32(0);
        for (int d = 0; d < 32; d += 8, q += 8, key += 8 * PHI_KEY_GROUP) {
            int8x16_t q0 = vreinterpretq_s8_u32(vdupq_n_u32(load_u32((const uint8_t *)q)));
            int8x16_t q1 = vreinterpretq_s8_u32(vdupq_n_u32(load_u32((const uint8_t *)q + 4)));
            for (int v = 0; v < 4; v++) {
                int8x16_t k0 = vreinterpretq_s8_u8(vld1q_u8(key + 16 * v));
                int8x16_t k1 = vreinterpretq_s8_u8(vld1q_u8(key + 16 * v + 64));
                int16x8_t low = vmull_s8(vget_low_s8(k0), vget_low_s8(q0)), high = vmull_high_s8(k0, q0);
                half[2 * v] = vpadalq_s16(half[2 * v], vmlal_s8(low, vget_low_s8(k1), vget_low_s8(q1)));
                half[2 * v + 1] = vpadalq_s16(half[2 * v + 1], vmlal_high_s8(high, k1, q1));
            }
        }
        for (int v = 0; v < 4; v++) {
            float32x4_t d = vcvt_f32_f16(vreinterpret_f16_u8(vld1_u8(dk + 8 * v)));
            float32x4_t isum = vcvtq_f32_s32(vpaddq_s32(half[2 * v], half[2 * v + 1]));
            acc[v] = vfmaq_f32(acc[v], vmulq_n_f32(d, dq[b]), isum);
        }
    }
    for (int v = 0; v < 4; v++) vst1q_f32(score + 4 * v, vmulq_n_f32(acc[v], scale));
}

static void scores_q8_0(const struct phi_scores *a) {
    size_t hd = (size_t)a->hd, bytes = PHI_KEY_GROUP * phi_cache_bytes(PHI_CACHE_Q8_0, a->hd);
    for (int g = 0; g < a->n_group; g++)
        for (int i = 0; i < a->n_query; i++)
            score_q8_0(a->q8 + (size_t)i * hd, a->q8_scale + (size_t)i * (hd / 32),
                       (const uint8_t *)a->key + (size_t)g * bytes, a->hd, a->scale,
                       a->score + (size_t)i * a->ld_score + (size_t)g * PHI_KEY_GROUP);
}

/* ---- Attention: softmax ---- */

/* The largest of first <= j < end, as in the reference: with a NaN or zeros of both signs, the order decides. */
static float largest(const float *p, int first, int end) {
    float32x4_t v = vdupq_n_f32(p[first]);
    int j = first;
    for (; j + 4 <= end; j += 4) v = vmaxq_f32(v, vld1q_f32(p + j)); /* a NaN stays */
    for (; j < end; j++) v = vmaxq_f32(v, vdupq_n_f32(p[j]));
    float m = vmaxvq_f32(v);
    if (m < 0 || m > 0) return m;
    m = p[first];
    for (j = first + 1; j < end; j++) m = m > p[j] ? m : p[j];
    return m;
}

static void softmax(float *p, int first, int end, float *m, float *l) {
    float top = largest(p, first, end), lane[16];
    float32x4_t sum[4] = {vdupq_n_f32(0), vdupq_n_f32(0), vdupq_n_f32(0), vdupq_n_f32(0)};
    for (int at = first / 16 * 16; at < end; at += 16) { /* 16 positions, lane = position mod 16 */
        if (at >= first && at + 16 <= end) {
            for (int i = 0; i < 4; i++) {
                float32x4_t e = exp4(vsubq_f32(vld1q_f32(p + at + 4 * i), vdupq_n_f32(top)));
                vst1q_f32(p + at + 4 * i, e);
                sum[i] = vaddq_f32(sum[i], e);
            }
            continue;
        }
        /* Where no key is: exp(-infinity) = +0 changes no sum. It is NaN if top is infinite, but then so is the sum.
         */
        float part[16];
        int from = at < first ? first - at : 0, to = end - at < 16 ? end - at : 16;
        for (int i = 0; i < 16; i++) part[i] = i >= from && i < to ? p[at + i] : -INFINITY;
        for (int i = 0; i < 4; i++) {
            float32x4_t e = exp4(vsubq_f32(vld1q_f32(part + 4 * i), vdupq_n_f32(top)));
            vst1q_f32(part + 4 * i, e);
            sum[i] = vaddq_f32(sum[i], e);
        }
        for (int i = from; i < to; i++) p[at + i] = part[i];
    }
    for (int i = 0; i < 4; i++) vst1q_f32(lane + 4 * i, sum[i]);
    *m = top;
    *l = floats_tree16(lane);
}

/* ---- Attention: values, lane = dimension ---- */

/* 16 values of int8 as floats. */
INLINE void load_q8x16(const uint8_t *p, float32x4_t v[4]) {
    int8x16_t b = vreinterpretq_s8_u8(vld1q_u8(p));
    int16x8_t low = vmovl_s8(vget_low_s8(b)), high = vmovl_high_s8(b);
    v[0] = vcvtq_f32_s32(vmovl_s16(vget_low_s16(low)));
    v[1] = vcvtq_f32_s32(vmovl_high_s16(low));
    v[2] = vcvtq_f32_s32(vmovl_s16(vget_low_s16(high)));
    v[3] = vcvtq_f32_s32(vmovl_high_s16(high));
}

/* 4*nv dimensions from d on (Q8_0: nv is 4 or 8) for queries i .. i + nq - 1; they stay in registers over all keys.
 */
INLINE void value_tile(const struct phi_values *a, int type, int i, int nq, int d, int nv) {
    size_t bytes = phi_cache_bytes(type, a->hd);
    const uint8_t *value = (const uint8_t *)a->value + (size_t)a->first * bytes;
    const float *p = a->p + (size_t)i * a->ld_p;
    float *o = a->o + (size_t)i * a->ld_o + d;
    float32x4_t acc[4][8];
    for (int t = 0; t < nq; t++)
        for (int v = 0; v < nv; v++) acc[t][v] = vld1q_f32(o + (size_t)t * a->ld_o + 4 * v);
    for (int j = a->first; j < a->end; j++, value += bytes) {
        float32x4_t x[8];
        float dv = 1;
        if (type == PHI_CACHE_Q8_0) {
            dv = load_f16x1(value + a->hd + d / 32 * 2);
            for (int v = 0; v < nv; v += 4) load_q8x16(value + d + 4 * v, x + v);
        } else {
            for (int v = 0; v < nv; v++) x[v] = load_cache(value, type, (size_t)(d + 4 * v));
        }
        for (int t = 0; t < nq; t++) {
            float pt = p[(size_t)t * a->ld_p + (size_t)j];
            if (type == PHI_CACHE_Q8_0) pt *= dv;
            for (int v = 0; v < nv; v++) acc[t][v] = vfmaq_n_f32(acc[t][v], x[v], pt);
        }
    }
    for (int t = 0; t < nq; t++)
        for (int v = 0; v < nv; v++) vst1q_f32(o + (size_t)t * a->ld_o + 4 * v, acc[t][v]);
}

/* The dimensions behind the last four; a head of a Q8_0 cache has none. */
INLINE void value_rest(const struct phi_values *a, int type, int i, int d) {
    for (; d < a->hd; d++) {
        float *o = a->o + (size_t)i * a->ld_o + d;
        for (int j = a->first; j < a->end; j++) {
            size_t at = (size_t)j * (size_t)a->hd + (size_t)d;
            float v = type == PHI_CACHE_F16 ? f32_from_f16(((const uint16_t *)a->value)[at])
                                            : ((const float *)a->value)[at];
            *o = fmaf(a->p[(size_t)i * a->ld_p + (size_t)j], v, *o);
        }
    }
}

INLINE void values(const struct phi_values *a, int type) {
    int i = 0, d;
    for (; i + 4 <= a->n_query; i += 4) {
        for (d = 0; d + 16 <= a->hd; d += 16) value_tile(a, type, i, 4, d, 4);
        if (type == PHI_CACHE_Q8_0) continue;
        for (; d + 4 <= a->hd; d += 4) value_tile(a, type, i, 4, d, 1);
        for (int t = 0; t < 4; t++) value_rest(a, type, i + t, d);
    }
    for (; i < a->n_query; i++) {
        for (d = 0; d + 32 <= a->hd; d += 32) value_tile(a, type, i, 1, d, 8);
        if (type == PHI_CACHE_Q8_0) continue;
        for (; d + 4 <= a->hd; d += 4) value_tile(a, type, i, 1, d, 1);
        value_rest(a, type, i, d);
    }
}

static void values_f32(const struct phi_values *a) {
    values(a, PHI_CACHE_F32);
}

static void values_f16(const struct phi_values *a) {
    values(a, PHI_CACHE_F16);
}

static void values_q8_0(const struct phi_values *a) {
    values(a, PHI_CACHE_Q8_0);
}

static void fold(float *o, const float *o_b, int hd, float a, float c) {
    int d = 0;
    for (; d + 4 <= hd; d += 4) {
        float32x4_t v = vmulq_n_f32(vld1q_f32(o + d), a);
        vst1q_f32(o + d, vfmaq_n_f32(v, vld1q_f32(o_b + d), c));
    }
    for (; d < hd; d++) o[d] = fmaf(o_b[d], c, o[d] * a);
}

/* ---- Matrices of plain numbers: 16 virtual lanes for each output, as four vectors ---- */

/* Weights i .. i + 3 of a row: the bytes have no alignment. */
INLINE float32x4_t load_plain(const uint8_t *w, enum phi_type_index type, int i) {
    if (type == PHI_F32) return vreinterpretq_f32_u8(vld1q_u8(w + 4 * (size_t)i));
    uint16x4_t h = vreinterpret_u16_u8(vld1_u8(w + 2 * (size_t)i));
    return type == PHI_F16 ? vcvt_f32_f16(vreinterpret_f16_u16(h)) : vreinterpretq_f32_u32(vshll_n_u16(h, 16));
}

INLINE float load_plain1(const uint8_t *w, enum phi_type_index type, int i) {
    return type == PHI_F32   ? load_f32(w + 4 * (size_t)i)
           : type == PHI_F16 ? load_f16(w + 2 * (size_t)i)
                             : load_bf16(w + 2 * (size_t)i);
}

/* n_row x n_col outputs, at most 4 of them: 16 registers of lanes. */
INLINE void plain_tile(const struct phi_matmul *m, enum phi_type_index type, int r, int n_row, int c, int n_col) {
    float32x4_t acc[4][4];
    const uint8_t *w = m->w + (size_t)r * m->row_bytes;
    const float *x = m->x->f + (size_t)(m->col + c) * (size_t)m->k;
    for (int t = 0; t < n_row * n_col; t++)
        for (int v = 0; v < 4; v++) acc[t][v] = vdupq_n_f32(0);
    int i = 0;
    for (; i + 16 <= m->k; i += 16)
        for (int v = 0; v < 4; v++)
            for (int rr = 0; rr < n_row; rr++) {
                float32x4_t a = load_plain(w + (size_t)rr * m->row_bytes, type, i + 4 * v);
                for (int cc = 0; cc < n_col; cc++) {
                    float32x4_t b = vld1q_f32(x + (size_t)cc * (size_t)m->k + i + 4 * v);
                    acc[rr * n_col + cc][v] = vfmaq_f32(acc[rr * n_col + cc][v], a, b);
                }
            }
    for (int rr = 0; rr < n_row; rr++)
        for (int cc = 0; cc < n_col; cc++) {
            float lane[16];
            for (int v = 0; v < 4; v++) vst1q_f32(lane + 4 * v, acc[rr * n_col + cc][v]);
            for (int j = i; j < m->k; j++)
                lane[j % 16] = fmaf(load_plain1(w + (size_t)rr * m->row_bytes, type, j),
                                    x[(size_t)cc * (size_t)m->k + (size_t)j], lane[j % 16]);
            m->y[(size_t)(c + cc) * m->ldy + (size_t)(r + rr)] = floats_tree16(lane);
        }
}

INLINE void plain(const struct phi_matmul *m, enum phi_type_index type) {
    int r = 0;
    for (; r + 2 <= m->n_row; r += 2) {
        int c = 0;
        for (; c + 2 <= m->n_col; c += 2) plain_tile(m, type, r, 2, c, 2);
        if (c < m->n_col) plain_tile(m, type, r, 2, c, 1);
    }
    if (r < m->n_row)
        for (int c = 0; c < m->n_col; c++) plain_tile(m, type, r, 1, c, 1);
}

static void matmul_f32(const struct phi_matmul *m) {
    plain(m, PHI_F32);
}

static void matmul_f16(const struct phi_matmul *m) {
    plain(m, PHI_F16);
}

static void matmul_bf16(const struct phi_matmul *m) {
    plain(m, PHI_BF16);
}

/* ---- Matrices of block formats: the products ----
 *
 * vmull_s8 multiplies 8 bytes of a row with 8 of a column into 8 lanes of 16 bits, vmlal_s8 adds to them; pairwise
 * additions then bring the lanes of four rows together. How much a lane holds (|x| <= 127; at most 32767 fit):
 *
 *     |weight| <= 16    16 x 2032  = 32512    4 by multiplication, then two pairwise additions
 *     |weight| <= 32     8 x 4064  = 32512    2 by multiplication, then two pairwise additions
 *     |weight| <= 128    2 x 16256 = 32512    2 by multiplication, then 32 bits
 */

/* {a, b, c, d}: the sums of the lanes of each. */
INLINE int32x4_t lanes_of_rows(int16x8_t a, int16x8_t b, int16x8_t c, int16x8_t d) {
    return vpaddlq_s16(vpaddq_s16(vpaddq_s16(a, b), vpaddq_s16(c, d)));
}

INLINE int16x8_t multiply16(int8x16_t w, int8x16_t x) {
    return vmlal_high_s8(vmull_s8(vget_low_s8(w), vget_low_s8(x)), w, x);
}

INLINE int16x8_t multiply32(const int8x16_t w[2], int8x16_t x0, int8x16_t x1) {
    return vmlal_high_s8(vmlal_s8(multiply16(w[0], x0), vget_low_s8(w[1]), vget_low_s8(x1)), w[1], x1);
}

INLINE int32x4_t multiply_wide(const int8x16_t w[2], int8x16_t x0, int8x16_t x1) {
    return vpadalq_s16(vpaddlq_s16(multiply16(w[0], x0)), multiply16(w[1], x1));
}

INLINE int32x4_t dot32_small(const struct arm_quad *w, int8x16_t x0, int8x16_t x1) {
    return lanes_of_rows(multiply32(w->w[0], x0, x1), multiply32(w->w[1], x0, x1), multiply32(w->w[2], x0, x1),
                         multiply32(w->w[3], x0, x1));
}

INLINE int32x4_t dot16(const struct arm_quad *w, int p, int8x16_t x) {
    return lanes_of_rows(multiply16(w->w[0][p], x), multiply16(w->w[1][p], x), multiply16(w->w[2][p], x),
                         multiply16(w->w[3][p], x));
}

INLINE int32x4_t dot32_wide(const struct arm_quad *w, int8x16_t x0, int8x16_t x1) {
    int32x4_t ab = vpaddq_s32(multiply_wide(w->w[0], x0, x1), multiply_wide(w->w[1], x0, x1));
    int32x4_t cd = vpaddq_s32(multiply_wide(w->w[2], x0, x1), multiply_wide(w->w[3], x0, x1));
    return vpaddq_s32(ab, cd);
}

/* Not every byte fits: Q5_1 and Q5_K come 16 smaller. */
enum { ROWS_ANY_BYTE = 0 };
#include "rows.inc"

/* The loops over unpacked blocks, a copy for each kind of block. */
#define SLAB(NAME, name)                                                                                             \
    static void slab_##name(const struct phi_matmul *m, int r0, int end, size_t size) {                              \
        rows_slab(m, PHI_##NAME, r0, end, size);                                                                     \
    }
SLAB(Q4_0, q4_0)
SLAB(Q4_1, q4_1)
SLAB(Q5_1, q5_1)
SLAB(Q8_0, q8_0)
SLAB(Q2_K, q2_k)
SLAB(Q4_K, q4_k)
SLAB(Q5_K, q5_k)
SLAB(Q6_K, q6_k)
SLAB(IQ4_XS, iq4_xs)
#define slab_q5_0 slab_q4_0
#define slab_iq4_nl slab_q8_0
#define slab_q3_k slab_q6_k

#define MATMUL(NAME, name)                                                                                           \
    static void matmul_##name(const struct phi_matmul *m) {                                                          \
        rows_matmul(m, PHI_##NAME, slab_##name);                                                                     \
    }
ARM_FORMATS(MATMUL)

#define ENTRY(NAME, name) .matmul[PHI_##NAME] = matmul_##name,
const struct phi_kernels phi_kernels_neon = {
    .name = "neon",
    .scratch_per_k = ROWS_SCRATCH_PER_K,
    .matmul[PHI_F32] = matmul_f32,
    .matmul[PHI_F16] = matmul_f16,
    .matmul[PHI_BF16] = matmul_bf16,
    ARM_FORMATS(ENTRY).quantize_q8_32 = quantize_q8_32,
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
};
