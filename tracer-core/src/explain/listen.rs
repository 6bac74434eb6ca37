//! Whether somebody listens on a port of a network namespace.

use std::net::IpAddr;

use serde::Serialize;

use crate::evidence::{Snapshot, Socket, SocketState};
use crate::flow::Protocol;

/// Whether somebody listens.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "is", content = "addresses")]
pub enum Listener {
    /// Somebody does, or the kernel answers itself.
    There,
    /// Somebody does, at these addresses, and not at the one asked for.
    Elsewhere(Vec<IpAddr>),
    /// Nobody does.
    Nobody,
    /// It cannot be told: the namespace was not read, or sockets of the protocol are not.
    Unknown,
}

impl Listener {
    /// Who listens at an address and a port.
    pub(super) fn at(place: &Snapshot, protocol: Protocol, address: IpAddr, port: u16) -> Self {
        if protocol.is_icmp() {
            return Self::There;
        }
        let is_read = !place.missing.iter().any(|missing| missing.what.contains("socket"));
        if !is_read || !matches!(protocol, Protocol::TCP | Protocol::UDP) {
            return Self::Unknown;
        }
        let open = place.sockets.iter().filter(|socket| {
            socket.protocol == protocol
                && socket.local_port == port
                && is_open(socket)
                && can_take(socket, address)
        });
        let mut elsewhere = Vec::new();
        for socket in open {
            if socket.local.is_unspecified() || socket.local == address {
                return Self::There;
            }
            elsewhere.push(socket.local);
        }
        if elsewhere.is_empty() { Self::Nobody } else { Self::Elsewhere(elsewhere) }
    }
}

/// A UDP socket that is connected takes packets of its peer only.
fn is_open(socket: &Socket) -> bool {
    match socket.state {
        SocketState::Listen => true,
        SocketState::Bound => socket.remote_port == 0,
        _ => false,
    }
}

fn can_take(socket: &Socket, address: IpAddr) -> bool {
    match (socket.local, address) {
        (IpAddr::V6(own), IpAddr::V4(_)) => socket.is_dual && own.is_unspecified(),
        (own, address) => own.is_ipv4() == address.is_ipv4(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::explain::testing::listener;

    fn place(sockets: Vec<Socket>) -> Snapshot {
        Snapshot { sockets, ..Snapshot::default() }
    }

    #[test]
    fn address_and_family_decide_who_listens() {
        let pod: IpAddr = "10.0.0.1".parse().unwrap();
        let at = |local: &str, is_dual| {
            let socket = Socket { is_dual, ..listener(Protocol::TCP, local, 80) };
            Listener::at(&place(vec![socket]), Protocol::TCP, pod, 80)
        };
        assert_eq!(at("0.0.0.0", false), Listener::There);
        assert_eq!(at("10.0.0.1", false), Listener::There);
        assert_eq!(at("127.0.0.1", false), Listener::Elsewhere(vec!["127.0.0.1".parse().unwrap()]));
        assert_eq!(at("::", true), Listener::There);
        assert_eq!(at("::", false), Listener::Nobody);
    }

    #[test]
    fn other_ports_protocols_and_peers_are_not_asked_for() {
        let pod: IpAddr = "10.0.0.1".parse().unwrap();
        let sockets = vec![
            listener(Protocol::TCP, "0.0.0.0", 80),
            Socket { remote_port: 53, ..listener(Protocol::UDP, "0.0.0.0", 53) },
        ];
        let place = place(sockets);
        assert_eq!(Listener::at(&place, Protocol::TCP, pod, 81), Listener::Nobody);
        assert_eq!(Listener::at(&place, Protocol::UDP, pod, 80), Listener::Nobody);
        assert_eq!(
            Listener::at(&place, Protocol::UDP, pod, 53),
            Listener::Nobody,
            "it is connected to somebody"
        );
        assert_eq!(Listener::at(&place, Protocol::SCTP, pod, 80), Listener::Unknown);
        assert_eq!(Listener::at(&place, Protocol::ICMP, pod, 0), Listener::There);
    }
}
