/* What a chat is, and the commands that a user can give in it. */
#ifndef PHI_CLI_SLASH_H
#define PHI_CLI_SLASH_H

#include "constraint.h"
#include "conversation.h"
#include "input.h"
#include "model_file.h"
#include "saved.h"

struct cli_chat {
    struct cli_options o; /* what /set changes; the conversation refers to it */
    struct cli_conversation c;
    struct cli_input in;
    struct cli_history history;
    struct cli_model_file file;
    struct cli_constraint constraint; /* o.sampler.grammar is its grammar */
    struct cli_saved saved;           /* of --session or --prompt-cache */
    struct cli_text attached;         /* by /read: goes behind the next message */
    struct cli_text draft;            /* by /edit: what the editor begins with */
    bool leave;                       /* by /exit */
    bool cut_short;                   /* --fail-on-length: a limit has ended an answer */
};

/* The words that Tab completes, up to a NULL: "/help" ... */
extern const char *const cli_slash_words[];

/* Run a command; line begins with "/". CLI_OK, or the exit code of what went wrong, with the error line printed.
 * After CLI_USAGE, CLI_CONTEXT and CLI_FAILED the chat can go on. */
int cli_slash(struct cli_chat *chat, const struct cli_text *line);

/* After an answer: the line below it, on stderr; on a pipe a limit may make the chat fail. */
void cli_chat_answered(struct cli_chat *chat);

#endif
