/* Scores: what logits say about a text, and how sure a mean is. The rules are those of llama.cpp's perplexity tool, so that
 * figures can be compared; sums are doubles in the order of the tokens. Reads no file and knows no session. */
#ifndef PHI_SRC_SCORE_H
#define PHI_SRC_SCORE_H

#include <stddef.h>
#include <stdint.h>

/* ln(sum of exp(logits)): ln p(id) = logits[id] - this. *best: the largest logit's id, ties to the lowest; may be NULL. */
double phi_score_log_sum(const float *logits, int n, int32_t *best);

/* A row of llama.cpp's file of base logits: ln p of every token of the vocabulary in 16 bits,
 *
 *     scale f32 | least f32 | q u16 x n | padding to an even number of u16           ln p = least + scale * q
 *
 * where least is that of the least likely token, but at most 16 below the likeliest. */
static inline size_t phi_score_row_size(int n_vocab) { /* in u16 */
    return 4 + (size_t)(n_vocab + 1) / 2 * 2;
}
/* logits -> row; returns -ln p(id). */
double phi_score_row_write(const float *logits, int n_vocab, int32_t id, uint16_t *row);

struct phi_score_token {
    double nll, nll_base; /* -ln p of the token that follows: here, in the base */
    double kld;           /* sum over the vocabulary of p_base * ln(p_base / p), where ln p_base > -16 */
    double same_top;      /* 1: the likeliest token is the base's, 0: it is not */
};
/* logits against the row of the same position. -1: the row's numbers are nonsense. */
int phi_score_row_compare(const float *logits, int n_vocab, int32_t id, const uint16_t *row, struct phi_score_token *out);

/* Mean of x[i * stride], i < n, and its standard error sqrt((mean of x^2 - mean^2) / (n - 1)); error 0 for n < 2. */
struct phi_score_mean {
    double mean, error;
};
struct phi_score_mean phi_score_mean(const double *x, size_t n, size_t stride);

/* The value below which a share p of the n ascending values lies, between two of them by linear interpolation; n > 0. */
double phi_score_quantile(const double *ascending, size_t n, double p);

/* The 95 % interval of a share, hits of n > 0, by Wilson's score: E. B. Wilson, J. Am. Stat. Assoc. 22 (1927), 209. */
struct phi_score_interval {
    double low, high;
};
struct phi_score_interval phi_score_wilson(size_t hits, size_t n);

#endif
