//! Packets that the kernel drops, as packets of interfaces of their own.

use std::collections::BTreeMap;

use tracer_common::counters::Counters;
use tracer_common::drops::DropFacts;
use tracer_common::record::{INGRESS, RecordHeader};
use tracer_core::capture::{InterfaceId, Statistics};
use tracer_core::drops::{INTERFACE, interface_of};
use tracer_core::units::Direction;

use super::expression::Expression;
use super::sink::Sink;
use crate::kernel::drops::{DropCounters, Words};
use crate::kernel::object::DropsGuard;
use crate::sink::SinkError;

/// Namespaces that are told apart; drops in more of them are counted as lost.
const MAX_NAMESPACES: usize = 4096;

/// Which drops are wanted, beyond what the kernel chooses by: a user's filter is made for packets at interfaces, and the
/// program that sees drops does without it.
pub(super) struct Choice {
    pub(super) expression: Option<Expression>,
    /// Absent for both.
    pub(super) direction: Option<Direction>,
}

impl Choice {
    fn takes(&self, header: &RecordHeader, packet: &[u8]) -> bool {
        let is_received = header.direction == INGRESS;
        let direction = if is_received { Direction::Ingress } else { Direction::Egress };
        self.direction.is_none_or(|wanted| wanted == direction)
            && self
                .expression
                .as_ref()
                .is_none_or(|expression| expression.takes_ip(packet, header.original_len, is_received))
    }
}

/// The drops of a capture.
pub(super) struct Drops {
    /// Absent once detached.
    guard: Option<DropsGuard>,
    counters: DropCounters,
    words: Words,
    choice: Choice,
    /// The namespace that is observed.
    own: u32,
    /// The interface of each namespace in the output.
    interfaces: BTreeMap<u32, Option<InterfaceId>>,
    /// Drops written.
    written: u64,
    /// Drops for which there was no room in the table or in the output.
    left_out: u64,
    /// Losses that the statistics in the file tell of.
    told_lost: u64,
}

impl Drops {
    pub(super) const fn new(
        guard: DropsGuard,
        counters: DropCounters,
        words: Words,
        own: u32,
        choice: Choice,
    ) -> Self {
        Self {
            guard: Some(guard),
            counters,
            words,
            choice,
            own,
            interfaces: BTreeMap::new(),
            written: 0,
            left_out: 0,
            told_lost: 0,
        }
    }

    /// Sees no more.
    pub(super) fn detach(&mut self) {
        self.guard = None;
    }

    /// Tells the reader of the capture that drops in the own namespace are seen from now on.
    pub(super) fn describe(&mut self, sink: &mut Sink) -> Result<(), SinkError> {
        let own = sink.describe_drops(INTERFACE, true)?;
        self.interfaces.insert(self.own, own);
        own.map_or(Ok(()), |id| sink.drop_statistics(id, &Statistics::default()))
    }

    /// Writes a record.
    pub(super) fn record(
        &mut self,
        header: &RecordHeader,
        data: &[u8],
        sink: &mut Sink,
    ) -> Result<(), SinkError> {
        let Ok((facts, packet)) = DropFacts::split(data) else { return Ok(()) };
        if !self.choice.takes(header, packet) {
            return Ok(());
        }
        let Some(id) = self.interface(facts.netns, sink)? else {
            self.left_out += 1;
            return Ok(());
        };
        let mut notice = self.words.notice(&facts);
        if notice.interface.is_none() && facts.netns == self.own {
            notice.interface = name_of(header.ifindex);
        }
        if sink.dropped(header, packet, id, notice.to_string())? {
            self.written += 1;
        } else {
            self.left_out += 1;
        }
        Ok(())
    }

    fn interface(&mut self, netns: u32, sink: &mut Sink) -> Result<Option<InterfaceId>, SinkError> {
        if let Some(known) = self.interfaces.get(&netns) {
            return Ok(*known);
        }
        if self.interfaces.len() >= MAX_NAMESPACES {
            return Ok(None);
        }
        let id = sink.describe_drops(&interface_of(netns.into()), false)?;
        self.interfaces.insert(netns, id);
        Ok(id)
    }

    /// What was counted so far. A counter that cannot be read tells nothing new.
    pub(super) fn statistics(&self) -> Statistics {
        let counters: Counters = self.counters.read().unwrap_or_default();
        Statistics {
            seen: counters.seen,
            matched: counters.matched(),
            lost: counters.lost() + self.left_out,
            written: self.written,
        }
    }

    /// Writes the statistics if there are losses to be told, or in any case.
    pub(super) fn tell(&mut self, sink: &mut Sink, in_any_case: bool) -> Result<(), SinkError> {
        let statistics = self.statistics();
        let own = self.interfaces.get(&self.own).copied().flatten();
        let Some(id) = own.filter(|_| in_any_case || statistics.lost != self.told_lost) else {
            return Ok(());
        };
        self.told_lost = statistics.lost;
        sink.drop_statistics(id, &statistics)
    }
}

/// The present name of an interface of the namespace that is observed.
fn name_of(ifindex: u32) -> Option<String> {
    let name = nix::net::if_::if_indextoname(ifindex).ok()?;
    name.into_string().ok()
}
