/* Any bytes as the files of a Hugging Face folder: safetensors, config and tokenizers. Each part is read or refused
 * with a sentence; what is converted is a sound GGUF file.
 *
 *     #FILE 0      such a line; up to the next one follow the bytes of config.json: the digit is an index of names[]
 *
 * The folder lies in memory where there is /dev/shm, else below $TMPDIR. */
#include "../src/convert.h"
#include "../src/hf_tokenizer.h"
#include "gguf_sound.h"
#include "fuzz_replay.h"

#include <fcntl.h>

static const char *const names[] = {
    "config.json",       "tokenizer.json",     "tokenizer_config.json", "generation_config.json",
    "added_tokens.json", "tokenizer.model",    "model.safetensors",     "model.safetensors.index.json",
    "a.safetensors",     "chat_template.jinja"};
enum { N_NAME = sizeof names / sizeof *names };

static char folder[200];

static void remove_folder(void) {
    rmdir(folder);
}

static void open_folder(void) {
    if (folder[0]) return;
    const char *tmp = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : getenv("TMPDIR");
    fuzz_must((size_t)snprintf(folder, sizeof folder, "%s/phi-fuzz-XXXXXX", tmp ? tmp : ".") < sizeof folder, "path",
              "");
    fuzz_must(mkdtemp(folder) != NULL, "a folder", folder);
    atexit(remove_folder);
}

/* The parts of the input as files; a later one of a name replaces it. */
static void write_files(const uint8_t *data, size_t n) {
    static const char mark[] = "#FILE ";
    enum { LINE = sizeof mark + 1 };
    char path[256];
    for (size_t at = 0, end; at + LINE <= n; at = end) {
        const uint8_t *next = memmem(data + at + 1, n - at - 1, mark, sizeof mark - 1);
        end = next ? (size_t)(next - data) : n;
        if (memcmp(data + at, mark, sizeof mark - 1) != 0 || end - at < LINE) continue;
        unsigned which = data[at + sizeof mark - 1] - '0';
        if (which >= N_NAME) continue;
        snprintf(path, sizeof path, "%s/%s", folder, names[which]);
        int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
        fuzz_must(fd >= 0 && write(fd, data + at + LINE, end - at - LINE) == (ssize_t)(end - at - LINE), "write",
                  path);
        close(fd);
    }
}

static void remove_files(void) {
    char path[256];
    for (int i = 0; i < N_NAME; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        unlink(path);
    }
}

static void check_status(int status, const phi_error *err) {
    fuzz_must(status == 0 || status == PHI_MODEL || (status == PHI_MEMORY && strstr(err->text, "memory")), "status",
              err->text);
    fuzz_must_say(status != 0, err);
}

static void check_weights(void) {
    struct phi_safetensors s;
    phi_error err = {""};
    int status = phi_safetensors_open(folder, &s, &err);
    check_status(status, &err);
    fuzz_must(status == 0 || (!s.shard && !s.tensor), "left over", "");
    for (uint64_t i = 0; i < s.n_tensor; i++) {
        const struct phi_safetensor *t = &s.tensor[i];
        const struct phi_file *f = &s.shard[t->shard].file;
        fuzz_must(t->shard < s.n_shard && t->n_dim >= 0 && t->n_dim <= 4, "shard", t->name);
        uint64_t begin = (uint64_t)(t->data - f->data), n = 1;
        fuzz_must(t->data >= f->data && begin <= f->size && t->n_bytes <= f->size - begin, "place", t->name);
        for (int k = 0; k < 4; k++) n *= t->dim[k];
        fuzz_must(n > 0 && (!t->type || n * (uint64_t)t->type->bytes == t->n_bytes), "shape", t->name);
        fuzz_must(phi_safetensors_find(&s, t->name) == t, "not found", t->name);
        fuzz_must(i == 0 || strcmp(s.tensor[i - 1].name, t->name) < 0, "order", t->name);
    }
    phi_safetensors_close(&s);
}

/* The keys of the vocabulary alone are a GGUF file; it has as many tokens as the configuration says. */
static void check_vocabulary(const struct phi_hf_config *c) {
    struct phi_gguf_writer w = {0};
    struct phi_bytes header = {0};
    phi_error err = {""};
    bool placeholder;
    int status = phi_hf_tokenizer_write(folder, c, &w, &placeholder, &err);
    check_status(status, &err);
    if (status == 0) status = phi_gguf_write_header(&w, &header, &err);
    if (status == 0) {
        char path[64];
        struct phi_gguf g;
        int fd = fuzz_file(header.data, header.n, path);
        fuzz_must(phi_gguf_open(path, &g, &err) == 0 && gguf_is_sound(&g), "what was written cannot be read",
                  err.text);
        const struct phi_gguf_kv *tokens = phi_gguf_find(&g, "tokenizer.ggml.tokens");
        fuzz_must(tokens && tokens->n == (uint64_t)c->n_vocab, "number of tokens", "");
        phi_gguf_close(&g);
        close(fd);
    }
    phi_gguf_write_close(&w);
    phi_free(header.data);
}

static int take(void *user, const void *bytes, size_t n, phi_error *err) {
    (void)err;
    phi_bytes_add(user, bytes, n);
    return 0;
}

static void check_convert(void) {
    struct phi_convert c;
    struct phi_bytes out = {0};
    struct phi_encode_calls calls = {take, NULL, &out};
    uint64_t n_changed;
    phi_error err = {""};
    int status = phi_convert_open(folder, NULL, &c, &err);
    check_status(status, &err);
    if (status == 0)
        check_status(status = phi_convert_write(&c, 1, &calls, &n_changed, &err), &err); /* weights may be NaN */
    if (status == 0) {
        char path[64];
        struct phi_gguf g;
        fuzz_must(out.n == c.file_bytes, "bytes", "");
        int fd = fuzz_file(out.data, out.n, path);
        fuzz_must(phi_gguf_open(path, &g, &err) == 0 && gguf_is_sound(&g), "what was converted cannot be read",
                  err.text);
        phi_gguf_close(&g);
        close(fd);
    }
    phi_convert_close(&c);
    phi_free(out.data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    struct phi_hf_config c;
    phi_error err = {""};
    open_folder();
    write_files(data, n);
    int status = phi_hf_config_read(folder, &c, &err);
    check_status(status, &err);
    if (status == 0) {
        fuzz_must(c.n_embd > 0 && c.n_ff > 0 && c.n_layer > 0 && c.n_vocab > 0 && c.n_head % c.n_head_kv == 0,
                  "configuration", "");
        fuzz_must(c.n_rot % 2 == 0 && c.n_rot <= c.head_dim && c.n_rot <= PHI_HF_MAX_FACTORS, "rotary dimensions",
                  "");
        check_vocabulary(&c);
    }
    check_weights();
    check_convert();
    remove_files();
    fuzz_must(phi_memory_live() == 0, "leak", "");
    return 0;
}
