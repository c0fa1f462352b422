/* A model of noise in memory, for --synthetic. */
#ifndef PHI_CLI_SYNTHETIC_MODEL_H
#define PHI_CLI_SYNTHETIC_MODEL_H

#include "options.h"

/* "SHAPE:TYPE". CLI_OK, or CLI_USAGE with the error line printed, which lists what there is. */
int cli_synthetic_check(const char *name);

/* The file that the model is made in; made apart because the sandbox forbids it later. */
struct cli_synthetic_file {
    int fd;         /* -1: none */
    bool temporary; /* has a name in a folder, which is removed by closing it: no sandbox before that */
    char path[512];
};
int cli_synthetic_create(struct cli_synthetic_file *f);
/* Write and open it; *model belongs to the caller. Both return the exit code, with the error line printed. */
int cli_synthetic_open(struct cli_synthetic_file *f, const char *name, phi_model **model);
void cli_synthetic_close(struct cli_synthetic_file *f); /* the model stays; fd = -1 is fine */

#endif
