//! Sockets, and what was dropped at them.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};

use nix::sys::socket::{setsockopt, sockopt::RcvBuf};
use tracer::kernel::node::{self, NodeOptions};
use tracer_core::evidence::{Socket, SocketState};
use tracer_core::flow::Protocol;

use crate::scene::{Scene, assert_same, run};

/// Sockets in the near namespace, those of these addresses included.
fn sockets(scene: &Scene, addresses: &[IpAddr]) -> Vec<Socket> {
    let addresses: BTreeSet<_> = addresses.iter().copied().collect();
    scene.near.run(|| node::read(&NodeOptions { addresses, peers: false })).unwrap().sockets
}

/// `ADDRESS:PORT` as ss(8) prints it.
fn end(text: &str) -> (String, u16) {
    let (address, port) = text.rsplit_once(':').unwrap();
    let address = address.split('%').next().unwrap().trim_matches(['[', ']']).to_owned();
    let address = if address == "*" { "::".to_owned() } else { address };
    (address, port.parse().unwrap_or(0))
}

#[test]
fn listeners_and_connections_are_those_of_ss() {
    let scene = Scene::new();
    let near = |address: &'static str| scene.near.run(move || TcpListener::bind(address)).unwrap().unwrap();
    let listeners = [near("10.7.0.1:8080"), near("0.0.0.0:9090"), near("127.0.0.1:7070")];
    let bound = scene.near.run(|| UdpSocket::bind("10.7.0.1:5353")).unwrap().unwrap();
    let connected = scene.near.run(|| UdpSocket::bind("10.7.0.1:5354")).unwrap().unwrap();
    connected.connect("10.7.0.2:53").unwrap();
    let client = scene.far.run(|| TcpStream::connect("10.7.0.1:8080")).unwrap().unwrap();
    let own = scene.near.run(|| TcpStream::connect("127.0.0.1:7070")).unwrap().unwrap();
    let all = sockets(&scene, &["10.7.0.1".parse().unwrap()]);
    assert_same(
        all.iter().map(|one| {
            let protocol = if one.protocol == Protocol::TCP { "tcp" } else { "udp" };
            let queues = (one.receive_queue, one.send_queue);
            (
                protocol.to_owned(),
                one.local.to_string(),
                one.local_port,
                one.remote.to_string(),
                one.remote_port,
                queues,
            )
        }),
        run(&scene.near, "ss", "-tuanH")
            .lines()
            .filter(|line| !line.contains("127.0.0.1:7070") || line.contains("LISTEN"))
            .map(|line| {
                let words: Vec<&str> = line.split_whitespace().collect();
                let ((local, local_port), (remote, remote_port)) = (end(words[4]), end(words[5]));
                let queues = (words[2].parse().unwrap(), words[3].parse().unwrap());
                (words[0].to_owned(), local, local_port, remote, remote_port, queues)
            }),
    );
    let state = |port, remote_port| {
        all.iter().find(|one| (one.local_port, one.remote_port) == (port, remote_port)).map(|one| one.state)
    };
    assert_eq!(state(8080, 0), Some(SocketState::Listen));
    assert_eq!(state(8080, client.local_addr().unwrap().port()), Some(SocketState::Established));
    assert_eq!((state(5353, 0), state(5354, 53)), (Some(SocketState::Bound), Some(SocketState::Established)));
    drop((listeners, bound, own));
}

#[test]
fn datagrams_that_found_no_room_are_counted() {
    let scene = Scene::new();
    let bound = scene.near.run(|| UdpSocket::bind("10.7.0.1:5353")).unwrap().unwrap();
    setsockopt(&bound, RcvBuf, &4096).unwrap();
    let to = SocketAddr::from(([10, 7, 0, 1], 5353));
    let sent = 300;
    // To itself a machine delivers at once.
    scene
        .near
        .run(|| {
            let socket = UdpSocket::bind("10.7.0.1:0").unwrap();
            for _ in 0..sent {
                socket.send_to(&[0; 500], to).unwrap();
            }
        })
        .unwrap();
    let all = sockets(&scene, &[]);
    let found = all.iter().find(|one| one.local_port == 5353).unwrap();
    assert!(found.drops > 0 && found.receive_queue > 0, "{found:?}");
    bound.set_nonblocking(true).unwrap();
    let mut received = 0;
    while bound.recv(&mut [0; 500]).is_ok() {
        received += 1;
    }
    assert_eq!(found.drops, sent - received);
    // The kernel doubles what is asked for (socket(7)).
    assert_eq!(found.receive_buffer, Some(8192));
}

#[test]
fn connections_that_a_listener_has_no_room_for_are_counted() {
    let scene = Scene::new();
    let overflows = |scene: &Scene| {
        let snapshot = scene.snapshot();
        (snapshot.counters.protocol("TcpExtListenOverflows").unwrap(), snapshot)
    };
    let (before, _) = overflows(&scene);
    let listener = scene
        .near
        .run(|| {
            use nix::sys::socket::{
                AddressFamily, Backlog, SockFlag, SockType, SockaddrIn, bind, listen, socket,
            };
            let socket = socket(AddressFamily::Inet, SockType::Stream, SockFlag::empty(), None).unwrap();
            bind(std::os::fd::AsRawFd::as_raw_fd(&socket), &SockaddrIn::new(10, 7, 0, 1, 8080)).unwrap();
            listen(&socket, Backlog::new(1).unwrap()).unwrap();
            socket
        })
        .unwrap();
    let to = SocketAddr::from(([10, 7, 0, 1], 8080));
    let patience = std::time::Duration::from_millis(300);
    let clients: Vec<_> =
        (0..4).map(|_| scene.far.run(|| TcpStream::connect_timeout(&to, patience)).unwrap()).collect();
    assert_eq!(clients.iter().filter(|client| client.is_ok()).count(), 2, "backlog and one");
    let (after, snapshot) = overflows(&scene);
    assert!(after > before);
    let found = snapshot.sockets.iter().find(|one| one.local_port == 8080).unwrap();
    assert_eq!((found.receive_queue, found.send_queue), (2, 1), "waiting, and how many may wait");
    assert!(found.drops > 0, "{found:?}");
    drop(listener);
}
