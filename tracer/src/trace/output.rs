//! Where a trace's results go.

mod bundle;
mod printer;
mod recorder;

use std::io;
use std::os::fd::AsFd;
use std::path::PathBuf;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use thiserror::Error;
use tracer_core::capture::CaptureError;
use tracer_core::point::Points;
use tracer_core::resolve::Names;
use tracer_core::trace::Progress;

use crate::cli::trace::TraceArgs;
use bundle::Bundle;
pub(super) use bundle::Findings;
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
    /// The archive stopped in the middle.
    #[error("cannot write the archive {}", path.display())]
    Bundle {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
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
            Self::Create { .. } | Self::Bundle { .. } | Self::Terminal => false,
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
    bundle: Option<Bundle>,
}

impl Output {
    /// Creates what the flags ask for.
    pub(super) fn create(args: &TraceArgs, names: &Names) -> Result<Self, OutputError> {
        let recorder = Recorder::create(args.recording(), args.snap(), names)?;
        let bundle = Bundle::create(args.bundle.as_deref(), args.snap(), names)?;
        Ok(Self { printer: Printer::new(args), recorder, bundle })
    }

    /// Writes what became certain.
    pub(super) fn progress(&mut self, progress: &Progress, points: &Points) -> Result<(), OutputError> {
        self.recorder.frames(&progress.frames, points)?;
        if let Some(bundle) = &mut self.bundle {
            bundle.frames(&progress.frames, points);
        }
        self.printer.events(&progress.events)
    }

    /// Tells names that became known meanwhile.
    pub(super) fn names(&mut self, names: &Names) -> Result<(), OutputError> {
        self.recorder.names(names)
    }

    /// Writes the rest and the report. Returns whether all that was asked for could be written.
    pub(super) fn finish(
        mut self,
        findings: &Findings<'_>,
        progress: &Progress,
        points: &Points,
    ) -> Result<bool, OutputError> {
        self.progress(progress, points)?;
        self.recorder.finish(&findings.report.loss, points)?;
        let is_bundled = self.bundle.is_none_or(|mut bundle| {
            bundle.finish(findings, points);
            !bundle.has_failed()
        });
        self.printer.report(findings.report)?;
        Ok(is_bundled && !self.recorder.has_failed())
    }
}
