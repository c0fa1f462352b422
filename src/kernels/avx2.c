/* The avx2 level: AVX2, FMA and F16C (x86-64 since 2013). Vector primitives for slab.inc and lanes.inc, and the
 * table. */
#include "kernels.h"
#include "floats.h"

#include "ymm.inc"

/* ---- Primitives of slab.inc ----
 *
 *   vpmaddubsw: unsigned weight bytes times signed q, neighbours added: 2 int16 a row
 *       w3*q3 + w2*q2 | w1*q1 + w0*q0
 *   which may be added in int16 while they cannot overflow: 254 * largest weight byte * number of words <= 32767,
 * that is 8 words for 0..15, 4 for 0..31, 2 for 0..63. vpmaddwd then makes an int32 of the two, times the sub-block's
 * scale. Bytes with a sign (Q8_0): |w| against q with the sign of w; one word, at most 2 * 128 * 127 = 32,512. */

/* 3 x 4: 12 parts, 3 words and a q are all registers. 2 x 4 is slower by 7 % (512 columns of Q4_0), 2 x 6 by 5 %, and
 * uneven for 4 and 8 columns. */
enum { SLAB_TILE = 3, SLAB_GROUP = 12, SLAB_COLUMNS = 4, SLAB_PIECE = 1024, SLAB_NARROW = 1 };

struct slab_format;
struct slab_shape;
struct slab_sums;
static INLINE int slab_few(const struct phi_matmul *m, const struct slab_format *f);
static INLINE int word_bias(const struct slab_format *f);
static INLINE int part_room(const struct slab_shape *f);
static INLINE int part_starts(const struct slab_shape *f);
static INLINE vword word_keep(vword v, const struct slab_format *f);
static INLINE void sums_take(struct slab_sums *to, const int16_t *sum, const struct slab_shape *f, int bias);
static INLINE vpart word_dot(vpart p, vword w, const int8_t *q, const struct slab_shape *f);

static INLINE vscale scale_of(vword v, int j) {
    return fix_of(v, j, j);
}

/* Half of it in each int16. From Q4_0's start of -4 * sum of q, one ends at (its 16 weights times q) + 4 * (its 16 q
 * - the other 16 q): at most 8 * 127 * 16 + 4 * 127 * 32 = 32,512, wherever it wraps around on its way. */
static INLINE vpart part_start(int n) {
    return _mm256_set1_epi16((int16_t)(n / 2));
}

static INLINE vint part_add(vint s, vpart p) {
    return _mm256_add_epi32(s, _mm256_madd_epi16(p, _mm256_set1_epi16(1)));
}

static INLINE vint part_add_scaled(vint s, vpart p, vscale scale) {
    return _mm256_add_epi32(s, _mm256_madd_epi16(p, scale));
}

static INLINE vint fix_add(vint s, vfix fix, const int16_t *sum) {
    return _mm256_add_epi32(s, _mm256_madd_epi16(load_pair(sum), fix));
}

#include "slab.inc"

static INLINE vword word_keep(vword v, const struct slab_format *f) {
    (void)f;
    return v;
}

static INLINE int word_bias(const struct slab_format *f) {
    return f->bias;
}

static INLINE int part_room(const struct slab_shape *f) {
    return 32767 / (254 * f->largest);
}

static INLINE int part_starts(const struct slab_shape *f) {
    return f->block == 32 && f->is_biased && f->largest <= 15;
}

static INLINE void sums_take(struct slab_sums *to, const int16_t *sum, const struct slab_shape *f, int bias) {
    (void)bias;
    if (f->sub == 32) {
        __m256i v = _mm256_madd_epi16(_mm256_loadu_si256((const __m256i *)(const void *)sum), _mm256_set1_epi16(1));
        _mm_storeu_si128((__m128i *)(void *)to->pair,
                         _mm_packs_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1)));
    }
}

/* In this order for gcc, which would make products for later first, and run out of registers; clang does well alone.
 */
static INLINE vpart word_dot(vpart p, vword w, const int8_t *q, const struct slab_shape *f) {
    __m256i a = load_q(q);
    p = _mm256_add_epi16(p, f->is_signed ? _mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(a, w))
                                         : _mm256_maddubs_epi16(w, a));
#ifndef __clang__
    __asm__ volatile("" : "+x"(p));
#endif
    return p;
}

/* ---- Few columns ---- */

#include "ymm_rows.inc"

/* ---- Primitives of lanes.inc: 16 floats in two YMM registers ---- */

struct lanes {
    __m256 a, b; /* 0..7, 8..15 */
};

enum { LANES_ROWS = 4, LANES_COLUMNS = 2, LANES_QUERIES = 4 };

static INLINE struct lanes lanes_set(float f) {
    return (struct lanes){_mm256_set1_ps(f), _mm256_set1_ps(f)};
}

static INLINE struct lanes lanes_load(const void *p) {
    return (struct lanes){_mm256_loadu_ps(p), _mm256_loadu_ps((const float *)p + 8)};
}

static INLINE void lanes_store(float *p, struct lanes x) {
    _mm256_storeu_ps(p, x.a);
    _mm256_storeu_ps(p + 8, x.b);
}

/* All bits of the lanes i from <= i + start < end. */
static INLINE __m256i lanes_mask(int start, int from, int end) {
    __m256i i = _mm256_add_epi32(_mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7), _mm256_set1_epi32(start));
    return _mm256_andnot_si256(_mm256_cmpgt_epi32(_mm256_set1_epi32(from), i),
                               _mm256_cmpgt_epi32(_mm256_set1_epi32(end), i));
}

/* vmaskmovps touches no memory behind a lane that is off. */
static INLINE struct lanes lanes_load_part(const float *p, int from, int end, float fill) {
    __m256i ma = lanes_mask(0, from, end), mb = lanes_mask(8, from, end);
    __m256 f = _mm256_set1_ps(fill);
    return (struct lanes){_mm256_blendv_ps(f, _mm256_maskload_ps(p, ma), _mm256_castsi256_ps(ma)),
                          _mm256_blendv_ps(f, _mm256_maskload_ps(p + 8, mb), _mm256_castsi256_ps(mb))};
}

static INLINE void lanes_store_part(float *p, struct lanes x, int from, int end) {
    _mm256_maskstore_ps(p, lanes_mask(0, from, end), x.a);
    _mm256_maskstore_ps(p + 8, lanes_mask(8, from, end), x.b);
}

static INLINE __m128i load_16(const uint8_t *p) {
    return _mm_loadu_si128((const __m128i *)(const void *)p);
}

static INLINE struct lanes lanes_from_f16(const uint8_t *p) {
    return (struct lanes){_mm256_cvtph_ps(load_16(p)), _mm256_cvtph_ps(load_16(p + 16))};
}

static INLINE struct lanes lanes_from_bf16(const uint8_t *p) {
    return (struct lanes){_mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(load_16(p)), 16)),
                          _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(load_16(p + 16)), 16))};
}

static INLINE __m256 floats_from_i8(const uint8_t *p) {
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)p)));
}

static INLINE struct lanes lanes_from_i8(const uint8_t *p) {
    return (struct lanes){floats_from_i8(p), floats_from_i8(p + 8)};
}

static INLINE void lanes_to_f16(uint16_t *p, struct lanes x) {
    _mm_storeu_si128((__m128i *)(void *)p, _mm256_cvtps_ph(x.a, _MM_FROUND_TO_NEAREST_INT));
    _mm_storeu_si128((__m128i *)(void *)(p + 8), _mm256_cvtps_ph(x.b, _MM_FROUND_TO_NEAREST_INT));
}

static INLINE struct lanes lanes_add(struct lanes x, struct lanes y) {
    return (struct lanes){_mm256_add_ps(x.a, y.a), _mm256_add_ps(x.b, y.b)};
}

static INLINE struct lanes lanes_sub(struct lanes x, struct lanes y) {
    return (struct lanes){_mm256_sub_ps(x.a, y.a), _mm256_sub_ps(x.b, y.b)};
}

static INLINE struct lanes lanes_mul(struct lanes x, struct lanes y) {
    return (struct lanes){_mm256_mul_ps(x.a, y.a), _mm256_mul_ps(x.b, y.b)};
}

static INLINE struct lanes lanes_div(struct lanes x, struct lanes y) {
    return (struct lanes){_mm256_div_ps(x.a, y.a), _mm256_div_ps(x.b, y.b)};
}

static INLINE struct lanes lanes_fma(struct lanes x, struct lanes y, struct lanes z) {
    return (struct lanes){_mm256_fmadd_ps(x.a, y.a, z.a), _mm256_fmadd_ps(x.b, y.b, z.b)};
}

static INLINE struct lanes lanes_max(struct lanes x, struct lanes y) {
    return (struct lanes){_mm256_max_ps(x.a, y.a), _mm256_max_ps(x.b, y.b)};
}

static INLINE struct lanes lanes_if_less(struct lanes x, struct lanes y, struct lanes yes, struct lanes no) {
    return (struct lanes){_mm256_blendv_ps(no.a, yes.a, _mm256_cmp_ps(x.a, y.a, _CMP_LT_OQ)),
                          _mm256_blendv_ps(no.b, yes.b, _mm256_cmp_ps(x.b, y.b, _CMP_LT_OQ))};
}

static INLINE __m256 add_exponent(__m256 x, __m256 t) {
    return _mm256_castsi256_ps(
        _mm256_add_epi32(_mm256_castps_si256(x), _mm256_slli_epi32(_mm256_castps_si256(t), 23)));
}

static INLINE struct lanes lanes_add_exponent(struct lanes x, struct lanes t) {
    return (struct lanes){add_exponent(x.a, t.a), add_exponent(x.b, t.b)};
}

static INLINE float lanes_tree(struct lanes x) {
    __m256 s8 = _mm256_add_ps(x.a, x.b);
    __m128 s4 = _mm_add_ps(_mm256_castps256_ps128(s8), _mm256_extractf128_ps(s8, 1));
    __m128 s2 = _mm_add_ps(s4, _mm_movehl_ps(s4, s4));
    return _mm_cvtss_f32(_mm_add_ss(s2, _mm_shuffle_ps(s2, s2, 1)));
}

#include "lanes.inc"

/* ---- Activations ---- */

/* Sums of the 16 bytes of each half, in lanes 0 and 4. */
static INLINE __m256i sum_halves(__m256i q) {
    __m256i s = _mm256_madd_epi16(_mm256_maddubs_epi16(_mm256_set1_epi8(1), q), _mm256_set1_epi16(1));
    s = _mm256_add_epi32(s, _mm256_shuffle_epi32(s, 0x4e));
    return _mm256_add_epi32(s, _mm256_shuffle_epi32(s, 0xb1));
}

/* The unsigned maximum of the bits without sign: a signed one, since they have no sign. */
static INLINE float largest_size(const float *x, int n) {
    const __m256i size = _mm256_set1_epi32(0x7fffffff);
    __m256i m = _mm256_setzero_si256();
    for (int i = 0; i < n; i += 8)
        m = _mm256_max_epi32(m, _mm256_and_si256(_mm256_castps_si256(_mm256_loadu_ps(x + i)), size));
    __m128i h = _mm_max_epi32(_mm256_castsi256_si128(m), _mm256_extracti128_si256(m, 1));
    h = _mm_max_epi32(h, _mm_shuffle_epi32(h, 0x4e));
    h = _mm_max_epi32(h, _mm_shuffle_epi32(h, 0xb1));
    return _mm_cvtss_f32(_mm_castsi128_ps(h));
}

/* The factor for a group whose largest size is a; 0: all q are 0. */
static INLINE float quantize_factor(float a, float *scale) {
    if (f32_bits(a) >= 0x7f800000u) {
        *scale = NAN;
        return 0;
    }
    if (a < 0x1p-100f) {
        *scale = 0;
        return 0;
    }
    *scale = a / 127.0f;
    return 127.0f / a;
}

/* vcvtps2dq rounds to nearest, ties to even; two packs interleave the halves, the permutation puts them in order. */
static INLINE __m256i quantize_32(const float *x, float r) {
    if (r == 0) return _mm256_setzero_si256();
    __m256i v[4];
    UNROLL for (int i = 0; i < 4; i++) v[i] =
        _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x + 8 * i), _mm256_set1_ps(r)));
    __m256i q = _mm256_packs_epi16(_mm256_packs_epi32(v[0], v[1]), _mm256_packs_epi32(v[2], v[3]));
    return _mm256_permutevar8x32_epi32(q, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
}

static void quantize_q8_32(const float *x, int k, int8_t *q, float *scale, int16_t *sum) {
    for (int i = 0; i < k; i += 32) {
        float r = quantize_factor(largest_size(x + i, 32), scale++);
        __m256i v = quantize_32(x + i, r);
        _mm256_storeu_si256((__m256i *)(void *)(q + i), v);
        __m256i s = sum_halves(v);
        *sum++ = (int16_t)(_mm256_extract_epi32(s, 0) + _mm256_extract_epi32(s, 4));
    }
}

static void quantize_q8_256(const float *x, int k, int8_t *q, float *scale, int16_t *sum) {
    for (int i = 0; i < k; i += 256) {
        float r = quantize_factor(largest_size(x + i, 256), scale++);
        for (int j = i; j < i + 256; j += 32) {
            __m256i v = quantize_32(x + j, r);
            _mm256_storeu_si256((__m256i *)(void *)(q + j), v);
            __m256i s = sum_halves(v);
            *sum++ = (int16_t)_mm256_extract_epi32(s, 0);
            *sum++ = (int16_t)_mm256_extract_epi32(s, 4);
        }
    }
}

/* ---- Scores of the int8 cache: a word holds four dimensions of 8 keys, the products are those of Q8_0 weights ----
 */

static INLINE void scores_q8_tile(const struct phi_scores *a, const uint8_t *group, int i, const int n,
                                  float *score) {
    const int n_scale = a->hd / 32;
    const uint8_t *dk = group + (size_t)a->hd * PHI_KEY_GROUP;
    struct lanes acc[LANES_QUERIES];
    UNROLL for (int j = 0; j < n; j++) acc[j] = lanes_set(0);
    for (int b = 0; b < n_scale; b++, group += 32 * PHI_KEY_GROUP) {
        __m256i s[LANES_QUERIES][2];
        UNROLL for (int j = 0; j < n; j++) s[j][0] = s[j][1] = _mm256_setzero_si256();
        for (int d = 0; d < 8; d++) {
            __m256i k[2], size[2];
            UNROLL for (int h = 0; h < 2; h++) {
                k[h] = _mm256_loadu_si256((const __m256i *)(const void *)(group + 64 * d + 32 * h));
                size[h] = _mm256_abs_epi8(k[h]);
            }
            UNROLL for (int j = 0; j < n; j++) {
                __m256i q = load_q(a->q8 + (size_t)(i + j) * (size_t)a->hd + 32 * b + 4 * d);
                UNROLL for (int h = 0; h < 2; h++) s[j][h] = _mm256_add_epi32(
                    s[j][h], _mm256_madd_epi16(_mm256_maddubs_epi16(size[h], _mm256_sign_epi8(q, k[h])),
                                               _mm256_set1_epi16(1)));
            }
        }
        struct lanes scale = lanes_from_f16(dk + b * 2 * PHI_KEY_GROUP);
        UNROLL for (int j = 0; j < n; j++) {
            struct lanes dq = lanes_mul(scale, lanes_set(a->q8_scale[(size_t)(i + j) * (size_t)n_scale + (size_t)b]));
            acc[j] = lanes_fma(dq, (struct lanes){_mm256_cvtepi32_ps(s[j][0]), _mm256_cvtepi32_ps(s[j][1])}, acc[j]);
        }
    }
    UNROLL for (int j = 0; j < n; j++)
        lanes_store(score + (size_t)(i + j) * a->ld_score, lanes_mul(acc[j], lanes_set(a->scale)));
}

static void scores_q8_0(const struct phi_scores *a) {
    const size_t bytes = PHI_KEY_GROUP * phi_cache_bytes(PHI_CACHE_Q8_0, a->hd);
    for (int g = 0; g < a->n_group; g++) {
        const uint8_t *group = (const uint8_t *)a->key + (size_t)g * bytes;
        float *score = a->score + (size_t)g * PHI_KEY_GROUP;
        int i = 0;
        phi_prefetch(group + 2 * bytes, bytes);
        for (; i + 2 <= a->n_query; i += 2) scores_q8_tile(a, group, i, 2, score);
        for (; i < a->n_query; i++) scores_q8_tile(a, group, i, 1, score);
    }
}

const struct phi_kernels phi_kernels_avx2 = {
    .name = "avx2",
    .scratch_per_k = SLAB_SCRATCH_PER_K,
    .matmul =
        {
            [PHI_F32] = matmul_f32,
            [PHI_F16] = matmul_f16,
            [PHI_BF16] = matmul_bf16,
            [PHI_Q4_0] = matmul_q4_0,
            [PHI_Q4_1] = matmul_q4_1,
            [PHI_Q5_0] = matmul_q5_0,
            [PHI_Q5_1] = matmul_q5_1,
            [PHI_Q8_0] = matmul_q8_0,
            [PHI_IQ4_NL] = matmul_iq4_nl,
            [PHI_IQ4_XS] = matmul_iq4_xs,
            [PHI_Q2_K] = matmul_q2_k,
            [PHI_Q3_K] = matmul_q3_k,
            [PHI_Q4_K] = matmul_q4_k,
            [PHI_Q5_K] = matmul_q5_k,
            [PHI_Q6_K] = matmul_q6_k,
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
};
