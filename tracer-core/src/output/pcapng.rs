//! One pcapng of all hops, whose comments say flow, hop and change.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write;

use super::text::change;
use crate::capture::{CaptureError, CaptureWriter, Frame, Interface, InterfaceId, Section, Statistics};
use crate::journey::Confidence;
use crate::loss::LossReport;
use crate::point::{InterfaceIndex, Points};
use crate::resolve::{Names, short};
use crate::timeline::Orientation;
use crate::trace::{Note, TracedFrame};
use crate::units::{SnapLength, Timestamp};

/// Writes traced frames. Interfaces are described when their first frame comes.
pub struct TraceWriter<W: Write> {
    writer: CaptureWriter<W>,
    ids: BTreeMap<InterfaceIndex, InterfaceId>,
    last: Timestamp,
}

impl<W: Write> TraceWriter<W> {
    /// Writes the section header and the names.
    pub fn new(writer: W, application: &str, snap: SnapLength, names: &Names) -> Result<Self, CaptureError> {
        let section = Section { application: Some(application.to_owned()), ..Section::default() };
        let mut writer = CaptureWriter::new(writer, &section, snap)?;
        writer.names(&names.addresses())?;
        Ok(Self { writer, ids: BTreeMap::new(), last: Timestamp(0) })
    }

    /// Writes names that became known meanwhile.
    pub fn names(&mut self, names: &Names) -> Result<(), CaptureError> {
        self.writer.names(&names.addresses())
    }

    /// Writes a frame with its comment.
    pub fn frame(&mut self, traced: &TracedFrame, points: &Points) -> Result<(), CaptureError> {
        let id = self.interface(traced.interface, points)?;
        self.last = self.last.max(traced.frame.time);
        let frame = Frame {
            interface: id,
            data: Cow::Borrowed(&traced.frame.data),
            comment: Some(Cow::Owned(comment(traced.flow, &traced.note))),
            ..traced.frame
        };
        self.writer.frame(&frame)
    }

    /// Writes what each interface counted.
    pub fn finish(&mut self, loss: &LossReport, points: &Points) -> Result<(), CaptureError> {
        let mut losses = BTreeMap::new();
        for counted in &loss.interfaces {
            losses.entry((&counted.node, &counted.pod, &counted.interface)).or_insert(counted);
        }
        for (index, interface) in points.interfaces() {
            let place = (&points.node_of(index).name, &interface.pod, &interface.name);
            let Some(counted) = losses.get(&place) else { continue };
            let id = self.interface(index, points)?;
            let statistics = Statistics {
                seen: counted.seen,
                matched: counted.matched,
                lost: counted.lost.unwrap_or_default(),
                written: 0,
            };
            self.writer.statistics(id, self.last, &statistics)?;
        }
        self.flush()
    }

    /// Hands what is buffered to its reader.
    pub fn flush(&mut self) -> Result<(), CaptureError> {
        self.writer.flush()
    }

    fn interface(&mut self, index: InterfaceIndex, points: &Points) -> Result<InterfaceId, CaptureError> {
        if let Some(id) = self.ids.get(&index) {
            return Ok(*id);
        }
        let observed = points.at(index);
        let node = points.node_of(index).name.clone();
        let place = observed.pod.as_deref().map_or(node.as_str(), short);
        let id = self.writer.interface(&Interface {
            name: format!("{place}:{}", observed.name),
            node: Some(node),
            pod: observed.pod.clone(),
            ifindex: observed.ifindex,
            link: observed.link,
            mac: None,
        })?;
        self.ids.insert(index, id);
        Ok(id)
    }
}

/// The comment of a frame: `flow 1 -> hop 3/8: DNAT ...`.
fn comment(flow: u32, note: &Note) -> String {
    let arrow = match note.orientation {
        Orientation::Forward => "->",
        Orientation::Reply => "<-",
    };
    let mut text = format!("flow {flow} {arrow} hop {}/{}", note.hop, note.hops);
    for (index, happened) in note.changes.iter().enumerate() {
        let separator = if index == 0 { ": " } else { "; " };
        let _ = write!(text, "{separator}{}", change(happened));
    }
    if note.segments > 1 {
        let _ = write!(text, "; {} wire segments", note.segments);
    }
    text.push_str(match note.confidence {
        Confidence::Exact => "",
        Confidence::Ordinal => "; recognised by its order among equal packets",
        Confidence::Flow => "; one of several equal packets, some of which were lost or doubled",
        Confidence::Unknown => "; more than one translation fits",
    });
    text
}
