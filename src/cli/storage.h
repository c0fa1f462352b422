/* Model files, and what else is mapped, lie on storage that may go away while the program runs. */
#ifndef PHI_CLI_STORAGE_H
#define PHI_CLI_STORAGE_H

#include "cli.h"
#include "../file.h"

/* From now on a read of a mapped file that fails (SIGBUS: the file was cut short, its storage removed) ends the program with an
 * error line and CLI_MODEL instead of a bare "Bus error"; what was to be done before such an end (signals) is done, and the
 * terminal gets back the modes that it has now. When a file is unmapped, a warning tells if it was written to since it was mapped: its
 * bytes changed under the computation, which nothing else tells. Sets phi_file_watch (file.h); whoever maps a file in another way
 * calls that, too, with a path that lives as long as the mapping. One thread at a time. */
void cli_storage_init(void);

void cli_storage_check(void); /* that warning now, for every file that is mapped: each is told of once */

#endif
