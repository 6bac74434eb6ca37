//! One capture from its start to its end.

use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use aya_log::EbpfLogger;
use tracer_common::counters::Counters;
use tracer_core::capture::{CaptureError, Statistics};

use super::end::{CaptureFailure, End, Summary};
use super::output::{self, Output};
use super::points::{Point, Points};
use super::selection::Selection;
use super::sink::Sink;
use super::wait::{Ready, TURN, Waiter};
use super::{Limits, Plan};
use crate::error::chain;
use crate::kernel::attach::{AttachError, Attacher};
use crate::kernel::counters::InterfaceTable;
use crate::kernel::filter::Filter;
use crate::kernel::interfaces::{self, Changes, IfIndex, Link, LinkEvent, Watch};
use crate::kernel::object::{self, Loaded, Programs, RingSize, Settings, StderrLog};
use crate::kernel::probe;
use crate::kernel::ring::Ring;

/// Records taken from the ring before anything else gets its turn.
const BATCH: usize = 16_384;
/// Losses are told at the latest after this time, and to a parent process that all is delivered up to now.
const TELL_INTERVAL: Duration = Duration::from_millis(250);
/// Rounds of waiting for programs that were still running while they were detached.
const SETTLE_ROUNDS: usize = 10_000;

/// A capture that is ready.
pub(super) struct Session {
    selection: Selection,
    limits: Limits,
    quiet: bool,
    programs: Programs,
    attacher: Attacher,
    table: InterfaceTable,
    /// Kept: the programs hold its maps, and a later change of the set goes through it.
    _filter: Filter,
    ring: Ring,
    log: Option<EbpfLogger<StderrLog>>,
    watch: Watch,
    waiter: Waiter,
    points: Points,
    sink: Sink,
    deadline: Option<Instant>,
    next_telling: Instant,
    /// The ring had more than one batch.
    behind: bool,
    /// Interfaces that were chosen by a pattern and cannot be observed.
    unobserved: Vec<String>,
}

impl Session {
    /// Attaches to everything chosen and writes the blocks that tell the reader so.
    pub(super) fn start(plan: Plan) -> Result<Self, CaptureFailure> {
        output::check(&plan.destination)?;
        object::is_embedded()?;
        probe::capabilities(plan.netns.is_some())?;
        let mut waiter = Waiter::new()?;
        if plan.limits.stdin {
            waiter.add_stdin()?;
        }
        if let Some(netns) = &plan.netns {
            netns.enter()?;
        }
        let watch = Watch::new().map_err(CaptureFailure::Interfaces)?;
        let links = interfaces::list().map_err(CaptureFailure::Interfaces)?;
        plan.selection.check(&links)?;
        let (attacher, stale) = Attacher::new(plan.attach).map_err(CaptureFailure::Sweep)?;
        if stale > 0 && !plan.quiet {
            eprintln!("kflow: removed {stale} filters that a dead kflow had left behind");
        }
        let loaded = load(&plan)?;
        let output = Output::open(&plan.destination, waiter.signals())?;
        waiter.add_ring(loaded.ring.as_fd())?;
        waiter.add_links(watch.as_fd())?;
        waiter.add_output(output.get_ref().as_fd())?;
        let mut session = Self {
            sink: Sink::new(output, &plan)?,
            selection: plan.selection,
            limits: plan.limits,
            quiet: plan.quiet,
            programs: loaded.programs,
            attacher,
            table: loaded.interfaces,
            _filter: loaded.filter,
            ring: loaded.ring,
            log: loaded.log,
            watch,
            waiter,
            points: Points::default(),
            deadline: None,
            next_telling: Instant::now() + TELL_INTERVAL,
            behind: false,
            unobserved: Vec::new(),
        };
        session.attach_all(&links)?;
        session.deadline = session.limits.duration.map(|duration| Instant::now() + duration);
        Ok(session)
    }

    /// Captures until an end comes.
    pub(super) fn run(mut self) -> Result<Summary, CaptureFailure> {
        let end = loop {
            if let Some(end) = self.turn()? {
                break end;
            }
        };
        self.finish()?;
        let end = if self.sink.is_closed() { End::OutputClosed } else { end };
        let (total, interfaces) = self.points.into_total();
        Ok(Summary { end, total, interfaces, unobserved: self.unobserved })
    }

    /// One round: wait, take records, follow the interfaces, tell of losses, hand over what was written.
    fn turn(&mut self) -> Result<Option<End>, CaptureFailure> {
        let ready = self.waiter.wait(self.timeout())?;
        self.behind = self.drain()?;
        if ready.links {
            self.follow()?;
        }
        self.tell()?;
        self.sink.flush()?;
        if let Some(log) = &mut self.log {
            log.flush();
        }
        Ok(self.end(ready))
    }

    fn timeout(&self) -> Duration {
        if self.behind {
            return Duration::ZERO;
        }
        self.deadline.map_or(TURN, |deadline| TURN.min(deadline.saturating_duration_since(Instant::now())))
    }

    fn end(&self, ready: Ready) -> Option<End> {
        if self.sink.is_closed() || ready.output_closed {
            Some(End::OutputClosed)
        } else if ready.signal {
            Some(End::Signal)
        } else if ready.stdin_ended {
            Some(End::Stdin)
        } else if self.sink.is_full() {
            Some(End::Packets)
        } else if self.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            Some(End::Duration)
        } else {
            None
        }
    }

    /// Writes a batch of records. Returns whether there may be more.
    fn drain(&mut self) -> Result<bool, CaptureError> {
        let Self { ring, points, sink, .. } = self;
        let count = ring.drain(BATCH, |header, data| match points.get_mut(IfIndex(header.ifindex)) {
            Some(point) => sink.record(header, data, point),
            None => Ok(()),
        })?;
        Ok(count == BATCH)
    }

    fn attach_all(&mut self, links: &[Link]) -> Result<(), CaptureFailure> {
        for link in links {
            if self.selection.contains(link) {
                self.attach(link)?;
            }
        }
        for point in self.points.iter_mut() {
            self.sink.describe(point)?;
        }
        // Counters of zero: the reader knows by them that programs are in place on all interfaces described.
        for point in self.points.iter_mut() {
            self.sink.statistics(point, &Statistics::default())?;
        }
        self.sink.flush()?;
        self.say(|| format!("capturing on {}", self.points));
        Ok(())
    }

    /// Returns whether programs are on the interface now. One that a pattern chose may fail: the summary names it.
    fn attach(&mut self, link: &Link) -> Result<bool, CaptureFailure> {
        let counters_failed = |source| CaptureFailure::Counters { name: link.name.clone(), source };
        self.table.insert(link.index, link.link_type).map_err(counters_failed)?;
        let failure = match self.attacher.attach(&mut self.programs, link) {
            Ok(attachment) => {
                if attachment.behind_another {
                    self.say(|| format!(
                        "on {} a program of another owner runs first: packets that it keeps or redirects are not seen",
                        link.name
                    ));
                }
                self.points.insert(Point::new(link.clone(), attachment));
                return Ok(true);
            }
            Err(failure) => failure,
        };
        self.table.remove(link.index).map_err(counters_failed)?;
        match failure {
            AttachError::Vanished { .. } => Ok(false),
            AttachError::Tcx { .. } | AttachError::Clsact { .. } if !self.selection.names(link) => {
                self.say(|| chain(&failure));
                self.unobserved.push(link.name.clone());
                Ok(false)
            }
            failure => Err(failure.into()),
        }
    }

    fn follow(&mut self) -> Result<(), CaptureFailure> {
        match self.watch.changes().map_err(CaptureFailure::Interfaces)? {
            Changes::Events(events) => {
                for event in events {
                    match event {
                        LinkEvent::Present(link) => self.present(link)?,
                        LinkEvent::Gone(index) => self.retire(index)?,
                    }
                }
            }
            Changes::Overrun => {
                let links = interfaces::list().map_err(CaptureFailure::Interfaces)?;
                for index in self.points.indices() {
                    if !links.iter().any(|link| link.index == index) {
                        self.retire(index)?;
                    }
                }
                for link in links {
                    self.present(link)?;
                }
            }
        }
        Ok(())
    }

    /// An interface is new, or has another name, or something changed that does not matter here.
    fn present(&mut self, link: Link) -> Result<(), CaptureFailure> {
        let chosen = self.selection.contains(&link);
        match self.points.get_mut(link.index) {
            Some(point) if point.link.name == link.name => Ok(()),
            Some(_) if chosen => self.rename(link),
            Some(_) => self.retire(link.index),
            None if chosen => self.appear(&link),
            None => Ok(()),
        }
    }

    fn appear(&mut self, link: &Link) -> Result<(), CaptureFailure> {
        if self.attach(link)?
            && let Some(point) = self.points.get_mut(link.index)
        {
            self.sink.describe(point)?;
            self.sink.statistics(point, &Statistics::default())?;
            self.say(|| format!("also capturing on {}", link.name));
        }
        Ok(())
    }

    /// The file has no way to rename an interface: what comes from now on is of another one.
    fn rename(&mut self, link: Link) -> Result<(), CaptureFailure> {
        while self.drain()? {}
        let counters = self.counters(link.index)?;
        self.tell_final(link.index, &counters)?;
        if let Some(point) = self.points.get_mut(link.index) {
            let from = point.restart(link, counters);
            self.sink.describe(point)?;
            self.sink.statistics(point, &Statistics::default())?;
            let to = point.link.name.clone();
            self.points.note_name(&to);
            self.say(|| format!("{} is now {to}", from.name));
        }
        Ok(())
    }

    /// Ends the observation of an interface, be it there or not.
    fn retire(&mut self, index: IfIndex) -> Result<(), CaptureFailure> {
        let Some(point) = self.points.get_mut(index) else { return Ok(()) };
        let name = point.link.name.clone();
        point.attachment = None;
        self.settle(&[index])?;
        let counters = self.counters(index)?;
        self.tell_final(index, &counters)?;
        self.points.remove(index);
        self.table.remove(index).map_err(|source| CaptureFailure::Counters { name: name.clone(), source })?;
        self.say(|| format!("no longer capturing on {name}"));
        Ok(())
    }

    /// Detaches everything and writes what is left.
    fn finish(&mut self) -> Result<(), CaptureFailure> {
        for point in self.points.iter_mut() {
            point.attachment = None;
        }
        let indices = self.points.indices();
        self.settle(&indices)?;
        for index in indices {
            let counters = self.counters(index)?;
            self.tell_final(index, &counters)?;
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
        self.points.finish(&statistics);
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
        for index in self.points.indices() {
            let counters = self.counters(index)?;
            let Some(point) = self.points.get_mut(index) else { continue };
            let statistics = point.statistics(&counters);
            if is_owed || statistics.lost != point.told_lost {
                self.sink.statistics(point, &statistics)?;
                is_owed = false;
            }
        }
        Ok(())
    }

    fn counters(&self, index: IfIndex) -> Result<Counters, CaptureFailure> {
        let name = || self.points.get(index).map_or_else(String::new, |point| point.link.name.clone());
        self.table.counters(index).map_err(|source| CaptureFailure::Counters { name: name(), source })
    }

    fn say(&self, what: impl FnOnce() -> String) {
        if !self.quiet {
            eprintln!("kflow: {}", what());
        }
    }
}

fn load(plan: &Plan) -> Result<Loaded, CaptureFailure> {
    probe::lift_memory_limit();
    probe::ring_buffer()?;
    let settings = Settings {
        snap: plan.snap,
        ring: RingSize::at_least(plan.ring_kib, plan.snap),
        vxlan_port: plan.vxlan_port,
        debug: plan.debug,
    };
    let mut loaded = object::load(&settings)?;
    loaded.filter.set(plan.addresses.clone()).map_err(CaptureFailure::Filter)?;
    Ok(loaded)
}
