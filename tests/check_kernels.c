/* Every slot of every level against the scalar one, bit for bit; with --bench, how fast each is.
 *
 * Every buffer that a kernel is given, scratch included, lies between unreadable pages: in one half of the cases it ends at the
 * page behind it, in the other it begins at the page before it or up to 63 bytes behind that, so that a load or a store
 * outside ends the program (with the name of the case). Where there is no page there are canaries.
 *
 *     [ unreadable ][ shift | buffer | canary ...  |  ... canary | buffer ][ unreadable ]
 *
 * NaN compares as NaN whatever its sign and payload. PHI_SEED repeats a run. */
#include "../src/kernels/kernels.h"
#include "../src/kernels/floats.h"
#include "check.h"

#include <signal.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static unsigned long long state;

static unsigned random_below(unsigned n) {
    return (unsigned)(check_random(&state) >> 33) % n;
}

static float random_float(void) { /* -1 .. 1 */
    return (float)(int)(random_below(2000001) - 1000000) * 1e-6f;
}

/* ---- What is being tested, for the message of a crash ---- */

static char now[200];

static void testing(const char *form, ...) __attribute__((format(printf, 1, 2)));
static void testing(const char *form, ...) {
    va_list a;
    va_start(a, form);
    vsnprintf(now, sizeof now, form, a);
    va_end(a);
}

static void crashed(int number) {
    static const char text[] = "FAIL: a kernel touched memory that is not its own: ";
    ssize_t done = write(1, text, sizeof text - 1);
    done += write(1, now, strlen(now));
    done += write(1, "\n", 1);
    _exit(number > 0 && done > 0 ? 1 : 2);
}

/* ---- Memory ---- */

enum { N_BUFFER = 12, CANARY = 64 };
static const size_t buffer_size = 1u << 20;
static unsigned char *buffers[N_BUFFER];
static int at_begin; /* where buffers are laid now */

static void make_buffers(void) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    for (int i = 0; i < N_BUFFER; i++) {
        unsigned char *p = mmap(NULL, buffer_size + 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (p == MAP_FAILED || mprotect(p, page, PROT_NONE) != 0 || mprotect(p + page + buffer_size, page, PROT_NONE) != 0) {
            perror("mmap");
            exit(1);
        }
        buffers[i] = p + page;
    }
}

/* size bytes, aligned: as near to the unreadable page behind them as that allows, or less than 64 bytes behind the one before. */
static void *input(int i, size_t size, size_t align) {
    if (size + 2 * CANARY > buffer_size) abort();
    return buffers[i] + (at_begin ? random_below((unsigned)(64 / align)) * align : (buffer_size - size) / align * align);
}

/* size bytes for results, which are numbers of so many bytes. */
static void *output(int i, size_t size, size_t number) {
    unsigned char *p = input(i, size, number), *first = buffers[i], *end = first + buffer_size;
    memset(p - first > CANARY ? p - CANARY : first, 0xa5, p - first > CANARY ? CANARY : (size_t)(p - first));
    memset(p, 0xa5, size);
    memset(p + size, 0xa5, end - (p + size) > CANARY ? CANARY : (size_t)(end - (p + size)));
    return p;
}

/* Of output(i). */
static int canaries_live(int i, const void *output, size_t size) {
    const unsigned char *p = output, *first = buffers[i], *end = first + buffer_size;
    for (const unsigned char *at = p; at > first && p - at < CANARY;)
        if (*--at != 0xa5) return 0;
    for (const unsigned char *at = p + size; at < end && at - (p + size) < CANARY; at++)
        if (*at != 0xa5) return 0;
    return 1;
}

static int same_float(float a, float b) {
    return f32_bits(a) == f32_bits(b) || (a != a && b != b);
}

/* Index of the first difference, or -1. */
static long differ(const float *a, const float *b, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (!same_float(a[i], b[i])) return (long)i;
    return -1;
}

/* One check: equal bits and whole canaries; got is output(i). */
static void check_floats(int i, const float *got, const float *want, size_t n) {
    long at = differ(got, want, n);
    CHECK(at < 0, "%s: element %ld of %zu is %a, not %a", now, at, n, (double)got[at], (double)want[at]);
    CHECK(canaries_live(i, got, n * sizeof *got), "%s: wrote outside its output", now);
}

/* ---- Matrices ---- */

/* Where a block's f16 scales stand: random bytes there would often be NaN. */
static const struct scales {
    const char *name;
    int at[2];
} scales[] = {
    {"Q4_0", {0, -1}},   {"Q4_1", {0, 2}},    {"Q5_0", {0, -1}},   {"Q5_1", {0, 2}},
    {"Q8_0", {0, -1}},   {"IQ4_NL", {0, -1}}, {"IQ4_XS", {0, -1}}, {"Q2_K", {80, 82}},
    {"Q3_K", {108, -1}}, {"Q4_K", {0, 2}},    {"Q5_K", {0, 2}},    {"Q6_K", {208, -1}},
};

static const struct scales *find_scales(const char *name) {
    for (size_t i = 0; i < sizeof scales / sizeof scales[0]; i++)
        if (strcmp(scales[i].name, name) == 0) return &scales[i];
    return NULL;
}

static void put_u16(uint8_t *p, uint16_t v) {
    p[0] = (uint8_t)v;
    p[1] = (uint8_t)(v >> 8);
}

/* W_TINY times V_TINY: every product is -0, and so must be the sum: -0 is lost if anything but -0 is added. */
enum weights { W_RANDOM, W_ZERO, W_ONES, W_ALTERNATING, W_TINY, N_WEIGHTS };
enum values {
    V_RANDOM,
    V_ZERO,
    V_LARGEST,
    V_SMALLEST,
    V_ALTERNATING,
    V_DENORMAL,
    V_HUGE,
    V_TINY,
    V_NOT_FINITE,
    N_VALUES
};

static void fill_bytes(uint8_t *p, size_t n, enum weights kind) {
    for (size_t i = 0; i < n; i++)
        p[i] = kind == W_RANDOM ? (uint8_t)random_below(256)
               : kind == W_ZERO ? 0
               : kind == W_ONES ? 255
               : i % 2          ? 0x0f
                                : 0xf0;
}

static uint16_t random_scale(void) {
    switch (random_below(16)) {
    case 0:
        return 0;
    case 1:
        return (uint16_t)(1 + random_below(1023)); /* denormal */
    case 2:
        return 0x7bff; /* 65504 */
    case 3:
        return 0xfbff;
    case 4:
        return 0x8000;
    default:
        return (uint16_t)(random_below(2) << 15 | (0x1800 + random_below(0x2400))); /* 2^-9 .. 1 */
    }
}

static void fill_weights(const struct phi_type *type, uint8_t *w, size_t n_block, enum weights kind) {
    fill_bytes(w, n_block * (size_t)type->bytes, kind);
    if (type->act == PHI_ACT_F32) {
        for (size_t i = 0; i < n_block; i++, w += type->bytes) {
            float v = kind == W_RANDOM ? random_float()
                      : kind == W_ZERO ? 0.0f
                      : kind == W_ONES ? 65504.0f
                      : kind == W_TINY ? -0x1p-24f
                      : i % 2          ? 1.5f
                                       : -0.0f;
            if (kind == W_RANDOM && random_below(32) == 0) v *= 0x1p-22f; /* denormal in half precision */
            uint32_t u = f32_bits(v);
            if (type->bytes == 4)
                memcpy(w, &u, 4);
            else
                put_u16(w, strcmp(type->name, "F16") == 0 ? f16_from_f32(v) : (uint16_t)(u >> 16));
        }
        return;
    }
    const struct scales *s = find_scales(type->name);
    for (size_t i = 0; i < n_block; i++, w += type->bytes)
        for (int j = 0; j < 2; j++)
            if (s->at[j] >= 0) put_u16(w + s->at[j], random_scale());
}

static void fill_values(float *x, size_t n, enum values kind) {
    for (size_t i = 0; i < n; i++) {
        float v = random_float();
        switch (kind) {
        case V_ZERO:
            v = 0;
            break;
        case V_LARGEST:
            v = 3.0f;
            break;
        case V_SMALLEST:
            v = -3.0f;
            break;
        case V_ALTERNATING:
            v = i % 2 ? 2.0f : -2.0f;
            break;
        case V_DENORMAL:
            v *= 0x1p-126f;
            break;
        case V_TINY:
            v = 0x1p-149f;
            break;
        case V_HUGE:
            v *= 0x1p126f;
            break;
        default:
            break;
        }
        x[i] = v;
    }
    if (kind == V_NOT_FINITE && n) {
        x[random_below((unsigned)n)] = INFINITY;
        x[random_below((unsigned)n)] = -NAN;
    }
}

/* n columns of k activations into the buffers from `first`, by the scalar kernels. */
static struct phi_act make_activations(const struct phi_kernels *scalar, const struct phi_type *type, int n, int k,
                                       enum values kind, int first) {
    struct phi_act x = {.kind = type->act, .k = k};
    size_t size = (size_t)n * (size_t)k, block = (size_t)type->block;
    size_t n_sum = size / (type->act == PHI_ACT_Q8_32 ? PHI_SUM_GROUP_32 : PHI_SUM_GROUP_256);
    x.f = input(first, size * 4, 4);
    fill_values(x.f, size, kind);
    if (type->act == PHI_ACT_F32) return x;
    x.q = input(first + 1, size, 64);
    x.scale = input(first + 2, size / block * 4, 4);
    x.sum = input(first + 3, n_sum * 2, 2);
    if (type->act == PHI_ACT_Q8_32)
        scalar->quantize_q8_32(x.f, (int)size, x.q, x.scale, x.sum);
    else
        scalar->quantize_q8_256(x.f, (int)size, x.q, x.scale, x.sum);
    return x;
}

static void check_matmul(const struct phi_kernels *k, const struct phi_kernels *scalar, const struct phi_type *type,
                         int n_row, int n_block, int col, int n_col, enum weights wk, enum values vk) {
    static float want[136 * 18];
    struct phi_matmul m = {.n_row = n_row, .k = n_block * type->block, .col = col, .n_col = n_col};
    testing("%s %s: %d rows, k %d, columns %d..%d, weights %d, values %d", k->name, type->name, n_row, m.k, col,
            col + n_col - 1, (int)wk, (int)vk);
    m.row_bytes = (size_t)n_block * (size_t)type->bytes;
    uint8_t *w = input(0, (size_t)n_row * m.row_bytes, 1);
    fill_weights(type, w, (size_t)n_row * (size_t)n_block, wk);
    struct phi_act x = make_activations(scalar, type, col + n_col, m.k, vk, 1);
    m.w = w;
    m.x = &x;
    m.ldy = (size_t)n_row + random_below(3);
    size_t size = (size_t)(n_col - 1) * m.ldy + (size_t)n_row;
    m.y = output(5, size * 4, 4);
    if (size > sizeof want / sizeof want[0]) abort();
    memcpy(want, m.y, size * 4);                               /* between columns nothing is written */
    size_t scratch = k->scratch_per_k * (size_t)m.k;
    m.scratch = output(6, scratch, 64);
    k->matmul[type->index](&m);
    float *got = m.y;
    CHECK(canaries_live(6, m.scratch, scratch), "%s: wrote outside its scratch", now);
    m.y = want;
    scalar->matmul[type->index](&m);
    check_floats(5, got, want, size);
}

static void check_type(const struct phi_kernels *k, const struct phi_kernels *scalar, const struct phi_type *type) {
    static const int cols[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 17};
    static const int lengths[] = {1, 7, 15, 16, 17, 31, 32, 48, 63, 130};
    int plain = type->act == PHI_ACT_F32;
    if (!plain && !find_scales(type->name)) {
        CHECK(0, "%s: say in scales[] where its scales stand", type->name);
        return;
    }
    for (int n_row = 1; n_row <= 20; n_row++)
        for (int i = 0; i < 2; i++) {
            int n_block = plain ? lengths[random_below(10)] : 1 + (int)random_below(type->block == 32 ? 9 : 3);
            check_matmul(k, scalar, type, n_row, n_block, (int)random_below(3), i ? cols[random_below(10)] : 1,
                         W_RANDOM, V_RANDOM);
        }
    for (int i = 0; i < 10; i++)
        check_matmul(k, scalar, type, i % 2 ? 17 : 7, plain ? lengths[i] : 1 + i % 3, i % 4, cols[i], W_RANDOM,
                     V_RANDOM);
    for (int i = 1; i <= 17; i++) /* every number of columns; of blocks; of plain weights up to four vectors */
        check_matmul(k, scalar, type, 7, plain ? 33 : 1 + i % 2, 0, i, W_RANDOM, V_RANDOM);
    for (int i = 1; i <= (plain ? 70 : type->block == 32 ? 17 : 5); i++)
        for (int n_col = 1; n_col <= 5; n_col += 4) check_matmul(k, scalar, type, 5, i, 0, n_col, W_RANDOM, V_RANDOM);
    for (int i = 0; i < 4 && !plain; i++) /* beyond the slabs and the pieces of k of all levels */
        check_matmul(k, scalar, type, 66 + i, type->block == 32 ? 49 - i : 6 - i % 2, i, 3 + 3 * i, W_RANDOM, V_RANDOM);
    for (int i = 0; i < 2 && !plain; i++) /* and the groups of slabs that many columns run over */
        check_matmul(k, scalar, type, 131 - 74 * i, 1536 / type->block, 0, 17 + i, W_RANDOM, V_RANDOM);
    for (int wk = 0; wk < N_WEIGHTS; wk++)
        for (int vk = 0; vk < N_VALUES; vk++)
            for (int n_col = 1; n_col <= 5; n_col += 4)
                check_matmul(k, scalar, type, 9, plain ? 40 : 2, 0, n_col, (enum weights)wk, (enum values)vk);
}

/* ---- Rows of weights: no slots, but they touch the same buffers ---- */

static void check_rows(const struct phi_type *type, size_t n_block) {
    size_t n = n_block * (size_t)type->block, size = n_block * (size_t)type->bytes;
    testing("%s: %zu blocks", type->name, n_block);
    uint8_t *w = input(0, size, 1), *packed = output(3, size, 1);
    float *x = output(1, n * 4, 4), *column = input(2, n * 4, 4);
    fill_weights(type, w, n_block, W_RANDOM);
    phi_type_decode_row(type, w, x, n);
    CHECK(canaries_live(1, x, n * 4), "%s: decoding wrote outside", now);
    fill_values(x, n, V_RANDOM);
    for (size_t i = 0; i < n; i++) column[i] = (float)(1 + random_below(9));
    phi_type_encode_row(type, x, column, packed, n);
    CHECK(canaries_live(3, packed, size), "%s: encoding wrote outside", now);
}

/* ---- The other slots ---- */

static void check_quantize(const struct phi_kernels *k, const struct phi_kernels *scalar, int block, int n,
                           enum values vk) {
    testing("%s quantize_q8_%d: n %d, values %d", k->name, block, n, (int)vk);
    int group = block == 32 ? PHI_SUM_GROUP_32 : PHI_SUM_GROUP_256;
    size_t size = (size_t)n, n_scale = size / (size_t)block, n_sum = size / (size_t)group;
    float *x = input(0, size * 4, 4);
    fill_values(x, size, vk);
    if (vk == V_RANDOM) /* ties between two integers: 127 / 63.5 = 2 */
        for (int i = 0; i < n; i++) x[i] = i % block == 0 ? 63.5f : (float)(int)random_below(254) * 0.25f - 31.75f;
    int8_t *q = output(1, size, 1), *want_q = output(2, size, 1);
    float *scale = output(3, n_scale * 4, 4), *want_scale = output(4, n_scale * 4, 4);
    int16_t *sum = output(5, n_sum * 2, 2), *want_sum = output(6, n_sum * 2, 2);
    (block == 32 ? scalar->quantize_q8_32 : scalar->quantize_q8_256)(x, n, want_q, want_scale, want_sum);
    (block == 32 ? k->quantize_q8_32 : k->quantize_q8_256)(x, n, q, scale, sum);
    CHECK(memcmp(q, want_q, size) == 0, "%s: q differs", now);
    CHECK(memcmp(sum, want_sum, n_sum * 2) == 0, "%s: sums differ", now);
    CHECK(canaries_live(1, q, size) && canaries_live(5, sum, n_sum * 2), "%s: wrote outside q or sum", now);
    check_floats(3, scale, want_scale, n_scale);
}

/* Slots that go through n floats one by one. */
static void check_elements(const struct phi_kernels *k, const struct phi_kernels *scalar, int n, enum values vk) {
    size_t size = (size_t)n;
    float *x = input(0, size * 4, 4), *w = input(1, size * 4, 4);
    float *got = output(2, size * 4, 4), *want = output(3, size * 4, 4);
    fill_values(x, size, vk);
    fill_values(w, size, V_RANDOM);

    testing("%s rms_norm: n %d, values %d", k->name, n, (int)vk);
    scalar->rms_norm(x, w, want, n, 1e-5f);
    k->rms_norm(x, w, got, n, 1e-5f);
    check_floats(2, got, want, size);
    memcpy(got, x, size * 4);
    k->rms_norm(got, w, got, n, 1e-5f);
    check_floats(2, got, want, size);

    testing("%s add: n %d, values %d", k->name, n, (int)vk);
    memcpy(got, w, size * 4);
    memcpy(want, w, size * 4);
    scalar->add(want, x, n);
    k->add(got, x, n);
    check_floats(2, got, want, size);

    testing("%s fold: n %d, values %d", k->name, n, (int)vk);
    memcpy(got, w, size * 4);
    memcpy(want, w, size * 4);
    scalar->fold(want, x, n, 0.7f, 0.3f);
    k->fold(got, x, n, 0.7f, 0.3f);
    check_floats(2, got, want, size);

    testing("%s swiglu: n %d, values %d", k->name, n, (int)vk);
    if (vk == V_RANDOM)
        for (int i = 0; i < n; i++) x[i] *= 100.0f; /* beyond both ends of exp */
    scalar->swiglu(x, w, want, n);
    k->swiglu(x, w, got, n);
    check_floats(2, got, want, size);
    memcpy(got, x, size * 4);
    k->swiglu(got, w, got, n);
    check_floats(2, got, want, size);

    testing("%s f16_from_f32: n %d, values %d", k->name, n, (int)vk);
    uint16_t *h = output(4, size * 2, 2), *want_h = output(5, size * 2, 2);
    for (int i = 0; i < n; i++)
        if (random_below(2))
            x[i] = f32_from_bits((uint32_t)(random_below(2) << 31 | (0x32000000u + random_below(0x17000000))));
    scalar->f16_from_f32(x, want_h, n);
    k->f16_from_f32(x, h, n);
    int equal = 1;
    for (int i = 0; i < n; i++)
        if (h[i] != want_h[i] && !((h[i] & 0x7fff) > 0x7c00 && (want_h[i] & 0x7fff) > 0x7c00)) equal = 0;
    CHECK(equal, "%s: differs", now);
    CHECK(canaries_live(4, h, size * 2), "%s: wrote outside its output", now);

    testing("%s rope: n_half %d, values %d", k->name, n, (int)vk);
    got = output(2, size * 8, 4);
    want = output(3, size * 8, 4);
    float *c = input(0, size * 4, 4), *s = w;
    fill_values(c, size, V_RANDOM);
    fill_values(got, 2 * size, vk);
    memcpy(want, got, size * 8);
    scalar->rope(want, c, s, n);
    k->rope(got, c, s, n);
    check_floats(2, got, want, 2 * size);
}

/* n positions of a cache, whatever their order: values, or int8 and f16 scales at random. */
static void fill_cache(void *p, size_t n, int cache, int hd, enum values vk) {
    float v;
    if (cache == PHI_CACHE_Q8_0) {
        size_t bytes = phi_cache_bytes(cache, hd), per = n % PHI_KEY_GROUP == 0 ? PHI_KEY_GROUP : 1;
        for (size_t i = 0; i < n; i += per, p = (uint8_t *)p + per * bytes) {
            for (size_t j = 0; j < per * (size_t)hd; j++) ((int8_t *)p)[j] = (int8_t)((int)random_below(255) - 127);
            for (size_t j = per * (size_t)hd; j < per * bytes; j += 2) {
                fill_values(&v, 1, vk);
                put_u16((uint8_t *)p + j, f16_from_f32(v));
            }
        }
        return;
    }
    for (size_t i = 0; i < n * (size_t)hd; i++) {
        fill_values(&v, 1, vk == V_NOT_FINITE && random_below(97) ? V_RANDOM : vk);
        if (cache == PHI_CACHE_F32)
            memcpy((uint8_t *)p + 4 * i, &v, 4);
        else
            put_u16((uint8_t *)p + 2 * i, f16_from_f32(random_below(20) ? v : v * 0x1p-16f));
    }
}

static void check_scores(const struct phi_kernels *k, const struct phi_kernels *scalar, int cache, int hd,
                         int n_query, enum values vk) {
    int n_group = 1 + (int)random_below(5), n_key = PHI_KEY_GROUP * n_group;
    size_t n_q = (size_t)(n_query * hd), n_scale = (size_t)(n_query * (hd / 32)),
           ld = (size_t)n_key + random_below(9);
    float *q = input(0, n_q * 4, 4), *q8_scale = input(2, n_scale * 4, 4);
    int8_t *q8 = input(1, n_q, 64);
    fill_values(q, n_q, V_RANDOM);
    fill_values(q8_scale, n_scale, V_RANDOM);
    for (size_t i = 0; i < n_q; i++) q8[i] = (int8_t)((int)random_below(255) - 127);
    void *key = input(3, (size_t)n_key * phi_cache_bytes(cache, hd), cache == PHI_CACHE_F32 ? 4 : 2);
    fill_cache(key, (size_t)n_key, cache, hd, vk);
    testing("%s scores[%d]: hd %d, %d queries, %d groups, values %d", k->name, cache, hd, n_query, n_group, (int)vk);
    size_t n = (size_t)(n_query - 1) * ld + (size_t)n_key;
    float *got = output(4, n * 4, 4), *want = output(5, n * 4, 4);
    struct phi_scores a = {q, q8, q8_scale, n_query, hd, n_group, key, 0.125f, want, ld};
    scalar->scores[cache](&a);
    a.score = got;
    k->scores[cache](&a);
    check_floats(4, got, want, n); /* gaps between rows are canaries too */
}

static void check_weighted(const struct phi_kernels *k, const struct phi_kernels *scalar, int cache, int hd,
                           int n_query, enum values vk) {
    int first = (int)random_below(40), end = first + 1 + (int)random_below(60);
    size_t ld_p = (size_t)end + random_below(9), ld_o = (size_t)hd + random_below(9);
    size_t n_p = (size_t)(n_query - 1) * ld_p + (size_t)end, n = (size_t)(n_query - 1) * ld_o + (size_t)hd;
    testing("%s values[%d]: hd %d, %d queries, keys %d..%d, values %d", k->name, cache, hd, n_query, first, end - 1,
            (int)vk);
    float *p = input(0, n_p * 4, 4);
    fill_values(p, n_p, V_RANDOM);
    void *value = input(1, (size_t)end * phi_cache_bytes(cache, hd), cache == PHI_CACHE_F32 ? 4 : 2);
    for (int j = 0; j < end; j++)
        fill_cache((uint8_t *)value + (size_t)j * phi_cache_bytes(cache, hd), 1, cache, hd, vk);
    float *got = output(4, n * 4, 4), *want = output(5, n * 4, 4);
    for (int i = 0; i < n_query; i++) fill_values(want + (size_t)i * ld_o, (size_t)hd, V_RANDOM);
    memcpy(got, want, n * 4);
    struct phi_values a = {p, ld_p, n_query, hd, first, end, value, want, ld_o};
    scalar->values[cache](&a);
    a.o = got;
    k->values[cache](&a);
    check_floats(4, got, want, n);
}

static void check_softmax(const struct phi_kernels *k, const struct phi_kernels *scalar, int first, int end,
                          int kind) {
    testing("%s softmax: keys %d..%d, kind %d", k->name, first, end - 1, kind);
    float *got = output(2, (size_t)end * 4, 4), *want = output(3, (size_t)end * 4, 4);
    for (int i = 0; i < end; i++) {
        float v = random_float() * (kind == 1 ? 200.0f : 5.0f);
        if (kind == 2) v = -0.0f;
        if (kind == 3 && random_below(40) == 0) v = random_below(2) ? NAN : INFINITY;
        if (kind == 4 && random_below(10) == 0) v = -INFINITY;
        got[i] = v;
    }
    memcpy(want, got, (size_t)end * 4);
    float m, l, want_m, want_l;
    scalar->softmax(want, first, end, &want_m, &want_l);
    k->softmax(got, first, end, &m, &l);
    CHECK(same_float(m, want_m), "%s: largest is %a, not %a", now, (double)m, (double)want_m);
    CHECK(same_float(l, want_l), "%s: sum is %a, not %a", now, (double)l, (double)want_l);
    check_floats(2, got, want, (size_t)end);
}

/* exp of every kind of argument, through softmax: p - m with m = 0. */
static void check_exp(const struct phi_kernels *k, const struct phi_kernels *scalar) {
    testing("%s softmax: sweep of exp", k->name);
    static float want[PHI_KEY_BLOCK];
    float *got = output(2, sizeof want, 4);
    for (int round = 0; round < 40; round++) {
        for (int i = 0; i < PHI_KEY_BLOCK; i++) {
            uint32_t u = 0x80000000u | (uint32_t)check_random(&state) >> 1;
            if (i % 2) u = f32_bits((float)random_below(9000) * -0.01f);
            got[i] = i ? f32_from_bits((u & 0x7f800000u) == 0x7f800000u ? 0xff800000u : u) : 0.0f;
        }
        memcpy(want, got, sizeof want);
        float m, l, want_m, want_l;
        scalar->softmax(want, 0, PHI_KEY_BLOCK, &want_m, &want_l);
        k->softmax(got, 0, PHI_KEY_BLOCK, &m, &l);
        CHECK(same_float(l, want_l), "%s: sum is %a, not %a", now, (double)l, (double)want_l);
        check_floats(2, got, want, PHI_KEY_BLOCK);
    }
}

static void check_level(const struct phi_kernels *k, const struct phi_kernels *scalar) {
    static const int lengths[] = {1, 2, 7, 8, 9, 15, 16, 17, 31, 32, 33, 48, 100, 257};
    for (int n = 1; n <= 70; n++) check_elements(k, scalar, n, V_RANDOM);
    for (int hd = 1; hd <= 70; hd++)
        for (int cache = 0; cache < PHI_N_CACHE; cache++) {
            if (cache == PHI_CACHE_Q8_0 && hd % 32) continue;
            for (int n_query = 1; n_query <= 16; n_query += 1 + (int)random_below(5)) {
                check_scores(k, scalar, cache, hd, n_query, V_RANDOM);
                check_weighted(k, scalar, cache, hd, n_query, V_RANDOM);
            }
        }
    static const int head_dims[] = {32, 64, 96, 128, 40, 80, 1, 7, 17};
    for (int t = 0; t < PHI_N_TYPE; t++) check_type(k, scalar, &phi_types[t]);
    for (int vk = 0; vk < N_VALUES; vk++) {
        for (int i = 1; i <= 9; i += 2) check_quantize(k, scalar, 32, 32 * i, (enum values)vk);
        for (int i = 1; i <= 3; i++) check_quantize(k, scalar, 256, 256 * i, (enum values)vk);
        for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++)
            check_elements(k, scalar, lengths[i], (enum values)vk);
        for (size_t i = 0; i < sizeof head_dims / sizeof head_dims[0]; i++)
            for (int cache = 0; cache < PHI_N_CACHE; cache++) {
                if (cache == PHI_CACHE_Q8_0 && head_dims[i] % 32) continue;
                int n_query = vk % 3 ? 1 + (int)random_below(16) : 1;
                check_scores(k, scalar, cache, head_dims[i], n_query, (enum values)vk);
                check_weighted(k, scalar, cache, head_dims[i], n_query, (enum values)vk);
            }
    }
    for (int end = 1; end <= PHI_KEY_BLOCK; end += end < 40 ? 1 : 27)
        for (int kind = 0; kind < 5; kind++) {
            check_softmax(k, scalar, 0, end, kind);
            check_softmax(k, scalar, (int)random_below((unsigned)end), end, kind);
        }
    check_exp(k, scalar);
}

/* ---- How fast ---- */

static double seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void *allocate(size_t size) {
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) {
        perror("mmap");
        exit(1);
    }
    return p;
}

/* The reference with the level's flags, what a slot must beat. */
extern const struct phi_kernels phi_reference_level __attribute__((weak));

static const struct phi_kernels *flagged_reference(const struct phi_kernels *scalar) {
    return &phi_reference_level ? &phi_reference_level : scalar;
}

/* Best of `rounds`. */
static double time_matmul(phi_matmul_fn *f, const struct phi_matmul *m, int rounds) {
    double best = 1e9;
    for (int i = 0; i < rounds; i++) {
        double t = seconds();
        f(m);
        t = seconds() - t;
        if (t < best) best = t;
    }
    return best;
}

static double time_read(const uint8_t *p, size_t size, int rounds) {
    double best = 1e9;
    for (int i = 0; i < rounds; i++) {
        uint64_t sum[16] = {0}, v[16];
        double t = seconds();
        for (size_t at = 0; at + sizeof v <= size; at += sizeof v) {
            memcpy(v, p + at, sizeof v);
            for (int j = 0; j < 16; j++) sum[j] += v[j];
        }
        t = seconds() - t;
        for (int j = 1; j < 16; j++) sum[0] += sum[j];
        if (sum[0] != 42 && t < best) best = t;
    }
    return best;
}

/* Operations a second of registers only: what a level's inner loop could reach at most. The products of 32 bytes in
 * avx2's way take vpmaddubsw, vpmaddwd and vpaddd, of which slots of small weights may spare some. 0: not known. */
static double peak_of(const char *level) {
    double best = 0;
#if defined(__x86_64__)
    enum { TURNS = 100000 };
    for (int round = 0; round < 20; round++) {
        double t = seconds(), ops = 0;
        if (strcmp(level, "avx512vnni") == 0) {
            ops = 12 * 128.0 * TURNS;
            for (int i = 0; i < TURNS; i++) {
#define DOT(n) "vpdpbusd %%zmm15, %%zmm14, %%zmm" #n "\n"
                __asm__ volatile(DOT(0) DOT(1) DOT(2) DOT(3) DOT(4) DOT(5) DOT(6) DOT(7) DOT(8) DOT(9) DOT(10)
                                     DOT(11)::
                                         : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8",
                                           "xmm9", "xmm10", "xmm11");
#undef DOT
            }
        } else if (strcmp(level, "avxvnni") == 0) {
            ops = 12 * 64.0 * TURNS;
            for (int i = 0; i < TURNS; i++) {
#define DOT(n) "%{vex%} vpdpbusd %%ymm15, %%ymm14, %%ymm" #n "\n"
                __asm__ volatile(DOT(0) DOT(1) DOT(2) DOT(3) DOT(4) DOT(5) DOT(6) DOT(7) DOT(8) DOT(9) DOT(10)
                                     DOT(11)::
                                         : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8",
                                           "xmm9", "xmm10", "xmm11");
#undef DOT
            }
        } else if (strcmp(level, "avx2") == 0) {
            ops = 6 * 64.0 * TURNS;
            for (int i = 0; i < TURNS; i++) {
#define DOT(a, s)                                                                                                    \
    "vpmaddubsw %%ymm15, %%ymm14, %%ymm" #a "\nvpmaddwd %%ymm13, %%ymm" #a ", %%ymm" #a "\nvpaddd %%ymm" #a          \
    ", %%ymm" #s ", %%ymm" #s "\n"
                __asm__ volatile(DOT(0, 6) DOT(1, 7) DOT(2, 8) DOT(3, 9) DOT(4, 10) DOT(5, 11)::
                                     : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9",
                                       "xmm10", "xmm11");
#undef DOT
            }
        }
        ops /= seconds() - t;
        best = ops > best ? ops : best;
    }
#else
    (void)level;
#endif
    return best;
}

/* 1 to 512 columns of few rows, in cache. */
static void bench_columns(phi_matmul_fn *f, struct phi_matmul *m, double peak) {
    static const int cols[] = {1, 4, 8, 32, 512};
    printf("%-8s %-7d", "", m->k);
    for (size_t i = 0; i < sizeof cols / sizeof cols[0]; i++) {
        m->n_col = cols[i];
        double ops = 2.0 * m->k * m->n_row * m->n_col;
        double t = time_matmul(f, m, 30);
        printf(" %3d: %5.0f Gops", cols[i], ops / t * 1e-9);
        if (peak > 0) printf(" (%2.0f %%)", 100 * ops / t / peak);
    }
    printf("\n");
    fflush(stdout);
}

static void bench_type(const struct phi_kernels *k, const struct phi_kernels *scalar, const struct phi_type *type,
                       double peak) {
    enum { K = 3072, LONG_K = 8192, MOST_COL = 512, ROWS = 64 };
    static const size_t big = 96u << 20;
    static uint8_t *w;
    static float *f, *y;
    static int8_t *q;
    static float *scale;
    static int16_t *sum;
    static void *scratch;
    if (!w) {
        w = allocate(big);
        f = allocate((size_t)MOST_COL * LONG_K * 4);
        q = allocate((size_t)MOST_COL * LONG_K);
        scale = allocate((size_t)MOST_COL * LONG_K);
        sum = allocate((size_t)MOST_COL * LONG_K);
        y = allocate((size_t)1 << 24);
        scratch = allocate((size_t)1 << 22);
        fill_values(f, (size_t)MOST_COL * LONG_K, V_RANDOM);
    }
    size_t row_bytes = (size_t)K / (size_t)type->block * (size_t)type->bytes;
    int n_row = (int)(big / row_bytes);
    fill_weights(type, w, (size_t)n_row * (K / (size_t)type->block), W_RANDOM);
    if (type->act == PHI_ACT_Q8_32) scalar->quantize_q8_32(f, MOST_COL * LONG_K, q, scale, sum);
    if (type->act == PHI_ACT_Q8_256) scalar->quantize_q8_256(f, MOST_COL * LONG_K, q, scale, sum);
    struct phi_act x = {.kind = type->act, .k = K, .f = f, .q = q, .scale = scale, .sum = sum};
    struct phi_matmul m = {.w = w, .row_bytes = row_bytes, .k = K, .x = &x, .y = y, .scratch = scratch};
    m.n_row = n_row;
    m.ldy = (size_t)n_row;
    m.n_col = 1;
    double bytes = (double)row_bytes * n_row, slow, t, read = 1e9;
    double one = 1e9;
    for (int i = 0; i < 5; i++) {
        t = time_read(w, (size_t)bytes, 1);
        read = t < read ? t : read;
        t = time_matmul(k->matmul[type->index], &m, 1);
        one = t < one ? t : one;
    }
    printf("%-8s %-7s %7.1f ns/row %6.1f GB/s = %3.0f %% of read;", k->name, type->name, one / n_row * 1e9,
           bytes / one * 1e-9, 100 * read / one);
    m.n_row = m.n_row < 16 ? m.n_row : 16;
    slow = time_matmul(flagged_reference(scalar)->matmul[type->index], &m, 3) / m.n_row;
    printf(" %5.1fx;", slow / time_matmul(k->matmul[type->index], &m, 9) * m.n_row);
    printf("\n");
    m.n_row = ROWS;
    m.ldy = ROWS;
    bench_columns(k->matmul[type->index], &m, peak);
    m.k = x.k = LONG_K;
    m.row_bytes = (size_t)LONG_K / (size_t)type->block * (size_t)type->bytes;
    bench_columns(k->matmul[type->index], &m, peak);
}

#define TIME(k, what, ...)                                                                                           \
    do {                                                                                                             \
        double best_ = 1e9;                                                                                          \
        for (int i_ = 0; i_ < 50; i_++) {                                                                            \
            double t_ = seconds();                                                                                   \
            __VA_ARGS__;                                                                                             \
            t_ = seconds() - t_;                                                                                     \
            if (t_ < best_) best_ = t_;                                                                              \
        }                                                                                                            \
        printf("%-8s %-30s %8.0f ns\n", (k)->name, what, best_ * 1e9);                                               \
    } while (0)

static void bench_rest(const struct phi_kernels *k) {
    enum { N = 3072, HD = 96 };
    static float x[8192], w[8192], y[8192], scale[256], m, l;
    static int8_t q[8192];
    static int16_t sum[512];
    static uint16_t h[PHI_KEY_BLOCK * HD];
    static float cache[PHI_KEY_BLOCK * HD];
    fill_values(x, 8192, V_RANDOM);
    fill_values(w, 8192, V_RANDOM);
    TIME(k, "quantize_q8_32, 3072", k->quantize_q8_32(x, N, q, scale, sum));
    TIME(k, "quantize_q8_256, 3072", k->quantize_q8_256(x, N, q, scale, sum));
    TIME(k, "rms_norm, 3072", k->rms_norm(x, w, y, N, 1e-5f));
    TIME(k, "rope, 48 pairs", k->rope(y, x, w, HD / 2));
    TIME(k, "swiglu, 8192", k->swiglu(x, w, y, 8192));
    TIME(k, "add, 3072", k->add(y, x, N));
    TIME(k, "f16_from_f32, 3072", k->f16_from_f32(x, h, N));
    TIME(k, "softmax, 256", memcpy(y, x, 1024); k->softmax(y, 0, 256, &m, &l));
    static const char *const caches[PHI_N_CACHE] = {"f32", "f16", "q8_0"};
    for (int type = 0; type < PHI_N_CACHE; type++)
        for (int n = 1; n <= 16; n *= 16) {
            char label[64];
            struct phi_scores sc = {x,    q, scale, n, HD, 16, type == PHI_CACHE_F32 ? (void *)cache : (void *)h,
                                    0.1f, y, 256};
            snprintf(label, sizeof label, "scores %s, 256 keys, 96, %d queries", caches[type], n);
            TIME(k, label, k->scores[type](&sc));
            struct phi_values va = {w, 256, n, HD, 0, 256, sc.key, y, HD};
            snprintf(label, sizeof label, "values %s, 256 keys, 96, %d queries", caches[type], n);
            TIME(k, label, memset(y, 0, (size_t)(n * HD) * 4); k->values[type](&va));
        }
}

/* Arguments after --bench: names of types to be timed; else all, and the other slots. */
static void bench(const struct phi_kernels *scalar, int argc, char **argv) {
    printf("k 3072, one thread. 1 column: weights from memory, share of a plain read of the same bytes, times the "
           "scalar code\n"
           "built with the level's flags; then, for k 3072 and 8192, operations (2 * rows * k * columns) with 1 to "
           "512 columns of 64 rows, in cache,\n"
           "and their share of what the level's multiply-add instructions do on registers only\n");
    for (int i = 1; phi_kernels_level(i); i++) {
        struct phi_kernels k;
        if (phi_kernels_select(phi_kernels_level(i), &k) != 0) continue;
        double peak = peak_of(k.name);
        if (peak > 0) printf("%-10s peak %.0f Gops\n", k.name, peak * 1e-9);
        for (int t = 0; t < PHI_N_TYPE; t++) {
            int wanted = argc == 0;
            for (int a = 0; a < argc; a++) wanted |= strcmp(argv[a], phi_types[t].name) == 0;
            if (wanted && phi_kernels_has_matmul(k.name, (enum phi_type_index)t))
                bench_type(&k, scalar, &phi_types[t], peak);
        }
        if (argc == 0 || strcmp(argv[0], "rest") == 0) bench_rest(&k);
    }
    if (argc == 0 || strcmp(argv[0], "rest") == 0) bench_rest(flagged_reference(scalar));
}

int main(int argc, char **argv) {
    struct phi_kernels scalar, k;
    if (phi_kernels_select("scalar", &scalar) != 0) return 1;
    phi_fp_enter();
    state = check_seed();
    if (argc > 1 && strcmp(argv[1], "--bench") == 0) {
        bench(&scalar, argc - 2, argv + 2);
        return 0;
    }
    printf("seed %llu\n", state);
    signal(SIGSEGV, crashed);
    signal(SIGBUS, crashed);
    make_buffers();
    for (int i = 1; phi_kernels_level(i); i++) {
        CHECK(phi_kernels_select(phi_kernels_level(i), &k) == 0, "level %s", phi_kernels_level(i));
        for (at_begin = 0; at_begin < 2; at_begin++) check_level(&k, &scalar);
    }
    for (at_begin = 0; at_begin < 2; at_begin++)
        for (int t = 0; t < PHI_N_TYPE; t++)
            for (size_t n = 1; n <= (phi_types[t].block == 1 ? 40 : 4); n++) check_rows(&phi_types[t], n);
    CHECK(phi_kernels_select("none", &k) != 0, "a level that does not exist was found");
    return check_done("check_kernels");
}
