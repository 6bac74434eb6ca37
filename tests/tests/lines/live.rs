//! Traffic of two Calico-like nodes and their pods, captured by tcpdump.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket},
    path::PathBuf,
    time::Duration,
};

use tests::{
    Lab, LabConfig, Namespace, Overlay, Tcpdump,
    lab::topology::{K8S_NODE1, K8S_NODE2, POD_DEST, POD_PORT, POD_SRC},
    run,
    traffic::{HttpGet, HttpServer, Ping, UdpEcho, UdpSend},
};

use crate::compare::{Test, assert_same_lines, theirs};

/// The end of a wire between the nodes that is not Calico's.
const WIRE: [&str; 2] = ["wire1", "wire2"];

/// Captures what `traffic` makes at all these places.
fn captured(lab: &Lab, places: &[(&Namespace, &str)], traffic: impl FnOnce() -> Test) -> Test<Vec<PathBuf>> {
    let start = |(ns, interface): &(&Namespace, &str)| lab.tcpdump(ns, interface, "");
    let running = places.iter().map(start).collect::<Result<Vec<_>, _>>()?;
    traffic()?;
    Ok(running.into_iter().map(Tcpdump::stop).collect::<Result<Vec<_>, _>>()?)
}

/// Asserts that all files are printed as tcpdump does, and that the words stand somewhere in them.
fn assert_printed(files: &[PathBuf], words: &[&str]) -> Test {
    let mut all = String::new();
    for file in files {
        assert_same_lines(file)?;
        all += &theirs(file, "")?;
    }
    for word in words {
        assert!(all.contains(word), "{word} in {all}");
    }
    Ok(())
}

fn words(text: &str) -> Vec<&str> {
    text.split_whitespace().collect()
}

/// Pages, datagrams, echo requests, and errors of all three.
fn pod_traffic(lab: &Lab) -> Test {
    let (source, destination) = (lab.pod(POD_SRC.name), lab.pod(POD_DEST.name));
    let _servers = (HttpServer::start(destination, POD_PORT)?, UdpEcho::start(destination, POD_PORT)?);
    HttpGet { body_len: 30_000, ..HttpGet::new((POD_DEST.address, POD_PORT)) }.send(source)?;
    UdpSend { len: 4000, ..UdpSend::new((POD_DEST.address, POD_PORT)) }.send(source)?;
    Ping { count: 2, payload_len: 3000, ..Ping::new(POD_DEST.address) }.send(source)?;
    let dns = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x05kflow\x05local\0\0\x01\0\x01";
    source.run(|| refused(SocketAddr::from((POD_DEST.address, 53)), dns))??;
    assert!(source.run(|| TcpStream::connect((POD_DEST.address, 81)))?.is_err());
    // Its time to live ends on the first node.
    let ping = format!("-n -c 1 -W 1 -t 1 {}", POD_DEST.address);
    assert!(run(source, "ping", &words(&ping), "").is_err());
    Ok(())
}

/// A datagram to a port that nobody listens on; returns when the error has come back.
fn refused(to: SocketAddr, payload: &[u8]) -> io::Result<()> {
    let any = if to.is_ipv6() { IpAddr::from(Ipv6Addr::UNSPECIFIED) } else { Ipv4Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect(to)?;
    socket.set_read_timeout(Some(Duration::from_secs(5)))?;
    socket.send(payload)?;
    match socket.recv(&mut [0; 16]) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
        Err(error) => Err(error),
        Ok(_) => Err(io::ErrorKind::AddrInUse.into()),
    }
}

#[test]
fn pods_and_nodes_with_ip_in_ip() -> Test {
    let lab = Lab::up(&LabConfig { udp: true, ..LabConfig::default() })?;
    let (node1, node2) = (lab.node(K8S_NODE1.name), lab.node(K8S_NODE2.name));
    let places = [
        (lab.pod(POD_SRC.name), "eth0"),
        (node2, POD_SRC.interface),
        (node1, "eth0"),
        (node2, "tunl0"),
        (node1, POD_DEST.interface),
    ];
    let files = captured(&lab, &places, || pod_traffic(&lab))?;
    let expected = [
        "IP 10.244.",
        "ARP, Request who-has",
        "ICMP echo request",
        "udp port 53 unreachable",
        "time exceeded",
        "HTTP: GET",
        "Flags [S]",
        "Flags [R.]",
        "ip-proto-17",
        "A? kflow.local.",
    ];
    assert_printed(&files, &expected)
}

#[test]
fn pods_and_nodes_with_vxlan_and_ip6() -> Test {
    let lab = Lab::up(&LabConfig { overlay: Overlay::Vxlan, ipv6: true, udp: true, ..LabConfig::default() })?;
    let node1 = lab.node(K8S_NODE1.name);
    let places = [(lab.pod(POD_SRC.name), "eth0"), (node1, "eth0"), (node1, "vxlan.calico")];
    let files = captured(&lab, &places, || pod_traffic(&lab))?;
    assert_printed(&files, &["VXLAN, flags [I] (0x08), vni", "HTTP: GET"])
}

#[test]
fn neighbours_and_fragments_with_ip6() -> Test {
    let lab = Lab::up(&LabConfig { ipv6: true, ..LabConfig::default() })?;
    let nodes = [lab.node(K8S_NODE1.name), lab.node(K8S_NODE2.name)];
    let make = format!("link add {} type veth peer name {} netns {}", WIRE[0], WIRE[1], nodes[1].name());
    run(nodes[0], "ip", &words(&make), "")?;
    for (ns, wire) in nodes.into_iter().zip(WIRE) {
        run(ns, "ip", &words(&format!("link set {wire} up")), "")?;
    }
    // Addresses come while tcpdump listens: it sees how they are made known.
    let files = captured(&lab, &[(nodes[0], WIRE[0]), (nodes[1], WIRE[1])], || {
        for (host, (ns, wire)) in (1..).zip(nodes.into_iter().zip(WIRE)) {
            run(ns, "ip", &words(&format!("address add fd42::{host}/64 dev {wire} nodad")), "")?;
        }
        run(nodes[0], "ping", &words("-n -6 -c 2 -s 2000 fd42::2"), "")?;
        nodes[0].run(|| refused(SocketAddr::from((Ipv6Addr::from(PEER), 9)), b"discard"))??;
        Ok(())
    })?;
    let expected =
        ["neighbor solicitation", "frag (0|1448)", "echo reply", "unreachable port, fd42::2 udp port 9"];
    assert_printed(&files, &expected)
}

/// `fd42::2`
const PEER: [u16; 8] = [0xfd42, 0, 0, 0, 0, 0, 0, 2];
