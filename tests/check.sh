# check.sh: counts for test scripts, which source it (. tests/check.sh). Prints only what failed and what could not run; the last line
# is what tests/run.sh adds up. Plain POSIX sh: macOS and Termux run these too.
passed=0 failed=0 skipped=0

pass() {
    passed=$((passed + 1))
}

fail() { # WHAT..
    failed=$((failed + 1))
    echo "FAIL $(basename "$0"): $*"
}

skip() { # WHY..
    skipped=$((skipped + 1))
    echo "skip: $*"
}

none() { # TITLE LINES: there should be no lines
    if [ -z "$2" ]; then
        pass
    else
        fail "$1:"
        echo "$2" | head -n 10
    fi
}

works() { # TITLE COMMAND..: the command should succeed; its output is shown if not
    title=$1
    shift
    if log=$("$@" 2>&1); then
        pass
    else
        fail "$title"
        echo "$log" | tail -n 10
    fi
}

check_done() { # NAME
    echo "$1: $passed passed, $failed failed, $skipped skipped"
    [ "$failed" -eq 0 ]
}
