/* A tiny Hugging Face folder of a Phi3ForCausalLM, for tests: config.json, and weights in one file or in shards. */
#ifndef PHI_TESTS_HF_FOLDER_H
#define PHI_TESTS_HF_FOLDER_H

#include "gguf_writer.h"

enum { HF_EMBD = 64, HF_FF = 96, HF_LAYERS = 2, HF_VOCAB = 300 }; /* as hf_config_text says */

static char hf_folder[256]; /* the functions below write into it; the test makes it */

static inline void hf_put_file(const char *name, const void *bytes, size_t n) {
    char path[512];
    snprintf(path, sizeof path, "%s/%s", hf_folder, name);
    gguf_write_file(path, bytes, n);
}

static inline void hf_put_text(const char *name, const char *text) {
    hf_put_file(name, text, strlen(text));
}

static inline void hf_remove_file(const char *name) {
    char path[512];
    snprintf(path, sizeof path, "%s/%s", hf_folder, name);
    unlink(path);
}

static const char hf_config_text[] =
    "{\"architectures\": [\"Phi3ForCausalLM\"], \"hidden_size\": 64, \"intermediate_size\": 96, \"num_hidden_layers\": 2,"
    " \"num_attention_heads\": 2, \"num_key_value_heads\": 1, \"vocab_size\": 300, \"max_position_embeddings\": 128,"
    " \"original_max_position_embeddings\": 64, \"rms_norm_eps\": 1e-5, \"rope_theta\": 10000.0, \"sliding_window\": null,"
    " \"bos_token_id\": 1, \"eos_token_id\": [259, 260], \"pad_token_id\": 259, %s}";

static inline void hf_put_config(const char *rest) {
    char text[4096];
    snprintf(text, sizeof text, hf_config_text, rest);
    hf_put_text("config.json", text);
}

struct hf_entry {
    char name[64];
    int rows, cols; /* rows 0: a vector */
};

static inline int hf_list_tensors(struct hf_entry e[32]) {
    static const struct {
        const char *name;
        int rows, cols;
    } layer[] = {{"input_layernorm", 0, HF_EMBD},        {"self_attn.qkv_proj", 128, HF_EMBD},
                 {"self_attn.o_proj", HF_EMBD, HF_EMBD}, {"post_attention_layernorm", 0, HF_EMBD},
                 {"mlp.gate_up_proj", 192, HF_EMBD},     {"mlp.down_proj", HF_EMBD, HF_FF}};
    int n = 0;
    e[n++] = (struct hf_entry){"model.embed_tokens.weight", HF_VOCAB, HF_EMBD};
    for (int i = 0; i < HF_LAYERS; i++)
        for (int k = 0; k < 6; k++) {
            e[n] = (struct hf_entry){"", layer[k].rows, layer[k].cols};
            snprintf(e[n++].name, 64, "model.layers.%d.%s.weight", i, layer[k].name);
        }
    e[n++] = (struct hf_entry){"model.norm.weight", 0, HF_EMBD};
    e[n++] = (struct hf_entry){"lm_head.weight", HF_VOCAB, HF_EMBD};
    return n;
}

/* The tensors first..last-1 as one file; type: of quant.h's plain ones. */
static inline struct gguf_bytes hf_shard(const struct hf_entry *e, int first, int last, const struct phi_type *type) {
    struct gguf_bytes head = {0}, data = {0}, file = {0};
    unsigned long long random = 5;
    gguf_append(&head, "{\"__metadata__\":{\"format\":\"pt\"}", 31);
    for (int i = first; i < last; i++) {
        char text[256];
        size_t n = (size_t)(e[i].rows ? e[i].rows : 1) * (size_t)e[i].cols, begin = data.n;
        random = (unsigned long long)i * 77 + 5;
        for (size_t k = 0; k < n; k++) {
            uint8_t w[4];
            float v = (float)((double)(check_random(&random) >> 11) * 0x1p-52 - 1) * 0.2f + (e[i].rows ? 0.0f : 1.0f), one = 1;
            phi_type_encode_row(type, &v, &one, w, 1);
            gguf_append(&data, w, (size_t)type->bytes);
        }
        int length = e[i].rows ? snprintf(text, sizeof text, ",\"%s\":{\"dtype\":\"%s\",\"shape\":[%d,%d],\"data_offsets\":[%zu,%zu]}",
                                          e[i].name, type->name, e[i].rows, e[i].cols, begin, data.n)
                               : snprintf(text, sizeof text, ",\"%s\":{\"dtype\":\"%s\",\"shape\":[%d],\"data_offsets\":[%zu,%zu]}",
                                          e[i].name, type->name, e[i].cols, begin, data.n);
        gguf_append(&head, text, (size_t)length);
    }
    gguf_append(&head, "}", 1);
    gguf_number(&file, head.n, 8);
    gguf_append(&file, head.p, head.n);
    gguf_append(&file, data.p, data.n);
    free(head.p);
    free(data.p);
    return file;
}

static inline void hf_put_weights(const struct phi_type *type) {
    struct hf_entry e[32];
    struct gguf_bytes b = hf_shard(e, 0, hf_list_tensors(e), type);
    hf_put_file("model.safetensors", b.p, b.n);
    free(b.p);
}

/* The same weights in a.safetensors and b.safetensors, and their index. */
static inline void hf_put_shards(const struct phi_type *type) {
    struct hf_entry e[32];
    int n = hf_list_tensors(e);
    struct gguf_bytes a = hf_shard(e, 0, 6, type), b = hf_shard(e, 6, n, type);
    hf_put_file("a.safetensors", a.p, a.n);
    hf_put_file("b.safetensors", b.p, b.n);
    hf_put_text("model.safetensors.index.json",
                "{\"weight_map\": {\"x\": \"b.safetensors\", \"y\": \"a.safetensors\", \"z\": \"b.safetensors\"}}");
    free(a.p);
    free(b.p);
}

#endif
