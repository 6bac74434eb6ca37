//! From packets as they were seen to what was asked for: lines or files, of segments, headers or whole packets.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::os::fd::BorrowedFd;
use std::rc::Rc;

use nix::sys::signalfd::SignalFd;
use tracer_core::capture::{Frame, Interface, InterfaceId, LinkLayer, Section, Statistics};
use tracer_core::output::line::LineOptions;
use tracer_core::output::printable;
use tracer_core::packet::segment::{Segmenter, header_len};
use tracer_core::units::Timestamp;

use super::lines::Lines;
use super::{Keep, Product, Shape};
use crate::sink::{FileId, Recorder, Setup, SinkError, Written};

/// What is told of interfaces besides their packets: of some thousands it is looked at for each packet, so it lies close.
#[derive(Default)]
struct Described {
    links: Vec<LinkLayer>,
    /// One behind the other,
    labels: String,
    /// and where each ends.
    ends: Vec<usize>,
}

impl Described {
    fn len(&self) -> usize {
        self.links.len()
    }

    fn add(&mut self, link: LinkLayer, label: &str) {
        self.links.push(link);
        self.labels.push_str(label);
        self.ends.push(self.labels.len());
    }

    fn link(&self, id: InterfaceId) -> LinkLayer {
        self.links.get(id.0 as usize).copied().unwrap_or(LinkLayer::Ethernet)
    }

    fn label(&self, id: InterfaceId) -> &str {
        let number = id.0 as usize;
        let begin = number.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or(0);
        let end = self.ends.get(number).copied().unwrap_or(begin);
        self.labels.get(begin..end).unwrap_or_default()
    }
}

enum Output {
    Lines(Box<Lines>),
    Files(Box<Recorder>),
}

/// Takes packets and does with them what was asked for.
pub(super) struct Pipeline {
    output: Output,
    interfaces: Described,
    segmenter: Option<Segmenter>,
    keep: Keep,
    /// Something was written since it was last flushed.
    is_dirty: bool,
}

/// What a pipeline begins with.
pub(super) struct Beginning {
    pub(super) section: Section,
    /// Of the first packet, or now.
    pub(super) time: Timestamp,
    /// Whether lines tell their interface.
    pub(super) label: bool,
    /// Bytes over all files.
    pub(super) limit: Option<u64>,
    /// The file that is read, which must not be written over.
    pub(super) source: Option<FileId>,
}

impl Pipeline {
    pub(super) fn open(
        product: Product,
        shape: Shape,
        beginning: Beginning,
        signals: Option<Rc<SignalFd>>,
    ) -> Result<Self, SinkError> {
        let Beginning { section, time, label, limit, source } = beginning;
        let output = match product {
            Product::Lines(options) => {
                let options = LineOptions { label, ..options };
                Output::Lines(Box::new(Lines::new(options, signals)?))
            }
            Product::Capture(target, format) => {
                let snap = shape.keep.snap();
                let setup = Setup { target, format, section, snap, begin: time, limit, source };
                Output::Files(Box::new(Recorder::open(setup, signals)?))
            }
        };
        Ok(Self {
            output,
            interfaces: Described::default(),
            segmenter: shape.segment.then(Segmenter::default),
            keep: shape.keep,
            is_dirty: true,
        })
    }

    pub(super) fn interface(&mut self, interface: &Interface) -> Result<InterfaceId, SinkError> {
        self.interface_of(interface, None)
    }

    /// Describes an interface, and the pod at its other end.
    pub(super) fn interface_of(
        &mut self,
        interface: &Interface,
        peer: Option<&str>,
    ) -> Result<InterfaceId, SinkError> {
        self.is_dirty = true;
        let id = match &mut self.output {
            Output::Lines(_) => InterfaceId(u32::try_from(self.interfaces.len()).unwrap_or(u32::MAX)),
            Output::Files(recorder) => recorder.interface_of(interface, peer)?,
        };
        let peer = peer.map_or_else(String::new, |peer| format!("({peer})"));
        let label = printable(&(label(interface) + &peer));
        self.interfaces.add(interface.link, &label);
        Ok(id)
    }

    /// Names of addresses, which lines have no place for.
    pub(super) fn names(&mut self, names: &BTreeMap<IpAddr, Vec<String>>) -> Result<(), SinkError> {
        self.is_dirty = true;
        match &mut self.output {
            Output::Lines(_) => Ok(()),
            Output::Files(recorder) => recorder.names(names),
        }
    }

    /// An interface is gone, or has another name.
    pub(super) fn retire(&mut self, interface: InterfaceId) {
        if let Output::Files(recorder) = &mut self.output {
            recorder.retire(interface);
        }
    }

    /// Returns whether the packet is in the output; it is not once that is full.
    pub(super) fn frame(&mut self, frame: &Frame<'_>) -> Result<bool, SinkError> {
        self.is_dirty = true;
        let Self { output, interfaces, segmenter, keep, .. } = self;
        let link = interfaces.link(frame.interface);
        let Some(segmenter) = segmenter else {
            return write(output, interfaces, *keep, link, frame);
        };
        let mut is_written = true;
        segmenter.segments(frame, link, |segment| {
            is_written &= write(output, interfaces, *keep, link, segment)?;
            Ok::<_, SinkError>(())
        })?;
        Ok(is_written)
    }

    /// Bytes of a packet that may be kept.
    pub(super) fn kept(&self, frame: &Frame<'_>) -> usize {
        kept(self.keep, self.interfaces.link(frame.interface), frame)
    }

    pub(super) fn statistics(
        &mut self,
        interface: InterfaceId,
        time: Timestamp,
        statistics: &Statistics,
    ) -> Result<(), SinkError> {
        self.is_dirty = true;
        match &mut self.output {
            Output::Lines(_) => Ok(()),
            Output::Files(recorder) => recorder.statistics(interface, time, statistics),
        }
    }

    /// Counters that a file ends with if another one follows it.
    pub(super) fn remember(&mut self, interface: InterfaceId, time: Timestamp, statistics: &Statistics) {
        if let Output::Files(recorder) = &mut self.output {
            recorder.remember(interface, time, statistics);
        }
    }

    /// Whether there may be several files, which counters are remembered for.
    pub(super) fn is_rotating(&self) -> bool {
        matches!(&self.output, Output::Files(recorder) if recorder.is_rotating())
    }

    pub(super) fn is_full(&self) -> bool {
        matches!(&self.output, Output::Files(recorder) if recorder.is_full())
    }

    pub(super) fn flush(&mut self) -> Result<(), SinkError> {
        if !self.is_dirty {
            return Ok(());
        }
        self.is_dirty = false;
        match &mut self.output {
            Output::Lines(lines) => lines.flush(),
            Output::Files(recorder) => recorder.flush(),
        }
    }

    /// What can be waited on for a reader that goes away.
    pub(super) fn stream(&self) -> Option<BorrowedFd<'_>> {
        match &self.output {
            Output::Lines(lines) => lines.stream(),
            Output::Files(recorder) => recorder.pipe(),
        }
    }

    /// Bytes written so far; 0 for lines.
    pub(super) fn bytes(&self) -> u64 {
        match &self.output {
            Output::Lines(_) => 0,
            Output::Files(recorder) => recorder.bytes(),
        }
    }

    /// Bytes that its reader got; 0 for lines.
    pub(super) fn sent(&self) -> u64 {
        match &self.output {
            Output::Lines(_) => 0,
            Output::Files(recorder) => recorder.sent(),
        }
    }

    /// Packets, or segments, that the output has; those that a full disk cut off are not among them.
    pub(super) fn packets(&self) -> u64 {
        match &self.output {
            Output::Lines(lines) => lines.packets(),
            Output::Files(recorder) => recorder.packets(),
        }
    }

    pub(super) fn finish(mut self) -> Result<Written, SinkError> {
        self.flush()?;
        match self.output {
            Output::Lines(lines) => Ok(Written { packets: lines.packets(), ..Written::default() }),
            Output::Files(recorder) => recorder.finish(),
        }
    }
}

fn kept(keep: Keep, link: LinkLayer, frame: &Frame<'_>) -> usize {
    match keep {
        Keep::Headers => header_len(link, &frame.data),
        // A record, or a packet of a file, may have more than was asked for.
        Keep::Bytes(snap) => frame.data.len().min(snap.0 as usize),
    }
}

fn write(
    output: &mut Output,
    interfaces: &Described,
    keep: Keep,
    link: LinkLayer,
    frame: &Frame<'_>,
) -> Result<bool, SinkError> {
    let kept = kept(keep, link, frame);
    let cut;
    let frame = if kept < frame.data.len() {
        let data = Cow::Borrowed(&frame.data[..kept]);
        cut = Frame { data, comment: frame.comment.clone(), ..*frame };
        &cut
    } else {
        frame
    };
    match output {
        Output::Lines(lines) => lines.frame(frame, interfaces.label(frame.interface), link).map(|()| true),
        Output::Files(recorder) => recorder.frame(frame),
    }
}

/// Node, where the interface tells one, and interface, a pod's with the pod before it.
fn label(interface: &Interface) -> String {
    let name = match &interface.pod {
        Some(pod) => format!("{pod}:{}", interface.name),
        None => interface.name.clone(),
    };
    interface.node.as_ref().map_or(name.clone(), |node| format!("{node} {name}"))
}
