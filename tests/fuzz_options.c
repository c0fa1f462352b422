/* Any bytes as a command line: it is understood or refused with one line, what is understood lies in its range, and
 * words mean what C's own functions make of them.
 *
 *   words, each up to a zero byte; behind an empty one: pairs of a name and a value that are set during a chat */
#include "../src/cli/prompt.h"
#include "../src/cli/sampling.h"
#include "../src/cli/stop_text.h"
#include "fuzz_replay.h"

#include <limits.h>
#include <math.h>

enum { MOST_WORDS = 80 };

static int capture = -1, screen = -1;

static void begin_capture(void) {
    char path[64];
    if (capture < 0) capture = fuzz_file("", 0, path);
    screen = dup(STDERR_FILENO);
    fuzz_must(ftruncate(capture, 0) == 0 && lseek(capture, 0, SEEK_SET) == 0 && dup2(capture, STDERR_FILENO) >= 0,
              "stderr", "");
}

/* Without the colours that --color on brings; returns the length. */
static size_t strip_colors(char *said, size_t n) {
    size_t n_out = 0;
    for (size_t i = 0; i < n; i++) {
        size_t k = strncmp(said + i, "\x1b[", 2) == 0 ? 2 + strspn(said + i + 2, "0123456789;") : 0;
        if (k && said[i + k] == 'm')
            i += k;
        else
            said[n_out++] = said[i];
    }
    said[n_out] = 0;
    return n_out;
}

/* What was said since then are whole lines in plain characters. Returns how many of them are errors, one at most. */
static int end_capture(void) {
    static char said[1 << 16];
    dup2(screen, STDERR_FILENO);
    close(screen);
    ssize_t n_said = pread(capture, said, sizeof said - 1, 0);
    fuzz_must(n_said >= 0, "stderr", "");
    said[n_said] = 0;
    size_t n = strip_colors(said, (size_t)n_said);
    int errors = 0;
    for (size_t i = 0; i < n; i++) {
        bool begins = i == 0 || said[i - 1] == '\n';
        fuzz_must(!begins || strncmp(said + i, "phi: ", 5) == 0, "beginning of a line", said + i);
        errors += begins && strncmp(said + i, "phi: error: ", 12) == 0;
        fuzz_must(said[i] == '\n' || ((unsigned char)said[i] >= 0x20 && said[i] != 0x7f), "a control character",
                  said);
    }
    fuzz_must(n == 0 || said[n - 1] == '\n', "half a line", said);
    fuzz_must(errors <= 1, "more errors than one", said);
    return errors;
}

static void check_list(const struct cli_list *l, int low) {
    fuzz_must(l->n >= 1 && l->n <= CLI_LIST_MAX, "length of a list", "");
    for (int i = 0; i < l->n; i++) fuzz_must(l->value[i] >= low, "value in a list", "");
}

static void check_values(const struct cli_options *o) {
    const struct phi_sampler_options *s = &o->sampler;
    fuzz_must(o->command >= 0 && o->command < CLI_N_COMMAND, "command", "");
    fuzz_must(o->n_predict >= -2 && o->session.n_ctx >= 0 && o->n_ubatch >= 1 && o->n_batch >= 1, "counts", "");
    fuzz_must(o->session.n_threads >= -1 && o->session.n_threads <= 1024 && o->session.n_threads != 0, "threads", "");
    fuzz_must(s->temperature >= 0 && isfinite(s->temperature) && s->top_k >= 0, "temperature", "");
    fuzz_must(s->top_p > 0 && s->top_p <= 1 && s->min_p >= 0 && s->min_p <= 1 && s->typical_p > 0, "p", "");
    fuzz_must(isfinite(s->repeat_penalty) && s->repeat_penalty > 0 && isfinite(s->presence_penalty) &&
                  isfinite(s->frequency_penalty) && s->repeat_last_n >= -1,
              "penalties", "");
    fuzz_must(o->seed >= -1 && o->seed <= UINT32_MAX, "seed", "");
    fuzz_must(isfinite(o->bench_delay) && o->bench_delay >= 0 && isfinite(o->bench_sustained), "seconds", "");
    fuzz_must(o->stop.n <= CLI_TEXTS_MAX && o->logit_bias.n <= CLI_TEXTS_MAX && o->ignored.n <= CLI_TEXTS_MAX,
              "texts", "");
    for (int i = 0; i < o->stop.n; i++) fuzz_must(o->stop.text[i][0], "an empty stop text", "");
    fuzz_must(o->session.type_k <= PHI_KV_Q8_0 && o->session.type_v <= PHI_KV_Q8_0, "type", "");
    fuzz_must(!o->session.isa || strstr(phi_isa_names(), o->session.isa), "isa", "");
    fuzz_must(!o->chat_template || strstr(phi_chat_formats(), o->chat_template), "format", "");
    fuzz_must(o->bench_pairs.n >= 0 && o->bench_pairs.n <= CLI_PAIRS_MAX && o->n_word >= 0 && o->n_word <= 4, "words",
              "");
    check_list(&o->bench_prompt, 0);
    check_list(&o->bench_gen, 0);
    check_list(&o->bench_depth, 0);
    if (o->bench_threads.n) check_list(&o->bench_threads, -1);
    check_list(&o->bench_ubatch, 1);
    check_list(&o->bench_type_k, 0);
}

/* Digits behind a sign are whole numbers, as strtoll() reads them; neither kind of number has letters but an e, or
 * spaces. */
static void check_number(const char *word) {
    int64_t whole = 0;
    double real = 0;
    const char *digits = word + (*word == '-');
    bool is_whole = *digits && !digits[strspn(digits, "0123456789")];
    fuzz_must(cli_parse_int(word, &whole) == is_whole, "a whole number or not", word);
    fuzz_must(!is_whole || whole == strtoll(word, NULL, 10) || whole == INT64_MAX || whole == -INT64_MAX,
              "whole number", word);
    bool is_real = cli_parse_real(word, &real);
    fuzz_must(is_real || !is_whole, "a whole number that is no real one", word);
    if (!is_real) return;
    fuzz_must(!word[strspn(word, "0123456789.eE+-")] && !isnan(real), "a number", word);
    fuzz_must(!is_whole || (fabs(real) >= 1e15 ? true : (int64_t)real == whole), "another number", word);
}

static void check_ids(const char *word, size_t n) {
    int32_t *ids = NULL;
    size_t n_id = 0;
    struct cli_list list;
    begin_capture();
    int status = cli_parse_ids("--ids", word, n, 1000, &ids, &n_id);
    fuzz_must(end_capture() == (status != CLI_OK), "sentence about ids", word);
    fuzz_must(status == CLI_OK || status == CLI_USAGE, "status of ids", word);
    for (size_t i = 0; status == CLI_OK && i < n_id; i++) fuzz_must(ids[i] >= 0 && ids[i] < 1000, "id", word);
    fuzz_must(n_id <= n, "number of ids", word);
    phi_free(ids);
    if (cli_parse_list(word, &list)) check_list(&list, INT_MIN);
    char *text = fuzz_copy(word, n);
    size_t n_text = cli_unescape(text, n);
    fuzz_must(n_text <= n && n_text >= n / 2, "length without escapes", word);
    fuzz_must(memchr(word, '\\', n) || (n_text == n && memcmp(text, word, n) == 0), "another text", word);
    free(text);
    if (n < 200) {
        fuzz_must(cli_distance(word, "--temp") == cli_distance("--temp", word), "distance", word);
        fuzz_must((cli_distance(word, "--temp") == 0) == (strcmp(word, "--temp") == 0), "distance of the same", word);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    static struct cli_options o;
    static char program[] = "phi";
    char *argv[MOST_WORDS + 2] = {program};
    int argc = 1, n_word = 1;
    for (size_t at = 0; at < n && n_word < MOST_WORDS;) {
        size_t k = strnlen((const char *)data + at, n - at);
        char *word = malloc(k + 1);
        memcpy(word, data + at, k);
        word[k] = 0;
        argv[n_word++] = word;
        at += k + 1;
        check_number(word);
        check_ids(word, k);
    }
    while (argc < n_word && argv[argc][0]) argc++;
    char *rest = argv[argc];
    argv[argc] = NULL;
    begin_capture();
    int status = cli_options_parse(&o, argc, argv);
    int errors = end_capture();
    cli_set_color(CLI_COLOR_OFF);
    fuzz_must(status == CLI_OK || status == CLI_USAGE, "status", "");
    fuzz_must(errors == (status != CLI_OK), "refused without a word", "");
    argv[argc] = rest;
    bool asked = o.help || o.help_all || o.version || o.man;
    if (status == CLI_OK) check_values(&o);
    for (int i = argc + 1; status == CLI_OK && !asked && i + 1 < n_word; i += 2) {
        static struct cli_options before;
        memcpy(&before, &o, sizeof o);
        begin_capture();
        int set = cli_options_set(&o, argv[i], argv[i + 1]);
        cli_set_verbosity(CLI_NOTES);
        fuzz_must(end_capture() == (set != CLI_OK), "sentence about a setting", argv[i]);
        fuzz_must(set == CLI_OK || set == CLI_USAGE, "status of a setting", argv[i]);
        fuzz_must(set == CLI_OK || memcmp(&before, &o, sizeof o) == 0, "changed by what was refused", argv[i]);
        check_values(&o);
    }
    struct cli_stop stop;
    fuzz_must(cli_stop_open(&stop, &o.stop, o.escape) == CLI_OK, "stop texts", "");
    cli_stop_close(&stop);
    cli_texts_cut(&o.stop, 0);
    cli_texts_cut(&o.logit_bias, 0);
    cli_set_verbosity(CLI_NOTES);
    for (int i = 1; i < n_word; i++) free(argv[i]);
    fuzz_must(phi_memory_live() == 0, "leak", "");
    return 0;
}
