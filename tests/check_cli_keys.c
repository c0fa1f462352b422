/* What the line editor does beside editing a line (check_cli_repl.c): searching the history, completing commands, a
 * history file that is long, cut or no file at all, and characters that change their width. */
#include "pty.h"

static void write_history(const char *text, size_t n) {
    char file[600];
    snprintf(file, sizeof file, "%s/phi", dir);
    mkdir(file, 0700);
    snprintf(file, sizeof file, "%s/phi/history", dir);
    gguf_write_file(file, text, n);
}

/* Each line of keys is sent; then the history ends with that line. "/=" is no command: nothing is computed for it. */
struct keys {
    const char *keys, *line;
};

static void send_lines(const struct keys *k, size_t n) {
    EXPECT("ctx 0/1024");
    for (size_t i = 0; i < n; i++) {
        type(k[i].keys);
        type("\r");
        EXPECT("phi: error: ");
        EXPECT("ctx 0/1024");
        CHECK(history_ends(k[i].line), "keys %zu: '%s' expected, the history is '%s'", i, k[i].line, history());
    }
}

static void check_search(void) {
    static const char lines[] = "/=first\n/=second\n/=first again\n/=a\\nb \\\\ c\n/=last\n";
    static const struct keys keys[] = {
        {"\x12"
         "first\x05Z",
         "/=first againZ"},
        {"\x12"
         "first\x12\x12\x05Y",
         "/=firstY"}, /* the one before, and the one before that */
        {"\x12"
         "secx\x7f\x05X",
         "/=secondX"},           /* a character less */
        {"/=q\x12\x7fV", "/=V"}, /* nothing to erase: the key ends the search, and is what it always is */
        {"\x12"
         "nowhere\x12\x12\x07/=kept",
         "/=kept"},
    };
    write_history(lines, strlen(lines));
    START(80, "-q");
    send_lines(keys, sizeof keys / sizeof *keys);
    type("\x12"
         "b \\\x05!\r"); /* lines of two are messages; a backslash is one */
    EXPECT("\x1b[?2004l");
    EXPECT("\x1b[?2004h");
    CHECK(history_ends("/=a\\nb \\\\ c!"), "%s", history());
    type("/=x\x1b\ry\r"); /* Alt and Enter */
    EXPECT("\x1b[?2004l");
    EXPECT("\x1b[?2004h");
    CHECK(history_ends("/=x\\ny"), "%s", history());
    type("\x04");
    CHECK(exits(0), "Ctrl-D");
}

static void check_completion(void) {
    START(80, "-q");
    EXPECT("ctx 0/1024");
    type("/s\t");
    EXPECT("/system  ");
    EXPECT("/show  ");
    EXPECT("/save  \r");
    EXPECT("ctx 0/1024");
    CHECK(count("/undo") == 0, "%s", tty.out);
    type("ho\t"); /* one is left: it is completed */
    EXPECT("/show ");
    type("\x15"
         "/xyz\t!\r");
    EXPECT("/xyz!");
    EXPECT("phi: error: ");
    EXPECT("ctx 0/1024");
    type("\x04");
    CHECK(exits(0), "Ctrl-D");
}

/* A heart is one column wide, with a sign behind it two: both are one character for the keys. */
static void check_width(void) {
    static const struct keys keys[] = {
        {"/=\xe2\x9d\xa4\xef\xb8\x8f\x1b[DX", "/=X\xe2\x9d\xa4\xef\xb8\x8f"},
        {"/=\xe2\x9d\xa4\xef\xb8\x8f\x7fX", "/=X"},
    };
    START(80, "-q");
    send_lines(keys, 2);
    type("\x04");
    CHECK(exits(0), "Ctrl-D");
}

/* Of a long file the end counts: not the line in which its last MiB begins, and no more than the newest entries.
 */
static void check_long_history(void) {
    static char text[(1 << 20) + 5000];
    size_t n = 0;
    int last = 0;
    while (n < sizeof text - 64) n += (size_t)snprintf(text + n, 64, "/=entry number %d of many\n", ++last);
    char newest[64];
    snprintf(newest, sizeof newest, "/=entry number %d of manyX", last);
    const struct keys keys[] = {
        {"\x1b[AX", newest},
        {"\x12number 1 of\x07/=not there", "/=not there"},
    };
    write_history(text, n);
    START(80, "-q");
    send_lines(keys, 2);
    type("\x04");
    CHECK(exits(0), "Ctrl-D");
    struct stat status;
    char file[600];
    snprintf(file, sizeof file, "%s/phi/history", dir);
    CHECK(stat(file, &status) == 0 && (size_t)status.st_size > n, "the file was not added to");
}

/* In place of the file: a folder, a pipe without another end. The chat works without a history. */
static void check_no_file(void) {
    char file[600];
    snprintf(file, sizeof file, "%s/phi/history", dir);
    for (int pipe = 0; pipe < 2; pipe++) {
        unlink(file);
        CHECK((pipe ? mkfifo(file, 0600) : mkdir(file, 0700)) == 0, "%s", file);
        START(80, "-q");
        EXPECT("ctx 0/1024");
        type("/=kept in memory\r");
        EXPECT("phi: error: ");
        EXPECT("ctx 0/1024");
        type("\x1b[A!\r");
        EXPECT("memory!");
        EXPECT("phi: error: ");
        type("\x04");
        CHECK(exits(0), "Ctrl-D");
        if (!pipe) rmdir(file);
    }
    unlink(file);
}

static void check_no_text(void) {
    START(80, "tokenize");
    EXPECT("no text: give -p TEXT, -f FILE or text on stdin\r\n");
    CHECK(exits(2), "tokenize without a text");
}

int main(int argc, char **argv) {
    if (pty_begin(argc, argv)) {
        check_search();
        check_completion();
        check_width();
        check_long_history();
        check_no_file();
        check_no_text();
    }
    pty_end();
    return check_done("check_cli_keys");
}
