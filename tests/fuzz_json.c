/* Any bytes as a JSON text: parsing must not crash, must answer with success or the status asked for and a sentence, and
 * what it accepts must be sound. For libFuzzer: make CC=clang CFLAGS="-O1 -g -fsanitize=address,undefined,fuzzer-no-link"
 * libphi.a clang -std=c11 -D_GNU_SOURCE -g -fsanitize=address,undefined,fuzzer -DPHI_LIBFUZZER tests/fuzz_json.c
 * libphi.a -lm Without PHI_LIBFUZZER it is a program that replays the files of its command line. */
#include "../src/json.h"
#include "../src/memory.h"
#include "../src/utf8.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void must(int holds, const char *what, const char *found) {
    if (holds) return;
    fprintf(stderr, "%s: %s\n", what, found);
    abort();
}

/* Every node lies inside the one around it, and is reached by walking; strings are UTF-8. */
static void must_be_sound(const struct phi_json *j, size_t n) {
    for (uint32_t v = 0; v < j->n_node; v++) {
        const struct phi_json_node *node = &j->node[v];
        const char *text = phi_json_text(j, v);
        int64_t i;
        double f;
        uint32_t count = 0, at = v + 1;
        if (node->kind >= PHI_JSON_NUMBER && node->kind != PHI_JSON_ARRAY && node->kind != PHI_JSON_OBJECT) {
            must((size_t)node->at + node->n <= n, "a text outside", "");
            for (size_t k = 0; k < node->n;) {
                int length = phi_utf8_length(text + k, node->n - k);
                must(length > 0, "not UTF-8", "");
                k += (size_t)length;
            }
        }
        if (node->kind == PHI_JSON_KEY) {
            must(node->next < v && phi_json_get_n(j, node->next, text, node->n) == v + 1, "not found", text);
            continue;
        }
        must(node->next > v && node->next <= j->n_node, "an end outside", "");
        if (phi_json_i64(j, v, &i)) must(phi_json_f64(j, v, &f) && f == (double)i, "two values", "");
        if (node->kind != PHI_JSON_ARRAY && node->kind != PHI_JSON_OBJECT) continue;
        for (uint32_t k = phi_json_first(j, v); k; k = phi_json_after(j, v, k), count++) {
            must(k == at && (node->kind == PHI_JSON_OBJECT) == (j->node[k].kind == PHI_JSON_KEY), "a gap", "");
            at = j->node[node->kind == PHI_JSON_OBJECT ? k + 1 : k].next;
        }
        must(at == node->next && count == node->n, "items", "");
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    struct phi_json j;
    phi_error err = {""};
    char *text = malloc(n ? n : 1); /* of just that size */
    memcpy(text, data, n);
    int status = phi_json_open(&j, text, n, "fuzz", PHI_MODEL, &err);
    free(text);
    must(status == 0 || (status == PHI_MODEL && !j.node), "status", err.text);
    must((status == 0) == !err.text[0] && !strchr(err.text, '\n'), "sentence", err.text);
    if (status == 0) must_be_sound(&j, n);
    phi_json_close(&j);
    must(phi_memory_live() == 0, "leak", err.text);
    return 0;
}

#include "fuzz_replay.h"
