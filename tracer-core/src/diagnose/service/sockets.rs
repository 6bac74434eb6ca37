//! Who listens where, in one namespace.

use std::net::IpAddr;

use crate::evidence::{Snapshot, Socket, SocketState};
use crate::flow::{Endpoint, Protocol};

/// Ports named at most.
const MAX_NAMED: usize = 8;

/// What the sockets of a namespace say of a port.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Listening<'a> {
    /// Somebody listens.
    Yes,
    /// Somebody listens on the port, at another address.
    OtherAddress(&'a Socket),
    /// Nobody does.
    Nobody,
    /// Sockets could not be read.
    Unknown,
}

/// Whether somebody listens at an end.
pub(super) fn listening(snapshot: &Snapshot, protocol: Protocol, at: Endpoint) -> Listening<'_> {
    if snapshot.missing.iter().any(|missing| missing.what == "sockets") {
        return Listening::Unknown;
    }
    let mut elsewhere = None;
    for socket in open(snapshot, protocol).filter(|socket| socket.local_port == at.port.0) {
        if takes(socket, at.address) {
            return Listening::Yes;
        }
        elsewhere = elsewhere.or(Some(socket));
    }
    elsewhere.map_or(Listening::Nobody, Listening::OtherAddress)
}

/// `TCP 80, 9090`: on which ports somebody listens for packets from elsewhere; absent where nobody does.
pub(super) fn ports(snapshot: &Snapshot, protocol: Protocol) -> Option<String> {
    let mut ports: Vec<u16> = open(snapshot, protocol)
        .filter(|socket| !socket.local.is_loopback())
        .map(|socket| socket.local_port)
        .collect();
    ports.sort_unstable();
    ports.dedup();
    let named: Vec<String> = ports.iter().take(MAX_NAMED).map(u16::to_string).collect();
    let more = if ports.len() > MAX_NAMED { ", ..." } else { "" };
    (!named.is_empty()).then(|| format!("{protocol} {}{more}", named.join(", ")))
}

/// Sockets that take what nobody else is connected for.
fn open(snapshot: &Snapshot, protocol: Protocol) -> impl Iterator<Item = &Socket> {
    let is_open = move |socket: &&Socket| {
        let state = if protocol == Protocol::TCP { SocketState::Listen } else { SocketState::Bound };
        socket.protocol == protocol && socket.state == state && socket.remote_port == 0
    };
    snapshot.sockets.iter().filter(is_open)
}

fn takes(socket: &Socket, address: IpAddr) -> bool {
    let is_family = socket.local.is_ipv4() == address.is_ipv4();
    if socket.local.is_unspecified() { is_family || socket.is_dual } else { socket.local == address }
}
