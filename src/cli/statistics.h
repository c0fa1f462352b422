/* What a run took and used, on stderr, in the words and widths that people grep for. */
#ifndef PHI_CLI_STATISTICS_H
#define PHI_CLI_STATISTICS_H

#include "cli.h"

struct cli_memory {
    double peak_mib;      /* resident, at most so far; 0 where the system does not say */
    double anonymous_mib; /* resident now without file pages (the weights are file pages); -1 where it does not say */
};
struct cli_memory cli_memory_used(void);

struct cli_statistics {
    double load_seconds, total_seconds;
    struct phi_generate_result result;
    size_t n_past;
    int n_ctx;
    uint32_t seed;
};
void cli_statistics_print(const struct cli_statistics *s);

#endif
