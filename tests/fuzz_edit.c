/* Any bytes as keys of the line editor: it ends when they end, gives texts that the keys can have made, and sends the
 * terminal nothing but text and the sequences of edit_view.c, on screens of any size. */
#include "../src/cli/edit.h"
#include "../src/utf8.h"
#include "fuzz_replay.h"

enum { MOST_YANKS = 8, MOST_LINES = 40, CTRL_Y = 25, CTRL_Z = 26 };

static const char *const completions[] = {"/save", "/set", "/show", "/exit", NULL};
static const char *const past[] = {"first message", "caf\xc3\xa9\nof two lines\n",
                                   "\xf0\x9f\x87\xa9\xf0\x9f\x87\xaa e\xcc\x81 \xe6\x97\xa5 \xff\t|"};

/* Sends the bytes as stdin, and what is drawn into a file. */
static void redirect(int fd, int keys, int screen, int before[2]) {
    before[0] = dup(STDIN_FILENO);
    before[1] = fuzz_stderr = dup(fd);
    fuzz_must(dup2(keys, STDIN_FILENO) >= 0 && dup2(screen, fd) >= 0, "descriptors", "");
}

static void restore(int fd, const int before[2]) {
    dup2(before[0], STDIN_FILENO);
    dup2(before[1], fd);
    fuzz_stderr = fd;
    close(before[0]);
    close(before[1]);
}

/* Text, line ends, and sequences of the editor: ESC [ ? 25 h, ESC [ numbers A C D G K J H. */
static void check_screen(int screen) {
    static char out[1 << 22];
    ssize_t n = pread(screen, out, sizeof out, 0);
    fuzz_must(n >= 0, "screen", "");
    bool cut = n == sizeof out;
    for (ssize_t i = 0, length; i < n; i += length) {
        uint8_t c = (uint8_t)out[i];
        length = phi_utf8_length(out + i, (size_t)(n - i));
        if (length < 0 && cut) break;
        fuzz_must(length > 0, "broken bytes on the screen", "");
        fuzz_must(c >= 0x20 || c == '\r' || c == '\n' || c == 0x1b, "a control character on the screen", "");
        fuzz_must(c != 0x7f && !(c == 0xc2 && (uint8_t)out[i + 1] < 0xa0), "DEL or C1 on the screen", "");
        if (c != 0x1b) continue;
        char found[24] = {0};
        ssize_t k = i + 1;
        if (cut && n - i < 24) break;
        fuzz_must(k < n && out[k++] == '[', "a sequence", "");
        while (k < n && strchr("0123456789;?", out[k])) k++;
        memcpy(found, out + i + 1, (size_t)(k - i) < sizeof found - 1 ? (size_t)(k - i) : sizeof found - 1);
        fuzz_must(k < n && strchr(found[1] == '?' ? "hl" : "ACDGKJHm", out[k]), "sequence", found);
        length = k + 1 - i;
    }
}

/* Lines until the keys end. Returns how many there were. */
static void run(struct cli_editor *e, size_t n_key) {
    for (int i = 0; i < MOST_LINES; i++) {
        struct cli_text text = {NULL, 0};
        enum cli_input_event event = cli_editor_line(e, "> ", i % 2 ? "ctx 812/4096" : "", &text);
        fuzz_must(event == CLI_INPUT_TEXT || event == CLI_INPUT_END || event == CLI_INPUT_INTERRUPT, "event", "");
        fuzz_must(event == CLI_INPUT_TEXT || !text.bytes, "a text without Enter", "");
        fuzz_must(text.n <= (n_key + 64) << MOST_YANKS, "length of a text", "");
        size_t sum = 0;
        for (size_t k = 0; k < text.n; k++) sum += (uint8_t)text.bytes[k];
        fuzz_must(sum <= text.n * 255, "bytes", "");
        cli_text_free(&text);
        if (event == CLI_INPUT_END) return;
    }
}

/* Keys that only insert give the text that they are. */
static void check_plain(const struct cli_history *h, const uint8_t *keys, size_t n) {
    size_t k = 0;
    while (k < n && keys[k] >= 0x20 && keys[k] < 0x7f) k++;
    if (k == 0 || k + 1 > n || keys[k] != '\r' || keys[0] == ' ')
        return;                     /* else the line goes on, or is not remembered */
    while (keys[k - 1] == ' ') k--; /* nor are these */
    size_t first = sizeof past / sizeof *past;
    fuzz_must(h->n > first, "no message", "");
    fuzz_must(h->entry[first].n == k && memcmp(h->entry[first].bytes, keys, k) == 0, "another message", "");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    static int screen = -1;
    char path[64], size[16];
    struct cli_history h = {.fd = -1};
    struct cli_editor *e = NULL;
    int before[2], yanks = 0;
    if (n < 2) return 0;
    if (screen < 0) screen = fuzz_file("", 0, path);
    uint8_t *keys = fuzz_copy(data + 2, n - 2);
    n -= 2;
    for (size_t i = 0; i < n; i++) {
        if (keys[i] == CTRL_Z) keys[i] = '\r';                         /* it would stop the fuzzer */
        if (keys[i] == CTRL_Y && yanks++ >= MOST_YANKS) keys[i] = 'y'; /* each can double the text */
    }
    snprintf(size, sizeof size, "%d", data[0]);
    setenv("COLUMNS", size, 1);
    snprintf(size, sizeof size, "%d", data[1] % 40);
    setenv("LINES", size, 1);
    for (size_t i = 0; i < sizeof past / sizeof *past; i++) cli_history_add(&h, past[i], strlen(past[i]));
    int fd = fuzz_file(keys, n, path);
    fuzz_must(lseek(fd, 0, SEEK_SET) == 0 && ftruncate(screen, 0) == 0 && lseek(screen, 0, SEEK_SET) == 0, "files",
              "");
    fuzz_must(cli_editor_open(&e, &h, completions) == CLI_OK, "open", "");
    redirect(STDERR_FILENO, fd, screen, before);
    run(e, n);
    restore(STDERR_FILENO, before);
    check_screen(screen);
    check_plain(&h, keys, n);
    cli_editor_close(e);
    cli_history_close(&h);
    close(fd);
    free(keys);
    fuzz_must(phi_memory_live() == 0, "leak", "");
    return 0;
}
