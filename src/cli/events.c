/* Events of --json. Owns the state of the answer that is being told: which turn, which token, whether a line is still open. */
#include "events.h"
#include "../json.h"
#include "../memory.h"

#include <math.h>
#include <string.h>

static struct {
    bool on;
    bool open;   /* a token's line lacks its end */
    size_t turn; /* 0: no chat */
    size_t i;    /* the next token's number in its answer */
    double last; /* when the token before came, or the prompt was done */
    char *early; /* [n_early] text that came while no token's line was open */
    size_t n_early;
    bool lost; /* some of it: there was no memory */
} e;

void cli_events_set(bool on) {
    e.on = on;
}

bool cli_events_on(void) {
    return e.on;
}

void cli_events_string(const char *text, size_t n) {
    size_t used;
    for (size_t i = 0; i < n; i += used) {
        char out[PHI_JSON_ESCAPE_SIZE];
        size_t length = phi_json_escape(text + i, n - i, out, &used);
        unsigned char c = (unsigned char)text[i], c1 = used == 2 && c == 0xc2 ? (unsigned char)text[i + 1] : 0;
        if (c == 0x7f || (c1 && c1 < 0xa0)) { /* legal in JSON, and control characters of a terminal all the same */
            cli_putf("\\u00%02x", c1 ? c1 : c);
            continue;
        }
        cli_put(out, length);
    }
}

static void put_early(void) {
    cli_events_string(e.early, e.n_early);
    phi_free(e.early);
    e.early = NULL;
    e.n_early = 0;
}

static void put_turn(void) {
    if (e.turn) cli_putf(",\"turn\":%zu", e.turn);
}

static void end_line(void) {
    cli_put("}\n", 2);
    cli_flush();
}

void cli_events_load(const char *path, const phi_session *session, uint32_t seed) {
    struct phi_model_info model;
    struct phi_session_info info;
    if (!e.on) return;
    phi_model_get_info(phi_session_model(session), &model);
    phi_session_get_info(session, &info);
    cli_putf("{\"event\":\"load\",\"v\":1,\"model\":\"");
    cli_events_string(path, strlen(path));
    cli_putf("\",\"arch\":\"");
    cli_events_string(model.architecture, strlen(model.architecture));
    cli_putf("\",\"n_ctx\":%d,\"threads\":%d,\"seed\":%u,\"load_ms\":%.1f", info.n_ctx, info.n_threads, (unsigned)seed,
             1e3 * cli_seconds());
    end_line();
}

void cli_events_begin(size_t turn) {
    e.turn = turn;
    e.i = 0;
    e.last = cli_seconds();
}

void cli_events_prefill(size_t done, size_t total) {
    if (!e.on) return;
    cli_putf("{\"event\":\"prefill\"");
    put_turn();
    cli_putf(",\"done\":%zu,\"total\":%zu", done, total);
    end_line();
    e.last = cli_seconds();
}

/* log-softmax of the logit at id */
static double log_probability(const float *logits, int n_vocab, int32_t id) {
    double most = -INFINITY, sum = 0;
    for (int i = 0; i < n_vocab; i++)
        if ((double)logits[i] > most) most = (double)logits[i];
    for (int i = 0; i < n_vocab; i++) sum += exp((double)logits[i] - most);
    /* cppcheck-suppress invalidFunctionArg ; the largest adds 1 to the sum */
    return (double)logits[id] - most - log(sum);
}

void cli_events_token(const phi_model *model, int32_t id, const float *logits) {
    struct phi_model_info info;
    size_t n;
    if (!e.on) return;
    cli_events_end_token();
    const char *bytes = phi_token_bytes(model, id, false, &n);
    double now = cli_seconds();
    cli_putf("{\"event\":\"token\"");
    put_turn();
    cli_putf(",\"i\":%zu,\"id\":%d,\"bytes\":[", e.i++, (int)id);
    for (size_t i = 0; i < n; i++) cli_putf("%s%d", i ? "," : "", (unsigned char)bytes[i]);
    cli_putf("]");
    phi_model_get_info(model, &info);
    if (logits) {
        double p = log_probability(logits, info.n_vocab, id);
        if (isfinite(p)) cli_putf(",\"logprob\":%.6f", p); /* JSON has no infinity */
    }
    cli_putf(",\"ms\":%.1f,\"text\":\"", 1e3 * (now - e.last));
    put_early();
    e.last = now;
    e.open = true;
}

void cli_events_text(const char *bytes, size_t n) {
    if (e.on && e.open) cli_events_string(bytes, n);
    if (!e.on || e.open || e.lost) return;
    char *more = phi_realloc(e.early, e.n_early + n, 1);
    e.lost = !more;
    if (!more) return;
    memcpy(more + e.n_early, bytes, n);
    e.early = more;
    e.n_early += n;
}

void cli_events_end_token(void) {
    if (!e.on || !e.open) return;
    e.open = false;
    cli_put("\"", 1);
    end_line();
}

int cli_events_done(const struct cli_statistics *s) {
    const struct phi_generate_result *r = &s->result;
    if (!e.on) return CLI_OK;
    cli_events_end_token();
    cli_putf("{\"event\":\"done\"");
    put_turn();
    cli_putf(",\"reason\":\"%s\",\"n_prompt\":%zu,\"n_gen\":%zu,\"ttft_ms\":%.1f,\"gen_ms\":%.1f,\"peak_rss\":%.0f",
             cli_stop_reason(s), r->n_prompt, r->n_generated, 1e3 * r->first_token_seconds, 1e3 * r->generate_seconds,
             cli_memory_used().peak_mib * 1048576);
    if (e.n_early) {
        cli_putf(",\"text\":\"");
        put_early();
        cli_put("\"", 1);
    }
    end_line();
    return e.lost ? cli_fail(CLI_MEMORY, "not enough memory for text that was held back") : CLI_OK;
}

void cli_events_error(int code) {
    const char *message = cli_last_error();
    if (!e.on || code == CLI_OK || code == CLI_USAGE || code == CLI_OUTPUT) return;
    cli_events_end_token();
    cli_putf("{\"event\":\"error\",\"code\":%d,\"message\":\"", code);
    cli_events_string(message, strlen(message));
    cli_put("\"", 1);
    end_line();
}
