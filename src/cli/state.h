/* Where the program keeps what it remembers between runs: the history of messages, saved conversations. */
#ifndef PHI_CLI_STATE_H
#define PHI_CLI_STATE_H

/* "$XDG_STATE_HOME/phi/NAME", else "~/.local/state/phi/NAME"; the caller's: phi_free(). NULL: neither variable is an absolute
 * path (errno ENOENT), or memory is short (ENOMEM). Nothing is made there, and no user database is asked, which static programs cannot do. */
char *cli_state_path(const char *name);

/* Make the folders above path that are missing, for the user alone (0700). Failures show when path itself is made. */
void cli_state_make_folders(char *path);

#endif
