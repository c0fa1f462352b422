/* Packing and unpacking what a resumed run needs. */
#include "resume.h"
#include "../memory.h"
#include "../sampler.h"

#include <string.h>

enum { HEAD = 24 };

static void put(uint8_t *at, size_t n_bytes, uint64_t v) {
    for (size_t i = 0; i < n_bytes; i++) at[i] = (uint8_t)(v >> 8 * i);
}

int cli_resume_read(const struct cli_saved *s, int n_vocab, struct cli_resume *r) {
    const struct phi_session_state *state = cli_saved_state(s);
    const uint8_t *p = state->extra;
    if (state->n_extra >= HEAD) {
        *r = (struct cli_resume){.seed = (uint32_t)phi_little_endian(p, 4),
                                 .stop_id = (int32_t)((uint32_t)phi_little_endian(p + 4, 4) - 1),
                                 .n_prompt = (size_t)phi_little_endian(p + 8, 8),
                                 .n_sampler = (size_t)phi_little_endian(p + 16, 4),
                                 .n_held = (size_t)phi_little_endian(p + 20, 4)};
        r->sampler = p + HEAD;
        r->held = p + HEAD + r->n_sampler;
        size_t left = state->n_extra - HEAD;
        if (r->n_sampler <= left && r->n_held == left - r->n_sampler && r->n_prompt <= state->n_id &&
            r->stop_id >= -1 && r->stop_id < n_vocab)
            return CLI_OK;
    }
    return cli_fail(CLI_FAILED, "%s: session ignored: it is damaged; move it away", s->path);
}

void cli_resume_sampler(const struct cli_resume *r, bool other_seed, phi_sampler *sampler) {
    enum { GENERATOR = 32 }; /* bytes; sampler.h: the beginning of a state */
    phi_error err = {""};
    size_t n_fresh = phi_sampler_state(sampler, NULL, 0);
    uint8_t *fresh = phi_alloc(n_fresh, 1), *state = phi_alloc(r->n_sampler + 1, 1);
    if (!fresh || !state) {
        cli_note("the sampler begins anew: there is not enough memory for its state");
    } else {
        phi_sampler_state(sampler, fresh, n_fresh);
        memcpy(state, r->sampler, r->n_sampler);
        if (other_seed && r->n_sampler >= GENERATOR) memcpy(state, fresh, GENERATOR);
        if (phi_sampler_restore(sampler, state, r->n_sampler, &err))
            cli_note("the sampler begins anew: %s", err.text);
    }
    phi_free(fresh);
    phi_free(state);
}

void cli_resume_stream(const struct cli_resume *r, struct cli_stream *stream) {
    enum { FEW = 64 };
    for (size_t i = 0; i < r->n_held; i += FEW)
        (void)cli_stream_token(stream, -1, (const char *)r->held + i, r->n_held - i < FEW ? r->n_held - i : FEW);
}

int cli_resume_save(struct cli_saved *s, const struct cli_resume *r, const int32_t *ids, size_t n_id,
                    const phi_sampler *sampler, const struct cli_stream *stream) {
    size_t n_sampler = sampler ? phi_sampler_state(sampler, NULL, 0) : 0, n_held = stream ? stream->stop.n_held : 0;
    size_t n_whole = stream ? stream->whole.n : 0, n = HEAD + n_sampler + n_held + n_whole;
    uint8_t *extra = phi_alloc(n, 1);
    if (!extra) return cli_fail(CLI_MEMORY, "not enough memory to save the session");
    put(extra, 4, r->seed);
    put(extra + 4, 4, (uint32_t)r->stop_id + 1);
    put(extra + 8, 8, r->n_prompt);
    put(extra + 16, 4, n_sampler);
    put(extra + 20, 4, n_held + n_whole);
    if (sampler) phi_sampler_state(sampler, extra + HEAD, n_sampler);
    if (n_held) memcpy(extra + HEAD + n_sampler, stream->stop.held, n_held);
    if (n_whole) memcpy(extra + HEAD + n_sampler + n_held, stream->whole.held, n_whole);
    int status = cli_saved_write(s, ids, n_id, extra, n);
    phi_free(extra);
    return status;
}
