/* The answer on its way to stdout, token by token, and what is said about it on stderr meanwhile. Used by run and
 * chat; knows neither prompts nor conversations. */
#include "stream.h"
#include "../io.h"

#include <fcntl.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

int cli_stream_put(struct cli_stream *s, const char *bytes, size_t n) {
    if (n > 0 && s->skip_space) {
        s->skip_space = false;
        if (bytes[0] == ' ') bytes++, n--;
    }
    if (n == 0) return CLI_OK;
    s->last = bytes[n - 1];
    if (s->wraps)
        cli_wrap_put(&s->wrap, bytes, n);
    else if (s->terminal)
        cli_put_escaped(bytes, n, CLI_KEEP_LINES | CLI_MARK_BROKEN);
    else
        cli_put(bytes, n);
    return cli_flush();
}

int cli_stream_token(void *user, int32_t id, const char *bytes, size_t n_bytes) {
    (void)id;
    return cli_stream_put(user, bytes, n_bytes) || cli_interrupted();
}

int cli_stream_progress(void *user, size_t done, size_t total) {
    struct cli_stream *s = user;
    double now = cli_seconds(), spent = now - s->began;
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
    if (s->last != '\n') cli_put("\n", 1);
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
    cli_note("formats without a kernel of their own at this level: %s", i.fallback[0] ? i.fallback : "none");
}

void cli_show_tokens(const phi_model *model, const int32_t *ids, size_t n) {
    for (size_t i = 0; i < n; i++) {
        size_t n_bytes;
        const char *bytes = phi_token_bytes(model, ids[i], true, &n_bytes);
        cli_note("%6d -> '%.*s'", ids[i], (int)n_bytes, bytes);
    }
}
