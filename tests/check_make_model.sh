# check_make_model.sh BUILD_DIR: phi quantize and phi convert as a user meets them: usage errors, files that cannot be made, nothing
# half done left behind, the same file for every number of threads, and the logits of converted reference folders.
. tests/cli.sh
new=$dir/new.gguf
left() { # WHAT: no new file and no unfinished one
    what=$1
    if ls "$dir" | grep -q 'new\.gguf'; then fail "files are left: $(ls "$dir" | grep 'new\.gguf')"; else pass; fi
    rm -f "$dir"/new.gguf*
}

# ---- Words
refuse 2 "quantize needs IN OUT TYPE" quantize
refuse 2 "quantize needs IN OUT TYPE" quantize $demo $new
refuse 2 "'q9' is not a type (f32 f16" quantize $demo $new q9
refuse 2 "'none' is not a number of threads" quantize $demo $new q8_0 none
refuse 2 "'0' is not a number of threads" quantize $demo $new q8_0 0
refuse 2 "unexpected word 'more'" quantize $demo $new q8_0 2 more
refuse 2 "'ffn' is not PATTERN=TYPE" quantize $demo $new q8_0 --tensor-type ffn
refuse 2 "'=q8_0' is not PATTERN=TYPE" quantize $demo $new q8_0 --tensor-type =q8_0
refuse 2 "'|' in 'a|b=q8_0' is a mark of regular" quantize $demo $new q8_0 --tensor-type 'a|b=q8_0'
refuse 2 "'q4_k_m' is not a format of tensors" quantize $demo $new q8_0 --tensor-type ffn=q4_k_m
refuse 2 "'x' is not a format of tensors" quantize $demo $new q8_0 --output-tensor-type x
refuse 2 "no tensor of the model has such a name" quantize $demo $new q8_0 --allow-requantize --tensor-type nothing=q8_0
refuse 2 "is Q4_0 already" quantize $demo $new q8_0
refuse 2 "convert needs DIR OUT" convert $dir
refuse 2 "--outtype: 'q4_0' is none of auto" convert $dir $new --outtype q4_0
left "words"

# ---- Files that are not there, or cannot be made
refuse 3 "No such file" quantize $dir/none.gguf $new q8_0
refuse 3 "not a GGUF file" quantize README.md $new q8_0
refuse 3 "has no config.json" convert $dir $new
refuse 3 "No such file" quantize $demo $new q8_0 --allow-requantize --imatrix $dir/none.imatrix
refuse 6 "its folder does not exist" quantize $demo $dir/none/new.gguf q8_0 --allow-requantize
refuse 6 "is not a regular file" quantize $demo $dir q8_0 --allow-requantize
cp $demo $dir/in.gguf
refuse 2 "cannot take the place" quantize $dir/in.gguf $dir/in.gguf q8_0 --allow-requantize
same $demo $dir/in.gguf
left "files"

# ---- A limit on the size of files, in blocks of 512 bytes: what is written is taken back
what="a file that becomes too large"
(ulimit -f 2000 && exec ${PHI_RUN:-} ./phi quantize $demo $new f32 --allow-requantize) > "$dir/out" 2> "$dir/err"
if [ $? -eq 6 ]; then pass; else fail "expected the exit code 6"; fi
err_has "cannot be written"
left "too large"

# ---- The same file for every number of threads, and a model that answers
run 0 quantize $demo $dir/one.gguf q4_k_m 1 --allow-requantize; out ""
err_has "bits per weight"
run 0 quantize $demo $dir/three.gguf Q4_K_M 3 --allow-requantize -q; err_is
same $dir/one.gguf $dir/three.gguf
run 0 run -m $dir/one.gguf -p "Once upon a time" -n 4 --temp 0 -q
run 0 quantize $demo $new q5_0 --allow-requantize --dry-run --tensor-type blk.0.=f16 --token-embedding-type q8_0
out_has "blk.0.ffn_up.weight Q4_0 F16"; out_has "blk.1.ffn_up.weight Q4_0 Q5_0"; out_has "token_embd.weight Q8_0 Q8_0"
left "dry run"
run 0 info $dir/one.gguf; out_has "Q4_K - Medium"
rm -f $dir/one.gguf $dir/three.gguf

# ---- A signal in the middle: nothing is left
if [ -z "${PHI_RUN:-}" ]; then
    what="SIGTERM"
    ./phi quantize $demo $new iq4_xs 1 --allow-requantize 2> "$dir/err" &
    pid=$!
    for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
        ls "$dir" | grep -q part && break
        sleep 0.05
    done
    kill $pid
    wait $pid 2> "$dir/err"
    got=$?
    case $got in
    143) left "SIGTERM" ;;
    0) rm -f $new ;; # a machine faster than kill
    *) fail "status $got" ;;
    esac
fi

# ---- Reference folders: the file made of a folder gives the bits of the reference's own file
cases=${PHI_SHARED:-../shared}/reference/cases
if [ -d "$cases" ]; then
    for name in mini medium-gqa mini-longrope mini-window phi4-mini; do
        run 0 convert $cases/$name $dir/$name.gguf
        err_has "token ids only"
        for file in $dir/$name.gguf $cases/$name.gguf; do
            run 0 logits -m $file --ids 1,5,9,200,33,7,18,44,2,81,90,17,60,3,77,54,28,64,99,120,31,8,15,16,23,42,4,88,105,11,12,13,14,21,22 -o $dir/$(basename "$(dirname $file)").f32 -q
        done
        same $dir/check_make_model.f32 $dir/cases.f32
        rm -f $dir/$name.gguf
    done
    refuse 3 "architectures is 'Phi3SmallForCausalLM'" convert $cases/small $new
    left "another architecture"
else
    skip "no reference folders at $cases"
fi
check_done check_make_model
