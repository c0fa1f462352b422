# probe-isa.sh CC ARCH DIR: which levels of isa.def can this compiler build?
# Writes DIR/isa_built.def (the rows, for kernels.c) and DIR/isa.mk (LEVELS and FLAGS_name, for the Makefile).
cc=$1 arch=$2 dir=$3
: > "$dir/isa_built.def"
: > "$dir/probe.c"
levels=
flags_mk=
# A row: ISA(arch, name, bits, "flags")
sed -n "s/^ISA($arch, *\([a-z0-9]*\),.*\"\(.*\)\")\$/\1 \2/p" src/kernels/isa.def > "$dir/isa_rows"
while read -r name flags; do
    # The empty unit, then with assembler: a compiler may know a flag that its assembler does not.
    if $cc $flags -c -o "$dir/probe.o" "$dir/probe.c" 2> /dev/null; then
        grep "^ISA($arch, *$name," src/kernels/isa.def >> "$dir/isa_built.def"
        levels="$levels $name"
        flags_mk="${flags_mk}FLAGS_$name := $flags
"
    else
        echo "note: this compiler cannot build the $name level ($flags): left out"
    fi
done < "$dir/isa_rows"
printf 'LEVELS :=%s\n%s' "$levels" "$flags_mk" > "$dir/isa.mk"
rm -f "$dir/probe.c" "$dir/probe.o" "$dir/isa_rows"
