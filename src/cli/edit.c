/* The line editor: what keys do to the text. Bytes become keys in edit_keys.c, the text is drawn by edit_view.c, and
 * history.c keeps old messages. */
#include "edit.h"
#include "edit_keys.h"
#include "edit_view.h"
#include "history.h"
#include "terminal.h"
#include "width.h"
#include "../memory.h"
#include "../utf8.h"

#include <stdio.h>
#include <string.h>

enum {
    CTRL_A = 1,
    CTRL_B,
    CTRL_C,
    CTRL_D,
    CTRL_E,
    CTRL_F,
    CTRL_G,
    CTRL_H,
    TAB,
    CTRL_J,
    CTRL_K,
    CTRL_L,
    ENTER,
    CTRL_N,
    CTRL_P = 16,
    CTRL_R = 18,
    CTRL_U = 21,
    CTRL_W = 23,
    CTRL_Y = 25,
    CTRL_Z = 26,
    BACKSPACE = 127
};

struct cli_editor {
    struct cli_keys keys;
    struct cli_view view;
    struct cli_history *history;
    const char *const *completions;
    const char *prompt, *right;
    char *text; /* being edited */
    size_t n, at, room;
    size_t browsing;       /* history entry that is shown; history.n: none */
    struct cli_text draft; /* what was typed before browsing */
    struct cli_text killed;
    bool failed; /* no memory */
};

int cli_editor_open(struct cli_editor **out, struct cli_history *history, const char *const *completions) {
    *out = phi_alloc(1, sizeof **out);
    if (!*out) return cli_fail(CLI_MEMORY, "not enough memory for the line editor");
    (*out)->completions = completions;
    (*out)->history = history;
    return CLI_OK;
}

void cli_editor_close(struct cli_editor *e) {
    if (!e) return;
    cli_view_close(&e->view);
    cli_text_free(&e->draft);
    cli_text_free(&e->killed);
    phi_free(e->text);
    phi_free(e);
}

void cli_editor_keep_history(struct cli_editor *e, bool keep) {
    e->history->off = !keep;
}

void cli_editor_forget(struct cli_editor *e) {
    cli_history_erase(e->history);
}

/* ---- The text -------------------------------------------------------------------------------------------------- */

static void insert(struct cli_editor *e, const char *bytes, size_t n) {
    if (n == 0) return;
    if (n > e->room - e->n) {
        size_t room = (e->n + n) * 2 + 256;
        char *more = phi_realloc(e->text, room, 1);
        e->failed |= !more;
        if (!more) return;
        e->text = more;
        e->room = room;
    }
    memmove(e->text + e->at + n, e->text + e->at, e->n - e->at);
    memcpy(e->text + e->at, bytes, n);
    e->n += n;
    e->at += n;
}

static void erase(struct cli_editor *e, size_t from, size_t to) {
    memmove(e->text + from, e->text + to, e->n - to);
    e->n -= to - from;
    e->at = from;
}

static void set_text(struct cli_editor *e, const char *bytes, size_t n) {
    e->n = e->at = 0;
    insert(e, bytes, n);
}

static bool copy(struct cli_text *to, const char *bytes, size_t n) {
    char *more = phi_realloc(to->bytes, n + 1, 1);
    if (!more) return false;
    if (n) memcpy(more, bytes, n);
    *to = (struct cli_text){more, n};
    return true;
}

static void kill_text(struct cli_editor *e, size_t from, size_t to) {
    if (from == to) return;
    e->failed |= !copy(&e->killed, e->text + from, to - from);
    erase(e, from, to);
}

static size_t line_begin(const struct cli_editor *e) {
    size_t i = e->at;
    while (i > 0 && e->text[i - 1] != '\n') i--;
    return i;
}

static size_t line_end(const struct cli_editor *e) {
    size_t i = e->at;
    while (i < e->n && e->text[i] != '\n') i++;
    return i;
}

/* Words are what letters, digits and all bytes beyond ASCII make. */
static bool in_word(char c) {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_' ||
           (unsigned char)c >= 0x80;
}

static size_t word_begin(const struct cli_editor *e) {
    size_t i = e->at;
    while (i > 0 && !in_word(e->text[i - 1])) i--;
    while (i > 0 && in_word(e->text[i - 1])) i--;
    return i;
}

static size_t word_end(const struct cli_editor *e) {
    size_t i = e->at;
    while (i < e->n && !in_word(e->text[i])) i++;
    while (i < e->n && in_word(e->text[i])) i++;
    return i;
}

static size_t space_begin(const struct cli_editor *e) { /* Ctrl-W goes by white space, as in a shell */
    size_t i = e->at;
    while (i > 0 && strchr(" \t\n", e->text[i - 1])) i--;
    while (i > 0 && !strchr(" \t\n", e->text[i - 1])) i--;
    return i;
}

/* A line up or down, to the same number of characters from its begin. False: there is none. */
static bool move_line(struct cli_editor *e, bool up) {
    size_t begin = line_begin(e), end = line_end(e), clusters = 0;
    if (up ? begin == 0 : end == e->n) return false;
    for (size_t i = begin; i < e->at; clusters++) i = cli_cluster_end(e->text, e->n, i);
    e->at = up ? begin - 1 : end + 1;
    if (up) e->at = line_begin(e);
    while (clusters-- > 0 && e->at < e->n && e->text[e->at] != '\n') e->at = cli_cluster_end(e->text, e->n, e->at);
    return true;
}

/* ---- History --------------------------------------------------------------------------------------------------- */

static void browse(struct cli_editor *e, bool back) {
    size_t n = e->history->n;
    if (back ? e->browsing == 0 : e->browsing >= n) return;
    if (e->browsing >= n) e->failed |= !copy(&e->draft, e->text, e->n);
    e->browsing = back ? e->browsing - 1 : e->browsing + 1;
    const struct cli_text *t = e->browsing < n ? &e->history->entry[e->browsing] : &e->draft;
    set_text(e, t->bytes, t->n);
}

static bool contains(const struct cli_text *t, const char *part, size_t n) {
    for (size_t i = 0; i + n <= t->n; i++)
        if (memcmp(t->bytes + i, part, n) == 0) return true;
    return false;
}

/* The newest entry before `before` that has part in it; history.n: none. */
static size_t find_back(const struct cli_history *h, size_t before, const char *part, size_t n) {
    while (before > 0)
        if (contains(&h->entry[--before], part, n)) return before;
    return h->n;
}

/* Ctrl-R. Returns the key that ended it, to be done next; CLI_KEY_NONE: nothing. */
static int search(struct cli_editor *e) {
    char part[128], prompt[192];
    size_t n = 0, found = e->history->n;
    struct cli_text before = {NULL, 0};
    e->failed |= !copy(&before, e->text, e->n);
    int key;
    for (;;) {
        /* cppcheck-suppress uninitvar ; only n bytes of it are read */
        snprintf(prompt, sizeof prompt, "(search '%.*s') ", (int)n, part);
        cli_view_draw(&e->view, prompt, "", e->text, e->n, e->at);
        key = cli_keys_next(&e->keys);
        size_t from = e->history->n;
        if (key == CTRL_R && found < e->history->n) {
            from = found;
        } else if ((key == BACKSPACE || key == CTRL_H) && n > 0) {
            while (n > 0 && ((unsigned char)part[--n] & 0xc0) == 0x80) continue;
        } else if (key >= 0x20 && key < 256 && key != BACKSPACE && n < sizeof part - 1) {
            part[n++] = (char)key;
        } else if (key != CTRL_R && key != CLI_KEY_RESIZED) {
            break;
        }
        size_t next = n > 0 ? find_back(e->history, from, part, n) : e->history->n;
        if (next < e->history->n) {
            found = next;
            set_text(e, e->history->entry[found].bytes, e->history->entry[found].n);
        }
    }
    bool cancel = key == CTRL_C || key == CTRL_G;
    if (cancel)
        set_text(e, before.bytes ? before.bytes : "", before.n);
    else if (found < e->history->n)
        e->browsing = found;
    cli_text_free(&before);
    return cancel ? CLI_KEY_NONE : key;
}

/* ---- Completion ------------------------------------------------------------------------------------------------ */

/* Tab behind the beginning of a command: complete what all candidates share; list them if that is nothing more. */
static void complete(struct cli_editor *e) {
    size_t n_match = 0, shared = 0;
    const char *first = NULL;
    char list[512] = "";
    if (!e->completions || e->n == 0 || e->text[0] != '/' || e->at != e->n) return;
    for (const char *const *word = e->completions; *word; word++) {
        size_t same = 0;
        if (strncmp(*word, e->text, e->n) != 0) continue;
        if (!first) first = *word;
        while ((*word)[same] && (*word)[same] == first[same]) same++;
        shared = n_match++ == 0 || same < shared ? same : shared;
        snprintf(list + strlen(list), sizeof list - strlen(list), "%s  ", *word);
    }
    if (n_match == 0) return;
    if (shared > e->n) {
        insert(e, first + e->n, shared - e->n);
    } else if (n_match > 1) {
        cli_view_finish(&e->view, e->prompt, e->text, e->n);
        cli_terminal_write(list, strlen(list));
        cli_terminal_write("\r\n", 2);
    }
    if (n_match == 1) insert(e, " ", 1);
}

/* ---- Keys ------------------------------------------------------------------------------------------------------ */

/* A character of several bytes is inserted as a whole. */
static void insert_key(struct cli_editor *e, int key) {
    char bytes[4] = {(char)key};
    size_t n = 1;
    while (n < sizeof bytes && phi_utf8_length(bytes, n) < 0) {
        int next = cli_keys_next(&e->keys);
        if (next < 0x80 || next > 0xbf) { /* broken: the byte stays alone, and the next key counts for itself */
            if (next >= 0 && next < 256) e->keys.back[e->keys.n_back++] = (unsigned char)next;
            break;
        }
        bytes[n++] = (char)next;
    }
    insert(e, bytes, n);
}

/* Line ends of every kind become \n; one at the end is dropped. Returns the key that ended it too early, to be done next; CLI_KEY_NONE:
 * nothing did. */
static int paste(struct cli_editor *e) {
    int c, last = 0;
    size_t begin = e->at;
    while ((c = cli_keys_paste(&e->keys)) >= 0 && c < 256) {
        char byte = c == '\r' ? '\n' : (char)c;
        if (c != '\n' || last != '\r') insert(e, &byte, 1);
        last = c;
    }
    if (e->at > begin && e->text[e->at - 1] == '\n') erase(e, e->at - 1, e->at);
    return c < 0 ? CLI_KEY_NONE : c;
}

static void suspend(struct cli_editor *e) {
    cli_view_finish(&e->view, e->prompt, e->text, e->n);
    cli_terminal_write("\x1b[?2004l", 8);
    cli_terminal_suspend();
    cli_terminal_write("\x1b[?2004h", 8);
}

static void move_key(struct cli_editor *e, int key) {
    if ((key == CTRL_B || key == CLI_KEY_LEFT) && e->at > 0) e->at = cli_cluster_begin(e->text, e->n, e->at);
    if ((key == CTRL_F || key == CLI_KEY_RIGHT) && e->at < e->n) e->at = cli_cluster_end(e->text, e->n, e->at);
    if (key == CTRL_A || key == CLI_KEY_HOME) e->at = line_begin(e);
    if (key == CTRL_E || key == CLI_KEY_END) e->at = line_end(e);
    if (key == CLI_KEY_WORD_LEFT) e->at = word_begin(e);
    if (key == CLI_KEY_WORD_RIGHT) e->at = word_end(e);
    bool up = key == CTRL_P || key == CLI_KEY_UP, down = key == CTRL_N || key == CLI_KEY_DOWN;
    if ((up || down) && !move_line(e, up)) browse(e, up);
}

static void erase_key(struct cli_editor *e, int key) {
    size_t at = e->at;
    if ((key == BACKSPACE || key == CTRL_H) && at > 0) erase(e, cli_cluster_begin(e->text, e->n, at), at);
    if ((key == CTRL_D || key == CLI_KEY_DELETE) && at < e->n) erase(e, at, cli_cluster_end(e->text, e->n, at));
    if (key == CTRL_W) kill_text(e, space_begin(e), at);
    if (key == CLI_KEY_ERASE_WORD) kill_text(e, word_begin(e), at);
    if (key == CLI_KEY_ERASE_NEXT_WORD) kill_text(e, at, word_end(e));
    if (key == CTRL_U) kill_text(e, line_begin(e), at);
    if (key == CTRL_K) kill_text(e, at, line_end(e) > at || at == e->n ? line_end(e) : at + 1);
    if (key == CTRL_C) kill_text(e, 0, e->n);
    if (key == CTRL_Y) insert(e, e->killed.bytes ? e->killed.bytes : "", e->killed.n);
}

/* Do what the key says. CLI_INPUT_TEXT: go on; `*done`: the line is complete. */
/* NOLINTNEXTLINE(misc-no-recursion): once, with CTRL_C, which asks no further */
static enum cli_input_event do_key(struct cli_editor *e, int key, bool *done) {
    if (key == CTRL_R) key = search(e);
    switch (key) {
    case ENTER:
        *done = true;
        break;
    case CTRL_J:
    case CLI_KEY_NEWLINE:
        insert(e, "\n", 1);
        break;
    case CTRL_L:
        cli_view_clear_screen(&e->view);
        break;
    case CTRL_Z:
        suspend(e);
        break;
    case TAB:
        complete(e);
        break;
    case CTRL_C:
        if (e->n == 0) return CLI_INPUT_INTERRUPT;
        erase_key(e, key);
        e->browsing = e->history->n;
        break;
    case CTRL_D:
        if (e->n == 0) return CLI_INPUT_END;
        erase_key(e, key);
        break;
    case CLI_KEY_PASTE:
        return do_key(e, paste(e), done);
    case CLI_KEY_EOF:
        return CLI_INPUT_END;
    case CLI_KEY_SIGNAL:
        return cli_interrupt_clear() ? do_key(e, CTRL_C, done) : CLI_INPUT_SIGNAL;
    default:
        if (key >= 0x20 && key < 256 && key != BACKSPACE) {
            insert_key(e, key);
            break;
        }
        move_key(e, key);
        erase_key(e, key);
        break;
    }
    return CLI_INPUT_TEXT;
}

enum cli_input_event cli_editor_line(struct cli_editor *e, const char *prompt, const char *right,
                                     struct cli_text *text) {
    enum cli_input_event event = CLI_INPUT_TEXT;
    bool done = false;
    e->prompt = prompt;
    e->right = right;
    e->failed = false;
    e->browsing = e->history->n;
    set_text(e, text->bytes ? text->bytes : "", text->n);
    cli_terminal_set_editing(true);
    cli_terminal_write("\x1b[?2004h", 8); /* pastes come in brackets */
    while (event == CLI_INPUT_TEXT && !done && !e->failed) {
        if (e->keys.n_back == 0 && e->keys.at == e->keys.n)
            cli_view_draw(&e->view, prompt, right, e->text, e->n, e->at);
        event = do_key(e, cli_keys_next(&e->keys), &done);
    }
    if (event == CLI_INPUT_INTERRUPT)
        cli_view_erase(&e->view); /* what is said about it comes in its place */
    else
        cli_view_finish(&e->view, prompt, e->text, e->n);
    cli_terminal_write("\x1b[?2004l", 8);
    cli_terminal_set_editing(false);
    if (event == CLI_INPUT_TEXT && !e->failed) {
        cli_history_add(e->history, e->text ? e->text : "", e->n);
        e->failed = !copy(text, e->text ? e->text : "", e->n);
    }
    if (!e->failed) return event;
    cli_fail(CLI_MEMORY, "not enough memory for a message");
    return CLI_INPUT_NO_MEMORY;
}
