/* -C, -Cr: which cores the program runs on. */
#ifndef PHI_CLI_PINNING_H
#define PHI_CLI_PINNING_H

#include "../cores.h"
#include "options.h"

/* Move the process to the cores that the options name, before it has other threads. CLI_OK, or CLI_USAGE with the error line
 * printed: no mask or range, or none of its cores is there. Of bench's list of masks each is tried, and all cores remain. */
int cli_pin(const struct cli_options *o);

enum { CLI_MASK_SIZE = 2 * sizeof((struct phi_core_mask *)0)->bits + 3 }; /* of a mask's text: 0x, digits, NUL */

/* Move the calling thread to those of the cores `have` that the mask at *list names, which goes to word; *list then points behind
 * it and its comma. CLI_OK, or CLI_USAGE as above. */
int cli_pin_next(const char **list, const struct phi_core_mask *have, char word[CLI_MASK_SIZE]);

#endif
