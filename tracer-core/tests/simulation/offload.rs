//! Segmentation before the wire and coalescing behind it (`net/ipv4/tcp_offload.c`, `net/core/gro.c`).
//!
//! TCP data joins a packet that is being coalesced if it goes on in the sequence, with the next IPv4 identification,
//! the same acknowledgement and the same options; a short segment, PSH or FIN ends it. Anything else of the flow
//! ends it as well, and a packet that is joined already passes on as it is.

use crate::emission::{Emission, EmissionId, Flags, Packet, Segment, TcpSegment};

/// Wire segments that are joined at most: what fits into 64 KiB.
const MOST: usize = 44;

/// The wire segments of a packet, each on its own.
pub(crate) fn cut(packet: Packet) -> impl Iterator<Item = Packet> {
    let lane = packet.lane;
    packet.parts.into_iter().map(move |part| Packet { lane, parts: vec![part] })
}

/// What becomes of a packet that reaches a device which coalesces.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Coalesced {
    /// It became part of the one that is held.
    Joined,
    /// It became the last part of the one that is held.
    Completed,
    /// The one that is held goes on; this one is held now.
    Held,
    /// The one that is held goes on, and this one behind it.
    Passed,
}

/// Tries to join a packet to the one that is held.
pub(crate) fn coalesce(held: Option<&mut Packet>, packet: &Packet, emissions: &[Emission]) -> Coalesced {
    let Some(next) = data(packet, emissions).filter(|_| packet.parts.len() == 1) else {
        return Coalesced::Passed;
    };
    let is_end = next.flags.has(Flags::PSH) || next.flags.has(Flags::FIN);
    let Some(held) = held else { return if is_end { Coalesced::Passed } else { Coalesced::Held } };
    let size = data(held, emissions).map_or(0, |first| first.len);
    if held.parts.len() < MOST && next.len <= size && follows(last(held), packet.parts[0], emissions) {
        held.parts.push(packet.parts[0]);
        let is_whole = is_end || next.len < size || held.parts.len() == MOST;
        return if is_whole { Coalesced::Completed } else { Coalesced::Joined };
    }
    if is_end { Coalesced::Passed } else { Coalesced::Held }
}

fn last(packet: &Packet) -> EmissionId {
    packet.parts[packet.parts.len() - 1]
}

/// The first segment of a packet of TCP data with nothing but ACK, PSH and FIN.
fn data<'a>(packet: &Packet, emissions: &'a [Emission]) -> Option<&'a TcpSegment> {
    match &emissions[packet.parts[0].index()].segment {
        Segment::Tcp(tcp) if tcp.len > 0 && tcp.flags.0 & (Flags::SYN | Flags::RST) == 0 => Some(tcp),
        _ => None,
    }
}

fn follows(before: EmissionId, after: EmissionId, emissions: &[Emission]) -> bool {
    let (first, second) = (&emissions[before.index()], &emissions[after.index()]);
    let (Segment::Tcp(a), Segment::Tcp(b)) = (&first.segment, &second.segment) else { return false };
    let is_next_id = match (first.identification, second.identification) {
        (Some(a), Some(b)) => b == (a + 1) & 0xffff,
        _ => true,
    };
    is_next_id
        && b.sequence == a.sequence.wrapping_add(a.len)
        && a.acknowledgement == b.acknowledgement
        && a.timestamps == b.timestamps
        && a.sack == b.sack
}
