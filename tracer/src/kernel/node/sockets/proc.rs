//! Sockets as `/proc/net/tcp` and its like tell them (proc(5)): where the kernel has no `sock_diag`.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use tracer_core::evidence::{Missing, Socket};
use tracer_core::flow::Protocol;

use super::state;

const FILES: [(&str, Protocol); 4] =
    [("tcp", Protocol::TCP), ("tcp6", Protocol::TCP), ("udp", Protocol::UDP), ("udp6", Protocol::UDP)];

/// All sockets of TCP and UDP.
pub(super) fn read(missing: &mut Vec<Missing>) -> Vec<Socket> {
    let mut all = Vec::new();
    for (name, protocol) in FILES {
        let path = format!("/proc/thread-self/net/{name}");
        match fs::read_to_string(&path) {
            Ok(text) => all.extend(text.lines().skip(1).filter_map(|line| parse(line, protocol))),
            Err(_) if name.ends_with('6') => {}
            Err(error) => {
                missing.push(Missing { what: "sockets".to_owned(), why: format!("{path}: {error}") });
            }
        }
    }
    all
}

/// `sl local remote state tx:rx ...`; of UDP the last column is what was dropped.
fn parse(line: &str, protocol: Protocol) -> Option<Socket> {
    let columns: Vec<&str> = line.split_whitespace().collect();
    let (local, local_port) = end(columns.get(1)?)?;
    let (remote, remote_port) = end(columns.get(2)?)?;
    let (sent, received) = columns.get(4)?.split_once(':')?;
    let drops = (protocol == Protocol::UDP).then(|| columns.last()?.parse().ok()).flatten();
    Some(Socket {
        protocol,
        local: local.to_canonical(),
        local_port,
        remote: remote.to_canonical(),
        remote_port,
        state: state(protocol, u8::from_str_radix(columns.get(3)?, 16).ok()?),
        receive_queue: u32::from_str_radix(received, 16).ok()?,
        send_queue: u32::from_str_radix(sent, 16).ok()?,
        drops: drops.unwrap_or(0),
        // It is not told; most that are bound to all addresses of IPv6 are.
        is_dual: local == IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        receive_buffer: None,
    })
}

/// `0100007F:1F90`: words of 32 bits in the byte order of this machine, and a port.
fn end(text: &str) -> Option<(IpAddr, u16)> {
    let (address, port) = text.split_once(':')?;
    let word = |at: usize| u32::from_str_radix(address.get(at..at + 8)?, 16).ok().map(u32::to_ne_bytes);
    let address = match address.len() {
        8 => IpAddr::from(Ipv4Addr::from(word(0)?)),
        32 => {
            let words = [word(0)?, word(8)?, word(16)?, word(24)?];
            let bytes: [u8; 16] = words.concat().try_into().ok()?;
            IpAddr::from(Ipv6Addr::from(bytes))
        }
        _ => return None,
    };
    Some((address, u16::from_str_radix(port, 16).ok()?))
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, UdpSocket};

    use tracer_core::evidence::SocketState;

    use super::*;

    #[test]
    fn own_sockets_are_found() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let bound = UdpSocket::bind("127.0.0.1:0").unwrap();
        let mut missing = Vec::new();
        let all = read(&mut missing);
        let has = |address: std::net::SocketAddr, state| {
            all.iter()
                .any(|one| (one.local, one.local_port, one.state) == (address.ip(), address.port(), state))
        };
        assert!(has(listener.local_addr().unwrap(), SocketState::Listen));
        assert!(has(bound.local_addr().unwrap(), SocketState::Bound));
        assert_eq!(missing, []);
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn lines_of_both_families() {
        let tcp6 = "  0: 0000000000000000FFFF00000100007F:0050 00000000000000000000000000000000:0000 0A 00000002:00000001 00";
        let found = parse(tcp6, Protocol::TCP).unwrap();
        assert_eq!((found.local, found.local_port), (Ipv4Addr::LOCALHOST.into(), 80));
        assert_eq!((found.state, found.receive_queue, found.send_queue), (SocketState::Listen, 1, 2));
        let udp =
            "  9: 00000000:0035 00000000:0000 07 00000000:00000300 00:00000000 00000000 0 0 11 2 0000 17";
        let found = parse(udp, Protocol::UDP).unwrap();
        assert_eq!((found.local_port, found.receive_queue, found.drops), (53, 0x300, 17));
        for broken in
            ["", "0: 1 2 3", "0: 00000000:0035 00000000:0000 07 12", "0: é000000:0035 00000000:0000 07 0:0"]
        {
            assert_eq!(parse(broken, Protocol::UDP), None, "{broken}");
        }
    }
}
