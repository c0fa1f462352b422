/* The sampler without a model, for those who only know the size of a vocabulary. */
#ifndef PHI_SRC_SAMPLER_H
#define PHI_SRC_SAMPLER_H

#include "grammar.h"

/* phi_sampler_open() for n_vocab (at least 1) logits. Without a model there are no stop tokens: ignore_eos has no
 * effect. */
int phi_sampler_new(int n_vocab, const struct phi_sampler_options *options, phi_sampler **out, phi_error *err);

/* The token id (in the vocabulary) is never chosen, as if its logit were -infinity. PHI_MEMORY. */
int phi_sampler_forbid(phi_sampler *sampler, int32_t id, phi_error *err);

/* Where its answer is in the grammar of its options; NULL: it has none. Owned by the sampler. */
struct phi_grammar_state *phi_sampler_grammar(phi_sampler *sampler);

/* Memory for the caller's use until the sampler is called again: a token's bytes, 64 KiB at most, and 4 held back before it. Owned by
 * the sampler, so that no thread needs a large stack. */
enum { PHI_SAMPLER_SCRATCH = (1 << 16) + 4 };
char *phi_sampler_scratch(phi_sampler *sampler);

/* What a sampler has gathered since it was opened, as bytes that a later process can go on from: the tokens that
 * follow are those that would have followed. Options are not part of it. Writes at most cap bytes to out and returns
 * how many the state has, which may be more than cap (then nothing was written). Little-endian, packed:
 *
 *     u64 generator[4]
 *     u32 n_vocab
 *     u32 has_window     1: there are penalties (then the next field counts); 0: none, n_window is 0
 *     u32 n_window       tokens that the penalties see
 *     u32 n_grammar      bytes of the grammar's state
 *     u32 window[n_window]    ids, the oldest first
 *     u8  grammar[n_grammar] */
size_t phi_sampler_state(const phi_sampler *sampler, void *out, size_t cap);

/* Go on from a state; its bytes need not be trusted. A longer window than the options ask for loses its oldest ids; a
 * state without a window leaves the window as it is, so that a caller who resumes with other penalties can fill it by
 * phi_sampler_accept() first. PHI_USAGE: it is no state, or not of this vocabulary or grammar; the sampler is unchanged
 * then. */
int phi_sampler_restore(phi_sampler *sampler, const void *state, size_t n_bytes, phi_error *err);

/* e^x for x <= 0, within 2 units in the last place and with the same bits on every machine: plain double arithmetic,
 * no libm. exp(0) is 1; below -700 it is 0. */
double phi_sampler_exp(double x);

#endif
