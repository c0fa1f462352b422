/* JSON schemas: which texts their grammars take and which not, byte for byte; answers of the demo model and of random
 * walks, for every budget from the least on, against a validator that is written here; numbers between all kinds of
 * bounds; patterns; what is refused, and where; damage; memory that runs out. */
#include "../src/grammar.h"
#include "../src/json.h"
#include "../src/memory.h"
#include "../src/regex.h"
#include "check.h"

#include <regex.h>

static phi_model *model;
static int n_vocab;
static int32_t byte_token[256], stop_token;

static phi_grammar *open_schema(const char *schema) {
    phi_grammar *g = NULL;
    phi_error err = {""};
    int status = phi_grammar_open_schema(model, schema, strlen(schema), &g, &err);
    CHECK(status == PHI_OK && g, "%s: status %d: %s", schema, status, err.text);
    return g;
}

static struct phi_grammar_state *open_state(const phi_grammar *g) {
    struct phi_grammar_state *s = NULL;
    CHECK(phi_grammar_state_open(g, false, &s, NULL) == PHI_OK, "no state");
    return s;
}

/* A grammar that texts are compared with; the state at its beginning as bytes, to go back there. */
static struct phi_grammar_state *place;
static uint8_t beginning[1024];
static size_t n_beginning;

static phi_grammar *open_matcher(const char *schema) {
    phi_grammar *g = open_schema(schema);
    place = g ? open_state(g) : NULL;
    n_beginning = g ? phi_grammar_state_save(place, beginning, sizeof beginning) : 0;
    CHECK(n_beginning <= sizeof beginning, "%zu bytes", n_beginning);
    return g;
}

static void close_matcher(phi_grammar *g) {
    phi_grammar_state_close(place);
    phi_grammar_close(g);
}

static bool matches(const char *text) {
    bool yes = phi_grammar_state_load(place, beginning, n_beginning, NULL) == 0;
    for (const char *c = text; *c && yes; c++) {
        yes = phi_grammar_state_allows(place, byte_token[(uint8_t)*c]);
        if (yes) phi_grammar_state_accept(place, byte_token[(uint8_t)*c]);
    }
    return yes && phi_grammar_state_allows(place, stop_token);
}

/* ---- Texts ---- */

#define MOST 14
static const struct {
    const char *schema, *yes[MOST], *no[MOST];
} texts[] = {
    {"{}", {"null", "true", "-1.5e+7", "\"a\"", "[]", "[1,[2, {}]]", "{\"a\": 1,\"b\":[]}"},
     {"", "nul", "01", "1.", ".5", "+1", "[1,]", "{,}", "[1,  2]", " 1", "1 ", "{\"a\" :1}", "{a:1}", "\"\x01\""}},
    {"true", {"null", "{\"x\":0}"}, {"x"}},
    {"{\"type\":\"null\"}", {"null"}, {"true", "0", "nulls"}},
    {"{\"type\":\"boolean\"}", {"true", "false"}, {"null", "True"}},
    {"{\"type\":\"integer\"}", {"0", "-7", "1234567890123456"}, {"-0", "7.0", "1e2", "12345678901234567", "01", "-"}},
    {"{\"type\":\"number\"}", {"0", "-0.5", "7.0", "1e5", "1.25E-12"}, {"1e123", "1.", "-", "00", "0x1", "Infinity", "NaN"}},
    {"{\"type\":\"string\"}",
     {"\"\"", "\"\xc3\xa4\xf0\x9f\x98\x80\"", "\"\\n\\\"\\\\\\/\\u00e4\"", "\"\\ud83d\\ude00\"", "\"\\uDBFF\\uDfff\"", "\"\x7f\""},
     {"\"", "\"\n\"", "\"\\x\"", "\"\\u12\"", "\"\\ud83d\"", "\"\\ude00\"", "\"\\ud83d\\u0041\"", "\"\\ud83dx\"", "''", "\"\xff\""}},
    {"{\"type\":\"string\",\"minLength\":2,\"maxLength\":3}",
     {"\"ab\"", "\"\xf0\x9f\x98\x80\xc3\xa4\"", "\"\\ud83d\\ude00\\n\"", "\"abc\""}, {"\"\"", "\"a\"", "\"abcd\"", "\"\\ud83d\\ude00\""}},
    {"{\"minLength\":2}", {"\"ab\"", "\"abcdefg\"", "1", "null", "[]"}, {"\"a\"", "\"\""}},
    {"{\"type\":[\"string\",\"null\"],\"maxLength\":0}", {"\"\"", "null"}, {"\"a\"", "1"}},
    {"{\"type\":\"string\",\"pattern\":\"^[a-c]+$\"}", {"\"abc\"", "\"a\""}, {"\"\"", "\"abd\"", "\"\\u0061\""}},
    {"{\"type\":\"string\",\"pattern\":\"b\"}", {"\"b\"", "\"abc\"", "\"\\nb\\\"\\u0001\"", "\"bb\\u00e4\""}, {"\"\"", "\"a\"", "\"\\u0062\""}},
    {"{\"type\":\"string\",\"pattern\":\"^a*$\",\"minLength\":2,\"maxLength\":4}", {"\"aa\"", "\"aaaa\""}, {"\"a\"", "\"aaaaa\"", "\"ab\""}},
    {"{\"anyOf\":[{\"pattern\":\"^a\"}],\"pattern\":\"z$\",\"type\":\"string\"}", {"\"az\"", "\"abz\""}, {"\"a\"", "\"z\"", "\"ba\""}},
    {"{\"type\":\"string\",\"pattern\":\"^[\\\\\\\\\\\"\\\\n\\\\x00-\\\\x03]{2}$\"}",
     {"\"\\\\\\\"\"", "\"\\n\\u0002\"", "\"\\u0000\\u0003\""}, {"\"\\\\\"", "\"\\u000a\\n\"", "\"\\u0004\\n\"", "\"ab\""}},
    {"{\"enum\":[\"red\",\"re\",\"reds\",\"\xc3\xa4\",\"\xc3\xb6\",1,10,2.50,null,true,\"\"]}",
     {"\"red\"", "\"re\"", "\"reds\"", "\"\xc3\xa4\"", "\"\xc3\xb6\"", "1", "10", "2.50", "null", "true", "\"\""},
     {"\"r\"", "\"redsx\"", "100", "false", "\"\xc3\xbc\"", "[]", "2.5"}},
    {"{\"const\":{\"b\":[1,{}],\"a\":\"x\"}}", {"{\"b\":[1,{}],\"a\":\"x\"}", "{\"b\": [1, {}], \"a\": \"x\"}"},
     {"{\"a\":\"x\",\"b\":[1,{}]}", "{\"b\":[1,{}]}", "{\"b\":[1],\"a\":\"x\"}", "{}"}},
    {"{\"const\":7.0}", {"7"}, {"7.0", "70"}},
    {"{\"const\":-120e-1}", {"-12"}, {"12", "-12.0"}},
    {"{\"const\":-0}", {"0"}, {"-0"}},
    {"{\"const\":null}", {"null"}, {"\"\""}},
    {"{\"enum\":[1,2,\"a\",null,[],{}],\"type\":[\"integer\",\"array\"],\"minimum\":2}", {"2", "[]"}, {"1", "\"a\"", "null", "{}"}},
    {"{\"enum\":[\"abc\",\"ab\",\"b\"],\"pattern\":\"^a\",\"maxLength\":2}", {"\"ab\""}, {"\"abc\"", "\"b\""}},
    {"{\"enum\":[[1,2],[1],[]],\"minItems\":1,\"items\":{\"maximum\":1}}", {"[1]"}, {"[]", "[1,2]"}},
    {"{\"enum\":[{\"a\":1},{\"a\":\"x\"},{\"b\":1}],\"properties\":{\"a\":{\"type\":\"integer\"}},\"required\":[\"a\"]}", {"{\"a\":1}"},
     {"{\"a\":\"x\"}", "{\"b\":1}"}},
    {"{\"type\":\"array\"}", {"[]", "[1, null]"}, {"{}", "[", "[1,]"}},
    {"{\"type\":\"array\",\"items\":{\"type\":\"null\"},\"minItems\":2,\"maxItems\":3}", {"[null,null]", "[null, null, null]"},
     {"[]", "[null]", "[null,null,null,null]", "[null,1]"}},
    {"{\"type\":\"array\",\"prefixItems\":[{\"const\":1},{\"const\":2}],\"items\":{\"const\":3}}", {"[]", "[1]", "[1,2]", "[1,2,3,3]"},
     {"[2]", "[1,3]", "[1,2,1]"}},
    {"{\"type\":\"array\",\"prefixItems\":[{\"const\":1},{\"const\":2}],\"items\":false,\"minItems\":1}", {"[1]", "[1,2]"}, {"[]", "[1,2,3]"}},
    {"{\"type\":\"array\",\"prefixItems\":[true,false,true]}", {"[]", "[7]"}, {"[7,7]"}},
    {"{\"type\":\"array\",\"prefixItems\":[{\"const\":1}],\"maxItems\":0}", {"[]"}, {"[1]"}},
    {"{\"type\":\"object\"}", {"{}", "{\"a\":{\"b\":1}}", "{\"a\":1,\"a\":2}"}, {"[]", "{\"a\"}", "{1:1}"}},
    {"{\"type\":\"object\",\"properties\":{\"a\":{\"const\":1},\"b\":{\"const\":2},\"c\":{\"const\":3}},\"required\":[\"b\"]}",
     {"{\"b\":2}", "{\"a\":1,\"b\":2}", "{\"b\": 2, \"c\": 3}", "{\"a\":1,\"b\":2,\"c\":3}"},
     {"{}", "{\"a\":1}", "{\"b\":2,\"a\":1}", "{\"b\":2,}", "{,\"b\":2}", "{\"b\":2,\"d\":4}", "{\"b\":1}", "{\"b\":2,\"b\":2}"}},
    {"{\"type\":\"object\",\"properties\":{\"a\":false,\"b\":{\"const\":2}}}", {"{}", "{\"b\":2}"}, {"{\"a\":1}", "{\"a\":1,\"b\":2}"}},
    {"{\"type\":\"object\",\"properties\":{\"ab\":{\"const\":1},\"a\":{\"const\":2}},\"additionalProperties\":{\"const\":0}}",
     {"{}", "{\"ab\":1,\"a\":2,\"abc\":0}", "{\"b\":0,\"\":0}", "{\"\\n\":0}", "{\"ac\":0, \"\xc3\xa4\": 0}", "{\"x\\u0061\":0}"},
     {"{\"ab\":0}", "{\"a\":0}", "{\"b\":0,\"a\":2}", "{\"\\u0061\":0}", "{\"a\\u0062\":0}", "{\"c\":1}", "{\"\\u000a\":0}"}},
    {"{\"type\":\"object\",\"properties\":{\"\":{\"const\":1},\"\\n\":{\"const\":2}},\"additionalProperties\":{\"const\":0}}",
     {"{\"\":1,\"\\n\":2}", "{\"\\t\":0}", "{\"a\":0}"}, {"{\"\":0}", "{\"\\n\":0}", "{\"\\u000a\":0}"}},
    {"{\"type\":\"object\",\"properties\":{\"a\":{\"const\":1}},\"required\":[\"z\",\"a\",\"y\",\"z\"]}",
     {"{\"a\":1,\"z\":null,\"y\":[]}"}, {"{\"a\":1}", "{\"z\":null,\"a\":1,\"y\":0}", "{\"a\":1,\"y\":0,\"z\":0}"}},
    {"{\"properties\":{\"a\":{\"type\":\"integer\"}},\"anyOf\":[{\"required\":[\"a\"]},{\"required\":[\"b\"],\"properties\":{\"b\":{\"const\":2}}}],"
     "\"type\":\"object\"}",
     {"{\"a\":1}", "{\"b\":2}", "{\"a\":1,\"b\":2}"}, {"{}", "{\"b\":1}", "{\"a\":\"x\"}"}},
    {"{\"anyOf\":[{\"type\":\"string\",\"maxLength\":1},{\"type\":\"integer\",\"minimum\":5}],\"maximum\":7}", {"\"a\"", "5", "7"}, {"\"ab\"", "4", "8", "5.5"}},
    {"{\"anyOf\":[{\"anyOf\":[{\"minimum\":1},{\"maximum\":-1}]}],\"type\":\"integer\",\"enum\":[-2,-1,0,1,2]}", {"-2", "-1", "1", "2"}, {"0", "3"}},
    {"{\"$ref\":\"#/$defs/a~1b%20~0\",\"maxLength\":2,\"$defs\":{\"a/b ~\":{\"type\":\"string\",\"minLength\":2}}}", {"\"ab\""}, {"\"a\"", "\"abc\"", "1"}},
    {"{\"type\":\"object\",\"properties\":{\"v\":{\"type\":\"integer\"},\"next\":{\"$ref\":\"#\"}},\"required\":[\"v\"],\"additionalProperties\":false}",
     {"{\"v\":1}", "{\"v\":1,\"next\":{\"v\":2,\"next\":{\"v\":3}}}"}, {"{\"v\":1,\"next\":{}}", "{\"next\":{\"v\":1}}", "{\"v\":1,\"w\":1}"}},
    {"{\"anyOf\":[{\"type\":\"null\"},{\"type\":\"array\",\"items\":{\"$ref\":\"#\"}}]}", {"null", "[]", "[null,[[null]]]"}, {"[1]", "1"}},
    {"{\"prefixItems\":[{\"$ref\":\"#/prefixItems/1\"},{\"const\":5}],\"type\":\"array\",\"items\":false,\"minItems\":2}", {"[5,5]"}, {"[5]", "[1,5]"}},
    {"{\"title\":\"t\",\"$comment\":\"c\",\"description\":\"d\",\"default\":{\"not\":1},\"examples\":[1],\"$id\":\"i\",\"$schema\":\"s\",\"const\":1}", {"1"}, {"2"}},
    {"{\"type\":\"object\",\"properties\":{\"a\":{\"enum\":[1],\"type\":\"string\"},\"b\":true}}", {"{}", "{\"b\":{}}"}, {"{\"a\":1}"}}};

static void check_texts(void) {
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        phi_grammar *g = open_matcher(texts[i].schema);
        if (!g) continue;
        for (int k = 0; k < MOST && texts[i].yes[k]; k++)
            CHECK(matches(texts[i].yes[k]), "%s: %s", texts[i].schema, texts[i].yes[k]);
        for (int k = 0; k < MOST && texts[i].no[k]; k++)
            CHECK(!matches(texts[i].no[k]), "%s: %s", texts[i].schema, texts[i].no[k]);
        close_matcher(g);
    }
}

/* ---- Numbers ---- */

/* v / 1000 with as few digits as it takes, at least `least` behind the point. */
static void print_milli(char *out, long v, int least) {
    long a = v < 0 ? -v : v;
    int n = sprintf(out, "%s%ld.%03ld", v < 0 ? "-" : "", a / 1000, a % 1000);
    for (int behind = 3; behind > least && out[n - 1] == '0'; behind--) out[--n] = 0;
    if (out[n - 1] == '.') out[n - 1] = 0;
}

static void check_numbers(void) {
    static const long near[] = {0, 1, 9, 10, 99, 100, 500, 999, 1000, 1001, 1500, 9990, 9999, 10000, 12345, 99999, 100000, 123456};
    enum { N_NEAR = sizeof near / sizeof *near };
    unsigned long long seed = check_seed();
    for (int round = 0; round < 400; round++) {
        char schema[200], low_text[40], high_text[40], text[40];
        long low = near[check_random(&seed) % N_NEAR] * (check_random(&seed) % 2 ? 1 : -1);
        long high = low + 2 + near[check_random(&seed) % N_NEAR];
        bool integer = check_random(&seed) % 3 == 0, has_low = check_random(&seed) % 4, has_high = check_random(&seed) % 4 || !has_low;
        bool low_open = check_random(&seed) % 2, high_open = check_random(&seed) % 2;
        if (integer) low = low / 1000 * 1000, high = low + 2000 + high / 1000 * 1000 - low / 1000 * 1000;
        if (integer && high <= low + 1000) high = low + 2000;
        print_milli(low_text, low, 0);
        print_milli(high_text, high, 0);
        int n = sprintf(schema, "{\"type\":\"%s\"", integer ? "integer" : "number");
        if (has_low) n += sprintf(schema + n, ",\"%s\":%s", low_open ? "exclusiveMinimum" : "minimum", low_text);
        if (has_high) n += sprintf(schema + n, ",\"%s\":%s", high_open ? "exclusiveMaximum" : "maximum", high_text);
        sprintf(schema + n, "}");
        phi_grammar *g = open_matcher(schema);
        if (!g) continue;
        for (int k = 0; k < 60; k++) {
            long base = k % 3 == 0 ? low : k % 3 == 1 ? high : 0;
            long v = base + (long)(check_random(&seed) % 5) - 2;
            if (k % 4 == 3) v = near[check_random(&seed) % N_NEAR] * (check_random(&seed) % 2 ? 1 : -1);
            int least = integer ? 0 : (int)(check_random(&seed) % 4);
            print_milli(text, v, least);
            bool in = (!has_low || (low_open ? v > low : v >= low)) && (!has_high || (high_open ? v < high : v <= high));
            in = in && (!integer || v % 1000 == 0) && !(v == 0 && *text == '-');
            CHECK(matches(text) == in, "%s: %s", schema, text);
        }
        close_matcher(g);
    }
}

/* ---- Patterns ---- */

static const struct {
    const char *pattern, *yes[8], *no[8];
} patterns[] = {{"abc", {"abc", "xabcx"}, {"ab", "", "abd"}},
                {"^abc", {"abc", "abcx"}, {"xabc"}},
                {"abc$", {"abc", "xabc"}, {"abcx", "abc\n"}},
                {"^a|b$", {"ax", "xb", "a", "b"}, {"xa", "bx", ""}},
                {"^(a|bc)*$", {"", "a", "bca", "abcbc"}, {"b", "ab", "c"}},
                {"^a{2,3}$", {"aa", "aaa"}, {"a", "aaaa"}},
                {"^a{2}b{2,}$", {"aabb", "aabbbb"}, {"aab", "aaabb"}},
                {"^(ab?){2}$", {"aa", "aba", "abab"}, {"a", "ab", "abb"}},
                {"^[^a-c]$", {"d", "\xc3\xa4", "\n"}, {"a", "c", "", "de"}},
                {"^[-a\\]\\d]+$", {"-a]7"}, {"b", "\\"}},
                {"^[a-]$", {"a", "-"}, {"b"}},
                {"^.$", {"a", "\xf0\x9f\x98\x80"}, {"\n", "\r", "\xe2\x80\xa8", "", "ab"}},
                {"^[]$", {NULL}, {"", "a"}},
                {"^[^]$", {"a", "\n"}, {""}},
                {"^\\d+\\.\\d+$", {"1.5"}, {"1", "1,5", "\xd9\xa1.1"}},
                {"^\\w\\W\\s\\S$", {"a- b"}, {"--  ", "aa b", "a\xc3\xa4 b", "a-  "}},
                {"^[^\\W]$", {"a", "_"}, {"\xc3\xa4", "-"}},
                {"^[\\s\\S]$", {"a", " ", "\n", "\xc3\xa4"}, {"", "ab"}},
                {"^\\u00e4\\x41\\u{1F600}\\uD83D\\uDE00$", {"\xc3\xa4" "A\xf0\x9f\x98\x80\xf0\x9f\x98\x80"}, {"A"}},
                {"^(?:a)(?<n>b)c+?$", {"abc", "abcc"}, {"ac"}},
                {"", {"", "a"}, {NULL}},
                {"^$", {""}, {"a"}},
                {"$^", {""}, {"a"}},
                {"a^b", {NULL}, {"ab", "a^b", ""}},
                {"(^a|b)c", {"ac", "xbc", "bc"}, {"xac"}},
                {"^(a*)*$", {"", "aaa"}, {"b"}},
                {"^(|a|)b$", {"b", "ab"}, {"aab"}},
                {"^\\/\\^\\$\\.\\*\\+\\?\\(\\)\\[\\]\\{\\}\\|\\-$", {"/^$.*+?()[]{}|-"}, {"x"}},
                {"^\\t\\n\\v\\f\\r\\0\\cA$", {NULL}, {"x"}},
                {"^(a|b)*a(a|b){6}$", {"abbbbbb", "aaaaaaaa"}, {"bbbbbbb", "aaaaaa"}}};

static void check_patterns(void) {
    static const char *const bad[] = {"(", ")", "a)", "(a", "[a", "a{2", "a{,3}", "a{3,2}", "*", "a**", "(?=a)", "(?!a)", "(?<=a)", "(?<!a)", "\\1", "\\b",
                                      "\\B", "\\p{L}", "\\k<n>", "\\", "[b-a]", "[\\d-z]", "a]", "a}", "\\u12", "\\uD800", "\\u{110000}", "\\x1",
                                      "(?i)a", "|*", "^((((a{100}){100}){100}){100})$", "(a|b)*a(a|b){20}", "\\c1", "[\\"};
    struct phi_dfa d;
    phi_error err;
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++) {
        int status = phi_dfa_open(patterns[i].pattern, strlen(patterns[i].pattern), &d, &err);
        CHECK(status == 0, "%s: %s", patterns[i].pattern, err.text);
        if (status) continue;
        for (int k = 0; k < 8 && patterns[i].yes[k]; k++)
            CHECK(phi_dfa_accepts(&d, patterns[i].yes[k], strlen(patterns[i].yes[k])), "%s: %s", patterns[i].pattern, patterns[i].yes[k]);
        for (int k = 0; k < 8 && patterns[i].no[k]; k++)
            CHECK(!phi_dfa_accepts(&d, patterns[i].no[k], strlen(patterns[i].no[k])), "%s: %s", patterns[i].pattern, patterns[i].no[k]);
        phi_dfa_close(&d);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        err.text[0] = 0;
        int status = phi_dfa_open(bad[i], strlen(bad[i]), &d, &err);
        CHECK(status == PHI_USAGE && err.text[0], "%s: status %d", bad[i], status);
        if (!status) phi_dfa_close(&d);
    }
    char deep[4096]; /* as deep as it can be */
    memset(deep, '(', 2000);
    memset(deep + 2000, ')', 2000);
    CHECK(phi_dfa_open(deep, 4000, &d, &err) == 0, "%s", err.text);
    phi_dfa_close(&d);
}

/* Random patterns of letters against the C library's extended regular expressions. */
static void check_random_patterns(void) {
    unsigned long long seed = check_seed();
    for (int i = 0; i < 600; i++) {
        static const char *const pieces[] = {"a", "b", "c", "[ab]", "[^a]", ".", "(a|b)", "(bc)", "(a|bc|c)", "(ab|a)(c|bcd)"};
        static const char *const ends[] = {"", "", "", "*", "+", "?", "{2}", "{1,2}", "{0,1}"};
        char pattern[200] = "", text[12];
        int n = (int)(check_random(&seed) % 5);
        if (check_random(&seed) % 2) strcat(pattern, "^");
        for (int k = 0; k <= n; k++) {
            strcat(pattern, pieces[check_random(&seed) % 10]);
            strcat(pattern, ends[check_random(&seed) % 9]);
            if (k < n && check_random(&seed) % 6 == 0) strcat(pattern, "|");
        }
        if (check_random(&seed) % 2) strcat(pattern, "$");
        struct phi_dfa d;
        phi_error err;
        regex_t posix;
        CHECK(phi_dfa_open(pattern, strlen(pattern), &d, &err) == 0, "%s: %s", pattern, err.text);
        CHECK(regcomp(&posix, pattern, REG_EXTENDED | REG_NOSUB) == 0, "%s", pattern);
        for (int k = 0; k < 40; k++) {
            size_t length = check_random(&seed) % 9;
            for (size_t c = 0; c < length; c++) text[c] = "abcd"[check_random(&seed) % 4];
            text[length] = 0;
            CHECK(phi_dfa_accepts(&d, text, length) == (regexec(&posix, text, 0, NULL, 0) == 0), "%s: %s", pattern, text);
        }
        regfree(&posix);
        phi_dfa_close(&d);
    }
}

/* ---- A validator ---- */

struct view {
    const struct phi_json *j;
    uint32_t v;
};

static struct view member(struct view o, const char *key) {
    return (struct view){o.j, phi_json_get(o.j, o.v, key)};
}

static bool equal(struct view a, struct view b) {
    const struct phi_json_node *x = &a.j->node[a.v], *y = &b.j->node[b.v];
    double p, q;
    if (x->kind != y->kind) return false;
    if (x->kind == PHI_JSON_NUMBER) return phi_json_f64(a.j, a.v, &p) && phi_json_f64(b.j, b.v, &q) && p == q;
    if (x->kind == PHI_JSON_STRING) return x->n == y->n && memcmp(phi_json_text(a.j, a.v), phi_json_text(b.j, b.v), x->n) == 0;
    if (x->kind <= PHI_JSON_TRUE) return true;
    if (x->n != y->n) return false;
    uint32_t k = phi_json_first(b.j, b.v);
    for (uint32_t i = phi_json_first(a.j, a.v); i; i = phi_json_after(a.j, a.v, i), k = k ? phi_json_after(b.j, b.v, k) : 0) {
        bool object = x->kind == PHI_JSON_OBJECT;
        uint32_t other = object ? phi_json_get_n(b.j, b.v, phi_json_text(a.j, i), a.j->node[i].n) : k;
        if (!other || !equal((struct view){a.j, object ? i + 1 : i}, (struct view){b.j, other})) return false;
    }
    return true;
}

static bool has_type(struct view name, struct view v) {
    unsigned kind = v.j->node[v.v].kind;
    int64_t whole;
    static const char *const names[] = {"null", "boolean", "boolean", "number", "string", "array", "object"};
    return phi_json_is(name.j, name.v, names[kind]) || (phi_json_is(name.j, name.v, "integer") && phi_json_i64(v.j, v.v, &whole));
}

static bool valid(struct view s, struct view v);

static bool valid_number(struct view s, double x) {
    static const char *const names[] = {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"};
    for (int i = 0; i < 4; i++) {
        double bound;
        if (!phi_json_f64(s.j, member(s, names[i]).v, &bound) || !member(s, names[i]).v) continue;
        if (i == 0 ? x < bound : i == 1 ? x > bound : i == 2 ? x <= bound : x >= bound) return false;
    }
    return true;
}

static bool valid_count(struct view s, const char *least, const char *most, int64_t n) {
    int64_t bound;
    if (member(s, least).v && phi_json_i64(s.j, member(s, least).v, &bound) && n < bound) return false;
    return !member(s, most).v || !phi_json_i64(s.j, member(s, most).v, &bound) || n <= bound;
}

static bool valid_string(struct view s, struct view v) {
    const char *text = phi_json_text(v.j, v.v);
    int64_t n = 0;
    for (uint32_t i = 0; i < v.j->node[v.v].n; i++) n += ((unsigned char)text[i] & 0xc0) != 0x80;
    if (!valid_count(s, "minLength", "maxLength", n)) return false;
    uint32_t pattern = member(s, "pattern").v;
    regex_t posix;
    if (!pattern) return true;
    CHECK(regcomp(&posix, phi_json_text(s.j, pattern), REG_EXTENDED | REG_NOSUB) == 0, "a pattern for both");
    bool yes = strlen(text) == v.j->node[v.v].n && regexec(&posix, text, 0, NULL, 0) == 0;
    regfree(&posix);
    return yes;
}

static bool valid_array(struct view s, struct view v) {
    uint32_t fixed = member(s, "prefixItems").v, at = fixed ? phi_json_first(s.j, fixed) : 0, rest = member(s, "items").v;
    if (!valid_count(s, "minItems", "maxItems", v.j->node[v.v].n)) return false;
    for (uint32_t i = phi_json_first(v.j, v.v); i; i = phi_json_after(v.j, v.v, i)) {
        if ((at || rest) && !valid((struct view){s.j, at ? at : rest}, (struct view){v.j, i})) return false;
        if (at) at = phi_json_after(s.j, fixed, at);
    }
    return true;
}

static bool valid_object(struct view s, struct view v) {
    uint32_t properties = member(s, "properties").v, rest = member(s, "additionalProperties").v, required = member(s, "required").v;
    for (uint32_t r = required ? phi_json_first(s.j, required) : 0; r; r = phi_json_after(s.j, required, r))
        if (!phi_json_get_n(v.j, v.v, phi_json_text(s.j, r), s.j->node[r].n)) return false;
    for (uint32_t k = phi_json_first(v.j, v.v); k; k = phi_json_after(v.j, v.v, k)) {
        uint32_t p = properties ? phi_json_get_n(s.j, properties, phi_json_text(v.j, k), v.j->node[k].n) : 0;
        if (!p) p = rest;
        if (p && !valid((struct view){s.j, p}, (struct view){v.j, k + 1})) return false;
    }
    return true;
}

static bool any_of(struct view list, struct view v, bool schemas) {
    for (uint32_t i = phi_json_first(list.j, list.v); i; i = phi_json_after(list.j, list.v, i))
        if (schemas ? valid((struct view){list.j, i}, v) : equal((struct view){list.j, i}, v)) return true;
    return false;
}

static bool valid_type(struct view types, struct view v) {
    if (types.j->node[types.v].kind != PHI_JSON_ARRAY) return has_type(types, v);
    for (uint32_t i = phi_json_first(types.j, types.v); i; i = phi_json_after(types.j, types.v, i))
        if (has_type((struct view){types.j, i}, v)) return true;
    return false;
}

static bool valid(struct view s, struct view v) {
    double x;
    if (s.j->node[s.v].kind != PHI_JSON_OBJECT) return s.j->node[s.v].kind == PHI_JSON_TRUE;
    struct view ref = member(s, "$ref"), type = member(s, "type"), values = member(s, "enum");
    struct view value = member(s, "const"), any = member(s, "anyOf");
    if (ref.v) { /* "#" and "#/$defs/name" are all that the schemas here have */
        const char *name = strrchr(phi_json_text(s.j, ref.v), '/');
        struct view root = {s.j, 0};
        if (!valid(name ? member(member(root, "$defs"), name + 1) : root, v)) return false;
    }
    if (type.v && !valid_type(type, v)) return false;
    if (values.v && !any_of(values, v, false)) return false;
    if (value.v && !equal(value, v)) return false;
    if (any.v && !any_of(any, v, true)) return false;
    switch (v.j->node[v.v].kind) {
    case PHI_JSON_NUMBER:
        return phi_json_f64(v.j, v.v, &x) && valid_number(s, x);
    case PHI_JSON_STRING:
        return valid_string(s, v);
    case PHI_JSON_ARRAY:
        return valid_array(s, v);
    case PHI_JSON_OBJECT:
        return valid_object(s, v);
    }
    return true;
}

/* ---- Answers ---- */

static const char *const answered[] = {
    "{}",
    "{\"type\":\"integer\",\"minimum\":-12,\"exclusiveMaximum\":3000}",
    "{\"type\":\"number\",\"exclusiveMinimum\":-0.25,\"maximum\":12.5}",
    "{\"type\":\"string\",\"minLength\":3,\"maxLength\":9}",
    "{\"type\":\"string\",\"pattern\":\"^[a-z]+-[0-9]{2,3}$\"}",
    "{\"type\":\"string\",\"pattern\":\"q[^a-z]\",\"maxLength\":12}",
    "{\"type\":\"array\",\"items\":{\"type\":\"number\"},\"minItems\":3,\"maxItems\":6}",
    "{\"type\":\"array\",\"prefixItems\":[{\"type\":\"string\"},{\"type\":\"boolean\"}],\"items\":{\"enum\":[1,null,[true]]},\"minItems\":2}",
    "{\"type\":\"object\",\"properties\":{\"name\":{\"type\":\"string\",\"minLength\":1},\"age\":{\"type\":\"integer\",\"minimum\":0,\"maximum\":150},"
    "\"tags\":{\"type\":\"array\",\"items\":{\"type\":\"string\"}}},\"required\":[\"name\",\"age\"]}",
    "{\"type\":\"object\",\"properties\":{\"a\":{\"const\":1}},\"additionalProperties\":{\"type\":[\"string\",\"null\"],\"maxLength\":4},\"required\":[\"zz\"]}",
    "{\"enum\":[\"yes\",\"no\",{\"maybe\":[1,2.5,-7e3]},null]}",
    "{\"anyOf\":[{\"type\":\"object\",\"properties\":{\"kind\":{\"const\":\"circle\"},\"r\":{\"type\":\"number\"}},\"required\":[\"kind\",\"r\"]},"
    "{\"type\":\"object\",\"properties\":{\"kind\":{\"const\":\"square\"},\"side\":{\"type\":\"number\",\"minimum\":0}},\"required\":[\"kind\",\"side\"]}]}",
    "{\"$ref\":\"#/$defs/tree\",\"$defs\":{\"tree\":{\"type\":\"object\",\"properties\":{\"v\":{\"type\":\"integer\"},\"l\":{\"$ref\":\"#/$defs/tree\"},"
    "\"r\":{\"anyOf\":[{\"type\":\"null\"},{\"$ref\":\"#/$defs/tree\"}]}},\"required\":[\"v\",\"r\"],\"additionalProperties\":false}}}",
    "{\"minLength\":2,\"minimum\":10,\"minItems\":1,\"required\":[\"x\"]}"};
enum { N_ANSWERED = sizeof answered / sizeof *answered };

static char answer[1 << 16];
static size_t n_answer;

static void add_answer(const char *bytes, size_t n) {
    if (n > sizeof answer - n_answer) n = sizeof answer - n_answer;
    memcpy(answer + n_answer, bytes, n);
    n_answer += n;
}

static void check_answer(const char *schema, const char *how) {
    struct phi_json s, v;
    phi_error err = {""};
    CHECK(phi_json_open(&s, schema, strlen(schema), "schema", PHI_USAGE, &err) == 0, "%s", err.text);
    int status = phi_json_open(&v, answer, n_answer, "answer", PHI_FAILED, &err);
    bool twice = status && strstr(err.text, "stands twice"); /* allowed in JSON, if not wise; values are checked elsewhere */
    CHECK(status == 0 || twice, "%s, %s: %.*s: %s", schema, how, (int)n_answer, answer, err.text);
    if (status == 0) CHECK(valid((struct view){&s, 0}, (struct view){&v, 0}), "%s, %s: %.*s", schema, how, (int)n_answer, answer);
    phi_json_close(&s);
    phi_json_close(&v);
}

/* Random allowed tokens with a budget. */
static void walk(const phi_grammar *g, const char *schema, int64_t budget, unsigned long long *seed) {
    struct phi_grammar_state *s = open_state(g);
    char how[64];
    n_answer = 0;
    sprintf(how, "%lld tokens", (long long)budget);
    for (int64_t left = budget;; left--) {
        phi_grammar_state_set_budget(s, left);
        if (phi_grammar_state_must_end(s)) break;
        CHECK(left > 0 && phi_grammar_state_shortest(s) <= left, "%s: %u tokens to the end, %lld left", schema, phi_grammar_state_shortest(s), (long long)left);
        int32_t id = -1;
        for (int k = 0; k < 200 && id < 0; k++) { /* a token of all, else the first one from a random one on */
            int32_t try = (int32_t)(check_random(seed) % (unsigned)n_vocab);
            if (phi_grammar_state_allows(s, try)) id = try;
        }
        for (int k = 0, from = (int)(check_random(seed) % (unsigned)n_vocab); k < n_vocab && id < 0; k++)
            if (phi_grammar_state_allows(s, (from + k) % n_vocab)) id = (from + k) % n_vocab;
        CHECK(id >= 0, "%s: nothing is allowed after %.*s", schema, (int)n_answer, answer);
        if (id < 0 || phi_token_is_stop(model, id)) break;
        size_t n;
        const char *bytes = phi_token_bytes(model, id, false, &n);
        add_answer(bytes, n);
        phi_grammar_state_accept(s, id);
    }
    check_answer(schema, how);
    phi_grammar_state_close(s);
}

static void check_walks(void) {
    unsigned long long seed = check_seed();
    for (int i = 0; i < N_ANSWERED; i++) {
        phi_grammar *g = open_schema(answered[i]);
        if (!g) continue;
        struct phi_grammar_state *s = open_state(g);
        uint32_t least = phi_grammar_state_shortest(s);
        phi_grammar_state_close(s);
        for (int k = 0; k < 24; k++) walk(g, answered[i], (int64_t)least + (k < 12 ? k : 5 * k), &seed);
        phi_grammar_close(g);
    }
}

static int on_token(void *user, int32_t id, const char *bytes, size_t n) {
    (void)user, (void)id;
    add_answer(bytes, n);
    return 0;
}

static void check_generate(void) {
    struct phi_session_options options = phi_session_options_default();
    phi_session *session;
    phi_error err;
    int32_t ids[8];
    options.n_ctx = 256;
    CHECK(phi_session_open(model, &options, &session, &err) == 0, "%s", err.text);
    int64_t n = phi_tokenize(model, "Once", 4, PHI_ADD_BOS, ids, 8);
    for (int i = 0; i < N_ANSWERED; i++) {
        phi_grammar *g = open_schema(answered[i]);
        struct phi_grammar_state *s = open_state(g);
        int least = (int)phi_grammar_state_shortest(s);
        phi_grammar_state_close(s);
        for (int k = -1; k < 5; k++) {
            struct phi_sampler_options sampling = phi_sampler_options_default();
            phi_sampler *sampler;
            struct phi_generate_result result;
            char how[64];
            sampling.grammar = g;
            sampling.seed = (uint32_t)(7 * i + k);
            sampling.temperature = k == 1 ? 0 : 0.7f * (float)(k + 1);
            CHECK(phi_sampler_open(model, &sampling, &sampler, &err) == 0, "%s", err.text);
            phi_session_rewind(session, 0, NULL);
            n_answer = 0;
            sprintf(how, "-n %d, temperature %g", least + k * k * 3, sampling.temperature);
            int status = phi_generate(session, sampler, ids, (size_t)n, k < 0 ? least - 1 : least + k * k * 3, on_token, NULL, NULL, &result, &err);
            CHECK(status == (k < 0 && least > 1 ? PHI_CONTEXT : 0), "%s, %s: %d: %s", answered[i], how, status, err.text);
            if (k >= 0) check_answer(answered[i], how);
            phi_sampler_close(sampler);
        }
        phi_grammar_close(g);
    }
    phi_session_close(session);
}

/* ---- Refused ---- */

static void check_refused(void) {
    static const char *const bad[][2] = {
        {"", "schema: line 1, column 1: "},
        {"{\"a\":1,}", "schema: line 1, column 8: "},
        {"1", "schema: #: the schema must be an object"},
        {"{\"not\":{}}", "schema: #: keyword 'not' is not supported"},
        {"{\"properties\":{\"x\":{\"not\":{}}}}", "schema: #/properties/x: keyword 'not' is not supported"},
        {"{\"items\":{\"anyOf\":[{},{\"format\":\"date\"}]}}", "schema: #/items/anyOf/1: keyword 'format' is not"},
        {"{\"$defs\":{\"a/b~\":{\"if\":{}}}}", "schema: #/$defs/a~1b~0: keyword 'if' is not"},
        {"{\"oneOf\":[{}]}", "keyword 'oneOf'"}, {"{\"allOf\":[{}]}", "keyword 'allOf'"}, {"{\"multipleOf\":2}", "keyword 'multipleOf'"},
        {"{\"patternProperties\":{}}", "keyword 'patternProperties'"}, {"{\"uniqueItems\":true}", "keyword 'uniqueItems'"},
        {"{\"type\":\"text\"}", "schema: #/type: 'text' is not a type"}, {"{\"type\":[\"null\",1]}", "schema: #/type/1: type must be a name"},
        {"{\"type\":[]}", "schema: #/type: type is empty"}, {"{\"enum\":[]}", "schema: #/enum: enum is empty"},
        {"{\"anyOf\":[]}", "schema: #/anyOf: anyOf is empty"}, {"{\"enum\":1}", "schema: #/enum: enum must be a list"},
        {"{\"required\":[1]}", "schema: #/required/0: required must be a list of names"}, {"{\"properties\":[]}", "schema: #/properties: properties must be an"},
        {"{\"items\":[{}]}", "schema: #/items: items must be"}, {"{\"minLength\":-1}", "schema: #/minLength: minLength -1 is negative"},
        {"{\"minLength\":1.5}", "must be a whole number"}, {"{\"maxItems\":65537}", "schema: #/maxItems: maxItems 65537 is above 65536"},
        {"{\"maxLength\":1e30}", "is above 65536"}, {"{\"minimum\":\"1\"}", "schema: #/minimum: minimum must be a number"},
        {"{\"minLength\":3,\"maxLength\":2}", "schema: #: minLength 3 is above maxLength 2"}, {"{\"minItems\":3,\"maxItems\":2}", "minItems 3 is above maxItems 2"},
        {"{\"minimum\":1,\"maximum\":0.5}", "schema: #: minimum leaves no room below maximum"},
        {"{\"minimum\":1,\"exclusiveMaximum\":1}", "leaves no room"}, {"{\"exclusiveMinimum\":1,\"maximum\":1.0}", "leaves no room"},
        {"{\"pattern\":1}", "schema: #/pattern: pattern must be a string"}, {"{\"pattern\":\"a(\"}", "schema: #/pattern: a ( without its )"},
        {"{\"type\":\"string\",\"pattern\":\"^\\\\w$\",\"minLength\":2}", "schema: #: nothing can satisfy it"},
        {"{\"$ref\":1}", "schema: #/$ref: $ref must be a string"}, {"{\"$ref\":\"x.json\"}", "schema: #/$ref: 'x.json' is not a place"},
        {"{\"$ref\":\"#a\"}", "'#a' is not a place"}, {"{\"$ref\":\"#/$defs/x\"}", "schema: #/$ref: there is nothing at '#/$defs/x'"},
        {"{\"anyOf\":[{}],\"items\":{\"$ref\":\"#/anyOf/01\"}}", "there is nothing at"}, {"{\"title\":\"t\",\"$ref\":\"#/title\"}", "the target of $ref must be"},
        {"{\"$ref\":\"#\"}", "schema: #: defined by itself"}, {"{\"anyOf\":[{\"type\":\"null\"},{\"$ref\":\"#\"}]}", "schema: #: defined by itself"},
        {"{\"$ref\":\"#/$defs/a\",\"$defs\":{\"a\":{\"$ref\":\"#/$defs/b\"},\"b\":{\"$ref\":\"#/$defs/a\"}}}", "defined by itself"},
        {"false", "schema: #: nothing can satisfy it"},
        {"{\"type\":\"object\",\"properties\":{\"a\":{\"$ref\":\"#\"}},\"required\":[\"a\"]}", "schema: #: nothing can satisfy it"},
        {"{\"type\":\"array\",\"items\":{\"$ref\":\"#\"},\"minItems\":1}", "schema: #: nothing can satisfy it"},
        {"{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"string\",\"const\":1}},\"required\":[\"a\"]}", "schema: #/properties/a: nothing can satisfy it"},
        {"{\"type\":\"object\",\"additionalProperties\":false,\"required\":[\"a\"]}", "schema: #: nothing can satisfy it"},
        {"{\"type\":\"integer\",\"minimum\":1e17}", "schema: #: nothing of at most 16 digits can satisfy it"},
        {"{\"anyOf\":[{\"minLength\":5},{\"minLength\":6}],\"type\":\"string\",\"maxLength\":4}", "schema: #: nothing can satisfy it"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        for (int k = 0; k < 2; k++) { /* without a vocabulary, too */
            phi_grammar *g = NULL;
            phi_error err = {""};
            int status = phi_grammar_open_schema(k ? model : NULL, bad[i][0], strlen(bad[i][0]), &g, &err);
            CHECK(status == PHI_USAGE && !g && strstr(err.text, bad[i][1]), "%s: %d: %s", bad[i][0], status, err.text);
            phi_grammar_close(g);
        }
}

/* ---- Size ---- */

static int open_size(const char *text, char *sentence) {
    phi_grammar *g = NULL;
    phi_error err = {""};
    int status = phi_grammar_open_schema(NULL, text, strlen(text), &g, &err);
    strcpy(sentence, err.text);
    phi_grammar_close(g);
    return status;
}

/* head, then n times piece (with a %d), then tail. */
static void check_size(const char *head, const char *piece, int n, const char *tail, const char *sentence) {
    char *text = malloc(strlen(head) + strlen(tail) + (size_t)n * (strlen(piece) + 12) + 1), found[512];
    char *at = text + sprintf(text, "%s", head);
    for (int i = 0; i < n; i++) {
        if (i && *piece != '{' && *piece != '[') *at++ = ',';
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        at += sprintf(at, piece, i);
#pragma GCC diagnostic pop
    }
    strcpy(at, tail);
    int status = open_size(text, found);
    CHECK(sentence ? status == PHI_USAGE && strstr(found, sentence) : status == 0, "%.60s...: %d: %s", text, status, found);
    free(text);
}

static void check_sizes(void) {
    check_size("{\"enum\":[", "\"word %d\"", 20000, "]}", NULL);
    check_size("{\"enum\":[", "%d", 20000, "],\"minimum\":1000,\"type\":\"integer\"}", NULL);
    check_size("{\"type\":\"object\",\"properties\":{", "\"p%d\":{\"type\":\"string\",\"maxLength\":10000}", 200, "}}", NULL);
    check_size("{\"type\":\"object\",\"properties\":{", "\"p%d\":{\"type\":\"number\",\"minimum\":0,\"maximum\":1234.5}", 250, "},\"additionalProperties\":{}}", NULL);
    check_size("{\"type\":\"object\",\"properties\":{", "\"p%d\":true", 300, "}}", "more than 256 properties in a row");
    check_size("{\"type\":\"array\",\"prefixItems\":[", "{\"const\":%d}", 0, "],\"minItems\":65536,\"maxItems\":65536,\"items\":{\"type\":\"null\"}}", "");
    check_size("{\"type\":\"string\",\"minLength\":60000,\"maxLength\":65536", "", 0, "}", NULL);
    check_size("{\"anyOf\":[", "{\"type\":\"string\"}%.0d", 0, "{\"type\":\"string\"}]}", NULL);
    char text[8192] = "{\"type\":\"integer\"", found[512]; /* 2^30 ways to choose */
    for (int i = 0; i < 30; i++) strcat(text, ",\"anyOf\":[{},{\"minimum\":0");
    for (int i = 0; i < 30; i++) strcat(text, "}]");
    strcat(text, "}");
    CHECK(open_size(text, found) == 0, "%s", found);
    strcpy(text, "{\"$defs\":{\"a0\":{}");
    for (int i = 1; i <= 30; i++) sprintf(text + strlen(text), ",\"a%d\":{\"anyOf\":[{\"$ref\":\"#/$defs/a%d\"},{\"$ref\":\"#/$defs/a%d\",\"minimum\":%d}]}", i, i - 1, i - 1, i);
    strcat(text, "},\"$ref\":\"#/$defs/a30\"}");
    CHECK(open_size(text, found) == PHI_USAGE && strstr(found, "more than"), "%s", found);
    strcpy(text, "");
    for (int i = 0; i < 200; i++) strcat(text, "{\"items\":");
    strcat(text, "{}");
    for (int i = 0; i < 200; i++) strcat(text, "}");
    CHECK(open_size(text, found) == 0, "%s", found);
}

/* ---- Damage, memory ---- */

static const char everything[] =
    "{\"type\":[\"object\",\"array\"],\"properties\":{\"a\":{\"type\":\"string\",\"pattern\":\"^(a|b)+\\\\d{2}$\",\"maxLength\":5},\"b\":{\"enum\":[1,\"x\",[2]]},"
    "\"c\":{\"$ref\":\"#/$defs/d\"}},\"required\":[\"a\",\"q\"],\"additionalProperties\":{\"type\":\"number\",\"minimum\":-1.5},"
    "\"prefixItems\":[{\"const\":null}],\"items\":{\"anyOf\":[{\"type\":\"integer\",\"maximum\":7},{\"$ref\":\"#\"}]},\"minItems\":1,\"maxItems\":3,"
    "\"$defs\":{\"d\":{\"minLength\":2}}}";

static void check_damage(void) {
    unsigned long long seed = check_seed();
    size_t n = strlen(everything);
    int accepted = 0;
    for (int i = 0; i < 6000; i++) {
        char *text = malloc(n);
        phi_grammar *g = NULL;
        phi_error err = {""};
        memcpy(text, everything, n);
        size_t n_text = n;
        for (unsigned k = 0; k <= (unsigned)i % 3; k++) text[check_random(&seed) % n] = everything[check_random(&seed) % n];
        if (i % 7 == 0) n_text = check_random(&seed) % n;
        int status = phi_grammar_open_schema(NULL, text, n_text, &g, &err);
        CHECK(status == 0 || (status == PHI_USAGE && strncmp(err.text, "schema: ", 8) == 0 && !strchr(err.text, '\n')), "%d: %s", status, err.text);
        accepted += status == 0;
        phi_grammar_close(g);
        free(text);
    }
    CHECK(accepted > 60, "%d of 6000 accepted", accepted);
}

static void check_memory(void) {
    unsigned long long live = phi_memory_live(), failures = 0;
    for (unsigned long long k = 1;; k++) {
        phi_grammar *g = NULL;
        phi_error err = {""};
        phi_memory_fail_at(k);
        int status = phi_grammar_open_schema(model, everything, strlen(everything), &g, &err);
        phi_memory_fail_at(0);
        phi_grammar_close(g);
        CHECK(phi_memory_live() == live, "allocation %llu leaks", k);
        if (status == 0) break;
        failures++;
        CHECK(status == PHI_MEMORY && err.text[0], "allocation %llu: %d: %s", k, status, err.text);
    }
    CHECK(failures > 50, "%llu allocations", failures);
}

static void find_tokens(void) {
    struct phi_model_info info;
    phi_model_get_info(model, &info);
    n_vocab = info.n_vocab;
    memset(byte_token, 0xff, sizeof byte_token);
    stop_token = -1;
    for (int32_t id = 0; id < n_vocab; id++) {
        size_t n;
        const char *bytes = phi_token_bytes(model, id, false, &n);
        if (n == 1 && byte_token[(uint8_t)*bytes] < 0) byte_token[(uint8_t)*bytes] = id;
        if (stop_token < 0 && phi_token_is_stop(model, id)) stop_token = id;
    }
}

int main(void) {
    phi_error err;
    if (phi_model_open("models/demo.gguf", &model, &err)) {
        CHECK(false, "%s", err.text);
        return check_done("check_schema");
    }
    find_tokens();
    check_texts();
    check_numbers();
    check_patterns();
    check_random_patterns();
    check_walks();
    check_generate();
    check_refused();
    check_sizes();
    check_damage();
    check_memory();
    phi_model_close(model);
    return check_done("check_schema");
}
