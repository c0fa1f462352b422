# cli.sh: what the tests of the command line share, which source it: a folder for files, the demo model, a run of the program whose
# exit code, stdout and stderr are compared. The test's argument is the build folder.
. tests/check.sh
build=$1
top=$(pwd -P)
dir=$build/tests/$(basename "$0" .sh)
case $dir in /*) full=$dir ;; *) full=$top/$dir ;; esac
demo=models/demo.gguf
program=./phi
unset PHI_MODEL
LC_ALL=C XDG_STATE_HOME=$full/state
export LC_ALL XDG_STATE_HOME
rm -rf "$dir"
mkdir -p "$dir"
: > "$dir/empty"

fail() { # WHAT: with what the program said; in place of that of check.sh
    failed=$((failed + 1))
    echo "FAIL $(basename "$0"): $what: $1"
    echo "  stdout: $(head -n 3 "$dir/out")"
    echo "  stderr: $(head -n 3 "$dir/err")"
}

# run STATUS ARGUMENTS...: run the program with the file $input as stdin and compare the exit code
input=$dir/empty
run() {
    status=$1
    shift
    what="phi $*"
    ${PHI_RUN:-} "$program" "$@" < "$input" > "$dir/out" 2> "$dir/err"
    got=$?
    if [ $got -eq "$status" ]; then pass; else fail "exit code $got, expected $status"; fi
}
out() { # TEXT: stdout is exactly this (printf escapes)
    printf "$1" > "$dir/want"
    if cmp -s "$dir/want" "$dir/out"; then pass; else fail "stdout is not '$1'"; fi
}
out_has() { if grep -qF -e "$1" "$dir/out"; then pass; else fail "stdout lacks '$1'"; fi; }
err_has() { if grep -qF -e "$1" "$dir/err"; then pass; else fail "stderr lacks '$1'"; fi; }
err_is() { # LINE: stderr is exactly this line; without argument: nothing
    if [ $# -eq 0 ]; then : > "$dir/want"; else printf '%s\n' "$1" > "$dir/want"; fi
    if cmp -s "$dir/want" "$dir/err"; then pass; else fail "stderr is not '${1:-}'"; fi
}
one_error() { # PATTERN: one line on stderr, an error with this text; nothing on stdout
    if [ "$(wc -l < "$dir/err")" -eq 1 ] && grep -q "^phi: error: .*$1" "$dir/err" && [ ! -s "$dir/out" ]; then pass
    else fail "expected one error line with '$1' and no output"; fi
}
refuse() { # STATUS PATTERN ARGUMENTS...
    wanted=$1 pattern=$2
    shift 2
    run "$wanted" "$@"
    one_error "$pattern"
}
same() { if cmp -s "$1" "$2"; then pass; else fail "$1 and $2 differ"; fi; }
