/* Any bytes as an answer, in tokens of any length: whole characters come out, nothing is lost, it ends before a stop
 * text, and what a terminal gets cannot command it.
 *
 *   byte 0     1 a row is broken between words, 2 a terminal, 4 without the first space; the rest: how tokens are cut
 *   then       stop texts, each up to a zero byte; an empty one: here the answer begins */
#include "../src/cli/stream.h"
#include "../src/cli/width.h"
#include "fuzz_replay.h"

#include <fcntl.h>

enum { COLUMNS = 20, MOST = 1 << 14 };

static size_t cut(const uint8_t *data, size_t n, size_t at) { /* the length of the token at `at` */
    size_t k = 1 + (data[0] / 8 + at * 2654435761u / 65536) % 9;
    return k < n - at ? k : n - at;
}

/* The reference for phi_utf8_length(), from what a character is: the code point's only encoding. */
static int character(const uint8_t *s, size_t n) {
    for (int length = 1; length <= 4 && (size_t)length <= n; length++) {
        char again[4];
        static const uint8_t mark[] = {0, 0, 0xc0, 0xe0, 0xf0}, bits[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
        uint32_t code = s[0] & bits[length];
        if ((s[0] & ~bits[length] & 0xff) != mark[length]) continue;
        for (int i = 1; i < length; i++) code = code << 6 | (s[i] & 0x3f);
        if (code > 0x10ffff || (code >= 0xd800 && code < 0xe000)) return 0;
        if (phi_utf8_encode(code, again) == length && memcmp(again, s, (size_t)length) == 0) return length;
    }
    return 0;
}

static void check_characters(const uint8_t *data, const char *text, size_t n) {
    struct phi_utf8 u = {{0}, 0};
    char *out = malloc(n + 8);
    size_t n_out = 0;
    for (size_t at = 0, k; at < n; at += k) {
        k = cut(data, n, at);
        char *part = malloc(k + 4);
        size_t n_part = phi_utf8_feed(&u, text + at, k, part);
        memcpy(out + n_out, part, n_part);
        free(part);
        n_out += n_part;
        fuzz_must(n_out + u.n == at + k && u.n < 4, "bytes are held or lost", "");
        fuzz_must(u.n == 0 || phi_utf8_length((const char *)u.held, u.n) == -1, "held without need", "");
        fuzz_must(memcmp(out, text, n_out) == 0, "other bytes", "");
    }
    fuzz_must(n_out + phi_utf8_flush(&u, out + n_out) == n && memcmp(out, text, n) == 0, "the end", "");
    free(out);
    for (size_t at = 0; at < n; at++) {
        int length = phi_utf8_length(text + at, n - at), wanted = character((const uint8_t *)text + at, n - at);
        fuzz_must((length > 0 ? length : 0) == wanted, "length of a character", "");
        for (int i = 1; i < wanted; i++)
            fuzz_must(phi_utf8_length(text + at, (size_t)i) == -1, "beginning of a character", "");
    }
}

static void check_clusters(const char *text, size_t n) {
    for (size_t at = 0, end; at < n; at = end) {
        char shown[4];
        size_t used;
        end = cli_cluster_end(text, n, at);
        fuzz_must(end > at && end <= n, "end of a cluster", "");
        fuzz_must(cli_cluster_begin(text, n, end) < end, "begin of a cluster", "");
        int width = cli_cluster_width(text + at, end - at);
        fuzz_must(width >= 0 && width <= (int)(4 * (end - at)), "width of a cluster", "");
        for (unsigned flags = 0; flags < 4; flags++) {
            size_t k = cli_escape_next(text + at, n - at, flags, shown, &used);
            fuzz_must(k >= 1 && k <= 4 && used >= 1 && used <= n - at, "length of what is shown", "");
            fuzz_must(phi_utf8_length(shown, k) > 0 && (uint8_t)shown[0] != 0x7f, "what is shown", "");
            bool line = (shown[0] == '\n' || shown[0] == '\t') && flags & CLI_KEEP_LINES;
            fuzz_must((uint8_t)shown[0] >= 0x20 || line, "a control character is shown", "");
            fuzz_must((uint8_t)shown[0] != 0xc2 || (uint8_t)shown[1] >= 0xa0, "a control character of C1 is shown",
                      "");
        }
    }
}

/* Where the answer ends: before the longest stop text that is complete first. */
static size_t find_end(const struct cli_texts *stop, const char *text, size_t n, bool *found) {
    for (size_t end = 1; end <= n; end++) {
        size_t most = 0;
        for (int i = 0; i < stop->n; i++) {
            size_t k = strlen(stop->text[i]);
            if (k <= end && k > most && memcmp(text + end - k, stop->text[i], k) == 0) most = k;
        }
        if (!most) continue;
        *found = true;
        return end - most;
    }
    *found = false;
    return n;
}

/* What cli_stream_token() puts out for the whole text -> out, which has room for 8 bytes for each of the text's and
 * more. */
static size_t run_stream(const uint8_t *data, const struct cli_options *o, const char *text, size_t n, char *out,
                         size_t room) {
    static int fd = -1;
    struct cli_stream s;
    if (fd < 0) {
        char path[64];
        fd = fuzz_file("", 0, path);
        setenv("COLUMNS", "20", 1);
    }
    fflush(stdout);
    int before = dup(STDOUT_FILENO);
    fuzz_must(before >= 0 && ftruncate(fd, 0) == 0 && lseek(fd, 0, SEEK_SET) == 0 && dup2(fd, STDOUT_FILENO) >= 0,
              "stdout", "");
    fuzz_must(cli_stream_open(&s, o, NULL, false) == CLI_OK, "open", "");
    s.terminal = data[0] & 2;
    s.wraps = s.terminal && data[0] & 1;
    s.skip_space = data[0] & 4;
    for (size_t at = 0, k; at < n; at += k) {
        k = cut(data, n, at);
        int stop = cli_stream_token(&s, -1, text + at, k);
        fuzz_must(stop == s.stop.found, "stopped", "");
        if (stop) break;
    }
    cli_stream_finish(&s, -1);
    bool found;
    size_t end = find_end(&o->stop, text, n, &found);
    fuzz_must(found == s.stop.found, "a stop text was not seen, or one that is not there", "");
    fuzz_must(!found || (s.stop.n_dropped >= 1 && s.stop.n_dropped <= n - end), "bytes behind the end", "");
    cli_stream_close(&s);
    off_t size = lseek(fd, 0, SEEK_END);
    fuzz_must(size >= 0 && (size_t)size <= room && pread(fd, out, (size_t)size, 0) == size, "output", "");
    dup2(before, STDOUT_FILENO);
    close(before);
    return (size_t)size;
}

/* The screen that wrapped output makes: no row is wider than it may be, and all that is not blank is there, in order.
 */
static void check_wrapped(const char *out, size_t n_out, const char *text, size_t n) {
    struct {
        char bytes[4];
        int n, width;
    } row[256];
    int n_row = 0, columns = 0;
    char *seen = malloc(n_out + 1), *wanted = malloc(4 * n + 1);
    size_t n_seen = 0, n_wanted = 0, used;
    for (size_t i = 0; i <= n_out; i += used) {
        int back, length = 0;
        used = 1;
        if (i == n_out || out[i] == '\n') {
            for (int k = 0; k < n_row; k++)
                for (int b = 0; b < row[k].n; b++)
                    if (row[k].bytes[b] != ' ' && row[k].bytes[b] != '\t') seen[n_seen++] = row[k].bytes[b];
            n_row = columns = 0;
        } else if (out[i] == 0x1b) {
            fuzz_must(sscanf(out + i, "\x1b[%dD\x1b[K%n", &back, &length) == 1 && length, "a sequence", "");
            used = (size_t)length;
            while (n_row > 0 && back > 0) n_row--, back -= row[n_row].width, columns -= row[n_row].width;
            fuzz_must(back == 0, "erased too much", "");
        } else {
            length = phi_utf8_length(out + i, n_out - i);
            fuzz_must(length > 0, "broken bytes on a terminal", "");
            used = (size_t)length;
            int width = out[i] == '\t' ? 8 - columns % 8 : cli_cluster_width(out + i, used);
            fuzz_must(n_row < 256, "row", "");
            memcpy(row[n_row].bytes, out + i, used);
            row[n_row].n = length;
            row[n_row++].width = width;
            columns += width;
            fuzz_must(columns < COLUMNS, "a row is too wide", "");
        }
    }
    for (size_t i = 0; i < n; i += used) {
        size_t k = cli_escape_next(text + i, n - i, CLI_KEEP_LINES | CLI_MARK_BROKEN, wanted + n_wanted, &used);
        if (!strchr(" \t\n", wanted[n_wanted]) || !wanted[n_wanted]) n_wanted += k;
    }
    fuzz_must(n_seen == n_wanted && memcmp(seen, wanted, n_seen) == 0, "another text on the screen", "");
    free(seen);
    free(wanted);
}

static bool whole_stops(const struct cli_texts *stop) {
    for (int i = 0; i < stop->n; i++)
        if (phi_utf8_length(stop->text[i], strlen(stop->text[i])) == 0) return false;
    return true;
}

static void check_stream(const uint8_t *data, const struct cli_options *o, const char *text, size_t n) {
    size_t room = 64 * n + 64;
    char *out = malloc(room), *shown = malloc(4 * n + 4);
    size_t n_out = run_stream(data, o, text, n, out, room - 1), used;
    out[n_out] = 0; /* for sscanf() */
    bool found, skip = data[0] & 4;
    size_t end = find_end(&o->stop, text, n, &found), n_shown = 0;
    if (skip && end > 0 && text[0] == ' ') text++, end--;
    for (size_t i = 0; i < end && data[0] & 2; i += used)
        n_shown += cli_escape_next(text + i, end - i, CLI_KEEP_LINES | CLI_MARK_BROKEN, shown + n_shown, &used);
    if (data[0] & 2 && !whole_stops(&o->stop))
        ; /* one may end inside a character, whose beginning has been shown as broken then */
    else if ((data[0] & 3) == 3)
        check_wrapped(out, n_out, text, end);
    else if (data[0] & 2)
        fuzz_must(n_out == n_shown && memcmp(out, shown, n_out) == 0, "another text on the terminal", "");
    else
        fuzz_must(n_out == end && memcmp(out, text, n_out) == 0, "another text", "");
    free(out);
    free(shown);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    static struct cli_options o;
    char *own[8];
    size_t at = 1;
    if (n == 0 || n > MOST) return 0;
    o.stop.n = 0;
    o.escape = 0;
    while (at < n && data[at] && o.stop.n < 8) {
        size_t k = strnlen((const char *)data + at, n - at);
        char *text = malloc(k + 1);
        memcpy(text, data + at, k);
        text[k] = 0;
        own[o.stop.n] = text;
        o.stop.text[o.stop.n++] = text;
        at += k + 1;
    }
    at = at < n ? at + !data[at] : n;
    char *text = fuzz_copy(data + at, n - at);
    check_characters(data, text, n - at);
    check_clusters(text, n - at);
    check_stream(data, &o, text, n - at);
    free(text);
    for (int i = 0; i < o.stop.n; i++) free(own[i]);
    fuzz_must(phi_memory_live() == 0, "leak", "");
    return 0;
}
