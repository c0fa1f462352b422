# contract.sh DIR PROGRAM [OTHER..]: the same bits, however they are computed. Logits of random ids on the demo model, from PROGRAM with
# one thread and the reference kernels, against: its other instruction sets, 1 to 8 threads, passes of 1 to all tokens, and each OTHER: another
# build of phi, maybe with an emulator before it ("qemu-aarch64 -cpu max arm/phi"), with every instruction set that it has.
# Too heavy for `make check`. PHI_N_IDS: how many tokens [1000]; for emulators fewer will do. DIR is for scratch files.
. tests/check.sh
dir=$1 phi=$2
shift 2
n=${PHI_N_IDS:-1000}
model=models/demo.gguf
mkdir -p "$dir"

# Ids of ordinary pieces. The multiplier is a primitive root of the prime 65537, so that they do not repeat.
awk -v n="$n" 'BEGIN { for (x = 7; n > 0; n--) { x = x * 75 % 65537; printf "%d ", 3 + x % 1990 } }' > "$dir/ids"

logits() { # OUT PROGRAM OPTION..: PROGRAM may be several words
    out=$1 program=$2
    shift 2
    # shellcheck disable=SC2086
    $program logits -m $model --ids "@$dir/ids" -o "$out" "$@"
}

every_level="scalar $(sed -n 's/^ISA([a-z0-9_]*, *\([a-z0-9_]*\),.*/\1/p' src/kernels/isa.def | tr '\n' ' ')"
levels() { # PROGRAM: the instruction sets that it has and that its machine can run
    for isa in $every_level; do
        # shellcheck disable=SC2086
        $1 logits -m $model --ids 1 --greedy 1 --isa $isa > /dev/null 2>&1 && echo $isa
    done
}

same() { # TITLE PROGRAM OPTION..: the same bytes as the reference of this cache type?
    title=$1
    shift
    rm -f "$dir/out"
    if ! logits "$dir/out" "$@" > "$dir/log" 2>&1; then
        fail "$title: $(tail -n 1 "$dir/log")"
    elif cmp "$reference" "$dir/out" > "$dir/log" 2>&1; then
        pass
    else
        fail "$title: $(cat "$dir/log")"
    fi
}

mine=$(levels "$phi")
bytes=$((n * 2048 * 4)) # the demo model's vocabulary, float32
for cache in "f16 f16" "f32 f32" "q8_0 q8_0" "f16 f32" "q8_0 f16"; do
    k=${cache% *} v=${cache#* }
    reference=$dir/reference.$k.$v
    if ! logits "$reference" "$phi" -t 1 --isa scalar -ctk "$k" -ctv "$v" || [ "$(wc -c < "$reference")" -ne $bytes ]; then
        fail "no reference for the cache types $cache"
        continue
    fi
    for isa in $mine; do
        [ "$isa" = scalar ] || same "$isa, cache $cache" "$phi" -t 2 --isa "$isa" -ctk "$k" -ctv "$v"
    done
done
# The types must not be the same thing under several names.
cmp -s "$dir/reference.f16.f16" "$dir/reference.f32.f32" && fail "the cache types f16 and f32 give the same logits" || pass

reference=$dir/reference.f16.f16
for threads in 1 3 8; do same "$threads threads" "$phi" -t $threads -tb $threads; done
for pass_size in 1 7 64 512 1000; do same "passes of $pass_size" "$phi" -t 2 -ub $pass_size -b $pass_size; done
for other in "$@"; do
    found=$(levels "$other")
    [ -n "$found" ] || fail "$other does not run"
    for isa in $found; do same "$other, $isa" "$other" -t 2 --isa "$isa"; done
    echo "$other: $(echo "$found" | tr '\n' ' ')"
done
echo "$phi: $(echo "$mine" | tr '\n' ' ')"
rm -f "$dir"/reference.* "$dir/out" "$dir/log" "$dir/ids"
check_done contract
