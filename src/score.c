/* The arithmetic of evaluations; score.h says where each formula comes from. */
#include "score.h"

#include <math.h>
#include <string.h>

double phi_score_log_sum(const float *logits, int n, int32_t *best) {
    int32_t top = 0;
    double sum = 0;
    for (int32_t i = 1; i < n; i++)
        if (logits[i] > logits[top]) top = i;
    for (int32_t i = 0; i < n; i++) sum += (double)expf(logits[i] - logits[top]);
    if (best) *best = top;
    return (double)logits[top] + log(sum);
}

double phi_score_row_write(const float *logits, int n_vocab, int32_t id, uint16_t *row) {
    int32_t top;
    double log_sum = phi_score_log_sum(logits, n_vocab, &top);
    float most = logits[top], least = most;
    for (int32_t i = 0; i < n_vocab; i++)
        if (logits[i] < least) least = logits[i];
    if (least < most - 16) least = most - 16;
    float head[2] = {(most - least) / 65535, (float)((double)least - log_sum)}, inverse = 1 / head[0];
    memset(row, 0, phi_score_row_size(n_vocab) * sizeof *row);
    memcpy(row, head, sizeof head);
    for (int32_t i = 0; head[0] > 0 && i < n_vocab; i++)
        if (logits[i] > least) row[4 + i] = (uint16_t)lrintf(inverse * (logits[i] - least));
    return log_sum - (double)logits[id];
}

int phi_score_row_compare(const float *logits, int n_vocab, int32_t id, const uint16_t *row,
                          struct phi_score_token *out) {
    float scale, least, most_base = 0;
    int32_t top, top_base = 0;
    memcpy(&scale, row, sizeof scale);
    memcpy(&least, row + 2, sizeof least);
    if (!(scale >= 0 && scale <= 1) || !(least <= 0 && least >= -1e4f)) return -1;
    double log_sum = phi_score_log_sum(logits, n_vocab, &top), kld = 0;
    row += 4;
    for (int32_t i = 0; i < n_vocab; i++) {
        float log_p = least + scale * (float)row[i];
        if (i == 0 || log_p > most_base) {
            most_base = log_p;
            top_base = i;
        }
        if (log_p > -16) kld += (double)expf(log_p) * ((double)log_p - (double)logits[i] + log_sum);
    }
    *out = (struct phi_score_token){.nll = log_sum - (double)logits[id],
                                    .nll_base = -(double)(least + scale * (float)row[id]),
                                    .kld = kld,
                                    .same_top = top == top_base};
    return 0;
}

struct phi_score_mean phi_score_mean(const double *x, size_t n, size_t stride) {
    struct phi_score_mean m = {0, 0};
    double squares = 0;
    if (n == 0) return m;
    for (size_t i = 0; i < n; i++) {
        m.mean += x[i * stride];
        squares += x[i * stride] * x[i * stride];
    }
    m.mean /= (double)n;
    double variance = squares / (double)n - m.mean * m.mean;
    if (n > 1 && variance > 0) m.error = sqrt(variance / (double)(n - 1));
    return m;
}

double phi_score_quantile(const double *ascending, size_t n, double p) {
    double at = p * (double)(n - 1);
    size_t i = (size_t)at;
    if (i + 1 >= n) return ascending[n - 1];
    at -= (double)i;
    return (1 - at) * ascending[i] + at * ascending[i + 1];
}

struct phi_score_interval phi_score_wilson(size_t hits, size_t n) {
    const double z = 1.959963984540054; /* 97.5 % of the normal distribution lie below */
    double p = (double)hits / (double)n, m = (double)n, scale = 1 / (1 + z * z / m);
    double middle = (p + z * z / (2 * m)) * scale, half = z * sqrt(p * (1 - p) / m + z * z / (4 * m * m)) * scale;
    return (struct phi_score_interval){middle - half > 0 ? middle - half : 0, middle + half < 1 ? middle + half : 1};
}
