/* Texts that end an answer (-r). A text can begin in one token and end in another, so what may be its beginning is
 * held back. What is held is always the beginning of one of the texts. */
#ifndef PHI_CLI_STOP_TEXT_H
#define PHI_CLI_STOP_TEXT_H

#include "options.h"

struct cli_stop_pattern {
    char *bytes;
    size_t n;
    size_t *border; /* [n]: of the first i + 1 bytes, the longest proper beginning that is their end, too (Knuth,
                       Morris, Pratt) */
    size_t matched; /* how many of its bytes the answer ends with now */
};

struct cli_stop {
    struct cli_stop_pattern pattern[CLI_TEXTS_MAX];
    int n;
    const char *held; /* [n_held]; the beginning of a pattern */
    size_t n_held;
    bool found;       /* a text is complete: the answer ends before it */
    size_t n_dropped; /* bytes that were fed from there on */
};

/* escape: \n and the like are escapes, as in -p. CLI_OK, or CLI_MEMORY with the error line printed; close in any
 * case.
 */
int cli_stop_open(struct cli_stop *s, const struct cli_texts *texts, bool escape);
void cli_stop_close(struct cli_stop *s);

/* What can be put out: n_held bytes of what was held, then the first n_new of the bytes that were fed. */
struct cli_stop_ready {
    const char *held;
    size_t n_held, n_new;
};
/* The answer goes on with these bytes. After `found` nothing more may be fed.
 *
 * To save what is held: the bytes held[n_held]. To go on from there in another process: feed them first; what is then
 * ready (something, if the texts are others now) has not been put out yet. */
struct cli_stop_ready cli_stop_feed(struct cli_stop *s, const char *bytes, size_t n);
/* The answer has ended: what was held can be put out. Nothing is held afterwards. */
struct cli_stop_ready cli_stop_flush(struct cli_stop *s);

#endif
