/* The tokenizer on real vocabularies: ids that the SentencePiece library, tiktoken and the tokenizers library give,
 * round trips, special tokens, text that nobody meant well, time, and every allocation failing once. Hostile
 * vocabularies: check_vocabulary.c, check_bpe.c.
 *
 * The byte-level ones are too large to be kept here. Their files are looked for in $PHI_BPE_DIR (else
 * build/tests/bpe): vocab-phi-4.gguf, vocab-phi-4-mini.gguf; and in $PHI_REAL_MODEL: smollm2-135m-q4_1.gguf. */
#include "../src/memory.h"
#include "../src/tokenizer.h"
#include "../src/utf8.h"
#include "check.h"
#include "json.h"

#include <time.h>

enum { MAX_IDS = 1 << 16 };

static char *read_file(const char *path, size_t *n) {
    FILE *f = fopen(path, "rb");
    if (!f) return NULL;
    fseek(f, 0, SEEK_END);
    long size = ftell(f);
    rewind(f);
    char *data = malloc((size_t)size + 1);
    *n = fread(data, 1, (size_t)size, f);
    data[*n] = '\0';
    fclose(f);
    return data;
}

static bool byte_level; /* of the vocabulary at hand: text comes back as it is */

/* A file's tokenizer, its file kept open. */
struct vocabulary {
    struct phi_gguf gguf;
    struct phi_tokenizer *t;
    char path[400];
};

static bool open_vocabulary(struct vocabulary *v, const char *dir, const char *name) {
    phi_error err = {""};
    snprintf(v->path, sizeof v->path, "%s/%s", dir, name);
    FILE *f = fopen(v->path, "rb");
    if (!f) return false;
    fclose(f);
    bool open = phi_gguf_open(v->path, &v->gguf, &err) == 0;
    CHECK(open, "%s", err.text);
    if (!open) return false;
    open = phi_tokenizer_open(&v->gguf, &v->t, &err) == 0;
    CHECK(open, "%s", err.text);
    if (!open) phi_gguf_close(&v->gguf);
    return open;
}

static void close_vocabulary(struct vocabulary *v) {
    phi_tokenizer_close(v->t);
    phi_gguf_close(&v->gguf);
}

/* ---- Ids ------------------------------------------------------------------------------------------------------- */

static int32_t got[MAX_IDS], want[MAX_IDS];

static void check_ids(const struct phi_tokenizer *t, const char *text, size_t n, unsigned flags, size_t n_want) {
    int64_t n_got = phi_tokenizer_encode(t, text, n, flags, got, MAX_IDS);
    size_t first = 0;
    while (first < n_want && (int64_t)first < n_got && got[first] == want[first]) first++;
    CHECK(n_got == (int64_t)n_want && first == n_want, "\"%.*s\": %lld ids, expected %zu; id %zu is %d, expected %d",
          (int)(n < 60 ? n : 60), text, (long long)n_got, n_want, first, (int64_t)first < n_got ? got[first] : -1,
          first < n_want ? want[first] : -1);
}

/* Plain text comes back from its ids; SentencePiece: with one space before it, and ▁ comes back as a space. */
static void check_round_trip(const struct phi_tokenizer *t, const char *text, size_t n) {
    int64_t n_id = phi_tokenizer_encode(t, text, n, 0, got, MAX_IDS);
    CHECK(n_id >= 0 && n_id <= MAX_IDS, "%lld ids", (long long)n_id);
    char *expected = malloc(n + 1), *out = malloc(n + 1);
    size_t n_expected = 0, n_out = 0;
    if (n > 0 && !byte_level) expected[n_expected++] = ' ';
    for (size_t i = 0; i < n; n_expected++) {
        bool space = !byte_level && n - i >= 3 && memcmp(text + i, "\xe2\x96\x81", 3) == 0;
        expected[n_expected] = space ? ' ' : text[i];
        i += space ? 3 : 1;
    }
    bool fits = true;
    for (int64_t i = 0; i < n_id; i++) {
        size_t k;
        const char *bytes = phi_tokenizer_bytes(t, got[i], false, &k);
        if (phi_tokenizer_is_control(t, got[i]) || k == 0 || k > n + 1 - n_out) fits = false;
        if (fits) memcpy(out + n_out, bytes, k);
        if (fits) n_out += k;
    }
    CHECK(fits && n_out == n_expected && memcmp(out, expected, n_out) == 0,
          "\"%.*s\" does not come back (%zu bytes, expected %zu)", (int)(n < 60 ? n : 60), text, n_out, n_expected);
    free(expected);
    free(out);
}

static size_t wanted_ids(const struct json *ids) {
    CHECK(ids && ids->type == JSON_ARRAY && ids->n <= MAX_IDS, "no array of ids");
    for (size_t i = 0; ids && i < ids->n; i++) want[i] = (int32_t)ids->item[i].number;
    return ids ? ids->n : 0;
}

static bool is_true(const struct json *line, const char *key) {
    const struct json *v = json_get(line, key);
    return v && v->truth;
}

/* Calls check for each line of a file of JSON lines. Returns how many there are; 0: there is no such file. */
static long each_line(const struct phi_tokenizer *t, const char *dir, const char *name,
                      void check(const struct phi_tokenizer *t, const struct json *line)) {
    char path[400];
    size_t n_file;
    snprintf(path, sizeof path, "%s/%s", dir, name);
    char *file = read_file(path, &n_file);
    long n_line = 0;
    for (const char *at = file; at && *json_space(at); n_line++) {
        struct json line;
        at = json_parse(at, &line);
        check(t, &line);
        json_clear(&line);
    }
    free(file);
    return n_line;
}

static const char *model; /* only lines of this model count; NULL: all do */
static long n_counted;

/* {"text", "ids"} and perhaps "parse_special", "add_bos", "model", "ids_strip" */
static void check_text(const struct phi_tokenizer *t, const struct json *line) {
    const struct json *of = json_get(line, "model"), *strip = json_get(line, "ids_strip");
    if (model && of && strcmp(of->text, model) != 0) return;
    n_counted++;
    const struct json *text = json_get(line, "text");
    CHECK(text && text->type == JSON_STRING, "a line has no text");
    if (!text) return;
    unsigned flags =
        (is_true(line, "parse_special") ? PHI_PARSE_SPECIAL : 0u) | (is_true(line, "add_bos") ? PHI_ADD_BOS : 0u);
    size_t n_want = wanted_ids(strip ? strip : json_get(line, "ids"));
    if (flags & PHI_ADD_BOS && !phi_tokenizer_add_bos(t)) { /* the line wants what the file does not ask for */
        CHECK(n_want > 0 && want[0] == phi_tokenizer_bos(t), "a line without BOS");
        memmove(want, want + 1, --n_want * sizeof *want);
    }
    check_ids(t, text->text, text->text_n, flags, n_want);
    check_round_trip(t, text->text, text->text_n);
}

/* {"messages": [[role, content] ...], "prompt_ids"}: the messages in the template of the family are what the demo
 * model was trained on. */
static void check_chat(const struct phi_tokenizer *t, const struct json *line) {
    char prompt[8192];
    int n = 0;
    const struct json *messages = json_get(line, "messages");
    for (size_t i = 0; i < messages->n; i++)
        n += snprintf(prompt + n, sizeof prompt - (size_t)n, "<|%s|>\n%s<|end|>\n", messages->item[i].item[0].text,
                      messages->item[i].item[1].text);
    n += snprintf(prompt + n, sizeof prompt - (size_t)n, "<|assistant|>\n");
    check_ids(t, prompt, (size_t)n, PHI_ADD_BOS | PHI_PARSE_SPECIAL, wanted_ids(json_get(line, "prompt_ids")));
}

/* Texts and ids of the pair NAME.inp, NAME.out. */
static long check_inp_out(const struct phi_tokenizer *t, const char *dir, const char *name) {
    static const char between[] = "\n__ggml_vocab_test__\n";
    char path[400];
    size_t n_in, n_out;
    snprintf(path, sizeof path, "%s/%s.inp", dir, name);
    char *in = read_file(path, &n_in);
    snprintf(path, sizeof path, "%s/%s.out", dir, name);
    char *out = read_file(path, &n_out);
    CHECK(in && out, "%s.inp or .out cannot be read", name);
    long n_text = 0;
    for (char *at = in, *line = out; in && out && at && line && *line; n_text++) {
        char *stop = strstr(at, between), *line_stop = strchr(line, '\n');
        size_t n = stop ? (size_t)(stop - at) : strlen(at), n_want = 0;
        if (line_stop) *line_stop = '\0';
        for (char *end;; line = end) {
            long id = strtol(line, &end, 10);
            if (end == line) break;
            want[n_want++] = (int32_t)id;
        }
        check_ids(t, at, n, 0, n_want);
        check_round_trip(t, at, n);
        at = stop ? stop + sizeof between - 1 : NULL;
        line = line_stop ? line_stop + 1 : NULL;
    }
    free(in);
    free(out);
    return n_text;
}

/* ---- Text of every kind ---------------------------------------------------------------------------------------- */

/* What a program can ask for besides ids. */
static void check_contract(const struct phi_tokenizer *t, int32_t first_special) {
    int32_t ids[4] = {-7, -7, -7, -7};
    CHECK(phi_tokenizer_encode(t, "What is this?", 13, PHI_ADD_BOS, NULL, 0) > 3, "counting without room");
    CHECK(phi_tokenizer_encode(t, "What is this?", 13, PHI_ADD_BOS, ids, 2) > 3 && ids[0] == 1 && ids[1] >= 0 &&
              ids[2] == -7,
          "no more than cap ids");
    CHECK(phi_tokenizer_encode(t, "", 0, 0, ids, 4) == 0, "nothing");
    CHECK(phi_tokenizer_encode(t, "", 0, PHI_ADD_BOS, ids, 4) == 1 && ids[0] == phi_tokenizer_bos(t), "BOS alone");
    CHECK(phi_tokenizer_bos(t) == 1 && phi_tokenizer_add_bos(t), "bos %d", phi_tokenizer_bos(t));

    size_t n = 9;
    CHECK(*phi_tokenizer_bytes(t, -1, true, &n) == '\0' && n == 0, "id -1");
    CHECK(*phi_tokenizer_bytes(t, phi_tokenizer_n_vocab(t), true, &n) == '\0' && n == 0, "id n_vocab");
    CHECK(!phi_tokenizer_is_stop(t, -1) && !phi_tokenizer_is_control(t, INT32_MAX), "ids outside");
    for (int b = 0; b < 256; b++) {
        const char *s = phi_tokenizer_bytes(t, 3 + b, false, &n);
        CHECK(n == 1 && (uint8_t)s[0] == b && !phi_tokenizer_is_control(t, 3 + b), "byte token %d", b);
    }
    const char *s = phi_tokenizer_bytes(t, first_special + 7, true, &n);
    CHECK(n == 7 && memcmp(s, "<|end|>", 7) == 0, "name of <|end|>");
    phi_tokenizer_bytes(t, first_special + 7, false, &n);
    CHECK(n == 0, "<|end|> has no text");

    for (int32_t id = 0; id < phi_tokenizer_n_vocab(t); id++) {
        bool stop = id == first_special || id == first_special + 1 || id == first_special + 7;
        bool control = id < 3 || id >= first_special;
        CHECK(phi_tokenizer_is_stop(t, id) == stop, "stop token %d", id);
        CHECK(phi_tokenizer_is_control(t, id) == control, "control token %d", id);
    }
}

static bool has_control(const struct phi_tokenizer *t, const char *text, size_t n, int32_t *which) {
    int64_t n_id = phi_tokenizer_encode(t, text, n, 0, got, MAX_IDS);
    for (int64_t i = 0; i < n_id && i < MAX_IDS; i++)
        if (phi_tokenizer_is_control(t, got[i])) return *which = got[i], true;
    return false;
}

/* Nothing that a user types becomes a control token: each name, alone and in company. */
static void check_injection(const struct phi_tokenizer *t, unsigned long long *rng) {
    int32_t which = -1;
    const char *name[400];
    size_t length[400];
    int n_name = 0;
    for (int32_t id = 0; id < phi_tokenizer_n_vocab(t) && n_name < 400; id++) {
        if (!phi_tokenizer_is_control(t, id)) continue;
        name[n_name] = phi_tokenizer_bytes(t, id, true, &length[n_name]);
        CHECK(!has_control(t, name[n_name], length[n_name], &which), "typed %.*s gives control token %d",
              (int)length[n_name], name[n_name], which);
        n_name++;
    }
    for (int round = 0; round < 20000; round++) {
        char text[600];
        size_t n = 0;
        for (int i = 0; i < 6; i++) {
            unsigned long long r = check_random(rng);
            size_t k = (size_t)(r >> 8) % (unsigned)n_name, from = (r & 1) ? 0 : (size_t)(r >> 32) % length[k];
            memcpy(text + n, name[k] + from, length[k] - from);
            n += length[k] - from;
            if (r & 2) text[n++] = " <|>\n\xe2"[(r >> 4) % 6];
        }
        bool control = has_control(t, text, n, &which);
        CHECK(!control, "typed %.*s gives control token %d (seed %llu)", (int)n, text, which, check_seed());
    }
}

/* Any bytes at all: they come back, also behind special tokens. */
static void check_any_bytes(const struct phi_tokenizer *t, unsigned long long *rng) {
    static const char *const some[] = {" ",        "\xe2\x96\x81", "the", "\xf0\x9f\xa6\x99", "<|end|>", "\n",
                                       "\xe2\x96", "\xff",         "a",   "\xed\xa0\x80"};
    for (int round = 0; round < 4000; round++) {
        char text[400];
        size_t n = 0, n_want = (size_t)check_random(rng) % 100;
        while (n < n_want) {
            unsigned long long r = check_random(rng);
            if (r & 1)
                text[n++] = (char)(r >> 8);
            else {
                const char *s = some[(r >> 8) % 10];
                memcpy(text + n, s, strlen(s));
                n += strlen(s);
            }
        }
        check_round_trip(t, text, n);
        int64_t parsed = phi_tokenizer_encode(t, text, n, PHI_PARSE_SPECIAL, got, MAX_IDS);
        CHECK(parsed >= 0 && parsed <= (int64_t)n + 100, "%lld ids (seed %llu)", (long long)parsed, check_seed());
    }
    if (byte_level) return;
    static const struct {
        const char *text;
        int n, n_id;
        int32_t ids[8];
    } broken[] = {
        /* id = 3 + byte; the ▁ before each comes from the vocabulary at hand */
        {"\xff", 1, 1, {258}},          {"\xe2\x96", 2, 2, {229, 153}},
        {"\xc0\x80", 2, 2, {195, 131}}, {"\xed\xa0\x80", 3, 3, {240, 163, 131}},
        {"\0\0", 2, 2, {3, 3}},
    };
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        int64_t n = phi_tokenizer_encode(t, broken[i].text, (size_t)broken[i].n, 0, got, MAX_IDS);
        CHECK(n == broken[i].n_id + 1 && memcmp(got + 1, broken[i].ids, (size_t)broken[i].n_id * 4) == 0,
              "broken text %zu", i);
    }
}

/* ---- Time, memory ---------------------------------------------------------------------------------------------- */

static double seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* Prints how long the worst texts take, and fails only where growth is plainly not linear: 8 times the text may take
 * 40 times. */
static void report_time(const struct phi_tokenizer *t) {
    static const char *const units[] = {"a",       " ",
                                        "ab",      "a ",
                                        "<",       "<|end|",
                                        "=",       "\n",
                                        "\xff",    "\xe6\x97\xa5",
                                        "<|end|>", "The quick brown fox jumps over the lazy dog, again and again. "};
    enum { N = 1 << 20 };
    char *text = malloc(N);
    printf("seconds for 1 MiB:");
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        size_t n = strlen(units[i]);
        for (size_t k = 0; k < N; k++) text[k] = units[i][k % n];
        double start = seconds();
        int64_t small = phi_tokenizer_encode(t, text, N / 8, PHI_PARSE_SPECIAL, NULL, 0);
        double middle = seconds();
        int64_t large = phi_tokenizer_encode(t, text, N, PHI_PARSE_SPECIAL, NULL, 0);
        double end = seconds();
        CHECK(small > 0 && large > small, "%lld and %lld ids", (long long)small, (long long)large);
        CHECK(end - middle < 40 * (middle - start) + 1, "%.3f and %.3f s", middle - start, end - middle);
        printf(" %.6s%s %.3f",
               units[i][0] == '\n'            ? "\\n"
               : (uint8_t)units[i][0] == 0xff ? "0xff"
                                              : units[i],
               n > 7 ? "..." : "", end - middle);
    }
    double start = seconds();
    memset(text, 'a', 200000);
    phi_tokenizer_encode(t, text, 200000, 0, NULL, 0);
    printf("; 200,000 a: %.3f\n", seconds() - start);
    free(text);
}

/* Each allocation fails once: a clean status, nothing lost. */
static void check_memory(const struct vocabulary *v) {
    static const char text[] =
        "What is   this? <|end|> aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    unsigned long long live = phi_memory_live();
    int n_open = 0, n_encode = 0;
    for (int n = 1, status = PHI_MEMORY; status == PHI_MEMORY && n < 100; n++, n_open++) {
        struct phi_tokenizer *t = NULL;
        phi_error err = {""};
        phi_memory_fail_at((unsigned long long)n);
        status = phi_tokenizer_open(&v->gguf, &t, &err);
        phi_memory_fail_at(0);
        CHECK(status == PHI_OK || (status == PHI_MEMORY && !t && strstr(err.text, "memory")),
              "allocation %d: status %d, %s", n, status, err.text);
        phi_tokenizer_close(t);
        CHECK(phi_memory_live() == live, "allocation %d: something is lost", n);
    }
    int64_t expected = phi_tokenizer_encode(v->t, text, sizeof text, PHI_PARSE_SPECIAL, NULL, 0), n_id = PHI_MEMORY;
    for (int n = 1; n_id == PHI_MEMORY && n < 100; n++, n_encode++) {
        phi_memory_fail_at((unsigned long long)n);
        n_id = phi_tokenizer_encode(v->t, text, sizeof text, PHI_PARSE_SPECIAL, NULL, 0);
        phi_memory_fail_at(0);
        CHECK(n_id == PHI_MEMORY || n_id == expected, "allocation %d: %lld", n, (long long)n_id);
        CHECK(phi_memory_live() == live, "allocation %d: something is lost", n);
    }
    CHECK(n_open > 4 && n_encode > 3, "%d allocations at open, %d at encode", n_open - 1, n_encode - 1);
}

/* ---- Byte-level vocabularies ----------------------------------------------------------------------------------- */

/* What is known of one: ids from first_control on are control tokens, but for those below. */
struct expected {
    const char *name, *file, *cases;
    long n_special; /* lines of special-bpe.jsonl */
    int32_t bos, first_control, stop[2];
};

static void check_facts(const struct phi_tokenizer *t, const struct expected *x) {
    CHECK(phi_tokenizer_bos(t) == x->bos && !phi_tokenizer_add_bos(t), "%s: bos %d", x->name, phi_tokenizer_bos(t));
    size_t n;
    for (int32_t id = 0; id < phi_tokenizer_n_vocab(t); id++) {
        bool control = id >= x->first_control, stop = id == x->stop[0] || id == x->stop[1];
        phi_tokenizer_bytes(t, id, false, &n);
        CHECK(phi_tokenizer_is_control(t, id) == control && (n == 0) == control, "%s: control token %d", x->name, id);
        CHECK(phi_tokenizer_is_stop(t, id) == stop, "%s: stop token %d", x->name, id);
    }
    int32_t ids[2] = {-7, -7};
    CHECK(phi_tokenizer_encode(t, "", 0, PHI_ADD_BOS, ids, 2) == 0, "nothing, without BOS");
    CHECK(phi_tokenizer_encode(t, "one two three", 13, 0, ids, 1) == 3 && ids[0] >= 0 && ids[1] == -7,
          "no more than cap ids");
}

static void check_byte_level(const char *dir, const struct expected *x, unsigned long long *rng) {
    struct vocabulary v;
    char shared[300];
    snprintf(shared, sizeof shared, "%s/tokenizer", check_shared());
    if (!open_vocabulary(&v, dir, x->file)) {
        SKIP("vocabulary of %s: %s/%s is absent", x->name, dir, x->file);
        return;
    }
    check_facts(v.t, x);
    model = x->name;
    n_counted = 0;
    if (each_line(v.t, shared, x->cases, check_text) == 0)
        SKIP("texts of %s: %s is absent", x->name, shared);
    else
        CHECK(n_counted == 400, "%s: %ld texts", x->cases, n_counted);
    n_counted = 0;
    if (each_line(v.t, shared, "special-bpe.jsonl", check_text) > 0)
        CHECK(n_counted == x->n_special, "special-bpe.jsonl: %ld lines for %s", n_counted, x->name);
    check_injection(v.t, rng);
    check_any_bytes(v.t, rng);
    report_time(v.t);
    check_memory(&v);
    close_vocabulary(&v);
}

/* SmolLM2: texts and chats of expected.json, and all of wiki.test.raw, whose ids the tokenizers library gave. */
static void check_smollm(const char *dir) {
    struct vocabulary v;
    char path[400];
    size_t n_json, n_wiki;
    if (!dir || !open_vocabulary(&v, dir, "smollm2-135m-q4_1.gguf")) {
        SKIP("vocabulary of SmolLM2: PHI_REAL_MODEL names no folder with smollm2-135m-q4_1.gguf");
        return;
    }
    snprintf(path, sizeof path, "%s/real-model/expected.json", check_shared());
    char *file = read_file(path, &n_json);
    struct json all;
    if (file) {
        json_parse(file, &all);
        const struct json *texts = json_get(&all, "texts"), *chats = json_get(&all, "chats");
        CHECK(texts->n == 4 && chats->n == 3, "%zu texts, %zu chats", texts->n, chats->n);
        for (size_t i = 0; i < texts->n; i++) check_text(v.t, &texts->item[i]);
        for (size_t i = 0; i < chats->n; i++) {
            const struct json *prompt = json_get(&chats->item[i], "prompt");
            check_ids(v.t, prompt->text, prompt->text_n, PHI_PARSE_SPECIAL | PHI_ADD_BOS,
                      wanted_ids(json_get(&chats->item[i], "ids")));
        }
        json_clear(&all);
        free(file);
    } else {
        SKIP("texts of SmolLM2: %s is absent", path);
    }
    snprintf(path, sizeof path, "%s/eval-data/wiki.test.raw", check_shared());
    char *wiki = read_file(path, &n_wiki);
    if (wiki) {
        enum { N_ID = 303415 };
        int32_t *ids = malloc(N_ID * sizeof *ids);
        int64_t n = phi_tokenizer_encode(v.t, wiki, n_wiki, 0, ids, N_ID);
        unsigned long long hash = 0xcbf29ce484222325u; /* FNV-1a over whole ids */
        for (int64_t i = 0; i < n && i < N_ID; i++) hash = (hash ^ (unsigned)ids[i]) * 0x100000001b3u;
        CHECK(n == N_ID && hash == 0xb70511543af7c998u, "%lld ids, hash %llx", (long long)n, hash);
        free(ids);
        free(wiki);
    } else {
        SKIP("a long text for SmolLM2: %s is absent", path);
    }
    check_memory(&v);
    close_vocabulary(&v);
}

int main(void) {
    unsigned long long rng = check_seed();
    struct vocabulary v;
    if (open_vocabulary(&v, "models", "demo.gguf")) {
        CHECK(each_line(v.t, "tests/golden/tokenizer", "demo.jsonl", check_text) == 67, "demo.jsonl");
        if (each_line(v.t, check_shared(), "demo-model/skills-q4_0.jsonl", check_chat) == 0)
            SKIP("chat prompts of the demo model: %s is absent", check_shared());
        check_contract(v.t, 2000);
        check_injection(v.t, &rng);
        check_any_bytes(v.t, &rng);
        check_memory(&v);
        close_vocabulary(&v);
    } else {
        CHECK(false, "models/demo.gguf cannot be opened");
    }
    char dir[300];
    snprintf(dir, sizeof dir, "%s/tokenizer", check_shared());
    if (open_vocabulary(&v, dir, "ggml-vocab-phi-3.gguf")) {
        CHECK(each_line(v.t, dir, "cases.jsonl", check_text) == 500, "cases.jsonl");
        CHECK(each_line(v.t, dir, "special.jsonl", check_text) == 160, "special.jsonl");
        CHECK(check_inp_out(v.t, dir, "ggml-vocab-phi-3.gguf") == 46, "46 texts");
        check_contract(v.t, 32000);
        check_injection(v.t, &rng);
        check_any_bytes(v.t, &rng);
        report_time(v.t);
        close_vocabulary(&v);
    } else {
        SKIP("vocabulary of 32,064 tokens: %s/ggml-vocab-phi-3.gguf is absent", dir);
    }
    static const struct expected byte_levels[] = {
        {"phi-4", "vocab-phi-4.gguf", "cases-cl100k.jsonl", 95, 100257, 100256, {100257, 100265}},
        {"phi-4-mini", "vocab-phi-4-mini.gguf", "cases-o200k.jsonl", 90, 199999, 199998, {199999, 200020}},
    };
    const char *bpe = getenv("PHI_BPE_DIR");
    byte_level = true;
    for (size_t i = 0; i < sizeof byte_levels / sizeof *byte_levels; i++)
        check_byte_level(bpe && *bpe ? bpe : "build/tests/bpe", &byte_levels[i], &rng);
    check_smollm(getenv("PHI_REAL_MODEL"));
    return check_done("check_tokenizer");
}
