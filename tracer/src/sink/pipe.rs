//! A pipe that is never waited for once a signal came: a reader that stopped reading must not make the capture deaf.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::{AsFd, BorrowedFd};
use std::rc::Rc;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signalfd::SignalFd;
use rustix::io::ioctl_fionread;

/// A pipe that says it can be written to takes this much without blocking (`PIPE_BUF`, pipe(7)).
const CHUNK: usize = 4096;
/// What a pipe should hold, if the limit of the system allows it.
const SIZE: i32 = 1 << 20;
/// How long the rest may take after a signal asked to end.
const PATIENCE_MS: u16 = 1000;

/// The end that is written to.
pub(crate) struct Pipe {
    file: File,
    /// Bytes that it takes when it is empty.
    size: usize,
    signals: Option<Rc<SignalFd>>,
}

impl Pipe {
    /// A pipe is made as large as the system allows.
    pub(crate) fn new(file: File, signals: Option<Rc<SignalFd>>) -> Self {
        // A greater pipe is welcome, the usual one will do.
        let _ = fcntl(&file, FcntlArg::F_SETPIPE_SZ(SIZE));
        let size = fcntl(&file, FcntlArg::F_GETPIPE_SZ).ok().and_then(|size| usize::try_from(size).ok());
        Self { file, size: size.unwrap_or(CHUNK), signals }
    }

    /// Writes all, or fails with `BrokenPipe` where the reader is gone, or with `TimedOut` where a signal came and the
    /// reader takes nothing.
    pub(crate) fn write_all(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            self.wait_for_reader()?;
            // An empty pipe takes all that it holds; one that is not, a page.
            let room = if ioctl_fionread(&self.file) == Ok(0) { self.size } else { CHUNK };
            match self.file.write(&bytes[..bytes.len().min(room)]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => bytes = &bytes[written..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    pub(crate) fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    fn wait_for_reader(&self) -> io::Result<()> {
        let reader = || PollFd::new(self.file.as_fd(), PollFlags::POLLOUT);
        let Some(signals) = &self.signals else { return wait(&mut [reader()], PollTimeout::NONE).map(drop) };
        let mut fds = [reader(), PollFd::new(signals.as_fd(), PollFlags::POLLIN)];
        wait(&mut fds, PollTimeout::NONE)?;
        if fds[0].any() == Some(true) {
            return Ok(());
        }
        match wait(&mut [reader()], PATIENCE_MS.into())? {
            0 => {
                Err(io::Error::new(io::ErrorKind::TimedOut, "the reader of the output takes no more packets"))
            }
            _ => Ok(()),
        }
    }
}

fn wait(fds: &mut [PollFd<'_>], timeout: PollTimeout) -> io::Result<i32> {
    loop {
        match poll(fds, timeout) {
            Err(Errno::EINTR) => {}
            ready => return Ok(ready?),
        }
    }
}
