/* What a text continued by 'phi run' is besides its ids: how its sampler stands, and what of it was not put out yet. */
#ifndef PHI_CLI_RESUME_H
#define PHI_CLI_RESUME_H

#include "saved.h"
#include "stream.h"

/* As bytes in the session file: u32 seed | u32 stop id + 1 | u64 n_prompt | u32 n_sampler | u32 n_held | sampler | held */
struct cli_resume {
    uint32_t seed;
    int32_t stop_id; /* the token that ended the text, sampled but not part of it; -1: it can go on */
    size_t n_prompt; /* tokens of the first prompt, for --keep */
    const uint8_t *sampler, *held; /* into the state of the file: valid until it is saved */
    size_t n_sampler, n_held;
};

/* From the state of a file, for a model with n_vocab tokens. CLI_OK, or CLI_FAILED with the error line printed. */
int cli_resume_read(const struct cli_saved *s, int n_vocab, struct cli_resume *r);

/* The sampler as it was; it has been told of the state's ids. Where that cannot be, since it has a grammar now, or another one, a
 * note says so and it goes on as it is. other_seed: but for its generator, which begins with the seed that was given. */
void cli_resume_sampler(const struct cli_resume *r, bool other_seed, phi_sampler *sampler);
/* What was held back, through the stream again. */
void cli_resume_stream(const struct cli_resume *r, struct cli_stream *stream);

/* Save ids and *r, with the sampler's state and what the stream holds back (stream NULL: nothing). */
int cli_resume_save(struct cli_saved *s, const struct cli_resume *r, const int32_t *ids, size_t n_id,
                    const phi_sampler *sampler, const struct cli_stream *stream);

#endif
