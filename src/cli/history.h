/* The messages that the arrow keys bring back, in memory and in a file. */
#ifndef PHI_CLI_HISTORY_H
#define PHI_CLI_HISTORY_H

#include "prompt.h"

struct cli_history {
    struct cli_text *entry; /* the oldest first */
    size_t n, room;
    int fd;   /* of the file, for appending; -1: in memory only */
    bool off; /* nothing is added */
};

/* Open the file, if the rules allow one: $XDG_STATE_HOME/phi/history, else ~/.local/state/phi/history; none with
 * off, with PHI_NOHISTORY=1, or where HOME is not an absolute path. What cannot be read or written is no error. */
void cli_history_open(struct cli_history *h, bool off);
void cli_history_read(struct cli_history *h); /* the entries of the file; apart, since the sandbox lies between */
void cli_history_close(struct cli_history *h); /* one that is all zero but for fd = -1 is fine */
/* Unless it is empty, begins with a space, or repeats the last one. */
void cli_history_add(struct cli_history *h, const char *text, size_t n);
void cli_history_erase(struct cli_history *h); /* the file's content, too */

#endif
