/* Reading keys.
 *
 *     ESC [ A            ESC O A            up, and so on: B down, C right, D left, H home, F end
 *     ESC [ 1 ; 5 C      ESC [ 1 ; 3 C      with Ctrl, with Alt: by words
 *     ESC [ 3 ~                             1, 7 home; 4, 8 end; 3 delete
 *     ESC [ 2 0 0 ~  text  ESC [ 2 0 1 ~    a paste
 *     ESC x                                 Alt and x
 *     ESC alone                             nothing: no byte comes within a moment
 */
#include "edit_keys.h"
#include "terminal.h"
#include "../io.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

enum { MOMENT_MS = 60, SILENT = -1 };

/* milliseconds < 0: as long as it takes; else SILENT after that time. */
static int next_byte(struct cli_keys *k, int milliseconds) {
    if (k->n_back > 0) return k->back[--k->n_back];
    while (k->at == k->n) {
        if (cli_interrupted()) return CLI_KEY_SIGNAL;
        if (milliseconds < 0 && cli_terminal_resized()) return CLI_KEY_RESIZED;
        struct pollfd p = {.fd = STDIN_FILENO, .events = POLLIN};
        /* a signal may come just before: look again after a second */
        int ready = poll(&p, 1, milliseconds < 0 ? 1000 : milliseconds);
        if (ready == 0 && milliseconds >= 0) return SILENT;
        if (ready < 0 && errno != EINTR) return CLI_KEY_EOF;
        if (ready <= 0) continue;
        ssize_t n = phi_io_read(STDIN_FILENO, k->byte, sizeof k->byte);
        if (n == 0 || (n < 0 && errno != EINTR && errno != EAGAIN)) return CLI_KEY_EOF;
        k->at = 0;
        k->n = n > 0 ? (size_t)n : 0;
    }
    return k->byte[k->at++];
}

static int letter_key(int letter, bool modified) {
    switch (letter) {
    case 'A':
        return CLI_KEY_UP;
    case 'B':
        return CLI_KEY_DOWN;
    case 'C':
        return modified ? CLI_KEY_WORD_RIGHT : CLI_KEY_RIGHT;
    case 'D':
        return modified ? CLI_KEY_WORD_LEFT : CLI_KEY_LEFT;
    case 'H':
        return CLI_KEY_HOME;
    case 'F':
        return CLI_KEY_END;
    default:
        return CLI_KEY_NONE;
    }
}

static int number_key(int number) {
    switch (number) {
    case 1:
    case 7:
        return CLI_KEY_HOME;
    case 4:
    case 8:
        return CLI_KEY_END;
    case 3:
        return CLI_KEY_DELETE;
    case 200:
        return CLI_KEY_PASTE;
    default:
        return CLI_KEY_NONE;
    }
}

/* Behind ESC [ : parameters up to a final byte. */
static int sequence_key(struct cli_keys *k) {
    int first = 0, number = 0, n = 0;
    for (;;) {
        int c = next_byte(k, MOMENT_MS);
        if (c == SILENT) return CLI_KEY_NONE;
        if (c > 255) return c;
        if (c >= '0' && c <= '9') {
            if (number < 1000) number = number * 10 + (c - '0');
        } else if (c == ';') {
            if (n++ == 0) first = number;
            number = 0;
        } else if (c >= 0x40 && c <= 0x7e) {
            if (c == '~') return number_key(n ? first : number);
            return letter_key(c, n > 0 && number > 1);
        }
    }
}

static int alt_key(int c) {
    switch (c) {
    case 'b':
        return CLI_KEY_WORD_LEFT;
    case 'f':
        return CLI_KEY_WORD_RIGHT;
    case 'd':
        return CLI_KEY_ERASE_NEXT_WORD;
    case 0x7f:
    case 8:
        return CLI_KEY_ERASE_WORD;
    case '\r':
    case '\n':
        return CLI_KEY_NEWLINE;
    default:
        return CLI_KEY_NONE;
    }
}

int cli_keys_next(struct cli_keys *k) {
    int c = next_byte(k, -1);
    if (c != 0x1b) return c;
    c = next_byte(k, MOMENT_MS);
    if (c == '[') return sequence_key(k);
    if (c == 'O') {
        c = next_byte(k, MOMENT_MS);
        return c == SILENT ? CLI_KEY_NONE : c > 255 ? c : letter_key(c, false);
    }
    return c == SILENT ? CLI_KEY_NONE : c > 255 ? c : alt_key(c);
}

int cli_keys_paste(struct cli_keys *k) {
    static const unsigned char end[] = "\x1b[201~";
    int c = next_byte(k, -1);
    while (c == CLI_KEY_RESIZED) c = next_byte(k, -1);
    if (c != end[0]) return c;
    /* the whole sequence is at hand, or the terminal is slow: then it is waited for */
    size_t n = 1;
    unsigned char seen[sizeof end] = {0x1b};
    while (n < sizeof end - 1) {
        c = next_byte(k, 1000);
        if (c < 0 || c > 255) break;
        seen[n++] = (unsigned char)c;
        if (seen[n - 1] != end[n - 1]) break;
    }
    if (n == sizeof end - 1 && seen[n - 1] == end[n - 1]) return -1;
    while (n > 1) k->back[k->n_back++] = seen[--n]; /* an ESC in the text; what follows it is read again */
    return 0x1b;
}
