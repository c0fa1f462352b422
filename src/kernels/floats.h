/* The functions that the contract defines itself, one value at a time: levels repeat them with vectors, operation by operation. */
#ifndef PHI_KERNELS_FLOATS_H
#define PHI_KERNELS_FLOATS_H

#include "../quant/bits.h"
#include <math.h>

/* 1.5 * 2^23: adding it rounds a float below 2^22 in size to the nearest integer, ties to even, and leaves that integer in
 * the low bits of the sum. */
#define FLOATS_ROUND 12582912.0f

static inline float floats_nearest(float x) {
    return (x + FLOATS_ROUND) - FLOATS_ROUND;
}

/* e^x: +0 below -87, infinity above 88, NaN for NaN, exactly 1 for 0; else within 2 units in the last place.
 *   t = x * log2(e) rounded to an integer n; r = x - n*ln2 in two steps, |r| <= 0.347; e^r by its series to r^7 (Horner);
 *   times 2^n by an addition to the exponent, which stays in range for these x. */
static inline float floats_exp(float x) {
    if (x != x) return x;
    if (x < -87.0f) return 0.0f;
    if (x > 88.0f) return INFINITY;
    float t = fmaf(x, 0x1.715476p+0f, FLOATS_ROUND), n = t - FLOATS_ROUND;
    float r = fmaf(n, -0x1.62e400p-1f, x); /* ln2, upper 15 bits */
    r = fmaf(n, -0x1.7f7d1cp-20f, r);      /* ln2, rest */
    float p = 0x1.a01a02p-13f;             /* 1/7! */
    p = fmaf(p, r, 0x1.6c16c2p-10f);       /* 1/6! */
    p = fmaf(p, r, 0x1.111112p-7f);        /* 1/5! */
    p = fmaf(p, r, 0x1.555556p-5f);        /* 1/4! */
    p = fmaf(p, r, 0x1.555556p-3f);        /* 1/3! */
    p = fmaf(p, r, 0.5f);
    p = fmaf(p, r, 1.0f);
    p = fmaf(p, r, 1.0f);
    return f32_from_bits(f32_bits(p) + (f32_bits(t) << 23));
}

/* The tree at the end of a sum in 16 lanes. */
static inline float floats_tree16(const float lane[16]) {
    float t[8];
    for (int i = 0; i < 8; i++) t[i] = lane[i] + lane[i + 8];
    for (int h = 4; h; h /= 2)
        for (int i = 0; i < h; i++) t[i] += t[i + h];
    return t[0];
}

#endif
