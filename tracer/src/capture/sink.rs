//! Records and facts of interfaces into the output.

use std::rc::Rc;

use nix::sys::signalfd::SignalFd;
use tracer_common::record::RecordHeader;
use tracer_core::capture::{Frame, Interface, InterfaceId, LinkLayer, Section, Statistics};
use tracer_core::units::Timestamp;

use super::Plan;
use super::end::CaptureFailure;
use super::frame::Assembly;
use super::nearly::Samples;
use super::pipeline::{Beginning, Pipeline};
use super::points::Point;
use crate::kernel::clock::BootClock;
use crate::kernel::interfaces::{Link, LinkType};
use crate::sink::SinkError;

/// `LINKTYPE_RAW`: packets begin with an IP header (tcpdump.org/linktypes.html).
const LINKTYPE_RAW: u32 = 101;

/// The output of a live capture.
pub(super) struct Sink {
    pipeline: Pipeline,
    clock: BootClock,
    /// Everything older than this has been taken from the kernel when counters are written.
    as_of: Timestamp,
    assembly: Assembly,
    pod: Option<String>,
    true_link_types: bool,
    /// Packets that may still be written.
    remaining: u64,
    /// Packets that come are lost from now on.
    is_discarding: bool,
    packets: u64,
    /// Whether packets are handed on as they come.
    packet_buffered: bool,
    /// Why nothing more is written, such as that the reader is gone, or the disk is full.
    failed: Option<SinkError>,
}

impl Sink {
    /// Opens the output.
    pub(super) fn new(plan: &Plan, signals: Rc<SignalFd>) -> Result<Self, CaptureFailure> {
        let clock = BootClock::measure().map_err(CaptureFailure::system("read the clocks"))?;
        let time = clock.now().map_err(CaptureFailure::system("read the clocks"))?;
        let beginning = Beginning {
            section: section(&plan.node),
            time,
            label: plan.pods.is_some() || !plan.selection.is_one_name(),
            limit: plan.limits.bytes,
            source: None,
        };
        Ok(Self {
            pipeline: Pipeline::open(plan.product.clone(), plan.shape, beginning, Some(signals))?,
            clock,
            as_of: time,
            assembly: Assembly::new(plan.shape.true_link_types),
            pod: plan.pod.clone(),
            true_link_types: plan.shape.true_link_types,
            is_discarding: false,
            remaining: plan.limits.packets.unwrap_or(u64::MAX),
            packets: 0,
            packet_buffered: plan.packet_buffered,
            failed: None,
        })
    }

    pub(super) fn pipeline(&self) -> &Pipeline {
        &self.pipeline
    }

    /// Describes an interface under its present name.
    pub(super) fn describe(&mut self, point: &mut Point) -> Result<(), SinkError> {
        if let Some(before) = point.id.take() {
            self.pipeline.retire(before);
        }
        let described = self.pipeline.interface(&self.interface(&point.link));
        point.id = self.unless_failed(described)?;
        Ok(())
    }

    fn interface(&self, link: &Link) -> Interface {
        Interface {
            name: link.name.clone(),
            node: None,
            pod: self.pod.clone(),
            ifindex: Some(link.index.0),
            link: match link.link_type {
                LinkType::Ip if self.true_link_types => LinkLayer::Other(LINKTYPE_RAW),
                LinkType::Ip => LinkLayer::SyntheticEthernet,
                LinkType::Ethernet | LinkType::Unsupported(_) => LinkLayer::Ethernet,
            },
            mac: link.mac,
        }
    }

    /// An interface is no longer observed.
    pub(super) fn retire(&mut self, point: &Point) {
        if let Some(id) = point.id {
            self.pipeline.retire(id);
        }
    }

    /// Writes a record of an interface, unless there are enough.
    pub(super) fn record(
        &mut self,
        header: &RecordHeader,
        data: &[u8],
        point: &mut Point,
    ) -> Result<(), SinkError> {
        point.read += 1;
        if self.remaining == 0 || self.failed.is_some() {
            return Ok(());
        }
        if self.is_discarding {
            point.discarded += 1;
            return Ok(());
        }
        let Some(id) = point.id else { return Ok(()) };
        let time = self.clock.wall(header.boot_ns);
        let mut frame = self.assembly.frame(header, data, point.link.link_type, id, time);
        frame.lost_before = point.lost_before(frame.lost_before);
        let mut written = self.pipeline.frame(&frame);
        if self.packet_buffered && matches!(written, Ok(true)) {
            written = self.pipeline.flush().map(|()| true);
        }
        if self.unless_failed(written)? == Some(true) {
            point.written += 1;
            self.packets += 1;
            self.remaining -= 1;
        }
        Ok(())
    }

    /// Describes an interface that packets are written under which the kernel dropped: in the own namespace or in another.
    pub(super) fn describe_drops(
        &mut self,
        name: &str,
        is_own: bool,
    ) -> Result<Option<InterfaceId>, SinkError> {
        let described = self.pipeline.interface(&Interface {
            name: name.to_owned(),
            node: None,
            pod: self.pod.clone().filter(|_| is_own),
            ifindex: None,
            link: LinkLayer::SyntheticEthernet,
            mac: None,
        });
        self.unless_failed(described)
    }

    /// Writes a packet that the kernel dropped. Returns whether it is in the output.
    pub(super) fn dropped(
        &mut self,
        header: &RecordHeader,
        packet: &[u8],
        id: InterfaceId,
        comment: String,
    ) -> Result<bool, SinkError> {
        if self.remaining == 0 || self.failed.is_some() || self.is_discarding {
            return Ok(false);
        }
        let time = self.clock.wall(header.boot_ns);
        let frame = self.assembly.frame(header, packet, LinkType::Ip, id, time);
        let mut written = self.pipeline.frame(&Frame { comment: Some(comment.into()), ..frame });
        if self.packet_buffered && matches!(written, Ok(true)) {
            written = self.pipeline.flush().map(|()| true);
        }
        Ok(self.unless_failed(written)? == Some(true))
    }

    /// Writes the statistics of drops, as of the last mark.
    pub(super) fn drop_statistics(
        &mut self,
        id: InterfaceId,
        statistics: &Statistics,
    ) -> Result<(), SinkError> {
        let written = self.pipeline.statistics(id, self.as_of, statistics);
        self.unless_failed(written).map(|_| ())
    }

    /// Keeps a packet that did not match.
    pub(super) fn sample(
        &mut self,
        header: &RecordHeader,
        data: &[u8],
        point: &Point,
        samples: &mut Samples,
    ) {
        let Some(id) = point.id else { return };
        let time = self.clock.wall(header.boot_ns);
        let frame = self.assembly.frame(header, data, point.link.link_type, id, time);
        let kept = self.pipeline.kept(&frame);
        let frame = Frame { data: frame.data[..kept].to_vec().into(), ..frame };
        samples.add(header, data, frame, &point.link);
    }

    /// Notes the time, before records are taken from the kernel: what is written after them is as of then, so that whoever
    /// merges captures knows up to when this one has delivered.
    pub(super) fn mark(&mut self) -> Result<(), CaptureFailure> {
        self.as_of = self.clock.now().map_err(CaptureFailure::system("read the clocks"))?;
        Ok(())
    }

    /// Writes an interface's statistics, as of the last mark.
    pub(super) fn statistics(
        &mut self,
        point: &mut Point,
        statistics: &Statistics,
    ) -> Result<(), CaptureFailure> {
        let Some(id) = point.id else { return Ok(()) };
        let written = self.pipeline.statistics(id, self.as_of, statistics);
        self.unless_failed(written)?;
        point.told_lost = statistics.lost;
        Ok(())
    }

    /// Keeps an interface's statistics, as of the last mark, for the end of a file.
    pub(super) fn remember(&mut self, point: &Point, statistics: &Statistics) {
        let Some(id) = point.id else { return };
        self.pipeline.remember(id, self.as_of, statistics);
    }

    /// Counts as lost what comes from now on.
    pub(super) const fn discard(&mut self) {
        self.is_discarding = true;
    }

    /// Packets written so far.
    pub(super) const fn packets(&self) -> u64 {
        self.packets
    }

    /// Whether there are as many packets as were asked for.
    pub(super) const fn has_enough_packets(&self) -> bool {
        self.remaining == 0
    }

    /// Why nothing more is written.
    pub(super) const fn failed(&self) -> Option<&SinkError> {
        self.failed.as_ref()
    }

    /// Hands what was written since the last time to the reader.
    pub(super) fn flush(&mut self) -> Result<(), SinkError> {
        if self.failed.is_some() {
            return Ok(());
        }
        let flushed = self.pipeline.flush();
        self.unless_failed(flushed).map(drop)
    }

    /// Closes the output. Returns how many packets it has, and what failed before, or failed now.
    pub(super) fn finish(self) -> (u64, Option<SinkError>) {
        let packets = self.pipeline.packets();
        let failed_now = self.pipeline.finish().err();
        (packets, self.failed.or(failed_now))
    }

    /// An output that takes no more ends the capture in order: what is counted is told. An interface that does not fit
    /// into the file leaves the output as it is.
    fn unless_failed<T>(&mut self, written: Result<T, SinkError>) -> Result<Option<T>, SinkError> {
        match written {
            Err(error) if !matches!(error, SinkError::MixedLinkTypes { .. }) => {
                self.failed = Some(error);
                Ok(None)
            }
            written => written.map(Some),
        }
    }
}

fn section(node: &str) -> Section {
    let os = nix::sys::utsname::uname()
        .ok()
        .map(|name| format!("{} {}", name.sysname().to_string_lossy(), name.release().to_string_lossy()));
    let boot_id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok();
    Section {
        node: Some(node.to_owned()),
        os,
        application: Some(concat!("kflow ", env!("CARGO_PKG_VERSION")).to_owned()),
        boot_id: boot_id.map(|id| id.trim().to_owned()),
        netns: crate::kernel::netns::inode().ok(),
    }
}
