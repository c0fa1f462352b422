/* UTF-8 in streams: tokens end in the middle of characters, output must not. */
#ifndef PHI_SRC_UTF8_H
#define PHI_SRC_UTF8_H

#include <stddef.h>
#include <stdint.h>

/* The length (1..4) of the valid UTF-8 character at s, at most n bytes long; 0: broken; -1: the n bytes are the beginning of a
 * valid character that is not complete. Overlong forms, surrogates and values above U+10FFFF are broken. */
int phi_utf8_length(const char *s, size_t n);
/* The code point of the valid character of that length (1..4) at s. */
uint32_t phi_utf8_decode(const char *s, int length);

/* The UTF-8 of a code point up to U+10FFFF, no surrogate -> out. Returns its length. */
int phi_utf8_encode(uint32_t code, char out[4]);

/* Holds back the bytes of a character until it is complete. */
struct phi_utf8 {
    uint8_t held[4];
    size_t n;
};

/* Feed n bytes; out (room for n + 4) receives the bytes that are ready: whole characters, and broken bytes as they are once it
 * is certain that they are broken. Returns how many. */
size_t phi_utf8_feed(struct phi_utf8 *u, const char *bytes, size_t n, char *out);
/* What is still held at the end of the text (0..3 bytes) -> out. Returns how many. */
size_t phi_utf8_flush(struct phi_utf8 *u, char *out);

#endif
