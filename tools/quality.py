"""What models score and what quantising costs: the figures of tools/quality.md, each made by ./phi and, beside it, by llama.cpp.

    python3 tools/quality.py --real DIR --data DIR --calibration FILE [--demo FILE --demo-text FILE --demo-calibration FILE]
                             [--peer PYTHON] [--work build/quality] [--threads N] [--only perplexity,types,questions]
                             [--files f16,..] [--types q8_0,..] [--chunks N] [--mmlu-step N] [--gsm8k-step N]
                             [--out tools/quality.md]

--real: the folder of smollm2-135m-*.gguf (SmolLM2-135M-Instruct in the layout of Phi-3). --data: wiki.test.raw and the files that
tools/eval_data.py reads. --calibration: a text for the importance matrices. --demo: the demo model's original weights as GGUF, and two
texts of the kind that it knows, one to score and one to calibrate with. --peer: a Python that has llama-cpp-python; without it its
columns are empty.

Every figure is kept below --work as soon as it is known, and unfinished ones go on from their checkpoints, so that the script can be
stopped and started again; remove a file there to have it measured again. Sections whose models are missing are left out and say so.
Quantised files of both encoders run in ./phi: what differs between them is the encoder alone.
"""
import argparse, json, math, os, platform, statistics, subprocess, sys

HERE = os.path.dirname(os.path.abspath(__file__))
IMATRIX_CHUNKS = 16
CHUNKS = 40  # of 512 tokens, half of each scored
TYPES = [("q8_0", False), ("q6_k", False), ("q5_k_m", False), ("q5_1", False), ("q5_0", False), ("q4_k_m", False), ("q4_k_m", True),
         ("q4_k_s", False), ("iq4_nl", False), ("iq4_xs", False), ("iq4_xs", True), ("q4_1", False), ("q4_0", False)]
FTYPES = {"q4_0": 2, "q4_1": 3, "q8_0": 7, "q5_0": 8, "q5_1": 9, "q4_k_s": 14, "q4_k_m": 15, "q5_k_m": 17, "q6_k": 18, "iq4_nl": 25,
          "iq4_xs": 30}  # enum llama_ftype
REAL = ["f16", "q8_0", "q4_k_m", "q4_1", "q4_0"]
# task, questions, published share and where it is from
QUESTIONS = [("hellaswag-0", "hellaswag-400", "acc_norm", "42.99, acc_norm, lm-eval"), ("arc-c-0", "arc-c", "acc_norm", "27.73, acc_norm, lm-eval"),
             ("mmlu-5", "mmlu", "acc", "none by letter"), ("gsm8k-8", "gsm8k", "exact", "0.38, lm-eval; 1.4, five shots")]


# ---- The other engine, in a process of its own ----

def peer_perplexity(model, text, chunks, threads):
    """Mean -ln p of each chunk, as llama.cpp's perplexity tool cuts and scores them."""
    import llama_cpp, numpy as np
    llm = llama_cpp.Llama(model, n_ctx=512, n_batch=512, logits_all=True, n_threads=threads, n_threads_batch=threads, verbose=False)
    data = open(text, "rb").read()
    ids = llm.tokenize(data[:-1] if data.endswith(b"\n") else data, add_bos=True, special=False)
    bos = llm.tokenize(b"", add_bos=True)
    nll = []
    for c in range(min(chunks, len(ids) // 512)):
        some = bos + ids[c * 512 + len(bos):(c + 1) * 512]
        llm.reset()
        llm.eval(some)
        rows = llm.scores[256:511]
        top = rows.max(1)
        log_sum = top + np.log(np.exp(rows - top[:, None]).sum(1, dtype=np.float64))
        nll.append(float((log_sum - rows[np.arange(255), some[257:]]).mean()))
    return {"chunk_nll": nll, "ppl": math.exp(statistics.fmean(nll)), "about": "llama-cpp-python " + llama_cpp.__version__}


def read_imatrix(path):
    """Importance rows of the file that phi imatrix made (keys: strings, a list of strings, u32): {name: float32 array}."""
    import struct
    import numpy as np
    data, at = open(path, "rb").read(), 8

    def take(code):
        nonlocal at
        value = struct.unpack_from("<" + code, data, at)
        at += struct.calcsize("<" + code)
        return value[0]

    text = lambda: bytes(take("c")[0] for _ in range(take("Q")))
    value = lambda kind: {4: lambda: take("I"), 8: text, 9: lambda: [value(k) for k in [take("I")] for _ in range(take("Q"))]}[kind]()
    n_tensor, n_key = take("Q"), take("Q")
    for _ in range(n_key):
        text(), value(take("I"))
    table = [(text().decode(), [take("Q") for _ in range(take("I"))], take("I"), take("Q")) for _ in range(n_tensor)]
    begin = (at + 31) // 32 * 32
    rows = {name: np.frombuffer(data, np.float32, dims[0], begin + offset) for name, dims, _, offset in table}
    return {n.removesuffix(".in_sum2"): np.ascontiguousarray(r / rows[n.removesuffix("in_sum2") + "counts"][0]) for n, r in rows.items()
            if n.endswith(".in_sum2")}


def peer_quantize(source, out, kind, imatrix, threads):
    import ctypes
    import llama_cpp as l
    params = l.llama_model_quantize_default_params()
    params.ftype, params.nthread = FTYPES[kind], threads
    if imatrix:
        rows = read_imatrix(imatrix)
        array = (l.llama_model_imatrix_data * (len(rows) + 1))()
        for slot, (name, row) in zip(array, rows.items()):
            slot.name, slot.data, slot.size = name.encode(), row.ctypes.data_as(ctypes.POINTER(ctypes.c_float)), row.size
        params.imatrix = array
    if l.llama_model_quantize(source.encode(), out.encode(), ctypes.byref(params)):
        sys.exit(f"llama.cpp could not make {out}")
    return {"about": "llama-cpp-python " + l.__version__}


# ---- Running and keeping ----

class Bench:
    def __init__(self, a):
        self.a, self.phi = a, os.path.join(HERE, "..", "phi")
        os.makedirs(a.work, exist_ok=True)

    def path(self, name):
        return os.path.join(self.a.work, name)

    def kept(self, name, make):
        """The JSON result of that name; make() is called if it is not there yet."""
        path = self.path(name + ".json")
        if not os.path.exists(path) or not os.path.getsize(path):
            print(f"{name} ..", file=sys.stderr)
            result = make()
            with open(path + ".part", "w") as f:
                json.dump(result, f)
            os.replace(path + ".part", path)
        return json.load(open(path))

    def evaluate(self, name, model, *options):
        def make():
            command = [self.phi, "eval", "-m", model, "-t", str(self.a.threads), "--json", "--checkpoint", self.path(name + ".state"), *options]
            return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
        return self.kept(name, make)

    def peer(self, name, *arguments):
        """One of the functions above, in the peer's Python; None without one."""
        if not self.a.peer:
            return None
        run = lambda: json.loads(subprocess.run([self.a.peer, os.path.abspath(__file__), "--as-peer", *arguments], check=True,
                                                stdout=subprocess.PIPE, text=True).stdout.splitlines()[-1])
        return self.kept(name, run)


def paired(a, b):
    """Mean difference of two lists over the same chunks, and its standard error."""
    d = [x - y for x, y in zip(a, b)]
    return statistics.fmean(d), statistics.stdev(d) / math.sqrt(len(d))


# ---- Sections ----

def perplexity(b, wiki):
    out = ["## Perplexity of the real model", "",
           f"`wiki.test.raw`, first {CHUNKS} chunks of 512 tokens, second half of each scored; keys and values in f32 here, f16 in llama.cpp. Difference: of "
           "ln PPL, with the standard error of the paired difference over the chunks. PyTorch with the Q4_1 weights and unrounded activations: 23.5115.", "",
           "| file | phi | llama.cpp | ratio | difference |", "|---|---|---|---|---|"]
    for kind in b.a.files.split(","):
        model = os.path.join(b.a.real, f"smollm2-135m-{kind}.gguf")
        if not os.path.exists(model):
            continue
        ours = b.evaluate(f"ppl-{kind}", model, "-f", wiki, "--chunks", str(CHUNKS))
        theirs = b.peer(f"ppl-{kind}-peer", "perplexity", model, wiki, str(CHUNKS), str(b.a.threads))
        row = f"| {kind} | {ours['ppl']:.4f} ± {ours['ppl_error']:.2f} |"
        if theirs:
            mean, error = paired(ours["chunk_nll"], theirs["chunk_nll"])
            row += f" {theirs['ppl']:.4f} | {100 * (ours['ppl'] / theirs['ppl'] - 1):+.3f} % | {mean:+.5f} ± {error:.5f} |"
        else:
            row += " | | |"
        out.append(row)
    return out + [""]


def types(b, title, tag, source, text, calibration, chunks):
    """Every type of one model against its own F16, ours beside llama.cpp's."""
    name = lambda *parts: "-".join((tag,) + parts)
    base, imatrix = b.path(name("base.logits")), b.path(name("imatrix.gguf"))
    f16 = b.evaluate(name("f16"), source, "-f", text, "--chunks", str(chunks), "--kl-divergence-base", base)
    if not os.path.exists(imatrix):
        subprocess.run([b.phi, "imatrix", "-m", source, "-f", calibration, "-o", imatrix, "-t", str(b.a.threads), "--chunks", str(IMATRIX_CHUNKS)], check=True)
    out = [f"## Types: {title}", "",
           f"F16: PPL {f16['ppl']:.4f} ± {f16['ppl_error']:.2f} over {f16['chunks']} chunks. Importance matrix: {IMATRIX_CHUNKS} chunks of the calibration text. KLD: mean KL divergence to F16, x 1000, ± its standard error; "
           "difference: phi's encoder less llama.cpp's over the same chunks, with the standard error of the paired difference (negative: ours is nearer to F16).", "",
           "| type | bits/weight | PPL | KLD | 99.9 % | same top | llama.cpp: PPL | KLD | 99.9 % | same top | difference of KLD |", "|---|---|---|---|---|---|---|---|---|---|---|"]

    def score(which, made, model):
        result = b.evaluate(which, model, "--kl-divergence", "--kl-divergence-base", base) if made else None
        size = os.path.getsize(model) if made else 0
        return result, size

    for kind, with_imatrix in TYPES:
        if f"{kind}{'+imatrix' if with_imatrix else ''}" not in b.a.types.split(","):
            continue
        label = name(kind + ("-imatrix" if with_imatrix else ""))
        ours, theirs = b.path(label + ".gguf"), b.path(label + "-peer.gguf")
        options = ["--imatrix", imatrix] if with_imatrix else []
        made = lambda: subprocess.run([b.phi, "quantize", *options, source, ours, kind, str(b.a.threads)], check=True) and {}
        b.kept(label + "-made", made)
        x, size = score(label, True, ours)
        made = b.peer(label + "-peer-made", "quantize", source, theirs, kind, imatrix if with_imatrix else "", str(b.a.threads))
        y, _ = score(label + "-peer", made is not None, theirs)
        bits = 16 * size / os.path.getsize(source)
        show = lambda r: f" {r['ppl']:.3f} | {1000 * r['kld']:.3f} ± {1000 * r['kld_error']:.3f} | {r['kld_99_9']:.3f} | {100 * r['same_top']:.2f} % |" if r else " | | | |"
        row = f"| {kind}{', imatrix' if with_imatrix else ''} | {bits:.2f} |" + show(x) + show(y)
        if y:
            mean, error = paired(x["chunk_kld"], y["chunk_kld"])
            row += f" {1000 * mean:+.3f} ± {1000 * error:.3f} |"
        else:
            row += " |"
        out.append(row)
    return out + [""]


def thin(source, out, step):
    """Every step-th question of a file, with all settings and shots."""
    n = 0
    with open(out, "w", encoding="utf-8") as f:
        for line in open(source, encoding="utf-8"):
            row = json.loads(line)
            if "question" in row and not row.get("shot"):
                n += 1
                if n % step:
                    continue
            f.write(line)


def questions(b):
    out = ["## Questions", "", "SmolLM2-135M-Instruct, F16. Intervals: 95 %, Wilson. Chance is 25 % but for GSM8K. Where a step stands, every step-th question was asked.", "",
           "| task | questions | score | 95 % interval | other scores | published |", "|---|---|---|---|---|---|"]
    subprocess.run([sys.executable, os.path.join(HERE, "eval_data.py"), b.a.data, b.path("questions")], check=True)
    model = os.path.join(b.a.real, "smollm2-135m-f16.gguf")
    for task, items, main_score, published in QUESTIONS:
        step = {"mmlu": b.a.mmlu_step, "gsm8k": b.a.gsm8k_step}.get(items, 1)
        source, asked = b.path(f"questions/{items}.jsonl"), b.path(f"questions/{items}-{step}.jsonl")
        if not os.path.exists(source):
            continue
        thin(source, asked, step)
        r = b.evaluate(f"{task}-{step}", model, "--task", os.path.join(HERE, "eval", task + ".jsonl"), "--items", asked)
        share = lambda s: f"{100 * s['share']:.2f} %"
        others = ", ".join(f"{k} {share(r[k])}" for k in ("acc", "acc_norm", "acc_token", "exact", "flexible") if k in r and k != main_score)
        s = r[main_score]
        out.append(f"| {r['task']} | {r['n']}{f' (step {step})' if step > 1 else ''} | {main_score} {share(s)} | {100 * s['low']:.2f} to {100 * s['high']:.2f} | {others} | {published} |")
    return out + [""]


def main():
    if sys.argv[1:2] == ["--as-peer"]:
        what, *rest = sys.argv[2:]
        done = peer_perplexity(rest[0], rest[1], int(rest[2]), int(rest[3])) if what == "perplexity" else peer_quantize(*rest[:4], int(rest[4]))
        print("\n" + json.dumps(done))
        return
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--real", required=True)
    p.add_argument("--data", required=True)
    p.add_argument("--calibration", required=True)
    p.add_argument("--demo")
    p.add_argument("--demo-text")
    p.add_argument("--demo-calibration")
    p.add_argument("--peer")
    p.add_argument("--work", default=os.path.join(HERE, "..", "build", "quality"))
    p.add_argument("--threads", type=int, default=os.cpu_count())
    p.add_argument("--files", default=",".join(REAL), help="of --real")
    p.add_argument("--types", default=",".join(k + ("+imatrix" if i else "") for k, i in TYPES))
    p.add_argument("--chunks", type=int, default=CHUNKS, help="for the types [40]")
    p.add_argument("--mmlu-step", type=int, default=1)
    p.add_argument("--gsm8k-step", type=int, default=1)
    p.add_argument("--only", default="perplexity,types,questions")
    p.add_argument("--out", default=os.path.join(HERE, "quality.md"))
    b = Bench(p.parse_args())
    if len({bool(x) for x in (b.a.demo, b.a.demo_text, b.a.demo_calibration)}) > 1:
        p.error("--demo, --demo-text and --demo-calibration belong together")
    wiki = os.path.join(b.a.data, "wiki.test.raw")
    f16_768 = os.path.join(b.a.real, "smollm2-135m-f16-768.gguf")
    version = subprocess.run([b.phi, "--version"], check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()[0]
    lines = ["# Quality", "", f"Made by `tools/quality.py` ({version}, {platform.machine()}). Results of phi do not depend on the machine or the threads.", ""]
    parts = b.a.only.split(",")
    if "perplexity" in parts:
        lines += perplexity(b, wiki)
    if "types" in parts:
        lines += types(b, "the real model, 768 wide, weights on no grid (`f16-768`)", "real", f16_768, wiki, b.a.calibration, b.a.chunks)
        if b.a.demo:
            lines += types(b, "the demo model's original weights", "demo", b.a.demo, b.a.demo_text, b.a.demo_calibration, b.a.chunks)
    if "questions" in parts:
        lines += questions(b)
    with open(b.a.out, "w", encoding="utf-8") as f:
        f.write("\n".join(lines).rstrip() + "\n")


if __name__ == "__main__":
    main()
