//! What happens to packets between two nodes, where nobody keeps a record.

use std::time::Duration;

use super::names::{DEST, MASTER, N1, N2, SRC};
use crate::{
    Overlay::{self, Ipip, None, Vxlan},
    faults::variant::{
        Family::{self, V4, V6},
        Place::{Between, Node, Pod},
        Scene, Step, Traffic,
        Transport::{self, Icmp, Tcp, Udp},
        Variant, Way, Works, with_outsides,
    },
    lab::wire::{Effect, Wire},
};

type Circumstances = (Overlay, Family, Transport, Way, bool);

/// The last says whether it happens to requests.
const CIRCUMSTANCES: [Circumstances; 12] = [
    (Ipip, V4, Tcp, Way::Pod, true),
    (Vxlan, V4, Udp, Way::Pod, true),
    (None, V6, Tcp, Way::Pod, true),
    (Ipip, V4, Tcp, Way::Service, false),
    (Vxlan, V6, Udp, Way::Pod, false),
    (None, V4, Tcp, Way::NodePort, true),
    (Ipip, V4, Udp, Way::Service, true),
    (Vxlan, V4, Tcp, Way::Service, false),
    (None, V4, Udp, Way::Pod, false),
    (Vxlan, V6, Tcp, Way::Pod, true),
    (Ipip, V4, Tcp, Way::Pod, false),
    (None, V4, Tcp, Way::Pod, true),
];

/// IP without what finds neighbours.
fn filter(family: Family) -> &'static str {
    if family == V6 { "meta protocol ip6 meta l4proto != ipv6-icmp" } else { "meta protocol ip" }
}

fn made(cause: &'static str, what: impl Fn(usize, &Scene) -> (String, Effect, u16)) -> Vec<(Variant, bool)> {
    let scenes =
        CIRCUMSTANCES.map(|(overlay, family, transport, way, _)| Scene::new(overlay, family, transport, way));
    let rows = with_outsides(scenes).into_iter().zip(CIRCUMSTANCES).enumerate();
    rows.map(|(index, (scene, (.., is_request)))| {
        let (what, effect, per_mille) = what(index, &scene);
        let (from, to) = if is_request { (N2, N1) } else { (N1, N2) };
        let wire = Wire { effect, from, filter: filter(scene.family), per_mille };
        let side = if is_request { "request" } else { "answer" };
        let is_by_master = scene.way == Way::NodePort;
        let mut variant = Variant::new(format!("{what}, {side}"), scene, cause, Between(from, to));
        if is_by_master {
            variant = variant.or_at(Between(from, MASTER));
        }
        (variant.step(Step::Wire(wire)), is_request)
    })
    .collect()
}

pub(super) fn loss() -> Vec<Variant> {
    let variants = made("wire-loss", |index, _| {
        let per_mille = [100, 200, 60][index % 3];
        (format!("{} %", per_mille / 10), Effect::Lose, per_mille)
    });
    let with_traffic = |(variant, is_request): (Variant, bool)| {
        let traffic = match (variant.scene.transport, is_request) {
            (Tcp, true) => Traffic::Rounds { count: 12, up: 30_000, down: 200 },
            (Tcp, false) => Traffic::Rounds { count: 12, up: 200, down: 30_000 },
            (Udp | Icmp, _) => Traffic::Rounds { count: 60, up: 400, down: 400 },
        };
        variant.works(Works::Perhaps).send(traffic)
    };
    variants.into_iter().map(with_traffic).collect()
}

pub(super) fn reordering() -> Vec<Variant> {
    let variants = made("wire-reordering", |index, _| {
        let (late, per_mille) = [(3, 100), (8, 200), (1, 300)][index % 3];
        (
            format!("{} % late by {late} ms", per_mille / 10),
            Effect::Delay(Duration::from_millis(late)),
            per_mille,
        )
    });
    let with_traffic = |(variant, is_request): (Variant, bool)| {
        let traffic = match (variant.scene.transport, is_request) {
            (Tcp, true) => Traffic::Rounds { count: 4, up: 120_000, down: 200 },
            (Tcp, false) => Traffic::Rounds { count: 4, up: 200, down: 120_000 },
            (Udp | Icmp, _) => Traffic::Burst { count: 200, len: 300 },
        };
        // A wire carries no frame above its MTU: without this a round is two or three super-packets.
        let sender = if is_request { SRC } else { DEST };
        variant.run(sender, "ethtool -K eth0 tso off gso off").works(Works::Perhaps).send(traffic)
    };
    variants.into_iter().map(with_traffic).collect()
}

pub(super) fn checksum() -> Vec<Variant> {
    let variants = made("bad-checksum", |index, scene| {
        // There is none in the header of IPv6, and the stand-in for an IPIP device does not look at that of the outer one.
        if index % 4 == 3 && scene.family == V4 && scene.overlay != Ipip {
            ("header".to_owned(), Effect::CorruptHeader, 1000)
        } else {
            ("a bit of every packet".to_owned(), Effect::Corrupt, 1000)
        }
    });
    let with_places = |(variant, is_request): (Variant, bool)| {
        // Where it is found out: at the other end, or at the node where there is a tunnel's own checksum, or the header's.
        let (node, pod) = if is_request { (N1, DEST) } else { (N2, SRC) };
        variant.or_at(Node(node)).or_at(Pod(pod))
    };
    let mut variants: Vec<Variant> = variants.into_iter().map(with_places).collect();
    let wire = Wire { effect: Effect::Corrupt, from: N2, filter: filter(V4), per_mille: 1000 };
    let scene = Scene::new(None, V4, Icmp, Way::Pod);
    let variant = Variant::new("a bit of every echo request", scene, "bad-checksum", Between(N2, N1));
    variants.push(variant.or_at(Node(N1)).or_at(Pod(DEST)).step(Step::Wire(wire)));
    variants
}
