//! The pcapng of all hops.

use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};

use tracer_core::capture::CaptureError;
use tracer_core::loss::LossReport;
use tracer_core::output::pcapng::TraceWriter;
use tracer_core::point::Points;
use tracer_core::resolve::Names;
use tracer_core::trace::TracedFrame;
use tracer_core::units::SnapLength;

use super::OutputError;
use crate::error::chain;

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

    /// Writes names that became known meanwhile. Fails as [`Self::frames`] does.
    pub(super) fn names(&mut self, names: &Names) -> Result<(), OutputError> {
        let Some(recording) = &mut self.recording else { return Ok(()) };
        let outcome = recording.writer.names(names).map_err(|source| recording.error(source));
        self.keep_on(outcome)
    }

    /// Writes the counters of all interfaces; the file is complete after it. Fails as [`Self::frames`] does.
    pub(super) fn finish(&mut self, loss: &LossReport, points: &Points) -> Result<(), OutputError> {
        let Some(recording) = &mut self.recording else { return Ok(()) };
        let outcome = recording.writer.finish(loss, points).map_err(|source| recording.error(source));
        if outcome.is_ok() {
            say!("{} packets written to {}", recording.frames, recording.path.display());
        }
        self.keep_on(outcome)
    }

    fn keep_on(&mut self, outcome: Result<(), OutputError>) -> Result<(), OutputError> {
        match outcome {
            Err(error) if !error.is_broken_pipe() => {
                say!("kflow: {}", chain(&error));
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
