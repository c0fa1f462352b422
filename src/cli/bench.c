/* phi bench: tokens per second, in the table that llama-bench prints. Only the model's evaluation is timed: the ids
 * are random, nothing is tokenized or sampled. */
#include "commands.h"
#include "model_file.h"
#include "../memory.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { N_COLUMN = 9 };

struct bench {
    const struct cli_options *o;
    const phi_model *model;
    phi_session *session;
    struct phi_model_info info;
    int n_threads;
    int32_t *ids;  /* as many as the longest test needs */
    double *rates; /* one for each repetition */
};

static int stop_when_interrupted(void *user, size_t done, size_t total) {
    (void)user, (void)done, (void)total;
    return cli_interrupted();
}

/* All n ids in passes of the session's size (prompt), or one by one (generation), from an empty context. */
static int run_once(struct bench *b, bool prompt, int n, double *seconds) {
    phi_error err = {""};
    int status = phi_session_rewind(b->session, 0, &err);
    double began = cli_seconds();
    if (!status && prompt)
        status = phi_session_eval(b->session, b->ids, (size_t)n, stop_when_interrupted, NULL, &err);
    for (int i = 0; !prompt && !status && i < n && !cli_interrupted(); i++)
        status = phi_session_eval(b->session, b->ids + i, 1, NULL, NULL, &err);
    *seconds = cli_seconds() - began;
    return status ? cli_fail_with(status, &err) : CLI_OK;
}

/* ---- The table, with the columns and widths of llama-bench ---- */

struct column {
    const char *name;
    int width; /* negative: left-aligned */
    char text[128];
};

struct table {
    int n;
    struct column column[N_COLUMN];
};

static void add(struct table *t, const char *name, int width, const char *fmt, ...) PHI_PRINTF(4, 5);
static void add(struct table *t, const char *name, int width, const char *fmt, ...) {
    struct column *c = &t->column[t->n++];
    va_list args;
    va_start(args, fmt);
    c->name = name;
    c->width = width;
    vsnprintf(c->text, sizeof c->text, fmt, args);
    va_end(args);
}

/* 3B and 14B: the names of the family's members by their layers, as llama.cpp says. */
static void size_name(const struct phi_model_info *m, char out[32]) {
    double millions = (double)m->n_params / 1e6;
    if (m->n_layer == 32 && millions >= 1000)
        snprintf(out, 32, "3B");
    else if (m->n_layer == 40 && millions >= 1000)
        snprintf(out, 32, "14B");
    else if (millions >= 1000)
        snprintf(out, 32, "%.1fB", millions / 1e3);
    else
        snprintf(out, 32, "%.1fM", millions);
}

static void fill(const struct bench *b, const char *test, double mean, double deviation, struct table *t) {
    const struct phi_model_info *m = &b->info;
    bool large = m->tensor_bytes >= 1ull << 30, many = m->n_params >= 1000000000;
    const struct phi_session_options *o = &b->o->session;
    char size[32];
    size_name(m, size);
    t->n = 0;
    add(t, "model", -30, "%s %s %s", m->architecture, size, m->type);
    add(t, "size", 10, "%.2f %s", (double)m->tensor_bytes / (large ? 1073741824.0 : 1048576.0),
        large ? "GiB" : "MiB");
    add(t, "params", 10, "%.2f %s", (double)m->n_params / (many ? 1e9 : 1e6), many ? "B" : "M");
    add(t, "backend", -10, "CPU");
    add(t, "threads", 7, "%d", b->n_threads);
    if (o->type_k != PHI_KV_F16) add(t, "type_k", 6, "%s", cli_kv_name(o->type_k));
    if (o->type_v != PHI_KV_F16) add(t, "type_v", 6, "%s", cli_kv_name(o->type_v));
    add(t, "test", 15, "%s", test);
    add(t, "t/s", 20, "%.2f \xc2\xb1 %.2f", mean, deviation);
}

static void put_header(const struct bench *b) {
    static const char dashes[] = "------------------------------";
    struct table t;
    fill(b, "", 0, 0, &t);
    cli_put("|", 1);
    for (int i = 0; i < t.n; i++) cli_putf(" %*s |", t.column[i].width, t.column[i].name);
    cli_put("\n|", 2);
    for (int i = 0; i < t.n; i++) {
        int width = t.column[i].width;
        cli_putf(" %.*s%s |", (width < 0 ? -width : width) - 1, dashes, width < 0 ? "-" : ":");
    }
    cli_put("\n", 1);
    cli_flush();
}

static void put_row(const struct bench *b, const char *test, double mean, double deviation) {
    struct table t;
    fill(b, test, mean, deviation, &t);
    cli_put("|", 1);
    for (int i = 0; i < t.n; i++) /* the last column's plus-minus has two bytes and one place */
        cli_putf(" %*s |", t.column[i].width + (i == t.n - 1), t.column[i].text);
    cli_put("\n", 1);
    cli_flush();
}

static int run_test(struct bench *b, bool prompt, int n) {
    char test[32];
    double sum = 0, squares = 0, seconds;
    int count = b->o->repetitions;
    snprintf(test, sizeof test, "%s%d", prompt ? "pp" : "tg", n);
    if (!b->o->no_warmup) {
        int status = run_once(b, prompt, prompt ? n : 1, &seconds);
        if (status) return status;
    }
    for (int r = 0; r < count; r++) {
        int status = run_once(b, prompt, n, &seconds);
        if (status || cli_interrupted()) return status;
        b->rates[r] = seconds > 0 ? n / seconds : 0;
        sum += b->rates[r];
    }
    for (int r = 0; r < count; r++) squares += (b->rates[r] - sum / count) * (b->rates[r] - sum / count);
    put_row(b, test, sum / count, count > 1 ? sqrt(squares / (count - 1)) : 0);
    return cli_output_status();
}

static int run_tests(struct bench *b) {
    const struct cli_list *p = &b->o->bench_prompt, *g = &b->o->bench_gen;
    int status = CLI_OK;
    for (int i = 0; i < p->n && !status && !cli_interrupted(); i++)
        if (p->value[i]) status = run_test(b, true, p->value[i]);
    for (int i = 0; i < g->n && !status && !cli_interrupted(); i++)
        if (g->value[i]) status = run_test(b, false, g->value[i]);
    return status;
}

static int longest(const struct cli_options *o) {
    int most = 0;
    for (int i = 0; i < o->bench_prompt.n; i++)
        most = o->bench_prompt.value[i] > most ? o->bench_prompt.value[i] : most;
    for (int i = 0; i < o->bench_gen.n; i++) most = o->bench_gen.value[i] > most ? o->bench_gen.value[i] : most;
    return most;
}

static int for_threads(struct bench *b, int n_threads, int n_ctx) {
    struct cli_options o = *b->o;
    struct phi_session_info info;
    o.session.n_threads = o.session.n_threads_batch = n_threads;
    int status = cli_session_open(&o, b->model, n_ctx, &b->session);
    if (status) return status;
    phi_session_get_info(b->session, &info);
    b->n_threads = info.n_threads;
    status = run_tests(b);
    phi_session_close(b->session);
    b->session = NULL;
    return status;
}

/* "build: COMMIT (VERSION)", the version as one number: 0.1.0 is 100. */
static void put_build(void) {
    const char *commit = strchr(phi_version(), '(');
    int a = 0, b = 0, c = 0;
    size_t n = commit ? strcspn(commit + 1, ",)") : 0;
    sscanf(PHI_VERSION, "%d.%d.%d", &a, &b, &c);
    bool known = n > 0 && n <= 12 && commit[1 + n] == ','; /* without a commit the compiler stands in the brackets */
    cli_putf("\nbuild: %.*s (%d)\n", known ? (int)n : 7, known ? commit + 1 : "unknown", a * 10000 + b * 100 + c);
}

static int measure(struct bench *b) {
    int n = longest(b->o);
    if (n == 0) return cli_fail(CLI_USAGE, "there is no test: both -p and -n are 0");
    phi_model_get_info(b->model, &b->info);
    if (n > b->info.n_ctx_train)
        return cli_fail(CLI_CONTEXT, "a test of %d tokens does not fit, the model's context holds %d", n,
                        b->info.n_ctx_train);
    b->ids = phi_alloc((size_t)n, sizeof *b->ids);
    b->rates = phi_alloc((size_t)b->o->repetitions, sizeof *b->rates);
    if (!b->ids || !b->rates) return cli_fail(CLI_MEMORY, "not enough memory for a test of %d tokens", n);
    uint32_t state = 1; /* the same ids every time: xorshift32 */
    for (int i = 0; i < n; i++) {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        b->ids[i] = (int32_t)(state % (uint32_t)b->info.n_vocab);
    }
    put_header(b);
    const struct cli_list *t = &b->o->bench_threads;
    int status = t->n ? CLI_OK : for_threads(b, -1, n);
    for (int i = 0; i < t->n && !status && !cli_interrupted(); i++) status = for_threads(b, t->value[i], n);
    if (!status && !cli_interrupted()) put_build();
    return status ? status : cli_output_status();
}

int cli_bench(const struct cli_options *o) {
    struct cli_model_file file;
    phi_model *model = NULL;
    int status = cli_model_open(o, true, &file, &model);
    if (status) return status;
    struct bench b = {.o = o, .model = model};
    cli_model_announce(&file);
    status = measure(&b);
    phi_free(b.ids);
    phi_free(b.rates);
    phi_model_close(model);
    return status;
}
