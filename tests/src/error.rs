//! Why a lab could not be raised or changed.

use std::{io, path::PathBuf};

use aya::{
    EbpfError,
    maps::MapError,
    programs::{ProgramError, tc::TcError},
};
use nix::errno::Errno;
use thiserror::Error;

use crate::{CommandError, NamespaceError};

/// Why a lab could not be raised or changed.
#[derive(Debug, Error)]
pub enum LabError {
    /// A namespace could not be made or entered.
    #[error(transparent)]
    Namespace(#[from] NamespaceError),
    /// A program of the system failed.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// A setting of the kernel could not be written.
    #[error("cannot set {} to {value}", path.display())]
    Sysctl {
        /// The file below `/proc/sys`.
        path: PathBuf,
        /// What was to be written.
        value: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
    /// A file or directory of the lab could not be written.
    #[error("cannot write {}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// No TUN device could be made.
    #[error("cannot {operation} for the TUN device {device}")]
    Tun {
        /// What was tried.
        operation: &'static str,
        /// The device.
        device: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// An interface that the lab made is not there.
    #[error("no interface {interface} in the namespace {namespace}")]
    Interface {
        /// The interface.
        interface: &'static str,
        /// The namespace.
        namespace: String,
        /// What the kernel said.
        source: Errno,
    },
    /// The eBPF object of the IPIP stand-in was not built.
    #[error("built without eBPF, and this kernel has no ipip device: run `cargo xtask setup`")]
    NoObject,
    /// The eBPF object has no such map or program.
    #[error("the lab's eBPF object has no {0}")]
    NoSuchPart(&'static str),
    /// The eBPF object could not be loaded.
    #[error("cannot load the lab's eBPF object")]
    Object(#[from] EbpfError),
    /// A map could not be written.
    #[error("cannot write a map of the lab's eBPF object")]
    Map(#[from] MapError),
    /// A program was refused or could not be attached.
    #[error("cannot load or attach a program of the lab's eBPF object")]
    Program(#[from] ProgramError),
    /// An interface could not be given a place for programs.
    #[error("cannot add clsact to {interface}")]
    Clsact {
        /// The interface.
        interface: &'static str,
        /// What the kernel said.
        source: TcError,
    },
}
