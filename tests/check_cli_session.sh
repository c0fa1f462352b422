# check_cli_session.sh BUILD_DIR: --session, --prompt-cache, /save and /load as a user meets them: what is resumed equals what was
# never interrupted, byte for byte; a process that is killed while it saves, a full disk, a damaged file and one of somebody else lose
# nothing. PHI_KILLS is how often a process is killed (20).
. tests/cli.sh

s=$dir/s
story="Once upon a time"
every() { # how a process is started in the background: "exec" makes $! its number
    exec ${PHI_RUN:-} "$program" "$@"
}
cut_up() { # SIZES OPTIONS..: a text in pieces of these sizes; stdout of all in $dir/cut
    sizes=$1
    shift
    rm -f "$s"
    : > "$dir/cut"
    first=yes
    for n in $sizes; do
        if [ $first = yes ]; then run 0 run -q -p "$story" "$@" --session "$s" -n "$n"
        else run 0 run -q "$@" --session "$s" -n "$n"; fi
        first=no
        cat "$dir/out" >> "$dir/cut"
    done
}

# ---- run: greedy and sampled, caches, windows, threads, contexts, grammars
for options in "--temp 0" "-s 42" "-s 3 --repeat-penalty 1.3 --temp 1.5 --top-k 0" "-s 7 -ctk q8_0 -ctv f32" "-s 9 --window 40" "-s 11 -r zzz -r Ben"; do
    run 0 run -q -p "$story" $options -n 140
    cp "$dir/out" "$dir/straight"
    cut_up "70 1 0 5 64" $options
    what="pieces with $options"
    same "$dir/cut" "$dir/straight"
done
run 0 run -q -p "$story" -s 5 -n 100
cp "$dir/out" "$dir/straight"
rm -f "$s"
run 0 run -q -p "$story" -s 5 -n 40 --session "$s" -t 1
cp "$dir/out" "$dir/cut"
run 0 run --session "$s" -n 60 -t 2 -c 200 -ub 3 --no-perf
err_has "tokens resumed"
cat "$dir/out" >> "$dir/cut"
what="another number of threads, another context, the seed from the file"
same "$dir/cut" "$dir/straight"
# the text that a stop text might begin, and half a character, are kept for the next time
run 0 run -q -p "$story" --temp 0 -n 60 -r 'zz' --special
cp "$dir/out" "$dir/straight"
cut_up "1 1 1 1 1 1 1 1 1 1 50" --temp 0 -r 'zz' --special
what="one by one"
same "$dir/cut" "$dir/straight"
run 0 run -q -p "$story" --temp 0 -n 40
word=$(cut -c 20-24 "$dir/out")
run 0 run -q -p "$story" --temp 0 -n 40 -r "$word"
cp "$dir/out" "$dir/straight"
rm -f "$s"
: > "$dir/cut"
run 0 run -q -p "$story" --temp 0 -n 1 -r "$word" --session "$s"
cat "$dir/out" >> "$dir/cut"
for i in 1 2 3 4 5 6 7 8 9 10 11 12; do
    run 0 run --no-perf --temp 0 -n 1 -r "$word" --session "$s"
    cat "$dir/out" >> "$dir/cut"
    if cmp -s "$dir/cut" "$dir/straight"; then break; fi
done
what="a stop text over a border"
same "$dir/cut" "$dir/straight"
# an answer that has ended has ended; a prompt goes on behind it, and so does a count that passes stop tokens
cut_up "-1 5" --temp 0
run 0 run --no-perf --session "$s" -n 5 --temp 0; out ''
run 0 run -q --session "$s" -n 5 --temp 0 -p " Once upon a"
if [ -s "$dir/out" ]; then pass; else fail "nothing behind the prompt"; fi
run 0 run -q -p "$story" --temp 0 -n -1 --session "$dir/ended"
run 0 run -q --session "$dir/ended" -n 5 --temp 0 --ignore-eos
if [ -s "$dir/out" ]; then pass; else fail "an end that does not count"; fi
# a full context: it stays full, or half of it is forgotten as it is within one run
run 0 run -q -p "$story" -c 32 -n 70 -s 1 --ignore-eos --context-shift
cp "$dir/out" "$dir/straight"
rm -f "$s"
run 0 run -q -p "$story" -c 32 -n -2 -s 1 --ignore-eos --session "$s"
cp "$dir/out" "$dir/cut"
run 0 run --no-perf -c 32 -n 5 --session "$s"; out ''
for n in 2 10 30; do
    run 0 run -q -c 32 -n $n -s 1 --ignore-eos --context-shift --session "$s"
    cat "$dir/out" >> "$dir/cut"
done
what="a full context, in pieces"
same "$dir/cut" "$dir/straight"
# a prompt in two parts is the prompt
run 0 run -q -p "Once upon a time there was" --temp 0 -n 20
cp "$dir/out" "$dir/straight"
rm -f "$s"
run 0 run -q -p "Once upon" --temp 0 -n 0 --session "$s"
run 0 run -q -p " a time there was" --temp 0 -n 20 --session "$s"
same "$dir/out" "$dir/straight"
run 0 run -q -p "A" -n 1 --seed 3 --session "$dir/s2"
refuse 5 "context holds 8; use -c" run --session "$s" -c 8
refuse 2 "saved with -ctk f16" run --session "$s" -ctk f32 -n 1
refuse 2 "session of 'phi run'" chat --session "$s" -st -p Hi

# ---- chat: thirty turns, straight; and with detours, each few turns in a new process
i=0
: > "$dir/questions"
while [ $i -lt 30 ]; do
    i=$((i + 1))
    case $((i % 3)) in
    0) echo "What is $i plus 2?" ;;
    1) echo "Tell me about a dog" ;;
    *) echo "Hello $i" ;;
    esac >> "$dir/questions"
done
talk="chat -q -s 77 -n 12 --repeat-penalty 1.1"
input=$dir/questions
run 0 $talk
input=$dir/empty
cp "$dir/out" "$dir/straight"
rm -f "$s"
i=0
while read -r question; do
    i=$((i + 1))
    case $((i % 5)) in
    0) printf '%s\n/retry --temp 1.5\n/undo\n' "$question" ;;
    1) printf 'A detour of no use\nand another one\n/undo 2\n' ;;
    2) printf '%s\n/regen\n/save kept\n/clear\n/load kept\n/undo\n' "$question" ;;
    esac > "$dir/detour"
    ${PHI_RUN:-} "$program" $talk --session "$s" < "$dir/detour" > /dev/null 2>&1 || fail "detour $i"
    printf '%s\n' "$question" | ${PHI_RUN:-} "$program" $talk --session "$s" 2> "$dir/err"
    cp "$s" "$dir/turn.$i"
done < "$dir/questions" > "$dir/out"
what="a conversation with detours"
same "$dir/out" "$dir/straight"
printf '/tokens\n/show system\n' > "$dir/file"
input=$dir/file
run 0 chat -sys "You are brief." --session "$s"; err_has "30 turns resumed"; err_has "the system prompt is another one now"; err_has "brief"
run 0 chat --session "$s"; err_has "brief"
input=$dir/empty
run 0 chat -q -st -p Hello --session "$s"
[ -d "$XDG_STATE_HOME/phi/sessions" ] && ls -l "$XDG_STATE_HOME/phi/sessions/kept" | grep -q '^-rw-------' && pass || fail "/save kept"
printf '/load nothing\n/load %s\n/load\n/save\n/save ../x\n/save .x\n' "$full/../../../$demo" > "$dir/file"
input=$dir/file
run 1 chat
err_has "No such file"; err_has "start again with -m"; err_has "usage: /load NAME"; err_has "usage: /save NAME"; err_has "no name for a session"
input=$dir/empty

# ---- Not ours, damaged, in use
cp "$demo" "$dir/model.gguf"
refuse 2 "is not a session file" run --session "$dir/model.gguf" -p x
same "$demo" "$dir/model.gguf"
refuse 2 "is a directory" run --session "$dir" -p x
refuse 6 "cannot be opened" run --session "$dir/none/s" -p x
refuse 2 "does not go with it" run --session "$s" --prompt-cache "$s" -p x
refuse 2 "needs --prompt-cache" run --prompt-cache-all -p x
refuse 2 "no prompt" run --session "$dir/new"
if [ -s "$dir/new" ]; then fail "a session without a prompt"; else pass; fi
for at in 9 30 4100; do
    cp "$dir/s2" "$dir/bad"
    rm -f "$dir/bad.bad"
    printf '\377\377\377\377' | dd of="$dir/bad" bs=1 seek=$at conv=notrunc 2> /dev/null
    printf '\377\377\377\377' | dd of="$dir/bad" bs=1 seek=8194 conv=notrunc 2> /dev/null
    cp "$dir/bad" "$dir/was"
    refuse 1 "bad: session ignored: " run -q --session "$dir/bad" --session-strict -p A -n 1
    run 0 run --no-perf -p A -n 1 --seed 3 --session "$dir/bad"
    err_has "phi: warning: $dir/bad: session ignored: "
    same "$dir/bad.bad" "$dir/was"
    run 0 run --no-perf -n 1 --session "$dir/bad"; err_has "tokens resumed"
done
size=$(wc -c < "$demo")
head -c $((size - 1)) "$demo" > "$dir/model.gguf" # the last weight is another one
printf '\001' >> "$dir/model.gguf"
cp "$dir/s2" "$dir/bad"
run 0 run --no-perf -m "$dir/model.gguf" -p A -n 1 --session "$dir/bad"
err_has "phi: warning: $dir/bad: session ignored: written by another model"
same "$dir/bad.bad" "$dir/s2"
cp "$dir/s2" "$dir/bad"
printf 'xxxx' | dd of="$dir/bad" bs=1 seek=20000 conv=notrunc 2> /dev/null
run 0 run --no-perf -n 3 --temp 0 --session "$dir/bad"; err_has "positions rebuilt"
mkfifo "$dir/pipe"
(every chat -q --session "$s" < "$dir/pipe" > /dev/null 2>&1) &
child=$!
exec 9> "$dir/pipe"
sleep 1
run 1 chat -q -st -p Hi --session "$s"; one_error "session in use by process"
exec 9>&-
wait $child

# ---- Prompt caches
long="$story there was a small bear who lived in the forest with all of his friends"
run 0 run -q -p "$long" -s 4 -n 20
cp "$dir/out" "$dir/straight"
rm -f "$s"
run 0 run --no-perf -p "$long" -s 4 -n 20 --prompt-cache "$s"; same "$dir/out" "$dir/straight"
if grep -q "prompt cache:" "$dir/err"; then fail "the cache was empty"; else pass; fi
cp "$s" "$dir/was"
run 0 run --no-perf -p "$long" -s 4 -n 20 --prompt-cache "$s"; same "$dir/out" "$dir/straight"; err_has "prompt cache: "
same "$s" "$dir/was"
run 0 run -q -p "$story there was a cat" -s 4 -n 20
cp "$dir/out" "$dir/straight"
run 0 run --no-perf -p "$story there was a cat" -s 4 -n 20 --prompt-cache "$s" --prompt-cache-ro; same "$dir/out" "$dir/straight"
err_has "prompt cache: "
same "$s" "$dir/was"
run 0 run -q -p "$story" --temp 0 -n 20 --prompt-cache "$s" --prompt-cache-all
answer=$(cat "$dir/out")
run 0 run --no-perf -p "$story$answer" --temp 0 -n 5 --prompt-cache "$s"
err_has "prompt cache: 2"
rm -f "$dir/c"
run 0 chat -q -st --temp 0 -sys "You are a kind teacher who likes numbers." -p Hello --prompt-cache "$dir/c"
cp "$dir/out" "$dir/straight"
run 0 chat --no-perf -st --temp 0 -sys "You are a kind teacher who likes numbers." -p Hello --prompt-cache "$dir/c"
same "$dir/out" "$dir/straight"; err_has "prompt cache: "
run 0 chat --no-perf -st --temp 0 -sys "You are a kind teacher who likes numbers." -p "Good bye" --prompt-cache "$dir/c"
err_has "prompt cache: "

# ---- Signals: the token is finished, the state saved, the process dies by the signal; the text goes on from there
signal() { # NAME STATUS OPTIONS..
    name=$1 wanted=$2
    shift 2
    run 0 run -q -p "$story" -s 8 -n 500 "$@"
    cp "$dir/out" "$dir/straight"
    rm -f "$s"
    : > "$dir/cut"
    (every run -q -p "$story" -s 8 -n 900 --session "$s" "$@" < /dev/null > "$dir/cut" 2> "$dir/err") &
    child=$!
    tries=0
    while [ ! -s "$dir/cut" ] && [ $tries -lt 100 ]; do sleep 0.05; tries=$((tries + 1)); done
    kill -"$name" $child
    wait $child 2> /dev/null
    ended=$?
    run 0 run -q -s 8 -n 50 --session "$s" "$@"
    cat "$dir/out" >> "$dir/cut"
    n=$(($(wc -c < "$dir/cut") - 60)) # -n makes a grammar come to its end
    if [ "$n" -gt "$(($(wc -c < "$dir/straight") - 60))" ]; then
        skip "signal $name came too late"
        return
    fi
    what="signal $name with $*"
    if [ $ended -eq "$wanted" ]; then pass; else fail "status $ended"; fi
    head -c "$n" "$dir/straight" > "$dir/beginning"
    head -c "$n" "$dir/cut" > "$dir/end"
    same "$dir/end" "$dir/beginning"
}
signal TERM 143 --ignore-eos
signal HUP 129 --ignore-eos
signal TERM 143 --ignore-eos --temp 1.3 --grammar 'root ::= ([a-z]+ (" " | ", "))*'

# ---- A full disk: the old state stays, and the exit code is 6
rm -f "$s"
run 0 run -q -p "$story" -s 2 -n 20 --session "$s"
cp "$s" "$dir/was"
full() { # ARGUMENTS..: with a limit of 563 KB, or 1.1 MB, as shells count; three blocks are more
    (
        failed=0
        ulimit -f 1100
        run 6 run -q "$@" --ignore-eos --session "$s" -s 2
        err_has "s: the session could not be saved: File too large"
        [ "$failed" -eq 0 ]
    )
    if [ $? -eq 0 ]; then pass; else fail "a full disk"; fi
}
full -n 200
out ''
full -n -2 -c 220
run 0 run -q -n 20 --session "$s" -s 2
cp "$dir/out" "$dir/straight"
run 0 run -q -n 20 --session "$dir/was" -s 2
same "$dir/out" "$dir/straight"

# ---- Killed while it saves: the old or the new state is whole, and the conversation goes on as if nothing had been
kills=${PHI_KILLS:-20}
i=0
head -n 12 "$dir/questions" > "$dir/twelve"
input=$dir/twelve
run 0 $talk
input=$dir/empty
cp "$dir/out" "$dir/straight"
rm -f "$s"
cp "$dir/twelve" "$dir/rest"
while [ $i -lt "$kills" ]; do
    i=$((i + 1))
    (every $talk --session "$s" < "$dir/rest" > /dev/null 2>&1) &
    child=$!
    sleep 0.0$(awk "BEGIN { srand($i); printf \"%d\", 10 + rand() * 89 }") 2> /dev/null || sleep 1
    sleep 0.1 2> /dev/null
    kill -9 $child 2> /dev/null
    wait $child 2> /dev/null
    echo /tokens | ${PHI_RUN:-} "$program" chat --session "$s" --session-strict -s 77 > "$dir/out" 2> "$dir/err"
    status=$? what="kill $i"
    if [ $status -eq 0 ]; then pass; else fail "status $status"; fi
    turns=$(sed -n 's/.* tokens in \([0-9]*\) turns*$/\1/p' "$dir/err")
    case $turns in
    [0-9] | 1[0-2])
        tail -n +$((turns + 1)) "$dir/twelve" > "$dir/rest"
        cp "$s" "$dir/copy"
        ${PHI_RUN:-} "$program" $talk --session "$dir/copy" < "$dir/rest" > "$dir/out" 2> "$dir/err"
        tail -c "$(wc -c < "$dir/out")" "$dir/straight" > "$dir/end"
        same "$dir/out" "$dir/end"
        ;;
    *) fail "'$turns' turns" ;;
    esac
    if [ "${turns:-0}" -ge 8 ]; then
        rm -f "$s"
        cp "$dir/twelve" "$dir/rest"
    fi
done
check_done check_cli_session
