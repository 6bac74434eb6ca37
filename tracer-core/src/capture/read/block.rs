//! The bodies of pcapng blocks (draft-ietf-opsawg-pcapng, section 4).
//!
//! A list of options without an end or text that is no UTF-8 is read as far as it goes: other programs write such
//! files, and the packets in them are as good as any.

use super::super::option::{CUSTOM_BINARY, ENTERPRISE, INBOUND, OUTBOUND, SkbFacts, value};
use super::super::{Section, Statistics};
use super::Packet;
use super::fields::{BlockOption, Fields, Options};
use super::interfaces::Described;
use crate::units::Direction;

const COMMENT: u16 = 1;

/// The options of a section header.
pub(super) fn section(options: Options<'_>) -> Section {
    const HARDWARE: u16 = 2;
    const OS: u16 = 3;
    const APPLICATION: u16 = 4;
    let mut section = Section::default();
    for option in options {
        match option.code {
            COMMENT => {
                let text = option.text();
                section.boot_id = section.boot_id.or_else(|| value(&text, "boot_id"));
                section.netns = section.netns.or_else(|| value(&text, "netns")?.parse().ok());
            }
            HARDWARE => section.node = Some(option.text()),
            OS => section.os = Some(option.text()),
            APPLICATION => section.application = Some(option.text()),
            _ => {}
        }
    }
    section
}

/// An interface description.
pub(super) fn interface(mut fields: Fields<'_>) -> Option<Described> {
    const NAME: u16 = 2;
    const DESCRIPTION: u16 = 3;
    const MAC: u16 = 6;
    const RESOLUTION: u16 = 9;
    const OFFSET: u16 = 14;
    const MICROSECONDS: u8 = 6;
    let number = u32::from(fields.u16()?);
    fields.skip(2)?;
    let mut described = Described::unnamed(number);
    described.snap = fields.u32()?;
    for option in fields.options() {
        match option.code {
            NAME => described.interface.name = option.text(),
            DESCRIPTION => described.explain(&option.text()),
            MAC => described.interface.mac = option.value.try_into().ok(),
            RESOLUTION => described.resolution.set(option.value.first().copied().unwrap_or(MICROSECONDS)),
            OFFSET => described.resolution.set_offset(option.u64().unwrap_or_default().cast_signed()),
            _ => {}
        }
    }
    Some(described)
}

/// An enhanced packet, less its time. Returns the time in the interface's unit.
pub(super) fn enhanced_packet(mut fields: Fields<'_>, packet: &mut Packet) -> Option<u64> {
    const LOST_BEFORE: u16 = 4;
    let (interface, ticks) = (fields.u32()?, fields.ticks()?);
    *packet = Packet { interface, ..Packet::default() };
    packet_data(&mut fields, packet)?;
    for option in fields.options() {
        match option.code {
            LOST_BEFORE => packet.lost_before = option.u64().unwrap_or_default(),
            _ => packet_option(packet, &option),
        }
    }
    Some(ticks)
}

/// A packet block, which programs wrote before 2009; otherwise as [`enhanced_packet`].
pub(super) fn obsolete_packet(mut fields: Fields<'_>, packet: &mut Packet) -> Option<u64> {
    const NOT_KNOWN: u16 = u16::MAX;
    let interface = u32::from(fields.u16()?);
    let lost_before = fields.u16().filter(|count| *count != NOT_KNOWN);
    let ticks = fields.ticks()?;
    let lost_before = lost_before.map(u64::from).unwrap_or_default();
    *packet = Packet { interface, lost_before, ..Packet::default() };
    packet_data(&mut fields, packet)?;
    for option in fields.options() {
        packet_option(packet, &option);
    }
    Some(ticks)
}

/// A simple packet: of the first interface, without a time, captured up to that interface's snap length.
pub(super) fn simple_packet(mut fields: Fields<'_>, snap: u32, packet: &mut Packet) -> Option<()> {
    let original_len = fields.u32()?;
    let snap = if snap == 0 { u32::MAX } else { snap };
    let len = fields.left().min(original_len.min(snap) as usize);
    *packet = Packet { original_len, data: fields.skip(len)?, ..Packet::default() };
    Some(())
}

/// Captured length, original length and bytes.
fn packet_data(fields: &mut Fields<'_>, packet: &mut Packet) -> Option<()> {
    let (captured_len, original_len) = (fields.u32()?, fields.u32()?);
    packet.original_len = original_len.max(captured_len);
    packet.data = fields.skip_padded(captured_len as usize)?;
    Some(())
}

fn packet_option(packet: &mut Packet, option: &BlockOption<'_>) {
    const FLAGS: u16 = 2;
    match option.code {
        COMMENT => packet.comment = Some(option.place.clone()),
        FLAGS => packet.direction = option.u32().and_then(direction),
        CUSTOM_BINARY if option.u32() == Some(ENTERPRISE) => {
            let facts = SkbFacts::from_bytes(&option.value[size_of::<u32>()..]).unwrap_or_default();
            packet.gso = facts.gso;
            packet.mark = facts.mark;
        }
        _ => {}
    }
}

/// The inbound and outbound bits of the flags.
fn direction(flags: u32) -> Option<Direction> {
    match flags & 0b11 {
        INBOUND => Some(Direction::Ingress),
        OUTBOUND => Some(Direction::Egress),
        _ => None,
    }
}

/// Interface, time in the interface's unit, and counters of a statistics block.
pub(super) fn statistics(mut fields: Fields<'_>) -> Option<(u32, u64, Statistics)> {
    const SEEN: u16 = 4;
    const LOST_BY_INTERFACE: u16 = 5;
    const MATCHED: u16 = 6;
    const LOST_BY_SYSTEM: u16 = 7;
    const WRITTEN: u16 = 8;
    let (interface, ticks) = (fields.u32()?, fields.ticks()?);
    let mut statistics = Statistics::default();
    let mut matched = None;
    for option in fields.options() {
        let count = option.u64().unwrap_or_default();
        match option.code {
            SEEN => statistics.seen = count,
            LOST_BY_INTERFACE | LOST_BY_SYSTEM => statistics.lost = statistics.lost.saturating_add(count),
            MATCHED => matched = Some(count),
            WRITTEN => statistics.written = count,
            _ => {}
        }
    }
    // libpcap counts behind its filter, and dumpcap has no number of its own for that.
    statistics.matched = matched.unwrap_or(statistics.seen);
    Some((interface, ticks, statistics))
}
