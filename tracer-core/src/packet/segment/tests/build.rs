//! Packets put together from the inside, as the senders' stacks do it.

/// One header around what is inside.
#[derive(Clone, Copy, Debug)]
pub(super) enum Shell {
    /// Ethernet, with a tag where there is one.
    Ethernet(Option<u16>),
    /// IPv4 with this identification, so many bytes of options, and "don't fragment" or not.
    Ipv4 { id: u16, options: usize, is_whole: bool },
    /// IPv6.
    Ipv6,
    /// IPv6 with destination options.
    Ipv6Options,
    /// IPv6 with a segment routing header whose last destination is another address than the header's.
    Ipv6Route,
    /// UDP to this port with VXLAN in it, with a checksum or without.
    Vxlan { port: u16, has_checksum: bool },
    /// UDP to this port with Geneve in it, with so many bytes of options.
    Geneve { port: u16, options: usize },
    /// GRE, with a checksum or without, with a key.
    Gre { has_checksum: bool },
    /// One label, the last.
    Mpls,
}

/// The header around the payload.
#[derive(Clone, Copy, Debug)]
pub(super) enum Transport {
    /// TCP with this sequence number, these flags, and so many bytes of options.
    Tcp { sequence: u32, flags: u8, options: usize },
    /// UDP.
    Udp,
}

/// Headers from the outside to the inside.
#[derive(Clone, Debug)]
pub(super) struct Stack {
    pub(super) shells: Vec<Shell>,
    pub(super) transport: Transport,
}

/// What a header would have to say about what is in it.
#[derive(Clone, Copy)]
enum Content {
    Protocol(u8),
    Ethertype(u16),
    Frame,
}

/// What a checksum that is not computed yet looks like.
pub(super) const GARBAGE: [u8; 2] = [0xbe, 0xef];
/// Bytes of a segment routing header with two addresses.
pub(super) const ROUTE_LEN: usize = 40;

impl Content {
    fn protocol(self) -> u8 {
        match self {
            Self::Protocol(protocol) => protocol,
            Self::Ethertype(0x0800) => 4,
            Self::Ethertype(_) => 41,
            Self::Frame => unreachable!("IP carries no frames"),
        }
    }

    fn ethertype(self) -> [u8; 2] {
        match self {
            Self::Ethertype(ethertype) => ethertype.to_be_bytes(),
            Self::Frame => [0x65, 0x58],
            Self::Protocol(_) => unreachable!("a protocol has no ethertype"),
        }
    }
}

impl Stack {
    /// The packet with this payload.
    pub(super) fn bytes(&self, payload: &[u8]) -> Vec<u8> {
        let (mut bytes, mut content) = match self.transport {
            Transport::Tcp { sequence, flags, options } => {
                (tcp(sequence, flags, options), Content::Protocol(6))
            }
            Transport::Udp => (udp(443, payload.len(), true), Content::Protocol(17)),
        };
        bytes.extend(payload);
        for shell in self.shells.iter().rev() {
            let header;
            (header, content) = shell.header(content, &bytes);
            bytes.splice(0..0, header);
        }
        bytes
    }

    /// Bytes before the payload.
    pub(super) fn header_len(&self) -> usize {
        self.bytes(&[]).len()
    }
}

impl Shell {
    fn header(self, content: Content, inside: &[u8]) -> (Vec<u8>, Content) {
        match self {
            Self::Ethernet(tag) => (ethernet(tag, content), Content::Frame),
            Self::Ipv4 { id, options, is_whole } => {
                (ipv4(id, options, is_whole, content, inside.len()), Content::Ethertype(0x0800))
            }
            Self::Ipv6 => (ipv6(content.protocol(), &[], inside.len()), Content::Ethertype(0x86dd)),
            Self::Ipv6Options => {
                let options = [content.protocol(), 0, 1, 4, 0, 0, 0, 0];
                (ipv6(60, &options, inside.len()), Content::Ethertype(0x86dd))
            }
            Self::Ipv6Route => {
                let mut route = vec![content.protocol(), 4, 4, 1, 1, 0, 0, 0];
                route.extend([0x11; 16].into_iter().chain([0x22; 16]));
                (ipv6(43, &route, inside.len()), Content::Ethertype(0x86dd))
            }
            Self::Vxlan { port, has_checksum } => {
                let mut header = udp(port, 8 + inside.len(), has_checksum);
                header.extend([8, 0, 0, 0, 0, 0, 42, 0]);
                (header, Content::Protocol(17))
            }
            Self::Geneve { port, options } => {
                let mut header = udp(port, 8 + options + inside.len(), false);
                header.extend([u8::try_from(options / 4).unwrap(), 0]);
                header.extend(content.ethertype());
                header.extend([0, 0, 42, 0]);
                header.extend(vec![0x33; options]);
                (header, Content::Protocol(17))
            }
            Self::Gre { has_checksum } => (gre(has_checksum, content), Content::Protocol(47)),
            Self::Mpls => (vec![0, 1, 1, 64], Content::Ethertype(0x8847)),
        }
    }
}

/// A length of 16 bits; 0 for what is beyond (BIG TCP).
fn short(len: usize) -> [u8; 2] {
    u16::try_from(len).unwrap_or_default().to_be_bytes()
}

fn ethernet(tag: Option<u16>, content: Content) -> Vec<u8> {
    let mut header = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1];
    if let Some(tag) = tag {
        header.extend([0x81, 0x00]);
        header.extend(tag.to_be_bytes());
    }
    header.extend(content.ethertype());
    header
}

fn ipv4(id: u16, options: usize, is_whole: bool, content: Content, inside: usize) -> Vec<u8> {
    let mut header = vec![u8::try_from(0x45 + options / 4).unwrap(), 0];
    header.extend(short(20 + options + inside));
    header.extend(id.to_be_bytes());
    header.extend([if is_whole { 0x40 } else { 0 }, 0, 64, content.protocol()]);
    header.extend(GARBAGE);
    header.extend([10, 0, 0, 1, 10, 0, 0, 2]);
    header.extend(vec![1; options]);
    header
}

fn ipv6(next: u8, extension: &[u8], inside: usize) -> Vec<u8> {
    let mut header = vec![0x60, 0, 0, 0];
    header.extend(short(extension.len() + inside));
    header.extend([next, 64]);
    header.extend([0xfd; 16].into_iter().chain([0xfe; 16]));
    header.extend(extension);
    header
}

fn udp(port: u16, payload: usize, has_checksum: bool) -> Vec<u8> {
    let mut header = vec![0xc0, 0x01];
    header.extend(port.to_be_bytes());
    header.extend(short(8 + payload));
    header.extend(if has_checksum { GARBAGE } else { [0; 2] });
    header
}

fn tcp(sequence: u32, flags: u8, options: usize) -> Vec<u8> {
    let mut header = vec![0xc0, 0x01, 0x01, 0xbb];
    header.extend(sequence.to_be_bytes());
    header.extend([0, 0, 0, 9]);
    header.extend([u8::try_from((20 + options) / 4 * 16).unwrap(), flags, 1, 0]);
    header.extend(GARBAGE);
    header.extend([0, 0]);
    header.extend(vec![1; options]);
    header
}

fn gre(has_checksum: bool, content: Content) -> Vec<u8> {
    let mut header = vec![if has_checksum { 0xa0 } else { 0x20 }, 0];
    header.extend(content.ethertype());
    if has_checksum {
        header.extend(GARBAGE);
        header.extend([0, 0]);
    }
    header.extend([0, 0, 0, 42]);
    header
}
