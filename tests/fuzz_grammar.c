/* Any bytes as a grammar, then any bytes as an answer and as a saved state: opening must not crash and must answer
 * with success or PHI_USAGE and a sentence; what it accepts can be matched, completed within its own bound, saved and
 * loaded. The input is the grammar up to a zero byte, then the rest. For libFuzzer: make CC=clang CFLAGS="-O1 -g
 * -fsanitize=address,undefined,fuzzer-no-link" libphi.a clang -std=c11 -D_GNU_SOURCE -g
 * -fsanitize=address,undefined,fuzzer -DPHI_LIBFUZZER tests/fuzz_grammar.c libphi.a -lm Without PHI_LIBFUZZER it is a
 * program that replays the files of its command line. The vocabulary: $PHI_VOCABULARY, else models/demo.gguf. */
#include "../src/grammar.h"
#include "../src/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void must(int holds, const char *what, const char *found) {
    if (holds) return;
    fprintf(stderr, "%s: %s\n", what, found);
    abort();
}

static phi_model *model;
static int n_vocab;

static void open_once(void) {
    const char *path = getenv("PHI_VOCABULARY");
    struct phi_model_info info;
    phi_error err = {""};
    if (model) return;
    must(phi_model_open(path ? path : "models/demo.gguf", &model, &err) == 0, "model", err.text);
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
        must(bound != UINT32_MAX, "shortest", "dead after a token that was allowed");
    }
    for (uint32_t left = bound; left < 300; left--) {
        phi_grammar_state_set_budget(s, left);
        if (phi_grammar_state_must_end(s)) break;
        must(left > 0, "budget", "spent before the end");
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
    must(size <= sizeof first, "size", "");
    for (size_t i = 0; i + 2 < n && size > 12; i += 3)
        first[12 + (data[i] | data[i + 1] << 8) % (size - 12)] ^= data[i + 2];
    if (phi_grammar_state_load(s, first, size, &err)) {
        must(err.text[0] != 0, "sentence", "");
        return;
    }
    must(phi_grammar_state_save(s, second, sizeof second) <= sizeof second, "size", "of a loaded state");
    for (int32_t id = 0; id < n_vocab; id += 3) phi_grammar_state_allows(s, id);
    phi_grammar_state_shortest(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    open_once();
    unsigned long long live = phi_memory_live();
    const uint8_t *zero = n ? memchr(data, 0, n) : NULL;
    size_t n_text = zero ? (size_t)(zero - data) : n;
    char *text = malloc(n_text ? n_text : 1); /* a copy of exactly this size: what is read behind it is found */
    phi_grammar *g = NULL;
    struct phi_grammar_state *s = NULL;
    phi_error err = {""};
    if (n_text) memcpy(text, data, n_text);
    int status = phi_grammar_open(model, text, n_text, NULL, &g, &err);
    must(status == 0 || (status == PHI_USAGE && !g), "status", err.text);
    must((status == 0) == !err.text[0] && !strchr(err.text, '\n'), "sentence", err.text);
    if (!status && zero) {
        must(phi_grammar_state_open(g, false, &s, &err) == 0, "state", err.text);
        answer(s, zero + 1, n - n_text - 1);
        load(s, zero + 1, n - n_text - 1);
    }
    phi_grammar_state_close(s);
    phi_grammar_close(g);
    free(text);
    must(phi_memory_live() == live, "leak", err.text);
    return 0;
}

#include "fuzz_replay.h"
