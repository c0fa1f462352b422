/* The avx2 level: AVX2, FMA and F16C (x86-64 since 2013). Vector primitives for slab.inc and lanes.inc, and the
 * table. */
#include "kernels.h"
#include "floats.h"

#include <immintrin.h>

#define INLINE inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 16") /* loops of constant length over registers */

/* ---- Primitives of slab.inc: a lane is 32 bits of a YMM register, 8 rows ----
 *
 *   vpmaddubsw: unsigned weight bytes times signed q, neighbours added: 2 int16 a row
 *       w3*q3 + w2*q2 | w1*q1 + w0*q0
 *   which may be added in int16 while they cannot overflow: 254 * largest weight byte * number of words <= 32767,
 * that is 8 words for 0..15, 4 for 0..31, 2 for 0..63. vpmaddwd then makes an int32 of the two, times the sub-block's
 * scale. Bytes with a sign (Q8_0): |w| against q with the sign of w; one word, at most 2 * 128 * 127 = 32,512. */

typedef __m256i vword, vpart, vint, vscale, vfix;
typedef __m256 vfloat;

enum { SLAB_ROWS = 8, SLAB_COLUMNS = 4, SLAB_QUEUE = 384 * 1024 };

struct slab_format;
static INLINE int word_bias(const struct slab_format *f);
static INLINE int part_room(const struct slab_format *f);
static INLINE vword word_keep(vword v, const struct slab_format *f);
static INLINE vpart word_dot(vpart p, vword w, const int8_t *q, const struct slab_format *f);

static INLINE __m256i load_2x16(const uint8_t *low, const uint8_t *high) {
    return _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)(const void *)low)),
                                   _mm_loadu_si128((const __m128i *)(const void *)high), 1);
}

/* Rows 0..3 in the low halves, 4..7 in the high halves; then a transposition of 4 x 4 words in each half. */
static INLINE void words_load16(const uint8_t *w, size_t stride, vword *v) {
    __m256i a = load_2x16(w, w + 4 * stride), b = load_2x16(w + stride, w + 5 * stride);
    __m256i c = load_2x16(w + 2 * stride, w + 6 * stride), d = load_2x16(w + 3 * stride, w + 7 * stride);
    __m256i ab = _mm256_unpacklo_epi32(a, b), cd = _mm256_unpacklo_epi32(c, d);
    v[0] = _mm256_unpacklo_epi64(ab, cd);
    v[1] = _mm256_unpackhi_epi64(ab, cd);
    ab = _mm256_unpackhi_epi32(a, b), cd = _mm256_unpackhi_epi32(c, d);
    v[2] = _mm256_unpacklo_epi64(ab, cd);
    v[3] = _mm256_unpackhi_epi64(ab, cd);
}

static INLINE vfloat halves_load(const uint8_t *w, size_t stride) {
    short h[8];
    UNROLL for (size_t r = 0; r < 8; r++) h[r] = (short)load_u16(w + r * stride);
    return _mm256_cvtph_ps(_mm_setr_epi16(h[0], h[1], h[2], h[3], h[4], h[5], h[6], h[7]));
}

static INLINE vword word_load(const uint8_t *w, size_t stride) {
    uint32_t v[8];
    UNROLL for (size_t r = 0; r < 8; r++) v[r] = load_u32(w + r * stride);
    return _mm256_setr_epi32((int)v[0], (int)v[1], (int)v[2], (int)v[3], (int)v[4], (int)v[5], (int)v[6], (int)v[7]);
}

static INLINE vword word_and(vword v, uint32_t mask) {
    return _mm256_and_si256(v, _mm256_set1_epi32((int)mask));
}

static INLINE vword word_or(vword a, vword b) {
    return _mm256_or_si256(a, b);
}

static INLINE vword word_less(vword v, int n) {
    return _mm256_sub_epi8(v, _mm256_set1_epi8((char)n));
}

static INLINE vword word_right(vword v, int n) {
    return _mm256_srli_epi16(v, n);
}

static INLINE vword word_left(vword v, int n) {
    return _mm256_slli_epi16(v, n);
}

/* Each lane of v, its bytes a, b, c, d; -1: a zero byte. */
static INLINE vword word_pick(vword v, int a, int b, int c, int d) {
    __m256i pick = _mm256_set1_epi32((int)((uint32_t)(d & 255) << 24 | (uint32_t)(c & 255) << 16 |
                                           (uint32_t)(b & 255) << 8 | (uint32_t)(a & 255)));
    __m256i lane = _mm256_setr_epi32(0, 0x04040404, 0x08080808, 0x0c0c0c0c, 0, 0x04040404, 0x08080808, 0x0c0c0c0c);
    return _mm256_shuffle_epi8(v, _mm256_or_si256(pick, lane)); /* -1 keeps its sign, which makes the zero */
}

static INLINE vword word_bits(vword v, int i, int byte) {
    __m256i bit = _mm256_set1_epi32(i % 2 ? (int)0x80402010 : 0x08040201);
    v = _mm256_and_si256(word_pick(v, i / 2, i / 2, i / 2, i / 2), bit);
    return _mm256_and_si256(_mm256_cmpeq_epi8(v, bit), _mm256_set1_epi8((char)byte));
}

static INLINE vword word_table(vword v, const int8_t *table) {
    return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(const void *)table)), v);
}

static INLINE vfloat word_high_half(vword v) {
    __m256i h = _mm256_srli_epi32(v, 16);
    h = _mm256_permute4x64_epi64(_mm256_packus_epi32(h, h), 0x08);
    return _mm256_cvtph_ps(_mm256_castsi256_si128(h));
}

static INLINE vfloat word_low_half(vword v) {
    return word_high_half(_mm256_slli_epi32(v, 16));
}

/* Bytes i and j of each lane as two int16. */
static INLINE vfix fix_of(vword v, int i, int j) {
    return _mm256_srai_epi16(word_pick(v, -1, i, -1, j), 8);
}

static INLINE vscale scale_of(vword v, int j) {
    return fix_of(v, j, j);
}

static INLINE vpart part_zero(void) {
    return _mm256_setzero_si256();
}

static INLINE vint int_zero(void) {
    return _mm256_setzero_si256();
}

static INLINE vint part_add(vint s, vpart p) {
    return _mm256_add_epi32(s, _mm256_madd_epi16(p, _mm256_set1_epi16(1)));
}

static INLINE vint part_add_scaled(vint s, vpart p, vscale scale) {
    return _mm256_add_epi32(s, _mm256_madd_epi16(p, scale));
}

static INLINE __m256i load_pair(const int16_t *sum) {
    int32_t pair;
    memcpy(&pair, sum, 4);
    return _mm256_set1_epi32(pair);
}

static INLINE vint fix_add(vint s, vfix fix, const int16_t *sum) {
    return _mm256_add_epi32(s, _mm256_madd_epi16(load_pair(sum), fix));
}

static INLINE vint int_minus_sum(vint s, int n, const int16_t *sum) {
    return _mm256_sub_epi32(s, _mm256_set1_epi32(n * sum[0]));
}

static INLINE vint int_minus(vint s, int n, vint t) {
    return _mm256_sub_epi32(s, _mm256_mullo_epi32(t, _mm256_set1_epi32(n)));
}

static INLINE vfloat float_zero(void) {
    return _mm256_setzero_ps();
}

static INLINE vfloat float_set(float x) {
    return _mm256_set1_ps(x);
}

static INLINE vfloat float_of_int(vint s) {
    return _mm256_cvtepi32_ps(s);
}

static INLINE vfloat float_neg(vfloat v) {
    return _mm256_xor_ps(v, _mm256_set1_ps(-0.0f));
}

static INLINE vfloat float_add_scaled(vfloat acc, vfloat d, float s, vfloat v) {
    return _mm256_fmadd_ps(_mm256_mul_ps(d, _mm256_set1_ps(s)), v, acc);
}

static INLINE void float_store(float *y, vfloat v, int n) {
    if (n == SLAB_ROWS) {
        _mm256_storeu_ps(y, v);
    } else {
        float t[SLAB_ROWS];
        _mm256_storeu_ps(t, v);
        memcpy(y, t, (size_t)n * sizeof *y);
    }
}

#include "slab.inc"

static INLINE vword word_keep(vword v, const struct slab_format *f) {
    (void)f;
    return v;
}

static INLINE int word_bias(const struct slab_format *f) {
    return f->bias;
}

static INLINE int part_room(const struct slab_format *f) {
    return 32767 / (254 * f->largest);
}

static INLINE vpart word_dot(vpart p, vword w, const int8_t *q, const struct slab_format *f) {
    __m256i a = _mm256_castps_si256(_mm256_broadcast_ss((const float *)(const void *)q));
    if (f->is_signed) return _mm256_add_epi16(p, _mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(a, w)));
    return _mm256_add_epi16(p, _mm256_maddubs_epi16(w, a));
}

const struct phi_kernels phi_kernels_avx2 = {
    .name = "avx2",
    .scratch_per_k = SLAB_SCRATCH_PER_K,
    .matmul =
        {
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
};
