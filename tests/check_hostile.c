/* Files that were made to do harm go through the whole way from phi_model_open() to a token: a cut at every byte of a
 * header, and mutants of tiny models, of the demo model and of a real vocabulary. Each is refused with PHI_MODEL and one
 * line, or opens and then evaluates four tokens; nothing crashes, hangs, leaks or takes much memory. Some of the mutants
 * are given to the program, too. Files with one known defect, and what the lines say about it: check_malformed.c. Meant
 * for a build with -fsanitize=address,undefined too. PHI_SEED and PHI_MUTANTS choose other mutants and more of them;
 * with PHI_MUTANTS every one goes through the program. */
#include "../include/phi.h"
#include "../src/memory.h"
#include "gguf_writer.h"
#include "program.h"

#include <sys/stat.h>
#include <time.h>

static char dir[512], path[600], program[4096];
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

/* ---- Cuts ---- */

/* The file ends at every byte of the header, then here and there in the data. */
static void check_cuts(void) {
    struct tiny_phi3 m = tiny_phi3_default();
    struct gguf_writer w = tiny_phi3_build(&m);
    size_t header = w.file.n - w.data.n;
    gguf_save(&w, path);
    for (size_t n = w.file.n - 1; n > 0; n -= n > header + 5000 ? 4999 : 1) {
        char what[64];
        snprintf(what, sizeof what, "cut at %zu", n);
        if (truncate(path, (off_t)n) == 0) CHECK(try_file(what), "accepted: %s", what);
    }
    gguf_free(&w);
}

/* ---- Mutants ---- */

static unsigned long long state;

static size_t below(size_t n) {
    return (size_t)(check_random(&state) >> 11) % n;
}

/* A good file, and where in its header a number or a name stands. */
struct base {
    const char *name;
    uint8_t *bytes;
    size_t n, header;
    size_t *site, n_site;
};

static void add_site(struct base *b, size_t at) {
    if (b->n_site % 64 == 0) b->site = (size_t *)realloc(b->site, (b->n_site + 64) * sizeof *b->site);
    if (!b->site) abort();
    b->site[b->n_site++] = at;
}

/* Reads path, a good file. False: it is not there. */
static bool open_base(struct base *b, const char *name) {
    struct phi_gguf g;
    phi_error err = {""};
    memset(b, 0, sizeof *b);
    b->name = name;
    if (access(path, R_OK) != 0) return false;
    CHECK(phi_gguf_open(path, &g, &err) == 0, "%s: %s", name, err.text);
    if (err.text[0]) return false;
    b->n = (size_t)g.file.size;
    b->header = g.n_tensor ? (size_t)g.data_offset : b->n;
    b->bytes = (uint8_t *)malloc(b->n);
    if (!b->bytes) abort();
    memcpy(b->bytes, g.file.data, b->n);
    for (size_t at = 4; at < 24; at += 4) add_site(b, at); /* version, counts */
    for (uint64_t i = 0; i < g.n_kv; i++) {
        size_t key = (size_t)((const uint8_t *)g.kv[i].key.s - g.file.data), value = (size_t)(g.kv[i].data - g.file.data);
        add_site(b, key - 8);
        add_site(b, key + below((size_t)g.kv[i].key.n));
        add_site(b, key + (size_t)g.kv[i].key.n); /* the type; of an array: then its elements' type and number */
        if (g.kv[i].type == PHI_GGUF_ARRAY) add_site(b, value - 12);
        if (g.kv[i].type == PHI_GGUF_ARRAY) add_site(b, value - 8);
        add_site(b, value);
        for (int k = 0; k < 4 && g.kv[i].n > 1; k++) add_site(b, value + below((size_t)g.kv[i].n_bytes));
    }
    for (uint64_t i = 0; i < g.n_tensor; i++) {
        size_t name_at = (size_t)((const uint8_t *)g.tensor[i].name.s - g.file.data);
        size_t at = name_at + (size_t)g.tensor[i].name.n, n_dim = (size_t)g.tensor[i].n_dim;
        add_site(b, name_at - 8);
        add_site(b, name_at + below((size_t)g.tensor[i].name.n));
        add_site(b, at);
        for (size_t k = 0; k < n_dim; k++) add_site(b, at + 4 + 8 * k);
        add_site(b, at + 4 + 8 * n_dim); /* type, offset */
        add_site(b, at + 8 + 8 * n_dim);
    }
    phi_gguf_close(&g);
    return true;
}

static bool build_base(struct base *b, const char *name, const struct tiny_phi3 *m) {
    struct gguf_writer w = tiny_phi3_build(m);
    gguf_save(&w, path);
    gguf_free(&w);
    return open_base(b, name);
}

/* One to four sites, most of them in the header: a byte, a bit, a number one off, or one that such files like to have. */
static void mutate(const struct base *b, uint8_t *bytes) {
    static const uint64_t numbers[] = {0,          1,           2,          3,          4,          8,
                                       12,         30,          255,        256,        65535,      65536,
                                       0x7fffffff, 0x80000000u, UINT32_MAX, 1ull << 32, 1ull << 61, INT64_MAX,
                                       1ull << 63, UINT64_MAX,  0x7fc00000, 0x7f800000};
    for (size_t i = 1 + below(4); i > 0; i--) {
        size_t where = below(8), n = 1;
        size_t at = where == 0 ? below(b->n) : where < 3 ? below(b->header) : b->site[below(b->n_site)];
        uint64_t v = bytes[at];
        switch (below(5)) {
        case 0:
            v = check_random(&state);
            break;
        case 1:
            v ^= 1u << below(8);
            break;
        case 2:
            v += below(2) ? 1 : 255;
            break;
        default:
            v = numbers[below(sizeof numbers / sizeof numbers[0])];
            n = below(2) ? 4 : 8;
        }
        for (size_t k = 0; k < n && at + k < b->n; k++) bytes[at + k] = (uint8_t)(v >> 8 * k);
    }
}

static double most_cpu, limit_cpu = 1e9;
static unsigned long long most_memory;

/* The program's verdict on the file is the library's, with any number of threads. */
static void run_program(const char *what, bool refused, size_t n_file) {
    static const char *commands[][10] = {{"phi", "-m", "model.gguf", "-p", "ab", "-n", "2", "-t", NULL, NULL},
                                         {"phi", "info", "model.gguf", NULL},
                                         {"phi", "tokenize", "-m", "model.gguf", "-p", "ab", NULL}};
    static const char *const threads[] = {"1", "2", "3", "8"};
    commands[0][8] = threads[below(4)];
    size_t command = below(4) % 3;
    struct program_outcome o = program_run(program, dir, commands[command]);
    unsigned long long beside = o.n_bytes > n_file ? o.n_bytes - n_file : 0;
    bool line = program_one_line(o.err) && !strncmp(o.err, "phi: error: model.gguf: ", 24) && !o.n_out;
    bool vocabulary = strstr(o.err, "holds a vocabulary but no weights") != NULL;
    CHECK(refused ? o.code == 3 && line : o.code == 0 || (!command && (o.code == 1 || o.code == 4 || o.code == 5)) ||
                                              (o.code == 3 && line && vocabulary),
          "%s: phi %s: refused %d, exit code %d, \"%s\"", what, commands[command][1], refused, o.code, o.err);
    if (o.cpu_seconds > most_cpu) most_cpu = o.cpu_seconds;
    if (beside > most_memory) most_memory = beside;
    CHECK(PROGRAM_IS_SANITIZED || o.cpu_seconds < limit_cpu, "%s: %.3f s of processor time", what, o.cpu_seconds);
    CHECK(PROGRAM_IS_SANITIZED || beside < 64ull << 20, "%s: %llu bytes of memory beside the file", what, beside);
}

/* Frees the base. Every step-th mutant goes through the program. */
static void check_mutants(struct base *b, long n, long step) {
    uint8_t *bytes = (uint8_t *)malloc(b->n);
    if (!bytes) abort();
    for (long i = 0; i < n; i++) {
        char what[128];
        memcpy(bytes, b->bytes, b->n);
        mutate(b, bytes);
        gguf_write_file(path, bytes, b->n);
        snprintf(what, sizeof what, "%s: mutant %ld of seed %llu", b->name, i, check_seed());
        bool refused = try_file(what);
        if (program[0] && i % step == 0) run_program(what, refused, b->n);
    }
    free(bytes);
    free(b->bytes);
    free(b->site);
}

/* What the limit of 100 ms is on a very slow machine. */
static void measure_good(void) {
    if (!realpath("phi", program)) {
        program[0] = 0;
        SKIP("no ./phi");
        return;
    }
    run_program("a good file", false, 0);
    limit_cpu = most_cpu * 20 > 0.1 ? most_cpu * 20 : 0.1;
}

int main(int argc, char **argv) {
    const char *wanted = getenv("PHI_MUTANTS");
    long n = wanted ? strtol(wanted, NULL, 10) : 2000, step = wanted ? 1 : 20;
    gguf_make_dir(argc, argv, dir);
    snprintf(path, sizeof path, "%s/model.gguf", dir);
    state = check_seed();
    check_cuts();
    n_refused = n_failed = n_ran = 0;
    struct tiny_phi3 plain = tiny_phi3_default(), llama = plain, longrope = plain, blocks = plain;
    llama.architecture = "llama";
    llama.split = true;
    longrope.factors = longrope.split = longrope.tied = true;
    longrope.n_ctx_orig = 2; /* the long list is reached */
    longrope.window = 3;
    longrope.alignment = 1;
    blocks.n_embd = blocks.n_ff = 256;
    blocks.n_layer = 1;
    static const uint32_t types[] = {12, 14, 2, 8, 10, 11, 23};
    static const char *const in_name[] = {"qkv", "output", "up", "down", "token", "x", ""};
    for (size_t i = 0; i < 7; i++) blocks.type[i] = (struct tiny_phi3_type){in_name[i], types[i]};
    struct base b;
    if (build_base(&b, "plain", &plain)) {
        measure_good();
        check_mutants(&b, n * 3 / 10, step);
    }
    if (build_base(&b, "llama", &llama)) check_mutants(&b, n / 5, step);
    if (build_base(&b, "longrope", &longrope)) check_mutants(&b, n / 5, step);
    if (build_base(&b, "blocks", &blocks)) check_mutants(&b, n / 5, step);
    char model[600];
    memcpy(model, path, sizeof path);
    strcpy(path, "models/demo.gguf");
    bool there = open_base(&b, "demo");
    memcpy(path, model, sizeof path);
    if (there) check_mutants(&b, n / 20, step);
    snprintf(path, sizeof path, "%.500s/tokenizer/ggml-vocab-phi-3.gguf", check_shared());
    there = open_base(&b, "vocabulary");
    memcpy(path, model, sizeof path);
    if (there)
        check_mutants(&b, n / 20, step);
    else
        SKIP("no real vocabulary");
    CHECK(n_refused > n / 4 && n_ran > n / 50, "of the mutants %ld were refused, %ld failed later, %ld ran",
          n_refused, n_failed, n_ran);
    printf("mutants: %ld refused, %ld failed later, %ld ran; the program took at most %.0f ms of processor time, %.1f MiB "
           "beside the file\n",
           n_refused, n_failed, n_ran, 1e3 * most_cpu, (double)most_memory / 1048576);
    gguf_remove_dir(dir);
    return check_done("check_hostile");
}
