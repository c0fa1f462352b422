/* A reader for the JSON of trusted test material: objects, arrays, strings (with \u escapes), numbers, literals. Exits the test
 * program on anything else; the engine itself reads no JSON with this. */
#ifndef PHI_TESTS_JSON_H
#define PHI_TESTS_JSON_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct json {
    enum { JSON_NULL, JSON_BOOL, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT } type;
    bool truth;
    double number;
    char *text; /* UTF-8, NUL-terminated; NUL characters inside count in text_n */
    size_t text_n;
    size_t n; /* items */
    struct json *item;
    char **key; /* of an object */
};

static inline void json_bad(const char *at) {
    printf("FAIL test material is not JSON: %.40s\n", at);
    exit(1);
}

static inline const char *json_space(const char *s) {
    while (*s == ' ' || *s == '\n' || *s == '\r' || *s == '\t') s++;
    return s;
}

static inline unsigned json_hex4(const char *s) {
    unsigned v = 0;
    for (int i = 0; i < 4; i++) {
        const char *digits = "0123456789abcdef", *d = strchr(digits, s[i] | 32);
        if (!s[i] || !d) json_bad(s);
        v = v * 16 + (unsigned)(d - digits);
    }
    return v;
}

static inline char *json_put_utf8(char *to, unsigned c) {
    if (c < 0x80) {
        *to++ = (char)c;
    } else if (c < 0x800) {
        *to++ = (char)(0xc0 | c >> 6);
        *to++ = (char)(0x80 | (c & 63));
    } else if (c < 0x10000) {
        *to++ = (char)(0xe0 | c >> 12);
        *to++ = (char)(0x80 | (c >> 6 & 63));
        *to++ = (char)(0x80 | (c & 63));
    } else {
        *to++ = (char)(0xf0 | c >> 18);
        *to++ = (char)(0x80 | (c >> 12 & 63));
        *to++ = (char)(0x80 | (c >> 6 & 63));
        *to++ = (char)(0x80 | (c & 63));
    }
    return to;
}

static inline const char *json_string(const char *s, char **text, size_t *n) {
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    if (*s != '"') json_bad(s);
    const char *end = s + 1;
    while (*end && *end != '"') end += *end == '\\' && end[1] ? 2 : 1;
    if (!*end) json_bad(s);
    char *out = *text = malloc((size_t)(end - s));
    for (s++; s < end;) {
        if (*s != '\\') {
            *out++ = *s++;
        } else if (s[1] == 'u') {
            unsigned c = json_hex4(s + 2);
            s += 6;
            if (c >= 0xd800 && c < 0xdc00 && s[0] == '\\' && s[1] == 'u') {
                c = 0x10000 + ((c - 0xd800) << 10) + (json_hex4(s + 2) - 0xdc00);
                s += 6;
            }
            out = json_put_utf8(out, c);
        } else {
            const char *f = strchr(from, s[1]);
            if (!f) json_bad(s);
            *out++ = to[f - from];
            s += 2;
        }
    }
    *out = 0;
    *n = (size_t)(out - *text);
    return end + 1;
}

/* Reads the value at s; returns where it ends. */
static inline const char *json_parse(const char *s, struct json *v) {
    memset(v, 0, sizeof *v);
    s = json_space(s);
    if (*s == '{' || *s == '[') {
        char close = *s == '{' ? '}' : ']';
        v->type = *s == '{' ? JSON_OBJECT : JSON_ARRAY;
        s = json_space(s + 1);
        for (size_t cap = 0; *s != close; s = json_space(s)) {
            if (v->n && *s++ != ',') json_bad(s - 1);
            if (v->n == cap) {
                cap = cap ? 2 * cap : 8;
                v->item = realloc(v->item, cap * sizeof *v->item);
                v->key = realloc(v->key, cap * sizeof *v->key);
            }
            v->key[v->n] = NULL;
            if (v->type == JSON_OBJECT) {
                size_t n;
                s = json_space(json_string(json_space(s), &v->key[v->n], &n));
                if (*s++ != ':') json_bad(s - 1);
            }
            s = json_parse(s, &v->item[v->n]);
            v->n++;
        }
        return s + 1;
    }
    if (*s == '"') {
        v->type = JSON_STRING;
        return json_string(s, &v->text, &v->text_n);
    }
    static const char *const words[] = {"null", "true", "false"};
    for (int i = 0; i < 3; i++)
        if (strncmp(s, words[i], strlen(words[i])) == 0) {
            v->type = i ? JSON_BOOL : JSON_NULL;
            v->truth = i == 1;
            return s + strlen(words[i]);
        }
    char *end;
    v->type = JSON_NUMBER;
    v->number = strtod(s, &end);
    if (end == s) json_bad(s);
    return end;
}

static inline void json_clear(struct json *v) {
    for (size_t i = 0; i < v->n; i++) {
        json_clear(&v->item[i]);
        free(v->key[i]);
    }
    free(v->item);
    free(v->key);
    free(v->text);
}

static inline void json_free(struct json *v) {
    if (!v) return;
    json_clear(v);
    free(v);
}

/* The whole file; NULL if it cannot be read. */
static inline struct json *json_read(const char *path) {
    FILE *f = fopen(path, "rb");
    if (!f) return NULL;
    fseek(f, 0, SEEK_END);
    long size = ftell(f);
    rewind(f);
    char *text = calloc((size_t)size + 1, 1);
    struct json *v = malloc(sizeof *v);
    if (!text || !v || fread(text, 1, (size_t)size, f) != (size_t)size) json_bad(path);
    fclose(f);
    json_parse(text, v);
    free(text);
    return v;
}

/* A member of an object; NULL if it has no such member. */
static inline const struct json *json_get(const struct json *v, const char *key) {
    for (size_t i = 0; i < v->n; i++)
        if (v->key[i] && strcmp(v->key[i], key) == 0) return &v->item[i];
    return NULL;
}

#endif
