/* Sessions on the demo model: the same bits for every instruction set, thread count and cut of the prompt; rewind, a full
 * context, refused input, no allocation after open, and the caller's floating-point state. */
#include "check.h"
#include "../include/phi.h"
#include "../src/kernels/kernels.h"
#include "../src/memory.h"

enum { N = 300 }; /* tokens: more than one block of 256 keys */

static phi_model *model;
static int n_vocab;
static int32_t ids[N];

struct setting {
    const char *isa;
    int n_threads, n_ubatch;
    enum phi_kv_type kv;
};

static phi_session *open_session(struct setting set, int n_ctx) {
    struct phi_session_options o = phi_session_options_default();
    phi_error err = {""};
    phi_session *s = NULL;
    o.isa = set.isa;
    o.n_threads = set.n_threads;
    o.n_ubatch = set.n_ubatch;
    o.type_k = o.type_v = set.kv;
    o.force_threads = true;
    o.n_ctx = n_ctx;
    CHECK(phi_session_open(model, &o, &s, &err) == 0, "%s", err.text);
    return s;
}

static int keep_row(void *user, size_t position, const float *logits, int n) {
    memcpy((float *)user + position * (size_t)n, logits, (size_t)n * sizeof *logits);
    return 0;
}

static float *all_logits(struct setting set) {
    phi_session *s = open_session(set, N);
    phi_error err = {""};
    float *rows = calloc((size_t)N * (size_t)n_vocab, sizeof *rows);
    CHECK(phi_session_eval_logits(s, ids, N, keep_row, rows, &err) == 0, "%s", err.text);
    const float *last = phi_session_logits(s);
    CHECK(last && memcmp(last, rows + (size_t)(N - 1) * (size_t)n_vocab, (size_t)n_vocab * sizeof *rows) == 0, "last row");
    phi_session_close(s);
    return rows;
}

static void check_same_bits(enum phi_kv_type kv) {
    static const int threads[] = {1, 2, 3, 8}, passes[] = {1, 7, 64, 512};
    size_t size = (size_t)N * (size_t)n_vocab * sizeof(float);
    float *want = all_logits((struct setting){NULL, 1, 512, kv}), *got;
    const char *isa;
    for (int i = 0; (isa = phi_kernels_level(i)); i++) {
        got = all_logits((struct setting){isa, 2, 128, kv});
        CHECK(memcmp(want, got, size) == 0, "level %s, cache %d", isa, kv);
        free(got);
    }
    for (size_t i = 0; i < 4; i++) {
        got = all_logits((struct setting){NULL, threads[i], 64, kv});
        CHECK(memcmp(want, got, size) == 0, "%d threads, cache %d", threads[i], kv);
        free(got);
        got = all_logits((struct setting){NULL, 2, passes[i], kv});
        CHECK(memcmp(want, got, size) == 0, "passes of %d, cache %d", passes[i], kv);
        free(got);
    }
    free(want);
}

/* A window makes the cache a ring, here one that the tokens go round several times: the same bits however the prompt is cut,
 * and after rewinds, short ones that the ring still covers and a long one that must start again. */
static void check_ring(int window, enum phi_kv_type kv) {
    enum { MANY = 420 };
    static const int passes[] = {1, 7, 64, 300};
    static int32_t many[MANY];
    unsigned long long seed = 7;
    for (int i = 0; i < MANY; i++) many[i] = (int32_t)(check_random(&seed) % 2000u);
    size_t size = (size_t)MANY * (size_t)n_vocab * sizeof(float), row = (size_t)n_vocab * sizeof(float);
    float *want = calloc(1, size), *got = calloc(1, size);
    for (size_t i = 0; i < sizeof passes / sizeof passes[0]; i++) {
        phi_error err = {""};
        struct phi_session_options o = phi_session_options_default();
        phi_session *s = NULL;
        o.window = window;
        o.n_ctx = 600;
        o.n_ubatch = passes[i];
        o.n_threads = 2;
        o.type_k = o.type_v = kv;
        CHECK(phi_session_open(model, &o, &s, &err) == 0, "%s", err.text);
        struct phi_session_info info;
        phi_session_get_info(s, &info);
        CHECK(info.kv_bytes < (uint64_t)(window + 100) * 8 * 4 * 64 * 8, "the ring takes %llu bytes", (unsigned long long)info.kv_bytes);
        phi_session_eval_logits(s, many, MANY, keep_row, i ? got : want, &err);
        if (i) CHECK(memcmp(want, got, size) == 0, "window %d, passes of %d, cache %d", window, passes[i], kv);
        for (int back = 1; back <= 400; back = back * 3 + 1) {
            CHECK(phi_session_rewind(s, MANY - (size_t)back, &err) == 0, "%s", err.text);
            CHECK(phi_session_eval(s, many + MANY - back, (size_t)back, NULL, NULL, &err) == 0, "%s", err.text);
            CHECK(memcmp(phi_session_logits(s), (char *)want + size - row, row) == 0, "window %d, %d tokens back", window, back);
        }
        phi_session_close(s);
    }
    free(want);
    free(got);
}

static void check_rewind(void) {
    phi_error err = {""};
    struct setting set = {NULL, 2, 64, PHI_KV_F16};
    phi_session *s = open_session(set, N);
    size_t size = (size_t)n_vocab * sizeof(float);
    float *want = malloc(size);
    phi_session_eval(s, ids, 270, NULL, NULL, &err);
    memcpy(want, phi_session_logits(s), size);
    CHECK(phi_session_rewind(s, 271, &err) == PHI_USAGE && strstr(err.text, "270"), "%s", err.text);
    CHECK(phi_session_rewind(s, 250, &err) == 0 && phi_session_n_past(s) == 250, "%s", err.text);
    CHECK(phi_session_logits(s) == NULL, "logits of a token that is gone");
    phi_session_eval(s, ids, 30, NULL, NULL, &err); /* other tokens in between */
    phi_session_rewind(s, 250, &err);
    for (int i = 250; i < 270; i++) phi_session_eval(s, ids + i, 1, NULL, NULL, &err);
    CHECK(memcmp(want, phi_session_logits(s), size) == 0, "after a rewind");
    free(want);
    phi_session_close(s);
}

static void check_refusals(void) {
    phi_error err = {""};
    struct setting set = {NULL, 1, 64, PHI_KV_F16};
    phi_session *s = open_session(set, 20);
    int32_t bad[2] = {5, n_vocab};
    CHECK(phi_session_eval(s, bad, 2, NULL, NULL, &err) == PHI_USAGE && phi_session_n_past(s) == 0, "%s", err.text);
    bad[1] = -1;
    CHECK(phi_session_eval(s, bad, 2, NULL, NULL, &err) == PHI_USAGE && strstr(err.text, "-1"), "%s", err.text);
    CHECK(phi_session_eval(s, ids, 21, NULL, NULL, &err) == PHI_CONTEXT && strstr(err.text, "21") && strstr(err.text, "20"), "%s", err.text);
    CHECK(phi_session_eval(s, ids, 20, NULL, NULL, &err) == 0 && phi_session_n_past(s) == 20, "%s", err.text);
    CHECK(phi_session_eval(s, ids, 1, NULL, NULL, &err) == PHI_CONTEXT && phi_session_n_past(s) == 20, "%s", err.text);
    CHECK(phi_session_eval(s, ids, 0, NULL, NULL, &err) == 0, "%s", err.text);
    phi_session_close(s);

    struct phi_session_options o = phi_session_options_default();
    o.isa = "altivec";
    CHECK(phi_session_open(model, &o, &s, &err) == PHI_USAGE && strstr(err.text, "altivec") && strstr(err.text, "scalar"), "%s", err.text);
    o = phi_session_options_default();
    o.n_ctx = 1 << 20;
    CHECK(phi_session_open(model, &o, &s, &err) == PHI_USAGE && strstr(err.text, "1048576"), "%s", err.text);
    o = phi_session_options_default();
    o.n_threads = 0;
    CHECK(phi_session_open(model, &o, &s, &err) == PHI_USAGE, "%s", err.text);
    CHECK(s == NULL, "a session in spite of an error");
}

static int stop_at_once(void *user, size_t done, size_t total) {
    (void)user, (void)done, (void)total;
    return 1;
}

static void check_progress(void) {
    phi_error err = {""};
    phi_session *s = open_session((struct setting){NULL, 1, 10, PHI_KV_F16}, N);
    CHECK(phi_session_eval(s, ids, 100, stop_at_once, NULL, &err) == 0 && phi_session_n_past(s) == 10, "stopped at %zu", phi_session_n_past(s));
    CHECK(phi_session_logits(s) == NULL, "logits after a stop");
    phi_session_close(s);
}

static void check_no_allocation(void) {
    phi_error err = {""};
    phi_session *s = open_session((struct setting){NULL, 2, 64, PHI_KV_F16}, N);
    unsigned long long before = phi_memory_count();
    phi_session_eval(s, ids, 200, NULL, NULL, &err);
    for (int i = 200; i < 220; i++) phi_session_eval(s, ids + i, 1, NULL, NULL, &err);
    CHECK(phi_memory_count() == before, "%llu allocations while evaluating", phi_memory_count() - before);
    phi_session_close(s);
}

/* Fail the n-th allocation of opening a model and a session, for every n: an error, no crash, no leak. */
static void check_failed_allocations(void) {
    phi_error err = {""};
    struct phi_session_options o = phi_session_options_default();
    o.n_ctx = 32;
    for (unsigned long long n = 1;; n++) {
        phi_model *m = NULL;
        phi_session *s = NULL;
        phi_memory_fail_at(n);
        int e = phi_model_open("models/demo.gguf", &m, &err);
        if (!e) e = phi_session_open(m, &o, &s, &err);
        phi_memory_fail_at(0);
        phi_session_close(s);
        phi_model_close(m);
        if (!e) break;
        CHECK(e == PHI_MEMORY && err.text[0], "allocation %llu failed: status %d, '%s'", n, e, err.text);
        if (n > 1000) break;
    }
}

#if defined(__x86_64__)
#include <xmmintrin.h>

/* A host built with -ffast-math flushes denormals to zero: the engine computes as ever and leaves the host's state alone. */
static void check_fp_state(void) {
    struct setting set = {NULL, 1, 64, PHI_KV_F16};
    float *want = all_logits(set);
    unsigned old = _mm_getcsr();
    _mm_setcsr((old | 0x8040u | 0x2000u)); /* FTZ, DAZ, round down */
    unsigned host = _mm_getcsr();
    float *got = all_logits(set);
    CHECK((_mm_getcsr() & ~0x3fu) == (host & ~0x3fu), "the host's MXCSR was changed"); /* below: sticky flags */
    _mm_setcsr(old);
    CHECK(memcmp(want, got, (size_t)N * (size_t)n_vocab * sizeof *want) == 0, "with the host's MXCSR");
    free(want);
    free(got);
}
#else
static void check_fp_state(void) {
    SKIP("the floating-point state is tested on x86-64 only");
}
#endif

int main(void) {
    phi_error err = {""};
    if (phi_model_open("models/demo.gguf", &model, &err)) {
        printf("FAIL %s\n", err.text);
        return 1;
    }
    struct phi_model_info info;
    phi_model_get_info(model, &info);
    n_vocab = info.n_vocab;
    unsigned long long seed = check_seed();
    for (int i = 0; i < N; i++) ids[i] = (int32_t)(check_random(&seed) % 2000u);
    check_same_bits(PHI_KV_F16);
    check_same_bits(PHI_KV_F32);
    check_same_bits(PHI_KV_Q8_0);
    check_ring(20, PHI_KV_F16);
    check_ring(140, PHI_KV_F32);
    check_ring(33, PHI_KV_Q8_0);
    check_rewind();
    check_refusals();
    check_progress();
    check_no_allocation();
    check_failed_allocations();
    check_fp_state();
    phi_model_close(model);
    return check_done("check_session");
}
