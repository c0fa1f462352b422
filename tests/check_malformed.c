/* Malformed model files, one defect each, of every category that a model file can be wrong in; and the strange ones that
 * must be accepted. Each is written to a file and given to the library (mapped and read) and to the program (run and
 * info): a bad one ends with exit code 3, nothing on stdout and one line on stderr, which names the file, the thing and
 * the numbers, in 100 ms of processor time and 64 MiB of memory beside the file. The last lines count the cases by
 * category. Cuts at every byte, mutants and what an accepted model computes: check_hostile.c. */
#include "../src/memory.h"
#include "../src/model.h"
#include "gguf_writer.h"
#include "program.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

enum category {
    NOT_A_MODEL, VERSION, COUNTS, KEYS, ALIGNMENT, TABLE, TENSORS, CUT, ARCHITECTURE, VOCABULARY, TEXTS, WEIGHTS, OBJECT,
    SESSION, N_CATEGORY
};

static struct {
    const char *name;
    int refused, accepted;
} categories[N_CATEGORY] = {{"not a model", 0, 0},  {"version", 0, 0},      {"counts", 0, 0},
                            {"keys and values", 0, 0}, {"alignment", 0, 0}, {"tensor table", 0, 0},
                            {"tensor set", 0, 0},   {"cut file", 0, 0},     {"architecture", 0, 0},
                            {"vocabulary", 0, 0},   {"template, strings", 0, 0}, {"weights", 0, 0},
                            {"file object", 0, 0},  {"session", 0, 0}};

static char dir[512], path[1100], program[4096];
static const char *file = "model.gguf"; /* its name in dir */
static bool has_program;

/* ---- One file -------------------------------------------------------------------------------------------------- */

static double most_cpu, limit_cpu = 1e9;
static unsigned long long most_memory;
static char cpu_of[128], memory_of[128];

static struct program_outcome run(const char *what, const char *const *arguments) {
    struct program_outcome o = program_run(program, dir, arguments);
    struct stat st;
    unsigned long long size = stat(path, &st) == 0 && S_ISREG(st.st_mode) ? (unsigned long long)st.st_size : 0;
    unsigned long long beside = o.n_bytes > size ? o.n_bytes - size : 0;
    if (o.cpu_seconds > most_cpu) {
        most_cpu = o.cpu_seconds;
        snprintf(cpu_of, sizeof cpu_of, "%s", what);
    }
    if (beside > most_memory) {
        most_memory = beside;
        snprintf(memory_of, sizeof memory_of, "%s", what);
    }
    CHECK(o.code >= 0 && o.code < 99, "%s: phi %s ended by signal %d", what, arguments[1], -o.code);
    CHECK(PROGRAM_IS_SANITIZED || o.cpu_seconds < limit_cpu, "%s: %.3f s of processor time", what, o.cpu_seconds);
    CHECK(PROGRAM_IS_SANITIZED || beside < 64ull << 20, "%s: %llu bytes of memory beside the file", what, beside);
    return o;
}

/* All the words, which '|' separates, are there. */
static bool has_words(const char *text, const char *words) {
    while (*words) {
        char word[256];
        size_t n = strcspn(words, "|");
        snprintf(word, sizeof word, "%.*s", (int)n, words);
        if (!strstr(text, word)) return false;
        words += n + (words[n] == '|');
    }
    return true;
}

static void check_line(const char *what, const struct program_outcome *o, int code, const char *sentence) {
    char line[2048];
    snprintf(line, sizeof line, "phi: error: %s: %s\n", file, sentence);
    CHECK(o->code == code && o->n_out == 0 && !strcmp(o->err, line), "%s: exit code %d, %zu bytes, \"%s\", not \"%s\"",
          what, o->code, o->n_out, o->err, line);
}

/* Opens the file both ways, which must agree. The sentence behind "PATH: ", "" if it is accepted. */
static const char *open_both(const char *what, int *status) {
    static char sentence[sizeof(phi_error)];
    phi_error err[2] = {{""}, {""}};
    for (int read = 0; read < 2; read++) {
        phi_model *m = NULL;
        int got = phi_model_load(path, read, &m, &err[read]);
        CHECK(got == 0 || (got == PHI_MODEL && !m), "%s: status %d, \"%s\"", what, got, err[read].text);
        CHECK(read == 0 || got == *status, "%s: mapped %d, read %d", what, *status, got);
        *status = got;
        phi_model_close(m);
        CHECK(phi_memory_live() == 0, "%s: %llu allocations are left", what, phi_memory_live());
    }
    CHECK(!strcmp(err[0].text, err[1].text), "%s: mapped \"%s\", read \"%s\"", what, err[0].text, err[1].text);
    const char *behind = strstr(err[0].text, file);
    snprintf(sentence, sizeof sentence, "%s", behind && *err[0].text ? behind + strlen(file) + 2 : "");
    return sentence;
}

/* One file after the other with another number of threads: what the library says, which has none, must be said. */
static const char *const *run_arguments(void) {
    static const char *const threads[] = {"1", "2", "3", "8"};
    static const char *arguments[] = {"phi", "-m", NULL, "-p", "a b", "-n", "2", "-s", "1", "-t", NULL, NULL};
    static size_t n_run;
    arguments[2] = file;
    arguments[10] = threads[n_run++ % 4];
    return arguments;
}

static const char *const *info_arguments(const char *option) {
    static const char *arguments[5];
    arguments[0] = "phi", arguments[1] = "info", arguments[2] = file, arguments[3] = option;
    return arguments;
}

/* words: what the line must contain, separated by '|'. */
static void refuse(enum category c, const char *what, const char *words) {
    int status;
    const char *sentence = open_both(what, &status);
    categories[c].refused++;
    CHECK(status == PHI_MODEL && has_words(sentence, words), "%s: status %d, \"%s\" lacks \"%s\"", what, status, sentence,
          words);
    CHECK(!strpbrk(sentence, "\n\r\t\x1b\x7f") && !strstr(sentence, "phi_") && !strstr(sentence, "()"), "%s: \"%s\"", what,
          sentence);
    if (!has_program) return;
    struct program_outcome o = run(what, run_arguments());
    check_line(what, &o, 3, sentence);
    o = run(what, info_arguments(NULL));
    check_line(what, &o, 3, sentence);
}

/* words: of stderr. */
static void admit(enum category c, const char *what, const char *words) {
    int status;
    const char *sentence = open_both(what, &status);
    categories[c].accepted++;
    CHECK(status == 0, "%s: status %d, \"%s\"", what, status, sentence);
    if (!has_program) return;
    for (int info = 0; info < 2; info++) {
        struct program_outcome o = run(what, info ? info_arguments(NULL) : run_arguments());
        CHECK(o.code == 0 && !strstr(o.err, "error") && has_words(o.err, words), "%s: exit code %d, \"%s\"", what, o.code,
              o.err);
        CHECK(!strpbrk(o.err, "\x1b\r") && (!info || !strpbrk(o.out, "\x1b\r\x07")), "%s: control characters: %s", what,
              o.out);
    }
}

/* A file that info and tokenize can use, but run cannot. */
static void no_weights(enum category c, const char *what) {
    int status;
    open_both(what, &status);
    categories[c].refused++;
    CHECK(status == 0, "%s: status %d", what, status);
    if (!has_program) return;
    struct program_outcome o = run(what, run_arguments());
    check_line(what, &o, 3, "holds a vocabulary but no weights; it can only tokenize");
    o = run(what, info_arguments(NULL));
    CHECK(o.code == 0 && strstr(o.out, "only a vocabulary"), "%s: info: exit code %d, \"%s\"", what, o.code, o.err);
}

static void write_model(struct gguf_writer *w) {
    gguf_save(w, path);
    gguf_free(w);
}

static void name_file(const char *name) {
    file = name;
    snprintf(path, sizeof path, "%s/%s", dir, name);
}

/* ---- Whole files that are something else ------------------------------------------------------------------------ */

static void check_foreign(void) {
    static const struct {
        const char *what, *name, *bytes;
        size_t n;
        const char *words;
    } files[] = {
        {"empty", "model.gguf", "", 0, "the file is empty|download"},
        {"one byte", "model.gguf", "G", 1, "not a GGUF file|too short, 1 bytes"},
        {"three bytes", "model.gguf", "GGU", 3, "not a GGUF file|too short, 3 bytes"},
        {"the magic alone", "model.gguf", "GGUF", 4, "truncated|4 bytes|24"},
        {"half a header", "model.gguf", "GGUF\3\0\0\0\1\0\0\0\0\0\0\0", 16, "truncated|16 bytes|24"},
        {"another magic", "model.gguf", "GGUX\3\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 24, "not a GGUF file|'GGUX\\x03"},
        {"a magic in small letters", "model.gguf", "gguf\3\0\0\0", 8, "not a GGUF file|'gguf\\x03"},
        {"an HTML page", "model.gguf", "<!DOCTYPE html><html><head><title>404</title>", 45,
         "not a GGUF file: this is an HTML page; download the model again"},
        {"an HTML page in capitals", "model.gguf", "\xef\xbb\xbf \r\n<HTML>", 12, "not a GGUF file|HTML page"},
        {"a Git LFS pointer", "model.gguf", "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n", 62,
         "not a GGUF file|Git LFS pointer"},
        {"a zip archive", "model.gguf", "PK\3\4\24\0\0\0\0\0archive/data.pkl", 26, "not a GGUF file|zip archive"},
        {"a gzip archive", "model.gguf", "\x1f\x8b\x08\0\0\0\0\0", 8, "not a GGUF file|gzip archive"},
        {"a safetensors file", "model.gguf", "\20\0\0\0\0\0\0\0{\"__metadata__\":{}}", 27, "not a GGUF file|safetensors"},
        {"a safetensors file, cut", "model.gguf", "\377\20\0\0\0\0\0\0{ \"a\"", 13, "not a GGUF file|safetensors"},
        {"a GGML file", "model.gguf", "lmgg\1\0\0\0", 8, "not a GGUF file|GGML file"},
        {"zeros", "model.gguf", "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 24, "not a GGUF file|begins with zeros"},
        {"a sentence", "model.gguf", "Entry not found", 15, "not a GGUF file|'Entry not found' instead of 'GGUF'"},
        {"escape sequences", "model.gguf", "\x1b]0;owned\7\x1b[2J\n\r", 17, "not a GGUF file|\\x1b]0;owned\\x07"},
        {"an unfinished download", "model.gguf.part", "something", 9, "not a GGUF file|unfinished download"},
        {"another one", "model.crdownload", "something", 9, "not a GGUF file|unfinished download"},
    };
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        name_file(files[i].name);
        gguf_write_file(path, files[i].bytes, files[i].n);
        refuse(NOT_A_MODEL, files[i].what, files[i].words);
    }
    name_file("model.gguf");
}

/* ---- A few bytes of a good model -------------------------------------------------------------------------------- */

/* value over n_bytes, plus bytes behind the place; name NULL: behind the beginning of the file. */
static const struct site {
    enum category category;
    const char *what, *name;
    enum gguf_place place;
    size_t plus;
    uint64_t value;
    size_t n_bytes;
    const char *words;
} sites[] = {
    {VERSION, "version 0", NULL, 0, 4, 0, 4, "GGUF version 0 is not supported (2, 3)"},
    {VERSION, "version 1", NULL, 0, 4, 1, 4, "GGUF version 1 is not supported (2, 3)"},
    {VERSION, "version 4", NULL, 0, 4, 4, 4, "GGUF version 4 is not supported (2, 3)"},
    {VERSION, "version 2^32 - 1", NULL, 0, 4, UINT32_MAX, 4, "GGUF version 4294967295 is not supported (2, 3)"},
    {VERSION, "version 2^16", NULL, 0, 4, 1 << 16, 4, "GGUF version 65536 is not supported (2, 3)"},
    {VERSION, "version 2^31", NULL, 0, 4, 1u << 31, 4, "GGUF version 2147483648 is not supported (2, 3)"},
    {VERSION, "version 3 of a big-endian machine", NULL, 0, 4, 0x03000000, 4, "big-endian file"},
    {VERSION, "version 2 of a big-endian machine", NULL, 0, 4, 0x02000000, 4, "big-endian file"},

    {COUNTS, "2^40 tensors", NULL, 0, 8, 1ull << 40, 8, "header claims 1099511627776 tensors, the file has room for "},
    {COUNTS, "2^64 - 1 tensors", NULL, 0, 8, UINT64_MAX, 8, "header claims 18446744073709551615 tensors|room for "},
    {COUNTS, "2^63 keys", NULL, 0, 16, 1ull << 63, 8, "header claims 9223372036854775808 keys, the file has room for "},
    {COUNTS, "a tensor too many", NULL, 0, 8, 16, 8, "tensor #16"},
    {COUNTS, "a tensor too few", NULL, 0, 8, 14, 8, "header claims 14 tensors, but behind them byte |not padding"},
    {COUNTS, "a key too few", NULL, 0, 16, 23, 8, "tensor 'tokenizer.ggml.add_eos_token': 7 dimensions"},
    {COUNTS, "no keys", NULL, 0, 16, 0, 8, "the header claims 0 keys"},

    {KEYS, "key of 2^63 bytes", "general.name", GGUF_AT_NAME, 0, 1ull << 63, 8,
     "key #2: length 9223372036854775808 exceeds the | bytes left"},
    {KEYS, "key of a GiB", "general.name", GGUF_AT_NAME, 0, 1 << 30, 8, "key #2: length 1073741824 exceeds the | bytes left"},
    {KEYS, "key of 70000 bytes", "general.name", GGUF_AT_NAME, 0, 70000, 8, "key #2|70000 bytes, the most is 65536"},
    {KEYS, "empty key", "general.name", GGUF_AT_NAME, 0, 0, 8, "key #2: its name is empty"},
    {KEYS, "key that is not UTF-8", "general.name", GGUF_AT_NAME, 10, 0xfe, 1, "key #2: its name 'ge\\xfe|not UTF-8"},
    {KEYS, "key with NUL", "general.name", GGUF_AT_NAME, 10, 0, 1, "key #2: its name 'ge\\x00|not UTF-8"},
    {KEYS, "value type 13", "general.name", GGUF_AT_TYPE, 0, 13, 4, "'general.name': unknown value type 13, must be 0 to 12"},
    {KEYS, "value type 2^31", "general.name", GGUF_AT_TYPE, 0, 1u << 31, 4, "'general.name'|2147483648|0 to 12"},
    {KEYS, "string of 2^64 - 1 bytes", "general.name", GGUF_AT_VALUE, 0, UINT64_MAX, 8,
     "key 'general.name': length 18446744073709551615 exceeds the | bytes left"},
    {KEYS, "nested array", "tokenizer.ggml.tokens", GGUF_AT_VALUE, 0, 9, 4, "key 'tokenizer.ggml.tokens': nested arrays"},
    {KEYS, "elements of type 77", "tokenizer.ggml.tokens", GGUF_AT_VALUE, 0, 77, 4,
     "key 'tokenizer.ggml.tokens': unknown element type 77, must be 0 to 12"},
    {KEYS, "array of 2^61 strings", "tokenizer.ggml.tokens", GGUF_AT_VALUE, 4, 1ull << 61, 8,
     "key 'tokenizer.ggml.tokens': array of 2305843009213693952 str, the file has room for "},
    {KEYS, "array of 2^62 floats", "tokenizer.ggml.scores", GGUF_AT_VALUE, 4, 1ull << 62, 8,
     "key 'tokenizer.ggml.scores': array of 4611686018427387904 f32, the file has room for "},
    {KEYS, "element of 2^40 bytes", "tokenizer.ggml.tokens", GGUF_AT_VALUE, 12, 1ull << 40, 8,
     "key 'tokenizer.ggml.tokens': element 0: length 1099511627776|bytes left"},

    {TABLE, "no name", "output_norm.weight", GGUF_AT_NAME, 0, 0, 8, "tensor #14: its name is empty"},
    {TABLE, "name of 64 bytes", "output_norm.weight", GGUF_AT_NAME, 0, 64, 8, "tensor #14: its name has 64 bytes, the most is 63"},
    {TABLE, "name of 2^63 bytes", "output_norm.weight", GGUF_AT_NAME, 0, 1ull << 63, 8,
     "tensor #14: length 9223372036854775808 exceeds the "},
    {TABLE, "name with NUL", "output_norm.weight", GGUF_AT_NAME, 10, 0, 1, "tensor #14: its name 'ou\\x00put"},
    {TABLE, "name that is not UTF-8", "output_norm.weight", GGUF_AT_NAME, 10, 0xff, 1, "tensor #14: its name 'ou\\xffput"},
    {TABLE, "name twice", "blk.1.attn_norm.weight", GGUF_AT_NAME, 12, '0', 1,
     "tensor 'blk.0.attn_norm.weight' is there twice, #2 and #8"},
    {TABLE, "no dimensions", "output.weight", GGUF_AT_VALUE, 0, 0, 4, "tensor 'output.weight': 0 dimensions, must be 1 to 4"},
    {TABLE, "5 dimensions", "output.weight", GGUF_AT_VALUE, 0, 5, 4, "tensor 'output.weight': 5 dimensions, must be 1 to 4"},
    {TABLE, "2^31 dimensions", "output.weight", GGUF_AT_VALUE, 0, 1u << 31, 4, "'output.weight': 2147483648 dimensions|1 to 4"},
    {TABLE, "dimension 0", "output.weight", GGUF_AT_VALUE, 4, 0, 8, "'output.weight': dimension #1 is 0, must be 1 to "},
    {TABLE, "dimension 2^32", "output.weight", GGUF_AT_VALUE, 4, 1ull << 32, 8, "dimension #1 is 4294967296, must be 1 to "},
    {TABLE, "dimension 2^63", "output.weight", GGUF_AT_VALUE, 12, 1ull << 63, 8, "dimension #2 is 9223372036854775808|1 to "},
    {TABLE, "2^31 - 1 rows", "output.weight", GGUF_AT_VALUE, 12, INT32_MAX, 8, "tensor 'output.weight' ends at |file has | bytes"},
    {TABLE, "type IQ2_XXS", "output.weight", GGUF_AT_TYPE, 0, 16, 4, "'output.weight': type IQ2_XXS (16) is not supported"},
    {TABLE, "type Q4_0_4_4", "output.weight", GGUF_AT_TYPE, 0, 31, 4, "type Q4_0_4_4 (31) is not supported; take a file with Q4_0"},
    {TABLE, "type I32", "output.weight", GGUF_AT_TYPE, 0, 26, 4, "'output.weight': type I32 (26) is not supported"},
    {TABLE, "type 999", "output.weight", GGUF_AT_TYPE, 0, 999, 4, "tensor 'output.weight': unknown type 999"},
    {TABLE, "rows of 96 in Q4_K", "blk.0.ffn_down.weight", GGUF_AT_TYPE, 0, 12, 4,
     "'blk.0.ffn_down.weight': rows of 96 weights, Q4_K needs a multiple of 256"},
    {TABLE, "offset 4", "output.weight", GGUF_AT_TYPE, 4, 4, 8, "'output.weight': offset 4 is not a multiple of the alignment 32"},
    {TABLE, "offset outside", "output.weight", GGUF_AT_TYPE, 4, 1ull << 40, 8,
     "tensor 'output.weight' ends at 10995117|outside the file of "},
    {TABLE, "offset that wraps", "output.weight", GGUF_AT_TYPE, 4, UINT64_MAX - 31, 8,
     "tensor 'output.weight': offset 18446744073709551584 overflows, the file has | bytes"},
    {TABLE, "two at one place", "output.weight", GGUF_AT_TYPE, 4, 0, 8, "'output.weight'|overlap: one ends at |begins at "},
    {TABLE, "one in another", "output_norm.weight", GGUF_AT_TYPE, 4, 32, 8,
     "tensors 'token_embd.weight' and 'output_norm.weight' overlap: one ends at |, the other begins at "},

    {TENSORS, "a matrix as a vector", "blk.0.attn_qkv.weight", GGUF_AT_VALUE, 0, 3, 4, "tensor 'blk.0.attn_qkv.weight': dimension #3"},
    {TENSORS, "a norm in F16", "blk.0.attn_norm.weight", GGUF_AT_TYPE, 0, 1, 4, "tensor 'blk.0.attn_norm.weight' is F16, expected F32"},
    {TENSORS, "the last norm in BF16", "output_norm.weight", GGUF_AT_TYPE, 0, 30, 4, "tensor 'output_norm.weight' is BF16, expected F32"},
    {TENSORS, "a norm in Q8_0", "blk.1.ffn_norm.weight", GGUF_AT_TYPE, 0, 8, 4, "tensor 'blk.1.ffn_norm.weight' is Q8_0, expected F32"},
    {TENSORS, "a short norm", "output_norm.weight", GGUF_AT_VALUE, 4, 32, 8, "'output_norm.weight' has shape 32, expected 64"},
    {TENSORS, "a row too few", "blk.1.ffn_up.weight", GGUF_AT_VALUE, 12, 191, 8,
     "'blk.1.ffn_up.weight' has shape 64 x 191, expected 64 x 192"},
    {TENSORS, "another name", "blk.0.attn_norm.weight", GGUF_AT_NAME, 8, 'x', 1, "tensor 'blk.0.attn_norm.weight' is missing"},

    {VOCABULARY, "a token less than it says", "tokenizer.ggml.tokens", GGUF_AT_VALUE, 4, 299, 8, "key '<|user|>': unknown value type"},
    {VOCABULARY, "scores of integers", "tokenizer.ggml.scores", GGUF_AT_VALUE, 0, 5, 4,
     "tokenizer.ggml.scores is an array of i32, expected one of f32"},
    {VOCABULARY, "types of floats", "tokenizer.ggml.token_type", GGUF_AT_VALUE, 0, 6, 4,
     "tokenizer.ggml.token_type is an array of f32, expected one of integers"},
    {VOCABULARY, "token type 99", "tokenizer.ggml.token_type", GGUF_AT_VALUE, 12 + 4 * 280, 99, 4,
     "tokenizer.ggml.token_type: the type of token 280 is 99, expected 1 to 6"},
    {VOCABULARY, "token type 0", "tokenizer.ggml.token_type", GGUF_AT_VALUE, 12, 0, 4, "the type of token 0 is 0, expected 1 to 6"},
    {VOCABULARY, "token type -1", "tokenizer.ggml.token_type", GGUF_AT_VALUE, 12, UINT32_MAX, 4, "token 0 is -1, expected 1 to 6"},
    {VOCABULARY, "score NaN", "tokenizer.ggml.scores", GGUF_AT_VALUE, 12, 0x7fc00000, 4, "score of token 0 is not a number"},
    {VOCABULARY, "score infinite", "tokenizer.ggml.scores", GGUF_AT_VALUE, 512, 0x7f800000, 4, "score of token 125 is infinite"},
    {VOCABULARY, "byte token <0x-1>", "tokenizer.ggml.tokens", GGUF_AT_VALUE, 59, '-', 1,
     "tokenizer.ggml.tokens: byte token 3 is \"<0x-0>\", expected <0x00> to <0xFF>"},
    {VOCABULARY, "byte token <0x0G>", "tokenizer.ggml.tokens", GGUF_AT_VALUE, 60, 'G', 1, "byte token 3 is \"<0x0G>\""},
    {VOCABULARY, "byte token without its end", "tokenizer.ggml.tokens", GGUF_AT_VALUE, 61, '.', 1, "byte token 3 is \"<0x00.\""},
    {VOCABULARY, "a byte token twice", "tokenizer.ggml.tokens", GGUF_AT_VALUE, 60, '1', 1,
     "byte token <0x00> is missing (255 of 256 are there)"},
};

static void check_sites(void) {
    struct tiny_phi3 m = tiny_phi3_default();
    for (size_t i = 0; i < sizeof sites / sizeof sites[0]; i++) {
        const struct site *s = &sites[i];
        struct gguf_writer w = tiny_phi3_build(&m);
        gguf_put(&w, (s->name ? gguf_where(&w, s->name, s->place) : 0) + s->plus, s->value, s->n_bytes);
        write_model(&w);
        refuse(s->category, s->what, s->words);
    }
}

/* ---- A key of a good model -------------------------------------------------------------------------------------- */

enum { LEFT_OUT = PHI_GGUF_N_TYPE };

/* The key has this type and these bits or this text; words NULL: that is fine. */
static const struct key_case {
    enum category category;
    const char *key;
    int type;
    uint64_t bits;
    const char *text, *words;
} keys[] = {
    {ALIGNMENT, "general.alignment", PHI_GGUF_U32, 0, "", "general.alignment 0: must be 1 to 65536"},
    {ALIGNMENT, "general.alignment", PHI_GGUF_U32, 13, "", "general.alignment 13 is not a power of two"},
    {ALIGNMENT, "general.alignment", PHI_GGUF_U32, 48, "", "general.alignment 48 is not a power of two"},
    {ALIGNMENT, "general.alignment", PHI_GGUF_U32, 131072, "", "general.alignment 131072: must be 1 to 65536"},
    {ALIGNMENT, "general.alignment", PHI_GGUF_U64, 1ull << 63, "", "general.alignment 9223372036854775808: must be 1 to 65536"},
    {ALIGNMENT, "general.alignment", PHI_GGUF_I32, (uint64_t)-32, "", "general.alignment -32: must be 1 to 65536"},
    {ALIGNMENT, "general.alignment", PHI_GGUF_F32, 0x42000000, "", "general.alignment has the type f32, expected an integer"},
    {ALIGNMENT, "general.alignment", PHI_GGUF_STRING, 0, "32", "general.alignment has the type str, expected an integer"},
    {ALIGNMENT, "general.alignment", PHI_GGUF_ARRAY, 0, "", "general.alignment has the type arr, expected an integer"},
    {ALIGNMENT, "general.alignment", PHI_GGUF_U64, 32, "", NULL},
    {ALIGNMENT, "general.alignment", PHI_GGUF_U8, 32, "", NULL},

    {ARCHITECTURE, "general.architecture", LEFT_OUT, 0, "", "general.architecture is missing"},
    {ARCHITECTURE, "general.architecture", PHI_GGUF_STRING, 0, "gemma", "general.architecture is 'gemma', expected 'phi3' or 'llama'"},
    {ARCHITECTURE, "general.architecture", PHI_GGUF_STRING, 0, "\x1b[2J\n", "general.architecture is '\\x1b[2J\\x0a', expected"},
    {ARCHITECTURE, "general.architecture", PHI_GGUF_U32, 3, "", "general.architecture has the type u32, expected a string"},
    {ARCHITECTURE, "phi3.block_count", LEFT_OUT, 0, "", "phi3.block_count is missing"},
    {ARCHITECTURE, "phi3.block_count", PHI_GGUF_U32, 0, "", "phi3.block_count 0: must be 1 to 4096"},
    {ARCHITECTURE, "phi3.block_count", PHI_GGUF_U32, UINT32_MAX, "", "phi3.block_count 4294967295: must be 1 to 4096"},
    {ARCHITECTURE, "phi3.block_count", PHI_GGUF_U32, 3, "", "phi3.block_count is 3, but tensor 'blk.2.attn_norm.weight' is missing"},
    {ARCHITECTURE, "phi3.block_count", PHI_GGUF_U32, 1, "", "phi3.block_count is 1, but there is a tensor 'blk.1.attn_norm.weight'"},
    {ARCHITECTURE, "phi3.block_count", PHI_GGUF_I64, (uint64_t)-2, "", "phi3.block_count -2: must be 1 to 4096"},
    {ARCHITECTURE, "phi3.block_count", PHI_GGUF_ARRAY, 0, "", "phi3.block_count has the type arr, expected an integer"},
    {ARCHITECTURE, "phi3.attention.head_count", LEFT_OUT, 0, "", "phi3.attention.head_count is missing"},
    {ARCHITECTURE, "phi3.attention.head_count", PHI_GGUF_U32, 0, "", "phi3.attention.head_count 0: must be 1 to "},
    {ARCHITECTURE, "phi3.attention.head_count", PHI_GGUF_U32, 1u << 31, "", "phi3.attention.head_count 2147483648: must be 1 to "},
    {ARCHITECTURE, "phi3.attention.head_count", PHI_GGUF_U32, 6, "", "embedding_length 64 is no multiple of attention.head_count 6"},
    {ARCHITECTURE, "phi3.attention.head_count", PHI_GGUF_U32, 64, "", "phi3.attention.head_count 64: heads of 1 keys and 1 values|embedding_length 64"},
    {ARCHITECTURE, "phi3.attention.head_count_kv", PHI_GGUF_U32, 0, "", "phi3.attention.head_count_kv 0: must be 1 to "},
    {ARCHITECTURE, "phi3.attention.head_count_kv", PHI_GGUF_U32, 3, "", "head_count 4 is no multiple of head_count_kv 3"},
    {ARCHITECTURE, "phi3.embedding_length", LEFT_OUT, 0, "", "phi3.embedding_length is missing"},
    {ARCHITECTURE, "phi3.embedding_length", PHI_GGUF_U32, 0, "", "phi3.embedding_length 0: must be 1 to "},
    {ARCHITECTURE, "phi3.embedding_length", PHI_GGUF_U64, 1ull << 40, "", "phi3.embedding_length 1099511627776: must be 1 to "},
    {ARCHITECTURE, "phi3.embedding_length", PHI_GGUF_U32, 128, "", "'token_embd.weight' has shape 64 x 300, expected 128 x 300"},
    {ARCHITECTURE, "phi3.feed_forward_length", LEFT_OUT, 0, "", "phi3.feed_forward_length is missing"},
    {ARCHITECTURE, "phi3.feed_forward_length", PHI_GGUF_U32, 0, "", "phi3.feed_forward_length 0: must be 1 to "},
    {ARCHITECTURE, "phi3.feed_forward_length", PHI_GGUF_U32, 48, "", "'blk.0.ffn_up.weight' has shape 64 x 192, expected 64 x 96"},
    {ARCHITECTURE, "phi3.context_length", LEFT_OUT, 0, "", "phi3.context_length is missing"},
    {ARCHITECTURE, "phi3.context_length", PHI_GGUF_U32, 0, "", "phi3.context_length 0: must be 1 to 1048576"},
    {ARCHITECTURE, "phi3.context_length", PHI_GGUF_U32, UINT32_MAX, "", "phi3.context_length 4294967295: must be 1 to 1048576"},
    {ARCHITECTURE, "phi3.context_length", PHI_GGUF_F32, 0x43000000, "", "phi3.context_length has the type f32, expected an integer"},
    {ARCHITECTURE, "phi3.rope.dimension_count", PHI_GGUF_U32, 0, "", "phi3.rope.dimension_count 0: must be even, 2 to 16"},
    {ARCHITECTURE, "phi3.rope.dimension_count", PHI_GGUF_U32, 15, "", "phi3.rope.dimension_count 15: must be even, 2 to 16"},
    {ARCHITECTURE, "phi3.rope.dimension_count", PHI_GGUF_U32, 17, "", "phi3.rope.dimension_count 17: must be even, 2 to 16"},
    {ARCHITECTURE, "phi3.rope.dimension_count", PHI_GGUF_U32, 18, "", "phi3.rope.dimension_count 18: must be even, 2 to 16"},
    {ARCHITECTURE, "phi3.rope.freq_base", PHI_GGUF_F32, 0x7fc00000, "", "phi3.rope.freq_base nan: must be 1 to 1e+09"},
    {ARCHITECTURE, "phi3.rope.freq_base", PHI_GGUF_F32, 0, "", "phi3.rope.freq_base 0: must be 1 to 1e+09"},
    {ARCHITECTURE, "phi3.rope.freq_base", PHI_GGUF_STRING, 0, "10000", "phi3.rope.freq_base has the type str, expected a number"},
    {ARCHITECTURE, "phi3.rope.scaling.original_context_length", PHI_GGUF_U32, 0, "", "original_context_length 0: must be 2 to "},
    {ARCHITECTURE, "phi3.rope.scaling.type", PHI_GGUF_STRING, 0, "yarn", "phi3.rope.scaling.type is 'yarn', expected 'none' or 'longrope'"},
    {ARCHITECTURE, "phi3.attention.layer_norm_rms_epsilon", LEFT_OUT, 0, "", "layer_norm_rms_epsilon is missing"},
    {ARCHITECTURE, "phi3.attention.layer_norm_rms_epsilon", PHI_GGUF_F32, 0x7f800000, "", "rms_epsilon inf: must be 1e-12 to 1"},
    {ARCHITECTURE, "phi3.attention.layer_norm_rms_epsilon", PHI_GGUF_F32, 0xb727c5ac, "", "rms_epsilon -1e-05: must be 1e-12 to 1"},
    {ARCHITECTURE, "phi3.attention.sliding_window", PHI_GGUF_I32, (uint64_t)-1, "", "sliding_window -1: must be 0 to "},
    {ARCHITECTURE, "phi3.attention.value_length", PHI_GGUF_U32, 8, "", "heads of 16 keys and 8 values"},
    {ARCHITECTURE, "phi3.block_count", PHI_GGUF_U64, 2, "", NULL},
    {ARCHITECTURE, "phi3.embedding_length", PHI_GGUF_I8, 64, "", NULL},
    {ARCHITECTURE, "phi3.rope.freq_base", PHI_GGUF_U32, 10000, "", NULL},
    {ARCHITECTURE, "phi3.rope.freq_base", LEFT_OUT, 0, "", NULL},

    {VOCABULARY, "tokenizer.ggml.model", LEFT_OUT, 0, "", "tokenizer.ggml.model is missing"},
    {VOCABULARY, "tokenizer.ggml.model", PHI_GGUF_STRING, 0, "bert", "tokenizer.ggml.model \"bert\" is not supported; expected \"llama\""},
    {VOCABULARY, "tokenizer.ggml.tokens", LEFT_OUT, 0, "", "tokenizer.ggml.tokens is missing"},
    {VOCABULARY, "tokenizer.ggml.scores", LEFT_OUT, 0, "", "tokenizer.ggml.scores is missing"},
    {VOCABULARY, "tokenizer.ggml.token_type", LEFT_OUT, 0, "", "tokenizer.ggml.token_type is missing"},
    {VOCABULARY, "tokenizer.ggml.tokens", PHI_GGUF_U32, 300, "", "tokenizer.ggml.tokens is of type u32, expected an array of strings"},
    {VOCABULARY, "tokenizer.ggml.tokens", PHI_GGUF_ARRAY, 0, "", "tokenizer.ggml.tokens is an array of u32, expected one of strings"},
    {VOCABULARY, "tokenizer.ggml.token_type", PHI_GGUF_ARRAY, 0, "", "token_type has 0 elements, tokenizer.ggml.tokens has 300"},
    {VOCABULARY, "tokenizer.ggml.eos_token_id", PHI_GGUF_U32, 40000, "", "tokenizer.ggml.eos_token_id 40000 is outside the vocabulary (300)"},
    {VOCABULARY, "tokenizer.ggml.bos_token_id", PHI_GGUF_U32, 300, "", "tokenizer.ggml.bos_token_id 300 is outside the vocabulary (300)"},
    {VOCABULARY, "tokenizer.ggml.bos_token_id", PHI_GGUF_I32, (uint64_t)-1, "", "bos_token_id -1 is outside the vocabulary (300)"},
    {VOCABULARY, "tokenizer.ggml.padding_token_id", PHI_GGUF_U64, UINT64_MAX, "", "padding_token_id 18446744073709551615 is outside"},
    {VOCABULARY, "tokenizer.ggml.unknown_token_id", PHI_GGUF_F32, 0, "", "unknown_token_id has the type f32, expected an integer"},
    {VOCABULARY, "tokenizer.ggml.eot_token_id", PHI_GGUF_I64, (uint64_t)1 << 40, "", "eot_token_id 1099511627776 is outside the vocabulary"},
    {VOCABULARY, "tokenizer.ggml.seperator_token_id", PHI_GGUF_U32, 40000, "", "seperator_token_id 40000 is outside the vocabulary (300)"},
    {VOCABULARY, "tokenizer.ggml.fim_pre_token_id", PHI_GGUF_U32, 300, "", "fim_pre_token_id 300 is outside the vocabulary (300)"},
    {VOCABULARY, "tokenizer.ggml.add_bos_token", PHI_GGUF_BOOL, 2, "", "tokenizer.ggml.add_bos_token 2: must be 0 (false) or 1 (true)"},
    {VOCABULARY, "tokenizer.ggml.add_bos_token", PHI_GGUF_STRING, 0, "yes", "add_bos_token has the type str, expected true or false"},
    {VOCABULARY, "tokenizer.ggml.bos_token_id", LEFT_OUT, 0, "", NULL},
    {VOCABULARY, "tokenizer.ggml.eom_token_id", PHI_GGUF_U8, 5, "", NULL},
    {KEYS, "somebody.knows.this", PHI_GGUF_F64, 1, "", NULL},
    {KEYS, "somebody.says.maybe", PHI_GGUF_BOOL, 2, "", NULL}, /* a truth that nobody asks for may be any byte */

    {OBJECT, "split.count", PHI_GGUF_U16, 3, "", "part 1 of 3 of a split model: not supported"},
    {OBJECT, "split.count", PHI_GGUF_STRING, 0, "3", "split.count has the type str, expected an integer"},
    {OBJECT, "split.count", PHI_GGUF_U16, 1, "", NULL},

    {TEXTS, "tokenizer.chat_template", PHI_GGUF_STRING, 0, "{% macro a() %}{{ a() }}{% endmacro %}{{ a() }}", NULL},
    {TEXTS, "tokenizer.chat_template", PHI_GGUF_STRING, 0, "\x1b[2J\xff{{", NULL},
    {TEXTS, "tokenizer.chat_template", PHI_GGUF_U32, 1, "", NULL},
    {TEXTS, "general.name", PHI_GGUF_STRING, 0, "\x1b]0;owned\7\x1b[31m\r\n\xff\xc2\x9b", NULL},
    {TEXTS, "general.name", PHI_GGUF_U32, 1, "", NULL},
    {TEXTS, "key\x1b[2J\x7f", PHI_GGUF_STRING, 0, "\x1b[2J", NULL},
};

static void check_keys(void) {
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        const struct key_case *k = &keys[i];
        struct tiny_phi3 m = tiny_phi3_default();
        char what[128];
        m.skip = k->key;
        struct gguf_writer w = tiny_phi3_build(&m);
        if (k->type == PHI_GGUF_STRING)
            gguf_str(&w, k->key, k->text);
        else if (k->type == PHI_GGUF_ARRAY)
            gguf_array(&w, k->key, PHI_GGUF_U32, 0);
        else if (k->type != LEFT_OUT)
            gguf_scalar(&w, k->key, (enum phi_gguf_type)k->type, k->bits);
        gguf_end(&w);
        write_model(&w);
        snprintf(what, sizeof what, "%s of type %d, case %d", k->key, k->type, (int)i);
        if (k->words)
            refuse(k->category, what, k->words);
        else
            admit(k->category, what, "");
    }
}

/* ---- What takes more than a few bytes --------------------------------------------------------------------------- */

static void check_more_keys(void) {
    struct tiny_phi3 m = tiny_phi3_default();
    struct gguf_writer w = tiny_phi3_build(&m);
    char name[65538];
    gguf_str(&w, "general.name", "again");
    gguf_end(&w);
    write_model(&w);
    refuse(KEYS, "a key twice", "key 'general.name' is there twice, #2 and #25");
    memset(name, 'k', sizeof name - 1);
    name[sizeof name - 1] = 0;
    w = tiny_phi3_build(&m);
    gguf_u32(&w, name, 1);
    gguf_end(&w);
    write_model(&w);
    refuse(KEYS, "a key of 65537 bytes", "key #25: its name has 65537 bytes, the most is 65536");
    static const size_t alignments[] = {1, 2, 8, 64, 4096, 65536};
    for (size_t i = 0; i < sizeof alignments / sizeof *alignments; i++) {
        m.alignment = alignments[i];
        w = tiny_phi3_build(&m);
        write_model(&w);
        admit(ALIGNMENT, "a legal alignment", "");
    }
    w = tiny_phi3_build(&m);
    gguf_u32(&w, "general.alignment", 32);
    gguf_end(&w);
    write_model(&w);
    refuse(ALIGNMENT, "alignment twice", "key 'general.alignment' is there twice");
    w = gguf_begin(3);
    m.alignment = 0;
    tiny_phi3_keys(&w, &m);
    tiny_phi3_vocabulary(&w, m.n_vocab);
    gguf_end(&w);
    gguf_append(&w.file, "bytes", 5);
    write_model(&w);
    no_weights(COUNTS, "no tensors");
    w = gguf_begin(3);
    gguf_scalar(&w, "split.no", PHI_GGUF_U16, 1);
    gguf_scalar(&w, "split.count", PHI_GGUF_U16, 3);
    gguf_end(&w);
    gguf_append(&w.file, name, 100);
    write_model(&w);
    refuse(OBJECT, "a part of a split model", "part 2 of 3 of a split model: not supported");
}

/* The default model without the tensor skip (or NULL), and one more. */
static struct gguf_writer with_tensor(const char *skip, const char *name, const uint64_t *dim, uint32_t n_dim) {
    struct tiny_phi3 m = tiny_phi3_default();
    size_t n = 4;
    m.skip = skip;
    struct gguf_writer w = tiny_phi3_build(&m);
    for (uint32_t i = 0; i < n_dim && n < 1 << 20; i++) n *= (size_t)dim[i];
    if (name) gguf_tensor(&w, name, 0, dim, n_dim, NULL, n < 1 << 20 ? n : 64);
    gguf_end(&w);
    return w;
}

static void check_tensors(void) {
    static const struct {
        enum category category;
        const char *what, *skip, *name;
        uint64_t dim[4];
        uint32_t n_dim;
        const char *words;
    } cases[] = {
        {TABLE, "2^90 weights", NULL, "blk.3.ffn_up.weight", {1 << 30, 1 << 30, 1 << 30}, 3, "'blk.3.ffn_up.weight': shape overflows"},
        {TABLE, "2^64 weights", NULL, "x", {1 << 16, 1 << 16, 1 << 16, 1 << 16}, 4, "tensor 'x': shape overflows"},
        {TABLE, "2^62 weights", NULL, "x", {1 << 30, 1 << 30, 4}, 3, "tensor 'x': shape overflows"},
        {TABLE, "escape sequences in a name", NULL, "\x1b[2J\x1b]0;owned\7", {4}, 1, "tensor '\\x1b[2J\\x1b]0;owned\\x07' is no part"},
        {TENSORS, "no embedding", "token_embd.weight", NULL, {0}, 0, "tensor 'token_embd.weight' is missing"},
        {TENSORS, "no last norm", "output_norm.weight", NULL, {0}, 0, "tensor 'output_norm.weight' is missing"},
        {TENSORS, "no attention", "blk.1.attn_qkv.weight", NULL, {0}, 0, "tensor 'blk.1.attn_qkv.weight' is missing"},
        {TENSORS, "no feed-forward", "blk.0.ffn_up.weight", NULL, {0}, 0, "tensor 'blk.0.ffn_up.weight' is missing"},
        {TENSORS, "a matrix transposed", "blk.0.ffn_down.weight", "blk.0.ffn_down.weight", {64, 96}, 2,
         "'blk.0.ffn_down.weight' has shape 64 x 96, expected 96 x 64"},
        {TENSORS, "the embedding transposed", "token_embd.weight", "token_embd.weight", {300, 64}, 2,
         "300 tokens, but tensor 'token_embd.weight' has 64 rows"},
        {TENSORS, "a matrix of one dimension", "blk.0.ffn_up.weight", "blk.0.ffn_up.weight", {12288}, 1,
         "'blk.0.ffn_up.weight' has shape 12288, expected 64 x 192"},
        {TENSORS, "a bias", NULL, "blk.0.attn_qkv.bias", {128}, 1, "tensor 'blk.0.attn_qkv.bias' is no part of the Phi-3"},
        {TENSORS, "a layer more", NULL, "blk.2.attn_norm.weight", {64}, 1, "phi3.block_count is 2, but there is a tensor 'blk.2."},
        {TENSORS, "a layer behind a gap", NULL, "blk.7.attn_norm.weight", {64}, 1, "tensor 'blk.7.attn_norm.weight' is no part"},
        {TENSORS, "half of the rotary factors", NULL, "rope_factors_long.weight", {8}, 1, "'rope_factors_long.weight' holds 0 at 0"},
        {TENSORS, "tied weights", "output.weight", NULL, {0}, 0, NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct gguf_writer w = with_tensor(cases[i].skip, cases[i].name, cases[i].dim, cases[i].n_dim);
        write_model(&w);
        if (cases[i].words)
            refuse(cases[i].category, cases[i].what, cases[i].words);
        else
            admit(cases[i].category, cases[i].what, "");
    }
}

/* The default model with n tokens, of which token 270 is this text. */
static void write_vocabulary(int n, const char *token, size_t n_token) {
    struct tiny_phi3 m = tiny_phi3_default();
    struct gguf_writer w = gguf_begin(3);
    char text[32];
    float score;
    int32_t type;
    tiny_phi3_keys(&w, &m);
    w.skip = "tokenizer.ggml.tokens";
    tiny_phi3_vocabulary(&w, n);
    w.skip = NULL;
    gguf_array(&w, "tokenizer.ggml.tokens", PHI_GGUF_STRING, (uint64_t)n);
    for (int i = 0; i < n; i++) {
        tiny_phi3_token(i, n, text, &score, &type);
        if (i == 270 && token)
            gguf_string(&w.kv, token, n_token);
        else
            gguf_string(&w.kv, text, strlen(text));
    }
    tiny_phi3_tensors(&w, &m);
    gguf_end(&w);
    write_model(&w);
}

/* A vocabulary as large as the file allows costs nothing where the embedding is small. */
static void check_million_tokens(void) {
    enum { N = 1 << 20 };
    struct tiny_phi3 m = tiny_phi3_default();
    struct gguf_writer w = gguf_begin(3);
    char *empty = (char *)calloc(N, 8);
    tiny_phi3_keys(&w, &m);
    w.skip = "tokenizer.ggml.tokens";
    tiny_phi3_vocabulary(&w, m.n_vocab);
    w.skip = NULL;
    gguf_array(&w, "tokenizer.ggml.tokens", PHI_GGUF_STRING, N);
    gguf_append(&w.kv, empty, 8 * (size_t)N);
    tiny_phi3_tensors(&w, &m);
    gguf_end(&w);
    free(empty);
    write_model(&w);
    refuse(VOCABULARY, "a million tokens", "1048576 tokens, but tensor 'token_embd.weight' has 300 rows");
}

static void check_tokens(void) {
    static char longest[65537];
    check_million_tokens();
    write_vocabulary(301, NULL, 0);
    refuse(VOCABULARY, "more tokens than rows", "301 tokens, but tensor 'token_embd.weight' has 300 rows");
    write_vocabulary(298, NULL, 0); /* files pad the embedding to a round size: such a row has no text and is never drawn */
    admit(VOCABULARY, "fewer tokens than rows", "");
    memset(longest, 'x', sizeof longest);
    write_vocabulary(300, longest, 65537);
    refuse(VOCABULARY, "a token of 65537 bytes", "tokenizer.ggml.tokens: token 270 has 65537 bytes, the most is 65536");
    write_vocabulary(300, longest, 65536);
    admit(VOCABULARY, "a token of 65536 bytes", "");
    static const struct {
        const char *what, *text;
        size_t n;
    } strange[] = {{"a text twice", "b", 1}, {"an empty token", "", 0}, {"a token that is not UTF-8", "\xff\xfe", 2},
                   {"a NUL in a token", "a\0b", 3}, {"escape sequences in a token", "\x1b[2J\r\n", 6}};
    for (size_t i = 0; i < sizeof strange / sizeof *strange; i++) {
        write_vocabulary(300, strange[i].text, strange[i].n);
        admit(VOCABULARY, strange[i].what, "");
    }
    struct tiny_phi3 m = tiny_phi3_default();
    m.skip = "tokenizer.ggml.scores";
    struct gguf_writer w = tiny_phi3_build(&m);
    gguf_array(&w, m.skip, PHI_GGUF_F32, 299);
    for (int i = 0; i < 299; i++) gguf_number(&w.kv, 0, 4);
    gguf_end(&w);
    write_model(&w);
    refuse(VOCABULARY, "299 scores", "tokenizer.ggml.scores has 299 elements, tokenizer.ggml.tokens has 300");
    static char large[1 << 20];
    for (int huge = 0; huge < 2; huge++) {
        m.skip = NULL;
        w = tiny_phi3_build(&m);
        memset(large, huge ? '{' : '(', sizeof large);
        gguf_str_n(&w, "tokenizer.chat_template", large, huge ? sizeof large : 20000);
        gguf_str_n(&w, "general.description", large, sizeof large);
        gguf_end(&w);
        write_model(&w);
        admit(TEXTS, huge ? "a template of a MiB" : "a template of 20,000 parentheses", "");
    }
    w = tiny_phi3_build(&m);
    gguf_append(&w.file, large, 12345);
    write_model(&w);
    admit(CUT, "bytes behind the end", "phi: model.gguf: the last 12345 bytes of the file belong to no tensor and are ignored");
    w = tiny_phi3_build(&m);
    gguf_append(&w.file, large, 31);
    write_model(&w);
    admit(CUT, "padding behind the end", "");
}

/* ---- Cut files -------------------------------------------------------------------------------------------------- */

static void check_cuts(void) {
    struct tiny_phi3 m = tiny_phi3_default();
    struct gguf_writer w = tiny_phi3_build(&m);
    size_t header = gguf_header_size(&w);
    const struct {
        size_t n;
        const char *words;
    } cuts[] = {
        {24, "header claims 24 keys, the file has room for 0"},
        {60, "header claims 24 keys, the file has room for 2"},
        {1000, "array of 300 str, the file has room for "},
        {gguf_where(&w, "tokenizer.ggml.scores", GGUF_AT_VALUE) + 100, "array of 300 f32, the file has room for 22"},
        {gguf_where(&w, "tokenizer.ggml.add_bos_token", GGUF_AT_VALUE) - 2, "inside the value of key #23"},
        {gguf_where(&w, "output.weight", GGUF_AT_NAME) + 5, "inside tensor #15"},
        {header - 1, "truncated: the file ends after | bytes, inside tensor #15; resume the download"},
        {header, "truncated: tensor 'output.weight' ends at |, file has | bytes (2 %); resume the download"},
        {w.file.n / 2, "truncated: tensor 'output.weight' ends at |, file has | bytes (50 %); resume the download"},
        {w.file.n - 1, "truncated: tensor 'output.weight' ends at |, file has | bytes (99 %); resume the download"},
    };
    for (size_t i = 0; i < sizeof cuts / sizeof *cuts; i++) {
        char what[64];
        snprintf(what, sizeof what, "cut at %zu", cuts[i].n);
        gguf_write_file(path, w.file.p, cuts[i].n);
        refuse(CUT, what, cuts[i].words);
    }
    gguf_free(&w);
}

/* The header of a real file, 726 KB, cut at every 997th byte. */
static void check_real_cuts(void) {
    char from[600];
    snprintf(from, sizeof from, "%s/tokenizer/ggml-vocab-phi-3.gguf", check_shared());
    FILE *f = fopen(from, "rb");
    if (!f || !has_program) {
        SKIP("cuts of a real header: no %s", f ? "./phi" : from);
        if (f) fclose(f);
        return;
    }
    static char bytes[1 << 20];
    size_t n = fread(bytes, 1, sizeof bytes, f);
    fclose(f);
    for (size_t cut = 0; cut < n; cut += 997) {
        char what[64];
        snprintf(what, sizeof what, "the real header, cut at %zu", cut);
        gguf_write_file(path, bytes, cut);
        struct program_outcome o =
            run(what, (const char *const[]){"phi", "tokenize", "-m", "model.gguf", "-p", "a", NULL});
        CHECK(o.code == 3 && !o.n_out && program_one_line(o.err) && !strncmp(o.err, "phi: error: model.gguf: ", 24),
              "%s: exit code %d, \"%s\"", what, o.code, o.err);
    }
    gguf_write_file(path, bytes, n);
    struct program_outcome o = run("the real header", (const char *const[]){"phi", "tokenize", "-m", "model.gguf", "-p", "a", NULL});
    CHECK(o.code == 0 && o.n_out, "%s", o.err);
}

/* ---- Weights that are no numbers -------------------------------------------------------------------------------- */

/* The file opens, and what it is asked for tells. Weight number index of the tensor, in its own bytes. */
static void check_weight(const char *tensor, uint32_t id, size_t at, uint64_t bits, size_t n_bytes, const char *place) {
    struct tiny_phi3 m = tiny_phi3_default();
    int status;
    char words[200];
    m.n_ff = 256;
    m.type[0] = (struct tiny_phi3_type){"ffn_down", id};
    struct gguf_writer w = tiny_phi3_build(&m);
    size_t data = w.file.n - w.data.n + (size_t)phi_little_endian(w.file.p + gguf_where(&w, tensor, GGUF_AT_TYPE) + 4, 8);
    gguf_put(&w, data + at, bits, n_bytes);
    write_model(&w);
    categories[WEIGHTS].accepted++;
    open_both(tensor, &status);
    CHECK(status == 0, "%s: status %d", tensor, status);
    if (!has_program) return;
    struct program_outcome o = run(tensor, info_arguments(NULL));
    CHECK(o.code == 0, "%s: info: exit code %d", tensor, o.code);
    o = run(tensor, info_arguments("--verify"));
    snprintf(words, sizeof words, "phi: error: model.gguf: tensor '%s' (|is not finite in row |, column ", tensor);
    CHECK(o.code == 3 && !o.n_out && program_one_line(o.err) && has_words(o.err, words), "%s: exit code %d, \"%s\"", tensor,
          o.code, o.err);
    o = run(tensor, (const char *const[]){"phi", "-q", "-m", "model.gguf", "-p", "a", "-n", "2", "--check-tensors", NULL});
    CHECK(o.code == 3 && !o.n_out && program_one_line(o.err) && has_words(o.err, words), "%s: exit code %d, \"%s\"", tensor,
          o.code, o.err);
    o = run(tensor, (const char *const[]){"phi", "-q", "-m", "model.gguf", "-p", "a", "-n", "2", NULL});
    CHECK(o.code == 1 && !o.n_out && program_one_line(o.err) && strstr(o.err, place), "%s: exit code %d, \"%s\"", tensor,
          o.code, o.err);
}

static void check_weights(void) {
    check_weight("blk.0.attn_norm.weight", 0, 8, 0x7fc00000, 4, "since layer 0 (blk.0.*)");
    check_weight("output_norm.weight", 0, 0, 0x7f800000, 4, "since the output head");
    check_weight("token_embd.weight", 0, 64 * 4 * TINY_PHI3_BOS, 0x7fc00000, 4, "since the embedding of token 0 (id 1)");
    check_weight("blk.1.ffn_down.weight", 2, 0, 0x7e00, 2, "since layer 1 (blk.1.*)"); /* the scale of a Q4_0 block */
    check_weight("blk.0.ffn_down.weight", 12, 2, 0xfc00, 2, "since layer 0 (blk.0.*)"); /* the minimum of a Q4_K block */
}

/* ---- Things that are no files ----------------------------------------------------------------------------------- */

static void check_objects(void) {
    unlink(path);
    refuse(OBJECT, "nothing there", "No such file or directory; check the path of the model");
    if (mkdir(path, 0777) == 0) refuse(OBJECT, "a directory", "is a directory, not a regular file");
    rmdir(path);
    if (mkfifo(path, 0666) == 0) refuse(OBJECT, "a FIFO", "is a FIFO, not a regular file");
    unlink(path);
    static const struct {
        const char *what, *to, *words;
    } links[] = {{"a dangling link", "nowhere", "is a link to a file that does not exist"},
                 {"a link to itself", "model.gguf", "Too many symbolic links"},
                 {"an endless device", "/dev/zero", "is a character device, not a regular file"},
                 {"an empty device", "/dev/null", "is a character device, not a regular file"}};
    for (size_t i = 0; i < sizeof links / sizeof *links; i++) {
        if (symlink(links[i].to, path) == 0) refuse(OBJECT, links[i].what, links[i].words);
        unlink(path);
    }
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = strlen(path) < sizeof address.sun_path ? socket(AF_UNIX, SOCK_STREAM, 0) : -1;
    if (fd >= 0) strcpy(address.sun_path, path);
    if (fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof address) == 0)
        refuse(OBJECT, "a socket", "is a socket, not a regular file");
    else
        SKIP("a socket: cannot make one here");
    if (fd >= 0) close(fd);
    unlink(path);
    struct tiny_phi3 m = tiny_phi3_default();
    struct gguf_writer w = tiny_phi3_build(&m);
    write_model(&w);
    if (geteuid() == 0) {
        SKIP("no permission: root has every permission");
    } else {
        chmod(path, 0);
        refuse(OBJECT, "no permission", "Permission denied; make the file and its folders readable");
        chmod(path, 0666);
    }
    name_file("link.gguf");
    if (symlink("model.gguf", path) == 0) admit(OBJECT, "a link to a model", "");
    name_file("model.gguf/x");
    refuse(OBJECT, "a file as a folder", "Not a directory");
    name_file("model.gguf");
}

/* ---- Sessions --------------------------------------------------------------------------------------------------- */

/* Damage to the session of two runs: a run goes on without it and says so, a strict one ends. */
static void check_sessions(void) {
    static const struct {
        const char *what;
        size_t at, n; /* n bytes of 0xff there; n 0: the file is cut at `at` */
    } cases[] = {
        {"version", 8, 4},      {"model", 16, 8},        {"vocabulary", 24, 4},       {"CRC of the header", 68, 4},
        {"both slots", 4096, 4132}, {"cut in the header", 40, 0}, {"cut before the states", 12288, 0},
    };
    static const char *const arguments[] = {"phi", "--no-perf", "-m", "model.gguf", "--session", "s", "-p", "ab", "-n", "2", "--temp", "0", NULL};
    static const char *const strict[] = {"phi", "-m", "model.gguf", "--session", "s", "-p", "ab", "-n", "2", "--session-strict", NULL};
    static char good[1 << 20], bad[sizeof good];
    struct tiny_phi3 m = tiny_phi3_default();
    struct gguf_writer w = tiny_phi3_build(&m);
    write_model(&w);
    if (!has_program) return;
    name_file("s");
    struct program_outcome o = run("a session", arguments);
    CHECK(o.code == 0, "%s", o.err);
    size_t n = program_read(dir, "s", good, sizeof good);
    CHECK(n > 12288 && n < sizeof good, "a session of %zu bytes", n);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        memcpy(bad, good, n);
        memset(bad + cases[i].at, 0xff, cases[i].n);
        for (int is_strict = 1; is_strict >= 0; is_strict--) {
            gguf_write_file(path, bad, cases[i].n ? n : cases[i].at);
            o = run(cases[i].what, is_strict ? strict : arguments);
            const char *says = is_strict ? "phi: error: s: session ignored: " : "phi: warning: s: session ignored: ";
            CHECK(o.code == is_strict && !(is_strict && (o.n_out || !program_one_line(o.err))) && strstr(o.err, says),
                  "session, %s: exit code %d, %zu bytes, \"%s\"", cases[i].what, o.code, o.n_out, o.err);
        }
        categories[SESSION].refused++;
    }
    for (int empty = 0; empty < 2; empty++) { /* another file is not touched; an empty one is a session that begins */
        gguf_write_file(path, "somebody's letter", empty ? 0 : 17);
        o = run("no session", arguments);
        CHECK(o.code == (empty ? 0 : 2) && (empty || strstr(o.err, "is not a session file")), "exit code %d, \"%s\"", o.code,
              o.err);
        CHECK(empty || (program_read(dir, "s", bad, sizeof bad) == 17 && !memcmp(bad, "somebody's", 10)), "a file was touched");
        if (empty)
            categories[SESSION].accepted++;
        else
            categories[SESSION].refused++;
    }
    name_file("model.gguf");
}

/* ---- All of it -------------------------------------------------------------------------------------------------- */

/* The limit of 100 ms is for an ordinary machine; a very slow one is measured with a good file. */
static void measure_good(void) {
    struct tiny_phi3 m = tiny_phi3_default();
    struct gguf_writer w = tiny_phi3_build(&m);
    write_model(&w);
    has_program = realpath("phi", program) != NULL;
    if (!has_program) SKIP("no ./phi");
    admit(CUT, "the model without a defect", "");
    limit_cpu = most_cpu * 20 > 0.1 ? most_cpu * 20 : 0.1;
}

static void print_counts(void) {
    int refused = 0, accepted = 0;
    for (int i = 0; i < N_CATEGORY; i++) {
        printf("%-18s %3d refused, %2d accepted\n", categories[i].name, categories[i].refused, categories[i].accepted);
        CHECK(categories[i].refused + categories[i].accepted >= 3 || (i == SESSION && !has_program), "%s: only %d cases",
              categories[i].name, categories[i].refused + categories[i].accepted);
        refused += categories[i].refused;
        accepted += categories[i].accepted;
    }
    printf("%-18s %3d refused, %2d accepted\n", "all", refused, accepted);
    CHECK(refused >= 160, "%d malformed files", refused);
    if (has_program)
        printf("most: %.0f ms of processor time (%s), %.1f MiB beside the file (%s)\n", 1e3 * most_cpu, cpu_of,
               (double)most_memory / 1048576, memory_of);
}

int main(int argc, char **argv) {
    gguf_make_dir(argc, argv, dir);
    name_file("model.gguf");
    measure_good();
    check_foreign();
    check_sites();
    check_keys();
    check_more_keys();
    check_tensors();
    check_tokens();
    check_cuts();
    check_real_cuts();
    check_weights();
    check_objects();
    check_sessions();
    print_counts();
    gguf_remove_dir(dir);
    return check_done("check_malformed");
}
