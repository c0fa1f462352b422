/* What the commands share that make a model file of another: the place of the new file, its temporary name, progress. */
#ifndef PHI_CLI_MAKER_H
#define PHI_CLI_MAKER_H

#include "options.h"
#include "../encode.h"
#include "../new_file.h"

/* Before anything is read: make the unfinished file beside out, which must not be the input, and give up writing anywhere but into
 * out's folder. A second signal, which ends the program at once, removes the unfinished file. One at a time. CLI_OK; or the exit code
 * with the error line printed, and nothing is left. */
int cli_maker_open(const struct cli_options *o, const char *in, const char *out, struct phi_new_file *f);
/* Commit or, when status is negative, discard. Returns the first failure. */
int cli_maker_close(struct phi_new_file *f, int status, phi_error *err);

/* Its bytes go to f, and a line on a terminal says "12 %  NAME, F16 to Q4_0". */
struct phi_encode_calls cli_maker_calls(struct phi_new_file *f);

#endif
