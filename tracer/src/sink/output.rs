//! What the bytes are written to.

use std::env;
use std::fs::{self, File};
use std::io::{self, Seek as _, Write as _};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::rc::Rc;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signalfd::SignalFd;
use nix::sys::stat::{SFlag, fstat};
use nix::unistd::{Uid, User, geteuid};

use super::compress::Compressor;
use super::pipe::Pipe;
use super::whole::{packets, whole};
use super::{FileId, Format, SinkError};

const STDOUT: &str = "standard output";
const WIRESHARK: &str = "wireshark";
/// What the name of a file ends with that is not complete.
const PARTIAL: &str = ".partial";

/// An open file, pipe or device.
pub(super) struct Output {
    kind: Kind,
    name: Name,
    /// Absent where bytes are written as they are.
    compressor: Option<Compressor>,
    /// Bytes written.
    sent: u64,
}

enum Kind {
    /// A file that can be cut, and how much it had at the beginning and has now.
    Regular {
        file: File,
        begin: u64,
        end: u64,
    },
    Pipe(Pipe),
    /// A device.
    Other(File),
}

enum Name {
    Path(PathBuf),
    Word(&'static str),
}

/// Why not all was written, and what of it was.
pub(super) struct Failure {
    pub(super) error: SinkError,
    /// Bytes that the file has of it; 0 for a pipe or device, of which it is not known.
    pub(super) kept: u64,
    /// Packets that the file does not have; 0 likewise.
    pub(super) lost_packets: u64,
}

impl Output {
    fn new(kind: Kind, name: Name) -> Self {
        Self { kind, name, compressor: None, sent: 0 }
    }

    /// Compresses from now on all that is written.
    pub(super) fn compressed(mut self) -> Result<Self, SinkError> {
        let failed = |source| SinkError::Open { name: self.name(), source };
        self.compressor = Some(Compressor::new().map_err(failed)?);
        Ok(self)
    }

    /// Bytes that it took.
    pub(super) const fn sent(&self) -> u64 {
        self.sent
    }

    /// Empties or makes a file, unless it is `source`; a FIFO or device is written to.
    pub(super) fn create(
        path: &Path,
        source: Option<FileId>,
        signals: Option<Rc<SignalFd>>,
    ) -> Result<Self, SinkError> {
        let create = |source| SinkError::Create { path: path.to_owned(), source };
        let file = open(path, signals.as_deref()).map_err(create)?;
        if let Some(id) = FileId::of(&file).map_err(create)? {
            if source == Some(id) {
                return Err(SinkError::Source(path.to_owned()));
            }
            file.set_len(0).map_err(create)?;
        }
        let kind = Kind::of(file, signals).map_err(create)?;
        Ok(Self::new(kind, Name::Path(path.to_owned())))
    }

    /// Unless it is `source`, which would grow while it is read.
    pub(super) fn stdout(source: Option<FileId>, signals: Option<Rc<SignalFd>>) -> Result<Self, SinkError> {
        let open = |source| SinkError::Open { name: STDOUT.to_owned(), source };
        let file = File::from(io::stdout().as_fd().try_clone_to_owned().map_err(open)?);
        if source.is_some() && source == FileId::of(&file).map_err(open)? {
            return Err(SinkError::Source(STDOUT.into()));
        }
        let kind = Kind::of(file, signals).map_err(open)?;
        Ok(Self::new(kind, Name::Word(STDOUT)))
    }

    /// Starts Wireshark, which outlives this process and its terminal's Ctrl-C, and a pipe to it.
    pub(super) fn wireshark(signals: Option<Rc<SignalFd>>) -> Result<Self, SinkError> {
        let mut command = Command::new(WIRESHARK);
        command.args(["-k", "-i", "-"]).stdin(Stdio::piped()).stdout(Stdio::null()).process_group(0);
        become_invoker(&mut command);
        let mut child = command.spawn().map_err(SinkError::Wireshark)?;
        let Some(stdin) = child.stdin.take() else { unreachable!("the pipe was asked for") };
        let pipe = Pipe::new(File::from(std::os::fd::OwnedFd::from(stdin)), signals);
        Ok(Self::new(Kind::Pipe(pipe), Name::Word(WIRESHARK)))
    }

    /// The file's path; absent for standard output and Wireshark.
    pub(super) fn path(&self) -> Option<&Path> {
        match &self.name {
            Name::Path(path) => Some(path),
            Name::Word(_) => None,
        }
    }

    /// What can be waited on for a reader that goes away.
    pub(super) fn stream(&self) -> Option<BorrowedFd<'_>> {
        match &self.kind {
            Kind::Regular { .. } => None,
            Kind::Pipe(pipe) => Some(pipe.as_fd()),
            Kind::Other(file) => Some(file.as_fd()),
        }
    }

    /// Writes whole blocks. Where that fails, a file is cut behind the last whole one and gets another name; whatever
    /// it is, nothing may be written to it after that.
    pub(super) fn write(&mut self, bytes: &[u8], format: Format) -> Result<(), Failure> {
        let Some(mut compressor) = self.compressor.take() else { return self.put(bytes, format) };
        let result = match compressor.compress(bytes) {
            Ok(compressed) => self.put_compressed(compressed),
            Err(source) => Err(SinkError::Write { name: self.name(), source }),
        };
        self.compressor = Some(compressor);
        result.map_err(|error| {
            // A file is cut before what it has not whole.
            let is_cut = matches!(self.kind, Kind::Regular { .. });
            Failure { error, kept: 0, lost_packets: if is_cut { packets(format, bytes) } else { 0 } }
        })
    }

    fn put(&mut self, bytes: &[u8], format: Format) -> Result<(), Failure> {
        let source = match &mut self.kind {
            Kind::Regular { file, begin, end } => {
                let (accepted, result) = write_counted(file, bytes);
                let Err(source) = result else {
                    *end += accepted as u64;
                    self.sent += accepted as u64;
                    return Ok(());
                };
                let kept = whole(format, bytes, accepted, begin == end);
                *end += kept as u64;
                let cut = file.set_len(*end);
                let lost_packets = packets(format, &bytes[kept..]);
                return Err(Failure { error: self.partial(source, cut), kept: kept as u64, lost_packets });
            }
            Kind::Pipe(pipe) => pipe.write_all(bytes).err(),
            Kind::Other(file) => file.write_all(bytes).err(),
        };
        self.sent += bytes.len() as u64;
        source.map_or(Ok(()), |source| Err(Failure { error: self.refusal(source), kept: 0, lost_packets: 0 }))
    }

    /// Writes a part of a stream that can be read up to its end; where that fails, a file is cut before it.
    fn put_compressed(&mut self, bytes: &[u8]) -> Result<(), SinkError> {
        let source = match &mut self.kind {
            Kind::Regular { file, end, .. } => match write_counted(file, bytes) {
                (accepted, Ok(())) => {
                    *end += accepted as u64;
                    None
                }
                (_, Err(source)) => {
                    let cut = file.set_len(*end);
                    return Err(self.partial(source, cut));
                }
            },
            Kind::Pipe(pipe) => pipe.write_all(bytes).err(),
            Kind::Other(file) => file.write_all(bytes).err(),
        };
        self.sent += bytes.len() as u64;
        source.map_or(Ok(()), |source| Err(self.refusal(source)))
    }

    /// What a pipe or device that takes no more means.
    fn refusal(&self, source: io::Error) -> SinkError {
        if source.kind() == io::ErrorKind::BrokenPipe {
            SinkError::Closed
        } else {
            SinkError::Write { name: self.name(), source }
        }
    }

    /// Closes it. A file system may tell only now that there was no room (close(2)): what the file then holds is not
    /// known.
    pub(super) fn close(mut self) -> Result<(), SinkError> {
        if let Some(compressor) = self.compressor.take() {
            let end = compressor.end().map_err(|source| self.refusal(source))?;
            self.put_compressed(&end)?;
        }
        let Self { kind, name, .. } = self;
        let Kind::Regular { file, .. } = kind else { return Ok(()) };
        let Err(errno) = nix::unistd::close(file) else { return Ok(()) };
        let name = match name {
            Name::Path(path) => rename(&path).unwrap_or(path).display().to_string(),
            Name::Word(word) => word.to_owned(),
        };
        let cut = io::Error::other("it is closed");
        Err(SinkError::Damaged { name, cut, source: errno.into() })
    }

    /// What to call a file that takes no more, and its new name.
    fn partial(&self, source: io::Error, cut: io::Result<()>) -> SinkError {
        let renamed = self.path().and_then(|path| rename(path).ok());
        match (cut, renamed) {
            (Ok(()), Some(path)) => SinkError::Partial { path, source },
            (Ok(()), None) => SinkError::Cut { name: self.name(), source },
            (Err(cut), renamed) => {
                let name = renamed.map_or_else(|| self.name(), |path| path.display().to_string());
                SinkError::Damaged { name, cut, source }
            }
        }
    }

    fn name(&self) -> String {
        match &self.name {
            Name::Path(path) => path.display().to_string(),
            Name::Word(word) => (*word).to_owned(),
        }
    }
}

impl Kind {
    fn of(mut file: File, signals: Option<Rc<SignalFd>>) -> io::Result<Self> {
        let status = fstat(&file)?;
        let kind = SFlag::from_bits_truncate(status.st_mode & SFlag::S_IFMT.bits());
        // What sshd(8) gives a command without terminal is a socket.
        if kind == SFlag::S_IFIFO || kind == SFlag::S_IFSOCK {
            return Ok(Self::Pipe(Pipe::new(file, signals)));
        }
        if kind != SFlag::S_IFREG {
            return Ok(Self::Other(file));
        }
        // Standard output may have something in it already.
        let appends = OFlag::from_bits_retain(fcntl(&file, FcntlArg::F_GETFL)?).contains(OFlag::O_APPEND);
        let begin = if appends { file.metadata()?.len() } else { file.stream_position()? };
        Ok(Self::Regular { file, begin, end: begin })
    }
}

/// Under sudo(8), the user who called it: dissectors of hostile packets are not to run as root, and the display belongs to
/// that user.
fn become_invoker(command: &mut Command) {
    let number = |name| env::var(name).ok().and_then(|number| number.parse().ok());
    let (Some(uid), Some(gid)) = (number("SUDO_UID"), number("SUDO_GID")) else { return };
    if !geteuid().is_root() {
        return;
    }
    command.uid(uid).gid(gid);
    if let Ok(Some(user)) = User::from_uid(Uid::from_raw(uid)) {
        command.env("HOME", user.dir).env("USER", &user.name).env("LOGNAME", user.name);
    }
}

/// How many bytes the file took, and why not all.
fn write_counted(file: &mut File, bytes: &[u8]) -> (usize, io::Result<()>) {
    let mut accepted = 0;
    while accepted < bytes.len() {
        match file.write(&bytes[accepted..]) {
            Ok(0) => return (accepted, Err(io::ErrorKind::WriteZero.into())),
            Ok(count) => accepted += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (accepted, Err(error)),
        }
    }
    (accepted, Ok(()))
}

/// Opens or makes a file. A FIFO that nobody reads yet is waited for, until a signal comes.
fn open(path: &Path, signals: Option<&SignalFd>) -> io::Result<File> {
    /// How often a reader of a FIFO is looked for.
    const TURN_MS: u16 = 50;
    let mut options = File::options();
    options.write(true).create(true).truncate(false).custom_flags(OFlag::O_NONBLOCK.bits());
    loop {
        match options.open(path) {
            Err(error) if is_without_reader(&error, path) => {}
            Err(error) => return Err(error),
            Ok(file) => {
                let flags = OFlag::from_bits_retain(fcntl(&file, FcntlArg::F_GETFL)?);
                fcntl(&file, FcntlArg::F_SETFL(flags - OFlag::O_NONBLOCK))?;
                return Ok(file);
            }
        }
        let mut awaited: Vec<_> =
            signals.iter().map(|signals| PollFd::new(signals.as_fd(), PollFlags::POLLIN)).collect();
        if matches!(poll(&mut awaited, PollTimeout::from(TURN_MS)), Ok(1..)) {
            return Err(io::Error::new(io::ErrorKind::Interrupted, "nobody reads from it"));
        }
    }
}

/// `ENXIO` is of other things too (open(2)).
fn is_without_reader(error: &io::Error, path: &Path) -> bool {
    error.raw_os_error() == Some(Errno::ENXIO as i32)
        && fs::metadata(path).is_ok_and(|metadata| metadata.file_type().is_fifo())
}

fn rename(path: &Path) -> io::Result<PathBuf> {
    let mut partial = path.as_os_str().to_owned();
    partial.push(PARTIAL);
    fs::rename(path, &partial)?;
    Ok(PathBuf::from(partial))
}
