# check_corpus.sh BUILD_DIR: every fuzz target, built as a plain program, over its corpus in tests/corpus: one pass for each file. How the
# files came to be: fuzz_replay.h.
. tests/check.sh
build=$1

for source in tests/fuzz_*.c; do
    name=$(basename "$source" .c)
    name=${name#fuzz_}
    set -- tests/corpus/"$name"/*
    if [ ! -f "$1" ]; then
        fail "$name: no files in tests/corpus/$name"
        continue
    fi
    # shellcheck disable=SC2086  # a command with its arguments, or nothing
    if log=$(${PHI_RUN:-} "$build/tests/fuzz_$name" "$@" 2>&1) && [ "$log" = "$# files replayed" ]; then
        passed=$((passed + $#))
        continue
    fi
    before=$failed # which one is it?
    for file in "$@"; do
        # shellcheck disable=SC2086
        if log=$(${PHI_RUN:-} "$build/tests/fuzz_$name" "$file" 2>&1); then
            pass
        else
            fail "$name: $file: $log"
        fi
    done
    [ "$failed" -gt "$before" ] || fail "$name: its files do not run in one process"
done
check_done check_corpus
