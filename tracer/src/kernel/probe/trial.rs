//! Features of the kernel, found out by using them once. Nothing that a trial makes outlives it.

use std::fs::File;
use std::io;
use std::thread;

use aya::maps::MapType;
use aya::programs::tc::{TcAttachOptions, TcError};
use aya::programs::{LinkOrder, ProgramError, ProgramType, TcAttachType};
use aya::sys::{SyscallError, is_map_supported, is_program_supported};
use nix::errno::Errno;
use nix::sched::{CloneFlags, setns, unshare};
use tracer_core::units::{Direction, SnapLength};

use crate::error::chain;
use crate::kernel::attach::{AttachMode, Attacher};
use crate::kernel::drops::{DropScope, Drops};
use crate::kernel::interfaces;
use crate::kernel::object::{self, Loaded, ObjectError, Programs, RingSize, Settings};

/// Every network namespace has it.
const LOOPBACK: &str = "lo";

/// What came of trying a feature.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Trial {
    /// It works.
    Works,
    /// The kernel does not know it.
    Absent,
    /// The kernel does not permit it to this process.
    NotPermitted,
    /// It failed in another way; the text says how.
    Failed(String),
    /// It was not tried, because of what the text says.
    Untried(&'static str),
}

impl Trial {
    fn of_errno(errno: Option<i32>, error: &dyn std::error::Error) -> Self {
        match errno.map(Errno::from_raw) {
            Some(Errno::EPERM | Errno::EACCES) => Self::NotPermitted,
            // An attribute, a type, a qdisc or a system call that the kernel has not heard of.
            Some(Errno::EINVAL | Errno::EOPNOTSUPP | Errno::ENOSYS | Errno::ENOENT) => Self::Absent,
            _ => Self::Failed(chain(error)),
        }
    }

    fn of_support(support: Result<bool, SyscallError>) -> Self {
        match support {
            Ok(true) => Self::Works,
            Ok(false) => Self::Absent,
            Err(error) => Self::of_errno(error.io_error.raw_os_error(), &error),
        }
    }
}

/// Makes the smallest map there is: whether the system call bpf(2) is permitted.
pub fn map() -> Trial {
    Trial::of_support(is_map_supported(MapType::Array))
}

/// Makes a ring buffer of one page.
pub fn ring_buffer() -> Trial {
    Trial::of_support(is_map_supported(MapType::RingBuf))
}

/// Loads a program of two instructions of the type that is attached to interfaces.
pub fn classifier() -> Trial {
    match is_program_supported(ProgramType::SchedClassifier) {
        Ok(true) => Trial::Works,
        Ok(false) => Trial::Absent,
        Err(error) => Trial::of_errno(errno(&error), &error),
    }
}

/// Loads the programs that a capture loads, with buffers of the least size. They come back for further trials.
pub fn programs() -> (Trial, Option<Loaded>) {
    let snap = SnapLength(128);
    let mut settings = Settings {
        snap,
        ring: RingSize::at_least(0, snap),
        interfaces: 1,
        vxlan_port: None,
        by_address: true,
        filter: None,
        samples: false,
        wake_each: false,
        debug: false,
        drops: Vec::new(),
    };
    if let Ok(drops) = Drops::look(DropScope::Own) {
        settings.observe(&drops);
    }
    match object::load(&settings) {
        Ok(loaded) => (Trial::Works, Some(loaded)),
        Err(ObjectError::NotBuilt) => (Trial::Untried("there are no programs in this kflow"), None),
        Err(ObjectError::NotPermitted { .. }) => (Trial::NotPermitted, None),
        Err(error) => (refused(&error), None),
    }
}

/// Sees what the kernel drops, for a moment, and records nothing of it.
pub fn drops(programs: &mut Programs) -> Trial {
    // Without what it tells the program was not loaded.
    if let Err(error) = Drops::look(DropScope::Own) {
        return Trial::Failed(chain(&error));
    }
    match programs.watch_drops() {
        Ok(_guard) => Trial::Works,
        Err(ObjectError::NotPermitted { .. }) => Trial::NotPermitted,
        Err(error) => refused(&error),
    }
}

/// Of the verifier's log the line that says why.
fn refused(error: &ObjectError) -> Trial {
    let ObjectError::Verifier { name, cause, log } = error else { return Trial::Failed(chain(error)) };
    let reason = reason(log).unwrap_or_default();
    Trial::Failed(format!("the verifier refuses {name} ({cause}): {reason}"))
}

/// The line of a verifier's log that says why: the last one but for its statistics.
fn reason(log: &str) -> Option<&str> {
    let is_statistics =
        |line: &&str| ["processed ", "verification time", "stack depth"].iter().any(|s| line.starts_with(s));
    log.lines().map(str::trim).filter(|line| !line.is_empty()).rfind(|line| !is_statistics(line))
}

/// Attaches a program by TCX: to the loopback interface of a new network namespace, or, where none can be made, for
/// a moment to that of this one, where it lets everything pass.
pub fn tcx(programs: &mut Programs) -> Trial {
    on_thread(|| {
        // Without the privilege for a namespace of its own it stays in this one.
        let _ = unshare(CloneFlags::CLONE_NEWNET);
        let program = match programs.get(Direction::Ingress) {
            Ok(program) => program,
            Err(error) => return Trial::Failed(chain(&error)),
        };
        let options = TcAttachOptions::TcxOrder(LinkOrder::first());
        let link = program.attach_with_options(LOOPBACK, TcAttachType::Ingress, options);
        match link.and_then(|link| program.detach(link)) {
            Ok(()) => Trial::Works,
            Err(error) => Trial::of_errno(errno(&error), &error),
        }
    })
}

/// Attaches the programs by clsact in a new network namespace. In this one it would leave a qdisc behind.
pub fn clsact(programs: &mut Programs) -> Trial {
    on_thread(|| {
        if unshare(CloneFlags::CLONE_NEWNET).is_err() {
            return Trial::Untried("trying it without leaving a trace needs CAP_SYS_ADMIN");
        }
        let lists =
            interfaces::list().and_then(|links| Ok((links, Attacher::new(AttachMode::Clsact, None, 1)?.0)));
        let (links, mut attacher) = match lists {
            Ok(lists) => lists,
            Err(error) => return Trial::of_errno(error.errno(), &error),
        };
        let Some(link) = links.iter().find(|link| link.is_loopback()) else {
            return Trial::Failed("a new network namespace has no loopback interface".to_owned());
        };
        match attacher.attach(programs, link) {
            Ok(_attachment) => Trial::Works,
            Err(error) => Trial::of_errno(root_errno(&error), &error),
        }
    })
}

/// Enters a network namespace: the one it is in, which asks for the same privileges as any other of this owner.
pub fn enter_netns() -> Trial {
    on_thread(|| {
        let entered = File::open("/proc/thread-self/ns/net")
            .and_then(|namespace| setns(namespace, CloneFlags::CLONE_NEWNET).map_err(io::Error::from));
        match entered {
            Ok(()) => Trial::Works,
            Err(error) => Trial::of_errno(error.raw_os_error(), &error),
        }
    })
}

/// A thread of its own, since a namespace is a thread's.
fn on_thread(trial: impl FnOnce() -> Trial + Send) -> Trial {
    thread::scope(|scope| scope.spawn(trial).join())
        .unwrap_or_else(|_| Trial::Failed("the trial itself failed".to_owned()))
}

fn errno(error: &ProgramError) -> Option<i32> {
    match error {
        ProgramError::SyscallError(error) => error.io_error.raw_os_error(),
        ProgramError::LoadError { io_error, .. } => io_error.raw_os_error(),
        ProgramError::TcError(TcError::IoError(error)) => error.raw_os_error(),
        _ => None,
    }
}

/// The error number at the end of a chain of causes.
fn root_errno(error: &(dyn std::error::Error + 'static)) -> Option<i32> {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.filter_map(|error| error.downcast_ref::<io::Error>()).find_map(io::Error::raw_os_error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_numbers_tell_what_is_lacking() {
        let cause = io::Error::from_raw_os_error(28);
        let table = [
            (Some(1), Trial::NotPermitted),
            (Some(13), Trial::NotPermitted),
            (Some(22), Trial::Absent),
            (Some(95), Trial::Absent),
            (Some(28), Trial::Failed(cause.to_string())),
            (None, Trial::Failed(cause.to_string())),
        ];
        for (errno, expected) in table {
            assert_eq!(Trial::of_errno(errno, &cause), expected, "{errno:?}");
        }
    }

    #[test]
    fn reason_of_the_verifier_is_before_its_statistics() {
        let log = "12: (0f) r0 += r2\nR0 pointer arithmetic prohibited\nverification time 90 usec\n\
                   stack depth 0\nprocessed 40 insns (limit 1000000)\n";
        assert_eq!(reason(log), Some("R0 pointer arithmetic prohibited"));
        assert_eq!(reason("processed 0 insns"), None);
    }

    #[test]
    fn error_number_is_found_below_other_errors() {
        let error = crate::kernel::netlink::NetlinkError::Refused {
            action: "try",
            source: io::Error::from_raw_os_error(95),
        };
        assert_eq!(root_errno(&error), Some(95));
    }
}
