//! Routes that are missing or refuse, and settings that keep a node from routing.

use super::names::{DEST, N1, N2, SRC};
use crate::{
    Overlay::{self, Ipip, None, Vxlan},
    faults::variant::{
        Family::{self, V4, V6},
        Place::{self, Node, Pod},
        Scene, Step,
        Transport::{self, Icmp, Tcp, Udp},
        Variant, Way, with_outsides,
    },
};

type Row = (Overlay, Family, Transport, Way, &'static str, &'static str, &'static str);

fn made(rows: Vec<Row>, cause: &'static str) -> Vec<Variant> {
    let scenes = rows.iter().map(|row| Scene::new(row.0, row.1, row.2, row.3));
    let scenes = with_outsides(scenes);
    let pairs = rows.into_iter().zip(scenes);
    pairs
        .map(|((.., what, at, script), scene)| Variant::new(what, scene, cause, place(at)).run(at, script))
        .collect()
}

fn place(at: &'static str) -> Place {
    if at == SRC || at == DEST { Pod(at) } else { Node(at) }
}

/// A second interface that leads nowhere, and the way back by it.
const OTHER: &str =
    "ip link add other type veth peer name other1; ip link set other up; ip link set other1 up";

const RP_FILTER: [Row; 11] = [
    (
        None,
        V4,
        Tcp,
        Way::Pod,
        "interface, request",
        N1,
        "ip route add {src}/32 dev other; sysctl -qw net/ipv4/conf/{dev}/rp_filter=1",
    ),
    (
        Ipip,
        V4,
        Tcp,
        Way::Pod,
        "tunnel, request",
        N1,
        "ip route add {src}/32 dev other; sysctl -qw net/ipv4/conf/{dev}/rp_filter=1",
    ),
    (
        Vxlan,
        V4,
        Udp,
        Way::Pod,
        "all, request",
        N1,
        "ip route add {src}/32 dev other; sysctl -qw net/ipv4/conf/all/rp_filter=1",
    ),
    (
        Ipip,
        V4,
        Tcp,
        Way::Service,
        "all, answer",
        N2,
        "ip rule add fwmark 0x55 lookup 100; iptables -w -t mangle -I PREROUTING -i {cali2} -j MARK --set-mark 0x55; ip route add table 100 {block1} via 172.18.0.2 dev tunl0 onlink; ip route add {dst}/32 dev other; sysctl -qw net/ipv4/conf/all/rp_filter=1",
    ),
    (
        None,
        V4,
        Icmp,
        Way::Pod,
        "answer",
        N2,
        "ip rule add fwmark 0x55 lookup 100; iptables -w -t mangle -I PREROUTING -i {cali2} -j MARK --set-mark 0x55; ip route add table 100 {block1} via 172.18.0.2; ip route add {dst}/32 dev other; sysctl -qw net/ipv4/conf/eth0/rp_filter=1",
    ),
    (
        Vxlan,
        V4,
        Tcp,
        Way::Pod,
        "in the pod",
        DEST,
        "ip route add {src}/32 dev other; sysctl -qw net/ipv4/conf/eth0/rp_filter=1",
    ),
    (
        Ipip,
        V4,
        Udp,
        Way::Pod,
        "in the pod, all",
        DEST,
        "ip route add {src}/32 dev other; sysctl -qw net/ipv4/conf/all/rp_filter=1",
    ),
    (
        None,
        V4,
        Tcp,
        Way::NodePort,
        "NodePort",
        N2,
        "ip route add {master}/32 dev other; sysctl -qw net/ipv4/conf/eth0/rp_filter=1",
    ),
    (
        Vxlan,
        V4,
        Tcp,
        Way::Service,
        "tunnel, request",
        N1,
        "ip route add {src}/32 dev other; sysctl -qw net/ipv4/conf/{dev}/rp_filter=1",
    ),
    (
        Ipip,
        V4,
        Tcp,
        Way::ToNode,
        "at a node, by the tunnel alone",
        N1,
        "sysctl -qw net/ipv4/conf/eth0/rp_filter=1",
    ),
    (
        None,
        V4,
        Udp,
        Way::Service,
        "all, request",
        N1,
        "ip route add {src}/32 dev other; sysctl -qw net/ipv4/conf/all/rp_filter=1",
    ),
];

pub(super) fn rp_filter() -> Vec<Variant> {
    let with_other = |mut variant: Variant| {
        if let Some(Step::Script(_, script)) = variant.steps.first_mut() {
            *script = format!("{OTHER}; {script}");
        }
        variant
    };
    made(RP_FILTER.to_vec(), "reverse-path-filter").into_iter().map(with_other).collect()
}

pub(super) fn ip_forward() -> Vec<Variant> {
    let rows: Vec<Row> = vec![
        (Ipip, V4, Tcp, Way::Pod, "all, request", N1, "sysctl -qw net/ipv4/ip_forward=0"),
        (Vxlan, V4, Udp, Way::Pod, "all, client's node", N2, "sysctl -qw net/ipv4/ip_forward=0"),
        (None, V6, Tcp, Way::Pod, "all, request", N1, "sysctl -qw net/ipv6/conf/all/forwarding=0"),
        (Ipip, V4, Tcp, Way::Service, "tunnel", N1, "sysctl -qw net/ipv4/conf/{dev}/forwarding=0"),
        (Vxlan, V6, Udp, Way::Pod, "all, client's node", N2, "sysctl -qw net/ipv6/conf/all/forwarding=0"),
        (None, V4, Tcp, Way::NodePort, "all, NodePort", N2, "sysctl -qw net/ipv4/ip_forward=0"),
        (Ipip, V4, Icmp, Way::Pod, "pod's interface", N2, "sysctl -qw net/ipv4/conf/{cali2}/forwarding=0"),
        (Vxlan, V4, Tcp, Way::Service, "answer, tunnel", N2, "sysctl -qw net/ipv4/conf/{dev}/forwarding=0"),
        (
            None,
            V4,
            Tcp,
            Way::Pod,
            "answer, pod's interface",
            N1,
            "sysctl -qw net/ipv4/conf/{cali1}/forwarding=0",
        ),
        (Ipip, V4, Udp, Way::Service, "all, request", N1, "sysctl -qw net/ipv4/ip_forward=0"),
        (Vxlan, V4, Tcp, Way::NodePort, "tunnel", N1, "sysctl -qw net/ipv4/conf/{dev}/forwarding=0"),
    ];
    made(rows, "forwarding-disabled")
}

/// A pod goes on to know its gateway, which a node without a route does not stand in for any more.
const GATEWAY: &str = "ip neigh replace 169.254.1.1 dev eth0 lladdr ee:ee:ee:ee:ee:ee nud permanent";

pub(super) fn no_route() -> Vec<Variant> {
    let rows: Vec<Row> = vec![
        (Ipip, V4, Tcp, Way::Pod, "to the block, a default is left", N2, "ip route del {block1}"),
        (
            Vxlan,
            V4,
            Udp,
            Way::Pod,
            "to the block, nothing is left",
            N2,
            "ip route del {block1}; ip route del default",
        ),
        (
            None,
            V6,
            Tcp,
            Way::Pod,
            "to the block, nothing is left",
            N2,
            "ip -6 route del {block1}; ip -6 route del ::/0",
        ),
        (
            Ipip,
            V4,
            Tcp,
            Way::Service,
            "to the block, nothing is left",
            N2,
            "ip route del {block1}; ip route del default",
        ),
        (
            Vxlan,
            V6,
            Udp,
            Way::Pod,
            "to the pod, nothing is left",
            N1,
            "ip -6 route del {dst}; ip -6 route del blackhole {block1}; ip -6 route del ::/0",
        ),
        (
            None,
            V4,
            Tcp,
            Way::NodePort,
            "to the block, nothing is left",
            N2,
            "ip route del {block1}; ip route del default",
        ),
        (
            Ipip,
            V4,
            Icmp,
            Way::Pod,
            "to the pod, nothing is left",
            N1,
            "ip route del {dst}; ip route del blackhole {block1}; ip route del default",
        ),
        (
            Vxlan,
            V4,
            Tcp,
            Way::Service,
            "for the answer, nothing is left",
            N1,
            "ip route del {block2}; ip route del default",
        ),
        (None, V4, Tcp, Way::Pod, "to the block, a default is left", N2, "ip route del {block1}"),
        (
            Ipip,
            V4,
            Udp,
            Way::Service,
            "for the answer, nothing is left",
            N1,
            "ip route del {block2}; ip route del default",
        ),
        (Vxlan, V4, Tcp, Way::Pod, "in the pod", DEST, "ip route del default"),
        (None, V6, Udp, Way::Pod, "in the pod", DEST, "ip -6 route del ::/0"),
    ];
    let keeps_gateway = |variant: Variant| {
        if variant.scene.family == V4 { variant.run(SRC, GATEWAY).run(DEST, GATEWAY) } else { variant }
    };
    made(rows, "no-route").into_iter().map(keeps_gateway).collect()
}

pub(super) fn blackhole() -> Vec<Variant> {
    let rows: Vec<Row> = vec![
        (Ipip, V4, Tcp, Way::Pod, "of the pod, at the client's node", N2, "ip route add blackhole {dst}/32"),
        (Vxlan, V4, Udp, Way::Pod, "of the block, the pod's route is gone", N1, "ip route del {dst}"),
        (None, V6, Tcp, Way::Pod, "of the block, the pod's route is gone", N1, "ip -6 route del {dst}"),
        (Ipip, V4, Tcp, Way::Service, "for the answer", N1, "ip route add blackhole {src}/32"),
        (
            Vxlan,
            V6,
            Udp,
            Way::Pod,
            "of the pod, at the client's node",
            N2,
            "ip -6 route add blackhole {dst}/128",
        ),
        (None, V4, Tcp, Way::NodePort, "NodePort", N2, "ip route add blackhole {dst}/32"),
        (Ipip, V4, Icmp, Way::Pod, "by rule", N1, "ip rule add to {dst} blackhole"),
        (
            Vxlan,
            V4,
            Tcp,
            Way::Service,
            "in another table",
            N2,
            "ip rule add from {src} lookup 100; ip route add blackhole default table 100",
        ),
        (
            None,
            V4,
            Tcp,
            Way::Pod,
            "for the answer, at the client's node",
            N2,
            "ip route replace blackhole {src}/32",
        ),
        (Ipip, V4, Udp, Way::Pod, "in the pod", DEST, "ip route add blackhole {src}/32"),
        (Vxlan, V4, Tcp, Way::Pod, "for the answer", N1, "ip route add blackhole {src}/32"),
        (None, V6, Icmp, Way::Pod, "for the answer", N1, "ip -6 route add blackhole {src}/128"),
    ];
    made(rows, "blackhole-route")
}

pub(super) fn prohibit() -> Vec<Variant> {
    let rows: Vec<Row> = vec![
        (Ipip, V4, Tcp, Way::Pod, "of the pod, at the client's node", N2, "ip route add prohibit {dst}/32"),
        (Vxlan, V4, Udp, Way::Pod, "of the pod, at its node", N1, "ip route replace prohibit {dst}/32"),
        (
            None,
            V6,
            Tcp,
            Way::Pod,
            "of the pod, at the client's node",
            N2,
            "ip -6 route add prohibit {dst}/128",
        ),
        (Ipip, V4, Tcp, Way::Service, "for the answer", N1, "ip route add prohibit {src}/32"),
        (
            Vxlan,
            V6,
            Udp,
            Way::Pod,
            "of the pod, at the client's node",
            N2,
            "ip -6 route add prohibit {dst}/128",
        ),
        (None, V4, Tcp, Way::NodePort, "NodePort", N2, "ip route add prohibit {dst}/32"),
        (Ipip, V4, Icmp, Way::Pod, "by rule", N1, "ip rule add to {dst} prohibit"),
        (
            Vxlan,
            V4,
            Tcp,
            Way::Service,
            "in another table",
            N2,
            "ip rule add from {src} lookup 100; ip route add prohibit default table 100",
        ),
        (
            None,
            V4,
            Tcp,
            Way::Pod,
            "for the answer, at the client's node",
            N2,
            "ip route replace prohibit {src}/32",
        ),
        (Vxlan, V4, Tcp, Way::Pod, "for the answer", N1, "ip route add prohibit {src}/32"),
    ];
    let unreachable: Vec<Row> = vec![
        (Ipip, V4, Udp, Way::Service, "unreachable", N2, "ip route add unreachable {dst}/32"),
        (
            None,
            V6,
            Icmp,
            Way::Pod,
            "unreachable, for the answer",
            N1,
            "ip -6 route add unreachable {src}/128",
        ),
    ];
    let mut variants = made(rows, "prohibit-route");
    variants.extend(made(unreachable, "unreachable-route"));
    variants
}
