# check_grammar_cli.sh BUILD_DIR: --grammar and --grammar-file as a user meets them.
. tests/cli.sh

none="-m $dir/none.gguf -p x"
yes_no='root ::= "yes" | "no"'
refuse 2 "grammar: line 1, column 10: the quotation mark is not closed" $none --grammar 'root ::= "a'
refuse 2 "grammar: line 2, column 3: there is no rule 'b'" $none --grammar 'root ::=
  b'
refuse 2 "grammar: there is no rule 'root'" $none --grammar ''
refuse 2 "rule 'root': left recursion" $none --grammar 'root ::= root "a" | "b"'
refuse 2 "exclude each other" $none --grammar "$yes_no" --grammar-file x
refuse 1 "nothing.gbnf: No such file" $none --grammar-file "$dir/nothing.gbnf"
printf 'root ::= [a' > "$dir/bad.gbnf"
refuse 2 "bad.gbnf: grammar: line 1, column 10: the bracket is not closed" $none --grammar-file "$dir/bad.gbnf"
refuse 2 "bad.gbnf" chat $none --grammar-file "$dir/bad.gbnf"

# ---- Answers: complete with any -n, nothing else on stdout
run 0 -m $demo -p 'Once upon a time' -n 20 --grammar "$yes_no"; err_has 'stop reason = eos'
run 0 -q -m $demo -p 'Once upon a time' -n 20 --temp 0 --ignore-eos --grammar 'root ::= "a" | "b" "c"'
case $(cat "$dir/out") in a | bc) pass ;; *) fail "neither a nor bc: $(cat "$dir/out")" ;; esac
refuse 5 "the grammar's shortest answer takes 3 tokens, n_predict is 2" -q -m $demo -p x -n 2 --grammar 'root ::= "\u20ac"'
refuse 5 "takes 30 tokens, the context has room for" -q -m $demo -p x -c 20 --grammar 'root ::= [\x01]{30}'
run 0 -q -m $demo -p x -n 3 --grammar 'root ::= "\u20ac"'; out '€'
cat > "$dir/list.gbnf" << 'END'
# a list of words
root ::= "[" (word ("," word)*)? "]"
word ::= [a-z]+
END
for n in 2 3 4 5 6 7 8 9 20; do
    run 0 -q -m $demo -p 'Once upon a time' -n $n -s 4 --grammar-file "$dir/list.gbnf"
    if grep -q -x '\[\([a-z][a-z]*\(,[a-z][a-z]*\)*\)\{0,1\}\]' "$dir/out" || [ "$(cat "$dir/out")" = '[]' ]; then pass; else fail "-n $n: $(cat "$dir/out")"; fi
done
run 0 -q -m $demo -p 'Once upon a time' -n -2 -c 40 --grammar-file "$dir/list.gbnf"
case $(cat "$dir/out") in '['*']') pass ;; *) fail "-n -2: $(cat "$dir/out")" ;; esac

# ---- Chat: the space before an answer is not the grammar's; each answer begins anew
run 0 chat -q -m $demo -st -p 'Tell me a story.' --grammar "$yes_no"
case $(cat "$dir/out") in yes | no) pass ;; *) fail "neither yes nor no: $(cat "$dir/out")" ;; esac
printf 'One?\nTwo?\n' > "$dir/messages"
${PHI_RUN:-} ./phi chat -q -m $demo --grammar "$yes_no" < "$dir/messages" > "$dir/out" 2> "$dir/err"
if [ "$(grep -c -x -e yes -e no "$dir/out")" = 2 ]; then pass; else fail "two answers: $(cat "$dir/out")"; fi
${PHI_RUN:-} ./phi chat -q -m $demo -n 1 --grammar 'root ::= [\x01]{9}' < "$dir/messages" > "$dir/out" 2> "$dir/err"
status=$?
if [ $status = 5 ] && [ ! -s "$dir/out" ] && [ "$(grep -c 'takes 9 tokens' "$dir/err")" = 2 ]; then pass; else fail "status $status: $(cat "$dir/err")"; fi
check_done check_grammar_cli.sh
