//! Programs on interfaces, as guards: what is attached goes when its guard goes.

use std::io;
use std::str::FromStr;

use aya::programs::tc::{SchedClassifier, SchedClassifierLink, TcAttachOptions, TcError};
use aya::programs::{LinkOrder, ProgramError, TcAttachType};
use nix::net::if_::if_nametoindex;
use thiserror::Error;
use tracer_core::units::Direction;

use super::clsact::{self, ClsactGuard, Owner};
use super::interfaces::Link;
use super::netlink::NetlinkError;
use super::object::{ObjectError, Programs};
use crate::error::{Exit, ExitStatus};

const EINVAL: i32 = 22;
const ENODEV: i32 = 19;
const EPERM: i32 = 1;
const EOPNOTSUPP: i32 = 95;

/// How programs are attached.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum AttachMode {
    /// By TCX where the kernel has it, else by clsact.
    #[default]
    Auto,
    /// By TCX links (Linux 6.6), which go with the process.
    Tcx,
    /// By clsact filters.
    Clsact,
}

impl FromStr for AttachMode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "auto" => Ok(Self::Auto),
            "tcx" => Ok(Self::Tcx),
            "clsact" => Ok(Self::Clsact),
            _ => Err("expected auto, tcx or clsact".to_owned()),
        }
    }
}

/// One program on one direction of an interface.
#[expect(dead_code, reason = "guards are held, not looked at")]
enum Guard {
    Tcx(SchedClassifierLink),
    Clsact(ClsactGuard),
}

/// Programs on an interface. Dropping it detaches them.
pub struct Attachment {
    _guards: Vec<Guard>,
    /// Whether a program of another owner runs before ours and may keep packets from it.
    pub behind_another: bool,
}

/// Why an interface cannot be observed.
#[derive(Debug, Error)]
pub enum AttachError {
    /// It went or was renamed meanwhile; an event will tell.
    #[error("the interface {name} is gone")]
    Vanished {
        /// Its name.
        name: String,
    },
    /// No TCX on this kernel.
    #[error("this kernel has no TCX (Linux 6.6): use `--attach clsact`")]
    NoTcx,
    /// TCX refused.
    #[error("cannot attach to {name} by TCX")]
    Tcx {
        /// Interface name.
        name: String,
        /// Why.
        source: ProgramError,
    },
    /// The qdisc or its filter was refused.
    #[error("cannot attach to {name} by clsact")]
    Clsact {
        /// Interface name.
        name: String,
        /// Why.
        source: NetlinkError,
    },
    /// The socket that shows that this process is alive, or the process that sweeps when it is not.
    #[error("cannot mark filters as owned, or watch over them")]
    Owner(#[source] io::Error),
    /// The process may not change the network namespace's interfaces.
    #[error(
        "the kernel does not permit attaching to {name}: the network namespace belongs to another user namespace"
    )]
    NotPermitted {
        /// Interface name.
        name: String,
    },
    /// The object lacks a program.
    #[error(transparent)]
    Object(#[from] ObjectError),
}

impl ExitStatus for AttachError {
    fn exit(&self) -> Exit {
        match self {
            Self::NoTcx | Self::NotPermitted { .. } | Self::Object(_) => Exit::Environment,
            Self::Vanished { .. } | Self::Tcx { .. } | Self::Clsact { .. } | Self::Owner(_) => Exit::Failed,
        }
    }
}

/// Interfaces up to which TCX is taken where both ways are there. The kernel waits for all processors with every TCX
/// program that comes or goes (`synchronize_rcu` in kernel/bpf/tcx.c, 5 to 20 ms) and lets nobody else change an
/// interface meanwhile; a clsact filter takes half a millisecond.
const FEW: usize = 16;

/// Attaches programs in the thread's network namespace.
pub struct Attacher {
    mode: AttachMode,
    directions: Vec<Direction>,
    /// Whether there are too many interfaces for TCX.
    are_many: bool,
    owner: Option<Owner>,
}

impl Attacher {
    /// For one direction or both of about so many interfaces. Sweeps what dead processes left in this network namespace,
    /// in any mode: the one before may have had another. Returns also how many stale filters there were.
    pub fn new(
        mode: AttachMode,
        direction: Option<Direction>,
        interfaces: usize,
    ) -> Result<(Self, usize), NetlinkError> {
        let directions = direction.map_or(vec![Direction::Ingress, Direction::Egress], |one| vec![one]);
        let are_many = interfaces > FEW;
        Ok((Self { mode, directions, are_many, owner: None }, clsact::sweep()?))
    }

    /// Does what needs all privileges, and starts a process, before some are given up.
    pub fn prepare(&mut self) -> Result<(), AttachError> {
        let wants_clsact = match self.mode {
            AttachMode::Tcx => false,
            AttachMode::Clsact => true,
            AttachMode::Auto => self.are_many || !has_tcx(),
        };
        if wants_clsact && self.owner.is_none() {
            self.owner = Some(Owner::new().map_err(AttachError::Owner)?);
        }
        Ok(())
    }

    /// Attaches the programs to an interface, before all that is there.
    pub fn attach(&mut self, programs: &mut Programs, link: &Link) -> Result<Attachment, AttachError> {
        let mut guards = Vec::new();
        let mut behind_another = false;
        for direction in self.directions_of(link) {
            let (guard, is_behind) = self.attach_one(programs, link, direction)?;
            guards.push(guard);
            behind_another |= is_behind;
        }
        Ok(Attachment { _guards: guards, behind_another })
    }

    /// What loopback sends it receives: the packets that it sends are recorded only if no others are asked for. Packet
    /// sockets leave them out as well (`linux_check_direction` of libpcap).
    fn directions_of(&self, link: &Link) -> Vec<Direction> {
        match &self.directions[..] {
            [_, _] if link.is_loopback() => vec![Direction::Ingress],
            directions => directions.to_vec(),
        }
    }

    fn attach_one(
        &mut self,
        programs: &mut Programs,
        link: &Link,
        direction: Direction,
    ) -> Result<(Guard, bool), AttachError> {
        if self.wants_tcx(link, direction) {
            match tcx(programs, link, direction) {
                Err(AttachError::NoTcx) if self.mode == AttachMode::Auto => self.mode = AttachMode::Clsact,
                result => return Ok((Guard::Tcx(result?), false)),
            }
        }
        self.clsact(programs, link, direction).map(|(guard, behind)| (Guard::Clsact(guard), behind))
    }

    /// 1. What the user says.
    /// 2. TCX on few interfaces: it goes with the process.
    /// 3. TCX where somebody else's program is attached by it: that runs before all filters and may keep packets from them.
    /// 4. clsact.
    fn wants_tcx(&self, link: &Link, direction: Direction) -> bool {
        match self.mode {
            AttachMode::Tcx => true,
            AttachMode::Clsact => false,
            AttachMode::Auto => !self.are_many || has_tcx_program(link, direction),
        }
    }

    fn clsact(
        &mut self,
        programs: &mut Programs,
        link: &Link,
        direction: Direction,
    ) -> Result<(ClsactGuard, bool), AttachError> {
        let owner = match self.owner.take() {
            Some(owner) => owner,
            None => Owner::new().map_err(AttachError::Owner)?,
        };
        let owner = self.owner.insert(owner);
        let program = programs.get(direction)?;
        let fd = program.fd().map_err(|source| AttachError::Tcx { name: link.name.clone(), source })?;
        clsact::attach(owner, std::os::fd::AsFd::as_fd(fd), link.index, direction).map_err(|source| {
            let name = link.name.clone();
            match source.errno() {
                Some(ENODEV) => AttachError::Vanished { name },
                Some(EPERM) => AttachError::NotPermitted { name },
                _ => AttachError::Clsact { name, source },
            }
        })
    }
}

const fn attach_type(direction: Direction) -> TcAttachType {
    match direction {
        Direction::Ingress => TcAttachType::Ingress,
        Direction::Egress => TcAttachType::Egress,
    }
}

/// Whether the kernel knows TCX.
pub fn has_tcx() -> bool {
    SchedClassifier::query_tcx("lo", TcAttachType::Ingress).is_ok()
}

/// Whether a program is attached by TCX; none on a kernel without.
fn has_tcx_program(link: &Link, direction: Direction) -> bool {
    SchedClassifier::query_tcx(&link.name, attach_type(direction))
        .is_ok_and(|(_, programs)| !programs.is_empty())
}

fn tcx(
    programs: &mut Programs,
    link: &Link,
    direction: Direction,
) -> Result<SchedClassifierLink, AttachError> {
    let program = programs.get(direction)?;
    let options = TcAttachOptions::TcxOrder(LinkOrder::first());
    let id = program
        .attach_with_options(&link.name, attach_type(direction), options)
        .map_err(|source| tcx_error(&link.name, source))?;
    let guard = program.take_link(id).map_err(|source| tcx_error(&link.name, source))?;
    // aya takes a name: between the listing and now it may have become another interface's.
    match if_nametoindex(link.name.as_str()) {
        Ok(index) if index == link.index.0 => Ok(guard),
        _ => Err(AttachError::Vanished { name: link.name.clone() }),
    }
}

fn tcx_error(name: &str, source: ProgramError) -> AttachError {
    let name = name.to_owned();
    match errno(&source) {
        // An attach type, or an attribute, that the kernel does not know.
        Some(EINVAL | EOPNOTSUPP) => AttachError::NoTcx,
        Some(ENODEV) => AttachError::Vanished { name },
        Some(EPERM) => AttachError::NotPermitted { name },
        _ => AttachError::Tcx { name, source },
    }
}

fn errno(error: &ProgramError) -> Option<i32> {
    match error {
        ProgramError::SyscallError(error) => error.io_error.raw_os_error(),
        ProgramError::TcError(TcError::IoError(error)) => error.raw_os_error(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attach_modes_by_name() {
        assert_eq!("auto".parse(), Ok(AttachMode::Auto));
        assert_eq!("clsact".parse(), Ok(AttachMode::Clsact));
        assert!("xdp".parse::<AttachMode>().is_err());
    }

    #[test]
    fn kernels_without_tcx_are_told_by_their_errno() {
        let error = |errno| {
            ProgramError::SyscallError(aya::sys::SyscallError {
                call: "bpf_mprog_attach",
                io_error: io::Error::from_raw_os_error(errno),
            })
        };
        assert!(matches!(tcx_error("eth0", error(EINVAL)), AttachError::NoTcx));
        assert!(matches!(tcx_error("eth0", error(ENODEV)), AttachError::Vanished { .. }));
        assert!(matches!(tcx_error("eth0", error(28)), AttachError::Tcx { .. }));
    }
}
