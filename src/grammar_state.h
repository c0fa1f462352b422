/* The inside of a grammar's state, for grammar_state.c, which moves it, and grammar_saved.c, which writes it down.
 *
 * A stack is what is left to do: the place of the next character on top, below it where to go on when the rule that this
 * belongs to is over, and so on. Stacks share what they have in common:
 *
 *   nodes   1: (value, behind '{' members) <- 2: (pair, before ':') <- 4: (ws, before [ \t])
 *                                                                <- 5: (pair, before ':') ...
 *
 * A node is a pair (element, node below), and each pair exists once; so a stack is the number of its top node, and a
 * place of the whole answer, the set of all stacks that the text so far allows, is a sorted list of numbers. Places are
 * kept, too, each once, with the places that bytes lead to: a cache that grows as an automaton grows that is made while it
 * runs. Inside a string of JSON nearly all of a token costs one look-up per byte. When something is full, everything is
 * dropped but the two places in use. */
#ifndef PHI_SRC_GRAMMAR_STATE_H
#define PHI_SRC_GRAMMAR_STATE_H

#include "grammar_parts.h"

struct stack_node {
    uint32_t element, below; /* below 0: nothing */
    uint32_t depth;          /* nodes of this stack */
    uint32_t needs;          /* depth that its shortest text comes to */
    uint32_t tokens, steps;  /* of its shortest text, as in struct grammar_rest */
};

struct stack_top {
    uint32_t node; /* 0: the answer may be over */
    uint32_t inside; /* state of the automaton in the middle of a character; 0: at its beginning */
};

struct place {
    uint32_t first, n;  /* its stacks: top[first] ..., ascending */
    uint32_t tokens;    /* upper bound of the shortest completion */
    uint32_t cut;       /* the same, whole texts cut into tokens; NO_CUT: not known yet */
};

enum { NO_CUT = INT32_MAX };
enum { PLACE_UNKNOWN, PLACE_DEAD, PLACE_FIRST }; /* numbers of places; DEAD: no text goes on from there */

enum {
    MAX_VISIT = 1 << 15, /* nodes looked at for one byte */
    MAX_NODE = 2 * (PHI_GRAMMAR_MAX_FRAME + MAX_VISIT) + 1, /* two places, and what one byte adds */
    USUAL_NODE = 1 << 14, /* when to drop what is not in use */
    MAX_PLACE = 2048,
    N_SLOT = 1 << 18,        /* at least 2 MAX_NODE, a power of two */
    MAX_TOP = 8 * PHI_GRAMMAR_MAX_STACK
};

struct phi_grammar_state {
    const phi_grammar *g;
    uint32_t now;       /* the place */
    uint32_t walk;      /* while a token is tried: the place it has come to */
    bool skip_space;    /* the first piece has not come yet */
    bool ended;         /* by a stop token */
    int64_t n_left;     /* -1: no budget */

    struct stack_node *node, *other; /* [MAX_NODE], and where to copy what is kept */
    uint32_t *node_slot;             /* open addressing; node_mask + 1 slots in use */
    uint32_t n_node, node_limit, node_mask;
    uint32_t *moved; /* [MAX_NODE] other numbers of nodes, while they are copied */
    uint32_t *seen;  /* [MAX_NODE] the step that visited them last */
    uint32_t step;

    struct place *place;       /* [MAX_PLACE] */
    struct stack_top *top;     /* [MAX_TOP] */
    uint32_t *place_slot;      /* [2 MAX_PLACE] */
    uint16_t *next;            /* [MAX_PLACE][n_class] */
    uint32_t n_place, n_top;

    /* For one step */
    uint32_t *todo;            /* [MAX_VISIT] nodes */
    struct stack_top *found;   /* [PHI_GRAMMAR_MAX_STACK] */
    struct stack_top *kept;    /* [2 PHI_GRAMMAR_MAX_STACK] for a drop: those of now and walk */
    uint32_t n_todo, n_found, n_frame, n_visit;
    bool over;          /* the empty stack is among the new ones */
    bool full, refused; /* no room: drop and try again; a limit: the byte is not allowed */
    bool limited;       /* has that ever been so? */

    /* For one completion */
    uint8_t *text;   /* [MAX_SHORTEST + 4] */
    uint32_t *state; /* [MAX_SHORTEST + 4] as for phi_grammar_vocab_cut() */
    uint32_t *least; /* [MAX_SHORTEST + 5] */
    uint32_t *path;  /* [MAX_DEPTH + 1] elements */
};

/* For loading. Keep nothing but the places in use; large: then there is room for PHI_GRAMMAR_MAX_FRAME nodes and a
 * place. */
void phi_grammar_state_drop(struct phi_grammar_state *s, bool large);
/* The node (element, below); 0: a limit. */
uint32_t phi_grammar_state_node(struct phi_grammar_state *s, uint32_t element, uint32_t below);
/* The place of the stacks in s->found, in any order; PLACE_DEAD: none, or a limit. */
uint32_t phi_grammar_state_place(struct phi_grammar_state *s);

#endif
