//! The addresses and tunnels that packets wear at a point, kept once each.

use std::collections::HashMap;

use crate::flow::FlowKey;
use crate::packet::{Packet, Tunnel};

/// Number of a set of headers within one trace.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct HeadersId(u32);

/// What a packet wears: its innermost five-tuple and the encapsulations around it, outermost first.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Headers {
    /// Innermost five-tuple.
    pub flow: FlowKey,
    /// Encapsulations, outermost first.
    pub tunnels: Vec<Tunnel>,
}

/// All headers of a trace, bounded.
#[derive(Clone, Debug)]
pub struct HeadersTable {
    ids: HashMap<Headers, HeadersId>,
    headers: Vec<Headers>,
    capacity: usize,
}

impl HeadersTable {
    /// A table of at most `capacity` entries.
    pub fn new(capacity: usize) -> Self {
        Self { ids: HashMap::new(), headers: Vec::new(), capacity }
    }

    /// The number of a packet's headers; absent when they are new and the table is full.
    pub fn id(&mut self, packet: &Packet<'_>) -> Option<HeadersId> {
        let headers = Headers { flow: packet.flow, tunnels: packet.tunnels.clone() };
        if let Some(id) = self.ids.get(&headers) {
            return Some(*id);
        }
        if self.headers.len() >= self.capacity {
            return None;
        }
        let id = HeadersId(u32::try_from(self.headers.len()).ok()?);
        self.headers.push(headers.clone());
        self.ids.insert(headers, id);
        Some(id)
    }

    /// Headers by their number.
    pub fn at(&self, id: HeadersId) -> &Headers {
        &self.headers[id.0 as usize]
    }

    /// The innermost five-tuple by its headers' number.
    pub fn flow(&self, id: HeadersId) -> FlowKey {
        self.at(id).flow
    }
}
