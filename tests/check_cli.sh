# check_cli.sh BUILD_DIR: the command line as a user meets it: exact stdout, exit codes, error lines. Runs ./phi with the demo
# model, from the top of the checkout. $PHI_RUN is put before the program (an emulator). Answers that are compared word by word
# are those that the original implementation gave for the same weights.
. tests/cli.sh

# ---- Help and versions
run 0 -h; err_is; out_has 'phi tokenize'; out_has '--temp'; out_has 'Exit codes:'
if [ "$(wc -l < "$dir/out")" -le 40 ]; then pass; else fail "-h is longer than 40 lines"; fi
run 0 --help; out_has 'Examples:'
for command in run tokenize info bench logits; do
    run 0 $command -h; out_has "phi"; err_is
    if [ $command = bench ] || [ "$(wc -l < "$dir/out")" -le 40 ]; then pass; else fail "-h is longer than 40 lines"; fi
done
run 0 --help-all; out_has '--repeat-last-n'; out_has '--n-gen'; out_has '--greedy'
run 0 --version; out_has 'phi 0.'; err_is

# ---- Usage errors: before any file is opened, one line each
n="-m $dir/none.gguf -p x"
refuse 2 "unknown option '--top_p'; did you mean '--top-p'?" $n --top_p 0.9
refuse 2 "unknown option '--temprature'; did you mean '--temperature'?" $n --temprature 0
refuse 2 "unknown option '--zzzzzz'; 'phi -h' lists" $n --zzzzzz
refuse 2 "unknown option '--zzzzzz'; 'phi tokenize -h' lists" tokenize --zzzzzz
refuse 2 "option '--greedy' belongs to 'phi logits'" $n --greedy 3
refuse 2 "unknown command 'tokenise'; did you mean 'tokenize'?" tokenise
refuse 2 "unknown command 'foo'" foo
refuse 2 "unexpected word 'stray'" $n stray
refuse 2 "unexpected word 'stray'" $n -- stray
refuse 2 "unexpected word '-p'" -m x -- -p y
refuse 2 "^*-n needs a value" $n -n
refuse 2 "no-stdin takes no value" $n --no-stdin=1
refuse 2 "network" -hf somebody/model
refuse 2 "the prompt is given twice" $n -f $dir/empty
refuse 2 "no-stdin forbids" -m x -f - --no-stdin
check_value() { # OPTION VALUE TEXT
    run 2 $n "$1" "$2"
    err_is "phi: error: $1: '$2' $3"
}
check_value --top-p 2 'is out of range (0 < P <= 1)'
check_value --top-p 0 'is out of range (0 < P <= 1)'
check_value --top-p 1e-60 'is out of range (0 < P <= 1)'
check_value --top-p 0,5 'is not a number'
check_value --top-p '' 'is not a number'
check_value --min-p -0.1 'is out of range (0 <= P <= 1)'
check_value --temp -1 'is out of range (T >= 0)'
check_value --temp 1e999 'is out of range (T >= 0)'
check_value --temp 1e39 'is out of range (T >= 0)'
check_value --temp nan 'is not a number'
check_value --temp inf 'is not a number'
check_value --temp 0x1 'is not a number'
check_value --temp ' 1' 'is not a number'
check_value --temp 1x 'is not a number'
check_value --temperature . 'is not a number'
check_value --repeat-penalty 0 'is out of range (F > 0)'
check_value --top-k -1 'is out of range (N >= 0)'
check_value -t 0 'is out of range (-1 or 1 <= N <= 1024)'
check_value -t 1025 'is out of range (-1 or 1 <= N <= 1024)'
check_value -t abc 'is not a whole number'
check_value -t 1.5 'is not a whole number'
check_value -tb '' 'is not a whole number'
check_value -n -3 'is out of range (N >= -2)'
check_value -n 99999999999999999999 'is out of range (N >= -2)'
check_value -n - 'is not a whole number'
check_value -n 0x10 'is not a whole number'
check_value -c -1 'is out of range (N >= 0)'
check_value -ub 0 'is out of range (1 <= N <= 65536)'
check_value -s 4294967296 'is out of range (-1 to 4294967295)'
check_value -s -2 'is out of range (-1 to 4294967295)'
check_value -ctk q9_0 'is not a cache type (f32, f16, q8_0)'
refuse 2 "isa: 'mmx' is not an instruction set .*scalar" $n --isa mmx
refuse 2 "r: '0' is out of range" bench -r 0
refuse 2 "t: '1,0' is out of range" bench -t 1,0
refuse 2 "p: '1,,2' is not a list" bench -p 1,,2
refuse 2 "p: '1-' is not a list" bench -p 1-
refuse 2 "p: '2-8\*1' is not a list" bench -p '2-8*1'
refuse 2 "there is no test" bench -q -m $demo -p 0 -n 0

# ---- Models that are none
refuse 3 "none.gguf: No such file" -m $dir/none.gguf -p x
refuse 3 "is a directory" -m models -p x
refuse 3 "" -m $dir/empty -p x
printf '<html><body>Not found</body></html>' > "$dir/page.gguf"
refuse 3 "page.gguf: not a GGUF file" -m $dir/page.gguf -p x
refuse 3 "page.gguf" info $dir/page.gguf
refuse 3 "page.gguf" tokenize -m $dir/page.gguf -p x
refuse 3 "page.gguf" bench -m $dir/page.gguf
dd if=$demo of="$dir/cut.gguf" bs=65536 count=20 2> /dev/null
refuse 3 "cut.gguf: truncated" -m $dir/cut.gguf -p x
dd if=$demo of="$dir/cut.gguf" bs=1000 count=1 2> /dev/null
refuse 3 "cut.gguf" -m $dir/cut.gguf -p x
PHI_MODEL=$dir/none.gguf
export PHI_MODEL
refuse 3 "none.gguf: No such file" -p x
run 0 -m $demo -p x -n 0 --no-perf; err_is "phi: model $demo"
PHI_MODEL=$demo
run 0 -p x -n 0 --no-perf; err_is "phi: model $demo (from PHI_MODEL)"
PHI_MODEL=
run 0 -p x -n 0 --no-perf; err_has "/models/demo.gguf (demo; -m or PHI_MODEL chooses another)"
unset PHI_MODEL

# ---- Answers
ask() { printf '%s' "<|user|>$1<|end|><|assistant|>"; }
run 0 -q -m $demo -p "$(ask 'What is 8 * 10?')" --temp 0; out ' 8 * 10 = 80'; err_is
run 0 -m $demo -p "$(ask 'What is 8 * 10?')" --temp 0 -n 30 --ignore-eos; out_has ' 8 * 10 = 80'; err_has 'stop reason = length'
run 0 -m $demo -p "$(ask 'What is 8 * 10?')" -s 1 -c 100 --ignore-eos; err_has 'context = 100/100'; err_has 'stop reason = context'
run 0 -q -m $demo -p "$(ask 'How much is 7 times 10?')" --temp 0 -n 4; out ' 7 * '
run 0 -q -m $demo -p "$(ask 'What is 8 * 10?')" --temp 0 -n 0; out ''; err_is
refuse 2 "unexpected word 'run'" -q run -m $demo -p x
run 0 run -q -m $demo --prompt="$(ask 'What is 8 * 10?')" --temperature=0 --n-predict=3 -n 4; out ' 8 * '
story="-q -m $demo --temp 0 -n 24"
run 0 $story -p 'Once upon a time'
cp "$dir/out" "$dir/story"
${PHI_RUN:-} ./phi --isa none 2> "$dir/err"
isas=$(sed 's/.*(\(.*\))$/\1/' "$dir/err")
case " $isas " in *" scalar "*) pass ;; *) fail "no list of instruction sets" ;; esac
for isa in $isas; do
    run 0 $story -p 'Once upon a time' --isa $isa -t 1 -ub 3; same "$dir/story" "$dir/out"
done
run 0 $story -p 'Once upon a time' -ctk f32 -ctv f32; if [ -s "$dir/out" ]; then pass; else fail "no output"; fi
run 0 $story -p 'Once upon a time' -ctk q8_0 -ctv q8_0; if [ -s "$dir/out" ]; then pass; else fail "no output"; fi
run 0 -q -m $demo -p 'Once upon a time' -n 24 -s 7 -t 1; cp "$dir/out" "$dir/seven"
run 0 -q -m $demo -p 'Once upon a time' -n 24 -s 7 -b 2; same "$dir/seven" "$dir/out"
run 0 -q -m $demo -p 'Once upon a time' -n 24 -s 8; if cmp -s "$dir/seven" "$dir/out"; then fail "seed 8 says what seed 7 says"; else pass; fi
run 0 -q -m $demo -p 'Once upon a time' -n 24 -s 8 --temp 0; same "$dir/story" "$dir/out"
run 0 -q -m $demo -p 'Once upon a time' -n 24 -s 8 --top-k 1; same "$dir/story" "$dir/out"
run 0 $story -p 'Once upon a time' --display-prompt
{ printf 'Once upon a time'; cat "$dir/story"; } > "$dir/want"; same "$dir/want" "$dir/out"
run 0 -q -m $demo -p x -n -2 -c 30 --temp 0; cp "$dir/out" "$dir/two"
run 0 -m $demo -p x -n -2 -c 30 --temp 0; same "$dir/two" "$dir/out"
err_has 'context = 30/30, seed = '; err_has 'phi: stop reason = context'

# ---- Statistics
run 0 -m $demo -p "$(ask 'What is 8 * 10?')" --temp 0 -s 5
if grep -q '^phi:        load time = \{1,9\}[0-9]*\.[0-9][0-9] ms$' "$dir/err"; then pass; else fail "load time"; fi
figures='[0-9. ]\{8\} ms per token, [0-9. ]\{8\} tokens per second'
if grep -q "^phi: prompt eval time = *[0-9.]* ms /    13 tokens ($figures)\$" "$dir/err"; then pass; else fail "prompt eval time"; fi
if grep -q "^phi:        eval time = *[0-9.]* ms /    10 runs   ($figures)\$" "$dir/err"; then pass; else fail "eval time"; fi
if grep -q '^phi:       total time = *[0-9.]* ms /    23 tokens$' "$dir/err"; then pass; else fail "total time"; fi
if grep -q '^phi: first token = [0-9]* ms, peak memory = [0-9]* MiB, .*context = 23/1024, seed = 5$' "$dir/err"; then pass; else fail "first token"; fi
if [ "$(tail -n 1 "$dir/err")" = 'phi: stop reason = eos' ]; then pass; else fail "stop reason"; fi
run 0 -m $demo -p x -n 2; err_has 'phi: stop reason = length'; err_has '/     1 runs'
run 0 -m $demo -p x -n 1 --no-perf; err_is "phi: model $demo"
run 0 -m $demo -p x -n 1 -v; err_has 'phi: isa = '; err_has 'phi: KV cache = '; err_has 'phi: formats without a kernel'
run 0 -m $demo -p x -n 0 -t 1024 --no-perf; err_has 'phi: warning: --threads: 1024 lowered to '
run 0 -q -m $demo -p x -n 0 -t 4 --force-threads; err_is

# ---- Options of llama.cpp that mean nothing here
run 0 -m $demo -p x -n 0 --no-perf -ngl 99 -fa on -np 1 --jinja -fa --no-warmup --prio=2
for name in -ngl -fa -np --jinja --no-warmup --prio; do err_has "phi: warning: option '$name' has no effect here and was ignored"; done

# ---- Prompts: -p, files, stdin
ids() { sed -n "s/^\(phi: \)\{0,1\} *\([0-9]*\) -> '.*/\2/p" "$1" > "$2"; }
ids_of() { # TEXT: what the prompt must be, in $dir/expected
    printf '%s' "$1" > "$dir/text"
    run 0 tokenize -q -m $demo -f "$dir/text"
    ids "$dir/out" "$dir/expected"
}
prompt_is() { # ARGUMENTS...: the ids of the last run's prompt are the expected ones
    run 0 -m $demo -n 0 --verbose-prompt --no-perf "$@"
    ids "$dir/err" "$dir/ids"
    if [ -s "$dir/ids" ]; then pass; else fail "no ids"; fi
    same "$dir/expected" "$dir/ids"
}
two_lines='one
two'
ids_of "$two_lines"
prompt_is -p 'one\ntwo'
prompt_is -p "$two_lines" --no-escape
printf 'one\ntwo\n' > "$dir/file"
prompt_is -f "$dir/file"
input=$dir/file
prompt_is
prompt_is -f -
printf 'two\n' > "$dir/two_only"
input=$dir/two_only
prompt_is -p one
prompt_is -p one -f -
printf 'one\n' > "$dir/one_only"
prompt_is -f "$dir/one_only"
input=$dir/empty
prompt_is -p 'one\ntwo' --no-stdin
printf 'one\ntwo' > "$dir/exact"
prompt_is -bf "$dir/exact"
input=$dir/exact
prompt_is -bf -
prompt_is -p 'one\ntwo' --no-stdin
input=$dir/empty
ids_of 'a\nb'
prompt_is -p 'a\nb' --no-escape
printf 'a\\nb' > "$dir/file"
prompt_is -f "$dir/file"
ids_of "q' d\" b\\ x\\y"
prompt_is -p "q\\' d\\\" b\\\\ x\\y"
printf 'end\n\n' > "$dir/file"
ids_of 'end
'
prompt_is -f "$dir/file"
run 0 -m $demo -p '' -n 0 --no-perf; err_has 'phi: the prompt is empty'
refuse 2 'no prompt: stdin is empty' -m $demo
refuse 2 'no prompt: give -p' -m $demo --no-stdin
refuse 1 'prompt file .*none: No such file' -m $demo -f $dir/none
refuse 1 'prompt file models: Is a directory' -m $demo -f models
printf 'a\377b' > "$dir/file"
run 0 -m $demo -f "$dir/file" -n 0 --no-perf; err_has 'phi: warning: the prompt is not valid UTF-8 at byte 1;'

# Control tokens: in -p and files, not from stdin
ids_of '<|user|>x'
prompt_is -p '<|user|>x'
printf '<|user|>x' > "$dir/file"
prompt_is -f "$dir/file"
input=$dir/file
prompt_is --parse-special
run 0 tokenize -q -m $demo --no-parse-special -f "$dir/file"; ids "$dir/out" "$dir/expected"
prompt_is
prompt_is --no-parse-special
input=$dir/empty
prompt_is -p '<|user|>x' --no-parse-special
input=$dir/file
run 0 tokenize -q -m $demo -p '<|system|>'; ids "$dir/out" "$dir/expected"
run 0 tokenize -q -m $demo --no-parse-special --no-bos -f "$dir/file"; ids "$dir/out" "$dir/ids"
cat "$dir/ids" >> "$dir/expected"
run 0 -m $demo -n 0 --verbose-prompt --no-perf -p '<|system|>'; ids "$dir/err" "$dir/ids"
if grep -qx 2010 "$dir/ids"; then fail "text on stdin became a control token"; else pass; fi
printf 'plain' > "$dir/file"
ids_of '<|system|>y
plain'
prompt_is -p '<|system|>y'
input=$dir/empty

# A silent pipe is waited for, with a note
what='silent pipe'
{ sleep 3; printf two; } | ${PHI_RUN:-} ./phi -m $demo -p one -n 0 --no-perf > "$dir/out" 2> "$dir/err"
err_has 'phi: reading stdin (--no-stdin skips it)'

# ---- Limits of the context
refuse 2 'ctx-size: 1025 is above .*(1024)' -m $demo -p x -c 1025
i=0
while [ $i -lt 1100 ]; do printf ' house'; i=$((i + 1)); done > "$dir/long"
refuse 5 'the prompt has 11[0-9]* tokens, .* 1024; shorten' -m $demo -f $dir/long
refuse 5 'the prompt has [0-9]* tokens, the context holds 8; use -c [0-9]* or more' -m $demo -p 'one two three four five six seven eight nine' -c 8
refuse 5 'test of 2000 tokens does not fit.* 1024' bench -q -m $demo -p 2000
refuse 5 '3 ids and 1022 more do not fit.* 1024' logits -m $demo --ids 1,2,3 --greedy 1022

# ---- Output that fails
if [ -c /dev/full ]; then
    what='stdout full'
    for arguments in "-q -m $demo -p x -n 3" "-h" "--version" "tokenize -q -m $demo -p x" "info $demo" "logits -m $demo --ids 1 -o -"; do
        what="phi $arguments > /dev/full"
        ${PHI_RUN:-} ./phi $arguments < "$dir/empty" > /dev/full 2> "$dir/err"
        got=$?
        : > "$dir/out"
        if [ $got -eq 6 ]; then pass; else fail "exit code $got"; fi
        err_is 'phi: error: write to stdout failed: No space left on device'
    done
    refuse 6 'write to /dev/full failed: No space' logits -m $demo --ids 1 -o /dev/full
else
    skip 'no /dev/full here'
fi
refuse 6 'cannot write .*: No such file' logits -m $demo --ids 1 -o $dir/none/x
: > "$dir/out"
what='closed stdout'
${PHI_RUN:-} ./phi -q -m $demo -p x -n 3 < "$dir/empty" >&- 2> "$dir/err"
got=$?
if [ $got -eq 6 ]; then pass; else fail "exit code $got"; fi
err_has 'phi: error: write to stdout failed: Bad file descriptor'
what='closed stdin and stderr'
${PHI_RUN:-} ./phi $story -p 'Once upon a time' <&- > "$dir/out" 2>&-
if [ $? -eq 0 ]; then pass; else fail "exit code"; fi
same "$dir/story" "$dir/out"
what='everything closed'
${PHI_RUN:-} ./phi -q -m $demo -p x -n 3 <&- >&- 2>&-
if [ $? -eq 6 ]; then pass; else fail "exit code"; fi
what='reader gone, SIGPIPE ignored'
{
    (trap '' PIPE; ${PHI_RUN:-} ./phi -q -m $demo -p x -n -2 < "$dir/empty" 2> "$dir/err"; echo $? > "$dir/status")
} | dd bs=1 count=1 2> /dev/null > "$dir/out"
if [ "$(cat "$dir/status")" = 6 ]; then pass; else fail "exit code $(cat "$dir/status")"; fi

# ---- tokenize
run 0 tokenize -q -m $demo -p 'What is'; out "     1 -> '<s>'\n   338 -> ' What'\n   286 -> ' is'\n"; err_is
run 0 tokenize -q -m $demo --ids -p 'What is'; out '[1, 338, 286]\n'
run 0 tokenize -q -m $demo --ids --no-bos -p 'What is'; out '[338, 286]\n'
run 0 tokenize -q -m $demo --ids --show-count -p 'What is'; out '[1, 338, 286]\nTotal number of tokens: 3\n'
run 0 tokenize -q -m $demo --ids -p ''; out '[1]\n'
run 0 tokenize -q -m $demo --ids --no-bos -p ''; out '[]\n'
run 0 tokenize -q -m $demo --ids --no-bos -p '<|end|>'; out '[2007]\n'
run 0 tokenize -q -m $demo --no-bos -p '\n'; out_has "13 -> '\\x0a'"
printf 'What\0\0What is' > "$dir/file"
input=$dir/file
run 0 tokenize -q -m $demo -0; out '[1, 338]\n[1]\n[1, 338, 286]\n'
run 0 tokenize -q -m $demo -0 -f "$dir/file" --no-bos; out '[338]\n[]\n[338, 286]\n'
printf 'What\0' > "$dir/file"
run 0 tokenize -q -m $demo -0; out '[1, 338]\n'
run 0 tokenize -q -m $demo -0 -f "$dir/empty"; out ''
printf 'Tabs\there, h\303\251, \344\270\226\377\n\n' > "$dir/file"
run 0 tokenize -q -m $demo --ids --no-parse-special -f "$dir/file"
cp "$dir/out" "$dir/file_ids"
input=$dir/file_ids
run 0 tokenize -q -m $demo --decode
{ printf ' '; cat "$dir/file"; } > "$dir/want"; same "$dir/want" "$dir/out"
input=$dir/empty
for list in '[1, 338, 286]' '1,338,286' '1 338 286' '[338,286]'; do run 0 tokenize -q -m $demo --decode -p "$list"; out ' What is'; done
refuse 2 "'2048' is not a token id (0 to 2047)" tokenize -q -m $demo --decode -p '[1, 2048]'
refuse 2 "'x' is not a token id" tokenize -q -m $demo --decode -p '1 x'
refuse 2 "'-1' is not a token id" tokenize -q -m $demo --decode -p '-1'
refuse 2 "decode writes bytes" tokenize -q -m $demo --decode --ids -p 1
refuse 1 'No such file' tokenize -q -m $demo -f $dir/none

vocabulary=${PHI_SHARED:-../shared}/tokenizer/ggml-vocab-phi-3.gguf
if [ -f "$vocabulary" ]; then
    run 0 tokenize -q -m $vocabulary --ids -p 'Hello world'; out '[1, 15043, 3186]\n'
    refuse 3 'holds a vocabulary but no weights' -m $vocabulary -p x
    refuse 3 'holds a vocabulary but no weights' bench -m $vocabulary
    refuse 3 'holds a vocabulary but no weights' logits -m $vocabulary --ids 1 --greedy 1
    run 0 info $vocabulary; out_has 'n_vocab         = 32064'
else
    skip "a vocabulary without weights: no $vocabulary"
fi

# ---- info
run 0 info $demo; err_is
out_has '- kv   0:                       general.architecture str              = phi3'
out_has 'n_layer         = 8'; out_has 'n_vocab         = 2048'; out_has 'arr[str,2048]'; out_has '- type   Q4_0:   32 tensors'
run 0 info -m $demo; out_has 'file type       = Q4_0'
refuse 2 "unexpected word" info $demo $demo
run 0 info $demo --json --sha256 --verify
what='info --json'
if [ "$(wc -l < "$dir/out")" -eq 1 ]; then pass; else fail 'more than a line'; fi
out_has '"architecture":"phi3","type":"Q4_0","gguf":3,'; out_has '"verified":true'; out_has '{"type":"str","key":"general.architecture","value":"phi3"}'
out_has '{"type":"arr","key":"tokenizer.ggml.tokens","element":"str","n":'
if command -v shasum > /dev/null; then
    hash=$(shasum -a 256 < $demo | cut -d ' ' -f 1)
    out_has "\"sha256\":\"$hash\""
    run 0 info $demo --sha256; out_has "sha256          = $hash"
else
    skip 'no shasum to compare with'
fi

# ---- bench
run 0 bench -q -m $demo -p 8 -n 2,3 -r 2 -t 1; err_is
sed 's/[0-9.]* ± [0-9.]* |$/T |/; s/^build: .*/build/; s/ *T/ T/' "$dir/out" > "$dir/table"
cat > "$dir/want" <<'END'
| model                          |       size |     params | backend    | threads |            test |                  t/s |
| ------------------------------ | ---------: | ---------: | ---------- | ------: | --------------: | -------------------: |
| phi3 7.9M Q4_0                 |   4.74 MiB |     7.87 M | CPU        |       1 |             pp8 | T |
| phi3 7.9M Q4_0                 |   4.74 MiB |     7.87 M | CPU        |       1 |             tg2 | T |
| phi3 7.9M Q4_0                 |   4.74 MiB |     7.87 M | CPU        |       1 |             tg3 | T |

build
END
same "$dir/want" "$dir/table"
run 0 bench -q -m $demo -p 1-8*2 -n 0 -r 1 -ctk q8_0 -ctv f32; out_has '| type_k | type_v |'; out_has '|   q8_0 |    f32 |'; out_has ' pp8 |'
if [ "$(grep -c ' pp[1248] |' "$dir/out")" -eq 4 ]; then pass; else fail "1-8*2 is not 1,2,4,8"; fi

# ---- logits: ids in, numbers out. The ids are the original implementation's for "What is 8 * 10?"
ids=1,2010,338,286,1905,1963,979,1905,1941,1961,1933,2007,2001
run 0 logits -m $demo --ids $ids --greedy 11; out '1905 1963 979 1905 1941 1961 584 1905 1963 1961 2007\n'; err_is
run 0 logits -m $demo --ids $ids -o "$dir/logits"; out ''; err_is
if [ "$(wc -c < "$dir/logits")" -eq $((13 * 2048 * 4)) ]; then pass; else fail "size of the logits"; fi
run 0 logits -m $demo --ids $ids -o - -ub 1 -t 3 --isa scalar; same "$dir/logits" "$dir/out"
printf '[1 2010,338\n286,1905, 1963,979 1905 1941\n1961]1933 2007,2001\n' > "$dir/list"
run 0 logits -m $demo --ids @$dir/list -o "$dir/logits2" --greedy 2 -ub 4; out '1905 1963\n'; same "$dir/logits" "$dir/logits2"
refuse 2 'logits needs token ids' logits -m $demo
refuse 2 'logits needs something to do' logits -m $demo --ids 1
refuse 2 'cannot both go to stdout' logits -m $demo --ids 1 --greedy 1 -o -
refuse 2 "'2048' is not a token id (0 to 2047)" logits -m $demo --ids 1,2048 --greedy 1
refuse 2 'the list is empty' logits -m $demo --ids '[]' --greedy 1
refuse 1 'id file .*none: No such file' logits -m $demo --ids @$dir/none --greedy 1

# ---- Chat. The texts are those that the original implementation gave for the same messages.
chat() { # LINES ARGUMENTS..: a talk over a pipe; the exit code must be 0
    printf "$1" > "$dir/file"
    shift
    input=$dir/file
    run 0 chat -m $demo -q --temp 0 "$@"
    input=$dir/empty
}
run 0 -m $demo -q -st --temp 0 -p 'What is 8 * 10?'; out '8 * 10 = 80\n'; err_is
run 0 run -m $demo -q -st --temp 0 -p 'What is 8 * 10?'; out '8 * 10 = 80\n'
run 0 chat -m $demo -q --temp 0 -p 'What is 8 * 10?'; out '8 * 10 = 80\n'
run 0 -m $demo -q -i --temp 0 -p 'What is 8 * 10?'; out '8 * 10 = 80\n'
run 0 -m $demo -q --no-stdin -cnv --temp 0 -p 'What is 8 * 10?'; out '8 * 10 = 80\n'
run 0 -m $demo -q -st --temp 0 -p 'What is 8 * 10?' --chat-template phi-4-mini; out '8 * 10 = 80\n'
run 0 -m $demo -q -st --temp 0 -p 'What is 8 * 10?' --chat-template phi3; out '8 * 10 = 80\n'
run 0 -m $demo -st --temp 0 -p 'What is 8 * 10?'; out '8 * 10 = 80\n'; err_has 'phi: stop reason = eos'
run 0 -m $demo -q -st --temp 0 -n 3 -p 'What is 8 * 10?'; out '8 *\n'
run 0 -m $demo -st --no-perf -n 0 --verbose-prompt -p 'a <|end|><|user|>' -sys '<|end|>'
if [ "$(grep -c "'<|end|>'" "$dir/err")" -eq 2 ] && [ "$(grep -c "'<|user|>'" "$dir/err")" -eq 1 ]; then pass; else fail 'a control token came from text'; fi
printf 'What is\n8 * 10?\n' > "$dir/file"
input=$dir/file
run 0 -m $demo -st --no-perf -n 0 --verbose-prompt; cp "$dir/err" "$dir/ids1"
run 0 -m $demo -st --no-perf -n 0 --verbose-prompt -f -; same "$dir/ids1" "$dir/err"
printf '8 * 10?' > "$dir/file"
run 0 -m $demo -st --no-perf -n 0 --verbose-prompt -p 'What is'; same "$dir/ids1" "$dir/err"
input=$dir/empty
run 0 -m $demo -st --no-perf -n 0 --verbose-prompt -p 'What is\n8 * 10?'; same "$dir/ids1" "$dir/err"
chat 'I have a duck called Jack.\r\n\n  \nWhat is my duck called?'; out 'Jack sounds lovely!\nYour duck is called Jack.\n'
cp "$dir/out" "$dir/duck"
chat 'I have a duck called Jack.\n/undo\nI have a duck called Jack.\n/regen\nTell me a story.\nHello\n/undo 2\nWhat is my duck called?\n/retry\n/exit\nHello\n'
sed -n '2p;$p' "$dir/out" > "$dir/left"; same "$dir/duck" "$dir/left"
for lines in 'What is\\\n8 * 10?\n' '"""What is\n8 * 10?"""\n' '"""What is\r\n8 * 10?"""' '"""What is\n8 * 10?'; do # two lines, one message
    printf "$lines" > "$dir/file"
    input=$dir/file
    run 0 chat -m $demo --no-perf -n 0 --verbose-prompt; same "$dir/ids1" "$dir/err"
    input=$dir/empty
done
chat 'What is my duck called?\n' -p 'I have a duck called Jack.'; same "$dir/duck" "$dir/out"
chat '//help\n' -n 0 --verbose-prompt; out '\n'
# A detour that is taken back leaves no trace, with a drawn answer too: the same tokens.
chat 'Tell me a story.\nWhat is it about?\nTell me another story.\n' --temp 0.9 -s 5; cp "$dir/out" "$dir/straight"
chat 'Tell me a story.\nHello\n/undo\nWhat is it about?\nWho are you?\n/regen\n/retry --temp 2\n/undo\nTell me another story.\n' --temp 0.9 -s 5
while IFS= read -r line; do grep -qxF -e "$line" "$dir/out" || echo "$line"; done < "$dir/straight" > "$dir/missing"
if [ ! -s "$dir/missing" ] && [ "$(tail -n 1 "$dir/out")" = "$(tail -n 1 "$dir/straight")" ]; then pass; else fail 'a detour changes answers'; fi
chat 'Tell me a story.\n/regen\n' --temp 0.9 -s 5
if [ "$(sort "$dir/out" | uniq -d | grep -c '.')" -eq 0 ]; then pass; else fail '/regen gives the same answer'; fi
# The context: a message without room is refused and all else stays; or turns are dropped; or the talk ends.
printf 'I have a duck called Jack.\nHello\nWhat is 8 * 10?\n/undo\nWhat is my duck called?\n' > "$dir/file"
input=$dir/file
run 5 chat -m $demo -q --temp 0 -c 40; out 'Jack sounds lovely!\nHello! How can I help you?\nYour duck is called Jack.\n'
one_line='turn needs 13 tokens, 12 of 40 free: try /undo or /clear'
err_has "$one_line"
run 0 chat -m $demo --temp 0 -c 40 --no-perf --on-overflow stop; out 'Jack sounds lovely!\nHello! How can I help you?\n'
err_has 'stop reason = context'
run 0 chat -m $demo --temp 0 -c 32 --no-perf --on-overflow drop-oldest; err_has 'phi: dropped the oldest 2 of 2 turns (28 tokens)'
sed -n 3p "$dir/out" > "$dir/third"
input=$dir/empty
run 0 -m $demo -q --temp 0 -c 32 -st -p 'What is 8 * 10?'; same "$dir/third" "$dir/out"
# What is left after dropping is a fresh chat, token for token (drawn ones: more than the likeliest must be the same).
chat 'What is 8 * 10?\n/set temp 1.5\nTell me a story.\n' -c 45 -s 3; cp "$dir/out" "$dir/fresh"
printf 'I have a duck called Jack.\nWhat is 8 * 10?\n/set temp 1.5\nTell me a story.\n' > "$dir/file"
input=$dir/file
run 0 chat -m $demo --no-perf --temp 0 -c 45 -s 3 --on-overflow drop-oldest; err_has 'phi: dropped the oldest 1 of 2 turns (1'
sed 1d "$dir/out" > "$dir/rest"; same "$dir/fresh" "$dir/rest"
input=$dir/empty
run 5 -m $demo -q -c 8 -st -p 'one two three four five six seven'; one_error 'the message needs 14 tokens, the context holds 8'
# Commands, of which stdout knows nothing
chat '/help\n/?\n/help keys\n/show\n/show system\n/set temp 0.5\n/set top_k 3\n/set parameter seed 4\n/set system Be brief.\n/show\n/tokens\n/clear\n/system\n' -sys 'You are Phi Demo.'
out ''; err_has 'system prompt: You are Phi Demo.'; err_has 'system prompt: Be brief.'; err_has 'temp 0.5, top-k 3, top-p 0.95'; err_has 'seed 4'
err_has 'there is no system prompt any more'; err_has 'context 1024 tokens'; err_has '/undo [N]'
printf 'duck called Jack.\n' > "$dir/attached"
chat "/read $dir/attached\\nI have a\\nWhat is my duck called?\\n"; same "$dir/duck" "$dir/out"
for bad in "/foo|unknown command '/foo'" '/undo|nothing to take back' '/regen|no answer yet' '/set temp x|not a number' '/set temp|usage' \
    '/set ctx-size 5|cannot be changed' '/set foo 5|no option' '/edit|line editor' '/show foo|usage' '/stats|no answer'; do
    printf '%s\nWhat is 8 * 10?\n' "${bad%%|*}" > "$dir/file"
    input=$dir/file
    run 2 chat -m $demo -q --temp 0; out '8 * 10 = 80\n'; err_has "${bad#*|}"
    input=$dir/empty
done
printf '/read %s/none\nWhat is 8 * 10?\n' "$dir" > "$dir/file"
input=$dir/file
run 1 chat -m $demo -q --temp 0; out '8 * 10 = 80\n'; err_has 'none: No such file'
input=$dir/empty
printf 'Answer the questions of the user.\n' > "$dir/system"
run 0 -m $demo -st --no-perf -n 0 --verbose-prompt -p x -sysf "$dir/system"; cp "$dir/err" "$dir/ids1"
run 0 -m $demo -st --no-perf -n 0 --verbose-prompt -p x -sys 'Answer the questions of the user.'; same "$dir/ids1" "$dir/err"
run 0 chat -m $demo -q; out ''; err_is
refuse 2 "-sys needs a chat: add -st" $n -sys x
refuse 2 "--chat-template needs a chat" $n --chat-template phi-4
refuse 2 "'phi-5' is not a chat format (phi-4 " $n -st --chat-template phi-5
refuse 2 "needs the token <|im_start|>" -m $demo -st -p x --chat-template phi-4
refuse 2 "is none of error, drop-oldest, stop" $n -st --on-overflow shrug
refuse 2 "no text can become a control token" $n -st --parse-special
refuse 2 "exclude each other" $n -st -no-cnv
refuse 2 "given twice" $n -st -sys x -sysf y
refuse 2 "leaves no message" chat -m $demo --no-stdin
refuse 2 "stdin is empty" -m $demo -st
refuse 1 "system prompt file .*none: No such file" -m $demo -st -p x -sysf $dir/none

# ---- Too little memory: exit code 4, one line
if [ -z "${PHI_RUN:-}" ] && (ulimit -v 12000 && ./phi --version) > "$dir/out" 2> "$dir/err"; then
    what='12 MB of address space'
    (ulimit -v 12000; ./phi -q -m $demo -p x -n 1 < "$dir/empty" > "$dir/out" 2> "$dir/err")
    got=$?
    if [ $got -eq 4 ]; then pass; else fail "exit code $got"; fi
    one_error 'not enough'
else
    skip 'the address space cannot be limited here, or this build needs more to start'
fi

# ---- The demo model is found from anywhere
what='from another directory'
(cd "$dir" && ${PHI_RUN:-} "$top/phi" -p 'Once upon a time' --temp 0 -n 24 --no-perf < /dev/null > out 2> err)
same "$dir/story" "$dir/out"; err_is "phi: model $top/models/demo.gguf (demo; -m or PHI_MODEL chooses another)"
what='through a link'
ln -s "$top/phi" "$dir/link" && (cd / && ${PHI_RUN:-} "$full/link" -p 'Once upon a time' --temp 0 -n 24 -q < /dev/null) > "$dir/out" 2> "$dir/err"
same "$dir/story" "$dir/out"
if ${PHI_MAKE:-make} -o phi -o libphi.a install PREFIX="$full/installed" > "$dir/log" 2>&1; then
    what='installed'
    (cd / && ${PHI_RUN:-} "$full/installed/bin/phi" -p 'Once upon a time' --temp 0 -n 24 --no-perf < /dev/null) > "$dir/out" 2> "$dir/err"
    same "$dir/story" "$dir/out"; err_is "phi: model $full/installed/share/phi/demo.gguf (demo; -m or PHI_MODEL chooses another)"
    rm "$dir/installed/share/phi/demo.gguf"
    program=$dir/installed/bin/phi
    refuse 3 'no model: give -m FILE or set PHI_MODEL' -p x
    program=./phi
else
    skip "make install: $(tail -n 1 "$dir/log")"
fi

# ---- A locale with a decimal comma changes nothing
locale=$(locale -a 2> /dev/null | grep -i '^de_DE' | head -n 1)
if [ -z "$locale" ] && localedef -i de_DE -f UTF-8 "$dir/de_DE.UTF-8" 2> "$dir/log"; then
    LOCPATH=$full
    export LOCPATH
    locale=de_DE.UTF-8
fi
if [ -n "$locale" ]; then
    LC_ALL=$locale
    run 0 -q -m $demo -p 'Once upon a time' -n 24 -s 7 --temp 0.8 --top-p 0.95; same "$dir/seven" "$dir/out"
    check_value --top-p 0,5 'is not a number'
    LC_ALL=C
else
    skip 'no locale de_DE here'
fi

check_done check_cli.sh
