/* What a run took and used, on stderr, in the words and widths that people grep for. */
#ifndef PHI_CLI_STATISTICS_H
#define PHI_CLI_STATISTICS_H

#include "options.h"

struct cli_memory {
    double peak_mib;      /* resident, at most so far; 0 where the system does not say */
    double anonymous_mib; /* resident now without file pages (the weights are file pages); -1 where it does not say */
};
struct cli_memory cli_memory_used(void);

struct cli_statistics {
    double load_seconds, total_seconds;
    struct phi_generate_result result; /* of all generations of an answer, which goes on behind a full context */
    size_t n_prompt, n_run;            /* tokens computed: of prompts; one by one */
    bool stopped, failed;              /* by a stop text; by an error */
    size_t n_past;
    int n_ctx;
    uint32_t seed;
};
/* One more generation; the session held n_before tokens before it and holds n_after now. */
void cli_statistics_add(struct cli_statistics *s, const struct phi_generate_result *r, size_t n_before,
                        size_t n_after);

const char *
cli_stop_reason(const struct cli_statistics *s); /* "eos", "stop", "length", "context", "interrupt", "error" */
/* CLI_OK; CLI_FAILED with an error line if a limit has ended the answer and the options call that a failure. */
int cli_stop_status(const struct cli_options *o, const struct cli_statistics *s);

void cli_statistics_print(const struct cli_statistics *s);

#endif
