//! kflow and tcpdump on the same interfaces at the same time.

use std::path::{Path, PathBuf};

use tests::{
    Overlay, Tcpdump, TcpdumpOptions,
    lab::topology::{K8S_NODE1, K8S_NODE2, POD_DEST, POD_SRC},
    traffic::Ping,
    wireshark::{self, RawFrame},
};

use crate::support::{SERVICE, Site, Test};

/// Hexadecimal digits of a byte.
const DIGITS: usize = 2;
/// The default snap length of a trace.
const SNAP: usize = 192;
/// The header that kflow puts before packets of an interface that has none.
const ETHERNET: usize = 14;

/// An interface to look at with both.
struct Point {
    namespace: &'static str,
    interface: &'static str,
    /// tcpdump's filter.
    filter: &'static str,
    /// Where tcpdump cannot see both directions on every kernel.
    is_inbound_only: bool,
    /// Whether its packets begin with an Ethernet header.
    is_ethernet: bool,
}

const PLAIN: &str = "tcp or icmp";
const TUNNELLED: &str = "ip proto 4";

const fn ethernet(namespace: &'static str, interface: &'static str, filter: &'static str) -> Point {
    Point { namespace, interface, filter, is_inbound_only: false, is_ethernet: true }
}

/// Where the lab has no ipip device, what leaves by `tunl0` is redirected before tcpdump's tap.
const fn tunnel(namespace: &'static str) -> Point {
    Point { namespace, interface: "tunl0", filter: PLAIN, is_inbound_only: true, is_ethernet: false }
}

const POINTS: [Point; 8] = [
    ethernet(POD_SRC.name, "eth0", PLAIN),
    ethernet(K8S_NODE2.name, POD_SRC.interface, PLAIN),
    tunnel(K8S_NODE2.name),
    ethernet(K8S_NODE2.name, "eth0", TUNNELLED),
    ethernet(K8S_NODE1.name, "eth0", TUNNELLED),
    tunnel(K8S_NODE1.name),
    ethernet(K8S_NODE1.name, POD_DEST.interface, PLAIN),
    ethernet(POD_DEST.name, "eth0", PLAIN),
];

#[test]
fn sees_what_tcpdump_sees() -> Test {
    let site = Site::up(Overlay::Ipip)?;
    let start = |point: &Point| {
        let path = site.file(&format!("{}-{}.pcap", point.namespace, point.interface));
        let flags: &[&str] = if point.is_inbound_only { &["-Q", "in"] } else { &[] };
        let options =
            TcpdumpOptions { filter: point.filter, flags, ..TcpdumpOptions::new(point.interface, &path) };
        Tcpdump::start(site.lab.of(point.namespace), &options)
    };
    let dumps: Vec<Tcpdump> = POINTS.iter().map(start).collect::<Result<_, _>>()?;
    let file = site.file("trace.pcapng");
    let kflow = site.trace([POD_SRC.name, "-w", &file.display().to_string()])?;
    let pings = Ping { count: 3, payload_len: 200, ..Ping::new(POD_DEST.address) }
        .send(site.lab.pod(POD_SRC.name))?;
    assert_eq!(pings.round_trips.len(), 3);
    site.get(SERVICE, 1000)?;
    let outcome = kflow.stop()?;
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    let dumps: Vec<PathBuf> = dumps.into_iter().map(Tcpdump::stop).collect::<Result<_, _>>()?;

    let frames = wireshark::frames(&file, "icmp or tcp")?;
    for (point, dump) in POINTS.iter().zip(&dumps) {
        let name = format!("{}:{}", point.namespace, point.interface);
        let (mut ours, mut theirs) = (of_kflow(&frames, &name, point), of_tcpdump(dump, point)?);
        // The pings went first, one exchange after the other: in the same order wherever they are looked at.
        let pings = if point.is_inbound_only { 3 } else { 6 };
        assert!(ours.len() > 2 * pings, "{name}: {} frames", ours.len());
        assert_eq!(ours[..pings], theirs[..pings], "{name}");
        // Packets of both directions may pass a hook in one order and tcpdump's tap in the other.
        ours.sort();
        theirs.sort();
        assert_eq!(ours, theirs, "{name}");
    }
    Ok(())
}

/// Length on the wire and captured bytes, from the IP header on where kflow made the link-layer header.
type Bytes = (usize, String);

fn of_kflow(frames: &[RawFrame], name: &str, point: &Point) -> Vec<Bytes> {
    let made = if point.is_ethernet { 0 } else { ETHERNET };
    let is_here = |frame: &&RawFrame| {
        let is_inbound = frame.is_inbound == Some(true);
        frame.interface.as_deref() == Some(name) && (is_inbound || !point.is_inbound_only)
    };
    let bytes = |frame: &RawFrame| (frame.original_len - made, frame.hex[made * DIGITS..].to_owned());
    frames.iter().filter(is_here).map(bytes).collect()
}

fn of_tcpdump(file: &Path, point: &Point) -> Result<Vec<Bytes>, wireshark::ReaderError> {
    let snap = if point.is_ethernet { SNAP } else { SNAP - ETHERNET };
    let cut = |frame: RawFrame| {
        let digits = frame.hex.len().min(snap * DIGITS);
        (frame.original_len, frame.hex[..digits].to_owned())
    };
    Ok(wireshark::frames(file, "icmp or tcp")?.into_iter().map(cut).collect())
}
