//! Which conditions there are.

use super::{Condition, Traffic, Where};
use crate::{
    Overlay,
    lab::topology::{K8S_NODE1, K8S_NODE2},
    truth::{
        clocks::Clocks,
        craft::Numbering,
        udp::{
            Identification::{Counted, Zero},
            Shape,
        },
        way::Way,
    },
};

/// One of each kind, by their labels.
const CHOSEN: [&str; 8] = [
    "streams: DNAT+SNAT, IPIP, GSO/GRO, 1.0 % lost",
    "streams: DNAT, VXLAN, no offloads, 3.0 % lost",
    "streams: DNAT, VXLAN, GSO/GRO, 2.0 % twice, 1.0 % late, 1.0 % lost",
    "crafted: DNAT+SNAT, IPIP, GSO/GRO, 1.0 % twice, 2.0 % late, 1.0 % lost",
    "crafted, id 0: DNAT+SNAT, VXLAN, GSO/GRO, 1.0 % lost",
    "datagrams, id 0: DNAT, IPIP, GSO/GRO, 2.0 % lost",
    "UDP_SEGMENT, id 0: DNAT, VXLAN, no offloads",
    "overflow: DNAT+SNAT, VXLAN, no offloads",
];
/// Streams weigh as much as two of the other conditions.
const SHARES: u64 = 28;
/// Toward pod-dest, on its node: between the tunnel and the pod.
const FAR: Where = (K8S_NODE1.name, "-d 10.244.131.5");
/// Toward pod-dest, on the node of who asks: before NAT is done and the tunnel begins.
const NEAR: Where = (K8S_NODE2.name, "-d 10.244.131.5");
/// From pod-dest, on its node.
const BACK: Where = (K8S_NODE1.name, "-s 10.244.131.5");

impl Condition {
    /// Some conditions of every kind, with about `segments` wire segments over all.
    pub fn some(segments: u64) -> Vec<Self> {
        let all = Self::all(segments * 4);
        let is_chosen = |condition: &Self| CHOSEN.contains(&condition.label().as_str());
        let chosen: Vec<Self> = all.into_iter().filter(is_chosen).collect();
        assert_eq!(chosen.len(), CHOSEN.len(), "a condition has got another name");
        chosen
    }

    /// Every condition, with about `segments` wire segments over all.
    pub fn all(segments: u64) -> Vec<Self> {
        let (large, small) = (1400, 536);
        let share = segments / SHARES;
        let tcp =
            |overlay, way, segment| Self::new("streams", overlay, way, Traffic::Streams { segment }, share);
        let udp = |name, overlay, way, shape, identification| {
            Self::new(name, overlay, way, Traffic::Datagrams { shape, identification }, share / 2)
        };
        let crafted = |name, overlay, way, segment, numbering| {
            Self::new(name, overlay, way, Traffic::Crafted { numbering, segment }, share / 2)
        };
        let (ipip, vxlan) = (Overlay::Ipip, Overlay::Vxlan);
        vec![
            tcp(ipip, Way::ClusterIp, large),
            tcp(ipip, Way::NodePort, small).losing(FAR, 10),
            tcp(ipip, Way::ClusterIp, small).losing(NEAR, 50),
            tcp(ipip, Way::NodePort, small).losing(FAR, 20).without_offloads(),
            tcp(ipip, Way::Pod, small).losing(BACK, 10),
            tcp(vxlan, Way::NodePort, large),
            tcp(vxlan, Way::ClusterIp, small).losing(FAR, 10),
            tcp(vxlan, Way::NodePort, small).losing(NEAR, 50),
            tcp(vxlan, Way::ClusterIp, small).losing(FAR, 30).without_offloads(),
            tcp(Overlay::None, Way::NodePort, small).losing(FAR, 10),
            tcp(ipip, Way::NodePort, small).impaired(10, 20),
            tcp(vxlan, Way::ClusterIp, small).impaired(20, 10).losing(FAR, 10),
            tcp(vxlan, Way::NodePort, large).impaired(10, 10).losing(NEAR, 10).without_offloads(),
            crafted("crafted", ipip, Way::ClusterIp, 1200, Numbering::Counted).losing(FAR, 20),
            crafted("crafted", ipip, Way::NodePort, 300, Numbering::Counted).losing(FAR, 10).impaired(10, 20),
            crafted("crafted", vxlan, Way::NodePort, 1200, Numbering::Counted).losing(NEAR, 50),
            crafted("crafted", vxlan, Way::ClusterIp, 300, Numbering::Counted)
                .without_offloads()
                .losing(FAR, 10),
            crafted("crafted, id 0", ipip, Way::ClusterIp, 1200, Numbering::Zero),
            crafted("crafted, id 0", vxlan, Way::NodePort, 1200, Numbering::Zero).losing(FAR, 10),
            crafted("crafted", ipip, Way::NodePort, 1200, Numbering::Counted)
                .losing(FAR, 10)
                .timed(Clocks::Apart),
            crafted("crafted", vxlan, Way::NodePort, 300, Numbering::Counted)
                .losing(NEAR, 10)
                .timed(Clocks::Drifting),
            crafted("crafted", ipip, Way::NodePort, 1200, Numbering::Counted)
                .losing(FAR, 10)
                .timed(Clocks::Stepping),
            tcp(vxlan, Way::ClusterIp, small).losing(FAR, 10).timed(Clocks::Apart),
            tcp(ipip, Way::NodePort, small).losing(FAR, 10).timed(Clocks::Stepping),
            udp("datagrams, id 0", ipip, Way::NodePort, Shape::Varied, Zero)
                .losing(FAR, 10)
                .timed(Clocks::Apart),
            udp("datagrams, id counted", ipip, Way::NodePort, Shape::Varied, Counted).losing(FAR, 20),
            udp("datagrams, id 0", ipip, Way::ClusterIp, Shape::Varied, Zero).losing(FAR, 20),
            udp("datagrams, id 0", vxlan, Way::NodePort, Shape::Varied, Zero).losing(NEAR, 10),
            udp("alike, id 0", vxlan, Way::ClusterIp, Shape::Alike, Zero),
            udp("alike, id 0", ipip, Way::NodePort, Shape::Alike, Zero).losing(FAR, 10),
            udp("UDP_SEGMENT, id counted", vxlan, Way::ClusterIp, Shape::Segmented(1200), Counted),
            udp("UDP_SEGMENT, id 0", vxlan, Way::NodePort, Shape::Segmented(1000), Zero),
            udp("UDP_SEGMENT, id 0", vxlan, Way::ClusterIp, Shape::Segmented(800), Zero).without_offloads(),
            udp("fragments", ipip, Way::ClusterIp, Shape::Fragmented, Counted),
            udp("fragments", vxlan, Way::ClusterIp, Shape::Fragmented, Counted),
            // The master's link takes larger packets than the tunnel.
            udp("fragments cut anew", vxlan, Way::NodePort, Shape::Fragmented, Counted).refragmented(),
            tcp(ipip, Way::ClusterIp, large).overflowing(),
            tcp(vxlan, Way::NodePort, small).without_offloads().overflowing(),
            udp("", ipip, Way::NodePort, Shape::Varied, Zero).overflowing(),
        ]
    }
}
