/* The window of Phi-3-mini-4k at its real size: a file of 4,096 tokens of context without a key has a window of 2,047
 * keys, a token's own included. With one layer a token depends on nothing outside, so that is tried by changing one
 * id: the one 2,046 before is seen, the one 2,047 before is not, to the bit; however the tokens were cut into passes.
 */
#include "../include/phi.h"
#include "../src/memory.h"
#include "gguf_writer.h"

enum { CONTEXT = 4096, WINDOW = 2047, VOCAB = 300 };

static int32_t ids[CONTEXT];
static float base[VOCAB];

/* Logits of token `at`: the ids before it in passes of 512; the last n_single one by one. */
static bool logits_at(phi_session *s, int at, int n_single, float out[VOCAB]) {
    phi_error err = {""};
    size_t n = (size_t)(at + 1 - n_single);
    int status = phi_session_rewind(s, 0, &err);
    if (!status) status = phi_session_eval(s, ids, n, NULL, NULL, &err);
    for (; !status && n <= (size_t)at; n++) status = phi_session_eval(s, ids + n, 1, NULL, NULL, &err);
    CHECK(status == 0, "%s", err.text);
    if (!status) memcpy(out, phi_session_logits(s), VOCAB * sizeof *out);
    return status == 0;
}

/* One token at a time, the blocks of keys of a head go to several threads. */
static void check_threads(const phi_model *m, struct phi_session_options o) {
    float other[VOCAB];
    for (o.n_threads = 1; o.n_threads <= 8; o.n_threads += o.n_threads < 3 ? 2 : 5) {
        phi_session *s = NULL;
        phi_error err = {""};
        o.force_threads = true;
        int status = phi_session_open(m, &o, &s, &err);
        CHECK(status == 0, "%s", err.text);
        for (int at = 1; !status && at < CONTEXT; at = 2 * at + 1) {
            if (!logits_at(s, at, 0, base) || !logits_at(s, at, 2, other)) break;
            CHECK(memcmp(base, other, sizeof base) == 0, "%d threads: token %d has other logits alone than in a pass",
                  o.n_threads, at);
        }
        phi_session_close(s);
    }
}

static void check_at(phi_session *s, int at) {
    float changed[VOCAB];
    for (int n_single = 0; n_single <= 3; n_single += 3) {
        if (!logits_at(s, at, n_single, n_single ? changed : base)) return;
        if (n_single) CHECK(memcmp(changed, base, sizeof base) == 0, "token %d: one by one it has other logits", at);
        for (int back = WINDOW - 1; back <= WINDOW; back++) {
            int other = at - back;
            if (other < 0) continue;
            int32_t old = ids[other];
            ids[other] = old == 5 ? 6 : 5;
            bool equal = logits_at(s, at, n_single, changed) && memcmp(changed, base, sizeof base) == 0;
            ids[other] = old;
            CHECK(equal == (back == WINDOW), "token %d, the last %d one by one: the id %d before it is %s", at,
                  n_single, back, equal ? "not seen" : "seen");
        }
    }
}

int main(int argc, char **argv) {
    static const int places[] = {2046, 2047, 2048, CONTEXT - 1};
    char dir[512], path[600];
    phi_model *m = NULL;
    phi_session *s = NULL;
    phi_error err = {""};
    struct phi_session_options o = phi_session_options_default();
    struct phi_session_info info;
    struct tiny_phi3 t = tiny_phi3_default();
    unsigned long long state = check_seed();
    gguf_make_dir(argc, argv, dir);
    snprintf(path, sizeof path, "%s/model.gguf", dir);
    t.n_ctx = CONTEXT;
    t.n_layer = 1;
    struct gguf_writer w = tiny_phi3_build(&t);
    gguf_save(&w, path);
    gguf_free(&w);
    for (int i = 0; i < CONTEXT; i++) ids[i] = 3 + (int32_t)(check_random(&state) % (VOCAB - 3));
    o.n_ctx = CONTEXT;
    int status = phi_model_open(path, &m, &err);
    if (!status) status = phi_session_open(m, &o, &s, &err);
    CHECK(status == 0, "%s", err.text);
    if (!status) {
        phi_session_get_info(s, &info);
        CHECK(info.window == WINDOW, "the window is %d", info.window);
        for (size_t i = 0; i < sizeof places / sizeof *places; i++) check_at(s, places[i]);
        check_threads(m, o);
        o.window = 0;
        check_threads(m, o);
    }
    phi_session_close(s);
    phi_model_close(m);
    CHECK(phi_memory_live() == 0, "%llu allocations are left", phi_memory_live());
    gguf_remove_dir(dir);
    return check_done("check_window");
}
