/* A model file as a JSON object. What stands in the file is escaped; bytes that are not UTF-8 become U+FFFD. */
#include "info_json.h"
#include "../json.h"

#include <math.h>
#include <string.h>

static void put_text(const char *name, const char *text, size_t n) {
    size_t used;
    cli_putf(",\"%s\":\"", name);
    for (size_t i = 0; i < n; i += used) {
        char out[PHI_JSON_ESCAPE_SIZE];
        size_t length = phi_json_escape(text + i, n - i, out, &used);
        cli_put(out, length);
    }
    cli_put("\"", 1);
}

static void put_real(double v, int digits) {
    if (isfinite(v)) cli_putf(",\"value\":%.*g", digits, v);
    else cli_putf(",\"value\":null"); /* JSON has no such number */
}

static void put_value(const struct phi_gguf_kv *kv) {
    size_t size = phi_gguf_type_size(kv->type);
    uint64_t u = size ? phi_little_endian(kv->data, size) : 0, sign = size && size < 8 ? 1ull << (8 * size - 1) : 0;
    uint32_t low = (uint32_t)u;
    const uint8_t *at = kv->data;
    struct phi_str s;
    float f;
    double d;
    memcpy(&f, &low, sizeof f);
    memcpy(&d, &u, sizeof d);
    switch (kv->type) {
    case PHI_GGUF_STRING:
        s = phi_gguf_next_str(&at);
        put_text("value", s.s, (size_t)s.n);
        break;
    case PHI_GGUF_ARRAY:
        cli_putf(",\"element\":\"%s\",\"n\":%llu", phi_gguf_type_name(kv->element), (unsigned long long)kv->n);
        break;
    case PHI_GGUF_F32:
        put_real((double)f, 9);
        break;
    case PHI_GGUF_F64:
        put_real(d, 17);
        break;
    case PHI_GGUF_BOOL:
        cli_putf(",\"value\":%s", u ? "true" : "false");
        break;
    case PHI_GGUF_I8:
    case PHI_GGUF_I16:
    case PHI_GGUF_I32:
    case PHI_GGUF_I64:
        cli_putf(",\"value\":%lld", (long long)(int64_t)((u ^ sign) - sign));
        break;
    default:
        cli_putf(",\"value\":%llu", (unsigned long long)u);
        break;
    }
}

static void put_types(const struct phi_gguf *g) {
    bool first = true;
    cli_putf(",\"types\":[");
    for (int t = 0; t < PHI_N_TYPE; t++) {
        uint64_t bytes, n = phi_gguf_count(g, (enum phi_type_index)t, &bytes);
        if (!n) continue;
        cli_putf("%s{\"type\":\"%s\",\"tensors\":%llu,\"bytes\":%llu}", first ? "" : ",", phi_types[t].name,
                 (unsigned long long)n, (unsigned long long)bytes);
        first = false;
    }
    cli_putf("]");
}

void cli_info_json(const char *path, const struct phi_gguf *g, const struct phi_model_info *m, const char *sha256,
                   bool verified) {
    const struct {
        const char *name;
        int value;
    } numbers[] = {{"n_ctx_train", m->n_ctx_train}, {"n_embd", m->n_embd},     {"n_layer", m->n_layer},
                   {"n_head", m->n_head},           {"n_head_kv", m->n_head_kv}, {"head_dim", m->head_dim},
                   {"n_rot", m->n_rot},             {"n_ff", m->n_ff},         {"n_vocab", m->n_vocab},
                   {"window", m->window},           {"n_ctx_original", m->n_ctx_original}};
    cli_putf("{\"v\":1");
    put_text("file", path, strlen(path));
    put_text("name", m->name, strlen(m->name));
    put_text("architecture", m->architecture, strlen(m->architecture));
    put_text("type", m->type, strlen(m->type));
    cli_putf(",\"gguf\":%u,\"file_bytes\":%llu,\"tensor_bytes\":%llu,\"n_params\":%llu,\"n_tensors\":%llu",
             (unsigned)g->version, (unsigned long long)m->file_bytes, (unsigned long long)m->tensor_bytes,
             (unsigned long long)m->n_params, (unsigned long long)g->n_tensor);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) cli_putf(",\"%s\":%d", numbers[i].name, numbers[i].value);
    cli_putf(",\"long_rope\":%s", m->long_rope ? "true" : "false");
    if (*m->warning) put_text("warning", m->warning, strlen(m->warning));
    if (*sha256) put_text("sha256", sha256, strlen(sha256));
    if (verified) cli_putf(",\"verified\":true");
    put_types(g);
    cli_putf(",\"kv\":[");
    for (uint64_t i = 0; i < g->n_kv; i++) {
        cli_putf("%s{\"type\":\"%s\"", i ? "," : "", phi_gguf_type_name(g->kv[i].type));
        put_text("key", g->kv[i].key.s, (size_t)g->kv[i].key.n);
        put_value(&g->kv[i]);
        cli_put("}", 1);
    }
    cli_putf("]}\n");
}
