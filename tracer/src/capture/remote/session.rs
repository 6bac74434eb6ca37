//! A capture on a cluster from its first stream to its last.

use std::collections::BTreeMap;
use std::io::{self, BufRead as _, BufReader};
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signalfd::SignalFd;

use super::agents::{Agents, Running};
use super::merge::{Merge, StreamId, Turn};
use super::node::{Capture, Ending, State};
use super::output::Output;
use super::place::{Kind, Place, Places};
use super::reader;
use super::summary::{NodeSummary, RemoteSummary};
use super::wake::Wake;
use crate::capture::progress::{Numbers, Progress};
use crate::capture::{End, Failure, Limits, Verbosity};
use crate::cluster::fleet::Order;
use crate::cluster::remote::RemoteEnd;

/// Batches between the reader of a stream and who merges.
pub(super) const DEPTH: usize = 4;
/// Signals, limits and news of the cluster are looked for this often.
const ROUND: Duration = Duration::from_millis(50);
/// Streams are looked at this often at most: what each of them brings is handed on together with what the others do.
const PACE: Duration = Duration::from_millis(10);
/// Captures that were asked to end have this long to drain their buffers and tell their counters.
const DRAIN: Duration = Duration::from_secs(10);
/// Captures that were dropped have this long to say so.
const DROP: Duration = Duration::from_secs(1);
/// A capture that broke off is begun anew this often on a node.
const RESTARTS: u32 = 3;

/// The order for a capture of a place, and the first line for it.
pub(super) type OrderOf<'a> = &'a dyn Fn(&str, &Place, Kind) -> (Order, Option<String>);

/// What a session begins with.
pub(super) struct Beginning<'a> {
    pub(super) output: Output,
    pub(super) agents: &'a mut dyn Agents,
    pub(super) order: OrderOf<'a>,
    pub(super) places: Places,
    /// Other places and names, since they were last asked for.
    pub(super) news: &'a mut dyn FnMut() -> Option<News>,
    pub(super) signals: Rc<SignalFd>,
    pub(super) limits: Limits,
    pub(super) are_interfaces_named: bool,
    pub(super) verbosity: Verbosity,
    pub(super) is_progress_wanted: bool,
}

/// What has changed in the cluster.
pub(super) struct News {
    pub(super) places: Places,
    pub(super) names: BTreeMap<IpAddr, Vec<String>>,
}

/// What threads tell.
enum Word {
    /// A line of a capture's standard error.
    Said(StreamId, String),
    /// It ended.
    Ended(StreamId, RemoteEnd),
}

/// A capture at work.
pub(super) struct Session<'a> {
    output: Output,
    agents: &'a mut dyn Agents,
    order: OrderOf<'a>,
    news: &'a mut dyn FnMut() -> Option<News>,
    signals: Rc<SignalFd>,
    limits: Limits,
    are_interfaces_named: bool,
    verbosity: Verbosity,
    merge: Merge,
    captures: Vec<Capture>,
    restarts: BTreeMap<String, u32>,
    wake: Arc<Wake>,
    words: Receiver<Word>,
    sender: Sender<Word>,
    progress: Progress,
    /// Whether all captures have begun, or will not.
    is_ready: bool,
    deadline: Option<Instant>,
}

impl<'a> Session<'a> {
    /// Starts a capture on every node.
    pub(super) fn start(beginning: Beginning<'a>) -> io::Result<Self> {
        let (sender, words) = mpsc::channel();
        let limits = beginning.limits;
        let mut session = Self {
            output: beginning.output,
            agents: beginning.agents,
            order: beginning.order,
            news: beginning.news,
            signals: beginning.signals,
            limits,
            are_interfaces_named: beginning.are_interfaces_named,
            verbosity: beginning.verbosity,
            merge: Merge::default(),
            captures: Vec::new(),
            restarts: BTreeMap::new(),
            wake: Arc::new(Wake::new()?),
            words,
            sender,
            progress: Progress::on_stderr(beginning.is_progress_wanted, limits, Instant::now()),
            is_ready: false,
            deadline: None,
        };
        for (node, place) in &beginning.places {
            session.launch(node, place);
        }
        Ok(session)
    }

    /// Captures until an end comes.
    pub(super) fn run(mut self) -> io::Result<RemoteSummary> {
        let end = loop {
            let is_closed = self.round()?;
            self.follow();
            if let Some(end) = self.end(is_closed) {
                break end;
            }
        };
        self.progress.clear();
        self.drain()?;
        Ok(self.summary(end))
    }

    /// One round: hand on what is due, hear what was said, sleep if there is nothing to do. Returns whether the reader of
    /// the output is gone.
    fn round(&mut self) -> io::Result<bool> {
        // Before the look for more, so that whatever comes behind it wakes.
        self.wake.fall_asleep();
        let begin = Instant::now();
        let turn = self.merge.turn(begin, &mut self.output);
        self.hear();
        self.output.flush();
        self.show_progress();
        let timeout = match turn {
            Turn::More => Duration::ZERO,
            Turn::Wait(Some(due)) => ROUND.min(due.saturating_duration_since(Instant::now())),
            Turn::Wait(None) | Turn::Over => ROUND,
        };
        let came = self.wake.sleep(timeout, Some(&self.signals), self.output.reader())?;
        if turn != Turn::More {
            thread::sleep(PACE.saturating_sub(begin.elapsed()));
        }
        Ok(came.is_closed)
    }

    fn show_progress(&mut self) {
        if self.progress.is_shown() {
            let (packets, bytes) = (self.output.packets(), self.output.bytes());
            let numbers = Numbers { packets, bytes, lost: self.output.lost() };
            self.progress.update(Instant::now(), &numbers);
        }
    }

    fn launch(&mut self, node: &str, place: &Place) {
        let kind = place.kind(self.are_interfaces_named);
        let (order, line) = (self.order)(node, place, kind);
        let Running { stdout, stderr, control, end } = self.agents.capture(order);
        if let Some(line) = line {
            control.tell(line);
        }
        let (batches, receiver) = sync_channel(DEPTH);
        let id = self.merge.add(receiver, Instant::now());
        self.output.add(node, (kind == Kind::Links).then(|| place.clone()));
        self.captures.push(Capture::new(node, place.clone(), kind, control));
        let (wake, words) = (Arc::clone(&self.wake), self.sender.clone());
        let listener = thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                // Nobody listens any more when the session is over.
                let _ = words.send(Word::Said(id, line));
                wake.wake();
            }
        });
        let (wake, words) = (Arc::clone(&self.wake), self.sender.clone());
        thread::spawn(move || {
            reader::read(stdout, &batches, &wake);
            // It tells of its end what it said last.
            let _ = listener.join();
            let _ = words.send(Word::Ended(id, end()));
            wake.wake();
        });
    }

    /// Hears what captures said, and which ended.
    fn hear(&mut self) {
        for (StreamId(number), unreadable) in self.output.take_ended() {
            self.captures[number].read(unreadable);
        }
        while let Ok(word) = self.words.try_recv() {
            match word {
                Word::Said(StreamId(number), line) => {
                    let text = self.captures[number].hear(line);
                    self.say(&text);
                }
                Word::Ended(StreamId(number), end) => self.captures[number].end = Some(end),
            }
        }
        for number in 0..self.captures.len() {
            let has_begun = self.output.streams()[number].has_begun;
            let capture = &mut self.captures[number];
            if has_begun && capture.state == State::Starting {
                capture.state = State::Running;
                let text = format!("capturing on {} ({})", capture.node, capture.place);
                self.say(&text);
            } else if let Some(ending) = capture.settle(has_begun) {
                self.settle(number, ending);
            }
        }
        if !self.is_ready && self.captures.iter().all(|capture| capture.state != State::Starting) {
            self.is_ready = true;
            self.deadline = self.limits.duration.map(|duration| Instant::now() + duration);
        }
    }

    /// What becomes of a node whose capture has ended.
    fn settle(&mut self, number: usize, ending: Ending) {
        let capture = &mut self.captures[number];
        let (node, place) = (capture.node.clone(), capture.place.clone());
        let Ending { fault: Some(fault), is_final } = ending else { return };
        let restarts = self.restarts.entry(node.clone()).or_default();
        if is_final || *restarts >= RESTARTS {
            self.say(&format!("{node}: {fault}"));
            return;
        }
        *restarts += 1;
        self.captures[number].is_superseded = true;
        self.say(&format!("{node}: {fault}; starting again"));
        self.launch(&node, &place);
    }

    /// Takes pods in that came, and lets those go that went.
    fn follow(&mut self) {
        let Some(News { mut places, names }) = (self.news)() else { return };
        self.output.names(&names);
        for number in 0..self.captures.len() {
            let capture = &mut self.captures[number];
            if capture.is_superseded || capture.is_stopping {
                continue;
            }
            // A capture without pods goes on: the next one may come in a moment.
            let place = places.remove(&capture.node).unwrap_or_default();
            let kind = capture.kind;
            if place == capture.place {
                continue;
            }
            let is_empty = place == Place::default();
            if kind != Kind::Whole && (is_empty || place.kind(self.are_interfaces_named) == kind) {
                let what = if is_empty { "nothing for the moment".to_owned() } else { place.to_string() };
                let text = format!("on {} now {what}", capture.node);
                capture.change(place.clone());
                if kind == Kind::Links {
                    self.output.set_links(StreamId(number), place);
                }
                self.say(&text);
                continue;
            }
            capture.is_superseded = true;
            capture.stop();
            let node = capture.node.clone();
            if is_empty {
                self.say(&format!("nothing left to capture on {node}"));
            } else {
                self.launch(&node, &place);
            }
        }
        for (node, place) in &places {
            self.launch(node, place);
        }
    }

    fn end(&mut self, is_closed: bool) -> Option<End> {
        if let Some(error) = self.output.failed() {
            Some(if error.is_closed() { End::OutputClosed } else { End::OutputFailed })
        } else if is_closed {
            Some(End::OutputClosed)
        } else if self.is_signalled() {
            Some(End::Signal)
        } else if self.output.has_enough_packets() {
            Some(End::Packets)
        } else if self.output.is_full() {
            Some(End::Size)
        } else if self.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            Some(End::Duration)
        } else if self.is_over() {
            Some(End::Streams)
        } else {
            None
        }
    }

    /// Whether a signal came since it was last asked.
    fn is_signalled(&self) -> bool {
        matches!(self.signals.read_signal(), Ok(Some(_)))
    }

    /// Whether every capture has ended, and not because there is nothing left to capture for the moment.
    fn is_over(&self) -> bool {
        let mut all = self.captures.iter().filter(|capture| !capture.is_superseded).peekable();
        all.peek().is_some() && all.all(|capture| capture.state == State::Ended)
    }

    /// Asks every capture to end and takes what they still have; a further signal makes an end of it.
    fn drain(&mut self) -> io::Result<()> {
        let mut deadline = Instant::now() + DRAIN;
        let mut is_dropped = false;
        for capture in &mut self.captures {
            capture.stop();
        }
        while self.captures.iter().any(|capture| capture.state != State::Ended) {
            self.round()?;
            let is_late = Instant::now() >= deadline;
            if is_dropped && is_late {
                break;
            }
            if !is_dropped && (is_late || self.is_signalled()) {
                for capture in self.captures.iter_mut().filter(|capture| capture.state != State::Ended) {
                    capture.kill();
                }
                is_dropped = true;
                deadline = Instant::now() + DROP;
            }
        }
        // What waits for streams that are gone.
        while self.merge.turn(Instant::now() + DRAIN, &mut self.output) == Turn::More {}
        self.output.flush();
        Ok(())
    }

    fn summary(self, end: End) -> RemoteSummary {
        let late = self.merge.late();
        let (streams, in_output, failure) = self.output.finish();
        let end = match &failure {
            Some(error) if error.is_closed() => End::OutputClosed,
            Some(_) => End::OutputFailed,
            None => end,
        };
        let mut nodes: BTreeMap<String, NodeSummary> = BTreeMap::new();
        for (stream, capture) in streams.iter().zip(&self.captures) {
            nodes.entry(stream.node.clone()).or_default().add(stream, capture);
        }
        RemoteSummary {
            end,
            nodes,
            late,
            failure: failure.filter(|error| !error.is_closed()).map(|error| Failure::new(&error, in_output)),
            is_verbose: self.verbosity == Verbosity::Verbose,
        }
    }

    fn say(&mut self, what: &str) {
        if self.verbosity > Verbosity::Quiet {
            self.progress.clear();
            say!("kflow: {what}");
        }
    }
}

#[cfg(test)]
mod tests;
