/* --json: what happens, as one JSON object per line on stdout, flushed at once. Within "v" keys are only added.
 *
 *   {"event":"load","v":1,"model":"..","arch":"phi3","n_ctx":4096,"threads":4,"seed":1234,"load_ms":312.4}
 *   {"event":"prefill","done":512,"total":1800}
 *   {"event":"token","i":0,"id":15043,"bytes":[32,72],"logprob":-0.12,"ms":128.9,"text":" H"}
 *   {"event":"done","reason":"eos","n_prompt":1800,"n_gen":63,"ttft_ms":72100.0,"gen_ms":8123.5,"peak_rss":3265265664}
 *   {"event":"error","code":5,"message":".."}
 *
 * In a chat every event but load and error has "turn", from 1 on. bytes: of the token, exactly. text: what became ready to be shown
 * with it, so that all texts of an answer together are the answer. A token whose bytes are not shown yet (half a character, the
 * beginning of a stop text) has its event together with the next one's, or at the end. Text that no token of this process brings, held
 * back in a session file or of the stop token (--special), stands before that of the next token; "done" has a "text" if none comes. */
#ifndef PHI_CLI_EVENTS_H
#define PHI_CLI_EVENTS_H

#include "statistics.h"

void cli_events_set(bool on);
bool cli_events_on(void);

/* Text as it stands between the quotes of a JSON string, on stdout. */
void cli_events_string(const char *text, size_t n);

/* The functions below do nothing unless events are on. */

void cli_events_load(const char *path, const phi_session *session, uint32_t seed);
void cli_events_begin(size_t turn); /* an answer; 0: this is no chat */
void cli_events_prefill(size_t done, size_t total);
/* A token, chosen from these logits (NULL: unknown). Its text follows by calls of cli_events_text(), until the next token or
 * cli_events_end_token(). */
void cli_events_token(const phi_model *model, int32_t id, const float *logits);
void cli_events_text(const char *bytes, size_t n);
void cli_events_end_token(void);
int cli_events_done(const struct cli_statistics *s); /* CLI_OK; CLI_MEMORY with the error line printed: text is missing */
/* The last event of a program that fails with this code, with the last error line; usage errors have none. */
void cli_events_error(int code);

#endif
