/* Prompt formats: which ids stand around a message. Vocabularies are built for each member of the family; with the
 * test material beside the checkout, also the real one, and the demo model's answers to prompts that were rendered by
 * the original tokenizer. */
#include "check.h"
#include "gguf_writer.h"
#include "json.h"

enum { NORMAL = 1, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE, ROOM = 4096 };

static char dir[512], path[600];

/* ---- Vocabularies ---------------------------------------------------------------------------------------------- */

/* <unk> <s> </s>, the bytes, a space, then the tokens of `special` ("<|user|><|end|>..."), typed as the file likes.
 */
static phi_model *open_vocabulary(const char *special, int type, bool add_bos, int n_vocab) {
    struct gguf_writer w = gguf_begin(3);
    int n_special = 0;
    for (const char *at = special; (at = strstr(at, "|>")); at += 2) n_special++;
    int base = 260 + n_special, n = n_vocab > base ? n_vocab : base;
    gguf_str(&w, "general.architecture", "phi3");
    gguf_str(&w, "tokenizer.ggml.model", "llama");
    gguf_array(&w, "tokenizer.ggml.tokens", PHI_GGUF_STRING, (uint64_t)n);
    const char *at = special;
    for (int i = 0; i < n; i++) {
        static const char *const first[] = {"<unk>", "<s>", "</s>"};
        char text[64];
        snprintf(text, sizeof text,
                 i < 3     ? "%s"
                 : i < 259 ? "%s<0x%02X>"
                 : i < 260 ? "%s\xe2\x96\x81"
                           : "%s[PAD%d]",
                 i < 3 ? first[i] : "", (unsigned)(i < 259 ? i - 3 : i));
        if (i >= 260 && i < base) {
            size_t length = (size_t)(strstr(at, "|>") - at) + 2;
            snprintf(text, sizeof text, "%.*s", (int)length, at);
            at += length;
        }
        gguf_string(&w.kv, text, strlen(text));
    }
    gguf_array(&w, "tokenizer.ggml.scores", PHI_GGUF_F32, (uint64_t)n);
    for (int i = 0; i < n; i++) gguf_number(&w.kv, 0, 4);
    gguf_array(&w, "tokenizer.ggml.token_type", PHI_GGUF_I32, (uint64_t)n);
    for (int i = 0; i < n; i++) {
        int of_token = i == 0     ? UNKNOWN
                       : i < 3    ? CONTROL
                       : i < 259  ? BYTE
                       : i < 260  ? NORMAL
                       : i < base ? type
                                  : UNUSED;
        gguf_number(&w.kv, (uint64_t)of_token, 4);
    }
    gguf_u32(&w, "tokenizer.ggml.bos_token_id", 1);
    gguf_bool(&w, "tokenizer.ggml.add_bos_token", add_bos);
    gguf_end(&w);
    gguf_save(&w, path);
    gguf_free(&w);
    phi_model *model = NULL;
    phi_error err = {""};
    CHECK(phi_model_open(path, &model, &err) == 0, "%s: %s", special, err.text);
    return model;
}

/* Ids as a line to read: control tokens in brackets, all else as it is put out. */
static const char *show(const phi_model *m, const int32_t *ids, int64_t n) {
    static char line[2][ROOM * 4];
    static int which;
    char *to = line[which ^= 1];
    size_t out = 0;
    for (int64_t i = 0; i < n && i < ROOM; i++) {
        size_t plain, k;
        phi_token_bytes(m, ids[i], false, &plain);
        const char *bytes = phi_token_bytes(m, ids[i], true, &k);
        bool control = plain == 0 && k > 0;
        out += (size_t)snprintf(to + out, sizeof line[0] - out, control ? "[%.*s]" : "%.*s", (int)k, bytes);
    }
    to[out] = 0;
    return to;
}

static const char *first(const phi_model *m, const char *format, const char *system, const char *user) {
    int32_t ids[ROOM];
    phi_error err = {""};
    int64_t n = phi_chat_begin(m, format, system, strlen(system), user, strlen(user), ids, ROOM, &err);
    return n < 0 ? err.text[0] ? "error" : "error without a sentence" : show(m, ids, n);
}

static const char *next(const phi_model *m, const char *format, const char *user) {
    int32_t ids[ROOM];
    phi_error err = {""};
    int64_t n = phi_chat_next(m, format, user, strlen(user), ids, ROOM, &err);
    return n < 0 ? "error" : show(m, ids, n);
}

#define IS(got, want)                                                                                                \
    do {                                                                                                             \
        const char *is_ = (got);                                                                                     \
        CHECK(strcmp(is_, want) == 0, "'%s', expected '%s'", is_, want);                                             \
    } while (0)

/* ---- Members --------------------------------------------------------------------------------------------------- */

#define PHI3 "<|endoftext|><|assistant|><|placeholder1|><|system|><|end|><|user|>"

static void check_phi35(void) {
    phi_model *m = open_vocabulary(PHI3, CONTROL, false, 0);
    IS(phi_chat_format(m), "phi-3.5");
    IS(first(m, NULL, "", "Hi"), "[<|user|>] Hi[<|end|>][<|assistant|>]");
    IS(first(m, NULL, "Be brief.", "Hi"), "[<|system|>] Be brief.[<|end|>][<|user|>] Hi[<|end|>][<|assistant|>]");
    IS(next(m, NULL, "And?"), "[<|end|>][<|user|>] And?[<|end|>][<|assistant|>]");
    /* white space: what the role's token swallows goes, Unicode's too; the rest stays */
    IS(first(m, NULL, "\n S", " \t\n\xc2\xa0\xe3\x80\x80 two  lines\n "),
       "[<|system|>] S[<|end|>][<|user|>] two  lines\n [<|end|>][<|assistant|>]");
    IS(first(m, NULL, "", ""), "[<|user|>][<|end|>][<|assistant|>]");
    IS(first(m, NULL, "", "\n\n"), "[<|user|>][<|end|>][<|assistant|>]");
    phi_model_close(m);
    /* the demo model's kind: small, and it wants <s> */
    m = open_vocabulary(PHI3, USER_DEFINED, true, 0);
    IS(phi_chat_format(m), "phi-3.5");
    IS(first(m, NULL, "S", "Hi"), "[<s>][<|system|>] S[<|end|>][<|user|>] Hi[<|end|>][<|assistant|>]");
    IS(next(m, NULL, "Hi"), "[<|end|>][<|user|>] Hi[<|end|>][<|assistant|>]");
    /* another member by hand */
    IS(first(m, "phi-3", "S", "Hi"), "[<s>][<|user|>] S\nHi[<|end|>][<|assistant|>]");
    IS(first(m, "phi-4-mini", "S", "Hi"), "[<s>][<|system|>] S[<|end|>][<|user|>] Hi[<|end|>][<|assistant|>]");
    IS(first(m, "phi-4", "", "Hi"), "error");
    IS(next(m, "phi-4", "Hi"), "error");
    IS(first(m, "phi-5", "", "Hi"), "error");
    phi_model_close(m);
}

/* The models of April 2024: the real size, and <s>. */
static void check_april(void) {
    phi_model *m = open_vocabulary(PHI3, USER_DEFINED, true, 32064);
    IS(phi_chat_format(m), "phi-3");
    IS(first(m, NULL, "", "Hi"), "[<s>][<|user|>] Hi[<|end|>][<|assistant|>]");
    IS(first(m, NULL, "Be brief.", "Hi"), "[<s>][<|user|>] Be brief.\nHi[<|end|>][<|assistant|>]");
    IS(next(m, NULL, "Hi"), "[<|end|>][<|user|>] Hi[<|end|>][<|assistant|>]");
    phi_model_close(m);
    m = open_vocabulary(PHI3, CONTROL, false, 32064);
    IS(phi_chat_format(m), "phi-3.5");
    phi_model_close(m);
    m = open_vocabulary("<|assistant|><|end|><|user|>", CONTROL, false, 0); /* no such role at all */
    IS(phi_chat_format(m), "phi-3");
    IS(first(m, NULL, "S", "Hi"), "[<|user|>] S\nHi[<|end|>][<|assistant|>]");
    IS(first(m, "phi-3.5", "S", "Hi"), "error");
    IS(first(m, "phi-3.5", "", "Hi"), "[<|user|>] Hi[<|end|>][<|assistant|>]");
    phi_model_close(m);
}

static void check_vision(void) {
    phi_model *m = open_vocabulary(PHI3 "<|image|>", CONTROL, true, 32064);
    IS(phi_chat_format(m), "phi-3-vision"); /* only <|assistant|> swallows white space there */
    IS(first(m, NULL, "", "<|image_1|>\nHi"), "[<s>][<|user|>] \n<|image_1|>\nHi[<|end|>] \n[<|assistant|>]");
    IS(next(m, NULL, "Hi"), "[<|end|>] \n[<|user|>] \nHi[<|end|>] \n[<|assistant|>]");
    phi_model_close(m);
}

static void check_others(void) {
    phi_model *m = open_vocabulary("<|im_start|><|im_end|><|im_sep|>", CONTROL, false, 0);
    IS(phi_chat_format(m), "phi-4");
    IS(first(m, NULL, "S", "Hi"), "[<|im_start|>] system[<|im_sep|>] S[<|im_end|>][<|im_start|>] user[<|im_sep|>] "
                                  "Hi[<|im_end|>][<|im_start|>] assistant[<|im_sep|>]");
    IS(next(m, NULL, "Hi"), "[<|im_end|>][<|im_start|>] user[<|im_sep|>] Hi[<|im_end|>][<|im_start|>] "
                            "assistant[<|im_sep|>]");
    phi_model_close(m);
    m = open_vocabulary(PHI3 "<|im_start|><|im_end|>", USER_DEFINED, true, 0); /* a fine-tune keeps the old tokens */
    IS(phi_chat_format(m), "chatml");
    IS(first(m, NULL, "S", "Hi"), "[<s>][<|im_start|>] system\nS[<|im_end|>] \n[<|im_start|>] user\nHi[<|im_end|>] "
                                  "\n[<|im_start|>] assistant\n");
    IS(next(m, NULL, "Hi"), "[<|im_end|>] \n[<|im_start|>] user\nHi[<|im_end|>] \n[<|im_start|>] assistant\n");
    int32_t end = -1;
    CHECK(phi_tokenize(m, "<|im_end|>", 10, PHI_PARSE_SPECIAL, &end, 1) == 1 && phi_token_is_stop(m, end),
          "<|im_end|> does not stop");
    phi_model_close(m);
    m = open_vocabulary("<|endoftext|><|endofprompt|><|assistant|><|end|><|user|><|system|><|tool|>", CONTROL, false,
                        0);
    IS(phi_chat_format(m), "phi-4-mini");
    IS(first(m, NULL, "S", "Hi"), "[<|system|>] S[<|end|>][<|user|>] Hi[<|end|>][<|assistant|>]");
    IS(next(m, NULL, "Hi"), "[<|end|>][<|user|>] Hi[<|end|>][<|assistant|>]");
    phi_model_close(m);
    m = open_vocabulary("<|endoftext|><|system|><|user|><|assistant|><|end|><|endofprompt|>", CONTROL, true, 0);
    IS(phi_chat_format(m), "phi-3-small");
    CHECK(strncmp(first(m, NULL, "", "Hi"), "[<s>][<|endoftext|>][<|user|>]", 30) == 0, "%s",
          first(m, NULL, "", "Hi"));
    phi_model_close(m);
    m = open_vocabulary("<|user|><|end|>", CONTROL, true, 0);
    CHECK(phi_chat_format(m) == NULL, "a format without <|assistant|>: %s", phi_chat_format(m));
    IS(first(m, NULL, "", "Hi"), "error");
    phi_model_close(m);
}

/* ---- What must not happen -------------------------------------------------------------------------------------- */

static int controls(const phi_model *m, const int32_t *ids, int64_t n) {
    int count = 0;
    for (int64_t i = 0; i < n; i++) {
        size_t plain, k;
        phi_token_bytes(m, ids[i], false, &plain);
        phi_token_bytes(m, ids[i], true, &k);
        count += plain == 0 && k > 0;
    }
    return count;
}

/* No text of a user or of the system prompt becomes a control token, in any format, whatever type the file gives it.
 */
static void check_injection(int type) {
    static const char all[] = PHI3 "<|image|><|tool|><|endofprompt|><|im_start|><|im_end|><|im_sep|><|dummy_1|>";
    phi_model *m = open_vocabulary(all, type, true, 0);
    int32_t ids[ROOM];
    phi_error err;
    struct phi_model_info info;
    phi_model_get_info(m, &info);
    char formats[256], text[256];
    snprintf(formats, sizeof formats, "%s", phi_chat_formats());
    int n_format = 0;
    for (char *f = strtok(formats, " "); f; f = strtok(NULL, " "), n_format++) {
        int64_t n = phi_chat_begin(m, f, "x", 1, "x", 1, ids, ROOM, &err);
        int begin = controls(m, ids, n);
        n = phi_chat_next(m, f, "x", 1, ids, ROOM, &err);
        int after = controls(m, ids, n);
        CHECK(n > 0 && begin >= 3 && after >= 3, "%s: %d and %d control tokens", f, begin, after);
        for (int32_t id = 0; id < info.n_vocab; id++) {
            size_t k;
            const char *name = phi_token_bytes(m, id, true, &k);
            if (k < 3) continue;
            int length = snprintf(text, sizeof text, "%.*s\na%.*s", (int)k, name, (int)k, name);
            n = phi_chat_begin(m, f, text, (size_t)length, text, (size_t)length, ids, ROOM, &err);
            CHECK(n > 0 && controls(m, ids, n) == begin, "%s: '%s' as first message: %s", f, text, show(m, ids, n));
            n = phi_chat_next(m, f, text, (size_t)length, ids, ROOM, &err);
            CHECK(n > 0 && controls(m, ids, n) == after, "%s: '%s': %s", f, text, show(m, ids, n));
        }
    }
    CHECK(n_format >= 7, "%d formats", n_format);
    phi_model_close(m);
}

/* How many ids there are does not depend on the room; what does not fit is not written. NUL is a byte like others. */
static void check_room(void) {
    phi_model *m = open_vocabulary(PHI3, CONTROL, true, 0);
    int32_t all[64], some[64];
    phi_error err = {""};
    int64_t n = phi_chat_begin(m, NULL, "S", 1, "a\0b", 3, all, 64, &err);
    IS(first(m, NULL, "S", "a"), "[<s>][<|system|>] S[<|end|>][<|user|>] a[<|end|>][<|assistant|>]");
    CHECK(n == 12, "%lld ids", (long long)n);
    for (size_t cap = 0; cap < 20; cap++) {
        for (int i = 0; i < 64; i++) some[i] = -7;
        int64_t again = phi_chat_begin(m, NULL, "S", 1, "a\0b", 3, cap ? some : NULL, cap, &err);
        size_t k = cap < (size_t)n ? cap : (size_t)n;
        CHECK(again == n && memcmp(some, all, k * sizeof *all) == 0 && some[k] == -7, "room for %zu", cap);
    }
    phi_model_close(m);
}

/* ---- Test material --------------------------------------------------------------------------------------------- */

static bool equal_ids(const struct json *want, const int32_t *ids, int64_t n) {
    if ((int64_t)want->n != n) return false;
    for (int64_t i = 0; i < n; i++)
        if ((int32_t)want->item[i].number != ids[i]) return false;
    return true;
}

static FILE *open_shared(const char *name) {
    char file[1024];
    snprintf(file, sizeof file, "%s/%s", check_shared(), name);
    return fopen(file, "r");
}

static bool read_case(FILE *f, struct json *v) {
    static char line[1 << 16];
    if (!fgets(line, sizeof line, f)) return false;
    json_parse(line, v);
    return true;
}

/* How a format is written, for the cases that are rendered texts. */
static const struct layout {
    const char *format, *file, *cases, *model; /* model: of the case; NULL: the cases are of one model */
    const char *system, *user, *assistant, *end;
    int at_least; /* conversations among the cases */
} layouts[] = {
    {"phi-3.5", "tokenizer/ggml-vocab-phi-3.gguf", "tokenizer/special.jsonl", NULL, "<|system|>\n", "<|user|>\n",
     "<|assistant|>\n", "<|end|>\n", 2},
    {"phi-4", "vocab-phi-4.gguf", "tokenizer/special-bpe.jsonl", "phi-4", "<|im_start|>system<|im_sep|>",
     "<|im_start|>user<|im_sep|>", "<|im_start|>assistant<|im_sep|>", "<|im_end|>", 5},
    {"phi-4-mini", "vocab-phi-4-mini.gguf", "tokenizer/special-bpe.jsonl", "phi-4-mini", "<|system|>", "<|user|>",
     "<|assistant|>", "<|end|>", 7},
};

/* The text between two marks, if s begins with the first one; *s moves behind the second one. */
static bool between(const char **s, const char *mark, const char *end_mark, const char **text, size_t *n) {
    size_t length = strlen(mark);
    if (strncmp(*s, mark, length) != 0) return false;
    const char *end = strstr(*s + length, end_mark);
    if (!end) return false;
    *text = *s + length;
    *n = (size_t)(end - *text);
    *s = end + strlen(end_mark);
    return !memchr(*text, '<', *n);
}

/* Render the conversation that the text is; false: it is none. An answer is never white space at its ends here. */
static bool render(const phi_model *m, const struct layout *l, const char *text, int32_t *ids, int64_t *n) {
    const char *system = "", *user, *said;
    size_t n_system = 0, n_user, n_said, n_assistant = strlen(l->assistant);
    phi_error err;
    *n = 0;
    if (strncmp(text, l->system, strlen(l->system)) == 0) {
        if (!between(&text, l->system, l->end, &system, &n_system) || n_system == 0) return false;
    }
    for (;;) {
        if (!between(&text, l->user, l->end, &user, &n_user)) return false;
        if (strncmp(text, l->assistant, n_assistant) != 0) return false;
        *n += *n ? phi_chat_next(m, l->format, user, n_user, ids + *n, (size_t)(ROOM - *n), &err)
                 : phi_chat_begin(m, l->format, system, n_system, user, n_user, ids, ROOM, &err);
        if (text[n_assistant] == 0) return true;
        if (!between(&text, l->assistant, l->end, &said, &n_said) || n_said == 0) return false;
        if (strchr(" \n", said[0]) || strchr(" \n", said[n_said - 1])) return false;
        *n += phi_tokenize(m, said, n_said, 0, ids + *n, (size_t)(ROOM - *n));
    }
}

/* Is this a conversation of the layout? Then its ids must be those of the case. */
static int check_case(const phi_model *m, const struct layout *l, const struct json *v) {
    static int32_t ids[ROOM];
    int64_t n;
    const struct json *bos = json_get(v, "add_bos"), *text = json_get(v, "text"), *model = json_get(v, "model");
    const struct json *want = json_get(v, "ids_strip") ? json_get(v, "ids_strip") : json_get(v, "ids");
    if (!json_get(v, "parse_special")->truth || strlen(text->text) != text->text_n) return 0;
    if (l->model && strcmp(model->text, l->model) != 0) return 0;
    if (!render(m, l, text->text, ids, &n)) return 0;
    int skip = !bos->truth && n > 0 && ids[0] == phi_token_bos(m) && !l->model;
    CHECK(equal_ids(want, ids + skip, n - skip), "%s: %s: %s", l->format, text->text, show(m, ids, n));
    return 1;
}

static void check_layout(const struct layout *l) {
    char file[1024];
    const char *bpe = getenv("PHI_BPE_DIR");
    snprintf(file, sizeof file, "%s/%s", !l->model ? check_shared() : bpe && *bpe ? bpe : "build/tests/bpe", l->file);
    FILE *f = open_shared(l->cases);
    phi_model *m = NULL;
    phi_error err = {""};
    if (!f || phi_model_open(file, &m, &err)) {
        SKIP("vocabulary for %s: %s is not there", l->format, file);
        if (f) fclose(f);
        return;
    }
    int count = 0;
    for (struct json v; read_case(f, &v); json_clear(&v)) count += check_case(m, l, &v);
    CHECK(count >= l->at_least, "%s: only %d conversations among the cases", l->format, count);
    IS(phi_chat_format(m), l->model ? l->format : "phi-3"); /* the file of the vocabulary is of April 2024 */
    if (!l->model) {
        static const int32_t literal[] = {32007, 32010, 529, 29989, 355, 29989, 29958, 32007, 32001};
        int32_t ids[16];
        CHECK(phi_chat_next(m, NULL, "<|end|>", 7, ids, 16, &err) == 9 && memcmp(ids, literal, sizeof literal) == 0,
              "%s", show(m, ids, 9));
    }
    fclose(f);
    phi_model_close(m);
}

/* A fine-tune for ChatML, as its own template renders it. */
static void check_real_model(void) {
    static const char system[] = "You are a helpful AI assistant named SmolLM, trained by Hugging Face";
    char file[1024];
    const char *folder = getenv("PHI_REAL_MODEL");
    snprintf(file, sizeof file, "%s/smollm2-135m-q4_1.gguf", folder && *folder ? folder : "build/tests/real");
    phi_model *m = NULL;
    phi_error err = {""};
    char expected[1024];
    snprintf(expected, sizeof expected, "%s/real-model/expected.json", check_shared());
    struct json *v = json_read(expected);
    if (!v || phi_model_open(file, &m, &err)) {
        SKIP("the real model: %s is not there", file);
        json_free(v);
        return;
    }
    IS(phi_chat_format(m), "chatml");
    const struct json *chats = json_get(v, "chats");
    for (size_t i = 0; i < chats->n; i++) {
        int32_t ids[ROOM];
        const struct json *question = json_get(&chats->item[i], "question");
        int64_t n =
            phi_chat_begin(m, NULL, system, sizeof system - 1, question->text, question->text_n, ids, ROOM, &err);
        CHECK(equal_ids(json_get(&chats->item[i], "ids"), ids, n), "%s", show(m, ids, n));
    }
    json_free(v);
    phi_model_close(m);
}

/* What the demo model answers, greedy; *n bytes of text in said. */
struct said {
    char text[ROOM];
    size_t n;
};

static int on_token(void *user, int32_t id, const char *bytes, size_t n) {
    struct said *s = user;
    (void)id;
    if (s->n + n < sizeof s->text) memcpy(s->text + s->n, bytes, n), s->n += n;
    return 0;
}

static void check_demo_model(void) {
    FILE *f = open_shared("demo-model/skills-q4_0.jsonl");
    phi_model *m = NULL;
    phi_session *session = NULL;
    phi_error err = {""};
    if (!f || phi_model_open("models/demo.gguf", &m, &err) || phi_session_open(m, NULL, &session, &err)) {
        SKIP("the demo model's answers: %s/demo-model is not there", check_shared());
        if (f) fclose(f);
        return;
    }
    IS(phi_chat_format(m), "phi-3.5");
    int count = 0, same = 0;
    for (struct json v; read_case(f, &v); json_clear(&v), count++) {
        const struct json *messages = json_get(&v, "messages"), *want = json_get(&v, "said");
        int32_t ids[ROOM];
        int64_t n = 0;
        for (size_t i = 0; i < messages->n; i++) {
            const struct json *t = &messages->item[i].item[1];
            n += i == 0       ? phi_chat_begin(m, NULL, "", 0, t->text, t->text_n, ids, ROOM, &err)
                 : i % 2 == 0 ? phi_chat_next(m, NULL, t->text, t->text_n, ids + n, (size_t)(ROOM - n), &err)
                              : phi_tokenize(m, t->text, t->text_n, 0, ids + n, (size_t)(ROOM - n));
        }
        CHECK(equal_ids(json_get(&v, "prompt_ids"), ids, n), "%s", messages->item[0].item[1].text);
        struct said said = {.n = 0};
        phi_sampler *sampler = NULL;
        struct phi_sampler_options options = phi_sampler_options_default();
        options.temperature = 0;
        CHECK(phi_session_rewind(session, 0, &err) == 0 && phi_sampler_open(m, &options, &sampler, &err) == 0 &&
                  phi_generate(session, sampler, ids, (size_t)n, 100, on_token, NULL, &said, NULL, &err) == 0,
              "%s", err.text);
        phi_sampler_close(sampler);
        size_t skip = said.n > 0 && said.text[0] == ' ';
        same += said.n - skip == want->text_n && memcmp(said.text + skip, want->text, want->text_n) == 0;
    }
    printf("demo model: %d of %d answers are those of the original implementation\n", same, count);
    CHECK(count >= 200 && same * 100 >= count * 97, "%d of %d", same, count); /* activations in 8 bits turn a few */
    fclose(f);
    phi_session_close(session);
    phi_model_close(m);
}

int main(int argc, char **argv) {
    gguf_make_dir(argc, argv, dir);
    snprintf(path, sizeof path, "%s/vocabulary.gguf", dir);
    check_phi35();
    check_april();
    check_vision();
    check_others();
    check_injection(CONTROL);
    check_injection(USER_DEFINED);
    check_injection(NORMAL);
    check_room();
    for (size_t i = 0; i < sizeof layouts / sizeof *layouts; i++) check_layout(&layouts[i]);
    check_real_model();
    check_demo_model();
    gguf_remove_dir(dir);
    return check_done("check_chat");
}
