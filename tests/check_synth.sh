# check_synth.sh BUILD_DIR: models that tools/synth makes. Sizes of full-size files equal the published ones; a tiny model of every mix of
# types runs, with the same bits on the reference kernels and on the best ones; a full disk is noticed.
. tests/check.sh
synth=$1/tools/synth
dir=$1/tests/synth
mkdir -p "$dir"
if [ ! -x ./phi ]; then
    skip "no ./phi"
    check_done check_synth
    exit
fi

# Bytes of all tensors: mini-4k Q4_K_M from the log of Microsoft's file, the others from community files of the same mix.
size() { # SHAPE MIX TENSORS BYTES
    said=$(${PHI_RUN:-} "$synth" "$1" "$2" none --dry-run)
    case $said in
    *" $3 tensors, $4 bytes of tensors") pass ;;
    *) fail "$1 $2: wanted $3 tensors, $4 bytes; synth says: $said" ;;
    esac
}
size phi-3-mini-4k q4_k_m 195 2392493568
size phi-3-mini-4k q4_0 195 2175438336
size phi-3-mini-4k q4_k_s 195 2188021248
size phi-3-mini-4k q5_k_m 195 2814537216
size phi-3-mini-4k q6_k 195 3135114240
size phi-3-mini-4k q8_0 195 4060483584
size phi-3-mini-4k iq4_xs 195 2059113984
size phi-3-mini-4k f16 195 7642558464
size phi-3-medium-4k q4_k_m 243 8566080000
size phi-4-mini q4_k_m 196 2483623296

runs() { # MIX OPTION..: a tiny model of it runs, and every level computes the same
    mix=$1
    shift
    model=$dir/$mix.gguf
    rm -f "$model" "$dir"/out.*
    if ! log=$(${PHI_RUN:-} "$synth" tiny "$mix" "$model" "$@" 2>&1); then
        fail "tiny $mix $*: $log"
    elif ! log=$(${PHI_RUN:-} ./phi logits -m "$model" --ids 1,300,301,302,303,304,305 --isa scalar --greedy 2 -o "$dir/out.scalar" 2>&1); then
        fail "tiny $mix $* does not run: $log"
    elif ! log=$(${PHI_RUN:-} ./phi logits -m "$model" --ids 1,300,301,302,303,304,305 -ub 3 -o "$dir/out.best" 2>&1); then
        fail "tiny $mix $* does not run on the best kernels: $log"
    elif ! log=$(cmp "$dir/out.scalar" "$dir/out.best" 2>&1); then
        fail "tiny $mix $*: other logits on the best kernels: $log"
    else
        pass
    fi
    rm -f "$model" "$dir"/out.*
}
mixes=$(${PHI_RUN:-} "$synth" --help | sed -n 's/^mixes: //p')
[ "$(echo "$mixes" | wc -w)" -ge 18 ] && pass || fail "synth --help lists the mixes: $mixes"
for mix in $mixes; do runs "$mix"; done
runs q4_k_m --split
runs q4_0 --tied
runs q8_0 --longrope --orig-ctx 64 --ctx 512
runs q4_0 --type ffn_down=Q4_1 --type blk.1=IQ4_NL --heads 8 --kv-heads 2 --layers 3 --ff 768

# The text of the made-up vocabulary survives a round trip.
${PHI_RUN:-} "$synth" tiny f16 "$dir/vocab.gguf" > /dev/null
text="a tale of zzz, Ωmega"
ids=$(${PHI_RUN:-} ./phi tokenize -m "$dir/vocab.gguf" --ids -p "$text")
back=$(${PHI_RUN:-} ./phi tokenize -m "$dir/vocab.gguf" --decode -p "$ids")
[ "$back" = "$text" ] || [ "$back" = " $text" ] && pass || fail "'$text' comes back as '$back' ($ids)"
rm -f "$dir/vocab.gguf"

refuses() { # TITLE OPTION..
    title=$1
    shift
    if log=$(${PHI_RUN:-} "$synth" "$@" 2>&1); then
        fail "accepted: $title"
    elif [ "$(echo "$log" | wc -l)" -ne 1 ]; then
        fail "$title: more than one line: $log"
    else
        pass
    fi
}
refuses "a row that is no whole number of blocks" tiny q4_k "$dir/bad.gguf" --ff 800
refuses "heads that do not divide the width" tiny q4_0 "$dir/bad.gguf" --heads 3
refuses "a type that does not exist" tiny q4_0 "$dir/bad.gguf" --type ffn=Q9_9
refuses "a vocabulary that is no model" tiny q4_0 "$dir/bad.gguf" --vocab README.md
if [ -c /dev/full ]; then refuses "a full disk" tiny q4_0 /dev/full; else skip "no /dev/full"; fi
[ ! -e "$dir/bad.gguf" ] && pass || fail "a refused model left a file behind"
check_done check_synth
