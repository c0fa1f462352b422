# check_schema_cli.sh BUILD_DIR: -j and -jf as a user meets them.
. tests/cli.sh

none="-m $dir/none.gguf -p x"
refuse 2 "schema: #/properties/x: keyword 'not' is not supported" $none -j '{"properties":{"x":{"not":{}}}}'
refuse 2 "schema: line 1, column 2: expected a key in quotes" $none -j '{'
refuse 2 "schema: #: nothing can satisfy it" chat $none --json-schema false
refuse 2 "-j and -jf exclude each other" $none -j '{}' -jf x
refuse 2 "--grammar and -j exclude each other" $none --grammar 'root ::= "a"' -j '{}'
refuse 1 "nothing.json: No such file" $none -jf "$dir/nothing.json"
printf '{"type":\n "text"}' > "$dir/bad.json"
refuse 2 "bad.json: schema: #/type: 'text' is not a type" $none --json-schema-file "$dir/bad.json"

# ---- Answers: whole with any -n, nothing else on stdout
refuse 5 "shortest answer takes" -q -m $demo -p x -n 1 -j '{"const":"a long word"}'
printf '{"type":"object","properties":{"n":{"type":"integer","minimum":10,"maximum":99}},"required":["n"]}\n' > "$dir/n.json"
for seed in 1 2 3 4; do
    run 0 -q -m $demo -p 'Once upon a time' -n 40 -s $seed -jf "$dir/n.json"
    if grep -q -x '{"n": \{0,1\}[1-9][0-9]}' "$dir/out"; then pass; else fail "seed $seed: $(cat "$dir/out")"; fi
done
run 0 -q -m $demo -p 'Once upon a time' -n 40 -j '{"enum":["\u00e4"]}'; out '"ä"'
run 0 chat -q -m $demo -st -p 'Tell me a story.' -j '{"type":"boolean"}'
case $(cat "$dir/out") in true | false) pass ;; *) fail "neither true nor false: $(cat "$dir/out")" ;; esac
check_done check_schema_cli.sh
