/* phi info: what is in a model file. Metadata is printed line by line as llama.cpp prints it. Everything that comes
 * from the file is escaped and cut short. The file is checked completely first: a bad one gives its error and no
 * output. */
#include "commands.h"
#include "info_json.h"
#include "model_file.h"
#include "sandbox.h"
#include "../gguf.h"
#include "../kernels/kernels.h"
#include "../sha256.h"

#include <stdio.h>
#include <string.h>

enum { SHOWN = 40 }; /* bytes of a value */

struct value { /* text under construction, cut at SHOWN */
    char text[512];
    size_t n;
};

static void add(struct value *v, const char *text, size_t n) {
    size_t room = sizeof v->text - 1 - v->n;
    if (n > room) n = room;
    memcpy(v->text + v->n, text, n);
    v->n += n;
    v->text[v->n] = 0;
}

/* A string of the file; \ and the line ends as people write them. */
static void add_string(struct value *v, struct phi_str s) {
    size_t used;
    for (size_t i = 0; i < s.n && v->n <= SHOWN; i += used) {
        char shown[4];
        size_t length = cli_escape_next(s.s + i, s.n - i, 0, shown, &used);
        if (s.s[i] == '\n')
            add(v, "\\n", 2);
        else if (s.s[i] == '\\')
            add(v, "\\\\", 2);
        else
            add(v, shown, length);
    }
}

/* The scalar at data; returns how many bytes it takes. */
static size_t add_scalar(struct value *v, enum phi_gguf_type type, const uint8_t *data) {
    static const unsigned char sizes[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
    char text[400]; /* %f of the largest double takes 317 */
    uint64_t u = 0;
    size_t size = sizes[type];
    for (size_t i = 0; i < size; i++) u |= (uint64_t)data[i] << 8 * i;
    uint64_t sign = size && size < 8 ? 1ull << (8 * size - 1) : 0;
    int64_t s = (int64_t)((u ^ sign) - sign);
    uint32_t low = (uint32_t)u;
    float f;
    double d;
    memcpy(&f, &low, sizeof f);
    memcpy(&d, &u, sizeof d);
    int n = 0;
    switch (type) {
    case PHI_GGUF_I8:
    case PHI_GGUF_I16:
    case PHI_GGUF_I32:
    case PHI_GGUF_I64:
        n = snprintf(text, sizeof text, "%lld", (long long)s);
        break;
    case PHI_GGUF_F32:
        n = snprintf(text, sizeof text, "%f", (double)f);
        break;
    case PHI_GGUF_F64:
        n = snprintf(text, sizeof text, "%f", d);
        break;
    case PHI_GGUF_BOOL:
        n = snprintf(text, sizeof text, "%s", u ? "true" : "false");
        break;
    default:
        n = snprintf(text, sizeof text, "%llu", (unsigned long long)u);
        break;
    }
    add(v, text, (size_t)n);
    return size;
}

static void add_array(struct value *v, const struct phi_gguf_kv *kv) {
    const uint8_t *at = kv->data;
    add(v, "[", 1);
    for (uint64_t i = 0; i < kv->n && v->n <= SHOWN; i++) {
        if (i) add(v, ", ", 2);
        if (kv->element == PHI_GGUF_STRING) {
            add(v, "\"", 1);
            add_string(v, phi_gguf_next_str(&at));
            add(v, "\"", 1);
        } else {
            at += add_scalar(v, kv->element, at);
        }
    }
    add(v, "]", 1);
}

/* No more than SHOWN bytes, whole characters, "..." at the end of what was cut. */
static void cut(struct value *v) {
    if (v->n <= SHOWN) return;
    size_t keep = SHOWN - 3;
    while (keep && ((unsigned char)v->text[keep] & 0xc0) == 0x80) keep--;
    memcpy(v->text + keep, "...", 4);
    v->n = keep + 3;
}

static void put_kv(uint64_t index, const struct phi_gguf_kv *kv) {
    struct value key = {"", 0}, value = {"", 0};
    char type[64];
    const uint8_t *at = kv->data;
    size_t used;
    for (size_t i = 0; i < kv->key.n && key.n < 64; i += used) {
        char shown[4];
        size_t length = cli_escape_next(kv->key.s + i, kv->key.n - i, 0, shown, &used);
        add(&key, shown, length);
    }
    if (kv->type == PHI_GGUF_ARRAY)
        snprintf(type, sizeof type, "arr[%s,%llu]", phi_gguf_type_name(kv->element), (unsigned long long)kv->n);
    else
        snprintf(type, sizeof type, "%s", phi_gguf_type_name(kv->type));
    if (kv->type == PHI_GGUF_ARRAY)
        add_array(&value, kv);
    else if (kv->type == PHI_GGUF_STRING)
        add_string(&value, phi_gguf_next_str(&at));
    else
        add_scalar(&value, kv->type, kv->data);
    cut(&value);
    cli_putf("- kv %3llu: %42s %-16s = %s\n", (unsigned long long)index, key.text, type, value.text);
}

/* The level that runs this format's matrix products at best: its own name, or the reference. */
static const char *kernel_of(enum phi_type_index type) {
    const char *found = NULL, *name;
    for (int i = 0; (name = phi_kernels_level(i)); i++)
        if (phi_kernels_has_matmul(name, type) && (!found || !phi_kernels_has_matmul(found, type))) found = name;
    return found ? found : "reference (none of its own)";
}

static void put_types(const struct phi_gguf *g) {
    for (int t = 0; t < PHI_N_TYPE; t++) {
        uint64_t bytes, n = phi_gguf_count(g, (enum phi_type_index)t, &bytes);
        if (n)
            cli_putf("- type %6s: %4llu tensors, %10.2f MiB, kernel: %s\n", phi_types[t].name, (unsigned long long)n,
                     (double)bytes / 1048576, kernel_of((enum phi_type_index)t));
    }
}

static void put_size(const char *label, uint64_t bytes) {
    bool large = bytes >= 1ull << 30;
    cli_putf("%-15s = %.2f %s\n", label, (double)bytes / (large ? 1073741824.0 : 1048576.0), large ? "GiB" : "MiB");
}

static void put_summary(const struct phi_gguf *g, const struct phi_model_info *m) {
    const struct {
        const char *label;
        int value;
    } numbers[] = {
        {"n_ctx_train", m->n_ctx_train}, {"n_embd", m->n_embd},     {"n_layer", m->n_layer}, {"n_head", m->n_head},
        {"n_head_kv", m->n_head_kv},     {"head_dim", m->head_dim}, {"n_rot", m->n_rot},     {"n_ff", m->n_ff},
        {"n_vocab", m->n_vocab}};
    cli_putf("%-15s = ", "name");
    cli_put_escaped(m->name, strlen(m->name), 0);
    cli_putf("\n%-15s = %s\n%-15s = GGUF V%u\n", "architecture", m->architecture, "file format",
             (unsigned)g->version);
    cli_putf("%-15s = %s\n", "file type", m->type);
    put_size("file size", m->file_bytes);
    put_size("tensor size", m->tensor_bytes);
    if (m->tensor_bytes == 0) {
        cli_putf("%-15s = none, only a vocabulary\n%-15s = %d\n", "weights", "n_vocab", m->n_vocab);
        return;
    }
    cli_putf("%-15s = %.2f\n%-15s = %llu (%.2f M)\n", "bits per weight",
             8.0 * (double)m->tensor_bytes / (double)m->n_params, "parameters", (unsigned long long)m->n_params,
             (double)m->n_params / 1e6);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        cli_putf("%-15s = %d\n", numbers[i].label, numbers[i].value);
    if (m->window) cli_putf("%-15s = %d (%s)\n", "sliding window", m->window, m->window_rule);
    else cli_putf("%-15s = off (%s)\n", "sliding window", m->window_rule);
    if (m->long_rope) cli_putf("%-15s = short list up to %d tokens, long list beyond\n", "rotary factors", m->n_ctx_original);
    if (m->warning[0]) cli_putf("%-15s = %s\n", "warning", m->warning);
}

/* Of the whole file; a signal ends it, and there is none then. */
static void hash_file(const struct phi_gguf *g, char hex[65]) {
    enum { STEP = 1 << 24 };
    struct phi_sha256 h;
    phi_sha256_begin(&h);
    for (uint64_t at = 0; at < g->file.size && !cli_interrupted(); at += STEP)
        phi_sha256_add(&h, g->file.data + at, (size_t)(g->file.size - at < STEP ? g->file.size - at : STEP));
    phi_sha256_end(&h, hex);
}

static void put_all(const struct cli_options *o, const char *path, const struct phi_gguf *gguf,
                    const struct phi_model_info *info, const char *sha256) {
    bool verified = o->check_tensors && info->tensor_bytes;
    if (o->json) {
        cli_info_json(path, gguf, info, sha256, verified);
        return;
    }
    cli_putf("%-15s = ", "file");
    cli_put_escaped(path, strlen(path), 0);
    cli_put("\n", 1);
    put_summary(gguf, info);
    if (*sha256) cli_putf("%-15s = %s\n", "sha256", sha256);
    if (verified) cli_putf("%-15s = all finite\n", "weights");
    for (uint64_t i = 0; i < gguf->n_kv; i++) put_kv(i, &gguf->kv[i]);
    put_types(gguf);
    cli_putf("best instruction set on this CPU: %s\n",
             strrchr(phi_isa_names(), ' ') ? strrchr(phi_isa_names(), ' ') + 1 : phi_isa_names());
    cli_putf("sandbox: %s\n", cli_sandbox_describe());
}

int cli_info(const struct cli_options *o) {
    char sha256[65] = "";
    struct cli_model_file file;
    struct phi_model_info info;
    struct phi_gguf gguf;
    phi_error err = {""};
    phi_model *model = NULL;
    int status = cli_model_open(o, false, &file, &model);
    if (status) return status;
    phi_model_get_info(model, &info);
    status = phi_gguf_open(file.path, &gguf, &err);
    if (status) {
        phi_model_close(model);
        return cli_fail_with(status, &err);
    }
    if (o->sha256) hash_file(&gguf, sha256);
    if (!cli_interrupted()) put_all(o, file.path, &gguf, &info, sha256);
    phi_gguf_close(&gguf);
    phi_model_close(model);
    return cli_output_status();
}
