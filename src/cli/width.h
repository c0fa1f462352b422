/* What a terminal makes of text: characters as people see them, and the columns they take. */
#ifndef PHI_CLI_WIDTH_H
#define PHI_CLI_WIDTH_H

#include <stddef.h>

/* Where the character (grapheme cluster: a letter with its marks, a joined emoji, a pair that makes a flag) that
 * begins at s[at], at < n, ends. A byte that is not UTF-8 stands alone. */
size_t cli_cluster_end(const char *s, size_t n, size_t at);
/* Where the one that ends at s[at], at > 0, begins. */
size_t cli_cluster_begin(const char *s, size_t n, size_t at);
/* Columns of the cluster s[n]: 0 to 2; what cli_escape_next() shows as \xNN takes 4 for each, a tab 4. */
int cli_cluster_width(const char *s, size_t n);

#endif
