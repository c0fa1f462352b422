/* Where the messages of a chat come from: a pipe, a plain terminal, or the line editor. */
#ifndef PHI_CLI_INPUT_H
#define PHI_CLI_INPUT_H

#include "history.h"

enum cli_input_event {
    CLI_INPUT_TEXT,      /* there is a message or a command */
    CLI_INPUT_END,       /* no more input */
    CLI_INPUT_INTERRUPT, /* Ctrl-C on an empty line */
    CLI_INPUT_SIGNAL,    /* a signal asks the program to end: cli_interrupted() */
    CLI_INPUT_FAILED,    /* reading failed; the error line is printed */
    CLI_INPUT_NO_MEMORY  /* so it is here */
};

struct cli_editor;

struct cli_input {
    bool terminal;             /* stdin is one: prompts are shown */
    bool multiline;            /* a \ at the end of a line ends the message; without it the message goes on */
    struct cli_editor *editor; /* NULL: lines come as the terminal or the pipe gives them */
    char *buffer;              /* of those */
    size_t at, n;
    bool at_end;
};

/* history: what the line editor brings back and adds to. completions: words that Tab completes at the beginning of a line, up to a NULL. The exit code, with the error line
 * printed; close in any case. */
int cli_input_open(struct cli_input *in, const struct cli_options *o, struct cli_history *history,
                   const char *const *completions);
void cli_input_close(struct cli_input *in);

/* The next message: a line, or several that """ or a \ at the end joins, or one paste; with `multiline` all lines up
 * to one with a \ at the end, unless the first one is a command. Lines of white space are skipped. *text belongs to
 * the caller; what it holds before is what the editor begins with. right: shown at the right of the prompt. */
enum cli_input_event cli_input_read(struct cli_input *in, const char *right, struct cli_text *text);

#endif
