//! Transport headers and what they carry.

use tracer_core::flow::{FlowKey, Protocol};

use super::writer::Writer;
use crate::emission::{Emission, EmissionId, Flags, Segment, TcpSegment};

/// A transport header with the payload behind it.
pub(super) struct Transport {
    pub(super) head: Vec<u8>,
    /// Header and payload.
    pub(super) len: usize,
    /// Contents and lengths of the payload's parts.
    payload: Vec<(u64, u32)>,
}

impl Transport {
    pub(super) fn of(parts: &[EmissionId], emissions: &[Emission], tuple: FlowKey) -> Self {
        let segments = || parts.iter().map(|part| &emissions[part.index()].segment);
        let total: u32 = segments().map(Segment::len).sum();
        let port_bytes = [tuple.source.port.0.to_be_bytes(), tuple.destination.port.0.to_be_bytes()].concat();
        let mut head = Vec::with_capacity(60);
        let mut payload = Vec::new();
        let mut len = total as usize;
        match &emissions[parts[0].index()].segment {
            Segment::Tcp(first) => {
                head.extend(&port_bytes);
                // PSH and FIN of any of them are those of the whole.
                let flags = segments().fold(0, |all, segment| match segment {
                    Segment::Tcp(tcp) => all | tcp.flags.0,
                    _ => all,
                });
                tcp_header(&mut head, first, Flags(flags));
                payload.push((u64::from(first.sequence), total));
            }
            Segment::Udp { .. } => {
                udp_header(&mut head, &port_bytes, total);
                payload.extend(segments().map(|segment| match segment {
                    Segment::Udp { len, content } => (*content, *len),
                    _ => (0, segment.len()),
                }));
            }
            Segment::Echo { is_reply, sequence, len, content } => {
                let kind = match (tuple.protocol, is_reply) {
                    (Protocol::ICMP, false) => 8,
                    (Protocol::ICMP, true) => 0,
                    (_, false) => 128,
                    (_, true) => 129,
                };
                head.extend([kind, 0, 0, 0]);
                head.extend(tuple.source.port.0.to_be_bytes());
                head.extend(sequence.to_be_bytes());
                payload.push((*content, *len));
            }
            Segment::Data { tag, tsn, stream, len } => {
                sctp_header(&mut head, &port_bytes, *tag);
                head.extend([0, 3]);
                head.extend(u16::try_from(16 + len).unwrap().to_be_bytes());
                head.extend(tsn.to_be_bytes());
                head.extend(stream.to_be_bytes());
                head.extend([0; 6]);
                payload.push((u64::from(*tsn), *len));
            }
            Segment::Sack { tag, tsn } => {
                sctp_header(&mut head, &port_bytes, *tag);
                head.extend([3, 0, 0, 16]);
                head.extend(tsn.to_be_bytes());
                head.extend([0, 1, 0, 0, 0, 0, 0, 0]);
            }
            Segment::Fragment { offset, datagram_len, content, len: bytes, .. } => {
                let mut bytes = *bytes;
                if *offset == 0 {
                    udp_header(&mut head, &port_bytes, *datagram_len);
                    len -= head.len();
                    bytes -= 8;
                }
                payload.push((content ^ u64::from(*offset), bytes));
            }
        }
        Self { len: head.len() + len, head, payload }
    }

    pub(super) fn write_payload(&self, writer: &mut Writer) {
        for (content, len) in &self.payload {
            for index in 0..*len {
                if writer.is_full() {
                    return;
                }
                writer.put(&[content_byte(*content, index)]);
            }
        }
    }
}

/// Payloads are equal if their contents have one number.
fn content_byte(content: u64, index: u32) -> u8 {
    let word = content.wrapping_add(u64::from(index / 8)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    word.to_le_bytes()[index as usize % 8] ^ 0x5a
}

pub(super) fn udp_header(head: &mut Vec<u8>, ports: &[u8], payload: u32) {
    head.extend(ports);
    // The length of a super-packet beyond 64 KiB does not fit; none is that long here.
    head.extend(u16::try_from(payload + 8).unwrap().to_be_bytes());
    head.extend([0, 0]);
}

fn sctp_header(head: &mut Vec<u8>, ports: &[u8], tag: u32) {
    head.extend(ports);
    head.extend(tag.to_be_bytes());
    head.extend([0; 4]);
}

fn tcp_header(head: &mut Vec<u8>, tcp: &TcpSegment, flags: Flags) {
    let mut options = Vec::new();
    if tcp.flags.has(Flags::SYN) {
        options.extend([2, 4, 5, 0x78, 4, 2]);
        let (value, echo) = tcp.timestamps.unwrap_or_default();
        options.extend([8, 10]);
        options.extend(value.to_be_bytes());
        options.extend(echo.to_be_bytes());
        options.extend([1, 3, 3, 7]);
        options.resize(options.len().next_multiple_of(4), 0);
    } else if let Some((value, echo)) = tcp.timestamps {
        options.extend([1, 1, 8, 10]);
        options.extend(value.to_be_bytes());
        options.extend(echo.to_be_bytes());
        if !tcp.sack.is_empty() {
            options.extend([1, 1, 5, u8::try_from(2 + 8 * tcp.sack.len()).unwrap()]);
            for (left, right) in &tcp.sack {
                options.extend(left.to_be_bytes());
                options.extend(right.to_be_bytes());
            }
        }
    }
    let words = u8::try_from((20 + options.len()) / 4).unwrap();
    let ack = if tcp.acknowledgement.is_some() { 0x10 } else { 0 };
    head.extend(tcp.sequence.to_be_bytes());
    head.extend(tcp.acknowledgement.unwrap_or_default().to_be_bytes());
    head.extend([words << 4, flags.0 | ack]);
    head.extend(tcp.window.to_be_bytes());
    head.extend([0; 4]);
    head.extend(options);
}
