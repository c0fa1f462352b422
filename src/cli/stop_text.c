/* Searching for stop texts in a stream, byte by byte, in linear time. Puts nothing out itself. */
#include "stop_text.h"
#include "prompt.h"
#include "../memory.h"

#include <string.h>

static bool prepare(struct cli_stop_pattern *p, const char *text, bool escape) {
    p->n = strlen(text);
    p->bytes = phi_alloc(p->n + 1, 1);
    p->border = phi_alloc(p->n + 1, sizeof *p->border);
    if (!p->bytes || !p->border) return false;
    memcpy(p->bytes, text, p->n);
    if (escape) p->n = cli_unescape(p->bytes, p->n);
    for (size_t i = 1, k = 0; i < p->n; i++) {
        while (k > 0 && p->bytes[i] != p->bytes[k]) k = p->border[k - 1];
        k += p->bytes[i] == p->bytes[k];
        p->border[i] = k;
    }
    return true;
}

int cli_stop_open(struct cli_stop *s, const struct cli_texts *texts, bool escape) {
    *s = (struct cli_stop){.n = texts->n};
    for (int i = 0; i < s->n; i++)
        if (!prepare(&s->pattern[i], texts->text[i], escape))
            return cli_fail(CLI_MEMORY, "not enough memory for a stop text");
    return CLI_OK;
}

void cli_stop_close(struct cli_stop *s) {
    for (int i = 0; i < s->n; i++) {
        phi_free(s->pattern[i].bytes);
        phi_free(s->pattern[i].border);
    }
    s->n = 0;
}

/* True: the pattern is complete with this byte. */
static bool step(struct cli_stop_pattern *p, char byte) {
    size_t k = p->matched;
    while (k > 0 && p->bytes[k] != byte) k = p->border[k - 1];
    p->matched = k + (p->bytes[k] == byte);
    return p->matched == p->n;
}

/* The longest end of the answer that may be the beginning of a stop text. */
static const struct cli_stop_pattern *longest(const struct cli_stop *s) {
    const struct cli_stop_pattern *best = &s->pattern[0];
    for (int i = 1; i < s->n; i++)
        if (s->pattern[i].matched > best->matched) best = &s->pattern[i];
    return best;
}

struct cli_stop_ready cli_stop_feed(struct cli_stop *s, const char *bytes, size_t n) {
    size_t before = s->n_held, at = 0, after = 0;
    struct cli_stop_ready ready = {s->held, before, n};
    if (s->n == 0) return ready;
    while (at < n && !s->found) {
        size_t complete = 0; /* bytes of the longest text that ends here */
        for (int i = 0; i < s->n; i++)
            if (step(&s->pattern[i], bytes[at]) && s->pattern[i].n > complete) complete = s->pattern[i].n;
        at++;
        if (complete) {
            s->found = true;
            s->n_dropped = complete + (n - at);
            after = complete;
        }
    }
    if (!s->found) {
        const struct cli_stop_pattern *p = longest(s);
        s->held = p->bytes;
        after = p->matched;
    }
    s->n_held = s->found ? 0 : after;
    size_t out = before + at - after; /* of what was held and what is new together */
    ready.n_held = out < before ? out : before;
    ready.n_new = out - ready.n_held;
    return ready;
}

struct cli_stop_ready cli_stop_flush(struct cli_stop *s) {
    struct cli_stop_ready ready = {s->held, s->n_held, 0};
    for (int i = 0; i < s->n; i++) s->pattern[i].matched = 0;
    s->n_held = 0;
    return ready;
}
