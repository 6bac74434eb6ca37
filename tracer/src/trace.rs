//! `kflow trace`: one capture per namespace, or files, merged, followed and told.

mod captures;
mod cluster;
mod dry_run;
mod ends;
mod memory;
mod offline;
mod output;
pub(crate) mod plan;
mod stop;
mod stream;
mod witness;

use std::hash::{BuildHasher, RandomState};
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::time::{Instant, sleep_until};
use tracer_core::diagnose::{self, Grounds};
use tracer_core::evidence::Evidence;
use tracer_core::flow::Port;
use tracer_core::identity::HashKey;
use tracer_core::packet::Decoder;
use tracer_core::report::Report;
use tracer_core::resolve::{ClusterState, Names};
use tracer_core::trace::{Budget, SourceId, SourceSpec, TraceOptions, Tracer};
use tracer_core::units::Timestamp;

use crate::batch::Batch;
use crate::cli::trace::TraceArgs;
use crate::error::{Exit, ExitStatus};
use captures::Captures;
pub use cluster::ClusterError;
use cluster::{Change, Following};
pub use offline::OfflineError;
use output::{Findings, Output, OutputError};
use plan::Wanted;
pub use plan::{Place, PlanError, Side, StateFileError, TracePlan, read_state};
use stop::{Phase, Stop};
use stream::{End, Message, Stream, StreamError};
use witness::Witnesses;

/// Batches that may wait for the trace; beyond, the pipes fill and the captures count what they lose.
const QUEUE: usize = 32;
/// How often windows are looked at.
const TICK: Duration = Duration::from_millis(50);
/// How long the kernels' evidence is waited for at the beginning.
const HEARING: Duration = Duration::from_secs(5);
/// How long it is waited for at the end, where nobody waits for packets any more.
const LAST_HEARING: Duration = Duration::from_secs(20);
/// After how long the user is told what is waited for.
const PATIENCE: Duration = Duration::from_secs(1);
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
    /// Control groups allow less memory than its processes need.
    #[error(
        "{places} network namespaces need {need} MiB of memory, and {} allows {limit} MiB: {remedy}", file.display()
    )]
    Memory {
        /// Namespaces that were to be watched.
        places: u64,
        /// MiB.
        need: u64,
        /// MiB.
        limit: u64,
        /// Who says so.
        file: PathBuf,
        /// What would fit.
        remedy: String,
    },
    /// A capture could not be started.
    #[error(transparent)]
    Stream(#[from] StreamError),
    /// No capture came to work; each has told why.
    #[error("nothing could be watched")]
    NothingWatched(Exit),
    /// The cluster could not be asked, or refused.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
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
            Self::Cluster(error) => error.exit(),
            Self::Offline(error) => error.exit(),
            Self::NothingWatched(exit) => *exit,
            Self::Memory { .. } => Exit::Environment,
            Self::Output(OutputError::Terminal) => Exit::Usage,
            Self::Runtime(_) | Self::Stream(_) | Self::Output(_) => Exit::Failed,
        }
    }
}

/// Runs a trace to its end.
pub fn run(args: TraceArgs) -> Result<Exit, TraceError> {
    let outcome = if args.is_offline() { offline::run(args) } else { live(args) };
    match outcome {
        Err(TraceError::Output(error)) if error.is_broken_pipe() => Ok(Exit::Complete),
        outcome => outcome,
    }
}

fn live(args: TraceArgs) -> Result<Exit, TraceError> {
    let mut plan = TracePlan::of(args)?;
    if plan.args.dry_run {
        return dry_run::print(&plan).map(|()| Exit::Complete).map_err(TraceError::Output);
    }
    for node in plan.unwatched() {
        say!("kflow: {node} is not watched, its hops will be missing: add --node {node}=netns:PATH");
    }
    memory::check(&plan)?;
    let following = Following::of(&mut plan);
    let captures = Captures::of(&plan)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let outcome = runtime.map_err(TraceError::Runtime).and_then(|runtime| {
        let outcome = runtime.block_on(trace(&plan, &captures, following));
        // Threads that still read a capture that was abandoned are not waited for.
        runtime.shutdown_background();
        outcome
    });
    captures.remove();
    outcome
}

async fn trace(plan: &TracePlan, captures: &Captures, mut following: Following) -> Result<Exit, TraceError> {
    let mut stop = Stop::new(plan.args.duration).map_err(TraceError::Runtime)?;
    let mut session = Session::start(plan, captures)?;
    let mut ticks = tokio::time::interval(TICK);
    while !session.is_over() {
        tokio::select! {
            Some(message) = session.receiver.recv() => session.take(message),
            _ = ticks.tick() => session.tick(&mut stop)?,
            change = following.next(), if !session.is_stopping => session.change(change)?,
            phase = stop.next() => session.enter(phase),
        }
    }
    session.hear_out(&mut stop).await;
    session.finish()
}

/// A trace at work.
struct Session<'a> {
    plan: &'a TracePlan,
    captures: &'a Captures,
    wanted: Wanted,
    tracer: Tracer,
    names: Names,
    state: ClusterState,
    places: Vec<Place>,
    /// By the number of the stream; absent where a stream that joined has not told anything yet.
    sources: Vec<Option<SourceId>>,
    streams: Vec<Stream>,
    witnesses: Witnesses,
    sender: Sender<Message>,
    receiver: Receiver<Message>,
    ended: usize,
    failed: Vec<Exit>,
    is_stopping: bool,
    is_announced: bool,
    output: Output,
    begin: Instant,
}

impl<'a> Session<'a> {
    fn start(plan: &'a TracePlan, captures: &'a Captures) -> Result<Self, TraceError> {
        let args = &plan.args;
        let output = Output::create(args, &plan.names)?;
        let (sender, receiver) = channel(QUEUE);
        let mut session = Self {
            plan,
            captures,
            wanted: Wanted::of(&plan.scope),
            tracer: Tracer::new(options(args), Some(plan.scope.clone()), plan.names.clone()),
            names: plan.names.clone(),
            state: plan.state.clone(),
            places: Vec::new(),
            sources: Vec::new(),
            streams: Vec::new(),
            witnesses: Witnesses::default(),
            sender,
            receiver,
            ended: 0,
            failed: Vec::new(),
            is_stopping: false,
            is_announced: false,
            output,
            begin: Instant::now(),
        };
        for place in &plan.places {
            session.sources.push(Some(session.tracer.source(&spec(place))));
            session.watch(place)?;
        }
        Ok(session)
    }

    /// Starts the capture of a place.
    fn watch(&mut self, place: &Place) -> Result<(), TraceError> {
        let number = self.streams.len();
        let stream = self.captures.start(number, place, &self.wanted, self.plan, self.sender.clone())?;
        self.streams.push(stream);
        self.places.push(place.clone());
        if !self.plan.args.no_evidence {
            self.captures.call(&mut self.witnesses, place, &self.wanted, self.sender.clone());
        }
        Ok(())
    }

    /// The source of a stream, announced at the latest now.
    fn source(&mut self, number: usize) -> SourceId {
        let place = &self.places[number];
        *self.sources[number].get_or_insert_with(|| self.tracer.source(&spec(place)))
    }

    /// Goes along with what changed in the cluster.
    fn change(&mut self, change: Change) -> Result<(), TraceError> {
        for pod in &change.joined {
            say!("kflow: {pod} joined the trace");
        }
        let wanted = Wanted::of(&change.scope);
        if wanted != self.wanted {
            for (stream, place) in self.streams.iter().zip(&self.places) {
                stream.tell(wanted.line(place, &self.plan.args));
            }
            self.wanted = wanted;
        }
        self.output.names(&change.names)?;
        (self.names, self.state) = (change.names.clone(), change.state);
        self.tracer.rescope(Some(change.scope), change.names);
        for place in &change.places {
            self.sources.push(None);
            self.watch(place)?;
        }
        Ok(())
    }

    /// Waits for what the kernels say at the end, which may come after the last packet; a signal ends the wait.
    async fn hear_out(&mut self, stop: &mut Stop) {
        self.witnesses.conclude();
        let (told, end) = (Instant::now() + PATIENCE, Instant::now() + LAST_HEARING);
        let mut is_told = false;
        while !self.witnesses.have_ended() {
            tokio::select! {
                message = self.receiver.recv() => match message {
                    Some(message) => self.take(message),
                    None => return,
                },
                () = sleep_until(told), if !is_told => {
                    is_told = true;
                    let awaited = self.witnesses.awaited().join(", ");
                    eprintln!("kflow: waiting for the evidence of {awaited}; Ctrl-C ends without it");
                }
                // Whoever has said nothing by then is told of as missing.
                () = sleep_until(end) => return,
                () = stop.interrupted() => return,
            }
        }
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
            Message::Batch(number, Batch { items, bytes, .. }) => {
                let source = self.source(number);
                for item in items {
                    self.tracer.take(source, &item.into_item(&bytes), now);
                }
            }
            Message::Ended(number, end) => self.ended(number, &end, now),
            Message::Testimony(number, testimony) => self.witnesses.hear(number, testimony),
        }
        self.announce();
    }

    /// Says once that everything is watched.
    fn announce(&mut self) {
        let is_heard = self.witnesses.have_begun() || self.begin.elapsed() > HEARING;
        let is_ready = self.tracer.is_ready() && is_heard;
        if !self.is_announced && is_ready && self.failed.len() < self.streams.len() {
            self.is_announced = true;
            let interfaces = self.tracer.points().interfaces().count();
            let other = self.plan.scope.destination.as_ref().map(|end| format!(" -> {}", end.label));
            say!(
                "tracing {}{}: watching {interfaces} interfaces in {} namespaces; Ctrl-C ends",
                self.plan.scope.source.label,
                other.unwrap_or_default(),
                self.streams.len() - self.failed.len()
            );
        }
    }

    fn ended(&mut self, number: usize, end: &End, now: Timestamp) {
        self.ended += 1;
        let source = self.source(number);
        let fault = match end.fault() {
            Some(fault) => fault,
            None if self.is_stopping => return self.tracer.ended(source, now),
            None => "the capture ended by itself".to_owned(),
        };
        self.failed.push(end.exit());
        let reason = format!("{}: {fault}", self.places[number].label());
        if self.is_announced {
            say!("kflow: a capture ended early: {reason}");
        } else if end.remote.is_some() {
            say!("kflow: {reason}");
        }
        self.tracer.broken(source, &reason, now);
    }

    fn enter(&mut self, phase: Phase) {
        match phase {
            Phase::Settle => {}
            Phase::Drain => {
                self.is_stopping = true;
                self.witnesses.conclude();
                self.streams.iter_mut().for_each(Stream::stop);
            }
            Phase::Abandon => self.streams.iter_mut().for_each(Stream::kill),
        }
    }

    fn tick(&mut self, stop: &mut Stop) -> Result<(), TraceError> {
        output::check_stdout()?;
        self.advance()?;
        self.announce();
        if self.is_announced {
            stop.begin();
        }
        Ok(())
    }

    fn advance(&mut self) -> Result<(), TraceError> {
        let progress = self.tracer.advance(self.now());
        Ok(self.output.progress(&progress, self.tracer.points())?)
    }

    fn finish(mut self) -> Result<Exit, TraceError> {
        // What was seen before the last capture broke is told.
        if !self.is_announced && self.failed.len() == self.streams.len() {
            let exit = self.failed.iter().copied().find(|exit| *exit == Exit::Environment);
            return Err(TraceError::NothingWatched(exit.unwrap_or(Exit::Failed)));
        }
        self.advance()?;
        let Self { plan, tracer, output, witnesses, names, state, .. } = self;
        let (mut report, progress, points) = tracer.finish();
        let evidence = witnesses.evidence();
        judge(&mut report, &evidence, &names, &state);
        let is_complete = report.is_complete() && plan.unwatched().is_empty();
        let findings = Findings { report: &report, evidence: &evidence, state: &state };
        let is_written = output.finish(&findings, &progress, &points)?;
        Ok(if is_complete && is_written { Exit::Complete } else { Exit::Incomplete })
    }
}

/// Gives every flow its verdict.
fn judge(report: &mut Report, evidence: &[Evidence], names: &Names, state: &ClusterState) {
    let state = state.node_names().next().is_some().then_some(state);
    report.note_missing(evidence);
    diagnose::judge(report, Grounds { evidence, names, state });
}

fn spec(place: &Place) -> SourceSpec {
    SourceSpec { node: place.node.clone(), tells_gso: true }
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
        keep_frames: args.recording().is_some() || args.bundle.is_some(),
        keep_journeys: false,
        is_merged: args.is_offline(),
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
