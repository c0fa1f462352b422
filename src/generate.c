/* Generation: evaluate a prompt, then sample, hand out and evaluate one token after the other. Owns no state of its
 * own. */
#include "sampler.h"
#include "session.h"
#include "utf8.h"

#include <time.h>

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Hand a token's bytes out as whole characters. ready: PHI_SAMPLER_SCRATCH bytes; the tokenizer allows no longer tokens. */
static int hand_out(const phi_model *m, struct phi_utf8 *held, int32_t id, char *ready, phi_token_fn *token, void *user) {
    size_t n;
    const char *bytes = phi_token_bytes(m, id, false, &n);
    n = phi_utf8_feed(held, bytes, n, ready);
    return token ? token(user, id, ready, n) : 0;
}

/* How many tokens may still be generated, the last of which is not evaluated. */
static int64_t tokens_left(const phi_session *s, int n_predict, size_t n_generated, size_t n_past) {
    int64_t room = (int64_t)s->n_ctx - (int64_t)n_past + 1, wanted = (int64_t)n_predict - (int64_t)n_generated;
    return n_predict >= 0 && wanted < room ? wanted : room;
}

/* With so many tokens left, can only the end follow? The sampler keeps to the number from now on. */
static bool is_complete(phi_sampler *sampler, int64_t n_left) {
    struct phi_grammar_state *grammar = phi_sampler_grammar(sampler);
    phi_grammar_state_set_budget(grammar, n_left);
    return phi_grammar_state_must_end(grammar);
}

/* Can the answer be completed? n_past: tokens that the session will hold before its first one. */
static int check_budget(const phi_session *s, phi_sampler *sampler, int n_predict, size_t n_past, phi_error *err) {
    struct phi_grammar_state *grammar = phi_sampler_grammar(sampler);
    if (!grammar || n_predict == 0 || n_past > (size_t)s->n_ctx) return PHI_OK;
    uint32_t shortest = phi_grammar_state_shortest(grammar);
    int64_t left = tokens_left(s, n_predict, 0, n_past);
    if (shortest <= left) return PHI_OK;
    if (shortest == UINT32_MAX)
        return phi_fail(err, PHI_USAGE, "the sampler's text so far is not one of its grammar");
    return phi_fail(err, PHI_CONTEXT, "the grammar's shortest answer takes %u tokens, %s %lld", (unsigned)shortest,
                    n_predict == left ? "n_predict is" : "the context has room for", (long long)left);
}

/* Sample until something ends it. */
static int sample_tokens(phi_session *s, const phi_model *m, phi_sampler *sampler, int n_predict, phi_token_fn *token,
                         void *user, struct phi_generate_result *r, double begin, phi_error *err) {
    struct phi_utf8 held = {.n = 0};
    bool constrained = phi_sampler_grammar(sampler) != NULL;
    int e = 0;
    for (;;) {
        int32_t id;
        size_t past = phi_session_n_past(s);
        if (constrained && is_complete(sampler, tokens_left(s, n_predict, r->n_generated, past))) {
            r->reason = PHI_STOP_EOS;
            break;
        }
        if (n_predict >= 0 && r->n_generated >= (size_t)n_predict) {
            r->reason = PHI_STOP_LENGTH;
            break;
        }
        if ((e = phi_sampler_sample(sampler, phi_session_logits(s), &id, err))) break;
        if (r->n_generated == 0) r->first_token_seconds = now() - begin;
        if ((n_predict != -2 || constrained) && phi_token_is_stop(m, id)) {
            r->reason = PHI_STOP_EOS;
            r->stop_id = id;
            break;
        }
        r->n_generated++;
        if (hand_out(m, &held, id, phi_sampler_scratch(sampler), token, user)) {
            r->reason = PHI_STOP_INTERRUPT;
            break;
        }
        if (n_predict >= 0 && r->n_generated >= (size_t)n_predict) continue; /* nobody will ask for the next logits */
        if (constrained && is_complete(sampler, tokens_left(s, n_predict, r->n_generated, past + 1))) {
            r->reason = PHI_STOP_EOS;
            break;
        }
        if (past >= (size_t)s->n_ctx) {
            r->reason = PHI_STOP_CONTEXT;
            break;
        }
        if ((e = phi_session_eval(s, &id, 1, NULL, NULL, err))) break;
    }
    char rest[4];
    size_t n = phi_utf8_flush(&held, rest);
    if (n && token) token(user, -1, rest, n);
    return e;
}

int phi_generate(phi_session *s, phi_sampler *sampler, const int32_t *ids, size_t n, int n_predict,
                 phi_token_fn *token, phi_progress_fn *progress, void *user, struct phi_generate_result *result,
                 phi_error *err) {
    struct phi_generate_result r = {.reason = PHI_STOP_LENGTH, .stop_id = -1, .n_prompt = n};
    double begin = now();
    size_t end = phi_session_n_past(s) + n;
    int e = check_budget(s, sampler, n_predict, end, err);
    if (!e) e = phi_session_eval(s, ids, n, progress, user, err);
    r.prompt_seconds = now() - begin;
    if (!e && phi_session_n_past(s) < end) {
        r.reason = PHI_STOP_INTERRUPT; /* by the progress callback */
    } else if (!e && n_predict != 0 && !phi_session_logits(s)) {
        e = phi_fail(err, PHI_USAGE, "there is nothing to continue: the session holds no token");
    } else if (!e && n_predict != 0) {
        for (size_t i = 0; i < n; i++) phi_sampler_accept(sampler, ids[i]);
        double first = now();
        e = sample_tokens(s, phi_session_model(s), sampler, n_predict, token, user, &r, begin, err);
        r.generate_seconds = now() - first;
    }
    if (result) *result = r;
    return e;
}
