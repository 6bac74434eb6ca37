//! Inputs that were worth keeping: an archive for each target in `tracer-core/fuzz/corpus`, files while it runs.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use flate2::read::GzDecoder;

use crate::tarball::{append, gzip};
use crate::workspace::Workspace;

/// The archive of a target.
pub(super) fn archive(workspace: &Workspace, target: &str) -> PathBuf {
    workspace.root().join(format!("tracer-core/fuzz/corpus/{target}.tar.gz"))
}

/// Adds what an archive holds to a folder, which need not be there. A target without an archive has its seeds alone.
pub(super) fn unpack(archive: &Path, folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    if !archive.exists() {
        return Ok(());
    }
    let cannot = || format!("cannot unpack {}", archive.display());
    let file = File::open(archive).with_context(cannot)?;
    tar::Archive::new(GzDecoder::new(file)).unpack(folder).with_context(cannot)
}

/// Packs the files of a folder, in the order of their names: the same files give the same bytes.
pub(super) fn pack(folder: &Path, archive: &Path) -> Result<usize> {
    let cannot = || format!("cannot write {}", archive.display());
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut names = entries
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect::<Result<Vec<_>>>()?;
    names.sort();
    if let Some(parent) = archive.parent() {
        fs::create_dir_all(parent).with_context(cannot)?;
    }
    let mut tar = tar::Builder::new(gzip(File::create(archive).with_context(cannot)?));
    for name in &names {
        let bytes = fs::read(folder.join(name)).with_context(cannot)?;
        append(&mut tar, name, 0o644, &bytes)?;
    }
    tar.into_inner().and_then(flate2::write::GzEncoder::finish).with_context(cannot)?;
    Ok(names.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_packed_is_unpacked() -> Result<()> {
        let folder = std::env::temp_dir().join(format!("kflow-corpus-{}", std::process::id()));
        let (from, to, archive) = (folder.join("from"), folder.join("to"), folder.join("deep/a.tar.gz"));
        fs::create_dir_all(&from)?;
        fs::write(from.join("two"), [2; 700])?;
        fs::write(from.join("one"), "")?;
        unpack(&archive, &to)?;
        assert_eq!(fs::read_dir(&to)?.count(), 0, "an archive that is not there");
        assert_eq!(pack(&from, &archive)?, 2);
        let first = fs::read(&archive)?;
        unpack(&archive, &to)?;
        assert_eq!((fs::read(to.join("two"))?, fs::read(to.join("one"))?), (vec![2; 700], vec![]));
        pack(&to, &archive)?;
        assert_eq!(fs::read(&archive)?, first, "the same files give other bytes");
        fs::remove_dir_all(&folder)?;
        Ok(())
    }
}
