/* -h and --help-all, from the tables of options.c. */
#include "options.h"

#include <stdio.h>

static void list_options(int command, bool common) {
    struct cli_option_row r;
    for (int i = 0; cli_option_row(i, &r); i++) {
        char left[80];
        if (!(r.commands & 1u << command) || (common && !r.common)) continue;
        snprintf(left, sizeof left, "%s %s", r.names, r.value);
        cli_putf("  %-28s %s\n", left, r.help);
    }
}

static void usage_line(int command) {
    struct cli_command_row c;
    if (!cli_command_row(command, &c)) return;
    cli_putf("phi %s %s\n    %s\n", command == CLI_RUN ? "[run]" : c.name, c.arguments, c.text);
}

static const char exit_codes[] =
    "Exit codes: 0 fine, 1 failed while running, 2 wrong usage, 3 model file missing or bad, 4 not enough memory,\n"
    "  5 prompt does not fit, 6 output failed; 130 Ctrl-C.\n";

static void overview(void) {
    cli_putf("Pocket Phi %s: run Phi-3 language models on the CPU.\n\nCommands:\n", PHI_VERSION);
    struct cli_command_row c;
    for (int i = 0; cli_command_row(i, &c); i++) cli_putf("  phi %-10s %s\n", c.name, c.text);
    cli_putf("\nCommon options of run ('phi COMMAND -h' lists those of another command, 'phi --help-all' all):\n");
    list_options(CLI_RUN, true);
    cli_putf("\nExamples:\n"
             "  phi                                           talk with the demo model\n"
             "  phi -p \"Once upon a time\" -n 100              it tells a story\n"
             "  phi -m model.gguf -st -p \"What is a tide?\"    one question, one answer\n"
             "  phi -m model.gguf -p \"Summarise:\" < text.txt  text on stdin is appended to the prompt\n\n%s",
             exit_codes);
}

int cli_help(const struct cli_options *o, bool all) {
    if (!all && o->command == CLI_RUN) overview();
    for (int c = 0; c < CLI_N_COMMAND; c++) {
        if (!all && (c != (int)o->command || c == CLI_RUN)) continue;
        usage_line(c);
        list_options(c, false);
        cli_putf("\n");
    }
    if (all || o->command != CLI_RUN) cli_put(exit_codes, sizeof exit_codes - 1);
    return cli_flush();
}
