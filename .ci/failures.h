/* What the analyzers cannot see across files: these functions return the status that they are given, and nobody
 * gives them 0: the library negative ones, the command line exit codes. Included before every source but those that define them
 * (.ci/analyze); no program is built with it. */
#include "../src/cli/cli.h"
#include "../src/error.h"
#include "../src/file.h"

#define below_0(status) ((status) < 0 ? (status) : -1)
#define above_0(status) ((status) > 0 ? (status) : 1)
#define phi_fail(err, status, ...) (phi_fail(err, status, __VA_ARGS__), below_0(status))
#define phi_file_fail(path, err, status, ...) (phi_file_fail(path, err, status, __VA_ARGS__), below_0(status))
#define cli_fail(status, ...) (cli_fail(status, __VA_ARGS__), above_0(status))
#define cli_fail_with(status, err) (cli_fail_with(status, err), above_0(status))
#ifdef SCHEMA /* nobody else may know the names in its header */
#include "../src/schema_parts.h"
#define phi_schema_fail(s, node, ...) (phi_schema_fail(s, node, __VA_ARGS__), -1)
#define phi_schema_no_memory(s) (phi_schema_no_memory(s), -1)
#endif
