/* Wrapping. A row may be broken behind a space and beside a character of two columns (Chinese, Japanese, emoji). The
 * last column stays empty: what a terminal does behind it differs. */
#include "wrap.h"
#include "terminal.h"
#include "width.h"

#include <stdio.h>
#include <string.h>

static void new_row(struct cli_wrap *w) {
    cli_put("\n", 1);
    w->column = 0;
}

/* The word at hand goes to the next row. */
static void carry_word(struct cli_wrap *w) {
    cli_putf("\x1b[%dD\x1b[K", w->width);
    new_row(w);
    cli_put(w->word, w->n);
    w->column = w->width;
}

static void put_character(struct cli_wrap *w, const char *shown, size_t n, int width, int columns) {
    bool blank = n == 1 && (shown[0] == ' ' || shown[0] == '\t'), alone = width == 2;
    if (w->column + width >= columns) {
        bool carry = !blank && !alone && w->n > 0 && w->width < w->column && w->width + width < columns;
        if (carry)
            carry_word(w);
        else
            new_row(w);
        if (blank) { /* the break stands for it */
            w->n = 0;
            w->width = 0;
            return;
        }
    }
    cli_put(shown, n);
    w->column += width;
    bool of_another = width == 0 && w->n == 0; /* a mark on what stands before the word */
    if (blank || alone || of_another || w->n + n > sizeof w->word) {
        w->n = 0;
        w->width = 0;
    } else {
        memcpy(w->word + w->n, shown, n);
        w->n += n;
        w->width += width;
    }
}

void cli_wrap_put(struct cli_wrap *w, const char *text, size_t n) {
    int columns, rows;
    size_t used;
    cli_terminal_size(&columns, &rows);
    for (size_t i = 0; i < n; i += used) {
        char shown[4];
        size_t length = cli_escape_next(text + i, n - i, CLI_KEEP_LINES | CLI_MARK_BROKEN, shown, &used);
        if (shown[0] == '\n') {
            new_row(w);
            w->n = 0;
            w->width = 0;
        } else if (shown[0] == '\t') {
            put_character(w, shown, 1, 8 - w->column % 8, columns);
        } else {
            int width = shown[0] == '\\' && length == 4 ? 4 : cli_cluster_width(shown, length);
            put_character(w, shown, length, width, columns);
        }
    }
}
