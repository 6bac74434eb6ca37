//! Rules of a firewall that somebody made by hand.

use super::names::{DEST, MASTER, N1, N2, SRC};
use crate::{
    Overlay::{Ipip, None, Vxlan},
    faults::variant::{
        Family::{V4, V6},
        Place::{self, Node, Pod},
        Scene,
        Transport::{Icmp, Tcp, Udp},
        Variant, Way, scenes, with_outsides,
    },
};

const DROP: &str = "firewall-drop";
const REJECT: &str = "firewall-reject";

/// A way to write a rule: what it is, in which namespace, and the script.
type Rule = (&'static str, &'static str, &'static str);

fn zipped(scenes: Vec<Scene>, rules: &[Rule], cause: &'static str) -> Vec<Variant> {
    let pairs = scenes.into_iter().zip(rules.iter().cycle());
    pairs
        .map(|(scene, (what, at, script))| Variant::new(*what, scene, cause, place(at)).run(at, *script))
        .collect()
}

fn place(at: &'static str) -> Place {
    if at == SRC || at == DEST { Pod(at) } else { Node(at) }
}

pub(super) fn drop_forward() -> Vec<Variant> {
    let rules: [Rule; 12] = [
        ("iptables, request", N1, "{ipt} -I FORWARD -d {dst} {m} -j DROP"),
        (
            "nft, request",
            N2,
            "nft 'table inet guard { chain forward { type filter hook forward priority 10; {nft} daddr {dst} {nm} counter drop; }; }'",
        ),
        ("iptables, answer", N1, "{ipt} -I FORWARD -s {dst} {mb} -j DROP"),
        (
            "a chain of one's own",
            N1,
            "{ipt} -N GUARD; {ipt} -A GUARD {m} -j DROP; {ipt} -I FORWARD -d {dst} -j GUARD",
        ),
        ("answer at the client's node", N2, "{ipt} -I FORWARD {mb} -j DROP"),
        ("the chain's policy", N1, "{ipt} -P FORWARD DROP"),
        (
            "nft, a set",
            N2,
            "nft 'table {nft} guard { set blocked { type {type}; elements = { {dst} }; }; chain forward { type filter hook forward priority 5; {nft} daddr @blocked drop; }; }'",
        ),
        (
            "by mark",
            N1,
            "{ipt} -t mangle -I PREROUTING -d {dst} {m} -j MARK --set-mark 0x77; {ipt} -I FORWARD -m mark --mark 0x77 -j DROP",
        ),
        ("mangle", N1, "{ipt} -t mangle -I FORWARD -d {dst} {m} -j DROP"),
        (
            "nft, the chain's policy",
            N1,
            "nft 'table {nft} guard { chain forward { type filter hook forward priority 7; policy drop; {nft} daddr 192.0.2.1 accept; }; }'",
        ),
        (
            "nft, the answer by counter",
            N2,
            "nft 'table inet guard { counter eaten { }; chain forward { type filter hook forward priority 20; {nmb} counter name eaten drop; }; }'",
        ),
        ("in the middle", N1, "{ipt} -I FORWARD -d {dst} {m} -j DROP"),
    ];
    let mut variants = zipped(scenes(), &rules, DROP);
    // An address of IPv4 has no place in a rule for IPv6.
    variants[9] = Variant::new("nft, the chain's policy", scenes()[9].clone(), DROP, Node(N1))
        .run(N1, "nft 'table ip6 guard { chain forward { type filter hook forward priority 7; policy drop; ip6 daddr 2001:db8::1 accept; }; }'");
    if let Some(last) = variants.pop() {
        variants.push(last.in_the_middle());
    }
    variants
}

fn end_scenes() -> Vec<Scene> {
    with_outsides([
        Scene::new(Ipip, V4, Tcp, Way::Pod),
        Scene::new(Vxlan, V4, Udp, Way::Pod),
        Scene::new(None, V6, Tcp, Way::Pod),
        Scene::new(Ipip, V4, Tcp, Way::Service),
        Scene::new(Vxlan, V6, Udp, Way::Pod),
        Scene::new(None, V4, Icmp, Way::Pod),
        Scene::new(None, V4, Udp, Way::ToNode),
        Scene::new(None, V4, Tcp, Way::ToNode),
        Scene::new(Ipip, V4, Tcp, Way::FromNode),
        Scene::new(Vxlan, V4, Tcp, Way::Service),
        Scene::new(Vxlan, V6, Tcp, Way::Pod),
    ])
}

pub(super) fn drop_input() -> Vec<Variant> {
    let rules: [Rule; 11] = [
        ("in the pod", DEST, "{ipt} -I INPUT {m} -j DROP"),
        ("in the client", SRC, "{ipt} -I INPUT {mb} -j DROP"),
        (
            "nft in the pod",
            DEST,
            "nft 'table inet guard { chain input { type filter hook input priority 0; {nm} counter drop; }; }'",
        ),
        (
            "in the client, nft",
            SRC,
            "nft 'table inet guard { chain input { type filter hook input priority 0; {nmb} drop; }; }'",
        ),
        ("the pod's policy", DEST, "{ipt} -A INPUT -p ipv6-icmp -j ACCEPT; {ipt} -P INPUT DROP"),
        (
            "in the pod, nft policy",
            DEST,
            "nft 'table inet guard { chain input { type filter hook input priority 0; policy drop; iifname lo accept; }; }'",
        ),
        ("at the node that serves", N1, "{ipt} -I INPUT {m} -j DROP"),
        (
            "nft at the node that serves",
            N1,
            "nft 'table inet guard { chain input { type filter hook input priority 0; {nm} drop; }; }'",
        ),
        ("at the node that asks", MASTER, "{ipt} -I INPUT {mb} -j DROP"),
        ("the tunnel's packets", N1, "iptables -w -I INPUT -p udp --dport 4789 -j DROP"),
        (
            "the tunnel's packets, answer",
            N2,
            "nft 'table inet guard { chain input { type filter hook input priority 0; udp dport 4789 drop; }; }'",
        ),
    ];
    zipped(end_scenes(), &rules, DROP)
}

pub(super) fn drop_output() -> Vec<Variant> {
    let rules: [Rule; 11] = [
        ("in the client", SRC, "{ipt} -I OUTPUT {m} -j DROP"),
        ("in the pod", DEST, "{ipt} -I OUTPUT {mb} -j DROP"),
        (
            "in the pod, nft",
            DEST,
            "nft 'table inet guard { chain output { type filter hook output priority 0; {nmb} counter drop; }; }'",
        ),
        (
            "in the client, nft",
            SRC,
            "nft 'table inet guard { chain output { type filter hook output priority 0; {nm} drop; }; }'",
        ),
        ("in the client, by address", SRC, "{ipt} -I OUTPUT -d {dst} -j DROP"),
        ("in the pod, the policy", DEST, "{ipt} -P OUTPUT DROP"),
        ("at the node that serves", N1, "{ipt} -I OUTPUT {mb} -j DROP"),
        (
            "nft at the node that serves",
            N1,
            "nft 'table inet guard { chain output { type filter hook output priority 0; {nmb} drop; }; }'",
        ),
        ("at the node that asks", MASTER, "{ipt} -I OUTPUT -d {dst} {m} -j DROP"),
        ("the tunnel's packets", N2, "iptables -w -I OUTPUT -p udp --dport 4789 -j DROP"),
        (
            "the tunnel's packets, answer",
            N1,
            "nft 'table inet guard { chain output { type filter hook output priority 0; udp dport 4789 drop; }; }'",
        ),
    ];
    zipped(end_scenes(), &rules, DROP)
}

pub(super) fn reject() -> Vec<Variant> {
    let rules: [Rule; 12] = [
        ("port unreachable", N1, "{ipt} -I FORWARD -d {dst} {m} -j REJECT"),
        (
            "nft",
            N2,
            "nft 'table inet guard { chain forward { type filter hook forward priority 10; {nft} daddr {dst} {nm} counter reject; }; }'",
        ),
        ("RST", N1, "{ipt} -I FORWARD -d {dst} {m} -j REJECT --reject-with tcp-reset"),
        ("prohibited", N1, "{ipt} -I FORWARD -d {dst} {m} -j REJECT --reject-with icmp-admin-prohibited"),
        ("in the pod", DEST, "{ipt} -I INPUT {m} -j REJECT"),
        (
            "nft, RST",
            N1,
            "nft 'table inet guard { chain forward { type filter hook forward priority 10; {nft} daddr {dst} {nm} reject with tcp reset; }; }'",
        ),
        (
            "host unreachable",
            N2,
            "{ipt} -I FORWARD -d {dst} {m} -j REJECT --reject-with icmp-host-unreachable",
        ),
        ("in the pod, RST", DEST, "{ipt} -I INPUT {m} -j REJECT --reject-with tcp-reset"),
        (
            "a chain of one's own",
            N1,
            "{ipt} -N GUARD; {ipt} -A GUARD -j REJECT; {ipt} -I FORWARD -d {dst} {m} -j GUARD",
        ),
        (
            "prohibited, nft",
            N1,
            "nft 'table inet guard { chain forward { type filter hook forward priority 10; {nft} daddr {dst} {nm} reject with icmpx admin-prohibited; }; }'",
        ),
        ("answer", N1, "{ipt} -I FORWARD -s {dst} {mb} -j REJECT"),
        ("in the middle", N2, "{ipt} -I FORWARD -d {dst} {m} -j REJECT"),
    ];
    let mut variants = zipped(scenes(), &rules, REJECT);
    if let Some(last) = variants.pop() {
        variants.push(last.in_the_middle());
    }
    variants
}
