/* The vocabulary of a Hugging Face folder, as GGUF keys: tokenizer.model (SentencePiece) or tokenizer.json, the tokens that
 * tokenizer_config.json and others add, the special ids, the chat template. Hostile input. */
#ifndef PHI_SRC_HF_TOKENIZER_H
#define PHI_SRC_HF_TOKENIZER_H

#include "gguf_write.h"
#include "hf_config.h"

/* Add the tokenizer.* keys for c->n_vocab tokens. *placeholder: the folder has no vocabulary, and one without words was made
 * up. PHI_MODEL, PHI_MEMORY. */
int phi_hf_tokenizer_write(const char *folder, const struct phi_hf_config *c, struct phi_gguf_writer *w, bool *placeholder,
                           phi_error *err);

#endif
