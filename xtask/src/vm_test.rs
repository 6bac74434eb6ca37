//! kflow on kernels of distributions, each in a virtual machine of its own.
//!
//! Kernels come from the distributions' archives, machines are emulated by QEMU (no KVM is asked for), and the suite
//! inside is `vm_suite` of the package `tests`. What it finds is compared with the table in docs/kernels.md.

mod archive;
mod boot;
mod initramfs;
mod kernel;
mod newc;
mod result;
mod table;

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::thread;

use anyhow::{Context as _, Result, bail};

use self::archive::Archive;
use self::initramfs::Userland;
use self::kernel::{KERNELS, Kernel};
use self::result::Findings;
use self::table::Table;
use crate::setup::{self, setup};
use crate::step::{run, step};
use crate::workspace::Workspace;

/// Machines at a time, each with two processors that are emulated.
const AT_A_TIME: usize = 2;

/// What is asked for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Options {
    /// Kernels by their versions. None means every one.
    kernels: Vec<String>,
    /// Features to try, and nothing else. None means every one.
    features: Vec<String>,
    /// Whether the table in docs/kernels.md is written anew from what is found.
    write: bool,
    /// The folder with `kflow` and `vm_suite`. Absent for those of the release, built from these sources.
    binaries: Option<PathBuf>,
}

impl Options {
    /// From the words after `vm-test`; none if they make no sense.
    pub(crate) fn parse(words: &[&str]) -> Option<Self> {
        let mut options = Self::default();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            match *word {
                "--kernel" => options.kernels.push(Kernel::named(words.next()?)?.version.to_owned()),
                "--feature" => options.features.push((*words.next()?).to_owned()),
                "--write" => options.write = true,
                "--binaries" => options.binaries = Some(PathBuf::from(words.next()?)),
                _ => return None,
            }
        }
        Some(options)
    }

    fn chosen(&self) -> Vec<&'static Kernel> {
        let is_meant = |kernel: &&Kernel| {
            self.kernels.is_empty() || self.kernels.iter().any(|version| version == kernel.version)
        };
        KERNELS.iter().filter(is_meant).collect()
    }
}

/// Boots each kernel, prints a table, and fails if a feature is worse than docs/kernels.md says.
pub(crate) fn vm_test(workspace: &Workspace, options: &Options) -> Result<()> {
    let kernels = options.chosen();
    let qemu = step("setup", || {
        setup(workspace)?;
        setup::program("wg", "wireguard-tools", "makes WireGuard's keys in the machines")?;
        setup::program("ipvsadm", "ipvsadm", "makes IPVS's services in the machines")?;
        setup::program("depmod", "kmod", "loads modules in the machines")?;
        setup::program("xz", "xz-utils", "unpacks packages")?;
        setup::program("qemu-system-x86_64", "qemu-system-x86", "runs the machines")
    })?;
    let binaries = binaries(workspace, options)?;
    let directory = workspace.target().join("vm");
    let archive = Archive::below(&directory);
    let machines = step("kernels", || {
        let userland = Userland::gather(&binaries, &options.features)?;
        kernels.iter().map(|kernel| machine(kernel, &archive, &userland, &qemu)).collect::<Result<Vec<_>>>()
    })?;
    let findings = step("machines", || Ok(boot_all(machines)))?;
    let path = workspace.root().join("docs/kernels.md");
    let text = std::fs::read_to_string(&path).context("cannot read docs/kernels.md")?;
    let mut table = Table::parse(&text)?;
    for found in &findings {
        print!("{found}");
    }
    let worse: Vec<String> =
        findings.iter().flat_map(|found| table.compare(found, &options.features)).collect();
    for found in &findings {
        table.take(found);
    }
    println!("\n{table}");
    if options.write {
        std::fs::write(&path, table.put_into(&text)?).context("cannot write docs/kernels.md")?;
    }
    if !worse.is_empty() {
        bail!("worse than docs/kernels.md says:\n  {}", worse.join("\n  "));
    }
    Ok(())
}

/// The folder that they are in, built unless they are given.
fn binaries(workspace: &Workspace, options: &Options) -> Result<PathBuf> {
    if let Some(given) = &options.binaries {
        return Ok(given.clone());
    }
    step("build (release)", || {
        run(&mut workspace
            .cargo("build --release --package tracer --package tests --bin kflow --bin vm_suite"))
    })?;
    Ok(workspace.target().join("release"))
}

fn machine(
    kernel: &'static Kernel,
    archive: &Archive,
    userland: &Userland,
    qemu: &Path,
) -> Result<boot::Machine> {
    let unpacked = kernel.fetch(archive).with_context(|| format!("cannot have Linux {}", kernel.version))?;
    let initramfs = userland.with_modules(&unpacked)?;
    Ok(boot::Machine { version: kernel.version, qemu: qemu.to_owned(), image: unpacked.image, initramfs })
}

/// Runs them, some at a time; what is found is in their order.
fn boot_all(machines: Vec<boot::Machine>) -> Vec<Findings> {
    let count = machines.len();
    let waiting: Mutex<VecDeque<(usize, boot::Machine)>> =
        Mutex::new(machines.into_iter().enumerate().collect());
    let done = Mutex::new(Vec::with_capacity(count));
    thread::scope(|scope| {
        for _ in 0..AT_A_TIME.min(count) {
            scope.spawn(|| {
                loop {
                    let next = waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
                    let Some((index, machine)) = next else { return };
                    let findings = machine.run();
                    eprintln!(
                        "Linux {}: {} features in {:.0} s",
                        machine.version,
                        findings.features.len(),
                        findings.seconds
                    );
                    done.lock().unwrap_or_else(PoisonError::into_inner).push((index, findings));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, findings)| findings).collect()
}
