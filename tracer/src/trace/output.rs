//! Where a trace's results go.

use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use thiserror::Error;
use tracer_core::capture::CaptureError;
use tracer_core::loss::LossReport;
use tracer_core::output::pcapng::TraceWriter;
use tracer_core::output::text::Colour;
use tracer_core::output::{json, text};
use tracer_core::point::Points;
use tracer_core::report::Report;
use tracer_core::resolve::Names;
use tracer_core::trace::{Event, TracedFrame};
use tracer_core::units::SnapLength;

use crate::cli::trace::Format;
use crate::error::chain;

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
        "-w - writes pcapng, and standard output is a terminal: pipe it, for example to `wireshark -k -i -`"
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

/// Text or JSON on one stream.
pub(super) struct Printer {
    writer: Box<dyn Write>,
    format: Format,
    colour: Colour,
}

impl Printer {
    /// A printer on standard output, or on standard error where standard output carries the capture.
    pub(super) fn new(format: Format, is_stdout_taken: bool) -> Self {
        let no_colour = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let is_terminal =
            if is_stdout_taken { io::stderr().is_terminal() } else { io::stdout().is_terminal() };
        let colour = if is_terminal && !no_colour { Colour::Always } else { Colour::Never };
        let writer: Box<dyn Write> =
            if is_stdout_taken { Box::new(io::stderr()) } else { Box::new(BufWriter::new(io::stdout())) };
        Self { writer, format, colour }
    }

    /// Prints what happened, at once.
    pub(super) fn events(&mut self, events: &[Event]) -> Result<(), OutputError> {
        for event in events {
            match self.format {
                Format::Text => text::event(&mut self.writer, event, self.colour),
                Format::Json => json::event(&mut self.writer, event),
            }
            .map_err(OutputError::Text)?;
        }
        if events.is_empty() { Ok(()) } else { self.writer.flush().map_err(OutputError::Text) }
    }

    /// Prints the report.
    pub(super) fn report(&mut self, report: &Report, had_events: bool) -> Result<(), OutputError> {
        match self.format {
            Format::Text => {
                let gap = if had_events { self.writer.write_all(b"\n") } else { Ok(()) };
                gap.and_then(|()| text::report(&mut self.writer, report, self.colour))
            }
            Format::Json => json::report(&mut self.writer, report),
        }
        .and_then(|()| self.writer.flush())
        .map_err(OutputError::Text)
    }
}

/// The pcapng of all hops.
struct Recording {
    path: PathBuf,
    writer: TraceWriter<Box<dyn Write>>,
    frames: u64,
}

/// Writes the pcapng, if one was asked for. A full disk ends the recording, not the trace.
pub(super) struct Recorder {
    recording: Option<Recording>,
    has_failed: bool,
}

impl Recorder {
    /// Creates the file, or takes standard output for `-`; without a path nothing is ever written.
    pub(super) fn create(path: Option<&Path>, snap: SnapLength, names: &Names) -> Result<Self, OutputError> {
        let recording = path.map(|path| Recording::create(path, snap, names)).transpose()?;
        Ok(Self { recording, has_failed: false })
    }

    /// Whether what was asked for could not be written.
    pub(super) fn has_failed(&self) -> bool {
        self.has_failed
    }

    /// Writes frames and hands them to whoever reads along. Fails only when the reader closed its pipe.
    pub(super) fn frames(&mut self, frames: &[TracedFrame], points: &Points) -> Result<(), OutputError> {
        let Some(recording) = &mut self.recording else { return Ok(()) };
        let outcome = recording.frames(frames, points);
        self.keep_on(outcome)
    }

    /// Writes the counters of all interfaces; the file is complete after it. Fails as [`Self::frames`] does.
    pub(super) fn finish(&mut self, loss: &LossReport, points: &Points) -> Result<(), OutputError> {
        let Some(recording) = &mut self.recording else { return Ok(()) };
        let outcome = recording.writer.finish(loss, points).map_err(|source| recording.error(source));
        if outcome.is_ok() {
            eprintln!("{} packets written to {}", recording.frames, recording.path.display());
        }
        self.keep_on(outcome)
    }

    fn keep_on(&mut self, outcome: Result<(), OutputError>) -> Result<(), OutputError> {
        match outcome {
            Err(error) if !error.is_broken_pipe() => {
                eprintln!("kflow: {}", chain(&error));
                self.recording = None;
                self.has_failed = true;
                Ok(())
            }
            outcome => outcome,
        }
    }
}

impl Recording {
    fn create(path: &Path, snap: SnapLength, names: &Names) -> Result<Self, OutputError> {
        let sink: Box<dyn Write> = if path == Path::new("-") {
            if io::stdout().is_terminal() {
                return Err(OutputError::Terminal);
            }
            Box::new(BufWriter::with_capacity(1 << 18, io::stdout()))
        } else {
            let create = |source| OutputError::Create { path: path.to_owned(), source };
            Box::new(BufWriter::with_capacity(1 << 18, File::create(path).map_err(create)?))
        };
        let application = concat!("kflow ", env!("CARGO_PKG_VERSION"));
        let failed = |source| OutputError::Capture { path: path.to_owned(), source };
        let mut writer = TraceWriter::new(sink, application, snap, names).map_err(failed)?;
        if path == Path::new("-") {
            // The program that reads along sees at once what it reads.
            writer.flush().map_err(failed)?;
        }
        Ok(Self { path: path.to_owned(), writer, frames: 0 })
    }

    fn frames(&mut self, frames: &[TracedFrame], points: &Points) -> Result<(), OutputError> {
        for frame in frames {
            self.writer.frame(frame, points).map_err(|source| self.error(source))?;
            self.frames += 1;
        }
        if frames.is_empty() { Ok(()) } else { self.writer.flush().map_err(|source| self.error(source)) }
    }

    fn error(&self, source: CaptureError) -> OutputError {
        OutputError::Capture { path: self.path.clone(), source }
    }
}
