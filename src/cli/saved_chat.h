/* Conversations in session files: --session, /save and /load. */
#ifndef PHI_CLI_SAVED_CHAT_H
#define PHI_CLI_SAVED_CHAT_H

#include "slash.h"

/* Behind cli_conversation_open(): take over the conversation that chat->saved holds, if it holds one; a note says how many turns.
 * A system prompt of the options replaces the saved one. The exit code, with the error line printed. */
int cli_chat_resume(struct cli_chat *chat);
/* What --session asks for, if it is given and something has changed; status: of what was done before, which is returned unless
 * saving fails. After a failure of the model or memory nothing is saved. */
int cli_chat_save(struct cli_chat *chat, int status);

/* Commands (slash.c): NAME stands for a file in the folder of saved sessions, a name with a slash for itself. */
int cli_slash_save(struct cli_chat *chat, const char *name);
int cli_slash_load(struct cli_chat *chat, const char *name);

#endif
