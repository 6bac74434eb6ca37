//! Archives of which the same files give the same bytes.

use anyhow::{Context as _, Result};
use flate2::write::GzEncoder;
use flate2::{Compression, GzBuilder};

/// Compresses, without a time or a name in the header.
pub(crate) fn gzip<W: std::io::Write>(writer: W) -> GzEncoder<W> {
    GzBuilder::new().mtime(0).write(writer, Compression::best())
}

/// Adds a file of root's that has no time.
pub(crate) fn append<W: std::io::Write>(
    tar: &mut tar::Builder<W>,
    name: &str,
    mode: u32,
    bytes: &[u8],
) -> Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_size(bytes.len().try_into().context("a file too large")?);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    tar.append_data(&mut header, name, bytes).with_context(|| format!("cannot add {name}"))
}
