# run.sh BUILD_DIR SHELL: run every test program and, with SHELL, every tests/check_*.sh, from the top of the checkout; add up
# their totals. (The environment's SHELL is the user's, which may be no Bourne shell.)
# $PHI_CHECK: only tests whose files match one of these patterns ("*.c check_cli.sh").
# The last line is "N passed, N failed, N skipped"; the status is 1 if anything failed.
build=$1 shell=$2
passed=0 failed=0 skipped=0
log=$build/tests/log
mkdir -p "$build/tests"

add_up() { # NAME STATUS: totals from the last line of the log
    totals=$(sed -n 's/^[^:]*: \([0-9]*\) passed, \([0-9]*\) failed, \([0-9]*\) skipped$/\1 \2 \3/p' "$log" | tail -n 1)
    cat "$log"
    set -- "$1" "$2" $totals
    if [ $# -ne 5 ]; then
        echo "FAIL $1: ended with status $2 and without totals"
        failed=$((failed + 1))
        return
    fi
    passed=$((passed + $3)) failed=$((failed + $4)) skipped=$((skipped + $5))
    if [ "$2" -ne 0 ] && [ "$4" -eq 0 ]; then
        echo "FAIL $1: status $2"
        failed=$((failed + 1))
    fi
}

wanted() { # FILE
    [ -n "${PHI_CHECK:-}" ] || return 0
    set -f # patterns are for case, not for files
    for pattern in $PHI_CHECK; do
        # shellcheck disable=SC2254
        case $1 in $pattern) set +f; return 0 ;; esac
    done
    set +f
    return 1
}

for source in tests/check_*.c; do
    wanted "${source#tests/}" || continue
    name=$(basename "$source" .c)
    ${PHI_RUN:-} "$build/tests/$name" > "$log" 2>&1
    add_up "$name" $?
done
for script in tests/check_*.sh; do
    wanted "${script#tests/}" || continue
    "$shell" "$script" "$build" > "$log" 2>&1
    add_up "$(basename "$script")" $?
done
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
