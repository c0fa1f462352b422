/* The man page and the completions of three shells, from the tables of options.c: what they list is what is parsed. */
#include "options.h"

#include <stdio.h>
#include <string.h>

/* The next of the words in a list that commas or spaces separate; NULL at its end. */
static const char *next_word(const char **at, int *n) {
    *at += strspn(*at, ", ");
    const char *word = *at;
    *n = (int)strcspn(word, ", ");
    *at += *n;
    return *n ? word : NULL;
}

/* ---- The man page ------------------------------------------------------------------------------------------------ */

/* Text in roff: a hyphen that must be typed, a backslash; no line begins with a request. */
static void put_roff(const char *text) {
    if (*text == '.' || *text == '\'') cli_put("\\&", 2);
    for (; *text; text++) {
        if (*text == '-')
            cli_put("\\-", 2);
        else if (*text == '\\')
            cli_put("\\e", 2);
        else
            cli_put(text, 1);
    }
}

static void man_options(int command) {
    struct cli_option_row r;
    for (int i = 0; cli_option_row(i, &r); i++) {
        if (!(r.commands & 1u << command)) continue;
        cli_putf(".TP\n.B ");
        put_roff(r.names);
        if (*r.value) {
            cli_putf(" \\fI");
            put_roff(r.value);
            cli_putf("\\fR");
        }
        cli_putf("\n");
        put_roff(r.help);
        if (*r.range) {
            cli_putf(" (");
            put_roff(r.range);
            cli_putf(")");
        }
        cli_putf("\n");
    }
}

int cli_man(void) {
    struct cli_command_row c;
    cli_putf(".TH PHI 1 \"\" \"phi %s\" \"User Commands\"\n.SH NAME\nphi \\- run Phi\\-3 language models on the CPU\n.SH SYNOPSIS\n",
             PHI_VERSION);
    for (int i = 0; cli_command_row(i, &c); i++) {
        cli_putf("%s.B phi %s\n", i ? ".br\n" : "", i == CLI_RUN ? "[run]" : c.name);
        put_roff(c.arguments);
        cli_putf("\n");
    }
    cli_putf(".SH DESCRIPTION\nphi opens a model in GGUF format and continues a text, talks, or measures. The answer goes to standard "
             "output, everything else to\nstandard error. It talks to no network. The same model, prompt and seed give the same bytes on every CPU and for "
             "any number of threads.\n.PP\nWithout the name of a command, a prompt means\n.B run\nand a terminal without a prompt means\n.BR chat .\n");
    for (int i = 0; cli_command_row(i, &c); i++) {
        cli_putf(".SH OPTIONS OF ");
        for (const char *p = c.name; *p; p++) cli_putf("%c", *p >= 'a' && *p <= 'z' ? *p - 'a' + 'A' : *p);
        cli_putf("\n.B phi %s\n\\- ", i == CLI_RUN ? "[run]" : c.name);
        put_roff(c.text);
        cli_putf("\n");
        man_options(i);
    }
    cli_putf(".SH ENVIRONMENT\n"
             ".TP\n.B PHI_MODEL\nThe model file, where \\-m names none.\n"
             ".TP\n.B PHI_NOHISTORY\nIf it is 1, messages are not kept for the arrow keys.\n"
             ".TP\n.B NO_COLOR\nIf it is not empty, there are no colours.\n"
             ".TP\n.BR XDG_STATE_HOME \", \" XDG_CONFIG_HOME\nFolders for the history, saved talks and what bench \\-\\-tune found.\n"
             ".SH EXIT STATUS\n"
             ".TP\n.B 0\nEverything went well.\n.TP\n.B 1\nIt failed while running.\n.TP\n.B 2\nWrong options or values.\n"
             ".TP\n.B 3\nThe model file is missing or bad.\n.TP\n.B 4\nThere is not enough memory.\n"
             ".TP\n.B 5\nThe prompt does not fit into the context.\n.TP\n.B 6\nWriting the output failed.\n"
             ".PP\nAfter SIGINT, SIGTERM and SIGHUP the program ends by that signal: a shell shows 130, 143, 129.\n");
    return cli_flush();
}

/* ---- bash -------------------------------------------------------------------------------------------------------- */

static void bash_names(const struct cli_option_row *r, const char *between, const char *prefix) {
    const char *at = r->names, *name;
    int n;
    for (bool first = true; (name = next_word(&at, &n)); first = false)
        cli_putf("%s%s%.*s", first ? "" : between, prefix, n, name);
}

static int bash(void) {
    struct cli_command_row c;
    struct cli_option_row r;
    cli_putf("# bash completion of phi, made by: phi --completion-bash\n_phi() {\n"
             "    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} command=run options\n"
             "    case ${COMP_WORDS[1]} in\n    ");
    for (int i = 0; cli_command_row(i, &c); i++) cli_putf("%s%s", i ? "|" : "", c.name);
    cli_putf(") command=${COMP_WORDS[1]} ;;\n    esac\n    case $command:$before in\n");
    for (int k = 0; cli_command_row(k, &c); k++) {
        for (int i = 0; cli_option_row(i, &r); i++) {
            if (!(r.commands & 1u << k) || !*r.value) continue;
            char prefix[32];
            snprintf(prefix, sizeof prefix, "%s:", c.name);
            cli_putf("    ");
            bash_names(&r, "|", prefix);
            cli_putf(")");
            if (*r.words) {
                const char *at = r.words, *word;
                int n;
                cli_putf(" COMPREPLY=($(compgen -W \"");
                while ((word = next_word(&at, &n))) cli_putf("%.*s ", n, word);
                cli_putf("\" -- \"$word\"));");
            }
            cli_putf(" return ;;\n"); /* no reply: file names */
        }
    }
    cli_putf("    esac\n    case $command in\n");
    for (int k = 0; cli_command_row(k, &c); k++) {
        cli_putf("    %s) options=\"", c.name);
        for (int i = 0; cli_option_row(i, &r); i++) {
            if (!(r.commands & 1u << k)) continue;
            bash_names(&r, " ", "");
            cli_putf(" ");
        }
        cli_putf("\" ;;\n");
    }
    cli_putf("    esac\n    if [ \"$COMP_CWORD\" = 1 ] && [ \"${word#-}\" = \"$word\" ]; then options=\"");
    for (int i = 0; cli_command_row(i, &c); i++) cli_putf("%s ", c.name);
    cli_putf("\"; elif [ \"${word#-}\" = \"$word\" ]; then return; fi\n"
             "    COMPREPLY=($(compgen -W \"$options\" -- \"$word\"))\n}\ncomplete -o default -F _phi phi\n");
    return cli_flush();
}

/* ---- zsh and fish ------------------------------------------------------------------------------------------------ */

/* Inside '..', in zsh also inside [..] and before a colon. */
static void put_quoted(const char *text, bool zsh) {
    for (; *text; text++) {
        if (*text == '\'')
            cli_putf(zsh ? "'\\''" : "\\'");
        else if (*text == '\\')
            cli_putf("\\\\");
        else if (zsh && strchr("[]:", *text))
            cli_putf("\\%c", *text);
        else
            cli_put(text, 1);
    }
}

static int zsh(void) {
    struct cli_command_row c;
    struct cli_option_row r;
    cli_putf("#compdef phi\n# zsh completion of phi, made by: phi --completion-zsh\n_phi() {\n    local command=run\n    case ${words[2]} in\n    ");
    for (int i = 0; cli_command_row(i, &c); i++) cli_putf("%s%s", i ? "|" : "", c.name);
    cli_putf(") command=${words[2]}; shift words; (( CURRENT-- )) ;;\n"
             "    *) if (( CURRENT == 2 )) && [[ ${words[2]} != -* ]]; then _values command");
    for (int i = 0; cli_command_row(i, &c); i++) {
        cli_putf(" '%s[", c.name);
        put_quoted(c.text, true);
        cli_putf("]'");
    }
    cli_putf("; return; fi ;;\n    esac\n    case $command in\n");
    for (int k = 0; cli_command_row(k, &c); k++) {
        cli_putf("    %s) _arguments -S", c.name);
        for (int i = 0; cli_option_row(i, &r); i++) {
            const char *at = r.names, *name;
            int n;
            if (!(r.commands & 1u << k)) continue;
            while ((name = next_word(&at, &n))) {
                cli_putf(" \\\n        '*%.*s[", n, name);
                put_quoted(r.help, true);
                cli_putf("]");
                if (*r.words) {
                    const char *words = r.words, *word;
                    int length;
                    cli_putf(":value:(");
                    while ((word = next_word(&words, &length))) cli_putf("%.*s ", length, word);
                    cli_putf(")");
                } else if (*r.value) {
                    cli_putf(":");
                    put_quoted(r.value, true);
                    cli_putf(":_files");
                }
                cli_putf("'");
            }
        }
        cli_putf(" \\\n        '*:file:_files' ;;\n");
    }
    cli_putf("    esac\n}\n_phi \"$@\"\n");
    return cli_flush();
}

static int fish(void) {
    struct cli_command_row c;
    struct cli_option_row r;
    cli_putf("# fish completion of phi, made by: phi --completion-fish\n");
    for (int k = 0; cli_command_row(k, &c); k++) {
        cli_putf("complete -c phi -n __fish_use_subcommand -a %s -d '", c.name);
        put_quoted(c.text, false);
        cli_putf("'\n");
    }
    for (int k = 0; cli_command_row(k, &c); k++) {
        for (int i = 0; cli_option_row(i, &r); i++) {
            const char *at = r.names, *name;
            int n;
            if (!(r.commands & 1u << k)) continue;
            cli_putf("complete -c phi -n '%s%s'", k == CLI_RUN ? "__fish_use_subcommand; or __fish_seen_subcommand_from " : "__fish_seen_subcommand_from ",
                     c.name);
            while ((name = next_word(&at, &n))) { /* -s x, -l long, -o longer names behind one dash */
                int dashes = name[1] == '-' ? 2 : 1;
                cli_putf(" -%c %.*s", dashes == 2 ? 'l' : n == 2 ? 's' : 'o', n - dashes, name + dashes);
            }
            if (*r.words) {
                const char *words = r.words, *word;
                int length;
                cli_putf(" -x -a '");
                while ((word = next_word(&words, &length))) cli_putf("%.*s ", length, word);
                cli_putf("'");
            } else if (*r.value) {
                cli_putf(" -r");
            }
            cli_putf(" -d '");
            put_quoted(r.help, false);
            cli_putf("'\n");
        }
    }
    return cli_flush();
}

int cli_completion(const char *shell) {
    return strcmp(shell, "bash") == 0 ? bash() : strcmp(shell, "zsh") == 0 ? zsh() : fish();
}
