/* The JSON parser against texts that are JSON and texts that are not, numbers at their limits, every cut, damage at
 * every byte, every allocation failing. */
#include "../src/json.h"
#include "../src/memory.h"
#include "check.h"

#include <locale.h>
#include <math.h>
#include <stdint.h>
#include <time.h>

static struct phi_json doc;
static phi_error err;

static int open_n(const char *text, size_t n) {
    err.text[0] = 0;
    return phi_json_open(&doc, text, n, "x.json", PHI_MODEL, &err);
}

static int open_text(const char *text) {
    return open_n(text, strlen(text));
}

/* ---- Dumping: what was understood, in one form, to compare ---- */

static char shown[4096];

static size_t show_string(size_t out, const char *s, size_t n) {
    char piece[PHI_JSON_ESCAPE_SIZE];
    shown[out++] = '"';
    for (size_t i = 0, used; i < n && out + 16 < sizeof shown; i += used) {
        size_t k = phi_json_escape(s + i, n - i, piece, &used);
        memcpy(shown + out, piece, k);
        out += k;
    }
    shown[out++] = '"';
    return out;
}

static size_t show(size_t out, uint32_t v) {
    static const char *const words[] = {"null", "false", "true"};
    const struct phi_json_node *node = &doc.node[v];
    if (node->kind <= PHI_JSON_TRUE) return out + (size_t)sprintf(shown + out, "%s", words[node->kind]);
    if (node->kind == PHI_JSON_NUMBER) return out + (size_t)sprintf(shown + out, "%.*s", (int)node->n, phi_json_text(&doc, v));
    if (node->kind == PHI_JSON_STRING) return show_string(out, phi_json_text(&doc, v), node->n);
    bool object = node->kind == PHI_JSON_OBJECT;
    uint32_t count = 0;
    shown[out++] = object ? '{' : '[';
    for (uint32_t i = phi_json_first(&doc, v); i; i = phi_json_after(&doc, v, i)) {
        if (count++) shown[out++] = ',';
        if (object) {
            out = show_string(out, phi_json_text(&doc, i), doc.node[i].n);
            shown[out++] = ':';
            CHECK(phi_json_get_n(&doc, v, phi_json_text(&doc, i), doc.node[i].n) == i + 1, "a member is found");
        }
        out = show(out, object ? i + 1 : i);
    }
    shown[out++] = object ? '}' : ']';
    CHECK(count == node->n, "%u of %u items", count, node->n);
    return out;
}

static void accepts(const char *text, size_t n, const char *as) {
    int status = open_n(text, n);
    CHECK(status == 0, "%s: %s", text, err.text);
    if (status) return;
    shown[show(0, 0)] = 0;
    CHECK(strcmp(shown, as) == 0, "%s: %s, expected %s", text, shown, as);
    phi_json_close(&doc);
}

static void check_accepted(void) {
    static const char *const same[] = {
        "null", "true", "false", "0", "-0", "1", "-1.5", "1e5", "1E+5", "1.25e-7", "0.0", "123456789012345678901234567890",
        "\"\"", "\"a\"", "[]", "{}", "[[]]", "[{}]", "{\"\":{}}", "[1,2,[3,{\"a\":[null]}],4]", "{\"a\":1,\"b\":[],\"c\":{\"a\":1}}",
        "{\"a\":{\"b\":{\"c\":[[[1],2],3]}},\"d\":4}", "\"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\"", "[\"\\u0000\",\"\\u001f\\n\"]",
        "[\"\x7f\xc2\x80\"]", "\"\\\"\\\\\"", "{\"a\\u0000b\":1,\"a\":2,\"a\\u0000c\":3}", "[{\"a\":1},{\"a\":1}]",
        "[\"0\",\"01234567\",\"012345678\",\"0123456789abcdef\"]"};
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) accepts(same[i], strlen(same[i]), same[i]);
    static const char *const other[][2] = {
        {" \t\r\n1 \n", "1"}, {"[ 1 , 2 ]", "[1,2]"}, {"{ \"a\" : 1 ,\n\"b\" : { } }", "{\"a\":1,\"b\":{}}"},
        {"\"\\/\\b\\f\\n\\r\\t\\u0041\\u00e4\\u20AC\"", "\"/\\b\\f\\n\\r\\tA\xc3\xa4\xe2\x82\xac\""},
        {"\"\\ud83d\\uDE00\"", "\"\xf0\x9f\x98\x80\""}, {"\"\\uD800\\uDC00\\uDBFF\\uDFFF\"", "\"\xf0\x90\x80\x80\xf4\x8f\xbf\xbf\""},
        {"\"\\uFFFF\\u0080\\u07ff\\u0800\"", "\"\xef\xbf\xbf\xc2\x80\xdf\xbf\xe0\xa0\x80\""},
        {"[\"\\u0022\\u005c\"]", "[\"\\\"\\\\\"]"}};
    for (size_t i = 0; i < sizeof other / sizeof *other; i++) accepts(other[i][0], strlen(other[i][0]), other[i][1]);
}

/* Each with the line, the column and a part of the sentence. */
static void check_rejected(void) {
    static const struct {
        const char *text;
        int line, column;
        const char *part;
    } bad[] = {
        {"", 1, 1, "expected a value, found the end of the text"}, {"  ", 1, 3, "expected a value"},
        {"nul", 1, 1, "expected a value"}, {"nulll", 1, 5, "expected nothing behind the value, found 'l'"},
        {"True", 1, 1, "expected a value"}, {"NaN", 1, 1, "expected a value"}, {"Infinity", 1, 1, "expected a value"},
        {"-Infinity", 1, 2, "expected a digit"}, {"01", 1, 2, "0 before other digits"}, {"-01", 1, 3, "0 before"},
        {"+1", 1, 1, "expected a value"}, {".5", 1, 1, "expected a value"}, {"1.", 1, 3, "expected a digit"},
        {"1.e5", 1, 3, "expected a digit"}, {"1e", 1, 3, "expected a digit"}, {"1e+", 1, 4, "expected a digit"},
        {"1e5.5", 1, 4, "expected nothing"}, {"-", 1, 2, "expected a digit"}, {"0x10", 1, 2, "expected nothing"},
        {"1 2", 1, 3, "expected nothing"}, {"[1,]", 1, 4, "expected a value, found ']'"}, {"[,1]", 1, 2, "expected a value"},
        {"[1 2]", 1, 4, "expected , or ]"}, {"[1", 1, 3, "expected , or ]"}, {"[", 1, 2, "expected a value"},
        {"]", 1, 1, "expected a value"}, {"[1}", 1, 3, "expected , or ]"}, {"{\"a\":1]", 1, 7, "expected , or }"},
        {"{\"a\":1,}", 1, 8, "expected a key in quotes, found '}'"}, {"{\"a\" 1}", 1, 6, "expected : behind a key"},
        {"{\"a\"}", 1, 5, "expected : behind a key"}, {"{a:1}", 1, 2, "expected a key"}, {"{1:1}", 1, 2, "expected a key"},
        {"{'a':1}", 1, 2, "expected a key"}, {"{\"a\":}", 1, 6, "expected a value"}, {"{,}", 1, 2, "expected a key"},
        {"{\"a\":1 \"b\":2}", 1, 8, "expected , or }"}, {"{", 1, 2, "expected a key"}, {"[]]", 1, 3, "expected nothing"},
        {"/* no */ 1", 1, 1, "expected a value"}, {"1 // no", 1, 3, "expected nothing"}, {"'a'", 1, 1, "expected a value"},
        {"\"a", 1, 3, "expected \" at the end"}, {"\"\\\"", 1, 4, "expected \" at the end"}, {"\"\\", 1, 2, "no escape"},
        {"\"\\x41\"", 1, 2, "no escape"}, {"\"\\0\"", 1, 2, "no escape"}, {"\"\\U0041\"", 1, 2, "no escape"},
        {"\"\\u12\"", 1, 2, "four hexadecimal digits"}, {"\"\\u12g4\"", 1, 2, "four hexadecimal"}, {"\"\\u", 1, 2, "four"},
        {"\"\\u+123\"", 1, 2, "four"}, {"\"\\ud800\"", 1, 2, "without the second"}, {"\"\\ud800x\"", 1, 2, "without the second"},
        {"\"\\ud800\\n12345\"", 1, 2, "without the second"}, {"\"\\ud800\\ud800\"", 1, 2, "without the second"},
        {"\"\\ud800\\u0041\"", 1, 2, "without the second"}, {"\"ab\\udc00\"", 1, 4, "without the first"},
        {"\"\t\"", 1, 2, "must be escaped"}, {"\"a\nb\"", 1, 3, "must be escaped"}, {"\"\x01\"", 1, 2, "must be escaped"},
        {"\"\xff\"", 1, 2, "not valid UTF-8"}, {"\"\xc0\x80\"", 1, 2, "not valid UTF-8"},
        {"\"\xed\xa0\x80\"", 1, 2, "not valid UTF-8"}, {"\"\xf4\x90\x80\x80\"", 1, 2, "not valid UTF-8"},
        {"\"\xe2\x82\"", 1, 2, "not valid UTF-8"}, {"\"\xe2\x82", 1, 2, "not valid UTF-8"}, {"\x80", 1, 1, "expected a value"},
        {"\xef\xbb\xbf{}", 1, 1, "byte order mark"}, {"{}\xc2\xa0", 1, 3, "expected nothing"}, {"[1\f]", 1, 3, "expected ,"},
        {"{\"a\":1,\"a\":2}", 1, 8, "the key \"a\" stands twice"}, {"{\"a\":1,\"\\u0061\":2}", 1, 8, "stands twice"},
        {"[\n {\n  \"\xc3\xa4\": tru}]", 3, 8, "expected a value, found 't'"}, {"[1,\r\n\r\n 2 3]", 3, 4, "expected , or ]"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char place[64];
        int status = open_text(bad[i].text);
        snprintf(place, sizeof place, "x.json: line %d, column %d: ", bad[i].line, bad[i].column);
        CHECK(status == PHI_MODEL && !doc.node, "%s was accepted", bad[i].text);
        CHECK(strncmp(err.text, place, strlen(place)) == 0 && strstr(err.text, bad[i].part), "%s: %s", bad[i].text, err.text);
        if (!status) phi_json_close(&doc);
    }
    CHECK(open_n("1\0", 2) == PHI_MODEL, "a NUL behind the value");
    CHECK(open_n("\0", 1) == PHI_MODEL && open_n("[\0]", 3) == PHI_MODEL, "a NUL as value");
    CHECK(open_n("\"\0\"", 3) == PHI_MODEL && open_n("\"\\\0\"", 4) == PHI_MODEL, "a NUL in a string");
}

/* ---- Numbers ---- */

static void check_number(const char *text, bool whole, int64_t i64, bool finite, double f64) {
    int64_t i = 0;
    double f = 0;
    CHECK(open_text(text) == 0, "%.40s: %s", text, err.text);
    CHECK(phi_json_i64(&doc, 0, &i) == whole && (!whole || i == i64), "%.40s: %lld", text, (long long)i);
    CHECK(phi_json_f64(&doc, 0, &f) == finite && (!finite || memcmp(&f, &f64, sizeof f) == 0), "%.40s: %.17g", text, f);
    phi_json_close(&doc);
}

static void check_numbers(void) {
    check_number("0", true, 0, true, 0);
    check_number("-0", true, 0, true, -0.0);
    check_number("-0.0e7", true, 0, true, -0.0);
    check_number("7", true, 7, true, 7);
    check_number("7.0", true, 7, true, 7);
    check_number("70e-1", true, 7, true, 7);
    check_number("0.007e3", true, 7, true, 7);
    check_number("0.007e2", false, 0, true, 0.7);
    check_number("7.5", false, 0, true, 7.5);
    check_number("-1200", true, -1200, true, -1200);
    check_number("1.2E+3", true, 1200, true, 1200);
    check_number("0.1", false, 0, true, 0.1);
    check_number("9007199254740993", true, 9007199254740993, true, 9007199254740992.0);
    check_number("9223372036854775807", true, INT64_MAX, true, 9223372036854775808.0);
    check_number("9223372036854775808", false, 0, true, 9223372036854775808.0);
    check_number("-9223372036854775808", true, INT64_MIN, true, -9223372036854775808.0);
    check_number("-9223372036854775809", false, 0, true, -9223372036854775808.0);
    check_number("18446744073709551617", false, 0, true, 18446744073709551616.0);
    check_number("1e18", true, 1000000000000000000, true, 1e18);
    check_number("1e19", false, 0, true, 1e19);
    check_number("1e308", false, 0, true, 1e308);
    check_number("1e309", false, 0, false, 0);
    check_number("-1e400", false, 0, false, 0);
    check_number("1e-400", false, 0, true, 0);
    check_number("4.9e-324", false, 0, true, 4.9e-324);
    check_number("0e99999999999999999999", true, 0, true, 0);
    check_number("1e99999999999999999999", false, 0, false, 0);
    check_number("1e-99999999999999999999", false, 0, true, 0);
    check_number("0.1e1", true, 1, true, 1);
    /* halfway between two doubles, and a digit far behind that decides */
    static char text[3000];
    int n = sprintf(text, "9007199254740993.");
    memset(text + n, '0', 2000);
    strcpy(text + n + 2000, "1");
    check_number(text, false, 0, true, 9007199254740994.0);
    text[n + 2000] = '0';
    check_number(text, true, 9007199254740993, true, 9007199254740992.0);
    memset(text, '7', 2500); /* beyond every double */
    text[2500] = 0;
    check_number(text, false, 0, false, 0);
    memcpy(text, "0.", 2);
    memset(text + 2, '0', 500);
    strcpy(text + 502, "25e501");
    check_number(text, false, 0, true, 2.5);
    int64_t i;
    double f;
    CHECK(open_text("[\"7\",null,true]") == 0, "%s", err.text);
    for (uint32_t v = 0; v < doc.n_node; v++) CHECK(!phi_json_i64(&doc, v, &i) && !phi_json_f64(&doc, v, &f), "no number");
    phi_json_close(&doc);
}

/* strtod() would stop at the point. */
static void check_locale(void) {
    static const char *const names[] = {"de_DE.UTF-8", "de_DE.utf8", "de_DE", "fr_FR.UTF-8"};
    const char *found = NULL;
    for (size_t i = 0; i < sizeof names / sizeof *names && !found; i++) found = setlocale(LC_NUMERIC, names[i]);
    if (!found) {
        SKIP("no locale with a decimal comma");
        return;
    }
    check_number("1.5", false, 0, true, 1.5);
    check_number("-2.5e-1", false, 0, true, -0.25);
    setlocale(LC_NUMERIC, "C");
}

/* ---- Members ---- */

static void check_members(void) {
    CHECK(open_text("{\"a\":1,\"b\":{\"a\":2,\"\":3},\"c\":[{\"a\":4}],\"long key of thirty-one bytes...\":5}") == 0, "%s", err.text);
    int64_t i = 0;
    uint32_t b = phi_json_get(&doc, 0, "b"), c = phi_json_get(&doc, 0, "c");
    CHECK(phi_json_i64(&doc, phi_json_get(&doc, 0, "a"), &i) && i == 1, "%lld", (long long)i);
    CHECK(phi_json_i64(&doc, phi_json_get(&doc, b, "a"), &i) && i == 2, "%lld", (long long)i);
    CHECK(phi_json_i64(&doc, phi_json_get(&doc, b, ""), &i) && i == 3, "%lld", (long long)i);
    CHECK(phi_json_i64(&doc, phi_json_get(&doc, phi_json_first(&doc, c), "a"), &i) && i == 4, "%lld", (long long)i);
    CHECK(phi_json_i64(&doc, phi_json_get(&doc, 0, "long key of thirty-one bytes..."), &i) && i == 5, "%lld", (long long)i);
    CHECK(!phi_json_get(&doc, 0, "") && !phi_json_get(&doc, 0, "d") && !phi_json_get(&doc, b, "b"), "no such members");
    CHECK(!phi_json_get(&doc, c, "a") && !phi_json_get(&doc, phi_json_get(&doc, 0, "a"), "a"), "not an object");
    CHECK(phi_json_is(&doc, 1, "a") && !phi_json_is(&doc, 1, "ab") && !phi_json_is(&doc, 2, "1"), "texts");
    phi_json_close(&doc);
}

/* ---- Size ---- */

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void check_depth(void) {
    enum { DEEP = 1000000 };
    char *text = malloc(2 * DEEP + 1);
    for (int depth = 1; depth <= DEEP; depth = depth < 255 ? depth + 127 : depth < 258 ? depth + 1 : depth * 10) {
        memset(text, '[', (size_t)depth);
        memset(text + depth, ']', (size_t)depth);
        int status = open_n(text, 2 * (size_t)depth);
        CHECK(status == (depth > PHI_JSON_MAX_DEPTH ? PHI_MODEL : 0), "%d deep: %s", depth, err.text);
        CHECK(!status || strstr(err.text, "column 257: nested more than 256 deep"), "%s", err.text);
        phi_json_close(&doc);
    }
    for (size_t n = 1; n <= PHI_JSON_MAX_DEPTH; n++) { /* cut there: more values than a whole text of that size has */
        memset(text, '[', n);
        CHECK(open_n(text, n) == PHI_MODEL && strstr(err.text, "expected a value"), "%s", err.text);
    }
    for (int i = 0; i < DEEP; i++) memcpy(text + 2 * i, i % 2 ? ":{" : "\"{", 2);
    CHECK(open_n(text, 2 * DEEP) == PHI_MODEL, "garbage");
    free(text);
}

/* Many keys in one object, and a value for each; memory as promised. */
static void check_large(void) {
    enum { N = 300000 };
    char *text = malloc(64 * N);
    size_t n = 0;
    text[n++] = '{';
    for (int i = 0; i < N; i++) n += (size_t)sprintf(text + n, "%s\"key %d\": [\"\\u00e4 value\", %d]", i ? ",\n" : "", i, i);
    text[n++] = '}';
    double begin = now();
    CHECK(open_n(text, n) == 0, "%s", err.text);
    printf("%.1f MB in %.3f s\n", (double)n / 1e6, now() - begin);
    CHECK(doc.node[0].n == N && doc.n_node == 4 * N + 1, "%u members", doc.node[0].n);
    uint32_t last = phi_json_get(&doc, 0, "key 299999");
    int64_t v = 0;
    CHECK(last && phi_json_i64(&doc, last + 2, &v) && v == N - 1, "the last member");
    phi_json_close(&doc);
    memcpy(text + n - 1, ", \"key 7\": 0}", 13);
    CHECK(open_n(text, n + 12) == PHI_MODEL && strstr(err.text, "line 300000, column 41: the key \"key 7\""), "%s", err.text);
    free(text);
}

/* ---- Damage ---- */

static const char sample[] = "{\"type\": [\"a\\n\\u00e4\\ud83d\\ude00\", -1.5e+7, true, false, null, {}, []],\n \"\xe2\x82\xac\": {\"x\": [0, 10]}} ";

static void check_damage(void) {
    size_t n = strlen(sample);
    for (size_t cut = 0; cut < n - 1; cut++) { /* in memory of just that size, where a sanitizer sees what reads on */
        char *part = malloc(cut + 1);
        memcpy(part, sample, cut);
        CHECK(open_n(part, cut) == PHI_MODEL && err.text[0], "cut at %zu", cut);
        free(part);
    }
    unsigned long long seed = check_seed();
    long accepted = 0;
    for (int i = 0; i < 20000; i++) {
        char *text = malloc(n);
        memcpy(text, sample, n);
        for (unsigned k = 0; k <= (unsigned)i % 3; k++) text[check_random(&seed) % n] = (char)check_random(&seed);
        int status = open_n(text, n);
        free(text);
        if (status == 0) {
            accepted++;
            shown[show(0, 0)] = 0;
        } else {
            CHECK(status == PHI_MODEL && err.text[0] && !strchr(err.text, '\n'), "%d: %s", status, err.text);
        }
        phi_json_close(&doc);
    }
    CHECK(accepted > 100 && accepted < 10000, "%ld of 20000 accepted", accepted);
}

static void check_memory(void) {
    int failures = 0;
    for (unsigned long long k = 1;; k++) {
        phi_memory_fail_at(k);
        int status = open_text(sample);
        phi_memory_fail_at(0);
        if (status == 0) break;
        failures++;
        CHECK(status == PHI_MEMORY && strstr(err.text, "not enough memory"), "%s", err.text);
    }
    CHECK(failures == 3, "%d allocations", failures);
    phi_json_close(&doc);
    CHECK(phi_memory_live() == 0, "%llu allocations live", phi_memory_live());
}

int main(void) {
    check_accepted();
    check_rejected();
    check_numbers();
    check_locale();
    check_members();
    check_depth();
    check_large();
    check_damage();
    check_memory();
    return check_done("check_json");
}
