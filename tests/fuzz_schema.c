/* Any bytes as a JSON schema and as a pattern: neither may hang or leak; what is refused has a sentence; what a
 * pattern's automaton accepts does not depend on how it was reached. */
#include "../src/regex.h"
#include "../src/utf8.h"
#include "fuzz_replay.h"

static bool is_utf8(const char *text, size_t n) {
    for (size_t i = 0; i < n;) {
        int length = phi_utf8_length(text + i, n - i);
        if (length < 1) return false;
        i += (size_t)length;
    }
    return true;
}

/* The pattern with itself and with any length is the pattern. The bytes serve as the text, too. */
static void try_pattern(const char *text, size_t n) {
    struct phi_dfa d, any, both;
    phi_error err = {""};
    int status = phi_dfa_open(text, n, &d, &err);
    fuzz_must(status == 0 || (status == PHI_USAGE && !d.next), "status of a pattern", err.text);
    fuzz_must((status == 0) == !err.text[0], "sentence of a pattern", err.text);
    if (status) return;
    fuzz_must(phi_dfa_open_length(0, -1, &any, &err) == 0, "any length", err.text);
    const struct phi_dfa *other[] = {&any, &d};
    for (int i = 0; i < 2; i++) {
        status = phi_dfa_intersect(&d, other[i], &both, &err);
        fuzz_must(status == 0 || status == PHI_USAGE, "status of an intersection", err.text);
        if (status) continue;
        for (size_t k = 0; k <= n && k < 40; k++)
            if (is_utf8(text, k))
                fuzz_must(phi_dfa_accepts(&both, text, k) == phi_dfa_accepts(&d, text, k), "two verdicts", "");
        phi_dfa_close(&both);
    }
    phi_dfa_close(&any);
    phi_dfa_close(&d);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    phi_error err = {""};
    phi_grammar *grammar = NULL;
    char *text = fuzz_copy(data, n);
    int status = phi_grammar_open_schema(NULL, text, n, &grammar, &err);
    fuzz_must(!grammar && (status == 0 || status == PHI_USAGE), "status", err.text);
    fuzz_must_say(status != 0, &err);
    if (is_utf8(text, n)) try_pattern(text, n);
    free(text);
    fuzz_must(phi_memory_live() == 0, "leak", err.text);
    return 0;
}
