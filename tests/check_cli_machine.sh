# check_cli_machine.sh BUILD_DIR: what phi says and does about memory, cores and ways of loading.
. tests/cli.sh
cores=$(getconf _NPROCESSORS_ONLN 2> /dev/null || echo 1)
p="-m $demo -p Once -n 4 --temp 0"

# ---- Memory
run 0 $p
if grep -qE '^phi: memory: weights [0-9]+ \+ KV [0-9]+ \+ scratch [0-9]+ = [0-9]+ MiB; [0-9]+ MiB available$' "$dir/err" || [ "$(uname)" != Linux ]; then pass; else fail "no line about memory"; fi
cp "$dir/out" "$dir/plain"
run 0 $p -q; err_is
run 0 $p --fit off -q; same "$dir/plain" "$dir/out"
run 2 $p --fit maybe; one_error "-*fit: 'maybe'"
if [ "$(uname)" = Linux ] && [ -z "${PHI_RUN:-}" ]; then
    limited() { # KIB STATUS ARGUMENTS..
        kib=$1 status=$2
        shift 2
        what="phi $* in $kib KiB of address space"
        (ulimit -v "$kib" && "$program" "$@") < /dev/null > "$dir/out" 2> "$dir/err"
        got=$?
        if [ $got -eq "$status" ]; then pass; else fail "exit code $got, expected $status"; fi
    }
    case $(${CC:-cc} --version 2> /dev/null; echo "${PHI_FLAGS:-}") in
    *sanitize*) skip "limits of the address space: a sanitizer takes terabytes" ;;
    *)
        limited 36000 4 $p -t 1 -ctk f32 -ctv f32 -ub 1 -c 1024 -b 1 # 16 MiB of cache
        one_error 'the largest that fits is [0-9]'
        limited 36000 0 $p -t 1 -ctk f32 -ctv f32 -ub 1 --no-perf
        err_has 'context lowered from 1024 to'
        ;;
    esac
fi

# ---- Loading: the same answer whatever the way
for mode in auto none mmap mlock mmap+mlock; do
    run 0 $p -q -lm $mode; same "$dir/plain" "$dir/out"
done
run 0 $p -q --no-mmap; same "$dir/plain" "$dir/out"
run 0 $p -q --mlock; same "$dir/plain" "$dir/out"
run 2 $p -lm fast; one_error "-lm: 'fast'"
head -c 3000 $demo > "$dir/cut.gguf"
run 3 -p x -m "$dir/cut.gguf" -lm mmap; one_error 'cut.gguf'; cp "$dir/err" "$dir/mapped"
run 3 -p x -m "$dir/cut.gguf" -lm none; same "$dir/mapped" "$dir/err"
run 0 bench -m $demo -p 8 -n 0 -r 1 -o json -lm none; out_has '"load_mode": "none"'

# ---- Cores
run 2 $p -C zz; one_error "'zz' is not a hexadecimal mask"
run 2 $p -Cr 3-1; one_error "'3-1' is not a range of cores"
run 2 $p -C 1 -Cr 0-0; one_error 'use one of them'
run 2 $p --cpu-strict 2; one_error "cpu-strict: '2'"
if [ "$(uname)" = Linux ] && [ -z "${PHI_RUN:-}" ]; then
    allowed=$(sed -n 's/^Cpus_allowed_list:[^0-9]*\([0-9]*\).*/\1/p' /proc/self/status)
    mask=$(printf '%x' $((1 << allowed)))
    run 0 $p -v -Cr "$allowed"; err_has 'threads = 1, threads for the prompt = 1'; same "$dir/plain" "$dir/out"
    run 0 $p -v -C "0x$mask"; err_has 'threads = 1,'
    run 0 $p -q --cpu-strict 1; same "$dir/plain" "$dir/out"
    run 2 $p -Cr 1000-1023; one_error 'none of the cores of .1000-1023. is available here; these are: [0-9]'
fi
run 0 $p -t 1000 --no-perf -n 1; err_has "1000 lowered to"
if [ "$cores" -gt 1 ]; then run 0 $p -q --force-threads -t $((cores + 1)); same "$dir/plain" "$dir/out"; fi

check_done check_cli_machine.sh
