//! A packet seen at a place.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use tracer_core::units::{Direction, Gso};

use super::packet::PacketSpec;

#[derive(Clone, Debug)]
pub(super) struct Sight {
    /// Nanoseconds after the story's beginning, by a true clock.
    pub(super) time: u64,
    pub(super) node: String,
    pub(super) interface: String,
    pub(super) direction: Direction,
    pub(super) gso: Option<Gso>,
    pub(super) packet: PacketSpec,
    pub(super) ends: Ends,
    pub(super) ttl: u8,
    /// Outermost first.
    pub(super) tunnels: Vec<Outer>,
    /// The addresses in the packet that an ICMP error quotes.
    pub(super) quotes: Option<Ends>,
}

/// Who sends to whom; the port of an ICMP echo is its identifier.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ends {
    pub(super) source: SocketAddr,
    pub(super) destination: SocketAddr,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Outer {
    pub(super) kind: OuterKind,
    pub(super) source: IpAddr,
    pub(super) destination: IpAddr,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum OuterKind {
    Ipip,
    Gre,
    Vxlan(u32),
    Geneve(u32),
}

impl Sight {
    pub(super) fn parse(words: &[&str], packets: &BTreeMap<String, PacketSpec>) -> Option<Self> {
        let [time, node, interface, direction, packet, source, ">", destination, "ttl", ttl, rest @ ..] =
            words
        else {
            return None;
        };
        let mut sight = Self {
            time: super::microseconds(time)?,
            node: (*node).to_owned(),
            interface: (*interface).to_owned(),
            direction: match *direction {
                "in" => Direction::Ingress,
                "out" => Direction::Egress,
                _ => return None,
            },
            gso: None,
            packet: packets.get(*packet)?.clone(),
            ends: Ends::parse(source, destination)?,
            ttl: ttl.parse().ok()?,
            tunnels: Vec::new(),
            quotes: None,
        };
        let mut words = rest;
        while !words.is_empty() {
            words = sight.option(words)?;
        }
        Some(sight)
    }

    /// Takes one option; returns the words behind it.
    fn option<'a, 'w>(&mut self, words: &'a [&'w str]) -> Option<&'a [&'w str]> {
        let (kind, source, destination, rest) = match words {
            ["gso", size, rest @ ..] => {
                self.gso = Some(Gso { size: size.parse().ok()?, segments: 0 });
                return Some(rest);
            }
            ["quotes", source, ">", destination, rest @ ..] => {
                self.quotes = Some(Ends::parse(source, destination)?);
                return Some(rest);
            }
            ["ipip", a, ">", b, rest @ ..] => (OuterKind::Ipip, a, b, rest),
            ["gre", a, ">", b, rest @ ..] => (OuterKind::Gre, a, b, rest),
            ["vxlan", vni, a, ">", b, rest @ ..] => (OuterKind::Vxlan(vni.parse().ok()?), a, b, rest),
            ["geneve", vni, a, ">", b, rest @ ..] => (OuterKind::Geneve(vni.parse().ok()?), a, b, rest),
            _ => return None,
        };
        let (source, destination) = (source.parse().ok()?, destination.parse().ok()?);
        self.tunnels.push(Outer { kind, source, destination });
        Some(rest)
    }
}

impl Ends {
    fn parse(source: &str, destination: &str) -> Option<Self> {
        Some(Self { source: socket(source)?, destination: socket(destination)? })
    }
}

/// `ADDRESS:PORT`, or an address alone with port 0.
fn socket(word: &str) -> Option<SocketAddr> {
    word.parse().ok().or_else(|| Some(SocketAddr::new(word.parse().ok()?, 0)))
}
