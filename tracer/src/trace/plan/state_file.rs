//! The cluster's state from a file.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;
use tracer_core::resolve::ClusterState;

use crate::error::{Exit, ExitStatus};

/// Why there is no cluster state.
#[derive(Debug, Error)]
pub enum StateFileError {
    /// The state file cannot be read.
    #[error("cannot read the cluster state {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The state file is no cluster state.
    #[error("{}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: tracer_core::resolve::StateError,
    },
}

impl ExitStatus for StateFileError {
    fn exit(&self) -> Exit {
        Exit::Failed
    }
}

/// Reads a cluster state.
pub fn read_state(path: &Path) -> Result<ClusterState, StateFileError> {
    let json = fs::read(path).map_err(|source| StateFileError::Read { path: path.to_owned(), source })?;
    ClusterState::from_json(&json)
        .map_err(|source| StateFileError::Malformed { path: path.to_owned(), source })
}
