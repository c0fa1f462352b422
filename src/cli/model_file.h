/* Which model runs: -m, else $PHI_MODEL, else the demo model near the executable; and opening it. */
#ifndef PHI_CLI_MODEL_FILE_H
#define PHI_CLI_MODEL_FILE_H

#include "options.h"

enum { CLI_PATH_MAX = 4096 };
struct cli_model_file {
    char path[CLI_PATH_MAX];
    const char *why; /* "" for -m; else in brackets behind the path: " (demo; -m or PHI_MODEL chooses another)" */
};

/* CLI_OK; CLI_MODEL if there is no model to be found. Does not open it. */
int cli_model_choose(const struct cli_options *o, struct cli_model_file *out);

/* Choose, enter the sandbox, open. *model belongs to the caller. weights: a file that holds only a vocabulary is refused (CLI_MODEL).
 * The exit code, with the error line printed. */
int cli_model_open(const struct cli_options *o, bool weights, struct cli_model_file *file, phi_model **model);

/* "phi: model PATH (why)", once everything that can fail has gone well. */
void cli_model_announce(const struct cli_model_file *file);
/* "phi: memory: weights 2282 + KV 768 + scratch 64 = 3114 MiB; 5210 MiB available", of the session opened last. */
void cli_memory_announce(const phi_session *session);

/* Open a session with the options given; n_ctx = 0: what the options say. The exit code, with the error line printed.
 */
int cli_session_open(const struct cli_options *o, const phi_model *model, int n_ctx, phi_session **session);

#endif
