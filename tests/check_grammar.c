/* Constrained output: random grammars against Earley's algorithm, byte for byte; tokens against their bytes; the
 * sampler against a mask over the vocabulary; budgets from the least on; what must be refused; states as bytes;
 * memory that runs out. With the demo model's vocabulary, which has a token for every byte. */
#include "grammar_reference.h"

#include "../src/grammar_state.h"
#include "../src/memory.h"
#include "../src/sampler.h"

#include <math.h>
#include <time.h>

static phi_model *model;
static int n_vocab;
static int32_t byte_token[256], stop_token;

static const char json[] =
    "root ::= object\n"
    "value ::= object | array | string | number | (\"true\" | \"false\" | \"null\") ws\n"
    "object ::= \"{\" ws ( string \":\" ws value (\",\" ws string \":\" ws value)* )? \"}\" ws\n"
    "array ::= \"[\" ws ( value (\",\" ws value)* )? \"]\" ws\n"
    "string ::= \"\\\"\" ( [^\"\\\\\\x7F\\x00-\\x1F] | \"\\\\\" ([\"\\\\bfnrt] | \"u\" [0-9a-fA-F]{4}) )* \"\\\"\" "
    "ws\n"
    "number ::= (\"-\"? ([0-9] | [1-9] [0-9]{0,15})) (\".\" [0-9]+)? ([eE] [-+]? [0-9] [1-9]{0,15})? ws\n"
    "ws ::= | \" \" | \"\\n\" [ \\t]{0,20}\n";

static phi_grammar *open_grammar(const char *text, const char *root) {
    phi_grammar *g = NULL;
    phi_error err = {""};
    int status = phi_grammar_open(model, text, strlen(text), root, &g, &err);
    CHECK(status == PHI_OK, "status %d: %s", status, err.text);
    return g;
}

static struct phi_grammar_state *open_state(const phi_grammar *g, bool skip_space) {
    struct phi_grammar_state *s = NULL;
    phi_error err = {""};
    int status = phi_grammar_state_open(g, skip_space, &s, &err);
    CHECK(status == PHI_OK, "status %d: %s", status, err.text);
    return s;
}

static bool allows_bytes(struct phi_grammar_state *s, const char *text, bool end) {
    for (const char *c = text; *c; c++) {
        if (!phi_grammar_state_allows(s, byte_token[(uint8_t)*c])) return false;
        phi_grammar_state_accept(s, byte_token[(uint8_t)*c]);
    }
    return !end || phi_grammar_state_allows(s, stop_token);
}

/* Is the text one of the grammar? */
static bool matches(const phi_grammar *g, const char *text) {
    struct phi_grammar_state *s = open_state(g, false);
    bool yes = allows_bytes(s, text, true);
    phi_grammar_state_close(s);
    return yes;
}

/* ---- Random grammars ---- */

static struct ref ref;
static struct ref_maker maker;

/* The bytes that may follow, by both. Returns one of them, -1: only the end. */
static int compare_bytes(struct phi_grammar_state *s, bool *same) {
    int allowed[256], n = 0, wanted = 0;
    for (int b = 0; b < 256; b++) {
        bool yes = ref_allows(&ref, (uint8_t)b);
        *same &= yes == phi_grammar_state_allows(s, byte_token[b]);
        if (yes) allowed[n++] = b;
    }
    *same &= ref_may_end(&ref) == phi_grammar_state_allows(s, stop_token);
    if (n == 0) return -1;
    wanted = allowed[ref_pick(&maker, n)];
    for (int tries = 0; tries < 8 && n > 8; tries++) { /* prefer the letters of the generator to any others */
        uint8_t b = (uint8_t) "abc\xc3\xa9\xe2\x82\xac\xad\xf0\x9f\x98\x80"[ref_pick(&maker, 13)];
        if (ref_allows(&ref, b)) return b;
    }
    return wanted;
}

/* Walk through a text that the grammar allows. False: the two disagree, and not because there would be too many
 * stacks: some of the random grammars have thousands of ways to read a few letters. */
static bool walk(const phi_grammar *g, int *n_limited) {
    struct phi_grammar_state *s = open_state(g, false);
    bool same = true;
    ref_begin(&ref);
    for (int i = 0; i < 40 && same && !ref.overflow && ref.n_column < 16; i++) {
        int b = compare_bytes(s, &same);
        if (b < 0 || !same) break;
        ref_accept(&ref, (uint8_t)b);
        phi_grammar_state_accept(s, byte_token[b]);
    }
    bool limited = s->limited;
    *n_limited += limited;
    phi_grammar_state_close(s);
    return same || limited;
}

static void check_random_grammars(void) {
    int accepted = 0, empty = 0, recursive = 0, limited = 0;
    for (unsigned long long seed = check_seed() * 1000; accepted < 400; seed++) {
        phi_grammar *g = NULL;
        phi_error err = {""};
        ref_make(&maker, &ref, seed);
        ref_begin(&ref);
        int status = phi_grammar_open(model, maker.text, maker.n, "r0", &g, &err);
        if (status == PHI_USAGE && strstr(err.text, "left recursion")) {
            recursive++;
            continue;
        }
        if (!ref.productive[0]) {
            CHECK(status == PHI_USAGE, "seed %llu has no text: %s", seed, maker.text);
            empty++;
            continue;
        }
        CHECK(status == PHI_OK, "seed %llu: %s in\n%s", seed, err.text, maker.text);
        if (status) break;
        CHECK(walk(g, &limited) && walk(g, &limited), "seed %llu: the bytes after a text differ:\n%s", seed,
              maker.text);
        phi_grammar_close(g);
        accepted++;
    }
    CHECK(empty > 5 && recursive > 20 && limited < 80, "%d grammars without a text, %d recursive, %d walks limited",
          empty, recursive, limited);
}

/* ---- Notation ---- */

static void check_notation(void) {
    static const struct {
        const char *grammar, *yes, *no;
    } cases[] = {
        {"root ::= \"a\\n\\t\\r\\\\\\\"\\x41\\u00e9\\U0001F600\"", "a\n\t\r\\\"A\xc3\xa9\xf0\x9f\x98\x80", "a"},
        {"root ::= [a-z] [^a-z] . # no more\n", "a1\n", "aa1"},
        {"root ::= [a\\]\\-x^-]+", "a]-x^-", "b"},
        {"root ::= \"ab\"{2} \"c\"{1,} \"d\"{0,2}", "ababccdd", "ababddd"},
        {"root ::= \"ab\"+ ? \"x\" *", "xx", "a"},
        {"a ::= \"1\"\n\n# comment\nroot ::= a b |\n a\n\nb-2 ::= a\nb ::= b-2 a", "111", "11"},
        {"root ::= \"x\"\n  | \"y\" # or\n  # another\n  | (\"z\"\n \"z\" |\n\n\"w\")", "zz", "z"},
        {"root ::= a | root2\na ::=\nroot2 ::= [\\u00e9-\\u20ac]", "", "\xe2\x82\xad"},
        {"root ::= (((\"a\"?)*)+){2,3} \"b\"", "aaab", "a"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        phi_grammar *g = open_grammar(cases[i].grammar, NULL);
        CHECK(matches(g, cases[i].yes), "%s: not %s", cases[i].grammar, cases[i].yes);
        CHECK(!matches(g, cases[i].no), "%s: also %s", cases[i].grammar, cases[i].no);
        phi_grammar_close(g);
    }
}

static void check_refused(void) {
    static const struct {
        const char *grammar, *sentence;
    } cases[] = {
        {"", "there is no rule 'root'"},
        {"a ::= \"x\"", "there is no rule 'root'"},
        {"root ::= \"x", "line 1, column 10: the quotation mark is not closed"},
        {"root ::= \"\\", "line 1, column 11: unknown escape"},
        {"root ::= \"\\q\"", "line 1, column 11: unknown escape"},
        {"root ::= \"\\x4\"", "\\x needs 2 hexadecimal digits"},
        {"root ::= \"\\uD800\"", "U+D800 is no character"},
        {"root ::= \"\\U00110000\"", "U+110000 is no character"},
        {"root ::= \"\xff\"", "line 1, column 11: the byte 0xff is not UTF-8"},
        {"root ::=\n  [a-z", "line 2, column 3: the bracket is not closed"},
        {"root ::= [z-a]", "column 11: the range ends before it begins"},
        {"root ::= []", "column 10: the set is empty"},
        {"root ::= (\"a\" | (\"b\")", "column 10: the parenthesis is not closed"},
        {"root ::= \"a\")", "column 13: a closing parenthesis"},
        {"root ::= * \"a\"", "nothing before * to repeat"},
        {"root ::= \"a\"{2,1}", "{2,1}: the larger number comes last"},
        {"root ::= \"a\"{,1}", "expected a repetition"},
        {"root ::= \"a\"{99999}", "more than 65536 repetitions"},
        {"root ::= \"a\"{1", "expected a repetition"},
        {"root ::= a\nroot ::= b", "line 2, column 1: rule 'root' is there twice"},
        {"root ::= \"\xc3\xa9\" a", "line 1, column 14: there is no rule 'a'"},
        {"root = \"a\"", "column 6: expected ::= behind the name 'root'"},
        {"root ::= \"a\" ; b", "column 14: ';' cannot stand here"},
        {"root ::= <[1000]>", "tokens by name or number are not supported"},
        {"root ::= !<think>", "tokens by name or number are not supported"},
        {"root ::= x\nx ::= y \"a\" | \"c\"\ny ::= \"b\"? x", "line 2, column 1: rule 'x': left recursion"},
        {"root ::= \"a\" root", "line 1, column 1: rule 'root': it has no text"},
        {"root ::= [^\\x00-\\U0010FFFF]", "it has no text"},
        {"root ::= a{60000}\na ::= b{60000}\nb ::= \"x\"", "its shortest text is too long"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int with_model = 0; with_model < 2; with_model++) {
            phi_grammar *g = NULL;
            phi_error err = {""};
            int status = phi_grammar_open(with_model ? model : NULL, cases[i].grammar, strlen(cases[i].grammar), NULL,
                                          &g, &err);
            CHECK(status == PHI_USAGE && !g && strstr(err.text, cases[i].sentence), "%s: %d, %s", cases[i].grammar,
                  status, err.text);
            phi_grammar_close(g);
        }
}

/* A pattern many times over, then a rest. */
static void check_large(const char *pattern, int n, const char *begin, const char *end, const char *sentence) {
    size_t n_pattern = strlen(pattern), n_begin = strlen(begin), n_end = strlen(end),
           size = n_begin + n_pattern * (size_t)n + n_end;
    char *text = malloc(size + 1), *at = text + n_begin;
    phi_grammar *g = NULL;
    phi_error err = {""};
    memcpy(text, begin, n_begin);
    for (int i = 0; i < n; i++, at += n_pattern) memcpy(at, pattern, n_pattern);
    memcpy(at, end, n_end);
    clock_t start = clock();
    int status = phi_grammar_open(model, text, size, NULL, &g, &err);
    double seconds = (double)(clock() - start) / CLOCKS_PER_SEC;
    if (sentence)
        CHECK(status == PHI_USAGE && strstr(err.text, sentence), "%d times %s: %d, %s", n, pattern, status, err.text);
    else
        CHECK(status == PHI_OK, "%d times %s: %s", n, pattern, err.text);
    CHECK(seconds < 20, "%d times %s: %.1f s", n, pattern, seconds);
    phi_grammar_close(g);
    free(text);
}

static void check_hostile(void) {
    check_large("(", 60000, "root ::= ", "", "more than 256 groups");
    check_large("(", 250, "root ::= ", "\"a\"", "the parenthesis is not closed");
    check_large("*", 100000, "root ::= \"a\"", "", NULL);
    check_large("{9}", 6, "root ::= \"a\"", "", "too long");
    check_large("| \"a\"", 100000, "root ::= ", "", NULL); /* alike: one way to begin */
    check_large("a ", 100000, "root ::= ", "\"x\"\na ::= \"a\"", NULL);
    check_large("[a-b]? ", 100000, "root ::= ", "", "begins in more than");
    check_large("\\\"", 100000, "root ::= \"", "", "not closed");
    check_large("b \"x\" | ", 50000, "root ::= b \"a\"\nb ::= ", "\"y\"", "left recursion");
    check_large("a", 1 << 20, "root ::= \"", "\"", "at most 1048576");
    check_large(" ", 1 << 24, "root ::= \"a\"", "", "at most 16777216 are possible");
}

/* ---- Tokens ---- */

static size_t save(const struct phi_grammar_state *s, uint8_t **out) {
    size_t n = phi_grammar_state_save(s, NULL, 0);
    *out = malloc(n + 1);
    CHECK(n <= PHI_GRAMMAR_SAVED_MAX && phi_grammar_state_save(s, *out, n) == n, "%zu bytes", n);
    return n;
}

/* Every token against its bytes one by one, in a second state that is set to the same place each time. */
static void check_mask(struct phi_grammar_state *s, struct phi_grammar_state *other) {
    uint8_t *saved;
    size_t n_saved = save(s, &saved);
    phi_error err = {""};
    int wrong = 0;
    for (int32_t id = 0; id < n_vocab; id++) {
        size_t n;
        const char *bytes = phi_token_bytes(model, id, false, &n);
        bool yes = n > 0;
        if (phi_grammar_state_load(other, saved, n_saved, &err)) wrong++;
        for (size_t i = 0; i < n && yes; i++) {
            int32_t byte = byte_token[(uint8_t)bytes[i]];
            yes = phi_grammar_state_allows(other, byte);
            phi_grammar_state_accept(other, byte);
        }
        if (phi_token_is_stop(model, id)) yes = phi_grammar_state_allows(other, stop_token);
        wrong += yes != phi_grammar_state_allows(s, id);
    }
    CHECK(wrong == 0, "%d tokens: %s", wrong, err.text);
    free(saved);
}

static int32_t random_allowed(struct phi_grammar_state *s) {
    for (int tries = 0; tries < 200; tries++) {
        int32_t id = ref_pick(&maker, n_vocab);
        if (!phi_token_is_stop(model, id) && phi_grammar_state_allows(s, id)) return id;
    }
    for (int32_t id = 0; id < n_vocab; id++)
        if (!phi_token_is_stop(model, id) && phi_grammar_state_allows(s, id)) return id;
    return -1;
}

static void check_masks(void) {
    static const char unicode[] = "root ::= ([\\u00e0-\\u00ff] | [^\\x00-\\uFFFF] | \"\\u20AC\" | [a-f ]){3,40}";
    const char *texts[] = {json, unicode};
    for (int i = 0; i < 2; i++) {
        phi_grammar *g = open_grammar(texts[i], NULL);
        struct phi_grammar_state *s = open_state(g, false), *other = open_state(g, false);
        for (int step = 0; step < 25; step++) {
            check_mask(s, other);
            int32_t id = random_allowed(s);
            if (id < 0) break;
            phi_grammar_state_accept(s, id);
        }
        phi_grammar_state_close(s);
        phi_grammar_state_close(other);
        phi_grammar_close(g);
    }
}

static int32_t token_of(const char *text) {
    for (int32_t id = 0; id < n_vocab; id++) {
        size_t n;
        const char *bytes = phi_token_bytes(model, id, false, &n);
        if (n == strlen(text) && memcmp(bytes, text, n) == 0) return id;
    }
    return -1;
}

static void check_skip_space(void) {
    phi_grammar *g = open_grammar("root ::= \"the\" \" the\"?", NULL);
    struct phi_grammar_state *s = open_state(g, true);
    int32_t the = token_of(" the");
    CHECK(the >= 0 && phi_grammar_state_allows(s, the), "\" the\" (%d) at the beginning", the);
    CHECK(phi_grammar_state_allows(s, byte_token[' ']), "a space at the beginning");
    phi_grammar_state_accept(s, the);
    CHECK(phi_grammar_state_allows(s, the) && phi_grammar_state_allows(s, stop_token), "\" the\" after it");
    phi_grammar_state_accept(s, the);
    CHECK(!phi_grammar_state_allows(s, the) && phi_grammar_state_must_end(s), "only the end");
    phi_grammar_state_close(s);
    s = open_state(g, false);
    CHECK(!phi_grammar_state_allows(s, the), "\" the\" where nothing is skipped");
    phi_grammar_state_close(s);
    phi_grammar_close(g);
}

/* ---- Many states: what is dropped and found again changes nothing ---- */

static void check_drops(void) {
    phi_grammar *g = open_grammar(json, NULL);
    struct phi_grammar_state *s = open_state(g, false), *fresh = open_state(g, false);
    unsigned long long before = phi_memory_count();
    int wrong = 0;
    for (int step = 0; step < 3000; step++) {
        int32_t id = random_allowed(s);
        if (id < 0) break;
        phi_grammar_state_accept(s, id);
        if (step % 100) continue;
        uint8_t saved[4096];
        size_t n = phi_grammar_state_save(s, saved, sizeof saved);
        if (n > sizeof saved || phi_grammar_state_load(fresh, saved, n, NULL)) wrong++;
        for (id = 0; id < n_vocab; id++)
            wrong += phi_grammar_state_allows(s, id) != phi_grammar_state_allows(fresh, id);
        wrong += phi_grammar_state_shortest(s) != phi_grammar_state_shortest(fresh);
    }
    CHECK(wrong == 0, "%d answers differ", wrong);
    CHECK(phi_memory_count() == before, "%llu allocations while matching", phi_memory_count() - before);
    phi_grammar_state_close(s);
    phi_grammar_state_close(fresh);
    phi_grammar_close(g);
}

/* ---- The sampler ---- */

/* The same as if all tokens that are not allowed had no logit. */
static void check_sampler(void) {
    static const struct phi_sampler_options options[] = {
        {.temperature = 0, .typical_p = 1, .top_p = 1, .repeat_penalty = 1},
        {.temperature = 0.8f,
         .top_k = 40,
         .typical_p = 1,
         .top_p = 0.95f,
         .min_p = 0.05f,
         .repeat_penalty = 1.3f,
         .repeat_last_n = 8},
        {.temperature = 1.5f, .typical_p = 1, .top_p = 1, .min_p = 0.1f, .repeat_penalty = 1},
        {.temperature = 1,
         .typical_p = 0.9f,
         .top_p = 0.9f,
         .repeat_penalty = 1,
         .presence_penalty = 0.5f,
         .repeat_last_n = 64},
    };
    phi_grammar *g = open_grammar(json, NULL);
    float *logits = malloc((size_t)n_vocab * sizeof *logits), *masked = malloc((size_t)n_vocab * sizeof *masked);
    for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
        struct phi_sampler_options o = options[i];
        phi_sampler *lazy = NULL, *plain = NULL;
        struct phi_grammar_state *s = open_state(g, false);
        phi_error err = {""};
        int status = phi_sampler_open(model, &o, &plain, &err);
        o.grammar = g;
        if (!status) status = phi_sampler_open(model, &o, &lazy, &err);
        for (int step = 0; step < 150 && !status; step++) {
            int32_t a = -1, b = -2;
            for (int32_t id = 0; id < n_vocab; id++) {
                logits[id] = (float)ref_pick(&maker, 4000) / 400;
                masked[id] = phi_grammar_state_allows(s, id) ? logits[id] : -INFINITY;
            }
            status = phi_sampler_sample(lazy, logits, &a, &err);
            if (!status) status = phi_sampler_sample(plain, masked, &b, &err);
            CHECK(status == PHI_OK && a == b, "options %zu, step %d: tokens %d and %d; %s", i, step, a, b, err.text);
            phi_grammar_state_accept(s, a);
            if (phi_token_is_stop(model, a)) break;
        }
        phi_sampler_close(lazy);
        phi_sampler_close(plain);
        phi_grammar_state_close(s);
    }
    free(logits);
    free(masked);
    phi_grammar_close(g);
}

/* A sampler that goes on from another one's state chooses what that one chooses. */
static void check_resume(void) {
    struct phi_sampler_options o = phi_sampler_options_default();
    phi_grammar *g = open_grammar(json, NULL);
    phi_sampler *a = NULL, *b = NULL, *without = NULL;
    float *logits = malloc((size_t)n_vocab * sizeof *logits);
    phi_error err = {""};
    static uint8_t saved[1 << 16];
    int status = phi_sampler_open(model, &o, &without, &err);
    o.grammar = g;
    if (!status) status = phi_sampler_open(model, &o, &a, &err);
    o.seed = 99;
    if (!status) status = phi_sampler_open(model, &o, &b, &err);
    for (int step = 0; step < 60 && !status; step++) {
        int32_t x = -1, y = -1;
        for (int32_t id = 0; id < n_vocab; id++)
            logits[id] = phi_token_is_stop(model, id) ? -50 : (float)ref_pick(&maker, 4000) / 400;
        if (step == 30) {
            size_t n = phi_sampler_state(a, saved, sizeof saved);
            CHECK(n <= sizeof saved, "%zu bytes", n);
            CHECK(phi_sampler_restore(without, saved, n, NULL) == PHI_USAGE, "a sampler without a grammar took it");
            CHECK(phi_sampler_restore(b, saved, n - 1, NULL) == PHI_USAGE, "a byte less");
            status = phi_sampler_restore(b, saved, n, &err);
        }
        if (!status) status = phi_sampler_sample(a, logits, &x, &err);
        if (!status && step >= 30) status = phi_sampler_sample(b, logits, &y, &err);
        CHECK(step < 30 || x == y, "step %d: tokens %d and %d", step, x, y);
        if (phi_grammar_state_must_end(phi_sampler_grammar(a))) break;
    }
    CHECK(status == PHI_OK, "%s", err.text);
    phi_sampler_close(a);
    phi_sampler_close(b);
    phi_sampler_close(without);
    phi_grammar_close(g);
    free(logits);
}

/* ---- Budgets ---- */

/* Answers with n tokens, drawn at random: complete in every case. */
static void check_budget(const phi_grammar *g, uint32_t n, const char *name) {
    struct phi_sampler_options o = {
        .temperature = 1, .typical_p = 1, .top_p = 1, .repeat_penalty = 1, .grammar = g, .seed = n};
    phi_sampler *sampler = NULL;
    phi_error err = {""};
    float *logits = malloc((size_t)n_vocab * sizeof *logits);
    int status = phi_sampler_open(model, &o, &sampler, &err);
    struct phi_grammar_state *s = status ? NULL : phi_sampler_grammar(sampler);
    bool ended = false;
    for (uint32_t i = 0; i <= n && !status && !ended; i++) {
        int32_t id;
        phi_grammar_state_set_budget(s, n - i);
        if ((ended = phi_grammar_state_must_end(s))) break;
        for (id = 0; id < n_vocab; id++) logits[id] = (float)ref_pick(&maker, 1000) / 200;
        status = phi_sampler_sample(sampler, logits, &id, &err);
        ended = !status && phi_token_is_stop(model, id);
    }
    CHECK(status == PHI_OK && ended, "%s with %u tokens: %s", name, n, err.text);
    phi_sampler_close(sampler);
    free(logits);
}

static void check_budgets(void) {
    static const char *const texts[] = {
        json,
        "root ::= \"{\\\"name\\\": \\\"\" [a-z]{3,20} \"\\\", \\\"age\\\": \" [0-9]+ \", \\\"tags\\\": [\" (tag (\", "
        "\" tag)*)? \"]}\"\n"
        "tag ::= \"\\\"red\\\"\" | \"\\\"green\\\"\" | \"\\\"\\u20AC\\U0001F600\\\"\"",
        "root ::= (\"(\" root \")\" | \"[\" root \"]\"){0,3}",
        "root ::= [\\u0400-\\u04ff]{5} | \"no\" [^\\x00-\\uffff]+",
        "root ::= \"yes\" | \"no\" | \"the end of the story\"",
        "root ::= \"[\" text \", \" text \"]\"\ntext ::= \"'\" c{30,50} \"'\"\nc ::= [^'\\\\\\x00-\\x1f] | \"\\\\\" "
        ".",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        phi_grammar *g = open_grammar(texts[i], NULL);
        struct phi_grammar_state *s = open_state(g, false);
        uint32_t shortest = phi_grammar_state_shortest(s);
        phi_grammar_state_close(s);
        CHECK(shortest < 60, "grammar %zu: at least %u tokens", i, shortest);
        for (uint32_t n = shortest; n < shortest + 40; n++) check_budget(g, n, texts[i]);
        phi_grammar_close(g);
    }
    for (unsigned long long seed = check_seed() * 777777, n = 0; n < 100; seed++) {
        phi_grammar *g = NULL;
        ref_make(&maker, &ref, seed);
        if (phi_grammar_open(model, maker.text, maker.n, "r0", &g, NULL)) continue;
        struct phi_grammar_state *s = open_state(g, false);
        uint32_t shortest = phi_grammar_state_shortest(s);
        phi_grammar_state_close(s);
        check_budget(g, shortest + (uint32_t)(n % 7), maker.text);
        phi_grammar_close(g);
        n++;
    }
}

/* Bounds are of tokens, not of characters. */
static void check_bounds(void) {
    static const struct {
        const char *grammar;
        uint32_t most;
    } cases[] = {
        {"root ::= [a-z]{30}", 6}, {"root ::= c{30}\nc ::= [^\"] | \"\\\\\" .", 6}, {"root ::= \" the\"{5}", 5}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        phi_grammar *g = open_grammar(cases[i].grammar, NULL);
        struct phi_grammar_state *s = open_state(g, false);
        uint32_t shortest = phi_grammar_state_shortest(s);
        CHECK(shortest <= cases[i].most, "%s: %u tokens", cases[i].grammar, shortest);
        for (uint32_t n = shortest; n < shortest + 10; n++) check_budget(g, n, cases[i].grammar);
        phi_grammar_state_close(s);
        phi_grammar_close(g);
    }
}

/* Through the whole engine: the text is complete, the reason says so, and one token less is refused. */
struct text {
    char bytes[4096];
    size_t n;
};

static int on_token(void *user, int32_t id, const char *bytes, size_t n) {
    struct text *t = user;
    (void)id;
    if (t->n + n < sizeof t->bytes) memcpy(t->bytes + t->n, bytes, n), t->n += n, t->bytes[t->n] = 0;
    return 0;
}

static void check_generate(void) {
    struct phi_session_options so = phi_session_options_default();
    struct phi_sampler_options o = phi_sampler_options_default();
    phi_grammar *g = open_grammar(json, NULL);
    phi_session *session = NULL;
    phi_error err = {""};
    int32_t ids[16];
    int64_t n = phi_tokenize(model, "Once upon a time", 16, PHI_ADD_BOS, ids, 16);
    so.n_ctx = 40;
    o.grammar = g;
    CHECK(phi_session_open(model, &so, &session, &err) == PHI_OK, "%s", err.text);
    for (int n_predict = -2; n_predict <= 12; n_predict++) {
        for (int ignore = 0; ignore < 2; ignore++) {
            struct phi_generate_result r;
            struct text t = {"", 0};
            phi_sampler *sampler = NULL;
            o.ignore_eos = ignore;
            phi_session_rewind(session, 0, &err);
            phi_sampler_open(model, &o, &sampler, &err);
            int status = phi_generate(session, sampler, ids, (size_t)n, n_predict, on_token, NULL, &t, &r, &err);
            if (n_predict == 1)
                CHECK(status == PHI_CONTEXT && strstr(err.text, "takes 2 tokens, n_predict is 1"), "%d, %s", status,
                      err.text);
            else if (n_predict == 0)
                CHECK(status == PHI_OK && t.n == 0, "%d, %s", status, err.text);
            else
                CHECK(status == PHI_OK && r.reason == PHI_STOP_EOS && matches(g, t.bytes) &&
                          (n_predict < 0 || r.n_generated <= (size_t)n_predict),
                      "n %d: %d, %s, reason %d, %zu tokens, %s", n_predict, status, err.text, (int)r.reason,
                      r.n_generated, t.bytes);
            phi_sampler_close(sampler);
        }
    }
    phi_session_close(session);
    phi_grammar_close(g);
}

/* ---- States as bytes ---- */

static void check_saved(void) {
    phi_grammar *g = open_grammar(json, NULL), *other = open_grammar("root ::= [a-z]*", NULL);
    struct phi_grammar_state *s = open_state(g, true), *t = open_state(g, false), *u = open_state(other, false);
    uint8_t *saved, *again, *damaged;
    phi_error err;
    allows_bytes(s, "{\"a\": [[{\"\xe2\x82", false);
    size_t n = save(s, &saved), n_again;
    CHECK(phi_grammar_state_load(t, saved, n, &err) == PHI_OK, "%s", err.text);
    n_again = save(t, &again);
    CHECK(n == n_again && memcmp(saved, again, n) == 0, "%zu bytes become %zu", n, n_again);
    CHECK(allows_bytes(t, "\xac\": 1}]]}", true) && !phi_grammar_state_allows(t, byte_token['x']),
          "goes on otherwise");
    CHECK(phi_grammar_state_load(u, saved, n, &err) == PHI_USAGE && strstr(err.text, "another grammar"), "%s",
          err.text);
    damaged = malloc(n + 1);
    int loaded = 0;
    for (size_t i = 0; i < n; i++) {
        CHECK(phi_grammar_state_load(t, saved, i, &err) == PHI_USAGE, "the first %zu bytes", i);
        for (int bit = 0; bit < 8; bit++) { /* whatever it is: no crash, and matching it ends */
            memcpy(damaged, saved, n);
            damaged[i] ^= (uint8_t)(1 << bit);
            if (phi_grammar_state_load(t, damaged, n, &err)) continue;
            loaded++;
            for (int32_t id = 0; id < n_vocab; id += 7) phi_grammar_state_allows(t, id);
            phi_grammar_state_shortest(t);
        }
    }
    CHECK(loaded < (int)n * 4, "%d of %zu damaged states were taken", loaded, 8 * n);
    free(saved);
    free(again);
    free(damaged);
    phi_grammar_state_close(s);
    phi_grammar_state_close(t);
    phi_grammar_state_close(u);
    phi_grammar_close(g);
    phi_grammar_close(other);
}

/* ---- Memory ---- */

static void check_memory(void) {
    unsigned long long live = phi_memory_live(), n = 1;
    for (int done = 0; !done && n < 1000; n++) {
        phi_grammar *g = NULL;
        struct phi_grammar_state *s = NULL;
        phi_error err = {""};
        phi_memory_fail_at(n);
        int status = phi_grammar_open(model, json, strlen(json), NULL, &g, &err);
        if (!status) status = phi_grammar_state_open(g, false, &s, &err);
        phi_memory_fail_at(0);
        done = status == PHI_OK;
        if (!done) CHECK(status == PHI_MEMORY && err.text[0], "allocation %llu: status %d, %s", n, status, err.text);
        phi_grammar_state_close(s);
        phi_grammar_close(g);
        if (phi_memory_live() != live) CHECK(phi_memory_live() == live, "allocation %llu leaks", n);
    }
    CHECK(n > 40 && n < 1000, "%llu allocations", n);
}

static void find_tokens(void) {
    struct phi_model_info info;
    phi_model_get_info(model, &info);
    n_vocab = info.n_vocab;
    memset(byte_token, -1, sizeof byte_token);
    for (int32_t id = n_vocab - 1; id >= 0; id--) {
        size_t n;
        const char *bytes = phi_token_bytes(model, id, false, &n);
        if (n == 1) byte_token[(uint8_t)bytes[0]] = id;
        if (phi_token_is_stop(model, id)) stop_token = id;
    }
    for (int b = 0; b < 256; b++)
        if (byte_token[b] < 0) CHECK(byte_token[b] >= 0, "no token for byte %d", b);
}

int main(void) {
    phi_error err = {""};
    int status = phi_model_open("models/demo.gguf", &model, &err);
    CHECK(status == PHI_OK, "%s", err.text);
    if (status) return check_done("check_grammar");
    find_tokens();
    check_random_grammars();
    check_notation();
    check_refused();
    check_hostile();
    check_masks();
    check_skip_space();
    check_drops();
    check_sampler();
    check_resume();
    check_budgets();
    check_bounds();
    check_generate();
    check_saved();
    check_memory();
    phi_model_close(model);
    CHECK(phi_memory_live() == 0, "%llu allocations are left", phi_memory_live());
    return check_done("check_grammar");
}
