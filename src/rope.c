/* Angles for rotary embedding. Sine, cosine, logarithm and power are our own, in plain double operations: every
 * system's libm has other last bits. The results are rounded to float, where they are exact to the last place but for
 * rare ties. */
#include "rope.h"

#include <math.h>
#include <string.h>

/* ln(x) for normal x > 0: x = m * 2^e with m in [sqrt(1/2), sqrt(2)), ln m = 2 artanh(z), z = (m-1)/(m+1), |z| <
 * 0.172. */
static double ln(double x) {
    uint64_t u;
    memcpy(&u, &x, 8);
    int e = (int)(u >> 52) - 1022;
    u = (u & 0xfffffffffffffull) | 0x3fe0000000000000ull; /* m in [1/2, 1) */
    double m;
    memcpy(&m, &u, 8);
    if (m < 0.70710678118654752) {
        m *= 2;
        e--;
    }
    double z = (m - 1) / (m + 1), zz = z * z, sum = 0;
    for (int k = 23; k >= 1; k -= 2) sum = sum * zz + 1.0 / k; /* 0.172^24 is below 2^-60 */
    return 2 * z * sum + e * 0.69314718055994531;
}

/* e^x for |x| < 700, by 2^n * e^r, |r| < 0.35. */
static double exponential(double x) {
    double n = rint(x * 1.4426950408889634), r = (x - n * 0x1.62e42fee00000p-1) - n * 0x1.a39ef35793c76p-33, sum = 1;
    for (int k = 16; k >= 1; k--) sum = 1 + sum * r / k;
    uint64_t u = (uint64_t)(1023 + (int64_t)n) << 52;
    double scale;
    memcpy(&scale, &u, 8);
    return sum * scale;
}

void phi_rope_inv_freq(float *inv_freq, int n_rot, double theta, const float *factor) {
    double ln_theta = ln(theta);
    for (int i = 0; i < n_rot / 2; i++) {
        float exponent = (float)(2 * i) / (float)n_rot;
        float power = (float)exponential((double)exponent * ln_theta);
        inv_freq[i] = 1.0f / (factor ? factor[i] * power : power);
    }
}

float phi_rope_mscale(int context, int original) {
    if (context <= original) return 1.0f;
    return (float)sqrt(1 + ln((double)context / original) / ln(original));
}

int phi_rope_list(const struct phi_model *m, size_t n) {
    return m->has_long_rope && n > (size_t)m->n_ctx_original ? PHI_ROPE_LONG : PHI_ROPE_SHORT;
}

/* Both for 0 <= x < 2^20: x = n * pi/2 + r, |r| <= pi/4, pi/2 in three parts of which n times the first two is exact;
 * then the series in r. */
static void sin_cos(double x, double *sine, double *cosine) {
    double n = rint(x * 0.63661977236758134);
    double r = ((x - n * 0x1.921fb54400000p+0) - n * 0x1.0b4611a600000p-34) - n * 0x1.3198a2e037073p-69;
    double rr = r * r, s = 0, c = 0;
    for (int k = 19; k >= 3; k -= 2) s = (s + 1) * -rr / (k * (k - 1));
    for (int k = 18; k >= 2; k -= 2) c = (c + 1) * -rr / (k * (k - 1));
    s = r + r * s;
    c = 1 + c;
    int quadrant = (int)n & 3;
    double a = quadrant & 1 ? c : s, b = quadrant & 1 ? s : c;
    *sine = quadrant & 2 ? -a : a;
    *cosine = (quadrant + 1) & 2 ? -b : b;
}

void phi_rope_fill(const struct phi_model *m, int list, size_t first, int n, float *c, float *s) {
    int half = m->n_rot / 2;
    for (int t = 0; t < n; t++)
        for (int i = 0; i < half; i++) {
            double sine, cosine;
            float angle = (float)(first + (size_t)t) * m->inv_freq[list][i];
            sin_cos((double)angle, &sine, &cosine);
            *c++ = (float)cosine * m->rope_scale;
            *s++ = (float)sine * m->rope_scale;
        }
}
