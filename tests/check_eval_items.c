/* What eval makes of a question file before any model is asked, and what it takes for a right answer: templates,
 * shots and settings that change between questions; numbers, letters and texts in answers. Files that are refused:
 * check_eval.sh. */
#include "../src/cli/eval_ask.h"
#include "../src/memory.h"
#include "check.h"
#include "gguf_writer.h"

static char dir[512], path[600];

static void open_items(struct eval_items *t, const char *text, int n_shot) {
    gguf_write_file(path, text, strlen(text));
    CHECK(eval_items_open(t, path, NULL, -1, n_shot) == CLI_OK, "%s", text);
}

static bool next(struct eval_items *t) {
    int status = -1, found = eval_items_next(t, &status);
    CHECK(found >= 0 && status == CLI_OK, "line %zu: status %d", t->line, status);
    return found == 1;
}

static bool is(struct eval_buffer *b, const char *text) {
    bool same = b->n == strlen(text) && (b->n == 0 || memcmp(b->bytes, text, b->n) == 0);
    if (!same) printf("'%.*s', not '%s'\n", (int)b->n, b->bytes ? b->bytes : "", text);
    b->n = 0;
    return same;
}

/* ---- Questions ---- */

static void check_templates(void) {
    struct eval_items t;
    struct eval_buffer b = {0};
    open_items(
        &t,
        "{\"score\": \"letter\", \"group\": \"birds\", \"head\": \"About {group}.\\n\"}\n"
        "  \t\r\n"
        "{\"ask\": \"{question} {nothing}{\\n{choices}\\n\"}\n"
        "{\"question\": \"Which {letter}?\", \"choices\": [\"owl\", \"{choice}\", \"c\"], \"answer\": 2, \"id\": "
        "\"x\"}\n"
        "{\"choice\": \"({letter}) {choice}{choices}\", \"group\": \"dogs\", \"reply\": \"{letter}: {answer}\"}\n"
        "{\"question\": \"Q\", \"choices\": [\"a\", \"b\"], \"answer\": 0, \"shot\": false}\n"
        "{\"score\": \"letter\", \"ask\": \"{question}\"}\n"
        "{\"question\": \"\\u00e9\", \"choices\": [\"a\", \"b\"], \"answer\": 0}",
        -1);
    CHECK(next(&t), "a question");
    eval_render_ask(&t, &t.item, true, &b); /* what comes in is not expanded again */
    CHECK(is(&b, "About birds.\nWhich {letter}? {nothing}{\nA. owl\nB. {choice}\nC. c\n"), "lines of choices");
    eval_render_ask(&t, &t.item, false, &b);
    CHECK(is(&b, "Which {letter}? {nothing}{\nA. owl\nB. {choice}\nC. c\n"), "without the head");
    eval_render_reply(&t, &t.item, 2, false, &b);
    CHECK(is(&b, " C"), "a letter");
    eval_render_reply(&t, &t.item, 2, true, &b);
    CHECK(is(&b, "C"), "a letter at the beginning of a message");
    CHECK(next(&t), "a second question");
    eval_render_ask(&t, &t.item, false, &b); /* {choices} in a line of them would never end */
    CHECK(is(&b, "Q {nothing}{\n(A) a\n(B) b\n"), "a template of choices");
    eval_render_reply(&t, &t.item, 1, true, &b);
    CHECK(is(&b, "B: b"), "a template of replies");
    CHECK(next(&t) && !next(&t) && !next(&t), "the last question");
    eval_items_rewind(&t);
    CHECK(next(&t) && t.item.right == 2 && t.item.n_choice == 3 && t.text[EVAL_GROUP].n == 5,
          "again from the beginning");
    eval_items_close(&t);
    phi_free(b.bytes);
}

static void check_shots(void) {
    static const char text[] = "{\"score\": \"text\"}\n"
                               "{\"shot\": true, \"question\": \"1\", \"choices\": [\"a\", \"b\"], \"answer\": 0}\n"
                               "{\"shot\": true, \"question\": \"2\", \"choices\": [\"a\", \"b\"], \"answer\": 1}\n"
                               "{\"question\": \"3\", \"choices\": [\"a\", \"b\"], \"answer\": 1}\n"
                               "{\"new_shots\": true}\n"
                               "{\"question\": \"4\", \"choices\": [\"a\", \"b\"], \"answer\": 1}\n"
                               "{\"shot\": true, \"question\": \"5\", \"choices\": [\"a\", \"b\"], \"answer\": 0}\n"
                               "{\"question\": \"6\", \"choices\": [\"a\", \"b\"], \"answer\": 1}\n";
    for (int wanted = -1; wanted <= 1; wanted++) {
        struct eval_items t;
        open_items(&t, text, wanted);
        CHECK(next(&t) && t.n_shot == (wanted < 0 ? 2 : wanted), "%d wanted: %d shots", wanted, t.n_shot);
        if (t.n_shot) CHECK(t.shot[0].question.bytes[0] == '1' && t.shot[0].right == 0, "the first shot");
        CHECK(next(&t) && t.item.question.bytes[0] == '4' && t.n_shot == 0, "%d wanted: %d old shots", wanted,
              t.n_shot);
        CHECK(next(&t) && t.n_shot == (wanted ? 1 : 0), "%d wanted: %d new shots", wanted, t.n_shot);
        if (t.n_shot) CHECK(t.shot[0].question.bytes[0] == '5', "the new shot");
        CHECK(!next(&t), "no more");
        eval_items_close(&t);
    }
}

static void check_buffer(void) {
    struct eval_buffer b = {0};
    eval_buffer_add(&b, "x", 1);
    phi_memory_fail_at(1);
    eval_buffer_add(&b, "a text that needs more room than the first one did", 50);
    CHECK(b.failed && b.n == 1, "no memory, and it does not show");
    eval_buffer_add(&b, "y", 1);
    CHECK(b.n == 1 && b.bytes[0] == 'x', "a buffer that has failed grew");
    phi_free(b.bytes);
    b = (struct eval_buffer){0};
    eval_buffer_add(&b, "x", SIZE_MAX / 2);
    CHECK(b.failed && !b.bytes, "more than there is");
}

/* ---- Answers ---- */

static void check_answers(void) {
    static const struct {
        const char *find, *right, *text;
        bool is_right;
    } cases[] = {
        {"number", "#### 1234", "It is 1,234.", true},
        {"number", "7", "first 8, then 7", true}, /* the last one counts where nothing marks it */
        {"number", "8", "first 8, then 7", false},
        {"number", "0.5", "0.50", true},
        {"number", "5", "5.", true},
        {"number", "5", "05.000", true},
        {"number", "-3", "-3", true},
        {"number", "3", "5-3", true}, /* no sign between two numbers */
        {"number", "-3", "(5)-3", false},
        {"number", "3", "x3", true},
        {"number", "1.25", "1.2.5", false},
        {"number", "12", "1,2", true},
        {"number", "1", "1, 2 and nothing", false},
        {"number", "1.5", "1.5,0", false}, /* no thousands behind a point */
        {"number", "4", "four", false},
        {"number", "4", "", false},
        {"number", "four", "four", false},
        {"letter", "B", "The answer is B.", true},
        {"letter", "B", "B", true},
        {"letter", "B", "(B)", true},
        {"letter", "B", "A, not B", false},
        {"letter", "B", "Bad or ABBA, b", false},
        {"letter", "B", "D is none, but B is", true},
        {"letter", "B",
         "\xc3\x89"
         "B",
         false},
        {"letter", "B", "", false},
        {"text", "the dog", " \n\tthe dog\r\n ", true},
        {"text", "the dog", "the  dog", false},
        {"text", "the dog", "the dog.", false},
        {"text", "", " ", true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct eval_items t;
        char text[1000];
        bool letter = strcmp(cases[i].find, "letter") == 0;
        snprintf(text, sizeof text, "{\"score\": \"generate\", \"find\": \"%s\"}\n{\"question\": \"\", %s%s%s}\n",
                 cases[i].find, letter ? "\"choices\": [\"x\", \"y\", \"z\"], \"answer\": 1" : "\"answer\": \"",
                 letter ? "" : cases[i].right, letter ? "" : "\"");
        open_items(&t, text, -1);
        CHECK(next(&t), "case %zu", i);
        size_t n = strlen(cases[i].text);
        struct eval_buffer b = {.bytes = n ? (char *)(uintptr_t)cases[i].text : NULL, .n = n, .room = n};
        CHECK(eval_answer_right(&t, &b, false) == cases[i].is_right, "case %zu: '%s' for '%s'", i, cases[i].text,
              cases[i].right);
        eval_items_close(&t);
    }
}

/* A number is also looked for in the right choice; behind a mark the first one counts, and without the mark nothing
 * does. */
static void check_marks(void) {
    static const struct {
        const char *text;
        bool marked, anywhere;
    } cases[] = {
        {"1 Answer: 42 or 43", true, false}, {"42", false, true},         {"Answer: 41 Answer: 42, 41", true, false},
        {"Answer:", false, false},           {"42 Answer:", false, true},
    };
    struct eval_items t;
    open_items(&t,
               "{\"score\": \"generate\", \"after\": \"Answer:\"}\n"
               "{\"question\": \"\", \"choices\": [\"no\", \"it is 42\"], \"answer\": 1}\n",
               -1);
    CHECK(next(&t), "a question");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t n = strlen(cases[i].text);
        struct eval_buffer b = {.bytes = (char *)(uintptr_t)cases[i].text, .n = n, .room = n};
        CHECK(eval_answer_right(&t, &b, true) == cases[i].marked, "case %zu, marked", i);
        CHECK(eval_answer_right(&t, &b, false) == cases[i].anywhere, "case %zu, anywhere", i);
    }
    eval_items_close(&t);
}

int main(int argc, char **argv) {
    gguf_make_dir(argc, argv, dir);
    snprintf(path, sizeof path, "%s/items.jsonl", dir);
    check_templates();
    check_shots();
    check_buffer();
    check_answers();
    check_marks();
    CHECK(phi_memory_live() == 0, "%llu allocations are left", phi_memory_live());
    gguf_remove_dir(dir);
    return check_done("check_eval_items");
}
