//! The addresses and tunnels that packets wear at a point, kept once each.

use std::hash::{BuildHasher, Hash, Hasher};

use foldhash::SharedSeed;
use foldhash::quality::SeedableRandomState;
use hashbrown::HashTable;

use crate::flow::FlowKey;
use crate::identity::HashKey;
use crate::packet::{Packet, Tunnel};

/// Number of a set of headers within one trace.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct HeadersId(u32);

/// Number of a five-tuple within one trace.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct TupleId(u32);

impl TupleId {
    /// As an index into a table that grows with the tuples.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

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
    hasher: SeedableRandomState,
    ids: HashTable<HeadersId>,
    headers: Vec<Headers>,
    /// The tuple of each of the headers, looked at far more often than the rest of them.
    tuple_of: Vec<TupleId>,
    tuple_ids: HashTable<TupleId>,
    tuples: Vec<FlowKey>,
    capacity: usize,
}

impl HeadersTable {
    /// A table of at most `capacity` entries, whose hash cannot be crafted against without the key.
    pub fn new(capacity: usize, key: &HashKey) -> Self {
        let mut seed = [0; 8];
        seed.copy_from_slice(&key.0[..8]);
        Self {
            hasher: SeedableRandomState::with_seed(u64::from_le_bytes(seed), SharedSeed::global_fixed()),
            ids: HashTable::new(),
            headers: Vec::new(),
            tuple_of: Vec::new(),
            tuple_ids: HashTable::new(),
            tuples: Vec::new(),
            capacity,
        }
    }

    /// The number of a packet's headers; absent when they are new and the table is full.
    pub fn id(&mut self, packet: &Packet<'_>) -> Option<HeadersId> {
        self.id_of(packet.flow, &packet.tunnels)
    }

    /// The number of the same tunnels around another five-tuple; absent when that is new and the table is full.
    pub fn with_flow(&mut self, id: HeadersId, flow: FlowKey) -> Option<HeadersId> {
        let tunnels = self.at(id).tunnels.clone();
        self.id_of(flow, &tunnels)
    }

    fn id_of(&mut self, flow: FlowKey, tunnels: &[Tunnel]) -> Option<HeadersId> {
        let hash = hash_of(&self.hasher, &flow, tunnels);
        let is_same = |id: &HeadersId| {
            let known = &self.headers[id.0 as usize];
            known.flow == flow && known.tunnels == tunnels
        };
        if let Some(id) = self.ids.find(hash, is_same) {
            return Some(*id);
        }
        if self.headers.len() >= self.capacity {
            return None;
        }
        let id = HeadersId(u32::try_from(self.headers.len()).ok()?);
        let tuple = self.tuple_id(flow)?;
        self.headers.push(Headers { flow, tunnels: tunnels.to_vec() });
        self.tuple_of.push(tuple);
        let Self { ids, headers, hasher, .. } = self;
        ids.insert_unique(hash, id, |id| {
            let known = &headers[id.0 as usize];
            hash_of(hasher, &known.flow, &known.tunnels)
        });
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

    /// The number of the innermost five-tuple by its headers' number.
    pub fn tuple(&self, id: HeadersId) -> TupleId {
        self.tuple_of[id.0 as usize]
    }

    /// A five-tuple by its number.
    pub fn tuple_at(&self, id: TupleId) -> FlowKey {
        self.tuples[id.index()]
    }

    /// The number of a five-tuple, new or known; absent only beyond 2^32 of them.
    pub fn tuple_id(&mut self, flow: FlowKey) -> Option<TupleId> {
        if let Some(known) = self.known_tuple(flow) {
            return Some(known);
        }
        let hash = self.hasher.hash_one(flow);
        let id = TupleId(u32::try_from(self.tuples.len()).ok()?);
        self.tuples.push(flow);
        let Self { tuple_ids, tuples, hasher, .. } = self;
        tuple_ids.insert_unique(hash, id, |id| hasher.hash_one(tuples[id.index()]));
        Some(id)
    }

    /// The number of a five-tuple that was seen, or learnt, before.
    pub fn known_tuple(&self, flow: FlowKey) -> Option<TupleId> {
        let hash = self.hasher.hash_one(flow);
        self.tuple_ids.find(hash, |id| self.tuples[id.index()] == flow).copied()
    }
}

fn hash_of(hasher: &SeedableRandomState, flow: &FlowKey, tunnels: &[Tunnel]) -> u64 {
    let mut state = hasher.build_hasher();
    flow.hash(&mut state);
    tunnels.hash(&mut state);
    state.finish()
}
