/* Logits of the engine against those of the original PyTorch implementation, position by position, and its greedy continuation.
 * The cases lie beside the checkout; without them there is nothing to compare with.
 *
 * Unquantised models: every logit within 1e-4 of the logits' standard deviation, the greedy ids equal wherever the gap between
 * the two best is above 1e-3. Quantised models: mean KL divergence below twice what rounding the activations costs in PyTorch. */
#include "check.h"
#include "json.h"
#include "../include/phi.h"

#include <math.h>

struct rows {
    float *at;
    size_t n;
};

static int keep_row(void *user, size_t position, const float *logits, int n_vocab) {
    struct rows *r = user;
    memcpy(r->at + position * (size_t)n_vocab, logits, (size_t)n_vocab * sizeof *logits);
    r->n = position + 1;
    return 0;
}

static float *read_floats(const char *path, size_t n) {
    FILE *f = fopen(path, "rb");
    float *x = malloc(n * sizeof *x);
    if (!f || !x || fread(x, sizeof *x, n, f) != n) {
        printf("cannot read %zu floats of %s\n", n, path);
        exit(1);
    }
    fclose(f);
    return x;
}

/* sum of p*(log p - log q), p and q the softmax of a and b */
static double kl_divergence(const float *a, const float *b, int n) {
    double ma = -INFINITY, mb = -INFINITY, sa = 0, sb = 0, kl = 0;
    for (int i = 0; i < n; i++) {
        if (a[i] > ma) ma = a[i];
        if (b[i] > mb) mb = b[i];
    }
    for (int i = 0; i < n; i++) {
        sa += exp(a[i] - ma);
        sb += exp(b[i] - mb);
    }
    for (int i = 0; i < n; i++) {
        double la = a[i] - ma - log(sa), lb = b[i] - mb - log(sb);
        kl += exp(la) * (la - lb);
    }
    return kl;
}

static int argmax(const float *x, int n) {
    int best = 0;
    for (int i = 1; i < n; i++)
        if (x[i] > x[best]) best = i;
    return best;
}

static phi_session *open_session(const phi_model *m, enum phi_kv_type kv) {
    struct phi_session_options o = phi_session_options_default();
    phi_error err = {""};
    phi_session *s = NULL;
    o.type_k = o.type_v = kv;
    o.n_threads = 2;
    CHECK(phi_session_open(m, &o, &s, &err) == 0, "%s", err.text);
    return s;
}

/* Mean KL divergence of the run's logits with this cache; the largest error of a logit in *largest. */
static double compare_logits(const phi_model *m, enum phi_kv_type kv, const int32_t *ids, size_t n, const float *want, int n_vocab, double *largest) {
    phi_session *s = open_session(m, kv);
    struct rows rows = {malloc(n * (size_t)n_vocab * sizeof(float)), 0};
    phi_error err = {""};
    double kl = 0;
    *largest = 0;
    CHECK(phi_session_eval_logits(s, ids, n, keep_row, &rows, &err) == 0, "%s", err.text);
    CHECK(rows.n == n, "%zu rows of %zu", rows.n, n);
    for (size_t t = 0; t < n; t++) {
        const float *got = rows.at + t * (size_t)n_vocab;
        kl += kl_divergence(want + t * (size_t)n_vocab, got, n_vocab) / (double)n;
        for (int i = 0; i < n_vocab; i++) {
            double d = fabs((double)got[i] - want[t * (size_t)n_vocab + (size_t)i]);
            if (!(d <= *largest)) *largest = d;
        }
    }
    free(rows.at);
    phi_session_close(s);
    return kl;
}

static void compare_greedy(const char *name, const phi_model *m, const int32_t *ids, size_t n, const struct json *run, int n_vocab) {
    const struct json *greedy = json_get(run, "greedy"), *gap = json_get(run, "greedy_gap");
    phi_session *s = open_session(m, PHI_KV_F32);
    phi_error err = {""};
    phi_session_eval(s, ids, n, NULL, NULL, &err);
    for (size_t i = 0; i < greedy->n; i++) {
        int32_t id = (int32_t)greedy->item[i].number, got = argmax(phi_session_logits(s), n_vocab);
        CHECK(got == id || gap->item[i].number <= 1e-3, "%s: greedy token %zu is %d, expected %d", name, i, got, id);
        if (phi_session_eval(s, &id, 1, NULL, NULL, &err)) {
            CHECK(0, "%s: %s", name, err.text);
            break;
        }
    }
    phi_session_close(s);
}

static void check_run(const char *dir, const char *name, const phi_model *m, const struct json *file, const char *run_name, const struct json *run) {
    char path[1024], label[128];
    int n_vocab = (int)json_get(file, "n_vocab")->number;
    const struct json *list = json_get(run, "ids"), *kld = json_get(run, "kld_int8");
    size_t n = list->n;
    int32_t *ids = malloc(n * sizeof *ids);
    for (size_t i = 0; i < n; i++) ids[i] = (int32_t)list->item[i].number;
    snprintf(path, sizeof path, "%s/%s", dir, json_get(run, "logits")->text);
    snprintf(label, sizeof label, "%s.%s", name, run_name);
    float *want = read_floats(path, n * (size_t)n_vocab);
    double std = json_get(run, "logit_std")->number, largest, largest16, largest8;
    double kl = compare_logits(m, PHI_KV_F32, ids, n, want, n_vocab, &largest);
    double kl16 = compare_logits(m, PHI_KV_F16, ids, n, want, n_vocab, &largest16);
    double kl8 = compare_logits(m, PHI_KV_Q8_0, ids, n, want, n_vocab, &largest8);
    if (kld) {
        printf("%-20s KLD: f32 cache %.6f (int8 in PyTorch %.6f), f16 %.6f, q8_0 %.6f\n", label, kl, kld->number, kl16, kl8);
        CHECK(kl < 2 * kld->number, "%s: mean KL divergence %g, PyTorch with int8 activations %g", label, kl, kld->number);
        CHECK(kl16 < 2 * kld->number, "%s: mean KL divergence %g with an f16 cache, PyTorch with int8 activations %g", label, kl16, kld->number);
    } else {
        printf("%-20s largest error, in standard deviations: f32 cache %.2e, f16 %.2e, q8_0 %.2e; KLD: f16 %.2e, q8_0 %.2e\n", label,
               largest / std, largest16 / std, largest8 / std, kl16, kl8);
        CHECK(largest <= 1e-4 * std, "%s: largest error %g, standard deviation %g", label, largest, std);
        CHECK(kl16 < 1e-4, "%s: mean KL divergence %g with an f16 cache", label, kl16);
        CHECK(kl8 < 1e-2, "%s: mean KL divergence %g with a q8_0 cache", label, kl8);
        compare_greedy(label, m, ids, n, run, n_vocab);
    }
    free(want);
    free(ids);
}

static void check_case(const char *dir, const char *name) {
    char path[1024];
    phi_model *m = NULL;
    phi_error err = {""};
    snprintf(path, sizeof path, "%s/%s.json", dir, name);
    struct json *file = json_read(path);
    CHECK(file != NULL, "%s cannot be read", path);
    snprintf(path, sizeof path, "%s/%s.gguf", dir, name);
    CHECK(phi_model_open(path, &m, &err) == 0, "%s", err.text);
    if (!m || !file) return;
    const struct json *runs = json_get(file, "runs");
    for (size_t i = 0; i < runs->n; i++) check_run(dir, name, m, file, runs->key[i], &runs->item[i]);
    phi_model_close(m);
    json_free(file);
}

int main(void) {
    static const char *const cases[] = {"mini", "mini-window", "medium-gqa", "mini-longrope", "phi4-mini", "mini-q4_0", "mini-q4_k_m", "mini-q8_0"};
    char dir[512], path[1024];
    snprintf(dir, sizeof dir, "%s/reference/cases", check_shared());
    snprintf(path, sizeof path, "%s/mini.json", dir);
    FILE *f = fopen(path, "rb");
    if (!f) SKIP("no reference models: %s is not there", path);
    else fclose(f);
    for (size_t i = 0; f && i < sizeof cases / sizeof cases[0]; i++) check_case(dir, cases[i]);
    return check_done("check_reference");
}
