/* One timeline: the tokens so far, their keys and values, and the scratch memory of a pass. One arena; the same code
 * that hands out its parts measures them first, with a NULL base. */
#ifndef PHI_SRC_SESSION_H
#define PHI_SRC_SESSION_H

#include "kernels/kernels.h"
#include "model.h"
#include "team.h"

enum { PHI_N_ACT = PHI_ACT_Q8_256 + 1 };

/* The inputs of matrices, in each of the forms that the model's formats ask for; forms that none asks for have no
 * memory. The float form of the two narrow ones is always there. */
struct phi_acts {
    struct phi_act kind[PHI_N_ACT];
};

struct phi_session {
    const struct phi_model *model;
    struct phi_kernels kernels;
    struct phi_team *team;
    int n_threads, n_threads_batch;
    int n_ctx, n_ubatch;
    int type_k, type_v; /* PHI_CACHE_... */

    size_t n_past;   /* tokens whose keys and values are in the cache */
    int rope_list;   /* the rotary list that they were made with */
    bool has_logits; /* logits belong to token n_past - 1 */

    void *arena;
    size_t arena_bytes, kv_bytes;

    /* Parts of the arena; n = n_ubatch. */
    int32_t *ids;               /* [n_ctx] */
    char *keys;                 /* [n_layer][n_head_kv][n_ctx/16] groups of type_k (kernels.h), n_ctx rounded up */
    char *values;               /* [n_layer][n_head_kv][n_ctx] rows of type_v, n_ctx rounded up */
    float *h;                   /* [n][n_embd] residual stream */
    float *out;                 /* [n][n_embd] what a layer's half adds to it */
    float *qkv;                 /* [n][(n_head + 2*n_head_kv) * head_dim] */
    struct phi_acts in;         /* [n][n_embd] normalised */
    struct phi_acts attended;   /* [n][n_head * head_dim] */
    struct phi_acts hidden;     /* [n][n_ff] */
    float *rope_cos, *rope_sin; /* [n][n_rot/2] */
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

/* Keys and values of one layer and KV head, from position 0. */
void *phi_session_keys(const struct phi_session *s, int layer, int head);
void *phi_session_values(const struct phi_session *s, int layer, int head);

/* forward.c: one pass. Tokens ids[n_past .. n_past + n) go through all layers; their keys and values are written to
 * the cache; h holds the last layer's output. n <= n_ubatch. */
void phi_forward(struct phi_session *s, int n);
/* Logits of rows first .. first+n of h into s->logits; n <= PHI_LOGITS_ROWS. */
void phi_forward_head(struct phi_session *s, int first, int n);

/* attention.c: the first position whose key a query at this position sees; it sees all from there to itself. */
size_t phi_attention_first(const struct phi_model *m, size_t position);
/* n_query queries of KV head `group` over the cache, scratch->query[n_query][head_dim] -> scratch->out: the first per_token of
 * them stand at `position`, the next at position + 1, ... n_query <= PHI_QUERY_TILE. */
void phi_attention(const struct phi_session *s, int layer, int group, size_t position, int n_query, int per_token,
                   struct phi_scratch *scratch);
/* Key and value of one position into the cache, in its types. */
void phi_cache_put(const struct phi_session *s, int layer, int group, size_t position, const float *k, const float *v,
                   const struct phi_scratch *scratch);

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
