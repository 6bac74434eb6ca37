//! `kflow trace -r`: files instead of captures of our own, merged by their times.
//!
//! One thread reads all files in turn and hands each packet over where it lies in the buffer of its file: the
//! packets of a capture are read once, and copied only where they are written again.

mod file;
mod input;
mod name;
mod place;
mod plan;
mod progress;
mod summary;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use thiserror::Error;
use tracer_core::capture::CaptureError;
use tracer_core::output::{printable, printable_lines};
use tracer_core::trace::Tracer;
use tracer_core::units::Timestamp;

use super::output::{self, Findings, Output};
use super::plan::unwatched;
use super::{TraceError, options};
use crate::cli::trace::TraceArgs;
use crate::error::{Exit, ExitStatus};
use crate::interrupt::Interrupt;
use file::CaptureFile;
use input::InputError;
use place::{PlaceError, Places};
use plan::OfflinePlan;
use progress::Meter;

/// Packets between two looks at windows, signals and the reader of the results.
const BATCH: u64 = 4096;

/// Why files could not be traced.
#[derive(Debug, Error)]
pub enum OfflineError {
    /// A value of `-r` makes no sense.
    #[error(transparent)]
    Input(InputError),
    /// An interface has no name that can be told from others.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// A file cannot be opened.
    #[error("cannot open {}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file is no capture.
    #[error("{file}")]
    Unreadable {
        /// The file.
        file: String,
        /// Why.
        source: CaptureError,
    },
    /// The pcapng would overwrite what is to be read.
    #[error("{} is to be read and cannot be written at the same time", .0.display())]
    Overwrite(PathBuf),
    /// A signal came while headers were read.
    #[error("ended by a signal before any packet was read")]
    Interrupted,
    /// Signals cannot be taken.
    #[error("cannot set up signal handling")]
    Signals(#[source] io::Error),
}

impl ExitStatus for OfflineError {
    fn exit(&self) -> Exit {
        match self {
            Self::Input(_) | Self::Place(_) | Self::Overwrite(_) => Exit::Usage,
            Self::Interrupted => Exit::Incomplete,
            Self::Open { .. } | Self::Unreadable { .. } | Self::Signals(_) => Exit::Failed,
        }
    }
}

/// Traces files to their end.
pub(super) fn run(args: TraceArgs) -> Result<Exit, TraceError> {
    let plan = OfflinePlan::of(args)?;
    let interrupt = Interrupt::new().map_err(OfflineError::Signals)?;
    let mut session = Session::open(&plan, &interrupt)?;
    session.read()?;
    session.finish()
}

/// A trace at work.
struct Session<'a> {
    plan: &'a OfflinePlan,
    tracer: Tracer,
    files: Vec<CaptureFile>,
    places: Places,
    output: Output,
    meter: Meter,
    interrupt: &'a Interrupt,
    /// The latest time of a packet so far.
    now: Timestamp,
}

impl<'a> Session<'a> {
    /// Opens every file before anything is written.
    fn open(plan: &'a OfflinePlan, interrupt: &'a Rc<Interrupt>) -> Result<Self, TraceError> {
        let open = |input: &input::Input| {
            input.open().map_err(|source| OfflineError::Open { path: input.path.clone(), source })
        };
        let opened = plan.inputs.iter().map(open).collect::<Result<Vec<_>, _>>()?;
        check_overwrite(plan.args.recording(), &opened)?;
        let mut tracer = Tracer::new(options(&plan.args), plan.scope.clone(), plan.names.clone());
        let begin = |(number, (input, file))| CaptureFile::begin(number, input, file, interrupt, &mut tracer);
        let files = plan.inputs.iter().zip(opened).enumerate().map(begin).collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            plan,
            tracer,
            files,
            places: Places::default(),
            output: Output::create(&plan.args, &plan.names)?,
            meter: Meter::new(),
            interrupt,
            now: Timestamp::default(),
        })
    }

    /// Hands over the packets of all files in the order of their times. Of a file whose packets are not in order,
    /// each comes when those before it came.
    fn read(&mut self) -> Result<(), TraceError> {
        let mut next = BinaryHeap::new();
        for number in 0..self.files.len() {
            self.files[number].deliver_section(&mut self.tracer);
            next.extend(self.next_packet(number)?.map(|time| Reverse((time, number))));
        }
        let mut packets = 0;
        while let Some(mut first) = next.peek_mut() {
            let Reverse((time, number)) = *first;
            self.now = self.now.max(time);
            self.files[number].deliver(&mut self.tracer, self.now);
            match self.next_packet(number)? {
                Some(time) => *first = Reverse((time, number)),
                None => drop(PeekMut::pop(first)),
            }
            packets += 1;
            if packets % BATCH == 0 && !self.go_on(packets)? {
                break;
            }
        }
        for file in &mut self.files {
            file.give_up(&mut self.tracer, self.now);
        }
        Ok(())
    }

    fn next_packet(&mut self, number: usize) -> Result<Option<Timestamp>, OfflineError> {
        Ok(self.files[number].next_packet(&mut self.tracer, &mut self.places, self.now)?)
    }

    /// Writes what became certain; false where a signal came.
    fn go_on(&mut self, packets: u64) -> Result<bool, TraceError> {
        output::check_stdout()?;
        let progress = self.tracer.advance(self.now);
        if !progress.events.is_empty() {
            self.meter.clear();
        }
        self.output.progress(&progress, self.tracer.points())?;
        self.meter.show(packets);
        Ok(!self.interrupt.is_raised())
    }

    fn finish(mut self) -> Result<Exit, TraceError> {
        self.meter.clear();
        let Self { plan, tracer, files, output, .. } = self;
        let (mut report, progress, points) = tracer.finish();
        eprint!("{}", printable_lines(&summary::summary(&files, !report.flows.is_empty())));
        let missing = match &plan.scope {
            Some(scope) => unwatched(scope, |node| points.observes_node(node)),
            None => Vec::new(),
        };
        for node in missing.iter().map(|node| printable(node)) {
            say!("kflow: no file is of {node}, its hops are missing: name one -r {node}/IFACE=FILE");
        }
        if plan.scope.is_none() {
            report.rank();
        }
        super::judge(&mut report, &[], &plan.names, &plan.state);
        let is_complete = report.is_complete() && missing.is_empty();
        let findings = Findings { report: &report, evidence: &[], state: &plan.state };
        let is_written = output.finish(&findings, &progress, &points)?;
        Ok(if is_complete && is_written { Exit::Complete } else { Exit::Incomplete })
    }
}

/// Fails where the pcapng would go to a file that is read.
fn check_overwrite(recording: Option<&Path>, opened: &[File]) -> Result<(), OfflineError> {
    let Some(path) = recording.filter(|path| path.as_os_str() != "-") else { return Ok(()) };
    // A file that cannot be looked at does not exist yet, or cannot be written either.
    let Ok(written) = path.metadata() else { return Ok(()) };
    let is_read = |file: &File| {
        file.metadata()
            .is_ok_and(|read| read.is_file() && (read.dev(), read.ino()) == (written.dev(), written.ino()))
    };
    if opened.iter().any(is_read) { Err(OfflineError::Overwrite(path.to_owned())) } else { Ok(()) }
}
