/* The figures of phi eval against the same figures worked out here: the arithmetic of score.c on numbers that were
 * computed by hand, perplexity and the likelihoods of answers by the plain way, one text after the other, through
 * phi_session_eval_logits(). Runs ./phi with the demo model, from the top of the checkout; $PHI_RUN is put before it.
 */
#include "../include/phi.h"
#include "../src/score.h"
#include "check.h"

#include <math.h>
#include <unistd.h>

static char dir[512];

static bool near(double a, double b, double most) {
    return fabs(a - b) <= most;
}

/* ---- score.c ---- */

static void check_log_sum(void) {
    const float logits[4] = {0, logf(2), logf(3), logf(4)}; /* p = 0.1, 0.2, 0.3, 0.4 */
    int32_t top = -1;
    double sum = phi_score_log_sum(logits, 4, &top);
    CHECK(top == 3 && near(sum, log(10), 1e-6), "top %d, sum %g", top, sum);
    const float large[3] = {1000, 1000, -1000}; /* without overflow; a tie goes to the lowest id */
    sum = phi_score_log_sum(large, 3, &top);
    CHECK(top == 0 && near(sum, 1000 + log(2), 1e-4), "top %d, sum %g", top, sum);
}

static void check_rows(void) {
    const float logits[5] = {0, logf(2), logf(3), logf(4), -50}; /* the last is clipped to 16 below the top */
    const float other[5] = {logf(4), logf(3), logf(2), 0, -50};
    uint16_t row[4 + 6];
    float scale, least;
    struct phi_score_token t;
    CHECK(phi_score_row_size(5) == 10 && phi_score_row_size(32064) == 32068, "an even number");
    double nll = phi_score_row_write(logits, 5, 1, row);
    memcpy(&scale, row, 4);
    memcpy(&least, row + 2, 4);
    CHECK(near(nll, log(5), 1e-6), "-ln 0.2 is %g", nll);
    CHECK(near((double)scale * 65535, 16, 1e-5) && near((double)least, log(0.4) - 16, 1e-5), "%g %g", (double)scale,
          (double)least);
    CHECK(row[4 + 3] == 65535 && row[4 + 4] == 0 && row[4 + 5] == 0, "%d %d %d", row[7], row[8], row[9]);
    CHECK(phi_score_row_compare(logits, 5, 1, row, &t) == 0, "its own row");
    CHECK(near(t.nll, nll, 0) && near(t.nll_base, nll, 2e-4) && near(t.kld, 0, 2e-4) && t.same_top == 1,
          "%g %g %g %g", t.nll, t.nll_base, t.kld, t.same_top);
    CHECK(phi_score_row_compare(other, 5, 1, row, &t) == 0, "another's");
    /* sum p ln(p/q): 0.1 ln(1/4) + 0.2 ln(2/3) + 0.3 ln(3/2) + 0.4 ln 4 */
    double kld = 0.1 * log(0.25) + 0.2 * log(2.0 / 3) + 0.3 * log(1.5) + 0.4 * log(4);
    CHECK(near(t.kld, kld, 3e-4) && t.same_top == 0 && near(t.nll, -log(0.3), 1e-6), "%g, expected %g", t.kld, kld);
    const float flat[3] = {2, 2, 2};
    nll = phi_score_row_write(flat, 3, 0, row);
    CHECK(near(nll, log(3), 1e-6) && phi_score_row_compare(flat, 3, 0, row, &t) == 0 && near(t.kld, 0, 1e-6),
          "equal logits: %g, %g", nll, t.kld);
    uint32_t nan = 0x7fc00000;
    memcpy(row, &nan, 4);
    CHECK(phi_score_row_compare(flat, 3, 0, row, &t) == -1, "a scale that is no number");
    least = 1;
    phi_score_row_write(flat, 3, 0, row);
    memcpy(row + 2, &least, 4);
    CHECK(phi_score_row_compare(flat, 3, 0, row, &t) == -1, "a probability above 1");
}

static void check_means(void) {
    const double x[8] = {1, -9, 2, -9, 3, -9, 4, -9};
    struct phi_score_mean m = phi_score_mean(x, 4, 2); /* variance 1.25 */
    CHECK(near(m.mean, 2.5, 1e-12) && near(m.error, sqrt(1.25 / 3), 1e-12), "%g +/- %g", m.mean, m.error);
    m = phi_score_mean(x, 1, 1);
    CHECK(m.mean == 1 && m.error == 0, "one value: %g +/- %g", m.mean, m.error);
    m = phi_score_mean(x, 0, 1);
    CHECK(m.mean == 0 && m.error == 0, "none");
    const double sorted[5] = {0, 10, 20, 30, 40};
    CHECK(phi_score_quantile(sorted, 5, 0) == 0 && phi_score_quantile(sorted, 5, 1) == 40, "the ends");
    CHECK(near(phi_score_quantile(sorted, 5, 0.5), 20, 1e-12) && near(phi_score_quantile(sorted, 5, 0.9), 36, 1e-9),
          "between: %g", phi_score_quantile(sorted, 5, 0.9));
}

/* Values of Wilson's formula that were worked out with 30 digits. */
static void check_wilson(void) {
    static const struct {
        size_t hits, n;
        double low, high;
    } known[] = {{5, 10, 0.236593090512564, 0.763406909487436},
                 {0, 10, 0, 0.277532799862889},
                 {10, 10, 0.722467200137111, 1},
                 {172, 400, 0.382376040644332, 0.478955680562469},
                 {325, 1172, 0.252433363024114, 0.303629237010811}};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        struct phi_score_interval w = phi_score_wilson(known[i].hits, known[i].n);
        CHECK(near(w.low, known[i].low, 1e-12) && near(w.high, known[i].high, 1e-12), "%d of %d: %.15f %.15f",
              (int)known[i].hits, (int)known[i].n, w.low, w.high);
    }
}

/* ---- ./phi eval ---- */

/* Both of its streams. */
static void run_eval(const char *arguments, char *out, size_t size) {
    char command[2048];
    const char *before = getenv("PHI_RUN");
    snprintf(command, sizeof command, "%s ./phi eval -m models/demo.gguf %s 2>&1", before ? before : "", arguments);
    FILE *f = popen(command, "r");
    size_t n = f ? fread(out, 1, size - 1, f) : 0;
    out[n] = 0;
    CHECK(f && pclose(f) == 0, "%s: %s", command, out);
}

static double number_after(const char *text, const char *name) {
    const char *at = strstr(text, name);
    CHECK(at != NULL, "'%s' is not in: %.300s", name, text);
    return at ? strtod(at + strlen(name), NULL) : NAN;
}

static void write_text(const char *name, const char *text) {
    char path[600];
    snprintf(path, sizeof path, "%s/check_score.%s", dir, name);
    FILE *f = fopen(path, "wb");
    if (!f || fputs(text, f) < 0 || fclose(f) != 0) exit(1);
}

struct nll {
    const int32_t *ids;
    size_t n, first; /* ids; the first that counts */
    double sum, squares;
    size_t count;
};

static int add_row(void *user, size_t position, const float *logits, int n_vocab) {
    struct nll *x = user;
    double most = (double)logits[0], sum = 0;
    if (position + 1 >= x->n || position + 1 < x->first) return 0;
    for (int i = 1; i < n_vocab; i++)
        if ((double)logits[i] > most) most = (double)logits[i];
    for (int i = 0; i < n_vocab; i++) sum += exp((double)logits[i] - most);
    double nll = most + log(sum) - (double)logits[x->ids[position + 1]];
    x->sum += nll;
    x->squares += nll * nll;
    x->count++;
    return 0;
}

static phi_session *open_session(const phi_model *model, int n_ctx, enum phi_kv_type cache) {
    struct phi_session_options o = phi_session_options_default();
    phi_session *s = NULL;
    phi_error err = {""};
    o.n_ctx = n_ctx;
    o.type_k = o.type_v = cache;
    CHECK(phi_session_open(model, &o, &s, &err) == 0, "%s", err.text);
    return s;
}

/* Of ids[first .. n), each after all before it. */
static void add_text(phi_session *s, struct nll *x) {
    phi_error err = {""};
    CHECK(phi_session_rewind(s, 0, &err) == 0 && phi_session_eval_logits(s, x->ids, x->n, add_row, x, &err) == 0,
          "%s", err.text);
}

static const char story[] = "Once upon a time, there was a little girl named Lily. She had a red ball. One day Lily "
                            "took the ball to the park. "
                            "Her friend Tom came too. \"May I play with it?\" asked Tom. \"Yes,\" said Lily, and "
                            "they played together until the "
                            "sun went down. Then they went home. Lily was happy. She told her mother about the day, "
                            "and her mother smiled.\n\n"
                            "The next day a small dog sat in front of the door. He was sad, because he had lost his "
                            "bone. Lily and Tom helped "
                            "the dog to find it under a tree. The dog jumped and barked, and they all laughed.\n";

static void check_perplexity(const phi_model *model) {
    enum { CTX = 32 };
    int32_t ids[512], bos = -1;
    char out[8192], arguments[700];
    struct nll all = {0};
    int64_t n = phi_tokenize(model, story, strlen(story) - 1, PHI_ADD_BOS, ids, 512); /* without the last newline */
    bool adds = phi_tokenize(model, "", 0, PHI_ADD_BOS, &bos, 1) == 1;
    phi_session *s = open_session(model, CTX, PHI_KV_F32);
    CHECK(n >= 3 * CTX && n < 512, "%d ids", (int)n);
    int n_chunk = (int)n / CTX;
    for (int i = 0; s && i < n_chunk; i++) {
        if (adds) ids[i * CTX] = bos;
        all.ids = ids + i * CTX;
        all.n = CTX;
        all.first = CTX / 2 + 1; /* the first half is only read */
        add_text(s, &all);
    }
    phi_session_close(s);
    double m = (double)all.count, mean = all.sum / m, ppl = exp(mean);
    double error = ppl * sqrt((all.squares / m - mean * mean) / (m - 1));
    CHECK(all.count == (size_t)n_chunk * (CTX / 2 - 1), "%d tokens", (int)all.count);
    write_text("story", story);
    snprintf(arguments, sizeof arguments, "-f %s/check_score.story -c %d --json", dir, CTX);
    run_eval(arguments, out, sizeof out);
    double got = number_after(out, "\"ppl\":"), got_error = number_after(out, "\"ppl_error\":");
    CHECK(near(got, ppl, 1e-6 * ppl) && near(got_error, error, 1e-5 * error), "%g +/- %g, expected %g +/- %g", got,
          got_error, ppl, error);
    CHECK(number_after(out, "\"chunks\":") == n_chunk && number_after(out, "\"tokens\":") == m, "%s", out);
    snprintf(arguments, sizeof arguments, "-f %s/check_score.story -c %d", dir, CTX);
    run_eval(arguments, out, sizeof out);
    char line[100];
    snprintf(line, sizeof line, "Final estimate: PPL = %.4f +/- %.5f\n", ppl, error);
    CHECK(near(number_after(out, "Final estimate: PPL = "), ppl, 1.1e-4), "%s, expected %s", out, line);
}

/* ln p of an answer behind a text, both tokenized together; *n: its ids. */
static double likelihood(const phi_model *model, phi_session *s, const char *text, const char *answer, size_t *n) {
    char both[600];
    int32_t ids[256];
    snprintf(both, sizeof both, "%s%s", text, answer);
    int64_t before = phi_tokenize(model, text, strlen(text), PHI_ADD_BOS, ids, 256);
    int64_t all = phi_tokenize(model, both, strlen(both), PHI_ADD_BOS, ids, 256);
    CHECK(before > 0 && all > before && all < 256, "%d and %d ids", (int)before, (int)all);
    struct nll x = {.ids = ids, .n = (size_t)all, .first = (size_t)before};
    add_text(s, &x);
    *n = x.count;
    return -x.sum;
}

static int best(const double *x, int n) {
    int top = 0;
    for (int i = 1; i < n; i++)
        if (x[i] > x[top]) top = i;
    return top;
}

static void check_choices(const phi_model *model) {
    static const char *const questions[] = {"Once upon a time, there was a", "Lily was sad, because she had lost",
                                            "The dog sat", "\"May I play\" asked"};
    static const char *const answers[][3] = {{"little girl named Lily.", "cathedral", "little boy"},
                                             {"her ball.", "her bone and her mother and her friend", "time"},
                                             {"under a tree.", "upon \xc3\xa9t\xc3\xa9.", "in"},
                                             {"Tom.", "the happy little dog.", "Lily"}};
    char task[4096] = "{\"score\": \"text\", \"ask\": \"Story: {question}\"}\n", out[8192], arguments[700], text[200];
    int hits[3] = {0};
    phi_session *s = open_session(model, 256, PHI_KV_F16);
    double sum[4][3];
    for (int q = 0; s && q < 4; q++) {
        double value[3][3];
        snprintf(text, sizeof text, "Story: %s", questions[q]);
        for (int i = 0; i < 3; i++) {
            char answer[100];
            size_t n, characters = 0;
            snprintf(answer, sizeof answer, " %s", answers[q][i]);
            for (const char *c = answers[q][i]; *c; c++) characters += ((unsigned char)*c & 0xc0) != 0x80;
            sum[q][i] = value[0][i] = likelihood(model, s, text, answer, &n);
            value[1][i] = value[0][i] / (double)characters;
            value[2][i] = value[0][i] / (double)n; /* no answer shares its first id with all others */
        }
        for (int k = 0; k < 3; k++) hits[k] += best(value[k], 3) == q % 3;
        char escaped[100] = "", line[600];
        for (const char *c = questions[q]; *c; c++)
            snprintf(escaped + strlen(escaped), sizeof escaped - strlen(escaped), *c == '"' ? "\\%c" : "%c", *c);
        snprintf(line, sizeof line, "{\"question\": \"%s\", \"choices\": [\"%s\", \"%s\", \"%s\"], \"answer\": %d}\n",
                 escaped, answers[q][0], answers[q][1], answers[q][2], q % 3);
        strcat(task, line);
    }
    phi_session_close(s);
    write_text("task", task);
    snprintf(arguments, sizeof arguments, "--task %s/check_score.task -v --json", dir);
    run_eval(arguments, out, sizeof out);
    const char *names[3] = {"\"acc\":{\"hits\":", "\"acc_norm\":{\"hits\":", "\"acc_token\":{\"hits\":"};
    for (int k = 0; k < 3; k++) {
        double got = number_after(out, names[k]);
        CHECK((int)got == hits[k], "%s%d, expected %d", names[k], (int)got, hits[k]);
    }
    const char *at = out;
    for (int q = 0; q < 4 && (at = strstr(at, "chosen ")); q++, at++)
        for (int i = 0; i < 3; i++) {
            char name[4] = {' ', (char)('A' + i), ' ', 0};
            const char *colon = strchr(at, ':');
            double got = colon ? number_after(colon, name) : 0;
            CHECK(near(got, sum[q][i], 2e-4), "question %d, answer %d: %g, expected %g", q, i, got, sum[q][i]);
        }
    CHECK(at != NULL, "four questions: %s", out);
}

/* Written answers: what counts is the rule that finds the answer, on a text that the model is sure to write. */
static void check_written(void) {
    static const struct {
        const char *task, *question, *answer;
        int exact, flexible;
    } cases[] = {{"\"find\": \"text\", \"length\": 4", "Once upon a", "time, there", 0, 0},
                 {"\"find\": \"text\", \"length\": 1", "Once upon a", "time", 1, 1},
                 {"\"find\": \"text\", \"length\": 8, \"stop\": \",\"", "Once upon a", "time", 1, 1},
                 {"\"find\": \"text\", \"length\": 1, \"after\": \"nowhere\"", "Once upon a", "time", 0, 1},
                 {"\"find\": \"number\", \"length\": 4", "Once upon a", "1", 0, 0}};
    char task[1024], out[4096], arguments[700];
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        snprintf(task, sizeof task, "{\"score\": \"generate\", %s}\n{\"question\": \"%s\", \"answer\": \"%s\"}\n",
                 cases[i].task, cases[i].question, cases[i].answer);
        write_text("task", task);
        snprintf(arguments, sizeof arguments, "--task %s/check_score.task -v --json", dir);
        run_eval(arguments, out, sizeof out);
        CHECK(number_after(out, "\"exact\":{\"hits\":") == cases[i].exact, "case %d: %s", (int)i, out);
        CHECK(number_after(out, "\"flexible\":{\"hits\":") == cases[i].flexible, "case %d: %s", (int)i, out);
    }
}

int main(int argc, char **argv) {
    phi_model *model = NULL;
    phi_error err = {""};
    const char *slash = strrchr(argv[0], '/');
    (void)argc;
    snprintf(dir, sizeof dir, "%.*s", slash ? (int)(slash - argv[0]) : 1, slash ? argv[0] : ".");
    check_log_sum();
    check_rows();
    check_means();
    check_wilson();
    CHECK(phi_model_open("models/demo.gguf", &model, &err) == 0, "%s", err.text);
    if (model) {
        check_perplexity(model);
        check_choices(model);
        check_written();
    }
    phi_model_close(model);
    return check_done("check_score");
}
