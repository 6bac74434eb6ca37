//! Where packets go: files, one after another or in a ring, a pipe, Wireshark.
//!
//! Names and turns of files are those of tcpdump (tcpdump(1), `MakeFilename` and `dump_packet_and_trunc` of its
//! tcpdump.c), with two differences: periods of `-G` go by the time of the packets, so that a capture that is read
//! is cut as the live one was, and whatever cannot be written whole is cut to what is whole and named so.

mod commands;
mod compress;
mod encoder;
mod error;
mod names;
mod output;
pub(crate) mod pipe;
mod privileges;
mod recorder;
mod rotation;
mod size;
mod whole;

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, IsTerminal as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

pub use error::SinkError;
pub use privileges::{PrivilegeError, drop_privileges};
pub use recorder::{Recorder, Written};
pub use size::{FileSizeError, file_size};
use tracer_core::capture::Section;
use tracer_core::units::{SnapLength, Timestamp};

/// Where a capture goes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Target {
    /// Standard output, which must be no terminal.
    Stdout,
    /// Standard output, compressed by zstd.
    CompressedStdout,
    /// Wireshark, started for it, which shows packets as they come.
    Wireshark,
    /// A file or several.
    Files(FilePlan),
}

/// Names of files and when the next one begins (`-w`, `-C`, `-W`, `-G`, `-z`).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FilePlan {
    /// `-w`: the name, of which others are made; with `seconds` a format of strftime(3), in local time.
    pub path: PathBuf,
    /// `-C`: bytes; a packet that finds the file larger goes to the next one.
    pub size: Option<u64>,
    /// `-W`: with `size` the number of files in a ring; with `seconds` alone how many there will be.
    pub count: Option<u32>,
    /// `-G`: seconds after which the next packet begins another file.
    pub seconds: Option<u64>,
    /// `-z`: a program that is run with the name of each file that another one follows.
    pub postrotate: Option<OsString>,
}

impl FilePlan {
    /// One file, however large.
    pub fn single(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), size: None, count: None, seconds: None, postrotate: None }
    }

    const fn is_rotating(&self) -> bool {
        self.size.is_some() || self.seconds.is_some()
    }
}

/// File formats.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Format {
    /// pcapng, with everything that is known of a packet.
    #[default]
    Pcapng,
    /// pcap with times in nanoseconds: one link type, no interfaces, no directions, no statistics.
    Pcap,
}

/// What [`Recorder::open`] needs to know.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Where to.
    pub target: Target,
    /// In which form.
    pub format: Format,
    /// What every file of pcapng begins with.
    pub section: Section,
    /// The most bytes that are written of a packet.
    pub snap: SnapLength,
    /// When the first period of `-G` begins, and what the name of its file tells: now, or the time of the first packet
    /// of a capture that is read.
    pub begin: Timestamp,
    /// `--max-size`: bytes over all files, those of a ring that were overwritten included; statistics may come
    /// behind it.
    pub limit: Option<u64>,
    /// The file that the packets are read from: none that is written may be it.
    pub source: Option<FileId>,
}

/// What tells a file from others whatever it is called: its device and its number there (inode(7)).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct FileId {
    device: u64,
    inode: u64,
}

impl FileId {
    /// Of an open file; absent for a pipe or device, which nothing is lost of when it is written to.
    pub fn of(file: &File) -> io::Result<Option<Self>> {
        let metadata = file.metadata()?;
        Ok(metadata.is_file().then(|| Self { device: metadata.dev(), inode: metadata.ino() }))
    }
}

/// Fails when the capture would go to a terminal.
pub fn check(target: &Target) -> Result<(), SinkError> {
    match target {
        Target::Stdout | Target::CompressedStdout if io::stdout().is_terminal() => Err(SinkError::Terminal),
        Target::Stdout | Target::CompressedStdout | Target::Wireshark | Target::Files(_) => Ok(()),
    }
}
