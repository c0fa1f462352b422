# check_cli_refusals.sh BUILD_DIR: what the commands refuse or change when numbers do not fit the model or the machine, and when
# stdin, folders or files are not what they should be. Syntax is check_cli_options.sh's. Runs ./phi with the demo model, from the
# top of the checkout.
. tests/cli.sh
speak() { # LINES..: these are stdin
    printf '%s\n' "$@" > "$dir/lines"
    input=$dir/lines
}
many=$(awk 'BEGIN { for (i = 1; i <= 500; i++) printf "%d ", i }') # some 1,900 tokens

# ---- Numbers that are too large
refuse 2 "ctx-size: 5000 is above the model's context length (1024)" chat -q -c 5000
refuse 2 "ctx-size: 5000 is above the model's context length (1024)" imatrix -f "$demo" -o "$dir/x" -c 5000
run 0 run -p Once -n 1 -tb 1000; err_has 'phi: warning: --threads-batch: 1000 lowered to '
run 0 bench -m $demo -t 1000 -p 2 -n 1 -r 1; err_has 'phi: warning: --threads: 1000 lowered to '
speak hi "$many" 'hi again' /tokens
run 5 chat --temp 0 -n 4
err_has 'tokens, '; err_has 'try /undo or /clear'; err_has 'in 2 turns'
run 5 chat --temp 0 -n 4 --on-overflow drop-oldest
err_has 'the message needs '; err_has 'tokens, the context holds 1024; shorten it'; err_has 'in 2 turns'
speak hello '/show system' "/system $many" /tokens '/system be brief' '/show system'
run 5 chat --temp 0 -n 4
err_has 'there is no system prompt'; err_has 'with this system prompt the conversation does not fit into 1024 tokens; /undo or /clear'
err_has 'in 1 turn'; err_has 'be brief'

# ---- Sessions
input=$dir/empty
refuse 2 'session needs the name of a file' run -p x --session ''
refuse 2 'prompt-cache needs the name of a file' run -p x --prompt-cache ''
refuse 2 'exclude each other' run -p x --prompt-cache "$dir/c" --prompt-cache-all --prompt-cache-ro
run 0 run -q -p Once -n 5 --temp 0
cp "$dir/out" "$dir/straight"
run 0 run -q -p Once -n 5 --temp 0 --prompt-cache "$dir/c" --prompt-cache-ro; same "$dir/out" "$dir/straight"; err_is
if [ -e "$dir/c" ]; then fail "a cache that is only read was made"; else pass; fi
run 0 run -q -p Once -n 5 --temp 0 --prompt-cache "$dir/c"; same "$dir/out" "$dir/straight"
printf '\377\377\377\377' | dd of="$dir/c" bs=1 seek=9 conv=notrunc 2> /dev/null # its version
cp "$dir/c" "$dir/was"
run 0 run --no-perf -p Once -n 5 --temp 0 --prompt-cache "$dir/c" --prompt-cache-ro; same "$dir/out" "$dir/straight"
err_has 'c: session ignored: '; same "$dir/c" "$dir/was"
if [ -e "$dir/c.bad" ]; then fail "a cache that is only read was moved"; else pass; fi
speak hello hello hello hello '/save big' '/save big'
run 0 chat -n 4 --temp 0; err_has '4 turns saved to '
speak '/load big' /tokens hello
run 5 chat -n 4 --temp 0 -c 30; err_has 'big: '; err_has 'context holds 30'; err_has '0 of 30 tokens in 0 turns'
speak '/load big' /tokens
run 0 chat; err_has '4 turns resumed'; err_has 'in 4 turns'
speak "/load $dir"
run 2 chat; err_has 'is not a regular file'

# ---- Streams and folders
input=/
run 1 chat -q; err_is 'phi: error: stdin: Is a directory'
input=$dir/empty
HOME='' XDG_CONFIG_HOME='' XDG_STATE_HOME=''
export HOME XDG_CONFIG_HOME
refuse 6 'no place to keep the thread counts: set XDG_CONFIG_HOME or HOME' bench --tune
speak '/save x'
run 2 chat; err_has 'there is no folder for sessions: neither XDG_STATE_HOME nor HOME is set'
check_done check_cli_refusals
