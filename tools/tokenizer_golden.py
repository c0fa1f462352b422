"""Make tests/golden/tokenizer/demo.jsonl: texts and their ids in the demo model's vocabulary, by the SentencePiece library.

    pip install sentencepiece
    python3 tools/tokenizer_golden.py TOKENIZER.MODEL > tests/golden/tokenizer/demo.jsonl

TOKENIZER.MODEL is the SentencePiece model that the demo model was trained with. Lines with "parse_special" have control tokens in
them: each plain segment between two of them is tokenised on its own, and white space behind one is dropped where STRIP says so."""
import json
import re
import sys

import sentencepiece

NAMES = ["<|endoftext|>", "<|assistant|>", "<|placeholder1|>", "<|placeholder2|>", "<|placeholder3|>", "<|placeholder4|>",
         "<|system|>", "<|end|>", "<|placeholder5|>", "<|placeholder6|>", "<|user|>"]
IDS = {name: 2000 + i for i, name in enumerate(NAMES)} | {"<unk>": 0, "<s>": 1, "</s>": 2}
STRIP = set(IDS) - {"<unk>", "<s>", "<|endoftext|>"}

PLAIN = [
    "", " ", "  ", "   ", "\n", "\n\n", "\t", " \n ", "Hi", " Hi", "Hi ", "\nHi", "Hello, world!", "Once upon a time there was a cat.",
    "What is 17 + 5?", "The answer is 22.", "don't  stop", "a" * 40, " " * 40, "ab" * 20, "=" * 33, "ÄÖÜ äöü ß", "日本語", "🦙🦙", "e\u0301",
    "▁", "▁▁a", "a▁b", "\u00a0", "\ufeffx", "\x00", "a\x00b", "<0x0A>", "<|end|>", "<s>", "</s>", "[PAD2011]", "x<|user|>y", "<unk>",
    "int main(void) {\n    return 0;\n}\n", "1234567890", "CAPITALS AND small", "tab\tand\r\nline ends", "\U00010348 \u20ac \u00a2",
]
SPECIAL = [
    "<|user|>\nHi<|end|>\n<|assistant|>\n", "<|system|>\nBe short.<|end|>\n<|user|>\nWhat is 2 + 2?<|end|>\n<|assistant|>\n",
    "<|end|>", "<|end|><|end|>", "<|end", "<|<|end|>|>", "<s>a", "<s> a", "a </s> b", "<unk> x", "<|endoftext|> z", "<|user|> \t\r\n\v\fz",
    "<|user|>\u00a0\u2003\u3000\u0085z", "<|user|>\u200bz", "<|user|>\x1cz", "<|user|>\x0ez", "[PAD2011]", "<|placeholder6|>  <|placeholder7|>", "x<|user|>y", "<|image|>", "", " ",
    "\n<|end|>\n",
]


def encode(model, text, special):
    if not special:
        return model.encode(text)
    ids, swallow = [], False
    for part in re.split("(" + "|".join(map(re.escape, IDS)) + ")", text):
        if part in IDS:
            ids.append(IDS[part])
            swallow = part in STRIP
        else:
            part = re.sub(r"^[\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]*", "", part) if swallow else part
            ids += model.encode(part) if part else []
            swallow = False
    return ids


def main(path):
    model = sentencepiece.SentencePieceProcessor(model_file=path)
    for special, texts in ((False, PLAIN), (True, SPECIAL)):
        for i, text in enumerate(texts):
            bos = i % 2 == 1
            ids = ([1] if bos else []) + encode(model, text, special)
            print(json.dumps({"text": text, "parse_special": special, "add_bos": bos, "ids": ids}))


if __name__ == "__main__":
    main(sys.argv[1])
