/* Stop texts in a stream, cut anywhere: against a search through the whole text. The file under test is part of the
 * program, not of the library; it is compiled in here, with the two functions that it needs from its neighbours. */
#include "check.h"

#include "../src/cli/stop_text.c"

int cli_fail(int status, const char *fmt, ...) {
    (void)fmt;
    return status;
}

size_t cli_unescape(char *bytes, size_t n) { /* the only escape here: ~ is a newline */
    for (size_t i = 0; i < n; i++) bytes[i] = bytes[i] == '~' ? '\n' : bytes[i];
    return n;
}

static unsigned long long state = 1;

static int below(int n) {
    return (int)(check_random(&state) % (unsigned)n);
}

/* Where the answer ends if a text is complete in text[n]: before the longest one of those that end first. -1: none.
 */
static int find_end(const struct cli_texts *t, const char *text, int n) {
    for (int end = 1; end <= n; end++) {
        int longest = 0;
        for (int i = 0; i < t->n; i++) {
            int m = (int)strlen(t->text[i]);
            if (m <= end && memcmp(text + end - m, t->text[i], (size_t)m) == 0 && m > longest) longest = m;
        }
        if (longest) return end - longest;
    }
    return -1;
}

/* How many bytes at the end of text[n] may be the beginning of a stop text. */
static int find_held(const struct cli_texts *t, const char *text, int n) {
    int held = 0;
    for (int i = 0; i < t->n; i++)
        for (int m = 1; m < (int)strlen(t->text[i]) && m <= n; m++)
            if (m > held && memcmp(text + n - m, t->text[i], (size_t)m) == 0) held = m;
    return held;
}

static void take(char *out, int *n, const struct cli_stop_ready *ready, const char *bytes) {
    if (ready->n_held) memcpy(out + *n, ready->held, ready->n_held);
    *n += (int)ready->n_held;
    if (ready->n_new) memcpy(out + *n, bytes, ready->n_new);
    *n += (int)ready->n_new;
}

/* One text with few letters, so that much is a beginning of something, in pieces of 1 to 5 bytes. */
static int try_stream(struct cli_stop *s, const struct cli_texts *t) {
    char text[48], out[96];
    int n = below(41), n_out = 0, end = -1, letters = 2 + below(2);
    for (int i = 0; i < n; i++) text[i] = "abc"[below(letters)];
    for (int at = 0, piece; at < n && end < 0; at += piece) {
        piece = 1 + below(5);
        if (piece > n - at) piece = n - at;
        struct cli_stop_ready ready = cli_stop_feed(s, text + at, (size_t)piece);
        take(out, &n_out, &ready, text + at);
        int now = at + piece, held = find_held(t, text, now);
        end = find_end(t, text, now);
        if (s->found != (end >= 0) || memcmp(out, text, (size_t)n_out) != 0) return 1;
        if (s->found && (n_out != end || (int)s->n_dropped != now - end)) return 2;
        if (!s->found && (n_out != now - held || (int)s->n_held != held)) return 3;
        if (held && !s->found && memcmp(s->held, text + now - held, (size_t)held) != 0) return 4;
    }
    if (s->found) return 0;
    struct cli_stop_ready rest = cli_stop_flush(s);
    take(out, &n_out, &rest, "");
    return n_out == n && memcmp(out, text, (size_t)n) == 0 && s->n_held == 0 ? 0 : 5;
}

static void check_random_streams(void) {
    static char pattern[4][8];
    for (int round = 0; round < 20000; round++) {
        struct cli_texts t = {.n = below(5)};
        struct cli_stop s;
        for (int i = 0; i < t.n; i++) {
            int n = 1 + below(6);
            for (int k = 0; k < n; k++) pattern[i][k] = "ab"[below(2)];
            pattern[i][n] = 0;
            t.text[i] = pattern[i];
        }
        int status = cli_stop_open(&s, &t, false), wrong = status ? 9 : try_stream(&s, &t);
        if (wrong) CHECK(wrong == 0, "round %d: rule %d", round, wrong);
        cli_stop_close(&s);
    }
    CHECK(true, "not one passed check for each round");
}

/* What one process holds goes into another one, which finds what begins in the first and ends in the second. */
static void check_saved(void) {
    struct cli_texts t = {.n = 1, .text = {"END~"}};
    struct cli_stop a, b;
    CHECK(cli_stop_open(&a, &t, true) == CLI_OK && cli_stop_open(&b, &t, true) == CLI_OK, "open");
    struct cli_stop_ready ready = cli_stop_feed(&a, "the EN", 6);
    CHECK(ready.n_new == 4 && a.n_held == 2 && memcmp(a.held, "EN", 2) == 0, "%zu ready, %zu held", ready.n_new,
          a.n_held);
    ready = cli_stop_feed(&b, a.held, a.n_held);
    CHECK(ready.n_held + ready.n_new == 0 && b.n_held == 2, "what was held is put out");
    ready = cli_stop_feed(&b, "D\nx", 3);
    CHECK(b.found && ready.n_held + ready.n_new == 0 && b.n_dropped == 5, "not found");
    cli_stop_close(&a);
    cli_stop_close(&b);
}

static void check_memory(void) {
    struct cli_texts t = {.n = 2, .text = {"one", "two"}};
    int failed = 0;
    for (unsigned n = 1;; n++) {
        struct cli_stop s;
        phi_memory_fail_at(n);
        int status = cli_stop_open(&s, &t, true);
        phi_memory_fail_at(0);
        cli_stop_close(&s);
        if (status == CLI_OK) break;
        CHECK(status == CLI_MEMORY, "allocation %u: status %d", n, status);
        failed++;
    }
    CHECK(failed == 4 && phi_memory_live() == 0, "%d allocations, %llu left", failed, phi_memory_live());
}

int main(void) {
    check_random_streams();
    check_saved();
    check_memory();
    return check_done("check_stop_text");
}
