//! Whether the same sources give the same program: built twice, in two directories with nothing in common.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use ebpf_build::Toolchain as EbpfToolchain;

use super::binary::compile;
use super::blob::sha256;
use super::commit::Commit;
use super::target::Target;
use crate::step::{run, step};
use crate::workspace::Workspace;

/// Below the target directory. Their lengths differ, so that a path in the program moves what is behind it.
const DIRECTORIES: [&str; 2] = ["reproducible/one", "reproducible/another/and/a/longer/one"];

/// Builds `kflow` of the commit twice, and fails where the programs differ. Changes that are not committed are not built.
pub(super) fn check(workspace: &Workspace, target: Target, commit: &Commit) -> Result<()> {
    let mut sums = Vec::new();
    for directory in DIRECTORIES.map(|name| workspace.target().join(name)) {
        let path = step(&format!("kflow for {target} in {}", directory.display()), || {
            build(workspace, &directory, target, commit)
        })?;
        let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let sum = sha256(&bytes);
        eprintln!("sha256:{sum}  {}", path.display());
        sums.push(sum);
    }
    ensure!(sums[0] == sums[1], "the same sources gave two programs: compare them with diffoscope");
    println!("reproducible: kflow for {target} of {} is sha256:{}", commit.hash, sums[0]);
    for name in DIRECTORIES {
        let directory = workspace.target().join(name);
        fs::remove_dir_all(&directory).with_context(|| format!("cannot remove {}", directory.display()))?;
    }
    Ok(())
}

fn build(workspace: &Workspace, directory: &Path, target: Target, commit: &Commit) -> Result<PathBuf> {
    if directory.exists() {
        fs::remove_dir_all(directory).with_context(|| format!("cannot remove {}", directory.display()))?;
    }
    fs::create_dir_all(directory).with_context(|| format!("cannot make {}", directory.display()))?;
    let archive = directory.join("sources.tar");
    run(workspace.command("git").args(["archive", "--format=tar", "-o"]).arg(&archive).arg("HEAD"))?;
    run(workspace.command("tar").arg("-xf").arg(&archive).arg("-C").arg(directory))?;
    let copy = Workspace::at(directory.to_owned(), directory.join("target"));
    fs::create_dir_all(copy.target().join("ebpf")).context("cannot make the target directory")?;
    let toolchain = EbpfToolchain::read(workspace.target())?.filter(EbpfToolchain::is_present);
    toolchain.context("there is no eBPF toolchain: run `cargo xtask setup`")?.write(copy.target())?;
    compile(&copy, target, &["--package", "tracer", "--bin", "kflow"], "kflow", Some(commit))
}
