//! What nearly matched: a few of the packets that did not, held against the parts of the filter.

use std::fmt::Write as _;

use tracer_common::record::{INGRESS, RecordHeader};
use tracer_core::capture::{Frame, LinkLayer, SNAP_WHOLE};
use tracer_core::filter::{FilterInput, Program, TagView, conjuncts, near_misses};
use tracer_core::output::line::{LineOptions, LinePrinter};
use tracer_core::packet::segment::ip_places;

use super::expression::Expression;
use super::lines::TimeOfDay;
use crate::kernel::interfaces::{Link, LinkType};
use crate::libpcap::{Dlt, Libpcap};

/// Packets that are kept.
const MOST: usize = 512;
/// `LINKTYPE_RAW` (tcpdump.org/linktypes.html).
const RAW: LinkLayer = LinkLayer::Other(101);
/// Packets that are printed.
const SHOWN: usize = 3;

/// A packet that did not match.
struct Sample {
    /// As the filter sees it.
    bytes: Vec<u8>,
    original_len: u32,
    packet_type: u8,
    link_type: LinkType,
    /// As it is printed.
    frame: Frame<'static>,
    link: LinkLayer,
    interface: String,
}

impl Sample {
    /// What the bytes that the filter sees begin with.
    fn link_of_bytes(&self) -> LinkLayer {
        if self.link_type == LinkType::Ip { RAW } else { LinkLayer::Ethernet }
    }
}

/// Packets that did not match.
#[derive(Default)]
pub(super) struct Samples(Vec<Sample>);

/// What some of the samples have in common.
struct Near {
    /// What they did, as it follows their number.
    what: String,
    /// Where they are among the samples.
    places: Vec<usize>,
}

impl Samples {
    /// Keeps a packet, unless there are enough.
    pub(super) fn add(&mut self, header: &RecordHeader, data: &[u8], frame: Frame<'_>, link: &Link) {
        /// `PACKET_HOST`, `PACKET_OUTGOING` (`linux/if_packet.h`).
        const TO_US: u8 = 0;
        const FROM_US: u8 = 4;
        if self.0.len() >= MOST {
            return;
        }
        let is_ethernet = link.link_type != LinkType::Ip;
        self.0.push(Sample {
            bytes: data.to_vec(),
            original_len: header.original_len,
            packet_type: if header.direction == INGRESS { TO_US } else { FROM_US },
            link_type: link.link_type,
            frame: frame.into_owned(),
            link: if is_ethernet { LinkLayer::Ethernet } else { LinkLayer::SyntheticEthernet },
            interface: link.name.clone(),
        });
    }

    /// Tells, as lines of text, which parts of the filter the packets that did not match fail at. Empty where there is
    /// nothing to tell.
    pub(super) fn tell(&self, expression: Option<&Expression>) -> String {
        if self.0.is_empty() {
            return String::new();
        }
        // Of what came compiled there are no parts to name.
        let expression = expression.filter(|expression| !expression.text().is_empty());
        let near =
            expression.and_then(|expression| self.tunnelled(expression).or_else(|| self.nearest(expression)));
        let mut text = String::new();
        let count = self.0.len();
        let examples = if let Some(Near { what, places }) = near {
            let _ = write!(text, "\nof {count} looked at, {} {what}:", places.len());
            places
        } else {
            let _ = write!(text, "\nof {count} looked at, for example:");
            (0..count).collect()
        };
        let options = LineOptions { label: true, ..LineOptions::default() };
        let mut printer = LinePrinter::new(options);
        let mut clock = TimeOfDay::new(jiff::tz::TimeZone::system());
        for sample in examples.into_iter().take(SHOWN).filter_map(|at| self.0.get(at)) {
            let mut line = Vec::new();
            let time = clock.text(sample.frame.time);
            if printer.print(&mut line, time, &sample.interface, &sample.frame, sample.link).is_ok() {
                let _ = write!(text, "\n  {}", String::from_utf8_lossy(&line).trim_end());
            }
        }
        text
    }

    /// Samples that match inside of a tunnel.
    fn tunnelled(&self, expression: &Expression) -> Option<Near> {
        if expression.is_innermost() {
            return None;
        }
        let filter = Part::compile(&Libpcap::load().ok()?, expression.text());
        let places = self.places(|sample| filter.matches_inside(sample));
        (!places.is_empty())
            .then(|| Near { what: "match inside of a tunnel, which `--inner` looks into".to_owned(), places })
    }

    /// Samples that fail at one part of the filter alone; the part at which the most do.
    fn nearest(&self, expression: &Expression) -> Option<Near> {
        let parts = conjuncts(expression.text());
        let libpcap = Libpcap::load().ok()?;
        let compiled: Vec<_> = parts.iter().map(|part| Part::compile(&libpcap, part)).collect();
        let meets = |part: usize, sample: usize| compiled[part].matches(&self.0[sample], expression);
        let near = near_misses(parts.len(), self.0.len(), meets)?;
        Some(Near { what: format!("match all but `{}`", parts[near.condition]), places: near.packets })
    }

    fn places(&self, is_meant: impl Fn(&Sample) -> bool) -> Vec<usize> {
        self.0.iter().enumerate().filter(|(_, sample)| is_meant(sample)).map(|(at, _)| at).collect()
    }
}

/// A part of a filter; a program that libpcap does not make matches nothing.
struct Part {
    ethernet: Option<Program>,
    ip: Option<Program>,
}

impl Part {
    fn compile(libpcap: &Libpcap, text: &str) -> Self {
        let compile = |link| libpcap.compile(text, link, SNAP_WHOLE.0, Some(0)).ok();
        Self { ethernet: compile(Dlt::ETHERNET), ip: compile(Dlt::RAW) }
    }

    fn matches(&self, sample: &Sample, expression: &Expression) -> bool {
        if expression.is_innermost() {
            return self.matches_innermost(sample);
        }
        let program = if sample.link_type == LinkType::Ip { &self.ip } else { &self.ethernet };
        let data = match expression.tags() {
            TagView::Inside if sample.link_type != LinkType::Ip => &sample.frame.data,
            _ => &sample.bytes[..],
        };
        let input = FilterInput {
            data,
            original_len: sample.original_len,
            packet_type: sample.packet_type,
            ..FilterInput::default()
        };
        program.as_ref().is_some_and(|program| program.run(&input) != 0)
    }

    /// Whether the packet in a tunnel matches; false where there is no tunnel.
    fn matches_inside(&self, sample: &Sample) -> bool {
        let is_tunnel = ip_places(sample.link_of_bytes(), &sample.bytes)
            .is_some_and(|places| places.outermost < places.innermost);
        is_tunnel && self.matches_innermost(sample)
    }

    fn matches_innermost(&self, sample: &Sample) -> bool {
        let Some(places) = ip_places(sample.link_of_bytes(), &sample.bytes) else { return false };
        let before = u32::try_from(places.innermost).unwrap_or(u32::MAX);
        let input = FilterInput {
            data: &sample.bytes[places.innermost..],
            original_len: sample.original_len.saturating_sub(before),
            packet_type: sample.packet_type,
            ..FilterInput::default()
        };
        self.ip.as_ref().is_some_and(|program| program.run(&input) != 0)
    }
}
