/* Perplexity of a text, and KL divergence to the logits of a better model, as llama.cpp's perplexity tool computes
 * them: the text's ids are cut into chunks of n_ctx; the first token of each is replaced by the one that begins every
 * text, where the model adds one; positions n_ctx/2 to n_ctx - 2 predict the token that follows.
 *
 * A result is kept for every such token, so that an interrupted run goes on and gives the same figures. */
#include "eval.h"
#include "events.h"
#include "../memory.h"
#include "../score.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DEFAULT_CTX = 512, LEAST_CTX = 8 };

struct perplexity {
    struct eval *e;
    struct eval_records *records; /* of double: -ln p; with a base to compare with, of struct phi_score_token */
    const struct eval_base *from; /* or NULL */
    int32_t *ids;
    size_t n_chunk, chunk;
    int n_row;  /* of a chunk */
    int status; /* of the callback */
};

/* ---- Statistics ---- */

static struct phi_score_mean perplexity_of(const double *nll, size_t n, size_t stride) {
    struct phi_score_mean m = phi_score_mean(nll, n, stride);
    m.mean = exp(m.mean);
    m.error *= m.mean;
    return m;
}

static int ascending(const void *a, const void *b) {
    const double *p = a, *q = b;
    return (*p > *q) - (*p < *q);
}

/* a * nll - b * nll_base of each token, with its error: the two are far from independent. */
static struct phi_score_mean difference(const struct phi_score_token *t, size_t n, double a, double b, double *work) {
    for (size_t i = 0; i < n; i++) work[i] = a * t[i].nll - b * t[i].nll_base;
    return phi_score_mean(work, n, 1);
}

static double correlation(const struct phi_score_token *t, size_t n) {
    double x = 0, y = 0, xx = 0, yy = 0, xy = 0, m = (double)n;
    for (size_t i = 0; i < n; i++) {
        x += t[i].nll;
        y += t[i].nll_base;
        xx += t[i].nll * t[i].nll;
        yy += t[i].nll_base * t[i].nll_base;
        xy += t[i].nll * t[i].nll_base;
    }
    double spread = sqrt((xx / m - x / m * (x / m)) * (yy / m - y / m * (y / m)));
    return spread > 0 ? (xy / m - x / m * (y / m)) / spread : 1;
}

static const struct {
    const char *name, *key;
    double p;
} quantiles[] = {{"Maximum KLD", "kld_max", 1},   {"99.9%   KLD", "kld_99_9", 0.999},
                 {"99.0%   KLD", "kld_99", 0.99}, {"95.0%   KLD", "kld_95", 0.95},
                 {"90.0%   KLD", "kld_90", 0.9},  {"Median  KLD", "kld_median", 0.5},
                 {"10.0%   KLD", "kld_10", 0.1},  {"Minimum KLD", "kld_min", 0}};

struct summary {
    struct phi_score_mean ppl, base, log_ratio, ratio, ppl_difference, kld, delta, top;
    double correlation, rms_delta, quantile[sizeof quantiles / sizeof quantiles[0]];
};

static void summarize_base(struct summary *s, const struct phi_score_token *t, size_t n, double *work) {
    s->base = perplexity_of(&t->nll_base, n, sizeof *t / sizeof(double));
    s->correlation = correlation(t, n);
    s->log_ratio = difference(t, n, 1, 1, work);
    s->ratio.mean = exp(s->log_ratio.mean);
    s->ratio.error = s->ratio.mean * s->log_ratio.error;
    s->ppl_difference = difference(t, n, s->ppl.mean, s->base.mean, work);
    s->ppl_difference.mean = s->ppl.mean - s->base.mean;
    s->kld = phi_score_mean(&t->kld, n, sizeof *t / sizeof(double));
    s->top = phi_score_mean(&t->same_top, n, sizeof *t / sizeof(double));
    for (size_t i = 0; i < n; i++) work[i] = exp(-t[i].nll) - exp(-t[i].nll_base);
    s->delta = phi_score_mean(work, n, 1);
    for (size_t i = 0; i < n; i++) s->rms_delta += work[i] * work[i] / (double)n;
    s->rms_delta = sqrt(s->rms_delta);
    for (size_t i = 0; i < n; i++) work[i] = t[i].kld;
    qsort(work, n, sizeof *work, ascending);
    for (size_t i = 0; i < sizeof quantiles / sizeof quantiles[0]; i++)
        s->quantile[i] = phi_score_quantile(work, n, quantiles[i].p);
}

/* ---- Output ---- */

static void put_base(const struct summary *s) {
    cli_putf("====== Perplexity statistics ======\n"
             "Mean PPL(Q)                   : %10.6f ± %10.6f\n"
             "Mean PPL(base)                : %10.6f ± %10.6f\n"
             "Cor(ln(PPL(Q)), ln(PPL(base))): %6.2f%%\n"
             "Mean ln(PPL(Q)/PPL(base))     : %10.6f ± %10.6f\n"
             "Mean PPL(Q)/PPL(base)         : %10.6f ± %10.6f\n"
             "Mean PPL(Q)-PPL(base)         : %10.6f ± %10.6f\n\n"
             "====== KL divergence statistics ======\n"
             "Mean    KLD: %10.6f ± %10.6f\n",
             s->ppl.mean, s->ppl.error, s->base.mean, s->base.error, 100 * s->correlation, s->log_ratio.mean,
             s->log_ratio.error, s->ratio.mean, s->ratio.error, s->ppl_difference.mean, s->ppl_difference.error,
             s->kld.mean, s->kld.error);
    for (size_t i = 0; i < sizeof quantiles / sizeof quantiles[0]; i++)
        cli_putf("%s: %10.6f\n", quantiles[i].name, s->quantile[i]);
    cli_putf("\n====== Token probability statistics ======\n"
             "Mean    Δp: %6.3f ± %5.3f %%\n"
             "RMS Δp    : %6.3f %%\n"
             "Same top p: %6.3f ± %5.3f %%\n\n",
             100 * s->delta.mean, 100 * s->delta.error, 100 * s->rms_delta, 100 * s->top.mean, 100 * s->top.error);
}

static void put_json_means(const char *key, const double *x, size_t n_chunk, size_t n_row, size_t stride) {
    cli_putf(",\"%s\":[", key);
    for (size_t i = 0; i < n_chunk; i++)
        cli_putf(i ? ",%.9g" : "%.9g", phi_score_mean(x + i * n_row * stride, n_row, stride).mean);
    cli_put("]", 1);
}

static void put_json(const struct perplexity *p, const struct summary *s, size_t n) {
    size_t stride = p->records->size / sizeof(double), n_row = (size_t)p->n_row;
    const double *x = (const double *)(const void *)p->records->data;
    cli_putf("{\"event\":\"eval\",\"v\":1,\"kind\":\"%s\",\"model\":\"", p->from ? "kl-divergence" : "perplexity");
    cli_events_string(p->e->file->path, strlen(p->e->file->path));
    cli_putf("\",\"n_ctx\":%d,\"chunks\":%zu,\"tokens\":%zu,\"ppl\":%.9g,\"ppl_error\":%.9g", p->e->n_ctx, n / n_row,
             n, s->ppl.mean, s->ppl.error);
    if (p->from) {
        cli_putf(",\"ppl_base\":%.9g,\"ln_ratio\":%.9g,\"ln_ratio_error\":%.9g,\"kld\":%.9g,\"kld_error\":%.9g,"
                 "\"same_top\":%.9g,\"same_top_error\":%.9g,\"delta_p_rms\":%.9g",
                 s->base.mean, s->log_ratio.mean, s->log_ratio.error, s->kld.mean, s->kld.error, s->top.mean,
                 s->top.error, s->rms_delta);
        for (size_t i = 0; i < sizeof quantiles / sizeof quantiles[0]; i++)
            cli_putf(",\"%s\":%.9g", quantiles[i].key, s->quantile[i]);
        put_json_means("chunk_kld", x + 2, n / n_row, n_row, stride);
    }
    put_json_means("chunk_nll", x, n / n_row, n_row, stride);
    cli_put("}\n", 2);
}

static int put_result(const struct perplexity *p) {
    size_t n = p->n_chunk * (size_t)p->n_row; /* a checkpoint may hold more */
    struct summary s = {0};
    s.ppl = perplexity_of((const double *)(const void *)p->records->data, n, p->records->size / sizeof(double));
    if (p->from) {
        double *work = phi_alloc(n, sizeof *work);
        if (!work) return cli_fail(CLI_MEMORY, "not enough memory for %zu results", n);
        summarize_base(&s, (const struct phi_score_token *)(const void *)p->records->data, n, work);
        phi_free(work);
    }
    if (p->e->o->json) {
        put_json(p, &s, n);
    } else {
        if (p->from) put_base(&s);
        cli_putf("Final estimate: PPL = %.4f +/- %.5f\n", s.ppl.mean, s.ppl.error);
    }
    return cli_output_status();
}

/* ---- Chunks ---- */

static int score_row(void *user, size_t position, const float *logits, int n_vocab) {
    struct perplexity *p = user;
    size_t row = position - (size_t)(p->e->n_ctx / 2);
    int32_t next = p->ids[p->chunk * (size_t)p->e->n_ctx + position + 1];
    struct phi_score_token t = {0};
    if (p->from && phi_score_row_compare(logits, n_vocab, next, eval_base_row(p->from, p->chunk, row), &t))
        p->status = cli_fail(CLI_FAILED, "%s: damaged: the logits of chunk %zu, position %zu are nonsense",
                             p->from->path, p->chunk + 1, position);
    else if (p->e->base)
        p->status = eval_base_put(p->e->base, logits, next, &t.nll);
    else if (!p->from)
        t.nll = phi_score_log_sum(logits, n_vocab, NULL) - (double)logits[next];
    if (!p->status) p->status = eval_records_add(p->records, &t); /* a record of one double is its first member */
    return p->status || cli_interrupted();
}

static int score_chunk(struct perplexity *p, int32_t bos) {
    struct eval *e = p->e;
    int32_t *ids = p->ids + p->chunk * (size_t)e->n_ctx, first = ids[0];
    size_t half = (size_t)(e->n_ctx / 2);
    phi_error err = {""};
    int status = phi_session_rewind(e->session, 0, &err);
    if (status) return cli_fail_with(status, &err);
    if (bos >= 0) ids[0] = bos;
    status = eval_append(e, ids, half, NULL, NULL);
    if (!status && !cli_interrupted()) status = eval_append(e, ids + half, (size_t)p->n_row, score_row, p);
    ids[0] = first;
    return p->status ? p->status : status;
}

/* The token that begins every text, where the model adds one; else -1. */
static int32_t added_bos(const phi_model *model) {
    int32_t id;
    return phi_tokenize(model, "", 0, PHI_ADD_BOS, &id, 1) == 1 ? id : -1;
}

static int score_chunks(struct perplexity *p) {
    size_t first = p->records->n / (size_t)p->n_row;
    double began = cli_seconds();
    int32_t bos = added_bos(p->e->model);
    int status = CLI_OK;
    cli_model_announce(p->e->file);
    if (first) cli_note("the checkpoint holds %zu chunks", first);
    for (p->chunk = first; !status && p->chunk < p->n_chunk; p->chunk++) {
        size_t before = p->records->n;
        char text[64];
        status = score_chunk(p, bos);
        if (status || cli_interrupted()) {
            p->records->n = before;
            break;
        }
        if (p->e->base && p->records->path) status = eval_base_sync(p->e->base);
        if (!status) status = eval_records_save(p->records, false);
        struct phi_score_mean ppl = perplexity_of((const double *)(const void *)p->records->data, p->records->n,
                                                  p->records->size / sizeof(double));
        snprintf(text, sizeof text, "PPL = %.4f", ppl.mean);
        eval_progress(first, p->chunk + 1, p->n_chunk, began, text);
    }
    int saved = eval_records_save(p->records, true);
    return status ? status : saved;
}

/* ---- Where the ids come from ---- */

static int read_text(struct perplexity *p) {
    const struct cli_options *o = p->e->o;
    struct cli_text text;
    size_t n = 0;
    int status = cli_prompt_read_own(o, "text", &text);
    if (!status) status = eval_tokenize(p->e, &text, true, &p->ids, &n);
    cli_text_free(&text);
    if (status) return status;
    p->n_chunk = n / (size_t)p->e->n_ctx;
    if (!p->n_chunk)
        return cli_fail(CLI_FAILED, "%s has %zu tokens, a chunk takes %d; use a longer text or a smaller -c", o->file,
                        n, p->e->n_ctx);
    p->e->run = eval_hash(p->e->run, p->ids, n * sizeof *p->ids);
    return CLI_OK;
}

static int read_base(struct perplexity *p) {
    const struct eval_base *b = p->from;
    size_t n = (size_t)b->n_chunk * (size_t)b->n_ctx;
    p->ids = phi_alloc(n, sizeof *p->ids);
    if (!p->ids) return cli_fail(CLI_MEMORY, "not enough memory for %zu ids", n);
    for (size_t i = 0; i < n; i++) p->ids[i] = eval_base_id(b, i);
    p->n_chunk = (size_t)b->n_chunk;
    p->e->run = eval_hash(p->e->run, p->ids, n * sizeof *p->ids);
    p->e->run = eval_hash(p->e->run, eval_base_row(b, 0, 0), b->row_size * sizeof(uint16_t));
    return CLI_OK;
}

/* Everything is open: score what is not scored yet. */
static int score(struct perplexity *p) {
    struct eval *e = p->e;
    const struct cli_options *o = e->o;
    size_t n_row = (size_t)p->n_row;
    if (o->eval_chunks && (size_t)o->eval_chunks < p->n_chunk) p->n_chunk = (size_t)o->eval_chunks;
    if (e->base) e->run = eval_hash(e->run, &p->n_chunk, sizeof p->n_chunk); /* which the base's header states */
    int status = eval_records_open(p->records, e->run, p->from ? sizeof(struct phi_score_token) : sizeof(double));
    if (status) return status;
    p->records->n -= p->records->n % n_row; /* batches hold whole chunks, unless somebody wrote others */
    if (p->records->n < p->n_chunk * n_row) {
        if (e->base) status = eval_base_create(e->base, e, p->ids, (int)p->n_chunk, (int)(p->records->n / n_row));
        if (!status) status = score_chunks(p);
        bool complete = !status && !cli_interrupted();
        if (e->base && complete) status = eval_base_finish(e->base);
        if (e->base && !complete && !o->eval_checkpoint) eval_base_abandon(e->base);
    }
    return status || cli_interrupted() ? status : put_result(p);
}

int eval_perplexity(struct eval *e) {
    const struct cli_options *o = e->o;
    struct perplexity p = {.e = e, .records = e->records};
    struct eval_base from = {.fd = -1};
    struct phi_model_info info;
    phi_model_get_info(e->model, &info);
    int n_ctx = o->session.n_ctx ? o->session.n_ctx : info.n_ctx_train < DEFAULT_CTX ? info.n_ctx_train : DEFAULT_CTX;
    int status = CLI_OK;
    if (o->kl_divergence) {
        status = eval_base_open(&from, o->eval_base, e->n_vocab);
        p.from = &from;
        if (!status && o->session.n_ctx && o->session.n_ctx != from.n_ctx)
            status = cli_fail(CLI_USAGE, "--ctx-size: %s was made with chunks of %d tokens; leave the option out",
                              o->eval_base, from.n_ctx);
        n_ctx = from.n_ctx;
    }
    if (!status && n_ctx < LEAST_CTX)
        status = cli_fail(CLI_USAGE, "--ctx-size: %d is too short a chunk (at least %d)", n_ctx, LEAST_CTX);
    if (!status) status = eval_open_session(e, n_ctx);
    p.n_row = n_ctx - 1 - n_ctx / 2;
    e->run = eval_hash(e->run, &n_ctx, sizeof n_ctx);
    if (!status) status = p.from ? read_base(&p) : read_text(&p);
    if (!status && !cli_interrupted()) status = score(&p);
    phi_free(p.ids);
    eval_base_close(&from);
    return status;
}
