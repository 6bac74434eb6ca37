//! One capture from its start to its end.

mod follow;
mod lead;
mod rest;

use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use aya_log::EbpfLogger;
use tracer_common::counters::Counters;
use tracer_common::record::{DROP, SAMPLE};

use self::rest::Rest;
use super::chooser::Chooser;
use super::drops::{Choice, Drops};
use super::end::{CaptureFailure, End, Failure, Summary};
use super::expression::Expression;
use super::nearly::Samples;
use super::orders::Reins;
use super::points::Points;
use super::policy::Audit;
use super::progress::{Numbers, Progress};
use super::sink::Sink;
use super::throttle::Throttle;
use super::wait::{Ready, TURN, Waiter};
use super::{Limits, Plan, Product, Verbosity};
use crate::error::chain;
use crate::kernel;
use crate::kernel::attach::Attacher;
use crate::kernel::counters::InterfaceTable;
use crate::kernel::filter::Filter;
use crate::kernel::interfaces::{self, IfIndex, Watch};
use crate::kernel::object::{self, Loaded, Programs, RingSize, Settings, StderrLog};
use crate::kernel::probe;
use crate::kernel::ring::Ring;
use crate::sink::{self, SinkError};

/// Records taken from the ring before anything else gets its turn.
const BATCH: usize = 16_384;
/// Losses are told at the latest after this time, and to a parent process that all is delivered up to now.
const TELL_INTERVAL: Duration = Duration::from_millis(250);
/// Rounds of waiting for programs that were still running while they were detached.
const SETTLE_ROUNDS: usize = 10_000;

/// A capture that is ready.
pub(super) struct Session {
    chooser: Chooser,
    limits: Limits,
    verbosity: Verbosity,
    expression: Option<Expression>,
    programs: Programs,
    attacher: Attacher,
    table: InterfaceTable,
    /// The programs hold its maps.
    filter: Filter,
    ring: Ring,
    log: Option<EbpfLogger<StderrLog>>,
    /// Absent where drops are not wanted, or cannot be seen.
    drops: Option<Drops>,
    watch: Watch,
    waiter: Waiter,
    points: Points,
    sink: Sink,
    /// Packets that did not match.
    samples: Samples,
    progress: Progress,
    deadline: Option<Instant>,
    next_telling: Instant,
    /// The ring had more than one batch.
    behind: bool,
    /// What standard input orders; absent where nobody leads.
    reins: Option<Reins>,
    /// Bytes kept of each packet, at most.
    snap: u32,
    /// Absent where output has no limit.
    throttle: Option<Throttle>,
    /// The ring is not read, because the output may not have more now.
    is_throttled: bool,
    /// Interfaces that were chosen by a pattern and cannot be observed.
    unobserved: Vec<String>,
}

impl Session {
    /// Attaches to everything chosen and writes the blocks that tell the reader so.
    pub(super) fn start(plan: Plan) -> Result<Self, CaptureFailure> {
        if let Product::Capture(target, _) = &plan.product {
            sink::check(target)?;
        }
        object::is_embedded()?;
        probe::capabilities(plan.netns.is_some())?;
        let mut waiter = Waiter::new()?;
        let reins = lead::reins(&plan, &mut waiter)?;
        if let Some(netns) = &plan.netns {
            netns.enter()?;
        }
        let mut chooser = Chooser::new(plan.selection.clone(), plan.pods.clone());
        let watch = lead::watch(&plan).map_err(CaptureFailure::Interfaces)?;
        lead::look(&mut chooser)?;
        let links = interfaces::list().map_err(CaptureFailure::Interfaces)?;
        chooser.check(&links)?;
        let chosen: Vec<_> = links.iter().filter(|link| chooser.contains(link)).collect();
        let warning = plan.expression.as_ref().map(|expression| expression.check(&chosen)).transpose()?;
        if let Some(warning) = warning.flatten()
            && plan.verbosity > Verbosity::Quiet
        {
            say!("kflow: {warning}");
        }
        let (mut attacher, stale) = Attacher::new(lead::attach_mode(&plan), plan.direction, chosen.len())
            .map_err(CaptureFailure::Sweep)?;
        if stale > 0 && plan.verbosity > Verbosity::Quiet {
            say!("kflow: removed {stale} filters that a dead kflow had left behind");
        }
        let (loaded, drops) = load(&plan, links.len())?;
        attacher.prepare()?;
        if let Some(user) = &plan.user {
            sink::drop_privileges(user)?;
        }
        let confinement = Rest::of(&plan);
        let sink = Sink::new(&plan, waiter.signals())?;
        waiter.add_ring(loaded.ring.as_fd())?;
        waiter.add_links(watch.as_fd())?;
        if let Some(output) = sink.pipeline().stream() {
            waiter.add_output(output)?;
        }
        let is_progress_wanted =
            plan.verbosity > Verbosity::Quiet && matches!(plan.product, Product::Capture(..));
        let mut session = Self {
            sink,
            samples: Samples::default(),
            progress: Progress::on_stderr(is_progress_wanted, plan.limits, Instant::now()),
            chooser,
            limits: plan.limits,
            verbosity: plan.verbosity,
            expression: plan.expression,
            programs: loaded.programs,
            attacher,
            table: loaded.interfaces,
            filter: loaded.filter,
            ring: loaded.ring,
            log: loaded.log,
            drops,
            watch,
            waiter,
            points: Points::default(),
            deadline: None,
            next_telling: Instant::now() + TELL_INTERVAL,
            behind: false,
            reins,
            snap: plan.shape.keep.snap().0,
            throttle: plan.max_rate.map(|rate| Throttle::new(rate, plan.shape.keep.snap().0, Instant::now())),
            is_throttled: false,
            unobserved: Vec::new(),
        };
        session.attach_all(&links)?;
        session.confine(&confinement);
        session.deadline = session.limits.duration.map(|duration| Instant::now() + duration);
        Ok(session)
    }

    /// Captures until an end comes.
    pub(super) fn run(mut self, mut audit: Option<&mut Audit>) -> Result<Summary, CaptureFailure> {
        let end = loop {
            if let Some(end) = self.turn(audit.as_deref_mut())? {
                break end;
            }
        };
        self.progress.clear();
        self.finish()?;
        let bytes = self.sink.pipeline().bytes();
        let (in_output, failure) = self.sink.finish();
        let end = match &failure {
            None => end,
            Some(error) if error.is_closed() => End::OutputClosed,
            Some(_) => End::OutputFailed,
        };
        let (statistics, interfaces) = self.points.into_total();
        let has_matched = statistics.iter().any(|(_, one)| one.matched > 0);
        Ok(Summary {
            drops: self.drops.as_ref().map(Drops::statistics),
            end,
            statistics,
            interfaces,
            unobserved: self.unobserved,
            nearly: if has_matched { String::new() } else { self.samples.tell(self.expression.as_ref()) },
            failure: failure.filter(|error| !error.is_closed()).map(|error| Failure::new(&error, in_output)),
            bytes,
            is_verbose: self.verbosity == Verbosity::Verbose,
        })
    }

    /// One round: wait, take records, follow the interfaces, tell of losses, hand over what was written.
    fn turn(&mut self, audit: Option<&mut Audit>) -> Result<Option<End>, CaptureFailure> {
        let ready = self.waiter.wait(self.timeout())?;
        self.sink.mark()?;
        self.behind = self.drain_within_rate()?;
        self.obey(audit)?;
        if ready.links {
            self.follow()?;
        }
        self.look_again()?;
        self.tell()?;
        self.sink.flush()?;
        self.show_progress();
        if let Some(log) = &mut self.log {
            log.flush();
        }
        Ok(self.end(ready))
    }

    fn timeout(&self) -> Duration {
        if self.behind && !self.is_throttled {
            return Duration::ZERO;
        }
        self.deadline.map_or(TURN, |deadline| TURN.min(deadline.saturating_duration_since(Instant::now())))
    }

    fn show_progress(&mut self) {
        if self.progress.is_shown() {
            let (packets, bytes) = (self.sink.packets(), self.sink.pipeline().bytes());
            let numbers = Numbers { packets, bytes, lost: self.points.lost() };
            self.progress.update(Instant::now(), &numbers);
        }
    }

    fn end(&self, ready: Ready) -> Option<End> {
        if let Some(error) = self.sink.failed() {
            Some(if error.is_closed() { End::OutputClosed } else { End::OutputFailed })
        } else if ready.output_closed {
            Some(End::OutputClosed)
        } else if ready.signal {
            Some(if self.reins.as_ref().is_some_and(Reins::is_over) { End::Stdin } else { End::Signal })
        } else if ready.stdin_ended {
            Some(End::Stdin)
        } else if self.sink.has_enough_packets() {
            Some(End::Packets)
        } else if self.sink.pipeline().is_full() {
            Some(End::Size)
        } else if self.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            Some(End::Duration)
        } else {
            None
        }
    }

    /// Writes a batch of records. Returns whether there may be more.
    fn drain(&mut self) -> Result<bool, SinkError> {
        self.drain_up_to(BATCH)
    }

    fn drain_up_to(&mut self, limit: usize) -> Result<bool, SinkError> {
        let Self { ring, points, sink, samples, drops, .. } = self;
        let count = ring.drain(limit, |header, data| match points.get_mut(IfIndex(header.ifindex)) {
            _ if header.kind == DROP => {
                drops.as_mut().map_or(Ok(()), |drops| drops.record(header, data, sink))
            }
            Some(point) if header.kind == SAMPLE => {
                sink.sample(header, data, point, samples);
                Ok(())
            }
            Some(point) => sink.record(header, data, point),
            None => Ok(()),
        })?;
        Ok(count == limit)
    }

    /// Detaches everything and writes what is left.
    fn finish(&mut self) -> Result<(), CaptureFailure> {
        for point in self.points.iter_mut() {
            point.attachment = None;
        }
        if let Some(drops) = &mut self.drops {
            drops.detach();
        }
        self.spend_the_rest()?;
        let indices = self.points.indices();
        self.settle(&indices)?;
        self.sink.mark()?;
        for index in indices {
            let counters = self.counters(index)?;
            self.tell_final(index, &counters)?;
        }
        if let Some(drops) = &mut self.drops {
            drops.tell(&mut self.sink, true)?;
        }
        Ok(self.sink.flush()?)
    }

    /// Reads the ring until every record that the counters tell of was read: a program may have been running
    /// while it was detached.
    fn settle(&mut self, indices: &[IfIndex]) -> Result<(), CaptureFailure> {
        for _ in 0..SETTLE_ROUNDS {
            while self.drain()? {}
            let mut settled = true;
            for index in indices {
                let written = self.counters(*index)?.written;
                settled &= self.points.get_mut(*index).is_none_or(|point| point.read == written);
            }
            if settled {
                break;
            }
            std::thread::yield_now();
        }
        Ok(())
    }

    fn tell_final(&mut self, index: IfIndex, counters: &Counters) -> Result<(), CaptureFailure> {
        let Some(point) = self.points.get_mut(index) else { return Ok(()) };
        let statistics = point.statistics(counters);
        self.sink.statistics(point, &statistics)?;
        let name = point.link.name.clone();
        self.points.finish(&name, &statistics);
        Ok(())
    }

    /// Statistics of each interface that lost packets since it was last told, so that a live reader knows. Where a
    /// parent process reads along, at least one interface's, whose time says up to when everything was delivered.
    fn tell(&mut self) -> Result<(), CaptureFailure> {
        if Instant::now() < self.next_telling || self.behind {
            return Ok(());
        }
        self.next_telling = Instant::now() + TELL_INTERVAL;
        let mut is_owed = self.limits.stdin;
        let is_rotating = self.sink.pipeline().is_rotating();
        for index in self.points.indices() {
            let counters = self.counters(index)?;
            let Some(point) = self.points.get_mut(index) else { continue };
            let statistics = point.statistics(&counters);
            if is_owed || statistics.lost != point.told_lost {
                self.sink.statistics(point, &statistics)?;
                is_owed = false;
            } else if is_rotating {
                self.sink.remember(point, &statistics);
            }
        }
        if let Some(drops) = &mut self.drops {
            drops.tell(&mut self.sink, false)?;
        }
        Ok(())
    }

    fn counters(&self, index: IfIndex) -> Result<Counters, CaptureFailure> {
        let name = || self.points.get(index).map_or_else(String::new, |point| point.link.name.clone());
        self.table.counters(index).map_err(|source| CaptureFailure::Counters { name: name(), source })
    }

    fn say(&mut self, what: &str) {
        if self.verbosity > Verbosity::Quiet {
            self.progress.clear();
            say!("kflow: {what}");
        }
    }
}

/// Loads the programs. That drops cannot be seen is told, also where nothing but errors is wanted, and stops nothing.
fn load(plan: &Plan, interfaces: usize) -> Result<(Loaded, Option<Drops>), CaptureFailure> {
    probe::lift_memory_limit();
    probe::ring_buffer()?;
    let snap = plan.shape.keep.snap();
    let filter = plan.expression.as_ref().map(Expression::translate).transpose()?;
    let mut settings = Settings {
        snap,
        ring: RingSize::at_least(plan.ring_kib, snap),
        interfaces,
        vxlan_port: plan.vxlan_port,
        // Who leads it may narrow it down later.
        by_address: !plan.addresses.is_everything() || plan.lead.is_some(),
        filter,
        samples: plan.verbosity > Verbosity::Quiet,
        wake_each: plan.packet_buffered,
        debug: plan.debug,
        drops: Vec::new(),
    };
    let looked = plan.drops.map(kernel::drops::Drops::look).transpose();
    let looked = looked.unwrap_or_else(|error| {
        say!("kflow: packets that the kernel drops are not seen: {}", chain(&error));
        None
    });
    if let Some(looked) = &looked {
        settings.observe(looked);
    }
    let mut loaded = object::load(&settings)?;
    loaded.filter.set(plan.addresses.clone()).map_err(CaptureFailure::Filter)?;
    let drops = looked.and_then(|looked| watch(&mut loaded, looked, plan));
    Ok((loaded, drops))
}

fn watch(loaded: &mut Loaded, looked: kernel::drops::Drops, plan: &Plan) -> Option<Drops> {
    let guard = loaded.programs.watch_drops().map_err(|error| {
        say!("kflow: packets that the kernel drops are not seen: {}", chain(&error));
    });
    let counters = loaded.drops.take()?;
    let own = looked.netns();
    let choice = Choice { expression: plan.expression.clone(), direction: plan.direction };
    Some(Drops::new(guard.ok()?, counters, looked.words(), own, choice))
}
