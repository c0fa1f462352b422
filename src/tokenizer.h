/* Text to token ids and back, from the tables in a GGUF file. Knows nothing of chat templates. */
#ifndef PHI_SRC_TOKENIZER_H
#define PHI_SRC_TOKENIZER_H

#include "gguf.h"

struct phi_tokenizer;

/* Builds its own index; refers to strings in the mapping, so g must stay open. tokenizer.ggml.model decides between
 * SentencePiece BPE ("llama") and byte-level BPE ("gpt2"); for the latter tokenizer.ggml.pre must name a pattern of
 * pretokenizer.c, and each entry of tokenizer.ggml.merges must be two ordinary tokens that make a third, with one
 * space between. PHI_MODEL (names the key and what was found), PHI_MEMORY. */
int phi_tokenizer_open(const struct phi_gguf *g, struct phi_tokenizer **out, phi_error *err);
void phi_tokenizer_close(struct phi_tokenizer *t);

int phi_tokenizer_n_vocab(const struct phi_tokenizer *t);
int32_t phi_tokenizer_bos(const struct phi_tokenizer *t);           /* -1: none */
bool phi_tokenizer_add_bos(const struct phi_tokenizer *t);          /* what the file says, or the default of its kind */
bool phi_tokenizer_is_stop(const struct phi_tokenizer *t, int32_t id);
bool phi_tokenizer_is_control(const struct phi_tokenizer *t, int32_t id); /* has no text of its own: <s>, <|end|>, filler */

/* As phi_tokenize() in phi.h. */
int64_t phi_tokenizer_encode(const struct phi_tokenizer *t, const char *text, size_t n_bytes, unsigned flags, int32_t *ids,
                             size_t cap);
/* Take from plain text the white space that the control tokens before and after it swallow; an id of -1: none there. */
void phi_tokenizer_trim(const struct phi_tokenizer *t, int32_t before, int32_t after, const char **text, size_t *n_bytes);
/* As phi_token_bytes() in phi.h. */
const char *phi_tokenizer_bytes(const struct phi_tokenizer *t, int32_t id, bool special, size_t *n_bytes);

#endif
