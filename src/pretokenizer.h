/* Where byte-level BPE cuts text before it merges. Each vocabulary was made with a pattern, a regular expression, and
 * tokenizer.ggml.pre names it. Knows no vocabulary (tokenizer_bpe.c). */
#ifndef PHI_SRC_PRETOKENIZER_H
#define PHI_SRC_PRETOKENIZER_H

#include <stddef.h>

struct phi_pretokenizer {
    const char *name; /* as in tokenizer.ggml.pre */
    /* Bytes of the first piece of the n > 0 bytes at s, which reach to the end of the text: 1..n. All pieces together
     * take time in proportion to the text. */
    size_t (*next)(const char *s, size_t n);
};

/* NULL: nobody knows it. */
const struct phi_pretokenizer *phi_pretokenizer_find(const char *name, size_t n);
/* Row i of the table, to list it; NULL behind the last. */
const struct phi_pretokenizer *phi_pretokenizer_at(size_t i);

#endif
