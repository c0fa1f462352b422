/* Earlier results: reads the JSON that bench writes (or llama-bench), finds the row of the same test, and says by how
 * much the rate differs and how sure that is. Only objects of one level are understood; a key that is not wanted is
 * skipped, whatever its value. */
#include "bench.h"
#include "prompt.h"
#include "../memory.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_DEPTH = 16, MAX_SAMPLES = 10000 };

struct scan {
    const char *begin, *at, *end;
    bool no_memory;
};

static char next(struct scan *s) { /* the next character that is no white space; 0 at the end */
    while (s->at < s->end && isspace((unsigned char)*s->at)) s->at++;
    return s->at < s->end ? *s->at : 0;
}

static bool take(struct scan *s, char c) {
    if (next(s) != c) return false;
    s->at++;
    return true;
}

/* Escapes are kept as they stand: no key or value that is wanted has any. What does not fit is cut. */
static bool take_string(struct scan *s, char *out, size_t size) {
    size_t n = 0;
    if (!take(s, '"')) return false;
    for (; s->at < s->end && *s->at != '"'; s->at++) {
        bool escape = *s->at == '\\';
        if (n + 1 < size) out[n++] = *s->at;
        if (escape && ++s->at == s->end) return false;
    }
    out[n] = 0;
    return take(s, '"');
}

static bool take_number(struct scan *s, double *v) {
    char word[64], *end;
    size_t n = 0;
    next(s);
    while (s->at < s->end && n < sizeof word - 1 && *s->at && strchr("+-.0123456789eE", *s->at)) word[n++] = *s->at++;
    word[n] = 0;
    *v = strtod(word, &end);
    return n > 0 && *end == 0;
}

/* NOLINTNEXTLINE(misc-no-recursion): MAX_DEPTH deep */
static bool skip_value(struct scan *s, int depth) {
    static const char *const words[] = {"true", "false", "null"};
    char c = next(s), close = c == '[' ? ']' : '}', string[2];
    double number;
    if (c == '"') return take_string(s, string, sizeof string);
    for (size_t i = 0; i < 3; i++)
        if ((size_t)(s->end - s->at) >= strlen(words[i]) && memcmp(s->at, words[i], strlen(words[i])) == 0) {
            s->at += strlen(words[i]);
            return true;
        }
    if (c != '[' && c != '{') return take_number(s, &number);
    if (depth == MAX_DEPTH) return false;
    s->at++;
    for (bool first = true; !take(s, close); first = false) {
        if (!first && !take(s, ',')) return false;
        if (c == '{' && !(take_string(s, string, sizeof string) && take(s, ':'))) return false;
        if (!skip_value(s, depth + 1)) return false;
    }
    return true;
}

/* The array's mean and deviation, summed as they come (Welford). */
static bool take_samples(struct scan *s, struct bench_base *row) {
    double v, squares = 0;
    row->n = 0;
    row->mean = 0;
    if (!take(s, '[')) return false;
    while (!take(s, ']')) {
        if ((row->n && !take(s, ',')) || row->n == MAX_SAMPLES || !take_number(s, &v)) return false;
        double before = v - row->mean;
        row->mean += before / ++row->n;
        squares += before * (v - row->mean);
    }
    row->deviation = row->n > 1 ? sqrt(squares / (row->n - 1)) : 0;
    return true;
}

static bool take_member(struct scan *s, struct bench_base *row) {
    char key[40];
    const struct {
        const char *name;
        int *number;
        char *text;
        size_t size;
    } wanted[] = {{"n_prompt", &row->n_prompt, NULL, 0},
                  {"n_gen", &row->n_gen, NULL, 0},
                  {"n_depth", &row->n_depth, NULL, 0},
                  {"n_threads", &row->n_threads, NULL, 0},
                  {"type_k", NULL, row->type_k, sizeof row->type_k},
                  {"type_v", NULL, row->type_v, sizeof row->type_v},
                  {"cpu_mask", NULL, row->cpu_mask, sizeof row->cpu_mask}};
    if (!take_string(s, key, sizeof key) || !take(s, ':')) return false;
    if (strcmp(key, "samples_ts") == 0) return take_samples(s, row);
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        double v;
        if (strcmp(key, wanted[i].name) != 0) continue;
        if (wanted[i].text) return take_string(s, wanted[i].text, wanted[i].size);
        if (!take_number(s, &v) || !(v >= 0 && v <= 2147483647)) return false;
        *wanted[i].number = (int)v;
        return true;
    }
    return skip_value(s, 0);
}

/* An array of rows, or one row after the other. */
static bool take_rows(struct scan *s, struct bench_bases *out) {
    bool array = take(s, '[');
    while (array ? !take(s, ']') : next(s) != 0) {
        if (array && out->n && !take(s, ',')) return false;
        struct bench_base *more = phi_realloc(out->row, out->n + 1, sizeof *out->row);
        if (!more) {
            s->no_memory = true;
            return false;
        }
        out->row = more;
        struct bench_base *row = &out->row[out->n++];
        *row = (struct bench_base){.cpu_mask = "0x0"};
        if (!take(s, '{')) return false;
        for (bool first = true; !take(s, '}'); first = false)
            if ((!first && !take(s, ',')) || !take_member(s, row)) return false;
    }
    return next(s) == 0;
}

int bench_bases_read(const char *path, struct bench_bases *out) {
    struct cli_text text;
    *out = (struct bench_bases){NULL, 0};
    int status = cli_text_read(path, "base file", &text);
    if (!status && !cli_interrupted()) {
        struct scan s = {text.bytes, text.bytes, text.bytes + text.n, false};
        bool good = take_rows(&s, out) && out->n > 0;
        if (s.no_memory)
            status = cli_fail(CLI_MEMORY, "not enough memory for the results in %s", path);
        else if (!good)
            status = cli_fail(CLI_USAGE, "--compare: %s is not what bench -o json writes (byte %zu)", path,
                              (size_t)(s.at - s.begin));
    }
    cli_text_free(&text);
    return status;
}

void bench_bases_free(struct bench_bases *b) {
    phi_free(b->row);
    *b = (struct bench_bases){NULL, 0};
}

const struct bench_base *bench_bases_find(const struct bench_bases *b, const struct bench_test *t) {
    for (size_t i = 0; i < b->n; i++) {
        const struct bench_base *r = &b->row[i];
        if (r->n && r->n_prompt == t->n_prompt && r->n_gen == t->n_gen && r->n_depth == t->n_depth &&
            r->n_threads == t->n_threads && strcmp(r->type_k, cli_kv_name(t->type_k)) == 0 &&
            strcmp(r->type_v, cli_kv_name(t->type_v)) == 0 && strcmp(r->cpu_mask, t->cpu_mask) == 0)
            return r;
    }
    return NULL;
}

/* The 97.5 % point of Student's t: from a table for few degrees of freedom, else by its expansion around the normal
 * distribution's 1.96 (Abramowitz and Stegun 26.7.5), good to 3 digits there. */
static double student(double freedom) {
    static const double few[] = {12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228};
    const double z = 1.959964;
    if (freedom < 1) freedom = 1;
    if (freedom < 11) return few[(int)freedom - 1]; /* rounded down: a little too wide */
    double g1 = (pow(z, 3) + z) / 4, g2 = (5 * pow(z, 5) + 16 * pow(z, 3) + 3 * z) / 96;
    return z + g1 / freedom + g2 / (freedom * freedom);
}

struct bench_difference bench_compare(const struct bench_base *base, double mean, double deviation, int n) {
    struct bench_difference d = {0, 1, 0};
    if (!(base->mean > 0)) return d;
    d.percent = 100 * (mean - base->mean) / base->mean;
    if (n < 2 || base->n < 2) return d;
    double a = deviation * deviation / n, b = base->deviation * base->deviation / base->n;
    double freedom = a + b > 0 ? (a + b) * (a + b) / (a * a / (n - 1) + b * b / (base->n - 1)) : 1;
    double half = 100 * student(freedom) * sqrt(a + b) / base->mean;
    d.low = d.percent - half;
    d.high = d.percent + half;
    return d;
}
