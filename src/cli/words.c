/* Words of the command line to values. The program never calls setlocale(), so '.' is the decimal point everywhere.
 */
#include "options.h"
#include "../memory.h"

#include <ctype.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

bool cli_parse_int(const char *word, int64_t *v) {
    const char *at = word + (*word == '-');
    int64_t value = 0;
    if (!*at) return false;
    for (; *at; at++) {
        if (*at < '0' || *at > '9') return false;
        value = value > (INT64_MAX - 9) / 10 ? INT64_MAX : value * 10 + (*at - '0');
    }
    *v = *word == '-' ? -value : value;
    return true;
}

bool cli_parse_real(const char *word, double *v) {
    if (!*word || word[strspn(word, "0123456789.eE+-")])
        return false; /* strtod() takes white space, hex, inf and nan too */
    char *end;
    *v = strtod(word, &end);
    return *end == 0;
}

static bool take_int(const char **at, int64_t *v) {
    const char *p = *at;
    int64_t value = 0;
    for (; *p >= '0' && *p <= '9'; p++) {
        value = value * 10 + (*p - '0');
        if (value > INT_MAX) return false;
    }
    bool some = p != *at;
    *at = p;
    *v = value;
    return some;
}

bool cli_parse_list(const char *word, struct cli_list *v) {
    v->n = 0;
    for (const char *at = word;; at++) {
        int64_t first, last, step = 1;
        bool times = false;
        if (!take_int(&at, &first)) return false;
        last = first;
        if (*at == '-') {
            at++;
            if (!take_int(&at, &last)) return false;
            if (*at == '+' || *at == '*') {
                times = *at++ == '*';
                if (!take_int(&at, &step)) return false;
            }
        }
        if (last < first || step < 1 + times || (times && first == 0)) return false;
        for (int64_t x = first; x <= last; x = times ? x * step : x + step) {
            if (v->n == CLI_LIST_MAX) return false;
            v->value[v->n++] = (int)x;
        }
        if (!*at) return true;
        if (*at != ',') return false;
    }
}

static bool separates_ids(char c) {
    return c == ',' || c == '[' || c == ']' || isspace((unsigned char)c);
}

int cli_parse_ids(const char *name, const char *text, size_t n_bytes, int n_vocab, int32_t **ids, size_t *n) {
    size_t room = n_bytes / 2 + 1, count = 0, i = 0;
    int32_t *out = phi_alloc(room, sizeof *out);
    if (!out) return cli_fail(CLI_MEMORY, "not enough memory for %zu token ids", room);
    while (i < n_bytes) {
        if (separates_ids(text[i])) {
            i++;
            continue;
        }
        size_t begin = i;
        int64_t id = 0;
        bool good = true;
        for (; i < n_bytes && !separates_ids(text[i]); i++) {
            good = good && text[i] >= '0' && text[i] <= '9' && id < n_vocab;
            if (good) id = id * 10 + (text[i] - '0');
        }
        if (!good || id >= n_vocab) {
            int shown = i - begin < 40 ? (int)(i - begin) : 40;
            phi_free(out);
            return cli_fail(CLI_USAGE, "%s: '%.*s' is not a token id (0 to %d)", name, shown, text + begin,
                            n_vocab - 1);
        }
        out[count++] = (int32_t)id;
    }
    *ids = out;
    *n = count;
    return CLI_OK;
}

int cli_distance(const char *a, const char *b) {
    enum { MOST = 32 };
    int row[MOST + 1];
    size_t na = strlen(a), nb = strlen(b);
    if (na > MOST || nb > MOST) return MOST;
    for (size_t j = 0; j <= nb; j++) row[j] = (int)j;
    for (size_t i = 1; i <= na; i++) {
        int diagonal = row[0];
        row[0] = (int)i;
        for (size_t j = 1; j <= nb; j++) {
            int change = diagonal + (a[i - 1] != b[j - 1]);
            int insert = row[j - 1] + 1, drop = row[j] + 1;
            diagonal = row[j];
            row[j] = change < insert ? (change < drop ? change : drop) : (insert < drop ? insert : drop);
        }
    }
    return row[nb];
}
