/* The sandbox: two mechanisms of Linux, each of which a process can only tighten, and neither needs privileges.
 *
 * seccomp: a filter that the kernel runs before every system call of the process. It sees the number and the values
 * in registers, no paths. It is a list of calls to refuse, not of calls to allow: the C libraries differ too much,
 * and change.
 *
 *     foreign machine code?   -> ENOSYS    (i386 and x32 on x86-64, 32-bit ARM on AArch64: other numbers, other
 * doors) absent[]                -> ENOSYS    (the filter cannot see what they do; libraries then use the older call)
 *     refused[]               -> EPERM
 *     open, openat            -> EPERM if the flags ask for writing
 *     clone                   -> EPERM unless it starts a thread
 *     ioctl                   -> EPERM if it types into the terminal
 *     all others              -> allowed
 *
 * Landlock: rules about files, by path. Here: no writing, making, renaming, removing, running, except below one
 * folder. With a folder the filter leaves paths to Landlock. Without Landlock it leaves renaming and removing to those who have to
 * put a file in its place at the end: they cannot write to any other for all that.
 *
 * All constants are defined here: they are the kernel's binary interface, and the headers of older systems lack some.
 * From linux/seccomp.h, linux/filter.h, linux/audit.h and linux/landlock.h of Linux 6.12, which documents both in
 * Documentation/userspace-api/. */
#include "sandbox.h"
#include "../io.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#if defined(__linux__)
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

/* Sanitizers have threads and tracers of their own, gcov writes files at exit: there it is off unless --sandbox asks
 * for it. No compiler tells of gcov: such a build defines PHI_INSTRUMENTED. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define PHI_INSTRUMENTED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define PHI_INSTRUMENTED 1
#endif
#endif

static char described[96] = "off";
static bool entered, has_filter;
static int landlock_abi;    /* 0: it does not hold */
static char writable[4096]; /* "": no folder */

#if defined(__linux__)

/* ---- seccomp --------------------------------------------------------------------------------------------------- */

enum {
    SET_NO_NEW_PRIVS = 38, /* of prctl: no program that is started gains rights; what unprivileged filters need */
    SET_SECCOMP = 22,
    MODE_FILTER = 2,
    FILTER_INSTALL = 1,    /* of seccomp() */
    FILTER_SPEC_ALLOW = 4, /* keeps speculative execution: without it older kernels slow the whole process down */
};
static const uint32_t ALLOW = 0x7fff0000, REFUSE = 0x00050000; /* REFUSE | errno */

/* Audit's names for machines. */
#if defined(__x86_64__) && !defined(__ILP32__)
static const uint32_t MACHINE = 0xc000003e;
#elif defined(__aarch64__)
static const uint32_t MACHINE = 0xc00000b7;
#elif defined(__arm__)
static const uint32_t MACHINE = 0x40000028;
#elif defined(__riscv) && __riscv_xlen == 64
static const uint32_t MACHINE = 0xc00000f3;
#else
static const uint32_t MACHINE = 0; /* unknown here: no filter */
#endif
enum { X32 = 0x40000000 }; /* the bit in the numbers of x32 */

/* Calls from 424 on have the same number on all machines. */
/* clang-format off */
static const int absent[] = {
    425, 426, 427, /* io_uring_setup, _enter, _register: calls that no filter sees */
    435,           /* clone3: its flags are in memory */
    437            /* openat2: so are its */
};

static const int refused[] = {
    /* Running programs, and looking into others. */
#ifdef SYS_fork
    SYS_fork, SYS_vfork,
#endif
    SYS_execve, SYS_execveat, SYS_ptrace, SYS_process_vm_readv, SYS_process_vm_writev, SYS_perf_event_open, SYS_bpf,
    SYS_userfaultfd, SYS_kcmp, 424 /* pidfd_send_signal */, 434 /* pidfd_open */, 438 /* pidfd_getfd */,
    440 /* process_madvise */, 448 /* process_mrelease */,
    /* The network, and sockets of any kind. */
#ifdef SYS_socketcall
    SYS_socketcall,
#endif
#ifdef SYS_accept
    SYS_accept,
#endif
    SYS_socket, SYS_socketpair, SYS_connect, SYS_bind, SYS_listen, SYS_accept4, SYS_sendto, SYS_sendmsg, SYS_sendmmsg,
    /* Files, by path; and rights by descriptor, since the model is one. */
#ifdef SYS_creat
    SYS_creat, SYS_mkdir, SYS_mknod, SYS_link, SYS_symlink, SYS_chmod, SYS_chown, SYS_lchown,
#endif
#ifdef SYS_rmdir
    SYS_rmdir,
#endif
#ifdef SYS_utime
    SYS_utime,
#endif
#ifdef SYS_utimes
    SYS_utimes, SYS_futimesat,
#endif
#ifdef SYS_truncate64
    SYS_truncate64,
#endif
    SYS_truncate, SYS_mkdirat, SYS_mknodat, SYS_linkat, SYS_symlinkat, SYS_fchmod, SYS_fchmodat, SYS_fchown,
    SYS_fchownat, SYS_utimensat, SYS_setxattr, SYS_lsetxattr, SYS_fsetxattr, SYS_removexattr, SYS_lremovexattr,
    SYS_fremovexattr, SYS_open_by_handle_at, SYS_mq_open, SYS_mq_unlink, 452 /* fchmodat2 */, 463 /* setxattrat */,
    466 /* removexattrat */, 469 /* file_setattr */,
    /* What only root may do, for those who run as root. */
#ifdef SYS_kexec_load
    SYS_kexec_load,
#endif
#ifdef SYS_ioperm
    SYS_ioperm, SYS_iopl,
#endif
    SYS_chroot, SYS_pivot_root, SYS_mount, SYS_umount2, SYS_swapon, SYS_swapoff, SYS_unshare, SYS_setns, SYS_acct,
    SYS_quotactl, SYS_init_module, SYS_finit_module, SYS_delete_module, SYS_reboot, SYS_add_key, SYS_request_key,
    SYS_keyctl, SYS_syslog, 428 /* open_tree */, 429 /* move_mount */, 430 /* fsopen */, 431 /* fsconfig */,
    432 /* fsmount */, 433 /* fspick */, 442 /* mount_setattr */, 443 /* quotactl_fd */, 467 /* open_tree_attr */
};

/* Where Landlock does not watch over a folder. */
static const int refused_without_folder[] = {
#ifdef SYS_rename
    SYS_rename, SYS_unlink,
#endif
#ifdef SYS_renameat
    SYS_renameat,
#endif
    SYS_renameat2, SYS_unlinkat
};
/* clang-format on */

/* The program that the kernel runs: as struct sock_filter and sock_fprog. */
struct instruction {
    uint16_t code;
    uint8_t if_true, if_false; /* instructions to skip */
    uint32_t k;
};

enum { LOAD = 0x20, AND = 0x54, JUMP_EQUAL = 0x15, JUMP_ANY_BIT = 0x45, RETURN = 0x06 }; /* of struct data, below */

struct program {
    unsigned short n;
    struct instruction *code;
};

/* struct seccomp_data: int nr; u32 machine; u64 address; u64 argument[6]. The low half of an argument, on the
 * machines above, which are all little-endian. */
static uint32_t at_argument(unsigned i) {
    return 16 + 8 * i;
}
enum { AT_NUMBER = 0, AT_MACHINE = 4 };

static void emit(struct program *p, unsigned code, unsigned if_true, unsigned if_false, uint32_t k) {
    p->code[p->n++] = (struct instruction){(uint16_t)code, (uint8_t)if_true, (uint8_t)if_false, k};
}

static void refuse_number(struct program *p, int number, int cause) {
    emit(p, JUMP_EQUAL, 0, 1, (uint32_t)number);
    emit(p, RETURN, 0, 0, REFUSE | (uint32_t)cause);
}

/* The next n instructions are for this call only. */
static void only_for(struct program *p, int number, unsigned n) {
    emit(p, JUMP_EQUAL, 0, n, (uint32_t)number);
}

static void refuse_writing(struct program *p, int number, unsigned flags_argument, bool folder) {
    only_for(p, number, folder ? 5 : 4);
    emit(p, LOAD, 0, 0, at_argument(flags_argument));
    if (folder) { /* Landlock judges writing, but before its third version no O_TRUNC without it */
        emit(p, AND, 0, 0, O_WRONLY | O_RDWR | O_TRUNC);
        emit(p, JUMP_EQUAL, 0, 1, O_TRUNC);
    } else {
        emit(p, JUMP_ANY_BIT, 0, 1, O_WRONLY | O_RDWR | O_CREAT | O_TRUNC);
    }
    emit(p, RETURN, 0, 0, REFUSE | EPERM);
    emit(p, LOAD, 0, 0, AT_NUMBER);
}

/* folder: Landlock watches over one. renames: there is one to be renamed in, whether or not. */
static void build(struct program *p, bool folder, bool renames) {
    enum { COUNT = sizeof refused / sizeof *refused, N_ABSENT = sizeof absent / sizeof *absent };
    enum { N_PATH = sizeof refused_without_folder / sizeof *refused_without_folder };
    static struct instruction code[2 * (COUNT + N_ABSENT + N_PATH) + 32];
    p->n = 0;
    p->code = code;
    emit(p, LOAD, 0, 0, AT_MACHINE);
    emit(p, JUMP_EQUAL, 1, 0, MACHINE);
    emit(p, RETURN, 0, 0, REFUSE | ENOSYS);
    emit(p, LOAD, 0, 0, AT_NUMBER);
#if defined(__x86_64__)
    emit(p, JUMP_EQUAL, 2, 0, UINT32_MAX); /* what a tracer leaves of a call that it skips: not x32 */
    emit(p, JUMP_ANY_BIT, 0, 1, X32);
    emit(p, RETURN, 0, 0, REFUSE | ENOSYS);
#endif
    for (size_t i = 0; i < N_ABSENT; i++) refuse_number(p, absent[i], ENOSYS);
    for (size_t i = 0; i < COUNT; i++) refuse_number(p, refused[i], EPERM);
    for (size_t i = 0; !folder && !renames && i < N_PATH; i++) refuse_number(p, refused_without_folder[i], EPERM);
#ifdef SYS_open
    refuse_writing(p, SYS_open, 1, folder);
#endif
    refuse_writing(p, SYS_openat, 2, folder);
    only_for(p, SYS_clone, 4);
    emit(p, LOAD, 0, 0, at_argument(0));
    emit(p, JUMP_ANY_BIT, 1, 0, 0x00010000); /* CLONE_THREAD */
    emit(p, RETURN, 0, 0, REFUSE | EPERM);
    emit(p, RETURN, 0, 0, ALLOW);
    only_for(p, SYS_ioctl, 5);
    emit(p, LOAD, 0, 0, at_argument(1));
    emit(p, JUMP_EQUAL, 1, 0, 0x5412); /* TIOCSTI: text for whoever reads the terminal next, such as a shell */
    emit(p, JUMP_EQUAL, 0, 1, 0x541c); /* TIOCLINUX: the same by pasting, on the console */
    emit(p, RETURN, 0, 0, REFUSE | EPERM);
    emit(p, RETURN, 0, 0, ALLOW);
    emit(p, RETURN, 0, 0, ALLOW);
}

/* ---- Calls that another filter may punish ---------------------------------------------------------------------- */

/* The filter around Android's apps, and around whatever runs in Termux, answers calls that it does not know by
 * SIGSYS, which kills. Caught, it is ENOSYS. */
static sigjmp_buf punished;

static void on_bad_call(int number) {
    (void)number;
    siglongjmp(punished, 1);
}

static long try_call(long number, unsigned long a, unsigned long b, unsigned long c, unsigned long d) {
    struct sigaction caught, before;
    volatile long result = -1;
    memset(&caught, 0, sizeof caught);
    sigemptyset(&caught.sa_mask);
    caught.sa_handler = on_bad_call;
    if (sigaction(SIGSYS, &caught, &before)) return -1;
    errno = 0;
    if (sigsetjmp(punished, 1) == 0) result = syscall(number, a, b, c, d);
    int cause = result < 0 && errno == 0 ? ENOSYS : errno;
    sigaction(SIGSYS, &before, NULL);
    errno = cause;
    return result;
}

static unsigned long address(const void *p) {
    return (unsigned long)(uintptr_t)p;
}

static bool install_filter(bool folder, bool renames) {
    struct program p;
    if (!MACHINE) return false;
    build(&p, folder, renames);
#ifdef SYS_seccomp
    if (try_call(SYS_seccomp, FILTER_INSTALL, FILTER_SPEC_ALLOW, address(&p), 0) == 0) return true;
#endif
    return try_call(SYS_prctl, SET_SECCOMP, MODE_FILTER, address(&p), 0) == 0;
}

/* ---- Landlock -------------------------------------------------------------------------------------------------- */

enum { LANDLOCK_CREATE = 444, LANDLOCK_ADD = 445, LANDLOCK_RESTRICT = 446, ASK_VERSION = 1, PATH_BENEATH = 1 };
enum { /* rights about files */
       EXECUTE = 1 << 0,
       WRITE_FILE = 1 << 1,
       REMOVE_DIR = 1 << 4,
       REMOVE_FILE = 1 << 5,
       MAKE_ANY = 0x7f << 6, /* device, folder, file, socket, FIFO, block device, symbolic link */
       MAKE_FILE = 1 << 8,
       REFER = 1 << 13,    /* from version 2: link and rename between folders */
       TRUNCATE = 1 << 14, /* from version 3 */
};

struct ruleset {
    uint64_t files;
    uint64_t net;   /* from version 4: bind and connect by TCP */
    uint64_t scope; /* from version 6: abstract sockets of others, signals to others */
};

struct beneath {
    uint64_t allowed;
    int32_t folder;
} __attribute__((packed));

static bool add_folder(int rules, const char *folder, uint64_t rights) {
    struct beneath rule = {rights, phi_io_open(folder, O_PATH | O_DIRECTORY, 0)};
    bool good =
        rule.folder >= 0 && try_call(LANDLOCK_ADD, (unsigned long)rules, PATH_BENEATH, address(&rule), 0) == 0;
    if (rule.folder >= 0) phi_io_close(rule.folder);
    return good;
}

/* The version that holds now, 0: none. *folder becomes NULL if it cannot be granted; then, with renames, nothing holds, because what is
 * there already could not be removed any more. */
static int restrict_files(const char **folder, bool renames) {
#if defined(__ANDROID__)
    (void)renames;
    *folder = NULL; /* apps are never granted it */
    return 0;
#else
    long abi = try_call(LANDLOCK_CREATE, 0, 0, ASK_VERSION, 0);
    struct ruleset r = {EXECUTE | WRITE_FILE | REMOVE_DIR | REMOVE_FILE | MAKE_ANY, 0, 0};
    if (abi >= 2) r.files |= REFER;
    if (abi >= 3) r.files |= TRUNCATE;
    if (abi >= 4) r.net = 3;
    if (abi >= 6) r.scope = 3;
    int rules = abi < 1 ? -1 : (int)try_call(LANDLOCK_CREATE, address(&r), sizeof r, 0, 0);
    uint64_t rights = (WRITE_FILE | REMOVE_FILE | MAKE_FILE | TRUNCATE) & r.files;
    if (rules < 0 || (*folder && !add_folder(rules, *folder, rights))) *folder = NULL;
    if (rules < 0) return 0;
    bool good = (*folder || !renames) && try_call(LANDLOCK_RESTRICT, (unsigned long)rules, 0, 0, 0) == 0;
    phi_io_close(rules);
    if (!good) *folder = NULL;
    return good ? (int)abi : 0;
#endif
}

static void enter(const char *folder, bool renames) {
    if (prctl(SET_NO_NEW_PRIVS, 1UL, 0UL, 0UL, 0UL)) return;
    landlock_abi = restrict_files(&folder, renames);
    has_filter = install_filter(folder != NULL, renames);
    if (folder) snprintf(writable, sizeof writable, "%s", folder);
}

/* The folder of path, with all links followed; in the folder, or below. */
static bool is_beneath(const char *path, const char *folder) {
    char parent[4096];
    const char *slash = strrchr(path, '/');
    int length = slash == path ? 1 : slash ? (int)(slash - path) : 1;
    if (snprintf(parent, sizeof parent, "%.*s", length, slash ? path : ".") >= (int)sizeof parent) return false;
    char *real = realpath(parent, NULL), *wanted = realpath(folder, NULL);
    size_t n = wanted ? strlen(wanted) : 0;
    bool good = real && wanted && strncmp(real, wanted, n) == 0 && (real[n] == 0 || real[n] == '/');
    free(real);
    free(wanted);
    return good;
}
#else
static void enter(const char *folder, bool renames) {
    (void)folder, (void)renames;
}

static bool is_beneath(const char *path, const char *folder) {
    (void)path, (void)folder;
    return true;
}
#endif

/* ---- For the commands ------------------------------------------------------------------------------------------ */

int cli_sandbox_enter(const struct cli_options *o, const char *folder, bool renames) {
#ifdef PHI_INSTRUMENTED
    bool wanted = o->sandbox > 0;
    const char *why = "off (a build with instruments)";
#else
    bool wanted = o->sandbox != 0;
    const char *why = "off (--no-sandbox)";
#endif
    if (entered) return CLI_OK;
    entered = true;
    if (wanted) {
        why = "off (this system has neither seccomp nor Landlock)";
        enter(folder, renames);
    }
    char landlock[32] = "no Landlock";
    if (landlock_abi) snprintf(landlock, sizeof landlock, "Landlock %d", landlock_abi);
    if (has_filter || landlock_abi)
        snprintf(described, sizeof described, "on (%s, %s)", has_filter ? "seccomp" : "no seccomp", landlock);
    else
        snprintf(described, sizeof described, "%s", why);
    if (o->sandbox > 0 && !has_filter && !landlock_abi)
        return cli_fail(CLI_FAILED, "--sandbox: this system has neither seccomp nor Landlock");
    return CLI_OK;
}

const char *cli_sandbox_describe(void) {
    return described;
}

int cli_sandbox_check_write(const char *path) {
    if (!has_filter && !landlock_abi) return CLI_OK;
    if (writable[0] && is_beneath(path, writable)) return CLI_OK;
    if (writable[0])
        return cli_fail(CLI_USAGE, "%s: the sandbox allows %s only; use --session or --no-sandbox", path, writable);
    return cli_fail(CLI_USAGE, "%s: the sandbox allows no new files here; use --session or --no-sandbox", path);
}
