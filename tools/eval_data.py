"""Turn public test sets into the question files of `phi eval` (tools/eval/README.md).

    python3 tools/eval_data.py DATA_DIR OUT_DIR

Reads, where they are there: arc_challenge_test.jsonl (id, question, choices, answerKey), hellaswag_val_400.txt and
hellaswag_val_full.txt.bz2 (six lines a task, as llama-perplexity reads them), mmlu_test.csv and mmlu_dev.csv (subject,
question, A, B, C, D, answer; the dev questions become the shots of their subject), gsm8k_test.jsonl (question, answer that
ends in "#### N"). Texts are not changed."""
import bz2
import csv
import json
import os
import sys


def line(**keys):
    return json.dumps(keys, ensure_ascii=False) + "\n"


def arc(path):
    for text in open(path, encoding="utf-8"):
        q = json.loads(text)
        labels = q["choices"]["label"]
        yield line(id=q["id"], question=q["question"], choices=q["choices"]["text"], answer=labels.index(q["answerKey"]))


def hellaswag(path):
    opened = bz2.open(path, "rt", encoding="utf-8") if path.endswith(".bz2") else open(path, encoding="utf-8")
    lines = opened.read().split("\n")
    for i in range(0, len(lines) - 5, 6):
        yield line(question=lines[i], choices=lines[i + 2:i + 6], answer=int(lines[i + 1]))


def mmlu_rows(path):
    subjects = {}
    for row in csv.DictReader(open(path, encoding="utf-8", newline="")):
        subjects.setdefault(row["subject"], []).append(row)
    return subjects


def mmlu(test, dev):
    shots = mmlu_rows(dev)
    for subject, rows in mmlu_rows(test).items():
        yield line(group=subject.replace("_", " "), new_shots=True)
        for shot, some in ((True, shots[subject]), (False, rows)):
            for row in some:
                keys = {"shot": True} if shot else {}
                yield line(**keys, question=row["question"], choices=[row[c] for c in "ABCD"], answer="ABCD".index(row["answer"]))


def gsm8k(path):
    for text in open(path, encoding="utf-8"):
        q = json.loads(text)
        yield line(question=q["question"], answer=q["answer"].split("####")[1].strip())


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    data, out = sys.argv[1:]
    jobs = [("arc-c.jsonl", arc, ["arc_challenge_test.jsonl"]), ("hellaswag-400.jsonl", hellaswag, ["hellaswag_val_400.txt"]),
            ("hellaswag.jsonl", hellaswag, ["hellaswag_val_full.txt.bz2"]), ("mmlu.jsonl", mmlu, ["mmlu_test.csv", "mmlu_dev.csv"]),
            ("gsm8k.jsonl", gsm8k, ["gsm8k_test.jsonl"])]
    os.makedirs(out, exist_ok=True)
    for name, make, sources in jobs:
        paths = [os.path.join(data, s) for s in sources]
        if not all(map(os.path.exists, paths)):
            print(f"{name}: no {' and '.join(sources)}", file=sys.stderr)
            continue
        with open(os.path.join(out, name), "w", encoding="utf-8") as f:
            f.writelines(make(*paths))


if __name__ == "__main__":
    main()
