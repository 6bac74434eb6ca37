//! Neighbours that do not answer, addresses that two have, interfaces that are down.

use super::names::{DEST, MASTER, N1, N2, SRC};
use crate::{
    LabError, Namespace,
    Overlay::{self, Ipip, None, Vxlan},
    faults::{
        run::FaultError,
        site::Site,
        variant::{
            Family::{self, V4, V6},
            Place::{self, Between, Node, Pod},
            Scene, Step,
            Transport::{self, Icmp, Tcp, Udp},
            Variant, Way, with_outsides,
        },
    },
    lab::topology::{self, K8S_NODE1, K8S_NODE2, POD_DEST},
};

type Circumstances = (Overlay, Family, Transport, Way);

fn scenes_of(all: &[Circumstances]) -> Vec<Scene> {
    with_outsides(
        all.iter().map(|(overlay, family, transport, way)| Scene::new(*overlay, *family, *transport, *way)),
    )
}

/// The circumstances, what it is, scripts and where they run, and the place that is expected.
type Mute = (Circumstances, &'static str, &'static [(&'static str, &'static str)], Place);

/// Whoever is known stays known, and is not asked, which would tell them who asks.
macro_rules! known {
    () => {
        "for each in $(ip -4 neigh show dev eth0 | cut -d' ' -f1); do ip neigh change $each dev eth0 nud permanent || true; done"
    };
}

pub(super) fn neighbour() -> Vec<Variant> {
    const CAUSE: &str = "neighbour-failed";
    const QUICK: &str = "sysctl -qw net/ipv4/neigh/eth0/retrans_time_ms=150; ";
    const MUTE: &str = concat!("sysctl -qw net/ipv4/conf/eth0/arp_ignore=8; ", known!());
    let rows: [Mute; 12] = [
        (
            (None, V4, Tcp, Way::Pod),
            "node of the pod is mute",
            &[(N1, MUTE), (N2, "ip neigh del {node1} dev eth0")],
            Node(N2),
        ),
        (
            (Vxlan, V4, Udp, Way::Pod),
            "node of the pod is mute, tunnel",
            &[(N1, MUTE), (N2, "ip neigh del {node1} dev eth0")],
            Node(N2),
        ),
        (
            (None, V6, Tcp, Way::Pod),
            "next hop that nobody is",
            &[(N2, "ip -6 route replace {block1} via {nobody}")],
            Node(N2),
        ),
        (
            (Ipip, V4, Tcp, Way::Service),
            "node of the pod is mute, tunnel",
            &[(N1, MUTE), (N2, "ip neigh del {node1} dev eth0")],
            Node(N2),
        ),
        (
            (Vxlan, V6, Udp, Way::Pod),
            "the pod has lost its address",
            &[
                (DEST, "ip -6 addr del {dst}/128 dev eth0"),
                (N1, "sysctl -qw net/ipv6/neigh/{cali1}/retrans_time_ms=150; ip -6 neigh flush dev {cali1}"),
            ],
            Node(N1),
        ),
        (
            (None, V4, Tcp, Way::NodePort),
            "the client's node is mute, answer",
            &[(MASTER, MUTE), (N2, "ip neigh del {master} dev eth0")],
            Node(N2),
        ),
        (
            (Ipip, V4, Icmp, Way::Pod),
            "the pod is mute",
            &[
                (DEST, MUTE),
                (N1, "sysctl -qw net/ipv4/neigh/{cali1}/retrans_time_ms=150; ip neigh del {dst} dev {cali1}"),
            ],
            Node(N1),
        ),
        (
            (Vxlan, V4, Tcp, Way::Service),
            "the client's node is mute, answer",
            &[(N2, MUTE), (N1, "ip neigh del {node2} dev eth0")],
            Node(N1),
        ),
        (
            (None, V4, Udp, Way::Pod),
            "next hop that nobody is",
            &[(N2, "ip route replace {block1} via {nobody}")],
            Node(N2),
        ),
        (
            (Ipip, V4, Udp, Way::Service),
            "the pod has lost its address",
            &[
                (DEST, "ip addr del {dst}/32 dev eth0"),
                (N1, "sysctl -qw net/ipv4/neigh/{cali1}/retrans_time_ms=150; ip neigh flush dev {cali1}"),
            ],
            Node(N1),
        ),
        (
            (Ipip, V4, Tcp, Way::Pod),
            "the gateway is mute",
            &[(N2, "sysctl -qw net/ipv4/conf/{cali2}/proxy_arp=0"), (SRC, "ip neigh flush dev eth0")],
            Pod(SRC),
        ),
        (
            (None, V4, Tcp, Way::Pod),
            "next hop of the answer that nobody is",
            &[(N1, "ip route replace {block2} via {nobody}")],
            Node(N1),
        ),
    ];
    let scenes = scenes_of(&rows.each_ref().map(|row| row.0));
    let pairs = rows.into_iter().zip(scenes);
    pairs
        .map(|((_, what, scripts, place), scene)| {
            let mut variant = Variant::new(what, scene, CAUSE, place);
            for at in [N1, N2, MASTER, SRC, DEST] {
                let quick =
                    if variant.scene.family == V4 { QUICK.to_owned() } else { QUICK.replace("ipv4", "ipv6") };
                variant = variant.run(at, quick);
            }
            scripts.iter().fold(variant, |variant, (at, script)| variant.run(at, *script))
        })
        .collect()
}

pub(super) fn duplicate() -> Vec<Variant> {
    const CAUSE: &str = "duplicate-address";
    let mut variants: Vec<Variant> = Vec::new();
    let of_node: [(Circumstances, bool); 9] = [
        ((None, V4, Tcp, Way::Pod), true),
        ((Ipip, V4, Tcp, Way::Pod), true),
        ((Vxlan, V4, Udp, Way::Pod), true),
        ((None, V4, Icmp, Way::Pod), false),
        ((Vxlan, V4, Tcp, Way::Service), false),
        ((Ipip, V4, Udp, Way::Service), true),
        ((None, V4, Tcp, Way::Service), true),
        ((Ipip, V4, Tcp, Way::Pod), false),
        ((Vxlan, V4, Tcp, Way::Pod), true),
    ];
    let scenes = scenes_of(&of_node.map(|row| row.0));
    for ((_, is_first), scene) in of_node.into_iter().zip(scenes) {
        let (owner, asker) = if is_first { (N1, N2) } else { (N2, N1) };
        let what = format!("somebody else has {owner}'s address");
        let variant =
            Variant::new(what, scene, CAUSE, Node(asker)).or_at(Node(owner)).or_at(Between(asker, owner));
        variants.push(variant.step(Step::Do(if is_first { rogue_node1 } else { rogue_node2 })));
    }
    for (overlay, transport) in [(Ipip, Tcp), (None, Udp), (Vxlan, Tcp)] {
        let scene = Scene::new(overlay, V4, transport, Way::Pod);
        let variant =
            Variant::new("another pod has the pod's address", scene, CAUSE, Node(N2)).or_at(Node(N1));
        variants.push(variant.step(Step::Do(rogue_pod)));
    }
    variants
}

fn rogue_node1(site: &Site) -> Result<(), FaultError> {
    rogue(site, &K8S_NODE1, &K8S_NODE2)
}

fn rogue_node2(site: &Site) -> Result<(), FaultError> {
    rogue(site, &K8S_NODE2, &K8S_NODE1)
}

/// Somebody on the bridge with an address of a node, whom another node learns of because it is asked by it.
fn rogue(site: &Site, owner: &topology::Node, asker: &topology::Node) -> Result<(), FaultError> {
    let address = owner.address;
    site.script(owner.name, known!())?;
    let underlay = site.lab.underlay();
    let ns = Namespace::create(format!("{}-rogue", underlay.name())).map_err(LabError::from)?;
    let name = ns.name().to_owned();
    site.script(
        "underlay",
        &format!("ip link add rogue type veth peer name eth0 netns {name}; ip link set rogue master br0 up"),
    )?;
    let script = format!("ip link set eth0 up; ip addr add {address}/24 dev eth0");
    crate::run(&ns, "sh", &["-c", &script], "")?;
    // Its question makes the other node know it by its own hardware address.
    site.script(asker.name, &format!("ip neigh del {address} dev eth0 || true"))?;
    let ping = crate::traffic::Ping {
        timeout: std::time::Duration::from_millis(200),
        ..crate::traffic::Ping::new(asker.address)
    };
    // Its question is what matters.
    let _ = ping.send(&ns);
    site.hold(ns);
    Ok(())
}

/// A pod on the client's node with pod-dest's address, as an address manager without a memory would give it.
fn rogue_pod(site: &Site) -> Result<(), FaultError> {
    let guest = site.lab.add_pod("pod-twin", N2, POD_DEST.address, "calitwin0000000")?;
    site.hold(guest);
    Ok(())
}

pub(super) fn down() -> Vec<Variant> {
    const CAUSE: &str = "interface-down";
    let rows: [(Circumstances, &str, &'static str, &str); 12] = [
        ((Ipip, V4, Tcp, Way::Pod), "pod's interface on its node", N1, "ip link set {cali1} down"),
        ((Vxlan, V4, Udp, Way::Pod), "tunnel, at the pod's node", N1, "ip link set {dev} down"),
        ((None, V6, Tcp, Way::Pod), "pod's interface on its node", N1, "ip link set {cali1} down"),
        ((Ipip, V4, Tcp, Way::Service), "tunnel, at the client's node", N2, "ip link set {dev} down"),
        ((Vxlan, V6, Udp, Way::Pod), "tunnel, at the client's node", N2, "ip link set {dev} down"),
        ((None, V4, Tcp, Way::NodePort), "uplink of the pod's node", N1, "ip link set eth0 down"),
        ((Ipip, V4, Icmp, Way::Pod), "tunnel, at the pod's node", N1, "ip link set {dev} down"),
        ((Vxlan, V4, Tcp, Way::Service), "uplink of the pod's node", N1, "ip link set eth0 down"),
        ((Ipip, V4, Udp, Way::Service), "in the pod", DEST, "ip link set eth0 down"),
        ((None, V4, Tcp, Way::Pod), "in the pod", DEST, "ip link set eth0 down"),
        ((Vxlan, V4, Tcp, Way::Pod), "uplink of the client's node", N2, "ip link set eth0 down"),
        ((None, V4, Udp, Way::Pod), "cable of the pod's node", "underlay", "ip link set k8s-node1 down"),
    ];
    let scenes = scenes_of(&rows.map(|row| row.0));
    let pairs = rows.into_iter().zip(scenes);
    pairs
        .map(|((_, what, at, script), scene)| {
            let place = match at {
                "underlay" => Node(N1),
                DEST => Pod(DEST),
                node => Node(node),
            };
            let variant = Variant::new(what, scene, CAUSE, place).run(at, script);
            // A pair is down at both ends, and a node without a link is where packets to it end.
            let variant = if at == DEST { variant.or_at(Node(N1)) } else { variant };
            if script.contains("eth0") && at == N1 { variant.or_at(Between(N2, N1)) } else { variant }
        })
        .collect()
}
