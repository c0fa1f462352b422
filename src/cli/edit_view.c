/* Drawing. Every change draws the whole text again by one write: rows that were there are overwritten, the rest is
 * erased. The last column stays empty, so that no terminal breaks a row by itself.
 *
 *     > the first row of the text, which is         ctx 812/4096
 *       broken here; after a newline a row begins
 *       at the same column                                           rows above and below the screen's are left out
 */
#include "edit_view.h"
#include "terminal.h"
#include "width.h"
#include "../memory.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* A pen that goes over the text: where the next cluster goes. */
struct pen {
    int columns, indent, row, column;
};

static void put(struct cli_view *v, const char *bytes, size_t n) {
    if (n > v->room - v->n) {
        char *more = phi_realloc(v->out, (v->n + n) * 2, 1);
        if (!more) return; /* the drawing is cut; the text is not */
        v->out = more;
        v->room = (v->n + n) * 2;
    }
    memcpy(v->out + v->n, bytes, n);
    v->n += n;
}

static void put_text(struct cli_view *v, const char *text) {
    put(v, text, strlen(text));
}

static void move(struct cli_view *v, int n, char direction) {
    char sequence[16];
    if (n > 0) put(v, sequence, (size_t)snprintf(sequence, sizeof sequence, "\x1b[%d%c", n, direction));
}

static void new_row(struct pen *p) {
    p->row++;
    p->column = p->indent;
}

/* Make room for a cluster: it goes to p->row, p->column. */
static int place(struct pen *p, const char *s, size_t n) {
    int width = s[0] == '\n' ? 0 : cli_cluster_width(s, n);
    if (p->column + width > p->columns) new_row(p);
    return width;
}

static void put_cluster(struct cli_view *v, const char *s, size_t n) {
    size_t used;
    if (s[0] == '\t') {
        put(v, "    ", 4);
        return;
    }
    for (size_t i = 0; i < n; i += used) {
        char shown[4];
        put(v, shown, cli_escape_next(s + i, n - i, 0, shown, &used));
    }
}

static void put_colored(struct cli_view *v, const char *code, const char *text) {
    int fd = cli_output_is_terminal() ? STDOUT_FILENO : STDERR_FILENO;
    put_text(v, cli_color(fd, code));
    put_cluster(v, text, strlen(text)); /* a prompt may show what was typed */
    put_text(v, cli_color(fd, "0"));
}

/* Rows that the text takes, and where the cursor is. */
static int measure(struct pen p, const char *text, size_t n, size_t at, struct pen *cursor) {
    size_t end;
    for (size_t i = 0; i < n; i = end) {
        end = cli_cluster_end(text, n, i);
        int width = place(&p, text + i, end - i);
        if (i <= at && at < end) *cursor = p;
        p.column += width;
        if (text[i] == '\n') new_row(&p);
    }
    if (at >= n) {
        if (p.column >= p.columns) new_row(&p);
        *cursor = p;
    }
    return p.row + 1;
}

static void begin_row(struct cli_view *v, const struct pen *p, int first) {
    if (p->row > first) put_text(v, "\x1b[K\r\n");
    for (int i = 0; p->row > 0 && i < p->indent; i++) put(v, " ", 1);
}

/* Columns for right behind the first row's text, whose width is used. */
static void put_right(struct cli_view *v, const char *right, int used, int columns) {
    char sequence[16];
    int n = (int)strlen(right);
    if (n == 0 || used + 2 + n > columns) return;
    put_text(v, "\x1b[K");
    put(v, sequence, (size_t)snprintf(sequence, sizeof sequence, "\x1b[%dG", columns - n + 1));
    put_colored(v, "2", right);
}

static void draw_rows(struct cli_view *v, struct pen p, const char *right, const char *text, size_t n, int first,
                      int last) {
    size_t end;
    int drawn = first - 1, used = p.column; /* the last row that has begun; columns of row 0 */
    bool labelled = false;
    for (size_t i = 0; i <= n; i = end) {
        int width = 0;
        end = i + 1;
        if (i < n) {
            end = cli_cluster_end(text, n, i);
            width = place(&p, text + i, end - i);
        } else if (p.column >= p.columns && p.row < last) {
            new_row(&p);
        }
        if (p.row > last) break;
        if (p.row > 0 && first == 0 && !labelled) put_right(v, right, used, p.columns), labelled = true;
        while (drawn < p.row && p.row >= first) {
            drawn++;
            struct pen row = p;
            row.row = drawn;
            begin_row(v, &row, first);
        }
        if (i < n && text[i] != '\n' && p.row >= first) put_cluster(v, text + i, end - i);
        p.column += width;
        if (p.row == 0) used = p.column;
        if (i < n && text[i] == '\n') new_row(&p);
    }
    if (first == 0 && !labelled) put_right(v, right, used, p.columns);
    put_text(v, "\x1b[K\x1b[J");
}

void cli_view_draw(struct cli_view *v, const char *prompt, const char *right, const char *text, size_t n, size_t at) {
    int columns, rows;
    struct pen cursor = {0};
    cli_terminal_size(&columns, &rows);
    int width = 0;
    size_t n_prompt = strlen(prompt), end;
    for (size_t i = 0; i < n_prompt; i = end) {
        end = cli_cluster_end(prompt, n_prompt, i);
        width += cli_cluster_width(prompt + i, end - i);
    }
    struct pen p = {.columns = columns > 10 ? columns - 1 : 9, .indent = width < 4 ? width : 0, .column = width};
    int n_row = measure(p, text, n, at, &cursor), show = rows > 1 ? rows : 1;
    int first = cursor.row >= show ? cursor.row - show + 1 : 0, last = first + show - 1;
    if (last > n_row - 1) last = n_row - 1;
    v->n = 0;
    put_text(v, "\x1b[?25l\r"); /* the cursor is hidden while it runs about */
    move(v, v->cursor_row, 'A');
    if (first == 0) put_colored(v, "1;32", prompt);
    draw_rows(v, p, right, text, n, first, last);
    put_text(v, "\r");
    move(v, last - cursor.row, 'A');
    move(v, cursor.column, 'C');
    put_text(v, "\x1b[?25h");
    v->cursor_row = cursor.row - first;
    cli_terminal_write(v->out, v->n);
}

void cli_view_finish(struct cli_view *v, const char *prompt, const char *text, size_t n) {
    cli_view_draw(v, prompt, "", text, n, n);
    cli_terminal_write("\r\n", 2);
    v->cursor_row = 0;
}

void cli_view_erase(struct cli_view *v) {
    v->n = 0;
    put_text(v, "\r");
    move(v, v->cursor_row, 'A');
    put_text(v, "\x1b[J");
    v->cursor_row = 0;
    cli_terminal_write(v->out, v->n);
}

void cli_view_clear_screen(struct cli_view *v) {
    cli_terminal_write("\x1b[H\x1b[2J", 7);
    v->cursor_row = 0;
}

void cli_view_close(struct cli_view *v) {
    phi_free(v->out);
    *v = (struct cli_view){0};
}
