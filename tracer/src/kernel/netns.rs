//! Entering a network namespace.

use std::fmt;
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::str::FromStr;

use nix::sched::{CloneFlags, setns};
use thiserror::Error;

use crate::error::{Exit, ExitStatus};

/// A network namespace as the user names it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum NetnsRef {
    /// A file that holds it open, as below `/run/netns` or `/proc/PID/ns/net`.
    Path(PathBuf),
    /// A process that is in it.
    Process(u32),
}

impl NetnsRef {
    fn path(&self) -> PathBuf {
        match self {
            Self::Path(path) => path.clone(),
            Self::Process(pid) => PathBuf::from(format!("/proc/{pid}/ns/net")),
        }
    }

    /// Moves the calling thread into the namespace. To be called before the process has other threads.
    pub fn enter(&self) -> Result<(), NetnsError> {
        let path = self.path();
        let file = File::open(&path).map_err(|source| match (source.kind(), self) {
            (io::ErrorKind::NotFound, Self::Process(pid)) => NetnsError::NoProcess { pid: *pid },
            (io::ErrorKind::NotFound, Self::Path(_)) => NetnsError::NoSuchFile { path: path.clone() },
            _ => NetnsError::Open { path: path.clone(), source },
        })?;
        setns(file, CloneFlags::CLONE_NEWNET).map_err(|errno| match errno {
            nix::errno::Errno::EINVAL => NetnsError::NotANamespace { path },
            errno => NetnsError::Enter { path, source: errno.into() },
        })
    }
}

impl FromStr for NetnsRef {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(text.parse().map_or_else(|_| Self::Path(PathBuf::from(text)), Self::Process))
    }
}

impl fmt::Display for NetnsRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path().display())
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

impl ExitStatus for NetnsError {
    fn exit(&self) -> Exit {
        match self {
            Self::NoSuchFile { .. } | Self::NoProcess { .. } | Self::NotANamespace { .. } => Exit::Failed,
            Self::Open { .. } | Self::Enter { .. } => Exit::Environment,
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
    }

    #[test]
    fn missing_namespaces_are_told_apart() {
        let missing = NetnsRef::Path("/nowhere/at/all".into()).enter();
        assert!(matches!(missing, Err(NetnsError::NoSuchFile { .. })));
        assert!(matches!(NetnsRef::Process(u32::MAX).enter(), Err(NetnsError::NoProcess { .. })));
    }
}
