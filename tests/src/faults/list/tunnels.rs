//! Tunnels whose other end is somebody else, and networks that do not let them pass.

use super::names::{N1, N2};
use crate::{
    Overlay::{Ipip, Vxlan},
    faults::{
        run::FaultError,
        site::Site,
        variant::{
            Family::{self, V4, V6},
            Place::{Between, Node},
            Scene, Step,
            Transport::{self, Icmp, Tcp, Udp},
            Variant, Way, with_outsides,
        },
    },
    lab::{
        topology::{K8S_NODE1, K8S_NODE2},
        wire::{Effect, Wire},
    },
};

const NOBODY: std::net::Ipv4Addr = std::net::Ipv4Addr::new(172, 18, 0, 99);
const GATEWAY: std::net::Ipv4Addr = std::net::Ipv4Addr::new(172, 18, 0, 1);

/// What is sent, what is wrong, at which node, and how it is done.
type OfIpip = (Transport, Way, &'static str, &'static str, fn(&Site) -> Result<(), FaultError>);

pub(super) fn peer() -> Vec<Variant> {
    const CAUSE: &str = "tunnel-peer-wrong";
    let rows: [(Family, Transport, Way, &str, &'static str, &str); 9] = [
        (
            V4,
            Tcp,
            Way::Pod,
            "FDB names the master",
            N2,
            "bridge fdb replace 66:10:f4:00:00:02 dev {dev} dst {master} self permanent",
        ),
        (
            V4,
            Udp,
            Way::Service,
            "FDB names the master",
            N2,
            "bridge fdb replace 66:10:f4:00:00:02 dev {dev} dst {master} self permanent",
        ),
        (
            V6,
            Tcp,
            Way::Pod,
            "FDB names the master",
            N2,
            "bridge fdb replace 66:10:f6:00:00:02 dev {dev} dst {master} self permanent",
        ),
        (
            V4,
            Icmp,
            Way::Pod,
            "FDB names the master, answer",
            N1,
            "bridge fdb replace 66:10:f4:00:00:03 dev {dev} dst {master} self permanent",
        ),
        (
            V6,
            Udp,
            Way::Pod,
            "FDB names the master, answer",
            N1,
            "bridge fdb replace 66:10:f6:00:00:03 dev {dev} dst {master} self permanent",
        ),
        (
            V4,
            Tcp,
            Way::NodePort,
            "FDB names nobody",
            N2,
            "bridge fdb replace 66:10:f4:00:00:02 dev {dev} dst 172.18.0.99 self permanent",
        ),
        (
            V4,
            Tcp,
            Way::Service,
            "FDB has no entry",
            N2,
            "bridge fdb del 66:10:f4:00:00:02 dev {dev} dst {node1} self",
        ),
        (
            V4,
            Tcp,
            Way::Pod,
            "neighbour has another hardware address",
            N2,
            "ip neigh replace 10.244.131.0 lladdr 66:10:f4:00:00:09 dev {dev} nud permanent",
        ),
        (
            V4,
            Udp,
            Way::Pod,
            "FDB has no entry, answer",
            N1,
            "bridge fdb del 66:10:f4:00:00:03 dev {dev} dst {node2} self",
        ),
    ];
    let scenes = with_outsides(rows.iter().map(|row| Scene::new(Vxlan, row.0, row.1, row.2)));
    let pairs = rows.into_iter().zip(scenes);
    let mut variants: Vec<Variant> = pairs
        .map(|((.., what, at, script), scene)| Variant::new(what, scene, CAUSE, Node(at)).run(at, script))
        .collect();
    let ipip: [OfIpip; 4] = [
        (Tcp, Way::Pod, "route names somebody without tunnel", N2, request_to_gateway),
        (Udp, Way::Service, "route names nobody", N2, request_to_nobody),
        (Tcp, Way::Service, "route names somebody without tunnel, answer", N1, answer_to_gateway),
        (Icmp, Way::Pod, "route names nobody, answer", N1, answer_to_nobody),
    ];
    for (transport, way, what, at, step) in ipip {
        let scene = Scene::new(Ipip, V4, transport, way);
        variants.push(Variant::new(what, scene, CAUSE, Node(at)).step(Step::Do(step)));
    }
    variants
}

fn request_to_gateway(site: &Site) -> Result<(), FaultError> {
    Ok(site.lab.tunnel_to(N2, K8S_NODE1.tunnel, 26, GATEWAY)?)
}

fn request_to_nobody(site: &Site) -> Result<(), FaultError> {
    Ok(site.lab.tunnel_to(N2, K8S_NODE1.tunnel, 26, NOBODY)?)
}

fn answer_to_gateway(site: &Site) -> Result<(), FaultError> {
    Ok(site.lab.tunnel_to(N1, K8S_NODE2.tunnel, 26, GATEWAY)?)
}

fn answer_to_nobody(site: &Site) -> Result<(), FaultError> {
    Ok(site.lab.tunnel_to(N1, K8S_NODE2.tunnel, 26, NOBODY)?)
}

pub(super) fn ipip_filtered() -> Vec<Variant> {
    let ways = [
        (Tcp, Way::Pod),
        (Udp, Way::Pod),
        (Icmp, Way::Pod),
        (Tcp, Way::Service),
        (Udp, Way::Service),
        (Tcp, Way::NodePort),
    ];
    let scenes = with_outsides(ways.into_iter().flat_map(|(transport, way)| {
        let scene = Scene::new(Ipip, V4, transport, way);
        [scene.clone(), scene]
    }));
    filtered(scenes, "ip protocol 4")
}

pub(super) fn vxlan_filtered() -> Vec<Variant> {
    let ways = [
        (V4, Tcp, Way::Pod),
        (V4, Udp, Way::Pod),
        (V6, Tcp, Way::Pod),
        (V4, Tcp, Way::Service),
        (V6, Udp, Way::Pod),
        (V4, Tcp, Way::NodePort),
    ];
    let scenes = with_outsides(ways.into_iter().flat_map(|(family, transport, way)| {
        let scene = Scene::new(Vxlan, family, transport, way);
        [scene.clone(), scene]
    }));
    filtered(scenes, "udp dport 4789")
}

/// In turn what the client's node sends, and what the pod's does.
fn filtered(scenes: Vec<Scene>, filter: &'static str) -> Vec<Variant> {
    let numbered = scenes.into_iter().enumerate();
    numbered
        .map(|(index, scene)| {
            let (from, to, what) = if index % 2 == 0 { (N2, N1, "request") } else { (N1, N2, "answer") };
            let variant = Variant::new(what, scene, "tunnel-filtered", Between(from, to));
            variant.step(Step::Wire(Wire { effect: Effect::Lose, from, filter, per_mille: 1000 }))
        })
        .collect()
}

pub(super) fn wrong_vni() -> Vec<Variant> {
    const CAUSE: &str = "wrong-vni";
    let rows = [
        (V4, Tcp, Way::Pod, true),
        (V4, Udp, Way::Pod, false),
        (V6, Tcp, Way::Pod, true),
        (V4, Tcp, Way::Service, false),
        (V6, Udp, Way::Pod, true),
        (V4, Tcp, Way::NodePort, true),
        (V4, Icmp, Way::Pod, true),
        (V4, Udp, Way::Service, true),
        (V6, Icmp, Way::Pod, false),
    ];
    let scenes =
        with_outsides(rows.map(|(family, transport, way, _)| Scene::new(Vxlan, family, transport, way)));
    let mut variants = Vec::new();
    for ((.., is_first), scene) in rows.into_iter().zip(scenes) {
        let (what, step) = if is_first {
            ("of the pod's node", odd_node1 as fn(&Site) -> Result<(), FaultError>)
        } else {
            ("of the client's node", odd_node2 as fn(&Site) -> Result<(), FaultError>)
        };
        let variant = Variant::new(what, scene, CAUSE, Node(N1)).or_at(Node(N2)).or_at(Between(N2, N1));
        variants.push(variant.step(Step::Do(step)));
    }
    let entries = [
        (Tcp, N2, "bridge fdb replace 66:10:f4:00:00:02 dev {dev} dst {node1} vni 4099 self permanent"),
        (Udp, N1, "bridge fdb replace 66:10:f4:00:00:03 dev {dev} dst {node2} vni 4099 self permanent"),
    ];
    for (transport, at, script) in entries {
        let scene = Scene::new(Vxlan, V4, transport, Way::Pod);
        let (from, to) = if at == N2 { (N2, N1) } else { (N1, N2) };
        let variant = Variant::new("of an entry of the FDB", scene, CAUSE, Node(from)).or_at(Node(to));
        variants.push(variant.or_at(Between(from, to)).run(at, script));
    }
    variants
}

fn odd_node1(site: &Site) -> Result<(), FaultError> {
    Ok(site.lab.remake_vxlan(N1, 4097)?)
}

fn odd_node2(site: &Site) -> Result<(), FaultError> {
    Ok(site.lab.remake_vxlan(N2, 4097)?)
}
