"""Instructions and modelled cycles of the hot loops of the AArch64 levels, as a markdown table.

Reads the objects of an AArch64 build with objdump, finds the loop of a kernel by the number of its products, counts
its instructions and asks llvm-mca how many cycles they take on a core. That is a model: no caches, no memory, no real
processor. Measures nothing, knows no timings of its own.

    make CC=aarch64-linux-gnu-gcc STATIC=1 B=build-arm phi
    python3 tools/model_arm.py build-arm > tools/arm-model.md

--objdump and --mca name other programs; --cores a list of cores."""

import argparse
import re
import subprocess
import sys

# Core of llvm-mca, what phones call it, what it has.
CORES = [
    ("cortex-a55", "A55", "dotprod"),
    ("cortex-a510", "A510", "i8mm"),
    ("neoverse-n1", "A76, A78", "dotprod"),
    ("neoverse-n2", "A710 to A720", "i8mm"),
    ("neoverse-v1", "X1", "dotprod"),
    ("neoverse-v2", "X3", "i8mm"),
    ("neoverse-v3", "X4", "i8mm"),
]
LEVELS = ["neon", "dotprod", "i8mm"]
PRODUCTS = re.compile(r"(sdot|smmla|smull|smull2|smlal|smlal2)\s.*\.(8b|16b)")

# Format, columns of a pass (0: from the file to a panel), level, function (or the one into which it may be inlined), rows
# and weights of a row in a pass.
KERNELS = [
    ("Q4_0", 1, "neon", "matmul_q4_0", 8, 32),
    ("Q4_0", 1, "dotprod", "matmul_q4_0", 8, 32),
    ("Q4_K", 1, "neon", "matmul_q4_k", 4, 256),
    ("Q4_K", 1, "dotprod", "matmul_q4_k", 4, 256),
    ("Q4_0", 2, "dotprod", "matmul_q4_0", 8, 32),
    ("Q4_0", 8, "neon", "slab_q4_0 matmul_q4_0", 4, 32),
    ("Q4_0", 0, "dotprod", "matmul_q4_0", 4, 32),
    ("Q4_0", 0, "i8mm", "matmul_q4_0", 4, 32),
    ("Q4_0", 4, "dotprod", "tile_32", 8, 32),
    ("Q4_0", 4, "i8mm", "tile_32", 8, 32),
    ("Q4_K", 8, "neon", "slab_q4_k matmul_q4_k", 4, 256),
    ("Q4_K", 0, "dotprod", "matmul_q4_k", 4, 256),
    ("Q4_K", 0, "i8mm", "matmul_q4_k", 4, 256),
    ("Q4_K", 4, "dotprod", "tile_sub32_min", 8, 256),
    ("Q4_K", 4, "i8mm", "tile_sub32_min", 8, 256),
]
BYTES = {"neon": 8, "dotprod": 16, "i8mm": 32}  # products of bytes in an instruction


def run(command, text=None):
    return subprocess.run(command, input=text, capture_output=True, text=True, check=True).stdout


class Line:
    def __init__(self, address, text):
        self.address = address
        self.text = text.split("//")[0].strip()
        self.name = self.text.split()[0]
        branch = re.match(r"(b\.?\w*|cbn?z|tbn?z)\s.*?([0-9a-f]+) <", self.text)
        self.target = int(branch.group(2), 16) if branch else None


def functions(objdump, path):
    """Name -> lines, in the order of addresses. A part that the compiler split off counts as its function."""
    found, lines = {}, None
    for text in run([objdump, "-d", "--no-show-raw-insn", path]).splitlines():
        head = re.match(r"[0-9a-f]+ <([\w.]+)>:", text)
        line = re.match(r"\s*([0-9a-f]+):\t(.*)", text)
        if head:
            lines = found.setdefault(head.group(1).split(".")[0], [])
        elif line and line.group(2).strip() and not line.group(2).startswith("."):
            lines.append(Line(int(line.group(1), 16), line.group(2)))
    return found


def loops(lines):
    """(first, last) of every backward branch, as indices."""
    at = {line.address: i for i, line in enumerate(lines)}
    return [(at[line.target], i) for i, line in enumerate(lines) if line.target in at and at[line.target] <= i]


def contains(outer, inner):
    return outer != inner and outer[0] <= inner[0] and inner[1] <= outer[1]


def passes(lines, every, loop, turns):
    """Straight pieces of one pass of a loop: [(times, lines)]. turns: of the one loop inside it, 0 if there is none. None
    if the loop looks otherwise."""
    inner = [other for other in every if contains(loop, other)]
    inner = [one for one in inner if not any(contains(other, one) for other in inner)]
    if len(inner) != (turns > 0):
        return None
    if not inner:
        return [(1, lines[loop[0]:loop[1] + 1])]
    first, last = inner[0]
    return [(turns, lines[first:last + 1]), (1, lines[loop[0]:first] + lines[last + 1:loop[1] + 1])]


def count(parts, pattern):
    return sum(n * sum(bool(re.match(pattern, line.text)) for line in part) for n, part in parts)


def find(lines, turns, products, zips, prefetches):
    """The smallest loop with this number of products and with so many zips or more in a pass. Only loops of one
    or two columns prefetch, only those to a panel zip."""
    every = loops(lines)
    best = None
    for loop in every:
        parts = passes(lines, every, loop, turns)
        if parts is None or count(parts, PRODUCTS) not in products or count(parts, "zip[12]") < zips:
            continue
        if (count(parts, "prfm") > 0) != prefetches:
            continue
        if best is None or loop[1] - loop[0] < best[0]:
            best = (loop[1] - loop[0], parts)
    return best and best[1]


def cycles(mca, core, part):
    """Cycles of one pass over straight code, by llvm-mca."""
    text = "\n".join(re.sub(r"[0-9a-f]+ <[^>]*>", "around", line.text) for line in part)
    out = run([mca, "-march=aarch64", "-mcpu=" + core, "-mattr=+dotprod,+i8mm", "-iterations=200"], "around:\n" + text)
    return int(re.search(r"Total Cycles:\s+(\d+)", out).group(1)) / 200


def main():
    arguments = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    arguments.add_argument("build", help="folder of an AArch64 build (B of make)")
    arguments.add_argument("--objdump", default="aarch64-linux-gnu-objdump")
    arguments.add_argument("--mca", default="llvm-mca-22")
    arguments.add_argument("--cores", help="comma between names; default: all of the table")
    options = arguments.parse_args()
    cores = [c for c in CORES if options.cores is None or c[0] in options.cores.split(",")]
    version = re.search(r"LLVM version ([\d.]+)", run([options.mca, "--version"])).group(1)
    code = {level: functions(options.objdump, f"{options.build}/kernels/{level}.o") for level in LEVELS}
    with open(f"{options.build}/config", encoding="utf-8") as config:
        compiler = run(config.read().split()[:1] + ["--version"]).splitlines()[0]

    print(f"""# The AArch64 loops: instructions, and modelled cycles

Written by `tools/model_arm.py` from a build with {compiler}. Instructions are counted in
the program. **Cycles are modelled** by llvm-mca {version}, not measured: every load hits the first level of cache, and
memory costs nothing. Good for ranking two loops on one core, not for promises.

Cycles are for 8 rows x 32 weights, for each column where a pass has more than one: 256 products of bytes. Instructions are
for each weight and column. "To a panel" comes once before many columns, whatever their number. A dash: the core lacks the
instructions (the X1 has no SMMLA; Neoverse V1, which stands for it here, has).

| format | columns of a pass | level | instructions | """
          + " | ".join(f"{phone} ({core})" for core, phone, _ in cores) + " |")
    print("|---|---|---|---|" + "---|" * len(cores))
    for fmt, columns, level, function, rows, k in KERNELS:
        work = rows * max(columns, 1) * k
        # The sums of q with minima are products too: up to 1/12 more.
        least = work // BYTES[level] if columns else 0
        wanted = range(least, least * 13 // 12 + 1)
        zips = 0 if columns else k // 8
        # A block of 256 is a loop over 8 groups, or 4 pairs of them; for one column it is written out.
        turns = 0 if k == 32 or columns == 1 else 8 if columns else 4
        names = [name for name in function.split() if name in code[level]]
        parts = next(filter(None, (find(code[level][name], turns, wanted, zips, columns in (1, 2)) for name in names)), None)
        if parts is None:
            sys.exit(f"{level}.o: {function} has no loop with {least} products and {zips} zips")
        each = sum(n * len(part) for n, part in parts) / work
        cells = []
        for core, _, has in cores:
            if LEVELS.index(has) < LEVELS.index(level):
                cells.append("-")
                continue
            total = sum(n * cycles(options.mca, core, part) for n, part in parts)
            cells.append(f"{total * 256 / work:.1f}")
        print(f"| {fmt} | {columns or 'to a panel'} | {level} | {each:.3f} | " + " | ".join(cells) + " |", flush=True)


main()
