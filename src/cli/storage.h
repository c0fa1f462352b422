/* The model's file lies on storage that may go away while it is mapped. */
#ifndef PHI_CLI_STORAGE_H
#define PHI_CLI_STORAGE_H

#include "cli.h"

/* From now on a read of the model's bytes that fails (SIGBUS: the file was cut short, its storage removed) ends the
 * program with an error line and CLI_MODEL instead of a bare "Bus error"; what was to be done
 * before such an end (signals) is done, and the terminal gets back the modes that it has now. One model at a time. */
void cli_storage_watch(const char *path, const void *mapping, size_t n_bytes);

/* A warning if the file was written to since: its bytes changed under the computation, which nothing else tells. For
 * the end of the program; nothing without a model. */
void cli_storage_check(void);

#endif
