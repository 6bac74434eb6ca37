//! DNS messages (RFC 1035) as far as they were captured: who asks what, and how it is answered.
//!
//! A snap length often ends within the question. What is there is told, and that it is not all.

use std::fmt::{self, Write as _};

use super::{Packet, Transport};
use crate::flow::Port;

/// The port of name servers (RFC 1035, section 4.2).
pub const PORT: Port = Port(53);

const HEADER: usize = 12;
/// Greatest length of a name in bytes (RFC 1035, section 2.3.4).
const MAX_NAME: usize = 255;
const MAX_LABEL: u8 = 63;
/// Bytes before a message on a stream, which tell its length (RFC 1035, section 4.2.2).
const STREAM_PREFIX: usize = 2;

/// A query or a response.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Message {
    /// The same in a query and its response.
    pub id: u16,
    /// Whether it is a response.
    pub is_response: bool,
    /// Whether the response was too long for a datagram (`TC`).
    pub is_truncated: bool,
    /// How the query went; of a query 0.
    pub code: ResponseCode,
    /// Records in the answer section.
    pub answers: u16,
    /// What is asked; absent in a response that does not repeat it, or where nothing of it was captured.
    pub question: Option<Question>,
}

/// What is asked.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Question {
    /// The name, without the dot at its end; `.` for the root. Other bytes than printable ones are `\DDD`.
    pub name: String,
    /// Whether the name goes on behind what was captured.
    pub is_cut: bool,
    /// Type of the records asked for; absent where it was not captured.
    pub kind: Option<RecordType>,
}

/// `QTYPE`, written as its mnemonic or, by RFC 3597, `TYPE` and its number.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RecordType(pub u16);

/// `RCODE` of the header: four bits.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ResponseCode(pub u8);

impl ResponseCode {
    /// The query was answered, with or without records.
    pub const NO_ERROR: Self = Self(0);
    /// The name does not exist.
    pub const NX_DOMAIN: Self = Self(3);
}

impl Message {
    /// The message that a packet to or from port 53 carries; absent in any other.
    pub fn of(packet: &Packet<'_>) -> Option<Self> {
        let (source, destination) = (packet.flow.source.port, packet.flow.destination.port);
        if source != PORT && destination != PORT {
            return None;
        }
        match packet.transport {
            Transport::Udp => Self::parse(packet.payload),
            // A message of a stream that has a segment for itself, as resolvers send it.
            Transport::Tcp(_) => {
                let (prefix, message) = packet.payload.split_first_chunk::<STREAM_PREFIX>()?;
                let len = u32::from(u16::from_be_bytes(*prefix)) + 2;
                (len == packet.payload_len).then(|| Self::parse(message)).flatten()
            }
            _ => None,
        }
    }

    /// Reads a message of the kind QUERY with one question, or a response without any.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        const RESPONSE: u16 = 0x8000;
        const OPERATION: u16 = 0x7800;
        const TRUNCATED: u16 = 0x0200;
        let header = bytes.first_chunk::<HEADER>()?;
        let word = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
        let (flags, questions) = (word(2), word(4));
        let is_response = flags & RESPONSE != 0;
        if flags & OPERATION != 0 || questions > 1 || (questions == 0 && !is_response) {
            return None;
        }
        let question = if questions == 1 { Question::parse(&bytes[HEADER..])? } else { None };
        let [.., code] = flags.to_be_bytes();
        Some(Self {
            id: word(0),
            is_response,
            is_truncated: flags & TRUNCATED != 0,
            code: ResponseCode(code & 0x0f),
            answers: word(6),
            question,
        })
    }

    /// Whether it tells more of the question than another view of the same message.
    pub fn tells_more_than(&self, other: &Self) -> bool {
        let told = |message: &Self| {
            message.question.as_ref().map(|question| (question.name.len(), question.kind.is_some()))
        };
        told(self) > told(other)
    }
}

impl Question {
    /// Reads a question; nothing within where nothing was captured, nothing at all where it is none.
    #[expect(clippy::option_option, reason = "what is not there and what is wrong are two things")]
    fn parse(mut bytes: &[u8]) -> Option<Option<Self>> {
        let mut name = String::new();
        let mut used = 0;
        loop {
            let Some((len, rest)) = bytes.split_first() else {
                let is_empty = name.is_empty();
                return Some((!is_empty).then_some(Self { name, is_cut: true, kind: None }));
            };
            if *len == 0 {
                bytes = rest;
                break;
            }
            used += usize::from(*len) + 1;
            // The question is the first name of a message: there is nothing that a pointer could lead to.
            if *len > MAX_LABEL || used > MAX_NAME {
                return None;
            }
            if !name.is_empty() {
                name.push('.');
            }
            let (label, after) = rest.split_at(rest.len().min(usize::from(*len)));
            write_label(&mut name, label);
            if label.len() < usize::from(*len) {
                return Some(Some(Self { name, is_cut: true, kind: None }));
            }
            bytes = after;
        }
        if name.is_empty() {
            name.push('.');
        }
        let kind = bytes.first_chunk::<2>().map(|kind| RecordType(u16::from_be_bytes(*kind)));
        Some(Some(Self { name, is_cut: false, kind }))
    }

    /// Whether two are the same question, as far as both were captured. Letters count alike whatever their case.
    pub fn is_same(&self, other: &Self) -> bool {
        let (short, long) = if self.name.len() <= other.name.len() { (self, other) } else { (other, self) };
        let common = long.name.as_bytes().get(..short.name.len()).unwrap_or_default();
        let is_whole = short.is_cut || short.name.len() == long.name.len();
        let is_kind = match (self.kind, other.kind) {
            (Some(one), Some(another)) => one == another,
            _ => true,
        };
        is_whole && is_kind && common.eq_ignore_ascii_case(short.name.as_bytes())
    }
}

/// Writes a label as master files do (RFC 1035, section 5.1).
fn write_label(name: &mut String, label: &[u8]) {
    for byte in label {
        match byte {
            b'.' | b'\\' => {
                name.push('\\');
                name.push(char::from(*byte));
            }
            b'!'..=b'~' => name.push(char::from(*byte)),
            other => {
                let _ = write!(name, "\\{other:03}");
            }
        }
    }
}

impl fmt::Display for RecordType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            1 => "A",
            2 => "NS",
            5 => "CNAME",
            6 => "SOA",
            12 => "PTR",
            15 => "MX",
            16 => "TXT",
            28 => "AAAA",
            33 => "SRV",
            35 => "NAPTR",
            43 => "DS",
            48 => "DNSKEY",
            64 => "SVCB",
            65 => "HTTPS",
            255 => "ANY",
            other => return write!(f, "TYPE{other}"),
        })
    }
}

impl fmt::Display for ResponseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            0 => "NOERROR",
            1 => "FORMERR",
            2 => "SERVFAIL",
            3 => "NXDOMAIN",
            4 => "NOTIMP",
            5 => "REFUSED",
            other => return write!(f, "RCODE{other}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `tshark -x` of a query of glibc for `svc.default.svc.cluster.local`, type AAAA.
    const QUERY: &[u8] = b"\x1a\x2b\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x03svc\x07default\x03svc\x07cluster\x05local\x00\x00\x1c\x00\x01";
    const NAME: &str = "svc.default.svc.cluster.local";

    fn response(code: u8) -> Vec<u8> {
        let mut bytes = QUERY.to_vec();
        bytes[2] = 0x81;
        bytes[3] = 0x80 | code;
        bytes
    }

    #[test]
    fn a_query_and_its_response() {
        let query = Message::parse(QUERY).unwrap();
        assert_eq!((query.id, query.is_response), (0x1a2b, false));
        let asked = query.question.unwrap();
        assert_eq!((asked.name.as_str(), asked.is_cut), (NAME, false));
        assert_eq!(asked.kind.unwrap().to_string(), "AAAA");
        let answer = Message::parse(&response(3)).unwrap();
        assert!(answer.is_response);
        assert_eq!(answer.code, ResponseCode::NX_DOMAIN);
        assert!(answer.question.unwrap().is_same(&asked));
    }

    #[test]
    fn what_the_snap_length_cut_off_is_said() {
        let whole = Message::parse(QUERY).unwrap();
        for end in 0..QUERY.len() {
            let Some(message) = Message::parse(&QUERY[..end]) else {
                assert!(end < 12, "{end}");
                continue;
            };
            let Some(question) = &message.question else {
                assert!(end <= 13, "{end}");
                continue;
            };
            assert!(NAME.starts_with(question.name.as_str()), "{end}: {}", question.name);
            assert!(question.is_same(whole.question.as_ref().unwrap()), "{end}");
            assert_eq!(question.is_cut, end < 43, "{end}");
            assert!(end >= 45 || (question.kind.is_none() && whole.tells_more_than(&message)), "{end}");
        }
    }

    #[test]
    fn what_is_no_query_is_none() {
        let with = |at: usize, value: u8| {
            let mut bytes = QUERY.to_vec();
            bytes[at] = value;
            bytes
        };
        // Another operation, two questions, a pointer, a label that is too long.
        for bytes in [with(2, 0x28), with(5, 2), with(12, 0xc0), with(12, 64)] {
            assert_eq!(Message::parse(&bytes), None);
        }
        let mut long = QUERY[..12].to_vec();
        long.extend([63; 400]);
        assert_eq!(Message::parse(&long), None);
    }

    #[test]
    fn letters_count_alike_and_other_bytes_are_escaped() {
        let upper = Message::parse(&QUERY.to_ascii_uppercase()).unwrap().question.unwrap();
        assert!(upper.is_same(&Message::parse(QUERY).unwrap().question.unwrap()));
        let mut odd = QUERY[..12].to_vec();
        odd.extend(b"\x04a.\x00\xff\x00\x00\x01\x00\x01");
        assert_eq!(Message::parse(&odd).unwrap().question.unwrap().name, "a\\.\\000\\255");
        let mut root = QUERY[..12].to_vec();
        root.extend(b"\x00\x00\x02\x00\x01");
        assert_eq!(Message::parse(&root).unwrap().question.unwrap().name, ".");
    }
}
