//! Where a trace's results go.

mod printer;
mod recorder;

use std::io;
use std::os::fd::AsFd;
use std::path::PathBuf;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use thiserror::Error;
use tracer_core::capture::CaptureError;
use tracer_core::point::Points;
use tracer_core::report::Report;
use tracer_core::resolve::Names;
use tracer_core::trace::Progress;

use crate::cli::trace::TraceArgs;
use printer::Printer;
use recorder::Recorder;

/// Why results could not be written.
#[derive(Debug, Error)]
pub enum OutputError {
    /// Standard output or error refused text.
    #[error("cannot write the results")]
    Text(#[source] io::Error),
    /// The pcapng file could not be made.
    #[error("cannot create {}", path.display())]
    Create {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The pcapng stopped in the middle.
    #[error("cannot write {}: it holds only what came before", path.display())]
    Capture {
        /// The file, `-` for standard output.
        path: PathBuf,
        /// Why.
        source: CaptureError,
    },
    /// Bytes on a terminal help nobody.
    #[error(
        "pcapng was asked for on standard output, which is a terminal: pipe it, for example to `wireshark -k -i -`"
    )]
    Terminal,
}

impl OutputError {
    /// Whether the reader closed its pipe: an ordinary end.
    pub fn is_broken_pipe(&self) -> bool {
        match self {
            Self::Text(error) => error.kind() == io::ErrorKind::BrokenPipe,
            Self::Capture { source, .. } => source.is_broken_pipe(),
            Self::Create { .. } | Self::Terminal => false,
        }
    }
}

/// Fails as a write to a closed pipe does when the reader of standard output is gone: whoever piped the results
/// away is not kept waiting for the next packet.
pub(super) fn check_stdout() -> Result<(), OutputError> {
    let stdout = io::stdout();
    let mut watched = [PollFd::new(stdout.as_fd(), PollFlags::empty())];
    // Where standard output cannot be polled, a write will tell.
    let is_ready = poll(&mut watched, PollTimeout::ZERO).is_ok_and(|count| count > 0);
    let is_closed =
        is_ready && watched[0].revents().is_some_and(|events| events.contains(PollFlags::POLLERR));
    if is_closed { Err(OutputError::Text(io::ErrorKind::BrokenPipe.into())) } else { Ok(()) }
}

/// All that a trace writes.
pub(super) struct Output {
    printer: Printer,
    recorder: Recorder,
}

impl Output {
    /// Creates what the flags ask for.
    pub(super) fn create(args: &TraceArgs, names: &Names) -> Result<Self, OutputError> {
        let recorder = Recorder::create(args.recording(), args.snap(), names)?;
        Ok(Self { printer: Printer::new(args), recorder })
    }

    /// Writes what became certain.
    pub(super) fn progress(&mut self, progress: &Progress, points: &Points) -> Result<(), OutputError> {
        self.recorder.frames(&progress.frames, points)?;
        self.printer.events(&progress.events)
    }

    /// Tells names that became known meanwhile.
    pub(super) fn names(&mut self, names: &Names) -> Result<(), OutputError> {
        self.recorder.names(names)
    }

    /// Writes the rest and the report. Returns whether all that was asked for could be written.
    pub(super) fn finish(
        mut self,
        report: Report,
        progress: &Progress,
        points: &Points,
    ) -> Result<bool, OutputError> {
        self.progress(progress, points)?;
        self.recorder.finish(&report.loss, points)?;
        self.printer.report(report)?;
        Ok(!self.recorder.has_failed())
    }
}
