"""Pocket Phi beside llama.cpp: the same files, threads and token counts, in turns on one machine.

    python3 tools/peers.py MODEL.gguf .. [--dir build/peers] [--out tools/peers.md] [--svg tools/peers.svg]

Builds llama.cpp from the source distribution of the PyPI package llama-cpp-python, twice, each in a virtual environment of its own below
--dir (a quarter of an hour or more, the first time): `native` with its defaults, and `avx2` without AVX-512 and VNNI. Each is compared
with the instruction set of phi that may use the same instructions. A CPU whose best level is avx2 needs the first build only.

Every test runs --rounds times, one engine after the other, and the table has the medians and the ratio of the medians. A process of
llama.cpp stays open over all rounds, so that loading is not timed; phi bench does not time it either. Both see all earlier tokens
(phi: --window off, since llama.cpp does not do the sliding window of Phi-3). Machine limits come from phi bench, measured in the same rounds.
"""
import argparse, json, os, platform, statistics, subprocess, sys, time

AVX2 = ("-DGGML_NATIVE=OFF -DGGML_AVX512=OFF -DGGML_AVX_VNNI=OFF -DGGML_AVX2=ON -DGGML_FMA=ON -DGGML_F16C=ON "
        "-DGGML_BMI2=ON")
N_BATCH, N_UBATCH = 2048, 512


# ---- The other engine, in a process of its own ----

def worker(path, n_threads, n_ctx):
    """Lines 'n_prompt n_gen depth' on stdin; seconds on stdout."""
    import ctypes
    import llama_cpp as l
    silent = l.llama_log_callback(lambda level, text, user: None)
    l.llama_log_set(silent, None)
    l.llama_backend_init()
    model = l.llama_model_load_from_file(path.encode(), l.llama_model_default_params())
    params = l.llama_context_default_params()
    params.n_ctx, params.n_batch, params.n_ubatch = n_ctx, N_BATCH, N_UBATCH
    params.n_threads = params.n_threads_batch = n_threads
    params.flash_attn_type = l.LLAMA_FLASH_ATTN_TYPE_AUTO
    context = l.llama_init_from_model(model, params)
    if not context:
        sys.exit("llama.cpp could not open " + path)
    n_vocab = l.llama_vocab_n_tokens(l.llama_model_get_vocab(model))

    def feed(n, at):
        ids = (ctypes.c_int32 * n)(*[(7919 * (at + i) + 13) % n_vocab for i in range(n)])
        if l.llama_decode(context, l.llama_batch_get_one(ids, n)):
            sys.exit("llama_decode failed")

    def prefill(n, at=0):
        for i in range(0, n, N_BATCH):
            feed(min(N_BATCH, n - i), at + i)

    def clear():
        l.llama_memory_clear(l.llama_get_memory(context), True)

    prefill(64)
    feed(1, 64)
    print(f"llama-cpp-python {l.__version__}; {l.llama_print_system_info().decode().strip()}", flush=True)
    for line in sys.stdin:
        n_prompt, n_gen, depth = map(int, line.split())
        clear()
        prefill(depth)
        l.llama_synchronize(context)
        begin = time.perf_counter()
        prefill(n_prompt, depth)
        for i in range(n_gen):
            feed(1, depth + n_prompt + i)
            l.llama_synchronize(context)
        l.llama_synchronize(context)
        print(time.perf_counter() - begin, flush=True)


class LlamaCpp:
    def __init__(self, python, path, n_threads, n_ctx):
        self.process = subprocess.Popen([python, os.path.abspath(__file__), "--worker", path, str(n_threads), str(n_ctx)],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.about = self.process.stdout.readline().strip()
        if not self.about:
            sys.exit("the worker of llama.cpp did not start")

    def run(self, test):
        n_prompt, n_gen, depth = test
        print(n_prompt, n_gen, depth, file=self.process.stdin, flush=True)
        answer = self.process.stdout.readline()
        if not answer:
            sys.exit("the worker of llama.cpp has ended")
        return (n_prompt + n_gen) / float(answer)

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def build(directory, name, cmake_args):
    """The interpreter of the virtual environment, which is made unless it is there."""
    python = os.path.join(directory, name, "bin", "python")
    probe = [python, "-c", "import llama_cpp"]
    if os.path.exists(python) and subprocess.run(probe, stderr=subprocess.DEVNULL).returncode == 0:
        return python
    print(f"building llama.cpp ({name}); this takes a while", file=sys.stderr)
    subprocess.run([sys.executable, "-m", "venv", os.path.join(directory, name)], check=True)
    subprocess.run([python, "-m", "pip", "install", "-q", "--no-binary", "llama-cpp-python", "llama-cpp-python"], check=True,
                   env=dict(os.environ, CMAKE_ARGS=cmake_args))
    return python


# ---- phi ----

def phi(program, path, isa, n_threads, test):
    n_prompt, n_gen, depth = test
    command = [program, "bench", "-m", path, "-p", str(n_prompt), "-n", str(n_gen), "-d", str(depth), "-r", "1", "-t", str(n_threads),
               "-b", str(N_BATCH), "-ub", str(N_UBATCH), "--isa", isa, "--window", "off", "-o", "json"]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout)[0]


# ---- Comparing ----

def name_of(test):
    n_prompt, n_gen, depth = test
    return (f"pp{n_prompt}" if n_prompt else f"tg{n_gen}") + (f" @ d{depth}" if depth else "")


def compare(program, isa, python, path, n_threads, tests, rounds):
    """Rows (model, test, isa, phi tok/s, share of the machine's limit, peer tok/s), and what the peer says of itself."""
    n_ctx = max(sum(test) for test in tests) + 64
    peer = LlamaCpp(python, path, n_threads, n_ctx)
    ours, theirs = {t: [] for t in tests}, {t: [] for t in tests}
    for i in range(rounds):
        for test in tests:
            if i and sum(test) > 1024 and i >= max(1, rounds // 3):
                continue  # minutes each: a third of the rounds
            ours[test].append(phi(program, path, isa, n_threads, test))
            theirs[test].append(peer.run(test))
            print(f"  {isa} {name_of(test)}: phi {ours[test][-1]['avg_ts']:.2f}, llama.cpp {theirs[test][-1]:.2f} tok/s", file=sys.stderr)
    peer.close()
    rows = []
    for test in tests:
        limit = "int8_peak_pct" if test[0] else "mem_bw_pct"
        shares = [r[limit] for r in ours[test] if r[limit] is not None]
        rows.append(dict(model=ours[test][0]["model_type"], test=name_of(test), isa=isa, rounds=len(ours[test]),
                         phi=statistics.median(r["avg_ts"] for r in ours[test]), peer=statistics.median(theirs[test]),
                         share=statistics.median(shares) if shares else None, limit="int8 peak" if test[0] else "read bandwidth"))
    return rows, peer.about


def table(rows, machine, abouts, version):
    out = ["# Side by side with llama.cpp", "", "Made by `tools/peers.py`, which says how; do not edit.", ""]
    out += [f"- Machine: {machine}", f"- phi: {version}"] + [f"- llama.cpp, {name}: {about}" for name, about in abouts] + [""]
    out += ["| model | test | instruction set | rounds | phi, tok/s | share of the machine's | llama.cpp, tok/s | phi / llama.cpp |",
            "|---|---|---|---:|---:|---:|---:|---:|"]
    for r in rows:
        share = f"{r['share']:.0f} % of {r['limit']}" if r["share"] is not None else ""
        out.append(f"| {r['model']} | {r['test']} | {r['isa']} | {r['rounds']} | {r['phi']:.2f} | {share} | {r['peer']:.2f} | {r['phi'] / r['peer']:.2f} |")
    return "\n".join(out) + "\n"


def chart(rows, machine):
    """Two bars for each row; the longer one of a row fills the width, since prefill and decode have nothing in common."""
    left, width, height = 250, 330, 46
    total = 64 + height * len(rows)
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="720" height="{total}" viewBox="0 0 720 {total}" font-family="sans-serif" font-size="13">',
           f'<rect width="720" height="{total}" fill="#ffffff"/>',
           '<text x="12" y="22" font-weight="bold" fill="#222222">Tokens per second, Pocket Phi and llama.cpp</text>',
           f'<text x="12" y="40" fill="#666666" font-size="11">{machine}</text>']
    for i, r in enumerate(rows):
        y, most = 54 + height * i, max(r["phi"], r["peer"])
        out.append(f'<text x="12" y="{y + 22}" fill="#222222">{r["model"]}, {r["test"]}, {r["isa"]}</text>')
        for j, (name, value, color) in enumerate((("phi", r["phi"], "#2a6fbb"), ("llama.cpp", r["peer"], "#b0b0b0"))):
            out.append(f'<rect x="{left}" y="{y + 4 + 17 * j}" width="{width * value / most:.0f}" height="14" fill="{color}"/>')
            out.append(f'<text x="{left + width * value / most + 6:.0f}" y="{y + 16 + 17 * j}" fill="#222222" font-size="11">{name} {value:.1f}</text>')
    return "\n".join(out + ["</svg>"]) + "\n"


def machine_name(n_threads):
    cpu = platform.processor() or platform.machine()
    if os.path.exists("/proc/cpuinfo"):
        with open("/proc/cpuinfo") as f:
            facts = {key.strip(): value.strip() for key, value in (line.split(":", 1) for line in f if ":" in line)}
        cpu = f"{facts.get('model name', cpu)} (family {facts.get('cpu family')}, model {facts.get('model')})"
    return f"{cpu}, {os.cpu_count()} cores, {n_threads} threads, {time.strftime('%Y-%m-%d')}"


def main():
    if sys.argv[1:2] == ["--worker"]:
        return worker(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
    parse = argparse.ArgumentParser()
    parse.add_argument("models", nargs="+")
    parse.add_argument("--dir", default="build/peers")
    parse.add_argument("--phi", default="./phi")
    parse.add_argument("-t", "--threads", type=int, default=2)
    parse.add_argument("--rounds", type=int, default=5)
    parse.add_argument("--prompt", default="512,3800")
    parse.add_argument("--gen", type=int, default=32)
    parse.add_argument("--depth", default="0,2000")
    parse.add_argument("--out", default="tools/peers.md")
    parse.add_argument("--svg", default="tools/peers.svg")
    o = parse.parse_args()
    tests = [(int(n), 0, 0) for n in o.prompt.split(",")] + [(0, o.gen, int(d)) for d in o.depth.split(",")]
    version = subprocess.run([o.phi, "--version"], stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()[0]
    probe = [o.phi, "bench", "-m", o.models[0], "-p", "1", "-n", "0", "-r", "1", "-o", "json"]
    best = json.loads(subprocess.run(probe, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout)[0]["isa"]
    pairs = [(best, "native", "")] + ([("avx2", "avx2", AVX2)] if best.startswith("avx512") or best == "avxvnni" else [])
    machine, rows, abouts = machine_name(o.threads), [], []
    for isa, name, cmake_args in pairs:
        python = build(o.dir, name, cmake_args)
        for model in o.models:
            more, about = compare(o.phi, isa, python, model, o.threads, tests, o.rounds)
            rows += more
        abouts.append((name, about))
    with open(o.out, "w") as f:
        f.write(table(rows, machine, abouts, version))
    with open(o.svg, "w") as f:
        f.write(chart(rows, machine))


if __name__ == "__main__":
    main()
