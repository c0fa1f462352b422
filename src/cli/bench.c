/* phi bench: tokens per second, with the options and formats of llama-bench, and how far the machine's limits are.
 * Only the model's evaluation is timed: the ids are random, nothing is tokenized or sampled. Every test has a session
 * of its own. What is printed is the business of bench_output.c. */
#include "bench.h"
#include "commands.h"
#include "model_file.h"
#include "sandbox.h"
#include "synthetic_model.h"
#include "tune.h"
#include "../cores.h"
#include "../io.h"
#include "../limits.h"
#include "../memory.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

enum { N_PROBE = 5 }; /* measurements of the machine during a test; the medians count */

struct bench {
    const struct cli_options *o;
    const phi_model *model;
    struct phi_model_info info;
    struct bench_output output[2]; /* stdout, stderr */
    struct bench_bases bases;
    bool probes;
    int32_t *ids;
    int tune_fd;        /* -1 without --tune */
    int n_test, n_done; /* for --progress */
};

/* A test while it runs. */
struct run {
    const struct bench *bench;
    struct bench_test test;
    phi_session *session;
    double *seconds, *first_token, *token_seconds; /* [repetitions], [repetitions], [repetitions * n_gen] */
    double bandwidth[N_PROBE], peak[N_PROBE];
    size_t n_token;
    int n_rep, n_probe;
};

static int stop_when_interrupted(void *user, size_t done, size_t total) {
    (void)user, (void)done, (void)total;
    return cli_interrupted();
}

static int eval(struct run *run, size_t first, size_t n) {
    phi_error err = {""};
    int status = phi_session_eval(run->session, run->bench->ids + first, n, stop_when_interrupted, NULL, &err);
    return status ? cli_fail_with(status, &err) : CLI_OK;
}

/* The context holds the first `depth` ids again, however far the last repetition went. */
static int go_back(struct run *run, size_t depth, size_t end) {
    phi_error err = {""};
    size_t held = phi_session_n_past(run->session);
    size_t keep = held >= depth && phi_limits_rewinds(run->session, depth, end) ? depth : 0;
    int status = phi_session_rewind(run->session, keep, &err);
    if (status) return cli_fail_with(status, &err);
    return keep == depth ? CLI_OK : eval(run, 0, depth);
}

/* Measure the machine while the test goes on: as many times as are due after `done` of `total` steps. */
static void probe(struct run *run, size_t done, size_t total) {
    if (!run->bench->probes) return;
    while (run->n_probe < N_PROBE && (size_t)run->n_probe * total < N_PROBE * done) {
        uint64_t sum;
        double seconds = phi_limits_read(run->session, &sum);
        double bytes = (double)phi_limits_weight_bytes(run->bench->model);
        run->bandwidth[run->n_probe] = seconds > 0 ? bytes / seconds : 0;
        run->peak[run->n_probe++] = phi_limits_peak(run->session);
    }
}

static int warm_up(struct run *run) {
    const struct bench_test *t = &run->test;
    int status = eval(run, 0, (size_t)t->n_prompt);
    if (!status && t->n_gen && !cli_interrupted()) status = eval(run, (size_t)t->n_prompt, 1);
    return status;
}

/* One repetition. Only what is between two looks at the clock counts. */
static int run_once(struct run *run) {
    const struct bench_test *t = &run->test;
    size_t at = (size_t)t->n_depth, prompt = (size_t)t->n_prompt, gen = (size_t)t->n_gen;
    size_t steps = gen ? gen : 1, total = steps * (size_t)run->bench->o->repetitions;
    int status = go_back(run, at, at + prompt + gen);
    double sum = 0, began = cli_seconds();
    if (status || cli_interrupted()) return status;
    if (prompt) {
        status = eval(run, at, prompt);
        run->first_token[run->n_rep] = sum = cli_seconds() - began;
        if (!gen) probe(run, (size_t)run->n_rep + 1, total);
    }
    for (size_t i = 0; i < gen && !status && !cli_interrupted(); i++) {
        began = cli_seconds();
        status = eval(run, at + prompt + i, 1);
        double seconds = cli_seconds() - began;
        sum += seconds;
        if (!prompt && i == 0) run->first_token[run->n_rep] = seconds;
        run->token_seconds[run->n_token++] = seconds;
        probe(run, run->n_token, total);
    }
    run->seconds[run->n_rep++] = sum;
    return status;
}

/* Bytes that a repetition reads at least: every pass the weights, and the keys and values that its tokens see. */
static double bytes_read(const struct run *run, int n_ubatch) {
    const struct bench_test *t = &run->test;
    double weights = (double)phi_limits_weight_bytes(run->bench->model), sum = 0;
    size_t at = (size_t)t->n_depth, end = at + (size_t)t->n_prompt;
    while (at < end) {
        size_t n = end - at < (size_t)n_ubatch ? end - at : (size_t)n_ubatch;
        sum += weights + (double)phi_limits_cache_bytes(run->session, at, n);
        at += n;
    }
    for (int i = 0; i < t->n_gen; i++, at++) sum += weights + (double)phi_limits_cache_bytes(run->session, at, 1);
    return sum;
}

static void put_rows(struct bench *b, struct run *run, const char *when) {
    struct phi_session_info info;
    phi_session_get_info(run->session, &info);
    struct bench_result r = {.test = run->test,
                             .isa = info.isa,
                             .seconds = run->seconds,
                             .n = run->n_rep,
                             .token_seconds = run->token_seconds,
                             .n_token = run->n_token,
                             .kv_bytes = info.kv_bytes,
                             .probed = run->n_probe > 0};
    snprintf(r.time, sizeof r.time, "%s", when);
    r.test.n_threads = run->test.n_gen ? info.n_threads : info.n_threads_batch;
    r.first_token = bench_median(run->first_token, (size_t)run->n_rep);
    if (run->n_token) bench_median(run->token_seconds, run->n_token); /* sorts */
    if (r.probed) r.bandwidth = bench_median(run->bandwidth, (size_t)run->n_probe);
    if (r.probed) r.peak = bench_median(run->peak, (size_t)run->n_probe);
    r.bytes = bytes_read(run, info.n_ubatch);
    r.operations = phi_limits_operations(b->model) * (run->test.n_prompt + run->test.n_gen);
    r.base = bench_bases_find(&b->bases, &r.test);
    for (int i = 0; i < 2; i++) bench_output_row(&b->output[i], &r);
}

static void progress(const struct bench *b, const struct run *run, const char *what, int n) {
    char name[64], times[32] = "";
    if (!b->o->bench_progress) return;
    bench_test_name(&run->test, name);
    if (n) snprintf(times, sizeof times, " %d of %d", n, b->o->repetitions);
    cli_note("test %d of %d: %s: %s%s", b->n_done + 1, b->n_test, name, what, times);
}

static int measure(struct bench *b, struct run *run) {
    char when[24];
    time_t now = time(NULL);
    struct tm utc;
    strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &utc));
    int status = CLI_OK;
    if (!b->o->no_warmup) {
        progress(b, run, "warm-up", 0);
        status = warm_up(run);
    }
    for (int i = 0; i < b->o->repetitions && !status && !cli_interrupted(); i++) {
        progress(b, run, "run", i + 1);
        status = run_once(run);
    }
    if (status || cli_interrupted()) return status;
    put_rows(b, run, when);
    return cli_output_status();
}

static void delay(float seconds) {
    struct timespec t = {(time_t)seconds, (long)((seconds - (float)(time_t)seconds) * 1e9f)};
    if (seconds > 0 && !cli_interrupted()) nanosleep(&t, NULL);
}

static int run_test(struct bench *b, const struct bench_test *t) {
    struct cli_options o = *b->o;
    struct run run = {.bench = b, .test = *t};
    size_t n = (size_t)o.repetitions;
    o.session.n_ubatch = t->n_ubatch < t->n_batch ? t->n_ubatch : t->n_batch;
    o.session.n_threads = o.session.n_threads_batch = t->n_threads;
    o.session.type_k = t->type_k;
    o.session.type_v = t->type_v;
    delay(o.bench_delay);
    run.seconds = phi_alloc(n, sizeof *run.seconds);
    run.first_token = phi_alloc(n, sizeof *run.first_token);
    run.token_seconds = phi_alloc(n * (size_t)(t->n_gen ? t->n_gen : 1), sizeof *run.token_seconds);
    int status = run.seconds && run.first_token && run.token_seconds
                     ? cli_session_open(&o, b->model, t->n_depth + t->n_prompt + t->n_gen, &run.session)
                     : cli_fail(CLI_MEMORY, "not enough memory for %d repetitions", o.repetitions);
    if (!status) status = measure(b, &run);
    b->n_done++;
    phi_session_close(run.session);
    phi_free(run.seconds);
    phi_free(run.first_token);
    phi_free(run.token_seconds);
    return status;
}

/* ---- The list of tests, in llama-bench's order ---- */

typedef int test_fn(struct bench *b, const struct bench_test *t);

static int each_length(struct bench *b, struct bench_test *t, test_fn *fn) {
    const struct cli_options *o = b->o;
    int status = CLI_OK;
    t->n_gen = 0;
    for (int i = 0; i < o->bench_prompt.n && !status && !cli_interrupted(); i++)
        if ((t->n_prompt = o->bench_prompt.value[i])) status = fn(b, t);
    t->n_prompt = 0;
    for (int i = 0; i < o->bench_gen.n && !status && !cli_interrupted(); i++)
        if ((t->n_gen = o->bench_gen.value[i])) status = fn(b, t);
    for (int i = 0; i < o->bench_pairs.n && !status && !cli_interrupted(); i++) {
        t->n_prompt = o->bench_pairs.first[i];
        t->n_gen = o->bench_pairs.second[i];
        if (t->n_prompt || t->n_gen) status = fn(b, t);
    }
    return status;
}

static int each_test_on(struct bench *b, const char *cpu_mask, test_fn *fn) {
    static const struct cli_list usual = {1, {-1}};
    const struct cli_options *o = b->o;
    const struct cli_list *list[] = {&o->bench_batch,
                                     &o->bench_ubatch,
                                     &o->bench_type_k,
                                     &o->bench_type_v,
                                     o->bench_threads.n ? &o->bench_threads : &usual,
                                     &o->bench_depth};
    enum { N_LIST = sizeof list / sizeof *list }; /* NOLINT(bugprone-sizeof-expression): pointers are what is counted */
    int at[N_LIST] = {0}, status = CLI_OK;
    for (int k = 0; k >= 0 && !status && !cli_interrupted();) { /* like a counter: the last list turns fastest */
        int v[N_LIST];
        for (int i = 0; i < N_LIST; i++) v[i] = list[i]->value[at[i]];
        struct bench_test t = {.n_batch = v[0],
                               .n_ubatch = v[1],
                               .type_k = (enum phi_kv_type)v[2],
                               .type_v = (enum phi_kv_type)v[3],
                               .n_threads = v[4],
                               .n_depth = v[5],
                               .cpu_mask = cpu_mask};
        status = each_length(b, &t, fn);
        for (k = N_LIST - 1; k >= 0 && ++at[k] == list[k]->n; k--) at[k] = 0;
    }
    return status;
}

/* On the cores of each mask in turn; then on all again. */
static int each_test(struct bench *b, test_fn *fn) {
    const struct phi_core_mask have = phi_cores_mask();
    const char *list = b->o->cpu_mask;
    char word[CLI_MASK_SIZE];
    int status = CLI_OK;
    if (!list) return each_test_on(b, "0x0", fn);
    while (!status && *list && !cli_interrupted()) {
        status = cli_pin_next(&list, &have, word);
        if (!status) status = each_test_on(b, word, fn);
    }
    phi_cores_use(&have);
    return status;
}

static int check_length(struct bench *b, const struct bench_test *t) {
    int64_t n = (int64_t)t->n_depth + t->n_prompt + t->n_gen;
    b->n_test++;
    if (n <= b->info.n_ctx_train) return CLI_OK;
    return cli_fail(CLI_CONTEXT, "a test of %lld tokens does not fit, the model's context holds %d", (long long)n,
                    b->info.n_ctx_train);
}

/* The same ids every time, one for each place of the context: xorshift32. */
static int make_ids(struct bench *b) {
    size_t n = (size_t)b->info.n_ctx_train;
    uint32_t state = 1;
    b->ids = phi_alloc(n, sizeof *b->ids);
    if (!b->ids) return cli_fail(CLI_MEMORY, "not enough memory for %zu token ids", n);
    for (size_t i = 0; i < n; i++) {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        b->ids[i] = (int32_t)(state % (uint32_t)b->info.n_vocab);
    }
    return CLI_OK;
}

/* ---- The command ---- */

static int check_options(const struct cli_options *o, struct bench *b) {
    if (o->bench_format && !bench_format_find(o->bench_format, &b->output[0].format))
        return cli_fail(CLI_USAGE, "-o: '%s' is not a format (md, csv, json, jsonl)", o->bench_format);
    if (o->bench_format_err && !bench_format_find(o->bench_format_err, &b->output[1].format))
        return cli_fail(CLI_USAGE, "-oe: '%s' is not a format (md, csv, json, jsonl)", o->bench_format_err);
    if (o->bench_synthetic && o->model)
        return cli_fail(CLI_USAGE, "--synthetic makes a model; -m does not go with it");
    if (o->bench_tune && o->bench_sustained > 0)
        return cli_fail(CLI_USAGE, "--tune and --sustained are two measurements; give one of them");
    if ((o->bench_tune || o->bench_sustained > 0) && (o->bench_format_err || o->bench_base))
        return cli_fail(CLI_USAGE, "-oe and --compare do not go with --tune and --sustained");
    if ((o->bench_tune || o->bench_sustained > 0) && o->cpu_mask && strchr(o->cpu_mask, ','))
        return cli_fail(CLI_USAGE, "--cpu-mask: --tune and --sustained take one mask, not a list");
    if (o->bench_tune && o->bench_format) return cli_fail(CLI_USAGE, "-o does not go with --tune");
    return o->bench_synthetic ? cli_synthetic_check(o->bench_synthetic) : CLI_OK;
}

/* More threads than cores: said once, not for every test. */
static void warn_of_threads(const struct cli_options *o) {
    int cores = phi_cores_allowed();
    for (int i = 0; i < o->bench_threads.n && !o->force_threads; i++)
        if (o->bench_threads.value[i] > cores) {
            cli_warn("--threads: %d lowered to %d, the number of cores (--force-threads keeps it)",
                     o->bench_threads.value[i], cores);
            return;
        }
}

static int run_tests(struct bench *b) {
    const struct cli_options *o = b->o;
    int status = each_test(b, check_length);
    if (status) return status;
    if (!b->n_test) return cli_fail(CLI_USAGE, "there is no test: -p and -n are 0, and there is no -pg");
    warn_of_threads(o);
    b->probes = o->bench_extra || b->output[0].format >= BENCH_JSON || b->output[1].format >= BENCH_JSON;
    status = each_test(b, run_test);
    if (status || cli_interrupted()) return status;
    for (int i = 0; i < 2; i++) bench_output_end(&b->output[i]);
    return cli_output_status();
}

static int measure_model(struct bench *b, const char *name) {
    const struct cli_options *o = b->o;
    phi_model_get_info(b->model, &b->info);
    for (int i = 0; i < 2; i++) {
        b->output[i].o = o;
        b->output[i].model = &b->info;
        b->output[i].model_file = name;
        b->output[i].compares = o->bench_base != NULL;
    }
    int status = make_ids(b);
    if (!status && o->bench_tune) return bench_tune(o, b->model, b->ids, b->tune_fd);
    if (!status && o->bench_sustained > 0) return bench_sustained(o, b->model, b->ids);
    return status ? status : run_tests(b);
}

/* The model, and the earlier results: whatever is written is opened first, whatever is parsed comes behind the sandbox. */
static int open_all(const struct cli_options *o, struct bench *b, struct cli_model_file *file, phi_model **model) {
    struct cli_synthetic_file noise = {.fd = -1};
    int status = o->bench_tune ? cli_tune_open(&b->tune_fd) : CLI_OK;
    if (!status && o->bench_synthetic) status = cli_synthetic_create(&noise);
    if (!status && !noise.temporary) status = cli_sandbox_enter(o, NULL, false);
    if (!status && o->bench_synthetic) status = cli_synthetic_open(&noise, o->bench_synthetic, model);
    cli_synthetic_close(&noise);
    if (!status) status = cli_sandbox_enter(o, NULL, false);
    if (!status && o->bench_base) status = bench_bases_read(o->bench_base, &b->bases);
    if (!status && !o->bench_synthetic && !cli_interrupted()) status = cli_model_open(o, true, file, model);
    return status;
}

int cli_bench(const struct cli_options *o) {
    struct cli_model_file file = {.why = ""};
    struct bench b = {.o = o, .tune_fd = -1, .output = {{.format = BENCH_MD}, {.format = BENCH_NONE, .to_stderr = true}}};
    phi_model *model = NULL;
    int status = check_options(o, &b);
    if (!status) status = open_all(o, &b, &file, &model);
    if (!status && model) {
        if (!o->bench_synthetic) cli_model_announce(&file);
        b.model = model;
        status = measure_model(&b, o->bench_synthetic ? o->bench_synthetic : file.path);
    }
    phi_free(b.ids);
    bench_bases_free(&b.bases);
    if (b.tune_fd >= 0) phi_io_close(b.tune_fd);
    phi_model_close(model);
    return status;
}
