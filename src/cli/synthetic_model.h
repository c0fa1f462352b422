/* A model of noise in memory, for --synthetic. */
#ifndef PHI_CLI_SYNTHETIC_MODEL_H
#define PHI_CLI_SYNTHETIC_MODEL_H

#include "options.h"

/* "SHAPE:TYPE". CLI_OK, or CLI_USAGE with the error line printed, which lists what there is. */
int cli_synthetic_check(const char *name);
/* Make and open it; *model belongs to the caller. The exit code, with the error line printed. */
int cli_synthetic_open(const char *name, phi_model **model);

#endif
