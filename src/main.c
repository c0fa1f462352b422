/* The program: prepare the process, read the options, run the command, end with its exit code. The only exit(). */
#include "cli/commands.h"
#include "cli/events.h"
#include "cli/pinning.h"
#include "cli/storage.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A missing descriptor 0 to 2 would be given to the next file that is opened, and answers would be written into it.
 */
static void open_missing_descriptors(void) {
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) >= 0) continue;
        if (fd == STDOUT_FILENO) cli_output_closed();
        if (open("/dev/null", O_RDWR) < 0) _exit(CLI_FAILED); /* opens the lowest free number: fd */
    }
}

static int run(int argc, char **argv) {
    static int (*const commands[])(const struct cli_options *) = {
#define COMMAND(NAME, name, arguments, text) cli_##name,
#include "cli/commands.def"
    };
    struct cli_options options;
    int status = cli_options_parse(&options, argc, argv);
    if (status) return status;
    if (options.help || options.help_all) return cli_help(&options, options.help_all);
    if (options.version) {
        const char *names = phi_isa_names(), *best = strrchr(names, ' ');
        return cli_putf("phi %s\ninstruction set %s (of %s)\n", phi_version(), best ? best + 1 : names, names);
    }
    if (options.man) return cli_man();
    if (options.completion_bash) return cli_completion("bash");
    if (options.completion_zsh) return cli_completion("zsh");
    if (options.completion_fish) return cli_completion("fish");
    cli_events_set(options.json && (options.command == CLI_RUN || options.command == CLI_CHAT));
    status = cli_pin(&options);
    return status ? status : commands[options.command](&options);
}

int main(int argc, char **argv) {
    cli_seconds(); /* the clock begins */
    open_missing_descriptors();
    cli_signals_init();
    cli_storage_init();
    int status = run(argc, argv);
    if (!cli_interrupted()) cli_events_error(status);
    int written = cli_flush();
    cli_signals_obey();
    exit(status ? status : written);
}
