//! An archive for each target: what a person unpacks, or a package is made of.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::VERSION;
use super::binary::Binary;
use super::blob::sha256_of;
use super::target::Target;
use crate::tarball::{append, gzip};
use crate::workspace::Workspace;

/// Files of the workspace that go with every copy.
const WITH_IT: [&str; 6] =
    ["LICENSE-APACHE", "LICENSE-MIT", "README.md", "CHANGELOG.md", "docs/install.md", "docs/capture.md"];

/// An archive that was written.
pub(super) struct Archive {
    pub(super) target: Target,
    /// Its name, without the directory.
    pub(super) name: String,
    pub(super) sha256: String,
}

/// Writes one for each binary. Everything in it is below a directory of the archive's name.
pub(super) fn write(
    workspace: &Workspace,
    binaries: &[Binary],
    pages: &[PathBuf],
    out: &Path,
) -> Result<Vec<Archive>> {
    binaries.iter().map(|binary| write_one(workspace, binary, pages, out)).collect()
}

fn write_one(workspace: &Workspace, binary: &Binary, pages: &[PathBuf], out: &Path) -> Result<Archive> {
    let stem = format!("kflow-{VERSION}-linux-{}", binary.target.architecture());
    let name = format!("{stem}.tar.gz");
    let path = out.join(&name);
    let cannot = || format!("cannot write {}", path.display());
    let mut tar = tar::Builder::new(gzip(File::create(&path).with_context(cannot)?));
    append(&mut tar, &format!("{stem}/kflow"), 0o755, &read(&binary.path)?)?;
    link(&mut tar, &format!("{stem}/kubectl-kflow"), "kflow")?;
    for file in WITH_IT {
        append(&mut tar, &format!("{stem}/{file}"), 0o644, &read(&workspace.root().join(file))?)?;
    }
    for page in pages {
        append(&mut tar, &format!("{stem}/{}", page.display()), 0o644, &read(&out.join(page))?)?;
    }
    let gzip = tar.into_inner().with_context(cannot)?;
    gzip.finish().and_then(|mut file| file.flush()).with_context(cannot)?;
    Ok(Archive { target: binary.target, sha256: sha256_of(&path)?, name })
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

fn link<W: std::io::Write>(tar: &mut tar::Builder<W>, name: &str, to: &str) -> Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Symlink);
    header.set_size(0);
    header.set_mode(0o777);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    tar.append_link(&mut header, name, to).with_context(|| format!("cannot add {name}"))
}
