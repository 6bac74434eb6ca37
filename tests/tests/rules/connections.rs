//! Connections as kflow reads them, beside what `conntrack -L` prints and `conntrack -E` would.

use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use tests::Namespace;
use tracer::kernel::conntrack::{self, Events};
use tracer_core::evidence::{Conntrack, ConntrackEventKind, NatKind};
use tracer_core::flow::Protocol;

use super::router::{Router, connect};
use super::scene::{feed, namespace, run};

fn read(namespace: &Namespace, addresses: &[&str]) -> Conntrack {
    let addresses: Vec<IpAddr> = addresses.iter().map(|address| address.parse().unwrap()).collect();
    let (conntrack, missing) = namespace
        .run(|| {
            let mut missing = Vec::new();
            (conntrack::read(&addresses, &mut missing), missing)
        })
        .unwrap();
    assert_eq!(missing, []);
    conntrack
}

/// Source and destination addresses, as `conntrack -L` has them.
fn listed(namespace: &Namespace, address: &str) -> Vec<String> {
    let all = run(namespace, "conntrack -L");
    let mut lines: Vec<_> = all
        .lines()
        .filter(|line| {
            line.split_whitespace()
                .any(|word| word.split_once('=').is_some_and(|(_, value)| value == address))
        })
        .map(|line| {
            let value =
                |word: &str| word.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
            let wanted = line.split_whitespace().filter_map(value);
            let wanted = wanted.filter(|(name, _)| ["src", "dst", "sport", "dport"].contains(&name.as_str()));
            let state = line.split_whitespace().nth(3).filter(|_| line.starts_with("tcp")).unwrap_or("-");
            format!("{state} {}", wanted.map(|(_, value)| value).collect::<Vec<_>>().join(" "))
        })
        .collect();
    lines.sort();
    lines
}

fn told(conntrack: &Conntrack) -> Vec<String> {
    let mut lines: Vec<_> = conntrack
        .entries
        .iter()
        .map(|entry| {
            let tuple = |one: tracer_core::evidence::ConntrackTuple| {
                format!("{} {} {} {}", one.source, one.destination, one.source_port, one.destination_port)
            };
            let state = entry.state.as_deref().unwrap_or("-");
            format!("{state} {} {}", tuple(entry.original), tuple(entry.reply))
        })
        .collect();
    lines.sort();
    lines
}

const NAT: &str = "\
*nat
-A PREROUTING -d 10.96.0.1/32 -p tcp -j DNAT --to-destination 10.2.0.2:8080
-A POSTROUTING -s 10.1.0.3/32 -j MASQUERADE
COMMIT
";

#[test]
fn entries_of_an_address_and_no_others() {
    let router = Router::up();
    feed(router.inside(), "iptables-nft-restore", NAT);
    for (from, to) in [
        ("10.1.0.2", "10.2.0.2:53"),
        ("10.1.0.3", "10.2.0.2:53"),
        ("10.1.0.4", "10.2.0.4:53"),
        ("10.1.0.4", "10.2.0.200:53"),
    ] {
        router.send(false, from.parse().unwrap(), to.parse().unwrap(), 5);
    }
    router.send(true, "10.1.0.2".parse().unwrap(), "10.96.0.1:80".parse().unwrap(), 1);
    let inside = router.inside();
    for address in ["10.2.0.2", "10.1.0.3", "10.96.0.1", "10.2.0.1", "10.1.0.4", "192.0.2.7"] {
        assert_eq!(told(&read(inside, &[address])), listed(inside, address), "{address}");
    }
    let conntrack = read(inside, &["10.2.0.2", "10.1.0.4"]);
    assert_eq!(conntrack.entries.len(), 21);
    assert_eq!(conntrack.count, Some(21));
    assert!(conntrack.max.is_some_and(|max| max > 21) && !conntrack.cpus.is_empty());
    let many = ["10.2.0.2", "10.1.0.4", "192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4"];
    assert_eq!(told(&read(inside, &many)), told(&conntrack), "with and without the kernel's help");
    let service = conntrack.entries.iter().find(|entry| entry.nat == NatKind::Destination).unwrap();
    assert_eq!((service.original.protocol, service.state.as_deref()), (Protocol::TCP, Some("SYN_SENT")));
    assert_eq!((service.reply.source_port, service.is_answered), (8080, false));
    assert_eq!(conntrack.entries.iter().filter(|entry| entry.nat == NatKind::Source).count(), 5);
}

#[test]
fn a_namespace_without_addresses_asked_for_tells_how_full_its_table_is() {
    let namespace = namespace();
    let conntrack = read(&namespace, &[]);
    assert!(conntrack.entries.is_empty() && conntrack.count.is_some() && conntrack.max.is_some());
}

/// Waits for what is to come, for that the kernel tells it is no matter of time, and a minute is none.
fn wait(events: &mut Events, count: usize) -> Vec<tracer_core::evidence::ConntrackEvent> {
    let started = Instant::now();
    let mut all = Vec::new();
    while all.len() < count {
        all.extend(events.drain());
        assert!(started.elapsed() < Duration::from_mins(1), "{all:?}");
        thread::sleep(Duration::from_millis(5));
    }
    all
}

#[test]
fn events_of_an_address_and_no_others() {
    let router = Router::up();
    feed(router.inside(), "iptables-nft-restore", NAT);
    let address: IpAddr = "10.2.0.4".parse().unwrap();
    let mut events = router.inside().run(|| Events::open(&[address]).unwrap()).unwrap();
    let before = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    router.send(false, "10.1.0.2".parse().unwrap(), "10.2.0.2:53".parse().unwrap(), 4);
    router.send(false, "10.1.0.3".parse().unwrap(), "10.2.0.4:53".parse().unwrap(), 2);
    let new = wait(&mut events, 2);
    assert_eq!(new.len(), 2, "{new:?}");
    assert!(
        new.iter().all(|event| event.kind == ConntrackEventKind::New && event.entry.nat == NatKind::Source)
    );
    assert!(new.iter().all(|event| u128::from(event.time_ns.0) >= before.as_nanos()));
    run(router.inside(), "conntrack -F");
    let gone = wait(&mut events, 2);
    assert!(gone.iter().all(|event| event.kind == ConntrackEventKind::Destroy), "{gone:?}");
    assert_eq!((gone.len(), events.lost()), (2, 0));
    assert!(events.drain().is_empty());
}

#[test]
fn connections_that_are_answered_are_established() {
    let namespace = namespace();
    feed(
        &namespace,
        "nft -f -",
        "table ip t { chain c { type filter hook input priority 0; ct state new accept; }; }\n",
    );
    run(&namespace, "sysctl -qw net.netfilter.nf_conntrack_acct=1");
    let conntrack = namespace
        .run(|| {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let to: SocketAddr = listener.local_addr().unwrap();
            let own = connect(to).unwrap();
            let other = listener.accept().unwrap();
            let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
            udp.send_to(b"x", udp.local_addr().unwrap()).unwrap();
            let conntrack = conntrack::read(&[to.ip()], &mut Vec::new());
            drop((own, other));
            conntrack
        })
        .unwrap();
    let tcp = conntrack.entries.iter().find(|entry| entry.original.protocol == Protocol::TCP).unwrap();
    assert_eq!((tcp.state.as_deref(), tcp.is_answered, tcp.is_assured), (Some("ESTABLISHED"), true, true));
    assert_eq!(tcp.original_count.unwrap().0, 2, "SYN and ACK");
    assert_eq!(tcp.reply_count.unwrap().0, 1, "SYN and ACK in one");
    assert!(conntrack.entries.iter().any(|entry| entry.original.protocol == Protocol::UDP));
}
