//! Records and facts of interfaces into the file.

use std::io::BufWriter;

use tracer_common::record::RecordHeader;
use tracer_core::capture::{CaptureError, CaptureWriter, Interface, LinkLayer, Section, Statistics};

use super::Plan;
use super::end::CaptureFailure;
use super::frame::Assembly;
use super::output::Output;
use super::points::Point;
use crate::kernel::clock::BootClock;
use crate::kernel::interfaces::LinkType;

/// The file being written.
pub(super) struct Sink {
    writer: CaptureWriter<BufWriter<Output>>,
    clock: BootClock,
    assembly: Assembly,
    pod: Option<String>,
    /// Packets that may still be written.
    remaining: u64,
    /// Something was written since it was last flushed.
    dirty: bool,
    /// The reader is gone: whatever is written from now on is dropped.
    closed: bool,
}

impl Sink {
    /// Writes the section header.
    pub(super) fn new(output: BufWriter<Output>, plan: &Plan) -> Result<Self, CaptureFailure> {
        let clock = BootClock::measure().map_err(CaptureFailure::system("read the clocks"))?;
        let writer = CaptureWriter::new(output, &section(&plan.node), plan.snap)?;
        Ok(Self {
            writer,
            clock,
            assembly: Assembly::default(),
            pod: plan.pod.clone(),
            remaining: plan.limits.packets.unwrap_or(u64::MAX),
            dirty: true,
            closed: false,
        })
    }

    /// Describes an interface under its present name.
    pub(super) fn describe(&mut self, point: &mut Point) -> Result<(), CaptureError> {
        let link = &point.link;
        let described = self.writer.interface(&Interface {
            name: link.name.clone(),
            node: None,
            pod: self.pod.clone(),
            ifindex: Some(link.index.0),
            link: match link.link_type {
                LinkType::Ip => LinkLayer::SyntheticEthernet,
                LinkType::Ethernet | LinkType::Unsupported(_) => LinkLayer::Ethernet,
            },
            mac: link.mac,
        });
        point.id = self.unless_closed(described)?;
        Ok(())
    }

    /// Writes a record of an interface, unless there are enough.
    pub(super) fn record(
        &mut self,
        header: &RecordHeader,
        data: &[u8],
        point: &mut Point,
    ) -> Result<(), CaptureError> {
        point.read += 1;
        if self.remaining == 0 || self.closed {
            return Ok(());
        }
        let Some(id) = point.id else { return Ok(()) };
        let time = self.clock.wall(header.boot_ns);
        let mut frame = self.assembly.frame(header, data, point.link.link_type, id, time);
        frame.lost_before = point.lost_before(frame.lost_before);
        let written = self.writer.frame(&frame);
        if self.unless_closed(written)?.is_some() {
            point.written += 1;
            self.remaining -= 1;
        }
        Ok(())
    }

    /// Writes an interface's statistics as of now.
    pub(super) fn statistics(
        &mut self,
        point: &mut Point,
        statistics: &Statistics,
    ) -> Result<(), CaptureFailure> {
        let Some(id) = point.id else { return Ok(()) };
        let now = self.clock.now().map_err(CaptureFailure::system("read the clocks"))?;
        let written = self.writer.statistics(id, now, statistics);
        self.unless_closed(written)?;
        point.told_lost = statistics.lost;
        Ok(())
    }

    /// Whether no more packets are wanted.
    pub(super) const fn is_full(&self) -> bool {
        self.remaining == 0
    }

    /// Whether the reader went away.
    pub(super) const fn is_closed(&self) -> bool {
        self.closed
    }

    /// Hands what was written since the last time to the reader.
    pub(super) fn flush(&mut self) -> Result<(), CaptureError> {
        if !self.dirty || self.closed {
            return Ok(());
        }
        let flushed = self.writer.flush();
        self.unless_closed(flushed)?;
        self.dirty = false;
        Ok(())
    }

    /// A closed pipe is no failure: it ends the capture in good order.
    fn unless_closed<T>(&mut self, written: Result<T, CaptureError>) -> Result<Option<T>, CaptureError> {
        self.dirty = true;
        match written {
            Err(error) if error.is_broken_pipe() => {
                self.closed = true;
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
    }
}
