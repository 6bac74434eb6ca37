//! Ends that were typed as addresses.

use std::net::{IpAddr, SocketAddr};

use super::super::object::Service;
use super::super::state::ClusterState;
use super::{Party, Seed, SeedKind, unite};
use crate::flow::Protocol;

/// What a port means where no protocol is typed.
const BOTH: &[Protocol] = &[Protocol::TCP, Protocol::UDP];

/// An address as it was typed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Address {
    ip: IpAddr,
    port: Option<u16>,
    protocols: &'static [Protocol],
}

impl Address {
    pub(super) fn new(ip: IpAddr, port: Option<u16>) -> Self {
        Self { ip, port, protocols: BOTH }
    }

    /// `IP`, `IP:PORT`, `[IP]:PORT` or one with a port and `/tcp`, `/udp` or `/sctp`; absent for anything else.
    pub(super) fn of(word: &str) -> Option<Self> {
        let bare = word.strip_prefix('[').and_then(|word| word.strip_suffix(']')).unwrap_or(word);
        if let Ok(ip) = bare.parse() {
            return Some(Self::new(ip, None));
        }
        let (socket, protocols): (_, &'static [Protocol]) = match word.split_once('/') {
            None => (word, BOTH),
            Some((socket, "tcp")) => (socket, &[Protocol::TCP]),
            Some((socket, "udp")) => (socket, &[Protocol::UDP]),
            Some((socket, "sctp")) => (socket, &[Protocol::SCTP]),
            Some(_) => return None,
        };
        let socket: SocketAddr = socket.parse().ok()?;
        Some(Self { ip: socket.ip(), port: Some(socket.port()), protocols })
    }

    pub(super) fn seeds(self) -> Vec<Seed> {
        self.seeds_of(SeedKind::Own)
    }

    fn seeds_of(self, kind: SeedKind) -> Vec<Seed> {
        match self.port {
            None => vec![Seed { address: self.ip, port: None, kind }],
            Some(port) => {
                let seed =
                    |protocol: &Protocol| Seed { address: self.ip, port: Some((*protocol, port)), kind };
                self.protocols.iter().map(seed).collect()
            }
        }
    }

    fn has(self, protocol: Option<Protocol>, port: u16) -> bool {
        self.port.is_none_or(|own| own == port) && protocol.is_some_and(|each| self.protocols.contains(&each))
    }
}

impl Party {
    /// An address, with what the state knows about it: what is behind a service's address or a NodePort wears other
    /// addresses, and belongs to it.
    pub(super) fn address(address: Address, state: &ClusterState) -> Self {
        let mut party = Self::default();
        let node = state.node_with(address.ip);
        let mut is_service = false;
        for service in &state.services {
            is_service |= service.addresses.contains(&address.ip);
            let ports = behind(service, address, node.is_some());
            if !ports.is_empty() {
                let (_, endpoints) = Self::endpoints(service, &ports, state);
                party.absorb(endpoints);
            }
        }
        let kind = match (is_service, node) {
            (true, _) => SeedKind::Service,
            (false, Some(_)) => SeedKind::Node,
            (false, None) => SeedKind::Own,
        };
        unite(&mut party.seeds, address.seeds_of(kind));
        party.nodes.extend(node.map(|node| node.name.clone()));
        let pods: Vec<_> = state.pods_with(address.ip).collect();
        if pods.is_empty() && party.nodes.is_empty() && !is_service {
            party.nodes.extend(state.node_of_address(address.ip).map(str::to_owned));
        }
        let places = Self::of_pods(&pods, state, |slice_port| {
            slice_port.port.is_none_or(|port| address.has(slice_port.protocol(), port))
        });
        party.absorb(Self { seeds: vec![], ..places });
        party.sort_nodes()
    }
}

/// Names of a service's ports that packets to an address enter by.
fn behind(service: &Service, address: Address, is_node: bool) -> Vec<Option<&str>> {
    let is_own = service.addresses.contains(&address.ip);
    let leads = service.ports.iter().filter(|port| {
        let is_front = is_own && address.has(port.protocol(), port.port);
        let by_node = is_node && address.port.is_some();
        let is_node_port = by_node && port.node_port.is_some_and(|own| address.has(port.protocol(), own));
        is_front || is_node_port
    });
    leads.map(|port| port.name.as_deref()).collect()
}
