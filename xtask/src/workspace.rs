//! Where things are.

use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

/// This source tree and what cargo builds from it.
pub(crate) struct Workspace {
    root: PathBuf,
    target: PathBuf,
}

impl Workspace {
    /// The workspace of the running program, which cargo has started.
    pub(crate) fn find() -> Result<Self> {
        let package = env::var_os("CARGO_MANIFEST_DIR").context("not started as `cargo xtask`")?;
        let root = Path::new(&package).parent().context("this package is outside its workspace")?;
        let program = env::current_exe().context("cannot find this program")?;
        let target =
            ebpf_build::target_dir(&program).context("this program is outside a target directory")?;
        Ok(Self { root: root.to_owned(), target: target.to_owned() })
    }

    /// Another tree of the same sources.
    pub(crate) fn at(root: PathBuf, target: PathBuf) -> Self {
        Self { root, target }
    }

    /// Where the workspace's `Cargo.toml` is.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Cargo's target directory: all that is built here is below it.
    pub(crate) fn target(&self) -> &Path {
        &self.target
    }

    /// `program`, to be run at the root of the workspace. What it builds has its eBPF object, or fails.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.root).env_remove("AYA_BUILD_SKIP");
        command
    }

    /// The cargo that runs this program, with `words` for arguments.
    pub(crate) fn cargo(&self, words: &str) -> Command {
        let mut command = self.command(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command.args(words.split_whitespace());
        command
    }
}

/// Where `program` is on the path, as an absolute path.
pub(crate) fn find_program(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    let file = env::split_paths(&path).map(|dir| dir.join(program)).find(|file| file.is_file())?;
    std::path::absolute(file).ok()
}

/// Refuses to go on without root; `purpose` is what needs it.
pub(crate) fn require_root(purpose: &str) -> Result<()> {
    if rustix::process::geteuid().is_root() {
        return Ok(());
    }
    bail!(
        "{purpose}, and that needs root: run it as root (in a container, with CAP_BPF, CAP_NET_ADMIN, CAP_SYS_ADMIN)"
    )
}
