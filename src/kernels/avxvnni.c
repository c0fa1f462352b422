/* The avxvnni level: AVX-VNNI, vpdpbusd on YMM registers without AVX-512 (Intel since Alder Lake, AMD since Zen 5).
 * The matrices of the block formats; what is not here stays with avx2. */
#include "kernels.h"

#include "ymm.inc"

extern const struct phi_kernels phi_kernels_avx2;

/* ---- Primitives of slab.inc ----
 *
 *   vpdpbusd: unsigned weight bytes times signed q, four neighbours added to an int32
 *       sum + w3*q3 + w2*q2 + w1*q1 + w0*q0
 *
 * All of a sub-block fits, so that a part is an int32. Bytes with a sign (Q8_0, IQ4) become unsigned as w + 128. Such
 * a bias, or the format's own, is corrected where the part starts: at -bias times the sum of q. */

/* 2 x 3: fewer loads for each vpdpbusd than 1 x 4 (512 columns of Q4_0 1.3 times as fast) or 2 x 2. */
enum { SLAB_TILE = 2, SLAB_GROUP = 12, SLAB_COLUMNS = 3, SLAB_PIECE = 1024, SLAB_NARROW = 0 };

struct slab_format;
struct slab_shape;
struct slab_sums;
static INLINE int slab_few(const struct phi_matmul *m, const struct slab_format *f);
static INLINE int word_bias(const struct slab_format *f);
static INLINE int part_room(const struct slab_shape *f);
static INLINE int part_starts(const struct slab_shape *f);
static INLINE vword word_keep(vword v, const struct slab_format *f);
static INLINE void sums_take(struct slab_sums *to, const int16_t *sum, const struct slab_shape *f, int bias);

/* Byte j as an int32. */
static INLINE vscale scale_of(vword v, int j) {
    return _mm256_srai_epi32(_mm256_slli_epi32(v, 24 - 8 * j), 24);
}

static INLINE vpart word_dot(vpart p, vword w, const int8_t *q, const struct slab_shape *f) {
    (void)f;
    return _mm256_dpbusd_avx_epi32(p, w, load_q(q));
}

static INLINE vpart part_start(int n) {
    return _mm256_set1_epi32(n);
}

static INLINE vint part_add(vint s, vpart p) {
    return _mm256_add_epi32(s, p);
}

static INLINE vint part_add_scaled(vint s, vpart p, vscale scale) {
    return _mm256_add_epi32(s, _mm256_mullo_epi32(p, scale));
}

static INLINE vint fix_add(vint s, vfix fix, const int16_t *sum) {
    return _mm256_dpwssd_avx_epi32(s, fix, load_pair(sum));
}

#include "slab.inc"

static INLINE vword word_keep(vword v, const struct slab_format *f) {
    return f->shape->is_signed ? _mm256_xor_si256(v, _mm256_set1_epi8((char)0x80)) : v;
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

static INLINE __m256i times(__m256i v, int n) {
    return _mm256_mullo_epi32(v, _mm256_set1_epi32(n));
}

static INLINE void sums_take(struct slab_sums *to, const int16_t *sum, const struct slab_shape *f, int bias) {
    __m256i v = _mm256_loadu_si256((const __m256i *)(const void *)sum), *start = (__m256i *)(void *)to->start;
    if (f->sub == 32) {
        v = _mm256_madd_epi16(v, _mm256_set1_epi16(1));
        _mm_storeu_si128((__m128i *)(void *)to->pair,
                         _mm_packs_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1)));
        _mm256_storeu_si256(start, times(v, -bias));
    } else {
        _mm256_storeu_si256(start, times(_mm256_cvtepi16_epi32(_mm256_castsi256_si128(v)), -bias));
        _mm256_storeu_si256(start + 1, times(_mm256_cvtepi16_epi32(_mm256_extracti128_si256(v, 1)), -bias));
    }
}

/* Few columns of the K formats (those of 256 without a sign) wait for memory: avx2's slots do for them. */
static INLINE int slab_few(const struct phi_matmul *m, const struct slab_format *f) {
    if (f->shape->block != 256 || f->shape->is_signed || m->n_col > ROWS_COLUMNS) return 0;
    phi_kernels_avx2.matmul[f->type](m);
    return 1;
}

const struct phi_kernels phi_kernels_avxvnni = {
    .name = "avxvnni",
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
