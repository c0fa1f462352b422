/* Thread counts that `phi bench --tune` has found, kept for later runs on this machine. */
#ifndef PHI_CLI_TUNE_H
#define PHI_CLI_TUNE_H

#include "cli.h"

struct cli_tune {
    int n_threads, n_threads_batch;
    unsigned long long weights; /* bytes of the model that they were measured with */
};

/* False: none are kept, or for another CPU or number of cores, or for a model with less than a quarter or more than
 * four times as many bytes of weights, for which others may be best. A damaged file is warned of. */
bool cli_tune_load(unsigned long long weights, struct cli_tune *out);
/* The file that keeps them, $XDG_CONFIG_HOME/phi/tune, else ~/.config/phi/tune: made if need be, and open for writing in *fd,
 * the caller's; it is opened long before it is written because the sandbox forbids it later. The exit code, with the error
 * line printed. */
int cli_tune_open(int *fd);
int cli_tune_store(const struct cli_tune *tune, int fd);

#endif
