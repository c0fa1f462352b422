# check_api.sh BUILD_DIR: what a program that uses the library depends on. The header alone, the symbols, the README's example.
# From tests/run.sh: CC and PHI_FLAGS (the flags of this build), PHI_RUN (an emulator, for a cross build).
. tests/check.sh
CC=${CC:-cc}
dir=$1/tests/api
rm -rf "$dir"
mkdir -p "$dir"

# The header, as the first and only one.
echo '#include "phi.h"' > "$dir/alone.c"
cp "$dir/alone.c" "$dir/alone.cpp"
# shellcheck disable=SC2086  # CC is a list of words
works "include/phi.h alone, as C11" $CC -std=c11 -Wall -Wextra -Wpedantic -Werror -Iinclude -c -o "$dir/alone.o" "$dir/alone.c"
# (Try the C compiler of the same name first: the default name may be another compiler's.)
cxx=
for candidate in ${CXX:-} "$(echo "$CC" | sed 's/gcc/g++/; s/clang/clang++/; s/\(zig.*\) cc/\1 c++/')" c++; do
    # A C compiler takes an empty C++ file too, but has no C++ library.
    printf '#include <cstddef>\nstatic_assert(sizeof(std::size_t) > 0, "");\n' > "$dir/probe.cpp"
    if $candidate -std=c++17 -c -o "$dir/probe.o" "$dir/probe.cpp" > /dev/null 2>&1; then
        cxx=$candidate
        break
    fi
done
if [ -n "$cxx" ]; then
    # shellcheck disable=SC2086
    works "include/phi.h alone, as C++17" $cxx -std=c++17 -Wall -Wextra -Wpedantic -Werror -Iinclude -c -o "$dir/alone.o" "$dir/alone.cpp"
else
    skip "no C++ compiler"
fi

# Symbols. macOS puts _ before each.
nm=$($CC -print-prog-name=nm 2> /dev/null)
defined=$("${nm:-nm}" -g libphi.a 2> /dev/null | sed -n 's/^[0-9a-f][0-9a-f]* [A-TV-Z] _\{0,1\}\(.*\)$/\1/p' | sort -u)
if [ -n "$defined" ]; then
    # Instrumented builds add symbols of their own.
    none "global symbols of libphi.a that do not begin with phi_" "$(echo "$defined" | grep -Ev '^(phi_|_*asan_|_*gcov_|_*llvm_|_*odr_asan)')"
    declared=$(grep -o 'phi_[a-z_]*(' include/phi.h | sed 's/($//' | grep -v '_fn$' | sort -u)
    none "declared in include/phi.h, missing in libphi.a" "$(for f in $declared; do echo "$defined" | grep -qx "$f" || echo "$f"; done)"
    [ "$(echo "$declared" | wc -l)" -ge 20 ] && pass || fail "only these functions found in include/phi.h: $declared"
else
    skip "nm does not read libphi.a"
fi

# The README's example is the one block of C in it.
sed -n '/^```c$/,/^```$/p' README.md | sed '/^```/d' > "$dir/example.c"
lines=$(wc -l < "$dir/example.c")
if [ "$lines" -ge 10 ] && [ "$lines" -le 40 ]; then pass; else fail "the example in README.md has $lines lines, wanted 10 to 40"; fi
# shellcheck disable=SC2086
works "the README's example builds" $CC -std=c11 -Wall -Wextra -Wpedantic -Werror ${PHI_FLAGS:-} -Iinclude -o "$dir/example" "$dir/example.c" libphi.a -lm -pthread
if [ -x "$dir/example" ]; then
    if said=$(${PHI_RUN:-} "$dir/example" 2>&1) && [ "${#said}" -ge 20 ]; then pass; else fail "the README's example says: $said"; fi
    if ${PHI_RUN:-} "$dir/example" README.md > "$dir/refused" 2>&1; then
        fail "the README's example takes README.md for a model"
    elif grep -q 'README.md' "$dir/refused"; then
        pass
    else
        fail "the README's example, given README.md for a model, does not name it: $(cat "$dir/refused")"
    fi
fi
check_done check_api
