//! The first file system of a machine: the suite, the released `kflow`, what the lab calls, their libraries, modules.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use super::kernel::Unpacked;
use super::newc::Newc;
use crate::setup;
use crate::step::output;

/// Programs of this machine, and the packages that they are in.
const PROGRAMS: [(&str, &str); 16] = [
    ("ip", "iproute2"),
    ("tc", "iproute2"),
    ("bridge", "iproute2"),
    ("ethtool", "ethtool"),
    ("nft", "nftables"),
    ("iptables", "iptables"),
    ("iptables-restore", "iptables"),
    ("iptables-save", "iptables"),
    ("ip6tables", "iptables"),
    ("ip6tables-restore", "iptables"),
    ("ip6tables-save", "iptables"),
    ("ipvsadm", "ipvsadm"),
    ("wg", "wireguard-tools"),
    ("modprobe", "kmod"),
    ("sh", "dash"),
    ("sysctl", "procps"),
];
/// The library that kflow opens when it needs it.
const LIBPCAP: &str = "libpcap.so";
/// The library beside whose folder the extensions of iptables are.
const LIBXTABLES: &str = "libxtables.so";

/// Modules that are loaded at the start; what they depend on comes with them.
const MODULES: &str = "\
8021q
act_mirred
bridge
br_netfilter
cls_bpf
dummy
geneve
ip6_tables
ip6table_filter
ip_set
ip_tables
ip_vs
ip_vs_rr
ipip
iptable_nat
nf_conntrack
nf_conntrack_netlink
nf_nat
nf_tables
nfnetlink
nft_chain_nat
nft_compat
nft_ct
nft_masq
nft_nat
nft_reject
nft_reject_inet
sch_ingress
tun
veth
vxlan
wireguard
xt_MASQUERADE
xt_addrtype
xt_comment
xt_conntrack
xt_ipvs
xt_mark
xt_nat
xt_statistic
";

/// What is the same on all machines, by its path there.
pub(super) struct Userland {
    files: BTreeMap<String, PathBuf>,
    links: BTreeMap<String, String>,
    features: String,
}

impl Userland {
    /// From this machine's programs, and the folder of `kflow` and the suite, which is to try these features.
    pub(super) fn gather(binaries: &Path, features: &[String]) -> Result<Self> {
        let features = features.join("\n");
        let mut userland = Self { files: BTreeMap::new(), links: BTreeMap::new(), features };
        for name in ["kflow", "vm_suite"] {
            userland.program(name, &binaries.join(name))?;
        }
        userland.links.insert("init".to_owned(), "bin/vm_suite".to_owned());
        userland.links.insert("sbin/modprobe".to_owned(), "/bin/modprobe".to_owned());
        for (name, package) in PROGRAMS {
            userland.program(name, &setup::program(name, package, "runs in the machines")?)?;
        }
        let known = output(Command::new("/sbin/ldconfig").arg("-p"))?;
        let library = |name: &str| {
            let mut paths = known.lines().filter(|line| line.trim_start().starts_with(name));
            let path =
                paths.find_map(|line| line.rsplit_once("=> ")).map(|(_, path)| PathBuf::from(path.trim()));
            path.with_context(|| format!("ldconfig knows no {name}"))
        };
        userland.library(&library(LIBPCAP)?)?;
        let xtables = fs::canonicalize(library(LIBXTABLES)?).context("cannot find libxtables")?;
        let extensions = xtables.parent().context("a library without a folder")?.join("xtables");
        for entry in fs::read_dir(&extensions).context("cannot list the extensions of iptables")?.flatten() {
            userland.library(&entry.path())?;
        }
        Ok(userland)
    }

    /// The archive with these and a kernel's modules; its file.
    pub(super) fn with_modules(&self, kernel: &Unpacked) -> Result<PathBuf> {
        let file = kernel.root.join("initramfs.cpio");
        let out = fs::File::create(&file).with_context(|| format!("cannot write {}", file.display()))?;
        let mut newc = Newc::new(std::io::BufWriter::new(out));
        let base = format!("lib/modules/{}", kernel.release);
        let mut files = self.files.clone();
        below(&kernel.root.join(&base), &base, &mut files)?;
        files.retain(|_, path| *path != kernel.image);
        let names = files.keys().chain(self.links.keys()).map(String::as_str).chain(["etc/modules"]);
        let folders: BTreeSet<&str> =
            names.flat_map(folders).chain(["dev", "proc", "sys", "run", "tmp"]).collect();
        for folder in folders {
            newc.directory(folder)?;
        }
        for (name, path) in &files {
            let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
            newc.file(name, &bytes)?;
        }
        for (name, target) in &self.links {
            newc.link(name, target)?;
        }
        newc.file("etc/modules", MODULES.as_bytes())?;
        newc.file("etc/features", self.features.as_bytes())?;
        newc.finish().context("cannot write the initramfs")?;
        Ok(file)
    }

    /// Puts a program into `bin` under the names that it has here and is called by.
    fn program(&mut self, name: &str, path: &Path) -> Result<()> {
        let real = fs::canonicalize(path).with_context(|| format!("cannot find {}", path.display()))?;
        let real_name = real.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if real_name != name {
            self.links.insert(format!("bin/{name}"), real_name.clone());
        }
        self.libraries(&real)?;
        self.files.insert(format!("bin/{real_name}"), real);
        Ok(())
    }

    /// Puts a library where it is here.
    fn library(&mut self, path: &Path) -> Result<()> {
        self.libraries(path)?;
        self.files.insert(path.to_string_lossy().trim_start_matches('/').to_owned(), path.to_owned());
        Ok(())
    }

    /// The libraries of a program, by the paths that the loader looks at.
    fn libraries(&mut self, path: &Path) -> Result<()> {
        // A program without libraries is a failure to ldd.
        let said = Command::new("ldd").arg(path).output().context("cannot run ldd")?;
        let said = String::from_utf8_lossy(&said.stdout).into_owned();
        let paths = said.split_whitespace().filter(|word| word.starts_with('/'));
        self.files.extend(paths.map(|word| (word.trim_start_matches('/').to_owned(), PathBuf::from(word))));
        Ok(())
    }
}

/// The folders above a path, outermost first.
fn folders(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('/').map(|(at, _)| &path[..at])
}

/// All files below a folder, under a name.
fn below(folder: &Path, name: &str, files: &mut BTreeMap<String, PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))?.flatten()
    {
        let name = format!("{name}/{}", entry.file_name().to_string_lossy());
        let kind = entry.file_type().context("cannot tell what a file is")?;
        if kind.is_dir() {
            below(&entry.path(), &name, files)?;
        } else if kind.is_file() {
            files.insert(name, entry.path());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_come_before_what_is_in_them() {
        assert_eq!(folders("a/b/c").collect::<Vec<_>>(), ["a", "a/b"]);
        assert_eq!(folders("a").count(), 0);
    }
}
