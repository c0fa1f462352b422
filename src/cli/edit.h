/* The line editor of the chat, on a terminal that cli_terminal_open() has prepared. */
#ifndef PHI_CLI_EDIT_H
#define PHI_CLI_EDIT_H

#include "input.h"

/* history: stays the caller's. completions: see cli_input_open(). CLI_OK or CLI_MEMORY. */
int cli_editor_open(struct cli_editor **out, struct cli_history *history, const char *const *completions);
void cli_editor_close(struct cli_editor *e); /* NULL is fine */

/* Let the user edit *text (which may be empty) until Enter. A paste is one text, whatever lines it has. Keys typed
 * before the call count. */
enum cli_input_event cli_editor_line(struct cli_editor *e, const char *prompt, const char *right,
                                     struct cli_text *text);

void cli_editor_keep_history(struct cli_editor *e, bool keep); /* of messages to come */
void cli_editor_forget(struct cli_editor *e);                  /* erase the history, file and all */

#endif
