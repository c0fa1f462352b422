/* What the encoders of the formats share: the search for the scale, and the minimum, with which a few small integers
 * say a stretch of weights with the least weighted squared error  sum w (x - y)^2.  Knows grids and sub-blocks, but no
 * byte of any format. Plain float arithmetic in a fixed order: the same result on every machine.
 *
 *   grid           the levels L that a code stands for: -Q .. Q-1, 0 .. N, or the sixteen uneven ones of IQ4
 *   scale          y = d L                        sums S(xL), S(LL) of w x L, w L L: best d = S(xL) / S(LL)
 *   scale and min  y = d L - m, 0 <= L <= N       best d and m from two linear equations in the same kind of sums
 *
 * Given the codes, the best scale follows; given the scale, the best codes do. A fit tries rows of scales around the one
 * that just spans the stretch, takes the one whose codes with their best scale leave the least error, and then goes on
 * from codes to scale to codes while that gains. In a super-block the scales are integers too; see below.
 *
 * w is the importance of the columns; where there is none (NULL), all are the same. */
#ifndef PHI_QUANT_FIT_H
#define PHI_QUANT_FIT_H

#include "bits.h"
#include <stdbool.h>

#if defined(__SSE__)
#include <xmmintrin.h>
#endif

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
#if defined(__SSE__)
    return _mm_max_ps(a, b); /* the same, in one instruction */
#else
    fit_mask mask = a > b;
    return (fit_vec)((mask & (fit_mask)a) | (~mask & (fit_mask)b));
#endif
}

static inline fit_vec fit_min(fit_vec a, fit_vec b) {
#if defined(__SSE__)
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

/* The f16 nearest to v, as a float, and never infinite. */
static inline float fit_f16(float v) {
    return f32_from_f16(f16_from_f32(fit_clamp(v, -65504.0f, 65504.0f)));
}

/* ---- Grids ---- */

enum fit_grid { FIT_SIGNED_4, FIT_SIGNED_8, FIT_SIGNED_16, FIT_SIGNED_32, FIT_IQ4 };

static inline float fit_grid_low(enum fit_grid g) {
    return g == FIT_SIGNED_4 ? -4.0f : g == FIT_SIGNED_8 ? -8.0f : g == FIT_SIGNED_16 ? -16.0f : g == FIT_SIGNED_32 ? -32.0f : -127.0f;
}

static inline float fit_grid_high(enum fit_grid g) {
    return g == FIT_IQ4 ? 113.0f : -1.0f - fit_grid_low(g);
}

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
static inline fit_vec fit_level(enum fit_grid g, fit_vec v) {
    if (g != FIT_IQ4)
        return fit_round4(fit_min(fit_max(v, fit_all(fit_grid_low(g))), fit_all(fit_grid_high(g))));
    fit_vec level = fit_all(-127.0f);
    FIT_UNROLL for (int k = 0; k < 15; k++) level += fit_and(v > fit_iq4_middle[k], fit_all(fit_iq4_gap[k]));
    return level;
}

/* The bytes of n codes that stand as whole numbers: 0 .. 255. n: a constant, so that this becomes vectors. */
static inline void fit_bytes(const float *whole, int n, uint8_t *code) {
    int32_t bits[32];
    for (int i = 0; i < n; i += 4) {
        fit_mask c = (fit_mask)(fit_load(whole + i) + 12582912.0f); /* the number stands in the low bits */
        memcpy(bits + i, &c, sizeof c);
    }
    for (int i = 0; i < n; i++) code[i] = (uint8_t)bits[i];
}

/* The codes of n weights under a scale: how many levels lie below. Scale 0: those of level 0. */
static __attribute__((noinline)) void fit_scale_codes(enum fit_grid g, const float *x, int n, float d, uint8_t *code) {
    float inverse = d != 0.0f ? 1.0f / d : 0.0f, whole[32];
    for (int i = 0; i < n; i += 4) {
        fit_vec v = fit_load(x + i) * inverse, c = fit_all(0.0f);
        if (g == FIT_IQ4) {
            FIT_UNROLL for (int k = 0; k < 15; k++) c += fit_and(v > fit_iq4_middle[k], fit_all(1.0f));
        } else {
            c = fit_level(g, v) - fit_grid_low(g);
        }
        memcpy(whole + i, &c, sizeof c);
    }
    fit_bytes(whole, n, code);
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
static inline struct fit_sums fit_scale_sums(enum fit_grid g, const float *x, const float *w, int n, float inverse) {
    fit_vec xl[2] = {{0}, {0}}, ll[2] = {{0}, {0}};
    for (int i = 0; i < n; i += FIT_LANES)
        FIT_UNROLL for (int k = 0; k < 2; k++) {
            fit_vec xk = fit_load(x + i + 4 * k), level = fit_level(g, xk * inverse), wl = fit_load(w + i + 4 * k) * level;
            xl[k] += wl * xk;
            ll[k] += wl * level;
        }
    return (struct fit_sums){fit_total(xl[0], xl[1]), fit_total(ll[0], ll[1])};
}

/* Of the error of the best scale, what depends on the levels: the larger the better. */
static inline float fit_gain(struct fit_sums s) {
    return s.ll > 0.0f ? s.xl / s.ll * s.xl : 0.0f;
}

/* The smallest and the largest of n values. */
static inline void fit_range(const float *x, int n, float *low, float *high) {
    fit_vec l = fit_load(x), h = l;
    for (int i = 4; i < n; i += 4) {
        l = fit_min(l, fit_load(x + i));
        h = fit_max(h, fit_load(x + i));
    }
    *low = l[0];
    *high = h[0];
    for (int k = 1; k < 4; k++) {
        *low = l[k] < *low ? l[k] : *low;
        *high = h[k] > *high ? h[k] : *high;
    }
}

/* The value that is farthest from 0, with its sign. */
static inline float fit_extreme(const float *x, int n) {
    float low, high;
    fit_range(x, n, &low, &high);
    return high > -low ? high : low;
}

/* Where a few columns matter most, the error has many narrow valleys: that many rows of scales then. */
enum { FIT_WEIGHTED_ROWS = 6 };

/* If *w is NULL, makes it own[n], all ones, and returns n_row; else FIT_WEIGHTED_ROWS. (Measured on f16-768: weights that grow with |x|
 * bring Q4_0, IQ4_NL and IQ4_XS no nearer to F16.) */
static int fit_weights(const float **w, int n, int n_row, float *own) {
    if (*w) return FIT_WEIGHTED_ROWS;
    for (int i = 0; i < n; i++) own[i] = 1.0f;
    *w = own;
    return n_row;
}

/* Scales are tried four at a time, in the lanes of one vector: no sum goes across them. */
enum { FIT_ROW = 4, FIT_REFINE = 2 };

/* The sums for each of four inverse scales, as fit_scale_sums() has them for one but for the order of addition. */
static inline void fit_scale_row(enum fit_grid g, const float *x, const float *w, int n, fit_vec inverse, fit_vec *xl, fit_vec *ll) {
    *xl = *ll = (fit_vec){0};
    for (int i = 0; i < n; i++) {
        fit_vec xi = fit_all(x[i]), level = fit_level(g, xi * inverse), wl = fit_all(w[i]) * level;
        *xl += wl * xi;
        *ll += wl * level;
    }
}

/* The first lane with the largest value, if that is above *best, which it becomes; else -1. */
static inline int fit_best(fit_vec v, float *best) {
    int at = -1;
    for (int k = 0; k < FIT_ROW; k++) {
        bool more = v[k] > *best;
        *best = more ? v[k] : *best;
        at = more ? k : at;
    }
    return at;
}

/* The best scale of n weights, of either sign. The extreme weight is put on places around the low end of the grid, as shares of that
 * end from first on, n_row places in each of four steps; that covers a scale of the other sign too, where the grid is even. On the
 * uneven one it is put around the high end as well. */
static inline float fit_scale(enum fit_grid g, const float *x, const float *w, int n, float first, float step, int n_row) {
    float extreme = fit_extreme(x, n), best_gain = 0.0f;
    /* cppcheck-suppress incorrectLogicOperator ; it takes 0x1p-100f for 0 */
    if (extreme < 0x1p-100f && extreme > -0x1p-100f) return 0.0f; /* its inverse would not be finite */
    struct fit_sums found = {0, 0};
    for (int r = 0; r < (g == FIT_IQ4 ? 2 * n_row : n_row); r++) {
        float end = r < n_row ? fit_grid_low(g) : fit_grid_high(g);
        fit_vec xl, ll, steps = (fit_vec){0, 1, 2, 3} + (float)(r % n_row) / (float)n_row;
        fit_scale_row(g, x, w, n, (steps * step + first) * (end / extreme), &xl, &ll);
        int k = fit_best(fit_and(ll > 0.0f, xl / ll * xl), &best_gain);
        if (k >= 0) found = (struct fit_sums){xl[k], ll[k]};
    }
    if (found.ll <= 0.0f) return 0.0f;
    float best = found.xl / found.ll;
    for (int k = 0; k < FIT_REFINE; k++) {
        /* cppcheck-suppress incorrectLogicOperator ; the same */
        if (best < 0x1p-100f && best > -0x1p-100f) return 0.0f;
        found = fit_scale_sums(g, x, w, n, 1.0f / best);
        float gain = fit_gain(found);
        if (gain <= best_gain) break;
        best_gain = gain;
        best = found.xl / found.ll;
    }
    return best;
}

/* ---- A scale and a minimum ---- */

struct fit_line {
    float d, m; /* y = d L - m */
    float gain; /* sum w x x minus the error */
};

struct fit_totals { /* of the weights, whatever the levels: sums of w, w x, w x x */
    float w, x, xx;
};

static inline struct fit_totals fit_totals(const float *x, const float *w, int n) {
    fit_vec s[2] = {{0}, {0}}, sx[2] = {{0}, {0}}, sxx[2] = {{0}, {0}};
    for (int i = 0; i < n; i += FIT_LANES)
        FIT_UNROLL for (int k = 0; k < 2; k++) {
            fit_vec xk = fit_load(x + i + 4 * k), wk = fit_load(w + i + 4 * k), wx = wk * xk;
            s[k] += wk;
            sx[k] += wx;
            sxx[k] += wx * xk;
        }
    return (struct fit_totals){fit_total(s[0], s[1]), fit_total(sx[0], sx[1]), fit_total(sxx[0], sxx[1])};
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
    float inverse = d > 0.0f ? 1.0f / d : 0.0f, whole[32];
    for (int i = 0; i < n; i += 4) {
        fit_vec c = fit_line_level(fit_load(x + i), inverse, m, (float)top);
        memcpy(whole + i, &c, sizeof c);
    }
    fit_bytes(whole, n, code);
}

static inline struct fit_line_sums fit_line_sums(const float *x, const float *w, int n, float inverse, float m,
                                                 float top) {
    fit_vec l[2] = {{0}, {0}}, ll[2] = {{0}, {0}}, xl[2] = {{0}, {0}};
    for (int i = 0; i < n; i += FIT_LANES)
        FIT_UNROLL for (int k = 0; k < 2; k++) {
            fit_vec xk = fit_load(x + i + 4 * k), level = fit_line_level(xk, inverse, m, top);
            fit_vec wl = fit_load(w + i + 4 * k) * level;
            l[k] += wl;
            ll[k] += wl * level;
            xl[k] += wl * xk;
        }
    return (struct fit_line_sums){fit_total(l[0], l[1]), fit_total(ll[0], ll[1]), fit_total(xl[0], xl[1])};
}

struct fit_lines { /* four of them, a lane for each */
    fit_vec d, m, gain;
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
static inline struct fit_lines fit_line_row(const float *x, const float *w, int n, struct fit_totals t, fit_vec inverse, float low,
                                            float top, bool free) {
    fit_vec l = {0}, ll = {0}, xl = {0};
    for (int i = 0; i < n; i++) {
        fit_vec level = fit_round4(fit_min(fit_all(x[i] - low) * inverse, fit_all(top))), wl = fit_all(w[i]) * level;
        l += wl;
        ll += wl * level;
        xl += wl * x[i];
    }
    return fit_line_best(t, l, ll, xl, free);
}

/* The best line of n weights with levels 0 .. top: the weights' range is put on n_row lengths in each of four steps from first on,
 * in levels. */
static inline struct fit_line fit_line(const float *x, const float *w, int n, int top, bool free, float first, float step, int n_row) {
    float low, high;
    fit_range(x, n, &low, &high);
    if (!free && low > 0.0f) low = 0.0f;
    struct fit_totals t = fit_totals(x, w, n);
    struct fit_line best = {0, -low, t.x * -low};
    if (high - low < 0x1p-100f) return best;
    best.gain = -1.0f;
    for (int r = 0; r < n_row; r++) {
        fit_vec steps = (fit_vec){0, 1, 2, 3} + (float)r / (float)n_row;
        struct fit_lines f = fit_line_row(x, w, n, t, (steps * step + first) / (high - low), low, (float)top, free);
        int k = fit_best(f.gain, &best.gain);
        if (k < 0) continue;
        best.d = f.d[k];
        best.m = f.m[k];
    }
    for (int k = 0; k < FIT_REFINE && best.d > 0x1p-100f; k++) {
        struct fit_line_sums sums = fit_line_sums(x, w, n, 1.0f / best.d, best.m, (float)top);
        struct fit_lines f = fit_line_best(t, fit_all(sums.l), fit_all(sums.ll), fit_all(sums.xl), free);
        if (f.gain[0] <= best.gain) break;
        best = (struct fit_line){f.d[0], f.m[0], f.gain[0]};
    }
    return best;
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
static inline int fit_super_step(enum fit_grid g, const float *x, const float *w, int n, float d, int scale, int low,
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

/* Scales low .. high for n_sub sub-blocks; first, step as in fit_scale(). */
static inline struct fit_super fit_super(enum fit_grid g, const float *x, const float *w, int n_sub, int low, int high,
                                         float first, float step) {
    int n = 256 / n_sub;
    float own[256];
    int n_row = fit_weights(&w, 256, 2, own);
    float alone[16], far = 0.0f, least = 0.0f;
    for (int j = 0; j < n_sub; j++) {
        alone[j] = fit_scale(g, x + n * j, w + n * j, n, first, step, n_row);
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
    int n_row = fit_weights(&w, 256, 2, own);
    struct fit_line alone[16];
    struct fit_totals t[16];
    float d = 0.0f, m = 0.0f, least = 0.0f;
    for (int j = 0; j < n_sub; j++) {
        t[j] = fit_totals(x + n * j, w + n * j, n);
        alone[j] = fit_line(x + n * j, w + n * j, n, top, false, first, step, n_row);
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
