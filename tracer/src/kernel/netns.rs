//! Entering a network namespace.

mod search;

use std::fmt;
use std::fs::File;
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;

use nix::sched::{CloneFlags, setns};
use thiserror::Error;

use crate::error::{Exit, ExitStatus};

/// Inode of the network namespace that the calling thread is in, which tells it from others of the same kernel.
pub fn inode() -> io::Result<u64> {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata("/proc/thread-self/ns/net").map(|file| file.ino())
}

/// A network namespace as the user names it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum NetnsRef {
    /// A file that holds it open, as below `/run/netns` or `/proc/PID/ns/net`.
    Path(PathBuf),
    /// A process that is in it.
    Process(u32),
    /// An address that one of its interfaces has, loopback aside.
    Address(IpAddr),
}

/// What comes before an address.
const BY_ADDRESS: &str = "address:";

impl NetnsRef {
    /// The file of the namespace; one that has an address is looked for from the thread's own namespace.
    pub fn path(&self) -> Result<PathBuf, NetnsError> {
        match self {
            Self::Path(path) => Ok(path.clone()),
            Self::Process(pid) => Ok(PathBuf::from(format!("/proc/{pid}/ns/net"))),
            Self::Address(address) => search::find(*address),
        }
    }

    /// Moves the calling thread into the namespace. To be called before the process has other threads.
    pub fn enter(&self) -> Result<(), NetnsError> {
        let path = self.path()?;
        let file = File::open(&path).map_err(|source| match (source.kind(), self) {
            (io::ErrorKind::NotFound, Self::Process(pid)) => NetnsError::NoProcess { pid: *pid },
            (io::ErrorKind::NotFound, _) => NetnsError::NoSuchFile { path: path.clone() },
            (io::ErrorKind::PermissionDenied, Self::Process(pid)) => NetnsError::Foreign { pid: *pid },
            _ => NetnsError::Open { path: path.clone(), source },
        })?;
        setns(file, CloneFlags::CLONE_NEWNET).map_err(|errno| match errno {
            nix::errno::Errno::EINVAL => NetnsError::NotANamespace { path },
            errno => NetnsError::Enter { path, source: errno.into() },
        })
    }
}

impl FromStr for NetnsRef {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(address) = text.strip_prefix(BY_ADDRESS) {
            let refused = |_| format!("`{address}` is no address: expected {BY_ADDRESS}10.0.0.1");
            return address.parse().map(Self::Address).map_err(refused);
        }
        Ok(text.parse().map_or_else(|_| Self::Path(PathBuf::from(text)), Self::Process))
    }
}

impl fmt::Display for NetnsRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => write!(f, "{}", path.display()),
            Self::Process(pid) => write!(f, "/proc/{pid}/ns/net"),
            Self::Address(address) => write!(f, "{BY_ADDRESS}{address}"),
        }
    }
}

/// Why a network namespace cannot be entered.
#[derive(Debug, Error)]
pub enum NetnsError {
    /// No such file.
    #[error("there is no network namespace {path}: `ip netns` lists named ones as /run/netns/NAME", path = path.display())]
    NoSuchFile {
        /// As the user named it.
        path: PathBuf,
    },
    /// No such process.
    #[error("there is no process {pid} whose network namespace could be entered")]
    NoProcess {
        /// As the user named it.
        pid: u32,
    },
    /// A process of another user, or with more capabilities (ptrace(2)).
    #[error(
        "the network namespace of the process {pid} may not be looked at: that takes the capability CAP_SYS_PTRACE"
    )]
    Foreign {
        /// As the user named it.
        pid: u32,
    },
    /// No namespace in sight has the address.
    #[error("{}", no_address(*address, *looked, *closed))]
    NoAddress {
        /// The address.
        address: IpAddr,
        /// Namespaces that were looked into.
        looked: usize,
        /// Namespaces that could not be entered.
        closed: usize,
    },
    /// Several have it.
    #[error(
        "several network namespaces have the address {address}: {}; name one of them",
        paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
    )]
    Ambiguous {
        /// The address.
        address: IpAddr,
        /// A file of each.
        paths: Vec<PathBuf>,
    },
    /// The file cannot be opened.
    #[error("cannot open the network namespace {path}", path = path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is something else.
    #[error("{path} is no network namespace", path = path.display())]
    NotANamespace {
        /// The file.
        path: PathBuf,
    },
    /// The kernel refused.
    #[error("cannot enter the network namespace {path}", path = path.display())]
    Enter {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

fn no_address(address: IpAddr, looked: usize, closed: usize) -> String {
    let text = format!(
        "no network namespace of {looked} that were looked into has the address {address}: is the pod running on this \
         node?"
    );
    if closed == 0 {
        return text;
    }
    format!("{text} {closed} others may not be entered (that takes CAP_SYS_ADMIN)")
}

impl ExitStatus for NetnsError {
    fn exit(&self) -> Exit {
        match self {
            Self::NoAddress { closed: 0, .. }
            | Self::Ambiguous { .. }
            | Self::NoSuchFile { .. }
            | Self::NoProcess { .. }
            | Self::NotANamespace { .. } => Exit::Failed,
            Self::NoAddress { .. } | Self::Foreign { .. } | Self::Open { .. } | Self::Enter { .. } => {
                Exit::Environment
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn number_is_a_process_and_anything_else_a_path() {
        assert_eq!("42".parse(), Ok(NetnsRef::Process(42)));
        assert_eq!("/run/netns/a".parse(), Ok(NetnsRef::Path("/run/netns/a".into())));
        assert_eq!("./7".parse(), Ok(NetnsRef::Path("./7".into())));
        assert_eq!("address:fd00::1".parse(), Ok(NetnsRef::Address("fd00::1".parse().unwrap())));
        assert!("address:pod-a".parse::<NetnsRef>().is_err());
    }

    #[test]
    fn missing_namespaces_are_told_apart() {
        let missing = NetnsRef::Path("/nowhere/at/all".into()).enter();
        assert!(matches!(missing, Err(NetnsError::NoSuchFile { .. })));
        let nobody = NetnsRef::Address("192.0.2.77".parse().unwrap()).enter().unwrap_err();
        assert!(matches!(nobody, NetnsError::NoAddress { .. }), "{nobody}");
        assert!(matches!(NetnsRef::Process(u32::MAX).enter(), Err(NetnsError::NoProcess { .. })));
    }
}
