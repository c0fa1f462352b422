/* Any bytes as a JSON text, and as a text that is written as JSON: parsing must answer with success or the status
 * asked for and a sentence, what it accepts must be sound, and what is escaped must come back. */
#include "../src/json.h"
#include "../src/utf8.h"
#include "fuzz_replay.h"

/* Every node lies inside the one around it, and is reached by walking; strings are UTF-8. */
static void must_be_sound(const struct phi_json *j, size_t n) {
    for (uint32_t v = 0; v < j->n_node; v++) {
        const struct phi_json_node *node = &j->node[v];
        const char *text = phi_json_text(j, v);
        int64_t i;
        double f;
        uint32_t count = 0, at = v + 1;
        if (node->kind >= PHI_JSON_NUMBER && node->kind != PHI_JSON_ARRAY && node->kind != PHI_JSON_OBJECT) {
            fuzz_must((size_t)node->at + node->n <= n, "a text outside", "");
            for (size_t k = 0; k < node->n;) {
                int length = phi_utf8_length(text + k, node->n - k);
                fuzz_must(length > 0, "not UTF-8", "");
                k += (size_t)length;
            }
        }
        if (node->kind == PHI_JSON_KEY) {
            fuzz_must(node->next < v && phi_json_get_n(j, node->next, text, node->n) == v + 1, "not found", text);
            continue;
        }
        fuzz_must(node->next > v && node->next <= j->n_node, "an end outside", "");
        if (phi_json_i64(j, v, &i)) fuzz_must(phi_json_f64(j, v, &f) && f == (double)i, "two values", "");
        if (node->kind != PHI_JSON_ARRAY && node->kind != PHI_JSON_OBJECT) continue;
        for (uint32_t k = phi_json_first(j, v); k; k = phi_json_after(j, v, k), count++) {
            fuzz_must(k == at && (node->kind == PHI_JSON_OBJECT) == (j->node[k].kind == PHI_JSON_KEY), "a gap", "");
            at = j->node[node->kind == PHI_JSON_OBJECT ? k + 1 : k].next;
        }
        fuzz_must(at == node->next && count == node->n, "items", "");
    }
}

/* The bytes as a string and as a key come back; what is not UTF-8 as U+FFFD. */
static void check_escape(const char *text, size_t n) {
    struct phi_json j;
    phi_error err = {""};
    size_t n_out = 0, n_wanted = 0, used;
    char *out = malloc(2 * PHI_JSON_ESCAPE_SIZE * n + 8), *wanted = malloc(3 * n + 1);
    out[n_out++] = '{';
    for (int k = 0; k < 2; k++) {
        out[n_out++] = '"';
        for (size_t i = 0; i < n; i += used) {
            size_t length = phi_json_escape(text + i, n - i, out + n_out, &used);
            fuzz_must(length >= 1 && length <= PHI_JSON_ESCAPE_SIZE && used >= 1 && used <= n - i, "escape", "");
            n_out += length;
            if (k) continue;
            bool whole = phi_utf8_length(text + i, n - i) == (int)used;
            memcpy(wanted + n_wanted, whole ? text + i : "\xef\xbf\xbd", whole ? used : 3);
            n_wanted += whole ? used : 3;
        }
        memcpy(out + n_out, k ? "\"}" : "\":", 2);
        n_out += 2;
    }
    char *copy = fuzz_copy(out, n_out);
    fuzz_must(phi_json_open(&j, copy, n_out, "escaped", PHI_MODEL, &err) == 0 && j.n_node == 3, "escaped", err.text);
    free(copy);
    for (uint32_t v = 1; v <= 2; v++)
        fuzz_must(j.node[v].n == n_wanted && memcmp(phi_json_text(&j, v), wanted, n_wanted) == 0, "another text", "");
    phi_json_close(&j);
    free(out);
    free(wanted);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    struct phi_json j;
    phi_error err = {""};
    char *text = fuzz_copy(data, n);
    int status = phi_json_open(&j, text, n, "fuzz", PHI_MODEL, &err);
    fuzz_must(status == 0 || (status == PHI_MODEL && !j.node), "status", err.text);
    fuzz_must_say(status != 0, &err);
    if (status == 0) must_be_sound(&j, n);
    phi_json_close(&j);
    check_escape(text, n);
    free(text);
    fuzz_must(phi_memory_live() == 0, "leak", err.text);
    return 0;
}
