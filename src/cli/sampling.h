/* From options to a sampler. */
#ifndef PHI_CLI_SAMPLING_H
#define PHI_CLI_SAMPLING_H

#include "options.h"

/* Can word be a value of --logit-bias: 15043+1.5, 15043-inf, "text"=-2 (the quotes may be gone, the shell eats them)?
 * CLI_OK or CLI_USAGE with the error line printed. */
int cli_bias_check(const char *name, const char *word);

/* Does what the options say about tokens fit this vocabulary? CLI_OK; CLI_USAGE or CLI_MEMORY with the error line
 * printed. */
int cli_sampling_check(const struct cli_options *o, const phi_model *model);

/* A sampler for n_ctx tokens of context. What the options name as text must be one token: the text's only token, or
 * the token that consists of just these bytes (a SentencePiece vocabulary puts a space before a text). The exit code,
 * as above. */
int cli_sampler_open(const struct cli_options *o, const phi_model *model, int n_ctx, uint32_t seed,
                     phi_sampler **sampler);

#endif
