//! Sockets: listeners, bound ones, and connections of some addresses (`sock_diag(7)`, `linux/inet_diag.h`).

mod proc;

use std::collections::BTreeSet;
use std::net::IpAddr;

use netlink_sys::protocols::NETLINK_SOCK_DIAG;
use tracer_core::evidence::{Missing, Socket, SocketState};
use tracer_core::flow::Protocol;

use super::attributes::{AF_INET, AF_INET6, byte, ip};
use super::{dump, note};
use crate::kernel::netlink::{Connection, NetlinkError, attribute, field};

const SOCK_DIAG_BY_FAMILY: u16 = 20;
/// `struct inet_diag_msg`: family, state, timer, retransmissions, `struct inet_diag_sockid`, expiry, queues, user, inode.
const INET_DIAG_MSG_LEN: usize = 72;
/// `struct inet_diag_sockid`: ports, addresses of 16 bytes, interface, cookie.
const SOCKID_LEN: usize = 48;
const INET_DIAG_SKMEMINFO: u16 = 7;
const INET_DIAG_SKV6ONLY: u16 = 11;
/// `SK_MEMINFO_RCVBUF` and `SK_MEMINFO_DROPS`.
const RCVBUF: usize = 1;
const DROPS: usize = 8;
/// Connections that are kept at most: a proxy may have very many of one address.
const MAX_CONNECTIONS: usize = 4096;

/// The kernel's states of TCP (`enum` in `net/tcp_states.h`).
const TCP_LISTEN: u8 = 10;
const ALL_STATES: u32 = u32::MAX;

/// Reads TCP listeners and UDP sockets, and TCP connections that have one of the addresses.
///
/// Where `sock_diag` is not there, `/proc/thread-self/net` tells less: no drops of TCP and no length of a listener's queue.
pub(super) fn read(addresses: &BTreeSet<IpAddr>, missing: &mut Vec<Missing>) -> Vec<Socket> {
    match by_diag(addresses, missing) {
        Ok(sockets) => sockets,
        Err(error) => {
            note(missing, "sockets (drops and queues)", &error);
            kept(proc::read(missing), addresses, missing)
        }
    }
}

fn by_diag(addresses: &BTreeSet<IpAddr>, missing: &mut Vec<Missing>) -> Result<Vec<Socket>, NetlinkError> {
    let mut connection = Connection::open_to(NETLINK_SOCK_DIAG)?;
    let states = if addresses.is_empty() { 1 << TCP_LISTEN } else { ALL_STATES };
    let mut all = Vec::new();
    for (protocol, states) in [(Protocol::TCP, states), (Protocol::UDP, ALL_STATES)] {
        for family in [AF_INET, AF_INET6] {
            match of_family(&mut connection, family, protocol, states) {
                Ok(found) => all.extend(found),
                // No IPv6 in this kernel.
                Err(NetlinkError::Refused { .. }) if family == AF_INET6 => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(kept(all, addresses, missing))
}

fn of_family(
    connection: &mut Connection,
    family: u8,
    protocol: Protocol,
    states: u32,
) -> Result<impl Iterator<Item = Socket> + use<>, NetlinkError> {
    let mut request = vec![family, protocol.0, 1 << (INET_DIAG_SKMEMINFO - 1), 0];
    request.extend(states.to_ne_bytes());
    request.extend([0; SOCKID_LEN]);
    let messages =
        dump(connection, "list the sockets", (SOCK_DIAG_BY_FAMILY, SOCK_DIAG_BY_FAMILY), &request)?;
    Ok(messages.filter_map(move |message| parse(&message.body, protocol)))
}

/// Those that wait for others, and those of the addresses.
fn kept(mut sockets: Vec<Socket>, addresses: &BTreeSet<IpAddr>, missing: &mut Vec<Missing>) -> Vec<Socket> {
    let (mut connections, mut left_out) = (0usize, 0usize);
    sockets.retain(|socket| {
        let is_open = matches!(socket.state, SocketState::Listen | SocketState::Bound);
        if is_open || socket.protocol == Protocol::UDP {
            return true;
        }
        let is_wanted = addresses.contains(&socket.local) || addresses.contains(&socket.remote);
        connections += usize::from(is_wanted);
        left_out += usize::from(is_wanted && connections > MAX_CONNECTIONS);
        is_wanted && connections <= MAX_CONNECTIONS
    });
    if left_out > 0 {
        let why = format!("{left_out} more than {MAX_CONNECTIONS} of these addresses");
        missing.push(Missing { what: "sockets (connections)".to_owned(), why });
    }
    sockets
}

fn parse(body: &[u8], protocol: Protocol) -> Option<Socket> {
    let attributes = body.get(INET_DIAG_MSG_LEN..)?;
    let is_ipv6 = match body[0] {
        AF_INET => false,
        AF_INET6 => true,
        _ => return None,
    };
    let memory = attribute(attributes, INET_DIAG_SKMEMINFO);
    let memory = |place: usize| field(memory?, place * 4).map(u32::from_ne_bytes);
    let number = |at| field(body, at).map(u32::from_ne_bytes);
    let port = |at| field(body, at).map(u16::from_be_bytes);
    let v6_only = byte(attributes, INET_DIAG_SKV6ONLY).is_none_or(|flag| flag != 0);
    Some(Socket {
        protocol,
        local: address(body, 8, is_ipv6)?,
        local_port: port(4)?,
        remote: address(body, 24, is_ipv6)?,
        remote_port: port(6)?,
        state: state(protocol, body[1]),
        receive_queue: number(56)?,
        send_queue: number(60)?,
        drops: memory(DROPS).unwrap_or(0).into(),
        is_dual: is_ipv6 && !v6_only,
        receive_buffer: memory(RCVBUF),
    })
}

/// An address of IPv4 in an IPv6 socket is told as what it is.
fn address(body: &[u8], at: usize, is_ipv6: bool) -> Option<IpAddr> {
    let length = if is_ipv6 { 16 } else { 4 };
    ip(body.get(at..at + length)?).map(|address| address.to_canonical())
}

fn state(protocol: Protocol, number: u8) -> SocketState {
    match (protocol, number) {
        (_, 1) => SocketState::Established,
        (Protocol::UDP, _) => SocketState::Bound,
        (_, 2) => SocketState::SynSent,
        // `TCP_SYN_RECV` and `TCP_NEW_SYN_RECV`.
        (_, 3 | 12) => SocketState::SynReceived,
        (_, TCP_LISTEN) => SocketState::Listen,
        _ => SocketState::Closing,
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};

    use super::super::attributes::{build, mistreat};
    use super::*;

    #[test]
    fn own_sockets_are_found() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let dual = TcpListener::bind("[::]:0");
        let bound = UdpSocket::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let mut missing = Vec::new();
        let home = IpAddr::from(Ipv4Addr::LOCALHOST);
        let all = read(&BTreeSet::from([home]), &mut missing);
        let at = |port| all.iter().filter(move |socket| socket.local_port == port).collect::<Vec<_>>();
        let found = at(listener.local_addr().unwrap().port());
        let listening = found.iter().find(|socket| socket.state == SocketState::Listen).unwrap();
        assert_eq!((listening.local, listening.receive_queue), (home, 1), "a connection waits");
        assert!(listening.send_queue >= 128, "the backlog that std asks for");
        let found = at(client.local_addr().unwrap().port());
        assert_eq!((found[0].state, found[0].remote), (SocketState::Established, home));
        let found = at(bound.local_addr().unwrap().port());
        assert_eq!((found[0].state, found[0].protocol), (SocketState::Bound, Protocol::UDP));
        assert!(found[0].receive_buffer.is_some_and(|bytes| bytes > 0));
        if let Ok(dual) = dual {
            assert!(at(dual.local_addr().unwrap().port())[0].is_dual);
        }
        assert_eq!(missing, []);
        let without = read(&BTreeSet::new(), &mut missing);
        assert!(
            without
                .iter()
                .all(|socket| socket.protocol == Protocol::UDP || socket.state == SocketState::Listen)
        );
    }

    fn message(family: u8, state: u8, attributes: &[(u16, &[u8])]) -> Vec<u8> {
        let mut header = vec![family, state, 0, 0, 0x1f, 0x90, 0, 80];
        header.extend([0; 10]);
        header.extend([0xff, 0xff, 10, 0, 0, 1]);
        header.resize(INET_DIAG_MSG_LEN, 0);
        build(&header, attributes)
    }

    #[test]
    fn addresses_of_ipv4_in_ipv6_sockets() {
        let memory: Vec<u8> = (0..9u32).flat_map(u32::to_ne_bytes).collect();
        let body = message(AF_INET6, 7, &[(INET_DIAG_SKMEMINFO, &memory), (INET_DIAG_SKV6ONLY, &[0])]);
        let found = parse(&body, Protocol::UDP).unwrap();
        assert_eq!((found.local, found.local_port, found.remote_port), ([10, 0, 0, 1].into(), 8080, 80));
        assert_eq!((found.drops, found.receive_buffer, found.is_dual), (8, Some(1), true));
        mistreat(&body, |body| parse(body, Protocol::UDP));
        assert_eq!(parse(&message(1, 7, &[]), Protocol::UDP), None);
    }

    #[test]
    fn more_connections_than_are_kept_are_told() {
        let one = parse(&message(AF_INET6, 1, &[]), Protocol::TCP).unwrap();
        let addresses = BTreeSet::from([one.local]);
        let mut missing = Vec::new();
        let all = kept(vec![one; MAX_CONNECTIONS + 2], &addresses, &mut missing);
        assert_eq!((all.len(), missing.len()), (MAX_CONNECTIONS, 1));
        assert!(missing[0].why.starts_with("2 more"));
    }
}
