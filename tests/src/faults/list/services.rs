//! Services without anybody behind them, or with somebody who cannot be reached that way.

use std::net::{IpAddr, Ipv4Addr};

use super::names::{DEST, MASTER, N1, N2, SRC};
use crate::{
    Overlay::{self, Ipip, None, Vxlan},
    faults::variant::{
        Family::{self, V4, V6},
        Place::{Node, Pod},
        Scene,
        Transport::{Tcp, Udp},
        Variant, Way,
    },
    lab::{
        EndpointSpec, ProxyMode, ServiceSpec,
        topology::{K8S_NODE2, POD_DEST, POD_PORT, POD_SRC},
    },
};

/// Service addresses that no other service has.
const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 101, 7, 7);
const ADDRESS6: &str = "fd00:10:96::77";
const NODE_PORT: u16 = 31090;
const NAME: &str = "svc-more";
const WORD: &str = "svc/svc-more";

/// pod-dest as an endpoint.
pub(super) fn endpoint(family: Family) -> EndpointSpec {
    let address = if family == V6 { IpAddr::from(POD_DEST.address6()) } else { POD_DEST.address.into() };
    EndpointSpec { address, node: N1, pod: DEST, is_ready: true }
}

/// pod-src, or a node, asks a service by its virtual address.
pub(super) fn cluster_ip(
    (overlay, family, from): (Overlay, Family, &'static str),
    protocol: &'static str,
    is_iptables: bool,
    change: impl FnOnce(&mut ServiceSpec),
) -> Scene {
    let address: IpAddr =
        if family == V6 { ADDRESS6.parse().unwrap_or(ADDRESS.into()) } else { ADDRESS.into() };
    let mut service = ServiceSpec { protocol, ..ServiceSpec::new(NAME, address, endpoint(family)) };
    change(&mut service);
    let way = Way::To { from, address, port: service.port, word: WORD };
    scene(overlay, family, way, service, is_iptables)
}

/// The master asks a service by the port of pod-src's node.
pub(super) fn node_port(
    overlay: Overlay,
    family: Family,
    protocol: &'static str,
    is_iptables: bool,
    change: impl FnOnce(&mut ServiceSpec),
) -> Scene {
    let virtual_address: IpAddr =
        if family == V6 { ADDRESS6.parse().unwrap_or(ADDRESS.into()) } else { ADDRESS.into() };
    let mut service = ServiceSpec {
        protocol,
        node_port: Some(NODE_PORT),
        ..ServiceSpec::new(NAME, virtual_address, endpoint(family))
    };
    change(&mut service);
    let address = if family == V6 { IpAddr::from(K8S_NODE2.address6()) } else { K8S_NODE2.address.into() };
    scene(
        overlay,
        family,
        Way::To { from: MASTER, address, port: NODE_PORT, word: WORD },
        service,
        is_iptables,
    )
}

fn scene(overlay: Overlay, family: Family, way: Way, service: ServiceSpec, is_iptables: bool) -> Scene {
    let transport = if service.protocol == "tcp" { Tcp } else { Udp };
    Scene {
        services: vec![service],
        mode: if is_iptables { ProxyMode::Iptables } else { ProxyMode::Nftables },
        is_warm: false,
        ..Scene::new(overlay, family, transport, way)
    }
}

/// Ten ways to ask a service that has nobody behind it, with what is changed about it.
fn unserved(cause: &'static str, change: fn(&mut ServiceSpec)) -> Vec<Variant> {
    let rows = [
        (Ipip, V4, "tcp", true, SRC),
        (Vxlan, V4, "udp", true, SRC),
        (None, V6, "tcp", true, SRC),
        (Ipip, V4, "tcp", false, SRC),
        (Vxlan, V4, "udp", false, SRC),
        (None, V4, "tcp", true, MASTER),
        (Vxlan, V6, "udp", true, SRC),
        (Ipip, V4, "udp", true, MASTER),
    ];
    let virtual_ones =
        rows.into_iter().enumerate().map(|(index, (overlay, family, protocol, mode, from))| {
            let scene = cluster_ip((overlay, family, from), protocol, mode, change);
            let at = if from == SRC { N2 } else { MASTER };
            let what = if mode { "iptables" } else { "nftables" };
            Variant::new(what, Scene { inside: index % 3 != 2, ..scene }, cause, Node(at))
        });
    let ports = [(Ipip, "tcp", true), (Vxlan, "udp", true), (None, "tcp", false), (Vxlan, "tcp", true)];
    let node_ports = ports.into_iter().map(|(overlay, protocol, mode)| {
        let scene = node_port(overlay, V4, protocol, mode, change);
        Variant::new(if mode { "NodePort, iptables" } else { "NodePort, nftables" }, scene, cause, Node(N2))
    });
    virtual_ones.chain(node_ports).collect()
}

pub(super) fn no_endpoints() -> Vec<Variant> {
    unserved("no-endpoints", |service| service.endpoints.clear())
}

pub(super) fn not_ready() -> Vec<Variant> {
    unserved("endpoint-not-ready", |service| {
        service.endpoints.iter_mut().for_each(|endpoint| endpoint.is_ready = false);
    })
}

pub(super) fn stale() -> Vec<Variant> {
    const CAUSE: &str = "stale-endpoint";
    // Nobody has these, of the blocks of either node.
    let far = |family| if family == V6 { "fd00:10:244:131::99" } else { "10.244.131.50" };
    let near = |family| if family == V6 { "fd00:10:244:111::99" } else { "10.244.111.100" };
    let rows = [
        (Ipip, V4, "tcp", true, true),
        (Vxlan, V4, "udp", true, true),
        (None, V6, "tcp", true, true),
        (Ipip, V4, "tcp", false, true),
        (Vxlan, V4, "tcp", true, false),
        (None, V4, "udp", true, false),
        (Vxlan, V6, "udp", true, true),
        (Ipip, V4, "udp", false, false),
    ];
    let mut variants: Vec<Variant> = Vec::new();
    for (index, (overlay, family, protocol, mode, is_far)) in rows.into_iter().enumerate() {
        let gone = if is_far { far(family) } else { near(family) };
        let scene = cluster_ip((overlay, family, SRC), protocol, mode, |service| leave(service, gone));
        let what = if is_far { "of the other node" } else { "of the same node" };
        let scene = Scene { inside: index % 3 != 2, ..scene };
        let variant = Variant::new(what, scene, CAUSE, Node(N2));
        variants.push(if is_far { variant.or_at(Node(N1)) } else { variant });
    }
    for (overlay, protocol) in [(Ipip, "tcp"), (None, "udp")] {
        let scene = cluster_ip((overlay, V4, SRC), protocol, true, |service| leave(service, far(V4)));
        let dead = "ip link add calidead type veth peer name calidead1; ip link set calidead up; ip link set calidead1 up; ip route add 10.244.131.50/32 dev calidead scope link; sysctl -qw net/ipv4/neigh/calidead/retrans_time_ms=150";
        variants.push(Variant::new("its link is left", scene, CAUSE, Node(N2)).or_at(Node(N1)).run(N1, dead));
    }
    for overlay in [Ipip, Vxlan] {
        let scene = node_port(overlay, V4, "tcp", true, |service| leave(service, far(V4)));
        variants.push(Variant::new("NodePort", scene, CAUSE, Node(N2)).or_at(Node(N1)));
    }
    variants
}

/// Rules send to somebody who is gone; the API server knows a new endpoint that is not ready yet.
fn leave(service: &mut ServiceSpec, gone: &str) {
    service.endpoints.iter_mut().for_each(|endpoint| endpoint.is_ready = false);
    service.gone.extend(gone.parse::<IpAddr>());
}

pub(super) fn local_policy() -> Vec<Variant> {
    let rows = [
        (Ipip, V4, "tcp", true),
        (Vxlan, V4, "udp", true),
        (None, V6, "tcp", true),
        (Ipip, V4, "tcp", false),
        (Vxlan, V4, "tcp", true),
        (None, V4, "udp", true),
        (Vxlan, V6, "udp", true),
        (Ipip, V4, "udp", false),
        (None, V4, "tcp", false),
        (Vxlan, V6, "tcp", false),
        (Ipip, V4, "udp", true),
    ];
    let numbered = rows.into_iter().enumerate();
    numbered
        .map(|(index, (overlay, family, protocol, mode))| {
            let scene = node_port(overlay, family, protocol, mode, |service| service.is_local = true);
            let scene = Scene { inside: index % 3 != 2, ..scene };
            let what = if mode { "iptables" } else { "nftables" };
            Variant::new(what, scene, "local-policy-without-endpoint", Node(N2))
        })
        .collect()
}

pub(super) fn hairpin() -> Vec<Variant> {
    let rows = [
        (Ipip, "tcp", true, DEST),
        (Vxlan, "udp", true, DEST),
        (None, "tcp", true, DEST),
        (Ipip, "tcp", false, DEST),
        (Vxlan, "tcp", true, SRC),
        (None, "udp", true, SRC),
        (Ipip, "udp", true, DEST),
        (Vxlan, "tcp", false, SRC),
        (None, "tcp", true, SRC),
        (Ipip, "udp", false, SRC),
        (Vxlan, "udp", false, DEST),
    ];
    let numbered = rows.into_iter().enumerate();
    numbered
        .map(|(index, (overlay, protocol, mode, from))| {
            let scene = cluster_ip((overlay, V4, from), protocol, mode, |service| {
                service.masquerades = false;
                if from == SRC {
                    let own =
                        EndpointSpec { address: POD_SRC.address.into(), node: N2, pod: SRC, is_ready: true };
                    service.endpoints = vec![own];
                }
            });
            let scene = Scene { inside: index % 3 != 2, ..scene };
            let node = if from == SRC { N2 } else { N1 };
            let what = if mode { "iptables" } else { "nftables" };
            let variant =
                Variant::new(what, scene, "hairpin-without-masquerade", Pod(from)).or_at(Node(node));
            variant.step(crate::faults::variant::Step::Do(serve_source))
        })
        .collect()
}

/// pod-src has a server as well.
fn serve_source(site: &crate::faults::site::Site) -> Result<(), crate::faults::run::FaultError> {
    site.serve(SRC, POD_PORT)
}

/// Services with a port behind them that nobody listens on.
pub(super) fn with_target_port(index: usize) -> Variant {
    let rows = [
        (Ipip, V4, "tcp", true),
        (Vxlan, V4, "udp", true),
        (None, V6, "tcp", true),
        (Ipip, V4, "tcp", false),
        (Vxlan, V6, "udp", true),
        (None, V4, "tcp", true),
        (Vxlan, V4, "tcp", false),
    ];
    let wrong = |service: &mut ServiceSpec| service.target_port = 9999;
    let (scene, what) = if let Some((overlay, family, protocol, mode)) = rows.get(index) {
        let what = if *mode { "iptables" } else { "nftables" };
        (cluster_ip((*overlay, *family, SRC), protocol, *mode, wrong), what)
    } else {
        let ports = [(Ipip, "tcp", true), (Vxlan, "udp", true), (None, "tcp", false), (Vxlan, "tcp", true)];
        let (overlay, protocol, mode) = ports[(index - rows.len()) % ports.len()];
        (node_port(overlay, V4, protocol, mode, wrong), "NodePort")
    };
    let scene = Scene { inside: index % 3 != 2, ..scene };
    Variant::new(what, scene, "target-port-unserved", Pod(DEST))
}
