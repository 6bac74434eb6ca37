//! A capture that is read from a file instead of the interfaces.

use std::fmt;
use std::fs::File;
use std::io;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use thiserror::Error;
use tracer_core::capture::{
    CaptureError, CaptureReader, Expected, Frame, Interface, InterfaceId, Item, LinkLayer, RawPacket,
};
use tracer_core::packet::segment::{IpPlaces, ip_places};
use tracer_core::units::{Direction, Timestamp};

use super::pipeline::{Beginning, Pipeline};
use super::{Limits, Product, Shape};
use crate::error::{Exit, ExitStatus, chain};
use crate::interrupt::{Interrupt, Interruptible};
use crate::libpcap::{ExpressionError, Libpcap, LibpcapError, OfflineFilter};
use crate::sink::{FileId, PrivilegeError, SinkError, Written, drop_privileges};

/// Packets that begin with an IP header (tcpdump.org/linktypes.html).
const LINKTYPE_RAW: u32 = 101;

/// What to read, and what becomes of it.
#[derive(Clone, Debug)]
pub struct OfflinePlan {
    /// The file; `-` is standard input.
    pub path: PathBuf,
    /// Which packets, by a filter expression.
    pub expression: Option<String>,
    /// Whether the expression is for the innermost packets of tunnels.
    pub innermost: bool,
    /// Which packets, by the direction that the file tells of them.
    pub direction: Option<Direction>,
    /// What is done to them.
    pub shape: Shape,
    /// What becomes of them.
    pub product: Product,
    /// After how many packets or bytes to end.
    pub limits: Limits,
    /// The user to become before the first file is written.
    pub user: Option<String>,
}

/// What was read.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct OfflineSummary {
    /// Packets read.
    pub read: u64,
    /// Packets that matched.
    pub matched: u64,
    /// Why not all was read.
    pub cut: Option<String>,
    /// Why not all was written, and what to exit with.
    pub failure: Option<(String, Exit)>,
    /// Whether the reader of the output went away.
    pub is_closed: bool,
}

/// Why a file is not read.
#[derive(Debug, Error)]
pub enum OfflineError {
    /// The file cannot be opened.
    #[error("cannot open {name}")]
    Open {
        /// The file.
        name: String,
        /// Why.
        source: io::Error,
    },
    /// It is no capture, or damaged from its very beginning.
    #[error("cannot read {name}")]
    Unreadable {
        /// The file.
        name: String,
        /// Why.
        source: CaptureError,
    },
    /// Signals cannot be taken.
    #[error("cannot take signals")]
    Signals(#[source] io::Error),
    /// No libpcap, which compiles expressions.
    #[error(transparent)]
    Libpcap(#[from] LibpcapError),
    /// libpcap does not take the expression.
    #[error(transparent)]
    Expression(#[from] ExpressionError),
    /// Another user cannot be become.
    #[error(transparent)]
    Privileges(#[from] PrivilegeError),
    /// What was read cannot be written.
    #[error(transparent)]
    Sink(#[from] SinkError),
}

impl ExitStatus for OfflineError {
    fn exit(&self) -> Exit {
        match self {
            Self::Libpcap(_) => Exit::Environment,
            Self::Expression(_) => Exit::Usage,
            Self::Sink(error) => error.exit(),
            _ => Exit::Failed,
        }
    }
}

impl OfflineSummary {
    /// The exit code: what is cut, and no packet at all, are not complete.
    pub fn exit(&self) -> Exit {
        if self.is_closed {
            Exit::Complete
        } else if let Some((_, exit)) = self.failure {
            exit
        } else if self.cut.is_some() || self.matched == 0 {
            Exit::Incomplete
        } else {
            Exit::Complete
        }
    }
}

impl fmt::Display for OfflineSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for trouble in self.cut.iter().chain(self.failure.as_ref().map(|(reason, _)| reason)) {
            writeln!(f, "kflow: {trouble}")?;
        }
        let plural = if self.read == 1 { "" } else { "s" };
        write!(f, "{} packet{plural} read, {} matched", self.read, self.matched)
    }
}

/// Reads the file to its end, or until a signal or a limit ends it.
pub fn run(plan: &OfflinePlan) -> Result<OfflineSummary, OfflineError> {
    // Before signals are taken over: opening a FIFO waits for who writes to it.
    let file = open(&plan.path)?;
    let interrupt = Interrupt::new().map_err(OfflineError::Signals)?;
    let source = FileId::of(&file).map_err(|source| OfflineError::Open { name: name(&plan.path), source })?;
    let pipe = source.is_none().then(|| file.try_clone().ok()).flatten();
    let unreadable = |source| OfflineError::Unreadable { name: name(&plan.path), source };
    let reader = CaptureReader::new(Interruptible::new(file, &interrupt)).map_err(unreadable)?;
    if let Some(user) = &plan.user {
        drop_privileges(user)?;
    }
    let libpcap = plan.expression.as_ref().map(|_| Libpcap::load()).transpose()?;
    let filter = plan.expression.as_ref().zip(libpcap.as_ref());
    let reading = Reading {
        plan,
        interrupt: &interrupt,
        filter: filter.map(|(expression, libpcap)| OfflineFilter::new(libpcap, expression)),
        output: None,
        source,
        pipe,
        section: None,
        described: Vec::new(),
        summary: OfflineSummary::default(),
    };
    reading.run(reader.with_raw().expecting(Expected::File))
}

fn open(path: &Path) -> Result<File, OfflineError> {
    let opened = if path.as_os_str() == "-" {
        io::stdin().as_fd().try_clone_to_owned().map(File::from)
    } else {
        File::open(path)
    };
    opened.map_err(|source| OfflineError::Open { name: name(path), source })
}

fn name(path: &Path) -> String {
    if path.as_os_str() == "-" { "standard input".to_owned() } else { path.display().to_string() }
}

/// A file being read.
struct Reading<'a> {
    plan: &'a OfflinePlan,
    interrupt: &'a Rc<Interrupt>,
    filter: Option<OfflineFilter<'a>>,
    /// Opened with the first packet, whose time is the beginning.
    output: Option<Pipeline>,
    /// What is read, where it is a file.
    source: Option<FileId>,
    /// What is read, where it is a pipe, whose packets may be waited for.
    pipe: Option<File>,
    section: Option<tracer_core::capture::Section>,
    /// Interfaces of this section: what they are, and their number in the output.
    described: Vec<(Interface, Option<InterfaceId>)>,
    summary: OfflineSummary,
}

impl Reading<'_> {
    fn run(mut self, mut reader: CaptureReader<Interruptible>) -> Result<OfflineSummary, OfflineError> {
        loop {
            if !self.hand_over() {
                break;
            }
            match reader.advance() {
                Ok(true) => {}
                Ok(false) => break,
                Err(_) if self.interrupt.is_raised() => break,
                Err(error) => {
                    self.summary.cut = Some(format!("{}: {}", name(&self.plan.path), chain(&error)));
                    break;
                }
            }
            if !self.item(&reader)? {
                break;
            }
        }
        self.finish()
    }

    /// What was written does not wait for the packets that come next, where those have to be waited for. Returns whether
    /// to go on.
    fn hand_over(&mut self) -> bool {
        let (Some(pipe), Some(output)) = (&self.pipe, &mut self.output) else { return true };
        let mut input = [PollFd::new(pipe.as_fd(), PollFlags::POLLIN)];
        if poll(&mut input, PollTimeout::ZERO) != Ok(0) {
            return true;
        }
        let flushed = output.flush().map(|()| true);
        self.unless_failed(flushed)
    }

    /// Returns whether to go on.
    fn item(&mut self, reader: &CaptureReader<Interruptible>) -> Result<bool, OfflineError> {
        match reader.item() {
            Item::Section(section) => {
                self.described.clear();
                // What is written has one section: the first one's.
                self.section.get_or_insert(section);
            }
            Item::Interface(_, interface) => self.described.push((interface, None)),
            Item::Statistics(id, time, statistics) => {
                let written = self.described.get(id.0 as usize).and_then(|(_, written)| *written);
                if let (Some(output), Some(id)) = (&mut self.output, written) {
                    output.remember(id, time, &statistics);
                }
            }
            Item::Frame(frame) => return self.packet(&frame, reader.raw()),
            Item::Other(_) => {}
        }
        Ok(true)
    }

    fn packet(&mut self, frame: &Frame<'_>, raw: Option<RawPacket<'_>>) -> Result<bool, OfflineError> {
        self.summary.read += 1;
        if !self.matches(frame, raw.as_ref())? {
            return Ok(!self.is_interrupted());
        }
        self.summary.matched += 1;
        let raw = raw.filter(|_| self.plan.shape.true_link_types);
        let mut output = self.opened(frame.time)?;
        let written = self.write(&mut output, frame, raw);
        self.output = Some(output);
        let is_enough = self.plan.limits.packets.is_some_and(|most| self.summary.matched >= most);
        Ok(self.unless_failed(written) && !is_enough && !self.is_interrupted())
    }

    /// Looks for a signal now and then: to ask the kernel takes as long as a packet does.
    fn is_interrupted(&self) -> bool {
        const EACH: u64 = 64;
        self.summary.read.is_multiple_of(EACH) && self.interrupt.is_raised()
    }

    fn matches(&mut self, frame: &Frame<'_>, raw: Option<&RawPacket<'_>>) -> Result<bool, OfflineError> {
        if self.plan.direction.is_some() && frame.direction != self.plan.direction {
            return Ok(false);
        }
        match (&mut self.filter, raw) {
            (Some(filter), Some(_)) if self.plan.innermost => {
                let link =
                    self.described.get(frame.interface.0 as usize).map(|(interface, _)| interface.link);
                let places = link.and_then(|link| ip_places(link, &frame.data));
                let Some(IpPlaces { innermost, .. }) = places else { return Ok(false) };
                let before = u32::try_from(innermost).unwrap_or(u32::MAX);
                let inner = RawPacket {
                    link_type: LINKTYPE_RAW,
                    original_len: frame.original_len.saturating_sub(before),
                    data: &frame.data[innermost..],
                };
                Ok(filter.matches(&inner, frame.direction)?)
            }
            (Some(filter), Some(raw)) => match filter.matches(raw, frame.direction) {
                Err(error) if error.matches_nothing() => Ok(false),
                matches => Ok(matches?),
            },
            _ => Ok(true),
        }
    }

    /// Returns whether there is room for more.
    fn write(
        &mut self,
        output: &mut Pipeline,
        frame: &Frame<'_>,
        raw: Option<RawPacket<'_>>,
    ) -> Result<bool, SinkError> {
        let described = self.described.get_mut(frame.interface.0 as usize);
        let Some((interface, written)) = described else { return Ok(true) };
        let id = if let Some(id) = *written {
            id
        } else {
            let link = raw.map_or(interface.link, |raw| true_link(raw.link_type));
            let id = output.interface(&Interface { link, ..interface.clone() })?;
            *written.insert(id)
        };
        let frame = match raw {
            Some(raw) => Frame {
                interface: id,
                data: raw.data.into(),
                original_len: raw.original_len,
                comment: frame.comment.clone(),
                ..*frame
            },
            None => Frame { interface: id, ..frame.clone() },
        };
        output.frame(&frame)
    }

    /// The output, taken out.
    fn opened(&mut self, time: Timestamp) -> Result<Pipeline, SinkError> {
        if let Some(output) = self.output.take() {
            return Ok(output);
        }
        let beginning = Beginning {
            section: self.section.clone().unwrap_or_default(),
            time,
            label: self.described.len() > 1,
            limit: self.plan.limits.bytes,
            source: self.source,
        };
        Pipeline::open(self.plan.product.clone(), self.plan.shape, beginning, Some(self.interrupt.signals()))
    }

    fn finish(mut self) -> Result<OfflineSummary, OfflineError> {
        // A capture without packets is a capture.
        if self.output.is_none() && self.summary.failure.is_none() && !self.summary.is_closed {
            let opened = self.opened(Timestamp::default())?;
            self.output = Some(opened);
        }
        let Some(output) = self.output.take() else { return Ok(self.summary) };
        let finished = output.finish().map(|_: Written| true);
        self.unless_failed(finished);
        Ok(self.summary)
    }

    /// An output that takes no more ends the run in order. Returns whether to go on; the first failure counts.
    fn unless_failed(&mut self, result: Result<bool, SinkError>) -> bool {
        match result {
            Ok(is_written) => return is_written,
            Err(error) if error.is_closed() => self.summary.is_closed = true,
            Err(error) => {
                self.summary.failure.get_or_insert_with(|| (chain(&error), error.exit_midway()));
            }
        }
        false
    }
}

/// What packets begin with, by the number in the file.
fn true_link(link_type: u32) -> LinkLayer {
    const ETHERNET: u32 = 1;
    if link_type == ETHERNET { LinkLayer::Ethernet } else { LinkLayer::Other(link_type) }
}
