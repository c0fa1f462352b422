/* Names that the years gave to the same things: rope_scaling became rope_parameters, "su" longrope, and what stood beside
 * moved inside. Formulas: section 2.2 of the family's facts. */
#include "hf_config.h"
#include "file.h"
#include "safetensors.h"

#include <math.h>
#include <string.h>

struct reader {
    const struct phi_json *j;
    uint32_t rope; /* rope_scaling or rope_parameters; 0: neither */
    const char *folder;
    phi_error *err;
    int status; /* the first failure */
};

static void fail(struct reader *r, const char *key, const char *what) {
    if (!r->status) r->status = phi_file_fail(r->folder, r->err, PHI_MODEL, "config.json: %s %s", key, what);
}

/* A member that is there and not null: of the object itself, or of its part about rotation. */
static uint32_t get(const struct reader *r, const char *key) {
    uint32_t v = phi_json_get(r->j, 0, key);
    if ((!v || r->j->node[v].kind == PHI_JSON_NULL) && r->rope) v = phi_json_get(r->j, r->rope, key);
    return v && r->j->node[v].kind != PHI_JSON_NULL ? v : 0;
}

/* fallback < 0: it must be there. */
static int get_int(struct reader *r, const char *key, int64_t min, int64_t max, int64_t fallback) {
    int64_t v = fallback;
    uint32_t at = get(r, key);
    if (!at && fallback < 0) fail(r, key, "is missing");
    if (at && (!phi_json_i64(r->j, at, &v) || v < min || v > max)) fail(r, key, "is out of range");
    return r->status ? 1 : (int)v;
}

static double get_real(struct reader *r, const char *key, double min, double max, double fallback) {
    double v = fallback;
    uint32_t at = get(r, key);
    if (at && (!phi_json_f64(r->j, at, &v) || !(v >= min && v <= max))) fail(r, key, "is out of range");
    return v;
}

static void get_factors(struct reader *r, const char *key, int n, float *out) {
    uint32_t list = phi_json_get(r->j, r->rope, key), n_read = 0;
    bool good = list && r->j->node[list].kind == PHI_JSON_ARRAY && r->j->node[list].n == (uint32_t)n;
    for (uint32_t v = good ? phi_json_first(r->j, list) : 0; v; v = phi_json_after(r->j, list, v)) {
        double factor;
        if (!phi_json_f64(r->j, v, &factor) || !(factor > 0 && factor < 1e30)) good = false;
        else out[n_read++] = (float)factor;
    }
    if (!good) fail(r, key, "is not a list of a positive number for each pair of rotated dimensions");
}

static void read_rope(struct reader *r, struct phi_hf_config *c) {
    uint32_t type = r->rope ? phi_json_get(r->j, r->rope, "rope_type") : 0;
    if (r->rope && !type) type = phi_json_get(r->j, r->rope, "type");
    if (!type || phi_json_is(r->j, type, "default")) return;
    bool yarn = phi_json_is(r->j, type, "yarn");
    if (!yarn && !phi_json_is(r->j, type, "su") && !phi_json_is(r->j, type, "longrope")) {
        fail(r, "rope_scaling", "has a type that no model of this family has");
        return;
    }
    double factor = (double)c->n_ctx / c->n_ctx_original;
    c->long_rope = true;
    c->attn_factor = factor <= 1 ? 1 : yarn ? 0.1 * log(factor) + 1 : sqrt(1 + log(factor) / log(c->n_ctx_original));
    c->attn_factor = get_real(r, "attention_factor", 1e-3, 1e3, c->attn_factor);
    get_factors(r, "long_factor", c->n_rot / 2, c->long_factor);
    get_factors(r, "short_factor", c->n_rot / 2, c->short_factor);
}

static void check_architecture(struct reader *r) {
    uint32_t list = get(r, "architectures");
    if (list && r->j->node[list].kind == PHI_JSON_ARRAY && phi_json_is(r->j, phi_json_first(r->j, list), "Phi3ForCausalLM")) return;
    char quoted[PHI_QUOTE_SIZE];
    const char *found = "nothing";
    uint32_t first = list && r->j->node[list].kind == PHI_JSON_ARRAY ? phi_json_first(r->j, list) : 0;
    if (first && r->j->node[first].kind == PHI_JSON_STRING) found = phi_json_text(r->j, first);
    r->status = phi_file_fail(r->folder, r->err, PHI_MODEL, "config.json: architectures is '%s', expected 'Phi3ForCausalLM'",
                              phi_quote(quoted, found, strlen(found)));
}

static void read_all(struct reader *r, struct phi_hf_config *c) {
    enum { WIDE = 1 << 20 };
    check_architecture(r);
    c->n_embd = get_int(r, "hidden_size", 1, WIDE, -1);
    c->n_ff = get_int(r, "intermediate_size", 1, WIDE / 2, -1);
    c->n_layer = get_int(r, "num_hidden_layers", 1, 4096, -1);
    c->n_head = get_int(r, "num_attention_heads", 1, WIDE, -1);
    c->n_head_kv = get_int(r, "num_key_value_heads", 1, WIDE, c->n_head);
    c->head_dim = get_int(r, "head_dim", 1, PHI_HF_MAX_FACTORS, c->n_embd / c->n_head);
    c->n_vocab = get_int(r, "vocab_size", 1, 1 << 24, -1);
    c->n_ctx = get_int(r, "max_position_embeddings", 2, WIDE, -1);
    c->n_ctx_original = get_int(r, "original_max_position_embeddings", 2, WIDE, c->n_ctx);
    c->window = get_int(r, "sliding_window", 0, INT32_MAX - 1, 0);
    c->norm_eps = get_real(r, "rms_norm_eps", 1e-12, 1, 1e-5);
    c->rope_theta = get_real(r, "rope_theta", 1, 1e12, 10000);
    if (r->status) return;
    if (c->head_dim < 1 || c->head_dim > PHI_HF_MAX_FACTORS || (int64_t)c->head_dim * c->n_head > WIDE || c->n_head % c->n_head_kv)
        fail(r, "num_attention_heads", "does not fit hidden_size and num_key_value_heads");
    double rotated = get_real(r, "partial_rotary_factor", 0.001, 1, 1) * c->head_dim;
    c->n_rot = (int)rotated;
    if (c->n_rot < 2 || c->n_rot % 2) fail(r, "partial_rotary_factor", "gives no even number of rotated dimensions");
    if (!r->status) read_rope(r, c);
    uint32_t tied = get(r, "tie_word_embeddings");
    c->tied = tied && r->j->node[tied].kind == PHI_JSON_TRUE;
    c->bos = phi_hf_id(r->j, 0, "bos_token_id");
    c->eos = phi_hf_id(r->j, 0, "eos_token_id");
    c->pad = phi_hf_id(r->j, 0, "pad_token_id");
}

int64_t phi_hf_id(const struct phi_json *j, uint32_t object, const char *key) {
    uint32_t v = phi_json_get(j, object, key);
    int64_t id;
    if (v && j->node[v].kind == PHI_JSON_ARRAY) v = phi_json_first(j, v);
    return v && phi_json_i64(j, v, &id) && id >= 0 && id <= INT32_MAX ? id : -1;
}

int phi_hf_config_read(const char *folder, struct phi_hf_config *c, phi_error *err) {
    struct phi_json j;
    memset(c, 0, sizeof *c);
    int found = phi_folder_json(folder, "config.json", &j, err);
    if (found < 0) return found;
    if (!found) return phi_file_fail(folder, err, PHI_MODEL, "has no config.json: not the folder of a model");
    struct reader r = {.j = &j, .folder = folder, .err = err};
    r.rope = phi_json_get(&j, 0, "rope_parameters");
    if (!r.rope) r.rope = phi_json_get(&j, 0, "rope_scaling");
    if (r.rope && j.node[r.rope].kind != PHI_JSON_OBJECT) r.rope = 0;
    read_all(&r, c);
    phi_json_close(&j);
    return r.status;
}
