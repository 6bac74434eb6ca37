//! Packets that are too long for a link, and nobody who tells their sender.

use super::names::{MASTER, N1, N2, SRC};
use crate::{
    Overlay::{self, Ipip, None, Vxlan},
    faults::variant::{
        Family::{self, V4, V6},
        Place::{self, Between, Node},
        Scene, Traffic,
        Transport::{self, Icmp, Tcp, Udp},
        Variant, Way, with_outsides,
    },
};

/// ICMP errors that say so end here, in the chain that is put in for `CHAIN`.
const SILENCE: &str = "iptables -w -I CHAIN -p icmp --icmp-type fragmentation-needed -j DROP";
const SILENCE6: &str = "ip6tables -w -I CHAIN -p ipv6-icmp --icmpv6-type packet-too-big -j DROP";
/// By way of the master, whose link to the pod's node is a narrow one.
const DETOUR: (&str, &str) =
    ("{ip} route replace {block1} via {master}", "{ip} route replace {block1} via {node1} mtu 1300");

/// Answers go the same way: a node in between that sees one direction drops it as of no connection.
const BACK: &str = "{ip} route replace {block2} via {master}";

enum Narrow {
    /// The master in between.
    Router,
    /// The pod's interface on its node, with the chain there, or at the client's node, or in its pod.
    Pod(&'static str, &'static str),
    /// The same at the client's side, for answers.
    Client(&'static str, &'static str),
    /// A port of the underlay.
    Port(&'static str),
}

pub(super) fn black_hole() -> Vec<Variant> {
    type Row = (Overlay, Family, Transport, Way, Narrow);
    let rows: Vec<Row> = vec![
        (None, V4, Tcp, Way::Pod, Narrow::Router),
        (None, V6, Tcp, Way::Pod, Narrow::Router),
        (Ipip, V4, Tcp, Way::Pod, Narrow::Pod(N1, "OUTPUT")),
        (Vxlan, V4, Udp, Way::Pod, Narrow::Pod(N1, "OUTPUT")),
        (Ipip, V4, Tcp, Way::Service, Narrow::Client(N2, "OUTPUT")),
        (Vxlan, V6, Tcp, Way::Pod, Narrow::Client(N2, "OUTPUT")),
        (None, V4, Icmp, Way::Pod, Narrow::Pod(SRC, "INPUT")),
        (Ipip, V4, Tcp, Way::Pod, Narrow::Port(N1)),
        (Ipip, V4, Tcp, Way::Service, Narrow::Port(N2)),
        (None, V4, Tcp, Way::Pod, Narrow::Pod(N2, "FORWARD")),
        (None, V4, Udp, Way::Service, Narrow::Router),
        (Vxlan, V4, Tcp, Way::Service, Narrow::Pod(N2, "FORWARD")),
    ];
    let scenes = rows.iter().map(|row| Scene { offloads: false, ..Scene::new(row.0, row.1, row.2, row.3) });
    let scenes = with_outsides(scenes);
    rows.into_iter().zip(scenes).map(|((.., narrow), scene)| narrowed(&narrow, &scene)).collect()
}

fn narrowed(narrow: &Narrow, scene: &Scene) -> Variant {
    let silence = |chain| if scene.family == V6 { SILENCE6 } else { SILENCE }.replace("CHAIN", chain);
    let (quiet_out, place) = (silence("OUTPUT"), place(narrow));
    let is_back = matches!(narrow, Narrow::Client(..) | Narrow::Port(N2));
    // Datagrams and echo requests come back as long as they went.
    let large = if scene.transport == Tcp { 6000 } else { 1340 };
    let traffic = if is_back {
        Traffic::Rounds { count: 2, up: 64, down: large }
    } else {
        Traffic::Rounds { count: 2, up: large, down: 64 }
    };
    let new = |what: &str| Variant::new(what, scene.clone(), "mtu-black-hole", place).send(traffic);
    match narrow {
        Narrow::Router => new("a router in between")
            .run(N2, DETOUR.0)
            .run(MASTER, DETOUR.1)
            .run(MASTER, quiet_out)
            .run(N1, BACK),
        Narrow::Pod(at, chain) => {
            new("the pod's link").run(N1, "ip link set {cali1} mtu 1280").run(at, silence(chain))
        }
        Narrow::Client(at, chain) => {
            new("the client's link, answer").run(N2, "ip link set {cali2} mtu 1280").run(at, silence(chain))
        }
        Narrow::Port(of) => {
            new("a link between the nodes").run("underlay", format!("ip link set {of} mtu 1280"))
        }
    }
}

fn place(narrow: &Narrow) -> Place {
    match narrow {
        Narrow::Router => Node(MASTER),
        Narrow::Pod(..) => Node(N1),
        Narrow::Client(..) => Node(N2),
        Narrow::Port(N1) => Between(N2, N1),
        Narrow::Port(_) => Between(N1, N2),
    }
}
