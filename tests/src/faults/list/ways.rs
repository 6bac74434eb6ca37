//! Ways that lead back to where they began, and answers that go another way than requests.

use super::names::{MASTER, N1, N2};
use crate::{
    Overlay::{self, Ipip, None, Vxlan},
    faults::{
        run::FaultError,
        site::Site,
        variant::{
            Family::{self, V4, V6},
            Place::{self, Node},
            Scene, Step, Traffic,
            Transport::{self, Icmp, Tcp, Udp},
            Variant, Way, with_outsides,
        },
    },
    lab::topology::{K8S_MASTER, K8S_NODE1, K8S_NODE2, POD_SRC},
};

/// Two nodes that take each other for the way.
///
/// Not by IPIP: the lab's stand-in for its device cannot wrap a packet again that it has unwrapped (the kernel keeps
/// `skb->encapsulation`, and `bpf_skb_net_grow` refuses with EALREADY).
pub(super) fn circle() -> Vec<Variant> {
    const CAUSE: &str = "routing-loop";
    let rows: Vec<(Overlay, Family, Transport, Way, &str, &str)> = vec![
        (None, V4, Tcp, Way::Pod, N2, "{ip} route replace {dst}/{len} via {other}"),
        (None, V6, Tcp, Way::Pod, N2, "{ip} route replace {dst}/{len} via {other}"),
        (None, V4, Udp, Way::Service, N2, "{ip} route replace {dst}/{len} via {other}"),
        (None, V6, Udp, Way::Pod, N1, "{ip} route replace {dst}/{len} via {other}"),
        (None, V4, Icmp, Way::Pod, N1, "{ip} route replace {dst}/{len} via {other}"),
        (None, V4, Tcp, Way::NodePort, N1, "{ip} route replace {dst}/{len} via {other}"),
        (Vxlan, V4, Tcp, Way::Pod, N1, "ip route replace {dst}/32 via {tunnel} dev vxlan.calico onlink"),
        (Vxlan, V4, Udp, Way::Service, N2, "ip route replace {dst}/32 via {tunnel} dev vxlan.calico onlink"),
        (Vxlan, V4, Icmp, Way::Pod, N2, "ip route replace {dst}/32 via {tunnel} dev vxlan.calico onlink"),
        (Vxlan, V4, Tcp, Way::Service, N1, "ip route replace {dst}/32 via {tunnel} dev vxlan.calico onlink"),
        (Vxlan, V4, Udp, Way::Pod, N1, "ip route replace {dst}/32 via {tunnel} dev vxlan.calico onlink"),
        (None, V6, Icmp, Way::Pod, N2, "{ip} route replace {dst}/{len} via {other}"),
    ];
    let mut variants: Vec<Variant> = Vec::new();
    let scenes = with_outsides(rows.iter().map(|row| Scene::new(row.0, row.1, row.2, row.3)));
    for ((.., at, script), scene) in rows.into_iter().zip(scenes) {
        let name = if at == N1 { "{node1}" } else { "{node2}" };
        let tunnel = if at == N1 { K8S_NODE1.tunnel } else { K8S_NODE2.tunnel }.to_string();
        let there = script.replace("{other}", "{master}").replace("{tunnel}", &K8S_MASTER.tunnel.to_string());
        let back = script.replace("{other}", name).replace("{tunnel}", &tunnel);
        let variant = Variant::new("with the master", scene, CAUSE, Node(at)).or_at(Node(MASTER));
        variants.push(variant.run(at, there).run(MASTER, back));
    }
    variants
}

/// Answers that go around whoever translates, or past somebody who has not seen the request.
pub(super) fn asymmetric() -> Vec<Variant> {
    const CAUSE: &str = "asymmetric-return";
    let mut variants = Vec::new();
    let unmasked = [
        (Ipip, "tcp", true),
        (Vxlan, "udp", true),
        (None, "tcp", true),
        (Vxlan, "tcp", false),
        (Ipip, "udp", false),
        (None, "udp", true),
    ];
    for (overlay, protocol, is_iptables) in unmasked {
        let scene = super::services::node_port(overlay, V4, protocol, is_iptables, |service| {
            service.masquerades = false;
        });
        let variant =
            Variant::new("NodePort without masquerade", Scene { is_warm: false, ..scene }, CAUSE, Node(N1));
        variants.push(variant.or_at(Node(MASTER)).or_at(Node(N2)).or_at(Place::Between(N1, MASTER)));
    }
    let by_master = [
        (None, V4, Way::Pod, "ip route replace {src}/32 via {master}"),
        (None, V6, Way::Pod, "ip -6 route replace {src}/128 via {master}"),
        (Vxlan, V4, Way::Pod, "ip route replace {src}/32 via 10.244.219.64 dev vxlan.calico onlink"),
        (Vxlan, V4, Way::Service, "ip route replace {src}/32 via 10.244.219.64 dev vxlan.calico onlink"),
    ];
    for (overlay, family, way, script) in by_master {
        let variant = Variant::new(
            "answer by the master, which knows of no request",
            Scene::new(overlay, family, Tcp, way),
            CAUSE,
            Node(MASTER),
        );
        variants.push(variant.or_at(Node(N1)).run(N1, script));
    }
    for way in [Way::Pod, Way::Service] {
        let variant = Variant::new(
            "answer by the master, which knows of no request",
            Scene::new(Ipip, V4, Tcp, way),
            CAUSE,
            Node(MASTER),
        );
        variants.push(variant.or_at(Node(N1)).step(Step::Do(answer_by_master)));
    }
    variants.into_iter().map(|variant| variant.send(Traffic::Rounds { count: 3, up: 64, down: 64 })).collect()
}

fn answer_by_master(site: &Site) -> Result<(), FaultError> {
    Ok(site.lab.tunnel_to(N1, POD_SRC.address, 32, K8S_MASTER.address)?)
}
