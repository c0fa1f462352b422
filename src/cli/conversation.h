/* One conversation: the turns so far, their token ids, and the session that has computed them. */
#ifndef PHI_CLI_CONVERSATION_H
#define PHI_CLI_CONVERSATION_H

#include "prompt.h"
#include "saved.h"
#include "statistics.h"

/* A message and its answer. Ids never change once they are there (but for the first message, which carries the system
 * prompt): what has been computed is not tokenized again.
 *
 *     ids   | begin ..           | answer ..       | begin of the next turn ..
 *           | message's ids      | answer's tokens | closing of the answer, next message
 */
struct cli_turn {
    struct cli_text message;
    size_t begin, answer;
    size_t hidden;    /* bytes at the end of the answer that were not put out: a stop text begins in its last token */
    unsigned attempt; /* how often the answer was made again */
};

struct cli_conversation {
    const struct cli_options *o; /* the sampler's options and n_predict may be changed between answers */
    const phi_model *model;
    phi_session *session;
    int n_ctx;
    uint32_t seed;
    bool skip_space; /* answers of this model begin with a space that is not theirs */
    struct cli_text system;
    int32_t *ids; /* [n_ctx + 1]: the last token of an answer may be one that there is no room to compute */
    size_t n_id;
    struct cli_turn *turn;
    size_t n_turn, room;
    struct cli_statistics last; /* of the last answer */
    bool wraps;                 /* break answers on the terminal between words */
    struct cli_saved *cache;    /* what is computed of the first message is kept there, and taken from there; or NULL */
    bool ended;                 /* --on-overflow stop: there was no room for a message */
};

/* Open the session, too. The system prompt in *system changes owner. The exit code, with the error line printed;
 * close in any case. */
int cli_conversation_open(struct cli_conversation *c, const struct cli_options *o, const phi_model *model,
                          struct cli_text *system);
void cli_conversation_close(struct cli_conversation *c);

/* Append a message (its bytes are copied) and put the answer out on stdout. CLI_CONTEXT, with the reason printed and
 * nothing changed: there is no room for it. Other errors end the conversation. */
int cli_conversation_say(struct cli_conversation *c, const char *text, size_t n);
int cli_conversation_again(
    struct cli_conversation *c); /* another answer to the last message, of which there is one */
void cli_conversation_undo(struct cli_conversation *c, size_t n_turn); /* at most those that there are */
size_t cli_conversation_used(const struct cli_conversation *c);        /* tokens of the context */
/* Another system prompt, from the first message on; takes *system over unless it does not fit (CLI_CONTEXT). */
int cli_conversation_set_system(struct cli_conversation *c, struct cli_text *system);

/* The bytes of a turn's answer; the caller frees them. */
int cli_conversation_answer(const struct cli_conversation *c, size_t turn, struct cli_text *out);

#endif
