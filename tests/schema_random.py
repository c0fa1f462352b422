#!/usr/bin/env python3
"""Random JSON schemas over all keywords that phi knows; what phi answers must satisfy them (package jsonschema).

    tests/schema_random.py [--phi ./phi] [--n 200] [--seed 1] [--only I]

For each schema: an answer of a random length and temperature, and one with the smallest -n that phi accepts, which must
be refused with one token less (exit code 5). Prints what failed, then one line of totals; the status is 1 if anything
failed."""
import argparse
import json
import random
import re
import subprocess
import sys

import jsonschema

PATTERNS = ["^[a-z]{3}$", "^\\d{2,4}-[A-F]+$", "b+", "^(foo|bar|baz)?x$", "[^a-z]$", "^\\w+\\s\\w+$", "^[\"\\\\]{1,3}$", "^.{2,5}$",
            "^\\S+$", "a.*b", "^(?:ab)*c$", "^\\u00e4[\\u4e00-\\u4eff]?", "^$", "x|^y|z$", "^\\D\\W$", "[\\s\\S]{3}", "^\\n?[\\x00-\\x20]{2}$"]
WORDS = ["a", "ab", "abc", "b", "name", "näme", "x y", "\"q\"", "t\\n", "id", "\u0001", "😀", "", "key~/", "type"]


class Maker:
    def __init__(self, rng):
        self.rng = rng
        self.defs = {}

    def chance(self, p):
        return self.rng.random() < p

    def value(self, depth=0):
        r = self.rng
        kind = r.randrange(8 if depth < 2 else 6)
        if kind == 0:
            return None
        if kind == 1:
            return r.choice([True, False])
        if kind == 2:
            return r.choice([0, 1, -7, 42, 123456789012, 1.0, -0.0])
        if kind == 3:
            return r.choice([0.5, -1.25, 3.75e-3, 1e3])
        if kind in (4, 5):
            return r.choice(WORDS)
        if kind == 6:
            return [self.value(depth + 1) for _ in range(r.randrange(3))]
        return {r.choice(WORDS): self.value(depth + 1) for _ in range(r.randrange(3))}

    def bounds(self, integer):
        r, s = self.rng, {}
        low = r.choice([-1000, -12.5, -1, -0.03, 0, 0.1, 1, 7, 99, 1000.75, 1e-9, 123456])
        span = r.choice([1, 2, 9.5, 10, 100, 1234.5, 1e6])
        if integer:
            low, span = int(low), max(2, int(span))
        if self.chance(0.6):
            s[r.choice(["minimum", "exclusiveMinimum"])] = low
        if self.chance(0.6):
            s[r.choice(["maximum", "exclusiveMaximum"])] = low + span
        return s

    def string(self):
        r, s = self.rng, {}
        if self.chance(0.4):
            s["pattern"] = r.choice(PATTERNS)
            return s
        if self.chance(0.5):
            s["minLength"] = r.randrange(6)
        if self.chance(0.5):
            s["maxLength"] = s.get("minLength", 0) + r.randrange(8)
        return s

    def array(self, depth):
        r, s = self.rng, {}
        if self.chance(0.4):
            s["prefixItems"] = [self.schema(depth + 1) for _ in range(r.randrange(1, 4))]
        if self.chance(0.7):
            s["items"] = self.schema(depth + 1)
        if self.chance(0.4):
            s["minItems"] = r.randrange(4)
        if self.chance(0.6):
            s["maxItems"] = s.get("minItems", 0) + r.randrange(4)
        return s

    def object(self, depth):
        r, s = self.rng, {}
        names = r.sample(WORDS, r.randrange(5))
        if names:
            s["properties"] = {n: self.schema(depth + 1) for n in names}
        if self.chance(0.5):
            s["required"] = [n for n in names if self.chance(0.5)] + (r.sample(WORDS, 1) if self.chance(0.2) else [])
        if self.chance(0.5):
            s["additionalProperties"] = r.choice([True, False, self.schema(depth + 1)])
        return s

    def schema(self, depth=0):
        r = self.rng
        roll = r.random()
        if depth > 3 or roll < 0.05:
            return r.choice([True, {}, {"type": "null"}, {"type": "boolean"}])
        if roll < 0.12:
            s = {"enum": [self.value() for _ in range(r.randrange(1, 6))]}
        elif roll < 0.16:
            s = {"const": self.value()}
        elif roll < 0.28:
            s = {"anyOf": [self.schema(depth + 1) for _ in range(r.randrange(1, 4))]}
            if self.chance(0.3):
                s["type"] = r.sample(["object", "array", "string", "number", "null", "boolean"], 3)
        elif roll < 0.36:
            name = r.choice(["one", "two/2", "~three"])
            if name not in self.defs:
                self.defs[name] = True
                self.defs[name] = self.schema(depth + 1)
            s = {"$ref": "#/$defs/" + name.replace("~", "~0").replace("/", "~1")}
            if self.chance(0.2):
                s["type"] = ["object", "string", "integer"]
        elif roll < 0.42:
            s = {}
            s.update(self.string())
            s.update(self.bounds(False))
            s.update(self.array(depth))
            s.update(self.object(depth))
        else:
            kind = r.choice(["integer", "number", "string", "array", "object", "boolean", "null"])
            s = {"type": kind}
            if kind in ("integer", "number"):
                s.update(self.bounds(kind == "integer"))
            elif kind == "string":
                s.update(self.string())
            elif kind == "array":
                s.update(self.array(depth))
            elif kind == "object":
                s.update(self.object(depth))
            if self.chance(0.1):
                s["type"] = [kind, "null"]
            if self.chance(0.05):
                s["enum"] = [self.value() for _ in range(4)]
        if self.chance(0.1):
            s.update({"title": "t", "description": "d", "default": 1, "examples": [2], "$comment": "c"})
        return s

    def root(self):
        s = self.schema()
        if isinstance(s, bool):
            s = {}
        if self.defs:
            s["$defs"] = self.defs
        return s


def satisfiable(schema):
    """Does phi take it? Random schemas contradict themselves now and then; phi must say so."""
    r = run(schema, 0, 1, 0)
    return r.returncode != 2, r.stderr.decode("utf-8", "replace").strip()


def run(schema, n, seed, temperature):
    words = [args.phi, "-q", "-p", "Once", "-j", json.dumps(schema, ensure_ascii=seed % 2 == 0), "-n", str(n), "-s", str(seed),
             "--temp", str(temperature), "--no-stdin"]
    return subprocess.run(words, capture_output=True, timeout=300)


def constant(text):
    raise ValueError(text)


def complaint(schema, r):
    """What is wrong with this answer; None: nothing."""
    if r.returncode != 0:
        return f"status {r.returncode}: {r.stderr.decode('utf-8', 'replace').strip()}"
    try:
        value = json.loads(r.stdout.decode("utf-8"), parse_constant=constant)
    except (UnicodeDecodeError, ValueError) as e:
        return f"not JSON ({e}): {r.stdout!r}"
    try:
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        return f"half a surrogate pair: {r.stdout!r}"
    error = jsonschema.exceptions.best_match(jsonschema.Draft202012Validator(schema).iter_errors(value))
    return None if error is None else f"{error.message} at {list(error.absolute_path)}: {r.stdout!r}"


def smallest(schema):
    """The least -n that is accepted, from the sentence that refuses less; None: no such sentence."""
    r = run(schema, 1, 1, 1)
    if r.returncode == 0:
        return 1
    found = re.search(rb"takes (\d+) token", r.stderr)
    return int(found.group(1)) if r.returncode == 5 and found else None


def main():
    passed = failed = refused = 0
    for i in range(args.n) if args.only is None else [args.only]:
        rng = random.Random(f"{args.seed}/{i}")
        while True:
            schema = Maker(rng).root()
            good, why = satisfiable(schema)
            if good:
                break
            refused += 1
            if "satisf" not in why and "above" not in why:
                failed += 1
                print(f"FAIL {i}: refused: {why}\n  {json.dumps(schema)}")
        least = smallest(schema)
        wrong = [] if least else ["the smallest -n is not told"]
        tries = [(least or 1, 1.5), ((least or 1) + rng.randrange(1, 12), rng.choice([0, 0.8, 5])), ((least or 1) + 100, 1)]
        for n, temperature in tries:
            what = complaint(schema, run(schema, n, rng.randrange(2**32), temperature))
            if what:
                wrong.append(f"-n {n} --temp {temperature}: {what}")
        if least and least > 1 and run(schema, least - 1, 1, 1).returncode != 5:
            wrong.append(f"-n {least - 1} is accepted")
        passed += not wrong
        failed += bool(wrong)
        for w in wrong:
            print(f"FAIL {i}: {w}\n  {json.dumps(schema)}")
    print(f"schema_random: {passed} passed, {failed} failed, 0 skipped ({refused} contradicted themselves)")
    return failed != 0


parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--phi", default="./phi")
parser.add_argument("--n", type=int, default=200)
parser.add_argument("--seed", type=int, default=1)
parser.add_argument("--only", type=int)
args = parser.parse_args()
sys.exit(main())
