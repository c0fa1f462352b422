/* utf8.c against a definition of its own: the encodings of all code points are the whole characters, everything else
 * is a beginning of one or broken. Streams in pieces of every size give the bytes that went in, and only whole
 * characters. */
#include "../src/utf8.h"
#include "check.h"

#include <stdbool.h>

/* UTF-8 of a code point, by the definition; the number of bytes. */
static int encode(uint32_t c, char out[4]) {
    if (c < 0x80) return out[0] = (char)c, 1;
    int n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    for (int i = n - 1; i > 0; i--, c >>= 6) out[i] = (char)(0x80 | (c & 0x3f));
    out[0] = (char)(c | (n == 2 ? 0xc0u : n == 3 ? 0xe0u : 0xf0u));
    return n;
}

/* Which 1..3 bytes begin a longer character, as big-endian numbers; and which are whole. Filled from encode(). */
static uint8_t whole1[256], whole2[65536], whole3[16777216], begin1[256], begin2[65536], begin3[16777216];

static void check_characters(void) {
    long wrong = 0;
    for (uint32_t c = 0; c <= 0x10ffff; c++) {
        if (c >= 0xd800 && c <= 0xdfff) continue;
        char s[4];
        int n = encode(c, s);
        uint32_t b1 = (uint8_t)s[0], b2 = n > 1 ? b1 << 8 | (uint8_t)s[1] : 0,
                 b3 = n > 2 ? b2 << 8 | (uint8_t)s[2] : 0;
        if (n == 1) whole1[b1] = 1;
        if (n == 2) whole2[b2] = 1;
        if (n == 3) whole3[b3] = 1;
        if (n > 1) begin1[b1] = 1;
        if (n > 2) begin2[b2] = 1;
        if (n > 3) begin3[b3] = 1;
        for (int k = 1; k <= 4; k++) /* cut short, exact, with a byte behind */
            wrong += phi_utf8_length(s, (size_t)(k < n ? k : n)) != (k < n ? -1 : n);
        char longer[5] = {s[0], s[1], s[2], s[3], 0};
        longer[n] = (char)0xbf;
        wrong += phi_utf8_length(longer, (size_t)n + 1) != n;
    }
    CHECK(wrong == 0, "%ld wrong lengths of valid characters", wrong);
    CHECK(phi_utf8_length("", 0) == -1, "nothing is the beginning of everything");
}

/* What must come out for n bytes, from the tables. */
static int expected(const uint8_t *s, int n) {
    uint32_t b1 = s[0], b2 = b1 << 8 | s[1], b3 = b2 << 8 | s[2];
    if (whole1[b1]) return 1;
    if (n == 1) return begin1[b1] ? -1 : 0;
    if (whole2[b2]) return 2;
    if (n == 2) return begin2[b2] ? -1 : 0;
    if (whole3[b3]) return 3;
    if (n == 3) return begin3[b3] ? -1 : 0;
    return begin3[b3] && s[3] >= 0x80 && s[3] <= 0xbf ? 4 : 0;
}

static void check_bytes(unsigned long long *rng) {
    long wrong = 0;
    for (uint32_t b = 0; b < 0x1000000; b++) {
        uint8_t s[4] = {(uint8_t)(b >> 16), (uint8_t)(b >> 8), (uint8_t)b, (uint8_t)check_random(rng)};
        wrong += phi_utf8_length((char *)s, 3) != expected(s, 3);
        wrong += phi_utf8_length((char *)s, 4) != expected(s, 4);
        if ((b & 0xff) == 0) wrong += phi_utf8_length((char *)s, 2) != expected(s, 2);
        if ((b & 0xffff) == 0) wrong += phi_utf8_length((char *)s, 1) != expected(s, 1);
    }
    CHECK(wrong == 0, "%ld wrong answers over all three bytes", wrong);
}

/* Feed in[n] in pieces of at most step bytes. Every output must end between characters. */
static void check_stream(const char *in, size_t n, size_t step, unsigned long long *rng) {
    struct phi_utf8 u = {{0}, 0};
    char out[300];
    bool ends[300] = {true}; /* after how many bytes of the input a character or a broken byte ends */
    for (size_t i = 0; i < n; ends[i] = true) {
        int length = phi_utf8_length(in + i, n - i);
        i += length > 0 ? (size_t)length : 1;
    }
    size_t n_out = 0;
    bool whole = true, prompt = true;
    for (size_t i = 0; i < n;) {
        size_t k = 1 + check_random(rng) % step;
        if (k > n - i) k = n - i;
        n_out += phi_utf8_feed(&u, in + i, k, out + n_out);
        i += k;
        if (!ends[n_out]) whole = false;
        /* Held back is only what may still become a character. */
        if (n_out + u.n != i || (u.n > 0 && phi_utf8_length(in + n_out, u.n) != -1)) prompt = false;
    }
    CHECK(whole, "a piece ends inside a character (seed %llu)", check_seed());
    CHECK(prompt, "bytes are held back that are ready (seed %llu)", check_seed());
    n_out += phi_utf8_flush(&u, out + n_out);
    CHECK(n_out == n && memcmp(in, out, n) == 0 && u.n == 0, "other bytes came out (seed %llu)", check_seed());
}

static void check_streams(unsigned long long *rng) {
    for (int round = 0; round < 2000; round++) {
        char in[256];
        size_t n = 0;
        while (n < 200) {
            unsigned long long r = check_random(rng);
            if (r % 3 == 0)
                in[n++] = (char)(r >> 8); /* any byte */
            else if (r % 3 == 1)
                n += (size_t)encode((uint32_t)(r >> 8) % 0xd800, in + n);
            else { /* a character cut short, or not */
                int length = encode(0x10000 + (uint32_t)(r >> 8) % 0x100000, in + n);
                n += (size_t)length - (size_t)(r >> 40) % 4;
            }
        }
        check_stream(in, n, 1 + (size_t)round % 7, rng);
    }
}

static void check_example(const char *in, size_t n, const char *first, size_t n_first) {
    struct phi_utf8 u = {{0}, 0};
    char out[16];
    size_t n_out = phi_utf8_feed(&u, in, n, out);
    CHECK(n_out == n_first && memcmp(out, first, n_first) == 0, "\"%.*s\" gives %zu bytes, expected %zu", (int)n, in,
          n_out, n_first);
}

int main(void) {
    unsigned long long rng = check_seed();
    check_characters();
    check_bytes(&rng);
    check_streams(&rng);
    check_example("a\xe2\x96", 3, "a", 1); /* held: may become ▁ */
    check_example("\xe2\x96"
                  "b",
                  3,
                  "\xe2\x96"
                  "b",
                  3); /* broken by the b, and the b is out with it */
    check_example("\xe2\x96\x81", 3, "\xe2\x96\x81", 3);
    check_example("\xe2\xe2\x96", 3, "\xe2", 1); /* the second one may still become a character */
    check_example("\xf0\x9f\xa6\x99\xff", 5, "\xf0\x9f\xa6\x99\xff", 5);
    check_example("\0\xc0\x80", 3, "\0\xc0\x80", 3);
    return check_done("check_utf8");
}
