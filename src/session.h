/* One timeline: the tokens so far, their keys and values, and the scratch memory of a pass. One arena; the same code
 * that hands out its parts measures them first, with a NULL base. */
#ifndef PHI_SRC_SESSION_H
#define PHI_SRC_SESSION_H

#include "kernels/kernels.h"
#include "model.h"
#include "team.h"

#include <stdatomic.h>

enum { PHI_N_ACT = PHI_ACT_Q8_256 + 1 };

/* The inputs of matrices, in each of the forms that the model's formats ask for; forms that none asks for have no
 * memory. The float form of the two narrow ones is always there. */
struct phi_acts {
    struct phi_act kind[PHI_N_ACT];
};

/* Sees the float inputs of matrices while they are computed: for n tokens columns [at, at + n_col) of the input of w,
 * x[token * stride + column - at]. The columns of one input may come in parts, from several threads at once; each comes once. */
struct phi_observer {
    void (*input)(void *user, const struct phi_mat *w, int at, int n_col, int n, const float *x, size_t stride);
    void *user;
};

struct phi_session {
    const struct phi_model *model;
    const struct phi_observer *observer; /* NULL: nobody looks on; may be set between two evaluations */
    struct phi_kernels kernels;
    struct phi_team *team;
    int n_threads, n_threads_batch;
    int n_ctx, n_ubatch;
    int type_k, type_v; /* PHI_CACHE_... */

    int window; /* keys that a query sees, itself included; 0: all */

    size_t n_past;    /* tokens held */
    size_t cache_end; /* positions written since the last start: behind the ring's oldest row */
    bool stale;       /* rows that the next token sees have left the ring: start again from token 0 */
    int rope_list;    /* the rotary list that the cached keys were made with */
    bool has_logits;  /* logits belong to token n_past - 1 */

    void *arena;
    size_t arena_bytes, kv_bytes;

    /* Parts of the arena; n = n_ubatch. */
    int32_t *ids;               /* [n_ctx] */
    char *keys, *values;        /* cache.c: [n_layer][n_head_kv][cache_rows] */
    size_t cache_rows;
    char *stage_keys, *stage_values; /* [n_head_kv][stage_rows], where the cache is a ring */
    size_t stage_rows;
    size_t stage_base;          /* position of the stage's first row */
    float *h;                   /* [n][n_embd] residual stream */
    float *out;                 /* [n][n_embd] what a layer's half adds to it */
    float *qkv;                 /* [n][(n_head + 2*n_head_kv) * head_dim] */
    struct phi_acts in;         /* [n][n_embd] normalised */
    struct phi_acts attended;   /* [n][n_head * head_dim] */
    struct phi_acts hidden;     /* [n][n_ff] */
    float *hidden_row;          /* [n_ff], of a pass with one token */
    float *rope_cos, *rope_sin; /* [n][n_rot/2] */
    float *parts;               /* attention.c: [n_head][part_blocks] of a pass with one token */
    size_t part_blocks;
    atomic_int *parts_done;     /* [n_head_kv] spans of blocks; 0 between passes */
    float *logits;              /* [PHI_LOGITS_ROWS][n_vocab] */
    char *thread;               /* [n_threads][thread_bytes]: what phi_thread_scratch() divides */
    size_t thread_bytes;
};

enum { PHI_LOGITS_ROWS = 16 }; /* rows of logits made at a time when every position's are wanted */

/* Columns of the hidden layer that one chunk makes, in float, before they are rounded: a K format's group. */
enum { PHI_FFN_CHUNK = 256 };

/* Queries that attention reads keys and values for together. */
enum { PHI_QUERY_TILE = 16 };

/* A thread's own memory, for one chunk. */
struct phi_scratch {
    void *panel;      /* kernels.scratch_per_k * longest row */
    float *gate, *up; /* [n_ubatch][PHI_FFN_CHUNK] */
    float *query, *out;  /* [PHI_QUERY_TILE][head_dim] of phi_attention() */
    int8_t *query8;      /* [PHI_QUERY_TILE][head_dim] */
    float *query8_scale; /* [PHI_QUERY_TILE][head_dim / 32] */
    int16_t *query8_sum; /* [head_dim / 32] */
    float *scores;       /* [PHI_QUERY_TILE][PHI_KEY_BLOCK] */
    float *block_out;    /* [PHI_QUERY_TILE][head_dim] */
    uint16_t *half;      /* [head_dim] */
};
struct phi_scratch phi_thread_scratch(const struct phi_session *s, int thread);

/* forward.c: one pass. Tokens ids[n_past .. n_past + n) go through all layers; their keys and values are written to
 * the cache; h holds the last layer's output. n <= n_ubatch. culprit: NULL, or *culprit says which is the first token of
 * the pass whose numbers are not finite, and after which layer; row n if there is none. */
struct phi_culprit {
    int row, layer; /* layer -1: the embedding */
};
void phi_forward(struct phi_session *s, int n, struct phi_culprit *culprit);
/* Logits of rows first .. first+n of h into s->logits; n <= PHI_LOGITS_ROWS. */
void phi_forward_head(struct phi_session *s, int first, int n);
/* No NaN and no infinity among x[n]. */
bool phi_all_finite(const float *x, size_t n);

/* attention.c: the first position whose key a query at this position sees; it sees all from there to itself. */
size_t phi_attention_first(const struct phi_session *s, size_t position);
/* n_query queries of KV head `group` over the cache, scratch->query[n_query][head_dim] -> scratch->out: the first per_token of
 * them stand at `position`, the next at position + 1, ... n_query <= PHI_QUERY_TILE. */
void phi_attention(const struct phi_session *s, int layer, int group, size_t position, int n_query, int per_token,
                   struct phi_scratch *scratch);

/* The same in two steps, for one token whose blocks of keys several threads share: query heads head .. head + n_query - 1 see
 * blocks first <= b < end, counted from the first one with a key that they see, and each block's part is kept; then all
 * phi_attention_seen() parts of one head become scratch->out[head_dim]. */
void phi_attention_blocks(const struct phi_session *s, int layer, int group, int head, int n_query, size_t position,
                          size_t first, size_t end, struct phi_scratch *scratch);
void phi_attention_fold(const struct phi_session *s, int head, size_t position, struct phi_scratch *scratch);
/* Blocks of PHI_KEY_BLOCK keys that a query at this position sees keys of, and the most of any position. */
size_t phi_attention_seen(const struct phi_session *s, size_t position);
size_t phi_attention_most_blocks(int n_ctx, int window);
/* Bytes of a part. */
size_t phi_attention_part_bytes(int head_dim);

/* cache.c */
enum { PHI_CACHE_REWIND = 64 }; /* tokens behind a full ring that a rewind can take back without starting again */
/* Rows that the cache keeps for a context and a window. */
size_t phi_cache_rows(int n_ctx, int window);
bool phi_cache_is_ring(const struct phi_session *s);
/* The first position whose row is still there. */
size_t phi_cache_oldest(const struct phi_session *s);

/* Rows of one layer and KV head that lie together: n of them from `position` on. keys begin at the group of 16 that holds it. */
struct phi_run {
    const char *keys, *values;
    size_t n;
};
struct phi_run phi_cache_run(const struct phi_session *s, int layer, int group, size_t position);

/* Between passes: where the rows of 16 positions lie, a whole group from `position` on; keys and values as kernels.h
 * lays them out. The same on every instruction set, so that a session file can hold them. */
struct phi_rows {
    char *keys, *values;
};
struct phi_rows phi_cache_group(const struct phi_session *s, int layer, int group, size_t position);

/* A pass over positions n_past .. n_past + n: begin, put the rows, attend, commit, for each layer and KV head. */
void phi_cache_begin(const struct phi_session *s, int layer, int group);
void phi_cache_put(const struct phi_session *s, int layer, int group, size_t position, const float *k, const float *v,
                   const struct phi_scratch *scratch);
void phi_cache_commit(const struct phi_session *s, int layer, int group, int n);

/* matmul.c: rows [row, row + n_row) of w times columns [0, n) of the activations; y[c*ldy + r]. */
void phi_matmul(const struct phi_session *s, const struct phi_mat *w, int row, int n_row, const struct phi_acts *x,
                int n, float *y, size_t ldy, struct phi_scratch *scratch);
/* Which forms a matrix asks for: a bit (1 << kind). */
unsigned phi_mat_kinds(const struct phi_mat *w);
/* Round column `col`, values [at, at + n), into the 8-bit forms among kinds (bits), and copy them to the float form
 * if that is among them and not where x lies. */
void phi_quantize(const struct phi_session *s, struct phi_acts *to, unsigned kinds, int col, int at, int n,
                  const float *x);

#endif
