//! What is shipped, below `target/dist`: static binaries, images, manifests, and what packages need besides.
//!
//! Everything is made of the sources and the lock file alone, with no time and no name of this machine in it: two runs
//! on one commit give the same bytes, as far as the compiler does.

mod archive;
mod binary;
mod blob;
mod commit;
mod image;
mod krew;
mod manifests;
mod pages;
mod sbom;
mod sums;
mod target;
mod twice;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use self::binary::Binary;
pub(crate) use self::commit::Commit;
pub(crate) use self::image::{Image, Layer, write as write_image};
pub(crate) use self::target::Target;
use crate::setup::setup;
use crate::step::step;
use crate::workspace::Workspace;

/// The version of everything here.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What a cluster knows the image by; `kflow:VERSION` is short for it.
pub(crate) fn image_name() -> String {
    format!("docker.io/library/kflow:{VERSION}")
}

/// Where everything is put.
pub(crate) fn directory(workspace: &Workspace) -> PathBuf {
    workspace.target().join("dist")
}

/// What is asked for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Options {
    /// Targets that have to be built. None means every one that this machine can build for.
    targets: Vec<Target>,
    /// Where the archives will be found.
    releases: Option<String>,
    /// Nothing is shipped: the program is built twice and compared.
    is_check: bool,
}

impl Options {
    /// From the words after `dist`; none if they make no sense.
    pub(crate) fn parse(words: &[&str]) -> Option<Self> {
        let mut options = Self::default();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            match *word {
                "--target" => options.targets.push(Target::named(words.next()?)?),
                "--check-reproducible" => options.is_check = true,
                "--releases" => options.releases = Some((*words.next()?).to_owned()),
                _ => return None,
            }
        }
        Some(options)
    }
}

/// Builds everything into an empty directory and says what is there.
pub(crate) fn dist(workspace: &Workspace, options: &Options) -> Result<()> {
    step("setup", || setup(workspace))?;
    let commit = Commit::of(workspace)?;
    if options.is_check {
        let target =
            options.targets.first().copied().or_else(|| Target::ALL.into_iter().find(|one| one.is_native()));
        return twice::check(workspace, target.context("this machine is of no target")?, &commit);
    }
    let out = empty(&directory(workspace))?;
    let binaries = binaries(workspace, &options.targets, &commit)?;
    let pages = step("completions and manual", || pages::write(&binaries, &commit, &out))?;
    let images = step("images", || images(&binaries, &commit, &out))?;
    step("manifests", || manifests::write(workspace, &binaries, &out))?;
    step("bill of materials", || sbom::write(workspace, &binaries, &commit, &out))?;
    step("archives", || {
        let archives = archive::write(workspace, &binaries, &pages, &out)?;
        krew::write(workspace, &archives, options.releases.as_deref(), &out)
    })?;
    step("checksums", || sums::write(&out))?;
    tell(&out, &images)
}

/// The program and the image for one target alone, put into `out`.
pub(crate) fn one(
    workspace: &Workspace,
    target: Target,
    commit: &Commit,
    out: &Path,
) -> Result<(PathBuf, PathBuf)> {
    let binary = Binary::build(workspace, target, commit)?;
    let image = kflow(&binary, commit)?;
    let file = out.join(format!("kflow-{VERSION}-image-{}.tar", image.architecture()));
    image::write(&file, &image_name(), &[image])?;
    Ok((binary.path, file))
}

/// One for each target. With none named, those that cannot be built are left out aloud; without any, it fails.
fn binaries(workspace: &Workspace, wanted: &[Target], commit: &Commit) -> Result<Vec<Binary>> {
    if !wanted.is_empty() {
        return wanted.iter().map(|target| Binary::build(workspace, *target, commit)).collect();
    }
    let mut built = Vec::new();
    let mut skipped = Vec::new();
    for target in Target::ALL {
        match target.toolchain() {
            Ok(_) => built.push(Binary::build(workspace, target, commit)?),
            Err(reason) => skipped.push(format!("{target}: {reason:#}")),
        }
    }
    for line in &skipped {
        eprintln!("\nskipped {line}");
    }
    if built.is_empty() {
        bail!("no target can be built here: {}", skipped.join("; "));
    }
    Ok(built)
}

/// One for each target, that every tool loads, and one for all of them, for registries.
fn images(binaries: &[Binary], commit: &Commit, out: &Path) -> Result<Vec<PathBuf>> {
    let all = binaries.iter().map(|binary| kflow(binary, commit)).collect::<Result<Vec<_>>>()?;
    let mut files = Vec::new();
    for image in &all {
        let file = out.join(format!("kflow-{VERSION}-image-{}.tar", image.architecture()));
        image::write(&file, &image_name(), std::slice::from_ref(image))?;
        files.push(file);
    }
    if all.len() > 1 {
        let file = out.join(format!("kflow-{VERSION}-image.tar"));
        image::write(&file, &image_name(), &all)?;
        files.push(file);
    }
    Ok(files)
}

fn kflow(binary: &Binary, commit: &Commit) -> Result<Image> {
    Ok(Image {
        target: binary.target,
        layer: Layer::of(&[("kflow", &binary.path)])?,
        entrypoint: vec!["/kflow".to_owned()],
        command: vec!["agent".to_owned()],
        labels: [
            ("org.opencontainers.image.title", "kflow"),
            (
                "org.opencontainers.image.description",
                "Follows packets through a Kubernetes network with eBPF: the agent and the command line",
            ),
            ("org.opencontainers.image.licenses", "MIT OR Apache-2.0"),
            ("org.opencontainers.image.revision", &commit.hash),
            ("org.opencontainers.image.version", VERSION),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .to_vec(),
        created: commit.time.clone(),
    })
}

/// The directory, with nothing in it.
fn empty(directory: &Path) -> Result<PathBuf> {
    if directory.exists() {
        fs::remove_dir_all(directory).with_context(|| format!("cannot remove {}", directory.display()))?;
    }
    fs::create_dir_all(directory).with_context(|| format!("cannot make {}", directory.display()))?;
    Ok(directory.to_owned())
}

fn tell(out: &Path, images: &[PathBuf]) -> Result<()> {
    println!("{}:", out.display());
    let sums = fs::read_to_string(out.join(sums::NAME)).context("cannot read the checksums")?;
    for line in sums.lines() {
        println!("  {line}");
    }
    if let Some(image) = images.first() {
        println!("\nload the image where nodes find it, for example:");
        println!("  ctr -n k8s.io images import {}", image.display());
        println!("  docker load -i {0}   or   podman load -i {0}", image.display());
    }
    Ok(())
}
