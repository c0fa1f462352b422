/* How the line that is being edited stands on the screen. */
#ifndef PHI_CLI_EDIT_VIEW_H
#define PHI_CLI_EDIT_VIEW_H

#include <stddef.h>

struct cli_view {
    char *out; /* one drawing */
    size_t n, room;
    int cursor_row; /* of the screen, counted from the first row that was drawn */
};

/* Draw prompt and text, with the cursor at text[at], over what was drawn before; right: at the right end of the first
 * row, where there is room. Control characters are shown as \xNN, never sent. */
void cli_view_draw(struct cli_view *v, const char *prompt, const char *right, const char *text, size_t n, size_t at);
/* Draw it for the last time, without right, and go to the row below. */
void cli_view_finish(struct cli_view *v, const char *prompt, const char *text, size_t n);
/* Take it away again. */
void cli_view_erase(struct cli_view *v);
void cli_view_clear_screen(struct cli_view *v);
void cli_view_close(struct cli_view *v);

#endif
