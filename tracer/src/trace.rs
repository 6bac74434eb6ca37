//! `kflow trace`: one capture per namespace, or files, merged, followed and told.

mod offline;
mod output;
mod plan;
mod stream;

use std::hash::{BuildHasher, RandomState};
use std::io;
use std::time::Duration;

use thiserror::Error;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc::{Receiver, channel};
use tokio::time::{Instant, sleep_until};
use tracer_core::flow::Port;
use tracer_core::identity::HashKey;
use tracer_core::packet::Decoder;
use tracer_core::trace::{Budget, SourceId, SourceSpec, TraceOptions, Tracer};
use tracer_core::units::Timestamp;

use crate::cli::trace::TraceArgs;
use crate::error::{Exit, ExitStatus};
pub use offline::OfflineError;
use output::{Output, OutputError};
pub use plan::{Place, PlanError, StateFileError, TracePlan, read_state};
use stream::{End, Message, Stream, StreamError};

/// Batches that may wait for the trace; beyond, the pipes fill and the captures count what they lose.
const QUEUE: usize = 64;
/// How often windows are looked at.
const TICK: Duration = Duration::from_millis(50);
/// Packets on their way when the trace is asked to end get this long to arrive.
const SETTLE: Duration = Duration::from_millis(300);
/// Captures that have not ended by then are ended.
const PATIENCE: Duration = Duration::from_secs(5);
/// An origin for the trace's own clock, far enough from zero to subtract a window from it.
const ORIGIN: u64 = 1 << 62;

/// Why a trace failed.
#[derive(Debug, Error)]
pub enum TraceError {
    /// The flags make no plan.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The runtime or its signal handlers could not be set up.
    #[error("cannot set up signal handling")]
    Runtime(#[source] io::Error),
    /// A capture could not be started.
    #[error(transparent)]
    Stream(#[from] StreamError),
    /// No capture came to work; each has told why.
    #[error("nothing could be watched")]
    NothingWatched(Exit),
    /// Files could not be traced.
    #[error(transparent)]
    Offline(#[from] OfflineError),
    /// Results could not be written.
    #[error(transparent)]
    Output(#[from] OutputError),
}

impl ExitStatus for TraceError {
    fn exit(&self) -> Exit {
        match self {
            Self::Plan(error) => error.exit(),
            Self::Offline(error) => error.exit(),
            Self::NothingWatched(exit) => *exit,
            Self::Output(OutputError::Terminal) => Exit::Usage,
            Self::Runtime(_) | Self::Stream(_) | Self::Output(_) => Exit::Failed,
        }
    }
}

/// Runs a trace to its end.
pub fn run(args: TraceArgs) -> Result<Exit, TraceError> {
    let outcome = if args.read.is_empty() { live(args) } else { offline::run(args) };
    match outcome {
        Err(TraceError::Output(error)) if error.is_broken_pipe() => Ok(Exit::Complete),
        outcome => outcome,
    }
}

fn live(args: TraceArgs) -> Result<Exit, TraceError> {
    let plan = TracePlan::of(args)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(TraceError::Runtime)?.block_on(trace(&plan))
}

async fn trace(plan: &TracePlan) -> Result<Exit, TraceError> {
    for node in plan.unwatched() {
        eprintln!("kflow: {node} is not watched, its hops will be missing: add --node {node}=netns:PATH");
    }
    let mut session = Session::start(plan)?;
    let mut stop = Stop::new(plan.args.duration).map_err(TraceError::Runtime)?;
    let mut ticks = tokio::time::interval(TICK);
    while !session.is_over() {
        tokio::select! {
            Some(message) = session.receiver.recv() => session.take(message),
            _ = ticks.tick() => session.tick()?,
            phase = stop.next() => session.enter(phase),
        }
    }
    session.finish()
}

/// Why a trace goes over to its next phase.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Phase {
    /// Asked to end: what is on its way may arrive.
    Settle,
    /// The captures end.
    Drain,
    /// Captures that did not end are ended.
    Abandon,
}

/// When a trace ends: by signal or by time, in steps; a second signal takes the next step at once.
struct Stop {
    interrupt: Signal,
    terminate: Signal,
    due: Option<(Instant, Phase)>,
}

impl Stop {
    fn new(duration: Option<Duration>) -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            due: duration.map(|duration| (Instant::now() + duration, Phase::Settle)),
        })
    }

    async fn next(&mut self) -> Phase {
        let (time, due) = self.due.unwrap_or((Instant::now(), Phase::Settle));
        let is_timed = self.due.is_some();
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            () = sleep_until(time), if is_timed => {}
        }
        self.due = match due {
            Phase::Settle => Some((Instant::now() + SETTLE, Phase::Drain)),
            Phase::Drain => Some((Instant::now() + PATIENCE, Phase::Abandon)),
            Phase::Abandon => None,
        };
        due
    }
}

/// A trace at work.
struct Session<'a> {
    plan: &'a TracePlan,
    tracer: Tracer,
    sources: Vec<SourceId>,
    streams: Vec<Stream>,
    receiver: Receiver<Message>,
    ended: usize,
    failed: Vec<Exit>,
    is_stopping: bool,
    is_announced: bool,
    output: Output,
    begin: Instant,
}

impl<'a> Session<'a> {
    fn start(plan: &'a TracePlan) -> Result<Self, TraceError> {
        let args = &plan.args;
        let mut tracer = Tracer::new(options(args), Some(plan.scope.clone()), plan.names.clone());
        let output = Output::create(args, &plan.names)?;
        let sources = plan
            .places
            .iter()
            .map(|place| tracer.source(&SourceSpec { node: place.node.clone(), tells_gso: true }))
            .collect();
        let (sender, receiver) = channel(QUEUE);
        let start = |(number, place)| Stream::start(number, place, plan, sender.clone());
        Ok(Self {
            plan,
            tracer,
            sources,
            streams: plan.places.iter().enumerate().map(start).collect::<Result<_, _>>()?,
            receiver,
            ended: 0,
            failed: Vec::new(),
            is_stopping: false,
            is_announced: false,
            output,
            begin: Instant::now(),
        })
    }

    fn is_over(&self) -> bool {
        self.ended == self.streams.len()
    }

    /// The trace's own clock, which arrivals are measured by.
    fn now(&self) -> Timestamp {
        let elapsed = u64::try_from(self.begin.elapsed().as_nanos()).unwrap_or(u64::MAX >> 2);
        Timestamp(ORIGIN + elapsed)
    }

    fn take(&mut self, message: Message) {
        let now = self.now();
        match message {
            Message::Items(number, items) => {
                for item in &items {
                    self.tracer.take(self.sources[number], item, now);
                }
            }
            Message::Ended(number, end) => self.ended(number, &end, now),
        }
        self.announce();
    }

    /// Says once that everything is watched.
    fn announce(&mut self) {
        if !self.is_announced && self.tracer.is_ready() && self.failed.len() < self.streams.len() {
            self.is_announced = true;
            let interfaces = self.tracer.points().interfaces().count();
            let other = self.plan.scope.destination.as_ref().map(|end| format!(" -> {}", end.label));
            eprintln!(
                "tracing {}{}: watching {interfaces} interfaces in {} namespaces; Ctrl-C ends",
                self.plan.scope.source.label,
                other.unwrap_or_default(),
                self.streams.len() - self.failed.len()
            );
        }
    }

    fn ended(&mut self, number: usize, end: &End, now: Timestamp) {
        self.ended += 1;
        let fault = match end.fault() {
            Some(fault) => fault,
            None if self.is_stopping => return self.tracer.ended(self.sources[number], now),
            None => "the capture ended by itself".to_owned(),
        };
        self.failed.push(if end.code == Some(i32::from(Exit::Environment.code())) {
            Exit::Environment
        } else {
            Exit::Failed
        });
        let reason = format!("{}: {fault}", self.plan.places[number].label());
        if self.is_announced {
            eprintln!("kflow: a capture ended early: {reason}");
        }
        self.tracer.broken(self.sources[number], &reason, now);
    }

    fn enter(&mut self, phase: Phase) {
        match phase {
            Phase::Settle => {}
            Phase::Drain => {
                self.is_stopping = true;
                self.streams.iter_mut().for_each(Stream::stop);
            }
            Phase::Abandon => self.streams.iter_mut().for_each(Stream::kill),
        }
    }

    fn tick(&mut self) -> Result<(), TraceError> {
        output::check_stdout()?;
        self.advance()?;
        self.announce();
        Ok(())
    }

    fn advance(&mut self) -> Result<(), TraceError> {
        let progress = self.tracer.advance(self.now());
        Ok(self.output.progress(&progress, self.tracer.points())?)
    }

    fn finish(mut self) -> Result<Exit, TraceError> {
        if self.failed.len() == self.streams.len() {
            let exit = self.failed.iter().copied().find(|exit| *exit == Exit::Environment);
            return Err(TraceError::NothingWatched(exit.unwrap_or(Exit::Failed)));
        }
        self.advance()?;
        let Self { plan, tracer, output, .. } = self;
        let (report, progress, points) = tracer.finish();
        let is_complete = report.is_complete() && plan.unwatched().is_empty();
        let is_written = output.finish(report, &progress, &points)?;
        Ok(if is_complete && is_written { Exit::Complete } else { Exit::Incomplete })
    }
}

fn options(args: &TraceArgs) -> TraceOptions {
    let decoder = Decoder::default();
    TraceOptions {
        window: args.window(),
        hash_key: hash_key(),
        decoder: match args.vxlan_port {
            Some(port) => decoder.with_vxlan_port(Port(port)),
            None => decoder,
        },
        keep_frames: args.recording().is_some(),
        keep_journeys: false,
        is_merged: !args.read.is_empty(),
        budget: Budget::default(),
    }
}

/// A key that packets cannot be crafted against: the standard library draws its own from the system.
fn hash_key() -> HashKey {
    let mut key = [0; 16];
    key[..8].copy_from_slice(&RandomState::new().hash_one(0).to_ne_bytes());
    key[8..].copy_from_slice(&RandomState::new().hash_one(1).to_ne_bytes());
    HashKey(key)
}
