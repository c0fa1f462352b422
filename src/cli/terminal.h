/* The terminal that a chat is held on: its modes and its size. */
#ifndef PHI_CLI_TERMINAL_H
#define PHI_CLI_TERMINAL_H

#include "cli.h"

/* Can the line editor work here: are stdin and one of stdout and stderr terminals that know cursor movements? Then no
 * key is echoed any more until cli_terminal_close(), which every way out of the program takes. */
bool cli_terminal_open(void);
void cli_terminal_close(void);

/* editing: Ctrl-C and Ctrl-Z are keys like others, not signals. */
void cli_terminal_set_editing(bool editing);
/* The key Ctrl-Z: stop this process with the terminal as it was, and take it again when it goes on. */
void cli_terminal_suspend(void);
/* Must the screen be drawn again: another size since the last call, or the process was stopped? Sees to the modes,
 * too. */
bool cli_terminal_resized(void);
void cli_terminal_size(int *columns, int *rows);

/* What the person at the terminal should see that is no answer: on stdout if that is a terminal, else on stderr. */
void cli_terminal_write(const void *bytes, size_t n);

#endif
