/* phi quantize below its command line: the encoders of every format (error, special values, the same bytes everywhere), the
 * choice of formats against llama.cpp's own answers, whole files with any number of threads, damage and short memory. */
#include "../src/encode.h"
#include "../src/memory.h"
#include "../src/quantize.h"
#include "gguf_writer.h"

#include <inttypes.h>

/* ---- Encoders ---- */

enum { N_COL = 512, N_ROW = 8, N = N_COL * N_ROW };

/* Relative mean square error on normal weights, measured, and a tenth of room; llama.cpp's encoders are above all of these
 * but Q8_0's. hash: FNV-1a of the bytes, for plain and for weighted columns: another one means that files of other versions
 * and machines differ. */
static const struct bound {
    enum phi_type_index type;
    double most;
    uint64_t hash[2];
} bounds[] = {
#include "golden/quantize.inc"
};

/* Sum of twelve: near enough to normal, with exact arithmetic on every machine. */
static void make_normal(float *x, size_t n, float spread) {
    unsigned long long state = 7;
    for (size_t i = 0; i < n; i++) {
        int64_t sum = 0;
        for (int k = 0; k < 12; k++) sum += (int64_t)(check_random(&state) >> 44) - (1 << 19);
        x[i] = (float)sum * 0x1p-20f * spread;
    }
}

static uint64_t hash_of(const uint8_t *w, size_t n) {
    uint64_t h = 0xcbf29ce484222325u;
    for (size_t i = 0; i < n; i++) h = (h ^ w[i]) * 0x100000001b3u;
    return h;
}

static size_t row_bytes(const struct phi_type *t, size_t n) {
    return n / (size_t)t->block * (size_t)t->bytes;
}

static double error_of(const float *x, const float *y, const float *weight, size_t n) {
    double error = 0, power = 0;
    for (size_t i = 0; i < n; i++) {
        double d = (double)x[i] - y[i];
        error += d * d * weight[i % N_COL];
        power += (double)x[i] * x[i] * weight[i % N_COL];
    }
    return error / power;
}

static void check_encoder(const struct bound *b) {
    const struct phi_type *t = &phi_types[b->type];
    static float x[N], y[N], weight[2][N_COL];
    static uint8_t w[N * 4];
    unsigned long long state = 3;
    make_normal(x, N, 0.02f);
    for (int i = 0; i < N_COL; i++) {
        weight[0][i] = 1; /* by which errors without importance are measured */
        weight[1][i] = 0.25f + (float)(check_random(&state) >> 60); /* 0.25 to 15.25 */
    }
    double plain = 0;
    for (int k = 0; k < 2; k++) {
        size_t n = row_bytes(t, N_COL);
        for (int r = 0; r < N_ROW; r++) phi_type_encode_row(t, x + r * N_COL, k ? weight[1] : NULL, w + (size_t)r * n, N_COL);
        phi_type_decode_row(t, w, y, N);
        double error = error_of(x, y, weight[k], N);
        CHECK(error <= b->most, "%s, weights %d: relative error %g, the most is %g", t->name, k, error, b->most);
        CHECK(hash_of(w, n * N_ROW) == b->hash[k], "%s, weights %d: hash 0x%016" PRIx64 ", expected 0x%016" PRIx64, t->name, k,
              hash_of(w, n * N_ROW), b->hash[k]);
        if (k == 0) plain = error_of(x, y, weight[1], N);
        /* What importance is for: with it the error is smaller than without, where the format has a choice. */
        if (k == 1 && t->block > 1 && b->type != PHI_Q8_0) CHECK(error < plain, "%s: %g with, %g without", t->name, error, plain);
    }
}

/* Stretches that a search could stumble on. */
static void check_special(const struct phi_type *t) {
    static const float constants[] = {0, -0.0f, 1, -1, 1e-3f, -65504, 65504, 1e-7f, -3e-8f, 1e-30f, 1e-45f, -1e-40f};
    float x[256], y[256], weight[256];
    uint8_t w[1024];
    for (size_t c = 0; c < sizeof constants / sizeof *constants; c++)
        for (int shape = 0; shape < 4; shape++) {
            double power = 0, error = 0;
            for (int i = 0; i < 256; i++) {
                bool on = shape == 0 || (shape == 1 && i % 32 == 5) || (shape == 2 && i % 2) || (shape == 3 && i >= 128);
                x[i] = on ? constants[c] : 0.0f;
                weight[i] = shape == 2 ? (float)(i % 3) * 1e-6f : 1;
            }
            phi_type_encode_row(t, x, weight, w, 256);
            phi_type_decode_row(t, w, y, 256);
            for (int i = 0; i < 256; i++) {
                double d = (double)x[i] - y[i];
                CHECK(isfinite(y[i]), "%s: constant %g, shape %d: weight %d is %g", t->name, (double)constants[c], shape, i,
                      (double)y[i]);
                error += d * d * weight[i];
                power += (double)x[i] * x[i] * weight[i];
            }
            double most = fabsf(constants[c]) < 1e-4f ? 1.0 : t->block == 1 ? 1e-4 : 0.02;
            /* The f16 next to 0 is 6e-8: what a minimum is rounded by. */
            CHECK(error <= most * power + 256 * 0x1p-48, "%s: constant %g, shape %d: error %g of %g", t->name, (double)constants[c], shape, error,
                  power);
        }
}

/* ---- Choice of formats ---- */

struct golden_model {
    struct phi_mix_model m;
    uint64_t embd, ff;
};

static void check_line(const struct golden_model *g, char *line) {
    char *mix = strtok(line, " "), *mark = strtok(NULL, " "), *part = strtok(NULL, " "), *run;
    int layer = 0;
    bool per_layer = strstr(part, "attn") || strstr(part, "ffn");
    while ((run = strtok(NULL, " \n"))) {
        char *star = strchr(run, '*'), name[96];
        *star = 0;
        for (int end = layer + atoi(star + 1); layer < end; layer++) {
            size_t n = per_layer ? (size_t)snprintf(name, sizeof name, "blk.%d.%s.weight", layer, part)
                                 : (size_t)snprintf(name, sizeof name, "%s.weight", part);
            for (int weighted = 0; weighted < 2; weighted++) {
                if (*mark != '=' && *mark != "-+"[weighted]) continue;
                struct phi_mix_model m = g->m;
                m.weighted = weighted;
                const struct phi_type *t = phi_mix_choose(phi_mix_find(mix), &m, name, n);
                t = phi_mix_fit(t, strstr(part, "ffn_down") ? g->ff : g->embd);
                CHECK(strcmp(t->name, run) == 0, "%s %s of %d layers, weighted %d: %s, llama.cpp says %s", mix, name, m.n_layer,
                      weighted, t->name, run);
            }
        }
    }
    CHECK(layer == (per_layer ? g->m.n_layer : 1), "%s %s: %d layers", mix, part, layer);
}

static void check_golden_mixes(void) {
    char line[1024];
    struct golden_model g = {{0}, 0, 0};
    FILE *f = fopen("tests/golden/mixes.txt", "r");
    CHECK(f != NULL, "tests/golden/mixes.txt: run this from the top folder");
    long lines = 0;
    while (f && fgets(line, sizeof line, f)) {
        int tied, n = sscanf(line, "model %d %d %d %" SCNu64 " %" SCNu64, &g.m.n_layer, &g.m.n_share, &tied, &g.embd, &g.ff);
        if (n == 5) g.m.tied = tied;
        else if (*line != '#') check_line(&g, line);
        lines++;
    }
    CHECK(lines > 800, "%ld lines", lines);
    if (f) fclose(f);
}

static void check_names(void) {
    for (size_t i = 0; phi_mix_at(i); i++) CHECK(phi_mix_find(phi_mix_at(i)->name) == phi_mix_at(i), "%s", phi_mix_at(i)->name);
    CHECK(phi_mix_find("Q4_K") == phi_mix_find("q4_k_m") && phi_mix_find("Q5_K_M"), "short names");
    CHECK(!phi_mix_find("q4") && !phi_mix_find("") && !phi_mix_find("q4_k_"), "no such mixes");
    static const struct {
        const char *pattern, *name;
        bool fits;
    } cases[] = {{"ffn", "blk.0.ffn_up.weight", true}, {"*", "x", true}, {"blk.*.ffn_down", "blk.12.ffn_down.weight", true},
                 {"blk.1.", "blk.11.ffn", false}, {"a*b*a", "xaxxbxa", true}, {"a*b*a", "xaxxb", false}, {"", "x", true},
                 {"aab", "aaab", true}, {"abc", "ab", false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        CHECK(phi_mix_matches(cases[i].pattern, strlen(cases[i].pattern), cases[i].name, strlen(cases[i].name)) == cases[i].fits,
              "'%s' and '%s'", cases[i].pattern, cases[i].name);
}

/* ---- Whole files ---- */

static char path_in[512], path_out[512];

struct sink {
    struct gguf_bytes b;
    size_t fail_after; /* bytes; 0: never */
    int stop_at;       /* call of progress that stops; 0: none */
    int n_progress;
};

static int take(void *user, const void *bytes, size_t n, phi_error *err) {
    struct sink *s = user;
    if (s->fail_after && s->b.n + n > s->fail_after) return phi_fail(err, PHI_OUTPUT, "full");
    gguf_append(&s->b, bytes, n);
    return 0;
}

static int stop(void *user, const struct phi_encoding *c, uint64_t done) {
    struct sink *s = user;
    CHECK(done <= c->total, "%" PRIu64 " of %" PRIu64, done, c->total);
    return ++s->n_progress == s->stop_at;
}

static int quantize(const struct phi_quantize_options *o, int n_thread, struct sink *s, phi_error *err) {
    struct phi_gguf in;
    struct phi_quantize_plan plan;
    struct phi_encode_calls calls = {take, stop, s};
    int status = phi_gguf_open(path_in, &in, err);
    if (status) return status;
    status = phi_quantize_plan(&in, o, &plan, err);
    if (!status) status = phi_quantize_write(&plan, n_thread, &calls, err);
    if (!status) CHECK(s->b.n == plan.file_bytes, "%zu bytes, planned %" PRIu64, s->b.n, plan.file_bytes);
    phi_quantize_close(&plan);
    phi_gguf_close(&in);
    return status;
}

static struct tiny_phi3 model(uint32_t type) {
    struct tiny_phi3 m = tiny_phi3_default();
    m.n_embd = 256;
    m.n_ff = 512;
    m.type[0].in_name = "weight";
    m.type[0].id = type;
    return m;
}

static void save(const struct tiny_phi3 *m) {
    struct gguf_writer w = tiny_phi3_build(m);
    gguf_save(&w, path_in);
    gguf_free(&w);
}

/* The same bytes for every number of threads; a model that opens; keys as they were but for two. */
static void check_file(const struct phi_mix *mix) {
    struct phi_quantize_options o = {.mix = mix};
    struct sink one = {.stop_at = 0}, many = {.stop_at = 0};
    phi_error err = {""};
    struct phi_gguf in, out;
    uint64_t v = 0;
    CHECK(quantize(&o, 1, &one, &err) == 0, "%s: %s", mix->name, err.text);
    CHECK(quantize(&o, 5, &many, &err) == 0, "%s: %s", mix->name, err.text);
    CHECK(one.b.n == many.b.n && memcmp(one.b.p, many.b.p, one.b.n) == 0, "%s: 1 and 5 threads differ", mix->name);
    FILE *f = fopen(path_out, "wb");
    if (f && fwrite(one.b.p, 1, one.b.n, f) == one.b.n && fclose(f) == 0) {
        phi_model *m = NULL;
        CHECK(phi_model_open(path_out, &m, &err) == 0 && phi_model_verify(m, &err) == 0, "%s: %s", mix->name, err.text);
        phi_model_close(m);
        CHECK(phi_gguf_open(path_out, &out, &err) == 0 && phi_gguf_open(path_in, &in, &err) == 0, "%s", err.text);
        CHECK(out.n_kv == in.n_kv && out.n_tensor == in.n_tensor, "%s: %" PRIu64 " keys", mix->name, out.n_kv);
        CHECK(phi_gguf_get_u64(&out, "general.file_type", 0, 999, &v, &err) == 1 && v == mix->file_type, "%s", err.text);
        for (uint64_t i = 0; i < in.n_tensor; i++)
            if (in.tensor[i].n_dim == 1)
                CHECK(out.tensor[i].n_bytes == in.tensor[i].n_bytes &&
                          memcmp(out.tensor[i].data, in.tensor[i].data, (size_t)in.tensor[i].n_bytes) == 0,
                      "%s: vector %" PRIu64 " changed", mix->name, i);
        phi_gguf_close(&in);
        phi_gguf_close(&out);
    }
    free(one.b.p);
    free(many.b.p);
}

/* Where a tensor's data begins in the file at path_in. */
static size_t data_of(const char *name) {
    struct phi_gguf g;
    phi_error err = {""};
    size_t at = 0;
    if (phi_gguf_open(path_in, &g, &err) == 0) {
        const struct phi_gguf_tensor *t = phi_gguf_find_tensor(&g, name);
        if (t) at = (size_t)(t->data - g.file.data);
        phi_gguf_close(&g);
    }
    CHECK(at > 0, "%s: %s", name, err.text);
    return at;
}

static void check_refused(void) {
    struct phi_quantize_options o = {.mix = phi_mix_find("q4_k_m")};
    struct sink s = {.stop_at = 0};
    phi_error err = {""};
    static const struct {
        float value;
        const char *says;
    } bad[] = {{NAN, "NaN"}, {INFINITY, "infinite"}, {-INFINITY, "infinite"}, {1e6f, "beyond the range"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct tiny_phi3 m = model(0);
        struct gguf_writer w = tiny_phi3_build(&m);
        uint32_t bits = f32_bits(bad[i].value);
        gguf_save(&w, path_in);
        gguf_put(&w, data_of("blk.1.ffn_down.weight") + 4 * (512 * 3 + 7), bits, 4);
        gguf_save(&w, path_in);
        gguf_free(&w);
        CHECK(quantize(&o, 2, &s, &err) == PHI_MODEL && strstr(err.text, "blk.1.ffn_down.weight") &&
                  strstr(err.text, "row 3, column 7") && strstr(err.text, bad[i].says),
              "%g: %s", (double)bad[i].value, err.text);
        s.b.n = 0;
    }
    struct tiny_phi3 m = model(8);
    save(&m);
    CHECK(quantize(&o, 1, &s, &err) == PHI_USAGE && strstr(err.text, "Q8_0 already"), "%s", err.text);
    s.b.n = 0;
    o.requantize = true;
    CHECK(quantize(&o, 1, &s, &err) == 0, "%s", err.text);
    s.b.n = 0;
    o.rule[0] = (struct phi_quantize_rule){"no_such", 7, &phi_types[PHI_Q8_0]};
    o.n_rule = 1;
    CHECK(quantize(&o, 1, &s, &err) == PHI_USAGE && strstr(err.text, "no_such=Q8_0"), "%s", err.text);
    s.b.n = 0;
    o.n_rule = 0;
    s.stop_at = s.n_progress + 9;
    CHECK(quantize(&o, 1, &s, &err) == PHI_FAILED, "%s", err.text);
    s.b.n = 0;
    s.fail_after = 9999;
    CHECK(quantize(&o, 1, &s, &err) == PHI_OUTPUT && strcmp(err.text, "full") == 0, "%s", err.text);
    free(s.b.p);
}

static void check_rules(void) {
    struct tiny_phi3 m = model(1);
    phi_error err = {""};
    struct phi_gguf in;
    struct phi_quantize_plan plan;
    save(&m);
    CHECK(phi_gguf_open(path_in, &in, &err) == 0, "%s", err.text);
    struct phi_quantize_options o = {.mix = phi_mix_find("q4_k_s"), .output = &phi_types[PHI_Q5_0], .n_rule = 2};
    o.rule[0] = (struct phi_quantize_rule){"ffn_d*1.", 3, &phi_types[PHI_Q8_0]}; /* "ffn" */
    o.rule[1] = (struct phi_quantize_rule){"*", 1, &phi_types[PHI_Q3_K]};
    CHECK(phi_quantize_plan(&in, &o, &plan, &err) == 0, "%s", err.text);
    for (uint64_t i = 0; i < in.n_tensor && plan.type; i++) {
        const struct phi_gguf_tensor *t = &in.tensor[i];
        bool ffn = memmem(t->name.s, (size_t)t->name.n, "ffn", 3), output = t->name.n == 13;
        enum phi_type_index wanted = t->n_dim == 1 ? PHI_F32 : output ? PHI_Q5_0 : ffn ? PHI_Q8_0 : PHI_Q3_K;
        CHECK(plan.type[i]->index == wanted, "%.*s: %s", (int)t->name.n, t->name.s, plan.type[i]->name);
    }
    phi_quantize_close(&plan);
    o = (struct phi_quantize_options){.mix = phi_mix_find("q4_k_s"), .leave_output = true, .pure = true};
    CHECK(phi_quantize_plan(&in, &o, &plan, &err) == 0, "%s", err.text);
    for (uint64_t i = 0; i < in.n_tensor && plan.type; i++) {
        bool output = in.tensor[i].name.n == 13;
        if (in.tensor[i].n_dim == 2)
            CHECK(plan.type[i]->index == (output ? PHI_F16 : PHI_Q4_K), "%.*s: %s", (int)in.tensor[i].name.n, in.tensor[i].name.s,
                  plan.type[i]->name);
    }
    phi_quantize_close(&plan);
    phi_gguf_close(&in);
}

/* A stop for want of memory at each allocation in turn: a status, and nothing is lost. */
static void check_short_memory(void) {
    struct tiny_phi3 m = model(1);
    struct phi_quantize_options o = {.mix = phi_mix_find("q4_0")};
    save(&m);
    unsigned long long live = phi_memory_live();
    int status = PHI_MEMORY, n = 0;
    while (status && ++n < 200) {
        struct sink s = {.stop_at = 0};
        phi_error err = {""};
        phi_memory_fail_at((unsigned long long)n);
        status = quantize(&o, 2, &s, &err);
        phi_memory_fail_at(0);
        CHECK(status == 0 || status == PHI_MEMORY || status == PHI_FAILED, "allocation %d: %d, %s", n, status, err.text);
        CHECK(phi_memory_live() == live, "allocation %d: %llu blocks lost", n, phi_memory_live() - live);
        free(s.b.p);
    }
    CHECK(n > 8 && n < 200, "%d allocations", n);
}

int main(int argc, char **argv) {
    char folder[400];
    (void)argc;
    snprintf(folder, sizeof folder, "%.380s.XXXXXX", argv[0]);
    if (!mkdtemp(folder)) return 1;
    snprintf(path_in, sizeof path_in, "%s/in.gguf", folder);
    snprintf(path_out, sizeof path_out, "%s/out.gguf", folder);
    for (size_t i = 0; i < sizeof bounds / sizeof *bounds; i++) check_encoder(&bounds[i]);
    CHECK(sizeof bounds / sizeof *bounds == PHI_N_TYPE, "a format without a bound");
    for (int t = 0; t < PHI_N_TYPE; t++) check_special(&phi_types[t]);
    check_golden_mixes();
    check_names();
    struct tiny_phi3 m = model(1);
    save(&m);
    for (size_t i = 0; phi_mix_at(i); i++) check_file(phi_mix_at(i));
    check_refused();
    check_rules();
    check_short_memory();
    unlink(path_in);
    unlink(path_out);
    rmdir(folder);
    return check_done("check_quantize");
}
