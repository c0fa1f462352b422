/* What the files of the tokenizer share, and nobody else includes.
 *
 *   tokenizer.c        the vocabulary, special tokens, stop ids, the public functions
 *   tokenizer_index.c  text -> id
 *   tokenizer_merge.c  symbols, merged by priority
 *   tokenizer_spm.c    SentencePiece BPE: characters, merged by the score of the piece that they make
 *   tokenizer_bpe.c    byte-level BPE: bytes of words that pretokenizer.c cuts, merged by the rank of the pair
 *
 * A kind is one row: struct phi_tokenizer_kind. */
#ifndef PHI_SRC_TOKENIZER_PARTS_H
#define PHI_SRC_TOKENIZER_PARTS_H

#include "hash.h"
#include "pretokenizer.h"
#include "tokenizer.h"

enum {
    MAX_SPECIAL = 255, /* bytes of a token that text is searched for: bounds the work per byte of text */
    MAX_TOKEN = INT32_MAX - 1
};

enum type { NORMAL = 1, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE }; /* tokenizer.ggml.token_type */

/* What a token is to us: its type in the file and its text decide. */
enum role {
    ROLE_PIECE,   /* ordinary text */
    ROLE_BYTE,    /* <0x00> ... <0xFF> */
    ROLE_USER,    /* a user-defined token outside the family: parsed like a control token, but has text */
    ROLE_CONTROL, /* parsed on request; no text of its own */
    ROLE_FILLER   /* pads the vocabulary to a round size: never parsed, no text */
};

struct token {
    const char *text;  /* as in the file */
    const char *plain; /* what it puts out */
    uint32_t n, n_plain;
    float score; /* 0 where the kind has none */
    uint8_t role;
    bool lstrip, rstrip; /* swallows the white space to its left, right */
    bool stop;
};

/* A polynomial over the bytes, modulo the prime 2^31-1, in two lanes with a base each (high and low half). The hash
 * of a concatenation follows from those of its parts, so that testing a pair costs the same however long it is. The
 * bases are drawn at open: no file can be made of texts that collide. */
typedef uint64_t hash_t;

struct slot { /* of an open-addressing table */
    uint32_t tag;
    int32_t id1; /* id + 1; 0: empty */
};

struct index {
    struct slot *slot;
    int shift;    /* 64 - log2(number of slots) */
    uint32_t max; /* length of the longest text */
};

struct merge {
    int32_t left, right, id; /* the tokens left and right become id */
};

struct phi_tokenizer {
    const struct phi_tokenizer_kind *kind;
    struct token *token;
    int n_vocab;
    int32_t bos;
    bool add_bos;
    int32_t byte_id[256]; /* -1: no token is this byte alone */
    char *plain;          /* texts of the tokens that put out something else than their text in the file */
    struct index pieces, specials;
    bool special_first[256]; /* bytes that a special token begins with */
    bool special_length[MAX_SPECIAL + 1];
    hash_t base; /* two lanes */
    uint64_t multiplier;

    /* SentencePiece */
    bool cut_at_space; /* no piece has a ▁ behind another character: words can be merged one by one */
    char byte_text[256];
    hash_t *power; /* power[n] = base^n for n = 0..pieces.max */

    /* Byte-level */
    const struct phi_pretokenizer *pre;
    struct merge *merge; /* merge[rank] */
    int32_t *merge_slot; /* rank + 1; 0: empty */
    int merge_shift;     /* 64 - log2(number of slots) */
};

/* ---- Kinds ----------------------------------------------------------------------------------------------------- */

/* Tokens that are control tokens by their text, whatever type the file gives them. */
struct phi_tokenizer_name {
    const char *text;
    unsigned flags;
};

enum { /* flags of a name; the rest are bits of families in which it swallows white space */
       NAME_STOP = 1,
       NAME_NUMBERED = 2, /* with a number before the last two characters */
       NAME_FAMILY = 4    /* the first of the families' bits */
};
enum { FAMILY_LEFT = 1 }; /* of a family: its tokens swallow white space to the left, too */

struct encoder;

struct phi_tokenizer_kind {
    const char *model; /* tokenizer.ggml.model */
    const char *what;  /* for people */
    bool has_scores;
    bool add_bos;                           /* where the file does not say */
    enum type max_type;                     /* of a token */
    const struct phi_tokenizer_name *names; /* up to one with text NULL; all texts begin with '<' */
    /* Bits of the family that the texts tell, never the name of the model. */
    unsigned (*family)(const struct phi_tokenizer *t);
    /* Token texts, types and roles are there: check what only this kind has, set plain, index the pieces. PHI_MEMORY
     * without a sentence; else as phi_tokenizer_open(). */
    int (*open)(struct phi_tokenizer *t, const struct phi_gguf *g, phi_error *err);
    /* Ids of text without special tokens. False: no memory. */
    bool (*encode)(struct encoder *e, const char *s, size_t n);
};

extern const struct phi_tokenizer_kind phi_tokenizer_spm, phi_tokenizer_bpe;

/* tokenizer.c: an array that a vocabulary must have. element: PHI_GGUF_I32 stands for any integer type. */
int phi_tokenizer_array(const struct phi_gguf *g, const char *key, enum phi_gguf_type element,
                        const struct phi_gguf_kv **out, phi_error *err);
bool phi_tokenizer_has(const struct phi_tokenizer *t, const char *text); /* a control token of this text? */

/* ---- tokenizer_index.c ----------------------------------------------------------------------------------------- */

static inline uint64_t reduce(uint64_t x) { /* x < 2^62 + 2^31 -> x modulo the prime */
    const uint64_t prime = 0x7fffffff;
    x = (x & prime) + (x >> 31);
    x = (x & prime) + (x >> 31);
    return x >= prime ? x - prime : x;
}

/* a * b + c, lane by lane */
static inline hash_t lanes(hash_t a, hash_t b, hash_t c) {
    const uint64_t low = 0xffffffff;
    return reduce((a >> 32) * (b >> 32) + (c >> 32)) << 32 | reduce((a & low) * (b & low) + (c & low));
}

static inline hash_t hash_byte(const struct phi_tokenizer *t, hash_t h, char c) {
    uint64_t v = (uint64_t)(uint8_t)c + 1;
    return lanes(h, t->base, v << 32 | v);
}

static inline hash_t hash_text(const struct phi_tokenizer *t, const char *s, size_t n) {
    hash_t h = 0;
    for (size_t i = 0; i < n; i++) h = hash_byte(t, h, s[i]);
    return h;
}

/* Before everything else. */
void phi_index_choose_hash(struct phi_tokenizer *t);
bool phi_index_alloc(struct index *x, size_t n_text);
/* h is the hash of s. -1: no such text. */
int32_t phi_index_find(const struct phi_tokenizer *t, const struct index *x, hash_t h, const char *s, size_t n);
/* Of equal texts the first wins. */
void phi_index_add(struct phi_tokenizer *t, struct index *x, int32_t id);

/* ---- tokenizer_merge.c ----------------------------------------------------------------------------------------- */

static const uint32_t none = UINT32_MAX;

struct symbol {
    uint32_t at, n;      /* bytes in the encoder's text; n: as of the token's text in the file. n = 0: merged into
                            the one to its left */
    uint32_t prev, next; /* neighbours; none at the ends */
    hash_t hash;
    int32_t id; /* the token that it is; -1: still a character */
};

struct pair {     /* two neighbours that make a piece */
    uint64_t key; /* the priority, then the position: the largest goes first */
    hash_t hash;  /* of the piece */
    uint32_t right;
    int32_t id; /* of the piece */
};

/* One run of phi_tokenizer_encode(): where ids go, and the word at hand. */
struct encoder {
    const struct phi_tokenizer *t;
    int32_t *ids;
    size_t cap;
    int64_t n_id;
    char *text;
    struct symbol *symbol;
    struct pair *pair; /* a heap */
    size_t n_text, n_symbol, n_pair, cap_text, cap_symbol, cap_pair;
};

/* The piece that two neighbours make: sets pair->id and ->hash and returns true; *priority: the largest goes first.
 */
typedef bool phi_find_pair(const struct encoder *e, const struct symbol *a, const struct symbol *b, struct pair *pair,
                           uint32_t *priority);

void phi_encoder_emit(struct encoder *e, int32_t id);
/* p with room for need items: p itself, or moved. NULL: no memory, and p is still valid. */
void *phi_encoder_grow(void *p, size_t *cap, size_t need, size_t item_size);
/* Append a symbol (prev and next are set here). False: no memory. */
bool phi_encoder_add(struct encoder *e, struct symbol symbol);
/* Merge the pair of the highest priority, leftmost of equals, until there is none. Then the symbols are those that
 * next leads to from the first. False: no memory. */
bool phi_encoder_merge(struct encoder *e, phi_find_pair *find);

#endif
