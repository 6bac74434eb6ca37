//! The system calls of a process that watches, and a filter (seccomp(2)) that lets no others through.
//!
//! Names are those of the kernel's tables; what an architecture has only for its old programs is listed apart.

use std::collections::BTreeMap;
use std::io;

use nix::libc;
use seccompiler::{
    BpfProgram, BpfProgramRef, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition,
    SeccompFilter, SeccompRule,
};

use super::{ConfineError, Confinement, Needs};

/// Those that may have any arguments.
const CALLS: &[libc::c_long] = &[
    // Files and pipes that are open, and files to be made. No name leads to a capability.
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_pread64,
    libc::SYS_preadv,
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_pwrite64,
    libc::SYS_pwritev,
    libc::SYS_openat,
    libc::SYS_close,
    libc::SYS_close_range,
    libc::SYS_lseek,
    libc::SYS_fstat,
    libc::SYS_newfstatat,
    libc::SYS_statx,
    libc::SYS_statfs,
    libc::SYS_fstatfs,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_readlinkat,
    libc::SYS_getdents64,
    libc::SYS_getcwd,
    libc::SYS_ftruncate,
    libc::SYS_fallocate,
    libc::SYS_fsync,
    libc::SYS_fdatasync,
    libc::SYS_unlinkat,
    libc::SYS_renameat2,
    libc::SYS_fcntl,
    libc::SYS_flock,
    libc::SYS_dup,
    libc::SYS_dup3,
    libc::SYS_pipe2,
    libc::SYS_umask,
    libc::SYS_sendfile,
    libc::SYS_splice,
    libc::SYS_copy_file_range,
    // Memory.
    libc::SYS_brk,
    libc::SYS_mmap,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_mprotect,
    libc::SYS_madvise,
    libc::SYS_membarrier,
    // Threads of its own, and their ends.
    libc::SYS_clone,
    libc::SYS_clone3,
    libc::SYS_futex,
    libc::SYS_set_robust_list,
    libc::SYS_get_robust_list,
    libc::SYS_set_tid_address,
    libc::SYS_rseq,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_getcpu,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_restart_syscall,
    // Waiting for children that were started before.
    libc::SYS_wait4,
    libc::SYS_waitid,
    libc::SYS_pidfd_open,
    // Giving up more; neither gives anything back.
    libc::SYS_capget,
    libc::SYS_capset,
    libc::SYS_prctl,
    libc::SYS_seccomp,
    // Who and where this is.
    libc::SYS_getpid,
    libc::SYS_gettid,
    libc::SYS_getppid,
    libc::SYS_getuid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getegid,
    libc::SYS_getrusage,
    libc::SYS_prlimit64,
    libc::SYS_uname,
    libc::SYS_sysinfo,
    libc::SYS_getrandom,
    // Time.
    libc::SYS_clock_gettime,
    libc::SYS_clock_getres,
    libc::SYS_clock_nanosleep,
    libc::SYS_nanosleep,
    libc::SYS_gettimeofday,
    libc::SYS_timerfd_create,
    libc::SYS_timerfd_settime,
    // Signals.
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_rt_sigpending,
    libc::SYS_rt_sigtimedwait,
    libc::SYS_sigaltstack,
    libc::SYS_signalfd4,
    // Waiting for events.
    libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_epoll_pwait2,
    libc::SYS_ppoll,
    libc::SYS_pselect6,
    libc::SYS_eventfd2,
    // Sockets: of which families is told below.
    libc::SYS_socketpair,
    libc::SYS_bind,
    libc::SYS_connect,
    libc::SYS_getsockname,
    libc::SYS_getpeername,
    libc::SYS_getsockopt,
    libc::SYS_setsockopt,
    libc::SYS_sendto,
    libc::SYS_sendmsg,
    libc::SYS_recvfrom,
    libc::SYS_recvmsg,
    libc::SYS_shutdown,
];

/// What programs for x86-64 call by older numbers, musl's among them.
#[cfg(target_arch = "x86_64")]
const OLD_CALLS: &[libc::c_long] = &[
    libc::SYS_open,
    libc::SYS_stat,
    libc::SYS_lstat,
    libc::SYS_access,
    libc::SYS_readlink,
    libc::SYS_unlink,
    libc::SYS_rename,
    libc::SYS_renameat,
    libc::SYS_pipe,
    libc::SYS_dup2,
    libc::SYS_poll,
    libc::SYS_select,
    libc::SYS_epoll_create,
    libc::SYS_epoll_wait,
    libc::SYS_time,
    libc::SYS_arch_prctl,
];
#[cfg(not(target_arch = "x86_64"))]
const OLD_CALLS: &[libc::c_long] = &[];

/// Commands of bpf(2) (`enum bpf_cmd`, `linux/bpf.h`): elements of maps that are open, and links. No program is loaded, no
/// map made, and none of others is opened by its number.
const BPF_COMMANDS: [u64; 12] = [
    1,  // BPF_MAP_LOOKUP_ELEM
    2,  // BPF_MAP_UPDATE_ELEM
    3,  // BPF_MAP_DELETE_ELEM
    4,  // BPF_MAP_GET_NEXT_KEY
    15, // BPF_OBJ_GET_INFO_BY_FD
    16, // BPF_PROG_QUERY
    24, // BPF_MAP_LOOKUP_BATCH
    26, // BPF_MAP_UPDATE_BATCH
    27, // BPF_MAP_DELETE_BATCH
    28, // BPF_LINK_CREATE
    29, // BPF_LINK_UPDATE
    34, // BPF_LINK_DETACH
];

/// Sockets within this machine, and to the kernel. None leads to a network.
const FAMILIES: [libc::c_int; 2] = [libc::AF_UNIX, libc::AF_NETLINK];

/// `TIOCSTI` and `TIOCLINUX`, which would type on the terminal of somebody else (`asm-generic/ioctls.h`, `ioctl_tty(2)`).
const TYPING: [u64; 2] = [0x5412, 0x541C];

/// Lets no other calls through, in all threads.
pub(super) fn filter(how: Confinement, needs: Needs) -> Result<(), ConfineError> {
    let otherwise = match how {
        Confinement::Log | Confinement::Off => SeccompAction::Log,
        Confinement::Full => SeccompAction::Errno(libc::EPERM.unsigned_abs()),
    };
    let program = program(needs, otherwise).map_err(|error| ConfineError::Filter(Box::new(error)))?;
    install(&program)
}

fn program(needs: Needs, otherwise: SeccompAction) -> Result<BpfProgram, seccompiler::BackendError> {
    let architecture = std::env::consts::ARCH.try_into()?;
    let filter = SeccompFilter::new(rules(needs)?, otherwise, SeccompAction::Allow, architecture)?;
    filter.try_into()
}

fn rules(needs: Needs) -> Result<BTreeMap<i64, Vec<SeccompRule>>, seccompiler::BackendError> {
    let mut rules: BTreeMap<_, _> =
        CALLS.iter().chain(OLD_CALLS).map(|number| (*number, Vec::new())).collect();
    if needs.namespaces {
        rules.insert(libc::SYS_setns, vec![equal(1, libc::CLONE_NEWNET.unsigned_abs().into())?]);
    }
    let families = FAMILIES.map(|family| u64::from(family.unsigned_abs()));
    rules.insert(libc::SYS_bpf, one_of(0, &BPF_COMMANDS)?);
    rules.insert(libc::SYS_socket, one_of(0, &families)?);
    // Signals to itself alone: that is how the end of standard input comes to the capture.
    let own = u64::from(std::process::id());
    rules.insert(libc::SYS_kill, vec![equal(0, own)?]);
    rules.insert(libc::SYS_tgkill, vec![equal(0, own)?]);
    let not_typing = TYPING.map(|request| condition(1, SeccompCmpOp::Ne, request));
    rules.insert(libc::SYS_ioctl, vec![SeccompRule::new(not_typing.into_iter().collect::<Result<_, _>>()?)?]);
    Ok(rules)
}

fn one_of(argument: u8, values: &[u64]) -> Result<Vec<SeccompRule>, seccompiler::BackendError> {
    values.iter().map(|value| equal(argument, *value)).collect()
}

fn equal(argument: u8, value: u64) -> Result<SeccompRule, seccompiler::BackendError> {
    SeccompRule::new(vec![condition(argument, SeccompCmpOp::Eq, value)?])
}

/// Of a 32-bit argument: the kernel looks at no more of it.
fn condition(
    argument: u8,
    compare: SeccompCmpOp,
    value: u64,
) -> Result<SeccompCondition, seccompiler::BackendError> {
    SeccompCondition::new(argument, SeccompCmpArgLen::Dword, compare, value)
}

/// `SECCOMP_FILTER_FLAG_LOG` notes what is refused in the kernel's log, which the library's own function does not ask for.
fn install(program: BpfProgramRef<'_>) -> Result<(), ConfineError> {
    let failed = |source| ConfineError::System { operation: "filter system calls", source };
    let length = u16::try_from(program.len()).map_err(|error| failed(io::Error::other(error)))?;
    let given = libc::sock_fprog { len: length, filter: program.as_ptr().cast_mut().cast() };
    let flags = libc::SECCOMP_FILTER_FLAG_TSYNC | libc::SECCOMP_FILTER_FLAG_LOG;
    #[expect(unsafe_code, reason = "the C library has no function for this system call")]
    // SAFETY: the kernel reads `len` instructions, which have the layout of `struct sock_filter` in both libraries.
    let ended =
        unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const given) };
    match ended {
        0 => Ok(()),
        thread if thread > 0 => Err(ConfineError::Thread(thread)),
        _ => Err(failed(io::Error::last_os_error())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(needs: Needs, call: libc::c_long) -> bool {
        rules(needs).unwrap().contains_key(&call)
    }

    #[test]
    fn programs_are_not_started_and_processes_not_looked_into() {
        for call in [
            libc::SYS_execve,
            libc::SYS_execveat,
            libc::SYS_ptrace,
            libc::SYS_process_vm_readv,
            libc::SYS_perf_event_open,
            libc::SYS_mount,
            libc::SYS_unshare,
            libc::SYS_init_module,
            libc::SYS_setns,
            libc::SYS_io_uring_setup,
        ] {
            assert!(!allows(Needs::default(), call), "{call}");
        }
        assert!(allows(Needs { namespaces: true, ..Needs::default() }, libc::SYS_setns));
    }

    #[test]
    fn a_filter_is_short_enough_for_the_kernel() {
        /// `BPF_MAXINSNS` (`linux/bpf_common.h`).
        const MOST: usize = 4096;
        let needs = Needs { namespaces: true, files: true, programs: false };
        let program = program(needs, SeccompAction::Log).unwrap();
        assert!(program.len() < MOST, "{}", program.len());
    }
}
