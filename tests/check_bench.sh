# check_bench.sh BUILD_DIR: phi bench: formats, columns, keys, lists, errors, and what it keeps. Nothing here depends on how long a
# measurement takes. Runs ./phi with the demo model, from the top of the checkout.
. tests/check.sh
dir=$1/tests/bench
demo=models/demo.gguf
unset PHI_MODEL
rm -rf "$dir"
mkdir -p "$dir/config"
case $dir in /*) XDG_CONFIG_HOME=$dir/config ;; *) XDG_CONFIG_HOME=$(pwd -P)/$dir/config ;; esac
export XDG_CONFIG_HOME

bench() { # STATUS ARGUMENTS..: run, and compare the exit code
    status=$1
    shift
    what="phi bench $*"
    ${PHI_RUN:-} ./phi bench -q "$@" > "$dir/out" 2> "$dir/err" < /dev/null
    got=$?
    if [ $got -eq "$status" ]; then pass; else fail "$what: exit code $got, expected $status: $(head -n 2 "$dir/err")"; fi
}
refuse() { # STATUS PATTERN ARGUMENTS..: one error line, nothing on stdout
    status=$1 pattern=$2
    shift 2
    bench "$status" "$@"
    if [ "$(wc -l < "$dir/err")" -eq 1 ] && grep -q "^phi: error: .*$pattern" "$dir/err" && [ ! -s "$dir/out" ]; then pass
    else fail "$what: expected one error with '$pattern': $(head -n 3 "$dir/err")"; fi
}
is() { # NAME FOUND WANTED
    if [ "$2" = "$3" ]; then pass; else fail "$what: $1 is '$2', wanted '$3'"; fi
}
tests_of() { # the names of the tests in a Markdown table: the column before t/s
    sed -n 's/^| phi3.* | *\([^|]*[^ |]\) | *[0-9.]* ± [0-9.]* |$/\1/p' "$1" | tr '\n' ';'
}

# A whole file of JSON, as "path value" lines: [{"a": [1]}] is "0.a.0 1". Fails on anything that is not JSON.
json() { # FILE
    awk '
        function bad() { print "not JSON at character " at ": " substr(text, at, 30); failed = 1; exit 1 }
        function space() { while (substr(text, at, 1) ~ /[ \t\n\r]/) at++ }
        function string(    begin) {
            begin = ++at
            while (substr(text, at, 1) != "\"") {
                if (at > length(text) || substr(text, at, 1) < " ") bad()
                at += substr(text, at, 1) == "\\" ? 2 : 1
            }
            return substr(text, begin, at++ - begin)
        }
        function value(path,    c, n, key, rest) {
            space()
            c = substr(text, at, 1)
            if (c == "[" || c == "{") {
                at++; space()
                for (n = 0; substr(text, at, 1) != (c == "[" ? "]" : "}"); n++) {
                    if (n) { if (substr(text, at++, 1) != ",") bad(); space() }
                    key = n
                    if (c == "{") {
                        if (substr(text, at, 1) != "\"") bad()
                        key = string(); space()
                        if (substr(text, at++, 1) != ":") bad()
                    }
                    value(path == "" ? key : path "." key); space()
                }
                at++
                return
            }
            if (c == "\"") { print path " " string(); return }
            rest = substr(text, at, 40)
            if (!match(rest, /^(-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?|true|false|null)/)) bad()
            print path " " substr(rest, 1, RLENGTH)
            at += RLENGTH
        }
        { text = text $0 "\n" }
        END { if (failed) exit 1; at = 1; value(""); space(); if (at <= length(text)) bad() }' "$1"
}
parse() { # FILE: to $dir/json
    if json "$1" > "$dir/json"; then pass; else fail "$what: $(tail -n 1 "$dir/json")"; fi
}
value() { # PATH
    sed -n "s/^$1 //p" "$dir/json"
}

# The reader of JSON must refuse what is none.
for text in '[1,]' '{"a" 1}' '[01]' '{"a": nan}' '[1' '"x' '[1] 2' '{"a": 1,}' '[.5]'; do
    echo "$text" > "$dir/bad"
    if json "$dir/bad" > "$dir/json"; then fail "the test's reader takes $text for JSON"; else pass; fi
done

# ---- Markdown
bench 0 -m $demo -p 8 -n 2 -r 2 -t 1
is 'number of lines' "$(wc -l < "$dir/out" | tr -d ' ')" 6
bench 0 -m $demo -p 3,4 -n 1-2 -pg 2,1 -pg 3,2 -d 0,5 -r 1
is tests "$(tests_of "$dir/out")" 'pp3;pp4;tg1;tg2;pp2+tg1;pp3+tg2;pp3 @ d5;pp4 @ d5;tg1 @ d5;tg2 @ d5;pp2+tg1 @ d5;pp3+tg2 @ d5;'
bench 0 -m $demo -p 1-7+3 -n 2-9*2 -r 1 --no-warmup --delay 0.01
is tests "$(tests_of "$dir/out")" 'pp1;pp4;pp7;tg2;tg4;tg8;'
bench 0 -m $demo -p 0 -n 0 -pg 4,0 -pg 0,2 -r 1
is tests "$(tests_of "$dir/out")" 'pp4;tg2;'
bench 0 -m $demo -p 4 -n 0 -r 1 -b 2,16 -ub 1,8 -ctk f32,q8_0 -ctv f16 -t 1
is header "$(head -n 1 "$dir/out")" '| model                          |       size |     params | backend    | threads | n_batch | n_ubatch | type_k |            test |                  t/s |'
is 'order of the lists' "$(sed -n 's/^| phi3[^|]*|[^|]*|[^|]*|[^|]*|[^|]*|\([^|]*\)|\([^|]*\)|\([^|]*\)|.*/\1\2\3/p' "$dir/out" | tr -s ' \n' ' ')" \
    ' 2 1 f32 2 1 q8_0 2 8 f32 2 8 q8_0 16 1 f32 16 1 q8_0 16 8 f32 16 8 q8_0 '
bench 0 -m $demo -p 4 -n 0 -r 1 --extra
extra='isa gb_per_s mem_bw_gb_per_s mem_bw_pct int8_peak_gops int8_peak_pct peak_rss kv_bytes ttft_ms tok_ms_p50 tok_ms_p95 tok_ms_p99'
is 'extra columns' "$(head -n 1 "$dir/out" | sed 's/.*t\/s |//' | tr -s ' |' ' ')" " $extra "
widths=$(awk -F'|' '/^\|/ { line = ""; for (i = 1; i <= NF; i++) { gsub("±", "+", $i); line = line length($i) " " }; print line }' "$dir/out" | LC_ALL=C sort -u | wc -l)
is 'number of different layouts of a row' "$(echo $widths)" 1
bench 0 -m $demo -p 2 -n 1 -r 2 --progress
is 'stderr under -q' "$(cat "$dir/err")" ''
${PHI_RUN:-} ./phi bench -m $demo -p 2 -n 1 -r 2 --progress > "$dir/out" 2> "$dir/err"
is progress "$(sed 1d "$dir/err" | tr '\n' ';')" \
    'phi: test 1 of 2: pp2: warm-up;phi: test 1 of 2: pp2: run 1 of 2;phi: test 1 of 2: pp2: run 2 of 2;phi: test 2 of 2: tg1: warm-up;phi: test 2 of 2: tg1: run 1 of 2;phi: test 2 of 2: tg1: run 2 of 2;'

# ---- CSV
keys='build_commit build_number cpu_info gpu_info backends model_filename model_type model_size model_n_params n_batch n_ubatch n_threads cpu_mask cpu_strict poll type_k type_v n_gpu_layers n_cpu_moe split_mode main_gpu no_kv_offload flash_attn devices tensor_split tensor_buft_overrides load_mode lazy_mode embeddings no_op_offload no_host fit_target fit_min_ctx n_prompt n_gen n_depth test_time avg_ns stddev_ns avg_ts stddev_ts'
bench 0 -m $demo -p 8 -n 2 -r 2 -t 1 -o csv
is header "$(head -n 1 "$dir/out")" "$(echo "$keys" | tr ' ' ',')"
is lines "$(wc -l < "$dir/out" | tr -d ' ')" 3
field='"([^"]|"")*"'
is 'rows of 41 quoted values' "$(grep -cE "^$field(,$field){40}\$" "$dir/out")" 2
if sed 1d "$dir/out" | grep -q "^\"[^,]*\",\"[0-9]*\",\".*\",\"\",\"CPU\",\"$demo\",\"phi3 7.9M Q4_0\",\"4965376\",\"7868672\",\"2048\",\"512\",\"1\",\"0x0\",\"0\",\"50\",\"f16\",\"f16\",\"-1\",\"0\",\"layer\",\"0\",\"0\",\"0\",\"auto\",\"0.00\",\"none\",\"mmap\",.*,\"8\",\"0\",\"0\",\"2[0-9][0-9][0-9]-[0-1][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-6][0-9]Z\",\"[0-9]*\",\"[0-9]*\",\"[0-9.]*\",\"[0-9.]*\"\$"; then pass
else fail "$what: $(sed -n 2p "$dir/out")"; fi
bench 0 -m $demo -p 0 -n 1 -r 1 -o csv --extra
is header "$(head -n 1 "$dir/out")" "$(echo "$keys $extra" | tr ' ' ',')"
is 'rows of 53 quoted values' "$(grep -cE "^$field(,$field){52}\$" "$dir/out")" 1
odd=$dir/'a "b", c.gguf'
cp $demo "$odd"
bench 0 -m "$odd" -p 1 -n 0 -r 1 -o csv
is 'quotes in the file name' "$(grep -cF 'a ""b"", c.gguf"' "$dir/out")" 1

# ---- JSON
bench 0 -m "$odd" -p 6 -n 4 -pg 3,2 -d 7 -r 3 -t 1 -ub 4 -o json
parse "$dir/out"
is keys "$(sed -n 's/^0\.\([a-z0-9_]*\)\(\.0\)\{0,1\} .*/\1/p; s/^0\.\([a-z0-9_]*\) *$/\1/p' "$dir/json" | tr '\n' ' ')" "$keys samples_ns samples_ts $extra "
is 'file name' "$(value 0.model_filename)" "$dir/a \\\"b\\\", c.gguf"
is rows "$(grep -c 'n_depth 7$' "$dir/json")" 3
is samples "$(grep -c '^1\.samples_ns\.[0-9] [1-9][0-9]*$' "$dir/json") $(grep -c '^1\.samples_ts\.[0-9] [0-9]*\.[0-9]*$' "$dir/json")" '3 3'
is 'n_prompt n_gen n_ubatch' "$(value 2.n_prompt) $(value 2.n_gen) $(value 2.n_ubatch)" '3 2 4'
is 'figures that pp does not have' "$(value 0.mem_bw_pct) $(value 0.tok_ms_p50) $(value 0.tok_ms_p99)" 'null null null'
is 'figures that tg does not have' "$(value 1.int8_peak_pct)" null
for figure in 0.gb_per_s 0.int8_peak_gops 0.int8_peak_pct 0.mem_bw_gb_per_s 0.ttft_ms 1.mem_bw_pct 1.tok_ms_p50 1.tok_ms_p99 2.ttft_ms 2.gb_per_s; do
    case $(value $figure) in 0.000 | null | '') fail "$what: $figure is '$(value $figure)'" ;; *) pass ;; esac
done
is 'kv_bytes of 13, 11 and 12 tokens: rows in groups of 16' "$(value 0.kv_bytes) $(value 1.kv_bytes) $(value 2.kv_bytes)" '131072 131072 131072'
is false "$(value 0.embeddings)" false
bench 0 -m $demo -p 2 -n 1 -r 1 -o jsonl -oe json
is lines "$(wc -l < "$dir/out" | tr -d ' ')" 2
for line in 1 2; do
    sed -n ${line}p "$dir/out" > "$dir/line"
    parse "$dir/line"
    is 'test of a line' "$(value n_prompt) $(value n_gen)" "$((4 - 2 * line)) $((line - 1))"
done
parse "$dir/err"
is 'rows on stderr' "$(value 0.n_prompt) $(value 1.n_gen)" '2 1'
bench 0 -m $demo -p 2 -n 0 -r 1 -oe csv
is 'header on stderr' "$(head -n 1 "$dir/err" | cut -d, -f1-2)" build_commit,build_number
is 'table on stdout' "$(tests_of "$dir/out")" 'pp2;'

# ---- Comparison
many=1e6,9e6
for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14; do many="$many, 1e6, 9.0e+6"; done
cat > "$dir/base.json" <<END
[ { "n_prompt": 0, "n_gen": 2, "n_depth": 0, "n_threads": 7, "type_k": "f16", "type_v": "f16", "samples_ts": [ 1 ] },
  { "n_prompt": 0, "n_gen": 2, "n_depth": 0, "n_threads": 1, "type_k": "f16", "type_v": "f16", "more": {"a": [null, "\\"]"]},
    "samples_ns": [1, 2], "samples_ts": [ 1000000.0, 9000000.0, 5e6 ] },
  { "n_prompt": 0, "n_gen": 3, "n_depth": 0, "n_threads": 1, "type_k": "f16", "type_v": "f16", "samples_ts": [$many] },
  { "n_prompt": 4, "n_gen": 0, "n_depth": 0, "n_threads": 1, "type_k": "f16", "type_v": "q8_0", "samples_ts": [ 10.0 ] } ]
END
bench 0 -m $demo -p 4 -n 2,3,4 -r 2 -t 1 -o json --compare "$dir/base.json"
parse "$dir/out"
is 'base of pp4 with another cache' "$(value 0.base_ts) $(value 0.diff_pct)" 'null null'
is 'bases' "$(value 1.base_ts) $(value 2.base_ts) $(value 3.base_ts)" '5000000.000 5000000.000 null'
# The base's spread outweighs that of the run by far: half the interval is t * deviation / sqrt(n), t of n - 1 degrees of freedom.
interval() { # ROW HALF
    near=$(awk -v t="$(value $1.avg_ts)" -v d="$(value $1.diff_pct)" -v l="$(value $1.diff_low_pct)" -v h="$(value $1.diff_high_pct)" -v half="$2" '
        function near(a, b) { return a - b < 0.02 && b - a < 0.02 }
        BEGIN { print (near(d, 100 * (t / 5e6 - 1)) && near(d - l, half) && near(h - d, half)) }')
    is "difference $(value $1.diff_pct), $(value $1.diff_low_pct) to $(value $1.diff_high_pct): right" "$near" 1
}
interval 1 198.740
interval 2 30.381
bench 0 -m $demo -p 4 -n 0 -r 2 -t 1 -ctv q8_0 -o json --compare "$dir/base.json"
parse "$dir/out"
is 'no interval from one sample' "$(value 0.base_ts) $(value 0.diff_low_pct) $(value 0.diff_high_pct)" '10.000 null null'
bench 0 -m $demo -p 2 -n 2 -r 2 -t 1 -o jsonl
cp "$dir/out" "$dir/lines.jsonl"
bench 0 -m $demo -p 2 -n 2 -r 2 -t 1 --compare "$dir/lines.jsonl"
is columns "$(head -n 1 "$dir/out" | sed 's/.*t\/s |//' | tr -s ' |' ' ')" ' base_ts diff_pct diff_low_pct diff_high_pct '
is 'rows with a base' "$(grep -c '± [0-9.]* |  *[0-9.]* |  *[-0-9.]* |  *[-0-9.]* |  *[-0-9.]* |$' "$dir/out")" 2
refuse 1 'base file .*none.json: No such file' -m $demo --compare "$dir/none.json"
deep=1
for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18; do deep="[$deep]"; done
for text in '' '[]' '{"n_prompt": 1' '[{"n_prompt": "x"}]' '[{"samples_ts": [1,]}]' "[{\"a\": $deep}]" 'x' '[{}] x' '[{"a" 1}]' '[{"n_gen": -1}]'; do
    printf '%s' "$text" > "$dir/bad.json"
    refuse 2 "compare: .*bad.json is not what bench -o json writes (byte [0-9]*)" -m $demo --compare "$dir/bad.json"
done

# ---- Over time
bench 0 -m $demo --sustained 0.05 -n 8 -d 3
is 'first line' "$(head -n 1 "$dir/out")" '| seconds |        t/s |    MHz |     °C |'
if [ "$(grep -c '^|  *[0-9]*\.[0-9] |  *[0-9]*\.[0-9][0-9] | *[0-9]* | *[0-9.]* |$' "$dir/out")" -ge 1 ]; then pass; else fail "$what: no line: $(cat "$dir/out")"; fi
is 'last line' "$(tail -n 1 "$dir/out" | sed 's/[-+0-9.]\{3,\}/N/g')" 'from N to N t/s (N %)'
bench 0 -m $demo --sustained 0.05 -o jsonl
head -n 1 "$dir/out" > "$dir/line"
parse "$dir/line"
is keys "$(sed 's/ .*//' "$dir/json" | tr '\n' ' ')" 'seconds avg_ts clock_mhz temperature_c '
bench 0 -m $demo --sustained 0.05 -o csv
is header "$(head -n 1 "$dir/out")" seconds,avg_ts,clock_mhz,temperature_c

# ---- The best thread count is kept, and used
threads() { # the threads that run uses
    ${PHI_RUN:-} ./phi -m $demo -p x -n 0 -v "$@" 2>&1 < /dev/null | sed -n 's/.*threads = \([0-9]*\), threads for the prompt = \([0-9]*\),.*/\1 \2/p'
}
kept=$XDG_CONFIG_HOME/phi/tune
usual=$(threads)
bench 0 -m $demo --tune
is 'table and result' "$(sed -n '1s/|.*threads.*/table/p; s/^best: -t [0-9]* -tb [0-9]*$/result/p' "$dir/out" | tr '\n' ' ')" 'table result '
is 'what is kept' "$(sed 's/ .*//' "$kept" | tr '\n' ' ')" 'cores threads threads_batch weights cpu '
found=$(sed -n 's/^best: -t \([0-9]*\) -tb \([0-9]*\)$/\1 \2/p' "$dir/out")
is 'threads of run' "$(threads)" "$found"
awk '$1 == "threads" { $2 = $2 == 1 ? 2 : 1 } 1' "$kept" > "$dir/other"
cp "$dir/other" "$kept"
other=$(sed -n 's/^threads //p' "$kept")
cores=$(sed -n 's/^cores //p' "$kept")
[ "$other" -le "$cores" ] || other=1
is 'threads from the file' "$(threads | cut -d' ' -f1)" "$other"
is '-t goes before it' "$(threads -t 1)" '1 1'
sed 's/^weights .*/weights 49653760/' "$dir/other" > "$kept"
is 'threads for a model of another size' "$(threads)" "$usual"
sed 's/^cpu .*/cpu Another One/' "$dir/other" > "$kept"
is 'threads for another CPU' "$(threads)" "$usual"
sed 's/^cores .*/cores 1000/' "$dir/other" > "$kept"
is 'threads for another number of cores' "$(threads)" "$usual"
for line in 'threads 0' 'threads x' 'threads 99999'; do
    sed "s/^threads .*/$line/" "$dir/other" > "$kept"
    is 'threads from a damaged file' "$(threads)" "$usual"
    what="$line"
    ${PHI_RUN:-} ./phi -m $demo -p x -n 0 --no-perf > "$dir/out" 2> "$dir/err" < /dev/null
    is 'warnings of a damaged file' "$(grep -c '^phi: warning: .*/phi/tune is damaged and ignored' "$dir/err")" 1
done
rm -rf "$XDG_CONFIG_HOME/phi"
: > "$XDG_CONFIG_HOME/phi"
what='--tune where there is no folder'
bench 6 -m $demo --tune
if grep -q '^phi: error: cannot write .*/phi/tune' "$dir/err"; then pass; else fail "$what: $(cat "$dir/err")"; fi
rm "$XDG_CONFIG_HOME/phi"

# ---- A model in memory
bench 0 --synthetic tiny:Q4_K_M -p 4 -n 2 -r 1 -o csv
is 'name and type' "$(sed -n 2p "$dir/out" | cut -d, -f6,7)" '"tiny:Q4_K_M","phi3 1.4M Q4_K - Medium"'
refuse 2 "'tiny' is not SHAPE:TYPE" --synthetic tiny
refuse 2 "'phi-5' is not a shape (tiny phi-3-mini-4k " --synthetic phi-5:q4_0
refuse 2 "'q9' is not a type (f32 f16 " --synthetic phi-3-mini:q9
refuse 2 'synthetic makes a model; -m does not' --synthetic tiny:q4_0 -m $demo
if [ -z "${PHI_RUN:-}" ] && (ulimit -v 1000000 && ./phi --version) > "$dir/out" 2> "$dir/err"; then
    what='too little memory'
    (ulimit -v 1000000; ./phi bench --synthetic phi-3-mini:q4_0 > "$dir/out" 2> "$dir/err")
    is 'exit code' $? 4
    is message "$(sed 's/, [0-9]* MiB available$/, N MiB available/' "$dir/err")" 'phi: error: --synthetic phi-3-mini:q4_0: needs 2074 MiB for the weights, N MiB available'
else
    skip 'the address space cannot be limited here'
fi

# ---- Lists of cores: one table, a test on each; compared with those of the same cores
if [ "$(uname)" = Linux ] && [ -z "${PHI_RUN:-}" ]; then
    mask=$(printf '%x' $((1 << $(sed -n 's/^Cpus_allowed_list:[^0-9]*\([0-9]*\).*/\1/p' /proc/self/status))))
    bench 0 -m $demo -C "0x$mask,$mask" -p 4 -n 0 -r 2 -o jsonl
    is 'list of masks' "$(sed 's/.*"cpu_mask": "\([^"]*\)".*/\1/' "$dir/out" | tr '\n' ' ')" "0x$mask $mask "
    cp "$dir/out" "$dir/masks"
    bench 0 -m $demo -C "$mask" -p 4 -n 0 -r 2 -o jsonl --compare "$dir/masks"
    is 'rows compared with the same cores' "$(grep -c '"base_ts": [0-9]' "$dir/out")" 1
    bench 0 -m $demo -p 4 -n 0 -r 2 -t 1 -o jsonl --compare "$dir/masks"
    is 'rows compared with other cores' "$(grep -c '"base_ts": [0-9]' "$dir/out")" 0
fi

# ---- Usage
refuse 2 "o: 'xml' is not a format (md, csv, json, jsonl)" -o xml
refuse 2 "oe: '' is not a format" -oe ''
refuse 2 "pg: '5' is not two whole numbers" -pg 5
refuse 2 "pg: '1-2' is not two whole numbers" -pg 1-2
refuse 2 "pg: '1,2,3' is not two whole numbers" -pg 1,2,3
refuse 2 "d: '-1' is not a list" -d -1
refuse 2 "ub: '0' is out of range" -ub 0
refuse 2 "b: '4,0' is out of range" -b 4,0
refuse 2 "ctk: 'f64' is not a cache type" -ctk f16,f64
refuse 2 "ctv: '' is not a cache type" -ctv f16,
refuse 2 "r: '0' is out of range" -r 0
refuse 2 "delay: '-1' is out of range" --delay -1
refuse 2 "sustained: '0' is out of range" --sustained 0
refuse 2 'tune and --sustained' --tune --sustained 1
refuse 2 'o does not go with --tune' --tune -o json
refuse 2 'cpu-mask: --tune and --sustained take one mask' --tune -C 1,2
refuse 2 "cpu-mask: '' is not a hexadecimal mask" -m $demo -C 1,
refuse 2 "cpu-mask: 'x' is not a hexadecimal mask" -m $demo -C 1,x
refuse 2 'compare do not go with' --sustained 1 --compare x
refuse 2 'there is no test' -m $demo -p 0 -n 0 -pg 0,0
refuse 5 'a test of 1025 tokens does not fit, .* 1024' -m $demo -p 1000 -n 0 -d 25
refuse 5 'a test of 1027 tokens does not fit, .* 1024' -m $demo -p 4 -n 2 -pg 1000,27
refuse 5 'at a depth of 1000 do not fit, .* 1024' -m $demo --sustained 1 -d 1000
i=0 many=
while [ $i -lt 17 ]; do many="$many -pg 1,1"; i=$((i + 1)); done
# shellcheck disable=SC2086
refuse 2 'given more than 16 times' $many
check_done check_bench
