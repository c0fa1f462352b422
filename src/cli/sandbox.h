/* What the program takes from itself before it reads what strangers wrote: from then on it opens no file for writing, makes no
 * connection and starts no program. It still reads any file, and writes to what is open already: stdout, and the files that a
 * command opened before. The kernel enforces it, so it holds for code that a damaged file might smuggle in, too. */
#ifndef PHI_CLI_SANDBOX_H
#define PHI_CLI_SANDBOX_H

#include "options.h"

/* Enter, unless --no-sandbox is given; later calls do nothing. Everything that has to be written must be open, nothing may be
 * parsed yet, and there must be one thread only: Landlock binds the thread that calls, and those that it starts.
 * folder: the one place below which files may be made, written, renamed and removed afterwards, an absolute path that exists;
 * NULL: none. Where the kernel has no Landlock there is none either, since a system call filter does not see paths.
 * renames: for a file in the folder that is open already, and will be renamed or removed: that works without Landlock, too, where
 * the filter then cannot tell it from any other.
 * CLI_OK, also where the system has less or nothing of all that; but CLI_FAILED, with the error line printed, if --sandbox
 * was given and nothing holds. */
int cli_sandbox_enter(const struct cli_options *o, const char *folder, bool renames);

/* What holds, for people: "on (seccomp, Landlock 6)", "off (--no-sandbox)". */
const char *cli_sandbox_describe(void);

/* May a file be made at path now? CLI_OK; or CLI_USAGE with the error line printed: "PATH: the sandbox allows FOLDER only; ...".
 * What is no matter of the sandbox shows when the file is opened. */
int cli_sandbox_check_write(const char *path);

#endif
