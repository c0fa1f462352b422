/* Weight formats against values that another implementation decoded (tests/golden/quant, made by
 * tools/golden_quant.py), their dots against exact arithmetic, half precision and exp against independent
 * computations in double. */
#include "check.h"

#include "../src/kernels/floats.h"
#include "../src/kernels/kernels.h"
#include "../src/quant/quant.h"

#include <ctype.h>
#include <math.h>

enum { MAX_BYTES = 256, MAX_BLOCK = 256 }; /* largest block of any format, checked in check_table() */

static unsigned long long rng;

/* ---- Decoding ---- */

static void check_table(void) {
    struct phi_kernels scalar;
    CHECK(phi_kernels_select("scalar", &scalar) == 0, "no scalar level");
    for (int t = 0; t < PHI_N_TYPE; t++) {
        const struct phi_type *type = &phi_types[t];
        CHECK((int)type->index == t, "%s has index %d, not %d", type->name, (int)type->index, t);
        CHECK(phi_type_find(type->id) == type, "%s is not found by its number %u", type->name, type->id);
        CHECK(type->bytes > 0 && type->bytes <= MAX_BYTES, "%s: blocks of %d bytes", type->name, type->bytes);
        int block = type->act == PHI_ACT_F32 ? 1 : type->act == PHI_ACT_Q8_32 ? 32 : 256;
        CHECK(type->block == block, "%s: blocks of %d weights, activations of %d", type->name, type->block, block);
        CHECK(type->decode != NULL, "%s does not decode", type->name);
        CHECK(scalar.matmul[t] != NULL, "%s has no scalar matmul", type->name);
    }
    CHECK(phi_type_find(4) == NULL && phi_type_find(0xffffffffu) == NULL, "numbers that are no format are found");
}

/* A whole file, to be freed; NULL when it is not there. */
static uint8_t *slurp(const char *path, size_t *n) {
    FILE *f = fopen(path, "rb");
    if (!f) return NULL;
    fseek(f, 0, SEEK_END);
    *n = (size_t)ftell(f);
    rewind(f);
    uint8_t *data = malloc(*n + 1);
    if (data && fread(data, 1, *n, f) != *n) {
        free(data);
        data = NULL;
    }
    fclose(f);
    return data;
}

/* NAME.bin in dir decodes to the bytes of NAME.f32, from any address. */
static void check_golden(const char *dir, const struct phi_type *type) {
    char path[4][512], name[32];
    snprintf(name, sizeof name, "%s", type->name);
    for (char *c = name; *c; c++) *c = (char)tolower((unsigned char)*c);
    snprintf(path[0], sizeof path[0], "%s/%s.bin", dir, name);
    snprintf(path[1], sizeof path[1], "%s/%s.f32", dir, name);
    size_t n_bin = 0, n_f32 = 0;
    uint8_t *bin = slurp(path[0], &n_bin), *want = slurp(path[1], &n_f32);
    size_t n_block = n_bin / (size_t)type->bytes, k = n_block * (size_t)type->block;
    CHECK(bin && want && n_block > 0 && n_bin == n_block * (size_t)type->bytes && n_f32 == 4 * k,
          "%s: %zu bytes of blocks, %zu of values", path[0], n_bin, n_f32);
    if (bin && want && n_f32 == 4 * k) {
        float *got = malloc(n_f32);
        for (size_t shift = 0; shift < 2; shift++) {
            uint8_t *copy = malloc(n_bin + shift);
            memcpy(copy + shift, bin, n_bin);
            phi_type_decode_row(type, copy + shift, got, k);
            size_t at = 0;
            while (at < k && memcmp(got + at, want + 4 * at, 4) == 0) at++;
            CHECK(at == k, "%s, read from address + %zu: value %zu is %a", path[0], shift, at, (double)got[at]);
            free(copy);
        }
        free(got);
    }
    free(bin);
    free(want);
}

static void check_decode(void) {
    char shared[512];
    snprintf(shared, sizeof shared, "%s/reference/cases/quant", check_shared());
    char probe[600];
    snprintf(probe, sizeof probe, "%s/q4_k.bin", shared);
    FILE *f = fopen(probe, "rb");
    if (f)
        fclose(f);
    else
        SKIP("%s is not there", shared);
    for (int t = 0; t < PHI_N_TYPE; t++) {
        if (t == PHI_F32) continue;
        check_golden("tests/golden/quant", &phi_types[t]);
        if (f) check_golden(shared, &phi_types[t]);
    }
    static const float plain[5] = {1.5f, -0.0f, 0x1p-149f, INFINITY, -3.4e38f};
    float got[5];
    phi_type_decode_row(&phi_types[PHI_F32], (const uint8_t *)plain, got, 5);
    CHECK(memcmp(plain, got, sizeof got) == 0, "F32 does not decode to itself");
}

/* ---- Dots ---- */

typedef float dot_fn(const uint8_t *w, const int8_t *q, const int16_t *sum, float s, float acc);
static dot_fn *const dots[PHI_N_TYPE] = {
#define BLOCK(NAME, name, id, block, bytes, act) [PHI_##NAME] = name##_dot,
#include "../src/quant/quant.def"
};

/* Where a block keeps its scale and its minimum (-1: it has none), and the sign of the minimum in a value. */
static const struct halves {
    int d, m, sign;
} halves[PHI_N_TYPE] = {
    [PHI_Q4_0] = {0, -1, 0}, [PHI_Q4_1] = {0, 2, 1},    [PHI_Q5_0] = {0, -1, 0},   [PHI_Q5_1] = {0, 2, 1},
    [PHI_Q8_0] = {0, -1, 0}, [PHI_IQ4_NL] = {0, -1, 0}, [PHI_Q2_K] = {80, 82, -1}, [PHI_Q3_K] = {108, -1, 0},
    [PHI_Q4_K] = {0, 2, -1}, [PHI_Q5_K] = {0, 2, -1},   [PHI_Q6_K] = {208, -1, 0}, [PHI_IQ4_XS] = {0, -1, 0},
};

static void put_half(uint8_t *w, int at, uint16_t h) {
    if (at < 0) return;
    w[at] = (uint8_t)h;
    w[at + 1] = (uint8_t)(h >> 8);
}

/* sum of v[i]*q[i], where v are the values of the block with this scale and minimum (0 and 1 in halves: exact in
 * float). */
static int64_t exact_sum(const struct phi_type *type, const uint8_t *w, const int8_t *q, uint16_t d, uint16_t m) {
    uint8_t copy[MAX_BYTES];
    float v[MAX_BLOCK];
    memcpy(copy, w, (size_t)type->bytes);
    put_half(copy, halves[type->index].d, d);
    put_half(copy, halves[type->index].m, m);
    type->decode(copy, v);
    int64_t sum = 0;
    for (int i = 0; i < type->block; i++) sum += (int64_t)v[i] * q[i];
    return sum;
}

/* One block: are its bits those that the definition in quant.h asks for, and within the bound of its roundings of the
 * exact value? */
static int right_dot(const struct phi_type *type, const uint8_t *w, const int8_t *q, float s, float acc) {
    enum { ONE = 0x3c00 };
    int16_t sum[16] = {0};
    int group = type->act == PHI_ACT_Q8_32 ? PHI_SUM_GROUP_32 : PHI_SUM_GROUP_256;
    for (int i = 0; i < type->block; i++) sum[i / group] = (int16_t)(sum[i / group] + q[i]);
    float got = dots[type->index](w, q, sum, s, acc);

    const struct halves *at = &halves[type->index];
    int64_t isum = exact_sum(type, w, q, ONE, 0), msum = at->m < 0 ? 0 : exact_sum(type, w, q, 0, ONE) * at->sign;
    float d = load_f16(w + at->d), m = at->m < 0 ? 0 : (float)at->sign * load_f16(w + at->m);
    float want = fmaf(d * s, (float)isum, acc);
    if (at->m >= 0) want = fmaf(m * s, (float)msum, want);

    double a = (double)d * s * (double)isum, b = (double)m * s * (double)msum, exact = acc + a + b;
    double bound = 0x1.01p-24 * (3 * fabs(a) + 3 * fabs(b) + 2 * fabs((double)acc)) +
                   0x1p-149 * ((double)llabs(isum) + (double)llabs(msum) + 2); /* d*s may be denormal */
    if (memcmp(&got, &want, 4) == 0 && fabs(got - exact) <= bound) return 1;
    printf("%s: dot is %a, by its definition %a (isum %lld, msum %lld), exactly %a, allowed error %a\n", type->name,
           (double)got, (double)want, (long long)isum, (long long)msum, exact, bound);
    return 0;
}

static uint16_t random_half(void) { /* finite, any sign, often denormal */
    uint16_t h = (uint16_t)check_random(&rng);
    return (h & 0x7c00) == 0x7c00 ? (uint16_t)(h & 0x83ff) : h;
}

/* Kinds 0..3 for the bits of the weights, 0..5 for activations; further ones are random. */
static void check_dots_of(const struct phi_type *type, int w_kind, int q_kind) {
    uint8_t w[MAX_BYTES];
    int8_t q[MAX_BLOCK];
    for (int i = 0; i < type->bytes; i++) {
        static const uint8_t fill[4] = {0x00, 0xff, 0xaa, 0x55};
        w[i] = w_kind < 4 ? fill[w_kind] : (uint8_t)check_random(&rng);
    }
    put_half(w, halves[type->index].d, random_half());
    put_half(w, halves[type->index].m, random_half());
    float v[MAX_BLOCK];
    type->decode(w, v);
    for (int i = 0; i < type->block; i++) {
        int along = v[i] < 0 ? -127 : 127; /* every product of the same sign: the largest sums */
        int fill[6] = {0, 127, -127, i % 2 ? 127 : -127, along, -along};
        q[i] = (int8_t)(q_kind < 6 ? fill[q_kind] : (int)(check_random(&rng) % 255) - 127);
    }
    static const float scales[5] = {0.0123f, 1.0f / 127, 1e-42f, 3e5f, 0};
    int right = 1;
    for (int i = 0; i < 5 && right; i++)
        right = right_dot(type, w, q, scales[i], 0) && right_dot(type, w, q, scales[i], -1.7f);
    CHECK(right, "%s: weights of kind %d, activations of kind %d", type->name, w_kind, q_kind);
}

static void check_dots(void) {
    for (int t = 0; t < PHI_N_TYPE; t++) {
        if (phi_types[t].act == PHI_ACT_F32) continue;
        CHECK(halves[t].d + halves[t].m != 0, "%s: this test does not know where its scale is", phi_types[t].name);
        for (int rep = 0; rep < 4; rep++)
            for (int w_kind = 0; w_kind < 12; w_kind++)
                for (int q_kind = 0; q_kind < 12; q_kind++) check_dots_of(&phi_types[t], w_kind, q_kind);
    }
}

/* ---- Half precision ---- */

/* What a sweep found wrong: how often, and the first case. One CHECK for a whole sweep. */
struct wrong {
    unsigned n;
    double x, got;
};

static void note(struct wrong *wrong, int ok, double x, double got) {
    if (ok || wrong->n++) return;
    wrong->x = x;
    wrong->got = got;
}

static double
half_value(unsigned h) { /* from the definition; the bits of infinity as 2^16, the value after the largest */
    int e = (int)(h >> 10 & 31), m = (int)(h & 1023);
    double v = e ? ldexp(1024 + m, e - 25) : ldexp(m, -24);
    return h >> 15 ? -v : v;
}

static int half_is_nan(unsigned h) {
    return (h & 0x7fff) > 0x7c00;
}

static void check_half_from(void) {
    struct wrong from = {0}, back = {0};
    for (unsigned h = 0; h < 65536; h++) {
        float f = f32_from_f16((uint16_t)h);
        unsigned again = f16_from_f32(f);
        double want = (h & 0x7fff) == 0x7c00 ? (h >> 15 ? -INFINITY : INFINITY) : half_value(h);
        int ok = half_is_nan(h) ? f != f : (double)f == want && !signbit(f) == !signbit(want);
        note(&from, ok, h, (double)f);
        note(&back, half_is_nan(h) ? half_is_nan(again) : again == h, h, again);
    }
    CHECK(from.n == 0, "%u halves become wrong floats, first bits %g: %a", from.n, from.x, from.got);
    CHECK(back.n == 0, "%u halves do not come back, first bits %g: %g", back.n, back.x, back.got);
}

/* Between neighbours: the middle goes to the even one, the floats next to the middle to the nearer one. 65520 is the
 * middle between the largest half and 2^16. */
static void check_half_ties(void) {
    struct wrong tie = {0}, near = {0};
    for (unsigned h = 0; h < 0x7c00; h++)
        for (unsigned s = 0; s < 0x10000; s += 0x8000) {
            float mid = (float)((half_value(h) + half_value(h + 1)) / 2);
            float down = nextafterf(mid, 0), up = nextafterf(mid, INFINITY), sign = s ? -1 : 1;
            unsigned even = h & 1 ? h + 1 : h, a = f16_from_f32(sign * mid);
            note(&tie, a == (s | even), (double)(sign * mid), a);
            a = f16_from_f32(sign * down);
            note(&near, a == (s | h), (double)(sign * down), a);
            a = f16_from_f32(sign * up);
            note(&near, a == (s | (h + 1)), (double)(sign * up), a);
        }
    CHECK(tie.n == 0, "%u ties are not rounded to even, first %a: bits %g", tie.n, tie.x, tie.got);
    CHECK(near.n == 0, "%u floats beside a tie are rounded wrongly, first %a: bits %g", near.n, near.x, near.got);
}

static void check_half_sweep(void) {
    struct wrong wrong = {0};
    for (uint64_t u = 0; u < 1ull << 32; u += 4099) {
        float f = f32_from_bits((uint32_t)u);
        unsigned got = f16_from_f32(f);
        double a = fabs((double)f), step = a >= 0x1p-14 ? ldexp(1, ilogb(a) - 10) : 0x1p-24;
        double want = a >= 65520 ? 0x1p16 : rint(a / step) * step;
        int ok = f != f ? half_is_nan(got) : half_value(got & 0x7fff) == want && got >> 15 == (unsigned)(u >> 31);
        note(&wrong, ok, (double)f, got);
    }
    CHECK(wrong.n == 0, "%u floats become wrong halves, first %a: bits %g", wrong.n, wrong.x, wrong.got);
}

/* ---- exp ---- */

static void check_exp(void) {
    double worst = 0;
    float worst_x = 0;
    for (int sign = 0; sign < 2; sign++) {
        uint32_t last = f32_bits(sign ? 87.0f : 88.0f);
        for (uint32_t u = 0; u <= last; u += 499) {
            float x = f32_from_bits(u | (uint32_t)sign << 31);
            double want = exp((double)x), error = fabs(floats_exp(x) - want) / ldexp(1, ilogb(want) - 23);
            if (!(error <= worst)) worst = error, worst_x = x;
        }
    }
    CHECK(worst <= 2, "exp(%a) is wrong by %g units in the last place", (double)worst_x, worst);
    CHECK(floats_exp(0.0f) == 1 && floats_exp(-0.0f) == 1 && floats_exp(0x1p-149f) == 1, "exp(0) is not 1");
    CHECK(floats_exp(-87.0f) > 0 && floats_exp(88.0f) < INFINITY, "exp at the ends of its range");
    float below[3] = {nextafterf(-87, -100), -1e30f, -INFINITY};
    for (int i = 0; i < 3; i++) {
        float e = floats_exp(below[i]);
        CHECK(e == 0 && !signbit(e), "exp(%a) is %a, not +0", (double)below[i], (double)e);
    }
    CHECK(floats_exp(nextafterf(88, 100)) == INFINITY && floats_exp(INFINITY) == INFINITY,
          "exp above its range is finite");
    CHECK(isnan(floats_exp(NAN)), "exp(NaN) is a number");
}

int main(void) {
    rng = check_seed();
    printf("seed %llu\n", rng);
    check_table();
    check_decode();
    check_dots();
    check_half_from();
    check_half_ties();
    check_half_sweep();
    check_exp();
    return check_done("check_quant");
}
