/* A real language model in the layout of Phi-3 (SmolLM2-135M-Instruct, made by ../shared/real-model/make.py) against golden
 * values of the original implementation with unrounded activations: token ids, log-probabilities, greedy text, chats, and the
 * perplexity of 40 chunks of WikiText-2. Skipped where the model has not been made: PHI_REAL_MODEL is its folder. */
#include "check.h"
#include "json.h"
#include "../include/phi.h"
#include "../src/quant/bits.h"

#include <math.h>

enum { LAST = 8, CHUNK = 512 };

static const char *folder;

static float *read_numbers(const char *name, size_t n, size_t size) {
    char path[1024];
    snprintf(path, sizeof path, "%s/real-model/%s", check_shared(), name);
    FILE *f = fopen(path, "rb");
    float *x = calloc(n, sizeof *x);
    if (!f || fread(x, size, n, f) != n) {
        printf("cannot read %zu numbers of %s\n", n, path);
        exit(1);
    }
    fclose(f);
    for (size_t i = n; size == 2 && i-- > 0;) x[i] = load_f16((const uint8_t *)x + 2 * i);
    return x;
}

static double log_sum_exp(const float *x, int n) {
    double most = x[0], sum = 0;
    for (int i = 1; i < n; i++)
        if (x[i] > most) most = x[i];
    for (int i = 0; i < n; i++) sum += exp(x[i] - most);
    return most + log(sum);
}

static double kl_divergence(const float *a, const float *b, int n) {
    double la = log_sum_exp(a, n), lb = log_sum_exp(b, n), kl = 0;
    for (int i = 0; i < n; i++) kl += exp(a[i] - la) * ((a[i] - la) - (b[i] - lb));
    return kl;
}

static phi_session *open_session(const phi_model *m, int n_ctx) {
    struct phi_session_options o = phi_session_options_default();
    phi_error err = {""};
    phi_session *s = NULL;
    o.n_ctx = n_ctx;
    CHECK(phi_session_open(m, &o, &s, &err) == 0, "%s", err.text);
    return s;
}

static size_t read_ids(const struct json *list, int32_t **ids) {
    *ids = malloc(list->n * sizeof **ids);
    for (size_t i = 0; i < list->n; i++) (*ids)[i] = (int32_t)list->item[i].number;
    return list->n;
}

/* ---- Texts ---- */

struct text {
    const int32_t *ids;
    size_t n;
    const float *logprob; /* of the next token */
    const float *logits;  /* of the last positions */
    double difference, kl, nll, want_nll;
};

static int compare_row(void *user, size_t position, const float *logits, int n_vocab) {
    struct text *t = user;
    if (position + 1 < t->n) {
        double got = logits[t->ids[position + 1]] - log_sum_exp(logits, n_vocab);
        t->difference += fabs(got - t->logprob[position]) / (double)(t->n - 1);
        t->nll -= got / (double)(t->n - 1);
        t->want_nll -= t->logprob[position] / (double)(t->n - 1);
    }
    if (position + LAST >= t->n)
        t->kl += kl_divergence(t->logits + (position + LAST - t->n) * (size_t)n_vocab, logits, n_vocab) / LAST;
    return 0;
}

/* Greedy ids up to the first step where the two best are nearer than least_gap. Rounded activations move a logit by some
 * tenths here: a golden token that loses by less than 0.1 counts as a tie. */
static void check_greedy(const char *name, const phi_model *m, const int32_t *ids, size_t n, const struct json *greedy,
                         const struct json *gap, double least_gap, int n_vocab) {
    phi_session *s = open_session(m, (int)(n + greedy->n));
    phi_error err = {""};
    size_t i = 0;
    CHECK(phi_session_eval(s, ids, n, NULL, NULL, &err) == 0, "%s", err.text);
    for (; i < greedy->n && gap->item[i].number >= least_gap; i++) {
        const float *logits = phi_session_logits(s);
        int32_t want = (int32_t)greedy->item[i].number, best = 0;
        for (int32_t k = 1; k < n_vocab; k++)
            if (logits[k] > logits[best]) best = k;
        if (best != want)
            printf("%s: greedy token %zu is %d, golden %d, %.3f below it; the golden gap is %.3f\n", name, i, best, want,
                   (double)(logits[best] - logits[want]), gap->item[i].number);
        CHECK(logits[best] - logits[want] < 0.1f, "%s: greedy token %zu is %d, expected %d", name, i, best, want);
        if (i + 1 < greedy->n) CHECK(phi_session_eval(s, &want, 1, NULL, NULL, &err) == 0, "%s", err.text);
    }
    printf("%-8s greedy: %zu of %zu tokens compared\n", name, i, greedy->n);
    phi_session_close(s);
}

static void check_text(const phi_model *m, const char *name, const struct json *want, int n_vocab) {
    const struct json *text = json_get(want, "text");
    int32_t *ids, got[512];
    char file[64];
    struct text t = {.n = read_ids(json_get(want, "ids"), &ids)};
    int64_t n = phi_tokenize(m, text->text, text->text_n, PHI_ADD_BOS, got, 512);
    CHECK(n == (int64_t)t.n && memcmp(ids, got, t.n * sizeof *ids) == 0, "%s: %lld ids, expected %zu", name, (long long)n, t.n);
    snprintf(file, sizeof file, "%s.logprob.f32", name);
    float *logprob = read_numbers(file, t.n - 1, 4);
    snprintf(file, sizeof file, "%s.logits.f16", name);
    float *logits = read_numbers(file, LAST * (size_t)n_vocab, 2);
    t.ids = ids;
    t.logprob = logprob;
    t.logits = logits;
    phi_session *s = open_session(m, (int)t.n);
    phi_error err = {""};
    CHECK(phi_session_eval_logits(s, ids, t.n, compare_row, &t, &err) == 0, "%s", err.text);
    double int8 = json_get(want, "kld_int8")->number;
    printf("%-8s perplexity %.4f, golden %.4f; log-probabilities differ by %.4f on average; KLD of the last %d positions %.5f, "
           "int8 in PyTorch over all %.5f\n",
           name, exp(t.nll), exp(t.want_nll), t.difference, LAST, t.kl, int8);
    CHECK(fabs(t.nll - t.want_nll) < 0.03, "%s: perplexity %g, golden %g", name, exp(t.nll), exp(t.want_nll));
    CHECK(t.kl < 4 * int8, "%s: KLD %g, PyTorch with int8 activations %g", name, t.kl, int8);
    phi_session_close(s);
    check_greedy(name, m, ids, t.n, json_get(want, "greedy"), json_get(want, "greedy_gap"), 0.2, n_vocab);
    free(ids);
    free(logprob);
    free(logits);
}

static void check_chat(const phi_model *m, const struct json *chat, int n_vocab) {
    const struct json *prompt = json_get(chat, "prompt");
    int32_t *ids, got[512];
    size_t n = read_ids(json_get(chat, "ids"), &ids);
    int64_t n_got = phi_tokenize(m, prompt->text, prompt->text_n, PHI_ADD_BOS | PHI_PARSE_SPECIAL, got, 512);
    CHECK(n_got == (int64_t)n && memcmp(ids, got, n * sizeof *ids) == 0, "%s: other ids", json_get(chat, "question")->text);
    if (json_get(chat, "greedy_agrees_int8")->truth)
        check_greedy("chat", m, ids, n, json_get(chat, "greedy"), json_get(chat, "greedy_gap"), 0, n_vocab);
    free(ids);
}

/* ---- Perplexity: chunks of 512 tokens, each on its own, the second half scored ---- */

struct chunk {
    const int32_t *ids;
    double nll;
    int n;
};

static int score_row(void *user, size_t position, const float *logits, int n_vocab) {
    struct chunk *c = user;
    if (position < CHUNK / 2 || position + 1 == CHUNK) return 0;
    c->nll += log_sum_exp(logits, n_vocab) - logits[c->ids[position + 1]];
    c->n++;
    return 0;
}

static void check_perplexity(const char *file, double want) {
    char path[1024];
    phi_model *m = NULL;
    phi_error err = {""};
    snprintf(path, sizeof path, "%s/eval-data/wiki.test.raw", check_shared());
    FILE *f = fopen(path, "rb");
    enum { SIZE = 200000, CHUNKS = 40 }; /* bytes that hold 40 chunks */
    char *text = malloc(SIZE);
    int32_t *ids = malloc(SIZE * sizeof *ids);
    if (!f || fread(text, 1, SIZE, f) != SIZE) {
        SKIP("no evaluation data: %s", path);
    } else {
        snprintf(path, sizeof path, "%s/%s", folder, file);
        CHECK(phi_model_open(path, &m, &err) == 0, "%s", err.text);
    }
    if (m) {
        int64_t n = phi_tokenize(m, text, SIZE, PHI_ADD_BOS, ids, SIZE);
        CHECK(n > CHUNK * CHUNKS, "%lld tokens", (long long)n);
        phi_session *s = open_session(m, CHUNK);
        struct chunk c = {.ids = ids};
        for (int i = 0; i < CHUNKS; i++, c.ids += CHUNK) {
            phi_session_rewind(s, 0, &err);
            CHECK(phi_session_eval_logits(s, c.ids, CHUNK, score_row, &c, &err) == 0, "%s", err.text);
        }
        double got = exp(c.nll / c.n);
        printf("%s: perplexity %.4f over %d tokens, expected %.4f\n", file, got, c.n, want);
        CHECK(fabs(got / want - 1) < 0.005, "%s: perplexity %g, expected %g", file, got, want);
        phi_session_close(s);
        phi_model_close(m);
    }
    if (f) fclose(f);
    free(text);
    free(ids);
}

int main(void) {
    char path[1024];
    phi_model *m = NULL;
    phi_error err = {""};
    folder = getenv("PHI_REAL_MODEL");
    if (!folder || !*folder) {
        SKIP("no real model: PHI_REAL_MODEL is not set");
        return check_done("check_real");
    }
    snprintf(path, sizeof path, "%s/real-model/expected.json", check_shared());
    struct json *want = json_read(path);
    CHECK(want != NULL, "%s cannot be read", path);
    snprintf(path, sizeof path, "%s/smollm2-135m-q4_1.gguf", folder);
    CHECK(phi_model_open(path, &m, &err) == 0, "%s", err.text);
    if (m && want) {
        const struct json *texts = json_get(want, "texts"), *chats = json_get(want, "chats");
        int n_vocab = (int)json_get(want, "n_vocab")->number;
        for (size_t i = 0; i < texts->n; i++) check_text(m, texts->key[i], &texts->item[i], n_vocab);
        for (size_t i = 0; i < chats->n; i++) check_chat(m, &chats->item[i], n_vocab);
        check_perplexity("smollm2-135m-q4_1.gguf", json_get(json_get(want, "wiki"), "perplexity")->number);
        check_perplexity("smollm2-135m-q4_k_m.gguf", 24.56); /* llama.cpp's figure for the same file */
    }
    phi_model_close(m);
    json_free(want);
    return check_done("check_real");
}
