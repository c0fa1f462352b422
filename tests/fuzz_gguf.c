/* Any bytes as a model file: opening must answer with success or PHI_MODEL and a sentence, and what it accepts must
 * be sound: as a GGUF file, as a vocabulary that gives text its ids, as a model that computes a token. */
#include "gguf_sound.h"
#include "../include/phi.h"
#include "fuzz_replay.h"

static void check_keys(const struct phi_gguf *g) {
    char key[128];
    phi_error err = {""};
    for (uint64_t i = 0; i < g->n_kv; i++) {
        const struct phi_gguf_kv *kv = &g->kv[i];
        uint64_t u;
        double f;
        bool b;
        struct phi_str s;
        if (kv->key.n >= sizeof key) continue;
        memcpy(key, kv->key.s, kv->key.n);
        key[kv->key.n] = 0;
        fuzz_must(phi_gguf_find(g, key) == kv, "not found", key);
        fuzz_must(phi_gguf_get_u64(g, key, 0, 100, &u, &err) != 1 || u <= 100, "range", key);
        fuzz_must(phi_gguf_get_f64(g, key, -1, 1, &f, &err) != 1 || (f >= -1 && f <= 1), "range", key);
        phi_gguf_get_bool(g, key, &b, &err);
        fuzz_must(phi_gguf_get_str(g, key, &s, &err) != 1 || gguf_inside(g, s.s, s.n), "string", key);
    }
    for (uint64_t i = 0; i < g->n_tensor; i++) {
        memcpy(key, g->tensor[i].name.s, g->tensor[i].name.n); /* at most 63 */
        key[g->tensor[i].name.n] = 0;
        fuzz_must(phi_gguf_find_tensor(g, key) == &g->tensor[i], "not found", key);
    }
}

/* A text's ids are ids, and each has bytes. */
static int32_t check_vocabulary(const phi_model *m, int n_vocab) {
    static const char text[] = "Once upon a time, 3.14 caf\xc3\xa9 \xe6\x97\xa5\n\xff<|end|> <|user|>don't";
    int32_t ids[3 * sizeof text + 8];
    phi_error err = {""};
    for (unsigned flags = 0; flags < 4; flags++) {
        int64_t n = phi_tokenize(m, text, sizeof text, flags, ids, sizeof ids / sizeof *ids);
        fuzz_must(n >= 0 && (size_t)n <= sizeof ids / sizeof *ids, "number of ids", "");
        for (int64_t i = 0; i < n; i++) fuzz_must(ids[i] >= 0 && ids[i] < n_vocab, "id", "");
    }
    size_t n_bytes, sum = 0;
    for (int32_t id = -1; id <= n_vocab; id++) {
        const char *s = phi_token_bytes(m, id, true, &n_bytes);
        for (size_t i = 0; i < n_bytes; i++) sum += (uint8_t)s[i];
        fuzz_must((id >= 0 && id < n_vocab) || n_bytes == 0, "bytes of no token", "");
    }
    fuzz_must(sum > 0, "a vocabulary without a byte", "");
    int64_t n = phi_chat_begin(m, NULL, text, 4, text, sizeof text, ids, 8, &err);
    fuzz_must(phi_chat_format(m) ? n > 0 : n == PHI_USAGE && err.text[0], "chat", err.text);
    return ids[0];
}

static void check_session(const phi_model *m, const struct phi_model_info *info, int32_t id) {
    struct phi_session_options o = phi_session_options_default();
    phi_session *s = NULL;
    phi_error err = {""};
    o.n_ctx = 4;
    o.n_threads = o.n_threads_batch = 1;
    o.isa = "scalar";
    o.type_k = o.type_v = PHI_KV_F32;
    if (info->n_params > 1u << 22) return; /* a tied matrix can be read often: that takes its time */
    int status = phi_session_open(m, &o, &s, &err);
    fuzz_must(status == 0 || status == PHI_USAGE || (status == PHI_MODEL && !info->n_params) || status == PHI_MEMORY,
              "session", err.text);
    fuzz_must_say(status != 0, &err);
    if (s) {
        status = phi_session_eval(s, (int32_t[]){id, id}, 2, NULL, NULL, &err);
        fuzz_must(status == 0 || status == PHI_FAILED || status == PHI_CONTEXT, "eval", err.text);
        fuzz_must_say(status != 0, &err);
        const float *logits = phi_session_logits(s);
        for (int i = 0; logits && i < info->n_vocab; i++)
            fuzz_must(logits[i] - logits[i] == 0, "a logit that is no number", "");
    }
    phi_session_close(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    char path[64];
    int fd = fuzz_file(data, n, path);
    struct phi_gguf g;
    phi_error err = {""};
    int status = phi_gguf_open(path, &g, &err);
    fuzz_must(status == 0 || (status == PHI_MODEL && !g.kv), "status", err.text);
    fuzz_must_say(status != 0, &err);
    bool is_gguf = status == 0;
    if (is_gguf) {
        fuzz_must(gguf_is_sound(&g), "unsound", "");
        check_keys(&g);
    }
    phi_gguf_close(&g);
    phi_model *m = NULL;
    err.text[0] = 0;
    status = phi_model_open(path, &m, &err);
    fuzz_must(status == 0 ? is_gguf && m : status == PHI_MODEL && !m, "status of the model", err.text);
    fuzz_must_say(status != 0, &err);
    if (m) {
        struct phi_model_info info;
        phi_model_get_info(m, &info);
        status = phi_model_verify(m, &err);
        fuzz_must(status == 0 || status == PHI_MODEL, "verify", err.text);
        check_session(m, &info, check_vocabulary(m, info.n_vocab));
    }
    phi_model_close(m);
    close(fd);
    fuzz_must(phi_memory_live() == 0, "leak", err.text);
    return 0;
}
