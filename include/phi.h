/* Pocket Phi: run Phi-3 language models on the CPU.
 *
 * The whole public API. A model is a mapped file: open it once, share it between sessions and threads. A session is one
 * conversation: the tokens so far, their KV cache, the logits after the last one. A session belongs to one thread at a time.
 *
 * Functions that can fail return 0 or a negative phi_status and then fill *err (which may be NULL) with one sentence that
 * names the thing, what was found and what was expected. Nothing here prints, exits or touches the network.
 * Same model, same tokens: the same bits, on every CPU, for every thread count and every way of cutting the prompt into passes. */
#ifndef PHI_H
#define PHI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define PHI_VERSION "0.1.0"

/* The negative of a status is the exit code of the command line program. */
enum phi_status {
    PHI_OK = 0,
    PHI_FAILED = -1,  /* failed while running: non-finite logits, a thread that could not start */
    PHI_USAGE = -2,   /* an argument out of range: a token id, an unknown instruction set */
    PHI_MODEL = -3,   /* the model file is missing, damaged or of a kind that is not supported */
    PHI_MEMORY = -4,  /* not enough memory */
    PHI_CONTEXT = -5, /* the tokens do not fit into the context */
    PHI_OUTPUT = -6   /* writing failed */
};

typedef struct phi_error {
    char text[512]; /* one sentence without newline; empty while nothing failed */
} phi_error;

/* Version, commit and compiler, for people: "0.1.0 (abc1234, gcc 12.2.0)". Static storage. */
const char *phi_version(void);

/* ---- Model ------------------------------------------------------------------------------------------------------------ */

typedef struct phi_model phi_model;

/* Map the GGUF file at path and check it completely. On success *out is owned by the caller: phi_model_close().
 * A file that has a vocabulary but no tensors opens too; it can tokenize, but phi_session_open() refuses it.
 * Errors: PHI_MODEL, PHI_MEMORY. */
int phi_model_open(const char *path, phi_model **out, phi_error *err);
/* The same; read: the file is not mapped but read into memory, which takes as much of it as the file has bytes, and what happens
 * to the file later does not matter. */
int phi_model_load(const char *path, bool read, phi_model **out, phi_error *err);
/* Keep all of the file in memory, as far as the system allows: PHI_MEMORY if it does not; the model works all the same. */
int phi_model_lock(const phi_model *model, phi_error *err);

/* Close after the last session on it. NULL is fine. */
void phi_model_close(phi_model *model);

struct phi_model_info {
    char name[128];        /* general.name, cut; raw bytes from the file: escape before printing */
    char architecture[32]; /* "phi3" */
    char type[32];         /* "Q4_K - Medium": the mix that the file states, or the type of most of its weights */
    uint64_t file_bytes, tensor_bytes, n_params;
    uint64_t trailing_bytes; /* behind the last tensor: nobody reads them */
    int n_layer, n_embd, n_head, n_head_kv, n_ff, head_dim, n_rot, n_vocab, n_ctx_train;
    int n_ctx_original;      /* LongRoPE: up to here the short list of factors holds; else n_ctx_train */
    int window;              /* keys that a token sees, itself included; 0: all */
    const char *window_rule; /* why: "stated by the file", ... Static storage, as the warning */
    bool long_rope;          /* the file holds two lists of rotary factors; which one holds depends on the text's length */
    const char *warning;     /* a sentence about what this file cannot do; "" if there is none */
};
void phi_model_get_info(const phi_model *model, struct phi_model_info *out);

/* Read every weight and look for NaN and infinity. 0, or PHI_MODEL naming the first tensor that has one, and where. */
int phi_model_verify(const phi_model *model, phi_error *err);

/* The bytes of the file in memory. They are a mapping: when the file is cut short or its storage goes away while a model is
 * open, reading them raises SIGBUS. A program that wants to explain that can compare the address. */
const void *phi_model_mapping(const phi_model *model, size_t *n_bytes);

/* ---- Tokens ----------------------------------------------------------------------------------------------------------- */

enum {
    PHI_ADD_BOS = 1,      /* put the begin-of-sequence token first, if the model's tokenizer wants one */
    PHI_PARSE_SPECIAL = 2 /* text like <|end|> becomes the control token; without it such text stays text */
};

/* Tokenize n_bytes of UTF-8 (any bytes are accepted, NUL too). Writes at most cap ids and returns how many the text has,
 * which may be more than cap (then call again with room), or a negative status: PHI_MEMORY. */
int64_t phi_tokenize(const phi_model *model, const char *text, size_t n_bytes, unsigned flags, int32_t *ids, size_t cap);

/* The bytes of one token, as decoding puts them out: "▁" is a space, a byte token is its byte. A control token has no bytes
 * unless special is true (then its name). Not NUL-terminated: *n_bytes says how many. Owned by the model. "" for a bad id. */
const char *phi_token_bytes(const phi_model *model, int32_t id, bool special, size_t *n_bytes);

bool phi_token_is_stop(const phi_model *model, int32_t id); /* ends an answer: <|end|>, <|endoftext|>, ... */
int32_t phi_token_bos(const phi_model *model);              /* -1: the model has none */

/* ---- Chat ------------------------------------------------------------------------------------------------------------- */

/* What a model of the family wants to see around a message. Only the format puts control tokens in; a message is plain text,
 * whatever it says. A conversation is the ids of phi_chat_begin(), the tokens of the answer without its stop token, the ids of
 * phi_chat_next(), an answer, and so on: what has been evaluated once is never tokenized again.
 * (The first token of an answer of a SentencePiece model puts out a space that belongs to the format, not to the answer.) */

const char *phi_chat_format(const phi_model *model); /* told by the vocabulary: "phi-3.5"; NULL: no format that is known */
const char *phi_chat_formats(void);                  /* all, separated by spaces */

/* The ids up to where the first answer begins: the token that begins every text if the model wants one, the system prompt
 * (n_system 0: none; a model without such a role gets it before the message), the message. format: a name of
 * phi_chat_formats(), or NULL for the model's. Writes at most cap ids and returns how many there are, or a negative status:
 * PHI_USAGE (no such format; the vocabulary lacks a token of it), PHI_MEMORY. */
int64_t phi_chat_begin(const phi_model *model, const char *format, const char *system, size_t n_system, const char *user,
                       size_t n_user, int32_t *ids, size_t cap, phi_error *err);
/* The ids between an answer and the next one: what closes the answer, and the next message. */
int64_t phi_chat_next(const phi_model *model, const char *format, const char *user, size_t n_user, int32_t *ids, size_t cap,
                      phi_error *err);

/* ---- Session ---------------------------------------------------------------------------------------------------------- */

typedef struct phi_session phi_session;

enum phi_kv_type { PHI_KV_F32, PHI_KV_F16, PHI_KV_Q8_0 /* heads of a multiple of 32 dimensions only */ };

struct phi_session_options {
    int n_ctx;                        /* tokens that the session can hold; 0 = what the model was trained for, lowered to what
                                         the free memory affords */
    int n_threads;                    /* threads of a pass with one token; -1 = one per fast core */
    int n_threads_batch;              /* threads of a pass with several tokens; -1 = n_threads */
    bool force_threads;               /* false: never more threads than cores */
    bool pin_threads;                 /* each thread on a core of its own, of those that the process may use (Linux only) */
    bool ignore_memory;               /* do not look at the free memory: n_ctx 0 is what the model was trained for */
    int n_ubatch;                     /* most tokens in one pass */
    int window;                       /* keys that a token sees, itself included; 0 = all; -1 = what the model was made with */
    enum phi_kv_type type_k, type_v;  /* how keys and values are kept */
    const char *isa;                  /* an instruction set of phi_isa_names(), or NULL for the best of this CPU */
};
struct phi_session_options phi_session_options_default(void);

/* After this call the session allocates nothing more. *out is owned by the caller: phi_session_close().
 * Errors: PHI_USAGE (options), PHI_MODEL (a file without tensors), PHI_MEMORY, PHI_FAILED (threads). */
int phi_session_open(const phi_model *model, const struct phi_session_options *options, phi_session **out, phi_error *err);
void phi_session_close(phi_session *session);

struct phi_session_info {
    int n_ctx, n_threads, n_threads_batch, n_ubatch, window;
    const char *isa;          /* the instruction set in use */
    uint64_t kv_bytes;        /* of the whole KV cache */
    uint64_t scratch_bytes;   /* everything else */
    char fallback[128];       /* formats of this model that run without a kernel of their own: "IQ4_XS Q3_K", or "" */
};
void phi_session_get_info(const phi_session *session, struct phi_session_info *out);

/* Progress of a long evaluation, after each pass: done of total tokens. Non-zero stops it: phi_session_eval() returns
 * PHI_OK and phi_session_n_past() tells how far it came. */
typedef int phi_progress_fn(void *user, size_t done, size_t total);
/* One row of logits, float[n_vocab], of the token at position. Non-zero stops the evaluation. */
typedef int phi_logits_fn(void *user, size_t position, const float *logits, int n_vocab);

/* Append n tokens and compute them. Errors, with the tokens of the session unchanged: PHI_USAGE (an id outside the vocabulary),
 * PHI_CONTEXT, PHI_FAILED (a logit of the last token is NaN or infinite; the sentence names the layer where that began,
 * for which all tokens are computed once more, and progress is told of it). After PHI_FAILED there are no logits. */
int phi_session_eval(phi_session *session, const int32_t *ids, size_t n, phi_progress_fn *progress, void *user, phi_error *err);

/* The same, and every position's logits go to rows, in order, as they are; PHI_FAILED, for a NaN or infinity in any of them,
 * comes when all are through. */
int phi_session_eval_logits(phi_session *session, const int32_t *ids, size_t n, phi_logits_fn *rows, void *user, phi_error *err);

/* Logits after the last token: float[n_vocab], valid until the next call that changes the session. NULL before the first
 * token and after phi_session_rewind(). */
const float *phi_session_logits(const phi_session *session);

size_t phi_session_n_past(const phi_session *session); /* tokens held */
const phi_model *phi_session_model(const phi_session *session);

/* Forget all but the first n tokens. n above phi_session_n_past() is PHI_USAGE. */
int phi_session_rewind(phi_session *session, size_t n, phi_error *err);

/* ---- Grammars --------------------------------------------------------------------------------------------------------- */

/* What an answer may look like, exact to the byte. Immutable: samplers and threads share it. */
typedef struct phi_grammar phi_grammar;

/* A grammar in GBNF, the notation of llama.cpp: name ::= alternatives, of "literals", [sets], names and (groups), with * + ?
 * {m,n}. root: the rule that an answer is, NULL for "root". model NULL: only check the text, *out is NULL then. On success
 * *out is the caller's: phi_grammar_close(), before the model's end. Errors: PHI_USAGE with line and column, PHI_MEMORY. */
int phi_grammar_open(const phi_model *model, const char *text, size_t n_bytes, const char *root, phi_grammar **out, phi_error *err);
/* The same for the JSON texts that satisfy a JSON schema (2020-12): type, properties, required, additionalProperties, items,
 * prefixItems, minItems, maxItems, enum, const, anyOf, $ref inside the schema, $defs, definitions, minLength, maxLength,
 * pattern, minimum, maximum, exclusiveMinimum, exclusiveMaximum; notes ($schema, $id, title, description, default, examples,
 * $comment) say nothing. Errors: PHI_USAGE with the JSON pointer of what is not supported or cannot be satisfied. */
int phi_grammar_open_schema(const phi_model *model, const char *text, size_t n_bytes, phi_grammar **out, phi_error *err);
void phi_grammar_close(phi_grammar *grammar); /* NULL is fine */

/* ---- Sampling and generation ------------------------------------------------------------------------------------------ */

typedef struct phi_sampler phi_sampler;

struct phi_logit_bias {
    int32_t id;
    float bias; /* added to the token's logit; -INFINITY: never this token */
};

struct phi_sampler_options {
    float temperature; /* 0 = greedy: always the largest logit, ties to the lowest id */
    int top_k;         /* 0 = off */
    float typical_p;   /* 1 = off */
    float top_p;       /* 1 = off */
    float min_p;       /* 0 = off */
    float repeat_penalty;    /* 1 = off; for a token that occurred, however often */
    float presence_penalty;  /* 0 = off; the same, but subtracted */
    float frequency_penalty; /* 0 = off; subtracted for each time that it occurred */
    int repeat_last_n;       /* tokens that the penalties look back on */
    uint32_t seed;
    bool ignore_eos;      /* never choose a stop token: the answer goes on until another end comes */
    const phi_grammar *grammar; /* what the answer must be; NULL: anything. Not owned: it must outlive the sampler */
    bool skip_space;            /* the grammar does not see one space that the answer begins with (see Chat) */
    const struct phi_logit_bias *logit_bias; /* [n_logit_bias], copied; what is given twice for a token is added up */
    size_t n_logit_bias;
};
struct phi_sampler_options phi_sampler_options_default(void);

/* Errors: PHI_USAGE (an option out of range), PHI_MEMORY. */
int phi_sampler_open(const phi_model *model, const struct phi_sampler_options *options, phi_sampler **out, phi_error *err);
void phi_sampler_close(phi_sampler *sampler);
/* Tell the sampler of a token that it did not choose itself (the prompt): the penalties see it. */
void phi_sampler_accept(phi_sampler *sampler, int32_t id);
/* Choose a token from logits[n_vocab] and accept it. PHI_FAILED if no logit is finite, or one is NaN or
 * +infinity (-infinity: never this token). */
int phi_sampler_sample(phi_sampler *sampler, const float *logits, int32_t *id, phi_error *err);

enum phi_stop_reason { PHI_STOP_EOS, PHI_STOP_LENGTH, PHI_STOP_CONTEXT, PHI_STOP_INTERRUPT };

/* Called for each generated token, in order, without the stop token that ends the answer. bytes/n_bytes: the whole UTF-8
 * characters that this token completes (may be none; bytes of a broken character come with the token that breaks it). Bytes of a
 * character that is still incomplete at the end come in a last call with id -1. Non-zero stops: PHI_STOP_INTERRUPT. */
typedef int phi_token_fn(void *user, int32_t id, const char *bytes, size_t n_bytes);

struct phi_generate_result {
    enum phi_stop_reason reason;
    int32_t stop_id; /* PHI_STOP_EOS: the token that ended it; else, or if the grammar had come to its end, -1 */
    size_t n_prompt, n_generated;
    double prompt_seconds, generate_seconds; /* evaluating the prompt; everything after the first sampled token */
    double first_token_seconds;              /* from the call to the first token */
};

/* Evaluate the prompt's ids, then sample up to n_predict tokens (-1: until a stop token or the end of the context; -2: to the
 * end of the context, over stop tokens, which are generated like others).
 * With a grammar the answer is always complete when the reason is PHI_STOP_EOS, and no other end is reached but that of a
 * callback: tokens after which what is left of n_predict and the context would not complete it are not chosen.
 * The last sampled token is not evaluated. Errors as of phi_session_eval() and phi_sampler_sample(); and PHI_CONTEXT, with
 * nothing done, if the shortest answer of the grammar takes more tokens than n_predict or the context have room for. */
int phi_generate(phi_session *session, phi_sampler *sampler, const int32_t *ids, size_t n, int n_predict,
                 phi_token_fn *token, phi_progress_fn *progress, void *user, struct phi_generate_result *result, phi_error *err);

/* ---- This machine ----------------------------------------------------------------------------------------------------- */

/* The instruction sets of this build that this CPU can run, lowest first, separated by spaces: "scalar avx2". */
const char *phi_isa_names(void);

#ifdef __cplusplus
}
#endif
#endif
