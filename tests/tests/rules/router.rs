//! A client, a router with rules, and servers that never answer.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use tests::Namespace;

use super::scene::{namespace, run};

/// Addresses of the client's side; 10.1.0.1 is the router's.
const CLIENTS: [&str; 6] = ["10.1.0.2", "10.1.0.3", "10.1.0.4", "10.1.0.66", "10.1.0.99", "10.244.1.7"];
/// Addresses of the servers' side; 10.2.0.1 is the router's.
const SERVERS: [&str; 7] =
    ["10.2.0.2", "10.2.0.4", "10.2.0.11", "10.2.0.12", "10.2.0.13", "10.2.0.53", "10.2.0.200"];

/// Three namespaces in a row: `c0` and `s0` are the router's interfaces.
pub(crate) struct Router {
    client: Namespace,
    inside: Namespace,
    /// Kept for as long as packets go there.
    _server: Namespace,
}

impl Router {
    pub(crate) fn up() -> Self {
        let (client, router, server) = (namespace(), namespace(), namespace());
        for (end, name, network, side) in
            [(&client, "c0", "10.1.0", CLIENTS.as_slice()), (&server, "s0", "10.2.0", SERVERS.as_slice())]
        {
            run(&router, &format!("ip link add {name} type veth peer name e0 netns {}", end.name()));
            run(&router, &format!("ip addr add {network}.1/24 dev {name}"));
            run(&router, &format!("ip link set {name} up"));
            run(end, "ip link set e0 up");
            for address in side {
                let length = if address.starts_with(network) { 24 } else { 32 };
                run(end, &format!("ip addr add {address}/{length} dev e0"));
            }
            run(end, &format!("ip route add default via {network}.1"));
        }
        run(&router, "ip route add 10.244.1.7/32 via 10.1.0.2 dev c0");
        // What is for nobody has a way too, so that it comes as far as to the rules for what is forwarded.
        run(&router, "ip route add default via 10.2.0.2 dev s0");
        run(&router, "sysctl -qw net.ipv4.ip_forward=1");
        // An answer would be counted as well.
        run(&server, "nft add table ip quiet");
        run(
            &server,
            "nft add chain ip quiet in { type filter hook prerouting priority -300 ; policy drop ; }",
        );
        Self { client, inside: router, _server: server }
    }

    /// The namespace with the rules.
    pub(crate) fn inside(&self) -> &Namespace {
        &self.inside
    }

    /// Sends the first packets of so many connections.
    pub(crate) fn send(&self, is_tcp: bool, from: IpAddr, to: SocketAddr, count: usize) {
        self.client
            .run(|| {
                for _ in 0..count {
                    if is_tcp { syn(from, to) } else { datagram(from, to) }
                }
            })
            .unwrap();
    }
}

/// A port that nobody has had before: with one that somebody had, the connection would not be new.
fn port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(10_000);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

fn datagram(from: IpAddr, to: SocketAddr) {
    let socket = UdpSocket::bind((from, port())).unwrap();
    match socket.send_to(b"hello", to) {
        Ok(_) => {}
        // A refusal of the one before, which had another port: the kernel tells per destination.
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
        Err(error) => panic!("{from} -> {to}: {error}"),
    }
}

/// One SYN: whoever waits longer than a second sends another.
fn syn(from: IpAddr, to: SocketAddr) {
    use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrStorage, bind, connect, socket};
    use std::os::fd::AsRawFd as _;
    let own = socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_NONBLOCK, None).unwrap();
    bind(own.as_raw_fd(), &SockaddrStorage::from(SocketAddr::new(from, port()))).unwrap();
    let _ = connect(own.as_raw_fd(), &SockaddrStorage::from(to));
}

/// One connection that is waited for.
pub(crate) fn connect(to: SocketAddr) -> io::Result<TcpStream> {
    TcpStream::connect_timeout(&to, Duration::from_secs(5))
}
