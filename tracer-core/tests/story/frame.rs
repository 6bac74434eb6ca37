//! One line of a story to the bytes of a packet.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddrV4};

use etherparse::{IpNumber, PacketBuilder, TcpHeader, TcpOptionElement, UdpHeader};
use tracer_core::units::{Direction, Gso};

const MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
const VXLAN_PORT: u16 = 4789;

/// What a packet carries wherever it is seen.
#[derive(Clone, Debug, Default)]
pub(crate) struct PacketSpec {
    protocol: String,
    flags: String,
    sequence: u32,
    acknowledgement: u32,
    payload_len: usize,
    identification: u16,
}

impl PacketSpec {
    pub(crate) fn parse(words: &[&str]) -> Option<Self> {
        let (protocol, mut rest) = words.split_first()?;
        let mut spec = Self { protocol: (*protocol).to_owned(), ..Self::default() };
        if let Some((flags, tail)) =
            rest.split_first().filter(|(word, _)| word.chars().all(|c| "SAFR".contains(c)))
        {
            (*flags).clone_into(&mut spec.flags);
            rest = tail;
        }
        for pair in rest.chunks(2) {
            let [key, value] = *pair else { return None };
            match key {
                "seq" => spec.sequence = value.parse().ok()?,
                "ack" => spec.acknowledgement = value.parse().ok()?,
                "len" => spec.payload_len = value.parse().ok()?,
                "id" => spec.identification = value.parse().ok()?,
                _ => return None,
            }
        }
        Some(spec)
    }
}

/// A packet seen at a place.
#[derive(Clone, Debug)]
pub(crate) struct Sight {
    /// Nanoseconds after the story's beginning, by a true clock.
    pub(crate) time: u64,
    pub(crate) node: String,
    pub(crate) interface: String,
    pub(crate) direction: Direction,
    pub(crate) gso: Option<Gso>,
    packet: PacketSpec,
    source: SocketAddrV4,
    destination: SocketAddrV4,
    ttl: u8,
    outer: Option<Outer>,
}

#[derive(Clone, Debug)]
struct Outer {
    vni: Option<u32>,
    source: Ipv4Addr,
    destination: Ipv4Addr,
}

impl Sight {
    pub(crate) fn parse(words: &[&str], packets: &BTreeMap<String, PacketSpec>) -> Option<Self> {
        let [time, node, interface, direction, packet, source, ">", destination, "ttl", ttl, rest @ ..] =
            words
        else {
            return None;
        };
        let mut sight = Self {
            time: time.parse::<u64>().ok()? * 1000,
            node: (*node).to_owned(),
            interface: (*interface).to_owned(),
            direction: match *direction {
                "in" => Direction::Ingress,
                "out" => Direction::Egress,
                _ => return None,
            },
            gso: None,
            packet: packets.get(*packet)?.clone(),
            source: socket(source)?,
            destination: socket(destination)?,
            ttl: ttl.parse().ok()?,
            outer: None,
        };
        sight.options(rest)?;
        Some(sight)
    }

    fn options(&mut self, mut words: &[&str]) -> Option<()> {
        while !words.is_empty() {
            words = match words {
                ["ipip", source, ">", destination, rest @ ..] => {
                    let (source, destination) = (source.parse().ok()?, destination.parse().ok()?);
                    self.outer = Some(Outer { vni: None, source, destination });
                    rest
                }
                ["vxlan", vni, source, ">", destination, rest @ ..] => {
                    let (source, destination) = (source.parse().ok()?, destination.parse().ok()?);
                    self.outer = Some(Outer { vni: vni.parse().ok(), source, destination });
                    rest
                }
                ["gso", size, rest @ ..] => {
                    self.gso = Some(Gso { size: size.parse().ok()?, segments: 0 });
                    rest
                }
                _ => return None,
            };
        }
        Some(())
    }

    /// The whole frame.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let frame = self.inner();
        let Some(outer) = &self.outer else { return frame };
        let ip = |protocol: IpNumber, payload: &[u8]| {
            let builder = PacketBuilder::ethernet2(MAC, MAC).ipv4(
                outer.source.octets(),
                outer.destination.octets(),
                64,
            );
            let mut bytes = Vec::new();
            builder.write(&mut bytes, protocol, payload).unwrap();
            bytes
        };
        let Some(vni) = outer.vni else { return ip(IpNumber::IPV4, &frame[14..]) };
        let mut payload = UdpHeader {
            source_port: 50_000,
            destination_port: VXLAN_PORT,
            length: u16::try_from(16 + frame.len()).unwrap(),
            checksum: 0,
        }
        .to_bytes()
        .to_vec();
        payload.extend([8, 0, 0, 0]);
        payload.extend((vni << 8).to_be_bytes());
        payload.extend(frame);
        ip(IpNumber::UDP, &payload)
    }

    fn inner(&self) -> Vec<u8> {
        let spec = &self.packet;
        let ip = etherparse::Ipv4Header {
            identification: spec.identification,
            dont_fragment: true,
            time_to_live: self.ttl,
            source: self.source.ip().octets(),
            destination: self.destination.ip().octets(),
            ..etherparse::Ipv4Header::default()
        };
        let builder = PacketBuilder::ethernet2(MAC, MAC)
            .ip(etherparse::IpHeaders::Ipv4(ip, etherparse::Ipv4Extensions::default()));
        let payload: Vec<u8> = (0..spec.payload_len).map(|index| index.to_le_bytes()[0]).collect();
        let mut bytes = Vec::new();
        let sequence = u16::try_from(spec.sequence & 0xffff).unwrap();
        match spec.protocol.as_str() {
            "tcp" => builder.tcp_header(self.tcp()).write(&mut bytes, &payload),
            "udp" => builder.udp(self.source.port(), self.destination.port()).write(&mut bytes, &payload),
            "echo" => builder.icmpv4_echo_request(self.source.port(), sequence).write(&mut bytes, &payload),
            "reply" => builder.icmpv4_echo_reply(self.source.port(), sequence).write(&mut bytes, &payload),
            other => panic!("no protocol {other}"),
        }
        .unwrap();
        bytes
    }

    fn tcp(&self) -> TcpHeader {
        let spec = &self.packet;
        let mut header = TcpHeader::new(self.source.port(), self.destination.port(), spec.sequence, 65_000);
        header.syn = spec.flags.contains('S');
        header.ack = spec.flags.contains('A');
        header.fin = spec.flags.contains('F');
        header.rst = spec.flags.contains('R');
        header.acknowledgment_number = spec.acknowledgement;
        header.set_options(&[TcpOptionElement::Timestamp(1, 2)]).unwrap();
        header
    }
}

/// `ADDRESS:PORT`, or an address alone with port (or echo id) 0.
fn socket(word: &str) -> Option<SocketAddrV4> {
    word.parse().ok().or_else(|| Some(SocketAddrV4::new(word.parse().ok()?, 0)))
}
