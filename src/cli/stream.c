/* The answer on its way to stdout, token by token, and what is said about it on stderr meanwhile. Used by run and
 * chat; knows neither prompts nor conversations. */
#include "stream.h"
#include "events.h"
#include "sandbox.h"
#include "../io.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

int cli_stream_open(struct cli_stream *s, const struct cli_options *o, const phi_model *model, bool wraps) {
    bool terminal = cli_output_is_terminal() && !o->raw;
    *s = (struct cli_stream){.model = model,
                             .terminal = terminal,
                             .wraps = wraps && terminal,
                             .special = o->special,
                             .began = cli_seconds()};
    return cli_stop_open(&s->stop, &o->stop, o->escape);
}

void cli_stream_close(struct cli_stream *s) {
    cli_stop_close(&s->stop);
}

int cli_stream_put(struct cli_stream *s, const char *bytes, size_t n) {
    if (n > 0 && s->skip_space) {
        s->skip_space = false;
        if (bytes[0] == ' ') bytes++, n--;
    }
    if (n == 0) return CLI_OK;
    if (cli_events_on()) {
        cli_events_text(bytes, n);
        return cli_output_status();
    }
    s->last = bytes[n - 1];
    if (s->wraps)
        cli_wrap_put(&s->wrap, bytes, n);
    else if (s->terminal)
        cli_put_escaped(bytes, n, CLI_KEEP_LINES | CLI_MARK_BROKEN);
    else
        cli_put(bytes, n);
    return cli_flush();
}

void cli_stream_show_prompt(struct cli_stream *s, const char *bytes, size_t n) {
    if (cli_events_on()) return;
    const char *on = cli_color(STDOUT_FILENO, "33"), *off = cli_color(STDOUT_FILENO, "0");
    cli_put(on, strlen(on));
    cli_stream_put(s, bytes, n);
    cli_put(off, strlen(off));
    cli_flush();
}

/* One write for a token, what was held back before it included. */
static int put_ready(struct cli_stream *s, const struct cli_stop_ready *ready, const char *bytes) {
    enum { FEW = 256 };
    char both[2 * FEW];
    if (ready->n_held == 0) return cli_stream_put(s, bytes, ready->n_new);
    if (ready->n_held > FEW || ready->n_new > FEW)
        return cli_stream_put(s, ready->held, ready->n_held) || cli_stream_put(s, bytes, ready->n_new);
    memcpy(both, ready->held, ready->n_held);
    memcpy(both + ready->n_held, bytes, ready->n_new);
    return cli_stream_put(s, both, ready->n_held + ready->n_new);
}

/* Whole characters on their way out: through the search for stop texts. */
static int put_answer(struct cli_stream *s, const char *bytes, size_t n) {
    if (n == 0) return CLI_OK;
    struct cli_stop_ready ready = cli_stop_feed(&s->stop, bytes, n);
    return put_ready(s, &ready, bytes);
}

int cli_stream_token(void *user, int32_t id, const char *bytes, size_t n_bytes) {
    enum { ROOM = 256 };
    struct cli_stream *s = user;
    char joined[ROOM + 4];
    if (s->stop.found) return 1;
    size_t n_raw = 0;
    if (id >= 0) {
        (void)phi_token_bytes(s->model, id, false, &n_raw);
        s->n_raw += n_raw;
        s->n_whole += n_bytes;
        cli_events_token(s->model, id, phi_session_logits(s->session));
    }
    if (s->special && id >= 0 && n_raw == 0) bytes = phi_token_bytes(s->model, id, true, &n_bytes);
    /* The generation may go on behind an incomplete character (--context-shift): its rest completes it. */
    if ((id < 0 || s->whole.n > 0) && n_bytes <= ROOM) {
        n_bytes = phi_utf8_feed(&s->whole, bytes, n_bytes, joined);
        bytes = joined;
    }
    int stop = put_answer(s, bytes, n_bytes) || s->stop.found || cli_interrupted();
    if (s->n_raw == s->n_whole && s->stop.n_held == 0) cli_events_end_token();
    return stop;
}

void cli_stream_finish(struct cli_stream *s, int32_t stop_id) {
    char rest[4];
    size_t n = phi_utf8_flush(&s->whole, rest);
    if (!s->stop.found) put_answer(s, rest, n);
    if (s->stop.found) return;
    struct cli_stop_ready ready = cli_stop_flush(&s->stop);
    cli_stream_put(s, ready.held, ready.n_held);
    if (s->special && stop_id >= 0) {
        const char *text = phi_token_bytes(s->model, stop_id, true, &n);
        cli_stream_put(s, text, n);
    }
}

int cli_stream_progress(void *user, size_t done, size_t total) {
    struct cli_stream *s = user;
    double now = cli_seconds(), spent = now - s->began;
    cli_events_prefill(done, total);
    if (done >= total) {
        cli_progress("");
    } else if (spent > 1 && now - s->last_shown > 0.1) {
        char line[128];
        double rate = (double)done / spent;
        snprintf(line, sizeof line, "prompt %zu/%zu tokens, %.1f tok/s, %.0f s left", done, total, rate,
                 (double)(total - done) / rate);
        cli_progress(line);
        s->last_shown = now;
    }
    return cli_interrupted();
}

uint32_t cli_choose_seed(int64_t wanted) {
    if (wanted >= 0) return (uint32_t)wanted;
    uint32_t seed = 0;
    int fd = phi_io_open("/dev/urandom", O_RDONLY, 0);
    ssize_t n = fd < 0 ? -1 : phi_io_read(fd, &seed, sizeof seed);
    if (fd >= 0) phi_io_close(fd);
    if (n != (ssize_t)sizeof seed) { /* no such device: the clock and the process differ between runs, too */
        struct timespec t;
        clock_gettime(CLOCK_REALTIME, &t);
        seed = (uint32_t)t.tv_nsec * 2654435761u ^ (uint32_t)t.tv_sec ^ (uint32_t)getpid() << 16;
    }
    return seed;
}

void cli_stream_end_line(struct cli_stream *s) {
    if (!cli_events_on() && s->last != '\n') cli_put("\n", 1);
    s->last = '\n';
}

void cli_describe(const struct cli_options *o, const phi_session *session) {
    struct phi_session_info i;
    phi_session_get_info(session, &i);
    cli_note("isa = %s, threads = %d, threads for the prompt = %d, tokens in one pass = %d", i.isa, i.n_threads,
             i.n_threads_batch, i.n_ubatch);
    cli_note("KV cache = %.2f MiB (keys %s, values %s, %d tokens), scratch = %.2f MiB", (double)i.kv_bytes / 1048576,
             cli_kv_name(o->session.type_k), cli_kv_name(o->session.type_v), i.n_ctx,
             (double)i.scratch_bytes / 1048576);
    cli_note("sandbox = %s", cli_sandbox_describe());
    cli_note("formats without a kernel of their own at this level: %s", i.fallback[0] ? i.fallback : "none");
}

void cli_show_tokens(const phi_model *model, const int32_t *ids, size_t n) {
    for (size_t i = 0; i < n; i++) {
        size_t n_bytes;
        const char *bytes = phi_token_bytes(model, ids[i], true, &n_bytes);
        cli_note("%6d -> '%.*s'", ids[i], (int)n_bytes, bytes);
    }
}
