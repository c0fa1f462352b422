/* What the commands share that make a model file of another: the place of the new file, its temporary name, progress. */
#ifndef PHI_CLI_MAKER_H
#define PHI_CLI_MAKER_H

#include "options.h"
#include "../new_file.h"

#include <stdarg.h>

/* Before anything is read: out must not be one of the inputs, and the process gives up writing anywhere but into out's folder.
 * CLI_OK, or the exit code with the error line printed. */
int cli_maker_check(const struct cli_options *o, const char *in, const char *out);

/* As phi_new_file_open(); a second signal, which ends the program at once, removes the unfinished file. One at a time. */
int cli_maker_open(const char *path, uint64_t n_bytes, struct phi_new_file *f, phi_error *err);
/* Commit or, when status is negative, discard. Returns the first failure. */
int cli_maker_close(struct phi_new_file *f, int status, phi_error *err);

/* A line on a terminal: "12 % NAME". Non-zero: a signal has come. */
int cli_maker_progress(uint64_t done, uint64_t total, const char *fmt, ...) PHI_PRINTF(3, 4);

#endif
