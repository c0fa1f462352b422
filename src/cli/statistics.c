/* The statistics block. Its words and widths are those of llama.cpp. */
#include "statistics.h"
#include "../io.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

struct cli_memory cli_memory_used(void) {
    struct cli_memory m = {0, -1};
    struct rusage usage;
    if (getrusage(RUSAGE_SELF, &usage) == 0) {
#if defined(__APPLE__)
        m.peak_mib = (double)usage.ru_maxrss / 1048576; /* bytes there, KiB elsewhere */
#else
        m.peak_mib = (double)usage.ru_maxrss / 1024;
#endif
    }
    char text[4096];
    if (!phi_io_read_text("/proc/self/status", text, sizeof text)) return m;
    const char *peak = strstr(text, "\nVmHWM:"), *anonymous = strstr(text, "\nRssAnon:");
    if (peak) m.peak_mib = strtod(peak + 7, NULL) / 1024;
    if (anonymous) m.anonymous_mib = strtod(anonymous + 9, NULL) / 1024;
    return m;
}

static double per(double a, double b) {
    return b > 0 ? a / b : 0;
}

void cli_statistics_add(struct cli_statistics *s, const struct phi_generate_result *r, size_t n_before,
                        size_t n_after) {
    size_t n_new = n_after - n_before, n_prompt = r->n_prompt < n_new ? r->n_prompt : n_new;
    struct phi_generate_result *sum = &s->result;
    bool first = s->n_prompt + s->n_run == 0;
    s->n_prompt += n_prompt;
    s->n_run += n_new - n_prompt; /* the last token is not computed: there may be one run less than tokens */
    sum->reason = r->reason;
    sum->stop_id = r->stop_id;
    sum->n_prompt += r->n_prompt;
    sum->n_generated += r->n_generated;
    sum->prompt_seconds += r->prompt_seconds;
    sum->generate_seconds += r->generate_seconds;
    if (first) sum->first_token_seconds = r->first_token_seconds;
}

const char *cli_stop_reason(const struct cli_statistics *s) {
    static const char *const reasons[] = {[PHI_STOP_EOS] = "eos",
                                          [PHI_STOP_LENGTH] = "length",
                                          [PHI_STOP_CONTEXT] = "context",
                                          [PHI_STOP_INTERRUPT] = "interrupt"};
    return s->failed ? "error" : s->stopped ? "stop" : reasons[s->result.reason];
}

int cli_stop_status(const struct cli_options *o, const struct cli_statistics *s) {
    bool limit = s->result.reason == PHI_STOP_LENGTH || s->result.reason == PHI_STOP_CONTEXT;
    if (!o->fail_on_length || s->stopped || s->failed || !limit) return CLI_OK;
    return cli_fail(CLI_FAILED, "--fail-on-length: %s ended the answer",
                    s->result.reason == PHI_STOP_LENGTH ? "-n" : "the end of the context");
}

void cli_statistics_print(const struct cli_statistics *s) {
    const struct phi_generate_result *r = &s->result;
    double prompt_ms = 1e3 * r->prompt_seconds, eval_ms = 1e3 * r->generate_seconds;
    struct cli_memory memory = cli_memory_used();
    char anonymous[64] = "";
    if (memory.anonymous_mib >= 0)
        snprintf(anonymous, sizeof anonymous, "anonymous = %.0f MiB, ", memory.anonymous_mib);

    cli_note("       load time = %10.2f ms", 1e3 * s->load_seconds);
    cli_note("prompt eval time = %10.2f ms / %5d tokens (%8.2f ms per token, %8.2f tokens per second)", prompt_ms,
             (int)s->n_prompt, per(prompt_ms, (double)s->n_prompt), per((double)s->n_prompt, r->prompt_seconds));
    cli_note("       eval time = %10.2f ms / %5d runs   (%8.2f ms per token, %8.2f tokens per second)", eval_ms,
             (int)s->n_run, per(eval_ms, (double)s->n_run), per((double)s->n_run, r->generate_seconds));
    cli_note("      total time = %10.2f ms / %5d tokens", 1e3 * s->total_seconds, (int)(s->n_prompt + s->n_run));
    cli_note("first token = %.0f ms, peak memory = %.0f MiB, %scontext = %zu/%d, seed = %u",
             1e3 * r->first_token_seconds, memory.peak_mib, anonymous, s->n_past, s->n_ctx, (unsigned)s->seed);
    cli_note("stop reason = %s", cli_stop_reason(s));
}
