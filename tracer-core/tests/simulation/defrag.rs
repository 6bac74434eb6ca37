//! A router that tracks connections makes datagrams whole before it routes them, and sends the same fragments on
//! (`nf_defrag_ipv4`, `ip_fragment` by `frag_max_size`); what stays incomplete goes no further.

use std::collections::HashMap;

use crate::emission::{Emission, LaneId, Packet, Segment};

/// Fragments that wait for the others, by the router they are at.
#[derive(Debug, Default)]
pub(crate) struct Defrag {
    waiting: HashMap<(LaneId, usize, u64), Vec<Packet>>,
}

/// What becomes of a packet at a router.
#[derive(Debug)]
pub(crate) enum Routed {
    /// These go on, in order.
    On(Vec<Packet>),
    /// It waits for other fragments.
    Waits,
    /// It is there already.
    Again,
}

impl Defrag {
    /// Takes a packet that a router is to send to a station.
    pub(crate) fn take(&mut self, packet: Packet, to: usize, emissions: &[Emission]) -> Routed {
        let fragment = |packet: &Packet| match emissions[packet.parts[0].index()].segment {
            Segment::Fragment { offset, len, datagram_len, content, .. } => {
                Some((offset, len, datagram_len, content))
            }
            _ => None,
        };
        let Some((offset, _, datagram_len, content)) = fragment(&packet) else {
            return Routed::On(vec![packet]);
        };
        let key = (packet.lane, to, content);
        let waiting = self.waiting.entry(key).or_default();
        let offset_of = |packet: &Packet| fragment(packet).map_or(0, |(offset, ..)| offset);
        if waiting.iter().any(|known| offset_of(known) == offset) {
            return Routed::Again;
        }
        waiting.push(packet);
        let there: u32 = waiting.iter().filter_map(fragment).map(|(_, len, ..)| len).sum();
        // The datagram's header is the first eight bytes of the first fragment.
        if there < datagram_len + 8 {
            return Routed::Waits;
        }
        let mut whole = self.waiting.remove(&key).unwrap_or_default();
        whole.sort_by_key(offset_of);
        Routed::On(whole)
    }

    /// What is still waiting, with the station that it was to be sent to.
    pub(crate) fn rest(self) -> impl Iterator<Item = (usize, Packet)> {
        self.waiting
            .into_iter()
            .flat_map(|((_, to, _), packets)| packets.into_iter().map(move |packet| (to, packet)))
    }
}
