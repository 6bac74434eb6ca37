//! One TCP connection: handshake, requests and answers, close.

use super::Traffic;
use super::network::{Node, PODS};
use super::random::Random;

/// Payload bytes of a full wire segment: Ethernet's 1500 less IPIP, IPv4, TCP and its timestamps.
pub(crate) const MSS: u16 = 1428;
/// One answer in so many is a super-packet, of at most so many wire segments.
const SUPER_EVERY: u64 = 10;
const SUPER_SEGMENTS: u64 = 10;

/// Ports that a client takes in turn, from 32768 on (`net.ipv4.ip_local_port_range`).
const PORTS: u64 = 28_232;

pub(crate) const FIN: u8 = 0x01;
pub(crate) const SYN: u8 = 0x02;
pub(crate) const PSH: u8 = 0x08;
pub(crate) const ACK: u8 = 0x10;

/// A packet as its sender's stack hands it down.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sent {
    /// Number of the pair of nodes.
    pub(crate) pair: u8,
    pub(crate) from: Node,
    pub(crate) sender: u32,
    pub(crate) receiver: u32,
    /// Port of the client.
    pub(crate) port: u16,
    pub(crate) flags: u8,
    pub(crate) sequence: u32,
    pub(crate) acknowledgement: u32,
    /// Timestamp value and echo reply, in milliseconds.
    pub(crate) timestamps: (u32, u32),
    pub(crate) identification: u16,
    /// Of all its wire segments, [`MSS`] in each but the last.
    pub(crate) payload_len: u16,
}

/// One end of a connection.
#[derive(Clone, Copy, Debug)]
struct End {
    sequence: u32,
    identification: u16,
    timestamp: u32,
}

/// A connection between two pods, about to send its next packet.
#[derive(Clone, Debug)]
pub(crate) struct Connection {
    pair: u8,
    requests: u32,
    client: u32,
    server: u32,
    port: u16,
    ends: [End; 2],
    step: u32,
}

impl Connection {
    /// The `number`th one of the capture: pods in turn, and a port that no other one of its client has.
    pub(crate) fn new(traffic: &Traffic, number: u64, random: &mut Random) -> Self {
        let mut end = || {
            let (first, second) = (random.next(), random.next());
            End {
                sequence: bits(first),
                identification: u16::try_from(first >> 48).unwrap_or_default(),
                timestamp: bits(second),
            }
        };
        let ends = [end(), end()];
        let port = 32_768 + u16::try_from(number / u64::from(PODS) % PORTS).unwrap_or_default();
        let pod = |number: u64| u32::try_from(number % u64::from(PODS)).unwrap_or_default();
        let Traffic { pair, requests, .. } = *traffic;
        Self { pair, requests, client: pod(number), server: pod(number / 7), port, ends, step: 0 }
    }

    /// Whether it has sent nothing yet.
    pub(crate) fn is_new(&self) -> bool {
        self.step == 0
    }

    /// What is sent next, at a time in milliseconds; absent when all is said.
    pub(crate) fn next(&mut self, milliseconds: u32, random: &mut Random) -> Option<Sent> {
        const FIRST: u32 = 3;
        let last = FIRST + 3 * self.requests;
        let step = self.step;
        self.step += 1;
        let (from, flags, payload_len) = match step {
            0 => (Node::Clients, SYN, 0),
            1 => (Node::Servers, SYN | ACK, 0),
            2 => (Node::Clients, ACK, 0),
            n if (FIRST..last).contains(&n) => match (n - FIRST) % 3 {
                0 => (Node::Clients, PSH | ACK, random.within(100..600)),
                1 => (Node::Servers, PSH | ACK, answer(random)),
                _ => (Node::Clients, ACK, 0),
            },
            n if n == last => (Node::Clients, FIN | ACK, 0),
            n if n == last + 1 => (Node::Servers, FIN | ACK, 0),
            n if n == last + 2 => (Node::Clients, ACK, 0),
            _ => return None,
        };
        Some(self.send(from, flags, u16::try_from(payload_len).unwrap_or(MSS), milliseconds))
    }

    fn send(&mut self, from: Node, flags: u8, payload_len: u16, milliseconds: u32) -> Sent {
        let [client, server] = &mut self.ends;
        let (this, other, sender, receiver) = match from {
            Node::Clients => (client, server, self.client, self.server),
            Node::Servers => (server, client, self.server, self.client),
        };
        let sent = Sent {
            pair: self.pair,
            from,
            sender,
            receiver,
            port: self.port,
            flags,
            sequence: this.sequence,
            acknowledgement: if flags & ACK == 0 { 0 } else { other.sequence },
            timestamps: (
                this.timestamp.wrapping_add(milliseconds),
                if flags & ACK == 0 { 0 } else { other.timestamp.wrapping_add(milliseconds) },
            ),
            identification: this.identification,
            payload_len,
        };
        let counted = u32::from(payload_len) + u32::from(flags & (SYN | FIN) != 0);
        this.sequence = this.sequence.wrapping_add(counted);
        this.identification = this.identification.wrapping_add(payload_len.div_ceil(MSS).max(1));
        sent
    }
}

/// The lower half.
fn bits(number: u64) -> u32 {
    u32::try_from(number & u64::from(u32::MAX)).unwrap_or_default()
}

/// Payload bytes of an answer.
fn answer(random: &mut Random) -> u64 {
    let mss = u64::from(MSS);
    if random.next().is_multiple_of(SUPER_EVERY) {
        random.within(mss + 1..mss * SUPER_SEGMENTS + 1)
    } else {
        random.within(200..mss + 1)
    }
}
