/* phi convert below its command line: a small Hugging Face folder that this test writes, in one file and in shards, in every
 * type; configurations of all ages; both kinds of tokenizers; and damage: every header is hostile. */
#include "../src/convert.h"
#include "../src/memory.h"
#include "hf_folder.h"

#include <inttypes.h>
#include <sys/stat.h>

static char path_out[300];

/* ---- Converting ---- */

static int take(void *user, const void *bytes, size_t n, phi_error *err) {
    (void)err;
    gguf_append(user, bytes, n);
    return 0;
}

static int convert(const struct phi_type *type, int n_thread, struct gguf_bytes *out, uint64_t *n_changed, phi_error *err) {
    struct phi_convert c;
    struct phi_encode_calls calls = {take, NULL, out};
    out->n = 0;
    int status = phi_convert_open(hf_folder, type, &c, err);
    if (!status) status = phi_convert_write(&c, n_thread, &calls, n_changed, err);
    if (!status) CHECK(out->n == c.file_bytes, "%zu bytes, planned %" PRIu64, out->n, c.file_bytes);
    phi_convert_close(&c);
    return status;
}

/* Converts, opens the result as a model and as GGUF. */
static struct phi_gguf open_result(const struct phi_type *type, uint64_t *n_changed) {
    static struct gguf_bytes out;
    struct phi_gguf g;
    phi_error err = {""};
    phi_model *model = NULL;
    memset(&g, 0, sizeof g);
    CHECK(convert(type, 3, &out, n_changed, &err) == 0, "%s", err.text);
    gguf_write_file(path_out, out.p, out.n);
    CHECK(phi_model_open(path_out, &model, &err) == 0 && phi_model_verify(model, &err) == 0, "%s", err.text);
    phi_model_close(model);
    CHECK(phi_gguf_open(path_out, &g, &err) == 0, "%s", err.text);
    return g;
}

/* Every type into every type: bits kept, or the values of the encoder; vectors in F32. */
static void check_types(void) {
    static const enum phi_type_index from[] = {PHI_F32, PHI_F16, PHI_BF16}, to[] = {PHI_N_TYPE, PHI_F32, PHI_BF16, PHI_F16, PHI_Q8_0};
    hf_put_config("\"tie_word_embeddings\": false");
    for (int a = 0; a < 3; a++)
        for (int b = 0; b < 5; b++) {
            const struct phi_type *source = &phi_types[from[a]], *target = to[b] == PHI_N_TYPE ? NULL : &phi_types[to[b]];
            uint64_t changed = 0;
            hf_put_weights(source);
            struct phi_gguf g = open_result(target, &changed);
            const struct phi_gguf_tensor *down = phi_gguf_find_tensor(&g, "blk.1.ffn_down.weight"), *norm = phi_gguf_find_tensor(&g, "output_norm.weight");
            CHECK(g.n_tensor == 15 && down && norm, "%" PRIu64 " tensors", g.n_tensor);
            if (down && norm) {
                struct hf_entry e[32];
                struct gguf_bytes w = hf_shard(e, 12, hf_list_tensors(e) - 2, source); /* the last of the layers: ffn_down alone */
                float x[HF_FF], y[HF_FF];
                phi_type_decode_row(source, w.p + w.n - (size_t)(HF_EMBD * HF_FF * source->bytes), x, HF_FF);
                phi_type_decode_row(down->type, down->data, y, HF_FF);
                double most = down->type == source || down->type->index == PHI_F32 ? 0 : down->type->index == PHI_F16 ? 1e-4 : 2e-3;
                for (int i = 0; i < HF_FF; i++)
                    CHECK(fabs((double)x[i] - y[i]) <= most, "%s to %s: %g became %g", source->name, down->type->name, (double)x[i], (double)y[i]);
                CHECK(down->type == (target ? target : source) && norm->type->index == PHI_F32, "%s", down->type->name);
                CHECK(down->dim[0] == HF_FF && down->dim[1] == HF_EMBD, "%" PRIu64, down->dim[0]);
                CHECK((changed > 0) == (target && target->index == PHI_F16 && source->index != PHI_F16), "%" PRIu64 " changed", changed);
                free(w.p);
            }
            phi_gguf_close(&g);
        }
}

static void check_shards(void) {
    struct gguf_bytes one = {0}, many = {0};
    struct hf_entry e[32];
    phi_error err = {""};
    uint64_t changed;
    hf_list_tensors(e);
    hf_put_weights(&phi_types[PHI_BF16]);
    CHECK(convert(NULL, 1, &one, &changed, &err) == 0, "%s", err.text);
    hf_remove_file("model.safetensors");
    hf_put_shards(&phi_types[PHI_BF16]);
    CHECK(convert(NULL, 4, &many, &changed, &err) == 0, "%s", err.text);
    CHECK(one.n == many.n && memcmp(one.p, many.p, one.n) == 0, "one file and two shards differ");
    static const struct {
        const char *index, *says;
    } bad[] = {{"{\"weight_map\": {\"x\": \"../a.safetensors\"}}", "outside the folder"},
               {"{\"weight_map\": {\"x\": 7}}", "outside the folder"},
               {"{\"weight_map\": []}", "no weight_map"},
               {"[]", "no weight_map"},
               {"{\"weight_map\": {\"x\": \"c.safetensors\"}}", "No such file"},
               {"{\"weight_map\": {\"x\": \"a.safetensors\"}}", "is missing"},
               {"{", "expected"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        hf_put_text("model.safetensors.index.json", bad[i].index);
        CHECK(convert(NULL, 1, &many, &changed, &err) == PHI_MODEL && strstr(err.text, bad[i].says), "%s: %s", bad[i].index, err.text);
    }
    struct gguf_bytes a = hf_shard(e, 0, 6, &phi_types[PHI_BF16]);
    hf_put_file("b.safetensors", a.p, a.n);
    hf_put_text("model.safetensors.index.json", "{\"weight_map\": {\"x\": \"b.safetensors\", \"y\": \"a.safetensors\"}}");
    CHECK(convert(NULL, 1, &many, &changed, &err) == PHI_MODEL && strstr(err.text, "another shard"), "%s", err.text);
    hf_remove_file("model.safetensors.index.json");
    hf_remove_file("a.safetensors");
    hf_remove_file("b.safetensors");
    free(a.p);
    free(one.p);
    free(many.p);
}

/* ---- Damage ---- */

static int try(const void *bytes, size_t n, phi_error *err) {
    static struct gguf_bytes out;
    uint64_t changed;
    hf_put_file("model.safetensors", bytes, n);
    return convert(NULL, 1, &out, &changed, err);
}

/* The file with the first `what` in its header replaced by `with` of the same length. */
static void check_replaced(const struct gguf_bytes *file, const char *what, const char *with, const char *says) {
    phi_error err = {""};
    uint8_t *copy = malloc(file->n), *at;
    memcpy(copy, file->p, file->n);
    at = memmem(copy, file->n, what, strlen(what));
    CHECK(at && strlen(what) == strlen(with), "'%s' is not in the header", what);
    if (at) memcpy(at, with, strlen(with));
    CHECK(try(copy, file->n, &err) == PHI_MODEL && strstr(err.text, says), "%s: '%s', expected '%s'", with, err.text, says);
    free(copy);
}

static void check_damage(void) {
    struct hf_entry e[32];
    phi_error err = {""};
    struct gguf_bytes file = hf_shard(e, 0, hf_list_tensors(e), &phi_types[PHI_BF16]);
    CHECK(try(file.p, file.n, &err) == 0, "%s", err.text);
    static const struct {
        const char *what, *with, *says;
    } changes[] = {{"\"BF16\"", "\"F64\" ", "is F64, expected"},
                   {"\"BF16\"", "12    ", "no dtype"},
                   {"[300,64]", "[301,64]", "do not agree"},
                   {"[300,64]", "[64,300]", "config.json says"},
                   {"[300,64]", "[0,64]  ", "not a list"},
                   {"[300,64]", "[-3,64] ", "not a list"},
                   {"[300,64]", "[19200] ", "config.json says"},
                   {"[300,64]", "[3e9,64]", "not a list"},
                   {"[0,38400]", "[2,38402]", "overlaps"},
                   {"[0,38400]", "[0,38402]", "do not agree"},
                   {"[0,38400]", "[38400,0]", "not [begin, end]"},
                   {"[0,38400]", "[0,9e99] ", "not [begin, end]"},
                   {"[0,38400]", "[0]      ", "not [begin, end]"},
                   {"model.norm.weight", "model.norn.weight", "is missing"},
                   {"{\"__metadata__\"", "[\"__metadata__\"", "expected"}};
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) check_replaced(&file, changes[i].what, changes[i].with, changes[i].says);
    uint64_t n_head = phi_little_endian(file.p, 8);
    static const uint64_t lengths[] = {0, 1, UINT64_MAX, UINT64_MAX - 7, 1ull << 32, 1ull << 63};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        memcpy(file.p, &lengths[i], 8);
        CHECK(try(file.p, file.n, &err) == PHI_MODEL, "header of %" PRIu64 " bytes: %s", lengths[i], err.text);
    }
    memcpy(file.p, &n_head, 8);
    for (size_t n = 0; n < file.n; n += n < n_head + 8 ? 1 : 997)
        CHECK(try(file.p, n, &err) == PHI_MODEL, "cut at %zu of %zu: %s", n, file.n, err.text);
    unsigned long long random = check_seed();
    for (int i = 0; i < 400; i++) { /* must not crash; most are refused */
        size_t at = check_random(&random) % (n_head + 8);
        uint8_t old = file.p[at];
        file.p[at] ^= (uint8_t)(1 << check_random(&random) % 8);
        int status = try(file.p, file.n, &err);
        CHECK(status == 0 || status == PHI_MODEL || status == PHI_MEMORY, "byte %zu: %d", at, status);
        file.p[at] = old;
    }
    CHECK(try(file.p, file.n, &err) == 0, "%s", err.text);
    free(file.p);
}

/* ---- Configurations ---- */

static const char factors[] = "\"short_factor\": [1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1.5], \"long_factor\": [1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16]";

static void check_configs(void) {
    char text[1024];
    uint64_t changed;
    double v = 0;
    phi_error err = {""};
    static const struct {
        const char *rest;
        double scale; /* 0: no factors */
    } ages[] = {{"\"rope_scaling\": null", 0},
                {"\"rope_scaling\": {\"type\": \"su\", %s}", 1.0801234497346435},
                {"\"rope_scaling\": {\"rope_type\": \"longrope\", %s}", 1.0801234497346435},
                {"\"rope_scaling\": {\"type\": \"yarn\", %s}", 1.0693147180559945},
                {"\"rope_parameters\": {\"rope_type\": \"longrope\", \"rope_theta\": 500.0, \"attention_factor\": 1.25, %s}", 1.25},
                {"\"rope_parameters\": {\"rope_type\": \"default\", \"partial_rotary_factor\": 1.0}", 0}};
    hf_put_weights(&phi_types[PHI_F16]);
    for (size_t i = 0; i < sizeof ages / sizeof *ages; i++) {
        snprintf(text, sizeof text, ages[i].rest, factors);
        hf_put_config(text);
        struct phi_gguf g = open_result(NULL, &changed);
        int found = phi_gguf_get_f64(&g, "phi3.rope.scaling.attn_factor", 0, 9, &v, &err);
        CHECK(found == (ages[i].scale > 0) && (!found || fabs(v - ages[i].scale) < 1e-6), "%s: %d, %.9f", text, found, v);
        const struct phi_gguf_tensor *t = phi_gguf_find_tensor(&g, "rope_factors_long.weight");
        CHECK((t != NULL) == (found == 1) && (!t || load_f32(t->data + 4 * 15) == 16), "%s: factors", text);
        phi_gguf_close(&g);
    }
    static const struct {
        const char *rest, *says;
    } bad[] = {{"\"rope_scaling\": {\"type\": \"linear\"}", "rope_scaling"},
               {"\"rope_scaling\": {\"type\": \"su\", \"long_factor\": [1], \"short_factor\": [1]}", "long_factor"},
               {"\"rope_scaling\": {\"type\": \"su\"}", "long_factor"},
               {"\"partial_rotary_factor\": 0.01", "partial_rotary_factor"},
               {"\"head_dim\": 0", "head_dim"},
               {"\"head_dim\": \"x\"", "head_dim"},
               {"\"rms_norm_eps\": 2", "given twice"}};
    struct gguf_bytes out = {0};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        hf_put_config(bad[i].rest);
        int status = convert(NULL, 1, &out, &changed, &err);
        CHECK(status == PHI_MODEL && (i == 6 || strstr(err.text, bad[i].says)), "%s: %s", bad[i].rest, err.text);
    }
    hf_put_text("config.json", "{\"architectures\": [\"LlamaForCausalLM\"]}");
    CHECK(convert(NULL, 1, &out, &changed, &err) == PHI_MODEL && strstr(err.text, "'LlamaForCausalLM'"), "%s", err.text);
    hf_put_text("config.json", "[]");
    CHECK(convert(NULL, 1, &out, &changed, &err) == PHI_MODEL, "%s", err.text);
    hf_remove_file("config.json");
    CHECK(convert(NULL, 1, &out, &changed, &err) == PHI_MODEL && strstr(err.text, "config.json"), "%s", err.text);
    hf_put_config("\"tie_word_embeddings\": true"); /* lm_head is there, and is not needed */
    struct phi_gguf g = open_result(NULL, &changed);
    CHECK(!phi_gguf_find_tensor(&g, "output.weight"), "a tied model has an output matrix");
    phi_gguf_close(&g);
    hf_put_config("\"tie_word_embeddings\": false");
    free(out.p);
}

/* ---- Tokenizers ---- */

static void put_varint(struct gguf_bytes *b, uint64_t v) {
    for (; v > 127; v >>= 7) gguf_number(b, (v & 127) | 128, 1);
    gguf_number(b, v, 1);
}

static struct gguf_bytes make_sentencepiece(void) {
    struct gguf_bytes b = {0};
    for (int i = 0; i < 270; i++) {
        struct gguf_bytes piece = {0};
        char text[32];
        int type = i == 0 ? 2 : i < 3 ? 3 : i < 259 ? 6 : 1, n = snprintf(text, sizeof text, i < 259 ? "<0x%02X>" : "\xe2\x96\x81p%d", i < 259 ? i - 3 : i);
        if (i < 3) n = snprintf(text, sizeof text, "%s", (const char *[]){"<unk>", "<s>", "</s>"}[i]);
        put_varint(&piece, 1 << 3 | 2);
        put_varint(&piece, (uint64_t)n);
        gguf_append(&piece, text, (size_t)n);
        put_varint(&piece, 2 << 3 | 5);
        gguf_number(&piece, f32_bits((float)-i / 2), 4);
        if (type != 1) put_varint(&piece, 3 << 3), put_varint(&piece, (uint64_t)type);
        put_varint(&b, 1 << 3 | 2);
        put_varint(&b, piece.n);
        gguf_append(&b, piece.p, piece.n);
        free(piece.p);
    }
    put_varint(&b, 2 << 3 | 2); /* a trainer's settings: skipped */
    put_varint(&b, 3);
    gguf_append(&b, "abc", 3);
    return b;
}

static struct phi_str token(const struct phi_gguf *g, int id) {
    const struct phi_gguf_kv *kv = phi_gguf_find(g, "tokenizer.ggml.tokens");
    const uint8_t *at = kv->data;
    struct phi_str s = {"", 0};
    for (int i = 0; i <= id; i++) s = phi_gguf_next_str(&at);
    return s;
}

static bool token_is(const struct phi_gguf *g, int id, const char *text, int type) {
    struct phi_str s = token(g, id);
    return s.n == strlen(text) && memcmp(s.s, text, s.n) == 0 &&
           load_u32(phi_gguf_find(g, "tokenizer.ggml.token_type")->data + 4 * id) == (uint32_t)type;
}

static float score(const struct phi_gguf *g, int id) {
    return load_f32(phi_gguf_find(g, "tokenizer.ggml.scores")->data + 4 * id);
}

static uint64_t id_of(const struct phi_gguf *g, const char *key) {
    uint64_t v = UINT64_MAX;
    phi_error err;
    phi_gguf_get_u64(g, key, 0, UINT32_MAX, &v, &err);
    return v;
}

static void check_sentencepiece(void) {
    struct gguf_bytes b = make_sentencepiece(), out = {0};
    uint64_t changed;
    phi_error err = {""};
    hf_put_file("tokenizer.model", b.p, b.n);
    hf_put_text("tokenizer_config.json", "{\"add_bos_token\": false, \"eos_token\": \"<|end|>\", \"chat_template\": \"{{ x }}\","
                                      " \"added_tokens_decoder\": {\"0\": {\"content\": \"<unk>\", \"special\": true},"
                                      " \"290\": {\"content\": \"<|end|>\", \"special\": true},"
                                      " \"291\": {\"content\": \"<|x|>\", \"special\": false}, \"999\": {\"content\": \"far\"}}}");
    hf_put_text("generation_config.json", "{\"eos_token_id\": [259, 290]}");
    hf_put_text("added_tokens.json", "{\"<|y|>\": 292}");
    struct phi_gguf g = open_result(NULL, &changed);
    CHECK(token_is(&g, 0, "<unk>", 2) && token_is(&g, 1, "<s>", 3) && token_is(&g, 3, "<0x00>", 6), "first tokens");
    CHECK(token_is(&g, 269, "\xe2\x96\x81p269", 1) && score(&g, 269) == -134.5f, "score %g", (double)score(&g, 269));
    CHECK(token_is(&g, 290, "<|end|>", 3) && token_is(&g, 291, "<|x|>", 4) && token_is(&g, 292, "<|y|>", 4), "added tokens");
    CHECK(token_is(&g, 299, "[PAD299]", 5) && score(&g, 290) == -1000, "fillers");
    CHECK(id_of(&g, "tokenizer.ggml.eos_token_id") == 290 && id_of(&g, "tokenizer.ggml.bos_token_id") == 1 &&
              id_of(&g, "tokenizer.ggml.eot_token_id") == 290 && id_of(&g, "tokenizer.ggml.padding_token_id") == 259,
          "special ids");
    struct phi_str template = {"", 0};
    CHECK(phi_gguf_get_str(&g, "tokenizer.chat_template", &template, &err) == 1 && template.n == 7, "template");
    phi_gguf_close(&g);
    for (size_t n = 0; n < b.n; n += n < 200 ? 1 : 61) { /* a cut between pieces is a shorter vocabulary; the rest is refused */
        hf_put_file("tokenizer.model", b.p, n);
        int status = convert(NULL, 1, &out, &changed, &err);
        CHECK(status == 0 || status == PHI_MODEL, "cut at %zu: %d", n, status);
    }
    unsigned long long random = check_seed();
    for (int i = 0; i < 300; i++) {
        size_t at = check_random(&random) % b.n;
        uint8_t old = b.p[at];
        b.p[at] = (uint8_t)check_random(&random);
        hf_put_file("tokenizer.model", b.p, b.n);
        int status = convert(NULL, 1, &out, &changed, &err);
        CHECK(status == 0 || status == PHI_MODEL || status == PHI_MEMORY, "byte %zu: %d", at, status);
        b.p[at] = old;
    }
    hf_remove_file("tokenizer.model");
    hf_remove_file("added_tokens.json");
    hf_remove_file("generation_config.json");
    hf_remove_file("tokenizer_config.json");
    free(b.p);
    free(out.p);
}

static void check_tokenizer_json(void) {
    uint64_t changed;
    phi_error err = {""};
    struct gguf_bytes out = {0};
    char words[8192];
    int n = 0;
    for (int i = 0; i < 256; i++) n += snprintf(words + n, sizeof words - (size_t)n, "\"<0x%02X>\": %d, ", (unsigned)i, i + 3);
    char text[10240];
    snprintf(text, sizeof text,
             "{\"model\": {\"type\": \"BPE\", \"byte_fallback\": true, \"unk_token\": \"<unk>\", \"merges\": [], \"vocab\": {%s"
             " \"<unk>\": 0, \"\xe2\x96\x81t\": 260, \"\xe2\x96\x81\xe2\x96\x81\": 259}},"
             " \"added_tokens\": [{\"id\": 1, \"content\": \"<s>\", \"special\": true}]}",
             words);
    hf_put_text("tokenizer.json", text);
    struct phi_gguf g = open_result(NULL, &changed);
    CHECK(token_is(&g, 0, "<unk>", 2) && token_is(&g, 1, "<s>", 3) && token_is(&g, 13, "<0x0A>", 6), "first tokens");
    CHECK(score(&g, 260) == -1 && score(&g, 259) == -1e9f, "scores %g %g", (double)score(&g, 260), (double)score(&g, 259));
    phi_gguf_close(&g);
    static const char bpe[] = "{\"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": 0, \"b\": 1, \"ab\": 2}, \"merges\": %s}, \"pre_tokenizer\": %s}";
    static const struct {
        const char *merges, *cut, *says; /* says: the name of the way, or the error */
    } cases[] = {
        {"[\"a b\"]", "{\"type\": \"ByteLevel\"}", "gpt-2"},
        {"[[\"a\", \"b\"]]", "{\"type\": \"Sequence\", \"pretokenizers\": [{\"type\": \"Digits\"}, {\"type\": \"ByteLevel\"}]}", "smollm"},
        {"[\"a b\"]", "{\"pretokenizers\": [{\"pattern\": {\"Regex\": \"(?i:'s|'t)|[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?\\\\p{L}+|\\\\p{N}{1,3}| ?\"}}]}", "dbrx"},
        {"[\"a b\"]", "{\"pretokenizers\": [{\"pattern\": {\"Regex\": \"x\"}}]}", "cuts texts"},
        {"[\"a b\"]", "null", "cuts texts"},
        {"[7]", "{\"type\": \"ByteLevel\"}", "pair of texts"},
        {"{}", "{\"type\": \"ByteLevel\"}", "merges is missing"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        snprintf(text, sizeof text, bpe, cases[i].merges, cases[i].cut);
        hf_put_text("tokenizer.json", text);
        int status = convert(NULL, 1, &out, &changed, &err);
        if (i > 2) {
            CHECK(status == PHI_MODEL && strstr(err.text, cases[i].says), "%s: %s", text, err.text);
            continue;
        }
        CHECK(status == 0, "%s", err.text);
        gguf_write_file(path_out, out.p, out.n);
        struct phi_str pre = {"", 0};
        CHECK(phi_gguf_open(path_out, &g, &err) == 0 && phi_gguf_get_str(&g, "tokenizer.ggml.pre", &pre, &err) == 1, "%s", err.text);
        CHECK(pre.n == strlen(cases[i].says) && memcmp(pre.s, cases[i].says, pre.n) == 0, "%.*s", (int)pre.n, pre.s);
        const struct phi_gguf_kv *merges = phi_gguf_find(&g, "tokenizer.ggml.merges");
        CHECK(merges && merges->n == 1 && merges->n_bytes == 11 && memcmp(merges->data + 8, "a b", 3) == 0, "merges");
        phi_gguf_close(&g);
    }
    hf_remove_file("tokenizer.json");
    free(out.p);
}

static void check_short_memory(void) {
    struct gguf_bytes out = {0};
    unsigned long long live = phi_memory_live();
    int status = PHI_MEMORY, n = 0;
    uint64_t changed;
    while (status && ++n < 500) {
        phi_error err = {""};
        phi_memory_fail_at((unsigned long long)n);
        status = convert(NULL, 2, &out, &changed, &err);
        phi_memory_fail_at(0);
        CHECK(status == 0 || status == PHI_MEMORY || status == PHI_FAILED, "allocation %d: %d, %s", n, status, err.text);
        CHECK(phi_memory_live() == live, "allocation %d: %llu blocks lost", n, phi_memory_live() - live);
    }
    CHECK(n > 20 && n < 500, "%d allocations", n);
    free(out.p);
}

int main(int argc, char **argv) {
    (void)argc;
    snprintf(hf_folder, sizeof hf_folder, "%.*s.XXXXXX", (int)sizeof hf_folder - 16, argv[0]);
    if (!mkdtemp(hf_folder)) return 1;
    snprintf(path_out, sizeof path_out, "%s/out.gguf", hf_folder);
    check_types();
    check_shards();
    check_damage();
    check_configs();
    check_sentencepiece();
    check_tokenizer_json();
    check_short_memory();
    hf_remove_file("config.json");
    hf_remove_file("model.safetensors");
    unlink(path_out);
    CHECK(rmdir(hf_folder) == 0, "%s is not empty", hf_folder);
    return check_done("check_convert");
}
