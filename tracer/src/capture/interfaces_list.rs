//! `kflow capture -D`: the interfaces that can be captured, as a table for people.

use std::io;
use std::net::IpAddr;

use thiserror::Error;
use tracer_core::output::{columns, printable};
use tracer_core::resolve::{ClusterState, Names, Owner};

use crate::error::{Exit, ExitStatus};
use crate::kernel::interfaces::LinkType;
use crate::kernel::inventory::{self, Entry, LinkState, Neighbour, Place, Prefix, Tag};
use crate::kernel::netlink::NetlinkError;

/// Addresses of an interface that are shown: kube-proxy's IPVS mode gives one of them thousands.
const MAX_ADDRESSES: usize = 4;

const TITLES: [&str; 10] =
    ["INDEX", "NAME", "STATE", "KIND", "LINK", "MTU", "MAC", "ADDRESSES", "DETAILS", "POD"];

/// Why the interfaces cannot be listed.
#[derive(Debug, Error)]
pub enum ListError {
    /// The kernel does not tell.
    #[error("cannot list the interfaces")]
    Inventory(#[source] NetlinkError),
    /// The list cannot be written.
    #[error("cannot write the list of interfaces")]
    Write(#[source] io::Error),
}

impl ExitStatus for ListError {
    fn exit(&self) -> Exit {
        Exit::Failed
    }
}

/// Lists the interfaces of the thread's network namespace, with the pods behind them where a cluster's state tells.
///
/// A reader that has seen enough is no error.
pub fn list(state: Option<&ClusterState>, out: &mut impl io::Write) -> Result<(), ListError> {
    let entries = inventory::read().map_err(ListError::Inventory)?;
    let names = state.map(Names::of).unwrap_or_default();
    match table(out, &entries, &names).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(ListError::Write(error)),
        _ => Ok(()),
    }
}

/// A line for each, in columns; a column that nobody fills is left out.
fn table(out: &mut impl io::Write, entries: &[Entry], names: &Names) -> io::Result<()> {
    let rows: Vec<_> = entries.iter().map(|entry| row(entry, names)).collect();
    columns(out, TITLES, &rows)
}

fn row(entry: &Entry, names: &Names) -> [String; TITLES.len()] {
    let mtu = if entry.mtu == 0 { String::new() } else { entry.mtu.to_string() };
    [
        entry.index.0.to_string(),
        printable(&entry.name),
        state(entry.state).to_owned(),
        printable(&entry.kind),
        link_type(entry.link_type),
        mtu,
        entry.mac.map(mac).unwrap_or_default(),
        some(entry.addresses.iter().map(prefix)),
        details(entry).join(", "),
        pods(entry, names),
    ]
}

const fn state(state: LinkState) -> &'static str {
    match state {
        LinkState::Up => "up",
        LinkState::NoCarrier => "no-carrier",
        LinkState::Down => "down",
    }
}

fn link_type(link_type: LinkType) -> String {
    match link_type {
        LinkType::Ethernet => "Ethernet".to_owned(),
        LinkType::Ip => "IP".to_owned(),
        LinkType::Unsupported(number) => format!("unsupported (ARPHRD {number})"),
    }
}

fn mac(bytes: [u8; 6]) -> String {
    bytes.map(|byte| format!("{byte:02x}")).join(":")
}

fn prefix(prefix: &Prefix) -> String {
    format!("{}/{}", prefix.address, prefix.length)
}

/// The first few of many, and how many more there are.
fn some(mut all: impl Iterator<Item = String>) -> String {
    let mut shown: Vec<_> = all.by_ref().take(MAX_ADDRESSES).collect();
    match all.count() {
        0 => {}
        more => shown.push(format!("{more} more")),
    }
    shown.join(", ")
}

/// What it has to do with others.
fn details(entry: &Entry) -> Vec<String> {
    let tag = entry.tag.map(|tag| match tag {
        Tag::Vlan(id) => format!("vlan {id}"),
        Tag::Vni(id) => format!("vni {id}"),
    });
    let related =
        |word, other: &Option<Neighbour>| other.as_ref().map(|other| format!("{word} {}", neighbour(other)));
    let routes = (!entry.routed.is_empty())
        .then(|| format!("route to {}", some(entry.routed.iter().map(IpAddr::to_string))));
    let details = [
        tag,
        related("on", &entry.lower),
        related("peer", &entry.peer),
        related("port of", &entry.master),
        routes,
    ];
    details.into_iter().flatten().collect()
}

fn neighbour(neighbour: &Neighbour) -> String {
    let name = match &neighbour.name {
        Some(name) => printable(name),
        None => format!("index {}", neighbour.index.0),
    };
    match &neighbour.place {
        Place::Here => name,
        Place::Named(namespace) => format!("{name} in netns {}", printable(namespace)),
        Place::Process { pid, name: process } => {
            format!("{name} in the netns of process {pid} ({})", printable(process))
        }
        Place::Elsewhere => format!("{name} in an unknown netns"),
    }
}

/// The pods that have one of the addresses at it: routed to it, its peer's, or its own.
fn pods(entry: &Entry, names: &Names) -> String {
    let own = entry.peer.iter().flat_map(|peer| &peer.addresses).chain(&entry.addresses);
    let addresses = entry.routed.iter().copied().chain(own.map(|prefix| prefix.address));
    let mut pods: Vec<String> = addresses
        .flat_map(|address| names.owners(address).filter(|owner| matches!(owner, Owner::Pod { .. })))
        .map(|owner| printable(&owner.label()))
        .collect();
    pods.sort_unstable();
    pods.dedup();
    pods.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::interfaces::IfIndex;

    fn entry(name: &str) -> Entry {
        Entry {
            index: IfIndex(3),
            name: name.to_owned(),
            state: LinkState::Up,
            kind: "veth".to_owned(),
            link_type: LinkType::Ethernet,
            mac: Some([0xee; 6]),
            mtu: 1480,
            addresses: vec![],
            master: None,
            tag: None,
            peer: None,
            lower: None,
            routed: vec![],
        }
    }

    fn at(name: Option<&str>, place: Place) -> Neighbour {
        Neighbour { index: IfIndex(9), name: name.map(str::to_owned), place, addresses: vec![] }
    }

    #[test]
    fn columns_are_as_wide_as_needed_and_empty_ones_left_out() {
        let mut wide = entry("a-long-name-1");
        wide.state = LinkState::NoCarrier;
        let mut out = Vec::new();
        table(&mut out, &[entry("cali1"), wide], &Names::default()).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "INDEX  NAME           STATE       KIND  LINK      MTU   MAC\n\
             3      cali1          up          veth  Ethernet  1480  ee:ee:ee:ee:ee:ee\n\
             3      a-long-name-1  no-carrier  veth  Ethernet  1480  ee:ee:ee:ee:ee:ee\n"
        );
    }

    #[test]
    fn neighbours_are_told_where_they_are() {
        let process = Place::Process { pid: 7, name: "a\x1bb".to_owned() };
        let table = [
            (at(Some("eth0"), Place::Here), "eth0"),
            (at(Some("eth0"), Place::Named("pod-a".to_owned())), "eth0 in netns pod-a"),
            (at(Some("eth0"), process), "eth0 in the netns of process 7 (a\\u{1b}b)"),
            (at(None, Place::Elsewhere), "index 9 in an unknown netns"),
        ];
        for (other, text) in table {
            assert_eq!(neighbour(&other), text);
        }
    }

    #[test]
    fn details_in_one_order() {
        let entry = Entry {
            tag: Some(Tag::Vlan(100)),
            lower: Some(at(Some("eth0"), Place::Here)),
            master: Some(at(Some("br0"), Place::Here)),
            routed: (1..=6).map(|last| IpAddr::from([10, 0, 0, last])).collect(),
            ..entry("eth0.100")
        };
        assert_eq!(
            details(&entry).join(", "),
            "vlan 100, on eth0, port of br0, route to 10.0.0.1, 10.0.0.2, 10.0.0.3, 10.0.0.4, 2 more"
        );
    }

    #[test]
    fn pods_by_any_address_at_the_interface() {
        let json = br#"{"kind": "List", "items": [
            {"kind": "Pod", "metadata": {"name": "a", "namespace": "default"}, "status": {"podIP": "10.0.0.1"}},
            {"kind": "Pod", "metadata": {"name": "b", "namespace": "n"}, "status": {"podIP": "10.0.0.2"}},
            {"kind": "Node", "metadata": {"name": "node"}, "status": {"addresses": [{"address": "10.0.0.3"}]}}
        ]}"#;
        let names = Names::of(&ClusterState::from_json(json).unwrap());
        let prefix = |last| Prefix { address: IpAddr::from([10, 0, 0, last]), length: 32 };
        let routed = Entry { routed: vec![prefix(1).address], ..entry("x") };
        let own = Entry { addresses: vec![prefix(2), prefix(3)], ..entry("x") };
        let mut peer = at(None, Place::Elsewhere);
        peer.addresses = vec![prefix(1)];
        let behind = Entry { peer: Some(peer), ..entry("x") };
        for (entry, expected) in [(routed, "a"), (own, "n/b"), (behind, "a"), (entry("x"), "")] {
            assert_eq!(pods(&entry, &names), expected);
        }
    }
}
