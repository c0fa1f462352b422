/* argv to struct cli_options. The rows of options.def say what there is; this file knows how a row is matched, read
 * and refused, and which options of llama.cpp are accepted without effect. Opens no file. */
#include "options.h"
#include "sampling.h"
#include "../memory.h"

#include <float.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum kind {
    SET,        /* int field = 1 */
    CLEAR,      /* int field = 0 */
    TEXT,       /* const char * */
    TEXTS,      /* struct cli_texts, each one is added */
    BIAS,       /* the same; each must pass cli_bias_check() */
    INT,        /* int in lowest..highest */
    COUNT,      /* the same without 0 */
    SEED,       /* int64_t */
    REAL,       /* float in lowest..highest */
    REAL_ABOVE, /* float, lowest < value <= highest */
    LIST,       /* struct cli_list, each value in lowest..highest */
    PAIRS,      /* struct cli_pairs, "P,G"; each one is added */
    KV,         /* enum phi_kv_type */
    KV_LIST,    /* struct cli_list of them */
    WINDOW,     /* int in lowest..highest, or "off" for 0 */
    ISA,        /* const char *: a name of phi_isa_names() */
    FORMAT,     /* const char *: a name of phi_chat_formats() */
    WORD        /* int: which of the words in range, from 0 */
};

enum { COMMON = 1 << 30 };
enum {
#define COMMAND(NAME, name, arguments, text) IN_##NAME = 1 << CLI_##NAME,
#include "commands.def"
};

static const struct row {
    const char *names, *value;
    unsigned commands;
    enum kind kind;
    size_t at;
    double low, high;
    const char *range, *help;
} rows[] = {
#define OPTION(names, value, commands, kind, field, low, high, range, help)                                          \
    {names, value, commands, kind, offsetof(struct cli_options, field), low, high, range, help},
#include "options.def"
};
enum { N_ROW = sizeof rows / sizeof rows[0] };

static const struct command {
    const char *name, *arguments, *text;
} commands[] = {
#define COMMAND(NAME, name, arguments, text) {#name, arguments, text},
#include "commands.def"
};

/* Options that people paste from llama.cpp command lines: understood, without effect here. values: how many follow;
 * -1: one of "on", "off", "auto", "0", "1" may follow. */
static const struct pasted {
    const char *name;
    int values;
} pasted[] = {{"-ngl", 1},          {"--gpu-layers", 1}, {"--n-gpu-layers", 1}, {"-fa", -1},
              {"--flash-attn", -1}, {"-np", 1},          {"--parallel", 1},     {"--poll", 1},
              {"--prio", 1},        {"--warmup", 0},     {"--no-warmup", 0},    {"--repack", 0},
              {"-nr", 0},           {"--no-repack", 0},  {"--jinja", 0},        {"--offline", 0},
              {"--mmap", 0}};

static bool has_name(const char *names, const char *word, size_t n) {
    for (const char *at = names; *at;) {
        size_t length = strcspn(at, ",");
        if (length == n && memcmp(at, word, n) == 0) return true;
        at += length;
        at += strspn(at, ", ");
    }
    return false;
}

static const struct row *find(enum cli_command command, const char *word, size_t n) {
    for (int i = 0; i < N_ROW; i++)
        if ((rows[i].commands & 1u << command) && has_name(rows[i].names, word, n)) return &rows[i];
    return NULL;
}

static int unknown(enum cli_command command, const char *word) {
    char best[40] = "";
    int least = 3; /* more than two changes are another word */
    for (int i = 0; i < N_ROW; i++) {
        if (!(rows[i].commands & 1u << command)) continue;
        for (const char *at = rows[i].names; *at;) {
            size_t length = strcspn(at, ",");
            char name[40];
            snprintf(name, sizeof name, "%.*s", (int)length, at);
            int distance = cli_distance(word, name);
            if (distance < least && distance * 2 < (int)strlen(word)) {
                least = distance;
                memcpy(best, name, sizeof best);
            }
            at += length;
            at += strspn(at, ", ");
        }
    }
    if (best[0]) return cli_fail(CLI_USAGE, "unknown option '%s'; did you mean '%s'?", word, best);
    for (int i = 0; i < N_ROW; i++)
        for (int c = 0; c < CLI_N_COMMAND; c++)
            if ((rows[i].commands & 1u << c) && has_name(rows[i].names, word, strlen(word)))
                return cli_fail(CLI_USAGE, "option '%s' belongs to 'phi %s', not to 'phi %s'", word, commands[c].name,
                                commands[command].name);
    return cli_fail(CLI_USAGE, "unknown option '%s'; 'phi %s%s' lists the options", word,
                    command == CLI_RUN ? "" : commands[command].name, command == CLI_RUN ? "-h" : " -h");
}

static int out_of_range(const struct row *row, const char *name, const char *value) {
    return cli_fail(CLI_USAGE, "%s: '%s' is out of range (%s)", name, value, row->range);
}

static int read_integer(const struct row *row, const char *name, const char *value, int64_t *v) {
    if (!cli_parse_int(value, v)) return cli_fail(CLI_USAGE, "%s: '%s' is not a whole number", name, value);
    bool fits = (double)*v >= row->low && (double)*v <= row->high && !(row->kind == COUNT && *v == 0);
    return fits ? CLI_OK : out_of_range(row, name, value);
}

static int read_real(const struct row *row, const char *name, const char *value, float *v) {
    double real;
    if (!cli_parse_real(value, &real)) return cli_fail(CLI_USAGE, "%s: '%s' is not a number", name, value);
    bool above = row->kind == REAL ? real >= row->low : real > row->low && (float)real > row->low;
    if (!above || !(real <= row->high)) return out_of_range(row, name, value);
    *v = (float)real;
    return CLI_OK;
}

static int read_list(const struct row *row, const char *name, const char *value, struct cli_list *v) {
    if (!cli_parse_list(value, v))
        return cli_fail(CLI_USAGE,
                        "%s: '%s' is not a list of at most %d whole numbers (1,2,4 or 1-4 or 1-9+2 or 1-8*2)", name,
                        value, CLI_LIST_MAX);
    for (int i = 0; i < v->n; i++)
        if (v->value[i] < row->low || v->value[i] > row->high) return out_of_range(row, name, value);
    return CLI_OK;
}

/* Which of the words is it, from 0? -1: none. */
static int find_word(const char *words, const char *value) {
    size_t n = strlen(value);
    int i = 0;
    for (const char *at = words; *at; i++) {
        size_t length = strcspn(at, ", ");
        if (length == n && memcmp(at, value, n) == 0) return i;
        at += length;
        at += strspn(at, ", ");
    }
    return -1;
}

static int read_isa(const char *name, const char *value, const char **v) {
    const char *names = phi_isa_names();
    *v = value;
    if (find_word(names, value) >= 0) return CLI_OK;
    return cli_fail(CLI_USAGE, "%s: '%s' is not an instruction set of this CPU and this build (%s)", name, value,
                    names);
}

/* llama.cpp's names are understood, too. */
static int read_format(const char *name, const char *value, const char **v) {
    const char *names = phi_chat_formats();
    *v = strcmp(value, "phi3") == 0 ? "phi-3.5" : strcmp(value, "phi4") == 0 ? "phi-4" : value;
    if (find_word(names, *v) >= 0) return CLI_OK;
    return cli_fail(CLI_USAGE, "%s: '%s' is not a chat format (%s)", name, value, names);
}

static int read_word(const struct row *row, const char *name, const char *value, int *v) {
    int found = find_word(row->range, value);
    if (found < 0) return cli_fail(CLI_USAGE, "%s: '%s' is none of %s", name, value, row->range);
    *v = found;
    return CLI_OK;
}

static const char *const kv_names[] = {[PHI_KV_F32] = "f32", [PHI_KV_F16] = "f16", [PHI_KV_Q8_0] = "q8_0"};

const char *cli_kv_name(enum phi_kv_type type) {
    return kv_names[type];
}

static int read_kv(const char *name, const char *value, enum phi_kv_type *v) {
    for (size_t i = 0; i < sizeof kv_names / sizeof kv_names[0]; i++) {
        if (strcmp(value, kv_names[i]) != 0) continue;
        *v = (enum phi_kv_type)i;
        return CLI_OK;
    }
    return cli_fail(CLI_USAGE, "%s: '%s' is not a cache type (f32, f16, q8_0)", name, value);
}

static int read_kv_list(const char *name, const char *value, struct cli_list *v) {
    v->n = 0;
    for (const char *at = value;; at++) {
        size_t n = strcspn(at, ",");
        char word[16];
        enum phi_kv_type type = PHI_KV_F16;
        snprintf(word, sizeof word, "%.*s", n < sizeof word ? (int)n : (int)sizeof word - 1, at);
        int status = read_kv(name, word, &type);
        if (status) return status;
        if (v->n == CLI_LIST_MAX) return cli_fail(CLI_USAGE, "%s: more than %d types", name, CLI_LIST_MAX);
        v->value[v->n++] = (int)type;
        at += n;
        if (!*at) return CLI_OK;
    }
}

static int read_pair(const char *name, const char *value, struct cli_pairs *v) {
    struct cli_list list;
    if (!cli_parse_list(value, &list) || list.n != 2 || strchr(value, '-'))
        return cli_fail(CLI_USAGE, "%s: '%s' is not two whole numbers like 512,128", name, value);
    if (v->n == CLI_PAIRS_MAX) return cli_fail(CLI_USAGE, "%s: given more than %d times", name, CLI_PAIRS_MAX);
    v->first[v->n] = list.value[0];
    v->second[v->n++] = list.value[1];
    return CLI_OK;
}

static int read_texts(const struct row *row, const char *name, const char *value, struct cli_texts *v) {
    int status = row->kind == BIAS ? cli_bias_check(name, value) : CLI_OK;
    if (status) return status;
    if (!*value) return cli_fail(CLI_USAGE, "%s: the text is empty", name);
    if (v->n == CLI_TEXTS_MAX) return cli_fail(CLI_USAGE, "%s: given more than %d times", name, CLI_TEXTS_MAX);
    v->text[v->n++] = value;
    return CLI_OK;
}

static int read_value(struct cli_options *o, const struct row *row, const char *name, const char *value) {
    void *field = (char *)o + row->at;
    int64_t v = 0;
    int status = CLI_OK;
    switch (row->kind) {
    case SET:
        *(int *)field = 1;
        break;
    case CLEAR:
        *(int *)field = 0;
        break;
    case TEXT:
        *(const char **)field = value;
        break;
    case TEXTS:
    case BIAS:
        status = read_texts(row, name, value, field);
        break;
    case INT:
    case COUNT:
        status = read_integer(row, name, value, &v);
        if (!status) *(int *)field = (int)v; /* in a chat what is refused changes nothing */
        break;
    case SEED:
        status = read_integer(row, name, value, &v);
        if (!status) *(int64_t *)field = v;
        break;
    case REAL:
    case REAL_ABOVE:
        status = read_real(row, name, value, field);
        break;
    case LIST:
        status = read_list(row, name, value, field);
        break;
    case WINDOW:
        if (strcmp(value, "off") != 0) status = read_integer(row, name, value, &v);
        *(int *)field = (int)v;
        break;
    case PAIRS:
        status = read_pair(name, value, field);
        break;
    case KV_LIST:
        status = read_kv_list(name, value, field);
        break;
    case KV:
        status = read_kv(name, value, field);
        break;
    case ISA:
        status = read_isa(name, value, field);
        break;
    case FORMAT:
        status = read_format(name, value, field);
        break;
    case WORD:
        status = read_word(row, name, value, field);
        break;
    }
    return status;
}

void cli_texts_cut(struct cli_texts *t, int n) {
    while (t->n > n) {
        t->n--;
        if (t->owned[t->n]) phi_free((void *)(uintptr_t)t->text[t->n]);
        t->owned[t->n] = false;
    }
}

/* One more text, which outlives the line that it stands in. Quotes around it are dropped, as ollama does. */
static int set_texts(const struct row *row, const char *name, const char *value, struct cli_texts *v) {
    size_t n = strlen(value);
    bool quoted = row->kind == TEXTS && n >= 2 && value[0] == '"' && value[n - 1] == '"';
    char *copy = phi_alloc(n + 1, 1);
    if (!copy) return cli_fail(CLI_MEMORY, "not enough memory for %s", name);
    memcpy(copy, value + quoted, n - 2 * quoted);
    if (!*copy) cli_texts_cut(v, 0);
    int status = *copy ? read_texts(row, name, copy, v) : CLI_OK;
    if (*copy && !status)
        v->owned[v->n - 1] = true;
    else
        phi_free(copy);
    return status;
}

static int set_flag(const struct row *row, const char *name, const char *value, int *v) {
    static const char yes[] = "on, true, 1", no[] = "off, false, 0";
    if (find_word(yes, value) < 0 && find_word(no, value) < 0)
        return cli_fail(CLI_USAGE, "%s: '%s' is none of on, off", name, value);
    *v = (find_word(yes, value) >= 0) == (row->kind == SET);
    return CLI_OK;
}

/* Does the option count anew for each answer? */
static bool is_settable(const struct row *row) {
    static const size_t at[] = {
        offsetof(struct cli_options, n_predict),   offsetof(struct cli_options, seed),
        offsetof(struct cli_options, ignore_eos),  offsetof(struct cli_options, special),
        offsetof(struct cli_options, on_overflow), offsetof(struct cli_options, stop),
        offsetof(struct cli_options, logit_bias),  offsetof(struct cli_options, verbose_prompt),
        offsetof(struct cli_options, raw),         offsetof(struct cli_options, no_perf)};
    const size_t sampler = offsetof(struct cli_options, sampler);
    for (size_t i = 0; i < sizeof at / sizeof *at; i++)
        if (row->at == at[i]) return true;
    return row->at >= sampler && row->at < sampler + sizeof(struct phi_sampler_options);
}

int cli_options_set(struct cli_options *o, const char *name, const char *value) {
    const struct row *row = find(CLI_CHAT, name, strlen(name));
    if (!row) return cli_fail(CLI_USAGE, "there is no option '%s'", name);
    if (!is_settable(row))
        return cli_fail(CLI_USAGE, "%s cannot be changed during a chat; start again with it", name);
    void *field = (char *)o + row->at;
    if (row->kind == TEXTS || row->kind == BIAS) return set_texts(row, name, value, field);
    if (row->kind == SET || row->kind == CLEAR) return set_flag(row, name, value, field);
    return read_value(o, row, name, value);
}

static int ignore(struct cli_options *o, const char *what) {
    if (o->ignored.n < CLI_TEXTS_MAX) o->ignored.text[o->ignored.n++] = what;
    return CLI_OK;
}

/* 1: word is such an option, *at has moved over its values; 0: it is not. */
static int skip_pasted(struct cli_options *o, int argc, char **argv, int *at) {
    const char *word = argv[*at];
    size_t length = strcspn(word, "=");
    for (size_t i = 0; i < sizeof pasted / sizeof pasted[0]; i++) {
        if (strlen(pasted[i].name) != length || memcmp(pasted[i].name, word, length) != 0) continue;
        const char *next = *at + 1 < argc ? argv[*at + 1] : "";
        bool choice = strcmp(next, "on") == 0 || strcmp(next, "off") == 0 || strcmp(next, "auto") == 0 ||
                      strcmp(next, "0") == 0 || strcmp(next, "1") == 0;
        if (!word[length] && (pasted[i].values == 1 ? *at + 1 < argc : pasted[i].values < 0 && choice)) ++*at;
        ignore(o, pasted[i].name);
        return 1;
    }
    return 0;
}

static int read_option(struct cli_options *o, int argc, char **argv, int *at) {
    const char *word = argv[*at], *value = strncmp(word, "--", 2) == 0 ? strchr(word, '=') : NULL;
    size_t n = value ? (size_t)(value - word) : strlen(word);
    const struct row *row = find(o->command, word, n);
    if (!row) {
        if (skip_pasted(o, argc, argv, at)) return CLI_OK;
        static const char *const network[] = {"-hf", "-hfr", "--hf-repo", "-hff", "--hf-file", "-mu", "--model-url"};
        for (size_t i = 0; i < sizeof network / sizeof network[0]; i++)
            if (strlen(network[i]) == n && memcmp(word, network[i], n) == 0)
                return cli_fail(CLI_USAGE, "%s: phi has no network code; download the file first, then use -m FILE",
                                network[i]);
        char name[128];
        snprintf(name, sizeof name, "%.*s", n < 100 ? (int)n : 100, word);
        return unknown(o->command, name);
    }
    char name[40];
    snprintf(name, sizeof name, "%.*s", (int)n, word);
    bool wants = row->value[0] != 0;
    if (value && !wants) return cli_fail(CLI_USAGE, "%s takes no value", name);
    if (wants && !value && *at + 1 == argc) return cli_fail(CLI_USAGE, "%s needs a value: %s", name, row->value);
    value = !wants ? "" : value ? value + 1 : argv[++*at];
    if (row->at == offsetof(struct cli_options, load_mode) && strcmp(value, "dio") == 0) return ignore(o, "-lm dio");
    return read_value(o, row, name, value);
}

static int read_command(struct cli_options *o, const char *word) {
    const char *best = NULL;
    int least = 3;
    for (int i = 0; i < CLI_N_COMMAND; i++) {
        int distance = cli_distance(word, commands[i].name);
        o->command = (enum cli_command)i;
        if (distance == 0) return CLI_OK;
        if (distance < least) {
            least = distance;
            best = commands[i].name;
        }
    }
    if (best) return cli_fail(CLI_USAGE, "unknown command '%s'; did you mean '%s'?", word, best);
    return cli_fail(CLI_USAGE, "unknown command '%s'; 'phi -h' lists the commands", word);
}

static void set_defaults(struct cli_options *o, const char *program) {
    memset(o, 0, sizeof *o);
    o->program = program;
    o->command = CLI_RUN;
    o->session = phi_session_options_default();
    o->session.n_threads = o->session.n_threads_batch = -1;
    o->session.n_ctx = 0;
    o->session.type_k = o->session.type_v = PHI_KV_F16;
    o->sampler = phi_sampler_options_default();
    o->n_predict = -1;
    o->n_ubatch = 512;
    o->n_batch = 2048;
    o->seed = -1;
    o->repetitions = 5;
    o->bench_prompt = (struct cli_list){1, {512}};
    o->bench_gen = (struct cli_list){1, {128}};
    o->bench_depth = (struct cli_list){1, {0}};
    o->bench_batch = (struct cli_list){1, {2048}};
    o->bench_ubatch = (struct cli_list){1, {512}};
    o->bench_type_k = o->bench_type_v = (struct cli_list){1, {PHI_KV_F16}};
    o->parse_special = -1;
    o->escape = 1;
    o->color = CLI_COLOR_AUTO;
    o->verbosity = -1;
    o->sandbox = -1;
    o->eval_shots = -1;
    o->eval_type_k = o->eval_type_v = (enum phi_kv_type)CLI_KV_UNSET;
}

/* run or chat, where the command word did not say it. */
static void choose_command(struct cli_options *o, bool named) {
    bool prompt = o->prompt || o->file || o->binary_file;
    if (o->command != CLI_RUN) return;
    if (o->single_turn || o->conversation) o->command = CLI_CHAT;
    if (!named && !o->no_conversation && !prompt && isatty(STDIN_FILENO) && cli_output_is_terminal())
        o->command = CLI_CHAT;
}

/* Options of chat in run, and the other way round, where -st or -i has made run chat. */
static int check_talk(const struct cli_options *o) {
    if (o->system && o->system_file)
        return cli_fail(CLI_USAGE, "the system prompt is given twice; use one of -sys and -sysf");
    if (o->command == CLI_CHAT) {
        if (o->no_conversation) return cli_fail(CLI_USAGE, "-no-cnv and -cnv, -i or -st exclude each other");
        if (o->parse_special > 0)
            return cli_fail(CLI_USAGE, "--parse-special: in a chat no text can become a control token");
        if (o->display_prompt) return cli_fail(CLI_USAGE, "--display-prompt belongs to 'phi run', not to a chat");
        if (o->context_shift)
            return cli_fail(CLI_USAGE,
                            "--context-shift belongs to 'phi run'; in a chat --on-overflow drop-oldest drops "
                            "whole turns");
        return CLI_OK;
    }
    const char *chat_only = o->system          ? "-sys"
                            : o->system_file   ? "-sysf"
                            : o->chat_template ? "--chat-template"
                                               : NULL;
    if (o->command == CLI_RUN && chat_only)
        return cli_fail(CLI_USAGE, "%s needs a chat: add -st for one answer, or use 'phi chat'", chat_only);
    if (o->command == CLI_RUN && o->on_overflow == CLI_OVERFLOW_DROP)
        return cli_fail(CLI_USAGE,
                        "--on-overflow drop-oldest drops turns of a chat, and there is none; use 'phi chat'");
    return CLI_OK;
}

static int check_texts(const struct cli_options *o) {
    if (o->command == CLI_IMATRIX) {
        if (!o->file) return cli_fail(CLI_USAGE, "imatrix needs a text to learn from: -f FILE");
        return o->output ? CLI_OK : cli_fail(CLI_USAGE, "imatrix needs a file to write: -o FILE");
    }
    if (o->kl_divergence && !o->eval_base)
        return cli_fail(CLI_USAGE, "--kl-divergence needs the file to compare with: --kl-divergence-base FILE");
    if (o->kl_divergence && o->file)
        return cli_fail(CLI_USAGE, "--kl-divergence: the base holds the text; leave out -f");
    if (o->eval_task && (o->file || o->eval_base || o->eval_chunks))
        return cli_fail(CLI_USAGE, "--task asks questions; -f, --chunks and --kl-divergence-base belong to a text");
    if (!o->eval_task && (o->eval_items || o->eval_limit || o->eval_shots >= 0 || o->eval_layout))
        return cli_fail(CLI_USAGE, "--items, --shots, --layout and --limit need --task FILE");
    if (!o->eval_task && !o->file && !o->kl_divergence)
        return cli_fail(CLI_USAGE, "eval needs something to do: -f TEXT or --task FILE");
    return CLI_OK;
}

static int check_saved(const struct cli_options *o) {
    if (o->session_file && o->prompt_cache)
        return cli_fail(CLI_USAGE, "--session holds the prompt, too: --prompt-cache does not go with it");
    if ((o->session_file && !*o->session_file) || (o->prompt_cache && !*o->prompt_cache))
        return cli_fail(CLI_USAGE, "%s needs the name of a file", o->session_file ? "--session" : "--prompt-cache");
    if (!o->prompt_cache && (o->prompt_cache_all || o->prompt_cache_ro))
        return cli_fail(CLI_USAGE, "--prompt-cache-%s needs --prompt-cache FILE", o->prompt_cache_all ? "all" : "ro");
    if (o->prompt_cache_all && o->prompt_cache_ro)
        return cli_fail(CLI_USAGE, "--prompt-cache-all and --prompt-cache-ro exclude each other");
    return CLI_OK;
}

/* Combinations that no single row can refuse. */
static int check_together(const struct cli_options *o) {
    int status = check_talk(o);
    if (!status) status = check_saved(o);
    if (status) return status;
    bool talk = o->command == CLI_RUN || o->command == CLI_CHAT;
    int prompts = (o->prompt != NULL) + (o->file != NULL) + (o->binary_file != NULL);
    bool from_stdin = (o->file && strcmp(o->file, "-") == 0) || (o->binary_file && strcmp(o->binary_file, "-") == 0);
    if (prompts > 1 + (from_stdin && o->prompt && talk))
        return cli_fail(CLI_USAGE, "the prompt is given twice; use one of -p, -f%s", talk ? " and -bf" : "");
    if (from_stdin && o->no_stdin) return cli_fail(CLI_USAGE, "--no-stdin forbids to read the prompt from stdin");
    if (o->decode && (o->nul_separated || o->show_ids || o->show_count))
        return cli_fail(CLI_USAGE, "--decode writes bytes; -0, --ids and --show-count do not go with it");
    if (o->command == CLI_EVAL || o->command == CLI_IMATRIX) return check_texts(o);
    if (o->command != CLI_LOGITS) return CLI_OK;
    if (!o->id_list) return cli_fail(CLI_USAGE, "logits needs token ids: --ids 1,2,3 or --ids @FILE");
    if (!o->output && !o->n_greedy) return cli_fail(CLI_USAGE, "logits needs something to do: -o FILE or --greedy N");
    if (o->output && strcmp(o->output, "-") == 0 && o->n_greedy)
        return cli_fail(CLI_USAGE, "logits and ids cannot both go to stdout; give -o a file");
    return CLI_OK;
}

/* The most words that a command takes which are no options. */
static int words_of(enum cli_command command) {
    return command == CLI_QUANTIZE ? 4 : command == CLI_CONVERT ? 2 : 0;
}

int cli_options_parse(struct cli_options *o, int argc, char **argv) {
    set_defaults(o, argc > 0 ? argv[0] : "phi");
    int at = 1, status = CLI_OK;
    bool ended = false, named = argc > 1 && argv[1][0] != '-';
    if (named) {
        status = read_command(o, argv[1]);
        at = 2;
    }
    for (; !status && at < argc; at++) {
        const char *word = argv[at];
        if (!ended && strcmp(word, "--") == 0)
            ended = true;
        else if (!ended && word[0] == '-' && word[1])
            status = read_option(o, argc, argv, &at), cli_set_color(o->color);
        else if (o->command == CLI_INFO && !o->model)
            o->model = word;
        else if (o->n_word < words_of(o->command))
            o->word[o->n_word++] = word;
        else
            status = cli_fail(CLI_USAGE, "unexpected word '%s'; quote a text that has spaces", word);
    }
    bool asked = o->help || o->help_all || o->version || o->man || o->completion_bash || o->completion_zsh ||
                 o->completion_fish;
    if (status || asked) return status;
    choose_command(o, named);
    if (o->verbosity >= 0) {
        o->quiet = o->verbosity < CLI_WARNINGS;
        o->verbose = o->verbosity > CLI_NOTES;
    }
    cli_set_verbosity(o->quiet ? CLI_ERRORS : o->verbosity >= 0 ? o->verbosity : CLI_NOTES);
    if (o->no_progress) cli_progress_off();
    o->session.n_ubatch = o->n_ubatch < o->n_batch ? o->n_ubatch : o->n_batch;
    o->session.force_threads = o->force_threads;
    o->session.pin_threads = o->cpu_strict;
    o->session.ignore_memory = o->fit;
    if (o->no_mmap)
        o->load_mode = o->mlock ? CLI_LOAD_MLOCK : CLI_LOAD_NONE;
    else if (o->mlock)
        o->load_mode = CLI_LOAD_MMAP_MLOCK;
    if (o->command == CLI_EVAL) {
        enum phi_kv_type usual = o->eval_task ? PHI_KV_F16 : PHI_KV_F32;
        o->session.type_k = o->eval_type_k == (enum phi_kv_type)CLI_KV_UNSET ? usual : o->eval_type_k;
        o->session.type_v = o->eval_type_v == (enum phi_kv_type)CLI_KV_UNSET ? usual : o->eval_type_v;
    }
    status = check_together(o);
    for (int i = 0; !status && i < o->ignored.n; i++)
        cli_warn("option '%s' has no effect here and was ignored", o->ignored.text[i]);
    if (!status && o->keep && !o->context_shift) cli_warn("--keep has no effect without --context-shift");
    return status;
}

/* ---- The table, for help.c and manual.c --------------------------------------------------------------------------
 */

bool cli_option_row(int i, struct cli_option_row *out) {
    if (i < 0 || i >= N_ROW) return false;
    const struct row *r = &rows[i];
    *out = (struct cli_option_row){.names = r->names,
                                   .value = r->value,
                                   .help = r->help,
                                   .range = r->kind == WORD || *r->value ? r->range : "",
                                   .commands = r->commands & ~(unsigned)COMMON,
                                   .common = (r->commands & COMMON) != 0,
                                   .words = r->kind == WORD                       ? r->range
                                            : r->kind == KV || r->kind == KV_LIST ? "f32, f16, q8_0"
                                            : r->kind == ISA                      ? phi_isa_names()
                                            : r->kind == FORMAT                   ? phi_chat_formats()
                                                                                  : ""};
    return true;
}

bool cli_command_row(int i, struct cli_command_row *out) {
    if (i < 0 || i >= CLI_N_COMMAND) return false;
    *out = (struct cli_command_row){commands[i].name, commands[i].arguments, commands[i].text};
    return true;
}
