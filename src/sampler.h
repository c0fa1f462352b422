/* The sampler without a model, for those who only know the size of a vocabulary. */
#ifndef PHI_SRC_SAMPLER_H
#define PHI_SRC_SAMPLER_H

#include "error.h"

/* phi_sampler_open() for n_vocab (at least 1) logits. Without a model there are no stop tokens: ignore_eos has no
 * effect. */
int phi_sampler_new(int n_vocab, const struct phi_sampler_options *options, phi_sampler **out, phi_error *err);

/* The token id (in the vocabulary) is never chosen, as if its logit were -infinity. PHI_MEMORY. */
int phi_sampler_forbid(phi_sampler *sampler, int32_t id, phi_error *err);

/* e^x for x <= 0, within 2 units in the last place and with the same bits on every machine: plain double arithmetic,
 * no libm. exp(0) is 1; below -700 it is 0. */
double phi_sampler_exp(double x);

#endif
