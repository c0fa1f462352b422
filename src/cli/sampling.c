/* The sampler that the options ask for. Owns the words of --logit-bias; knows what a token's text is only by asking
 * the tokenizer. */
#include "sampling.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- --logit-bias ---------------------------------------------------------------------------------------------- */

struct bias {
    const char *text; /* NULL: the id counts */
    size_t n;
    int64_t id;
    float bias;
};

static bool parse_number(const char *word, float *out) {
    double v;
    *out = -INFINITY;
    if (strcmp(word, "-inf") == 0) return true;
    if (!cli_parse_real(word, &v) || !(fabs(v) <= (double)FLT_MAX)) return false;
    *out = (float)v;
    return true;
}

static bool parse_bias(const char *word, struct bias *out) {
    size_t n_digit = strspn(word, "0123456789");
    const char *equals = strrchr(word, '=');
    *out = (struct bias){.text = NULL};
    if (n_digit > 0 && strchr("+-=", word[n_digit])) {
        char digits[20] = "";
        if (n_digit > 18) return false; /* cut, it would be another id */
        memcpy(digits, word, n_digit);
        return cli_parse_int(digits, &out->id) && parse_number(word + n_digit + (word[n_digit] == '='), &out->bias);
    }
    if (!equals) return false;
    bool quoted = word[0] == '"' && equals > word + 1 && equals[-1] == '"';
    out->text = word + quoted;
    out->n = (size_t)(equals - word) - 2 * quoted;
    return out->n > 0 && parse_number(equals + 1, &out->bias);
}

int cli_bias_check(const char *name, const char *word) {
    struct bias b;
    if (parse_bias(word, &b)) return CLI_OK;
    return cli_fail(CLI_USAGE, "%s: '%s' is not like 15043+1.5, 15043-inf or \"text\"=-2", name, word);
}

/* The token that has exactly these bytes; -1: none. */
static int32_t find_bytes(const phi_model *model, int n_vocab, const char *text, size_t n) {
    for (int32_t id = 0; id < n_vocab; id++) {
        size_t n_bytes;
        const char *bytes = phi_token_bytes(model, id, false, &n_bytes);
        if (n_bytes == n && memcmp(bytes, text, n) == 0) return id;
    }
    return -1;
}

static int several_tokens(const struct bias *b, const int32_t *ids, int64_t n) {
    char list[200] = "";
    int used = 0;
    for (int64_t i = 0; i < n && i < 12; i++)
        used += snprintf(list + used, sizeof list - (size_t)used, "%s%d", i ? ", " : "", ids[i]);
    return cli_fail(CLI_USAGE, "--logit-bias: \"%.*s\" is %lld tokens (%s%s); give one ID+B or ID-B for each",
                    (int)b->n, b->text, (long long)n, list, n > 12 ? ", ..." : "");
}

static int resolve(const struct bias *b, const phi_model *model, int n_vocab, struct phi_logit_bias *out) {
    enum { FEW = 256 };
    int32_t ids[FEW];
    out->bias = b->bias;
    out->id = (int32_t)b->id;
    if (!b->text && b->id >= n_vocab)
        return cli_fail(CLI_USAGE, "--logit-bias: %lld is not a token id (0 to %d)", (long long)b->id, n_vocab - 1);
    if (!b->text) return CLI_OK;
    int64_t n = phi_tokenize(model, b->text, b->n, PHI_PARSE_SPECIAL, ids, FEW);
    if (n < 0) return cli_fail(CLI_MEMORY, "not enough memory for a text of %zu bytes", b->n);
    out->id = n == 1 ? ids[0] : find_bytes(model, n_vocab, b->text, b->n);
    return out->id >= 0 ? CLI_OK : several_tokens(b, ids, n < FEW ? n : FEW);
}

static int resolve_all(const struct cli_options *o, const phi_model *model, struct phi_logit_bias *out) {
    struct phi_model_info info;
    int status = CLI_OK;
    phi_model_get_info(model, &info);
    for (int i = 0; !status && i < o->logit_bias.n; i++) {
        struct bias b;
        (void)parse_bias(o->logit_bias.text[i], &b); /* checked when it was read */
        status = resolve(&b, model, info.n_vocab, &out[i]);
    }
    return status;
}

/* ---- The sampler ----------------------------------------------------------------------------------------------- */

int cli_sampling_check(const struct cli_options *o, const phi_model *model) {
    struct phi_logit_bias bias[CLI_TEXTS_MAX];
    return resolve_all(o, model, bias);
}

int cli_sampler_open(const struct cli_options *o, const phi_model *model, int n_ctx, uint32_t seed,
                     phi_sampler **sampler) {
    struct phi_logit_bias bias[CLI_TEXTS_MAX];
    struct phi_sampler_options options = o->sampler;
    phi_error err = {""};
    int status = resolve_all(o, model, bias);
    if (status) return status;
    options.seed = seed;
    options.ignore_eos = o->ignore_eos;
    options.logit_bias = bias;
    options.n_logit_bias = (size_t)o->logit_bias.n;
    if (options.repeat_last_n < 0) options.repeat_last_n = n_ctx;
    status = phi_sampler_open(model, &options, sampler, &err);
    return status ? cli_fail_with(status, &err) : CLI_OK;
}
