# check_cli_json.sh BUILD_DIR: the events of --json, line by line; times, memory and paths are masked.
. tests/cli.sh

events_are() { # LINE..: stdout is exactly these lines, times and paths masked
    for line; do echo "$line"; done > "$dir/wanted"
    sed -e 's/"\(load_ms\|ms\|ttft_ms\|gen_ms\)":[0-9.]*/"\1":T/g' -e 's/"peak_rss":[1-9][0-9]*/"peak_rss":R/' -e 's/"model":"[^"]*demo.gguf"/"model":"M"/' \
        -e 's/"threads":[1-9][0-9]*/"threads":N/' -e 's/"logprob":-[0-9.]*/"logprob":P/' "$dir/out" > "$dir/masked"
    if cmp -s "$dir/wanted" "$dir/masked"; then pass; else
        fail "other events"
        diff "$dir/wanted" "$dir/masked" | head -n 10
    fi
}
load='{"event":"load","v":1,"model":"M","arch":"phi3","n_ctx":1024,"threads":N,"seed":1,"load_ms":T}'
end='"ttft_ms":T,"gen_ms":T,"peak_rss":R}'

run 0 -q -p 'Once upon' -n 2 --json -s 1 --temp 0
events_are "$load" '{"event":"prefill","done":3,"total":3}' \
    '{"event":"token","i":0,"id":261,"bytes":[32,97],"logprob":P,"ms":T,"text":" a"}' \
    '{"event":"token","i":1,"id":617,"bytes":[32,116,105,109,101],"logprob":P,"ms":T,"text":" time"}' \
    '{"event":"done","reason":"length","n_prompt":3,"n_gen":2,'"$end"

# Passes of the prompt are told; nothing is generated.
run 0 -q -p 'Once upon' -n 0 --json -s 1 -ub 2
events_are "$load" '{"event":"prefill","done":2,"total":3}' '{"event":"prefill","done":3,"total":3}' \
    '{"event":"done","reason":"length","n_prompt":3,"n_gen":0,'"$end"

# A character of several tokens comes with the last one of them; a stop text is no text.
run 0 -q -p 'x' --json -s 1 --grammar 'root ::= "é"' --temp 0
out_has '"bytes":[195],'; out_has ',"text":""}'; out_has ',"text":"é"}'; out_has '"reason":"eos"'
run 0 chat -q --json -s 1 -st --temp 0 -r love -p 'I have a duck called Jack.'
events_are "$load" '{"event":"prefill","turn":1,"done":11,"total":11}' \
    '{"event":"token","turn":1,"i":0,"id":740,"bytes":[32,74,97,99,107],"logprob":P,"ms":T,"text":"Jack"}' \
    '{"event":"token","turn":1,"i":1,"id":1198,"bytes":[32,115,111,117,110,100,115],"logprob":P,"ms":T,"text":" sounds"}' \
    '{"event":"token","turn":1,"i":2,"id":1197,"bytes":[32,108,111,118,101,108,121],"logprob":P,"ms":T,"text":" "}' \
    '{"event":"done","turn":1,"reason":"stop","n_prompt":11,"n_gen":3,'"$end"

# A resumed text: what the file held back stands before the next token, or in "done"; the texts of all parts are the text.
texts() { sed -n -e 's/^.*"text":"\(.*\)"}$/\1/p' "$dir/out" | tr -d '\n'; }
joined() { # OPTIONS.. of the second part: the texts of both parts are those of one without --session
    what="parts with $*"
    rm -f "$dir/s"
    run 0 -q -p 'Once upon' -n 4 --json --temp 0 -r "$held" --session "$dir/s"
    texts > "$dir/parts"
    run 0 -q --json --temp 0 --session "$dir/s" "$@"
    texts >> "$dir/parts"
    if cmp -s "$dir/whole" "$dir/parts"; then pass; else fail "'$(cat "$dir/parts")' is not '$(cat "$dir/whole")'"; fi
}
run 0 -q -p 'Once upon' -n 4 --json --temp 0
held="$(texts | tail -c 3)zz" # the text may begin with its end
run 0 -q -p 'Once upon' -n 7 --json --temp 0; texts > "$dir/whole"
joined -n 3 -r "$held"
joined -n 3
joined -n 3 -r another
run 0 -q -p 'Once upon' -n 4 --json --temp 0; texts > "$dir/whole"
joined -n 0; out_has '"n_gen":0,'; out_has ',"text":"'
joined -n 0 -p ' again'; out_has ',"text":"'
run 0 -q -st --json --temp 0 -s 1 --special -p 'What is 8 * 10?'
if tail -n 1 "$dir/out" | grep -q '"reason":"eos".*,"text":"<|end|>"}$'; then pass; else fail "no text of the stop token"; fi

# Failures: the last event and the error line; usage errors have only the line.
run 5 -q -p 'Once upon a time' -c 3 --json; err_has 'the prompt has 5 tokens'
events_are '{"event":"error","code":5,"message":"the prompt has 5 tokens, the context holds 3; use -c 5 or more (at most 1024)"}'
run 2 -q -p x --json --top-p 2; err_has '--top-p'; events_are
run 3 -q -p x --json -m "$dir/none.gguf"
if grep -q '^{"event":"error","code":3,"message":".*none.gguf.*"}$' "$dir/out"; then pass; else fail "no error event"; fi

# A talk: one load, a number for each turn, a refused message in its place.
printf 'Hello!\n%s\nHello!\n' "$(head -c 400 /dev/zero | tr '\0' z)" > "$dir/in"
input=$dir/in
run 5 chat -q --json -s 1 --temp 0 -c 100
if [ "$(grep -c '"event":"load"' "$dir/out")" = 1 ] && [ "$(grep -c '"event":"done"' "$dir/out")" = 3 ]; then pass; else fail "one load, three dones"; fi
out_has '"event":"done","turn":2,"reason":"error"'
if tail -n 1 "$dir/out" | grep -q '^{"event":"error","code":5,"message":"turn needs'; then pass; else fail "the error is not the last event"; fi

check_done check_cli_json.sh
