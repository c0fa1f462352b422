/* What the user asked for: filled from argv by the table in options.def, checked value by value, before any file is
 * opened. */
#ifndef PHI_CLI_OPTIONS_H
#define PHI_CLI_OPTIONS_H

#include "cli.h"

enum cli_command {
#define COMMAND(NAME, name, arguments, text) CLI_##NAME,
#include "commands.def"
    CLI_N_COMMAND
};

enum { CLI_LIST_MAX = 64 };
struct cli_list {
    int n, value[CLI_LIST_MAX];
};

enum cli_overflow { CLI_OVERFLOW_ERROR, CLI_OVERFLOW_DROP, CLI_OVERFLOW_STOP }; /* in the order of options.def */

enum { CLI_TEXTS_MAX = 64 };
struct cli_texts { /* of an option that may be repeated */
    int n;
    const char *text[CLI_TEXTS_MAX];
    bool owned[CLI_TEXTS_MAX]; /* a copy, set during a chat: cli_texts_cut() */
};
void cli_texts_cut(struct cli_texts *t, int n); /* only the first n stay */

enum cli_color { CLI_COLOR_ON, CLI_COLOR_OFF, CLI_COLOR_AUTO }; /* in the order of options.def */

enum cli_load { CLI_LOAD_AUTO, CLI_LOAD_NONE, CLI_LOAD_MMAP, CLI_LOAD_MLOCK, CLI_LOAD_MMAP_MLOCK };

enum { CLI_PAIRS_MAX = 16 };
struct cli_pairs {
    int n, first[CLI_PAIRS_MAX], second[CLI_PAIRS_MAX];
};

enum { CLI_KV_UNSET = PHI_KV_Q8_0 + 1 };

struct cli_options {
    const char *program; /* argv[0] */
    enum cli_command command;
    const char *model, *prompt, *file, *binary_file, *output, *id_list; /* NULL: not given */
    const char *system, *system_file, *chat_template, *session_file, *prompt_cache;
    const char *json_schema, *json_schema_file;
    const char *grammar, *grammar_file; /* sampler.grammar is made of one of these when the model is there: cli_constraint_open() */
    struct phi_session_options session; /* n_ubatch and force_threads are set from the fields below */
    struct phi_sampler_options sampler; /* without seed, biases and ignore_eos: cli_sampler_open() */
    struct cli_texts logit_bias, stop;
    const char *word[4]; /* what is no option, of commands that make files */
    int n_word;
    struct cli_texts tensor_types; /* PATTERN=TYPE */
    const char *output_type, *embedding_type, *imatrix;
    int leave_output, pure, requantize, dry_run, outtype;
    struct cli_texts ignored; /* options of llama.cpp that were given and mean nothing here */
    int n_predict, n_ubatch, n_batch, force_threads, repetitions, n_greedy;
    int64_t seed;
    struct cli_list bench_prompt, bench_gen, bench_threads, bench_depth, bench_batch, bench_ubatch;
    struct cli_list bench_type_k, bench_type_v; /* of enum phi_kv_type */
    struct cli_pairs bench_pairs;               /* prompt and generated tokens of one test */
    const char *bench_format, *bench_format_err, *bench_base, *bench_synthetic;
    float bench_delay, bench_sustained; /* seconds */
    int bench_extra, bench_tune, bench_progress;
    const char *eval_task, *eval_items, *eval_base, *eval_checkpoint;
    int eval_chunks, eval_limit; /* 0: all */
    int eval_shots;              /* -1: all */
    enum phi_kv_type eval_type_k, eval_type_v; /* CLI_KV_UNSET: f32 for a text, so that its figure is that of the weights alone;
                                                  f16 for questions, whose context may be long */
    int eval_layout;             /* 0: as the task says; else 1 + enum eval_layout */
    int kl_divergence, process_output;
    int parse_special; /* -1: as the command's default */
    int escape, no_stdin, display_prompt, verbose_prompt;
    int show_ids, nul_separated, no_bos, show_count, decode, no_warmup;
    int ignore_eos, check_tensors, fail_on_length, special, raw, multiline;
    int context_shift, keep; /* keep: -1 is all of the prompt */
    int session_strict, prompt_cache_all, prompt_cache_ro;
    int fit, load_mode; /* enum cli_load; both in the order of options.def */
    int no_mmap, mlock;
    const char *cpu_mask, *cpu_range;
    int cpu_strict;
    int json, man, completion_bash, completion_zsh, completion_fish;
    int single_turn, conversation, no_conversation, no_history, simple_io;
    int on_overflow; /* enum cli_overflow */
    int color;       /* enum cli_color */
    int verbosity;   /* -lv; -1: not given */
    int sha256;
    int sandbox;     /* -1: where the system has it */
    int quiet, verbose, no_perf, no_progress, help, help_all, version;
};

/* Parse argv[1..] into *o. CLI_OK, or CLI_USAGE with the error line printed. */
int cli_options_parse(struct cli_options *o, int argc, char **argv);

/* Change an option between two answers of a chat. name: "--temp"; the value of a flag is on or off; of an option that
 * may be repeated it is added, "" forgets all. CLI_OK, CLI_USAGE or CLI_MEMORY, as above. */
int cli_options_set(struct cli_options *o, const char *name, const char *value);

const char *cli_kv_name(enum phi_kv_type type); /* as -ctk spells it */

/* ---- The tables as text: what help, the man page and completions are made of ---- */

struct cli_option_row {
    const char *names;  /* separated by ", " */
    const char *value;  /* what follows, for people; "" for a flag */
    const char *help;
    const char *range;  /* of the value, for people; "" */
    const char *words;  /* all that the value can be, separated by ", " or spaces; "" if it is no word of a list */
    unsigned commands;  /* bits 1 << enum cli_command */
    bool common;        /* -h shows it */
};
struct cli_command_row {
    const char *name, *arguments, *text;
};
bool cli_option_row(int i, struct cli_option_row *out); /* false: there are no more */
bool cli_command_row(int i, struct cli_command_row *out);

/* On stdout: help for o->command (all: of every command); the man page in roff; the completions of a shell ("bash", "zsh", "fish"). */
int cli_help(const struct cli_options *o, bool all);
int cli_man(void);
int cli_completion(const char *shell);

/* ---- Words (words.c): the whole word must be the value, in every locale
 * ----------------------------------------------- */

bool cli_parse_int(const char *word, int64_t *v); /* [-]digits; what is too large becomes INT64_MAX */
bool cli_parse_real(const char *word, double *v); /* [-]digits[.digits][e[+-]digits]; may overflow to infinity */
/* "1,2,4", "1-4", "1-9+2" and "1-8*2", mixed; at most CLI_LIST_MAX values. */
bool cli_parse_list(const char *word, struct cli_list *v);
/* Ids separated by commas or white space, brackets around them or not. *ids belongs to the caller: phi_free().
 * CLI_OK; CLI_USAGE with an error that calls the text name; CLI_MEMORY. n_vocab bounds the ids. */
int cli_parse_ids(const char *name, const char *text, size_t n_bytes, int n_vocab, int32_t **ids, size_t *n);
/* Edit distance, for "did you mean". */
int cli_distance(const char *a, const char *b);

#endif
