/* What is a character of UTF-8, and a small buffer that lets only whole ones through. Owns no memory, knows no
 * tokens; broken bytes are never replaced, because what a model wrote is passed on as it is.
 *
 *   1 byte    0xxxxxxx
 *   2 bytes   110xxxxx 10xxxxxx                      first byte C2..DF (C0, C1 would be overlong)
 *   3 bytes   1110xxxx 10xxxxxx 10xxxxxx             after E0: A0..BF (overlong), after ED: 80..9F (surrogates)
 *   4 bytes   11110xxx 10xxxxxx 10xxxxxx 10xxxxxx    after F0: 90..BF (overlong), after F4: 80..8F (above U+10FFFF)
 */
#include "utf8.h"

int phi_utf8_length(const char *s, size_t n) {
    if (n == 0) return -1;
    uint8_t first = (uint8_t)s[0];
    if (first < 0x80) return 1;
    if (first < 0xc2 || first > 0xf4) return 0;
    int length = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    for (int i = 1; i < length; i++) {
        if ((size_t)i == n) return -1;
        uint8_t c = (uint8_t)s[i], low = 0x80, high = 0xbf;
        if (i == 1) {
            if (first == 0xe0) low = 0xa0;
            if (first == 0xed) high = 0x9f;
            if (first == 0xf0) low = 0x90;
            if (first == 0xf4) high = 0x8f;
        }
        if (c < low || c > high) return 0;
    }
    return length;
}

int phi_utf8_encode(uint32_t code, char out[4]) {
    static const uint8_t first[] = {0, 0, 0xc0, 0xe0, 0xf0};
    int length = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    for (int i = length - 1; i > 0; i--, code >>= 6) out[i] = (char)(0x80 | (code & 63));
    out[0] = (char)(first[length] | code);
    return length;
}

uint32_t phi_utf8_decode(const char *s, int length) {
    static const uint8_t mask[5] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    uint32_t code = (uint8_t)s[0] & mask[length];
    for (int i = 1; i < length; i++) code = code << 6 | ((uint8_t)s[i] & 0x3f);
    return code;
}

/* Move k bytes from the front of the held ones to out. */
static size_t release(struct phi_utf8 *u, size_t k, char *out) {
    for (size_t i = 0; i < k; i++) out[i] = (char)u->held[i];
    for (size_t i = k; i < u->n; i++) u->held[i - k] = u->held[i];
    u->n -= k;
    return k;
}

size_t phi_utf8_feed(struct phi_utf8 *u, const char *bytes, size_t n, char *out) {
    size_t n_out = 0;
    for (size_t i = 0; i < n; i++) {
        u->held[u->n++] = (uint8_t)bytes[i];
        while (u->n > 0) {
            int length = phi_utf8_length((const char *)u->held, u->n);
            if (length < 0) break;
            /* Broken: only the first byte is known to be; those behind it may begin a character. */
            n_out += release(u, length > 0 ? (size_t)length : 1, out + n_out);
        }
    }
    return n_out;
}

size_t phi_utf8_flush(struct phi_utf8 *u, char *out) {
    return release(u, u->n, out);
}
