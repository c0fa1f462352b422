/* The commands. Each returns an exit code and has printed its error line; stdout is flushed by main(). */
#ifndef PHI_CLI_COMMANDS_H
#define PHI_CLI_COMMANDS_H

#include "options.h"

#define COMMAND(NAME, name, arguments, text) int cli_##name(const struct cli_options *o);
#include "commands.def"

#endif
