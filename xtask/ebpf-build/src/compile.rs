//! One run of cargo for the BPF target.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::Toolchain;

/// Every architecture that kflow runs on is little-endian.
const TARGET: &str = "bpfel-unknown-none";

/// Set by cargo for the build script or by the user for the host's build; each would change what is built here.
const FOREIGN: &[&str] = &[
    "CARGO_BUILD_TARGET",
    "CARGO_TARGET_DIR",
    "RUSTC_WORKSPACE_WRAPPER",
    "RUSTC_WRAPPER",
    "RUSTDOC",
    "RUSTFLAGS",
];

/// Builds the binary of `package` and returns its path.
///
/// The target directory is shared by all objects and apart from the one whose lock the calling cargo holds.
/// Warnings of the compiler become warnings of the build script.
pub(crate) fn compile(package: &str, toolchain: &Toolchain, target_dir: &Path) -> Result<PathBuf> {
    let target_dir = target_dir.join("ebpf/build");
    let output = command(package, toolchain, &target_dir)?
        .output()
        .with_context(|| format!("cannot run {}", toolchain.cargo.display()))?;
    let messages = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{} ({})\n\n{messages}", output.status, toolchain.description);
    for line in messages.lines().filter(|line| !line.is_empty()) {
        println!("cargo::warning={line}");
    }
    Ok(target_dir.join(TARGET).join("release").join(package))
}

fn command(package: &str, toolchain: &Toolchain, target_dir: &Path) -> Result<Command> {
    let mut cargo = Command::new(&toolchain.cargo);
    cargo
        .args(["build", "--quiet", "--release", "-Z", "build-std=core", "--target", TARGET])
        .args(["--package", package, "--bin", package, "--target-dir"])
        .arg(target_dir);
    for name in FOREIGN {
        cargo.env_remove(name);
    }
    cargo
        .env("RUSTC", &toolchain.rustc)
        .env("CARGO_TARGET_BPFEL_UNKNOWN_NONE_LINKER", &toolchain.linker)
        .env("CARGO_ENCODED_RUSTFLAGS", rustflags(toolchain)?.join("\u{1f}"));
    if toolchain.bootstrap {
        cargo.env("RUSTC_BOOTSTRAP", "1");
    }
    Ok(cargo)
}

/// Debug information for all, since the linker makes the types (BTF) that maps and the verifier's log need out
/// of it; the architecture whose registers and kernel structures the programs will meet; and names for the places of
/// sources that are the same on every machine, so that the object is.
fn rustflags(toolchain: &Toolchain) -> Result<Vec<String>> {
    let arch = env::var("CARGO_CFG_TARGET_ARCH").context("CARGO_CFG_TARGET_ARCH is not set")?;
    let mut flags = vec![
        format!("--cfg=bpf_target_arch=\"{arch}\""),
        "-Cdebuginfo=2".to_owned(),
        "-Clink-arg=--btf".to_owned(),
    ];
    let package = env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    let workspace =
        package.iter().flat_map(|path| path.ancestors()).find(|path| path.join("Cargo.lock").is_file());
    let home = env::var_os("CARGO_HOME").map(PathBuf::from).or_else(|| Some(env::home_dir()?.join(".cargo")));
    let sysroot = toolchain.rustc.parent().and_then(Path::parent);
    for (path, name) in [(workspace, "kflow"), (home.as_deref(), "cargo"), (sysroot, "rust")] {
        flags.extend(path.map(|path| format!("--remap-path-prefix={}=/{name}", path.display())));
    }
    Ok(flags)
}
