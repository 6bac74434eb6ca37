//! Ports of fragments: only the first fragment of a packet has them.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;

use super::Packet;
use crate::flow::{Port, Protocol};

/// Fragmented packets whose ports are remembered.
const CAPACITY: usize = 65_536;

/// What all fragments of a packet have in common (RFC 791, section 2.3; RFC 8200, section 4.5).
type Whole = (IpAddr, IpAddr, Protocol, u32);

/// The ports of packets whose first fragment was seen.
#[derive(Clone, Debug, Default)]
pub struct Fragments {
    ports: HashMap<Whole, (Port, Port)>,
    order: VecDeque<Whole>,
}

impl Fragments {
    /// Gives a fragment the ports of its packet, if its first fragment came before it, and remembers those of a
    /// first one.
    pub fn complete(&mut self, packet: &mut Packet<'_>) {
        let (Some(fragment), Some(identification)) = (packet.ip.fragment, packet.ip.identification) else {
            return;
        };
        let flow = &mut packet.flow;
        let whole = (flow.source.address, flow.destination.address, flow.protocol, identification);
        if !fragment.is_first() {
            if let Some((source, destination)) = self.ports.get(&whole) {
                flow.source.port = *source;
                flow.destination.port = *destination;
            }
            return;
        }
        if self.ports.insert(whole, (flow.source.port, flow.destination.port)).is_none() {
            self.order.push_back(whole);
        }
        if self.order.len() > CAPACITY
            && let Some(oldest) = self.order.pop_front()
        {
            self.ports.remove(&oldest);
        }
    }
}
