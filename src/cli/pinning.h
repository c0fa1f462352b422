/* -C, -Cr: which cores the program runs on. */
#ifndef PHI_CLI_PINNING_H
#define PHI_CLI_PINNING_H

#include "options.h"

/* Move the process to the cores that the options name, before it has other threads. CLI_OK, or CLI_USAGE with the error line
 * printed: no mask or range, or none of its cores is there. */
int cli_pin(const struct cli_options *o);

#endif
