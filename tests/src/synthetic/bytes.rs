//! A packet at a hop, as bytes from its Ethernet header to the snap length.

use std::net::Ipv4Addr;

use super::connection::Sent;
use super::network::{Hop, Node, POD_PORT, SERVICE_PORT, service};

const ETHERNET: usize = 14;
const IPV4: u16 = 20;
const TCP: u16 = 32;
const PROTOCOL_IPIP: u8 = 4;
const PROTOCOL_TCP: u8 = 6;
/// Don't fragment.
const FLAGS_DF: [u8; 2] = [0x40, 0];
const TTL: u8 = 64;
/// Two NOPs and a timestamps option (RFC 7323, appendix A).
const OPTION_TIMESTAMPS: [u8; 4] = [1, 1, 8, 10];

/// The captured bytes and the length of the whole.
pub(crate) fn write(sent: &Sent, hop: &Hop, snap: usize, bytes: &mut Vec<u8>) -> u32 {
    bytes.clear();
    ethernet(hop, bytes);
    let length = IPV4 + TCP + sent.payload_len;
    let outer = if hop.is_encapsulated { IPV4 } else { 0 };
    if hop.is_encapsulated {
        // The kernel's IPIP takes the identification of a packet that may not be fragmented for 0.
        let (source, destination) = (sent.from.address(sent.pair), sent.from.other().address(sent.pair));
        let header = Ipv4 { length: length + IPV4, identification: 0, ttl: TTL - 1, protocol: PROTOCOL_IPIP };
        header.write(source, destination, bytes);
    }
    let ttl = TTL - hop.routed;
    let header = Ipv4 { length, identification: sent.identification, ttl, protocol: PROTOCOL_TCP };
    let ((source, source_port), (destination, destination_port)) = ends(sent, hop);
    header.write(source, destination, bytes);
    tcp(sent, source_port, destination_port, bytes);
    payload(sent, snap, bytes);
    let whole = ETHERNET + usize::from(outer) + usize::from(length);
    u32::try_from(whole).unwrap_or(u32::MAX)
}

fn ethernet(hop: &Hop, bytes: &mut Vec<u8>) {
    let address = if hop.is_bare { [0; 6] } else { [0xee; 6] };
    bytes.extend(address);
    bytes.extend(address);
    bytes.extend([0x08, 0x00]);
}

type End = (Ipv4Addr, u16);

/// Source and destination as they are at the hop.
fn ends(sent: &Sent, hop: &Hop) -> (End, End) {
    let pair = sent.pair;
    match sent.from {
        Node::Clients => {
            ((Node::Clients.pod(pair, sent.sender), sent.port), server(pair, sent.receiver, hop))
        }
        Node::Servers => {
            (server(pair, sent.sender, hop), (Node::Clients.pod(pair, sent.receiver), sent.port))
        }
    }
}

fn server(pair: u8, pod: u32, hop: &Hop) -> End {
    if hop.has_service {
        (service(pair, pod), SERVICE_PORT)
    } else {
        (Node::Servers.pod(pair, pod), POD_PORT)
    }
}

struct Ipv4 {
    length: u16,
    identification: u16,
    ttl: u8,
    protocol: u8,
}

impl Ipv4 {
    fn write(&self, source: Ipv4Addr, destination: Ipv4Addr, bytes: &mut Vec<u8>) {
        let start = bytes.len();
        bytes.extend([0x45, 0]);
        bytes.extend(self.length.to_be_bytes());
        bytes.extend(self.identification.to_be_bytes());
        bytes.extend(FLAGS_DF);
        bytes.extend([self.ttl, self.protocol, 0, 0]);
        bytes.extend(source.octets());
        bytes.extend(destination.octets());
        let checksum = checksum(&bytes[start..]).to_be_bytes();
        bytes[start + 10..start + 12].copy_from_slice(&checksum);
    }
}

/// RFC 1071.
fn checksum(header: &[u8]) -> u16 {
    let words = header.chunks_exact(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])));
    let sum: u32 = words.sum();
    let [low0, low1, high0, high1] = sum.to_le_bytes();
    let (low, high) = (u16::from_le_bytes([low0, low1]), u16::from_le_bytes([high0, high1]));
    let (folded, carry) = low.overflowing_add(high);
    !(folded + u16::from(carry))
}

/// Its checksum is left to the device, as on every path without a physical link.
fn tcp(sent: &Sent, source: u16, destination: u16, bytes: &mut Vec<u8>) {
    const WINDOW: u16 = 501;
    const WORDS: u8 = 8;
    bytes.extend(source.to_be_bytes());
    bytes.extend(destination.to_be_bytes());
    bytes.extend(sent.sequence.to_be_bytes());
    bytes.extend(sent.acknowledgement.to_be_bytes());
    bytes.extend([WORDS << 4, sent.flags]);
    bytes.extend(WINDOW.to_be_bytes());
    bytes.extend([0; 4]);
    bytes.extend(OPTION_TIMESTAMPS);
    bytes.extend(sent.timestamps.0.to_be_bytes());
    bytes.extend(sent.timestamps.1.to_be_bytes());
}

/// The same byte at the same place of the stream.
fn payload(sent: &Sent, snap: usize, bytes: &mut Vec<u8>) {
    let captured = usize::from(sent.payload_len).min(snap.saturating_sub(bytes.len()));
    bytes.extend(
        (sent.sequence..).take(captured).map(|place| place.wrapping_mul(0x9e37_79b1).to_be_bytes()[0]),
    );
}
