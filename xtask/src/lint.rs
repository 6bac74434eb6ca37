//! What is wrong without running it.
//!
//! Builds into a target directory of its own, where no setup has been: the host crates are checked as on a
//! machine without an eBPF toolchain, and the objects that tests embed stay as they are.

use std::fs;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};

use crate::fuzz;
use crate::step::{output, run, step};
use crate::workspace::{Workspace, find_program};

/// What a package may depend on.
enum Rule {
    Nothing,
    Without(&'static [&'static str]),
}

/// The direction of dependencies that ARCHITECTURE.md draws, where Cargo alone would not hold it.
const DIRECTION: &[(&str, Rule)] = &[
    ("tracer-common", Rule::Nothing),
    (
        "tracer-core",
        Rule::Without(&["aya", "aya-obj", "clap", "kube", "kube-client", "nix", "rustix", "tokio", "tracer"]),
    ),
];

/// Formats, clippy of both sides, the direction of dependencies, licences and advisories.
pub(crate) fn lint(workspace: &Workspace) -> Result<()> {
    step("format", || run(&mut workspace.cargo("fmt --all --check")))?;
    step("dependency direction", || dependency_direction(workspace))?;
    step("clippy of the host crates, with no eBPF toolchain", || {
        clippy(workspace, "--all-targets", "-D warnings")
    })?;
    step("kflow built without an eBPF toolchain says so", || without_toolchain(workspace))?;
    step("clippy of the eBPF crates", || {
        // They have no unwinding, and clippy compiles them for the host.
        clippy(workspace, "--package tracer-ebpf --package lab-ebpf", "-D warnings -C panic=abort")
    })?;
    step("formats and clippy of the fuzz targets", || fuzz::lint(workspace))?;
    step("actions by their hashes", || pinned(workspace))?;
    step("licences, advisories, sources", || deny(workspace))
}

fn clippy(workspace: &Workspace, what: &str, flags: &str) -> Result<()> {
    let mut cargo = workspace.cargo("clippy --locked");
    cargo.env("CARGO_TARGET_DIR", workspace.target().join("lint"));
    cargo.args(what.split_whitespace()).arg("--").args(flags.split_whitespace());
    run(&mut cargo)
}

/// Whether a `kflow` with an empty object ends as promised: with code 4 and the remedy.
fn without_toolchain(workspace: &Workspace) -> Result<()> {
    let target = workspace.target().join("lint");
    let mut build = workspace.cargo("build --locked --package tracer");
    run(build.env("CARGO_TARGET_DIR", &target))?;
    let program = target.join("debug/kflow");
    let capture = ["capture", "-i", "lo", "-w", "/dev/null"];
    let ended = Command::new(&program).args(capture).stdin(Stdio::null()).output();
    let ended = ended.with_context(|| format!("cannot run {}", program.display()))?;
    let said = String::from_utf8_lossy(&ended.stderr);
    let is_told = said.contains("built without eBPF: run `cargo xtask setup`");
    ensure!(ended.status.code() == Some(4) && is_told, "it ended with {} and said: {said}", ended.status);
    Ok(())
}

fn dependency_direction(workspace: &Workspace) -> Result<()> {
    for (package, rule) in DIRECTION {
        let tree = output(
            workspace
                .cargo("tree --locked --edges normal,build --prefix none --format {p} --package")
                .arg(package),
        )?;
        let dependencies = tree.lines().skip(1).filter_map(|line| line.split_whitespace().next());
        let wrong: Vec<&str> = dependencies.filter(|dependency| rule.forbids(dependency)).collect();
        ensure!(wrong.is_empty(), "{package} must not depend on {}", wrong.join(", "));
    }
    Ok(())
}

impl Rule {
    fn forbids(&self, dependency: &str) -> bool {
        match self {
            Self::Nothing => true,
            Self::Without(names) => names.contains(&dependency),
        }
    }
}

/// A tag of an action can be moved to other code, a hash cannot.
fn pinned(workspace: &Workspace) -> Result<()> {
    let directory = workspace.root().join(".github/workflows");
    for file in fs::read_dir(&directory).with_context(|| format!("cannot list {}", directory.display()))? {
        let path = file.context("cannot list the workflows")?.path();
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let loose = text.lines().find(|line| !is_pinned(line));
        ensure!(loose.is_none(), "{}: not by a full hash: {}", path.display(), loose.unwrap_or_default());
    }
    Ok(())
}

/// Whether a line of a workflow uses no action, or one by the hash of its commit.
fn is_pinned(line: &str) -> bool {
    let Some(used) = line.trim_start().trim_start_matches("- ").strip_prefix("uses:") else { return true };
    let used = used.split('#').next().unwrap_or_default().trim();
    let is_hash = |text: &str| text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    used.starts_with("./") || used.split_once('@').is_some_and(|(_, reference)| is_hash(reference))
}

fn deny(workspace: &Workspace) -> Result<()> {
    if find_program("cargo-deny").is_none() {
        eprintln!("not checked: cargo-deny is not on the path (`cargo install --locked cargo-deny`)");
        return Ok(());
    }
    run(&mut workspace.cargo("deny check --hide-inclusion-graph"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_hash_pins_an_action() {
        let hash = "11bd71901bbe5b1630ceea73d27597364c9af683";
        for (line, expected) in [
            (format!("      - uses: actions/checkout@{hash} # v4.2.2"), true),
            (format!("        uses: actions/checkout@{hash}"), true),
            ("      - uses: ./.github/actions/own".to_owned(), true),
            ("      - run: echo uses: this@v1".to_owned(), true),
            ("      - uses: actions/checkout@v4".to_owned(), false),
            (format!("      - uses: actions/checkout@{}", &hash[..12]), false),
            (format!("      - uses: actions/checkout # {hash}"), false),
        ] {
            assert_eq!(is_pinned(&line), expected, "{line}");
        }
    }
}
