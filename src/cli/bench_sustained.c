/* phi bench --sustained: one token after the other for a while, and how rate, clock and temperature go. A short test
 * says nothing of a device that slows down when it is warm. */
#include "bench.h"
#include "model_file.h"
#include "../limits.h"

#include <stdio.h>

struct stretch { /* between two lines of output */
    double began, ended, lost, clock, temperature;
    int n_token;
};

static double rate(const struct stretch *s) {
    double seconds = s->ended - s->began - s->lost;
    return seconds > 0 ? s->n_token / seconds : 0;
}

static void cell(double v, const char *fmt, char out[32]) PHI_PRINTF(2, 0);
static void cell(double v, const char *fmt, char out[32]) {
    if (v > 0)
        snprintf(out, 32, fmt, v);
    else
        snprintf(out, 32, "%s", "");
}

/* format: JSON and JSONL are both lines here: they come while the test runs. */
static void put(const struct stretch *s, enum bench_format format, bool first) {
    char clock[32], temperature[32];
    cell(s->clock, "%.0f", clock);
    cell(s->temperature, "%.1f", temperature);
    if (format == BENCH_MD && first)
        cli_putf("| seconds |        t/s |    MHz |     \xc2\xb0"
                 "C |\n| ------: | ---------: | -----: | -----: |\n");
    if (format == BENCH_CSV && first) cli_putf("seconds,avg_ts,clock_mhz,temperature_c\n");
    if (format == BENCH_MD)
        cli_putf("| %7.1f | %10.2f | %6s | %6s |\n", s->ended, rate(s), clock, temperature);
    else if (format == BENCH_CSV)
        cli_putf("\"%.3f\",\"%f\",\"%s\",\"%s\"\n", s->ended, rate(s), clock, temperature);
    else
        cli_putf("{\"seconds\": %.3f, \"avg_ts\": %f, \"clock_mhz\": %s, \"temperature_c\": %s}\n", s->ended, rate(s),
                 *clock ? clock : "null", *temperature ? temperature : "null");
    cli_flush();
}

struct work {
    phi_session *session;
    const int32_t *ids;
    size_t depth, n_gen;
};

/* The context holds the first `depth` ids. */
static int go_back(const struct work *w, phi_error *err) {
    bool rewinds =
        phi_session_n_past(w->session) >= w->depth && phi_limits_rewinds(w->session, w->depth, w->depth + w->n_gen);
    int status = phi_session_rewind(w->session, rewinds ? w->depth : 0, err);
    if (status || rewinds) return status;
    return phi_session_eval(w->session, w->ids, w->depth, NULL, NULL, err);
}

/* Tokens until the time is over. After n_gen of them back to the depth, so that every stretch does the same work;
 * what that takes is not counted. */
static int decode(const struct work *w, double until, struct stretch *s) {
    phi_error err = {""};
    int status = PHI_OK;
    while (!status && cli_seconds() < until && !cli_interrupted()) {
        double began = cli_seconds();
        if (phi_session_n_past(w->session) >= w->depth + w->n_gen) status = go_back(w, &err);
        s->lost += cli_seconds() - began;
        if (!status)
            status = phi_session_eval(w->session, w->ids + phi_session_n_past(w->session), 1, NULL, NULL, &err);
        s->n_token++;
    }
    return status ? cli_fail_with(status, &err) : CLI_OK;
}

int bench_sustained(const struct cli_options *o, const phi_model *model, const int32_t *ids) {
    struct cli_options own = *o;
    struct phi_model_info info;
    enum bench_format format = BENCH_MD;
    phi_session *session = NULL;
    phi_error err = {""};
    int depth = o->bench_depth.value[0], n_gen = o->bench_gen.value[0] ? o->bench_gen.value[0] : 128;
    phi_model_get_info(model, &info);
    if ((int64_t)depth + n_gen > info.n_ctx_train)
        return cli_fail(CLI_CONTEXT, "%d generated tokens at a depth of %d do not fit, the model's context holds %d",
                        n_gen, depth, info.n_ctx_train);
    if (o->bench_format) bench_format_find(o->bench_format, &format);
    own.session.type_k = (enum phi_kv_type)o->bench_type_k.value[0];
    own.session.type_v = (enum phi_kv_type)o->bench_type_v.value[0];
    if (o->bench_threads.n) own.session.n_threads = o->bench_threads.value[0];
    int status = cli_session_open(&own, model, depth + n_gen, &session);
    struct work work = {session, ids, (size_t)depth, (size_t)n_gen};
    if (!status && depth) {
        status = go_back(&work, &err);
        if (status) status = cli_fail_with(status, &err);
    }
    /* A line each second; of a long run some sixty. The first second is not left out: it is the cool device. */
    double begin = cli_seconds(), wanted = (double)o->bench_sustained, step = wanted > 60 ? wanted / 60 : 1;
    struct stretch s = {0}, first = {0}, last = {0};
    while (!status && s.ended < wanted && !cli_interrupted()) {
        s = (struct stretch){.began = cli_seconds() - begin};
        double until = begin + (s.began + step < wanted ? s.began + step : wanted);
        status = decode(&work, until, &s);
        s.ended = cli_seconds() - begin;
        s.clock = bench_clock_mhz();
        s.temperature = bench_temperature();
        if (status || !s.n_token) break;
        put(&s, format, !first.n_token);
        last = s;
        if (!first.n_token) first = s;
    }
    if (!status && format == BENCH_MD && rate(&first) > 0)
        cli_putf("\nfrom %.2f to %.2f t/s (%+.1f %%)\n", rate(&first), rate(&last),
                 100 * (rate(&last) / rate(&first) - 1));
    phi_session_close(session);
    return status ? status : cli_output_status();
}
