/* Any bytes as a grammar, then any bytes as an answer and as a saved state: opening must answer with success or
 * PHI_USAGE and a sentence; what it accepts can be matched, completed within its own bound, saved and loaded. The
 * input is the grammar up to a zero byte, then the rest. The vocabulary: $PHI_VOCABULARY, else models/demo.gguf. */
#include "../src/grammar.h"
#include "fuzz_replay.h"

static phi_model *model;
static int n_vocab;

static void open_once(void) {
    const char *path = getenv("PHI_VOCABULARY");
    struct phi_model_info info;
    phi_error err = {""};
    if (model) return;
    fuzz_must(phi_model_open(path ? path : "models/demo.gguf", &model, &err) == 0, "model", err.text);
    phi_model_get_info(model, &info);
    n_vocab = info.n_vocab;
}

/* Tokens that the bytes choose, as long as they last; then as few as are needed. */
static void answer(struct phi_grammar_state *s, const uint8_t *data, size_t n) {
    uint32_t bound = phi_grammar_state_shortest(s);
    for (size_t i = 0; i + 1 < n; i += 2) {
        int32_t id = (data[i] | data[i + 1] << 8) % n_vocab;
        if (!phi_grammar_state_allows(s, id) || phi_token_is_stop(model, id)) continue;
        phi_grammar_state_accept(s, id);
        bound = phi_grammar_state_shortest(s);
        fuzz_must(bound != UINT32_MAX, "shortest", "dead after a token that was allowed");
    }
    for (uint32_t left = bound; left < 300; left--) {
        phi_grammar_state_set_budget(s, left);
        if (phi_grammar_state_must_end(s)) break;
        fuzz_must(left > 0, "budget", "spent before the end");
        int32_t id = 0;
        while (id < n_vocab && (phi_token_is_stop(model, id) || !phi_grammar_state_allows(s, id))) id++;
        if (id == n_vocab) break; /* so many stacks that the way on is refused */
        phi_grammar_state_accept(s, id);
    }
}

static void load(struct phi_grammar_state *s, const uint8_t *data, size_t n) {
    static uint8_t first[PHI_GRAMMAR_SAVED_MAX], second[PHI_GRAMMAR_SAVED_MAX];
    phi_error err = {""};
    size_t size = phi_grammar_state_save(s, first, sizeof first);
    fuzz_must(size <= sizeof first, "size", "");
    for (size_t i = 0; i + 2 < n && size > 12; i += 3)
        first[12 + (size_t)(data[i] | data[i + 1] << 8) % (size - 12)] ^= data[i + 2];
    if (phi_grammar_state_load(s, first, size, &err)) {
        fuzz_must(err.text[0] != 0, "sentence", "");
        return;
    }
    fuzz_must(phi_grammar_state_save(s, second, sizeof second) <= sizeof second, "size", "of a loaded state");
    for (int32_t id = 0; id < n_vocab; id += 3) phi_grammar_state_allows(s, id);
    phi_grammar_state_shortest(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    open_once();
    unsigned long long live = phi_memory_live();
    const uint8_t *zero = n ? memchr(data, 0, n) : NULL;
    size_t n_text = zero ? (size_t)(zero - data) : n;
    char *text = fuzz_copy(data, n_text);
    phi_grammar *g = NULL;
    struct phi_grammar_state *s = NULL;
    phi_error err = {""};
    int status = phi_grammar_open(model, text, n_text, NULL, &g, &err);
    fuzz_must(status == 0 || (status == PHI_USAGE && !g), "status", err.text);
    fuzz_must_say(status != 0, &err);
    if (!status && zero) {
        fuzz_must(phi_grammar_state_open(g, false, &s, &err) == 0, "state", err.text);
        answer(s, zero + 1, n - n_text - 1);
        load(s, zero + 1, n - n_text - 1);
    }
    phi_grammar_state_close(s);
    phi_grammar_close(g);
    free(text);
    fuzz_must(phi_memory_live() == live, "leak", err.text);
    return 0;
}
