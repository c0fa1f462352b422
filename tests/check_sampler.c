/* The sampler: tokens that a second implementation chose (tests/golden/sampler.txt, made by tools/golden_sampler.py),
 * each option on logits made by hand, ties, what must be refused, and the frequencies of many draws. Needs no model.
 */
#include "check.h"

#include "../src/memory.h"
#include "../src/sampler.h"

#include <math.h>

static const struct phi_sampler_options OFF = {
    .temperature = 1, .typical_p = 1, .top_p = 1, .repeat_penalty = 1, .seed = 5};

static phi_sampler *open_sampler(int n_vocab, struct phi_sampler_options o) {
    phi_sampler *s = NULL;
    phi_error err = {{0}};
    int status = phi_sampler_new(n_vocab, &o, &s, &err);
    CHECK(status == PHI_OK && s, "status %d: %s", status, err.text);
    return s;
}

static int32_t sample(phi_sampler *s, const float *logits) {
    int32_t id = -1;
    phi_error err = {{0}};
    int status = phi_sampler_sample(s, logits, &id, &err);
    if (status != PHI_OK)
        CHECK(status == PHI_OK, "status %d: %s", status, err.text); /* not one passed test per draw */
    return id < 0 ? 0 : id;
}

/* Bit i: token i was chosen in one of n draws. */
static unsigned chosen(int n_vocab, const float *logits, struct phi_sampler_options o, int n) {
    phi_sampler *s = open_sampler(n_vocab, o);
    unsigned set = 0;
    for (int i = 0; i < n; i++) set |= 1u << sample(s, logits);
    phi_sampler_close(s);
    return set;
}

/* ---- Golden tokens ---- */

/* What the golden file means by a bias that is not 0. */
static size_t golden_biases(struct phi_logit_bias *out, int n_vocab, float bias) {
    size_t n = 0;
    for (int32_t id = 0; id < n_vocab && bias != 0; id++) {
        if (id % 7 == 3) out[n++] = (struct phi_logit_bias){id, bias};
        if (id % 13 == 5) out[n++] = (struct phi_logit_bias){id, -INFINITY};
    }
    return n;
}

static void check_golden_line(const char *line) {
    int n_vocab, distinct, steps, begin = 0;
    struct phi_sampler_options o = {0};
    float bias;
    int n = sscanf(line, "%d %d %d %f %d %f %f %f %f %f %f %d %f %u :%n", &n_vocab, &distinct, &steps, &o.temperature,
                   &o.top_k, &o.typical_p, &o.top_p, &o.min_p, &o.repeat_penalty, &o.presence_penalty,
                   &o.frequency_penalty, &o.repeat_last_n, &bias, &o.seed, &begin);
    CHECK(n == 14 && begin > 0, "unreadable line %s", line);
    if (n != 14 || begin == 0) return;
    struct phi_logit_bias *biases = malloc((size_t)n_vocab * sizeof *biases);
    o.logit_bias = biases;
    o.n_logit_bias = golden_biases(biases, n_vocab, bias);
    phi_sampler *s = open_sampler(n_vocab, o);
    free(biases); /* the sampler has a copy */
    float *logits = malloc((size_t)n_vocab * sizeof *logits), size = fmaxf((float)distinct / 16, 1);
    unsigned long long state = o.seed;
    const char *at = line + begin;
    for (int step = 0; step < steps; step++) {
        for (int i = 0; i < n_vocab; i++) {
            int r = (int)(check_random(&state) % (unsigned)distinct);
            logits[i] = (float)(r - distinct / 2) / size;
        }
        char *end;
        long want = strtol(at, &end, 10);
        int32_t got = sample(s, logits);
        CHECK(end != at && got == want, "seed %u, step %d: token %d, not %ld", o.seed, step, got, want);
        at = end;
    }
    free(logits);
    phi_sampler_close(s);
}

static void check_golden(void) {
    FILE *f = fopen("tests/golden/sampler.txt", "r");
    CHECK(f, "tests/golden/sampler.txt is not there");
    if (!f) return;
    char line[2048];
    int n = 0;
    while (fgets(line, sizeof line, f))
        if (line[0] != '#') check_golden_line(line), n++;
    fclose(f);
    CHECK(n == 13, "%d lines in tests/golden/sampler.txt", n);
}

/* ---- One option at a time ---- */

static void check_greedy(void) {
    struct phi_sampler_options o = phi_sampler_options_default();
    o.temperature = 0;
    float ties[6] = {1, 3, -INFINITY, 3, 2, 3}, zeros[3] = {-1, 0.0f, -0.0f}, zeros2[3] = {-1, -0.0f, 0.0f};
    CHECK(chosen(6, ties, o, 3) == 1u << 1, "a tie does not go to the lowest id");
    CHECK(chosen(3, zeros, o, 1) == 2 && chosen(3, zeros2, o, 1) == 2, "0 and -0 are not a tie");
    float negative[4] = {-7, -3e38f, -6.5f, -INFINITY};
    CHECK(chosen(4, negative, o, 1) == 1u << 2, "the largest of negative logits is not chosen");
    float one[1] = {-5};
    CHECK(chosen(1, one, o, 1) == 1 && chosen(1, one, OFF, 1) == 1, "a vocabulary of one token");
}

static void check_top_k(void) {
    float logits[6] = {1, 1.1f, 0.9f, 1, 1, 1};
    struct phi_sampler_options o = OFF;
    unsigned want[7] = {0x3f, 0x02, 0x03, 0x0b, 0x1b, 0x3b, 0x3f}; /* equal logits: the lower ids stay */
    for (int k = 0; k <= 6; k++) {
        o.top_k = k;
        unsigned got = chosen(6, logits, o, 400);
        CHECK(got == want[k], "top_k %d: tokens %02x, not %02x", k, got, want[k]);
    }
    o.top_k = 1000;
    CHECK(chosen(6, logits, o, 400) == 0x3f, "top_k above the vocabulary");
}

static void check_top_p(void) {
    float logits[4] = {logf(0.1f), logf(0.5f), logf(0.15f), logf(0.25f)};
    struct phi_sampler_options o = OFF;
    static const struct {
        float p;
        unsigned want;
    } cases[] = {{0.001f, 2}, {0.49f, 2}, {0.51f, 10}, {0.74f, 10}, {0.76f, 14}, {0.91f, 15}, {1, 15}};
    for (int i = 0; i < 7; i++) {
        o.top_p = cases[i].p;
        unsigned got = chosen(4, logits, o, 400);
        CHECK(got == cases[i].want, "top_p %g: tokens %x, not %x", (double)o.top_p, got, cases[i].want);
    }
    o.top_p = 0.6f; /* of the two that top_k leaves, the first has 2/3 */
    o.top_k = 2;
    CHECK(chosen(4, logits, o, 400) == 2, "top_p does not look at what top_k leaves");
    o.top_k = 0;
    o.temperature = 100; /* nearly even, but top_p looks at temperature 1 */
    CHECK(chosen(4, logits, o, 400) == 10, "top_p depends on the temperature");
}

static void check_min_p(void) {
    float logits[4] = {logf(0.1f), logf(0.5f), logf(0.15f), logf(0.25f)};
    struct phi_sampler_options o = OFF;
    static const struct {
        float p;
        unsigned want;
    } cases[] = {{0, 15}, {0.19f, 15}, {0.21f, 14}, {0.29f, 14}, {0.31f, 10}, {0.51f, 2}, {1, 2}};
    for (int i = 0; i < 7; i++) {
        o.min_p = cases[i].p;
        unsigned got = chosen(4, logits, o, 400);
        CHECK(got == cases[i].want, "min_p %g: tokens %x, not %x", (double)o.min_p, got, cases[i].want);
    }
    float even[3] = {2, 2, 1};
    o.min_p = 1;
    CHECK(chosen(3, even, o, 400) == 3, "min_p 1 does not keep all the best");
}

/* Where min_p decides alone, most of the vocabulary is left out before sorting. A top_p that cuts off nothing which
 * min_p would leave takes the other way: the same tokens. */
static void check_min_p_alone(void) {
    enum { N = 5000 };
    float *logits = malloc(N * sizeof *logits);
    for (int step = 0; step < 40; step++) {
        struct phi_sampler_options o = OFF;
        o.min_p = step % 2 ? 0.05f : 1e-6f;
        o.seed = (uint32_t)step;
        unsigned long long state = (unsigned long long)step;
        float scale = step % 3 ? 1.0f / 128 : 1e6f;
        for (int i = 0; i < N; i++) logits[i] = (float)((int)(check_random(&state) % 4096) - 2048) * scale;
        phi_sampler *a = open_sampler(N, o);
        o.top_p = 0x1.fffffep-1f;
        phi_sampler *b = open_sampler(N, o);
        int32_t x = sample(a, logits), y = sample(b, logits);
        CHECK(x == y, "step %d: token %d, not %d", step, x, y);
        phi_sampler_close(a);
        phi_sampler_close(b);
    }
    free(logits);
}

static void check_typical(void) {
    /* surprises 2.303 0.693 1.897 1.386, expected 1.208: closest first the fourth, the second, the third, the first
     */
    float logits[4] = {logf(0.1f), logf(0.5f), logf(0.15f), logf(0.25f)};
    struct phi_sampler_options o = OFF;
    static const struct {
        float p;
        unsigned want;
    } cases[] = {{0.001f, 8}, {0.24f, 8}, {0.26f, 10}, {0.74f, 10}, {0.76f, 14}, {0.89f, 14}, {0.91f, 15}, {1, 15}};
    for (int i = 0; i < 8; i++) {
        o.typical_p = cases[i].p;
        unsigned got = chosen(4, logits, o, 400);
        CHECK(got == cases[i].want, "typical_p %g: tokens %x, not %x", (double)o.typical_p, got, cases[i].want);
    }
    float even[4] = {2, 2, 2, 2}, one[1] = {3};
    o.typical_p = 0.6f;
    CHECK(chosen(4, even, o, 400) == 7, "equal logits: not the lowest ids");
    CHECK(chosen(1, one, o, 3) == 1, "one token");
    o.typical_p = 0.24f;
    o.top_k = 2; /* 2/3 and 1/3 are left: expected surprise 0.64, the first has 0.41, the second 1.10 */
    CHECK(chosen(4, logits, o, 400) == 2, "typical_p does not look at what top_k leaves");
    o.top_k = 0;
    o.typical_p = 0.26f; /* leaves 0.5 and 0.25 */
    o.top_p = 0.6f;
    CHECK(chosen(4, logits, o, 400) == 2, "top_p does not look at what typical_p leaves");
}

static void check_temperature(void) {
    float logits[3] = {0, 3, 1};
    struct phi_sampler_options o = OFF;
    o.temperature = 0.01f;
    CHECK(chosen(3, logits, o, 1000) == 2, "a temperature near 0 chooses others than the best");
    o.temperature = 1e-44f;
    CHECK(chosen(3, logits, o, 100) == 2, "a denormal temperature chooses others than the best");
    o.temperature = 1e30f;
    CHECK(chosen(3, logits, o, 100) == 7, "a huge temperature does not choose all");
}

/* Greedy, so that the order after the penalty shows. */
static void check_penalty(void) {
    struct phi_sampler_options o = OFF;
    o.temperature = 0;
    o.repeat_penalty = 2;
    o.repeat_last_n = 2;
    float logits[4] = {4, 3, 2.5f, -1};
    static const int32_t want[] = {0, 1, 2, 0, 1, 2}; /* 4/2 < 3; 3/2 < 2.5; then 0 has left the window */
    phi_sampler *s = open_sampler(4, o);
    for (int i = 0; i < 6; i++) {
        int32_t id = sample(s, logits);
        CHECK(id == want[i], "step %d: token %d, not %d", i, id, want[i]);
    }
    phi_sampler_close(s);

    s = open_sampler(4, o);
    float close[4] = {4, 1.5f, -3, -2};
    phi_sampler_accept(s, 0); /* twice in the window, penalized once: 2 > 1.5, but 1 < 1.5 */
    phi_sampler_accept(s, 0);
    CHECK(sample(s, close) == 0, "a token is penalized for each time it occurs");
    phi_sampler_close(s);

    s = open_sampler(2, o);
    float negative[2] = {-2, -3};
    phi_sampler_accept(s, 0); /* -4 */
    CHECK(sample(s, negative) == 1, "a negative logit is not multiplied");
    phi_sampler_close(s);

    s = open_sampler(4, o);
    phi_sampler_accept(s, -1);
    phi_sampler_accept(s, 4);
    phi_sampler_accept(s, INT32_MAX);
    CHECK(sample(s, logits) == 0, "ids outside the vocabulary have an effect");
    phi_sampler_close(s);

    o.repeat_last_n = 0;
    CHECK(chosen(4, logits, o, 5) == 1, "a window of no tokens penalizes");
    o.repeat_last_n = 4;
    o.repeat_penalty = 1;
    CHECK(chosen(4, logits, o, 5) == 1, "penalty 1 penalizes");
}

/* Greedy: 4 - 1 for being there, - 0.75 for each time. */
static void check_presence(void) {
    struct phi_sampler_options o = OFF;
    float logits[3] = {4, 2.75f, -1};
    o.temperature = 0;
    o.repeat_last_n = 3;
    o.presence_penalty = 1;
    phi_sampler *s = open_sampler(3, o);
    for (int i = 0; i < 3; i++) CHECK(sample(s, logits) == 0, "presence_penalty counts occurrences"); /* 3 */
    phi_sampler_close(s);
    o.frequency_penalty = 0.75f;
    s = open_sampler(3, o);
    static const int32_t want[] = {0, 1, 0}; /* 4; then 4 - 1.75 < 2.75; then 2.75 - 1.75 is less */
    for (int i = 0; i < 3; i++) {
        int32_t id = sample(s, logits);
        CHECK(id == want[i], "step %d: token %d, not %d", i, id, want[i]);
    }
    phi_sampler_close(s);
    o.presence_penalty = -6; /* raises -1 above all */
    o.frequency_penalty = 0;
    s = open_sampler(3, o);
    phi_sampler_accept(s, 2);
    CHECK(sample(s, logits) == 2, "a negative penalty does not raise");
    phi_sampler_close(s);
}

static void check_bias(void) {
    float logits[200];
    for (int i = 0; i < 200; i++) logits[i] = (float)(i % 50) / 50;
    struct phi_logit_bias bias[] = {{199, 1}, {3, 0.5f}, {120, -INFINITY}, {3, 0.25f}, {3, 0.5f}, {49, -0.5f}};
    struct phi_sampler_options o = OFF;
    o.temperature = 0;
    o.logit_bias = bias;
    o.n_logit_bias = 6;
    phi_sampler *s = open_sampler(200, o);
    CHECK(sample(s, logits) == 199, "199 has 0.98 + 1");
    phi_sampler_close(s);
    bias[0].id = 0; /* 1; 3 has 0.06 + 1.25 */
    s = open_sampler(200, o);
    CHECK(sample(s, logits) == 3, "biases of one token are not added up");
    phi_sampler_close(s);
    bias[1].bias = -0.75f; /* together 0: the token is as it was */
    s = open_sampler(200, o);
    CHECK(sample(s, logits) == 0, "a bias of 0");
    logits[120] = 9;
    CHECK(sample(s, logits) == 0, "a forbidden token is chosen");
    phi_sampler_close(s);
}

/* ---- Draws ---- */

/* Frequencies against probabilities: chi-square with 7 degrees of freedom, 35 is passed by chance once in 90,000. */
static void check_frequencies(void) {
    enum { N = 8, DRAWS = 200000 };
    float logits[N] = {0.3f, -1, 2, 0, 1.5f, 0, -2, 0.7f};
    static const float temperatures[3] = {1, 0.6f, 2};
    for (int t = 0; t < 3; t++) {
        struct phi_sampler_options o = OFF;
        o.temperature = temperatures[t];
        phi_sampler *s = open_sampler(N, o);
        long count[N] = {0};
        for (int i = 0; i < DRAWS; i++) count[sample(s, logits)]++;
        phi_sampler_close(s);
        double p[N], total = 0, chi = 0;
        for (int i = 0; i < N; i++) total += p[i] = exp((double)logits[i] / (double)o.temperature);
        for (int i = 0; i < N; i++) {
            double want = DRAWS * p[i] / total;
            chi += ((double)count[i] - want) * ((double)count[i] - want) / want;
        }
        CHECK(chi < 35, "temperature %g: chi-square is %g", (double)o.temperature, chi);
    }
}

/* A token that is certain takes no value of the generator, any other takes one. */
static void check_draws(void) {
    struct phi_sampler_options o = OFF;
    o.repeat_last_n = 8;
    o.min_p = 0.01f;
    float spread[16] = {0}, certain[16] = {0}, masked[16];
    certain[3] = 50;
    for (int i = 0; i < 16; i++) masked[i] = i == 5 ? -2 : -INFINITY;
    phi_sampler *a = open_sampler(16, o), *b = open_sampler(16, o);
    int same = 1;
    for (int i = 0; i < 50; i++) {
        same &= sample(a, spread) == sample(b, spread);
        CHECK(sample(b, certain) == 3 && sample(b, masked) == 5, "a certain token is not chosen");
    }
    CHECK(same, "a certain token draws");
    o.seed = 6;
    phi_sampler *c = open_sampler(16, o);
    int differ = 0;
    for (int i = 0; i < 50; i++) differ += sample(a, spread) != sample(c, spread);
    CHECK(differ > 30, "two seeds agree on %d of 50 tokens", 50 - differ);
    phi_sampler_close(a);
    phi_sampler_close(b);
    phi_sampler_close(c);
}

/* ---- State ---- */

enum { STATE_ROOM = 4096 };

static size_t state_of(const phi_sampler *s, uint8_t *out) {
    size_t n = phi_sampler_state(s, out, STATE_ROOM);
    CHECK(n <= STATE_ROOM, "a state of %zu bytes", n);
    return n;
}

/* Logits of a step: the same for every sampler. */
static void step_logits(float *logits, int n_vocab, int step) {
    unsigned long long state = (unsigned long long)step;
    for (int i = 0; i < n_vocab; i++) logits[i] = (float)(check_random(&state) % 64) / 16;
}

/* Saved and restored after each step of a generation: what follows is what would have followed. */
static void check_state_resumes(void) {
    enum { N = 50, STEPS = 60, LAST_N = 16 };
    struct phi_sampler_options o = phi_sampler_options_default();
    o.repeat_penalty = 1.5f;
    o.frequency_penalty = 0.25f;
    o.repeat_last_n = LAST_N;
    o.seed = 11;
    const struct phi_logit_bias bias = {9, 1};
    o.logit_bias = &bias;
    o.n_logit_bias = 1;
    int32_t want[STEPS];
    float logits[N];
    static uint8_t states[STEPS][STATE_ROOM];
    size_t n[STEPS];
    phi_sampler *s = open_sampler(N, o);
    for (int i = 0; i < 5; i++) phi_sampler_accept(s, i);
    for (int i = 0; i < STEPS; i++) {
        n[i] = state_of(s, states[i]);
        size_t ids = i + 5 < LAST_N ? (size_t)i + 5 : LAST_N;
        CHECK(n[i] == 48 + 4 * ids, "step %d: a state of %zu bytes", i, n[i]);
        step_logits(logits, N, i);
        want[i] = sample(s, logits);
    }
    phi_sampler_close(s);
    for (int i = 0; i < STEPS; i += 7) {
        o.seed = 99;
        s = open_sampler(N, o);
        phi_sampler_accept(s, 3); /* what was there before is gone */
        CHECK(phi_sampler_restore(s, states[i], n[i], NULL) == PHI_OK, "step %d: not restored", i);
        uint8_t again[STATE_ROOM];
        CHECK(state_of(s, again) == n[i] && memcmp(again, states[i], n[i]) == 0, "step %d: another state", i);
        int equal = 0;
        for (int k = i; k < STEPS; k++) {
            step_logits(logits, N, k);
            equal += sample(s, logits) == want[k];
        }
        CHECK(equal == STEPS - i, "restored at step %d: %d of %d tokens are the same", i, equal, STEPS - i);
        phi_sampler_close(s);
    }
}

static void check_state_window(void) {
    struct phi_sampler_options o = OFF, off = OFF;
    uint8_t state[STATE_ROOM], other[STATE_ROOM];
    o.repeat_penalty = 2;
    o.repeat_last_n = 5;
    phi_sampler *s = open_sampler(10, o);
    for (int i = 0; i < 9; i++) phi_sampler_accept(s, i);
    size_t n = state_of(s, state), n_other;
    static const uint8_t ids[20] = {4, 0, 0, 0, 5, 0, 0, 0, 6, 0, 0, 0, 7, 0, 0, 0, 8};
    CHECK(n == 68 && memcmp(state + 48, ids, 20) == 0, "the window is not the last five ids");
    CHECK(phi_sampler_state(s, other, n - 1) == n && phi_sampler_state(s, NULL, 0) == n, "the size that is needed");
    o.repeat_last_n = 2; /* the newest stay */
    phi_sampler *shorter = open_sampler(10, o);
    CHECK(phi_sampler_restore(shorter, state, n, NULL) == PHI_OK, "a shorter window");
    n_other = state_of(shorter, other);
    CHECK(n_other == 56 && memcmp(other + 48, ids + 12, 8) == 0, "not the newest two ids");
    phi_sampler *none = open_sampler(10, off);
    CHECK(phi_sampler_restore(none, state, n, NULL) == PHI_OK && state_of(none, other) == 48, "without penalties");
    CHECK(phi_sampler_restore(s, other, 48, NULL) == PHI_OK && state_of(s, other) == 68, "the window did not stay");
    phi_sampler_close(none);
    phi_sampler_close(shorter);
    phi_sampler_close(s);
}

static void refuse_state(phi_sampler *s, const uint8_t *state, size_t n, const char *says) {
    uint8_t before[STATE_ROOM], after[STATE_ROOM];
    phi_error err = {{0}};
    size_t size = state_of(s, before);
    int status = phi_sampler_restore(s, state, n, &err);
    CHECK(status == PHI_USAGE && strstr(err.text, says), "status %d, \"%s\", not: %s", status, err.text, says);
    CHECK(state_of(s, after) == size && memcmp(before, after, size) == 0, "a refused state had an effect: %s", says);
}

static void check_state_refused(void) {
    struct phi_sampler_options o = OFF;
    uint8_t good[STATE_ROOM], bad[STATE_ROOM];
    o.repeat_penalty = 2;
    o.repeat_last_n = 5;
    phi_sampler *s = open_sampler(10, o), *more = open_sampler(11, o);
    for (int i = 0; i < 4; i++) phi_sampler_accept(s, i);
    size_t n = state_of(s, good);
    refuse_state(more, good, n, "belongs to a vocabulary of 10 tokens, not of 11");
    for (size_t i = 0; i < n; i++) refuse_state(s, good, i, i < 48 ? "cut short" : "damaged");
    static const struct {
        size_t at;
        uint8_t byte;
        const char *says;
    } cases[] = {{36, 2, "damaged"},          {36, 0, "damaged"},
                 {40, 5, "damaged"},          {43, 0x80, "damaged"},
                 {44, 1, "damaged"},          {47, 0xff, "damaged"},
                 {48, 10, "token id 10"},     {63, 0x80, "token id 2147483651"},
                 {33, 1, "vocabulary of 266"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        memcpy(bad, good, n);
        bad[cases[i].at] = cases[i].byte;
        refuse_state(s, bad, n, cases[i].says);
    }
    memcpy(bad, good, n);
    memset(bad, 0, 32);
    refuse_state(s, bad, n, "damaged");
    memcpy(bad, good, n);
    bad[40] = 3; /* the last id is now a grammar's state */
    bad[44] = 4;
    refuse_state(s, bad, n, "there is no grammar");
    phi_sampler_close(s);
    phi_sampler_close(more);
}

/* ---- What is refused ---- */

static void check_refused_logits(void) {
    static const struct {
        float logits[3];
        const char *says;
    } cases[] = {{{0, NAN, 1}, "the logit of token 1 is not a number"},
                 {{0, 1, INFINITY}, "the logit of token 2 is infinite"},
                 {{-INFINITY, -INFINITY, -INFINITY}, "no token has a finite logit"}};
    for (int i = 0; i < 3; i++)
        for (int greedy = 0; greedy < 2; greedy++) {
            struct phi_sampler_options o = phi_sampler_options_default();
            if (greedy) o.temperature = 0;
            phi_sampler *s = open_sampler(3, o), *fresh = open_sampler(3, o);
            phi_error err = {{0}};
            int32_t id = 77;
            int status = phi_sampler_sample(s, cases[i].logits, &id, &err);
            CHECK(status == PHI_FAILED && id == 77, "status %d, token %d", status, id);
            CHECK(strcmp(err.text, cases[i].says) == 0, "%s, not: %s", err.text, cases[i].says);
            CHECK(phi_sampler_sample(s, cases[i].logits, &id, NULL) == PHI_FAILED, "without phi_error");
            float fine[3] = {1, 1, 1};
            CHECK(sample(s, fine) == sample(fresh, fine), "refused logits drew");
            phi_sampler_close(s);
            phi_sampler_close(fresh);
        }
}

static void check_forbidden(void) {
    static const float logits[4] = {1, 5, 4, 3};
    struct phi_sampler_options o = OFF;
    for (int greedy = 0; greedy < 2; greedy++) {
        o.temperature = greedy ? 0.0f : 1.0f;
        phi_sampler *s = open_sampler(4, o);
        CHECK(phi_sampler_forbid(s, 1, NULL) == PHI_OK && phi_sampler_forbid(s, 3, NULL) == PHI_OK, "forbid");
        int count[4] = {0};
        for (int i = 0; i < 300; i++) count[sample(s, logits)]++;
        CHECK(count[1] == 0 && count[3] == 0 && count[2] > 200, "%d %d %d %d", count[0], count[1], count[2],
              count[3]);
        CHECK(greedy ? count[0] == 0 : count[0] > 0, "%d times the less likely one", count[0]);
        phi_error err = {{0}};
        int32_t id = 77;
        phi_sampler_forbid(s, 0, NULL);
        phi_sampler_forbid(s, 2, NULL);
        CHECK(phi_sampler_sample(s, logits, &id, &err) == PHI_FAILED && id == 77, "all are forbidden, token %d", id);
        phi_sampler_close(s);
    }
    phi_sampler *s = open_sampler(4, o);
    phi_memory_fail_at(1);
    CHECK(phi_sampler_forbid(s, 1, NULL) == PHI_MEMORY, "without memory");
    phi_memory_fail_at(0);
    CHECK(sample(s, logits) == 1, "the failed call had an effect");
    phi_sampler_close(s);
}

static void check_option(struct phi_sampler_options o, const char *says) {
    phi_sampler *s = NULL;
    phi_error err = {{0}};
    int status = phi_sampler_new(10, &o, &s, &err);
    CHECK(status == (says ? PHI_USAGE : PHI_OK) && !s == !!says, "status %d, expected: %s", status,
          says ? says : "fine");
    CHECK(strcmp(err.text, says ? says : "") == 0, "\"%s\", not: %s", err.text, says ? says : "");
    phi_sampler_close(s);
}

static void check_options(void) {
    struct phi_sampler_options d = phi_sampler_options_default(), base = OFF;
    CHECK(d.temperature == 0.8f && d.top_k == 40 && d.top_p == 0.95f && d.min_p == 0.05f && d.repeat_penalty == 1 &&
              d.repeat_last_n == 64,
          "the defaults are not those of llama.cpp");
    check_option(d, NULL);
    struct phi_sampler_options o = base;
    static const float bad_temperature[3] = {-1, NAN, INFINITY};
    static const char *const temperature_says[3] = {"temperature is -1; it must be 0 or a positive number",
                                                    "temperature is nan; it must be 0 or a positive number",
                                                    "temperature is inf; it must be 0 or a positive number"};
    for (int i = 0; i < 3; i++) o.temperature = bad_temperature[i], check_option(o, temperature_says[i]);
    o = base, o.top_k = -1, check_option(o, "top_k is -1; it must be 0 (off) or more");
    o = base, o.top_p = 2, check_option(o, "top_p is 2; it must be above 0 and at most 1");
    o.top_p = 0, check_option(o, "top_p is 0; it must be above 0 and at most 1");
    o.top_p = NAN, check_option(o, "top_p is nan; it must be above 0 and at most 1");
    o.top_p = 0x1p-149f, check_option(o, NULL);
    o = base, o.typical_p = 0, check_option(o, "typical_p is 0; it must be above 0 and at most 1");
    o.typical_p = NAN, check_option(o, "typical_p is nan; it must be above 0 and at most 1");
    o = base, o.presence_penalty = NAN;
    check_option(o, "presence_penalty is nan, frequency_penalty 0; both must be finite");
    o = base, o.frequency_penalty = -INFINITY;
    check_option(o, "presence_penalty is 0, frequency_penalty -inf; both must be finite");
    struct phi_logit_bias bias = {10, 1};
    o = base, o.logit_bias = &bias, o.n_logit_bias = 1;
    check_option(o, "logit_bias: there is no token 10, the vocabulary has 10");
    bias.id = -1, check_option(o, "logit_bias: there is no token -1, the vocabulary has 10");
    bias.id = 9, bias.bias = INFINITY;
    check_option(o, "logit_bias: inf for token 9; it must be a number or -infinity");
    bias.bias = -INFINITY, check_option(o, NULL);
    o = base, o.min_p = -0.5f, check_option(o, "min_p is -0.5; it must be from 0 to 1");
    o.min_p = 1.5f, check_option(o, "min_p is 1.5; it must be from 0 to 1");
    o.min_p = 1, check_option(o, NULL);
    o = base, o.repeat_penalty = 0, check_option(o, "repeat_penalty is 0; it must be a number above 0");
    o.repeat_penalty = INFINITY, check_option(o, "repeat_penalty is inf; it must be a number above 0");
    o = base, o.repeat_last_n = -1, check_option(o, "repeat_last_n is -1; it must be from 0 to 1048576");
    o.repeat_last_n = 1048577, check_option(o, "repeat_last_n is 1048577; it must be from 0 to 1048576");
    o.repeat_last_n = 1048576, o.repeat_penalty = 2, check_option(o, NULL);
}

/* ---- Memory and numbers ---- */

static void check_memory(void) {
    struct phi_sampler_options o = phi_sampler_options_default();
    o.repeat_penalty = 1.1f;
    int failed = 0;
    for (unsigned n = 1;; n++) {
        phi_sampler *s = NULL;
        phi_error err = {{0}};
        phi_memory_fail_at(n);
        int status = phi_sampler_new(10, &o, &s, &err);
        phi_memory_fail_at(0);
        phi_sampler_close(s);
        if (status == PHI_OK) break;
        CHECK(status == PHI_MEMORY && !s && err.text[0], "allocation %u: status %d", n, status);
        failed++;
    }
    CHECK(failed == 7, "%d allocations", failed);
    float logits[10] = {0};
    phi_sampler *s = open_sampler(10, o);
    unsigned long long before = phi_memory_count();
    for (int i = 0; i < 100; i++) sample(s, logits);
    CHECK(phi_memory_count() == before, "sampling allocates");
    phi_sampler_close(s);
    phi_sampler_close(NULL);
}

static void check_exp(void) {
    double worst = 0, worst_x = 0;
    for (double x = -1e-9; x > -699; x = x * 1.0001 - 1e-5) {
        double want = exp(x), error = fabs(phi_sampler_exp(x) - want) / ldexp(1, ilogb(want) - 52);
        if (!(error <= worst)) worst = error, worst_x = x;
    }
    CHECK(worst <= 2, "exp(%a) is wrong by %g units in the last place", worst_x, worst);
    CHECK(phi_sampler_exp(0) == 1 && phi_sampler_exp(-0.0) == 1 && phi_sampler_exp(-1e-300) == 1, "exp(0) is not 1");
    CHECK(phi_sampler_exp(-700) > 0 && phi_sampler_exp(-700.1) == 0 && phi_sampler_exp((double)-INFINITY) == 0,
          "exp far below 0");
}

int main(void) {
    check_golden();
    check_greedy();
    check_top_k();
    check_top_p();
    check_min_p();
    check_min_p_alone();
    check_typical();
    check_temperature();
    check_penalty();
    check_presence();
    check_bias();
    check_frequencies();
    check_draws();
    check_state_resumes();
    check_state_window();
    check_state_refused();
    check_refused_logits();
    check_forbidden();
    check_options();
    check_memory();
    check_exp();
    return check_done("check_sampler");
}
