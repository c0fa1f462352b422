/* How fast it runs: one table of function pointers, filled by the instruction set levels (isa.def).
 *
 * The scalar code in reference.c defines every result, and each slot of each level returns the same bits (tests
 * compare with memcmp). The rules that make this possible:
 *   - inside a block of 32 or 256 everything is exact int32, in any order;
 *   - a float accumulator lane is an output element (a row, a key, a dimension), never a slice of a sum;
 *   - the exception: sums of floats use 16 virtual lanes, lane = index mod 16, each in ascending order, then the tree
 *     for h = 8, 4, 2, 1: lane[i] += lane[i + h], i < h;
 *   - no estimates, no fused multiply-add that is not written as one, no libm beyond fmaf and sqrtf.
 * Sign and payload of a NaN are outside the contract. Kernels have no error paths: the caller has checked every
 * shape. Includes only quant/. */
#ifndef PHI_KERNELS_H
#define PHI_KERNELS_H

#include "../quant/quant.h"

/* Keys of a cache stand in groups of 16 positions: element d of the group's position i is at [d][i]. A vector lane is
 * a key. */
enum { PHI_KEY_GROUP = 16 };
/* Attention works in blocks of 256 keys at absolute positions. */
enum { PHI_KEY_BLOCK = 256 };

enum { PHI_CACHE_F32, PHI_CACHE_F16, PHI_CACHE_Q8_0, PHI_N_CACHE }; /* how the cache keeps a value */

/* Fetch n bytes from p, which may lie behind all memory, into the cache. (Rows that are one stretch of a file are fetched in the
 * file's order: a stream for each row would be too many for some prefetchers.) */
static inline __attribute__((always_inline)) void phi_prefetch(const uint8_t *p, size_t n) {
    for (size_t i = 0; i < n; i += 64) __builtin_prefetch(p + i);
}

/* Layouts of the cache. Keys, for each group of 16 positions (F32, F16: an array; Q8_0: bytes, then scales):
 *
 *   F32, F16   [hd][16] values
 *   Q8_0       [hd/4][16][4] int8: four dimensions of a position are neighbours; then [hd/32][16] f16 scales
 *
 * Values, for each position:   F32, F16   [hd] values;   Q8_0   [hd] int8, then [hd/32] f16 scales.
 *
 * Q8_0 rounds 32 dimensions together, like an activation (quant.h); the stored scale is the f16 nearest to it. */
static inline size_t phi_cache_bytes(int type, int hd) { /* of one position and head */
    return type == PHI_CACHE_F32 ? 4 * (size_t)hd : type == PHI_CACHE_F16 ? 2 * (size_t)hd : (size_t)hd + (size_t)hd / 16;
}

/* score[i*ld_score + j] = scale * (query i times key j), i < n_query, j < 16*n_group.
 *   F32, F16: from +0, acc = fmaf(q[d], key[d], acc), d ascending
 *   Q8_0:     from +0, acc = fmaf(dk*dq, (float)isum, acc) for each 32 dimensions, ascending; isum exact */
struct phi_scores {
    const float *q;        /* [n_query][hd]; F32, F16 caches */
    const int8_t *q8;      /* [n_query][hd]; Q8_0: the query, rounded like an activation, 64-byte aligned */
    const float *q8_scale; /* [n_query][hd/32] */
    int n_query, hd, n_group;
    const void *key; /* of n_group groups */
    float scale;
    float *score;
    size_t ld_score;
};

/* o[i*ld_o + d] = fmaf(p[i*ld_p + j], value[j][d], o[i*ld_o + d]), first <= j < end ascending; Q8_0: fmaf(p*dv, (float)q, o) */
struct phi_values {
    const float *p;
    size_t ld_p;
    int n_query, hd, first, end;
    const void *value; /* of position j = 0 */
    float *o;
    size_t ld_o;
};

/* y[c*ldy + r] = sum over k of w[r][k] * x[col + c][k], for r < n_row, c < n_col */
struct phi_matmul {
    const uint8_t *w; /* row r begins at w + r*row_bytes; no alignment; nothing behind the last row may be read */
    size_t row_bytes;
    int n_row, k;            /* n_row >= 1; k: a multiple of the format's block */
    const struct phi_act *x; /* of the kind that the format asks for; q is aligned to 64 bytes */
    int col, n_col;          /* n_col >= 1 */
    float *y;                /* no alignment */
    size_t ldy;
    void *scratch; /* the thread's own, 64-byte aligned, scratch_per_k * k bytes */
};

typedef void phi_matmul_fn(const struct phi_matmul *m);

struct phi_kernels {
    const char *name; /* of the level */

    /* Bytes of scratch that the level's matmul slots need for each k: room for one slab of unpacked rows. */
    size_t scratch_per_k;

    /* One slot per weight format. */
    phi_matmul_fn *matmul[PHI_N_TYPE];

    /* One column of activations: x[k] -> q[k], scales, sums (quant.h). */
    void (*quantize_q8_32)(const float *x, int k, int8_t *q, float *scale, int16_t *sum);
    void (*quantize_q8_256)(const float *x, int k, int8_t *q, float *scale, int16_t *sum);

    /* y[i] = (x[i] * r) * w[i], r = 1 / sqrtf(ss / n + eps), ss = sum of squares: lanes of fmaf(x, x, lane), tree. y
     * may be x. */
    void (*rms_norm)(const float *x, const float *w, float *y, int n, float eps);

    /* Pairs a = x[i], b = x[i + n_half]: x[i] = fmaf(a, c[i], -(b*s[i])), x[i + n_half] = fmaf(b, c[i], a*s[i]). */
    void (*rope)(float *x, const float *c, const float *s, int n_half);

    /* y[i] = (g[i] / (1 + exp(-g[i]))) * u[i]. y may be g or u. */
    void (*swiglu)(const float *g, const float *u, float *y, int n);

    /* y[i] = y[i] + x[i] */
    void (*add)(float *y, const float *x, int n);

    /* To half precision, nearest-even. */
    void (*f16_from_f32)(const float *x, uint16_t *y, int n);

    void (*scores[PHI_N_CACHE])(const struct phi_scores *a);

    /* Softmax of one block, visible keys first <= j < end only: *m = largest score; p[j] = exp(score[j] - m), in
     * place; *l = sum of p: lanes (lane = j mod 16) of plain additions from +0, tree. end > first. Other p[j] are not
     * touched. */
    void (*softmax)(float *p, int first, int end, float *m, float *l);

    void (*values[PHI_N_CACHE])(const struct phi_values *a);

    /* Fold the next block's values into those so far: o[d] = fmaf(o_b[d], c, o[d]*a). */
    void (*fold)(float *o, const float *o_b, int hd, float a, float c);

    /* Make as many 8-bit products as the registers of one core can, for about a tenth of a millisecond (peak.inc).
     * Returns the operations done, two for each product. No level needs to fill it. */
    uint64_t (*peak)(void);
};

/* Fill *out for the level with this name, or for the best that this CPU runs if name is NULL. Slots that a level
 * leaves empty keep the level below; a slot that no level fills takes the reference, compiled with the flags of the
 * level asked for. 0, or -1 if there is no such level in this build or on this CPU. */
int phi_kernels_select(const char *name, struct phi_kernels *out);

/* Does the level with this name fill the slot of this format itself, or by a level below it (not by the reference)?
 */
int phi_kernels_has_matmul(const char *name, enum phi_type_index type);

/* Levels of this build that this CPU runs, lowest first; name i, or NULL when i is past the end. */
const char *phi_kernels_level(int i);

/* Nearest rounding, no flush to zero, on the calling thread; returns the old state for phi_fp_restore(). */
unsigned long long phi_fp_enter(void);
void phi_fp_restore(unsigned long long state);

#endif
