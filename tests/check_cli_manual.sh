# check_cli_manual.sh BUILD_DIR: the option table, the help, the man page and the completions of three shells say the same.
. tests/cli.sh

# The first strings of the rows are the names: one a line, of all commands.
sed -n 's/^OPTION("\([^"]*\)".*/\1/p' src/cli/options.def | tr -d ' ' | tr ',' '\n' | sort -u > "$dir/table"
if [ "$(wc -l < "$dir/table")" -gt 100 ]; then pass; else what=options.def; fail "too few options were found"; fi
agree() { # TITLE: $dir/found has the names of the table
    what=$1
    sort -u "$dir/found" > "$dir/names"
    none "$1 lacks or adds" "$(diff "$dir/table" "$dir/names")"
}

run 0 --help-all
sed -n 's/^  \(-.*\)/\1/p' "$dir/out" | awk '{ for (i = 1; i <= NF && $i ~ /^-/; i++) { print $i; if ($i !~ /,$/) break } }' | tr -d , > "$dir/found"
agree --help-all
run 0 --man
sed -n 's/^\.B \(\\-.*\)/\1/p' "$dir/out" | sed 's/ *\\fI.*//; s/\\-/-/g' | tr -d ' ' | tr ',' '\n' > "$dir/found"
agree --man
if command -v groff > /dev/null; then
    none "groff complains of the man page" "$(groff -man -Tutf8 -ww -z "$dir/out" 2>&1)"
else
    skip "no groff to read the man page"
fi
run 0 --completion-fish
sed -n "s/.*\(seen_subcommand_from [a-z]*\)' \(.*\)/\2/p" "$dir/out" |
    awk '{ for (i = 1; i < NF; i++) { if ($i == "-l") print "--" $(i + 1); else if ($i == "-s" || $i == "-o") print "-" $(i + 1); else break; i++ } }' > "$dir/found"
agree --completion-fish
run 0 --completion-zsh
sed -n "s/^        '\*\(-[^[]*\)\[.*/\1/p" "$dir/out" > "$dir/found"
agree --completion-zsh
for shell in zsh fish; do
    if command -v $shell > /dev/null; then
        run 0 --completion-$shell
        works "$shell reads its completions" $shell -n "$dir/out"
    else
        skip "no $shell to read its completions"
    fi
done
run 0 --completion-bash
sed -n 's/^    [a-z]*) options="\(.*\)" ;;/\1/p' "$dir/out" | tr ' ' '\n' | grep -v '^$' > "$dir/found"
agree --completion-bash
if command -v bash > /dev/null; then
    cp "$dir/out" "$dir/phi.bash"
    completes() { # WORDS WANTED: the last word can become these
        what="bash: $1"
        got=$(bash -c '. "$1"; COMP_WORDS=($2); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _phi; echo "${COMPREPLY[*]}"' bash "$dir/phi.bash" "$1")
        if [ "$got" = "$2" ]; then pass; else fail "completes to '$got'"; fi
    }
    completes 'phi to' tokenize
    completes 'phi --top' '--top-k --top-p'
    completes 'phi chat --on-overflow d' drop-oldest
    completes 'phi -ctk q' q8_0
    completes 'phi bench --n-g' --n-gen
    completes 'phi -m mod' ''
else
    skip "no bash to try its completions"
fi

# Installing and taking back.
make_it() { ${PHI_MAKE:-make} -o phi -o libphi.a "$1" PREFIX="$full/installed" > "$dir/log" 2>&1; }
what='make install'
if make_it install; then pass; else fail "does not work"; fi
program=$dir/installed/bin/phi run 0 --man
for file in share/man/man1/phi.1 share/bash-completion/completions/phi share/zsh/site-functions/_phi share/fish/vendor_completions.d/phi.fish; do
    if [ -s "$dir/installed/$file" ]; then pass; else fail "$file is missing"; fi
done
what='make uninstall'
if make_it uninstall; then pass; else fail "does not work"; fi
none "make uninstall leaves" "$(find "$dir/installed" -type f)"

check_done check_cli_manual.sh
