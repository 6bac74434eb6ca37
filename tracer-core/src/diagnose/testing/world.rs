//! Two nodes with a pod each, joined by IPIP: what their kernels say when all is well.

use super::{evidence, hop, ip, judged_in, key, link, route, snapshot};
use crate::diagnose::Verdict;
use crate::evidence::{
    Evidence, Neighbour, NeighbourState, RouteKind, RoutingRule, Snapshot, Tunnel as Device,
};
use crate::flow::{FlowKey, Protocol};
use crate::packet::{Tunnel, TunnelKind};
use crate::report::{FlowReport, Hop};
use crate::resolve::ClusterState;
use crate::way::LinkIndex;

const STATE: &str = r#"{"kind":"List","items":[
    {"kind":"Node","metadata":{"name":"node1","annotations":{"projectcalico.org/IPv4IPIPTunnelAddr":"10.244.131.0"}},
     "status":{"addresses":[{"type":"InternalIP","address":"172.18.0.2"}]}},
    {"kind":"Node","metadata":{"name":"node2","annotations":{"projectcalico.org/IPv4IPIPTunnelAddr":"10.244.111.64"}},
     "status":{"addresses":[{"type":"InternalIP","address":"172.18.0.3"}]}},
    {"kind":"Node","metadata":{"name":"node3"},
     "status":{"addresses":[{"type":"InternalIP","address":"172.18.0.4"}]}},
    {"kind":"Pod","metadata":{"name":"server","namespace":"default"},"spec":{"nodeName":"node1"},
     "status":{"phase":"Running","podIP":"10.244.131.5","podIPs":[{"ip":"10.244.131.5"}]}},
    {"kind":"Pod","metadata":{"name":"client","namespace":"default"},"spec":{"nodeName":"node2"},
     "status":{"phase":"Running","podIP":"10.244.111.72","podIPs":[{"ip":"10.244.111.72"}]}}
]}"#;

/// The client's packets.
pub(in super::super) fn there() -> FlowKey {
    key(Protocol::TCP, "10.244.111.72:40000", "10.244.131.5:8080")
}

/// What is said of both nodes before and after.
#[derive(Clone, Debug)]
pub(in super::super) struct World {
    pub(in super::super) node1: Evidence,
    pub(in super::super) node2: Evidence,
    pub(in super::super) more: Vec<Evidence>,
}

impl World {
    pub(in super::super) fn new() -> Self {
        let one =
            node("node1", 1, "172.18.0.2", ("10.244.131.0", "10.244.131.5"), ("10.244.111.64", "172.18.0.3"));
        let two = node(
            "node2",
            2,
            "172.18.0.3",
            ("10.244.111.64", "10.244.111.72"),
            ("10.244.131.0", "172.18.0.2"),
        );
        Self { node1: evidence(one), node2: evidence(two), more: Vec::new() }
    }

    /// Changes what the later snapshot of the first node says.
    pub(in super::super) fn one(mut self, change: impl Fn(&mut Snapshot)) -> Self {
        self.node1.after.as_mut().into_iter().for_each(change);
        self
    }

    /// The same of the second one.
    pub(in super::super) fn two(mut self, change: impl Fn(&mut Snapshot)) -> Self {
        self.node2.after.as_mut().into_iter().for_each(change);
        self
    }

    /// The verdict of a flow that is alone there.
    pub(in super::super) fn judge(&self, flow: FlowReport) -> Verdict {
        let state = ClusterState::from_json(STATE.as_bytes()).unwrap();
        let mut evidence = vec![self.node1.clone(), self.node2.clone()];
        evidence.extend(self.more.iter().cloned());
        judged_in(flow, &evidence, Some(&state))
    }
}

/// A node with its uplink eth0, its end cali0 of the pod, and tunl0 to the other node.
fn node(name: &str, number: u32, own: &str, pod: (&str, &str), other: (&str, &str)) -> Snapshot {
    let (tunnel, pod) = pod;
    let mut snapshot = snapshot(name);
    snapshot.netns = u64::from(number);
    let mut eth0 = link(2, "eth0", "veth", &[&format!("{own}/16")]);
    eth0.mac = Some(format!("02:00:00:00:00:{number:02x}"));
    let mut tunl0 = link(3, "tunl0", "ipip", &[&format!("{tunnel}/32")]);
    tunl0.tunnel = Some(Device { local: Some(ip(own)), ..Device::default() });
    tunl0.mtu = 1480;
    tunl0.mac = None;
    tunl0.is_peer_elsewhere = false;
    eth0.is_peer_elsewhere = false;
    snapshot.links = vec![eth0, tunl0, link(4, "cali0", "veth", &[])];
    snapshot.routes = vec![
        route("172.18.0.0/16", RouteKind::Unicast, Some(2), None),
        route("0.0.0.0/0", RouteKind::Unicast, Some(2), Some("172.18.0.1")),
        route(&format!("{pod}/32"), RouteKind::Unicast, Some(4), None),
        route(&format!("{}/26", other.0), RouteKind::Unicast, Some(3), Some(other.1)),
        crate::evidence::Route { table: 255, ..route(&format!("{own}/32"), RouteKind::Local, Some(2), None) },
    ];
    snapshot.rules = [(0, 255), (32766, 254)].map(|(priority, table)| rule(priority, table)).to_vec();
    for (name, value) in [
        ("net/ipv4/ip_forward", "1"),
        ("net/ipv4/conf/all/rp_filter", "0"),
        ("net/ipv4/conf/eth0/rp_filter", "0"),
        ("net/ipv4/conf/cali0/rp_filter", "0"),
        ("net/ipv4/conf/tunl0/rp_filter", "0"),
        ("net/ipv4/conf/eth0/forwarding", "1"),
        ("net/ipv4/conf/cali0/forwarding", "1"),
        ("net/ipv4/conf/tunl0/forwarding", "1"),
    ] {
        snapshot.sysctls.insert(name.to_owned(), value.to_owned());
    }
    let mac = format!("02:00:00:00:00:{:02x}", 3 - number);
    snapshot.neighbours = vec![neighbour(other.1, 2, Some(&mac), NeighbourState::Known)];
    snapshot
}

/// A rule that asks a table.
fn rule(priority: u32, table: u32) -> RoutingRule {
    serde_json::from_value(serde_json::json!({
        "priority": priority, "is_ipv6": false, "source": null, "destination": null, "mark": null,
        "input": null, "output": null, "table": table, "kind": "unicast",
    }))
    .unwrap()
}

/// A neighbour on a link.
pub(in super::super) fn neighbour(
    address: &str,
    link: u32,
    mac: Option<&str>,
    state: NeighbourState,
) -> Neighbour {
    Neighbour {
        address: ip(address),
        link: LinkIndex(link),
        mac: mac.map(str::to_owned),
        state,
        is_proxy: false,
    }
}

/// A hop with the encapsulation from the second node to an address.
pub(in super::super) fn wrapped(mut hop: Hop, from: &str, to: &str, kind: TunnelKind) -> Hop {
    hop.tunnels = vec![Tunnel { kind, source: ip(from), destination: ip(to) }];
    hop
}

/// The hops of the client's packets, so many of them.
pub(in super::super) fn way(packets: u64) -> Vec<Hop> {
    let plain = |place| hop(place, there(), packets);
    let inside = |place| wrapped(hop(place, there(), packets), "172.18.0.3", "172.18.0.2", TunnelKind::Ipip);
    vec![
        plain("node2 client:eth0 out"),
        plain("node2 cali0 in"),
        plain("node2 tunl0 out"),
        inside("node2 eth0 out"),
        inside("node1 eth0 in"),
        plain("node1 tunl0 in"),
        plain("node1 cali0 out"),
        plain("node1 server:eth0 in"),
    ]
}

/// The hops of the server's packets.
pub(in super::super) fn way_back(packets: u64) -> Vec<Hop> {
    let back = there().reversed();
    let plain = |place| hop(place, back, packets);
    let inside = |place| wrapped(hop(place, back, packets), "172.18.0.2", "172.18.0.3", TunnelKind::Ipip);
    vec![
        plain("node1 server:eth0 out"),
        plain("node1 cali0 in"),
        plain("node1 tunl0 out"),
        inside("node1 eth0 out"),
        inside("node2 eth0 in"),
        plain("node2 tunl0 in"),
        plain("node2 cali0 out"),
        plain("node2 client:eth0 in"),
    ]
}
