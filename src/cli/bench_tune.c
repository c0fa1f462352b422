/* phi bench --tune: which number of threads decodes fastest, and which is best for a prompt. The counts are measured
 * in turns, so that what disturbs the machine disturbs all of them. */
#include "bench.h"
#include "model_file.h"
#include "tune.h"
#include "../cores.h"
#include "../memory.h"

#include <stdio.h>
#include <string.h>

enum { MAX_COUNT = 12, ROUNDS = 5, N_PROMPT = 32, N_CTX = 64 };

struct candidate {
    int n_threads;
    phi_session *session;
    double decode[ROUNDS], prompt[ROUNDS]; /* tokens per second */
    double decode_median, prompt_median;
};

/* 1, 2, 3, 4, 6, 8, 12, ... and all cores, and as many as there are fast ones. */
static int choose(struct candidate c[MAX_COUNT]) {
    int cores = phi_cores_allowed(), fast = phi_cores_fast(), n = 0, last = 0;
    for (int t = 1; n < MAX_COUNT - 2 && t <= cores; t = t < 4 ? t + 1 : t % 3 ? t + t / 2 : t / 3 * 4) {
        if (last < fast && fast < t) c[n++].n_threads = fast;
        c[n++].n_threads = last = t;
    }
    if (last < fast) c[n++].n_threads = last = fast;
    if (last < cores) c[n++].n_threads = cores;
    return n;
}

static int eval(struct candidate *c, const int32_t *ids, size_t n) {
    phi_error err = {""};
    int status = phi_session_eval(c->session, ids + phi_session_n_past(c->session), n, NULL, NULL, &err);
    return status ? cli_fail_with(status, &err) : CLI_OK;
}

/* A prompt, then tokens for a tenth of a second, at least two. */
static int measure(struct candidate *c, const int32_t *ids, int n_ctx, int round) {
    int n_prompt = n_ctx / 2 < N_PROMPT ? n_ctx / 2 : N_PROMPT, n = 0;
    phi_error err = {""};
    int status = phi_session_rewind(c->session, 0, &err);
    double began = cli_seconds(), spent = 0;
    if (status) return cli_fail_with(status, &err);
    status = eval(c, ids, (size_t)n_prompt);
    spent = cli_seconds() - began;
    c->prompt[round] = spent > 0 ? n_prompt / spent : 0;
    began = cli_seconds();
    spent = 0;
    while (!status && n < n_ctx - n_prompt && (n < 2 || spent < 0.1)) {
        status = eval(c, ids, 1);
        spent = cli_seconds() - began;
        n++;
    }
    c->decode[round] = spent > 0 ? n / spent : 0;
    return status;
}

/* The fewest threads that come within 2 % of the best: the rest would only make heat. */
static int best(const struct candidate *c, int n, bool decode) {
    double most = 0;
    for (int i = 0; i < n; i++) {
        double v = decode ? c[i].decode_median : c[i].prompt_median;
        if (v > most) most = v;
    }
    for (int i = 0; i < n; i++)
        if ((decode ? c[i].decode_median : c[i].prompt_median) >= 0.98 * most) return c[i].n_threads;
    return c[0].n_threads;
}

static int report(struct candidate *c, int n, uint64_t weights, int fd) {
    cli_putf("| threads | decode t/s | prompt t/s |\n| ------: | ---------: | ---------: |\n");
    for (int i = 0; i < n; i++) {
        c[i].decode_median = bench_median(c[i].decode, ROUNDS);
        c[i].prompt_median = bench_median(c[i].prompt, ROUNDS);
        cli_putf("| %7d | %10.2f | %10.2f |\n", c[i].n_threads, c[i].decode_median, c[i].prompt_median);
    }
    struct cli_tune tune = {best(c, n, true), best(c, n, false), weights};
    cli_putf("\nbest: -t %d -tb %d\n", tune.n_threads, tune.n_threads_batch);
    if (cli_flush()) return CLI_OUTPUT;
    return cli_tune_store(&tune, fd);
}

int bench_tune(const struct cli_options *o, const phi_model *model, const int32_t *ids, int fd) {
    struct candidate c[MAX_COUNT];
    struct phi_model_info info;
    memset(c, 0, sizeof c);
    phi_model_get_info(model, &info);
    int n = choose(c), n_ctx = info.n_ctx_train < N_CTX ? info.n_ctx_train : N_CTX, status = CLI_OK;
    for (int i = 0; i < n && !status; i++) {
        struct cli_options own = *o;
        own.session.n_threads = own.session.n_threads_batch = c[i].n_threads;
        status = cli_session_open(&own, model, n_ctx, &c[i].session);
    }
    for (int round = 0; round < ROUNDS; round++)
        for (int i = 0; i < n && !status && !cli_interrupted(); i++) {
            if (round == 0) status = measure(&c[i], ids, n_ctx, 0); /* warm-up */
            if (!status) status = measure(&c[i], ids, n_ctx, round);
        }
    if (!status && !cli_interrupted()) status = report(c, n, info.tensor_bytes, fd);
    for (int i = 0; i < n; i++) phi_session_close(c[i].session);
    return status;
}
