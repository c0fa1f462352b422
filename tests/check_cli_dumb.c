/* The chat on a terminal that can do nothing (TERM is dumb, empty or unset), as in an editor's window or on a serial
 * line: the terminal's own line editing, no byte that a typewriter could not show, Ctrl-C and Ctrl-D as on any other
 * terminal. */
#include "pty.h"

static bool is_plain(void) {
    for (size_t i = 0; i < tty.n; i++)
        if (((unsigned char)tty.out[i] < 0x20 && !strchr("\r\n", tty.out[i])) || tty.out[i] == 0x7f) return false;
    return tty.n > 0 && !strstr(tty.out, "\xc2\x9b");
}

/* An answer of 1,000 tokens is stopped, and nothing but the answer. */
static void check_chat(const char *term) {
    const char *name = term ? term : "(unset)";
    if (term)
        setenv("TERM", term, 1);
    else
        unsetenv("TERM");
    START(80, "chat", "--temp", "0", "-n", "-2");
    EXPECT("Ctrl-D leaves\r\n> ");
    struct termios now;
    CHECK(tcgetattr(tty.slave, &now) == 0 && now.c_lflag == tty.before.c_lflag && now.c_iflag == tty.before.c_iflag,
          "TERM=%s: the terminal is changed", name);
    type("Tell me a story.\n");
    EXPECT("Tell me a story.\r\n");
    EXPECT(" ");
    type("\x03");
    EXPECT("stopped: interrupt");
    EXPECT("> ");
    type("/tokens\n");
    EXPECT("in 1 turn");
    EXPECT("> ");
    type("/undo\n");
    EXPECT("0 left");
    EXPECT("> ");
    type("\x04");
    CHECK(exits(0), "TERM=%s: Ctrl-D", name);
    CHECK(is_plain(), "TERM=%s: '%s'", name, tty.out);
}

/* A line is the terminal's until it is sent, by Return or by Ctrl-D; Ctrl-C at a prompt. */
static void check_lines(void) {
    setenv("TERM", "dumb", 1);
    START(80, "chat", "--temp", "0");
    EXPECT("> ");
    type("What is 8 * 9?\x7f\x7f"
         "10?\n");
    EXPECT("8 * 10 = 80\r\n");
    EXPECT("> ");
    type("/undo\n");
    EXPECT("0 left");
    EXPECT("> ");
    type("What is 8 * 10?\x04\x04");
    EXPECT("8 * 10 = 80\r\n");
    EXPECT("> ");
    type("\x04");
    CHECK(exits(0), "Ctrl-D at a prompt");
    START(80, "chat", "--temp", "0");
    EXPECT("> ");
    type("begun\x03");
    EXPECT("> ");
    type("/tokens\n");
    EXPECT("0 of 1024 tokens");
    type("\x04");
    CHECK(exits(0) && is_plain(), "Ctrl-C at a prompt: '%s'", tty.out);
}

int main(int argc, char **argv) {
    if (pty_begin(argc, argv)) {
        check_chat("dumb");
        check_chat("");
        check_chat(NULL);
        check_lines();
    }
    pty_end();
    return check_done("check_cli_dumb");
}
