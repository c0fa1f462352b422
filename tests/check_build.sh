# check_build.sh BUILD_DIR: rules of the tree that no compiler checks. The Makefile stays within GNU make 3.81 (macOS), scripts within what
# macOS and Termux have; sources open with a comment, stay short, and leave printing, exiting and allocating to the files whose job it is;
# a changed compiler or flag rebuilds. From tests/run.sh: CC, PHI_MAKE.
. tests/check.sh

# lint TITLE PATTERN FILES..: no line may match, but comments and the rules themselves.
lint() {
    title=$1 pattern=$2
    shift 2
    none "$title" "$(grep -nE "$pattern" "$@" /dev/null | grep -vE '^[^:]*:[0-9]*:([[:space:]]*(#|//|/?\*)|lint |    none )')"
}

scripts="tests/*.sh tools/*.sh"
sources=$(find src include tests tools -name '*.[ch]' -o -name '*.inc' -o -name '*.def' | grep -v '^tests/golden' | sort)
[ "$(echo "$sources" | wc -l)" -ge 20 ] && pass || fail "found only these sources: $sources"

# ---- GNU make 3.81, of 2006, is what macOS has ----
lint "assignments of newer makes (!=, ::=)" '^[^[:space:]#][^=:]*(!=|::=)' Makefile
lint "define with an assignment" '^[[:space:]]*define[[:space:]]+[^[:space:]]+[[:space:]]*[:?+]?=' Makefile
lint "words of newer makes" '^[[:space:]]*(undefine|private)[[:space:]]|\$[({](file|guile|let|intcmp)[[:space:]]' Makefile
lint "special targets and variables of newer makes" '\.(ONESHELL|SHELLFLAGS|RECIPEPREFIX|EXTRA_PREREQS|NOTINTERMEDIATE|WAIT)' Makefile
lint "grouped targets (&:)" '&:' Makefile

# ---- What macOS does not have, or has otherwise ----
# shellcheck disable=SC2086
lint "commands that macOS lacks" '(^|[[:space:]`(|;&])(sha256sum|timeout|nproc|realpath|tac|shuf|numfmt|setsid|ldd|mapfile|readarray)([[:space:]]|$)' Makefile $scripts
# shellcheck disable=SC2086
lint "options of GNU tools" 'install -D|readlink -f|sed -i|sed -r|stat -c|grep -P|date \+.*%N|xargs -r|cp --|head -c -|sort -V|mktemp -[pt]|--gc-sections' Makefile $scripts
# ---- Termux: no shell and no folder for temporary files at the usual places; scripts are run by make's shell, plain sh ----
# shellcheck disable=SC2086
lint "bashisms" '\[\[|^function |<<<|\$\{[a-z_]+(\[|//|\^|,)|<\(|&>|^[[:space:]]*(declare|local|shopt)[[:space:]]' $scripts
# shellcheck disable=SC2086
lint "paths that Termux lacks" '/bin/sh|/usr/bin' $scripts Makefile
# shellcheck disable=SC2086
lint "calls that Android's libc lacks" 'pthread_setaffinity_np|pthread_getaffinity_np|pthread_cancel|quick_exit' $sources

# ---- The tree ----
everything=$(find Makefile README.md LICENSE models src include tests tools -type f ! -name '*.gguf' ! -name '*.npy' ! -name '*.bin')
# shellcheck disable=SC2086
none "paths of one machine" "$(grep -nE '/([w]ork|[h]ome|[r]oot|[f]arm|[t]mp)(/|[^a-z]|$)' $everything | grep -v '/proc/')"
none "sources that do not open with a comment" "$(for f in $sources $(find tests tools -name '*.sh' -o -name '*.py'); do
    head -n 1 "$f" | grep -qE '^(/\*|//|#|""")' || echo "$f"
done)"
none "files of more than 1,000 lines" "$(for f in $(echo "$sources" | grep -v '^src/kernels/') Makefile README.md; do
    n=$(wc -l < "$f")
    [ "$n" -le 1000 ] || echo "$f: $n"
done)"
library=$(echo "$sources" | grep -E '^src/' | grep -vE '^src/(main\.c|cli/)')
# shellcheck disable=SC2086
lint "the library prints" '(^|[^a-z_])(printf|vprintf|puts|putchar|perror|fputs|fprintf)\(' $library
# shellcheck disable=SC2086
lint "the library exits" '(^|[^a-z_])(_?exit|abort|_Exit)\(' $library
# shellcheck disable=SC2086
lint "allocation outside src/memory.c" '(^|[^a-z_])(malloc|calloc|realloc|strdup|strndup|mmap|posix_memalign|aligned_alloc)\(' \
    $(echo "$sources" | grep -E '^src/' | grep -vE '^src/(memory|file)\.c')

# ---- A changed compiler or flag rebuilds, an unchanged one does not. Tried on one small object in a folder of its own. ----
dir=$1/tests/rebuild
rm -rf "$dir"
compiles() { # VARIABLE=VALUE..: does make compile now? (What this build was started with comes in by the environment.)
    MAKEFLAGS='' MAKELEVEL='' ${PHI_MAKE:-make} B="$dir" OPENMP=0 STATIC=0 "$@" "$dir/version.o" 2>&1 | grep -q -e ' -c -o '
}
rebuilds() { # VARIABLE=VALUE..
    if ! compiles "$@"; then
        fail "no new compilation after: $*"
    elif compiles "$@"; then
        fail "compiled again although nothing changed: $*"
    else
        pass
    fi
}
rebuilds CFLAGS=-O3
rebuilds CFLAGS=-O1
rebuilds OPENMP=1 CFLAGS=-O1
case $(${CC:-cc} -dumpmachine) in
*darwin* | *macos*) skip "macOS has no static programs" ;;
*) rebuilds STATIC=1 CFLAGS=-O1 ;;
esac
rebuilds CC="${CC:-cc} -DANOTHER_COMPILER"
if compiles CFLAGS=-Ofast; then fail "-Ofast is accepted"; else pass; fi
rm -rf "$dir"
check_done check_build
