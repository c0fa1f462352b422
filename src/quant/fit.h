/* What the encoders of the formats share: the search for the scale, and the minimum, with which a few small integers
 * say a stretch of weights with the least weighted squared error  sum w (x - y)^2.  Knows grids and sub-blocks, but no
 * byte of any format. Plain float arithmetic in a fixed order: the same result on every machine.
 *
 *   grid           the levels L that a code stands for: -Q .. Q-1, 0 .. N, or the sixteen uneven ones of IQ4
 *   scale          y = d L                        sums S(xL), S(LL) of w x L, w L L: best d = S(xL) / S(LL)
 *   scale and min  y = d L - m, 0 <= L <= N       best d and m from two linear equations in the same kind of sums
 *
 * Given the codes, the best scale follows; given the scale, the best codes do. A fit tries rows of scales around the one
 * that just spans the stretch, takes the one whose codes with their best scale leave the least error, and then may go on
 * from codes to scale to codes, which never adds error. In a super-block the scales are integers too; see below.
 *
 * w is the importance of the columns; where there is none (NULL), all are the same. The searches are compiled once for each
 * case: always_inline below means that a copy knows its case, and no loop asks for it (measured: it took 1.2 times as long). */
#ifndef PHI_QUANT_FIT_H
#define PHI_QUANT_FIT_H

#include "bits.h"
#include <stdbool.h>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#define FIT_INLINE static inline __attribute__((always_inline))

/* Four weights side by side. A sum is made in two such vectors, that is in eight parts, on every machine. */
typedef float fit_vec __attribute__((vector_size(16)));
typedef int32_t fit_mask __attribute__((vector_size(16)));
enum { FIT_LANES = 8 }; /* every stretch is a multiple */

static inline fit_vec fit_load(const float *p) {
    fit_vec v;
    memcpy(&v, p, sizeof v);
    return v;
}

static inline fit_vec fit_all(float v) {
    return (fit_vec){v, v, v, v};
}

static inline fit_vec fit_and(fit_mask mask, fit_vec v) {
    return (fit_vec)(mask & (fit_mask)v);
}

static inline fit_vec fit_max(fit_vec a, fit_vec b) {
#if defined(__SSE2__)
    return _mm_max_ps(a, b); /* the same, in one instruction */
#else
    fit_mask mask = a > b;
    return (fit_vec)((mask & (fit_mask)a) | (~mask & (fit_mask)b));
#endif
}

static inline fit_vec fit_min(fit_vec a, fit_vec b) {
#if defined(__SSE2__)
    return _mm_min_ps(a, b);
#else
    fit_mask mask = a < b;
    return (fit_vec)((mask & (fit_mask)a) | (~mask & (fit_mask)b));
#endif
}

/* To the nearest whole number, ties to even; |v| < 2^22. */
static inline fit_vec fit_round4(fit_vec v) {
    return (v + 12582912.0f) - 12582912.0f;
}

static inline float fit_round(float v) {
    return (v + 12582912.0f) - 12582912.0f;
}

static inline float fit_total(fit_vec a, fit_vec b) {
    a += b;
    return (a[0] + a[2]) + (a[1] + a[3]);
}

static inline float fit_clamp(float v, float low, float high) {
    v = v < low ? low : v;
    return v > high ? high : v;
}

/* The f16 nearest to v, never infinite; fit_f16() gives it as a float, fit_store() also stores it. */
static __attribute__((noinline)) uint16_t fit_half(float v) {
    return f16_from_f32(fit_clamp(v, -65504.0f, 65504.0f));
}

static inline float fit_f16(float v) {
    return f32_from_f16(fit_half(v));
}

static inline float fit_store(uint8_t *w, float v) {
    uint16_t h = fit_half(v);
    memcpy(w, &h, sizeof h);
    return f32_from_f16(h);
}

/* ---- Grids ---- */

struct fit_grid {
    bool even; /* the whole numbers low .. high; else the values of IQ4 */
    float low, high;
};

static const struct fit_grid FIT_SIGNED_4 = {true, -4, 3}, FIT_SIGNED_8 = {true, -8, 7}, FIT_SIGNED_16 = {true, -16, 15},
                             FIT_SIGNED_32 = {true, -32, 31}, FIT_IQ4 = {false, -127, 113};

/* f(g, ..) with g.even, and the ends of IQ4, as constants. */
#define FIT_OF_GRID(f, g, ...) ((g).even ? f((struct fit_grid){true, (g).low, (g).high}, __VA_ARGS__) : f(FIT_IQ4, __VA_ARGS__))

/* Half way between neighbours of iq4_values, and the distance of the two. */
static const float fit_iq4_middle[15] = {-115.5f, -93.5f, -74.0f, -57.0f, -42.0f, -28.5f, -16.0f, -4.5f,
                                         7.0f,    19.0f,  31.5f,  45.5f,  61.0f,  79.0f,  101.0f};
static const float fit_iq4_gap[15] = {23, 21, 18, 16, 14, 13, 12, 11, 12, 12, 13, 15, 16, 20, 24};

/* Before a loop of constant length that must not stay one (measured: encoding IQ4_XS takes 1.7 times as long then). */
#ifdef __clang__
#define FIT_UNROLL _Pragma("clang loop unroll(full)")
#else
#define FIT_UNROLL _Pragma("GCC unroll 16")
#endif

/* The levels nearest to v. */
FIT_INLINE fit_vec fit_level(struct fit_grid g, fit_vec v) {
    if (g.even)
        return fit_round4(fit_min(fit_max(v, fit_all(g.low)), fit_all(g.high)));
    fit_vec level = fit_all(-127.0f);
    FIT_UNROLL for (int k = 0; k < 15; k++) level += fit_and(v > fit_iq4_middle[k], fit_all(fit_iq4_gap[k]));
    return level;
}

/* The bytes of 16 codes. */
static inline void fit_bytes(const fit_mask c[4], uint8_t *code) {
#if defined(__SSE2__)
    __m128i low = _mm_packs_epi32((__m128i)c[0], (__m128i)c[1]), high = _mm_packs_epi32((__m128i)c[2], (__m128i)c[3]);
    _mm_storeu_si128((__m128i *)(void *)code, _mm_packus_epi16(low, high)); /* the same, in three instructions */
#else
    int32_t whole[16];
    /* cppcheck-suppress bufferAccessOutOfBounds ; it takes a vector of four for one number */
    memcpy(whole, c, sizeof whole);
    for (int i = 0; i < 16; i++) code[i] = (uint8_t)whole[i];
#endif
}

/* Whole numbers as integers, less those of base. */
static inline fit_mask fit_integer(fit_vec whole, float base) {
    return (fit_mask)(whole + 12582912.0f) - (fit_mask)fit_all(base + 12582912.0f); /* the number stands in the low bits */
}

FIT_INLINE void fit_scale_codes_of(struct fit_grid g, const float *x, int n, float d, uint8_t *code) {
    float inverse = d != 0.0f ? 1.0f / d : 0.0f;
    for (int i = 0; i < n; i += 16) {
        fit_mask c[4] = {{0}, {0}, {0}, {0}};
        FIT_UNROLL for (int j = 0; j < 4; j++) {
            fit_vec v = fit_load(x + i + 4 * j) * inverse;
            if (g.even) {
                c[j] = fit_integer(fit_min(fit_max(v, fit_all(g.low)), fit_all(g.high)), g.low);
                continue;
            }
            FIT_UNROLL for (int k = 0; k < 15; k++) c[j] -= v > fit_iq4_middle[k]; /* true is -1 */
        }
        fit_bytes(c, code + i);
    }
}

/* The codes of n weights under a scale: how many levels lie below. Scale 0: those of level 0. */
static __attribute__((noinline)) void fit_scale_codes(struct fit_grid g, const float *x, int n, float d, uint8_t *code) {
    FIT_OF_GRID(fit_scale_codes_of, g, x, n, d, code);
}

/* 32 codes of 4 bits in 16 bytes: code j and code j + 16 share one. */
static inline void fit_nibbles(const uint8_t *code, uint8_t *w) {
    for (int j = 0; j < 16; j++) w[j] = (uint8_t)((code[j] & 15) | code[j + 16] << 4);
}

/* ---- One scale ---- */

struct fit_sums {
    float xl, ll; /* of w x L and w L L */
};

/* The sums for the levels nearest to x * inverse. */
FIT_INLINE struct fit_sums fit_scale_sums(struct fit_grid g, const float *x, const float *w, int n, float inverse) {
    fit_vec xl[2] = {{0}, {0}}, ll[2] = {{0}, {0}};
    for (int i = 0; i < n; i += FIT_LANES)
        FIT_UNROLL for (int k = 0; k < 2; k++) {
            fit_vec xk = fit_load(x + i + 4 * k), level = fit_level(g, xk * inverse), wl = w ? fit_load(w + i + 4 * k) * level : level;
            xl[k] += wl * xk;
            ll[k] += wl * level;
        }
    return (struct fit_sums){fit_total(xl[0], xl[1]), fit_total(ll[0], ll[1])};
}

/* The smallest and the largest of n values. */
static inline void fit_range(const float *x, int n, float *low, float *high) {
    fit_vec l = fit_load(x), h = l;
    for (int i = 4; i < n; i += 4) {
        l = fit_min(l, fit_load(x + i));
        h = fit_max(h, fit_load(x + i));
    }
    float l0 = l[1] < l[0] ? l[1] : l[0], l2 = l[3] < l[2] ? l[3] : l[2];
    float h0 = h[1] > h[0] ? h[1] : h[0], h2 = h[3] > h[2] ? h[3] : h[2];
    *low = l2 < l0 ? l2 : l0;
    *high = h2 > h0 ? h2 : h0;
}

/* The value that is farthest from 0, with its sign. */
static inline float fit_extreme(const float *x, int n) {
    float low, high;
    fit_range(x, n, &low, &high);
    return high > -low ? high : low;
}

/* How long to search. Where a few columns matter most, the error has many narrow valleys. (Measured: weights that grow with |x| bring
 * Q4_0, IQ4_NL and IQ4_XS no nearer to F16.) */
struct fit_effort {
    int n_row, n_refine; /* rows of scales, and then steps from codes to scale to codes */
};

static const struct fit_effort FIT_PLAIN = {1, 0}, FIT_PLAIN_SUPER = {2, 2}, FIT_WEIGHTED = {6, 2};

/* Scales are tried four at a time, in the lanes of one vector: no sum goes across them. The sums for each of four inverse
 * scales, as fit_scale_sums() has them for one but for the order of addition. */
FIT_INLINE void fit_scale_row(struct fit_grid g, const float *x, const float *w, int n, fit_vec inverse, fit_vec *xl, fit_vec *ll) {
    *xl = *ll = (fit_vec){0};
    for (int i = 0; i < n; i++) {
        fit_vec xi = fit_all(x[i]), level = fit_level(g, xi * inverse), wl = w ? fit_all(w[i]) * level : level;
        *xl += wl * xi;
        *ll += wl * level;
    }
}

/* The first lane with the largest value. */
static inline int fit_best(fit_vec v) {
    int a = v[1] > v[0], b = v[3] > v[2] ? 3 : 2;
    return v[b] > v[a] ? b : a;
}

/* The best scale of n weights, of either sign. The extreme weight is put on places around the low end of the grid, as shares of that
 * end from first on, n_row places in each of four steps; that covers a scale of the other sign too, where the grid is even. On the
 * uneven one it is put around the high end as well. */
FIT_INLINE float fit_scale_of(struct fit_grid g, const float *x, const float *w, int n, float first, float step, struct fit_effort e) {
    float extreme = fit_extreme(x, n), best = 0.0f, most = 0.0f;
    /* cppcheck-suppress incorrectLogicOperator ; it takes 0x1p-100f for 0 */
    if (extreme < 0x1p-100f && extreme > -0x1p-100f) return 0.0f; /* its inverse would not be finite */
    for (int r = 0; r < (g.even ? e.n_row : 2 * e.n_row); r++) {
        float end = r < e.n_row ? g.low : g.high;
        fit_vec xl, ll, steps = (fit_vec){0, 1, 2, 3} + (float)(r % e.n_row) / (float)e.n_row;
        fit_scale_row(g, x, w, n, (steps * step + first) * (end / extreme), &xl, &ll);
        fit_vec d = fit_and(ll > 0.0f, xl / ll), gain = d * xl; /* of the best scale's error, what depends on the levels */
        int k = fit_best(gain);
        best = gain[k] > most ? d[k] : best;
        most = gain[k] > most ? gain[k] : most;
    }
    for (int k = 0; k < e.n_refine; k++) {
        /* cppcheck-suppress incorrectLogicOperator ; the same */
        if (best < 0x1p-100f && best > -0x1p-100f) return 0.0f;
        struct fit_sums s = fit_scale_sums(g, x, w, n, 1.0f / best);
        best = s.ll > 0.0f ? s.xl / s.ll : 0.0f;
    }
    return best;
}

/* The same on an even grid where no importance is given: three places over the same stretch, one after the other, so that the weights
 * stand in the lanes. (Measured for Q4_0: four in lanes of their own leave 0.99 of the error and take 1.2 times as long.) */
FIT_INLINE float fit_scale_plain(struct fit_grid g, const float *x, int n, float first, float step) {
    float extreme = fit_extreme(x, n), best = 0.0f, most = 0.0f;
    /* cppcheck-suppress incorrectLogicOperator ; the same */
    if (extreme < 0x1p-100f && extreme > -0x1p-100f) return 0.0f;
    float end = g.low / extreme;
    FIT_UNROLL for (int k = 0; k < 3; k++) {
        struct fit_sums s = fit_scale_sums(g, x, NULL, n, ((float)k * 1.2f * step + (0.5f * step + first)) * end);
        float d = s.ll > 0.0f ? s.xl / s.ll : 0.0f, gain = d * s.xl;
        best = gain > most ? d : best;
        most = gain > most ? gain : most;
    }
    return best;
}

static __attribute__((noinline)) float fit_scale(struct fit_grid g, const float *x, const float *w, int n, float first, float step,
                                                 struct fit_effort e) {
    if (!w && g.even) return fit_scale_plain((struct fit_grid){true, g.low, g.high}, x, n, first, step);
    return FIT_OF_GRID(fit_scale_of, g, x, w, n, first, step, e);
}

/* ---- A scale and a minimum ---- */

struct fit_line {
    float d, m; /* y = d L - m */
};

struct fit_totals { /* of the weights, whatever the levels: sums of w, w x */
    float w, x;
};

FIT_INLINE struct fit_totals fit_totals(const float *x, const float *w, int n) {
    fit_vec s[2] = {{0}, {0}}, sx[2] = {{0}, {0}};
    for (int i = 0; i < n; i += FIT_LANES)
        FIT_UNROLL for (int k = 0; k < 2; k++) {
            fit_vec xk = fit_load(x + i + 4 * k), wk = w ? fit_load(w + i + 4 * k) : fit_all(1.0f);
            s[k] += wk;
            sx[k] += wk * xk;
        }
    return (struct fit_totals){fit_total(s[0], s[1]), fit_total(sx[0], sx[1])};
}

struct fit_line_sums {
    float l, ll, xl; /* of w L, w L L, w x L */
};

/* L = (x + m) * inverse, rounded and kept within 0 .. top. */
static inline fit_vec fit_line_level(fit_vec x, float inverse, float m, float top) {
    return fit_round4(fit_min(fit_max((x + m) * inverse, fit_all(0.0f)), fit_all(top)));
}

/* The codes of n weights under a line: those levels. */
static __attribute__((noinline)) void fit_line_codes(const float *x, int n, float d, float m, int top, uint8_t *code) {
    float inverse = d > 0.0f ? 1.0f / d : 0.0f;
    for (int i = 0; i < n; i += 16) {
        fit_mask c[4];
        FIT_UNROLL for (int j = 0; j < 4; j++) c[j] = fit_integer(fit_line_level(fit_load(x + i + 4 * j), inverse, m, (float)top), 0.0f);
        fit_bytes(c, code + i);
    }
}

FIT_INLINE struct fit_line_sums fit_line_sums(const float *x, const float *w, int n, float inverse, float m, float top) {
    fit_vec l[2] = {{0}, {0}}, ll[2] = {{0}, {0}}, xl[2] = {{0}, {0}};
    for (int i = 0; i < n; i += FIT_LANES)
        FIT_UNROLL for (int k = 0; k < 2; k++) {
            fit_vec xk = fit_load(x + i + 4 * k), level = fit_line_level(xk, inverse, m, top);
            fit_vec wl = w ? fit_load(w + i + 4 * k) * level : level;
            l[k] += wl;
            ll[k] += wl * level;
            xl[k] += wl * xk;
        }
    return (struct fit_line_sums){fit_total(l[0], l[1]), fit_total(ll[0], ll[1]), fit_total(xl[0], xl[1])};
}

struct fit_lines { /* four of them, a lane for each */
    fit_vec d, m;
    fit_vec gain; /* sum w x x minus the error */
};

/* The best lines for the levels behind four times three sums. free: m may be negative; else it is held at 0. */
static inline struct fit_lines fit_line_best(struct fit_totals t, fit_vec l, fit_vec ll, fit_vec xl, bool free) {
    fit_vec det = ll * t.w - l * l;
    fit_mask both = det > 0.0f;
    fit_vec d = fit_and(both, (xl * t.w - l * t.x) / det), m = fit_and(both, (l * xl - ll * t.x) / det);
    if (!free) both &= m >= 0.0f;
    m = fit_and(both, m);
    d = fit_and(both, d) + fit_and(~both & (ll > 0.0f), xl / ll);
    return (struct fit_lines){d, m, d * xl - m * t.x};
}

/* The best lines whose levels are those of four inverse scales and m = -low, where no x is below low. */
FIT_INLINE struct fit_lines fit_line_row(const float *x, const float *w, int n, struct fit_totals t, fit_vec inverse, float low,
                                            float top, bool free) {
    fit_vec l = {0}, ll = {0}, xl = {0};
    for (int i = 0; i < n; i++) {
        fit_vec level = fit_round4(fit_min(fit_all(x[i] - low) * inverse, fit_all(top))), wl = w ? fit_all(w[i]) * level : level;
        l += wl;
        ll += wl * level;
        xl += wl * x[i];
    }
    return fit_line_best(t, l, ll, xl, free);
}

/* The best line of n weights with levels 0 .. top: the weights' range is put on n_row lengths in each of four steps from first on,
 * in levels. */
FIT_INLINE struct fit_line fit_line_of(const float *x, const float *w, int n, int top, bool free, float first, float step,
                                       struct fit_effort e) {
    float low, high, most = -1.0f;
    fit_range(x, n, &low, &high);
    if (!free && low > 0.0f) low = 0.0f;
    struct fit_totals t = fit_totals(x, w, n);
    struct fit_line best = {0, -low};
    if (high - low < 0x1p-100f) return best;
    for (int r = 0; r < e.n_row; r++) {
        fit_vec steps = (fit_vec){0, 1, 2, 3} + (float)r / (float)e.n_row;
        struct fit_lines f = fit_line_row(x, w, n, t, (steps * step + first) / (high - low), low, (float)top, free);
        int k = fit_best(f.gain);
        bool more = f.gain[k] > most;
        best = (struct fit_line){more ? f.d[k] : best.d, more ? f.m[k] : best.m};
        most = more ? f.gain[k] : most;
    }
    for (int k = 0; k < e.n_refine && best.d > 0x1p-100f; k++) {
        struct fit_line_sums sums = fit_line_sums(x, w, n, 1.0f / best.d, best.m, (float)top);
        struct fit_lines f = fit_line_best(t, fit_all(sums.l), fit_all(sums.ll), fit_all(sums.xl), free);
        best = (struct fit_line){f.d[0], f.m[0]};
    }
    return best;
}

static __attribute__((noinline)) struct fit_line fit_line(const float *x, const float *w, int n, int top, bool free, float first,
                                                          float step, struct fit_effort e) {
    return w ? fit_line_of(x, w, n, top, free, first, step, e) : fit_line_of(x, NULL, n, top, free, first, step, e);
}

/* ---- Super-blocks: 256 weights in n_sub sub-blocks, whose scales are integers times one f16 ----
 *
 * The scales of the sub-blocks are fitted alone; the largest gives the f16, the rest are rounded. Then, twice: each
 * sub-block tries its integers and their neighbours with the levels that they really give, and the f16 is fitted again to
 * all of them. */

struct fit_super {
    float d, m;                /* f16 values; y = d scale L - m minimum */
    int scale[16], minimum[16];
};

/* If *w is NULL, makes it own[256], all ones. */
static struct fit_effort fit_super_weights(const float **w, float own[256]) {
    if (*w) return FIT_WEIGHTED;
    for (int i = 0; i < 256; i++) own[i] = 1.0f;
    *w = own;
    return FIT_PLAIN_SUPER;
}

/* The f16 with which the largest of some scales becomes the integer end; not 0 unless far is. */
static inline float fit_super_unit(float far, float end) {
    float unit = far / end, d = fit_f16(unit);
    if (d != 0.0f || unit == 0.0f) return d;
    return unit > 0.0f ? 0x1p-24f : -0x1p-24f;
}

/* Error of the scale d, less sum w x x. */
static inline float fit_scale_error(struct fit_sums s, float d) {
    return d * (d * s.ll - 2.0f * s.xl);
}

/* The best integer near scale for a sub-block, its sums and its error. */
FIT_INLINE int fit_super_step_of(struct fit_grid g, const float *x, const float *w, int n, float d, int scale, int low,
                                 int high, struct fit_sums *sums, float *error) {
    int best = 0;
    *sums = (struct fit_sums){0, 0};
    *error = 0.0f;
    for (int c = scale - 1; c <= scale + 1; c++) {
        if (c < low || c > high || c == 0) continue;
        struct fit_sums s = fit_scale_sums(g, x, w, n, 1.0f / (d * (float)c));
        float e = fit_scale_error(s, d * (float)c);
        if (e >= *error) continue;
        *error = e;
        *sums = s;
        best = c;
    }
    return best;
}

static __attribute__((noinline)) int fit_super_step(struct fit_grid g, const float *x, const float *w, int n, float d, int scale, int low,
                                                    int high, struct fit_sums *sums, float *error) {
    return FIT_OF_GRID(fit_super_step_of, g, x, w, n, d, scale, low, high, sums, error);
}

/* Scales low .. high for n_sub sub-blocks; first, step as in fit_scale(). */
static inline struct fit_super fit_super(struct fit_grid g, const float *x, const float *w, int n_sub, int low, int high,
                                         float first, float step) {
    int n = 256 / n_sub;
    float own[256];
    struct fit_effort e = fit_super_weights(&w, own);
    float alone[16], far = 0.0f, least = 0.0f;
    for (int j = 0; j < n_sub; j++) {
        alone[j] = fit_scale(g, x + n * j, w + n * j, n, first, step, e);
        if (alone[j] * alone[j] > far * far) far = alone[j];
    }
    struct fit_super best = {0}, s = {.d = fit_super_unit(far, (float)low)};
    if (s.d == 0.0f) return best;
    for (int j = 0; j < n_sub; j++) s.scale[j] = (int)fit_round(fit_clamp(alone[j] / s.d, (float)low, (float)high));
    for (int round = 0; round < 2 && s.d != 0.0f; round++) {
        float total = 0.0f, xl = 0.0f, ll = 0.0f;
        for (int j = 0; j < n_sub; j++) {
            struct fit_sums sums;
            float error;
            s.scale[j] = fit_super_step(g, x + n * j, w + n * j, n, s.d, s.scale[j], low, high, &sums, &error);
            total += error;
            xl += (float)s.scale[j] * sums.xl;
            ll += (float)(s.scale[j] * s.scale[j]) * sums.ll;
        }
        if (total >= least) break;
        least = total;
        best = s;
        s.d = fit_f16(xl / ll);
        if (s.d == best.d) break;
    }
    return best;
}

/* Error of the line d, m, less sum w x x. */
static inline float fit_line_error(struct fit_totals t, struct fit_line_sums s, float d, float m) {
    return d * (d * s.ll - 2.0f * (s.xl + m * s.l)) + m * (m * t.w + 2.0f * t.x);
}

/* The best integers near *scale and *minimum for a sub-block, their sums and their error. */
static inline float fit_super_line_step(const float *x, const float *w, int n, int top, int end, struct fit_totals t, float d,
                                        float m, int *scale, int *minimum, struct fit_line_sums *sums) {
    float least = 0.0f;
    int sc = *scale, mn = *minimum;
    *scale = *minimum = 0;
    *sums = (struct fit_line_sums){0, 0, 0};
    for (int a = sc - 1; a <= sc + 1; a++)
        for (int b = mn - 1; b <= mn + 1; b++) {
            if (a < 0 || a > end || b < 0 || b > end) continue;
            float da = d * (float)a, mb = m * (float)b;
            struct fit_line_sums s = {0, 0, 0};
            if (a) s = fit_line_sums(x, w, n, 1.0f / da, mb, (float)top);
            float e = fit_line_error(t, s, da, mb);
            if (e >= least) continue;
            least = e;
            *scale = a;
            *minimum = b;
            *sums = s;
        }
    return least;
}

/* Levels 0 .. top, scales and minima 0 .. end; first, step as in fit_line(). */
static inline struct fit_super fit_super_line(const float *x, const float *w, int n_sub, int top, int end, float first,
                                              float step) {
    int n = 256 / n_sub;
    float own[256];
    struct fit_effort e = fit_super_weights(&w, own);
    struct fit_line alone[16];
    struct fit_totals t[16];
    float d = 0.0f, m = 0.0f, least = 0.0f;
    for (int j = 0; j < n_sub; j++) {
        t[j] = fit_totals(x + n * j, w + n * j, n);
        alone[j] = fit_line(x + n * j, w + n * j, n, top, false, first, step, e);
        d = alone[j].d > d ? alone[j].d : d;
        m = alone[j].m > m ? alone[j].m : m;
    }
    struct fit_super best = {0}, s = {.d = fit_super_unit(d, (float)end), .m = fit_super_unit(m, (float)end)};
    for (int j = 0; j < n_sub; j++) {
        s.scale[j] = s.d > 0.0f ? (int)fit_round(fit_clamp(alone[j].d / s.d, 0.0f, (float)end)) : 0;
        s.minimum[j] = s.m > 0.0f ? (int)fit_round(fit_clamp(alone[j].m / s.m, 0.0f, (float)end)) : 0;
    }
    for (int round = 0; round < 2; round++) {
        float total = 0.0f;
        double aa = 0, ab = 0, bb = 0, ax = 0, bx = 0; /* of the two equations for d and m */
        for (int j = 0; j < n_sub; j++) {
            struct fit_line_sums sums;
            total += fit_super_line_step(x + n * j, w + n * j, n, top, end, t[j], s.d, s.m, &s.scale[j], &s.minimum[j],
                                         &sums);
            double a = s.scale[j], b = s.minimum[j];
            aa += a * a * sums.ll;
            ab += a * b * sums.l;
            bb += b * b * t[j].w;
            ax += a * sums.xl;
            bx += b * t[j].x;
        }
        if (total >= least) break;
        least = total;
        best = s;
        double det = aa * bb - ab * ab;
        if (det > 0) {
            s.d = fit_f16((float)((ax * bb - bx * ab) / det));
            s.m = fit_f16((float)((ax * ab - bx * aa) / det));
        } else if (aa > 0) {
            s.d = fit_f16((float)(ax / aa));
        }
        if (s.d <= 0.0f || s.m < 0.0f || (s.d == best.d && s.m == best.m)) break;
    }
    return best;
}

#endif
