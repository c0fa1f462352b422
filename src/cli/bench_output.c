/* The rows of `phi bench` as Markdown, CSV, JSON and JSON lines. Columns, widths and keys are those of llama-bench,
 * whose tools read them; what llama-bench does not have comes behind. One list of fields serves all formats. */
#include "bench.h"
#include "statistics.h"
#include "../json.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Numbers ---- */

void bench_test_name(const struct bench_test *t, char out[64]) {
    int n = 0;
    if (t->n_prompt) n += snprintf(out + n, 64 - (size_t)n, "pp%d", t->n_prompt);
    if (t->n_gen) n += snprintf(out + n, 64 - (size_t)n, "%stg%d", t->n_prompt ? "+" : "", t->n_gen);
    if (t->n_depth) snprintf(out + n, 64 - (size_t)n, " @ d%d", t->n_depth);
}

double bench_mean(const double *v, int n) {
    double sum = 0;
    for (int i = 0; i < n; i++) sum += v[i];
    return n ? sum / n : 0;
}

double bench_deviation(const double *v, int n) {
    double mean = bench_mean(v, n), squares = 0;
    for (int i = 0; i < n; i++) squares += (v[i] - mean) * (v[i] - mean);
    return n > 1 ? sqrt(squares / (n - 1)) : 0;
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double bench_median(double *v, size_t n) {
    qsort(v, n, sizeof *v, ascending);
    return n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
}

double bench_rate(const struct bench_result *r, int repetition) {
    double seconds = r->seconds[repetition];
    return seconds > 0 ? (r->test.n_prompt + r->test.n_gen) / seconds : 0;
}

/* ---- Fields ---- */

enum { N_FIELD = 64 };
enum kind {
    STRING,
    NUMBER, /* as it is written */
    FLAG,   /* 0 or 1; true or false in JSON */
    NOTHING /* there is no such figure for this test */
};
enum group { LLAMA, EXTRA, COMPARED };

struct field {
    const char *name;
    enum kind kind;
    enum group group;
    const char *text; /* own, or one that lives elsewhere */
    char own[160];
};

struct fields {
    int n;
    enum group group; /* of the fields to come */
    struct field field[N_FIELD];
};

static void add(struct fields *f, const char *name, enum kind kind, const char *fmt, ...) PHI_PRINTF(4, 5);
static void add(struct fields *f, const char *name, enum kind kind, const char *fmt, ...) {
    struct field *to = &f->field[f->n++];
    va_list args;
    va_start(args, fmt);
    to->name = name;
    to->kind = kind;
    to->group = f->group;
    to->text = to->own;
    vsnprintf(to->own, sizeof to->own, fmt, args);
    va_end(args);
}

/* A number with three digits behind the point, where there is one. */
static void add_real(struct fields *f, const char *name, bool known, double v) {
    if (known)
        add(f, name, NUMBER, "%.3f", v);
    else
        add(f, name, NOTHING, "%s", "");
}

/* 3B and 14B: the names of the family's members by their layers, as llama.cpp says. */
static void model_type(const struct phi_model_info *m, char out[96]) {
    double millions = (double)m->n_params / 1e6;
    char size[32];
    if (m->n_layer == 32 && millions >= 1000)
        snprintf(size, sizeof size, "3B");
    else if (m->n_layer == 40 && millions >= 1000)
        snprintf(size, sizeof size, "14B");
    else
        snprintf(size, sizeof size, "%.1f%s", millions >= 1000 ? millions / 1e3 : millions,
                 millions >= 1000 ? "B" : "M");
    snprintf(out, 96, "%s %s %s", m->architecture, size, m->type);
}

/* In the order of enum cli_load; what auto means here is mmap. */
static const char *const load_modes[] = {"mmap", "none", "mmap", "mlock", "mmap+mlock"};

/* The commit, and the version as one number: 0.1.0 is 100. */
static int build_of(char commit[16]) {
    const char *bracket = strchr(phi_version(), '(');
    int a = 0, b = 0, c = 0;
    size_t n = bracket ? strcspn(bracket + 1, ",)") : 0;
    sscanf(PHI_VERSION, "%d.%d.%d", &a, &b, &c); /* NOLINT(cert-err33-c,cert-err34-c): a text of our own */
    bool known = n > 0 && n <= 12 && bracket[1 + n] == ','; /* without a commit the compiler stands in the brackets */
    snprintf(commit, 16, "%.*s", known ? (int)n : 7, known ? bracket + 1 : "unknown");
    return a * 10000 + b * 100 + c;
}

static void fill_llama(const struct bench_output *out, const struct bench_result *r, struct fields *f) {
    const struct bench_test *t = &r->test;
    char commit[16], cpu[128], type[96];
    int number = build_of(commit);
    bench_cpu_name(cpu);
    model_type(out->model, type);
    add(f, "build_commit", STRING, "%s", commit);
    add(f, "build_number", NUMBER, "%d", number);
    add(f, "cpu_info", STRING, "%s", cpu);
    add(f, "gpu_info", STRING, "%s", "");
    add(f, "backends", STRING, "CPU");
    add(f, "model_filename", STRING, "%s", "");
    f->field[f->n - 1].text = out->model_file;
    add(f, "model_type", STRING, "%s", type);
    add(f, "model_size", NUMBER, "%llu", (unsigned long long)out->model->tensor_bytes);
    add(f, "model_n_params", NUMBER, "%llu", (unsigned long long)out->model->n_params);
    add(f, "n_batch", NUMBER, "%d", t->n_batch);
    add(f, "n_ubatch", NUMBER, "%d", t->n_ubatch);
    add(f, "n_threads", NUMBER, "%d", t->n_threads);
    add(f, "cpu_mask", STRING, "%s", "");
    f->field[f->n - 1].text = t->cpu_mask;
    add(f, "cpu_strict", FLAG, "%d", out->o->cpu_strict);
    add(f, "poll", NUMBER, "50");
    add(f, "type_k", STRING, "%s", cli_kv_name(t->type_k));
    add(f, "type_v", STRING, "%s", cli_kv_name(t->type_v));
    add(f, "n_gpu_layers", NUMBER, "-1");
    add(f, "n_cpu_moe", NUMBER, "0");
    add(f, "split_mode", STRING, "layer");
    add(f, "main_gpu", NUMBER, "0");
    add(f, "no_kv_offload", FLAG, "0");
    add(f, "flash_attn", NUMBER, "0");
    add(f, "devices", STRING, "auto");
    add(f, "tensor_split", STRING, "0.00");
    add(f, "tensor_buft_overrides", STRING, "none");
    add(f, "load_mode", STRING, "%s", load_modes[out->o->load_mode]);
    add(f, "lazy_mode", NUMBER, "0");
    add(f, "embeddings", FLAG, "0");
    add(f, "no_op_offload", NUMBER, "0");
    add(f, "no_host", FLAG, "0");
    add(f, "fit_target", NUMBER, "0");
    add(f, "fit_min_ctx", NUMBER, "0");
    add(f, "n_prompt", NUMBER, "%d", t->n_prompt);
    add(f, "n_gen", NUMBER, "%d", t->n_gen);
    add(f, "n_depth", NUMBER, "%d", t->n_depth);
    add(f, "test_time", STRING, "%s", r->time);
}

struct summary {
    double seconds, deviation, rate, rate_deviation;
};

static void rates_of(const struct bench_result *r, struct summary *s) {
    double sum = 0, squares = 0;
    for (int i = 0; i < r->n; i++) sum += bench_rate(r, i);
    s->rate = sum / r->n;
    for (int i = 0; i < r->n; i++) squares += (bench_rate(r, i) - s->rate) * (bench_rate(r, i) - s->rate);
    s->rate_deviation = r->n > 1 ? sqrt(squares / (r->n - 1)) : 0;
    s->seconds = bench_mean(r->seconds, r->n);
    s->deviation = bench_deviation(r->seconds, r->n);
}

static void fill_extra(const struct bench_result *r, const struct summary *s, struct fields *f) {
    bool known = r->probed && s->seconds > 0, decodes = known && !r->test.n_prompt, fills = known && !r->test.n_gen;
    double rate = s->seconds > 0 ? r->bytes / s->seconds : 0,
           operations = s->seconds > 0 ? r->operations / s->seconds : 0;
    f->group = EXTRA;
    add(f, "isa", STRING, "%s", r->isa);
    add_real(f, "gb_per_s", s->seconds > 0, rate / 1e9);
    add_real(f, "mem_bw_gb_per_s", r->probed, r->bandwidth / 1e9);
    add_real(f, "mem_bw_pct", decodes && r->bandwidth > 0, 100 * rate / r->bandwidth);
    add_real(f, "int8_peak_gops", r->probed, r->peak / 1e9);
    add_real(f, "int8_peak_pct", fills && r->peak > 0, 100 * operations / r->peak);
    add(f, "peak_rss", NUMBER, "%.0f", cli_memory_used().peak_mib * 1048576);
    add(f, "kv_bytes", NUMBER, "%llu", (unsigned long long)r->kv_bytes);
    add_real(f, "ttft_ms", true, 1e3 * r->first_token);
    static const struct {
        const char *name;
        int percent;
    } percentiles[] = {{"tok_ms_p50", 50}, {"tok_ms_p95", 95}, {"tok_ms_p99", 99}};
    for (size_t i = 0; i < sizeof percentiles / sizeof *percentiles; i++) {
        /* the smallest value that so many percent do not exceed */
        size_t rank = (r->n_token * (size_t)percentiles[i].percent + 99) / 100;
        add_real(f, percentiles[i].name, rank > 0, rank ? 1e3 * r->token_seconds[rank - 1] : 0);
    }
}

static void fill(const struct bench_output *out, const struct bench_result *r, struct fields *f) {
    struct summary s;
    f->n = 0;
    f->group = LLAMA;
    rates_of(r, &s);
    fill_llama(out, r, f);
    add(f, "avg_ns", NUMBER, "%.0f", 1e9 * s.seconds);
    add(f, "stddev_ns", NUMBER, "%.0f", 1e9 * s.deviation);
    add(f, "avg_ts", NUMBER, "%f", s.rate);
    add(f, "stddev_ts", NUMBER, "%f", s.rate_deviation);
    fill_extra(r, &s, f);
    f->group = COMPARED;
    struct bench_difference d = {0, 1, 0};
    if (r->base) d = bench_compare(r->base, s.rate, s.rate_deviation, r->n);
    add_real(f, "base_ts", r->base != NULL, r->base ? r->base->mean : 0);
    add_real(f, "diff_pct", r->base != NULL, d.percent);
    add_real(f, "diff_low_pct", d.low <= d.high, d.low);
    add_real(f, "diff_high_pct", d.low <= d.high, d.high);
}

static bool shown(const struct bench_output *out, const struct field *f) {
    if (f->group == COMPARED) return out->compares;
    return f->group == LLAMA || out->o->bench_extra || out->format >= BENCH_JSON;
}

/* ---- Writing ---- */

static void put(const struct bench_output *out, const char *bytes, size_t n) {
    if (out->to_stderr)
        (void)cli_write_all(2, bytes, n);
    else
        cli_put(bytes, n);
}

void bench_output_text(const struct bench_output *out, const char *fmt, ...) {
    char line[2048];
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    if (n > 0) put(out, line, (size_t)n < sizeof line ? (size_t)n : sizeof line - 1);
}

static void put_csv(const struct bench_output *out, const char *text) {
    put(out, "\"", 1);
    for (; *text; text++) put(out, *text == '"' ? "\"\"" : text, *text == '"' ? 2 : 1);
    put(out, "\"", 1);
}

static void put_json_string(const struct bench_output *out, const char *text) {
    size_t left = strlen(text), used;
    put(out, "\"", 1);
    for (; left; text += used, left -= used) {
        char shown[PHI_JSON_ESCAPE_SIZE];
        size_t n = phi_json_escape(text, left, shown, &used);
        put(out, shown, n);
    }
    put(out, "\"", 1);
}

static void put_json_value(const struct bench_output *out, const struct field *f) {
    switch (f->kind) {
    case STRING:
        put_json_string(out, f->text);
        break;
    case NUMBER:
        bench_output_text(out, "%s", f->text);
        break;
    case FLAG:
        bench_output_text(out, "%s", *f->text == '1' ? "true" : "false");
        break;
    case NOTHING:
        bench_output_text(out, "null");
        break;
    }
}

static void put_samples(const struct bench_output *out, const struct bench_result *r, const char *before) {
    bench_output_text(out, "%s\"samples_ns\": [ ", before);
    for (int i = 0; i < r->n; i++) bench_output_text(out, "%s%.0f", i ? ", " : "", 1e9 * r->seconds[i]);
    bench_output_text(out, " ],%s\"samples_ts\": [ ", before + (*before == ','));
    for (int i = 0; i < r->n; i++) bench_output_text(out, "%s%f", i ? ", " : "", bench_rate(r, i));
    bench_output_text(out, " ]");
}

static void put_json(const struct bench_output *out, const struct bench_result *r, const struct fields *f) {
    bool lines = out->format == BENCH_JSONL;
    const char *between = lines ? ", " : ",\n    ";
    bool first = true, samples = false;
    if (!lines) bench_output_text(out, out->n_row ? ",\n  {\n    " : "[\n  {\n    ");
    if (lines) bench_output_text(out, "{");
    for (int i = 0; i < f->n; i++) {
        if (!shown(out, &f->field[i])) continue;
        if (!samples && f->field[i].group != LLAMA) put_samples(out, r, between);
        samples = f->field[i].group != LLAMA;
        bench_output_text(out, "%s\"%s\": ", first ? "" : between, f->field[i].name);
        put_json_value(out, &f->field[i]);
        first = false;
    }
    bench_output_text(out, lines ? "}\n" : "\n  }");
}

static void put_csv_row(const struct bench_output *out, const struct fields *f) {
    for (int header = out->n_row == 0; header >= 0; header--) {
        bool first = true;
        for (int i = 0; i < f->n; i++) {
            if (!shown(out, &f->field[i])) continue;
            if (!first) put(out, ",", 1);
            first = false;
            if (header)
                bench_output_text(out, "%s", f->field[i].name);
            else
                put_csv(out, f->field[i].text);
        }
        put(out, "\n", 1);
    }
}

/* ---- Markdown ---- */

enum { N_COLUMN = 32 };

struct column {
    const char *name;
    int width; /* negative: left-aligned */
    char text[128];
};

struct table {
    int n;
    struct column column[N_COLUMN];
};

static void column(struct table *t, const char *name, int width, const char *fmt, ...) PHI_PRINTF(4, 5);
static void column(struct table *t, const char *name, int width, const char *fmt, ...) {
    struct column *c = &t->column[t->n++];
    va_list args;
    va_start(args, fmt);
    c->name = name;
    c->width = width;
    vsnprintf(c->text, sizeof c->text, fmt, args);
    va_end(args);
}

static bool differs(const struct cli_list *list, int usual) {
    return list->n > 1 || list->value[0] != usual;
}

static void fill_table(const struct bench_output *out, const struct bench_result *r, const struct fields *f,
                       struct table *t) {
    const struct phi_model_info *m = out->model;
    const struct cli_options *o = out->o;
    bool large = m->tensor_bytes >= 1ull << 30, many = m->n_params >= 1000000000;
    char type[96], test[64];
    struct summary s;
    model_type(m, type);
    bench_test_name(&r->test, test);
    rates_of(r, &s);
    t->n = 0;
    column(t, "model", -30, "%s", type);
    column(t, "size", 10, "%.2f %s", (double)m->tensor_bytes / (large ? 1073741824.0 : 1048576.0),
           large ? "GiB" : "MiB");
    column(t, "params", 10, "%.2f %s", (double)m->n_params / (many ? 1e9 : 1e6), many ? "B" : "M");
    column(t, "backend", -10, "CPU");
    column(t, "threads", 7, "%d", r->test.n_threads);
    if (o->cpu_mask) column(t, "cpu_mask", 10, "%s", r->test.cpu_mask);
    if (differs(&o->bench_batch, 2048)) column(t, "n_batch", 7, "%d", r->test.n_batch);
    if (differs(&o->bench_ubatch, 512)) column(t, "n_ubatch", 8, "%d", r->test.n_ubatch);
    if (differs(&o->bench_type_k, PHI_KV_F16)) column(t, "type_k", 6, "%s", cli_kv_name(r->test.type_k));
    if (differs(&o->bench_type_v, PHI_KV_F16)) column(t, "type_v", 6, "%s", cli_kv_name(r->test.type_v));
    column(t, "test", 15, "%s", test);
    column(t, "t/s", 20, "%.2f \xc2\xb1 %.2f", s.rate, s.rate_deviation);
    for (int i = 0; i < f->n; i++)
        if (f->field[i].group != LLAMA && shown(out, &f->field[i])) {
            int length = (int)strlen(f->field[i].name), width = length > 10 ? length : 10;
            column(t, f->field[i].name, width, "%s", f->field[i].text);
        }
}

static void put_table_row(const struct bench_output *out, const struct bench_result *r, const struct fields *f) {
    static const char dashes[] = "------------------------------";
    struct table t;
    fill_table(out, r, f, &t);
    if (out->n_row == 0) {
        put(out, "|", 1);
        for (int i = 0; i < t.n; i++) bench_output_text(out, " %*s |", t.column[i].width, t.column[i].name);
        put(out, "\n|", 2);
        for (int i = 0; i < t.n; i++) {
            int width = t.column[i].width;
            bench_output_text(out, " %.*s%s |", (width < 0 ? -width : width) - 1, dashes, width < 0 ? "-" : ":");
        }
        put(out, "\n", 1);
    }
    put(out, "|", 1);
    for (int i = 0; i < t.n; i++) { /* the plus-minus has two bytes and one place */
        int wider = strcmp(t.column[i].name, "t/s") == 0;
        bench_output_text(out, " %*s |", t.column[i].width + wider, t.column[i].text);
    }
    put(out, "\n", 1);
}

/* ---- All formats ---- */

bool bench_format_find(const char *name, enum bench_format *format) {
    static const char *const names[] = {
        [BENCH_MD] = "md", [BENCH_CSV] = "csv", [BENCH_JSON] = "json", [BENCH_JSONL] = "jsonl"};
    for (size_t i = BENCH_MD; i < sizeof names / sizeof *names; i++)
        if (strcmp(name, names[i]) == 0) {
            *format = (enum bench_format)i;
            return true;
        }
    return false;
}

void bench_output_row(struct bench_output *out, const struct bench_result *r) {
    struct fields f;
    if (out->format == BENCH_NONE) return;
    fill(out, r, &f);
    if (out->format == BENCH_MD)
        put_table_row(out, r, &f);
    else if (out->format == BENCH_CSV)
        put_csv_row(out, &f);
    else
        put_json(out, r, &f);
    out->n_row++;
    if (!out->to_stderr) cli_flush();
}

void bench_output_end(struct bench_output *out) {
    char commit[16];
    if (out->format == BENCH_JSON) bench_output_text(out, out->n_row ? "\n]\n" : "[\n]\n");
    if (out->format != BENCH_MD) return;
    int number = build_of(commit);
    bench_output_text(out, "\nbuild: %s (%d)\n", commit, number);
}
