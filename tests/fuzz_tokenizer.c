/* Fuzz target: any bytes must come back from their ids, and never as a control token unless asked for.
 *
 *     make CC=clang CFLAGS="-O1 -g -fsanitize=address,undefined,fuzzer-no-link" libphi.a
 *     clang -std=c11 -D_GNU_SOURCE -g -O1 -fsanitize=fuzzer,address,undefined -DPHI_LIBFUZZER -o fuzz_tokenizer \
 *         tests/fuzz_tokenizer.c libphi.a -lm -pthread
 *     ./fuzz_tokenizer -max_len=4096        the vocabulary: $PHI_VOCABULARY, else models/demo.gguf
 *
 * A byte-level vocabulary must have all bytes, or the others do not come back. */
#include "../src/tokenizer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void must(bool holds, const char *what) {
    if (holds) return;
    fprintf(stderr, "%s\n", what);
    abort();
}

static bool byte_level; /* text comes back as it is */

static struct phi_tokenizer *open_once(void) {
    static struct phi_gguf gguf;
    static struct phi_tokenizer *t;
    if (t) return t;
    const char *path = getenv("PHI_VOCABULARY");
    phi_error err = {""};
    if (phi_gguf_open(path ? path : "models/demo.gguf", &gguf, &err) == 0) phi_tokenizer_open(&gguf, &t, &err);
    must(t, err.text);
    struct phi_str model;
    byte_level = phi_gguf_get_str(&gguf, "tokenizer.ggml.model", &model, &err) == 1 && model.n == 4 &&
                 memcmp(model.s, "gpt2", 4) == 0;
    return t;
}

/* text is plain: its ids put it out; SentencePiece's " " and the text, ▁ as a space. */
static void check_plain(const struct phi_tokenizer *t, const char *text, size_t n, const int32_t *ids, int64_t n_id) {
    size_t at = byte_level; /* in " " and text */
    for (int64_t i = 0; i < n_id; i++) {
        size_t k;
        const char *s = phi_tokenizer_bytes(t, ids[i], false, &k);
        must(!phi_tokenizer_is_control(t, ids[i]), "a control token from plain text");
        for (size_t j = 0; j < k; j++) {
            bool blank = !byte_level && at >= 1 && n - (at - 1) >= 3 && memcmp(text + at - 1, "\xe2\x96\x81", 3) == 0;
            char expected = ' ';
            if (at > 0 && !blank) {
                must(at <= n, "more bytes than the text has");
                expected = text[at - 1];
            }
            must(s[j] == expected, "another byte came back");
            at += blank ? 3 : 1;
        }
    }
    must(at == (n || byte_level ? n + 1 : 0), "bytes are missing");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    const struct phi_tokenizer *t = open_once();
    char *text = malloc(n ? n : 1); /* a copy of exactly this size: what is read behind it is found */
    if (n) memcpy(text, data, n);
    int32_t *ids = malloc((3 * n + 8) * sizeof *ids);
    int64_t n_id = phi_tokenizer_encode(t, text, n, 0, ids, 3 * n + 8);
    must(n_id >= 0 && (uint64_t)n_id <= 3 * n + 8, "number of ids");
    check_plain(t, text, n, ids, n_id);
    int64_t parsed = phi_tokenizer_encode(t, text, n, PHI_PARSE_SPECIAL | PHI_ADD_BOS, ids, 3 * n + 8);
    must(parsed >= 0 && (uint64_t)parsed <= 3 * n + 8, "number of ids with special tokens");
    free(ids);
    free(text);
    return 0;
}

#include "fuzz_replay.h"
