/* phi info --json: one object on one line with all that the text says, arrays by their length only. */
#ifndef PHI_CLI_INFO_JSON_H
#define PHI_CLI_INFO_JSON_H

#include "cli.h"
#include "../gguf.h"

/* sha256: "" if it was not asked for. verified: all weights were found finite. */
void cli_info_json(const char *path, const struct phi_gguf *gguf, const struct phi_model_info *model, const char *sha256, bool verified);

#endif
