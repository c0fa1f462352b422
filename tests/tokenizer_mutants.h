/* Any file with a damaged vocabulary that opens must tokenize; any other must be refused with a sentence. For the test programs
 * of each kind of tokenizer. */
#ifndef PHI_TESTS_TOKENIZER_MUTANTS_H
#define PHI_TESTS_TOKENIZER_MUTANTS_H

#include "check.h"
#include "gguf_writer.h"
#include "../src/tokenizer.h"

/* Change 1 to most_changes bytes of the finished file in w, `rounds` times; w is as before afterwards. text[n_text] is tokenized
 * with each vocabulary that opens. path: a scratch file. */
static inline void check_tokenizer_mutants(struct gguf_writer *w, const char *path, const char *text, size_t n_text,
                                           int rounds, unsigned most_changes, unsigned long long *rng) {
    uint8_t *good = malloc(w->file.n);
    memcpy(good, w->file.p, w->file.n);
    int n_open = 0, n_refused = 0;
    for (int round = 0; round < rounds; round++) {
        memcpy(w->file.p, good, w->file.n);
        for (int k = (int)(check_random(rng) % most_changes); k >= 0; k--) {
            unsigned long long r = check_random(rng);
            w->file.p[r % w->file.n] = (uint8_t)(r >> 32 & 1 ? r >> 40 : 1u << (r >> 40 & 7));
        }
        gguf_save(w, path);
        struct phi_gguf g;
        struct phi_tokenizer *t = NULL;
        phi_error err = {""};
        if (phi_gguf_open(path, &g, &err) != 0) continue;
        int status = phi_tokenizer_open(&g, &t, &err);
        status ? n_refused++ : n_open++;
        CHECK(status == PHI_OK || (status == PHI_MODEL && !t && *err.text), "status %d: %s (seed %llu)", status,
              err.text, check_seed());
        if (t) {
            int64_t n = phi_tokenizer_encode(t, text, n_text, PHI_PARSE_SPECIAL | PHI_ADD_BOS, NULL, 0);
            size_t n_bytes, sum = 0;
            for (int32_t id = 0; id < phi_tokenizer_n_vocab(t); id++) {
                const char *s = phi_tokenizer_bytes(t, id, true, &n_bytes);
                for (size_t i = 0; i < n_bytes; i++) sum += (uint8_t)s[i];
            }
            CHECK(n > 0 && sum > 0, "%lld ids (seed %llu)", (long long)n, check_seed());
        }
        phi_tokenizer_close(t);
        phi_gguf_close(&g);
    }
    CHECK(n_open > 100 && n_refused > 100, "%d opened, %d refused", n_open, n_refused);
    memcpy(w->file.p, good, w->file.n);
    free(good);
}

#endif
