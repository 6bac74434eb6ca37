//! Kernels of distributions: which there are, where their packages are, what is taken out of them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};

use super::archive::{Archive, Distribution};
use crate::step::output;

/// A line of kernels; the newest version of it in the archive is taken.
#[derive(Debug)]
pub(super) struct Kernel {
    /// Major and minor version.
    pub(super) version: &'static str,
    distribution: Distribution,
    /// The package that depends on the newest kernel.
    package: &'static str,
}

/// What is tried, oldest first: one that is too old, then those of Debian 11, 12, 13 and of what comes after it.
pub(super) const KERNELS: [Kernel; 5] = [
    Kernel { version: "5.4", distribution: Distribution::Ubuntu, package: "linux-image-generic" },
    Kernel { version: "5.10", distribution: Distribution::Debian, package: "linux-image-amd64" },
    Kernel { version: "6.1", distribution: Distribution::Debian, package: "linux-image-amd64" },
    Kernel { version: "6.12", distribution: Distribution::Debian, package: "linux-image-amd64" },
    Kernel { version: "7.2", distribution: Distribution::Debian, package: "linux-image-amd64" },
];

/// Packages that have the image or modules, by the beginning of their names.
const PARTS: [&str; 3] = ["linux-image-", "linux-binary-", "linux-modules-"];

/// Folders of modules that are taken, below `kernel/`: networking, and what it needs.
const FOLDERS: [&str; 9] = [
    "net/",
    "lib/",
    "crypto/",
    "arch/x86/crypto/",
    "arch/x86/lib/",
    "drivers/net/wireguard/",
    "drivers/net/vxlan/",
    "drivers/net/geneve",
    "drivers/net/ipvlan/",
];
/// Single modules of `kernel/drivers/net/`.
const DEVICES: [&str; 8] = ["dummy", "geneve", "macvlan", "tap", "tun", "veth", "vxlan", "netkit"];

/// The image where it is among the modules, as in newer packages.
const IMAGE: &str = "vmlinuz";

/// What was taken out of a kernel's packages.
pub(super) struct Unpacked {
    /// The image to boot.
    pub(super) image: PathBuf,
    /// The folder that `lib/modules` is in.
    pub(super) root: PathBuf,
    /// As `uname -r` prints it.
    pub(super) release: String,
}

impl Kernel {
    /// By its version.
    pub(super) fn named(version: &str) -> Option<&'static Self> {
        KERNELS.iter().find(|kernel| kernel.version == version)
    }

    /// Fetches and unpacks it, unless that was done before.
    pub(super) fn fetch(&self, archive: &Archive) -> Result<Unpacked> {
        let root = archive.directory().join("kernels").join(self.version);
        if let Ok(unpacked) = find(&root) {
            return Ok(unpacked);
        }
        let packages = self.packages(archive)?;
        let _ = fs::remove_dir_all(&root);
        fs::create_dir_all(&root).context("cannot make the kernel's folder")?;
        for (package, version) in &packages {
            unpack(&archive.fetch(self.distribution, package, version)?, &root)?;
        }
        // Newer packages have what older ones have below `/lib`.
        let moved = root.join("usr/lib/modules");
        if moved.exists() {
            fs::create_dir_all(root.join("lib")).context("cannot make `lib`")?;
            fs::rename(&moved, root.join("lib/modules")).context("cannot move the modules")?;
        }
        let unpacked = find(&root)?;
        output(Command::new("depmod").arg("-b").arg(&root).arg(&unpacked.release))?;
        Ok(unpacked)
    }

    /// Names and versions of the packages with its image and modules.
    fn packages(&self, archive: &Archive) -> Result<Vec<(String, String)>> {
        archive.update(self.distribution)?;
        let prefix = format!("{}.", self.version);
        let meta = archive.describe(self.distribution, self.package)?;
        let found = meta.iter().find(|paragraph| paragraph.field("Version").starts_with(&prefix));
        let found = found.with_context(|| {
            let versions: Vec<&str> = meta.iter().map(|paragraph| paragraph.field("Version")).collect();
            format!("the archive has {} only in the versions {}", self.package, versions.join(", "))
        })?;
        let image = found.depends().find(|name| name.starts_with(PARTS[0]));
        let image = image.context("the package depends on no image")?.to_owned();
        let mut packages = Vec::new();
        let mut wanted = vec![image];
        while let Some(package) = wanted.pop() {
            let versions = archive.describe(self.distribution, &package)?;
            let newest = versions.first().with_context(|| format!("there is no package {package}"))?;
            let is_part = |name: &&str| PARTS.iter().any(|part| name.starts_with(part));
            wanted.extend(newest.depends().filter(is_part).map(str::to_owned));
            packages.push((package, newest.field("Version").to_owned()));
        }
        Ok(packages)
    }
}

/// Unpacks the image and the modules that are wanted.
fn unpack(package: &Path, root: &Path) -> Result<()> {
    let mut command = Command::new("dpkg-deb");
    command.arg("--fsys-tarfile").arg(package).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = command.spawn().context("cannot run dpkg-deb")?;
    let stream = child.stdout.take().context("no pipe")?;
    let mut tar = tar::Archive::new(stream);
    for entry in tar.entries().context("cannot read the package")? {
        let mut entry = entry.context("cannot read the package")?;
        let path = entry.path().context("a name in the package")?.to_string_lossy().into_owned();
        if is_wanted(path.trim_start_matches("./")) {
            entry.unpack_in(root).with_context(|| format!("cannot unpack {path}"))?;
        }
    }
    let status = child.wait().context("cannot wait for dpkg-deb")?;
    ensure!(status.success(), "dpkg-deb: {status}");
    decompress(root)
}

fn is_wanted(path: &str) -> bool {
    if path.starts_with("boot/vmlinuz-") {
        return true;
    }
    let path = path.trim_start_matches("usr/");
    let Some((_, below)) = path.strip_prefix("lib/modules/").and_then(|path| path.split_once('/')) else {
        return false;
    };
    let Some(module) = below.strip_prefix("kernel/") else {
        return below.starts_with("modules.") || below == IMAGE;
    };
    let device = module.strip_prefix("drivers/net/").and_then(|name| name.split_once(".ko"));
    let is_device = device.is_some_and(|(name, _)| DEVICES.contains(&name));
    let is_file = module.contains(".ko");
    is_file && (is_device || FOLDERS.iter().any(|folder| module.starts_with(folder)))
}

/// Modules that are compressed become plain: what loads them need not know how.
fn decompress(root: &Path) -> Result<()> {
    let mut folders = vec![root.to_owned()];
    let mut compressed = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).context("cannot list what was unpacked")?.flatten() {
            let path = entry.path();
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "xz") {
                compressed.push(path);
            }
        }
    }
    for some in compressed.chunks(100) {
        output(Command::new("xz").args(["-d", "-f"]).args(some))?;
    }
    Ok(())
}

/// Image and modules below a folder.
fn find(root: &Path) -> Result<Unpacked> {
    let only = |folder: PathBuf, prefix: &str| -> Result<PathBuf> {
        let entries = fs::read_dir(&folder).with_context(|| format!("cannot list {}", folder.display()))?;
        let mut paths = entries.flatten().map(|entry| entry.path());
        let is_meant =
            |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(prefix));
        paths.find(is_meant).with_context(|| format!("nothing in {}", folder.display()))
    };
    let modules = only(root.join("lib/modules"), "")?;
    let beside = modules.join(IMAGE);
    let image = if beside.exists() { beside } else { only(root.join("boot"), "vmlinuz-")? };
    let release = modules.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok(Unpacked { image, root: root.to_owned(), release })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_out_of_packages() {
        let table = [
            ("boot/vmlinuz-6.1.0-56-amd64", true),
            ("boot/config-6.1.0-56-amd64", false),
            ("lib/modules/6.1.0/kernel/net/sched/cls_bpf.ko", true),
            ("usr/lib/modules/7.2.13/kernel/net/ipv4/ipip.ko.xz", true),
            ("lib/modules/6.1.0/kernel/drivers/net/veth.ko", true),
            ("lib/modules/6.1.0/kernel/drivers/net/vxlan/vxlan.ko", true),
            ("lib/modules/6.1.0/kernel/drivers/net/ethernet/intel/e1000.ko", false),
            ("lib/modules/6.1.0/kernel/fs/ext4/ext4.ko", false),
            ("lib/modules/6.1.0/modules.builtin", true),
            ("usr/lib/modules/7.2.13/vmlinuz", true),
            ("lib/modules/6.1.0/kernel/net/", false),
        ];
        for (path, expected) in table {
            assert_eq!(is_wanted(path), expected, "{path}");
        }
    }
}
