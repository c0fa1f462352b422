/* The avx512vnni level: AVX-512 F, BW, DQ, VL and VNNI (Intel servers since 2019, AMD since 2022). Vector primitives
 * for slab.inc and lanes.inc, and the table. What is not here stays with avx2. */
#include "kernels.h"
#include "floats.h"

#include <immintrin.h>

#define INLINE inline __attribute__((always_inline))
/* Before loops of constant length over registers. */
#ifdef __clang__
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

/* ---- Primitives of slab.inc: a lane is 32 bits of a ZMM register, 16 rows ----
 *
 *   vpdpbusd: unsigned weight bytes times signed q, four neighbours added to an int32
 *       sum + w3*q3 + w2*q2 + w1*q1 + w0*q0
 *
 * All of a sub-block fits, so that a part is an int32. Bytes with a sign (Q8_0, IQ4) become unsigned as w + 128. Such
 * a bias, or the format's own, is corrected where the part starts: at -bias times the sum of q. */

typedef __m512i vword, vpart, vint, vscale, vfix;
typedef __m512 vfloat;

enum { SLAB_ROWS = 16, SLAB_TILE = 2, SLAB_GROUP = 6, SLAB_COLUMNS = 4, SLAB_PIECE = 1024, SLAB_NARROW = 0 };

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

/* A value of which the compiler knows nothing: it would keep 16 addresses of rows, more than there are registers,
 * where four, and 1, 2 and 3 strides from each, are enough. */
static INLINE size_t opaque(size_t n) {
    __asm__("" : "+r"(n));
    return n;
}

static INLINE __m128i load_16(const uint8_t *p) {
    return _mm_loadu_si128((const __m128i *)(const void *)p);
}

/* 16 bytes at a, b, c, d. */
static INLINE __m512i load_4x16(const uint8_t *a, const uint8_t *b, const uint8_t *c, const uint8_t *d) {
    __m512i v = _mm512_inserti32x4(_mm512_castsi128_si512(load_16(a)), load_16(b), 1);
    return _mm512_inserti32x4(_mm512_inserti32x4(v, load_16(c), 2), load_16(d), 3);
}

/* Rows 4i .. 4i+3 in quarter i; then a transposition of 4 x 4 words in each quarter. */
static INLINE void words_load16(const uint8_t *w, size_t stride, vword *v) {
    const size_t three = opaque(3 * stride);
    const uint8_t *w4 = w + opaque(4 * stride), *w8 = w + opaque(8 * stride), *w12 = w4 + opaque(8 * stride);
    __m512i a = load_4x16(w, w4, w8, w12);
    __m512i b = load_4x16(w + stride, w4 + stride, w8 + stride, w12 + stride);
    __m512i c = load_4x16(w + 2 * stride, w4 + 2 * stride, w8 + 2 * stride, w12 + 2 * stride);
    __m512i d = load_4x16(w + three, w4 + three, w8 + three, w12 + three);
    __m512i ab = _mm512_unpacklo_epi32(a, b), cd = _mm512_unpacklo_epi32(c, d);
    v[0] = _mm512_unpacklo_epi64(ab, cd);
    v[1] = _mm512_unpackhi_epi64(ab, cd);
    ab = _mm512_unpackhi_epi32(a, b), cd = _mm512_unpackhi_epi32(c, d);
    v[2] = _mm512_unpacklo_epi64(ab, cd);
    v[3] = _mm512_unpackhi_epi64(ab, cd);
}

static INLINE __m128i load_4(const uint8_t *p) {
    return _mm_cvtsi32_si128((int)load_u32(p));
}

/* 4 bytes of four rows. A masked broadcast is one operation, where an insertion is two. */
static INLINE __m128i load_4x4(const uint8_t *w, size_t stride, size_t three) {
    __m128i v = load_4(w);
    v = _mm_mask_broadcastd_epi32(v, 2, load_4(w + stride));
    v = _mm_mask_broadcastd_epi32(v, 4, load_4(w + 2 * stride));
    return _mm_mask_broadcastd_epi32(v, 8, load_4(w + three));
}

static INLINE vword word_load(const uint8_t *w, size_t stride) {
    const size_t three = opaque(3 * stride), four = opaque(4 * stride);
    const uint8_t *w8 = w + 2 * four;
    __m512i v = _mm512_castsi128_si512(load_4x4(w, stride, three));
    v = _mm512_inserti32x4(v, load_4x4(w + four, stride, three), 1);
    v = _mm512_inserti32x4(v, load_4x4(w8, stride, three), 2);
    return _mm512_inserti32x4(v, load_4x4(w8 + four, stride, three), 3);
}

static INLINE vword word_and(vword v, uint32_t mask) {
    return _mm512_and_si512(v, _mm512_set1_epi32((int)mask));
}

static INLINE vword word_or(vword a, vword b) {
    return _mm512_or_si512(a, b);
}

static INLINE vword word_less(vword v, int n) {
    return _mm512_sub_epi8(v, _mm512_set1_epi8((char)n));
}

static INLINE vword word_right(vword v, int n) {
    return _mm512_srli_epi16(v, (uint8_t)n);
}

static INLINE vword word_left(vword v, int n) {
    return _mm512_slli_epi16(v, (uint8_t)n);
}

/* Each lane of v, its bytes a, b, c, d; -1: a zero byte. */
static INLINE vword word_pick(vword v, int a, int b, int c, int d) {
    __m512i pick = _mm512_set1_epi32((int)((uint32_t)(d & 255) << 24 | (uint32_t)(c & 255) << 16 |
                                           (uint32_t)(b & 255) << 8 | (uint32_t)(a & 255)));
    __m512i lane = _mm512_set4_epi32(0x0c0c0c0c, 0x08080808, 0x04040404, 0);
    return _mm512_shuffle_epi8(v, _mm512_or_si512(pick, lane)); /* -1 keeps its sign, which makes the zero */
}

static INLINE vword word_bits(vword v, int i, int byte) {
    __m512i bit = _mm512_set1_epi32(i % 2 ? (int)0x80402010 : 0x08040201);
    return _mm512_maskz_set1_epi8(_mm512_test_epi8_mask(word_pick(v, i / 2, i / 2, i / 2, i / 2), bit), (char)byte);
}

static INLINE vword word_table(vword v, const int8_t *table) {
    return _mm512_shuffle_epi8(_mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)(const void *)table)), v);
}

static INLINE vfloat word_low_half(vword v) {
    return _mm512_cvtph_ps(_mm512_cvtepi32_epi16(v));
}

static INLINE vfloat word_high_half(vword v) {
    return word_low_half(_mm512_srli_epi32(v, 16));
}

static INLINE vfloat halves_load(const uint8_t *w, size_t stride) {
    return word_low_half(word_load(w, stride));
}

/* Bytes i and j of each lane as two int16. */
static INLINE vfix fix_of(vword v, int i, int j) {
    return _mm512_srai_epi16(word_pick(v, -1, i, -1, j), 8);
}

/* Byte j as an int32. */
static INLINE vscale scale_of(vword v, int j) {
    return _mm512_srai_epi32(_mm512_slli_epi32(v, (uint8_t)(24 - 8 * j)), 24);
}

static INLINE vpart part_zero(void) {
    return _mm512_setzero_si512();
}

static INLINE vpart part_start(int n) {
    return _mm512_set1_epi32(n);
}

static INLINE vint int_zero(void) {
    return _mm512_setzero_si512();
}

static INLINE vint part_add(vint s, vpart p) {
    return _mm512_add_epi32(s, p);
}

static INLINE vint part_add_scaled(vint s, vpart p, vscale scale) {
    return _mm512_add_epi32(s, _mm512_mullo_epi32(p, scale));
}

static INLINE vint fix_add(vint s, vfix fix, const int16_t *sum) {
    int32_t pair;
    memcpy(&pair, sum, 4);
    return _mm512_dpwssd_epi32(s, fix, _mm512_set1_epi32(pair));
}

static INLINE vint int_minus_sum(vint s, int n, const int16_t *sum) {
    return _mm512_sub_epi32(s, _mm512_set1_epi32(n * sum[0]));
}

static INLINE vint int_minus(vint s, int n, vint t) {
    return _mm512_sub_epi32(s, _mm512_mullo_epi32(t, _mm512_set1_epi32(n)));
}

static INLINE vfloat float_zero(void) {
    return _mm512_setzero_ps();
}

static INLINE vfloat float_set(float x) {
    return _mm512_set1_ps(x);
}

static INLINE vfloat float_of_int(vint s) {
    return _mm512_cvtepi32_ps(s);
}

static INLINE vfloat float_neg(vfloat v) {
    return _mm512_xor_ps(v, _mm512_set1_ps(-0.0f));
}

static INLINE vfloat float_add_scaled(vfloat acc, vfloat d, float s, vfloat v) {
    return _mm512_fmadd_ps(_mm512_mul_ps(d, _mm512_set1_ps(s)), v, acc);
}

/* Lanes 0 .. n-1. */
static INLINE __mmask16 first_lanes(int n) {
    return n >= 16 ? (__mmask16)0xffff : n <= 0 ? (__mmask16)0 : (__mmask16)((1u << n) - 1);
}

static INLINE vfloat float_load(const float *y) {
    return _mm512_loadu_ps(y);
}

static INLINE void float_store(float *y, vfloat v, int n) {
    _mm512_mask_storeu_ps(y, first_lanes(n), v);
}

#include "slab.inc"

static INLINE vword word_keep(vword v, const struct slab_format *f) {
    return f->shape->is_signed ? _mm512_xor_si512(v, _mm512_set1_epi8((char)0x80)) : v;
}

static INLINE int slab_few(const struct phi_matmul *m, const struct slab_format *f) {
    (void)m, (void)f;
    return 0;
}

static INLINE int word_bias(const struct slab_format *f) {
    return f->shape->is_signed ? 128 : f->bias;
}

static INLINE int part_room(const struct slab_shape *f) {
    return f->sub / 4;
}

static INLINE int part_starts(const struct slab_shape *f) {
    (void)f;
    return 1;
}

static INLINE void sums_take(struct slab_sums *to, const int16_t *sum, const struct slab_shape *f, int bias) {
    __m256i v = _mm256_loadu_si256((const __m256i *)(const void *)sum);
    if (f->sub == 32) {
        __m256i pair = _mm256_madd_epi16(v, _mm256_set1_epi16(1));
        _mm_storeu_si128((__m128i *)(void *)to->pair, _mm256_cvtepi32_epi16(pair));
        _mm256_storeu_si256((__m256i *)(void *)to->start, _mm256_mullo_epi32(pair, _mm256_set1_epi32(-bias)));
    } else {
        _mm512_storeu_si512(to->start, _mm512_mullo_epi32(_mm512_cvtepi16_epi32(v), _mm512_set1_epi32(-bias)));
    }
}

static INLINE vpart word_dot(vpart p, vword w, const int8_t *q, const struct slab_shape *f) {
    int32_t four;
    (void)f;
    memcpy(&four, q, 4);
    return _mm512_dpbusd_epi32(p, w, _mm512_set1_epi32(four));
}

/* ---- Primitives of lanes.inc: 16 floats in a ZMM register ---- */

struct lanes {
    __m512 v;
};

enum { LANES_ROWS = 4, LANES_COLUMNS = 4, LANES_QUERIES = 8 };

static INLINE struct lanes lanes_set(float f) {
    return (struct lanes){_mm512_set1_ps(f)};
}

static INLINE struct lanes lanes_load(const void *p) {
    return (struct lanes){_mm512_loadu_ps(p)};
}

static INLINE void lanes_store(float *p, struct lanes x) {
    _mm512_storeu_ps(p, x.v);
}

static INLINE __mmask16 lanes_mask(int from, int end) {
    return (__mmask16)(first_lanes(end) & ~first_lanes(from));
}

/* Masked loads and stores touch no memory of a lane that is off. */
static INLINE struct lanes lanes_load_part(const float *p, int from, int end, float fill) {
    return (struct lanes){_mm512_mask_loadu_ps(_mm512_set1_ps(fill), lanes_mask(from, end), p)};
}

static INLINE void lanes_store_part(float *p, struct lanes x, int from, int end) {
    _mm512_mask_storeu_ps(p, lanes_mask(from, end), x.v);
}

static INLINE struct lanes lanes_from_f16(const uint8_t *p) {
    return (struct lanes){_mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)p))};
}

static INLINE struct lanes lanes_from_bf16(const uint8_t *p) {
    __m512i v = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)(const void *)p));
    return (struct lanes){_mm512_castsi512_ps(_mm512_slli_epi32(v, 16))};
}

static INLINE struct lanes lanes_from_i8(const uint8_t *p) {
    return (struct lanes){
        _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)(const void *)p)))};
}

static INLINE void lanes_to_f16(uint16_t *p, struct lanes x) {
    _mm256_storeu_si256((__m256i *)(void *)p, _mm512_cvtps_ph(x.v, _MM_FROUND_TO_NEAREST_INT));
}

static INLINE struct lanes lanes_add(struct lanes x, struct lanes y) {
    return (struct lanes){_mm512_add_ps(x.v, y.v)};
}

static INLINE struct lanes lanes_sub(struct lanes x, struct lanes y) {
    return (struct lanes){_mm512_sub_ps(x.v, y.v)};
}

static INLINE struct lanes lanes_mul(struct lanes x, struct lanes y) {
    return (struct lanes){_mm512_mul_ps(x.v, y.v)};
}

static INLINE struct lanes lanes_div(struct lanes x, struct lanes y) {
    return (struct lanes){_mm512_div_ps(x.v, y.v)};
}

static INLINE struct lanes lanes_fma(struct lanes x, struct lanes y, struct lanes z) {
    return (struct lanes){_mm512_fmadd_ps(x.v, y.v, z.v)};
}

static INLINE struct lanes lanes_max(struct lanes x, struct lanes y) {
    return (struct lanes){_mm512_max_ps(x.v, y.v)};
}

static INLINE struct lanes lanes_if_less(struct lanes x, struct lanes y, struct lanes yes, struct lanes no) {
    return (struct lanes){_mm512_mask_blend_ps(_mm512_cmp_ps_mask(x.v, y.v, _CMP_LT_OQ), no.v, yes.v)};
}

static INLINE struct lanes lanes_add_exponent(struct lanes x, struct lanes t) {
    return (struct lanes){_mm512_castsi512_ps(
        _mm512_add_epi32(_mm512_castps_si512(x.v), _mm512_slli_epi32(_mm512_castps_si512(t.v), 23)))};
}

static INLINE float lanes_tree(struct lanes x) {
    __m256 s8 = _mm256_add_ps(_mm512_castps512_ps256(x.v), _mm512_extractf32x8_ps(x.v, 1));
    __m128 s4 = _mm_add_ps(_mm256_castps256_ps128(s8), _mm256_extractf128_ps(s8, 1));
    __m128 s2 = _mm_add_ps(s4, _mm_movehl_ps(s4, s4));
    return _mm_cvtss_f32(_mm_add_ss(s2, _mm_shuffle_ps(s2, s2, 1)));
}

#include "lanes.inc"

/* ---- Scores of the int8 cache: a vector holds four dimensions of 16 keys, as vpdpbusd wants them ---- */

static INLINE int sum_32(const int8_t *q) {
    __m256i v = _mm256_loadu_si256((const __m256i *)(const void *)q);
    v = _mm256_dpbusd_epi32(_mm256_setzero_si256(), _mm256_set1_epi8(1), v);
    __m128i s = _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
    s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0x4e));
    return _mm_cvtsi128_si32(_mm_add_epi32(s, _mm_shuffle_epi32(s, 0xb1)));
}

/* Dimensions 32b .. 32b+31 of n queries from query i, all keys. Keys become unsigned, as weights with a sign do. The
 * float sums wait in the scores for the next dimensions. */
static INLINE void scores_q8_block(const struct phi_scores *a, int i, int b, const int n) {
    const size_t n_scale = (size_t)a->hd / 32, bytes = PHI_KEY_GROUP * phi_cache_bytes(PHI_CACHE_Q8_0, a->hd);
    const uint8_t *group = a->key;
    const int8_t *q[LANES_QUERIES];
    __m512i start[LANES_QUERIES];
    UNROLL for (int j = 0; j < n; j++) {
        q[j] = a->q8 + (size_t)(i + j) * (size_t)a->hd + 32 * b;
        start[j] = _mm512_set1_epi32(-128 * sum_32(q[j]));
    }
    for (int g = 0; g < a->n_group; g++, group += bytes) {
        const uint8_t *key = group + 32 * PHI_KEY_GROUP * b;
        __m512i s[LANES_QUERIES];
        UNROLL for (int j = 0; j < n; j++) s[j] = start[j];
        UNROLL for (int d = 0; d < 8; d++) {
            __m512i k = _mm512_xor_si512(_mm512_loadu_si512(key + 64 * d), _mm512_set1_epi8((char)0x80));
            UNROLL for (int j = 0; j < n; j++) s[j] =
                _mm512_dpbusd_epi32(s[j], k, _mm512_set1_epi32((int)load_u32((const uint8_t *)q[j] + 4 * d)));
        }
        struct lanes dk = lanes_from_f16(group + a->hd * PHI_KEY_GROUP + b * 2 * PHI_KEY_GROUP);
        UNROLL for (int j = 0; j < n; j++) {
            float *score = a->score + (size_t)(i + j) * a->ld_score + (size_t)g * PHI_KEY_GROUP;
            struct lanes d = lanes_mul(dk, lanes_set(a->q8_scale[(size_t)(i + j) * n_scale + (size_t)b]));
            struct lanes acc = b ? lanes_load(score) : lanes_set(0);
            acc = lanes_fma(d, (struct lanes){_mm512_cvtepi32_ps(s[j])}, acc);
            lanes_store(score, b + 1 == (int)n_scale ? lanes_mul(acc, lanes_set(a->scale)) : acc);
        }
    }
}

static void scores_q8_0(const struct phi_scores *a) {
    for (int b = 0; b < a->hd / 32; b++) {
        int i = 0;
        for (; i + LANES_QUERIES <= a->n_query; i += LANES_QUERIES) scores_q8_block(a, i, b, LANES_QUERIES);
        for (; i < a->n_query; i++) scores_q8_block(a, i, b, 1);
    }
}

const struct phi_kernels phi_kernels_avx512vnni = {
    .name = "avx512vnni",
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
