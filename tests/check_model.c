/* What model.c refuses, and in which words: a tiny model with one defect in a hyper-parameter or in the set of
 * tensors. Every answer is PHI_MODEL with one line that names the thing, what was found and what was expected, and
 * nothing leaks. And what it must accept: wider integers, defaults, more embedding rows than tokens. Defects of the
 * container are in check_gguf.c, those of the vocabulary in check_tokenizer.c. */
#include "../src/memory.h"
#include "../src/model.h"
#include "gguf_writer.h"

static char dir[512], path[600];

/* Opens what w holds, which must be refused with these words. Frees w. */
static void refuse(const char *what, struct gguf_writer w, const char *words) {
    phi_error err = {""};
    phi_model *m = NULL;
    gguf_save(&w, path);
    gguf_free(&w);
    unsigned long long live = phi_memory_live();
    int got = phi_model_open(path, &m, &err);
    CHECK(got == PHI_MODEL && !m, "%s: status %d: %s", what, got, err.text);
    CHECK(strstr(err.text, words), "%s: \"%s\" lacks \"%s\"", what, err.text, words);
    CHECK(strstr(err.text, "phi-test-") && !strchr(err.text, '\n') && strlen(err.text) < sizeof err.text - 1,
          "%s: \"%s\"", what, err.text);
    CHECK(phi_model_open(path, &m, NULL) == got, "%s: without phi_error", what);
    phi_model_close(m);
    CHECK(phi_memory_live() == live, "%s: leaks", what);
}

/* Opens what w holds, which must be fine, and closes it. Frees w. */
static struct phi_model accept(const char *what, struct gguf_writer w) {
    phi_error err = {""};
    phi_model *m = NULL;
    struct phi_model copy = {.window = -1};
    gguf_save(&w, path);
    gguf_free(&w);
    int got = phi_model_open(path, &m, &err);
    CHECK(got == 0 && !err.text[0], "%s: status %d: %s", what, got, err.text);
    if (m) copy = *m; /* numbers; the pointers in it are void after this function */
    phi_model_close(m);
    return copy;
}

/* The default model, or one with rotary lists, in which a key is replaced; type PHI_GGUF_N_TYPE: left out. */
static struct gguf_writer with_key(struct tiny_phi3 m, const char *key, enum phi_gguf_type type, uint64_t bits) {
    m.skip = key;
    struct gguf_writer w = tiny_phi3_build(&m);
    if (type == PHI_GGUF_STRING)
        gguf_str(&w, key, "64");
    else if (type == PHI_GGUF_ARRAY)
        gguf_array(&w, key, PHI_GGUF_U32, 0);
    else if (type != PHI_GGUF_N_TYPE)
        gguf_scalar(&w, key, type, bits);
    gguf_end(&w);
    return w;
}

static uint64_t f32(float v) {
    return f32_bits(v);
}

/* ---- Hyper-parameters ---- */

static const char *const integers[] = {"context_length", "embedding_length", "feed_forward_length", "block_count",
                                       "attention.head_count"};

static void check_integers(void) {
    for (size_t i = 0; i < sizeof integers / sizeof integers[0]; i++) {
        const struct {
            const char *what;
            enum phi_gguf_type type;
            uint64_t bits;
            const char *words;
        } defects[] = {
            {"missing", PHI_GGUF_N_TYPE, 0, " is missing"},
            {"zero", PHI_GGUF_U32, 0, " 0: must be 1 to "},
            {"negative", PHI_GGUF_I32, (uint64_t)-1, " -1: must be 1 to "},
            {"huge", PHI_GGUF_U32, 4294967295u, " 4294967295: must be 1 to "},
            {"more than 64 bits hold with a sign", PHI_GGUF_U64, 1ull << 63, " 9223372036854775808: must be 1 to "},
            {"a float", PHI_GGUF_F32, f32(64), " has the type f32, expected an integer"},
            {"a string", PHI_GGUF_STRING, 0, " has the type str, expected an integer"},
            {"an array", PHI_GGUF_ARRAY, 0, " has the type arr, expected an integer"},
            {"a bool", PHI_GGUF_BOOL, 1, " has the type bool, expected an integer"},
        };
        char key[64], what[128], words[128];
        snprintf(key, sizeof key, "phi3.%s", integers[i]);
        for (size_t k = 0; k < sizeof defects / sizeof defects[0]; k++) {
            snprintf(what, sizeof what, "%s %s", key, defects[k].what);
            snprintf(words, sizeof words, "%s%s", key, defects[k].words);
            refuse(what, with_key(tiny_phi3_default(), key, defects[k].type, defects[k].bits), words);
        }
    }
}

static void check_keys(void) {
    struct tiny_phi3 plain = tiny_phi3_default(), odd = plain, longrope = plain;
    odd.n_embd = 66;
    longrope.factors = true;
    longrope.n_ctx_orig = 64;
    const struct {
        const struct tiny_phi3 *model;
        const char *key;
        enum phi_gguf_type type;
        uint64_t bits;
        const char *words;
    } defects[] = {
        {&plain, "general.architecture", PHI_GGUF_N_TYPE, 0, "general.architecture is missing"},
        {&plain, "general.architecture", PHI_GGUF_U32, 3, "general.architecture has the type u32, expected a string"},
        {&plain, "general.architecture", PHI_GGUF_STRING, 0, "general.architecture is '64', expected 'phi3'"},
        {&plain, "phi3.attention.head_count_kv", PHI_GGUF_U32, 0, "phi3.attention.head_count_kv 0: must be 1 to "},
        {&plain, "phi3.attention.head_count_kv", PHI_GGUF_U32, 3,
         "phi3.attention.head_count 4 is no multiple of head_count_kv 3"},
        {&plain, "phi3.attention.head_count_kv", PHI_GGUF_U32, 8,
         "phi3.attention.head_count 4 is no multiple of head_count_kv 8"},
        {&plain, "phi3.attention.head_count_kv", PHI_GGUF_N_TYPE, 0,
         "tensor 'blk.0.attn_qkv.weight' has shape 64 x 128, expected 64 x 192"},
        {&plain, "phi3.attention.head_count", PHI_GGUF_U32, 6,
         "phi3.embedding_length 64 is no multiple of attention.head_count 6"},
        {&plain, "phi3.attention.head_count", PHI_GGUF_U32, 8, "phi3.rope.dimension_count 16: must be even, 2 to 8"},
        {&plain, "phi3.attention.head_count", PHI_GGUF_U32, 128,
         "phi3.attention.head_count 128: heads of 0 keys and 0 values do not fit embedding_length 64"},
        {&plain, "phi3.attention.head_count", PHI_GGUF_U32, 2, "has shape 64 x 128, expected 64 x 192"},
        {&plain, "phi3.attention.key_length", PHI_GGUF_U32, 0, "phi3.attention.key_length 0: must be 1 to "},
        {&plain, "phi3.attention.key_length", PHI_GGUF_U32, 32,
         "'blk.0.attn_qkv.weight' has shape 64 x 128, expected 64 x 256"},
        {&plain, "phi3.attention.key_length", PHI_GGUF_U32, 1 << 20,
         "phi3.attention.head_count 4: heads of 1048576 keys and 1048576 values do not fit"},
        {&plain, "phi3.attention.value_length", PHI_GGUF_U32, 8, "heads of 16 keys and 8 values"},
        {&plain, "phi3.rope.dimension_count", PHI_GGUF_U32, 0, "phi3.rope.dimension_count 0: must be even, 2 to 16"},
        {&plain, "phi3.rope.dimension_count", PHI_GGUF_U32, 15,
         "phi3.rope.dimension_count 15: must be even, 2 to 16"},
        {&plain, "phi3.rope.dimension_count", PHI_GGUF_U32, 18, "phi3.rope.dimension_count 18: must be even, 2 to 16"},
        {&plain, "phi3.rope.scaling.type", PHI_GGUF_STRING, 0,
         "phi3.rope.scaling.type is '64', expected 'none' or 'longrope'"},
        {&plain, "phi3.rope.freq_base", PHI_GGUF_F32, f32(0), "phi3.rope.freq_base 0: must be 1 to 1e+09"},
        {&plain, "phi3.rope.freq_base", PHI_GGUF_F32, f32(-10000), "phi3.rope.freq_base -10000: must be 1 to 1e+09"},
        {&plain, "phi3.rope.freq_base", PHI_GGUF_F32, f32(1e30f), "phi3.rope.freq_base 1e+30: must be 1 to 1e+09"},
        {&plain, "phi3.rope.freq_base", PHI_GGUF_F32, 0x7f800000, "phi3.rope.freq_base inf: must be 1 to 1e+09"},
        {&plain, "phi3.rope.freq_base", PHI_GGUF_F32, 0x7fc00000, "phi3.rope.freq_base nan: must be 1 to 1e+09"},
        {&plain, "phi3.rope.freq_base", PHI_GGUF_STRING, 0,
         "phi3.rope.freq_base has the type str, expected a number"},
        {&plain, "phi3.attention.layer_norm_rms_epsilon", PHI_GGUF_N_TYPE, 0,
         "phi3.attention.layer_norm_rms_epsilon is missing"},
        {&plain, "phi3.attention.layer_norm_rms_epsilon", PHI_GGUF_F32, f32(0),
         "phi3.attention.layer_norm_rms_epsilon 0: must be 1e-12 to 1"},
        {&plain, "phi3.attention.layer_norm_rms_epsilon", PHI_GGUF_F32, f32(-1e-5f),
         "phi3.attention.layer_norm_rms_epsilon -1e-05: must be "},
        {&plain, "phi3.attention.layer_norm_rms_epsilon", PHI_GGUF_F32, f32(2),
         "phi3.attention.layer_norm_rms_epsilon 2: must be "},
        {&plain, "phi3.attention.layer_norm_rms_epsilon", PHI_GGUF_F64, 0x7ff8000000000000,
         "phi3.attention.layer_norm_rms_epsilon nan: must be "},
        {&plain, "phi3.attention.layer_norm_rms_epsilon", PHI_GGUF_BOOL, 1,
         "phi3.attention.layer_norm_rms_epsilon has the type bool"},
        {&plain, "phi3.rope.scaling.original_context_length", PHI_GGUF_U32, 0,
         "phi3.rope.scaling.original_context_length 0: must be 2 to "},
        {&plain, "phi3.rope.scaling.original_context_length", PHI_GGUF_U32, 1u << 31,
         "phi3.rope.scaling.original_context_length 2147483648: must be 2 to "},
        {&plain, "phi3.attention.sliding_window", PHI_GGUF_I32, (uint64_t)-1,
         "phi3.attention.sliding_window -1: must be 0 to "},
        {&plain, "phi3.attention.sliding_window", PHI_GGUF_F32, f32(2047),
         "phi3.attention.sliding_window has the type f32"},
        {&longrope, "phi3.rope.scaling.attn_factor", PHI_GGUF_F32, f32(0),
         "phi3.rope.scaling.attn_factor 0: must be 0.001 to 1000"},
        {&longrope, "phi3.rope.scaling.attn_factor", PHI_GGUF_F32, 0x7f800000,
         "phi3.rope.scaling.attn_factor inf: must be "},
        {&plain, "phi3.embedding_length", PHI_GGUF_U32, 128,
         "tensor 'token_embd.weight' has shape 64 x 300, expected 128 x 300"},
        {&plain, "phi3.feed_forward_length", PHI_GGUF_U32, 48,
         "tensor 'blk.0.ffn_up.weight' has shape 64 x 192, expected 64 x 96"},
        {&plain, "phi3.block_count", PHI_GGUF_U32, 3, "tensor 'blk.2.attn_norm.weight' is missing"},
        {&plain, "phi3.block_count", PHI_GGUF_U32, 4096, "tensor 'blk.4095.attn_norm.weight' is missing"},
        {&plain, "phi3.block_count", PHI_GGUF_U32, 1,
         "phi3.block_count is 1, but there is a tensor 'blk.1.attn_norm.weight'"},
        {&odd, "phi3.attention.head_count", PHI_GGUF_U32, 4,
         "phi3.embedding_length 66 is no multiple of attention.head_count 4"},
        {&plain, "tokenizer.ggml.model", PHI_GGUF_N_TYPE, 0, "tokenizer.ggml.model is missing"},
    };
    for (size_t i = 0; i < sizeof defects / sizeof defects[0]; i++)
        refuse(defects[i].key, with_key(*defects[i].model, defects[i].key, defects[i].type, defects[i].bits),
               defects[i].words);
}

static void check_architecture_text(void) {
    static const struct {
        const char *text, *words;
        size_t n;
    } texts[] = {
        {"gemma", "general.architecture is 'gemma', expected 'phi3'", 5},
        {"llama", "llama.context_length is missing", 5},
        {"", "general.architecture is '', expected 'phi3'", 0},
        {"phi", "general.architecture is 'phi', expected 'phi3'", 3},
        {"phi3small", "general.architecture is 'phi3small', expected 'phi3'", 9},
        {"phi3\0x", "general.architecture is 'phi3\\x00x', expected 'phi3'", 6},
        {"\x1b[2J\n\xff", "general.architecture is '\\x1b[2J\\x0a\\xff', expected 'phi3'", 6},
    };
    struct tiny_phi3 m = tiny_phi3_default();
    m.skip = "general.architecture";
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct gguf_writer w = tiny_phi3_build(&m);
        gguf_str_n(&w, "general.architecture", texts[i].text, texts[i].n);
        gguf_end(&w);
        refuse(texts[i].words, w, texts[i].words);
    }
    struct gguf_writer w = tiny_phi3_build(&m);
    static char long_text[100000];
    memset(long_text, 'x', sizeof long_text);
    gguf_str_n(&w, "general.architecture", long_text, sizeof long_text);
    gguf_end(&w);
    refuse("a long architecture", w, "xxx...', expected 'phi3'");
}

/* ---- The set of tensors ---- */

/* A model in which one tensor's entry is changed after the file is finished. */
static void refuse_table(const char *what, struct tiny_phi3 m, const char *tensor, enum gguf_place place, size_t plus,
                         uint64_t v, size_t n_bytes, const char *words) {
    struct gguf_writer w = tiny_phi3_build(&m);
    gguf_put(&w, gguf_where(&w, tensor, place) + plus, v, n_bytes);
    refuse(what, w, words);
}

static void check_missing(void) {
    struct tiny_phi3 forms[3] = {tiny_phi3_default(), tiny_phi3_default(), tiny_phi3_default()};
    forms[1].split = true;
    forms[2].factors = true;
    forms[2].n_ctx_orig = 64;
    for (size_t i = 0; i < 3; i++) {
        struct gguf_writer w = tiny_phi3_build(&forms[i]);
        for (size_t k = 0; k < w.n_mark; k++) {
            char words[128];
            if (!w.mark[k].is_tensor || !strcmp(w.mark[k].name, "output.weight")) continue; /* that is a tied model */
            struct tiny_phi3 m = forms[i];
            m.skip = w.mark[k].name;
            if (strstr(m.skip, "ffn_gate")) /* then ffn_up should hold both */
                snprintf(words, sizeof words, "blk.%c.ffn_up.weight' has shape 64 x 96, expected 64 x 192",
                         m.skip[4]);
            else
                snprintf(words, sizeof words, "tensor '%s' is missing", m.skip);
            refuse(m.skip, tiny_phi3_build(&m), words);
        }
        gguf_free(&w);
    }
}

static void check_shapes(void) {
    struct tiny_phi3 fused = tiny_phi3_default(), split = fused;
    split.split = true;
    struct gguf_writer w = tiny_phi3_build(&fused), s = tiny_phi3_build(&split);
    for (int form = 0; form < 2; form++) {
        const struct gguf_writer *from = form ? &s : &w;
        for (size_t k = 0; k < from->n_mark; k++) {
            if (!from->mark[k].is_tensor) continue;
            const char *name = from->mark[k].name;
            size_t at = gguf_where(from, name, GGUF_AT_VALUE);
            uint64_t n_dim = phi_little_endian(from->file.p + at, 4),
                     columns = phi_little_endian(from->file.p + at + 4, 8);
            uint64_t rows = n_dim == 2 ? phi_little_endian(from->file.p + at + 12, 8) : 1;
            char what[128], words[192];
            snprintf(what, sizeof what, "%s transposed", name);
            snprintf(words, sizeof words, "tensor '%s' has shape %d x %d, expected %d x %d", name, (int)rows,
                     (int)columns, (int)columns, (int)rows);
            struct gguf_writer bad = tiny_phi3_build(form ? &split : &fused);
            if (n_dim == 2) {
                gguf_put(&bad, at + 4, rows, 8);
                gguf_put(&bad, at + 12, columns, 8);
                if (!strcmp(name, "token_embd.weight"))
                    snprintf(words, sizeof words, "300 tokens, but tensor 'token_embd.weight' has 64 rows");
            } else {
                snprintf(words, sizeof words, "tensor '%s' has shape 32, expected 64", name);
                gguf_put(&bad, at + 4, 32, 8);
            }
            if (rows == columns) {
                gguf_free(&bad);
            } else {
                refuse(what, bad, words);
            }
            snprintf(what, sizeof what, "%s is one row short", name);
            if (n_dim != 2 || !strcmp(name, "token_embd.weight") || !strcmp(name, "output.weight")) continue;
            snprintf(words, sizeof words, "has shape %d x %d, expected %d x %d", (int)columns, (int)rows - 1,
                     (int)columns, (int)rows);
            refuse_table(what, form ? split : fused, name, GGUF_AT_VALUE, 12, rows - 1, 8, words);
        }
    }
    gguf_free(&w);
    gguf_free(&s);
}

static void check_types(void) {
    static const char *const norms[] = {"output_norm.weight", "blk.0.attn_norm.weight", "blk.1.ffn_norm.weight"};
    for (size_t i = 0; i < 3; i++) {
        char words[128];
        snprintf(words, sizeof words, "tensor '%s' is F16, expected F32", norms[i]);
        refuse_table("norm in F16", tiny_phi3_default(), norms[i], GGUF_AT_TYPE, 0, 1, 4, words);
        snprintf(words, sizeof words, "tensor '%s' is Q8_0, expected F32", norms[i]);
        refuse_table("norm in Q8_0", tiny_phi3_default(), norms[i], GGUF_AT_TYPE, 0, 8, 4, words);
    }
}

static struct gguf_writer with_tensor(const char *name) {
    struct tiny_phi3 m = tiny_phi3_default();
    struct gguf_writer w = tiny_phi3_build(&m);
    gguf_tensor(&w, name, 0, (uint64_t[]){64}, 1, NULL, 256);
    gguf_end(&w);
    return w;
}

static void check_extra(void) {
    static const char *const strangers[] = {"blk.0.attn_qkv.bias",
                                            "rope_freqs.weight",
                                            "blk.0.attn_qkv.weight2",
                                            "blk.00.attn_norm.weight",
                                            "blk.+1.attn_norm.weight",
                                            "blk.-1.attn_norm.weight",
                                            "blk. 1.attn_norm.weight",
                                            "blk.0.attn_norm.weight ",
                                            "v.patch_embd.weight",
                                            "blk.12345.attn_norm.weight",
                                            "\n"};
    for (size_t i = 0; i < sizeof strangers / sizeof strangers[0]; i++) {
        char words[128], quoted[PHI_QUOTE_SIZE];
        snprintf(words, sizeof words, "tensor '%s' is no part of the Phi-3 architecture",
                 phi_quote(quoted, strangers[i], strlen(strangers[i])));
        refuse(strangers[i], with_tensor(strangers[i]), words);
    }
    refuse("a block behind a gap", with_tensor("blk.7.attn_norm.weight"),
           "tensor 'blk.7.attn_norm.weight' is no part of the Phi-3 architecture");
    refuse("q beside qkv", with_tensor("blk.1.attn_q.weight"),
           "tensor 'blk.1.attn_q.weight' is no part of the Phi-3 architecture");
    refuse("v beside qkv", with_tensor("blk.1.attn_v.weight"),
           "tensor 'blk.1.attn_v.weight' is no part of the Phi-3 architecture");
    refuse("a gate beside gate and up", with_tensor("blk.1.ffn_gate.weight"),
           "tensor 'blk.1.ffn_gate.weight' has shape 64, expected 64 x 96");
}

/* Blocks of which only the first norm is there: no memory is taken for their number. */
static void check_hollow_blocks(void) {
    struct gguf_writer w = gguf_begin(3);
    struct tiny_phi3 m = tiny_phi3_default();
    m.n_layer = 4096;
    m.n_embd = 1 << 16;
    char name[64];
    tiny_phi3_keys(&w, &m);
    tiny_phi3_vocabulary(&w, m.n_vocab);
    uint64_t row = 1 << 16;
    gguf_tensor(&w, "token_embd.weight", 2, (uint64_t[]){row, 300}, 2, NULL, row / 32 * 18 * 300);
    for (int i = 0; i < m.n_layer; i++) {
        snprintf(name, sizeof name, "blk.%d.attn_norm.weight", i);
        gguf_tensor(&w, name, 0, (uint64_t[]){1}, 1, NULL, 4);
    }
    gguf_end(&w);
    refuse("4096 hollow blocks", w,
           "phi3.block_count 4096: the norms alone take 2147745792 bytes, all tensors have ");
}

static void check_factors(void) {
    struct tiny_phi3 m = tiny_phi3_default();
    m.factors = true;
    m.n_ctx_orig = 64;
    static const struct {
        uint32_t bits;
        const char *words;
    } bad[] = {
        {0, "holds 0 at 3, expected a factor of 0.00012207 to 1e+06"},
        {0x80000000, "holds -0 at 3"},
        {0xbf800000, "holds -1 at 3"},
        {0x7f800000, "holds inf at 3"},
        {0x7fc00000, "nan at 3"},
        {0x00000001, "holds 1.4013e-45 at 3"}, /* the angle would overflow */
        {0x38000000, "holds 3.05176e-05 at 3"},
        {0x7149f2ca, "holds 1e+30 at 3"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        for (int list = 0; list < 2; list++) {
            const char *name = list ? "rope_factors_long.weight" : "rope_factors_short.weight";
            struct gguf_writer w = tiny_phi3_build(&m);
            size_t entry = gguf_where(&w, name, GGUF_AT_TYPE), data = w.file.n - w.data.n;
            gguf_put(&w, data + phi_little_endian(w.file.p + entry + 4, 8) + 12, bad[i].bits, 4);
            refuse(name, w, bad[i].words);
        }
    refuse_table("short list of 7", m, "rope_factors_short.weight", GGUF_AT_VALUE, 4, 7, 8,
                 "tensor 'rope_factors_short.weight' has shape 7, expected 8");
    refuse_table("long list in F16", m, "rope_factors_long.weight", GGUF_AT_TYPE, 0, 1, 4,
                 "tensor 'rope_factors_long.weight' is F16, expected F32");
}

/* More tokens than embedding rows are refused; fewer are fine: files pad the embedding. */
static void check_vocabulary_size(void) {
    static const int sizes[] = {301, 400, 299, 297};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct tiny_phi3 m = tiny_phi3_default();
        struct gguf_writer w = gguf_begin(3);
        tiny_phi3_keys(&w, &m);
        tiny_phi3_vocabulary(&w, sizes[i]);
        tiny_phi3_tensors(&w, &m);
        gguf_end(&w);
        char words[128];
        snprintf(words, sizeof words, "%d tokens, but tensor 'token_embd.weight' has 300 rows", sizes[i]);
        if (sizes[i] > 300) {
            refuse(words, w, words);
            continue;
        }
        phi_error err = {""};
        phi_model *model = NULL;
        gguf_save(&w, path);
        gguf_free(&w);
        CHECK(phi_model_open(path, &model, &err) == 0 && model->n_vocab == 300, "%d tokens: %s", sizes[i], err.text);
        size_t n = 99;
        if (model) CHECK(phi_token_bytes(model, 299, true, &n) && n == 0, "a row without a token has %zu bytes", n);
        if (model) CHECK(!phi_token_is_stop(model, 299), "a row without a token stops");
        phi_model_close(model);
    }
}

/* ---- What must be accepted ---- */

static void check_widths(void) {
    static const enum phi_gguf_type types[] = {PHI_GGUF_U8,  PHI_GGUF_I8,  PHI_GGUF_U16, PHI_GGUF_I16,
                                               PHI_GGUF_I32, PHI_GGUF_U64, PHI_GGUF_I64};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        struct phi_model m = accept("an integer of another width",
                                    with_key(tiny_phi3_default(), "phi3.embedding_length", types[i], 64));
        CHECK(m.n_embd == 64, "type %d: %d", types[i], m.n_embd);
    }
    struct phi_model m =
        accept("freq_base as an integer", with_key(tiny_phi3_default(), "phi3.rope.freq_base", PHI_GGUF_U32, 10000));
    struct phi_model d =
        accept("freq_base missing", with_key(tiny_phi3_default(), "phi3.rope.freq_base", PHI_GGUF_N_TYPE, 0));
    CHECK(m.n_rot == 16 && d.n_rot == 16, "n_rot %d, %d", m.n_rot, d.n_rot);
    m = accept("epsilon in double precision", with_key(tiny_phi3_default(), "phi3.attention.layer_norm_rms_epsilon",
                                                       PHI_GGUF_F64, 0x3ee4f8b588e368f1));
    CHECK(m.norm_eps == 1e-5f, "%g", (double)m.norm_eps);
    struct tiny_phi3 without = tiny_phi3_default();
    without.skip = "phi3.rope.dimension_count";
    m = accept("dimension_count missing", tiny_phi3_build(&without));
    CHECK(m.n_rot == m.head_dim, "%d of %d dimensions are rotated", m.n_rot, m.head_dim);
    without.skip = "general.name";
    m = accept("no name", tiny_phi3_build(&without));
    m = accept("an unknown key", with_key(tiny_phi3_default(), "phi3.future.thing", PHI_GGUF_U32, 1));
}

/* phi3.attention.sliding_window: its default, and what switches it off. */
static void check_window(void) {
    static const struct {
        int n_ctx, key, wanted; /* key -1: left out */
    } cases[] = {
        {4096, -1, 2047},     {4096, 0, 0},  {4096, 2047, 2047}, {4096, 4095, 4095}, {4096, 4096, 0},
        {4096, 262144, 0},    {8192, -1, 0}, {4095, -1, 0},      {131072, -1, 0},    {131072, 262144, 0},
        {131072, 2048, 2048}, {128, 1, 1},   {128, 127, 127},    {128, 128, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct tiny_phi3 t = tiny_phi3_default();
        t.n_ctx = cases[i].n_ctx;
        enum phi_gguf_type type = cases[i].key < 0 ? PHI_GGUF_N_TYPE : PHI_GGUF_U32;
        struct phi_model m =
            accept("a window", with_key(t, "phi3.attention.sliding_window", type, (uint64_t)cases[i].key));
        CHECK(m.window == cases[i].wanted, "context %d, key %d: window %d, not %d", cases[i].n_ctx, cases[i].key,
              m.window, cases[i].wanted);
    }
}

/* A 128k model without rotary factors is warned about, others are not. */
static void check_warning(void) {
    static const struct {
        int n_ctx, n_original; /* 0: left out */
        bool warned;
    } cases[] = {{4096, 0, false}, {131072, 0, true}, {131072, 4096, true}, {16384, 0, false}, {4096, 4096, false}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct tiny_phi3 t = tiny_phi3_default();
        t.n_ctx = cases[i].n_ctx;
        enum phi_gguf_type type = cases[i].n_original ? PHI_GGUF_U32 : PHI_GGUF_N_TYPE;
        struct phi_model m = accept("a context", with_key(t, "phi3.rope.scaling.original_context_length", type,
                                                          (uint64_t)cases[i].n_original));
        bool warned = m.warning && strstr(m.warning, "no rotary factors");
        CHECK(warned == cases[i].warned, "context %d, original %d: warning '%s'", cases[i].n_ctx, cases[i].n_original,
              m.warning);
    }
}

int main(int argc, char **argv) {
    gguf_make_dir(argc, argv, dir);
    snprintf(path, sizeof path, "%s/model.gguf", dir);
    struct tiny_phi3 plain = tiny_phi3_default();
    accept("the model without a defect", tiny_phi3_build(&plain));
    check_integers();
    check_keys();
    check_architecture_text();
    check_missing();
    check_shapes();
    check_types();
    check_extra();
    check_hollow_blocks();
    check_factors();
    check_vocabulary_size();
    check_widths();
    check_window();
    check_warning();
    CHECK(phi_memory_live() == 0, "%llu allocations are left", phi_memory_live());
    gguf_remove_dir(dir);
    return check_done("check_model");
}
