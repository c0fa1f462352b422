/* Files that were made to do harm go through the whole way from phi_model_open() to a token: a list of defects, three
 * and more of each kind, a cut at every byte of a header, and mutants of tiny models. Each is refused with PHI_MODEL
 * and one line, or opens and then evaluates four tokens; nothing crashes, hangs, leaks or takes much memory. What the
 * lines say is tested where they are made: check_gguf.c, check_model.c, check_tokenizer.c. Meant for a build with
 * -fsanitize=address,undefined too. PHI_SEED and PHI_MUTANTS choose other mutants and more of them. */
#include "../include/phi.h"
#include "../src/memory.h"
#include "gguf_writer.h"

#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>

static char dir[512], path[600];
static long n_refused, n_failed, n_ran;

static double cpu_seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static bool one_line(const phi_error *err) {
    size_t n = strlen(err->text);
    return n > 10 && n < sizeof err->text - 1 && !strpbrk(err->text, "\n\r\x1b");
}

/* A session of 16 tokens on it, a text of three and one more, greedily. */
static int use_session(const phi_model *m, const struct phi_model_info *info, phi_error *err) {
    struct phi_session_options o = phi_session_options_default();
    struct phi_sampler_options greedy = phi_sampler_options_default();
    phi_session *s = NULL;
    phi_sampler *sampler = NULL;
    int32_t ids[8];
    o.n_ctx = info->n_ctx_train < 16 ? info->n_ctx_train : 16;
    o.n_threads = 1;
    o.n_ubatch = 2;
    greedy.temperature = 0;
    int64_t n = phi_tokenize(m, "ab c<|end|>\xff", 12, PHI_ADD_BOS | PHI_PARSE_SPECIAL, ids, 8);
    CHECK(n >= 0, "tokenize: %d", (int)n);
    for (int64_t i = 0; i < n && i < 8; i++)
        CHECK(ids[i] >= 0 && ids[i] < info->n_vocab, "id %d of %d", ids[i], info->n_vocab);
    int e = phi_session_open(m, &o, &s, err);
    if (!e) e = phi_sampler_open(m, &greedy, &sampler, err);
    if (!e) e = phi_generate(s, sampler, ids, n < 3 ? (size_t)n : 3, 2, NULL, NULL, NULL, NULL, err);
    phi_sampler_close(sampler);
    phi_session_close(s);
    return e;
}

/* Everything that can be asked of an open model. 0, or a status with one line in *err. */
static int use(const phi_model *m, phi_error *err) {
    struct phi_model_info info;
    phi_error unsound = {""};
    phi_model_get_info(m, &info);
    for (int32_t id = -1; id <= info.n_vocab; id++) {
        size_t n = 0;
        const char *bytes = phi_token_bytes(m, id, true, &n);
        CHECK(bytes && n <= 65536, "token %d has %zu bytes", id, n);
        phi_token_is_stop(m, id);
    }
    CHECK(phi_token_bos(m) < info.n_vocab, "BOS is %d", phi_token_bos(m));
    int e = phi_model_verify(m, &unsound);
    CHECK(e == 0 || (e == PHI_MODEL && one_line(&unsound)), "verify: status %d, \"%s\"", e, unsound.text);
    if (info.tensor_bytes == 0) return 0;
    return use_session(m, &info, err);
}

/* Opens path and uses it. True: it was refused when it was opened. */
static bool try_file(const char *what) {
    phi_error err = {""};
    phi_model *m = NULL;
    double begin = cpu_seconds();
    int e = phi_model_open(path, &m, &err);
    double seconds = cpu_seconds() - begin;
    bool refused = e != 0;
    CHECK(seconds < 1, "%s: %.2f s until \"%s\"", what, seconds, err.text);
    CHECK(e == 0 || (e == PHI_MODEL && !m && one_line(&err)), "%s: open: status %d, \"%s\"", what, e, err.text);
    if (!e) e = use(m, &err);
    CHECK(refused || e == 0 || ((e == PHI_FAILED || e == PHI_MEMORY || e == PHI_USAGE) && one_line(&err)),
          "%s: use: status %d, \"%s\"", what, e, err.text);
    phi_model_close(m);
    CHECK(phi_memory_live() == 0, "%s: %llu allocations are left", what, phi_memory_live());
    n_refused += refused;
    n_failed += !refused && e;
    n_ran += !e;
    return refused;
}

static void refuse(const char *what) {
    CHECK(try_file(what), "accepted: %s", what);
}

/* ---- The list ---- */

static struct gguf_writer tiny(void) {
    struct tiny_phi3 m = tiny_phi3_default();
    return tiny_phi3_build(&m);
}

static void check_not_a_model(void) {
    static const struct {
        const char *what, *bytes;
        size_t n;
    } files[] = {
        {"empty", "", 0},
        {"one byte", "G", 1},
        {"three bytes", "GGU", 3},
        {"the magic only", "GGUF", 4},
        {"magic and version", "GGUF\3\0\0\0", 8},
        {"an HTML page", "<!DOCTYPE html><html><head><title>404</title>", 45},
        {"a Git LFS pointer", "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n", 62},
        {"a zip archive", "PK\3\4\24\0\0\0\0\0archive/data.pkl", 26},
        {"a safetensors file", "\20\0\0\0\0\0\0\0{\"__metadata__\":{}}", 27},
        {"gzip", "\x1f\x8b\x08\0\0\0\0\0", 8},
        {"GGML", "lmgg\1\0\0\0", 8},
        {"another magic", "GGUX\3\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 24},
        {"zeros", "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 32},
        {"escape sequences", "\x1b]0;owned\7\x1b[2J\n\r", 17},
        {"no keys", "GGUF\3\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 24},
    };
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        gguf_write_file(path, files[i].bytes, files[i].n);
        refuse(files[i].what);
    }
}

static void check_file_objects(void) {
    unlink(path);
    refuse("nothing there");
    if (mkdir(path, 0777) == 0) refuse("a directory");
    rmdir(path);
    if (mkfifo(path, 0666) == 0) refuse("a FIFO");
    unlink(path);
    if (symlink("nowhere", path) == 0) refuse("a dangling link");
    unlink(path);
    if (symlink("model.gguf", path) == 0) refuse("a link to itself");
    unlink(path);
    if (symlink("/dev/null", path) == 0) refuse("a link to a device");
    unlink(path);
}

/* value over n_bytes at a place of the tiny model; name NULL: from the beginning of the file. */
static const struct site {
    const char *what, *name;
    enum gguf_place place;
    size_t plus;
    uint64_t value;
    size_t n_bytes;
} sites[] = {
    {"version 0", NULL, 0, 4, 0, 4},
    {"version 1", NULL, 0, 4, 1, 4},
    {"version 4", NULL, 0, 4, 4, 4},
    {"big-endian", NULL, 0, 4, 0x03000000, 4},
    {"2^64 - 1 tensors", NULL, 0, 8, UINT64_MAX, 8},
    {"no tensors but keys of one", NULL, 0, 8, 1, 8},
    {"2^32 tensors", NULL, 0, 8, 1ull << 32, 8},
    {"2^63 keys", NULL, 0, 16, 1ull << 63, 8},
    {"one key", NULL, 0, 16, 1, 8},
    {"no keys", NULL, 0, 16, 0, 8},
    {"key of 2^63 bytes", "general.name", GGUF_AT_NAME, 0, 1ull << 63, 8},
    {"empty key", "general.name", GGUF_AT_NAME, 0, 0, 8},
    {"key that is not UTF-8", "general.name", GGUF_AT_NAME, 10, 0xfe, 1},
    {"key twice", "general.name", GGUF_AT_NAME, 0, 20, 8},
    {"unknown value type", "general.name", GGUF_AT_TYPE, 0, 13, 4},
    {"string of 2^64 - 1 bytes", "general.name", GGUF_AT_VALUE, 0, UINT64_MAX, 8},
    {"nested array", "tokenizer.ggml.tokens", GGUF_AT_VALUE, 0, 9, 4},
    {"array of an unknown type", "tokenizer.ggml.tokens", GGUF_AT_VALUE, 0, 77, 4},
    {"array of 2^61 strings", "tokenizer.ggml.tokens", GGUF_AT_VALUE, 4, 1ull << 61, 8},
    {"array of 2^62 floats", "tokenizer.ggml.scores", GGUF_AT_VALUE, 4, 1ull << 62, 8},
    {"alignment 0", "general.alignment", GGUF_AT_VALUE, 0, 0, 4},
    {"alignment 13", "general.alignment", GGUF_AT_VALUE, 0, 13, 4},
    {"alignment 2^31", "general.alignment", GGUF_AT_VALUE, 0, 1u << 31, 4},
    {"alignment as a float", "general.alignment", GGUF_AT_TYPE, 0, 6, 4},
    {"tensor name of 64 bytes", "output_norm.weight", GGUF_AT_NAME, 0, 64, 8},
    {"tensor name of 2^63 bytes", "output_norm.weight", GGUF_AT_NAME, 0, 1ull << 63, 8},
    {"tensor name with NUL", "output_norm.weight", GGUF_AT_NAME, 10, 0, 1},
    {"tensor twice", "blk.1.attn_norm.weight", GGUF_AT_NAME, 12, '0', 1},
    {"no dimensions", "output.weight", GGUF_AT_VALUE, 0, 0, 4},
    {"5 dimensions", "output.weight", GGUF_AT_VALUE, 0, 5, 4},
    {"2^31 dimensions", "output.weight", GGUF_AT_VALUE, 0, 1u << 31, 4},
    {"dimension 0", "output.weight", GGUF_AT_VALUE, 4, 0, 8},
    {"dimension 2^32", "output.weight", GGUF_AT_VALUE, 4, 1ull << 32, 8},
    {"dimension 2^63", "output.weight", GGUF_AT_VALUE, 12, 1ull << 63, 8},
    {"unsupported type", "output.weight", GGUF_AT_TYPE, 0, 16, 4},
    {"type 999", "output.weight", GGUF_AT_TYPE, 0, 999, 4},
    {"rows that are no blocks", "blk.0.ffn_down.weight", GGUF_AT_TYPE, 0, 12, 4},
    {"offset outside", "output.weight", GGUF_AT_TYPE, 4, 1ull << 40, 8},
    {"offset that wraps", "output.weight", GGUF_AT_TYPE, 4, UINT64_MAX - 31, 8},
    {"offset off the alignment", "output.weight", GGUF_AT_TYPE, 4, 4, 8},
    {"overlap", "output.weight", GGUF_AT_TYPE, 4, 0, 8},
    {"a matrix as a vector", "blk.0.attn_qkv.weight", GGUF_AT_VALUE, 0, 1, 4},
    {"a norm of another type", "blk.0.attn_norm.weight", GGUF_AT_TYPE, 0, 1, 4},
    {"a tensor with another name", "blk.0.attn_norm.weight", GGUF_AT_NAME, 8, 'x', 1},
    {"no layers", "phi3.block_count", GGUF_AT_VALUE, 0, 0, 4},
    {"2^32 - 1 layers", "phi3.block_count", GGUF_AT_VALUE, 0, UINT32_MAX, 4},
    {"513 layers", "phi3.block_count", GGUF_AT_VALUE, 0, 513, 4},
    {"no heads", "phi3.attention.head_count", GGUF_AT_VALUE, 0, 0, 4},
    {"2^31 heads", "phi3.attention.head_count", GGUF_AT_VALUE, 0, 1u << 31, 4},
    {"no KV heads", "phi3.attention.head_count_kv", GGUF_AT_VALUE, 0, 0, 4},
    {"width 0", "phi3.embedding_length", GGUF_AT_VALUE, 0, 0, 4},
    {"width 2^32 - 1", "phi3.embedding_length", GGUF_AT_VALUE, 0, UINT32_MAX, 4},
    {"hidden width 0", "phi3.feed_forward_length", GGUF_AT_VALUE, 0, 0, 4},
    {"context 0", "phi3.context_length", GGUF_AT_VALUE, 0, 0, 4},
    {"context 2^32 - 1", "phi3.context_length", GGUF_AT_VALUE, 0, UINT32_MAX, 4},
    {"rotation of 0", "phi3.rope.dimension_count", GGUF_AT_VALUE, 0, 0, 4},
    {"rotation of 7", "phi3.rope.dimension_count", GGUF_AT_VALUE, 0, 7, 4},
    {"base NaN", "phi3.rope.freq_base", GGUF_AT_VALUE, 0, 0x7fc00000, 4},
    {"base 0", "phi3.rope.freq_base", GGUF_AT_VALUE, 0, 0, 4},
    {"epsilon infinite", "phi3.attention.layer_norm_rms_epsilon", GGUF_AT_VALUE, 0, 0x7f800000, 4},
    {"epsilon negative", "phi3.attention.layer_norm_rms_epsilon", GGUF_AT_VALUE, 0, 0xb727c5ac, 4},
    {"too few scores", "tokenizer.ggml.tokens", GGUF_AT_VALUE, 4, 299, 8},
    {"scores as integers", "tokenizer.ggml.scores", GGUF_AT_VALUE, 0, 5, 4},
    {"types as floats", "tokenizer.ggml.token_type", GGUF_AT_VALUE, 0, 6, 4},
    {"token type 99", "tokenizer.ggml.token_type", GGUF_AT_VALUE, 12, 99, 4},
    {"score NaN", "tokenizer.ggml.scores", GGUF_AT_VALUE, 12, 0x7fc00000, 4},
    {"score infinite", "tokenizer.ggml.scores", GGUF_AT_VALUE, 512, 0x7f800000, 4},
    {"BOS outside", "tokenizer.ggml.bos_token_id", GGUF_AT_VALUE, 0, 300, 4},
    {"EOS of 2^32 - 1", "tokenizer.ggml.eos_token_id", GGUF_AT_VALUE, 0, UINT32_MAX, 4},
    {"EOS as a float", "tokenizer.ggml.eos_token_id", GGUF_AT_TYPE, 0, 6, 4},
    {"byte token <0x-1>", "tokenizer.ggml.tokens", GGUF_AT_VALUE, 12 + 13 + 11 + 12 + 8 + 3, '-', 1},
    {"byte token <0x0G>", "tokenizer.ggml.tokens", GGUF_AT_VALUE, 12 + 13 + 11 + 12 + 8 + 4, 'G', 1},
    {"byte token cut", "tokenizer.ggml.tokens", GGUF_AT_VALUE, 12 + 13 + 11 + 12 + 8 + 5, '.', 1},
    {"add_bos_token 2", "tokenizer.ggml.add_bos_token", GGUF_AT_VALUE, 0, 2, 1},
};

static void check_sites(void) {
    struct tiny_phi3 m = tiny_phi3_default();
    m.alignment = 32;
    for (size_t i = 0; i < sizeof sites / sizeof sites[0]; i++) {
        const struct site *s = &sites[i];
        struct gguf_writer w = tiny_phi3_build(&m);
        gguf_put(&w, (s->name ? gguf_where(&w, s->name, s->place) : 0) + s->plus, s->value, s->n_bytes);
        gguf_save(&w, path);
        gguf_free(&w);
        refuse(s->what);
    }
}

/* What is strange and yet allowed, and weights that are no numbers: these open. */
static void check_allowed(void) {
    static const struct {
        const char *key, *text;
    } strings[] = {
        {"tokenizer.chat_template", "{% macro a() %}{{ a() }}{% endmacro %}{{ a() }}"},
        {"tokenizer.chat_template", "\x1b[2J\xff{{"},
        {"general.description", "\x1b]0;owned\7\n\n"},
        {"general.url", ""},
    };
    for (size_t i = 0; i < sizeof strings / sizeof strings[0]; i++) {
        struct gguf_writer w = tiny();
        gguf_str(&w, strings[i].key, strings[i].text);
        gguf_end(&w);
        gguf_append(&w.file, "behind the end", 14);
        gguf_save(&w, path);
        gguf_free(&w);
        CHECK(!try_file(strings[i].key), "refused: %s", strings[i].text);
    }
    static char parentheses[20001];
    memset(parentheses, '(', sizeof parentheses - 1);
    struct gguf_writer w = tiny();
    gguf_str(&w, "tokenizer.chat_template", parentheses);
    gguf_end(&w);
    gguf_save(&w, path);
    gguf_free(&w);
    CHECK(!try_file("20,000 parentheses"), "refused: 20,000 parentheses");
    for (size_t i = 0; i < 3; i++) {
        static const char *const names[] = {"blk.0.attn_norm.weight", "blk.1.ffn_down.weight", "output.weight"};
        long failed = n_failed;
        w = tiny();
        size_t data = w.file.n - w.data.n;
        gguf_put(&w, data + phi_little_endian(w.file.p + gguf_where(&w, names[i], GGUF_AT_TYPE) + 4, 8), 0x7f800000,
                 4);
        gguf_save(&w, path);
        gguf_free(&w);
        CHECK(!try_file(names[i]) && n_failed == failed + 1, "an infinite weight in %s", names[i]);
    }
}

/* The file ends at every byte of the header, then here and there in the data. */
static void check_cuts(void) {
    struct gguf_writer w = tiny();
    size_t header = w.file.n - w.data.n;
    gguf_save(&w, path);
    for (size_t n = w.file.n - 1; n > 0; n -= n > header + 5000 ? 4999 : 1) {
        char what[64];
        snprintf(what, sizeof what, "cut at %zu", n);
        if (truncate(path, (off_t)n) == 0) refuse(what);
    }
    gguf_free(&w);
}

/* ---- Mutants ---- */

static unsigned long long state;

static size_t below(size_t n) {
    return (size_t)(check_random(&state) >> 11) % n;
}

/* One to four sites, most of them in the header: a byte, a bit, or a number that such files like to have. */
static void mutate(struct gguf_writer *w, size_t header) {
    static const uint64_t numbers[] = {0,          1,           2,          3,          4,          8,
                                       12,         30,          255,        256,        65535,      65536,
                                       0x7fffffff, 0x80000000u, UINT32_MAX, 1ull << 32, 1ull << 61, INT64_MAX,
                                       1ull << 63, UINT64_MAX,  0x7fc00000, 0x7f800000};
    for (size_t i = 1 + below(4); i > 0; i--) {
        size_t mark = below(w->n_mark), at;
        switch (below(4)) { /* where */
        case 0:
            at = below(header);
            break;
        case 1:
            at = header + below(w->file.n - header);
            break;
        default: /* at a key or tensor of the table: its name, type or value */
            at = gguf_where(w, w->mark[mark].name, (enum gguf_place)below(3)) + (below(3) ? 0 : 4 * below(6));
        }
        uint64_t old = at < w->file.n ? w->file.p[at] : 0;
        switch (below(4)) { /* what */
        case 0:
            gguf_put(w, at, check_random(&state), 1);
            break;
        case 1:
            gguf_put(w, at, old ^ 1u << below(8), 1);
            break;
        default:
            gguf_put(w, at, numbers[below(sizeof numbers / sizeof numbers[0])], below(2) ? 4 : 8);
        }
    }
}

static void check_mutants(const char *name, const struct tiny_phi3 *m, long n) {
    for (long i = 0; i < n; i++) {
        struct gguf_writer w = tiny_phi3_build(m);
        char what[128];
        snprintf(what, sizeof what, "%s: mutant %ld", name, i);
        mutate(&w, w.file.n - w.data.n);
        gguf_save(&w, path);
        gguf_free(&w);
        try_file(what);
    }
}

int main(int argc, char **argv) {
    const char *wanted = getenv("PHI_MUTANTS");
    long n = wanted ? strtol(wanted, NULL, 10) : 2000;
    gguf_make_dir(argc, argv, dir);
    snprintf(path, sizeof path, "%s/model.gguf", dir);
    state = check_seed();
    check_file_objects();
    check_not_a_model();
    check_sites();
    check_cuts();
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
#if !defined(__SANITIZE_ADDRESS__) && defined(__linux__) /* KiB there */
    CHECK(usage.ru_maxrss < 64 << 10, "%ld KiB of memory for files that were refused", (long)usage.ru_maxrss);
#endif
    check_allowed();
    n_refused = n_failed = n_ran = 0;
    struct tiny_phi3 plain = tiny_phi3_default(), longrope = plain, blocks = plain;
    longrope.factors = longrope.split = longrope.tied = true;
    longrope.n_ctx_orig = 2; /* the long list is reached */
    longrope.window = 3;
    longrope.alignment = 1;
    blocks.n_embd = blocks.n_ff = 256;
    blocks.n_layer = 1;
    static const uint32_t types[] = {12, 14, 2, 8, 10, 11, 23};
    static const char *const in_name[] = {"qkv", "output", "up", "down", "token", "x", ""};
    for (size_t i = 0; i < 7; i++) blocks.type[i] = (struct tiny_phi3_type){in_name[i], types[i]};
    check_mutants("plain", &plain, n * 2 / 5);
    check_mutants("longrope", &longrope, n * 2 / 5);
    check_mutants("blocks", &blocks, n / 5);
    CHECK(n_refused > n / 4 && n_ran > n / 50, "of the mutants %ld were refused, %ld failed later, %ld ran",
          n_refused, n_failed, n_ran);
    if (wanted) printf("mutants: %ld refused, %ld failed later, %ld ran\n", n_refused, n_failed, n_ran);
    gguf_remove_dir(dir);
    return check_done("check_hostile");
}
