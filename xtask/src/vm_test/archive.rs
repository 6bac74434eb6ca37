//! Packages of distributions, fetched by an apt whose lists and cache are below `target/vm`: the machine's own sources
//! and packages stay as they are. Signatures are checked by apt.

use std::cell::RefCell;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::setup;
use crate::step::output;

/// A distribution's archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Distribution {
    Debian,
    Ubuntu,
}

/// Suites that are looked into.
const DEBIAN: &[(&str, &str)] = &[
    ("http://deb.debian.org/debian", "sid"),
    ("http://deb.debian.org/debian", "trixie"),
    ("http://deb.debian.org/debian-security", "trixie-security"),
    ("http://deb.debian.org/debian", "bookworm"),
    ("http://deb.debian.org/debian-security", "bookworm-security"),
    ("http://deb.debian.org/debian", "bullseye"),
    ("http://deb.debian.org/debian-security", "bullseye-security"),
];
const UBUNTU: &[(&str, &str)] = &[("http://archive.ubuntu.com/ubuntu", "focal")];

const DEBIAN_KEYS: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// Where lists and packages are kept.
pub(super) struct Archive {
    directory: PathBuf,
    /// Whose lists are fresh.
    updated: RefCell<Vec<Distribution>>,
}

impl Archive {
    pub(super) fn below(directory: &Path) -> Self {
        Self { directory: directory.to_owned(), updated: RefCell::default() }
    }

    /// Where packages and what is made of them are kept.
    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// The paragraphs that describe all versions of a package, newest first.
    pub(super) fn describe(&self, distribution: Distribution, package: &str) -> Result<Vec<Paragraph>> {
        let text = output(self.apt(distribution, "apt-cache").args(["show", package]))?;
        Ok(text.split("\n\n").filter(|text| !text.trim().is_empty()).map(Paragraph::parse).collect())
    }

    /// Refreshes the lists of an archive, once.
    pub(super) fn update(&self, distribution: Distribution) -> Result<()> {
        if self.updated.borrow().contains(&distribution) {
            return Ok(());
        }
        let state = self.state(distribution);
        for folder in ["lists/partial", "archives/partial"] {
            fs::create_dir_all(state.join(folder)).context("cannot make apt's folders")?;
        }
        fs::write(state.join("status"), "").context("cannot write apt's status")?;
        let (suites, keys) = match distribution {
            Distribution::Debian => (DEBIAN, PathBuf::from(DEBIAN_KEYS)),
            Distribution::Ubuntu => (UBUNTU, self.ubuntu_keys()?),
        };
        setup::file(&keys, "debian-archive-keyring", "the key of the archive's signatures")?;
        let line = |(url, suite): &(&str, &str)| {
            format!("deb [arch=amd64 signed-by={}] {url} {suite} main\n", keys.display())
        };
        fs::write(state.join("sources.list"), suites.iter().map(line).collect::<String>())
            .context("cannot write apt's sources")?;
        eprintln!("apt-get update ({distribution:?}, with lists of its own)");
        output(self.apt(distribution, "apt-get").args(["-q", "update"]))?;
        self.updated.borrow_mut().push(distribution);
        Ok(())
    }

    /// Fetches a version of a package, unless it is there; its file.
    pub(super) fn fetch(&self, distribution: Distribution, package: &str, version: &str) -> Result<PathBuf> {
        let folder = self.directory.join("packages");
        fs::create_dir_all(&folder).context("cannot make the folder of packages")?;
        let file =
            folder.join(format!("{package}_{}_{version}.deb", format!("{distribution:?}").to_lowercase()));
        if file.exists() {
            return Ok(file);
        }
        eprintln!("fetching {package} {version}");
        let download = self.directory.join("download");
        let _ = fs::remove_dir_all(&download);
        fs::create_dir_all(&download).context("cannot make a folder to download to")?;
        let what = format!("{package}={version}");
        output(self.apt(distribution, "apt-get").args(["-q", "download", &what]).current_dir(&download))?;
        let fetched = fs::read_dir(&download).context("cannot list what was fetched")?.flatten().next();
        let fetched = fetched.with_context(|| format!("apt-get left no package {what}"))?;
        fs::rename(fetched.path(), &file).context("cannot keep the package")?;
        Ok(file)
    }

    /// The key of Ubuntu's archive, from Debian's package of it.
    fn ubuntu_keys(&self) -> Result<PathBuf> {
        let package = "ubuntu-keyring";
        // Ubuntu's kernels may be the first that are asked for.
        self.update(Distribution::Debian)?;
        let versions = self.describe(Distribution::Debian, package)?;
        let newest = versions.first().context("Debian has no package ubuntu-keyring")?;
        let file = self.fetch(Distribution::Debian, package, newest.field("Version"))?;
        let folder = self.directory.join(package);
        output(Command::new("dpkg-deb").arg("-x").args([&file, &folder]))?;
        Ok(folder.join("usr/share/keyrings/ubuntu-archive-keyring.gpg"))
    }

    fn state(&self, distribution: Distribution) -> PathBuf {
        self.directory.join("apt").join(format!("{distribution:?}").to_lowercase())
    }

    fn apt(&self, distribution: Distribution, program: &str) -> Command {
        let state = self.state(distribution);
        let mut command = Command::new(program);
        let mut set = |key: &str, value: &Path| {
            command.arg("-o").arg(format!("{key}={}", value.display()));
        };
        set("Dir::Etc::SourceList", &state.join("sources.list"));
        set("Dir::Etc::SourceParts", Path::new("-"));
        set("Dir::State", &state);
        set("Dir::State::Lists", &state.join("lists"));
        set("Dir::State::status", &state.join("status"));
        set("Dir::Cache", &state);
        set("APT::Architecture", Path::new("amd64"));
        set("APT::Sandbox::User", Path::new("root"));
        set("Acquire::Languages", Path::new("none"));
        command
    }
}

/// What an archive says of a version of a package: fields by their names.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Paragraph(Vec<(String, String)>);

impl Paragraph {
    fn parse(text: &str) -> Self {
        let fields =
            text.lines().filter(|line| !line.starts_with(' ')).filter_map(|line| line.split_once(": "));
        Self(fields.map(|(name, value)| (name.to_owned(), value.trim().to_owned())).collect())
    }

    /// A field; empty where there is none.
    pub(super) fn field(&self, name: &str) -> &str {
        self.0.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }

    /// Packages that it depends on, the first of each choice.
    pub(super) fn depends(&self) -> impl Iterator<Item = &str> {
        self.field("Depends").split(',').filter_map(|word| word.split_whitespace().next())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paragraphs() {
        let text = "Package: linux-image-amd64\nVersion: 5.10.262-1\nDescription: Linux\n for all\n\
                    Depends: linux-image-5.10.0-46-amd64 (= 5.10.262-1), kmod | linux-base";
        let paragraph = Paragraph::parse(text);
        assert_eq!(paragraph.field("Version"), "5.10.262-1");
        assert_eq!(paragraph.field("Suggests"), "");
        assert_eq!(paragraph.depends().collect::<Vec<_>>(), ["linux-image-5.10.0-46-amd64", "kmod"]);
    }
}
