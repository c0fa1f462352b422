# probe-isa.sh CC ARCH DIR: which levels of isa.def can this compiler build?
# Writes DIR/isa_built.def (the rows, for kernels.c) and DIR/isa.mk (LEVELS and FLAGS_name, for the Makefile).
cc=$1 arch=$2 dir=$3
: > "$dir/isa_built.def"
: > "$dir/probe.c"
levels=
flags_mk=

builds() { # FLAGS: does this compiler, with its assembler, take them? (An empty unit: gcc repeats -march to the assembler.)
    # shellcheck disable=SC2086  # both are lists of words
    $cc $1 -c -o "$dir/probe.o" "$dir/probe.c" < /dev/null > /dev/null 2>&1
}

# A row: ISA(arch, name, bits, "flags")
sed -n "s/^ISA($arch, *\([a-z0-9_]*\),.*\"\(.*\)\")\$/\1 \2/p" src/kernels/isa.def > "$dir/isa_rows"
while read -r name flags; do
    # zig has no -march=armv8.2-a+dotprod: it wants a processor's name before the plus.
    zig_flags=$(echo "$flags" | sed 's/-march=armv[0-9.]*-a+/-march=generic+/')
    if ! builds "$flags"; then
        if [ "$zig_flags" = "$flags" ] || ! builds "$zig_flags"; then
            echo "note: this compiler cannot build the $name level ($flags): left out"
            continue
        fi
        flags=$zig_flags
    fi
    grep "^ISA($arch, *$name," src/kernels/isa.def >> "$dir/isa_built.def"
    levels="$levels $name"
    flags_mk="${flags_mk}FLAGS_$name := $flags
"
done < "$dir/isa_rows"
printf 'LEVELS :=%s\n%s' "$levels" "$flags_mk" > "$dir/isa.mk"
rm -f "$dir/probe.c" "$dir/probe.o" "$dir/isa_rows"
