/* synth: write a full-size GGUF of the Phi-3 family with random weights, to measure speed and memory without a
 * download. The command line and the file; what is written comes from src/synthetic.c, which `phi bench --synthetic`
 * uses too. */
#include "../src/memory.h"
#include "../src/synthetic.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { NO_VALUE = -2 };

struct request {
    struct phi_synthetic plan;
    const char *path, *vocab;
    int dry_run;
};

/* One line on stderr; 1, for the caller to return. */
static int complain(const char *fmt, ...) PHI_PRINTF(1, 2);
static int complain(const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    fputs("synth: error: ", stderr);
    vfprintf(stderr, fmt, args);
    fputc('\n', stderr);
    va_end(args);
    return 1;
}

/* A file that could not be finished is removed; a device is left alone. */
static void discard(const char *path) {
    struct stat st;
    if (stat(path, &st) == 0 && S_ISREG(st.st_mode)) remove(path);
}

struct output {
    FILE *file;
    const char *path;
};

static int write_bytes(void *user, const void *bytes, size_t n, phi_error *err) {
    struct output *o = user;
    if (fwrite(bytes, 1, n, o->file) == n) return PHI_OK;
    return phi_fail(err, PHI_OUTPUT, "write to %s failed: %s", o->path, strerror(errno));
}

static int write_file(const struct request *r) {
    phi_error err = {""};
    struct output o = {.file = fopen(r->path, "wb"), .path = r->path};
    if (!o.file) return complain("cannot create %s: %s", r->path, strerror(errno));
    setvbuf(o.file, NULL, _IONBF, 0);
    int failed = phi_synthetic_write(&r->plan, write_bytes, &o, &err) ? complain("%s", err.text) : 0;
    if (fclose(o.file) && !failed) failed = complain("write to %s failed: %s", r->path, strerror(errno));
    if (failed) discard(r->path);
    return failed;
}

/* ---- The command line
 * ------------------------------------------------------------------------------------------------- */

static void usage(FILE *f) {
    fputs("usage: synth SHAPE MIX OUT.gguf [options]\n"
          "Write a Phi-3 model of random weights.\n\n"
          "  --vocab FILE.gguf      copy the vocabulary of this file; without it one is made up\n"
          "  --type PATTERN=TYPE    a type for the tensors with PATTERN in their name; may be repeated, the last one "
          "counts\n"
          "  --seed N               another seed, other weights [1]\n"
          "  --layers --embd --ff --heads --kv-heads --vocab-size --ctx N    another shape\n"
          "  --rot N                rotated dimensions of a head\n"
          "  --orig-ctx --window --theta N    keys that a file may lack; 0 (--window: -1) leaves one out\n"
          "  --split                attn_q, attn_k, attn_v, ffn_gate, ffn_up instead of the fused tensors\n"
          "  --tied                 no output.weight: the embedding is the output\n"
          "  --longrope             rotary factors for a long context\n"
          "  --dry-run              say how large it would be, write nothing\n\nshapes:",
          f);
    for (size_t i = 0; phi_synthetic_shape_name(i); i++) fprintf(f, " %s", phi_synthetic_shape_name(i));
    fputs("\nmixes:", f);
    for (size_t i = 0; phi_synthetic_mix_name(i); i++) fprintf(f, " %s", phi_synthetic_mix_name(i));
    fputc('\n', f);
}

static int parse_long(const char *name, const char *text, long min, long max, long *v) {
    char *end;
    if (!text) return complain("%s needs a number", name);
    errno = 0;
    *v = strtol(text, &end, 10);
    if (*text && !*end && !errno && *v >= min && *v <= max) return 0;
    return complain("%s: '%s' is not a number from %ld to %ld", name, text, min, max);
}

static int parse_type(struct phi_synthetic *p, const char *text) {
    const char *equal = strchr(text, '=');
    if (!equal || equal == text) return complain("--type: '%s' is not PATTERN=TYPE", text);
    if (p->n_override == PHI_SYNTHETIC_OVERRIDES)
        return complain("--type: more than %d of them", PHI_SYNTHETIC_OVERRIDES);
    int i = p->n_override++;
    p->override[i].pattern = text;
    p->override[i].n = (size_t)(equal - text);
    p->override[i].type = phi_synthetic_type(equal + 1);
    return p->override[i].type ? 0 : complain("--type: this build does not know the type '%s'", equal + 1);
}

/* The word at argv[*at] and its value, if it has one; *at moves behind them. argv ends with NULL. */
static int parse_option(struct request *r, char **argv, int *at, int *vocab_size) {
    struct phi_synthetic_shape *s = &r->plan.shape;
    const struct {
        const char *name;
        int *field, min; /* NO_VALUE: a flag */
    } option[] = {{"--split", &s->split, NO_VALUE},
                  {"--tied", &s->tied, NO_VALUE},
                  {"--longrope", &s->longrope, NO_VALUE},
                  {"--dry-run", &r->dry_run, NO_VALUE},
                  {"--layers", &s->layers, 1},
                  {"--embd", &s->embd, 1},
                  {"--ff", &s->ff, 1},
                  {"--heads", &s->heads, 1},
                  {"--kv-heads", &s->kv_heads, 1},
                  {"--ctx", &s->ctx, 1},
                  {"--rot", &s->rot, 0},
                  {"--orig-ctx", &s->orig_ctx, 0},
                  {"--window", &s->window, -1},
                  {"--theta", &s->theta, 0},
                  {"--vocab-size", vocab_size, PHI_SYNTHETIC_MIN_VOCAB}};
    const char *name = argv[(*at)++], *value = argv[*at];
    long v = 0;
    for (size_t i = 0; i < sizeof option / sizeof *option; i++) {
        if (strcmp(name, option[i].name)) continue;
        *option[i].field = 1;
        if (option[i].min == NO_VALUE) return 0;
        if (parse_long(name, value, option[i].min, 1 << 24, &v)) return 1;
        *option[i].field = (int)v;
        ++*at;
        return 0;
    }
    int is_vocab = strcmp(name, "--vocab") == 0, is_type = strcmp(name, "--type") == 0,
        is_seed = strcmp(name, "--seed") == 0;
    if (!is_vocab && !is_type && !is_seed) return complain("unknown option '%s'", name);
    if (!value) return complain("%s needs a value", name);
    if (is_vocab) r->vocab = value;
    if (is_type && parse_type(&r->plan, value)) return 1;
    if (is_seed && parse_long(name, value, 0, LONG_MAX, &v)) return 1;
    if (is_seed) r->plan.seed = (uint64_t)v;
    ++*at;
    return 0;
}

static int parse(struct request *r, int argc, char **argv, int *vocab_size) {
    if (!phi_synthetic_find_shape(&r->plan, argv[1]))
        return complain("unknown shape '%s'; synth --help lists them", argv[1]);
    if (!phi_synthetic_find_mix(&r->plan, argv[2]))
        return complain("unknown mix '%s'; synth --help lists them", argv[2]);
    r->path = argv[3];
    for (int i = 4; i < argc;)
        if (parse_option(r, argv, &i, vocab_size)) return 1;
    return 0;
}

/* The size of the vocabulary: the other file's, the option's, or the shape's. */
static int settle_vocab(struct request *r, struct phi_gguf *g, int vocab_size) {
    if (vocab_size) r->plan.shape.vocab = vocab_size;
    if (!r->vocab) return 0;
    if (vocab_size) return complain("--vocab and --vocab-size exclude each other");
    phi_error err = {{0}};
    if (phi_gguf_open(r->vocab, g, &err)) return complain("%s", err.text);
    const struct phi_gguf_kv *tokens = phi_gguf_find(g, "tokenizer.ggml.tokens");
    if (!tokens || tokens->type != PHI_GGUF_ARRAY || tokens->n == 0 || tokens->n > 1 << 24)
        return complain("%s has no tokenizer.ggml.tokens", r->vocab);
    r->plan.shape.vocab = (int)tokens->n;
    r->plan.vocab = g;
    return 0;
}

int main(int argc, char **argv) {
    struct request r = {.plan = {.seed = 1}};
    struct phi_gguf vocab = {0};
    phi_error err = {""};
    int vocab_size = 0, failed = 1;
    if (argc >= 2 && (strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "--help") == 0)) {
        usage(stdout);
        return 0;
    }
    if (argc < 4) {
        usage(stderr);
        return 2;
    }
    if (parse(&r, argc, argv, &vocab_size)) return 2;
    if (settle_vocab(&r, &vocab, vocab_size)) goto out;
    if (phi_synthetic_plan(&r.plan, &err)) {
        complain("%s", err.text);
        goto out;
    }
    failed = r.dry_run ? 0 : write_file(&r);
    if (!failed)
        printf("%s: %s %s, %zu tensors, %llu bytes of tensors\n", r.path, r.plan.shape.name, argv[2], r.plan.n_tensor,
               (unsigned long long)r.plan.tensor_bytes);
out:
    phi_synthetic_free(&r.plan);
    phi_gguf_close(&vocab);
    return failed;
}
