/* Reads the JSON of test data: one object a line, walked key by key. Wrong JSON ends the walk and sets bad. */
#ifndef PHI_TESTS_JSON_LINES_H
#define PHI_TESTS_JSON_LINES_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct json {
    const char *at, *end;
    bool bad;
};

static inline char json_peek(struct json *j) {
    while (j->at < j->end && strchr(" \t\r\n", *j->at)) j->at++;
    return j->at < j->end ? *j->at : '\0';
}

/* Is c next? Then it is behind us. */
static inline bool json_take(struct json *j, char c) {
    if (j->bad || json_peek(j) != c) return false;
    j->at++;
    return true;
}

static inline void json_want(struct json *j, char c) {
    if (!json_take(j, c)) j->bad = true;
}

static inline uint32_t json_hex4(struct json *j) {
    uint32_t v = 0;
    for (int i = 0; i < 4; i++, j->at++) {
        const char *digits = "0123456789abcdef", *d = j->at < j->end && *j->at ? strchr(digits, *j->at | 0x20) : NULL;
        if (!d) return j->bad = true, 0;
        v = v << 4 | (uint32_t)(d - digits);
    }
    return v;
}

static inline size_t json_utf8(uint32_t c, char *out) {
    size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    if (n == 1) return out[0] = (char)c, 1;
    for (size_t i = n - 1; i > 0; i--, c >>= 6) out[i] = (char)(0x80 | (c & 0x3f));
    out[0] = (char)(c | (0xf00u >> n & 0xf0u));
    return n;
}

/* A string, as UTF-8. out needs room for as many bytes as the line has. Returns the length; there is no NUL behind
 * it. */
static inline size_t json_string(struct json *j, char *out) {
    size_t n = 0;
    json_want(j, '"');
    while (!j->bad && j->at < j->end && *j->at != '"') {
        char c = *j->at++;
        if (c != '\\') {
            out[n++] = c;
            continue;
        }
        if (j->at == j->end) break;
        const char *from = "\"\\/bfnrt", *to = "\"\\/\b\f\n\r\t", *escape = strchr(from, *j->at);
        if (escape && *escape) {
            out[n++] = to[escape - from];
            j->at++;
        } else if (*j->at++ == 'u') {
            uint32_t u = json_hex4(j);
            if (u >= 0xd800 && u < 0xdc00 && j->end - j->at >= 6 && j->at[0] == '\\' && j->at[1] == 'u') {
                j->at += 2;
                u = 0x10000 + ((u - 0xd800) << 10) + (json_hex4(j) - 0xdc00);
            }
            n += json_utf8(u, out + n);
        } else {
            j->bad = true;
        }
    }
    json_want(j, '"');
    return n;
}

static inline long long json_integer(struct json *j) {
    char *end, digits[24] = "";
    json_peek(j);
    for (size_t i = 0; i < 23 && j->at + i < j->end; i++) digits[i] = j->at[i];
    long long v = strtoll(digits, &end, 10);
    if (end == digits) j->bad = true;
    j->at += end - digits;
    return v;
}

static inline bool json_bool(struct json *j) {
    bool v = json_peek(j) == 't';
    size_t n = v ? 4 : 5;
    if ((size_t)(j->end - j->at) < n || memcmp(j->at, v ? "true" : "false", n) != 0) return j->bad = true, false;
    j->at += n;
    return v;
}

/* An array of integers into ids[cap]. Returns how many. */
static inline size_t json_integers(struct json *j, int32_t *ids, size_t cap) {
    size_t n = 0;
    json_want(j, '[');
    while (!j->bad && json_peek(j) != ']') {
        if (n > 0) json_want(j, ',');
        if (n == cap) j->bad = true;
        if (!j->bad) ids[n++] = (int32_t)json_integer(j);
    }
    json_want(j, ']');
    return n;
}

/* The next key of the object, false behind the last one. Call it first at the '{', then after each value. */
static inline bool json_key(struct json *j, char key[64]) {
    if (json_take(j, '}')) return false;
    if (!json_take(j, '{')) json_want(j, ',');
    if (j->bad || j->end - j->at > 1 << 24) return false;
    const char *close = memchr(j->at, ':', (size_t)(j->end - j->at));
    if (!close || close - j->at > 60) return j->bad = true, false;
    key[json_string(j, key)] = '\0';
    json_want(j, ':');
    return !j->bad;
}

/* Step over a string, a number or a word: values that a test has no use for. */
static inline void json_skip(struct json *j, char *scratch) {
    if (json_peek(j) == '"')
        json_string(j, scratch);
    else
        while (j->at < j->end && !strchr(",]}", *j->at)) j->at++;
}

/* The next line of a text in memory, without its end; false behind the last one. */
static inline bool json_line(const char **at, const char *end, struct json *j) {
    if (*at == end) return false;
    const char *stop = memchr(*at, '\n', (size_t)(end - *at));
    *j = (struct json){*at, stop ? stop : end, false};
    *at = stop ? stop + 1 : end;
    return true;
}

#endif
