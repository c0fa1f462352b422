# check_eval.sh BUILD_DIR: phi eval and the files it reads and writes: results that do not depend on threads, passes or an
# interruption; usage errors; damaged and hostile files, each of which is one error line. What the figures are is tested by
# check_score.c. Runs ./phi with the demo model, from the top of the checkout.
. tests/cli.sh
text=$dir/text
for seed in 1 2 3 4 5; do
    printf 'Once upon a time'
    ${PHI_RUN:-} "$program" -p 'Once upon a time' -n 200 -s $seed -q --no-perf
    printf '\n'
done < /dev/null > "$text"
ppl="eval -m $demo -f $text -c 64 --chunks 6"

run 0 eval -h; out_has '--kl-divergence-base'; err_is

# ---- Usage
refuse 2 'eval needs something to do' eval -m $demo
refuse 2 'kl-divergence needs the file' eval -m $demo --kl-divergence
refuse 2 'leave out -f' eval -m $demo --kl-divergence --kl-divergence-base x -f $text
refuse 2 'need --task' eval -m $demo -f $text --shots 1
refuse 2 'belong to a text' eval -m $demo -f $text --task x
refuse 2 "is none of task, text, turns, message" eval -m $demo --task x --layout chat
refuse 2 "chunks: '0' is out of range" eval -m $demo -f $text --chunks 0
refuse 2 'too short a chunk' eval -m $demo -f $text -c 4
refuse 2 'above the model' eval -m $demo -f $text -c 5000
refuse 1 'No such file' eval -m $demo -f $dir/none
refuse 1 'No such file' eval -m $demo --task $dir/none
printf 'a short text\n' > "$dir/short"
refuse 1 'use a longer text' eval -m $demo -f $dir/short

# ---- Perplexity: the same for every thread count and pass size; a line of JSON
run 0 $ppl -t 1; cp "$dir/out" "$dir/straight"
out_has 'Final estimate: PPL = '
err_has '[6/6] PPL = '
if [ "$(wc -l < "$dir/out")" -eq 1 ]; then pass; else fail 'more than the final line'; fi
run 0 $ppl -t 2 --force-threads -ub 7 -q; same "$dir/straight" "$dir/out"; err_is
run 0 $ppl --isa scalar; same "$dir/straight" "$dir/out"
run 0 $ppl --json; out_has '{"event":"eval","v":1,"kind":"perplexity","model":"'; out_has '"n_ctx":64,"chunks":6,"tokens":186,'; out_has '"chunk_nll":['
printf '\n' >> "$text" # the last newline is dropped, the one before it is not
cp "$text" "$dir/blank"; sed '$d' "$dir/blank" > "$text"
run 0 $ppl; same "$dir/straight" "$dir/out"

# ---- Checkpoints: an interrupted run goes on and says the same
state=$dir/state
run 0 $ppl --chunks 2 --checkpoint $state -q
run 0 $ppl --checkpoint $state; same "$dir/straight" "$dir/out"; err_has 'the checkpoint holds 2 chunks'
run 0 $ppl --checkpoint $state; same "$dir/straight" "$dir/out"; err_is
run 0 $ppl --chunks 2 --checkpoint $state; out_has 'Final estimate'; cp "$dir/out" "$dir/two"
run 0 $ppl --chunks 2; same "$dir/two" "$dir/out"
refuse 2 'belongs to another evaluation' eval -m $demo -f $dir/blank -c 32 --chunks 6 --checkpoint $state
refuse 2 'is no checkpoint' $ppl --checkpoint $text
cp "$state" "$dir/bent"; printf 'x' | dd of="$dir/bent" bs=1 seek=60 conv=notrunc 2> /dev/null
run 0 $ppl --checkpoint $dir/bent; same "$dir/straight" "$dir/out"; err_has 'are computed again'
run 0 $ppl --checkpoint $dir/bent; same "$dir/straight" "$dir/out"; err_is
for n in 0 7 31 32 47 48 60 600; do # cut short by a kill: what is whole counts
    head -c $n "$state" > "$dir/cut"
    run 0 $ppl --checkpoint $dir/cut; same "$dir/straight" "$dir/out"
done
printf 'phi-evil' > "$dir/cut"; refuse 2 'is no checkpoint' $ppl --checkpoint $dir/cut
(head -c 32 "$state"; head -c 4000 /dev/zero | tr '\0' '\377') > "$dir/cut"
run 0 $ppl --checkpoint $dir/cut; same "$dir/straight" "$dir/out"
refuse 6 'cannot write the checkpoint' $ppl --checkpoint $dir/none/state

# A signal: the results so far are kept, and the run goes on from them.
rm -f "$state"
${PHI_RUN:-} "$program" $ppl -t 1 -ub 4 --checkpoint $state > "$dir/out" 2> "$dir/err" & process=$!
until grep -q '\[1/6\]' "$dir/err" || ! kill -0 $process 2> /dev/null; do :; done
kill -TERM $process 2> /dev/null
{ wait $process; got=$?; } 2> /dev/null
what='a signal'
if [ $got -eq 143 ] && [ -s "$state" ]; then pass; elif [ $got -eq 0 ]; then skip 'the run ended before the signal came'; else fail "status $got"; fi
run 0 $ppl --checkpoint $state; same "$dir/straight" "$dir/out"

# ---- KL divergence
base=$dir/base
run 0 $ppl --kl-divergence-base $base; same "$dir/straight" "$dir/out"; err_has "$base becomes 1 MiB"
size=$((20 + 6 * 64 * 4 + 6 * 31 * (2048 + 4) * 2)) # the demo's vocabulary is 2048
if [ "$(wc -c < "$base")" -eq $size ]; then pass; else fail "the base is not $size bytes long"; fi
if [ "$(head -c 8 "$base")" = _logits_ ]; then pass; else fail 'the magic'; fi
kld="eval -m $demo --kl-divergence --kl-divergence-base"
run 0 $kld $base; cp "$dir/out" "$dir/kld"
out_has 'Same top p: 100.000 ± 0.000 %'; out_has 'Median  KLD:'; out_has 'Final estimate: PPL = '
if awk '/^M.* KLD:/ { if ($3 > 0.0002 || $3 < -0.0002) bad = 1 } END { exit bad }' "$dir/out"; then pass; else fail 'KLD to itself'; fi
run 0 $kld $base -t 1 -ub 5 -q; same "$dir/kld" "$dir/out"
run 0 $kld $base --json; out_has '"kind":"kl-divergence"'; out_has '"same_top":1,'; out_has '"chunk_kld":['
rm -f "$state"
run 0 $kld $base --chunks 4 --checkpoint $state -q; run 0 $kld $base --checkpoint $state; same "$dir/kld" "$dir/out"
# the base itself, interrupted and gone on with
rm -f "$state"
${PHI_RUN:-} "$program" $ppl -t 1 -ub 4 --checkpoint $state --kl-divergence-base $dir/base2 > "$dir/out" 2> "$dir/err" & process=$!
until grep -q '\[2/6\]' "$dir/err" || ! kill -0 $process 2> /dev/null; do :; done
kill -TERM $process 2> /dev/null; wait $process 2> /dev/null
run 0 $ppl --checkpoint $state --kl-divergence-base $dir/base2; same "$dir/straight" "$dir/out"; same "$base" "$dir/base2"
# without a checkpoint nothing is left of an interrupted base
${PHI_RUN:-} "$program" $ppl -t 1 -ub 4 --kl-divergence-base $dir/base3 > "$dir/out" 2> "$dir/err" & process=$!
until grep -q '\[2/6\]' "$dir/err" || ! kill -0 $process 2> /dev/null; do :; done
kill -TERM $process 2> /dev/null; wait $process 2> /dev/null
if [ ! -s "$dir/base3" ] || [ "$(wc -c < "$dir/base3")" -eq $size ]; then pass; else fail 'a part of the base stayed'; fi
refuse 2 'was made with chunks of 64' $kld $base -c 128
refuse 6 'cannot write' $ppl --kl-divergence-base $dir/none/base
refuse 1 'No such file' $kld $dir/none
refuse 1 'no file of base logits' $kld $dir
refuse 1 'no file of base logits' $kld $text
for n in 8 19 20 500 $((size - 1)); do
    head -c $n "$base" > "$dir/cut"
    refuse 1 "$dir/cut" $kld $dir/cut
done
bend() { # AT BYTES PATTERN: the base with other bytes there is refused
    cp "$base" "$dir/bent"
    printf "$2" | dd of="$dir/bent" bs=1 seek="$1" conv=notrunc 2> /dev/null
    run 1 $kld $dir/bent -q
    one_error "$3"
}
bend 8 '\0\0\0\0' 'header is nonsense'
bend 8 '\377\377\377\177' 'truncated'
bend 12 '\001' 'made with a vocabulary of 2049'
bend 16 '\377\377\377\177' 'truncated'
bend 16 '\0\0\0\0' 'header is nonsense'
bend 20 '\377\377\377\377' 'a token outside the vocabulary'
bend $((20 + 6 * 64 * 4)) '\0\0\300\177' 'logits of chunk 1, position 32 are nonsense' # a scale that is no number

# ---- Questions
cat > "$dir/task" << 'END'
{"task": "Dogs", "score": "text", "ask": "Q: {question}\nA:"}

{"shot": true, "question": "What did the dog find?", "choices": ["a ball", "a car"], "answer": 0}
{"group": "dogs"}
{"question": "Who was in the park?", "choices": ["the small dog", "a very big aeroplane"], "answer": 0, "id": 7}
{"question": "What did Tim do?", "choices": ["play with the dog", "green", "nothing at all \u00e9"], "answer": 1}
{"group": "cats"}
{"question": "Once upon a time there was a", "choices": ["cat", "cathedral"], "answer": 0}
END
task="eval -m $demo --task $dir/task"
run 0 $task -t 1; cp "$dir/out" "$dir/answers"
out_has 'Dogs'; out_has 'acc_norm '; out_has 'acc_token '; out_has '/3'; out_has '  cats '; out_has 'interval by Wilson'
run 0 $task -ub 3 -t 2 --force-threads; same "$dir/answers" "$dir/out"
run 0 $task --json; out_has '"kind":"task"'; out_has '"task":"Dogs","score":"text","n":3,"acc":{"hits":'; out_has '{"name":"cats","n":1,'
sed -n '1,3p' "$dir/task" > "$dir/settings"; sed -n '4,$p' "$dir/task" > "$dir/items"
run 0 eval -m $demo --task $dir/settings --items $dir/items; same "$dir/answers" "$dir/out"
run 0 $task --limit 2 --checkpoint $dir/task.state -q
run 0 $task --checkpoint $dir/task.state; same "$dir/answers" "$dir/out"; err_has 'holds 2 answers'
run 0 $task --checkpoint $dir/task.state; same "$dir/answers" "$dir/out"
refuse 2 'belongs to another evaluation' $task --shots 0 --checkpoint $dir/task.state
for layout in text turns message; do
    run 0 $task --layout $layout -v; err_has 'chosen '
done
refuse 5 'the context holds 16; use fewer --shots' $task -c 16
refuse 2 'there are no questions' eval -m $demo --task $dir/settings

cat > "$dir/generate" << 'END'
{"score": "generate", "find": "text", "length": 8, "after": "dog"}
{"question": "Once upon a time there was a small dog", "answer": "x"}
{"score": "generate", "layout": "turns", "stop": "."}
{"question": "Tell me about a dog.", "answer": "x"}
END
run 0 eval -m $demo --task $dir/generate -v; out_has 'exact '; out_has 'flexible '; err_has 'wrong: '

# ---- Question files that are wrong: one line each, which names file and line
wrong() { # PATTERN LINE..
    pattern=$1
    shift
    printf '%s\n' "$@" > "$dir/wrong"
    run 2 eval -m $demo --task $dir/wrong
    one_error "$pattern"
}
q='{"question": "a", "choices": ["b", "c"], "answer": 1}'
wrong 'wrong:1: "score" is not set before the first question' "$q"
wrong 'wrong:1: .*' '{"score": "text"'
wrong 'wrong:1: a line must be an object' '[1]'
wrong 'wrong:1: "score" must be one of letter text generate' '{"score": "best"}'
wrong 'wrong:1: "score" must be one of' '{"score": 1}'
wrong 'wrong:1: "colour" is no setting' '{"colour": "red"}'
wrong 'wrong:1: "task" must be a string' '{"task": ["x"]}'
wrong 'wrong:1: "length" must be a number' '{"length": 0}'
wrong 'wrong:1: "length" must be a number' '{"length": 1e99}'
wrong 'wrong:2: "choices" must be a list of 2 to 26' '{"score": "text"}' '{"question": "a", "choices": ["b"], "answer": 0}'
wrong 'wrong:2: "choices" must be a string' '{"score": "text"}' '{"question": "a", "choices": ["b", 3], "answer": 0}'
wrong 'wrong:2: "choices" is missing' '{"score": "text"}' '{"question": "a", "answer": "b"}'
wrong 'wrong:2: "answer" is missing' '{"score": "text"}' '{"question": "a", "choices": ["b", "c"]}'
wrong 'wrong:2: "answer" must be the index' '{"score": "text"}' '{"question": "a", "choices": ["b", "c"], "answer": 2}'
wrong 'wrong:2: "answer" must be the index' '{"score": "text"}' '{"question": "a", "choices": ["b", "c"], "answer": -1}'
wrong 'wrong:2: "choices" is missing, and the answer is to be a letter' '{"score": "generate", "find": "letter"}' '{"question": "a", "answer": "b"}'
wrong 'wrong:2: "answer" must be a string' '{"score": "generate"}' '{"question": "a", "answer": 2}'
wrong 'wrong:2: "question" must be a string' '{"score": "text"}' '{"question": 1, "choices": ["b", "c"], "answer": 1}'
wrong 'wrong:2: "task" does not belong to a question' '{"score": "text"}' '{"question": "a", "task": "x", "answer": "b"}'
wrong 'wrong:3: "choices" must be in all shots' '{"score": "text"}' '{"question": "a", "answer": "b", "shot": true}' "$q"
wrong 'wrong:4: all questions of a file must be scored in one way' '{"score": "text"}' "$q" '{"score": "letter"}' "$q"
printf '{"score": "text"}\n{"question": "a\0b", "choices": ["b", "c"], "answer": 1}\n' > "$dir/wrong"
refuse 2 'wrong:2' eval -m $demo --task $dir/wrong
head -c 300000 /dev/zero | tr '\0' '[' > "$dir/wrong"
refuse 2 'wrong:1' eval -m $demo --task $dir/wrong
head -c 3000 $demo > "$dir/wrong"
refuse 2 'wrong:1' eval -m $demo --task $dir/wrong

# ---- imatrix
refuse 2 'imatrix needs a text' imatrix -m $demo -o x
refuse 2 'imatrix needs a file to write' imatrix -m $demo -f $text
refuse 6 'cannot write' imatrix -m $demo -f $text -o $dir/none/x
refuse 1 'use a longer text' imatrix -m $demo -f $dir/short -o $dir/imatrix
run 0 imatrix -m $demo -f $text -o $dir/imatrix -c 64 --chunks 3; out ''; err_has '[3/3] chunks'
run 0 imatrix -m $demo -f $text -o $dir/imatrix2 -c 64 --chunks 3 -t 2 --force-threads -ub 5 -q; same "$dir/imatrix" "$dir/imatrix2"; err_is
if [ "$(head -c 4 "$dir/imatrix")" = GGUF ] && grep -qF blk.7.ffn_down.weight.in_sum2 "$dir/imatrix"; then pass; else fail 'the file'; fi
outputs() { LC_ALL=C tr -c 'a-z0-9_.' '\n' < "$1" | grep -c -e '^output\.weight\.in_sum2$' -e '^token_embd\.weight\.in_sum2$'; }
if [ "$(outputs "$dir/imatrix")" -eq 0 ]; then pass; else fail 'the output was not asked for'; fi
run 0 imatrix -m $demo -f $text -o $dir/imatrix2 -c 64 --chunks 3 -q --process-output
if [ "$(outputs "$dir/imatrix2")" -eq 1 ]; then pass; else fail 'the output is missing'; fi

check_done check_eval.sh
