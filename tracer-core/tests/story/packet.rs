//! What a packet carries wherever it is seen.

use std::collections::BTreeMap;

/// A packet less its addresses.
#[derive(Clone, Debug)]
pub(super) struct PacketSpec {
    pub(super) transport: TransportSpec,
    pub(super) payload_len: usize,
    /// The first payload byte; the others count up.
    pub(super) seed: usize,
    /// The whole payload, where it is a DNS message.
    pub(super) message: Option<Vec<u8>>,
    pub(super) identification: u16,
    /// Offset in bytes, and whether others follow.
    pub(super) fragment: Option<(u16, bool)>,
}

#[derive(Clone, Debug)]
pub(super) enum TransportSpec {
    Tcp(TcpSpec),
    /// With the payload bytes of the whole datagram, where this is its first fragment.
    Udp {
        whole: Option<usize>,
    },
    Echo {
        is_reply: bool,
        sequence: u16,
    },
    Sctp {
        tag: u32,
        tsn: Option<u32>,
        stream: u16,
    },
    Error {
        kind: u8,
        code: u8,
        mtu: u32,
        quoted: Box<PacketSpec>,
    },
}

#[derive(Clone, Debug)]
pub(super) struct TcpSpec {
    pub(super) flags: String,
    pub(super) sequence: u32,
    pub(super) acknowledgement: u32,
    pub(super) window: u16,
    pub(super) timestamps: Option<(u32, u32)>,
    pub(super) mss: Option<u16>,
    pub(super) sack: Option<(u32, u32)>,
}

impl PacketSpec {
    pub(super) fn parse(words: &[&str], packets: &BTreeMap<String, Self>) -> Option<Self> {
        let (transport, rest) = TransportSpec::parse(words, packets)?;
        let mut spec =
            Self { transport, payload_len: 0, seed: 0, message: None, identification: 0, fragment: None };
        let mut words = rest;
        while !words.is_empty() {
            words = spec.option(words)?;
        }
        Some(spec)
    }

    /// Takes one option; returns the words behind it.
    fn option<'a, 'w>(&mut self, words: &'a [&'w str]) -> Option<&'a [&'w str]> {
        let (offset, more) = self.fragment.unwrap_or_default();
        Some(match words {
            ["len", value, rest @ ..] => {
                self.payload_len = value.parse().ok()?;
                rest
            }
            ["seed", value, rest @ ..] => {
                self.seed = value.parse().ok()?;
                rest
            }
            ["dns", id, name, kind, rest @ ..] => {
                let message = question(id.parse().ok()?, name, kind.parse().ok()?);
                self.payload_len = message.len();
                self.message = Some(message);
                rest
            }
            ["code", code, "records", records, rest @ ..] => {
                let message = self.message.as_mut()?;
                message[2..4].copy_from_slice(&[0x81, 0x80 | code.parse::<u8>().ok()?]);
                message[6..8].copy_from_slice(&records.parse::<u16>().ok()?.to_be_bytes());
                rest
            }
            ["id", value, rest @ ..] => {
                self.identification = value.parse().ok()?;
                rest
            }
            ["offset", value, rest @ ..] => {
                self.fragment = Some((value.parse().ok()?, more));
                rest
            }
            ["more", rest @ ..] => {
                self.fragment = Some((offset, true));
                rest
            }
            _ => return self.transport.option(words),
        })
    }
}

/// A query for records of one type (RFC 1035, section 4.1).
fn question(id: u16, name: &str, kind: u16) -> Vec<u8> {
    let mut message = id.to_be_bytes().to_vec();
    message.extend([1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    for label in name.split('.') {
        message.push(u8::try_from(label.len()).unwrap());
        message.extend(label.as_bytes());
    }
    message.push(0);
    message.extend(kind.to_be_bytes());
    message.extend([0, 1]);
    message
}

impl TransportSpec {
    fn parse<'a, 'w>(
        words: &'a [&'w str],
        packets: &BTreeMap<String, PacketSpec>,
    ) -> Option<(Self, &'a [&'w str])> {
        Some(match words {
            ["tcp", rest @ ..] => {
                let is_flags = |word: &&&str| word.chars().all(|c| "SAFR".contains(c));
                let flags = rest.first().filter(is_flags).copied().unwrap_or_default();
                (Self::Tcp(TcpSpec::new(flags)), &rest[usize::from(!flags.is_empty())..])
            }
            ["udp", rest @ ..] => (Self::Udp { whole: None }, rest),
            ["echo", rest @ ..] => (Self::Echo { is_reply: false, sequence: 0 }, rest),
            ["reply", rest @ ..] => (Self::Echo { is_reply: true, sequence: 0 }, rest),
            ["sctp", rest @ ..] => (Self::Sctp { tag: 0, tsn: None, stream: 0 }, rest),
            ["error", kind, code, "of", quoted, rest @ ..] => {
                let quoted = Box::new(packets.get(*quoted)?.clone());
                (Self::Error { kind: kind.parse().ok()?, code: code.parse().ok()?, mtu: 0, quoted }, rest)
            }
            _ => return None,
        })
    }

    fn option<'a, 'w>(&mut self, words: &'a [&'w str]) -> Option<&'a [&'w str]> {
        match (self, words) {
            (Self::Tcp(tcp), _) => return tcp.option(words),
            (Self::Udp { whole }, ["whole", value, ..]) => *whole = Some(value.parse().ok()?),
            (Self::Echo { sequence, .. }, ["seq", value, ..]) => *sequence = value.parse().ok()?,
            (Self::Sctp { tag, .. }, ["tag", value, ..]) => *tag = value.parse().ok()?,
            (Self::Sctp { tsn, .. }, ["tsn", value, ..]) => *tsn = Some(value.parse().ok()?),
            (Self::Sctp { stream, .. }, ["stream", value, ..]) => *stream = value.parse().ok()?,
            (Self::Error { mtu, .. }, ["mtu", value, ..]) => *mtu = value.parse().ok()?,
            _ => return None,
        }
        Some(&words[2..])
    }
}

impl TcpSpec {
    fn new(flags: &str) -> Self {
        Self {
            flags: flags.to_owned(),
            sequence: 0,
            acknowledgement: 0,
            window: 65_000,
            timestamps: Some((1, 2)),
            mss: None,
            sack: None,
        }
    }

    fn option<'a, 'w>(&mut self, words: &'a [&'w str]) -> Option<&'a [&'w str]> {
        Some(match words {
            ["seq", value, rest @ ..] => {
                self.sequence = value.parse().ok()?;
                rest
            }
            ["ack", value, rest @ ..] => {
                self.acknowledgement = value.parse().ok()?;
                rest
            }
            ["win", value, rest @ ..] => {
                self.window = value.parse().ok()?;
                rest
            }
            ["ts", "none", rest @ ..] => {
                self.timestamps = None;
                rest
            }
            ["ts", value, echo, rest @ ..] => {
                self.timestamps = Some((value.parse().ok()?, echo.parse().ok()?));
                rest
            }
            ["mss", value, rest @ ..] => {
                self.mss = Some(value.parse().ok()?);
                rest
            }
            ["sack", from, to, rest @ ..] => {
                self.sack = Some((from.parse().ok()?, to.parse().ok()?));
                rest
            }
            _ => return None,
        })
    }
}
