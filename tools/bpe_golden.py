"""Make tests/golden/tokenizer/bpe.jsonl: a small byte-level vocabulary, and texts with their ids by the tokenizers library.

    pip install tokenizers==0.23.3
    python3 tools/bpe_golden.py > tests/golden/tokenizer/bpe.jsonl

The first line holds the vocabulary, {"tokens", "merges"}, trained on SAMPLE; each other line is {"pre", "text", "ids"}. The patterns are
those that src/pretokenizer.c quotes, here as regular expressions. No text has a character that is younger than the library's tables."""
import json

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

SAMPLE = """The old harbour had been quiet for years, and nobody in the village expected that to change. Every morning a single
fishing boat left before sunrise; it came back around noon with a few crates of mackerel. "Don't you see?" she'd said. "I'm
sure they'll come, we've waited, you're early, it's 1999, 2024 or 2025." DON'T SHOUT! HTTPServer, myVariable, XMLHttpRequest,
camelCase and snake_case. https://example.org/path/to/file.txt//
def mean(values):
    total = 0.0
    for value in values:
        total += value
    return total / len(values)


\tif (x == NULL) { return -1; } /* none */
\t\tint main(void) { printf("%d\\n", 1000 + 234567); }\r\n\r\n
Größe, Äpfel, café, naïve, Straße. Привет, мир! Ελληνικά. 日本語のテキスト。 你好，世界。 한국어 נעים مرحبا नमस्ते ไทย 🦙🦙👩‍👩‍👧
""" * 4

CONTRACTION = "'s|'t|'re|'ve|'m|'ll|'d"
P, U, D, C = r"[^\r\n\p{L}\p{N}]?", r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]", "(?i:%s)?" % CONTRACTION
GPT2 = CONTRACTION + r"| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
SPACES = r"|\s*[\r\n]+|\s+(?!\S)|\s+"
CL100K = "(?i:%s)|%s" % (CONTRACTION, P) + r"\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*" + SPACES
O200K = P + U + "*" + D + "+" + C + "|" + P + U + "+" + D + "*" + C + r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*" + SPACES

TEXTS = [
    "", " ", "  ", "a", " a", "a ", "a  ", "  a", "a b", "a  b", "a   b", "\n", "\n\n", " \n", "\n ", " \n ", "a\n b", "a \n\n  b", "\r\n\r\n", "\r", "a\r\n\tb",
    "\t\ta", "\u3000\u3000a", "a\u00a0b", "a\u2003\u2003", "a\u0085b", "a\u2028\u2028b", "a\u200bb", "a\ufeffb", "a\u180eb", "a\x1cb", "\x00", "a\x00b", "\x7f",
    "The harbour, 1999!", "1", "12", "123", "1234", "12345678", " 12", "a1b22", "1 2", "1  2", "x  12", "\u00bd\u2167\u0663\u0663\u0663\u0663", "3.14", "1,000",
    "don't", "DON'T", "Don'T you'Ll", "I'm we'VE it's it'S they'd", "'default", "'s", "' s", "''s", "x'", "x'sy", "x'lly", "x'lx", "'r", "'\u017f", "it'\u017fa", "'\u212a", "it\u2019s",
    "HTTPServer", "XMLHttpRequest", "myVariable", "ABC", "ABCd", "aBCd", "aB", "Ab", "AB cd", " ABC", "!ABC", "!abc", "\u01c5a", "\u01c5\u01c5", "A\u02b0B", "\u3042ABC",
    "\u3042\u3044ABCd", "\u3042ABC\u3044", "ABC\u3042DEF", "ABC\u3042def", "e\u0301", "\u0301", "\u0301e", "\u0301E", "\u0301\u0301Ab", "E\u0301a", "E\u0301A", " \u0301", "1\u0301", "!\u0301!", "\u0301 5",
    "\u0301ABC", "a\u0301\u0301b", "\u0928\u092e\u0938\u094d\u0924\u0947", "\u0e44\u0e17\u0e22", "!!!", " !!!", "  !!!", "!!!\n\n", "!!!\n!!!", "!!/\n/", "a//b", " //", "https://example.org/path/", "*/\r\n\r\n\r\n  x",
    "!!! \n", "\u65e5\u672c\u8a9e\u306e\u30c6\u30ad\u30b9\u30c8", "\u041f\u0440\u0438\u0432\u0435\u0442", "\u05e0\u05e2\u05d9\u05dd", "\U0001f999\U0001f999", "\U0001f469\u200d\U0001f469\u200d\U0001f467", "\U0001f999a",
    "Gr\u00f6\u00dfe", "caf\u00e9", "<|end|>", "<|user|>\nHi", "\u0120 \u010a", "def f(x):\n    return x\n", "a" * 70, "ab" * 40, " " * 70, "=" * 70, "\n" * 70,
]


def main():
    base = Tokenizer(models.BPE())
    base.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(O200K), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    base.train_from_iterator([SAMPLE], trainers.BpeTrainer(vocab_size=700, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False))
    model = json.loads(base.to_str())["model"]
    tokens = sorted(model["vocab"], key=model["vocab"].get)
    print(json.dumps({"tokens": tokens, "merges": [" ".join(m) for m in model["merges"]]}))
    level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    cut = {
        "gpt-2": [pre_tokenizers.Split(Regex(GPT2), "isolated")],
        "smollm": [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.Split(Regex(GPT2), "isolated")],
        "dbrx": [pre_tokenizers.Split(Regex(CL100K), "isolated")],
        "gpt-4o": [pre_tokenizers.Split(Regex(O200K), "isolated")],
    }
    for pre, steps in cut.items():
        t = Tokenizer(models.BPE(model["vocab"], [tuple(m) for m in model["merges"]]))
        t.pre_tokenizer = pre_tokenizers.Sequence(steps + [level])
        t.decoder = decoders.ByteLevel()
        for text in TEXTS:
            ids = t.encode(text).ids
            assert t.decode(ids) == text
            print(json.dumps({"pre": pre, "text": text, "ids": ids}))


if __name__ == "__main__":
    main()
