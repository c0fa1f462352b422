/* The chat on a pseudo-terminal: keys, pastes, signals, and how it leaves the terminal. Runs ./phi with the demo
 * model, from the top of the checkout; $PHI_RUN is put before it (an emulator). What keys make of a line is read from
 * the history file: each line that was sent is there, as it was sent. */
#include "pty.h"

/* ---- Keys ------------------------------------------------------------------------------------------------------ */

#define UP "\x1b[A"
#define DOWN "\x1b[B"
#define RIGHT "\x1b[C"
#define LEFT "\x1b[D"

static void check_keys(void) {
    static const struct {
        const char *keys, *line;
    } cases[] = {
        {"/=abc", "/=abc"},
        {"/=abc" LEFT LEFT "X", "/=aXbc"},
        {"/=abc\x02\x02\x06X", "/=abXc"},
        {"=abc\x01/\x05!", "/=abc!"},
        {"=abc\x1b[H/\x1b[F!", "/=abc!"},
        {"=abc\x1bOH/\x1bOF!", "/=abc!"},
        {"=abc\x1b[1~/\x1b[4~!", "/=abc!"},
        {"/=abc\x7f\x7fX", "/=aX"},
        {"/=abc\x08X", "/=abX"},
        {"/=abc" LEFT LEFT "\x1b[3~X", "/=aXc"},
        {"/=abc" LEFT LEFT "\x04X", "/=aXc"},
        {"/=one two three\x17X", "/=one two X"},
        {"/=one two three\x17\x17\x19", "/=one two"},
        {"one two\x15/=\x19", "/=one two"},
        {"/=one two" LEFT LEFT LEFT "\x0bX", "/=one X"},
        {"/=one two" LEFT LEFT LEFT "\x0b\x01\x0b\x19", "/=one"},
        {"/=one two\x1b"
         "bX",
         "/=one Xtwo"},
        {"/=one two\x1b"
         "b\x1b"
         "b\x1b"
         "fX",
         "/=oneX two"},
        {"/=one two\x1b[1;5D\x1b[1;5D\x1b[1;5CX", "/=oneX two"},
        {"/=one two\x1b\x7fX", "/=one X"},
        {"/=one two\x1b"
         "b\x1b"
         "dX",
         "/=one X"},
        {"/=\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e\x7fX", "/=\xe6\x97\xa5\xe6\x9c\xacX"},
        {"/=\xe6\x97\xa5\xe6\x9c\xac" LEFT "X", "/=\xe6\x97\xa5X\xe6\x9c\xac"},
        {"/=e\xcc\x81" LEFT "X", "/=Xe\xcc\x81"}, /* a letter and its mark */
        {"/=e\xcc\x81\x7fX", "/=X"},
        {"/=\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x94\xac\x7fX", "/=X"}, /* two emoji, joined */
        {"/=\xf0\x9f\x87\xa9\xf0\x9f\x87\xaa\xf0\x9f\x87\xab\xf0\x9f\x87\xb7\x7fX",
         "/=\xf0\x9f\x87\xa9\xf0\x9f\x87\xaaX"}, /* of two flags one is erased */
        {"/=\xff\xe6\x97X", "/=\xff\xe6\x97X"},  /* bytes that are no UTF-8 */
        {"/=junk\x1b[99~\x1b[I\x1bz"
         "X",
         "/=junkX"},                /* keys without a meaning */
        {"x\x15/=p" UP, "/=junkX"}, /* the line before */
        {"/=again", "/=again"},
        {"/=draft" UP UP DOWN DOWN "X", "/=draftX"},
        {UP UP UP DOWN "Y", "/=againY"},
        {"\x12unk\x05Z", "/=junkXZ"}, /* searched */
        {"/=kept\x12nothing like this\x07", "/=kept"},
        {"/to\tX", "/tokens X"}, /* completed */
    };
    START(80, "-q", "--temp", "0");
    EXPECT("ctx 0/1024");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        type(cases[i].keys);
        type("\r");
        EXPECT("phi: error: ");
        EXPECT("ctx 0/1024");
        CHECK(history_ends(cases[i].line), "case %zu: '%s' expected, the history is '%s'", i, cases[i].line,
              history());
    }
    type(" /=secret\r"); /* sent, not kept: it is a message, because a space comes first */
    EXPECT("ctx ");
    CHECK(!strstr(history(), "secret"), "%s", history());
    type("\x04");
    CHECK(exits(0), "Ctrl-D");
    struct stat status;
    char file[600];
    snprintf(file, sizeof file, "%s/phi/history", dir);
    CHECK(stat(file, &status) == 0 && (status.st_mode & 0777) == 0600, "mode %o", (unsigned)status.st_mode);
}

static void check_history(void) {
    START(80, "-q"); /* read back */
    EXPECT("ctx 0/1024");
    type(UP UP);
    type("W\r");
    EXPECT("phi: error: ");
    CHECK(history_ends("/=keptW"), "%s", history());
    EXPECT("ctx 0/1024");
    type("/clear history\r");
    EXPECT("erased");
    CHECK(history()[0] == 0, "%s", history());
    EXPECT("ctx 0/1024");
    type("/exit\r");
    CHECK(exits(0), "/exit");
    START(80, "-q", "--no-history");
    EXPECT("ctx 0/1024");
    type("/=x\r");
    EXPECT("phi: error: ");
    type("\x04");
    CHECK(exits(0) && strcmp(history(), "/exit\n") == 0, "%s", history());
}

/* ---- Messages -------------------------------------------------------------------------------------------------- */

static void check_messages(void) {
    START(0, "--temp", "0"); /* a terminal that does not know its size */
    EXPECT("ctx 0/1024");
    CHECK(count("/help lists the commands") == 1, "%s", tty.out);
    type("What is 8 * 10?\r");
    EXPECT("8 * 10 = 80\r\n[ Prompt: ");
    EXPECT("ctx ");
    /* a paste is one message, whatever is in it; its control characters are shown, not obeyed */
    type("\x1b[200~one\rtwo \x1b[31m\r\n/exit\n\x1b[201~");
    EXPECT("\\x1b[31m");
    type("\r");
    EXPECT("[ Prompt: ");
    EXPECT("ctx ");
    CHECK(!strstr(tty.out, "two \x1b[31m"), "an escape sequence of the paste was sent to the terminal");
    CHECK(history_ends("one\\ntwo \x1b[31m\\n/exit"), "%s", history());
    type("\"\"\"first\r");
    EXPECT("... ");
    type("second\"\"\"\r");
    EXPECT("[ Prompt: ");
    EXPECT("ctx ");
    type("a\\\rb\r");
    EXPECT("[ Prompt: ");
    EXPECT("ctx ");
    type("a\x0a"
         "b\r"); /* Ctrl-J */
    EXPECT("[ Prompt: ");
    CHECK(history_ends("a\\nb"), "%s", history());
    EXPECT("ctx ");
    type("/tokens\r");
    EXPECT("in 5 turns");
    EXPECT("ctx ");
    type("/edit\r");
    EXPECT("ctx ");
    type("!\r");
    EXPECT("[ Prompt: ");
    CHECK(history_ends("a\\nb!"), "%s", history());
    EXPECT("ctx ");
    type("//bin\r");
    EXPECT("[ Prompt: ");
    EXPECT("ctx ");
    type("/copy\r");
    EXPECT("\x1b]52;c;");
    EXPECT("\a");
    type("/quit\r");
    CHECK(exits(0), "/quit");
}

/* ---- Ctrl-C and signals ---------------------------------------------------------------------------------------- */

static void check_interrupt(void) {
    START(80, "--temp", "0", "-n", "-2"); /* answers up to the end of the context */
    EXPECT("ctx 0/1024");
    type("Tell me a story.\r");
    EXPECT("Tell me a story.");
    EXPECT("\r\n");
    EXPECT(" ");
    type("\x03");
    EXPECT("stopped: interrupt");
    EXPECT("ctx ");
    type("\x03/tokens\r"); /* the key still belonged to the answer */
    EXPECT("1 turn");
    EXPECT("ctx ");
    CHECK(count("leaves; so") == 0, "%s", tty.out);
    type("/=typed\x03/help\r"); /* clears the line */
    EXPECT("take back the last turn");
    EXPECT("ctx ");
    type("/regen\r");
    EXPECT("regen");
    EXPECT("\r\n");
    EXPECT(" ");
    type("typed ahead");
    type("\x03");
    EXPECT("stopped: interrupt");
    EXPECT("ctx ");
    type("/undo\r");
    EXPECT("0 left");
    EXPECT("ctx ");
    usleep(1100000);
    type("\x03");
    EXPECT("leaves; so does a second Ctrl-C");
    EXPECT("ctx ");
    type("\x03");
    CHECK(exits(130), "a second Ctrl-C");
}

static void check_typed_ahead(void) {
    START(80, "--temp", "0", "-n", "300");
    EXPECT("ctx 0/1024");
    type("Tell me a story.\r");
    EXPECT("Tell me a story.");
    EXPECT("\r\n");
    EXPECT(" ");
    type("What is 8 * 10?\r");
    EXPECT("8 * 10 = 80\r\n");
    EXPECT("ctx ");
    type("\x04");
    CHECK(exits(0), "Ctrl-D");
}

static void check_ends(void) {
    START(80, "-q");
    EXPECT("ctx 0/1024");
    kill(tty.child, SIGTERM);
    int status = finish();
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM, "SIGTERM: status %d", status);
    START(80, "-q");
    EXPECT("ctx 0/1024");
    kill(tty.child, SIGINT); /* as the key */
    EXPECT("leaves; so does a second Ctrl-C");
    EXPECT("ctx 0/1024");
    type("\x04");
    CHECK(exits(0), "Ctrl-D");
    START(80, "-q", "--simple-io");
    EXPECT("> ");
    type("What is 8 * 10?\r");
    EXPECT("8 * 10 = 80");
    EXPECT("> ");
    CHECK(count("\x1b") == 0, "%s", tty.out);
    type("\x04");
    CHECK(exits(0), "Ctrl-D, plain lines");
    START(80, "-q", "-st", "--temp", "0"); /* one line is read */
    EXPECT("> ");
    type("What is 8 * 10?\r");
    EXPECT("8 * 10 = 80");
    CHECK(exits(0), "-st");
    START(80, "--no-perf", "-p", "Once", "-n", "1");
    EXPECT("raw completion; add -st for a chat answer");
    CHECK(exits(0), "run");
}

/* Ctrl-Z at the prompt and in an answer: the shell gets the terminal as it was, and what was typed is there again. */
static void check_stop(void) {
    with_shell = true;
    START(80, "--temp", "0", "-n", "-2");
    EXPECT("ctx 0/1024");
    type("/=half\x1a");
    EXPECT("\x1b[?2004l");
    EXPECT("[stopped: as it was]");
    type("fg\r");
    EXPECT("\x1b[?2004h");
    EXPECT("/=half");
    type("X\r");
    EXPECT("phi: error: ");
    CHECK(history_ends("/=halfX"), "%s", history());
    EXPECT("ctx 0/1024");
    type("Tell me a story.\r");
    EXPECT("Tell me a story.");
    EXPECT("\r\n");
    EXPECT(" ");
    type("\x1a");
    EXPECT("[stopped: as it was]");
    type("fg\r");
    EXPECT(" ");
    type("\x03");
    EXPECT("stopped: interrupt");
    EXPECT("ctx ");
    type("\x04");
    CHECK(exits(0), "Ctrl-D behind two stops");
    with_shell = false;
}

/* Another width while a line is typed: it is drawn again. */
static void check_resize(void) {
    struct winsize size = {.ws_col = 40, .ws_row = 10};
    START(80, "-q");
    EXPECT("ctx 0/1024");
    type("/=0123456789");
    EXPECT("0123456789");
    CHECK(ioctl(tty.slave, TIOCSWINSZ, &size) == 0, "%s", strerror(errno));
    kill(tty.child, SIGWINCH); /* the system tells the terminal's foreground processes only */
    EXPECT("0123456789");
    EXPECT("ctx 0/1024");
    type("\r");
    EXPECT("phi: error: ");
    EXPECT("ctx 0/1024");
    type("\x04");
    CHECK(exits(0), "Ctrl-D");
}

/* Who asks twice does not wait for the token: both signals are there before the first is looked at. */
static void check_two_signals(void) {
    START(80, "-q", "-n", "-2");
    EXPECT("ctx 0/1024");
    type("Tell me a story.\r");
    EXPECT("Tell me a story.");
    kill(tty.child, SIGSTOP);
    kill(tty.child, SIGTERM);
    kill(tty.child, SIGHUP);
    kill(tty.child, SIGCONT);
    int status = finish();
    CHECK(WIFSIGNALED(status) && (WTERMSIG(status) == SIGTERM || WTERMSIG(status) == SIGHUP), "status %d", status);
    CHECK(count("stopped: ") == 0, "it took its time: %s", tty.out);
}

/* The terminal goes away: so does the program. */
static void check_hangup(void) {
    START(80, "-q", "-n", "-2");
    EXPECT("ctx 0/1024");
    close(tty.master), close(tty.slave);
    int status = -1;
    CHECK(waitpid(tty.child, &status, 0) == tty.child, "%s", strerror(errno));
    CHECK((WIFSIGNALED(status) && WTERMSIG(status) == SIGHUP) || (WIFEXITED(status) && WEXITSTATUS(status) == 0),
          "status %d", status);
}

/* Keys that a cat would press: the program must live, and leave the terminal as it was. */
static void check_random_keys(void) {
    static const char *const pieces[] = {"a",
                                         "b ",
                                         "/",
                                         "/he",
                                         "\t",
                                         "\r",
                                         "\"\"\"",
                                         "\\\r",
                                         "\x01",
                                         "\x02",
                                         "\x05",
                                         "\x06",
                                         "\x0a",
                                         "\x0b",
                                         "\x0c",
                                         "\x0e",
                                         "\x10",
                                         "\x12",
                                         "\x15",
                                         "\x17",
                                         "\x19",
                                         "\x7f",
                                         "\x07",
                                         UP,
                                         DOWN,
                                         LEFT,
                                         RIGHT,
                                         "\x1b"
                                         "b",
                                         "\x1b"
                                         "f",
                                         "\x1b"
                                         "d",
                                         "\x1b\x7f",
                                         "\x1b[3~",
                                         "\x1b[H",
                                         "\x1b[F",
                                         "\x1b[1;5C",
                                         "\x1b[200~",
                                         "\x1b[201~",
                                         "\x1b",
                                         "\xe6\x97\xa5",
                                         "\xe6",
                                         "\xcc\x81",
                                         "\xf0\x9f\x87\xa9",
                                         "\xe2\x80\x8d",
                                         "\xff",
                                         "\x00",
                                         "a long line of many words that has to be broken somewhere ",
                                         "/undo\r",
                                         "/retry\r",
                                         "\x1b[99;99;99~"};
    unsigned long long random = check_seed();
    for (int round = 0; round < 3; round++) {
        START(round ? 7 << round : 0, "--temp", "0", "-n", "1", "--no-history", "--on-overflow", "drop-oldest", "-c",
              "200");
        EXPECT("ctx 0/200");
        for (int i = 0; i < 600; i++) {
            const char *piece = pieces[check_random(&random) % (sizeof pieces / sizeof *pieces)];
            send_bytes(piece, *piece ? strlen(piece) : 1);
            if (i % 20 == 0) arrives("\x01never", 1);
            if (tty.n > ROOM / 2) tty.n = tty.seen = 0;
        }
        type("\x1b[201~\x1b[201~\x07");
        arrives("\x01never", 1200);
        for (int i = 0; i < 4; i++) { /* clears what is typed, ends what is joined, then leaves */
            if (write(tty.master, "\x03", 1) != 1) break;
            arrives("\x01never", 150);
        }
        CHECK(exits(130), "round %d, seed %llu: ends otherwise", round, check_seed());
    }
}

int main(int argc, char **argv) {
    if (pty_begin(argc, argv)) {
        check_keys();
        check_history();
        check_messages();
        check_interrupt();
        check_typed_ahead();
        check_ends();
        check_stop();
        check_resize();
        check_two_signals();
        check_hangup();
        check_random_keys();
    }
    pty_end();
    return check_done("check_cli_repl");
}
