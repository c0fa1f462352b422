# check_cli_options.sh BUILD_DIR: what the options of run and chat do: stop texts, biases, penalties, limits of an answer, the context
# that shifts, control tokens, verbosity, pasted options, settings of a chat, stdin, output that fails. Runs ./phi as check_cli.sh does.
. tests/cli.sh

greedy="-q -m $demo --temp 0"
ask() { printf '%s' "<|user|>$1<|end|><|assistant|>"; }
eighty=$(ask 'What is 8 * 10?')
chat() { # LINES ARGUMENTS..: a talk over a pipe; the exit code must be 0
    printf "$1" > "$dir/file"
    shift
    input=$dir/file
    run 0 chat $greedy "$@"
    input=$dir/empty
}

# ---- Stop texts: not printed, however they are cut into tokens
run 0 $greedy -p "$eighty"; out ' 8 * 10 = 80'
run 0 $greedy -p "$eighty" -r '10 ='; out ' 8 * '
run 0 $greedy -p "$eighty" -r 'x' -r '= 8'; out ' 8 * 10 '
run 0 $greedy -p "$eighty" --reverse-prompt=' 10 = 80'; out ' 8 *'
run 0 $greedy -p "$eighty" -r ' 8'; out ''
run 0 $greedy -p "$eighty" -r '10 = 81' -r '80 '; out ' 8 * 10 = 80' # held back, but it does not come
run 0 $greedy -p "$eighty" -r '8 * 10 = 80x' -r '* 1'; out ' 8 '
run 0 -m $demo --temp 0 -p "$eighty" -r '80'; out ' 8 * 10 = '; err_has 'phi: stop reason = stop'
run 0 -m $demo --temp 0 -p "$eighty" -r '80' --fail-on-length; err_has 'phi: stop reason = stop'
run 0 $greedy -p 'One day' -n 200; cp "$dir/out" "$dir/story"
if [ "$(wc -l < "$dir/story")" -ge 2 ]; then pass; else fail 'the story has no paragraphs'; fi
first=$(head -n 1 "$dir/story")
run 0 $greedy -p 'One day' -n 200 -r '\n'; out "$first"
run 0 $greedy -p 'One day' -n 200 -r '\n' --no-escape; same "$dir/story" "$dir/out"
run 0 $greedy -st -p 'What is 8 * 10?' -r ' ='; out '8 * 10\n'
# In a chat it is no part of the conversation: what follows is what follows the answer without it.
chat 'What is 8 * 10?\nHello\n/tokens\n' -r ' = 80'; grep '^ ' "$dir/err" > "$dir/with"
chat 'What is 8 * 10?\n/set predict -1\nHello\n/tokens\n' -n 6; grep '^ ' "$dir/err" > "$dir/without"
if [ -s "$dir/with" ]; then pass; else fail 'no counts'; fi
same "$dir/without" "$dir/with"
refuse 2 "-r: the text is empty" $greedy -p x -r ''

# ---- Biases
run 0 $greedy -p 'Once upon a time' -n 12; out ', there was a proud girl named June. The sky was'
run 0 $greedy -p 'Once upon a time' -n 12 -l '"girl"=-inf'; out ', there was a proud boy named Tom. The sky was'
run 0 tokenize -q -m $demo --no-bos --ids -p girl; id=$(tr -d '[]\n' < "$dir/out")
for bias in 'girl=-inf' '" girl"=-50' "$id-inf" "$id-50" "$id=-50"; do
    run 0 $greedy -p 'Once upon a time' -n 12 -l "$bias"; out ', there was a proud boy named Tom. The sky was'
done
run 0 $greedy -p 'Once upon a time' -n 12 -l "$id-100" --logit-bias "$id+100"; out ', there was a proud girl named June. The sky was'
run 0 $greedy -p "$eighty" -n 20 -l '"<|end|>"=-inf'; cp "$dir/out" "$dir/forbidden"
run 0 $greedy -p "$eighty" -n 20 --ignore-eos; out_has ' 8 * 10 = 80'
run 0 $greedy -p 'Once upon' -n 9 -l '"<|end|>"=1000'; out ''
refuse 2 'logit-bias: "the cat sat" is 3 tokens ([0-9]*, [0-9]*, [0-9]*)' $greedy -p x -l '"the cat sat"=+3'
for bad in 2048 65536 2147483647 2147483648 4294967295 4294967296 4294967301 999999999999999999; do # no 32 bits of it are an id
    refuse 2 "logit-bias: $bad is not a token id (0 to 2047)" $greedy -p x -l "$bad+1"
    refuse 2 "logit-bias: $bad is not a token id (0 to 2047)" $greedy -p x -l 5+1 -l "$bad-inf"
done
refuse 2 'logit-bias: "-1" is [2-9] tokens' $greedy -p x -l '-1=1'
run 0 $greedy -p 'Once upon a time' -n 12 -l "000000000000$id-inf"; out ', there was a proud boy named Tom. The sky was'
for bias in 15 15+ 15-x '15+inf' '15+nan' '=1' '""=1' 'text' '15+1e99' '15 +1' '+1' '-1+1' '-0-inf' 9223372036854775808+1 18446744073709551616+1 \
    "0000000000000000000000$id-inf" 0x10+1 1.5+1 '' '='; do
    run 2 -m "$dir/none.gguf" -p x -l "$bias"; err_is "phi: error: -l: '$bias' is not like 15043+1.5, 15043-inf or \"text\"=-2"
done
refuse 2 'logit-bias: 2048 is not a token id' $greedy -st -p x -l 2048+1
# Many for one token add up, as long as there are not more than fit.
set --
for i in 1 2 3 4; do set -- "$@" -l "$id-12" -l "$id-13" -l "$id+12" -l 5+1 -l "$id-12" -l 5-1 -l 2047+0 -l 0-inf; done
run 0 $greedy -p 'Once upon a time' -n 12 "$@" "$@"; out ', there was a proud boy named Tom. The sky was'
refuse 2 '-l: given more than 64 times' $greedy -p x "$@" "$@" -l 5+1

# ---- Penalties and typical sampling
run 0 $greedy -p "$eighty" -n 60 --ignore-eos; cp "$dir/out" "$dir/plain"
run 0 $greedy -p "$eighty" -n 60 --ignore-eos --presence-penalty 2; cp "$dir/out" "$dir/presence"
run 0 $greedy -p "$eighty" -n 60 --ignore-eos --frequency-penalty 2; cp "$dir/out" "$dir/frequency"
for name in presence frequency; do
    if cmp -s "$dir/plain" "$dir/$name"; then fail "--$name-penalty changes nothing"; else pass; fi
done
if cmp -s "$dir/presence" "$dir/frequency"; then fail 'both penalties are the same'; else pass; fi
run 0 $greedy -p "$eighty" -n 60 --ignore-eos --presence-penalty 2 --repeat-last-n 0; same "$dir/plain" "$dir/out"
run 0 $greedy -p "$eighty" -n 60 --ignore-eos --presence-penalty 2 --repeat-last-n -1 -c 64; cp "$dir/out" "$dir/all"
if cmp -s "$dir/all" "$dir/plain"; then fail '--repeat-last-n -1 looks back on nothing'; else pass; fi
drawn="-q -m $demo -p Once -n 40 -s 3 --temp 1.2 --top-k 0 --top-p 1 --min-p 0"
run 0 $drawn; cp "$dir/out" "$dir/drawn"
run 0 $drawn --typical 1; same "$dir/drawn" "$dir/out"
run 0 $drawn --typical 0.2; cp "$dir/out" "$dir/typical"
if cmp -s "$dir/drawn" "$dir/typical"; then fail '--typical changes nothing'; else pass; fi
run 0 $drawn --typical-p 0.2; same "$dir/typical" "$dir/out"
refuse 2 "typical: '0' is out of range (0 < P <= 1)" -p x --typical 0
refuse 2 "presence-penalty: '1e99' is out of range" -p x --presence-penalty 1e99
refuse 2 "frequency-penalty: '1,5' is not a number" -p x --frequency-penalty 1,5
run 0 $greedy -p x -n 1 --frequency-penalty -1

# ---- Ends of an answer
run 1 -m $demo --temp 0 -p "$eighty" -n 4 --fail-on-length; out ' 8 * '; err_has 'phi: stop reason = length'
err_has 'phi: error: --fail-on-length: -n ended the answer'
run 0 $greedy -p "$eighty" --fail-on-length; err_is
run 1 $greedy -p "$eighty" -c 20 --ignore-eos --fail-on-length; one='phi: error: --fail-on-length: the end of the context ended the answer'; err_is "$one"
run 1 $greedy -p "$eighty" -n 0 --fail-on-length; out ''
run 1 $greedy -st -p 'What is 8 * 10?' -n 3 --fail-on-length; out '8 *\n'
printf 'What is 8 * 10?\n/set predict 3\nWhat is 8 * 10?\n/set predict -1\nHello\n' > "$dir/file"
input=$dir/file
run 1 chat $greedy --fail-on-length; out '8 * 10 = 80\n8 *\nHello! How can I help you?\n'; err_is 'phi: error: --fail-on-length: -n ended the answer'
input=$dir/empty
words='one two three four five six seven eight nine'
refuse 5 'the prompt has [0-9]* tokens, the context holds 8' -m $demo -p "$words" -c 8 --on-overflow error
run 0 -m $demo -p "$words" -c 8 --on-overflow stop; out ''; err_has 'phi: stop reason = context'
run 1 -m $demo -p "$words" -c 8 --on-overflow stop --fail-on-length; out ''; err_has 'phi: stop reason = context'
refuse 2 'on-overflow drop-oldest drops turns of a chat' -m $demo -p x --on-overflow drop-oldest
run 0 -m $demo -p 'Once upon a time' -n -2 -c 30 --context-shift --temp 0; err_has 'phi: stop reason = context'; err_has 'context = 30/30'

# ---- --context-shift: the older half is forgotten; what follows is what follows the rest alone. 5 ids of the prompt and 36 more are one
# more than the context; the first one stays, the 20 behind it go.
for keep in '0 1' '2 3' '-1 5'; do
    set -- $keep
    run 0 tokenize -q -m $demo --ids -p 'Once upon a time'; prompt=$(tr -d '[] \n' < "$dir/out")
    run 0 logits -m $demo --ids "$prompt" --greedy 36; first=$(cat "$dir/out")
    all="$(echo "$prompt" | tr , ' ') $first"
    rest=$(echo $all | tr ' ' '\n' | awk -v keep="$2" '{id[NR] = $1} END {drop = int((NR - keep) / 2)
        for (i = 1; i <= NR; i++) if (i <= keep || i > keep + drop) printf "%s ", id[i]}')
    run 0 logits -m $demo --ids "$rest" --greedy 12; later=$(cat "$dir/out")
    run 0 tokenize -q -m $demo --decode -p "$first $later"; cp "$dir/out" "$dir/shifted"
    run 0 -m $demo --temp 0 -p 'Once upon a time' -n 48 -c 40 --context-shift --keep "$1"; same "$dir/shifted" "$dir/out"
    err_has 'phi: the context is full: '; err_has 'phi: stop reason = length'
done
run 0 -m $demo -p 'Once upon a time' -n 300 -c 24 --context-shift --ignore-eos -s 4; err_has 'phi: stop reason = length'
run 0 -m $demo -p 'Once upon a time' -n 9 -c 5 --context-shift --keep -1 -s 4; err_has 'phi: stop reason = context'
run 0 -m $demo -p x -n 0 --no-perf --keep 3; err_has 'phi: warning: --keep has no effect without --context-shift'
refuse 2 "keep: '-2' is out of range" -p x --keep -2
refuse 2 'context-shift belongs to' -m $demo -st -p x --context-shift

# ---- Control tokens
run 0 $greedy -p "$eighty" --special; out ' 8 * 10 = 80<|end|>'
run 0 $greedy -p "$eighty" -sp -n 30 --ignore-eos; out_has ' 8 * 10 = 80'
run 0 $greedy -p "$eighty" -n -2 -c 24; if grep -q '<|end|>' "$dir/out"; then fail 'a control token is shown'; else pass; fi
run 0 $greedy -p "$eighty" -n -2 -c 24 -sp; out_has ' 8 * 10 = 80<|end|>'
run 0 $greedy -st -p 'What is 8 * 10?' -sp; out '8 * 10 = 80<|end|>\n'
chat 'What is 8 * 10?\n/set special on\nWhat is 8 * 10?\n/clear\n/set special off\nWhat is 8 * 10?\n'; out_has '8 * 10 = 80<|end|>'
if [ "$(head -n 1 "$dir/out")" = '8 * 10 = 80' ] && [ "$(tail -n 1 "$dir/out")" = '8 * 10 = 80' ]; then pass; else fail '/set special'; fi

# ---- Verbosity
run 0 -m $demo -p x -n 1 -lv 0; err_is
run 0 -m $demo -p x -n 1 -lv 1 --prio 1; err_is
run 0 -m $demo -p x -n 1 -lv 2 --prio 1; err_is "phi: warning: option '--prio' has no effect here and was ignored"
run 0 -m $demo -p x -n 1 -lv 3; err_has 'phi: stop reason'
if grep -q 'KV cache' "$dir/err"; then fail '-lv 3 says too much'; else pass; fi
run 0 -m $demo -p x -n 1 --verbosity 4; err_has 'phi: KV cache = '
run 0 -m $demo -p x -n 1 --log-disable; err_is
run 0 -m $demo -p x -n 1 --no-show-timings --no-progress; err_is "phi: model $demo"
refuse 2 "lv: 'x' is not a whole number" -p x -lv x
refuse 2 'none of on, off, auto' -p x --color red

# ---- Options of llama.cpp that mean nothing here: with as many values as they have; a wrong use of others is still one line
run 0 -m $demo -n 0 --no-perf -ngl 99 -fa -np 2 --poll 50 --prio 2 --warmup --no-warmup --repack -nr --jinja --offline --mmap -lm dio -fa auto -p x
for name in "-lm dio" -ngl -fa -np --poll --prio --warmup --no-warmup --repack -nr --jinja --offline --mmap; do
    err_has "phi: warning: option '$name' has no effect here and was ignored"
done
refuse 2 "unexpected word 'on'" -m $demo -p x --jinja on
refuse 2 'is out of range' -ngl 99 -p x --top-p 2
for name in -hf -mu --hf-repo --model-url; do refuse 2 'no network code; download the file first' $name a/b; done
refuse 2 'no network code; download the file first' --hf-repo=a/b
refuse 2 "'list' is not a chat format (.*phi-4 .*phi-3.5" -st -p x --chat-template list
run 0 chat -m $demo -q -ctk q8_0 --cache-type-v q8_0 --no-display-prompt

# ---- Settings of a chat
chat '/set presence-penalty 0.5\n/set frequency_penalty 0.25\n/set typical 0.9\n/set parameter typical_p 0.8\n/set parameter num_predict 7\n/set parameter stop "END"\n/set logit-bias 5+1\n/set reverse-prompt x\n/set ignore-eos on\n/show parameters\n'
err_has 'typical 0.8'; err_has 'presence-penalty 0.5, frequency-penalty 0.25'; err_has 'predict 7, ignore-eos'; err_has 'logit-bias 5+1'
err_has 'reverse-prompt END'; err_has 'reverse-prompt x'
chat '/set stop "="\nWhat is 8 * 10?\n/set stop ""\n/clear\nWhat is 8 * 10?\n/retry --reverse-prompt 10\n/retry\n'
out '8 * 10 \n8 * 10 = 80\n8 * \n8 * 10 = 80\n'
for bad in '/set logit-bias 9999+1|9999 is not a token id' '/set logit-bias 5|not like' '/set special maybe|none of on, off' '/set num_ctx 5|cannot be changed' \
    '/set on-overflow x|none of error' '/retry --threads 2|cannot be changed' "/foo|unknown command '/foo'; // sends a slash"; do
    printf '%s\nWhat is 8 * 10?\n' "${bad%%|*}" > "$dir/file"
    input=$dir/file
    run 2 chat $greedy; out '8 * 10 = 80\n'; err_has "${bad#*|}"
    input=$dir/empty
done
# What answers must be, by /set, too
chat '/set format json\nHello\n/show parameters\n/set noformat\n/clear\nHello\n/show parameters\n'
case $(head -n 1 "$dir/out") in '{'* | '['* | '"'* | [0-9-]* | true | false | null) pass ;; *) fail 'no JSON' ;; esac
if [ "$(tail -n 1 "$dir/out")" = 'Hello! How can I help you?' ] && [ "$(grep -c '^json-schema {}' "$dir/err")" -eq 1 ]; then pass; else fail '/set noformat'; fi
chat '/set grammar root ::= "yes" | "no"\nHello\n/show parameters\n/set json-schema {"const": 7}\nHello\n'; err_has 'grammar root ::='
case $(head -n 1 "$dir/out") in yes | no) pass ;; *) fail 'not what the grammar says' ;; esac
if [ "$(tail -n 1 "$dir/out")" = 7 ]; then pass; else fail 'not what the schema says'; fi
printf '/set grammar root ::= x\nWhat is 8 * 10?\n' > "$dir/file"
input=$dir/file
run 2 chat $greedy; out '8 * 10 = 80\n'; err_has 'phi: error: '
input=$dir/empty
chat '/? shortcuts\n/quit\nHello\n'; out ''; err_has 'Ctrl-R'
chat '/bye\nHello\n'; out ''
chat '/set verbose\nWhat is 8 * 10?\n/set quiet\n/set history\n/set nohistory\n/set wordwrap\n/set nowordwrap\n/set system Hi\n/show system\n'; err_has 'system prompt: Hi'
chat 'What is 8 * 10?\nHello\n/stats\n'; err_has '/     8 runs'; out_has 'Hello! How can I help you?'

# ---- -mli: lines until one that ends with a backslash
run 0 -m $demo -st --no-perf -n 0 --verbose-prompt -p 'What is\n8 * 10?'; grep -e '->' "$dir/err" > "$dir/ids"
printf 'What is\n8 * 10?\\\n' > "$dir/file"
input=$dir/file
run 0 chat -m $demo --no-perf -n 0 --verbose-prompt -mli; grep -e '->' "$dir/err" > "$dir/ids2"; same "$dir/ids" "$dir/ids2"
printf '/set predict 0\nWhat is\n8 * 10?' > "$dir/file"
run 0 chat -m $demo --no-perf --verbose-prompt --multiline-input; grep -e '->' "$dir/err" > "$dir/ids2"; same "$dir/ids" "$dir/ids2"
input=$dir/empty

# ---- Escapes: in -p, -sys and -r only
run 0 -m $demo -st --no-perf -n 0 --verbose-prompt -p x -sys 'a\tb'; err_has "'\\x09'"
run 0 -m $demo -st --no-perf -n 0 --verbose-prompt -p x -sys 'a\tb' --no-escape; if grep -q 'x09' "$dir/err"; then fail 'an escape'; else pass; fi
printf 'a\\tb' > "$dir/system"
run 0 -m $demo -st --no-perf -n 0 --verbose-prompt -p x -sysf "$dir/system"; if grep -q 'x09' "$dir/err"; then fail 'an escape'; else pass; fi

# ---- stdin: the list of a loop stays the loop's
printf 'a\nb\nc\n' > "$dir/list"
what='a loop with --no-stdin'
while read -r word; do
    ${PHI_RUN:-} ./phi -q -m $demo -p "$word" -n 0 --no-stdin 2> "$dir/err"
    echo "$word"
done < "$dir/list" > "$dir/out"
same "$dir/list" "$dir/out"

# ---- Output that fails, readers that have enough
if [ -z "$(sh -c 'kill -PIPE $$; echo ignored')" ]; then
    what='| head -c 10'
    { ${PHI_RUN:-} ./phi -m $demo --temp 0 -p 'Once upon a time' --ignore-eos -c 64 --context-shift < "$dir/empty" 2> "$dir/err"; echo $? > "$dir/status"; } | head -c 10 > "$dir/out"
    out ', there wa'
    if [ "$(cat "$dir/status")" = 141 ]; then pass; else fail "exit code $(cat "$dir/status")"; fi
    if grep -q error "$dir/err"; then fail 'it complains'; else pass; fi
    what='chat | head -c 10'
    { printf 'Tell me a story.\nTell me another story.\nHello\nHello\nHello\nHello\n' | ${PHI_RUN:-} ./phi chat -q -m $demo --temp 0 -n -2 -c 1024 2> "$dir/err"; echo $? > "$dir/status"; } | head -c 1 > "$dir/out"
    if [ "$(cat "$dir/status")" = 141 ]; then pass; else fail "exit code $(cat "$dir/status")"; fi
    err_is
else
    skip 'SIGPIPE is ignored here'
fi
if (ulimit -f 1 && : > "$dir/limited") 2> /dev/null; then
    what='a file that may not grow'
    (ulimit -f 1; ${PHI_RUN:-} ./phi logits -m $demo --ids 1,2,3 -o - < "$dir/empty" > "$dir/limited" 2> "$dir/err")
    got=$?
    if [ $got -eq 6 ] && grep -q 'write to stdout failed: File too large' "$dir/err"; then pass; else fail "exit code $got"; fi
else
    skip 'the size of files cannot be limited here'
fi
if [ -c /dev/full ]; then
    for arguments in "-st -p Hello" "-cnv -p Hello"; do
        what="phi $arguments > /dev/full"
        ${PHI_RUN:-} ./phi $greedy $arguments < "$dir/empty" > /dev/full 2> "$dir/err" || got=$?
        : > "$dir/out"
        if [ $got -eq 6 ]; then pass; else fail "exit code $got"; fi
        err_is 'phi: error: write to stdout failed: No space left on device'
    done
else
    skip 'no /dev/full here'
fi
# Descriptors that are closed, in all combinations
for closed in 0 1 2 01 02 12 012; do
    what="closed: $closed"
    wanted=0
    case $closed in *1*) wanted=6 ;; esac
    : > "$dir/out"
    : > "$dir/err"
    (
        exec < "$dir/empty" > "$dir/out" 2> "$dir/err"
        case $closed in *0*) exec 0<&- ;; esac
        case $closed in *2*) exec 2>&- ;; esac
        case $closed in *1*) exec 1>&- ;; esac
        ${PHI_RUN:-} ./phi $greedy -p "$eighty"
    )
    got=$?
    if [ $got -eq $wanted ]; then pass; else fail "exit code $got"; fi
    if [ $wanted -eq 0 ]; then out ' 8 * 10 = 80'; else out ''; fi
    case $closed in 1 | 01) err_is 'phi: error: write to stdout failed: Bad file descriptor' ;; *) err_is ;; esac
done
what='chat with closed stdin'
${PHI_RUN:-} ./phi chat $greedy <&- > "$dir/out" 2> "$dir/err"
if [ $? -eq 0 ]; then pass; else fail 'exit code'; fi
out ''; err_is
for term in dumb ''; do
    TERM=$term
    export TERM
    run 0 $greedy -p "$eighty"; out ' 8 * 10 = 80'; err_is
done

check_done check_cli_options.sh
