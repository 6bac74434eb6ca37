//! Where the bytes of a capture go.

use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::rc::Rc;

use nix::fcntl::{FcntlArg, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signalfd::SignalFd;
use nix::sys::stat::{SFlag, fstat};

use super::Destination;
use super::end::CaptureFailure;

/// Blocks are collected to this size, so that a burst costs few system calls.
const BUFFER: usize = 256 << 10;
/// A pipe that says it can be written to takes this much without blocking (`PIPE_BUF`, pipe(7)).
const PIPE_CHUNK: usize = 4096;
/// What a pipe should hold, if the limit of the system allows it.
const PIPE_SIZE: i32 = 1 << 20;
/// How long the rest may take after a signal asked to end.
const PATIENCE_MS: u16 = 1000;

/// A file, or a pipe that is never waited for once a signal came: a reader that stopped reading must not make the
/// capture deaf.
pub(super) struct Output {
    file: File,
    is_pipe: bool,
    signals: Rc<SignalFd>,
}

/// Fails when the capture would go to a terminal.
pub(super) fn check(destination: &Destination) -> Result<(), CaptureFailure> {
    match destination {
        Destination::Stdout if io::stdout().is_terminal() => Err(CaptureFailure::Terminal),
        Destination::Stdout | Destination::File(_) => Ok(()),
    }
}

impl Output {
    /// Opens the destination; a file is emptied.
    pub(super) fn open(
        destination: &Destination,
        signals: Rc<SignalFd>,
    ) -> Result<BufWriter<Self>, CaptureFailure> {
        let file = match destination {
            Destination::File(path) => {
                File::create(path).map_err(|source| CaptureFailure::Create { path: path.clone(), source })?
            }
            Destination::Stdout => {
                let stdout = io::stdout().as_fd().try_clone_to_owned();
                File::from(
                    stdout.map_err(|source| CaptureFailure::System { operation: "open stdout", source })?,
                )
            }
        };
        let status = fstat(&file).map_err(CaptureFailure::system("look at the output"))?;
        let is_pipe = SFlag::from_bits_truncate(status.st_mode & SFlag::S_IFMT.bits()) == SFlag::S_IFIFO;
        if is_pipe {
            // A greater pipe is welcome, the usual one will do.
            let _ = fcntl(&file, FcntlArg::F_SETPIPE_SZ(PIPE_SIZE));
        }
        Ok(BufWriter::with_capacity(BUFFER, Self { file, is_pipe, signals }))
    }

    fn wait_for_reader(&self) -> io::Result<()> {
        let mut fds = [
            PollFd::new(self.file.as_fd(), PollFlags::POLLOUT),
            PollFd::new(self.signals.as_fd(), PollFlags::POLLIN),
        ];
        poll(&mut fds, PollTimeout::NONE)?;
        if fds[0].any() == Some(true) {
            return Ok(());
        }
        match poll(&mut fds[..1], PATIENCE_MS)? {
            0 => {
                Err(io::Error::new(io::ErrorKind::TimedOut, "the reader of the output takes no more packets"))
            }
            _ => Ok(()),
        }
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !self.is_pipe {
            return self.file.write(bytes);
        }
        self.wait_for_reader()?;
        self.file.write(&bytes[..bytes.len().min(PIPE_CHUNK)])
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl AsFd for Output {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}
