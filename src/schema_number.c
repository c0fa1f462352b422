/* Numbers between bounds, exactly and digit by digit. For each length of the integer part a bound is a row of digits;
 * while the digits written so far are those of the bound ("tight"), the next one is limited by the bound's, afterwards
 * it is free:
 *
 *   0.75 <= x      0 -> .7 tight      -> 5 tight: may end or go on with any digit
 *                    -> .8, .9 free   -> 6..9 free
 *                    -> 1..9 free
 *
 * Negative numbers are the same with the bounds exchanged. */
#include "schema_parts.h"

#include <string.h>

/* How long a number can be. With bounds 15 digits in all: so many survive in a double, and a number that is smaller
 * than a bound is still smaller for a program that reads both as doubles. */
enum { MAX_DIGITS = 16, MAX_BOUNDED = 15 };

/* ---- Bounds ---- */

static int compare_magnitudes(const struct phi_json_decimal *a, const struct phi_json_decimal *b) {
    if (!a->n || !b->n) return (a->n > 0) - (b->n > 0);
    if (a->exponent != b->exponent) return a->exponent < b->exponent ? -1 : 1;
    int order = memcmp(a->digit, b->digit, (size_t)(a->n < b->n ? a->n : b->n));
    return order ? order : a->n - b->n;
}

int phi_schema_compare(const struct phi_json_decimal *a, const struct phi_json_decimal *b) {
    int sign_a = !a->n ? 0 : a->negative ? -1 : 1, sign_b = !b->n ? 0 : b->negative ? -1 : 1;
    if (sign_a != sign_b) return sign_a < sign_b ? -1 : 1;
    return sign_a < 0 ? compare_magnitudes(b, a) : compare_magnitudes(a, b);
}

void phi_schema_bounds(const struct schema *s, const uint32_t *elem, uint32_t n, struct number_bounds *bounds) {
    static const struct {
        const char *name;
        bool low, open;
    } keywords[] = {{"minimum", true, false},
                    {"maximum", false, false},
                    {"exclusiveMinimum", true, true},
                    {"exclusiveMaximum", false, true}};
    bounds->has_low = bounds->has_high = bounds->low_open = bounds->high_open = false;
    for (uint32_t i = 0; i < 4 * n; i++) {
        uint32_t e = elem[i / 4], v = element_is_value(e) ? 0 : phi_json_get(&s->j, element_node(e), keywords[i % 4].name);
        struct phi_json_decimal d;
        if (!v) continue;
        phi_json_decimal(&s->j, v, &d);
        bool low = keywords[i % 4].low, open = keywords[i % 4].open;
        bool *has = low ? &bounds->has_low : &bounds->has_high, *is_open = low ? &bounds->low_open : &bounds->high_open;
        struct phi_json_decimal *bound = low ? &bounds->low : &bounds->high;
        int order = *has ? phi_schema_compare(&d, bound) * (low ? 1 : -1) : 1;
        if (order == 0) *is_open |= open;
        if (order <= 0) continue;
        *has = true;
        *is_open = open;
        *bound = d;
    }
}

bool phi_schema_within(const struct number_bounds *bounds, const struct phi_json_decimal *v) {
    int low = bounds->has_low ? phi_schema_compare(v, &bounds->low) : 1;
    int high = bounds->has_high ? phi_schema_compare(v, &bounds->high) : -1;
    return (low > 0 || (low == 0 && !bounds->low_open)) && (high < 0 || (high == 0 && !bounds->high_open));
}

/* ---- Digits ---- */

/* 0 to n digits. */
static uint32_t digits_rule(struct schema *s, int n) {
    if (!s->free_digits[n]) {
        s->free_digits[n] = phi_grammar_rule(s->b);
        phi_grammar_add_repeat(s->b, phi_grammar_alternative(s->b, s->free_digits[n]), s->digit, 0, n);
    }
    return s->free_digits[n];
}

static void add_digits(struct schema *s, uint32_t alternative, int first, int last) {
    struct phi_grammar_range range = {(uint32_t)('0' + first), (uint32_t)('0' + last)};
    phi_grammar_add_set(s->b, alternative, &range, 1, false);
}

/* ---- One length of the integer part ---- */

struct digits {
    struct schema *s;
    const struct phi_json_decimal *low, *high; /* NULL: none, at this length */
    bool low_open, high_open;
    int length, end; /* digits of the integer part; of all */
};

static int bound_digit(const struct digits *d, const struct phi_json_decimal *bound, int at) {
    int64_t i = at - (d->length - bound->exponent);
    return i < 0 || i >= bound->n ? 0 : bound->digit[i] - '0';
}

/* Are all digits of the bound zero from here on? */
static bool bound_ends(const struct digits *d, const struct phi_json_decimal *bound, int at) {
    return at - (d->length - bound->exponent) >= bound->n;
}

/* May a number end before the digit at, if so far it is the lower (upper) bound's digits? */
static bool may_end(const struct digits *d, int at, bool tight_low, bool tight_high) {
    if (tight_low && (d->low_open || !bound_ends(d, d->low, at))) return false;
    return !tight_high || !d->high_open || !bound_ends(d, d->high, at);
}

/* Rules by tightness (bit 0: low, bit 1: high); made when they are asked for. */
static uint32_t *wanted(const struct digits *d, uint32_t row[4], unsigned tight) {
    if (!row[tight]) row[tight] = phi_grammar_rule(d->s->b);
    return &row[tight];
}

/* The digit at, and what follows it: next[] for the position behind. */
static void put_digit(const struct digits *d, uint32_t rule, int at, unsigned tight, uint32_t next[4]) {
    bool tight_low = tight & 1, tight_high = tight & 2;
    int least = tight_low ? bound_digit(d, d->low, at) : at == 0 && d->length > 1 ? 1 : 0;
    int most = tight_high ? bound_digit(d, d->high, at) : 9;
    for (int digit = least; digit <= most;) {
        unsigned then = (tight_low && digit == least ? 1u : 0) | (tight_high && digit == most ? 2u : 0);
        int last = then ? digit : tight_high ? most - 1 : 9;
        uint32_t alternative = phi_grammar_alternative(d->s->b, rule);
        add_digits(d->s, alternative, digit, last);
        phi_grammar_add_rule(d->s->b, alternative, *wanted(d, next, then));
        digit = last + 1;
    }
}

static void put_end(const struct digits *d, uint32_t rule) {
    phi_grammar_alternative(d->s->b, rule); /* empty */
}

/* Alternatives of the rule: numbers of this length, behind the prefix "-" or "". */
static void put_length(const struct digits *d, uint32_t rule, const char *sign) {
    uint32_t row[4] = {0}, next[4], behind_point[4] = {0};
    unsigned tight = (d->low ? 1u : 0) | (d->high ? 2u : 0);
    uint32_t alternative = phi_grammar_alternative(d->s->b, rule);
    phi_grammar_add_literal(d->s->b, alternative, sign, strlen(sign));
    phi_grammar_add_rule(d->s->b, alternative, *wanted(d, row, tight));
    for (int at = 0; at <= d->end; at++) {
        bool whole = at == d->length;
        memset(next, 0, sizeof next);
        for (unsigned t = 0; t < 4; t++) {
            if (!row[t]) continue;
            if (t == 0 && at > d->length) { /* nothing limits the rest any more */
                phi_grammar_add_rule(d->s->b, phi_grammar_alternative(d->s->b, row[t]), digits_rule(d->s, d->end - at));
                continue;
            }
            if (at >= d->length && may_end(d, at, t & 1, t & 2)) put_end(d, row[t]);
            if (at == d->end) continue;
            if (whole) {
                alternative = phi_grammar_alternative(d->s->b, row[t]);
                phi_grammar_add_literal(d->s->b, alternative, ".", 1);
                phi_grammar_add_rule(d->s->b, alternative, *wanted(d, behind_point, t));
                put_digit(d, behind_point[t], at, t, next);
            } else {
                put_digit(d, row[t], at, t, next);
            }
        }
        memcpy(row, next, sizeof row);
    }
}

/* ---- Signs ---- */

/* Numbers x with low <= x <= high, both at least 0 (NULL: none); open: not equal. False: no length fits. */
static bool put_magnitudes(struct schema *s, uint32_t rule, const char *sign, const struct phi_json_decimal *low,
                           bool low_open, const struct phi_json_decimal *high, bool high_open, bool integer) {
    bool any = false;
    int most = integer ? MAX_DIGITS : MAX_BOUNDED;
    if (low && !low->n && !low_open) low = NULL;
    for (int length = 1; length <= most; length++) {
        /* A bound of another length limits all numbers of this one, or none. */
        if (low && low->exponent > length) continue;
        if (high && high->exponent < length && length > 1) break;
        struct digits d = {s, low, high, low_open, high_open, length, integer ? length : MAX_BOUNDED};
        if (low && low->exponent < length && length > 1) d.low = NULL;
        if (high && high->exponent > length) d.high = NULL;
        put_length(&d, rule, sign);
        any = true;
    }
    return any;
}

static void put_unbounded(struct schema *s, uint32_t rule, bool integer) {
    struct phi_grammar_builder *b = s->b;
    static const char *const signs[] = {"", "-"};
    uint32_t whole = phi_grammar_rule(b), rest = phi_grammar_rule(b), alternative;
    alternative = phi_grammar_alternative(b, whole);
    add_digits(s, alternative, 1, 9);
    phi_grammar_add_rule(b, alternative, digits_rule(s, MAX_DIGITS - 1));
    if (!integer) phi_grammar_add_literal(b, phi_grammar_alternative(b, whole), "0", 1);
    if (integer) phi_grammar_add_literal(b, phi_grammar_alternative(b, rule), "0", 1);
    for (int i = 0; i < 2; i++) {
        alternative = phi_grammar_alternative(b, rule);
        phi_grammar_add_literal(b, alternative, signs[i], strlen(signs[i]));
        phi_grammar_add_rule(b, alternative, whole);
        if (!integer) phi_grammar_add_rule(b, alternative, rest);
    }
    if (integer) return;
    uint32_t exponent = phi_grammar_rule(b), plus_minus = phi_grammar_rule(b);
    phi_grammar_alternative(b, rest);
    phi_grammar_add_rule(b, phi_grammar_alternative(b, rest), exponent);
    alternative = phi_grammar_alternative(b, rest);
    phi_grammar_add_literal(b, alternative, ".", 1);
    phi_grammar_add_rule(b, alternative, s->digit);
    phi_grammar_add_rule(b, alternative, digits_rule(s, MAX_DIGITS - 1));
    alternative = phi_grammar_alternative(b, rest);
    phi_grammar_add_literal(b, alternative, ".", 1);
    phi_grammar_add_rule(b, alternative, s->digit);
    phi_grammar_add_rule(b, alternative, digits_rule(s, MAX_DIGITS - 1));
    phi_grammar_add_rule(b, alternative, exponent);
    alternative = phi_grammar_alternative(b, exponent);
    phi_grammar_add_set(b, alternative, (const struct phi_grammar_range[]){{'e', 'e'}, {'E', 'E'}}, 2, false);
    phi_grammar_add_rule(b, alternative, plus_minus);
    phi_grammar_add_repeat(b, alternative, s->digit, 1, 2);
    phi_grammar_alternative(b, plus_minus);
    phi_grammar_add_set(b, phi_grammar_alternative(b, plus_minus),
                        (const struct phi_grammar_range[]){{'+', '+'}, {'-', '-'}}, 2, false);
}

int phi_schema_number(struct schema *s, uint32_t rule, const struct number_bounds *bounds, bool integer, bool *dead) {
    const struct phi_json_decimal *low = bounds->has_low ? &bounds->low : NULL;
    const struct phi_json_decimal *high = bounds->has_high ? &bounds->high : NULL;
    static const struct phi_json_decimal zero;
    bool any = false;
    if (!low && !high) {
        put_unbounded(s, rule, integer);
        return 0;
    }
    int order = low && high ? phi_schema_compare(low, high) : -1;
    *dead = order > 0 || (order == 0 && (bounds->low_open || bounds->high_open));
    if (*dead) return 0;
    bool low_negative = low && low->negative && low->n, high_negative = high && high->negative && high->n;
    if (!high_negative) {
        bool from_zero = !low || low_negative;
        any |= put_magnitudes(s, rule, "", from_zero ? NULL : low, !from_zero && bounds->low_open, high,
                              bounds->high_open, integer);
    }
    if (!low || low_negative) /* 0 has no sign, so that its magnitude is an open bound here */
        any |= put_magnitudes(s, rule, "-", high_negative ? high : &zero, high_negative ? bounds->high_open : true, low,
                              bounds->low_open, integer);
    *dead = !any;
    s->too_many_digits |= !any;
    return 0;
}
