/* Answers on a terminal, broken between words. */
#ifndef PHI_CLI_WRAP_H
#define PHI_CLI_WRAP_H

#include <stddef.h>

struct cli_wrap {
    int column;     /* of the cursor */
    char word[256]; /* what stands behind the last place for a break, as it was put out */
    size_t n;
    int width; /* its columns */
};

/* Put out text, which is whole characters and broken bytes, through cli_escape_next(). A word that reaches the edge
 * is erased and begun again in the next row, so that nothing waits for its end. */
void cli_wrap_put(struct cli_wrap *w, const char *text, size_t n);

#endif
