/* Any bytes as a system prompt, a message and another one, in every format: no text can add a control token, and the
 * ids are the same with any room for them.
 *
 *   byte 0     the vocabulary: SentencePiece (models/demo.gguf) or byte-level, with all control tokens; the format
 *   then       the system prompt up to a zero byte, a message up to a zero byte, another message */
#include "gguf_writer.h"
#include "../include/phi.h"
#include "../src/tokenizer.h"
#include "fuzz_replay.h"

static phi_model *models[2];
static const char *formats[16];
static int n_format;

static const char *const control[] = {"<|endoftext|>", "<|im_start|>",  "<|im_sep|>",     "<|im_end|>",
                                      "<|user|>",      "<|assistant|>", "<|end|>",        "<|system|>",
                                      "<|image|>",     "<|tool|>",      "<|endofprompt|>"};
enum { N_CONTROL = sizeof control / sizeof *control };

/* The 256 bytes as GPT-2 writes them, and the control tokens. */
static phi_model *make_model(void) {
    struct gguf_writer w = gguf_begin(3);
    phi_model *m = NULL;
    phi_error err = {""};
    char path[64];
    gguf_str(&w, "general.architecture", "phi3");
    gguf_str(&w, "tokenizer.ggml.model", "gpt2");
    gguf_str(&w, "tokenizer.ggml.pre", "gpt-4o");
    if (gguf_array(&w, "tokenizer.ggml.tokens", PHI_GGUF_STRING, 256 + N_CONTROL)) {
        int n_moved = 0;
        for (int i = 0; i < 256; i++) {
            bool moved = i <= 32 || (i >= 127 && i <= 160) || i == 173;
            int letter = moved ? 256 + n_moved++ : i;
            char text[2] = {(char)letter, 0};
            if (letter >= 128) text[0] = (char)(0xc0 | letter >> 6), text[1] = (char)(0x80 | (letter & 63));
            gguf_string(&w.kv, text, letter >= 128 ? 2 : 1);
        }
        for (int i = 0; i < N_CONTROL; i++) gguf_string(&w.kv, control[i], strlen(control[i]));
    }
    if (gguf_array(&w, "tokenizer.ggml.token_type", PHI_GGUF_I32, 256 + N_CONTROL))
        for (int i = 0; i < 256 + N_CONTROL; i++) gguf_number(&w.kv, i < 256 ? 1 : 3, 4);
    gguf_array(&w, "tokenizer.ggml.merges", PHI_GGUF_STRING, 0);
    gguf_end(&w);
    int fd = fuzz_file(w.file.p, w.file.n, path);
    fuzz_must(phi_model_open(path, &m, &err) == 0, "model", err.text);
    close(fd);
    gguf_free(&w);
    return m;
}

static void open_once(void) {
    static char names[128];
    phi_error err = {""};
    if (n_format) return;
    fuzz_must(phi_model_open("models/demo.gguf", &models[0], &err) == 0, "model", err.text);
    models[1] = make_model();
    strncpy(names, phi_chat_formats(), sizeof names - 1);
    formats[n_format++] = NULL; /* the model's own */
    for (char *name = strtok(names, " "); name && n_format < 16; name = strtok(NULL, " ")) formats[n_format++] = name;
}

/* Ids without a byte of text are control tokens -> out. */
static int64_t only_control(const phi_model *m, const int32_t *ids, int64_t n, int32_t *out) {
    int64_t n_out = 0;
    for (int64_t i = 0; i < n; i++) {
        size_t n_bytes;
        (void)phi_token_bytes(m, ids[i], false, &n_bytes);
        if (n_bytes == 0) out[n_out++] = ids[i];
    }
    return n_out;
}

struct texts {
    const char *system, *user, *next;
    size_t n_system, n_user, n_next;
};

/* begin and next, one behind the other. */
static int64_t render(const phi_model *m, const char *format, const struct texts *t, int32_t *ids, size_t cap) {
    phi_error err = {""};
    int64_t n = phi_chat_begin(m, format, t->system, t->n_system, t->user, t->n_user, ids, cap, &err);
    fuzz_must(n > 0 || (n == PHI_USAGE && m == models[0] && format), "begin", err.text);
    fuzz_must_say(n < 0, &err);
    if (n < 0) return n;
    size_t used = (size_t)n < cap ? (size_t)n : cap;
    int64_t more = phi_chat_next(m, format, t->next, t->n_next, ids ? ids + used : NULL, cap - used, &err);
    fuzz_must(more > 0, "next", err.text);
    return n + more;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    struct texts t = {0}, plain = {"x", "y", "z", 1, 1, 1};
    open_once();
    if (n == 0) return 0;
    unsigned long long live = phi_memory_live();
    const phi_model *m = models[data[0] & 1];
    const char *format = formats[data[0] / 2 % n_format];
    char *part[3];
    size_t length[3];
    data++, n--;
    for (int i = 0; i < 3; i++) {
        length[i] = i < 2 && n > 0 ? strnlen((const char *)data, n) : n;
        part[i] = fuzz_copy(data, length[i]);
        size_t used = length[i] < n ? length[i] + 1 : n;
        data += used, n -= used;
    }
    t = (struct texts){part[0], part[1], part[2], length[0], length[1], length[2]};
    if (t.n_system == 0) plain.n_system = 0;
    size_t room = 4 * (t.n_system + t.n_user + t.n_next) + 256;
    int32_t *ids = malloc(room * sizeof *ids), *found = malloc(room * sizeof *found), usual[256], wanted[256];
    int64_t n_id = render(m, format, &t, ids, room), n_usual = render(m, format, &plain, usual, 256);
    fuzz_must((n_id < 0) == (n_usual < 0) && (n_id < 0 || (size_t)n_id <= room), "number of ids", "");
    if (n_id > 0) {
        int64_t n_found = only_control(m, ids, n_id, found), n_wanted = only_control(m, usual, n_usual, wanted);
        fuzz_must(n_found == n_wanted && memcmp(found, wanted, (size_t)n_found * sizeof *found) == 0,
                  "a control token from text", "");
        int32_t *some = malloc((size_t)n_id / 2 * sizeof *some + 1);
        fuzz_must(render(m, format, &t, some, (size_t)n_id / 2) == n_id, "another number with less room", "");
        fuzz_must(memcmp(some, ids, (size_t)n_id / 2 * sizeof *some) == 0, "other ids with less room", "");
        fuzz_must(render(m, format, &t, NULL, 0) == n_id, "another number without room", "");
        free(some);
    }
    for (int i = 0; i < 3; i++) free(part[i]);
    free(ids);
    free(found);
    fuzz_must(phi_memory_live() == live, "leak", "");
    return 0;
}
