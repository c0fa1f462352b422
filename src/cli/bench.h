/* What the files of `phi bench` share: a test, its measurements, how they are printed, and the machine. */
#ifndef PHI_CLI_BENCH_H
#define PHI_CLI_BENCH_H

#include "options.h"
#include "pinning.h"

struct bench_test {
    int n_prompt, n_gen, n_depth, n_batch, n_ubatch, n_threads; /* n_threads -1: the default */
    enum phi_kv_type type_k, type_v;
    const char *cpu_mask; /* "0x0": none is given */
};

/* A row of an earlier run. */
struct bench_base {
    int n_prompt, n_gen, n_depth, n_threads;
    char type_k[8], type_v[8], cpu_mask[CLI_MASK_SIZE];
    double mean, deviation; /* of tokens per second */
    int n;                  /* samples; 0: none */
};

struct bench_result {
    struct bench_test test; /* n_threads: those used */
    char time[24];          /* ISO 8601, UTC */
    const char *isa;
    double *seconds; /* [n] one for each repetition */
    int n;
    double *token_seconds; /* [n_token] of every generated token, ascending */
    size_t n_token;
    double first_token;     /* median of: seconds until the first logits that a token is chosen from */
    double bytes;           /* of weights and cache that a repetition reads at least */
    double operations;      /* of the layers' matrices in a repetition */
    bool probed;            /* the machine was measured, too: */
    double bandwidth, peak; /* bytes and operations per second */
    uint64_t kv_bytes;
    const struct bench_base *base; /* the row to compare with; NULL: none */
};

/* ---- Output (bench_output.c) ---- */

enum bench_format { BENCH_NONE, BENCH_MD, BENCH_CSV, BENCH_JSON, BENCH_JSONL };

struct bench_output {
    enum bench_format format;
    bool to_stderr;
    const struct cli_options *o;
    const struct phi_model_info *model;
    const char *model_file;
    bool compares;
    int n_row;
};

bool bench_format_find(const char *name, enum bench_format *format);
void bench_output_row(struct bench_output *out, const struct bench_result *r); /* before the first: the header */
void bench_output_end(struct bench_output *out);
/* Text that is not part of a row. */
void bench_output_text(const struct bench_output *out, const char *fmt, ...) PHI_PRINTF(2, 3);

/* "pp512", "tg128", "pp512+tg128", " @ d512" behind it. */
void bench_test_name(const struct bench_test *t, char out[64]);
double bench_mean(const double *v, int n);
double bench_deviation(const double *v, int n);                  /* of a sample: 0 for fewer than two */
double bench_median(double *v, size_t n);                        /* sorts v; n >= 1 */
double bench_rate(const struct bench_result *r, int repetition); /* tokens per second */

/* ---- Comparison (bench_compare.c) ---- */

struct bench_bases {
    struct bench_base *row;
    size_t n;
};
/* Read what -o json or jsonl wrote. The exit code, with the error line printed. */
int bench_bases_read(const char *path, struct bench_bases *out);
void bench_bases_free(struct bench_bases *b);
/* The first row of the same test, threads and cache types; NULL. */
const struct bench_base *bench_bases_find(const struct bench_bases *b, const struct bench_test *t);
/* Difference of the means in percent of the base's, and its 95 % interval (Welch); low > high: fewer than two samples
 * on one side. */
struct bench_difference {
    double percent, low, high;
};
struct bench_difference bench_compare(const struct bench_base *base, double mean, double deviation, int n);

/* ---- The machine (bench_machine.c) ---- */

void bench_cpu_name(char out[128]);
double bench_clock_mhz(void);   /* of the fastest core now; 0: the system does not say */
double bench_temperature(void); /* highest of the thermal zones, degrees Celsius; 0: the system does not say */

/* ---- Other measurements ---- */

/* Decode for --sustained seconds (bench_sustained.c). The exit code. */
int bench_sustained(const struct cli_options *o, const phi_model *model, const int32_t *ids);
/* Find the best thread counts and keep them in the file of cli_tune_open() (bench_tune.c). The exit code. */
int bench_tune(const struct cli_options *o, const phi_model *model, const int32_t *ids, int fd);

#endif
