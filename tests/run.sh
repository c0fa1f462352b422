# run.sh BUILD_DIR SHELL: run every test program and, with SHELL, every tests/check_*.sh, from the top of the checkout; add up
# their totals. (The environment's SHELL is the user's, which may be no Bourne shell.)
# $PHI_CHECK: only tests whose files match one of these patterns ("*.c check_cli.sh"). $PHI_JOBS: so many at once; else one for each
# core. Every test has a log of its own, in BUILD_DIR/tests/logs, and they are shown in the same order each time.
# The last line is "N passed, N failed, N skipped"; the status is 1 if anything failed.
build=$1 shell=$2
logs=$build/tests/logs
rm -rf "$logs"
mkdir -p "$logs"
jobs=${PHI_JOBS:-$(getconf _NPROCESSORS_ONLN 2> /dev/null || echo 1)}

# The longest are begun first, so that at the end no core waits for one of them.
first="check_session_file.c check_failures.c check_session.c check_cli_session.sh check_engine.c check_eval.sh check_cli_terminal.c check_cli.sh"

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

tests=
for file in $first $(cd tests && echo check_*.c check_*.sh); do
    wanted "$file" || continue
    case " $tests " in *" $file "*) ;; *) tests="$tests $file" ;; esac
done

[ -n "$tests" ] || {
    echo "FAIL no test matches '$PHI_CHECK'"
    exit 1
}

# xargs, because a shell lets what it starts with & ignore Ctrl-C, and some tests send that themselves. Each prints its name when done;
# its status gets its name only when whole.
export build shell logs
# shellcheck disable=SC2016,SC2086
printf '%s\n' $tests | xargs -n 1 -P "$jobs" "$shell" -c '
    case $1 in
    *.c) ${PHI_RUN:-} "$build/tests/${1%.c}" ;;
    *) "$shell" "tests/$1" "$build" ;;
    esac > "$logs/$1" 2>&1 < /dev/null
    echo $? > "$logs/$1.part"
    mv "$logs/$1.part" "$logs/$1.status"
    echo "$1"' run | {
    passed=0 failed=0 skipped=0

    add_up() { # NAME STATUS LOG: totals from the last line of the log
        totals=$(sed -n 's/^[^:]*: \([0-9]*\) passed, \([0-9]*\) failed, \([0-9]*\) skipped$/\1 \2 \3/p' "$3" | tail -n 1)
        cat "$3"
        # shellcheck disable=SC2086
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

    # shellcheck disable=SC2086
    set -- $tests
    while read -r _; do
        while [ $# -gt 0 ] && [ -f "$logs/$1.status" ]; do
            add_up "${1%.c}" "$(cat "$logs/$1.status")" "$logs/$1"
            shift
        done
    done
    # Whoever has not reported by now never will: xargs did not run, or somebody has ended it.
    for file; do
        echo "FAIL ${file%.c}: did not run"
        failed=$((failed + 1))
    done
    echo "$passed passed, $failed failed, $skipped skipped"
    [ "$failed" -eq 0 ]
}
