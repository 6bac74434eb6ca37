//! What is sent: wire segments, each transmission one of its own, and the packets that stand for several of them.

use tracer_core::units::Gso;

/// Number of a wire segment's transmission.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) struct EmissionId(pub(crate) u32);

impl EmissionId {
    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}

/// Number of a direction of a flow: twice the flow's number, one more for the way back.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) struct LaneId(pub(crate) usize);

impl LaneId {
    /// That from the client (0) or the server (1) of a flow.
    pub(crate) fn of(flow: usize, end: usize) -> Self {
        Self(flow * 2 + end)
    }

    pub(crate) fn flow(self) -> usize {
        self.0 / 2
    }

    pub(crate) fn end(self) -> usize {
        self.0 % 2
    }
}

/// One transmission of one wire segment.
#[derive(Clone, Debug)]
pub(crate) struct Emission {
    pub(crate) lane: LaneId,
    /// IPv4 identification; absent in IPv6 without a fragment header.
    pub(crate) identification: Option<u32>,
    pub(crate) segment: Segment,
}

#[derive(Clone, Debug)]
pub(crate) enum Segment {
    Tcp(TcpSegment),
    Udp {
        len: u32,
        content: u64,
    },
    Echo {
        is_reply: bool,
        sequence: u16,
        len: u32,
        content: u64,
    },
    /// A packet with one DATA chunk.
    Data {
        tag: u32,
        tsn: u32,
        stream: u16,
        len: u32,
    },
    /// A packet with a selective acknowledgement chunk.
    Sack {
        tag: u32,
        tsn: u32,
    },
    /// Bytes of a UDP datagram, its header being the first eight.
    Fragment {
        offset: u32,
        is_last: bool,
        len: u32,
        datagram_len: u32,
        content: u64,
    },
}

#[derive(Clone, Debug)]
pub(crate) struct TcpSegment {
    pub(crate) sequence: u32,
    /// Absent without the ACK flag.
    pub(crate) acknowledgement: Option<u32>,
    /// Value and echo; absent in a RST of a socket that is gone.
    pub(crate) timestamps: Option<(u32, u32)>,
    pub(crate) sack: Vec<(u32, u32)>,
    pub(crate) flags: Flags,
    pub(crate) len: u32,
    pub(crate) window: u16,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Flags(pub(crate) u8);

impl Flags {
    pub(crate) const FIN: u8 = 1;
    pub(crate) const SYN: u8 = 2;
    pub(crate) const RST: u8 = 4;
    pub(crate) const PSH: u8 = 8;

    pub(crate) fn has(self, bit: u8) -> bool {
        self.0 & bit != 0
    }
}

impl Segment {
    /// Transport payload bytes; of a fragment, its bytes.
    pub(crate) fn len(&self) -> u32 {
        match self {
            Self::Tcp(tcp) => tcp.len,
            Self::Udp { len, .. }
            | Self::Echo { len, .. }
            | Self::Data { len, .. }
            | Self::Fragment { len, .. } => *len,
            Self::Sack { .. } => 0,
        }
    }
}

/// A packet on its way, as a kernel holds it: one wire segment, or several that are not cut yet or joined again.
#[derive(Clone, Debug)]
pub(crate) struct Packet {
    pub(crate) lane: LaneId,
    /// Never empty.
    pub(crate) parts: Vec<EmissionId>,
}

/// Segmentation facts of a packet of these wire segments.
pub(crate) fn gso(parts: &[EmissionId], emissions: &[Emission]) -> Option<Gso> {
    let first = &emissions[parts[0].index()];
    (parts.len() > 1).then(|| Gso {
        size: u16::try_from(first.segment.len()).unwrap(),
        segments: u16::try_from(parts.len()).unwrap(),
    })
}
